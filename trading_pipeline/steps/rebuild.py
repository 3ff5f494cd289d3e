"""Making a report again, in a clean folder: from the same bars, with the same configuration.

The home that the report lies in is only read. Its trials up to the report are copied, event by
event and so hash by hash: the verdict depends on their number, and the new home's own evaluation
is of a configuration that is among them.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.code_version import code_version
from trading_pipeline.adapters.machine import packages, processor
from trading_pipeline.adapters.sources.stored import StoredSource
from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.adapters.store.trials import STREAM
from trading_pipeline.core.evaluation.reproduction import (
    EXACT,
    Difference,
    Tolerance,
    differences,
)
from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import LedgerError, StoreError
from trading_pipeline.steps.home import Home, Sources
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.lineage import plan_from
from trading_pipeline.steps.plan import Plan

MARK = "rebuild.json"  # in the new home: which report it is of
# With torch and OpenBLAS held to their oldest kernels, ridges, trees and all figures of their books
# were equal bit for bit, and heads of networks differed by 5e-7 after 60 steps; more steps, another
# GPU or an order that just misses a threshold make more of it.
OTHER_MACHINE = Tolerance(absolute=0.01, relative=0.01)


@dataclass(frozen=True)
class Original:
    """A report and the home that it lies in."""

    path: Path
    summary: dict[str, Any]
    home: Home
    plan: Plan  # that it was made by, ending where its bars did
    capital: float
    made_at: datetime

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def sources(self) -> "StoredSources":
        """Its bars, as they were known when it was made."""
        return StoredSources(self)


class StoredSources(Sources):
    """The bars of an original, for its one market."""

    def __init__(self, original: Original) -> None:
        self.source = StoredSource(original.home.bars(original.plan.market), original.made_at)

    def open(self, market: Market) -> StoredSource:
        """Its stored bars."""
        return self.source


@dataclass(frozen=True)
class Rebuilt:
    """What a report that was made again came to."""

    figures: int
    differing: list[Difference]
    tolerance: Tolerance
    other: list[str]  # of what the original was made with, what is not the same now
    departure: str | None  # the first file that is not equal, where all should be


def read_report(path: Path) -> dict[str, Any]:
    """The content of a report.json.

    Raises:
        StoreError: it is none.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read as a report ({error}); `trading-pipeline backtest` makes one"
        ) from error
    if not isinstance(summary, dict) or not isinstance(summary.get("lineage"), dict):
        raise StoreError(f"{path} is no report.json of this program: it has no lineage")
    return summary


def home_of_report(path: Path, ledger_url: str | None) -> Home:
    """The home that a report lies in: HOME/reports/MARKET/report.json.

    Raises:
        StoreError: it was copied out of it.
    """
    folder = path.absolute().parent
    if folder.parent.name != "reports":
        raise StoreError(
            f"{path} does not lie in a home, as HOME/reports/MARKET/report.json does: what it was "
            "made from is not beside it. Give the path of the report where it was written"
        )
    return Home(root=str(folder.parents[1]), ledger_url=ledger_url)


def read_original(path: Path, ledger_url: str | None = None, device: str | None = None) -> Original:
    """A report, its home and its plan.

    Args:
        device: to train on instead of the one that was used.

    Raises:
        StoreError: it is no report, lies in no home, or does not say how it was made.
    """
    summary = read_report(path)
    lineage = summary["lineage"]
    if "config" not in lineage:
        raise StoreError(
            f"{path} does not say how it was made: it is of an earlier version (make it anew with "
            "`trading-pipeline backtest`), or of predictions that were made elsewhere"
        )
    plan = plan_from(lineage["config"])
    try:
        last = datetime.fromisoformat(lineage["data"]["last"]).date()
        capital = float(lineage["config"]["capital"])
        made_at = datetime.fromisoformat(lineage["made_at"])
        config_hash, code_version = summary["config_hash"], summary["code_version"]
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} does not say how it was made ({error!r}): it was changed after it was "
            "written. Make it anew with `trading-pipeline backtest`"
        ) from error
    market = replace(plan.market, end=plan.market.end or last + timedelta(days=1))
    plan = replace(plan, market=market, device=device or plan.device)
    if (now := plan.recipe.config_hash(catalog_hash())) != config_hash:
        raise StoreError(
            f"{path}: this version makes another configuration ({now[:12]}) of the same settings "
            f"than {code_version} did ({str(config_hash)[:12]}): features or the sizes of a preset "
            f"have changed. Check out that version to rebuild it"
        )
    return Original(path, summary, home_of_report(path, ledger_url), plan, capital, made_at)


