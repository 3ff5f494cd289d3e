"""What the network learns on planted markets, beside the simplest rivals, and what it costs.

    python benchmarks/learning.py [--seeds 5] [--horizons 1 21] [--patterns linear noise]
                                  [--models ridge small] [--results FILE] [--table] [--figure FILE]
    python benchmarks/learning.py --walk 2
    python benchmarks/learning.py --position-state 5

Markets are those of `planted.py`: 100 symbols, 60 features, five years to learn from, two to be
asked about. Of each the mean rank information coefficient out of sample, `ideal` that of all that
could be known; and the CPU seconds of a fold: what is fitted, chosen and calibrated, not what is
asked afterwards. `terms` is what the network starts from, and nothing more; `alone` is `small`
without it, so what its encoders find by themselves.

`--results` keeps every figure in a file of a line each, and does not measure again what is there;
`--table` prints what is in it, and measures nothing. Everything takes four hours on one core.
`--walk` asks the same of all that a market goes through: bars whose volume tells, the sixty
features of the catalog, `train_fold`, `predict_rows`. `--position-state` measures what the position
state is worth.

Leaves with 1 where a bar is missed.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from planted import BARS, PATTERNS, Planted, planted, walk
from scipy.stats import rankdata

from trading_pipeline.core.learning.calibration import (
    believe,
    best_blend,
    blended,
    fit_slope,
    heads_on,
)
from trading_pipeline.core.learning.rivals.rival import fit
from trading_pipeline.core.learning.samples import Samples, encode_dates
from trading_pipeline.core.learning.training import Start, train_network
from trading_pipeline.core.model.config import LEARNED_BASELINES, ModelConfig, TrainingConfig
from trading_pipeline.core.model.network import TradingNetwork

STARTED = ("terms", "tiny", "small")  # networks that begin where closed form ends
MODELS = (*LEARNED_BASELINES, *STARTED, "alone")
EVERY = 4  # of the dates out of sample are asked about
COST = 0.001
FOUND = 0.035  # on the market of the walk, where the return correlates 0.05 with what is planted

Array = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A market of a seed, and where networks start on it: found once, and counted for each."""

    market: Planted
    seed: int
    horizon: int

    @cached_property
    def start(self) -> tuple[Start, float]:
        """Where a training begins, and the CPU seconds that finding it takes."""
        began, model = time.process_time(), ModelConfig.preset("tiny")
        start = Start.of(self.market.samples, self.market.fold, model, self.horizon)
        return start, time.process_time() - began


def asked(market: Planted) -> NDArray[np.int64]:
    """The dates out of sample that are asked about."""
    rows = market.fold.test
    return np.arange(rows.first, rows.last + 1, EVERY)


def measure(name: str, case: Case) -> Row:
    """A model's figures on a market."""
    before = case.start[1] if name in STARTED else 0.0
    began, market = time.process_time(), case.market
    score_on, spread = fitted(name, case)
    seconds = before + time.process_time() - began
    dates = asked(market)
    score = score_on(dates)
    return {
        "rank_ic": float(np.nanmean(rank_correlation(score, targets(market.samples, dates)))),
        "of_ideal": float(np.nanmean(rank_correlation(score, market.ideal[dates]))),
        "seconds": seconds,
        "spread": spread,
    }


def fitted(name: str, case: Case) -> tuple[Callable[[NDArray[np.int64]], Array], float]:
    """What scores dates, (L, N), as it would be traded but for its unit, and the spread of its
    calibrated scores on validation."""
    market, horizon = case.market, case.horizon
    samples, validation = market.samples, market.fold.validation
    dates = np.arange(validation.first, validation.last + 1)
    target = targets(samples, dates)
    if name in LEARNED_BASELINES:
        rival = fit(name, samples, market.fold)

        def score(dates: NDArray[np.int64]) -> Array:
            windows = [samples.grid[day - BARS + 1 : day + 1].transpose(0, 1) for day in dates]
            return np.stack([rival.score(each) for each in windows])

        said = score(dates)
    else:
        network = trained(name, case)
        price, position, _ = heads_on([network], samples, validation)
        price = believe([network], samples, validation, horizon, price)
        weight, scale = best_blend(price, position, target, horizon)
        said = blended(price, position, weight, scale)

        def score(dates: NDArray[np.int64]) -> Array:
            return blended(*price_and_position(network, samples, dates), weight, scale)

    slope, _ = fit_slope(said, target, horizon)
    return score, float(slope * (said - said.mean(axis=1, keepdims=True)).std())


