"""report.json: its contract, its reproducibility, and that the pieces are put together rightly."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation import metrics
from trading_pipeline.core.evaluation.performance import AccountView
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.core.evaluation.trials import Trials
from trading_pipeline.core.evaluation.warnings import TRIALS_UNKNOWN, UNPROVEN
from trading_pipeline.errors import EvaluationError
from trading_pipeline.settings import Settings
from trading_pipeline.settings_markets import MarketSettings
from trading_pipeline_tests.core.evaluation.books import book, closed_trades, inputs

CASH = book(np.random.default_rng(0), n_bars=3, deviation=0)


@pytest.fixture(scope="module")
def summary():
    return evaluate(inputs())


def test_summary_has_every_key_of_the_contract(summary):
    assert {
        "market", "period", "verdict", "strategy", "baselines", "scoreboard", "warnings", "trials",
        "data_hash", "code_version", "config_hash", "paired", "random_percentile", "rules",
        "significance",
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


@pytest.mark.slow
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


def test_how_sure_numbers_are_is_said_with_how_that_was_found(summary):
    (said,) = (each for each in summary["assumptions"] if "bootstrap" in each)
    assert said.startswith("Intervals are at 95 %: a stationary bootstrap of 200 histories")
    assert f"in blocks of {summary['bootstrap']['mean_block_days']} days on average" in said


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


@pytest.mark.slow
def test_a_result_far_above_every_baseline_is_proven():
    found = evaluate(inputs(n_bars=1500, mean=0.003))
    assert (found["verdict"]["edge"], found["verdict"]["adds"]) == ("proven", "proven")
    assert found["warnings"] == ["survivorship-biased"]
    assert found["random_percentile"] == 1.0


def test_an_ordinary_result_is_not_proven(summary):
    assert summary["verdict"]["edge"] == summary["verdict"]["adds"] == "not proven"
    assert summary["verdict"]["reasons"]
    assert summary["verdict"]["adds_reasons"]
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


@pytest.mark.slow
def test_both_information_coefficients_are_averaged_with_an_interval():
    """By whose scores they are, and by metric; those of the scores are metrics of the strategy."""
    dates = pd.bdate_range("2010-01-04", periods=300, tz="UTC")
    values = np.random.default_rng(0).normal(0.05, 0.1, 300)
    table = pd.DataFrame({"date": dates, "scores": values, "beyond": values / 2})
    ranks = table.assign(scores=-values)
    both = {"information_coefficient": table, "rank_information_coefficient": ranks}
    found = evaluate(inputs(ic=both))
    known = found["strategy"]["information_coefficient"]
    assert known["value"] == pytest.approx(values.mean())
    assert known["low"] < known["value"] < known["high"]
    assert found["strategy"]["rank_information_coefficient"]["value"] == -known["value"]
    assert found["information_coefficients"]["scores"]["information_coefficient"] == known
    beyond = found["information_coefficients"]["beyond"]["rank_information_coefficient"]
    assert beyond["value"] == pytest.approx(values.mean() / 2)
    assert tuple(found["strategy"]) == tuple(metrics.METRICS)
    assert evaluate(inputs())["information_coefficients"] == {}


def test_alpha_and_beta_are_to_the_benchmark(summary):
    """Of the benchmark itself they are 0 and 1, and of cash 0 both."""
    exactly = {"value": 1.0, "low": 1.0, "high": 1.0}
    assert summary["baselines"]["buy_and_hold"]["beta"] == pytest.approx(exactly)
    assert summary["baselines"]["buy_and_hold"]["alpha"]["high"] == pytest.approx(0, abs=1e-12)
    assert summary["baselines"]["cash"]["beta"]["value"] == 0
    assert summary["baselines"]["cash"]["alpha"] == {"value": 0, "low": 0, "high": 0}
    own = summary["strategy"]["alpha"]
    assert own["low"] < own["value"] < own["high"]
    to_cash = evaluate(inputs(benchmark="cash"))["strategy"]["beta"]
    assert to_cash == {"value": None, "low": None, "high": None}


def test_the_drawdown_of_another_history_holds_that_of_this_one():
    """One fall that no reordering of its days repeats is still within its own interval."""
    given = inputs()
    equity = given.strategy.equity.copy()
    equity[200:230] *= np.linspace(1, 0.3, 30)
    equity[230:] *= 0.3
    found = evaluate(replace(given, strategy=replace(given.strategy, equity=equity)))
    fall = found["strategy"]["max_drawdown"]
    assert fall["low"] <= fall["value"] <= fall["high"]


def test_unknown_trials_stay_unknown():
    found = evaluate(inputs(trials=None))
    assert found["trials"] is None
    assert any("Trials unknown" in reason for reason in found["verdict"]["reasons"])
    assert found["significance"]["edge"]["effective_trials"] is None
    assert found["significance"]["edge"]["deflated_sharpe"] is None
    assert TRIALS_UNKNOWN in found["warnings"]


@pytest.mark.slow
def test_trials_whose_returns_are_known_are_clustered_and_tested():
    given = inputs(n_bars=600)
    days, own = given.timestamps[1:], np.diff(given.strategy.equity) / given.strategy.equity[:-1]
    noise = np.random.default_rng(5).normal(0, 0.01, (599, 5))
    table = np.column_stack([own, own + 0.28 * noise[:, 0], noise[:, 1:]])
    trials = Trials(count=8, elsewhere=4, returns=pd.DataFrame(table, index=days))
    found = evaluate(replace(given, trials=trials))["significance"]
    assert (found["trials"], found["elsewhere"], found["known_trials"]) == (8, 4, 6)
    assert 0 < found["overfitting_probability"] < 1
    assert 0 < found["superiority_p_value"] < 1
    luck = {name: found[name]["expected_maximum_sharpe"] for name in ("edge", "adds")}
    assert luck["adds"] > luck["edge"] > 0
    assert found["edge"]["deflated_sharpe"] < found["edge"]["probabilistic_sharpe"]
    assert found["edge"]["effective_trials"] == 7  # the copy is no other, two are unknown
    assert found["adds"]["effective_trials"] == 8  # of its own the copy has less in common
    alpha = found["adds"]["alpha"]
    assert alpha["low"] < alpha["value"] < alpha["high"]


def test_warnings_stand_whatever_the_caller_says():
    """Neither an argument nor a setting takes them away."""
    found = evaluate(inputs(n_bars=200, trials=None, warnings=()))["warnings"]
    assert found[:2] == [UNPROVEN, TRIALS_UNKNOWN]
    assert "of 199 days no verdict is possible" in found[2]
    known = [*Settings.model_fields, *MarketSettings.model_fields]
    assert not [name for name in known if "warn" in name or "verdict" in name]


def test_each_profile_is_judged_by_its_own_run():
    given = inputs()
    other = book(np.random.default_rng(7), mean=0.002)
    found = evaluate(replace(given, profiles={"aggressive": other}))
    cells = {(cell["metric"], cell["profile"]): cell for cell in found["scoreboard"]}
    own, their = (cells["sharpe", name]["value"] for name in ("moderate", "aggressive"))
    assert own == found["strategy"]["sharpe"]["value"]
    assert their == pytest.approx(
        float(metrics.sharpe(np.diff(other.equity) / other.equity[:-1], 252))
    )
    assert cells["sharpe", "conservative"]["status"] == "Not run"


def test_a_book_that_never_trades_is_evaluated_without_a_number_made_up():
    still = book(np.random.default_rng(0), deviation=0)
    found = evaluate(inputs(strategy=replace(still, trades=closed_trades(np.array([])))))
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


def test_a_market_that_never_closes_has_its_own_year_and_its_own_crises():
    """Every day counts: alpha, turnover and the first year of a start are of 365 days."""
    given = inputs(n_bars=500, replications=50)
    days = pd.date_range("2020-01-01", periods=500, tz="UTC")
    found = evaluate(replace(given, timestamps=days, market=replace(given.market, calendar="24/7")))
    own, other = (
        view.equity[1:] / view.equity[:-1] - 1
        for view in (given.strategy, given.baselines["buy_and_hold"])
    )
    assert found["strategy"]["alpha"]["value"] == pytest.approx(
        float(metrics.alpha(own, other, 365))
    )
    traded = given.strategy.turnover[1:].mean()
    assert found["strategy"]["turnover"]["value"] == pytest.approx(365 * traded)
    assert found["periods"]["start_dates"]["year"] == 365
    assert [row["name"] for row in found["periods"]["crises"]] == ["Covid"]
    assert [row["days"] for row in found["periods"]["years"]] == [365, 134]


def test_made_up_bars_saw_no_crisis():
    """2018's falls are no part of a market that nobody ever traded."""
    given = inputs(n_bars=500, replications=50)
    given = replace(given, timestamps=pd.bdate_range("2018-01-01", periods=500, tz="UTC"))
    assert evaluate(given)["periods"]["crises"]
    made_up = replace(given, market=replace(given.market, source="synthetic"))
    assert evaluate(made_up)["periods"]["crises"] == []


