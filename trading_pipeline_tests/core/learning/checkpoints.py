"""Checkpoints that were never trained: sound, and the same on every machine.

A training ends on other bits where a processor adds in another order, and a test of what is
traded must not hang on them. These have the weights that a network begins with, but those that are
0 then: a network that says nothing could see the whole future, and no test would know.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from trading_pipeline.core.features.catalog import NAMES, catalog_hash
from trading_pipeline.core.learning.checkpoint import model_fingerprint, training_arrays
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.samples import Samples, block_outputs
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.targets import make_targets
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.learning.windows import Block
from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.terms import Term
from trading_pipeline_tests.core.learning.sample_market import dataset, fold, recipe


def made_up(made: Recipe | None = None) -> dict[str, Any]:
    """As `train_fold` makes it of the recipe; that of the short sample market if none is given."""
    made = made or recipe()
    return {
        "model": made.model.to_dict(),
        "recipe": made.to_dict(),
        "fingerprint": "f" * 64,
        "data_hash": "d" * 64,
        "features": list(NAMES),
        "catalog_hash": catalog_hash(),
        "symbols": list(made.market.symbols),
        "scaler": {"center": [0.0] * len(NAMES), "scale": [1.0] * len(NAMES)},
        "calibration": {
            **{"weight": 0.5, "position_scale": 1.0, "slope": 0.8, "slope_error": 0.2},
            **{"market": 0.2, "half_life": 12.0},
        },
        "train_start": "2001-01-02T00:00:00+00:00",
        "train_end": "2005-11-28T00:00:00+00:00",
        "last_target": "2005-12-30T00:00:00+00:00",
        "metrics": {"validation_information": 0.02, "validation_coefficients": []},
        "curves": [[{"step": 3, "loss": 2.0, "information": 0.02}]],
        "start": {"terms": [{"term": "rsi_14", "weight": 0.1, "t": 6.0}], "gain": 0.35},
        "states": [dict(speaking(made.model, seed).state_dict()) for seed in made.training.seeds],
    }


def speaking(config: ModelConfig, seed: int) -> TradingNetwork:
    """An untrained network whose price head and terms answer to what is in the window."""
    network = TradingNetwork(config, seed=seed).eval()
    network.terms.put([Term(0, 0), Term(1, 1), Term(0, 2, 2, 3)], torch.tensor([0.1, -0.2, 0.1]))
    reach = config.fusion_width**-0.5
    with torch.no_grad():
        network.answers.price.weight.uniform_(
            -reach, reach, generator=torch.Generator().manual_seed(seed)
        )
        network.answers.gain.fill_(0.5)
    return network


def untrained(
    data: Dataset | None = None, its_fold: Fold | None = None, made: Recipe | None = None
) -> dict[str, Any]:
    """Of a fold, 2006 of the short sample market if none is given: with the scaler of its bars."""
    data, made = data or dataset(), made or recipe()
    its_fold = its_fold or fold(data)
    stamps = data.panel.timestamps
    last_target = stamps[its_fold.validation.last + made.market.horizon + 1]
    return made_up(made) | {
        "fingerprint": model_fingerprint(data.panel, its_fold, made),
        "data_hash": data.panel.data_hash(its_fold.test.first),
        "scaler": training_arrays(data, its_fold, made)[0].to_dict(),
        "train_start": stamps[its_fold.train.first].isoformat(),
        "train_end": stamps[its_fold.validation.last].isoformat(),
        "last_target": last_target.isoformat(),
    }


def assert_same_answers(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Two checkpoints of the short sample market answer alike, to a thousandth.

    Not their weights: Adam moves one whose gradient is nothing but rounding by a whole step, in
    whatever direction it was rounded, and such a weight means nothing.
    """
    assert one["scaler"] == other["scaler"]
    for mine, theirs in zip(_answers(one), _answers(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def _answers(checkpoint: Mapping[str, Any]) -> list[torch.Tensor]:
    """All heads of all seeds on sixteen dates of the sample market."""
    data, said = dataset(), []
    targets = make_targets(data.panel, data.sigma, data.eligible, 21)
    samples = Samples.of(data, targets, Scaler.from_dict(checkpoint["scaler"]))
    for state in checkpoint["states"]:
        network = TradingNetwork(ModelConfig(**checkpoint["model"])).eval()
        network.load_state_dict(state)
        with torch.inference_mode():
            said += block_outputs(network, samples, Block(slice(900, 916), np.arange(4)))
    return said
