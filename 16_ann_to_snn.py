"""Lesson 16 — From an ANN to a spiking network: what survives the conversion, and what it costs in time

Question
    Can a trained ReLU network be run as spikes without training it again, and where does the error come from?

Idea
    An integrate-and-fire neuron (LIF without leak, β = 1) adds up its current and gives θ away at each spike:

        U[t] = U[t−1] + I[t] − θ·S[t−1]              S[t] = H(U[t] − θ)                              (1)

    snnTorch subtracts one step late. With V[t] = U[t] − θ·S[t], what is left after the spike, (1) is
    V[t] = V[t−1] + I[t] − θ·S[t]: an immediate reset. Without leak the delay changes no spike (with β < 1 it would:
    β·U − θ is not β·(U − θ)). Sum (1) over T steps, and for a steady current I solve it for the number of spikes:

        θ·(1/T)·Σ S[t] = mean(I) + (V[0] − V[T])/T           N(T) = clip(⌊(V[0] + T·I)/θ⌋, 0, T)     (2), (3)

    A rate is never negative and never above one spike a step: a ReLU, clipped at θ, the scale on which it is read.
    Three errors follow, and each can be taken out alone:
        clipping      activations above θ all become the rate 1            (θ too small)
        quantisation  a rate has T + 1 values, θ/T apart                   (θ too large, T too small)
        unevenness    (3) holds for steady currents. What arrives late cannot be made up for at one spike a step, and a
                      spike set off by an early positive current is not taken back when the negative one comes
    A start at V[0] = θ/2 turns the floor of (3) into rounding. Balancing chooses one θ a layer from the activations λ
    that training images cause. Scaled weights and θ = 1 do the same, and leave the ANN's function as it was:

        W_l ← W_l·λ_{l−1}/λ_l        b_l ← b_l/λ_l                                                   (4)

    Conversion wants sums and ReLUs only: pooling by the mean (the larger of two spike trains is no spike train of the
    larger activation), and BatchNorm folded into the convolution before it:

        W ← W·γ/√(σ² + ε)            b ← β_bn − μ·γ/√(σ² + ε)                                        (5)

Read first
    Theory:   Rueckauer et al. 2017, https://www.frontiersin.org/articles/10.3389/fnins.2017.00682
              Jiang et al. 2023, a unified framework of conversion, https://proceedings.mlr.press/v202/jiang23a.html
              Bu et al. 2022 (training with clip and floor; the three errors), https://arxiv.org/abs/2303.04347
    Practice: Akida's CNN2SNN toolkit, https://doc.brainchipinc.com/user_guide/cnn2snn.html

Run
    uv run 16_ann_to_snn.py              about twenty minutes on one core; half of it is training
    uv run 16_ann_to_snn.py --resume     go on after Ctrl-C from the last finished epoch
    uv run 16_ann_to_snn.py --smoke      under a minute, stand-in data
    uv run 16_ann_to_snn.py --full       VGG-16, for a GPU (not run by us)

You should see
    ANN 75.5 % of 10,000 test images; SNN (trained clipped) 75.2 % at T = 16, 75.4 % at 64, in 95 % its ANN's class.
    At T = 16, 1,000 validation images: θ = 1 loses 19 points (clipping), the maximum 55 (quantisation, unevenness), the
    99.9 percentile 14, with V[0] = θ/2 2.5, clipped training none against an ANN 0.8 points worse there (one seed).
    Estimated energy: T = 4 a third of the ANN's, T = 16 the same, T = 64 3.5 times as much: there spiking loses.
    Trained directly for 2 epochs, T = 4: 62 %; converted 68 %, with fewer operations. Akida 8/4/4: 72 %, 8/2/2: 31 %.

Builds on / leads to
    01 (reset), 07 and 09 (surrogate training), 10 (convolutions). 17 counts operations with a library and exports
    networks, 19 takes the Akida path to its end, capstone A converts a game player.

Predict: with --levels 2 the clipped network has three activation values. Is its SNN better at T = 4? And at T = 64?
Next: uv run 17_energy_and_export.py
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from akd1000 import packages
from akd1000.chip import akida_outputs
from akd1000.convert import check_complete, quantize_and_convert
from akd1000.mesh import map_on_akd1000
from common import plots
from common.cost import ann_macs, estimated_energy_nj, latency
from common.data import ImageData, cifar10
from common.io import UserError
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import unroll
from training import evaluate, fit
from training.augment import flip_and_shift

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

PLANS = {
    "small": (32, "M", 64, 64, "M", 128, "M"),
    "vgg16": (
        64,
        64,
        "M",
        128,
        128,
        "M",
        256,
        256,
        256,
        "M",
        512,
        512,
        512,
        "M",
        512,
        512,
        512,
        "M",
    ),
}
"""Channels of the 3×3 convolutions; M halves the picture. The small one starts with 5×5 and stride 2, to save time."""


@dataclass
class Config(LessonConfig):
    """``num_steps`` is the longest presentation T of the sweep; the network trained directly has ``direct_steps``."""

    num_steps: int = bounded(256, 1, 100_000)
    """longest presentation of an image in time steps (T)"""
    network: Literal["small", "vgg16"] = "small"
    """small (four convolutions) or vgg16"""
    epochs: int = bounded(6, 1, 1000)
    """passes over the training images for the ReLU network"""
    clip_epochs: int = bounded(1, 1, 1000)
    """further passes with clipped activations in place of the ReLUs"""
    direct_epochs: int = bounded(2, 1, 1000)
    """passes for the spiking network that is trained directly"""
    direct_steps: int = bounded(4, 1, 1000)
    """its time steps per image"""
    batch_size: int = bounded(100, 2, 45_000)
    """images per gradient step"""
    lr: float = bounded(3e-3, 1e-7, 10.0)
    """learning rate at the start; it falls to zero along a cosine"""
    levels: int = bounded(8, 1, 1024)
    """steps L of the clipped activations"""
    sweep_images: int = bounded(1_000, 4, 5_000)
    """validation images in the sweeps over T; a quarter of them for T above 64"""
    akida_images: int = bounded(20_000, 10, 45_000)
    """training images for the Akida twin, seen once by each of its versions"""
    resume: bool = False
    """go on from the checkpoints of a run that was cut"""


SMOKE = {
    "epochs": 1,
    "clip_epochs": 1,
    "direct_epochs": 1,
    "num_steps": 8,
    "sweep_images": 40,
    "akida_images": 100,
}
FULL = {
    "network": "vgg16",
    "epochs": 200,
    "clip_epochs": 60,
    "direct_epochs": 100,
    "sweep_images": 5_000,
    "lr": 1e-3,
    "akida_images": 45_000,
}

CHARGED, KEYS = "99.9 percentile, V[0] = θ/2", ("none", "max", "percentile", "charge", "clipped")
CHUNK = 16  # steps simulated at a time: the state goes on to the next chunk, so memory does not grow with T


class VGG(nn.Module):
    """Convolution → BatchNorm → activation, with mean pooling, and one linear read-out."""

    def __init__(self, name: str = "small") -> None:
        super().__init__()
        plan, size = PLANS[name], 32
        channels = [3, *(c for c in plan if c != "M")]
        self.pools = [plan[i + 1 : i + 2] == ("M",) for i, c in enumerate(plan) if c != "M"]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, bias=False)
            for a, b in zip(channels, channels[1:], strict=False)
        )
        if name == "small":
            self.convs[0], size = (
                nn.Conv2d(3, channels[1], 5, stride=2, padding=2, bias=False),
                size // 2,
            )
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels[1:])
        self.acts = nn.ModuleList(nn.ReLU() for _ in channels[1:])
        self.fc = nn.Linear(channels[-1] * (size >> sum(self.pools)) ** 2, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, 3, 32, 32) → (B, 10)``."""
        for conv, norm, act, pool in zip(
            self.convs, self.norms, self.acts, self.pools, strict=True
        ):
            x = act(norm(conv(x)))  # (B, C, H, W)
            x = F.avg_pool2d(x, 2) if pool else x  # (B, C, H/2, W/2)
        return self.fc(x.flatten(1))  # (B, 10)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(T, B, 3, 32, 32) → (T, B, 10)``, twice, for ``fit`` reads the second: no state, each step a picture."""
        out = over_time(self, x)
        return out, out


