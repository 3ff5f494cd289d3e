"""Training, as the assets of models do it: in this process, or in several through Dagster Pipes."""

from shutil import rmtree
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError

from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.progress import Advance
from trading_pipeline.defs.inputs import Plan, recipe_of
from trading_pipeline.defs.resources import Home

if TYPE_CHECKING:  # it loads torch, which the code location must not
    from trading_pipeline.core.learning.dataset import Dataset


def trained(
    context: dg.AssetExecutionContext,
    home: Home,
    plan: Plan,
    data: "Dataset",
    fold: Fold,
    name: str,
    watch: Advance,
) -> tuple[dict[str, Any], str]:
    """The checkpoint of a fold, stored, and its digest.

    A training that was killed goes on where it was; a second one of the same fold waits its turn.
    """
    store = home.checkpoints(plan.market)
    busy = f"another process trains {plan.market.name} {name}; waiting until it ends"
    with store.one_training(name, lambda: context.log.warning(busy)):
        if plan.processes > 1:
            checkpoint = _in_processes(context, home, plan, data, fold, name)
        else:
            checkpoint = _here(home, plan, data, fold, name, watch)
        digest = store.write(name, checkpoint)
        rmtree(home.training_job(plan.market, name), ignore_errors=True)
    return checkpoint, digest


def _here(
    home: Home, plan: Plan, data: "Dataset", fold: Fold, name: str, watch: Advance
) -> dict[str, Any]:
    from trading_pipeline.adapters.tensorboard import curves
    from trading_pipeline.core.learning.checkpoint import model_fingerprint, train_fold

    store, recipe = home.checkpoints(plan.market), recipe_of(plan)
    fingerprint = model_fingerprint(data.panel, fold, recipe)
    saved = store.read_unfinished(name, fingerprint)
    done = {seed: run["step"] for seed, run in saved.items()}
    with curves(home.curves(plan.market, name), done) as record:
        return train_fold(
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
    context: dg.AssetExecutionContext,
    home: Home,
    plan: Plan,
    data: "Dataset",
    fold: Fold,
    name: str,
) -> dict[str, Any]:
    """By `torch.distributed.run`, whose processes report through Dagster Pipes."""
    from trading_pipeline.adapters.distributed import command, read_result, write_job

    folder, recipe = home.training_job(plan.market, name), recipe_of(plan)
    write_job(folder, data, fold, recipe, {}, plan.device, drawn=home.curves(plan.market, name))
    try:
        dg.PipesSubprocessClient().run(command=command(folder, plan.processes), context=context)
    except DagsterPipesExecutionError as error:
        # An exit code says little: the workers leave their reason beside the job.
        context.log.error(str(error))
    return read_result(folder)
