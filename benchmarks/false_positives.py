"""How often the pipeline says 'proven' where there is nothing to find, and where there is a skill.

    python benchmarks/false_positives.py [--results FOLDER] [--surrogates 200] [--planted 20]
                                         [--processes 2] [--panel FILE] [--known FILE] [--table]
                                         [--figure FILE]

Each panel has 30 symbols and 1,500 days, and goes all the way: bars, 60 features, a network of the
preset `tiny` for each of three years, predictions, backtest with costs beside every rule baseline,
verdicts (`whole_chain.py`). Two kinds:

surrogate  dates of a market resampled with replacement, in blocks of 1 and of 21 bars, after every
           symbol got the same mean return: nothing to find, so 'proven' is a false positive. The
           market is simulated (`core/market/synthetic.py`), another one for every surrogate; or
           --panel FILE is a panel of shares, of which 30 symbols and the last 1,500 days are drawn.
planted    a simulated market whose volume tells of the next returns, so much that the pipeline's
           own book, given the signal itself, has a net Sharpe ratio 0, 0.5, 1, 1.5 or 2 above the
           best rule baseline of its panel, in the mean over panels.

Predictions are traded by a long-only account, which `walk-forward` opens where nothing else is
said, and by a neutral one. 'Proven' is either of the first two verdicts, 'edge' or 'adds'.

A panel is a line of FOLDER/panels.jsonl, and a file beside it of what was predicted and what
every account returned by the day. What is there is not done again. A line of other code is: what
was predicted is traded and judged once more, in seconds a panel. Networks are not trained again,
so after a change to them choose another folder. --table prints what there is.

--known FILE has lines of earlier runs, such as a `panels.jsonl` of another folder: its panels count
as they are, and are not walked again.

Leaves with 1 where the interval of the false-positive rate lies above 5 %, or fewer than 80 % are
found of those planted at 2.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest
from whole_chain import (
    CLOCK,
    MANDATES,
    SYMBOLS,
    Returns,
    Scores,
    judged,
    market_of,
    oracle_scores,
    scores_of,
    traded,
)

from trading_pipeline.adapters.code_version import code_version
from trading_pipeline.core.evaluation.metrics import sharpe
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.synthetic import surrogate, synthetic_market
from trading_pipeline.steps.panel_file import PanelFile, read_panel_file

BLOCKS = (1, 21)  # bars, of surrogates
# Oracle's advantage in net Sharpe ratio -> correlation of the signal with the next own return.
PLANTED = {0.0: 0.035, 0.5: 0.08, 1.0: 0.123, 1.5: 0.168, 2.0: 0.215}
MOST, LEAST = 0.05, 0.80  # rates of 'proven': without anything to find, and at the last advantage
Row = dict[str, Any]


class Case(NamedTuple):
    """A panel to be made and judged."""

    kind: str  # surrogate or planted
    level: float  # bars of a block, or the oracle's advantage
    seed: int

    @property
    def key(self) -> str:
        return f"{self.kind}-{self.level:g}-{self.seed:03}"


@dataclass(frozen=True)
class Effort:
    """What is done, the same in every process."""

    folder: Path
    source: Path | None  # of surrogates; None: simulated
    quick: bool

    @property
    def terms(self) -> Row:
        """What all panels of a folder have in common."""
        return {"source": str(self.source or "simulated"), "quick": self.quick}

    @property
    def lines(self) -> Path:
        return self.folder / "panels.jsonl"

    def kept(self, key: str) -> Path:
        """What was predicted of a panel, and what its accounts returned."""
        return self.folder / "panels" / f"{key}.npz"


def cases(surrogates: int, planted: int) -> list[Case]:
    """All of them, each kind as often as it is wanted, so that what is done so far is of all."""
    nothing = [Case("surrogate", BLOCKS[seed % len(BLOCKS)], seed) for seed in range(surrogates)]
    skilled = [Case("planted", level, seed) for seed in range(planted) for level in PLANTED]
    done = [(place + 1) / len(kind) for kind in (nothing, skilled) for place in range(len(kind))]
    return [case for _, case in sorted(zip(done, nothing + skilled, strict=True))]


@lru_cache(maxsize=1)
def real_bars(path: Path) -> tuple[PanelFile, list[str]]:
    """The last 1,500 days of a panel, and the symbols that have a bar on each.

    Raises:
        SystemExit: there are fewer days or symbols.
    """
    file = read_panel_file(path, strict=False, named=None, template=None)
    days = np.sort(file.bars["timestamp"].unique())[-len(CLOCK) :]
    bars = file.bars[file.bars["timestamp"] >= days[0]].reset_index(drop=True)
    present = bars.groupby("symbol").size()
    whole = [str(name) for name in present.index[present == len(CLOCK)]]
    if len(whole) < len(SYMBOLS):
        sys.exit(
            f"{path}: {len(whole)} symbols have a bar on each of the last {len(CLOCK):,} days, "
            f"{len(SYMBOLS)} are needed"
        )
    return file._replace(bars=bars), whole


def surrogate_panel(case: Case, source: Path | None) -> Panel:
    """A panel with nothing to find."""
    if source is None:
        market = synthetic_market(CLOCK, SYMBOLS, 1000 + case.seed).panel
    else:
        file, whole = real_bars(source)
        drawn = np.random.default_rng(case.seed).choice(whole, len(SYMBOLS), replace=False)
        rows = file.bars[file.bars["symbol"].isin(drawn)].reset_index(drop=True)
        market = replace(file.panel(rows), timestamps=CLOCK, symbols=SYMBOLS)
    return surrogate(market, case.seed, int(case.level))


def walk(case: Case, effort: Effort) -> Row:
    """Take a panel through the whole chain; its scores are those that are kept, if there are."""
    torch.set_num_threads(1)
    began, truth = time.process_time(), None
    if case.kind == "planted":
        truth = synthetic_market(CLOCK, SYMBOLS, case.seed, PLANTED[case.level])
    panel = truth.panel if truth else surrogate_panel(case, effort.source)
    path, digest = effort.kept(case.key), panel.data_hash(len(CLOCK))
    scores = read_scores(path, digest) or scores_of(panel, effort.quick)
    accounts = {mandate: traded(panel, scores, mandate) for mandate in MANDATES}
    row = {"key": case.key, **case._asdict(), **effort.terms, "code": code_version()}
    row |= {mandate: judged(accounts[mandate], mandate) for mandate in MANDATES}
    if truth:
        accounts["oracle"] = traded(panel, oracle_scores(truth), "long_only")
        row["advantage"] = advantage(accounts["oracle"])
    write_kept(path, digest, scores, accounts)
    return row | {"seconds": round(time.process_time() - began, 1)}


def advantage(returns: Returns) -> float:
    """By how much the strategy's Sharpe ratio, a year, exceeds that of the best baseline."""
    a_year = market_of("long_only").days_per_year
    ratios = {name: float(sharpe(each, a_year)) for name, each in returns.items()}
    return ratios.pop("strategy") - float(np.nanmax(list(ratios.values())))