class Clipped(nn.Module):
    """λ·clip(⌊L·x/λ + ½⌋/L, 0, 1): (3) with T = L, V[0] = θ/2 and a learnt θ = λ; QCFS in Bu et al. 2022."""

    def __init__(self, lam: float, levels: int) -> None:
        super().__init__()
        self.lam, self.levels = nn.Parameter(torch.tensor(lam)), levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = (
            x / self.lam
        )  # the floor has no gradient: it is passed over, straight through (lesson 07)
        stairs = torch.floor(z.detach() * self.levels + 0.5) / self.levels
        return self.lam * (z + (stairs - z.detach())).clamp(0, 1)


class SpikingVGG(nn.Module):
    """The layers of a ``VGG`` with ``snn.Leaky`` in the place of each activation; ``charge`` is V[0] in units of θ."""

    def __init__(self, net: VGG, beta: float = 1.0, charge: float = 0.0) -> None:
        super().__init__()
        self.convs, self.norms, self.fc = (copy.deepcopy(m) for m in (net.convs, net.norms, net.fc))
        self.pools, self.charge = net.pools, charge
        self.lifs = nn.ModuleList(snn.Leaky(beta=beta, init_hidden=True) for _ in net.convs)
        self.to(memory_format=torch.channels_last)  # twice as fast on a CPU

    def forward(self, x_t: torch.Tensor) -> torch.Tensor:
        """One step: ``(B, 3, 32, 32) → (B, 10)``. ``reset`` comes before a new image."""
        for conv, norm, lif, pool in zip(
            self.convs, self.norms, self.lifs, self.pools, strict=True
        ):
            cur = norm(conv(x_t))
            if lif.mem.shape != cur.shape:
                lif.mem = torch.full_like(cur, self.charge)
            x_t = F.avg_pool2d(lif(cur), 2) if pool else lif(cur)
        return self.fc(x_t.flatten(1))

    def reset(self) -> None:
        """Forget the last image; the next step starts from ``charge`` (``reset_state`` would start from 0)."""
        for lif in self.lifs:
            lif.mem = torch.zeros(0, device=lif.mem.device)

    def steps(
        self, x: torch.Tensor, state: list | None = None
    ) -> tuple[list[torch.Tensor], torch.Tensor, list]:
        """``(T, B, 3, 32, 32)`` → spikes of each layer ``(T, B, C, H, W)``, output current ``(T, B, 10)``, state."""
        spks, after = [], []
        for i, (conv, norm, lif, pool) in enumerate(
            zip(self.convs, self.norms, self.lifs, self.pools, strict=True)
        ):
            cur = over_time(nn.Sequential(conv, norm), x)  # a steady image: computed once
            begin = (torch.full_like(cur[0], self.charge),) if state is None else state[i]
            spk, _, end = unroll(lif, cur, begin)  # equation (1)
            x = over_time(nn.AvgPool2d(2), spk) if pool else spk
            spks.append(spk)
            after.append(end)
        return spks, over_time(self.fc, x.flatten(2)), after

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(T, B, 3, 32, 32)`` → spikes of the last layer, output current ``(T, B, 10)``; ``fit`` reads the second."""
        spks, out, _ = self.steps(x)
        return spks[-1], out


@torch.no_grad()
def fold(net: Any) -> Any:
    """A copy without BatchNorm: its scale and offset go into the convolution before it.   (5)"""
    net = copy.deepcopy(net).eval()
    for i, (conv, norm) in enumerate(zip(net.convs, net.norms, strict=True)):
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # γ/√(σ² + ε)
        conv.weight.mul_(scale[:, None, None, None])
        conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)  # β_bn − μ·γ/√(σ² + ε)
        net.norms[i] = nn.Identity()
    return net


@torch.no_grad()
def balance(net: VGG, lam: Sequence[Any]) -> VGG:
    """A copy of a folded network with the activations of ``net`` over λ, a number or ``(C,)`` a layer.   (4)"""
    net, before = copy.deepcopy(net), net.fc.weight.new_ones(3)
    for conv, lam_l in zip(net.convs, lam, strict=True):
        lam_l = torch.as_tensor(lam_l).to(before).expand(conv.out_channels)
        conv.weight.mul_(before[:, None, None] / lam_l[:, None, None, None])  # W_l·λ_{l−1}/λ_l
        conv.bias.div_(lam_l)  # b_l/λ_l
        before = lam_l
    net.fc.weight.mul_(before.repeat_interleave(net.fc.in_features // len(before)))
    return net


@torch.no_grad()
def activations(
    net: VGG, x: torch.Tensor, act: Any = torch.relu
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Run a folded network with ``act`` for its activations: those, and the logits ``(B, 10)``."""
    found = []
    for conv, pool in zip(net.convs, net.pools, strict=True):
        found.append(act(conv(x)))
        x = F.avg_pool2d(found[-1], 2) if pool else found[-1]
    return found, net.fc(x.flatten(1))


