import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.learning.scaling import Scaler

GRID = np.random.default_rng(0).normal(3, 2, (50, 4, 3)).astype(np.float32)


def test_the_training_window_becomes_standard():
    scaled = Scaler.fit(GRID).apply(GRID)
    np.testing.assert_allclose(scaled.reshape(-1, 3).mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.reshape(-1, 3).std(axis=0), 1, atol=1e-2)


def test_missing_values_are_left_out_of_the_fit_and_become_the_mean():
    holed = GRID.copy()
    holed[::2, 0, 1] = np.nan
    scaler = Scaler.fit(holed)
    assert (scaler.apply(holed)[::2, 0, 1] == 0).all()
    known = holed[..., 1][np.isfinite(holed[..., 1])]
    np.testing.assert_allclose(scaler.center[1], known.mean(), rtol=1e-6)


def test_a_constant_or_absent_feature_is_zero_everywhere():
    flat = GRID.copy()
    flat[..., 0], flat[..., 1] = 7.0, np.nan
    scaled = Scaler.fit(flat).apply(flat)
    assert (scaled[..., :2] == 0).all()


@given(st.floats(-(2.0**99), 2.0**99, width=32))
def test_scaled_values_stay_within_five_deviations(value):
    wild = GRID.copy()
    wild[0, 0, 0] = value
    assert np.abs(Scaler.fit(GRID).apply(wild)).max() <= 5


def test_a_scaler_survives_a_checkpoint():
    scaler = Scaler.fit(GRID)
    again = Scaler.from_dict(scaler.to_dict())
    np.testing.assert_array_equal(again.apply(GRID), scaler.apply(GRID))
