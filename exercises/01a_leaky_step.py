"""01a  One step of a leaky neuron

Lesson 01, sections 1 and 3. Write the step that snn.Leaky makes, reset by subtraction. It differs in
one thing from the loop on the page: like snn.Leaky you are handed U[t] alone, and have to find out
from it whether a spike is still to be paid for.

``cur`` (I[t+1]) and ``mem`` (U[t]) have the same shape, (B,): B neurons side by side. ``beta`` and
``threshold`` are numbers, or tensors with one value a neuron. Return S[t+1] as 0 or 1, and U[t+1], in
this order. About 5 minutes.

Run:  uv run exercises/01a_leaky_step.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def leaky_step(cur: Tensor, mem: Tensor, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    """From the current I[t+1] and the potential U[t], each ``(B,)``, to ``S[t+1], U[t+1]``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def run_steps(leaky_step, cur: Tensor, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    """The student's step in a loop over ``cur (T, B)``; returns spk_rec and mem_rec, (T, B)."""
    mem = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        returned = leaky_step(cur_t, mem, beta, threshold)
        if returned is None:
            raise Wrong("got None. Is there a return?")
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise Wrong("got one thing, expected two: end with 'return spk, mem'.")
        spk, mem = returned
        spk = torch.as_tensor(spk).to(cur.dtype)  # True and False will do
        if not ((spk == 0) | (spk == 1)).all():
            raise Wrong(
                "the first thing returned holds numbers that are neither 0 nor 1. "
                "Spikes come first: 'return spk, mem'."
            )
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


def check_leak(leaky_step) -> None:
    """decays by β when nothing comes in"""
    cur = torch.zeros(6, 2)
    cur[0] = torch.tensor([0.5, 0.2])
    _, mem_rec = run_steps(leaky_step, cur, 0.8, 2.0)
    first = "The current I[t+1] goes in whole: nothing multiplies it."
    expect(mem_rec[:1], cur[:1], "U (T, N)", first)
    wanted = cur[0] * 0.8 ** torch.arange(6)[:, None]
    expect(mem_rec, wanted, "U (T, N)", "One input, then nothing: every step leaves the share β.")


def check_input(leaky_step) -> None:
    """climbs to I/(1 − β) under a weak steady current"""
    _, mem_rec = run_steps(leaky_step, torch.full((80, 1), 0.15), 0.8, 2.0)
    smell = "It rests where the leak equals the input. Is the current added at every step?"
    expect(mem_rec[-1], torch.tensor([0.75]), "U at the end (N)", smell)


def check_payment(leaky_step) -> None:
    """pays θ for a spike, one step later and in full"""
    cur = torch.tensor([[2.6], [1.2], [0.0]])
    _, mem_rec = run_steps(leaky_step, cur, 0.8, 2.0)
    at_spike, after = mem_rec[0].item(), mem_rec[1].item()
    if abs(at_spike - 0.6) < 1e-5:
        raise Wrong(
            "step 0: U is 0.6, expected 2.6. It pays for S[t], the spike of the step before."
        )
    if abs(after - 3.28) < 1e-5:
        raise Wrong("step 1: U is 3.28, expected 1.28. The spike at step 0 was not paid for.")
    if abs(after - 2.28) < 1e-5:
        raise Wrong("step 1: U is 2.28, expected 1.28. Here θ is 2, and the spike cost only 1.")
    if abs(after - 1.68) < 1e-5:
        raise Wrong("step 1: U is 1.68, expected 1.28. Here θ leaked too: β multiplies U alone.")
    if abs(after - 1.2) < 1e-5:
        raise Wrong(
            "step 1: U is 1.2, expected 1.28. This is the reset to zero, not by subtraction."
        )
    wanted = torch.tensor([[2.6], [1.28], [1.024]])
    expect(mem_rec, wanted, "U (T, N)", "Input 2.6, 1.2, 0; β = 0.8, θ = 2.")


def check_threshold(leaky_step) -> None:
    """fires above θ, not at θ"""
    cur = torch.tensor([[1.0, 1.01, 0.5, 2.0, 2.5]])
    theta = torch.tensor([1.0, 1.0, 1.0, 3.0, 2.0])
    spk_rec, _ = run_steps(leaky_step, cur, 0.9, theta)
    if spk_rec[0, 0] == 1:
        raise Wrong("U = θ = 1 fires, expected no spike. snnTorch compares with >, not with >=.")
    expect(
        spk_rec,
        torch.tensor([[0.0, 1, 0, 0, 1]]),
        "S (T, N)",
        "S[t+1] compares the *new* U with θ; U is 1, 1.01, 0.5, 2 and 2.5 here.",
    )


def check_snntorch(leaky_step) -> None:
    """fires like snn.Leaky for 200 steps of noise"""
    cur = 2.5 * torch.rand(200, 8) - 0.8
    lif = snn.Leaky(beta=0.9, threshold=1.7)
    mem = torch.zeros(8)
    wanted = []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        wanted.append(spk)
    spk_rec, _ = run_steps(leaky_step, cur, 0.9, 1.7)
    expect(spk_rec, torch.stack(wanted), "S (T, N)", "Up to here it was the same.")


EXERCISE = Exercise(
    solve=leaky_step,
    checks=(check_leak, check_input, check_payment, check_threshold, check_snntorch),
    hints=(
        "Three things happen to U, and each is one term of equation (1). Which of them needs S[t]?",
        "S[t] says whether U[t], the potential you are handed, stood above θ. Compute it first.",
        "paid = (mem > threshold) * threshold; mem = beta * mem + cur - paid; then compare again.",
    ),
    why="U leaks, adds and pays in one line; the only thing in the neuron that is not linear is the >.",
)

if __name__ == "__main__":
    EXERCISE.main()
