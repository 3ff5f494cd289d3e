"""A folder is replaced whole or not at all, wherever the writer is stopped."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from trading_pipeline.adapters.reports.folder import replace_folder
from trading_pipeline.errors import StoreError


def filling(text):
    def write(draft):
        (draft / "a.txt").write_text(text)
        (draft / "b.txt").write_text(text)

    return write


def contents(folder):
    return {file.name: file.read_text() for file in folder.iterdir()}


def left_over(folder):
    return {file.name for file in folder.parent.iterdir()} - {folder.name, ".lock"}


def test_a_folder_is_made_and_replaced(tmp_path):
    folder = tmp_path / "reports" / "sample"
    replace_folder(folder, filling("old"))
    replace_folder(folder, filling("new"))
    assert contents(folder) == {"a.txt": "new", "b.txt": "new"}
    assert left_over(folder) == set()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_keeps_the_old_folder_whole(tmp_path, error):
    def interrupted(draft):
        (draft / "a.txt").write_text("half")
        raise error

    folder = tmp_path / "sample"
    replace_folder(folder, filling("old"))
    with pytest.raises(error):
        replace_folder(folder, interrupted)
    assert contents(folder) == {"a.txt": "old", "b.txt": "old"}
    assert left_over(folder) == set()


def test_an_interruption_between_the_two_renames_puts_the_old_folder_back(tmp_path, monkeypatch):
    folder = tmp_path / "sample"
    replace_folder(folder, filling("old"))
    rename = type(folder).rename

    def interrupted(path, target):
        if path.name == ".sample.draft":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(type(folder), "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(folder, filling("new"))
    assert contents(folder) == {"a.txt": "old", "b.txt": "old"}


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from trading_pipeline.adapters.reports import folder as module

    def write(draft):
        (draft / "a.txt").write_text("new")
        (draft / "b.txt").write_text("new")

    def kill(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    where, target = sys.argv[1], Path(sys.argv[2])
    if where == "writing":
        write = kill
    elif where == "renaming":
        rename = Path.rename
        Path.rename = lambda path, to: kill() if "draft" in path.name else rename(path, to)
    elif where == "retiring":
        module._retire = kill
    module.replace_folder(target, write)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "before"), [("writing", "old"), ("renaming", "old"), ("retiring", "new")]
)
def test_a_killed_writer_leaves_nothing_that_the_next_one_does_not_mend(tmp_path, where, before):
    folder = tmp_path / "sample"
    replace_folder(folder, filling("old"))
    (folder / "notes.txt").write_text("mine")
    code = textwrap.dedent(KILLED)
    done = subprocess.run([sys.executable, "-c", code, where, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL

    seen = []

    def look_then_fail(draft):
        seen.append(contents(folder))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        replace_folder(folder, look_then_fail)
    assert seen == [{"a.txt": before, "b.txt": before, "notes.txt": "mine"}]
    replace_folder(folder, filling("newest"))
    assert contents(folder) == {"a.txt": "newest", "b.txt": "newest", "notes.txt": "mine"}
    assert left_over(folder) == set()


def test_files_of_others_are_carried_over(tmp_path):
    folder = tmp_path / "sample"
    replace_folder(folder, filling("old"))
    (folder / "notes.txt").write_text("mine")
    replace_folder(folder, filling("new"))
    assert contents(folder) == {"a.txt": "new", "b.txt": "new", "notes.txt": "mine"}


def test_a_file_in_the_way_is_refused_and_kept(tmp_path):
    (tmp_path / "sample").write_text("a file")
    with pytest.raises(StoreError, match="it is a file"):
        replace_folder(tmp_path / "sample", filling("new"))
    assert (tmp_path / "sample").read_text() == "a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused_with_a_way_out(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="choose another folder"):
        replace_folder(tmp_path / "sample", filling("new"))


def test_a_disk_error_names_the_folder_and_a_way_out(tmp_path):
    def full(draft):
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"sample: No space left on device\. .* free some"):
        replace_folder(tmp_path / "sample", full)
