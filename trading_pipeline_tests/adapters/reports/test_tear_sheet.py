"""The report as files: complete, reproducible, safe to open, and never half-written."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports import tear_sheet
from trading_pipeline.adapters.reports.charts.pictures import loss_curve
from trading_pipeline.adapters.reports.report_files import FILES
from trading_pipeline.adapters.reports.report_page import page
from trading_pipeline.adapters.reports.tear_sheet import ASIDE, is_whole, write_report
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.core.market.set_aside import Sifted
from trading_pipeline_tests.adapters.reports.histories import (
    diagnostics,
    own_part,
    quality,
    series,
    with_holdings,
)
from trading_pipeline_tests.core.evaluation.books import inputs
from trading_pipeline_tests.core.market.planted import clean_bars

EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def given():
    return with_holdings(inputs())


@pytest.fixture(scope="module")
def summary(given):
    return evaluate(given)


@pytest.fixture(scope="module")
def written(tmp_path_factory, given, summary):
    """A report that is only read, and copied by whoever changes it."""
    folder = tmp_path_factory.mktemp("reports") / "sample"
    return write_report(folder, summary, series(given), diagnostics(), quality())


@pytest.fixture
def sample(tmp_path, written):
    """The folder of a report of one's own."""
    return shutil.copytree(written["html"].parent, tmp_path / "sample")


@pytest.mark.slow
def test_every_file_is_written_and_named(written, summary):
    paths = written
    assert {name: path.name for name, path in paths.items()} == FILES
    assert {file.name for file in paths["html"].parent.iterdir()} == set(FILES.values())
    assert json.loads(paths["json"].read_text(encoding="utf-8")) == summary
    for name in ("png", "drawdown", "months"):
        assert paths[name].read_bytes().startswith(b"\x89PNG")
    predictions = pd.read_csv(paths["predictions"])
    assert predictions["score"].tolist() == [0.125] * 3
    assert pd.read_csv(paths["vetoes"])["rule"].tolist() == ["weekly_loss"] * 2
    assert pd.read_csv(paths["trades"])["pnl"].tolist() == [50.0, -20.0, 10.0]
    assert {"quantity", "mean_entry", "mean_exit", "last_exit", "return", "reason"} <= set(
        pd.read_csv(paths["trades"])
    )
    positions = pd.read_csv(paths["positions"])
    kept = ["quantity", "average_cost", "unrealised_pnl", "realised_pnl"]
    assert positions[kept].to_numpy().tolist() == [[7.0, 70.0, 49.0, -12.0]]
    attribution = pd.read_csv(paths["attribution"])
    earned = attribution["pnl"].sum() + summary["attribution"]["interest"]
    assert earned == pytest.approx(summary["attribution"]["total"])
    assert {"symbol", "side", "a_year", "a_year_low", "a_year_high", "price"} <= set(attribution)


@pytest.mark.slow
def test_curves_and_random_portfolios_can_be_computed_with(written, given, summary):
    """Every baseline of the report is there, and the ranks follow from the random portfolios."""
    curves = pd.read_csv(written["curves"])
    for name, account in given.baselines.items():
        assert curves[name].to_numpy() == pytest.approx(account.equity)
    assert curves["strategy"].to_numpy() == pytest.approx(given.strategy.equity)
    middle = np.quantile(given.random_equity, 0.5, axis=0)
    assert curves["random_50"].to_numpy() == pytest.approx(middle)
    random = pd.read_csv(written["random"])
    for metric, share in (
        ("sharpe", summary["random_percentile"]),
        ("annual_return", summary["random"]["percentile_of_annual_return"]),
    ):
        own = summary["strategy"][metric]["value"]
        assert (random[metric] < own).mean() == pytest.approx(share)


def test_the_page_links_to_every_file_beside_it_and_to_no_other(written):
    text = written["html"].read_text(encoding="utf-8")
    links = set(re.findall(r'href="([^"#:]+)"', text))
    assert links == set(FILES.values()) - {FILES["html"]}


