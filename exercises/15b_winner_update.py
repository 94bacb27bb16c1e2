"""15b  What the winner learns

Lesson 15, section 2. A neuron of the STDP layer has fired: it is the winner. Write what happens to
the weights. With x for the traces of the pixels, and w for the weights of the winner alone:

    Δw_i = η·(x_i − w_i)                                    equation (5)
    then all weights of the winner are scaled, so that they add up to ``total`` again

The other neurons learn nothing from this spike. ``w`` is (P, N): P pixels, N neurons, one column for each
neuron. ``x`` is (P,), ``winner`` a column's number. Return new weights (P, N) and leave ``w`` as it is.
About 5 minutes.

Run:  uv run exercises/15b_winner_update.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import torch
from torch import Tensor


def winner_update(w: Tensor, x: Tensor, winner: int, eta: float, total: float) -> Tensor:
    """Weights ``(P, N)`` and traces ``(P,)`` at a spike of neuron ``winner`` → new weights ``(P, N)``."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def weights(num_pixels: int = 12, num_neurons: int = 4, total: float = 3.0) -> Tensor:
    """Random weights, each column with the same sum."""
    w = torch.rand(num_pixels, num_neurons)
    return total * w / w.sum(0)


def updated(winner_update, w: Tensor, x: Tensor, winner: int, eta: float, total: float) -> Tensor:
    """What the student's function returns, if it has the right shape and ``w`` was left alone."""
    kept = w.clone()
    got = winner_update(w, x, winner, eta, total)
    if not torch.equal(w, kept):
        raise Wrong("w itself was changed. Work on a copy: w = w.clone().")
    if got is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(got, Tensor) or got.shape != w.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise Wrong(f"got {shape}, expected the whole table (P, N) = {tuple(w.shape)}.")
    return got


def check_others(winner_update) -> None:
    """the other neurons keep their weights"""
    w = weights()
    w[:, 0] *= 1.5  # this column adds up to 4.5, and is none of the winner's business
    got = updated(winner_update, w, torch.rand(12), 2, 0.1, 3.0)
    changed = [j for j in range(4) if not torch.allclose(got[:, j], w[:, j], atol=1e-6)]
    if changed == [0, 2] and torch.allclose(1.5 * got[:, 0], w[:, 0], atol=1e-6):
        raise Wrong(
            "neuron 0 had weights that add up to 4.5, and they were scaled to 3. Only the winner's "
            "column is scaled: [:, winner]."
        )
    if changed == [0, 1, 2, 3]:
        raise Wrong("all four neurons have learnt, expected neuron 2 alone: the winner.")
    if 2 not in changed:
        raise Wrong("neuron 2 is the winner, and its weights did not change.")
    if len(changed) > 1:
        raise Wrong(f"neurons {changed} have learnt, expected neuron 2 alone: the winner.")


def check_direction(winner_update) -> None:
    """pixels with a trace gain against pixels without one"""
    w = weights()
    x = torch.zeros(12)
    x[:3] = 0.9
    got = updated(winner_update, w, x, 1, 0.1, 3.0)[:, 1]
    share = got / w[:, 1]
    if share[:3].mean() < share[3:].mean():
        raise Wrong(
            "pixels that fired just before the spike lost, and silent ones gained. Towards what does "
            "x_i − w_i move a weight?"
        )
    if torch.allclose(share[3:], torch.full((9,), share[3].item()), atol=1e-6):
        loss = share[3].item()
        plain = 0.9 * 3.0 / (0.9 * w[:, 1] + 0.1 * x).sum().item()
        if abs(loss - plain) > 1e-4:
            raise Wrong(
                f"silent pixels keep {loss:.4f} of their weights, expected {plain:.4f}. A silent pixel "
                "has x_i = 0, and by (5) it loses η·w_i, before the scaling."
            )


def check_sum(winner_update) -> None:
    """the winner's weights add up to the same total"""
    w = weights()
    got = updated(winner_update, w, torch.rand(12), 0, 0.2, 3.0)
    total = got[:, 0].sum().item()
    if abs(total - 3.0) > 1e-4:
        raise Wrong(
            f"the winner's weights add up to {total:.4g}, expected 3: scale them at the end."
        )
    got = updated(winner_update, 2 * w, torch.rand(12), 0, 0.2, 6.0)
    total = got[:, 0].sum().item()
    if abs(total - 6.0) > 1e-4:
        raise Wrong(
            f"total = 6: the winner's weights add up to {total:.4g}. Is 3 written somewhere?"
        )


def check_values(winner_update) -> None:
    """equals equation (5), then the scaling"""
    w = weights()
    x = torch.rand(12)
    wanted = w.clone()
    wanted[:, 3] += 0.3 * (x - wanted[:, 3])
    wanted[:, 3] *= 3.0 / wanted[:, 3].sum()
    got = updated(winner_update, w, x, 3, 0.3, 3.0)
    expect(got, wanted, "weights (P, N)", "First the step of (5), then the scaling.")


def check_learns(winner_update) -> None:
    """after 200 spikes the weights have the shape of the traces"""
    w = weights()
    x = torch.rand(12)
    for _ in range(200):
        w = updated(winner_update, w, x, 1, 0.1, 3.0)
    wanted = 3.0 * x / x.sum()
    expect(w[:, 1], wanted, "weights of the winner (P,)", "Same picture again and again.", 1e-3)


EXERCISE = Exercise(
    solve=winner_update,
    checks=(check_others, check_sum, check_direction, check_values, check_learns),
    hints=(
        "The winner's weights are one column: w[:, winner], of shape (P,), like x.",
        "Copy w; move the column by eta times (x − column); multiply the column by total over its sum.",
        "w = w.clone(); w[:, winner] += eta * (x - w[:, winner]); "
        "w[:, winner] *= total / w[:, winner].sum(); return w.",
    ),
    why="Each spike takes the winner a share η of the way to the picture that made it fire, so its "
    "weights become a running mean of the pictures it wins, and the fixed sum keeps the race fair.",
)

if __name__ == "__main__":
    EXERCISE.main()
