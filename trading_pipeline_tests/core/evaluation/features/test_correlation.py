"""Which features say the same."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.features.correlation import ROWS, correlations


def grid(*columns, symbols=1):
    """(T, N, F) of columns (T × N,)."""
    rows = np.stack(columns, axis=-1).astype(np.float32)
    return rows.reshape(-1, symbols, len(columns)), np.ones((len(rows) // symbols, symbols), bool)


def test_the_map_equals_pandas():
    noise = np.random.default_rng(0).normal(size=(3, 600))
    columns = (noise[0], noise[0] ** 3, noise[0] + noise[1], np.round(noise[2]))
    found = correlations(*grid(*columns, symbols=3)).matrix
    expected = pd.DataFrame(np.stack(columns, axis=1).astype(np.float32)).corr(method="spearman")
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_pairs_are_compared_where_both_are_known():
    noise = np.random.default_rng(0).normal(size=(2, 400))
    first, second = noise[0].copy(), noise[0] + 0.1 * noise[1]
    first[:150], second[300:] = np.nan, np.nan
    matrix = correlations(*grid(first, second)).matrix
    assert matrix[0, 1] > 0.95
    np.testing.assert_allclose(np.diag(matrix), 1.0)


def test_what_never_moves_or_is_never_known_together_is_undefined():
    noise = np.random.default_rng(0).normal(size=200)
    early, late = noise.copy(), noise.copy()
    early[100:], late[:100] = np.nan, np.nan
    found = correlations(*grid(noise, np.full(200, 0.1), np.full(200, np.nan), early, late))
    assert np.isnan(found.matrix[1]).all()
    assert np.isnan(found.matrix[2]).all()
    assert np.isnan(found.matrix[3, 4])
    assert found.matrix[0, 3] > 0.99
    assert sorted(found.order) == [0, 1, 2, 3, 4]


def test_relatives_become_neighbours():
    noise = np.random.default_rng(0).normal(size=(2, 500))
    found = correlations(*grid(noise[0], noise[1], -noise[0], noise[1] ** 3))
    place = {int(feature): at for at, feature in enumerate(found.order)}
    assert abs(place[0] - place[2]) == 1
    assert abs(place[1] - place[3]) == 1


def test_bars_that_do_not_exist_are_left_out_and_long_histories_are_thinned():
    noise = np.random.default_rng(0).normal(size=2 * ROWS + 10)
    values, present = grid(noise, noise, symbols=2)
    present[:, 1] = False
    values[:, 1, 1] = 5.0
    assert correlations(values, present).matrix[0, 1] == pytest.approx(1)


def test_no_bars_have_no_correlations():
    found = correlations(np.empty((0, 2, 4), np.float32), np.empty((0, 2), bool))
    assert np.isnan(found.matrix).all()
