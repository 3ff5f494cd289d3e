"""The sLSTM recurrence over a window, with its gradient written by hand.

Beck et al., xLSTM: Extended Long Short-Term Memory (2024), arXiv:2405.04517, section 2.2 and
appendix A.2. With i, f, z, o the pre-activations of the four gates at a bar:

    peak  = max(log σ(f) + peak', i)            ' is the bar before; log-scale of cell and norm
    keep  = exp(log σ(f) + peak' - peak)        in [0, 1]
    write = exp(i - peak)                       in [0, 1]; keep or write is 1
    cell  = keep cell' + write tanh(z)
    norm  = keep norm' + write
    hidden = σ(o) cell / norm

`hidden` is the same for any peak, since it scales cell and norm alike. So the gradient may treat it
as a constant, and the backward pass has nothing to say about it.

Autograd would record some twenty small operations a bar; storing five results and going back
through them halves the time of training on a CPU. `torch.compile` is not used: it had not finished
compiling the network of the preset `small` after 110 s, in which a thousand steps are made, and the
Transformer encoder alone, which has no loop, is no faster compiled (`benchmarks/network_speed.py`).

Letters: T time, N heads, d channels of a head, B batch. The batch is last: what is added and
multiplied at each bar is then one long run of memory, whatever the size of a head.
"""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class SLSTMState(NamedTuple):
    """What the heads remember; every field is (N, d, B). Once written, norm >= 1 >= |hidden|."""

    hidden: Tensor
    cell: Tensor
    norm: Tensor
    peak: Tensor  # log-scale of `cell` and `norm`, so that neither overflows; has no gradient

    @classmethod
    def empty(cls, like: Tensor) -> Self:
        """Nothing remembered: a log-scale of minus infinity lets the first bar write all."""
        zero = torch.zeros_like(like)
        return cls(zero, zero, zero, torch.full_like(like, -torch.inf))


