"""The table of a sweep, worked by hand, and what luck alone would show."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.sweep import Sweep
from trading_pipeline.core.evaluation.significance import (
    SharpeMoments,
    deflated_sharpe,
    expected_maximum_sharpe,
)
from trading_pipeline.core.evaluation.sweep import luck_of, sweep_table
from trading_pipeline.core.evaluation.verdict import active_returns
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


def test_luck_is_of_all_trials_and_the_best_book_over_its_hardest_baseline():
    returns = noise(4, seed=3)
    returns[2] += 0.004  # the best
    rivals = {"weak": noise(1, 5, mean=-0.002)[0], "strong": noise(1, 6, mean=0.002)[0]}
    baselines = {name: swept(path).equity[0] for name, path in rivals.items()}
    sharpes = [0.2, 2.9, -0.9, 0.4, 0.9, 0.1]
    luck = luck_of(swept(returns), MARKET, baselines, 6, sharpes)
    variance = np.var(np.array(sharpes) / 252**0.5, ddof=1)
    assert variance > 1 / (K - 1), "the panel is made for this"
    assert (luck.best, luck.hardest, luck.trials) == ("book 2", "strong", 6)
    expected = expected_maximum_sharpe(6, variance) * 252**0.5
    assert luck.expected_maximum == pytest.approx(expected, rel=1e-12)
    moments = SharpeMoments.of(active_returns(returns[2], rivals["strong"]))
    assert luck.deflated == pytest.approx(deflated_sharpe(moments, 6, variance), rel=1e-6)


def test_more_trials_make_the_same_book_less_convincing():
    returns, baselines = noise(2, mean=0.001), {"cash": np.full(K, 1000.0)}
    few, many = (luck_of(swept(returns), MARKET, baselines, count, []) for count in (2, 200))
    assert many.deflated < few.deflated
    assert many.expected_maximum > few.expected_maximum > 0


def test_books_that_never_move_are_no_evidence():
    still = luck_of(swept(np.zeros((2, K - 1))), MARKET, {"cash": np.full(K, 1000.0)}, 2, [])
    assert still.deflated is None
