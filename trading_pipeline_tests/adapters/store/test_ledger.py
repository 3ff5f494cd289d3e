import hashlib
import json
import math
import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.store.ledger import GENESIS, Entry, Ledger, canonical_json
from trading_pipeline.errors import LedgerError

AT = datetime(2024, 1, 2, 21, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        yield opened


def tamper(url: str, sql: str) -> None:
    driver = url.replace("postgresql://", "postgresql+psycopg2://")
    engine = sa.create_engine(driver, poolclass=sa.NullPool)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(sql).rowcount > 0


def fill_stream(ledger: Ledger, stream: str = "session", events: int = 5) -> None:
    for number in range(events):
        ledger.append(stream, "fill", AT + timedelta(days=number), {"price": number / 7}, NOW)


def test_what_was_appended_is_read_back_in_order(ledger, url):
    appended = [ledger.append("session", kind, AT, {"n": n}, NOW) for n, kind in enumerate("abc")]
    with Ledger(url) as another:
        assert another.read("session") == appended
    assert [event.seq for event in appended] == [1, 2, 3]
    assert [event.payload["n"] for event in appended] == [0, 1, 2]
    assert appended[0].prev_hash == GENESIS
    assert appended[2].prev_hash == appended[1].hash


def test_streams_are_chains_of_their_own(ledger):
    fill_stream(ledger, "b", 2)
    fill_stream(ledger, "a", 3)
    assert (ledger.verify("a"), ledger.verify("b"), ledger.verify("never written")) == (3, 2, 0)
    assert ledger.read("a")[0].hash != ledger.read("b")[0].hash  # the stream's name is covered


def test_the_hash_is_the_one_that_old_ledgers_were_written_with(ledger):
    """SHA-256 of a JSON list; worked out with Python's hashlib and with sha256sum."""
    first, second = ledger.append_many("s", [("a", AT, {"x": 0.1}), ("b", AT, {})], NOW)
    text = (
        '["s", 2, "b", "2024-01-02T21:00:00.000000+00:00", "2026-11-22T09:30:00.123456+00:00", '
        f'"{{}}", "{first.hash}"]'
    )
    assert first.hash == "73fb522cf54331fefcfdd93c4f5aec576bf1aaecc2604dfc13bc59d4894e97b7"
    assert second.hash == hashlib.sha256(text.encode()).hexdigest()


def test_questions_about_a_stream(ledger):
    ledger.append_many("s", [Entry("order", AT, {}), ("fill", AT, {}), ("order", AT, {})], NOW)
    assert [event.kind for event in ledger.read("s")] == ["order", "fill", "order"]
    assert ledger.read("s", kind="veto") == []
    assert [event.seq for event in ledger.read("s", after=1)] == [2, 3]
    assert [event.seq for event in ledger.read("s", kind="order")] == [1, 3]
    assert ledger.last("s").seq == 3
    assert ledger.last("s", "fill").seq == 2
    assert ledger.last("s", "veto") is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_bit_for_bit(value):
    back = json.loads(canonical_json({"value": value}))["value"]
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value)


def test_floats_of_numpy_survive_the_database(ledger):
    prices = list(np.random.default_rng(0).lognormal(sigma=300, size=200))
    assert ledger.append("s", "mark", AT, {"prices": prices}, NOW).payload == {"prices": prices}
    assert ledger.last("s").payload["prices"] == prices


def test_the_spelling_of_a_payload_does_not_depend_on_its_order():
    assert canonical_json({"b": 1, "a": "é"}) == canonical_json({"a": "é", "b": 1})
    assert canonical_json({"b": 1, "a": [1.5, None]}) == '{"a":[1.5,null],"b":1}'


@pytest.mark.parametrize(
    "payload",
    [
        {"x": math.nan},
        {"x": [math.inf]},
        {"x": {"y": -math.inf}},
        {"x": np.float64("nan")},
        {"x": np.int64(1)},
        {"x": AT},
        {"x": {1: "one"}},
        {"x": [{True: 1}]},
    ],
)
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(ledger, payload):
    with pytest.raises(LedgerError, match="not to be journalled"):
        ledger.append_many("s", [("ok", AT, {}), ("bad", AT, payload)], NOW)
    assert ledger.read("s") == []


@pytest.mark.parametrize("name", ["fill\x00", "\ud800", "two\nlines"])
def test_a_name_that_not_every_database_takes_is_refused(ledger, name):
    for stream, kind in [(name, "fill"), ("s", name)]:
        with pytest.raises(LedgerError, match="cannot name a stream or a kind"):
            ledger.append(stream, kind, AT, {}, NOW)
    assert ledger.streams() == []


