"""What a night costs, stage by stage, in CPU seconds and memory: 100 symbols and eleven years of
made-up daily bars, preset `small`.

The stages are the assets' own, run by Dagster in this process as the daemon's runs are. What is
measured first is done once: the history, and a fold of the walk-forward, which comes once a year.
CPU seconds are those of all threads; memory is the most that the process held in that stage.
"""

import argparse
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.synthetic import synthetic_market
from trading_pipeline.definitions import build, home_of, plan_of, sources_of
from trading_pipeline.defs.jobs import job_name
from trading_pipeline.defs.partitions import known_days, range_tags
from trading_pipeline.defs.runs import Runner, backtest, download, runner, train
from trading_pipeline.settings import Settings
from trading_pipeline.steps.plan import Plan

FIRST, CAPITAL = "2008-01-01", 100_000.0
GOAL = 8.0  # GB
CLEAR = Path("/proc/self/clear_refs")  # a 5 sets the peak to what is held now


class Meter:
    """CPU and memory of this process since it was last read."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self.read()

    def read(self) -> tuple[float, float]:
        """(CPU seconds, peak in GB) since the last reading."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = used.ru_utime + used.ru_stime
        since, self._seconds = seconds - self._seconds, seconds
        status = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        CLEAR.write_text("5")
        return since, peak / 1e6


def bars_file(folder: Path, symbols: int, years: float) -> Path:
    """Made-up bars as a file of a user's: the sessions of New York."""
    end = pd.Timestamp(FIRST, tz="UTC") + pd.Timedelta(days=round(years * 365.25))
    stamps = trading_calendar("XNYS", "1d").sessions(pd.Timestamp(FIRST, tz="UTC"), end)
    names = tuple(f"S{n:03}" for n in range(symbols))
    path = folder / "bars.parquet"
    synthetic_market(stamps, names, 0, 0.1).panel.adjusted_bars().to_parquet(path)
    return path


def settings_of(root: Path, path: Path, end: date, preset: str, first_train: str) -> Settings:
    """One market of all that is in the file before `end`."""
    bars = pd.read_parquet(path, columns=["symbol", "timestamp"])
    entry = {
        "source": "parquet",
        "path": path,
        "symbols": tuple(sorted(bars["symbol"].unique())),
        "start": bars["timestamp"].min().date(),
        "end": end,
        "calendar": "XNYS",
        "preset": preset,
        "walk_forward": {"first_train": first_train},
    }
    return Settings(home=root, markets={"night": entry})


def stages(root: Path, path: Path, preset: str, first_train: str) -> Iterator[str]:
    """Does one stage after the other, and says which it was."""
    newest = pd.read_parquet(path, columns=["timestamp"])["timestamp"].max().date()
    settings = settings_of(root, path, newest, preset, first_train)
    with _running(settings) as (run, plan):
        download(run, plan)
        yield "once: bars, features and checks of all days"
        folds = len(train(run, plan))
        yield f"once: {folds} folds, the network and its rivals"
        backtest(run, plan, CAPITAL)
        yield "once: report"
    settings = settings_of(root, path, newest + timedelta(days=1), preset, first_train)
    with _running(settings) as (run, plan):
        yield from night(run, plan)


def night(run: Runner, plan: Plan) -> Iterator[str]:
    """One more day: what the job `nightly` does, an asset at a time, and then what the sensor of
    new bars asks for."""
    day = known_days(plan.market, datetime.now(UTC))[-1]
    for name in ("raw_bars", "features", "production_model"):
        key = dg.AssetKey([plan.market.name, name])
        run.run(job_name(plan.market, "nightly"), tags=range_tags(day, day), only=[key])
        yield f"night: {name} and its checks"
    if set(train(run, plan).values()) - {"predict"}:
        raise AssertionError("a new day trained a fold")
    yield "night: predictions of the running fold, and its rivals'"
    backtest(run, plan, CAPITAL)
    yield "night: report"


@contextmanager
def _running(settings: Settings) -> Iterator[tuple[Runner, Plan]]:
    definitions, sources = build(settings), sources_of(settings)
    with runner(definitions, home_of(settings), sources) as run:
        yield run, plan_of(settings, "night")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--symbols", type=int, default=100)
    asked.add_argument("--years", type=float, default=11)
    asked.add_argument("--preset", default="small")
    asked.add_argument("--first-train", default="5y", help="before the first fold")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = bars_file(Path(folder), given.symbols, given.years)
        meter, most = Meter(), 0.0
        for stage in stages(Path(folder) / "home", path, given.preset, given.first_train):
            seconds, peak = meter.read()
            most = max(most, peak)
            print(f"{stage:60s} {seconds:8.1f} s of CPU {peak:6.2f} GB", flush=True)
    print(f"at most {most:.2f} GB, goal < {GOAL:.0f} GB")


if __name__ == "__main__":
    main()
