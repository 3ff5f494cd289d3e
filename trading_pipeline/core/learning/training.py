"""Training: one fold's networks, from the rows before it, deterministic by seed.

What a step draws (its blocks, the books they start from, its dropout) follows from (seed, step,
place of the block) alone. So a training that was killed goes on as if nothing had happened, and
processes that share the blocks of a step make the step of a single one: the loss of a step is the
mean over its blocks, of which a rank takes every `count`-th, and gradients are summed over ranks.
That is the same up to the order in which floating-point numbers are added.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import cos, isfinite, log, pi
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from trading_pipeline.core.learning.losses import block_loss
from trading_pipeline.core.learning.rivals.rival import Frequencies
from trading_pipeline.core.learning.samples import Samples, block_outputs
from trading_pipeline.core.learning.screening import Found, find_terms
from trading_pipeline.core.learning.validation import validation_information
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.learning.windows import Block, BlockSampler
from trading_pipeline.core.model.config import ModelConfig, TrainingConfig
from trading_pipeline.core.model.network import TradingNetwork, threads_for
from trading_pipeline.core.model.position import NotionalBook
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import TrainingError

_RARE = 1e-4  # what never happened may: log odds are finite
Saved = dict[str, Any]  # a run so far: plain types and tensors


class Moment(NamedTuple):
    """A step of a training, for whoever draws its curves."""

    seed: int
    step: int  # of the seed, 1 first
    loss: float  # mean over the blocks of the step
    learning_rate: float  # that the step was made with
    information: float | None  # validation information coefficient, where it was looked at


Record = Callable[[Moment], None]


def unrecorded(moment: Moment) -> None:
    """Nobody draws curves."""


class Ranks(Protocol):
    """Which of how many processes this is, and how they add up what each of them has."""

    rank: int  # 0 to count - 1
    count: int

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks."""
        ...


class Alone:
    """One process, which has everything."""

    rank, count = 0, 1

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Nothing to add."""


ALONE = Alone()


@dataclass(frozen=True)
class Look:
    """One look at validation during training."""

    step: int
    loss: float  # mean over the training blocks since the look before
    information: float  # validation information coefficient of the price head


class Start(NamedTuple):
    """Where a training begins, rather than at random: what closed form knows."""

    found: Found
    frequencies: Frequencies  # of directions and adverse excursions in training
    volatility: float  # root mean square of realised volatility, as a multiple of σ

    @classmethod
    def of(cls, samples: Samples, fold: Fold, config: ModelConfig, horizon: int) -> "Start":
        """From the rows that may be trained on; `samples` are on the CPU."""
        rows = slice(fold.train.first, fold.train.last + 1)
        usable = torch.from_numpy(samples.usable[rows])
        realised = samples.volatility[rows][usable].square().nanmean().sqrt()
        with threads_for(config):
            found = find_terms(samples, fold.train, config.n_steps, horizon, config.terms)
        return cls(
            found,
            Frequencies.of(samples, fold.train),
            float(realised.nan_to_num(nan=1.0).clamp(0.1, 10.0)),
        )

    def put(self, network: TradingNetwork) -> None:
        """Let an untrained network say this."""
        heads = network.answers
        network.terms.put(self.found.terms, self.found.weights)
        with torch.no_grad():
            directions, risk = torch.tensor(self.frequencies.direction), self.frequencies.risk
            heads.direction.bias.copy_(directions.clamp(min=_RARE).log())
            heads.risk.bias.copy_(torch.logit(torch.tensor([risk]), eps=_RARE))
            heads.volatility.bias.fill_(log(self.volatility))


class Run:
    """One seed's training: all that its next step depends on, so that it can stop and go on."""

    def __init__(
        self,
        model: ModelConfig,
        training: TrainingConfig,
        seed: int,
        device: torch.device,
        start: Start | None = None,
    ) -> None:
        self.training, self.seed = training, seed
        self.network = TradingNetwork(model, seed=seed)
        if start:
            start.put(self.network)
        self.network.to(device)
        self.optimizer = _optimizer(self.network, training)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, _rate(training))
        self.step = 0  # steps taken
        self.looks: list[Look] = []
        self.recent: list[float] = []  # losses since the last look
        self.rate = 0.0  # learning rate of the last step

    @property
    def information(self) -> float:
        """The newest validation information coefficient."""
        return self.looks[-1].information if self.looks else -np.inf

    @property
    def is_over(self) -> bool:
        """Whether the budget is used up."""
        return self.step >= self.training.steps

    def look(self, information: float) -> None:
        """Note what validation says; nothing is chosen by it, for its error is as large as it."""
        self.looks.append(Look(self.step, float(np.mean(self.recent)), information))
        self.recent = []

    def to_dict(self) -> Saved:
        """The run so far; `restore` of a new run of the same seed goes on from there."""
        return {
            "seed": self.seed,
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "looks": [asdict(look) for look in self.looks],
        }

    def restore(self, saved: Saved) -> None:
        """Go on from what `to_dict` said, at a look."""
        self.step = saved["step"]
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.last_epoch = saved["schedule"]["last_epoch"]
        self.looks = [Look(**look) for look in saved["looks"]]


