"""Lesson 17 — What an inference costs, and how a network moves to another platform

Question
    How many operations does an answer of a spiking network really take, and what is left of the network when it
    leaves snnTorch for another simulator or a chip?

Idea
    *Cost.* A spike costs one addition a synapse. If input i sends n_i spikes and drives f_i synapses,

        SynOps = Σ_i n_i·f_i             an ANN of the same shape: Σ_i f_i multiply-accumulates                 (1)

    f_i counts the weights ≠ 0 that leave i: a column sum in a dense layer, a transposed convolution of ones in a
    convolution, smaller at the borders. Inputs that are no spikes cost multiplications too. Energy is estimated as
    operations × picojoules; what that leaves out (each neuron's leak, each weight fetched) can be counted as well.

    *Exchange.* NIR is a graph of differential equations, without a time step, which every platform solves its own way:

        τ·dv/dt = (v_leak − v) + R·I             z = H(v − θ)             v ← v_reset where z = 1               (2)

    By Euler v ← (1 − dt/τ)·v + (dt/τ)·(v_leak + R·I): snnTorch's β·U + I, with β = 1 − dt/τ and R = τ/dt.

Read first
    Theory:   NIR, Pedersen et al. 2024, https://www.nature.com/articles/s41467-024-52259-9
              NeuroBench, Yik et al. 2025, https://www.nature.com/articles/s41467-025-56739-4
    Practice: who reads which node, https://neuroir.org/docs/supported_primitives.html

Run
    uv run 17_energy_and_export.py                 under a minute on two CPU cores, from the weights in checkpoints/
    uv run 17_energy_and_export.py --train         trains the two MNIST networks first: some minutes (12 on a busy core)
    uv run --with norse 17_energy_and_export.py    other simulators join (also --with sinabs, --with spikingjelly)
    uv run 17_energy_and_export.py --smoke         seconds, stand-in data

You should see
    NeuroBench and the hand count agree to the last operation; a loop that snnTorch works out twice a step counts once.
    Dense MNIST network: estimated 5.4× cheaper than its ANN by synapses alone, 1.02× if the ANN skips black pixels too.
    0 of 1.5 million spikes differ after file and import; read with reset by subtraction 13 % (dense), 87 % (recurrent).
    Of eight ways to write forward, five come out as a wrong graph without a word; our check stops all five.

Builds on / leads to
    Networks like those of 08, 10 and 13, SynOps as in 14. Lesson 19 goes to Akida, whose road does not pass by NIR.

Predict: with --num-steps 20 the dense network sees each digit twice as long. Which parts of its energy double?
Next: uv run 18_spiking_transformers.py
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common import plots
from common.cost import PJ_PER_AC, PJ_PER_MAC, calls, ledger_row, workload
from common.data import ImageData, cifar10, mnist
from common.io import ROOT, UserError, write_atomic
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time
from exchange import nir as exchange
from multistep import unroll
from training import count_predict, evaluate, fit, membrane_predict
from training.augment import jitter

import nir
import nirtorch
import numpy as np
import snntorch as snn
import snntorch.functional as SF
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from safetensors.torch import load_file
from snntorch.export_nir import export_to_nir
from snntorch.import_nir import import_from_nir
from torch import nn

# Horowitz 2014 (see common.cost): 45 nm, 32-bit floating point; all that is made of these is *estimated*
PJ_PER_UPDATE = (
    PJ_PER_MAC + PJ_PER_AC
)  # β·U + I is a multiply-accumulate, the comparison with θ an addition
PJ_PER_WORD = 5.0  # 32 bits of a memory of 8 kB (10 pJ for 64 bits); a larger one costs more, so this is a lower bound


@dataclass
class Config(LessonConfig):
    """Two networks are this lesson's own (see ``--train``), the third is lesson 10's. ``num_steps`` is the dense one's
    T: the recurrent one takes an image in 28 rows, the convolutional one keeps lesson 10's 4 steps."""

    num_steps: int = bounded(10, 1, 100_000)
    """time steps for which the dense network sees an image (T)"""
    train: bool = False
    """train the two MNIST networks anew instead of reading them from checkpoints/"""
    epochs: int = bounded(8, 1, 1000)
    """epochs of that training"""
    num_images: int = bounded(500, 1, 10_000)
    """MNIST test images on which operations are counted and spikes compared"""
    conv_images: int = bounded(100, 1, 10_000)
    """CIFAR-10 test images for the same purpose"""


SMOKE, FULL = (
    {"num_images": 16, "conv_images": 2, "epochs": 1},
    {"num_images": 10_000, "conv_images": 1000},
)


