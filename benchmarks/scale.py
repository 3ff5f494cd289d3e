"""What a market of thousands of shares would take: time, memory and money, from measured parts.

    python benchmarks/scale.py [--symbols 5000] [--years 20] [--preset small] [--parts bars ...]
                               [--core-hour 0.05] [--gigabyte-month 0.023]

Each part is measured on a small market (--measured SYMBOLS YEARS; made-up daily bars), in CPU
seconds of one thread, and multiplied by what it grows with: symbol-bars, rows that a fold trains
on, steps of a training. Nothing of the large size is run, so caches, disks and networks of that
size are not in it, nor are leakage checks, the LSTM, downloads and Dagster's own time. Prices are
assumptions that the two options say, in whatever currency; look up those of your cloud.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from markets import planted

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline.adapters.store.predictions import PredictionStore
from trading_pipeline.core.backtest.run import run_backtest
from trading_pipeline.core.features.catalog import NAMES, catalog_hash
from trading_pipeline.core.learning.adhoc import COSTS
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.dataset import Dataset, features_of
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import VALIDATION_SHARE, Fold, folds
from trading_pipeline.core.market.market import Market, WalkForward
from trading_pipeline.core.market.panel import Panel

YEAR, HORIZON, GIB = 252, 21, 2**30
SPANS = WalkForward(first_train=60, test=12, window=60)
RIVALS = ("ridge", "ridge_lags", "lightgbm")
FEW, MORE = 4, 20  # steps, of which the difference is what a step costs
PARTS = ("bars", "features", "training", "rivals", "predicting", "backtest")


@dataclass(frozen=True)
class Size:
    """Of a market of daily bars."""

    symbols: int
    years: float

    @property
    def bars(self) -> float:
        return self.years * YEAR

    @property
    def symbol_bars(self) -> float:
        return self.symbols * self.bars

    @property
    def folds(self) -> int:
        return max(1, int(self.years - SPANS.first_train / 12))

    @property
    def trained(self) -> float:
        """Symbol-bars of a fold's window."""
        return self.symbols * SPANS.window / 12 * YEAR

    @property
    def predicted(self) -> float:
        """Symbol-bars out of sample, of all folds."""
        return self.symbols * self.folds * SPANS.test / 12 * YEAR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=5000)
    parser.add_argument("--years", type=int, default=20)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--measured", type=int, nargs=2, default=(60, 7), metavar="N")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--core-hour", type=float, default=0.05)
    parser.add_argument("--gigabyte-month", type=float, default=0.023)
    given = parser.parse_args()
    small, large = Size(*given.measured), Size(given.symbols, given.years)
    parts = measure(small, given.preset, given.parts)
    print(f"measured on {small.symbols} symbols x {small.years} years; CPU seconds of one thread")
    for name, (value, unit) in parts.items():
        print(f"  {name:<28} {value:12,.4g} {unit}")
    print(
        f"\n{large.symbols:,} symbols x {large.years} years, {large.folds} folds, {given.preset}:"
    )
    for line in calculation(parts, large, given.core_hour, given.gigabyte_month):
        print(f"  {line}")


Parts = dict[str, tuple[float, str]]


def measure(size: Size, preset: str, wanted: Any) -> Parts:
    """CPU seconds and bytes of each part, by what it grows with."""
    panel = planted(0.03, 0, symbols=size.symbols, bars=int(size.bars)).panel
    market = market_of(panel)
    recipe = Recipe.preset(market, preset, len(NAMES))
    _ = features_of(panel.until(300), market.calendar)  # compiles
    features, seconds = timed(lambda: features_of(panel, market.calendar))
    million = panel.close.size / 1e6
    parts: Parts = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "bars" in wanted:
            parts |= of_bars(folder, panel, million)
        if "features" in wanted:
            parts |= of_features(folder, market, features, million)
            parts["features_compute"] = seconds / million, "s per million symbol-bars"
        data = Dataset.of(panel, grid_of(panel, features), recipe.model.n_steps)
        fold = list(folds(panel.timestamps, SPANS, HORIZON, recipe.model.n_steps).values())[-1]
        if "training" in wanted:
            parts |= of_training(data, fold, recipe)
        if "rivals" in wanted:
            parts |= of_rivals(data, fold, recipe)
        if {"predicting", "backtest"} & set(wanted):
            table, told = of_predicting(folder, data, fold, recipe)
            parts |= told
            if "backtest" in wanted:
                parts |= of_backtest(data, table, market)
    return parts


