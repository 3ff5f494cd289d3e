"""Sweeps: one set of predictions traded under many risk profiles at once.

Letters: R accounts, K bars, T rows of the panel.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.paths import Paths, trade_paths
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.engine.dtypes import Account, Array
from trading_pipeline.core.trading.engine.many import Path
from trading_pipeline.core.trading.kelly import KellyEvidence, kelly_evidence
from trading_pipeline.core.trading.profiles import Profile, profile_of, with_limits
from trading_pipeline.core.trading.terms import Terms

_OF_EVIDENCE = ("long_only", "tracking_error", "symbol_cap", "group_cap", "band")  # what it is of
_OF_NEUTRAL = (*_OF_EVIDENCE, "volatility_target", "gross_cap")  # other books are fully invested


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep(Paths):
    """What remains of R accounts, one for each profile."""

    timestamps: pd.DatetimeIndex  # (K,)
    start: int  # row of the panel
    stop: int  # the row after the last
    profiles: dict[str, Profile]  # R, by name

    @property
    def names(self) -> tuple[str, ...]:
        """R, in the order given."""
        return tuple(self.profiles)


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
    basis: Basis,
    terms: Terms,
    profiles: Mapping[str, Profile],
    *,
    threads: int = 1,
    watch: Callable[[int, int, str], None] | None = None,
    own_evidence: bool = True,
) -> Sweep:
    """Trade the same scores under each profile; every result is that of `simulate`, bit for bit.

    The profile of the terms plays no part: only those given do.

    Args:
        basis: of the scores. profiles: R by name.
        threads: that run accounts at the same time; the kernels leave the interpreter alone. The
            result does not depend on it.
        watch: called with (accounts done, R, "") as blocks of them are done.
        own_evidence: of each profile's own sizing; else that of the basis holds for all.

    Raises:
        ValueError: no profiles, no threads, or a profile that the other terms do not allow.
        TradingError: a score is infinite.
    """
    if not profiles or threads < 1:
        raise ValueError(
            f"{len(profiles)} profiles on {threads} threads: give one of each at least"
        )
    under = [replace(terms, profile=each) for each in profiles.values()]
    shares = _shares(basis, terms, profiles.values(), own_evidence)
    paths = trade_paths(basis, under, shares, threads=threads, watch=watch)
    return Sweep(
        timestamps=basis.panel.timestamps[basis.start : basis.stop],
        start=basis.start,
        stop=basis.stop,
        profiles=dict(profiles),
        log=paths.log,
        accounts=paths.accounts,
    )


def joined(parts: Sequence[Sweep]) -> Sweep:
    """Sweeps of one basis under different profiles, as one: R accounts in the order given."""
    first = parts[0]
    return Sweep(
        timestamps=first.timestamps,
        start=first.start,
        stop=first.stop,
        profiles={name: each for part in parts for name, each in part.profiles.items()},
        log=cast(Array[Path], np.concatenate([part.log for part in parts])),
        accounts=cast(Array[Account], np.concatenate([part.accounts for part in parts])),
    )


def _shares(
    basis: Basis, terms: Terms, profiles: Iterable[Profile], own_evidence: bool
) -> list[np.ndarray]:
    """R shares (T,) of the tilt; profiles that are sized alike share the evidence."""
    known: dict[tuple[float, ...], KellyEvidence] = {}
    names = _OF_NEUTRAL if terms.mandate == "neutral" else _OF_EVIDENCE
    shares = []
    for profile in profiles:
        key = tuple(getattr(profile, name) for name in names) if own_evidence else ()
        if key not in known:
            under = replace(terms, profile=profile)
            known[key] = (
                basis.evidence
                if not own_evidence
                else kelly_evidence(basis.panel, basis.prepared, basis.inputs, under)
            )
        shares.append(known[key].share_under(profile))
    return shares
