"""Attention of bars to earlier ones: its weights, and products that are fast for narrow heads.

Letters: B batch, N heads, T bars, L newest bars that ask, d channels of a head.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

NARROW = 16  # columns of a product below which a CPU is better at its transpose


def attention_weights(query: Tensor, key: Tensor, age: Tensor) -> Tensor:
    """How much each of the newest bars takes of every bar: (B, N, L, T), sums over T are 1.

    Args:
        query: (B, N, L, d), of the L newest bars.
        key: (B, N, T, d).
        age: (N, n_steps), added to the scores of a bar that is so much older; bars that are later
            than the one that asks, and those older than a window, get nothing.
    """
    # A scaled query costs a pass over L × d numbers; scaled scores cost one over L × T.
    scores = matmul(query / math.sqrt(query.shape[3]), key.transpose(2, 3))
    bias = age_bias(age, key.shape[2], query.shape[2])
    return scores.to(bias.dtype).add_(bias).softmax(dim=3)


def age_bias(age: Tensor, steps: int, last: int) -> Tensor:
    """What is added to the scores of the `last` newest bars on all of `steps`: (N, last, steps).

    Each bar reads the same line of biases, the oldest first between infinities, from a place
    further left than the bar before.
    """
    line = F.pad(age.flip(1), (steps - age.shape[1], last - 1), value=-torch.inf)
    return line.unfold(1, steps, 1).flip(1)


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """`left @ right`, forward and backward in shapes that are fast where a head is narrow.

    A batch of products (60 x 119) @ (119 x 2) takes five times as long as (2 x 119) @ (119 x 60).
    """
    if torch.compiler.is_exporting():
        return left @ right
    product: Tensor = _Matmul.apply(left, right)  # type: ignore[no-untyped-call]
    return product


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Tensor) -> Tensor:
        ctx.save_for_backward(*args)
        return _product(*args)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        left, right = ctx.saved_tensors
        return _product(grads[0], right.mT), _product(left.mT, grads[0])


def _product(left: Tensor, right: Tensor) -> Tensor:
    if right.shape[-1] < min(NARROW, left.shape[-2]):
        return (right.mT @ left.mT).mT
    return left @ right
