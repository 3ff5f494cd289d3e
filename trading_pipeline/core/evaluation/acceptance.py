"""May tonight's model take the place of the one that trades?

Both are made by one recipe, of bars that are the same but for the newest. So the new one has to say
nearly what the old one says, and must not be worse on dates that neither has learned from. Letters:
L recent dates, N symbols.
"""

from dataclasses import dataclass
from math import isnan, nan
from typing import NamedTuple

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.information_coefficient import rank_correlations
from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.long_run import mean_and_reach


@dataclass(frozen=True)
class Band:
    """How far a model may be from its predecessor.

    Successive fits of an honest recipe agreed by 0.66 and more; a model that orders symbols the
    other way round agrees by -1, one that knows nothing of the other by 0. Two half widths are what
    an honest night exceeds once in a year of them, measured for outcomes of 21 bars.
    """

    dates: int = 63  # newest ones whose scores are compared
    agreement: float = 0.5  # mean rank correlation of the scores at least, in [-1, 1]
    widths: float = 2.0  # half widths of a 95 % interval that its record may be worse
    margin: float = 0.002  # information coefficient that it may be worse, however surely
    spread: float = 0.01  # of the predecessor's that it has at least; honest refits had 0.16

    def refusals(self, found: "Comparison") -> list[str]:
        """Why a model with this evidence is not accepted, a sentence for each; [] if it is.

        What cannot be compared (NaN) is no reason: a model whose validation shows nothing
        contradicts none, and holds the benchmark. One whose heads say the same of every symbol has
        collapsed.
        """
        reasons = []
        if found.spread < self.spread:
            reasons.append(
                "it has collapsed: what its heads say of the symbols of a date lies apart by "
                f"{found.spread:.2g} of what its predecessor's do; at least {self.spread:g} is "
                "what an honest refit has"
            )
        if found.agreement < self.agreement:
            reasons.append(
                f"its scores on the last {found.dates} dates agree with those of its predecessor "
                f"by a rank correlation of {found.agreement:.2f}; at least {self.agreement:.2f} is "
                "what an honest refit has"
            )
        if found.difference < -max(self.widths * found.reach, self.margin):
            reasons.append(
                f"its information coefficient on {found.common} dates of validation is "
                f"{found.difference:+.4f} from that of its predecessor, which is significantly "
                f"worse (± {self.widths * found.reach:.4f})"
            )
        return reasons


class Comparison(NamedTuple):
    """A model beside its predecessor; NaN where there is nothing to compare."""

    dates: int  # recent ones at which both order the symbols
    agreement: float  # mean rank correlation of their scores on them, [-1, 1]
    spread: float  # of the heads across symbols, over that of the predecessor, which orders them
    common: int  # dates of both validations
    difference: float  # mean information coefficient on them, less that of the predecessor
    reach: float  # half the width of the 95 % interval of the difference

    def to_dict(self) -> dict[str, float | int | None]:
        """For JSON: what is NaN becomes None."""
        return {name: None if isnan(value) else value for name, value in self._asdict().items()}


class Said(NamedTuple):
    """What a model says of recent dates, and how right it was on its validation.

    It may have learned from the dates: how alike two models are can be seen on any bars.
    """

    score: Floats  # (L, N), NaN where a symbol is not eligible
    heads: Floats  # the same before validation shrinks it, in no unit
    record: pd.Series  # information coefficients of validation by date, NaN where there is none


def compare(now: Said, before: Said, horizon: int) -> Comparison:
    """A model beside its predecessor, on the same recent dates.

    On dates of both validations neither's weights have learned from the outcomes.

    Args:
        horizon: bars that an outcome reaches over.
    """
    by_date = rank_correlations(now.score, before.score)
    both = pd.concat([now.record, before.record], axis=1, join="inner").dropna()
    difference = both.iloc[:, 0] - both.iloc[:, 1]
    mean, reach = mean_and_reach(difference.to_numpy(float), horizon)
    alike = by_date[~pd.isna(by_date)]
    ordered = _spread(before.score) > 0 and _spread(before.heads) > 0
    return Comparison(
        dates=len(alike),
        agreement=float(alike.mean()) if len(alike) else nan,
        spread=_spread(now.heads) / _spread(before.heads) if ordered else nan,
        common=len(both),
        difference=mean,
        reach=reach,
    )


def _spread(values: Floats) -> float:
    """Deviation across the symbols of a date, in the median of the dates; 0 where none is known."""
    known = values[np.isfinite(values).any(axis=1)]
    if not len(known):
        return 0.0
    # Of three equal numbers the deviation is not 0 but what their mean is rounded by.
    alike = np.nanmax(known, axis=1) == np.nanmin(known, axis=1)
    return float(np.median(np.where(alike, 0.0, np.nanstd(known, axis=1))))
