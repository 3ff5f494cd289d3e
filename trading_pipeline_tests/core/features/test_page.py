"""The page of the catalog: committed as it is made, and complete."""

from pathlib import Path

from trading_pipeline.core.features.catalog import CATALOG, LOOKBACK
from trading_pipeline.core.features.feature import FAMILIES
from trading_pipeline.core.features.page import COLUMNS, catalog_page

COMMITTED = Path(__file__).parents[3] / "docs" / "features.md"


def test_the_committed_page_is_what_the_catalog_gives():
    """If this fails: `make docs`."""
    assert COMMITTED.read_text(encoding="utf-8") == catalog_page()


def rows():
    """Cells of every row of a table, by the feature's name; an escaped bar is no border."""
    lines = [line for line in catalog_page().splitlines() if line.startswith("| `")]
    split = [line.replace("\\|", "\0").strip("|").split("|") for line in lines]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells] for cells in split}


def test_every_feature_has_a_row_of_all_columns_in_its_familys_order():
    found = rows()
    ordered = [f.name for family in FAMILIES for f in CATALOG if f.family == family]
    assert list(found) == ordered
    assert all(len(cells) == len(COLUMNS) for cells in found.values())


def test_rows_say_what_the_catalog_says():
    found = rows()
    assert found["macd"][2] == "fast 12, slow 26, signal 9, memory 250"
    assert found["macd"][3:6] == ["250", "ATR", "[-10, 10]"]
    for feature in CATALOG:
        cells = found[feature.name]
        assert cells[3] == str(feature.lookback)
        assert cells[1].replace("\0", "|").replace("\\*", "*") == feature.formula
        assert all(str(value) in cells[2] for value in feature.parameters.values())


def test_the_introduction_counts_right():
    text = catalog_page()
    assert text.count("\n## ") == 2 + len(FAMILIES)
    assert f"{len(CATALOG)} features of every bar" in text
    assert f"the longest is {LOOKBACK}." in text
