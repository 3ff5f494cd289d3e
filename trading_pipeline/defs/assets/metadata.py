"""What the page of an asset shows of a materialization."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import dagster as dg
import numpy as np
import pandas as pd

from trading_pipeline.adapters.dashboard_page import REPORTS_PORT
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline.adapters.store.history import SET_ASIDE
from trading_pipeline.adapters.store.production import Decision
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.revisions import newest_changes
from trading_pipeline.steps.download import ActionsDownloaded
from trading_pipeline.steps.venue_download import Downloaded

if TYPE_CHECKING:  # they load torch, which the code location must not
    from trading_pipeline.steps.evaluate import Evaluated
    from trading_pipeline.steps.features import Updated

ROWS, ROWS_OF_PARTITION, URI = "dagster/row_count", "dagster/partition_row_count", "dagster/uri"
_SHOWN = 20  # symbols and revisions


def of_bars(market: Market, store: BarStore, done: Downloaded) -> dict[str, Any]:
    """A download of bars."""
    stamps, first_changed = store.keys()["timestamp"], done.first_changed
    return {
        "rows": len(stamps),
        ROWS: len(stamps),
        URI: store.folder.absolute().as_uri(),
        "symbols": ", ".join(market.symbols[:_SHOWN]),
        "first": str(stamps.min()) if len(stamps) else "none",
        "last": str(stamps.max()) if len(stamps) else "none",
        "came": done.rows,
        "added": done.added,
        "changed": done.changed,
        "removed": done.removed,
        "first_changed": str(first_changed) if first_changed is not None else "none",
        "requests": done.requests,
        "failed": done.failures or "none",
        "set_aside": len(store.set_aside()),
        "revisions": len(store.revisions()),
        "folder": dg.MetadataValue.path(str(store.folder)),
    }


def of_newest_day(store: BarStore, window: dg.TimeWindow) -> dict[str, Any]:
    """What is long: told of the newest day alone, as a first download has thousands of them."""
    stamps = store.keys()["timestamp"]
    return {
        ROWS_OF_PARTITION: int(((stamps >= window.start) & (stamps < window.end)).sum()),
        "newest_revisions": dg.MetadataValue.md(revisions_text(store.revisions())),
        "rows_set_aside": dg.MetadataValue.md(aside_text(store.set_aside())),
    }


def revisions_text(revisions: pd.DataFrame) -> str:
    """A Markdown table of the newest changes."""
    changes = newest_changes(revisions, _SHOWN) if len(revisions) else revisions
    if changes.empty:
        return "none: no stored bar was ever changed"
    for column in ("bar", "stored", "revised"):
        changes[column] = changes[column].dt.strftime("%Y-%m-%d %H:%M").fillna("unknown")
    return str(changes.to_markdown(index=False, floatfmt=".10g"))


def aside_text(aside: pd.DataFrame) -> str:
    """A Markdown table of rows that came and are no bars."""
    if aside.empty:
        return "none: every row that came is a bar"
    shown = aside[:_SHOWN].assign(timestamp=aside["timestamp"].dt.strftime("%Y-%m-%d %H:%M"))
    more = len(aside) - len(shown)
    rest = f"\n\nand {more:,} more: `{SET_ASIDE.file}` in the folder" if more > 0 else ""
    return str(shown.to_markdown(index=False, floatfmt=".10g")) + rest


def of_actions(store: BarStore, done: ActionsDownloaded) -> dict[str, Any]:
    """Splits and dividends."""
    changed, actions = done.first_changed, done.actions
    news: dict[str, Any] = {
        "first_changed": "none" if changed is None else str(changed),
        ROWS: 0 if actions is None else len(actions),
        URI: store.folder.absolute().as_uri(),
    }
    if actions is None:
        note = "none known: prices are taken as total-return units and pay no dividends"
        return news | {"rows": 0, "note": note}
    counts = actions.groupby(["symbol", "kind"]).size().reset_index(name="events")
    return news | {
        "rows": len(actions),
        "events": dg.MetadataValue.md(counts.to_markdown(index=False)),
        "unknown_to_the_source": ", ".join(done.unknown) or "none",
        "notices": len(done.notices),
        "newest_notices": dg.MetadataValue.md(notices_text(done.notices)),
    }


def notices_text(notices: pd.DataFrame) -> str:
    """A Markdown table of what prices are not adjusted for, the newest first."""
    if notices.empty:
        return "none: splits and cash dividends are all that happened"
    newest = notices.sort_values("timestamp", ascending=False)[:_SHOWN]
    days = newest["timestamp"].dt.strftime("%Y-%m-%d")
    return str(newest.assign(timestamp=days).to_markdown(index=False, floatfmt=".10g"))


def of_features(store: FeatureStore, done: "Updated") -> dict[str, Any]:
    """An update of the features."""
    from trading_pipeline.core.features.catalog import NAMES, catalog_hash
    from trading_pipeline.core.features.coverage import coverage_markdown

    rows = done.features
    return {
        "rows": len(rows),
        ROWS: store.count(),
        URI: store.path.absolute().as_uri(),
        "features": len(NAMES),
        "catalog_hash": short(catalog_hash()),
        "computed": done.reason,
        "rebuilt": "the catalog has changed" if done.rebuilt else "no",
        "coverage": dg.MetadataValue.md(coverage_markdown(rows)),
        "complete": float(rows[list(NAMES)].notna().to_numpy().mean()) if len(rows) else 0.0,
    }


def of_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A trained model."""
    from trading_pipeline.core.learning.validation import VALIDATION, validation_text

    return {
        "train_start": checkpoint["train_start"],
        "train_end": checkpoint["train_end"],
        "last_target": checkpoint["last_target"],
        "validation_ic_of_the_scores": validation_text(
            checkpoint["metrics"], checkpoint["recipe"]["market"]["horizon"]
        ).removeprefix(f"{VALIDATION} "),
        "fingerprint": short(checkpoint["fingerprint"]),
    }


