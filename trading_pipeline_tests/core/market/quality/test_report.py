"""Every kind of trouble is found where it was planted, named, and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import COPY, RIVAL, check_bars, in_order, typed_bars
from trading_pipeline.core.market.calendar import on_open_days, trading_calendar
from trading_pipeline.core.market.quality.report import examine, find_broken_rows, held_out
from trading_pipeline.errors import BarsError
from trading_pipeline_tests.core.market.planted import (
    CALENDAR,
    SYMBOLS,
    clean_bars,
    panel_of,
    scaled,
    without,
)

CLEAN = clean_bars(240)  # less than a year, in which nobody need have ended
DAYS = pd.DatetimeIndex(CLEAN["timestamp"].unique())
HOURS = trading_calendar("24/7", "1h")
ALWAYS = {"adjusted"}  # what is said of every panel without actions


def found(bars, calendar=CALENDAR, **options):
    """Findings of planted bars that the clean ones do not have."""
    quality = examine(bars, None, calendar, "planted", **options)
    return [each for each in quality.findings if each.kind not in ALWAYS]


def with_holidays(bars, symbols):
    """The bars, and on every holiday within them those of the day before, of some symbols."""
    days = pd.date_range(bars["timestamp"].min(), bars["timestamp"].max(), freq="B", unit="us")
    closed = days[CALENDAR.closed_on(days)]
    sessions = pd.DatetimeIndex(bars["timestamp"].unique())
    before = sessions[sessions.searchsorted(closed) - 1]
    copies = bars[bars["symbol"].isin(symbols) & bars["timestamp"].isin(before)]
    holidays = copies["timestamp"].map(dict(zip(before, closed, strict=True)))
    return in_order(pd.concat([bars, copies.assign(timestamp=holidays)]))


def only(findings):
    """The one finding, or a failure that shows them all."""
    assert len(findings) == 1, "\n".join(str(each) for each in findings)
    return findings[0]


def test_nothing_is_found_in_clean_bars():
    assert found(CLEAN) == []


@pytest.mark.parametrize("seed", range(1, 6))
def test_nothing_is_found_in_other_clean_bars(seed):
    assert found(clean_bars(240, seed=seed)) == []


def test_a_change_of_unit_names_its_bar_and_size():
    finding = only(found(scaled(CLEAN, "BBB", 100, 0.01)))
    assert (finding.kind, finding.severity, finding.symbol) == ("unit", "severe", "BBB")
    assert finding.first == finding.last == DAYS[100]
    assert finding.figure.startswith("opens at 1/")
    assert "give both parts names of their own" in finding.text


def test_a_change_of_the_volumes_unit_is_told_from_one_of_price():
    finding = only(found(scaled(CLEAN, "BBB", 100, 100, ("volume",))))
    assert (finding.kind, finding.severity, finding.first) == ("unit", "severe", DAYS[104])
    assert "unit of the volume" in finding.text


def test_a_ticker_that_changed_its_company():
    reused = without(scaled(CLEAN, "BBB", 108, 1 / 20), "BBB", 100, 108)
    kinds = {each.kind: each for each in found(reused)}
    assert kinds["ticker"].severity == "severe"
    assert kinds["ticker"].first == DAYS[108]
    assert kinds["gap"].rows == 8


def test_a_bad_tick_of_orders_of_magnitude():
    findings = found(scaled(CLEAN, "BBB", 100, 100, last=101))
    assert {each.kind for each in findings} == {"spike"}
    assert [each.first for each in findings] == [DAYS[100], DAYS[101]]


def test_a_smaller_bad_tick_is_a_spike():
    finding = only(found(scaled(CLEAN, "BBB", 100, 1.6, last=101)))
    assert (finding.kind, finding.severity, finding.first) == ("spike", "warning", DAYS[100])


def test_a_split_that_nobody_announced_and_one_that_was():
    split = scaled(CLEAN, "BBB", 100, 0.5)
    opens = split.index[(split["symbol"] == "BBB") & (split["timestamp"] == DAYS[100])]
    split.loc[opens, "open"] = split[split["symbol"] == "BBB"]["close"].iloc[99] / 2
    split = check_bars(split.assign(low=split[["low", "open"]].min(axis=1)))
    finding = only(found(split))
    assert (finding.kind, finding.first) == ("split", DAYS[100])
    action = {"timestamp": [DAYS[100]], "symbol": ["BBB"], "kind": ["split"], "value": [2.0]}
    actions = check_actions(pd.DataFrame(action))
    assert examine(split, actions, CALENDAR, "explained").findings == ()


def test_a_split_that_is_in_the_prices_already_is_found():
    """Adjusted prices with the actions of raw ones: each split would count twice."""
    action = {"timestamp": [DAYS[100]], "symbol": ["BBB"], "kind": ["split"], "value": [4.0]}
    actions = check_actions(pd.DataFrame(action))
    finding = only(examine(CLEAN, actions, CALENDAR, "twice").findings)
    assert (finding.kind, finding.first) == ("split", DAYS[100])
    assert "the prices are adjusted already" in finding.text


def test_a_jump_that_stays_is_unexplained():
    finding = only(found(scaled(CLEAN, "BBB", 100, 3.6)))
    assert (finding.kind, finding.severity, finding.first) == ("jump", "warning", DAYS[100])
    assert "+2" in finding.figure
    assert int(finding.figure.split(", ")[1].split()[0]) > 50  # σ of the days before it


def test_a_crash_of_the_whole_market_is_no_jump():
    """All fall to a quarter on one day: the market's move, not an error of one."""
    crash = CLEAN
    for symbol in SYMBOLS:
        crash = scaled(crash, symbol, 100, 0.23)
    fifth = crash[crash["symbol"] == "AAA"].assign(symbol="EEE")
    assert found(check_bars(pd.concat([crash, fifth]))) == []


