"""05a  Read an angle from a crowd

Lesson 05, section 2. Write the population vector: neuron i casts a vote for its preferred angle sᵢ,
with as many voices as it has spikes. Votes are arrows, and the answer is the direction of their sum:

    P = Σᵢ nᵢ·(cos sᵢ, sin sᵢ)          ŝ = direction of P

``counts`` is (B, N): B trials, N neurons. ``preferred`` is (N,), in degrees. Return the angles (B,) in
degrees, from −180 to 180; do all trials at once, without a loop over them. About 10 minutes.

Run:  uv run exercises/05a_population_vector.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def population_vector(counts: Tensor, preferred: Tensor) -> Tensor:
    """Counts ``(B, N)`` and preferred angles in degrees ``(N,)`` → decoded angles in degrees ``(B,)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def decode(population_vector, counts: Tensor, preferred: Tensor) -> Tensor:
    """The student's angles, if they are one number a trial."""
    found = population_vector(counts, preferred)
    if found is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(found, Tensor) or found.shape != counts.shape[:1]:
        shape = tuple(getattr(found, "shape", ()))
        raise Wrong(
            f"got the shape {shape} for {len(counts)} trials of {counts.shape[1]} neurons, expected "
            f"({len(counts)},): one angle a trial. Sum over the neurons, the last dimension."
        )
    return found


def ring(num_neurons: int) -> Tensor:
    """Preferred angles, spread evenly: ``(N,)``."""
    return 360 * (torch.arange(num_neurons) + 0.5) / num_neurons - 180


def hill(s: Tensor, preferred: Tensor) -> Tensor:
    """Counts without noise, ``(B, N)``: a bell over the preferred angles."""
    distance = (s[:, None] - preferred + 180) % 360 - 180
    return 2 + 20 * torch.exp(-(distance**2) / (2 * 25.0**2))


def check_two(population_vector) -> None:
    """two neurons: 3 spikes for 0° and 4 for 90° point to 53.1°"""
    preferred = torch.tensor([0.0, 90.0])
    counts = torch.tensor([[3.0, 4.0], [1.0, 1.0], [5.0, 0.0]])
    found = decode(population_vector, counts, preferred)
    first = found[0].item()
    if abs(first - 0.9273) < 0.01:
        raise Wrong("trial 0: 0.927, expected 53.1. This is in radians: torch.rad2deg at the end.")
    if abs(first - 36.87) < 0.1:
        raise Wrong("trial 0: 36.9°, expected 53.1°. atan2 takes y first, then x.")
    if abs(first - 51.43) < 0.1:
        raise Wrong(
            "trial 0: 51.4°, expected 53.1°. This is the average of the angles, weighted by the counts."
        )
    if abs(first - 45) < 0.1:
        raise Wrong("trial 0: 45°, expected 53.1°. Do the counts weigh the votes?")
    smell = (
        "Counts 3 and 4 for 0° and 90°: three steps along x, four along y. torch.cos wants radians."
    )
    expect(found, torch.tensor([53.1301, 45.0, 0.0]), "ŝ (B)", smell)


def check_round(population_vector) -> None:
    """finds the angle all around the circle, if there is no noise"""
    preferred = ring(24)
    s = torch.tensor([-170.0, -100.0, -45.0, 10.0, 80.0, 135.0, 172.0])
    found = decode(population_vector, hill(s, preferred), preferred)
    off = (found - s + 180) % 360 - 180
    worst = int(off.abs().argmax())
    if off[worst].abs() > 0.5:
        smell = "Does it depend on the quadrant? atan(y/x) cannot tell P from −P; atan2(y, x) can."
        raise Wrong(f"stimulus {s[worst]:.0f}°: got {found[worst]:.1f}°. {smell}")


def check_seam(population_vector) -> None:
    """179° and −179° have their middle at 180°"""
    found = decode(population_vector, torch.tensor([[7.0, 7.0]]), torch.tensor([179.0, -179.0]))
    if found.abs().item() < 170:
        raise Wrong(
            f"got {found.item():.1f}°, expected 180° or −180°. Angles are no lengths: add up the arrows, "
            "not the angles."
        )


def check_turn(population_vector) -> None:
    """turn the population by 30°, and every answer turns by 30°"""
    preferred = ring(24)
    counts = torch.poisson(hill(360 * torch.rand(200) - 180, preferred))
    before = decode(population_vector, counts, preferred)
    after = decode(population_vector, counts, preferred + 30)
    turned = (after - before) % 360
    expect(turned, torch.full((200,), 30.0), "turn (B)", "Is sᵢ used in both sums, x and y?")
    if before.max() > 180 or before.min() < -180:
        raise Wrong("some answers lie outside −180° to 180°. atan2 gives this range by itself.")


def check_numbers(population_vector) -> None:
    """16 times as many neurons: a quarter of the error"""
    s = 360 * torch.rand(4000) - 180
    errors = []
    for num_neurons in (24, 384):
        preferred = ring(num_neurons)
        found = decode(population_vector, torch.poisson(hill(s, preferred)), preferred)
        off = (found - s + 180) % 360 - 180
        errors.append(off.square().mean().sqrt().item())
    ratio = errors[0] / errors[1]
    if not 3.5 < ratio < 4.6:
        raise Wrong(
            f"the error fell {ratio:.2f} times ({errors[0]:.2f}° to {errors[1]:.2f}°), expected about 4, "
            "the root of 16. Are all neurons in both sums?"
        )


EXERCISE = Exercise(
    solve=population_vector,
    checks=(check_two, check_round, check_seam, check_turn, check_numbers),
    hints=(
        "For one trial: x = Σ nᵢ·cos sᵢ and y = Σ nᵢ·sin sᵢ. Which function gives a direction from x and y?",
        "counts @ weights sums over neurons for all trials: (B, N) @ (N,) → (B,). Degrees to radians: "
        "torch.deg2rad.",
        "angle = torch.deg2rad(preferred); x = counts @ torch.cos(angle); y the same with sin; "
        "return torch.rad2deg(torch.atan2(y, x)).",
    ),
    why="As arrows, spikes that come from all around cancel and those of the hill add up, and the "
    "circle has no seam. The decoder needs the preferred angles only, not the curves.",
)

if __name__ == "__main__":
    EXERCISE.main()
