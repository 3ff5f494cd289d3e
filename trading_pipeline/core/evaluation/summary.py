"""Everything a report says, as plain values: from equity curves to the content of report.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.baselines import BENCHMARK
from trading_pipeline.core.backtest.result import Curves
from trading_pipeline.core.backtest.variants import Variants
from trading_pipeline.core.evaluation.assumptions import assumptions, how_sure
from trading_pipeline.core.evaluation.confidence import (
    CONFIDENCE,
    Estimate,
    Sampled,
    block_length,
    interval,
    resampled_dates,
)
from trading_pipeline.core.evaluation.crises import crises_within
from trading_pipeline.core.evaluation.evidence import significance
from trading_pipeline.core.evaluation.heads import Comparison
from trading_pipeline.core.evaluation.information_coefficient import mean_information_coefficient
from trading_pipeline.core.evaluation.metrics import PAIRED, Floats, annual_return, sharpe
from trading_pipeline.core.evaluation.performance import (
    AccountView,
    DailyAccount,
    Resampling,
    daily_returns,
    day_closes,
    estimates,
    sampled_metrics,
    share_beaten,
    solvent,
)
from trading_pipeline.core.evaluation.periods import Books, periods
from trading_pipeline.core.evaluation.portfolio.attribution import money_table
from trading_pipeline.core.evaluation.portfolio.exposure import exposure
from trading_pipeline.core.evaluation.portfolio.tear_sheet import Holdings, portfolio
from trading_pipeline.core.evaluation.rules import price_of_rules
from trading_pipeline.core.evaluation.scoreboard import scoreboard
from trading_pipeline.core.evaluation.subject import end_values, subject
from trading_pipeline.core.evaluation.trials import Trials
from trading_pipeline.core.evaluation.variants import (
    by_seed,
    by_side,
    capacity,
    cost_figures,
)
from trading_pipeline.core.evaluation.verdict import VerdictInputs, reach_verdict
from trading_pipeline.core.evaluation.warnings import standing_warnings
from trading_pipeline.core.long_run import LEAST_DATES
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.errors import EvaluationError

# Where predictions come from: a model for each fold, anyone's own table, one model for all.
WALK_FORWARD, FOREIGN, SINGLE_MODEL = "walk_forward", "foreign", "single_model"
_LINEAGE = ("data_hash", "code_version", "config_hash")


@dataclass(frozen=True)
class EvaluationInputs:
    """What one report is made from: one out-of-sample history, costs in.

    `baselines`, `profiles` and `random_equity` are on the same bars and pay the same costs.
    `hashes` holds data_hash, code_version, config_hash and whatever else the numbers trace to.
    """

    market: Market
    timestamps: pd.DatetimeIndex  # (T,), UTC, increasing
    strategy: AccountView
    baselines: Mapping[str, AccountView]
    random_equity: Floats  # (R, T); R may be 0
    # By metric, columns date, scores and others, a coefficient each; None: not available.
    ic: Mapping[str, pd.DataFrame] | None
    trials: Trials | None  # of this panel, this evaluation among them; None: unknown
    capital: float
    benchmark: str = BENCHMARK
    warnings: Sequence[str] = ()  # of the panel and the backtest; `standing_warnings` come before
    hashes: Mapping[str, Any] = field(default_factory=dict)
    leaks: Sequence[str] = ()  # findings of the leakage checks
    without_rules: Mapping[str, Floats] = field(default_factory=dict)  # (T,) equity, by rule
    model: str = "network"  # that made the scores, of `MODELS`, or the name of foreign ones
    origin: str = WALK_FORWARD  # or FOREIGN, which is warned of, or SINGLE_MODEL
    choices: Mapping[str, str] = field(default_factory=dict)  # fold -> which model, and why
    starts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of networks, by fold
    validation: Mapping[str, Estimate] = field(default_factory=dict)  # of the scores, by fold
    stale: Sequence[str] = ()  # learned baselines whose stored predictions are not up to date
    heads: Sequence[Comparison] = ()  # of the network, each beside its rivals
    holdings: Holdings | None = None  # of the strategy; None: its equity is all that is known
    profiles: Mapping[str, AccountView] = field(default_factory=dict)  # the strategy under each
    variants: Variants | None = None  # the strategy with one thing changed, on the same bars
    seeds: Mapping[int, Curves] = field(default_factory=dict)  # what each seed alone comes to
    random_turnover: float | None = None  # a year, of the median random portfolio
    replications: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        _check_timestamps(self.timestamps)
        if self.benchmark not in self.baselines:
            raise ValueError(
                f"benchmark {self.benchmark!r} is not among the baselines {list(self.baselines)}"
            )
        profiles = {f"profile {name}": view for name, view in self.profiles.items()}
        for name, account in {"strategy": self.strategy, **self.baselines, **profiles}.items():
            _check_account(name, account, len(self.timestamps))
        for rule, equity in self.without_rules.items():
            if equity.shape != (len(self.timestamps),) or not np.isfinite(equity).all():
                raise ValueError(
                    f"without {rule}: equity must be finite, of shape ({len(self.timestamps)},)"
                )
        if self.random_equity.ndim != 2 or self.random_equity.shape[1] != len(self.timestamps):
            raise ValueError(
                f"random_equity has shape {self.random_equity.shape}, "
                f"expected (R, {len(self.timestamps)})"
            )
        if not np.isfinite(self.random_equity).all():
            raise ValueError("random_equity has values that are not finite")
        if self.origin not in _SAMPLE:
            raise ValueError(f"origin must be one of {tuple(_SAMPLE)}, was {self.origin!r}")


def _check_timestamps(timestamps: pd.DatetimeIndex) -> None:
    if timestamps.tz is None or str(timestamps.tz) != "UTC":
        raise ValueError(f"timestamps must be UTC, were {timestamps.dtype}")
    if len(timestamps) < 2 or not (timestamps[1:] > timestamps[:-1]).all():
        raise ValueError("timestamps must be two or more, each after the one before")


def _check_account(name: str, account: AccountView, n_bars: int) -> None:
    for part in ("equity", "turnover", "exposure"):
        values = getattr(account, part)
        if values.shape != (n_bars,):
            raise ValueError(f"{name}: {part} has shape {values.shape}, expected ({n_bars},)")
        # A share of the equity of a ruined account is nothing that could be checked.
        if not np.isfinite(values[solvent(account.equity)]).all():
            raise ValueError(f"{name}: {part} has values that are not finite")
    if not account.equity[0] > 0 or not np.isfinite(account.equity).all():
        raise ValueError(f"{name}: equity must be finite and start above 0")
    if account.trades is not None and not np.isfinite(account.trades["pnl"]).all():
        raise ValueError(f"{name}: trades have a pnl that is not finite")


def evaluate(inputs: EvaluationInputs) -> dict[str, object]:
    """The content of report.json: plain, finite values in a fixed order; undefined is None.

    Baselines are in the order given, but the benchmark is first. The same inputs give the same
    values bit for bit.

    Raises:
        EvaluationError: fewer than 20 days of returns.
    """
    daily = _daily_accounts(inputs)
    resampling = _resampling(inputs, daily)
    benchmark = daily[inputs.benchmark].returns
    sampled = {
        name: sampled_metrics(account, resampling, benchmark) for name, account in daily.items()
    }
    coefficients, leverage = _coefficients(inputs), inputs.market.costs.leverage
    known = {
        name: estimates(account, sampled[name], resampling, benchmark, leverage)
        for name, account in daily.items()
    }
    strategy = known["strategy"] | coefficients.get("scores", {})
    for name in LEARNED_BASELINES:  # a rule has no scores, and may be named as those of another
        if name in known:
            known[name] |= coefficients.get(name, {})
    baselines = sorted(inputs.baselines, key=lambda name: name != inputs.benchmark)
    paired = {name: _paired(sampled["strategy"], sampled[name], resampling) for name in baselines}
    days = len(daily["strategy"].returns)
    profiles = _by_profile(inputs, strategy, benchmark, resampling)
    given = _verdict_inputs(inputs, daily, paired)
    verdict = reach_verdict(given, resampling.days_per_year)
    return {
        **subject(inputs, days),
        "end_value": end_values(inputs, known, days),
        "verdict": verdict.to_dict(),
        "significance": significance(verdict, inputs.trials, given.trial_returns, resampling),
        "benchmark": inputs.benchmark,
        "paired": {name: _to_dicts(differences) for name, differences in paired.items()},
        **_among_random(inputs, daily),
        "strategy": _to_dicts(strategy),
        "baselines": {name: _to_dicts(known[name]) for name in baselines},
        "information_coefficients": {k: _to_dicts(each) for k, each in coefficients.items()},
        "heads": [each.to_dict() for each in inputs.heads],
        "scoreboard": scoreboard(profiles, days),
        **_book(inputs, daily, strategy["annual_volatility"], resampling),
        "profiles": {name: _to_dicts(metrics) for name, metrics in profiles.items()},
        **_changed(inputs, resampling),
        "periods": _periods(inputs, daily, resampling),
        "rules": price_of_rules(
            inputs.timestamps, inputs.strategy.equity, inputs.without_rules, resampling
        ),
        "warnings": [
            *standing_warnings(verdict, days, inputs.origin == FOREIGN),
            *inputs.warnings,
        ],
        "trials": inputs.trials.count if inputs.trials else None,
        **{name: inputs.hashes.get(name) for name in _LINEAGE},
        "lineage": {k: v for k, v in inputs.hashes.items() if k not in _LINEAGE},
        "assumptions": [
            f"{_SAMPLE[inputs.origin]}; decided at a bar's close, filled at the next open.",
            *assumptions(inputs.market, inputs.capital),
            how_sure(inputs.replications, resampling.block),
        ],
        "bootstrap": _bootstrap(inputs, resampling),
    }


def check_days(market: Market, timestamps: pd.DatetimeIndex) -> None:
    """Raise EvaluationError where bars, (T,) and increasing, span too few days to judge."""
    days = len(day_closes(timestamps))
    if days < LEAST_DATES:
        raise EvaluationError(
            f"{market.name}: {days} days of out-of-sample returns, at least {LEAST_DATES} are "
            "needed. Predict more days: give the walk-forward a longer history or shorter spans; a "
            "fold that has just begun grows by itself."
        )


def _daily_accounts(inputs: EvaluationInputs) -> dict[str, DailyAccount]:
    """The strategy and every baseline by the day; the strategy is first."""
    check_days(inputs.market, inputs.timestamps)
    views = {"strategy": inputs.strategy, **inputs.baselines}
    return {name: DailyAccount.of(inputs.timestamps, view) for name, view in views.items()}


def _resampling(inputs: EvaluationInputs, daily: Mapping[str, DailyAccount]) -> Resampling:
    """Draw the dates once; every account and every difference is resampled on them."""
    returns = np.stack([account.returns for account in daily.values()], axis=1)
    block = block_length(returns, inputs.market.horizon_in_days)
    return Resampling(
        dates=resampled_dates(len(returns), block, inputs.replications, inputs.seed),
        block=block,
        days_per_year=inputs.market.days_per_year,
        seed=inputs.seed,
    )


def _coefficients(inputs: EvaluationInputs) -> dict[str, dict[str, Estimate]]:
    """Mean coefficients by whose scores they are and by metric; {}: not available."""
    found: dict[str, dict[str, Estimate]] = {}
    for metric, table in (inputs.ic or {}).items():
        dated = table.sort_values("date").drop(columns="date")
        for name in dated:
            by_date = dated[name].to_numpy(dtype=np.float64)
            mean = mean_information_coefficient(by_date, inputs.market.horizon)
            found.setdefault(str(name), {})[metric] = mean
    return found


def _periods(
    inputs: EvaluationInputs, daily: Mapping[str, DailyAccount], resampling: Resampling
) -> dict[str, Any]:
    """The strategy beside its benchmark by year, in each crisis, and by the month of the start."""
    at, own, other = inputs.timestamps, daily["strategy"], daily[inputs.benchmark]
    books = Books(at[day_closes(at)], own.returns, other.returns)
    made_up = inputs.market.synthetic
    crises = [] if made_up else crises_within(inputs.market.calendar, at[0], at[-1])
    return periods(books, crises, resampling)


def _paired(
    strategy: Mapping[str, Sampled], baseline: Mapping[str, Sampled], resampling: Resampling
) -> dict[str, Estimate]:
    """Differences strategy - baseline on the same resampled dates."""
    return {
        f"{name}_difference": interval(
            strategy[name].or_zero().minus(baseline[name].or_zero()), resampling.widening
        )
        for name in PAIRED
    }


def _by_profile(
    inputs: EvaluationInputs,
    strategy: dict[str, Estimate],
    benchmark: Floats,
    resampling: Resampling,
) -> dict[str, dict[str, Estimate]]:
    """The metrics of the run of every profile; that of the market's own is the strategy."""
    others = {
        name: DailyAccount.of(inputs.timestamps, view)
        for name, view in inputs.profiles.items()
        if name != inputs.market.profile
    }
    known = {
        name: estimates(
            account,
            sampled_metrics(account, resampling, benchmark),
            resampling,
            benchmark,
            inputs.market.costs.leverage,
        )
        for name, account in others.items()
    } | {inputs.market.profile: strategy}
    return {name: known[name] for name in dict.fromkeys([*inputs.profiles, *known])}


