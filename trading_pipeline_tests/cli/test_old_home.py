"""A home that version 0.1 left is opened by the code of today: nothing that counts is lost.

What is compared is meaning: what the bars say, what the ledger tells. Models, predictions and the
report may be made anew by a later version; then its own commands do that here.
"""

import json
import shutil
import sqlite3

import pandas as pd
import pytest

from trading_pipeline.adapters.store.home_version import VERSION_FILE, newest, read_stamp, settle
from trading_pipeline.adapters.store.trials import STREAM
from trading_pipeline.definitions import home_of, plan_of
from trading_pipeline.errors import CheckpointError
from trading_pipeline.settings import Settings
from trading_pipeline.steps.freshness import lacking
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.production import decided, listed
from trading_pipeline_tests.old_home import (
    FOLD,
    MARKET,
    REVISED,
    SESSION,
    SYMBOLS,
    first_told,
    panel,
    unpack,
)

STREAMS = {f"paper/{MARKET}/{SESSION}", f"production/{MARKET}", f"lease/{MARKET}", STREAM}


@pytest.fixture
def old(folder, monkeypatch):
    """The folder of an operator, with settings that are its own."""
    for name in ("TP_HOME", "TP_CONFIG"):
        monkeypatch.delenv(name)
    return unpack(folder)


@pytest.fixture
def home(old):
    """As the first command leaves it."""
    opened = home_of(Settings.read())
    settle(opened.path, lambda _: None)
    return opened


@pytest.fixture
def plan(old):
    return plan_of(Settings.read(), MARKET)


def close_of(bars, at=REVISED):
    return float(bars.loc[(bars["symbol"] == "AAA") & (bars["timestamp"] == at), "close"].iloc[0])


def test_it_becomes_one_of_this_version(home):
    assert read_stamp((home.path / VERSION_FILE).read_bytes())[0] == newest()


def test_bars_are_those_of_the_source_and_remember_what_they_were(home, plan):
    store = home.bars(plan.market)
    told = panel().sort_values(["timestamp", "symbol"], ignore_index=True)
    bars = store.read()
    pd.testing.assert_frame_equal(bars[list(told)], told, check_dtype=False, check_exact=True)
    (revised,) = store.revisions().to_dict("records")
    assert (revised["symbol"], revised["timestamp"]) == ("AAA", REVISED)
    assert (revised["close"], revised["new_close"]) == (
        close_of(first_told()),
        close_of(panel()),
    )
    assert (
        close_of(store.read_as_known(revised["revised_at"] - pd.Timedelta(1, "us")))
        == (revised["close"])
    )


def test_the_ledger_is_whole_and_tells_what_happened(home, plan):
    with home.trials() as book:
        assert set(book.ledger.streams()) >= STREAMS
        for stream in book.ledger.streams():
            assert book.ledger.verify(stream) > 0
        (tried,) = book.distinct()
        returns = book.read(tried.returns)[tried.trial.config_hash]
        assert len(returns) >= 9
        days = book.ledger.read(f"paper/{MARKET}/{SESSION}", kind="decision")
        recorded = home.recordings(plan.market).read(
            book.ledger.last(f"paper/{MARKET}/{SESSION}", "history").payload["sha256"]
        )
    assert [f"{event.at:%m-%d}" for event in days] == ["05-02"] * 6 + ["05-03"] * 6
    assert list(recorded["symbols"]) == SYMBOLS
    (decision,) = decided(home, plan.market)
    assert (decision.kind, decision.by) == ("accepted", "nightly")
    assert [each.kept for each in listed(home, plan.market)] == [True]


def test_what_can_be_made_again_is_read_or_says_that_it_is_made_anew(home, plan):
    """Today all of it is read. A version that cannot must say so, and how to make it."""
    lacks = lacking(home, plan, read_panel(home, plan.market))
    if FOLD in lacks:
        assert "trading-pipeline train" in lacks[FOLD].why
        return
    checkpoint = home.checkpoints(plan.market).read(FOLD)
    rows = home.predictions(plan.market).read([FOLD])
    assert set(rows["symbol"]) == set(SYMBOLS)
    assert rows["timestamp"].min() > pd.Timestamp(checkpoint["last_target"])
    features = home.features(plan.market).read()
    assert len(features) == len(panel())


