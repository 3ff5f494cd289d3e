"""The live page's server: what it answers, and whom it refuses."""

import http.client
import inspect
import json
import re
import threading

import pytest

from trading_pipeline.adapters.dashboard import dashboard_app
from trading_pipeline.adapters.dashboard_page import PORT
from trading_pipeline.adapters.web_server import serve
from trading_pipeline.cli.dashboard import dashboard
from trading_pipeline.errors import LedgerError, SettingsError

LOOPBACK = "127.0.0.1"


class Desk:
    """What a page is of, and what the operator said on it."""

    def __init__(self):
        self.said, self.error, self.address = [], None, ""

    def read(self):
        if self.error:
            raise self.error
        return {"equity": 5.0}

    def tell(self, intent, reason):
        self.read()
        self.said.append((intent, reason))

    def ask(self, method, path, body=None, **headers):
        """Status and text of an answer; headers are named with underscores."""
        host, port = self.address.removeprefix("http://").split(":")
        wire = http.client.HTTPConnection(host, int(port), timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        wire.request(method, path, json.dumps(body) if body is not None else None, named)
        answer = wire.getresponse()
        return answer.status, answer.read().decode()

    def header(self, path, name):
        """A header of an answer."""
        wire = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=30)
        wire.request("GET", path)
        return wire.getresponse().getheader(name)

    @property
    def token(self):
        _, text = self.ask("GET", "/")
        return re.search(r'name="token" content="(.+?)"', text)[1]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a report, beside something that is none of it."""
    made = tmp_path_factory.mktemp("home") / "reports" / "coins"
    made.mkdir(parents=True)
    (made / "report.html").write_text('<a href="features.html">features</a>')
    (made.parents[1] / "secret").write_text("of nobody's business")
    return made


def served(report):
    """A desk whose page is at its address."""
    desk, ready = Desk(), threading.Event()

    def listening(url):
        desk.address = url
        ready.set()

    app = dashboard_app("coins", desk.read, desk.tell, report)
    threading.Thread(target=serve, args=(app, LOOPBACK, 0, listening), daemon=True).start()
    assert ready.wait(30)
    return desk


@pytest.fixture(scope="module")
def server(report):
    return served(report)


@pytest.fixture
def desk(server):
    server.said, server.error = [], None
    return server


def test_the_page_names_its_market_and_no_other_address(desk):
    status, text = desk.ask("GET", "/")
    assert status == 200
    assert "<title>coins: paper session</title>" in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)


def test_the_state_is_what_is_read_and_a_reason_where_nothing_is(desk):
    assert desk.ask("GET", "/state") == (200, '{"equity":5.0}')
    desk.error = LedgerError("coins has no paper session")
    assert desk.ask("GET", "/state") == (503, '{"error":"coins has no paper session"}')


def test_a_word_with_the_pages_token_is_taken(desk):
    word = {"intent": "halted", "reason": "odd\nprices" + "!" * 300}
    assert desk.ask("POST", "/intent", word, x_token=desk.token)[0] == 200
    ((intent, reason),) = desk.said
    assert (intent, reason[:10], len(reason)) == ("halted", "oddprices!", 200)


@pytest.mark.parametrize("token", ["", "guessed", "gu\u00e9ssed", None])
def test_a_word_without_it_is_refused(desk, token):
    """A form or a script of another site cannot know it."""
    known = {} if token is None else {"x_token": token}
    assert desk.ask("POST", "/intent", {"intent": "halted"}, **known)[0] == 403
    assert desk.said == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "["])
def test_a_host_that_is_not_this_machine_is_refused(desk, host):
    """A site that lets its own name lead here would else read the token from the page."""
    for path in ("/", "/state"):
        assert desk.ask("GET", path, host=host)[0] == 403
    word = {"intent": "halted"}
    assert desk.ask("POST", "/intent", word, host=host, x_token=desk.token)[0] == 403
    assert desk.said == []


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "[::1]:9", "192.168.1.7"])
def test_an_address_or_a_name_of_this_machine_is_answered(desk, host):
    assert desk.ask("GET", "/state", host=host)[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:1", "http://[", ""]
)
def test_a_page_of_another_origin_is_refused(desk, origin):
    said = desk.ask("POST", "/intent", {"intent": "halted"}, origin=origin, x_token=desk.token)
    assert said[0] == 403
    assert desk.said == []


@pytest.mark.parametrize(
    "body", [{"intent": "sell"}, {}, [], "x", {"intent": "halted", "reason": 1}]
)
def test_what_is_no_word_is_refused_by_name(desk, body):
    status, text = desk.ask("POST", "/intent", body, x_token=desk.token)
    assert status == 400
    assert "intent is halted, paused or trading" in text
    assert desk.said == []


def test_a_word_that_could_not_be_kept_is_said_to_be_so(desk):
    token = desk.token
    desk.error = LedgerError("the disk is full")
    assert desk.ask("POST", "/intent", {"intent": "halted"}, x_token=token)[0] == 503


def test_the_report_is_beside_the_page(desk):
    assert inspect.signature(dashboard).parameters["port"].default == PORT == 8710
    status, text = desk.ask("GET", "/report/report.html")
    assert (status, text) == (200, '<a href="features.html">features</a>')
    assert desk.ask("GET", "/report/features.html")[0] == 404  # it is not made yet
    assert desk.ask("GET", "/report/report.html", host="evil.example")[0] == 403


@pytest.mark.parametrize("path", ["../../secret", "..%2f..%2fsecret", "%2e%2e/%2e%2e/secret", ""])
def test_no_file_but_those_of_the_report_is_given(desk, path):
    assert desk.ask("GET", f"/report/{path}")[0] == 404


def test_a_market_without_a_report_has_none(tmp_path):
    """Of a market that was never backtested not even the folder is there."""
    desk = served(tmp_path / "reports" / "coins")
    assert desk.ask("GET", "/report/report.html")[0] == 404
    assert desk.ask("GET", "/state")[0] == 200


def test_a_report_can_ask_its_page_for_nothing(desk):
    """Its scripts are of no site, so that none of them reads the token that halts a market."""
    policy = desk.header("/report/report.html", "content-security-policy")
    assert policy.startswith("sandbox allow-scripts ")
    assert "allow-same-origin" not in policy
    assert "sandbox" not in desk.header("/", "content-security-policy")


def test_a_port_that_is_taken_is_named(desk, report):
    port = int(desk.address.rpartition(":")[2])
    with pytest.raises(SettingsError, match=f"127.0.0.1 port {port} .*--port"):
        serve(dashboard_app("coins", desk.read, desk.tell, report), LOOPBACK, port, print)


def test_it_listens_on_this_machine_alone_unless_told():
    assert inspect.signature(dashboard).parameters["host"].default == LOOPBACK
