"""Groups that share a cap: sectors as named, clusters as they move."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline_tests.core.trading.markets import panel_of_opens

N = 12
MARKET = Market(
    name="m", source="s", symbols=tuple(f"S{n:02d}" for n in range(N)), start="2020-01-01"
)


def three_industries(seed=0, T=400):
    """Four symbols each move with their industry, and all with the market."""
    rng = np.random.default_rng(seed)
    market, industries = rng.normal(0, 0.01, (T, 1)), rng.normal(0, 0.01, (T, 3))
    own = rng.normal(0, 0.004, (T, N))
    returns = market + np.repeat(industries, 4, axis=1) + own
    return panel_of_opens(100 * np.exp(np.cumsum(returns, axis=0)))


def test_symbols_of_an_industry_are_found_together():
    groups = groups_of(three_industries(), MARKET)[-1]
    assert [len(set(groups[part])) for part in (slice(0, 4), slice(4, 8), slice(8, 12))] == [1] * 3
    assert len(set(groups)) == 3


def test_independent_symbols_share_no_group():
    rng = np.random.default_rng(1)
    panel = panel_of_opens(100 * np.exp(np.cumsum(rng.normal(0, 0.01, (400, N)), axis=0)))
    groups = groups_of(panel, MARKET)[-1]
    assert len(set(groups)) >= N - 2


def test_a_short_history_has_no_groups():
    assert (groups_of(three_industries(T=120), MARKET) == -1).all()
    groups = groups_of(three_industries(), MARKET)
    assert (groups[:126] == -1).all()
    assert (groups[-1] >= 0).all()


def test_few_symbols_have_no_market_to_differ_from():
    panel = panel_of_opens(three_industries().close[:, :7])
    assert (groups_of(panel, replace(MARKET, symbols=panel.symbols)) == -1).all()


def test_groups_change_at_the_first_bar_of_a_month_and_by_the_past_only():
    panel = three_industries()
    groups = groups_of(panel, MARKET)
    changed = np.flatnonzero((np.diff(groups, axis=0) != 0).any(axis=1)) + 1
    assert all(panel.timestamps[row].day == 1 for row in changed)
    for row in (130, 200, 399):
        known = groups_of(panel.until(row + 1), MARKET)
        assert known.tolist() == groups[: row + 1].tolist()


def test_sectors_that_are_named_hold_instead():
    market = replace(MARKET, sectors={"S00": "tech", "S05": "oil", "S07": "tech"})
    panel = three_industries()
    expected = [-1] * N
    expected[0] = expected[7] = 0
    expected[5] = 1
    assert groups_of(panel, market)[10].tolist() == expected
    assert groups_of(panel, market)[300].tolist() == expected


def test_a_sector_of_an_unknown_symbol_is_refused():
    with pytest.raises(ValueError, match="sectors name ZZZ, not in symbols"):
        replace(MARKET, sectors={"ZZZ": "tech"})
