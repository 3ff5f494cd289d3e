"""Inference: a checkpoint and a window of bars in, the predictions of one date out.

Backtest and paper trading call the same `Predictor.step`, with the whole cross-section of one date
at a time: a batch of another shape may differ in the last bits, and then in an order.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from trading_pipeline.core.learning.calibration import Calibration
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.rivals.rival import Frequencies, Rival, from_dict
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.model.config import SCORE_OF_SEED, ModelConfig
from trading_pipeline.core.model.heads import Outputs
from trading_pipeline.core.model.network import TradingNetwork, threads_for
from trading_pipeline.core.model.position import NotionalBook, advance
from trading_pipeline.errors import LookAheadError

MODEL = "xlstm_transformer"
Array = NDArray[np.float64]


class Prediction(NamedTuple):
    """Of one date, (N,) each; NaN where a symbol is not eligible. Units as in the contract."""

    score: Array  # expected return in units of sigma sqrt(h), calibrated
    p_down: Array
    p_flat: Array
    p_up: Array
    position: Array  # what the model asks for, in [-1, 1]
    volatility: Array  # forecast, per bar; sigma itself where validation kept it
    risk: Array  # probability of an adverse excursion
    half_life: Array  # bars after which half of the score's say is gone; the same for all
    by_seed: tuple[Array, ...] = ()  # scores of each network by itself, where they are several


class HeadValues(NamedTuple):
    """Outputs of the five heads, averaged over seeds, (N,) or (N, 3)."""

    price: Array
    probabilities: Array
    position: Array
    volatility: Array  # multiple of sigma
    risk: Array
    by_seed: tuple[tuple[Array, Array], ...] = ()  # price and position of each of several networks


class Close(NamedTuple):
    """What heads are told at a close."""

    windows: torch.Tensor  # (N, S, F), scaled
    overnight: Array  # (N,) the bar that has just closed, as `advance` wants it
    intraday: Array
    sigma: Array  # (N,) volatility known at the decision before
    tradable: NDArray[np.bool_]  # (N,)


class Heads(Protocol):
    """What answers date after date: an ensemble of networks, or a rival of theirs."""

    def restart(self, n_symbols: int) -> None:
        """The state at a fold's first decision."""
        ...

    def step(self, close: Close) -> HeadValues:
        """The answers at the next date's close."""
        ...


class Ensemble:
    """The networks of all seeds, each with a notional book of its own."""

    def __init__(self, networks: list[TradingNetwork]) -> None:
        self.networks = [network.eval() for network in networks]
        self.books: list[NotionalBook] = []
        self._asked: list[torch.Tensor] = []

    def restart(self, n_symbols: int) -> None:
        """Empty books: the state at a fold's first decision."""
        self.books = [NotionalBook.empty(n_symbols) for _ in self.networks]
        self._asked = []

    @torch.inference_mode()
    def step(self, close: Close) -> HeadValues:
        """The mean of what the networks say."""
        if self._asked:
            moves = [torch.from_numpy(each).float() for each in close[1:4]]
            self.books = [
                advance(book, asked, *moves)
                for book, asked in zip(self.books, self._asked, strict=True)
            ]
        with threads_for(self.networks[0].config):
            outputs = [
                network.heads(network.encode(close.windows), book.features())
                for network, book in zip(self.networks, self.books, strict=True)
            ]
        keep = torch.from_numpy(close.tradable)
        self._asked = [torch.where(keep, each.position, 0.0) for each in outputs]
        return _average(outputs)


class RivalHeads:
    """A rival's price, and the obvious answer where it has no opinion.

    Position: the sign of the price. Volatility: σ. Direction and risk: how often in training.
    """

    def __init__(self, rival: Rival, frequencies: Frequencies) -> None:
        self.rival, self.frequencies = rival, frequencies

    def restart(self, n_symbols: int) -> None:
        """Nothing is remembered."""

    def step(self, close: Close) -> HeadValues:
        """What the windows say; nothing else means anything to it."""
        price = self.rival.score(close.windows)
        return HeadValues(
            price=price,
            probabilities=np.tile(self.frequencies.direction, (len(price), 1)),
            position=np.sign(price),
            volatility=np.ones(len(price)),
            risk=np.full(len(price), self.frequencies.risk),
        )


