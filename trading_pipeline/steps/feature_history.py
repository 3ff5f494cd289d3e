"""What the feature diagnostics look at: features beside the returns that followed them."""

from collections.abc import Mapping

from trading_pipeline.core.evaluation.features.diagnostics import History
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.learning.walkforward import Fold


def history_of(data: Dataset, targets: Targets, folds: Mapping[str, Fold], horizon: int) -> History:
    """A market's history, with the windows that each fold's model learned from and was used on.

    The training window is the one that the scaler is fitted on: without validation.
    """
    return History(
        timestamps=data.panel.timestamps,
        grid=data.grid,
        present=data.panel.traded,
        eligible=data.eligible,
        target=targets.price,
        market_target=targets.market,
        horizon=horizon,
        folds={
            key: (
                slice(fold.train.first, fold.train.last + 1),
                slice(fold.test.first, fold.test.last + 1),
            )
            for key, fold in folds.items()
        },
    )
