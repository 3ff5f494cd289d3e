"""A checkpoint that was never trained: everything in it is sound, and nothing means anything."""

from typing import Any

from trading_pipeline.core.features.catalog import NAMES, catalog_hash
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline_tests.core.learning.sample_market import recipe


def made_up(made: Recipe | None = None) -> dict[str, Any]:
    """As `train_fold` makes it of the recipe; that of the short sample market if none is given."""
    made = made or recipe()
    return {
        "model": made.model.to_plain(),
        "recipe": made.to_plain(),
        "fingerprint": "f" * 64,
        "data_hash": "d" * 64,
        "features": list(NAMES),
        "catalog_hash": catalog_hash(),
        "symbols": list(made.market.symbols),
        "scaler": {"center": [0.0] * len(NAMES), "scale": [1.0] * len(NAMES)},
        "blend": {"weight": 0.5, "position_scale": 1.0, "market": 0.1},
        "train_start": "2001-01-02T00:00:00+00:00",
        "train_end": "2005-11-28T00:00:00+00:00",
        "last_target": "2005-12-30T00:00:00+00:00",
        "metrics": {"validation_information": 0.02},
        "curves": [[{"step": 3, "loss": 2.0, "information": 0.02}]],
        "states": [
            dict(TradingNetwork(made.model, seed=seed).state_dict()) for seed in made.training.seeds
        ],
    }
