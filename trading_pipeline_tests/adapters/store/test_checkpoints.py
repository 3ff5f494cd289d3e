"""Checkpoints on disk: whole or refused; and trainings that were interrupted."""

import pytest
import torch

from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.errors import CheckpointError

CHECKPOINT = {"states": [{"weight": torch.arange(6.0)}], "metrics": {"ic": 0.02}}
RUNS = {0: {"step": 300, "best": {"weight": torch.ones(2)}}, 1: {"step": 50, "best": {}}}


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "models")


def test_what_is_written_can_be_read(store):
    digest = store.write("2010-01-01", CHECKPOINT)
    read = store.read("2010-01-01")
    assert torch.equal(read["states"][0]["weight"], torch.arange(6.0))
    assert read["metrics"] == {"ic": 0.02}
    assert store.verify("2010-01-01") == digest


def test_a_flipped_byte_is_refused(store):
    """torch loads such a file without complaint."""
    store.write("fold", CHECKPOINT)
    content = bytearray(store.path("fold").read_bytes())
    place = content.index(torch.arange(6.0).numpy().tobytes())
    content[place + 2] ^= 1
    store.path("fold").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"fold\.pt is not the file that was written"):
        store.read("fold")


def test_half_a_file_is_refused(store):
    store.write("fold", CHECKPOINT)
    content = store.path("fold").read_bytes()
    store.path("fold").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="run `trading-pipeline train`"):
        store.read("fold")


def test_an_interrupted_training_is_found_by_what_it_was_made_of(store):
    store.write_unfinished("fold", "abc", RUNS)
    read = store.read_unfinished("fold", "abc")
    assert read[0]["step"] == 300
    assert torch.equal(read[0]["best"]["weight"], torch.ones(2))
    assert store.read_unfinished("fold", "other bars") == {}
    assert store.read_unfinished("other fold", "abc") == {}


def test_a_finished_training_leaves_nothing_unfinished(store):
    store.write_unfinished("fold", "abc", RUNS)
    store.write("fold", CHECKPOINT)
    assert store.read_unfinished("fold", "abc") == {}
    assert store.names() == ["fold"]


@pytest.mark.parametrize("damage", [b"", b"not a file of torch", None])
def test_a_damaged_unfinished_training_starts_again(store, damage):
    """It costs time, and must not stop anyone."""
    store.write_unfinished("fold", "abc", RUNS)
    path = store.folder / "unfinished" / "fold.pt"
    path.write_bytes(path.read_bytes()[:-500] if damage is None else damage)
    assert store.read_unfinished("fold", "abc") == {}
