"""What is held against a predecessor of a network: what its heads say, and not what is believed."""

from dataclasses import replace

import pytest

from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.walkforward import production_fold
from trading_pipeline.steps.acceptance import BAND, compared
from trading_pipeline_tests.core.learning.checkpoints import untrained
from trading_pipeline_tests.steps.learnable import MARKET, PLAN, dataset

TERMS, PRICE, GAIN = "terms.weight", "answers.price.weight", "answers.gain"


def network(slope: float = 1.0, nothing: tuple[str, ...] = ()):
    """An untrained one, where weights of these names are 0; price head alone."""
    recipe, clock = replace(PLAN, model="network").recipe, dataset().panel.timestamps
    first = burn_in(recipe.model.n_steps)
    fold = production_fold(clock, MARKET, first, recipe.training.min_dates)
    made = untrained(dataset(), fold, recipe)
    made["calibration"] |= {"weight": 1.0, "slope": slope}
    for state in made["states"]:
        for name in nothing:
            assert state[name].any()
            state[name] = 0 * state[name]
    return made


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("slope", "nothing", "collapsed"),
    [
        (1.0, (), False),
        (0.0, (), False),
        (0.0, (TERMS, GAIN), False),  # believed nothing
        (1.0, (TERMS, PRICE), True),  # says nothing
        (0.0, (TERMS, PRICE), True),
    ],
)
@pytest.mark.sampled(5)
def test_a_network_that_is_not_believed_has_not_collapsed(slope, nothing, collapsed):
    """Validation takes from noise all that it says; a network that says nothing is broken."""
    found = compared(dataset(), network(slope, nothing), network(), MARKET.horizon)
    assert any("it has collapsed" in each for each in BAND.refusals(found)) == collapsed
