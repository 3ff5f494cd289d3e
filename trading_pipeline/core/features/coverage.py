"""How much of a feature table is there, in a few lines for the page of the asset."""

import pandas as pd

from trading_pipeline.core.features.catalog import CATALOG
from trading_pipeline.core.features.feature import FAMILIES
from trading_pipeline.core.market.bars import KEY

RECENT = 21  # dates


def coverage_markdown(features: pd.DataFrame) -> str:
    """Share of values that are known, by family: of all bars and of the newest 21 dates.

    Args:
        features: `timestamp`, `symbol` and the features of the catalog; any rows.

    Returns:
        A Markdown table of fewer than 1,000 characters, which the web UI shows at once.
    """
    known = features.drop(columns=KEY).notna()
    newest = features["timestamp"].drop_duplicates().nlargest(RECENT)
    recent = known[features["timestamp"].isin(newest)]
    lines = [f"| family | features | known | newest {RECENT} dates |", "|---|---:|---:|---:|"]
    for family in FAMILIES:
        names = [each.name for each in CATALOG if each.family == family]
        shares = " | ".join(_percent(part[names]) for part in (known, recent))
        lines.append(f"| {family.replace('_', ' ')} | {len(names)} | {shares} |")
    missing = [name for name in known if len(recent) and not recent[name].any()]
    if missing:
        most = f"{', '.join(missing[:6])}{', …' if len(missing) > 6 else ''}"
        lines += ["", f"Known on none of the newest dates: {most}."]
    return "\n".join(lines) + "\n"


def _percent(known: pd.DataFrame) -> str:
    return (
        f"{known.to_numpy().mean():.1%}".replace("%", "\N{NO-BREAK SPACE}%") if len(known) else ""
    )
