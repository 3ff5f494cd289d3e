"""Everything a report says, as plain values: from equity curves to the content of report.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.confidence import (
    CONFIDENCE,
    Estimate,
    Sampled,
    block_length,
    interval,
    resampled_dates,
)
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
from trading_pipeline.core.evaluation.portfolio.tear_sheet import Holdings, portfolio
from trading_pipeline.core.evaluation.rules import price_of_rules
from trading_pipeline.core.evaluation.scoreboard import scoreboard
from trading_pipeline.core.evaluation.verdict import VerdictInputs, reach_verdict
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import EvaluationError

_MINIMUM_DAYS = 20  # fewer days of returns say nothing at all
_LINEAGE = ("data_hash", "code_version", "config_hash")


@dataclass(frozen=True)
class EvaluationInputs:
    """What one report is made from: one out-of-sample history, costs in.

    `baselines` and `random_equity` are on the same bars and pay the same costs. `trial_sharpes`
    are annual, as in report.json. `hashes` holds data_hash, code_version, config_hash and
    whatever else the numbers trace to.
    """

    market: Market
    timestamps: pd.DatetimeIndex  # (T,), UTC, increasing
    strategy: AccountView
    baselines: Mapping[str, AccountView]
    random_equity: Floats  # (R, T); R may be 0
    ic: pd.DataFrame | None  # columns date, ic and others, a coefficient each; None: not available
    trials: int | None  # distinct (configuration, panel) ones so far; None: unknown
    capital: float
    benchmark: str = "buy_and_hold"
    trial_sharpes: Sequence[float] | None = None
    warnings: Sequence[str] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    leaks: Sequence[str] = ()  # findings of the leakage checks
    without_rules: Mapping[str, Floats] = field(default_factory=dict)  # (T,) equity, by rule
    model: str = "network"  # that made the scores, of `MODELS`
    choices: Mapping[str, str] = field(default_factory=dict)  # fold -> which model, and why
    starts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of networks, by fold
    stale: Sequence[str] = ()  # learned baselines whose stored predictions are not up to date
    heads: Sequence[Comparison] = ()  # of the network, each beside its rivals
    holdings: Holdings | None = None  # of the strategy; None: its equity is all that is known
    replications: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        _check_timestamps(self.timestamps)
        if self.benchmark not in self.baselines:
            raise ValueError(
                f"benchmark {self.benchmark!r} is not among the baselines {list(self.baselines)}"
            )
        for name, account in {"strategy": self.strategy, **self.baselines}.items():
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
        if self.trials is not None and self.trials < 1:
            raise ValueError(f"trials must be at least 1, or None for unknown, was {self.trials}")


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
    sampled = {name: sampled_metrics(account, resampling) for name, account in daily.items()}
    coefficients = _coefficients(inputs)
    strategy = estimates(sampled["strategy"], resampling, coefficients.get("ic"))
    baselines = sorted(inputs.baselines, key=lambda name: name != inputs.benchmark)
    paired = {name: _paired(sampled["strategy"], sampled[name], resampling) for name in baselines}
    days = len(daily["strategy"].returns)
    return {
        "market": inputs.market.name,
        "period": _period(inputs, days),
        "model": inputs.model,
        "choices": dict(inputs.choices),
        "starts": dict(inputs.starts),
        "verdict": reach_verdict(_verdict_inputs(inputs, daily, paired)).to_dict(),
        "benchmark": inputs.benchmark,
        "paired": {name: _to_dicts(differences) for name, differences in paired.items()},
        **_among_random(inputs, daily),
        "strategy": _to_dicts(strategy),
        "baselines": {name: _to_dicts(estimates(sampled[name], resampling)) for name in baselines},
        "information_coefficients": _to_dicts(coefficients),
        "heads": [each.to_dict() for each in inputs.heads],
        "scoreboard": scoreboard(strategy, inputs.market.profile, days),
        **portfolio(
            inputs.timestamps,
            inputs.strategy.equity,
            daily,
            inputs.benchmark,
            inputs.holdings,
            resampling,
        ),
        "rules": price_of_rules(
            inputs.timestamps, inputs.strategy.equity, inputs.without_rules, resampling
        ),
        "warnings": list(inputs.warnings),
        "trials": inputs.trials,
        **{name: inputs.hashes.get(name) for name in _LINEAGE},
        "lineage": {k: v for k, v in inputs.hashes.items() if k not in _LINEAGE},
        "assumptions": _assumptions(inputs),
        "bootstrap": _bootstrap(inputs, resampling),
    }


def check_days(market: Market, timestamps: pd.DatetimeIndex) -> None:
    """Raise EvaluationError where bars, (T,) and increasing, span too few days to judge."""
    days = len(day_closes(timestamps))
    if days < _MINIMUM_DAYS:
        raise EvaluationError(
            f"{market.name}: {days} days of out-of-sample returns, at least {_MINIMUM_DAYS} are "
            "needed. Give the walk-forward a longer history or shorter spans; a fold that has just "
            "begun grows by itself."
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


def _coefficients(inputs: EvaluationInputs) -> dict[str, Estimate]:
    """Mean information coefficients by column, that of the scores first; {}: not available."""
    if inputs.ic is None:
        return {}
    dated = inputs.ic.sort_values("date").drop(columns="date")
    horizon = inputs.market.horizon
    return {
        str(name): mean_information_coefficient(dated[name].to_numpy(dtype=np.float64), horizon)
        for name in dated
    }


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


def _verdict_inputs(
    inputs: EvaluationInputs,
    daily: Mapping[str, DailyAccount],
    paired: Mapping[str, Mapping[str, Estimate]],
) -> VerdictInputs:
    per_day = np.sqrt(inputs.market.days_per_year)
    return VerdictInputs(
        differences={
            name: differences["sharpe_difference"] for name, differences in paired.items()
        },
        returns={name: daily[name].returns for name in inputs.baselines},
        strategy=daily["strategy"].returns,
        trials=inputs.trials,
        trial_sharpes=np.asarray(inputs.trial_sharpes or [], dtype=np.float64) / per_day,
        leaks=inputs.leaks,
        model=inputs.model,
        symbols=len(inputs.market.symbols),
        stale=inputs.stale,
    )


def _period(inputs: EvaluationInputs, days: int) -> dict[str, object]:
    return {
        "start": inputs.timestamps[0].isoformat(),
        "end": inputs.timestamps[-1].isoformat(),
        "bars": len(inputs.timestamps),
        "days": days,
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
            "sharpe": Estimate(ends[1], ends[0], ends[2]).to_dict(),  # median, 5 %, 95 %
        },
    }


def _assumptions(inputs: EvaluationInputs) -> list[str]:
    costs, market = inputs.market.costs, inputs.market
    return [
        "Every prediction is out of sample; decided at a bar's close, filled at the next open.",
        f"Each trade pays a fee of {costs.fee * 1e4:g} bp and slippage of "
        f"{costs.slippage * 1e4:g} bp; shorts pay {costs.borrow:.2%} a year.",
        f"Sharpe ratios are over a zero rate; idle cash earns 0, debit cash pays "
        f"{costs.debit:.1%} a year.",
        f"Statistics are of daily closes, {_year(market)}; starting "
        f"capital {inputs.capital:,.0f}; a prediction looks {market.horizon} bars ahead.",
        "The Sharpe ratio of a book that never trades counts as 0 in a difference.",
    ]


def _year(market: Market) -> str:
    """'252 days a year', or how many days and bars of a year were counted."""
    if market.measured_bars_per_year is None:
        return f"{market.days_per_year} days a year"
    return (
        f"{market.days_per_year} days and {market.bars_per_year:,} bars a year, as counted in the "
        f"bars, which the calendar {market.calendar} does not fit"
    )


def _bootstrap(inputs: EvaluationInputs, resampling: Resampling) -> dict[str, object]:
    return {
        "method": "stationary, dates resampled jointly over all books",
        "confidence": CONFIDENCE,
        "replications": inputs.replications,
        "mean_block_days": resampling.block,
        "days_per_year": resampling.days_per_year,
        "seed": inputs.seed,
    }
