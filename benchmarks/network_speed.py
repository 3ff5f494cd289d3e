"""How fast the network learns, beside torch's own LSTM of the same width.

    python benchmarks/network_speed.py [--threads 1] [--features 60] [--presets tiny small]

Forward and backward of 64 windows of 60 bars. CPU time of the process is what counts (a shared
machine stretches the clock); the best of several laps is taken, and the ratio compares laps that
alternate, so that both networks meet the same neighbours.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import NotionalBook

WINDOWS, BARS = 64, 60


def lap(step: Callable[[], None]) -> float:
    """CPU seconds of one step, all threads together."""
    start = time.process_time()
    step()
    return time.process_time() - start


def best_of(laps: int, *steps: Callable[[], None]) -> list[float]:
    """The best lap of each step, taken in turns, after a warm-up of three."""
    rounds = [[lap(step) for step in steps] for _ in range(laps + 3)]
    return [min(times) for times in zip(*rounds[3:], strict=True)]


def network_step(config: ModelConfig) -> Callable[[], None]:
    """One training step without the optimizer: every answer has its own upstream gradient."""
    network, book = TradingNetwork(config), NotionalBook.empty(WINDOWS).features()
    x = torch.randn(WINDOWS, BARS, config.n_features)

    def step() -> None:
        network.zero_grad()
        out = network(x, book)
        torch.autograd.backward(out, [torch.ones_like(answer) / WINDOWS for answer in out])

    return step


def lstm_step(config: ModelConfig) -> Callable[[], None]:
    """The same for torch's LSTM of the sLSTM's width and depth."""
    lstm = nn.LSTM(config.n_features, config.xlstm_width, config.xlstm_layers, batch_first=True)
    x = torch.randn(WINDOWS, BARS, config.n_features)
    upstream = torch.randn(WINDOWS, BARS, config.xlstm_width)

    def step() -> None:
        lstm.zero_grad()
        lstm(x)[0].backward(upstream)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--features", type=int, default=60)
    parser.add_argument("--presets", nargs="+", default=["tiny", "small"])
    parser.add_argument("--laps", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    for preset in given.presets:
        config = ModelConfig.preset(preset, n_features=given.features)
        ours, lstm = best_of(given.laps, network_step(config), lstm_step(config))
        print(
            f"{preset:6} {1e3 * ours:8.1f} ms CPU, {WINDOWS / ours:6.0f} windows per CPU second, "
            f"{ours / lstm:5.1f} × nn.LSTM({1e3 * lstm:.1f} ms)"
        )


if __name__ == "__main__":
    main()
