"""06a  One step of a neuron with a synaptic current

Lesson 06, Idea and section 1. Write the step that snn.Synaptic makes, reset by subtraction: equations (1)
and (2). It is handed the weighted input x[t+1] and its two states, I[t] and U[t]. As in exercise 01a,
whether a spike is still to be paid for has to be found out from U[t].

``x``, ``syn`` (I[t]) and ``mem`` (U[t]) have the same shape, (B,): B neurons side by side. ``alpha``,
``beta`` and ``threshold`` are numbers. Return S[t+1] as 0 or 1, I[t+1] and U[t+1], in this order.
About 5 minutes.

Run:  uv run exercises/06a_synaptic_step.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def synaptic_step(
    x: Tensor, syn: Tensor, mem: Tensor, alpha: float, beta: float, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """From x[t+1] and the state I[t], U[t], each ``(B,)``, to ``S[t+1], I[t+1], U[t+1]``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def run_steps(synaptic_step, x: Tensor, alpha: float, beta: float, threshold: float):
    """The student's step in a loop over ``x (T, B)``; returns spk_rec, syn_rec, mem_rec."""
    syn = torch.zeros_like(x[0])
    mem = torch.zeros_like(x[0])
    records = []
    for x_t in x:
        returned = synaptic_step(x_t, syn, mem, alpha, beta, threshold)
        if returned is None:
            raise Wrong("got None. Is there a return?")
        if not isinstance(returned, tuple) or len(returned) != 3:
            raise Wrong("expected three things: end with 'return spk, syn, mem'.")
        spk, syn, mem = returned
        spk = torch.as_tensor(spk).to(x.dtype)  # True and False will do
        if not ((spk == 0) | (spk == 1)).all():
            raise Wrong(
                "the first thing returned holds numbers that are neither 0 nor 1. "
                "The order is 'return spk, syn, mem'."
            )
        records.append(torch.stack((spk, syn, mem)))
    return torch.stack(records, dim=1).unbind(0)  # each (T, B)


def check_current(synaptic_step) -> None:
    """the current takes the input whole and fades by α"""
    x = torch.zeros(6, 2)
    x[0] = torch.tensor([0.5, 0.2])
    _, syn_rec, _ = run_steps(synaptic_step, x, 0.9, 0.6, 5.0)
    wanted = x[0] * 0.9 ** torch.arange(6)[:, None]
    if abs(syn_rec[1, 0] - 0.3) < 1e-6:
        raise Wrong("step 1: I is 0.3, expected 0.45. It faded by β; that is the membrane's decay.")
    expect(syn_rec, wanted, "I (T, N)", "One input, then nothing: every step leaves the share α.")


def check_membrane(synaptic_step) -> None:
    """the membrane is fed by the new current and leaks by β"""
    x = torch.tensor([[1.0], [0.0], [0.0]])
    _, _, mem_rec = run_steps(synaptic_step, x, 0.9, 0.6, 5.0)
    at = [round(mem.item(), 4) for mem in mem_rec]
    if at[0] == 0:
        raise Wrong(
            "step 0: U is 0, expected 1. It got the current of the step before. Equation (2) has I[t+1] "
            "on the right."
        )
    if at[1] == 0.6:
        raise Wrong(
            "step 1: U is 0.6, expected 1.5. Nothing came in with this step, but the current still flows: "
            "what feeds the membrane is I, not x."
        )
    wanted = torch.tensor([[1.0], [0.9 + 0.6], [0.81 + 0.6 * 1.5]])
    expect(mem_rec, wanted, "U (T, N)", "x = 1, 0, 0; α = 0.9, β = 0.6.")


def check_payment(synaptic_step) -> None:
    """a spike costs U the threshold, one step later, and costs I nothing"""
    x = torch.tensor([[2.5], [0.0]])
    spk_rec, syn_rec, mem_rec = run_steps(synaptic_step, x, 0.5, 0.8, 2.0)
    at_spike, after = mem_rec[0].item(), mem_rec[1].item()
    if abs(at_spike - 0.5) < 1e-5:
        raise Wrong(
            "step 0: U is 0.5, expected 2.5. It pays for S[t], the spike of the step before."
        )
    if abs(syn_rec[1].item() - 1.25) > 1e-5:
        raise Wrong(
            f"step 1: I is {syn_rec[1].item():.4g}, expected 1.25. The reset concerns U alone: the current "
            "flows on after a spike."
        )
    if abs(after - 3.25) < 1e-5:
        raise Wrong("step 1: U is 3.25, expected 1.25. The spike at step 0 was not paid for.")
    if abs(after - 2.25) < 1e-5:
        raise Wrong("step 1: U is 2.25, expected 1.25. Here θ is 2, and the spike cost only 1.")
    if abs(after - 1.65) < 1e-5:
        raise Wrong("step 1: U is 1.65, expected 1.25. Here θ leaked too: β multiplies U alone.")
    if abs(after) < 1e-5 or abs(after - 1.25) > 1e-5 and abs(after - syn_rec[1].item()) < 1e-5:
        raise Wrong("step 1: this is the reset to zero, not by subtraction.")
    wanted = torch.tensor([[2.5], [0.8 * 2.5 + 1.25 - 2.0]])
    expect(mem_rec, wanted, "U (T, N)", "x = 2.5, 0; α = 0.5, β = 0.8, θ = 2.")
    expect(spk_rec, torch.tensor([[1.0], [0.0]]), "S (T, N)", "S[t+1] compares the new U with θ.")


def check_snntorch(synaptic_step) -> None:
    """fires like snn.Synaptic for 200 steps of noise"""
    x = 0.6 * torch.rand(200, 8) - 0.1
    synaptic = snn.Synaptic(alpha=0.8, beta=0.7, threshold=1.7)
    syn = torch.zeros(8)
    mem = torch.zeros(8)
    wanted = []
    for x_t in x:
        spk, syn, mem = synaptic(x_t, syn, mem)
        wanted.append(spk)
    spk_rec, _, _ = run_steps(synaptic_step, x, 0.8, 0.7, 1.7)
    expect(spk_rec, torch.stack(wanted), "S (T, N)", "Up to here it was the same.")


EXERCISE = Exercise(
    solve=synaptic_step,
    checks=(check_current, check_membrane, check_payment, check_snntorch),
    hints=(
        "Which of the two equations has to come first, and why?",
        "Four lines: S[t] from U[t], the current, the membrane with the new current, S[t+1] from the new U.",
        "paid = (mem > threshold) * threshold; syn = alpha * syn + x; mem = beta * mem + syn - paid; then "
        "compare again.",
    ),
    why="Two decays in a row: the current remembers what came in, the membrane what came through and "
    "what was paid.",
)

if __name__ == "__main__":
    EXERCISE.main()
