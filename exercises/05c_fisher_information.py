"""05c  How much can any decoder know?

Lesson 05, section 3. A population comes as a black box: a function ``rates(s)`` that takes one angle in
degrees (a float) and gives the mean rates of all N neurons, (N,), in spikes a second and in double
precision. Nothing is known of its tuning curves, so their slopes must come from a finite difference.
Return the Fisher information of a count over ``window`` seconds,

    J(s) = Σᵢ T·fᵢ′(s)²/fᵢ(s)          fᵢ′(s) ≈ (fᵢ(s + h) − fᵢ(s − h)) / 2h

as a number, per degree squared. A rate of exactly 0 comes up in one check: such a neuron is silent near
this angle and tells nothing. About 10 minutes.

Run:  uv run exercises/05c_fisher_information.py
"""

from __future__ import annotations

import _root  # noqa: F401

import math
from collections.abc import Callable

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor
from torch.distributions import Poisson


def fisher_information(rates: Callable[[float], Tensor], s: float, window: float) -> float:
    """J(s) in 1/degree², of a population whose mean rates at the angle ``s`` are ``rates(s) (N,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def information(fisher_information, rates, s: float, window: float) -> float:
    """The student's J as a float."""
    found = fisher_information(rates, s, window)
    if found is None:
        raise Wrong("got None. Is there a return?")
    if isinstance(found, Tensor) and found.numel() > 1:
        raise Wrong(
            f"got {found.numel()} numbers, expected one. Informations of the neurons add up."
        )
    return float(found)


def compare(got: float, wanted: float, smell: str) -> None:
    """J is small, so it is compared by its ratio to the right value."""
    expect(got / wanted, 1.0, "J over its right value", smell, tolerance=1e-3)


def line(s: float) -> Tensor:
    """One neuron whose rate is a straight line: f = 10 + 0.2·s."""
    return torch.tensor([10 + 0.2 * s], dtype=torch.float64)


def cosines(s: float, num_neurons: int = 64) -> Tensor:
    """Cosine tuning, 20 + 18·cos(d), preferred angles all around."""
    preferred = 360 * torch.arange(num_neurons, dtype=torch.float64) / num_neurons
    return 20 + 18 * torch.cos(torch.deg2rad(s - preferred))


def bell(s: float) -> Tensor:
    """One bell-shaped neuron that prefers 90°."""
    return 3 + 40 * torch.exp(-torch.tensor([(s - 90.0) ** 2 / (2 * 25.0**2)], dtype=torch.float64))


def check_line(fisher_information) -> None:
    """one neuron, rate 10 + 0.2·s: J = T·0.04/f"""
    for s, window in ((0.0, 1.0), (20.0, 1.0), (20.0, 0.5)):
        f = 10 + 0.2 * s
        wanted = window * 0.04 / f
        got = information(fisher_information, line, s, window)
        smell = ""
        if abs(got - window * 0.04 * f) < 1e-6:
            smell = " This multiplies by f: the noise of the count is √(T·f), so divide."
        elif abs(got - window * 0.2 / f) < 1e-6:
            smell = " The slope is not squared."
        elif abs(got - 4 * wanted) < 1e-3 * wanted:
            smell = " This is 4 times too much: from s − h to s + h it is 2h, not h."
        elif abs(got - wanted / window) < 1e-6 and window != 1:
            smell = " Twice as long a window tells twice as much: where is T?"
        elif abs(got - window * wanted) < 1e-6 and window != 1:
            smell = " T comes in once: (T·f′)² over T·f."
        if abs(got - wanted) > 1e-4 * wanted:
            raise Wrong(f"s = {s:g}, T = {window:g}: J is {got:.6g}, expected {wanted:.6g}.{smell}")


def check_sum(fisher_information) -> None:
    """64 cosines, closed form: J = N·T·(b − √(b² − A²))"""
    wanted = 64 * 0.5 * (20 - math.sqrt(20**2 - 18**2)) * (math.pi / 180) ** 2
    for s in (0.0, 1.7, -170.0):
        got = information(fisher_information, cosines, s, 0.5)
        compare(
            got, wanted, "Each neuron has its own f′² over its own f; the quotients are added up."
        )


def check_flank(fisher_information) -> None:
    """a bell informs on its flanks, and not at its top"""
    top = information(fisher_information, bell, 90.0, 0.5)
    flank = information(fisher_information, bell, 60.0, 0.5)
    if top > 1e-3 * flank:
        raise Wrong(
            f"at the top J is {top:.3g}, on the flank {flank:.3g}. At the top the slope is 0. Is "
            "h too large for this, and the difference one to a single side?"
        )
    slope = -(60 - 90) / 25**2 * (bell(60.0).item() - 3)
    smell = "On the flank the curve bends. Is h small, such as 1e-3 degrees?"
    compare(flank, 0.5 * slope**2 / bell(60.0).item(), smell)


def check_definition(fisher_information) -> None:
    """it is the variance of the score d log P(n|s)/ds, counted over all n"""
    n = torch.arange(0.0, 200.0, dtype=torch.float64)
    s, h = 70.0, 1e-3
    up = Poisson(0.5 * bell(s + h)).log_prob(n)
    down = Poisson(0.5 * bell(s - h)).log_prob(n)
    score = (up - down) / (2 * h)
    wanted = (Poisson(0.5 * bell(s)).log_prob(n).exp() * score**2).sum().item()
    compare(
        information(fisher_information, bell, s, 0.5),
        wanted,
        "One bell, at 70°. Is h small, such as 1e-3 degrees?",
    )


def check_silent(fisher_information) -> None:
    """a neuron that is silent here adds nothing"""

    def with_silent(s: float) -> Tensor:
        return torch.cat([line(s), torch.zeros(1, dtype=torch.float64)])

    got = information(fisher_information, with_silent, 0.0, 1.0)
    if math.isnan(got):
        raise Wrong("J is nan: 0/0. A neuron with the rate 0 has no slope either; leave it out.")
    compare(got, 0.004, "One neuron with 10 + 0.2·s, and one that is silent.")


EXERCISE = Exercise(
    solve=fisher_information,
    checks=(check_line, check_sum, check_flank, check_definition, check_silent),
    hints=(
        "Three calls of rates: at s, at s + h and at s − h. What h is small enough, and not too small?",
        "With h = 1e-3: slope = (rates(s + h) - rates(s - h)) / (2 * h), f = rates(s), both (N,).",
        "alive = f > 0; return (window * slope[alive] ** 2 / f[alive]).sum().item().",
    ),
    why="1/√J is the smallest error that an unbiased decoder can have, for any tuning curves. It lets you "
    "design a population before there is a decoder for it.",
)

if __name__ == "__main__":
    EXERCISE.main()
