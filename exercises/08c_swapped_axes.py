"""08c  Broken on purpose: every shape fits

Lesson 08, sections 1 and 5. The function shows each image for ``num_steps`` steps and gives one answer for
each. No size of batch and no number of steps makes it raise an error; the answers have the right shape; and they are
wrong. Follow the axes from line to line, and mend them.

``images`` are (B, F). ``layers`` are two nn.Linear; the neurons are made inside the function. Return the
answers, (B,). About 8 minutes.

Run:  uv run exercises/08c_swapped_axes.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor, nn


@torch.no_grad()
def classify(layers: tuple[nn.Linear, nn.Linear], images: Tensor, num_steps: int) -> Tensor:
    """The class with most output spikes, for each of the images ``(B, F)``: ``(B,)``."""
    fc1, fc2 = layers
    lif1, lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    x = torch.stack([images] * num_steps, dim=1)
    spk_list = []
    for x_t in x:
        spk1, mem1 = lif1(fc1(x_t), mem1)
        spk2, mem2 = lif2(fc2(spk1), mem2)
        spk_list.append(spk2)
    spk_rec = torch.stack(spk_list)
    return spk_rec.sum(1).argmax(1)


# ---- nothing to edit below this line


def make() -> tuple[nn.Linear, nn.Linear]:
    """Two layers, 6–20–4, that spike a lot."""
    layers = nn.Linear(6, 20), nn.Linear(20, 4)
    with torch.no_grad():
        for fc in layers:
            fc.weight.mul_(3)
    return layers


def answers_of(classify, layers, images: Tensor, num_steps: int) -> Tensor:
    """The student's answers, if there is one for each image."""
    answers = classify(layers, images, num_steps)
    if answers is None:
        raise Wrong("got None. Is there a return?")
    if tuple(answers.shape) != (len(images),):
        raise Wrong(
            f"{len(images)} images for {num_steps} steps: got answers of shape {tuple(answers.shape)}, "
            f"expected ({len(images)},). Which axis of spk_rec is time now, and which one has to vanish?"
        )
    if answers.max() > 3:
        raise Wrong(f"there is an answer {int(answers.max())}, but the classes are 0 to 3.")
    return answers


def alone(layers, image: Tensor, num_steps: int) -> Tensor:
    """Output spikes of one image ``(F,)`` shown alone, over time: ``(T, K)``."""
    fc1, fc2 = layers
    lif1, lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    spk_rec = []
    with torch.no_grad():
        for _ in range(num_steps):
            spk1, mem1 = lif1(fc1(image[None]), mem1)
            spk2, mem2 = lif2(fc2(spk1), mem2)
            spk_rec.append(spk2[0])
    return torch.stack(spk_rec)


def check_shape(classify) -> None:
    """one answer for each image, whatever T and B are"""
    layers = make()
    for size, num_steps in ((3, 8), (8, 3), (5, 5), (1, 7)):
        answers_of(classify, layers, torch.rand(size, 6), num_steps)


def check_order(classify) -> None:
    """an image gets the same answer at any place in the batch"""
    layers, images = make(), 2 * torch.rand(40, 6)
    forwards = answers_of(classify, layers, images, 12)
    backwards = answers_of(classify, layers, images.flip(0), 12).flip(0)
    off = int((forwards != backwards).sum())
    if off:
        raise Wrong(
            f"{off} of 40 answers change when the images are given in reverse. What passes from one image "
            "to the next? Over which axis does the loop run?"
        )


def check_single(classify) -> None:
    """it is the answer that the image gets alone"""
    layers, images = make(), 2 * torch.rand(40, 6)
    wanted = torch.stack([alone(layers, image, 12).sum(0).argmax() for image in images])
    smell = "Is it the class with most spikes over all steps?"
    expect(answers_of(classify, layers, images, 12), wanted, "answers (B)", smell)


def check_time(classify) -> None:
    """more steps make a difference"""
    layers, images = make(), 2 * torch.rand(200, 6)
    short = answers_of(classify, layers, images, 2)
    long = answers_of(classify, layers, images, 40)
    if torch.equal(short, long):
        raise Wrong(
            "2 and 40 steps give 200 equal answers. Is each image shown for num_steps steps?"
        )


EXERCISE = Exercise(
    solve=classify,
    checks=(check_shape, check_order, check_single, check_time),
    hints=(
        "Write the shape of x, x_t, spk2 and spk_rec behind their lines, for B = 3 and T = 8.",
        "torch.stack(…, dim=1) puts the steps second, but the loop takes its first axis as time. When that "
        "is mended, what has to change in the last line?",
        "x = torch.stack([images] * num_steps), which is (T, B, F); and spk_rec.sum(0).argmax(1).",
    ),
    why="Two swaps cancelled in the shapes and not in the meaning: the potentials ran from image to "
    "image. The test that finds this is not one of shapes: an answer must not depend on its neighbours.",
)

if __name__ == "__main__":
    EXERCISE.main()
