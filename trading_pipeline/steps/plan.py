"""A market and how it is worked on, as the settings say."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trading_pipeline.core.backtest.tolerance import Tolerance
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.core.model.rivals import RIVALS

if TYPE_CHECKING:  # it loads torch, which the code location must not
    from trading_pipeline.core.learning.recipe import Recipe
    from trading_pipeline.core.model.config import TrainingConfig


@dataclass(frozen=True)
class Plan:
    """Whatever is here beside the market is an entry of that name in the market's settings."""

    market: Market
    model: str = "network"  # or a rival of it, or "best": whichever validation chooses
    preset: str = "small"
    nightly: bool = False  # schedule and sensor start by themselves
    owner: str = "team:trading"  # of its assets, as the web UI shows
    processes: int = 1  # that share one training
    device: str = "cpu"  # to train on: cpu, cuda, cuda:1
    precision: str = "float32"  # of the encoders' matrix products, or bfloat16
    position_state: bool = False  # whether the network sees its own notional book
    # In place of the preset's: passes over a fold's windows, windows of a step, peak rate of AdamW.
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    divergence: Tolerance = field(
        default_factory=Tolerance
    )  # between a paper session and the backtest

    @property
    def recipe(self) -> "Recipe":
        """With as many inputs as the catalog has features."""
        from trading_pipeline.core.features.catalog import NAMES
        from trading_pipeline.core.learning.recipe import Recipe

        made = Recipe.preset(self.market, self.preset, len(NAMES))
        model = replace(made.model, position_state=self.position_state)
        training = self._budget(made.training)
        return replace(made, model=model, training=training, learner=self.model)

    def _budget(self, training: "TrainingConfig") -> "TrainingConfig":
        """A preset's, but for what is asked for."""
        from trading_pipeline.core.learning.budget import with_batch

        # A process takes whole blocks of a step, so there is one for each of them at least.
        training = replace(
            training,
            blocks=max(training.blocks, self.processes),
            precision=self.precision,
            epochs=self.epochs or 0,
            learning_rate=self.learning_rate or training.learning_rate,
        )
        if self.batch_size is None:
            return training
        return with_batch(training, self.batch_size, self.processes)

    @property
    def rivals(self) -> tuple[str, ...]:
        """What is fitted beside the model of every fold, for the report to compare it with.

        With the preset `tiny` not what costs as much as the whole network.
        """
        left_out = {self.model}
        if self.preset == "tiny" and self.model != "best":
            left_out |= {name for name, each in RIVALS.items() if each.dear}
        return tuple(each for each in LEARNED_BASELINES if each not in left_out)
