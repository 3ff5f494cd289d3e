"""The shape of the network and the budget of its training, as frozen values.

A checkpoint carries both as plain types (`to_dict`), and rebuilds them from there (`from_dict`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from trading_pipeline.core.model.rivals import RIVALS

PRESETS = ("tiny", "small", "full")
PRECISIONS = ("float32", "bfloat16")
LEARNED_BASELINES = tuple(RIVALS)  # the simplest first
CANDIDATES = (*LEARNED_BASELINES, "network")  # of "best"
MODELS = ("network", *LEARNED_BASELINES, "best")  # what a market may be traded by
# A column of predictions for each network of a fold, where several are averaged.
SCORE_OF_SEED = "score_seed_"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of the hybrid network. Invalid sizes cannot be constructed."""

    n_features: int = 60  # F: columns of one bar
    n_steps: int = 60  # T: bars in one window
    xlstm_width: int = 64  # channels of every sLSTM block
    xlstm_layers: int = 1
    xlstm_heads: int = 4  # divides xlstm_width
    conv_kernel: int = 4  # bars that the input and forget gates look back at once; 0: none
    transformer_width: int = 64  # channels of every Transformer block
    transformer_layers: int = 2
    transformer_heads: int = 4  # divides transformer_width
    fusion_width: int = 64  # D: channels of the fused branches, and of the vector that heads read
    fusion_heads: int = 16  # ages that the newest bar first looks at; divides fusion_width
    terms: int = 64  # products and features of earlier bars, found in closed form, at most
    position_width: int = 16  # channels of the embedded position state
    position_state: bool = False  # whether heads see the notional book: no better with it
    dropout: float = 0.3  # probability, [0, 1)

    def __post_init__(self) -> None:
        if not isinstance(self.position_state, bool):
            raise ValueError(f"position_state must be true or false, was {self.position_state!r}")
        for name in _SIZE_NAMES:
            _check_whole(name, getattr(self, name), 0 if name in ("conv_kernel", "terms") else 1)
        for branch in ("xlstm", "transformer", "fusion"):
            width, heads = getattr(self, f"{branch}_width"), getattr(self, f"{branch}_heads")
            if width % heads:
                raise ValueError(f"{branch}_width {width} is not divisible by {heads} heads")
        if self.xlstm_width == self.xlstm_heads:
            raise ValueError("an sLSTM head needs at least 2 channels: its output is normalised")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), was {self.dropout}")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """One of `PRESETS`: `tiny` for tests, `small` for a CPU, `full` for a GPU.

        Args:
            name: a member of `PRESETS`.
            changes: fields that differ from the preset, such as `n_features`.

        Raises:
            ValueError: the preset is unknown, or a changed size is invalid.
        """
        return cls(**{**_of_preset(_SIZES, name), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Every field as a plain type, ready for JSON or a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError on a missing or an unknown field."""
        return cls(**_exactly(cls, plain))


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each task counts; each is a factor >= 0, 0 switches its loss off."""

    price: float = 0.5  # Huber, target in units of σ√h
    information: float = 1.0  # 1 - the per-date information coefficient of the price head
    direction: float = 0.1  # cross-entropy of down / flat / up
    position: float = 0.1  # negative net Sharpe ratio of the book
    volatility: float = 0.1  # QLIKE
    risk: float = 0.1  # binary cross-entropy

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"weight of {name} must be finite and >= 0, was {value}")
        if not any(asdict(self).values()):
            raise ValueError("all weights are 0: there is nothing to learn")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The budget and the recipe of one training; spans are counted in optimizer steps."""

    steps: int = 600  # per seed
    epochs: int = 0  # a budget in its place: so many times the windows of the fold; 0: none
    windows: int = 960  # in a block of consecutive dates × symbols, about
    symbols: int = 0  # of a date in a block at most, drawn anew for each; 0: all there are
    blocks: int = 1  # in one step, whose loss is their mean; several processes share them
    min_dates: int = 8  # consecutive dates in a block at least; the Sharpe ratio is over them
    learning_rate: float = 2e-3  # peak, AdamW
    weight_decay: float = 0.3
    feature_penalty: float = 2e-2  # at the last step; group lasso on what encoders take of features
    clip: float = 1.0  # largest gradient norm
    warmup: int = 100  # steps of linear rise to the peak rate
    seeds: tuple[int, ...] = (0,)  # one network each; their predictions are averaged
    evaluate_every: int = 100  # steps between looks at validation
    direction_band: float = 0.43  # |target| below it is flat; 0.43 makes terciles of a normal
    label_smoothing: float = 0.1  # of the direction classes, [0, 1)
    precision: str = "float32"  # of the encoders' matrix products; or "bfloat16", for a GPU
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        for name, least in _COUNTS.items():
            _check_whole(name, getattr(self, name), least)
        for name in ("learning_rate", "clip", "direction_band"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive, was {getattr(self, name)}")
        if not 2 <= self.min_dates <= self.windows:
            raise ValueError(f"min_dates must be in [2, windows], was {self.min_dates}")
        for name in ("weight_decay", "feature_penalty"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite and >= 0, was {getattr(self, name)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, was {self.precision!r}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), was {self.label_smoothing}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be one or more, each once, were {self.seeds}")
        for seed in self.seeds:
            _check_whole("each of seeds", seed, 0)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """The budget that goes with the `ModelConfig` preset of the same name."""
        return cls(**{**_of_preset(_BUDGETS, name), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Every field as a plain type (seeds as a list), ready for JSON or a checkpoint.

        Without `epochs` where none are asked for: such a training is the one that it was, and has
        the same hash, as before there were any.
        """
        plain = {**asdict(self), "seeds": list(self.seeds)}
        return plain if self.epochs else {n: each for n, each in plain.items() if n != "epochs"}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError on a missing or an unknown field."""
        known = _exactly(cls, {"epochs": 0, **plain})
        loss = LossWeights(**_exactly(LossWeights, known["loss"]))
        return cls(**{**known, "seeds": tuple(known["seeds"]), "loss": loss})


_SIZE_NAMES = tuple(each.name for each in fields(ModelConfig) if each.type is int)
_COUNTS = {  # and the least of each
    "steps": 1,
    "epochs": 0,
    "windows": 1,
    "symbols": 0,
    "blocks": 1,
    "min_dates": 2,
    "warmup": 0,
    "evaluate_every": 1,
}


def _check_whole(name: str, value: object, least: int) -> None:
    """Raise ValueError unless a value is a whole number, and large enough."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number, was {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, was {value}")


def _sizes(xlstm: tuple[int, int], transformer: tuple[int, int, int]) -> dict[str, Any]:
    return {
        "xlstm_width": xlstm[0],
        "xlstm_layers": xlstm[1],
        "transformer_width": transformer[0],
        "transformer_layers": transformer[1],
        "transformer_heads": transformer[2],
        "fusion_width": transformer[0],
    }


_SIZES: dict[str, dict[str, Any]] = {
    "tiny": _sizes(xlstm=(32, 1), transformer=(32, 1, 2)),
    "small": _sizes(xlstm=(64, 1), transformer=(64, 2, 4)),
    "full": _sizes(xlstm=(512, 2), transformer=(256, 3, 8)),
}
_BUDGETS: dict[str, dict[str, Any]] = {
    "tiny": {"steps": 60, "symbols": 16, "warmup": 6, "evaluate_every": 30},
    "small": {"steps": 600, "symbols": 16, "warmup": 60, "evaluate_every": 200},
    "full": {
        "steps": 5000,
        "windows": 3200,
        "blocks": 4,
        "learning_rate": 3e-4,
        "warmup": 250,
        "evaluate_every": 125,
        "seeds": (0, 1, 2, 3, 4),
    },
}


def _of_preset(table: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in table:
        raise ValueError(f"preset must be one of {PRESETS}, was {name!r}")
    return table[name]


def _exactly(cls: type[Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """`plain`, once it is known to hold every field of the dataclass `cls` and no other."""
    names = {each.name for each in fields(cls)}
    if missing := sorted(names - plain.keys()):
        raise ValueError(f"{cls.__name__} lacks {missing}")
    if unknown := sorted(plain.keys() - names):
        raise ValueError(f"{cls.__name__} knows no {unknown}")
    return dict(plain)