def trained(name: str, case: Case) -> TradingNetwork:
    """The network of a preset; what it starts from alone; or its encoders alone."""
    preset = "small" if name == "alone" else "tiny" if name == "terms" else name
    model = ModelConfig.preset(preset, **({"terms": 0} if name == "alone" else {}))
    if name == "terms":
        network = TradingNetwork(model).eval()
        case.start[0].put(network)
        return network
    start = None if name == "alone" else case.start[0]
    budget, market = TrainingConfig.preset(preset), case.market
    network, _ = train_network(market.samples, market.fold, model, budget, COST, case.seed, start)
    return network


def price_and_position(
    network: TradingNetwork, samples: Samples, dates: NDArray[np.int64]
) -> tuple[Array, Array]:
    """What two heads say on dates, (L, N) each."""
    with torch.inference_mode():
        encoded = encode_dates(network, samples, dates)
        answers = network.heads(encoded.flatten(0, 1), encoded.new_empty(0))
    price, position = (each.view(encoded.shape[:2]).double().numpy() for each in answers[:3:2])
    return price, position


def targets(samples: Samples, dates: NDArray[np.int64]) -> Array:
    """What came true, (L, N)."""
    return samples.price[dates].double().numpy()


def rank_correlation(score: Array, target: Array) -> Array:
    """Across symbols at each date, (L,); 0 where all scores are equal, NaN without a target."""
    score, target = (each - each.mean(axis=1, keepdims=True) for each in _ranks(score, target))
    norm = np.linalg.norm(score, axis=1) * np.linalg.norm(target, axis=1)
    correlation = (score * target).sum(axis=1) / np.where(norm > 0, norm, 1.0)
    return np.where(np.isfinite(target).all(axis=1), correlation, np.nan)


def _ranks(*values: Array) -> list[Array]:
    return [rankdata(each, axis=1, nan_policy="propagate") for each in values]


def collect(given: argparse.Namespace) -> list[Row]:
    """Every figure that is asked for, measured where the file of results does not hold it."""
    path = Path(given.results) if given.results else None
    held = path.read_text().splitlines() if path and path.exists() else []
    rows = [json.loads(line) for line in held]
    for seed in range(given.seeds):
        for horizon in given.horizons:
            for pattern in given.patterns:
                case = None
                for name in ("ideal", *given.models):
                    key = {"pattern": pattern, "horizon": horizon, "seed": seed, "model": name}
                    if given.table or any(key.items() <= row.items() for row in rows):
                        continue
                    case = case or Case(planted(pattern, seed, horizon), seed, horizon)
                    rows.append(key | figures(name, case))
                    print(told(rows[-1]), flush=True)
                    if path:
                        with path.open("a") as file:
                            file.write(json.dumps(rows[-1]) + "\n")
    return rows


def figures(name: str, case: Case) -> Row:
    """Of a model, or of all that could be known."""
    if name != "ideal":
        return measure(name, case)
    market, dates = case.market, asked(case.market)
    known = rank_correlation(market.ideal[dates], targets(market.samples, dates))
    return {"rank_ic": float(np.nanmean(known)), "of_ideal": 1.0, "seconds": 0.0, "spread": 0.0}


def told(row: Row) -> str:
    """A figure as it comes."""
    return (
        f"{row['pattern']:8} h {row['horizon']:2} seed {row['seed']} {row['model']:10} "
        f"{row['rank_ic']:+.4f}, correlates {row['of_ideal']:.3f} with the ideal, "
        f"{row['seconds']:.0f} s of CPU"
    )


