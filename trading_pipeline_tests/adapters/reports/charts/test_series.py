"""What is drawn: risk events, weights, ticks."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports.charts.report import equity_chart
from trading_pipeline.adapters.reports.charts.series import (
    drawn_baselines,
    line_of,
    money_ticks,
    risk_events,
    solvent_weights,
)
from trading_pipeline_tests.adapters.reports.histories import series
from trading_pipeline_tests.core.evaluation.books import inputs


def test_risk_events_are_gathered_from_vetoes_orders_and_fills():
    given = inputs()
    found = risk_events(
        series(
            given,
            orders=pd.DataFrame(
                {
                    "decided_at": given.timestamps[[5, 5, 9]],
                    "symbol": ["AAPL", "IBM", "IBM"],
                    "reasons": ["symbol_cap|drawdown_half", "drawdown_half", ""],
                }
            ),
        )
    )
    assert found.to_dict("records") == [
        {"at": given.timestamps[5], "rule": "drawdown_half", "symbols": 2},
        {"at": given.timestamps[6], "rule": "stop_loss", "symbols": 1},
        {"at": given.timestamps[8], "rule": "weekly_loss", "symbols": 2},
    ]


def test_empty_tables_have_no_risk_events():
    nothing = pd.DataFrame({"decided_at": [], "symbol": []})
    assert risk_events(series(inputs(), orders=nothing, fills=nothing, vetoes=nothing)).empty


def test_series_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match=r"weights has shape \(400, 3\), expected \(400, 2\)"):
        series(inputs(), symbols=("AAPL", "IBM"), weights=np.zeros((400, 3)))
    with pytest.raises(ValueError, match=r"price has shape \(400, 1\), expected \(400, 3\)"):
        series(inputs(), price=np.zeros((400, 1)))


def test_weights_of_a_ruined_account_are_nothing():
    given = inputs()
    equity = given.strategy.equity.copy()
    equity[200:] = -1.0
    weights = np.full((400, 3), 0.3)
    weights[250:] = np.inf
    found = solvent_weights(series(given, equity=equity, weights=weights))
    assert (found[:200] == 0.3).all()
    assert (found[200:] == 0).all()


@pytest.mark.parametrize(("low", "high"), [(1, 1), (98, 104), (60, 450), (0.5, 3e6)])
def test_a_log_axis_has_a_few_round_ticks(low, high):
    given = inputs()
    equity = np.geomspace(low, high, 400) * 1000
    found = money_ticks(series(given, equity=equity, baselines={}))
    assert 1 <= len(found) <= 24
    assert found == sorted(found)
    assert found[0] <= high * 1000
    assert found[-1] >= low * 1000


def test_no_two_lines_of_a_chart_look_alike():
    """Managed baselines are not drawn, and use up no colours; the tenth line is dashed."""
    given = inputs()
    names = [f"rule_{n}{managed}" for n in range(11) for managed in ("", "_managed")]
    made = series(given, baselines=dict.fromkeys(names, given.strategy.equity))
    looks = [line_of(made, name) for name in drawn_baselines(made)]
    assert len(set(looks)) == len(looks) == 11
    assert [look.dashed for look in looks] == [False] * 9 + [True] * 2
    drawn = {(each.line.color, each.line.dash) for each in equity_chart(made).data if each.line}
    assert {(look.colour, "dash" if look.dashed else "solid") for look in looks} <= drawn


def test_hovering_shows_whole_names():
    """Plotly cuts them to fifteen letters: 'inverse vola...'."""
    assert equity_chart(series(inputs())).layout.hoverlabel.namelength == -1
