"""TensorBoard: the curves of a training, as event files.

    pip install tensorboard && tensorboard --logdir data_storage/tensorboard

One folder a seed below MARKET/FOLD: `loss` and `learning_rate` at every step, and
`validation_information` at every look at validation.
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import rmtree

from trading_pipeline.adapters.store.files import naming
from trading_pipeline.core.learning.training import Moment, Record


@contextmanager
def curves(folder: Path, from_step: dict[int, int]) -> Iterator[Record]:
    """What to call with every moment of a training; event files are complete on leaving.

    Args:
        folder: of this training; what an older one of the same fold left there is removed.
        from_step: steps that each seed has done, of a training that goes on: what was drawn up to
            there stays, and what a killed process drew beyond is replaced.

    Raises:
        StoreError: the folder cannot be written, or the disk is full.
    """
    with naming(folder):
        if not from_step:
            rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    with closing(_Curves(folder, from_step)) as drawn:
        yield drawn.draw


class _Curves:
    """An event file for each seed, written in the caller's own thread.

    tensorboardX's SummaryWriter writes in another one, which dies of a full disk without a word,
    and whoever hands it the next ten points waits for ever.
    """

    def __init__(self, folder: Path, from_step: dict[int, int]) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        self.folder, self.from_step = folder, from_step
        self.files: dict[int, EventsWriter] = {}

    def draw(self, moment: Moment) -> None:
        """One step; what was drawn so far is on the disk after every look at validation."""
        with naming(self.folder):
            if moment.seed not in self.files:
                self._open(moment.seed)
            self._point(moment, "loss", moment.loss)
            self._point(moment, "learning_rate", moment.learning_rate)
            if moment.information is not None:
                self._point(moment, "validation_information", moment.information)
                self.files[moment.seed].flush()

    def close(self) -> None:
        with naming(self.folder):
            for file in self.files.values():
                file.close()

    def _open(self, seed: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder = self.folder / f"seed-{seed}"
        folder.mkdir(exist_ok=True)
        # Files are named by the second: two processes of one second need names of their own.
        self.files[seed] = EventsWriter(str(folder / "events"), f".{os.getpid()}")
        if (done := self.from_step.get(seed)) is not None:
            # What was written for the next step and later ones is purged by the reader.
            begun = SessionLog(status=SessionLog.START)
            event = Event(wall_time=time.time(), step=done + 1, session_log=begun)
            self.files[seed].write_event(event)

    def _point(self, moment: Moment, name: str, value: float) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        drawn = scalar(name, value)
        event = Event(wall_time=time.time(), step=moment.step, summary=drawn)
        self.files[moment.seed].write_event(event)
