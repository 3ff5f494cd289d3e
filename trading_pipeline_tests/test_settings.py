"""Settings: what wins, and what is refused with words that help."""

from datetime import date
from pathlib import Path

import pytest

from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import SettingsError, StoreError
from trading_pipeline.settings import MarketSettings, Settings, months

START, END = date(2020, 1, 1), date(2021, 1, 1)
MARKET = """
[markets.mine]
source = "sample"
symbols = ["IBM"]
start = 2000-03-01
horizon = 5
"""


def only_market(settings: Settings) -> Market:
    return settings.market(next(iter(settings.markets)))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder, with nothing set."""
    monkeypatch.chdir(tmp_path)
    for name in ("TP_HOME", "TP_CONFIG", "TP_LEDGER_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def read(text: str) -> Settings:
    Path("pipeline.toml").write_text(text, encoding="utf-8")
    return Settings.read()


def test_variables_win_over_env_file_over_toml(monkeypatch):
    Path(".env").write_text("TP_MARKETS__MINE__HORIZON=7\nTP_HOME=from_env_file\n")
    assert read('home = "from_toml"\n' + MARKET).markets["mine"].horizon == 7
    assert Settings.read().home == Path("from_env_file")
    monkeypatch.setenv("TP_MARKETS__MINE__HORIZON", "9")
    assert Settings.read().market("mine").horizon == 9


def test_the_names_of_other_programs_in_env_file_are_left_alone():
    Path(".env").write_text("POSTGRES_PASSWORD=secret\n")
    assert read(MARKET).market("mine").horizon == 5


@pytest.mark.parametrize(("span", "expected"), [("5y", 60), ("6mo", 6), (" 1 y", 12), (3, 3)])
def test_spans_are_months(span, expected):
    assert months(span) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = [", r"pipeline\.toml is not TOML"),
        ("colour = 1", "colour: Extra inputs"),
        ("markets = 3", "markets: Input should be a valid dictionary"),
        (MARKET.replace("5", '"x"'), r"markets\.mine\.horizon: .* integer"),
        (MARKET.replace("horizon", "horzon"), r"markets\.mine\.horzon: Extra"),
        (MARKET.replace("5", "0"), r"markets\.mine: horizon must be at least 1 bar, was 0"),
        (MARKET.replace('"IBM"', ""), "symbols must be one or more"),
        (MARKET.replace('"sample"', '"yahoo"'), r"markets\.mine\.source: .*'sample' or 'parquet'"),
        (MARKET.replace('"sample"', '"parquet"'), "a parquet source needs `path"),
        (MARKET + 'preset = "huge"', r"markets\.mine\.preset: .*'tiny', 'small' or 'full'"),
        (MARKET + 'calendar = "XMOON"', "calendar must be one of"),
        (MARKET + "end = 1999-01-01", "end 1999-01-01 is not after start 2000-03-01"),
        (MARKET + "[markets.mine.costs]\nfee = nan", "fee must be in"),
        (MARKET + '[markets.mine.walk_forward]\ntest = "5 years"', "written like '5y' or '6mo'"),
        (MARKET.replace("markets.mine", 'markets."a b"'), "'a b'.*letters, digits and underscores"),
    ],
)
def test_a_bad_value_is_named(text, complaint):
    with pytest.raises(SettingsError, match=complaint):
        only_market(read(text))


def test_a_file_of_other_bytes_is_refused():
    Path("pipeline.toml").write_bytes(b"# \xe4\n")
    with pytest.raises(SettingsError, match=r"pipeline\.toml is not TOML in UTF-8"):
        Settings.read()


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("TP_NOPE", "1", "unknown variable TP_NOPE; known: .*TP_HOME"),
        ("TP_MARKETS__MINE__HORZON", "1", r"markets\.mine\.horzon: Extra"),
        ("TP_MARKETS", "{broken", 'value for field "markets"'),
        ("TP_MULTIPROCESS", "maybe", "multiprocess: .*boolean"),
        ("TP_CONFIG", "nowhere.toml", r"TP_CONFIG is nowhere\.toml, which is not a file"),
        ("TP_CONFIG", ".", "which is not a file"),
    ],
)
def test_a_bad_variable_is_named(monkeypatch, variable, value, complaint):
    Path("pipeline.toml").write_text(MARKET)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=complaint):
        Settings.read()


def test_a_typo_of_ours_in_env_file_is_refused():
    Path(".env").write_text("TP_HOEM=x\n")
    with pytest.raises(SettingsError, match=r"(?i)tp_hoem: Extra"):
        read(MARKET)


def test_an_unknown_market_lists_those_there_are(folder):
    with pytest.raises(SettingsError, match=r"no market 'yours': .*pipeline\.toml has mine"):
        read(MARKET).market("yours")


def test_the_settings_of_a_panel_can_be_read_again(folder, monkeypatch):
    """`walk-forward` writes them for the web UI."""
    market = Market(name="mine", source="parquet", symbols=('A"B', "C"), start=START, end=END)
    entry = MarketSettings.of(market, path=folder / 'a "panel".parquet', preset="tiny")
    path = Settings().for_panel(folder / "out", "mine", entry)
    monkeypatch.setenv("TP_CONFIG", str(path))
    again = Settings.read()
    assert again.markets == {"mine": entry}
    assert again.market("mine") == market
    assert again.home == folder / "out"


def test_a_folder_that_cannot_be_written_is_named(folder):
    (folder / "file").write_text("")
    entry = read(MARKET).markets["mine"]
    with pytest.raises(StoreError, match=r"file/out/pipeline\.toml .*--out"):
        Settings.read().for_panel(folder / "file" / "out", "mine", entry)
