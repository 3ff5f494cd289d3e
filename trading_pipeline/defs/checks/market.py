"""Is the market data fit to learn from and trade on?"""

from typing import TYPE_CHECKING

import dagster as dg

from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import BarsError, StoreError
from trading_pipeline.steps.home import Home

if TYPE_CHECKING:
    from trading_pipeline.core.market.quality.report import Quality

# In this order a person reads them; the first two are blocking.
CHECKS = (
    "bars_obey_market_invariants",
    "no_session_is_missing",
    "bars_are_plausible",
    "history_has_not_changed",
)
_SHOWN = 5


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
        from trading_pipeline.steps.quality import check_invariants

        try:
            rows, aside = check_invariants(home, market)
        except BarsError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
        return dg.AssetCheckResult(passed=True, metadata={"rows": rows, "set_aside": aside})

    return obey_market_invariants


def no_session_is_missing(market: Market) -> dg.AssetChecksDefinition:
    """Symbols that lack bars of their own are quarantined; all of them at once is no market."""

    @dg.asset_check(asset=[market.name, "raw_bars"], name="no_session_is_missing", blocking=True)
    def no_missing_session(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Blocks when every symbol lacks more than 1 % of the bars that the calendar expects."""
        from trading_pipeline.steps.quality import find_missing

        found = find_missing(home, market)
        if found is None:
            return dg.AssetCheckResult(passed=True, metadata={"missing": "no bars yet"})
        return dg.AssetCheckResult(
            passed=not found.is_fatal,
            severity=dg.AssetCheckSeverity.ERROR if found.is_fatal else dg.AssetCheckSeverity.WARN,
            description=found.complaint,
            metadata={
                "missing": found.by_symbol or "none",
                "quarantined": _listed(found.quarantined),
                "on_closed_days": _listed(found.closed),
            },
        )

    return no_missing_session


def _listed(lines: list[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {line}" for line in lines) or "none")


def bars_are_plausible(market: Market) -> dg.AssetChecksDefinition:
    """What obeys every rule and is wrong all the same: found and shown, for a person to judge."""

    @dg.asset_check(
        asset=[market.name, "raw_bars"],
        name="bars_are_plausible",
        # In a first download, too: a split that is not known yet looks like a wrong price.
        additional_deps=[[market.name, "corporate_actions"]],
    )
    def plausible_bars(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Warns of whatever is more than a note; severe findings hold their own symbol out."""
        from trading_pipeline.steps.quality import examine_store

        try:
            quality = examine_store(home, market)
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
        from trading_pipeline.core.market.revisions import newest_changes
        from trading_pipeline.steps.quality import find_revised

        found = find_revised(home, market)
        who = ", ".join(sorted(found.wrong["symbol"].unique())[:_SHOWN])
        table = newest_changes(found.all, limit=30).to_markdown(index=False, floatfmt=".10g")
        return dg.AssetCheckResult(
            passed=found.wrong.empty,
            severity=dg.AssetCheckSeverity.WARN,
            description=None
            if found.wrong.empty
            else f"{len(found.wrong):,} bars of {who} were revised or removed in the last week; "
            "features, models and reports made before are of the old ones",
            metadata={
                "revisions": len(found.all),
                "volumes_that_settled": found.lately - len(found.wrong),
                "newest": dg.MetadataValue.md(table if len(found.all) else "none"),
            },
        )

    return unchanged_history
