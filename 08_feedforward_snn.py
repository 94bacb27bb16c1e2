"""Lesson 08 — A feedforward spiking network: two layers, one loop over time, and five ways to get it wrong

Question
    What exactly happens, tensor by tensor, when spikes run through a network of several layers, and which
    mistakes raise no error?

Idea
    nn.Linear holds all weights. The neurons of lesson 01 stand where an ANN has its activation function,
    and bring what no ReLU has, a state. For layers ℓ = 1, 2:

        I_ℓ[t] = W_ℓ·S_{ℓ−1}[t] + b_ℓ                       S_0[t] = x[t], the input                  (1)
        U_ℓ[t] = β·U_ℓ[t−1] + I_ℓ[t] − θ·S_ℓ[t−1]           U_ℓ[0] = 0                                (2)
        S_ℓ[t] = 1 if U_ℓ[t] > θ else 0                                                               (3)

    So the forward pass is a loop over time, and inside it the layers in order:

        for t in range(T):              x[t]  →  fc1 → lif1  →  fc2 → lif2  →  spk[t], mem[t]

    What leaves it is stacked to spk_rec (T, B, K): T steps, B images, K classes. From there to a class:
    spk_rec.sum(0) counts each image's spikes, .argmax(1) names the neuron with most.

    Weights and state live apart. W and b are shared by all images and steps and are what training changes.
    U is one number per neuron *and image*, lives from one step to the next, and means nothing after the
    last one: it has to be put back to zero before the next batch.

    Since layers only feed forward, the two loops can be exchanged: all steps of layer 1, then all steps of
    layer 2. The numbers are the same, and fc1 becomes one matrix product for all steps. `Net.run` does
    that (multistep.unroll carries (2) and (3) over time), `Net.forward` is a single step.

    The mistakes of this lesson mostly run through without an error. So sections 2 and 4 show them on a
    network that has learnt digits (lesson 09 opens that box), where a wrong answer can be seen.

    An untrained network answers at chance, but read (4) exactly before you expect 10 % of it:

        class = argmax_k Σ_t S_2,k[t]               equal counts: the lower class number              (4)

    Few output spikes mean many ties, and a tie is no answer; argmax makes it a vote for the lower class.

Read first
    Theory:   Eshraghian et al. 2023, section III, https://arxiv.org/abs/2109.12894
    Practice: snnTorch tutorial 3, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_3.html

Run
    uv run 08_feedforward_snn.py             about 30 s on one CPU core
    uv run 08_feedforward_snn.py --smoke     seconds, stand-in data
    uv run 08_feedforward_snn.py --full      all of MNIST, 200 untrained networks: a minute on an H100

You should see
    By hand, by forward and by run: not one of 25,000 output spikes differs.
    Without a reset about 4.5 % of the answers change at T = 25, almost half at T = 2 or 5; and sorting the test
    set by class moves the accuracy by about a point: it then measures the order, not the network.
    utils.reset leaves 100 % of the potentials of a nested network, and wipes out those of another network.
    Batch and time swapped with T = B = 25: no error, 9 % right instead of 95 %, and 96 % of what moves an
    answer comes from other images.
    Forty untrained networks: 9.9 % right (± 0.2) with ties drawn by lot, 7.9 % as argmax reads them.

Builds on / leads to
    01 gave (2) and (3), 02 the input, 07 the gradient through (3). 09 trains this very network.

Predict: with --num-steps 50, do more or fewer answers flip without a reset, and what becomes of the state per image?
Next: uv run 09_training_bptt.py
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from common import plots
from common.cost import latency
from common.data import ImageData, batches, mnist
from common.io import UserError
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import (
    check_time_first,
    constant_current,
    over_time,
    reset_state,
    spiking_layers,
)
from multistep import unroll
from training import fit

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from snntorch import utils
from torch import nn

Tensor = torch.Tensor


@dataclass
class Config(LessonConfig):
    """num_steps is the number of steps for which an image is shown."""

    num_steps: int = bounded(25, 1, 100_000)
    """time steps per image (T)"""
    beta: float = bounded(0.9, 0.0, 1.0)
    """membrane decay per step"""
    num_hidden: int = bounded(256, 1, 100_000)
    """hidden neurons"""
    train_images: int = bounded(10_000, 10, 55_000)
    """images for the short training that gives sections 1 to 4 a network worth asking"""
    epochs: int = bounded(3, 1, 100)
    """passes over them"""
    test_images: int = bounded(2_000, 20, 10_000)
    """test images asked in sections 2 and 6"""
    batch_size: int = bounded(100, 2, 10_000)
    """images shown at once (B)"""
    networks: int = bounded(40, 2, 10_000)
    """untrained networks in section 6, each from a seed of its own"""


SMOKE = {
    "num_steps": 5,
    "num_hidden": 32,
    "train_images": 500,
    "epochs": 1,
    "test_images": 100,
    "batch_size": 20,
    "networks": 4,
}
FULL = {"train_images": 55_000, "epochs": 8, "test_images": 10_000, "networks": 200}


# ------------------------------------------------------------------------------------ the equations as code


def time_loop(net: Net, x: Tensor) -> dict[str, Tensor]:
    """Equations (1) to (3) with nothing hidden: every tensor of every step of ``x (T, B, 784)``."""
    beta, theta = float(net.lif1.beta), float(net.lif1.threshold)
    T, B, _ = x.shape
    H, K = net.fc1.out_features, net.fc2.out_features
    mem1, spk1 = x.new_zeros(B, H), x.new_zeros(B, H)  # at rest before the first step
    mem2, spk2 = x.new_zeros(B, K), x.new_zeros(B, K)
    record: dict[str, list[Tensor]] = {}
    for t in range(T):  # time outside ...
        cur1 = net.fc1(x[t])  # I_1[t] = W_1·x[t] + b_1                   (B, H)
        mem1 = beta * mem1 + cur1 - theta * spk1  # U_1[t] = β·U_1[t−1] + I_1[t] − θ·S_1[t−1] (B, H)
        spk1 = (mem1 > theta).to(x.dtype)  # S_1[t]                                    (B, H)
        cur2 = net.fc2(spk1)  # ... layers inside: the spikes of this very step
        mem2 = beta * mem2 + cur2 - theta * spk2  # U_2[t]                                    (B, K)
        spk2 = (mem2 > theta).to(x.dtype)  # S_2[t]                                    (B, K)
        step = {"cur1": cur1, "mem1": mem1, "spk1": spk1, "cur2": cur2, "mem2": mem2, "spk2": spk2}
        for name, value in step.items():
            record.setdefault(name, []).append(value)
    return {name: torch.stack(values) for name, values in record.items()}  # (T, B, H) or (T, B, K)


def step_loop(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The same loop as snnTorch's users write it: ``net(x_t)`` step by step, *without* any reset before."""
    spk_rec, mem_rec = zip(*(net(x_t) for x_t in x), strict=True)
    return torch.stack(spk_rec), torch.stack(mem_rec)  # (T, B, K), (T, B, K)