# ------------------------------------------------------------------------------------ the networks


def leaky(num: int, beta: float, **options: Any) -> snn.Leaky:
    """A neuron that can leave snnTorch: one β and one θ a neuron, and reset to zero, as NIR's equation (2) has it."""
    return snn.Leaky(
        beta=torch.full((num,), beta),
        threshold=torch.ones(num),
        init_hidden=True,
        reset_mechanism="zero",
        **options,
    )


class SmallNet(nn.Module):
    """Linear → hidden neurons → Linear → 10 neurons; read by counting output spikes, all that a chip sends out."""

    def __init__(self, num_inputs: int, hidden: snn.SpikingNeuron) -> None:
        super().__init__()
        num_hidden, beta = len(hidden.beta), hidden.beta[0].item()
        self.fc1, self.lif1 = nn.Linear(num_inputs, num_hidden), hidden
        self.fc2, self.lif2 = nn.Linear(num_hidden, 10), leaky(10, beta, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.lif2(self.fc2(self.lif1(self.fc1(x_t))))  # (B, 10), (B, 10)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))  # (T, B, H)
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)  # (T, B, 10)
        return spk2, mem2


def row_net() -> SmallNet:
    """28–64–10 with recurrent weights: reads an image row by row, a row of 28 pixels a step, 28 steps."""
    # reset_delay=False: with its default, RLeaky's reset to zero also throws the next step's input away
    return SmallNet(
        28,
        snn.RLeaky(
            beta=torch.full((64,), 0.9375),
            threshold=torch.ones(64),
            linear_features=64,
            init_hidden=True,
            reset_mechanism="zero",
            reset_delay=False,
        ),
    )


# same as lesson 10
class SmallCNN(nn.Module):
    """Three convolutions of stride 2 and a read-out, a Leaky neuron after each: 32×32 pixels → 16 → 8 → 4.

    Strides make the maps small, so everything that travels between layers is binary, and the weights are all in
    convolutions and one linear layer. ``forward`` is one time step, ``run`` a whole sequence from rest.
    """

    def __init__(
        self, channels: Sequence[int] = (32, 64, 128), beta: float = 0.5, num_outputs: int = 10
    ) -> None:
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
        spk1 = self.lif1(self.conv1(x_t))  # (B, 32, 16, 16)
        spk2 = self.lif2(self.conv2(spk1))  # (B, 64, 8, 8)
        spk3 = self.lif3(self.conv3(spk2))  # (B, 128, 4, 4)
        return self.lif4(self.fc(self.flatten(spk3)))  # (B, 10), (B, 10)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 3, 32, 32)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``, starting from rest."""
        spk1, _, _ = unroll(self.lif1, over_time(self.conv1, x))  # a still image is convolved once
        spk2, _, _ = unroll(self.lif2, over_time(self.conv2, spk1))  # (T, B, 64, 8, 8)
        spk3, _, _ = unroll(self.lif3, over_time(self.conv3, spk2))  # (T, B, 128, 4, 4)
        cur4 = over_time(self.fc, spk3.flatten(2))  # (T, B, 10)
        spk4, mem4, _ = unroll(self.lif4, cur4, record_mem=True)
        return spk4, mem4


