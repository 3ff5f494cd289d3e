"""Is there an edge, and does the network earn its place? Two verdicts, each with its reasons.

'Proven' needs all of: the lower one-sided 97.5 % bound of the paired Sharpe difference above 0
against every rule baseline, a deflated Sharpe ratio of the active return of at least 0.95, at
least 250 days, and no leak. Everything else is 'not proven', which is a result, not a failure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from trading_pipeline.core.backtest.baselines import BASELINE_NAMES
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.evaluation.significance import (
    SharpeMoments,
    expected_maximum_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    trial_variance,
)
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.core.model.config import LEARNED_BASELINES

MINIMUM_DAYS = 250
MINIMUM_DEFLATED_SHARPE = 0.95
_FOREVER = 36_500  # days; beyond a hundred years 'needs N more days' is not advice


@dataclass(frozen=True, kw_only=True)
class VerdictInputs:
    """What the verdicts are reached from."""

    differences: Mapping[str, Estimate]  # baseline -> paired Sharpe difference, a year
    returns: Mapping[str, Floats]  # baseline -> daily returns (D,)
    strategy: Floats  # daily returns (D,)
    trials: int | None  # distinct (configuration, panel) ones; None is unknown
    trial_sharpes: Floats  # per day, of the trials that are known
    leaks: Sequence[str]  # what the leakage checks found
    model: str = "network"  # whose scores the strategy trades
    symbols: int = MIN_CROSS_SECTION  # of the market
    stale: Sequence[str] = ()  # learned baselines whose stored predictions are not up to date


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The two verdicts; `needs_days` is None when no history of a sane length would do."""

    edge: str  # "proven" or "not proven"
    network: str
    reasons: tuple[str, ...]
    needs_days: int | None
    hardest_baseline: str | None
    active_sharpe_per_day: float | None
    deflated_sharpe: float | None  # a probability, in [0, 1]

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"reasons": list(self.reasons)}


_SPELLED = {
    "ridge": "ridge",
    "ridge_lags": "ridge with lags",
    "lightgbm": "LightGBM",
    "lstm": "LSTM",
    "best": "the best on validation",
}


def spelled(model: str) -> str:
    """A model as a sentence says it: LightGBM, ridge with lags."""
    return _SPELLED.get(model, model)


def titled(name: str) -> str:
    """A name as a sentence says it: buy-and-hold, equal weight (managed), LightGBM."""
    if name in _SPELLED:
        return _SPELLED[name]
    bare = name.removesuffix("_managed")
    return bare.replace("_and_", "-and-").replace("_", " ") + " (managed)" * (bare != name)


def active_returns(strategy: Floats, baseline: Floats) -> Floats:
    """Daily returns over the baseline's, the baseline scaled to the strategy's volatility.

    At equal volatility the sign of the mean is the sign of the Sharpe difference, so an account is
    neither punished for taking less risk than buy-and-hold nor paid for taking more. A baseline
    that never moves (cash) is subtracted as it is. Both (D,).
    """
    own, other = strategy.std(ddof=1), baseline.std(ddof=1)
    return strategy - (own / other if other > 0 else 1.0) * baseline


def reach_verdict(given: VerdictInputs) -> Verdict:
    """Weigh what is given; every condition that fails becomes one reason, hardest first."""
    rules = {k: v for k, v in given.differences.items() if k not in LEARNED_BASELINES}
    hardest = min(rules, key=lambda name: _bound(rules[name]), default=None)
    active = None
    if hardest is not None:
        active = SharpeMoments.of(active_returns(given.strategy, given.returns[hardest]))
    probability = _deflated(given, active)
    reasons = [
        *_leaks(given.leaks),
        *_not_above(rules, hardest),
        *_luck(given, hardest, probability),
        *_short(len(given.strategy)),
        *_not_compared(rules),
    ]
    return Verdict(
        edge="not proven" if reasons else "proven",
        network=_network(given),
        reasons=tuple(reasons),
        needs_days=_needs_days(given, rules, active) if reasons else None,
        hardest_baseline=hardest,
        active_sharpe_per_day=active.sharpe if active else None,
        deflated_sharpe=probability,
    )


def _bound(difference: Estimate) -> float:
    """The lower bound, minus infinity when it is undefined: what is unknown is not proven."""
    return difference.low if np.isfinite(difference.low) else -np.inf


