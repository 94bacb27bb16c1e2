"""01c  Broken on purpose: two resets that are almost right

Lesson 01, section 3. A colleague has rewritten snn.Leaky by hand. The traces look right, and without
a leak "subtract" adds up to the last digit. Yet in noise, one step in eight has the wrong spike. Both
resets have a fault. Find the faults by what they do to U right after a spike, and mend them:

    "subtract"    U[t+1] = β·U[t] + I[t+1] − S[t]·θ
    "zero"        U[t+1] = β·U[t]·(1 − S[t]) + I[t+1]

``cur`` is (T, B), and so are the two things returned. About 10 minutes.

Run:  uv run exercises/01c_broken_resets.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def run_neuron(cur: Tensor, beta: float, threshold: float, reset: str) -> tuple[Tensor, Tensor]:
    """A LIF neuron: input current ``cur (T, B)`` → ``spk_rec, mem_rec``, each ``(T, B)``."""
    mem = torch.zeros_like(cur[0])
    spk = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        if reset == "subtract":
            mem = mem - spk * threshold
            mem = beta * mem + cur_t
        if reset == "zero":
            mem = beta * mem + cur_t
            mem = mem * (1 - spk)
        spk = (mem > threshold).float()
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


# ---- nothing to edit below this line


def traces(run_neuron, cur: Tensor, beta: float, threshold: float, reset: str):
    """The student's spikes and potentials, if there are two things of the right shape."""
    returned = run_neuron(cur, beta, threshold, reset)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("expected two things: spk_rec, mem_rec.")
    return returned


def check_no_spike(run_neuron) -> None:
    """without a spike, both resets are the same leaky membrane"""
    cur = torch.full((30, 1), 0.09)
    steps = torch.arange(1, 31)[:, None]
    wanted = 0.9 * (1 - 0.9**steps)
    for reset in ("subtract", "zero"):
        _, mem_rec = traces(run_neuron, cur, 0.9, 1.0, reset)
        expect(mem_rec, wanted, "U (T, N)", "There is no spike in this: the leak was right before.")


def check_account(run_neuron) -> None:
    """without a leak, subtract loses nothing of its input"""
    cur = torch.randint(0, 4, (100, 3)).float()
    spk_rec, mem_rec = traces(run_neuron, cur, 1.0, 5.0, "subtract")
    kept = 5.0 * spk_rec[:-1].sum(0) + mem_rec[-1]
    smell = "What came in is still in U, or was paid out in spikes of θ each."
    expect(kept, cur.sum(0), "input accounted for (N)", smell)


def check_subtract(run_neuron) -> None:
    """subtract, with a leak: θ is taken off in full"""
    _, mem_rec = traces(run_neuron, torch.tensor([[1.3], [0.4]]), 0.5, 1.0, "subtract")
    after = mem_rec[1].item()
    if abs(after - 0.55) < 1e-5:
        raise Wrong(
            "step 1: U is 0.55, expected 0.05. β made θ smaller as well: 0.5·(1.3 − 1) + 0.4. "
            "In which order do the leak and the payment come?"
        )
    expect(mem_rec, torch.tensor([[1.3], [0.05]]), "U (T, N)", "Input 1.3, 0.4; β = 0.5, θ = 1.")


def check_zero(run_neuron) -> None:
    """zero: the input that arrives right after a spike is kept"""
    _, mem_rec = traces(run_neuron, torch.tensor([[1.3], [0.4]]), 0.5, 1.0, "zero")
    after = mem_rec[1].item()
    if abs(after) < 1e-5:
        raise Wrong(
            "step 1: U is 0, expected 0.4. The reset swallowed the input of step 1 as well. "
            "What should be cleared, the old U or the new one?"
        )
    expect(mem_rec, torch.tensor([[1.3], [0.4]]), "U (T, N)", "Input 1.3, 0.4; β = 0.5, θ = 1.")


def check_snntorch(run_neuron) -> None:
    """both fire like snn.Leaky for 500 steps of noise"""
    cur = 1.4 * torch.rand(500, 8) - 0.5
    for reset in ("subtract", "zero"):
        lif = snn.Leaky(beta=0.9, reset_mechanism=reset)
        mem = torch.zeros(8)
        wanted = []
        for cur_t in cur:
            spk, mem = lif(cur_t, mem)
            wanted.append(spk)
        spk_rec, _ = traces(run_neuron, cur, 0.9, 1.0, reset)
        expect(spk_rec, torch.stack(wanted), "S (T, N)", f"This is {reset}.")


EXERCISE = Exercise(
    solve=run_neuron,
    checks=(check_no_spike, check_account, check_subtract, check_zero, check_snntorch),
    hints=(
        "Follow two steps by hand: β = 0.5, θ = 1, inputs 1.3 and 0.4. What is U after the second?",
        "Compare the order of the two lines in each branch with the order in its equation.",
        "subtract: leak and add first, then pay. zero: clear the old U first, then leak and add.",
    ),
    why="A reset one step late acts on a U that has leaked already, and what it clears is that old U: "
    "the input of the step arrives afterwards and must survive. The order of leak, reset and input "
    "is part of the model, and ports between simulators break on it.",
)

if __name__ == "__main__":
    EXERCISE.main()
