"""How fast the network learns, as ratios to what everyone knows, and how much memory it takes.

    python benchmarks/network_speed.py [--threads 1] [--laps 3] [--parts recurrence network ...]

recurrence  two sLSTM layers of 512 channels beside torch's `nn.LSTM` of the same size, with four
            heads and with one, and beside NX-AI's own `xlstm` (its `vanilla` backend, where it is
            installed): 64 windows of 60 bars, forward and backward
network     a training step of each preset: windows and GFLOP a second, beside a matrix product
presets     `tiny` and `small` beside an `nn.LSTM` of the same width
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
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.training import train_network
from trading_pipeline.core.learning.walkforward import fold_rows
from trading_pipeline.core.model.config import ModelConfig, TrainingConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import NotionalBook
from trading_pipeline.core.model.transformer import TransformerEncoder
from trading_pipeline.core.model.xlstm import SLSTMLayer

WINDOWS, BARS, HIDDEN, LAYERS, KERNEL = 64, 60, 512, 2, 4
PARTS = ("recurrence", "network", "presets", "memory")
ON_REQUEST = ("compile",)
SYMBOLS, DAYS = 500, 1260

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


def network(laps: int) -> None:
    size = 1024
    a, b = torch.randn(size, size), torch.randn(size, size)
    presets = ("tiny", "small", "full")
    steps = [network_step(ModelConfig.preset(preset)) for preset in presets]
    product, *times = best_of(laps, lambda: [a @ b for _ in range(8)] and None, *steps)
    peak = 8 * 2 * size**3 / product / 1e9
    print(f"Matrix products of {size} x {size}: {peak:.1f} GFLOP/s")
    for preset, step, seconds in zip(presets, steps, times, strict=True):
        work = flops(step) / 1e9
        print(
            f"  {preset:6} {WINDOWS / seconds:7.1f} windows/s   {work / WINDOWS:6.3f} GFLOP each   "
            f"{work / seconds:5.1f} GFLOP/s = {work / seconds / peak:4.0%} of the matrix product's"
        )


def flops(step: Step) -> int:
    """Floating-point operations of the matrix products of a step; the others are not counted."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def network_step(config: ModelConfig) -> Step:
    """One training step without the optimizer: every answer has its own upstream gradient."""
    model, book = TradingNetwork(config), NotionalBook.empty(WINDOWS).features()
    x = torch.randn(WINDOWS, BARS, config.n_features)

    def step() -> None:
        model.zero_grad()
        out = model(x, book)
        torch.autograd.backward(out, [torch.ones_like(answer) / WINDOWS for answer in out])

    return step


def presets(laps: int) -> None:
    for preset in ("tiny", "small"):
        config = ModelConfig.preset(preset)
        lstm = nn.LSTM(config.n_features, config.xlstm_width, config.xlstm_layers, batch_first=True)
        shape = WINDOWS, BARS, config.n_features
        ours, torchs = best_of(5 * laps, network_step(config), step_of(lstm, *shape))
        print(
            f"{preset:6} {1e3 * ours:8.1f} ms a step, {WINDOWS / ours:6.0f} windows a second, "
            f"{ours / torchs:5.1f} x an nn.LSTM alone ({1e3 * torchs:.1f} ms)"
        )


def memory(laps: int) -> None:
    """In a process of its own, whose peak is not that of the other parts."""
    subprocess.run([sys.executable, __file__, "--training", str(laps)], check=True)


def training(steps: int) -> None:
    """Train on noise of that size, through the real training loop, and say what it took."""
    samples = noise_samples()
    before = peak_bytes()
    budget = TrainingConfig.preset("small", steps=steps, warmup=1, evaluate_every=steps)
    fold = fold_rows("f", BARS - 1, DAYS - 1, DAYS - 1, horizon=21)
    train_network(samples, fold, ModelConfig.preset("small"), budget, 0.001, seed=0)
    data = sum(each.nbytes for each in vars(samples).values() if isinstance(each, Tensor))
    print(
        f"Training `small` on {SYMBOLS} symbols of {DAYS:,} bars, {steps} steps: data "
        f"{data / 1e9:.2f} GB, beside it {(peak_bytes() - before) / 1e9:.2f} GB at the peak"
    )


def noise_samples() -> Samples:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    table = DAYS, SYMBOLS
    returns = 0.02 * normal(*table)
    return Samples(
        grid=normal(*table, len(NAMES)),
        usable=np.ones(table, bool),
        price=normal(*table),
        direction=torch.randint(0, 3, table, generator=generator),
        next_return=returns,
        volatility=torch.ones(table),
        risk=torch.zeros(table),
        overnight=torch.zeros(table),
        intraday=returns,
        sigma=torch.full(table, 0.02),
        timestamps=pd.bdate_range("2015-01-01", periods=DAYS, tz="UTC"),
        symbols=tuple(f"S{n}" for n in range(SYMBOLS)),
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
    "presets": presets,
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