def market_of(panel: Panel) -> Market:
    return Market(
        name="scale",
        source="parquet",
        symbols=panel.symbols,
        start=panel.timestamps[0].date(),
        horizon=HORIZON,
        costs=COSTS,
        walk_forward=SPANS,
    )


def of_bars(folder: Path, panel: Panel, million: float) -> Parts:
    """Prices in cents, as venues give them: random digits would not compress."""
    t, n = np.indices(panel.close.shape)
    close = np.round(panel.close.ravel(), 2) + 0.01
    opens = np.round(panel.open.ravel(), 2) + 0.01
    bars = pd.DataFrame(
        {
            "timestamp": panel.timestamps[t.ravel()],
            "symbol": np.array(panel.symbols)[n.ravel()],
            "open": opens,
            "high": np.maximum(opens, close),
            "low": np.minimum(opens, close),
            "close": close,
            "volume": np.round(np.random.default_rng(0).lognormal(13, 1, close.size)),
        }
    )
    store = BarStore(folder / "raw")
    _, wrote = timed(lambda: store.merge(bars, datetime.now(UTC)))
    _, read = timed(store.read)
    return {
        "bars_write": (wrote / million, "s per million symbol-bars"),
        "bars_read": (read / million, "s per million symbol-bars"),
        "bars_disk": (size_of(folder / "raw") / million / 1e6, "bytes per symbol-bar"),
    }


def of_features(folder: Path, market: Market, features: pd.DataFrame, million: float) -> Parts:
    store = FeatureStore(folder / "features.duckdb", market.name)
    _, wrote = timed(lambda: store.write(features, catalog_hash()))
    return {
        "features_write": (wrote / million, "s per million symbol-bars"),
        "features_disk": (size_of(store.path) / million / 1e6, "bytes per symbol-bar"),
    }


def of_training(data: Dataset, fold: Fold, recipe: Recipe) -> Parts:
    """A step costs the same however many symbols there are; the start and a look do not."""
    _ = train_fold(data, fold, of_steps(recipe, 1))
    few, more = (
        timed(lambda steps=steps: train_fold(data, fold, of_steps(recipe, steps)))[1]
        for steps in (FEW, MORE)
    )
    step, window = (more - few) / (MORE - FEW), (fold.validation.last - fold.train.first) / 1e6
    around = max(0.0, few - FEW * step)
    return {
        "training_step": (step, "s per step"),
        "training_steps": (float(recipe.training.steps * len(recipe.training.seeds)), "steps"),
        "training_looks": (recipe.training.steps / recipe.training.evaluate_every, "looks"),
        "training_around": (around / (window * data.panel.close.shape[1]), "s per million rows"),
    }


def of_steps(recipe: Recipe, steps: int) -> Recipe:
    budget = replace(recipe.training, steps=steps, warmup=1, evaluate_every=steps, seeds=(0,))
    return replace(recipe, training=budget)


def of_rivals(data: Dataset, fold: Fold, recipe: Recipe) -> Parts:
    rows = (fold.validation.last - fold.train.first) * data.panel.close.shape[1] / 1e6
    return {
        name: (
            timed(lambda name=name: train_fold(data, fold, replace(recipe, learner=name)))[1]
            / rows,
            "s per million rows",
        )
        for name in RIVALS
    }