def test_a_checkpoint_of_another_format_is_refused_with_what_makes_it_anew(home, plan, monkeypatch):
    """Older and newer alike."""
    from trading_pipeline.adapters.store import checkpoints

    for other in (checkpoints.FORMAT - 1, checkpoints.FORMAT + 1):
        monkeypatch.setattr(checkpoints, "FORMAT", other)
        with pytest.raises(CheckpointError, match=r"has format .* run `trading-pipeline train`"):
            home.checkpoints(plan.market).read(FOLD)
        assert lacking(home, plan, read_panel(home, plan.market))[FOLD].job == "train"


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(home):
    from trading_pipeline.errors import LedgerError

    with sqlite3.connect(home.path / "ledger.sqlite") as database:
        database.execute("UPDATE ledger_version SET version_num = '9999'")
    before = (home.path / "ledger.sqlite").read_bytes()
    with pytest.raises(LedgerError, match="written by a newer version"):
        home.ledger()
    assert (home.path / "ledger.sqlite").read_bytes() == before


@pytest.mark.slow
def test_storage_shows_what_is_left_over_and_removes_it_when_told(old, run):
    """A fold of walk-forward spans of before, beside all that is current."""
    gone = old / "data_storage" / "models" / MARKET / "2023-01-01.pt"
    gone.write_bytes(b"weights")
    code, said = run("storage")
    assert (code, "Left over, and removed with --prune: 7 bytes" in said) == (0, True), said
    assert "1.6 MB features.duckdb" in said
    assert gone.exists()
    code, said = run("storage", "--prune")
    assert (code, f"removed data_storage/models/{MARKET}/{gone.name}, 7 bytes" in said) == (0, True)
    assert not gone.exists()
    code, said = run("storage", "--prune")
    assert (code, "Nothing is left over." in said) == (0, True), said


@pytest.mark.slow
def test_every_command_goes_on_with_it(old, run):
    """As an operator would after `git pull`: train, test, look where a figure comes from, trade."""
    market = ("--market", MARKET)
    code, said = run("train", *market)
    assert code == 0, said
    code, said = run("backtest", *market)
    assert (code, "NOT PROVEN" in said) == (0, True), said
    report = old / "data_storage" / "reports" / MARKET / "report.json"
    assert json.loads(report.read_text())["trials"] >= 1
    code, said = run("trace", report, "strategy.sharpe")
    assert (code, FOLD in said) == (0, True), said
    terms = (*market, "--session", SESSION, "--start", "2024-05-02", "--end", "2024-05-04")
    code, said = run("paper-trade", *terms)
    assert code == 0, said
    assert " bars 6 " in said  # of the day that it had not seen
    assert "20:00 UTC, whatever --start says; another --session" in said
    code, said = run("replay", SESSION, *market)
    assert code == 0, said
    code, said = run("ledger", "verify")
    assert code == 0, said
    code, said = run("quality", *market)
    assert code == 0, said


@pytest.mark.long
@pytest.mark.slow
def test_another_machine_takes_over_from_a_copy(old, tmp_path_factory, run, monkeypatch):
    """All of the folder, put elsewhere while nothing ran: nothing is done a second time."""
    market = ("--market", MARKET)
    for command in ("download", "train", "backtest"):
        assert run(command, *market)[0] == 0
    there = tmp_path_factory.mktemp("elsewhere") / "deep"
    shutil.copytree(old, there)
    shutil.rmtree(old / "data_storage")  # whoever still asks for the old place finds nothing
    monkeypatch.chdir(there)
    monkeypatch.delenv("DAGSTER_HOME")  # commands have set it, each is a process of its own
    for command in ("download", "train", "backtest"):
        code, said = run(command, *market)
        assert (code, "unchanged since" in said) == (0, True), said
    terms = (*market, "--session", SESSION, "--start", "2024-05-02", "--end", "2024-05-04")
    code, said = run("paper-trade", *terms)
    assert (code, " bars 6 " in said) == (0, True), said
    assert not (old / "data_storage").exists()