def _verdict_inputs(
    inputs: EvaluationInputs,
    daily: Mapping[str, DailyAccount],
    paired: Mapping[str, Mapping[str, Estimate]],
) -> VerdictInputs:
    """Baselines are in the order of the report: the benchmark is the first to be regressed on."""
    days = inputs.timestamps[day_closes(inputs.timestamps)].normalize()
    unseen = np.empty((len(days), 0))
    return VerdictInputs(
        differences={
            name: differences["sharpe_difference"] for name, differences in paired.items()
        },
        returns={name: daily[name].returns for name in paired},
        strategy=daily["strategy"].returns,
        trials=inputs.trials.count if inputs.trials else None,
        trial_returns=inputs.trials.on(days) if inputs.trials else unseen,
        leaks=inputs.leaks,
        model=inputs.model,
        symbols=len(inputs.market.symbols),
        stale=inputs.stale,
    )


def _changed(inputs: EvaluationInputs, resampling: Resampling) -> dict[str, object]:
    """Keys costs, sides, capacity, seeds: the result with one thing changed, or apart."""
    closes, variants = day_closes(inputs.timestamps), inputs.variants
    earnings = None if inputs.holdings is None else inputs.holdings.earnings
    return {
        "costs": {
            "paid": None if earnings is None else money_table(earnings, resampling),
            **({} if variants is None else cost_figures(variants, closes, resampling)),
        },
        "sides": None if earnings is None else by_side(earnings, resampling),
        "capacity": None if variants is None else capacity(variants, closes, resampling),
        "seeds": by_seed(inputs.seeds, closes, resampling),
    }


