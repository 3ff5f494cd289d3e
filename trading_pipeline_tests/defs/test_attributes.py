"""What the web UI shows of every asset: whom to ask, what to do, and when it is late."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE

from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.sessions import longest_closure
from trading_pipeline.defs.attributes import ABOUT
from trading_pipeline.defs.instance import local_instance
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.errors import SettingsError
from trading_pipeline.settings import Settings
from trading_pipeline.steps.plan import Plan

LIVE = Market(name="live", source="sample", symbols=("IBM",), start=date(2008, 1, 2))
PLAN = Plan(LIVE, nightly=True)
ON_DEMAND = {"refit_comparison", "paper_divergence", "revised_bars"}
CODE = "dagster/code_references"


def specs_of(plan: Plan) -> dict[str, dg.AssetSpec]:
    made = market_definitions(plan).assets
    specs = [each.specs if isinstance(each, dg.AssetsDefinition) else [each] for each in made]
    return {spec.key.path[-1]: spec for some in specs for spec in some}


def fresh(plan: Plan) -> set[str]:
    return {name for name, spec in specs_of(plan).items() if spec.freshness_policy}


def test_every_asset_says_whom_to_ask_what_for_and_what_to_do():
    specs = specs_of(replace(PLAN, owner="quants@example.com"))
    assert set(specs) == set(ABOUT)
    for name, spec in specs.items():
        assert list(spec.owners) == ["quants@example.com"]
        assert spec.group_name == "live"
        assert spec.kinds, name
        assert spec.tags["source"] == "sample"
        assert spec.tags["layer"] in {"data", "features", "model", "report", "trading"}
        for part in ("**What for:**", "**When it fails:**", "**Freshness:**"):
            assert part in spec.description
    assert len({spec.description for spec in specs.values()}) == len(specs)


def test_links_lead_to_the_lines_that_declare_an_asset_and_to_what_it_does():
    for name, spec in specs_of(PLAN).items():
        declared, does = spec.metadata[CODE].code_references
        line = Path(declared.file_path).read_text().splitlines()[declared.line_number - 1]
        assert line.startswith("def ")
        assert line[4:].split("(")[0] == ABOUT[name].declared.__name__
        assert "steps" in does.file_path or "store" in does.file_path
        assert Path(does.file_path).is_file()


def test_what_a_night_renews_is_late_one_day_and_what_nobody_renews_never():
    rivals = {f"{model}_predictions" for model in PLAN.rivals}
    nightly = {"raw_bars", "corporate_actions", "features", "production_model", "predictions"}
    folds = {"model_checkpoint", "backtest_report"}
    assert fresh(PLAN) == nightly | folds | rivals
    assert not ON_DEMAND & fresh(PLAN)
    for name in ON_DEMAND:
        assert "none is expected" in specs_of(PLAN)[name].description


def test_a_market_whose_night_does_not_start_by_itself_is_never_late():
    """Of the demo, say, which ends in 2013: nobody is to see amber there."""
    assert not fresh(replace(PLAN, nightly=False))
    assert not fresh(replace(PLAN, market=replace(LIVE, end=date(2013, 3, 2))))


def test_a_rival_that_no_job_fits_is_never_late():
    tiny = replace(PLAN, preset="tiny")
    assert fresh(PLAN) - fresh(tiny) == {"lstm_predictions"}
    assert fresh(tiny) <= fresh(PLAN)


@pytest.mark.parametrize(("calendar", "days"), [("XNYS", 5), ("24/7", 1), ("XTKS", 11)])
def test_bars_are_late_only_after_the_longest_closure_that_there_was(calendar, days):
    """A deadline by the clock would turn red on Thanksgiving."""
    assert longest_closure(calendar) == timedelta(days=days)
    spec = specs_of(replace(PLAN, market=replace(LIVE, calendar=calendar)))["raw_bars"]
    assert spec.freshness_policy.fail_window.to_timedelta() == timedelta(days=days, hours=12)
    assert spec.freshness_policy.warn_window.to_timedelta() == timedelta(days=days, hours=6)


def test_the_daemon_of_a_home_looks_at_freshness(tmp_path, no_dagster_home):
    with local_instance(tmp_path) as instance:
        assert instance.get_settings("freshness") == {"enabled": True}
        assert instance.freshness_enabled
    policy = specs_of(PLAN)["raw_bars"].freshness_policy
    assert type(policy) in FRESHNESS_EVALUATORS_BY_POLICY_TYPE


@pytest.mark.parametrize("owner", ["trading", "team:", "a b@c.d"])
def test_an_owner_that_dagster_would_not_show_is_refused(monkeypatch, owner):
    monkeypatch.setenv("TP_MARKETS__SAMPLE__OWNER", owner)
    with pytest.raises(SettingsError, match=r"owner"):
        Settings.read()


def test_a_source_of_ones_own_is_a_tag_that_dagster_takes():
    specs = specs_of(replace(PLAN, market=replace(LIVE, source="my.module:CsvFolder")))
    assert {spec.tags["source"] for spec in specs.values()} == {"my.module.CsvFolder"}
