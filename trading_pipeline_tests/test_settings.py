"""Settings: what wins, and what is refused with words that help."""

import re
import tomllib
import traceback
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.definitions import (
    alerts_of,
    brokers_of,
    build,
    home_of,
    plan_of,
    variables_of,
)
from trading_pipeline.errors import CredentialsError, SettingsError, StoreError
from trading_pipeline.settings import Settings
from trading_pipeline.settings_markets import (
    CostSettings,
    MarketSettings,
    WalkForwardSettings,
    months,
)
from trading_pipeline.settings_sources import _NOT_FIELDS, _say_once, line_of

START, END = date(2020, 1, 1), date(2021, 1, 1)
MARKET = """
[markets.mine]
source = "sample"
symbols = ["IBM"]
start = 2000-03-01
horizon = 5
"""


ALPACA = """
[markets.mine]
source = "alpaca"
symbols = ["IBM"]
start = 2020-01-02
"""
BINANCE = ALPACA.replace("alpaca", "binance").replace("IBM", "BTC/USDT")


def only_market(settings: Settings) -> Market:
    return settings.market(next(iter(settings.markets)))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder, with nothing set."""
    monkeypatch.chdir(tmp_path)
    for name in ("TP_HOME", "TP_CONFIG", "TP_LEDGER_URL", "TP_ALPACA_KEY", "TP_ALPACA_SECRET"):
        monkeypatch.delenv(name, raising=False)
    _say_once.cache_clear()
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


def test_a_variable_changes_a_market_whose_name_has_capitals(monkeypatch):
    """Once it was another market, which lacked all the rest. Processes that train folds are told
    of every market in variables."""
    settings = read(MARKET.replace("mine", "Mine"))
    for name, value in variables_of(settings).items():
        monkeypatch.setenv(name, value)
    Path(".env").write_text("TP_MARKETS__MINE__HORIZON=7\n")
    told = Settings.read()
    assert list(told.markets) == ["Mine"]
    assert told.market("Mine").horizon == 7
    monkeypatch.setenv("TP_MARKETS__MINE__HORIZON", "9")
    assert Settings.read().market("Mine").horizon == 9


def test_old_names_are_read_on_and_said_once(caplog):
    """Files that users have go on working; a benchmark was never read, and is not now."""
    text = MARKET + 'book = "neutral"\nshortable = true\nbenchmark = "equal_weight"\n'
    assert read(text).market("mine").mandate == "neutral"
    assert Settings.read().market("mine").mandate == "neutral"
    assert caplog.messages == [
        "pipeline.toml:7: `book` of mine is called `mandate` now",
        "pipeline.toml:9: `benchmark` of mine can be left out: equal weights are the default",
    ]


@pytest.mark.parametrize("name", ["BOOK", "MANDATE"])
@pytest.mark.parametrize("written", ["book", "mandate"])
def test_a_variable_wins_over_the_file_whichever_name_either_has(monkeypatch, name, written):
    monkeypatch.setenv(f"TP_MARKETS__MINE__{name}", "neutral")
    settings = read(MARKET + f'shortable = true\n{written} = "long_only"\n')
    assert settings.market("mine").mandate == "neutral"


def test_every_cost_can_be_set(monkeypatch):
    """The section derives from `Costs`: its names, its types and its defaults."""
    monkeypatch.setenv("TP_MARKETS__MINE__COSTS__FEE", "0.002")
    costs = read(MARKET + "[markets.mine.costs]\nmaker_fee = 0.0001\n").market("mine").costs
    assert costs == Costs(fee=0.002, maker_fee=0.0001)
    assert set(CostSettings.model_fields) == {each.name for each in fields(Costs)}


def test_the_names_of_other_programs_in_env_file_are_left_alone():
    Path(".env").write_text("POSTGRES_PASSWORD=secret\n")
    assert read(MARKET).market("mine").horizon == 5


def test_a_variable_of_a_market_that_no_file_has_is_named(monkeypatch):
    monkeypatch.setenv("TP_MARKETS__OTHER__HORIZON", "3")
    with pytest.raises(SettingsError, match=r"OTHER__HORIZON: markets\.other\.source: "):
        read(MARKET)


@pytest.mark.parametrize(("span", "expected"), [("5y", 60), ("6mo", 6), (" 1 y", 12), (3, 3)])
def test_spans_are_months(span, expected):
    assert months(span) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = [", r"pipeline\.toml is not TOML"),
        ("colour = 1", "colour: no such setting"),
        (MARKET + 'benchmark = "SPY"', r"pipeline\.toml:7: markets\.mine: benchmark is a table"),
        (MARKET + 'book = "long_only"\nmandate = "neutral"', r"markets\.mine\.book: no such"),
        (MARKET + "[markets.mine.costs]\nfees = 1", r"markets\.mine\.costs\.fees: no such"),
        ("markets = 3", "markets: Input should be a valid dictionary"),
        (MARKET.replace("5", '"x"'), r"markets\.mine\.horizon: .* integer"),
        (MARKET.replace("horizon", "horzon"), r"markets\.mine\.horzon: no such"),
        (MARKET.replace("5", "0"), r"markets\.mine: horizon must be at least 1 bar, was 0"),
        (MARKET.replace('"IBM"', ""), "symbols must be one or more"),
        (
            MARKET.replace('"sample"', '"yahoo"'),
            r"markets\.mine\.source: .*no source 'yahoo'.* ccxt, .*MODULE:CLASS",
        ),
        (MARKET.replace('"sample"', '"parquet"'), "a parquet source needs `path"),
        (MARKET.replace('"sample"', '"ccxt"'), "a ccxt source needs `exchange"),
        (MARKET + 'feed = "sip"', "`feed` is for alpaca, and the source is sample; remove it"),
        (MARKET + 'exchange = "kraken"', "`exchange` is for ccxt"),
        (MARKET + 'url = "https://x.org"', "`url` is for alpaca and binance and ccxt"),
        (ALPACA + 'feed = "otc"', r"markets\.mine\.feed: .*'iex' or 'sip'"),
        (ALPACA + 'url = "http://x.org"', "would send keys and bars in clear; use https"),
        (ALPACA + 'url = "http://127.0.0.1.x.org"', "would send keys and bars in clear"),
        (ALPACA + 'trading_url = "x.org"', "an address is written like 'https://"),
        (ALPACA + 'url = "https://me:pw@x.org"', "no user name, password"),
        (ALPACA + "delay = inf", r"markets\.mine\.delay: Input should be a finite number"),
        (ALPACA + "per_minute = 0", r"markets\.mine\.per_minute: .* greater than 0"),
        (MARKET + "delay = 0", "`delay` is for alpaca"),
        (ALPACA + 'timeframe = "2d"', r"markets\.mine: timeframe must be one of 1d, 4h"),
        (
            MARKET + 'model = "forest"',
            r"markets\.mine\.model: .*'network', 'ridge', 'ridge_lags', .* or 'best'",
        ),
        (MARKET + 'preset = "huge"', r"markets\.mine\.preset: .*'tiny', 'small' or 'full'"),
        (MARKET + "processes = 0", r"markets\.mine\.processes: .* greater than or equal to 1"),
        (MARKET + 'device = "gpu"', r"markets\.mine\.device: .* pattern"),
        (MARKET + 'precision = "int8"', r"markets\.mine\.precision: .*'float32' or 'bfloat16'"),
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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_an_env_file_of_other_bytes_is_the_one_that_is_named(encoding):
    """PowerShell's `>` writes UTF-16, and pipeline.toml is not to blame for it."""
    Path(".env").write_bytes("TP_HOME=größe\n".encode(encoding))
    with pytest.raises(SettingsError, match=r"^\.env is not text in UTF-8; save it in UTF-8"):
        read(MARKET)


