"""The blocking check of predictions, and the command, on stored files."""

import dagster as dg
import pytest

from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.leakage.experiment import FEATURES
from trading_pipeline.core.learning import dataset as dataset_module
from trading_pipeline.core.learning.dataset import features_of
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.checks.models import predictions_do_not_look_ahead
from trading_pipeline.steps import inputs
from trading_pipeline.steps import leakage as module
from trading_pipeline.steps.leakage import MODEL, examine_market
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.core.learning.checkpoints import untrained
from trading_pipeline_tests.core.learning.sample_market import (
    KEY,
    MARKET,
    dataset,
    fold,
    panel,
    recipe,
)

PLAN = Plan(MARKET, preset="tiny")


@pytest.fixture(scope="module")
def model():
    """A checkpoint, and what it says of the first days of its fold."""
    checkpoint = untrained()
    rows = Rows(fold().test.first, fold().test.first + 6)
    return checkpoint, predict_rows(Predictor(checkpoint), dataset(), rows, KEY)


@pytest.fixture
def stored(home, model, monkeypatch):
    """Features, a checkpoint and predictions of the sample market; bars come from memory."""
    checkpoint, said = model
    monkeypatch.setattr(Plan, "recipe", recipe())
    for each in (inputs, module):
        monkeypatch.setattr(each, "read_panel", lambda home, market: panel())
    home.features(MARKET).write(features_of(panel(), MARKET.calendar), catalog_hash())
    home.checkpoints(MARKET).write(KEY, checkpoint)
    home.predictions(MARKET).write(KEY, said, "made from these")
    return home


def check(home, instance):
    """The check's evaluation, run by Dagster on an asset that exists."""
    job = dg.define_asset_job("check", dg.AssetSelection.all_asset_checks())
    location = dg.Definitions(
        assets=[dg.AssetSpec([MARKET.name, "predictions"])],
        asset_checks=[predictions_do_not_look_ahead(PLAN)],
        jobs=[job],
        resources={"home": home},
    )
    result = location.resolve_job_def("check").execute_in_process(
        instance=instance, raise_on_error=False
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


@pytest.mark.long
@pytest.mark.slow
def test_clean_predictions_pass_and_altered_ones_do_not(stored, instance, model):
    """What was found is kept beside them, for the report and for the next training."""
    passed = check(stored, instance)
    assert passed.passed
    assert passed.blocking
    assert "| orders | scrambling | bars become noise at 3 dates" in str(
        passed.metadata["examined"].value
    )
    assert stored.predictions(MARKET).passed(KEY) is True
    said = model[1]
    later = said.groupby("symbol")["volatility"].shift(-1).fillna(0.01)
    stored.predictions(MARKET).write(KEY, said.assign(volatility=later), "made from these")
    failed = check(stored, instance)
    assert not failed.passed
    assert (
        f"predictions, stored: volatility of {said['symbol'][0]} at 2006-01-03"
        in failed.description
    )
    assert stored.predictions(MARKET).passed(KEY) is False


@pytest.mark.long
@pytest.mark.slow
def test_all_stages_of_a_market_are_examined(stored):
    examined, skipped = examine_market(
        stored, PLAN, 2, lambda label: Progress().start(label, print)
    )
    assert not any(each.leaks for each in examined)
    assert {each.stage for each in examined} == {
        *(FEATURES, "universe", "training", "scaled inputs", "predictions", "orders")
    }
    assert list(skipped) == [f"{MODEL} of 2007-01-01"]  # which was not trained
    assert "2007-01-01" in skipped[f"{MODEL} of 2007-01-01"]


@pytest.mark.long
@pytest.mark.slow
def test_a_market_without_features_skips_what_needs_them_and_says_so(stored):
    stored.features(MARKET).path.unlink()
    examined, skipped = examine_market(
        stored, PLAN, 1, lambda label: Progress().start(label, print)
    )
    assert {each.stage for each in examined} == {FEATURES, "universe", "training"}
    assert set(skipped) == {"features, stored", MODEL}


@pytest.mark.long
@pytest.mark.slow
def test_a_planted_leak_is_found_in_the_whole_market(stored, monkeypatch):
    true_features = dataset_module.compute_features

    def leaking(bars, calendar=None):
        table = true_features(bars, calendar=calendar)
        return table.assign(ret_1=table.groupby("symbol")["ret_1"].shift(-1))

    monkeypatch.setattr(dataset_module, "compute_features", leaking)
    examined, _ = examine_market(stored, PLAN, 1, lambda label: Progress().start(label, print))
    caught = {(each.stage, each.check) for each in examined if each.leaks}
    assert caught >= {
        *((FEATURES, each) for each in ("truncation", "scrambling", "stored")),
        *((stage, "scrambling") for stage in ("scaled inputs", "predictions")),
        ("training", "scaler"),
    }
