"""00a  How many steps fit?

Lesson 00, section 3. A network with ``num_inputs`` inputs → Linear → ``num_neurons`` LIF neurons is
trained with a batch of ``batch_size`` images. How many time steps can be unrolled before what is kept for
the backward pass exceeds the memory? By equation (1), with 4 bytes a float:

    bytes(T) = T · B · (N_in + N) · 4  +  a constant

The constant holds the weights and biases of the Linear, N_in·N + N floats. ``memory`` is in bytes. Return
the largest whole T that fits, 0 if none does. About 5 minutes.

Run:  uv run exercises/00a_steps_that_fit.py
"""

from __future__ import annotations

import _root  # noqa: F401

from multistep import saved_for_backward
from tutor.exercises import Exercise, Wrong

import snntorch as snn
import torch
from torch import nn


def steps_that_fit(memory: int, batch_size: int, num_inputs: int, num_neurons: int) -> int:
    """The largest number of time steps whose bytes fit into ``memory`` bytes."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def answer(steps_that_fit, *args: int) -> int:
    """The student's number, a whole one."""
    steps = steps_that_fit(*args)
    if steps is None:
        raise Wrong("got None. Is there a return?")
    if int(steps) != steps:
        raise Wrong(
            f"got {steps}, expected a whole number of steps. A part of a step does not fit."
        )
    return int(steps)


def kept(num_steps: int, batch_size: int, num_inputs: int, num_neurons: int) -> int:
    """Bytes that autograd keeps for a backward pass, asked of autograd itself."""
    fc = nn.Linear(num_inputs, num_neurons)
    lif = snn.Leaky(beta=0.9)
    mem = torch.zeros(batch_size, num_neurons)
    spk_rec = []
    with saved_for_backward(leave_out=[lif.threshold, lif.beta, *fc.parameters()]) as bytes_kept:
        for x_t in torch.rand(num_steps, batch_size, num_inputs):
            spk, mem = lif(fc(x_t), mem)
            spk_rec.append(spk)
        per_step = bytes_kept() // num_steps
    return num_steps * per_step + 4 * (num_inputs + 1) * num_neurons


def check_by_hand(steps_that_fit) -> None:
    """1 GB, 100 images, 500 inputs and 500 neurons: 2,497 steps"""
    got = answer(steps_that_fit, 10**9, 100, 500, 500)
    if got == 2500:
        raise Wrong(
            "got 2,500, expected 2,497. The weights have to fit as well, once: 1,002,000 bytes."
        )
    if got == 9997 or got == 10000:
        raise Wrong(f"got {got:,}, expected 2,497. A float has 4 bytes.")
    if 4900 < got < 5100:
        raise Wrong(f"got {got:,}, expected 2,497. Both the inputs and the potentials are kept.")
    if got > 100_000:
        raise Wrong(f"got {got:,}, expected 2,497. Every image of the batch is kept.")
    if got == 2498:
        raise Wrong(
            "got 2,498, expected 2,497. 2,498 steps and the weights take 1,000,202,000 bytes."
        )
    if got != 2497:
        raise Wrong(f"got {got:,}, expected 2,497: one step takes 100·(500 + 500)·4 bytes.")


def check_measured(steps_that_fit) -> None:
    """autograd agrees: your number of steps fits, one more does not"""
    for sizes in ((16, 30, 50), (4, 100, 10), (32, 7, 64)):
        memory = kept(12, *sizes) + 100
        got = answer(steps_that_fit, memory, *sizes)
        who = f"B, N_in, N = {sizes}, {memory:,} bytes: you say {got} steps."
        if got < 1:
            raise Wrong(f"{who} Autograd keeps {kept(12, *sizes):,} bytes for 12, so they fit.")
        if kept(got, *sizes) > memory:
            raise Wrong(f"{who} Autograd keeps {kept(got, *sizes):,} bytes for them: too many.")
        if kept(got + 1, *sizes) <= memory:
            raise Wrong(
                f"{who} Autograd keeps {kept(got + 1, *sizes):,} bytes for one more: it fits."
            )


def check_edges(steps_that_fit) -> None:
    """exactly full is not too much, and too little memory is no step"""
    one = 8 * (10 + 20) * 4
    weights = (10 * 20 + 20) * 4
    got = answer(steps_that_fit, 3 * one + weights, 8, 10, 20)
    if got != 3:
        raise Wrong(f"memory for exactly 3 steps and the weights: got {got}, expected 3.")
    got = answer(steps_that_fit, 3 * one + weights - 1, 8, 10, 20)
    if got != 2:
        raise Wrong(
            f"one byte less than 3 steps and the weights take: got {got}, expected 2. Are the biases "
            "counted, one for each neuron?"
        )
    got = answer(steps_that_fit, weights - 1, 8, 10, 20)
    if got != 0:
        raise Wrong(f"not even the weights fit: got {got}, expected 0.")


EXERCISE = Exercise(
    solve=steps_that_fit,
    checks=(check_by_hand, check_measured, check_edges),
    hints=(
        "First take the weights off the memory: they are there once. How many bytes does one step take?",
        "One step takes batch_size * (num_inputs + num_neurons) * 4 bytes. // divides and rounds down.",
        "left is memory minus 4 bytes for each weight and bias; the answer is left // one_step, or 0 if that is "
        "negative.",
    ),
    why="Weights are shared by all steps and states are not: from some length on, memory is T·B·(N_in + N) "
    "and nothing else. A smaller batch buys a longer time.",
)

if __name__ == "__main__":
    EXERCISE.main()
