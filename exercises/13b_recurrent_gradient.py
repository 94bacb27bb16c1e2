"""13b  A layer with a loop, and its gradient

Lesson 13, sections 2 and 6. The spikes of a recurrent layer come back to it one step later, through the
matrix V. Write both ways: the loop up in time, and equation (2) of lesson 09 with one more term down.

    U[t] = β·U[t−1] + I[t] + V·S[t−1] − θ·S[t−1]             S[t] = 1 if U[t] > θ else 0
    δ[t] = σ′(U[t] − θ)·(g_S[t] + Vᵀ·δ[t+1]) + β·δ[t+1]       δ = 0 after the last step
    ∂L/∂I[t] = δ[t]               ∂L/∂V = Σ over t of δ[t]·S[t−1]ᵀ, summed over the samples

``cur`` and ``g_spk`` (what the layer above sends to the spikes) are (T, B, N), V is (N, N): row i holds
the weights into neuron i. σ′(x) = ½·max(0, 1 − |x|) is given. The reset counts as a constant, as in
snnTorch, so it has no term of its own on the way back. About 15 minutes.

Run:  uv run exercises/13b_recurrent_gradient.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def surrogate(x: Tensor) -> Tensor:
    """σ′: a triangle, zero further than 1 from the threshold."""
    return 0.5 * (1 - x.abs()).clamp(min=0)


def recurrent_gradient(
    cur: Tensor, V: Tensor, g_spk: Tensor, beta: float, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """To the spikes ``(T, B, N)``, ∂L/∂I ``(T, B, N)`` and ∂L/∂V ``(N, N)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def results(recurrent_gradient, cur, V, g_spk, beta=0.8, threshold=1.0):
    """The three tensors, or a message."""
    got = recurrent_gradient(cur, V, g_spk, beta, threshold)
    if got is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(got, tuple) or len(got) != 3:
        raise Wrong(
            "got something else than three tensors: end with 'return spk_rec, grad_cur, grad_V'."
        )
    return got


def check_forward(recurrent_gradient) -> None:
    """a spike of neuron 0 reaches neuron 1 one step later, through V[1, 0]"""
    cur = torch.zeros(4, 1, 2)
    cur[0, 0, 0] = 1.2
    V = torch.tensor([[0.0, 0.0], [1.5, 0.0]])  # from neuron 0 into neuron 1
    spk, _, _ = results(recurrent_gradient, cur, V, torch.zeros(4, 1, 2), beta=0.0)
    wanted = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]], [[0.0, 0.0]]])
    if isinstance(spk, Tensor) and spk.shape == wanted.shape:
        if spk[1, 0, 1] == 0 and not spk[1:].any():
            raise Wrong(
                "neuron 1 never fires, though neuron 0 fired and V[1, 0] is 1.5. Row i of V holds the weights into "
                "neuron i: for a batch of rows that is spk @ V.T."
            )
        if spk[0, 0, 1] == 1:
            raise Wrong("neuron 1 fires at step 0, with neuron 0: a loop takes one step.")
    expect(spk, wanted, "S (T, B, N)", "Each spike acts one step later, and only once.")


def check_snntorch(recurrent_gradient) -> None:
    """fires as snn.RLeaky does"""
    lif = snn.RLeaky(beta=0.8, linear_features=5)
    torch.nn.init.zeros_(lif.recurrent.bias)
    cur = torch.rand(40, 3, 5)
    spk, mem = lif.init_rleaky()
    wanted = []
    with torch.no_grad():
        for cur_t in cur:
            spk, mem = lif(cur_t, spk, mem)
            wanted.append(spk)
    got, _, _ = results(
        recurrent_gradient, cur, lif.recurrent.weight.detach(), torch.zeros(40, 3, 5)
    )
    expect(got, torch.stack(wanted), "S (T, B, N)", "Is the reset of the last spike there?")


def check_membrane(recurrent_gradient) -> None:
    """with V = 0 the error fades by β"""
    g_spk = torch.zeros(6, 1, 1)
    g_spk[-1] = 1.0
    cur = torch.full((6, 1, 1), 0.1)
    _, grad, _ = results(recurrent_gradient, cur, torch.zeros(1, 1), g_spk, beta=0.5)
    mem = torch.tensor(0.0)
    for _ in range(6):
        mem = 0.5 * mem + 0.1
    wanted = surrogate(mem - 1) * 0.5 ** torch.arange(5.0, -1, -1).reshape(6, 1, 1)
    expect(
        grad,
        wanted,
        "∂L/∂I (T, B, N)",
        "What arrives at a spike passes σ′, what is carried keeps β.",
    )