@pytest.mark.long
@pytest.mark.slow
def test_rows_set_aside_lie_beside_the_report_while_there_are_any(sample, given, summary):
    """Whoever mends the file needs each row; a report of mended bars has no such table."""
    table = clean_bars(40)
    table.loc[7, "high"] = 0.01
    aside = Sifted.of({"panel.parquet": table}).aside
    write_report(sample, summary, series(given), diagnostics(), quality(), aside)
    (row,) = pd.read_csv(sample / ASIDE).to_dict("records")
    assert (row["file"], row["row"], row["rule"]) == ("panel.parquet", 7, "high < low")
    assert row["high"] == 0.01
    write_report(sample, summary, series(given), diagnostics(), quality(), aside.iloc[:0])
    assert {file.name for file in sample.iterdir()} == set(FILES.values())


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes_in_every_file(tmp_path, written):
    again = write_report(
        tmp_path / "again",
        evaluate(with_holdings(inputs())),
        series(inputs()),
        diagnostics(),
        quality(),
    )
    for name in FILES:
        assert written[name].read_bytes() == again[name].read_bytes(), name


@pytest.mark.slow
def test_an_interrupted_report_leaves_the_old_one_whole(sample, given, summary, monkeypatch):
    before = {path.name: path.read_bytes() for path in sample.iterdir()}
    monkeypatch.setattr(tear_sheet, "draw_equity", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        write_report(sample, summary | {"market": "other"}, series(given), diagnostics(), quality())
    assert {path.name: path.read_bytes() for path in sample.iterdir()} == before


def test_a_report_that_lacks_a_page_is_not_whole(tmp_path, sample):
    """One of an earlier version, say."""
    assert is_whole(sample)
    (sample / FILES["attribution"]).unlink()
    assert not is_whole(sample)
    assert not is_whole(tmp_path / "other")


@pytest.mark.slow
def test_the_two_pages_point_to_one_another(written):
    for name, other in (("html", "features"), ("features", "html")):
        assert f'href="{FILES[other]}"' in own_part(written[name].read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_page_says_what_came_out_then_the_verdicts_the_metrics_and_the_charts(given, summary):
    html = own_part(page(summary, series(given)))
    marks = (
        "The strategy&#x27;s Sharpe ratio is",
        "by return a year",
        "<h2>The edge</h2><b>not proven</b>",
        "<h2>Adds to the baselines</h2><b>not proven</b>",
        "<h2>The network</h2><b>not asked</b>",
        "this recipe is not proven",
        "survivorship-biased",
        "<h2>Metrics",
        "<h2>Against every baseline",
        *(
            f'id="chart-{name}"'
            for name in (
                *("equity", "rolling", "rolling-beta", "drawdown", "years", "crises", "starts"),
                *(
                    "exposure",
                    "positions",
                    "turnover",
                    "costs",
                    "attribution",
                    "price-0",
                    "distribution",
                    "risk",
                ),
            )
        ),
        "Target: the range that",
        "<h2>Significance",
        "<code>d1</code>",
    )
    places = [html.index(mark) for mark in marks]
    assert places == sorted(places)


@pytest.mark.slow
def test_the_page_says_first_of_what_it_is_a_report(given):
    """Market, symbols, dates, currency, model, costs; when, from what, and by which code."""
    lineage = {
        "made_at": "2026-01-02T03:04:05+00:00",
        "data": {"rows": 5000, "first": "2009-01-05T00:00:00", "last": "2011-07-15T00:00:00"},
        "config": {"plan": {"preset": "tiny"}},
    }
    text = page(evaluate(replace(given, hashes={**given.hashes, **lineage})), series(given))
    head = text.split("<header>")[1].split("</header>")[0]
    for said in (
        "<h1>sample</h1>",
        "AAPL, IBM: 2 symbols, bars of 1d, calendar XNYS, prices in USD",
        "2010-01-04 to 2011-07-15, 399 days",
        "Model network (preset tiny), mandate long only, profile moderate; capital 100,000 USD",
        "a fee of 10 bp and slippage of 5 bp",
        "Made 2026-01-02 03:04 UTC from 5,000 bars a symbol, 2009-01-05 to 2011-07-15, by code c1, "
        "data d1",
    ):
        assert said in head, said


@pytest.mark.slow
def test_both_books_are_beside_one_another_with_an_interval_each(given, summary):
    """Return a year, Sharpe ratio, fall and end value, of the strategy and of its benchmark."""
    text = page(summary, series(given))
    (table,) = re.findall(r'<table class="beside">(.*?)</table>', text)
    rows = re.findall(r"<tr>(.*?)</tr>", table)[1:]
    assert len(rows) == 4
    for row in rows:
        for cell in re.findall(r"<td>(.*?)</td>", row)[1:3]:
            assert re.search(r"<small>\[\S.*, .*\]</small>", cell)
    ends = summary["end_value"]
    assert ends["strategy"]["value"] == given.strategy.equity[-1]
    assert f"{ends['strategy']['value']:,.0f}</span>" in rows[-1]
    assert f"{ends['buy_and_hold']['value']:,.0f}</span>" in rows[-1]


@pytest.mark.slow
def test_the_page_says_above_all_that_an_edge_was_planted(given, summary):
    """Under the title, and in the verdict."""
    html = own_part(page({**summary, "synthetic": True}, series(given)))
    assert html.index("synthetic: the edge was planted") < html.index("<h2>The planted edge")


@pytest.mark.slow
def test_the_page_lists_rules_from_what_saved_most_to_what_cost_most(given):
    """A steady loss without the rule, a steady gain, and a rule that never acted."""
    equity, steps = given.strategy.equity, np.arange(len(given.strategy.equity))
    without = {
        "stop_loss": equity * 1.001**steps,
        "turbulence": equity,
        "drawdown": equity * 0.999**steps,
    }
    html = own_part(page(evaluate(replace(given, without_rules=without)), series(given)))
    part = html[html.index("What each rule cost or saved</h2>") :]
    part = part[: part.index("</section>")]
    marks = ("All rules on", '>Drawdown</td><td><span class="saved">+', ">Stop loss<small>Closes",
             '<span class="cost">\N{MINUS SIGN}', "Never acted", "turbulence")  # fmt: skip
    places = [part.index(mark) for mark in marks]
    assert places == sorted(places)
    assert part.count("without</small>") == 6


@pytest.mark.slow
def test_the_page_needs_nothing_from_outside(given, summary):
    html = own_part(page(summary, series(given)))
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", html)
    assert "@import" not in html
    assert 'name="viewport"' in html
    assert len(html) < 3_000_000


class Elements(HTMLParser):
    """Which elements a browser would see."""

    def __init__(self):
        super().__init__()
        self.seen, self.handlers = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


@pytest.mark.slow
def test_names_and_texts_from_outside_are_escaped_everywhere(given):
    market = replace(given.market, name=f"m{EVIL}", symbols=(EVIL, "IBM"))
    evil = replace(
        given,
        market=market,
        baselines={**given.baselines, EVIL: given.baselines["momentum"]},
        warnings=[EVIL],
        hashes={"data_hash": EVIL, EVIL: EVIL},
        leaks=[EVIL],
    )
    symbols = (EVIL, "IBM")
    evil = with_holdings(evil, symbols)
    drawn = series(evil, symbols=symbols)
    drawn = replace(drawn, fills=drawn.fills.assign(kind=EVIL, reasons=EVIL))
    made = page(evaluate(evil), drawn)
    elements, html = Elements(), own_part(made)
    elements.feed(made)
    assert "img" not in elements.seen
    assert elements.handlers == []
    assert EVIL not in html
    assert "<img" not in html  # in a chart Plotly would read it as a tag of its own
    assert elements.seen.count("script") == 2  # plotly.js and the page's own


@pytest.mark.slow
def test_a_long_short_book_of_many_symbols_is_a_heat_map_of_the_largest(given, summary):
    symbols = tuple(f"S{k:03}" for k in range(40))
    weights = np.random.default_rng(0).normal(0, 0.05, (400, 40))
    weights[:, 7] = -0.4
    html = own_part(page(summary, series(given, symbols=symbols, weights=weights)))
    assert '"S007"' in html
    assert sum(f'"{symbol}"' in html for symbol in symbols) == 20


@pytest.mark.slow
def test_a_quiet_run_has_a_report_too(tmp_path, given):
    nothing = pd.DataFrame({"decided_at": [], "symbol": []})
    quiet = replace(
        given, random_equity=np.empty((0, 400)), warnings=(), trials=None, holdings=None
    )
    drawn = series(quiet, orders=nothing, fills=nothing, vetoes=nothing)
    paths = write_report(tmp_path / "quiet", evaluate(quiet), drawn, diagnostics(), quality())
    html = own_part(paths["html"].read_text(encoding="utf-8"))
    assert "No rule acted." in html
    assert "Trials unknown" in html
    assert "percentile</b>" not in html


def test_the_loss_curve_is_a_picture_inside_markdown():
    looks = [{"step": 100, "loss": 1.2, "information": 0.01}]
    text = loss_curve([looks, looks])
    assert re.fullmatch(r"!\[loss by training step\]\(data:image/png;base64,[\w+/=]+\)", text)


@pytest.mark.slow
def test_importing_the_report_imports_neither_plotly_nor_matplotlib():
    code = (
        "import sys; import trading_pipeline.adapters.reports.tear_sheet; "
        "print([name for name in ('plotly', 'matplotlib') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "[]"


def test_the_page_holds_the_twelve_promises_against_their_runs(given, summary):
    """Each with what was promised and measured, and how many more days would decide it."""
    text = page(summary, series(given))
    section = text.split('<section id="expected-performance">')[1].split("</section>")[0]
    cells, (_, table) = summary["scoreboard"], section.split("<table")
    assert table.count("<small>target ") == len(cells) == 12
    for status in ("Met", "Not met", "Undecidable", "Not run"):
        found = [cell for cell in cells if cell["status"] == status]
        assert table.count(f">{status}</span>") == len(found)
    waits = [cell["needs_days"] for cell in cells if cell["needs_days"]]
    assert waits
    assert all(f"<small>needs {days:,} more days</small>" in table for days in waits)


@pytest.mark.slow
def test_what_was_measured_stands_beside_its_target_without_an_interval_too(given, summary):
    cells = [
        {**cell, "value": 0.7, "low": None, "high": None, "status": "Undecidable"}
        for cell in summary["scoreboard"]
    ]
    text = page({**summary, "scoreboard": cells}, series(given))
    section = text.split('<section id="expected-performance">')[1].split("</section>")[0]
    assert section.count("<small>70.0\N{NO-BREAK SPACE}%</small>") == 9
    assert section.count("<small>0.70</small>") == 3


@pytest.mark.slow
def test_words_that_a_reader_may_not_know_are_explained_where_they_stand(given, summary):
    text = page(summary, series(given))
    for said in (
        "Volatility, by QLIKE<small>Loss of a forecast",
        "Direction, by log score<small>Minus the log",
        "p-value, one-sided<small>How often luck",
        "Expectancy of a trade, USD<small>",
    ):
        assert said in text, said


@pytest.mark.slow
def test_the_page_says_where_networks_started(given):
    """Beside what the scores knew, and escaped."""
    start = {"terms": [{"term": "<b>", "weight": 0.1, "t": 6.0}], "gain": 0.35}
    text = page(evaluate(replace(given, starts={"2006-01-01": start})), series(given))
    scores = text.split('<section id="what-the-scores-knew">')[1].split("</section>")[0]
    assert "It found some in 1 of 1 folds (&lt;b&gt; in 1). What" in scores


@pytest.mark.slow
def test_the_page_says_what_each_head_knew(given, summary):
    text = page(summary, series(given))
    heads = text.split('<section id="what-the-heads-knew">')[1].split("</section>")[0]
    assert "The direction head did better than the class frequencies" in heads
    assert '<span class="saved">+0.0020</span><small>[+0.0010, +0.0030]</small>' in heads
    assert "normal &lt;tail&gt;" in heads
    without = page(evaluate(replace(given, heads=())), series(given))
    assert "Not measured.</p>" in without


@pytest.mark.slow
def test_the_page_says_of_each_fold_what_its_scores_knew_on_validation(given):
    """The number that the terminal and the web UI tell, by the same name, and its interval."""
    folds = {"2010-01-01": Estimate(0.012, -0.02, 0.044), "2011-01-01": Estimate(-0.3)}
    chosen = {"2011-01-01": "ridge: within one standard error"}
    text = page(evaluate(replace(given, validation=folds, choices=chosen)), series(given))
    part = text.split('<section id="fold-by-fold">')[1].split("</section>")[0]
    assert "<th>Validation IC of the scores</th><th>Model</th>" in part
    assert "<td>2010-01-01</td><td>+0.012<small>[\N{MINUS SIGN}0.020, +0.044]</small>" in part
    assert "\N{MINUS SIGN}0.300<small></small></td><td>ridge: within" in part
    alike = page(evaluate(replace(given, validation={"2010-01-01": Estimate(0.0)})), series(given))
    assert "<td>2010-01-01</td><td>n/a<small></small></td>" in alike
    assert 'id="fold-by-fold"' not in page(evaluate(given), series(given))
