"""Checkpoints on disk: whole or refused; and trainings that were interrupted."""

import os
import threading
from functools import cache
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch

from trading_pipeline.adapters.code_version import code_version
from trading_pipeline.adapters.store import checkpoints
from trading_pipeline.adapters.store.checkpoints import CheckpointStore, load, read_runs, save
from trading_pipeline.errors import CheckpointError, StoreError
from trading_pipeline_tests.core.learning.checkpoints import made_up

RUNS = {0: {"step": 300, "best": {"weight": torch.ones(2)}}, 1: {"step": 50, "best": {}}}
AGAIN = "run `trading-pipeline train`"


@cache
def checkpoint():
    return made_up()


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "models")


def replaced(store, content, name="fold"):
    """A file of somebody who knows how to make the digest fit."""
    store.write(name, checkpoint())
    save(content, store.path(name))
    digest = checkpoints._sha256(store.path(name))
    store.path(name).with_suffix(".pt.sha256").write_text(digest + "\n")


def test_what_is_written_can_be_read_and_says_what_made_it(store):
    digest = store.write("2010-01-01", checkpoint())
    read = store.read("2010-01-01")
    for name, weight in checkpoint()["states"][0].items():
        assert torch.equal(read["states"][0][name], weight)
    assert read["metrics"] == checkpoint()["metrics"]
    assert read["code_version"] == code_version()
    assert read["torch"] == torch.__version__
    assert store.verify("2010-01-01") == digest


def test_a_flipped_byte_is_refused(store):
    """torch loads such a file without complaint."""
    store.write("fold", checkpoint())
    content = bytearray(store.path("fold").read_bytes())
    place = content.index(checkpoint()["states"][0]["answers.price.weight"].numpy().tobytes())
    content[place + 2] ^= 1
    store.path("fold").write_bytes(content)
    assert load(store.path("fold"))["metrics"] == checkpoint()["metrics"]
    with pytest.raises(CheckpointError, match=r"fold\.pt is not the file that was written"):
        store.read("fold")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_part_of_a_file_is_refused(store, share):
    store.write("fold", checkpoint())
    content = store.path("fold").read_bytes()
    store.path("fold").write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=AGAIN):
        store.read("fold")


def test_the_digest_of_another_checkpoint_is_none(store):
    store.write("one", checkpoint())
    store.write("two", {**checkpoint(), "fingerprint": "other"})
    one, two = (store.path(name).with_suffix(".pt.sha256") for name in ("one", "two"))
    two.write_bytes(one.read_bytes())
    with pytest.raises(CheckpointError, match=r"two\.pt\.sha256 says [0-9a-f]{12}\.\.\."):
        store.read("two")
    for damage in (b"", b"\xff\xfe\x00"):
        two.write_bytes(damage)
        with pytest.raises(CheckpointError, match="not the file that was written"):
            store.read("two")
    two.unlink()
    with pytest.raises(CheckpointError, match="says nothing"):
        store.read("two")


class Bomb:
    """What pickle would run on reading."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_file_that_would_run_code_is_refused_and_runs_none(store, tmp_path):
    replaced(store, {**checkpoint(), "format": checkpoints.FORMAT, "metrics": Bomb(tmp_path / "x")})
    with pytest.raises(CheckpointError, match="holds more than plain data") as refused:
        store.read("fold")
    assert AGAIN in str(refused.value)
    assert "weights_only" not in str(refused.value)  # no bad advice
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"format": 1}, {"format": None}])
def test_another_format_is_named(store, content):
    replaced(store, content)
    with pytest.raises(CheckpointError, match=r"has format .*, this version reads \d"):
        store.read("fold")


def test_what_is_not_sound_is_refused_by_name_of_file(store):
    replaced(store, {"format": checkpoints.FORMAT, "model": {}})
    with pytest.raises(CheckpointError, match=r"fold\.pt lacks recipe, .*; run `trading"):
        store.read("fold")


def test_a_file_that_may_not_be_read_is_named(store, monkeypatch):
    store.write("fold", checkpoint())

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoints, "_sha256", refuse)
    with pytest.raises(CheckpointError, match=r"fold\.pt cannot be read .*Permission denied"):
        store.read("fold")


def test_a_full_disk_is_called_one_and_leaves_the_old_file(store, monkeypatch):
    """torch itself would complain of a position in a file."""
    digest = store.write("fold", checkpoint())
    write = checkpoints.replace_file

    def onto_a_full_disk(path, write_draft):
        def full(draft):
            draft.unlink(missing_ok=True)
            draft.symlink_to("/dev/full")
            write_draft(draft)

        write(path, full)

    monkeypatch.setattr(checkpoints, "replace_file", onto_a_full_disk)
    with pytest.raises(StoreError, match=r"No space left on device.*free some space"):
        store.write("fold", {**checkpoint(), "fingerprint": "new"})
    with pytest.raises(StoreError, match="No space left on device"):
        store.write_unfinished("fold", "abc", RUNS)
    assert store.verify("fold") == digest
    assert [path.name for path in store.folder.glob(".draft*")] == []


def test_an_interrupted_training_is_found_by_what_it_was_made_of(store):
    store.write_unfinished("fold", "abc", RUNS)
    read = store.read_unfinished("fold", "abc")
    assert read[0]["step"] == 300
    assert torch.equal(read[0]["best"]["weight"], torch.ones(2))
    assert store.read_unfinished("fold", "other bars") == {}
    assert store.read_unfinished("other fold", "abc") == {}


def test_a_finished_training_leaves_nothing_unfinished(store):
    store.write_unfinished("fold", "abc", RUNS)
    store.write("fold", checkpoint())
    assert store.read_unfinished("fold", "abc") == {}
    assert store.names() == ["fold"]


@pytest.mark.parametrize("damage", [b"", b"not a file of torch", None])
def test_a_damaged_unfinished_training_starts_again(store, damage):
    """It costs time, and must not stop anyone."""
    store.write_unfinished("fold", "abc", RUNS)
    path = store.folder / "unfinished" / "fold.pt"
    path.write_bytes(path.read_bytes()[:-500] if damage is None else damage)
    assert store.read_unfinished("fold", "abc") == {}


def test_a_flipped_byte_of_an_unfinished_training_starts_it_again(store):
    """torch would go on from it, and end with other weights."""
    store.write_unfinished("fold", "abc", RUNS)
    path = store.folder / "unfinished" / "fold.pt"
    content = bytearray(path.read_bytes())
    content[content.index(torch.ones(2).numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)
    assert store.read_unfinished("fold", "abc") == {}


def test_another_file_in_its_place_starts_again(tmp_path):
    save({"format": checkpoints.FORMAT, "fingerprint": "abc", "runs": RUNS}, tmp_path / "runs.pt")
    assert read_runs(tmp_path / "runs.pt", "abc") == {}
    (tmp_path / "folder").mkdir()
    assert read_runs(tmp_path / "folder", "abc") == {}


def test_a_second_training_of_a_fold_waits_for_the_first(store):
    """Another fold's does not."""
    order, begun = [], threading.Event()

    def second():
        with store.one_training("fold", lambda: (order.append("waits"), begun.set())):
            order.append("second")

    with store.one_training("fold", lambda: order.append("never")):
        other = threading.Thread(target=second)
        other.start()
        assert begun.wait(10)
        with store.one_training("other fold", lambda: order.append("never")):
            order.append("first")
    other.join(10)
    assert order == ["waits", "first", "second"]
    assert store.names() == []


