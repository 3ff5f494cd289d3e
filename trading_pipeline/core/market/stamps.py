"""What stamps say: the session of each daily bar and action, and the calendar that bars fit.

Exports stamp daily bars by midnight of their own time zone, or by the hour at which the market's
day begins: Tokyo's Monday is Sunday, 15:00 UTC. Such bars are moved to 00:00 UTC of their session.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from trading_pipeline.core.market.calendar import (
    TradingCalendar,
    in_microseconds,
    infer_timeframe,
    is_daily,
    trading_calendar,
)
from trading_pipeline.core.market.exchanges import (
    NEVER_CLOSES,
    SATURDAY,
    WEEKDAYS,
    bars_per_day,
    crosses_midnight,
    days_per_year,
    zone_of,
)
from trading_pipeline.core.market.market import check_clock
from trading_pipeline.core.market.sessions import exchange
from trading_pipeline.errors import BarsError

# Of zones whose clocks change alike one is enough; of those that never change, all are as UTC.
_ZONES = (
    *("UTC", "America/New_York", "America/Sao_Paulo", "Europe/London", "Europe/Berlin"),
    *("Europe/Helsinki", "Africa/Johannesburg", "Asia/Jerusalem", "Asia/Riyadh", "Asia/Kolkata"),
    *("Asia/Bangkok", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland"),
)
# The likeliest first: of calendars that fit alike the earlier one is taken.
CANDIDATES = (
    *("XNYS", NEVER_CLOSES, WEEKDAYS, "XLON", "XETR", "XPAR", "XTKS", "XHKG", "XSHG", "XBOM"),
    *("XASX", "XTSE", "XSWX", "XSTO", "BVMF", "XSES", "XTAI", "CMES", "XSAU"),
)
_WHOLLY = 0.002  # unexplained share below which no further calendar is tried
_HANDICAP = {WEEKDAYS: 0.005}  # an exchange that explains as much is more telling
# What a calendar that nobody named may leave unexplained: of bars and sessions together, and of
# hours. The two that are used most may lack sessions, which is then a matter of quality.
_UNEXPLAINED, _OUTSIDE = 0.025, 0.25
_LENIENT = {"XNYS": 0.25, NEVER_CLOSES: 0.1}  # sessions without a bar
_CLOSED_IF_NAMED, _ABSENT_IF_NAMED = 0.1, 0.25
_THIN = 0.5  # of the usual number of bars: a day with fewer is none of the panel's sessions
_DAY = pd.Timedelta(days=1)
_YEAR = pd.Timedelta(days=365.25)
PACE = 0.02  # by which bars a year may differ from the calendar's before they are counted


class Fit(NamedTuple):
    """How well a calendar explains the days of bars; fractions in [0, 1]."""

    name: str
    closed: float  # of the bars, those on days on which it is closed
    absent: float  # of its sessions, those that (next to) no symbol has a bar of
    outside: float  # of the bars, those outside the hours of its sessions; 0 of daily ones

    @property
    def misfit(self) -> float:
        """The less, the better; hours decide only among calendars of the same days."""
        return self.unexplained + _HANDICAP.get(self.name, 0.0)

    @property
    def unexplained(self) -> float:
        """Bars and sessions; 0 where every bar is where the calendar expects one, and no other."""
        return self.closed + self.absent + self.outside / 50

    @property
    def holds(self) -> bool:
        """Whether a calendar that nobody named may be believed."""
        if self.name in _LENIENT:
            return self.closed <= _UNEXPLAINED and self.absent <= _LENIENT[self.name]
        return self.closed + self.absent <= _UNEXPLAINED and self.outside <= _OUTSIDE

    def __str__(self) -> str:
        return f"{self.name} ({self.closed:.1%} of bars on closed days, {self.absent:.1%} absent)"


class Clock(NamedTuple):
    """The calendar of bars, and what a year of them holds if that is not what it says."""

    calendar: TradingCalendar
    fit: Fit
    bars_per_year: int | None  # as counted, where the calendar's differs; None: the calendar's
    days_per_year: int | None

    @property
    def note(self) -> str:
        """What a person should know of it, in one sentence."""
        name, step = self.calendar.name, self.calendar.timeframe
        text = f"calendar {name}: {self.fit.closed:.1%} of the bars on days on which it is closed, "
        text += f"{self.fit.absent:.1%} of its sessions without a bar"
        if self.bars_per_year is None:
            return text
        usual = bars_per_day(name, step) * days_per_year(name)
        return (
            f"{text}; {self.bars_per_year:,} bars and {self.days_per_year} days a year, as counted "
            f"in the bars ({name} has {usual:,} and {days_per_year(name)})"
        )


def clock_of(bars: pd.DataFrame, named: str | None = None, where: str = "bars") -> Clock:
    """The calendar and timeframe of canonical bars, daily ones as `stamped_by_session` moves them.

    Args:
        named: a calendar that is to hold, instead of the one that fits best.

    Raises:
        BarsError: no timeframe or calendar fits, or not the one that was named; says what was
            tried.
    """
    timeframe = infer_timeframe(bars, where)
    stamps, _, counts = _distinct(bars)
    names = _allowed(named, timeframe, where)
    if timeframe == "1d":
        _, fits = _dated(stamps, counts, names)
    else:
        fits = _fits(names, stamps, lambda name: _fit_hours(name, stamps, counts))
    if named:
        _refuse_if_absurd(fits, named, where)
    elif not fits or not fits[0].holds:
        raise BarsError(
            f"{where}: no calendar fits the days of the bars. Tried: {_tried(fits)}. Name the "
            "right one with --calendar NAME, or as `calendar` in the market's entry: any of "
            "exchange_calendars, such as XTKS, 24/5 or 24/7"
        )
    calendar = trading_calendar(fits[0].name, timeframe)
    return Clock(calendar, fits[0], *pace_of(stamps, calendar))


def stamped_by_session(bars: pd.DataFrame, named: str | None = None) -> pd.DataFrame:
    """Canonical daily bars of an exchange, each stamped 00:00 UTC of its session date.

    Bars of a market that never closes, bars of hours, and bars whose stamps keep to no hour of any
    zone are returned as they are. `named`: a calendar that is to hold, if one is known.
    """
    if named == NEVER_CLOSES or bars.empty:
        return bars
    stamps, place, counts = _distinct(bars)
    if not datings(stamps):
        return bars
    dates, fits = _dated(stamps, counts, (named,) if named else CANDIDATES)
    if not fits or fits[0].name == NEVER_CLOSES:
        return bars
    if fits[0].closed > _CLOSED_IF_NAMED or not (named or fits[0].holds):
        return bars
    return bars.assign(timestamp=dates[place])


def actions_by_session(actions: pd.DataFrame, days: pd.DatetimeIndex) -> pd.DataFrame:
    """Corporate actions at 00:00 UTC of their ex-dates, by what their own stamps say.

    Args:
        actions: canonical.
        days: session dates of the bars; of several dates that stamps may mean, the one is taken
            on which most actions fall on a session.
    """
    stamps = pd.DatetimeIndex(actions["timestamp"])
    if actions.empty or is_daily(stamps):
        return actions
    zones = (stamps.tz_convert(zone).tz_localize(None).normalize() for zone in _ZONES)
    anywhere = (each.tz_localize("UTC") for each in zones)
    options = [*datings(stamps), *anywhere]
    best = max(options, key=lambda dates: int(dates.isin(days).sum()))
    return actions.assign(timestamp=in_microseconds(best))


def datings(stamps: pd.DatetimeIndex) -> list[pd.DatetimeIndex]:
    """The session dates (00:00 UTC) that stamps at one hour of some zone may mean.

    Likeliest first: the date of a local midnight, the local date at another hour, and the day
    after, as for a market whose Monday begins on Sunday at 17:00. Empty if there is no such hour,
    as of bars of minutes, or of stamps that are dates already.
    """
    midnights, same, after = [], [], []
    for zone in _ZONES:
        local = stamps.tz_convert(zone).tz_localize(None)
        dates = in_microseconds(local.normalize().tz_localize("UTC"))
        hours = local - local.normalize()
        if not (hours == hours[0]).all():
            continue
        if hours[0] == pd.Timedelta(0):
            midnights.append(dates)
        else:
            same.append(dates)
            after.append(dates + _DAY)
    if is_daily(stamps):
        return []
    return list({dates.asi8.tobytes(): dates for dates in (*midnights, *same, *after)}.values())


def pace_of(
    stamps: pd.DatetimeIndex, calendar: TradingCalendar
) -> tuple[int, int] | tuple[None, None]:
    """Bars and UTC days of a year as counted, where there are not as many as the calendar has.

    Args:
        stamps: distinct and increasing; daily ones of an exchange are session dates.
    """
    span = (stamps[-1] - stamps[0]) / _YEAR
    counted, days = len(stamps) - 1, len(stamps.normalize().unique()) - 1
    expected = len(calendar.sessions(stamps[0], stamps[-1]))
    if not days or abs(counted / max(expected, 1) - 1) <= PACE:
        return None, None
    return round(counted / span), round(days / span)


def _distinct(bars: pd.DataFrame) -> tuple[pd.DatetimeIndex, np.ndarray, np.ndarray]:
    """The stamps of bars, each once and increasing; each bar's place among them; bars of each."""
    stamps = pd.DatetimeIndex(bars["timestamp"])
    ticks, place, counts = np.unique(stamps.asi8, return_inverse=True, return_counts=True)
    return pd.DatetimeIndex(ticks.view("M8[us]"), tz="UTC"), place, counts


