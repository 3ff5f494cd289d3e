"""Three questions, each with an answer and its reasons: the edge, what it adds, the network.

The edge is 'proven' by all of: the lower one-sided 97.5 % bound of the paired Sharpe difference
above 0 against every rule baseline, bare and managed, and a deflated Sharpe ratio of the active
return of at least 0.95. 'Adds to the baselines' is proven by the same bound of the alpha over all
of them jointly, and a deflated Sharpe ratio of what they do not explain. Both need 250 days, no
leak, a known number of trials, and a book that is no copy of its baselines. Each deflates by how
many trials differ in the very returns that it judges. Everything else is 'not proven', which is a
result, not a failure.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from trading_pipeline.core.backtest.baselines import BASELINE_NAMES
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.evaluation.significance import (
    SharpeMoments,
    active_returns,
    deflated_sharpe,
    minimum_track_record,
)
from trading_pipeline.core.evaluation.spanning import Spanning, spanning, unexplained_streams
from trading_pipeline.core.evaluation.trials import (
    EffectiveTrials,
    active_trials,
    effective_trials,
)
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.core.model.rivals import RIVALS

MINIMUM_DAYS = 250
MINIMUM_DEFLATED_SHARPE = 0.95
# Volatility of what the baselines do not explain, over that of the book, below which the book is
# one of them: a few basis points of cost would then look like a certain skill. Managed books
# without a view, which trade later than their managed baselines, come to 0.05.
MINIMUM_UNEXPLAINED = 0.10
_UNEXPLAINED = f"{100 * MINIMUM_UNEXPLAINED:.0f} %"
PROVEN, NOT_PROVEN = "proven", "not proven"
EARNS, DOES_NOT_EARN = "earns its place", "does not earn its place"  # of the network
NOT_ASKED, NOT_DECIDED = "not asked", "not decided"
_NAMED = 4  # baselines that a reason names
_NEVER = Estimate(float("nan"))  # what no history decides
_FOREVER = 36_500  # days; beyond a hundred years 'needs N more days' is not advice


@dataclass(frozen=True, kw_only=True, eq=False)
class VerdictInputs:
    """What the verdicts are reached from; D days."""

    differences: Mapping[str, Estimate]  # baseline -> paired Sharpe difference, a year
    returns: Mapping[str, Floats]  # baseline -> daily returns (D,), in the order to regress on
    strategy: Floats  # daily returns (D,)
    trials: int | None  # on this panel; None is unknown
    trial_returns: Floats  # (D, K) daily returns of the trials that are known, NaN where unseen
    leaks: Sequence[str]  # what the leakage checks found
    model: str = "network"  # whose scores the strategy trades
    symbols: int = MIN_CROSS_SECTION  # of the market
    stale: Sequence[str] = ()  # learned baselines whose stored predictions are not up to date

    @cached_property
    def rules(self) -> dict[str, Estimate]:
        """The paired differences to rule baselines."""
        return {k: v for k, v in self.differences.items() if k not in LEARNED_BASELINES}

    @cached_property
    def hardest(self) -> str | None:
        """Of the rule baselines."""
        return hardest_of(self.rules)


class Answer(NamedTuple):
    """The answer to one of the questions that evidence decides."""

    reasons: tuple[str, ...]  # why it is not proven; empty where it is
    needs_days: int | None  # to be added; None where no history of a sane length would do
    moments: SharpeMoments | None  # of the returns that were judged; None: they never move
    trials: EffectiveTrials | None  # by the same returns of each of them; None: unknown
    deflated: float | None  # deflated Sharpe ratio of them, a probability; None: unknown
    # One-sided, of the bound that is asked to be above 0, or the hardest of them: at most 0.025
    # where it is. None: no history would decide. Luck in choosing is no part of it.
    p_value: float | None

    @property
    def answer(self) -> str:
        """PROVEN, or NOT_PROVEN where a reason speaks against it."""
        return NOT_PROVEN if self.reasons else PROVEN


class OfNetwork(NamedTuple):
    """Whether the network's book beats that of every learned baseline."""

    answer: str  # EARNS, DOES_NOT_EARN, NOT_ASKED or NOT_DECIDED
    reasons: tuple[str, ...]  # a sentence each


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """The three answers, and what the first two were reached by."""

    edge: Answer
    adds: Answer
    network: OfNetwork
    hardest_baseline: str | None
    spanning: Spanning

    def to_dict(self) -> dict[str, object]:
        """Answers and reasons as plain values; the figures behind them are the significance."""
        return {
            "edge": self.edge.answer,
            "adds": self.adds.answer,
            "network": self.network.answer,
            "reasons": list(self.edge.reasons),
            "adds_reasons": list(self.adds.reasons),
            "network_reasons": list(self.network.reasons),
            "needs_days": self.edge.needs_days,
            "adds_needs_days": self.adds.needs_days,
            "hardest_baseline": self.hardest_baseline,
        }


_SPELLED = {name: each.title for name, each in RIVALS.items()} | {"best": "the best on validation"}


