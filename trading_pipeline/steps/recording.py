"""What a paper session saw, written down and read back bit for bit: bars and predictions.

The bars before its first are a file, each later one is an event `bar` of its stream; predictions
are in the events `decision`. So a session goes on from what it saw, and is judged by it, whatever
became of the stored bars and predictions since. Letters: R rows recorded, T of a panel, N symbols.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.market.bars import PRICES
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.to_dict import json_number, number_from_json

_NUMBERS = (*PRICES, "volume")
_RARE = {"split": 1.0, "dividend": 0.0}  # what they nearly always are
_GRIDS = (*_NUMBERS, *_RARE, "factor")


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecasts:
    """Predictions on the rows of a panel, NaN where there are none."""

    score: np.ndarray  # (T, N)
    volatility: np.ndarray  # (T, N)
    half_life: np.ndarray  # (T,)

    def table(self, panel: Panel) -> pd.DataFrame:
        """The predictions table of these rows: timestamp, symbol, score, volatility, half_life."""
        t, n = np.nonzero(np.isfinite(self.score))
        return pd.DataFrame(
            {
                "timestamp": panel.timestamps[t],
                "symbol": pd.Series(np.array(panel.symbols, dtype=object)[n], dtype="str"),
                "score": self.score[t, n],
                "volatility": self.volatility[t, n],
                "half_life": self.half_life[t],
            }
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """What a session saw up to its newest bar."""

    panel: Panel  # (R, N)
    forecasts: Forecasts  # (R, N); a bar that is not decided on has none
    first: int  # row of the session's first bar

    @classmethod
    def read(cls, ledger: Ledger, stream: str, store: RecordingStore) -> "Recording | None":
        """What the ledger and the store have of a session; None before its first bar.

        Raises:
            BrokenChain: an event of the session is missing, or was changed.
            StoreError: what it knew when it began is missing, or was changed.
        """
        ledger.verify(stream)
        known = ledger.last(stream, "history")
        if known is None:
            return None
        return cls.of(
            store.read(known.payload["sha256"]),
            ledger.read(stream, kind="bar"),
            ledger.read(stream, kind="decision"),
        )

    @classmethod
    def of(
        cls, history: dict[str, np.ndarray], bars: list[Event], decisions: list[Event]
    ) -> "Recording":
        """From the arrays of `history_arrays` and the events that followed."""
        panel = _joined(history, bars)
        R, first = len(panel.timestamps), len(history["timestamps"])
        score = np.full(panel.close.shape, np.nan)
        volatility, half_life = score.copy(), np.full(R, np.nan)
        score[:first], volatility[:first] = history["score"], history["volatility"]
        half_life[:first] = history["half_life"]
        rows = {event.at: row for row, event in enumerate(bars, start=first)}
        for event in decisions:
            row = rows[event.at]
            said = event.payload["predictions"]
            score[row], volatility[row] = _numbers(said["score"]), _numbers(said["volatility"])
            half_life[row] = number_from_json(said["half_life"])
        forecasts = Forecasts(score=score, volatility=volatility, half_life=half_life)
        return cls(panel=panel, forecasts=forecasts, first=first)

    def continued(self, stored: Panel) -> Panel:
        """What was seen, and the stored bars after it: a bar that was revised since stays as it was
        decided on."""
        R = len(self.panel.timestamps)
        if self._agrees(stored):
            return stored
        later = int(stored.timestamps.searchsorted(self.panel.timestamps[-1], "right"))
        rest = stored.stretch(later, len(stored.timestamps))
        if later and R:  # in the units of what was seen
            ratio = self.panel.factor[-1] / stored.factor[later - 1]
            ratio = np.where(np.isfinite(ratio), ratio, 1.0)
            rest = replace(rest, factor=rest.factor * ratio)
        return self.panel.stacked(rest)

    @property
    def predictions(self) -> pd.DataFrame:
        """All predictions that the session knew or made, as a table."""
        return self.forecasts.table(self.panel)

    def _agrees(self, stored: Panel) -> bool:
        """Whether the stored bars are still those that were seen."""
        R = len(self.panel.timestamps)
        return len(stored.timestamps) >= R and stored.data_hash(R) == self.panel.data_hash(R)


def history_arrays(panel: Panel, forecasts: Forecasts, first: int) -> dict[str, np.ndarray]:
    """All that is known of the rows before `first`, as a `RecordingStore` keeps it."""
    grids = {name: getattr(panel, name)[:first] for name in _GRIDS}
    shape = panel.close.shape
    return {
        **grids,
        "timestamps": panel.timestamps[:first].to_numpy("datetime64[us]").astype(np.int64),
        "symbols": np.array(panel.symbols),
        "in_doubt": np.broadcast_to(panel.in_doubt, shape)[:first].copy(),
        "shares": np.broadcast_to(np.asarray(panel.shares, dtype=float), shape[1:]).copy(),
        "total_return_units": np.array(panel.total_return_units),
        "score": forecasts.score[:first],
        "volatility": forecasts.volatility[:first],
        "half_life": forecasts.half_life[:first],
    }


def bar_payload(panel: Panel, row: int) -> dict[str, Any]:
    """One row of a panel as an event keeps it: actions and factors only where there are any."""
    numbers = {name: _plain(getattr(panel, name)[row]) for name in _NUMBERS}
    before = panel.factor[row - 1] if row else np.full(len(panel.symbols), np.nan)
    changed = ~_equal(panel.factor[row], before)
    doubts = np.broadcast_to(panel.in_doubt, panel.close.shape)[row]
    named = {
        **{
            name: _named(panel, getattr(panel, name)[row], getattr(panel, name)[row] != usual)
            for name, usual in _RARE.items()
        },
        "factor": _named(panel, panel.factor[row], changed),
        "in_doubt": [panel.symbols[n] for n in np.flatnonzero(doubts)],
    }
    return {**numbers, **{name: each for name, each in named.items() if each}}


def _joined(history: dict[str, np.ndarray], bars: list[Event]) -> Panel:
    symbols = tuple(str(name) for name in history["symbols"])
    first, N, place = (
        len(history["timestamps"]),
        len(symbols),
        {s: n for n, s in enumerate(symbols)},
    )
    grids = {name: np.vstack([history[name], np.empty((len(bars), N))]) for name in _GRIDS}
    in_doubt = np.vstack([history["in_doubt"], np.zeros((len(bars), N), dtype=bool)])
    for row, event in enumerate(bars, start=first):
        payload = event.payload
        for name in _NUMBERS:
            grids[name][row] = _numbers(payload[name])
        usual = {**_RARE, "factor": grids["factor"][row - 1] if row else np.nan}
        for name, value in usual.items():
            grids[name][row] = value
            for symbol, each in payload.get(name, {}).items():
                grids[name][row, place[symbol]] = number_from_json(each)
        for symbol in payload.get("in_doubt", ()):
            in_doubt[row, place[symbol]] = True
    stamps = [*history["timestamps"].view("datetime64[us]"), *(_utc(event) for event in bars)]
    return Panel(
        timestamps=pd.DatetimeIndex(stamps).tz_localize("UTC").as_unit("us"),
        symbols=symbols,
        **grids,
        total_return_units=bool(history["total_return_units"]),
        shares=history["shares"],
        in_doubt=in_doubt if in_doubt.any() else False,
    )


def _utc(event: Event) -> np.datetime64:
    return np.datetime64(event.at.replace(tzinfo=None), "us")


def _plain(values: np.ndarray) -> list[float | str | None]:
    return [json_number(value) for value in values.tolist()]


def _numbers(values: list[float | str | None]) -> np.ndarray:
    return np.array([number_from_json(value) for value in values])


def _named(panel: Panel, values: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
    return {panel.symbols[n]: json_number(float(values[n])) for n in np.flatnonzero(chosen)}


def _equal(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    same: np.ndarray = (one == other) | (np.isnan(one) & np.isnan(other))
    return same
