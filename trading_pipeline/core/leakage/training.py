"""Does training look ahead? The very arrays that it is given, looked at from outside.

Nothing that a target is made of may lie in what comes after the rows learned from, and nothing
that travels in a checkpoint may have seen more than its training window.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.leakage.bars import (
    AFTER,
    AS_STORED,
    panel_of,
    raw_bars,
    sampled,
    scrambled_panel,
    table_of,
)
from trading_pipeline.core.leakage.experiment import Examined, Leak, compare
from trading_pipeline.core.leakage.perturbations import scrambled
from trading_pipeline.core.learning.checkpoint import training_arrays
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.learning.training import sampler_of
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.panel import Panel

TRAINING = "training"
_ALL = "all symbols"
_TARGETS = ("price", "direction", "next_return", "volatility", "risk")
_GIVEN = ("grid", "usable", *_TARGETS, "overnight", "intraday", "sigma")
Array = NDArray[np.float64]
Boundary = tuple[Rows, int]  # rows learned from; the row that they must know nothing of, nor later


def examine_training(panel: Panel, fold: Fold, recipe: Recipe, seed: int = 0) -> list[Examined]:
    """What a fold's training would be given, by the function that gives it.

    targets: with all prices from validation (or the fold) on scrambled, no target that training
        (or validation) learns from changes; its rows are those that blocks can be drawn from.
    gap: h + 1 rows and the embargo lie between the last row learned from and what comes after.
    window: with the fold's bars scrambled, no array changes; so neither can weights, thresholds
        or the calibration, which are made of these arrays and of nothing else.
    scaler: with all bars after the training rows scrambled, it is the same.

    All bit for bit; the last two from raw bars of at most 24 symbols, the first two on all.
    """
    known = panel.until(min(fold.test.first + recipe.market.horizon + AFTER, len(panel.timestamps)))
    _, targets, samples = _arrays(known, fold, recipe)
    sampler = sampler_of(samples, fold, recipe.training)  # which draws what is trained on
    drawn = Rows(int(sampler.starts.min()), int(sampler.starts.max()) + sampler.length - 1)
    boundaries = [(drawn, fold.validation.first), (fold.validation, fold.test.first)]
    parts, values = [], 0
    for learned, row in boundaries:
        _, others, theirs = _arrays(scrambled_panel(known, row, seed), fold, recipe)
        pairs = zip(
            _targets(samples, targets, learned), _targets(theirs, others, learned), strict=True
        )
        parts += [compare(TRAINING, "targets", *pair, known.timestamps[row]) for pair in pairs]
        values += len(_TARGETS) * int(samples.usable[learned.first : learned.last + 1].sum())
    done = "bars become noise from validation on, and from the fold on; rows that blocks can draw"
    return [
        replace(Examined.total(done, parts), values=values),
        _examine_gaps(known, recipe, boundaries),
        *_examine_samples(known, fold, recipe, seed),
    ]


def examine_fit(data: Dataset, fold: Fold, checkpoint: Mapping[str, Any]) -> Examined:
    """Whether the checkpoint's scaler is that of the training rows alone, to 1e-5 deviations."""
    ours = Scaler.fit(data.grid[fold.train.first : fold.train.last + 1])
    theirs = Scaler.from_dict(dict(checkpoint["scaler"]))
    center, scale = (theirs.center - ours.center) / ours.scale, theirs.scale / ours.scale
    cut = data.panel.timestamps[fold.train.last]
    return compare(
        TRAINING,
        "fit",
        _of_features(cut, 0 * center, np.ones_like(scale)),
        _of_features(cut, center, scale),
        cut,
        differ=lambda expected, got: ~(np.abs(got - expected) <= AS_STORED),
        done=f"scaler of the {len(fold.train)} training rows beside the checkpoint's",
    )


def _of_features(stamp: pd.Timestamp, center: Array, scale: Array) -> pd.DataFrame:
    """A scaler as a table: one row, and two columns for every feature; both (F,)."""
    columns = {f"center of {name}": value for name, value in zip(NAMES, center, strict=True)}
    columns |= {f"scale of {name}": value for name, value in zip(NAMES, scale, strict=True)}
    return table_of(pd.DatetimeIndex([stamp]), (_ALL,), columns)