def of_predictions(file: Path, rows: pd.DataFrame) -> dict[str, Any]:
    """The predictions of a fold."""
    return {
        "rows": len(rows),
        ROWS_OF_PARTITION: len(rows),
        URI: file.absolute().as_uri(),
        "first": str(rows["timestamp"].min()),
        "last": str(rows["timestamp"].max()),
        "mean_score": float(rows["score"].mean()),
    }


def of_decision(decision: Decision | None) -> dict[str, Any]:
    """Whether a candidate for production was accepted, why not, and on what evidence."""
    if decision is None:
        return {"decision": "none: no bar was new or changed"}
    rows = [f"| {name} | {value} |" for name, value in (decision.evidence or {}).items()]
    return {
        "decision": decision.kind,
        "reasons": dg.MetadataValue.md("\n".join(f"- {r}" for r in decision.reasons) or "none"),
        "evidence": dg.MetadataValue.md("\n".join(["| evidence | |", "|---|---|", *rows])),
    }


def start_text(start: dict[str, Any]) -> str:
    """Markdown of the terms that a network began with, and how much its encoders count."""
    if not start:
        return "none: this model is no network"
    counts = f"what the encoders add counts {start['gain']:.2f}"
    if not start["terms"]:
        return f"no term stood out; {counts}"
    terms = pd.DataFrame(start["terms"]).to_markdown(index=False, floatfmt=("", "+.4f", "+.1f"))
    return f"{terms}\n\n{counts}"


