"""One model is tested on bars that it has not seen, and on no others."""

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import torch

from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.core.learning.adhoc import unfitted_market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Progress
from trading_pipeline.errors import CheckpointError, EvaluationError, LookAheadError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.panel_file import PanelBars
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.single_model import Asked, _rows_to_test, backtest_once, train_once
from trading_pipeline.steps.train import Host
from trading_pipeline_tests.core.learning.checkpoints import made_up
from trading_pipeline_tests.synthetic import panel

DAYS, SEEN = 900, 700  # bars, and the row of the last one that a model has learned from


def bars_of(count: int = DAYS, symbols=("AAA", "BBB"), days: str = "XNYS") -> PanelBars:
    bars = panel(count, symbols, days=days)
    market, _, opened = unfitted_market(bars, "mine")
    return PanelBars(market=market, panel=Panel.of(opened, None), aside=pd.DataFrame())


def stored(folder: Path, bars: PanelBars, **changes: object) -> Path:
    """A sound checkpoint of these bars, whose last target touches the bar of row SEEN."""
    seen = bars.panel.timestamps[SEEN].isoformat()
    recipe = Plan(bars.market, preset="tiny").recipe
    made = made_up(recipe) | {"last_target": seen, **changes}
    CheckpointStore(folder).write("best_model", made)
    return folder / "best_model.pt"


@pytest.fixture(scope="module")
def daily():
    return bars_of()


@pytest.fixture
def path(tmp_path, daily):
    return stored(tmp_path / "models", daily)


def day(bars: PanelBars, row: int) -> date:
    return bars.panel.timestamps[row].date()


def test_the_bar_of_the_last_target_is_seen_and_the_next_one_is_not(home, daily, path):
    """The boundary, from both sides: a target that ends on a bar has used it."""
    checkpoint = CheckpointStore(path.parent).read(path.stem)
    clock = daily.panel.timestamps
    on, after = (Asked(path, day(daily, row), "X") for row in (SEEN, SEEN + 1))
    with pytest.raises(LookAheadError, match=f"has learned from bars up to {day(daily, SEEN)}, "):
        backtest_once(home, daily, on, home.path / "out", 1e5, lambda *_: None)
    assert not (home.path / "out").exists()
    assert _rows_to_test(clock, checkpoint, after).first == SEEN + 1
    unsaid = Asked(path, None, "X")
    assert _rows_to_test(clock, checkpoint, unsaid) == _rows_to_test(clock, checkpoint, after)


def test_a_day_without_a_bar_after_the_last_target_is_allowed(daily, path):
    """A Saturday after a Friday that was seen: what is decided on is the Monday."""
    checkpoint = CheckpointStore(path.parent).read(path.stem)
    clock = daily.panel.timestamps
    friday = next(row for row in range(SEEN, DAYS) if clock[row].dayofweek == 4)
    checkpoint["last_target"] = clock[friday].isoformat()
    asked = Asked(path, day(daily, friday) + timedelta(days=1), "X")
    assert _rows_to_test(clock, checkpoint, asked).first == friday + 1


def test_of_hourly_bars_a_day_that_was_seen_in_part_is_refused(path):
    clock = pd.date_range("2024-01-01", periods=96, freq="h", tz="UTC")
    checkpoint = {"last_target": clock[30].isoformat()}  # 06:00 on the second day
    with pytest.raises(LookAheadError):
        _rows_to_test(clock, checkpoint, Asked(path, date(2024, 1, 2), "X"))
    assert _rows_to_test(clock, checkpoint, Asked(path, date(2024, 1, 3), "X")).first == 48
    assert _rows_to_test(clock, checkpoint, Asked(path, None, "X")).first == 31


