"""09a  The backward pass of a LIF layer

Lesson 09, section 2. The forward pass of a layer is done, and its potentials U were kept. Write the
way back: equation (2), from the last step to the first, and the two gradients that follow from it.

    δ[t] = g_S[t]·σ′(U[t] − θ) + g_U[t] + β·δ[t+1]          δ = 0 after the last step
    ∂L/∂I[t] = δ[t]                                         U[t] = β·U[t−1] + I[t] − θ·S[t−1]
    ∂L/∂β = sum over t, B and N of δ[t]·U[t−1]              U = 0 before the first step

σ′(x) = 1/(1 + (π·x)²), snnTorch's default. ``mem_rec``, ``g_spk`` and ``g_mem`` are (T, B, N): the
potentials U, and the gradients g_S and g_U that arrive at the spikes and at the potentials. No
autograd is needed. About 15 minutes.

Run:  uv run exercises/09a_backward_pass.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def lif_backward(
    mem_rec: Tensor, g_spk: Tensor, g_mem: Tensor, beta: float, threshold: float
) -> tuple[Tensor, Tensor]:
    """From U and what arrives at S and U, each ``(T, B, N)``, to ∂L/∂I ``(T, B, N)`` and ∂L/∂β ``()``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def surrogate(x: float) -> float:
    """σ′ of ATan, snnTorch's default."""
    return 1 / (1 + (math.pi * x) ** 2)


def gradients(lif_backward, mem_rec, g_spk, g_mem, beta, threshold=1.0) -> tuple[Tensor, Tensor]:
    """The two gradients, if there are two."""
    returned = lif_backward(mem_rec, g_spk, g_mem, beta, threshold)
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("got one thing, expected two: end with 'return grad_cur, grad_beta'.")
    return returned


def check_carry(lif_backward) -> None:
    """an error at the last step fades by β on its way back"""
    quiet = torch.zeros(6, 1, 1)
    g_mem = quiet.clone()
    g_mem[-1] = 1.0
    grad_cur, _ = gradients(lif_backward, quiet, quiet, g_mem, 0.5)
    wanted = 0.5 ** torch.arange(5.0, -1, -1).reshape(6, 1, 1)
    if isinstance(grad_cur, Tensor) and grad_cur.shape == wanted.shape:
        if torch.allclose(grad_cur, wanted.flip(0)):
            raise Wrong(
                "step 0: δ is 1, expected 0.03125; step 5: the other way round. The steps stand in "
                "reverse order: a list filled on the way back has to be turned round at the end."
            )
    expect(grad_cur[-1], wanted[-1], "δ of the last step (B, N)", "It gets what arrives there.")
    if not grad_cur[:-1].any():
        raise Wrong(
            "step 4: δ is 0, expected 0.5. Nothing is carried from a step to the one before it. "
            "Does the loop run from the last step to the first?"
        )
    smell = "Each step back keeps the share β of the error one step later."
    expect(grad_cur, wanted, "δ (T, B, N)", smell)


def check_collect(lif_backward) -> None:
    """errors that arrive at every step add up"""
    quiet = torch.zeros(5, 2, 1)
    grad_cur, _ = gradients(lif_backward, quiet, quiet, torch.ones(5, 2, 1), 0.8)
    steps_left = torch.arange(5.0, 0, -1).reshape(5, 1, 1)
    wanted = ((1 - 0.8**steps_left) / 0.2).expand(5, 2, 1)  # 1 + β + β² + …
    smell = "With 1 arriving everywhere, δ is 1 + β + β² + …, one term for each step to come."
    expect(grad_cur, wanted, "δ (T, B, N)", smell)


