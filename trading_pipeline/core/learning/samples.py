"""Samples: a dataset as tensors, and what a network says about a part of it.

Letters: L consecutive dates and K symbols of a block, N symbols, S steps, F features, D channels.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.learning.windows import Block, stretches_of, windows_of
from trading_pipeline.core.model.heads import Outputs
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import NotionalBook, advance

ENCODED_AT_ONCE = 512  # windows; 60 bars of 60 features each make 7 MB


@dataclass(frozen=True)
class Samples:
    """A dataset as tensors, scaled by the training window."""

    grid: Tensor  # (T, N, F), finite
    usable: NDArray[np.bool_]  # (T, N): eligible, and the price target is known
    price: Tensor  # (T, N) each, NaN where unknown
    direction: Tensor
    next_return: Tensor
    next_residual: Tensor
    volatility: Tensor
    risk: Tensor
    overnight: Tensor
    intraday: Tensor
    sigma: Tensor
    timestamps: pd.DatetimeIndex  # T, and the names of the other two axes, for messages
    symbols: tuple[str, ...]
    features: tuple[str, ...]

    @classmethod
    def of(cls, data: Dataset, targets: Targets, scaler: Scaler) -> "Samples":
        """From arrays; nothing is copied twice."""

        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values.astype(np.float32))

        return cls(
            grid=torch.from_numpy(scaler.apply(data.grid)),
            usable=data.eligible & np.isfinite(targets.price),
            price=tensor(targets.price),
            direction=torch.from_numpy(targets.direction),
            next_return=tensor(targets.next_return),
            next_residual=tensor(targets.next_residual),
            volatility=tensor(targets.volatility),
            risk=tensor(targets.risk),
            overnight=tensor(data.overnight),
            intraday=tensor(data.intraday),
            sigma=tensor(data.sigma),
            timestamps=data.panel.timestamps,
            symbols=data.panel.symbols,
            features=NAMES,
        )

    def to(self, device: torch.device) -> "Samples":
        """The same on another device; `usable` stays, since blocks are drawn on the CPU."""
        moved = {name: each.to(device) for name, each in vars(self).items() if _is_tensor(each)}
        return replace(self, **moved)

    def targets_on(self, rows: Rows) -> NDArray[np.float64]:
        """The price target on consecutive dates, (L, N); NaN where it may not be learned from."""
        dates = slice(rows.first, rows.last + 1)
        target = self.price[dates].double().cpu().numpy()
        return np.where(self.usable[dates], target, np.nan)

    def of_block(self, name: str, block: Block) -> Tensor:
        """One of the (T, N) tensors on a block: (L, K), unknown where the symbol is not usable."""
        values: Tensor = getattr(self, name)[block.dates][:, block.symbols]
        if name in ("overnight", "intraday", "sigma"):
            return values
        known = torch.from_numpy(self.usable[block.dates][:, block.symbols]).to(values.device)
        missing = -1 if name == "direction" else float("nan")
        return torch.where(known, values, torch.full_like(values, missing))


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def block_outputs(
    network: TradingNetwork,
    samples: Samples,
    block: Block,
    precision: str = "float32",
    book: NotionalBook | None = None,
) -> Outputs:
    """The answers on a block, (L, K) or (L, K, 3); each date's book follows from the one before.

    `book` is that of its first date; None: flat.
    `precision` is that of the matrix products of the encoders; memories, heads and losses are
    always float32.
    """
    stretches = stretches_of(samples.grid, block, network.config.n_steps)
    half = precision == "bfloat16"
    with torch.autocast(stretches.device.type, torch.bfloat16, enabled=half):
        encoded = _encode(network, stretches, block.dates.stop - block.dates.start)
    return walk(network, samples, block, encoded.transpose(0, 1).float(), book)


def _encode(network: TradingNetwork, stretches: Tensor, last: int) -> Tensor:
    """Encodings of the `last` bars of stretches (K, S - 1 + L, F), with gradients.

    A large block keeps nothing of its parts but their encodings, in memory for the bars of
    `ENCODED_AT_ONCE` windows; the backward pass encodes each part once more, with the same dropout.
    """
    at_once = max(1, ENCODED_AT_ONCE * network.config.n_steps // stretches.shape[1])
    if len(stretches) <= at_once:
        return network.encode_each(stretches, last)
    parts = [
        checkpoint(network.encode_each, part, last, use_reentrant=False)
        for part in torch.split(stretches, at_once)
    ]
    return torch.cat(parts)


def walk(
    network: TradingNetwork,
    samples: Samples,
    block: Block,
    encoded: Tensor,
    book: NotionalBook | None = None,
) -> Outputs:
    """The heads date by date: (L, K, D) encodings to answers (L, K), as predictions are made.

    `book` is that of the first date; None: flat.
    """
    if not network.config.position_state:  # no date's answers depend on those of another
        whole = network.heads(encoded.flatten(0, 1), encoded.new_empty(0))
        return Outputs(*(each.view(*encoded.shape[:2], *each.shape[1:]) for each in whole))
    overnight, intraday, sigma = (
        samples.of_block(name, block) for name in ("overnight", "intraday", "sigma")
    )
    usable = torch.from_numpy(samples.usable[block.dates][:, block.symbols]).to(encoded.device)
    book = book or NotionalBook.empty(encoded.shape[1], encoded.device)
    answers: list[Outputs] = []
    for date in range(len(encoded)):
        if date:
            asked = torch.where(usable[date - 1], answers[-1].position, 0.0)
            book = advance(book, asked, overnight[date], intraday[date], sigma[date - 1])
        answers.append(network.heads(encoded[date], book.features()))
    return Outputs(*(torch.stack(each) for each in zip(*answers, strict=True)))


def encode_dates(network: TradingNetwork, samples: Samples, dates: NDArray[np.int64]) -> Tensor:
    """Encodings of all symbols on these dates, (L, N, D), without gradients, a few at a time."""
    width = samples.usable.shape[1]
    count = max(1, ENCODED_AT_ONCE // width)
    with torch.inference_mode():
        parts = []
        for chunk in np.split(dates, range(count, len(dates), count)):
            windows = torch.cat(
                [
                    windows_of(samples.grid, slice(date, date + 1), None, network.config.n_steps)
                    for date in chunk.tolist()
                ]
            )
            encoded = network.encode(windows.flatten(0, 1))
            parts.append(encoded.view(len(chunk), width, -1))
        return torch.cat(parts)
