"""Replacing files whole, and one writer at a time."""

import multiprocessing
import os
import signal
import threading

import pytest

from trading_pipeline.adapters.store.files import (
    clear_drafts,
    one_writer,
    remove_file,
    replace_file,
)
from trading_pipeline.errors import StoreError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_made_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    replace_file(path, lambda draft: draft.write_text("new"))
    assert path.read_text() == "new"
    assert names(path.parent) == ["file.txt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write(draft):
        draft.write_text("ne")
        assert path.read_text() == "old"
        draft.write_text("new")

    replace_file(path, write)
    assert path.read_text() == "new"


@pytest.mark.parametrize("reason", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_no_draft(tmp_path, reason):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write(draft):
        draft.write_text("half")
        raise reason

    with pytest.raises(reason):
        replace_file(path, write)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_the_draft_keeps_the_suffix_and_is_hidden(tmp_path):
    """Writers choose their format by suffix; readers of the folder must not see half a file."""
    drafts = []
    replace_file(tmp_path / "x.parquet", lambda draft: (drafts.append(draft), draft.touch()))
    assert drafts[0].suffix == ".parquet"
    assert drafts[0].name.startswith(".")
    assert drafts[0].parent == tmp_path


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    (tmp_path / "folder").write_text("a file is in the way")
    path = tmp_path / "folder" / "file.txt"
    for refused in (
        lambda: replace_file(path, lambda draft: draft.touch()),
        lambda: one_writer(path).__enter__(),
    ):
        with pytest.raises(StoreError, match=r"cannot write .*folder/file\.txt.*TP_HOME"):
            refused()


def test_a_full_disk_is_a_store_error(tmp_path):
    def write(draft):
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"file\.txt: No space left on device"):
        replace_file(tmp_path / "file.txt", write)


def test_removing_is_idempotent(tmp_path):
    (tmp_path / "file.txt").touch()
    remove_file(tmp_path / "file.txt")
    remove_file(tmp_path / "file.txt")
    assert names(tmp_path) == []


def test_a_second_writer_waits(tmp_path):
    """In another thread of the same process, which POSIX record locks would let through."""
    inside = threading.Event()

    def write():
        with one_writer(tmp_path):
            inside.set()

    with one_writer(tmp_path):
        thread = threading.Thread(target=write)
        thread.start()
        assert not inside.wait(0.2)
    assert inside.wait(5)
    thread.join()


def _die_holding(folder):
    import os

    one_writer(folder).__enter__()
    os._exit(1)


def test_a_killed_writer_leaves_no_lock(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_holding, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 1
    with one_writer(tmp_path):
        pass


def _killed_while_writing(path):
    replace_file(path, lambda draft: os.kill(os.getpid(), signal.SIGKILL))


def test_the_draft_of_a_killed_process_is_cleared_away(tmp_path):
    """And not one that somebody is writing, nor what another program keeps in its own folder."""
    path, theirs = tmp_path / "models" / "fold.pt", tmp_path / "dagster" / ".draft-1-x"
    killed = multiprocessing.get_context("spawn").Process(
        target=_killed_while_writing, args=(path,)
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    (left,) = path.parent.iterdir()
    theirs.parent.mkdir()
    theirs.touch()

    def write(draft):
        draft.write_text("whole")
        assert clear_drafts(tmp_path, leave="dagster") == [left]
        assert draft.exists()

    replace_file(tmp_path / "models" / "other.pt", write)
    assert names(path.parent) == ["other.pt"]
    assert theirs.exists()