def _arrays(panel: Panel, fold: Fold, recipe: Recipe) -> tuple[Any, Any, Samples]:
    """Training's arrays without features, and not cut at the fold: of what its targets are made.

    Where the cut hides the future there is nothing to see, so that it must not be there.
    """
    bare = np.full((*panel.close.shape, 1), np.nan, dtype=np.float32)
    uncut = replace(fold, test=Rows(len(panel.timestamps), len(panel.timestamps)))
    return training_arrays(Dataset.of(panel, bare, recipe.model.n_steps), uncut, recipe)


def _targets(samples: Samples, targets: Targets, rows: Rows) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is learned in these rows, of every symbol and of the market; NaN where nothing is."""
    here = slice(rows.first, rows.last + 1)
    stamps, usable = samples.timestamps[here], samples.usable[here]
    columns = {
        name: np.where(usable, getattr(samples, name)[here].numpy().astype(float), np.nan)
        for name in _TARGETS
    }
    market = {"market": targets.market[here]}
    return table_of(stamps, samples.symbols, columns), table_of(stamps, (_ALL,), market)


def _examine_gaps(panel: Panel, recipe: Recipe, boundaries: list[Boundary]) -> Examined:
    needed = recipe.market.horizon + 2 + recipe.market.walk_forward.embargo
    leaks = []
    for learned, row in boundaries:
        gap = row - learned.last
        if gap < needed:
            stamp = panel.timestamps[learned.last]
            cut = panel.timestamps[min(row, len(panel.timestamps) - 1)]
            leaks.append(Leak(TRAINING, "gap", "rows ahead", _ALL, stamp, needed, gap, cut, 1))
    done = f"at least {needed} rows from a decision learned from to the next span"
    return Examined(TRAINING, "gap", done, len(boundaries), tuple(leaks))


def _examine_samples(panel: Panel, fold: Fold, recipe: Recipe, seed: int) -> list[Examined]:
    """The checks `window` and `scaler`, from the raw bars of some symbols on."""
    start = max(0, fold.train.first - burn_in(recipe.model.n_steps))
    symbols = sampled(panel, Rows(fold.train.first, fold.test.first - 1), seed)
    bars = raw_bars(panel, symbols, Rows(start, len(panel.timestamps) - 1))
    moved = _moved(fold, panel, panel_of(bars, symbols))
    known, later = (panel.timestamps[row] for row in (fold.test.first, fold.train.last + 1))
    ours, scaler = _given(bars, symbols, moved, recipe)
    theirs, _ = _given(scrambled(bars, known, seed), symbols, moved, recipe)
    _, other = _given(scrambled(bars, later, seed), symbols, moved, recipe)
    done = "the fold's bars become noise; every array that training is given"
    window = compare(TRAINING, "window", _inputs(ours), _inputs(theirs), known, done=done)
    fitted, refitted = (_of_features(later, each.center, each.scale) for each in (scaler, other))
    done = "bars become noise after the training rows; center and scale of every feature"
    values = sum(np.asarray(getattr(ours, name)).size for name in _GIVEN)
    return [
        replace(window, values=values),
        compare(TRAINING, "scaler", fitted, refitted, later, done=done),
    ]


def _moved(fold: Fold, whole: Panel, part: Panel) -> Fold:
    """The fold in rows of a panel whose clock may be a shorter one."""

    def moved(rows: Rows) -> Rows:
        first, last = whole.timestamps[rows.first], whole.timestamps[rows.last]
        end = int(part.timestamps.searchsorted(last, side="right"))
        return Rows(int(part.timestamps.searchsorted(first)), end - 1)

    test = Rows(fold.test.first, min(fold.test.last, len(whole.timestamps) - 1))
    return Fold(fold.key, moved(fold.train), moved(fold.validation), moved(test))


def _given(
    bars: pd.DataFrame, symbols: tuple[str, ...], fold: Fold, recipe: Recipe
) -> tuple[Samples, Scaler]:
    """What training is given of some symbols, from raw bars."""
    panel = panel_of(bars, symbols)
    features = features_of(panel, recipe.market.calendar)
    data = Dataset.of(panel, features, recipe.model.n_steps)
    scaler, _, samples = training_arrays(data, fold, recipe)
    return samples, scaler


def _inputs(samples: Samples) -> pd.DataFrame:
    """Every array of the samples; features are summed, which misses no bit of a float32."""
    arrays = {name: np.asarray(getattr(samples, name)).astype(float) for name in _GIVEN}
    arrays["grid"] = arrays["grid"].sum(axis=-1)
    return table_of(samples.timestamps, samples.symbols, arrays)
