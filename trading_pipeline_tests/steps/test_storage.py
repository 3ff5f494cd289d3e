"""What a home could do without: found, shown, and removed while nothing else is lost."""

import json
import multiprocessing
import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.checkpoints import write_runs
from trading_pipeline.adapters.store.files import one_writer
from trading_pipeline.adapters.store.lease import Lease
from trading_pipeline.adapters.store.shared import SharedStore
from trading_pipeline.adapters.store.trials import Trial
from trading_pipeline.errors import StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.storage import leftovers, size_of, unnamed_returns, usage
from trading_pipeline_tests.core.learning.checkpoints import made_up
from trading_pipeline_tests.defs.small_market import (
    FIRST,
    MARKET,
    SECOND,
    SmallMarket,
    bars_until,
)
from trading_pipeline_tests.kill_hook import killing

MONTH = timedelta(days=30)
GONE = "2001-01-01"  # a fold of walk-forward spans of before
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """Two current folds, a fold of before and its ridge, and a model in service."""
    home = Home(root=str(tmp_path_factory.mktemp("origin")))
    market = SmallMarket(home, instance=None)
    home.bars(MARKET).merge(bars_until("2002-09-01"), NOW)
    for key in (FIRST, SECOND):
        market.bring("train", key)
    for place in (home, home.beside("ridge"), home.beside("refits")):
        store(place, GONE)
    store(home.beside("ridge"), FIRST)
    home.checkpoints(MARKET).write("best_model", made_up(market.plan.recipe))
    home.beside("production").checkpoints(MARKET).write("abc", made_up(market.plan.recipe))
    return home


def store(home, key):
    """A checkpoint and predictions, of nobody knows what."""
    home.checkpoints(MARKET).write(key, {"of": key, "by": home.model})
    home.predictions(MARKET).path(key).parent.mkdir(parents=True, exist_ok=True)
    home.predictions(MARKET).path(key).write_text("rows")
    home.predictions(MARKET).note_check(key, home.predictions(MARKET).digest(key), passed=True)


@pytest.fixture
def small(origin, tmp_path):
    shutil.copytree(origin.path, tmp_path, dirs_exist_ok=True)
    return SmallMarket(Home(root=str(tmp_path)), instance=None)


def found(small, age=MONTH):
    """Names of the files that are left over, below the home."""
    paths = [path for each in leftovers(small.home, small.plan, age) for path in each.paths]
    return {path.relative_to(small.home.path).as_posix() for path in paths}


def files(root):
    return {
        path.relative_to(root).as_posix()
        for path in Path(root).rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def of_fold(key, model=""):
    place = "/".join(filter(None, ("small", model)))
    return {
        f"models/{place}/{key}.pt",
        f"models/{place}/{key}.pt.sha256",
        f"predictions/{place}/{key}.parquet",
        f"predictions/{place}/{key}.checked",
    }


def age_of(path, days):
    then = (NOW - timedelta(days=days)).timestamp()
    for each in [path, *(path.rglob("*") if path.is_dir() else ())]:
        os.utime(each, (then, then))


@pytest.mark.slow
def test_folds_that_nothing_refers_to_are_left_over_and_nothing_else(small):
    gone = of_fold(GONE) | of_fold(GONE, "ridge") | of_fold(GONE, "refits")
    assert found(small) == gone
    before = files(small.home.path)
    for each in list(leftovers(small.home, small.plan, MONTH)):
        each.remove()
    assert files(small.home.path) == before - gone
    assert found(small) == set()


@pytest.mark.slow
def test_a_fold_of_the_report_stays_with_all_that_it_names(small):
    """Its figures are traced to these files, whatever the settings of today are."""
    report = small.home.report(MARKET) / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"lineage": {"models": {"network": {GONE: {}}}}}))
    assert found(small) == of_fold(GONE, "ridge") | of_fold(GONE, "refits")
    report.write_text(json.dumps({"lineage": {"models": {"network": {}, "ridge": {GONE: {}}}}}))
    assert found(small) == of_fold(GONE, "refits")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lineage": {"models": 3}}'])
def test_a_report_that_cannot_be_read_keeps_everything(small, text):
    report = small.home.report(MARKET) / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text(text)
    with pytest.raises(StoreError, match="does not say which models it is of"):
        found(small)


def test_a_checkpoint_that_a_session_has_asked_stays(small):
    digest = small.home.checkpoints(MARKET).verify(GONE)
    with small.home.ledger() as ledger:
        ledger.append("paper/small/x", "model", NOW, {"sha256": digest, "fold": GONE}, NOW)
    assert found(small) == of_fold(GONE, "ridge") | of_fold(GONE, "refits")


def test_nothing_of_a_market_goes_while_it_is_traded(small):
    with small.home.ledger() as ledger:
        lease = Lease.take(ledger, "small", "s, process 1 on host", NOW, timedelta(hours=1))
        with pytest.raises(StoreError, match=r"small is traded now \(s, process 1 on host\)"):
            found(small)
        lease.release(NOW)
    assert found(small)


def test_a_fold_that_is_trained_now_stays(small):
    """By a command with other settings."""
    with one_writer(small.home.checkpoints(MARKET).lock(GONE)):
        assert found(small) == of_fold(GONE, "ridge") | of_fold(GONE, "refits")


