"""Homes that share an object store: all of a change or none of it, and one of two writers."""

import json
import os
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime
from threading import Thread

import fsspec
import pandas as pd
import pytest

from trading_pipeline.adapters.store import home_version
from trading_pipeline.adapters.store.commit import DECIDED
from trading_pipeline.adapters.store.files import one_writer
from trading_pipeline.adapters.store.shared import SharedStore
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.production import ASIDE, _switching
from trading_pipeline_tests.object_store import object_store

MARKET = Market(
    name="shared",
    source="parquet",
    symbols=("A", "B"),
    start=datetime(2024, 1, 1, tzinfo=UTC).date(),
    calendar="24/7",
)
AREA = "predictions/shared"


@pytest.fixture(scope="module")
def bucket():
    with object_store() as url:
        yield url


@pytest.fixture(params=["folder", "s3"])
def url(request, tmp_path):
    """Each test has a prefix of its own."""
    if request.param == "folder":
        return f"file://{tmp_path}/store"
    return f"{request.getfixturevalue('bucket')}-{tmp_path.name}"


@pytest.fixture
def machine(tmp_path, url):
    """A machine by name: what it has of the store, in a folder of its own."""

    def made(name):
        return SharedStore(tmp_path / name, url)

    return made


def write(store, name, text, area=AREA):
    path = store.root / area / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def files(store, area=AREA):
    folder = store.root / area
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def sync(store, *, whole=False, wrote=False):
    store._listed.clear()  # some seconds have passed
    store.sync(AREA, whole=whole, wrote=wrote)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.slow
def test_what_one_machine_wrote_another_has(machine, whole):
    """Changed and removed files, too; a machine of its own units disturbs no other's."""
    one, other = machine("one"), machine("other")
    write(one, "2001.parquet", "first")
    write(one, "2001.checked", "passed")
    write(one, "2002.parquet", "second")
    sync(one, whole=whole, wrote=True)
    sync(other, whole=whole)
    assert files(other) == files(one)
    write(other, "2002.parquet", "again")
    (other.root / AREA / "2001.checked").unlink()
    sync(other, whole=whole, wrote=True)
    sync(one, whole=whole)
    assert files(one) == {"2001.parquet": "first", "2002.parquet": "again"}


@pytest.mark.slow
def test_folders_below_belong_to_a_whole_and_to_no_part(machine):
    one, other = machine("one"), machine("other")
    write(one, "a.parquet", "a")
    write(one, "history/asked.parquet", "b")
    write(one, ".draft-1", "hidden")
    write(one, "empty.csv", "")
    sync(one, whole=True, wrote=True)
    sync(other, whole=True)
    assert files(other) == {"a.parquet": "a", "history/asked.parquet": "b"}
    parts = machine("parts")
    parts.sync("predictions", whole=False)
    assert files(parts, "predictions") == {}


def test_two_machines_write_units_of_their_own_at_the_same_time(machine):
    one, other = machine("one"), machine("other")
    sync(one)
    sync(other)
    write(one, "2001.parquet", "first")
    write(other, "2002.parquet", "second")
    sync(one, wrote=True)
    sync(other, wrote=True)
    sync(one)
    assert files(one) == files(other) == {"2001.parquet": "first", "2002.parquet": "second"}


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True])
def test_of_two_that_write_one_unit_the_first_wins_and_the_other_is_told(
    machine, monkeypatch, known
):
    """Also where neither saw the other's head before it put its own: the store refuses a head of
    a number that is there."""
    one, other = machine("one"), machine("other")
    write(one, "2001.parquet", "before")
    sync(one, wrote=True)
    sync(other)
    write(one, "2001.parquet", "of one")
    write(other, "2001.parquet", "of other")
    if not known:
        seen = other._newest(AREA, afresh=True)
        monkeypatch.setattr(SharedStore, "_newest", lambda self, area, afresh: seen)
    sync(one, wrote=True)
    with pytest.raises(
        StoreError, match=r"another machine changed predictions/shared .*run it again"
    ):
        sync(other, wrote=True)
    monkeypatch.undo()
    sync(other)
    assert files(other) == files(one) == {"2001.parquet": "of one"}