def quantise(z: torch.Tensor, num_steps: int, charge: float, ceiling: float = 1.0) -> torch.Tensor:
    """Equation (3) as a rate, θ = 1. With an infinite ceiling nothing is clipped."""
    return (torch.floor(charge + num_steps * z) / num_steps).clamp(0, ceiling)


def thresholds(net: VGG, x: torch.Tensor, percentile: float) -> list[float]:
    """λ of each layer: this percentile of its ReLU activations on images ``x``."""
    return [
        a.flatten().kthvalue(max(1, round(a.numel() * percentile / 100))).values.item()
        for a in activations(net, x)[0]
    ]


@torch.no_grad()
def simulate(
    net: SpikingVGG, x: torch.Tensor, times: Sequence[int], batch: int = 50
) -> dict[str, Any]:
    """Show ``x (N, 3, 32, 32)`` once, for times[-1] steps, and read the answer at each T of ``times``.

    A spike costs an accumulate in every neuron of the next layer that it reaches: 9·C, with the border counted as for
    the ANN's MACs. Mean pooling spreads a spike's weight, it does not make it cheaper. (NeuroBench would take pooled
    spikes for floats.) Returns ``logits`` (times, N, 10), ``spikes`` and ``synops`` per image (times, layers).
    """
    device = net.eval().fc.weight.device
    reach = [9 * conv.out_channels for conv in net.convs[1:]] + [net.fc.out_features]
    logits, spikes = [], np.zeros((len(times), len(reach)))
    for x_b in x.split(batch):
        x_b, state, total, done, read, count = (
            x_b.to(device).float() / 255,
            None,
            0,
            0,
            [],
            np.zeros(len(reach)),
        )
        for k, num_steps in enumerate(times):
            while done < num_steps:
                n = min(CHUNK, num_steps - done)
                spks, out, state = net.steps(constant_current(x_b, n), state)
                total, done = total + out.sum(0), done + n  # (B, 10)
                count += [spk.sum().item() / len(x) for spk in spks]
            read.append((total / num_steps).cpu())
            spikes[k] += count
        logits.append(torch.stack(read))
    return {
        "times": list(times),
        "logits": torch.cat(logits, 1),
        "spikes": spikes,
        "synops": spikes * reach,
    }