def check_surrogate(lif_backward) -> None:
    """what arrives at a spike passes through σ′(U − θ), once"""
    mem_rec = torch.tensor([0.2, 1.3, 2.5]).reshape(3, 1, 1)
    g_spk = torch.zeros(3, 1, 1)
    g_spk[1] = 1.0
    grad_cur, _ = gradients(lif_backward, mem_rec, g_spk, torch.zeros(3, 1, 1), 0.5, 2.0)
    here = surrogate(1.3 - 2.0)
    got = float(grad_cur[1])
    if abs(got - 1.0) < 1e-5:
        raise Wrong(f"step 1: δ is 1, expected {here:.4g}. A spike's gradient has to pass σ′.")
    if abs(got - surrogate(1.3)) < 1e-5:
        raise Wrong(
            f"step 1: δ is {got:.4g}, expected {here:.4g}. σ′ is taken at U, not at its distance "
            "from the threshold, U − θ."
        )
    wanted = torch.tensor([0.5 * here, here, 0.0]).reshape(3, 1, 1)
    smell = "σ′ belongs to g_S[t] alone. What is carried, β·δ[t+1], does not pass it."
    expect(grad_cur, wanted, "δ (T, B, N)", smell)


def check_beta(lif_backward) -> None:
    """∂L/∂β agrees with a finite difference"""
    cur = 0.1 * torch.rand(7, 2, 3, dtype=torch.float64)  # too weak for a spike
    weight = torch.randn(7, 2, 3, dtype=torch.float64)

    def potentials(beta: float) -> Tensor:
        mem = torch.zeros(2, 3, dtype=torch.float64)
        mem_rec = []
        for cur_t in cur:
            mem = beta * mem + cur_t
            mem_rec.append(mem)
        return torch.stack(mem_rec)

    rise = (weight * potentials(0.8 + 1e-6)).sum() - (weight * potentials(0.8 - 1e-6)).sum()
    mem_rec = potentials(0.8)
    _, grad_beta = gradients(lif_backward, mem_rec, torch.zeros_like(weight), weight, 0.8)
    smell = "δ[t] meets the potential of the step before, U[t−1]: that is what β multiplies."
    expect(grad_beta, rise / 2e-6, "∂L/∂β ()", smell, tolerance=1e-4)


def check_autograd(lif_backward) -> None:
    """equals autograd through 40 steps of snn.Leaky that fires"""
    cur = (1.2 * torch.rand(40, 3, 4)).requires_grad_()
    g_spk, g_mem = torch.randn(2, 40, 3, 4)
    lif = snn.Leaky(beta=0.9, learn_beta=True)
    mem = torch.zeros(3, 4)
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        spk_rec.append(spk)
        mem_rec.append(mem)
    loss = (g_spk * torch.stack(spk_rec) + g_mem * torch.stack(mem_rec)).sum()
    wanted_cur, wanted_beta = torch.autograd.grad(loss, [cur, lif.beta])
    kept = torch.stack(mem_rec).detach()
    grad_cur, grad_beta = gradients(lif_backward, kept, g_spk, g_mem, 0.9)
    smell = "Without spikes it was right: the reset has no term of its own, it is detached."
    expect(grad_cur, wanted_cur, "∂L/∂I (T, B, N)", smell, tolerance=1e-4)
    expect(grad_beta, wanted_beta, "∂L/∂β ()", "∂L/∂I is right.", tolerance=1e-3)


EXERCISE = Exercise(
    solve=lif_backward,
    checks=(check_carry, check_collect, check_surrogate, check_beta, check_autograd),
    hints=(
        "It is a loop like the forward one, with delta in the place of mem: for t in reversed(range(T)).",
        "In the loop: the three terms of δ[t] are one sum. Keep δ for each t, and add δ[t]·U[t−1] up.",
        "sigma = 1 / (1 + (torch.pi * (mem_rec[t] - threshold)) ** 2), then delta = g_spk[t] * sigma + "
        "g_mem[t] + beta * delta; and, if t > 0, grad_beta += (delta * mem_rec[t - 1]).sum().",
    ),
    why="The way back is the same leaky sum as the way forward, with the same β, run from the other "
    "end; and all it needs from the way forward is U.",
)

if __name__ == "__main__":
    EXERCISE.main()
