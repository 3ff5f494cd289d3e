"""Does training look ahead? The very arrays that it is given, looked at from outside.

Nothing that a target is made of may lie in what comes after the rows learned from, and nothing
that travels in a checkpoint may have seen more than its training window.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.leakage.bars import (
    AS_STORED,
    panel_of,
    raw_bars,
    sampled,
    scrambled_panel,
)
from trading_pipeline.core.leakage.experiment import Examined, Leak, other_bits
from trading_pipeline.core.leakage.perturbations import scrambled
from trading_pipeline.core.learning.checkpoint import training_arrays
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.training import sampler_of
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.panel import Panel

TRAINING = "training"
AFTER = 25  # bars beyond the targets, which a look further ahead would use
_ALL = "all symbols"
_TARGETS = ("price", "direction", "next_return", "volatility", "risk")
_GIVEN = ("grid", "usable", *_TARGETS, "overnight", "intraday", "sigma")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Boundary:
    """Rows that are learned from, and the row that they must know nothing of, nor of any later."""

    learned: Rows
    row: int


def examine_training(panel: Panel, fold: Fold, recipe: Recipe, seed: int = 0) -> list[Examined]:
    """What a fold's training would be given, by the function that gives it.

    targets: with all prices from validation (or the fold) on scrambled, no target that training
        (or validation) learns from changes; its rows are those that blocks can be drawn from.
    gap: h + 1 rows and the embargo lie between the last row learned from and what comes after.
    window: with the fold's bars scrambled, no array changes; so neither can weights, thresholds
        or the blend, which are made of these arrays and of nothing else.
    scaler: with all bars after the training rows scrambled, it is the same.

    All bit for bit; the last two from raw bars of at most 24 symbols, the first two on all.
    """
    known = panel.until(min(fold.test.first + recipe.market.horizon + AFTER, len(panel.timestamps)))
    boundaries = [
        _Boundary(_drawn_rows(known, fold, recipe), fold.validation.first),
        _Boundary(fold.validation, fold.test.first),
    ]
    return [
        _examine_targets(known, fold, recipe, boundaries, seed),
        _examine_gaps(known, recipe, boundaries),
        *_examine_samples(known, fold, recipe, seed),
    ]


def examine_fit(data: Dataset, fold: Fold, checkpoint: Mapping[str, Any]) -> Examined:
    """Whether the checkpoint's scaler is that of the training rows alone, to 1e-5 deviations."""
    ours = Scaler.fit(data.grid[fold.train.first : fold.train.last + 1])
    theirs = Scaler.from_dict(dict(checkpoint["scaler"]))
    center, scale = (theirs.center - ours.center) / ours.scale, theirs.scale / ours.scale
    pairs = {"center": (0 * center, center), "scale": (np.ones_like(scale), scale)}
    cut = data.panel.timestamps[fold.train.last]
    leaks = _scaler_leaks("fit", pairs, cut, lambda a, b: ~(np.abs(b - a) <= AS_STORED))
    done = f"scaler of the {len(fold.train)} training rows beside the checkpoint's"
    return Examined(TRAINING, "fit", done, 2 * len(ours.center), tuple(leaks))


def _scaler_leaks(
    check: str,
    pairs: Mapping[str, tuple[Array, Array]],
    cut: pd.Timestamp,
    differ: Callable[[Array, Array], NDArray[np.bool_]],
) -> list[Leak]:
    return [
        Leak(TRAINING, check, f"{name} of {NAMES[k]}", _ALL, cut, a[k], b[k], cut, 1)
        for name, (a, b) in pairs.items()
        for k in np.flatnonzero(differ(a, b))
    ]


def _drawn_rows(panel: Panel, fold: Fold, recipe: Recipe) -> Rows:
    """The rows that training can draw, by the sampler that draws them."""
    samples = _arrays(panel, fold, recipe)[2]
    sampler = sampler_of(samples, fold, recipe.training)
    return Rows(int(sampler.starts.min()), int(sampler.starts.max()) + sampler.length - 1)


def _arrays(panel: Panel, fold: Fold, recipe: Recipe) -> tuple[Any, Any, Samples]:
    """Training's arrays without features, and not cut at the fold: of what its targets are made.

    Where the cut hides the future there is nothing to see, so that it must not be there.
    """
    bare = _no_features(panel)
    uncut = replace(fold, test=Rows(len(panel.timestamps), len(panel.timestamps)))
    return training_arrays(Dataset.of(panel, bare, recipe.model.n_steps), uncut, recipe)


def _no_features(panel: Panel) -> pd.DataFrame:
    keys = {"timestamp": panel.timestamps[:0], "symbol": np.empty(0, dtype=object)}
    return pd.DataFrame(keys | {"none": np.empty(0)})


def _examine_targets(
    panel: Panel, fold: Fold, recipe: Recipe, boundaries: list[_Boundary], seed: int
) -> Examined:
    _, targets, ours = _arrays(panel, fold, recipe)
    values, leaks = 0, []
    for each in boundaries:
        _, others, theirs = _arrays(scrambled_panel(panel, each.row, seed), fold, recipe)
        pairs = {name: (_learned(ours, name), _learned(theirs, name)) for name in _TARGETS}
        pairs["market"] = targets.market[:, None], others.market[:, None]
        values += int(ours.usable[each.learned.first : each.learned.last + 1].sum())
        leaks += _array_leaks("targets", pairs, panel, each.learned, panel.timestamps[each.row])
    done = "bars become noise from validation on, and from the fold on; rows that blocks can draw"
    return Examined(TRAINING, "targets", done, values * len(_TARGETS), tuple(leaks))


