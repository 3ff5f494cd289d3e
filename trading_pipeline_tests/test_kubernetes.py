"""kubernetes/values.yaml, without a cluster: what the chart makes of it, Dagster takes; and a step
of a fold in a pod that is a process of this machine."""

import re
from pathlib import Path
from shutil import copytree

import dagster as dg
import pandas as pd
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import (
    DagsterK8sJobConfig,
    UserDefinedDagsterK8sConfig,
    construct_dagster_k8s_job,
)

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.runner import running
from trading_pipeline.defs import runs
from trading_pipeline.settings import Settings
from trading_pipeline_tests.kubernetes_api import Cluster, kubernetes

ROOT = Path(__file__).parents[1]
VALUES = yaml.safe_load((ROOT / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))
(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
DAGSTER = yaml.safe_load((ROOT / "docker" / "dagster.yaml").read_text(encoding="utf-8"))
IMAGE = f"{CODE['image']['repository']}:{CODE['image']['tag']}"
SPACE = "trading"
FOLD = "2002-07-01"
MARKET = """
[markets.small]
source = "sample"
symbols = ["AAPL", "IBM"]
start = 2000-03-01
end = 2002-08-01
horizon = 3
model = "ridge"
preset = "tiny"

[markets.small.walk_forward]
first_train = 28
test = 1
window = 28
"""


def launcher_config():
    """What the chart's template makes of `k8sRunLauncher` in dagster.yaml."""
    told = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    snake = {
        re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", name): each for name, each in told.items()
    }
    kept = {name: each for name, each in snake.items() if each not in ([], None)}
    inner = kept["run_k8s_config"]
    kept["run_k8s_config"] = {
        re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", name): each for name, each in inner.items()
    }
    return kept | {
        "service_account_name": "dagster",
        "job_namespace": SPACE,
        "instance_config_map": "dagster-instance",
        "dagster_home": "/opt/dagster/dagster_home",
    }


def container_context():
    """What the chart hands to runs of a deployment with `includeConfigInLaunchedRuns`."""
    env = [{"name": name, "value": value} for name, value in CODE["env"].items()]
    return {
        "k8s": {
            "env": env,
            "env_secrets": [each["name"] for each in CODE["envSecrets"]],
            "volumes": CODE["volumes"],
            "volume_mounts": CODE["volumeMounts"],
            "resources": CODE["resources"],
            "namespace": SPACE,
        }
    }


def test_the_launcher_takes_what_the_values_say():
    schema = resolve_to_config_type(DagsterK8sJobConfig.config_type_run_launcher())
    assert process_config(schema, launcher_config()).errors is None
    spoiled = launcher_config() | {"volume_mount": []}
    assert process_config(schema, spoiled).errors, "a name that it does not know is refused"


def test_a_pod_has_image_variables_volumes_secrets_and_bounds():
    told = launcher_config()
    context = K8sContainerContext.create_from_config(container_context()).merge(
        K8sContainerContext(
            security_context=told["security_context"],
            run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(told["run_k8s_config"]),
        )
    )
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(
            job_image=IMAGE,
            dagster_home=told["dagster_home"],
            instance_config_map=told["instance_config_map"],
        ),
        ["dagster", "api", "execute_run"],
        "a-fold",
        user_defined_k8s_config=context.run_k8s_config,
    )
    pod = job.spec.template.spec
    (container,) = pod.containers
    assert container.image == IMAGE
    assert container.args == ["dagster", "api", "execute_run"]
    assert not container.command, "the image's entry point starts it"
    said = {each.name: each.value for each in container.env}
    assert said.items() >= CODE["env"].items()
    assert [each.secret_ref.name for each in container.env_from] == ["trading-pipeline"]
    mounts = {each.mount_path: each.name for each in container.volume_mounts}
    assert mounts["/data"] == "data"
    assert mounts["/opt/trading-pipeline/pipeline.toml"] == "settings"
    assert {"data", "settings"} <= {each.name for each in pod.volumes}
    assert container.resources.limits["memory"] == "8Gi"
    assert container.security_context.capabilities.drop == ["ALL"]
    assert pod.security_context.run_as_non_root
    assert pod.termination_grace_period_seconds == 60
    assert job.spec.ttl_seconds_after_finished == 3600


