"""The whole chain through Dagster on real bars, with small models: what the demo does."""

import asyncio
import json
import re

import pandas as pd
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from trading_pipeline.cli import explain as command
from trading_pipeline.core.backtest.sweep import grid_of_limits, sweep
from trading_pipeline.core.explain.explanation import explain
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.inference import Predictor
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.definitions import build, plan_of
from trading_pipeline.defs import runs
from trading_pipeline.defs.instance import local_instance
from trading_pipeline.defs.paper import run_session
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline.errors import LookAheadError, TradingPipelineError
from trading_pipeline.steps import demo as proofs
from trading_pipeline.steps.inputs import read_dataset
from trading_pipeline.steps.session import journalled_orders
from trading_pipeline.steps.sweep import sweep_market
from trading_pipeline_tests.cli.running import running

pytestmark = pytest.mark.slow


def one_thread(basis, terms, profiles, watch):
    return sweep(basis, terms, profiles, threads=1, watch=watch)


def report_folder(settings):
    return settings.home / "reports" / "sample"


def test_the_chain_ends_in_a_report(finished, settings):
    assert finished["days"] == ("2000-03-01", "2007-12-31")
    assert finished["folds"] == {"2006-01-01": "train", "2007-01-01": "train"}
    assert finished["reported"]
    assert "sample: quality of the data" in (report_folder(settings) / "quality.html").read_text()
    summary = json.loads((report_folder(settings) / "report.json").read_text())
    assert summary["market"] == "sample"
    assert summary["period"]["start"].startswith("2006-01-03")
    assert summary["period"]["end"].startswith("2007-12-31")
    assert summary["trials"] == 1
    assert summary["verdict"]["edge"] in ("proven", "not proven")
    assert 0 <= summary["random_percentile"] <= 1
    assert {"buy_and_hold", "equal_weight", "cash"} <= set(summary["baselines"])
    for name in ("sharpe", "sortino", "max_drawdown", "win_rate", "profit_factor", "calmar"):
        assert {"value", "low", "high"} <= set(summary["strategy"][name])


def test_nothing_of_a_finished_chain_is_amber_in_the_web_ui(finished, settings, own_instance):
    """Neither stale nor late, and no check warns: a newcomer's first look at the graph is green.

    Of the sessions, the first and the last ones are asked: each takes its time.
    """
    graph = build(settings).resolve_asset_graph()
    with local_instance(settings.home) as instance:
        context = LoadingContextForTest(instance)
        resolver = CachingStaleStatusResolver(instance, graph, context)
        made, amber = set(), []
        for key in graph.materializable_asset_keys:
            node = graph.get(key)
            made_of = sorted(instance.get_materialized_partitions(key))
            asked = [*made_of[:3], *made_of[3:][-3:]] if node.partitions_def else [None]
            told = {resolver.get_status(key, partition) for partition in asked}
            made |= {key.path[-1]} if StaleStatus.FRESH in told else set()
            amber += [key] if StaleStatus.STALE in told else []
            if policy := node.freshness_policy:
                judge = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(policy)]
                state = asyncio.run(judge.evaluate_freshness(context, node))
                amber += [key] if state in (FreshnessState.WARN, FreshnessState.FAIL) else []
        checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            sorted(graph.asset_check_keys, key=str)
        )
    ended = AssetCheckExecutionRecordStatus.SUCCEEDED
    amber += [key for key, record in checks.items() if record.status != ended]
    assert amber == []
    assert {"raw_bars", "features", "model_checkpoint", "predictions", "backtest_report"} <= made
    assert {"bars_are_plausible", "features_do_not_look_ahead", "accounts_balance"} <= {
        key.name for key in checks
    }


def test_the_report_uses_out_of_sample_predictions_only(finished, settings):
    predictions = pd.read_csv(report_folder(settings) / "predictions.csv")
    assert (predictions["timestamp"].str[:4] == predictions["fold"].str[:4]).all()
    assert set(predictions["fold"]) == {"2006-01-01", "2007-01-01"}


