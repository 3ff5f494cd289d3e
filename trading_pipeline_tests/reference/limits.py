"""The reference limits on a whole account: losses by period, drawdown, turbulence."""

from datetime import UTC, datetime
from math import inf, sqrt

CALM_BARS, LATE_BARS = 58, 5


def periods(stamp):
    """Day, ISO week and month of a bar."""
    at = datetime.fromtimestamp(stamp.timestamp(), UTC)
    return {"day": at.date(), "week": tuple(at.isocalendar()[:2]), "month": (at.year, at.month)}


class Limits:
    """What the account may do, looked at once a bar, at its close."""

    def __init__(self, capital, profile, bars_per_year):
        self.profile, self.equity, self.bars_per_year = profile, capital, bars_per_year
        self.now = dict.fromkeys(("day", "week", "month"))
        self.marks = dict.fromkeys(self.now, capital)
        self.breached = dict.fromkeys(self.now, False)
        self.peak, self.size, self.days = capital, 1.0, 0
        self.aging_peak = capital
        self.turbulent = self.bankrupt = False

    def enter(self, stamp):
        """Enter the periods of a bar; they are measured from the close before it."""
        for name, period in periods(stamp).items():
            if period != self.now[name]:
                self.now[name], self.marks[name], self.breached[name] = period, self.equity, False
                self.days += name == "day"

    def close(self, equity):
        """Take note of the equity at a close."""
        self.equity = equity

    def watch_market(self, returns):
        """Turbulence: the last 5 of 63 returns against the 58 before them."""
        self.turbulent = False
        if not self.profile or self.profile.breaker == inf:
            return
        if len(returns) < CALM_BARS + LATE_BARS:
            return
        usual = sqrt(sum(r * r for r in returns[:CALM_BARS]) / CALM_BARS)
        lately = sqrt(sum(r * r for r in returns[CALM_BARS:]) / LATE_BARS)
        self.turbulent = usual > 0 and lately / usual >= self.profile.breaker

    def watch(self):
        """Losses and drawdown at this close."""
        self.bankrupt = self.bankrupt or self.equity <= 0
        if self.profile:
            for name, limit in (
                ("day", self.profile.daily_loss),
                ("week", self.profile.weekly_loss),
                ("month", self.profile.monthly_loss),
            ):
                if 1 - self.equity / self.marks[name] >= limit:
                    self.breached[name] = True
            self._watch_drawdown()
        if self.equity >= self.aging_peak:
            self.aging_peak = self.equity
        else:  # a high of long ago is no reason to hold little
            self.aging_peak -= (self.aging_peak - self.equity) / self.bars_per_year

    def share(self):
        """Of the exposure that the volatility target and the caps allow: what drawdown leaves."""
        if self.bankrupt:
            return 0.0
        limit, drawdown = self.profile.drawdown_limit, 1 - self.equity / self.aging_peak
        left = 1.0 if limit == inf else min(max((limit - drawdown) / limit, 0.0), 1.0)
        return left * self.size

    def _watch_drawdown(self):
        profile, best = self.profile, self.equity > self.peak
        self.peak = max(self.peak, self.equity)
        if self.size == 0 and self.days >= profile.flat_days:
            self.peak = self.equity  # measured anew, or it would stay flat for ever
            self._resize(0.5)
        if self.size == 0:
            return
        drawdown = 1 - self.equity / self.peak
        if drawdown >= profile.flat:
            self._resize(0.0)
        elif drawdown >= profile.halve and self.size == 1:
            self._resize(0.5)
        elif self.size == 0.5:
            waited = self.days >= profile.half_days and drawdown < profile.halve
            if best or waited:
                self._resize(1.0)

    def _resize(self, size):
        self.size, self.days = size, 0

    def closing(self):
        """Names of the rules that close everything."""
        names = {"drawdown_flat": self.size == 0, "bankrupt": self.bankrupt}
        return {name for name, holds in names.items() if holds}

    def refusing(self):
        """Names of the rules that refuse new exposure."""
        names = {
            "daily_loss": self.breached["day"],
            "weekly_loss": self.breached["week"],
            "monthly_loss": self.breached["month"],
            "turbulence": self.turbulent,
        }
        return {name for name, holds in names.items() if holds}
