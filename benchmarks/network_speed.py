"""How fast the network learns, as ratios to what everyone knows, and how much memory it takes.

    python benchmarks/network_speed.py [--threads 1] [--laps 3] [--parts recurrence network ...]

recurrence  two sLSTM layers of 512 channels beside torch's `nn.LSTM` of the same size, with four
            heads and with one, and beside NX-AI's own `xlstm` (its `vanilla` backend, where it is
            installed): 64 windows of 60 bars, forward and backward
network     a training step of each preset on a block of 60 dates: where its time goes, the windows
            and GFLOP a second beside a matrix product's, beside an `nn.LSTM` of the same width on
            the same bars, and beside the same windows encoded one by one
memory      what training `small` on 500 symbols of 1,260 bars takes, beside the data
compile     only when asked for: the Transformer encoder of each preset beside itself under
            `torch.compile`, and how long that takes to compile. Measured on one thread of a CPU:
            0.9 to 1.1 times the speed, after 30 to 90 s. So nothing is compiled.

CPU time of the process is what counts (a shared machine stretches the clock); the best of several
laps is taken, and laps alternate, so that what is compared meets the same neighbours.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.losses import block_loss
from trading_pipeline.core.learning.samples import Samples, block_outputs, walk
from trading_pipeline.core.learning.training import Run, train_network
from trading_pipeline.core.learning.walkforward import fold_rows
from trading_pipeline.core.learning.windows import Block, stretches_of, windows_of
from trading_pipeline.core.model.config import ModelConfig, TrainingConfig
from trading_pipeline.core.model.heads import Outputs
from trading_pipeline.core.model.transformer import TransformerEncoder
from trading_pipeline.core.model.xlstm import SLSTMLayer

WINDOWS, BARS, HIDDEN, LAYERS, KERNEL = 64, 60, 512, 2, 4
PARTS = ("recurrence", "network", "memory")
ON_REQUEST = ("compile",)
SYMBOLS, DAYS = 500, 1260
CROSS_SECTIONS = {
    "tiny": 16,
    "small": 16,
    "full": 4,
}  # symbols of a block; a CPU bears few of `full`

Step = Callable[[], None]


def lap(step: Step) -> float:
    """CPU seconds of one step, all threads together."""
    start = time.process_time()
    step()
    return time.process_time() - start


def best_of(laps: int, *steps: Step) -> list[float]:
    """The best lap of each step, taken in turns, after a warm-up of one."""
    rounds = [[lap(step) for step in steps] for _ in range(laps + 1)]
    return [min(times) for times in zip(*rounds[1:], strict=True)]


def step_of(module: nn.Module, *shape: int) -> Step:
    """Forward and backward of a module whose answer, or the first of its answers, is a tensor."""
    x, upstream = torch.randn(shape), None

    def step() -> None:
        nonlocal upstream
        module.zero_grad()
        out = module(x.clone().requires_grad_())
        first: Tensor = out[0] if isinstance(out, tuple) else out
        upstream = torch.randn_like(first) if upstream is None else upstream
        first.backward(upstream)

    return step


class Stack(nn.Module):
    """Our sLSTM layers one after the other, without the feed-forward between them."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SLSTMLayer(HIDDEN, heads, KERNEL) for _ in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)[0]
        return x


def published(heads: int) -> nn.Module | None:
    """The same layers of NX-AI's package, if it is installed."""
    try:
        from xlstm.blocks.slstm.layer import sLSTMLayer, sLSTMLayerConfig
    except ImportError:
        return None
    config = sLSTMLayerConfig(
        embedding_dim=HIDDEN,
        num_heads=heads,
        conv1d_kernel_size=KERNEL,
        backend="vanilla",
        dtype="float32",
        dropout=0.0,
    )
    return nn.Sequential(*(sLSTMLayer(config) for _ in range(LAYERS)))


def recurrence(laps: int) -> None:
    shape = WINDOWS, BARS, HIDDEN
    lstm = step_of(nn.LSTM(HIDDEN, HIDDEN, LAYERS, batch_first=True), *shape)
    four, one, torchs = best_of(laps, step_of(Stack(4), *shape), step_of(Stack(1), *shape), lstm)
    print(f"sLSTM {LAYERS} x {HIDDEN}, {WINDOWS} windows of {BARS} bars, forward and backward:")
    print(f"  nn.LSTM         {torchs:7.2f} s")
    print(f"  ours, 4 heads   {four:7.2f} s   {torchs / four:5.2f} x the speed of nn.LSTM")
    print(f"  ours, 1 head    {one:7.2f} s   {torchs / one:5.2f} x the speed of nn.LSTM")
    if reference := published(4):
        theirs = lap(step_of(reference, *shape))
        print(f"  NX-AI vanilla   {theirs:7.2f} s   ours, 4 heads: {theirs / four:.1f} x as fast")