class Predictor:
    """A checkpoint, ready to predict date after date from its fold's first decision on."""

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        """`checkpoint`: as `training.train_fold` makes it."""
        self.config = ModelConfig.from_dict(checkpoint["model"])
        self.scaler = Scaler.from_dict(checkpoint["scaler"])
        self.calibration = Calibration(**checkpoint["calibration"])
        self.last_target = pd.Timestamp(checkpoint["last_target"])
        self.name, self.heads = MODEL, _heads(checkpoint, self.config)
        self.seeds: list[int] = checkpoint["recipe"]["training"]["seeds"]
        if "rival" in checkpoint:
            self.name = checkpoint["rival"]["name"]

    def unshrunk(self) -> Self:
        """From now on, say of returns what the heads do by themselves: in no unit, and where
        validation shows nothing, too."""
        self.calibration = self.calibration._replace(slope=1.0, market=0.0)
        if isinstance(self.heads, Ensemble):
            for network in self.heads.networks:
                network.answers.gain.fill_(1.0)
        return self

    def restart(self, n_symbols: int) -> None:
        """Forget the notional book."""
        self.heads.restart(n_symbols)

    def step(self, data: Dataset, row: int) -> Prediction:
        """What the model says at the close of `row`; rows must follow one another.

        Raises:
            LookAheadError: the model has learned from this bar or a later one.
        """
        self.refuse_seen(data.panel.timestamps[row])
        return self.recall(data, row)

    def recall(self, data: Dataset, row: int) -> Prediction:
        """As `step`, of a bar that the model may have learned from: shows how alike two models are,
        and never how good one is."""
        window = data.grid[row - self.config.n_steps + 1 : row + 1]
        bar = data.overnight[row], data.intraday[row], data.sigma[row - 1]
        return self.answer(window, bar, data.sigma[row], data.eligible[row])

    def answer(
        self,
        window: NDArray[np.float32],
        bar: tuple[Array, Array, Array],
        sigma: Array,
        tradable: NDArray[np.bool_],
    ) -> Prediction:
        """What the model says at the close after the last one.

        Args:
            window: features as computed, (S, N, F), the newest bar last.
            bar: `overnight`, `intraday` and `sigma` of `Close`, (N,) each.
            sigma: (N,) as known now. tradable: (N,).
        """
        scaled = torch.from_numpy(self.scaler.apply(window)).permute(1, 0, 2).contiguous()
        values = self.heads.step(Close(scaled, *bar, tradable))
        return _prediction(values, self.calibration, sigma, tradable)

    def refuse_seen(self, stamp: pd.Timestamp) -> None:
        """Raise LookAheadError for a bar at or before the last one that a target touched."""
        if stamp <= self.last_target:
            raise LookAheadError(
                f"the checkpoint has learned from bars up to {self.last_target:%Y-%m-%d %H:%M}, so "
                f"it cannot be asked about {stamp:%Y-%m-%d %H:%M}: test it on bars that open after "
                f"{self.last_target:%Y-%m-%d}, or train it on bars that end before"
            )


def predict_rows(
    predictor: Predictor,
    data: Dataset,
    rows: Rows,
    fold: str,
    on_date: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """The predictions table of a fold, ordered by (timestamp, symbol); eligible symbols only."""
    predictor.restart(len(data.panel.symbols))
    parts = []
    for row in range(rows.first, rows.last + 1):
        prediction = predictor.step(data, row)
        named = {"model": predictor.name, "fold": fold}
        parts.append(_table(prediction, data, row, named, predictor.seeds))
        on_date(row + 1 - rows.first, len(rows))
    return pd.concat(parts, ignore_index=True)


def _table(
    prediction: Prediction, data: Dataset, row: int, named: dict[str, str], seeds: list[int]
) -> pd.DataFrame:
    chosen = np.flatnonzero(data.eligible[row])
    order = chosen[np.argsort(np.array(data.panel.symbols)[chosen], kind="stable")]
    values = prediction._asdict()
    apart = zip(seeds, values.pop("by_seed"), strict=False)  # of a rival there are none
    values |= {f"{SCORE_OF_SEED}{seed}": score for seed, score in apart}
    columns = {name: each[order] for name, each in values.items()}
    keys = {
        "timestamp": data.panel.timestamps[row],
        "symbol": np.array(data.panel.symbols, dtype=object)[order],
        **named,
    }
    return pd.DataFrame(keys | columns)


def _heads(checkpoint: dict[str, Any], config: ModelConfig) -> Heads:
    if "rival" not in checkpoint:
        return Ensemble([_network(config, state) for state in checkpoint["states"]])
    rival = checkpoint["rival"]
    frequencies = Frequencies(tuple(rival["direction"]), rival["risk"])
    return RivalHeads(from_dict(rival["name"], rival["fitted"]), frequencies)


def _network(config: ModelConfig, state: dict[str, torch.Tensor]) -> TradingNetwork:
    network = TradingNetwork(config)
    network.load_state_dict(state)
    return network


def _average(outputs: list[Outputs]) -> HeadValues:
    def mean(parts: list[torch.Tensor]) -> Array:
        averaged: Array = torch.stack([part.double() for part in parts]).mean(dim=0).numpy()
        return averaged

    return HeadValues(
        price=mean([each.price for each in outputs]),
        probabilities=mean([each.direction_logits.softmax(dim=-1) for each in outputs]),
        position=mean([each.position for each in outputs]),
        volatility=mean([each.volatility for each in outputs]),
        risk=mean([each.risk_logit.sigmoid() for each in outputs]),
        by_seed=tuple((mean([each.price]), mean([each.position])) for each in outputs)
        if len(outputs) > 1
        else (),
    )


def _prediction(
    values: HeadValues, calibration: Calibration, sigma: Array, tradable: NDArray[np.bool_]
) -> Prediction:
    down, flat, up = values.probabilities.T
    columns = (
        calibration.score(values.price, values.position, tradable),
        down,
        flat,
        up,
        values.position,
        calibration.volatility(values.volatility, sigma),
        values.risk,
        calibration.half_life,
    )
    apart = (calibration.score(*each, tradable) for each in values.by_seed)
    by_seed = tuple(np.where(tradable, score, np.nan) for score in apart)
    return Prediction._make([*(np.where(tradable, each, np.nan) for each in columns), by_seed])
