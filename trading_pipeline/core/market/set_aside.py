"""Rows that no market could have made: set aside with the rule that they break, and named.

A panel of a million rows has a few. They become gaps, and the rest goes on. A symbol of which too
many rows are set aside is quarantined (`quarantine.py`); a panel of which too many are is refused.
The rules are those of `bars.py`, and that a market which rests on weekends has no bar there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import (
    KEY,
    PRICES,
    STAMPS,
    broken_rules,
    described,
    empty_table,
    typed_bars,
    with_whole_counts,
)
from trading_pipeline.core.market.calendar import on_rest_days
from trading_pipeline.core.market.quality.finding import abbreviated, counted
from trading_pipeline.errors import BarsError

COLUMNS = ("file", "row", *KEY, "rule", *PRICES, "volume")
PANEL_SHARE = 0.01  # of all rows: with more of them set aside a panel is refused
_SHOWN = 3


@dataclass(frozen=True)
class Sifted:
    """Bars of one or several files, and what was set aside of them."""

    bars: pd.DataFrame  # canonical
    aside: pd.DataFrame  # COLUMNS, in the order of the files; values as they were
    places: pd.MultiIndex  # file and row of each bar

    @classmethod
    def of(cls, parts: Mapping[str, pd.DataFrame]) -> "Sifted":
        """Sift tables of bars, by the file or source that they come from; rows count from 0 there.

        Raises:
            BarsError: a column is missing, there twice, or of the wrong type.
        """
        typed = {where: typed_bars(bars, where) for where, bars in parts.items()}
        rows = pd.concat(typed, names=["file", "row"], join="inner")
        rules = broken_rules(rows)
        broken = np.logical_or.reduce([mask for _, mask in rules])
        first = np.argmax([mask[broken] for _, mask in rules], axis=0)
        named = np.array([rule for rule, _ in rules], dtype=object)[first]
        return cls._kept(rows, broken, named, none_aside())

    def on_open_days(self, calendar: str) -> "Sifted":
        """The same without bars on a weekend of a market that rests then."""
        broken = on_rest_days(self.bars, calendar)
        if not broken.any():
            return self
        rule = np.full(int(broken.sum()), f"{calendar} is closed on weekends", dtype=object)
        return self._kept(self.bars.set_axis(self.places), broken, rule, self.aside)

    @classmethod
    def _kept(
        cls, rows: pd.DataFrame, broken: np.ndarray, rule: np.ndarray, aside: pd.DataFrame
    ) -> "Sifted":
        """Rows indexed by file and row; `rule` of those that are broken."""
        more = rows[broken].reset_index().assign(rule=pd.Series(rule, dtype="str"))
        kept = (rows[~broken] if broken.any() else rows).sort_values(KEY, kind="stable")
        return cls(
            bars=with_whole_counts(kept.reset_index(drop=True)),
            aside=joined(aside, more[list(COLUMNS)]),
            places=pd.MultiIndex(kept.index.levels, kept.index.codes, names=kept.index.names),
        )


def none_aside() -> pd.DataFrame:
    """No row was set aside."""
    numbers = dict.fromkeys((*PRICES, "volume"), "float64")
    return empty_table(
        file="str", row="int64", timestamp=STAMPS, symbol="str", rule="str", **numbers
    )


def joined(*tables: pd.DataFrame) -> pd.DataFrame:
    """Tables of rows set aside as one, in order of file and row."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return none_aside()
    both = pd.concat(filled, ignore_index=True)
    return both.sort_values(["file", "row"], kind="stable", ignore_index=True)


def check_share(aside: pd.DataFrame, bars: int, where: str) -> None:
    """Refuse a panel of which more than 1 % of the rows are set aside.

    Args:
        bars: rows that were kept.

    Raises:
        BarsError: names the first such row, its rule, and how many there are.
    """
    total = bars + len(aside)
    if len(aside) > PANEL_SHARE * total:
        raise BarsError(
            f"{describe_first(aside)}. {len(aside):,} of {total:,} rows of {where} are no bars "
            f"({len(aside) / total:.2%}), and at most {PANEL_SHARE:.0%} may be set aside; correct "
            "them, or leave them out"
        )


def describe_first(aside: pd.DataFrame) -> str:
    """'panel.parquet: row 7, AAPL at 2020-01-02 00:00 UTC (1 row concerned): high < low'.

    In words of `check_bars`, of the first of rows set aside.
    """
    row = aside.iloc[0]
    count = int((aside["rule"] == row["rule"]).sum())
    concerned = f"{counted(count, 'row')} concerned"
    return f"{row['file']}: row {row['row']}, {described(row)} ({concerned}): {row['rule']}"


def lines_of(aside: pd.DataFrame, shown: int = _SHOWN) -> list[str]:
    """For a person: how many rows were set aside, of whom, and the first with their rule."""
    if aside.empty:
        return []
    named = [f"{described(row)}: {row['rule']}" for _, row in aside[:shown].iterrows()]
    more = f"; and {len(aside) - shown:,} more" if len(aside) > shown else ""
    symbols = abbreviated(aside["symbol"].dropna().unique().tolist()) or "no symbol"
    return [f"{counted(len(aside), 'row')} of {symbols} set aside ({'; '.join(named)}{more})"]
