"""What a training runs on: its device, and how many threads a network is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.errors import TrainingError

WORTH_SHARING = 256  # channels from which one multiplication is worth two threads


@contextmanager
def threads_for(config: ModelConfig) -> Iterator[None]:
    """One thread for a small network, torch's own choice for a large one.

    Small multiplications spend their time waiting for each other, and the waiting threads spin: on
    a busy machine a training step of the `tiny` preset took ten times as long with two threads as
    with one. A fixed count also makes the sums the same in training, backtest and paper trading.
    """
    before = torch.get_num_threads()
    if max(config.xlstm_width, config.transformer_width) < WORTH_SHARING:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usable_device(name: str) -> torch.device:
    """The device of that name, or TrainingError where this torch does not see it."""
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(
            f"torch {torch.__version__} sees {torch.cuda.device_count()} GPUs, and none is {name}. "
            'Set device = "cpu" for this market, or install a build of torch for your GPU '
            "(the Makefile says how)"
        )
    return device
