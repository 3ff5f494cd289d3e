"""What reports say, as the table of docs/evidence.md: verdicts, figures with intervals, trials.

    python benchmarks/evidence.py walk-forward/*/reports/*/report.json

A row is a report. Figures are after costs, intervals 95 %; alpha is what no mix of the rule
baselines earned, a year. A panel is named by the hash that its report has of the bars, and by the
SHA-256 of its file where `pipeline.toml` of a walk-forward, beside `reports/`, says which it was.
Written to be pasted: nothing is rounded but for the eye, and nothing computed but what several
panels make of a p-value. Holm's is the least level at which a question is answered by this panel,
were it asked of all panels of the table and one wrong 'proven' among them one too many; the answer
beside it is the report's own, withheld where that is above 0.025.
"""

import argparse
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from statsmodels.stats.multitest import multipletests

from trading_pipeline.core.evaluation.confidence import ONE_SIDED
from trading_pipeline.core.evaluation.verdict import NOT_PROVEN

HEADS = (
    *("Panel", "Out of sample", "The edge", "Adds to the baselines", "The network"),
    *("p of the edge (Holm)", "p of adds (Holm)"),
    *("Sharpe ratio", "above the benchmark's", "Alpha, a year", "Trials (effective)"),
)

QUESTIONS = ("edge", "adds")

Report = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", type=Path, nargs="+", help="report.json of each panel")
    paths = parser.parse_args().reports
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    print(table(reports))
    for path, report in zip(paths, reports, strict=True):
        print(identity(report, panel_of(path)))


def table(reports: Iterable[Report]) -> str:
    """Markdown, a row for each report."""
    found = list(reports)
    together = [holm([each["significance"][question] for each in found]) for question in QUESTIONS]
    cells = (row(each, *levels) for each, *levels in zip(found, *together, strict=True))
    rows = [HEADS, ["---"] * len(HEADS), *cells]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"


def holm(judged: Sequence[Mapping[str, Any]]) -> list[float]:
    """Each p-value among all of them, in [0, 1]; one that is unknown counts as 1.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure (1979).
    """
    values = [1.0 if each["p_value"] is None else each["p_value"] for each in judged]
    return multipletests(values, method="holm")[1].tolist() if values else []


def row(report: Report, *levels: float) -> list[str]:
    """Args: levels: Holm's of each of QUESTIONS."""
    verdict, span, found = report["verdict"], report["period"], report["significance"]
    above = report["paired"][report["benchmark"]]["sharpe_difference"]
    return [
        report["market"],
        f"{span['start'][:10]} to {span['end'][:10]}, {span['days']:,} days",
        answer(verdict["edge"], verdict["needs_days"]),
        answer(verdict["adds"], verdict["adds_needs_days"]),
        verdict["network"],
        *(among(report, name, level) for name, level in zip(QUESTIONS, levels, strict=True)),
        figure(report["strategy"]["sharpe"], ".2f"),
        figure(above, "+.2f"),
        figure(found["adds"]["alpha"], "+.1%"),
        f"{number(report['trials'])} ({number(found['edge']['effective_trials'])})",
    ]


def answer(said: str, needs: int | None) -> str:
    return f"{said}, needs {needs:,} more days" if needs else said


def among(report: Report, question: str, level: float) -> str:
    """'0.004 (0.012: proven)'."""
    own = report["significance"][question]["p_value"]
    answer = report["verdict"][question] if level <= ONE_SIDED else NOT_PROVEN
    return f"{'n/a' if own is None else f'{own:.3f}'} ({level:.3f}: {answer})"


def figure(numbers: Mapping[str, float | None], form: str) -> str:
    """'0.53 [-0.12, 1.17]'."""
    value, low, high = (numbers[name] for name in ("value", "low", "high"))
    if value is None:
        return "n/a"
    ends = "" if low is None or high is None else f" [{low:{form}}, {high:{form}}]"
    return f"{value:{form}}{ends}"


def number(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def identity(report: Report, panel: Path | None) -> str:
    """What the row is of, whole enough to be checked."""
    named = f", file SHA-256 {sha256(panel)}" if panel else ""
    return (
        f"- {report['market']}: {report['period']['bars']:,} bars out of sample, bars "
        f"{report['data_hash']}, configuration {report['config_hash']}, code "
        f"{report['code_version']}{named}"
    )


def panel_of(report: Path) -> Path | None:
    """The file that a walk-forward was given; None where its settings do not say."""
    settings = report.resolve().parents[2] / "pipeline.toml"
    if not settings.is_file():
        return None
    markets = tomllib.loads(settings.read_text(encoding="utf-8")).get("markets", {})
    named = [Path(each["path"]) for each in markets.values() if "path" in each]
    return named[0] if len(named) == 1 and named[0].is_file() else None


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