def _learned(samples: Samples, name: str) -> Array:
    """(T, N) of one target, NaN where nothing is learned from it."""
    return np.where(samples.usable, getattr(samples, name).numpy().astype(float), np.nan)


def _examine_gaps(panel: Panel, recipe: Recipe, boundaries: list[_Boundary]) -> Examined:
    needed = recipe.market.horizon + 2 + recipe.market.walk_forward.embargo
    leaks = []
    for each in boundaries:
        gap = each.row - each.learned.last
        if gap < needed:
            stamp = panel.timestamps[each.learned.last]
            cut = panel.timestamps[min(each.row, len(panel.timestamps) - 1)]
            leaks.append(Leak(TRAINING, "gap", "rows ahead", _ALL, stamp, needed, gap, cut, 1))
    done = f"at least {needed} rows from a decision learned from to the next span"
    return Examined(TRAINING, "gap", done, len(boundaries), tuple(leaks))


def _examine_samples(panel: Panel, fold: Fold, recipe: Recipe, seed: int) -> list[Examined]:
    """The checks `window` and `scaler`, from the raw bars of some symbols on."""
    start = max(0, fold.train.first - burn_in(recipe.model.n_steps))
    symbols = sampled(panel, Rows(fold.train.first, fold.test.first - 1), seed)
    bars = raw_bars(panel, symbols, Rows(start, len(panel.timestamps) - 1))
    ours = _Learning.of(bars, symbols, panel, fold, recipe)
    spans = {"window": fold.test.first, "scaler": fold.train.last + 1}
    found = []
    for check, row in spans.items():
        cut = panel.timestamps[row]
        theirs = _Learning.of(scrambled(bars, cut, seed), symbols, panel, fold, recipe)
        found.append(getattr(ours, f"examine_{check}")(theirs, cut))
    return found


@dataclass(frozen=True)
class _Learning:
    """What training is given of some symbols."""

    panel: Panel
    scaler: Scaler
    samples: Samples

    @classmethod
    def of(
        cls, bars: pd.DataFrame, symbols: tuple[str, ...], whole: Panel, fold: Fold, recipe: Recipe
    ) -> "_Learning":
        """From raw bars; `fold` counts the rows of `whole`, whose clock may be a longer one."""
        panel = panel_of(bars, symbols)
        features = features_of(panel, recipe.market.calendar)
        data = Dataset.of(panel, features, recipe.model.n_steps)

        def moved(rows: Rows) -> Rows:
            first, last = whole.timestamps[rows.first], whole.timestamps[rows.last]
            places = panel.timestamps
            return Rows(
                int(places.searchsorted(first)), int(places.searchsorted(last, side="right")) - 1
            )

        test = Rows(fold.test.first, min(fold.test.last, len(whole.timestamps) - 1))
        mine = Fold(fold.key, moved(fold.train), moved(fold.validation), moved(test))
        scaler, _, samples = training_arrays(data, mine, recipe)
        return cls(panel, scaler, samples)

    def examine_window(self, other: "_Learning", cut: pd.Timestamp) -> Examined:
        """`other`: the same of bars that are noise from `cut`, the fold's first bar, on."""
        pairs = {
            name: (_flat(getattr(self.samples, name)), _flat(getattr(other.samples, name)))
            for name in _GIVEN
        }
        rows = Rows(0, len(self.samples.usable) - 1)
        leaks = _array_leaks("window", pairs, self.panel, rows, cut)
        values = sum(np.asarray(getattr(self.samples, name)).size for name in _GIVEN)
        done = "the fold's bars become noise; every array that training is given"
        return Examined(TRAINING, "window", done, values, tuple(leaks))

    def examine_scaler(self, other: "_Learning", cut: pd.Timestamp) -> Examined:
        """`other`: the same of bars that are noise from `cut`, after the training rows, on."""
        mine, theirs = self.scaler, other.scaler
        pairs = {"center": (mine.center, theirs.center), "scale": (mine.scale, theirs.scale)}
        leaks = _scaler_leaks("scaler", pairs, cut, other_bits)
        done = "bars become noise after the training rows; center and scale of every feature"
        return Examined(TRAINING, "scaler", done, 2 * len(mine.center), tuple(leaks))


def _flat(values: Any) -> Array:
    """(T, N) float64; features are summed, which misses no bit of a float32."""
    array = np.asarray(values).astype(float)
    return array.sum(axis=-1) if array.ndim == 3 else array


def _array_leaks(
    check: str,
    pairs: Mapping[str, tuple[Array, Array]],
    panel: Panel,
    rows: Rows,
    cut: pd.Timestamp,
) -> list[Leak]:
    """Where arrays (T, N), or (T, 1) of the whole market, are not the same in `rows`."""
    here, leaks = slice(rows.first, rows.last + 1), []
    for name, (ours, theirs) in pairs.items():
        mine, other = ours[here], theirs[here]
        if len(ours) != len(theirs) or ours.shape != theirs.shape:
            stamp, sizes = panel.timestamps[-1], (len(ours), len(theirs))
            leaks.append(
                Leak(TRAINING, check, name, _ALL, stamp, *sizes, cut, abs(sizes[1] - sizes[0]))
            )
            continue
        wrong = other_bits(mine, other)
        if wrong.any():
            t, n = (int(place[0]) for place in np.nonzero(wrong))
            symbol = panel.symbols[n] if wrong.shape[1] == len(panel.symbols) else _ALL
            stamp = panel.timestamps[rows.first + t]
            values = float(mine[t, n]), float(other[t, n])
            leaks.append(Leak(TRAINING, check, name, symbol, stamp, *values, cut, int(wrong.sum())))
    return leaks
