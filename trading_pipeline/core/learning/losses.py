"""Losses: what the network is asked to be good at, each a pure function of tensors.

All tensors are (dates, symbols), a block of consecutive dates and their cross-section; σ is the
volatility of a bar known at the decision and h the horizon. A target that is missing is NaN (class
-1 for directions): it is left out of its loss, and never read as zero. A loss of which nothing can
be computed is 0, still attached to the graph.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict

import torch
from torch import Tensor
from torch.nn import functional as F

from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.core.model.config import LossWeights, TrainingConfig
from trading_pipeline.core.model.heads import Outputs
from trading_pipeline.core.proper_scores import VOLATILITY_FLOOR

DOWN, FLAT, UP = 0, 1, 2  # direction classes, the order of the network's logits
MISSING = -1  # direction class of a missing target
SPREAD_FLOOR = 1e-4  # added to spreads of about 0.1 to 1, so that those of 0 can be divided by


def huber_loss(price: Tensor, target: Tensor) -> Tensor:
    """Mean Huber loss with its corner at 1.

    Args:
        price: (dates, symbols), prediction, in units of σ√h.
        target: the same shape and unit; NaN where missing.

    Source: Huber (1964), Robust Estimation of a Location Parameter.
    """
    known, filled = _split(target)
    return _mean(F.huber_loss(price, filled, reduction="none"), known)


def information_loss(score: Tensor, target: Tensor, min_symbols: int = MIN_CROSS_SECTION) -> Tensor:
    """One minus the mean information coefficient: the correlation across symbols at each date.

    Args:
        score: (dates, symbols), any unit; only its order of magnitude within a date matters.
        target: (dates, symbols), what came true; NaN where missing.
        min_symbols: dates with fewer known targets are left out, as are dates whose targets are all
            equal.

    Returns:
        Scalar in [0, 2]; 0 without a gradient that moves anything when no date qualifies.
    """
    known, filled = _split(target)
    score, truth = _demeaned(score, known), _demeaned(filled, known)
    score_norm = (score.square().sum(dim=1) + SPREAD_FLOOR**2).sqrt()  # constant scores: no NaN
    truth_norm = truth.square().sum(dim=1).sqrt()
    enough = (known.sum(dim=1) >= min_symbols) & (truth_norm > 0)
    coefficient = (score * truth).sum(dim=1) / (score_norm * truth_norm.where(enough, _one(score)))
    return _mean(1 - coefficient, enough)


def direction_classes(target: Tensor, band: Tensor | float) -> Tensor:
    """DOWN, FLAT or UP by whether the target leaves the band, MISSING where it is NaN.

    Args:
        target: (dates, symbols), in units of σ√h.
        band: half width >= 0 of FLAT in the same unit, for all or for each; NaN makes it MISSING.

    Returns:
        (dates, symbols), int64.
    """
    width = torch.as_tensor(band, dtype=target.dtype, device=target.device)
    classes = FLAT + (target > width).long() - (target < -width).long()
    return classes.masked_fill(target.isnan() | width.isnan(), MISSING)


def direction_loss(logits: Tensor, classes: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the three directions.

    Args:
        logits: (dates, symbols, 3), of DOWN, FLAT, UP.
        classes: (dates, symbols), int64, from `direction_classes`; MISSING is left out.
        smoothing: probability spread evenly over all three classes, [0, 1).
    """
    known = classes != MISSING
    each = F.cross_entropy(
        logits.movedim(-1, 1), classes.clamp(min=0), reduction="none", label_smoothing=smoothing
    )
    return _mean(each, known)


def net_sharpe_loss(
    position: Tensor,
    log_return: Tensor,
    sigma: Tensor,
    cost: float,
    before: Tensor | None = None,
) -> Tensor:
    """Negative Sharpe ratio of the block's book over its dates, after the cost of turning it over.

    The book puts the same risk on each unit of position, position / σ of every symbol, and earns
    the mean over the date's symbols of weight × return - cost × |change of weight|.

    Args:
        position: (dates, symbols), asked for at each close, [-1, 1].
        log_return: (dates, symbols), log(O[t+2] / O[t+1]), what a position decided at t earns until
            the one decided at t + 1 replaces it; NaN where missing. The book then holds nothing of
            that symbol, and pays for leaving and entering like for any trade.
        sigma: (dates, symbols), > 0; NaN where missing, treated alike.
        cost: fraction of the traded notional paid per trade: 0.0015 is 15 basis points.
        before: (symbols,), position held when the block begins; None: none.

    Returns:
        Scalar, per bar (not annualised), standard deviation over dates with n in the denominator.
        Dates without a known return are left out; with fewer than two dates there is no ratio: 0.

    Source: Moody & Saffell (2001), Learning to Trade via Direct Reinforcement; Lim, Zohren &
    Roberts (2019), Enhancing Time-Series Momentum Strategies, arXiv:1904.04912.
    """
    known = torch.isfinite(log_return) & (sigma > 0)
    simple = torch.expm1(log_return.where(known, torch.zeros_like(log_return)))
    weight = position.where(known, torch.zeros_like(position)) / sigma.where(known, _one(sigma))
    start = torch.zeros_like(weight[:1])
    if before is not None:
        start = torch.where(known[:1], before / sigma[:1], start)
    change = weight - torch.cat([start, weight[:-1]])
    profit = (weight * simple - cost * change.abs()).sum(dim=1)
    dates = known.any(dim=1)
    book = (profit / known.sum(dim=1).clamp(min=1))[dates]  # (known dates)
    if len(book) < 2:
        return 0.0 * position.sum()
    return -book.mean() / (book.var(unbiased=False) + SPREAD_FLOOR**2).sqrt()