def read_class(spk_rec: Tensor) -> Tensor:
    """From output spikes to a class: ``(T, B, K)`` → counts ``(B, K)`` → class ``(B,)``; ties go to the lower one."""
    return spk_rec.sum(0).argmax(1)


def encode(x: Tensor, num_steps: int) -> Tensor:
    """The grey values are the input current, the same at every step: ``(B, 1, 28, 28) → (T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


# ------------------------------------------------------------------------------------ the networks


class Net(nn.Module):
    """784–256–10: Linear → Leaky → Linear → Leaky. ``forward`` is one time step, ``run`` a whole sequence."""

    def __init__(
        self, num_inputs: int = 784, num_hidden: int = 256, num_outputs: int = 10, beta: float = 0.9
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(num_inputs, num_hidden)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.fc2 = nn.Linear(num_hidden, num_outputs)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 784)`` → output spikes and membrane, each ``(B, 10)``."""
        spk1 = self.lif1(self.fc1(x_t))  # (B, 256)
        return self.lif2(self.fc2(spk1))  # (B, 10), (B, 10)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 784)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``, starting from rest."""
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))  # (T, B, 256)
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)  # (T, B, 10)
        return spk2, mem2


class Nested(nn.Module):
    """The same network in two blocks, as every larger network is built: the neurons are no direct children."""

    def __init__(self, num_hidden: int = 256, beta: float = 0.9) -> None:
        super().__init__()
        self.block1 = nn.Sequential(
            nn.Linear(784, num_hidden), snn.Leaky(beta=beta, init_hidden=True)
        )
        self.block2 = nn.Sequential(
            nn.Linear(num_hidden, 10), snn.Leaky(beta=beta, init_hidden=True, output=True)
        )

    def forward(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """One step: ``(B, 784)`` → output spikes and membrane, each ``(B, 10)``."""
        return self.block2(self.block1(x_t))


def trained_net(cfg: Config, data: ImageData, run: Run) -> Net:
    """A network that knows digits: lesson 09 opens what happens in ``fit``."""
    torch.manual_seed(cfg.seed)
    net = Net(num_hidden=cfg.num_hidden, beta=cfg.beta)
    fit(
        net,
        data,
        partial(encode, num_steps=cfg.num_steps),
        run=run,
        epochs=cfg.epochs,
        lr=2e-3,
        seed=cfg.seed,
        quiet=True,
        loss_fn=lambda out, y: F.cross_entropy(out[0].sum(0), y),
        predict=lambda out: read_class(out[0]),
    )
    return net


# ------------------------------------------------------------------------------------ experiments


@torch.no_grad()
def experiment_shapes(
    cfg: Config, net: Net, data: ImageData, device: torch.device
) -> dict[str, Any]:
    """Three ways through the same network: the loop by hand, ``forward`` step by step, ``run``."""
    images = data.x_test[: cfg.batch_size].to(device).float() / 255  # (B, 1, 28, 28)
    x = encode(images, cfg.num_steps)  # (T, B, 784)
    hand = time_loop(net, x)
    reset_state(net)
    counts = hand["spk2"].sum(0)  # (B, K)
    shapes = [
        ("images", "B, C, height, width", images),
        ("x", "T, B, pixels", x),
        ("cur1 = fc1(x)", "T, B, H", hand["cur1"]),
        ("spk1 of lif1", "T, B, H", hand["spk1"]),
        ("cur2 = fc2(spk1)", "T, B, K", hand["cur2"]),
        ("spk_rec of lif2", "T, B, K", hand["spk2"]),
        ("mem_rec of lif2", "T, B, K", hand["mem2"]),
        ("spk_rec.sum(0): counts", "B, K", counts),
        (".argmax(1): classes", "B", read_class(hand["spk2"])),
    ]
    differ = {
        name: (out[0] != hand["spk2"]).float().mean().item()
        for name, out in (("forward", step_loop(net, x)), ("run", net.run(x)))
    }
    ways = {
        "loop by hand": time_loop,
        "forward, step by step": step_loop,
        "run, layer by layer": Net.run,
    }
    times = {name: latency(lambda way=way: way(net, x), device, 5)[0] for name, way in ways.items()}
    reset_state(net)
    show = int(
        (counts.max(1).values > 0).float().argmax()
    )  # the first image that makes any output spike
    return {
        "shapes": [(name, axes, tuple(t.shape)) for name, axes, t in shapes],
        "differ": differ,
        "times": times,
        "n": hand["spk2"].numel(),
        "image": images[show, 0].cpu(),
        "label": int(data.y_test[show]),
        "spk1": hand["spk1"][:, show].cpu(),
        "spk2": hand["spk2"][:, show].cpu(),
        "answer": int(counts[show].argmax()),
    }


@torch.no_grad()
def answers(net: Net, x: Tensor, num_steps: int, batch_size: int, reset: bool) -> Tensor:
    """Classes of the images ``x (N, 1, 28, 28)``, shown batch after batch: ``(N,)``. ``reset``: before each batch."""
    reset_state(net)
    classes = []
    for x_b, _ in batches(x, x, batch_size):
        if reset:
            reset_state(net)
        classes.append(read_class(step_loop(net, encode(x_b, num_steps))[0]))
    reset_state(net)
    return torch.cat(classes)


def experiment_no_reset(
    cfg: Config, net: Net, data: ImageData, device: torch.device
) -> dict[str, Any]:
    """The same images with and without a reset between batches: for several T, and in three orders."""
    # full batches only: where the shape changes, snn.Leaky quietly starts a new state, so a short batch is reset
    B = min(cfg.batch_size, min(cfg.test_images, len(data.y_test)) // 2)
    n = min(cfg.test_images, len(data.y_test)) // B * B
    x, y = data.x_test[:n].to(device), data.y_test[:n].to(device)
    share = lambda mask: mask.float().mean().item()  # noqa: E731
    steps = sorted({1, 2, 5, 10, cfg.num_steps, 2 * cfg.num_steps})
    told = {T: {reset: answers(net, x, T, B, reset) for reset in (True, False)} for T in steps}
    flips = [
        share((told[T][True] != told[T][False])[B:]) for T in steps
    ]  # the first batch starts at rest anyway
    now, by_class = cfg.num_steps, y.argsort(stable=True)
    again = {reset: answers(net, x[by_class], now, B, reset) for reset in (True, False)}
    orders = {
        "reset, any order": share(told[now][True] == y),
        "no reset, as the test set comes": share(told[now][False] == y),
        "no reset, sorted by class": share(again[False] == y[by_class]),
    }
    return {
        "steps": steps,
        "flips": flips,
        "flips_now": flips[steps.index(now)],
        "n": n - B,
        "n_all": n,
        "wrong": {reset: [share(told[T][reset] != y) for T in steps] for reset in (True, False)},
        "orders": orders,
        "order_matters_with_reset": share(again[True] != told[now][True][by_class]),
    }


def experiment_training_without_reset(
    cfg: Config, net: Net, data: ImageData, device: torch.device
) -> str:
    """Two gradient steps without a reset between: the message of the error, or '' if there was none."""
    x, y = data.x_train[:8].to(device).float() / 255, data.y_train[:8].to(device)
    reset_state(net)
    message = ""
    try:
        for _ in range(2):
            net.zero_grad()
            _, mem_rec = step_loop(net, encode(x, cfg.num_steps))
            F.cross_entropy(mem_rec.mean(0), y).backward()
    except RuntimeError as e:
        message = str(e).split(" (")[0].split(". ")[0]
    net.zero_grad()
    reset_state(net)
    return message


@torch.no_grad()
def experiment_reset_reach(
    cfg: Config, data: ImageData, device: torch.device
) -> dict[str, dict[str, float]]:
    """What each reset does to the network it is given, and to one that it was not given.

    Returns, for each call, the share of potentials that are *unchanged*: ``own`` should be 0, ``other`` 1.
    """
    x_t = (
        data.x_test[: cfg.batch_size].to(device).float().flatten(1) / 255 + 0.01
    )  # no potential is exactly 0
    nets = {
        "flat": Net(num_hidden=cfg.num_hidden, beta=cfg.beta).to(device),
        "nested": Nested(num_hidden=cfg.num_hidden, beta=cfg.beta).to(device),
    }
    bystander = Net(num_hidden=cfg.num_hidden, beta=cfg.beta).to(device)
    table = {}
    for call, reset in (("utils.reset", utils.reset), ("reset_state", reset_state)):
        for kind, net in nets.items():
            for m in (net, bystander):
                reset_state(m)
                m(x_t)
            before = [potentials(m) for m in (net, bystander)]
            reset(net)
            kept = [
                (potentials(m) == b).float().mean().item()
                for m, b in zip((net, bystander), before, strict=True)
            ]
            table[f"{call}({kind})"] = {"own": kept[0], "other": kept[1]}
    return table


def potentials(net: nn.Module) -> Tensor:
    """All potentials of a network in one row."""
    return torch.cat([neuron.mem.flatten() for neuron in spiking_layers(net).values()])


@torch.no_grad()
def experiment_swapped(
    cfg: Config, net: Net, data: ImageData, device: torch.device
) -> dict[str, Any]:
    """Batch first where time first was meant: what raises an error, what does not, and who influences whom."""
    T, B = cfg.num_steps, cfg.num_steps + 7
    x = data.x_test[:B].to(device).float() / 255
    batch_first = encode(x, T).transpose(0, 1)  # (B, T, 784): the mistake
    spk_rec, _ = net.run(batch_first)  # runs: (B, T, K)
    side = max(2, min(T, 25))  # as many images as steps: now every shape fits
    square = encode(x[:side], side).transpose(0, 1)
    seen = {}
    for name, attempt in (
        ("loss", lambda: F.cross_entropy(spk_rec.sum(0), data.y_test[:B].to(device))),
        ("check_time_first", lambda: check_time_first(batch_first, T)),
        ("check_time_first, T = B", lambda: check_time_first(square, side)),
    ):
        try:
            attempt()
            seen[name] = ""
        except (ValueError, UserError) as e:
            seen[name] = str(e)
    n = min(len(data.y_test), 500) // side * side
    right = {"time first": 0, "batch first": 0}
    for images, y in batches(data.x_test[:n], data.y_test[:n], side, device=device):
        seq = encode(images, side)
        right["time first"] += int((read_class(net.run(seq)[0]) == y).sum())
        right["batch first"] += int((read_class(net.run(seq.transpose(0, 1))[0]) == y).sum())
    return {
        "B": B,
        "shape": tuple(spk_rec.shape),
        "seen": seen,
        "side": side,
        "n": n,
        "accuracy": {name: count / n for name, count in right.items()},
        "influence": {
            "time first": influence(net, x[:side], side, False),
            "batch first": influence(net, x[:side], side, True),
        },
    }


def influence(net: Net, images: Tensor, num_steps: int, batch_first: bool) -> np.ndarray:
    """How much answer i moves when image j is darkened: ``(B, B)``, off-diagonal zero if all is well.

    Compares mean output membranes. Works for any network, and for any leak between images.
    """

    def mean_membrane(x: Tensor) -> Tensor:
        seq = encode(x, num_steps)
        return net.run(seq.transpose(0, 1) if batch_first else seq)[1].mean(0)  # (B, K)

    reference, rows = mean_membrane(images), []
    for j in range(len(images)):
        darkened = images.clone()
        darkened[j] = 0
        rows.append((mean_membrane(darkened) - reference).abs().mean(1).cpu())
    return torch.stack(rows, 1).numpy()  # answer i in rows, image j in columns


def leaked(matrix: np.ndarray) -> float:
    """Share of the influence that comes from other images."""
    total = matrix.sum()
    return float(1 - np.trace(matrix) / total) if total > 0 else 0.0


@torch.no_grad()
def experiment_where(cfg: Config, device: torch.device) -> dict[str, Any]:
    """Count parameters and potentials, by layer, against batch size and against num_steps."""
    net = Net(num_hidden=cfg.num_hidden, beta=cfg.beta).to(device)

    def count(batch_size: int, num_steps: int) -> tuple[int, int]:
        reset_state(net)
        step_loop(net, torch.rand(num_steps, batch_size, 784, device=device))
        return sum(p.numel() for p in net.parameters()), sum(
            n.mem.numel() for n in spiking_layers(net).values()
        )

    sizes, lengths = (1, 4, 16, 64, 256, 1024), (1, 2, 5, 10, 20, 50)
    by_batch, by_steps = [count(b, 2) for b in sizes], [count(cfg.batch_size, t) for t in lengths]
    count(cfg.batch_size, 1)
    layers = [
        (
            name,
            sum(p.numel() for p in m.parameters()),
            m.mem.numel() if name.startswith("lif") else 0,
        )
        for name, m in net.named_children()
    ]
    return {
        "sizes": sizes,
        "by_batch": by_batch,
        "lengths": lengths,
        "by_steps": by_steps,
        "layers": layers,
        "saved": [name for name in net.state_dict() if name.endswith(".mem")],
    }


@torch.no_grad()
def experiment_untrained(cfg: Config, data: ImageData, device: torch.device) -> dict[str, Any]:
    """Accuracy of untrained networks read by counts: equal counts go to the lower class, or are drawn by lot."""
    x, y = data.x_test[: cfg.test_images].to(device), data.y_test[: cfg.test_images].to(device)
    lot = torch.Generator().manual_seed(cfg.seed)
    lowest, drawn, favourite, tied = [], [], [], []
    for seed in range(cfg.seed, cfg.seed + cfg.networks):
        torch.manual_seed(seed)
        net = Net(num_hidden=cfg.num_hidden, beta=cfg.beta).to(device)
        spks = [net.run(encode(x_b, cfg.num_steps))[0] for x_b, _ in batches(x, y, 1000)]
        counts = torch.cat([spk.sum(0) for spk in spks])  # (N, K)
        lots = torch.rand(counts.shape, generator=lot).to(device) / 2  # less than one spike
        lowest.append((counts.argmax(1) == y).float().mean().item())
        drawn.append(((counts + lots).argmax(1) == y).float().mean().item())
        favourite.append((counts + lots).argmax(1).bincount(minlength=10).max().item() / len(y))
        tied.append(
            ((counts == counts.max(1, keepdim=True).values).sum(1) > 1).float().mean().item()
        )
    return {
        "lowest": np.array(lowest),
        "drawn": np.array(drawn),
        "favourite": np.array(favourite),
        "n": len(y),
        "tied": float(np.mean(tied)),
        "error": float(np.std(drawn, ddof=1) / np.sqrt(cfg.networks)),
        "binomial": float(np.sqrt(0.1 * 0.9 / len(y))),
    }


# ------------------------------------------------------------------------------------ figures


def plot_loop(shapes: dict[str, Any]) -> Figure:
    counts = shapes["spk2"].sum(0).tolist()
    fig, (a, b, c, d) = plots.figure(
        1,
        4,
        size=(14, 3.8),
        width_ratios=(1, 2, 2, 1.3),
        title=(
            f"One image on its way: a {shapes['label']}, read as a {shapes['answer']} by {max(counts):.0f} output spikes"
        ),
    )
    a.imshow(shapes["image"].numpy(), cmap="gray")
    a.set_axis_off()
    a.set_title("x[t]: 784 currents")
    order = shapes["spk1"].sum(0).argsort(descending=True)
    active = int((shapes["spk1"].sum(0) > 0).sum())
    plots.raster(b, shapes["spk1"][:, order[: max(1, active)]])
    plots.label(
        b,
        "time step",
        "neuron (most active first)",
        f"lif1: {shapes['spk1'].sum():.0f} spikes of {active} neurons, {len(order) - active} silent",
    )
    plots.raster(c, shapes["spk2"])
    c.set_yticks(range(10))
    plots.label(c, "time step", "class", f"lif2: {shapes['spk2'].sum():.0f} spikes")
    d.barh(
        range(10),
        counts,
        color=[plots.RED if k == shapes["answer"] else plots.BLUE for k in range(10)],
    )
    d.set_yticks(range(10))
    d.set_ylim(-0.7, 9.7)
    plots.label(d, "spikes in all steps", "", "spk_rec.sum(0)")
    return fig


def plot_no_reset(result: dict[str, Any]) -> Figure:
    _, as_comes, by_class = result["orders"].values()
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(12.5, 3.9),
        title=(
            f"Without a reset {100 * result['flips_now']:.1f} % of the answers change, and the order of the images "
            f"moves the accuracy by {100 * abs(by_class - as_comes):.1f} points"
        ),
    )
    plots.curves(
        a,
        result["steps"],
        {
            "answers that flip": 100 * np.array(result["flips"]),
            "wrong with reset": 100 * np.array(result["wrong"][True]),
            "wrong without": 100 * np.array(result["wrong"][False]),
        },
    )
    a.set_xscale("log")
    a.set_xticks(result["steps"], [str(s) for s in result["steps"]])
    a.minorticks_off()
    worst = int(np.argmax(result["flips"]))
    plots.label(
        a,
        "steps per image",
        "share of test images (%)",
        f"Most flips at T = {result['steps'][worst]}: {100 * result['flips'][worst]:.0f} %",
    )
    values = {name: 100 * v for name, v in result["orders"].items()}
    plots.bars(b, values, fmt="{:.2f}")
    b.set_xlim(min(values.values()) - 1.5, max(values.values()) + 0.8)
    plots.label(b, "test accuracy (%; axis cut)", "", "Same network, same images")
    return fig


def plot_reach(table: dict[str, dict[str, float]]) -> Figure:
    wrong = sum(v["own"] > 0 or v["other"] < 1 for v in table.values())
    fig, ax = plots.figure(
        size=(8.5, 3.6), title=f"{wrong} of {len(table)} calls reset too little or too much"
    )
    y = np.arange(len(table))
    for key, offset, color, whose in (
        ("own", -0.2, plots.RED, "of the network it was given (wanted: 0)"),
        ("other", 0.2, plots.SKY, "of another network (wanted: 100)"),
    ):
        drawn = ax.barh(
            y + offset, [100 * v[key] for v in table.values()], 0.38, color=color, label=whose
        )
        ax.bar_label(drawn, fmt="%.0f", padding=3, fontsize=8)
    ax.set_yticks(y, list(table))
    ax.invert_yaxis()
    ax.set_xlim(0, 108)
    ax.grid(False, axis="y")
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=2)
    plots.label(ax, "potentials left as they were (%)", "")
    return fig