def test_an_env_file_with_a_byte_order_mark_is_read():
    """Notepad begins with one, and the first variable must not be lost for it."""
    Path(".env").write_bytes("TP_HOME=there\n".encode("utf-8-sig"))
    assert read(MARKET).home == Path("there")


def test_a_bad_value_is_told_with_the_source_that_says_it(monkeypatch):
    """The strongest of those that say it, since that is the one to change."""
    with pytest.raises(SettingsError, match=r"^pipeline\.toml:6: markets\.mine\.horizon: "):
        read(MARKET.replace("5", '"x"'))
    Path(".env").write_text("TP_MARKETS__MINE__HORIZON=y\n")
    with pytest.raises(SettingsError, match=r"^\.env: TP_MARKETS__MINE__HORIZON: markets\.mine\."):
        Settings.read()
    monkeypatch.setenv("tp_markets__mine__horizon", "0")
    complaint = r"^pipeline\.toml:2, TP_MARKETS__MINE__HORIZON: markets\.mine: horizon must be"
    with pytest.raises(SettingsError, match=complaint):
        Settings.read().market("mine")
    monkeypatch.setenv("TP_MARKETS", '{"mine": {"processes": 0}}')
    with pytest.raises(SettingsError, match=r"^TP_MARKETS: markets\.mine\.processes: "):
        Settings.read()


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (("home",), 2),
        (("markets", "a.b", "symbols"), 5),
        (("markets", "a.b", "end"), 4),  # which it lacks
        (("markets", "a.b", "costs", "fee"), 9),
        (("markets", "c", "horizon"), 12),
        (("markets", "c", "costs", "fee"), 11),
        (("markets", "c", "costs", "lot"), 10),
        (("nope",), None),
    ],
)
def test_the_line_of_a_value_is_found_or_that_of_what_holds_it(entry, line):
    text = """# home = "not this one"
home = "here"  # but = this

[markets."a.b"]
symbols = [
  "AAPL", "home",
]
  [markets . "a.b".costs]
  fee = 0.1
[markets.c]
costs.fee = 0.2
horizon = 5
"""
    assert line_of(text, entry) == line


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("TP_NOPE", "1", "unknown variable TP_NOPE; known: .*TP_HOME"),
        ("TP_MARKETS__MINE__HORZON", "1", r"markets\.mine\.horzon: no such"),
        ("TP_MARKETS", "{broken", 'value for field "markets"'),
        ("TP_EXECUTOR", "spark", "executor: .*'in_process', 'multiprocess', 'ray' or 'kubernetes'"),
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
    with pytest.raises(SettingsError, match=r"(?i)tp_hoem: no such"):
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