def test_a_second_run_with_nothing_new_does_nothing(finished, settings, own_instance):
    before = {path: path.stat().st_mtime_ns for path in report_folder(settings).iterdir()}
    with running(settings) as run:
        plan = plan_of(settings, "sample")
        assert runs.download(run, plan) is None
        assert runs.train(run, plan) == {}
        assert not runs.backtest(run, plan, 100_000.0)
    assert {path: path.stat().st_mtime_ns for path in report_folder(settings).iterdir()} == before


def test_commands_that_had_nothing_to_do_say_since_when(finished, settings, run, monkeypatch):
    monkeypatch.setenv("TP_HOME", str(settings.home))
    monkeypatch.setenv("TP_MARKETS__SAMPLE__END", "2008-01-01")
    for name, text in (
        ("download", "sample: up to date, unchanged since 20"),
        ("train", "sample: all folds are up to date, unchanged since 20"),
        ("backtest", "settings and trials are those of then: unchanged since 20"),
    ):
        code, said = run(name)
        assert (code, text in said) == (0, True), said


def test_a_training_says_which_fold_of_how_many_it_is_at(finished):
    assert finished["told"][0] == "sample: fold 1 of 2, 2006-01-01"
    assert re.fullmatch(
        r"sample: fold 2 of 2, 2007-01-01, about \d+(\.\d)? (s|min|h) left", finished["told"][1]
    )


@pytest.mark.long
def test_a_sweep_makes_the_report_stale_and_the_next_one_counts_its_trials(
    finished, settings, own_instance
):
    plan = plan_of(settings, "sample")
    trials = lambda: json.loads((report_folder(settings) / "report.json").read_text())["trials"]  # noqa: E731
    with running(settings) as run:
        runs.backtest(run, plan, 100_000.0)
        before = trials()
        grid = grid_of_limits(profile_of(plan.market), {"stop_loss": [2.25, 4.25]})
        sweep_market(run.home, plan, grid, 100_000.0, one_thread, lambda label: lambda *_: None)
        assert runs.backtest(run, plan, 100_000.0)
        assert trials() == before + 2
        assert not runs.backtest(run, plan, 100_000.0)


@pytest.mark.long
def test_a_repeated_evaluation_is_one_trial_and_another_variant_is_two(
    finished, settings, own_instance
):
    plan = plan_of(settings, "sample")
    with running(settings) as run:
        runs.backtest(run, plan, 50_000.0)
    before = json.loads((report_folder(settings) / "report.json").read_text())["trials"]
    entry = settings.markets["sample"].model_copy(update={"profile": "aggressive"})
    variant = settings.model_copy(update={"markets": {"sample": entry}})
    with running(variant) as run:
        runs.backtest(run, plan_of(variant, "sample"), 50_000.0)
    after = json.loads((report_folder(settings) / "report.json").read_text())["trials"]
    assert (before, after) == (3, 4)  # itself and two of a sweep; the capital is no configuration


def test_a_report_that_does_not_add_up_fails_its_check(finished, settings):
    from trading_pipeline.adapters.reports.audit import audit

    folder = report_folder(settings)
    assert audit(folder, 1e-6) == []
    whole = (folder / "fills.csv").read_text()
    fills = pd.read_csv(folder / "fills.csv")
    fills.loc[3, "fee"] += 5.0
    fills.to_csv(folder / "fills.csv", index=False)
    try:
        assert "cash is not what fills and cash flows leave: off by" in audit(folder, 1e-6)[0]
    finally:
        (folder / "fills.csv").write_text(whole)


@pytest.mark.long
def test_a_tampered_checkpoint_is_trained_again_and_never_used(finished, settings, own_instance):
    plan = plan_of(settings, "sample")
    path = settings.home / "models" / "sample" / "2007-01-01.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with running(settings) as run:
        with pytest.raises(TradingPipelineError, match="not the file that was written"):
            runs.backtest(run, plan, 70_000.0)
        assert runs.train(run, plan) == {"2007-01-01": "train"}


