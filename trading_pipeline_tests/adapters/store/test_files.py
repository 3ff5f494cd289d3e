"""Replacing files whole, and one writer at a time."""

import multiprocessing
import os
import signal
import threading

import pytest

from trading_pipeline.adapters.store import files
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


@pytest.fixture
def killed(tmp_path):
    """A file whose writer was killed, and the draft that it left."""
    path = tmp_path / "models" / "fold.pt"
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_while_writing, args=(path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (left,) = path.parent.iterdir()
    return path, left


def test_the_draft_of_a_killed_process_is_cleared_away(killed, tmp_path):
    """And not one that somebody is writing."""
    path, left = killed

    def write(draft):
        draft.write_text("whole")
        assert clear_drafts(tmp_path) == [left]
        assert draft.exists()

    replace_file(path.with_name("other.pt"), write)
    assert names(path.parent) == ["other.pt"]


def test_whoever_writes_a_file_clears_away_what_its_killed_writer_left(killed):
    """Also of files outside of a home, where nobody looks for drafts at the start."""
    path, _ = killed
    replace_file(path, lambda draft: draft.write_text("whole"))
    assert names(path.parent) == ["fold.pt"]


def test_files_that_are_called_like_drafts_are_left_alone(tmp_path):
    """A folder of the user's own may hold drafts of a letter, and a folder of drafts."""
    theirs = [".draft-letter.txt", ".draft-1-x.toml", ".draft-abcdef-0123456789abcdef-x.toml"]
    for name in theirs:
        (tmp_path / name).touch()
    (tmp_path / ".draft-0123456789abcdef-x.toml").mkdir()
    replace_file(tmp_path / "x.toml", lambda draft: draft.touch())
    clear_drafts(tmp_path)
    assert names(tmp_path) == sorted([*theirs, ".draft-0123456789abcdef-x.toml", "x.toml"])


def test_a_draft_cleared_away_before_its_writer_could_lock_it_is_begun_again(tmp_path, monkeypatch):
    """Two at once: there is a moment between making a file and locking it."""
    wait, cleared = files._wait_for_lock, []

    def late(handle, *args, **kwargs):
        if not cleared:
            cleared.extend(clear_drafts(tmp_path))
        wait(handle, *args, **kwargs)

    monkeypatch.setattr(files, "_wait_for_lock", late)
    replace_file(tmp_path / "x", lambda draft: draft.open("r+").close() or draft.write_text("new"))
    assert len(cleared) == 1
    assert (tmp_path / "x").read_text() == "new"
    assert names(tmp_path) == ["x"]


def test_threads_that_replace_one_file_do_not_share_a_draft(tmp_path):
    """Each writes a whole file; the last one stays."""
    path = tmp_path / "x"

    def write(draft):
        draft.write_text("outer")
        replace_file(path, lambda other: other.write_text("inner"))
        assert draft.read_text() == "outer"

    replace_file(path, write)
    assert path.read_text() == "outer"
    assert names(tmp_path) == ["x"]
