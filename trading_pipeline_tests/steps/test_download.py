"""Downloads: what is missing or may have changed, and nothing else, whatever fails meanwhile."""

import threading
from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.adapters.sources.parquet import ParquetSource
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.venue_calls import GIVE_UP, WORKERS
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import (
    BarsError,
    CredentialsError,
    SourceError,
    SourceUnavailable,
    StoreError,
    UnknownSymbol,
)
from trading_pipeline.steps import venue_download as module
from trading_pipeline.steps.download import actions_of, download, first_changed_action
from trading_pipeline_tests.fakes.table import BARS, COUNT, NAMES, NOW, UNSETTLED, TableVenue
from trading_pipeline_tests.synthetic import panel

FIRST = BARS["timestamp"].min()
SPAN = (FIRST.to_pydatetime(), NOW + timedelta(days=1))


def market_of(names=NAMES, **terms):
    return Market(
        name="m",
        source="ccxt",
        symbols=tuple(names),
        start=date(2020, 1, 1),
        **({"calendar": "24/7"} | terms),
    )


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path / "raw")


@pytest.fixture
def venue():
    return TableVenue(BARS, NOW)


def fetch(venue, store, names=NAMES, now=NOW, span=SPAN, **options):
    venue.asked.clear()
    venue.now = now
    return download(venue, store, market_of(names), span, lambda: now, **options)


def assert_whole(store, bars=BARS):
    pd.testing.assert_frame_equal(store.read(), bars)


def test_a_first_download_stores_all_that_has_closed(venue, store):
    early = NOW - timedelta(days=3)
    done = fetch(venue, store, now=early)
    closed = BARS[BARS["timestamp"] + pd.Timedelta(days=1) <= early].reset_index(drop=True)
    assert_whole(store, closed)
    assert (done.rows, done.added, done.changed, done.removed) == (len(closed), len(closed), 0, 0)
    assert (done.requests, len(venue.asked)) == (3, 3)
    assert done.first_changed == FIRST
    assert not done.failures


@pytest.mark.slow
def test_a_second_download_asks_only_for_what_could_have_changed(venue, store):
    fetch(venue, store)
    done = fetch(venue, store, now=NOW + timedelta(minutes=5))
    assert venue.bars_asked() == UNSETTLED * len(NAMES)
    assert (done.requests, done.added, done.changed, done.first_changed) == (3, 0, 0, None)
    much_later = NOW + timedelta(days=5)  # and nothing has closed since, the span is over
    span = (SPAN[0], BARS["timestamp"].max() + pd.Timedelta(days=1))
    fetch(venue, store, now=much_later, span=span)
    assert fetch(venue, store, now=much_later, span=span).requests == 0


@pytest.mark.slow
def test_the_next_night_asks_for_the_new_bar_and_the_unsettled_one(venue, store):
    fetch(venue, store, now=NOW - timedelta(days=1))
    done = fetch(venue, store)
    assert (done.added, done.requests) == (3, 3)
    assert venue.bars_asked() == (1 + UNSETTLED) * len(NAMES)
    assert_whole(store)


@pytest.mark.slow
def test_ten_bars_that_are_gone_are_fetched_and_no_others(venue, store):
    """Seven from a month's file that was rewritten, three with a month's whole file."""
    few = check_bars(panel(94, NAMES, days="D"))  # the last month, April, has three days
    venue.table = few
    now = (few["timestamp"].max() + pd.Timedelta(days=9)).to_pydatetime()
    span = (SPAN[0], few["timestamp"].max() + pd.Timedelta(days=1))
    fetch(venue, store, now=now, span=span)
    march = store.folder / "2020-03.parquet"
    rows = pd.read_parquet(march)
    lost = rows.sample(7, random_state=3).index
    rows.drop(index=lost).to_parquet(march, index=False)
    (store.folder / "2020-04.parquet").unlink()
    gone = {(row.symbol, row.timestamp) for row in rows.loc[lost].itertuples()}
    april = few[few["timestamp"] >= "2020-04-01"]
    gone |= {(row.symbol, row.timestamp) for row in april.itertuples()}

    done = fetch(venue, store, now=now, span=span)

    asked = {
        (symbols[0], stamp)
        for symbols, start, end in venue.asked
        for stamp in venue.calendar.sessions(start, end)
    }
    assert asked == gone
    assert len(gone) == 7 + 3 * 3
    assert done.added == len(gone)
    assert_whole(store, few)
    assert fetch(venue, store, now=now, span=span).requests == 0


