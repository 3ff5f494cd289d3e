"""A home of another version: newer is refused, older is migrated whole or not at all."""

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest

from trading_pipeline.adapters.store import home_version
from trading_pipeline.adapters.store.commit import DECIDED
from trading_pipeline.adapters.store.files import one_writer
from trading_pipeline.adapters.store.home_version import VERSION_FILE, settle
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline_tests.kill_hook import killing

ROOT = Path(__file__).parents[3]
MARKET = Market(name="m", source="parquet", symbols=("A", "B"), start="2024-01-01")
CONTENT = {
    "raw/m/2024-01.parquet": "bars",
    "trials/of.parquet": "returns",
    "features.duckdb": "features",
    "models/m/ridge/2024.pt": "model",
}


def upper(root):
    """To version 2: what cannot be made again is written anew, in a folder more; the rest goes."""
    kept = ("raw/m/2024-01.parquet", "trials/of.parquet")
    files = {name: writer((root / name).read_text().upper()) for name in kept}
    files |= {"raw/m/deep/er/new.parquet": writer("NEW")}
    return files | dict.fromkeys(set(CONTENT) - set(kept))


def doubled(root):
    """To version 3."""
    name = "trials/of.parquet"
    return {name: writer(2 * (root / name).read_text())}


def writer(text):
    return lambda path: path.write_text(text)


OLD = CONTENT
MIDDLE = {
    "raw/m/2024-01.parquet": "BARS",
    "raw/m/deep/er/new.parquet": "NEW",
    "trials/of.parquet": "RETURNS",
}
NEW = MIDDLE | {"trials/of.parquet": "RETURNSRETURNS"}


@pytest.fixture
def old(tmp_path):
    """A home of version 1 that has something in every kind of place."""
    for name, text in CONTENT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / VERSION_FILE).write_text('{"version": 1, "written_by": "0.1.0"}')
    return tmp_path


@pytest.fixture
def third(monkeypatch):
    """As if this code were of version 3."""
    monkeypatch.setattr(home_version, "MIGRATIONS", (upper, doubled))


def told(root):
    return json.loads((root / VERSION_FILE).read_text())


def files(root):
    every = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_text() for name, path in every.items() if name in {**OLD, **NEW}}


def quiet(_):
    pass


def test_a_new_home_says_its_version(tmp_path):
    """Also which code wrote it, for whoever has to install that."""
    settle(tmp_path / "home", quiet)
    assert told(tmp_path / "home") == {"version": 1, "written_by": "0.1.0"}


@pytest.mark.parametrize("name", ["raw", "trials", "features.duckdb"])
def test_a_home_of_before_is_version_1_and_taken_as_it_is(tmp_path, third, monkeypatch, name):
    """What it lacks to be migrated is the file alone."""
    (tmp_path / name).mkdir()
    ran = []
    monkeypatch.setattr(home_version, "MIGRATIONS", (lambda root: ran.append(root) or {},))
    settle(tmp_path, quiet)
    assert ran == [tmp_path]
    assert told(tmp_path)["version"] == 2


def test_before_there_is_a_migration_a_home_of_before_says_so_at_once(old):
    """Without waiting for a training that has the home's lock."""
    (old / VERSION_FILE).unlink()
    with one_writer(old):
        settle(old, quiet)
    assert told(old)["version"] == 1
    assert files(old) == OLD


def test_an_older_home_is_migrated_step_by_step_and_says_so_once(old, third):
    said = []
    settle(old, said.append)
    settle(old, said.append)
    assert files(old) == NEW
    assert told(old) == {"version": 3, "written_by": "0.1.0"}
    assert said == [f"{old} is of version 1: it is migrated to 3"]


def test_an_older_home_is_opened_by_nothing_until_it_is_migrated(old, third):
    home = Home(root=str(old))
    for opened in (home.bars, home.features, home.checkpoints, home.predictions, home.recordings):
        with pytest.raises(StoreError, match=r"older version \(1, this .* 3\).*pipeline home`"):
            opened(MARKET)
    settle(old, quiet)
    assert home.bars(MARKET).folder == old / "raw" / "m"