def check_loop(recurrent_gradient) -> None:
    """an error goes back through the loop: V, turned round, and then σ′"""
    cur = torch.full((2, 1, 2), 0.6)
    g_spk = torch.zeros(2, 1, 2)
    g_spk[1, 0, 1] = 1.0  # neuron 1, last step
    V = torch.tensor([[0.0, 0.0], [0.8, 0.0]])
    _, grad, _ = results(recurrent_gradient, cur, V, g_spk, beta=0.0)
    last = float(surrogate(torch.tensor(0.6 - 1)))  # δ of neuron 1 at step 1: no spikes, so U = 0.6
    wanted = last * 0.8 * last  # through V[1, 0], then σ′ of neuron 0 at step 0
    got = float(grad[0, 0, 0])
    if abs(got) < 1e-9:
        raise Wrong(
            f"the error of neuron 1 does not reach neuron 0, one step earlier: got 0, expected {wanted:.3g}. From "
            "a neuron back to those that feed it the way is Vᵀ: for rows that is delta @ V."
        )
    if abs(got - last * 0.8) < 1e-6:
        raise Wrong(
            f"step 0: got {got:.3g}, expected {wanted:.3g}. What comes back through V arrives at a spike, so it passes σ′."
        )
    if abs(got - wanted) > 1e-6:
        raise Wrong(
            f"step 0, neuron 0: got {got:.3g}, expected {wanted:.3g}: V[1, 0] times σ′, once each."
        )


def check_autograd(recurrent_gradient) -> None:
    """∂L/∂I and ∂L/∂V equal autograd through 30 steps"""

    class Fire(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).float()

        @staticmethod
        def backward(ctx, g):
            return g * surrogate(ctx.saved_tensors[0])

    cur = torch.rand(30, 3, 4).requires_grad_()
    V = (0.5 * torch.randn(4, 4)).requires_grad_()
    g_spk = torch.randn(30, 3, 4)
    mem = spk = torch.zeros(3, 4)
    spikes = []
    for cur_t in cur:
        mem = 0.8 * mem + cur_t + spk @ V.T - spk.detach()
        spk = Fire.apply(mem - 1)
        spikes.append(spk)
    wanted_cur, wanted_V = torch.autograd.grad((g_spk * torch.stack(spikes)).sum(), [cur, V])
    _, grad_cur, grad_V = results(recurrent_gradient, cur.detach(), V.detach(), g_spk)
    expect(
        grad_cur,
        wanted_cur,
        "∂L/∂I (T, B, N)",
        "Both terms of δ[t+1], for all neurons at once.",
        1e-4,
    )
    if isinstance(grad_V, Tensor) and grad_V.shape == (4, 4):
        if torch.allclose(grad_V, wanted_V.T, rtol=1e-3, atol=1e-4):
            raise Wrong(
                "∂L/∂V is turned round: its row i belongs to δ of neuron i, its column j to the spike of j."
            )
    smell = "δ[t] meets the spikes of the step before, S[t−1]: at the first step there are none."
    expect(grad_V, wanted_V, "∂L/∂V (N, N)", smell, 1e-4)


EXERCISE = Exercise(
    solve=recurrent_gradient,
    checks=(check_forward, check_snntorch, check_membrane, check_loop, check_autograd),
    hints=(
        "Two loops. The first keeps mem and spk of each step in lists. The second goes through them from the end, "
        "with delta in the place of mem.",
        "Forward, V·S for a batch of rows is spk @ V.T. Backward, Vᵀ·δ is delta @ V. Start with delta = zeros.",
        "delta = surrogate(mem_rec[t] - threshold) * (g_spk[t] + delta @ V) + beta * delta; grad_cur[t] = delta; "
        "and, if t > 0, grad_V += delta.T @ spk_rec[t - 1].",
    ),
    why="A loop gives the error a second way back, β + V·σ′ in place of β. That way may be as long as you like, and "
    "it may also make the error grow at each step: section 6 measures both.",
)

if __name__ == "__main__":
    EXERCISE.main()
