"""Seven nights of one machine, by the real schedules and sensors of a real `dagster-daemon`.

Four before and after Christmas 2024, with a half day and a holiday; then the machine is off until
March 2025, and lives through three more around the change to summer time.

    python -m trading_pipeline_tests.week.nights
"""

import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from trading_pipeline_tests.week import books
from trading_pipeline_tests.week.story import Story, in_new_york, story
from trading_pipeline_tests.week.venues import daily_shares

BEGIN = in_new_york("2024-12-20", "15:50")
# Highs below the low, on so many days that their symbol goes into quarantine.
BAD, BAD_DAYS = "DDD", ("2024-12-23", "2024-12-24")


def say(week: Story, what: str) -> None:
    """For whoever waits."""
    print(f"{week.clock.now():%Y-%m-%d %H:%M} UTC  {what}", flush=True)


def first_night(week: Story) -> None:
    """All of the history, a model for every fold, a report; and a paper session begins."""
    week.alpaca.told |= {(BAD, day): {"h": 1.0} for day in BAD_DAYS}
    week.machine.go_to(in_new_york("2024-12-20", "16:29"))
    week.night("shares", "2024-12-20")
    say(week, "the first night brought all bars, models and the report")
    week.start_session("shares", "winter")


def night_that_fails(week: Story) -> None:
    """The venue answers 500 at the night and at its second try; the third brings everything."""
    week.machine.go_to(in_new_york("2024-12-23", "16:20"))
    week.fail_venue()
    week.failures("shares", 2)
    say(week, "the night failed, and so did its second try")
    week.alpaca.behave()
    week.night("shares", "2024-12-23")
    say(week, "the third try brought everything")


def kill(week: Story) -> None:
    """The process of the session."""
    week.kill_session("shares")
    say(week, "the session was killed, and the watchdog started it again")


def half_day(week: Story) -> None:
    """The exchange closes at one o'clock."""
    day = "2024-12-24"
    trade(week, "winter", day, close="13:00")
    kill(week)
    week.machine.go_to(in_new_york(day, "16:29"))
    week.night("shares", day)


def after_the_holiday(week: Story) -> None:
    """No night at Christmas; then a usual one, with a look at what paper and backtest differ by."""
    trade(week, "winter", "2024-12-26")
    week.machine.go_to(in_new_york("2024-12-26", "16:29"))
    week.night("shares", "2024-12-26")
    week.machine.go_to(in_new_york("2024-12-26", "18:29"))
    week.machine.until(lambda: week.is_held_against_backtest("shares", "winter"), "divergence")
    say(week, "paper was held against the backtest")


def trade(week: Story, session: str, day: str, close: str = "16:00") -> None:
    """Up to a close, and the decision after it."""
    week.machine.go_to(in_new_york(day, close))
    week.decided("shares", session, day)
    say(week, f"{session} decided on {day}")


def off_until_spring(week: Story) -> None:
    """A power cut; ten weeks later one night makes up for all that was missed."""
    week.machine.switch_off()
    week.clock.leap((in_new_york("2025-03-07", "09:00") - week.clock.now()).total_seconds())
    week.machine.switch_on()
    week.night("shares", "2025-03-06")
    say(week, "ten weeks were made up")


def over_the_change_to_summer_time(week: Story) -> None:
    """Friday's night is at 21:30 UTC, Monday's at 20:30."""
    week.start_session("shares", "spring")
    trade(week, "spring", "2025-03-07")
    week.machine.go_to(in_new_york("2025-03-07", "16:29"))
    week.night("shares", "2025-03-07")
    trade(week, "spring", "2025-03-10")


def night_that_is_lost(week: Story, before: int) -> None:
    """The venue fails until the morning; the next night makes up for it."""
    week.machine.go_to(in_new_york("2025-03-10", "16:20"))
    week.fail_venue()
    week.failures("shares", before + 9)
    say(week, "the night failed nine times")
    week.machine.go_to(in_new_york("2025-03-11", "09:00"))
    week.alpaca.behave()
    assert "2025-03-10" not in week.made("shares", "features")
    trade(week, "spring", "2025-03-11")
    week.machine.go_to(in_new_york("2025-03-11", "16:29"))
    week.night("shares", "2025-03-11")
    say(week, "the next night made up for it")


def told(last: str) -> pd.DataFrame:
    """What the venue of shares told of the days up to `last`."""
    names = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
    parts = [
        table.rename(columns=names).rename_axis("timestamp").reset_index().assign(symbol=symbol)
        for symbol, table in daily_shares().items()
    ]
    bars = pd.concat(parts, ignore_index=True)
    days = bars["timestamp"].dt.strftime("%Y-%m-%d")
    bars.loc[(bars["symbol"] == BAD) & days.isin(BAD_DAYS), "high"] = 1.0
    return bars[bars["timestamp"] <= pd.Timestamp(last, tz="UTC")]


def _alerts(failed_nights: int) -> dict[tuple[str, str, str], int]:
    """What has to be told: each failed night, and the session that was killed, once."""
    failed, died = ("download_failed", "shares"), ("session_died", "shares")
    return {
        ("told", *failed): failed_nights,
        ("over", *failed): failed_nights,
        ("told", *died): 1,
        ("over", *died): 1,
    }


def winter(week: Story) -> None:
    """Four nights, after which all books agree."""
    first_night(week)
    trade(week, "winter", "2024-12-23")
    night_that_fails(week)
    half_day(week)
    after_the_holiday(week)
    week.stop_session("shares")
    agree(week, "winter", ["2024-12-23", "2024-12-24", "2024-12-26"], nights=4, failed=2 + 1)
    assert week.alerts() == _alerts(failed_nights=1)


def agree(week: Story, session: str, days: list[str], nights: int, failed: int) -> None:
    """All books."""
    books.agree_on_bars(week, "shares", told(days[-1]))
    books.agree_on_quarantine(week, "shares", BAD)
    books.agree_on_days(week, "shares")
    books.agree_on_models(week, "shares", nights)
    books.agree_on_session(week, "shares", session, days)
    books.agree_on_ledger(week)
    books.nothing_is_left(week, failed)
    assert books.ticks_that_failed(week) == []
    say(week, "all books agree")


def spring(week: Story) -> None:
    """Three nights more."""
    off_until_spring(week)
    over_the_change_to_summer_time(week)
    night_that_is_lost(week, before=2)
    week.stop_session("shares")
    agree(week, "spring", ["2025-03-07", "2025-03-10", "2025-03-11"], nights=7, failed=2 + 1 + 9)
    assert week.alerts() == _alerts(failed_nights=2)


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, story(Path(folder), BEGIN) as week:
        winter(week)
        spring(week)
    print(f"seven nights in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
