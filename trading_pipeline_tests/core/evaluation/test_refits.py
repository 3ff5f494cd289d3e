"""Which interval between trainings is shown to be better: on returns whose truth is known."""

import numpy as np
import pytest

from trading_pipeline.core.evaluation.metrics import sharpe
from trading_pipeline.core.evaluation.refits import Refitted, compare_refits
from trading_pipeline_tests.core.evaluation.histories import MARKET

DAYS = 500


def intervals(gain: float, noise: float = 0.002) -> dict[str, Refitted]:
    """Of the same book, each interval's return a day higher by `gain` than the one before."""
    rng = np.random.default_rng(0)
    book, skill = rng.normal(0.0003, 0.01, DAYS), rng.normal(0.02, 0.1, DAYS)
    return {
        name: Refitted(
            fits=fits,
            cpu_seconds=20.0 * fits,
            returns=book + n * gain + noise * rng.normal(size=DAYS),
            coefficients=skill + n * 10 * gain + 0.01 * rng.normal(size=DAYS),
        )
        for n, (name, fits) in enumerate({"never": 1, "yearly": 2, "monthly": 24}.items())
    }


def test_figures_are_those_of_the_series_and_differences_are_paired():
    """An interval of a difference is as narrow as the two accounts are alike."""
    given = intervals(0.0)
    made = compare_refits(given, MARKET)
    table = made["intervals"]
    for name, each in given.items():
        row = table[name]
        assert row["sharpe"]["value"] == pytest.approx(float(sharpe(each.returns, 252)))
        assert row["rank_ic"]["value"] == pytest.approx(each.coefficients.mean())
        assert (row["fits"], row["cpu_seconds"]) == (each.fits, each.cpu_seconds)
    over = table["monthly"]["over"]["never"]["sharpe"]
    assert over["value"] == pytest.approx(
        table["monthly"]["sharpe"]["value"] - table["never"]["sharpe"]["value"]
    )
    width = table["never"]["sharpe"]["high"] - table["never"]["sharpe"]["low"]
    assert over["high"] - over["low"] < width / 2
    assert (made["days"], list(table["never"]["over"])) == (DAYS, [])
    assert list(table["yearly"]["over"]) == ["never"]
    assert list(table["monthly"]["over"]) == ["never", "yearly"]


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (0.0, "No interval is shown to be better than another"),
        (0.001, "yearly refits are better than never; monthly refits are better than never; "),
        (-0.001, "monthly refits are worse than yearly (at 95 % for all 3 comparisons"),
    ],
)
def test_the_answer_says_what_the_differences_show(gain, said):
    assert said in compare_refits(intervals(gain), MARKET)["answer"]


def test_a_book_that_never_moves_is_worth_nothing():
    """A model without an opinion in a neutral market trades nothing, and has no coefficient."""
    still = Refitted(1, 1.0, np.zeros(DAYS), np.full(DAYS, np.nan))
    made = compare_refits({**intervals(0.0), "still": still}, MARKET)["intervals"]["still"]
    assert made["sharpe"]["value"] == 0.0
    assert made["rank_ic"] == {"value": None, "low": None, "high": None}


@pytest.mark.slow
def test_of_many_comparisons_none_is_shown_by_luck():
    """Five intervals at 95 % each would find something on a fifth of markets without any."""
    rng, found = np.random.default_rng(1), 0
    for seed in range(40):
        book = rng.normal(0, 0.01, 120)
        given = {
            name: Refitted(1, 1.0, book + rng.normal(0, 0.005, 120), np.full(120, np.nan))
            for name in ("never", "yearly", "quarterly", "monthly")
        }
        found += "No interval" not in compare_refits(given, MARKET, seed)["answer"]
    assert found <= 5
