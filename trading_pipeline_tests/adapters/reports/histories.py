"""Made-up series and tables for the tests of the reports, and what of a page is our own."""

import base64
import json
import re
import zlib
from dataclasses import replace
from math import inf, nan

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.charts.series import ReportSeries, risk_events
from trading_pipeline.core.evaluation.features.diagnostics import Diagnostics, History, diagnose
from trading_pipeline.core.evaluation.performance import day_closes
from trading_pipeline.core.evaluation.portfolio.earnings import Earnings
from trading_pipeline.core.evaluation.portfolio.tear_sheet import Holdings
from trading_pipeline.core.evaluation.summary import EvaluationInputs
from trading_pipeline.core.features.feature import Feature, Scale
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.quality.report import Quality, examine
from trading_pipeline_tests.core.market.planted import clean_bars

SYMBOLS = ("AAPL", "IBM", "MSFT")


def earned(given: EvaluationInputs, symbols=SYMBOLS) -> Earnings:
    """Random money of every kind, side, day and symbol."""
    rng = np.random.default_rng(5)
    closes = day_closes(given.timestamps)
    days = len(closes)
    money = rng.normal(2, 80, (4, 2, days, len(symbols)))
    money[1:3] = -np.abs(money[1:3]) / 20
    return Earnings(
        days=given.timestamps[closes],
        symbols=symbols,
        kinds=("price", "slippage", "fees", "dividend"),
        money=money,
        interest=np.full(days, -0.5),
        equity=given.strategy.equity[np.append(0, closes[:-1])],
        unexplained=np.zeros(days),
    )


def closed_trades(given: EvaluationInputs, symbols=SYMBOLS) -> pd.DataFrame:
    """Three closed trades: two long ones of the first symbol, a short one of the last."""
    at = given.timestamps
    return pd.DataFrame(
        {
            "symbol": [symbols[0], symbols[0], symbols[-1]],
            "side": ["long", "long", "short"],
            "opened_at": at[[3, 20, 30]],
            "closed_at": at[[6, 25, 40]],
            "bars": [3, 5, 10],
            "quantity": [5.0, 4.0, 4.0],
            "mean_entry": [100.4, 90.0, 90.0],
            "mean_exit": [95.0, 80.0, 92.5],
            "last_exit": [94.0, 80.0, 92.5],
            "invested": 1000.0,
            "pnl": [50.0, -20.0, 10.0],
            "return": [0.05, -0.02, 0.01],
            "fees": 1.0,
            "exit": ["stop_loss", "order", "take_profit"],
            "reason": ["Ordered to buy 5 <b>.", "", "Ordered to sell 4, towards -2.00%."],
        }
    )


def held_positions(given: EvaluationInputs, symbols=SYMBOLS) -> pd.DataFrame:
    """One position that is still open."""
    return pd.DataFrame(
        {
            "symbol": [symbols[0]],
            "side": "long",
            "opened_at": given.timestamps[[60]],
            "bars": 30,
            "quantity": 7.0,
            "average_cost": 70.0,
            "price": 77.0,
            "value": 539.0,
            "unrealised_pnl": 49.0,
            "unrealised_return": 0.1,
            "realised_pnl": -12.0,
            "fees": 0.5,
            "reason": "Ordered to buy 7.",
        }
    )


def fills(given: EvaluationInputs, symbol="AAPL") -> pd.DataFrame:
    """A long that is raised and stopped, then a short that is bought back, and one still open."""
    rows = [
        (4, 3.0, 100.0, "order", ""),
        (5, 2.0, 101.0, "order", ""),
        (6, -5.0, 95.0, "stop_loss", "stop_loss"),
        (20, -4.0, 90.0, "order", ""),
        (25, 4.0, 80.0, "order", ""),
        (30, 1.0, 85.0, "order", ""),
    ]
    bars, quantity, price, kind, reasons = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "client_order_id": [f"a-{bar}" for bar in bars],
            "filled_at": given.timestamps[list(bars)],
            "symbol": symbol,
            "quantity": quantity,
            "price": price,
            "fee": 0.1,
            "slippage": 0.1,
            "kind": kind,
            "reasons": reasons,
        }
    )


# Of the decisions, as `bound_of` gives it.
BOUND = {"volatility_target": 0.618, "gross_cap": 0.382, "net_cap": 0.0, "symbol_cap": 0.123,
         "drawdown_control": 0.004, "none": 0.0}  # fmt: skip


def with_holdings(given: EvaluationInputs, symbols=SYMBOLS) -> EvaluationInputs:
    """The same run, with what its symbols earned."""
    drawn = series(given, symbols)
    holdings = Holdings(
        earnings=drawn.earnings, trades=drawn.trades, events=risk_events(drawn), bound=BOUND
    )
    return replace(given, holdings=holdings)


