"""Lesson 17 — What an answer costs, and how a network moves to another platform

Question
    How many operations does one answer of a spiking network take? And what is left of the network
    when it leaves snnTorch for another simulator, or for a chip?

Idea
    *Cost.* A spike that leaves neuron i travels along f_i connections, its fan-out, and at the end of
    each the weight is added to a current. These additions are called synaptic operations, SynOps:

        SynOps = Σ_i n_i·f_i             n_i: spikes that i sends while one answer is made     (1)

    An ordinary network multiplies and adds once for each connection, whatever the input is: two
    floating-point operations, FLOPs. (In a convolution one weight serves many connections.)

    *Exchange.* NIR, the neuromorphic intermediate representation, writes a network as a graph:
    nodes are weights and neurons, edges say what feeds what. A neuron is a differential equation:

        τ·dv/dt = (v_leak − v) + R·I     a spike when v > θ, and then v ← v_reset             (2)

    There are no time steps in it. A simulator chooses them; with steps of dt, by Euler's method:

        v ← (1 − dt/τ)·v + (dt/τ)·(v_leak + R·I)                                              (3)

    With β = 1 − dt/τ, R = τ/dt and v_leak = 0 this is β·U + I, snnTorch's Leaky of lesson 01.

Read first
    Theory     NIR: Pedersen et al. 2024, https://www.nature.com/articles/s41467-024-52259-9
               NeuroBench: Yik et al. 2025, https://www.nature.com/articles/s41467-025-56739-4
    Practice   NIR's nodes and who reads them, https://neuroir.org/docs/supported_primitives.html

Run
    uv run 17_energy_and_export.py --predict   asks what you expect, then measures it: start here
    uv run 17_energy_and_export.py             about a minute, with the weights in checkpoints/
    uv run benchmarks/simulators.py            other simulators, in an environment of their own
    uv run 17_energy_and_export.py --train     trains all networks anew: about ten minutes

Builds on / leads to
    01 and 06 gave the neurons, 13 the loop, 14 SynOps as a price. Lesson 19 goes to Akida, whose
    road does not pass by NIR.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from common import plots
from common.claims import plain
from common.cost import PJ_PER_AC, PJ_PER_MAC, calls, ledger_row, workload
from common.data import ImageData, batches, mnist
from common.io import ROOT, UserError, live
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time
from exchange import braille, probes, simulators
from exchange import nir as exchange
from multistep import unroll
from training import count_predict, evaluate, fit
from training.augment import jitter

import nir
import numpy as np
import snntorch as snn
import snntorch.functional as SF
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from scipy.stats import spearmanr
from snntorch.export_nir import export_to_nir
from torch import Tensor, nn

Out = tuple[Tensor, Tensor]  # what a network's run returns; output spikes first, (T, B, classes)


@dataclass
class Config(LessonConfig):
    """num_steps is the number of steps T for which a digit is shown; a Braille stroke takes 100."""

    num_steps: int = bounded(10, 1, 100_000)
    """time steps for which a digit is shown (T)"""
    num_images: int = bounded(500, 1, 10_000)
    """test images on which operations are counted"""
    num_compared: int = bounded(200, 1, 10_000)
    """test images, and strokes, whose spikes are compared one by one"""
    num_strokes: int = bounded(1400, 1, 100_000)
    """rendered test strokes in section 5"""
    train: bool = False
    """train all networks anew instead of reading them from checkpoints/"""
    epochs: int = bounded(5, 1, 1000)
    """epochs of that training"""


SMOKE = {"num_images": 20, "num_compared": 10, "num_strokes": 40, "epochs": 1}
FULL = {"num_images": 10_000, "num_strokes": 10_000}


# ---------------------------------------------------------------- the networks


def leaky(shape: tuple[int, ...], beta: float, **options: Any) -> snn.Leaky:
    """LIF neurons as NIR has them: β and θ for each neuron, and a spike sets U to zero."""
    return snn.Leaky(
        beta=torch.full(shape, beta),
        threshold=torch.ones(shape),
        init_hidden=True,
        reset_mechanism="zero",
        **options,
    )


class DenseNet(nn.Module):
    """784–100–10: Linear → Leaky → Linear → Leaky."""

    def __init__(self, beta: float = 0.875, num_outputs: int = 10) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 100)
        self.lif1 = leaky((100,), beta)
        self.fc2 = nn.Linear(100, num_outputs)
        self.lif2 = leaky((num_outputs,), beta, output=True)

    def forward(self, x_t: Tensor) -> Out:
        """One step: ``(B, 784)`` → output spikes and potentials, each ``(B, 10)``."""
        return self.lif2(self.fc2(self.lif1(self.fc1(x_t))))

    def run(self, x: Tensor) -> Out:
        """All steps, layer by layer: ``(T, B, 784)`` → ``(T, B, 10)`` twice."""
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))  # (T, B, 100)
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)
        return spk2, mem2


class ConvNet(nn.Module):
    """Two convolutions of stride 2 and a dense layer, LIF neurons after each: 28×28 → 8×14×14 → 16×7×7 → 10."""

    def __init__(self, beta: float = 0.875, num_outputs: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2, padding=2)
        self.lif1 = leaky((8, 14, 14), beta)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.lif2 = leaky((16, 7, 7), beta)
        self.flatten = nn.Flatten()
        self.fc3 = nn.Linear(16 * 7 * 7, num_outputs)
        self.lif3 = leaky((num_outputs,), beta, output=True)

    def forward(self, x_t: Tensor) -> Out:
        """One step: ``(B, 1, 28, 28)`` → output spikes and potentials, each ``(B, 10)``."""
        spk1 = self.lif1(self.conv1(x_t))  # (B, 8, 14, 14)
        spk2 = self.lif2(self.conv2(spk1))  # (B, 16, 7, 7)
        return self.lif3(self.fc3(self.flatten(spk2)))

    def run(self, x: Tensor) -> Out:
        """All steps, layer by layer: ``(T, B, 1, 28, 28)`` → ``(T, B, 10)`` twice."""
        spk1, _, _ = unroll(self.lif1, over_time(self.conv1, x))
        spk2, _, _ = unroll(self.lif2, over_time(self.conv2, spk1))
        cur3 = over_time(self.fc3, spk2.flatten(2))  # (T, B, 10)
        spk3, mem3, _ = unroll(self.lif3, cur3, record_mem=True)
        return spk3, mem3


class ReluNet(nn.Module):
    """The ordinary network with the shape of ``ConvNet``: ReLU in the place of its neurons, no steps."""

    def __init__(self, num_outputs: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.fc3 = nn.Linear(16 * 7 * 7, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 1, 28, 28)`` → a number for each class, ``(B, 10)``."""
        a1 = F.relu(self.conv1(x))
        a2 = F.relu(self.conv2(a1))
        return self.fc3(a2.flatten(1))

    def run(self, x: Tensor) -> Out:
        """What the training loop asks for: ``(1, B, 1, 28, 28)`` → ``(1, B, 10)`` twice."""
        out = self(x[0])[None]
        return out, out


def flat(x: Tensor, num_steps: int) -> Tensor:
    """An image as a current that stays: ``(B, 1, 28, 28)`` → ``(T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


def time_first(x: Tensor) -> Tensor:
    """``(B, T, 12)`` → ``(T, B, 12)``."""
    return x.transpose(0, 1)


def count_loss(out: Out, y: Tensor) -> Tensor:
    """Cross entropy of the spike counts (lesson 09)."""
    return SF.ce_count_loss()(out[0], y)


def relu_loss(out: Out, y: Tensor) -> Tensor:
    """Cross entropy of the ordinary network's outputs."""
    return F.cross_entropy(out[0][0], y)


def trained(
    cfg: Config, run: Run, name: str, net: nn.Module, trainings: dict[str, Callable]
) -> Any:
    """Weights for ``net``: from checkpoints/, or with --train from each of ``trainings``, saved as one file."""
    if cfg.train:
        for title, training in trainings.items():
            run.print(f"   training  {title}")
            training()
        run.checkpoint(net, name)
    else:
        path = ROOT / "checkpoints" / f"{name}.safetensors"
        try:
            net.load_state_dict(load_file(path))
        except (OSError, RuntimeError) as e:
            raise UserError(
                f"cannot read checkpoints/{name}.safetensors ({type(e).__name__}); get the file back from the "
                "repository, or run with --train"
            ) from e
    return net.to("cpu").eval()  # spikes are compared one by one: all on one device