# same as lesson 10
def encode(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Grey values 0..1, centred and stretched to −2..2, as a current that stays: ``(B, …) → (T, B, …)``."""
    return constant_current(4 * x - 2, num_steps)


@dataclass
class Subject:
    """One of the three networks, and what it is measured on."""

    key: str
    title: str
    net: nn.Module
    encode: Callable[[torch.Tensor], torch.Tensor]
    data: ImageData
    n: int
    predict: Callable[[Any], torch.Tensor] = count_predict
    passes: int = 1  # of an ANN of the same shape for one answer: once, or once a row

    def prepare(self, cfg: Config, run: Run) -> Subject:
        """Train it, or read its weights; then measure accuracy on all test images and encode the first ``n``."""
        name = {"conv": "cifar10_cnn"}.get(self.key, f"mnist_{self.key}")
        if cfg.train and self.key != "conv":
            fit(
                self.net,
                self.data,
                self.encode,
                run=run,
                epochs=cfg.epochs,
                lr=4e-3,
                batch_size=256,
                predict=self.predict,
                loss_fn=lambda out, y: SF.ce_count_loss()(out[0], y),
                augment=partial(jitter, shift=1),
                name=name,
            )
            run.checkpoint(self.net, name)
        else:
            try:
                self.net.load_state_dict(load_file(ROOT / "checkpoints" / f"{name}.safetensors"))
            except (OSError, RuntimeError) as e:
                raise UserError(
                    f"cannot read checkpoints/{name}.safetensors ({type(e).__name__}); get the file back "
                    "from the repository, or (MNIST) run with --train"
                ) from e
        self.net.to("cpu").eval()  # spikes are compared one by one
        self.accuracy = evaluate(
            self.net, self.data.x_test, self.data.y_test, self.encode, predict=self.predict
        )
        self.x, self.y = (
            self.encode(self.data.x_test[: self.n].float() / 255),
            self.data.y_test[: self.n],
        )
        return self


def fan_out(
    layer: nn.Linear | nn.Conv2d, size_in: torch.Size, size_out: torch.Size
) -> torch.Tensor:
    """f_i of equation (1): the synapses that leave each input, for a layer that makes ``(B, …)`` of ``(B, …)``."""
    synapse = (layer.weight != 0).double()
    if isinstance(layer, nn.Linear):
        return synapse.sum(0)  # (N_in,): column sums
    lost = [
        size
        - (
            (o - 1) * s - 2 * p + d * (k - 1) + 1
        )  # rows and columns that the last window does not reach
        for size, o, s, p, d, k in zip(
            size_in[2:],
            size_out[2:],
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.kernel_size,
            strict=True,
        )
    ]
    ones = torch.ones(1, layer.out_channels, *size_out[2:], dtype=torch.float64)
    return F.conv_transpose2d(
        ones, synapse, None, layer.stride, layer.padding, tuple(lost), layer.groups, layer.dilation
    )[0]  # (C_in, H, W): how many outputs look at this pixel


def hand_count(net: nn.Module, x: torch.Tensor) -> dict[str, Counter[str]]:
    """Operations in all samples and steps of ``x (T, B, …)``, by layer, straight from equation (1).

    ``acs`` where the input is spikes, ``macs`` in the first layer (zeros cost nothing in either), ``dense`` with every
    input, ``border`` that padding would add to it, ``updates`` of neurons, and ``calls`` a step.
    """
    table: dict[str, Counter[str]] = {}
    for name, layer, inp, out in calls(net, x):
        row = table.setdefault(name, Counter())
        row["calls"] += 1
        if isinstance(layer, snn.SpikingNeuron):
            row["updates"] += out.numel()
            continue
        f = fan_out(layer, inp.shape, out.shape)
        row["macs" if name == next(iter(table)) else "acs"] += int(
            ((inp != 0).double() * f).sum()
        )  # Σ_i n_i·f_i  (1)
        row["dense"] += int(f.sum()) * len(out)
        row["border"] += out.numel() * layer.weight[0].numel() - int(f.sum()) * len(out)
    for row in (
        table.values()
    ):  # snnTorch's RLeaky works its loop out twice a step to reset to zero: one loop, not two
        row["calls"] //= len(x)
        for k in row.keys() - {"calls"}:
            row[k] //= row["calls"]
    return table


def experiment_counts(s: Subject) -> dict[str, Any]:
    """Operations by layer by hand, in total by NeuroBench, and the MACs of the ANN of the same shape."""
    layers, n, T = hand_count(s.net, s.x), s.x.shape[1], len(s.x)
    by_hand = sum(layers.values(), Counter())
    # NeuroBench sums a layer's operations in float32, exact below 2²⁴: so few samples that no layer gets there
    parts = s.x.split(
        max(1, 2**24 // max(row["dense"] // (n * T) for row in layers.values())), dim=1
    )
    theirs = [
        (part.shape[1], workload(s.net, part)) for part in parts
    ]  # means over the samples of a part
    beyond = [
        sum(round(m * w[k]) for m, w in theirs)
        - sum(row[k] * row["calls"] for row in layers.values())
        for k in ("acs", "macs", "dense")
    ]  # theirs counts every call of a layer
    first, times = (
        next(iter(layers)),
        T if s.x.stride(0) == 0 else 1,
    )  # a current that stays is computed once
    return {
        "layers": layers,
        "n": n,
        "T": T,
        "first": first,
        "by_hand": by_hand,
        "difference": max(beyond, key=abs),
        "twice": sum(r["acs"] * (r["calls"] - 1) for r in layers.values()) / max(1, by_hand["acs"]),
        "an image": {k: v / n for k, v in by_hand.items()},
        "macs once": by_hand["macs"] / times / n,
        "ann": (by_hand["dense"] + by_hand["border"]) / n / T * s.passes,
        "zero pixels": (layers[first]["dense"] - layers[first]["macs"]) / times / n,
    }


def experiment_energy(c: dict[str, Any]) -> dict[str, dict[str, float]]:
    """*Estimated* nJ an image, counted in five ways, each with the ANN of the same shape by the same rule."""
    ops, once, ann = c["an image"], c["macs once"], c["ann"] * PJ_PER_MAC / 1000
    synapses = (ops["acs"] * PJ_PER_AC + once * PJ_PER_MAC) / 1000
    neurons = ops["updates"] * PJ_PER_UPDATE / 1000
    # an operation fetches a weight, reads a membrane and writes it back; so does an update, without the weight; the
    # ANN fetches weight and activation, its sum stays in a register
    memory, ann_memory = (
        PJ_PER_WORD / 1000 * words
        for words in (3 * (ops["acs"] + once) + 2 * ops["updates"], 2 * c["ann"])
    )
    return {
        "synapses only": {"snn": synapses, "ann": ann},
        "input multiplied each step": {
            "snn": synapses + (ops["macs"] - once) * PJ_PER_MAC / 1000,
            "ann": ann,
        },
        "ANN skips zero pixels": {
            "snn": synapses,
            "ann": ann - c["zero pixels"] * PJ_PER_MAC / 1000,
        },
        "+ neuron updates": {"snn": synapses + neurons, "ann": ann},
        "+ memory": {
            "snn": synapses + neurons + memory,
            "ann": ann + ann_memory,
            "synapses": synapses,
            "neurons": neurons,
            "memory": memory,
        },
    }


@dataclass
class Reference:
    """Equation (2), solved step by step: the second simulator that is always there.

    ``scheme``: an Euler step in two roundings, or the exact solution for a current constant in the step. ``reset``:
    to v_reset as NIR says, by subtraction, or a step late, which loses that step's input. ``substeps``: parts of dt;
    a spike in any of them counts. ``loop_delay``: further steps that a connection back takes.
    """

    graph: nir.NIRGraph
    dt: float = exchange.DT
    scheme: str = "factors"
    reset: str = "value"
    substeps: int = 1
    loop_delay: int = 0

    def run(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The spikes of each LIF node over ``x (T, B, …)``, from rest."""
        self.v: dict[str, torch.Tensor] = {}
        return exchange.run_graph(self.graph, x, self.lif, self.loop_delay)

    def lif(self, name: str, node: nir.LIF, cur: torch.Tensor) -> torch.Tensor:
        tau, r, v_leak, theta, v_reset = (
            torch.as_tensor(np.asarray(a)).to(cur.dtype)
            for a in (node.tau, node.r, node.v_leak, node.v_threshold, node.v_reset)
        )
        v = self.v.get(name, torch.zeros_like(cur) + v_leak)
        fired_before, z = v > theta, torch.zeros_like(cur)
        a = self.dt / self.substeps / tau
        for _ in range(self.substeps):
            if self.scheme == "factors":
                v = (
                    (1 - a) * v + a * v_leak + (a * r) * cur
                )  # v ← (1 − dt/τ)·v + (dt/τ)·(v_leak + R·I)      (2)
            elif self.scheme == "increments":
                v = v + a * ((v_leak - v) + r * cur)  # v ← v + (dt/τ)·((v_leak − v) + R·I)
            else:
                end = v_leak + r * cur  # v falls towards v_leak + R·I as e^(−t/τ)
                v = end + (v - end) * torch.exp(-a)
            if self.reset == "late":
                v = torch.where(fired_before, v_reset, v)
            spk = (v > theta).to(cur.dtype)  # z = H(v − θ)
            z = torch.maximum(z, spk)
            if self.reset == "value":
                v = torch.where(spk > 0, v_reset, v)  # v ← v_reset where z = 1
            elif self.reset == "subtract":
                v = v - spk * theta
        self.v[name] = v
        return z


READINGS: dict[str, dict[str, Any]] = {
    "Euler, as β·v + I": {},
    "Euler, as v + dv": {"scheme": "increments"},
    "exact solution": {"scheme": "exact"},
    "ten steps of dt/10": {"substeps": 10},
    "reset by subtraction": {"reset": "subtract"},
    "reset a step late": {"reset": "late"},
    "dt = 1 ms, not 0.1 ms": {"dt": 1e-3},
    "loop a step longer": {"loop_delay": 1},
}


def experiment_round_trip(s: Subject, folder: Path) -> dict[str, Any]:
    """Export, write, read, import: the spikes before and after; and what became of a reset that NIR cannot hold."""
    net = exchange.per_neuron(s.net, s.x[0])
    path = write_atomic(
        folder / f"{s.key}.nir", lambda tmp: nir.write(tmp, exchange.to_nir(net, s.x[0]))
    )
    ours, back = (
        exchange.spikes_of(net, s.x),
        exchange.spikes_of(exchange.from_nir(nir.read(path)), s.x),
    )
    default = exchange.per_neuron(s.net, s.x[0], reset="subtract")
    if s.key == "recurrent":
        default.lif1.reset_delay = True
    was = exchange.spikes_of(default, s.x)
    try:
        exchange.quietly(import_from_nir, nir.read(path))(s.x[0])
        library = "works"
    except Exception as e:  # whatever it raises is the finding
        library = f"{type(e).__name__}: {' '.join(str(e).split())[:60]}"
    back, was, default = (
        exchange.compare(a, b, s.y) for a, b in ((ours, back), (was, was), (was, back))
    )
    return {
        "graph": nir.read(path),
        "path": path,
        "spikes": ours,
        "library": library,
        "round": back,
        "was": was["accuracy"],
        "default": default,
    }


def experiment_simulators(s: Subject, trip: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The same graph under other readings of equation (2), and in other libraries, against snnTorch's spikes."""
    rows = {
        name: exchange.compare(trip["spikes"], Reference(trip["graph"], **options).run(s.x), s.y)
        for name, options in READINGS.items()
        if s.key == "recurrent" or "loop_delay" not in options
    }
    if s.key == "dense":  # their readers refuse loops, or take Flatten each in its own way
        rows |= {
            name: exchange.compare(
                trip["spikes"][-1:], [run(copy.deepcopy(trip["graph"]), s.x)], s.y
            )
            for name, run in exchange.second_simulators().items()
        }
    return rows


class Probe(nn.Module):
    """A small network whose ``forward`` is one of the eight ways below to write a step."""

    def __init__(self, step: Callable[[Probe, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.fc1, self.fc2, self.norm = nn.Linear(8, 8), nn.Linear(8, 8), nn.BatchNorm1d(8)
        self.lif1, self.lif2, self.step = leaky(8, 0.875), leaky(8, 0.875), step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.step(self, x)


PROBES: dict[str, Callable[[Probe, torch.Tensor], torch.Tensor]] = {
    "plain": lambda n, x: n.lif2(n.fc2(n.lif1(n.fc1(x)))),
    "skip connection": lambda n, x: n.lif2(n.fc2(spk := n.lif1(n.fc1(x))) + spk),
    "scaled spikes": lambda n, x: n.lif2(n.fc2(0.5 * n.lif1(n.fc1(x)))),
    "a function": lambda n, x: n.lif2(n.fc2(n.lif1(F.relu(n.fc1(x))))),
    "a layer used twice": lambda n, x: n.lif2(n.fc2(n.lif1(n.fc2(n.lif1(n.fc1(x)))))),
    "loop over time": lambda n, x: [n.lif2(n.fc2(n.lif1(n.fc1(x)))) for _ in range(3)][-1],
    "branch on data": lambda n, x: n.lif2(
        n.fc2(spk) if (spk := n.lif1(n.fc1(x))).sum() > 0 else spk
    ),
    "BatchNorm": lambda n, x: n.lif2(n.fc2(n.lif1(n.norm(n.fc1(x))))),
}
SILENT = "wrong, without a word"


def experiment_export(seed: int) -> list[dict[str, str]]:
    """Each probe through both exporters: is the graph right, is there an error, or is it wrong without a word?"""

    def verdict(net: Probe, x: torch.Tensor, export: Callable[[Probe], nir.NIRGraph]) -> str:
        want = exchange.spikes_of(net, x)
        try:
            graph = exchange.quietly(export, net)
        except Exception as e:  # the message is the finding
            return f"{type(e).__name__}: {' '.join(str(e).split())[:70]}"
        try:
            got = Reference(graph).run(x)
        except Exception:  # a graph in pieces
            return SILENT
        return "right" if len(got) == len(want) and all(map(torch.equal, got, want)) else SILENT

    found = []
    for how, step in PROBES.items():
        torch.manual_seed(seed)
        net, x = Probe(step).eval(), 6 * torch.rand(12, 16, 8)
        found.append(
            {
                "how": how,
                "calls": verdict(net, x, partial(export_to_nir, sample_data=x[0], ignore_dims=[0])),
                "fx": verdict(
                    net,
                    x,
                    partial(nirtorch.torch_to_nir, module_map={snn.Leaky: exchange.lif_node}),
                ),
                "check": next(iter(exchange.why_not(net, x[0])), "nothing in the way"),
            }
        )
    return found


def experiment_hardware(graphs: dict[str, nir.NIRGraph]) -> list[list[str]]:
    """For each platform and graph: the kinds of node that it does not take, and what could stand in their place."""
    table, kinds = (
        [],
        [
            {type(n).__name__ for n in g.nodes.values()} - {"Input", "Output"}
            for g in graphs.values()
        ],
    )
    for target, taken in exchange.TARGETS.items():
        missing = [sorted(k - taken) for k in kinds]
        table.append(
            [
                target,
                *(", ".join(m) or "all taken" for m in missing),
                "; ".join(
                    f"{k}: {exchange.INSTEAD[k]}" for k in sorted({k for m in missing for k in m})
                )
                or "–",
            ]
        )
    return table


# ------------------------------------------------------------------------------------ figures


def plot_synops(subjects: Sequence[Subject], counts: dict[str, dict[str, Any]]) -> Figure:
    share = {k: (c["an image"]["acs"] + c["macs once"]) / c["ann"] for k, c in counts.items()}
    fig, axes = plots.figure(
        1,
        3,
        size=(13, 4),
        title="Operations an image, of the ANN's: "
        + ", ".join(f"{k} {100 * v:.0f} %" for k, v in share.items()),
    )
    for ax, s in zip(axes, subjects, strict=True):
        c = counts[s.key]
        rows = {n: row for n, row in c["layers"].items() if row["dense"]}
        place = np.arange(len(rows))
        ax.bar(
            place - 0.2,
            [r["dense"] / c["n"] / c["T"] * s.passes for r in rows.values()],
            0.38,
            color="0.75",
            label="ANN: multiply-accumulates",
        )
        ax.bar(
            place + 0.2,
            [r["acs"] / c["n"] for r in rows.values()],
            0.38,
            color=plots.BLUE,
            label="SNN: accumulates (SynOps)",
        )
        ax.bar(
            place + 0.2,
            [c["macs once"] * (n == c["first"]) for n in rows],
            0.38,
            color=plots.ORANGE,
            label="SNN: multiply-accumulates of the input",
        )
        ax.set_xticks(place, [n.replace("lif1.recurrent", "loop") for n in rows])
        ax.set_yscale("log")
        plots.label(ax, "layer", "operations per image", f"{s.title}, T = {c['T']}")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def plot_energy(energies: dict[str, dict[str, dict[str, float]]]) -> Figure:
    ratio = {k: {way: v["ann"] / v["snn"] for way, v in e.items()} for k, e in energies.items()}
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(13, 4.4),
        width_ratios=(3, 2),
        title="Estimated: the ANN costs "
        + ", ".join(f"{r['synapses only']:.1f}× ({k})" for k, r in ratio.items())
        + " by synapses alone; "
        + ", ".join(f"{r['+ memory']:.1f}×" for r in ratio.values())
        + " with neurons and memory",
    )
    parts = {"synapses": plots.SKY, "neurons": plots.GREEN, "memory": plots.ORANGE}
    for i, (key, r) in enumerate(ratio.items()):
        a.bar(
            np.arange(len(r)) + 0.26 * (i - 1),
            list(r.values()),
            0.24,
            color=plots.COLOURS[i],
            label=key,
        )
        share = (
            np.array([energies[key]["+ memory"][p] for p in parts])
            / energies[key]["+ memory"]["snn"]
        )
        b.barh([key] * 3, share, left=share.cumsum() - share, color=list(parts.values()))
        for middle, value in zip(share.cumsum() - share / 2, share, strict=True):
            b.text(
                middle, i, f"{100 * value:.0f} %" if value > 0.05 else "", ha="center", va="center"
            )
    for part, colour in parts.items():
        b.plot([], [], color=colour, linewidth=6, label=part)
    a.axhline(1, color=plots.BLACK, linewidth=1)
    a.set_xticks(range(len(r)), [way.replace(" ", "\n") for way in r])
    a.set(yscale="log", ylim=(None, 3 * max(max(r.values()) for r in ratio.values())))
    a.legend(ncols=3)
    plots.label(
        a, "what is counted", "energy of ANN / SNN (estimated)", "Above the line the SNN is cheaper"
    )
    b.set(xlim=(0, 1), ylim=(2.5, -0.5))
    plots.label(b, "share (estimated)", "", "Where the SNN's energy goes when memory counts")
    fig.legend(*b.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return fig


def plot_graphs(graphs: dict[str, nir.NIRGraph]) -> Figure:
    nodes = [n for g in graphs.values() for n in g.nodes.values()]
    fig, axes = plots.figure(
        3,
        1,
        size=(13, 6),
        height_ratios=(1, 1, 1.7),
        title=(
            f"The networks as NIR graphs: {len(nodes)} nodes of {len(set(map(type, nodes)))} kinds"
        ),
    )
    for ax, (key, graph) in zip(axes, graphs.items(), strict=True):
        exchange.draw_graph(ax, graph, key)
    return fig


def plot_readings(s: Subject, trip: dict[str, Any], results: dict[str, dict[str, float]]) -> Figure:
    shown = ("Euler, as β·v + I", "exact solution", "reset by subtraction", "reset a step late")
    fig, axes = plots.figure(
        1,
        4,
        size=(13, 4.4),
        sharey=True,
        title=(
            f"One graph, four readings: up to {100 * max(results[n]['share'] for n in shown):.0f} % of the spikes differ"
        ),
    )
    image = int((s.y == 3).int().argmax())  # the first 3
    ours = trip["spikes"][0][:, image]
    active = ours.sum(0).argsort(descending=True, stable=True)[:40]
    for ax, name in zip(axes, shown, strict=True):
        theirs = Reference(trip["graph"], **READINGS[name]).run(s.x[:, image : image + 1])[0][:, 0]
        exchange.draw_difference(ax, ours[:, active], theirs[:, active], "snnTorch", "this reading")
        plots.label(
            ax,
            "time step",
            "hidden neuron (most active first)" if ax is axes[0] else "",
            f"{name}:\n{100 * results[name]['share']:.3g} % of all spikes",
        )
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


# ------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    digits, photos = run.data(mnist), run.data(cifar10)
    three = [
        subject.prepare(cfg, run)
        for subject in (
            Subject(
                "dense",
                "dense 784–100–10",
                SmallNet(784, leaky(100, 0.875)),  # grey values as a current that stays
                lambda x: constant_current(x.flatten(1), cfg.num_steps),
                digits,
                cfg.num_images,
            ),
            Subject(
                "conv",
                "conv 32–64–128, dense 10",
                SmallCNN(),
                partial(encode, num_steps=min(4, cfg.num_steps)),
                photos,
                cfg.conv_images,
                membrane_predict,
            ),
            Subject(
                "recurrent",
                "recurrent 28–64–10",
                row_net(),
                lambda x: x[:, 0].transpose(0, 1),
                digits,
                cfg.num_images,
                passes=28,
            ),
        )
    ]  # (B, 1, 28, 28) → (28, B, 28): a row a step

    run.print("\n1  Operations, by hand and by NeuroBench")
    counts = {s.key: experiment_counts(s) for s in three}
    run.table(
        "Operations an image",
        ("layer", "accumulates", "multiply-acc.", "ANN, same shape", "neuron updates"),
        [
            (
                f"{s.key} {n}",
                *(row[k] / c["n"] for k in ("acs", "macs")),
                row["dense"] / c["n"] / c["T"] * s.passes,
                row["updates"] / c["n"],
            )
            for s in three
            for c in (counts[s.key],)
            for n, row in c["layers"].items()
        ],
    )
    for key, c in counts.items():
        run.claim(
            f"exact_{key}",
            f"{key}: NeuroBench − hand count of the same calls, ACs, MACs or dense",
            c["difference"],
            "",
            "== 0",
            n=c["n"],
        )
        run.claim(
            f"synops_{key}",
            f"{key}: SynOps an image",
            c["an image"]["acs"],
            "",
            n=c["n"],
            real=True,
        )
    c = counts["conv"]
    run.claim(
        "twice",
        "recurrent: SynOps that NeuroBench adds, the loop counted twice",
        counts["recurrent"]["twice"],
    )
    run.claim(
        "border",
        "conv: dense count, what padding would add",
        c["by_hand"]["border"] / c["by_hand"]["dense"],
    )
    run.figure(plot_synops(three, counts), "synops")

    run.print("\n2  Energy, estimated, and what the estimate leaves out")
    energies = {k: experiment_energy(c) for k, c in counts.items()}
    run.table(
        "Estimated energy an image (nJ), SNN / ANN of the same shape",
        ("counted", *energies),
        [
            (way, *(f"{e[way]['snn']:.4g} / {e[way]['ann']:.4g}" for e in energies.values()))
            for way in energies["conv"]
        ],
    )
    for key, e in energies.items():
        for way in ("synapses only", "ANN skips zero pixels", "+ neuron updates", "+ memory"):
            run.claim(
                f"ratio_{key}_{way}",
                f"{key}: energy of ANN / SNN (estimated), {way}",
                e[way]["ann"] / e[way]["snn"],
                "×",
                n=counts[key]["n"],
                real=True,
            )
    for key, words in (("", 0), (" with memory", 1)):
        run.claim(
            f"break-even{key}",
            f"spikes an input may send until they cost more than one MAC{key}",
            (PJ_PER_MAC + 2 * words * PJ_PER_WORD) / (PJ_PER_AC + 3 * words * PJ_PER_WORD),
            "spikes",
        )
    run.figure(plot_energy(energies), "energy")
    for s in three:
        n = len(s.data.y_test)
        run.claim(f"accuracy_{s.key}", f"{s.title}: test accuracy", s.accuracy, n=n, real=True)
        row = ledger_row(
            s.net, s.x, model=f"SNN {s.title}", data=s.data.name, accuracy=s.accuracy, n=n
        )
        c, e = counts[s.key], energies[s.key]["synapses only"]["snn"]
        run.ledger(
            **row | {"ann_macs": c["ann"], "synops": c["an image"]["acs"], "energy_estimated_nj": e}
        )

    run.print("\n3  Into a NIR file and back")
    trips = {s.key: experiment_round_trip(s, run.dir) for s in three}
    graphs = {k: t["graph"] for k, t in trips.items()}
    for t in trips.values():
        run.print(f"   saved   {t['path']}")
    for g in graphs.values():
        run.print(
            "  ", " → ".join(f"{n} ({type(g.nodes[n]).__name__})" for n in exchange.node_order(g))
        )
    run.table(
        "Read back",
        (
            "network",
            "spikes",
            "differ",
            "… from a reset that NIR lacks",
            "accuracy with that",
            "and read back",
            "snnTorch's import",
        ),
        [
            (
                k,
                sum(int(r.sum()) for r in t["spikes"]),
                t["round"]["differ"],
                *(
                    f"{100 * v:.3g} %"
                    for v in (t["default"]["share"], t["was"], t["round"]["accuracy"])
                ),
                t["library"],
            )
            for k, t in trips.items()
        ],
    )
    for key, t in trips.items():
        run.claim(
            f"round_{key}",
            f"{key}: spikes that differ after export, file and import",
            t["round"]["differ"],
            "spikes",
            "== 0",
            n=counts[key]["n"],
        )
        run.claim(
            f"default_{key}",
            f"{key}: spikes that differ where the reset was one that NIR lacks",
            t["default"]["share"],
            n=counts[key]["n"],
            real=True,
        )
    run.figure(plot_graphs(graphs), "graphs")

    run.print("\n4  The same graph in a second simulator")
    others = {s.key: experiment_simulators(s, trips[s.key]) for s in three}
    run.table(
        "Spikes that differ from snnTorch's, and accuracy by output spikes",
        ("reading", *others),
        [
            (
                name,
                *(
                    f"{100 * o[name]['share']:.3g} %, {100 * o[name]['accuracy']:.1f} %"
                    if name in o
                    else "–"
                    for o in others.values()
                ),
            )
            for name in dict.fromkeys(n for o in others.values() for n in o)
        ],
    )
    for key, o in others.items():
        for name in (
            "Euler, as β·v + I",
            "exact solution",
            "reset by subtraction",
            "reset a step late",
        ):
            same = name.startswith("Euler")
            run.claim(
                f"{key}: {name}",
                f"{key}: spikes that differ, {name}",
                o[name]["share"],
                target="<= 0.001" if same else None,
                n=counts[key]["n"],
                real=not same,
            )
    run.figure(plot_readings(three[0], trips["dense"], others["dense"]), "readings")

    run.print("\n5  Who takes which node")
    hardware = experiment_hardware(graphs)
    run.table(
        "Nodes not taken (of loops NIR's table says nothing)",
        ("platform", *graphs, "instead"),
        hardware,
    )
    run.table(
        "One Braille network (published: Pedersen et al. 2024)",
        ("platform", "accuracy"),
        exchange.BRAILLE,
    )
    run.claim(
        "all_taken",
        "platforms that take every node of all three graphs",
        sum(row[1:4] == ["all taken"] * 3 for row in hardware),
        "",
        n=len(hardware),
    )

    run.print("\n6  What cannot be exported")
    probes = experiment_export(cfg.seed)
    run.table(
        "Eight ways to write forward",
        ("forward", "snnTorch, watching calls", "torch.fx", "our check"),
        [(p["how"], p["calls"], p["fx"], p["check"].split(":")[0]) for p in probes],
    )
    for key, name in (("calls", "snnTorch"), ("fx", "torch.fx")):
        run.claim(
            f"silent_{key}",
            f"silently wrong graphs, {name}",
            sum(p[key] == SILENT for p in probes),
            "",
            n=8,
        )
    run.claim(
        "unchecked",
        "of snnTorch's, how many our check lets pass",
        sum(p["calls"] == SILENT and p["check"] == "nothing in the way" for p in probes),
        "",
        "== 0",
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
