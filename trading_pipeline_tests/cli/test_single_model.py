"""`train` and `backtest` of one model: which bars are meant, and what is refused."""

import json

import pandas as pd
import pytest

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline_tests.synthetic import panel

SYMBOLS = ("AAPL", "IBM", "MSFT", "GOOG")  # of the market `sample`
TRAIN = ("train", "--model=ridge")


def of_sample(count: int) -> pd.DataFrame:
    """Random walks on the sessions of New York from 2001 on."""
    first = pd.Timestamp("2001-01-02", tz="UTC")
    days = trading_calendar("XNYS", "1d").sessions(first, first + pd.Timedelta(days=2 * count))
    stamps = days[:count].repeat(len(SYMBOLS))
    return panel(count, SYMBOLS, days="XNYS").assign(timestamp=stamps)


def store(folder, *markets: str) -> None:
    for market in markets:
        place = BarStore(folder / "home" / "raw" / market)
        place.merge(of_sample(300), pd.Timestamp("2024-01-01", tz="UTC"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["train", "--data-path=nope.parquet"], "nope.parquet does not exist"),
        (["train", "--until=2022-12-31"], "whose bars? Give --data-path PANEL.parquet, or"),
        (["train", "--until=soon"], "Invalid value for '--until'"),
        (["train", "--epochs=0"], "Invalid value for '--epochs'"),
        (["train", "--batch-size=7"], "Invalid value for '--batch-size'"),
        (["train", "--lr=0"], "must be between 0 and 1, such as 0.001"),
        (["train", "--lr=nan"], "must be between 0 and 1, such as 0.001"),
        (["train", "--model=ridge", "--epochs=3"], "ridge has no epochs: that is the network's"),
        (["train", "--calendar=XNYS"], "--calendar is for bars of your own: give --data-path"),
        (["train", "--data-path=x", "--model-path=model"], "such as best_model.pt, was model"),
        (["backtest", "--data-path=x.parquet"], "walk-forward --data-path x.parquet`"),
        (["backtest", "--start=2020-01-01"], "which model? --data-path, --start and --out are of"),
        (["backtest", "--strict"], "--strict is for bars of your own"),
        (["backtest", "--model-path=m.pt"], "whose bars? Give --data-path PANEL.parquet, or"),
        (["backtest", "--model-path=m.pt", "--preset=tiny"], "m.pt has a preset of its own"),
        (["backtest", "--model-path=m.pt", "--lr=0.1"], "m.pt has a learning_rate of its own"),
        (["backtest", "--model-path=m.pt", "--data-path=p.parquet"], "m.pt does not exist"),
        (["backtest", "--model-path=m.pt", "--market=nope"], "no market 'nope': "),
    ],
)
def test_a_mistake_is_named(run, folder, arguments, complaint):
    panel(400).to_parquet(folder / "p.parquet")
    code, said = run(*arguments)
    assert (code, complaint in said) == (2, True), said


@pytest.mark.slow
def test_the_folder_of_all_markets_is_no_panel_where_there_are_several(run, folder):
    """The specification's `--data-path data_storage/raw`: it is said which folder to give."""
    store(folder, "sample", "us_equities")
    code, said = run(*TRAIN, "--data-path=home/raw")
    assert code == 2
    assert "home/raw has the bars of sample, us_equities, and a model is of one market" in said
    assert "--data-path home/raw/us_equities, or --market us_equities as well" in said


@pytest.mark.slow
def test_too_few_bars_are_counted(run, folder):
    store(folder, "sample")
    code, said = run(*TRAIN, "--data-path=home/raw")
    assert (code, "300 bars are too few to train a model: 312 go into" in said) == (2, True)


@pytest.mark.slow
def test_bars_of_a_market_are_learned_from_by_its_own_settings_however_they_are_named(run, folder):
    """Its folder, the folder of all, or its name: the same bars, and the same model."""
    place = BarStore(folder / "home" / "raw" / "sample")
    place.merge(of_sample(800), pd.Timestamp("2024-01-01", tz="UTC"))
    made = []
    for options in (["--data-path=home/raw"], ["--data-path=home/raw/sample"], ["--market=sample"]):
        code, said = run(*TRAIN, *options, "--until=2003-12-31")
        assert code == 0, said
        assert "written: home/models/best_model.pt, which learned from" in said
        assert ("unchanged since" in said) == bool(made)
        made.append(CheckpointStore(folder / "home" / "models").verify("best_model"))
    assert len(set(made)) == 1
    checkpoint = CheckpointStore(folder / "home" / "models").read("best_model")
    assert checkpoint["recipe"]["market"]["costs"]["lot"] == 1  # as pipeline.toml says of sample
    assert checkpoint["last_target"].startswith("2003-12-31")
    code, said = run("backtest", "--data-path=home/raw", "--model-path=home/models/best_model.pt",
                     "--start=2003-12-31")  # fmt: skip
    assert (code, "test it with --start 2004-01-02" in said) == (2, True), said


@pytest.mark.long
@pytest.mark.slow
def test_a_file_of_ones_own_goes_from_bars_to_a_report(run, folder):
    """With its own budget, which is in the trial, and never over a file of somebody else's."""
    panel(640, SYMBOLS, days="XNYS").to_parquet(folder / "mine.parquet")
    asked = ("--data-path=mine.parquet", "--preset=tiny", "--epochs=1", "--batch-size=512")
    code, said = run("train", *asked, "--lr=0.002", "--until=2022-01-31", "--model-path=my/m.pt")
    assert code == 0, said
    assert "1 epochs of" in said
    training = CheckpointStore(folder / "my").read("m")["recipe"]["training"]
    assert (training["epochs"], training["learning_rate"]) == (1, 0.002)
    test = ("backtest", "--data-path=mine.parquet", "--model-path=my/m.pt", "--capital=5000")
    (folder / "taken").mkdir()
    (folder / "taken" / "fills.csv").write_text("precious")
    code, said = run(*test, "--out=taken")
    assert (code, "taken/fills.csv is not from this command" in said) == (2, True)
    code, said = run(*test)
    assert code == 0, said
    assert "Report: backtest/mine/report.html" in said
    summary = json.loads((folder / "backtest/mine/report.json").read_text())
    assert summary["period"]["start"].startswith("2022-02-01")
    assert summary["trials"] == 1
    code, said = run("trace", "backtest/mine/report.json", "strategy.sharpe.value")
    assert (code, "scores are those of one checkpoint" in said) == (0, True)