def experiment_train(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """Train the ReLU network, fold it, then train it on with clipped activations and fold that too."""
    options = {
        "run": run,
        "batch_size": cfg.batch_size,
        "augment": partial(flip_and_shift, shift=2),
        "weight_decay": 5e-4,
        "resume": cfg.resume,
    }
    one_step = lambda x: x[None]  # noqa: E731  # (B, …) → (1, B, …): networks without state
    torch.manual_seed(cfg.seed)
    net = VGG(cfg.network).to(memory_format=torch.channels_last)
    fit(net, data, one_step, epochs=cfg.epochs, lr=cfg.lr, name="relu", **options)
    plain, x = fold(net), data.x_test[:500].to(run.device).float() / 255
    with torch.no_grad():
        difference = ((plain(x) - net.eval()(x)).abs().max() / net(x).abs().max()).item()
    run.print("          now with clipped activations")
    lam = thresholds(plain, data.x_train[:200].to(run.device).float() / 255, 99.0)
    net.acts = nn.ModuleList(Clipped(v, cfg.levels) for v in lam)
    fit(net, data, one_step, epochs=cfg.clip_epochs, lr=cfg.lr / 3, name="clipped", **options)
    clipped = fold(net)
    nets = {"plain": plain, "clipped": clipped}
    return nets | {
        "test": {key: evaluate(n, data.x_test, data.y_test, one_step) for key, n in nets.items()},
        "lam": [a.lam.item() for a in clipped.acts],
        "fold": difference,
    }


def make_arms(trained: dict[str, Any], x: torch.Tensor) -> dict[str, dict[str, Any]]:
    """Five ways to choose θ: the ANN, its λ by layer, V[0] in units of θ. ``x`` are training images."""
    plain = trained["plain"]
    top, most = thresholds(plain, x, 100.0), thresholds(plain, x, 99.9)
    arms = {
        "none (θ = 1)": (plain, [1.0] * len(top), 0.0),
        "maximum": (plain, top, 0.0),
        "99.9 percentile": (plain, most, 0.0),
        CHARGED: (plain, most, 0.5),
        "trained clipped, V[0] = θ/2": (trained["clipped"], trained["lam"], 0.5),
    }
    return {
        name: {
            "ann": ann,
            "balanced": balance(ann, lam),
            "charge": charge,
            "snn": SpikingVGG(balance(ann, lam), charge=charge),
        }
        for name, (ann, lam, charge) in arms.items()
    }


@torch.no_grad()
def predictions(
    net: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, device: torch.device
) -> torch.Tensor:
    """Classes by a network without state, ``(N,)``."""
    return torch.cat([net(x_b.to(device).float() / 255).argmax(1).cpu() for x_b in x.split(500)])


def experiment_balancing(
    cfg: Config, arms: dict[str, dict[str, Any]], data: ImageData, run: Run
) -> dict[str, Any]:
    """Accuracy against T for every arm, on validation images: the test set takes no part in choosing the best one."""
    x, y = data.x_val[: cfg.sweep_images], data.y_val[: cfg.sweep_images]
    times = [2**k for k in range(cfg.num_steps.bit_length())]  # 1, 2, 4 … 256
    found = {}
    for name, arm in arms.items():
        ann = predictions(arm["ann"], x, run.device)
        row: dict[str, Any] = {"ann": (ann == y).float().mean().item(), "lost": [], "accuracy": []}
        for n, some in (
            (len(x), [t for t in times if t <= 64]),
            (len(x) // 4, [t for t in times if t > 64]),
        ):
            if some:
                answers = simulate(arm["snn"], x[:n], some)["logits"].argmax(2)  # (times, n)
                row["accuracy"] += (answers == y[:n]).float().mean(1).tolist()
                row["lost"] += (
                    ((ann[:n] == y[:n]).float() - (answers == y[:n]).float()).mean(1).tolist()
                )
        found[name] = row
        run.print(
            f"          {name}: ANN {row['ann']:.3f}; "
            + ", ".join(f"T={t} {a:.3f}" for t, a in zip(times, row["accuracy"], strict=True))
        )
    k = min(4, len(times) - 1)  # T = 16
    return {
        "times": times,
        "k": k,
        "arms": found,
        "best": max(found, key=lambda name: found[name]["accuracy"][k]),
        "n": len(x),
        "n_long": len(x) // 4,
    }


def split_error(
    a: torch.Tensor, z: torch.Tensor, rate: torch.Tensor, num_steps: int, charge: float
) -> dict[str, Any]:
    """What a layer of θ = 1 gets wrong, in four parts that add up to ``total`` for every neuron.

    ``a`` is the ANN's ReLU activation, ``z`` the mean current that the layer receives *in the SNN*, ``rate`` what it
    makes of it. Inherited is what the layers before did; the other three are this layer's own.
    """
    q = quantise(z, num_steps, charge)
    return {
        "inherited": z.relu() - a,
        "clipping": z.clamp(0, 1) - z.relu(),
        "quantisation": q - z.clamp(0, 1),
        "unevenness": rate - q,
        "total": rate - a,
    }


@torch.no_grad()
def experiment_errors(
    cfg: Config, arms: dict[str, dict[str, Any]], data: ImageData, run: Run
) -> dict[str, Any]:
    """Split each layer's error (100 images), and take each kind of error out of the whole network."""
    num_steps, g = (
        2 ** min(4, cfg.num_steps.bit_length() - 1),
        torch.Generator().manual_seed(cfg.seed),
    )  # T = 16
    x, layers, whole, rates = data.x_val[:100].to(run.device).float() / 255, {}, {}, {}
    for name, arm in arms.items():
        layers[name], rates[name], whole[name], before = [], [], {}, x
        spks, _, _ = arm["snn"].eval().steps(constant_current(x, num_steps))
        for a, spk, conv, pool in zip(
            activations(arm["balanced"], x)[0],
            spks,
            arm["snn"].convs,
            arm["snn"].pools,
            strict=True,
        ):
            rate = spk.mean(0)
            z = conv(before)  # linear: the mean current follows from the mean spikes alone
            parts = split_error(a, z, rate, num_steps, arm["charge"])
            layers[name].append(
                {k: (v.square().mean() / a.square().mean()).sqrt().item() for k, v in parts.items()}
            )
            some = torch.randint(a.numel(), (3000,), generator=g)
            rates[name].append(
                (
                    torch.corrcoef(torch.stack([a.flatten(), rate.flatten()]))[0, 1].item(),
                    a.flatten().cpu()[some].numpy(),
                    rate.flatten().cpu()[some].numpy(),
                )
            )
            before = F.avg_pool2d(rate, 2) if pool else rate
        stairs = partial(quantise, num_steps=num_steps, charge=arm["charge"])
        ways = {
            "none (ReLU)": torch.relu,
            "clipping": lambda z: z.clamp(0, 1),
            "quantisation": partial(stairs, ceiling=float("inf")),
            "both": stairs,
        }
        for way, act in ways.items():
            classes = predictions(
                lambda x, act=act, arm=arm: activations(arm["balanced"], x, act)[1],
                data.x_val[: cfg.sweep_images],
                run.device,
            )
            whole[name][way] = (classes == data.y_val[: cfg.sweep_images]).float().mean().item()
    return {"layers": layers, "whole": whole, "rates": rates, "num_steps": num_steps}


def experiment_direct(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """The same shape with leaky neurons from the start, trained through time by a surrogate (lessons 07, 09)."""
    torch.manual_seed(cfg.seed)
    net = SpikingVGG(VGG(cfg.network), beta=0.9)
    fit(
        net,
        data,
        partial(constant_current, num_steps=cfg.direct_steps),
        run=run,
        epochs=cfg.direct_epochs,
        lr=cfg.lr,
        batch_size=cfg.batch_size,
        augment=partial(flip_and_shift, shift=2),
        weight_decay=5e-4,
        name="direct",
        resume=cfg.resume,
    )
    net = fold(net)
    found = simulate(net, data.x_test, [cfg.direct_steps])
    return found | {
        "net": net,
        "accuracy": (found["logits"][0].argmax(1) == data.y_test).float().mean().item(),
    }


@torch.no_grad()
def costs(
    label: str,
    net: VGG | SpikingVGG,
    accuracy: float,
    macs: int,
    data: ImageData,
    found: dict[str, Any] | None = None,
    k: int = 0,
) -> dict[str, Any]:
    """A row of the ledger. An SNN (``found``) multiplies in its first layer only, once an image."""
    x = data.x_test[:1].to(net.fc.weight.device).float() / 255
    size = sum(p.numel() for p in net.parameters())
    row = {
        "model": label,
        "data": data.name,
        "accuracy": accuracy,
        "n": len(data.y_test),
        "parameters": size,
        "bytes": 4 * size,
        "macs": macs,
        "ann_macs": macs,
    }
    if found is not None:
        conv, T = net.convs[0], found["times"][k]
        row |= {
            "num_steps": T,
            "spikes": float(found["spikes"][k].sum()),
            "synops": float(found["synops"][k].sum()),
            "macs": conv.weight.numel() * (x.shape[-1] // conv.stride[0]) ** 2,
        }
    p50, p95 = latency(
        lambda: net(x) if found is None else net.run(constant_current(x, T)), x.device, repeats=20
    )
    return row | {
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "energy_estimated_nj": estimated_energy_nj(row.get("synops", 0.0), row["macs"]),
    }


def keras_twin(net: VGG, second: str = "MaxPool2D") -> Any:
    """A balanced network as Akida 1.0 takes it: bytes in, max pooling, activations clipped at θ = 1.

    All is turned by 180°, so that TensorFlow's padding at stride 2 (1 and 2 pixels) falls where PyTorch's does. The
    last mean pooling is linear and goes into the read-out: Akida wants none before a dense layer.
    """
    layers, weights = packages.keras().layers, []
    x = image = layers.Input((32, 32, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255)(x)
    for conv, pool in zip(net.convs, ("MaxPool2D", "", second, ""), strict=True):
        x = layers.Conv2D(conv.out_channels, conv.kernel_size, conv.stride, padding="same")(x)
        x = getattr(layers, pool)(2, padding="same")(x) if pool else x
        x = layers.ReLU(1.0)(x)
        weights += [conv.weight.flip(2, 3).permute(2, 3, 1, 0), conv.bias]  # (3, 3, C in, C out)
    read = (
        net.fc.weight.view(10, -1, 2, 2).flip(2, 3).repeat_interleave(2, 2).repeat_interleave(2, 3)
        / 4
    )
    read = read.permute(2, 3, 1, 0)  # (10, C, 4, 4) → (4, 4, C, 10)
    twin = packages.keras().Model(image, layers.Dense(10)(layers.Flatten()(x)))
    twin.set_weights(
        [w.detach().cpu().numpy() for w in (*weights, read.flatten(0, 2), net.fc.bias)]
    )
    return twin


def experiment_akida(cfg: Config, net: VGG, data: ImageData, run: Run) -> dict[str, Any]:
    """Move the ANN to tf_keras, get it used to max pooling, quantise, convert, simulate; then lose half of it."""
    if cfg.network != "small":
        raise UserError("the Akida twin has the shape of --network small")
    keras = packages.keras()
    keras.utils.set_random_seed(cfg.seed)
    found_l, _ = activations(net, data.x_train[:200].to(run.device).float() / 255)
    net = balance(
        net, [a.transpose(0, 1).flatten(1).quantile(0.999, 1).clamp(min=0.01) for a in found_l]
    )  # (C,) each
    turn = lambda x: np.ascontiguousarray(x.flip(2, 3).permute(0, 2, 3, 1).cpu().numpy())  # noqa: E731  # (N, H, W, C)
    x, y = turn(data.x_train[: cfg.akida_images]), data.y_train[: cfg.akida_images].numpy()
    x_test, y_test = turn(data.x_test[:2000]), data.y_test[:2000].numpy()
    share = lambda logits: float((logits.argmax(1) == y_test).mean())  # noqa: E731

    def train(model: Any, lr: float) -> None:  # one epoch
        with packages.quiet():
            model.compile(
                keras.optimizers.Adam(
                    keras.optimizers.schedules.CosineDecay(lr, -(-len(x) // 100))
                ),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            )
            model.fit(x, y, batch_size=100, verbose=0)

    twin = keras_twin(net)
    train(twin, cfg.lr / 3)
    right = {"float": share(twin.predict(x_test, batch_size=500, verbose=0))}
    for bits in (4, 2)[: 1 if cfg.smoke else 2]:  # each conversion takes many seconds
        quantised, model = quantize_and_convert(
            twin, x[:500], weight_bits=bits, activation_bits=bits
        )
        right[f"8/{bits}/{bits}"] = share(akida_outputs(model, x_test))
        if bits == 4:
            found = {"accuracy": right, "n": len(y_test), "mapping": map_on_akd1000(model)}
        if not cfg.smoke:
            train(quantised, cfg.lr / 3)  # through the rounding
            cnn2snn = packages.load("cnn2snn")
            with packages.quiet(), cnn2snn.set_akida_version(cnn2snn.AkidaVersion.v1):
                model = cnn2snn.convert(quantised)
            check_complete(twin, model)
            right[f"8/{bits}/{bits} trained"] = share(akida_outputs(model, x_test))
        run.print("          " + ", ".join(f"{name} {value:.3f}" for name, value in right.items()))
    if not cfg.smoke:
        _, cut = quantize_and_convert(keras_twin(net, "AveragePooling2D"), x[:100], check=False)
        found |= {"cut": len(cut.layers), "shape": tuple(cut.output_shape)}
    return found


def plot_rates(layers: list[tuple[float, np.ndarray, np.ndarray]], num_steps: int) -> Figure:
    fig, axes = plots.figure(
        1,
        len(layers),
        size=(3.3 * len(layers), 3.7),
        sharey=True,
        title=(
            f"A firing rate is a clipped ReLU: at T = {num_steps} r is {min(r for r, *_ in layers):.3f} or more"
        ),
    )
    for i, (ax, (r, activation, rate)) in enumerate(zip(np.atleast_1d(axes), layers, strict=True)):
        ax.plot(activation, rate, ".", markersize=2.5, alpha=0.35, color=plots.BLUE)
        ax.plot(
            [0, 1, max(1.05, activation.max())],
            [0, 1, 1],
            color=plots.RED,
            linewidth=1.2,
            label="clip(a/θ)",
        )
        plots.label(
            ax, "ReLU activation a/θ", "" if i else "spikes per step", f"Layer {i + 1}: r = {r:.4f}"
        )
    ax.legend(loc="lower right")
    return fig


def plot_balancing(found: dict[str, Any]) -> Figure:
    lost = {name: 100 * np.asarray(row["lost"]) for name, row in found["arms"].items()}
    now = [v[found["k"]] for v in lost.values()]
    fig, ax = plots.figure(
        size=(9, 5),
        title=(
            f"At T = {found['times'][found['k']]} the choice of θ decides: {min(now):.1f} to {max(now):.1f} points lost"
        ),
    )
    plots.curves(ax, found["times"], lost)
    ax.hlines([1, 3], 1, found["times"][-1], color=plots.BLACK, linewidth=0.8, linestyle=":")
    ax.set_xscale("log", base=2)
    ax.set_yscale("symlog", linthresh=5)
    ax.set_yticks([0, 1, 3, 10, 30, 60], ["0", "1", "3", "10", "30", "60"])
    ax.set_xticks(found["times"], [str(t) for t in found["times"]])
    plots.label(
        ax,
        "time steps T",
        "points of accuracy lost against its ANN",
        f"{found['n']:,} validation images; {found['n_long']:,} for T > 64",
    )
    return fig


PARTS = {
    "inherited": plots.BLACK,
    "clipping": plots.RED,
    "quantisation": plots.BLUE,
    "unevenness": plots.ORANGE,
}


def plot_errors(found: dict[str, Any]) -> Figure:
    largest = {
        name: max(list(PARTS)[1:], key=lambda p: sum(layer[p] for layer in layers))
        for name, layers in found["layers"].items()
    }
    fig, axes = plots.figure(
        2,
        len(largest),
        size=(3.3 * len(largest), 6.4),
        sharey="row",
        title=(
            f"T = {found['num_steps']}: the largest error of its own, from left to right: {', '.join(largest.values())}"
        ),
    )
    for (top, low), (name, layers) in zip(axes.T, found["layers"].items(), strict=True):
        for j, (part, colour) in enumerate(PARTS.items()):
            top.bar(
                np.arange(1, len(layers) + 1) + 0.2 * (j - 1.5),
                [layer[part] for layer in layers],
                0.2,
                color=colour,
                label=part,
            )
        top.set_xticks(range(1, len(layers) + 1))
        plots.label(top, "layer", "RMS error / RMS activation", name.replace(", ", ",\n"))
        plots.bars(low, {way: 100 * v for way, v in found["whole"][name].items()}, fmt="{:.1f}")
        plots.label(low, "validation accuracy (%)", "errors left in the network")
    axes[0, 0].legend(fontsize=8)
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(cifar10, n_train=200 if cfg.smoke else None, n_test=100 if cfg.smoke else None)
    n = len(data.y_test)
    run.print("\n1  The ANN: trained, folded, and trained on with clipped activations")
    trained = experiment_train(cfg, data, run)
    test = trained["test"]
    run.checkpoint(trained["plain"], "cifar10_vgg")
    run.claim("ann", "ANN, ReLU: test accuracy", test["plain"], target=">= 0.70", n=n, real=True)
    run.claim(
        "ann_clipped", "ANN, clipped activations: test accuracy", test["clipped"], n=n, real=True
    )
    run.claim(
        "fold",
        "BatchNorm folded: largest relative change of an output",
        trained["fold"],
        target="<= 1e-5",
    )
    run.print(f"\n2  Balancing: accuracy against T on {cfg.sweep_images:,} validation images")
    arms = make_arms(trained, data.x_train[:500].to(run.device).float() / 255)
    sweep = experiment_balancing(cfg, arms, data, run)
    run.figure(plot_balancing(sweep), "balancing")
    k, keys = sweep["k"], dict(zip(arms, KEYS, strict=True))
    for name, key in keys.items():
        run.claim(
            f"lost_{key}",
            f"{name}: points lost against its ANN at T = {sweep['times'][k]} (validation)",
            sweep["arms"][name]["lost"][k],
            n=sweep["n"],
            real=True,
        )
    run.print("\n3  Activation and firing rate, and where the error comes from")
    errors = experiment_errors(cfg, arms, data, run)
    run.figure(plot_rates(errors["rates"][CHARGED], errors["num_steps"]), "rates")
    run.claim(
        "correlation",
        f"ReLU and rate at T = {errors['num_steps']}: correlation in the worst layer",
        min(r for r, *_ in errors["rates"][CHARGED]),
        "",
        n=100,
        real=True,
    )
    for name, key in keys.items():
        errors["whole"][name]["all three (SNN)"] = accuracy = sweep["arms"][name]["accuracy"][k]
        run.claim(
            f"uneven_{key}",
            f"{name}: points lost at T = {errors['num_steps']} by unevenness alone (validation)",
            errors["whole"][name]["both"] - accuracy,
            n=sweep["n"],
            real=True,
        )
    run.figure(plot_errors(errors), "errors")
    run.print(f"\n4  The best arm ({sweep['best']}) on all {n:,} test images")
    best = arms[sweep["best"]]
    final = simulate(best["snn"], data.x_test, sweep["times"][:7])  # up to T = 64
    ann, answers = predictions(best["ann"], data.x_test, run.device), final["logits"].argmax(2)
    accuracies = (answers == data.y_test).float().mean(1).tolist()
    for i, target in {
        min(i, len(final["times"]) - 1): goal for i, goal in ((4, "<= 0.03"), (6, "<= 0.01"))
    }.items():
        t = final["times"][i]
        run.claim(
            f"snn_{t}", f"converted SNN at T = {t}: test accuracy", accuracies[i], n=n, real=True
        )
        run.claim(
            f"gap_{t}",
            f"the better of the two ANNs is ahead at T = {t} by",
            max(test.values()) - accuracies[i],
            target=target,
            n=n,
            real=True,
        )
        run.claim(
            f"agree_{t}",
            f"same class as its ANN at T = {t}",
            (answers[i] == ann).float().mean(),
            n=n,
            real=True,
        )
    run.print(f"\n5  The same shape trained directly, T = {cfg.direct_steps}")
    direct = experiment_direct(cfg, data, run)
    run.claim(
        "direct",
        f"trained directly, T = {cfg.direct_steps}, {cfg.direct_epochs} epochs: test accuracy",
        direct["accuracy"],
        n=n,
        real=True,
    )
    macs = ann_macs(trained["plain"], data.x_test[:1].to(run.device).float() / 255)
    rows = [
        costs("ANN, ReLU", trained["plain"], test["plain"], macs, data),
        *(
            costs(f"SNN, converted, T = {t}", best["snn"], accuracies[i], macs, data, final, i)
            for i, t in enumerate(final["times"])
            if t >= 4 or cfg.smoke
        ),
        costs("SNN, trained directly", direct["net"], direct["accuracy"], macs, data, direct),
    ]
    run.table(
        "What one image costs (energy estimated: 0.9 pJ an accumulate, 4.6 pJ a MAC, Horowitz 2014)",
        (
            "network",
            "T",
            "accuracy",
            "spikes",
            "SynOps (M)",
            "MACs (M)",
            "energy (µJ)",
            "energy / ANN",
        ),
        [
            (
                r["model"],
                r.get("num_steps", "–"),
                r["accuracy"],
                round(r.get("spikes", 0)),
                r.get("synops", 0) / 1e6,
                r["macs"] / 1e6,
                r["energy_estimated_nj"] / 1e3,
                r["energy_estimated_nj"] / rows[0]["energy_estimated_nj"],
            )
            for r in rows
        ],
    )
    pictures = data.x_test[:100].to(run.device).float() / 255
    nonzero = ann_macs(trained["plain"], pictures, skip_zeros=True)
    for r in rows:
        run.ledger(**r, ann_macs_nonzero=nonzero)
    for key, r in zip([*(r["num_steps"] for r in rows[1:-1]), "direct"], rows[1:], strict=True):
        run.claim(
            f"energy_{key}",
            f"estimated energy / the ANN's: {r['model']}",
            r["energy_estimated_nj"] / rows[0]["energy_estimated_nj"],
            "×",
            n=n,
            real=True,
        )
    run.print("\n6  The Akida pipeline: a max-pooling twin through quantizeml and cnn2snn")
    try:
        found = experiment_akida(cfg, trained["plain"], data, run)
    except UserError as e:
        run.note(f"The Akida part is left out. {e}.")
        return
    for name, value in found["accuracy"].items():  # bits of input weights, weights, activations
        run.claim(
            f"akida_{name.replace('/', '').replace(' ', '_')}",
            f"Akida twin in the simulator, {name}: accuracy",
            value,
            n=found["n"],
            real=True,
        )
    run.claim(
        "akida_nps",
        "processors of the AKD1000's 78 that the 8/4/4 twin takes",
        found["mapping"].nps_used,
        "NPs",
    )
    run.claim("akida_software", "its layers in software", len(found["mapping"].fallbacks), "layers")
    if "cut" in found:
        run.claim(
            "akida_cut",
            "layers left of five with a mean pooling, no error",
            found["cut"],
            "layers",
            "<= 4",
        )
        run.print(
            f"          with mean pooling {found['cut']} layers of five are left, output {found['shape']}"
        )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
