"""What a portfolio manager reads: every number is in the page, and empty parts say so."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports.charts import prices
from trading_pipeline.adapters.reports.charts.portfolio import costs_chart, exposure_chart
from trading_pipeline.adapters.reports.charts.rolling import rolling_charts
from trading_pipeline.adapters.reports.portfolio_page import extreme_days
from trading_pipeline.adapters.reports.report_page import page
from trading_pipeline.adapters.reports.summary_text import markdown_attribution
from trading_pipeline.adapters.reports.tear_sheet import write_report
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline_tests.adapters.reports.histories import (
    diagnostics,
    fills,
    own_part,
    quality,
    series,
    with_holdings,
)
from trading_pipeline_tests.core.evaluation.books import book, closed_trades, inputs

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def given():
    return with_holdings(inputs())


@pytest.fixture(scope="module")
def summary(given):
    return evaluate(given)


@pytest.fixture(scope="module")
def html(given, summary):
    return own_part(page(summary, series(given)))


@pytest.mark.slow
def test_every_section_is_linked_and_every_link_leads_somewhere(html):
    links = re.findall(r'href="#([a-z-]+)"', html)
    sections = re.findall(r'<section id="([a-z-]+)"', html)
    assert set(sections) == set(links)
    assert len(sections) == len(set(sections))


def test_tables_state_what_the_summary_holds(html, summary):
    costs = {row["kind"]: row for row in summary["costs"]["paid"]}
    assert f"{costs['total']['money']:+,.0f}".replace("-", "\N{MINUS SIGN}") in html
    for fall in summary["drawdowns"]:
        assert f"<td>{fall['start']}</td><td>{fall['trough']}</td>" in html
    for row in (*summary["worst_days"], *summary["best_days"]):
        assert f"<td>{row['date']}</td>" in html
    assert "weekly loss" in html
    value = summary["distribution"]["strategy"]["skew"]["value"]
    assert f"{value:+.2f}".replace("-", "\N{MINUS SIGN}") in html


def test_the_summary_is_plain_and_its_attribution_adds_up(summary):
    json.dumps(summary, allow_nan=False)
    found = summary["attribution"]
    for rows in (found["sides"], found["symbols"]):
        total = sum(row["pnl"] for row in rows) + found["interest"]
        assert total == pytest.approx(found["total"])


def test_prices_of_a_small_coin_are_drawn_with_their_digits(given):
    """At 0.0000123 a curve of rounded prices is a line at zero, and D3's 'g' shows exponents."""
    drawn, level = series(given), 1.23e-7
    coin = replace(
        drawn,
        price=drawn.price * level,
        fills=drawn.fills.assign(price=drawn.fills["price"] * level),
    )
    marks = prices.marks_of(coin, "AAPL")
    figure = prices.price_chart(coin, "AAPL", marks, prices.roles_in_order([marks]))
    closes, *marked = figure.data
    expected = coin.price[np.isfinite(coin.price[:, 0]), 0]
    np.testing.assert_allclose(np.asarray(closes.y)[-3:], expected[-3:], rtol=1e-4)
    assert all("%{y:,.5~r}" in each.hovertemplate for each in (closes, *marked))
    assert figure.layout.yaxis.tickformat == ",~r"
    assert (np.concatenate([each.y for each in marked]) > 0).all()


def test_marks_are_told_apart_by_their_shape(given):
    drawn = series(given)
    table = fills(given).assign(kind=["order", "order", "trailing_stop", "order", "new", "other"])
    drawn = replace(drawn, fills=table)
    marks = prices.marks_of(drawn, "AAPL")
    roles = prices.roles_in_order([marks])
    assert roles == ["resized", "opened long", "opened short", "trailing_stop", "new", "other"]
    shapes = [prices.mark_of(role, roles).symbol for role in roles]
    assert len(set(shapes)) == len(shapes)
    known = [mark.symbol for mark in prices._MARKS.values()]
    assert len(set(known)) == len(known)
    figure = prices.price_chart(drawn, "AAPL", marks, roles)
    assert len(figure.data) == 1 + len(roles)


def test_only_the_symbols_that_mattered_most_have_a_chart():
    rows = [{"symbol": f"S{k}", "pnl": (-1.0) ** k * k} for k in range(20)]
    rows.append({"symbol": "S1", "pnl": 100.0})
    found = prices.biggest(rows, [f"S{k}" for k in range(20)])
    assert found[:2] == ["S1", "S19"]
    assert len(found) == prices.CHARTS


def test_many_bars_are_drawn_by_the_day_and_the_largest_marks_only():
    hours = 24 * 400
    given = inputs(
        n_bars=hours, timestamps=pd.date_range("2020", periods=hours, freq="h", tz="UTC")
    )
    drawn = series(given)
    count = 1000
    table = pd.DataFrame(
        {
            "filled_at": given.timestamps[:count],
            "symbol": "AAPL",
            "quantity": np.append(1.0, np.full(count - 1, 0.5)),
            "price": np.linspace(100, 200, count),
            "kind": "order",
        }
    )
    drawn = replace(drawn, fills=table)
    marks = prices.marks_of(drawn, "AAPL")
    figure = prices.price_chart(drawn, "AAPL", marks, prices.roles_in_order([marks]))
    assert len(figure.data[0].x) <= 401
    assert figure.data[0].x[-1] == f"{given.timestamps[-1]:%Y-%m-%d}"
    assert len(figure.data[1].x) == prices.MARKS


def test_a_symbol_that_was_never_listed_is_drawn_without_prices(given):
    drawn = series(given)
    drawn = replace(drawn, price=np.full(drawn.price.shape, np.nan))
    figure = prices.price_chart(drawn, "AAPL", prices.marks_of(drawn, "AAPL"), [])
    assert len(figure.data[0].x) == 0