@dataclass
class Digits:
    """The networks that read digits, and the test images whose operations are counted."""

    data: ImageData
    dense: DenseNet
    conv: ConvNet
    relu: ReluNet
    images: Tensor  # (n, 1, 28, 28)


def digit_networks(cfg: Config, run: Run) -> Digits:
    """The three networks that read MNIST."""
    data = run.data(mnist)
    torch.manual_seed(cfg.seed)
    dense, both = DenseNet(), nn.ModuleDict({"snn": ConvNet(), "relu": ReluNet()})
    options = {
        "run": run,
        "epochs": cfg.epochs,
        "lr": 4e-3,
        "batch_size": 256,
        "predict": count_predict,
        "augment": partial(jitter, shift=1),
    }
    show_flat = partial(flat, num_steps=cfg.num_steps)
    show = partial(constant_current, num_steps=cfg.num_steps)
    once = partial(constant_current, num_steps=1)
    train_dense = partial(fit, dense, data, show_flat, loss_fn=count_loss, **options)
    train_conv = partial(fit, both["snn"], data, show, loss_fn=count_loss, **options)
    train_relu = partial(fit, both["relu"], data, once, loss_fn=relu_loss, **options)
    trained(cfg, run, "mnist_dense", dense, {"784–100–10": train_dense})
    pair = {"convolutional": train_conv, "the same with ReLU": train_relu}
    trained(cfg, run, "mnist_conv", both, pair)
    images = data.x_test[: cfg.num_images].float() / 255
    return Digits(data, dense, both["snn"], both["relu"], images)


# ---------------------------------------------------------------- 1  operations


def synops_spike_by_spike(weight: Tensor, spk: Tensor) -> int:
    """Equation (1) at its plainest, for a dense layer: ``weight (N_out, N_in)``, ``spk (T, N_in)``."""
    additions = 0
    for _, i in spk.nonzero().tolist():  # every spike: its step, and the neuron that sent it
        additions += int((weight[:, i] != 0).sum())  # the weights that leave neuron i
    return additions


def fan_out(layer: nn.Linear | nn.Conv2d, size_in: torch.Size, size_out: torch.Size) -> Tensor:
    """f_i for every input of a layer that makes ``(B, …)`` of ``(B, …)``; weights that are zero do not count.

    In a convolution a pixel is seen by every window that covers it. Spreading a one from each output back over its
    window, which is a transposed convolution, counts them.
    """
    there = (layer.weight != 0).double()
    if isinstance(layer, nn.Linear):
        return there.sum(0)  # (N_in,)
    beyond = []  # rows and columns at the far edge that no window reaches
    for d in range(2):
        window = layer.dilation[d] * (layer.kernel_size[d] - 1) + 1
        last = (size_out[2 + d] - 1) * layer.stride[d]  # where the last window begins
        beyond.append(size_in[2 + d] + 2 * layer.padding[d] - last - window)
    ones = torch.ones(1, *size_out[1:], dtype=torch.float64)
    back = F.conv_transpose2d(
        ones, there, None, layer.stride, layer.padding, tuple(beyond), layer.groups, layer.dilation
    )
    return back[0]  # (C_in, H, W)


@dataclass
class Cost:
    """What one layer does, summed over all samples; a row for each step."""

    additions: list[float] = field(
        default_factory=list
    )  # inputs are spikes: Σ n_i·f_i, step by step
    products: list[float] = field(default_factory=list)  # inputs are other numbers, not zero: Σ f_i
    synapses: float = 0.0  # Σ f_i over all inputs, zero or not, in one step
    updates: list[float] = field(default_factory=list)  # neurons that are brought up to date
    spikes: list[float] = field(default_factory=list)


def count(net: nn.Module, x: Tensor) -> dict[str, Cost]:
    """Every layer's operations for ``x (T, B, …)``, by equation (1)."""
    table: dict[str, Cost] = {}
    for name, layer, inp, out in calls(net, x):  # each call of each layer, step by step
        cost = table.setdefault(name, Cost())
        if isinstance(layer, snn.SpikingNeuron):
            cost.updates.append(out.numel())
            cost.spikes.append(out.sum().item())
            continue
        f = fan_out(layer, inp.shape, out.shape)
        reached = ((inp != 0) * f).sum().item()  # zeros reach nobody
        is_spikes = bool(((inp == 0) | (inp == 1)).all())
        cost.additions.append(reached * is_spikes)
        cost.products.append(reached * (not is_spikes))
        cost.synapses = f.sum().item() * len(inp)
    return table


def neurobench_minus(net: nn.Module, x: Tensor, table: dict[str, Cost]) -> float:
    """NeuroBench's count less ours, additions or products of all samples; the larger difference.

    NeuroBench adds up in 32-bit numbers, which are exact below 2²⁴, so it gets a few samples at a time.
    """
    num_steps, n = x.shape[:2]
    largest = max(cost.synapses for cost in table.values())  # of one layer, all samples, one step
    at_once = int(2**24 * n / (largest * num_steps))
    additions = 0
    products = 0
    for part in x.split(max(1, at_once), dim=1):
        found = workload(net, part)  # means over the samples of a part
        additions += round(found["acs"] * part.shape[1])
        products += round(found["macs"] * part.shape[1])
    for cost in table.values():
        additions -= sum(cost.additions)
        products -= sum(cost.products)
    return max(additions, products, key=abs)


@section
def section_synops(cfg: Config, run: Run) -> Digits:
    """1  How many operations does one answer take?

    Two networks read MNIST digits: a dense one, 784–100–10, and a convolutional one. The grey values
    of an image are the input, the same for all T steps, and the output neuron with most spikes is the
    answer. `count` goes through the layers by equation (1):

        a layer whose inputs are spikes     one addition for each spike and each weight it meets
        the first layer                     grey values are no spikes: a multiplication and an
                                            addition (a multiply-accumulate, MAC), for pixels that
                                            are not black; the image stays, so once, not T times

    `synops_spike_by_spike` is the same sum for one image in four lines. In a convolution the fan-out
    of a pixel is the number of windows that cover it, times the output channels; at the border fewer
    windows do. An ordinary network of the same shape does Σ f_i MACs, every time. T does not stand in
    (1) as a factor: more steps cost more only through the spikes that they bring.

    NeuroBench, a benchmark for neuromorphic systems, ships a counter of its own. Both have to agree
    to the last operation.
    """
    given = digit_networks(cfg, run)
    nets = {"dense": given.dense, "convolutional": given.conv}
    inputs = {"dense": flat(given.images, cfg.num_steps)}
    inputs["convolutional"] = constant_current(given.images, cfg.num_steps)
    n = len(given.images)
    run.predict(
        "synops_conv",
        f"An ordinary network with the shape of the convolutional one does about 95,000 MACs for one digit. "
        f"How many additions do its spikes cause, in {cfg.num_steps} steps?",
        unit="additions",
    )
    fig, axes = plots.figure(1, 2, (11.5, 4.4), sharey=True)
    additions, met, difference = {}, {}, {}
    rows = []
    for ax, (title, net) in zip(axes, nets.items(), strict=True):
        table = count(net, inputs[title])
        difference[title] = neurobench_minus(net, inputs[title], table)
        layers = {name: cost for name, cost in table.items() if cost.synapses}
        ordinary = {name: cost.synapses / n for name, cost in layers.items()}
        # The first layer sees the same image at every step, so its current is computed once.
        products = {name: cost.products[0] / n for name, cost in layers.items()}
        spiking = {name: sum(cost.additions) / n for name, cost in layers.items()}
        bars = {"ordinary network: MACs": ordinary}
        bars["spiking: MACs (pixels not black)"] = products
        bars["spiking: additions (SynOps)"] = spiking
        exchange.draw_operations(ax, bars)
        additions[title] = sum(spiking.values())
        behind = sum(v for name, v in ordinary.items() if spiking[name])  # behind spikes
        met[title] = additions[title] / max(1, behind)
        plots.label(ax, "layer", "", f"{title}, T = {cfg.num_steps}")
        for name in layers:
            cells = [f"{values[name]:,.0f}" for values in bars.values()]
            rows.append((title, name, *cells))
    axes[0].set_ylabel("operations for one image")
    title = "Behind spiking neurons, additions ÷ ordinary MACs: " + ", ".join(
        f"{name} {ratio:.1f}" for name, ratio in met.items()
    )
    fig.suptitle(title, x=0.01, ha="left")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    run.figure(fig, "1_synops", look="the grey bar and the dotted one beside it, layer by layer")
    columns = ("network", "layer", "ordinary MACs", "MACs", "additions")
    run.table("Operations for one image", columns, rows)

    # The plain loop, for the first image and the last layer of the dense network.
    spk1 = exchange.spikes_of(given.dense, inputs["dense"][:, :1])[0][:, 0]  # (T, 100)
    plainly = synops_spike_by_spike(given.dense.fc2.weight, spk1)
    counted = sum(count(given.dense, inputs["dense"][:, :1])["fc2"].additions)
    off = max(*difference.values(), plainly - counted, key=abs)
    facts = {"n": n, "real": True}
    run.claim("exact", "NeuroBench − ours, all operations", off, "", "== 0", n=n)
    run.claim("synops_dense", "dense: additions for an image", additions["dense"], "", **facts)
    run.claim(
        "synops_conv", "conv: additions for an image", additions["convolutional"], "", **facts
    )
    run.claim("met_conv", "conv: spikes along a connection", met["convolutional"], "", **facts)
    agree = "agree to the last operation" if off == 0 else f"are {plain(off)} operations apart"
    run.finding(
        f"For one digit the dense network's spikes cause {additions['dense']:,.0f} additions, those of "
        f"the convolutional one {additions['convolutional']:,.0f}. There each connection behind spiking "
        f"neurons carries {met['convolutional']:.1f} spikes an image; in an ordinary network it takes one "
        f"multiplication and addition. Our count and NeuroBench's, of all steps, {agree}."
    )
    return given


