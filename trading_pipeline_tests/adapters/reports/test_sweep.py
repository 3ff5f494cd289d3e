"""The table of a sweep as a person reads it."""

from math import nan

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports.sweep import draw_sweep, luck_text, sweep_text, write_sweep
from trading_pipeline.core.evaluation.sweep import Luck
from trading_pipeline.errors import StoreError
from trading_pipeline_tests.adapters.reports.histories import sweep_table

LIMITS = ("stop_loss", "trailing_stop")


def test_rows_stay_in_their_order_and_the_own_one_has_a_star():
    head, *lines = sweep_text(sweep_table(), LIMITS).splitlines()
    assert head.split()[:3] == ["stop_loss", "trailing_stop", "return"]
    cells = [
        "*",
        "2",
        "inf",
        "+5.1%",
        "10.0%",
        "0.70",
        "[0.20,",
        "1.20]",
        "-12.3%",
        "9.4",
        "2",
        "1",
    ]
    assert lines[1].split() == cells
    assert [line.split()[0] for line in lines] == ["2", "*", "4", "4"]
    assert "n/a" in lines[2]
    assert len({len(line) for line in [head, *lines]}) == 1


def test_luck_is_said_in_full():
    luck = Luck(
        trials=12, effective=3, expected_maximum=0.61, best="stop_loss=2", sharpe=0.63,
        deflated=0.07, hardest="buy_and_hold_managed", overfitting=0.31, superiority=0.4,
    )  # fmt: skip
    said = " ".join(luck_text(9, 8, luck).split())
    for part in (
        "9 variants were tried, 8 of them for the first time; 12 trials of this panel",
        "Those that move alike are one: 3 are really different.",
        "Probability of backtest overfitting: 31 %.",
        "with a probability of 0.40 (test of superior predictive ability)",
        "The best row is stop_loss=2, with a Sharpe ratio of 0.63.",
        "Over buy-and-hold (managed) at equal volatility the best of 3 without any skill is "
        "expected to show one of 0.61; the deflated Sharpe ratio of the best row over that is 0.07",
        "Choosing by this table is fitting",
    ):
        assert part in said
    unknown = luck._replace(deflated=None, overfitting=None, superiority=None)
    still = " ".join(luck_text(1, 1, unknown._replace(sharpe=nan)).split())
    assert "with a Sharpe ratio of n/a." in still
    assert "over that is not available" in still
    assert "overfitting" not in luck_text(1, 1, unknown)


def test_the_file_reads_back_as_the_table(tmp_path):
    path = tmp_path / "new" / "sweep.csv"
    write_sweep(path, sweep_table())
    pd.testing.assert_frame_equal(pd.read_csv(path, index_col=0), sweep_table())


def test_a_picture_needs_two_limits_and_leaves_out_what_was_left_out(tmp_path):
    draw_sweep(tmp_path / "whole.png", sweep_table(), LIMITS, "title with $ and $")
    draw_sweep(tmp_path / "part.png", sweep_table().iloc[:3], LIMITS, "title")
    draw_sweep(tmp_path / "none.png", sweep_table(sharpes=[nan] * 4), LIMITS, "title")
    for name in ("whole", "part", "none"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="two limits, not 1"):
        draw_sweep(tmp_path / "one.png", sweep_table(), LIMITS[:1], "title")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(StoreError, match=r"cannot write .*file/sweep.csv"):
        write_sweep(tmp_path / "file" / "sweep.csv", sweep_table())
    with pytest.raises(StoreError, match=r"cannot write .*file/sweep.png"):
        draw_sweep(tmp_path / "file" / "sweep.png", sweep_table(), LIMITS, "title")


def test_pictures_are_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        draw_sweep(tmp_path / name, sweep_table(), LIMITS, "title")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert np.isfinite(sweep_table()["turnover"]).all()
