"""Every stage from raw bars to orders: planted leaks are caught by name, the real code is clean."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.leakage import bars as bar_leakage
from trading_pipeline.core.leakage import fold as fold_leakage
from trading_pipeline.core.leakage import training as training_leakage
from trading_pipeline.core.leakage.bars import (
    BarStages,
    examine_bars,
    examine_stored_features,
    panel_of,
    raw_bars,
    sampled,
    scrambled_panel,
)
from trading_pipeline.core.leakage.experiment import examine, merged
from trading_pipeline.core.leakage.fold import (
    examine_fold,
    examine_model,
    examine_stored_predictions,
)
from trading_pipeline.core.leakage.training import examine_fit, examine_training
from trading_pipeline.core.learning import dataset as dataset_module
from trading_pipeline.core.learning import targets as targets_module
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.walkforward import Rows, fold_rows
from trading_pipeline.core.market.panel import Panel
from trading_pipeline_tests.core.learning.checkpoints import untrained
from trading_pipeline_tests.core.learning.random_market import (
    on_weekdays,
    random_market,
    recipe_for,
)
from trading_pipeline_tests.core.learning.sample_market import (
    MARKET,
    dataset,
    fold,
    panel,
    recipe,
)
from trading_pipeline_tests.core.trading.markets import random_panel


@pytest.fixture(scope="module")
def checkpoint():
    return untrained()


@pytest.fixture(scope="module")
def stored(checkpoint):
    rows = Rows(fold().test.first, fold().test.first + 8)
    return predict_rows(Predictor(checkpoint), dataset(), rows, fold().key)


def found(examined):
    """Stage and check of everything that leaked."""
    return {(each.stage, each.check) for each in examined if each.leaks}


# The clean pipeline


@pytest.mark.slow
def test_the_pipeline_raises_no_alarm_on_the_sample_market(checkpoint, stored):
    examined = examine_model(dataset(), fold(), recipe(), checkpoint, stored)
    assert found(examined) == set()
    assert all(each.values > 0 for each in examined)
    assert {(each.stage, each.check) for each in examined} == {
        *(("training", check) for check in ("targets", "gap", "window", "scaler", "fit")),
        *((stage, "truncation") for stage in ("universe", "scaled inputs")),
        *((stage, "scrambling") for stage in ("universe", "scaled inputs")),
        *(("predictions", check) for check in ("truncation", "scrambling", "stored")),
        *(("orders", check) for check in ("truncation", "scrambling")),
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [13, *(pytest.param(k, marks=pytest.mark.slow) for k in range(9))])
@pytest.mark.sampled(10)
def test_the_pipeline_raises_no_alarm_on_random_panels(seed):
    """With gaps, late listings, splits and dividends; all stages, an untrained network."""
    data, its_fold, its_recipe, its_checkpoint = random_market(seed)
    rows = Rows(its_fold.test.first, its_fold.test.first + 5)
    said = predict_rows(Predictor(its_checkpoint), data, rows, "f")
    examined = [
        *examine_bars(data.panel, "XNYS", count=2, seed=seed),
        *examine_model(data, its_fold, its_recipe, its_checkpoint, said, count=2, seed=seed),
    ]
    assert found(examined) == set()
    assert all(each.values > 0 for each in examined)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bars", [1, 2, *(pytest.param(each, marks=pytest.mark.slow) for each in (6, 13))]
)
@pytest.mark.sampled(4)
def test_a_fold_that_has_just_begun_is_examined(bars):
    """The first night has one bar and nothing after it to cut off; it must not crash."""
    data, whole, its_recipe, its_checkpoint = random_market(1)
    test = Rows(whole.test.first, whole.test.first + bars - 1)
    its_fold, known = replace(whole, test=test), data.panel.until(test.last + 1)
    data = Dataset.of(known, data.grid[: test.last + 1], its_recipe.model.n_steps)
    said = predict_rows(Predictor(its_checkpoint), data, test, "f")
    examined = examine_model(data, its_fold, its_recipe, its_checkpoint, said, count=2)
    assert found(examined) == set()
    compared = {(each.stage, each.check) for each in examined if each.values}
    assert compared >= {("training", "window"), ("predictions", "stored")}
    assert (("orders", "scrambling") in compared) == (bars > 1)
    assert len(examined) == 14

    later = said.assign(score=said["score"] + 0.1)
    (leak,) = examine_stored_predictions(data, its_fold, its_checkpoint, later).leaks
    assert leak.column == "score"


# Features and universe, from raw bars on


def stages_with(change):
    """The features of bars whose panel is not what it should be."""
    symbols = panel().symbols

    def stages(bars):
        return {"features": features_of(change(panel_of(bars, symbols)), MARKET.calendar)}

    return stages


def adjusted_back(of: Panel) -> Panel:
    """Prices as charts show them: the newest as traded, older ones by all splits since."""
    return replace(of, factor=of.factor / np.nanmax(np.where(of.traded, of.factor, np.nan), axis=0))


def rounded(of: Panel) -> Panel:
    """To cents after adjusting back, as a vendor's file has them: so later splits show."""
    back = adjusted_back(of)
    names = ("open", "high", "low", "close")
    cents = {name: np.round(getattr(back, name) * back.factor, 2) / back.factor for name in names}
    return replace(back, **cents)