def _dated(
    stamps: pd.DatetimeIndex, counts: np.ndarray, names: Iterable[str]
) -> tuple[pd.DatetimeIndex, list[Fit]]:
    """The session dates that some calendar explains best, and how all fit them."""
    found: list[tuple[pd.DatetimeIndex, list[Fit]]] = []
    options = datings(stamps) or [stamps.normalize()]
    for dates in sorted(options, key=lambda days: int((days.dayofweek >= SATURDAY).sum())):
        fit_of = partial(_fit_days, counts=counts, days=dates, present=dates[_usual(counts)])
        fits = _fits(names, stamps, fit_of)
        found.append((dates, fits))
        if fits and fits[0].unexplained <= _WHOLLY:
            break
    return min(found, key=lambda each: each[1][0].misfit if each[1] else np.inf)


def _fits(
    names: Iterable[str], stamps: pd.DatetimeIndex, fit_of: Callable[[str], Fit | None]
) -> list[Fit]:
    """How calendars fit distinct stamps, by `fit_of` each, the best first.

    No further one is tried once one explains all; of equals the earlier name comes first.
    """
    found = []
    weekends = bool((stamps.dayofweek >= SATURDAY).any())
    for name in names:
        if name == NEVER_CLOSES and not weekends and names is CANDIDATES:
            continue  # what it is known by is missing
        if fit := fit_of(name):
            found.append(fit)
            if fit.unexplained <= _WHOLLY:
                break
    return sorted(found, key=lambda fit: fit.misfit)