def test_streams_are_in_the_same_order_on_every_database(ledger):
    names = ["B", "a", "b/1", "b-2", "ä"]
    for name in reversed(names):
        ledger.append(name, "fill", AT, {}, NOW)
    assert ledger.streams() == sorted(names)


def test_instants_are_kept_in_utc_to_the_microsecond(ledger):
    new_york = AT.astimezone(timezone(timedelta(hours=-5)))
    event = ledger.append("s", "bar", new_york, {}, pd.Timestamp(NOW))
    assert ledger.last("s") == event
    assert (event.at, event.recorded_at) == (AT, NOW)
    assert event.at.tzinfo == UTC


@pytest.mark.parametrize("naive", [AT.replace(tzinfo=None), pd.NaT])
def test_an_instant_without_a_time_zone_is_refused(ledger, naive):
    with pytest.raises(LedgerError, match="no time zone"):
        ledger.append("s", "bar", naive, {}, NOW)
    with pytest.raises(LedgerError, match="no time zone"):
        ledger.append("s", "bar", AT, {}, naive)


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("UPDATE events SET payload = '{\"price\":9}' WHERE seq = 3", "event 3 was changed"),
        ("UPDATE events SET at = '2024-01-01' WHERE seq = 3", "event 3 was changed"),
        ("UPDATE events SET recorded_at = at WHERE seq = 3", "event 3 was changed"),
        ("UPDATE events SET kind = 'veto' WHERE seq = 3", "event 3 was changed"),
        ("UPDATE events SET hash = prev_hash WHERE seq = 3", "event 3 was changed"),
        ("UPDATE events SET prev_hash = hash WHERE seq = 3", "event 3 does not follow"),
        ("DELETE FROM events WHERE seq = 3", "event 3 is missing"),
        ("DELETE FROM events WHERE seq = 1", "event 1 is missing"),
        ("UPDATE events SET seq = seq + 10 WHERE seq >= 3", "event 3 is missing"),
    ],
)
def test_tampering_is_found_where_it_happened(ledger, url, sql, complaint):
    fill_stream(ledger)
    assert ledger.verify("session") == 5
    tamper(url, sql)
    with pytest.raises(LedgerError, match=f"session: {complaint}"):
        ledger.verify("session")


def test_a_rewritten_event_breaks_the_chain_behind_it(ledger, url, tmp_path):
    """Whoever changes an event and works out its hash anew is found one event later."""
    fill_stream(ledger)
    with Ledger(f"sqlite:///{tmp_path}/forged.sqlite") as forged:
        fill_stream(forged, events=2)
        third = forged.append("session", "fill", AT, {"price": 0.0}, NOW)
    columns = f"at = '{AT.isoformat(timespec='microseconds')}', payload = '{{\"price\":0.0}}'"
    tamper(url, f"UPDATE events SET {columns}, hash = '{third.hash}' WHERE seq = 3")
    with pytest.raises(LedgerError, match="event 4 does not follow"):
        ledger.verify("session")


def test_a_session_cannot_be_written_as_another(ledger, url):
    fill_stream(ledger, "yesterday")
    tamper(url, "UPDATE events SET stream = 'today'")
    with pytest.raises(LedgerError, match="event 1 was changed"):
        ledger.verify("today")


def test_damaged_events_are_named_when_read(ledger, url):
    fill_stream(ledger)
    tamper(url, "UPDATE events SET payload = '{\"price\"' WHERE seq = 4")
    with pytest.raises(LedgerError, match="session: event 4 is damaged"):
        ledger.read("session")


def test_of_two_sessions_on_one_stream_the_second_is_refused(url):
    """Both knew the same last event; only one of them may go on."""
    with Ledger(url) as first, Ledger(url) as second:
        known = first.append("session", "start", AT, {}, NOW).seq
        first.append("session", "order", AT, {"from": "first"}, NOW, after=known)
        with pytest.raises(
            LedgerError, match="another writer is at event 2, this one knows up to 1"
        ):
            second.append("session", "order", AT, {"from": "second"}, NOW, after=known)
        assert [event.payload for event in second.read("session", after=1)] == [{"from": "first"}]


def test_a_new_session_refuses_a_stream_that_has_events(ledger):
    ledger.append("session", "start", AT, {}, NOW, after=0)
    with pytest.raises(LedgerError, match="another writer"):
        ledger.append("session", "start", AT, {}, NOW, after=0)