def plot_swapped(result: dict[str, Any]) -> Figure:
    accuracy = result["accuracy"]
    fig, axes = plots.figure(
        1,
        2,
        size=(10.5, 4.6),
        title=(
            f"Batch and time swapped, T = B = {result['side']}: no error, and {100 * accuracy['batch first']:.0f} % right "
            f"instead of {100 * accuracy['time first']:.0f} %"
        ),
    )
    for ax, (name, matrix) in zip(axes, result["influence"].items(), strict=True):
        image = ax.imshow(matrix, cmap="magma", vmin=0)
        ax.grid(False)
        plots.label(
            ax,
            "image j that is darkened",
            "answer i",
            f"{name}: {100 * leaked(matrix):.0f} % of the influence is foreign",
        )
        fig.colorbar(image, ax=ax, label="change of mean output membrane", shrink=0.85)
    return fig


def plot_where(where: dict[str, Any]) -> Figure:
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(10.5, 3.8),
        title=("Weights do not grow with batch or time; the state grows with the batch only"),
    )
    for ax, x, values, name in (
        (a, where["sizes"], where["by_batch"], "batch size B"),
        (b, where["lengths"], where["by_steps"], "time steps T"),
    ):
        plots.curves(
            ax,
            x,
            {
                "parameters (in nn.Linear)": [v[0] for v in values],
                "potentials (in snn.Leaky)": [v[1] for v in values],
            },
        )
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks(x, [str(v) for v in x])
        ax.minorticks_off()
        plots.label(ax, name, "numbers held at one moment")
        ax.set_ylim(
            min(v[1] for v in where["by_batch"]) / 2, 2 * max(max(v) for v in where["by_batch"])
        )
    return fig