def test_a_print_far_from_everything():
    wick = CLEAN.copy()
    row = wick.index[wick["symbol"] == "BBB"][100]
    wick.loc[row, "low"] /= 3
    finding = only(found(wick))
    assert (finding.kind, finding.severity, finding.first) == ("print", "info", DAYS[100])


def test_a_repeated_session():
    bars = CLEAN.copy()
    rows = bars.index[bars["symbol"] == "BBB"]
    columns = ["open", "high", "low", "close", "volume"]
    bars.loc[rows[100:102], columns] = bars.loc[rows[99], columns].to_numpy()
    finding = only(found(bars))
    assert (finding.kind, finding.rows, finding.first) == ("repeat", 2, DAYS[100])


@pytest.mark.parametrize(("days", "severity"), [(3, "info"), (5, "warning")])
def test_zero_volume(days, severity):
    finding = only(found(scaled(CLEAN, "BBB", 100, 0, ("volume",), last=100 + days)))
    assert (finding.kind, finding.severity, finding.rows) == ("zero volume", severity, days)


def test_an_own_gap_quarantines_and_says_so():
    panel = panel_of(without(CLEAN, "BBB", 100, 104))
    finding = only(found(without(CLEAN, "BBB", 100, 104)))
    assert (finding.kind, finding.severity, finding.rows) == ("gap", "severe", 4)
    assert finding.first == DAYS[100]
    assert f"In quarantine from {DAYS[104]:%Y-%m-%d}" in finding.text
    assert "4 in a row at most (whole sessions in a row may be a halt)" in finding.text
    assert held_out(panel) == [
        f"BBB: in quarantine from {DAYS[104]:%Y-%m-%d} to {DAYS[-1]:%Y-%m-%d}, 136 bars: "
        "neither learned from nor traded"
    ]


def test_a_missing_session_or_two_is_a_warning():
    finding = only(found(without(CLEAN, "BBB", 100, 101)))
    assert (finding.kind, finding.severity, finding.rows) == ("gap", "warning", 1)


def test_outages_of_the_venue_are_counted_as_such():
    """Two outages, of two and of three hours; in the second one symbol of four has its bars."""
    hourly = clean_bars(400, calendar=HOURS)
    for symbol in SYMBOLS:
        hourly = without(hourly, symbol, 300, 303) if symbol != "DDD" else hourly
    stamps = pd.DatetimeIndex(hourly["timestamp"].unique())
    hourly = hourly[~hourly["timestamp"].isin(stamps[100:102])].reset_index(drop=True)
    finding = only(found(hourly, HOURS))
    assert (finding.kind, finding.severity, finding.rows) == ("outage", "warning", 5)
    assert finding.figure.startswith("2 venue outages, 5 hours")