def write_kept(path: Path, digest: str, scores: Scores, accounts: dict[str, Returns]) -> None:
    """Scores, and daily returns as MANDATE/ACCOUNT, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    returns = {f"{of}/{name}": each for of, all_ in accounts.items() for name, each in all_.items()}
    with draft.open("wb") as file:
        np.savez_compressed(file, panel=np.array(digest), **scores._asdict(), **returns)
    draft.replace(path)


def read_scores(path: Path, digest: str) -> Scores | None:
    """The scores that were kept of a panel; None where there are none.

    Raises:
        SystemExit: they are of a panel with other bars.
    """
    if not path.exists():
        return None
    with np.load(path) as arrays:
        if str(arrays["panel"]) != digest:
            sys.exit(f"{path} is of other bars than this seed has now; choose another --results")
        return Scores(*(arrays[name] for name in Scores._fields))


def read(path: Path) -> list[Row]:
    """The lines so far; one that a kill cut off counts as none."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def together(known: list[Row], rows: list[Row]) -> list[Row]:
    """Lines of earlier runs, and those of this one, which come instead of them."""
    return list({row["key"]: row for row in [*known, *rows]}.values())


def write(path: Path, rows: list[Row]) -> None:
    """All lines anew, in one step."""
    draft = path.with_suffix(".draft")
    draft.write_text("".join(json.dumps(row) + "\n" for row in rows))
    draft.replace(path)