# ---------------------------------------------------------------- 2  energy

# Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9: 45 nm, 0.9 V, 32-bit floating
# point. An addition takes 0.9 pJ, a MAC 4.6 pJ (PJ_PER_AC, PJ_PER_MAC). 64 bits from a memory of
# 8 kB take 10 pJ, so a word of 32 bits is taken as half of it. Larger memories cost more.
PJ_PER_WORD = 5.0


@dataclass
class Work:
    """What a network does for one image."""

    additions: float = 0.0  # one for each spike and weight
    products: float = 0.0  # MACs
    updates: float = 0.0  # neurons brought up to date
    kept: float = 0.0  # currents that were computed once and are read again at every step
    activations: float = 0.0  # ReLUs


def energy_nj(work: Work, neurons: bool = False, memory: bool = False) -> float:
    """*Estimated* energy of one answer, in nJ.

    With ``neurons``, β·U + I and the comparison with θ are counted (a MAC and an addition), and each ReLU as one
    comparison. With ``memory``, the words of 32 bits that move: a spike fetches its weight, and reads and writes the
    potential behind it (3); an update reads and writes a potential (2), and behind a still image it reads the current
    that was computed once (1); a MAC fetches weight and input, and its sum stays in a register (2).
    """
    picojoules = work.additions * PJ_PER_AC + work.products * PJ_PER_MAC
    if neurons or memory:
        picojoules += work.updates * (PJ_PER_MAC + PJ_PER_AC) + work.activations * PJ_PER_AC
    if memory:
        words = 3 * work.additions + 2 * work.updates + work.kept + 2 * work.products
        picojoules += words * PJ_PER_WORD
    return picojoules / 1000


def spiking_work(table: dict[str, Cost], num_steps: int, n: int) -> Work:
    """What a spiking network does for one image in its first ``num_steps`` steps."""
    work = Work()
    for cost in table.values():
        work.additions += sum(cost.additions[:num_steps]) / n
        work.products += sum(cost.products[:1]) / n  # the image stays: its current is computed once
        work.updates += sum(cost.updates[:num_steps]) / n
    behind_the_image = next(cost for cost in table.values() if cost.updates)
    work.kept = sum(behind_the_image.updates[:num_steps]) / n
    return work


def relu_work(net: ReluNet, images: Tensor, skip_zeros: bool) -> Work:
    """What the ordinary network does for one image; a zero pixel or activation costs nothing if it is skipped."""
    work = Work(activations=8 * 14 * 14 + 16 * 7 * 7)
    for cost in count(net, images[None]).values():
        done = sum(cost.products) + sum(cost.additions)  # a layer of ones and zeros multiplies, too
        work.products += (done if skip_zeros else cost.synapses) / len(images)
    return work


@torch.no_grad()
def accuracy_by_step(net: ConvNet, data: ImageData, num_steps: int) -> np.ndarray:
    """Test accuracy if the answer were due after 1 … T steps, by spike counts: ``(T,)``."""
    right = torch.zeros(num_steps)
    for x_b, y_b in batches(data.x_test, data.y_test, 500):
        spk_rec, _ = net.run(constant_current(x_b, num_steps))  # (T, B, 10)
        right += (spk_rec.cumsum(0).argmax(2) == y_b).sum(1)
    return right.numpy() / len(data.y_test)


def last_below(costs: list[float], limit: float) -> int:
    """The number of steps up to which the cost stays under a limit; 0 if the first is over it."""
    for steps, cost in enumerate(costs):
        if cost >= limit:
            return steps
    return len(costs)


@section
def section_energy(cfg: Config, run: Run) -> None:
    """2  Does that save energy, and who counted?

    An addition takes less energy than a MAC: 0.9 against 4.6 picojoules (pJ, 10⁻¹² joules), in 45-nm
    silicon with 32-bit floating-point numbers (Horowitz 2014). So a paper multiplies:

        energy ≈ additions × 0.9 pJ + MACs × 4.6 pJ

    Everything made of these figures is *estimated*. By arithmetic alone a connection may carry
    4.6/0.9 = 5.1 spikes before it costs more than one MAC. But what else is counted, and on which side? Four ways,
    from the most flattering on:

        A  arithmetic only        the ordinary network multiplies by its zeros, too
        B  zeros skipped          black pixels and silent ReLUs cost the ordinary network nothing
                                  either, as silent neurons cost the spiking one nothing
        C  B and neurons          each neuron leaks and is compared with θ at each step, spike or not
        D  C and memory           each operation moves words of 32 bits; 5 pJ a word, a small memory

    The ordinary network is a trained one, with ReLU, so its zeros are counted and not guessed. Steps
    cost: in the figure the same spiking network is asked after 1, 2, … steps. D is a rule, not a chip:
    where potentials stay in registers, an addition moves one word and not three, an update none, and D
    comes out lower. And no way counts biases, the network that carries spikes from core to core,
    control, leakage, or the host. A chip with 8-bit integers pays less on both sides; lesson 12 counts
    at equal bits.
    """
    given: Digits = run.result_of(section_synops)
    run.predict(
        "ratio_b",
        f"Way B, T = {cfg.num_steps}: how many times the ordinary network's estimated energy does the "
        "spiking network take?",
        unit="times",
    )
    n = len(given.images)
    x = constant_current(given.images, cfg.num_steps)
    table = count(given.conv, x)
    everything = relu_work(given.relu, given.images, skip_zeros=False)
    nonzero = relu_work(given.relu, given.images, skip_zeros=True)
    ways = {
        "A  arithmetic": (everything, {}),
        "B  zeros skipped": (nonzero, {}),
        "C  + neurons": (nonzero, {"neurons": True}),
        "D  + memory": (nonzero, {"memory": True}),
    }
    spiking: dict[str, list[float]] = {}
    ordinary: dict[str, float] = {}
    for way, (work, options) in ways.items():
        by_steps = []
        for steps in range(1, cfg.num_steps + 1):
            by_steps.append(energy_nj(spiking_work(table, steps, n), **options))
        spiking[way] = by_steps
        ordinary[way] = energy_nj(work, **options)
    ratio = {way: spiking[way][-1] / ordinary[way] for way in ways}
    accuracy = accuracy_by_step(given.conv, given.data, cfg.num_steps)
    once = partial(constant_current, num_steps=1)
    test = given.data
    accuracy_relu = evaluate(given.relu, test.x_test, test.y_test, once, count_predict)

    cheaper = [way[0] for way in ways if ratio[way] < 1]
    title = f"Spiking ÷ ordinary, estimated, T = {cfg.num_steps}: " + ", ".join(
        f"{way[0]} {ratio[way]:.2f}" for way in ways
    )
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 4.4), title)
    place = np.arange(len(ways))
    ends = [costs[-1] for costs in spiking.values()]
    grey = ax.bar(place - 0.2, list(ordinary.values()), 0.38, color="0.75", label="ordinary")
    blue = ax.bar(place + 0.2, ends, 0.38, color=plots.BLUE, hatch="..", label="spiking")
    ax.bar_label(grey, fmt="{:,.0f}", fontsize=8)
    ax.bar_label(blue, fmt="{:,.0f}", fontsize=8)
    ax.set_xticks(place, [way.replace("  ", "\n") for way in ways], fontsize=8)
    ax.margins(y=0.1)
    ax.legend(loc="upper left")
    plots.label(ax, "what is counted", "estimated energy of one answer (nJ)", "the same networks")
    steps = np.arange(1, cfg.num_steps + 1)
    for i, way in enumerate(ways):
        look = {"color": "0.2", "marker": plots.MARKERS[i], "linestyle": plots.DASHES[i]}
        bx.plot(steps, np.divide(spiking[way], ordinary[way]), label=way, **look)
    bx.legend(loc="upper left")
    bx.axhline(1, color=plots.BLACK, linewidth=1)
    bx.set_ylim(bottom=0)
    plots.label(bx, "steps before the answer", "spiking ÷ ordinary", "under 1, spiking is cheaper")
    plots.curves(cx, steps, {"spiking": 100 * accuracy})
    cx.axhline(100 * accuracy_relu, color="0.5", linestyle="--", label="ordinary")
    cx.legend(loc="lower right")
    plots.label(cx, "steps before the answer", "test images read (%)", "what the steps are for")
    run.figure(fig, "2_energy", look="in the middle, which curve crosses the line, and where")

    facts = {"n": n, "real": True}
    for way in ("A  arithmetic", "B  zeros skipped", "D  + memory"):
        text = f"way {way[0]}: spiking ÷ ordinary, est."
        run.claim(f"ratio_{way[0].lower()}", text, ratio[way], "times", **facts)
    facts = {"n": len(test.y_test), "seeds": 1, "real": True}
    run.claim("accuracy", "spiking: test images read", accuracy[-1], **facts)
    run.claim("accuracy_relu", "ordinary: test images read", accuracy_relu, **facts)
    reach = last_below(spiking["D  + memory"], ordinary["D  + memory"])
    then = "even one step is too many"
    if reach:
        then = f"it has to answer within {reach} steps, with {100 * accuracy[reach - 1]:.1f} % read"
    ways_said = " and ".join(", ".join(cheaper).rsplit(", ", 1)) or "no way"
    run.finding(
        f"The same networks and images: the spiking one takes {ratio['A  arithmetic']:.2f} times the "
        f"estimated energy of the ordinary one if only arithmetic counts and zeros are multiplied, "
        f"{ratio['B  zeros skipped']:.2f} times if both skip zeros, {ratio['D  + memory']:.2f} times with "
        f"neurons and three words an addition. It is the cheaper one by {ways_said}. To be so by D, {then} "
        f"(ordinary: {100 * accuracy_relu:.1f} %; one training each)."
    )
    row = {"model": "SNN conv 8–16, dense 10", "data": test.name, "accuracy": accuracy[-1]}
    measured_row = ledger_row(given.conv, x, n=len(test.y_test), **row)
    # The ledger's own count takes the padding of a convolution for inputs; equation (1) does not.
    measured_row["ann_macs"] = everything.products
    run.ledger(**measured_row)