NAMES = st.text(
    st.characters(codec="utf-8"), min_size=1, max_size=12
)  # also quotes, newlines and characters beyond the basic plane


@given(
    symbols=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    path=NAMES,
    sector=NAMES,
    participation=st.sampled_from([0.1, float("inf")]),
    stop=st.none() | st.floats(0.5, 20),
)
def test_whatever_a_market_says_is_written_so_that_it_reads_back_equal(
    tmp_path_factory, symbols, path, sector, participation, stop
):
    """Every field, nested tables and infinity included; the reader is the one of Python itself."""
    entry = MarketSettings(
        source="parquet",
        path=Path("panels") / path.replace("\0", "").replace("/", "|"),
        symbols=tuple(symbols),
        start=START,
        end=END,
        costs=CostSettings(participation=participation, maker_fee=0.0001),
        walk_forward=WalkForwardSettings(test=6),
        limits={} if stop is None else {"trailing_stop": stop},
        sectors=dict.fromkeys(symbols, sector),
    )
    home = tmp_path_factory.mktemp("out")
    written = Settings(_env_file=None).for_panel(home, "mine", entry)
    said = tomllib.loads(written.read_text(encoding="utf-8"))
    assert said["home"] == str(home)
    assert MarketSettings.model_validate(said["markets"]["mine"]) == entry


def test_settings_that_somebody_made_or_edited_are_never_written_over(folder):
    """`walk-forward --out .` in the project's own folder, and a second run after an edit."""
    settings = read(MARKET)
    entry = settings.markets["mine"]
    for place, theirs in (("own", MARKET.encode()), ("odd", b"\xff\xfe"), ("empty", b"")):
        (folder / place).mkdir()
        (folder / place / "pipeline.toml").write_bytes(theirs)
        with pytest.raises(
            SettingsError, match=rf"{place}/pipeline\.toml was not written by .*--out"
        ):
            settings.for_panel(folder / place, "mine", entry)
        assert (folder / place / "pipeline.toml").read_bytes() == theirs
    path = settings.for_panel(folder / "out", "mine", entry)
    changed = entry.model_copy(update={"horizon": 9})
    settings.for_panel(folder / "out", "mine", changed)  # ours, and as we wrote it
    edited = path.read_text() + "# mine\n"
    path.write_text(edited)
    settings.for_panel(folder / "out", "mine", changed)  # says the same
    with pytest.raises(SettingsError, match=r"edited since, and would be lost"):
        settings.for_panel(folder / "out", "mine", entry)
    assert path.read_text() == edited