@settings(max_examples=6)
@given(lost=st.sets(st.integers(0, len(BARS) - 1), max_size=40))
@pytest.mark.slow
def test_whatever_is_lost_comes_back(tmp_path_factory, lost):
    store = BarStore(tmp_path_factory.mktemp("store"))
    kept = BARS.drop(index=list(lost))
    store.merge(kept, NOW)
    done = fetch(TableVenue(BARS, NOW), store)
    assert_whole(store)
    assert (done.added, done.changed) == (len(lost), 0)


@pytest.mark.slow
def test_what_the_venue_does_not_have_is_asked_for_on_three_days(venue, store):
    """And quietly: five days of one symbol may be a halt."""
    halted = (BARS["symbol"] == "BBB") & BARS["timestamp"].between("2020-02-03", "2020-02-07")
    venue.table = BARS[~halted].reset_index(drop=True)
    end = BARS["timestamp"].max() + pd.Timedelta(days=1)
    asked = []
    for day in (0, 0, 1, 2, 3, 4, 5, 6, 8, 9, 12):
        done = fetch(venue, store, now=NOW + timedelta(days=day), span=(SPAN[0], end))
        assert not done.failures
        assert len(store.absences()) == 5
        asked.append(sum(start.month == 2 for _, start, _ in venue.asked))
    assert asked == [0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0]


def test_before_its_listing_nothing_is_asked_of_a_symbol(venue, store):
    listed = pd.Timestamp("2020-03-01", tz="UTC")
    venue.table = BARS[(BARS["symbol"] != "CCC") | (BARS["timestamp"] >= listed)]
    fetch(venue, store)
    assert min(start for symbols, start, _ in venue.asked if symbols == ("CCC",)) == listed
    assert store.absences().empty


@pytest.mark.slow
def test_a_listing_that_is_told_too_late_once_hides_no_bar(venue, store):
    """It is remembered, but only what three days told is believed; and the earliest holds."""
    listings, listed = venue.listings, FIRST + pd.Timedelta(days=10)
    venue.table = BARS[(BARS["symbol"] != "CCC") | (BARS["timestamp"] >= listed)]
    late = listed + pd.Timedelta(days=30)
    told, asked = iter([late, listed, late, listed, listed]), []

    def telling(symbols):
        asked.extend(symbols)
        stamps = [next(told) if each == "CCC" else FIRST for each in symbols]
        return listings(symbols).assign(listed=stamps)

    venue.listings = telling
    for day in range(8):
        fetch(venue, store, now=NOW + timedelta(days=day), span=(SPAN[0], NOW))
        if day:
            assert_whole(store, venue.table.reset_index(drop=True))
    assert sorted(asked) == ["AAA", "BBB", *["CCC"] * 5]
    listing = store.listed().set_index("symbol").loc["CCC"]
    assert (listing["listed"], listing["nights"]) == (listed, 3)


def test_a_symbol_that_fails_once_is_asked_again(venue, store):
    venue.errors["BBB"] = [SourceUnavailable("no answer")]
    done = fetch(venue, store)
    assert not done.failures
    assert done.requests == 4
    assert_whole(store)


@pytest.mark.parametrize("error", [SourceUnavailable("no answer"), BarsError("high < low")])
@pytest.mark.slow
def test_a_symbol_that_keeps_failing_does_not_lose_the_others(venue, store, error):
    venue.errors["BBB"], venue.forever = [error], True
    done = fetch(venue, store)
    assert done.failures == {"BBB": str(error)}
    assert_whole(store, BARS[BARS["symbol"] != "BBB"].reset_index(drop=True))
    assert store.watermarks()["symbol"].tolist() == ["AAA", "CCC"]
    venue.errors.clear()
    done = fetch(venue, store)
    assert (done.failures, done.added) == ({}, COUNT)
    assert_whole(store)


