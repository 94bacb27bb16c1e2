"""06c  How far apart may two inputs be?

Lesson 06, section 5. You are given the answer h of a neuron to one input of 1, step by step, and a share
w between 1/2 and 1. Two inputs of equal size come Δ steps apart. Each of them, alone, would lift U to w·θ
at its highest point; so neither fires the neuron alone. The neuron is linear up to its first spike, and it
fires if U > θ at any step. Find the longest Δ with which it still fires.

``h`` has the shape (T,): h[n] is the potential n steps after the input. At its end it has faded to nothing.
``share`` is w. θ is 1. Return a whole number, 0 or more. About 10 minutes.

Run:  uv run exercises/06c_coincidence_window.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong

import snntorch as snn
import torch
from torch import Tensor


def window(h: Tensor, share: float) -> int:
    """Largest number of steps between two inputs that fire together a neuron with the answer ``h (T,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def neuron(alpha: float, beta: float, **options) -> snn.SpikingNeuron:
    """snn.Leaky where α is 0, else snn.Synaptic."""
    if alpha == 0:
        return snn.Leaky(beta=beta, **options)
    return snn.Synaptic(alpha=alpha, beta=beta, **options)


def run_neuron(x: Tensor, alpha: float, beta: float, **options) -> tuple[Tensor, Tensor]:
    """``x (T, B)`` → spk_rec and mem_rec, each ``(T, B)``."""
    cell = neuron(alpha, beta, **options)
    states = [torch.zeros_like(x[0]) for _ in range(1 if alpha == 0 else 2)]
    spk_rec, mem_rec = [], []
    for x_t in x:
        spk, *states = cell(x_t, *states)
        spk_rec.append(spk)
        mem_rec.append(states[-1])
    return torch.stack(spk_rec), torch.stack(mem_rec)


def answer_to_one(alpha: float, beta: float, size: float = 1.0) -> Tensor:
    """h ``(T,)`` of the neuron, 400 steps, times ``size``."""
    x = torch.zeros(400, 1)
    x[0] = size
    return run_neuron(x, alpha, beta, threshold=1e9, reset_mechanism="none")[1][:, 0]


def answer(window, h: Tensor, share: float) -> int:
    """The student's window as a whole number; h is given as a copy."""
    steps = window(h.clone(), share)
    if steps is None:
        raise Wrong("got None. Is there a return?")
    if float(steps) != round(float(steps)):
        raise Wrong(f"got {float(steps):.4g}, expected a whole number of steps.")
    return int(steps)


def check_leaky(window) -> None:
    """in Leaky it is the longest Δ with β^Δ > (1 − w)/w"""
    for beta, share in ((0.8, 0.65), (0.9, 0.65), (0.8, 0.9), (0.5, 0.55)):
        limit = math.log((1 - share) / share) / math.log(beta)
        right = math.ceil(limit) - 1
        got = answer(window, answer_to_one(0, beta), share)
        who = f"β = {beta}, w = {share}: got {got} steps, expected {right}."
        if got == right + 1:
            raise Wrong(f"{who} Did you count the gaps that fire? The first of them is Δ = 0.")
        if got != right:
            raise Wrong(f"{who} When the second input comes, w·β^Δ is left of the first.")


def check_size(window) -> None:
    """it does not matter in what units h comes"""
    once = answer(window, answer_to_one(0.9, 0.8), 0.65)
    smaller = answer(window, answer_to_one(0.9, 0.8, size=0.3), 0.65)
    if once != smaller:
        raise Wrong(
            f"h gives {once} steps, 0.3·h gives {smaller}. What has to be w is the highest point of the scaled h, "
            "not the input."
        )


def check_synaptic(window) -> None:
    """snn.Synaptic fires at that Δ, and not at one step more"""
    for alpha, beta, share in ((0.9, 0.8, 0.65), (0.95, 0.5, 0.6), (0.9, 0.89, 0.8)):
        h = answer_to_one(alpha, beta)
        gaps = torch.arange(200)
        pairs = torch.zeros(400, 200)
        pairs[0] += 1
        pairs[gaps, gaps] += 1
        fires = run_neuron(share / h.max() * pairs, alpha, beta)[0].any(0)
        right = int(gaps[fires].max())
        got = answer(window, h, share)
        if got < right:
            raise Wrong(
                f"α = {alpha}, β = {beta}, w = {share}: got {got} steps, but snn.Synaptic fires up to {right}. "
                "Look for U > θ at every step, not only at that of the second input: U may still rise."
            )
        if got > right:
            raise Wrong(
                f"α = {alpha}, β = {beta}, w = {share}: got {got} steps, but snn.Synaptic fires only up to "
                f"{right}. Is it the highest value of h, wherever it lies, that you scale to w? h[0] is "
                "only the first."
            )


EXERCISE = Exercise(
    solve=window,
    checks=(check_leaky, check_size, check_synaptic),
    hints=(
        "Scale h such that its highest value is w. Then for one Δ: what is U at step n, with both inputs?",
        "Shift h by Δ steps (zeros come in at the front), add the two, and compare the largest sum with 1.",
        "h = share * h / h.max(); for each gap: late = torch.zeros_like(h); late[gap:] = h[: len(h) - gap]; "
        "it fires if (h + late).max() > 1.",
    ),
    why="Below the threshold a neuron is its answer to one spike; whatever two spikes do can be read off it.",
)

if __name__ == "__main__":
    EXERCISE.main()