def test_a_name_that_is_no_text_is_refused(folder):
    """A file name of other bytes than UTF-8, as Python hands it on."""
    entry = read(MARKET).markets["mine"].model_copy(update={"path": Path("a\udcff")})
    with pytest.raises(SettingsError, match="no Unicode text"):
        Settings.read().for_panel(folder / "out", "mine", entry)


def test_a_folder_that_cannot_be_written_is_named(folder):
    (folder / "file").write_text("")
    entry = read(MARKET).markets["mine"]
    with pytest.raises(StoreError, match=r"file/out/pipeline\.toml .*--out"):
        Settings.read().for_panel(folder / "file" / "out", "mine", entry)


@pytest.mark.parametrize(
    ("text", "calendar", "horizon", "first_train"),
    [
        (MARKET.replace("horizon = 5", ""), "XNYS", 21, 60),
        (ALPACA, "XNYS", 21, 60),
        (BINANCE, "24/7", 10, 24),
        (BINANCE + 'timeframe = "1h"', "24/7", 120, 6),
        (BINANCE + 'timeframe = "4Hour"', "24/7", 30, 12),
        (BINANCE.replace("binance", "ccxt") + 'exchange = "kraken"', "24/7", 10, 24),
        (BINANCE + 'calendar = "XNYS"\n[markets.mine.walk_forward]\ntest = "6mo"', "XNYS", 21, 60),
    ],
)
def test_what_is_not_said_is_usual_for_the_source(text, calendar, horizon, first_train):
    market = only_market(read(text))
    assert (market.calendar, market.horizon) == (calendar, horizon)
    assert market.walk_forward.first_train == first_train
    assert market.walk_forward.test == (6 if "6mo" in text else market.walk_forward.test)


def test_what_a_training_runs_on_reaches_the_plan():
    """Processes take whole blocks of a step, so there are as many; the recipe says so."""
    line = 'preset = "small"\nprocesses = 3\ndevice = "cuda"\nprecision = "bfloat16"\n'
    line += "position_state = true"
    plan = plan_of(read(MARKET + line), "mine")
    assert (plan.processes, plan.device) == (3, "cuda")
    assert plan.recipe.training.blocks == 3
    assert plan.recipe.training.precision == "bfloat16"
    assert plan.recipe.model.position_state
    assert plan.recipe.learner == "network"
    assert plan_of(read(MARKET + 'model = "best"'), "mine").recipe.learner == "best"
    assert replace(plan, preset="full").recipe.training.blocks == 4


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8123/", "http://localhost:1", "http://[::1]:1", "https://x.org/api"]
)
def test_a_mirror_may_be_this_machine_or_speak_https(url):
    assert read(ALPACA + f'url = "{url}"').markets["mine"].url == url.rstrip("/")


def test_keys_come_from_the_environment_and_never_show(monkeypatch):
    Path(".env").write_text(
        "TP_ALPACA_KEY=canary-key\nTP_ALERT_URLS=json://canary tgram://canary\n"
    )
    monkeypatch.setenv("TP_ALPACA_SECRET", "canary-secret")
    settings = read(ALPACA)
    assert settings.alert_urls.get_secret_value() == "json://canary tgram://canary"
    assert settings.alpaca_key.get_secret_value() == "canary-key"
    assert settings.alpaca_secret.get_secret_value() == "canary-secret"
    addresses = alerts_of(settings).addresses
    assert [str(each) for each in addresses] == ["address 1 (json)", "address 2 (tgram)"]
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(addresses)):
        assert "canary" not in shown


