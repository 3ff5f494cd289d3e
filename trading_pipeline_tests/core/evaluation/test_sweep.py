"""The table of a sweep, worked by hand, and what luck alone would show."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.sweep import Sweep
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.performance import daily_returns, day_closes
from trading_pipeline.core.evaluation.significance import (
    SharpeMoments,
    active_returns,
    deflated_sharpe,
    expected_maximum_sharpe,
    probabilistic_sharpe,
)
from trading_pipeline.core.evaluation.sweep import luck_of, sweep_table
from trading_pipeline.core.evaluation.trials import Trials
from trading_pipeline.core.evaluation.verdict import hardest_of
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.engine.dtypes import Account
from trading_pipeline.core.trading.engine.many import Path
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.errors import EvaluationError

MARKET = Market(name="any", source="parquet", symbols=("A",), start=date(2020, 1, 1))
K = 301


def swept(returns, traded=0.0, halvings=()):
    """A sweep of books with these daily returns (R, K - 1), half invested."""
    returns = np.atleast_2d(returns)
    R, K = len(returns), returns.shape[1] + 1
    paths, accounts = Path.zeros(R, K), Account.zeros(R)
    paths["equity"] = 1000 * np.cumprod(np.hstack([np.ones((R, 1)), 1 + returns]), axis=1)
    paths["gross"] = paths["equity"] / 2
    paths["traded"][:, 1:] = traded * paths["equity"][:, :-1]
    paths["fees"][:, 1:] = 0.5
    accounts["halvings"][: len(halvings)] = halvings
    return Sweep(
        timestamps=pd.bdate_range("2020-01-01", periods=K, tz="UTC"),
        start=0,
        stop=K,
        profiles={f"book {r}": replace(PROFILES["moderate"], stop_loss=r + 1.0) for r in range(R)},
        log=paths,
        accounts=accounts,
    )


def noise(R, seed=0, mean=0.0003):
    return np.random.default_rng(seed).normal(mean, 0.01, (R, K - 1))


def test_rows_are_in_the_order_of_the_sweep_and_worked_by_hand():
    returns = noise(3)
    table = sweep_table(swept(returns, traded=0.1, halvings=(0, 2, 5)), MARKET, replications=200)
    assert list(table.index) == ["book 0", "book 1", "book 2"]
    np.testing.assert_allclose(
        table["sharpe"], returns.mean(1) / returns.std(1, ddof=1) * 252**0.5, rtol=1e-9
    )
    growth = np.prod(1 + returns, axis=1) ** (252 / (K - 1)) - 1
    np.testing.assert_allclose(table["annual_return"], growth, rtol=1e-9)
    np.testing.assert_allclose(
        table["annual_volatility"], returns.std(1, ddof=1) * 252**0.5, rtol=1e-9
    )
    np.testing.assert_allclose(table["turnover"], 0.1 * 252, rtol=1e-9)
    assert list(table["halvings"]) == [0, 2, 5]
    assert list(table["flattenings"]) == [0, 0, 0]
    assert list(table["fees"]) == [0.5 * (K - 1)] * 3
    inside = (table["sharpe_low"] < table["sharpe"]) & (table["sharpe"] < table["sharpe_high"])
    assert inside.all()


def test_the_same_book_has_the_same_interval_in_every_row():
    """Dates are resampled once for all books."""
    one = noise(1)
    table = sweep_table(swept(np.vstack([one, one])), MARKET, replications=100)
    assert table.iloc[0].equals(table.iloc[1])


def test_a_book_that_never_moves_has_no_sharpe_ratio():
    table = sweep_table(swept(np.vstack([noise(1), np.zeros((1, K - 1))])), MARKET, 100)
    assert np.isnan(table["sharpe"].iloc[1])
    assert table["max_drawdown"].iloc[1] == 0


def test_too_short_a_history_is_refused():
    with pytest.raises(EvaluationError, match="19 days of out-of-sample returns"):
        sweep_table(swept(noise(1)[:, :19]), MARKET)


def test_progress_ends_with_all_books():
    seen = []
    sweep_table(
        swept(noise(30)), MARKET, 50, watch=lambda done, total, note: seen.append((done, total))
    )
    assert seen[-1] == (30, 30)


def tried(path, count):
    """What the ledger knows of a sweep's variants, and of others without returns."""
    closes = day_closes(path.timestamps)
    days = path.timestamps[closes].normalize()
    return Trials(count=count, returns=pd.DataFrame(daily_returns(path.equity, closes).T, days))


