"""Milestone A: our network. Open this file when the judge has seen yours; it is one answer of many.

Neuron: Leaky, U[t] = β·U[t−1] + I[t] − θ·S[t−1], with β = 0.5 and θ = 1. The picture stands still, so
the current of the first layer is constant. A second state, as Synaptic has, would smooth a current
that is smooth already and delay each layer's first spike, and of three steps none can be spared. With
β = 0.5 a neuron forgets within two steps, about the length of the presentation.

Encoding: the grey value is the input current, the same at every step. The first convolution is then
computed once, and its neurons turn the current into spikes: the code is learnt with the rest. A rate
code of T steps knows a pixel p only to within √(p·(1 − p)/T), up to 0.29 when T is 3, and pieces of
clothing differ by shades of grey. The price is that the first layer multiplies, as in an ANN; it adds
once the spikes begin.

Architecture: three convolutions of 32, 64 and 64 channels, the first two with stride 2, then 128
dense neurons, then ten outputs. A sleeve two pixels further left is still a sleeve: a convolution
knows that without learning it at every place. A stride of 2 quarters the neurons of a layer, and with
them the spikes and the time that a training takes. BatchNorm gives each channel a current of mean 0
and deviation 1 over the batch, so with θ = 1 about one neuron in six crosses the threshold at the
first step: no layer starts silent, and none saturated. When the network is used, BatchNorm is a fixed
factor and offset that can be put into the weights.

Loss: cross entropy of the output potentials, averaged over time (lesson 09). Spike counts of three
steps have four values, with many ties; potentials have none. The surrogate is ATan, whose shape
matters little (lesson 07).

Training: BPTT with AdamW, 128 images an update. Half of the images are mirrored and all are moved by
up to one pixel, which makes more of the 55,000. OneCycle raises the learning rate over the first
fifth of the updates and lowers it to nearly zero over the rest. Validation keeps the best epoch. The
design was chosen on the 5,000 validation images; the test images were not looked at for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from common.data import ImageData, batches
from common.io import live
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import unroll
from training import evaluate
from training.augment import flip_and_shift
from training.checkpoint import fingerprint, load_checkpoint, save_checkpoint

import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

Out = tuple[Tensor, Tensor, tuple[Tensor, ...]]  # spk_rec, mem_rec, and the spikes of hidden layers


@dataclass(frozen=True)
class Recipe:
    """The size of a network, and how it is trained."""

    channels: tuple[int, ...] = (32, 64, 64)
    strides: tuple[int, ...] = (2, 2, 1)
    num_hidden: int = 128
    num_steps: int = 3
    epochs: int = 12
    lr: float = 4e-3
    batch_size: int = 128
    shift: int = 1


RECIPES = {
    "smoke": Recipe((4, 8), (2, 2), num_hidden=16, epochs=1, batch_size=32),
    "default": Recipe(),
    "full": Recipe((64, 64, 128, 128), (1, 2, 1, 2), 512, num_steps=8, epochs=40, lr=2e-3, shift=2),
}


class Net(nn.Module):
    """Convolutions → dense → dense, with a spiking neuron after each."""

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], num_hidden: int, beta: float = 0.5
    ) -> None:
        super().__init__()
        blocks = []
        size, before = 28, 1
        for c, stride in zip(channels, strides, strict=True):
            kernel = 5 if before == 1 else 3
            conv = nn.Conv2d(before, c, kernel, stride, kernel // 2, bias=False)
            blocks.append(nn.Sequential(conv, nn.BatchNorm2d(c)))
            size = math.ceil(size / stride)
            before = c
        dense = nn.Linear(before * size**2, num_hidden, bias=False)
        blocks.append(nn.Sequential(nn.Flatten(), dense, nn.BatchNorm1d(num_hidden)))
        blocks.append(nn.Linear(num_hidden, 10))
        self.synapses = nn.ModuleList(blocks)
        hidden = [snn.Leaky(beta=beta, init_hidden=True) for _ in blocks[:-1]]
        output = snn.Leaky(beta=beta, init_hidden=True, output=True)
        self.neurons = nn.ModuleList([*hidden, output])

    def forward(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """One step: ``(B, 1, 28, 28)`` → output spikes and potentials, each ``(B, 10)``."""
        for synapse, neuron in zip(self.synapses, self.neurons, strict=True):
            x_t = neuron(synapse(x_t))
        return x_t

    def run(self, x: Tensor) -> Out:
        """All steps from rest: ``(T, B, 1, 28, 28)`` → ``(T, B, 10)`` twice, then hidden spikes."""
        hidden = []
        for synapse, neuron in zip(self.synapses[:-1], self.neurons[:-1], strict=True):
            x, _, _ = unroll(neuron, over_time(synapse, x))  # (T, B, C, H, W), then (T, B, N)
            hidden.append(x)
        cur = over_time(self.synapses[-1], x)  # (T, B, 10)
        spk_rec, mem_rec, _ = unroll(self.neurons[-1], cur, record_mem=True)
        return spk_rec, mem_rec, tuple(hidden)


def make_net(recipe: Recipe = RECIPES["default"], seed: int = 0) -> Net:
    """A fresh network, whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    return Net(recipe.channels, recipe.strides, recipe.num_hidden)