def test_bars_on_closed_days_are_told_apart():
    saturday, holiday = pd.Timestamp("2015-03-07", tz="UTC"), pd.Timestamp("2015-07-03", tz="UTC")
    extra = CLEAN[(CLEAN["symbol"] == "BBB")].iloc[[40, 41]]
    extra = extra.assign(timestamp=pd.DatetimeIndex([saturday, holiday]).as_unit("us"))
    findings = found(check_bars(pd.concat([CLEAN, extra])))
    assert {each.figure for each in findings} == {"1 bar on a weekend", "1 bar on a holiday"}
    assert {each.kind for each in findings} == {"closed"}


@pytest.mark.parametrize("culprits", [1, 2, 3, 4])
def test_bars_on_holidays_harm_nobody_and_name_their_symbols(culprits):
    """They made dates that the others lack, which put faultless shares into quarantine."""
    bars = with_holidays(CLEAN, SYMBOLS[:culprits])
    finding = only(found(bars))
    assert (finding.kind, finding.severity, finding.rows) == ("closed", "warning", 7 * culprits)
    assert finding.first == pd.Timestamp("2015-01-19", tz="UTC")
    assert finding.symbol == ("AAA" if culprits == 1 else f"{culprits} symbols")
    assert culprits == 1 or ", ".join(SYMBOLS[:culprits]) in finding.text
    assert "Left out of features, models and trades" in finding.text
    panel = panel_of(on_open_days(bars, CALENDAR))
    assert held_out(panel) == []
    pd.testing.assert_frame_equal(panel.adjusted_bars(), panel_of(CLEAN).adjusted_bars())


def test_bars_of_another_market_altogether_are_refused():
    """Nothing would be left to look at, and what is wrong is the calendar."""
    bars = CLEAN.iloc[:4].assign(timestamp=pd.Timestamp("2015-07-03", tz="UTC").as_unit("us"))
    with pytest.raises(BarsError, match="all bars are of days on which XNYS is closed"):
        examine(bars, None, CALENDAR, "planted")


def test_what_many_symbols_share_is_told_once():
    """501 rows that say the same hide the one that matters; the names say whose they are."""
    names = [f"S{n:03}" for n in range(501)]
    one = CLEAN[CLEAN["symbol"] == "AAA"].iloc[:60]
    bars = in_order(pd.concat([one.assign(symbol=name) for name in names]))
    of_day = bars["timestamp"] == DAYS[40]
    quiet = bars.assign(volume=bars["volume"].where(~of_day, 0.0))
    own = (quiet["symbol"] == "S007") & (quiet["timestamp"] == DAYS[50])
    quiet.loc[own, "volume"] = 0.0  # one that has a fault of its own beside the one of all
    late = quiet[~(quiet["symbol"].isin(names[:200]) & (quiet["timestamp"] == DAYS[45]))]
    findings = found(with_holidays(late, names))
    rows = {(each.kind, each.symbol): each.rows for each in findings}
    assert rows == {
        ("closed", "501 symbols"): 2 * 501,
        ("zero volume", "501 symbols"): 501,
        ("zero volume", "S007"): 1,
        ("gap", "200 symbols"): 200,
    }
    assert (
        "S000, S001, S002, S003, S004 and 195 others"
        in only([each for each in findings if each.kind == "gap"]).text
    )


def test_the_evening_of_an_open_day_is_no_closed_day():
    """19:00 of a Friday in New York is Saturday in UTC; a holiday is one at every hour."""
    calendar = trading_calendar("XNYS", "1h")
    local = ["2015-01-16 19:00", "2015-01-16 04:00", "2015-01-19 10:30", "2015-01-18 23:00"]
    stamps = pd.DatetimeIndex(local).tz_localize("America/New_York").tz_convert("UTC")
    assert calendar.closed_on(stamps).tolist() == [False, False, True, True]
    assert not HOURS.closed_on(stamps).any()