# ---------------------------------------------------------------- 3  the graph


@dataclass
class Journeys:
    """What section 3 leaves: the three networks abroad, and the Braille task with its three trainings."""

    by_name: dict[str, exchange.Journey]
    touch: list[braille.TouchNet]
    strokes: ImageData


def touch_networks(cfg: Config, run: Run) -> tuple[list[braille.TouchNet], ImageData]:
    """Three trainings of the recurrent network, with seeds of their own, and the strokes that they read."""
    strokes = run.data(braille.strokes, n_test=cfg.num_strokes)
    nets, trainings = [], {}
    for i in range(3):
        torch.manual_seed(cfg.seed + i)
        nets.append(braille.TouchNet())
        options = {
            "run": run,
            "epochs": cfg.epochs + 1,
            "lr": 5e-3,
            "batch_size": 50,
            "loss_fn": count_loss,
            "predict": count_predict,
            "seed": cfg.seed + i,
        }
        trainings[f"recurrent, seed {cfg.seed + i}"] = partial(
            fit, nets[-1], strokes, time_first, **options
        )
    trained(cfg, run, "braille_touch", nn.ModuleList(nets), trainings)
    return nets, strokes


@section
def section_graph(cfg: Config, run: Run) -> Journeys:
    """3  What is in the file?

    The NIR paper connects seven simulators (snnTorch, Norse, SpikingJelly, Lava, Nengo, Rockpool,
    sinabs) and four chips (Loihi 2, Speck, SpiNNaker2, Xylo). Each has its own way to write a network
    down. From each to each, that would take 11·10 = 110 converters. With one format in the middle it
    takes 22 at most, a writer and a reader for each. NIR is that format: a graph in a file, without code.

    An exporter runs forward once on an example and notes which module's output goes into which
    module. Each module becomes a node. Where one takes the output of another, there is an edge:

        nn.Linear                Affine     W, b
        nn.Conv2d, nn.Flatten    Conv2d, Flatten
        Leaky                    LIF        equation (2): τ, R, v_leak, θ, v_reset
        Synaptic                 CubaLIF    (2), and τ_syn·di/dt = −i + w_in·S for its current i
        RLeaky, RSynaptic        LIF or CubaLIF, and Affine from its output back to its input

    NIR's other neurons are IF (no leak) and LI, CubaLI and I, which never spike. By (3),
    τ = dt/(1 − β) and R = τ/dt. snnTorch takes dt = 0.1 ms for this. That number stands in its code; the
    file holds τ in seconds and no dt.

    snnTorch brings `export_to_nir(net, sample)`. It writes what it sees and asks nothing. In (2) a
    spike sets v to v_reset; snnTorch's default, to subtract θ, cannot be said in NIR. What happens to a
    network that subtracts? Below, the dense network's weights go abroad twice: as they were trained,
    with reset to zero, and in neurons that subtract. `exchange.to_nir` is our own exporter. It looks
    for all that would be lost and refuses it by name. Before it returns a graph it runs it, on the
    example and on five inputs made from it, and compares spikes.
    """
    given: Digits = run.result_of(section_synops)
    run.predict(
        "lost",
        "Neurons that subtract θ at a spike are exported by snnTorch's export_to_nir and read back. Of "
        "100 spikes, how many are missing then?",
        unit="spikes",
    )
    touch, strokes = touch_networks(cfg, run)
    n = cfg.num_compared
    y = given.data.y_test[:n]
    images = given.images[:n]
    if len(images) < n:
        images = given.data.x_test[:n].float() / 255
    touched = strokes.x_test[:n]
    folder = run.dir
    journeys = {
        "dense": exchange.send("dense", given.dense, flat(images, cfg.num_steps), y, folder),
        "conv": exchange.send(
            "conv", given.conv, constant_current(images, cfg.num_steps), y, folder
        ),
        "touch": exchange.send("touch", touch[0], time_first(touched), strokes.y_test[:n], folder),
    }
    dense = journeys["dense"]
    run.print(f"   saved   {dense.path}: " + exchange.in_one_line(dense.graph))
    lif = dense.graph.nodes["lif1"]
    tau, r = float(lif.tau[0]), float(lif.r[0])
    run.print(
        f"   lif1    β = {given.dense.lif1.beta[0]:g} became τ = {1000 * tau:.3g} ms, R = {r:.3g}, "
        f"θ = {lif.v_threshold[0]:g}, v_reset = {lif.v_reset[0]:g}"
    )

    # Now the wrong way: neurons that subtract, through snnTorch's own exporter.
    subtracting = exchange.per_neuron(given.dense, dense.x[0], reset="subtract")
    silent_graph = exchange.quietly(
        export_to_nir, subtracting, sample_data=dense.x[0], ignore_dims=[0]
    )
    meant = exchange.spikes_of(subtracting, dense.x)
    arrived = exchange.spikes_of(exchange.from_nir(silent_graph), dense.x)
    lost, new, spikes = 0, 0, 0
    for before, after in zip(meant, arrived, strict=True):  # layer by layer, (T, B, N)
        lost += int(((before == 1) & (after == 0)).sum())
        new += int(((before == 0) & (after == 1)).sum())
        spikes += int(before.sum())
    lost_share, new_share = 100 * lost / max(1, spikes), 100 * new / max(1, spikes)
    same_answer = meant[-1].sum(0).argmax(1) == arrived[-1].sum(0).argmax(1)
    kept_answers = same_answer.float().mean().item()
    refusals = exchange.why_not(subtracting, dense.x[0])

    fig, axes = plots.figure(3, 1, (10, 4.8), height_ratios=(1, 1, 1.7))
    kinds = set()
    for ax, (name, journey) in zip(axes, journeys.items(), strict=True):
        exchange.draw_graph(ax, journey.graph, f"{name}.nir")
        kinds |= {type(node).__name__ for node in journey.graph.nodes.values()}
    title = f"Three networks as NIR graphs, of {len(kinds)} kinds of nodes"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "3_graphs", look="the way back in the lowest graph: its loop")

    fig, (ax, bx) = plots.figure(1, 2, (11.5, 4.2), sharey=True)
    unlike = (meant[0][:, 0] != arrived[0][:, 0]).sum(0) + 0.01 * dense.spikes[0][:, 0].sum(0)
    shown = unlike.argsort(descending=True, stable=True)[:12]
    same = ("reset to zero, exchange.to_nir", dense.spikes[0], dense.back[0])
    other = ("reset by subtraction, export_to_nir", meant[0], arrived[0])
    for panel, (what, before, after) in ((ax, same), (bx, other)):
        before, after = before[:, 0, shown], after[:, 0, shown]  # (T, 12)
        exchange.draw_difference(panel, before, after, "before", "after the file")
        places = f"{int((before != after).sum())} places differ"
        plots.label(panel, "time step", "", f"{what}: {places}")
    ax.set_ylabel("hidden neuron")
    title = "One image: the 12 hidden neurons that change most under subtraction"
    fig.suptitle(title, x=0.01, ha="left")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    run.figure(
        fig, "3_reset", look="blue: a spike that is missing after the file; orange: a new one"
    )

    round_trip = sum(journey.differ(journey.back) for journey in journeys.values())
    total = sum(journey.total for journey in journeys.values())
    facts = {"n": n, "real": True}
    run.claim("round_trip", "out and back: places that differ", round_trip, "", "== 0", n=n)
    run.claim("spikes", "spikes of the three networks", total, "", **facts)
    run.claim("lost", "subtracting: spikes missing", lost_share, "of 100", **facts)
    run.claim("new", "subtracting: new spikes", new_share, "of 100", **facts)
    run.claim("refused", "reasons why to_nir refuses it", len(refusals), "", ">= 1")
    if refusals:
        run.print(f"   the first of them: {refusals[0]}")
    kept = "no" if round_trip == 0 else f"{round_trip:,}"
    run.finding(
        f"Through the file and back, {kept} place differs among {total:,} spikes of three networks. "
        f"Neurons that subtract θ go through snnTorch's exporter without a word; of 100 spikes "
        f"{lost_share:.0f} are missing and {new_share:.0f} are new when they come back "
        f"({100 * kept_answers:.0f} % of the answers stay). NIR has one reset, to v_reset, and the reader "
        "cannot know that another was meant."
    )
    return Journeys(journeys, touch, strokes)


