"""The page of the features: complete, reproducible, honest, and safe to open."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from trading_pipeline.adapters.reports.features_page import (
    HEADS,
    _coefficient,
    chance_sentence,
    coverage_sentence,
    drift_sentence,
    features_page,
)
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline_tests.adapters.reports.histories import (
    catalog,
    diagnostics,
    figures,
    own_part,
)

EVIL = "</script><img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """Elements a browser would see, the rows of the table, and inline handlers."""

    def __init__(self, html):
        super().__init__()
        self.seen, self.handlers, self.rows = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append(dict(attrs).get("data-value"))


@pytest.fixture(scope="module")
def html():
    return features_page("sample", diagnostics())


def chart(html, name):
    """What a chart draws: the first trace that Plotly is given."""
    return figures(html)[name]["data"][0]


@pytest.mark.slow
def test_the_same_history_gives_the_same_page(html):
    assert features_page("sample", diagnostics()) == html
    # No time of day: no clock.
    assert not re.search(r"20[2-9]\d-\d\d-\d\d[T ]\d\d:", own_part(html))


def test_every_feature_has_a_row_whose_numbers_can_be_sorted(html):
    rows = Elements(html).rows
    assert len(rows) == 1 + 4
    assert all(len(row) == len(HEADS) for row in rows)
    known = HEADS.index("Known")
    assert [float(row[known]) for row in rows[1:]] == [1, 1, 1, 0]
    newest = HEADS.index("PSI, newest")
    assert float(rows[2][newest]) > 0.25 > float(rows[1][newest])
    assert rows[4][newest] == "NaN"


def test_the_charts_show_what_was_diagnosed(html):
    found = diagnostics()
    drift = chart(html, "drift")
    assert drift["x"] == ["2020-01-01"]
    assert drift["y"] == ["early", "late", "shared", "never"]
    assert chart(html, "coverage")["x"] == found.months
    ranked, shared = chart(html, "ic-0"), chart(html, "ic-1")
    assert ranked["y"] == ["early", "late"]
    assert shared["y"] == ["shared", "never"]
    assert ranked["x"] == ["2019", "2020"]
    cells = [found.features[n].predictive.by_year[year] for n in (0, 1) for year in (2019, 2020)]
    dots = ["•" if cell.low > 0 or cell.high < 0 else "" for cell in cells]
    assert [text for row in ranked["text"] for text in row] == dots
    assert sorted(chart(html, "correlation")["y"]) == ["early", "late", "never", "shared"]


def test_every_feature_has_its_formula_and_every_chart_its_axes(html):
    """Whoever does not know a name by heart finds what it is, and what colours and columns mean."""
    for feature in catalog():
        assert f"<small>{feature.formula}</small>" in html
    assert html.count("<summary>formula</summary>") == 4
    for name, figure in figures(html).items():
        assert figure["layout"]["xaxis"]["title"]["text"], name
        assert figure["data"][0]["colorbar"]["title"]["text"], name


def test_the_letters_of_the_formulas_are_explained_on_the_page(html):
    """A report is read where docs/features.md is not at hand."""
    (said,) = re.findall(r'<section id="notation-of-the-formulas">(.*?)</section>', html)
    assert '<a href="#notation-of-the-formulas">' in html
    assert "<li><b>σ</b> is the standard deviation" in said
    assert "<code>V</code> are open, high, low, close and volume" in said
    assert "`" not in said
    assert "**" not in said


def test_what_is_true_of_every_feature_is_said_on_the_page(html):
    (said,) = re.findall(r'<section id="what-is-true-of-every-feature">(.*?)</section>', html)
    assert '<a href="#what-is-true-of-every-feature">' in html
    assert "<li><b>Causal.</b> A value uses bars at or before its own." in said
    assert said.count("<li>") == 5
    assert "**" not in said


def test_what_rounds_to_nothing_has_no_sign():
    """'+0.000' looks like a small gain."""
    assert _coefficient(Estimate(0.0001, -0.0004, 0.03), "") == (
        '<td data-value="0.0001">0.000<small>[0.000, +0.030]</small></td>'
    )


def test_the_page_says_what_it_is_not(html):
    assert "Description of the past, with labels up to 2020-11-30, 5 bars ahead" in html
    assert "if no feature said anything, about 0 would" in html
    assert "Nothing on this page decides anything" in html
    assert "an information coefficient is not available" in html


def test_the_sentences_name_what_stands_out():
    found = diagnostics()
    assert coverage_sentence(found) == "75.0 % of all values are known; least of never, 0.0 %."
    assert drift_sentence(found).endswith("(PSI above 0.25), most of all late.")
    assert "1 of 4 features" in drift_sentence(found)
    assert re.match(r"\d of 4 yearly coefficients", chance_sentence(found))


def test_a_market_without_folds_or_labels_has_a_page_too():
    nothing = np.full((500, 10), np.nan)
    found = diagnostics(folds={}, target=nothing, market_target=nothing[:, 0])
    html = features_page("new", found)
    assert html.count("There is no fold to compare.") == 2
    assert "No yearly coefficient has an interval" in html
    assert 'id="chart-ic-0"' not in html


def test_the_page_needs_nothing_from_outside_and_names_are_escaped():
    made = features_page(f"m{EVIL}", diagnostics(catalog((EVIL, "b", "c", "d"))))
    elements, html = Elements(made), own_part(made)
    assert "img" not in elements.seen
    assert elements.handlers == []
    assert EVIL not in html
    assert "<img" not in html  # in a chart Plotly would read it as a tag of its own
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", html)
    assert 'name="viewport"' in html
    assert len(html) < 3_000_000