def test_years_beyond_the_calendar_are_open():
    """Panels reach back further than the library knows: that is no reason to lose them."""
    days = pd.DatetimeIndex(["1962-01-01", "2060-01-01"], tz="UTC")
    assert not CALENDAR.closed_on(days).any()


def test_a_bar_outside_the_session_of_an_intraday_panel():
    calendar = trading_calendar("XNYS", "1h")
    hourly = clean_bars(400, calendar=calendar)
    row = hourly.iloc[[0]]
    early = row.assign(timestamp=row["timestamp"] - pd.Timedelta(hours=2))
    late = row.assign(timestamp=row["timestamp"] + pd.Timedelta(hours=21))
    finding = only(found(check_bars(pd.concat([hourly, late, early])), calendar)[:1])
    assert "outside the session" in finding.figure or "weekend" in finding.figure


def test_a_symbol_that_lags_is_stale_and_one_that_ended_is_not():
    finding = only(found(without(CLEAN, "BBB", 230, 240)))
    assert (finding.kind, finding.rows, finding.severity) == ("stale", 10, "warning")
    assert finding.first == DAYS[230]
    finding = only(found(without(CLEAN, "BBB", 200, 240)))
    assert (finding.kind, finding.severity, finding.first) == ("ended", "info", DAYS[199])


def test_a_market_that_is_late_is_stale():
    close = CALENDAR.close_of(DAYS[-1])
    assert found(CLEAN, now=close + pd.Timedelta(days=1)) == []
    finding = only(found(CLEAN, now=close + pd.Timedelta(days=10)))
    assert (finding.kind, finding.symbol) == ("stale", "")
    assert finding.rows >= 6


def test_a_symbol_without_any_bar_is_named():
    finding = only(found(CLEAN, symbols=(*SYMBOLS, "ZZZ")))
    assert (finding.kind, finding.symbol, finding.figure) == ("stale", "ZZZ", "no bar at all")


def test_late_listings_are_one_line_and_no_gap():
    finding = only(found(without(CLEAN, "BBB", 0, 150)))
    assert (finding.kind, finding.severity) == ("listing", "info")
    assert f"BBB {DAYS[150]:%Y-%m-%d}" in finding.text


def test_nobody_ends_is_a_hint_at_survivorship():
    finding = only(found(clean_bars(400)))
    assert (finding.kind, finding.severity) == ("survivorship", "info")


def test_one_bar_can_be_examined():
    assert found(CLEAN.iloc[[0]]) == []


def test_coverage_is_a_share_by_symbol_and_month():
    gappy = without(without(CLEAN, "BBB", 0, 60), "CCC", 20, 23)
    table = examine(gappy, None, CALENDAR, "x").coverage
    assert table.loc["AAA"].eq(1).all()
    assert table.loc["BBB"].isna().sum() == 2  # January and February 2015
    # 20 sessions in January 2015 from the 2nd; rows 20 to 22 are the first of February's 19.
    assert table.loc["CCC", "2015-02"] == pytest.approx(16 / 19)


def test_all_broken_rules_are_named_with_their_rows_and_the_rest_is_kept():
    table = CLEAN.copy()
    table.loc[[3, 8], "high"] = 0.01
    table.loc[5, "volume"] = -1
    table.loc[7, "close"] = np.nan
    table = pd.concat([table, table.iloc[[20]], table.iloc[[21]].assign(volume=7.0)])
    kept, findings = find_broken_rows(typed_bars(table.reset_index(drop=True)), "panel.parquet")
    texts = {each.figure.split(": ")[1]: each for each in findings}
    assert "rows 3, 8 (" in texts["high < low"].text
    assert "row 5 (" in texts["volume is negative"].text
    assert "row 7 (" in texts["close is NaN (missing)"].text
    assert "row 960 (" in texts[COPY].text
    assert "rows 21, 961 (" in texts[RIVAL].text
    assert {each.severity for each in findings} == {"severe"}
    assert len(kept) == len(CLEAN) - 5
    check_bars(kept)


def test_clean_rows_have_no_broken_rule():
    kept, findings = find_broken_rows(typed_bars(CLEAN), "x")
    assert findings == ()
    assert len(kept) == len(CLEAN)