def test_both_may_begin_with_the_same_unit(machine):
    """The loser takes the other's and goes on."""
    one, other = machine("one"), machine("other")
    write(one, "2001.parquet", "of one")
    write(other, "2001.parquet", "of other")
    sync(one, wrote=True)
    with pytest.raises(StoreError, match="was first"):
        sync(other, wrote=True)
    sync(other)
    assert files(other) == {"2001.parquet": "of one"}
    write(other, "2001.parquet", "then")
    sync(other, wrote=True)
    sync(one)
    assert files(one) == {"2001.parquet": "then"}


def test_a_folder_that_was_never_shared_is_not_written_over(machine):
    """Somebody set the URL of another home."""
    one, other = machine("one"), machine("other")
    write(one, "2001.parquet", "of one")
    sync(one, wrote=True)
    write(other, "2001.parquet", "years of work")
    with pytest.raises(StoreError, match=r"has files of its own, .*move the folder away"):
        sync(other)
    assert files(other) == {"2001.parquet": "years of work"}


KILLED = """
import os, sys
from pathlib import Path
from trading_pipeline.adapters.store.commit import DECIDED
from trading_pipeline.adapters.store.files import one_writer
from trading_pipeline.adapters.store.shared import SharedStore

store, left = SharedStore(Path(sys.argv[1]), sys.argv[2]), int(sys.argv[3])
files = store._files
def dying(call):
    def counted(*given, **options):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return call(*given, **options)
    return counted
for name in ("put_file", "pipe_file"):
    setattr(files, name, dying(getattr(files, name)))
store.sync("predictions/shared", whole=True, wrote=True)
"""


@pytest.mark.parametrize("puts", [0, 1, 2, 3])
@pytest.mark.slow
@pytest.mark.sampled(4)
def test_a_machine_that_is_killed_while_it_shares_leaves_what_was(machine, puts):
    """Three puts: two files and their head. And the machine goes on where it was."""
    one, other = machine("one"), machine("other")
    before = {"a.parquet": "old a", "b.parquet": "old b"}
    for name, text in before.items():
        write(one, name, text)
    sync(one, whole=True, wrote=True)
    write(one, "a.parquet", "new a")
    write(one, "b.parquet", "new b")
    done = subprocess.run([sys.executable, "-c", KILLED, str(one.root), one.url, str(puts)])
    assert done.returncode == (0 if puts == 3 else 9)
    sync(other, whole=True)
    after = {"a.parquet": "new a", "b.parquet": "new b"}
    assert files(other) == (after if puts == 3 else before)
    sync(one, whole=True)
    sync(other, whole=True)
    assert files(other) == files(one) == after


def test_an_object_of_which_half_was_put_is_put_again(machine):
    """As a folder leaves it; an object store does not."""
    one, other = machine("one"), machine("other")
    write(one, "2001.parquet", "the whole of it")
    sync(one, wrote=True)
    (digest,) = json.loads((one.root / ".shared" / AREA / "2001.json").read_text())[
        "files"
    ].values()
    one._files.pipe_file(one._object(digest), b"the wh")
    write(one, "2002.parquet", "the whole of it")
    sync(one, wrote=True)
    sync(other)
    assert files(other) == files(one)


def test_an_altered_object_is_refused_and_nothing_here_changes(machine):
    one, other = machine("one"), machine("other")
    write(one, "2001.parquet", "rows")
    sync(one, wrote=True)
    sync(other)
    write(one, "2001.parquet", "news")
    sync(one, wrote=True)
    (digest,) = json.loads((one.root / ".shared" / AREA / "2001.json").read_text())[
        "files"
    ].values()
    one._files.pipe_file(one._object(digest), b"lies")
    with pytest.raises(StoreError, match="was altered"):
        sync(other)
    assert files(other) == {"2001.parquet": "rows"}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"files": null}', '{"files": {"a.parquet": 1}}',
        '{"files": {"a.parquet": "no digest"}}',
        *(f'{{"files": {{"{name}": "{"0" * 64}"}}}}' for name in
          ("../escaped", "/tmp/escaped", "below/../../escaped", ".hidden", "")),
    ],
)  # fmt: skip
@pytest.mark.sampled(3)
def test_a_head_that_somebody_made_up_is_refused_and_nothing_is_written(machine, text):
    """Whoever may write to the store may not write beside the home."""
    one, other = machine("one"), machine("other")
    write(one, "2001.parquet", "rows")
    sync(one, wrote=True)
    sync(other)
    place = one._place(f"heads/{AREA}/2001/00000002.json")
    one._files.pipe_file(place, text.encode())
    one._files.pipe_file(one._place(f"heads/{AREA}/2001/notes.txt"), b"no head")
    before = sorted(other.root.parent.rglob("*"))
    with pytest.raises(StoreError, match=r"00000002.json (is damaged|names files that no home)"):
        sync(other)
    assert files(other) == {"2001.parquet": "rows"}
    assert sorted(other.root.parent.rglob("*")) == before