def series(given: EvaluationInputs, symbols=SYMBOLS, **changes) -> ReportSeries:
    """What is drawn of a run: its positions, one order, six fills, a stop, one loss limit."""
    at, n_bars = given.timestamps, len(given.timestamps)
    weights = np.random.default_rng(0).uniform(0, 0.3, (n_bars, len(symbols)))
    row = {"client_order_id": ["a-1"], "symbol": [symbols[0]], "quantity": [3.0]}
    known = {
        "timestamps": at,
        "equity": given.strategy.equity,
        "baselines": {name: book.equity for name, book in given.baselines.items()},
        "random_equity": given.random_equity,
        "weights": weights,
        "symbols": symbols,
        "orders": pd.DataFrame({**row, "decided_at": at[[5]], "reasons": "symbol_cap"}),
        "fills": fills(given, symbols[0]),
        "vetoes": pd.DataFrame(
            {
                "decided_at": at[[8, 8]],
                "symbol": [symbols[0], symbols[-1]],
                "rule": "weekly_loss",
                "figure": -0.06,
                "limit": -0.05,
            }
        ),
        "cash_flows": pd.DataFrame(
            {"at": at[[9]], "symbol": "IBM", "kind": "dividend", "amount": 1.0}
        ),
        "cash": given.strategy.equity * (1 - weights.sum(axis=1)),
        "predictions": pd.DataFrame({"timestamp": at[:3], "symbol": symbols[0], "score": 0.125}),
        "trades": closed_trades(given, symbols),
        "positions": held_positions(given, symbols),
        "price": 100 + np.cumsum(np.random.default_rng(1).normal(size=weights.shape), axis=0),
        "split": np.ones(weights.shape),
        "turnover": given.strategy.turnover,
        "earnings": earned(given, symbols),
        "days_per_year": 252.0,
    }
    return ReportSeries(**known | changes)


def catalog(names=("early", "late", "shared", "never")) -> list[Feature]:
    """Made-up features; the third is the same for all symbols."""
    row = {"formula": "x", "lookback": 1, "scale": Scale("x", -2, 2), "source": "x"}
    return [
        Feature(name=name, family="market" if place == 2 else "price", of=lambda s: s, **row)
        for place, name in enumerate(names)
    ]


def diagnostics(features=None, **changes) -> Diagnostics:
    """Of two years and ten symbols: the second feature drifts, the fourth is never known."""
    noise = np.random.default_rng(3)
    dates, symbols = 500, 10
    grid = noise.normal(size=(dates, symbols, 4)).clip(-2, 2).astype(np.float32)
    grid[260:, :, 1] += 1.0
    grid[..., 2] = grid[:, :1, 2]
    grid[..., 3] = np.nan
    everywhere = np.ones((dates, symbols), bool)
    given = {
        "timestamps": pd.date_range("2019-01-01", periods=dates, freq="B", tz="UTC"),
        "grid": grid,
        "present": everywhere,
        "eligible": everywhere,
        "target": noise.normal(size=(dates, symbols)),
        "market_target": noise.normal(size=dates),
        "horizon": 5,
        "folds": {"2020-01-01": (slice(0, 250), slice(262, dates))},
    }
    return diagnose(History(**given | changes), features or catalog())


def quality() -> Quality:
    """Of clean bars."""
    return examine(clean_bars(40), None, trading_calendar("XNYS", "1d"), "sample")


def sweep_table(sharpes=(0.5, 0.7, nan, -0.1), own=1) -> pd.DataFrame:
    """Four variants of two limits, as a sweep tells them; `own` is the row of the market itself."""
    rows = [
        {
            "stop_loss": stop,
            "trailing_stop": trail,
            "annual_return": 0.051,
            "annual_volatility": 0.1,
            "sharpe": sharpe,
            "sharpe_low": sharpe - 0.5,
            "sharpe_high": sharpe + 0.5,
            "max_drawdown": -0.123,
            "turnover": 9.41,
            "fees": 1.0,
            "halvings": 2,
            "flattenings": 1,
            "own": False,
        }
        for (stop, trail), sharpe in zip(
            [(2.0, 3.0), (2.0, inf), (4.0, 3.0), (4.0, inf)], sharpes, strict=True
        )
    ]
    rows[own]["own"] = True
    return pd.DataFrame(rows, index=[f"variant {n}" for n in range(4)])


def unpacked(text: str) -> str:
    """What `packed` packed."""
    letters = text.translate(str.maketrans(".,:", "&<>"))
    return zlib.decompress(base64.b85decode(letters)).decode()


def figures(html: str) -> dict[str, dict]:
    """What each chart of a page draws, by its name, as Plotly is given it."""
    found = re.findall(r'id="chart-([^"]*)"[^>]*data-figure="([^"]*)"', html)
    return {name: json.loads(unpacked(figure)) for name, figure in found}


def own_part(html: str) -> str:
    """The page without plotly.js, and with its charts unpacked."""
    from plotly.offline import get_plotlyjs

    found = re.search(r'<script type="text/plain" id="plotly">([^<]*)</script>', html)
    assert found is not None
    assert unpacked(found[1]) == get_plotlyjs()
    bare = html.replace(found[1], "")
    return re.sub(r'data-figure="([^"]*)"', lambda chart: unpacked(chart[1]), bare)
