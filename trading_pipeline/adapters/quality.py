"""The quality of bars on disk: of anyone's Parquet files, or of a market's store."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.reports.coverage import draw_coverage
from trading_pipeline.adapters.reports.folder import write_among_others
from trading_pipeline.adapters.reports.quality import quality_text
from trading_pipeline.adapters.sources.parquet import ParquetSource, read_actions, read_parquet
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.core.market.bars import check_bars, typed_bars
from trading_pipeline.core.market.calendar import TradingCalendar, on_open_days, trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.quality.finding import Finding
from trading_pipeline.core.market.quality.report import (
    Quality,
    examine,
    find_broken_rows,
    find_set_aside,
)
from trading_pipeline.core.market.stamps import PACE, clock_of, pace_of, stamped_by_session
from trading_pipeline.errors import BarsError, SourceError, StoreError

Span = tuple[datetime, datetime]


def examine_files(path: Path, market: Market | None = None, named: str | None = None) -> Quality:
    """The quality of a Parquet file, or of all directly in a folder.

    Rows that break a rule are findings, not a refusal: the rest is examined without them.

    Args:
        path: as of `ParquetSource`; `corporate_actions.parquet` in a folder is read as well.
        market: whose calendar and timeframe hold; from the stamps if None.
        named: a calendar that is to hold instead.

    Raises:
        SourceError: there is nothing to read.
        BarsError: a column is missing or of the wrong type, no row obeys the rules, or the stamps
            fit no timeframe or calendar.
    """
    named = named or (market.calendar if market else None)
    bars, rows = _rows_that_obey(path)
    bars = stamped_by_session(bars, named)
    if market and named:
        calendar = trading_calendar(named, market.timeframe)
    else:
        calendar = clock_of(bars, named, str(path)).calendar
    return examine(bars, read_actions(path, bars), calendar, path.stem, rows=rows)


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
    rows += find_set_aside(store.set_aside())
    bars = check_bars(bars[bars["symbol"].isin(market.symbols)])
    calendar = trading_calendar(market.calendar, market.timeframe)
    if bars.empty:
        raise StoreError(f"{store.folder} has no bar of {', '.join(market.symbols[:5])}")
    return examine(
        bars,
        store.read_actions(),
        calendar,
        market.name,
        symbols=market.symbols,
        doubts=store.doubts(),
        now=now,
        rows=(*rows, *_pace(bars, calendar, market)),
    )


def _pace(bars: pd.DataFrame, calendar: TradingCalendar, market: Market) -> list[Finding]:
    """Whether a year has more bars than annual figures count on; fewer are gaps."""
    stamps = pd.DatetimeIndex(on_open_days(bars, calendar)["timestamp"].unique())
    many, days = pace_of(stamps, calendar)
    if many is None or many <= market.bars_per_year * (1 + PACE):
        return []
    return [
        Finding(
            kind="pace",
            severity="warning",
            symbol="",
            first=stamps[0],
            last=stamps[-1],
            rows=0,
            figure=f"{many:,} bars a year",
            limit=f"{market.bars_per_year:,}, what the calendar {calendar.name} has",
            text="annual figures and the volatility target count on the calendar's. If the bars "
            f"are right, put `measured_bars_per_year = {many}` and `measured_days_per_year = "
            f"{days}` into the market's entry.",
        )
    ]


def write_quality(folder: Path, quality: Quality) -> list[Path]:
    """Write quality.txt, findings.csv and coverage.png; where they are.

    Raises:
        StoreError: one of them is there, and is not from an earlier call; or the folder cannot be
            written.
    """
    title = f"{quality.name}: share of the expected bars"
    findings = pd.DataFrame([vars(each) for each in quality.findings], columns=list(_COLUMNS))
    files: dict[str, Callable[[Path], object]] = {
        "quality.txt": lambda path: path.write_text(quality_text(quality), encoding="utf-8"),
        "findings.csv": lambda path: findings.to_csv(path, index=False),
        "coverage.png": lambda path: path.write_bytes(draw_coverage(quality.coverage, title)),
    }
    return write_among_others(folder, "findings.csv", list(_COLUMNS), files)


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
