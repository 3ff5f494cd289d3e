"""Where the steps of a run are executed: in its process, in processes, on Ray, on Kubernetes."""

from collections.abc import Mapping

import dagster as dg

from trading_pipeline.defs.instance import BATCH_VARIABLE, HOME_VARIABLE
from trading_pipeline.errors import SettingsError

RAY, KUBERNETES = "ray", "kubernetes"
# Of the process that submits a step: none is a secret, for Ray shows them to whoever asks.
_HANDED_ON = (HOME_VARIABLE, BATCH_VARIABLE, "OMP_NUM_THREADS")


def executor_named(name: str, variables: Mapping[str, str]) -> dg.ExecutorDefinition:
    """The executor of that name; what it needs is imported now, and not by those without it.

    Args:
        name: one of `EXECUTORS` of the settings.
        variables: what a step on another machine has to know of the settings; no secrets. Pods
            get theirs from the run launcher, as they get image, volumes and secrets.

    Raises:
        SettingsError: its package is not installed.
    """
    if name == RAY:
        return _ray(variables)
    if name == KUBERNETES:
        return _kubernetes()
    return dg.multiprocess_executor if name == "multiprocess" else dg.in_process_executor


def _ray(variables: Mapping[str, str]) -> dg.ExecutorDefinition:
    """A job of Ray for each step; where the cluster is, RAY_ADDRESS says."""
    try:
        from dagster_ray import ray_executor
    except ImportError as error:
        raise _missing(RAY) from error
    said = [f"{name}={value}" for name, value in variables.items()]
    return ray_executor.configured({"ray": {"env_vars": [*_HANDED_ON, *said], "num_cpus": 1}})


def _kubernetes() -> dg.ExecutorDefinition:
    try:
        from dagster_k8s import k8s_job_executor
    except ImportError as error:
        raise _missing(KUBERNETES) from error
    return k8s_job_executor


def _missing(name: str) -> SettingsError:
    return SettingsError(
        f'executor = "{name}" needs packages that are not installed; '
        f"pip install 'trading-pipeline[{name}]'"
    )
