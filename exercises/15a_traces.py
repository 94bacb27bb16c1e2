"""15a  A trace instead of a list of times

Lesson 15, section 1. Write what a synapse remembers of the spikes of one neuron. A trace jumps by 1 at
a spike and fades by the factor e^(−1/τ) at every step:

    x[t] = e^(−1/τ)·x[t−1] + S[t]                           x = 0 before the first step

STDP reads a trace *before* the spikes of the same step are added, so that two spikes at the same step
do not count as a pair. So return for each step what is read there: e^(−1/τ)·x[t−1], after the fading and
before the jump. ``spk`` is (T, P), 0 or 1, for P synapses. A loop over time; about 5 minutes.

Run:  uv run exercises/15a_traces.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def read_trace(spk: Tensor, tau: float) -> Tensor:
    """Spikes ``(T, P)`` and τ in steps → what each synapse reads at each step, ``(T, P)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def sum_over_spikes(spk: Tensor, tau: float) -> Tensor:
    """The same from a list of times: e^(−(t − t′)/τ) for all spikes at an earlier t′."""
    T = len(spk)
    age = torch.arange(T)[:, None] - torch.arange(T)  # (T, T): t − t′
    weight = torch.exp(-age.double() / tau) * (age > 0)
    return weight @ spk.double()


def read(read_trace, spk: Tensor, tau: float) -> Tensor:
    """What the student's function returns, if it is a tensor of the right shape."""
    got = read_trace(spk.clone(), tau)
    if got is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(got, Tensor) or got.shape != spk.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise Wrong(f"got {shape}, expected one tensor (T, P) = {tuple(spk.shape)}.")
    return got


def check_fades(read_trace) -> None:
    """one spike is read one step later as e^(−1/τ), and fades from there"""
    spk = torch.zeros(8, 1)
    spk[2] = 1
    got = read(read_trace, spk, 5.0)
    fade = math.exp(-1 / 5)
    if abs(got[2].item() - 1) < 1e-6:
        raise Wrong(
            "step 2: read 1, expected 0. The spike of step 2 was added before the trace was read; a "
            "spike would pair with one of the same step."
        )
    if abs(got[3].item() - 1) < 1e-6:
        raise Wrong(
            f"step 3: read 1, expected {fade:.4g}. The trace fades first and is read then: by the next "
            "step one factor e^(−1/τ) has passed."
        )
    expect(got, sum_over_spikes(spk, 5.0), "trace (T, P)", "It fades by e^(−1/τ) at every step.")


def check_adds_up(read_trace) -> None:
    """spikes of the past add up"""
    spk = torch.ones(30, 1)
    got = read(read_trace, spk, 10.0)
    fade = math.exp(-1 / 10)
    if abs(got[-1].item() - fade) < 1e-5:
        raise Wrong(
            f"a spike at each step: read {fade:.4g} in the end, expected {sum_over_spikes(spk, 10.0)[-1].item():.4g}. "
            "A new spike set the trace to 1; it has to add 1 to what is there."
        )
    smell = "A spike at each step: every one of them leaves its part."
    expect(got, sum_over_spikes(spk, 10.0), "trace (T, P)", smell)


def check_synapses(read_trace) -> None:
    """each synapse has a trace of its own"""
    spk = (torch.rand(50, 6) < 0.3).float()
    for tau in (2.0, 20.0):
        smell = f"τ = {tau:g}, random spikes at six synapses. One trace was right."
        expect(read(read_trace, spk, tau), sum_over_spikes(spk, tau), "trace (T, P)", smell, 1e-4)


EXERCISE = Exercise(
    solve=read_trace,
    checks=(check_fades, check_adds_up, check_synapses),
    hints=(
        "One variable x of shape (P,) goes through time. What happens to it at a step, in which order?",
        "At each step: x fades; x is noted as read; the step's spikes are added to x.",
        "x = torch.zeros_like(spk[0]); in the loop over spk: x = x * math.exp(-1 / tau), then "
        "rows.append(x), then x = x + spk_t. Import math above.",
    ),
    why="All terms of a sum of exponentials fade by the same factor, so their sum can be kept as one "
    "number, and no synapse needs to remember when a spike came.",
)

if __name__ == "__main__":
    EXERCISE.main()