def test_secrets_come_from_files_too(folder, monkeypatch):
    """As containers get them; a variable goes before, and what is empty is not set."""
    secrets = folder / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("TP_SECRETS", str(secrets))
    said = {
        "tp_alpaca_key": "canary-key\n",
        "TP_ALPACA_SECRET": "\ufeffcanary-file",
        "tp_binance_key": "\n",
        "tp_ledger_url": "postgresql://me:canary@x/book",
        "postgres_password": "another's",
        ".gitkeep": "",
    }
    for name, text in said.items():
        (secrets / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("TP_ALPACA_SECRET", "canary-variable")
    settings = read(ALPACA)
    assert settings.alpaca_key.get_secret_value() == "canary-key"
    assert settings.alpaca_secret.get_secret_value() == "canary-variable"
    assert settings.ledger_url.get_secret_value() == "postgresql://me:canary@x/book"
    assert settings.binance_key is None
    assert "canary" not in f"{settings!r} {settings.model_dump_json()}"
    monkeypatch.delenv("TP_ALPACA_SECRET")
    assert Settings.read().alpaca_secret.get_secret_value() == "canary-file"


def test_secrets_in_files_that_cannot_be_used_are_named(folder, monkeypatch):
    monkeypatch.setenv("TP_SECRETS", str(folder / "secrets"))
    with pytest.raises(SettingsError, match="secrets cannot be read: No such file"):
        read(ALPACA)
    (folder / "secrets").mkdir()
    (folder / "secrets" / "tp_alpaca_kye").write_text("canary")
    with pytest.raises(
        SettingsError, match=r"unknown secret .*tp_alpaca_kye; known: .*key"
    ) as typo:
        Settings.read()
    (folder / "secrets" / "tp_alpaca_kye").rename(folder / "secrets" / "tp_alpaca_key")
    (folder / "secrets" / "tp_alpaca_key").write_bytes(b"canary\xff")
    with pytest.raises(SettingsError, match="tp_alpaca_key is not text in UTF-8") as bytes_of_it:
        Settings.read()
    assert "canary" not in f"{typo.value} {bytes_of_it.value}"


def test_addresses_of_alerts_in_the_committed_file_are_refused():
    with pytest.raises(SettingsError, match=r"holds alert_urls.*Set TP_ALERT_URLS in") as refused:
        read('alert_urls = "json://canary"\n' + ALPACA)
    assert "canary" not in str(refused.value)


def test_keys_that_are_empty_are_not_set(monkeypatch):
    """Compose hands on a variable that nobody set as an empty one."""
    monkeypatch.setenv("TP_ALPACA_KEY", "")
    monkeypatch.setenv("TP_ALERT_URLS", "")
    assert read(ALPACA).alpaca_key is None
    assert Settings.read().alert_urls is None


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (ALPACA + 'broker = "binance_testnet"\n', "needs live bars of the source binance or ccxt"),
        (
            MARKET + 'broker = "alpaca"\n',
            "needs live bars of the source alpaca, and the source is s",
        ),
        (
            ALPACA + 'broker_url = "https://x.org"\n',
            "fills are simulated; remove it, or set `broker`",
        ),
        (BINANCE + 'broker = "binance_testnet"\nshortable = true\n', "nothing is sold short"),
    ],
)
def test_a_broker_trades_what_the_source_tells_of(entry, complaint):
    with pytest.raises(SettingsError, match=complaint):
        read(entry).market("mine")


def test_a_broker_gets_the_keys_and_the_address_of_its_own(monkeypatch):
    """And a market that names none is simulated, whatever keys there are."""
    for name in ("ALPACA_KEY", "ALPACA_SECRET", "BINANCE_KEY", "BINANCE_SECRET"):
        monkeypatch.setenv(f"TP_{name}", f"canary-{name}")
    factory = brokers_of(
        read(BINANCE + 'broker = "binance_testnet"\nbroker_url = "http://localhost:1"\n')
    )["mine"]
    assert factory.key.get_secret_value() == "canary-BINANCE_KEY"
    assert factory.secret.get_secret_value() == "canary-BINANCE_SECRET"
    assert factory.url == "http://localhost:1"
    assert "canary" not in repr(factory)
    settings = read(ALPACA + 'broker = "alpaca"\n')
    assert brokers_of(settings)["mine"].key.get_secret_value() == "canary-ALPACA_KEY"
    assert settings.market("mine").source == "alpaca"
    simulated = read(ALPACA)
    assert brokers_of(simulated)["mine"].key is None
    assert brokers_of(simulated)["mine"].open(simulated.market("mine"), None) is None