def slstm_scan(inputs: Tensor, recurrent: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
    """Run the recurrence over all bars.

    Args:
        inputs: (T, N, 4 * d, B), what the bars alone contribute to the gates i, f, z, o.
        recurrent: (N, 4 * d, d), how the hidden channels of a head mix into its own gates.
        state: what was remembered before the first bar.

    Returns:
        hidden (T, N, d, B), each in [-1, 1], and the state after the last bar. Differentiable once,
        in everything but the peaks.
    """
    if torch.compiler.is_exporting():
        return _plain_scan(inputs, recurrent, state)
    # Memories add up over many bars: in bfloat16 they would lose what is small.
    with torch.autocast(inputs.device.type, enabled=False):
        hidden, cell, norm, peak = _Recurrence.apply(inputs.to(recurrent.dtype), recurrent, *state)  # type: ignore[no-untyped-call]
    return hidden, SLSTMState(hidden[-1], cell, norm, peak)


def _plain_scan(inputs: Tensor, recurrent: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
    """The same bar by bar in plain operations, which a graph can be made of."""
    hiddens = []
    for bar in inputs.unbind(0):
        i, f, z, o = (bar + recurrent @ state.hidden).chunk(4, dim=1)
        carried = F.logsigmoid(f) + state.peak
        peak = torch.maximum(carried, i)
        keep, write = (carried - peak).exp(), (i - peak).exp()
        cell = keep * state.cell + write * z.tanh()
        norm = keep * state.norm + write
        state = SLSTMState(o.sigmoid() * cell / norm, cell, norm, peak)
        hiddens.append(state.hidden)
    return torch.stack(hiddens), state


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Tensor) -> tuple[Tensor, ...]:
        inputs, recurrent, hidden, cell, norm, peak = args
        (steps, heads, _, batch), width = inputs.shape, recurrent.shape[2]
        results = inputs.new_empty(steps, 5, heads, width, batch)
        memory = inputs.new_empty(steps + 1, 3, heads, width, batch)  # hidden, cell, norm
        torch.stack((hidden, cell, norm), out=memory[0])
        gates = inputs.new_empty(heads, 4 * width, batch)
        by_gate = gates.view(heads, 4, width, batch).unbind(1)
        peak, before = peak.clone(), memory[0]
        for bar, after, result in zip(inputs, memory[1:], results, strict=True):
            torch.baddbmm(bar, recurrent, before[0], out=gates)
            _step(by_gate, before.unbind(0), after.unbind(0), peak, result.unbind(0))
            before = after
        ctx.save_for_backward(recurrent, memory, results)
        ctx.mark_non_differentiable(peak)
        return memory[1:, 0], memory[-1, 1], memory[-1, 2], peak

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        recurrent, memory, results = ctx.saved_tensors
        steps, _, heads, width, batch = results.shape
        upstream, mixing = grads[0].contiguous(), recurrent.transpose(1, 2).contiguous()
        d_inputs = recurrent.new_empty(steps, heads, 4 * width, batch)
        d_hidden, d_cell, d_norm = upstream[-1].clone(), grads[1].clone(), grads[2].clone()
        for t in range(steps - 1, -1, -1):
            by_gate = d_inputs[t].view(heads, 4, width, batch).unbind(1)
            before, after = memory[t].unbind(0), memory[t + 1].unbind(0)
            _step_back((d_hidden, d_cell, d_norm), before, after, results[t].unbind(0), by_gate)
            earlier = upstream[t - 1] if t else torch.zeros_like(d_hidden)
            torch.baddbmm(earlier, mixing, d_inputs[t], out=d_hidden)
        # One long product instead of one a bar, in the layout that the gates were made in.
        flat = _time_last(d_inputs)
        d_recurrent = flat @ _time_last(memory[:-1, 0]).transpose(1, 2)
        d_inputs = flat.view(heads, 4 * width, steps, batch).permute(2, 0, 1, 3)
        return d_inputs, d_recurrent, d_hidden, d_cell, d_norm, None


def _time_last(each: Tensor) -> Tensor:
    """(T, N, C, B) -> (N, C, T * B)."""
    return each.permute(1, 2, 0, 3).flatten(2)


def _step(
    gates: tuple[Tensor, ...],
    before: tuple[Tensor, ...],
    after: tuple[Tensor, ...],
    peak: Tensor,
    results: tuple[Tensor, ...],
) -> None:
    """One bar forward. Fills `after` (hidden, cell, norm) and `results`, and updates `peak`."""
    i, f, z, o = gates
    _, cell_before, norm_before = before
    hidden, cell, norm = after
    keep, write, drawn, shown, slope = results
    log_forget = F.logsigmoid(f)
    torch.expm1(log_forget, out=slope)  # -σ(-f): minus the derivative of log σ(f)
    carried = log_forget.add_(peak)
    torch.maximum(carried, i, out=peak)
    torch.sub(carried, peak, out=keep).exp_()
    torch.sub(i, peak, out=write).exp_()
    torch.tanh(z, out=drawn)
    torch.sigmoid(o, out=shown)
    torch.mul(write, drawn, out=cell).addcmul_(keep, cell_before)
    torch.addcmul(write, keep, norm_before, out=norm)
    torch.mul(shown, cell, out=hidden).div_(norm)


def _step_back(
    d_after: tuple[Tensor, ...],
    before: tuple[Tensor, ...],
    after: tuple[Tensor, ...],
    results: tuple[Tensor, ...],
    d_gates: tuple[Tensor, ...],
) -> None:
    """One bar backward. Fills `d_gates`, and turns the gradients of cell and norm after the bar,
    the second and third of `d_after`, into those before it."""
    d_hidden, d_cell, d_norm = d_after
    _, cell_before, norm_before = before
    hidden, _, norm = after
    keep, write, drawn, shown, slope = results
    d_i, d_f, d_z, d_o = d_gates
    scaled = d_hidden / norm
    d_cell.addcmul_(scaled, shown)
    d_norm.addcmul_(scaled, hidden, value=-1)
    torch.mul(d_hidden, hidden, out=d_o).addcmul_(d_o, shown, value=-1)  # σ' / σ = 1 - σ
    torch.mul(d_cell, write, out=d_z)
    drawn_part = d_z * drawn
    torch.addcmul(drawn_part, d_norm, write, out=d_i)
    d_z.addcmul_(drawn_part, drawn, value=-1)  # tanh' = 1 - tanh²
    d_cell.mul_(keep)
    d_norm.mul_(keep)
    torch.mul(d_cell, cell_before, out=d_f).addcmul_(d_norm, norm_before)
    d_f.mul_(slope).neg_()