def of_report(market: Market, done: "Evaluated") -> dict[str, Any]:
    """The report in short."""
    from trading_pipeline.adapters.reports.charts.pictures import as_markdown
    from trading_pipeline.adapters.reports.charts.sparkline import equity_markdown
    from trading_pipeline.adapters.reports.features_page import drift_sentence
    from trading_pipeline.adapters.reports.summary_text import (
        markdown_attribution,
        markdown_brief,
        markdown_table,
    )
    from trading_pipeline.adapters.reports.verdicts import spoken_verdicts

    summary, series, files = done.summary, done.series, done.files
    spoken, benchmark = spoken_verdicts(summary), summary["benchmark"]
    curve = equity_markdown(series.equity, series.baselines[benchmark], benchmark)
    return {
        "open": dg.MetadataValue.md(open_text(market)),
        "verdict": "; ".join(f"{each.title}: {each.answer}" for each in spoken),
        "equity": dg.MetadataValue.md(curve),
        "summary": dg.MetadataValue.md(markdown_brief(summary)),
        "chart": dg.MetadataValue.md(as_markdown(files["png"].read_bytes(), "equity")),
        **{
            name: dg.MetadataValue.md(as_markdown(files[name].read_bytes(), name))
            for name in ("drawdown", "months")
        },
        "attribution": dg.MetadataValue.md(markdown_attribution(summary)),
        "all_metrics": dg.MetadataValue.md(markdown_table(summary)),
        "reasons": dg.MetadataValue.md(
            "\n".join(f"- {each.title}: {why}" for each in spoken for why in each.reasons)
        ),
        "warnings": dg.MetadataValue.md("\n".join(f"- {text}" for text in summary["warnings"])),
        URI: files["html"].absolute().as_uri(),
        "report": dg.MetadataValue.path(str(files["html"].absolute())),
        "features": dg.MetadataValue.path(str(files["features"].absolute())),
        "drift": drift_sentence(done.diagnostics) if done.diagnostics else "not known",
        "fills": len(series.fills),
        "set_aside": len(done.aside),
        "data_hash": short(summary["data_hash"]),
        "config_hash": short(summary["config_hash"]),
        "code_version": summary["code_version"],
    }


def open_text(market: Market) -> str:
    """Markdown that opens the report from the web UI, whose pages a browser lets open no file."""
    site = f"http://127.0.0.1:{REPORTS_PORT}/{quote(market.name)}"
    pages = ", ".join(f"[{name}]({site}/{name}.html)" for name in ("report", "features", "quality"))
    return f"{pages}: while `trading-pipeline ui` or Compose runs on this machine"


def of_account(state: dict[str, Any]) -> dict[str, Any]:
    """A paper account, as `Dashboard.state` has it."""
    from trading_pipeline.adapters.reports.charts.sparkline import equity_markdown
    from trading_pipeline.adapters.reports.text import spaced

    curve, band, name = state["curve"], state["band"], "what the backtest's mean return makes"
    beside = band["middle"] if band else [state["capital"]] * len(curve)
    name = name if band else "the capital"
    picture = equity_markdown(np.array(curve), np.array(beside), name) if len(curve) > 1 else "none"
    seen = datetime.fromisoformat(state["now"]) - timedelta(seconds=state["heartbeat"] or 0)
    limits = [f"- {rule}: {spaced(text)}" for rule, text in state["limits"].items()]
    return {
        "equity_curve": dg.MetadataValue.md(picture),
        "drawdown": float(state["drawdown"] or 0),
        "positions_held": dg.MetadataValue.md(_table(state["positions"])),
        "open_orders": dg.MetadataValue.md(_table(state["orders"])),
        "recipe": state["recipe"],
        "risk_state": state["risk"] or "not known",
        "limits": dg.MetadataValue.md("\n".join(limits) or "none acts"),
        "operator": f"{state['intent']} {state['intent_said']}".strip(),
        "heartbeat": dg.MetadataValue.timestamp(seen),
        "next_bar": state["next_bar"] or "none",
    }


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "none"
    return str(pd.DataFrame(rows).to_markdown(index=False, floatfmt=",.10g"))


def short(digest: str) -> str:
    """As much of a hash as fits on an asset's page; the files themselves carry all of it."""
    return digest[:16]
