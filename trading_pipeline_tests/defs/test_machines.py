"""Two machines that share an object store do together what one does alone.

Each is a process with a home of its own; the second begins with an empty disk.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline_tests.object_store import object_store

pytestmark = [pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).parents[2]
FOLDS = ("2006-01-01", "2007-01-01")
SETTINGS = """
[markets.sample]
source = "sample"
symbols = ["AAPL", "IBM", "MSFT", "GOOG"]
start = 2000-03-01
end = 2008-01-01
model = "ridge"
preset = "tiny"

[markets.sample.costs]
fee = 0.0005
lot = 1
"""
WORK = """
import sys
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.runner import running
from trading_pipeline.defs import runs

with running(settings_of("sample"), "sample") as (run, plan):
    for what in sys.argv[1:]:
        if what == "download":
            runs.download(run, plan)
        elif what == "rest":
            print("trained", *runs.train(run, plan))
        elif what == "report":
            runs.backtest(run, plan, 100_000.0)
        else:
            run.run("sample_train", partition_key=what)
"""


def work(folder, name, *tasks, storage=None, dagster=None):
    """What a machine of that name said while it did these tasks, one after the other."""
    variables = {
        **{name: each for name, each in os.environ.items() if not name.startswith("TP_")},
        "TP_CONFIG": str(folder / "pipeline.toml"),
        "TP_HOME": str(folder / name),
        **({"TP_STORAGE": storage} if storage else {}),
        **({"DAGSTER_HOME": str(dagster)} if dagster else {}),
    }
    if dagster is None:
        variables.pop("DAGSTER_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", WORK, *tasks],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """Homes `alone`, `first` and `second`, and what the second trained."""
    folder = tmp_path_factory.mktemp("machines")
    (folder / "pipeline.toml").write_text(SETTINGS)
    work(folder, "alone", "download", "rest", "report")
    with object_store() as url:
        work(folder, "first", "download", FOLDS[0], storage=url)
        # The records of runs are shared by a database in a deployment, here by a folder.
        records = folder / "first" / "dagster"
        said = work(folder, "second", "rest", "report", storage=url, dagster=records)
    return folder, said


def test_the_second_machine_trains_only_what_the_first_did_not(machines):
    _, said = machines
    assert f"trained {FOLDS[1]}\n" in said


def test_both_have_the_models_and_predictions_of_one_bit_for_bit(machines):
    folder, _ = machines
    for fold in FOLDS:
        alone = pd.read_parquet(folder / "alone" / "predictions" / "sample" / f"{fold}.parquet")
        ours = pd.read_parquet(folder / "second" / "predictions" / "sample" / f"{fold}.parquet")
        pd.testing.assert_frame_equal(ours, alone, check_exact=True)
        stores = [
            CheckpointStore(folder / each / "models" / "sample") for each in ("alone", "second")
        ]
        digests = [store.verify(fold) for store in stores]
        assert digests[0] == digests[1], "equal to the last byte of the file"
    assert not (folder / "first" / "predictions" / "sample" / f"{FOLDS[1]}.parquet").exists()


def test_the_report_is_that_of_one_machine(machines):
    folder, _ = machines
    alone, ours = (
        json.loads((folder / each / "reports" / "sample" / "report.json").read_text())
        for each in ("alone", "second")
    )
    told = ("period", "strategy", "baselines", "scoreboard", "data_hash", "config_hash", "trials")
    for part in told:
        assert ours[part] == alone[part], part
    assert ours["period"]["bars"] > 400
