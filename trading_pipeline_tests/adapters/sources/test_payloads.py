"""Whatever a venue sends, only errors of ours come out, or canonical bars.

A good answer is changed in one place, or replaced by something that is none, and goes over the
wire to the unmodified client. A gallery of what was thought of, and what hypothesis thinks of.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.payload import excerpt, number
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.set_aside import Sifted
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import NOW, source_at
from trading_pipeline_tests.fakes import stocks
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca
from trading_pipeline_tests.fakes.binance import PAIRS, FakeBinance, source_of
from trading_pipeline_tests.fakes.venue import HTML, HTML_HEADERS, Answer, Fault, TestClock

# Which question is answered so, by the path that its address holds.
QUESTIONS = {
    "alpaca bars": "/v2/stocks/bars",
    "alpaca assets": "/v2/assets",
    "alpaca actions": "/v1/corporate-actions",
    "alpaca clock": "/v2/clock",
    "binance exchangeInfo": "exchangeInfo",
    "binance klines": "klines",
    "binance time": "/time",
}
SLOW = pytest.mark.slow
THREE_DAYS = (stocks.FIRST, stocks.FIRST + pd.Timedelta(days=3))
WEEK = (pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-08", tz="UTC"))


@pytest.fixture(scope="module")
def venues():
    with FakeAlpaca(NOW) as shares, FakeBinance(pairs=PAIRS[:2], weight_limit=10**9) as coins:
        yield {"alpaca": shares, "binance": coins}


def ask(venue: Any, question: str) -> None:
    """What a download asks that such an answer is to; complains unless it is in canonical form."""
    clock = TestClock()
    patience = Patience(tries=2, sleep=clock.sleep, clock=clock.time, timeout=10.0)
    if isinstance(venue, FakeAlpaca):
        source, names, span = source_at(venue, patience=patience), ["AAPL", "MSFT"], THREE_DAYS
    else:
        source = CcxtSource("binance", "1d", venue.url, patience=patience)
        names, span = ["BTC/USDT"], WEEK
    what = question.split()[1]
    if what in ("clock", "time"):
        assert source.clock().tz is not None
    elif what in ("assets", "exchangeInfo"):
        assert source.traded(names) <= set(names)
        assert source.symbols() == sorted(source.symbols())
    elif what == "actions":
        actions = source.actions(names)
        pd.testing.assert_frame_equal(actions, check_actions(actions))
        source.notices(names)
    else:
        bars = Sifted.of({"venue": source.bars(names, *span)}).bars  # its values may be impossible
        pd.testing.assert_frame_equal(bars, check_bars(bars))


def answer_with(venues: Any, question: str, change: Callable[[Any], Any]) -> str | None:
    """What the venue's error says, if one comes of it; any other error is the test's failure.

    `change` makes the payload of each answer to the question another one, or an Answer.
    """
    venue, where = venues[question.split()[0]], QUESTIONS[question]
    honest = venue.serve

    def dishonest(request: Any) -> tuple[Answer, float]:
        answer, share = honest(request)
        if where not in request.target:
            return answer, share
        changed = change(json.loads(answer.body()))
        return changed if isinstance(changed, Answer) else Answer(changed), share

    venue.serve = dishonest
    try:
        ask(venue, question)
    except TradingPipelineError as error:
        return str(error)
    finally:
        del venue.serve
    return None


# Not what was asked for at all

WHOLE = {
    "null": None,
    "true": True,
    "a number": 5,
    "a text": "unavailable",
    "an empty list": [],
    "an empty object": {},
    "a list of nothing": [None],
    "a list of numbers": [1, 2, 3],
    "a list in a list": [[]],
    "an object in a list": [{}],
    "an error with 200": {"code": -1000, "msg": "An unknown error occured."},
    "an error in words": {"message": "internal server error"},
    "a huge number": 10**400,
    "infinity": float("inf"),
    "not a number": float("nan"),
    "a portal": Answer(HTML.payload, 200, HTML_HEADERS),
    "a portal that calls itself JSON": Answer(HTML.payload),
    "nothing": Answer(b""),
    "half": Answer(b'{"bars": {"AAPL": ['),
    "no UTF-8": Answer(b'{"bars": "\xff\xfe\x80"}'),
    "UTF-16": Answer('{"bars": {}}'.encode("utf-16")),
    "binary": Answer(bytes(range(256))),
    "a number too long to read": Answer(b"[" + b"9" * 5000 + b"]"),
    "a list too deep to read": Answer(b"[" * 100_000 + b"]" * 100_000),
    "gzip of nothing that is gzip": Answer(b"{}", 200, {"Content-Encoding": "gzip"}),
    "gzip of HTML": Answer(gzip.compress(HTML.payload), 200, {"Content-Encoding": "gzip"}),
    "half of a gzip": Answer(gzip.compress(b"[]" * 99)[:20], 200, {"Content-Encoding": "gzip"}),
    "an encoding that nobody knows": Answer(
        b"{}", 200, {"Content-Type": "text/x; charset=klingon"}
    ),
    "a redirect to nowhere": Answer(b"", 302, {"Location": "http://127.0.0.1:1/"}),
    "a redirect to itself": Answer(b"", 302, {"Location": ""}),
    "a redirect without an address": Answer(b"", 302),
    "a redirect to no address": Answer(b"", 302, {"Location": "http://[::1"}),
    "a redirect to another protocol": Answer(b"", 302, {"Location": "ftp://127.0.0.1/"}),
    "not modified": Answer(b"", 304),
    "multiple choices": Answer([], 300),
    "no content": Answer(b"", 204),
    "a status of its own": Answer({"error": "?"}, 299),
    "gone": Answer(HTML.payload, 410, HTML_HEADERS),
    "teapot without JSON": Answer(b"\x00", 422),
}
# A pair may have no candles.
NO_CANDLES = ("an empty list", "multiple choices")


@pytest.mark.parametrize("what", WHOLE)
@pytest.mark.parametrize(
    "question",  # one of each venue: its client takes all answers off the wire alike
    [
        each if each in ("alpaca bars", "binance klines") else pytest.param(each, marks=SLOW)
        for each in QUESTIONS
    ],
)
@pytest.mark.sampled(4)
def test_an_answer_that_is_none_is_an_error_of_ours(venues, question, what):
    """It names the venue, and is short; none of them can be taken for an answer."""
    said = answer_with(venues, question, lambda _: WHOLE[what])
    if question == "binance klines" and what in NO_CANDLES:
        assert said is None
        return
    assert said is not None, "it was taken for an answer"
    assert "alpaca" in said.lower() or "binance" in said
    assert len(said) < 700


# The right answer with something wrong in it

NUMBERS = {
    "a text": "12.5",
    "a text with blanks": " 12.5 ",
    "no number": "n/a",
    "an empty text": "",
    "null": None,
    "a truth": True,
    "a list": [12.5],
    "an object": {"value": 12.5},
    "not a number": float("nan"),
    "infinity": float("inf"),
    "infinity in words": "Infinity",
    "negative": -12.5,
    "zero": 0,
    "zero in words": "0E-8",
    "huge": 10**30,
    "too huge": 10**400,
    "tiny": 1e-320,
    "with underscores": "1_2",
    "missing": ...,
}
INSTANTS = {
    "a text": "soon",
    "an empty text": "",
    "null": None,
    "a truth": True,
    "a list": [1],
    "zero": 0,
    "negative": -1,
    "negative and far": -(10**30),
    "seconds": 1577836800,
    "nanoseconds": 1577836800 * 10**9,
    "far": 10**30,
    "too far": 10**400,
    "a fraction": 1577836800000.5,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "the year 1": "0001-01-01T00:00:00Z",
    "the year 9999": "9999-12-31T23:59:59Z",
    "the year 99999": "99999-01-01T00:00:00Z",
    "no such day": "2024-02-30T05:00:00Z",
    "now": "now",
    "without a zone": "2024-11-04 05:00:00",
    "missing": ...,
}
NAMES = {
    "null": None,
    "a number": 5,
    "a truth": True,
    "a list": ["AAPL"],
    "an object": {"a": 1},
    "an empty text": "",
    "another": "NOSUCH",
    "long": "A" * 10_000,
    "missing": ...,
}


def put(row: Any, field: Any, value: Any) -> None:
    """`...` is no field at all."""
    if value is not ...:
        row[field] = value
    else:
        del row[field]


def _bar(payload: Any) -> Any:
    return next(iter(payload["bars"].values()), [None])[0]


# Where a field is: the question, the row of its answer that has it, and its name there.
FIELDS: dict[str, tuple[str, Callable[[Any], Any], Any, dict[str, Any]]] = {
    **{
        f"alpaca's {name}": ("alpaca bars", _bar, name, NUMBERS)
        for name in ("o", "l", "v", "vw", "n")
    },
    "alpaca's t": ("alpaca bars", _bar, "t", INSTANTS),
    "alpaca's token": ("alpaca bars", lambda page: page, "next_page_token", NAMES),
    "alpaca's rows": ("alpaca bars", lambda page: page["bars"], "AAPL", NAMES | NUMBERS),
    "an asset's symbol": ("alpaca assets", lambda page: page[0], "symbol", NAMES),
    "an asset's status": ("alpaca assets", lambda page: page[0], "status", NAMES),
    "an asset's tradable": ("alpaca assets", lambda page: page[0], "tradable", NUMBERS),
    "alpaca's time": ("alpaca clock", lambda page: page, "timestamp", INSTANTS),
    **{
        f"{kind}'s {field}": (
            "alpaca actions",
            lambda page, kind=kind: page["corporate_actions"].get(kind, [None])[0],
            field,
            values,
        )
        for kind, field, values in (
            ("cash_dividends", "rate", NUMBERS),
            ("cash_dividends", "ex_date", INSTANTS),
            ("cash_dividends", "symbol", NAMES),
            ("forward_splits", "new_rate", NUMBERS),
            ("forward_splits", "old_rate", NUMBERS),
        )
    },
    "the kinds of actions": ("alpaca actions", lambda page: page, "corporate_actions", NAMES),
    **{
        f"a kline's {place}": (
            "binance klines",
            lambda page: page[0] if page else None,
            place,
            NUMBERS,
        )
        for place in (1, 3, 5, 7, 8)
    },
    "a kline's time": ("binance klines", lambda page: page[0] if page else None, 0, INSTANTS),
    "binance's time": ("binance time", lambda page: page, "serverTime", INSTANTS),
    **{
        f"a market's {field}": (
            "binance exchangeInfo",
            lambda page: page["symbols"][0],
            field,
            NAMES,
        )
        for field in ("symbol", "status", "baseAsset", "filters", "permissions")
    },
    "the markets": ("binance exchangeInfo", lambda page: page, "symbols", NAMES),
}


# One field of each kind of values; the others of that kind are read by the same code.
QUICK = {
    *("alpaca's o", "alpaca's t", "alpaca's token", "alpaca's rows", "an asset's status"),
    *("alpaca's time", "cash_dividends's rate", "cash_dividends's ex_date", "a kline's 1"),
    *("a kline's time", "binance's time", "a market's symbol", "a market's filters"),
    *("the kinds of actions", "the markets"),
}


@pytest.mark.parametrize(
    "field",
    [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in FIELDS],
)
@pytest.mark.sampled(16)
def test_a_field_that_holds_something_else_is_no_crash(venues, field):
    """An error of ours, or canonical bars where it is harmless; each of some twenty values."""
    question, row_of, name, values = FIELDS[field]
    changed = 0
    for value in values.values():

        def change(payload: Any, value: Any = value) -> Any:
            nonlocal changed
            if (row := row_of(payload)) is not None:
                put(row, name, value)
                changed += 1
            return payload

        said = answer_with(venues, question, change)
        assert said is None or len(said) < 900
    assert changed >= len(values)


def bars_with(venue, where, change):
    """The bars that are read where each row is `change`d; no error is expected."""
    venue.misbehave(Fault(rows=lambda rows: [change(row) for row in rows]), 10**6, where)
    try:
        if isinstance(venue, FakeAlpaca):
            return source_at(venue).bars(["AAPL"], *THREE_DAYS)
        return source_of(venue).bars(["BTC/USDT"], *WEEK)
    finally:
        venue.behave()


def test_numbers_as_texts_and_texts_as_numbers_are_read_by_both(venues):
    """Binance writes prices as texts, Alpaca as numbers; either may change its mind."""

    def texts(row):
        return {name: str(value) if name != "t" else value for name, value in row.items()}

    def numbers(row):
        return [row[0], *map(float, row[1:])]

    for name, where, change in (
        ("alpaca", "stocks/bars", texts),
        ("binance", "klines", numbers),
    ):
        plain = bars_with(venues[name], where, lambda row: row)
        pd.testing.assert_frame_equal(bars_with(venues[name], where, change), plain)


def test_fields_that_nobody_knows_are_passed_over(venues):
    def more(row):
        new = {"open": 5, "symbol": "X", "timestamp": [], "zz": None}
        return row | new if isinstance(row, dict) else [*row, "new", None]

    for name, where in (("alpaca", "stocks/bars"), ("binance", "klines")):
        plain = bars_with(venues[name], where, lambda row: row)
        pd.testing.assert_frame_equal(bars_with(venues[name], where, more), plain)


def test_an_error_says_whose_bar_it_is_and_what_came(venues):
    def spoil(payload: Any) -> Any:
        payload["bars"]["MSFT"][1]["t"] = {"when": "noon"}
        return payload

    said = answer_with(venues, "alpaca bars", spoil)
    assert said is not None
    assert "MSFT has {'c': " in said
    assert "{'when': 'noon'}" in said

    said = answer_with(venues, "binance klines", lambda rows: {"rows": len(rows)})
    assert said is not None
    assert "binance BTC/USDT: sent something that cannot be read" in said
    assert '{"rows": ' in said


# What nobody thought of

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.just(10**400),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["1.5", "-1", "NaN", "0E-8", "2024-01-02", "2024-01-02T05:00:00Z", "AAPL"]),
    st.builds(list),
    st.builds(dict),
    st.recursive(st.none(), lambda inner: st.lists(inner, max_size=2), max_leaves=4),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(payload: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything inside of a JSON value, itself included."""
    yield at
    if isinstance(payload, dict | list):
        items = payload.items() if isinstance(payload, dict) else enumerate(payload)
        for name, value in items:
            yield from places(value, (*at, name))


