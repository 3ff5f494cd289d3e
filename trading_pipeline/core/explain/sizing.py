"""How a target came about, step by step: from the score of a bar to the weight traded to."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from trading_pipeline.core.backtest.basis import forecast_of
from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.trading.engine.reasons import REASONS, reasons_in
from trading_pipeline.core.trading.kelly import EVIDENCE_DAYS, MINIMUM_SYMBOLS, shares_in_force


@dataclass(frozen=True, kw_only=True)
class SizingStep:
    """One step on the way to the target."""

    name: str
    value: float  # of this symbol after the step
    unit: str = "weight"
    changed: bool  # by this step
    gross: float = math.nan  # weight of all symbols after the step; NaN before there are weights
    figure: float = math.nan  # what the step's limit is compared with; NaN: it has none
    limit: float = math.nan
    text: str


def sizing_steps(run: Rerun, k: int, n: int) -> tuple[SizingStep, ...]:
    """The steps from the score of bar k to the target of symbol n; the last one is the target."""
    return (
        *_signal_steps(run, k, n),
        *_tilt_steps(run, k, n),
        *_weight_steps(run, k, n),
        _target_step(run, k, n),
    )


def _signal_steps(run: Rerun, k: int, n: int) -> list[SizingStep]:
    """The score of the bar, and the signal that it moved."""
    score, signal = float(run.basis.score[run.row(k), n]), float(run.decided(k)[n]["signal"])
    before = float(run.decided(k - 1)[n]["signal"]) if k else math.nan
    alpha = run.result.rules[0]["alpha"]
    if math.isnan(score):
        text = "nothing was predicted at this bar, so the signal stays as it was"
    elif math.isnan(before):
        text = "the first score of the symbol is its first signal"
    else:
        text = (
            f"smoothed over a fifth of the horizon: {before:+.3f} + {alpha:.3f} × ({score:+.3f} "
            f"- {before:+.3f})"
        )
    return [
        SizingStep(name="score", value=score, unit="σ√h", changed=False, text=_said(run, k, n)),
        SizingStep(name="signal", value=signal, unit="σ√h", changed=signal != score, text=text),
    ]


def _said(run: Rerun, k: int, n: int) -> str:
    """In which unit the score is: σ's, or that of the volatility that the network forecasts."""
    row, text = run.row(k), "what the network says at this close"
    sigma = run.basis.prepared.volatility[row, n]
    forecast = float(forecast_of(run.basis.volatility[row, n], sigma))
    if not math.isfinite(forecast):
        return text
    return (
        f"{text}, in units of the volatility that it forecasts, {forecast:.2%} a bar, where the "
        f"last 63 bars had {sigma:.2%}; the forecast is the σ of what follows"
    )


def _tilt_steps(run: Rerun, k: int, n: int) -> list[SizingStep]:
    """What of the signal is about this symbol, and the active weight that it deserves."""
    trace, account = run.result.trace[k], run.result.log[k]
    signal, tilt = float(run.decided(k)[n]["signal"]), float(trace["tilt"][n])
    active = trace["active"]
    text = "the signal less the mean of all, and less what β and σ explain of it"
    if not trace["tilt"].any():
        text = "fewer than two symbols have a signal, or all have the same: there is no tilt"
    elif tilt == 0:
        text = f"no tilt: {_why_none(run, k, n)}"
    return [
        SizingStep(name="tilt", value=tilt, unit="σ√h", changed=tilt != signal, text=text),
        SizingStep(
            name="tracking error",
            value=float(active[n]),
            changed=bool(active[n] != 0),
            gross=_gross(active),
            figure=float(account["information"]) * math.sqrt(run.market.bars_per_year),
            text=_scaling(run, k),
        ),
        SizingStep(
            name="group cap",
            value=float(trace["capped"][n]),
            changed=bool(trace["capped"][n] != active[n]),
            gross=_gross(trace["capped"]),
            **_group_cap(run, k, n),
        ),
    ]


def _why_none(run: Rerun, k: int, n: int) -> str:
    here = run.decided(k)[n]
    why = (row.unwanted for row in reasons_in(here["reasons"]) if row.unwanted)
    return next(why, "the symbol has no signal yet, or an old one")


def _gross(weights: np.ndarray) -> float:
    return float(np.abs(weights).sum())


def _scaling(run: Rerun, k: int) -> str:
    """How large the tilt is as a whole, and why."""
    account, profile = run.result.log[k], run.profile
    year = math.sqrt(run.market.bars_per_year)
    expected, error = account["information"] * year, account["tracking"] * year
    whole = profile.volatility_target if run.result.rules[0]["neutral"] else profile.tracking_error
    return (
        f"tilt / σ, scaled to a tracking error of {error:.2%} a year: the scores expect an "
        f"information ratio of {expected:.2f} (from 0.5 on the whole {whole:.0%} is deserved), and "
        f"the evidence allows {account['kelly']:.0%}. {_kelly(run, k)}"
    )


