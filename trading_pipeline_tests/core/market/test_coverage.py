"""What to fetch: all that is missing, all that may still change, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.coverage import (
    SETTLE,
    absences_of,
    asked_at,
    expected_stamps,
    requests_for,
)

SYMBOLS = ["AAA", "BBB", "CCC"]
CALENDARS = [trading_calendar(*pair) for pair in (("XNYS", "1d"), ("XNYS", "1h"), ("24/7", "1d"))]


def utc(text):
    return pd.Timestamp(text, tz="UTC")


SPAN = (utc("2024-06-24"), utc("2024-07-12"))  # with a holiday and a half day
NOW = utc("2024-07-10 23:00")


def bars_at(pairs, expected):
    """Keys of bars: pairs of symbol and number of an expected stamp."""
    stamps = pd.DatetimeIndex([expected[t] for _, t in pairs], dtype="datetime64[us, UTC]")
    names = pd.Series([symbol for symbol, _ in pairs], dtype="str")
    return pd.DataFrame({"timestamp": stamps, "symbol": names})


def noted(stamps):
    """The table of `asked`, from instants by symbol."""
    instants = pd.DatetimeIndex(list(stamps.values()), dtype="datetime64[us, UTC]")
    return pd.DataFrame({"symbol": pd.Series(list(stamps), dtype="str"), "asked_at": instants})


def covered(requests, expected):
    """Every (symbol, number of stamp) that the requests ask for, each once."""
    found = [
        (row.symbol, t)
        for row in requests.itertuples()
        for t in np.flatnonzero((expected >= row.start) & (expected < row.end))
    ]
    assert len(found) == len(set(found))
    return set(found)


def due(calendar, stored, absent=None, asked=None, now=NOW, **more):
    expected = expected_stamps(calendar, SPAN, now)
    if absent is None:
        absent = bars_at([], expected).assign(asked_at=pd.DatetimeIndex([], tz="UTC"))
    table = requests_for(
        calendar,
        SPAN,
        SYMBOLS,
        stored=stored,
        absent=absent,
        asked=noted(asked or {}),
        now=now,
        **more,
    )
    return table, covered(table, expected)


@settings(max_examples=40)
@given(st.data(), st.sampled_from(CALENDARS))
def test_what_is_asked_is_what_is_missing_or_may_change(data, calendar):
    """Against the rule, applied to one bar at a time."""
    expected = expected_stamps(calendar, SPAN, NOW)
    every = [(symbol, t) for symbol in SYMBOLS for t in range(len(expected))]
    stored = set(data.draw(st.lists(st.sampled_from(every))))
    gone = sorted(set(data.draw(st.lists(st.sampled_from(every)))) - stored)
    hours = data.draw(st.lists(st.integers(0, 400), min_size=len(gone), max_size=len(gone)))
    asked = data.draw(st.dictionaries(st.sampled_from(SYMBOLS), st.integers(0, 400)))
    asked = {symbol: NOW - pd.Timedelta(hours=age) for symbol, age in asked.items()}
    when = {bar: NOW - pd.Timedelta(hours=age) for bar, age in zip(gone, hours, strict=True)}
    listed = {"BBB": expected[len(expected) // 2]}
    absent = bars_at(gone, expected).assign(asked_at=pd.DatetimeIndex(when.values(), tz="UTC"))
    kept = bars_at(data.draw(st.permutations(sorted(stored))), expected)
    _, found = due(calendar, kept, absent, asked, listed=listed)

    closes, settle = calendar.closes_of(expected), SETTLE[calendar.name]

    def is_needed(symbol, t):
        if expected[t] < listed.get(symbol, expected[0]):
            return False
        if (symbol, t) in stored:
            return symbol not in asked or closes[t] > asked[symbol] - settle
        return (symbol, t) not in when or closes[t] > when[symbol, t] - settle

    assert found == {bar for bar in every if is_needed(*bar)}


@settings(max_examples=40)
@given(st.data(), st.sampled_from(CALENDARS))
def test_once_answered_only_the_unsettled_is_asked_again(data, calendar):
    """Whatever the venue lacks; asked twice in the same minute, and again a month later."""
    expected = expected_stamps(calendar, SPAN, NOW)
    every = [(symbol, t) for symbol in SYMBOLS for t in range(len(expected))]
    venue = set(data.draw(st.lists(st.sampled_from(every), min_size=1)))
    stored = set(data.draw(st.lists(st.sampled_from(sorted(venue)))))
    requests, found = due(calendar, bars_at(sorted(stored), expected))
    answer = bars_at(sorted(venue & found), expected)
    absent = absences_of(requests, answer, expected).assign(asked_at=NOW)
    assert len(absent) == len(found - venue)

    asked = dict.fromkeys(SYMBOLS, asked_at(calendar, SPAN[1], NOW))
    whole = bars_at(sorted(venue & found | stored), expected)
    _, again = due(calendar, whole, absent, asked)
    closes, settle = calendar.closes_of(expected), SETTLE[calendar.name]
    assert again == {(symbol, t) for symbol, t in every if closes[t] > NOW - settle}


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda c: f"{c.name} {c.timeframe}")
def test_ten_dropped_bars_are_asked_again_and_nothing_else(calendar):
    expected = expected_stamps(calendar, SPAN, NOW)
    every = [(symbol, t) for symbol in SYMBOLS for t in range(len(expected))]
    later = NOW + pd.Timedelta(days=30)
    settled = dict.fromkeys(SYMBOLS, later)
    wanted = {("AAA", 0), ("AAA", 3), ("BBB", 2), *(("CCC", t) for t in range(2, 9))}
    kept = bars_at([bar for bar in every if bar not in wanted], expected)
    span = (SPAN[0], expected[-1] + calendar.step)
    absent = bars_at([], expected).assign(asked_at=pd.DatetimeIndex([], tz="UTC"))
    requests = requests_for(
        calendar, span, SYMBOLS, stored=kept, absent=absent, asked=noted(settled), now=later
    )
    assert covered(requests, expected) == wanted
    assert requests["symbol"].tolist() == ["AAA", "AAA", "BBB", "CCC"]  # seven in a row: one range


def test_an_open_bar_is_not_asked_for():
    calendar = CALENDARS[0]
    before, after = utc("2024-07-03 16:59"), utc("2024-07-03 17:00")  # the half day's close
    for now, newest in ((before, "2024-07-02"), (after, "2024-07-03")):
        _, found = due(calendar, bars_at([], []), now=now)
        expected = expected_stamps(calendar, SPAN, now)
        assert expected[max(t for _, t in found)] == utc(newest)


def test_a_span_that_ended_settles_its_own_bars_only():
    """Else the newest bars would count as settled, by having asked for older ones later."""
    calendar = CALENDARS[2]
    assert asked_at(calendar, utc("2024-07-20"), NOW) == NOW
    assert asked_at(calendar, utc("2024-06-30"), NOW) == utc("2024-07-01")


def test_bars_of_others_and_outside_the_calendar_do_not_matter():
    calendar = CALENDARS[0]
    strange = pd.DataFrame(
        {
            "timestamp": [
                utc("2024-07-04"),
                utc("2023-07-05"),
                utc("2024-07-05"),
                utc("2030-01-01"),
            ],
            "symbol": ["AAA", "AAA", "ZZZ", "BBB"],
        }
    )
    absent = strange.assign(asked_at=NOW)
    asked = {"AAA": NOW, "ZZZ": NOW}
    assert due(calendar, strange, absent, asked)[1] == due(calendar, bars_at([], []))[1]


def test_a_clock_that_was_ahead_does_not_hide_what_came_after():
    """In the year 2030, so it said, nothing of these days was to be had; and all was settled."""
    calendar = CALENDARS[0]
    expected = expected_stamps(calendar, SPAN, NOW)
    last, ahead = len(expected) - 1, utc("2030-01-01")
    absent = bars_at([("AAA", last)], expected).assign(asked_at=ahead)
    stored = bars_at([("AAA", t) for t in range(last)], expected)
    _, found = due(calendar, stored, absent, {"AAA": ahead})
    asked = {t for symbol, t in found if symbol == "AAA"}
    unsettled = calendar.closes_of(expected) > NOW - SETTLE["XNYS"]
    assert asked == set(np.flatnonzero(unsettled))
    assert last in asked
    assert 0 < len(asked) < len(expected)