def _hurdle(given: VerdictInputs) -> float:
    """Sharpe ratio a day that the luckiest of the trials is expected to show."""
    variance = trial_variance(given.trial_sharpes, len(given.strategy))
    return expected_maximum_sharpe(given.trials or 1, variance)


def _deflated(given: VerdictInputs, active: SharpeMoments | None) -> float | None:
    if active is None or given.trials is None:
        return None
    return probabilistic_sharpe(active, _hurdle(given))


def _leaks(leaks: Sequence[str]) -> list[str]:
    return [f"A leak was found, so no number here can be trusted: {leak}." for leak in leaks]


def _not_above(rules: Mapping[str, Estimate], hardest: str | None) -> list[str]:
    if hardest is None:
        return ["There is no rule baseline to compare with."]
    behind = [name for name, difference in rules.items() if not _bound(difference) > 0]
    if not behind:
        return []
    value, low, high = rules[hardest]
    return [
        f"Not better than chance against {len(behind)} of {len(rules)} rule baselines "
        f"({', '.join(titled(name) for name in behind)}). The hardest is {titled(hardest)}: Sharpe "
        f"difference {value:+.2f}, 95 % interval [{low:+.2f}, {high:+.2f}]; "
        "the lower end must be above 0."
    ]


def _luck(given: VerdictInputs, hardest: str | None, probability: float | None) -> list[str]:
    if hardest is None:
        return []
    if given.trials is None:
        return ["Trials unknown: without their number luck in choosing cannot be ruled out."]
    if probability is None:
        return [f"The return over {titled(hardest)} never moves, so its luck cannot be judged."]
    if probability >= MINIMUM_DEFLATED_SHARPE:
        return []
    tried = f"{given.trials} trial" + ("s" if given.trials > 1 else "")
    return [
        f"Deflated Sharpe ratio {probability:.2f} over {titled(hardest)} at equal volatility, "
        f"after {tried}; at least {MINIMUM_DEFLATED_SHARPE} is needed."
    ]


def _short(n_days: int) -> list[str]:
    if n_days >= MINIMUM_DAYS:
        return []
    return [f"Only {n_days} days out of sample; at least {MINIMUM_DAYS} are needed."]


def _not_compared(rules: Mapping[str, Estimate]) -> list[str]:
    missing = [titled(name) for name in BASELINE_NAMES if name not in rules]
    return [f"Not yet compared with {', '.join(missing)}."] if missing else []


def _needs_days(
    given: VerdictInputs, rules: Mapping[str, Estimate], active: SharpeMoments | None
) -> int | None:
    """Days to add until every condition on the numbers would hold, were they to stay as they are.

    Bounds of differences narrow with the square root of the days; the deflated Sharpe ratio is
    answered by the minimum track record length against the present hurdle.
    """
    if active is None or given.leaks or given.trials is None:
        return None
    days = len(given.strategy)
    needed = [float(MINIMUM_DAYS), minimum_track_record(active, _hurdle(given))]
    for value, low, _ in rules.values():
        if not low > 0:
            needed.append(days * ((value - low) / value) ** 2 if value > 0 else np.inf)
    more = np.ceil(max(needed)) - days
    return int(more) if 0 < more < _FOREVER else None


def _network(given: VerdictInputs) -> str:
    """Whether the network's book beats that of every learned baseline; why that is not asked."""
    stale = f"the predictions of {', '.join(map(spelled, given.stale))} are not up to date"
    if given.model != "network":
        return f"not asked: the scores that were traded are those of {spelled(given.model)}"
    if given.symbols < MIN_CROSS_SECTION:
        few = f"fewer than {MIN_CROSS_SECTION} symbols"
        return f"not asked: with {few} no skill at choosing among them can be shown"
    differences = given.differences
    learned = {name: differences[name] for name in LEARNED_BASELINES if name in differences}
    if not learned:
        return f"not asked: {stale if given.stale else 'no learned baselines have been trained'}"
    as_good = [spelled(name) for name, each in learned.items() if not _bound(each) > 0]
    if as_good:
        does = "is simpler and does" if len(as_good) == 1 else "are simpler and do"
        return f"does not earn its place against {', '.join(as_good)}, which {does} as well"
    missing = [spelled(name) for name in LEARNED_BASELINES if name not in learned]
    if missing:
        why = f", for {stale}" if given.stale else ""
        return f"not decided: better than the others, not compared with {', '.join(missing)}{why}"
    return "earns its place: better than every learned baseline"
