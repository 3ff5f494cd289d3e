"""How a target came about, step by step: from the score of a bar to the weight asked for."""

import math
from dataclasses import dataclass

import numpy as np

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.trading.engine.reasons import REASONS, reasons_in
from trading_pipeline.core.trading.kelly import MINIMUM_DAYS, MINIMUM_SYMBOLS, caps_in_force


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
    here, account = run.decided(k)[n], run.result.log[k]
    target = SizingStep(
        name="target",
        value=float(here["target"]),
        changed=bool(here["target"] != here["weight"]),
        text=f"of an equity of {account['equity']:,.2f}; held is {here['weight']:+.2%}",
    )
    return (*_signal_steps(run, k, n), *_raw_steps(run, k, n), *_weight_steps(run, k, n), target)


def _signal_steps(run: Rerun, k: int, n: int) -> list[SizingStep]:
    """The score of the bar, and the signal that it moved."""
    score, signal = float(run.basis.score[run.row(k), n]), float(run.decided(k)[n]["signal"])
    before = float(run.decided(k - 1)[n]["signal"]) if k else math.nan
    alpha, span = run.result.rules[0]["alpha"], run.profile.span
    if math.isnan(score):
        text = "nothing was predicted at this bar, so the signal stays as it was"
    elif math.isnan(before):
        text = "the first score of the symbol is its first signal"
    else:
        text = (
            f"smoothed over {span} bars: {before:+.3f} + {alpha:.3f} × ({score:+.3f} - "
            f"{before:+.3f})"
        )
    says = "what the network says at this close"
    return [
        SizingStep(name="score", value=score, unit="σ√h", changed=False, text=says),
        SizingStep(name="signal", value=signal, unit="σ√h", changed=signal != score, text=text),
    ]


def _raw_steps(run: Rerun, k: int, n: int) -> list[SizingStep]:
    """Signal over volatility, or why the symbol wants nothing; in a neutral book less the mean."""
    trace, here = run.result.trace[k], run.decided(k)[n]
    raw, demeaned = trace["raw_target"], trace["demeaned"]
    sigma = run.basis.prepared.volatility[run.row(k), n]
    text = f"{here['signal']:+.3f} / {sigma:.4f}: the riskier, the less of it"
    if raw[n] == 0:
        why = (row.unwanted for row in reasons_in(here["reasons"]) if row.unwanted)
        text = f"nothing is wanted: {next(why, 'there is no signal yet')}"
    value = float(raw[n])
    steps = [SizingStep(name="signal / σ", value=value, unit="1/σ", changed=value == 0, text=text)]
    if run.result.rules[0]["neutral"] and raw.any():
        mean = (raw - demeaned)[raw != 0][0]
        text = f"less {mean:+.2f}, the mean of all that want a position: longs and shorts balance"
        steps.append(
            SizingStep(name="less the mean", value=float(demeaned[n]), unit="1/σ",
                       changed=value != 0, text=text)
        )  # fmt: skip
    return steps


def _weight_steps(run: Rerun, k: int, n: int) -> list[SizingStep]:
    """The weight at the volatility target, and what each cap and the drawdown rule left of it."""
    trace, scaled = run.result.trace[k], float(run.result.trace[k]["scaled"][n])
    steps = [
        SizingStep(name="volatility target", value=scaled, changed=scaled != 0,
                   gross=_gross(trace["scaled"]), text=_scaling(run, k))
    ]  # fmt: skip
    caps = (
        ("symbol_capped", _symbol_cap(run, k, scaled)),
        ("group_capped", _group_cap(run, k, n, trace["symbol_capped"])),
        ("gross_capped", _gross_cap(run, k, trace["group_capped"])),
        ("net_capped", _net_cap(run, trace["gross_capped"])),
        ("resized", _size(run, k)),
    )
    for stage, (name, figure, limit, text) in caps:
        value = float(trace[stage][n])
        steps.append(
            SizingStep(name=name, value=value, changed=value != steps[-1].value,
                       gross=_gross(trace[stage]), figure=figure, limit=limit, text=text)
        )  # fmt: skip
    return steps


def _gross(weights: np.ndarray) -> float:
    return float(np.abs(weights).sum())