def plot_untrained(result: dict[str, Any]) -> Figure:
    drawn, lowest, width = 100 * result["drawn"], 100 * result["lowest"], 196 * result["binomial"]
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11.5, 3.9),
        title=(
            f"{len(drawn)} untrained networks: {drawn.mean():.1f} % right if ties are drawn by lot, "
            f"{lowest.mean():.1f} % if argmax decides"
        ),
    )
    bins = np.arange(0, max(drawn.max(), lowest.max()) + 1, 1)
    a.hist(
        [drawn, lowest],
        bins=bins,
        color=[plots.BLUE, plots.ORANGE],
        label=["ties by lot", "ties to lower class"],
    )
    a.axvspan(
        10 - width,
        10 + width,
        color="0.5",
        alpha=0.25,
        label=f"95 % of guessers on {result['n']:,} images",
    )
    a.legend()
    plots.label(a, "accuracy (%)", "networks", "Chance holds on average, not for each network")
    b.scatter(100 * result["favourite"], drawn, color=plots.BLUE, s=22)
    b.axhline(10, color=plots.BLACK, linewidth=1, linestyle=":")
    plots.label(
        b,
        "answers that name the network's favourite class (%)",
        "accuracy, ties by lot (%)",
        "An untrained network has favourites",
    )
    return fig


