"""The report of a backtest as files: a page to read, and tables for whoever wants to check it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from trading_pipeline.adapters.reports.charts.pictures import (
    draw_drawdown,
    draw_equity,
    draw_months,
)
from trading_pipeline.adapters.reports.charts.series import (
    ReportSeries,
    accounts,
    curves,
    random_portfolios,
)
from trading_pipeline.adapters.reports.csv_file import write_csv
from trading_pipeline.adapters.reports.features_page import features_page
from trading_pipeline.adapters.reports.folder import replace_folder
from trading_pipeline.adapters.reports.quality_page import quality_page
from trading_pipeline.adapters.reports.report_files import FILES, PAGES
from trading_pipeline.adapters.reports.report_page import page
from trading_pipeline.adapters.reports.text import basis
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.adapters.store.files import remove_file
from trading_pipeline.core.evaluation.features.diagnostics import Diagnostics
from trading_pipeline.core.market.quality.report import Quality

ASIDE = "set_aside.csv"  # only where rows were set aside
_TABLES = ("orders", "fills", "vetoes", "predictions", "cash_flows", "trades", "positions")


def write_report(
    folder: Path,
    summary: Summary,
    series: ReportSeries,
    diagnostics: Diagnostics | None,
    quality: Quality | None,
    aside: pd.DataFrame | None = None,
) -> dict[str, Path]:
    """Write every file of FILES into `folder`, all of them or none; return where each one is.

    The same inputs give the same bytes.

    Args:
        folder: the report's own; an old report in it is replaced.
        summary: from `evaluate`.
        series: what is drawn and tabled.
        diagnostics: of the features that the predictions were made from; None, where they are not
            known: no page of them.
        quality: of the bars; None, where they are of no market: no page of them.
        aside: rows that came and are no bars: ASIDE, if there are any.

    Raises:
        StoreError: the folder cannot be written; the old report is still there.
    """
    tables = {FILES[name]: getattr(series, name) for name in _TABLES}
    tables |= {
        FILES["equity"]: accounts(series),
        FILES["attribution"]: attribution_table(summary),
        FILES["curves"]: curves(series),
        FILES["random"]: random_portfolios(series),
    }
    if aside is not None and len(aside):
        tables[ASIDE] = aside

    def fill(draft: Path) -> None:
        _write_pages(draft, summary, series, diagnostics)
        if quality is not None:
            (draft / FILES["quality"]).write_text(quality_page(quality), encoding="utf-8")
        _draw(draft, summary, series)
        for name, table in tables.items():
            write_csv(table, draft / name)

    replace_folder(folder, fill)
    if aside is None or aside.empty:
        remove_file(folder / ASIDE)  # carried over from the report before
    for name, known in zip(PAGES, (diagnostics, quality), strict=True):
        if known is None:
            remove_file(folder / FILES[name])
    return {name: folder / file for name, file in FILES.items() if (folder / file).exists()}


def is_whole(folder: Path) -> bool:
    """Whether no file of a report is missing; one of an earlier version may lack some."""
    return all((folder / file).exists() for file in FILES.values())


def _write_pages(
    draft: Path, summary: Summary, series: ReportSeries, diagnostics: Diagnostics | None
) -> None:
    (draft / FILES["json"]).write_text(as_json(summary), encoding="utf-8")
    (draft / FILES["html"]).write_text(page(summary, series), encoding="utf-8")
    if diagnostics is not None:
        shown = features_page(summary["market"], diagnostics)
        (draft / FILES["features"]).write_text(shown, encoding="utf-8")


def _draw(draft: Path, summary: Summary, series: ReportSeries) -> None:
    market = summary["market"]
    draw_equity(draft / FILES["png"], series, f"{market}: equity, {basis(summary)}")
    draw_drawdown(draft / FILES["drawdown"], series, summary["benchmark"], f"{market}: drawdown")
    draw_months(draft / FILES["months"], series, f"{market}: returns of months, per cent")


def attribution_table(summary: Summary) -> pd.DataFrame:
    """What each symbol made on each side; a number's interval is in columns _low and _high."""
    found = summary["attribution"] or {"symbols": []}
    return pd.DataFrame([_flat(row) for row in found["symbols"]], columns=_columns(found))


def _columns(found: Mapping[str, Any]) -> list[str]:
    """Columns of the table, also when it has no row."""
    return list(_flat(found["sides"][0])) if found.get("sides") else ["symbol", "side", "pnl"]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= {
                name: value["value"],
                f"{name}_low": value["low"],
                f"{name}_high": value["high"],
            }
        else:
            flat[name] = value
    return flat


def as_json(summary: Summary) -> str:
    """The bytes of report.json: keys in the order given, no NaN, a newline at the end."""
    return json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