def test_what_is_equal_is_neither_read_nor_sent(machine, monkeypatch):
    one = machine("one")
    write(one, "2001.parquet", "rows")
    sync(one, wrote=True)
    monkeypatch.setattr(SharedStore, "_put", None)
    monkeypatch.setattr(SharedStore, "_fetch", None)
    monkeypatch.setattr("trading_pipeline.adapters.store.shared._sha256", None)
    sync(one)


@pytest.mark.parametrize("whole", [False, True])
def test_a_commit_that_a_kill_cut_short_is_shared_whole(machine, whole):
    """Decided, and one of its two files in its place: others get both or none."""
    one, other = machine("one"), machine("other")
    for name in ("2001.parquet", "2001.checked"):
        write(one, name, f"old {name}")
    sync(one, whole=whole, wrote=True)
    write(one, "2001.parquet", "new 2001.parquet")
    write(one, f"{DECIDED}/2001.checked", "new 2001.checked")
    sync(one, whole=whole)
    sync(other, whole=whole)
    assert files(other) == {name: f"new {name}" for name in ("2001.parquet", "2001.checked")}


def test_a_first_fetch_that_a_kill_cut_short_goes_on(machine):
    """Its files once passed for this machine's own, which nobody may write over."""
    one, other = machine("one"), machine("other")
    for name in ("a.parquet", "b.parquet"):
        write(one, name, name)
    sync(one, whole=True, wrote=True)
    write(other, "a.parquet", "a.parquet")
    write(other, f"{DECIDED}/b.parquet", "b.parquet")
    sync(other, whole=True)
    assert files(other) == files(one)


@pytest.mark.parametrize("whole", [False, True])
def test_a_folder_that_is_gone_comes_back_and_others_keep_theirs(machine, whole):
    """Removed by hand, or in the middle of being replaced when a kill came."""
    one, other = machine("one"), machine("other")
    for name in ("2001.parquet", "2002.parquet"):
        write(one, name, name)
    sync(one, whole=whole, wrote=True)
    sync(other, whole=whole)
    shutil.rmtree(one.root / AREA)
    sync(one, whole=whole)
    sync(other, whole=whole)
    assert (
        files(one)
        == files(other)
        == {f"{year}.parquet": f"{year}.parquet" for year in (2001, 2002)}
    )


def test_a_folder_that_is_being_replaced_is_waited_for(machine):
    """As a report is: the old one is out of the way before the new one is in its place."""
    one, other = machine("one"), machine("other")
    write(one, "report.json", "old")
    sync(one, whole=True, wrote=True)
    sync(other, whole=True)
    folder = one.root / AREA
    with one_writer(folder.parent):
        folder.rename(folder.with_name(".previous"))
        looks = Thread(target=sync, args=(one,), kwargs={"whole": True})
        looks.start()
        looks.join(0.2)
        assert looks.is_alive()
        write(one, "report.json", "new")
    looks.join()
    sync(other, whole=True)
    assert files(other) == {"report.json": "new"}


def test_a_decision_on_models_takes_what_another_machine_shares_meanwhile(tmp_path, url):
    """It waited for itself: both held the lock of the folder of models that are kept."""
    one, other = (
        Home(root=str(tmp_path / name), shared=SharedStore(tmp_path / name, url)).beside(ASIDE)
        for name in ("one", "other")
    )
    file = tmp_path / "theirs.pt"
    file.write_text("a model")
    with _switching(one, MARKET, print):
        other.checkpoints(MARKET).copy("theirs", file)
        ours = Thread(target=one.checkpoints(MARKET).copy, args=("ours", file), daemon=True)
        ours.start()
        ours.join(60)
        assert not ours.is_alive()
    assert one.checkpoints(MARKET).names() == ["ours", "theirs"]


