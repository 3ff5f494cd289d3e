"""What runs print: kept of those of the web UI, and left to the terminal by a command."""

from pathlib import Path

import dagster as dg
import psutil
import pytest

from trading_pipeline.defs.instance import local_instance, prepare_home


@dg.op
def says():
    print("said by the run")
    children = psutil.Process().children()
    print(len(children), "processes")


@dg.job(executor_def=dg.in_process_executor)
def speaks():
    says()


def kept(instance, run):
    found = Path(instance.root_directory, "storage", run, "compute_logs").glob("*.out")
    return "".join(path.read_text() for path in found)


@pytest.mark.slow
def test_what_a_run_prints_is_kept_for_the_web_ui(tmp_path, no_dagster_home):
    with dg.DagsterInstance.from_config(str(prepare_home(tmp_path))) as instance:
        run = speaks.execute_in_process(instance=instance).run_id
        assert "said by the run" in kept(instance, run)


def test_a_command_prints_to_its_terminal_and_starts_no_process_for_it(
    tmp_path, no_dagster_home, capfd
):
    """Ctrl-C reached those of Dagster, too, which said so with tracebacks."""
    before = len(psutil.Process().children())
    with local_instance(tmp_path) as instance:
        run = speaks.execute_in_process(instance=instance).run_id
        assert kept(instance, run) == ""
    assert f"said by the run\n{before} processes" in capfd.readouterr().out
