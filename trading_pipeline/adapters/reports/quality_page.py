"""The quality of market data as one HTML page: self-contained and offline."""

from html import escape

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.charts.figure import Figure, chart_text, new_figure
from trading_pipeline.adapters.reports.coverage import (
    CLASSES,
    EACH,
    UNLISTED,
    classes_of,
    least_covered,
)
from trading_pipeline.adapters.reports.html import (
    chart_html,
    minus,
    section,
    sortable_cell,
    sortable_table,
)
from trading_pipeline.adapters.reports.quality import explained, headline, missing, verdict, when
from trading_pipeline.adapters.reports.template import whole_page
from trading_pipeline.core.market.quality.finding import SEVERITIES, Finding, counted
from trading_pipeline.core.market.quality.report import Quality

_HEADS = ("Severity", "Kind", "Symbol", "When", "Rows", "What, and what to do")
_SHOWN = 500  # findings; findings.csv has all
_KINDS = {"severe": "not-met", "warning": "warned", "info": "undecidable"}  # classes of the style
_ROW = 17  # pixels


def quality_page(quality: Quality) -> str:
    """The whole page; the same quality gives the same text."""
    title = f"{quality.name}: quality of the data"
    shown = quality.findings[:_SHOWN]
    more = len(quality.findings) - len(shown)
    rest = f" And {counted(more, 'finding')} more, none of them worse: findings.csv." * (more > 0)
    findings = "<p>Nothing was found.</p>"
    if shown:
        findings = sortable_table(_HEADS, [_row(each) for each in shown], "findings")
    symbols = len(quality.coverage)
    which = f"The {EACH} least covered of {symbols:,} symbols. " * (symbols > EACH)
    return whole_page(
        title,
        title,
        [escape(headline(quality)), escape(f"{verdict(quality)} {missing(quality)}")],
        [
            section(
                "Findings",
                "Severe: changes what is traded, for rows are refused or a symbol is held out. "
                "Warning: to be looked at. Info: to be known. What many symbols share is one line "
                f"with their number. A click on a heading sorts.{rest}",
                findings,
            ),
            section(
                "Coverage by month",
                f"{which}Which share of the bars that the calendar expects is there; pale: the "
                "symbol is not listed.",
                _key(),
                chart_html(_coverage(quality.coverage), "coverage"),
            ),
        ],
    )


def _row(each: Finding) -> list[str]:
    rank = SEVERITIES.index(each.severity)
    severity = f'<span class="{_KINDS[each.severity]}">{each.severity}</span>'
    return [
        sortable_cell(rank, severity),
        f"<td>{escape(each.kind)}</td>",
        f"<td>{escape(each.symbol or 'all')}</td>",
        f"<td>{escape(when(each))}</td>",
        sortable_cell(each.rows, f"{each.rows:,}" if each.rows else ""),
        f'<td class="why">{minus(explained(each))}</td>',
    ]


def _key() -> str:
    entries = [(colour, words) for _, colour, words in CLASSES] + [UNLISTED]
    items = (
        f'<span><b style="color: {colour}">\N{BLACK SQUARE}</b> {words}</span>'
        for colour, words in entries
    )
    return f'<p class="key">{"".join(items)}</p>'


def _coverage(table: pd.DataFrame) -> Figure:
    """A row a symbol, a column a month; colours are classes, as in the picture."""
    rows = least_covered(table, EACH)
    colours = [colour for _, colour, _ in CLASSES] + [UNLISTED[0]]
    steps = len(colours)
    figure = new_figure(90 + _ROW * max(len(rows), 4))
    figure.add_heatmap(
        z=classes_of(rows).tolist(),
        x=list(rows.columns),
        y=[chart_text(str(symbol)) for symbol in rows.index],
        customdata=np.round(100 * rows.to_numpy(float), 1).tolist(),
        zmin=0,
        zmax=steps,
        colorscale=[
            [edge / steps, colour] for place, colour in enumerate(colours)
            for edge in (place, place + 1)
        ],
        showscale=False,
        hovertemplate="%{y}, %{x}: %{customdata} % of the expected bars<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(
        autorange="reversed", showgrid=False, type="category", dtick=1, tickfont={"size": 10}
    )
    if len(januaries := [month for month in rows.columns if month.endswith("-01")]) > 1:
        figure.update_xaxes(tickvals=januaries, ticktext=[month[:4] for month in januaries])
    figure.update_xaxes(type="category", showgrid=False, title={"text": "month"})
    return figure