def test_many_events_are_written_all_or_none(ledger):
    def torn():
        yield Entry("order", AT, {})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.append_many("session", torn(), NOW)
    assert ledger.append_many("session", [], NOW) == []
    assert ledger.read("session") == []


APPEND_20 = """
import sys
import traceback
from datetime import datetime, UTC
from trading_pipeline.adapters.store.ledger import Ledger
now = datetime(2024, 1, 2, tzinfo=UTC)
ledger = Ledger(sys.argv[1])
for n in range(20):
    ledger.append("trials", "trial", now, {"n": n}, now)
"""


@pytest.mark.slow
@pytest.mark.sampled(2)
def test_writers_who_do_not_claim_the_stream_take_turns(url):
    """Four processes open one new ledger at once; every event is there, in one whole chain."""
    command = [sys.executable, "-c", APPEND_20, url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        _, stderr = process.communicate(timeout=600)
        assert process.returncode == 0, stderr.decode()
    with Ledger(url) as ledger:
        assert ledger.verify("trials") == 80


@pytest.mark.slow
def test_postgresql_keeps_the_same_ledger(tmp_path, postgres):
    """The same events have the same hashes there."""
    with (
        Ledger(tmp_path / "ledger.sqlite") as ledger,
        Ledger(postgres.empty_database()) as served,
    ):
        for one in (ledger, served):
            fill_stream(one)
            one.append("session", "note", AT, {"é\x00": [0.1, 5e-324, -0.0, None]}, NOW, after=5)
        assert served.read("session") == ledger.read("session")


@pytest.mark.slow
def test_a_killed_writer_leaves_a_whole_chain(url):
    script = (
        "import sys; from datetime import datetime, UTC\n"
        "from trading_pipeline.adapters.store.ledger import Ledger\n"
        "now = datetime(2024, 1, 2, tzinfo=UTC)\n"
        "ledger = Ledger(sys.argv[1])\n"
        "while True: print(ledger.append('s', 'tick', now, {}, now).seq, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE) as process:
        told = [int(process.stdout.readline()) for _ in range(50)][-1]
        process.kill()
    with Ledger(url) as ledger:
        assert ledger.verify("s") >= told == 50
        assert ledger.append("s", "tick", AT, {}, NOW).seq > told


def test_the_file_is_written_through_to_the_disk(tmp_path):
    with (
        Ledger(tmp_path / "ledger.sqlite") as ledger,
        ledger._table._engine.connect() as connection,
    ):
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_text("timestamp,symbol\n" * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"not a database.*holds a ledger"):
        Ledger(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"cannot make .*file/stores"):
        Ledger(f"sqlite:///{tmp_path}/file/stores/ledger.sqlite")


@pytest.mark.parametrize("url", ["sqlite://", "mysql://localhost/db", "ledger.sqlite"])
def test_urls_that_cannot_hold_a_ledger_are_refused(url):
    with pytest.raises(LedgerError, match="ledger"):
        Ledger(url)


def test_a_password_stays_out_of_the_message():
    with pytest.raises(LedgerError) as refusal:
        Ledger("postgresql://trader:secret@127.0.0.1:1/ledger")
    assert "secret" not in str(refusal.value)
    assert "trader:***@127.0.0.1:1/ledger" in str(refusal.value)


@pytest.mark.slow
def test_importing_the_ledger_does_not_load_sqlalchemy():
    code = (
        "import sys, trading_pipeline.adapters.store.trials; sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:canary@127.0.0.1:1/db",
        "postgresql://me:canary@127.0.0.1:1canary/db",
        "postgresql://me:part@canary@127.0.0.1:1/db",
        "postgresql://me:pw@127.0.0.1:1/db?password=canary",
        "postgresql://me:pw@127.0.0.1:1/db?sslmode=canary",
        "postgresql://me:pw@127.0.0.1:1/db?canary=1",
        "postgresql+canary://me:pw@127.0.0.1:1/db",
        "postgresql+asyncpg://me:canary@127.0.0.1:1/db",
        "canary://me:canary@127.0.0.1:1/db",
        "me:canary@127.0.0.1/db",
        "postgresql://me:canary@[::1/db",
    ],
)
def test_an_address_that_fails_is_refused_without_its_secrets(url):
    """Neither in our words, nor in those of SQLAlchemy and the driver, which a traceback prints."""
    with pytest.raises(LedgerError) as refused:
        Ledger(url)
    assert "canary" not in "".join(traceback.format_exception(refused.value))