def test_a_symbol_that_the_venue_does_not_know_fails_alone(venue, store):
    done = fetch(venue, store, names=("AAA", "NOPE"))
    assert list(done.failures) == ["NOPE"]
    assert "has no NOPE" in done.failures["NOPE"]
    assert set(store.read()["symbol"]) == {"AAA"}


@pytest.mark.slow
def test_a_symbol_without_bars_is_said_so(venue, store):
    never = pd.Series([pd.NaT], dtype="datetime64[us, UTC]")
    listings = venue.listings
    venue.listings = lambda symbols: pd.DataFrame(
        {"symbol": symbols, "listed": never.repeat(len(symbols)).array, "status": "not yet traded"}
    )
    untraded = r"table 1d lists AAA \(not yet traded\), and has no bars of it"
    with pytest.raises(SourceError, match=f"{untraded} so far; leave it in"):
        fetch(venue, store)
    venue.listings, told = listings, venue.listings
    fetch(venue, store)
    venue.listings = told
    with pytest.raises(SourceError, match=f"{untraded}, though some are stored; run it again"):
        fetch(venue, store, refetch=True)


@pytest.mark.parametrize("error", [SourceUnavailable("it is down"), BarsError("high < low")])
def test_where_nothing_can_be_had_that_is_the_error(venue, store, error):
    venue.errors, venue.forever = {name: [error] for name in NAMES}, True
    with pytest.raises(type(error), match=str(error)):
        fetch(venue, store)
    assert store.read().empty
    with pytest.raises(UnknownSymbol, match="has no NOPE"):
        fetch(venue, store, names=("NOPE",))


def test_refused_keys_end_it_at_once(venue, store):
    venue.errors, venue.forever = {name: [CredentialsError("keys")] for name in NAMES}, True
    with pytest.raises(CredentialsError):
        fetch(venue, store)
    assert len(venue.asked) == len(NAMES)


def test_a_venue_that_is_down_is_not_asked_for_every_symbol(store):
    """Each of them is minutes of patience."""
    names = tuple(f"S{n:03}" for n in range(60))
    venue = TableVenue(check_bars(panel(5, names, days="D")), NOW)
    venue.errors, venue.forever = {name: [SourceUnavailable("it is down")] for name in names}, True
    with pytest.raises(SourceUnavailable, match="it is down"):
        fetch(venue, store, names=names)
    assert len(venue.asked) <= GIVE_UP + WORKERS


@pytest.mark.slow
def test_a_venue_that_goes_down_keeps_what_it_gave(store):
    names = tuple(f"S{n:03}" for n in range(60))
    venue = TableVenue(check_bars(panel(5, names, days="D")), NOW)
    span = (SPAN[0], SPAN[0] + timedelta(days=5))
    venue.errors = {name: [SourceUnavailable("it is down")] for name in names[30:]}
    venue.forever = True
    done = fetch(venue, store, names=names, span=span)
    assert sorted(done.failures) == list(names[30:])
    assert any("was not made" in why for why in done.failures.values())
    assert sorted(store.read()["symbol"].unique()) == list(names[:30])


def test_bars_that_were_not_asked_for_are_not_stored(venue, store):
    answer = venue.bars
    venue.bars = lambda symbols, start, end: answer(["BBB"], start, end)
    done = fetch(venue, store)
    assert set(done.failures) == {"AAA", "CCC"}
    assert "table 1d answered with other bars than it was asked for: AAA" in done.failures["AAA"]
    assert set(store.read()["symbol"]) == {"BBB"}


def test_impossible_bars_are_not_stored(venue, store):
    venue.table = BARS.assign(high=BARS["high"].where(BARS["symbol"] != "AAA", BARS["low"] / 2))
    done = fetch(venue, store)
    assert "high < low" in done.failures["AAA"]
    assert set(store.read()["symbol"]) == {"BBB", "CCC"}