class Part(NamedTuple):
    """A box of the network, or what follows it, and what it reads."""

    name: str
    call: Callable[..., Tensor | None]
    inputs: tuple[Tensor, ...]


class Learner:
    """A preset's training on a block of noise: `symbols` of 60 dates."""

    def __init__(self, preset: str, symbols: int) -> None:
        self.preset, self.training = preset, TrainingConfig.preset(preset, blocks=1)
        self.run = Run(ModelConfig.preset(preset), self.training, 0, torch.device("cpu"))
        self.samples = noise_samples(symbols, 2 * BARS)
        self.block = Block(slice(BARS, 2 * BARS), np.arange(symbols))
        self.bars = stretches_of(self.samples.grid, self.block, BARS)
        self.windows = BARS * symbols

    def step(self) -> None:
        """What training does on a block."""
        self.learn(block_outputs(self.run.network, self.samples, self.block))

    def step_of_windows(self) -> None:
        """The same, but each window is encoded by itself."""
        windows = windows_of(self.samples.grid, self.block.dates, self.block.symbols, BARS)
        encoded = self.run.network.encode(windows.flatten(0, 1)).unflatten(0, (BARS, -1))
        self.learn(walk(self.run.network, self.samples, self.block, encoded))

    def learn(self, outputs: Outputs) -> None:
        self.run.optimizer.zero_grad()
        self.loss(outputs).backward()
        self.optimize()

    def loss(self, outputs: Outputs) -> Tensor:
        target = partial(self.samples.of_block, block=self.block)
        return block_loss(outputs, target, self.training, cost=0.001)

    def optimize(self) -> None:
        nn.utils.clip_grad_norm_(self.run.network.parameters(), self.training.clip)
        self.run.optimizer.step()

    def lstm(self) -> Step:
        """An `nn.LSTM` as wide and as deep as the xLSTM, on the same bars."""
        config = self.run.network.config
        lstm = nn.LSTM(config.n_features, config.xlstm_width, config.xlstm_layers, batch_first=True)
        return step_of(lstm, *self.bars.shape)

    def parts(self) -> list[Part]:
        """The boxes of a step, each with what the boxes before it say."""
        network, bars = self.run.network, self.bars
        views = network.xlstm(bars), network.transformer(bars)
        fused, encoded = network.branch_fusion(*views)[0], network.encode_each(bars, BARS)

        def answers(encoded: Tensor) -> Tensor:
            by_date = encoded.transpose(0, 1)
            return self.loss(walk(network, self.samples, self.block, by_date))

        return [
            Part("xLSTM", network.xlstm, (bars,)),
            Part("Transformer", network.transformer, (bars,)),
            Part("branch fusion", lambda *views: network.branch_fusion(*views)[0], views),
            Part("temporal fusion", lambda x: network.temporal_fusion(x, BARS)[0], (fused,)),
            Part("terms", lambda x: network.terms(x, BARS), (bars,)),
            Part("heads, losses", answers, (encoded,)),
            Part("clip, optimizer", self.optimize, ()),
        ]


def halves(part: Part) -> tuple[float, float]:
    """CPU seconds of a part forward, and backward where it learns."""
    inputs = [each.detach().requires_grad_(each.requires_grad) for each in part.inputs]
    began = time.process_time()
    out = part.call(*inputs)
    forward = time.process_time() - began
    if out is None or not out.requires_grad:
        return forward, 0.0
    upstream = torch.ones_like(out)
    return forward, lap(lambda: out.backward(upstream))


def network(laps: int) -> None:
    size = 1024
    a, b = torch.randn(size, size), torch.randn(size, size)
    [product] = best_of(laps, lambda: [a @ b for _ in range(8)] and None)
    peak = 8 * 2 * size**3 / product / 1e9
    print(f"Matrix products of {size} x {size}: {peak:.1f} GFLOP/s")
    for preset, symbols in CROSS_SECTIONS.items():
        profile(Learner(preset, symbols), laps if preset == "full" else 5 * laps, peak)


