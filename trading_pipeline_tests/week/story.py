"""What happens in a week, told step by step: the machine, its venues, and who looks on."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
from dagster._core.definitions.run_request import InstigatorType

from trading_pipeline.adapters.alerts import STREAM
from trading_pipeline.adapters.store.lease import holder_of
from trading_pipeline.adapters.store.ledger import Event
from trading_pipeline.definitions import plan_of
from trading_pipeline.settings import Settings
from trading_pipeline.steps.divergence import is_reported
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.watchdog import stop_session
from trading_pipeline_tests.fakes.alpaca import KEY, SECRET
from trading_pipeline_tests.fakes.inbox import Inbox
from trading_pipeline_tests.fakes.venue import FOREVER, refusal
from trading_pipeline_tests.week.machine import Machine, process_of
from trading_pipeline_tests.week.moving_clock import MovingClock
from trading_pipeline_tests.week.venues import COINS, SHARES, Alpaca, Binance

_NEW_YORK = ZoneInfo("America/New_York")
SUCCESS, FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
MARKETS = """
[markets.shares]
source = "alpaca"
url = "{alpaca}"
trading_url = "{alpaca}"
per_minute = 60000
symbols = {shares}
start = 2021-01-04
horizon = 5
model = "ridge"
preset = "tiny"
nightly = true

[markets.shares.costs]
fee = 0.0
lot = 1

[markets.shares.walk_forward]
first_train = "3y"
test = "1y"
window = "3y"

[markets.coins]
source = "binance"
url = "{binance}"
symbols = {coins}
start = 2022-01-01
horizon = 5
model = "ridge"
preset = "tiny"
nightly = true

[markets.coins.walk_forward]
first_train = "2y"
test = "1y"
window = "2y"
"""


def in_new_york(day: str, time: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=_NEW_YORK)


@dataclass
class Story:
    """A machine whose time passes, and what it is told."""

    machine: Machine
    plans: Mapping[str, Plan]
    alpaca: Alpaca
    binance: Binance
    inbox: Inbox

    @property
    def clock(self) -> MovingClock:
        return self.machine.clock

    # What happens

    def night(self, market: str, day: str) -> None:
        """Wait until a night has brought a day, and all that follows from it."""
        self.machine.until(lambda: day in self.made(market, "features"), f"features of {day}")
        self.machine.until(lambda: self.is_up_to_date(market), f"report of {day}")

    def start_session(self, market: str, session: str) -> None:
        """As the web UI does; wait until it holds the market's lease."""
        step = {f"{market}_paper_session": {"config": {"session": session}}}
        job = f"{market}_paper_trading"
        words = ["--workspace", str(self.machine.workspace), "--job", job]
        done = self.machine.dagster(
            "job", "launch", *words, "--config-json", json.dumps({"ops": step})
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self._is_waited_for(market, "")

    def decided(self, market: str, session: str, day: str) -> None:
        """Wait until a session has decided on the bar of a day."""
        stamp = pd.Timestamp(day, tz="UTC")
        self.machine.until(
            lambda: any(pd.Timestamp(each.at) == stamp for each in self.decisions(market, session)),
            f"decision of {day}",
        )

    def kill_session(self, market: str) -> None:
        """Its process, at once; wait until the watchdog has started another one."""
        before = self.holder(market)
        self.machine.sessions.discard(market)
        os.kill(process_of(before), signal.SIGKILL)
        self._is_waited_for(market, before)

    def _is_waited_for(self, market: str, before: str) -> None:
        """Wait until another session than before has the lease, and waits for a bar itself."""

        def waits() -> bool:
            holder = self.holder(market)
            return holder not in ("", before) and process_of(holder) in self.clock.asleep()

        self.machine.until(waits, f"a session of {market}")
        self.machine.sessions.add(market)

    def stop_session(self, market: str) -> None:
        """As the operator does; wait until its run has ended."""
        with self.machine.home.ledger() as ledger:
            stop_session(ledger, market, "a test", "the week is over", self.clock.now())
        self.machine.sessions.discard(market)
        job = f"{market}_paper_trading"
        self.machine.until(
            lambda: all(each.is_finished for each in self.machine.runs(job=job)),
            "the end of the session",
        )

    def fail_alpaca(self) -> None:
        """From now on it answers 500."""
        self.alpaca.misbehave(refusal(500), FOREVER)

    def failures(self, market: str, many: int) -> None:
        """Wait until so many nights have failed."""
        job = f"{market}_nightly"
        self.machine.until(
            lambda: len(self.machine.runs(FAILURE, job=job)) >= many, f"failure number {many}"
        )

    # What is known

    def holder(self, market: str) -> str:
        """Who holds the market's lease now."""
        if not self.machine.home.has_ledger:
            return ""
        with self.machine.home.ledger() as ledger:
            return holder_of(ledger, market, self.clock.now())

    def decisions(self, market: str, session: str) -> list[Event]:
        with self.machine.home.ledger() as ledger:
            return ledger.read(f"paper/{market}/{session}", kind="decision")

    def is_held_against_backtest(self, market: str, session: str) -> bool:
        """Whether the report on a session reaches its newest bar."""
        home, known = self.machine.home, self.plans[market].market
        with home.ledger() as ledger:
            newest = ledger.last(f"paper/{market}/{session}", "mark")
        return newest is not None and is_reported(home, known, newest) and self.machine.quiet()

    def alerts(self) -> Counter[tuple[str, str, str]]:
        """How often what was told: kind of event (told or over), kind and subject of the alert."""
        with self.machine.home.ledger() as ledger:
            events = ledger.read(STREAM)
        told = [each for each in events if each.kind != "delivered"]
        return Counter((each.kind, each.payload["kind"], each.payload["subject"]) for each in told)

    def made(self, market: str, asset: str) -> set[str]:
        """Partitions of an asset that were made."""
        return self.machine.instance.get_materialized_partitions(dg.AssetKey([market, asset]))

    def is_up_to_date(self, market: str) -> bool:
        """Whether the sensor has done everything for the newest features, and nothing runs."""
        states = self.machine.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        found = [each for each in states if each.instigator_name == f"{market}_new_bars"]
        text = found[0].instigator_data.cursor if found and found[0].instigator_data else None
        told = json.loads(text or "{}")
        newest = self.machine.instance.fetch_materializations(
            dg.AssetKey([market, "features"]), limit=1
        ).records
        landed = newest[0].storage_id if newest else -1
        return told.get("done") == landed and self.machine.quiet()


@contextmanager
def story(folder: Path, begin: datetime) -> Iterator[Story]:
    """A machine that is switched on at an instant; whatever it started is gone in the end."""
    clock = MovingClock(folder / "clock")
    clock.start(begin)
    with Alpaca(clock) as alpaca, Binance(clock) as binance, Inbox() as inbox:
        places = {"alpaca": alpaca.url, "binance": binance.url}
        entries = MARKETS.format(**places, shares=list(SHARES), coins=list(COINS))
        (folder / "pipeline.toml").write_text(entries)
        variables = {
            "TP_CONFIG": str(folder / "pipeline.toml"),
            "TP_HOME": str(folder / "home"),
            "TP_ALPACA_KEY": KEY,
            "TP_ALPACA_SECRET": SECRET,
            "TP_ALERT_URLS": inbox.at("json"),
        }
        with patch.dict(os.environ, variables):
            settings = Settings.read()
        plans = {market: plan_of(settings, market) for market in ("shares", "coins")}
        machine = Machine(folder, variables, clock, schedules=3 * len(plans))
        try:
            machine.switch_on()
            yield Story(machine, plans, alpaca, binance, inbox)
        finally:
            machine.switch_off()
