"""One training shared by several processes, on one host or many: a job in a folder, and its worker.

    python -m torch.distributed.run --standalone --nproc-per-node=2 \\
        -m trading_pipeline.adapters.distributed FOLDER

Every process reads the job, takes its blocks of each step, and ends with the same weights; the
first one writes the checkpoint into the folder. Reports to Dagster through Pipes where Dagster
launched it. For several hosts the folder is one that all of them see, and every host runs

    python -m torch.distributed.run --nnodes=2 --node-rank=0 --nproc-per-node=8 \\
        --rdzv-backend=c10d --rdzv-endpoint=FIRST_HOST:29500 \\
        -m trading_pipeline.adapters.distributed FOLDER

with its own `--node-rank`. A run that was killed goes on from `runs.pt` when it is started again.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor

from trading_pipeline.adapters.processes import leave_with_parent
from trading_pipeline.adapters.store.checkpoints import load, read_runs, save, write_runs
from trading_pipeline.adapters.store.files import remove_file, replace_file
from trading_pipeline.adapters.tensorboard import curves
from trading_pipeline.adapters.timed_progress import TimedProgress
from trading_pipeline.core.learning.checkpoint import model_fingerprint, train_fold
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.training import Record, unrecorded
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import StoreError, TradingPipelineError, TrainingError

ARRAYS, JOB, RUNS, RESULT = "arrays.npz", "job.pt", "runs.pt", "result.pt"
REFUSAL = "refusal.txt"
WORKER = "trading_pipeline.adapters.distributed"  # this module, also when it is run as one
_LABELS = ("timestamps", "symbols", "total_return_units")


class ProcessGroup:
    """The ranks of torch's process group: NCCL between GPUs, gloo between CPUs."""

    def __init__(self) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """In one message: many small ones would take longer to send than to compute."""
        flat = torch.cat([each.reshape(-1) for each in tensors])
        dist.all_reduce(flat)
        sizes = [each.numel() for each in tensors]
        totals = flat.split(sizes)  # type: ignore[no-untyped-call]
        for each, total in zip(tensors, totals, strict=True):
            each.copy_(total.view_as(each))


def write_job(
    folder: Path,
    data: Dataset,
    fold: Fold,
    recipe: Recipe,
    runs: dict[int, Any],
    device: str = "cpu",
    drawn: Path | None = None,
) -> None:
    """All that a worker needs, in plain types.

    Args:
        folder: an empty one, or that of a job which was interrupted.
        runs: of an interrupted training, by seed; the folder's own, if they are of the same
            recipe and bars, go before.
        device: "cpu", or "cuda" for a GPU of its own for each process.
        drawn: where event files for TensorBoard go; None: nowhere.
    """
    fingerprint = model_fingerprint(data.panel, fold, recipe)
    arrays = {
        **{
            f"panel_{name}": each
            for name, each in _arrays_of(data.panel).items()
            if name not in _LABELS
        },
        **{name: each for name, each in vars(data).items() if name != "panel"},
    }
    job = {
        "timestamps": data.panel.timestamps.asi8.tolist(),
        "unit": data.panel.timestamps.unit,
        "symbols": list(data.panel.symbols),
        "total_return_units": data.panel.total_return_units,
        "fold": asdict(fold),
        "recipe": recipe.to_dict(),
        "fingerprint": fingerprint,
        "device": device,
        "drawn": str(drawn) if drawn else None,
        "runs": read_runs(folder / RUNS, fingerprint) or runs,
    }
    replace_file(folder / ARRAYS, lambda draft: np.savez(draft, **arrays))
    save(job, folder / JOB)
    for stale in (RESULT, REFUSAL):
        remove_file(folder / stale)


def command(folder: Path, processes: int) -> list[str]:
    """What starts the workers of a job on this host, and ends with whoever started it."""
    return [sys.executable, "-m", WORKER, str(folder), str(processes)]


def read_result(folder: Path) -> dict[str, Any]:
    """The checkpoint that the workers made.

    Raises:
        TrainingError: they refused, for the reason that it gives.
        StoreError: there is none: they were stopped, or could not be started.
    """
    path, refusal = folder / RESULT, folder / REFUSAL
    if refusal.exists():
        raise TrainingError(refusal.read_text(encoding="utf-8"))
    if not path.exists():
        raise StoreError(
            f"{path} does not exist: the training processes ended without a result; what they "
            "wrote is in the log of the run. Start the training again: it goes on where it was"
        )
    checkpoint: dict[str, Any] = load(path)
    return checkpoint


