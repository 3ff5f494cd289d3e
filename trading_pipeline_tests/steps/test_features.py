"""A day at a time, the stored features are those of a rebuild, whatever happens to the bars."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning import dataset
from trading_pipeline.core.learning.dataset import features_of
from trading_pipeline.core.market.actions import empty_actions
from trading_pipeline.core.market.calendar import on_open_days, trading_calendar
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import StoreError
from trading_pipeline.steps.features import update_features
from trading_pipeline.steps.freshness import features_are_current
from trading_pipeline.steps.home import Home
from trading_pipeline_tests.synthetic import panel

SYMBOLS = tuple(f"S{place}" for place in range(10))
MARKET = Market(name="m", source="sample", symbols=SYMBOLS, start=date(2020, 1, 1), costs=Costs())
CALENDAR = trading_calendar("XNYS", "1d")
NOW = datetime(2024, 1, 1, tzinfo=UTC)
HISTORY = (datetime(2020, 1, 1, tzinfo=UTC), NOW)
DAYS = 700  # business days: more than an update reads


class Workshop:
    """The two stores of a market, and what they should hold."""

    def __init__(self, folder):
        self.home = Home(str(folder))
        self.bars, self.features = self.home.bars(MARKET), self.home.features(MARKET)

    def store(self, bars, first, last):
        """The bars of business days [first, last), all that there are."""
        days = pd.bdate_range("2020-01-01", periods=DAYS + 1, tz="UTC")
        start, end = days[first], days[last]
        inside = bars[(bars["timestamp"] >= start) & (bars["timestamp"] < end)]
        self.bars.merge(inside, NOW, (start.to_pydatetime(), end.to_pydatetime()))
        return start.to_pydatetime(), end.to_pydatetime()

    def update(self, days):
        return update_features(self.home, MARKET, days, NOW)

    def check(self):
        bars = on_open_days(self.bars.read(), CALENDAR)  # holidays are among the business days
        rebuilt = Panel.of(bars, self.bars.read_actions(), MARKET.symbols)
        expected, got = features_of(rebuilt, MARKET.calendar), self.features.read()
        pd.testing.assert_frame_equal(got, expected, check_exact=True)
        assert features_are_current(self.home, MARKET)


def with_history(bars, seed):
    """Some symbols list late, some are delisted, some miss bars now and then or for months."""
    noise = np.random.default_rng(seed)
    row, kept = bars["timestamp"].rank(method="dense").to_numpy(), np.ones(len(bars), bool)
    for place, symbol in enumerate(SYMBOLS[1:], start=1):
        mine = (bars["symbol"] == symbol).to_numpy()
        gone = noise.random(len(bars)) < (0.1 if place % 3 == 0 else 0.0)
        first, last = noise.integers(0, DAYS, 2) if noise.random() < 0.4 else (0, DAYS)
        gone |= (row <= first) if first <= last else (row > first)
        pause = noise.integers(0, DAYS)
        gone |= (noise.random() < 0.3) & (row > pause) & (row < pause + noise.integers(20, 300))
        kept &= ~(mine & gone)
    return bars[kept].reset_index(drop=True)


def some_actions(bars, count, seed):
    """Splits and dividends on ex-dates of any bars; prices stay, so a split is also a jump."""
    chosen = bars.sample(count, random_state=seed).drop_duplicates(["timestamp", "symbol"])
    kind = np.where(np.arange(len(chosen)) % 2, "split", "dividend")
    value = np.where(kind == "split", 2.0, 0.5)
    return pd.concat(
        [empty_actions(), chosen[["timestamp", "symbol"]].assign(kind=kind, value=value)]
    )


@pytest.fixture
def shop(tmp_path):
    return Workshop(tmp_path)


@pytest.fixture(scope="module")
def history():
    return with_history(panel(DAYS, SYMBOLS), 3)


@pytest.mark.slow
def test_a_new_day_costs_one_month_and_changes_no_bit(shop, history):
    shop.update(shop.store(history, 0, DAYS - 3))
    for day in (DAYS - 3, DAYS - 2, DAYS - 1):
        done = shop.update(shop.store(history, day, day + 1))
        assert done.reason.startswith("from 2022-")
        assert len(done.features) < 25 * len(SYMBOLS)
    shop.check()


@pytest.mark.slow
def test_old_actions_are_remembered_in_the_unit_of_price(shop, history, monkeypatch):
    """Bars of a part are adjusted as all of them are: not one bit of float64, seldom of float32."""
    adjusted = []
    monkeypatch.setattr(
        dataset,
        "features_of",
        lambda panel, *rest: adjusted.append(panel) or features_of(panel, *rest),
    )
    shop.bars.write_actions(some_actions(history, 60, 1))
    shop.update(shop.store(history, 0, DAYS - 2))
    for day in (DAYS - 2, DAYS - 1):
        shop.update(shop.store(history, day, day + 1))
    shop.check()
    part, whole = adjusted[-1], adjusted[0]
    rows = whole.timestamps.get_indexer(part.timestamps)
    here, there = rows >= 0, rows[rows >= 0]
    assert there[0] > 0  # the part begins later
    for name in ("adjusted_open", "adjusted_close", "adjusted_volume"):
        ours, theirs = getattr(part, name)[here], getattr(whole, name)[there]
        assert np.array_equal(ours, theirs, equal_nan=True)
        assert (ours[0] != getattr(part, name.removeprefix("adjusted_"))[here][0]).any()


@pytest.mark.long
@pytest.mark.slow
def test_a_symbol_that_was_away_for_years_is_told_from_a_new_one(shop, history):
    """Its bars of old, from before what is read, have split since: the unit must go on."""
    row = history["timestamp"].rank(method="dense")
    away = (history["symbol"] == SYMBOLS[0]) & (row > 60) & (row < DAYS - 2)
    split = {"timestamp": history["timestamp"][row == 40].iloc[0], "symbol": SYMBOLS[0]}
    action = pd.DataFrame([split | {"kind": "dividend", "value": 0.7}])
    shop.bars.write_actions(pd.concat([empty_actions(), action]))
    rest = history[~away].reset_index(drop=True)
    shop.update(shop.store(rest, 0, DAYS - 3))
    for day in (DAYS - 3, DAYS - 2, DAYS - 1):
        shop.update(shop.store(rest, day, day + 1))
        shop.check()


@pytest.mark.slow
def test_only_the_bars_needed_are_read(shop, history, monkeypatch):
    shop.update(shop.store(history, 0, DAYS - 1))
    starts, read = [], BarStore.read
    monkeypatch.setattr(
        BarStore, "read", lambda self, *span: starts.append(span[0]) or read(self, *span)
    )
    shop.update(shop.store(history, DAYS - 1, DAYS))
    assert min(starts) > datetime(2020, 6, 1, tzinfo=UTC)


@pytest.mark.slow
def test_a_revised_bar_is_followed_from_its_month_on(shop, history):
    shop.update(shop.store(history, 0, DAYS))
    revised = history.copy()
    revised.loc[len(revised) // 2, "volume"] *= 3
    stamp = revised["timestamp"].iloc[len(revised) // 2]
    last = shop.store(revised, 0, DAYS)
    done = shop.update((datetime(2022, 9, 1, tzinfo=UTC), last[1]))
    assert done.reason == f"from {stamp:%Y-%m}-01 on: {stamp:%Y-%m} has changed"
    shop.check()


@pytest.mark.slow
def test_a_late_split_and_a_removed_bar_are_followed_too(shop, history):
    shop.bars.write_actions(some_actions(history, 4, 0))
    span = shop.store(history, 0, DAYS)
    shop.update(span)
    shop.bars.write_actions(some_actions(history, 12, 0))
    assert not features_are_current(shop.home, MARKET)
    shop.update((span[1], span[1]))
    shop.check()
    shop.store(history.drop(index=[4000]), 0, DAYS)
    shop.update((span[1], span[1]))
    shop.check()


@pytest.mark.slow
def test_days_that_went_from_the_end_go_from_the_features(shop, history):
    span = shop.store(history, 0, DAYS)
    shop.update(span)
    nothing = history.iloc[:0]
    days = pd.bdate_range("2020-01-01", periods=DAYS + 1, tz="UTC")
    shop.bars.merge(nothing, NOW, (days[DAYS - 40].to_pydatetime(), span[1]))
    shop.update((span[1], span[1]))
    shop.check()


@pytest.mark.slow
def test_days_asked_for_are_computed_again_although_nothing_changed(shop, history):
    """Whoever doubts a day materializes it."""
    shop.update(shop.store(history, 0, DAYS))
    wrong = shop.features.read().tail(3).assign(**dict.fromkeys(NAMES, np.float32(0.5)))
    made_of = shop.features.made_of(shop.features.catalog_hash())
    shop.features.write(wrong, shop.features.catalog_hash(), made_of=made_of)
    stamp = wrong["timestamp"].iloc[0]
    done = shop.update((stamp.to_pydatetime(), HISTORY[1]))
    assert done.reason == "those asked for: no bar has changed"
    shop.check()


@pytest.mark.slow
def test_other_settings_or_an_unknown_past_rebuild(shop, history):
    span = shop.store(history, 0, DAYS)
    assert shop.update(span).reason.startswith("all of them: none were of this catalog")
    fewer = Market(name="m", source="sample", symbols=SYMBOLS[:9], start=date(2020, 1, 1))
    done = update_features(shop.home, fewer, (span[1], span[1]), NOW)
    assert done.reason == "all of them: the market's settings have changed"
    assert set(shop.features.read()["symbol"]) <= set(SYMBOLS[:9])
    shop.features.write(shop.features.read(), shop.features.catalog_hash())
    assert not features_are_current(shop.home, fewer)


def test_without_bars_it_says_what_to_do(shop):
    with pytest.raises(StoreError, match="has no bars; run `trading-pipeline download --market m`"):
        shop.update(HISTORY)


@pytest.mark.long
@pytest.mark.slow
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from(["day", "week", "revise", "remove", "act"]), min_size=2, max_size=6),
)
@settings(max_examples=5)
def test_day_by_day_equals_a_rebuild(tmp_path_factory, seed, steps):
    shop, noise = Workshop(tmp_path_factory.mktemp("m")), np.random.default_rng(seed)
    bars = with_history(panel(DAYS, SYMBOLS), seed)
    acts, last = 4, DAYS - 40
    shop.bars.write_actions(some_actions(bars, acts, seed % 1000))
    days = shop.update(shop.store(bars, 0, last)) and HISTORY
    for step in steps:
        days = HISTORY[1], HISTORY[1]
        if step in ("day", "week"):
            more = 1 if step == "day" else 5
            days, last = shop.store(bars, last, last + more), last + more
        elif step == "act":
            acts += 3
            shop.bars.write_actions(some_actions(bars, acts, seed % 1000))
        else:
            row = int(noise.integers(0, len(bars)))
            bars = bars.drop(index=row) if step == "remove" else bars
            if step == "revise":
                bars.loc[row, ["open", "high", "low", "close"]] *= 1.03
            bars = bars.reset_index(drop=True)
            shop.store(bars, 0, last)
        shop.update(days)
    shop.check()