def test_the_refusal_says_what_to_run(daily, path):
    """The first day that it has not seen, and a training that ends before the day asked for."""
    checkpoint = CheckpointStore(path.parent).read(path.stem)
    clock = daily.panel.timestamps
    start = day(daily, SEEN - 100)
    with pytest.raises(LookAheadError) as refused:
        _rows_to_test(clock, checkpoint, Asked(path, start, "bars.parquet"))
    text = str(refused.value)
    assert (
        f"not seen is of {day(daily, SEEN + 1)}: test it with --start {day(daily, SEEN + 1)}"
        in (text)
    )
    until = re.search(r"train --data-path bars.parquet --until (\S+)`", text)[1]
    assert date.fromisoformat(until) == start - timedelta(days=1)
    assert "walk-forward --data-path bars.parquet`" in text


@pytest.mark.parametrize("start", [None, date(2020, 6, 1)])
def test_a_model_of_all_bars_can_be_tested_on_none(daily, path, start):
    checkpoint = {"last_target": daily.panel.timestamps[-1].isoformat()}
    with pytest.raises(LookAheadError, match="X has no bar that it has not seen: its last is of"):
        _rows_to_test(daily.panel.timestamps, checkpoint, Asked(path, start, "X"))


def test_a_start_after_the_last_bar_is_no_question_of_looking_ahead(daily, path):
    checkpoint = CheckpointStore(path.parent).read(path.stem)
    with pytest.raises(EvaluationError, match="X has no bar from 2099-01-01 on"):
        _rows_to_test(daily.panel.timestamps, checkpoint, Asked(path, date(2099, 1, 1), "X"))