def test_a_broker_without_keys_says_which_to_set():
    settings = read(BINANCE + 'broker = "binance_testnet"\n')
    with pytest.raises(CredentialsError, match="set TP_BINANCE_KEY and TP_BINANCE_SECRET"):
        brokers_of(settings)["mine"].open(settings.market("mine"), None)
    settings = read(ALPACA + 'broker = "alpaca"\n')
    with pytest.raises(CredentialsError, match="set TP_ALPACA_KEY and TP_ALPACA_SECRET"):
        brokers_of(settings)["mine"].open(settings.market("mine"), None).cash()


@pytest.mark.parametrize("name", ["alpaca_key", "alpaca_secret", "binance_key", "binance_secret"])
def test_keys_in_the_committed_file_are_refused(name):
    with pytest.raises(
        SettingsError, match=f"pipeline.toml holds {name}.*TP_{name.upper()} in"
    ) as refused:
        read(f'{name} = "canary"' + ALPACA)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("name", ["url", "trading_url"])
@pytest.mark.parametrize(
    "url",
    [
        "me:canary@x.org",
        "//me:canary@x.org",
        "ftp://me:canary@x.org",
        "https://me:canary@",
        "https://me:canary@x.org",
        "https://me:canary@x.org:port",
        "https://x.org:canary",
        "https://me:canary℀@x.org",
        "https://me:canary@[x.org",
        "https://x.org?key=canary",
        "http://x.org/canary",
    ],
)
def test_a_refused_address_is_not_repeated(name, url):
    """It may hold a password; Python's own words about a bad address quote it."""
    with pytest.raises(SettingsError, match=rf"markets\.mine\.{name}: ") as refused:
        read(ALPACA + f'{name} = "{url}"')
    assert "canary" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:canary@x/book",
        "postgresql://x/book?password=canary",
        "postgresql://x/book?canary",
    ],
)
def test_a_ledgers_password_in_the_committed_file_is_refused(url):
    with pytest.raises(
        SettingsError, match=r"pipeline\.toml holds ledger_url.*TP_LEDGER_URL in"
    ) as refused:
        read(f'ledger_url = "{url}"' + MARKET)
    assert "canary" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("url", ["postgresql://x/book", "sqlite:////home/a@b/ledger.sqlite"])
def test_a_ledgers_address_without_a_password_may_be_in_the_file(url):
    assert read(f'ledger_url = "{url}"' + MARKET).ledger_url.get_secret_value() == url


def test_a_settings_file_with_a_byte_order_mark_is_read():
    """As Notepad saves it."""
    Path("pipeline.toml").write_bytes(MARKET.encode("utf-8-sig"))
    assert Settings.read().market("mine").horizon == 5


@pytest.mark.parametrize(
    "line", ["TP_ALPACA_KEYS=canary", "TP_MARKETS__MINE__KEY=canary", "TP_ALERT_KEYS=canary"]
)
def test_a_key_under_a_wrong_name_is_not_repeated(line):
    """Neither in our words nor in those of the error underneath, which a traceback prints."""
    Path(".env").write_text(line + "\n")
    with pytest.raises(SettingsError, match=r"(?i)key.*: no such") as refused:
        read(ALPACA)
    assert "canary" not in f"{refused.value} {refused.value.__cause__}"


def test_keys_are_not_written_for_a_panel(folder, monkeypatch):
    monkeypatch.setenv("TP_ALPACA_KEY", "canary")
    settings = read(MARKET)
    path = settings.for_panel(folder / "out", "mine", settings.markets["mine"])
    assert "canary" not in path.read_text()


