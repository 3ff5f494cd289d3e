"""Is the data fit to learn from and trade on? Of anyone's Parquet files, or of a market's store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.coverage import draw_coverage
from trading_pipeline.adapters.reports.csv_file import write_csv
from trading_pipeline.adapters.reports.folder import write_among_others
from trading_pipeline.adapters.reports.quality import quality_text
from trading_pipeline.adapters.reports.quality_page import quality_page
from trading_pipeline.adapters.sources.parquet import ParquetSource, read_actions, read_parquet
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.core.market.bars import check_bars, typed_bars
from trading_pipeline.core.market.calendar import TradingCalendar, on_open_days, trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.coverage import Coverage
from trading_pipeline.core.market.quality.finding import Finding, counted, when
from trading_pipeline.core.market.quality.gaps import find_closed
from trading_pipeline.core.market.quality.report import (
    Quality,
    examine,
    find_broken_rows,
    find_set_aside,
    held_out,
)
from trading_pipeline.core.market.quarantine import GAP_SHARE
from trading_pipeline.core.market.revisions import contradictions
from trading_pipeline.core.market.set_aside import check_share
from trading_pipeline.core.market.stamps import PACE, clock_of, pace_of, stamped_by_session
from trading_pipeline.core.market.versions import REVISED
from trading_pipeline.errors import BarsError, SourceError, StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import span_of

_SHOWN = 5
_NEW = timedelta(days=7)  # revisions that are older have been seen


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


def examine_store(home: Home, market: Market) -> Quality:
    """The quality of a market's stored bars.

    Raises:
        StoreError: nothing is stored, or a file is damaged.
    """
    now, store = home.clock.now(), home.bars(market)
    stored = store.read(*span_of(market, now))
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
        now=None if market.end else now,
        rows=(*rows, *_pace(bars, calendar, market)),
    )


def check_invariants(home: Home, market: Market) -> tuple[int, int]:
    """Rows stored and rows set aside.

    Raises:
        BarsError: a stored row is no bar, or more than 1 % of those that came were set aside.
    """
    store = home.bars(market)
    bars, aside = store.read(), store.set_aside()
    check_bars(bars, where=str(store.folder))
    check_share(aside, len(bars), str(store.folder))
    return len(bars), len(aside)


@dataclass(frozen=True)
class Missing:
    """Stored bars beside those that the calendar expects."""

    by_symbol: dict[str, str]  # how many are missing, and when
    quarantined: list[str]  # symbols that are held out, and why
    closed: list[str]  # bars of days on which the market is closed
    is_fatal: bool  # every symbol lacks more than 1 %
    complaint: str | None  # what is wrong and what to do; None where nobody suffers


def find_missing(home: Home, market: Market) -> Missing | None:
    """What the stored bars lack; None where there are none yet."""
    store = home.bars(market)
    bars = store.read()
    bars = bars[bars["symbol"].isin(market.symbols)]
    if bars.empty:
        return None
    calendar = trading_calendar(market.calendar, market.timeframe)
    closed = [f"{each.figure}: {each.text}" for each in find_closed(bars, calendar)]
    bars = on_open_days(bars, calendar, str(store.folder))
    panel = Panel.of(bars, store.read_actions(), market.symbols, doubts=store.doubts())
    coverage = Coverage(panel, calendar)
    gaps, aside = coverage.due & ~coverage.here, store.set_aside()["symbol"].value_counts()
    missing = {
        panel.symbols[n]: f"{gaps[:, n].sum()}: {when(coverage.expected[gaps[:, n]], _SHOWN)}"
        + _of_them_aside(aside.get(panel.symbols[n], 0))
        for n in np.flatnonzero(gaps.any(axis=0))
    }
    held = [line for line in held_out(panel) if "quarantine" in line]
    fatal = bool((coverage.missing_share()[panel.traded.any(axis=0)] > GAP_SHARE).all())
    return Missing(missing, held, closed, fatal, _complaint(store, market, missing, fatal, held))


def _of_them_aside(count: int) -> str:
    return f"; {counted(count, 'row')} set aside" if count else ""


def _complaint(
    store: BarStore, market: Market, missing: dict[str, str], fatal: bool, held: list[str]
) -> str | None:
    """Which bars are missing, and what can be done about it; None where nobody suffers."""
    remedy = _remedy(store, market, list(missing))
    if fatal:
        named = "; ".join(f"{symbol}: {text}" for symbol, text in list(missing.items())[:_SHOWN])
        return (
            f"{store.folder}: every symbol lacks more than {GAP_SHARE:.0%} of the bars "
            f"that the calendar {market.calendar} expects ({named}). {remedy}"
        )
    return f"{'; '.join(held[:_SHOWN])}. {remedy}" if held else None


def _remedy(store: BarStore, market: Market, lacking: list[str]) -> str:
    """What to do about missing bars; a venue that was asked for them is asked again."""
    told = store.absences()
    told = told[told["symbol"].isin(lacking)]
    if told.empty:
        return "Download again, fill them in the source, or leave the symbol out."
    command = f"`trading-pipeline download --market {market.name}`"
    return (
        f"The venue did not have bars of {told['symbol'].nunique()} symbols when it was last asked "
        f"on {told['asked_at'].max():%Y-%m-%d}. {command} asks for them again, every time on the "
        "first days and then less and less; with `--refetch` it asks for all bars now. If they "
        "never traded, let the market begin after them (`start` in pipeline.toml)."
    )


@dataclass(frozen=True)
class Revised:
    """What the source has taken back of stored bars."""

    all: pd.DataFrame
    lately: int  # in the last week
    wrong: pd.DataFrame  # of those, what was no volume that settled


def find_revised(home: Home, market: Market) -> Revised:
    """The revisions, and those of the last week that contradict what had settled."""
    revisions = home.bars(market).revisions()
    lately = revisions[revisions[REVISED] > home.clock.now() - _NEW]
    wrong = contradictions(lately, trading_calendar(market.calendar, market.timeframe))
    return Revised(revisions, len(lately), wrong)


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
    """Write quality.txt, quality.html, findings.csv and coverage.png; where they are.

    Raises:
        StoreError: one of them is there, and is not from an earlier call; or the folder cannot be
            written.
    """
    title = f"{quality.name}: share of the expected bars"
    findings = pd.DataFrame([vars(each) for each in quality.findings], columns=list(_COLUMNS))
    files: dict[str, Callable[[Path], object]] = {
        "quality.txt": lambda path: path.write_text(quality_text(quality), encoding="utf-8"),
        "quality.html": lambda path: path.write_text(quality_page(quality), encoding="utf-8"),
        "findings.csv": partial(write_csv, findings),
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