def refused(home: Home, bars: PanelBars, path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        backtest_once(home, bars, Asked(path, None, "X"), home.path / "out", 1e5, lambda *_: None)
    assert not (home.path / "out").exists()
    assert not home.has_ledger
    return str(error.value)


def test_a_model_of_another_panel_is_refused(home, daily, path):
    """What it learned is of these symbols, on this calendar, in bars of this size."""
    other = bars_of(symbols=("AAA", "CCC"))
    said = refused(home, other, path)
    assert "best_model.pt: the checkpoint was trained on other symbols (only there: ['BBB']" in said
    assert "only here: ['CCC']" in said
    said = refused(home, bars_of(days="D"), path)
    assert "calendar was XNYS and is 24/7" in said
    said = refused(home, bars_of(days="h"), path)
    assert "timeframe was 1d and is 1h" in said
    reordered = replace(daily, market=replace(daily.market, symbols=("BBB", "AAA")))
    asked = Asked(path, day(daily, SEEN), "X")
    with pytest.raises(LookAheadError):  # the order is no reason: it comes to the next question
        backtest_once(home, reordered, asked, home.path / "out", 1e5, lambda *_: None)


def test_a_model_of_other_features_is_refused(home, daily, tmp_path):
    path = stored(tmp_path / "other", daily, catalog_hash="0" * 64)
    assert "trained on another feature catalog" in refused(home, daily, path)


def test_a_file_that_is_no_checkpoint_of_ours_is_refused(home, daily, path, tmp_path):
    whole = path.read_bytes()
    assert "nowhere.pt does not exist" in refused(home, daily, tmp_path / "nowhere.pt")
    assert "is no checkpoint: give the .pt file" in refused(home, daily, tmp_path / "model.onnx")
    path.write_bytes(whole[: len(whole) // 2])
    assert "is not the file that was written" in refused(home, daily, path)
    path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    assert "is not the file that was written" in refused(home, daily, path)
    path.write_bytes(b"")
    assert "is not the file that was written" in refused(home, daily, path)
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "theirs.pt")
    said = refused(home, daily, tmp_path / "theirs.pt")
    assert "theirs.pt is not the file that was written" in said
    assert "theirs.pt.sha256 says nothing" in said


def test_weights_of_somebody_else_with_a_digest_are_refused(home, daily, tmp_path):
    """The digest says that a file is whole, not that it is one of ours."""
    store = CheckpointStore(tmp_path)
    torch.save({"state_dict": torch.nn.Linear(2, 2).state_dict()}, tmp_path / "raw.pt")
    store.copy("theirs", tmp_path / "raw.pt")
    assert "theirs.pt has format None" in refused(home, daily, tmp_path / "theirs.pt")


def test_a_recipe_of_another_version_is_refused(home, daily, tmp_path):
    recipe = Plan(daily.market, preset="tiny").recipe.to_dict()
    path = stored(tmp_path / "m", daily, recipe=recipe | {"market": {"symbols": []}})
    assert "best_model.pt holds a recipe that cannot be read" in refused(home, daily, path)


def host() -> Host:
    progress = Progress()
    return Host(lambda label: progress.start(label, print), print, print)


class Tried(NamedTuple):
    """Two models that were tested, and one that was tested twice."""

    home: Home
    bars: PanelBars
    until: date
    files: list[Path]
    summaries: list[dict]
    new: list[bool]


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """Ridge, for nobody asks what is learned: trained up to a day, and tested from the next on."""
    home, bars = Home(root=str(tmp_path_factory.mktemp("home"))), bars_of(1000)
    until = day(bars, SEEN)
    made = Tried(home, bars, until, [], [], [])
    for ends in (until, until, until - timedelta(days=30)):
        file = home.path / f"{ends}.pt"
        trained = train_once(home, Plan(bars.market, "ridge"), bars, ends, file, host())
        made.files.append(file)
        made.new.append(trained.is_new)
        asked = Asked(file, until + timedelta(days=1), "mine.parquet")
        done = backtest_once(home, bars, asked, home.path / "out", 1e5, lambda *_: None)
        made.summaries.append(done.summary)
    return made


@pytest.mark.long
@pytest.mark.slow
def test_a_model_learns_up_to_the_day_and_is_tested_from_the_next_bar_on(tried):
    """What the refusal says to run is accepted, and nothing lies between."""
    checkpoint = CheckpointStore(tried.home.path).read(tried.files[0].stem)
    clock = tried.bars.panel.timestamps
    assert checkpoint["last_target"] == clock[SEEN].isoformat()
    predicted = pd.read_csv(tried.home.path / "out" / "predictions.csv")["timestamp"]
    assert pd.Timestamp(predicted.iloc[0]).date() == day(tried.bars, SEEN + 1)
    assert pd.Timestamp(predicted.iloc[-1]) == clock[-1]
    assert tried.summaries[0]["period"]["start"] == clock[SEEN + 1].isoformat()


@pytest.mark.slow
def test_the_same_training_is_kept_and_the_same_test_is_one_trial(tried):
    assert tried.new == [True, False, True]
    assert [each["trials"] for each in tried.summaries] == [1, 1, 2]
    first, again, _ = (json.dumps(each["strategy"]) for each in tried.summaries)
    assert first == again


@pytest.mark.slow
def test_the_report_says_that_it_is_of_one_model_and_what_it_traces_to(tried):
    summary = tried.summaries[0]
    assert summary["origin"] == "single_model"
    assert any("is never trained again" in each for each in summary["warnings"])
    behind = summary["lineage"]["checkpoint"]
    assert behind["sha256"] == CheckpointStore(tried.home.path).verify(tried.files[0].stem)
    assert behind["last_target"][:10] == str(tried.until)


@pytest.mark.long
@pytest.mark.slow
def test_a_model_is_tested_on_bars_that_do_not_begin_where_its_own_did(tried):
    """Half of its history is enough for features; that its training was not checked is said."""
    first = tried.bars.panel.timestamps[300]
    raw = panel(1000, ("AAA", "BBB"), days="XNYS")
    late = raw[raw["timestamp"] >= first].reset_index(drop=True)
    bars = replace(tried.bars, panel=Panel.of(late, None))
    asked = Asked(tried.files[0], None, "late.parquet")
    done = backtest_once(tried.home, bars, asked, tried.home.path / "late", 1e5, lambda *_: None)
    assert any(
        "what its training was given could not be" in each for each in done.summary["warnings"]
    )
    assert done.summary["period"]["start"] == tried.summaries[0]["period"]["start"]
    assert done.summary["strategy"]["sharpe"] == tried.summaries[0]["strategy"]["sharpe"]