def spelled(model: str) -> str:
    """A model as a sentence says it: LightGBM, ridge with lags."""
    return _SPELLED.get(model, model)


def titled(name: str) -> str:
    """A name as a sentence says it: buy-and-hold, equal weight (managed), LightGBM."""
    if name in _SPELLED:
        return _SPELLED[name]
    bare = name.removesuffix("_managed")
    return bare.replace("_and_", "-and-").replace("_", " ") + " (managed)" * (bare != name)


def reach_verdict(given: VerdictInputs, days_per_year: float) -> Verdict:
    """Weigh what is given; every condition that fails becomes one reason, hardest first."""
    rules = {name: given.returns[name] for name in given.rules}
    spanned = spanning(given.strategy, rules)
    active = own = None
    if given.trials is not None and given.hardest is not None:
        known = given.trial_returns
        active = effective_trials(active_trials(known, rules[given.hardest]), given.trials)
        own = effective_trials(unexplained_streams(known, rules), given.trials)
    return Verdict(
        edge=_edge(given, active),
        adds=_adds(given, spanned, own, days_per_year),
        network=_network(given),
        hardest_baseline=given.hardest,
        spanning=spanned,
    )


def _edge(given: VerdictInputs, trials: EffectiveTrials | None) -> Answer:
    """Whether the book beats every rule baseline, and by more than luck."""
    moments = None
    if given.hardest is not None:
        moments = SharpeMoments.of(active_returns(given.strategy, given.returns[given.hardest]))
    copies = _copies(given)
    over = f" over {titled(given.hardest)} at equal volatility" if given.hardest else ""
    bounds = [_NEVER] if copies else given.rules.values()
    return _answer(given, [*_not_above(given), *copies], moments, trials, over, bounds)


def _adds(
    given: VerdictInputs, spanned: Spanning, trials: EffectiveTrials | None, days_per_year: float
) -> Answer:
    """Whether the book earns what no mix of the rule baselines does, and by more than luck."""
    moments = SharpeMoments.of(spanned.stream)
    reasons = _no_alpha(spanned, days_per_year) if given.rules else []
    over = " of what no mix of the simple rules explains"
    bound = _NEVER if spanned.unexplained < MINIMUM_UNEXPLAINED else spanned.alpha
    return _answer(given, reasons, moments, trials, over, [bound])


def _answer(
    given: VerdictInputs,
    found: Sequence[str],
    moments: SharpeMoments | None,
    trials: EffectiveTrials | None,
    over: str,
    bounds: Collection[Estimate],
) -> Answer:
    """An answer by its own findings and the conditions that both questions share."""
    probability = None
    if moments is not None and trials is not None:
        probability = deflated_sharpe(moments, trials.effective, trials.variance)
    reasons = (
        *_leaks(given.leaks),
        *found,
        *_luck(given, trials, probability, over),
        *_short(len(given.strategy)),
        *_not_compared(given.rules),
    )
    needed = None
    if reasons and not given.leaks and moments is not None and trials is not None:
        needed = _needs_days(len(given.strategy), moments, trials.hurdle, bounds)
    worst = float(np.max([each.p_value for each in bounds], initial=0.0))
    p_value = worst if bounds and np.isfinite(worst) else None
    return Answer(reasons, needed, moments, trials, probability, p_value)


def hardest_of(differences: Mapping[str, Estimate]) -> str | None:
    """The baseline over which the lower bound is lowest; None if there is none."""
    return min(differences, key=lambda name: _bound(differences[name]), default=None)


def _bound(difference: Estimate) -> float:
    """The lower bound, minus infinity when it is undefined: what is unknown is not proven."""
    return difference.low if np.isfinite(difference.low) else -np.inf


def _leaks(leaks: Sequence[str]) -> list[str]:
    return [f"A leak was found, so no number here can be trusted: {leak}." for leak in leaks]


def _not_above(given: VerdictInputs) -> list[str]:
    rules = given.rules
    if given.hardest is None:
        return ["There is no rule baseline to compare with."]
    behind = sorted(
        (name for name, difference in rules.items() if not _bound(difference) > 0),
        key=lambda name: _bound(rules[name]),
    )
    if not behind:
        return []
    value, low, high = rules[given.hardest]
    also = ", ".join(titled(name) for name in behind[1:_NAMED])
    more = f" and {len(behind) - _NAMED} more" if len(behind) > _NAMED else ""
    return [
        f"Not shown to be better than {len(behind)} of {len(rules)} simple rules. "
        f"The hardest is {titled(given.hardest)}: the Sharpe ratio is {abs(value):.2f} "
        f"{'above' if value >= 0 else 'below'} its own, 95 % interval [{low:+.2f}, {high:+.2f}], "
        "and the lower end must be above 0."
        + (f" Next, by that end: {also}{more}." if also else "")
    ]


def _copies(given: VerdictInputs) -> list[str]:
    """Of the rules that the book follows so closely that a difference says nothing of skill."""
    whole = float(given.strategy.std())
    for name in given.rules:
        share = float(active_returns(given.strategy, given.returns[name]).std())
        if 0 < share < MINIMUM_UNEXPLAINED * whole:
            return [_too_alike(titled(name), share / whole)]
    return []


