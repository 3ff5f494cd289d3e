"""Gradient-boosted trees on the newest bar: LightGBM (Ke et al., 2017).

Letters: N symbols, S steps of a window, F features, M rows of (date, symbol).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trading_pipeline.core.learning.rivals.cross_section import targets_by_date
from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.walkforward import Fold, Rows

# Chosen on planted markets: a feature fraction of 0.5 finds half as much of a product of two.
ROUNDS, PATIENCE = 500, 50  # trees at most, and trees without a gain on validation
PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_data_in_leaf": 200,  # rows of a date are hardly independent
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,  # else it times both ways, and takes the faster one
    "num_threads": 1,
    "verbosity": -1,
}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Boosting:
    """Trees, as the text that LightGBM writes of them."""

    text: str

    @classmethod
    def fit(cls, samples: Samples, fold: Fold, steps: int) -> Self:
        """Squared error of the target demeaned at each date; stopped early on validation."""
        import lightgbm  # late: it takes a second

        train, against = lightgbm.Dataset(*_table(samples, fold.train)), []
        callbacks: list[Callable[..., Any]] = []
        if samples.usable[fold.validation.first : fold.validation.last + 1].any():
            against = [lightgbm.Dataset(*_table(samples, fold.validation), reference=train)]
            callbacks = [lightgbm.early_stopping(PATIENCE, verbose=False)]
        booster = lightgbm.train(PARAMETERS, train, ROUNDS, valid_sets=against, callbacks=callbacks)
        return cls(booster.model_to_string(num_iteration=booster.best_iteration))

    def score(self, windows: Tensor) -> Array:
        """(N, S, F) -> (N,)."""
        newest = windows[:, -1].double().numpy()
        scores: Array = self._booster.predict(newest, num_threads=1)
        return scores

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        try:
            return lightgbm.Booster(model_str=self.text)
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"the text is no model of LightGBM ({error})") from error

    def to_dict(self) -> dict[str, Any]:
        """The text alone."""
        return {"text": self.text}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError for a text that is no model."""
        made = cls(plain["text"])
        _ = made._booster  # ValueError now, and not in the middle of a night
        return made


def _table(samples: Samples, rows: Rows) -> tuple[NDArray[np.float32], Array]:
    """The newest bar's features, (M, F), and the demeaned target, (M,)."""
    parts = [
        (samples.grid[date].numpy()[known], target)
        for date, known, target in targets_by_date(samples, rows)
    ]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
