"""Train the model of a fold, or of production: in this process, or in several that share it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from shutil import rmtree
from typing import Any

from trading_pipeline.adapters.distributed import command, read_result, write_job
from trading_pipeline.adapters.tensorboard import curves
from trading_pipeline.core.learning import checkpoint as learning
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.inference import Predictor
from trading_pipeline.core.learning.soundness import check_checkpoint
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.model.config import CANDIDATES
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import CheckpointError
from trading_pipeline.steps.freshness import stored_model
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import fold_of, read_dataset
from trading_pipeline.steps.plan import Plan


@dataclass(frozen=True)
class Host:
    """Where a training runs, as it sees it."""

    watching: Callable[[str], Advance]  # from the name of a piece of work to who watches it
    warn: Callable[[str], object]
    launch: Callable[[list[str]], object]  # runs a command to its end, and tells of its failure


@dataclass(frozen=True)
class Trained:
    """A stored checkpoint."""

    checkpoint: dict[str, Any]
    digest: str  # SHA-256 of its file
    is_new: bool = True  # not kept from an earlier training on the same bars


def train(home: Home, plan: Plan, key: str, host: Host) -> Trained:
    """The networks of a fold, trained on the bars before it.

    Targets end before the fold's first decision; later bars are cut off first.

    Raises:
        HistoryTooShort: the stored bars allow no such fold.
    """
    data = read_dataset(home, plan)
    fold = fold_of(data, plan.recipe, key)
    return train_fold(home, plan, data, fold, key, host, f"fold {key}")


def train_fold(
    home: Home, plan: Plan, data: Dataset, fold: Fold, name: str, host: Host, label: str
) -> Trained:
    """Train, and store the checkpoint under that name.

    A training that was killed goes on where it was; a second one of the same fold waits its turn.
    """
    store = home.checkpoints(plan.market)
    watch = host.watching(f"{plan.market.name} {label}: training")
    busy = f"another process trains {plan.market.name} {name}; waiting until it ends"
    with store.one_training(name, lambda: host.warn(busy)):
        if plan.model == "best":
            checkpoint = _best(home, plan, data, fold, name, host)
        elif plan.processes > 1 and plan.model == "network":
            checkpoint = _in_processes(home, plan, data, fold, name, host)
        else:
            checkpoint = _here(home, plan, data, fold, name, watch)
        device = "cpu" if "rival" in checkpoint else plan.device
        digest = store.write(name, checkpoint, trained_on=device)
        rmtree(home.training_job(plan.market, name), ignore_errors=True)
    return Trained(checkpoint, digest)


def train_beside(
    home: Home, plan: Plan, model: str, data: Dataset, fold: Fold, name: str, host: Host
) -> Trained:
    """The checkpoint of another model than the plan's; the one that there is, if it is of this
    recipe and these bars."""
    home, plan = home.beside(model), replace(plan, model=model)
    kept = stored_model(home, plan, data.panel, fold, name)
    if kept is not None:
        return Trained(kept, home.checkpoints(plan.market).verify(name), is_new=False)
    return train_fold(home, plan, data, fold, name, host, f"{model} of {name}")


def checkpoint_faults(home: Home, plan: Plan, names: list[str]) -> list[str]:
    """What is wrong with stored checkpoints: not whole, not plain types, or of another recipe."""
    store, recipe, faults = home.checkpoints(plan.market), plan.recipe, []
    for name in names:
        try:
            checkpoint = store.read(name)
            check_checkpoint(checkpoint, recipe)
            Predictor(checkpoint)
        except CheckpointError as error:
            faults.append(f"{name}: {error}")
    return faults


def _best(
    home: Home, plan: Plan, data: Dataset, fold: Fold, name: str, host: Host
) -> dict[str, Any]:
    """All candidates, each beside the market's own model, and of them the one that is chosen."""
    candidates = {
        model: train_beside(home, plan, model, data, fold, name, host).checkpoint
        for model in CANDIDATES
    }
    return learning.best_of(candidates, data, fold, plan.recipe)


def _here(
    home: Home, plan: Plan, data: Dataset, fold: Fold, name: str, watch: Advance
) -> dict[str, Any]:
    store, recipe = home.checkpoints(plan.market), plan.recipe
    fingerprint = learning.model_fingerprint(data.panel, fold, recipe)
    saved = store.read_unfinished(name, fingerprint)
    done = {seed: run["step"] for seed, run in saved.items()}
    with curves(home.curves(plan.market, name), done) as record:
        return learning.train_fold(
            data,
            fold,
            recipe,
            watch,
            saved=saved,
            save=lambda runs: store.write_unfinished(name, fingerprint, runs),
            device=plan.device,
            record=record,
        )


def _in_processes(
    home: Home, plan: Plan, data: Dataset, fold: Fold, name: str, host: Host
) -> dict[str, Any]:
    """By `torch.distributed.run`; why it failed, workers leave beside the job."""
    folder, drawn = home.training_job(plan.market, name), home.curves(plan.market, name)
    write_job(folder, data, fold, plan.recipe, {}, plan.device, drawn=drawn)
    host.launch(command(folder, plan.processes))
    return read_result(folder)
