"""What a checkpoint has to be before it is used: sound, and of today's recipe and catalog."""

from collections.abc import Mapping
from functools import cache
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trading_pipeline.core.features.catalog import NAMES, catalog_hash
from trading_pipeline.core.learning.calibration import Calibration
from trading_pipeline.core.learning.recipe import Recipe, training_part
from trading_pipeline.core.learning.rivals.rival import Frequencies, from_dict
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.errors import CheckpointError

ENTRIES = (
    *("model", "recipe", "fingerprint", "data_hash", "features", "catalog_hash", "symbols"),
    *("scaler", "calibration", "train_start", "train_end", "last_target"),
    *("metrics", "curves", "start", "states"),
)


def check_checkpoint(checkpoint: dict[str, Any], recipe: Recipe) -> None:
    """Raise CheckpointError where a checkpoint does not fit the recipe or the catalog of today."""
    if checkpoint["catalog_hash"] != catalog_hash():
        known = set(checkpoint["features"])
        raise CheckpointError(
            "the checkpoint was trained on another feature catalog "
            f"(only there: {sorted(known - set(NAMES))}, only here: {sorted(set(NAMES) - known)}; "
            "none on either side: another computation of the same names); train it again"
        )
    if (trained := checkpoint["recipe"]["learner"]) != recipe.learner:
        raise CheckpointError(
            f"the checkpoint's model was {trained} and is {recipe.learner}; train it again"
        )
    ours, theirs = training_part(recipe.to_dict()), training_part(checkpoint["recipe"])
    for section in ("model", "training"):
        _refuse_other(f"{section} settings differ", ours[section], theirs[section])
    then, now = set(checkpoint["symbols"]), set(recipe.market.symbols)
    if checkpoint["symbols"] != list(recipe.market.symbols):
        raise CheckpointError(
            f"the checkpoint was trained on other symbols (only there: {sorted(then - now)}, only "
            f"here: {sorted(now - then)}; none on either side: another order); train it again"
        )
    _refuse_other("market differs", ours["market"], theirs["market"])


def _refuse_other(what: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise CheckpointError that lists the entries which differ, and how."""
    names = sorted(ours.keys() | theirs.keys())
    changed = [name for name in names if ours.get(name) != theirs.get(name)]
    if changed:
        how = ", ".join(
            f"{name} was {theirs.get(name)} and is {ours.get(name)}" for name in changed
        )
        raise CheckpointError(f"the checkpoint's {what} in {changed}: {how}; train it again")


def check_schema(checkpoint: Mapping[str, Any]) -> None:
    """Raise CheckpointError where a checkpoint cannot be a model that was trained here.

    Its digest says that a file is the one that was written, not that it ever was a sound model.
    The message is what follows the name of the file: "lacks ...", "holds ...".
    """
    if missing := [name for name in ENTRIES if name not in checkpoint]:
        raise CheckpointError(f"lacks {', '.join(missing)}")
    try:
        config = ModelConfig.from_dict(checkpoint["model"])
        scaler = Scaler.from_dict(checkpoint["scaler"])
        calibration = Calibration(**checkpoint["calibration"])
        seeds = checkpoint["recipe"]["training"]["seeds"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"holds settings that cannot be read ({error})") from error
    _check_scaler(scaler, config.n_features)
    plain = [each for each in calibration if isinstance(each, float) and isfinite(each)]
    if len(plain) < len(calibration) or min(plain) < 0 or not calibration.half_life > 0:
        raise CheckpointError("holds a calibration with a number that is none, or out of range")
    if "rival" in checkpoint:
        _check_rival(checkpoint["rival"])
        return
    _check_start(checkpoint["start"])
    states = checkpoint["states"]
    if not states or len(states) != len(seeds):
        raise CheckpointError(f"holds {len(states)} networks for {len(seeds)} seeds")
    for seed, state in zip(seeds, states, strict=True):
        check_weights(state, config, f"network of seed {seed}")


def _check_rival(rival: Mapping[str, Any]) -> None:
    try:
        from_dict(rival["name"], rival["fitted"])
        frequencies = Frequencies(tuple(rival["direction"]), rival["risk"])
        plain = [*frequencies.direction, frequencies.risk]
        sound = len(plain) == 4 and all(0 <= each <= 1 for each in plain)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"holds a rival that cannot be read ({error})") from error
    if not sound:
        raise CheckpointError("holds frequencies of a rival that are none")


def _check_start(start: Mapping[str, Any]) -> None:
    try:
        rows = [(str(each["term"]), each["weight"], each["t"]) for each in start["terms"]]
        sound = all(map(isfinite, (start["gain"], *(n for row in rows for n in row[1:]))))
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"holds a start that cannot be read ({error})") from error
    if not sound:
        raise CheckpointError("holds a start with a number that is none")


def check_weights(state: Mapping[str, Tensor], config: ModelConfig, whose: str) -> None:
    """Raise CheckpointError unless these are finite weights of exactly this network."""
    wanted = _shapes(config)
    found = {name: each.shape for name, each in state.items()}
    if odd := sorted(name for name in wanted | found if wanted.get(name) != found.get(name)):
        name = odd[0]
        raise CheckpointError(
            f"holds weights that do not fit its own settings: {name} of the {whose} is "
            f"{_shape(found.get(name))}, and should be {_shape(wanted.get(name))}"
        )
    if broken := [name for name, each in state.items() if not torch.isfinite(each).all()]:
        raise CheckpointError(f"holds numbers that are none, in {broken[0]} of the {whose}")
    _check_terms(state["terms.index"], config, whose)


@cache
def _shapes(config: ModelConfig) -> dict[str, torch.Size]:
    """Of a real network: torch's `meta` device would load for a second and a half of CPU."""
    return {name: each.shape for name, each in TradingNetwork(config).state_dict().items()}


def _check_terms(index: Tensor, config: ModelConfig, whose: str) -> None:
    """Raise CheckpointError for a term of a bar or a feature that no window has."""
    ages, features = index[:, 0::2], index[:, 1::2]
    if not (
        0 <= int(ages.min()) <= int(ages.max()) < config.n_steps
        and 0 <= int(features.min()) <= int(features.max()) <= config.n_features
    ):
        raise CheckpointError(f"holds a {whose} with terms of bars or features that there are not")


def _check_scaler(scaler: Scaler, features: int) -> None:
    for values in (scaler.center, scaler.scale):
        if values.shape != (features,):
            raise CheckpointError(f"holds a scaler of {values.shape} for {features} features")
    if (
        not np.isfinite(scaler.center).all()
        or not (np.isfinite(scaler.scale) & (scaler.scale > 0)).all()
    ):
        raise CheckpointError(
            "holds a scaler with a number that is none, or a scale that is not positive"
        )


def _shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else str(tuple(shape))
