"""15c  The eligibility of a synapse

Lesson 15, section 4. One adaptive LIF neuron with M synapses has run for T steps. Write the
eligibility trace of each synapse, equation (8), forward in time:

    x̄_i[t] = β·x̄_i[t−1] + S_i[t]               what the potential U owes to weight i
    ε_i[t] = ρ·ε_i[t−1] + e_i[t−1]              what the adaptation a owes to weight i
    e_i[t] = ψ[t]·(x̄_i[t] − b·ε_i[t])           what the spike owes to weight i

All are 0 before the first step. ``spk_pre`` is (T, M), the spikes S_i that arrive; ``psi`` is (T,), the
surrogate derivative ψ of the neuron at each step. β, ρ and b are numbers. About 10 minutes.

Run:  uv run exercises/15c_eligibility.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def eligibility(spk_pre: Tensor, psi: Tensor, beta: float, rho: float, b: float) -> Tensor:
    """Presynaptic spikes ``(T, M)`` and ψ ``(T,)`` → the eligibility e of each synapse, ``(T, M)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def traced(eligibility, spk_pre: Tensor, psi: Tensor, beta: float, rho: float, b: float) -> Tensor:
    """What the student's function returns, if it has the right shape."""
    got = eligibility(spk_pre.clone(), psi.clone(), beta, rho, b)
    if got is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(got, Tensor) or got.shape != spk_pre.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise Wrong(f"got {shape}, expected one tensor (T, M) = {tuple(spk_pre.shape)}.")
    return got


def neuron(
    w: Tensor, spk_pre: Tensor, beta: float, rho: float, b: float
) -> tuple[list[Tensor], Tensor]:
    """The neuron under autograd: its spike at each step (0 or 1), and ψ ``(T,)``; the reset is detached."""
    mem, a, spk = w.new_zeros(()), w.new_zeros(()), w.new_zeros(())
    spk_rec, psi_rec = [], []
    for arriving in spk_pre:
        mem = beta * mem + (w * arriving).sum() - spk.detach()
        a = rho * a + spk
        distance = mem - 1 - b * a
        psi = 0.4 * (1 - distance.detach().abs()).clamp(min=0)
        spk = (distance > 0).to(w.dtype) + psi * (distance - distance.detach())
        spk_rec.append(spk)
        psi_rec.append(psi)
    return spk_rec, torch.stack(psi_rec)


def by_autograd(spk_pre: Tensor, beta: float, rho: float, b: float) -> tuple[Tensor, Tensor]:
    """ψ ``(T,)``, and the derivative of each step's spike by each weight, ``(T, M)``."""
    w = (0.2 + 0.4 * torch.rand(spk_pre.shape[1], dtype=torch.float64)).requires_grad_()
    spk_rec, psi = neuron(w, spk_pre, beta, rho, b)
    rows = [torch.autograd.grad(spk, w, retain_graph=True)[0] for spk in spk_rec]
    return psi, torch.stack(rows)


def check_lif(eligibility) -> None:
    """without adaptation: ψ times a trace of the spikes that fades by β"""
    spk_pre = torch.zeros(6, 2)
    spk_pre[1, 0] = 1
    psi = torch.tensor([0.1, 0.4, 0.2, 0.0, 0.5, 0.3])
    got = traced(eligibility, spk_pre, psi, 0.5, 0.9, 0.0)
    if got[1, 0].abs() < 1e-7 and got[2, 0] > 0:
        raise Wrong(
            "step 1: e is 0, expected 0.4. A spike that arrives at this step acts on U at this step: x̄ "
            "is moved on before e is formed."
        )
    age = torch.arange(6.0)[:, None] - 1
    wanted = torch.zeros(6, 2)
    wanted[:, :1] = psi[:, None] * 0.5**age * (age >= 0)
    expect(got, wanted, "e (T, synapse)", "b is 0 here, so e is ψ·x̄, at every step anew.")


def check_bracket(eligibility) -> None:
    """ψ multiplies the whole bracket: while ψ is 0, e is 0"""
    spk_pre = torch.zeros(8, 1)
    spk_pre[0] = 1
    psi = torch.tensor([0.5, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0])
    got = traced(eligibility, spk_pre, psi, 0.5, 0.98, 0.2)
    for t in range(8):
        e = got[t, 0].item()
        if psi[t] == 0 and abs(e) > 1e-7:
            raise Wrong(
                f"step {t}: ψ is 0, and e is {e:.4g}, expected 0. ψ multiplies the bracket: both x̄ and "
                "−b·ε."
            )


def check_slow(eligibility) -> None:
    """with adaptation: a spike long ago still counts, against the neuron"""
    spk_pre = torch.zeros(40, 1)
    spk_pre[0] = 1
    psi = torch.zeros(40)
    psi[[0, 39]] = 0.5
    got = traced(eligibility, spk_pre, psi, 0.5, 0.98, 0.2)
    wanted = -0.5 * 0.2 * 0.5 * 0.98**38
    last = got[-1, 0].item()
    if abs(last) < 1e-6:
        raise Wrong(
            f"step 39: e is 0, expected {wanted:.4g}. x̄ has faded by then; ε has not: it took up e of step "
            "0 and fades by ρ alone."
        )
    if last > 0:
        raise Wrong(
            f"step 39: e is {last:.4g}, expected {wanted:.4g}. An earlier spike has raised the threshold, so it "
            "speaks against a spike now: there is a minus before b·ε."
        )
    if abs(last - wanted * 0.98) < 1e-7 or abs(last - wanted / 0.98) < 1e-7:
        raise Wrong(
            f"step 39: e is {last:.4g}, expected {wanted:.4g}: one factor ρ too many or too few. ε[t] takes up "
            "e of the step before, e[t−1], without a ρ."
        )
    expect(got[-1], torch.tensor([wanted]), "e of the last step (M,)", "ψ is 0 in between.", 1e-5)


def check_autograd(eligibility) -> None:
    """equals the derivative of each spike by each weight, by autograd"""
    for b, what in ((0.0, "LIF"), (0.3, "adaptive")):
        spk_pre = (torch.rand(60, 4) < 0.3).double()
        psi, wanted = by_autograd(spk_pre, 0.8, 0.97, b)
        got = traced(eligibility, spk_pre, psi, 0.8, 0.97, b)
        smell = f"An {what} neuron that fires; 60 steps." if b else "A LIF neuron; 60 steps."
        if b:
            smell += " ε takes up the whole e of the step before, its own part included."
        expect(got, wanted, "e (T, synapse)", smell, 1e-6)


EXERCISE = Exercise(
    solve=eligibility,
    checks=(check_lif, check_bracket, check_slow, check_autograd),
    hints=(
        "Three variables of shape (M,) go through time: x_bar, slow and e. Which of the three needs an "
        "old value of which?",
        "At each step: slow = ρ·slow + e, with e still of the step before; then x_bar; then the new e.",
        "x_bar = slow = e = torch.zeros_like(spk_pre[0]); in the loop: slow = rho * slow + e; "
        "x_bar = beta * x_bar + spk_pre[t]; e = psi[t] * (x_bar - b * slow).",
    ),
    why="A chain rule needs the derivative of the state one step ago and nothing older, so a synapse "
    "that carries this derivative along never has to look back.",
)

if __name__ == "__main__":
    EXERCISE.main()
