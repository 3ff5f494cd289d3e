"""What stands behind one figure of a report, and whether it still is what is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from trading_pipeline.adapters.code_version import code_version
from trading_pipeline.adapters.machine import packages, processor
from trading_pipeline.adapters.store.trials import STREAM
from trading_pipeline.core.evaluation.reproduction import figures_of
from trading_pipeline.core.evaluation.summary import FOREIGN, SINGLE_MODEL
from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import CheckpointError, LedgerError, StoreError, TradingPipelineError
from trading_pipeline.steps.freshness import features_are_current
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.lineage import plan_from

SAME = "as then"
_OF_ALL = ("verdict", "paired", "baselines", "information_coefficients")
_NEAR = 6  # keys that are offered for one that is not there


class Source(NamedTuple):
    """Something that a figure was made from."""

    what: str
    value: str  # hash, version or setting, as the report has it
    now: str  # "as then", or what it is instead


@dataclass(frozen=True)
class Fold:
    """A checkpoint and its predictions, as the report has them."""

    model: str
    key: str
    lineage: Mapping[str, Any]  # see `fold_lineage`
    checkpoint: str  # "as then", or what the file is instead
    predictions: str


@dataclass(frozen=True)
class Traced:
    """A figure and all that is behind it."""

    value: Any
    sources: list[Source]
    folds: list[Fold]
    config: dict[str, Any]  # by dotted key
    plan: Any


def figure_of(summary: Mapping[str, Any], key: str) -> Any:
    """The figure of a dotted key, or the part of the report of that name.

    Raises:
        StoreError: there is none; lists keys that are near.
    """
    found: Any = summary
    for name in key.split("."):
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise StoreError(f"the report has no {key!r}; {_near(summary, key)}")
    return found


def _near(summary: Mapping[str, Any], key: str) -> str:
    """Keys like this one: spelt alike, or with the same last name."""
    parts = [leaf.split(".") for leaf, _ in figures_of(summary)]
    every = dict.fromkeys(
        ".".join(each[:depth]) for each in parts for depth in range(1, len(each) + 1)
    )
    last = key.rpartition(".")[2]
    near = get_close_matches(key, every, _NEAR, 0.7)
    near += [each for each in every if each.rpartition(".")[2] == last]
    if near:
        return f"near: {', '.join(dict.fromkeys(near[: 2 * _NEAR]))}"
    return f"it has {', '.join(summary)}"


def models_behind(summary: Mapping[str, Any], key: str) -> list[str]:
    """The models whose predictions shape a figure, the traded one first.

    A rule baseline has none, but where it is managed: what the strategy's past allowed sizes it.
    The verdict on the network, and whatever is of all baselines at once, has every model.
    """
    parts, models = key.split("."), list(summary["lineage"].get("models", {}))
    if key in _OF_ALL or key.startswith("verdict.network"):
        return models
    own, named = models[:1], [each for each in models[1:] if each in parts]
    if parts[0] == "baselines" and len(parts) > 1 and not parts[1].endswith("_managed"):
        return named
    return own + named


def trace(summary: Mapping[str, Any], key: str, home: Home | None) -> Traced:
    """What is behind a figure; of a report that lies in no home, what it says itself.

    Raises:
        StoreError: the report has no such figure, or does not say how it was made.
    """
    value, lineage = figure_of(summary, key), summary["lineage"]
    if summary.get("origin") in (FOREIGN, SINGLE_MODEL):
        return Traced(value, _of_a_table(summary, home), folds=[], config={}, plan=None)
    if "config" not in lineage:
        raise StoreError(
            "the report does not say how it was made: it is of an earlier version; make it anew"
        )
    plan = plan_from(lineage["config"])
    behind = models_behind(summary, key)
    here = [] if home is None else _stored(summary, home, plan.market)
    return Traced(
        value=value,
        sources=[*_computed(summary), *here],
        folds=[
            _fold(home, plan.market, model, name, fold, model == plan.model)
            for model in behind
            for name, fold in lineage["models"][model].items()
        ],
        config=dict(figures_of(lineage["config"])),
        plan=plan,
    )


def _of_a_table(summary: Mapping[str, Any], home: Home | None) -> list[Source]:
    """What a report on a table of anyone's own has behind it; neither table nor bars are kept."""
    lineage = summary["lineage"]
    once_more = "not kept here: the same file gives it again"
    return [
        _source("code", summary["code_version"], code_version()),
        *([_packages(lineage)] if "packages" in lineage else []),
        Source("bars", summary["data_hash"], once_more),
        *([_checkpoint(lineage)] if "checkpoint" in lineage else []),
        Source("predictions", lineage["predictions_hash"], once_more),
        Source("configuration", summary["config_hash"], "of market, predictions and options"),
        *([_trial_now(summary, home)] if home else []),
    ]


