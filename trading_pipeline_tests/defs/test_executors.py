"""Wherever folds are trained, they predict the same: here, in processes, on workers of Ray.

A market of two shares, a fold a month, and the network of the preset `tiny`.
"""

from pathlib import Path
from shutil import copytree

import dagster as dg
import pandas as pd
import pytest

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.runner import running
from trading_pipeline.definitions import variables_of
from trading_pipeline.defs import runs
from trading_pipeline.defs.executors import executor_named
from trading_pipeline.defs.resources import TRAINING_POOL
from trading_pipeline.defs.runs import training_slots
from trading_pipeline.errors import SettingsError, TradingPipelineError
from trading_pipeline.settings import Settings
from trading_pipeline_tests.ray_cluster import jobs, ray_cluster

MARKET = """
[markets.small]
source = "sample"
symbols = ["AAPL", "IBM"]
start = 2000-03-01
end = 2002-09-01
horizon = 3
preset = "tiny"

[markets.small.walk_forward]
first_train = 28
test = 1
window = 28
"""
FOLDS = ("2002-07-01", "2002-08-01")
ONLY = [dg.AssetKey(["small", asset]) for asset in ("model_checkpoint", "predictions")]


@pytest.mark.parametrize("name", ["in_process", "multiprocess", "ray", "k8s"])
def test_every_executor_has_its_name(name):
    asked = {"k8s": "kubernetes"}.get(name, name)
    assert executor_named(asked, {"TP_HOME": "/data"}).name == name


@pytest.mark.parametrize("name", ["ray", "kubernetes"])
def test_an_executor_whose_package_is_missing_says_how_to_get_it(monkeypatch, name):
    package = {"ray": "dagster_ray", "kubernetes": "dagster_k8s"}[name]
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(SettingsError, match=rf"pip install 'trading-pipeline\[{name}\]'"):
        executor_named(name, {})


def test_what_other_machines_are_told_holds_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("TP_CONFIG", str(_config(tmp_path)))
    secrets = {
        name: "canary"
        for name, each in Settings.model_fields.items()
        if "SecretStr" in str(each.annotation)
    }
    assert {"ledger_url", "alpaca_key"} <= set(secrets)
    settings = Settings(_env_file=None, home=Path("here"), executor="ray", **secrets)
    said = variables_of(settings)
    assert "canary" not in str(said)
    assert said == {
        "TP_HOME": str(Path("here").absolute()),
        "TP_EXECUTOR": "ray",
        "TP_CONFIG": str(tmp_path / "pipeline.toml"),
        "TP_MARKETS__SMALL__PRESET": "tiny",
        "TP_MARKETS__SMALL__MODEL": "network",
    }


def test_trainings_have_as_many_slots_as_workers_while_they_run(instance):
    """As many as an operator allows are never made fewer."""

    def slots():
        return instance.event_log_storage.get_concurrency_info(TRAINING_POOL).slot_count

    with training_slots(instance, 3):
        assert slots() == 3
    assert slots() == 1
    instance.event_log_storage.set_concurrency_slots(TRAINING_POOL, 4)
    with training_slots(instance, 2):
        assert slots() == 4
    assert slots() == 4


def _config(folder):
    path = folder / "pipeline.toml"
    path.write_text(MARKET)
    return path


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Homes: before any training, and where one process trained one fold after the other."""
    folder = tmp_path_factory.mktemp("folds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "unset")
        patch.delenv("DAGSTER_HOME")
        patch.setenv("TP_CONFIG", str(_config(folder)))
        patch.setenv("TP_HOME", str(folder / "before"))
        with running(settings_of("small"), "small") as (run, plan):
            runs.download(run, plan)
        copytree(folder / "before", folder / "here")
        patch.delenv("DAGSTER_HOME", raising=False)
        patch.setenv("TP_HOME", str(folder / "here"))
        with running(settings_of("small"), "small") as (run, _):
            for fold in FOLDS:
                run.run("small_train", partition_key=fold, only=ONLY)
    return folder


def _weights_and_rows(home):
    from trading_pipeline.adapters.store.checkpoints import CheckpointStore

    store = CheckpointStore(home / "models" / "small")
    rows = [pd.read_parquet(home / "predictions" / "small" / f"{fold}.parquet") for fold in FOLDS]
    states = [store.read(fold)["states"] for fold in FOLDS]
    tensors = {
        (fold, n, name): each.numpy().tobytes()
        for fold, nets in zip(FOLDS, states, strict=True)
        for n, net in enumerate(nets)
        for name, each in net.items()
    }
    return tensors, rows


def _folds(folder, name, monkeypatch, executor, market="small"):
    """Both folds at the same time, in a copy of the home; what was said of them."""
    copytree(folder / "before", folder / name)
    monkeypatch.setenv("TP_CONFIG", str(folder / "pipeline.toml"))
    monkeypatch.setenv("TP_HOME", str(folder / name))
    said = []
    with running(settings_of("small", executor=executor), "small") as (run, _):
        run.run_folds(dict.fromkeys(FOLDS, f"{market}_train"), 2, said.append, ONLY)
        records = run.instance.get_run_records()
    trained = [each for each in records if each.dagster_run.job_name == "small_train"]
    (first, second) = sorted(trained, key=lambda each: each.start_time)
    assert second.start_time < first.end_time, "they ran at the same time"
    return said


def _assert_same(folder, name):
    weights, rows = _weights_and_rows(folder / name)
    expected, expected_rows = _weights_and_rows(folder / "here")
    assert weights == expected
    for got, wanted in zip(rows, expected_rows, strict=True):
        pd.testing.assert_frame_equal(got, wanted, check_exact=True)
        assert len(got) > 30
    assert rows[0]["p_up"].nunique() > 30, "the network answers each bar anew"


@pytest.mark.slow
@pytest.mark.usefixtures("no_dagster_home")
@pytest.mark.long
def test_folds_in_processes_predict_the_same_bit_for_bit(here, monkeypatch):
    said = _folds(here, "processes", monkeypatch, "multiprocess")
    assert sorted(said) == [f"small_train of {fold}: done" for fold in FOLDS]
    _assert_same(here, "processes")


@pytest.mark.slow
@pytest.mark.usefixtures("no_dagster_home")
@pytest.mark.long
def test_folds_on_workers_of_ray_predict_the_same_bit_for_bit(here, monkeypatch):
    with ray_cluster(cpus=2) as address:
        _folds(here, "ray", monkeypatch, "ray")
        done = [each["metadata"]["dagster/op"] for each in jobs(address)]
    assert done.count("small__model_checkpoint") == done.count("small__predictions") == 2
    _assert_same(here, "ray")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("no_dagster_home")
def test_a_fold_that_fails_is_told_with_its_reason(here, monkeypatch):
    monkeypatch.setenv("TP_CONFIG", str(here / "pipeline.toml"))
    monkeypatch.setenv("TP_HOME", str(here / "fails"))
    with (
        running(settings_of("small"), "small") as (run, _),
        pytest.raises(TradingPipelineError, match=r"1 of 1 folds failed: 2002-07-01: .*no bars"),
    ):
        run.run_folds({FOLDS[0]: "small_train"}, 2, only=ONLY)
