"""A merge that is killed before any file operation leaves the store as before or as after."""

import errno
import multiprocessing
import os
import shutil
import sys
import threading
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from trading_pipeline.adapters.store import commit as module
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.commit import DECIDED, DRAFTS
from trading_pipeline.errors import StoreError
from trading_pipeline_tests.adapters.store.small_tables import NOW, days, utc
from trading_pipeline_tests.kill_hook import killing

LATER = NOW + pd.Timedelta(days=1)
IDENTITY = {"source": "venue", "feed": "sip"}


def first_night(store):
    store.merge(days("2024-01-30", 4), NOW, watermarks=noted(NOW))


def second_night(store):
    """Changes January, removes all of February, adds March, and every table of the history."""
    bars = pd.concat([days("2024-01-30", 2, price=11.0), days("2024-03-01", 1)])
    span = (utc("2024-01-30"), utc("2024-03-02"))
    absences = pd.DataFrame({"symbol": ["AAA"], "timestamp": [utc("2024-03-02")]})
    store.merge(bars, LATER, span, absences=absences, watermarks=noted(LATER), identity=IDENTITY)


def noted(at):
    return pd.DataFrame({"symbol": ["AAA"], "asked_at": [at]})


def said(store):
    """Everything that a store says, as text that can be compared."""
    tables = (store.read(), store.revisions(), store.absences(), store.watermarks())
    return [table.to_json() for table in tables] + [store.identity()]


def die_at_steps(origin, work, step, stride):
    """Fork a child for each stride-th operation, to merge until it dies; the last one does not."""
    for operation in range(1, 1000, stride):
        folder = work / f"{operation}"
        shutil.copytree(origin, folder)
        if os.fork() == 0:
            sys.addaudithook(killing(operation, folder))
            step(BarStore(folder))
            os._exit(0)
        if os.wait()[1] == 0:
            return
    raise AssertionError("it never ended")


# Before every operation takes most of a minute; every seventh already falls into each phase.
STRIDES = [pytest.param(1, marks=[pytest.mark.slow, pytest.mark.long]), 7]


@pytest.fixture(scope="module", params=STRIDES)
def nights(tmp_path_factory, request):
    """The store before and after the second night, and one killed before each operation."""
    top = tmp_path_factory.mktemp("killed")
    first_night(BarStore(top / "before"))
    shutil.copytree(top / "before", top / "after")
    second_night(BarStore(top / "after"))
    # A process of its own, since a fork of one that has threads may hang.
    child = multiprocessing.get_context("spawn").Process(
        target=die_at_steps, args=(top / "before", top / "work", second_night, request.param)
    )
    child.start()
    child.join(200)
    assert child.exitcode == 0
    folders = sorted((top / "work").iterdir(), key=lambda path: int(path.name))
    return BarStore(top / "before"), BarStore(top / "after"), folders, request.param


@pytest.mark.slow
def test_a_merge_that_is_killed_is_done_or_not_begun(nights):
    """The reader comes first, then the same night again; both see one of two states."""
    before, after, folders, stride = nights
    states = [said(before), said(after)]
    seen = []
    for folder in folders:
        store = BarStore(folder)
        seen.append(states.index(said(store)))
        second_night(store)
        assert said(store) == states[1]
        assert {path.name for path in folder.glob(".*")} == {".lock"}
    assert len(folders) > 40 / stride
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)


@pytest.mark.slow
def test_a_recovery_that_is_killed_is_taken_up_again(nights, tmp_path):
    """Killed a second time, while finishing what the first one decided."""
    after, stride = nights[1], nights[3]
    first_night(BarStore(tmp_path / "decided"))
    store = BarStore(tmp_path / "decided")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "recover", lambda folder: None)
        second_night(store)
    assert (store.folder / DECIDED).is_dir()
    child = multiprocessing.get_context("spawn").Process(
        target=die_at_steps, args=(store.folder, tmp_path / "work", said, stride)
    )
    child.start()
    child.join(200)
    assert child.exitcode == 0
    killed = list((tmp_path / "work").iterdir())
    assert len(killed) > 10 / stride
    for folder in killed:
        assert said(BarStore(folder)) == said(after)


@pytest.mark.slow
def test_a_full_disk_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    """Whichever draft it happens at."""
    store = BarStore(tmp_path / "store")
    first_night(store)
    before, flush = said(store), module.flush

    def full(path, *, left):
        next(left, None) or refuse()
        flush(path)

    def refuse():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for room in range(9):  # seven files and two folders
        with monkeypatch.context() as patch:
            patch.setattr(module, "flush", partial(full, left=iter([True] * room)))
            with pytest.raises(StoreError, match=r"No space left on device.*free some space"):
                second_night(store)
        assert said(store) == before
        assert not (store.folder / DRAFTS).exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_read_only_folder_can_be_read_and_says_why_not_written(tmp_path):
    store = BarStore(tmp_path / "store")
    first_night(store)
    before = said(store)
    store.folder.chmod(0o555)
    try:
        with pytest.raises(StoreError, match=r"cannot write .*Make its folder writable"):
            second_night(store)
        assert said(store) == before
    finally:
        store.folder.chmod(0o755)


@pytest.mark.slow
def test_a_reader_beside_a_writer_sees_one_state_or_the_other(tmp_path):
    """Two months change together, again and again, in another thread."""
    store, prices = BarStore(tmp_path), (10.0, 11.0)
    tables = [days("2024-01-30", 5, price=price) for price in prices]
    store.merge(tables[0], NOW)
    ended = threading.Event()

    def write():
        for n in range(10):
            store.merge(tables[(n + 1) % 2], NOW + pd.Timedelta(minutes=n))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not ended.is_set():
        seen.add(tuple(store.read()["close"]))
    writer.join()
    assert seen <= {(price,) * 5 for price in prices}
    assert len(store.revisions()) == 10 * 5


def test_the_first_reader_waits_for_the_first_writer(tmp_path):
    """Where nobody has written yet there is no lock to hold: it reads again."""
    store = BarStore(tmp_path / "new")
    counts = iter((True, False))

    def read():
        if next(counts):
            store.merge(days("2024-01-30", 5), NOW)
            return "half"
        return "whole"

    assert module.read_whole(store.folder, read) == "whole"
    assert module.read_whole(Path(tmp_path / "nowhere"), lambda: "nothing") == "nothing"
    assert not (tmp_path / "nowhere").exists()