def test_prices_adjusted_by_later_splits_are_caught():
    """Scale-free features only show it where such prices were rounded; their level always does."""
    bars = raw_bars(panel(), rows=Rows(1000, 1700))
    cut = panel().timestamps[1200:1201]
    leaks = examine(stages_with(rounded), bars, truncate=cut, scramble=cut)
    assert found(leaks) == {("features", "truncation"), ("features", "scrambling")}

    def levels(some):
        back = adjusted_back(panel_of(some, panel().symbols))
        return {"prices": back.adjusted_bars()}

    assert found(examine(levels, bars, truncate=cut)) == {("prices", "truncation")}

    def honest(some):
        return {"prices": panel_of(some, panel().symbols).adjusted_bars()}

    assert found(examine(honest, bars, truncate=cut, scramble=cut)) == set()


@pytest.mark.slow
def test_a_universe_chosen_by_future_volume_is_caught(monkeypatch):
    true_eligible = dataset_module.eligible

    def busiest(of, lookback, window):
        money = np.nanmean(of.close * of.volume, axis=0)
        return true_eligible(of, lookback, window=window) & (money == np.nanmax(money))

    monkeypatch.setattr(dataset_module, "eligible", busiest)
    leaks = examine_bars(panel().until(700), MARKET.calendar, count=2)
    assert found(leaks) == {("universe", "scrambling")}  # MSFT is the busiest at every cut


@pytest.mark.slow
def test_a_universe_that_is_a_bar_ahead_is_caught(monkeypatch):
    true_eligible = dataset_module.eligible

    def ahead(of, lookback, window):
        able = true_eligible(of, lookback, window=window)
        return np.vstack([able[1:], able[-1:]])

    monkeypatch.setattr(dataset_module, "eligible", ahead)
    leaks = examine_bars(panel().until(700), MARKET.calendar, count=2)
    assert ("universe", "truncation") in found(leaks)


@pytest.mark.parametrize(
    ("shifts", "checks"),
    [
        (lambda column: column.shift(-1), {"truncation", "scrambling"}),
        (lambda column: column.rank(pct=True), {"truncation", "scrambling", "start"}),
        (lambda column: column.bfill(), {"truncation"}),
    ],
    ids=["shifted by minus one", "ranked over dates", "back-filled"],
)
@pytest.mark.slow
def test_a_leaking_feature_of_the_catalog_is_caught(monkeypatch, shifts, checks):
    true_features = dataset_module.compute_features

    def leaking(bars, calendar=None):
        table = true_features(bars, calendar=calendar)
        return table.assign(ret_5=table.groupby("symbol")["ret_5"].transform(shifts))

    monkeypatch.setattr(dataset_module, "compute_features", leaking)
    monkeypatch.setattr(bar_leakage, "compute_features", leaking)
    leaks = [
        leak for each in examine_bars(panel().until(700), "XNYS", count=2) for leak in each.leaks
    ]
    assert {leak.column for leak in leaks} == {"ret_5"}
    assert {leak.check for leak in leaks} >= checks


def test_stored_features_that_differ_are_caught(monkeypatch):
    """The newest days too, on a market so large that only some days are compared."""
    table = features_of(panel(), MARKET.calendar)
    monkeypatch.setattr(bar_leakage, "STORED_WHOLE", 1000)

    def examined(rows):
        def read(start, end):
            return rows[(rows["timestamp"] >= start) & (rows["timestamp"] < end)]

        return examine_stored_features(panel(), MARKET.calendar, read)

    clean = examined(table)
    assert not clean.leaks
    assert clean.values == 42 * 60 * 4 or clean.values == 42 * 60 * 3
    newest = table.copy()
    newest.loc[newest.index[-1], "rsi_14"] += 0.001
    (leak,) = examined(newest).leaks
    assert (leak.check, leak.column, leak.timestamp) == (
        "stored",
        "rsi_14",
        table["timestamp"].iloc[-1],
    )
    (gone,) = examined(table.assign(symbol=table["symbol"].replace("IBM", "HAL"))).leaks[-1:]
    assert gone.column == "rows"
    assert not examined(table[:-4]).leaks  # a day that is not stored yet


