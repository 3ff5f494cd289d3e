"""Is the market data fit to learn from and trade on?"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.quality.finding import counted
from trading_pipeline.core.market.quarantine import GAP_SHARE
from trading_pipeline.core.market.set_aside import check_share
from trading_pipeline.defs.inputs import span_of
from trading_pipeline.defs.resources import Home
from trading_pipeline.errors import BarsError, StoreError

if TYPE_CHECKING:
    import pandas as pd

    from trading_pipeline.core.market.quality.coverage import Coverage
    from trading_pipeline.core.market.quality.report import Quality

# In this order a person reads them; the first two are blocking.
CHECKS = (
    "bars_obey_market_invariants",
    "no_session_is_missing",
    "bars_are_plausible",
    "history_has_not_changed",
)
_SHOWN = 5
_NEW = timedelta(days=7)  # revisions that are older have been seen


def market_checks(market: Market) -> list[dg.AssetChecksDefinition]:
    """All checks of a market's bars."""
    return [
        bars_obey_market_invariants(market),
        no_session_is_missing(market),
        bars_are_plausible(market),
        history_has_not_changed(market),
    ]


def bars_obey_market_invariants(market: Market) -> dg.AssetChecksDefinition:
    """high >= open, close >= low > 0; volume >= 0; one row per (timestamp, symbol).

    Rows that came and are none of that were set aside: at most 1 % of all.
    """

    @dg.asset_check(
        asset=[market.name, "raw_bars"], name="bars_obey_market_invariants", blocking=True
    )
    def obey_market_invariants(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Reads what is stored, not what was fetched."""
        store = home.bars(market)
        bars, aside = store.read(), store.set_aside()
        try:
            check_bars(bars, where=str(store.folder))
            check_share(aside, len(bars), str(store.folder))
        except BarsError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
        return dg.AssetCheckResult(
            passed=True, metadata={"rows": len(bars), "set_aside": len(aside)}
        )

    return obey_market_invariants


def no_session_is_missing(market: Market) -> dg.AssetChecksDefinition:
    """Symbols that lack bars of their own are quarantined; all of them at once is no market."""

    @dg.asset_check(asset=[market.name, "raw_bars"], name="no_session_is_missing", blocking=True)
    def no_missing_session(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Blocks when every symbol lacks more than 1 % of the bars that the calendar expects."""
        from trading_pipeline.core.market.quality.finding import when
        from trading_pipeline.core.market.quality.gaps import find_closed
        from trading_pipeline.core.market.quality.report import held_out

        bars = home.bars(market).read()
        bars = bars[bars["symbol"].isin(market.symbols)]
        if bars.empty:
            return dg.AssetCheckResult(passed=True, metadata={"missing": "no bars yet"})
        coverage = _coverage(home, market, bars)
        closed = [f"{each.figure}: {each.text}" for each in find_closed(bars, coverage.calendar)]
        panel, gaps = coverage.panel, coverage.due & ~coverage.here
        aside = home.bars(market).set_aside()["symbol"].value_counts()
        missing = {
            panel.symbols[n]: f"{gaps[:, n].sum()}: {when(coverage.expected[gaps[:, n]], _SHOWN)}"
            + _of_them_aside(aside.get(panel.symbols[n], 0))
            for n in np.flatnonzero(gaps.any(axis=0))
        }
        held = [line for line in held_out(panel) if "quarantine" in line]
        nobody_left = bool((coverage.missing_share()[panel.traded.any(axis=0)] > GAP_SHARE).all())
        return dg.AssetCheckResult(
            passed=not nobody_left,
            severity=dg.AssetCheckSeverity.ERROR if nobody_left else dg.AssetCheckSeverity.WARN,
            description=_complaint(home, market, missing, nobody_left, held),
            metadata={
                "missing": missing or "none",
                "quarantined": _listed(held),
                "on_closed_days": _listed(closed),
            },
        )

    return no_missing_session


def _of_them_aside(count: int) -> str:
    return f"; {counted(count, 'row')} set aside" if count else ""


def _listed(lines: list[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "none")


def _coverage(home: Home, market: Market, bars: "pd.DataFrame") -> "Coverage":
    """Stored bars over their calendar, without those of days on which it is closed."""
    from trading_pipeline.core.market.calendar import on_open_days, trading_calendar
    from trading_pipeline.core.market.panel import Panel
    from trading_pipeline.core.market.quality.coverage import Coverage

    store, calendar = home.bars(market), trading_calendar(market.calendar, market.timeframe)
    bars = on_open_days(bars, calendar, str(store.folder))
    panel = Panel.of(bars, store.read_actions(), market.symbols, doubts=store.doubts())
    return Coverage(panel, calendar)


def _complaint(
    home: Home, market: Market, missing: dict[str, str], nobody_left: bool, held: list[str]
) -> str | None:
    """Which bars are missing, and what can be done about it; None where nobody suffers."""
    remedy = _remedy(home, market, list(missing))
    if nobody_left:
        named = "; ".join(f"{symbol}: {text}" for symbol, text in list(missing.items())[:_SHOWN])
        return (
            f"{home.bars(market).folder}: every symbol lacks more than {GAP_SHARE:.0%} of the bars "
            f"that the calendar {market.calendar} expects ({named}). {remedy}"
        )
    return f"{'; '.join(held[:_SHOWN])}. {remedy}" if held else None


def _remedy(home: Home, market: Market, lacking: list[str]) -> str:
    """What to do about missing bars; a venue that was asked for them is asked again."""
    told = home.bars(market).absences()
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


def bars_are_plausible(market: Market) -> dg.AssetChecksDefinition:
    """What obeys every rule and is wrong all the same: found and shown, for a person to judge."""

    @dg.asset_check(asset=[market.name, "raw_bars"], name="bars_are_plausible")
    def plausible_bars(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Warns of whatever is more than a note; severe findings hold their own symbol out."""
        from trading_pipeline.adapters.quality import examine_store

        now = datetime.now(UTC)
        try:
            quality = examine_store(
                home.bars(market), market, span_of(market, now), None if market.end else now
            )
        except StoreError as error:
            return dg.AssetCheckResult(
                passed=False, severity=dg.AssetCheckSeverity.WARN, description=str(error)
            )
        return _judged(quality)

    return plausible_bars


def _judged(quality: "Quality") -> dg.AssetCheckResult:
    from trading_pipeline.adapters.reports.charts.pictures import as_markdown
    from trading_pipeline.adapters.reports.coverage import coverage_markdown, draw_coverage
    from trading_pipeline.adapters.reports.quality import (
        explained,
        headline,
        missing,
        quality_markdown,
        verdict,
    )

    worst = [each for each in quality.findings if each.severity != "info"]
    named = [f"{each.symbol or 'all'}: {explained(each)}" for each in worst[:_SHOWN]]
    picture = draw_coverage(quality.coverage, f"{quality.name}: share of the expected bars")
    return dg.AssetCheckResult(
        passed=not worst,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join([verdict(quality), missing(quality), *named]),
        metadata={
            "data": headline(quality),
            "coverage": dg.MetadataValue.md(coverage_markdown(quality.coverage)),
            "findings": dg.MetadataValue.md(quality_markdown(quality)),
            "coverage_by_month": dg.MetadataValue.md(as_markdown(picture, "coverage")),
            "severe": quality.count("severe"),
            "warnings": quality.count("warning"),
            "missing": quality.missing,
        },
    )


def history_has_not_changed(market: Market) -> dg.AssetChecksDefinition:
    """Whether the source has taken back lately what it said about stored bars."""

    @dg.asset_check(asset=[market.name, "raw_bars"], name="history_has_not_changed")
    def unchanged_history(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Warns for a week; old and new values stay in the store for ever."""
        from trading_pipeline.core.market.calendar import trading_calendar
        from trading_pipeline.core.market.revisions import contradictions, newest_changes
        from trading_pipeline.core.market.versions import REVISED

        revisions = home.bars(market).revisions()
        lately = revisions[revisions[REVISED] > datetime.now(UTC) - _NEW]
        wrong = contradictions(lately, trading_calendar(market.calendar, market.timeframe))
        who = ", ".join(sorted(wrong["symbol"].unique())[:_SHOWN])
        table = newest_changes(revisions, limit=30).to_markdown(index=False, floatfmt=".10g")
        return dg.AssetCheckResult(
            passed=wrong.empty,
            severity=dg.AssetCheckSeverity.WARN,
            description=None
            if wrong.empty
            else f"{len(wrong):,} bars of {who} were revised or removed in the last week; "
            "features, models and reports made before are of the old ones",
            metadata={
                "revisions": len(revisions),
                "volumes_that_settled": len(lately) - len(wrong),
                "newest": dg.MetadataValue.md(table if len(revisions) else "none"),
            },
        )

    return unchanged_history
