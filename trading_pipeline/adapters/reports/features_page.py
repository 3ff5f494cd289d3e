"""The features of a market as one HTML page beside the report: self-contained and offline."""

import re
from collections.abc import Iterable
from html import escape

import numpy as np

from trading_pipeline.adapters.reports.charts import features as charts
from trading_pipeline.adapters.reports.html import (
    bullets,
    chart_html,
    folded_away,
    minus,
    section,
    signed,
    sortable_table,
)
from trading_pipeline.adapters.reports.template import whole_page
from trading_pipeline.adapters.reports.text import spaced
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.features.diagnostics import (
    Diagnosis,
    Diagnostics,
    Distribution,
)
from trading_pipeline.core.evaluation.features.drift import SHIFTED, STABLE, Drift
from trading_pipeline.core.evaluation.features.predictive import CROSS_SECTION, OVER_TIME
from trading_pipeline.core.features.page import notation, properties

HEADS = ("Feature", "Known", "5 %", "Median", "95 %", "At bounds", "Histogram", "PSI, newest",
         "PSI, largest", "KS, newest", "Coefficient")  # fmt: skip
_COLOURS = (
    f"Without colour: below {STABLE:.2f}, stable. Amber: {SHIFTED:.2f}. Orange: 0.50 and more."
)
_NOTATION = "Notation of the formulas"
_PROPERTIES = "What is true of every feature"
_LINKS = (
    '<a href="report.html">The backtest report</a> · '
    f'<a href="#notation-of-the-formulas">{_NOTATION}</a> · '
    f'<a href="#what-is-true-of-every-feature">{_PROPERTIES}</a>'
)


def features_page(market: str, diagnostics: Diagnostics) -> str:
    """The whole page; the same inputs give the same text."""
    first, last = diagnostics.months[0], diagnostics.months[-1]
    sections = [
        section("At a glance", "", bullets(sentence(diagnostics) for sentence in _SENTENCES)),
        section(
            "Feature by feature",
            "Known: share of bars that have a value. 5 %, median, 95 %: of the known values. At "
            "bounds: share of them on an end of the declared range. PSI, KS: how far the live "
            "window of a fold is distributed otherwise than its training (population stability "
            "index; Kolmogorov and Smirnov's largest gap). Coefficient: correlation with what "
            "followed over all years, its 95 % interval below. A click on a heading sorts, one on "
            "'formula' unfolds it.",
            _table(diagnostics),
        ),
        section(
            "Coverage by month",
            "Share of each month's bars at which a feature is known. A feature is missing until a "
            "symbol has as many bars as its lookback, a rank also where fewer than eight symbols "
            "can be ranked, and never filled in.",
            chart_html(charts.coverage_chart(diagnostics), "coverage"),
        ),
        _drifts(diagnostics),
        *_coefficients(diagnostics),
        section(
            "Which features say the same",
            "Spearman's rank correlation over the bars of all symbols, from "
            "\N{MINUS SIGN}1 (orange) to 1 (blue); relatives are neighbours (average "
            "linkage over 1 \N{MINUS SIGN} |correlation|).",
            chart_html(charts.correlation_chart(diagnostics), "correlation"),
        ),
        section("How to read this page", "", bullets(_cautions(diagnostics))),
        section(
            _NOTATION,
            "",
            _from_markdown(notation()),
            "<p><code>trading-pipeline features</code> prints every formula with its source.</p>",
        ),
        section(_PROPERTIES, "", _from_markdown(properties())),
    ]
    title = f"{market}: features"
    said = escape(f"{first} to {last}, {len(diagnostics.features)} features")
    return whole_page(title, title, [said, _LINKS], sections)


def coverage_sentence(diagnostics: Diagnostics) -> str:
    """How much of what the features should be is there, and which have least."""
    least = min(diagnostics.features, key=lambda each: each.coverage)
    mean = np.mean([each.coverage for each in diagnostics.features])
    return spaced(
        f"{mean:.1%} of all values are known; least of {least.feature.name}, {least.coverage:.1%}."
    )


def drift_sentence(diagnostics: Diagnostics) -> str:
    """How many features of the newest fold lie beyond the threshold, and which most."""
    if not diagnostics.folds:
        return "There is no fold to compare."
    fold = diagnostics.folds[-1]
    far = diagnostics.shifted(fold)
    most = f", most of all {', '.join(far[:4])}" if far else ""
    return (
        f"Fold {fold}: {len(far)} of {len(diagnostics.features)} features are distributed "
        f"otherwise than in training (PSI above {SHIFTED:.2f}){most}."
    )


def chance_sentence(diagnostics: Diagnostics) -> str:
    """How many yearly coefficients differ from zero, and how many would by chance alone."""
    bounded, outside = diagnostics.by_chance()
    if not bounded:
        return "No yearly coefficient has an interval, so none can be told from chance."
    return (
        f"{outside} of {bounded} yearly coefficients have an interval that excludes zero; if no "
        f"feature said anything, about {round(0.05 * bounded)} would."
    )


_SENTENCES = (coverage_sentence, drift_sentence, chance_sentence)


def _from_markdown(lines: Iterable[str]) -> str:
    """A list of lines with bold and code."""
    text = "".join(f"<li>{line}</li>" for line in lines)
    for mark, tag in ((r"\*\*", "b"), ("`", "code")):
        text = re.sub(f"{mark}(.+?){mark}", rf"<{tag}>\1</{tag}>", text)
    return f"<ul>{text}</ul>"


def _table(diagnostics: Diagnostics) -> str:
    """All features; each number carries its value, by which a click on the head sorts."""
    return sortable_table(HEADS, map(_row, diagnostics.features), unsorted="Histogram")