def _kelly(run: Rerun, k: int) -> str:
    """Which share of the tilt is in force, and on what evidence."""
    row, account, evidence = run.row(k), run.result.log[k], run.basis.evidence
    days, full = int(evidence.days[row]), float(evidence.full_kelly[row])
    lacks = f"{days} of the {EVIDENCE_DAYS} days of evidence that it takes"
    if (count := account["eligible"]) < MINIMUM_SYMBOLS:
        lacks = f"{count} eligible symbols, and {MINIMUM_SYMBOLS} show skill at choosing"
    fraction = run.profile.kelly_fraction
    return {
        "starting": f"Kelly: the starting share, for there are {lacks}",
        "floor": f"Kelly: the floor, for {days} days of evidence say full Kelly is {full:.2f}",
        "evidence": f"Kelly: {fraction:.0%} of full Kelly, which {days} days put at {full:.2f}",
        "whole": f"Kelly: {days} days of evidence would allow more",
    }[str(shares_in_force(evidence, run.profile)[row])]


def _group_cap(run: Rerun, k: int, n: int) -> dict[str, Any]:
    groups, cap = run.basis.groups[run.row(k)], float(run.result.log[k]["group_cap"])
    if math.isinf(cap):
        return {"text": "the profile has none"}
    if groups[n] < 0:
        return {"limit": cap, "text": "the symbol is in no group"}
    active = run.result.trace[k]["active"]
    members = np.flatnonzero(groups == groups[n])
    named = ", ".join(run.panel.symbols[i] for i in members[:8])
    named += " ..." if len(members) > 8 else ""
    share = _gross(active[members]) / _gross(active) if active.any() else 0.0
    text = f"its group ({named}) may have {cap:.1%} of the tilt together"
    return {"figure": share, "limit": cap, "text": text}


def _weight_steps(run: Rerun, k: int, n: int) -> list[SizingStep]:
    """Benchmark, what is invested, and the exposure that makes an aim of it."""
    trace, account, aim = run.result.trace[k], run.result.log[k], run.decided(k)["aim"]
    capped, benchmark = float(trace["capped"][n]), float(trace["benchmark"][n])
    invested = float(trace["invested"][n])
    steps = []
    if not run.result.rules[0]["neutral"]:
        steps.append(
            SizingStep(
                name="benchmark",
                value=benchmark,
                changed=benchmark != 0,
                gross=_gross(trace["benchmark"]),
                text="what is held of it without any scores, of a whole of 1",
            )
        )
    cap = float(account["symbol_cap"])
    text = f"benchmark and tilt, between 0 and {max(cap, benchmark):.1%}, moved to sum to 1"
    if run.result.rules[0]["neutral"]:
        text = f"the tilt, within {cap:.1%} on either side"
    return [
        *steps,
        SizingStep(
            name="invested",
            value=invested,
            changed=invested != benchmark + capped,
            gross=_gross(trace["invested"]),
            figure=abs(benchmark + capped),
            limit=max(cap, benchmark),
            text=text,
        ),
        SizingStep(
            name="exposure",
            value=float(aim[n]),
            changed=bool(account["exposure"] != 1),
            gross=_gross(aim),
            figure=float(account["drawdown"]),
            limit=float(run.result.rules[0]["drawdown_limit"]),
            text=_exposure(run, k),
        ),
    ]


def _exposure(run: Rerun, k: int) -> str:
    """The total exposure, and which rule it follows from."""
    account, rules = run.result.log[k], run.result.rules[0]
    year = math.sqrt(run.market.bars_per_year)
    rule = int(account["exposure_rule"])
    why = REASONS[rule].name.replace("_", " ") if rule else "no cap binds"
    text = f"× {account['exposure']:.2f}: {why}"
    if rule and REASONS[rule].name == "volatility_target":
        text += f" of {rules['volatility_target'] * year:.1%} a year"
    if (share := account["drawdown_share"]) < 1:
        text += f", of which a drawdown of {account['drawdown']:.1%} leaves {share:.0%}"
    if account["size"]:
        text += f"; {('whole', 'half size', 'flat')[int(account['size'])]} by the halving rule"
    return text


def _target_step(run: Rerun, k: int, n: int) -> SizingStep:
    """From what is held towards the aim, where that is worth its cost."""
    here, account = run.decided(k)[n], run.result.log[k]
    aim, band, weight = (float(here[name]) for name in ("aim", "band", "weight"))
    text = f"of an equity of {account['equity']:,.2f}; held is {weight:+.2%}"
    lasting = run.basis.inputs.half_life
    bars = math.nan if lasting is None else float(lasting[run.row(k)])
    bars = run.market.horizon if math.isnan(bars) else bars
    if band > 0:
        far = "not worth its cost" if here["target"] == here["weight"] else "worth trading for"
        text += (
            f", which is {far}: the no-trade region reaches {band:.2%} from the aim before that is "
            f"cut at 0 (aversion to risk {account['aversion']:.0f}; scores last {bars:.0f} bars)"
        )
    return SizingStep(
        name="target",
        value=float(here["target"]),
        changed=bool(here["target"] != here["weight"]),
        figure=abs(aim - weight),
        limit=band,
        text=text,
    )
