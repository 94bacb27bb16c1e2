"""19a  Round weights to b bits, and learn through the rounding

Lesson 19, sections 1 and 2. Write equations (1) and (2): the rounded weights of a layer, through which
a gradient passes as if nothing had been rounded.

    s_o = max|w_o| / (2^(b−1) − 1)       q = round(w / s_o)       ŵ = s_o·q       ∂L/∂w = ∂L/∂ŵ

``w`` is (I, O): I inputs, and O output channels, each with a scale of its own. ``bits`` is 2 or more.
Return ŵ, (I, O). The scale counts as a constant: no gradient goes through it. A channel whose weights
are all 0 stays 0. ``torch.round`` and ``detach`` are all that you need from PyTorch. About 10 minutes.

Run:  uv run exercises/19a_quantise_by_hand.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def rounded(w: Tensor, bits: int) -> Tensor:
    """Weights ``(I, O)`` → ŵ ``(I, O)``, with the gradient of the straight-through estimator."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line

CHANNEL = torch.tensor([0.8, 0.5, 0.3, -0.1, -0.6, 0.2]).reshape(6, 1)


def values(rounded, w: Tensor, bits: int) -> Tensor:
    """ŵ as plain numbers, if it is a tensor of the right shape."""
    got = rounded(w.clone(), bits)
    if not isinstance(got, Tensor):
        raise Wrong(f"got {type(got).__name__}, expected a tensor ŵ. Is there a return?")
    if got.shape != w.shape:
        raise Wrong(f"ŵ has shape {tuple(got.shape)}, expected {tuple(w.shape)}, that of w.")
    return got.detach()


def check_two_bits(rounded) -> None:
    """2 bits leave −s, 0 and s"""
    got = values(rounded, CHANNEL, 2)
    wanted = torch.tensor([0.8, 0.8, 0, 0, -0.8, 0]).reshape(6, 1)
    if torch.allclose(got, torch.sign(wanted)):
        raise Wrong(
            "ŵ holds −1, 0 and 1: these are the integers q. Multiply them by the scale again."
        )
    if torch.allclose(got, 0.4 * torch.round(CHANNEL / 0.4)):
        raise Wrong(
            "step 0.4, expected 0.8. With 2 bits the largest integer is 2^(2−1) − 1 = 1, not 2: ±1 and 0."
        )
    smell = "Divide by the scale, round to the nearest integer, multiply by the scale."
    expect(got, wanted, "ŵ (I, O)", smell)


def check_channels(rounded) -> None:
    """each channel has a scale of its own"""
    w = torch.stack([torch.linspace(-1, 1, 9), torch.linspace(-0.01, 0.01, 9)], 1)
    got = values(rounded, w, 4)
    if not got[:, 1].any():
        raise Wrong(
            "channel 1, whose weights are a hundredth of those of channel 0, becomes 0 altogether. One "
            "large channel has set the scale for both: take the maximum over the inputs only, per column."
        )
    step = w.abs().amax(0) / 7
    if ((got - w).abs() > step / 2 + 1e-7).any():
        raise Wrong(
            "a weight lies more than half a step from its rounded value. Is it the nearest one?"
        )
    expect(got[0], w[0], "largest weight of a channel (C)", "It is an allowed value itself.")


def check_bits(rounded) -> None:
    """b bits allow 2^b − 1 values, for b = 2 … 8"""
    w = torch.linspace(-1, 1, 20_001).reshape(-1, 1)
    for bits in (2, 3, 4, 8):
        found = len(
            torch.unique((values(rounded, w, bits) * (2 ** (bits - 1) - 1)).round(decimals=3))
        )
        if found != 2**bits - 1:
            raise Wrong(f"{bits} bits: {found} different values, expected {2**bits - 1}.")


def check_zero(rounded) -> None:
    """a channel of zeros stays zero"""
    w = torch.zeros(4, 2)
    w[:, 0] = torch.tensor([0.3, -0.3, 0.1, 0.0])
    got = values(rounded, w, 4)
    if torch.isnan(got).any():
        raise Wrong(
            "channel 1 is NaN: its scale is 0, and 0/0 is not a number. Keep the scale above 0."
        )
    if got[:, 1].any():
        raise Wrong("channel 1 has only zeros, and they do not stay 0.")


def check_gradient(rounded) -> None:
    """the gradient passes as if nothing were rounded"""
    w = CHANNEL.clone().requires_grad_()
    out = rounded(w, 4)
    if not out.requires_grad:
        raise Wrong(
            "ŵ has no gradient at all: everything is detached. Only the difference ŵ − w may be."
        )
    weight = torch.arange(1.0, 7.0).reshape(6, 1)
    (grad,) = torch.autograd.grad((weight * out).sum(), w)
    if not grad.any():
        raise Wrong("∂L/∂w is 0: round is flat. Return w plus a difference that is detached.")
    if torch.allclose(grad[1:], weight[1:]) and not torch.allclose(grad[0], weight[0]):
        raise Wrong(
            f"∂L/∂w of the largest weight is {float(grad[0]):.4g}, expected 1: a gradient goes through "
            "the scale as well. Detach it."
        )
    expect(grad, weight, "∂L/∂w (I, O)", "∂L/∂w has to equal ∂L/∂ŵ.")


EXERCISE = Exercise(
    solve=rounded,
    checks=(check_two_bits, check_channels, check_bits, check_zero, check_gradient),
    hints=(
        "The scale is one number a column: w.detach().abs().amax(0), divided by the largest integer.",
        "s.clamp(min=…) with something tiny keeps a column of zeros from 0/0. ŵ = s·round(w/s).",
        "s = (w.detach().abs().amax(0) / (2 ** (bits - 1) - 1)).clamp(min=1e-12); hat = s * "
        "torch.round(w / s); return w + (hat - w).detach().",
    ),
    why="The number that comes out is ŵ, the derivative is that of w: so the loss sees what the chip "
    "will compute, and small steps of w add up until a rounded value jumps.",
)

if __name__ == "__main__":
    EXERCISE.main()
