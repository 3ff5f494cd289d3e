"""What every bar source promises, as tests: subclass with a `source` fixture.

The source under test needs at least two symbols and ten bars.
"""

import pandas as pd
import pytest

from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.errors import UnknownSymbol


class BarSourceContract:
    @pytest.fixture
    def everything(self, source):
        return source.bars(source.symbols(), *source.span())

    def test_symbols_are_sorted_and_all_have_bars(self, source, everything):
        assert source.symbols() == sorted(set(everything["symbol"]))

    def test_bars_are_canonical(self, everything):
        """Ordered by (timestamp, symbol), each once, UTC, and they obey every invariant."""
        pd.testing.assert_frame_equal(everything, check_bars(everything))
        assert str(everything["timestamp"].dtype) == "datetime64[us, UTC]"

    def test_the_span_is_tight(self, source, everything):
        first, end = source.span()
        assert str(first.tz) == str(end.tz) == "UTC"
        assert everything["timestamp"].min() == first
        assert everything["timestamp"].max() < end

    def test_the_range_is_half_open(self, source, everything):
        """Two ranges that touch give every bar once."""
        stamps = everything["timestamp"].unique()
        start, middle, end = stamps[2], stamps[len(stamps) // 2], stamps[-2]
        early = source.bars(source.symbols(), start, middle)
        late = source.bars(source.symbols(), middle, end)
        whole = source.bars(source.symbols(), start, end)
        pd.testing.assert_frame_equal(pd.concat([early, late], ignore_index=True), whole)
        assert early["timestamp"].min() == start
        assert late["timestamp"].min() == middle
        assert late["timestamp"].max() < end

    def test_any_time_zone_names_the_same_instants(self, source):
        start, end = source.span()
        abroad = [stamp.tz_convert("Asia/Tokyo") for stamp in (start, end)]
        pd.testing.assert_frame_equal(
            source.bars(source.symbols(), *abroad), source.bars(source.symbols(), start, end)
        )

    def test_a_range_without_a_time_zone_is_refused(self, source):
        start, end = source.span()
        with pytest.raises(ValueError, match="no time zone"):
            source.bars(source.symbols(), start.tz_localize(None), end)

    def test_the_same_question_has_the_same_answer(self, source, everything):
        """Also after the first answer was changed by whoever got it."""
        copy = everything.copy()
        everything.loc[:, "close"] = -1.0
        pd.testing.assert_frame_equal(source.bars(source.symbols(), *source.span()), copy)

    def test_one_symbol_is_its_part_of_all(self, source, everything):
        symbol = source.symbols()[-1]
        part = everything[everything["symbol"] == symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(source.bars([symbol], *source.span()), part)

    def test_an_empty_range_gives_no_bars_in_the_same_form(self, source, everything):
        first, end = source.span()
        for start, stop in [(first, first), (end, first), (end, end + pd.Timedelta(days=9))]:
            nothing = source.bars(source.symbols(), start, stop)
            pd.testing.assert_frame_equal(nothing, everything.iloc[:0])

    def test_an_unknown_symbol_is_refused_and_the_known_are_named(self, source):
        known = source.symbols()
        with pytest.raises(UnknownSymbol, match=f"NOSUCH.*{known[0]}"):
            source.bars([known[0], "NOSUCH"], *source.span())
        with pytest.raises(UnknownSymbol, match="NOSUCH"):
            source.actions(["NOSUCH"])

    def test_actions_are_canonical_or_none_at_all(self, source):
        actions = source.actions(source.symbols())
        if actions is not None:
            pd.testing.assert_frame_equal(actions, check_actions(actions))
            assert set(actions["symbol"]) <= set(source.symbols())
