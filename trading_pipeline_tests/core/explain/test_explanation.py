"""An explanation tells what the backtest did: its figures are those of the book, to the bit."""

import string

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.backtest.run import run_backtest
from trading_pipeline.core.explain.explanation import explain, overview
from trading_pipeline.core.explain.order import told
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.trading.engine.reasons import REASONS
from trading_pipeline.core.trading.inputs import recent_returns, recent_rows
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.explain.reruns import LONG_ONLY, NEUTRAL, rerun_of
from trading_pipeline_tests.core.trading.markets import SYMBOLS, random_panel


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((LONG_ONLY, 130), id="long only"),
        pytest.param((NEUTRAL, 130), id="neutral", marks=[pytest.mark.slow, pytest.mark.long]),
        pytest.param(
            (NEUTRAL, 260), id="neutral, with drawdowns", marks=[pytest.mark.slow, pytest.mark.long]
        ),
    ],
)
def run(request):
    market, T = request.param
    return rerun_of(market, T=T)


@pytest.fixture(scope="module")
def features(run):
    rng = np.random.default_rng(0)
    return rng.normal(size=(*run.panel.close.shape, len(NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def explained(run, features):
    """Every decision there is: bar, symbol, explanation."""
    bars, symbols = range(len(run.result.log) - 1), range(len(SYMBOLS))
    return [(k, n, explain(run, k, n, features, 1, 1)) for k in bars for n in symbols]


def test_the_strategy_run_again_is_that_of_the_backtest(run):
    """Recording everything changes nothing, and the report's tables are made of the same book."""
    plain = run_backtest(
        run.panel, run.predictions, run.basis.eligible, run.market, 1e5, verdicts_only=True
    )
    assert (plain.strategy.log == run.result.log).all()
    for table in ("orders", "fills"):
        pd.testing.assert_frame_equal(
            getattr(plain.strategy, table)("x"), getattr(run.result, table)("x")
        )
    pd.testing.assert_frame_equal(plain.strategy.vetoes(), run.result.vetoes())


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.sampled(3)
def test_orders_and_vetoes_are_those_of_the_tables(run, explained):
    orders, vetoes = run.result.orders("backtest"), run.result.vetoes()
    mine = [(why.order, why.reasons) for _, _, why in explained if why.order]
    assert [order.client_order_id for order, _ in mine] == orders["client_order_id"].tolist()
    for name in ("side", "quantity", "type"):
        assert [getattr(order, name) for order, _ in mine] == orders[name].tolist()
    levels = [order.limit_price for order, _ in mine]
    np.testing.assert_array_equal(levels, orders["limit_price"])
    assert ["|".join(r.name for r in why) for _, why in mine] == orders["reasons"].tolist()
    refused = [(why.bar, why.symbol, veto) for _, _, why in explained for veto in why.vetoes]
    assert [veto.rule for _, _, veto in refused] == vetoes["rule"].tolist()
    assert [symbol for _, symbol, _ in refused] == vetoes["symbol"].tolist()
    for name in ("figure", "limit"):
        np.testing.assert_array_equal([getattr(v, name) for _, _, v in refused], vetoes[name])
    assert len(orders) > 50
    assert len(refused) > 10


def test_fills_are_those_of_the_table(run, explained):
    """Each fill belongs to one decision: the order's, or the one before a barrier was reached."""
    mine = [(why.symbol, each) for _, _, why in explained for each in why.became if each.quantity]
    mine.sort(key=lambda pair: (pair[1].at, pair[1].kind != "order", pair[0]))
    fills = run.result.fills("x")
    assert [symbol for symbol, _ in mine] == fills["symbol"].tolist()
    for name, column in (("at", "filled_at"), ("quantity", "quantity"), ("price", "price"),
                         ("fee", "fee"), ("slippage", "slippage"), ("kind", "kind")):  # fmt: skip
        assert [getattr(each, name) for _, each in mine] == fills[column].tolist()
    assert len(fills) > 50


def steps_of(why):
    return {step.name: step for step in why.steps}


def test_the_steps_end_at_the_target_that_was_decided_on(run, explained):
    """What was recorded on the way leads to the very targets of the history."""
    wanted = ["score", "signal", "tilt", "tracking error", "group cap", "benchmark", "invested"]
    wanted = [*wanted, "exposure", "target"]
    if run.market.mandate == "neutral":
        wanted.remove("benchmark")
    for k, n, why in explained:
        assert [step.name for step in why.steps] == wanted
        assert why.steps[-1].value == why.target == run.decided(k)[n]["target"]


def test_a_signal_is_the_one_before_and_a_part_of_what_is_new(run, explained):
    alpha, before = min(1.0, 2 / (5 / 5 + 1)), dict.fromkeys(range(len(SYMBOLS)), np.nan)
    for _, n, why in explained:
        score, signal = why.steps[0].value, why.steps[1].value
        news = score if np.isnan(before[n]) else before[n] + alpha * (score - before[n])
        expected = before[n] if np.isnan(score) else news
        np.testing.assert_allclose(signal, expected, rtol=1e-12)
        before[n] = signal


def test_a_score_is_told_in_the_unit_of_a_volatility_that_was_forecast():
    """What the table says where it is σ; else the step says which volatility it is in."""
    features = np.zeros((130, len(SYMBOLS), len(NAMES)), dtype=np.float32)
    plain, run = rerun_of(LONG_ONLY), rerun_of(LONG_ONLY, volatility=0.05)
    n = int(np.flatnonzero(np.isfinite(plain.basis.score[plain.row(20)]))[0])
    score, *_ = explain(plain, 20, n, features, 1, 1).steps
    assert score.text == "what the network says at this close"
    converted, *_ = explain(run, 20, n, features, 1, 1).steps
    sigma = run.basis.prepared.volatility[run.row(20), n]
    assert f"5.00% a bar, where the last 63 bars had {sigma:.2%}" in converted.text
    mean = np.nanmean(plain.basis.score[plain.row(20)])
    assert converted.value - mean == pytest.approx((score.value - mean) * sigma / 0.05)


@pytest.fixture(scope="module")
def closes(run, explained):
    """Of every bar: the steps, their values over the symbols, and the returns until it."""
    returns, found = recent_returns(run.panel), []
    for k in range(len(run.result.log) - 1):
        steps = [steps_of(why) for _, _, why in explained[6 * k : 6 * k + 6]]
        values = {name: np.array([each[name].value for each in steps]) for name in steps[0]}
        found.append((k, values, steps, returns[recent_rows(run.row(k))]))
    return found


def test_a_tilt_is_the_signal_less_the_mean_of_all_that_have_one(closes):
    """Six symbols are too few to take out more."""
    seen = 0
    for _, values, _, _ in closes:
        tilted = values["tilt"] != 0
        signals = values["signal"][tilted]
        expected = signals - signals.mean() if tilted.any() else signals
        np.testing.assert_allclose(values["tilt"][tilted], expected, atol=1e-12)
        seen += tilted.sum()
    assert seen > 100


def test_the_active_weights_are_tilt_over_sigma_at_the_tracking_error_told(run, closes):
    for k, values, steps, recent in closes:
        account, sigma = run.result.log[k], run.basis.prepared.volatility[run.row(k)]
        tilted = values["tilt"] != 0
        if not tilted.any():
            assert not values["tracking error"].any()
            continue
        unit = np.where(tilted, values["tilt"] / sigma, 0.0)
        error = np.std(recent @ unit, ddof=1)
        information = (values["tilt"] ** 2).sum() / np.sqrt(5) / error * np.sqrt(365)
        assert steps[0]["tracking error"].figure == pytest.approx(information, rel=1e-6)
        factor = account["tracking"] / error
        np.testing.assert_allclose(values["tracking error"], factor * unit, rtol=1e-6)
        if run.market.mandate != "neutral":
            share = min(1.0, information / 0.5) * account["kelly"]
            expected = share * run.profile.tracking_error / np.sqrt(365)
            assert account["tracking"] == pytest.approx(expected, rel=1e-6)


def test_a_group_is_cut_where_its_share_is_above_its_limit(run, closes):
    cut = 0
    for _, values, steps, _ in closes:
        for n, each in enumerate(steps):
            step, active = each["group cap"], values["tracking error"][n]
            share = min(1.0, step.limit / step.figure) if step.figure > step.limit else 1.0
            assert step.value == pytest.approx(active * share, rel=1e-9)
            assert step.changed == (step.value != active)
            cut += step.changed
    assert (cut > 0) == bool(run.market.sectors)


def test_what_is_invested_is_benchmark_and_tilt_within_their_limits(run, closes):
    for k, values, steps, _ in closes:
        account, invested = run.result.log[k], values["invested"]
        if run.market.mandate == "neutral":
            cap = account["symbol_cap"]
            np.testing.assert_allclose(invested, np.clip(values["group cap"], -cap, cap))
            for each in steps:
                assert each["invested"].changed == (each["invested"].figure > cap)
            continue
        held = values["benchmark"] > 0
        weights = np.where(held, run.basis.inputs.weights[run.row(k)], 0)
        np.testing.assert_allclose(values["benchmark"], weights / weights.sum(), rtol=1e-9)
        limits = np.array([each["invested"].limit for each in steps])
        assert invested.sum() == pytest.approx(1)
        assert ((invested >= 0) & (invested <= limits + 1e-12)).all()


def test_exposure_makes_aims_of_what_is_invested(run, closes):
    """And the aim is within its band, or the target on the way to it."""
    traded = 0
    for k, values, steps, _ in closes:
        account, rows = run.result.log[k], run.decided(k)
        if account["size"] == 2:
            continue
        priced = run.panel.traded[run.row(k)]
        if run.market.mandate == "neutral":
            aims = account["exposure"] * values["invested"]
            np.testing.assert_allclose(values["exposure"][priced], aims[priced], rtol=1e-12)
        else:
            able = priced & (values["invested"] > 0)
            waiting = np.abs(rows["weight"][~priced]).sum()
            total = max(account["exposure"] * values["invested"].sum() - waiting, 0)
            near = abs(rows["weight"][able].sum() - total) <= account["exposure_band"] + 1e-9
            if not near and rows["target"][able].any():
                assert rows["target"][priced].sum() == pytest.approx(total, abs=1e-6)
        for n, each in enumerate(steps):
            step = each["target"]
            assert step.figure == abs(rows["aim"][n] - rows["weight"][n])
            assert step.limit == rows["band"][n]
            assert step.changed == (rows["target"][n] != rows["weight"][n])
            traded += step.changed
    assert traded > 50


def test_every_step_says_something(explained):
    for _, _, why in explained:
        for step in why.steps:
            assert step.text
            assert "{" not in step.text
            assert isinstance(step.changed, bool)


def test_positions_are_those_of_the_book(run, explained):
    """Also their prices and weights, which the book works out on its own."""
    found = {(k, n): why.held for k, n, why in explained}
    for name, grid in (("quantity", run.result.quantity), ("weight", run.result.weight)):
        told = [getattr(held, name) if held else 0.0 for held in found.values()]
        np.testing.assert_allclose(told, [grid[at] for at in found], rtol=1e-12)
    held = [each for each in found.values() if each]
    np.testing.assert_allclose(
        [each.price for each in held], [run.result.price[at] for at, each in found.items() if each]
    )
    assert held
    for each in held:
        assert each.since <= each.at
        if not np.isnan(each.stop):
            side = np.sign(each.quantity)
            assert (each.take - each.stop) * side > 0


def test_trades_contain_what_they_explain(run, explained):
    trades = run.result.trades()
    found = {(each.opened_at, why.symbol) for _, _, why in explained for each in why.trades}
    wanted = {(row.opened_at, row.symbol) for row in trades.itertuples()}
    assert wanted <= found
    for _, _, why in explained:
        for each in why.trades:
            marks = [fill.at for fill in why.became if fill.quantity] or [why.bar]
            assert each.opened_at <= max(marks)
            assert each.closed_at is None or each.closed_at >= min(marks)


def test_an_answer_is_given_whatever_happened(explained):
    for _, _, why in explained:
        if why.order:
            assert why.answer.startswith(f"Ordered to {why.order.side} ")
        else:
            assert why.answer.startswith("No order, with ")
            assert ": ." not in why.answer
        assert "{" not in why.answer
        assert (
            why.eligible
            or not why.order
            or (why.order.side == "sell") == (why.held is not None and why.held.quantity > 0)
        )


def test_every_reason_has_a_sentence(run):
    texts = told(sum(REASONS), run.facts(10, 0))
    assert [each.name for each in texts] == [REASONS[bit].name for bit in sorted(REASONS)]
    for each in texts:
        assert each.text[0] in string.ascii_letters
        assert "{" not in each.text


def test_features_stand_beside_their_own_past_year(run, features, explained):
    k, n, why = explained[-1]
    year = features[: run.row(k) + 1, n, 0][-run.market.bars_per_year :].astype(float)
    first = why.features[0]
    assert len(why.features) == len(NAMES)
    assert first.name == NAMES[0]
    assert first.value == year[-1]
    assert first.bars == len(year)
    assert first.z_score == pytest.approx((year[-1] - year.mean()) / year.std(ddof=1))
    assert first.percentile == pytest.approx((year <= year[-1]).mean())


def test_later_bars_change_no_explanation_of_what_was_known(run, features):
    """But for what became of it, an explanation is that of the close."""
    cut = run.row(40) + 3
    known = run.predictions[run.predictions["timestamp"] < run.panel.timestamps[cut - 1]]
    earlier = Rerun.of(run.panel.until(cut), known, run.basis.eligible[:cut], run.market, 1e5)
    for n in range(len(SYMBOLS)):
        now, then = (
            explain(each, 40, n, features[: len(each.panel.timestamps)], 1, 1)
            for each in (run, earlier)
        )
        for name in ("answer", "features", "account", "steps", "order", "reasons", "held"):
            assert repr(getattr(now, name)) == repr(getattr(then, name))


def test_the_overview_has_a_line_for_every_symbol(run, explained):
    lines = overview(run, 50)
    assert [line.symbol for line in lines] == list(SYMBOLS)
    for line, (_, _, why) in zip(lines, explained[50 * 6 : 51 * 6], strict=True):
        assert bool(line.order) == (why.order is not None)
        assert line.target == why.target
        assert bool(line.became) == bool(why.became)


def test_a_symbol_that_is_misspelt_is_answered_with_those_that_are_alike(run):
    with pytest.raises(TradingError, match=r"no symbol 'aab'; did you mean AAA.*it has 6: AAA"):
        run.column("aab")
    with pytest.raises(TradingError, match="no symbol 'X'; it has 6"):
        run.column("X")


def test_a_bar_is_found_by_its_day_or_instant(run):
    first, last = run.result.timestamps[0], run.result.timestamps[-2]
    assert run.bar(first, day=True) == run.bar(first, day=False) == 0
    assert run.bar(last, day=True) == len(run.result.log) - 2
    noon = first + pd.Timedelta(hours=12)
    following = first + pd.Timedelta(days=1)
    with pytest.raises(
        TradingError, match=f"nearest are {first:%Y-%m-%d} and {following:%Y-%m-%d}"
    ):
        run.bar(noon, day=False)
    with pytest.raises(TradingError, match="before the first fold only train"):
        run.bar(first - pd.Timedelta(days=1), day=True)
    with pytest.raises(TradingError, match=f"The last decision is {last:%Y-%m-%d}"):
        run.bar(run.result.timestamps[-1], day=True)
    with pytest.raises(TradingError, match="no bar at 2030-01-01; the nearest is"):
        run.bar(pd.Timestamp("2030-01-01", tz="UTC"), day=True)


def test_the_strategy_keeps_only_orders_and_vetoes_unless_everything_is_wanted(run):
    book = run.basis.trade(Terms.of(run.market, 1e5))
    assert len(book.decisions) < len(run.result.decisions)
    assert len(run.result.decisions) == len(run.result.log) * len(SYMBOLS)
    assert (book.trace.shape, run.result.trace.shape) == (
        (len(book.log), 0),
        run.panel.close[70:].shape,
    )


def test_a_backtest_that_has_decided_nothing_yet_is_refused():
    """A first fold that begins with the newest bar: no decision could be named as the nearest."""
    panel = random_panel(3, T=130, N=len(SYMBOLS))
    only = pd.DataFrame({"timestamp": panel.timestamps[-1], "symbol": SYMBOLS, "score": 1.0})
    with pytest.raises(TradingError, match="nothing is decided yet: the first prediction is of"):
        Rerun.of(panel, only, panel.traded, LONG_ONLY, 1e5)
