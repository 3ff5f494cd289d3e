"""Training: one fold's networks, from the rows before it, deterministic by seed.

Letters: L consecutive dates and K symbols of a block, N symbols, S steps, F features, D channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trading_pipeline.core.learning import losses
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.scaling import Scaler
from trading_pipeline.core.learning.targets import MIN_CROSS_SECTION, Targets
from trading_pipeline.core.learning.threads import threads_for
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.learning.windows import Block, BlockSampler, windows_of
from trading_pipeline.core.model.config import ModelConfig, TrainingConfig
from trading_pipeline.core.model.heads import Outputs
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import NotionalBook, advance
from trading_pipeline.errors import TrainingError

VALIDATION_WINDOWS = 512  # looked at each time; the blend is chosen on all of them
ENCODED_AT_ONCE = 512  # windows; 60 bars of 60 features each make 7 MB

OnStep = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Look:
    """One look at validation during training."""

    step: int
    loss: float  # mean over the training blocks since the look before
    information: float  # validation information coefficient of the price head


@dataclass(frozen=True)
class Samples:
    """A dataset as tensors, scaled by the training window."""

    grid: Tensor  # (T, N, F), finite
    usable: NDArray[np.bool_]  # (T, N): eligible, and the price target is known
    price: Tensor  # (T, N) each, NaN where unknown
    direction: Tensor
    next_return: Tensor
    volatility: Tensor
    risk: Tensor
    overnight: Tensor
    intraday: Tensor
    sigma: Tensor

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
            volatility=tensor(targets.volatility),
            risk=tensor(targets.risk),
            overnight=tensor(data.overnight),
            intraday=tensor(data.intraday),
            sigma=tensor(data.sigma),
        )

    def of_block(self, name: str, block: Block) -> Tensor:
        """One of the (T, N) tensors on a block: (L, K), unknown where the symbol is not usable."""
        values: Tensor = getattr(self, name)[block.dates][:, block.symbols]
        if name in ("overnight", "intraday", "sigma"):
            return values
        known = torch.from_numpy(self.usable[block.dates][:, block.symbols])
        missing = -1 if name == "direction" else float("nan")
        return torch.where(known, values, torch.full_like(values, missing))


def train_network(
    samples: Samples,
    fold: Fold,
    model: ModelConfig,
    training: TrainingConfig,
    cost: float,
    seed: int,
    on_step: OnStep = lambda done, total, note: None,
) -> tuple[TradingNetwork, list[Look]]:
    """Train one network and keep the weights that did best on validation.

    Args:
        cost: fraction of traded notional, for the position loss.
        on_step: called with (steps done, steps at most, note) after every step.

    Raises:
        TrainingError: the loss is not finite, or there is nothing to learn from.
    """
    network = TradingNetwork(model, seed=seed)
    sampler = BlockSampler(
        samples.usable, fold.train, training.windows, np.random.default_rng(seed)
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(training))
    best, looks, recent = _Best(training.patience), [], []
    with torch.random.fork_rng(devices=[]), threads_for(model):  # dropout draws from the global one
        torch.manual_seed(seed)
        for step, block in zip(range(1, training.steps + 1), sampler, strict=False):
            network.train()
            recent.append(_take_step(network, samples, block, training, cost, optimizer))
            schedule.step()
            if step % training.evaluate_every == 0 or step == training.steps:
                information = validation_information(network, samples, fold.validation)
                looks.append(Look(step, float(np.mean(recent)), information))
                recent = []
                if best.is_over(network, information):
                    break
            note = f"loss {recent[-1]:.3f}" if recent else f"validation IC {information:+.3f}"
            on_step(step, training.steps, note)
    on_step(training.steps, training.steps, f"validation IC {best.information:+.3f}")
    network.load_state_dict(best.state)
    return network.eval(), looks


def block_outputs(network: TradingNetwork, samples: Samples, block: Block) -> Outputs:
    """The answers on a block, (L, K) or (L, K, 3); each date's book follows from the one before."""
    windows = windows_of(samples.grid, block.dates, block.symbols, network.config.n_steps)
    length, width = windows.shape[:2]
    encoded = network.encode(windows.flatten(0, 1)).view(length, width, -1)
    return walk(network, samples, block, encoded)


