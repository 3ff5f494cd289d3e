"""How a target came about, step by step: from the score of a bar to the weight asked for.

The caps are those of the decision itself: the same kernels run once more on the same records.
"""

import math
from dataclasses import dataclass

import numpy as np

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.trading.engine.compiled import entry_point
from trading_pipeline.core.trading.engine.dtypes import Account, Array, Decision, Parameters
from trading_pipeline.core.trading.engine.reasons import (
    COOLING_OFF,
    DRAWDOWN_HALF,
    INELIGIBLE,
    LONG_ONLY,
    NO_SCORE,
)
from trading_pipeline.core.trading.engine.risk import allowed_size, closing_reasons
from trading_pipeline.core.trading.engine.sizing import (
    cap_gross,
    cap_groups,
    cap_net,
    cap_symbols,
    scale,
)
from trading_pipeline.core.trading.kelly import MINIMUM_DAYS, MINIMUM_SYMBOLS, caps_in_force

_SYMBOL, _GROUP, _GROSS, _NET, _SIZE = range(5)


@dataclass(frozen=True)
class Step:
    """One step on the way to the target."""

    name: str
    value: float  # of this symbol after the step
    unit: str
    changed: bool  # by this step
    gross: float  # weight of the whole book after the step; NaN before there are weights
    figure: float  # what the step's limit is compared with; NaN: it has none
    limit: float
    text: str


@entry_point
def cap_again(
    rules: Array[Parameters],
    account: Array[Account],
    eligible: np.ndarray,
    groups: np.ndarray,
    rows: Array[Decision],
    targets: np.ndarray,
    bits: np.ndarray,
) -> None:
    """The caps of one decision, one after the other.

    Args:
        rules: (1,). account: (1,) as the decision left it. eligible, groups: (N,).
        rows: (N,) decisions whose targets are the wishes, overwritten.
        targets, bits: (5, N), the targets and reasons after each cap; overwritten.
    """
    book = account[0]
    for step in range(5):
        for n in range(len(rows)):
            rows[n].reasons = 0
        if step == _SYMBOL:
            cap_symbols(
                rows,
                max(rules[0].symbol_cap, 1.5 * rules[0].gross_cap / max(book.eligible, 1)),
            )
        elif step == _GROUP:
            cap_groups(rules[0], rows, groups, eligible)
        elif step == _GROSS:
            cap_gross(rules[0], rows, book.kelly_cap)
        elif step == _NET:
            cap_net(rules[0], rows)
        elif allowed_size(book) < 1:
            size = allowed_size(book)
            scale(rows, size, 0.0, DRAWDOWN_HALF if size > 0 else closing_reasons(book))
        for n in range(len(rows)):
            targets[step, n], bits[step, n] = rows[n].target, rows[n].reasons


def sizing_steps(run: Rerun, k: int, n: int) -> tuple[Step, ...]:
    """The steps from the score of bar k to the target of symbol n; the last one is the target."""
    raw, steps = _raw_targets(run, k), [*_signal_steps(run, k, n), _raw_step(run, k, n)]
    if run.book.rules[0]["neutral"] and (raw != 0).any():
        mean = float(raw[raw != 0].mean())
        raw = np.where(raw != 0, raw - mean, 0.0)
        text = f"less {mean:+.2f}, the mean of all that want a position: longs and shorts balance"
        steps.append(_step("less the mean", raw[n], "1/σ", raw[n] != 0, text))
    steps.append(_volatility_step(run, k, n, raw))
    return (*steps, *_caps(run, k, n), _target(run.decided(k)[n], run.book.log[k]))


def _volatility_step(run: Rerun, k: int, n: int, raw: np.ndarray) -> Step:
    """The weight that was wished for; the scale is that of the whole book."""
    wish = run.decided(k)["wish"]
    moved = np.flatnonzero((raw != 0) & (wish != 0))
    text = "no symbol wants a position, so there is nothing to scale"
    if len(moved):
        factor = float(wish[moved[0]] / raw[moved[0]])
        target = float(run.book.rules[0]["volatility_target"])
        year = target * math.sqrt(run.market.bars_per_year)
        text = f"× {factor:.3g}: the book, on its last 63 bars, would move by {year:.1%} a year"
        if math.isinf(year):
            text = f"× {factor:.3g}: up to the gross cap, for the profile has no volatility target"
    gross = float(np.abs(wish).sum())
    return _step("volatility target", wish[n], "weight", wish[n] != 0, text, gross)


