"""Dropout that silences a channel for the whole window, not for single bars.

Gal & Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks
(2016), arXiv:1512.05287: a mask redrawn at each bar is noise that a memory averages away. One draw
for a window is also sixty times fewer, and drawing is what dropout costs on a CPU.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class WindowDropout(nn.Module):
    """Zero channels with probability `p`, the same at every bar: (B, T, D) -> (B, T, D)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.p)