def with_impossible(*rows):
    """BARS with a low of 0, which is what a venue's "0E-8" is, in some rows."""
    return BARS.assign(low=BARS["low"].mask(BARS.index.isin(rows), 0.0))


@pytest.mark.slow
def test_an_impossible_row_years_back_does_not_lock_its_symbol_out(venue, store):
    """All else of it is stored; the row is a gap that is named, and no longer asked for."""
    venue.table = with_impossible(10)
    done = fetch(venue, store)
    assert not done.failures
    assert_whole(store, BARS.drop(index=10).reset_index(drop=True))
    (row,) = store.set_aside().to_dict("records")
    assert (row["file"], row["rule"], row["low"]) == ("table 1d", "low is not positive", 0.0)
    assert (row["symbol"], row["timestamp"]) == (BARS["symbol"][10], BARS["timestamp"][10])
    assert (len(done.aside), store.absences().empty) == (1, True)
    done = fetch(venue, store, now=NOW + timedelta(minutes=5))
    assert venue.bars_asked() == UNSETTLED * len(NAMES)
    assert (len(done.aside), len(store.set_aside())) == (0, 1)


@pytest.mark.slow
def test_a_sound_row_takes_the_place_of_one_set_aside(venue, store):
    """Within the time in which the venue may correct it, or when all is asked for again."""
    late = BARS.index[-1]
    venue.table = with_impossible(10, late)
    fetch(venue, store)
    assert len(store.set_aside()) == 2
    venue.table = BARS
    fetch(venue, store, now=NOW + timedelta(hours=1))
    assert store.set_aside()["timestamp"].tolist() == [BARS["timestamp"][10]]
    fetch(venue, store, now=NOW + timedelta(hours=2), refetch=True)
    assert store.set_aside().empty
    assert not (store.folder / "history" / "set_aside.parquet").exists()
    assert_whole(store)


@pytest.mark.slow
def test_a_stored_bar_stays_when_an_impossible_one_comes_later(venue, store):
    fetch(venue, store)
    venue.table = with_impossible(10)
    done = fetch(venue, store, refetch=True)
    assert (len(done.aside), done.changed, done.removed) == (1, 0, 0)
    assert store.set_aside().empty
    assert_whole(store)


def test_an_impossible_row_is_asked_for_again_before_it_is_believed(venue, store):
    answer, broken = venue.bars, []

    def once_broken(symbols, start, end):
        rows = answer(symbols, start, end)
        if not broken:
            broken.append(symbols)
            return rows.assign(volume=-1.0)
        return rows

    venue.bars = once_broken
    done = fetch(venue, store)
    assert (done.failures, done.requests) == ({}, 4)
    assert store.set_aside().empty
    assert_whole(store)


@pytest.mark.long
@pytest.mark.slow
def test_small_batches_set_the_same_rows_aside(venue, store, tmp_path, monkeypatch):
    venue.table = with_impossible(10, 200, 201)
    fetch(venue, store)
    monkeypatch.setattr(module, "BATCH", 50)
    monkeypatch.setattr(module, "WINDOW", 60)
    monkeypatch.setattr(module, "SHORTEST_WINDOW", 10)
    other = BarStore(tmp_path / "other")
    done = fetch(venue, other)
    assert len(done.aside) == 3
    rows = [each.set_aside().drop(columns="row") for each in (store, other)]
    assert rows[0].sort_values("timestamp").to_numpy().tolist() == (
        rows[1].sort_values("timestamp").to_numpy().tolist()
    )


