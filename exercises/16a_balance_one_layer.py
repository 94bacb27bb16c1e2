"""16a  Balance one layer

Lesson 16, sections 2 and 3. The lesson's neurons have a θ of their own and spikes of that height. A chip
has θ = 1 everywhere and spikes of height 1, so the thresholds have to go into the weights. Do it for
one linear layer of an ANN with ReLUs, by equation (4):

    λ = the smallest value that a share ``share`` of the layer's activations do not exceed (a quantile)
    W ← W·λ_before/λ        b ← b/λ

``weight`` is (N, M), ``bias`` (N,). ``a_before`` (B, M) are the activations of the layer before, for B
images, ``a`` (B, N) those of this layer: relu(a_before·Wᵀ + b). λ_before is taken from ``a_before`` as λ is
from ``a``: one number for a whole layer. Return the new weight and the new bias. About 10 minutes.

Run:  uv run exercises/16a_balance_one_layer.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor


def balance(
    weight: Tensor, bias: Tensor, a_before: Tensor, a: Tensor, share: float
) -> tuple[Tensor, Tensor]:
    """The weight ``(N, M)`` and the bias ``(N,)`` for spikes of height 1 and θ = 1."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def layer(images: int = 400) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A layer 6 → 5 and the activations before and behind it."""
    weight, bias = torch.randn(5, 6), torch.randn(5)
    a_before = 3 * torch.randn(images, 6).relu()
    return weight, bias, a_before, (a_before @ weight.T + bias).relu()


def balanced(balance, weight, bias, a_before, a, share) -> tuple[Tensor, Tensor]:
    """The student's weight and bias, if there are two."""
    returned = balance(weight.clone(), bias.clone(), a_before, a, share)
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("got one thing, expected two: end with 'return weight, bias'.")
    for what, got, wanted in zip(("weight", "bias"), returned, (weight, bias), strict=True):
        if not isinstance(got, Tensor) or got.shape != wanted.shape:
            shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
            raise Wrong(f"the {what}: got {shape}, expected the shape {tuple(wanted.shape)}.")
    return returned


def check_bias(balance) -> None:
    """the bias goes to the new scale"""
    weight, bias, a_before, a = layer()
    _, b = balanced(balance, weight, bias, a_before, a, 1.0)
    top, before = a.max(), a_before.max()
    if torch.allclose(b, bias):
        raise Wrong(
            f"the bias is as it was. Currents are read in units of λ = {top:.4g} now: all of them, the "
            "bias too."
        )
    if torch.allclose(b, bias * before / top, rtol=1e-4):
        raise Wrong(
            "the bias was multiplied by λ_before/λ like the weights. It does not come from the layer "
            "before: no spike carries it."
        )
    expect(b, bias / top, "b (N)", "With share = 1, λ is the largest activation.", 1e-4)


def check_scale(balance) -> None:
    """activations in units of λ_before go in, activations in units of λ come out"""
    weight, bias, a_before, a = layer()
    top, before = a.max(), a_before.max()
    w, b = balanced(balance, weight, bias, a_before, a, 1.0)
    if torch.allclose(w, weight / top, rtol=1e-4):
        raise Wrong(
            f"the weights were divided by λ only. What comes in is in units of λ_before = {before:.4g}: the "
            "weights have to multiply that back."
        )
    if torch.allclose(w, weight * top / before, rtol=1e-4):
        raise Wrong("the weights were multiplied by λ/λ_before: the fraction stands upside down.")
    got = (a_before / before @ w.T + b).relu()
    expect(
        got,
        a / top,
        "relu(W·x + b) (B, N)",
        "Is it λ_before that multiplies, and λ that divides?",
        1e-4,
    )


def check_outlier(balance) -> None:
    """one outlier in a thousand does not decide"""
    weight, bias, a_before, a = layer(1000)
    a = a.clone()
    a[7, 2] = 500.0
    w, b = balanced(balance, weight, bias, a_before, a, 0.99)
    lam, before = torch.quantile(a.flatten(), 0.99), torch.quantile(a_before.flatten(), 0.99)
    if torch.allclose(b, bias / 500.0, rtol=1e-3):
        raise Wrong(
            "one activation of 500 among 5,000 has become λ: all other rates are a hundred times lower now. "
            "Is share used?"
        )
    each = torch.quantile(a, 0.99, dim=0)
    if torch.allclose(b, bias / each, rtol=1e-3):
        raise Wrong("there is a λ for every neuron; here one number is asked for the whole layer.")
    expect(b, bias / lam, "b (N)", "λ: torch.quantile of all activations of the layer.", 0.02)
    smell = "λ is right; λ_before is a quantile, too, of a_before."
    expect(w, weight * before / lam, "W (N, M)", smell, 0.02)


def check_spikes(balance) -> None:
    """with θ = 1 and spikes of height 1, rates are activations in units of λ"""
    weight, bias, a_before, a = layer(40)
    share, steps = 0.95, 400
    w, b = balanced(balance, weight, bias, a_before, a, share)
    lam, before = torch.quantile(a.flatten(), share), torch.quantile(a_before.flatten(), share)
    cur = (
        a_before / before @ w.T + b
    )  # the steady current, if the layer before shows its rates exactly
    lif, mem, count = snn.Leaky(beta=1.0), torch.zeros_like(cur), torch.zeros_like(cur)
    for _ in range(steps):
        spk, mem = lif(cur, mem)
        count += spk
    wanted = (a / lam).clamp(max=1)
    expect(count / steps, wanted, "rate (B, N)", "Activations above λ show the rate 1.", 0.01)


EXERCISE = Exercise(
    solve=balance,
    checks=(check_bias, check_scale, check_outlier, check_spikes),
    hints=(
        "First the two numbers: λ of this layer and λ_before, each from all activations of its layer.",
        "torch.quantile(a.flatten(), share) is λ. Which of the two numbers multiplies the weights, and "
        "which divides them? A bias gets nothing from the layer before.",
        "return weight * lam_before / lam, bias / lam",
    ),
    why="ReLU lets positive factors through, relu(c·z) = c·relu(z), so the ANN's answer stays; what "
    "changes is the scale on which a neuron with θ = 1 reads its current.",
)

if __name__ == "__main__":
    EXERCISE.main()