def _fit_hours(name: str, stamps: pd.DatetimeIndex, counts: np.ndarray) -> Fit | None:
    """Of bars shorter than days, which are dated by the exchange's own clock."""
    if crosses_midnight(name):
        return None
    local = stamps.tz_convert(zone_of(name)).tz_localize(None)
    days, place = np.unique(local.normalize().asi8, return_inverse=True)
    dates = pd.DatetimeIndex(days.view("M8[us]"), tz="UTC")
    fit = _fit_days(name, np.bincount(place, weights=counts), dates, dates)
    if fit is None:
        return None
    sessions = exchange(name).sessions.loc[dates[0] : dates[-1]]
    place = sessions["open"].searchsorted(stamps, side="right") - 1
    inside = (place >= 0) & (stamps < pd.DatetimeIndex(sessions["close"].iloc[place]))
    return fit._replace(outside=float(counts[~inside].sum() / counts.sum()))


def _fit_days(
    name: str, counts: np.ndarray, days: pd.DatetimeIndex, present: pd.DatetimeIndex
) -> Fit | None:
    """Of days with `counts` bars each; None if the calendar does not know these years.

    Args:
        present: the days on which a session is taken to have bars.
    """
    sessions = exchange(name).sessions
    if days[0].year < sessions.index[0].year or days[-1].year > sessions.index[-1].year:
        return None
    known = sessions.loc[days[0] : days[-1]].index
    closed = float(counts[~days.isin(known)].sum() / counts.sum())
    absent = float(1 - known.isin(present).mean()) if len(known) else 1.0
    return Fit(name, closed, absent, 0.0)


def _usual(counts: np.ndarray) -> np.ndarray:
    """Days with more than half as many bars as there are around them, bool (days,)."""
    around = pd.Series(counts).rolling(21, center=True, min_periods=1).median()
    return np.asarray(counts > _THIN * around)


def _allowed(named: str | None, timeframe: str, where: str) -> tuple[str, ...]:
    """The calendars to try: the one that was named, if it can have such bars, or the usual ones."""
    if named is None:
        return CANDIDATES
    try:
        check_clock(named, timeframe)
    except ValueError as error:
        raise BarsError(f"{where}: {error}") from error
    return (named,)


def _tried(fits: list[Fit]) -> str:
    """The nearest with their figures, the others by name."""
    if not fits:
        return "none, for all know other years only"
    further = ", ".join(fit.name for fit in fits[4:])
    return "; ".join(map(str, fits[:4])) + (f"; and {further}" if further else "")


def _refuse_if_absurd(fits: list[Fit], named: str, where: str) -> None:
    if not fits:
        years = exchange(named).sessions.index[[0, -1]].year
        raise BarsError(
            f"{where}: the calendar {named} is known for {years[0]} to {years[1]} only, and bars "
            "are of other years"
        )
    fit = fits[0]
    if fit.closed > _CLOSED_IF_NAMED or fit.absent > _ABSENT_IF_NAMED:
        raise BarsError(
            f"{where}: the calendar {named} does not fit: {fit.closed:.1%} of the bars are on days "
            f"on which it is closed, and {fit.absent:.1%} of its sessions have no bar. Name another"
        )