# Scaled inputs, predictions, orders


def leaks_of_fold(checkpoint):
    """At its first date and its last: what looks ahead does so at each."""
    return found(examine_fold(panel(), fold(), recipe(), checkpoint, count=2))


@pytest.mark.slow
def test_a_scaler_of_the_whole_sample_is_caught(checkpoint, monkeypatch):
    """Predictions and orders change with it."""
    true_step = Predictor.step

    def step(self, data, row):
        self.scaler = Scaler.fit(data.grid)
        return true_step(self, data, row)

    monkeypatch.setattr(Predictor, "step", step)
    leaks = leaks_of_fold(checkpoint)
    assert leaks >= {("scaled inputs", "truncation"), ("scaled inputs", "scrambling")}
    assert leaks >= {("predictions", "truncation"), ("predictions", "scrambling")}


@pytest.mark.slow
def test_a_window_that_ends_tomorrow_is_caught(checkpoint, monkeypatch):
    true_step = Predictor.step

    def step(self, data, row):
        last = len(data.grid) - 1
        return true_step(self, replace(data, grid=np.roll(data.grid, -1, axis=0)), min(row, last))

    monkeypatch.setattr(Predictor, "step", step)
    leaks = leaks_of_fold(checkpoint)
    assert ("scaled inputs", "scrambling") in leaks
    assert ("predictions", "scrambling") in leaks


@pytest.mark.slow
def test_predictions_smoothed_with_the_next_one_are_caught(checkpoint, monkeypatch):
    true_rows = fold_leakage.predict_rows

    def smoothed(*arguments):
        table = true_rows(*arguments)
        after = table.groupby("symbol")["volatility"].shift(-1).fillna(table["volatility"])
        return table.assign(volatility=(table["volatility"] + after) / 2)

    monkeypatch.setattr(fold_leakage, "predict_rows", smoothed)
    leaks = leaks_of_fold(checkpoint)
    assert ("predictions", "truncation") in leaks
    assert ("predictions", "scrambling") in leaks
    assert not any(stage == "scaled inputs" for stage, _ in leaks)


@pytest.mark.slow
def test_orders_that_peek_at_the_next_open_are_caught(checkpoint, monkeypatch):
    """Scores that know what follows, which the predictions themselves do not."""
    true_simulate = fold_leakage.simulate

    def peeking(of, terms, inputs, **rows):
        known = np.log(np.roll(of.open, -1, axis=0) / of.close)
        known[-1] = np.nan
        score = np.where(np.isnan(known), inputs.score, known)
        return true_simulate(of, terms, replace(inputs, score=score), **rows)

    monkeypatch.setattr(fold_leakage, "simulate", peeking)
    leaks = leaks_of_fold(checkpoint)
    assert leaks == {("orders", "truncation"), ("orders", "scrambling")}


@pytest.mark.slow
def test_a_risk_rule_that_knows_the_next_close_is_caught(checkpoint, monkeypatch):
    """Sizing by a volatility that contains tomorrow changes orders and nothing before.

    The scores turn from bar to bar, so that there is something to size at every cut.
    """
    true_simulate = fold_leakage.simulate

    def turning(of, predictions):
        rows, columns = np.indices(of.close.shape)
        return np.where((rows + columns) % 2, 1.0, 0.5)

    def peeking(of, terms, inputs, **rows):
        ahead = np.abs(np.log(np.roll(of.close, -1, axis=0) / of.close))
        ahead[-1] = 0.02
        sigma = np.nan_to_num(ahead, nan=0.02) + 0.01
        return true_simulate(of, terms, replace(inputs, volatility=sigma), **rows)

    monkeypatch.setattr(fold_leakage, "score_grid", turning)
    assert leaks_of_fold(checkpoint) == set()
    monkeypatch.setattr(fold_leakage, "simulate", peeking)
    assert leaks_of_fold(checkpoint) == {
        ("orders", "truncation"),
        ("orders", "scrambling"),
    }