@pytest.mark.slow
def test_a_script_in_a_symbol_and_quotes_in_a_market_stay_text(given):
    symbols = (SCRIPT, 'A"B', "C'D")
    market = replace(given.market, name="""my "best" 'market' & <b>""", symbols=symbols)
    evil = with_holdings(replace(given, market=market), symbols)
    summary = evaluate(evil)
    html = own_part(page(summary, series(evil, symbols)))
    assert SCRIPT not in html
    assert "\\u003cscript" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "my &quot;best&quot; &#x27;market&#x27; &amp; &lt;b&gt;" in html
    assert "<script" not in markdown_attribution(summary)


def test_a_rule_that_is_named_like_a_script_stays_text(summary):
    day = summary["worst_days"][0] | {"rules": [SCRIPT]}
    assert SCRIPT not in extreme_days({**summary, "worst_days": [day]})


@pytest.mark.parametrize("equity_ends", ["ruined", "still"])
@pytest.mark.slow
@pytest.mark.sampled(2)
def test_a_book_that_was_ruined_or_never_moved_has_a_report(tmp_path, equity_ends):
    known = inputs()
    equity = known.strategy.equity.copy()
    if equity_ends == "ruined":
        equity[200:] = -50.0
        strategy = replace(known.strategy, equity=equity)
    else:
        strategy = book(np.random.default_rng(0), deviation=0)
        strategy = replace(strategy, trades=closed_trades(np.array([])))
    given = replace(known, strategy=strategy)
    drawn = series(given, weights=np.full((400, 3), np.nan))
    earnings = drawn.earnings
    if equity_ends == "still":
        earnings = replace(earnings, money=0 * earnings.money, interest=0 * earnings.interest)
    empty = {
        name: getattr(drawn, name).iloc[:0] for name in ("fills", "orders", "vetoes", "trades")
    }
    drawn = replace(drawn, earnings=earnings, **empty)
    given = with_holdings(given)
    given = replace(given, holdings=replace(given.holdings, earnings=earnings, trades=drawn.trades))
    summary = evaluate(given)
    json.dumps(summary, allow_nan=False)
    paths = write_report(tmp_path / "report", summary, drawn, diagnostics(), quality())
    html = own_part(paths["html"].read_text(encoding="utf-8"))
    assert "Nothing was traded." in html
    assert "No rule acted." in html
    if equity_ends == "still":
        assert "No costs were paid." in html
        assert "The account never moved." in html
        assert "The account never fell" in html
        assert "No symbol was ever traded." in html
    assert pd.read_csv(paths["attribution"]).columns[0] == "symbol"


@pytest.mark.slow
def test_one_symbol_and_a_short_history_have_a_report():
    given = with_holdings(inputs(n_bars=100), ("AAA",))
    drawn = series(given, ("AAA",))
    assert rolling_charts(drawn, "buy_and_hold") is None
    html = own_part(page(evaluate(given), drawn))
    assert "too short for a window" in html
    assert 'id="chart-price-0"' in html
    assert 'id="chart-price-1"' not in html


@pytest.mark.slow
def test_a_book_of_which_only_the_equity_is_known_says_so():
    given = inputs()
    html = own_part(page(evaluate(given), series(given)))
    assert html.count("only the equity of this book was recorded") == 3
    assert "Nothing was traded." in html


def test_costs_are_drawn_by_kind_and_dividends_are_none(given):
    names = [trace.name for trace in costs_chart(series(given)).data]
    assert names == ["slippage", "fees", "interest"]


def test_a_legend_names_only_what_is_drawn(given):
    """A long-only account has no shorts, and interest of a cent a month is no bar."""
    drawn = series(given)
    assert [trace.name for trace in exposure_chart(drawn).data] == ["long"]
    both = replace(drawn, weights=drawn.weights - 0.1)
    assert [trace.name for trace in exposure_chart(both).data] == ["long", "short", "net"]
    cent = replace(drawn.earnings, interest=drawn.earnings.interest / 1e4)
    names = [trace.name for trace in costs_chart(replace(drawn, earnings=cent)).data]
    assert names == ["slippage", "fees"]


def test_a_number_and_its_unit_stay_on_one_line(html):
    (said,) = re.findall(r"<p>(The volatility came to.*?)</p>", html)
    assert "volatility target 62\N{NO-BREAK SPACE}%" in said
    assert " %" not in said


def test_the_markdown_names_sides_and_the_largest_symbols(summary):
    text = markdown_attribution(summary, symbols=2)
    assert len(text) < 1000
    lines = text.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:6]] == [
        "Long",
        "Short",
        "Interest",
        "Total",
    ]
    assert len(lines) == 8
    assert "Not known" in markdown_attribution({"attribution": None})


def test_months_have_a_decimal_and_compound_to_the_years_that_the_page_states(html, summary):
    (table,) = re.findall(r'<table class="months">(.*?)</table>', html)
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)[1:]]
    years = {row["name"]: row["strategy"]["total_return"]["value"]
             for row in summary["periods"]["years"]}  # fmt: skip
    assert [row[0] for row in rows] == list(years)
    for name, *cells in rows:
        texts = [re.sub("<.*?>", "", cell).replace("\N{MINUS SIGN}", "-") for cell in cells]
        months = [float(text) for text in texts[:12] if text]
        assert all("." in text for text in texts[:12] if text)
        compounded = np.prod([1 + month / 100 for month in months]) - 1
        assert compounded == pytest.approx(years[name], abs=0.001 * len(months))
        assert texts[12] == f"{100 * years[name]:+.1f}\N{NO-BREAK SPACE}%"