def test_a_file_that_was_mended_has_nothing_set_aside(tmp_path, store):
    """The table is of the newest reading; a stray Saturday of shares is in it."""
    days = BARS[BARS["timestamp"].dt.dayofweek < 5]
    saturday = days.iloc[[0]].assign(timestamp=pd.Timestamp("2020-01-04", tz="UTC"))
    broken = days.assign(low=days["low"].mask(days.index == days.index[10], 0.0))
    path, market = tmp_path / "panel.parquet", market_of(calendar="XNYS")
    pd.concat([broken, saturday]).to_parquet(path, index=False)
    done = download(ParquetSource(path), store, market, SPAN, lambda: NOW)
    assert store.set_aside()[["file", "row", "rule"]].to_numpy().tolist() == [
        [str(path), 10, "low is not positive"],
        [str(path), len(days), "XNYS is closed on weekends"],
    ]
    pd.testing.assert_frame_equal(done.aside, store.set_aside())
    assert len(store.read()) == len(days) - 1
    days.to_parquet(path, index=False)
    download(ParquetSource(path), store, market, SPAN, lambda: NOW)
    assert store.set_aside().empty
    assert_whole(store, days.reset_index(drop=True))


@pytest.mark.slow
def test_fetching_again_records_what_differs(venue, store):
    fetch(venue, store)
    changed = BARS.copy()
    changed.loc[10, "volume"] *= 2
    venue.table = changed.drop(index=[20])  # that it leaves one out does not make it gone
    later = NOW + timedelta(hours=1)
    assert fetch(venue, store, now=later).changed == 0
    done = fetch(venue, store, now=later, refetch=True)
    assert (done.changed, done.added, done.removed) == (1, 0, 0)
    assert done.first_changed == BARS["timestamp"][10]
    (revision,) = store.revisions().to_dict("records")
    assert (revision["volume"], revision["new_volume"]) == (
        BARS["volume"][10],
        changed["volume"][10],
    )
    assert_whole(store, changed)
    pd.testing.assert_frame_equal(store.read_as_known(NOW), BARS)


def test_another_venue_is_refused_before_it_is_asked(venue, store):
    fetch(venue, store)
    other = TableVenue(BARS, NOW)
    other.identity = lambda: {"source": "other", "timeframe": "1d"}
    other.listings = None  # not even this may be asked
    with pytest.raises(StoreError, match=r"source table, and these are of source other"):
        fetch(other, store)
    assert not other.asked


@pytest.mark.long
@pytest.mark.slow
def test_small_batches_store_the_same(venue, store, tmp_path, monkeypatch):
    fetch(venue, store)
    monkeypatch.setattr(module, "BATCH", 50)
    monkeypatch.setattr(module, "WINDOW", 60)
    monkeypatch.setattr(module, "SHORTEST_WINDOW", 10)
    other = BarStore(tmp_path / "other")
    done = fetch(venue, other)
    assert done.requests == len(NAMES) * COUNT / 20
    assert other.data_hash() == store.data_hash()
    pd.testing.assert_frame_equal(other.watermarks(), store.watermarks())
    fetch(venue, other)
    assert venue.bars_asked() == UNSETTLED * len(NAMES)


@pytest.mark.parametrize("fatal", [1, 2, 3])
@pytest.mark.slow
def test_what_was_stored_before_an_end_is_not_fetched_again(venue, store, monkeypatch, fatal):
    """The process ends in a batch: those before it stay, and are settled."""
    monkeypatch.setattr(module, "WINDOW", 120)
    monkeypatch.setattr(module, "SHORTEST_WINDOW", 10)
    merge, merges = store.merge, []

    def dying(*arguments, **options):
        merges.append(1)
        if len(merges) == fatal:
            raise KeyboardInterrupt
        return merge(*arguments, **options)

    monkeypatch.setattr(store, "merge", dying)
    with pytest.raises(KeyboardInterrupt):
        fetch(venue, store)
    kept = len(store.read())
    assert kept == (fatal - 1) * 120
    monkeypatch.undo()
    done = fetch(venue, store)
    assert done.added == len(BARS) - kept
    assert venue.bars_asked() == len(BARS) - kept
    assert_whole(store)


@pytest.mark.slow
def test_a_later_start_leaves_what_is_unsettled_before_it(venue, store):
    """The bars before it could have changed, and were not asked for."""
    early = NOW - timedelta(days=2)
    fetch(venue, store, now=early)
    asked = store.watermarks()
    fetch(venue, store, span=(NOW - timedelta(days=1), SPAN[1]))
    pd.testing.assert_frame_equal(store.watermarks(), asked)
    fetch(venue, store)
    assert_whole(store)