def test_luck_is_of_all_trials_and_the_best_book_over_its_hardest_baseline():
    returns = noise(4, seed=3)
    returns[2] += 0.004  # the best
    path = swept(returns)
    rivals = {"weak": noise(1, 5, mean=-0.002)[0], "strong": noise(1, 6, mean=0.002)[0]}
    baselines = {name: swept(rival).equity[0] for name, rival in rivals.items()}
    luck = luck_of(path, MARKET, baselines, tried(path, 6))
    active = np.array([active_returns(each, rivals["strong"]) for each in returns])
    ratios = active.mean(1) / active.std(1, ddof=1)
    variance = np.var(ratios, ddof=1)
    assert variance > 1 / (K - 1), "the panel is made for this"
    assert (luck.best, luck.hardest, luck.trials, luck.effective) == ("book 2", "strong", 6, 6)
    expected = expected_maximum_sharpe(6, variance)
    assert luck.expected_maximum == pytest.approx(expected * 252**0.5, rel=1e-6)
    moments = SharpeMoments.of(active[2])
    assert luck.deflated == pytest.approx(deflated_sharpe(moments, 6, variance), rel=1e-6)
    assert luck.overfitting < 0.1
    assert luck.superiority < 0.1


def test_the_hardest_baseline_is_the_one_that_a_report_would_name():
    """The lowest bound of the difference, which is that of a rival it leads by little, however
    surely; and not the one over which its active Sharpe ratio is least certain."""
    rng = np.random.default_rng(0)
    best = rng.normal(0.002, 0.01, K - 1)
    rivals = {
        "twin": best - 2e-4 + rng.normal(0, 0.0004, K - 1),
        "stranger": rng.normal(0, 0.01, K - 1),
    }
    active = {name: SharpeMoments.of(active_returns(best, each)) for name, each in rivals.items()}
    certain = {name: probabilistic_sharpe(each) for name, each in active.items()}
    assert certain["stranger"] < certain["twin"]
    path = swept(best)
    baselines = {name: swept(rival).equity[0] for name, rival in rivals.items()}
    assert luck_of(path, MARKET, baselines, tried(path, 1)).hardest == "twin"
    known = dict.fromkeys(rivals, Estimate(0.5, 0.1, 0.9))
    assert hardest_of(known | {"stranger": Estimate(0.5)}) == "stranger", (
        "what is unknown is not beaten"
    )
    assert hardest_of({}) is None


def test_variants_of_one_book_are_one_trial():
    """Their best shows next to no luck, and choosing it is no better than choosing blindly."""
    path = swept(noise(1, 2) + 0.05 * noise(40, 3, mean=0))
    flat = {"cash": np.full(K, 1000.0)}
    luck = luck_of(path, MARKET, flat, tried(path, 40))
    assert (luck.trials, luck.effective, luck.expected_maximum) == (40, 1, 0)
    strangers = swept(noise(40, 4))
    assert luck_of(strangers, MARKET, flat, tried(strangers, 40)).effective == 40


def test_more_trials_make_the_same_book_less_convincing():
    path, flat = swept(noise(2, mean=0.001)), {"cash": np.full(K, 1000.0)}
    few, many = (luck_of(path, MARKET, flat, tried(path, count)) for count in (2, 200))
    assert many.deflated < few.deflated
    assert many.expected_maximum > few.expected_maximum > 0


def test_books_that_never_move_are_no_evidence():
    path, flat = swept(np.zeros((2, K - 1))), {"cash": np.full(K, 1000.0)}
    still = luck_of(path, MARKET, flat, tried(path, 2))
    assert still.deflated is None
    assert still.superiority is None
