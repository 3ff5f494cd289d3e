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
        market = asdict(self.market)
        for name in ("costs", "limits"):
            market[name] = {key: _finite(value) for key, value in market[name].items()}
        market["start"] = self.market.start.isoformat()
        # Where the history ends today is the data's business: a new bar is not a new recipe.
        del market["end"]
        for name in ("measured_bars_per_year", "measured_days_per_year"):
            if market[name] is None:
                del market[name]  # so that a recipe is the same as before there were any
        # The network's recipe is the same as before it had rivals.
        rival = {} if self.learner == "network" else {"learner": self.learner}
        return {
            "market": {**market, "symbols": list(self.market.symbols)},
            "model": self.model.to_dict(),
            "training": self.training.to_dict(),
            **rival,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Recipe":
        """The inverse of `to_dict`, but for the end of the history, which is not part of it."""
        market = _named_today(plain["market"])
        parts = {
            "symbols": tuple(market["symbols"]),
            "start": date.fromisoformat(market["start"]),
            "costs": Costs(**_numbers(market["costs"])),
            "limits": _numbers(market.get("limits", {})),
            "walk_forward": WalkForward(**market["walk_forward"]),
        }
        return cls(
            Market(**{**market, **parts}),
            ModelConfig.from_dict(plain["model"]),
            TrainingConfig.from_dict(plain["training"]),
            learner_of(plain),
        )

    def training_hash(self, catalog_hash: str) -> str:
        """Of what a checkpoint depends on."""
        return fingerprint(_named_at_first(training_part(self.to_dict())), catalog_hash, METHOD)

    def config_hash(self, catalog_hash: str) -> str:
        """Of all that a backtest depends on beside the data and the code."""
        plain = _named_at_first(self.to_dict())
        # An equal-weight one was once stored under that name, and read by nothing.
        plain["market"]["benchmark"] = dict(self.market.benchmark) or "equal_weight"
        return fingerprint(plain, catalog_hash)


_OF_A_BACKTEST = (
    *("profile", "limits", "sectors", "benchmark"),
    *("measured_bars_per_year", "measured_days_per_year"),
)


_OF_A_RIVAL = {"model": ("n_features", "n_steps"), "training": ("direction_band",)}


def learner_of(plain: dict[str, Any]) -> str:
    """What a plain recipe trains: one of `MODELS`."""
    return str(plain.get("learner", "network"))


def training_part(plain: dict[str, Any]) -> dict[str, Any]:
    """Of a plain recipe, what shapes a checkpoint: a round trip's cost does, for it is part of the
    losses, and risk does not; nor do the network's sizes and budget shape one of its rivals."""
    market = _named_today(plain["market"])
    for name in _OF_A_BACKTEST:
        market.pop(name, None)
    market["costs"] = {name: market["costs"].get(name) for name in ("fee", "slippage")}
    part = {**plain, "market": market}
    if learner_of(plain) in LEARNED_BASELINES:
        for section, names in _OF_A_RIVAL.items():
            part[section] = {name: plain[section][name] for name in names}
    return part


def _named_today(market: dict[str, Any]) -> dict[str, Any]:
    """A plain market, also one that was stored when its mandate was called its book."""
    given = {name: value for name, value in market.items() if name != "book"}
    if not isinstance(market.get("benchmark"), dict):
        given.pop("benchmark", None)
    return given | {"mandate": market["book"]} if "book" in market else given


def _named_at_first(plain: dict[str, Any]) -> dict[str, Any]:
    """A plain recipe as it is hashed: a field that gets a better name trains nothing anew."""
    market = dict(plain["market"])
    market["book"] = market.pop("mandate")
    return {**plain, "market": market}


def _finite(value: Any) -> Any:
    """A number as JSON takes it: infinity is 'inf'."""
    return "inf" if value == inf else value


def _numbers(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: inf if value == "inf" else value for name, value in plain.items()}


def fingerprint(*parts: Any) -> str:
    """SHA-256 of plain values, hexadecimal."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