def of_predicting(
    folder: Path, data: Dataset, fold: Fold, recipe: Recipe
) -> tuple[pd.DataFrame, Parts]:
    checkpoint = train_fold(data, fold, of_steps(recipe, 1))
    table, seconds = timed(lambda: predict_rows(Predictor(checkpoint), data, fold.test, fold.key))
    models, kept = CheckpointStore(folder / "models"), PredictionStore(folder / "predictions")
    models.write(fold.key, checkpoint)
    kept.write(fold.key, table, "measured")
    return table, {
        "predicting": (1e6 * seconds / len(table), "s per million symbol-bars"),
        "predictions_disk": (size_of(kept.folder) / len(table), "bytes per symbol-bar"),
        "checkpoint_disk": (float(size_of(models.folder)), "bytes per fold and seed"),
    }


def of_backtest(data: Dataset, table: pd.DataFrame, market: Market) -> Parts:
    """Strategy, baselines, variants and a thousand random portfolios; compiled before."""
    _ = run_backtest(data.panel, table, data.eligible, market, 1e6)
    _, seconds = timed(lambda: run_backtest(data.panel, table, data.eligible, market, 1e6))
    return {"backtest": (1e6 * seconds / len(table), "s per million symbol-bars")}


def calculation(parts: Parts, size: Size, core_hour: float, month: float) -> list[str]:
    """The table: each line with what it is made of."""
    of = {name: value for name, (value, _) in parts.items()}
    rows, window, predicted = (
        each / 1e6 for each in (size.symbol_bars, size.trained, size.predicted)
    )
    seconds = {
        "bars: write": of.get("bars_write", 0) * rows,
        "features: compute, write": (of.get("features_compute", 0) + of.get("features_write", 0))
        * rows,
        "networks, all folds": size.folds
        * (
            of.get("training_step", 0) * of.get("training_steps", 0)
            + of.get("training_around", 0) * window
        ),
        "their other looks at validation": size.folds  # around has one; at most, as predicting
        * max(0.0, of.get("training_looks", 1) - 1)
        * of.get("predicting", 0)
        * VALIDATION_SHARE
        * window,
        "simpler models, all folds": size.folds * sum(of.get(name, 0) for name in RIVALS) * window,
        "predictions": of.get("predicting", 0) * predicted,
        "backtest and report's books": of.get("backtest", 0) * predicted,
    }
    total = sum(seconds.values())
    bytes_ = {
        "bars": of.get("bars_disk", 0) * size.symbol_bars,
        "features (each machine)": of.get("features_disk", 0) * size.symbol_bars,
        "predictions": of.get("predictions_disk", 0) * size.predicted,
        "checkpoints": of.get("checkpoint_disk", 0) * size.folds,
    }
    shared = sum(each for name, each in bytes_.items() if "machine" not in name) / GIB
    array = size.symbol_bars * len(NAMES) * 4
    fold = sum(list(seconds.values())[2:5]) / size.folds  # networks, looks, simpler models
    return [
        *(f"{name:<30} {each / 3600:10.2f} core-hours" for name, each in seconds.items()),
        f"{'all of it':<30} {total / 3600:10.2f} core-hours, {total / 3600 * core_hour:,.2f} at "
        f"{core_hour:g} a core-hour",
        f"{'a fold by itself':<30} {fold / 3600:10.2f} hours on one core: folds are independent",
        *(f"{name:<30} {each / GIB:10.2f} GiB on disk" for name, each in bytes_.items()),
        f"{'shared storage':<30} {shared:10.2f} GiB, {shared * month:,.2f} a month at {month:g}",
        f"{'the features as one array':<30} {array / GIB:10.2f} GiB of memory",
    ]


def grid_of(panel: Panel, features: pd.DataFrame) -> Any:
    from trading_pipeline.core.features.grid import feature_grid

    return feature_grid(features, panel.timestamps, panel.symbols)


def size_of(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def timed(work: Any) -> tuple[Any, float]:
    """What it gives, and the CPU seconds of this process."""
    start = time.process_time()
    return work(), time.process_time() - start


if __name__ == "__main__":
    main()
