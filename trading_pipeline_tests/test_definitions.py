"""The graph as Dagster sees it, and what loading it costs."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from trading_pipeline.definitions import build
from trading_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "vectorbt", "ccxt", "alpaca", "lightgbm", "sklearn", "numba", "plotly", "apprise")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return definitions_of("sample")


def definitions_of(market: str) -> dg.Definitions:
    """What one market of pipeline.toml contributes: all are made by the same factories."""
    settings = Settings(_env_file=None)
    assert market in settings.markets, "run the tests from the repository"
    return build(settings.model_copy(update={"markets": {market: settings.markets[market]}}))


def snapshot(definitions: dg.Definitions) -> dict:
    """Keys, dependencies, partitions, pools, checks, jobs, schedules and sensors."""
    graph = definitions.resolve_asset_graph()
    return {
        "assets": {
            key.to_user_string(): {
                "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
                "partitions": type(graph.get(key).partitions_def).__name__
                if graph.get(key).partitions_def
                else None,
                "pools": sorted(graph.get(key).pools or []),
                "group": graph.get(key).group_name,
            }
            for key in sorted(graph.get_all_asset_keys())
        },
        "checks": {
            f"{key.asset_key.to_user_string()}:{key.name}": graph.get_check_spec(key).blocking
            for key in sorted(graph.asset_check_keys, key=str)
        },
        "jobs": sorted(
            job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")
        ),
        "schedules": sorted(each.name for each in definitions.schedules),
        "sensors": sorted(each.name for each in definitions.sensors),
    }


def test_the_graph_is_the_one_that_was_agreed_on(definitions):
    """`dagster definitions validate` passes a typo in `deps`; this does not."""
    expected = json.loads((Path(__file__).parent / "golden" / "graph.json").read_text())
    assert snapshot(definitions) == expected


@pytest.mark.parametrize("market", ["us_equities", "crypto"])
def test_every_market_has_the_same_graph(definitions, market):
    theirs = json.loads(json.dumps(snapshot(definitions_of(market))).replace(f"{market}", "sample"))
    theirs["sensors"].sort()  # some are of no market
    assert theirs == snapshot(definitions)


def test_every_dependency_and_every_checked_asset_exists(definitions):
    graph = definitions.resolve_asset_graph()
    executable = graph.executable_asset_keys | graph.external_asset_keys
    for key in graph.get_all_asset_keys():
        assert graph.get(key).parent_keys <= executable
    # The account is made by a job of its own, and checked all the same.
    checked = {key.asset_key for key in graph.asset_check_keys}
    assert checked - {dg.AssetKey(["sample", "paper_account"])} <= graph.executable_asset_keys


def test_no_check_has_partitions(definitions):
    """They look at all that is stored; the event log of the local instance counts on it."""
    graph = definitions.resolve_asset_graph()
    assert not [k for k in graph.asset_check_keys if graph.get_check_spec(k).partitions_def]


def test_a_training_keeps_nobody_from_the_features(definitions):
    """It reads them once, and trains for hours, and no night of another market waits."""
    graph = definitions.resolve_asset_graph()
    pools = {
        "duckdb": ("features", "predictions", "backtest_report"),
        "training": ("model_checkpoint", "production_model", "refit_comparison"),
    }
    for pool, assets in pools.items():
        for asset in assets:
            assert graph.get(dg.AssetKey(["sample", asset])).pools == {pool}


@pytest.mark.slow
def test_loading_the_code_location_imports_nothing_heavy():
    """Dagster's daemon, webserver and every run load it."""
    code = (
        "import sys, trading_pipeline.definitions as d; d.defs();"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