class Figures:
    """What was measured, by horizon."""

    def __init__(self, rows: list[Row], horizon: int) -> None:
        self.rows = [row for row in rows if row["horizon"] == horizon]

    def of(self, pattern: str, model: str, figure: str = "rank_ic") -> Array:
        """One figure of each seed, (seeds,), in their order."""
        found = [
            (row["seed"], row[figure])
            for row in self.rows
            if row["pattern"] == pattern and row["model"] == model
        ]
        return np.array([value for _, value in sorted(found)])

    def mean(self, pattern: str, model: str, figure: str = "rank_ic") -> float:
        """Mean over seeds; NaN where nothing was measured."""
        values = self.of(pattern, model, figure)
        return float(values.mean()) if len(values) else float("nan")

    def error(self, pattern: str, model: str) -> float:
        """Standard error of the mean over seeds; NaN of fewer than two."""
        values = self.of(pattern, model)
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")

    def best_rival(self, pattern: str) -> float:
        """The highest mean of a single rival."""
        means = [self.mean(pattern, rival) for rival in LEARNED_BASELINES]
        return float(np.nanmax(means)) if np.isfinite(means).any() else float("nan")


def table(figures: Figures, models: tuple[str, ...]) -> str:
    """Rank information coefficients with standard errors, and CPU seconds, as Markdown."""
    lines = [" | ".join(["| planted", *models]) + " |", "|---" * (len(models) + 1) + "|"]
    measured = [pattern for pattern in PATTERNS if np.isfinite(figures.mean(pattern, "ideal"))]
    for pattern in measured:
        cells = [
            f"{figures.mean(pattern, model):.3f} ± {figures.error(pattern, model):.3f}"
            for model in models
        ]
        lines.append(" | ".join([f"| {pattern}", *cells]) + " |")
    seconds = [
        np.nanmean([figures.mean(pattern, model, "seconds") for pattern in measured])
        for model in models
    ]
    lines.append(" | ".join(["| CPU seconds of a fold", *(f"{s:.0f}" for s in seconds)]) + " |")
    return "\n".join(lines)


def bars(figures: Figures) -> list[tuple[str, float, float]]:
    """What is asked of the means: in words, measured, at least."""
    mean, error = figures.mean, figures.error
    beyond = [mean("order", rival) - 3 * error("order", rival) for rival in LEARNED_BASELINES]
    return [
        ("linear: tiny, of ridge", mean("linear", "tiny") / mean("linear", "ridge"), 0.95),
        ("linear: small, of ridge", mean("linear", "small") / mean("linear", "ridge"), 1.0),
        ("product: small, of LightGBM", mean("product", "small") / mean("product", "lightgbm"), 2),
        ("product: small, of the ideal", mean("product", "small") / mean("product", "ideal"), 0.6),
        ("lagged: tiny, of the ideal", mean("lagged", "tiny") / mean("lagged", "ideal"), 0.5),
        ("lagged: small, of the ideal", mean("lagged", "small") / mean("lagged", "ideal"), 0.8),
        (
            "mixed: small, of the best rival",
            mean("mixed", "small") / figures.best_rival("mixed"),
            1.15,
        ),
        ("order: small, in standard errors", mean("order", "small") / error("order", "small"), 3),
        ("order: no rival beyond three of them", -float(np.nanmax(beyond)), 0.0),
        ("noise: 0.005 less |tiny|", 0.005 - abs(mean("noise", "tiny")), 0.0),
        ("noise: 0.005 less |small|", 0.005 - abs(mean("noise", "small")), 0.0),
        ("noise: 0.005 less the spread of small", 0.005 - mean("noise", "small", "spread"), 0.0),
    ]


def judge(figures: Figures) -> bool:
    """Print what is asked and what was measured; whether nothing that was measured is missed."""
    missed = False
    for words, measured, least in bars(figures):
        verdict = "not measured" if np.isnan(measured) else "met" if measured >= least else "MISSED"
        missed |= verdict == "MISSED"
        print(f"{words}: {measured:.3f}, asked for at least {least}: {verdict}")
    return not missed