def test_of_shared_files_none_is_left_over(small, tmp_path_factory):
    """One that goes here would go for every machine."""
    url = f"file://{tmp_path_factory.mktemp('store')}"
    home = replace(small.home, shared=SharedStore(small.home.path, url))
    assert list(leftovers(home, small.plan, MONTH)) == []
    assert not any(Path(url.removeprefix("file://")).iterdir())


def test_without_a_current_fold_nothing_is_left_over(small):
    """Nobody knows then which are: bars may just be lost."""
    short = replace(MARKET, end=datetime(2001, 1, 1, tzinfo=UTC).date())
    with pytest.raises(StoreError, match="no fold that is current"):
        list(leftovers(small.home, replace(small.plan, market=short), MONTH))


def test_trainings_that_were_killed_long_ago_are_left_over(small):
    folder = small.home.checkpoints(MARKET).folder / "unfinished"
    for name in ("old", "held", "young"):
        write_runs(folder / f"{name}.pt", "of what", {})
    (folder / "job").mkdir()
    (folder / "job" / "data").write_text("shared by processes")
    for name in ("old.pt", "held.pt", "job"):
        age_of(folder / name, days=31)
    with one_writer(small.home.checkpoints(MARKET).lock("held")):
        told = found(small)
    assert {name for name in told if "unfinished" in name} == {
        "models/small/unfinished/old.pt",
        "models/small/unfinished/job",
    }


def test_curves_of_folds_that_are_gone_are_left_over(small):
    for name in (FIRST, "2000-01-01", "2000-02-01"):
        folder = small.home.curves(MARKET, name) / "seed-0"
        folder.mkdir(parents=True)
        (folder / "events").write_text("points")
        if name != "2000-02-01":
            age_of(folder.parent, days=31)
    told = {name for name in found(small) if name.startswith("tensorboard")}
    assert told == {"tensorboard/small/2000-01-01"}


def test_what_the_ledger_names_stays_and_what_it_does_not_goes(small):
    """A kill between the file and the word leaves a file that nobody will ask for."""
    recordings, trial = small.home.recordings(MARKET), Trial("c", "p", "walk_forward", 0.5)
    named, unnamed, young = (
        recordings.write({"bars": np.arange(n, dtype=float)}) for n in (1, 2, 3)
    )
    with small.home.ledger() as ledger:
        ledger.append("paper/small/x", "history", NOW, {"sha256": named, "bars": 1}, NOW)
    with small.home.trials() as book:
        book.record([trial], pd.DataFrame({"c": [0.0]}), at=NOW, recorded_at=NOW)
        (kept,) = book.digests()
        lost = book._keep(pd.DataFrame({"c": [1.0]}))
    for path in [*recordings.folder.iterdir(), *book.folder.iterdir()]:
        if path.stem != young[:16]:
            age_of(path, days=31)
    told = {name for name in found(small) if name.startswith("paper")}
    assert told == {f"paper/small/{unnamed[:16]}.npz"}
    (returns,) = unnamed_returns(small.home, MONTH)
    assert returns.paths == (book.path(lost),)
    assert book.path(kept).exists()


def test_usage_is_by_folder_and_market_and_adds_up(small):
    told = usage(small.home)
    assert set(told) == {"raw/small", "models/small", "predictions/small"}
    assert list(told.values()) == sorted(told.values(), reverse=True)
    assert sum(told.values()) == size_of(small.home.path)
    assert usage(Home(root=str(small.home.path / "nowhere"))) == {}


def die_at_each_operation(origin, work):
    """Fork a child for each file operation of a prune, to die there."""
    for operation in range(1, 1000):
        root = work / f"{operation}"
        shutil.copytree(origin, root)
        small = SmallMarket(Home(root=str(root)), instance=None)
        todo = list(leftovers(small.home, small.plan, MONTH))
        if os.fork() == 0:
            sys.addaudithook(killing(operation, root))
            for each in todo:
                each.remove()
            os._exit(0)
        if os.wait()[1] == 0:
            return
    raise AssertionError("it never ended")


@pytest.mark.long
@pytest.mark.slow
def test_a_prune_that_is_killed_anywhere_is_finished_by_the_next(origin, tmp_path):
    """And what stays is there, whole, whenever it dies."""
    child = multiprocessing.get_context("spawn").Process(
        target=die_at_each_operation, args=(origin.path, tmp_path)
    )
    child.start()
    child.join(300)
    assert child.exitcode == 0
    gone = of_fold(GONE) | of_fold(GONE, "ridge") | of_fold(GONE, "refits")
    kept, rests = files(origin.path) - gone, []
    for root in tmp_path.iterdir():
        small = SmallMarket(Home(root=str(root)), instance=None)
        assert files(root) >= kept
        rests.append(found(small))
        for each in list(leftovers(small.home, small.plan, MONTH)):
            each.remove()
        assert files(root) == kept
        assert small.home.checkpoints(MARKET).read(FIRST)
    assert len(rests) > len(gone)
    assert {len(rest) for rest in rests} >= set(range(len(gone)))