def _row(each: Diagnosis) -> list[str]:
    drifts = list(each.drifts.values()) or [Drift()]
    kind = f"{each.feature.family.replace('_', ' ')}, {each.feature.scale.unit}"
    return [
        f"<td>{escape(each.feature.name)}<small>{escape(kind)}</small>{_formula(each)}</td>",
        _cell(each.coverage, ".1%"),
        *_spread(each.distribution),
        _cell(drifts[-1].psi, ".2f"),
        _cell(max((d.psi for d in drifts if not np.isnan(d.psi)), default=float("nan")), ".2f"),
        _cell(drifts[-1].ks, ".2f"),
        _coefficient(each.predictive.whole, each.predictive.kind),
    ]


def _formula(each: Diagnosis) -> str:
    """How it is computed, on demand: formula, parameters, range, lookback and source."""
    feature = each.feature
    given = "".join(f", {name} {value}" for name, value in feature.parameters.items())
    lines = (
        f"{feature.formula}{given}",
        f"in [{feature.scale.low:g}, {feature.scale.high:g}], of {feature.lookback:,} bars",
        feature.source,
    )
    return folded_away("formula", *(f"<small>{minus(line)}</small>" for line in lines))


def _spread(distribution: Distribution | None) -> list[str]:
    if distribution is None:
        return [*(_cell(float("nan"), "") for _ in range(4)), "<td></td>"]
    return [
        *(_cell(distribution.quantiles[place], ".3g") for place in (1, 3, 5)),
        _cell(distribution.at_low + distribution.at_high, ".1%"),
        f"<td>{charts.histogram(distribution)}</td>",
    ]


def _coefficient(estimate: Estimate, kind: str) -> str:
    if np.isnan(estimate.value):
        return _cell(float("nan"), "")
    interval = f"[{signed(estimate.low, '+.3f')}, {signed(estimate.high, '+.3f')}]"
    over_time = "<small>over time</small>" if kind == OVER_TIME else ""
    return _cell(estimate.value, "+.3f", f"<small>{interval}</small>{over_time}")


def _cell(value: float, form: str, below: str = "") -> str:
    if np.isnan(value):
        return '<td data-value="NaN">n/a</td>'
    return f'<td data-value="{value:.6g}">{signed(value, form)}{below}</td>'


def _drifts(diagnostics: Diagnostics) -> str:
    said = (
        "Population stability index of each fold's live window against the window that its model "
        f"was trained on. {_COLOURS}"
    )
    if not diagnostics.folds:
        return section("Drift by fold", said, "<p>There is no fold to compare.</p>")
    return section("Drift by fold", said, chart_html(charts.drift_chart(diagnostics), "drift"))


def _coefficients(diagnostics: Diagnostics) -> list[str]:
    """One chart for each kind that there is: they must not be read as one."""
    until = "" if diagnostics.last_label is None else f"{diagnostics.last_label:%Y-%m-%d}"
    shared = (
        f"Description of the past, with labels up to {until}, {diagnostics.horizon} bars ahead. "
    )
    said = {
        CROSS_SECTION: (
            "Information coefficient by year",
            "Mean over dates of the rank correlation, across symbols, of the feature with the "
            "return that followed. A dot: the 95 % interval excludes zero. " + shared,
        ),
        OVER_TIME: (
            "Rank correlation over time by year",
            "No cross-section here: the feature is the same for all symbols, or fewer than eight "
            "symbols can be ranked, for which an information coefficient is not available. Each "
            "symbol's rank correlation within the year, averaged over the symbols. No intervals: "
            "within a year most features lean to the negative even where there is nothing. "
            + shared,
        ),
    }
    kinds = {
        each.predictive.kind
        for each in diagnostics.features
        if any(np.isfinite(e.value) for e in each.predictive.by_year.values())
    }
    return [
        section(*said[kind], chart_html(charts.coefficient_chart(diagnostics, kind), f"ic-{place}"))
        for place, kind in enumerate(said)
        if kind in kinds
    ]


def _cautions(diagnostics: Diagnostics) -> list[str]:
    return [
        "Nothing on this page decides anything: no feature is chosen, dropped or weighted by it. "
        "The coefficients know the returns that followed. Whoever picks features by them and then "
        "backtests on the same years has looked ahead.",
        f"Many comparisons: {chance_sentence(diagnostics)} Features that say the same are lucky or "
        "unlucky together, so clusters of dots are no stronger evidence than one.",
        "Intervals: Newey and West (1987) with the fixed-b critical values of Kiefer and Vogelsang "
        "(2005), for targets that overlap. Below 20 labelled dates there is none.",
        "A year holds few independent returns of many bars, and a feature made of a price leans "
        "to negative correlations over time with its own future where there is nothing (Kendall "
        "1954; Stambaugh 1999): on random walks by 0.03 for a return of one bar, by 0.3 for a "
        "distance to an average of 200. So yearly correlations over time have no interval, and "
        "those over ten years lean by a tenth as much, and exclude zero in 7 to 18 % of random "
        "walks where 5 % would be right.",
        f"PSI below {STABLE:.2f} is called stable and above {SHIFTED:.2f} shifted by convention "
        "(Siddiqi 2006), not by a test: bars resemble their neighbours. Features that move slowly "
        "and the market block have few independent values in a live window, and drift far while "
        "nothing is broken. What is missing counts as a bin of its own.",
        "Drift and coefficients are over the bars that could be traded; coverage, distribution "
        "and correlations over all bars.",
    ]
