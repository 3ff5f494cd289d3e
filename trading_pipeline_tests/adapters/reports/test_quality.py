"""The report of data quality can be read: every finding, in a terminal and in the UI."""

import re
from dataclasses import replace
from html import escape
from io import BytesIO
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports.charts.sparkline import SHOWN_AT_ONCE
from trading_pipeline.adapters.reports.coverage import (
    CLASSES,
    classes_of,
    coverage_markdown,
    draw_coverage,
    least_covered,
)
from trading_pipeline.adapters.reports.quality import quality_markdown, quality_text
from trading_pipeline.adapters.reports.quality_page import quality_page
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.quality.report import examine
from trading_pipeline_tests.adapters.reports.histories import figures
from trading_pipeline_tests.core.market.planted import (
    CALENDAR,
    clean_bars,
    scaled,
    without,
)


@pytest.fixture(scope="module")
def quality():
    """A change of unit, a gap of five sessions, and a repeated bar."""
    bars = without(scaled(clean_bars(240), "BBB", 100, 100), "CCC", 50, 55)
    return examine(bars, None, CALENDAR, "planted")


def table_of(symbols, months=120, seed=0):
    """Coverage of many symbols, most of them listed late, some with a hole."""
    rng = np.random.default_rng(seed)
    share = np.ones((symbols, months))
    for row in range(symbols):
        share[row, : rng.integers(0, months // 2)] = np.nan
        share[row, rng.integers(months // 2, months)] = rng.choice([1, 0.995, 0.95, 0.7, 0.0])
    names = [f"S{n:03}" for n in range(symbols)]
    labels = [str(each) for each in pd.period_range("2010-01", periods=months, freq="M")]
    return pd.DataFrame(share, names, labels)


def test_the_text_says_what_how_bad_and_what_to_do(quality):
    text = quality_text(quality)
    flat = " ".join(text.split())
    assert text.startswith("planted: 4 symbols, 955 bars of 1d, 2015-01-02 to 2015-12-")
    assert "2 severe; 0 warnings, 1 note. 5 of 960 expected bars are missing (0.52%)." in flat
    assert "the unit of the price" in flat
    assert "5 sessions missing" in flat
    assert flat.index("severe gap CCC") < flat.index("severe unit BBB") < flat.index("info")
    assert max(map(len, text.splitlines())) <= 110
    assert "\x1b" not in text


def test_a_clean_panel_says_that_nothing_is_missing():
    text = quality_text(examine(clean_bars(240), None, CALENDAR, "clean"))
    assert "Nothing severe" in text
    assert "No bar that the calendar expects is missing." in text


def test_bars_that_lack_at_the_end_are_not_called_complete():
    """One sentence, instead of 'no bar is missing' beside '6 bars behind the clock'."""
    clean = clean_bars(240)
    now = CALENDAR.close_of(clean["timestamp"].max()) + pd.Timedelta(days=9)
    late = len(CALENDAR.sessions(clean["timestamp"].max(), now)) - 1
    told = quality_text(examine(clean, None, CALENDAR, "late", now=now))
    assert (
        f"No bar is missing up to each symbol's last one, but {late} newer bars should be there "
        "(see stale)." in " ".join(told.split())
    )
    assert f"{late} bars behind the clock" in " ".join(told.split())
    gappy = without(without(clean, "CCC", 50, 55), "BBB", 230, 240)
    told = " ".join(quality_text(examine(gappy, None, CALENDAR, "gappy")).split())
    assert "5 of 950 expected bars are missing (0.53%), but 10 newer bars should be" in told


def test_markdown_escapes_what_would_end_a_cell(quality):
    lines = quality_markdown(quality).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(quality.findings)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {7}


def test_the_classes_tell_a_missing_hour_from_a_missing_month():
    table = pd.DataFrame([[1.0, 0.9999, 0.95, 0.5, 0.1, np.nan]])
    assert classes_of(table).tolist() == [[0, 1, 2, 3, 4, len(CLASSES)]]


@pytest.mark.parametrize("symbols", [1, 30, 300])
@pytest.mark.slow
def test_the_picture_is_drawn_for_few_and_many(symbols):
    import matplotlib.image

    picture = draw_coverage(table_of(symbols), "coverage of $ALL")
    pixels = matplotlib.image.imread(BytesIO(picture), format="png")
    assert pixels.shape[1] == 1210
    assert 150 < pixels.shape[0] < 1800  # of 300 symbols the 60 least covered have a row each


def test_the_least_covered_are_those_that_lack_most():
    table = table_of(100)
    chosen = least_covered(table, 10)
    lost = (1 - table).sum(axis=1)
    assert lost[chosen.index].min() >= lost.drop(chosen.index).max()
    assert list(chosen.index) == sorted(chosen.index)


@pytest.mark.parametrize("symbols", [1, 4, 30, 500])
def test_the_small_picture_is_shown_at_once(symbols):
    """Dagster hides Markdown of 1,000 characters or more behind a link."""
    markdown = coverage_markdown(table_of(symbols))
    assert 0 < len(markdown) < SHOWN_AT_ONCE
    source = re.match(r"!\[coverage\]\(data:image/svg\+xml,(.*?)\)\n", markdown).group(1)
    ElementTree.fromstring(unquote(source))


@pytest.mark.slow
def test_the_page_has_every_finding_and_the_classes_of_every_month(quality):
    html = quality_page(quality)
    rows = re.findall(r"<tr>(.*?)</tr>", html)[1:]
    assert len(rows) == len(quality.findings) > 2
    for row, each in zip(rows, quality.findings, strict=True):
        assert f">{each.severity}</span>" in row
        assert f"<td>{each.symbol or 'all'}</td>" in row
        assert escape(each.kind) in row
    drawn = figures(html)["coverage"]["data"][0]
    assert drawn["y"] == list(quality.coverage.index)
    assert drawn["z"] == classes_of(quality.coverage).tolist()
    assert quality_page(quality) == html


def test_what_many_symbols_share_is_one_line_with_their_number():
    """A feed that trades on a holiday does so for every symbol: a person mends it once."""
    bars = clean_bars(60)
    first = bars[bars["symbol"] == "AAA"]
    many = pd.concat([first.assign(symbol=f"S{n:03}") for n in range(501)], ignore_index=True)
    holiday = many.groupby("symbol").head(1).assign(timestamp=pd.Timestamp("2015-01-19", tz="UTC"))
    holiday["timestamp"] = holiday["timestamp"].astype(many["timestamp"].dtype)
    panel = pd.concat([many, holiday], ignore_index=True).sort_values(["timestamp", "symbol"])
    panel = panel.drop_duplicates(["timestamp", "symbol"]).reset_index(drop=True)
    html = quality_page(examine(panel, None, trading_calendar("XNYS", "1d"), "wide"))
    rows = [row for row in re.findall(r"<tr>(.*?)</tr>", html)[1:] if "<td>closed</td>" in row]
    assert len([row for row in rows if "501 symbols" in row and "2015-01-19" in row]) == 1
    assert all("on a holiday" not in row or "501 symbols" in row for row in rows)


def test_names_from_files_are_escaped_on_the_page(quality):
    evil = replace(quality, name="<script>alert(1)</script>")
    assert "<script>alert" not in quality_page(evil)
