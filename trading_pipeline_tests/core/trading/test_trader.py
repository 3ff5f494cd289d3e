"""One decision path: the shell of one bar and the compiled loop are the same, bit for bit."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import volatility
from trading_pipeline.core.trading.engine.decide import decide_bar
from trading_pipeline.core.trading.engine.fills import fill_bar
from trading_pipeline.core.trading.engine.loop import run_history
from trading_pipeline.core.trading.inputs import Inputs, prepare
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.to_dict import packed
from trading_pipeline.core.trading.trader import Bar, Signals
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.trading.bar_by_bar import through_json, walk
from trading_pipeline_tests.core.trading.markets import (
    new_trader,
    random_panel,
    random_scores,
    simulated,
)

TERMS = {
    "capital": 1e5,
    "costs": Costs(leverage=1.5, lot=0.01),
    "bars_per_year": 252,
    "horizon": 5,
    "mandate": "neutral",
    "shortable": True,
}
# A stop takes several bars to fill, and has its minimum fee over all of them.
THIN = replace(TERMS["costs"], participation=2e-4, minimum_fee=20.0)


def joined(parts, name):
    return pd.concat([getattr(part, name) for part in parts], ignore_index=True)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("profile", "costs"),
    [("moderate", TERMS["costs"]), (None, TERMS["costs"]), ("moderate", THIN)],
    ids=["moderate", "bare", "thin"],
)
@pytest.mark.slow
@pytest.mark.sampled(3)
def test_bar_by_bar_equals_the_history_bit_for_bit(restart, profile, costs):
    """Also when the process dies after every single call and resumes from its stored state."""
    panel = random_panel(3, T=240)
    sigma, scores = volatility(panel), random_scores(3, panel)
    rules = PROFILES.get(profile) if profile else None
    inputs = {"score": scores} if rules else {"weights": np.clip(scores, -3, 3) / 12}
    ahead = np.random.default_rng(3).uniform(0.5, 2, sigma.shape) * sigma
    inputs["forecast"] = np.where(ahead < sigma, np.nan, ahead)  # of some symbols at some bars
    terms = TERMS | {"profile": rules, "costs": costs}
    rows = {"start": 70, "stop": 240}
    book = simulated(panel, volatility=sigma, everything=True, **rows, **inputs, **terms)
    trader = new_trader(panel.symbols, session="s", scored=rules is not None, **terms)
    trader, filled, decided = walk(
        panel, trader, start=70, stop=240, restart=restart, volatility=sigma, **inputs
    )
    got = np.concatenate([each.decisions for each in decided])
    got["bar"] = np.repeat(np.arange(169), len(panel.symbols))
    assert got.tobytes() == book.decisions[: len(got)].tobytes()
    assert trader.account.tobytes() == book.log[-1:].tobytes()
    pd.testing.assert_frame_equal(joined(decided, "orders"), book.orders("s"), check_exact=True)
    pd.testing.assert_frame_equal(joined(filled, "fills"), book.fills("s"), check_exact=True)
    pd.testing.assert_frame_equal(joined(filled, "cash_flows"), book.cash_flows())
    pd.testing.assert_frame_equal(joined(filled, "lapsed"), book.lapsed("s"))
    pd.testing.assert_frame_equal(joined(decided, "vetoes"), book.vetoes())
    assert len(book.fills("s")) > 100


def test_arrays_that_may_not_be_written_to_compile_nothing_anew():
    """pandas hands out such; each kernel would take seconds to compile for them."""
    panel, scores = random_panel(1), random_scores(1, random_panel(1))
    names = ("open", "high", "low", "close", "volume", "split", "dividend", "factor")
    locked = {name: getattr(panel, name).view() for name in names} | {"score": scores.view()}
    for grid in locked.values():
        grid.flags.writeable = False
    asked, counts = locked.pop("score"), []
    for bars, score in ((panel, scores), (replace(panel, **locked), asked)):
        known = {"score": score, "eligible": bars.traded, "volatility": volatility(bars)}
        for grid in known.values():
            grid.flags.writeable = score.flags.writeable
        simulated(bars, start=70, stop=75, profile=PROFILES["moderate"], **known, **TERMS)
        trader = new_trader(bars.symbols, session="s", profile=PROFILES["moderate"], **TERMS)
        walk(bars, trader, start=70, stop=75, restart=False, **known)
        counts.append([len(each.signatures) for each in (run_history, fill_bar, decide_bar)])
    assert counts[0] == counts[1]


def test_the_walk_meets_every_kind_of_event():
    """Otherwise the equality above would prove little."""
    panel = random_panel(3, T=240)
    book = simulated(
        panel,
        start=70,
        stop=240,
        score=random_scores(3, panel),
        profile=PROFILES["moderate"],
        **TERMS,
    )
    assert set(book.fills("s")["kind"]) >= {"order", "stop_loss"}
    assert set(book.cash_flows()["kind"]) >= {"dividend", "borrow"}
    assert len(book.lapsed("s"))
    assert book.vetoes()["rule"].nunique() >= 2


def test_a_bar_cannot_be_lived_twice():
    panel = random_panel(1)
    trader = new_trader(panel.symbols, session="s", profile=PROFILES["moderate"], **TERMS)
    trader.fill(Bar.of(panel, 5))
    with pytest.raises(TradingError, match="came after"):
        trader.fill(Bar.of(panel, 5))


def test_a_close_is_decided_on_once():
    panel = random_panel(1)
    trader = new_trader(panel.symbols, session="s", profile=PROFILES["moderate"], **TERMS)
    signals = Signals.of(prepare(panel), Inputs(score=panel.close), 5)
    with pytest.raises(TradingError, match="needs a new bar"):
        trader.decide(signals)
    trader.fill(Bar.of(panel, 5))
    trader.decide(signals)
    with pytest.raises(TradingError, match="needs a new bar"):
        trader.decide(signals)


def test_the_kill_switch_closes_everything_and_stays():
    panel = random_panel(1)
    trader = new_trader(panel.symbols, session="s", profile=PROFILES["moderate"], **TERMS)
    sigma = np.full(panel.close.shape, 0.02)
    for row in range(80, 90):
        trader.fill(Bar.of(panel, row))
        if row == 84:
            assert len(trader.holdings())
            trader.kill()
            trader = through_json(trader)
        score = np.tile([1.0, -1.0, 0.5, 0.7], (len(panel.timestamps), 1))
        signals = Signals.of(prepare(panel), Inputs(score=score, volatility=sigma), row)
        decided = trader.decide(signals)
        if row == 84:
            assert "kill_switch" in set(decided.vetoes["rule"])
    assert trader.holdings().empty
    trader.revive()
    trader.fill(Bar.of(panel, 90))
    assert len(trader.decide(signals).orders)


@pytest.mark.parametrize("part", ["account", "positions"])
@pytest.mark.parametrize("more", [True, False], ids=["a field more", "a field less"])
def test_a_state_of_another_version_is_refused(part, more):
    """It was sized by other rules, whose figures it cannot have."""
    trader = new_trader(("AAA",), session="s", profile=None, scored=False, **TERMS)
    before, records = trader.to_dict(), getattr(trader, part)
    fields = [*records.dtype.descr, ("x", "<f8")] if more else records.dtype.descr[:-1]
    other = packed(np.zeros(records.shape, fields))
    complaint = f"stored {part} were written by .* other trading rules.*; start a new session"
    with pytest.raises(TradingError, match=complaint):
        trader.restore({**before, part: other})
    assert trader.to_dict() == before


def test_a_state_of_other_symbols_is_refused():
    """As many bytes as fit would be taken for positions of symbols that it never held."""
    one, two = (
        new_trader(names, session="s", profile=None, scored=False, **TERMS)
        for names in (("AAA",), ("AAA", "BBB"))
    )
    with pytest.raises(TradingError, match="of other symbols"):
        one.restore(two.to_dict())


def test_states_that_hold_changes_are_restored_from_a_whole_one():
    """Each is what has changed since the one before it, and needs all of them."""
    panel, terms = random_panel(4), TERMS | {"profile": PROFILES["moderate"]}
    trader = new_trader(panel.symbols, session="s", **terms)
    states, before = [], None
    for row in range(80, 90):
        trader.fill(Bar.of(panel, row))
        inputs = Inputs(score=random_scores(4, panel))
        trader.decide(Signals.of(prepare(panel), inputs, row))
        states.append(json.loads(json.dumps(trader.to_dict(before))))
        before = trader.lasting_positions
    other = new_trader(panel.symbols, session="s", **terms).restore(states[-1], states[:-1])
    assert other.to_dict() == trader.to_dict()
    assert len(states[-1]["positions"]) < len(trader.to_dict()["positions"])
    with pytest.raises(TradingError, match="positions are a change of those before"):
        new_trader(panel.symbols, session="s", **terms).restore(states[-1])
