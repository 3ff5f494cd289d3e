"""The network as a table: its boxes, what goes in and out of each, and how many weights it holds.

Shapes are those that a real pass shows, not those that a comment promises.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.position import N_BOOK

Shape = tuple[int, ...]
BATCH = 2  # windows of the pass; shown as B

# The boxes of the architecture, in the order in which a window passes them: path, name, depth.
_BOXES = (
    ("xlstm", "xLSTM encoder", 0),
    ("xlstm.input", "input projection", 1),
    ("xlstm.blocks", "sLSTM block", 1),
    ("transformer", "Transformer encoder", 0),
    ("transformer.input", "input projection", 1),
    ("transformer.blocks", "attention block", 1),
    ("branch_fusion", "fusion: attention over branches", 0),
    ("temporal_fusion", "temporal fusion: attention over bars", 0),
    ("terms", "terms: closed form", 0),
    ("answers", "multi-task heads", 0),
    ("answers.state", "position state", 1),
    ("answers.trunk", "shared trunk", 1),
    ("answers.price", "price", 1),
    ("answers.direction", "direction (down, flat, up)", 1),
    ("answers.position", "position", 1),
    ("answers.volatility", "volatility", 1),
    ("answers.risk", "risk", 1),
)


class Box(NamedTuple):
    """One box of the drawing."""

    name: str
    depth: int  # 0: a box of the drawing, 1: a part of the one above
    takes: tuple[Shape, ...]  # shapes of its inputs; the first axis is the batch
    gives: tuple[Shape, ...]
    parameters: int  # trainable weights; those of parts are counted in their box too


class Summary(NamedTuple):
    """A network, box by box."""

    boxes: tuple[Box, ...]
    parameters: int  # of all boxes together


def summary_of(config: ModelConfig) -> Summary:
    """Build the network of a config, pass two windows through it, and write down what is seen."""
    network = TradingNetwork(config).eval()
    modules = dict(_boxes_of(network))
    seen: dict[nn.Module, tuple[tuple[Shape, ...], tuple[Shape, ...]]] = {}

    def look(module: nn.Module, inputs: Any, outputs: Any) -> None:
        seen[module] = (tuple(_shapes(inputs)), tuple(_shapes(outputs)))

    hooks = [module.register_forward_hook(look) for module, _, _ in modules.values()]
    with torch.inference_mode():
        network(torch.zeros(BATCH, config.n_steps, config.n_features), torch.zeros(BATCH, N_BOOK))
    for hook in hooks:
        hook.remove()
    boxes = [
        Box(name, depth, *seen[module], parameters=_count(module))
        for module, name, depth in modules.values()
    ]
    return Summary(tuple(boxes), _count(network))


def _boxes_of(network: TradingNetwork) -> Iterator[tuple[str, tuple[nn.Module, str, int]]]:
    """Every box that the network has, by its path; a stack of blocks is a box for each."""
    for path, name, depth in _BOXES:
        module = network.get_submodule(path) if _has(network, path) else None
        if isinstance(module, nn.ModuleList | nn.Sequential):
            for n, block in enumerate(module):
                yield f"{path}.{n}", (block, f"{name} {n + 1}", depth)
        elif module is not None:
            yield path, (module, name, depth)


def _has(network: nn.Module, path: str) -> bool:
    """A network without the position state lacks its box."""
    return any(name == path for name, _ in network.named_modules())


def _shapes(values: Any) -> Iterator[Shape]:
    """Shapes of the tensors in what a module takes or gives; carried states are left out."""
    for each in (values,) if isinstance(values, Tensor) else values:
        if isinstance(each, Tensor):
            yield tuple(each.shape)


def _count(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters() if each.requires_grad)
