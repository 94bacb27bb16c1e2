"""05d  Broken on purpose: twenty neurons, one vote

Lesson 05, section 5. A colleague trains a network whose 200 output neurons stand for 10 classes: with
snnTorch's ce_count_loss(population_code=True), the loss falls as it should. Then she counts the votes
with the function below, and the network is hardly better than chance. Where she has just 10 outputs
and one time step, the same function is right.

Find two faults, and mend them. ``spk_rec`` is (T, B, N): T time steps, B images, N output neurons, of
which N/K belong to each of the K classes. Return the votes, (B, K): all spikes that the neurons of each
class fire in all steps. In snnTorch the neurons of a class are neighbours. Try it without looking at the
lesson's code. About 10 minutes.

Run:  uv run exercises/05d_broken_votes.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch.functional as SF
import torch
from torch import Tensor


def class_votes(spk_rec: Tensor, num_classes: int) -> Tensor:
    """Output spikes ``(T, B, N)`` → spikes for each class ``(B, K)``."""
    fired = (spk_rec.sum(0) > 0).float()  # (B, N)
    by_class = fired.unflatten(1, (-1, num_classes))
    return by_class.sum(1)


# ---- nothing to edit below this line


def votes(class_votes, spk_rec: Tensor, num_classes: int) -> Tensor:
    """The student's votes, if they have the right shape."""
    found = class_votes(spk_rec, num_classes)
    if found is None:
        raise Wrong("got None. Is there a return?")
    wanted = (spk_rec.shape[1], num_classes)
    if not isinstance(found, Tensor) or tuple(found.shape) != wanted:
        shape = tuple(getattr(found, "shape", ()))
        raise Wrong(
            f"got the shape {shape}, expected {wanted}: images, classes. spk_rec was "
            f"{tuple(spk_rec.shape)}."
        )
    return found.float()


def check_plain(class_votes) -> None:
    """10 outputs, one step: each neuron is a class"""
    spk_rec = (torch.rand(1, 6, 10) < 0.3).float()
    smell = "This was right before. Does each neuron still stand for its own class?"
    expect(votes(class_votes, spk_rec, 10), spk_rec[0], "votes (B, K)", smell)


def check_one_neuron(class_votes) -> None:
    """6 outputs for 3 classes: a single spike goes to the class of its neuron"""
    for neuron in range(6):
        spk_rec = torch.zeros(1, 1, 6)
        spk_rec[0, 0, neuron] = 1
        found = votes(class_votes, spk_rec, 3)[0]
        if found.sum() != 1:
            raise Wrong(f"one spike gives {found.sum():g} votes in all, expected 1.")
        got = int(found.argmax())
        if got != neuron // 2:
            raise Wrong(
                f"output {neuron} of 6 voted for class {got}, expected {neuron // 2}. The loss counts "
                "outputs 0 and 1 for class 0, 2 and 3 for class 1, 4 and 5 for class 2."
            )


def check_time(class_votes) -> None:
    """a neuron that fires in three steps has three votes"""
    spk_rec = torch.zeros(5, 1, 4)
    spk_rec[:3, 0, 0] = 1  # class 0: one neuron, three spikes
    spk_rec[4, 0, 2:] = 1  # class 1: two neurons, a spike each
    found = votes(class_votes, spk_rec, 2)[0].tolist()
    if found == [1, 2]:
        raise Wrong(
            "votes are 1 and 2, expected 3 and 2. Neurons that fired are counted, not their spikes: "
            "what became of the time steps?"
        )
    if found[0] < 1:
        raise Wrong(
            f"votes are {found[0]:.3g} and {found[1]:.3g}, expected 3 and 2: a sum, no mean."
        )
    expect(torch.tensor(found), torch.tensor([3.0, 2.0]), "votes (K)", "Every spike is one vote.")


def check_snntorch(class_votes) -> None:
    """answers as often right as snnTorch says"""
    for num_neurons, num_classes in ((200, 10), (60, 3)):
        spk_rec = (torch.rand(7, 300, num_neurons) < 0.2).float()
        y = torch.randint(0, num_classes, (300,))
        for image in range(0, 300, 2):  # every second image excites the neurons of its class
            own = num_neurons // num_classes
            start = int(y[image]) * own
            spk_rec[:, image, start : start + own] = (torch.rand(7, own) < 0.4).float()
        found = votes(class_votes, spk_rec, num_classes).argmax(1)
        got = (found == y).float().mean().item()
        wanted = SF.accuracy_rate(spk_rec, y, population_code=True, num_classes=num_classes)
        if abs(got - wanted) > 1e-6:
            raise Wrong(
                f"{num_neurons} outputs, {num_classes} classes: {100 * got:.1f} % right, expected "
                f"{100 * wanted:.1f} %. Does it work for any number of neurons a class?"
            )


EXERCISE = Exercise(
    solve=class_votes,
    checks=(check_plain, check_one_neuron, check_time, check_snntorch),
    hints=(
        "Follow a single spike of output 1 of 6, for 3 classes. To which class does unflatten give it?",
        "unflatten(1, (a, b)) makes output j the element [j // b, j % b]. Which of the two is the class?",
        "counts = spk_rec.sum(0); return counts.unflatten(1, (num_classes, -1)).sum(2).",
    ),
    why="Nothing crashes when a loss and a read-out group the same neurons differently: the shapes fit. "
    "And whoever counts the neurons that fired, not their spikes, throws away the time steps.",
)

if __name__ == "__main__":
    EXERCISE.main()