# ---------------------------------------------------------------- 4  three simulators


def decay(value: Tensor, goal: Tensor | float, a: Tensor, solver: str) -> Tensor:
    """A value on its way to a goal, τ·dx/dt = goal − x, after a step of dt = a·τ."""
    if solver == "euler":
        return (1 - a) * value + a * goal  # (3)
    return goal + (value - goal) * torch.exp(-a)  # exact, if the goal stays during the step


@dataclass
class Reader:
    """NIR's equations, step by step, with every choice that a file leaves open.

    The defaults are snnTorch's choices. ``solver``: "euler", "exact", or "leak": exact for the leak alone, as in
    sinabs, while the input is added as in (3). ``r``: "file", "one" (a LIF's R is taken for 1), or "unit" (R = τ/dt,
    whatever the file says). ``reset``: "value", "subtract", or "late": v is set to v_reset in the step after the spike,
    once that step's input has been added, so that this input is lost.
    ``several``: as many spikes as θ fits into v. ``substeps``: parts of dt, and a spike in any of them counts.
    ``late_current``: the membrane gets the current of the step before. ``loop_delay``: steps that a loop takes more.
    ``empty_loops``: a loop carries nothing in step 0, not even its bias.
    """

    graph: nir.NIRGraph
    dt: float = exchange.DT
    solver: str = "euler"
    r: str = "file"
    reset: str = "value"
    several: bool = False
    substeps: int = 1
    late_current: bool = False
    loop_delay: int = 0
    empty_loops: bool = False

    def run(self, x: Tensor) -> list[Tensor]:
        """The spikes of every neuron node for ``x (T, B, …)``, from rest."""
        self.state: dict[str, tuple[Tensor, Tensor]] = {}  # node → v and i
        return exchange.run_graph(self.graph, x, self.step, self.loop_delay, self.empty_loops)

    def step(self, name: str, node: nir.LIF | nir.CubaLIF, cur: Tensor) -> Tensor:
        """One neuron node, one step: its input ``(B, …)`` → its spikes ``(B, …)``."""
        rest = torch.zeros_like(cur)
        v, i = self.state.get(name, (rest, rest))
        theta = number(node, "v_threshold", cur)
        v_reset = number(node, "v_reset", cur)
        was_over = v > theta  # with a late reset v still stands above θ
        spikes = torch.zeros_like(cur)
        for _ in range(self.substeps):
            before = i
            i = self.current(node, i, cur)
            v = self.membrane(node, v, before, i, cur)
            if self.reset == "late":
                v = torch.where(was_over, v_reset, v)
            fired = self.fire(v, theta)
            spikes = torch.maximum(spikes, fired)
            if self.reset == "value":
                v = torch.where(fired > 0, v_reset, v)  # v ← v_reset                     (2)
            elif self.reset == "subtract":
                v = v - fired * theta
        self.state[name] = (v, i)
        return spikes

    def current(self, node: nir.LIF | nir.CubaLIF, i: Tensor, cur: Tensor) -> Tensor:
        """The current into the membrane, a substep later. A LIF has none of its own: it takes its input."""
        if isinstance(node, nir.LIF):
            return cur
        a_syn = self.dt / self.substeps / number(node, "tau_syn", cur)
        goal = number(node, "w_in", cur) * cur
        return decay(i, goal, a_syn, self.solver)  # τ_syn·di/dt = −i + w_in·S

    def membrane(
        self, node: nir.LIF | nir.CubaLIF, v: Tensor, before: Tensor, i: Tensor, cur: Tensor
    ) -> Tensor:
        """v a substep later, by (2) without the spike; the current goes from ``before`` to ``i`` meanwhile."""
        h = self.dt / self.substeps
        is_cuba = isinstance(node, nir.CubaLIF)
        tau = number(node, "tau_mem" if is_cuba else "tau", cur)
        a = h / tau
        r = number(node, "r", cur)
        if self.r == "one" and not is_cuba:
            r = torch.ones_like(tau)
        elif self.r == "unit":
            r = tau / h
        if self.solver == "leak":
            return torch.exp(-a) * v + a * r * i
        if self.solver == "exact" and is_cuba:
            a_syn = h / number(node, "tau_syn", cur)
            goal = number(node, "w_in", cur) * cur
            return exchange.exact_membrane(v, before, goal, a, a_syn, r)
        drive = before if self.late_current else i
        goal = number(node, "v_leak", cur) + r * drive
        return decay(v, goal, a, self.solver)

    def fire(self, v: Tensor, theta: Tensor) -> Tensor:
        """Spikes of potentials v, 0 or 1; with ``several`` as many as θ fits into v."""
        if not self.several:
            return (v > theta).to(v.dtype)
        return torch.where(v > 0, torch.trunc(v / theta), torch.zeros_like(v))


def number(node: nir.NIRNode, field_name: str, like: Tensor) -> Tensor:
    """A field of a node as a tensor."""
    return torch.as_tensor(np.asarray(getattr(node, field_name))).to(like.dtype)


HABITS: dict[str, dict[str, Any]] = {
    "SpikingJelly": {"empty_loops": True},
    "Norse": {"dt": 1e-3, "r": "one", "empty_loops": True},
    "sinabs": {"dt": 1.0, "r": "unit", "solver": "leak", "several": True, "reset": "subtract"},
}
"""What the three do with a graph as it comes, as choices of ``Reader``; found in their sources."""


ENDS = (simulators.AS_IT_COMES, simulators.NOTHING_LEFT)


