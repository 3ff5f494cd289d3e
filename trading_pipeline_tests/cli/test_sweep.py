"""The command that sweeps limits: what it asks for, refuses, prints and writes."""

from datetime import UTC, datetime
from math import inf
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from trading_pipeline.adapters.ray_sweep import sweep_on_ray
from trading_pipeline.cli.main import app
from trading_pipeline.cli.sweep import lesson
from trading_pipeline.core.evaluation.sweep import Luck
from trading_pipeline.core.trading.profiles import LIMITS, PROFILES
from trading_pipeline.steps import sweep as sweeping
from trading_pipeline_tests.adapters.reports.histories import sweep_table

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TP_CONFIG", str(ROOT / "pipeline.toml"))
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    """Takes the place of the work; what it was asked for."""
    calls = []

    def sweep_market(home, plan, grid, capital, trade, watching):
        calls.append((plan.market.name, grid, capital, trade))
        first, last = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
        luck = Luck(12, 3, 0.61, "variant 1", 0.63, 0.07, "equal_weight", None, None)
        return sweeping.Swept(sweep_table(), grid.limits, grid.left_out, luck, 4, 252, first, last)

    monkeypatch.setattr(sweeping, "sweep_market", sweep_market)
    return calls


def run(*arguments):
    return CliRunner().invoke(app, ["sweep", *arguments])


def test_help_teaches_every_limit_with_its_values():
    values = vars(PROFILES["moderate"]).items()
    numbers = [name for name, value in values if type(value) in (int, float)]
    assert list(LIMITS) == numbers
    said = lesson()
    stops = " / ".join(f"{each.stop_loss:g}" for each in PROFILES.values())
    assert f"**stop_loss** {stops}: in σ√h" in said
    assert all(f"**{name}** " in said for name in numbers)
    shown = run("--help")
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in numbers)


def test_without_limits_those_of_the_market_are_shown(asked, monkeypatch):
    monkeypatch.setenv("TP_MARKETS__SAMPLE__LIMITS", '{"stop_loss": 2.25}')
    shown = run()
    assert shown.exit_code == 0
    assert not asked
    lines = {line.split()[0]: line.split()[1:3] for line in shown.stdout.splitlines() if line}
    assert lines["stop_loss"] == ["2.25", "(pipeline.toml)"]
    assert lines["drawdown_limit"][0] == f"{PROFILES['moderate'].drawdown_limit:g}"


@pytest.mark.parametrize("variable", [False, True])
def test_workers_of_ray_trade_where_it_is_asked_for(asked, monkeypatch, variable):
    monkeypatch.setenv("TP_EXECUTOR", "ray" if variable else "in_process")
    shown = run("--set", "stop_loss=2", *(() if variable else ("--executor", "ray")))
    assert shown.exit_code == 0
    assert asked[0][3] is sweep_on_ray


def test_an_executor_that_there_is_not_is_refused(asked):
    refused = run("--set", "stop_loss=2", "--executor", "spark")
    assert refused.exit_code == 2
    assert not asked


def test_the_table_is_printed_with_what_luck_would_show(asked, folder):
    shown = run(
        *("--set", "stop_loss=2, 4", "--set", "trailing_stop=3,inf", "--capital", "5000"),
        *("--csv", "out/sweep.csv", "--picture", "out/sweep.png"),
    )
    assert shown.exit_code == 0
    ((name, grid, capital, trade),) = asked
    assert (name, grid.limits, capital) == ("sample", ("stop_loss", "trailing_stop"), 5000.0)
    assert trade is not sweep_on_ray
    assert list(grid.profiles)[1] == "stop_loss=2 trailing_stop=inf"
    assert grid.profiles["stop_loss=2 trailing_stop=inf"].trailing_stop == inf
    assert grid.profiles["stop_loss=4 trailing_stop=3"].halve == PROFILES["moderate"].halve
    for part in ("sample, 2020-01-01 to 2021-01-01, 252 days", "12 trials", "is fitting"):
        assert part in shown.stdout
    assert len(pd.read_csv(folder / "out" / "sweep.csv")) == 4
    assert (folder / "out" / "sweep.png").exists()


def test_left_out_combinations_are_said(asked):
    shown = run("--set", "halve=0.1,0.2", "--set", "flat=0.15,0.25")
    assert "left out: halve=0.2 flat=0.15 (halve 0.2 must be in (0, 0.15])" in shown.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--set", "stop_loss"], "must be LIMIT=VALUE,VALUE,..."),
        (["--set", "stop_loss="], "must be LIMIT=VALUE,VALUE,..."),
        (["--set", "stop_loss=2,x"], "was 'stop_loss=2,x'"),
        (["--set", "stop_loss=2,nan"], "was 'stop_loss=2,nan'"),
        (["--set", "stops=2"], "no such limit: stops"),
        (["--set", "stop_loss=2,-1"], "stop_loss=-1 fits no combination"),
        (["--set", "flat_days=1.5"], "flat_days must be a whole number"),
        (["--set", "halve=0.1", "--set", "halve=0.2"], "names halve twice"),
        (["--set", "halve=0.1", "--picture", "a.png"], "--picture needs two limits"),
        (["--set", "halve=0.1", "--market", "nowhere"], "no market 'nowhere'"),
        (
            ["--set", f"stop_loss={','.join(map(str, range(1, 2002)))}"],
            "2,001 variants are asked for",
        ),
        (["--set", "halve=0.1"], "has no bars; run `trading-pipeline download"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(arguments, complaint):
    shown = run(*arguments)
    assert shown.exit_code == 2
    assert complaint in shown.output
    assert "Traceback" not in shown.output