def profile(learner: Learner, laps: int, peak: float) -> None:
    """Print where a step's time goes, and what it is beside what everyone knows."""
    rounds = [[halves(part) for part in learner.parts()] for _ in range(laps + 1)][1:]
    best = np.array(rounds).min(axis=0)  # (parts, 2)
    step, lstm = best_of(laps, learner.step, learner.lstm())
    [single] = best_of(1, learner.step_of_windows)
    work = flops(learner.step) / 1e9
    print(f"{learner.preset}: {learner.windows} windows, {1e3 * step:.0f} ms a step")
    names = [part.name for part in learner.parts()]
    for name, (forward, backward) in zip(names, best, strict=True):
        share = (forward + backward) / step
        print(f"  {name:16} {1e3 * forward:7.1f} + {1e3 * backward:7.1f} ms {share:5.0%}")
    print(f"  {'all else':16} {1e3 * (step - best.sum()):17.1f} ms {1 - best.sum() / step:5.0%}")
    print(
        f"  {learner.windows / step:.0f} windows/s, {work / step:.1f} GFLOP/s = "
        f"{work / step / peak:.0%} of the matrix product's, {step / lstm:.1f} x an nn.LSTM alone, "
        f"{single / step:.1f} x as fast as windows one by one"
    )


def flops(step: Step) -> int:
    """Floating-point operations of the matrix products of a step; the others are not counted."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def memory(laps: int) -> None:
    """In a process of its own, whose peak is not that of the other parts."""
    subprocess.run([sys.executable, __file__, "--training", str(laps)], check=True)


def training(steps: int) -> None:
    """Train on noise of that size, through the real training loop, and say what it took."""
    samples = noise_samples(SYMBOLS, DAYS)
    before = peak_bytes()
    budget = TrainingConfig.preset("small", steps=steps, warmup=1, evaluate_every=steps)
    fold = fold_rows("f", BARS - 1, DAYS - 1, DAYS - 1, horizon=21)
    train_network(samples, fold, ModelConfig.preset("small"), budget, 0.001, seed=0)
    data = sum(each.nbytes for each in vars(samples).values() if isinstance(each, Tensor))
    print(
        f"Training `small` on {SYMBOLS} symbols of {DAYS:,} bars, {steps} steps: data "
        f"{data / 1e9:.2f} GB, beside it {(peak_bytes() - before) / 1e9:.2f} GB at the peak"
    )


def noise_samples(symbols: int, days: int) -> Samples:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    table = days, symbols
    returns = 0.02 * normal(*table)
    return Samples(
        grid=normal(*table, len(NAMES)),
        usable=np.ones(table, bool),
        price=normal(*table),
        direction=torch.randint(0, 3, table, generator=generator),
        next_return=returns,
        next_residual=returns / 0.02,
        volatility=torch.ones(table),
        risk=torch.zeros(table),
        overnight=torch.zeros(table),
        intraday=returns,
        sigma=torch.full(table, 0.02),
        timestamps=pd.bdate_range("2015-01-01", periods=days, tz="UTC"),
        symbols=tuple(f"S{n}" for n in range(symbols)),
        features=NAMES,
    )


def peak_bytes() -> int:
    """The most memory that this process ever had. `getrusage` would count its parent's as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def compiled(laps: int) -> None:
    """The part of the network that has no loop over bars: there a compiler has most to gain."""
    for preset in ("tiny", "small", "full"):
        encoder = TransformerEncoder(ModelConfig.preset(preset))
        shape = WINDOWS, BARS, encoder.input.in_features
        fast = step_of(torch.compile(encoder), *shape)
        began = time.perf_counter()
        fast()
        seconds = time.perf_counter() - began
        plain, faster = best_of(laps, step_of(encoder, *shape), fast)
        print(
            f"Transformer encoder of {preset:5} {1e3 * plain:7.1f} ms a step, compiled "
            f"{plain / faster:4.2f} x the speed after {seconds:.0f} s"
        )


MEASURES = {
    "recurrence": recurrence,
    "network": network,
    "memory": memory,
    "compile": compiled,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--laps", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=(*PARTS, *ON_REQUEST), default=PARTS)
    parser.add_argument("--training", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    if given.training:
        training(given.training)
        return
    for part in given.parts:
        MEASURES[part](given.laps)


if __name__ == "__main__":
    main()
