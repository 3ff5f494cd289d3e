"""The models that are fitted beside the network, and may trade in its place: one row each.

Settings, jobs, assets, reports and `--help` read this table; it imports no model, for whoever only
asks for names should not wait for their libraries.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class RivalKind:
    """A model as the pipeline knows it; its class has `fit`, `score`, `to_dict` and `from_dict` as
    `core/learning/rivals/rival.py` says."""

    title: str  # as a sentence says it
    what: str  # a sentence, on the page of its predictions
    place: str  # its class, as module:name below `core/learning/rivals`
    dear: bool = False  # as a network of the preset `tiny`, beside which it is left out


# The simplest first: of two that validation cannot tell apart, `model = "best"` takes the first.
RIVALS: dict[str, RivalKind] = {
    "ridge": RivalKind("ridge", "A ridge regression on the newest bar.", "ridge:Ridge"),
    "ridge_lags": RivalKind(
        "ridge with lags",
        "A ridge regression on the newest bar and six older ones.",
        "ridge:LaggedRidge",
    ),
    "lightgbm": RivalKind("LightGBM", "LightGBM's trees on the newest bar.", "boosting:Boosting"),
    "lstm": RivalKind(
        "LSTM", "One LSTM layer on the windows that the network reads.", "lstm:LSTM", dear=True
    ),
}
