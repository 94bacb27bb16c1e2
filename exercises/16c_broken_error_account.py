"""16c  Broken on purpose: nobody is uneven

Lesson 16, section 4. The function shows currents to integrate-and-fire neurons and divides the error of
their rates, θ·(spikes/T) − relu(mean current), into three parts:

    clipping        what lies above the ceiling θ
    quantisation    what the stairs of equation (3) change, for a *steady* current of the same mean
    unevenness      all that is left: the charge did not come in equal portions

It runs, and it reports hardly any unevenness, even of a neuron that gets +1.2 and then −1.2 and fires although
it has got nothing. There are two faults. Mend them: the neuron itself is right.

``cur`` is (T, N), θ > 0, ``charge`` is V[0] in units of θ. Return the three parts, each (N,), in this order;
their sum has to be the error. About 12 minutes.

Run:  uv run exercises/16c_broken_error_account.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def error_account(cur: Tensor, theta: float, charge: float) -> tuple[Tensor, Tensor, Tensor]:
    """Currents ``(T, N)`` → clipping, quantisation and unevenness, each ``(N,)``."""
    T = len(cur)
    mem = torch.full_like(cur[0], charge * theta)
    spikes = torch.zeros_like(cur[0])
    for cur_t in cur:
        mem = mem + cur_t
        spk = (mem > theta).to(cur.dtype)
        mem = mem - theta * spk
        spikes += spk
    rate = theta * spikes / T  # (N,)
    mean = cur.relu().mean(0)  # (N,)
    ceiling = mean.clamp(0, theta)
    stairs = theta * (torch.floor(T * mean / theta) / T).clamp(0, 1)
    return ceiling - mean, stairs - ceiling, rate - stairs


# ---- nothing to edit below this line


def parts_of(
    error_account, cur: Tensor, theta: float, charge: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The student's three parts, if there are three."""
    returned = error_account(cur.clone(), theta, charge)
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple) or len(returned) != 3:
        raise Wrong("expected three parts: 'return clipping, quantisation, unevenness'.")
    for part in returned:
        if not isinstance(part, Tensor) or part.shape != cur.shape[1:]:
            raise Wrong(
                f"each part has to be a tensor of shape {tuple(cur.shape[1:])}, one number a neuron."
            )
    return returned


def count(cur: Tensor, theta: float, charge: float) -> Tensor:
    """Spikes of integrate-and-fire neurons for ``cur (T, N)``: ``(N,)``."""
    mem, spikes = torch.full_like(cur[0], charge * theta), torch.zeros_like(cur[0])
    for cur_t in cur:
        mem = mem + cur_t
        spk = (mem > theta).to(cur.dtype)
        mem, spikes = mem - theta * spk, spikes + spk
    return spikes


def check_burst(error_account) -> None:
    """a spike that should not be is unevenness, and nothing else"""
    cur = torch.zeros(10, 1)
    cur[1], cur[6] = 1.2, -1.2
    clipping, quantisation, unevenness = parts_of(error_account, cur, 1.0, 0.0)
    off = [float(p[0]) for p in (clipping, quantisation, unevenness)]
    if abs(off[2] - 0.1) > 1e-5:
        raise Wrong(
            f"+1.2 at step 1, −1.2 at step 6: the neuron has got nothing and fires once in 10 steps, so "
            f"unevenness is 0.1. Got {off[2]:.4g}. What is the mean of these currents, and what does the "
            "program take for it?"
        )
    expect(
        clipping + quantisation,
        torch.zeros(1),
        "clipping + quantisation (N)",
        "The mean is 0 here.",
    )


def check_steady(error_account) -> None:
    """a steady current is not uneven, wherever the neuron starts"""
    cur = torch.tensor([0.137, 0.437, 0.91, -0.31, 1.7]).expand(12, 5).clone()
    for charge in (0.0, 0.5):
        _, _, unevenness = parts_of(error_account, cur, 1.0, charge)
        if unevenness.abs().max() > 1e-5:
            n = int(unevenness.abs().argmax())
            raise Wrong(
                f"V[0] = {charge:g}·θ, a steady current of {cur[0, n]:.3f}: unevenness is {unevenness[n]:.4g}, "
                "expected 0. What is missing in the stairs? Compare with equation (3)."
            )


def check_units(error_account) -> None:
    """θ = 3 with three times the current is three times the error"""
    cur = 0.8 * torch.randn(20, 50) + 0.3
    ones = parts_of(error_account, cur, 1.0, 0.5)
    threes = parts_of(error_account, 3 * cur, 3.0, 0.5)
    for name, a, b in zip(("clipping", "quantisation", "unevenness"), ones, threes, strict=True):
        expect(b, 3 * a, f"{name} (N)", "Is θ·V[0]/θ in the stairs, and θ in front of them?", 1e-3)


def check_order(error_account) -> None:
    """clipping and quantisation do not know in which order the currents came"""
    cur = torch.randn(16, 200)
    first = parts_of(error_account, cur, 0.7, 0.5)
    turned = parts_of(error_account, cur.flip(0), 0.7, 0.5)
    for name, a, b in zip(("clipping", "quantisation"), first, turned, strict=False):
        expect(b, a, f"{name} (N)", "It has to follow from the mean current alone.", 1e-4)


def check_sum(error_account) -> None:
    """the parts add up to the error"""
    cur = torch.randn(16, 300) + 0.2
    wanted = 0.9 * count(cur, 0.9, 0.5) / 16 - cur.mean(0).relu()
    clipping, quantisation, unevenness = parts_of(error_account, cur, 0.9, 0.5)
    smell = (
        "θ·spikes/T − relu(mean current). A negative mean is no clipping: the ReLU removes it, too."
    )
    expect(clipping + quantisation + unevenness, wanted, "sum of the parts (N)", smell, 1e-4)
    if (clipping > 1e-6).any():
        raise Wrong("clipping is above 0 somewhere: a ceiling can only take away.")


EXERCISE = Exercise(
    solve=error_account,
    checks=(check_burst, check_steady, check_units, check_order, check_sum),
    hints=(
        "Take the neuron of the first check through the function by hand: which mean does it compute?",
        "The ReLU belongs behind the mean, not before it: what comes in with a minus counts. And where does "
        "the neuron start, and where do the stairs start?",
        "z = cur.mean(0); clipping = z.clamp(0, theta) − z.relu(); the stairs are "
        "theta * (torch.floor(charge + T * z / theta) / T).clamp(0, 1).",
    ),
    why="A ReLU of the mean and a mean of ReLUs differ by just what unevenness is made of: charge that comes "
    "with a plus first and with a minus later, or the other way round.",
)

if __name__ == "__main__":
    EXERCISE.main()
