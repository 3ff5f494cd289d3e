"""The history in parts, as the report shows it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports.periods_page import parts, starts_sentence
from trading_pipeline.core.evaluation.confidence import resampled_dates
from trading_pipeline.core.evaluation.crises import Crisis
from trading_pipeline.core.evaluation.performance import Resampling
from trading_pipeline.core.evaluation.periods import Books, periods
from trading_pipeline_tests.adapters.reports.histories import figures, series
from trading_pipeline_tests.core.evaluation.books import inputs

FALL = Crisis("A <fall>", "2019-03-01", "2019-04-01")


def summary(days=600, edge=0.0005, crises=(FALL,)):
    """A book that earns `edge` a day more than its benchmark."""
    benchmark = 0.0003 + 0.01 * np.random.default_rng(0).normal(size=days)
    books = Books(pd.bdate_range("2019-01-01", periods=days, tz="UTC"), benchmark + edge, benchmark)
    dates = resampled_dates(days, 5, 100, seed=0)
    drawn = Resampling(dates=dates, block=5, days_per_year=252, seed=0)
    return {"periods": periods(books, crises, drawn), "benchmark": "buy_and_hold",
            "synthetic": False}  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    return series(inputs())


def test_each_year_and_crisis_is_a_line_with_its_difference(drawn):
    """Coloured where it is more than chance; names are escaped."""
    given = summary()
    years, crises, starts = parts(given, drawn)
    for row in given["periods"]["years"]:
        assert f"<td>{row['name']}</td><td>{row['days']}</td>" in years
    assert years.count('<span class="saved">+') == 6  # both differences of three years
    dates = "2019-03-04 to 2019-04-01".replace("-", "\N{NON-BREAKING HYPHEN}")
    assert f"A &lt;fall&gt;<small>{dates}</small>" in crises
    assert 'id="chart-crises"' in crises
    legend = figures(crises)["crises"]["layout"]["legend"]
    assert (legend["y"], legend["yanchor"]) == (1, "bottom")  # clear of names that slant on a phone
    assert 'id="chart-starts"' in starts
    assert "Sharpe ratio until the end" in starts


def test_made_up_bars_saw_no_crisis(drawn):
    """A fall of the S&P 500 says nothing of bars that nobody ever traded."""
    made_up = parts(summary() | {"synthetic": True}, drawn)
    assert not any("In a crisis" in part for part in made_up)


def test_how_beginners_fared_is_said_in_a_sentence():
    """A book that is always ahead leaves nobody behind."""
    found = summary()["periods"]["start_dates"]
    said = starts_sentence(found, "buy_and_hold")
    assert said.startswith(f"Of {len(found['starts'])} who began on the first day of a month, ")
    assert "and 0\N{NO-BREAK SPACE}% [0\N{NO-BREAK SPACE}%, " in said
    assert said.endswith("behind buy-and-hold; they share 2 years between them.")


def test_a_short_history_says_what_it_lacks(drawn):
    years, crises, starts = parts(summary(days=100, crises=()), drawn)
    assert "<td>2019</td>" in years
    assert "None of those that are known lies within" in crises
    assert "shorter than a year" in starts


def test_what_is_undefined_is_not_available(drawn):
    """A still book has no Sharpe ratio, and a part of a few days no interval."""
    given = summary(crises=(FALL._replace(trough="2019-03-06"),))
    given["periods"]["years"][0]["strategy"]["sharpe"]["value"] = None
    years, crises, _ = parts(given, drawn)
    assert "<td>n/a<small>" in years
    assert crises.count("[") == crises.split("<table")[0].count("[")


def test_a_quiet_benchmark_keeps_its_colour(drawn):
    """Charts name both books, whatever the benchmark is called."""
    quiet = replace(drawn, baselines={"cash": drawn.equity * 0 + 1.0})
    given = summary() | {"benchmark": "cash"}
    drawn_years = figures(parts(given, quiet)[0])["years"]["data"]
    assert [trace["name"] for trace in drawn_years] == ["strategy", "cash"]
