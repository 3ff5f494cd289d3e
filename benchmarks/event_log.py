"""How fast event logs take a backfill of many partitions: ours, Dagster's own on SQLite, and
Dagster's on PostgreSQL as in compose, where that is installed.

    python benchmarks/event_log.py [--partitions 500] [--laps 2]

One run materializes one asset over all partitions, which writes two events for each. All logs are
handed batches of the same size. The clock counts, since commits wait for the disk; the logs take
turns and the best lap of each is taken.
"""

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import dagster as dg

from trading_pipeline.defs.instance import BATCH_SIZE, BATCH_VARIABLE, prepare_home
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline_tests.postgres import Postgres, programs, throw_away_postgres

warnings.filterwarnings("ignore", category=dg.BetaWarning)
START = date(2020, 1, 1)


def lap(partitions: int, storage: str) -> float:
    """Seconds of one backfill on a fresh instance, whose event log `storage` configures; empty:
    ours."""
    end = START + timedelta(days=partitions)
    days = dg.DailyPartitionsDefinition(str(START), end_date=str(end))

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def bars() -> None: ...

    with tempfile.TemporaryDirectory() as folder, instance_in(Path(folder), storage) as instance:
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


def instance_in(folder: Path, storage: str) -> dg.DagsterInstance:
    home = prepare_home(folder)
    if storage:
        (home / "dagster.yaml").write_text(f"telemetry:\n  enabled: false\n{storage}")
    return dg.DagsterInstance.from_config(str(home))


def on_postgres(server: Postgres) -> str:
    """The storage of compose, in a database from which all else is gone."""
    url = server.empty_database().replace("postgresql:", "postgresql+psycopg2:")
    return "".join(
        f"{part}:\n  module: {module}\n  class: {name}\n  config:\n    postgres_url: {url}\n"
        for part, module, name in (
            ("run_storage", "dagster_postgres.run_storage", "PostgresRunStorage"),
            ("event_log_storage", "trading_pipeline.defs.event_logs", "BatchedPostgresEventLog"),
            ("schedule_storage", "dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=500)
    parser.add_argument("--laps", type=int, default=2)
    given = parser.parse_args()
    os.environ.setdefault(BATCH_VARIABLE, BATCH_SIZE)
    with ExitStack() as stack:
        logs: dict[str, Callable[[], str]] = {"ours": lambda: "", "Dagster's": lambda: "\n"}
        if programs():
            logs["PostgreSQL"] = partial(
                on_postgres, stack.enter_context(throw_away_postgres(True))
            )
        laps = [
            [lap(given.partitions, storage()) for storage in logs.values()]
            for _ in range(given.laps)
        ]
    best = {name: min(times) for name, times in zip(logs, zip(*laps, strict=True), strict=True)}
    for name, seconds in best.items():
        print(
            f"{given.partitions} partitions, {name}: {seconds:.1f} s, "
            f"{seconds / best['ours']:.1f} × as long as ours"
        )


if __name__ == "__main__":
    main()
