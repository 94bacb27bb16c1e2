"""09d  Broken on purpose: which images choose, and which are reported?

Lesson 09, section 1. A colleague trains for many epochs, keeps the network of every epoch, chooses the
best and reports its accuracy. The program runs, its numbers look good, and they are too good. There
are two faults. Find them and mend them:

    the last ``n_val`` of the training images choose the network; no network was trained on them
    the chosen network alone is asked for the test images, once, and for all of them

``nets`` is the list of networks, one an epoch. ``accuracy(net, x, y)`` gives the share of images ``x`` whose
class ``y`` the network finds. ``x_train, y_train`` are all training images, ``x_test, y_test`` all test
images. About 10 minutes.

Run:  uv run exercises/09d_validation.py
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable

from tutor.exercises import Exercise, Wrong

import torch
from torch import Tensor

Net = Callable[[Tensor], Tensor]  # images (B, …) → classes (B,)


def accuracy(net: Net, x: Tensor, y: Tensor) -> float:
    """Share of the images whose class the network finds."""
    return (net(x) == y).float().mean().item()


def choose_and_report(
    nets: list[Net], x_train: Tensor, y_train: Tensor, x_test: Tensor, y_test: Tensor, n_val: int
) -> tuple[int, float]:
    """The place in ``nets`` of the chosen network, and the accuracy to report."""
    x_val = x_test[:n_val]
    y_val = y_test[:n_val]
    best = 0
    best_accuracy = 0.0
    for i, net in enumerate(nets):
        found = accuracy(net, x_val, y_val)
        if found > best_accuracy:
            best = i
            best_accuracy = found
    return best, best_accuracy


# ---- nothing to edit below this line

TRAIN, VAL, TEST = 300, 100, 200


def images() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """ "Images" that are their own number, so that a network can tell which it is shown."""
    x_train = torch.arange(TRAIN)
    x_test = torch.arange(1000, 1000 + TEST)
    return x_train, torch.randint(0, 10, (TRAIN,)), x_test, torch.randint(0, 10, (TEST,))


class Known:
    """A network that knows the images of some numbers and guesses wrong on all others; it keeps count."""

    def __init__(self, y_train: Tensor, y_test: Tensor, known: set[int]) -> None:
        self.y = {i: int(y_train[i]) for i in range(TRAIN)}
        self.y |= {1000 + i: int(y_test[i]) for i in range(TEST)}
        self.known = known
        self.shown: list[int] = []

    def __call__(self, x: Tensor) -> Tensor:
        """The right class of the images it knows, another one for the rest."""
        answers = []
        for image in x.tolist():
            self.shown.append(image)
            answers.append(self.y[image] if image in self.known else (self.y[image] + 1) % 10)
        return torch.tensor(answers)


def outcome(choose_and_report, *args) -> tuple[int, float]:
    """The two things returned, checked for their kind."""
    returned = choose_and_report(*args)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("expected two things: the place of the chosen network, and an accuracy.")
    best, reported = returned
    return int(best), float(reported)


def check_guessing(choose_and_report) -> None:
    """30 networks that only guess are reported as guessing: 10 %"""
    reports = []
    for _ in range(60):
        data = images()
        nets = [lambda x: torch.randint(0, 10, x.shape)] * 30
        reports.append(outcome(choose_and_report, nets, *data, VAL)[1])
    mean = 100 * sum(reports) / len(reports)
    if not 8.5 < mean < 11.5:
        raise Wrong(
            f"30 networks that only guess are reported at {mean:.1f} % on average, expected 10 %. The "
            "best of 30 is lucky on the images that chose it; other images have to be reported."
        )


def check_choice(choose_and_report) -> None:
    """the last n_val training images choose"""
    x_train, y_train, x_test, y_test = images()
    last = set(range(TRAIN - VAL, TRAIN))
    first = set(range(TRAIN - VAL))
    places = [
        "knows the images it was trained on",
        "knows the validation images",
        "knows the test images",
    ]
    nets = [
        Known(y_train, y_test, first),
        Known(y_train, y_test, last),
        Known(y_train, y_test, set(range(1000, 1000 + TEST))),
    ]
    best, _ = outcome(choose_and_report, nets, x_train, y_train, x_test, y_test, VAL)
    if best != 1:
        raise Wrong(
            f"of three networks, one for each part of the images, the one that {places[best]} was "
            "chosen, expected the one that knows the last n_val training images."
        )


def check_test_untouched(choose_and_report) -> None:
    """test images are shown to the chosen network alone, each of them once"""
    x_train, y_train, x_test, y_test = images()
    last = list(range(TRAIN - VAL, TRAIN))
    nets = [Known(y_train, y_test, set(last[: 10 * i])) for i in (1, 3, 9, 2)]
    best, _ = outcome(choose_and_report, nets, x_train, y_train, x_test, y_test, VAL)
    for i, net in enumerate(nets):
        seen = [image for image in net.shown if image >= 1000]
        if i != best and seen:
            raise Wrong(f"network {i} was not chosen, and was shown {len(seen)} test images.")
        if i == best and sorted(seen) != x_test.tolist():
            raise Wrong(
                f"the chosen network was shown {len(seen)} test images, expected each of the {TEST} "
                "once."
            )


def check_report(choose_and_report) -> None:
    """what is reported is the chosen network's accuracy on all test images"""
    x_train, y_train, x_test, y_test = images()
    known = set(range(TRAIN - VAL, TRAIN)) | set(range(1000, 1000 + TEST // 4))
    nets = [Known(y_train, y_test, known), Known(y_train, y_test, set(range(1000, 1000 + TEST)))]
    _, reported = outcome(choose_and_report, nets, x_train, y_train, x_test, y_test, VAL)
    if abs(reported - 0.25) > 1e-6:
        raise Wrong(
            f"reported {100 * reported:.0f} %, expected 25 %: the chosen network knows a quarter of "
            "all test images."
        )


EXERCISE = Exercise(
    solve=choose_and_report,
    checks=(check_guessing, check_choice, check_test_untouched, check_report),
    hints=(
        "For each number the program computes, ask: of which images? And have these chosen already?",
        "The first two lines take validation images from the wrong set. The return line reports the "
        "accuracy that won the choice.",
        "x_val = x_train[-n_val:], y_val likewise; at the end: return best, accuracy(nets[best], x_test, "
        "y_test).",
    ),
    why="The best of many is partly the luckiest: a number that has chosen something is no estimate "
    "any more, so the images that choose and the images that are reported must be different ones.",
)

if __name__ == "__main__":
    EXERCISE.main()
