"""Draw the path from score to order for one symbol of a planted market: docs/images/path.png.

    python benchmarks/path.py [--out docs/images/path.png] [--seed 3] [--symbol S007]

30 symbols, an information coefficient of 0.10 over the horizon, the moderate profile. What is drawn
is what the engine recorded, as `trading-pipeline explain` tells it in words.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from transfer_books import CAPITAL, WARMUP, Planting, planted_case

from trading_pipeline.core.trading.terms import Terms

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # after the choice of its canvas

BARS = slice(300, 480)  # of the account


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images/path.png"))
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--symbol", default="S007")
    given = parser.parse_args()
    case, _ = planted_case(Planting(0.10, 30, 4 * WARMUP), given.seed)
    basis, _ = case.basis()
    result = basis.trade(Terms.of(case.market(), CAPITAL), everything=True)
    n, N = case.panel.symbols.index(given.symbol), len(case.panel.symbols)
    decided = result.decisions[n::N][BARS]
    trace, log = result.trace[BARS, n], result.log[BARS]
    at = result.timestamps[BARS]
    score = basis.score[basis.start : basis.stop][BARS, n]
    figure, axes = plt.subplots(4, 1, figsize=(9, 9), sharex=True, layout="constrained")
    draw_scores(axes[0], at, score, decided, trace)
    draw_invested(axes[1], at, trace)
    draw_exposure(axes[2], at, log)
    draw_region(axes[3], at, decided)
    figure.savefig(given.out, dpi=110)
    print(f"wrote {given.out}")


def draw_scores(axis: plt.Axes, at, score, decided, trace) -> None:  # type: ignore[no-untyped-def]
    axis.plot(at, score, lw=0.7, color="0.7", label="score")
    axis.plot(at, decided["signal"], lw=1.2, label="signal, smoothed over h/5")
    axis.plot(at, trace["tilt"], lw=1.2, label="tilt: less mean, β and σ")
    axis.axhline(0, lw=0.5, color="0.5")
    axis.set_ylabel("σ√h")
    axis.set_title("1-3  What the score says about this symbol alone", loc="left", fontsize=10)
    axis.legend(loc="upper left", fontsize=8, ncols=3)


def draw_invested(axis: plt.Axes, at, trace) -> None:  # type: ignore[no-untyped-def]
    axis.plot(at, 100 * trace["benchmark"], lw=1.2, color="0.5", label="benchmark")
    axis.plot(at, 100 * (trace["benchmark"] + trace["capped"]), lw=0.8, ls=":", label="+ tilt")
    axis.plot(at, 100 * trace["invested"], lw=1.2, label="invested: within [0, cap], sum 1")
    axis.set_ylabel("% of the whole")
    axis.set_title("4-6  Benchmark and tilt", loc="left", fontsize=10)
    axis.legend(loc="upper left", fontsize=8, ncols=3)


def draw_exposure(axis: plt.Axes, at, log) -> None:  # type: ignore[no-untyped-def]
    axis.plot(at, log["exposure"], lw=1.2, label="total exposure E")
    axis.plot(at, log["drawdown_share"], lw=1.0, ls="--", label="share that drawdowns leave")
    axis.plot(at, log["gross"] / log["equity"], lw=1.0, color="0.5", label="held")
    axis.set_ylabel("× equity")
    axis.set_title("7, 10  How much of everything", loc="left", fontsize=10)
    axis.legend(loc="lower left", fontsize=8, ncols=3)


def draw_region(axis: plt.Axes, at, decided) -> None:  # type: ignore[no-untyped-def]
    aim, band = decided["aim"], decided["band"]
    low, high = np.maximum(aim - band, 0), aim + band
    axis.fill_between(
        at,
        100 * low,
        100 * high,
        alpha=0.2,
        label="no-trade region (lower where the aim is cut at 0)",
    )
    axis.plot(at, 100 * aim, lw=0.8, ls=":", label="aim")
    axis.step(at, 100 * decided["weight"], lw=1.3, where="post", color="k", label="held")
    for side, colour, name in ((1, "tab:green", "buy"), (-1, "tab:red", "sell")):
        rows = np.sign(decided["order"]) == side
        axis.scatter(at[rows], 100 * decided["target"][rows], s=14, color=colour, label=name)
    axis.set_ylabel("% of equity")
    axis.set_title("9-11  What is worth trading for", loc="left", fontsize=10)
    axis.legend(loc="upper left", fontsize=8, ncols=3)


if __name__ == "__main__":
    main()