def _checkpoint(lineage: Mapping[str, Any]) -> Source:
    made = lineage["checkpoint"]
    learned = f"learned from {made['train_start'][:10]} to {made['last_target'][:10]}"
    return Source("checkpoint", made["sha256"], f"not kept here; {learned}")


def _packages(lineage: Mapping[str, Any]) -> Source:
    versions = packages()
    other = [
        f"{name} {versions.get(name, 'is not installed')} now, {version} then"
        for name, version in lineage["packages"].items()
        if versions.get(name) != version
    ]
    said = ", ".join(f"{name} {version}" for name, version in lineage["packages"].items())
    return Source("packages", said, "; ".join(other) or SAME)


def _computed(summary: Mapping[str, Any]) -> list[Source]:
    """What computed the report, beside what would now."""
    lineage = summary["lineage"]
    return [
        _source("code", summary["code_version"], code_version()),
        _packages(lineage),
        _source("processor", lineage["processor"], processor(lineage["config"]["plan"]["device"])),
        _source("features", lineage["catalog_hash"], catalog_hash()),
        Source("configuration", summary["config_hash"], "its values are below"),
        Source("seeds", _seeds(summary), "part of the configuration"),
    ]


def _seeds(summary: Mapping[str, Any]) -> str:
    seeds = summary["lineage"]["seeds"]
    training = ", ".join(map(str, seeds["training"]))
    return f"training {training}; bootstrap and random portfolios {seeds['other']}"


def _source(what: str, then: str, now: str) -> Source:
    return Source(what, then, SAME if then == now else f"now {now}")


def _stored(summary: Mapping[str, Any], home: Home, market: Market) -> list[Source]:
    """Bars, feature table and trial, beside what the home holds now."""
    return [
        Source("bars", summary["data_hash"], _bars_now(summary, home, market)),
        Source("feature table", "of these bars", _features_now(home, market)),
        _trial_now(summary, home),
    ]


def _bars_now(summary: Mapping[str, Any], home: Home, market: Market) -> str:
    try:
        panel = read_panel(home, market)
    except TradingPipelineError as error:
        return f"cannot be read: {error}"
    rows = summary["lineage"]["data"]["rows"]
    if panel.data_hash(rows) != summary["data_hash"]:
        return f"other: {panel.data_hash(rows)[:12]}… in the first {rows:,} stamps"
    more = len(panel.timestamps) - rows
    return SAME if more <= 0 else f"{SAME}, and {more:,} stamps have come since"


def _features_now(home: Home, market: Market) -> str:
    try:
        return SAME if features_are_current(home, market) else "to be computed anew"
    except TradingPipelineError as error:
        return f"cannot be read: {error}"


def _trial_now(summary: Mapping[str, Any], home: Home) -> Source:
    event = summary["lineage"].get("trial")
    if event is None:
        return Source("trial", "unknown", "no ledger could be used when the report was made")
    said = f"event {event['seq']} of {STREAM}, {event['hash']}"
    if not home.has_ledger:
        return Source("trial", said, "there is no ledger any more")
    try:
        with home.ledger() as ledger:
            ledger.verify(STREAM)
            hashes = {each.seq: each.hash for each in ledger.read(STREAM)}
    except LedgerError as error:
        return Source("trial", said, str(error))
    return Source(
        "trial", said, SAME if hashes.get(event["seq"]) == event["hash"] else "is not there"
    )


def _fold(
    home: Home | None, market: Market, model: str, key: str, fold: Mapping[str, Any], own: bool
) -> Fold:
    if home is None:
        return Fold(model, key, fold, "", "")
    beside = home if own else home.beside(model)
    try:
        checkpoint = _file(fold["checkpoint"], beside.checkpoints(market).verify(key))
    except CheckpointError as error:
        checkpoint = str(error)
    return Fold(
        model,
        key,
        fold,
        checkpoint,
        _file(fold["predictions"], beside.predictions(market).digest(key)),
    )


def _file(then: str, now: str | None) -> str:
    if now is None:
        return "missing"
    return SAME if then == now else f"other: {now[:12]}…"


def where(summary: Mapping[str, Any], path: Path) -> str:
    """The report in a line: when it was made, and of what."""
    data, made = summary["lineage"].get("data", {}), summary["lineage"].get("made_at")
    rows = f", {data['rows']:,} stamps {data['first'][:10]} to {data['last'][:10]}" if data else ""
    return f"{path}: {summary['market']}{rows}{f', made {made[:19]} UTC' if made else ''}"
