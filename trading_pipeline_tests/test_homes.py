"""Where everything is kept: folders with odd names, and secrets that must not be in any file."""

import gc
import os
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.definitions import alerts_of, build, home_of, plan_of, sources_of
from trading_pipeline.defs import runs
from trading_pipeline.defs.instance import local_instance, prepare_home
from trading_pipeline.errors import StoreError, TradingPipelineError
from trading_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
ODD = ["with spaces", "a#b", "quote's \"", "größe 😀", "a: b", "{x}", "-", "a&b=c;d", "back\\slash"]


pytestmark = pytest.mark.usefixtures("no_dagster_home")


@pytest.mark.parametrize("name", [*ODD, "100%", "a?b"])
def test_a_ledger_lives_in_a_folder_of_any_name(tmp_path, name):
    """And in that one: a `?` once ended the path, so that two homes shared one record."""
    (tmp_path / name).mkdir()
    with Ledger(tmp_path / name / "ledger.sqlite") as ledger:
        assert ledger.read("trials") == []
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert (tmp_path / name / "ledger.sqlite").exists()


@pytest.mark.parametrize("name", ODD)
def test_dagster_keeps_its_records_in_a_folder_of_any_name(tmp_path, name):
    with local_instance(tmp_path / name) as instance:
        assert instance.get_runs() == []
        assert instance.all_asset_keys() == []
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert (tmp_path / name / "dagster" / "history" / "runs.db").exists()


@pytest.mark.parametrize("name", ["100%", "a?b"])
def test_a_name_that_dagster_cannot_have_is_refused_by_its_character(tmp_path, name):
    sign = name.strip("10ab")
    with pytest.raises(StoreError, match=rf"has \{sign} in it, which Dagster cannot .* TP_HOME"):
        prepare_home(tmp_path / name)
    assert not list(tmp_path.iterdir())


def _settings(home: Path) -> Settings:
    read = Settings(
        _env_file=None,
        home=home,
        ledger_url="postgresql://trader:canary@127.0.0.1:9/book?sslpassword=canary",
        alpaca_key="canary",
        alpaca_secret="canary",
        binance_key="canary",
        binance_secret="canary",
        alert_urls="json://canary:canary@127.0.0.1:9/canary canary",
    )
    entry = read.markets["sample"].model_copy(update={"end": date(2000, 6, 1)})
    return read.model_copy(update={"markets": {"sample": entry}})


def _said_in(path: Path) -> bytes:
    """The bytes of a file; of a database also what Dagster compressed in its rows."""
    said = path.read_bytes()
    if path.suffix != ".db":
        return said
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if isinstance(value, bytes):
                        with suppress(zlib.error):
                            said += zlib.decompress(value)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["home", "größe #1 'a' 😀"])
def test_no_file_of_a_home_holds_a_secret(tmp_path, capfd, name):
    """Not Dagster's records, not the stores; nor is one said, when the ledger cannot be reached."""
    settings = _settings(tmp_path / name)
    home, plan = home_of(settings), plan_of(settings, "sample")
    alerts = alerts_of(settings)
    with runs.runner(build(settings), home, sources_of(settings)) as run:
        runs.download(run, plan)
        with pytest.raises(TradingPipelineError) as refused:
            runs.train(run, plan)
        assert "canary" not in str(refused.value)
    with pytest.raises(TradingPipelineError, match=r"ledger postgresql.*127") as refused:
        home.ledger()
    assert "canary" not in str(refused.value)
    alerts.tell("run_failed", "sample", "no ledger, and no address that answers", datetime.now(UTC))
    home_of(settings.model_copy(update={"ledger_url": None})).alerts(alerts.addresses).tell(
        "run_failed", "sample", "no address that answers", datetime.now(UTC)
    )
    gc.collect()
    files = {path: _said_in(path) for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) > 10
    snapshots = next(said for path, said in files.items() if path.name == "runs.db")
    assert b"sample__raw_bars" in snapshots  # what is compressed was read
    assert not [path for path, said in files.items() if b"canary" in said]
    assert "canary" not in "".join(capfd.readouterr())
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / name / "dagster")


QUESTION = """{workspaceOrError {... on Workspace {locationEntries {locationOrLoadError {
    ... on RepositoryLocation {repositories {
        allTopLevelResourceDetails {name configuredValues {key value} configFields {
            name defaultValueAsJson}}
        pipelines {name pipelineSnapshotId}}}
    ... on PythonError {message stack}}}}}}"""


@pytest.mark.slow
def test_no_answer_of_the_web_server_holds_a_secret(tmp_path):
    """It shows what resources and jobs are configured with, to whoever asks."""
    secrets = {
        "TP_LEDGER_URL": "postgresql://trader:canary@127.0.0.1:9/book?sslpassword=canary",
        "TP_ALPACA_KEY": "canary",
        "TP_ALPACA_SECRET": "canary",
        "TP_BINANCE_KEY": "canary",
        "TP_BINANCE_SECRET": "canary",
        "TP_ALERT_URLS": "tgram://canary/canary",
        "DAGSTER_HOME": str(prepare_home(tmp_path)),
    }
    ask = "from dagster_graphql.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", ask, "-m", "trading_pipeline.definitions", "-t", QUESTION],
        cwd=ROOT,
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"home"' in done.stdout
    assert "us_equities_download" in done.stdout
    assert "canary" not in done.stdout + done.stderr
