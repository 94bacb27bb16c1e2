"""Lesson 10 — Spiking convolutional and residual networks: images in colour, and depth

Question
    How do convolutions and spikes go together, why do deep stacks of spiking layers stop learning, and what
    does a spike-element-wise (SEW) shortcut change?

Idea
    A convolution sees one time step and many places, a LIF neuron one place and many time steps.

Read first
    Theory:   Fang et al. 2021, SEW-ResNet, https://arxiv.org/abs/2102.04159
    Practice: snnTorch tutorial 6, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_6.html

Run
    uv run 10_convolutional_snn.py              minutes on two CPU cores
    uv run 10_convolutional_snn.py --smoke      seconds, stand-in data

You should see
    at least 60 % on the 10,000 test images of CIFAR-10.

Builds on / leads to
    09 gave the training loop. 12, 14 and 17 start from this network and its weights.

Predict: with --num-steps 1 every neuron decides at once, without a membrane. How many points does that cost?
Next: uv run 11_neuromorphic_data_tonic.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import snntorch as snn
import torch
from matplotlib.figure import Figure
from torch import nn

from common import plots
from common.cifar import cifar10, flip_and_shift
from common.data import ImageData
from common.lesson import LessonConfig, start
from common.metrics import ledger_row
from common.results import Run
from common.spiking import constant_current, over_time, unroll
from common.training import evaluate, fit


@dataclass
class Config(LessonConfig):
    """The main training runs over all images; the experiments after it over a few thousand, several seeds each."""

    LIMITS = LessonConfig.LIMITS | {
        "epochs": (1, 1000), "batch_size": (1, 45_000), "lr": (1e-7, 10.0), "beta": (0.0, 1.0)}
    num_steps: int = 4
    """time steps per image (T)"""
    epochs: int = 6
    """passes over the training images in the main training"""
    batch_size: int = 64
    """images per gradient step"""
    lr: float = 2e-3
    """learning rate at the start; it falls to zero along a cosine"""
    beta: float = 0.5
    """membrane decay per step"""
    resume: bool = False
    """go on from the checkpoint of a run that was cut"""


SMOKE = {"epochs": 1, "num_steps": 2}
FULL: dict[str, Any] = {}


# ------------------------------------------------------------------------------------ the small network


class SmallCNN(nn.Module):
    """Three convolutions of stride 2 and a read-out, a Leaky neuron after each: 32×32 pixels → 16 → 8 → 4.

    Strides make the maps small, so everything that travels between layers is binary, and the weights are all in
    convolutions and one linear layer. ``forward`` is one time step, ``run`` a whole sequence from rest.
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 128), beta: float = 0.5, num_outputs: int = 10) -> None:
        super().__init__()
        c1, c2, c3 = channels
        self.conv1 = nn.Conv2d(3, c1, 5, stride=2, padding=2)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.conv2 = nn.Conv2d(c1, c2, 3, stride=2, padding=1)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True)
        self.conv3 = nn.Conv2d(c2, c3, 3, stride=2, padding=1)
        self.lif3 = snn.Leaky(beta=beta, init_hidden=True)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(c3 * 4 * 4, num_outputs)
        self.lif4 = snn.Leaky(beta=beta, init_hidden=True, output=True)
        for conv in (self.conv1, self.conv2, self.conv3):
            # spikes are few: with PyTorch's own scale the currents stay far under θ = 1 and deep layers start silent
            nn.init.normal_(conv.weight, std=2 / conv.weight[0].numel() ** 0.5)
            nn.init.zeros_(conv.bias)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 3, 32, 32)`` → output spikes and membrane, each ``(B, 10)``."""
        spk1 = self.lif1(self.conv1(x_t))                # (B, 32, 16, 16)
        spk2 = self.lif2(self.conv2(spk1))               # (B, 64, 8, 8)
        spk3 = self.lif3(self.conv3(spk2))               # (B, 128, 4, 4)
        return self.lif4(self.fc(self.flatten(spk3)))    # (B, 10), (B, 10)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 3, 32, 32)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``, starting from rest."""
        spk1, _, _ = unroll(self.lif1, over_time(self.conv1, x))     # a still image is convolved once
        spk2, _, _ = unroll(self.lif2, over_time(self.conv2, spk1))  # (T, B, 64, 8, 8)
        spk3, _, _ = unroll(self.lif3, over_time(self.conv3, spk2))  # (T, B, 128, 4, 4)
        cur4 = over_time(self.fc, spk3.flatten(2))                   # (T, B, 10)
        spk4, mem4, _ = unroll(self.lif4, cur4, record_mem=True)
        return spk4, mem4


def encode(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Grey values 0..1, centred and stretched to −2..2, as a current that stays: ``(B, …) → (T, B, …)``."""
    return constant_current(4 * x - 2, num_steps)


# ------------------------------------------------------------------------------------ experiments


def experiment_train(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """Train the small network on all training images; accuracy on the whole test set."""
    torch.manual_seed(cfg.seed)
    net, enc = SmallCNN(beta=cfg.beta), partial(encode, num_steps=cfg.num_steps)
    history = fit(net, data, enc, run=run, epochs=cfg.epochs, lr=cfg.lr, batch_size=cfg.batch_size,
                  augment=flip_and_shift, name="main", resume=cfg.resume)
    return {"net": net, "history": history, "accuracy": evaluate(net, data.x_test, data.y_test, enc)}


def plot_training(result: dict[str, Any]) -> Figure:
    epochs = [h["epoch"] for h in result["history"]]
    fig, ax = plots.figure(size=(6, 4), title=f"{100 * result['accuracy']:.1f} % on the test images")
    plots.curves(ax, epochs, {"training": [100 * h["train"] for h in result["history"]],
                              "validation": [100 * h["val"] for h in result["history"]]})
    plots.label(ax, "epoch", "accuracy (%)")
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(cifar10)
    run.print("\n1  Train the small network")
    trained = experiment_train(cfg, data, run)
    run.checkpoint(trained["net"])
    run.figure(plot_training(trained), "training")
    run.claim("accuracy", "test accuracy, read by the mean output membrane", trained["accuracy"], target=">= 0.60",
              n=len(data.y_test), real=True)
    x = encode(data.x_test[:500].to(run.device).float() / 255, cfg.num_steps)
    run.ledger(**ledger_row(trained["net"], x, model="SNN conv 32–64–128, dense 10", data=data.name,
                            accuracy=trained["accuracy"], n=len(data.y_test)))


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