@pytest.fixture
def _no_client_kept():
    """Clients remember where their store is."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.usefixtures("_no_client_kept")
def test_a_store_that_does_not_answer_says_what_to_do(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(StoreError, match=r"s3://nowhere/at/all cannot be used .*AWS_") as told:
            SharedStore(tmp_path, "s3://nowhere/at/all").sync(AREA, whole=False)
    assert "canary" not in str(told.value)


@pytest.mark.slow
def test_a_bucket_that_there_is_not_is_named(tmp_path, bucket):
    store = SharedStore(tmp_path, "s3://nowhere/at/all")
    write(store, "2001.parquet", "rows")
    with pytest.raises(StoreError, match=r"s3://nowhere/at/all cannot be used"):
        store.sync(AREA, whole=False, wrote=True)


def test_an_address_of_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(StoreError, match="TP_STORAGE is 'carrier-pigeon://x'"):
        SharedStore(tmp_path, "carrier-pigeon://x").sync(AREA, whole=False)


def _bars(closes, day="2024-01-02"):
    stamps = pd.date_range(day, periods=len(closes), tz="UTC").as_unit("us")
    close = pd.Series(closes, dtype=float)
    return pd.DataFrame(
        {"timestamp": stamps, "symbol": "A", "open": close, "high": close, "low": close,
         "close": close, "volume": 1.0}
    )  # fmt: skip


@pytest.mark.slow
def test_stores_of_a_home_share_what_they_write(tmp_path, url):
    """Bars with their history, checks of predictions, arrays of sessions."""
    now = datetime(2024, 2, 1, tzinfo=UTC)
    one, other = (
        Home(root=str(tmp_path / name), shared=SharedStore(tmp_path / name, url))
        for name in ("one", "other")
    )
    one.bars(MARKET).merge(_bars([1, 2, 3]), now)
    one.bars(MARKET).merge(_bars([1, 2, 4]), now)
    one.bars(MARKET).write_actions(None)
    there = other.bars(MARKET)
    pd.testing.assert_frame_equal(there.read(), one.bars(MARKET).read())
    assert len(there.revisions()) == 1
    assert there.data_hash() == one.bars(MARKET).data_hash()
    there.merge(_bars([5], "2024-03-01"), now)
    one.shared._listed.clear()
    assert len(one.bars(MARKET).read()) == 4
    one.predictions(MARKET).note_check("2024", "digest", passed=False)
    assert "failed digest" in files(_synced(other, "predictions/shared"), AREA)["2024.checked"]
    one.checkpoints(MARKET).copy("best_model", one.bars(MARKET).folder / "2024-01.parquet")
    assert other.checkpoints(MARKET).verify("best_model")
    other.checkpoints(MARKET).remove("best_model")
    one.shared._listed.clear()
    assert one.checkpoints(MARKET).names() == []
    arrays = {"close": _bars([1, 2])["close"].to_numpy()}
    digest = one.recordings(MARKET).write(arrays)
    assert (other.recordings(MARKET).read(digest)["close"] == arrays["close"]).all()
    assert not os.path.lexists(tmp_path / "other" / "ledger.sqlite")


def _synced(home, area):
    home.shared._listed.clear()
    home.shared.sync(area, whole=False)
    return home.shared


@pytest.mark.slow
def test_a_machine_of_older_code_stays_away_from_files_of_a_newer_version(
    machine, url, monkeypatch
):
    """The first machine that is upgraded says so before it puts anything."""
    one, two = machine("one"), machine("two")
    write(one, "a.parquet", "of version 1")
    one.sync(AREA, whole=False, wrote=True)
    two.sync(AREA, whole=False)
    with monkeypatch.context() as newer:
        newer.setattr(home_version, "MIGRATIONS", (lambda root: {},))
        newer.setattr(home_version, "installed", lambda name: "0.3.0")
        upgraded = machine("one")
        write(upgraded, "a.parquet", "of version 2")
        upgraded.sync(AREA, whole=False, wrote=True)
        upgraded.sync(AREA, whole=False)
        machine("three").sync(AREA, whole=False)
        assert files(machine("three")) == {"a.parquet": "of version 2"}
    with pytest.raises(StoreError, match=r"version 2 of its files.*install .*0\.3\.0 or newer"):
        machine("two").sync(AREA, whole=False)
    assert files(two) == {"a.parquet": "of version 1"}