def test_a_kill_between_the_digest_and_the_file_leaves_the_old_checkpoint(store, monkeypatch):
    """The two are swapped as one; afterwards the old file would still be known for what it was."""
    old = store.write("fold", checkpoint())
    content = store.path("fold").read_bytes()
    write = checkpoints.replace_file

    def killed(path, write_draft):
        def die(draft):
            write_draft(draft)
            raise KeyboardInterrupt

        write(path, die if path.suffix == ".pt" else write_draft)

    monkeypatch.setattr(checkpoints, "replace_file", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write("fold", {**checkpoint(), "fingerprint": "new"})
    assert store.verify("fold") == old
    monkeypatch.undo()
    new = store.write("fold", {**checkpoint(), "fingerprint": "new"})
    assert store.verify("fold") == new != old
    store.path("fold").write_bytes(content)
    assert store.verify("fold") == old


def test_the_digest_of_a_damaged_file_does_not_outlive_it(store):
    """What was not the file that was written is none later either."""
    store.write("fold", checkpoint())
    damaged = store.path("fold").read_bytes()[:-1]
    store.path("fold").write_bytes(damaged)
    store.write("fold", checkpoint())
    store.path("fold").write_bytes(damaged)
    with pytest.raises(CheckpointError, match="not the file that was written"):
        store.verify("fold")


@pytest.mark.slow
def test_a_file_that_grows_while_it_is_read_is_refused_before(store):
    """Fifty megabytes of zeros in a few kilobytes, whose digest fits."""
    store.write("fold", checkpoint())
    path = store.path("fold")
    with ZipFile(path) as whole, ZipFile(path.with_suffix(".zip"), "w", ZIP_DEFLATED) as bomb:
        for each in whole.infolist():
            with bomb.open(each.filename, "w") as entry:
                for _ in range(50 if each.filename.endswith("data.pkl") else 1):
                    entry.write(bytes(2**20))
    path.with_suffix(".zip").replace(path)
    path.with_suffix(".pt.sha256").write_text(checkpoints._sha256(path) + "\n")
    with pytest.raises(CheckpointError, match=r"cannot be read \(it is compressed"):
        store.read("fold")


def test_a_damaged_table_of_contents_is_an_error_that_names_the_file(store):
    store.write("fold", checkpoint())
    path = store.path("fold")
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 1] = 0  # of its last entry
    path.write_bytes(content)
    path.with_suffix(".pt.sha256").write_text(checkpoints._sha256(path) + "\n")
    with pytest.raises(CheckpointError, match=r"fold\.pt cannot be read \(its table of contents"):
        store.read("fold")


def test_a_checkpoint_is_copied_and_removed_with_its_digest(store, tmp_path):
    digest = store.write("fold", checkpoint())
    other = CheckpointStore(tmp_path / "other")
    assert other.copy("kept", store.path("fold")) == digest == other.verify("kept")
    other.remove("kept")
    other.remove("kept")
    assert [path for path in other.folder.iterdir() if path.is_file()] == []
