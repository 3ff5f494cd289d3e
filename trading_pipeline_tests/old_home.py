"""A home as version 0.1 left it, kept to be opened by every later version.

    python -m trading_pipeline_tests.old_home trading_pipeline_tests/golden/home_0_1.tar.xz

makes one by the commands of the code that runs it; it was run once, with the code of 0.1, and is
not run again: a later version keeps a home of its own beside it. What can be drawn or read again
(pages, pictures, Dagster's records) is left out, so that the file stays small.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

ARCHIVE = Path(__file__).parent / "golden" / "home_0_1.tar.xz"
MARKET, SYMBOLS = "coins", ["AAA", "BBB"]
FOLD, SESSION = "2024-05-01", "paper"
FIRST, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 5, 25, tzinfo=UTC)
GROWN = datetime(2024, 5, 12, tzinfo=UTC)  # where the source ended when it was asked first
REVISED = pd.Timestamp("2024-02-03 08:00", tz="UTC")  # of AAA; the source said another close first
SETTINGS = f"""\
home = "data_storage"

[markets.{MARKET}]
source = "parquet"
path = "panel.parquet"
symbols = {SYMBOLS}
start = {FIRST:%Y-%m-%d}
end = {END:%Y-%m-%d}
timeframe = "4h"
calendar = "24/7"
horizon = 3
preset = "tiny"
epochs = 1

[markets.{MARKET}.walk_forward]
first_train = "4mo"
test = "1mo"
window = "4mo"
"""
_LEFT_OUT = ("dagster", ".lock", ".html", ".png", "-shm", "-wal")


def panel() -> pd.DataFrame:
    """Bars of two coins on a random walk, as the source tells them in the end."""
    return pd.concat([_stretch(FIRST, GROWN, 1), _stretch(GROWN, END, 2)], ignore_index=True)


def _stretch(first: datetime, end: datetime, seed: int) -> pd.DataFrame:
    rng, parts = np.random.default_rng(seed), []
    stamps = pd.date_range(first, end, freq="4h", inclusive="left").as_unit("us")
    for symbol in SYMBOLS:
        close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(stamps)))), 2)
        opened = np.concatenate([[100.0], close[:-1]])
        reach = np.round(rng.uniform(0.1, 0.8, len(stamps)), 2)
        bars = {
            "timestamp": stamps,
            "symbol": symbol,
            "open": opened,
            "high": np.maximum(opened, close) + reach,
            "low": np.minimum(opened, close) - reach,
            "close": close,
            "volume": np.round(rng.uniform(1e4, 1e5, len(stamps))),
        }
        parts.append(pd.DataFrame(bars))
    return pd.concat(parts, ignore_index=True)


def first_told() -> pd.DataFrame:
    """What the source told first: one close was wrong, and the last days were to come."""
    bars = _stretch(FIRST, GROWN, 1)
    wrong = (bars["symbol"] == "AAA") & (bars["timestamp"] == REVISED)
    bars.loc[wrong, "close"] = bars.loc[wrong, ["high", "low"]].mean(axis=1).round(2)
    return bars


def make(folder: Path) -> None:
    """Download twice, train, test, put a model in service, and trade some bars on paper."""
    (folder / "pipeline.toml").write_text(SETTINGS)
    first_told().to_parquet(folder / "panel.parquet", index=False)
    of_it = ("--market", MARKET)
    command(folder, "download", *of_it)
    panel().to_parquet(folder / "panel.parquet", index=False)
    command(folder, "download", *of_it)
    command(folder, "train", *of_it)
    command(folder, "backtest", *of_it)
    days = ("--start", "2024-05-02", "--end", "2024-05-03")
    command(folder, "paper-trade", *of_it, "--session", SESSION, *days)
    code = (
        "from trading_pipeline.cli.markets import settings_of; "
        "from trading_pipeline.cli.runner import running; "
        "from trading_pipeline.defs.runs import produce\n"
        f"with running(settings_of(), '{MARKET}') as (run, plan): produce(run, plan)"
    )
    _run(folder, "-c", code)


def command(folder: Path, *arguments: str) -> None:
    """A command of `trading-pipeline`, as a process in a folder."""
    _run(folder, "-m", "trading_pipeline.cli", *arguments)


def _run(folder: Path, *arguments: str) -> None:
    """Python in a folder, without the settings of whoever runs this."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("TP_", "DAGSTER_"))}
    subprocess.run([sys.executable, *arguments], cwd=folder, env=ours, check=True)


def pack(folder: Path, archive: Path) -> None:
    """What is kept of a home, its settings and its panel."""

    def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uname = member.gname = ""
        return None if Path(member.name).name.endswith(_LEFT_OUT) else member

    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for name in ("pipeline.toml", "panel.parquet", "data_storage"):
            packed.add(folder / name, name, filter=chosen)


def unpack(folder: Path, archive: Path = ARCHIVE) -> Path:
    """The folder, with what was packed."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        make(Path(made))
        pack(Path(made), Path(sys.argv[1]))
