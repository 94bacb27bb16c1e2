"""Milestone A — Fashion-MNIST: design, train and analyse a spiking network of your own

Question
    Can you choose neuron, code, architecture and loss yourself, defend each choice, and say what the spikes cost?

Idea
    This milestone is your own work. Close this file, write yours (more than 85 % on the whole test set), and come
    back to compare. What follows is one solution, not the solution.

    Neuron: Leaky. U[t] = β·U[t−1] + I[t] − θ·S[t−1]. The images stand still, so there is no timing for a second
    state to pick up: Synaptic would smooth a current that is constant already, delay each layer's first spike,
    and hold twice the state. With T = 5 steps a delay is dear. β = 0.9 remembers about 1/(1 − β) = 10 steps, all
    of the presentation.

    Encoding: the grey value is the current, the same at every step. The first convolution is then computed once
    and its neurons do the encoding, with weights that are learnt. A Poisson code of five steps knows a pixel only
    to σ = √(p(1 − p)/5), up to 0.22, and clothing differs by texture, which is just that precision. The price: the
    first layer multiplies (MACs), which an input of spikes would not.

    Architecture: two convolutions with stride 2 (16 and 32 channels), one hidden layer of 128, ten outputs. A
    sleeve is a sleeve two pixels further left: shared weights say so, a dense layer has to learn it at each place.
    Stride instead of pooling makes fewer neurons, so fewer spikes. Batch normalisation sets each channel's current
    to mean 0 and deviation 1; with θ = 1 about one neuron in six crosses at the first step, so no layer starts
    dead or saturated. At inference it is a scale and an offset that fold into the convolution.

    Loss and surrogate: cross entropy of the output membrane averaged over time, the winner of lesson 09 (a count
    of five steps has six values, and ties); ATan, whose shape matters little (lesson 07) and whose tails are long.

    Sparsity: the cost of an inference on event-driven hardware is spikes times fan-out, Σ over synaptic layers. It
    is pushed down by L = cross entropy + λ·Σ_layers w·mean(S): an L1 penalty on the firing rate of each hidden layer,
    with w the layer's share of all possible operations (neurons times fan-out), so that it saves where work is done.

Read first
    Theory:   Eshraghian et al. 2023, sections IV and V, https://arxiv.org/abs/2109.12894
              Xiao, Rasul & Vollgraf 2017 (the data set), https://arxiv.org/abs/1708.07747
    Practice: your own lessons 01, 02, 06, 07, 08, 09, and your journal

Run
    uv run milestone_a_fashion_mnist.py              about five minutes on two CPU cores
    uv run milestone_a_fashion_mnist.py --journal    and write the page of analysis to journal.md
    uv run milestone_a_fashion_mnist.py --check my_net.py    judge a network of yours (--help says what it needs)
    uv run milestone_a_fashion_mnist.py --resume     go on after Ctrl-C from the last finished epoch
    uv run milestone_a_fashion_mnist.py --smoke      seconds, stand-in data
    uv run milestone_a_fashion_mnist.py --full       four convolutions, T = 8, 40 epochs: 5 minutes on an H100

You should see
    - 90.7 % of the 10,000 test images after eight epochs; read by spike counts the same network has 85.8 %.
    - T-shirt/top and Shirt taken for each other are 22 % of all errors; Shirt is the worst class with 75 %.
    - Rates of 17, 11 and 37 % a step in the three hidden layers, but 99 % of the 293,000 accumulates of an image
      follow from spikes of the two convolutions: the busiest neurons are not where the work is.
    - Every alternative (Synaptic, Poisson, a dense network) does worse in a short training, by 2 to 3 points.
    - With --full 94.1 %: 3.4 points more for 146 times the operations.

Builds on / leads to
    01 and 06 (neurons), 02 (codes), 03 (rasters), 07 (surrogate), 08 and 09 (network and training). Lesson 10 takes
    convolutions to CIFAR-10 and to depth, 14 treats the penalty properly, 17 turns operations into energy.

Predict: with --beta 0.5 the memory shrinks from ten steps to two. Which moves more, accuracy or spikes per image?
Next: uv run 10_convolutional_snn.py
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from common import plots
from common.cost import ledger_row, workload
from common.data import ImageData, batches, fashion_mnist
from common.io import UserError
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import unroll
from training.augment import jitter
from training.loop import Encode, count_predict, evaluate, fit, membrane_loss, membrane_predict
from tutor.judge import judge
from tutor.network_check import complaints

import numpy as np
import snntorch as snn
import torch
from matplotlib.figure import Figure
from torch import nn

Out = tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]
"""spk_rec and mem_rec of the output layer, each (T, B, K); spk_rec (T, B, …) of every hidden layer"""


@dataclass
class Config(LessonConfig):
    """The main training, then short trainings: of other choices from scratch, of the penalty by fine-tuning."""

    num_steps: int = bounded(5, 1, 100_000)
    """time steps per image (T)"""
    channels: tuple[int, ...] = bounded((16, 32), 1, 4096)
    """channels of the convolutions; each halves the size, of four or more only every second one"""
    num_hidden: int = bounded(128, 1, 100_000)
    """neurons of the dense hidden layer"""
    beta: float = bounded(0.9, 0.0, 1.0)
    """membrane decay per step"""
    epochs: int = bounded(8, 1, 1000)
    """passes over the training images in the main training"""
    batch_size: int = bounded(128, 2, 55_000)
    """images per gradient step"""
    lr: float = bounded(3e-3, 1e-7, 10.0)
    """learning rate at the start; it falls to zero along a cosine"""
    shift: int = bounded(1, 0, 14)
    """training images are moved by up to this many pixels"""
    train_images: int = bounded(55_000, 10, 55_000)
    """training images of the main training (fewer: to try things out)"""
    sweep_train: int = bounded(8_000, 10, 55_000)
    """training images in the short trainings"""
    seeds: int = bounded(2, 1, 20)
    """seeds of each short training"""
    resume: bool = False
    """go on from the checkpoint of a run that was cut"""
    check: Path | None = None
    """judge your own network instead: a Python file with make_net(), which returns an nn.Module. That has
    run(x) for x (T, B, 1, 28, 28), or forward(x_t) for one step, and gives spk_rec, mem_rec (T, B, 10) or one
    of them. Beside my_net.py: my_net.safetensors, its weights, and my_net.json, its training history. In it,
    if you like: encode(images), images (B, 1, 28, 28) in 0..1 to (T, B, …), without which an image is held for
    --num-steps; predict(out), the classes (B,). Its docstring gives reasons: Neuron: …, Encoding: …, Training: …"""

    def validate(self) -> None:
        super().validate()
        if self.check is not None and not self.check.is_file():
            raise UserError(
                f"--check: got {self.check}, which is no file; name the one with your make_net()"
            )


SMOKE = {
    "channels": (4, 8),
    "num_hidden": 16,
    "num_steps": 3,
    "epochs": 1,
    "batch_size": 32,
    "sweep_train": 128,
    "seeds": 1,
}
FULL = {
    "channels": (64, 64, 128, 128),
    "num_hidden": 512,
    "num_steps": 8,
    "epochs": 40,
    "lr": 1e-3,
    "shift": 2,
    "seeds": 3,
}

SWEEP_EPOCHS = 2
STRENGTHS = (0.0, 1.0, 3.0, 10.0)
"""λ of the penalty; 0 is the control, which is trained on just as long"""


# ------------------------------------------------------------------------------------ network, codes, loss


class Net(nn.Module):
    """Convolutions → dense → dense, a spiking neuron after each; no channels make it a dense network.

    ``forward`` is one time step, ``run`` a whole sequence from rest.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32),
        num_hidden: int = 128,
        beta: float = 0.9,
        alpha: float | None = None,
        num_outputs: int = 10,
    ) -> None:
        super().__init__()
        neuron = (
            partial(snn.Leaky, beta=beta)
            if alpha is None
            else partial(snn.Synaptic, alpha=alpha, beta=beta)
        )
        blocks, size, before = [], 28, 1
        for i, c in enumerate(channels):
            stride = (
                1 if len(channels) > 3 and i % 2 == 0 else 2
            )  # a deep network cannot halve 28 pixels each time
            k = 5 if i == 0 else 3
            blocks.append(
                nn.Sequential(
                    nn.Conv2d(before, c, k, stride, k // 2, bias=False), nn.BatchNorm2d(c)
                )
            )
            size, before = -(-size // stride), c
        flat = nn.Sequential(nn.Flatten(), nn.Linear(before * size**2, num_hidden))
        self.synapses = nn.ModuleList([*blocks, flat, nn.Linear(num_hidden, num_outputs)])
        self.neurons = nn.ModuleList(
            [
                *(neuron(init_hidden=True) for _ in self.synapses[:-1]),
                snn.Leaky(beta=beta, init_hidden=True, output=True),
            ]
        )
        self.names = [*(f"conv {i + 1}" for i in range(len(blocks))), "dense"]

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 1, 28, 28)`` → output spikes and membrane, each ``(B, 10)``."""
        for synapse, neuron in zip(self.synapses, self.neurons, strict=True):
            x_t = neuron(synapse(x_t))
        return x_t

    def run(self, x: torch.Tensor) -> Out:
        """All steps: ``(T, B, 1, 28, 28)`` → spikes and membrane ``(T, B, 10)``, spikes of each hidden layer."""
        hidden = []
        for synapse, neuron in zip(self.synapses[:-1], self.neurons[:-1], strict=True):
            x = unroll(neuron, over_time(synapse, x))[0]  # (T, B, C, H, W), then (T, B, N)
            hidden.append(x)
        spk, mem, _ = unroll(self.neurons[-1], over_time(self.synapses[-1], x), record_mem=True)
        return spk, mem, tuple(hidden)


def make_net(cfg: Config, seed: int, **other: Any) -> Net:
    """A fresh network whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    return Net(**{"channels": cfg.channels, "num_hidden": cfg.num_hidden, "beta": cfg.beta} | other)


def poisson(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Each pixel spikes at each step with its grey value as probability: ``(B, …) → (T, B, …)``."""
    return torch.bernoulli(x.expand(num_steps, *x.shape))


def penalised_loss(
    out: Out, y: torch.Tensor, strength: float, weights: Sequence[float]
) -> torch.Tensor:
    """L = cross entropy of the mean output membrane + λ·Σ_layers w·mean(S)."""
    rates = [w * spk.mean() for w, spk in zip(weights, out[2], strict=True)]
    return membrane_loss(out, y) + strength * torch.stack(rates).sum()


@torch.no_grad()
def layer_operations(net: Net, spk: torch.Tensor, layer: int) -> float:
    """Accumulates per image that ``spk (T, B, …)`` causes in synaptic layer ``layer``: spikes times fan-out.

    The layer with all its weights 1 and no offset counts, for each neuron, the spikes that arrive there.
    """
    synapse = net.synapses[layer]
    ones = copy.deepcopy(
        next(m for m in synapse.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
    )
    ones.weight.fill_(1)
    if ones.bias is not None:
        ones.bias.zero_()
    x = spk.flatten(0, 1)  # (T·B, …)
    return (
        ones(x.flatten(1) if isinstance(ones, nn.Linear) else x).double().sum().item()
        / spk.shape[1]
    )


def operation_weights(net: Net, device: torch.device) -> list[float]:
    """Each hidden layer's share of the operations there would be if all neurons fired at every step."""
    with torch.no_grad():
        hidden = net.eval().run(torch.zeros(1, 1, 1, 28, 28, device=device))[2]
        most = [layer_operations(net, torch.ones_like(spk), i + 1) for i, spk in enumerate(hidden)]
    return [m / sum(most) for m in most]


# ------------------------------------------------------------------------------------ experiments


@torch.no_grad()
def answers(net: Net, x: torch.Tensor, encode: Encode) -> tuple[torch.Tensor, torch.Tensor]:
    """The classes read from membrane and from spike counts, each ``(N,)``."""
    net.eval()
    device = next(net.parameters()).device
    outs = [net.run(encode(x_b)) for x_b, _ in batches(x, torch.zeros(len(x)), 500, device=device)]
    return tuple(
        torch.cat([read(o).cpu() for o in outs]) for read in (membrane_predict, count_predict)
    )  # type: ignore[return-value]


def experiment_train(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """The main training, and what it gives on the whole test set."""
    net, encode = make_net(cfg, cfg.seed), partial(constant_current, num_steps=cfg.num_steps)
    history = fit(
        net,
        data,
        encode,
        run=run,
        check=complaints,
        epochs=cfg.epochs,
        lr=cfg.lr,
        batch_size=cfg.batch_size,
        augment=partial(jitter, shift=cfg.shift),
        weight_decay=1e-3,
        name="main",
        resume=cfg.resume,
    )
    membrane, count = answers(net, data.x_test, encode)
    y, K = data.y_test, len(data.classes)
    confusion = (
        torch.bincount(K * y + membrane, minlength=K * K).view(K, K).numpy()
    )  # row: true class
    return {
        "net": net,
        "history": history,
        "confusion": confusion,
        "classes": data.classes,
        "accuracy": (membrane == y).float().mean().item(),
        "count": (count == y).float().mean().item(),
    }


@torch.no_grad()
def experiment_layers(net: Net, data: ImageData, cfg: Config, run: Run) -> dict[str, Any]:
    """Rate, spikes and operations of each hidden layer on 1,000 test images, and one image's spikes."""
    net.eval()
    x, y = next(batches(data.x_test, data.y_test, 1000, device=run.device))
    *_, hidden = out = net.run(constant_current(x, cfg.num_steps))
    layers = [
        {
            "name": name,
            "neurons": spk[0, 0].numel(),
            "rate": spk.mean().item(),
            "spikes": spk.sum().item() / len(x),
            "active": spk.amax(0).mean().item(),
            "silent": (spk.flatten(2).sum((0, 1)) == 0).float().mean().item(),
            "operations": layer_operations(net, spk, i + 1),
        }
        for i, (name, spk) in enumerate(zip(net.names, hidden, strict=True))
    ]
    recs = zip([*net.names, "output"], [*hidden, out[0]], strict=True)
    rasters = {name: spk[:, 0].flatten(1).cpu() for name, spk in recs}  # (T, N) each
    return {
        "layers": layers,
        "rasters": rasters,
        "image": x[0, 0].cpu().numpy(),
        "classes": data.classes,
        "label": data.classes[int(y[0])],
        "answer": data.classes[int(membrane_predict(out)[0])],
        "n": len(x),
        "num_steps": cfg.num_steps,
    }


def experiment_choices(cfg: Config, data: ImageData, run: Run) -> dict[str, list[float]]:
    """Each choice of the docstring against its alternative, all else equal: test accuracy after a short training."""
    held, wide = partial(constant_current, num_steps=cfg.num_steps), 4 * cfg.num_hidden
    variants: dict[str, tuple[dict[str, Any], Encode]] = {
        "as designed": ({}, held),
        "Synaptic (α = 0.5) for Leaky": ({"alpha": 0.5}, held),
        "Poisson for constant current": ({}, partial(poisson, num_steps=cfg.num_steps)),
        f"dense 784–{wide}–10, no convolution": ({"channels": (), "num_hidden": wide}, held),
    }
    accuracy: dict[str, list[float]] = {}
    for name, (other, encode) in variants.items():
        for seed in range(cfg.seed, cfg.seed + cfg.seeds):
            net = make_net(cfg, seed, **other)
            fit(
                net,
                data,
                encode,
                run=run,
                epochs=SWEEP_EPOCHS,
                lr=cfg.lr,
                batch_size=cfg.batch_size,
                seed=seed,
                augment=partial(jitter, shift=cfg.shift),
                quiet=True,
            )
            accuracy.setdefault(name, []).append(evaluate(net, data.x_test, data.y_test, encode))
        run.print(f"          {name}: done")
    return accuracy


def experiment_sparsity(trained: Net, cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """The trained network goes on for a short while at each λ; accuracy, rates and SynOps after it."""
    encode, weights = (
        partial(constant_current, num_steps=cfg.num_steps),
        operation_weights(trained, run.device),
    )
    x = data.x_test[:500].to(run.device).float() / 255
    shape = (cfg.seeds, len(STRENGTHS))
    accuracy, synops, rates = (
        np.zeros(shape),
        np.zeros(shape),
        np.zeros((*shape, len(trained.names))),
    )
    for j, strength in enumerate(STRENGTHS):
        for i in range(cfg.seeds):
            torch.manual_seed(cfg.seed + i)
            net = copy.deepcopy(trained)
            fit(
                net,
                data,
                encode,
                run=run,
                epochs=1,
                lr=cfg.lr,
                batch_size=cfg.batch_size,
                seed=cfg.seed + i,
                loss_fn=partial(penalised_loss, strength=strength, weights=weights),
                quiet=True,
                augment=partial(jitter, shift=cfg.shift),
            )
            accuracy[i, j] = evaluate(net, data.x_test, data.y_test, encode)
            synops[i, j] = workload(net.eval(), encode(x))["acs"]
            with torch.no_grad():
                rates[i, j] = [spk.mean().item() for spk in net.run(encode(x))[2]]
        run.print(
            f"          λ = {strength:g}: accuracy {accuracy[:, j].mean():.4f}, "
            f"{synops[:, j].mean():,.0f} SynOps per image"
        )
    return {
        "strengths": STRENGTHS,
        "accuracy": accuracy,
        "synops": synops,
        "rates": rates,
        "names": trained.names,
        "images": len(data.x_train),
    }


# ------------------------------------------------------------------------------------ what follows from the numbers


def worst_pair(confusion: np.ndarray, classes: Sequence[str]) -> tuple[str, str, float]:
    """The pair of classes most often taken for each other, and its share of all errors."""
    both = confusion + confusion.T - 2 * np.diag(np.diag(confusion))
    i, j = np.unravel_index(both.argmax(), both.shape)
    return classes[min(i, j)], classes[max(i, j)], both[i, j] / max(1, both.sum() // 2)


def best_saving(sparsity: dict[str, Any], loss: float = 0.01) -> tuple[float, float, float]:
    """The λ that saves most SynOps while it costs at most ``loss`` of accuracy: λ, share saved, accuracy lost."""
    acc, ops = sparsity["accuracy"].mean(0), sparsity["synops"].mean(0)
    saved, lost = 1 - ops / max(ops[0], 1e-9), acc[0] - acc
    j = max((j for j in range(len(acc)) if lost[j] <= loss), key=lambda j: saved[j])
    return sparsity["strengths"][j], float(saved[j]), float(lost[j])


def analysis(
    trained: dict[str, Any],
    inside: dict[str, Any],
    choices: dict[str, list[float]],
    sparsity: dict[str, Any],
    data_name: str,
) -> str:
    """The page of analysis, in Markdown, from the measured numbers alone."""
    layers, T, pct = inside["layers"], inside["num_steps"], lambda v: f"{100 * v:.1f} %"
    densest, sparsest = (f(layers, key=lambda r: r["rate"]) for f in (max, min))
    spends = max(layers, key=lambda r: r["operations"])
    spikes, ops = (sum(r[k] for r in layers) for k in ("spikes", "operations"))
    most = max(layers, key=lambda r: r["spikes"])
    a, b, share = worst_pair(trained["confusion"], trained["classes"])
    recall = np.diag(trained["confusion"]) / np.maximum(trained["confusion"].sum(1), 1)
    last, n = trained["history"][-1], int(trained["confusion"].sum())
    error = float(np.sqrt(trained["accuracy"] * (1 - trained["accuracy"]) / n))
    acc, syn, rates = (sparsity[k].mean(0) for k in ("accuracy", "synops", "rates"))
    lam, saved, lost = best_saving(sparsity)
    spread = float(np.ptp(sparsity["accuracy"], axis=0).max())
    order = [r["rate"] for r in layers]
    course = (
        "falls from layer to layer"
        if order == sorted(order, reverse=True)
        else "rises from layer to layer"
        if order == sorted(order)
        else "neither only falls nor only rises with depth"
    )
    cut = (rates[0] - rates[-1]) / np.maximum(rates[0], 1e-9)
    own = float(np.mean(choices["as designed"]))
    lines = [
        f"**Result.** {pct(trained['accuracy'])} of the {n:,} test images of {data_name} (standard error "
        f"{100 * error:.1f} points), epoch chosen on validation images. Training accuracy in the last epoch was "
        f"{pct(last['train'])}, on moved images, and validation {pct(last['val'])}. The best class is "
        f"{trained['classes'][int(recall.argmax())]} ({pct(recall.max())}), the worst "
        f"{trained['classes'][int(recall.argmin())]} ({pct(recall.min())}). {a} and {b} taken for each other make up "
        f"{pct(share)} of all errors. Read by spike counts the same network gets {pct(trained['count'])}: "
        f"with T = {T} a count has {T + 1} values.",
        "",
        "**The choices, each against its alternative** (short trainings, means over seeds; as designed "
        f"{pct(own)}): "
        + "; ".join(
            f"{name} {100 * (np.mean(v) - own):+.1f} points"
            for name, v in choices.items()
            if name != "as designed"
        )
        + ".",
        "",
        f"**How does sparsity change across layers?** The firing rate {course}:",
        "",
        "| layer | neurons | rate per step | fire at least once | never fire | spikes per image | SynOps caused |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {r['name']} | {r['neurons']:,} | {pct(r['rate'])} | {pct(r['active'])} | {pct(r['silent'])} | "
            f"{r['spikes']:,.0f} | {r['operations']:,.0f} |"
            for r in layers
        ),
        "",
        f"(n = {inside['n']:,} test images, T = {T}.) Per neuron {sparsest['name']} is the sparsest at "
        f"{pct(sparsest['rate'])} a step and {densest['name']} the busiest at {pct(densest['rate'])}. Cost is another "
        f"matter: {most['name']} sends {pct(most['spikes'] / max(spikes, 1e-9))} of the {spikes:,.0f} hidden spikes of "
        f"an image because it has {most['neurons']:,} neurons, and {spends['name']} causes "
        f"{pct(spends['operations'] / max(ops, 1e-9))} of the {ops:,.0f} accumulates, for a spike costs its fan-out: "
        + ", ".join(
            f"{r['operations'] / max(r['spikes'], 1e-9):.0f} after {r['name']}" for r in layers
        )
        + ". A rate without the number of neurons and the fan-out does not say where the work is.",
        "",
        "**What is the trade-off between accuracy and sparsity?** The trained network went on for "
        f"{sparsity['images']:,} images with λ·Σ w·mean(S) added to the loss, w the share of possible operations:",
        "",
        "| λ | test accuracy | SynOps | saved | "
        + " | ".join(f"rate, {k}" for k in sparsity["names"])
        + " |",
        "|---:|" + "---:|" * (3 + len(sparsity["names"])),
        *(
            f"| {s:g} | {pct(acc[j])} | {syn[j]:,.0f} | {pct(1 - syn[j] / max(syn[0], 1e-9))} | "
            + " | ".join(pct(r) for r in rates[j])
            + " |"
            for j, s in enumerate(sparsity["strengths"])
        ),
        "",
        (
            f"λ = {lam:g} saves {pct(saved)} of the operations and changes the accuracy by {-100 * lost:+.1f} points; "
            if lam > 0
            else "No λ of the sweep costs less than one point; "
        )
        + (
            f"λ = {sparsity['strengths'][-1]:g} saves {pct(1 - syn[-1] / max(syn[0], 1e-9))} and changes it by "
            f"{100 * (acc[-1] - acc[0]):+.1f}. "
            if lam < sparsity["strengths"][-1]
            else "the sweep ends there. "
        )
        + f"Seeds differ by up to {100 * spread:.1f} points: smaller differences "
        f"are no findings. From the control to the strongest penalty {sparsity['names'][int(cut.argmax())]} "
        f"loses the largest share of its spikes ({pct(cut.max())}) and {sparsity['names'][int(cut.argmin())]} the "
        f"smallest ({pct(cut.min())}).",
        "",
        "**Limits.** The seeds of the penalised runs share one starting network and differ in the order and shifts of "
        "the images only. SynOps count additions caused by spikes; the first layer's multiplications, memory and the "
        "membrane updates, which happen at every step whether a neuron spikes or not on most hardware, are left out.",
    ]
    return "\n".join(lines)


# ------------------------------------------------------------------------------------ figures


def plot_training(result: dict[str, Any]) -> Figure:
    history = result["history"]
    epochs = [h["epoch"] for h in history]
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(10.5, 3.9),
        title=(
            f"The network reaches {100 * result['accuracy']:.2f} % on the test set in {history[-1]['seconds']:.0f} s"
        ),
    )
    plots.curves(a, epochs, {"training": [h["loss"] for h in history]})
    plots.label(a, "epoch", "cross entropy (nats)", "Training loss")
    plots.curves(
        b,
        epochs,
        {
            "training (moved images)": [100 * h["train"] for h in history],
            "validation": [100 * h["val"] for h in history],
        },
    )
    b.axhline(
        100 * result["accuracy"],
        color=plots.BLACK,
        linewidth=1,
        linestyle=":",
        label="test, best epoch",
    )
    b.legend()
    plots.label(b, "epoch", "accuracy (%)", "The epoch is chosen on validation")
    for ax in (a, b):
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig


def plot_confusion(result: dict[str, Any]) -> Figure:
    a, b, share = worst_pair(result["confusion"], result["classes"])
    fig, ax = plots.figure(
        size=(7.2, 6.4),
        title=(f"{a} and {b} taken for each other: {100 * share:.0f} % of all errors"),
    )
    plots.confusion(ax, result["confusion"], result["classes"])
    return fig


def plot_rasters(inside: dict[str, Any], shown: int = 80) -> Figure:
    rasters = inside["rasters"]
    fig, axes = plots.figure(
        1,
        len(rasters) + 1,
        size=(3 * (len(rasters) + 1), 4.4),
        title=(f"{inside['label']}, read as {inside['answer']}: the spikes of each layer"),
    )
    axes[0].imshow(inside["image"], cmap="gray")
    axes[0].set_axis_off()
    axes[0].set_title("input: constant current")
    for ax, (name, spk) in zip(axes[1:], rasters.items(), strict=True):  # spk (T, N)
        if name == "output":
            rows, what = spk, f"{int(spk.sum())} spikes"
        else:
            active = (spk.sum(0) > 0).nonzero().flatten()
            pick = active[
                torch.linspace(0, max(0, len(active) - 1), min(shown, len(active))).long()
            ]
            rows, what = spk[:, pick], f"{len(active):,} of {spk.shape[1]:,} fire"
        plots.raster(ax, rows if rows.shape[1] else spk[:, :1], width=6)
        ax.xaxis.get_major_locator().set_params(integer=True)
        plots.label(
            ax,
            "time step",
            "" if name == "output" else f"neuron that fires ({rows.shape[1]} shown)",
            f"{name}: {what}",
        )
    axes[-1].set_yticks(range(len(inside["classes"])), inside["classes"])
    return fig


def plot_layers(inside: dict[str, Any]) -> Figure:
    layers = inside["layers"]
    spends, densest = (max(layers, key=lambda r, k=k: r[k])["name"] for k in ("operations", "rate"))
    fig, axes = plots.figure(
        1,
        3,
        size=(13, 3.2),
        sharey=True,
        title=(
            f"{densest} fires most often per neuron; "
            + (f"{spends} also" if spends == densest else f"{spends}")
            + " causes most of the work"
        ),
    )
    for ax, key, scale, fmt, x, title in zip(
        axes,
        ("rate", "spikes", "operations"),
        (100, 1, 1e-3),
        ("{:.1f}", "{:,.0f}", "{:,.0f}"),
        ("firing rate per step (%)", "spikes per image", "accumulates per image (thousand)"),
        ("How often a neuron fires", "Spikes of the layer", "Work caused in the next layer"),
        strict=True,
    ):
        plots.bars(ax, {r["name"]: scale * r[key] for r in layers}, fmt=fmt)
        plots.label(ax, x, "", title)
    return fig


def plot_sparsity(sparsity: dict[str, Any]) -> Figure:
    acc, ops = 100 * sparsity["accuracy"], sparsity["synops"] / 1e3
    lam, saved, lost = best_saving(sparsity)
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11, 4.2),
        title=(
            f"{100 * saved:.0f} % fewer operations, accuracy {-100 * lost:+.1f} points (λ = {lam:g})"
            if lam > 0
            else "No penalty of the sweep is cheaper than one point of accuracy"
        ),
    )
    a.plot(ops.mean(0), acc.mean(0), color=plots.BLUE)
    a.plot(ops.ravel(), acc.ravel(), "o", color=plots.ORANGE, markersize=5, label="single runs")
    for j, s in enumerate(sparsity["strengths"]):
        a.annotate(
            f"λ = {s:g}",
            (ops[:, j].mean(), acc[:, j].mean()),
            xytext=(6, -13),
            textcoords="offset points",
        )
    a.margins(x=0.15, y=0.15)
    a.legend(loc="lower right")
    plots.label(a, "SynOps per image (thousand)", "test accuracy (%)", "Accuracy against work")
    at = np.arange(len(sparsity["strengths"]))
    plots.curves(
        b, at, {k: 100 * sparsity["rates"][:, :, i] for i, k in enumerate(sparsity["names"])}
    )
    b.set_xticks(at, [f"{s:g}" for s in sparsity["strengths"]])
    b.set_ylim(bottom=0)
    plots.label(b, "strength λ of the penalty", "firing rate per step (%)", "Which layer gives way")
    return fig


# ------------------------------------------------------------------------------------ the milestone


def main(cfg: Config, run: Run) -> None:
    data = run.data(fashion_mnist, n_train=cfg.train_images)
    if cfg.check is not None:
        judge(cfg.check, run, data)
        return
    few = replace(
        data,
        x_train=data.x_train[: cfg.sweep_train],
        y_train=data.y_train[: cfg.sweep_train],
        x_val=data.x_val[:1000],
        y_val=data.y_val[:1000],
    )
    n = len(data.y_test)

    run.print("\n1  Train")
    trained = experiment_train(cfg, data, run)
    net = trained["net"]
    run.checkpoint(net)
    run.figure(plot_training(trained), "training")
    run.figure(plot_confusion(trained), "confusion")
    run.claim(
        "accuracy",
        "test accuracy, read by the mean output membrane",
        trained["accuracy"],
        target=">= 0.92" if cfg.full else ">= 0.88",
        n=n,
        real=True,
    )
    run.claim(
        "accuracy_count",
        "the same network read by its spike counts",
        trained["count"],
        n=n,
        real=True,
    )
    run.claim(
        "seconds", "main training on this device", trained["history"][-1]["seconds"], "s", real=True
    )
    first, second, share = worst_pair(trained["confusion"], trained["classes"])
    run.claim(
        "worst_pair",
        f"share of all errors that are {first} and {second} taken for each other",
        share,
        n=n,
        real=True,
    )

    run.print("\n2  Inside: rasters and spikes of each layer")
    inside = experiment_layers(net, data, cfg, run)
    layers = inside["layers"]
    run.figure(plot_rasters(inside), "rasters")
    run.figure(plot_layers(inside), "layers")
    run.table(
        "Spikes by layer",
        ("layer", "neurons", "rate per step", "silent", "spikes per image", "SynOps caused"),
        [
            tuple(r[k] for k in ("name", "neurons", "rate", "silent", "spikes", "operations"))
            for r in layers
        ],
    )
    run.claim(
        "rate_first",
        f"firing rate per step, {layers[0]['name']}",
        layers[0]["rate"],
        n=inside["n"],
        real=True,
    )
    run.claim(
        "rate_last",
        f"firing rate per step, {layers[-1]['name']}",
        layers[-1]["rate"],
        n=inside["n"],
        real=True,
    )
    row = ledger_row(
        net,
        constant_current(data.x_test[:500].to(run.device).float() / 255, cfg.num_steps),
        model=f"SNN conv {'–'.join(map(str, cfg.channels))}, dense {cfg.num_hidden}–10",
        data=data.name,
        accuracy=trained["accuracy"],
        n=n,
    )
    run.ledger(**row)
    run.claim("synops", "accumulates per image (NeuroBench)", row["synops"], "SynOps", real=True)

    run.print(
        f"\n3  The choices against their alternatives, {len(few.x_train):,} images, {SWEEP_EPOCHS} epochs, "
        f"{cfg.seeds} seeds"
    )
    choices = experiment_choices(cfg, few, run)
    run.table(
        "Choices",
        ("network", "test accuracy", "single seeds"),
        [(k, float(np.mean(v)), ", ".join(f"{a:.4f}" for a in v)) for k, v in choices.items()],
    )
    for key, (name, values) in zip(
        ("design", "synaptic", "poisson", "dense"), choices.items(), strict=True
    ):
        run.claim(
            f"choice_{key}",
            f"short training: {name}",
            float(np.mean(values)),
            n=n * cfg.seeds,
            real=True,
        )

    more = (
        SWEEP_EPOCHS * cfg.sweep_train
    )  # one pass over so many: no epoch is chosen, so none favours a weak penalty
    few = replace(few, x_train=data.x_train[:more], y_train=data.y_train[:more])
    run.print(
        f"\n4  Accuracy against sparsity, trained on for {len(few.x_train):,} images, {cfg.seeds} seeds"
    )
    sparsity = experiment_sparsity(net, cfg, few, run)
    run.figure(plot_sparsity(sparsity), "sparsity")
    acc, ops = sparsity["accuracy"].mean(0), sparsity["synops"].mean(0)
    lam, saved, lost = best_saving(sparsity)
    run.claim(
        "saved",
        "SynOps saved by the best penalty that costs at most one point of accuracy",
        saved,
        n=n * cfg.seeds,
        real=True,
    )
    run.claim(
        "saved_strongest",
        f"SynOps saved at λ = {STRENGTHS[-1]:g}",
        float(1 - ops[-1] / max(ops[0], 1e-9)),
        n=n * cfg.seeds,
        real=True,
    )
    run.claim(
        "lost_strongest",
        f"accuracy lost at λ = {STRENGTHS[-1]:g}",
        float(acc[0] - acc[-1]),
        n=n * cfg.seeds,
        real=True,
    )
    run.extra["analysis"] = analysis(trained, inside, choices, sparsity, data.name)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
