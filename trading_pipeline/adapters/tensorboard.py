"""TensorBoard: the curves of a training, as event files.

    pip install tensorboard && tensorboard --logdir data_storage/tensorboard

One folder a seed below MARKET/FOLD: `loss` and `learning_rate` at every step, and
`validation_information` at every look at validation.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

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
        StoreError: the folder cannot be written.
    """
    from tensorboardX import SummaryWriter

    writers: dict[int, Any] = {}
    with naming(folder):
        if not from_step:
            rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:

        def draw(moment: Moment) -> None:
            if moment.seed not in writers:
                done = from_step.get(moment.seed)
                # What was written for this step and later ones is purged by the reader.
                purge = None if done is None else done + 1
                writer = SummaryWriter(str(folder / f"seed-{moment.seed}"), purge_step=purge)
                writers[moment.seed] = closing.enter_context(writer)
            for name in ("loss", "learning_rate"):
                writers[moment.seed].add_scalar(name, getattr(moment, name), moment.step)
            if moment.information is not None:
                named = "validation_information"
                writers[moment.seed].add_scalar(named, moment.information, moment.step)

        yield draw