def work(folder: Path, log: Callable[[str], None]) -> None:
    """Train as one of the ranks; the first one saves the runs as they go, and the checkpoint."""
    job = load(folder / JOB)
    data, fold = _read_data(folder, job), _fold_of(job["fold"])
    ranks = ProcessGroup()
    first = ranks.rank == 0
    watch = TimedProgress().start(f"fold {fold.key}, {ranks.count} processes", log)
    with _curves(job) if first else nullcontext(unrecorded) as record:
        checkpoint = train_fold(
            data,
            fold,
            Recipe.from_dict(job["recipe"]),
            watch if first else _unwatched,
            saved=job["runs"],
            save=_keeper(folder, job["fingerprint"]) if first else _unsaved,
            device=_own_device(job["device"]),
            ranks=ranks,
            record=record,
        )
    if first:
        save(checkpoint, folder / RESULT)


def main() -> None:
    """`FOLDER PROCESSES` launches workers; `FOLDER` is one, started by `torch.distributed.run`."""
    leave_with_parent()  # a worker has a session of its own, which no kill of the run reaches
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        _launch(folder, int(sys.argv[2]))
    else:
        _join(folder)


def _launch(folder: Path, processes: int) -> None:
    from torch.distributed.run import main as run

    worker = ("-m", WORKER, str(folder))
    run(["--standalone", f"--nproc-per-node={processes}", *worker])


def _join(folder: Path) -> None:
    """Be one of the workers."""
    from dagster_pipes import open_dagster_pipes

    job = load(folder / JOB)
    dist.init_process_group("nccl" if job["device"].startswith("cuda") else "gloo")
    try:
        if dist.get_rank() == 0 and "DAGSTER_PIPES_CONTEXT" in os.environ:
            with open_dagster_pipes() as pipes:
                work(folder, pipes.log.info)
        else:
            work(folder, print)
    except TradingPipelineError as error:
        reason = str(error)
        replace_file(folder / REFUSAL, lambda draft: draft.write_text(reason, encoding="utf-8"))
        raise
    finally:
        dist.destroy_process_group()


def _curves(job: dict[str, Any]) -> AbstractContextManager[Record]:
    if job["drawn"] is None:
        return nullcontext(unrecorded)
    return curves(Path(job["drawn"]), {seed: run["step"] for seed, run in job["runs"].items()})


def _keeper(folder: Path, fingerprint: str) -> Callable[[dict[int, Any]], None]:
    return lambda runs: write_runs(folder / RUNS, fingerprint, runs)


def _own_device(device: str) -> str:
    """A GPU of its own for each rank of a host."""
    if device != "cuda":
        return device
    own = f"cuda:{dist.get_node_local_rank()}"
    torch.cuda.set_device(own)
    return own


def _arrays_of(panel: Panel) -> dict[str, Any]:
    return {each.name: getattr(panel, each.name) for each in fields(Panel)}


def _read_data(folder: Path, job: dict[str, Any]) -> Dataset:
    stamps = np.array(job["timestamps"], dtype=f"datetime64[{job['unit']}]")
    labels = {
        "timestamps": pd.DatetimeIndex(stamps, tz="UTC"),
        "symbols": tuple(job["symbols"]),
        "total_return_units": job["total_return_units"],
    }
    with np.load(folder / ARRAYS) as arrays:
        read = {name: arrays[name] for name in arrays.files}
    of_panel = {name[6:]: read.pop(name) for name in list(read) if name.startswith("panel_")}
    return Dataset(panel=Panel(**labels, **of_panel), **read)


def _fold_of(plain: dict[str, Any]) -> Fold:
    spans = {name: Rows(**plain[name]) for name in ("train", "validation", "test")}
    return Fold(plain["key"], **spans)


def _unwatched(done: int, total: int, note: str) -> None:
    """Only the first rank reports."""


def _unsaved(runs: dict[int, Any]) -> None:
    """Only the first rank saves; the others have the same."""


if __name__ == "__main__":
    main()
