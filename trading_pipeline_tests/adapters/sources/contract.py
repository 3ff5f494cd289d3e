"""What every bar source promises, as tests: subclass with a `source` fixture.

The source under test needs at least two symbols and ten bars. One that knows more symbols than
these tests should ask for overrides `asked`; one of a venue overrides `clock`.
"""

import pandas as pd
import pytest

from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.errors import SourceError, UnknownSymbol


class BarSourceContract:
    @pytest.fixture
    def asked(self, source):
        """The symbols to ask for; all have bars."""
        return source.symbols()

    @pytest.fixture
    def clock(self):
        """Calendar, timeframe and the instant it is at the venue; None where it is all past."""
        return

    @pytest.fixture(scope="class")
    def told(self):
        """What one source said is asked for once: the others must say the same."""
        return {}

    @pytest.fixture
    def span(self, source, asked, told):
        if "span" not in told:
            told["span"] = source.span(asked)
        return told["span"]

    @pytest.fixture
    def everything(self, source, asked, span, told):
        if "bars" not in told:
            told["bars"] = source.bars(asked, *span)
        return told["bars"].copy()

    def test_symbols_are_sorted_and_those_asked_for_have_bars(self, source, asked, everything):
        assert source.symbols() == sorted(set(source.symbols()))
        assert set(asked) <= set(source.symbols())
        assert sorted(asked) == sorted(set(everything["symbol"]))

    def test_bars_are_canonical(self, everything):
        """Ordered by (timestamp, symbol), each once, UTC, and they obey every invariant."""
        pd.testing.assert_frame_equal(everything, check_bars(everything))
        assert str(everything["timestamp"].dtype) == "datetime64[us, UTC]"

    def test_the_span_is_tight(self, source, asked, span, everything):
        """Nothing is outside, and it begins and ends with a bar, also of one symbol alone."""
        month = pd.Timedelta(days=31)
        wide = source.bars(asked, span[0] - month, span[1] + month)
        pd.testing.assert_frame_equal(wide, everything)
        for symbol in asked:
            first, end = source.span([symbol])
            stamps = everything.loc[everything["symbol"] == symbol, "timestamp"]
            assert str(first.tz) == str(end.tz) == "UTC"
            assert first == stamps.min()
            assert stamps.max() < end <= stamps.max() + pd.Timedelta(days=1)

    def test_the_range_is_half_open(self, source, asked, everything):
        """Two ranges that touch give every bar once."""
        stamps = everything["timestamp"].unique()
        start, middle, end = stamps[2], stamps[len(stamps) // 2], stamps[-2]
        early = source.bars(asked, start, middle)
        late = source.bars(asked, middle, end)
        whole = source.bars(asked, start, end)
        pd.testing.assert_frame_equal(pd.concat([early, late], ignore_index=True), whole)
        assert early["timestamp"].min() == start
        assert late["timestamp"].min() == middle
        assert late["timestamp"].max() < end

    def test_any_time_zone_names_the_same_instants(self, source, asked, span, everything):
        abroad = [stamp.tz_convert("Asia/Tokyo") for stamp in span]
        pd.testing.assert_frame_equal(source.bars(asked, *abroad), everything)

    def test_a_range_without_a_time_zone_is_refused(self, source, asked, span):
        start, end = span
        with pytest.raises(ValueError, match="no time zone"):
            source.bars(asked, start.tz_localize(None), end)

    def test_the_same_question_has_the_same_answer(self, source, asked, span, everything):
        """Also after the first answer was changed by whoever got it."""
        bars = source.bars(asked, *span)
        bars.loc[:, "close"] = -1.0
        pd.testing.assert_frame_equal(source.bars(asked, *span), everything)

    def test_one_symbol_is_its_part_of_all(self, source, asked, span, everything):
        part = everything[everything["symbol"] == asked[-1]].reset_index(drop=True)
        pd.testing.assert_frame_equal(source.bars([asked[-1]], *span), part)

    def test_an_empty_range_gives_no_bars_in_the_same_form(self, source, asked, span, everything):
        first, end = span
        for start, stop in [(first, first), (end, first), (end, end + pd.Timedelta(days=9))]:
            nothing = source.bars(asked, start, stop)
            pd.testing.assert_frame_equal(nothing, everything.iloc[:0])

    def test_a_bar_that_is_still_open_is_not_given(self, everything, clock):
        if clock is None:
            pytest.skip("nothing is open in a source of the past")
        calendar, timeframe, now = clock
        closes = trading_calendar(calendar, timeframe).closes_of(
            pd.DatetimeIndex(everything["timestamp"].unique())
        )
        assert closes.max() <= now < closes.max() + pd.Timedelta(days=4)

    def test_an_unknown_symbol_is_refused_and_the_known_are_named(self, source, asked, span):
        with pytest.raises(UnknownSymbol, match=f"NOSUCH.*{source.symbols()[0]}"):
            source.bars([asked[0], "NOSUCH"], *span)
        with pytest.raises(UnknownSymbol, match="NOSUCH"):
            source.actions(["NOSUCH"])
        with pytest.raises(UnknownSymbol, match="NOSUCH"):
            source.span([asked[0], "NOSUCH"])

    def test_no_symbols_have_no_bars_and_no_span(self, source, span, everything):
        pd.testing.assert_frame_equal(source.bars([], *span), everything.iloc[:0])
        with pytest.raises(SourceError, match="no symbols"):
            source.span([])

    def test_actions_are_canonical_or_none_at_all(self, source, asked):
        actions = source.actions(asked)
        if actions is not None:
            pd.testing.assert_frame_equal(actions, check_actions(actions))
            assert set(actions["symbol"]) <= set(asked)

    def test_a_live_source_says_what_it_lists(self, source, asked, everything):
        assert isinstance(source.live, bool)
        if not source.live:
            return
        assert {"source", "timeframe"} <= set(source.identity())
        listings = source.listings(asked)
        assert listings["symbol"].tolist() == list(asked)
        assert set(listings["status"]) <= {"trading", "halted", "delisted", "not yet traded"}
        never = listings["listed"].isna()
        assert never.equals(listings["status"] == "not yet traded")
        assert str(listings["listed"].dtype) == "datetime64[us, UTC]"
        first = everything.groupby("symbol")["timestamp"].min()
        assert listings.set_index("symbol")["listed"].to_dict() == first.to_dict()
