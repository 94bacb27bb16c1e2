"""08d  What is held, and where

Lesson 08, section 6. A network of nn.Linear (with bias) and snn.Leaky has the layers
``sizes[0]``–``sizes[1]``–…, so [784, 256, 10] is the network of the lesson. It runs with ``batch_size``
images for ``num_steps`` steps. Count, without building it:

    the parameters                                     what a checkpoint holds
    the potentials that it holds at any one moment     its state
    the potentials of all steps together               training keeps these, and spikes besides

Return these three whole numbers, in this order. Paper first. About 5 minutes.

Run:  uv run exercises/08d_parameters_and_state.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong

import snntorch as snn
import torch
from torch import nn


def count(sizes: list[int], batch_size: int, num_steps: int) -> tuple[int, int, int]:
    """Parameters, potentials at one moment, and potentials of all steps together."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def answer(count, sizes: list[int], batch_size: int, num_steps: int) -> tuple[int, int, int]:
    """The student's three numbers."""
    returned = count(list(sizes), batch_size, num_steps)
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple | list) or len(returned) != 3:
        raise Wrong("expected three numbers: parameters, potentials, potentials of all steps.")
    return tuple(returned)


def measured(sizes: list[int], batch_size: int, num_steps: int) -> tuple[int, int, int]:
    """The same three numbers of a network that is built and run."""
    layers = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
    lifs = [snn.Leaky(beta=0.9) for _ in layers]
    mems = [lif.init_leaky() for lif in lifs]
    held, all_steps = 0, 0
    for _ in range(num_steps):
        spk = torch.rand(batch_size, sizes[0])
        for i, (fc, lif) in enumerate(zip(layers, lifs, strict=True)):
            spk, mems[i] = lif(fc(spk), mems[i])
        held = sum(mem.numel() for mem in mems)
        all_steps += held
    parameters = sum(p.numel() for fc in layers for p in fc.parameters())
    return parameters, held, all_steps


CASES = (([3, 2], 5, 4), ([6, 5, 4, 3], 2, 7), ([10, 1, 8], 1, 3))


def check_parameters(count) -> None:
    """parameters: weights and biases, whatever B and T are"""
    for sizes, batch_size, num_steps in CASES:
        got, _, _ = answer(count, sizes, batch_size, num_steps)
        wanted, _, _ = measured(sizes, batch_size, num_steps)
        if got == wanted:
            continue
        who = f"{'–'.join(map(str, sizes))}: got {got} parameters, expected {wanted}."
        weights = sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))
        if got == weights:
            raise Wrong(f"{who} Each neuron has a bias, too.")
        if got > wanted and got % wanted == 0:
            raise Wrong(f"{who} They are shared by all images and all steps.")
        raise Wrong(f"{who} A layer of n inputs and m neurons has n·m weights and m biases.")


def check_state(count) -> None:
    """state: one potential for each neuron and image"""
    for sizes, batch_size, num_steps in CASES:
        _, got, _ = answer(count, sizes, batch_size, num_steps)
        _, wanted, _ = measured(sizes, batch_size, num_steps)
        if got == wanted:
            continue
        who = (
            f"{'–'.join(map(str, sizes))}, B = {batch_size}, T = {num_steps}: got {got} potentials, "
            f"expected {wanted}."
        )
        if got == batch_size * sum(sizes):
            raise Wrong(f"{who} The inputs are no neurons and have no potential.")
        if got == sum(sizes[1:]):
            raise Wrong(f"{who} Each image of the batch has potentials of its own.")
        if got == wanted * num_steps:
            raise Wrong(f"{who} A step overwrites the potentials of the step before.")
        raise Wrong(f"{who} Count the neurons of all layers but the input.")


def check_steps(count) -> None:
    """training keeps the potentials of every step"""
    for sizes, batch_size, num_steps in CASES:
        _, state, got = answer(count, sizes, batch_size, num_steps)
        _, _, wanted = measured(sizes, batch_size, num_steps)
        if got != wanted:
            raise Wrong(
                f"{'–'.join(map(str, sizes))}, B = {batch_size}, T = {num_steps}: got {got} potentials in all "
                f"steps, expected {wanted}: the state of {state}, once for each step. (Spikes are not asked for.)"
            )


def check_lesson(count) -> None:
    """the lesson's network: 203,530 parameters"""
    got, state, _ = answer(count, [784, 256, 10], 100, 25)
    if (got, state) != (203_530, 26_600):
        raise Wrong(
            f"784–256–10 with 100 images: got {got} and {state}, expected 203,530 parameters and "
            "26,600 potentials."
        )


EXERCISE = Exercise(
    solve=count,
    checks=(check_parameters, check_state, check_steps, check_lesson),
    hints=(
        "Which of the three numbers know the batch, and which know the number of steps?",
        "Go through neighbours: zip(sizes, sizes[1:]). A pair (n, m) is a layer with n·m + m parameters.",
        "parameters = sum((n + 1) * m …); state = batch_size * sum(sizes[1:]); in all steps num_steps times that.",
    ),
    why="Parameters belong to the network, state to an image at a moment. Only training keeps the past, and "
    "that is what makes long sequences expensive.",
)

if __name__ == "__main__":
    EXERCISE.main()
