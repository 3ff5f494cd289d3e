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

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

BARS_AT_ONCE = 16  # whose derivatives are computed together


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
    """In a small network a bar costs what calling its operations and slicing their arguments does.

    So what need not go from bar to bar is done for several at once, and slices are made in one go.
    """

    @staticmethod
    def forward(ctx: Any, *args: Tensor) -> tuple[Tensor, ...]:
        """From inputs, weights and memory: hidden of every bar; cell, norm and peak of the last."""
        inputs, recurrent, hidden, cell, norm, peak = args
        (steps, heads, _, batch), width = inputs.shape, recurrent.shape[2]
        results = inputs.new_empty(steps, 5, heads, width, batch)
        memory = inputs.new_empty(steps + 1, 3, heads, width, batch)  # hidden, cell, norm
        torch.stack((hidden, cell, norm), out=memory[0])
        mixed = inputs.new_empty(heads, 4 * width, batch)
        gates = inputs.new_empty(4, heads, width, batch)
        by_gate, parts, peak = _by_gate(mixed, width), (gates[:2], *gates), peak.clone()
        befores, afters = memory[:-1], memory[1:]
        for bar, hidden, kept, after, pair, *each in _bars(
            *(inputs, befores[:, 0], befores[:, 1:], afters[:, 1:], results[:, :2]),
            *(*afters.unbind(1), *results.unbind(1)),
        ):
            torch.baddbmm(bar, recurrent, hidden, out=mixed)
            gates.copy_(by_gate)
            _step(parts, peak, kept, after, pair, each)
        ctx.save_for_backward(recurrent, memory, results)
        ctx.mark_non_differentiable(peak)
        return memory[1:, 0], memory[-1, 1], memory[-1, 2], peak

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of what `forward` was given, from the last bar to the first, but the peak."""
        recurrent, memory, results = ctx.saved_tensors
        steps, _, heads, width, batch = results.shape
        upstream, mixing = grads[0].contiguous(), recurrent.transpose(1, 2).contiguous()
        d_inputs = recurrent.new_empty(steps, heads, 4 * width, batch)
        by_gate = d_inputs.view(steps, heads, 4, width, batch).transpose(1, 2)
        d_gates = recurrent.new_empty(4, heads, width, batch)
        d_parts = d_gates[:3], d_gates[:2], d_gates[3]
        d_hidden, d_memory = torch.zeros_like(upstream[0]), torch.stack((grads[1], -grads[2]))
        d_carried = d_memory, *d_memory
        for stop in range(steps, 0, -BARS_AT_ONCE):
            bars = slice(max(0, stop - BARS_AT_ONCE), stop)
            slopes = _slopes(memory[bars.start : stop + 1], results[bars])
            every = _bars(upstream[bars], d_inputs[bars], by_gate[bars], *slopes)
            for above, d_bar, d_bar_by_gate, *each in reversed(list(every)):
                _step_back(d_hidden.add_(above), d_carried, each, d_parts)
                d_bar_by_gate.copy_(d_gates)
                torch.bmm(mixing, d_bar, out=d_hidden)
        # One long product instead of one a bar, in the layout that the gates were made in.
        flat = _time_last(d_inputs)
        d_recurrent = flat @ _time_last(memory[:-1, 0]).transpose(1, 2)
        d_inputs = flat.view(heads, 4 * width, steps, batch).permute(2, 0, 1, 3)
        return d_inputs, d_recurrent, d_hidden, d_memory[0], -d_memory[1], None


def _bars(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """What each of the tensors (T, ...) has of a bar, bar by bar."""
    return zip(*(each.unbind(0) for each in tensors), strict=True)


def _by_gate(gates: Tensor, width: int) -> Tensor:
    """(N, 4 * d, B) -> (4, N, d, B), a view."""
    return gates.view(len(gates), 4, width, -1).transpose(0, 1)


def _time_last(each: Tensor) -> Tensor:
    """(T, N, C, B) -> (N, C, T * B)."""
    return each.permute(1, 2, 0, 3).flatten(2)


def _step(
    gates: Sequence[Tensor],
    peak: Tensor,
    before: Tensor,
    after: Tensor,
    pair: Tensor,
    each: Sequence[Tensor],
) -> None:
    """One bar forward. Updates `peak` and fills all that comes after it, from `before`.

    Args:
        gates: i and f together, then i, f, z, o; f is overwritten.
        before, after: cell and norm, (2, N, d, B).
        pair: write and keep together.
        each: hidden, cell, norm; write, keep, tanh(z), σ(o), log σ(f).
    """
    both, i, f, z, o = gates
    hidden, cell, norm, write, keep, drawn, shown, log_forget = each
    F.logsigmoid(f, out=log_forget)  # type: ignore[call-arg]  # typed without
    torch.add(log_forget, peak, out=f)  # log-scale of what is carried on
    torch.maximum(f, i, out=peak)
    torch.sub(both, peak, out=pair).exp_()
    torch.tanh(z, out=drawn)
    torch.sigmoid(o, out=shown)
    torch.mul(before, keep, out=after)
    cell.addcmul_(write, drawn)
    norm.add_(write)
    torch.mul(shown, cell, out=hidden).div_(norm)


def _slopes(memory: Tensor, results: Tensor) -> tuple[Tensor, ...]:
    """What gradients are multiplied by at some bars, all (T, ...): of hidden, to cell and to minus
    norm; of cell, to i, f, z; of norm, to i, f; of hidden, to o; of cell and norm, to the ones
    before."""
    write, keep, drawn, shown, log_forget = results.unbind(1)
    hidden, _, norm = memory[1:].unbind(1)
    every = results.new_empty(len(results), 8, *results.shape[2:])
    of_hidden, of_cell, of_norm = every[:, :2], every[:, 2:5], every[:, 5:7]
    to_o = every[:, 7]
    torch.div(shown, norm, out=of_hidden[:, 0])
    torch.div(hidden, norm, out=of_hidden[:, 1])
    forget = torch.expm1(log_forget).neg_().mul_(keep)  # σ(-f) is the derivative of log σ(f)
    written = torch.mul(write, drawn, out=of_cell[:, 0])
    torch.mul(forget, memory[:-1, 1], out=of_cell[:, 1])
    torch.addcmul(write, written, drawn, value=-1, out=of_cell[:, 2])  # tanh' = 1 - tanh²
    of_norm[:, 0] = write
    torch.mul(forget, memory[:-1, 2], out=of_norm[:, 1])
    torch.addcmul(hidden, hidden, shown, value=-1, out=to_o)  # σ' / σ = 1 - σ
    return of_hidden, of_cell, of_norm, to_o, keep


def _step_back(
    d_hidden: Tensor,
    d_memory: Sequence[Tensor],
    slopes: Sequence[Tensor],
    d_gates: Sequence[Tensor],
) -> None:
    """One bar backward.

    Args:
        d_hidden: gradient of the hidden channels.
        d_memory: of cell and minus norm together, then each; those after the bar become those
            before it.
        slopes: of the bar.
        d_gates: filled; those of i, f, z, of i, f, and of o.
    """
    both, d_cell, minus_d_norm = d_memory
    of_hidden, of_cell, of_norm, to_o, keep = slopes
    three, two, d_o = d_gates
    both.addcmul_(d_hidden, of_hidden)
    torch.mul(d_cell, of_cell, out=three)
    two.addcmul_(minus_d_norm, of_norm, value=-1)
    torch.mul(d_hidden, to_o, out=d_o)
    both.mul_(keep)
