"""Nights of one machine, by the real schedules and sensors of a real `dagster-daemon`.

A week before and after Christmas 2024: four nights of shares, with a half day and a holiday, and
seven of coins, which have none. Then the machine is off until March 2025; one night makes up for
what was missed, and three follow, around the change to summer time.

    python -m trading_pipeline_tests.week.nights
"""

import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from trading_pipeline.defs.second_tries import PAUSES
from trading_pipeline_tests.week import books
from trading_pipeline_tests.week.story import FAILURE, Story, in_new_york, story

BEGIN = in_new_york("2024-12-20", "15:50")
WINTER = {"shares": 4, "coins": 7}  # nights by market; in the end, with those of spring
NIGHTS = {"shares": 8, "coins": 12}
COINS_BEGIN = "2022-01-01"
# Highs below the low, on so many days that their symbol goes into quarantine.
BAD, BAD_DAYS = "DDD", ("2024-12-23", "2024-12-24")


def say(week: Story, what: str) -> None:
    """For whoever waits."""
    print(f"{week.clock.now():%Y-%m-%d %H:%M} UTC  {what}", flush=True)


def first_night(week: Story) -> None:
    """All of the history, a model for every fold, a report; and a paper session begins."""
    week.alpaca.changed |= {(BAD, day): {"h": 1.0} for day in BAD_DAYS}
    week.machine.go_to(in_new_york("2024-12-20", "16:29"))
    week.night("shares", "2024-12-20")
    say(week, "the first night brought all bars, models and the report")
    week.start_session("shares", "winter")
    coins(week, "2024-12-20")
    week.start_session("coins", "advent")


def coins(week: Story, day: str) -> None:
    """The night of coins, ten minutes after the end of a day in UTC."""
    end = datetime.fromisoformat(f"{day}T00:00+00:00") + timedelta(days=1)
    week.machine.go_to(end)
    week.night("coins", day)
    say(week, f"coins have {day}")


def night_that_fails(week: Story) -> None:
    """The venue answers 500 at the night and at its second try; the third brings everything."""
    week.machine.go_to(in_new_york("2024-12-23", "16:20"))
    week.fail_alpaca()
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
    compared(week, "shares", "winter")


def compared(week: Story, market: str, session: str) -> None:
    """Two hours after its night."""
    week.machine.until(lambda: week.is_held_against_backtest(market, session), "divergence")
    say(week, f"{session} was held against the backtest")


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
    for market in week.plans:
        week.night(market, "2025-03-06")
    say(week, "ten weeks were made up")


def over_the_change_to_summer_time(week: Story) -> None:
    """Friday's night is at 21:30 UTC, Monday's at 20:30."""
    week.start_session("shares", "spring")
    trade(week, "spring", "2025-03-07")
    week.machine.go_to(in_new_york("2025-03-07", "16:29"))
    week.night("shares", "2025-03-07")
    trade(week, "spring", "2025-03-10")


def night_that_fails_until_the_morning(week: Story) -> int:
    """The venue of shares is back before the opening bell; coins have their night meanwhile.
    Returns how many runs failed."""
    before = len(week.machine.runs(FAILURE))
    week.machine.go_to(in_new_york("2025-03-10", "16:20"))
    week.fail_alpaca()
    week.failures("shares", len(week.machine.runs(FAILURE, job="shares_nightly")) + len(PAUSES))
    coins(week, "2025-03-10")
    week.machine.go_to(in_new_york("2025-03-11", "08:00"))
    assert "2025-03-10" not in week.made("shares", "features")
    week.alpaca.behave()
    week.night("shares", "2025-03-10")
    assert week.clock.now() < in_new_york("2025-03-11", "10:30")
    failed = len(week.machine.runs(FAILURE)) - before
    say(week, f"the night failed {failed} times, and was made up in the morning")
    trade(week, "spring", "2025-03-11")
    week.machine.go_to(in_new_york("2025-03-11", "16:29"))
    week.night("shares", "2025-03-11")
    return failed


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
    """Four nights of shares and seven of coins, after which all books agree."""
    first_night(week)
    trade(week, "winter", "2024-12-23")
    night_that_fails(week)
    half_day(week)
    after_the_holiday(week)
    coins(week, "2024-12-26")
    compared(week, "coins", "advent")
    for market in week.plans:
        week.stop_session(market)
    days = ["2024-12-23", "2024-12-24", "2024-12-26"]
    books.agree_on_session(week, "shares", "winter", days)
    books.agree_on_session(week, "coins", "advent", [f"2024-12-{day}" for day in range(21, 27)])
    agree(week, {"shares": "2024-12-26", "coins": "2024-12-26"}, WINTER)
    books.nothing_is_left(week, failed=2 + 1)
    assert week.alerts() == _alerts(failed_nights=1)


def agree(week: Story, last: dict[str, str], nights: dict[str, int]) -> None:
    """All books of both markets, by the last day and the number of nights of each."""
    books.agree_on_bars(week, "shares", week.alpaca.told(last["shares"]))
    books.agree_on_bars(week, "coins", week.binance.told(COINS_BEGIN, last["coins"]))
    books.agree_on_quarantine(week, "shares", [BAD])
    books.agree_on_quarantine(week, "coins", [])
    for market in week.plans:
        books.agree_on_days(week, market)
        books.agree_on_models(week, market, nights[market])
    books.agree_on_ledger(week)
    assert books.ticks_that_failed(week) == []
    say(week, "all books agree")


def spring(week: Story) -> None:
    """Three nights more."""
    off_until_spring(week)
    over_the_change_to_summer_time(week)
    failed = night_that_fails_until_the_morning(week)
    week.stop_session("shares")
    books.agree_on_session(week, "shares", "spring", ["2025-03-07", "2025-03-10", "2025-03-11"])
    agree(week, {"shares": "2025-03-11", "coins": "2025-03-10"}, NIGHTS)
    books.nothing_is_left(week, failed=2 + 1 + failed)
    assert week.alerts() == _alerts(failed_nights=2)


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, story(Path(folder), BEGIN) as week:
        winter(week)
        spring(week)
    print(f"{sum(NIGHTS.values())} nights in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
