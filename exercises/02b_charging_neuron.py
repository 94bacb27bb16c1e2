"""02b  When does a neuron answer?

Lesson 02, section 1. Without ``linear=True`` spikegen.latency uses the time at which a real membrane
would fire. A steady current that would lift it to x in the end charges it from 0 at t = 0:

    U(t) = x·(1 − exp(−t/τ))           it fires when U(t) = θ

Solve this for t, and make spikes of it: one spike at step t, rounded (torch.round), for each pixel
that gets there at all. A pixel with x ≤ θ never fires, and one whose time comes after the last step
T − 1 does not fire either.

``x`` has the shape (B,), ``tau`` (τ) is in steps. Return spikes, 0 or 1, of the shape (T, B), where T is
``num_steps``. About 10 minutes.

Run:  uv run exercises/02b_charging_neuron.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math

from tutor.exercises import Exercise, Wrong, expect

import torch
from snntorch import spikegen
from torch import Tensor


def first_spikes(x: Tensor, num_steps: int, tau: float, threshold: float) -> Tensor:
    """Intensities ``(B,)`` → spikes ``(T, B)``, at most one a pixel."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def train(first_spikes, x: Tensor, num_steps: int, tau: float, threshold: float) -> Tensor:
    """The student's spikes as floats, if they have the right shape."""
    spk = first_spikes(x, num_steps, tau, threshold)
    if spk is None:
        raise Wrong("got None. Is there a return?")
    spk = torch.as_tensor(spk).float()
    if spk.shape == x.shape:
        raise Wrong(
            f"got shape {tuple(spk.shape)}. Are these the times? Make a train of them: (T, B)."
        )
    if spk.shape != (num_steps, len(x)):
        raise Wrong(f"got shape {tuple(spk.shape)}, expected {(num_steps, len(x))}: time first.")
    return spk


def check_times(first_spikes) -> None:
    """a pixel that U lifts to θ in k steps fires at step k"""
    # 1 − exp(−k/τ) of its way is done after k steps, so x = θ/(1 − exp(−k/τ)).
    for tau, threshold in ((5.0, 0.2), (12.0, 0.1)):
        steps = torch.tensor([2, 5, 9, 17])
        x = threshold / (1 - torch.exp(-steps / tau))
        spk = train(first_spikes, x, 30, tau, threshold)
        for i, k in enumerate(steps.tolist()):
            found = torch.nonzero(spk[:, i])[:, 0].tolist()
            if found == [k]:
                continue
            who = f"τ = {tau:g}, θ = {threshold:g}, x = {x[i]:.3f}: spikes at steps {found}, expected [{k}]."
            linear = round((1 - x[i].item()) * 29)
            if found == [linear]:
                raise Wrong(f"{who} This is the linear code, equation (2).")
            if found == [round(k / tau)]:
                raise Wrong(f"{who} Your time is in units of τ, not in steps.")
            raise Wrong(f"{who} With that t, is x·(1 − exp(−t/τ)) = θ?")


def check_silent(first_spikes) -> None:
    """at and below θ a pixel never fires"""
    x = torch.tensor([0.0, 0.1, 0.2, 0.3])
    spk = train(first_spikes, x, 40, 5.0, 0.2)
    for i in range(3):
        if spk[:, i].any():
            step = int(spk[:, i].argmax())
            raise Wrong(
                f"x = {x[i]:.1f} fires at step {step}, expected never: U climbs towards x, and θ is 0.2. "
                "Outside x > θ the logarithm is infinite or no number at all."
            )
    if not spk[:, 3].any():
        raise Wrong("x = 0.3 never fires, expected one spike: θ is 0.2.")


def check_late(first_spikes) -> None:
    """a time after the last step is no spike"""
    x = torch.tensor([0.201, 0.9])  # t = 5·ln(0.201/0.001) = 26.5
    spk = train(first_spikes, x, 20, 5.0, 0.2)
    if spk[-1, 0] == 1:
        raise Wrong(
            "x = 0.201 fires at the last step, 19, expected never: its time is 27. Whoever cuts times "
            "off at T − 1 makes a crowd of late spikes there."
        )
    if spk[:, 0].any():
        raise Wrong("x = 0.201 fires within 20 steps, but its time is 27.")


def check_spikegen(first_spikes) -> None:
    """the same spikes as spikegen.latency"""
    x = torch.rand(500)
    for tau, threshold, num_steps in ((5.0, 0.01, 30), (3.0, 0.3, 8)):
        options = {"threshold": threshold, "tau": tau, "clip": True, "bypass": True}
        wanted = spikegen.latency(x, num_steps=num_steps, **options)
        spk = train(first_spikes, x, num_steps, tau, threshold)
        expect(spk, wanted, "S (T, N)", f"τ = {tau:g}, θ = {threshold:g}, T = {num_steps}.")


def check_order(first_spikes) -> None:
    """brighter is never later"""
    x = torch.linspace(0.06, 1, 200)
    spk = train(first_spikes, x, 200, 20.0, 0.05)
    times = spk.argmax(0)[spk.any(0)]
    if (times.diff() > 0).any():
        raise Wrong("a brighter pixel fires later than a darker one. Is the fraction upside down?")
    if math.isclose(times.float().std().item(), 0):
        raise Wrong("all pixels fire at the same step.")


EXERCISE = Exercise(
    solve=first_spikes,
    checks=(check_times, check_silent, check_late, check_order, check_spikegen),
    hints=(
        "x·(1 − exp(−t/τ)) = θ: get the exponential alone, then take the logarithm.",
        "t = τ·ln(x/(x − θ)). Then compare the rounded time with every step number from 0 to T − 1.",
        "when = torch.round(tau * torch.log(x / (x - threshold))); step = torch.arange(num_steps)[:, None]; "
        "return ((when == step) & (x > threshold)).float().",
    ),
    why="A neuron does this by itself: the stronger its input, the sooner it fires. A latency code is "
    "the answer of a LIF neuron to a current that is switched on, read up to its first spike.",
)

if __name__ == "__main__":
    EXERCISE.main()
