"""08b  Broken on purpose: answers that depend on the neighbours

Lesson 08, sections 3 and 4. The function reads images with a network, batch after batch, and resets the
network before each batch, as the tutorials do. Still its answers depend on which images came
before. Find out why, and mend it. Networks here may be nested as deep as their authors like, and other networks
in the same program must be left alone.

``images`` are ``(N, F)``; the network takes one time step, ``(B, F)``, and gives output spikes and potentials
``(B, K)``. An image is shown as it is for ``num_steps`` steps. Return the answers, (N,). About 8 minutes.

Run:  uv run exercises/08b_broken_reset.py
"""

from __future__ import annotations

import _root  # noqa: F401

from tutor.exercises import Exercise, Wrong, expect

import snntorch as snn
import torch
from snntorch import utils
from torch import Tensor, nn


@torch.no_grad()
def read(net: nn.Module, images: Tensor, num_steps: int, batch_size: int) -> Tensor:
    """The class with most output spikes, for each of the images ``(N, F)``: ``(N,)``."""
    answers = []
    for x in images.split(batch_size):
        utils.reset(net)
        counts = 0
        for _ in range(num_steps):
            spk, _ = net(x)
            counts = counts + spk
        answers.append(counts.argmax(1))
    return torch.cat(answers)


# ---- nothing to edit below this line


class Blocks(nn.Module):
    """8–16–4 in two blocks, the second one nested twice."""

    def __init__(self) -> None:
        super().__init__()
        last = snn.Leaky(beta=0.9, init_hidden=True, output=True)
        self.first = nn.Sequential(nn.Linear(8, 16), snn.Leaky(beta=0.9, init_hidden=True))
        self.second = nn.ModuleDict({"out": nn.Sequential(nn.Linear(16, 4), last)})
        with torch.no_grad():
            self.first[0].weight.mul_(3)
            self.second["out"][0].weight.mul_(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.second["out"](self.first(x))


def make() -> tuple[Blocks, Tensor, Tensor]:
    """A network, 60 images, and the answers that each image gets alone, in a fresh copy."""
    net, images = Blocks(), torch.randn(60, 8)
    alone = []
    for image in images:
        copy = Blocks()
        copy.load_state_dict(net.state_dict())
        counts = torch.zeros(4)
        with torch.no_grad():
            for _ in range(6):
                counts += copy(image[None])[0][0]
        alone.append(counts.argmax())
    return net, images, torch.stack(alone)


def check_form(read) -> None:
    """one answer for each image"""
    net, images, _ = make()
    answers = read(net, images, 6, 20)
    if answers is None:
        raise Wrong("got None. Is there a return?")
    if tuple(answers.shape) != (60,):
        raise Wrong(f"got shape {tuple(answers.shape)} for 60 images, expected (60,).")


def check_alone(read) -> None:
    """every image gets the answer that it gets alone"""
    net, images, alone = make()
    answers = read(net, images, 6, 20)
    off = torch.nonzero(answers != alone)[:, 0]
    if not len(off):
        return
    many = f"{len(off)} of 60 images get another answer than alone, the first is image {off[0]}."
    if (off < 20).any():
        raise Wrong(f"{many} Even the first batch is affected: does the state survive a time step?")
    raise Wrong(
        f"{many} None of the first batch is among them. What state does the second batch start from? "
        "Look at the potentials of every neuron before and after the reset: net.first[1].mem, and those further down."
    )


def check_first_batch(read) -> None:
    """a network that was used before gives the same answers"""
    net, images, alone = make()
    with torch.no_grad():
        for _ in range(10):
            net(3 * torch.randn(20, 8))
    answers = read(net, images, 6, 20)
    smell = "The network had been used before the call: the first batch needs a reset, too."
    expect(answers, alone, "answers (B)", smell)


def check_others(read) -> None:
    """no other network is touched"""
    net, images, _ = make()
    flat = nn.Sequential(nn.Linear(8, 4), snn.Leaky(beta=0.9, init_hidden=True))
    with torch.no_grad():
        flat(torch.rand(5, 8) + 0.5)
    before = flat[1].mem.clone()
    read(net, images, 6, 20)
    if not torch.equal(flat[1].mem, before):
        raise Wrong(
            "a network that your function was not given has lost its state. snn.Leaky.reset_hidden and "
            "utils.reset go through all neurons of the program."
        )


def check_weights(read) -> None:
    """the weights are left alone"""
    net, images, _ = make()
    before = [p.clone() for p in net.parameters()]
    read(net, images, 6, 20)
    if any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True)):
        raise Wrong("the call changes weights. Only potentials belong to an image.")


EXERCISE = Exercise(
    solve=read,
    checks=(check_form, check_alone, check_first_batch, check_others, check_weights),
    hints=(
        "Print the potentials, net.first[1].mem, after utils.reset(net). What do you expect, and what "
        "do you see?",
        "utils.reset sees direct children only. Which method of nn.Module gives all modules, nested ones too?",
        "for module in net.modules(): if isinstance(module, snn.SpikingNeuron): module.reset_mem().",
    ),
    why="State belongs to an image, and only whoever knows when an image ends can clear it. A call that "
    "misses the neurons says nothing; that answers do not depend on the neighbours is the test to make.",
)

if __name__ == "__main__":
    EXERCISE.main()
