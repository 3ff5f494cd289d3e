"""What scores of unknown origin give away: do they know the bar in which they are traded?

A score that was stamped one bar early, or that was made with a column of tomorrow, is right about
the move that comes next as nobody is, and knows nothing of the one after. What a fit has seen
without such a jump, nothing here can find. Letters: T rows, N symbols; h is the horizon.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.information_coefficient import centred
from trading_pipeline.core.learning.targets import forward_returns
from trading_pipeline.core.long_run import mean_and_reach
from trading_pipeline.core.market.discontinuities import crosses
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION, Panel

# Of perfect foresight. Scores that made anyone rich come to some hundredths a bar.
TOO_GOOD, TOO_GOOD_AHEAD = 0.2, 0.25
UNUSUAL_AHEAD = 0.1

Floats = NDArray[np.float64]


class Timing(NamedTuple):
    """Of what knowing all moves would earn, the share that the signs of the scores do, [-1, 1].

    For normal variables it is their correlation. NaN where fewer than 20 dates can say.
    """

    night: Estimate  # C[t] to O[t+1], which is over when an order is filled
    next_bar: Estimate  # O[t+1] to O[t+2]
    one_bar_late: Estimate  # O[t+2] to O[t+3]
    ahead: Estimate  # O[t+1] to O[t+1+h], of dates with eight symbols

    def leaks(self, horizon: int) -> list[str]:
        """What nothing but knowing the future explains: a sentence for each."""
        found = []
        if self.night.low > TOO_GOOD:
            found.append(
                f"the scores know the night after their bar: {_share(self.night)} of perfect "
                "foresight, though the next open is later than they are"
            )
        if self.next_bar.low > TOO_GOOD and self.one_bar_late.value < self.next_bar.value / 2:
            found.append(
                f"the scores know the next bar, {_share(self.next_bar)} of perfect foresight, and "
                f"one bar later {_share(self.one_bar_late)}: stamp each by the last bar that it saw"
            )
        if self.ahead.low > TOO_GOOD_AHEAD:
            found.append(
                f"the scores are right about the next {horizon} bars as no model is: "
                f"{_share(self.ahead)} of perfect foresight; they have seen what they forecast"
            )
        return found

    def cautions(self, horizon: int) -> list[str]:
        """What each figure is, and what a reader should ask."""
        said = (
            f"of perfect foresight the signs of the scores earn {_share(self.night)} in the night "
            f"before their fill, {_share(self.next_bar)} in the bar after it, "
            f"{_share(self.one_bar_late)} one bar later, and {_share(self.ahead)} over {horizon} "
            "bars; no leak is found this way that is not gross"
        )
        asked = [said]
        if TOO_GOOD_AHEAD >= self.ahead.low > UNUSUAL_AHEAD:
            asked.append(
                f"the scores foresee more of the next {horizon} bars than published models do: "
                "look for what they have seen"
            )
        if self.next_bar.low > 0 and self.one_bar_late.high < self.next_bar.value / 2:
            asked.append(
                "more than half of what the scores know of the next bar is gone one bar later: "
                "make sure that they were known before its open"
            )
        return asked


def timing_of(panel: Panel, score: Floats, horizon: int) -> Timing:
    """Of scores (T, N), NaN where there is none; each date against the mean of its symbols."""
    opens, close = panel.adjusted_open, panel.adjusted_close
    one = forward_returns(opens, 1)
    night, late = np.full_like(one, np.nan), np.full_like(one, np.nan)
    night[:-1] = np.log(opens[1:] / close[:-1])
    late[:-1] = one[1:]
    ahead = forward_returns(opens, horizon)
    broken = panel.discontinuities
    return Timing(
        night=_captured(score, np.where(crosses(broken, 1), np.nan, night), 1),
        next_bar=_captured(score, np.where(crosses(broken, 2), np.nan, one), 2),
        one_bar_late=_captured(score, np.where(crosses(broken, 3), np.nan, late), 3),
        ahead=_captured(
            score,
            np.where(crosses(broken, horizon + 1), np.nan, ahead),
            horizon + 1,
            MIN_CROSS_SECTION,  # of few, who rose for years is preferred for honest reasons
        ),
    )


def _captured(score: Floats, move: Floats, bars: int, least: int = 2) -> Estimate:
    """The share of dates with that many symbols at `least`, over moves of so many bars."""
    known = np.isfinite(score) & np.isfinite(move)
    count = known.sum(axis=1)
    side, beyond = (centred(values, known) for values in (score, move))
    earned, possible = (np.sign(side) * beyond).sum(axis=1), np.abs(beyond).sum(axis=1)
    told = (count >= least) & (possible > 0) & (side != 0).any(axis=1)
    share = np.divide(earned, possible, out=np.full(len(score), np.nan), where=told)
    mean, reach = mean_and_reach(share, bars)
    return Estimate(mean, mean - reach, mean + reach)


def _share(estimate: Estimate) -> str:
    return "n/a" if np.isnan(estimate.value) else f"{estimate.value:.1%}"
