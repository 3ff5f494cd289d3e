"""The summary of a feature table that its asset shows."""

import numpy as np
import pytest

from trading_pipeline.core.features.catalog import CATALOG, compute_features
from trading_pipeline.core.features.coverage import coverage_markdown
from trading_pipeline.core.features.feature import FAMILIES
from trading_pipeline.core.market.bars import empty_bars
from trading_pipeline_tests.core.features.wild_bars import bars_of, together


def rows_of(markdown):
    cells = [line.strip("| ").split(" | ") for line in markdown.splitlines() if "|" in line]
    return {row[0]: row[1:] for row in cells[2:]}


def test_known_values_are_counted_by_family():
    features = compute_features(together([bars_of("calm", 300, n, f"S{n}") for n in range(2)]))
    text = coverage_markdown(features)
    rows = rows_of(text)
    assert list(rows) == [family.replace("_", " ") for family in FAMILIES]
    assert sum(int(row[0]) for row in rows.values()) == len(CATALOG)
    names = [each.name for each in CATALOG if each.family == "price"]
    share = features[names].notna().to_numpy().mean()
    assert rows["price"][1] == f"{share:.1%}".replace("%", "\N{NO-BREAK SPACE}%")
    assert rows["price"][2].startswith("100.0")
    assert rows["cross section"][2].startswith(f"{100 / 6:.1f}")  # two symbols: only the mask
    assert text.endswith(
        "newest dates: rank_ret_5, rank_ret_21, rank_momentum, rank_volatility, rank_volume.\n"
    )


@pytest.mark.parametrize("symbols", [1, 9])
def test_the_summary_is_short_enough_to_be_shown_at_once(symbols):
    bars = together([bars_of("calm", 30, n, f"S{n}") for n in range(symbols)])
    assert len(coverage_markdown(compute_features(bars))) < 1_000
    nothing = compute_features(bars).assign(**dict.fromkeys([f.name for f in CATALOG], np.nan))
    assert len(coverage_markdown(nothing)) < 1_000


def test_no_rows_have_no_shares():
    assert "known on none" not in coverage_markdown(compute_features(empty_bars()))