def test_variables_are_settings_and_no_secret_is_among_them():
    names = {f"TP_{name.upper()}" for name in Settings.model_fields}
    ours = {name for name in CODE["env"] if name.startswith("TP_")}
    assert ours <= names
    assert Settings(
        _env_file=None,
        storage=CODE["env"]["TP_STORAGE"],
        executor=CODE["env"]["TP_EXECUTOR"],
    ).storage
    secret = {
        name for name, each in Settings.model_fields.items() if "Secret" in str(each.annotation)
    }
    assert not {name for name in ours if name.removeprefix("TP_").lower() in secret}
    text = (ROOT / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    assert "assword:" not in text


def test_limits_are_those_of_compose():
    own = VALUES["additionalInstanceConfig"]
    assert own["concurrency"] == DAGSTER["concurrency"]
    for section in ("nux", "retention", "run_queue"):
        assert own[section] == DAGSTER[section], section
    tries = VALUES["scheduler"]["config"]["daemonScheduler"]["maxTickRetries"]
    assert {"max_tick_retries": tries} == DAGSTER["scheduler"]["config"]
    assert VALUES["telemetry"] == DAGSTER["telemetry"]
    watch, theirs = VALUES["dagsterDaemon"]["runMonitoring"], DAGSTER["run_monitoring"]
    assert watch["startTimeoutSeconds"] == theirs["start_timeout_seconds"]
    assert watch["freeSlotsAfterRunEndSeconds"] == theirs["free_slots_after_run_end_seconds"]
    assert VALUES["dagsterDaemon"]["runCoordinator"] == {"enabled": False}


def test_web_server_daemon_and_runs_have_one_image():
    for service in ("dagsterWebserver", "dagsterDaemon"):
        assert VALUES[service]["image"] == CODE["image"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert 'ARG EXTRAS="docker"' in dockerfile
    assert ".[${EXTRAS}]" in dockerfile


@pytest.mark.slow
@pytest.mark.long
def test_steps_of_a_fold_run_in_pods_of_their_own(tmp_path, monkeypatch, no_dagster_home):
    """By Dagster's executor and launcher, configured as the values say, against an API on loopback;
    each pod is a process that has what its specification gives it."""
    home = tmp_path / "data"
    (tmp_path / "pipeline.toml").write_text(MARKET)
    monkeypatch.setenv("TP_CONFIG", str(tmp_path / "pipeline.toml"))
    monkeypatch.setenv("TP_HOME", str(home))
    with running(settings_of("small"), "small") as (run, plan):
        runs.download(run, plan)
    alone = tmp_path / "alone"
    copytree(home, alone)
    monkeypatch.setenv("TP_HOME", str(alone))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    only = [dg.AssetKey(["small", asset]) for asset in ("model_checkpoint", "predictions")]
    with running(settings_of("small"), "small") as (run, _):
        run.run("small_train", partition_key=FOLD, only=only)

    monkeypatch.setenv("TP_HOME", str(home))
    dagster_home = tmp_path / "opt" / "dagster" / "dagster_home"
    dagster_home.mkdir(parents=True)
    cluster = Cluster(
        folder=tmp_path,
        namespace=SPACE,
        images={IMAGE},
        secrets={"trading-pipeline": {"AWS_SECRET_ACCESS_KEY": "canary"}},
        common={
            "PATH": f"{Path(dg.__file__).parents[4] / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "TP_CONFIG": str(tmp_path / "pipeline.toml"),
            "OMP_NUM_THREADS": "1",
        },
    )
    with kubernetes(cluster) as kubeconfig:
        config = launcher_config() | {
            "load_incluster_config": False,
            "kubeconfig_file": str(kubeconfig),
            "job_image": IMAGE,
            "env_vars": [
                f"{name}={value}" for name, value in CODE["env"].items() if name != "TP_STORAGE"
            ],
            "env_secrets": [each["name"] for each in CODE["envSecrets"]],
            "volumes": CODE["volumes"],
            "volume_mounts": CODE["volumeMounts"],
        }
        history = {"sqlite": {"base_dir": str(tmp_path / "records")}}
        launcher = {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": config}
        text = yaml.safe_dump({"storage": history, "run_launcher": launcher})
        (dagster_home / "dagster.yaml").write_text(text)
        monkeypatch.setenv("DAGSTER_HOME", str(dagster_home))
        with running(settings_of("small", executor="kubernetes"), "small") as (run, _):
            assert isinstance(run.instance.run_launcher, K8sRunLauncher)
            run.run_folds({FOLD: "small_train"}, 1, only=only)
    steps = {job["metadata"]["labels"]["dagster/op"] for job in cluster.jobs.values()}
    assert {"small__model_checkpoint", "small__predictions"} <= steps
    assert "canary" not in str(cluster.jobs)
    rows, expected = (
        pd.read_parquet(each / "predictions" / "small" / f"{FOLD}.parquet")
        for each in (home, alone)
    )
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)