def measured(name: str, journeys: dict[str, exchange.Journey], run: Run) -> list[simulators.Row]:
    """A simulator on the three graphs: measured now where it is installed, else as it was measured before."""
    if simulators.version_of(simulators.SIMULATORS[name].package):
        rows = []
        for key, journey in live(list(journeys.items()), f"   {name}", len(journeys)):
            rows += simulators.compare(name, key, journey.graph, journey.x, journey.spikes[-1])
        run.print(f"   {name} {rows[0].version}: measured now")
        return rows
    path = ROOT / "docs" / "results" / "bench_simulators.json"
    if not path.is_file():
        raise UserError(f"docs/results/{path.name} is missing: uv run benchmarks/simulators.py")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        rows = [simulators.Row(**row) for row in kept["rows"] if row["simulator"] == name]
        version = rows[0].version
    except (ValueError, LookupError, TypeError) as e:
        raise UserError(f"docs/results/{path.name} is damaged; fetch it again, or make it anew") from e  # fmt: skip
    run.print(f"   {name} {version}: not installed here; measured before (default run's files)")
    return rows


def cell(row: simulators.Row) -> str:
    """A row's number, or that there is none."""
    return "error" if row.differ is None else f"{row.differ:,}"


@section
def section_simulators(cfg: Config, run: Run) -> None:
    """4  Do three simulators do the same with the same file?

    The files of section 3 go to three other simulators, each through its own reader:

        spikingjelly.activation_based.nir_exchange.import_from_nir(graph)
        norse.torch.from_nir(graph)
        sinabs.nir.from_nir(graph, batch_size=…)

    They get the same input, and their output spikes are compared with snnTorch's. A *place* is one
    neuron at one step; it differs if one of the two spikes there and the other does not. All three read
    (2). Where (2) leaves a choice, or a reader has a gap, these are the causes of difference, found in
    their sources, and how each is taken away (`exchange/simulators.py`):

        Norse   a step of 1 ms, not 0.1 ms         from_nir(graph, dt=1e-4)
                R is ignored (LIF)                 write R = 1 and θ/R: v/R obeys the same equation
                Flatten counts the batch           write its dimensions as one more each
        sinabs  seconds of τ taken as steps        set tau_mem to τ/dt
                decay e^(−dt/τ), not 1 − dt/τ      set tau_mem so that the decay is β
                several spikes in one step         spike_fn = SingleSpike
                reset by subtraction               reset_fn = MembraneReset()
                v_leak must not be an image        write one number for the layer
        both Norse and SpikingJelly
                no bias of the loop in step 0      one more input, 1 in step 0, with that bias as weights

    A cause that is only said is a guess. So it is tested twice. `Reader`, above, solves NIR's equations
    with these choices as options; with a simulator's habits it has to give that simulator's spikes, at
    every place. And in the simulator itself all causes are taken away, which has to leave nothing, and
    then all but one, which stays in. Effects of causes do not add up: they can cancel. A current enters
    as (dt/τ)·R·I. With a step of 1 ms and R = 1 that is (1 ms/0.8 ms)·1 = 1.25·I, near the
    (0.1 ms/0.8 ms)·8 = 1·I that was meant, while the decay becomes 1 − 1/0.8 = −0.25 instead of 0.875.
    In one pair, Norse with the Braille network, the step of 1 ms is more than twice τ_syn, which is
    0.1 ms/(1 − 0.55) = 0.22 ms for the hidden layer: currents grow until 32 bits cannot hold them, and
    from there on no two programs need agree.

    `benchmarks/simulators.py` brings the three along, in an environment of their own. Where they are
    not installed beside the course, its committed numbers stand here.
    """
    given: Journeys = run.result_of(section_graph)
    names = list(simulators.SIMULATORS)
    run.predict(
        "closest",
        "Which of the three gives snnTorch's output spikes for the dense network, as it comes?",
        names,
    )
    rows: list[simulators.Row] = []
    for name in names:
        rows += measured(name, given.by_name, run)
    as_it_comes = {}
    for row in rows:
        if row.cause.startswith(simulators.AS_IT_COMES):
            as_it_comes[row.simulator, row.graph] = row
    pairs = list(as_it_comes)  # (simulator, file)
    last = {}  # of each pair the last row: with all causes taken away, if it ran
    for row in rows:
        last[row.simulator, row.graph] = row
    ran = {pair: row for pair, row in last.items() if row.differ is not None}
    left_over = sum(row.differ for row in ran.values())

    reproduced = []  # pairs whose spikes Reader gives, place by place
    missed = []  # and pairs whose spikes it does not give
    for (name, key), row in as_it_comes.items():
        journey = given.by_name[key]
        if row.differ is None or row.of != int(journey.spikes[-1].sum()):
            continue  # it did not run, or it was measured on other files than those of this run
        ours = Reader(journey.graph, **HABITS[name]).run(journey.x)[-1]
        if simulators.digest(ours) == row.spikes:
            reproduced.append(f"{name}, {key}")
        else:
            missed.append(f"{name}, {key}")

    dense = [row for row in rows if row.graph == "dense"]
    of = dense[0].of
    fig, (ax, bx) = plots.figure(1, 2, (13, 4.6), width_ratios=(1.2, 1))
    exchange.draw_rows(ax, dense, names)
    plots.label(ax, f"places that differ (snnTorch: {of:,} output spikes)", "", "dense.nir")
    words, marks = [], []
    for name in names:
        found = [as_it_comes[name, key] for key in given.by_name]
        words.append([cell(row) for row in found])
        marks.append([row.differ != 0 for row in found])
    files = [f"{key}.nir" for key in given.by_name]
    exchange.draw_words(bx, np.array(words), np.array(marks), files, names, "Oranges")
    bx.set_title("as they come: places that differ", fontsize=10)
    same = sum(row.differ == 0 for row in as_it_comes.values())
    title = (
        f"As they come, {same} of {len(pairs)} pairs of simulator and file give snnTorch's spikes"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "4_simulators", look="one cause alone, and the zero where all are taken away")
    table = []
    for pair in pairs:
        cells = (cell(as_it_comes[pair]), cell(last[pair]), f"{as_it_comes[pair].of:,}")
        table.append((", ".join(pair), *cells))
    columns = ("simulator, file", "as it comes", "causes taken away", "snnTorch's spikes")
    run.table("Output places that differ from snnTorch's", columns, table)

    def apart(name: str) -> int:
        row = as_it_comes[name, "dense"]
        return row.of if row.differ is None else row.differ  # an error: nothing is as it should be

    run.outcome("closest", min(names, key=apart))
    n = given.by_name["dense"].x.shape[1]
    for name in ("Norse", "sinabs"):
        share = 100 * apart(name) / of
        run.claim(f"{name.lower()}_dense", f"{name}, dense: places", share, "per 100 spikes", n=n)
    run.claim("left_over", "causes taken away: still differ", left_over, "", "== 0")
    run.claim("ran", "pairs that could be brought to run", len(ran), f"of {len(pairs)}")
    tried = len(reproduced) + len(missed)
    run.claim("reproduced", "Reader gives the same spikes for", len(reproduced), f"of {tried}")
    errors = sum(row.differ is None for row in as_it_comes.values())
    installed = [simulators.version_of(simulators.SIMULATORS[name].package) for name in names]
    source = "" if all(installed) else " (The simulators' numbers were measured before this run.)"
    run.finding(
        f"Of {len(pairs)} pairs of simulator and file {same} give snnTorch's output spikes as they come, "
        f"{errors} end in an error and {len(pairs) - same - errors} differ without a word: for the dense "
        f"file Norse in {apart('Norse'):,} places and sinabs in {apart('sinabs'):,}, of {of:,} spikes. In "
        f"the {len(ran)} pairs that can be brought to run, {left_over} places differ once the causes are "
        f"taken away. Reader, with each one's habits, gives the spikes of {len(reproduced)} of {tried} "
        f"pairs, place by place (not: {'; '.join(missed) or 'none'}).{source}"
    )


# ---------------------------------------------------------------- 5  one graph, many readings


READINGS: dict[str, dict[str, Any]] = {
    "as it was trained": {},
    "ten substeps": {"substeps": 10},
    "exact solution": {"solver": "exact"},
    "current a step late": {"late_current": True},
    "loop a step longer": {"loop_delay": 1},
    "loop empty in step 0": {"empty_loops": True},
    "reset a step late": {"reset": "late"},
    "reset by subtraction": {"reset": "subtract"},
}
"""Ways to read one graph. The first six are ways to solve (2) step by step; the last two change its reset."""


