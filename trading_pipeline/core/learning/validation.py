"""Validation: how well a network orders symbols that it was not trained on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trading_pipeline.core.learning.samples import Samples, encode_dates
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.long_run import mean_and_reach
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import NotionalBook, advance
from trading_pipeline.errors import TrainingError

VALIDATION = "validation IC of the scores"  # the one number, by one name
VALIDATION_WINDOWS = 2048  # looked at each time, for the curve; calibration looks at all


def validation_information(network: TradingNetwork, samples: Samples, rows: Rows) -> float:
    """Information coefficient of the price head on evenly spread dates, with books as they come.

    Between two of these dates the notional book goes on through every bar with what was asked last,
    so that what is seen is of books as old as those that predictions are made with.

    Raises:
        TrainingError: the network answers with something that is no number.
    """
    per_date = max(1, int(samples.usable[rows.first : rows.last + 1].sum(axis=1).max(initial=1)))
    count = min(len(rows), max(2, VALIDATION_WINDOWS // per_date))
    chosen = np.unique(np.linspace(rows.first, rows.last, count).round().astype(int))
    network.eval()
    with torch.inference_mode():
        price = _prices(network, samples, chosen).cpu().numpy()
    if len(broken := np.argwhere(~np.isfinite(price))):
        date, symbol = broken[0]
        raise TrainingError(
            f"the network answers {price[date, symbol]} for {samples.symbols[symbol]} at "
            f"{samples.timestamps[chosen[date]]:%Y-%m-%d %H:%M}, a date of validation, though its "
            "loss was a number: the training diverged; lower the learning rate"
        )
    target = np.where(samples.usable, samples.price.cpu().numpy(), np.nan)[chosen]
    return pearson_information_coefficient(price, target)


def _prices(network: TradingNetwork, samples: Samples, dates: NDArray[np.int64]) -> Tensor:
    """The price head on increasing dates, (L, N), from a flat book at the first one on."""
    encoded = encode_dates(network, samples, dates)
    book, asked = NotionalBook.empty(encoded.shape[1], encoded.device), encoded.new_zeros(())
    usable, prices = torch.from_numpy(samples.usable).to(encoded.device), []
    last = int(dates[0])
    for place, date in enumerate(dates.tolist()):
        for row in range(last + 1, date + 1):
            moves = samples.overnight[row], samples.intraday[row], samples.sigma[row - 1]
            book = advance(book, asked, *moves)
        answers = network.heads(encoded[place], book.features())
        prices.append(answers.price)
        asked, last = torch.where(usable[date], answers.position, 0.0), date
    return torch.stack(prices)


def pearson_information_coefficient(
    score: NDArray[np.float64], target: NDArray[np.float64]
) -> float:
    """Mean over dates of the correlation across symbols; pooled below eight symbols a date.

    Both (L, N), NaN where unknown. 0.0 where nothing can be correlated.
    """
    by_date = coefficients_by_date(score, target)
    if np.isfinite(by_date).any():
        return float(np.mean(by_date[np.isfinite(by_date)]))
    known = np.isfinite(score) & np.isfinite(target)
    return _correlation(score[known], target[known])


def validation_of(metrics: Mapping[str, Any], horizon: int) -> tuple[float, float, float]:
    """The information coefficient of a fold: that of the scores on all dates of its validation.

    Value, and the ends of its 95 % interval; these are NaN where fewer than 20 dates have eight
    symbols, and the value is of all symbols and dates together.

    Args:
        metrics: of a checkpoint. horizon: bars that a target reaches over.
    """
    by_date = np.asarray(metrics["validation_coefficients"], dtype=np.float64)
    _, reach = mean_and_reach(by_date, horizon)
    value = float(metrics["validation_information"])
    return value, float(np.maximum(value - reach, -1.0)), float(np.minimum(value + reach, 1.0))


def validation_text(metrics: Mapping[str, Any], horizon: int) -> str:
    """'validation IC of the scores +0.013 [-0.020, +0.046]', wherever a fold is told of."""
    value, low, high = validation_of(metrics, horizon)
    ends = f" [{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else ", without an interval"
    return f"{VALIDATION} {value:+.3f}{ends}"


def coefficients_by_date(
    score: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The correlation across symbols at each date, (L,); NaN below eight symbols.

    Both (L, N), NaN where unknown. 0.0 where nothing can be correlated.
    """
    known = np.isfinite(score) & np.isfinite(target)
    found = np.full(len(score), np.nan)
    for t in np.flatnonzero(known.sum(axis=1) >= MIN_CROSS_SECTION):
        found[t] = _correlation(score[t][known[t]], target[t][known[t]])
    return found


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if len(x) < 2 or x.std() < 1e-12 or y.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])