def volatility_loss(volatility: Tensor, realised: Tensor) -> Tensor:
    """Mean QLIKE: least when the forecast variance is the expected realised one.

    Args:
        volatility: (dates, symbols), > 0, forecast as a multiple of σ.
        realised: the same shape and unit; NaN where missing, below `VOLATILITY_FLOOR` taken as it.

    Returns:
        Scalar >= 0.

    Source: Patton (2011), Volatility Forecast Comparison Using Imperfect Volatility Proxies.
    """
    known, filled = _split(realised, fill=1.0)
    log_ratio = 2 * (filled.clamp(min=VOLATILITY_FLOOR).log() - volatility.log())
    return _mean(log_ratio.exp() - log_ratio - 1, known)


def risk_loss(logit: Tensor, happened: Tensor) -> Tensor:
    """Mean binary cross-entropy of an adverse excursion.

    Args:
        logit: (dates, symbols), log odds.
        happened: (dates, symbols), 1 if it came, 0 if not; NaN where missing.
    """
    known, filled = _split(happened)
    each = F.binary_cross_entropy_with_logits(logit, filled, reduction="none")
    return _mean(each, known)


def block_loss(
    outputs: Outputs,
    target: Callable[[str], Tensor],
    training: TrainingConfig,
    cost: float,
    before: Tensor | None = None,
) -> Tensor:
    """The weighted sum of all tasks on a block, scalar.

    Args:
        outputs: (dates, symbols) each, what the network says.
        target: gives what came true, by its name in `Samples`.
        cost: fraction of traded notional.
        before: (symbols,), position held when the block begins; None: none.
    """
    price, smoothing = target("price"), training.label_smoothing
    position, earned, sigma = outputs.position, target("next_return"), target("sigma")
    losses = {
        "price": huber_loss(outputs.price, price),
        "information": information_loss(outputs.price, price),
        "direction": direction_loss(outputs.direction_logits, target("direction"), smoothing),
        "position": net_sharpe_loss(position, earned, sigma, cost, before),
        "volatility": volatility_loss(outputs.volatility, target("volatility")),
        "risk": risk_loss(outputs.risk_logit, target("risk")),
    }
    return weighted_sum(losses, training.loss)


def weighted_sum(losses: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """The one number to minimise.

    Args:
        losses: a scalar for every field of `LossWeights`.
        weights: how much each counts.

    Raises:
        ValueError: a loss is missing, or has no weight.
    """
    factors = asdict(weights)
    if odd := sorted(factors.keys() ^ losses.keys()):
        raise ValueError(f"losses and weights must have the same names, {odd} are in one only")
    return torch.stack([factors[name] * loss for name, loss in losses.items()]).sum()


def _split(target: Tensor, fill: float = 0.0) -> tuple[Tensor, Tensor]:
    """Where the target is known, and the target with a number in the holes that nothing reads."""
    known = torch.isfinite(target)
    return known, target.masked_fill(~known, fill)


def _mean(each: Tensor, known: Tensor) -> Tensor:
    """Mean over the known entries, 0 when there are none; no gradient reaches the others."""
    return each.where(known, torch.zeros_like(each)).sum() / known.sum().clamp(min=1)


def _demeaned(values: Tensor, known: Tensor) -> Tensor:
    """Minus the mean of the known ones of each date, and 0 where unknown."""
    zero = torch.zeros_like(values)
    mean = values.where(known, zero).sum(dim=1) / known.sum(dim=1).clamp(min=1)
    return (values - mean.unsqueeze(1)).where(known, zero)


def _one(like: Tensor) -> Tensor:
    return torch.ones((), dtype=like.dtype, device=like.device)