def letters_read(out: Tensor, y: Tensor) -> float:
    """Per cent of the letters read correctly, by the output neuron with most spikes: ``out (T, N, 7)``."""
    answer = out.sum(0).argmax(1)
    return 100 * (answer == y).float().mean().item()


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's ρ: 1 if both lists have one order, −1 if one has the other's order reversed.

    0 if one of the lists is constant, and so has no order.
    """
    if len(set(a)) == 1 or len(set(b)) == 1:
        return 0.0
    return float(spearmanr(a, b).statistic)


def published_ranks() -> float:
    """Places changed against letters lost, on the six platforms of the published table."""
    of_snntorch = exchange.BRAILLE[0][1]
    lost = []
    places = []
    for _, read, differ in exchange.BRAILLE:
        lost.append(of_snntorch - read)
        places.append(differ)
    return rank_correlation(places, lost)


def told(names: list[str], number_kept: dict[str, list[float]]) -> str:
    """By how much some readings change the number of hidden spikes."""
    if not names:
        return "nothing to count"
    means = [float(np.mean(number_kept[name])) for name in names]
    return f"{min(means):.0f} to {max(means):.0f} % of the hidden spikes"


@section
def section_readings(cfg: Config, run: Run) -> None:
    """5  How much can one graph lose by how it is read?

    In the NIR paper a recurrent network reads Braille letters: a robot's fingertip with 12 sensitive
    spots, taxels, slides over a letter, each taxel sends a spike whenever its pressure has changed,
    and 38 CubaLIF neurons with a loop and 7 output neurons say which letter it was. One graph went to
    six platforms. The table printed below has what they published.

    The recordings are not shipped here. So this is *a task of our own of the same form*: strokes over
    the same seven letters are rendered (dots, skin and noise in `exchange/braille.py`), as 12 spike
    trains of 100 steps. The network has the paper's shape, α and β. Three were trained in snnTorch,
    with seeds of their own, and each is a graph, which `Reader` reads in eight ways:

        as it was trained       Euler's steps, the current before the membrane, and a spike resets in its
                                own step (reset_delay=False)
        ten substeps            finer steps; a spike in any of them counts
        exact solution          (2) solved for each step; v is compared with θ once a step
        current a step late     the membrane gets the current of the step before
        loop a step longer      a spike takes two steps back to its layer, not one
        loop empty in step 0    nothing comes back in step 0, as in Norse and SpikingJelly; w_rec's bias
                                is added from step 1 on
        reset a step late       v is set to v_reset one step after the spike, when that step's input has
                                been added, so the input is lost
        reset by subtraction    v ← v − θ, as in sinabs

    A late reset is what snnTorch's Synaptic, RLeaky and RSynaptic do with a reset to zero as long as
    reset_delay is True, its default. Leaky's default differs: it sets the old U to zero *before* the
    input is added, so no input is lost and the spikes are those of an immediate reset. So sections 1 to
    3 could leave it alone, and this network could not.

    The answer is the letter whose output neuron spikes most. Two things may change: *where* spikes are
    (places that differ), and *how many* there are. Which of the two goes with letters lost? Spearman's
    rank correlation compares orders: 1 if the reading that changes more always loses more, 0 if the
    orders have nothing to do with each other. We have three trainings of one task and eight readings.
    The published table has six platforms, and its places are those of a single letter.
    """
    given: Journeys = run.result_of(section_graph)
    four = ("exact solution", "loop a step longer", "reset a step late", "reset by subtraction")
    run.predict("worst", "Which of these four readings loses most letters?", four)
    strokes = given.strokes
    x, y = time_first(strokes.x_test), strokes.y_test  # (T, N, 12), (N,)
    accuracy = {name: [] for name in READINGS}
    changed = {name: [] for name in READINGS}
    number_kept = {name: [] for name in READINGS}
    graphs = []
    for net in live(given.touch, "   networks", len(given.touch)):
        graph = exchange.to_nir(exchange.per_neuron(net, x[0]), x[0])
        graphs.append(graph)
        for name, options in READINGS.items():
            hidden, out = Reader(graph, **options).run(x)  # (T, N, 38), (T, N, 7)
            if not options:
                trained_with = hidden
            spikes = trained_with.sum().clamp(min=1)
            accuracy[name].append(letters_read(out, y))
            changed[name].append(100 * ((hidden != trained_with).sum() / spikes).item())
            number_kept[name].append(100 * (hidden.sum() / spikes).item())
    with torch.no_grad():
        _, in_snntorch = given.touch[0].run(x)
    reader_off = int((Reader(graphs[0]).run(x)[0] != in_snntorch).sum())

    shown = int((y == braille.LETTERS.index("Y")).int().argmax())
    stroke = x[:, shown : shown + 1]  # (T, 1, 12)
    euler = Reader(graphs[0]).run(stroke)[0][:, 0]  # (T, 38)
    exact = Reader(graphs[0], solver="exact").run(stroke)[0][:, 0]
    busiest = euler.sum(0).argsort(descending=True, stable=True)
    per_100 = 100 * (euler != exact).sum() / euler.sum().clamp(min=1)
    title = f"This stroke: {per_100:.0f} places per 100 spikes differ if (2) is solved exactly"
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 4.2), title, width_ratios=(0.7, 1.5, 1.5))
    braille.draw_cell(ax, "Y")
    plots.raster(bx, stroke[:, 0])
    plots.label(bx, "time step", "taxel", "what it sends: changes of pressure")
    exchange.draw_difference(cx, euler[:, busiest], exact[:, busiest], "Euler", "exact")
    cx.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(cx, "time step", "hidden neuron", "38 hidden neurons, read in two ways")
    run.figure(fig, "5_stroke", look="on the right, when the two readings begin to differ")

    mean = {name: float(np.mean(values)) for name, values in accuracy.items()}
    low, high = min(mean.values()), max(mean.values())
    title = f"One graph, {len(READINGS)} readings: {low:.0f} to {high:.0f} % of the letters"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.4), title, sharey=True)
    exchange.draw_seeds(ax, accuracy)
    exchange.draw_seeds(bx, number_kept)
    ax.axvline(100 / len(braille.LETTERS), color=plots.RED, linestyle=":")
    ax.text(100 / len(braille.LETTERS) + 1, 0, "chance", color=plots.RED, va="center")
    ax.set_xlim(0, 101)
    bx.axvline(100, color="0.6", linewidth=1)
    plots.label(ax, "letters read correctly (%)", "", f"{len(y):,} rendered strokes")
    plots.label(
        bx, "hidden spikes (% of snnTorch's)", "", "circles: three trainings; blue bars: means"
    )
    run.figure(
        fig, "5_readings", look="which readings lose letters, and what they do to the spikes"
    )
    rows = []
    for name in READINGS:
        seeds = f"{min(accuracy[name]):.1f} to {max(accuracy[name]):.1f} %"
        numbers = (f"{np.mean(number_kept[name]):.0f} %", f"{np.mean(changed[name]):.0f}")
        rows.append((name, f"{mean[name]:.1f} %", seeds, *numbers))
    columns = ("reading", "letters", "three trainings", "spikes", "places per 100")
    run.table("Letters read; hidden spikes of snnTorch's; places that differ", columns, rows)
    own = mean["as it was trained"]
    letters_lost = []
    places = []
    counts_off = []
    for name in READINGS:
        letters_lost.append(own - mean[name])
        places.append(float(np.mean(changed[name])))
        counts_off.append(abs(float(np.mean(number_kept[name])) - 100))
    by_places = rank_correlation(places, letters_lost)
    by_number = rank_correlation(counts_off, letters_lost)
    published = published_ranks()
    run.table(
        "Published: one graph, 140 recorded letters (Pedersen et al. 2024)",
        ("platform", "letters", "places per 100, one letter"),
        exchange.braille_table(),
    )

    facts = {"n": len(y) * len(given.touch), "seeds": len(given.touch)}
    text = "Reader against snnTorch: differ"
    run.claim("reader", text, reader_off, "places", "== 0", n=len(y))
    keys = {"exact_solution": "exact solution", "late_reset": "reset a step late"}
    keys["subtraction"] = "reset by subtraction"
    run.claim("as_trained", "as it was trained: letters", mean["as it was trained"] / 100, **facts)
    for key, name in keys.items():
        run.claim(key, f"{name}: letters", mean[name] / 100, **facts)
    ranks = {"places": by_places, "number": by_number}
    for key, value in ranks.items():
        run.claim(f"ranks_{key}", f"ours: {key}, lost (ranks)", value, "", n=len(READINGS))
    text = "published: places, lost (ranks)"
    run.claim("ranks_published", text, published, "", n=len(exchange.BRAILLE))
    run.outcome("worst", min(four, key=lambda name: mean[name]))
    kept = [name for name in READINGS if READINGS[name] and own - mean[name] < 3]
    lost = [name for name in READINGS if own - mean[name] >= 3]
    losses = []
    for name in lost:
        seeds = f"{min(accuracy[name]):.0f} to {max(accuracy[name]):.0f} %"
        losses.append(f"{name} {seeds} (spikes: {np.mean(number_kept[name]):.0f} %)")
    run.finding(
        f"One graph, weights unchanged: {own:.0f} % of the letters as it was trained (mean of three "
        f"trainings, rendered strokes). Within 3 points of that: {', '.join(kept) or 'none'}; with "
        f"{told(kept, number_kept)}. Others read less: {', '.join(losses) or 'none'}.",
        main=True,
        claim="late_reset",
    )
    # Neighbours in the order of places that are furthest apart in letters lost.
    order = sorted(READINGS, key=lambda name: np.mean(changed[name]))
    pairs = list(pairwise(order))
    first, second = max(pairs, key=lambda pair: abs(mean[pair[0]] - mean[pair[1]]))
    run.finding(
        f"Over our {len(READINGS)} readings, letters lost have a rank correlation of {by_number:.2f} with how "
        f"far the number of spikes is from 100 %, and of {by_places:.2f} with the places changed; on the "
        f"{len(exchange.BRAILLE)} published platforms, of {published:.2f} with places. How much is lost places "
        f"do not say here: {first} changes {np.mean(changed[first]):.0f} per 100 and reads "
        f"{mean[first]:.0f} %, {second} {np.mean(changed[second]):.0f} and {mean[second]:.0f} %. Ten substeps "
        f"follow (2) more finely than training did, and read {mean['ten substeps']:.0f} %."
    )


# ---------------------------------------------------------------- 6  chips, and what stays behind


class Tracer(torch.fx.Tracer):
    """torch.fx, told not to look into modules: layers and neurons are to be nodes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def trace(step: Callable) -> list[str]:
    """What torch.fx records of a forward: a line for each operation, and no number was computed."""
    lines = []
    for node in Tracer().trace(probes.Probe(step)).nodes:
        inputs = ", ".join(str(argument) for argument in node.args)
        lines.append(f"{node.name}({inputs})")
    return lines


