"""The command that judges a model of anyone's own: what it does, says, writes and refuses."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from trading_pipeline.cli.main import app
from trading_pipeline.core.evaluation.warnings import UNKNOWN_ORIGIN
from trading_pipeline_tests.synthetic import panel

SYMBOLS = tuple(f"S{n}" for n in range(9))
DAYS = 360  # from the 311th on a symbol is eligible


def scores(bars: pd.DataFrame) -> pd.DataFrame:
    """Minus the return of five days, ranked: what the README's example is like."""
    close = bars.pivot(index="timestamp", columns="symbol", values="close")
    ranks = (-close.pct_change(5)).rank(axis=1, pct=True) - 0.5
    return (0.1 * ranks).stack().dropna().rename("score").reset_index()


def write(folder: Path) -> None:
    """A panel of nine random walks, and reversal as a model of one's own."""
    bars = panel(DAYS, SYMBOLS, days="XNYS")
    bars.to_parquet(folder / "panel.parquet")
    scores(bars).to_parquet(folder / "mine.parquet")


OPTIONS = ("judge", "--predictions", "mine.parquet", "--data-path", "panel.parquet")


@pytest.fixture
def judge(run, folder):
    """Judges those, unless options say otherwise: the exit code, and what was said."""
    write(folder)
    return partial(run, *OPTIONS)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A folder in which they were judged, once and again, and what was said at first."""
    home, runner = tmp_path_factory.mktemp("judged"), CliRunner()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("TP_HOME", str(home / "home"))
        write(home)
        first = runner.invoke(app, OPTIONS)
        again = runner.invoke(app, [*OPTIONS, "--out", "again"])
    assert (first.exit_code, again.exit_code) == (0, 0)
    return home, re.sub(r"\s+", " ", first.output)


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def changed(**columns) -> None:
    """The predictions with other columns."""
    pd.read_parquet("mine.parquet").assign(**columns).to_parquet("mine.parquet")


@pytest.mark.long
@pytest.mark.slow
def test_a_model_of_ones_own_is_judged_as_the_network_is(judged):
    folder, said = judged
    made = report(folder / "judge/mine")
    assert made["origin"] == "foreign"
    assert made["model"] == "mine"
    assert {"buy_and_hold", "momentum", "trend", "cash"} <= set(made["baselines"])
    assert made["random"]["portfolios"] > 0
    assert made["strategy"]["information_coefficient"]["value"] is not None
    assert made["verdict"]["edge"] == "not proven"
    assert made["verdict"]["network_reasons"] == ["The scores that were traded are those of mine."]
    assert "note: 355 dates of 9 symbols, 1d, horizon 21 bars, sized by the deviation of 63" in said
    assert "2,754 of 3,195 scores are left out" in said
    assert "Report: judge/mine/report.html" in said
    names = {path.name for path in (folder / "judge/mine").iterdir()}
    assert {"report.html", "report.json", "fills.csv", "predictions.csv"} <= names
    assert "features.html" not in names
    assert "features.html" not in (folder / "judge/mine/report.html").read_text()


@pytest.mark.long
@pytest.mark.slow
def test_what_nobody_can_know_is_said_first_and_everywhere(judged):
    """That these scores are out of sample: no option takes the warning away."""
    folder, said = judged
    made = report(folder / "judge/mine")
    assert made["warnings"][0] == UNKNOWN_ORIGIN
    assert "which nothing shows" in made["assumptions"][0]
    assert "! these predictions were made elsewhere: nothing here shows" in said
    assert "days of foreign predictions, after costs" in said
    assert "out of sample, after costs" not in said
    page = (folder / "judge/mine/report.html").read_text()
    assert "these predictions were made elsewhere" in page


@pytest.mark.long
@pytest.mark.slow
def test_the_same_table_once_more_is_the_same_report_and_no_further_trial(judged):
    folder, _ = judged
    first, again = (folder / each for each in ("judge/mine", "again"))
    one, other = report(first), report(again)
    assert one["trials"] == other["trials"] == 1
    assert one["lineage"].pop("trial") != other["lineage"].pop("trial")  # of its own evaluation
    assert one == other
    for path in set(first.iterdir()) - {first / "report.json", first / "report.html"}:
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


@pytest.mark.long
@pytest.mark.slow
def test_a_score_that_knows_tomorrow_is_found_and_nothing_is_proven(judged, run, monkeypatch):
    """As if each row had been stamped one bar early, in percent; it is another trial."""
    folder, _ = judged
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TP_HOME", str(folder / "home"))
    bars = pd.read_parquet("panel.parquet")
    opened = bars.pivot(index="timestamp", columns="symbol", values="open")
    ahead = 100 * (opened.shift(-2) / opened.shift(-1) - 1).stack().dropna()
    ahead.rename("score").reset_index().to_parquet("leaky.parquet")
    options = [*OPTIONS, "--horizon", 10, "--predictions", "leaky.parquet"]
    code, said = run(*options)
    made = report(folder / "judge/leaky")
    assert (code, made["trials"], made["verdict"]["edge"]) == (0, 2, "not proven")
    assert "A leak was found, so no number here can be trusted: the scores know the next" in said
    assert "stamp each by the last bar that it saw" in said
    assert "the scores of a date differ by 0.962" in said
    assert "--calibrate fits the unit of ranks, z-scores or returns on earlier dates" in said


def test_calibration_needs_a_year_before_the_first_score_that_is_judged(judge):
    """The whole of it is tested where it is computed."""
    code, said = judge("--calibrate")
    assert (
        code,
        "calibration takes 252 bars of scores and 22 more for what comes true" in said,
    ) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"score": np.nan}, "mine.parquet: row 0: score nan is not a finite number"),
        ({"symbol": "ZZZ"}, "mine.parquet: row 0: symbol 'ZZZ' is not in the panel, which has S0"),
        ({"timestamp": "soon"}, "mine.parquet: row 0: timestamp 'soon' is no date; write it like"),
        ({"volatility": 0.3}, "mine.parquet: volatility is 31.9 times the deviation of a bar's"),
        ({"score": 1.0}, "mine.parquet: every score is 1, so no symbol or bar is preferred"),
    ],
)
def test_a_table_that_is_none_is_refused_with_file_row_and_rule(judge, folder, columns, complaint):
    changed(**columns)
    code, said = judge()
    assert code == 2
    assert complaint in said
    assert said.count("error: ") == 1
    assert not (folder / "judge").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--predictions", "nowhere.parquet"],
            "nowhere.parquet does not exist; give a Parquet file",
        ),
        (["--predictions", "panel.parquet"], "panel.parquet: predictions lack the columns score"),
        (["--predictions", "."], "of panel.parquet: symbol 'S0' has a score at that bar already"),
        (["--data-path", "nowhere"], "nowhere does not exist; give a Parquet file"),
        (["--market", "nowhere"], "no market 'nowhere'"),
        (["--horizon", "0"], "Invalid value for '--horizon'"),
    ],
)
def test_a_bad_option_is_named(judge, arguments, complaint):
    code, said = judge(*arguments)
    assert (code, complaint in said) == (2, True), said


def test_bars_have_to_be_named(run, folder):
    write(folder)
    code, said = run("judge", "--predictions", "mine.parquet")
    assert (code, "whose bars? Give --data-path PANEL.parquet, or --market NAME" in said) == (
        2,
        True,
    )
    code, said = run("judge", "--predictions", "mine.parquet", "--market", "sample")
    assert (code, "has no bars; run `trading-pipeline download --market sample`" in said) == (
        2,
        True,
    )


def test_scores_of_nobody_who_may_be_traded_name_the_rules(judge):
    table = pd.read_parquet("mine.parquet")
    table[table["timestamp"] < "2020-06-01"].to_parquet("mine.parquet")
    code, said = judge()
    assert code == 2
    assert "no prediction is of a symbol that may be traded at its bar: 9 of 9 symbols" in said


@pytest.mark.slow
def test_too_few_days_say_how_many_are_needed(judge):
    table = pd.read_parquet("mine.parquet")
    table[table["timestamp"] >= "2021-05-20"].to_parquet("mine.parquet")
    code, said = judge()
    assert (code, "at least 20 are needed. Predict more days" in said) == (2, True)


@pytest.mark.parametrize(
    ("name", "text"), [("report.html", "precious"), ("report.json", '{"origin": "walk_forward"}')]
)
def test_files_of_others_are_never_written_over(judge, folder, name, text):
    """Nor is the report of a market's own walk-forward."""
    (folder / "own").mkdir()
    (folder / "own" / name).write_text(text)
    code, said = judge("--out", "own")
    assert (code, f"own/{name} is not from this command; choose another folder" in said) == (
        2,
        True,
    )
    assert (folder / "own" / name).read_text() == text


