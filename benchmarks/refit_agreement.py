"""How much do the models of successive nights agree? What the band of acceptance was chosen by.

    python benchmarks/refit_agreement.py [--seeds 2] [--told 0 0.02 0.05] [--models ridge network]
                                         [--nights 1 5] [--results FILE]

Markets of 30 symbols and 1,500 days behind the burn-in, whose next return correlates `told` with
one of sixty features (0: nothing to find), so that over 21 bars it does about twice as much. A
model (`tiny`) is fitted on all bars but the newest ones, and again with 1, 5, ... bars more. Of
each pair: the mean rank correlation of their scores on the newest 63 dates, on how many of them
both order the symbols, and the mean difference of the validation records on their common dates,
with half the width of its 95 % interval.
"""

import argparse
import json
import time
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.dataset import Dataset, burn_in
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import production_fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.steps.acceptance import compared

BARS, DAYS, SYMBOLS, SIGMA, PERSISTS = 60, 1500, 30, 0.02, 0.9


@cache
def planted_market(seed: int, told: float) -> tuple[Market, Dataset]:
    """Shares whose next return correlates `told` with one of sixty features, each an
    autoregression; none of the others says anything."""
    rng, rows = np.random.default_rng(seed), burn_in(BARS) + DAYS
    grid = rng.normal(size=(rows, SYMBOLS, len(NAMES))).astype(np.float32)
    for row in range(1, rows):
        grid[row] = PERSISTS * grid[row - 1] + np.sqrt(1 - PERSISTS**2) * grid[row]
    moves = np.sqrt(1 - told**2) * rng.normal(size=(rows, SYMBOLS))
    moves[1:] += told * grid[:-1, :, 0]
    closes = 100 * np.exp(SIGMA * np.cumsum(moves, axis=0))
    opens = np.vstack([closes[:1], closes[:-1]])
    names = tuple(f"S{n:02}" for n in range(SYMBOLS))
    stamps = pd.bdate_range("2015-01-05", periods=rows, tz="UTC").as_unit("us")
    keys = pd.MultiIndex.from_product([stamps, names], names=["timestamp", "symbol"])
    prices = {
        "open": opens,
        "high": np.maximum(opens, closes) * 1.002,
        "low": np.minimum(opens, closes) / 1.002,
        "close": closes,
        "volume": np.full(closes.shape, 1e6),
    }
    bars = keys.to_frame(index=False).astype({"symbol": "str"})
    panel = Panel.of(bars.assign(**{name: each.ravel() for name, each in prices.items()}), None)
    market = Market(name="planted", source="parquet", symbols=names, start=date(2015, 1, 5))
    return market, Dataset.of(panel, grid, BARS)


def measure(seed: int, told: float, model: str, nights: list[int]) -> list[dict[str, Any]]:
    """The agreement of tonight's model with those of so many nights ago."""
    market, data = planted_market(seed, told)
    panel, recipe = data.panel, Recipe.preset(market, "tiny", len(NAMES))
    recipe = replace(recipe, learner=model)
    began, models = time.process_time(), {}
    for ago in [0, *nights]:
        known = panel.timestamps[: len(panel.timestamps) - ago]
        fold = production_fold(known, market, burn_in(BARS), recipe.training.min_dates)
        models[ago] = train_fold(data, fold, recipe)
    seconds = (time.process_time() - began) / len(models)
    found = {ago: compared(data, models[0], models[ago], market.horizon) for ago in nights}
    key = {"seed": seed, "told": told, "model": model, "seconds": seconds}
    return [{**key, "nights": ago, **each.to_dict()} for ago, each in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--told", type=float, nargs="+", default=[0.0, 0.02, 0.05])
    parser.add_argument("--models", nargs="+", default=["ridge", "network"])
    parser.add_argument("--nights", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--results", help="file of a line for each pair")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for seed in given.seeds:
        for told in given.told:
            for model in given.models:
                lines = [json.dumps(row) for row in measure(seed, told, model, given.nights)]
                print(*lines, sep="\n", flush=True)
                if given.results:
                    with Path(given.results).open("a") as file:
                        file.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
