"""Do all books agree? What the venue told, what is stored and made of it, and what was traded."""

import pandas as pd
from dagster._core.scheduler.instigation import TickStatus

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.defs.partitions import known_days
from trading_pipeline.defs.resources import DUCKDB_POOL, TRAINING_POOL
from trading_pipeline.steps.divergence import divergence_of, is_explained
from trading_pipeline.steps.freshness import (
    features_are_current,
    lacking,
    last_closed_day,
    sessions_among,
)
from trading_pipeline.steps.identity import compare
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.lineage import report_is_current
from trading_pipeline.steps.past_session import eligibility_of
from trading_pipeline_tests.week.story import FAILURE, Story

PRICES = ["open", "high", "low", "close", "volume"]


def agree_on_bars(week: Story, market: str, told: pd.DataFrame) -> None:
    """What is stored is what the venue told: rows of timestamp, symbol, prices and volume; a row
    that is no bar is set aside, as it was told."""
    home, known = week.machine.home, week.plans[market].market
    impossible = told["high"] < told["low"]
    stored, aside = home.bars(known).read(), home.bars(known).set_aside()
    for ours, theirs in ((stored, told[~impossible]), (aside, told[impossible])):
        columns = ["timestamp", "symbol", *PRICES]
        pd.testing.assert_frame_equal(
            ours[columns].sort_values(columns[:2]).reset_index(drop=True),
            theirs[columns].sort_values(columns[:2]).reset_index(drop=True),
            check_dtype=False,
        )


def agree_on_quarantine(week: Story, market: str, symbols: list[str]) -> None:
    """Of the newest bar these symbols alone are held out."""
    panel = read_panel(week.machine.home, week.plans[market].market)
    held = dict(zip(panel.symbols, panel.quarantined[-1].tolist(), strict=True))
    assert [name for name, each in held.items() if each] == symbols


def agree_on_days(week: Story, market: str) -> None:
    """Every session of the calendar was made, bars and features, and the features are of these."""
    known, now = week.plans[market].market, week.clock.now()
    calendar, last = trading_calendar(known.calendar, "1d"), last_closed_day(known, now)
    days = [day for day in known_days(known, now) if day <= last]
    sessions = {day for day in days if sessions_among(known, [day])}
    for asset in ("raw_bars", "features"):
        made = week.made(market, asset)
        assert sessions <= made <= set(days), sorted(sessions ^ (made & sessions))
    stored = pd.DatetimeIndex(week.machine.home.bars(known).read()["timestamp"].unique())
    expected = calendar.sessions(pd.Timestamp(days[0], tz="UTC"), pd.Timestamp(last, tz="UTC"))
    assert set(expected) <= set(stored)
    assert features_are_current(week.machine.home, known)


def agree_on_models(week: Story, market: str, nights: int) -> None:
    """Each night with news decided about one model; folds and report are of the bars stored now."""
    agree_on_folds(week, market)
    with week.machine.home.ledger() as ledger:
        decided = ledger.read(f"production/{market}")
    assert len(decided) == nights, [(each.kind, each.at) for each in decided]


def agree_on_folds(week: Story, market: str) -> None:
    """All that are possible, and the report, are of the bars stored now."""
    home, plan = week.machine.home, week.plans[market]
    assert lacking(home, plan, read_panel(home, plan.market)) == {}
    assert report_is_current(home, plan, 100_000.0)


def agree_on_session(week: Story, market: str, session: str, days: list[str]) -> None:
    """It decided on these days and no others, each as the backtest does; paper and backtest differ
    by the model that was asked, and by nothing else."""
    plan, home = week.plans[market], week.machine.home
    decisions = week.decisions(market, session)
    assert [f"{each.at:%Y-%m-%d}" for each in decisions] == days
    assert not [each for each in decisions if each.payload.get("missed")]
    able = eligibility_of(plan.recipe.model.n_steps)
    with home.ledger() as ledger:
        found = compare(ledger, plan.market, home.recordings(plan.market), session, able)
        summary = divergence_of(home, plan, ledger, session)
    assert found.same, found.differences[:3]
    assert found.fills > 0
    assert is_explained(summary)
    others = {name: part for name, part in summary["parts"].items() if name != "signal"}
    assert all(abs(part) < 1e-6 for part in others.values()), summary["parts"]


def agree_on_ledger(week: Story) -> None:
    """Every chain holds."""
    with week.machine.home.ledger() as ledger:
        streams = ledger.streams()
        assert {"alerts", "trials"} <= set(streams)
        for stream in streams:
            assert ledger.verify(stream) > 0


def nothing_is_left(week: Story, failed: int) -> None:
    """No run goes on or waits, no slot is taken; as many failed as were meant to."""
    instance = week.machine.instance
    unfinished = [each for each in week.machine.runs() if not each.is_finished]
    assert unfinished == []
    assert len(week.machine.runs(FAILURE)) == failed
    for pool in (DUCKDB_POOL, TRAINING_POOL):
        info = instance.event_log_storage.get_concurrency_info(pool)
        assert (info.claimed_slots, info.pending_steps) == ([], [])


def ticks_that_failed(week: Story) -> list[str]:
    """What schedules and sensors complained of."""
    return [
        f"{state.instigator_name}: {tick.error.message}"
        for state in week.machine.instance.all_instigator_state()
        for tick in week.machine.instance.get_ticks(
            state.instigator_origin_id,
            state.selector_id,
            statuses=[TickStatus.FAILURE],
        )
        if tick.error
    ]