def train_network(
    samples: Samples,
    fold: Fold,
    model: ModelConfig,
    training: TrainingConfig,
    cost: float,
    seed: int,
    start: Start | None = None,
    on_step: Advance = lambda done, total, note: None,
    saved: Saved | None = None,
    save: Callable[[Saved], None] = lambda saved: None,
    ranks: Ranks = ALONE,
    record: Record = unrecorded,
) -> tuple[TradingNetwork, list[Look]]:
    """Train one network for its budget of steps.

    Args:
        samples: on the device to train on.
        cost: fraction of traded notional, for the position loss.
        start: where to begin; None: at random, for a look at what the encoders find alone.
        on_step: called with (steps done, steps at most, note) after every step.
        saved: a run of this seed that was interrupted; its weights at the end are those of a run
            that was not.
        save: called after every look at validation with the run so far.
        ranks: the processes that share the work; each ends with the same weights.
        record: called after every step with its loss and rate, for curves.

    Raises:
        TrainingError: the loss or a gradient is not finite, or there is nothing to learn from.
    """
    device = samples.grid.device
    run = Run(model, training, seed, device, start)
    if ranks.count > training.blocks:
        raise TrainingError(
            f"{ranks.count} processes cannot share {training.blocks} blocks of a step: a rank "
            "takes whole ones. Start fewer processes, or choose a preset with more blocks"
        )
    if start:
        _begin_alike(run.network, ranks)
    if saved:
        run.restore(saved)
    sampler = sampler_of(samples, fold, training)
    forked = [device] if device.type == "cuda" else []
    # Dropout draws from the global generators, which are given back as they were.
    with torch.random.fork_rng(devices=forked), threads_for(model):
        while not run.is_over:
            run.step += 1
            _take_step(run, samples, sampler, cost, ranks)
            loss, information = run.recent[-1], None
            note = f"loss {loss:.3f}"
            if run.step % training.evaluate_every == 0 or run.step == training.steps:
                information = validation_information(run.network, samples, fold.validation)
                run.look(information)
                save(run.to_dict())
                note = f"price head on validation {information:+.3f}"
            record(Moment(seed, run.step, loss, run.rate, information))
            on_step(run.step, training.steps, note)
    on_step(training.steps, training.steps, f"price head on validation {run.information:+.3f}")
    return run.network.eval(), run.looks


def _begin_alike(network: TradingNetwork, ranks: Ranks) -> None:
    """All ranks begin as the first does: on another processor the closed form may end in other
    bits, and only gradients are shared from here on."""
    state = list(network.state_dict().values())
    if ranks.rank > 0:
        for each in state:
            each.zero_()
    ranks.sum(state)


def sampler_of(samples: Samples, fold: Fold, training: TrainingConfig) -> BlockSampler:
    """What draws the blocks of a fold's training; its leakage check asks the same one."""
    return BlockSampler(
        samples.usable, fold.train, training.windows, training.min_dates, training.symbols
    )


