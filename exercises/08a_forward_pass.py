"""08a  A forward pass of any depth

Lesson 08, section 1. The loop on the page has two layers. Write it for any number of them.

``layers`` is a list of pairs (fc, lif), first layer first: an nn.Linear and an snn.Leaky that does *not*
keep its state, so that spk, mem = lif(cur, mem). Each lif.init_leaky() gives a potential at rest. ``x``
has the shape (T, B, N). Return the spikes of the last layer, (T, B, K), and how many spikes each layer
has sent in all, a list with one number a layer. About 10 minutes.

Run:  uv run exercises/08a_forward_pass.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from torch import Tensor, nn

Layers = list[tuple[nn.Linear, snn.Leaky]]


def forward_pass(layers: Layers, x: Tensor) -> tuple[Tensor, list[float]]:
    """Input ``x (T, B, N)`` → output spikes ``(T, B, K)``, and the number of spikes of each layer."""
    raise NotImplementedError("your lines here")


# ---- nothing to edit below this line


def make(sizes: list[int], beta: float = 0.9, weight: float | None = None) -> Layers:
    """Layers with random weights that make them spike, or with all weights equal and no bias."""
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        fc = nn.Linear(inputs, outputs)
        with torch.no_grad():
            if weight is None:
                fc.weight.mul_(4)
            else:
                fc.weight.fill_(weight)
                fc.bias.zero_()
        layers.append((fc, snn.Leaky(beta=beta)))
    return layers


def result(forward_pass, layers: Layers, x: Tensor) -> tuple[Tensor, list[float]]:
    """The student's spikes and counts, if there are two things of the right form."""
    with torch.no_grad():
        returned = forward_pass(layers, x)
    if returned is None:
        raise Wrong("got None. Is there a return?")
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise Wrong("expected two things: the output spikes and the list of numbers.")
    spk_rec, counts = returned
    if isinstance(spk_rec, list):
        raise Wrong("the spikes are a list. torch.stack makes one tensor of its T entries.")
    wanted = (*x.shape[:2], layers[-1][0].out_features)
    if tuple(spk_rec.shape) != wanted:
        raise Wrong(
            f"the spikes have the shape {tuple(spk_rec.shape)}, expected (T, B, K) = {wanted}."
        )
    if len(counts) != len(layers):
        raise Wrong(f"{len(counts)} numbers of spikes for {len(layers)} layers.")
    return spk_rec, [float(count) for count in counts]


def check_one_step(forward_pass) -> None:
    """a spike runs through all layers within one step"""
    layers = make([1, 1, 1, 1], weight=1.5)
    x = torch.zeros(4, 1, 1)
    x[1] = 1.0
    spk_rec, counts = result(forward_pass, layers, x)
    steps = torch.nonzero(spk_rec[:, 0, 0])[:, 0].tolist()
    if not steps:
        raise Wrong(
            "an input at step 1 that makes each layer fire does not come out at all. Does each layer "
            "get the spikes of the one before?"
        )
    if steps[0] != 1:
        raise Wrong(
            f"an input at step 1 comes out of the third layer at step {steps[0]}, expected step 1: a "
            "layer gets the spikes of this very step, not those of the step before."
        )


def check_memory(forward_pass) -> None:
    """each neuron keeps its potential from step to step"""
    layers = make([1, 1], beta=1.0, weight=1.0)
    spk_rec, _ = result(forward_pass, layers, torch.full((9, 1, 1), 0.3))
    # without a leak 0.3 a step exceeds 1 at the 4th step: 1.2; then 0.5, 0.8, 1.1: the 7th; …
    steps = torch.nonzero(spk_rec[:, 0, 0])[:, 0].tolist()
    if not steps:
        raise Wrong(
            "nine inputs of 0.3 without a leak make no spike. Is the potential put back to rest inside "
            "the loop over time?"
        )
    expect(
        torch.tensor(steps), torch.tensor([3, 6]), "times of the spikes (N)", "Input 0.3, β = 1."
    )


def check_own_state(forward_pass) -> None:
    """each layer has a potential of its own"""
    layers = make([3, 4, 4, 4])
    x = 3 * torch.rand(30, 2, 3)
    spk_rec, _ = result(forward_pass, layers, x)
    mems = [lif.init_leaky() for _, lif in layers]
    wanted = []
    with torch.no_grad():
        for x_t in x:
            spk = x_t
            for i, (fc, lif) in enumerate(layers):
                spk, mems[i] = lif(fc(spk), mems[i])
            wanted.append(spk)
    smell = "All layers here have 4 neurons, so one potential shared by all of them would fit, too."
    expect(spk_rec, torch.stack(wanted), "S (T, B, N)", smell)


def check_counts(forward_pass) -> None:
    """the numbers of spikes are those of each layer, over all steps and images"""
    layers = make([5, 7, 6, 3])
    x = 2 * torch.rand(20, 6, 5)
    _, counts = result(forward_pass, layers, x)
    mems = [lif.init_leaky() for _, lif in layers]
    wanted = torch.zeros(3)
    with torch.no_grad():
        for x_t in x:
            spk = x_t
            for i, (fc, lif) in enumerate(layers):
                spk, mems[i] = lif(fc(spk), mems[i])
                wanted[i] += spk.sum()
    smell = "5–7–6–3, counted from the first layer; all spikes over all steps and all images."
    expect(torch.tensor(counts), wanted, "numbers of spikes (layers)", smell)


def check_twice(forward_pass) -> None:
    """a second call starts from rest"""
    layers = make([5, 7, 3])
    x = 2 * torch.rand(10, 6, 5)
    first, _ = result(forward_pass, layers, x)
    second, _ = result(forward_pass, layers, x)
    expect(second, first, "S of a second call (T, B, N)", "Is something left over from the first?")


EXERCISE = Exercise(
    solve=forward_pass,
    checks=(check_one_step, check_memory, check_own_state, check_counts, check_twice),
    hints=(
        "What needs one entry for each layer, and is made once, before the loop over time?",
        "mems = [lif.init_leaky() for fc, lif in layers]. In a step the layers pass on one tensor: start "
        "with spk = x_t, and let each layer replace it.",
        "for x_t in x: spk = x_t; for i, (fc, lif) in enumerate(layers): spk, mems[i] = lif(fc(spk), "
        "mems[i]); counts[i] += spk.sum().item(). After the layers: spk_list.append(spk).",
    ),
    why="Time outside, layers inside, and one potential a layer that outlives the step: this is all "
    "there is to a feedforward spiking network, whatever its depth.",
)

if __name__ == "__main__":
    EXERCISE.main()