def _step(
    name: str,
    value: float,
    unit: str,
    changed: bool,
    text: str,
    gross: float = math.nan,
    figure: float = math.nan,
    limit: float = math.nan,
) -> Step:
    return Step(name, float(value), unit, bool(changed), gross, float(figure), float(limit), text)


def _signal_steps(run: Rerun, k: int, n: int) -> list[Step]:
    """The score of the bar, and the signal that it moved."""
    score, signal = float(run.basis.score[run.row(k), n]), float(run.decided(k)[n]["signal"])
    before = float(run.decided(k - 1)[n]["signal"]) if k else math.nan
    alpha, span = float(run.book.rules[0]["alpha"]), run.profile.span
    if math.isnan(score):
        text = "nothing was predicted at this bar, so the signal stays as it was"
    elif math.isnan(before):
        text = "the first score of the symbol is its first signal"
    else:
        text = (
            f"smoothed over {span} bars: {before:+.3f} + {alpha:.3f} × ({score:+.3f} - "
            f"{before:+.3f})"
        )
    return [
        _step("score", score, "σ√h", False, "what the network says at this close"),
        _step("signal", signal, "σ√h", signal != score, text),
    ]


_BLOCKED = {
    LONG_ONLY: "negative, and this book may not be short",
    NO_SCORE: "no score for as many bars as a prediction is good for",
    INELIGIBLE: "not eligible at this bar",
    COOLING_OFF: "blocked after a stop",
}


def _raw_step(run: Rerun, k: int, n: int) -> Step:
    """Signal over volatility, or why the symbol wants nothing."""
    value, signal = float(_raw_targets(run, k)[n]), float(run.decided(k)[n]["signal"])
    sigma = float(run.basis.prepared.volatility[run.row(k), n])
    text = f"{signal:+.3f} / {sigma:.4f}: the riskier, the less of it"
    if value == 0:
        bits = int(run.decided(k)[n]["reasons"])
        why = [words for bit, words in _BLOCKED.items() if bits & bit]
        text = "nothing is wanted: " + (why[0] if why else "there is no signal yet")
    return _step("signal / σ", value, "1/σ", value == 0, text)


def _raw_targets(run: Rerun, k: int) -> np.ndarray:
    """(N,) signal / σ of the symbols that want a position, 0 for the others; as `sizing.wish`."""
    decided, sigma = run.decided(k), run.basis.prepared.volatility[run.row(k)]
    wanted = (decided["reasons"] & sum(_BLOCKED)) == 0
    # An order may be refused for these reasons after its target was sized.
    wanted |= decided["wish"] != 0
    wanted &= np.isfinite(decided["signal"]) & (sigma > 0)
    raw: np.ndarray = np.divide(decided["signal"], sigma, out=np.zeros(len(sigma)), where=wanted)
    return raw


def _caps(run: Rerun, k: int, n: int) -> list[Step]:
    """What each cap left of the wish."""
    row, rules = run.row(k), run.book.rules
    account = run.book.log[k : k + 1].copy()
    rows = run.decided(k).copy()
    rows["target"] = rows["wish"]
    targets, bits = np.zeros((5, len(rows))), np.zeros((5, len(rows)), np.int64)
    groups = np.ascontiguousarray(run.basis.groups[row], dtype=np.int64)
    eligible = np.ascontiguousarray(run.basis.eligible[row], dtype=bool)
    cap_again(rules, account, eligible, groups, rows, targets, bits)
    grosses = np.abs(targets).sum(axis=1)
    before = np.vstack([run.decided(k)["wish"], targets[:-1]])
    texts = (
        _symbol_cap(run, k, float(before[_SYMBOL, n])),
        _group_cap(run, k, n, before[_GROUP], groups, eligible),
        _gross_cap(run, k, float(np.abs(before[_GROSS]).sum())),
        _net_cap(run, float(before[_NET].sum())),
        _size(run, k),
    )
    return [
        _step(name, targets[step, n], "weight", targets[step, n] != before[step, n], text,
              gross=float(grosses[step]), figure=figure, limit=limit)
        for step, (name, figure, limit, text) in enumerate(texts)
    ]  # fmt: skip


Text = tuple[str, float, float, str]


