"""The rivals of a market's model: made beside it, kept, reported, or trading in its place."""

import json

import dagster as dg
import pytest

from trading_pipeline.core.learning.rivals import boosting, lstm
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs import runs
from trading_pipeline.defs.assets.rivals import rival_predictions
from trading_pipeline.defs.jobs import asset_jobs
from trading_pipeline.steps.freshness import rivals_with, stale_rivals
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.lineage import report_is_current
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.defs.small_market import (
    FIRST,
    MARKET,
    SECOND,
    SmallMarket,
    bars_until,
    without_training,
)

CHEAP = ("ridge", "ridge_lags", "lightgbm")  # of the preset tiny


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Bars that end with the first of the folds."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr(boosting, "ROUNDS", 5)
    monkeypatch.setattr(lstm, "STEPS", 1)
    made = SmallMarket(Home(root=str(tmp_path)), dg.DagsterInstance.ephemeral())
    without_training(monkeypatch, made.trained)
    made.store(bars_until(SECOND))
    return made


def report(small) -> dict:
    return json.loads((small.home.report(MARKET) / "report.json").read_text())


def digests(small) -> dict[str, str]:
    return {
        model: small.home.beside(model).checkpoints(MARKET).verify(FIRST)
        for model in small.plan.rivals
    }


@pytest.mark.long
@pytest.mark.slow
def test_a_fold_comes_with_its_rivals_and_the_report_compares_them(small):
    """From one run: what each simpler model earns on the same bars, and the network's verdict."""
    assert small.run("retrain", FIRST).success
    files = {
        path.relative_to(small.home.path / "predictions" / "small").as_posix()
        for path in (small.home.path / "predictions" / "small").rglob("*.parquet")
    }
    assert files == {f"{FIRST}.parquet", *(f"{model}/{FIRST}.parquet" for model in CHEAP)}
    made = report(small)
    assert set(CHEAP) < set(made["baselines"])
    assert "lstm" not in made["baselines"]
    assert all("sharpe_difference" in made["paired"][model] for model in CHEAP)
    # Two symbols are no cross-section: all hold the benchmark, so that none is better.
    assert made["verdict"]["network"] == "not asked"
    assert made["verdict"]["network_reasons"][0].startswith("With fewer than 8 symbols ")
    assert {row["head"] for row in made["heads"]} == {"direction", "position", "volatility", "risk"}
    page = (small.home.report(MARKET) / "report.html").read_text()
    assert "LightGBM" in page
    assert "Ridge with lags" in page


@pytest.mark.long
@pytest.mark.slow
def test_rivals_that_are_up_to_date_are_kept(small):
    """A second run fits nothing; a bar that is new in the fold brings predictions alone."""
    assert small.run("train", FIRST).success
    before = digests(small)
    store = small.home.beside("ridge").predictions(MARKET)
    made_from = store.fingerprint(FIRST)
    result = small.run("rivals", FIRST)
    said = [
        each.metadata["trained"].value
        for each in result.asset_materializations_for_node("small__rival_predictions")
    ]
    assert len(said) == 3
    assert all(each.startswith("no") for each in said)
    assert store.fingerprint(FIRST) == made_from
    small.store(bars_until("2002-08-05"))
    assert runs.train(small.runner, small.plan).keys() >= {FIRST, SECOND} - {FIRST}
    assert digests(small) == before


@pytest.mark.slow
def test_training_brings_rivals_to_a_home_that_has_none(small):
    """Folds that were trained before there were rivals are not trained again for them."""
    small.bring("train", FIRST)
    assert runs.train(small.runner, small.plan) == {FIRST: "rivals"}
    assert small.trained == []
    assert set(digests(small)) == set(CHEAP)
    assert runs.without_rivals(small.home, small.plan, runs.read_panel(small.home, MARKET)) == []


@pytest.mark.slow
def test_a_rival_is_fitted_alone_where_it_is_asked_for(small):
    """As the web UI materializes the LSTM of a market whose network is as cheap."""
    key = dg.AssetKey(["small", "lstm_predictions"])
    done = dg.materialize(
        [rival_predictions(small.plan)],
        selection=[key],
        partition_key=FIRST,
        instance=small.instance,
        resources={"home": small.home, "progress": Progress()},
    )
    assert [each.asset_key for each in done.get_asset_materialization_events()] == [key]
    assert set(small.home.beside("lstm").predictions(MARKET).read([FIRST])["model"]) == {"lstm"}


@pytest.mark.long
@pytest.mark.slow
def test_damaged_predictions_of_a_rival_are_made_again(small):
    """A file that cannot be read is none."""
    assert small.run("train", FIRST).success
    file = small.home.beside("ridge").predictions(MARKET).folder / f"{FIRST}.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 4] + b"?" * 64 + whole[len(whole) // 4 + 64 :])
    assert small.run("rivals", FIRST).success
    assert len(small.home.beside("ridge").predictions(MARKET).read([FIRST]))


@pytest.mark.long
@pytest.mark.slow
def test_a_rival_that_is_out_of_date_is_left_out_of_the_report(small):
    """It would be compared on other bars than those of now; the verdict is told of it."""
    assert small.run("retrain", FIRST).success
    store = small.home.beside("ridge").predictions(MARKET)
    store.write(FIRST, store.read([FIRST]), "of other bars")
    (small.home.beside("ridge_lags").predictions(MARKET).folder / f"{FIRST}.parquet").unlink()
    assert not report_is_current(small.home, small.plan, 100_000.0)
    assert small.run("backtest").success
    assert {"ridge", "ridge_lags"}.isdisjoint(report(small)["baselines"])
    assert "lightgbm" in report(small)["baselines"]
    current = rivals_with(small.home, small.plan, read_panel(small.home, MARKET), [FIRST])
    assert current == ["lightgbm"]
    assert stale_rivals(small.home, small.plan, current) == ["ridge"]


@pytest.mark.long
@pytest.mark.slow
def test_a_rival_trades_in_the_place_of_the_network(small):
    """Its checkpoint is the market's own, and nothing else of the product knows a difference."""
    small.model = "ridge"
    assert small.run("retrain", FIRST).success
    assert small.trained == []
    assert set(small.home.predictions(MARKET).read([FIRST])["model"]) == {"ridge"}
    assert "ridge" not in report(small)["baselines"]
    assert report(small)["heads"] == []
    assert report(small)["verdict"]["network_reasons"] == [
        "The scores that were traded are those of ridge."
    ]
    assert small.run("production").success
    assert small.home.checkpoints(MARKET).read("best_model")["rival"]["name"] == "ridge"


@pytest.mark.long
@pytest.mark.slow
def test_the_best_model_of_a_fold_is_named_with_its_reason(small):
    """Of two symbols none can be told from another, and the simplest is taken."""
    small.model = "best"
    assert small.run("retrain", FIRST).success
    assert small.trained == [FIRST]
    checkpoint = small.home.checkpoints(MARKET).read(FIRST)
    assert set(checkpoint["choice"]["validation_information"]) == {*CHEAP, "lstm", "network"}
    assert report(small)["choices"][FIRST].startswith("ridge: validation has too few dates")
    page = (small.home.report(MARKET) / "report.html").read_text(encoding="utf-8")
    assert "<td>ridge: validation has too few dates" in page


def test_the_dear_one_is_fitted_beside_larger_networks():
    """An LSTM costs as much as the network of the preset tiny."""
    selected = {
        preset: str(asset_jobs(Plan(MARKET, preset=preset))["train"].selection)
        for preset in ("tiny", "small")
    }
    assert "lstm_predictions" in selected["small"]
    assert "lstm_predictions" not in selected["tiny"]
