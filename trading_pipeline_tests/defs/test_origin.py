"""What a command did, on the pages of its job in Dagster's web UI."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import nullcontext
from pathlib import Path

import dagster as dg
import pytest
import yaml

from trading_pipeline.adapters.dashboard_page import REPORTS_PORT
from trading_pipeline.defs import one_run
from trading_pipeline.defs.instance import (
    PROCESS_TAG,
    WORKSPACE,
    close_abandoned_runs,
    prepare_home,
    process_of,
    this_process,
)
from trading_pipeline.defs.origin import LOCATION, origin_in
from trading_pipeline_tests.browser import browser
from trading_pipeline_tests.web_ui import WebUI, web_ui

ROOT = Path(__file__).parents[2]

JOB = "few_download"
SETTINGS = """
[markets.few]
source = "sample"
symbols = ["AAPL", "IBM"]
start = 2000-05-30
end = 2000-07-15
"""
OF_JOB = {
    "repositoryLocationName": LOCATION,
    "repositoryName": "__repository__",
    "pipelineName": JOB,
}
RUNS = """query ($job: PipelineSelector!) {pipelineOrError(params: $job) {
    ... on Pipeline {runs {id status hasReExecutePermission
        repositoryOrigin {repositoryName repositoryLocationName}}}
    ... on PythonError {message}}}"""
AGAIN = """mutation ($run: String!) {launchPipelineReexecution(
    reexecutionParams: {parentRunId: $run, strategy: ALL_STEPS, useParentRunTags: true}) {
    __typename
    ... on LaunchRunSuccess {run {id parentRunId}}
    ... on PythonError {message}}}"""

BACKFILLS = """{partitionBackfillsOrError {... on PartitionBackfills {results {
    status partitionNames runs {status}}}}}"""


@dg.op
def nothing() -> None:
    pass


@dg.job(executor_def=dg.in_process_executor)
def a_job() -> None:
    nothing()


@pytest.mark.parametrize("path", ["workspace.yaml", "docker/workspace.yaml", "the home's"])
def test_the_location_is_the_one_that_the_workspace_names(path, tmp_path):
    file = prepare_home(tmp_path) / WORKSPACE if path == "the home's" else ROOT / path
    (entry,) = yaml.safe_load(file.read_text())["load_from"]
    (place,) = entry.values()
    assert place["location_name"] == LOCATION


def test_only_what_is_made_inside_has_an_origin(instance):
    with origin_in(instance, "a_job"):
        inside = a_job.execute_in_process(instance=instance).run_id
    outside = a_job.execute_in_process(instance=instance).run_id
    named = instance.get_run_by_id(inside).remote_job_origin
    assert (named.job_name, named.location_name) == ("a_job", LOCATION)
    assert instance.get_run_by_id(outside).remote_job_origin is None
    label = {".dagster/repository": f"__repository__@{LOCATION}"}  # what the UI asks with
    assert instance.get_run_ids(dg.RunsFilter(tags=label)) == [inside]


def test_a_run_in_a_process_of_its_own_has_one_as_well(instance, monkeypatch):
    """Folds that several workers train are on the pages of their job, too."""
    monkeypatch.setattr(one_run, "_reconstructable", lambda job: dg.reconstructable(a_job))
    monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(instance))
    monkeypatch.setattr(sys, "argv", ["one_run", "a_job", "2002-07-01"])
    assert one_run.main() == 0
    (run,) = instance.get_runs()
    assert run.remote_job_origin.location_name == LOCATION


def test_a_rerun_is_not_of_the_process_whose_tags_it_copied(instance):
    """That of the command has long ended, and a daemon would close the run as abandoned."""
    host, pid, start = this_process().rsplit(" ", 2)
    tags = {PROCESS_TAG: f"{host} {pid} {int(start) - 1}"}
    first = instance.create_run_for_job(a_job, tags=tags)
    again = instance.create_run_for_job(
        a_job,
        tags=tags,
        status=dg.DagsterRunStatus.STARTED,
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
    )
    assert process_of(first) == tags[PROCESS_TAG]
    assert process_of(again) is None
    assert close_abandoned_runs(instance) == []


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """The web UI of a home with the bars that a command has downloaded."""
    home = tmp_path_factory.mktemp("home")
    (home / "pipeline.toml").write_text(SETTINGS)
    places = {"TP_CONFIG": str(home / "pipeline.toml"), "TP_HOME": str(home)}
    told = {**os.environ, **places}
    told.pop("DAGSTER_HOME", None)
    command = [sys.executable, "-m", "trading_pipeline.cli", "download", "--market", "few"]
    subprocess.run(command, env=told, cwd=ROOT, check=True)
    with web_ui(home, places) as running:
        yield running


@pytest.mark.long
@pytest.mark.slow
def test_the_web_ui_lists_the_run_of_a_command_and_runs_it_again(web):
    (run,) = _runs(web)
    assert run.pop("repositoryOrigin") == {
        "repositoryName": "__repository__",
        "repositoryLocationName": LOCATION,
    }
    assert run["status"] == "SUCCESS"
    assert run["hasReExecutePermission"]
    answer = web.ask(AGAIN, run=run["id"])["launchPipelineReexecution"]
    assert answer["run"]["parentRunId"] == run["id"], answer
    again = web.wait(lambda: _ended(web, answer["run"]["id"]))
    assert again["status"] == "SUCCESS"


@pytest.mark.long
@pytest.mark.slow
def test_a_backfill_of_all_sessions_is_launched_by_three_clicks(web, tmp_path):
    """In one run, whose partitions are the sessions: Independence Day is none."""
    with browser(tmp_path) as tab:
        tab.open(f"{web.url}/assets/few/raw_bars", 1280)
        for button in ("Materialize…", "All", "Launch backfill"):
            tab.press_button(button)
        made = web.wait(lambda: _backfilled(web))
        tab.picture(tmp_path / "launched.png")
        assert tab.errors == []
    assert made["status"] == "COMPLETED_SUCCESS"
    assert len(made["partitionNames"]) == 33
    assert "2000-07-04" not in made["partitionNames"]
    assert [run["status"] for run in made["runs"]] == ["SUCCESS"]


@pytest.mark.slow
def test_the_web_ui_serves_the_reports_or_says_that_it_cannot(web):
    said = web.log.read_text()
    if f"port {REPORTS_PORT} is taken" in said:  # by the web UI of somebody else
        return
    assert f"reports: http://127.0.0.1:{REPORTS_PORT}\n" in said
    with pytest.raises(urllib.error.HTTPError, match="404") as told:
        urllib.request.urlopen(f"http://127.0.0.1:{REPORTS_PORT}/few/report.html", timeout=30)
    assert "trading-pipeline backtest --market few" in told.value.read().decode()


def _runs(web: WebUI) -> list[dict]:
    """Those on the job's page."""
    return web.wait(lambda: web.ask(RUNS, job=OF_JOB)["pipelineOrError"].get("runs"))


def _backfilled(web: WebUI) -> dict | None:
    """The only backfill, once it has ended."""
    (found,) = web.ask(BACKFILLS)["partitionBackfillsOrError"]["results"] or [None]
    ended = found and (found["status"].startswith("COMPLETED") or found["status"] == "FAILED")
    return found if ended else None


def _ended(web: WebUI, run: str) -> dict | None:
    (found,) = [each for each in _runs(web) if each["id"] == run]
    return found if found["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None