def begin(original: Original, home: Home) -> list[str]:
    """Take a folder for a rebuild of this report, or go on in the one of before; what to know.

    The mark comes first, so that a rebuild that was killed is known again, however early.

    Raises:
        StoreError: something else is in it, or a rebuild of another report, by another version of
            the code or on another device, half of which would be mixed with this one.
    """
    mark = home.path / MARK
    noted = {
        "report": str(original.path),
        "sha256": original.digest,
        "code": code_version(),
        "device": original.plan.device,
    }
    if mark.exists():
        found = _noted(mark)
        if other := [name for name, value in noted.items() if found.get(name) != value]:
            how = ", ".join(f"{name} {found.get(name)}, now {noted[name]}" for name in other)
            raise StoreError(f"{home.path} is another rebuild ({how}); give --out another folder")
    elif home.path.exists() and not _is_free(home.path):
        raise StoreError(f"{home.path} is no empty folder; give --out one that is, or a new one")
    else:
        replace_file(mark, lambda draft: draft.write_text(json.dumps(noted), encoding="utf-8"))
    return _copy_trials(original, home)


def _noted(mark: Path) -> dict[str, Any]:
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{mark} is damaged ({error}); give --out another folder") from error
    return found if isinstance(found, dict) else {}


def _is_free(path: Path) -> bool:
    """Whether it is a folder with nothing in it but drafts of a mark, that a kill left."""
    return path.is_dir() and all(
        each.name.startswith(".draft-") and each.name.endswith(f"-{MARK}")
        for each in path.iterdir()
    )


def check_bars(original: Original, home: Home) -> None:
    """Raise StoreError where the bars are not those that the report was made from."""
    panel = read_panel(home, original.plan.market)
    found = panel.data_hash(len(panel.timestamps))
    if found != original.summary["data_hash"]:
        data = original.summary["lineage"]["data"]
        raise StoreError(
            f"{original.home.bars(original.plan.market).folder} does not hold the bars that the "
            f"report was made from any more: {len(panel.timestamps):,} stamps to "
            f"{panel.timestamps[-1]:%Y-%m-%d}, data hash {found[:12]}, instead of "
            f"{data['rows']:,} to {data['last'][:10]}, {original.summary['data_hash'][:12]}. "
            "Splits, dividends or rows set aside have changed since, or its files were"
        )


def compare(original: Original, home: Home) -> Rebuilt:
    """Hold the report of the new home against the original, figure by figure."""
    now = read_report(home.report(original.plan.market) / "report.json")
    other = _other_machine(original.summary, now)
    tolerance = OTHER_MACHINE if other else EXACT
    count, differing = differences(original.summary, now, tolerance)
    if original.summary["code_version"] != now["code_version"]:
        was, is_ = original.summary["code_version"], now["code_version"]
        other.append(f"code: {was}, now {is_}")
    departure = None if other else _departure(original.summary, now)
    return Rebuilt(count, differing, tolerance, other, departure)


def _other_machine(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Processors and packages that are not the same: of the report, and of every checkpoint."""
    then, other = was["lineage"], []
    kinds, here = _processors(was), _processors(now) | {processor()}
    if not kinds <= here:
        other.append(f"processor: {'; '.join(sorted(kinds - here))}, now {'; '.join(sorted(here))}")
    versions = packages()
    other += [
        f"package {name}: {version}, now {versions.get(name, 'not installed')}"
        for name, version in then["packages"].items()
        if versions.get(name) != version
    ]
    return other


def _processors(summary: dict[str, Any]) -> set[str]:
    """Of a report, and of those checkpoints that say theirs."""
    folds = (fold.get("processor") for fold in _folds(summary).values())
    return {summary["lineage"]["processor"], *(each for each in folds if each)}


def _folds(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of every model and fold, what its files are."""
    models = summary["lineage"]["models"]
    return {f"{model} {key}": fold for model in models for key, fold in models[model].items()}


def _departure(was: dict[str, Any], now: dict[str, Any]) -> str | None:
    """The first file that is not equal: all checkpoints, then all predictions."""
    theirs, ours = _folds(was), _folds(now)
    for name in ("checkpoint", "predictions"):
        for key, fold in theirs.items():
            if ours.get(key, {}).get(name) != fold[name]:
                return f"the {name} of {key}"
    return None


def _copy_trials(original: Original, home: Home) -> list[str]:
    """Copy the trials up to the report's own, with their returns; what could not be copied."""
    event = original.summary["lineage"].get("trial")
    if event is None or not original.home.has_ledger:
        return ["the trials of before are not known: their number, and what follows, may differ"]
    with original.home.trials() as theirs, home.trials() as ours:
        try:
            faults = theirs.copy(ours, event["seq"])
        except LedgerError as error:
            return [f"trials cannot be copied: {error}"]
        copied = [each.hash for each in ours.ledger.read(STREAM)[: event["seq"]]]
    if copied[-1:] != [event["hash"]]:
        return ["the ledger does not have the event that the report names; trials may differ"]
    return faults