@pytest.mark.slow
def test_symbols_are_asked_for_at_once_and_not_all(store):
    names = tuple(f"S{n}" for n in range(3 * WORKERS))
    venue = TableVenue(check_bars(panel(5, names, days="D")), NOW)
    venue.meeting = threading.Barrier(WORKERS)
    span = (SPAN[0], SPAN[0] + timedelta(days=5))
    assert not fetch(venue, store, names=names, span=span).failures
    assert venue.most_at_once == WORKERS


def test_a_venue_that_takes_many_symbols_is_asked_for_them_together(venue, store):
    venue.at_once = 2
    venue.errors["BBB"] = [SourceError("no"), SourceError("no"), SourceError("no")]
    done = fetch(venue, store)
    assert [symbols for symbols, *_ in venue.asked[:2]] == [("AAA", "BBB"), ("CCC",)]
    assert done.failures == {"BBB": "no"}
    assert set(store.read()["symbol"]) == {"AAA", "CCC"}


def test_progress_counts_symbols_to_the_end(venue, store):
    told = []
    fetch(venue, store, progress=lambda done, total, note: told.append((done, total)))
    assert told[-1] == (3, 3)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_source_of_this_machine_is_the_whole_truth(venue, store):
    venue.live = False
    fetch(venue, store)
    assert_whole(store)
    fewer = BARS.drop(index=[7]).reset_index(drop=True)
    venue.table = fewer
    done = fetch(venue, store, now=NOW + timedelta(hours=1))
    assert (done.removed, done.first_changed) == (1, BARS["timestamp"][7])
    assert_whole(store, fewer)
    assert len(store.revisions()) == 1


def test_actions_of_an_unknown_symbol_stay(venue, store):
    """Without them its adjusted prices would jump."""
    day = pd.DatetimeIndex(["2020-02-03"], dtype="datetime64[us, UTC]")
    stored = pd.DataFrame({"timestamp": day, "symbol": "NOPE", "kind": "split", "value": 2.0})
    store.write_actions(stored)
    venue.actions = _actions_of({"AAA": stored.assign(symbol="AAA", value=3.0)})
    actions, failures = actions_of(venue, store, market_of(("AAA", "NOPE")))
    assert actions.set_index("symbol")["value"].to_dict() == {"AAA": 3.0, "NOPE": 2.0}
    assert list(failures) == ["NOPE"]
    assert actions_of(TableVenue(BARS, NOW), store, market_of()) == (None, {})


def test_the_earliest_ex_date_that_differs_is_what_changed():
    days = pd.DatetimeIndex(["2020-02-03", "2020-03-03"], dtype="datetime64[us, UTC]")
    one = pd.DataFrame({"timestamp": days, "symbol": "AAA", "kind": "dividend", "value": 0.5})
    assert first_changed_action(one, one.copy()) is None
    assert first_changed_action(None, None) is None
    assert first_changed_action(None, one) == days[0]
    assert first_changed_action(one.iloc[:1], one) == days[1]
    assert first_changed_action(one, one.assign(value=[0.5, 0.6])) == days[1]


def _actions_of(known):
    def actions(symbols):
        if unknown := set(symbols) - set(known):
            raise UnknownSymbol(f"has no {', '.join(sorted(unknown))}")
        return pd.concat([known[symbol] for symbol in symbols])

    return actions


def test_an_answer_that_lacks_most_is_asked_for_again_at_once(venue, store):
    """`{"bars": {}}` with HTTP 200, once: it is neither believed nor noticed."""
    answer, asked = venue.bars, []

    def forgetful(symbols, start, end):
        asked.append(symbols)
        bars = answer(symbols, start, end)
        return bars.iloc[:0] if len(asked) == 1 else bars

    venue.at_once, venue.bars = 3, forgetful
    done = fetch(venue, store)
    assert asked == [list(NAMES), *([name] for name in NAMES)]
    assert not done.failures
    assert_whole(store)
    assert store.absences().empty