def test_no_mean_exposure_is_said_to_be_beyond_what_is_allowed():
    """Half for a year, then whole: the interval alone would reach to more than all."""
    given = inputs(replications=50)
    held = np.where(np.arange(400) < 200, 0.5, 1.0)
    found = evaluate(replace(given, strategy=replace(given.strategy, exposure=held)))
    assert found["strategy"]["exposure"]["value"] < 1
    assert found["strategy"]["exposure"]["high"] == given.market.costs.leverage == 1


def test_a_learned_baseline_has_the_coefficient_of_its_scores():
    """Once among the metrics and once beside the scores: the same number."""
    draws = np.random.default_rng(0).normal(0.05, 0.1, (300, 3))
    table = pd.DataFrame(draws, columns=["scores", "ridge", "momentum"])
    dates = pd.bdate_range("2010-01-04", periods=300, tz="UTC")
    given = inputs(ic={"information_coefficient": table.assign(date=dates)}, replications=50)
    learned = {**given.baselines, "ridge": given.baselines["trend"]}
    found = evaluate(replace(given, baselines=learned))
    ridge = found["baselines"]["ridge"]["information_coefficient"]
    assert ridge == found["information_coefficients"]["ridge"]["information_coefficient"]
    assert ridge["value"] is not None
    assert found["baselines"]["momentum"]["information_coefficient"]["value"] is None


def test_too_few_days_are_refused_with_the_number_needed():
    with pytest.raises(EvaluationError, match=r"sample: 18 days .* at least 20"):
        evaluate(inputs(n_bars=19))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"benchmark": "nasdaq"}, "'nasdaq' is not among the baselines"),
        ({"profiles": {"aggressive": CASH}}, r"aggressive: equity has shape \(3,\)"),
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
        ("trades", closed_trades(np.array([np.nan])), "pnl that is not finite"),
    ],
)
def test_books_that_do_not_fit_are_refused_by_name(part, value, says):
    broken: AccountView = replace(inputs().strategy, **{part: value})
    with pytest.raises(ValueError, match=says):
        inputs(strategy=broken)
