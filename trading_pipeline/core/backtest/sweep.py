"""Sweeps: one set of predictions traded under many risk profiles at once.

Every book is the one that `simulate` would make, to the last bit; only its account is kept, so that
a thousand of them fit into memory. Letters: R books, K bars, T rows of the panel, N symbols.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.baselines import MANAGED, RULE_BASELINES
from trading_pipeline.core.backtest.run import book_settings, scored_rows
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.engine.dtypes import (
    ACCOUNT,
    new_account,
    new_positions,
    periods_of,
)
from trading_pipeline.core.trading.engine.loop import PATH, new_scratch, run_books
from trading_pipeline.core.trading.engine.parameters import parameters_of
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import Prepared, known_grids, prepare
from trading_pipeline.core.trading.kelly import kelly_caps
from trading_pipeline.core.trading.profiles import Profile, profile_of, with_limits

_BLOCK = 4  # books that a thread runs before it says so


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """What remains of R books over the same K bars; money in quote currency."""

    timestamps: pd.DatetimeIndex  # (K,)
    start: int  # row of the panel
    stop: int  # the row after the last
    profiles: dict[str, Profile]  # R, by name
    paths: np.ndarray  # (R, K) PATH
    accounts: np.ndarray  # (R,) ACCOUNT, after the last bar

    @property
    def names(self) -> tuple[str, ...]:
        """R, in the order given."""
        return tuple(self.profiles)

    @property
    def equity(self) -> np.ndarray:
        """(R, K) at each close; the first is the capital."""
        values: np.ndarray = self.paths["equity"].copy()
        return values

    @property
    def exposure(self) -> np.ndarray:
        """(R, K) gross value as a fraction of equity, >= 0 while there is equity."""
        share: np.ndarray = self.paths["gross"] / self.paths["equity"]
        return share

    @property
    def turnover(self) -> np.ndarray:
        """(R, K) notional traded in the bar as a fraction of the equity before it, >= 0."""
        equity = self.paths["equity"]
        before = np.concatenate([equity[:, :1], equity[:, :-1]], axis=1)
        share: np.ndarray = self.paths["traded"] / before
        return share

    @property
    def fees(self) -> np.ndarray:
        """(R, K) money paid in the bar, >= 0."""
        values: np.ndarray = self.paths["fees"].copy()
        return values


class Grid(NamedTuple):
    """Every combination of some limits."""

    limits: tuple[str, ...]
    profiles: dict[str, Profile]  # by name, such as "halve=0.08 stop_loss=2"
    left_out: dict[str, str]  # combinations that are no profile, and why


def grid_of_limits(profile: Profile, limits: Mapping[str, Sequence[float]]) -> Grid:
    """Every combination of the values given, the last limit varying fastest.

    Limits out of order, such as a `halve` above `flat`, are no mistake in a grid: that combination
    is left out, and reported. A value that no combination can have is one.

    Args:
        profile: what is not named stays as it is there.
        limits: values by limit, as `with_limits` takes them; equal ones count once.

    Raises:
        ValueError: no limits, no values, no such limit, or a value that is impossible whatever the
            others are.
    """
    if not limits or not all(limits.values()):
        raise ValueError("give one limit at least, and one value at least for each")
    profiles, left_out = {}, {}
    fits: set[tuple[str, float]] = set()
    complaints: dict[tuple[str, float], str] = {}
    for values in product(*limits.values()):
        chosen = dict(zip(limits, values, strict=True))
        name = " ".join(f"{limit}={value:.12g}" for limit, value in chosen.items())
        try:
            profiles[name] = with_limits(profile, chosen)
            fits.update(chosen.items())
        except (ValueError, OverflowError) as error:  # infinity is no whole number
            left_out[name] = str(error)
            for each in chosen.items():
                complaints.setdefault(each, str(error))
    for (limit, value), complaint in complaints.items():
        if (limit, value) not in fits:
            raise ValueError(f"{limit}={value:g} fits no combination: {complaint}")
    return Grid(tuple(limits), profiles, left_out)


def market_under(market: Market, profile: Profile) -> Market:
    """The market whose own limits make it trade under `profile`, written in one way only.

    Two ways to the same limits are one configuration, so that trials of it count once.

    Args:
        profile: the market's own with other numbers.
    """
    if profile == profile_of(market):
        return market
    usual = profile_of(replace(market, limits={}))
    names = [each.name for each in fields(Profile)]
    changed = [name for name in names if getattr(profile, name) != getattr(usual, name)]
    return replace(market, limits={name: float(getattr(profile, name)) for name in changed})


def sweep(
    panel: Panel,
    score: np.ndarray,
    eligible: np.ndarray,
    market: Market,
    profiles: Mapping[str, Profile],
    capital: float,
    *,
    threads: int = 1,
    prepared: Prepared | None = None,
    groups: np.ndarray | None = None,
    watch: Callable[[int, int, str], None] | None = None,
) -> Sweep:
    """Trade the same scores under each profile; every book is that of `simulate`, bit for bit.

    The market's own profile and limits play no part: only those given do.

    Args:
        score: (T, N) of `score_grid`; NaN where nothing was predicted out of sample.
        eligible: (T, N) bool, who may be bought at each close.
        profiles: R by name. capital: quote currency, of every book.
        threads: that run books at the same time; the kernels leave the interpreter alone. The
            result does not depend on it.
        prepared: `prepare` of the panel. groups: `groups_of` it. Made here if None.
        watch: called with (books done, R, "") as blocks of books are done.

    Raises:
        ValueError: no profiles, no threads, or a profile that the market's book does not allow.
        TradingError: no score is of a bar of the panel, or one is infinite.
    """
    if not profiles or threads < 1:
        raise ValueError(
            f"{len(profiles)} profiles on {threads} threads: give one of each at least"
        )
    start, stop = scored_rows(score, len(panel.timestamps))
    settings = book_settings(market, capital)
    del settings["capital"]
    rules = [parameters_of(profile=each, scored=True, **settings) for each in profiles.values()]
    shared = prepare(panel) if prepared is None else prepared
    caps = _caps(panel, score, eligible, market, shared, profiles.values())
    known = known_grids(
        panel,
        shared,
        score=score,
        eligible=eligible,
        groups=groups_of(panel, market) if groups is None else groups,
    )
    fresh = (new_account(capital), new_positions(len(panel.symbols)), periods_of(panel.timestamps))
    paths, accounts = np.zeros((len(rules), stop - start), PATH), np.zeros(len(rules), ACCOUNT)

    def run(first: int) -> int:
        part = slice(first, first + _BLOCK)
        run_books(
            np.concatenate(rules[part]),
            *fresh,
            shared.prices,
            known,
            np.stack(caps[part]),
            (start, stop),
            new_scratch(len(panel.symbols)),
            paths[part],
            accounts[part],
        )
        return len(accounts[part])

    done = 0
    for count in _in_threads(run, range(0, len(rules), _BLOCK), threads):
        done += count
        if watch is not None:
            watch(done, len(rules), "")
    return Sweep(
        timestamps=panel.timestamps[start:stop],
        start=start,
        stop=stop,
        profiles=dict(profiles),
        paths=paths,
        accounts=accounts,
    )


def baseline_equity(
    panel: Panel,
    score: np.ndarray,
    eligible: np.ndarray,
    market: Market,
    capital: float,
    *,
    prepared: Prepared,
    groups: np.ndarray,
) -> dict[str, np.ndarray]:
    """Equity (K,) of the rule baselines of a backtest, on the bars that a sweep has.

    The managed ones are under the market's own profile; arguments are those of `sweep`.
    """
    start, stop = scored_rows(score, len(panel.timestamps))
    profile, rows = profile_of(market), {"start": start, "stop": stop}
    (kelly,) = _caps(panel, score, eligible, market, prepared, [profile])
    shared: dict[str, Any] = {"kelly": kelly, "prepared": prepared, "groups": groups, **rows}
    shared |= {"eligible": eligible, **book_settings(market, capital)}
    equity = {}
    for name, rule in RULE_BASELINES.items():
        weights = rule(panel, eligible, **rows, bars_per_year=market.bars_per_year)
        equity[name] = simulate(panel, weights=weights, **shared).equity
        if name in MANAGED:
            managed = simulate(panel, weights=weights, profile=profile, **shared)
            equity[f"{name}_managed"] = managed.equity
    return equity


def _caps(
    panel: Panel,
    score: np.ndarray,
    eligible: np.ndarray,
    market: Market,
    shared: Prepared,
    profiles: Iterable[Profile],
) -> list[np.ndarray]:
    """R Kelly caps (T,); profiles that differ in other limits share one."""
    known: dict[tuple[Any, ...], np.ndarray] = {}
    settings = {name: getattr(market, name) for name in ("horizon", "book", "shortable", "costs")}
    caps = []
    for each in profiles:
        key = (each.long_only, each.kelly_fraction, each.kelly_floor, each.gross_cap)
        if key not in known:
            known[key] = kelly_caps(
                panel, score, shared.volatility, eligible, profile=each, **settings
            ).cap
        caps.append(known[key])
    return caps


def _in_threads(work: Callable[[int], int], pieces: Sequence[int], threads: int) -> Iterator[int]:
    """Results as they come; after an error or Ctrl-C, pieces not yet begun are not begun."""
    pool = ThreadPoolExecutor(max_workers=threads)
    try:
        for future in as_completed([pool.submit(work, piece) for piece in pieces]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