def encode(images: Tensor, num_steps: int = RECIPES["default"].num_steps) -> Tensor:
    """The picture as a current that does not change: ``(B, 1, 28, 28)`` → ``(T, B, 1, 28, 28)``."""
    return constant_current(images, num_steps)


def predict(out: Out) -> Tensor:
    """The class whose output potential is highest on average: ``(B,)``."""
    return out[1].mean(0).argmax(1)


def loss_fn(out: Out, y: Tensor) -> Tensor:
    """Cross entropy of the output potentials, averaged over time."""
    return F.cross_entropy(out[1].mean(0), y)


def train(
    net: Net, data: ImageData, run: Run, recipe: Recipe, resume: bool = False
) -> list[dict[str, float]]:
    """Train ``net``; leave in it the weights of the epoch that is best on validation images.

    Returns one row an epoch: ``epoch, loss, train, val``; accuracies are shares.
    """
    net.to(run.device)
    show = partial(encode, num_steps=recipe.num_steps)
    updates = math.ceil(len(data.x_train) / recipe.batch_size)  # in one epoch
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=1e-2)
    total = max(10, recipe.epochs * updates)  # the schedule has no form for fewer
    schedule = OneCycleLR(optimizer, recipe.lr, total, pct_start=0.2)
    order = torch.Generator().manual_seed(run.cfg.seed)
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    state = {"net": net, "optimizer": optimizer, "schedule": schedule}
    state |= {"order": order, "history": history, "best": best}
    path = run.dir / "checkpoint_reference.pt"
    mark = fingerprint(run, net, data, recipe.epochs, recipe=recipe)
    if resume:
        load_checkpoint(path, mark, state, run)
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        net.train()
        loss_sum, right = 0.0, 0
        shuffled = batches(
            data.x_train, data.y_train, recipe.batch_size, generator=order, device=run.device
        )
        for x_b, y_b in live(shuffled, f"   epoch {epoch}/{recipe.epochs}", updates):
            x = show(flip_and_shift(x_b, recipe.shift))  # (T, B, 1, 28, 28)
            out = net.run(x)
            loss = loss_fn(out, y_b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += loss.item() * len(y_b)
            right += (predict(out) == y_b).sum().item()
        val = evaluate(net, data.x_val, data.y_val, show, predict)
        if val > max((row["val"] for row in history), default=-1.0):
            best.update(
                {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
            )
        n = len(data.y_train)
        history.append({"epoch": epoch, "loss": loss_sum / n, "train": right / n, "val": val})
        save_checkpoint(path, mark, state)
        run.print(
            f"   epoch {epoch:2d}/{recipe.epochs}   loss {loss_sum / n:.4f}   training "
            f"{100 * right / n:.2f} %   validation {100 * val:.2f} %"
        )
    net.load_state_dict(best)
    return history


# ---------------------------------------------------------------- demand 7, from what was measured


def page(
    given: Any,
    base: Any,
    inside: Any,
    sweep: Any,
    prices: Sequence[float],
    best: int,
    pair: tuple[str, str, float],
) -> str:
    """The page of analysis, in Markdown, from the measured numbers alone.

    Args:
        given, base, inside, sweep: what sections 2, 1, 3 and 4 of the milestone return.
        best: the column of ``sweep`` that saves most for at most half a point.
        pair: two classes, and their share of all errors.
    """
    hidden = inside.layers[:-1]
    last = given.work.history[-1]
    n = len(given.data.y_test)
    total = max(inside.operations, 1e-9)
    works = max(hidden, key=lambda x: x.operations)
    busiest = max(hidden, key=lambda x: x.rate)
    quietest = min(hidden, key=lambda x: x.rate)
    error = 100 * math.sqrt(given.accuracy * (1 - given.accuracy) / n)
    rates = [x.rate for x in hidden]
    course = "neither only falls nor only rises from layer to layer"
    if rates == sorted(rates):
        course = "rises from layer to layer"
    if rates == sorted(rates, reverse=True):
        course = "falls from layer to layer"
    change, half = sweep.change_on_test
    most, most_half = sweep.change(-1)
    kept = sweep.rates.mean(0)  # (prices, layers)
    lost = 1 - kept[-1] / kept[0].clip(min=1e-9)
    gives, stays = hidden[int(lost.argmax())], hidden[int(lost.argmin())]
    lines = [
        f"**Result.** {_pct(given.accuracy)} of the {n:,} test images of {given.data.name}, one seed, "
        f"standard error {error:.1f} points. A linear map gets {_pct(base.linear)}, a dense network "
        f"without spikes {_pct(base.dense)}. The epoch was chosen on the validation images. In the "
        f"last epoch {_pct(last['train'])} of the changed training images and {_pct(last['val'])} of "
        f"the validation images were right. {pair[0]} and {pair[1]}, taken for each other, are "
        f"{_pct(pair[2])} of all errors.",
        "",
        f"**How does sparsity change across layers?** The rate {course}:",
        "",
        "| layer | rate a step | never fire | spikes an image | operations |",
        "|---|---:|---:|---:|---:|",
    ]
    for x in inside.layers:
        lines.append(
            f"| {x.name} | {_pct(x.rate)} | {_pct(x.silent)} | {x.spikes:,.0f} | "
            f"{x.operations:,.0f} |"
        )
    lines += [
        "",
        f"Counted by the share of neurons that are silent at a step, {quietest.name} is the sparsest "
        f"({_pct(1 - quietest.rate)}) and {busiest.name} the least sparse ({_pct(1 - busiest.rate)}). "
        f"Counted by work it is another matter: {works.name} causes {_pct(works.operations / total)} "
        f"of the {total:,.0f} additions of an image, for a layer's work is its number of neurons, times "
        "its rate, times the fan-out of a spike. A rate alone does not say where the work is. Beside "
        "the additions stand "
        f"{inside.multiplications:,.0f} multiplications of the grey values by the first weights, once "
        "an image.",
        "",
        "**What is the trade-off between accuracy and sparsity?** The trained network went on for "
        f"{sweep.images:,} images with a price λ on operations; the control has λ = 0. Mean of "
        f"{len(sweep.accuracy)} seeds, on the validation images:",
        "",
        "| λ | accuracy | operations | saved | "
        + " | ".join(f"rate, {x.name}" for x in hidden)
        + " |",
        "|---:|" + "---:|" * (3 + len(hidden)),
    ]
    for j, price in enumerate(prices):
        cells = " | ".join(_pct(rate) for rate in kept[j])
        lines.append(
            f"| {price:g} | {_pct(sweep.accuracy[:, j].mean())} | {sweep.operations[:, j].mean():,.0f} "
            f"| {_pct(sweep.saved[j])} | {cells} |"
        )
    first = "No price saves operations at a cost of half a point or less"
    if best > 0:
        first = (
            f"λ = {prices[best]:g} saves {_pct(sweep.saved[best])} of the operations and changes the "
            f"accuracy on the test images by {change:+.2f} ± {half:.2f} points"
        )
    lines += [
        "",
        f"{first}; λ = {prices[-1]:g} saves {_pct(sweep.saved[-1])} and changes it by {most:+.2f} ± "
        f"{most_half:.2f} points on validation (95 % intervals over seeds). At the highest price {gives.name} gives "
        f"up the largest share of its spikes ({_pct(lost.max())}) and {stays.name} the smallest "
        f"({_pct(lost.min())}).",
        "",
        "**Limits.** One network was trained from scratch; the seeds of the trade-off share it and "
        "differ in the order and the changes of the images. Operations are additions that spikes "
        "cause. Memory traffic is left out, and so are the updates of the potentials, which most "
        "hardware makes at every step whether a neuron fires or not.",
    ]
    return "\n".join(lines)


def _pct(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.1f} %"
