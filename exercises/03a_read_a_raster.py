"""03a  Read a raster

Lesson 03, sections 1 and 2. A recording ``spk`` is (T, N): T steps of 1 ms, N neurons, 1 for a spike.
Read it in both directions and return three things, in this order:

    rates      the firing rate of each neuron in Hz (spikes per second), (N,)
    dead       the share of neurons that never fire, a number from 0 to 1
    together   the largest share of the neurons that fire in one and the same step, a number from 0 to 1

About 5 minutes.

Run:  uv run exercises/03a_read_a_raster.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def read_raster(spk: Tensor) -> tuple[Tensor, float, float]:
    """``spk (T, N)``, steps of 1 ms → rates in Hz ``(N,)``, share of dead neurons, largest share
    of neurons that fire in one step."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def answer(read_raster, spk: Tensor):
    """The student's three things."""
    returned = read_raster(spk.clone())
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple) or len(returned) != 3:
        raise Wrong("expected three things: end with 'return rates, dead, together'.")
    return returned


def check_rates(read_raster) -> None:
    """one rate a neuron, in Hz"""
    spk = torch.zeros(200, 3)
    spk[::20, 0] = 1  # a spike every 20 ms
    spk[[7, 9], 1] = 1
    rates, _, _ = answer(read_raster, spk)
    rates = torch.as_tensor(rates).float()
    if rates.shape == (200,):
        raise Wrong(
            "rates: got one number a step, expected one a neuron. A row of the raster is a column of "
            "spk: which dimension is time?"
        )
    wanted = torch.tensor([50.0, 10.0, 0.0])
    if rates.shape == (3,) and torch.allclose(rates, wanted / 1000):
        raise Wrong(
            f"neuron 0: rates is {rates[0]:.3g}, expected 50. That is per step; a second has 1,000."
        )
    if rates.shape == (3,) and torch.allclose(rates, wanted / 5):
        raise Wrong(
            f"neuron 0: rates is {rates[0]:.3g}, expected 50. That is the number of spikes, and the "
            "recording lasts 0.2 s."
        )
    expect(rates, wanted, "rates (N)", "10 spikes in 0.2 s are 50 Hz.")


def check_dead(read_raster) -> None:
    """a neuron is dead if it never fires, not if it is quiet at some step"""
    spk = torch.zeros(50, 4)
    spk[:, 0] = 1
    spk[13, 2] = 1
    _, dead, _ = answer(read_raster, spk)
    if abs(float(dead) - 2) < 1e-6:
        raise Wrong("dead is 2, expected 0.5: a share of the 4 neurons, not their number.")
    smell = "Of 4 neurons, one fires always, one once, and two never."
    expect(float(dead), 0.5, "dead", smell)


def check_together(read_raster) -> None:
    """down a column: the moment that most neurons share"""
    spk = torch.zeros(30, 5)
    spk[:, 4] = 1  # a saturated neuron: 30 spikes, but never more than one at a time
    spk[11, :3] = 1
    _, _, together = answer(read_raster, spk)
    if abs(float(together) - 1) < 1e-6:
        raise Wrong(
            "together is 1, expected 0.8. One neuron fires at every step: that is a row. Which step "
            "has most spikes?"
        )
    if abs(float(together) - 4) < 1e-6:
        raise Wrong("together is 4, expected 0.8: a share of the 5 neurons, not their number.")
    expect(float(together), 0.8, "together", "At step 11, four of five neurons fire.")


def check_turned(read_raster) -> None:
    """the order of the neurons does not matter, nor that of the steps"""
    spk = (torch.rand(80, 12) < 0.15).float()
    spk[:, 3] = 0
    rates, dead, together = answer(read_raster, spk)
    turned = answer(read_raster, spk.flip(0).flip(1))
    smell = "The same recording, played backwards and with its neurons in reverse order."
    expect(torch.as_tensor(turned[0]).flip(0), rates, "rates (N)", smell)
    expect(float(turned[1]), float(dead), "dead", smell)
    expect(float(turned[2]), float(together), "together", smell)


EXERCISE = Exercise(
    solve=read_raster,
    checks=(check_rates, check_dead, check_together, check_turned),
    hints=(
        "Two of the three run along the rows of the raster, over time, one down its columns. Dimension "
        "0 of spk is time.",
        "Mean over dimension 0, times 1,000, gives the rates. Which of them are 0? For the last one, take "
        "the mean over dimension 1.",
        "rates = 1000 * spk.mean(0); dead = (rates == 0).float().mean().item(); together = "
        "spk.mean(1).max().item()",
    ),
    why="A row belongs to a neuron and a column to a moment: a mean over the wrong dimension is a number "
    "of the right size about the wrong thing.",
)

if __name__ == "__main__":
    EXERCISE.main()
