"""A session that is restarted in every fold is the one that was left alone, to the last bit."""

import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.learning import window_walk
from trading_pipeline.core.learning.dataset import features_of
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.to_dict import unpacked
from trading_pipeline.core.trading.trader import Trader
from trading_pipeline.steps import paper
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.paper import replay
from trading_pipeline.steps.session import journalled_orders
from trading_pipeline_tests.steps import wide_market as wide
from trading_pipeline_tests.steps.wide_market import MARKET, PLAN


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    home = Home(root=str(tmp_path_factory.mktemp("home")))
    wide.furnish(home)
    return home


@pytest.fixture
def stored(monkeypatch):
    """The market's bars, whose features are computed once for each length."""
    known = {}

    def features(panel, calendar):
        key = panel.data_hash(len(panel.timestamps))
        if key not in known:
            known[key] = features_of(panel, calendar)
        return known[key]

    monkeypatch.setattr(paper, "read_panel", lambda home, market: wide.panel())
    monkeypatch.setattr(window_walk, "features_of", features)


def trade(home, ledger, session, end=""):
    """One process's worth of a session; what it said after each bar."""
    silent = lambda done, total, note: None  # noqa: E731
    return list(replay(ledger, home, PLAN, silent, session=session, capital=1e5, end=end))


def decisions(ledger, session):
    return [each.payload for each in ledger.read(f"paper/wide/{session}", kind="decision")]


@pytest.mark.long
@pytest.mark.slow
def test_a_session_restarted_in_every_fold_makes_the_same_orders(furnished, stored, tmp_path):
    """Sized by evidence that its own folds completed: a restart must bring all of it back."""
    stamps, folds = wide.panel().timestamps, list(wide.known_folds().values())
    assert len(folds) == 4
    assert len(wide.SYMBOLS) >= 20
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        whole = trade(furnished, ledger, "whole")
        bars = 0
        for fold in folds:
            for row in (fold.test.first, fold.test.first + 9, fold.test.last - 2):
                bars += trade(furnished, ledger, "broken", f"{stamps[row]:%Y-%m-%d}")[-1]["bars"]
        bars += trade(furnished, ledger, "broken")[-1]["bars"]
        assert bars == len(whole) == folds[-1].test.last - folds[0].test.first + 1
        one, other = (decisions(ledger, session) for session in ("whole", "broken"))
        assert whole[-1]["fills"] >= 100
        assert whole[-1]["vetoes"] >= 2
        assert spelled(one) == spelled(other)
        for table in (
            journalled_orders(ledger, f"paper/wide/{name}") for name in ("whole", "broken")
        ):
            assert len(table) >= 100
    shares = kelly_shares(one)
    assert len(set(shares)) > 10, "no evidence sizes it, and none can be lost"
    assert 0.25 < shares[-20] < 1, "at a bound, lost evidence would not show"


def spelled(decisions):
    """Without what names the session."""
    return [str(each).replace("broken/", "whole/") for each in decisions]


def kelly_shares(decisions):
    trader = Trader(MARKET.symbols, Terms.of(MARKET, 1e5), session="any")
    account = [unpacked(each["state"]["account"], trader.account, "account") for each in decisions]
    return [float(each["kelly"][0]) for each in account]
