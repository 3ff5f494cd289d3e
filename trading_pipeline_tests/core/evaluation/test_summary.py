"""report.json: its contract, its reproducibility, and that the pieces are put together rightly."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation import metrics
from trading_pipeline.core.evaluation.performance import AccountView
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.errors import EvaluationError
from trading_pipeline_tests.core.evaluation.books import book, inputs


@pytest.fixture(scope="module")
def summary():
    return evaluate(inputs())


def test_summary_has_every_key_of_the_contract(summary):
    assert {
        "market", "period", "verdict", "strategy", "baselines", "scoreboard", "warnings", "trials",
        "data_hash", "code_version", "config_hash", "paired", "random_percentile", "rules",
    } <= set(summary)  # fmt: skip
    assert tuple(summary["strategy"]) == tuple(metrics.METRICS)
    assert all(
        tuple(numbers) == tuple(metrics.METRICS) for numbers in summary["baselines"].values()
    )
    assert all(tuple(each) == ("value", "low", "high") for each in summary["strategy"].values())
    assert summary["period"] == {
        "start": "2010-01-04T00:00:00+00:00",
        "end": "2011-07-15T00:00:00+00:00",
        "bars": 400,
        "days": 399,
    }
    assert (summary["data_hash"], summary["lineage"]) == ("d1", {"folds": "3"})


def test_what_rules_cost_or_saved_leaves_every_other_number_as_it_is(summary):
    given = inputs()
    found = evaluate(replace(given, without_rules={"stop_loss": given.strategy.equity}))
    assert [row["rule"] for row in found["rules"]] == ["stop_loss"]
    assert summary["rules"] == []
    assert {**found, "rules": []} == summary


def test_the_benchmark_is_the_first_of_the_baselines():
    found = evaluate(inputs(benchmark="momentum"))
    assert next(iter(found["baselines"])) == next(iter(found["paired"])) == "momentum"


def test_the_same_inputs_give_the_same_bytes(summary):
    again = json.dumps(evaluate(inputs()), allow_nan=False)
    assert again == json.dumps(summary, allow_nan=False)
    assert again != json.dumps(evaluate(inputs(seed=1)), allow_nan=False)


def test_values_are_those_of_the_metrics_and_lie_in_their_intervals(summary):
    strategy = inputs().strategy
    returns = np.diff(strategy.equity) / strategy.equity[:-1]
    for name, metric in metrics.formulas("returns").items():
        found = summary["strategy"][name]
        assert found["value"] == pytest.approx(float(metric(returns, 252)))
        assert found["low"] < found["high"]
    assert summary["strategy"]["turnover"]["value"] == pytest.approx(
        strategy.turnover[1:].mean() * 252
    )
    assert summary["strategy"]["win_rate"]["value"] == (strategy.trades["pnl"] > 0).mean()


def test_a_year_that_was_counted_is_said_with_its_bars():
    given = inputs()
    counted = {"measured_bars_per_year": 3787, "measured_days_per_year": 253}
    found = evaluate(replace(given, market=replace(given.market, timeframe="1h", **counted)))
    assert found["bootstrap"]["days_per_year"] == 253
    assert any("253 days and 3,787 bars a year, as counted" in s for s in found["assumptions"])


def test_paired_differences_are_of_the_same_metrics(summary):
    for name, paired in summary["paired"].items():
        other = summary["baselines"][name]["sharpe"]["value"] or 0.0
        assert paired["sharpe_difference"]["value"] == pytest.approx(
            summary["strategy"]["sharpe"]["value"] - other
        )
        difference = paired["annual_return_difference"]
        assert difference["low"] < difference["value"] < difference["high"]


def test_pairing_narrows_the_difference_of_books_that_move_together():
    given = inputs()
    equity = given.strategy.equity
    twin = replace(given.strategy, equity=equity * np.linspace(1, 1.01, len(equity)))
    found = evaluate(replace(given, baselines=dict(given.baselines) | {"buy_and_hold": twin}))
    paired = found["paired"]["buy_and_hold"]["sharpe_difference"]
    alone = found["strategy"]["sharpe"]
    assert paired["high"] - paired["low"] < 0.05 * (alone["high"] - alone["low"])


def test_cash_has_no_sharpe_ratio_and_counts_as_zero_in_the_difference(summary):
    assert summary["baselines"]["cash"]["sharpe"]["value"] is None
    assert summary["paired"]["cash"]["sharpe_difference"] == {
        end: pytest.approx(summary["strategy"]["sharpe"][end]) for end in ("value", "low", "high")
    }


def test_a_result_far_above_every_baseline_is_proven():
    found = evaluate(inputs(n_bars=1500, mean=0.003))
    assert found["verdict"]["edge"] == "proven"
    assert found["random_percentile"] == 1.0


def test_an_ordinary_result_is_not_proven(summary):
    assert summary["verdict"]["edge"] == "not proven"
    assert summary["verdict"]["reasons"]
    assert 0 < summary["random_percentile"] < 1


def test_the_percentile_is_among_random_portfolios_by_sharpe_ratio():
    given = inputs()
    equity = given.strategy.equity
    worse, better = (equity * np.linspace(1, end, len(equity)) for end in (0.6, 1.6))
    found = evaluate(replace(given, random_equity=np.stack([worse, worse, worse, better])))
    assert found["random_percentile"] == 0.75
    assert found["random"]["portfolios"] == 4


def test_no_random_portfolios_are_no_percentile():
    found = evaluate(inputs(random_equity=np.empty((0, 400))))
    assert found["random_percentile"] is None


def test_information_coefficients_are_averaged_with_an_interval():
    dates = pd.bdate_range("2010-01-04", periods=300, tz="UTC")
    values = np.random.default_rng(0).normal(0.05, 0.1, 300)
    table = pd.DataFrame({"date": dates, "ic": values, "beyond": values / 2})
    found = evaluate(inputs(ic=table))
    known = found["strategy"]["information_coefficient"]
    assert known["value"] == pytest.approx(values.mean())
    assert known["low"] < known["value"] < known["high"]
    assert found["information_coefficients"]["ic"] == known
    assert found["information_coefficients"]["beyond"]["value"] == pytest.approx(values.mean() / 2)
    assert evaluate(inputs())["information_coefficients"] == {}


def test_unknown_trials_stay_unknown():
    found = evaluate(inputs(trials=None, trial_sharpes=None))
    assert found["trials"] is None
    assert any("Trials unknown" in reason for reason in found["verdict"]["reasons"])


def test_a_book_that_never_trades_is_evaluated_without_a_number_made_up():
    still = book(np.random.default_rng(0), deviation=0)
    found = evaluate(inputs(strategy=replace(still, trades=pd.DataFrame({"pnl": []}))))
    assert found["strategy"]["sharpe"]["value"] is None
    assert found["strategy"]["win_rate"] == {"value": None, "low": None, "high": None}
    assert found["verdict"]["edge"] == "not proven"
    json.dumps(found, allow_nan=False)


def test_a_ruined_account_is_evaluated():
    given = inputs()
    equity = given.strategy.equity.copy()
    equity[200:] = -50.0
    found = evaluate(replace(given, strategy=replace(given.strategy, equity=equity)))
    assert found["strategy"]["annual_return"]["value"] == -1
    assert found["strategy"]["max_drawdown"]["value"] == -1
    json.dumps(found, allow_nan=False)


def test_hours_are_judged_by_their_days():
    given = inputs(n_bars=2401)
    hours = pd.date_range("2021-04-01", periods=2401, freq="1h", tz="UTC")
    market = replace(given.market, timeframe="1h", calendar="24/7", horizon=120)
    found = evaluate(replace(given, timestamps=hours, market=market))
    assert found["period"]["days"] == 101  # 100 whole days, and the first hour of the next
    closes = given.strategy.equity[np.append(np.arange(23, 2400, 24), 2400)]
    returns = closes / np.append(given.strategy.equity[0], closes[:-1]) - 1
    assert found["strategy"]["sharpe"]["value"] == pytest.approx(
        float(metrics.sharpe(returns, 365))
    )
    assert 6 <= found["bootstrap"]["mean_block_days"] <= 15  # 120 hours are 5 days


def test_too_few_days_are_refused_with_the_number_needed():
    with pytest.raises(EvaluationError, match=r"sample: 18 days .* at least 20"):
        evaluate(inputs(n_bars=19))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"benchmark": "nasdaq"}, "'nasdaq' is not among the baselines"),
        ({"trials": 0}, "at least 1, or None"),
        ({"random_equity": np.ones((3, 5))}, r"\(3, 5\), expected \(R, 400\)"),
        ({"random_equity": np.full((3, 400), np.nan)}, "random_equity has values"),
        ({"without_rules": {"stop_loss": np.ones(3)}}, r"without stop_loss: .* shape \(400,\)"),
        ({"timestamps": pd.bdate_range("2010-01-04", periods=400)}, "must be UTC"),
        ({"timestamps": pd.DatetimeIndex(["2010-01-04"] * 400, tz="UTC")}, "each after"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        inputs(**changes)


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("equity", np.ones(3), r"strategy: equity has shape \(3,\)"),
        ("equity", np.zeros(400), "start above 0"),
        ("equity", np.full(400, np.inf), "finite"),
        ("exposure", np.full(400, np.nan), "strategy: exposure has values"),
        ("trades", pd.DataFrame({"pnl": [np.nan]}), "pnl that is not finite"),
    ],
)
def test_books_that_do_not_fit_are_refused_by_name(part, value, says):
    broken: AccountView = replace(inputs().strategy, **{part: value})
    with pytest.raises(ValueError, match=says):
        inputs(strategy=broken)