@pytest.mark.slow
def test_stored_predictions_that_are_not_the_checkpoints_are_caught(checkpoint, stored):
    """Such as a file that was smoothed after it was written."""
    assert not examine_stored_predictions(dataset(), fold(), checkpoint, stored).leaks
    after = stored.groupby("symbol")["volatility"].shift(-1).fillna(stored["volatility"])
    smoothed = stored.assign(volatility=(stored["volatility"] + after) / 2)
    leaks = examine_stored_predictions(dataset(), fold(), checkpoint, smoothed).leaks
    assert [(leak.check, leak.column) for leak in leaks] == [("stored", "volatility")]
    fewer = examine_stored_predictions(dataset(), fold(), checkpoint, stored[1:])
    assert [leak.column for leak in fewer.leaks] == ["rows"]


# Training


@pytest.mark.slow
def test_overlapping_folds_are_caught_in_the_arrays_themselves():
    """One bar too many is enough: its target touches the first open of what comes after."""
    true = fold()
    for name, checks in {"train": "validation", "validation": "the fold"}.items():
        rows = getattr(true, name)
        overlapping = replace(true, **{name: Rows(rows.first, rows.last + 1)})
        leaks = [
            leak for each in examine_training(panel(), overlapping, recipe()) for leak in each.leaks
        ]
        assert {leak.check for leak in leaks} >= {"targets", "gap"}, checks
        caught = [leak for leak in leaks if (leak.check, leak.column) == ("targets", "price")]
        assert caught[0].timestamp == panel().timestamps[rows.last + 1]
        assert caught[0].cut in (
            panel().timestamps[true.validation.first],
            panel().timestamps[true.test.first],
        )


def test_a_missing_embargo_is_caught():
    wider = replace(MARKET, walk_forward=replace(MARKET.walk_forward, embargo=3))
    leaks = examine_training(panel(), fold(), replace(recipe(), market=wider))
    assert found(leaks) == {("training", "gap")}


def test_targets_that_reach_a_bar_further_are_caught(monkeypatch):
    """Targets of horizon 22 under gaps for 21."""
    true_arrays = training_leakage.training_arrays

    def longer(data, its_fold, its_recipe):
        market = replace(its_recipe.market, horizon=its_recipe.market.horizon + 1)
        return true_arrays(data, its_fold, replace(its_recipe, market=market))

    monkeypatch.setattr(training_leakage, "training_arrays", longer)
    assert ("training", "targets") in found(examine_training(panel(), fold(), recipe()))


@pytest.mark.slow
def test_a_beta_of_the_whole_history_is_caught(monkeypatch):
    """It takes eight symbols to have a market that targets are rid of."""
    bars = on_weekdays(random_panel(1, T=560, N=9, missing=0.0))
    made = recipe_for(bars, 0)
    its_fold = fold_rows("f", burn_in(made.model.n_steps), 500, 559, made.market.horizon)
    assert not found(examine_training(bars, its_fold, made))

    def of_all_bars(whole):
        moves = np.diff(np.log(whole.adjusted_close), axis=0)
        risk = np.nanstd(moves, axis=0) / np.nanmean(np.nanstd(moves, axis=0))
        return np.tile(risk, (len(whole.timestamps), 1))

    monkeypatch.setattr(targets_module, "market_beta", of_all_bars)
    assert ("training", "targets") in found(examine_training(bars, its_fold, made))


@pytest.mark.slow
def test_a_target_used_as_a_feature_is_caught(monkeypatch):
    true_features = dataset_module.compute_features

    def leaking(bars, calendar=None):
        table = true_features(bars, calendar=calendar)
        opens = np.log(bars["open"]).groupby(bars["symbol"])
        target = opens.shift(-22) - opens.shift(-1)
        return table.assign(ret_21=target.to_numpy(np.float32))

    monkeypatch.setattr(dataset_module, "compute_features", leaking)
    examined = examine_bars(panel().until(700), "XNYS", count=2)
    leaks = [leak for each in examined for leak in each.leaks]
    assert {leak.column for leak in leaks} == {"ret_21"}
    assert {leak.check for leak in leaks} >= {"truncation", "scrambling"}
    # The features of the last training rows show the fold's bars, so training's arrays do too.
    assert ("training", "window") in found(examine_training(panel(), fold(), recipe()))