def draw(rows: list[Row], path: Path) -> None:
    """What each finds of each market, and what it costs, beside what could be known."""
    from matplotlib import pyplot as plt  # not needed to measure

    figures = Figures(rows, 1)
    shown = [name for name in MODELS if np.isfinite(figures.mean("linear", name))]
    patterns, width = [name for name in PATTERNS if name != "noise"], 0.8 / len(shown)
    figure, (found, cost) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(4, 1))
    for n, model in enumerate(shown):
        places = np.arange(len(patterns)) - 0.4 + (n + 0.5) * width
        means = [figures.mean(pattern, model) for pattern in patterns]
        errors = [figures.error(pattern, model) for pattern in patterns]
        found.bar(places, means, width, yerr=errors, label=model, color=f"C{n}")
        seconds = np.nanmean([figures.mean(pattern, model, "seconds") for pattern in patterns])
        cost.barh(len(shown) - n, max(seconds, 0.05), color=f"C{n}")
        cost.text(max(seconds, 0.05), len(shown) - n, f" {model} {seconds:.1f}", va="center")
    for n, pattern in enumerate(patterns):
        ideal = figures.mean(pattern, "ideal")
        found.hlines(ideal, n - 0.4, n + 0.4, "black", "dashed", label=None if n else "ideal")
    found.axhline(0, color="black", linewidth=0.8)
    found.set_xticks(range(len(patterns)), patterns)
    found.set_title("Rank information coefficient out of sample, targets of one bar")
    found.legend(fontsize=8, ncols=2)
    cost.set(xscale="log", title="CPU seconds of a fold", yticks=[], xlim=(0.04, 3000))
    for axes in (found, cost):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def ablation(count: int) -> None:
    """What the position state is worth on mixed markets: the blended score, with it and without."""
    pairs = np.array(
        [[blended_ic(seed, state) for state in (True, False)] for seed in range(count)]
    )
    for label, values in zip(
        ("with", "without", "with - without"), (*pairs.T, pairs[:, 0] - pairs[:, 1]), strict=True
    ):
        error = values.std(ddof=1) / np.sqrt(count)
        print(f"{label}: {values.mean():+.4f} ± {error:.4f}, the mean of {count} markets")


def blended_ic(seed: int, position_state: bool) -> float:
    """Of the blend of price and position head that validation chooses, out of sample."""
    market = planted("mixed", seed)
    model = replace(ModelConfig.preset("tiny"), position_state=position_state)
    start = Start.of(market.samples, market.fold, model, horizon=1)
    budget = TrainingConfig.preset("tiny")
    network, _ = train_network(market.samples, market.fold, model, budget, COST, seed, start)
    scores = []
    for rows in (market.fold.validation, market.fold.test):
        price, position, _ = heads_on([network], market.samples, rows)
        scores.append(
            (price, position, targets(market.samples, np.arange(rows.first, rows.last + 1)))
        )
    weight, scale = best_blend(*scores[0], horizon=1)
    price, position, target = scores[1]
    blend = weight * price + (1 - weight) * scale * position
    print(f"seed {seed}, position state {position_state}: ", end="")
    found = float(np.nanmean(rank_correlation(blend, target)))
    print(f"{found:+.4f}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="of data; a network each")
    parser.add_argument("--horizons", type=int, nargs="+", default=[1, 21], help="bars of a target")
    parser.add_argument("--patterns", nargs="+", default=list(PATTERNS), choices=PATTERNS)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--results", help="file of figures, which is gone on with")
    parser.add_argument("--table", action="store_true", help="only print what it holds")
    parser.add_argument("--figure", help="draw what it holds into this PNG")
    parser.add_argument("--walk", type=int, default=0, help="markets from bars to predictions")
    parser.add_argument("--position-state", type=int, default=0, help="markets of the ablation")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.position_state:
        ablation(given.position_state)
        return
    if given.walk:
        found = [walk(seed) for seed in range(given.walk)]
        print(f"from bars to predictions: {found}, asked for more than {FOUND}")
        sys.exit(min(found) <= FOUND)
    rows, sound = collect(given), True
    for horizon in given.horizons:
        figures = Figures(rows, horizon)
        print(f"\nTargets of {horizon} bars\n\n{table(figures, ('ideal', *given.models))}\n")
        if horizon == 1:
            sound = judge(figures)
    if given.figure:
        draw(rows, Path(given.figure))
    sys.exit(not sound)


if __name__ == "__main__":
    main()
