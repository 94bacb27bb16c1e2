"""Braille letters under a rendered fingertip: spike trains of the form that the NIR paper's recurrent task has.

The paper's recordings (Müller-Cleve et al. 2022, https://doi.org/10.3389/fnins.2022.951164) come from a robot's
fingertip with 12 sensitive spots, taxels, that slid over embossed letters. These here are *rendered*, not recorded:
a model of dots, skin and sensor makes them. What they share with the recordings is the form: the same seven letters,
12 spike trains, a code of changes in pressure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common import plots
from common.data import ImageData
from common.spiking import over_time, reset_state
from exchange.neurons import RSynaptic

import snntorch as snn
import torch
from matplotlib.axes import Axes
from snntorch import surrogate
from torch import Tensor, nn

DOTS = {"space": (), "A": (1,), "E": (1, 5), "I": (2, 4), "O": (1, 3, 5), "U": (1, 3, 6), "Y": (1, 3, 4, 5, 6)}  # fmt: skip
"""Raised dots of each letter: 1, 2, 3 down the left column of the cell, 4, 5, 6 down the right one."""

LETTERS = tuple(DOTS)

PITCH_MM = 2.5
"""distance of neighbouring dots in a cell"""
TAXEL_X_MM = (-2.0, 0.0, 2.0)
TAXEL_Y_MM = (-3.3, -1.1, 1.1, 3.3)
"""places of the 12 taxels on the fingertip: three along the way it slides, four across"""
SKIN_MM = 1.1
"""how far a dot is felt around it (standard deviation)"""
TRAVEL_MM = 16.0
"""way of the fingertip at medium speed, centred on the cell"""
NOISE = 0.035
"""noise of a taxel at each step (standard deviation; a single dot under the middle of a taxel presses with about 1)"""
STEP_IN_PRESSURE = 0.12
"""a taxel sends a spike whenever its pressure has changed by this much since its last spike"""


@dataclass
class Strokes:
    """Strokes over letters: ``spk (T, N, 12)``, ``letter (N,)`` as an index of ``LETTERS``, ``pressure (T, N, 12)``."""

    spk: torch.Tensor
    letter: torch.Tensor
    pressure: torch.Tensor


def dot_places(letter: str) -> torch.Tensor:
    """Where the dots of a letter lie, ``(dots, 2)`` in mm from the middle of its cell; x along the line of text."""
    places = []
    for dot in DOTS[letter]:
        column, row = divmod(dot - 1, 3)
        places.append(((column - 0.5) * PITCH_MM, (row - 1) * PITCH_MM))
    return torch.tensor(places).reshape(-1, 2)


def spread(n: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """``(n,)`` numbers drawn evenly between two bounds."""
    return low + (high - low) * torch.rand(n, generator=generator)


def render(n: int, num_steps: int, generator: torch.Generator) -> Strokes:
    """``n`` strokes over letters drawn at random, no two alike.

    Each stroke has its own speed, place across the line, start, tilt and force, and each taxel its own noise.
    """
    letter = torch.randint(len(LETTERS), (n,), generator=generator)
    speed = spread(n, 0.8, 1.25, generator)
    across = spread(n, -1.0, 1.0, generator)
    start = spread(n, -1.0, 1.0, generator)
    force = spread(n, 0.75, 1.25, generator)
    tilt = spread(n, -0.12, 0.12, generator)
    time = torch.linspace(-0.5, 0.5, num_steps)  # (T,)
    middle = TRAVEL_MM * speed * time[:, None] + start  # (T, N): where the fingertip's middle is
    taxel_x = torch.tensor(TAXEL_X_MM).repeat_interleave(len(TAXEL_Y_MM))  # (12,)
    taxel_y = torch.tensor(TAXEL_Y_MM).repeat(len(TAXEL_X_MM))
    x = middle[..., None] + taxel_x - tilt[:, None] * taxel_y  # (T, N, 12)
    y = across[:, None] + taxel_y + tilt[:, None] * taxel_x  # (N, 12)
    pressure = torch.zeros(num_steps, n, len(taxel_x))
    for k, name in enumerate(LETTERS):
        mine = letter == k
        for dot_x, dot_y in dot_places(name):
            distance = (x[:, mine] - dot_x) ** 2 + (y[mine] - dot_y) ** 2
            pressure[:, mine] += torch.exp(-distance / (2 * SKIN_MM**2))
    pressure = force[:, None] * pressure
    pressure += NOISE * torch.randn(pressure.shape, generator=generator)
    return Strokes(changes(pressure), letter, pressure)


def changes(pressure: torch.Tensor) -> torch.Tensor:
    """A spike wherever the pressure has moved by ``STEP_IN_PRESSURE``, up or down, since the last spike: ``(T, …)``."""
    memory = pressure[0].clone()
    spikes = []
    for now in pressure:
        fires = (now - memory).abs() > STEP_IN_PRESSURE
        memory = torch.where(fires, now, memory)
        spikes.append(fires.float())
    return torch.stack(spikes)


def strokes(
    data_dir: Path | None = None,
    source: str = "auto",
    *,
    num_steps: int = 100,
    n_train: int = 2800,
    n_val: int = 700,
    n_test: int = 1400,
) -> ImageData:
    """Rendered strokes as a data set: ``x`` is ``(N, T, 12)``, three parts from generators of their own.

    ``data_dir`` and ``source`` are those of every loader; nothing is read, so nothing can be missing.
    """
    parts = {}
    for seed, (part, n) in enumerate({"train": n_train, "val": n_val, "test": n_test}.items()):
        found = render(n, num_steps, torch.Generator().manual_seed(1000 + seed))
        parts[f"x_{part}"] = found.spk.transpose(0, 1).contiguous()
        parts[f"y_{part}"] = found.letter
    return ImageData(name="Braille strokes, rendered", stand_in=False, classes=LETTERS, **parts)


class TouchNet(nn.Module):
    """12–38–7 with a loop and synaptic currents: the shape of the NIR paper's Braille network.

    RSynaptic is lesson 06's Synaptic with weights from the layer's spikes back to its input. The sizes, α and β are
    the paper's. A spike sets U to zero in its own step.
    """

    def __init__(self, num_hidden: int = 38) -> None:
        super().__init__()
        options = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
        options["spike_grad"] = surrogate.fast_sigmoid(5)
        self.fc1 = nn.Linear(12, num_hidden)
        self.lif1 = RSynaptic(alpha=0.55, beta=0.9, linear_features=num_hidden, **options)
        self.fc2 = nn.Linear(num_hidden, len(LETTERS))
        self.lif2 = snn.Synaptic(alpha=0.5, beta=0.55, **options)

    def forward(self, x_t: Tensor) -> Tensor:
        """One step: ``(B, 12)`` → output spikes ``(B, 7)``."""
        return self.lif2(self.fc2(self.lif1(self.fc1(x_t))))

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All steps: ``(T, B, 12)`` → output spikes ``(T, B, 7)`` and hidden spikes ``(T, B, 38)``."""
        reset_state(self)
        spk1_rec, spk2_rec = [], []
        for cur_t in over_time(self.fc1, x):
            spk1 = self.lif1(cur_t)
            spk1_rec.append(spk1)
            spk2_rec.append(self.lif2(self.fc2(spk1)))
        return torch.stack(spk2_rec), torch.stack(spk1_rec)


def draw_cell(ax: Axes, letter: str) -> None:
    """The raised dots of a letter, and the fingertip's taxels on their way to it."""
    places = dot_places(letter)
    ax.scatter(places[:, 0], -places[:, 1], s=200, color=plots.BLACK)
    for x in TAXEL_X_MM:
        for y in TAXEL_Y_MM:
            ax.plot(x - 6, -y, "s", color=plots.BLUE, markersize=5)
    ax.annotate("", (-2.4, 4.8), (-6, 4.8), arrowprops={"arrowstyle": "->"})
    ax.text(-6, -5.2, "12 taxels", color=plots.BLUE, ha="center")
    ax.set(xlim=(-9.5, 3.5), ylim=(-6, 6), aspect="equal")
    plots.label(ax, "mm", "mm", f"towards a {letter}")