def collect(effort: Effort, wanted: list[Case], processes: int, known: list[Row]) -> list[Row]:
    """Every panel that is wanted, walked where no line of this code nor a known one holds it."""
    effort.folder.mkdir(parents=True, exist_ok=True)
    rows = read(effort.lines)
    for name, lines in (("--results", rows), ("--known", known)):
        if any(not effort.terms.items() <= row.items() for row in lines):
            sys.exit(f"{name} is of other panels than {effort.terms}; choose another one")
    rows = [row for row in rows if row.get("code") == code_version()]
    write(effort.lines, rows)
    rows = together(known, rows)
    there = {row["key"] for row in rows}
    missing = [case for case in wanted if case.key not in there]
    began = time.monotonic()
    with ProcessPoolExecutor(processes) as pool, effort.lines.open("a") as file:
        for future in as_completed([pool.submit(walk, case, effort) for case in missing]):
            rows.append(future.result())
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            done = len(rows) - len(there)
            left = (time.monotonic() - began) / done * (len(missing) - done)
            print(
                f"[{len(rows)}/{len(wanted)}] {told(rows[-1])}; {left / 60:.0f} min left",
                flush=True,
            )
    return rows


def told(row: Row) -> str:
    """A panel as it comes."""
    found = ", ".join(f"{m} {' and '.join(proven(row, m)) or 'nothing'}" for m in MANDATES)
    return f"{row['key']}: proven {found}; {row['seconds']:.0f} s of CPU"


def proven(row: Row, mandate: str) -> list[str]:
    """Which verdicts are."""
    return [name for name, verdict in row[mandate].items() if verdict == "proven"]


class Rate(NamedTuple):
    """A share of panels, with its exact 95 % interval (Clopper and Pearson, 1934)."""

    count: int
    panels: int

    @property
    def value(self) -> float:
        return self.count / self.panels

    @property
    def interval(self) -> tuple[float, float]:
        low, high = binomtest(self.count, self.panels).proportion_ci(method="exact")
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} [{low:.1%}, {high:.1%}]"


def rate(rows: list[Row], mandate: str, verdict: str = "either") -> Rate:
    """How often a verdict, or either of them, is 'proven'."""
    found = [proven(row, mandate) for row in rows]
    counted = [bool(each) if verdict == "either" else verdict in each for each in found]
    return Rate(sum(counted), len(rows))


