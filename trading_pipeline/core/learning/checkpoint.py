"""Checkpoints: what a fold's training makes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from trading_pipeline.core.features.catalog import NAMES, catalog_hash
from trading_pipeline.core.learning.budget import epochs_of
from trading_pipeline.core.learning.calibration import (
    believe,
    calibrate,
    heads_on,
)
from trading_pipeline.core.learning.dataset import Dataset, burn_in
from trading_pipeline.core.learning.recipe import Recipe, fingerprint
from trading_pipeline.core.learning.rivals.choice import choose
from trading_pipeline.core.learning.rivals.rival import Frequencies, fit, scores_on
from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.screening import Found
from trading_pipeline.core.learning.targets import Targets, make_targets
from trading_pipeline.core.learning.training import (
    ALONE,
    Look,
    Ranks,
    Record,
    Saved,
    Start,
    sampler_of,
    train_network,
    unrecorded,
)
from trading_pipeline.core.learning.validation import validation_text
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.eligibility import EligibilityRule, refusals, rules_of
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.model.config import LEARNED_BASELINES, TrainingConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import TrainingError


def train_fold(
    data: Dataset,
    fold: Fold,
    recipe: Recipe,
    on_step: Advance = lambda done, total, note: None,
    saved: dict[int, Saved] | None = None,
    save: Callable[[dict[int, Saved]], None] = lambda runs: None,
    device: str = "cpu",
    ranks: Ranks = ALONE,
    record: Record = unrecorded,
) -> dict[str, Any]:
    """Train a fold's model on the rows before it; the checkpoint, as plain types and tensors.

    Nothing at or after `fold.test.first` is read: the dataset is cut there first.

    Args:
        saved: runs by seed of a training of the same fold, data and recipe that was interrupted.
        save: called with the runs so far after every look at validation.
        device: "cpu", "cuda", "cuda:1", ...; the checkpoint is of the CPU all the same.
        ranks: the processes that share the work.
        record: called after every step of every seed, for curves.

    A rival of the network is fitted in a moment, and on the CPU: these arguments are not for it.
    """
    scaler, targets, samples = training_arrays(data, fold, recipe)
    if recipe.learner in LEARNED_BASELINES:
        learned = _fit_rival(samples, targets, fold, recipe)
    else:
        training, epochs = epochs_of(recipe.training, samples.usable, fold.train)
        on_step(
            0, training.steps, epochs.text(training) if epochs else "looking for what stands out"
        )
        start = Start.of(samples, fold, recipe.model, recipe.market.horizon)
        samples = samples.to(_usable_device(device))
        trained = _train_seeds(
            samples, fold, recipe, training, start, on_step, saved or {}, save, ranks, record
        )
        learned = _of_networks(trained, start.found, samples, targets, fold, recipe)
        said = validation_text(learned["metrics"], recipe.market.horizon)
        on_step(training.steps, training.steps, said)
    stamps = data.panel.timestamps
    return {
        "model": recipe.model.to_dict(),
        "recipe": recipe.to_dict(),
        "fingerprint": model_fingerprint(data.panel, fold, recipe),
        "data_hash": data.panel.data_hash(fold.test.first),
        "features": list(NAMES),
        "catalog_hash": catalog_hash(),
        "symbols": list(data.panel.symbols),
        "scaler": scaler.to_dict(),
        "train_start": stamps[fold.train.first].isoformat(),
        "train_end": stamps[fold.validation.last].isoformat(),
        # The last bar that any target touched: the checkpoint is refused for it and all before.
        "last_target": stamps[fold.validation.last + recipe.market.horizon + 1].isoformat(),
        **learned,
    }


def best_of(
    candidates: Mapping[str, dict[str, Any]], data: Dataset, fold: Fold, recipe: Recipe
) -> dict[str, Any]:
    """The checkpoint of the candidate that validation chooses, as one of a recipe of "best"."""
    metrics = {name: each["metrics"] for name, each in candidates.items()}
    choice = choose(metrics, recipe.market.horizon)
    said = {name: each["validation_information"] for name, each in metrics.items()}
    return {
        **candidates[choice.name],
        "recipe": recipe.to_dict(),
        "fingerprint": model_fingerprint(data.panel, fold, recipe),
        "choice": {**choice._asdict(), "validation_information": said},
    }


def _of_networks(
    trained: list[tuple[TradingNetwork, list[Look]]],
    found: Found,
    samples: Samples,
    targets: Targets,
    fold: Fold,
    recipe: Recipe,
) -> dict[str, Any]:
    """Entries of a checkpoint of networks."""
    networks, market = [network for network, _ in trained], recipe.market
    price, position, multiple = heads_on(networks, samples, fold.validation)
    price = believe(networks, samples, fold.validation, market.horizon, price)
    calibration, metrics = calibrate(price, position, multiple, samples, targets, fold, market)
    return {
        "calibration": calibration._asdict(),
        "metrics": metrics,
        "curves": [[asdict(look) for look in looks] for _, looks in trained],
        "start": {"terms": found.in_words(NAMES), "gain": float(networks[0].answers.gain)},
        "states": [
            {name: each.cpu() for name, each in network.state_dict().items()}
            for network in networks
        ],
    }


def _fit_rival(samples: Samples, targets: Targets, fold: Fold, recipe: Recipe) -> dict[str, Any]:
    """Entries of a checkpoint of a rival of the network."""
    rival = fit(recipe.learner, samples, fold, recipe.model.n_steps)
    price = scores_on(rival, samples, fold.validation, recipe.model.n_steps)
    calibration, metrics = calibrate(price, None, None, samples, targets, fold, recipe.market)
    return {
        "calibration": calibration._asdict(),
        "metrics": metrics,
        "curves": [],
        "start": {},
        "states": [],
        "rival": {
            "name": recipe.learner,
            "fitted": rival.to_dict(),
            **Frequencies.of(samples, fold.train)._asdict(),
        },
    }


def _usable_device(name: str) -> torch.device:
    """The device of that name, or TrainingError where this torch does not see it."""
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(
            f"torch {torch.__version__} sees {torch.cuda.device_count()} GPUs, and none is {name}. "
            'Set device = "cpu" for this market, or install a build of torch for your GPU '
            "(the Makefile says how)"
        )
    return device


def _train_seeds(
    samples: Samples,
    fold: Fold,
    recipe: Recipe,
    training: TrainingConfig,
    start: Start,
    on_step: Advance,
    saved: dict[int, Saved],
    save: Callable[[dict[int, Saved]], None],
    ranks: Ranks,
    record: Record,
) -> list[tuple[TradingNetwork, list[Look]]]:
    """A network and its looks at validation for each seed; arguments as of `train_fold`, and the
    recipe's `training` with its epochs as steps."""
    costs, runs = recipe.market.costs, dict(saved)

    def keep(run: Saved) -> None:
        runs[run["seed"]] = run
        save(runs)

    return [
        train_network(
            samples,
            fold,
            recipe.model,
            training,
            costs.fee + costs.slippage,
            seed,
            start,
            on_step,
            saved=runs.get(seed),
            save=keep,
            ranks=ranks,
            record=record,
        )
        for seed in training.seeds
    ]