@pytest.mark.parametrize("beyond", ["validation", "test"])
def test_a_scaler_fitted_on_later_rows_is_caught(checkpoint, beyond):
    last = getattr(fold(), beyond).last
    leaking = Scaler.fit(dataset().grid[fold().train.first : last + 1])
    examined = examine_fit(dataset(), fold(), {**checkpoint, "scaler": leaking.to_dict()})
    assert {leak.check for leak in examined.leaks} == {"fit"}
    assert not examine_fit(dataset(), fold(), checkpoint).leaks


def test_one_row_too_many_for_the_scaler_is_caught(checkpoint):
    leaking = Scaler.fit(dataset().grid[fold().train.first : fold().train.last + 2])
    assert examine_fit(dataset(), fold(), {**checkpoint, "scaler": leaking.to_dict()}).leaks


@pytest.mark.slow
def test_training_that_is_given_more_than_its_window_is_caught(monkeypatch):
    """A scaler of all rows before the fold, and arrays that go on into it."""
    true_arrays = training_leakage.training_arrays

    def uncut(data, its_fold, its_recipe):
        rows = len(data.panel.timestamps)
        longer = replace(its_fold, test=Rows(rows, rows))
        _, targets, samples = true_arrays(data, longer, its_recipe)
        return Scaler.fit(data.grid[: its_fold.test.first]), targets, samples

    monkeypatch.setattr(training_leakage, "training_arrays", uncut)
    leaks = found(examine_training(panel(), fold(), recipe()))
    assert leaks == {("training", "window"), ("training", "scaler")}


# The experiments themselves


def test_raw_bars_and_their_panel_are_the_same_thing():
    made = panel_of(raw_bars(panel()), panel().symbols)
    for name in ("open", "volume", "split", "dividend", "factor"):
        np.testing.assert_array_equal(getattr(made, name), getattr(panel(), name))


def test_doubts_about_a_symbol_go_with_its_bars():
    """A quarantine that experiments forget would look like a leak."""
    true = panel().until(700)
    doubts = np.zeros(true.close.shape, dtype=bool)
    doubts[300:500, 0] = True
    doubted = replace(true, in_doubt=doubts)
    assert doubted.quarantined[300:500, 0].any()
    made = panel_of(raw_bars(doubted), doubted.symbols)
    np.testing.assert_array_equal(made.quarantined, doubted.quarantined)
    noisy = scrambled_panel(doubted, 400, seed=1)
    np.testing.assert_array_equal(noisy.in_doubt, doubts)
    assert true.data_hash(300) == doubted.data_hash(300)
    assert true.data_hash(301) != doubted.data_hash(301)


@pytest.mark.parametrize("actions", [True, False])
def test_a_scrambled_panel_keeps_its_past_and_who_has_a_bar(actions):
    true = random_panel(3, actions=actions)
    noisy = scrambled_panel(true, 100, seed=1)
    for name in ("open", "close", "volume", "split", "dividend", "factor"):
        np.testing.assert_array_equal(getattr(noisy, name)[:100], getattr(true, name)[:100])
    assert (noisy.traded == true.traded).all()
    later = true.traded[100:]
    assert (noisy.close[100:][later] != true.close[100:][later]).all()
    assert (noisy.split[100:] != 1).any()
    rebuilt = panel_of(raw_bars(noisy), noisy.symbols)
    np.testing.assert_array_equal(rebuilt.factor, noisy.factor)


def test_samples_of_a_large_market_hold_symbols_that_split():
    wide = random_panel(1, T=80, N=6)
    chosen = sampled(wide, Rows(0, 79), seed=5, count=4)
    assert len(chosen) == 4
    assert sampled(wide, Rows(0, 79), seed=5, count=4) == chosen
    only = Rows(*[int(np.flatnonzero((wide.split != 1).any(axis=1))[0])] * 2)
    splitting = wide.symbols[int(np.flatnonzero(wide.split[only.first] != 1)[0])]
    assert all(splitting in sampled(wide, only, seed, count=2) for seed in range(10))


def test_many_experiments_are_merged_into_one_line_each():
    bars = raw_bars(panel().until(400))
    stages = BarStages(panel().symbols, "XNYS", 60)
    cut = [panel().timestamps[350]]
    twice = [*examine(stages, bars, truncate=cut), *examine(stages, bars, truncate=cut)]
    rows = merged(twice)
    assert [(each.stage, each.check) for each in rows] == [
        ("features", "truncation"),
        ("universe", "truncation"),
    ]
    assert rows[0].values == 2 * twice[0].values
    assert rows[0].done == "bars end on 2001-07-20; and 1 more such"
    assert isinstance(cut[0], pd.Timestamp)
