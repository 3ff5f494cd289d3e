"""The heat maps of the features page: sixty rows each, legible on a phone."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.adapters.reports.charts.figure import Figure, new_figure
from trading_pipeline.adapters.reports.charts.palette import (
    BASELINES,
    DIVERGING,
    LOSS,
    PAPER,
    RULE,
    STRATEGY,
)
from trading_pipeline.core.evaluation.features.diagnostics import Diagnostics, Distribution
from trading_pipeline.core.evaluation.features.drift import SHIFTED, STABLE

Array = NDArray[np.float64]

_ROW = 17  # pixels
_SIGNED = [list(stop) for stop in DIVERGING]
_TOP_PSI = 0.5  # drifts beyond it have the darkest colour
_TOP_COEFFICIENT = 0.15
_WIDTH, _HEIGHT = 72, 24  # of a histogram


def coverage_chart(diagnostics: Diagnostics) -> Figure:
    """Share of bars at which each feature is known, by month."""
    figure = _heat_map(
        np.array([each.by_month for each in diagnostics.features]),
        diagnostics.months,
        _names(diagnostics),
        colorscale=[[0, PAPER], [1, STRATEGY]],
        zmin=0,
        zmax=1,
        scale="share of bars",
        axis="month",
        hovertemplate="%{y}, %{x}: %{z:.1%}<extra></extra>",
    )
    if len(januaries := [month for month in diagnostics.months if month.endswith("-01")]) > 1:
        figure.update_xaxes(tickvals=januaries, ticktext=[month[:4] for month in januaries])
    return figure


def drift_chart(diagnostics: Diagnostics) -> Figure:
    """Population stability index by feature and fold; the distance is in the hover text."""
    drifts = [list(each.drifts.values()) for each in diagnostics.features]
    psi = np.array([[drift.psi for drift in row] for row in drifts])
    return _heat_map(
        psi,
        diagnostics.folds,
        _names(diagnostics),
        customdata=np.round([[drift.ks for drift in row] for row in drifts], 3),
        colorscale=[
            [0, PAPER],
            [STABLE / _TOP_PSI, PAPER],
            [SHIFTED / _TOP_PSI, BASELINES[2]],
            [1, LOSS],
        ],
        zmin=0,
        zmax=_TOP_PSI,
        scale="population stability index",
        axis="fold",
        hovertemplate="%{y}, fold %{x}: PSI %{z:.2f}, KS %{customdata:.2f}<extra></extra>",
    )


def coefficient_chart(diagnostics: Diagnostics, kind: str) -> Figure:
    """Coefficients of one kind by feature and year; a dot where the interval excludes zero."""
    chosen = [each for each in diagnostics.features if each.predictive.kind == kind]
    estimates = [
        [each.predictive.by_year.get(year, (np.nan,) * 3) for year in diagnostics.years]
        for each in chosen
    ]
    cells = np.array(estimates, dtype=np.float64).reshape(len(chosen), len(diagnostics.years), 3)
    distinct = (cells[..., 1] > 0) | (cells[..., 2] < 0)
    reach = max(_TOP_COEFFICIENT, float(np.nanquantile(np.abs(cells[..., 0]), 0.98)))
    return _heat_map(
        cells[..., 0],
        [str(year) for year in diagnostics.years],
        [escape(each.feature.name) for each in chosen],
        customdata=np.round(cells[..., 1:], 3),
        text=np.where(distinct, "•", ""),
        texttemplate="%{text}",
        colorscale=_SIGNED,
        zmin=-reach,
        zmax=reach,
        scale="correlation with what followed",
        axis="year",
        hovertemplate="%{y}, %{x}: %{z:+.3f} [%{customdata[0]:+.3f}, %{customdata[1]:+.3f}]"
        "<extra></extra>",
    )


def correlation_chart(diagnostics: Diagnostics) -> Figure:
    """Rank correlation of every pair, relatives side by side."""
    found = diagnostics.correlations
    names = [_names(diagnostics)[place] for place in found.order]
    figure = _heat_map(
        found.matrix[np.ix_(found.order, found.order)],
        names,
        names,
        colorscale=_SIGNED,
        zmin=-1,
        zmax=1,
        scale="rank correlation",
        axis="features in the same order",
        hovertemplate="%{y} and %{x}: %{z:+.2f}<extra></extra>",
    )
    figure.update_xaxes(showticklabels=False)  # sixty names would be no wider than a stroke
    return figure


def _names(diagnostics: Diagnostics) -> list[str]:
    return [escape(each.feature.name) for each in diagnostics.features]


def _heat_map(
    values: Array, across: Sequence[str], down: Sequence[str], scale: str, axis: str, **looks: Any
) -> Figure:
    """Rows from the top in the order given; cells in the grey of the ground are not available.

    Args:
        scale: what the colours mean. axis: what the columns are.
    """
    figure = new_figure(150 + _ROW * len(down))
    bar = {
        "thickness": 10,
        "orientation": "h",
        "y": 0,
        "yanchor": "top",
        "ypad": 24,
        "title": {"text": scale, "side": "bottom", "font": {"size": 11}},
    }
    figure.add_heatmap(
        z=np.round(values, 3).tolist(),
        x=list(across),
        y=list(down),
        hoverongaps=False,
        colorbar=bar,
        **looks,
    )
    # The last number below the colours stands half beyond them.
    figure.update_layout(plot_bgcolor=RULE, margin={"r": 20})
    figure.update_yaxes(
        autorange="reversed", showgrid=False, type="category", dtick=1, tickfont={"size": 10}
    )
    figure.update_xaxes(
        side="top",
        showgrid=False,
        type="category",
        tickfont={"size": 10},
        title={"text": axis, "font": {"size": 11}},
    )
    return figure


def histogram(distribution: Distribution) -> str:
    """A histogram as an SVG of a table cell; the outer bars hold all that lies beyond."""
    tall = np.ceil(_HEIGHT * distribution.counts / distribution.counts.max()).astype(int)
    wide = _WIDTH // len(tall)
    bars = "".join(
        f"M{place * wide} {_HEIGHT}v-{h}h{wide - 1}v{h}z" for place, h in enumerate(tall)
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="histogram">'
        f'<path d="{bars}"/></svg>'
    )