def test_no_secret_is_in_what_dagster_records_of_a_job(monkeypatch):
    """It keeps a snapshot of every job, defaults of its configuration included, and shows it."""
    for name in ("ALPACA_KEY", "ALPACA_SECRET"):
        monkeypatch.setenv(f"TP_{name}", "canary")
    monkeypatch.setenv("TP_ALERT_URLS", "json://canary")
    url = "postgresql://trader:canary@localhost/book?sslpassword=canary"
    monkeypatch.setenv("TP_LEDGER_URL", url)
    settings = read(ALPACA)
    assert home_of(settings).ledger_url == url
    definitions = build(settings)
    jobs = [job.name for job in definitions.resolve_all_job_defs()]
    assert len(jobs) > 3
    for name in jobs:
        job = definitions.resolve_job_def(name)
        assert "canary" not in dg.serialize_value(job.get_job_snapshot())
    for shown in (repr(settings), settings.model_dump_json(), repr(home_of(settings))):
        assert "canary" not in shown


def test_a_source_of_ones_own_is_named_by_its_class_and_has_options():
    text = MARKET.replace('"sample"', '"my_source:CsvSource"')
    given = read(text + '[markets.mine.options]\nfolder = "bars"\n')
    assert given.market("mine").source == "my_source:CsvSource"
    assert given.market("mine").calendar == "XNYS"
    assert given.markets["mine"].options == {"folder": "bars"}


def test_options_are_for_a_source_of_ones_own():
    with pytest.raises(SettingsError, match="`options` are for a source of your own"):
        read(MARKET + '[markets.mine.options]\nfolder = "bars"\n').market("mine")


EXAMPLE = Path(__file__).parents[1] / ".env.example"
NAME = "[A-Z]+(?:_[A-Z]+)+"  # not TP_MARKETS__SAMPLE__HORIZON, which a sentence is about
OF_COMPOSE = {"WEB_ADDRESS", "DOCKER_GROUP"}


def named_in_example() -> list[str]:
    return re.findall(rf"^# ({NAME})=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_example_of_env_names_exactly_what_there_is_and_explains_each():
    """Whatever is a setting and no part of a market; the rest is shown in pipeline.toml."""
    ours = {f"TP_{name.upper()}" for name in Settings.model_fields if name != "markets"}
    assert sorted(named_in_example()) == sorted(ours | _NOT_FIELDS | OF_COMPOSE)
    blocks = EXAMPLE.read_text(encoding="utf-8").strip().split("\n\n")
    explained = [re.findall(rf"^# {NAME}=", block, re.MULTILINE) for block in blocks]
    assert all(len(names) <= 2 for names in explained)  # a key and its secret
    for block, names in zip(blocks, explained, strict=True):
        assert not names or not re.match(rf"# {NAME}=", block), f"{names} come without a word"


def test_whatever_the_example_shows_can_be_said_in_env(folder, monkeypatch):
    """As somebody does who takes the marks away and fills in values of their own."""
    (folder / "other.toml").write_text(MARKET)
    (folder / "secrets").mkdir()
    (folder / "secrets" / "tp_binance_key").write_text("fromafile")
    own = {
        "TP_ALPACA_KEY": "ak",
        "TP_ALPACA_SECRET": "as",
        "TP_HOME": "there",
        "TP_CONFIG": "other.toml",
        "TP_SECRETS": "secrets",
        "TP_BINANCE_KEY": "",
    }
    text = EXAMPLE.read_text(encoding="utf-8")
    for name in named_in_example():
        line = re.search(rf"^# ({name}=.*)$", text, re.MULTILINE)
        said = f"{name}={own[name]}" if name in own else line[1]
        text = text.replace(line[0], said)
    Path(".env").write_text(text)
    settings = Settings.read()
    assert settings.home == Path("there")
    assert set(settings.markets) == {"mine"}
    assert settings.alpaca_key.get_secret_value() == "ak"
    assert settings.binance_key.get_secret_value() == "fromafile"
    assert settings.executor == "multiprocess"
    assert settings.ledger_url.get_secret_value().startswith("postgresql")
    assert settings.alert_urls.get_secret_value().startswith("tgram://BOT_TOKEN")


def test_errors_are_one_line_each_and_name_a_variable_once():
    Path("pipeline.toml").write_text(MARKET.replace('source = "sample"', 'source = "samples"'))
    Path(".env").write_text("TP_PRESET=small\n")
    with pytest.raises(SettingsError) as told:
        Settings.read()
    lines = str(told.value).split("\n")
    assert ".env: TP_PRESET: no such setting" in lines
    assert len(lines) == 2
    assert "there is no source" in str(told.value)
    assert "Value error" not in str(told.value)
