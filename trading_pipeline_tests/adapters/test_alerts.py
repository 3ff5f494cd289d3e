"""Alerts: each told once to everybody, whatever fails on the way, and no secret with it."""

import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest

from trading_pipeline.adapters import alerts as module
from trading_pipeline.adapters.alerts import MOST, STREAM, Alerts, News, addresses_of
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline_tests.fakes.inbox import Inbox, MailServer
from trading_pipeline_tests.fakes.venue import FOREVER, Fault, refusal

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DOWN = "download_failed", "crypto", "Binance did not answer"


@pytest.fixture
def inbox():
    with Inbox() as opened:
        yield opened


@pytest.fixture
def alerts_to(tmp_path):
    """Alerts as a process has them that was just started."""
    return lambda *urls: Alerts(
        lambda: Ledger(tmp_path / "ledger.sqlite"),
        tmp_path / "alerts",
        addresses_of(" ".join(urls)),
    )


def test_an_alert_arrives_and_is_in_the_log_and_the_ledger(inbox, alerts_to, tmp_path, caplog):
    alerts_to(inbox.at("json")).tell(*DOWN, NOW)
    (letter,) = inbox.letters
    assert letter["title"] == "trading-pipeline: download failed: crypto"
    assert letter["message"] == "Binance did not answer"
    assert caplog.messages == ["download failed: crypto: Binance did not answer"]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        told, delivered = ledger.read(STREAM)
        assert told.payload == dict(zip(("kind", "subject", "text"), DOWN, strict=True))
        assert (delivered.kind, delivered.payload["events"]) == ("delivered", [told.seq])


def test_an_outage_of_an_hour_is_one_message(inbox, alerts_to):
    """Told by a process that is started anew every minute."""
    for minute in range(60):
        alerts_to(inbox.at("json")).tell(*DOWN, NOW + minute * MINUTE)
    assert len(inbox.letters) == 1


def test_what_goes_on_for_a_day_is_told_again(inbox, alerts_to):
    alerts = alerts_to(inbox.at("json"))
    for now in (NOW, NOW + DAY - MINUTE, NOW + DAY, NOW + DAY + HOUR):
        alerts.tell(*DOWN, now)
    assert len(inbox.letters) == 2


def test_that_it_is_over_is_told_once_and_only_where_it_was_told_that_it_was_not(inbox, alerts_to):
    alerts = alerts_to(inbox.at("json"))
    alerts.over("download_failed", "crypto", "it works again", NOW)
    assert inbox.letters == []
    alerts.tell(*DOWN, NOW)
    alerts.over("download_failed", "shares", "it works again", NOW + HOUR)
    for minutes in (60, 61):
        alerts.over("download_failed", "crypto", "it works again", NOW + minutes * MINUTE)
    alerts.tell(*DOWN, NOW + 2 * HOUR)
    assert [each["title"].removeprefix("trading-pipeline: ") for each in inbox.letters] == [
        "download failed: crypto",
        "over: download failed: crypto",
        "download failed: crypto",
    ]


def test_what_fails_and_works_in_turns_is_no_storm(inbox, alerts_to):
    alerts = alerts_to(inbox.at("json"))
    for minute in range(0, 60, 2):
        alerts.tell(*DOWN, NOW + minute * MINUTE)
        alerts.over("download_failed", "crypto", "it works again", NOW + (minute + 1) * MINUTE)
    assert len(inbox.letters) == 2 * MOST
    last = inbox.letters[-2]["message"]
    assert "Told 3 times within an hour, and not again before that is over." in last
    alerts.tell(*DOWN, NOW + 2 * HOUR)
    assert inbox.letters[-1]["message"] == "Binance did not answer"


def test_all_that_is_new_is_one_message(inbox, alerts_to):
    news = [News("run_failed", f"m{number}/features", f"no {number}") for number in range(20)]
    alerts_to(inbox.at("json")).report(news, NOW)
    (said,) = inbox.said
    assert said.startswith("trading-pipeline: 20 alerts\nrun failed: m0/features\nno 0\n")
    assert "run failed: m19/features\nno 19" in said


def test_what_failed_and_works_by_now_is_told_as_neither(inbox, alerts_to):
    news = News(*DOWN), News("download_failed", "crypto", "it works again", over=True)
    alerts_to(inbox.at("json")).report(news, NOW)
    assert inbox.letters == []


def test_an_address_that_is_down_gets_it_later_and_the_others_nothing_twice(alerts_to, caplog):
    with Inbox() as up, Inbox() as down:
        urls = up.at("json"), down.at("json", "canary")
        down.misbehave(refusal(500), 2)
        alerts_to(*urls).tell(*DOWN, NOW)
        assert "address 2 (json) was not reached" in caplog.text
        assert "error=500" in caplog.text
        alerts_to(*urls).report([], NOW + MINUTE)
        assert (len(up.letters), len(down.letters)) == (1, 2)
        for minutes in (2, 3):
            alerts_to(*urls).report([], NOW + minutes * MINUTE)
    assert (len(up.letters), len(down.letters)) == (1, 3)
    assert down.said[-1] == up.said[0]


