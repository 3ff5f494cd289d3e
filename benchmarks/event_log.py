"""How fast the event log takes a backfill of many partitions, beside Dagster's own class.

    python benchmarks/event_log.py [--partitions 500] [--laps 2]

One run materializes one asset over all partitions, which writes two events for each. Both logs are
SQLite files and both are handed batches of the same size. The clock counts, since commits wait for
the disk; the logs take turns and the best lap of each is taken.
"""

import argparse
import os
import tempfile
import time
import warnings
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from trading_pipeline.defs.instance import BATCH_SIZE, BATCH_VARIABLE, prepare_home
from trading_pipeline.defs.partitions import range_tags

warnings.filterwarnings("ignore", category=dg.BetaWarning)
START = date(2020, 1, 1)


def lap(partitions: int, ours: bool) -> float:
    """Seconds of one backfill on a fresh instance."""
    end = START + timedelta(days=partitions)
    days = dg.DailyPartitionsDefinition(str(START), end_date=str(end))

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def bars() -> None: ...

    with tempfile.TemporaryDirectory() as folder, instance_in(Path(folder), ours) as instance:
        start = time.perf_counter()
        dg.materialize(
            [bars],
            instance=instance,
            tags=range_tags(str(START), str(end - timedelta(days=1))),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        seconds = time.perf_counter() - start
        assert len(instance.get_materialized_partitions(bars.key)) == partitions
    return seconds


def instance_in(folder: Path, ours: bool) -> dg.DagsterInstance:
    """An instance with our event log, or else with the one that Dagster takes by itself."""
    home = prepare_home(folder)
    if not ours:
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return dg.DagsterInstance.from_config(str(home))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=500)
    parser.add_argument("--laps", type=int, default=2)
    given = parser.parse_args()
    os.environ.setdefault(BATCH_VARIABLE, BATCH_SIZE)
    laps = [(lap(given.partitions, True), lap(given.partitions, False)) for _ in range(given.laps)]
    ours, dagsters = (min(times) for times in zip(*laps, strict=True))
    print(
        f"{given.partitions} partitions: {ours:.1f} s, Dagster's own log {dagsters:.1f} s, "
        f"{dagsters / ours:.1f} × as long"
    )


if __name__ == "__main__":
    main()
