"""16b  Fold a BatchNorm

Lesson 16, section 2. A trained network has a convolution and behind it BatchNorm, which by now is a fixed
scale and offset for each channel:

    y = γ·(conv(x) − μ)/√(σ² + ε) + β

A neuron that adds up currents knows no BatchNorm. Put scale and offset into the convolution: find the
weight and bias of one convolution that gives y at once, for every x.

``weight`` is (C_out, C_in, k, k). ``bias`` is (C_out,), or None: many convolutions before a BatchNorm have none.
``norm`` is an nn.BatchNorm2d in eval mode: γ is norm.weight, β norm.bias, μ norm.running_mean, σ²
norm.running_var, ε norm.eps; each of the first four is (C_out,). Return the new weight and bias. Leave what
you were given as it was. About 10 minutes.

Run:  uv run exercises/16b_fold_batchnorm.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def fold(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight ``(C_out, C_in, k, k)`` and bias ``(C_out,)`` of the convolution with ``norm`` inside."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

OUT, IN = 5, 3


def make_norm() -> nn.BatchNorm2d:
    """γ = 1, β = 0, μ = 0, and σ² such that nothing happens at all."""
    norm = nn.BatchNorm2d(OUT, eps=0.01).eval()
    norm.running_var.fill_(1 - norm.eps)
    return norm


def folded(
    fold, weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d
) -> tuple[Tensor, Tensor]:
    """The student's weight and bias, if there are two of the right shape."""
    kept = weight.clone()
    returned = fold(weight, bias, norm)
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("got one thing, expected two: end with 'return weight, bias'.")
    if not torch.equal(weight, kept):
        raise Wrong(
            "the weight that was given has changed: write weight * scale, not weight *= scale."
        )
    w, b = returned
    if not isinstance(w, Tensor) or w.shape != weight.shape:
        shape = tuple(w.shape) if isinstance(w, Tensor) else type(w).__name__
        raise Wrong(f"the weight: got {shape}, expected the shape {tuple(weight.shape)}.")
    if not isinstance(b, Tensor) or b.shape != (OUT,):
        shape = tuple(b.shape) if isinstance(b, Tensor) else type(b).__name__
        raise Wrong(f"the bias: got {shape}, expected the shape ({OUT},), one number a channel.")
    return w, b


def check_nothing(fold) -> None:
    """a BatchNorm that does nothing changes nothing"""
    weight, bias = torch.randn(OUT, IN, 3, 3), torch.randn(OUT)
    w, b = folded(fold, weight, bias, make_norm())
    expect(w, weight, "W (C_out, C_in, k, k)", "Here γ = 1 and σ² + ε = 1: is ε under the root?")
    expect(b, bias, "b (C_out)", "Here β = 0 and μ = 0: the convolution's own bias has to stay.")


def check_scale(fold) -> None:
    """the scale is one number for each channel that comes out"""
    weight, norm = torch.randn(OUT, IN, 3, 3), make_norm()
    norm.running_var.copy_(torch.tensor([0.25, 1.0, 4.0, 9.0, 16.0]) - norm.eps)
    norm.weight.data.copy_(torch.tensor([1.0, 2.0, 2.0, 3.0, 2.0]))
    factor = torch.tensor([2.0, 2.0, 1.0, 1.0, 0.5])
    w, _ = folded(fold, weight, None, norm)
    got = [(w[c] / weight[c]).mean().item() for c in range(OUT)]
    for c in range(OUT):
        variance = norm.running_var[c].item() + norm.eps
        if abs(got[c] - norm.weight[c].item() / variance) < 1e-3 and abs(variance - 1) > 0.01:
            raise Wrong(
                f"channel {c}: the weights are {got[c]:.4g} times as large, expected {factor[c]:g}. That is γ "
                "over the variance; BatchNorm divides by its root."
            )
    smell = "W times γ/√(σ² + ε), with one factor for each of the first axis: view(-1, 1, 1, 1)."
    expect(w, weight * factor.view(-1, 1, 1, 1), "W (C_out, C_in, k, k)", smell, 1e-4)


def check_offset(fold) -> None:
    """the mean that BatchNorm takes away was not scaled yet"""
    norm = make_norm()
    norm.running_var.fill_(4 - norm.eps)
    norm.running_mean.fill_(3.0)
    norm.bias.data.fill_(0.5)
    _, b = folded(fold, torch.randn(OUT, IN, 3, 3), None, norm)
    got = b[0].item()
    if abs(got + 2.5) < 1e-4:
        raise Wrong(
            "channel 0: the bias is −2.5, expected −1. μ is taken off before the scale: it shrinks too."
        )
    if abs(got - 2.0) < 1e-4:
        raise Wrong("channel 0: the bias is 2, expected −1. μ is taken off, not added.")
    expect(
        b,
        torch.full((OUT,), -1.0),
        "b (C_out)",
        "b = β − μ·γ/√(σ² + ε) without a bias of its own.",
        1e-4,
    )


def check_own_bias(fold) -> None:
    """a bias of the convolution is scaled, too"""
    norm = make_norm()
    norm.running_var.fill_(4 - norm.eps)
    _, b = folded(fold, torch.randn(OUT, IN, 3, 3), torch.full((OUT,), 6.0), norm)
    if abs(b[0].item()) < 1e-4:
        raise Wrong(
            "channel 0: the bias is 0, expected 3. The convolution had a bias of 6, which is lost."
        )
    if abs(b[0].item() - 6) < 1e-4:
        raise Wrong(
            "channel 0: the bias is 6, expected 3. BatchNorm scales what the convolution adds, too."
        )
    expect(b, torch.full((OUT,), 3.0), "b (C_out)", "b = β + (b − μ)·γ/√(σ² + ε).", 1e-4)


def check_network(fold) -> None:
    """one convolution gives what convolution and BatchNorm gave"""
    norm = nn.BatchNorm2d(OUT).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 4)
    norm.weight.data.normal_()
    norm.bias.data.normal_()
    weight, x = torch.randn(OUT, IN, 3, 3), torch.randn(4, IN, 8, 8)
    for bias in (None, torch.randn(OUT)):
        w, b = folded(fold, weight, bias, norm)
        got = F.conv2d(x, w, b, padding=1)
        wanted = norm(F.conv2d(x, weight, bias, padding=1))
        smell = "Each part was right alone. A negative γ is a scale like any other."
        expect(got, wanted, "y (B, C, H, W)", smell, 1e-4)


EXERCISE = Exercise(
    solve=fold,
    checks=(check_nothing, check_scale, check_offset, check_own_bias, check_network),
    hints=(
        "Write conv(x) = W∗x + b into the formula and sort: what multiplies x, and what stands alone?",
        "scale = γ/√(σ² + ε) multiplies all that the convolution gives, W∗x and b. What stands alone is "
        "β + (b − μ)·scale; b is 0 if bias is None.",
        "scale = norm.weight / torch.sqrt(norm.running_var + norm.eps); weight * scale.view(-1, 1, 1, 1) and "
        "norm.bias + (own - norm.running_mean) * scale, with own = bias, or 0.0 if that is None.",
    ),
    why="After training BatchNorm is linear, and a linear map behind a linear map is one linear map; so a "
    "neuron needs no BatchNorm, only other weights.",
)

if __name__ == "__main__":
    EXERCISE.main()