@pytest.mark.long
@pytest.mark.slow
def test_a_figure_of_a_judged_report_traces_to_what_was_brought(judged, monkeypatch):
    """To the table and the bars, by their hashes, to the code and to the trial."""
    home, _ = judged
    monkeypatch.chdir(home)
    monkeypatch.setenv("TP_HOME", str(home / "home"))
    path = home / "judge" / "mine" / "report.json"
    shown = CliRunner().invoke(app, ["trace", str(path), "strategy.sharpe"])
    assert shown.exit_code == 0, shown.output
    summary = report(path.parent)
    known = [summary[name] for name in ("data_hash", "code_version", "config_hash")]
    for value in (*known, summary["lineage"]["predictions_hash"], "event 1 of trials"):
        assert value in shown.stdout
    assert f"{DAYS} stamps" in shown.stdout
    assert shown.stdout.count("as then") == 3  # code, packages, trial
    assert "The scores are those of mine, a table that was made elsewhere" in shown.stdout


@pytest.mark.long
@pytest.mark.slow
def test_it_promises_no_more_random_portfolios_than_it_draws(judged):
    """A long history of many symbols gets as many as about a minute allows, and not 1,000."""
    told = CliRunner().invoke(app, ["judge", "--help"], env={"COLUMNS": "200"}).output
    assert "random portfolios (1,000, or as many as about a minute allows)" in told
    assert "1,000 random portfolios" not in told + judged[1]