def test_models_of_other_settings_are_not_reported_on(finished, settings, own_instance):
    """Another horizon or size needs other models; the old ones are refused by name."""
    for change, complaint in (
        ({"horizon": 10}, r"market differs in \['horizon'\]"),
        ({"preset": "small"}, "model settings differ"),
    ):
        entry = settings.markets["sample"].model_copy(update=change)
        other = settings.model_copy(update={"markets": {"sample": entry}})
        with running(other) as run, pytest.raises(TradingPipelineError, match=complaint):
            runs.backtest(run, plan_of(other, "sample"), 80_000.0)


def test_paper_trading_makes_the_orders_of_the_report(finished, settings, own_instance):
    """Through the Dagster job, for the first weeks; two years are compared elsewhere."""
    plan = plan_of(settings, "sample")
    config = {"session": "backtest", "capital": 100_000.0, "end": "2006-01-20"}
    with running(settings) as run:
        runs.backtest(run, plan, 100_000.0)
        account = run_session(run, plan, config)
        again = run_session(run, plan, config)
        orders = pd.read_csv(report_folder(settings) / "orders.csv")
        with run.home.ledger() as ledger:
            from trading_pipeline.steps.identity import compare
            from trading_pipeline.steps.past_session import eligibility_of
            from trading_pipeline.steps.session import journalled_orders

            journalled = journalled_orders(ledger, "paper/sample/backtest")
            able = eligibility_of(plan.recipe.model.n_steps)
            store = run.home.recordings(plan.market)
            assert compare(ledger, plan.market, store, "backtest", able).same
    assert "2006-01-20" in account
    assert "2006-01-20" in again
    cut = orders[orders["decided_at"] < "2006-01-20"]
    mine = journalled[journalled["decided_at"] < "2006-01-20"]
    assert len(cut) > 0
    assert mine["client_order_id"].tolist() == cut["client_order_id"].tolist()
    assert mine["quantity"].tolist() == cut["quantity"].tolist()


@pytest.mark.long
def test_on_the_sample_market_the_figures_are_those_of_the_report(
    finished, settings, own_instance, monkeypatch, run
):
    """Every order, fill and veto of the report's files, found again; and nothing is written."""
    with running(settings) as runner:
        runs.backtest(runner, plan_of(settings, "sample"), 100_000.0)
    monkeypatch.setattr(command, "settings_of", lambda *_: settings)
    before = {path: path.stat().st_mtime_ns for path in settings.home.rglob("*")}
    again, grid, window = command._rerun("sample", None, None, 100_000.0)
    stored = settings.home / "reports" / "sample"
    orders, fills, vetoes = (
        pd.read_csv(stored / f"{name}.csv") for name in ("orders", "fills", "vetoes")
    )
    bars, symbols = range(len(again.result.log) - 1), range(4)
    all_of_it = [explain(again, k, n, grid, burn_in(window), window) for k in bars for n in symbols]
    mine = [why.order for why in all_of_it if why.order]
    assert [each.client_order_id for each in mine] == orders["client_order_id"].tolist()
    assert [each.quantity for each in mine] == orders["quantity"].tolist()
    filled = [(why.symbol, each) for why in all_of_it for each in why.became if each.quantity]
    filled.sort(key=lambda pair: (pair[1].at, pair[1].kind != "order"))
    assert sorted(each.price for _, each in filled) == sorted(fills["price"])
    assert [each.kind for _, each in filled] == fills["kind"].tolist()
    assert sum(len(why.vetoes) for why in all_of_it) == len(vetoes)
    assert all(why.eligible == all(each.met for each in why.eligibility) for why in all_of_it)
    code, said = run("explain", "--at", "2006-02-01", "--symbol", "AAPL")
    assert code == 0
    assert "Prediction of the model of fold 2006-01-01" in said
    assert {path: path.stat().st_mtime_ns for path in settings.home.rglob("*")} == before