def _take_step(
    run: Run, samples: Samples, sampler: BlockSampler, cost: float, ranks: Ranks
) -> None:
    """One step of the optimizer, on the mean loss of the step's blocks, shared out to the ranks."""
    run.network.train()
    run.optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=samples.grid.device)
    for place in range(ranks.rank, run.training.blocks, ranks.count):
        block = sampler.block(run.seed, run.step, place)
        key = _seed_of(run.seed, run.step, place)
        book = NotionalBook.drawn(len(block.symbols), torch.Generator().manual_seed(key))
        torch.manual_seed(key)
        outputs = block_outputs(
            run.network, samples, block, run.training.precision, book.to(total.device)
        )
        target = partial(samples.of_block, block=block)
        # A network that cannot see what is held must not pay for leaving it.
        before = book.weight.to(total.device) if run.network.config.position_state else None
        loss = block_loss(outputs, target, run.training, cost, before) / run.training.blocks
        penalised = loss + _feature_penalty(run) / run.training.blocks
        penalised.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
        if not isfinite(loss.item()):
            raise TrainingError(_diverged(run, samples, block, f"the loss became {loss.item()}"))
    parameters = list(run.network.parameters())
    ranks.sum([total, *_gradients(parameters)])
    norm = float(nn.utils.clip_grad_norm_(parameters, run.training.clip))
    if not isfinite(norm):
        raise TrainingError(_diverged(run, samples, block, f"the gradient became {norm}"))
    run.rate = float(run.optimizer.param_groups[0]["lr"])
    run.optimizer.step()
    run.schedule.step()
    run.recent.append(total.item())


def _optimizer(network: TradingNetwork, training: TrainingConfig) -> torch.optim.AdamW:
    """Matrices decay towards 0. Biases, norms and ages do not: 0 is no simpler for them, and those
    that the training starts from would be forgotten."""
    matrices, others = list[nn.Parameter](), list[nn.Parameter]()
    for name, each in network.named_parameters():
        (matrices if each.dim() > 1 and not name.endswith("age") else others).append(each)
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": training.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=training.learning_rate,
        fused=True,  # one call instead of a dozen for every weight
    )


def _feature_penalty(run: Run) -> Tensor:
    """Group lasso on what each encoder takes of each feature, scalar; it rises with the steps.

    Of sixty features few matter to a product; without it the others' noise is learned with it. From
    the first step on it would take the few away before it is known which they are.
    Source: Scardapane et al. (2017), Group Sparse Regularization for Deep Neural Networks.
    """
    inputs = (run.network.xlstm.input.weight, run.network.transformer.input.weight)
    norms = torch.stack([weight.norm(dim=0).sum() for weight in inputs])
    return run.step / run.training.steps * run.training.feature_penalty * norms.sum()


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    """The gradient of every parameter; 0 where the blocks of this rank did not reach one."""
    for each in parameters:
        if each.grad is None:
            each.grad = torch.zeros_like(each)
    return [each.grad for each in parameters if each.grad is not None]


def _seed_of(*key: int) -> int:
    """A seed for torch that differs for every key."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


def _diverged(run: Run, samples: Samples, block: Block, what: str) -> str:
    """Which batch it was, and which feature of it is the likeliest culprit."""
    first, last = (samples.timestamps[row] for row in (block.dates.start, block.dates.stop - 1))
    rows = slice(block.dates.start - run.network.config.n_steps + 1, block.dates.stop)
    seen = samples.grid[rows][:, block.symbols].abs()
    # A value that is not a number is larger than any that is.
    row, symbol, feature = np.unravel_index(
        int(seen.nan_to_num(nan=torch.inf).argmax()), tuple(seen.shape)
    )
    value = float(seen[row, symbol, feature])
    shown = [samples.symbols[n] for n in block.symbols[:5]]
    more = ", ..." if len(block.symbols) > len(shown) else ""
    return (
        f"seed {run.seed}, step {run.step}: {what} on the batch of {first:%Y-%m-%d %H:%M} to "
        f"{last:%Y-%m-%d %H:%M} ({len(block.symbols)} symbols: {', '.join(shown)}{more}). Its most "
        f"extreme input is feature {samples.features[feature]} of "
        f"{samples.symbols[block.symbols[symbol]]} at "
        f"{samples.timestamps[rows.start + row]:%Y-%m-%d %H:%M}: {value:.6g} standard deviations. "
        "If that is not a number, look at these bars; else lower the learning rate"
    )


def _rate(training: TrainingConfig) -> Callable[[int], float]:
    """Linear rise over the warm-up, then half a cosine down to a twentieth of the peak."""

    def factor(step: int) -> float:
        if step < training.warmup:
            return (step + 1) / training.warmup
        done = (step - training.warmup) / max(1, training.steps - training.warmup)
        return 0.05 + 0.95 * 0.5 * (1 + cos(pi * min(1.0, done)))

    return factor
