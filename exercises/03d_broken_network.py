"""03d  Broken on purpose: three faults in a forward pass

Lesson 03, section 6. A colleague's network does not learn. Its weights and its neurons are sound; the
forward pass below has three faults. None of them raises an error, and the loss names none of them. The network
check of section 6 looks at it, and says what it sees; where the cause stands you have to find.

``x`` is (T, B, 64), grey values as they come from the file. ``net`` has the layers ``fc1, lif1, fc2, lif2,
fc3, lif3``; its neurons keep their potentials themselves (``init_hidden``). Return the output spikes and
potentials, (T, B, 10) each. About 10 minutes.

Run:  uv run exercises/03d_broken_network.py
"""

from __future__ import annotations

import _root  # noqa: F401

from common.spiking import reset_state
from tutor.exercises import Exercise, Wrong, expect
from tutor.network_check import diagnose

import snntorch as snn
import torch
from torch import Tensor, nn


def forward_pass(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """``x (T, B, 64)`` → output spikes and potentials, ``(T, B, 10)`` each."""
    spk_rec, mem_rec = [], []
    for x_t in x:
        spk1 = net.lif1(net.fc1(x_t))
        spk1 = spk1.detach()  # spikes are 0 or 1: there is nothing to differentiate
        spk2 = net.lif2(net.fc2(spk1))
        spk3, mem3 = net.lif3(net.fc3(spk2))
        spk_rec.append(spk3)
        mem_rec.append(mem3)
    return torch.stack(spk_rec), torch.stack(mem_rec)


# ---- nothing to edit below this line


class Net(nn.Module):
    """64–40–40–10 LIF neurons; ``run`` is the student's forward pass."""

    def __init__(self, forward_pass) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 40), nn.Linear(40, 40), nn.Linear(40, 10)
        self.lif1 = snn.Leaky(beta=0.9, init_hidden=True)
        self.lif2 = snn.Leaky(beta=0.9, init_hidden=True)
        self.lif3 = snn.Leaky(beta=0.9, init_hidden=True, output=True)
        with torch.no_grad():
            self.fc1.weight.add_(0.008)  # more excitation than inhibition
            self.fc2.weight.mul_(3)
        self.forward_pass = forward_pass

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        returned = self.forward_pass(self, x)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise Wrong("expected two things: end with the two torch.stack of the given program.")
        return returned


def images(steps: int = 15) -> tuple[Tensor, Tensor]:
    """30 images of ten classes, grey values 0 to 255, shown at every step; and their classes."""
    classes = torch.arange(30) % 10
    grey = torch.randint(0, 256, (10, 64)).float()[classes]
    return grey.expand(steps, 30, 64), classes


def findings(forward_pass) -> dict[str, str]:
    """What the network check finds: problem → where and why, without the remedy."""
    x, y = images()
    found = diagnose(Net(forward_pass), x, y).findings
    return {f.problem: f"The check says of {f.where}: {f.problem}; {f.cause}." for f in found}


def check_rest(forward_pass) -> None:
    """every run starts from rest: the same images twice give the same answer"""
    for problem, said in findings(forward_pass).items():
        if problem.startswith("state"):
            raise Wrong(said)


def check_input(forward_pass) -> None:
    """no layer is silent or saturated"""
    for problem, said in findings(forward_pass).items():
        if problem == "saturation":
            raise Wrong(f"{said} What arrives there, and what were the weights made for?")
        if problem == "silence":
            raise Wrong(f"{said} What arrives there, and is U carried over from step to step?")


def check_gradient(forward_pass) -> None:
    """a gradient reaches the first layer"""
    for problem, said in findings(forward_pass).items():
        if "gradient" in problem:
            raise Wrong(
                f"{said} Its spikes look healthy. Where on the way back does the gradient end?"
            )


def check_loop(forward_pass) -> None:
    """the same potentials as from neurons that are handed their state"""
    x, _ = images(8)
    net = Net(forward_pass)
    mem1 = mem2 = mem3 = None
    wanted = []
    for x_t in x:
        mems = []
        out = x_t / 255
        for fc, mem in ((net.fc1, mem1), (net.fc2, mem2), (net.fc3, mem3)):
            lif = snn.Leaky(beta=0.9)
            cur = fc(out)
            out, mem = lif(cur, torch.zeros_like(cur) if mem is None else mem)
            mems.append(mem)
        mem1, mem2, mem3 = mems
        wanted.append(mem3)
    net.run(x)
    _, mem_rec = net.run(x)
    smell = "The check is content, but these are other numbers. Are grey values divided by 255?"
    expect(mem_rec, torch.stack(wanted), "U of the output (T, B, K)", smell, 1e-4)
    reset_state(net)


EXERCISE = Exercise(
    solve=forward_pass,
    checks=(check_rest, check_input, check_gradient, check_loop),
    hints=(
        "One fault is a line that is missing before the loop, one is a line too many in it, and one is "
        "in what the first layer is given.",
        "The state of the last run is still in the neurons. Grey values of up to 255 drive every neuron "
        "far over its threshold; weights as PyTorch makes them suit inputs from 0 to 1. And autograd cannot pass a detach().",
        "Begin with reset_state(net) and x = x / 255, and delete the line with detach().",
    ),
    why="A spike is 0 or 1, and yet its surrogate gradient is the only way by which the error reaches the "
    "layer below. The three faults cost no error message, and one small batch finds them all.",
)

if __name__ == "__main__":
    EXERCISE.main()