def test_a_paper_session_is_explained_as_the_backtest_of_its_days(
    finished, settings, own_instance, monkeypatch, run
):
    """On real bars, from what it recorded: the order that it journalled, and figure by figure what
    the backtest says of the same decision."""
    with running(settings) as runner:
        config = {"session": "backtest", "capital": 100_000.0, "end": "2006-02-10"}
        run_session(runner, plan_of(settings, "sample"), config)
        with runner.home.ledger() as ledger:
            orders = journalled_orders(ledger, "paper/sample/backtest")
    order = orders[orders["decided_at"] < "2006-02-08"].iloc[-1]
    monkeypatch.setattr(command, "settings_of", lambda *_: settings)
    asked = ("explain", "--at", order["decided_at"][:10], "--symbol", order["symbol"])
    read = json.JSONDecoder().raw_decode  # what it works on is said after it
    why, of_backtest = (
        read(run(*asked, "--json", *more)[1])[0] for more in (("--session", "backtest"), ())
    )
    assert why["order"]["client_order_id"] == order["client_order_id"]
    assert why["order"]["quantity"] == order["quantity"]
    # A recording has the score alone, and a trade goes on in the backtest.
    apart = {name for name in why if why[name] != of_backtest[name]}
    assert apart <= {"session", "prediction", "trades"}
    assert why["prediction"]["score"] == of_backtest["prediction"]["score"]
    code, said = run(*asked, "--session", "backtest")
    assert code == 0
    assert f"{order['symbol']} in the session backtest of sample, decided at the close of" in said
    assert "Prediction as the session recorded it head says which means score" in said
    assert "p_down" not in said
    code, said = run(*asked, "--session", "nobody")
    assert code == 2
    assert "paper/sample/nobody has lived through no bar; there are: paper/sample/backtest" in said


def test_a_night_brings_bars_and_a_production_model(finished, settings, own_instance):
    """The job of the schedule, for the last days of the year; then its model is asked to cheat."""
    with running(settings) as run:
        run.run("sample_nightly", tags=range_tags("2007-12-27", "2007-12-31"))
        checkpoint = run.home.checkpoints(settings.market("sample")).read("best_model")
        data = read_dataset(run.home, plan_of(settings, "sample"))
    assert checkpoint["last_target"].startswith("2007-12-31")
    with pytest.raises(LookAheadError, match="has learned from bars up to 2007-12-31"):
        Predictor(checkpoint).step(data, len(data.panel.timestamps) - 1)


@pytest.mark.long
def test_new_bars_refresh_predictions_and_report(finished, settings, own_instance):
    """The job of the sensor: the running fold and the report in one run."""
    report = report_folder(settings) / "report.json"
    before = report.stat().st_mtime_ns
    with running(settings) as run:
        run.run("sample_refresh", partition_key="2007-01-01")
    assert report.stat().st_mtime_ns > before


@pytest.mark.long
def test_the_demo_proves_what_it_says(finished, settings, own_instance):
    plan = plan_of(settings, "sample")
    with running(settings) as run:
        runs.backtest(run, plan, 30_000.0)
        assert proofs.planted_leak(run.home, plan.market).startswith("caught: ")
        proven = lambda: proofs.paper_equals_backtest(  # noqa: E731
            run.home, plan.market, 30_000.0, lambda terms: run_session(run, plan, terms)
        )
        assert proven().startswith("equal: ")
        assert proofs.traced_figure(run.home, plan.market).startswith("traced: a Sharpe ratio of ")
        report = report_folder(settings) / "report.json"
        whole = report.read_text()
        report.write_text(whole.replace(json.loads(whole)["data_hash"], "0" * 64))
        assert proofs.traced_figure(run.home, plan.market).startswith("NOT TRACED: bars other")
        report.write_text(whole)
        orders = report_folder(settings) / "orders.csv"
        orders.write_text(orders.read_text().replace(",buy,", ",sell,", 1))
        assert proven().startswith("NOT EQUAL")