def _symbol_cap(run: Rerun, k: int, weight: float) -> Text:
    rules, count = run.book.rules[0], int(run.book.log[k]["eligible"])
    shared = 1.5 * float(rules["gross_cap"]) / max(count, 1)
    cap = max(float(rules["symbol_cap"]), shared)
    text = f"a symbol may have {cap:.1%}"
    if shared > rules["symbol_cap"]:
        text += f", 1.5 equal shares of the gross cap, for only {count} are eligible"
    return "symbol cap", abs(weight), cap, text


def _group_cap(
    run: Rerun, k: int, n: int, weights: np.ndarray, groups: np.ndarray, eligible: np.ndarray
) -> Text:
    rules, group = run.book.rules[0], int(groups[n])
    known = eligible & (groups >= 0)
    count = len(np.unique(groups[known])) + int((eligible & (groups < 0)).sum())
    cap = max(float(rules["group_cap"]), 1.5 * float(rules["gross_cap"]) / max(count, 1))
    if math.isinf(rules["group_cap"]):
        return "group cap", math.nan, math.nan, "the profile has none"
    if group < 0:
        return "group cap", math.nan, cap, "the symbol is in no group"
    members = [run.panel.symbols[i] for i in np.flatnonzero(groups == group)]
    named = ", ".join(members[:8]) + (" ..." if len(members) > 8 else "")
    gross = float(np.abs(weights[groups == group]).sum())
    return "group cap", gross, cap, f"its group ({named}) may have {cap:.1%} together"


def _gross_cap(run: Rerun, k: int, gross: float) -> Text:
    rules = run.book.rules[0]
    caps = {
        "gross cap": float(rules["gross_cap"]),
        "Kelly cap": float(run.book.log[k]["kelly_cap"]),
        "leverage cap": float(rules["leverage"]),
    }
    name = min(caps, key=lambda each: caps[each])  # of equals the first, as in `cap_gross`
    text = f"the book may hold {caps[name]:.0%} of equity. Kelly: {_kelly(run, k)}"
    return name, gross, caps[name], text


def _kelly(run: Rerun, k: int) -> str:
    """Which cap on the gross weight is in force, and on what evidence."""
    row, rules, evidence = run.row(k), run.book.rules[0], run.basis.evidence
    held = str(caps_in_force(evidence, run.profile)[row])
    days, full = int(evidence.days[row]), float(evidence.full_kelly[row])
    gross, count = float(rules["gross_cap"]), int(run.book.log[k]["eligible"])
    if held == "starting":
        lacks = f"{days} of the {MINIMUM_DAYS} days of evidence that it takes"
        if count < MINIMUM_SYMBOLS:
            lacks = f"{count} eligible symbols, and {MINIMUM_SYMBOLS} show skill at choosing"
        words = f"the starting cap, {float(rules['starting_cap']):.0%} (there are {lacks})"
    elif held == "floor":
        floor = run.profile.kelly_floor * gross
        words = f"the floor, {floor:.0%} ({days} days of evidence say full Kelly is {full:.2f})"
    elif held == "evidence":
        fraction = run.profile.kelly_fraction
        words = f"{fraction:.0%} of full Kelly, which {days} days of evidence put at {full:.2f}"
    else:
        words = f"the gross cap itself ({days} days of evidence would allow more)"
    return f"{words}; gross cap {gross:.0%}, leverage {float(rules['leverage']):.0%}"


def _net_cap(run: Rerun, net: float) -> Text:
    cap = float(run.book.rules[0]["net_cap"])
    return "net cap", abs(net), cap, f"longs less shorts may be {cap:.0%} of equity"


def _size(run: Rerun, k: int) -> Text:
    rules, account = run.book.rules[0], run.book.log[k]
    halve, flat = float(rules["halve"]), float(rules["flat"])
    size = ("whole", "half size", "flat")[int(account["size"])]
    text = (
        f"{size}: halved when equity is {halve:.0%} below its reference peak, closed at {flat:.0%}"
    )
    if account["size"] and account["drawdown"] < halve:
        text += f"; in this size for {int(account['days_in_size'])} days now"
    return "drawdown size", float(account["drawdown"]), halve, text


def _target(here: Decision, account: Account) -> Step:
    return _step(
        "target", here["target"], "weight", here["target"] != here["weight"],
        f"of an equity of {float(account['equity']):,.2f}; held is {float(here['weight']):+.2%}",
    )  # fmt: skip
