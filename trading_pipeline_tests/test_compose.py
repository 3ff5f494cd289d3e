"""The services of docker-compose.yml, started as it says, on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from trading_pipeline.defs.assets.market import FETCHED
from trading_pipeline_tests.compose import stack
from trading_pipeline_tests.compose_file import interpolated, merged
from trading_pipeline_tests.docker_engine import engine

MARKET = """
[markets.small]
source = "sample"
symbols = ["IBM"]
start = 2012-12-03
end = 2013-02-02
horizon = 3
"""
OF_A_VENUE = """
[markets.venue]
source = "alpaca"
symbols = ["IBM"]
start = 2024-01-02
url = "http://127.0.0.1:{port}"
trading_url = "http://127.0.0.1:{port}"
"""
PASSWORD = "a:b\\c %canary"
SMALL = ("small_download", ["small", "raw_bars"], FETCHED, ("2012-12-03", "2013-02-01"))
VENUE = ("venue_download", ["venue", "raw_bars"], FETCHED, ("2024-01-02", "2024-01-31"))


def _files(port: int) -> dict[str, str]:
    """What lies beside the compose file; `port` is that of a venue on this machine."""
    return {
        "pipeline.toml": MARKET + OF_A_VENUE.format(port=port),
        "secrets/postgres_password": f"{PASSWORD}\n",
        "secrets/tp_alpaca_key": "canarykey",
        "secrets/tp_alpaca_secret": "canarysecret",
    }


def test_variables_of_a_compose_file_are_filled_in():
    text = ["${A}", "${B:-b}", {"c": "x${A:?is needed}y"}, 1]
    assert interpolated(text, {"A": "a"}) == ["a", "b", {"c": "xay"}, 1]
    with pytest.raises(ValueError, match="A: is needed"):
        interpolated(text, {"A": ""})


def test_a_compose_file_goes_on_top_of_another():
    first = {"code": {"image": "a", "volumes": ["x"], "environment": {"A": 1, "B": 2}}}
    second = {"code": {"image": "b", "volumes": ["y"], "environment": {"B": 3}}, "new": {}}
    assert merged(first, second) == {
        "code": {"image": "b", "volumes": ["x", "y"], "environment": {"A": 1, "B": 3}},
        "new": {},
    }


@pytest.mark.long
@pytest.mark.slow
def test_services_come_up_in_order_work_and_come_back_when_killed():
    """The web server takes an order, the daemon starts it, the code server carries it out, and
    PostgreSQL keeps what became of it; also after each was killed."""
    with silent_venue() as venue, stack({}, _files(venue.server_port)) as services:
        services.up()
        assert services.end_of(services.launch(*SMALL)) == "SUCCESS", services.logs()
        months = services.volume("data") / "raw" / "small"
        assert len(list(months.glob("*.parquet"))) == 3
        for path in months.glob("*.parquet"):
            path.unlink()
        for name in services.services:
            services.kill(name)
        assert services.end_of(services.launch(*SMALL)) == "SUCCESS", services.logs()
        assert len(list(months.glob("*.parquet"))) == 3
        run = services.launch(*VENUE)
        assert venue.asked.wait(300), services.logs()
        services.kill("code")
        assert services.end_of(run) == "FAILURE", "it went with its server, and that is known"
        report = services.volume("data") / "reports" / "small" / "report.html"
        report.parent.mkdir(parents=True)
        report.write_text("the report")
        assert services.page(8711, "small/report.html") == b"the report"
        assert len(services.processes()) >= 5
        assert "canary" not in services.logs()
    assert services.processes() == []
    assert not services.folder.exists()


class _Silent(BaseHTTPRequestHandler):
    """Notes the key that it is asked with, and does not answer as long as anybody waits."""

    server: "_Venue"

    def do_GET(self) -> None:
        self.server.keys.append(self.headers["APCA-API-KEY-ID"])
        self.server.asked.set()
        self.server.over.wait(600)
        self.close_connection = True


class _Venue(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Silent)
        self.keys: list[str] = []
        self.asked, self.over = Event(), Event()


@contextmanager
def silent_venue() -> Iterator[_Venue]:
    with _Venue() as venue:
        thread = Thread(target=venue.serve_forever, daemon=True)
        thread.start()
        try:
            yield venue
        finally:
            venue.over.set()
            venue.shutdown()
            thread.join()


@pytest.mark.slow
@pytest.mark.long
def test_each_run_has_a_container_of_its_own_that_the_web_ui_stops():
    """With the volumes and secrets of the code server, whatever its engine is told by name."""
    with silent_venue() as venue:
        files = _files(venue.server_port)
        override = "docker-compose.containers.yml"
        with stack({"DOCKER_GROUP": "999"}, files, override) as services:
            with engine(services) as docker:
                services.up()
                assert services.end_of(services.launch(*SMALL)) == "SUCCESS", services.logs()
                run = services.launch(*VENUE)
                assert venue.asked.wait(300), services.logs()
                first, second = docker.containers.values()
                assert second.status == "running"
                assert services.terminate(run) == "TerminateRunSuccess"
                assert services.end_of(run) == "CANCELED"
            assert {first.status, second.status} == {"exited"}
            assert list((services.volume("data") / "raw" / "small").glob("*.parquet"))
            assert set(venue.keys) == {"canarykey"}
            asked = str([first.asked, second.asked])
            assert "execute_run" in asked
            assert "canary" not in asked
        assert services.processes() == []
