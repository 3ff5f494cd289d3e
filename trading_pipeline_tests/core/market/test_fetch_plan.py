"""What to fetch: all that is missing, all that may still change, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.fetch_plan import (
    LONGEST_HALT,
    NEAR,
    NIGHTS,
    SETTLE,
    Answers,
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


def lacked(pairs, expected, asked_at=NOW, nights=1):
    """The table of absences, as for `bars_at`."""
    stamps = pd.Series(asked_at, range(len(pairs)), dtype="datetime64[us, UTC]")
    return bars_at(pairs, expected).assign(asked_at=stamps, nights=nights)


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
        absent = lacked([], expected)
    table = requests_for(
        calendar,
        SPAN,
        SYMBOLS,
        stored=stored,
        absent=absent,
        watermarks=noted(asked or {}),
        now=now,
        **more,
    )
    return table, covered(table, expected)


@given(st.data(), st.sampled_from(CALENDARS))
@pytest.mark.slow
def test_what_is_asked_is_what_is_missing_or_may_change(data, calendar):
    """Against the rule, applied to one bar at a time."""
    expected = expected_stamps(calendar, SPAN, NOW)
    every = [(symbol, t) for symbol in SYMBOLS for t in range(len(expected))]
    stored = set(data.draw(st.lists(st.sampled_from(every))))
    gone = sorted(set(data.draw(st.lists(st.sampled_from(every)))))
    size = {"min_size": len(gone), "max_size": len(gone)}
    hours = data.draw(st.lists(st.integers(0, 400), **size))
    nights = data.draw(st.lists(st.integers(1, 7), **size))
    asked = data.draw(st.dictionaries(st.sampled_from(SYMBOLS), st.integers(0, 400)))
    asked = {symbol: NOW - pd.Timedelta(hours=age) for symbol, age in asked.items()}
    when = [NOW - pd.Timedelta(hours=age) for age in hours]
    told = dict(zip(gone, zip(when, nights, strict=True), strict=True))
    listed = {"BBB": expected[len(expected) // 2]}
    absent = lacked(gone, expected, when, nights)
    kept = bars_at(data.draw(st.permutations(sorted(stored))), expected)
    _, found = due(calendar, kept, absent, asked, listed=listed)

    closes, settle = calendar.closes_of(expected), SETTLE[calendar.name]

    def is_due(bar):
        """Days of the calendar, not hours: a night is not always at the same minute."""
        last, count = told[bar]
        return (NOW.date() - last.date()).days >= {3: 2, 4: 4, 5: 8, 6: 16, 7: 32}.get(count, 0)

    def is_needed(symbol, t):
        if (symbol, t) in stored and (symbol not in asked or closes[t] > asked[symbol] - settle):
            return True
        return is_due((symbol, t)) if (symbol, t) in told else (symbol, t) not in stored

    live = [bar for bar in every if expected[bar[1]] >= listed.get(bar[0], expected[0])]
    again = {bar for bar in live if bar in told and is_due(bar)}
    between = {
        (symbol, t)
        for symbol, t in live
        if any((symbol, before) in again for before in range(t))
        and any((symbol, after) in again for after in range(t + 1, len(expected)))
    }
    assert found == {bar for bar in live if is_needed(*bar)} | between


def answered(requests, bars, expected, absent=None):
    """What `Answers` makes of requests and of all bars that came."""
    made = Answers(SYMBOLS, expected, lacked([], expected) if absent is None else absent)
    for row in requests.itertuples():
        inside = (bars["timestamp"] >= row.start) & (bars["timestamp"] < row.end)
        made.add([row.symbol], row.start, row.end, bars[inside & (bars["symbol"] == row.symbol)])
    return made


@given(st.data(), st.sampled_from(CALENDARS))
@pytest.mark.slow
def test_once_believed_only_the_unsettled_is_asked_again(data, calendar):
    """Whatever the venue lacks: asked again in the same minute, after one night and after three."""
    expected = expected_stamps(calendar, SPAN, NOW)
    every = [(symbol, t) for symbol in SYMBOLS for t in range(len(expected))]
    venue = set(data.draw(st.lists(st.sampled_from(every), min_size=1)))
    stored = set(data.draw(st.lists(st.sampled_from(sorted(venue)))))
    requests, found = due(calendar, bars_at(sorted(stored), expected))
    absent = answered(requests, bars_at(sorted(venue & found), expected), expected).absences()
    assert len(absent) == len(found - venue)

    asked = dict.fromkeys(SYMBOLS, asked_at(calendar, SPAN[1], NOW))
    whole = bars_at(sorted(venue & found | stored), expected)
    closes, settle = calendar.closes_of(expected), SETTLE[calendar.name]
    unsettled = {(symbol, t) for symbol, t in every if closes[t] > NOW - settle}
    for nights in (1, NIGHTS):
        told = absent.assign(asked_at=NOW, nights=nights)
        _, again = due(calendar, whole, told, asked)
        if nights < NIGHTS:
            assert again >= found - venue
        else:
            assert again == {bar for bar in unsettled if bar in venue}


@pytest.mark.slow
def test_what_is_absent_is_asked_for_less_and_less():
    """Every night: three of them, then after 2, 4, 8, ... days."""
    calendar = trading_calendar("24/7", "1d")
    expected = expected_stamps(calendar, SPAN, NOW)
    rest = bars_at([(symbol, t) for symbol in SYMBOLS for t in range(1, len(expected))], expected)
    absent, asked = lacked([("AAA", 0)], expected), [0]
    stored = pd.concat([rest, bars_at([("BBB", 0), ("CCC", 0)], expected)])
    for day in range(1, 40):
        now = NOW + pd.Timedelta(days=day)
        requests = requests_for(
            calendar, (SPAN[0], expected[1]), SYMBOLS, stored=stored, absent=absent,
            watermarks=noted(dict.fromkeys(SYMBOLS, now)), now=now,
        )  # fmt: skip
        if len(requests):
            asked.append(day)
            absent = absent.assign(asked_at=now, nights=absent["nights"] + 1)
    assert asked == [0, 1, 2, 4, 8, 16, 32]


@pytest.mark.slow
def test_absent_bars_that_are_near_are_one_request():
    """A thin share lacks many single minutes: each a request of its own would take hours."""
    calendar = trading_calendar("XNYS", "1m")
    span = utc("2024-06-03"), utc("2024-06-20")
    expected = expected_stamps(calendar, span, NOW)
    holes = [0, 10, 10 + NEAR, 11 + 2 * NEAR, 12 + 2 * NEAR]
    absent = lacked([("AAA", t) for t in holes], expected, utc("2024-07-01"))
    rest = [t for t in range(len(expected)) if t not in holes]
    stored = bars_at([("AAA", t) for t in rest], expected)
    requests = requests_for(
        calendar,
        span,
        ["AAA"],
        stored=stored,
        absent=absent,
        watermarks=noted({"AAA": NOW}),
        now=NOW,
    )
    assert requests["start"].tolist() == [expected[0], expected[11 + 2 * NEAR]]
    assert requests["end"].tolist() == [
        expected[t] + calendar.step for t in (10 + NEAR, 12 + 2 * NEAR)
    ]


YEAR = trading_calendar("XNYS", "1d").sessions(utc("2023-01-01"), utc("2024-01-01"))
HOURS = trading_calendar("24/7", "1h").sessions(utc("2023-01-01"), utc("2023-03-01"))


def doubt(missing, expected=YEAR, listed=None, ended=False, believed=()):
    """What is thought of an answer to everything that lacks some bars."""
    absent = lacked([("AAA", t) for t in believed], expected, nights=NIGHTS)
    made = Answers(SYMBOLS, expected, absent)
    bars = bars_at([("AAA", t) for t in range(len(expected)) if t not in missing], expected)
    made.add(["AAA"], expected[0], expected[-1] + pd.Timedelta(hours=1), bars)
    begins = dict.fromkeys(SYMBOLS, expected[0] if listed is None else listed)
    told = made.doubts(begins, {"AAA"} if ended else ())
    assert not set(told) - {"AAA"}  # of the others nothing was asked
    return told.get("AAA", "")


H = LONGEST_HALT


@pytest.mark.parametrize(
    ("missing", "terms", "is_doubted"),
    [
        ((), {}, False),
        (range(40, 40 + H), {}, False),  # as long as the longest halt
        (range(40, 41 + H), {}, True),
        (range(0, 250, 2), {}, False),  # half of them: a feed that hears little
        ([t for t in range(250) if t % 3], {}, True),
        (range(250), {}, True),
        (range(9), {"expected": YEAR[:9]}, False),  # so few that a halt may explain it
        (range(60, 250), {}, True),
        (range(60, 250), {"ended": True}, False),  # delisted after its last bar
        (range(60), {"ended": True}, True),  # but it begins with its listing
        (range(250), {"ended": True}, True),
        (range(60), {"listed": YEAR[60]}, False),
        (range(100, 160), {"believed": range(100, 160)}, False),  # answers of three days said so
        (range(100, 160), {"believed": range(100, 140)}, True),
        (range(24, 24 * (H + 1)), {"expected": HOURS}, False),
        (range(24, 24 * (H + 2)), {"expected": HOURS}, True),
        # A thin coin: on every day one hour.
        ([t for t in range(len(HOURS)) if t % 24], {"expected": HOURS}, False),
    ],
)
def test_an_answer_that_lacks_more_than_a_halt_explains_is_doubted(missing, terms, is_doubted):
    assert bool(doubt(set(missing), **terms)) == is_doubted


def test_a_doubt_says_how_much_came_and_what_did_not():
    told = doubt(set(range(6, 250)))
    assert told.startswith("6 of 250 bars, and not those of 2023-01-11, 2023-01-12, ")
    assert told.endswith(" and 239 more (2023-01-11 to 2023-12-29)")


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda c: f"{c.name} {c.timeframe}")
def test_ten_dropped_bars_are_asked_again_and_nothing_else(calendar):
    expected = expected_stamps(calendar, SPAN, NOW)
    every = [(symbol, t) for symbol in SYMBOLS for t in range(len(expected))]
    later = NOW + pd.Timedelta(days=30)
    settled = dict.fromkeys(SYMBOLS, later)
    wanted = {("AAA", 0), ("AAA", 3), ("BBB", 2), *(("CCC", t) for t in range(2, 9))}
    kept = bars_at([bar for bar in every if bar not in wanted], expected)
    span = (SPAN[0], expected[-1] + calendar.step)
    absent = lacked([], expected)
    requests = requests_for(
        calendar, span, SYMBOLS, stored=kept, absent=absent, watermarks=noted(settled), now=later
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
    absent = strange.assign(asked_at=NOW, nights=1)
    asked = {"AAA": NOW, "ZZZ": NOW}
    assert due(calendar, strange, absent, asked)[1] == due(calendar, bars_at([], []))[1]


def test_a_clock_that_was_ahead_does_not_hide_what_came_after():
    """In the year 2030, so it said, nothing of these days was to be had; and all was settled."""
    calendar = CALENDARS[0]
    expected = expected_stamps(calendar, SPAN, NOW)
    last, ahead = len(expected) - 1, utc("2030-01-01")
    absent = lacked([("AAA", last)], expected, ahead, nights=NIGHTS)
    stored = bars_at([("AAA", t) for t in range(last)], expected)
    _, found = due(calendar, stored, absent, {"AAA": ahead})
    asked = {t for symbol, t in found if symbol == "AAA"}
    unsettled = calendar.closes_of(expected) > NOW - SETTLE["XNYS"]
    assert asked == set(np.flatnonzero(unsettled))
    assert last in asked
    assert 0 < len(asked) < len(expected)
