"""What a checkpoint has to contain before anything is predicted with it.

Its digest says that a file is the one that was written, not that it ever was a sound model.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.errors import CheckpointError

ENTRIES = (
    *("model", "recipe", "fingerprint", "data_hash", "features", "catalog_hash", "symbols"),
    *("scaler", "blend", "train_start", "train_end", "last_target", "metrics", "curves", "states"),
)


def check_schema(checkpoint: Mapping[str, Any]) -> None:
    """Raise CheckpointError where a checkpoint cannot be a model that was trained here.

    The message is what follows the name of the file: "lacks ...", "holds ...".
    """
    if missing := [name for name in ENTRIES if name not in checkpoint]:
        raise CheckpointError(f"lacks {', '.join(missing)}")
    try:
        config = ModelConfig.from_dict(checkpoint["model"])
        scaler = Scaler.from_dict(checkpoint["scaler"])
        seeds = checkpoint["recipe"]["training"]["seeds"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"holds settings that cannot be read ({error})") from error
    _check_scaler(scaler, config.n_features)
    states = checkpoint["states"]
    if not states or len(states) != len(seeds):
        raise CheckpointError(f"holds {len(states)} networks for {len(seeds)} seeds")
    for seed, state in zip(seeds, states, strict=True):
        check_weights(state, config, f"network of seed {seed}")


def check_weights(state: Mapping[str, Tensor], config: ModelConfig, whose: str) -> None:
    """Raise CheckpointError unless these are finite weights of exactly this network."""
    with torch.device("meta"):  # shapes without memory
        wanted = {name: each.shape for name, each in TradingNetwork(config).state_dict().items()}
    found = {name: each.shape for name, each in state.items()}
    if odd := sorted(name for name in wanted | found if wanted.get(name) != found.get(name)):
        name = odd[0]
        raise CheckpointError(
            f"holds weights that do not fit its own settings: {name} of the {whose} is "
            f"{_shape(found.get(name))}, and should be {_shape(wanted.get(name))}"
        )
    if broken := [name for name, each in state.items() if not torch.isfinite(each).all()]:
        raise CheckpointError(f"holds numbers that are none, in {broken[0]} of the {whose}")


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