@section
def section_targets(cfg: Config, run: Run) -> None:
    """6  Who takes the graph, and what stays behind?

    A platform takes the nodes that its hardware has. The left figure sets the nodes of our three
    graphs against NIR's own table of readers (neuroir.org). "Takes" is not "computes the same": Lava takes
    them all, and read 48.6 % of the letters above. What is missing can often be replaced, at a price:
    AvgPool2d by SumPool2d with smaller weights; Flatten by reordering the weights behind it; Conv2d by
    one large Affine; LIF by IF, which does not leak, only with new training. Akida reads no NIR.

    And a network has to be seen before it can be exported. Take a step with a skip connection:

        spk = self.lif1(self.fc1(x))
        return self.lif2(self.fc2(spk) + spk)

    *Watching* (snnTorch's exporter) runs forward once and notes which module's output enters which
    module. The + is no module; lif2 gets a tensor that no module made, and its edges are left out. Of an
    `if` it sees the branch that was taken. *Tracing* (torch.fx, which nirtorch uses) runs forward with
    stand-ins in the place of tensors, which record every operation on them; `trace`, above, is all it
    takes. It sees the + and makes two edges of it. But a stand-in has no values: an `if` on spikes stops
    it, and a loop over steps is written out, as if it were a deeper network without memory.

    Eight ways to write forward (`exchange/probes.py`) go through both, and through exchange.to_nir. Each
    graph is run afterwards, on 16 sequences that make the neurons spike, and on silence. A run can show
    that a graph is wrong, never that it is right: it sees what its inputs reach. Among the ways is
    `if spk.sum() > 0`. Inputs with spikes take one branch, the one that watching puts into its graph; a
    silent input takes the other. How many wrong graphs would have passed without it?

    exchange.to_nir looks at the form of forward first and refuses what it does not know. Only then does
    it run the graph. Of the ways that it refuses only the `if` gets as far as that run, and stops there
    because one of the run's own inputs takes the other branch; a branch on something else would pass.
    The eight ways are cases that its authors chose: what it does with them is no rate of detection.
    """
    given: Journeys = run.result_of(section_graph)
    run.predict(
        "silent_watching",
        "Eight ways to write forward, through snnTorch's exporter. How many of the eight graphs are wrong "
        "without any error?",
        unit="graphs",
    )
    kinds: list[str] = []
    for journey in given.by_name.values():
        for node in journey.graph.nodes.values():
            kind = type(node).__name__
            if kind not in (*kinds, "Input", "Output"):
                kinds.append(kind)
    taken = np.array([[kind in nodes for kind in kinds] for nodes in exchange.TARGETS.values()])
    everything = int(taken.all(1).sum())

    x = 6 * torch.rand(12, 16, 8, generator=run.generator())
    spiking_only = probes.verdicts([x], cfg.seed)
    found = probes.verdicts([x, 0 * x], cfg.seed)  # exporter → what became of each of the eight
    silent = {name: results.count(probes.WRONG) for name, results in found.items()}
    unseen = silent["watching"] - spiking_only["watching"].count(probes.WRONG)
    too_strict = 0  # ways that our exporter refuses and another one exports with the same spikes
    for i, verdict in enumerate(found["to_nir"]):
        elsewhere = (found["watching"][i], found["tracing"][i])
        too_strict += verdict == probes.STOPPED and probes.RIGHT in elsewhere
    run.print("   traced  " + "  ".join(trace(probes.skip_connection)))

    fig, (ax, bx) = plots.figure(1, 2, (13, 4.4))
    marks = np.where(taken, "takes", "–")
    exchange.draw_words(ax, marks, taken, kinds, list(exchange.TARGETS), "Blues")
    ax.set_title(f"{everything} of {len(taken)} platforms take every node", fontsize=10)
    words = np.array(list(found.values())).T  # (8 ways, 3 exporters)
    heads = ["watching\n(snnTorch)", "tracing\n(torch.fx)", "exchange.to_nir"]
    ways = [step.__doc__ for step in probes.STEPS]
    exchange.draw_words(bx, words, words == probes.WRONG, heads, ways, "Oranges")
    counts = f"{silent['watching']}, {silent['tracing']} and {silent['to_nir']}"
    bx.set_title(f"wrong without a word: {counts} of {len(ways)}", fontsize=10)
    title = "Left: nodes that a platform takes. Right: ways to write forward, and what is exported"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "6_targets", look="on the right, the row of the +: who sees it, who does not")
    rows = []
    for platform, nodes in exchange.TARGETS.items():
        missing = [kind for kind in kinds if kind not in nodes]
        rows.append((platform, ", ".join(missing) or "nothing"))
    run.table(
        "Nodes of our three graphs that a platform does not take", ("platform", "missing"), rows
    )

    run.claim("all_taken", "platforms that take every node", everything, "", n=len(taken))
    n = len(ways)
    for name in ("watching", "tracing"):
        run.claim(f"silent_{name}", f"{name}: wrong without a word", silent[name], "", n=n)
    run.claim("silent_check", "to_nir: wrong without a word", silent["to_nir"], "", "== 0", n=n)
    run.claim("unseen", "watching: only silence shows it", unseen, "", n=n)
    run.claim("too_strict", "refused, same spikes elsewhere", too_strict, "", n=n)
    stopped = found["to_nir"].count(probes.STOPPED)
    run.finding(
        f"By NIR's table {everything} of {len(taken)} platforms take every node of our three graphs. Of "
        f"{len(ways)} ways to write forward, watching turns {silent['watching']} into a wrong graph without "
        f"a word, and tracing {silent['tracing']}. Without the silent input, {unseen} of watching's would have "
        f"passed for right. exchange.to_nir lets {silent['to_nir'] or 'no'} wrong graph pass, by refusing "
        f"{stopped} of the {len(ways)}, of which {too_strict} came out of another exporter with the same spikes."
    )


def main(cfg: Config, run: Run) -> None:
    section_synops(cfg, run)
    section_energy(cfg, run)
    section_graph(cfg, run)
    section_simulators(cfg, run)
    section_readings(cfg, run)
    section_targets(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
