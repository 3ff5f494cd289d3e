"""Position state: what the network's own past answers add up to.

The notional book follows what the position head asked for, one unit of equity per symbol, without
sizing or risk rules. It is never the account: predictions stay a function of bars alone.
"""

from math import asinh, log, log1p, sqrt
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from trading_pipeline.core.model.config import ModelConfig

N_BOOK = 5  # S: columns of `NotionalBook.features`
LONGEST = 500  # bars that a position of a drawn book was held for at most: two years of days
FURTHEST = 3 * sqrt(LONGEST)  # σ that it moved by: three standard deviations of a random walk


class NotionalBook(NamedTuple):
    """The book of B symbols at the close of a bar; every field is (B), none carries a gradient.

    Returns count in units of σ, the volatility of a bar known at the decision, so that a book of
    minutes and one of days, of a utility and of a coin, look alike to the network.
    """

    weight: Tensor  # held now, [-1, 1]
    asked: Tensor  # asked for last, [-1, 1]; differs from `weight` where it could not be filled
    unrealised: Tensor  # return of the open position since its average entry, in σ
    held: Tensor  # bars since the position was opened or turned; 0 when flat
    equity: Tensor  # sum of weight × log return over all bars so far, in σ
    peak: Tensor  # highest equity so far, >= 0

    @classmethod
    def empty(cls, n: int, device: torch.device | None = None) -> Self:
        """Flat, as at the first decision of a fold."""
        return cls(*torch.zeros(len(cls._fields), n, device=device).unbind(0))

    @classmethod
    def drawn(cls, n: int, generator: torch.Generator) -> Self:
        """Books as they may be after any time, so that a training that starts there meets them all.

        A fifth is flat. The others hold any weight, since a time whose logarithm is uniform up to
        `LONGEST`, and have earned and lost what a random walk of that length would have. `asked`
        differs from `weight` in a tenth, as it does where orders lapse.
        """

        def uniform() -> Tensor:
            return torch.rand(n, generator=generator)

        def moved(bars: Tensor) -> Tensor:
            steps = torch.randn(n, generator=generator) * bars.sqrt()
            return steps.clamp(-FURTHEST, FURTHEST)

        weight = torch.where(uniform() < 0.2, torch.zeros(n), 2 * uniform() - 1)
        asked = torch.where(uniform() < 0.1, 2 * uniform() - 1, weight)
        bars = (log(LONGEST) * uniform()).exp().round() * (weight != 0)
        lived = (log(LONGEST) * uniform()).exp()  # of earlier positions as well
        size = torch.where(weight == 0, uniform(), weight.abs())  # that the drawdown came about by
        peak = moved(lived).abs() * size
        return cls(weight, asked, moved(bars), bars, torch.zeros(n), peak)

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return type(self)(*(each.to(device) for each in self))

    def features(self) -> Tensor:
        """What the network sees: (B, S), all finite; long tails are drawn in by asinh and log.

        Nothing leaves the range that drawn books have: training has never seen what lies beyond.
        """
        drawdown = self.peak - self.equity
        most = asinh(FURTHEST)
        columns = (
            self.weight,
            self.asked,
            self.unrealised.asinh().clamp(-most, most),
            self.held.log1p().clamp(max=log1p(LONGEST)),
            drawdown.asinh().clamp(max=most),
        )
        return torch.stack(columns, dim=1)


def advance(
    book: NotionalBook, asked: Tensor, overnight: Tensor, intraday: Tensor, sigma: Tensor
) -> NotionalBook:
    """The book one bar later: what was asked at the close of t is filled at the open of t + 1.

    Args:
        book: at the close of t.
        asked: (B), the position head's answer at the close of t, [-1, 1]; NaN holds what is held.
        overnight: (B), log(open[t+1] / close[t]), earned by the weight held before.
        intraday: (B), log(close[t+1] / open[t+1]), earned by the new weight.
        sigma: (B), volatility of a bar known at t, > 0; without one nothing is earned.

    Returns:
        The book at the close of t + 1, cut from the graph. A missing return (NaN) earns nothing,
        and without an open to fill at (`overnight` is NaN) the order lapses.
    """
    asked = torch.where(asked.isnan(), book.weight, asked.detach())
    weight = torch.where(overnight.isnan(), book.weight, asked)
    before, after = book.weight.sign(), weight.sign()
    night, day = _in_sigmas(overnight, sigma), _in_sigmas(intraday, sigma)
    kept = (before == after) & (after != 0)
    # What is added comes in at the open, without a return yet: the average entry moves there.
    old_part = (book.weight / weight).clamp(max=1).where(kept, torch.zeros_like(weight))
    unrealised = old_part * (book.unrealised + before * night) + after * day
    held = torch.where(kept, book.held, torch.zeros_like(book.held)) + after.abs()
    equity = book.equity + book.weight * night + weight * day
    return NotionalBook(weight, asked, unrealised, held, equity, torch.maximum(book.peak, equity))


def _in_sigmas(log_return: Tensor, sigma: Tensor) -> Tensor:
    known = torch.isfinite(log_return) & (sigma > 0) & torch.isfinite(sigma)
    return torch.where(known, log_return / sigma, torch.zeros_like(log_return))


class PositionState(nn.Module):
    """Embeds the book's features: (B, S) -> (B, position_width)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(N_BOOK, config.position_width), nn.GELU())

    def forward(self, book: Tensor) -> Tensor:
        embedded: Tensor = self.embed(book)
        return embedded
