"""The recipe of a model: everything but the data that decides what it becomes."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from math import inf
from typing import Any

from trading_pipeline.core.market.market import Costs, Market, WalkForward
from trading_pipeline.core.model.config import (
    LEARNED_BASELINES,
    MODELS,
    ModelConfig,
    TrainingConfig,
)

METHOD = 3  # of targets, training and calibration: another makes another model of the same recipe


@dataclass(frozen=True)
class Recipe:
    """Market, sizes and training budget; equal recipes on equal data make equal models."""

    market: Market
    model: ModelConfig
    training: TrainingConfig
    learner: str = "network"  # of `MODELS`

    def __post_init__(self) -> None:
        if self.learner not in MODELS:
            raise ValueError(f"model must be one of {MODELS}, was {self.learner!r}")

    @classmethod
    def preset(cls, market: Market, name: str, n_features: int) -> "Recipe":
        """The recipe of a preset: `tiny`, `small` or `full`."""
        model = ModelConfig.preset(name, n_features=n_features)
        return cls(market, model, TrainingConfig.preset(name))

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for a checkpoint and for the hash."""
        return {
            "market": market_to_dict(self.market),
            "model": self.model.to_dict(),
            "training": self.training.to_dict(),
            "learner": self.learner,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Recipe":
        """The inverse of `to_dict`, but for the end of the history, which is not part of it."""
        market = plain["market"]
        parts = {
            "symbols": tuple(market["symbols"]),
            "start": date.fromisoformat(market["start"]),
            "costs": Costs(**_numbers(market["costs"])),
            "limits": _numbers(market["limits"]),
            "walk_forward": WalkForward(**market["walk_forward"]),
        }
        return cls(
            Market(**{**market, **parts}),
            ModelConfig.from_dict(plain["model"]),
            TrainingConfig.from_dict(plain["training"]),
            plain["learner"],
        )

    def training_hash(self, catalog_hash: str) -> str:
        """Of what a checkpoint depends on."""
        return fingerprint(training_part(self.to_dict()), catalog_hash, METHOD)

    def config_hash(self, catalog_hash: str) -> str:
        """Of all that a backtest depends on beside the data and the code.

        What was counted in the bars is data: with tomorrow's it is no other configuration.
        """
        market = of_a_configuration(self.market)
        return fingerprint({**self.to_dict(), "market": market}, catalog_hash)


def market_to_dict(market: Market) -> dict[str, Any]:
    """Plain types. Where the history ends today is left out: a new bar is not a new recipe."""
    plain = asdict(market)
    for name in ("costs", "limits"):
        plain[name] = {key: _finite(value) for key, value in plain[name].items()}
    del plain["end"]
    return {**plain, "start": market.start.isoformat(), "symbols": list(market.symbols)}


def of_a_configuration(market: Market) -> dict[str, Any]:
    """Of a market, as plain types, what makes one configuration another: not its name, which may
    be that of a file, nor what was counted in its bars."""
    return {**market_to_dict(market), **dict.fromkeys(("name", *_COUNTED))}


_COUNTED = ("measured_bars_per_year", "measured_days_per_year")
_OF_A_BACKTEST = ("profile", "limits", "sectors", "benchmark", *_COUNTED)
_OF_A_RIVAL = {"model": ("n_features", "n_steps"), "training": ("direction_band",)}


def training_part(plain: dict[str, Any]) -> dict[str, Any]:
    """Of a plain recipe, what shapes a checkpoint: a round trip's cost does, for it is part of the
    losses, and risk does not; nor do the network's sizes and budget shape one of its rivals."""
    market = {name: each for name, each in plain["market"].items() if name not in _OF_A_BACKTEST}
    market["costs"] = {name: market["costs"][name] for name in ("fee", "slippage")}
    part = {**plain, "market": market}
    if plain["learner"] in LEARNED_BASELINES:
        for section, names in _OF_A_RIVAL.items():
            part[section] = {name: plain[section][name] for name in names}
    return part


def _finite(value: Any) -> Any:
    """A number as JSON takes it: infinity is 'inf'."""
    return "inf" if value == inf else value


def _numbers(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: inf if value == "inf" else value for name, value in plain.items()}


def fingerprint(*parts: Any) -> str:
    """SHA-256 of plain values, hexadecimal."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
