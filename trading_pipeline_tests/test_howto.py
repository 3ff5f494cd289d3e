"""The tutorial and the how-tos: each is followed to its end, command by command.

All that need bars share one folder, in which the first page is followed once. What they leave is
what the next page begins with, as for a reader.
"""

import json
import os
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.runner import running
from trading_pipeline.core.model import config
from trading_pipeline.defs.alerts import alerts_sensor
from trading_pipeline.errors import TradingPipelineError
from trading_pipeline_tests.pages import DOCS, ROOT, Page, clone

HOWTO = sorted(path.name for path in (DOCS / "how-to").glob("*.md"))
FEW = {"steps": 12, "warmup": 2, "evaluate_every": 6}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the settings of the repository, where everything is kept in it.

    Networks are trained in few steps, for nobody asks what they learn, and of the eight of the
    sample market only the last three.
    """
    folder = tmp_path_factory.mktemp("desk")
    text = (ROOT / "pipeline.toml").read_text(encoding="utf-8")
    (folder / "pipeline.toml").write_text(text.replace('first_train = "5y"', 'first_train = "10y"'))
    before, handler = Path.cwd(), signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("TP_", "DAGSTER_"))]:
            patch.delenv(name)
        patch.setitem(config._BUDGETS, "tiny", config._BUDGETS["tiny"] | FEW)
        os.chdir(folder)
        yield folder
        os.chdir(before)
        patch.delenv("DAGSTER_HOME", raising=False)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def mine(desk):
    """The same, after `Add a market` was followed."""
    Page("how-to/add-a-market.md", desk).follow()
    return desk


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    """The panel that `Add a market` makes."""
    folder = tmp_path_factory.mktemp("panel")
    source, symbols = SampleSource(), ["IBM", "MSFT"]
    bars = source.bars(symbols, *source.span(symbols))
    bars.to_parquet(folder / "panel.parquet", index=False)
    return folder / "panel.parquet"


def report(folder: Path, name: str) -> dict:
    return json.loads((folder / "data_storage" / "reports" / name / "report.json").read_text())


@pytest.mark.long
def test_the_tutorial_ends_with_a_paper_account_that_is_the_backtests(desk):
    page = Page("tutorial.md", desk)
    of_eight, of_three = (
        "2006-01-03 to 2013-03-01, 1,801 days",
        "2011-01-03 to 2013-03-01, 542 days",
    )
    assert len(page.follow(but={of_eight: of_three})) >= 10
    assert report(desk, "sample")["verdict"]["edge"] == "not proven"


def test_a_market_is_added(mine):
    told = report(mine, "mine")
    assert (told["market"], told["model"]) == ("mine", "ridge")


def test_risk_is_changed(mine):
    before = report(mine, "mine")
    Page("how-to/change-risk.md", mine).follow()
    assert report(mine, "mine")["strategy"] != before["strategy"]


@pytest.mark.long
def test_a_source_is_added(desk):
    Page("how-to/add-a-source.md", desk).follow()
    sys.modules.pop("my_source", None)
    assert len(list((desk / "data_storage" / "raw" / "csv").glob("*.parquet"))) >= 14  # months


@pytest.mark.long
def test_a_feature_is_added(panel, tmp_path):
    folder = clone(tmp_path, "trading_pipeline/core/features/families/momentum.py")
    shutil.copy(panel, folder)
    Page("how-to/add-a-feature.md", folder, apart=True).follow()


@pytest.mark.long
def test_a_baseline_is_added(panel, tmp_path):
    folder = clone(tmp_path, "trading_pipeline/core/backtest/baselines.py")
    shutil.copy(panel, folder)
    Page("how-to/add-a-baseline.md", folder, apart=True).follow()
    told = json.loads((folder / "judge" / "nothing" / "report.json").read_text())
    assert {"low_volatility", "low_volatility_managed"} <= set(told["baselines"])


@pytest.mark.long
def test_a_model_is_judged_and_put_into_the_harness(mine, tmp_path):
    folder = clone(
        tmp_path, "trading_pipeline/core/model/rivals.py", "trading_pipeline/core/learning/rivals"
    )
    shutil.copytree(mine / "data_storage", folder / "data_storage")
    for name in ("pipeline.toml", "panel.parquet"):
        shutil.copy(mine / name, folder)
    Page("how-to/your-own-model.md", folder, apart=True).follow()
    assert report(folder, "mine")["model"] == "covariance"


def test_a_gpu_is_configured_and_missed(desk):
    Page("how-to/use-a-gpu.md", desk).follow()


def test_a_deployment_has_its_secret(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Page("how-to/deploy.md", tmp_path).follow()


@pytest.mark.long
def test_an_upgrade_and_the_way_back(mine):
    Page("how-to/upgrade.md", mine).follow()


@pytest.mark.long
def test_a_disaster_is_recovered_from(mine):
    before = report(mine, "mine")
    Page("how-to/recover.md", mine).follow()
    again = report(mine, "mine")
    assert again["strategy"] == before["strategy"]  # to the last digit
    assert again["data_hash"] == before["data_hash"]


class Daemon:
    """What Dagster's daemon does for the market `mine`, when it is asked to."""

    def __init__(self) -> None:
        self.cursor: str | None = None

    def look(self) -> None:
        """The sensor `alerts` reads the runs that ended since its last look."""
        with running(settings_of(), "mine", alone=False) as (run, _):
            given = {"alerts": run.home.alerts()}
            context = dg.build_sensor_context(run.instance, self.cursor, resources=given)
            sensor = alerts_sensor(lambda: datetime.now(UTC))
            self.cursor = sensor.evaluate_tick(context).cursor

    def night(self) -> None:
        """The schedule asks for a run, which fails; the sensor looks."""
        at = datetime(2010, 1, 5, 21, 30, tzinfo=UTC)
        with running(settings_of(), "mine", alone=False) as (run, _):
            schedule = run.definitions.resolve_schedule_def("mine_nightly")
            assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
            context = dg.build_schedule_context(run.instance, scheduled_execution_time=at)
            (asked,) = schedule.evaluate_tick(context).run_requests
            with pytest.raises(TradingPipelineError):
                run.run("mine_nightly", tags=asked.tags)
        self.look()


def test_a_market_is_operated(mine):
    """Scheduled, broken, found out why, recovered: the last of the pages, for it moves the bars."""
    daemon, page = Daemon(), Page("how-to/operate.md", mine)
    seen = {
        "trading-pipeline ui": daemon.look,
        "# 16:30 in New York": daemon.night,
        "# half a minute later": daemon.look,
    }
    page.follow(seen)
    assert page.ran[-1] == "trading-pipeline status"
    assert "Wrong now" not in page.said


def test_every_howto_is_followed():
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in HOWTO if f'"how-to/{name}"' not in here] == []