def _too_alike(other: str, unexplained: float) -> str:
    """Of a book that so little of its volatility tells from another."""
    return (
        f"The book moves as {other}, but for {100 * unexplained:.1f} % of its volatility: too "
        f"little to tell a skill from a difference in costs, which takes {_UNEXPLAINED}."
    )


def _no_alpha(spanned: Spanning, days_per_year: float) -> list[str]:
    if spanned.unexplained < MINIMUM_UNEXPLAINED:
        return [_too_alike("a mix of the simple rules", spanned.unexplained)]
    if not np.isfinite(spanned.alpha.low):
        return ["What no mix of the simple rules explains cannot be measured on so few days."]
    if spanned.alpha.low > 0:
        return []
    value, low, high = (f"{100 * each:+.1f} %" for each in spanned.alpha.times(days_per_year))
    return [
        "Not shown to earn anything of its own: beyond any mix of the simple rules it made "
        f"{value} a year, 95 % interval [{low}, {high}], and the lower end must be above 0."
    ]


def _luck(
    given: VerdictInputs, trials: EffectiveTrials | None, probability: float | None, over: str
) -> list[str]:
    if given.trials is None:
        return ["Trials unknown: without their number luck in choosing cannot be ruled out."]
    if trials is None:
        return []  # without a baseline, which is said already
    if probability is None:
        return [f"The return{over} never moves, so its luck cannot be judged."]
    if probability >= MINIMUM_DEFLATED_SHARPE:
        return []
    needed = f"at least {MINIMUM_DEFLATED_SHARPE} is needed."
    if trials.count == 1:
        return [
            f"The probability that its true Sharpe ratio{over} is above 0 is {probability:.2f}; "
            f"{needed}"
        ]
    alike = f" ({trials.effective} really different)" if trials.effective < trials.count else ""
    return [
        f"The best of {trials.count} trials{alike} looks good by luck alone. The probability "
        f"that this book is better than that is {probability:.2f} (deflated Sharpe ratio{over}); "
        f"{needed}"
    ]


def _short(n_days: int) -> list[str]:
    if n_days >= MINIMUM_DAYS:
        return []
    return [f"Only {n_days} days out of sample; at least {MINIMUM_DAYS} are needed."]


def _not_compared(rules: Mapping[str, Estimate]) -> list[str]:
    missing = [titled(name) for name in BASELINE_NAMES if name not in rules]
    return [f"Not yet compared with {', '.join(missing)}."] if missing else []


def _needs_days(
    days: int, moments: SharpeMoments, hurdle: float, bounds: Iterable[Estimate]
) -> int | None:
    """Days to add until every condition on the numbers would hold, were they to stay as they are.

    Bounds narrow with the square root of the days; the deflated Sharpe ratio is answered by the
    minimum track record length against the present hurdle.
    """
    needed = [float(MINIMUM_DAYS), minimum_track_record(moments, hurdle)]
    for value, low, _ in bounds:
        if not low > 0:
            needed.append(days * ((value - low) / value) ** 2 if value > 0 else np.inf)
    most = max(needed)
    more = np.ceil(most) - days if np.isfinite(most) else 0
    return int(more) if 0 < more < _FOREVER else None


def _network(given: VerdictInputs) -> OfNetwork:
    """Whether the network's book beats that of every learned baseline; why that is not asked."""
    answer, why = _of_network(given)
    return OfNetwork(answer, (f"{why[0].upper()}{why[1:]}.",))


def _of_network(given: VerdictInputs) -> tuple[str, str]:
    """The answer, and why, as part of a sentence."""
    stale = f"the predictions of {', '.join(map(spelled, given.stale))} are not up to date"
    if given.model != "network":
        return NOT_ASKED, f"the scores that were traded are those of {spelled(given.model)}"
    if given.symbols < MIN_CROSS_SECTION:
        few = f"fewer than {MIN_CROSS_SECTION} symbols"
        return NOT_ASKED, f"with {few} no skill at choosing among them can be shown"
    if given.leaks:
        return NOT_DECIDED, "a leak was found, so no number here can be trusted"
    differences = given.differences
    learned = {name: differences[name] for name in LEARNED_BASELINES if name in differences}
    if not learned:
        return NOT_ASKED, stale if given.stale else "no learned baselines have been trained"
    if _short(days := len(given.strategy)):
        return NOT_DECIDED, f"{days} days are too few, at least {MINIMUM_DAYS} are needed"
    as_good = [spelled(name) for name, each in learned.items() if not _bound(each) > 0]
    if as_good:
        does = "is simpler and does" if len(as_good) == 1 else "are simpler and do"
        return DOES_NOT_EARN, f"{', '.join(as_good)} {does} as well"
    missing = [spelled(name) for name in LEARNED_BASELINES if name not in learned]
    if missing:
        why = f", for {stale}" if given.stale else ""
        return NOT_DECIDED, f"better than the others, not compared with {', '.join(missing)}{why}"
    return EARNS, "better than every learned baseline"