def test_what_could_not_be_sent_before_it_was_over_is_not_sent_any_more(inbox, alerts_to):
    alerts = alerts_to(inbox.at("json"))
    inbox.misbehave(refusal(500))
    alerts.tell(*DOWN, NOW)
    alerts.over("download_failed", "crypto", "it works again", NOW + HOUR)
    assert [each["title"][18:] for each in inbox.letters[1:]] == ["over: download failed: crypto"]


def test_what_is_a_day_old_is_not_sent_any_more(inbox, alerts_to):
    """Nor does an address that is new get all that ever was."""
    alerts_to().tell(*DOWN, NOW)
    alerts_to(inbox.at("json")).report([], NOW + DAY)
    assert inbox.letters == []


@pytest.mark.slow
def test_an_address_that_is_silent_holds_up_no_other(inbox, alerts_to, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    with Inbox() as silent:
        silent.misbehave(Fault(silent=True), FOREVER)
        alerts_to(silent.at("json"), inbox.at("json")).tell(*DOWN, NOW)
    assert len(inbox.letters) == 1


def test_processes_that_see_the_same_at_once_tell_it_once(inbox, alerts_to):
    threads = [
        threading.Thread(target=alerts_to(inbox.at("json")).tell, args=(*DOWN, NOW))
        for _ in range(6)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(inbox.letters) == 1


def test_mail_arrives(alerts_to):
    with MailServer() as server:
        url = f"mailto://127.0.0.1:{server.port}?from=desk@x.org&to=me@x.org&mode=insecure"
        alerts_to(url).tell("model_refused", "crypto", "Sharpe < 0 & falling\nsecond line", NOW)
    (letter,) = server.mail
    assert (letter["To"], letter["Subject"]) == (
        "me@x.org",
        "trading-pipeline: model refused: crypto",
    )
    text = letter.get_body(("plain",)).get_content()
    assert text.splitlines()[:2] == ["Sharpe < 0 & falling", "second line"]


def test_telegram_gets_text_that_it_can_show(inbox, alerts_to, monkeypatch):
    """Its host is no part of a URL of apprise, so the attribute that holds it is replaced."""
    from apprise.plugins.telegram import NotifyTelegram

    monkeypatch.setattr(NotifyTelegram, "notify_url", f"{inbox.url}/bot")
    alerts_to("tgram://123456789:canary_canary/-1002030/").tell(*DOWN, NOW)
    (request,) = inbox.asked()
    assert request.path == "/bot123456789:canary_canary/sendMessage"
    (letter,) = inbox.letters
    assert str(letter["chat_id"]) == "-1002030"
    assert "download failed: crypto" in letter["text"]
    assert "Binance did not answer" in letter["text"]


@pytest.mark.parametrize("fault", [None, refusal(500), refusal(401), Fault(cut=0.0)])
@pytest.mark.parametrize(
    "url",
    [
        "json://canaryuser:canarypass@{place}/canarypath?+Token=canarytoken",
        "tgram://123456789:canary_canary/7654321/",
        "mailto://canaryuser:canarypass@127.0.0.1:9?from=a@canary.org&to=canary@x.org&mode=insecure",
        "slack://canary/canary",
        "foo://canary",
        "canary",
        "json://127.0.0.1:port/canary",
    ],
)
def test_no_secret_of_an_address_is_said(
    inbox, alerts_to, monkeypatch, caplog, capfd, tmp_path, url, fault
):
    """Not in the log at its finest level, not in the ledger, not in what a test reports."""
    from apprise.plugins.telegram import NotifyTelegram

    monkeypatch.setattr(NotifyTelegram, "notify_url", f"{inbox.url}/bot")
    caplog.set_level(logging.DEBUG)
    if fault is not None:
        inbox.misbehave(fault, FOREVER)
    alerts = alerts_to(url.format(place=inbox.url.removeprefix("http://")))
    alerts.tell(*DOWN, NOW)
    reported = alerts.test("a test")
    said = [caplog.text, repr(reported), repr(alerts.addresses), str(list(reported))]
    said += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert "canary" not in "".join([*said, *capfd.readouterr()]).lower()
    assert "download failed: crypto" in caplog.text


def test_a_ledger_that_cannot_be_used_is_told_too_and_hides_nothing(inbox, tmp_path, caplog):
    """A full disk, a locked database: told once by this process, and to be given again."""
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database" * 100)
    alerts = Alerts(
        lambda: Ledger(tmp_path / "ledger.sqlite"), tmp_path, addresses_of(inbox.at("json"))
    )
    for minute in range(3):
        assert not alerts.report([News(*DOWN)], NOW + minute * MINUTE)
    down, ledger = inbox.said
    assert down.endswith("download failed: crypto\nBinance did not answer")
    assert "ledger failed: alerts" in ledger
    (tmp_path / "ledger.sqlite").unlink()
    assert alerts.report([], NOW + HOUR)


def test_without_an_address_alerts_are_in_the_log(alerts_to, caplog):
    alerts_to().tell(*DOWN, NOW)
    alerts_to().tell(*DOWN, NOW + HOUR)
    assert caplog.messages == ["download failed: crypto: Binance did not answer"]
