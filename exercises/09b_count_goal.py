"""09b  A loss that asks for spike counts

Lesson 09, section 3. Write the loss that snnTorch calls mse_count_loss. Each output neuron has a goal:
the neuron of the right class shall spike in the share ``correct_rate`` of the T steps, every other one
in the share ``incorrect_rate``. The loss is the mean, over images and neurons, of the squared distance
between count and goal, divided by T:

    L = mean over b, k of (Σ_t S[t, b, k] − goal[b, k])² / T

Goals are whole numbers of spikes: T times the rate, rounded down with int(). ``spk_rec`` is (T, B, K),
``y`` holds the right classes, (B,). Plain PyTorch, no snntorch.functional. About 10 minutes.

Run:  uv run exercises/09b_count_goal.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch.functional as SF
import torch
from torch import Tensor


def count_goal_loss(
    spk_rec: Tensor, y: Tensor, correct_rate: float, incorrect_rate: float
) -> Tensor:
    """Spikes ``(T, B, K)`` and right classes ``(B,)`` → one number."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def spikes(counts: list[list[int]], num_steps: int) -> Tensor:
    """Spikes ``(T, B, K)``: each neuron fires at its first steps, as often as ``counts (B, K)`` says."""
    steps = torch.arange(num_steps).reshape(-1, 1, 1)
    return (steps < torch.tensor(counts)).float()


def check_goal(count_goal_loss) -> None:
    """is zero where every count has reached its goal"""
    y = torch.tensor([2, 0])
    at_goal = spikes([[2, 2, 8], [8, 2, 2]], 10)
    loss = count_goal_loss(at_goal, y, 0.8, 0.2)
    turned = count_goal_loss(spikes([[8, 8, 2], [2, 8, 8]], 10), y, 0.8, 0.2)
    if loss is not None and float(loss) > 1 and float(turned) < 1e-6:
        raise Wrong(
            "the loss is zero when the wrong neurons fire 8 times and the right one 2 times: the two "
            "goals are swapped."
        )
    smell = "Right neuron 8 of 10 steps, wrong ones 2: nothing is left to be asked for."
    expect(loss, torch.tensor(0.0), "L ()", smell)


def check_silence(count_goal_loss) -> None:
    """punishes a wrong neuron for silence as much as for twice its goal"""
    y = torch.tensor([0])
    silent = float(count_goal_loss(spikes([[8, 0]], 10), y, 0.8, 0.2))
    loud = float(count_goal_loss(spikes([[8, 4]], 10), y, 0.8, 0.2))
    if silent == 0.0:
        raise Wrong(
            "a silent wrong neuron costs 0, expected 0.2. Its goal is 2 spikes, not none: those keep "
            "it near the threshold, where it can still learn."
        )
    if abs(silent - loud) > 1e-6:
        raise Wrong(
            f"0 spikes cost {silent:.4g} and 4 spikes {loud:.4g}, expected the same: both are 2 "
            "away from the goal of 2. Is the distance squared?"
        )


def check_scale(count_goal_loss) -> None:
    """has the right size: mean over images and neurons, divided by T"""
    y = torch.tensor([0, 1])
    loss = count_goal_loss(spikes([[5, 2], [2, 8]], 10), y, 0.8, 0.2)
    got = float(loss)
    wanted = 3**2 / 4 / 10  # one of four counts is 3 away
    guesses = {
        10 * wanted: "Divided by T?",
        4 * wanted: "The mean over images and neurons, not the sum.",
        2 * wanted: "The mean over images and neurons: 4 numbers here, not 2.",
        wanted / 10: "Counts are sums over time. Here they seem to be rates, means over time.",
    }
    for guess, smell in guesses.items():
        if abs(got - guess) < 1e-6:
            raise Wrong(f"L is {got:.4g}, expected {wanted:.4g}. {smell}")
    expect(loss, torch.tensor(wanted), "L ()", "One of the four counts is 3 away from its goal.")


def check_gradient(count_goal_loss) -> None:
    """pulls a count up that is too low, and down one that is too high"""
    spk_rec = spikes([[5, 5]], 10).requires_grad_()
    loss = count_goal_loss(spk_rec, torch.tensor([0]), 0.8, 0.2)
    if not loss.requires_grad:
        raise Wrong("no gradient reaches the spikes: .item(), int() or detach() has cut the way.")
    (grad,) = torch.autograd.grad(loss, spk_rec)
    wanted = torch.tensor([-3.0, 3.0]) / 10  # 2·(count − goal)/(B·K·T), the same at all steps
    smell = "Every step of a neuron gets the same push, towards its goal."
    expect(grad, wanted.expand(10, 1, 2), "∂L/∂S (T, B, K)", smell)


def check_snntorch(count_goal_loss) -> None:
    """equals snntorch.functional.mse_count_loss"""
    for num_steps, right, wrong in ((25, 0.8, 0.2), (7, 1.0, 0.0), (9, 0.75, 0.25)):
        spk_rec = (torch.rand(num_steps, 16, 10) < 0.4).float()
        y = torch.randint(0, 10, (16,))
        wanted = SF.mse_count_loss(correct_rate=right, incorrect_rate=wrong)(spk_rec, y)
        loss = count_goal_loss(spk_rec, y, right, wrong)
        smell = f"T = {num_steps}, rates {right:g} and {wrong:g}: are the goals whole numbers?"
        expect(loss, wanted, "L ()", smell)


EXERCISE = Exercise(
    solve=count_goal_loss,
    checks=(check_goal, check_silence, check_scale, check_gradient, check_snntorch),
    hints=(
        "First the counts, (B, K). Then a tensor of goals of the same shape. Then one line.",
        "Fill the goals with int(T * incorrect_rate), and set goal[b, y[b]] for every image b.",
        "goal[torch.arange(len(y)), y] = int(T * correct_rate); the loss is "
        "((counts - goal) ** 2).mean() / T.",
    ),
    why="Asking wrong neurons for a few spikes costs energy, and keeps them near the threshold: there "
    "the surrogate has a slope, and they can be won back.",
)

if __name__ == "__main__":
    EXERCISE.main()