def test_a_newer_home_is_refused_with_what_to_install(old):
    """Also by a process that was started before the migration, at the next thing that it opens."""
    home = Home(root=str(old))
    assert home.bars(MARKET)
    newer = {"version": 2, "written_by": "0.3.1", "more": "that this code does not know"}
    (old / VERSION_FILE).write_text(json.dumps(newer))
    refused = r"trading-pipeline 0.3.1 \(version 2 of its files.*install trading-pipeline 0.3.1 or"
    for opened in (
        *(lambda each=each: each(MARKET) for each in (home.bars, home.features, home.report)),
        home.ledger,
        lambda: settle(old, quiet),
    ):
        with pytest.raises(StoreError, match=refused):
            opened()
    assert files(old) == OLD
    assert not (old / "ledger.sqlite").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": "new", "written_by": ""}'])
def test_a_damaged_version_is_an_error_that_names_the_file(old, text):
    (old / VERSION_FILE).write_text(text)
    with pytest.raises(StoreError, match=r"version\.json cannot be read .*from a copy"):
        settle(old, quiet)
    with pytest.raises(StoreError, match=r"version\.json cannot be read"):
        Home(root=str(old)).bars(MARKET)


@pytest.mark.parametrize("place", ["raw/m/2024-01.parquet", "trials/of.parquet", VERSION_FILE])
def test_a_full_disk_leaves_the_old_home(old, monkeypatch, place):
    def full(root):
        return upper(root) | {place: refusing}

    def refusing(path):
        path.write_text("hal")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(home_version, "MIGRATIONS", (full,))
    if place == VERSION_FILE:
        monkeypatch.setattr(home_version, "MIGRATIONS", (upper,))
        monkeypatch.setattr(home_version, "_stamp", lambda number: refusing)
    with pytest.raises(StoreError, match=r"No space left on device.*free some space"):
        settle(old, quiet)
    assert files(old) == OLD
    assert told(old)["version"] == 1
    assert not (old / DECIDED).exists()
    monkeypatch.undo()
    monkeypatch.setattr(home_version, "MIGRATIONS", (upper, doubled))
    settle(old, quiet)
    assert files(old) == NEW


def test_two_commands_at_once_migrate_an_old_home_once(old, monkeypatch):
    begun, barrier, said = [], Barrier(2), []

    def counted(root):
        begun.append(root)
        return upper(root)

    def command():
        barrier.wait()
        settle(old, said.append)

    monkeypatch.setattr(home_version, "MIGRATIONS", (counted, doubled))
    both = [Thread(target=command) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert begun == [old]
    assert files(old) == NEW


def die_at_each_operation(old, work):
    """Fork a child for each file operation of the two migrations, to die there."""
    home_version.MIGRATIONS = (upper, doubled)
    for operation in range(1, 1000):
        folder = work / f"{operation}"
        shutil.copytree(old, folder)
        if os.fork() == 0:
            sys.addaudithook(killing(operation, folder))
            settle(folder, quiet)
            os._exit(0)
        if os.wait()[1] == 0:
            return
    raise AssertionError("it never ended")


@pytest.mark.long
@pytest.mark.slow
def test_a_migration_that_is_killed_anywhere_leaves_one_version_whole(old, tmp_path_factory, third):
    """What the file says is what is there; the next command finishes it."""
    work = tmp_path_factory.mktemp("killed")
    child = multiprocessing.get_context("spawn").Process(
        target=die_at_each_operation, args=(old, work)
    )
    child.start()
    child.join(200)
    assert child.exitcode == 0
    seen = set()
    folders = sorted(work.iterdir(), key=lambda path: int(path.name))
    assert len(folders) > 50
    for folder in folders:
        version, decided = told(folder)["version"], (folder / DECIDED).exists()
        if not decided:
            assert files(folder) == {1: OLD, 2: MIDDLE, 3: NEW}[version], folder
        seen.add((version, decided))
        if version < 3:
            with pytest.raises(StoreError, match="older version"):
                Home(root=str(folder)).bars(MARKET)
        else:
            assert files(folder) == NEW
        settle(folder, quiet)
        assert files(folder) == NEW
    assert seen >= {(1, False), (1, True), (2, False), (2, True), (3, False)}


@pytest.mark.slow
def test_a_process_that_writes_is_one_that_settles(tmp_path):
    """`trading-pipeline home` and whatever runs jobs; the web UI's runs ask for the resource."""
    done = subprocess.run(
        [sys.executable, "-m", "trading_pipeline.cli", "home"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TP_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "home" / "dagster")
    assert told(tmp_path / "home")["version"] == 1