# ------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    data, device, T = run.data(mnist, n_train=cfg.train_images), run.device, cfg.num_steps
    run.print(f"\n0  A network to ask: {cfg.epochs} epochs on {len(data.y_train):,} images")
    net = trained_net(cfg, data, run)

    run.print("\n1  Every shape on the way")
    shapes = experiment_shapes(cfg, net, data, device)
    run.table("Shapes, time first", ("tensor", "axes", "shape"), shapes["shapes"])
    run.table(
        f"Time of a forward pass, T = {T}, B = {cfg.batch_size}",
        ("way", "ms"),
        list(shapes["times"].items()),
    )
    run.figure(plot_loop(shapes), "time_loop")
    for way, share in shapes["differ"].items():
        run.claim(
            f"{way}_differs",
            f"output spikes in which {way} differs from the loop by hand",
            share,
            target="<= 1e-3",
            n=shapes["n"],
        )

    run.print("\n2  What a missing reset changes")
    no_reset = experiment_no_reset(cfg, net, data, device)
    message = experiment_training_without_reset(cfg, net, data, device)
    run.print(f"          training without a reset, second batch: {message or 'no error'}")
    run.figure(plot_no_reset(no_reset), "no_reset")
    run.claim(
        "flips",
        f"answers that flip without a reset, T = {T}",
        no_reset["flips_now"],
        n=no_reset["n"],
        real=True,
    )
    run.claim(
        "flips_most", "most flips at any T", max(no_reset["flips"]), n=no_reset["n"], real=True
    )
    for key, (name, accuracy) in zip(
        ("reset", "no_reset", "sorted"), no_reset["orders"].items(), strict=True
    ):
        run.claim(f"accuracy_{key}", f"accuracy: {name}", accuracy, n=no_reset["n_all"], real=True)
    run.claim(
        "order_with_reset",
        "answers that depend on the order, with a reset",
        no_reset["order_matters_with_reset"],
        target="<= 1e-3",
        n=no_reset["n_all"],
    )
    run.claim(
        "second_backward",
        "errors in two training steps without a reset",
        float(bool(message)),
        "",
        "== 1",
    )

    run.print("\n3  Which neurons a reset reaches")
    reach = experiment_reset_reach(cfg, data, device)
    run.table(
        "Potentials left as they were (%)",
        ("call", "of the network given (wanted: 0)", "of another network (wanted: 100)"),
        [(call, 100 * v["own"], 100 * v["other"]) for call, v in reach.items()],
    )
    run.figure(plot_reach(reach), "reset_reach")
    for id, call, whose, target in (
        ("reset_misses", "utils.reset(nested)", "own", "== 1"),
        ("reset_overreaches", "utils.reset(flat)", "other", "== 0"),
        ("remedy_own", "reset_state(nested)", "own", "== 0"),
        ("remedy_other", "reset_state(nested)", "other", "== 1"),
    ):
        owner = "the network it was given" if whose == "own" else "another network"
        run.claim(
            id, f"potentials that {call} leaves in {owner}", reach[call][whose], target=target
        )

    run.print("\n4  Batch and time swapped")
    swapped = experiment_swapped(cfg, net, data, device)
    run.print(
        f"          ({swapped['B']}, {T}, 784) runs and gives {swapped['shape']}: no error yet"
    )
    for name, seen in swapped["seen"].items():
        run.print(f"          {name}: {seen or 'no error'}")
    run.figure(plot_swapped(swapped), "swapped")
    for key, name, target in (
        ("right", "time first", "<= 1e-4"),
        ("swapped", "batch first", ">= 0.5"),
    ):
        run.claim(
            f"accuracy_{key}",
            f"accuracy with T = B = {swapped['side']}, {name}",
            swapped["accuracy"][name],
            n=swapped["n"],
            real=True,
        )
        run.claim(
            f"foreign_{key}",
            f"influence of other images on an answer, {name}",
            leaked(swapped["influence"][name]),
            target=target,
            real=True,
        )
    found = [
        float(bool(swapped["seen"][name]))
        for name in ("check_time_first", "check_time_first, T = B")
    ]
    run.claim("caught", "swaps that check_time_first finds while T ≠ B, of 1", found[0], "", "== 1")
    run.claim("caught_square", "swaps that it finds if T = B, of 1", found[1], "", "== 0")

    run.print("\n5  Where parameters and where state live")
    where = experiment_where(cfg, device)
    run.table(
        f"Parameters and state, B = {cfg.batch_size}",
        ("layer", "parameters", "potentials"),
        where["layers"],
    )
    run.figure(plot_where(where), "where")
    expected = (784 + 1) * cfg.num_hidden + (cfg.num_hidden + 1) * 10
    run.claim(
        "parameters",
        "parameters, whatever B and T are",
        where["by_batch"][-1][0],
        "",
        f"== {expected}",
    )
    run.claim(
        "state",
        "potentials per image, whatever T is",
        where["by_steps"][-1][1] / cfg.batch_size,
        "",
        f"== {cfg.num_hidden + 10}",
    )
    run.claim("state_saved", "potentials that a checkpoint holds", len(where["saved"]), "", "== 0")

    run.print(f"\n6  {cfg.networks} untrained networks: untrained output counts")
    untrained = experiment_untrained(cfg, data, device)
    run.figure(plot_untrained(untrained), "untrained")
    drawn, k = untrained["drawn"], cfg.networks
    run.claim(
        "untrained",
        f"mean accuracy, ties drawn by lot (± {100 * untrained['error']:.2f} points)",
        drawn.mean(),
        target="0.08..0.12",
        n=k,
        real=True,
    )
    run.claim(
        "untrained_z",
        "its distance from 10 % in standard errors over networks",
        abs(drawn.mean() - 0.1) / max(untrained["error"], 1e-9),
        "",
        "<= 3",
        n=k,
        real=True,
    )
    run.claim(
        "untrained_argmax",
        "mean accuracy, ties to the lower class as argmax does",
        untrained["lowest"].mean(),
        n=k,
        real=True,
    )
    run.claim(
        "untrained_tied",
        "images with a tie for the highest count",
        untrained["tied"],
        n=untrained["n"] * k,
        real=True,
    )
    run.claim(
        "untrained_spread",
        "spread between networks over that of fair guessers (binomial)",
        drawn.std(ddof=1) / untrained["binomial"],
        "×",
        n=k,
        real=True,
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
