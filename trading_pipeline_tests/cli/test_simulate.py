"""The command that trades a table of orders: what it does, says, writes and refuses."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.cli.main import app
from trading_pipeline.core.market.calendar import trading_calendar

ROOT = Path(__file__).parents[2]
FILES = {
    *("outcomes.csv", "fills.csv", "trades.csv", "equity.csv", "vetoes.csv", "cash_flows.csv"),
    "equity.png",
}
# Open, high, low, close. The fourth bar of AAA opens below the stop at 98.
AAA = [
    (100, 101, 99, 100),
    (100, 106, 99, 105),
    (104, 106, 100, 102),
    (96, 97, 94, 95),
    (95, 96, 94, 95),
]
BBB = [(50, 51, 49, 50)] * 5
HEADER = "decided_at,symbol,side,quantity,type,limit_price,bars,stop_loss\n"
ORDERS = HEADER + (
    "2024-01-02,AAA,buy,100,,,,98\n"
    "2024-01-02,BBB,buy,10,limit,48,2,\n"
    "2024-01-05,BBB,sell,10,,,,\n"
    "2024-01-08,AAA,buy,10,,,,\n"
)


@pytest.fixture(autouse=True)
def files(folder):
    """A panel of five days, and a table of four orders."""
    daily().to_parquet(folder / "panel.parquet")
    (folder / "orders.csv").write_text(ORDERS)


@pytest.fixture
def simulate(run):
    """Simulates those, unless options say otherwise: the exit code, and what was said."""
    return partial(run, "simulate", "--orders", "orders.csv", "--data-path", "panel.parquet")


def daily() -> pd.DataFrame:
    span = (pd.Timestamp("2024-01-02", tz="UTC"), pd.Timestamp("2024-01-09", tz="UTC"))
    days = trading_calendar("XNYS", "1d").sessions(*span)[:5]
    return pd.concat(
        bars_of(symbol, days, rows) for symbol, rows in {"AAA": AAA, "BBB": BBB}.items()
    )


def bars_of(symbol: str, stamps: pd.DatetimeIndex, rows: list) -> pd.DataFrame:
    prices = pd.DataFrame(rows, columns=["open", "high", "low", "close"], dtype=float)
    return prices.assign(timestamp=stamps, symbol=symbol, volume=1e6)


def table(name: str, out: str = "simulate/orders") -> pd.DataFrame:
    return pd.read_csv(Path(out) / name, keep_default_na=False, na_values=[""])


@pytest.mark.slow
def test_the_hand_worked_example(simulate, folder):
    """Bought at 100 and stopped at a gap to 96, both with 5 bp of slippage and 10 bp of fee."""
    code, said = simulate()
    assert code == 0
    bought, sold = 100 * 1.0005, 96 * 0.9995
    fees = 0.001 * 100 * (bought + sold)
    end = 100_000 + 100 * (sold - bought) - fees
    assert end == pytest.approx(99_570.5998)
    fills = table("fills.csv")
    assert fills["kind"].tolist() == ["order", "stop_loss"]
    np.testing.assert_allclose(fills["price"], [bought, sold], rtol=1e-12)
    assert fills["fee"].sum() == pytest.approx(fees)
    equity = table("equity.csv")["equity"]
    before = 100_000 - 100 * bought * 1.001
    np.testing.assert_allclose(equity, [1e5, before + 10_500, before + 10_200, end, end])
    assert table("trades.csv")["pnl"].tolist() == [pytest.approx(end - 100_000)]
    assert "4 orders: 1 filled, 1 lapsed, 1 refused (1 no shorts), 1 too late" in said
    assert (
        "2024-01-02 to 2024-01-08: equity 100,000.00 -> 99,570.60, return -0.43 %, "
        "worst drawdown -0.91 %" in said
    )
    assert "Costs: fees 19.60, slippage 9.80 (in the prices)" in said
    assert "1 trade closed; 0 positions held at the end Files: simulate/orders" in said
    assert {path.name for path in (folder / "simulate/orders").iterdir()} == FILES
    assert (folder / "simulate/orders/equity.png").read_bytes().startswith(b"\x89PNG")


def test_what_became_of_each_order_is_in_a_table(simulate):
    simulate()
    outcomes = table("outcomes.csv")
    assert outcomes["outcome"].tolist() == ["filled", "lapsed", "refused", "too late"]
    assert outcomes["reasons"].fillna("").tolist() == ["", "lapsed", "no_shorts", ""]
    assert outcomes["filled"].tolist() == [100, 0, 0, 0]
    assert table("vetoes.csv")["rule"].tolist() == ["no_shorts"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "outcomes"),
    [
        ("2024-01-02,BBB,buy,10,limit,48,2,\n2024-01-03,BBB,buy,1,,,,", ["replaced", "filled"]),
        ("2024-01-02,BBB,buy,10,limit,48,4,\n2024-01-04,BBB,buy,0,,,,", ["replaced", "cancels"]),
        ("2024-01-02,BBB,buy,10,limit,48,9,", ["waiting"]),
        ("2024-01-02,BBB,buy,3000,,,,", ["filled in part"]),  # there is cash for 1,998 of them
        ("2024-01-02,BBB,buy,10,,,,\n2024-01-03,BBB,sell,15,,,,", ["filled", "filled in part"]),
    ],
)
def test_orders_that_wait_or_are_cut(simulate, folder, rows, outcomes):
    (folder / "orders.csv").write_text(HEADER + rows + "\n")
    assert simulate()[0] == 0
    assert table("outcomes.csv")["outcome"].tolist() == outcomes


@pytest.mark.slow
def test_a_profile_closes_everything_at_its_drawdown(simulate, folder):
    """With all capital in AAA the gap costs 8 %: below the limit of a month of 5 % for one."""
    (folder / "orders.csv").write_text(
        HEADER + "2024-01-02,AAA,buy,990,,,,50\n2024-01-05,BBB,buy,10,,,,\n"
    )
    assert simulate()[0] == 0
    assert table("outcomes.csv")["outcome"].tolist() == ["filled", "filled"]
    code, said = simulate("--profile", "conservative")
    assert (code, "limits and stops of conservative" in said) == (0, True)
    assert table("outcomes.csv")["outcome"].tolist() == ["filled", "refused"]
    assert "daily_loss" in table("vetoes.csv")["rule"].tolist()


def test_a_market_of_the_settings_brings_its_costs(simulate, monkeypatch):
    monkeypatch.setenv("TP_MARKETS__SAMPLE__COSTS", '{"fee": 0.002, "slippage": 0}')
    code, said = simulate("--market", "sample")
    assert (code, "fee 0.20%, slippage 0.00%" in said) == (0, True)
    assert table("fills.csv")["price"].tolist() == [100, 96]
    assert table("fills.csv")["fee"].sum() == pytest.approx(0.002 * 19_600)


def test_a_date_alone_is_the_last_bar_of_that_day(simulate, folder):
    """Of hourly bars too, as for `explain --at`; an instant is the bar that opens then."""
    hours = pd.date_range("2024-01-01", periods=72, freq="h", tz="UTC", unit="us")
    flat = [(10, 11, 9, 10)] * 72
    bars_of("COIN", hours, flat).to_parquet("panel.parquet")
    (folder / "orders.csv").write_text(
        "decided_at,symbol,side,quantity\n2024-01-01,COIN,buy,1\n2024-01-02T01:00,COIN,buy,1\n"
        "2024-01-02T05:00+02:00,COIN,buy,1\n2024-01-02 06:00:00Z,COIN,buy,1\n"
    )
    assert simulate()[0] == 0
    filled = [stamp[:13] for stamp in table("fills.csv")["filled_at"]]
    assert filled == ["2024-01-02 00", "2024-01-02 02", "2024-01-02 04", "2024-01-02 07"]


@pytest.mark.slow
def test_a_parquet_table_says_the_same_as_a_csv_file(simulate, folder):
    """However it has stamps: with a zone or without, as dates or as text."""
    orders = pd.read_csv("orders.csv")
    assert simulate()[0] == 0
    stamps = pd.to_datetime(orders["decided_at"])
    for kind in (stamps, stamps.dt.tz_localize("UTC"), stamps.dt.date, orders["decided_at"]):
        orders.assign(decided_at=kind).to_parquet("other.parquet")
        assert simulate("--orders", "other.parquet")[0] == 0
        pd.testing.assert_frame_equal(
            table("outcomes.csv", "simulate/other"), table("outcomes.csv")
        )


@pytest.mark.slow
def test_a_report_s_own_orders_are_a_table(simulate, folder):
    """Its further columns are known; one that nobody knows is named, for it may be a stop."""
    head = "client_order_id,decided_at,symbol,side,quantity,type,reasons"
    (folder / "orders.csv").write_text(f"{head}\nx,2024-01-02,AAA,buy,1,market,\n")
    assert "not read" not in simulate()[1]
    (folder / "orders.csv").write_text(
        "decided_at,symbol,side,quantity,stoploss\n2024-01-02,AAA,buy,1,98\n"
    )
    code, said = simulate()
    assert (code, "note: columns that are not read: 'stoploss'" in said) == (0, True)


ROW = "2024-01-02,AAA,buy,1,,,,\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "orders.csv is empty; its first line names the columns"),
        (HEADER, "orders.csv has no orders: there is nothing below its header"),
        (HEADER + "\n,,,,,,,\n", "orders.csv has no orders"),
        ("decided_at,symbol,side\n2024-01-02,AAA,buy\n", "orders lack the columns quantity"),
        (ORDERS.replace(",", ";"), "orders lack the columns decided_at, symbol, side, quantity"),
        (HEADER + ROW + "2024-01-03,AAA,buy\n", "orders.csv: line 3 has 3 values, the header"),
        (HEADER + "2024-01-02,AAA,buy,1,000,,,,\n", "orders.csv: line 2 has 9 values, the header"),
        ("symbol,symbol\nA,B\n", "orders.csv has more than one column 'symbol'"),
        (HEADER + '"2024-01-02,AAA', "orders.csv is not a CSV file in UTF-8"),
        (b"\xff\xfe\x00", "orders.csv is not a CSV file in UTF-8"),
        (HEADER + "\n" + ROW.replace("AAA", "ZZZ"), "orders.csv: line 3: symbol 'ZZZ' is not in"),
        (HEADER + ROW.replace("AAA", "ZZZ"), "is not in the panel, which has AAA, BBB"),
        (HEADER + ROW.replace("AAA", ""), "line 2: symbol nan is not in the panel"),
        (HEADER + ROW.replace("2024", "2023"), "line 2: decided_at 2023-01-02 00:00:00+00:00 is"),
        (HEADER + ROW.replace("2024", "2025"), "which has 5 bars from 2024-01-02 00:00:00+00:00 "),
        (HEADER + ROW.replace("01-02", "01-06"), "is not a bar of the panel"),  # a Saturday
        (HEADER + ROW.replace("2024-01-02", "2024-01-02T10:00"), "is not a bar of the panel"),
        (HEADER + ROW.replace("2024-01-02", "tomorrow"), "'tomorrow' is no date; write it like"),
        (HEADER + ROW.replace("2024-01-02", "2024-13-02"), "'2024-13-02' is no date"),
        (HEADER + ROW.replace("2024-01-02", "02.01.2024"), "'02.01.2024' is no date"),
        (HEADER + ROW.replace("2024-01-02", "1704153600"), "'1704153600' is no date"),
        (HEADER + ROW.replace("2024-01-02", ""), "line 2: decided_at '' is no date"),
        (HEADER + ROW.replace("buy", "long"), "line 2: side 'long' is not buy or sell"),
        (HEADER + ROW.replace("buy,1", "buy,ten"), "line 2: quantity 'ten' is not a number"),
        (HEADER + ROW.replace("buy,1", "buy,-1"), "quantity '-1' is not a finite number >= 0"),
        (HEADER + ROW.replace("buy,1", "buy,"), "line 2: quantity nan is not a finite number >= 0"),
        (HEADER + ROW + ROW, "line 3: symbol 'AAA' has an order at that bar already"),
        (HEADER + "2024-01-02,AAA,buy,1,limit,,,\n", "limit_price nan is missing in a limit"),
        (HEADER + "2024-01-02,AAA,buy,1,,,1.5,\n", "bars '1.5' is not a whole number >= 1"),
        (HEADER + "2024-01-02,AAA,buy,1,,,,0\n", "stop_loss '0' is not a positive price"),
        (HEADER + "2024-01-02,AAA,buy,1,,5,,\n", "limit_price '5' is given, and the type is not"),
        (HEADER + "2024-01-02,AAA,buy,1,stop,5,,\n", "limit_price '5' is given, and the type"),
    ],
)
@pytest.mark.sampled(3)
def test_a_table_that_is_none_is_refused_with_file_line_and_rule(
    simulate, folder, content, complaint
):
    text = content if isinstance(content, bytes) else content.encode()
    (folder / "orders.csv").write_bytes(text)
    code, said = simulate()
    assert (code, complaint in said) == (2, True), said
    assert said.count("error: ") == 1
    assert "orders.csv" in said.partition("error: ")[2]
    assert not (folder / "simulate").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--orders", "nowhere.csv"], "nowhere.csv cannot be read: No such file"),
        (["--orders", "panel.parquet"], "panel.parquet: orders lack the columns decided_at"),
        (["--orders", "."], "cannot be read: Is a directory"),
        (["--data-path", "nowhere"], "nowhere does not exist; give a Parquet file"),
        (["--data-path", "orders.csv"], "orders.csv is not a Parquet file"),
        (["--market", "nowhere"], "no market 'nowhere'"),
        (["--profile", "brave"], "must be one of conservative, moderate, aggressive"),
        (["--capital", "0"], "Invalid value for '--capital'"),
        (["--calendar", "24/7"], "the calendar 24/7 does not fit"),
        (
            ["--out", "orders.csv"],
            "cannot write orders.csv: File exists; give a writable folder",
        ),
    ],
)
def test_a_bad_option_is_named(simulate, arguments, complaint):
    code, said = simulate(*arguments)
    assert (code, complaint in said) == (2, True), said


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_of_others_are_never_written_over(simulate, folder, name):
    """The user names the folder, not what is written into it."""
    (folder / "mine").mkdir()
    (folder / "mine" / name).write_text("precious")
    code, said = simulate("--out", "mine")
    assert (code, f"mine/{name} is not from this command; choose another" in said) == (2, True)
    assert [path.read_text() for path in (folder / "mine").iterdir()] == ["precious"]


@pytest.mark.slow
def test_its_own_files_are_replaced_and_nothing_else_is_made(simulate, folder):
    (folder / "own").mkdir()
    (folder / "own" / "notes.txt").write_text("precious")
    before = set(folder.iterdir())
    for _ in range(2):
        assert simulate("--out", "own")[0] == 0
    assert {path.name for path in (folder / "own").iterdir()} == FILES | {"notes.txt"}
    assert set(folder.iterdir()) == before


def test_help_teaches_with_an_example(run):
    said = run("simulate", "--help")[1]
    for part in ("filled at the next open", "2024-01-02,AAPL,buy,10", "Exit code 2", "UTC"):
        assert part in said


@pytest.mark.slow
def test_the_page_shows_what_the_command_does(folder):
    """`docs/simulate.md`: its table of orders gives the result that it prints."""
    page = (ROOT / "docs" / "simulate.md").read_text(encoding="utf-8")
    source = SampleSource()
    bars = source.bars(source.symbols(), *source.span(source.symbols()))
    bars.to_parquet("sample.parquet", index=False)
    (folder / "orders.csv").write_text(re.search(r"```csv\n(.+?)```", page, re.DOTALL)[1])
    shown = CliRunner().invoke(
        app, re.search(r"\$ trading-pipeline (simulate .+)", page)[1].split()
    )
    assert shown.exit_code == 0
    assert shown.stdout == re.search(r"```text\n(.+?)```", page, re.DOTALL)[1]
