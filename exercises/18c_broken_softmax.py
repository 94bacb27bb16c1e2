"""18c  Broken on purpose: the softmax left in

Lesson 18, sections 1 and 2. A trained layer of spiking self-attention has a BatchNorm behind Q·Kᵀ·V, which
has become one factor g and one offset b for each channel. Its spikes are

    SN(g·(Q·Kᵀ·V) + b)    with SN: LIF neurons with the leak β and the threshold θ = 1

It was to run on a chip whose neurons can add whole numbers, get a constant current, and compare the sum with a
threshold of their own. They leak by themselves (β = 1/2 is a shift of the bits); nothing else is multiplied there.
Somebody started from softmax attention. It runs, and is
of no use: it takes exponentials, divides, multiplies, and its neurons hardly fire. Find out why they hardly
fire, and mend the function, so that it makes exactly the spikes above, and

    neurons(currents, threshold, constant)    gives the spikes of LIF neurons, from rest, reset by subtraction;
                                              at each step a neuron gets its current and its constant

is handed whole numbers as currents. threshold and constant are (d,), one number a channel: what has to stand
there? Q, K and V are spikes (T, N, d); g and b are (d,), g above 0. About 12 minutes.

Run:  uv run exercises/18c_broken_softmax.py
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    b: Tensor,
    neurons: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """Spikes ``(T, N, d)`` three times, factor and offset ``(d,)`` → spikes ``(T, N, d)``."""
    weights = torch.softmax(q @ k.transpose(-1, -2), -1)  # (T, N, N)
    currents = g * (weights @ v)  # (T, N, d)
    return neurons(currents, torch.ones_like(g), b)


# ---- nothing to edit below this line


class Chip:
    """LIF neurons that note what they were given."""

    def __init__(self, beta: float = 0.5) -> None:
        self.beta = beta
        self.currents: list[Tensor] = []

    def __call__(self, currents: Tensor, threshold: Tensor, constant: Tensor) -> Tensor:
        self.currents.append(currents)
        d = currents.shape[-1]
        rows = [torch.as_tensor(x, dtype=torch.float64).expand(d) for x in (threshold, constant)]
        mem = torch.zeros(currents.shape[1:], dtype=torch.float64)
        out = []
        for cur in currents.double():
            mem = self.beta * mem + cur + rows[1]
            spk = (mem > rows[0]).double()
            mem = mem - spk * rows[0]
            out.append(spk)
        return torch.stack(out).float()


def spikes(T: int = 6, N: int = 7, d: int = 5, rate: float = 0.4) -> Tensor:
    """Q, K and V: ``(3, T, N, d)``."""
    return (torch.rand(3, T, N, d) < rate).float()


def counts_of(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Q·Kᵀ·V."""
    return torch.einsum("tic,tjc,tje->tie", q, k, v)


def run_it(attention, q: Tensor, k: Tensor, v: Tensor, g: Tensor, b: Tensor, beta: float = 0.5):
    """The spikes, and what the neurons were given."""
    chip = Chip(beta)
    out = attention(q, k, v, g, b, chip)
    if not isinstance(out, Tensor) or out.shape != q.shape:
        raise Wrong(
            f"spikes: got {getattr(out, 'shape', out)}, expected {tuple(q.shape)}: (T, N, d)"
        )
    if len(chip.currents) != 1:
        raise Wrong(f"neurons was called {len(chip.currents)} times, expected once.")
    return out, chip.currents[0]


def check_not_silent(attention) -> None:
    """fires where a query finds its key"""
    q, k, v = torch.zeros(3, 1, 3, 4)
    q[0, 0], k[0, 1], v[0, 1] = 1, 1, 1  # four channels in common, and four to tell
    out, cur = run_it(attention, q, k, v, torch.ones(4), torch.zeros(4))
    if not out.any():
        raise Wrong(
            f"a query with 4 channels in common with a key: the largest current is {cur.max().item():.3g}, and no "
            "neuron fires. The weights of a softmax sum to 1, so its output is a mean of bits, at most 1: from rest "
            "no single step takes U above θ = 1. Only what leaky neurons keep of earlier steps can."
        )


def check_whole(attention) -> None:
    """hands whole numbers to the neurons"""
    q, k, v = spikes()
    _, cur = run_it(attention, q, k, v, torch.full((5,), 0.3), torch.full((5,), 0.2))
    odd = (cur - cur.round()).abs().flatten()
    if odd.max() > 1e-4:
        raise Wrong(
            f"with g = 0.3 and b = 0.2 the neurons were given the current {cur.flatten()[odd.argmax()].item():.3g}, "
            "expected whole numbers: counts. Is g, b or a softmax still in the current?"
        )


def check_counts(attention) -> None:
    """hands Q·Kᵀ·V to the neurons"""
    q, k, v = spikes()
    _, cur = run_it(attention, q, k, v, torch.full((5,), 0.3), torch.zeros(5))
    smell = "Σ_j (how much query i and key j have in common)·v_j."
    expect(cur, counts_of(q, k, v), "currents (T, tokens, C)", smell)


def spikes_must_be(attention, g: Tensor, b: Tensor, smell: str) -> None:
    """The same spikes as with g and b in the current, for several leaks."""
    for beta in (0.0, 0.5, 0.9):
        q, k, v = spikes(rate=0.3)
        out, _ = run_it(attention, q, k, v, g, b, beta)
        plain = Chip(beta)
        wanted = plain(g * counts_of(q, k, v) + b, torch.ones(5), torch.zeros(5))
        differ = (out != wanted).float().mean().item()
        if differ > 0.005:  # a potential that equals θ to the last bit may fall on either side
            raise Wrong(
                f"g = {g[0]:.3g} …, b = {b[0]:.3g} …, β = {beta:g}: {100 * out.mean():.0f} % of the neurons fire, "
                f"expected {100 * wanted.mean():.0f} %, and {100 * differ:.1f} % of the spikes differ. {smell}"
            )


def check_factor(attention) -> None:
    """fires at the same steps with any factor, if there is no offset"""
    smell = "With currents that are 1/g times as large, what has to be 1/g times as large too?"
    for factor in (0.31, 0.53, 1.0, 2.3):
        spikes_must_be(attention, torch.full((5,), factor), torch.zeros(5), smell)


def check_offset(attention) -> None:
    """fires at the same steps with an offset, each channel with numbers of its own"""
    smell = "The potential is counted in other units now. In which units is b given?"
    g = torch.tensor([0.31, 0.23, 0.37, 0.61, 1.3])
    for b in (torch.full((5,), 0.327), torch.tensor([-0.437, 0.29, -0.17, 0.57, -0.71])):
        spikes_must_be(attention, g, b, smell)


EXERCISE = Exercise(
    solve=attention,
    checks=(check_not_silent, check_whole, check_counts, check_factor, check_offset),
    hints=(
        "How large can a mean of zeros and ones be? And how far does it bring a neuron with θ = 1 from rest?",
        "Q·Kᵀ·V without a softmax is whole. Leak, input and reset by subtraction are linear: divide all that is added "
        "to U, and all that is compared with it or taken from it, by the same number, and nothing changes.",
        "The current g·z + b, divided by g, is z + b/g. So hand over z, and for each channel a threshold and a "
        "constant current that are divided by g as well.",
    ),
    why="U, θ and all currents have no unit of their own: divide all of them by g and nothing changes. So a "
    "BatchNorm behind spiking attention adds no multiplication after training: one threshold and one constant "
    "current a channel, beside the leak that the neurons have anyway. (A factor below 0 would turn the comparison round: that needs another sign of the currents.)",
)

if __name__ == "__main__":
    EXERCISE.main()