def _scaling(run: Rerun, k: int) -> str:
    """The scale of all weights."""
    before, scaled = run.result.trace[k]["demeaned"], run.result.trace[k]["scaled"]
    moved = np.flatnonzero((before != 0) & (scaled != 0))
    if not len(moved):
        return "no symbol wants a position, so there is nothing to scale"
    factor = scaled[moved[0]] / before[moved[0]]
    year = run.result.rules[0]["volatility_target"] * math.sqrt(run.market.bars_per_year)
    if math.isinf(year):
        return f"× {factor:.3g}: up to the gross cap, for the profile has no volatility target"
    return f"× {factor:.3g}: the book, on its last 63 bars, would move by {year:.1%} a year"


Cap = tuple[str, float, float, str]  # name, figure, limit, text


def _symbol_cap(run: Rerun, k: int, weight: float) -> Cap:
    account, cap = run.result.log[k], float(run.result.log[k]["symbol_cap"])
    text = f"a symbol may have {cap:.1%}"
    if cap > run.result.rules[0]["symbol_cap"]:
        count = account["eligible"]
        text += f", 1.5 equal shares of the gross cap, for only {count} are eligible"
    return "symbol cap", abs(weight), cap, text


def _group_cap(run: Rerun, k: int, n: int, weights: np.ndarray) -> Cap:
    groups, cap = run.basis.groups[run.row(k)], float(run.result.log[k]["group_cap"])
    if math.isinf(cap):
        return "group cap", math.nan, math.nan, "the profile has none"
    if groups[n] < 0:
        return "group cap", math.nan, cap, "the symbol is in no group"
    members = np.flatnonzero(groups == groups[n])
    named = ", ".join(run.panel.symbols[i] for i in members[:8])
    named += " ..." if len(members) > 8 else ""
    text = f"its group ({named}) may have {cap:.1%} together"
    return "group cap", _gross(weights[members]), cap, text


def _gross_cap(run: Rerun, k: int, weights: np.ndarray) -> Cap:
    account = run.result.log[k]
    cap, rule = float(account["gross_cap"]), REASONS[int(account["gross_rule"])].name
    text = f"the book may hold {cap:.0%} of equity. Kelly: {_kelly(run, k)}"
    return rule.replace("_", " ").replace("kelly", "Kelly"), _gross(weights), cap, text


def _kelly(run: Rerun, k: int) -> str:
    """Which cap on the gross weight is in force, and on what evidence."""
    row, rules, account = run.row(k), run.result.rules[0], run.result.log[k]
    days, full = int(run.basis.evidence.days[row]), float(run.basis.evidence.full_kelly[row])
    lacks = f"{days} of the {MINIMUM_DAYS} days of evidence that it takes"
    if (count := account["eligible"]) < MINIMUM_SYMBOLS:
        lacks = f"{count} eligible symbols, and {MINIMUM_SYMBOLS} show skill at choosing"
    cap, fraction = account["kelly_cap"], run.profile.kelly_fraction
    words = {
        "starting": f"the starting cap, {cap:.0%} (there are {lacks})",
        "floor": f"the floor, {cap:.0%} ({days} days of evidence say full Kelly is {full:.2f})",
        "evidence": f"{fraction:.0%} of full Kelly, which {days} days of evidence put at "
        f"{full:.2f}",
        "gross": f"the gross cap itself ({days} days of evidence would allow more)",
    }[str(caps_in_force(run.basis.evidence, run.profile)[row])]
    return f"{words}; gross cap {rules['gross_cap']:.0%}, leverage {rules['leverage']:.0%}"


def _net_cap(run: Rerun, weights: np.ndarray) -> Cap:
    cap = float(run.result.rules[0]["net_cap"])
    text = f"longs less shorts may be {cap:.0%} of equity"
    return "net cap", abs(float(weights.sum())), cap, text


def _size(run: Rerun, k: int) -> Cap:
    rules, account = run.result.rules[0], run.result.log[k]
    size = ("whole", "half size", "flat")[int(account["size"])]
    text = (
        f"{size}: halved when equity is {rules['halve']:.0%} below its reference peak, closed at "
        f"{rules['flat']:.0%}"
    )
    if account["size"] and account["drawdown"] < rules["halve"]:
        text += f"; in this size for {account['days_in_size']} days now"
    return "drawdown size", float(account["drawdown"]), float(rules["halve"]), text