def _book(
    inputs: EvaluationInputs,
    daily: Mapping[str, DailyAccount],
    realised: Estimate,
    resampling: Resampling,
) -> dict[str, object]:
    """Keys of `portfolio`, and exposure: what was held, and what bound it."""
    own, holdings = inputs.strategy.equity, inputs.holdings
    target = profile_of(inputs.market).volatility_target
    bound = holdings.bound if holdings else None
    return {
        **portfolio(inputs.timestamps, own, daily, inputs.benchmark, holdings, resampling),
        "exposure": exposure(target, realised, bound),
    }


def _to_dicts(numbers: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: estimate.to_dict() for name, estimate in numbers.items()}


def _among_random(inputs: EvaluationInputs, daily: Mapping[str, DailyAccount]) -> dict[str, object]:
    """Where the strategy stands among random portfolios: the share of them that it beats."""
    a_year = inputs.market.days_per_year
    rivals = daily_returns(inputs.random_equity, day_closes(inputs.timestamps))
    own = daily["strategy"].returns
    by_sharpe, by_return = sharpe(rivals, a_year), annual_return(rivals, a_year)
    ends = np.nanquantile(by_sharpe, [0.05, 0.5, 0.95]) if len(rivals) else np.full(3, np.nan)
    return {
        "random_percentile": share_beaten(float(sharpe(own, a_year)), by_sharpe),
        "random": {
            "portfolios": len(rivals),
            "percentile_of_annual_return": share_beaten(
                float(annual_return(own, a_year)), by_return
            ),
            "turnover": inputs.random_turnover,
            "sharpe": Estimate(ends[1], ends[0], ends[2]).to_dict(),  # median, 5 %, 95 %
        },
    }


_SAMPLE = {
    WALK_FORWARD: "Every prediction is out of sample",
    SINGLE_MODEL: "Every prediction is out of sample, of one model that is never trained again",
    FOREIGN: "Predictions are taken as out of sample, which nothing shows",
}


def _bootstrap(inputs: EvaluationInputs, resampling: Resampling) -> dict[str, object]:
    return {
        "method": "stationary, dates resampled jointly over all books",
        "confidence": CONFIDENCE,
        "replications": inputs.replications,
        "mean_block_days": resampling.block,
        "days_per_year": resampling.days_per_year,
        "seed": inputs.seed,
    }
