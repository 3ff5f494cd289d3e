"""The quality of bars on disk: of anyone's Parquet files, or of a market's store."""

from datetime import datetime
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.reports.coverage import draw_coverage
from trading_pipeline.adapters.reports.quality import quality_text
from trading_pipeline.adapters.sources.parquet import ParquetSource, read_parquet
from trading_pipeline.adapters.store.bars import ACTIONS_FILE, BarStore
from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import check_bars, typed_bars
from trading_pipeline.core.market.calendar import (
    infer_calendar,
    infer_timeframe,
    stamped_by_session,
    trading_calendar,
)
from trading_pipeline.core.market.finding import Finding
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.quality import Quality, examine, find_broken_rows
from trading_pipeline.errors import BarsError, SourceError, StoreError

Span = tuple[datetime, datetime]


def examine_files(path: Path, market: Market | None = None) -> Quality:
    """The quality of a Parquet file, or of all directly in a folder.

    Rows that break a rule are findings, not a refusal: the rest is examined without them.

    Args:
        path: as of `ParquetSource`; `corporate_actions.parquet` in a folder is read as well.
        market: whose calendar and timeframe hold; from the stamps if None.

    Raises:
        SourceError: there is nothing to read.
        BarsError: a column is missing or of the wrong type, no row obeys the rules, or the stamps
            fit no timeframe.
    """
    bars, rows = _rows_that_obey(path)
    bars = stamped_by_session(bars)
    if market:
        calendar = trading_calendar(market.calendar, market.timeframe)
    else:
        calendar = trading_calendar(infer_calendar(bars), infer_timeframe(bars, str(path)))
    return examine(bars, _actions(path), calendar, path.stem, rows=rows)


def examine_store(store: BarStore, market: Market, span: Span, now: datetime | None) -> Quality:
    """The quality of a market's stored bars in a span; `now` if the market goes on.

    Raises:
        StoreError: nothing is stored, or a file is damaged.
    """
    stored = store.read(*span)
    if stored.empty:
        raise StoreError(
            f"{store.folder} has no bars; run `trading-pipeline download --market {market.name}`"
        )
    bars, rows = find_broken_rows(typed_bars(stored, str(store.folder)), str(store.folder))
    bars = check_bars(bars[bars["symbol"].isin(market.symbols)])
    calendar = trading_calendar(market.calendar, market.timeframe)
    if bars.empty:
        raise StoreError(f"{store.folder} has no bar of {', '.join(market.symbols[:5])}")
    actions, symbols = store.read_actions(), market.symbols
    return examine(bars, actions, calendar, market.name, symbols=symbols, now=now, rows=rows)


def write_quality(folder: Path, quality: Quality) -> list[Path]:
    """Write quality.txt, findings.csv and coverage.png; where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    text, table, picture = (
        folder / name for name in ("quality.txt", "findings.csv", "coverage.png")
    )
    text.write_text(quality_text(quality), encoding="utf-8")
    pd.DataFrame([vars(each) for each in quality.findings], columns=list(_COLUMNS)).to_csv(
        table, index=False
    )
    title = f"{quality.name}: share of the expected bars"
    picture.write_bytes(draw_coverage(quality.coverage, title))
    return [text, table, picture]


_COLUMNS = Finding.__dataclass_fields__


def _rows_that_obey(path: Path) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Canonical bars of all files, and what was left out of them."""
    parts: list[pd.DataFrame] = []
    found: list[Finding] = []
    for file in ParquetSource(path).files():
        kept, findings = find_broken_rows(typed_bars(read_parquet(file), str(file)), str(file))
        parts.append(kept)
        found += findings
    together = pd.concat(parts, ignore_index=True, join="inner")
    bars, twice = find_broken_rows(together, f"{path}, its files one after the other")
    if bars.empty and found:
        raise BarsError(f"{path}: no row obeys the rules: {found[0].figure}; {found[0].text}")
    if bars.empty:
        raise SourceError(f"{path} has no rows; bars are needed")
    return check_bars(bars, str(path)), (*found, *twice)


def _actions(path: Path) -> pd.DataFrame | None:
    file = path / ACTIONS_FILE
    return check_actions(read_parquet(file), where=str(file)) if file.is_file() else None