def training_arrays(data: Dataset, fold: Fold, recipe: Recipe) -> tuple[Scaler, Targets, Samples]:
    """All that training sees of a market: rows [0, fold.test.first) of it, and no later bar.

    Raises:
        TrainingError: nothing is left to learn from; names the rules that took it.
    """
    seen = _before(data, fold.test.first)
    scaler = Scaler.fit(seen.grid[fold.train.first : fold.train.last + 1])
    targets = targets_of(seen, recipe)
    samples = Samples.of(seen, targets, scaler)
    try:
        sampler_of(samples, fold, recipe.training)
    except TrainingError as error:
        raise TrainingError(f"{error}: {_why_nothing(seen, targets, fold, recipe)}") from error
    return scaler, targets, samples


def targets_of(data: Dataset, recipe: Recipe) -> Targets:
    """What a recipe's heads learn of a dataset."""
    costs = recipe.market.costs
    return make_targets(
        data.panel,
        data.sigma,
        data.eligible,
        recipe.market.horizon,
        band=recipe.training.direction_band,
        round_trip=2 * (costs.fee + costs.slippage),
    )


def _why_nothing(data: Dataset, targets: Targets, fold: Fold, recipe: Recipe) -> str:
    """Which rules leave a fold nothing to learn from, and how many bars each takes."""
    n_steps, moving = recipe.model.n_steps, data.sigma > 0
    rules = (
        *rules_of(data.panel, burn_in(n_steps), window=n_steps),
        EligibilityRule(
            moving, "no volatility: the price did not move for 63 bars, or fewer are known"
        ),
        EligibilityRule(
            np.isfinite(targets.price) | ~(data.eligible & moving),
            f"no known outcome: a bar {recipe.market.horizon + 1} later is missing, or the history "
            "breaks before it",
        ),
    )
    return refusals(data.panel, rules, slice(fold.train.first, fold.train.last + 1))


def model_fingerprint(panel: Panel, fold: Fold, recipe: Recipe) -> str:
    """Equal fingerprints mean equal checkpoints: recipe, catalog and all bars before the fold."""
    return fingerprint(recipe.training_hash(catalog_hash()), panel.data_hash(fold.test.first))


def _before(data: Dataset, rows: int) -> Dataset:
    return Dataset(
        panel=data.panel.until(rows),
        **{
            name: getattr(data, name)[:rows]
            for name in ("grid", "sigma", "eligible", "overnight", "intraday")
        },
    )


def size_text(checkpoint: dict[str, Any]) -> str:
    """How large the trained networks are, or which rival of theirs it is, for people."""
    if "rival" in checkpoint:
        return str(checkpoint["rival"]["name"])
    states: list[dict[str, torch.Tensor]] = checkpoint["states"]
    return f"{len(states)} × {sum(value.numel() for value in states[0].values()):,} parameters"