@pytest.mark.slow
def test_answers_that_lack_most_are_a_failure_for_three_days(venue, store):
    """Then they are believed; and whenever the venue has more, it is taken."""
    few = (BARS["symbol"] != "BBB") | (BARS["timestamp"] < FIRST + pd.Timedelta(days=6))
    venue.table = BARS[few].reset_index(drop=True)
    failed = []
    for day in range(5):
        done = fetch(venue, store, now=NOW + timedelta(days=day), span=(SPAN[0], NOW))
        failed.append(list(done.failures))
        assert not store.read().empty
        if day == 0:
            assert done.failures["BBB"].startswith(
                "table 1d answered twice with 6 of 120 bars, and not those of 2020-01-07, "
            )
            assert "`--refetch` asks for everything" in done.failures["BBB"]
            assert_whole(store, venue.table)
    assert failed == [["BBB"]] * 3 + [[]] * 2
    venue.table = BARS
    fetch(venue, store, now=NOW + timedelta(days=8), span=(SPAN[0], NOW))
    assert_whole(store)


@pytest.mark.slow
def test_a_market_of_which_nothing_comes_is_refused_with_what_is_lacking(venue, store):
    answer = venue.bars
    venue.bars = lambda *asked: answer(*asked).iloc[:0]
    with pytest.raises(SourceError, match=r"answered twice with 0 of 120 bars.* of AAA; what came"):
        fetch(venue, store)
    venue.bars = answer
    assert not fetch(venue, store).failures
    assert_whole(store)


@pytest.mark.slow
def test_most_of_what_came_is_stored_where_every_symbol_lacks_much(venue, store):
    """A hole of a month that is common to all is healed by the next run."""
    hole = BARS["timestamp"].between("2020-02-01", "2020-02-29")
    venue.table = BARS[~hole].reset_index(drop=True)
    assert list(fetch(venue, store).failures) == list(NAMES)
    assert_whole(store, venue.table)
    venue.table = BARS
    assert not fetch(venue, store).failures
    assert_whole(store)


@pytest.mark.slow
def test_a_correction_is_not_missed_for_an_answer_that_lacks_the_bar(venue, store):
    """The one that would have settled it."""
    fetch(venue, store)
    answer = venue.bars
    venue.bars = lambda *asked: answer(*asked).iloc[:0]
    fetch(venue, store, now=NOW + timedelta(days=1), span=(SPAN[0], NOW))
    venue.bars = answer
    venue.table = BARS.assign(volume=BARS["volume"] * (1 + (BARS["timestamp"] > "2020-04-28")))
    fetch(venue, store, now=NOW + timedelta(days=3), span=(SPAN[0], NOW))
    assert_whole(store, venue.table)


@pytest.mark.long
@pytest.mark.slow
def test_the_delisted_ask_one_question_a_night_and_fail_nobody(venue, store):
    """Every night there is another bar that they do not have."""
    gone = (BARS["symbol"] == "CCC") & (BARS["timestamp"] >= "2020-01-20")
    venue.table = BARS[~gone].reset_index(drop=True)
    venue.traded = lambda symbols: {"AAA", "BBB"}
    for day in range(60, 72):
        done = fetch(venue, store, now=(FIRST + pd.Timedelta(days=day, hours=1)).to_pydatetime())
        assert not done.failures
        assert sum(symbols == ("CCC",) for symbols, *_ in venue.asked) == 1
    start = min(start for symbols, start, _ in venue.asked if symbols == ("CCC",))
    assert start >= FIRST + pd.Timedelta(days=60)


@pytest.mark.slow
def test_a_bar_that_turns_up_late_is_taken(venue, store):
    """Absent at first, there a day later: within the time that the venue may still correct."""
    late = BARS.index[-1]
    venue.table = BARS.drop(index=[late])
    fetch(venue, store)
    assert len(store.absences()) == 1
    venue.table = BARS
    fetch(venue, store, now=NOW + timedelta(hours=5))
    assert_whole(store)
    assert store.absences().empty
