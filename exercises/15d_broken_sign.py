"""15d  Broken on purpose: two signs

Lesson 15, section 4. The function below works out e-prop's gradient of the input weights of one layer of
adaptive LIF neurons, without recurrent weights. It runs. But whoever follows it by W −= η·gradient sees
the loss *rise*, and with a strong adaptation even the direction is wrong. Two signs are turned round.
Find them, and say to yourself what each of them claimed.

    ``spk_pre`` (T, M)   spikes that arrive            ``target`` (T, K)   π*: 1 for the right class, else 0
    ``spk`` (T, N)       spikes of the neurons         ``w_out`` (K, N)    weights of the read-out
    ``psi`` (T, N)       ψ of the neurons              β, ρ, b             as in equations (6) and (8)

The loss E is the cross entropy −log π of the right class, added up over the steps. About 10 minutes.

Run:  uv run exercises/15d_broken_sign.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
import torch.nn.functional as F
from torch import Tensor


def eprop_gradient(
    spk_pre: Tensor,
    spk: Tensor,
    psi: Tensor,
    target: Tensor,
    w_out: Tensor,
    beta: float,
    rho: float,
    b: float,
) -> Tensor:
    """∂E/∂W of the input weights, ``(N, M)``."""
    x_bar = torch.zeros_like(spk_pre[0])  # (M,)
    slow = torch.zeros_like(w_out[0][:, None] * x_bar)  # (N, M)
    e = torch.zeros_like(slow)
    grad = torch.zeros_like(slow)
    for t in range(len(spk_pre)):
        slow = rho * slow + e
        x_bar = beta * x_bar + spk_pre[t]
        e = psi[t][:, None] * (x_bar + b * slow)  # (N, M)
        share = torch.softmax(w_out @ spk[t], 0)  # π, (K,)
        signal = (target[t] - share) @ w_out  # (N,)
        grad = grad + signal[:, None] * e
    return grad


# ---- nothing to edit below this line

N, M, K, T = 5, 6, 3, 50


def run_layer(w: Tensor, spk_pre: Tensor, b: float, rho: float = 0.97) -> tuple[Tensor, Tensor]:
    """Spikes and ψ of a layer of adaptive LIF neurons, ``(T, N)`` each, under autograd."""
    mem, a, spk = torch.zeros(3, len(w), dtype=w.dtype)
    spk_rec, psi_rec = [], []
    for arriving in spk_pre:
        mem = 0.8 * mem + w @ arriving - spk.detach()
        a = rho * a + spk
        distance = mem - 1 - b * a
        psi = 0.5 * (1 - distance.detach().abs()).clamp(min=0)
        spk = (distance > 0).to(w.dtype) + psi * (distance - distance.detach())
        spk_rec.append(spk)
        psi_rec.append(psi)
    return torch.stack(spk_rec), torch.stack(psi_rec)


def loss_of(spk: Tensor, target: Tensor, w_out: Tensor) -> Tensor:
    """Cross entropy, added up over the steps."""
    return F.cross_entropy(spk @ w_out.T, target.argmax(1), reduction="sum")


def both(eprop_gradient, b: float) -> tuple[Tensor, Tensor]:
    """The student's gradient, and autograd's, for a random layer."""
    w = (0.3 + 0.3 * torch.rand(N, M, dtype=torch.float64)).requires_grad_()
    w_out = torch.randn(K, N, dtype=torch.float64)
    spk_pre = (torch.rand(T, M) < 0.3).double()
    target = F.one_hot(torch.randint(0, K, (1,)), K).double().expand(T, K)
    spk, psi = run_layer(w, spk_pre, b)
    (wanted,) = torch.autograd.grad(loss_of(spk, target, w_out), w)
    got = eprop_gradient(spk_pre, spk.detach(), psi, target, w_out, 0.8, 0.97, b)
    if not isinstance(got, Tensor) or got.shape != (N, M):
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise Wrong(f"got {shape}, expected the gradient, (N, M) = {(N, M)}.")
    return got, wanted


def cosine(a: Tensor, b: Tensor) -> float:
    """1 if both point the same way, −1 if they are opposite."""
    return F.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


def check_lif(eprop_gradient) -> None:
    """without adaptation (b = 0) it is the gradient of the loss"""
    got, wanted = both(eprop_gradient, 0.0)
    if cosine(got, wanted) < -0.99:
        raise Wrong(
            "b = 0: the cosine to the true gradient is −1, so W −= η·gradient climbs uphill. A neuron that "
            "speaks for a wrong class must get a positive signal: its spikes raise the loss."
        )
    if cosine(got, wanted) < 0.99:
        raise Wrong(
            f"b = 0: the cosine to the true gradient is {cosine(got, wanted):.2f}, expected 1. It was −1 before: "
            "only a sign was wrong there."
        )
    expect(got, wanted, "∂E/∂W (N, M)", "The direction is right, the size is not.", 1e-6)


def check_adaptive(eprop_gradient) -> None:
    """with adaptation (b = 0.5), too"""
    got, wanted = both(eprop_gradient, 0.5)
    if cosine(got, wanted) < 0.999:
        raise Wrong(
            f"b = 0.5: the cosine to the true gradient is {cosine(got, wanted):.2f}, expected 1; with b = 0 it is "
            "right. What does a spike that weight i helped to cause do to the threshold later? Is that for "
            "or against a spike now?"
        )
    expect(got, wanted, "∂E/∂W (N, M)", "The direction is right, the size is not.", 1e-6)


def check_learns(eprop_gradient) -> None:
    """following it lowers the loss of a layer that learns one answer"""
    w = 0.3 + 0.3 * torch.rand(N, M, dtype=torch.float64)
    w_out = torch.randn(K, N, dtype=torch.float64)
    spk_pre = (torch.rand(T, M) < 0.3).double()
    target = F.one_hot(torch.tensor([1]), K).double().expand(T, K)
    losses = []
    for _ in range(60):
        spk, psi = run_layer(w, spk_pre, 0.3)
        losses.append(loss_of(spk, target, w_out).item())
        w = w - 0.01 * eprop_gradient(spk_pre, spk, psi, target, w_out, 0.8, 0.97, 0.3)
    if not losses[-1] < losses[0]:
        raise Wrong(
            f"the loss went from {losses[0]:.1f} to {losses[-1]:.1f} in 60 steps, expected less."
        )


EXERCISE = Exercise(
    solve=eprop_gradient,
    checks=(check_lif, check_adaptive, check_learns),
    hints=(
        "First b = 0: then e is ψ·x̄, never negative. Which line decides whether the gradient is positive?",
        "∂E/∂z of a cross entropy is π − π*. And in (8), what stands before b·ε?",
        "e = psi[t][:, None] * (x_bar - b * slow) and signal = (share - target[t]) @ w_out.",
    ),
    why="The learning signal is the gradient of the loss by the neuron's spike, π − π*, so a step goes "
    "against it; and a spike that a weight caused makes the next ones harder, so its slow part counts "
    "against them.",
)

if __name__ == "__main__":
    EXERCISE.main()
