"""Revisions as a person reads them: which number of which bar was what before."""

import pandas as pd

from trading_pipeline.core.market.bars import PRICES
from trading_pipeline.core.market.calendar import TradingCalendar
from trading_pipeline.core.market.fetch_plan import SETTLE
from trading_pipeline.core.market.versions import INGESTED, REVISED, VALUES

REMOVED = "whole bar"


def contradictions(revisions: pd.DataFrame, calendar: TradingCalendar) -> pd.DataFrame:
    """The revisions that take back what was believed: a price, a whole bar, a settled volume.

    The volume of a day still grows after its close (late reports, trades after hours), and with it
    `vwap` and `trade_count`: until a bar has settled that is what a venue is asked again for.

    Args:
        revisions: as `BarStore.revisions` returns them.
    """
    prices = revisions[list(PRICES)].to_numpy()
    taken_back = (prices != revisions[[f"new_{name}" for name in PRICES]].to_numpy()).any(axis=1)
    # The question that settles a bar comes after that time, over a long weekend by a day or two.
    settled = revisions["timestamp"] + calendar.step + 2 * SETTLE[calendar.name]
    return revisions[taken_back | (revisions[REVISED] > settled)]


def newest_changes(revisions: pd.DataFrame, limit: int) -> pd.DataFrame:
    """The newest changes of single numbers, at most `limit` of them, newest first.

    Args:
        revisions: as `BarStore.revisions` returns them.

    Returns:
        Columns symbol, bar (its stamp), field, old, new, stored (when the old value was; NaT
        where nobody knows), revised (when it was replaced). A removed bar is one row of its close.
    """
    newest = revisions.iloc[::-1].head(limit)
    rows = [change for revision in newest.to_dict("records") for change in _changes(revision)]
    columns = ["symbol", "bar", "field", "old", "new", "stored", "revised"]
    return pd.DataFrame(rows[:limit], columns=columns)


def _changes(revision: dict[str, object]) -> list[tuple[object, ...]]:
    """The numbers in which a version of a bar differs from the next one."""
    times = revision[INGESTED], revision[REVISED]
    bar = revision["symbol"], revision["timestamp"]
    if pd.isna(revision["new_close"]):
        return [(*bar, REMOVED, revision["close"], float("nan"), *times)]
    return [
        (*bar, name, revision[name], revision[f"new_{name}"], *times)
        for name in VALUES
        if not _same(revision[name], revision[f"new_{name}"])
    ]


def _same(old: object, new: object) -> bool:
    return bool(old == new or (pd.isna(old) and pd.isna(new)))
