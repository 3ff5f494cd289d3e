"""A folder to run commands in, and a home in which everything has been run once."""

import re
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest

from trading_pipeline.cli import main
from trading_pipeline.core.model import config
from trading_pipeline.definitions import plan_of
from trading_pipeline.defs import runs
from trading_pipeline.settings import Settings
from trading_pipeline_tests.cli.running import running

ROOT = Path(__file__).parents[2]
BUDGET = {"steps": 12, "warmup": 2, "evaluate_every": 6}


@pytest.fixture
def folder(tmp_path, monkeypatch, no_dagster_home):
    """A folder with the project's own settings; signals and variables are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TP_CONFIG", str(ROOT / "pipeline.toml"))
    handler = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """Runs a command in that folder, as a shell would: its exit code and what it said."""

    def command(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["trading-pipeline", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), re.sub(r"[\s│]+", " ", said.out + said.err)

    return command


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The sample market, ending in 2007: two folds. Few steps, for nobody asks what is learned."""
    read = Settings(_env_file=None, home=tmp_path_factory.mktemp("home"))
    entry = read.markets["sample"].model_copy(update={"end": pd.Timestamp("2008-01-01").date()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(config._BUDGETS, "tiny", config._BUDGETS["tiny"] | BUDGET)
        yield read.model_copy(update={"markets": {"sample": entry}})


@pytest.fixture(scope="module")
def finished(settings):
    """Everything run once; what each step said."""
    plan, told = plan_of(settings, "sample"), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        with running(settings) as run:
            days = runs.download(run, plan)
            folds = runs.train(run, plan, told.append)
            reported = runs.backtest(run, plan, 100_000.0)
        patch.delenv("DAGSTER_HOME", raising=False)
    return {"days": days, "folds": folds, "reported": reported, "told": told}


@pytest.fixture
def own_instance(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
