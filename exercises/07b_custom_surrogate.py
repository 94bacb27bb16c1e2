"""07b  A surrogate of your own

Lesson 07, section 3. A bell curve is to be the slope of a spike:

    h(x) = exp(−x²/(2·s²))               x = U − θ

It has height 1. Given its full width w at half of its height, find s: at x = ±w/2, h must be 1/2. Then
return a *function* that ``snntorch.surrogate.custom_surrogate`` takes. It is called as

    mine(input_, grad_input, spikes)     input_ is x, grad_input is ∂L/∂S, each (B, N)

in the backward pass, and returns ∂L/∂x. The check puts it into ``snn.Leaky``. About 10 minutes.

Run:  uv run exercises/07b_custom_surrogate.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math  # noqa: F401  (for your lines)
from collections.abc import Callable

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor


def bell(width: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """For ``custom_surrogate``: ∂L/∂x of a spike whose slope is a bell curve of this width."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def made(bell, width: float):
    """What the student made, for this width."""
    mine = bell(width)
    if mine is None:
        raise Wrong("got None. Is there a return? Define a function inside bell, and return it.")
    if not callable(mine):
        raise Wrong(
            f"got {type(mine).__name__}, expected a function of (input_, grad_input, spikes). Define it inside "
            "bell, and return it without calling it."
        )
    return mine


def handed_back(bell, width: float, x: Tensor, error: Tensor) -> Tensor:
    """∂L/∂x as autograd computes it with the student's function in snnTorch."""
    spike_grad = surrogate.custom_surrogate(made(bell, width))
    x = x.clone().requires_grad_()
    spk = spike_grad(x)
    if not torch.equal(spk.detach(), (x > 0).float()):
        raise Wrong("the spikes have changed. The forward pass is not yours to write.")
    return torch.autograd.grad((spk * error).sum(), x)[0]


def check_height(bell) -> None:
    """its height at the threshold is 1"""
    for width in (0.5, 1.0, 3.0):
        got = handed_back(bell, width, torch.zeros(2, 3), torch.ones(2, 3))
        smell = (
            f"width {width}. The density of a normal distribution has area 1; here the height is 1."
        )
        expect(got, torch.ones(2, 3), "h at x = 0 (B, N)", smell)


def check_width(bell) -> None:
    """at a distance of w/2 on either side it is one half"""
    for width in (0.5, 1.0, 3.0):
        x = torch.tensor([[-width / 2, width / 2]])
        got = handed_back(bell, width, x, torch.ones(1, 2))
        if torch.allclose(got, torch.full((1, 2), math.exp(-0.5)), atol=1e-4):
            raise Wrong(
                f"w = {width}: h(w/2) is 0.607, so your s is w/2. Solve h(w/2) = 1/2 for s."
            )
        if torch.allclose(got, torch.full((1, 2), math.exp(-0.125)), atol=1e-4):
            raise Wrong(f"w = {width}: h(w/2) is 0.882, so your s is w. Solve h(w/2) = 1/2 for s.")
        if torch.allclose(got, torch.full((1, 2), 0.5**0.25), atol=1e-4):
            raise Wrong(f"w = {width}: it falls to 1/2 at x = w. Half of the *full* width is w/2.")
        if torch.allclose(got, torch.full((1, 2), 0.5**0.5), atol=1e-4):
            raise Wrong(f"w = {width}: h(w/2) is 0.707. Is the 2 of 2·s² where it belongs?")
        if torch.allclose(got, torch.full((1, 2), 0.25), atol=1e-4):
            raise Wrong(f"w = {width}: h(w/2) is 0.25. Is the 2 of 2·s² where it belongs?")
        expect(got, torch.full((1, 2), 0.5), "h at x = ±w/2 (B, N)", f"w = {width}.")


def check_error(bell) -> None:
    """the error is multiplied; ten times as far from θ it is as good as nothing"""
    error = torch.tensor([[2.0, -3.0, 1.0]])
    x = torch.tensor([[0.5, -0.5, -5.0]])
    got = handed_back(bell, 1.0, x, error)
    wanted = torch.tensor([[1.0, -1.5, 0.0]])
    expect(got, wanted, "∂L/∂x (B, N)", "w = 1; ∂L/∂S is 2, −3, 1 at x = 0.5, −0.5, −5.")


def check_learns(bell) -> None:
    """a silent neuron learns to fire with it, and not with the true gradient"""
    counts = {}
    for name, mine in (("true", lambda x, grad, spk: 0 * grad), ("yours", made(bell, 1.0))):
        weight = torch.full((1,), 0.05, requires_grad=True)
        optimizer = torch.optim.Adam([weight], lr=0.02)
        lif = snn.Leaky(beta=0.8, spike_grad=surrogate.custom_surrogate(mine))
        for _ in range(60):
            mem = torch.zeros(1)
            count = torch.zeros(1)
            for _ in range(20):
                spk, mem = lif(weight * torch.ones(1), mem)
                count = count + spk
            loss = (count - 5).pow(2).sum()  # five spikes are wanted
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        counts[name] = int(count)
    if counts["true"] != 0 or not 3 <= counts["yours"] <= 7:
        raise Wrong(f"five spikes are wanted; after 60 updates yours makes {counts['yours']}.")


EXERCISE = Exercise(
    solve=bell,
    checks=(check_height, check_width, check_error, check_learns),
    hints=(
        "Solve exp(−(w/2)²/(2·s²)) = 1/2 for s. Which logarithm do you need?",
        "(w/2)² = 2·s²·ln 2, so s = w/(2·√(2·ln 2)). Inside bell define mine, and return mine.",
        "s = width / (2 * math.sqrt(2 * math.log(2))); def mine(input_, grad_input, spikes): return grad_input "
        "* torch.exp(-(input_**2) / (2 * s**2)); return mine",
    ),
    why="snnTorch gives your function the potential's distance and the error, and puts what it returns in the "
    "chain; that it belongs to no function in the forward pass does not matter to it.",
)

if __name__ == "__main__":
    EXERCISE.main()