def walk(network: TradingNetwork, samples: Samples, block: Block, encoded: Tensor) -> Outputs:
    """The heads date by date, from a flat book on: (L, K, D) encodings to answers (L, K)."""
    overnight, intraday, sigma = (
        samples.of_block(name, block) for name in ("overnight", "intraday", "sigma")
    )
    book = NotionalBook.empty(encoded.shape[1])
    answers: list[Outputs] = []
    for date in range(len(encoded)):
        if date:
            moves = overnight[date], intraday[date], sigma[date - 1]
            book = advance(book, answers[-1].position, *moves)
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


def validation_information(network: TradingNetwork, samples: Samples, rows: Rows) -> float:
    """Information coefficient of the price head with empty books, on evenly spread dates."""
    per_date = max(1, int(samples.usable[rows.first : rows.last + 1].sum(axis=1).max(initial=1)))
    count = min(len(rows), max(2, VALIDATION_WINDOWS // per_date))
    chosen = np.unique(np.linspace(rows.first, rows.last, count).round().astype(int))
    network.eval()
    with torch.inference_mode():
        encoded = encode_dates(network, samples, chosen).flatten(0, 1)
        empty = NotionalBook.empty(len(encoded)).features()
        price = network.heads(encoded, empty).price.view(len(chosen), -1).numpy()
    target = np.where(samples.usable, samples.price.numpy(), np.nan)[chosen]
    return information_coefficient(price, target)


def information_coefficient(score: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Mean over dates of the correlation across symbols; pooled below eight symbols a date.

    Both (L, N), NaN where unknown. 0.0 where nothing can be correlated.
    """
    known = np.isfinite(score) & np.isfinite(target)
    wide = known.sum(axis=1) >= MIN_CROSS_SECTION
    if wide.any():
        dates = [
            _correlation(score[t][known[t]], target[t][known[t]]) for t in np.flatnonzero(wide)
        ]
        return float(np.mean(dates))
    return _correlation(score[known], target[known])


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if len(x) < 2 or x.std() < 1e-12 or y.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def _take_step(
    network: TradingNetwork,
    samples: Samples,
    block: Block,
    training: TrainingConfig,
    cost: float,
    optimizer: torch.optim.Optimizer,
) -> float:
    outputs = block_outputs(network, samples, block)
    loss = block_loss(outputs, samples, block, training, cost)
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss became {loss.item()} on rows {block.dates.start} to {block.dates.stop - 1}; "
            "lower the learning rate, or look at the features of these dates"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), training.clip)
    optimizer.step()
    return float(loss.item())


def block_loss(
    outputs: Outputs, samples: Samples, block: Block, training: TrainingConfig, cost: float
) -> Tensor:
    """The weighted sum of all five tasks on a block, scalar."""
    price, log_return = samples.of_block("price", block), samples.of_block("next_return", block)
    parts = {
        "price": losses.huber_loss(outputs.price, price),
        "information": losses.information_loss(outputs.price, price),
        "direction": losses.direction_loss(
            outputs.direction_logits,
            samples.of_block("direction", block),
            training.label_smoothing,
        ),
        "position": losses.net_sharpe_loss(
            outputs.position, log_return, samples.of_block("sigma", block), cost
        ),
        "volatility": losses.volatility_loss(
            outputs.volatility, samples.of_block("volatility", block)
        ),
        "risk": losses.risk_loss(outputs.risk_logit, samples.of_block("risk", block)),
    }
    return losses.weighted_sum(parts, training.loss)


def _rate(training: TrainingConfig) -> Callable[[int], float]:
    """Linear rise over the warm-up, then half a cosine down to a twentieth of the peak."""

    def factor(step: int) -> float:
        if step < training.warmup:
            return (step + 1) / training.warmup
        done = (step - training.warmup) / max(1, training.steps - training.warmup)
        return 0.05 + 0.95 * 0.5 * (1 + cos(pi * min(1.0, done)))

    return factor


class _Best:
    """The best weights so far, and whether patience has run out."""

    def __init__(self, patience: int) -> None:
        self.patience, self.worse = patience, 0
        self.information = -np.inf
        self.state: dict[str, Tensor] = {}

    def is_over(self, network: TradingNetwork, information: float) -> bool:
        if information > self.information or not self.state:
            self.information, self.worse = information, 0
            self.state = {name: each.clone() for name, each in network.state_dict().items()}
        else:
            self.worse += 1
        return self.worse >= self.patience