def mutated(payload: Any, where: int, how: str, junk: Any) -> Any:
    """The payload with something replaced, gone, twice, or beside it."""
    paths = list(places(payload))
    path = paths[where % len(paths)]
    if not path:
        return junk
    holder = payload
    for name in path[:-1]:
        holder = holder[name]
    if how == "replaced":
        holder[path[-1]] = junk
    elif how == "gone":
        del holder[path[-1]]
    elif isinstance(holder, list):
        holder.insert(path[-1], holder[path[-1]] if how == "twice" else junk)
    else:
        holder["new"] = junk
    return payload


@pytest.mark.parametrize("question", QUESTIONS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.integers(0, 10**6),
    how=st.sampled_from(["replaced", "replaced", "gone", "twice", "beside"]),
    junk=JUNK,
)
@pytest.mark.slow
@pytest.mark.sampled(4)
def test_a_mutated_answer_is_an_error_or_canonical(venues, question, where, how, junk):
    said = answer_with(venues, question, lambda payload: mutated(payload, where, how, junk))
    assert said is None or len(said) < 900


# Reading


@given(JUNK)
def test_a_number_is_a_float_whatever_it_was(value):
    assert isinstance(number(value), float)
    assert len(excerpt(value)) <= 200


@pytest.mark.parametrize(
    ("value", "read"), [("1.5", 1.5), ("0E-8", 0.0), (7, 7.0), ("-3", -3.0), (1e300, 1e300)]
)
def test_numbers_and_texts_of_them_are_read(value, read):
    assert number(value) == read


@pytest.mark.parametrize("value", [None, True, "", "x", "1_0", [1], {"a": 1}, b"1", 10**400])
def test_what_is_no_number_is_missing(value):
    assert pd.isna(number(value))