def groups(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by what the table has a line for."""
    nothing = [row for row in rows if row["kind"] == "surrogate"]
    named = {"surrogates": nothing}
    for block in BLOCKS:
        named[f"of blocks of {block}"] = [row for row in nothing if row["level"] == block]
    for level in PLANTED:
        chosen = [row for row in rows if row["kind"] == "planted" and row["level"] == level]
        named[f"planted, {level:g}"] = chosen
    return {name: chosen for name, chosen in named.items() if chosen}


def table(rows: list[Row]) -> str:
    """Rates with intervals, as Markdown."""
    lines = [
        "| panels | of them | oracle's advantage | 'proven', long-only | edge | adds | neutral |",
        "|---" * 7 + "|",
    ]
    for name, chosen in groups(rows).items():
        known = [row["advantage"] for row in chosen if "advantage" in row]
        error = np.std(known) / np.sqrt(len(known)) if known else 0.0
        cells = [
            name,
            str(len(chosen)),
            f"{np.mean(known):.2f} ± {error:.2f}" if known else "",
            str(rate(chosen, "long_only")),
            *(f"{rate(chosen, 'long_only', verdict).value:.1%}" for verdict in ("edge", "adds")),
            str(rate(chosen, "neutral")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def is_sound(rows: list[Row]) -> bool:
    """Print what is asked and what was measured; whether nothing is missed."""
    named, sound = groups(rows), True
    if nothing := named.get("surrogates"):
        for mandate in MANDATES:
            found = rate(nothing, mandate)
            met = found.interval[0] <= MOST
            print(f"false positives, {mandate}: {found}, at most {MOST:.0%}: {_word(met)}")
            sound &= met
    if skilled := named.get(f"planted, {max(PLANTED):g}"):
        found = rate(skilled, "long_only")
        met = found.value >= LEAST
        print(f"power at {max(PLANTED):g}: {found}, at least {LEAST:.0%}: {_word(met)}")
        sound &= met
    return sound


def _word(met: bool) -> str:
    return "met" if met else "MISSED"


def draw(rows: list[Row], path: Path) -> None:
    """The power curve, and the rate where there is nothing."""
    from matplotlib import pyplot as plt  # not needed to measure

    named = groups(rows)
    figure, axes = plt.subplots(figsize=(7, 4))
    for verdict, offset in (("either", 0.0), ("edge", -0.03), ("adds", 0.03)):
        found = {
            level: rate(named[f"planted, {level:g}"], "long_only", verdict)
            for level in PLANTED
            if f"planted, {level:g}" in named
        }
        values = np.array([each.value for each in found.values()])
        ends = np.array([each.interval for each in found.values()]).T
        places = np.array(list(found)) + offset
        reach = np.abs(ends - values) if len(found) else np.empty((2, 0))
        axes.errorbar(places, values, reach, marker="o", capsize=3, label=f"'proven': {verdict}")
    if "surrogates" in named:
        low, high = rate(named["surrogates"], "long_only").interval
        axes.axhspan(low, high, color="grey", alpha=0.4, label="where there is nothing to find")
    axes.axhline(MOST, color="black", linestyle="dotted", linewidth=0.8)
    axes.set(
        xlabel="net Sharpe ratio of the oracle less that of the best rule baseline",
        ylabel="share of panels, 95 % intervals",
        ylim=(-0.02, 1.02),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("false_positives"), help="folder")
    parser.add_argument("--surrogates", type=int, default=200, help="panels with nothing to find")
    parser.add_argument("--planted", type=int, default=20, help="panels of each advantage")
    parser.add_argument("--processes", type=int, default=2, help="panels at a time, a core each")
    parser.add_argument("--panel", type=Path, help="of shares, that surrogates are made of")
    parser.add_argument("--known", type=Path, help="lines of earlier runs, which count as well")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    parser.add_argument("--figure", type=Path, help="draw the power curve into this PNG")
    parser.add_argument("--quick", action="store_true", help="networks that learn nothing: a trial")
    given = parser.parse_args()
    effort = Effort(given.results, given.panel, given.quick)
    wanted = cases(given.surrogates, given.planted)
    known = read(given.known) if given.known else []
    if given.known and not known:
        sys.exit(f"{given.known} holds no panels")
    rows = together(known, read(effort.lines))
    if not given.table:
        rows = collect(effort, wanted, given.processes, known)
    if not rows:
        sys.exit(f"{effort.folder} holds no panels yet; leave --table away")
    print(f"\n{table(rows)}\n")
    sound = is_sound(rows)
    if given.figure:
        draw(rows, given.figure)
    sys.exit(not sound)


if __name__ == "__main__":
    main()
