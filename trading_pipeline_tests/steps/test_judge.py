"""The harness for anyone's own model gives the network what its own report gives it."""

from datetime import date

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.learning.inference import MODEL
from trading_pipeline.core.learning.targets import forward_returns
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel, volatility
from trading_pipeline.steps.evaluate import evaluate_market
from trading_pipeline.steps.freshness import predictions_fingerprint
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import folds_of, read_dataset
from trading_pipeline.steps.judge import judge
from trading_pipeline.steps.panel_file import PanelBars
from trading_pipeline_tests.defs.small_market import FIRST, MARKET, SECOND, SmallMarket, bars_until
from trading_pipeline_tests.synthetic import panel as synthetic

# What a table does not say: where it comes from, and how the network was made and came to speak.
_OWN = (
    "model", "origin", "starts", "heads", "validation", "warnings", "config_hash", "lineage",
    "assumptions",
)  # fmt: skip
_COUNTED = ("trials", "significance", "verdict")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two folds whose predictions prefer one share to the other, and forecast its volatility."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    made = SmallMarket(Home(root=str(tmp_path)), dg.DagsterInstance.ephemeral())
    made.store(bars_until("2002-09-01"))
    for fold in (FIRST, SECOND):
        made.bring("train", fold)
        _predict(made, fold)
    return made


def _predict(small: SmallMarket, key: str) -> None:
    data, store = read_dataset(small.home, small.plan), small.home.predictions(MARKET)
    fold, rng = folds_of(data.panel, small.plan.recipe)[key], np.random.default_rng(4)
    rows = np.arange(fold.test.first, fold.test.last + 1)
    t, n = (each.ravel() for each in np.meshgrid(rows, np.arange(2), indexing="ij"))
    told = {name: rng.random(len(t)) for name in ("p_down", "p_flat", "p_up", "position", "risk")}
    forecast = volatility(data.panel)[t, n] * rng.uniform(0.8, 1.25, len(t))
    table = (
        store.read([key])
        .iloc[:0]
        .reindex(range(len(t)))
        .assign(
            timestamp=data.panel.timestamps[t],
            symbol=np.array(data.panel.symbols)[n],
            model=MODEL,
            fold=key,
            score=rng.normal(0.0, 1.0, len(t)),
            volatility=forecast,
            half_life=20.0,
            **told,
        )
    )
    digest = small.home.checkpoints(MARKET).verify(key)
    store.write(key, table, predictions_fingerprint(data.panel, fold, digest))
    store.note_check(key, store.digest(key), passed=True)


@pytest.mark.long
@pytest.mark.slow
def test_the_network_s_own_predictions_give_the_figures_of_its_report(small, tmp_path):
    """Every one, from the same files; but for where they come from, and what counts trials."""
    own = evaluate_market(small.home, small.plan, 100_000.0)
    folder = small.home.predictions(MARKET).folder
    bars = PanelBars.stored(small.home, MARKET)
    done = judge(small.home, folder, bars, tmp_path / "judged", 100_000.0).evaluated
    assert own.summary["trials"] == 1
    assert done.summary["trials"] == 2
    assert (
        done.summary["significance"]["edge"]["effective_trials"] == 1
    )  # they are one and the same
    figures = [name for name in own.summary if name not in (*_OWN, *_COUNTED)]
    assert {"strategy", "baselines", "paired", "rules", "random", "data_hash"} < set(figures)
    assert {name: done.summary[name] for name in figures} == {
        name: own.summary[name] for name in figures
    }
    assert done.summary["verdict"]["edge"] == own.summary["verdict"]["edge"]
    for name in ("fills", "equity", "trades"):
        assert done.files[name].read_bytes() == own.files[name].read_bytes()
    table = pd.read_parquet(folder / f"{FIRST}.parquet").assign(score=lambda table: -table["score"])
    table.to_parquet(tmp_path / "other.parquet")
    other = judge(small.home, tmp_path / "other.parquet", bars, tmp_path / "judged", 100_000.0)
    assert other.evaluated.summary["trials"] == 3
    assert other.evaluated.series.equity[5] != own.series.equity[5]


@pytest.mark.long
@pytest.mark.slow
def test_calibrated_scores_give_the_same_figures_in_whatever_unit(home, tmp_path):
    """From the first fit on, a year after the first score that may be traded."""
    symbols = tuple(f"S{n}" for n in range(9))
    bars = Panel.of(synthetic(640, symbols, days="XNYS"), None)
    market = Market(name="nine", source="parquet", symbols=symbols, start=date(2020, 1, 1))
    ahead = forward_returns(bars.adjusted_open, market.horizon)
    rng = np.random.default_rng(2)
    score = np.where(np.isfinite(ahead), 20 * ahead, 0.0) + rng.normal(size=ahead.shape)
    t, n = (each.ravel() for each in np.indices(score.shape))
    table = pd.DataFrame(
        {"timestamp": bars.timestamps[t], "symbol": np.array(symbols)[n], "score": score[t, n]}
    )
    judged = PanelBars(market=market, panel=bars, aside=pd.DataFrame())
    found = []
    for unit in (1.0, 2.0**10):  # of two, so that no bit of a sum differs
        table.assign(score=unit * table["score"]).to_parquet(tmp_path / "mine.parquet")
        path = tmp_path / "mine.parquet"
        found.append(judge(home, path, judged, tmp_path / "out", 1e5, True).evaluated.summary)
    one, other = found
    assert one["period"]["start"][:10] == f"{bars.timestamps[311 + 252 + 21 + 1]:%Y-%m-%d}"
    assert one["strategy"] == other["strategy"]
    assert one["config_hash"] != other["config_hash"]
    assert "scores were calibrated on earlier dates alone, " in "".join(one["warnings"])
    assert not [each for each in other["warnings"] if "the scores of a date differ" in each]
