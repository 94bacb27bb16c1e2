"""18c  Broken on purpose: the softmax left in

Lesson 18, sections 1 and 2. This attention was to run on a chip whose neurons can add whole numbers and
compare the sum with a threshold, and that is all it can do. Somebody took softmax attention and made Q, K
and V spikes. It runs, and is of no use: it takes exponentials, divides, multiplies, and its neurons hardly
fire. Find out why they hardly fire, and mend the function. The spikes have to be those of

    SN(s·Q·Kᵀ·V)    with SN: LIF neurons with the leak β and the threshold θ = 1

but what is handed to ``neurons`` has to be whole numbers, so s cannot be multiplied in. What else of the
neuron could s change, so that it fires at the same steps? ``neurons(currents, threshold)`` gives the spikes
of LIF neurons, from rest, reset by subtraction. Q, K and V are spikes (T, N, d), s is a number above 0.
About 10 minutes.

Run:  uv run exercises/18c_broken_softmax.py
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable

from multistep import unroll
from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def attention(
    q: Tensor, k: Tensor, v: Tensor, s: float, neurons: Callable[[Tensor, float], Tensor]
) -> Tensor:
    """Spikes ``(T, N, d)`` three times → spikes ``(T, N, d)``."""
    weights = torch.softmax(s * q @ k.transpose(-1, -2), -1)  # (T, N, N)
    currents = weights @ v  # (T, N, d)
    return neurons(currents, 1.0)


# ---- nothing to edit below this line


class Chip:
    """LIF neurons that note what they were given."""

    def __init__(self, beta: float = 0.5) -> None:
        self.beta = beta
        self.currents: list[Tensor] = []

    def __call__(self, currents: Tensor, threshold: float) -> Tensor:
        self.currents.append(currents)
        return unroll(snn.Leaky(beta=self.beta, threshold=float(threshold)), currents)[0]


def spikes(T: int = 6, N: int = 7, d: int = 5, rate: float = 0.4) -> Tensor:
    """Q, K and V: ``(3, T, N, d)``."""
    return (torch.rand(3, T, N, d) < rate).float()


def run_it(attention, q: Tensor, k: Tensor, v: Tensor, s: float, beta: float = 0.5):
    """The spikes, and what the neurons were given."""
    chip = Chip(beta)
    out = attention(q, k, v, s, chip)
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
    out, cur = run_it(attention, q, k, v, 1.0)
    if not out.any():
        raise Wrong(
            f"a query with 4 channels in common with a key: the largest current is {cur.max().item():.3g}, and no "
            "neuron fires. The weights of a softmax sum to 1, so its output is a mean of bits, at most 1: from rest "
            "no single step takes U above θ = 1. Only what leaky neurons keep of earlier steps can."
        )


def check_whole(attention) -> None:
    """hands whole numbers to the neurons"""
    q, k, v = spikes()
    _, cur = run_it(attention, q, k, v, 0.3)
    odd = (cur - cur.round()).abs().max().item()
    if odd > 1e-4:
        raise Wrong(
            f"with s = 0.3 the neurons were given {cur.flatten()[cur.flatten().ne(cur.flatten().round())][0].item():.3g}, "
            "expected whole numbers: counts. Is s, or a softmax, still in the current?"
        )


def check_counts(attention) -> None:
    """hands Q·Kᵀ·V to the neurons"""
    q, k, v = spikes()
    _, cur = run_it(attention, q, k, v, 0.3)
    wanted = torch.einsum("tic,tjc,tje->tie", q, k, v)
    expect(
        cur,
        wanted,
        "currents (T, tokens, C)",
        "Σ_j (how much query i and key j have in common)·v_j.",
    )


def check_spikes(attention) -> None:
    """fires at the steps of SN(s·Q·Kᵀ·V), for any s and any leak"""
    for s in (0.125, 0.5, 1.0, 2.0):
        for beta in (0.0, 0.5, 0.9):
            q, k, v = spikes(rate=0.3)
            out, _ = run_it(attention, q, k, v, s, beta)
            cur = s * torch.einsum("tic,tjc,tje->tie", q, k, v)
            wanted = Chip(beta)(cur, 1.0)
            share = out.mean().item()
            if not torch.equal(out, wanted):
                raise Wrong(
                    f"s = {s:g}, β = {beta:g}: {100 * share:.0f} % of the neurons fire, expected "
                    f"{100 * wanted.mean().item():.0f} %. With currents that are 1/s times as large, what has to "
                    "be 1/s times as large too?"
                )


EXERCISE = Exercise(
    solve=attention,
    checks=(check_not_silent, check_whole, check_counts, check_spikes),
    hints=(
        "How large can a mean of zeros and ones be? And how far does it bring a neuron with θ = 1 from rest?",
        "Q·Kᵀ·V without a softmax is whole. Leak, input and reset by subtraction are all linear: if the current "
        "is 1/s times as large, so is the potential, if the reset takes away 1/s times as much.",
        "return neurons(q @ k.transpose(-1, -2) @ v, 1 / s)",
    ),
    why="U, θ and the current have no unit of their own: multiply all three by the same number and nothing "
    "changes. So a scale in front of a neuron is always free.",
)

if __name__ == "__main__":
    EXERCISE.main()
