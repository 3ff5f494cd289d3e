"""One training shared by several processes, on one host or many: a job in a folder, and its worker.

    python -m torch.distributed.run --standalone --nproc-per-node=2 \\
        -m trading_pipeline.adapters.distributed FOLDER

Every process reads the job, takes its blocks of each step, and ends with the same weights; the
first one writes the checkpoint into the folder. For several hosts the folder is one that all of
them see, and `--nnodes`, `--node-rank` and `--rdzv-endpoint` take the place of `--standalone`.
Reports to Dagster through Pipes where Dagster launched it.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor

from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Progress
from trading_pipeline.errors import StoreError

ARRAYS, JOB, RUNS, RESULT = "arrays.npz", "job.pt", "runs.pt", "result.pt"
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
) -> None:
    """All that a worker needs, in plain types; `runs` are those of an interrupted training."""
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
        "recipe": recipe.to_plain(),
        "device": device,
        "runs": runs,
    }
    replace_file(folder / ARRAYS, lambda draft: np.savez(draft, **arrays))
    replace_file(folder / JOB, lambda draft: torch.save(job, draft))
    (folder / RESULT).unlink(missing_ok=True)


def read_result(folder: Path) -> dict[str, Any]:
    """The checkpoint that the workers made.

    Raises:
        StoreError: there is none: they were stopped, or could not be started.
    """
    path = folder / RESULT
    if not path.exists():
        raise StoreError(f"{path} does not exist: the training processes ended without a result")
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def work(folder: Path, log: Callable[[str], None]) -> None:
    """Train as one of the ranks; the first one saves the runs as they go, and the checkpoint."""
    job = torch.load(folder / JOB, weights_only=True)
    data, fold = _read_data(folder, job), _fold_of(job["fold"])
    ranks = ProcessGroup()
    first = ranks.rank == 0
    watch = Progress().start(f"fold {fold.key}, {ranks.count} processes", log)
    checkpoint = train_fold(
        data,
        fold,
        Recipe.from_plain(job["recipe"]),
        watch if first else _unwatched,
        saved=job["runs"],
        save=(lambda runs: _save(folder / RUNS, runs)) if first else _unsaved,
        device=_own_device(job["device"]),
        ranks=ranks,
    )
    if first:
        _save(folder / RESULT, checkpoint)


def main() -> None:
    """The worker: what `torch.distributed.run` starts, once for each rank."""
    from dagster_pipes import open_dagster_pipes

    folder = Path(sys.argv[1])
    job = torch.load(folder / JOB, weights_only=True)
    dist.init_process_group("nccl" if job["device"].startswith("cuda") else "gloo")
    try:
        if dist.get_rank() == 0 and "DAGSTER_PIPES_CONTEXT" in os.environ:
            with open_dagster_pipes() as pipes:
                work(folder, pipes.log.info)
        else:
            work(folder, print)
    finally:
        dist.destroy_process_group()


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


def _save(path: Path, content: Any) -> None:
    replace_file(path, lambda draft: torch.save(content, draft))


def _unwatched(done: int, total: int, note: str) -> None:
    """Only the first rank reports."""


def _unsaved(runs: dict[int, Any]) -> None:
    """Only the first rank saves; the others have the same."""


if __name__ == "__main__":
    main()
