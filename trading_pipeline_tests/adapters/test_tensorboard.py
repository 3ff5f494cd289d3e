"""Curves of a training, and a disk that has no room for them."""

from pathlib import Path

import pytest

from trading_pipeline.adapters.tensorboard import curves
from trading_pipeline.core.learning.training import Moment
from trading_pipeline.errors import StoreError


def moment(step, information=None):
    return Moment(seed=0, step=step, loss=1.0, learning_rate=1e-3, information=information)


def draw_all(folder, steps):
    with curves(folder, {}) as draw:
        for step in range(1, steps):
            draw(moment(step))
        draw(moment(steps, information=0.1))


def test_a_full_disk_stops_the_training_and_does_not_hang_it(tmp_path, monkeypatch):
    """More points than the queue of a writer in a thread of its own would take."""
    full = Path("/dev/full")
    monkeypatch.setattr("tensorboardX.record_writer.open_file", lambda path: full.open("wb"))
    with pytest.raises(StoreError, match=r"cannot write .*curves.*No space left on device"):
        draw_all(tmp_path / "curves", 2000)


def test_what_was_drawn_is_on_the_disk_at_every_look(tmp_path):
    """A killed process leaves the curve up to the look that it goes on from."""
    with curves(tmp_path / "curves", {}) as draw:
        draw(moment(1))
        draw(moment(2, information=0.1))
        (file,) = (tmp_path / "curves" / "seed-0").iterdir()
        assert b"validation_information" in file.read_bytes()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "curves").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write .*curves"):
        draw_all(tmp_path / "curves", 1)
