"""Lesson 18 — Spiking transformers: attention by additions

Question
    Can attention be computed with spikes and additions alone, what does that cost in accuracy, and what does it save?

Idea
    Softmax attention multiplies real numbers, takes exponentials and divides (VSA, Spikformer's equation 12):

        Q, K, V = X·W_Q, X·W_K, X·W_V          VSA = softmax(Q·Kᵀ/√d)·V                                       (1)

    Spiking self-attention (SSA) makes Q, K, V binary by neurons SN, drops the softmax and keeps one scale s:

        Q = SN(BN(X·W_Q)),  K and V likewise                                             Spikformer (14)      (2)
        SSA′ = SN(Q·Kᵀ·V · s),   SSA = SN(BN(Linear(SSA′)))                              Spikformer (15, 16)  (3)

    A product of bits is an AND: (Q·Kᵀ)_ij = Σ_c q_ic·k_jc counts the channels in which both tokens fire, and a spike
    v_jc adds that count once. s is no multiplication either: SN(s·z) with threshold θ is SN(z) with threshold θ/s. And
    where no softmax stands between the products, the brackets are free, with N tokens and d channels a head:

        (Q·Kᵀ)·V costs up to 2·N²·d         Q·(Kᵀ·V) costs up to 2·N·d²        the same integers              (4)

    What that leaves open: Spikformer adds spikes behind the neuron, as SEW does (its equations 7 and 8); X then holds
    0, 1, 2, 3 …, and X·W takes several additions, or a multiplication. The Spike-Driven Transformer adds currents in
    front of the neuron (membrane shortcut), and has a mask in the place of matrix products (SDSA):

        SEW:  X_l = X_(l−1) + SN(F(X_(l−1)))       membrane:  U_l = U_(l−1) + F(SN(U_(l−1)))                  (5)
        SDSA = SN(Σ_n q_n ⊙ k_n) ⊙ V          one mask of d bits for all tokens: linear in N and in d         (6)

    SSA's s has to follow N and d by hand. SpikingResformer's dual spike self-attention (DSSA) multiplies spikes with
    currents Y = BN(X·W), Y′ likewise, twice, and brings both products to variance 1 by the firing rates f:

        A = SN(c₁·Y·Xᵀ), DSSA = SN(c₂·A·Y′),   c₁ = 1/√(f_X·d),  c₂ = 1/√(f_A·N)                              (7)

    Additions again, up to N²·d a product, but A passes a neuron: the order is fixed. Built from the papers; none of
    this is a stable package, and the authors' programs may differ from their equations.

Read first
    Theory:   Spikformer, Zhou et al. 2023, https://arxiv.org/abs/2209.15425 (equations as in the version at OpenReview)
              Spike-Driven Transformer, Yao et al. 2023, https://arxiv.org/abs/2307.01694
              SpikingResformer, Shi, Hao & Yu 2024, https://arxiv.org/abs/2403.14302
    Practice: https://github.com/fangwei123456/spikingjelly/blob/master/docs/source/tutorials/en/spikformer.rst

Run
    uv run 18_spiking_transformers.py             14 minutes on one CPU thread, 12 of them for the 15 networks
    uv run 18_spiking_transformers.py --resume    go on after Ctrl-C: finished networks are not trained again
    uv run 18_spiking_transformers.py --smoke     seconds, stand-in data
    uv run 18_spiking_transformers.py --full      Spikformer-4-384, T = 4, 300 epochs, aims at 90 %: for a GPU. NOT RUN
        so far. A network's 2.9·10^17 operations would take 4 hours at 20 TFLOP/s (assumed), 2 months here

You should see
    Test accuracy, 88,170 weights each, 3 seeds: SSA 42.9 %, softmax in its place 43.2 % (+0.9 to −0.1 by seed), an ANN
    44.7 % (+0.2 to +2.7), no attention 41.3 %: the little that is lost, spikes lose, and not the missing softmax.
    SSA's products are 34,400 additions an image and no multiplication, where softmax has 1.05 million multiply-
    accumulates: 1/156 of the energy (estimated). But they are 0.7 % of all it computes; all takes 1/5.5 of the ANN's
    energy. On a CPU, which works out every zero, the ANN trains 2.5 times as fast with half the memory.
    Up to 43 % of the inputs ≠ 0 that SEW hands on are 2 or more; with the membrane shortcut none, here for 3.8 points.
    What this scale cannot show: after one pass over 12,000 images nothing is known of 95 %. Spikformer reports 95.19 %,
    94.97 % with softmax, and a ViT 96.73 %. Learning rates of 1.5 or 6·10⁻³ help none (validation, one seed).

Builds on / leads to
    10 showed SEW and its whole numbers, 14 and 17 count operations. Lesson 20: the other way out of N², a state.

Predict: with --num-steps 1 a neuron has no membrane to remember with. Which network loses nothing at all by that?
Next: uv run 19_akida_deployment.py
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial, reduce
from itertools import product
from typing import Any

from common import plots
from common.cost import calls, estimated_energy_nj, latency, ledger_row
from common.data import ImageData, batches, cifar10
from common.device import synchronize
from common.io import UserError, load_weights, save_weights
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import saved_for_backward, unroll
from training import evaluate, fit, membrane_loss
from training.augment import flip_and_shift
from training.sweep import fingerprint, sweep

import numpy as np
import snntorch as snn
import torch
from matplotlib.figure import Figure
from torch import nn


@dataclass
class Config(LessonConfig):
    """All networks take the same images in the same order, so many times, with the same learning rate."""

    num_steps: int = bounded(2, 1, 100_000)
    """time steps per image (T)"""
    n_train: int = bounded(12_000, 10, 45_000)
    """training images"""
    epochs: int = bounded(1, 1, 1000)
    """passes over them"""
    batch_size: int = bounded(64, 2, 45_000)
    """images per gradient step"""
    lr: float = bounded(3e-3, 1e-7, 10.0)
    """learning rate at the start; it falls to zero along a cosine"""
    dim: int = bounded(64, 8, 1024)
    """channels of a token (D)"""
    blocks: int = bounded(2, 1, 48)
    """transformer blocks"""
    heads: int = bounded(4, 1, 64)
    """attention heads (d = D / heads)"""
    seeds: int = bounded(3, 1, 20)
    """seeds of every network"""
    resume: bool = False
    """take over the networks that an earlier run has finished"""

    def validate(self) -> None:
        super().validate()
        if self.dim % self.heads or self.dim % 8:
            raise UserError(
                f"--heads {self.heads}, --dim {self.dim}: dim has to be a multiple of heads and of 8"
            )


SMOKE = {"n_train": 128, "dim": 32, "seeds": 1}
FULL = {
    "num_steps": 4,
    "n_train": 45_000,
    "epochs": 300,
    "batch_size": 128,
    "lr": 5e-4,
    "dim": 384,
    "blocks": 4,
    "heads": 12,
    "seeds": 1,
}

BETA = 0.5  # membrane decay per step
SCALE = 0.125  # s of equation (3), Spikformer's value for CIFAR-10
GAIN = 4.0  # the same purpose for softmax·V, a mean of spikes: it lifts a rate of about 1/4 to the threshold
slug = lambda kind: kind.lower().replace(", ", "_").replace(" ", "_")  # noqa: E731  for file names
Walk = Callable[
    [nn.Module, torch.Tensor], torch.Tensor
]  # how a layer is applied: to one step, or to a sequence


def ssa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Q·Kᵀ·V of equation (3) for ``q, k, v (…, N, d)``, in the order that is cheaper for N > d; integers, so exact."""
    return q @ (k.transpose(-1, -2) @ v)  # (…, N, d) · (…, d, d)


def vsa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(Q·Kᵀ/√d)·V of equation (1): the order is fixed."""
    return torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v


def ssa_by_hand(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, keys_first: bool
) -> tuple[list[list[int]], int]:
    """Q·Kᵀ·V of spikes ``(N, d)`` by loops that know AND, ``+=`` and nothing else, and the additions they made."""
    (N, d), made = q.shape, 0
    Q, K, V = (x.bool().tolist() for x in (q, k, v))
    out, count = (
        np.zeros((N, d), int).tolist(),
        np.zeros((d, d) if keys_first else (N, N), int).tolist(),
    )
    for n, i, j in (
        product(range(N), range(d), range(d))
        if keys_first
        else product(range(d), range(N), range(N))
    ):
        if K[n][i] and V[n][j] if keys_first else Q[i][n] and K[j][n]:
            count[i][j] += 1  # (Kᵀ·V)_ij of channels, or (Q·Kᵀ)_ij of tokens
            made += 1
    for i, m, c in product(range(N), range(d if keys_first else N), range(d)):
        weight = count[m][c] if keys_first else count[i][m]
        if weight and (Q[i][m] if keys_first else V[m][c]):
            out[i][c] += weight
            made += 1
    return out, made


def additions(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> dict[str, float]:
    """What ``ssa_by_hand`` counts, for ``(…, N, d)`` at once: one a coincidence, then one a spike and count."""
    q, k, v = q.double(), k.double(), v.double()
    a, m = q @ k.transpose(-1, -2), k.transpose(-1, -2) @ v  # (…, N, N), (…, d, d)
    return {
        "(QKᵀ)V": (a.sum() + ((a > 0).double() @ v).sum()).item(),
        "Q(KᵀV)": (m.sum() + (q @ (m > 0).double()).sum()).item(),
        "SDSA": (q * k)
        .sum()
        .item(),  # one a token and channel in which both fire; the mask ⊙ V is an AND
        "softmax": q.shape[-2] * v.sum().item(),
    }  # real weights, added up once for each spike of V and query


def dssa(x: torch.Tensor, neuron: snn.Leaky) -> torch.Tensor:
    """Equation (7) with random weights, for spikes ``x (T, B, N, d)``."""
    N, d = x.shape[-2:]
    y, y2 = (x @ torch.randn(d, d, device=x.device) for _ in range(2))
    y, y2 = ((u - u.mean((0, 1, 2))) / u.std((0, 1, 2)) for u in (y, y2))  # BatchNorm
    a = unroll(neuron, y @ x.transpose(-1, -2) / (x.mean() * d) ** 0.5)[0]  # c₁ = 1/√(f_X·d)
    return unroll(neuron, a @ y2 / (a.mean().clamp(1e-3) * N) ** 0.5)[0]  # c₂ = 1/√(f_A·N)


class LinearNorm(nn.Module):
    """BN(x·W) over the last dimension of ``(…, D)``; after training the norm folds into weights and a bias."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(c_in, c_out, bias=False), nn.BatchNorm1d(c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        return self.norm(y.flatten(0, -2)).view_as(y)


def conv_norm(c_in: int, c_out: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(c_out)
    )


class Attention(nn.Module):
    """Tokens ``(…, N, D)`` → currents ``(…, N, D)``, with one of three cores between the same four linear layers."""

    def __init__(self, dim: int, heads: int, core: str, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.heads, self.core = heads, core
        self.to_q, self.to_k, self.to_v, self.out = (LinearNorm(dim, dim) for _ in range(4))
        self.sn_q, self.sn_k, self.sn_v, self.sn_out = (neuron() for _ in range(4))

    def qkv(self, x: torch.Tensor, walk: Walk) -> tuple[torch.Tensor, ...]:
        """Q, K, V by head: ``(…, heads, N, d)``. For the softmax Q and K stay real numbers."""
        q, k, v = walk(self.to_q, x), walk(self.to_k, x), walk(self.sn_v, walk(self.to_v, x))
        if self.core != "softmax":
            q, k = walk(self.sn_q, q), walk(self.sn_k, k)  # Q = SN(BN(X·W_Q))  (2)
        return tuple(y.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for y in (q, k, v))

    def forward(self, x: torch.Tensor, walk: Walk) -> torch.Tensor:
        q, k, v = self.qkv(x, walk)
        # SSA′ = SN(Q·Kᵀ·V · s)  (3); without any attention every token is left alone with its V
        cur = (
            SCALE * ssa(q, k, v)
            if self.core == "ssa"
            else GAIN * (vsa(q, k, v) if self.core == "softmax" else v)
        )
        y = walk(self.sn_out, cur)  # (…, heads, N, d)
        return walk(
            self.out, y.transpose(-2, -3).flatten(-2)
        )  # heads side by side again: (…, N, D)


def apply(part: nn.Module, walk: Walk, x: torch.Tensor) -> torch.Tensor:
    """F of equation (5): attention, or layers one after the other."""
    return (
        part(x, walk)
        if isinstance(part, Attention)
        else reduce(lambda y, layer: walk(layer, y), part, x)
    )


def whole(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A layer over a sequence ``(T, B, …)`` from rest: the ``walk`` of ``run``."""
    return unroll(layer, x)[0] if isinstance(layer, snn.Leaky) else over_time(layer, x)


class SpikingViT(nn.Module):
    """Convolutions → tokens → blocks of attention and MLP → mean over tokens → Linear.

    ``stem``: (channels, stride, pooled) of each convolution; the last one has ``dim`` channels. ``shortcut`` as in
    equation (5). ``relu``: an ANN, with ReLU in the place of every neuron, for one step. Whatever is chosen, the
    weights are the same in number and shape. ``forward`` is one time step, ``run`` a whole sequence from rest.
    """

    def __init__(
        self,
        dim: int,
        blocks: int,
        heads: int,
        mlp_ratio: int,
        stem: Sequence[Sequence[int]],
        core: str = "ssa",
        shortcut: str = "SEW",
        relu: bool = False,
        full_position: bool = False,
    ) -> None:
        super().__init__()
        neuron = nn.ReLU if relu else partial(snn.Leaky, beta=BETA, init_hidden=True)
        self.shortcut = shortcut
        channels = [3, *(c for c, _, _ in stem)]
        self.convs = nn.ModuleList(
            conv_norm(a, c, s) for a, (c, s, _) in zip(channels, stem, strict=False)
        )
        self.neurons = nn.ModuleList(
            neuron() for _ in stem
        )  # with a membrane shortcut the last is the net's last
        self.pools = nn.ModuleList(
            nn.MaxPool2d(3, 2, 1) if pooled else nn.Identity() for *_, pooled in stem
        )
        self.position, self.sn_position = (
            conv_norm(dim, dim, groups=1 if full_position else dim),
            neuron(),
        )
        parts = [
            part
            for _ in range(blocks)
            for part in (
                Attention(dim, heads, core, neuron),
                nn.Sequential(
                    LinearNorm(dim, mlp_ratio * dim), neuron(), LinearNorm(mlp_ratio * dim, dim)
                ),
            )
        ]
        self.parts, self.sn_parts = nn.ModuleList(parts), nn.ModuleList(neuron() for _ in parts)
        self.head = nn.Linear(dim, 10)

    def add(
        self,
        walk: Walk,
        sn: nn.Module,
        f: Callable[[torch.Tensor], torch.Tensor],
        x: torch.Tensor,
        seen: list[torch.Tensor] | None,
    ) -> torch.Tensor:
        """One residual step of equation (5); what F gets to see is noted in ``seen``."""
        s = x if self.shortcut == "SEW" else walk(sn, x)
        if seen is not None:
            seen.append(s)
        return x + (
            walk(sn, f(s)) if self.shortcut == "SEW" else f(s)
        )  # X + SN(F(X)), or U + F(SN(U))

    def through(
        self, x: torch.Tensor, walk: Walk, seen: list[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Features ``(…, D)`` and class currents ``(…, K)``."""
        for conv, sn, pool in zip(self.convs, self.neurons, self.pools, strict=True):
            x = walk(conv, x)  # (…, C, H, W)
            if self.shortcut == "SEW" or conv is not self.convs[-1]:
                x = walk(sn, x)
            x = walk(pool, x)  # … → (…, D, 8, 8)
        x = self.add(walk, self.sn_position, partial(apply, self.position, walk), x, seen)
        x = x.flatten(-2).transpose(-1, -2).contiguous()  # (…, N = 64, D)
        for part, sn_part in zip(self.parts, self.sn_parts, strict=True):
            x = self.add(walk, sn_part, partial(apply, part, walk), x, seen)
        if self.shortcut != "SEW":
            x = walk(sn, x)
        features = x.mean(-2)  # (…, D)
        return features, walk(self.head, features)  # (…, K)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.through(x_t, lambda layer, x: layer(x))  # (B, 3, 32, 32) → (B, D), (B, 10)

    def run(
        self, x: torch.Tensor, seen: list[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.through(
            x, whole, seen
        )  # (T, B, 3, 32, 32) → (T, B, D), (T, B, 10), whose mean is the answer


KINDS: dict[str, dict[str, Any]] = {
    "SSA": {},  # Spikformer: SSA, SEW shortcut
    "softmax": {"core": "softmax"},  # spikes everywhere else, but softmax of real Q and K
    "ANN": {"core": "softmax", "relu": True},  # no spikes: ReLU in their place, T = 1
    "no attention": {"core": "none"},  # V goes on alone: no token learns of another
    "SSA, membrane": {"shortcut": "membrane"},
}


def build(cfg: Config, kind: str, seed: int = 0) -> SpikingViT:
    """A network whose weights at the start depend on the seed alone: all kinds start from the same ones."""
    D = cfg.dim
    stem = (
        ((D // 8, 1, 0), (D // 4, 1, 0), (D // 2, 1, 1), (D, 1, 1))
        if cfg.full
        else ((D // 2, 2, 0), (D, 2, 0))
    )
    torch.manual_seed(seed)
    return SpikingViT(
        D, cfg.blocks, cfg.heads, 4 if cfg.full else 2, stem, full_position=cfg.full, **KINDS[kind]
    )


def encoder(cfg: Config, kind: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Grey values 0..1, stretched to −2..2, as a current that stays: ``(B, …) → (T, B, …)``; T = 1 for the ANN."""
    return lambda x: constant_current(4 * x - 2, 1 if kind == "ANN" else cfg.num_steps)


def pictures(cfg: Config, kind: str, data: ImageData, n: int, device: torch.device) -> torch.Tensor:
    """The first ``n`` test images, encoded: ``(T, n, 3, 32, 32)``."""
    return encoder(cfg, kind)(data.x_test[:n].to(device).float() / 255)


@torch.no_grad()
def experiment_products(cfg: Config, rate: float = 0.2) -> dict[str, Any]:
    """Random spikes of N tokens: rates behind Q·Kᵀ·V·s and behind DSSA; cost of both orders, and their difference."""
    d, neuron, scales = cfg.dim // cfg.heads, snn.Leaky(beta=BETA), [2.0**-i for i in range(11)]
    found: dict[str, Any] = {"d": d, "scales": scales, "rates": {}, "dssa": {}, "rows": []}
    ways = {"(QKᵀ)V": lambda q, k, v: (q @ k.transpose(-1, -2)) @ v, "Q(KᵀV)": ssa, "softmax": vsa}
    for N in (16, 64, 256):
        q, k, v = (torch.rand(3, cfg.num_steps, 8, N, d) < rate).float()
        found["rates"][N] = [unroll(neuron, s * ssa(q, k, v))[0].mean().item() for s in scales]
        found["dssa"][N] = dssa(q, neuron).mean().item()
    for N in (4, 16, 64, 256) if cfg.smoke else (4, 16, 64, 256, 1024):
        q, k, v = (torch.rand(3, cfg.heads, N, d) < rate).float()
        found["rows"].append(
            {
                "N": N,
                "difference": (ways["(QKᵀ)V"](q, k, v) - ssa(q, k, v)).abs().max().item(),
                "additions": additions(q, k, v),
                "ms": {
                    name: latency(partial(way, q, k, v), "cpu", 20)[0] for name, way in ways.items()
                },
            }
        )
    return found


def train_one(cfg: Config, kind: str, seed: int, data: ImageData, run: Run) -> dict[str, Any]:
    """Train one network, keep its weights beside its result, and test it on all test images."""
    net, enc, name = build(cfg, kind, seed), encoder(cfg, kind), f"{slug(kind)}_{seed}"
    torch.manual_seed(seed)  # the same images are mirrored for every kind
    fit(
        net,
        data,
        enc,
        run=run,
        epochs=cfg.epochs,
        lr=cfg.lr,
        batch_size=cfg.batch_size,
        augment=partial(flip_and_shift, shift=2 if cfg.full else 0),
        weight_decay=0.06 if cfg.full else 0.01,
        name=name if cfg.full else "",
        resume=cfg.resume,
        seed=seed,
        quiet=not cfg.full,
    )
    save_weights(net, run.dir / "points" / f"{name}.safetensors")
    return {"accuracy": evaluate(net, data.x_test, data.y_test, enc)}


def experiment_train(cfg: Config, data: ImageData, run: Run) -> dict[str, dict[str, Any]]:
    """Every kind with every seed: the same images in the same order, the same weights at the start."""
    kinds = tuple(KINDS)[: 2 if cfg.full else None]
    settings = {k: v for k, v in asdict(cfg).items() if k in (*Config.limits(), "smoke", "full")}
    code = (SpikingViT, Attention, LinearNorm, build, train_one)
    tasks = {
        f"{slug(kind)}_{seed}": (cfg, kind, seed, data, run)
        for seed in range(cfg.seed, cfg.seed + cfg.seeds)
        for kind in kinds
    }
    marks = {name: fingerprint(name, settings, data.facts(), code=code) for name in tasks}
    accuracy: dict[str, list[float]] = {kind: [] for kind in kinds}
    for name, result in sweep(run, train_one, tasks, marks, resume=cfg.resume):
        accuracy[tasks[name][1]].append(result["accuracy"])
        run.print(
            f"          {tasks[name][1]}, seed {tasks[name][2]}: {100 * result['accuracy']:.2f} % on test images"
        )
    first = {k: run.dir / "points" / f"{slug(k)}_{cfg.seed}.safetensors" for k in kinds}
    return {
        k: {
            "accuracy": np.array(accuracy[k]),
            "net": load_weights(build(cfg, k), first[k]).eval().to(run.device),
        }
        for k in kinds
    }


@torch.no_grad()
def experiment_exact(net: SpikingViT, x: torch.Tensor) -> dict[str, Any]:
    """Q, K, V of a trained network, ``x (T, B, …)``: are they bits, and do loops of additions give the same numbers?"""
    spikes, worst, miscounted, total = net_spikes(net, x), 0.0, 0, 0
    for qkv in spikes:  # (T, B, heads, N, d)
        for one in zip(
            *(y[:, 0].flatten(0, 1).cpu() for y in qkv), strict=True
        ):  # first image, all steps and heads
            for order, keys_first in (("(QKᵀ)V", False), ("Q(KᵀV)", True)):
                out, made = ssa_by_hand(*one, keys_first)
                worst = max(worst, (torch.tensor(out) - ssa(*one)).abs().max().item())
                miscounted, total = (
                    miscounted + abs(made - round(additions(*one)[order])),
                    total + made,
                )
    every = torch.cat([y.flatten() for qkv in spikes for y in qkv])
    return {
        "worst": worst,
        "miscounted": miscounted,
        "total": total,
        "entries": every.numel(),
        "not_bits": int((every != every.bool()).sum()),
    }


def net_spikes(net: SpikingViT, x: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    """Q, K, V of each block, ``(T, B, heads, N, d)``."""
    seen: list[torch.Tensor] = []
    net.run(x, seen)
    return [
        part.qkv(s, whole)
        for part, s in zip(net.parts, seen[1:], strict=True)
        if isinstance(part, Attention)
    ]


@torch.no_grad()
def operations(net: SpikingViT, x: torch.Tensor) -> dict[str, float]:
    """Operations per image: additions where inputs are whole numbers (2 is added twice), multiply-accumulates where
    they are real, nothing where they are 0; and ``dense``, with all inputs and the image T times. ``x (T, B, …)``."""
    c, first = Counter(), net.convs[0][0]
    attention = [part for part in net.parts if getattr(part, "core", "none") != "none"]
    for _, layer, inp, _out in list(
        calls(net, x)
    ):  # a list, so that the hooks are gone before layers are copied
        if isinstance(layer, snn.SpikingNeuron):
            continue
        ones = copy.deepcopy(layer)
        ones.bias = None
        nn.init.ones_(
            ones.weight
        )  # then ones(y).sum() is Σ_i y_i·(synapses that leave i), borders and all
        c["dense"] += ones(torch.ones_like(inp)).double().sum().item()
        if layer is not first and (inp >= 0).all() and (inp == inp.round()).all():
            c["adds"] += ones(inp).double().sum().item()
        else:  # the image stands still and is convolved once
            c["macs"] += ones((inp != 0).float()).double().sum().item() / (
                len(x) if layer is first else 1
            )
    for part, (q, k, v) in zip(attention, net_spikes(net, x) if attention else [], strict=True):
        each, counted = q.numel() * q.shape[-2], additions(q, k, v)  # T·B·heads·N²·d
        c["dense"] += 2 * each
        if part.core == "softmax":  # its exponentials and divisions are not counted
            real = isinstance(net.sn_position, nn.ReLU)
            c += Counter(
                core_macs=each * (2 if real else 1), core_adds=0 if real else counted["softmax"]
            )
        else:
            c["core_adds"] += min(counted["(QKᵀ)V"], counted["Q(KᵀV)"])
    return {
        "adds": (c["adds"] + c["core_adds"]) / x.shape[1],
        "macs": (c["macs"] + c["core_macs"]) / x.shape[1],
    } | {k: c[k] / x.shape[1] for k in ("core_adds", "core_macs", "dense")}


def experiment_cost(
    cfg: Config, kind: str, net: SpikingViT, data: ImageData, run: Run
) -> dict[str, float]:
    """Operations on 100 test images, estimated energy, memory and speed of training."""
    found = operations(net, pictures(cfg, kind, data, 100, run.device))
    found |= {
        "nj": estimated_energy_nj(found["adds"], found["macs"]),
        "core_nj": estimated_energy_nj(found["core_adds"], found["core_macs"]),
    }
    return found | train_cost(cfg, copy.deepcopy(net), kind, data, run)


def train_cost(
    cfg: Config, net: SpikingViT, kind: str, data: ImageData, run: Run, count: int = 4
) -> dict[str, float]:
    """Images a second in training, and bytes kept for backward per image."""
    x, y = next(batches(data.x_train, data.y_train, min(cfg.batch_size, 64), device=run.device))
    net.train().to(run.device)
    optimizer, times = torch.optim.AdamW(net.parameters(), lr=1e-4), []
    for _ in range(count + 1):
        started = time.perf_counter()
        with saved_for_backward() as kept:
            loss = membrane_loss(net.run(encoder(cfg, kind)(x)), y)
            size = kept()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        synchronize(run.device)
        times.append(time.perf_counter() - started)
    return {
        "speed": len(x) * count / sum(times[1:]),
        "bytes": size / len(x),
    }  # the first step warms up


@torch.no_grad()
def experiment_maps(
    cfg: Config, kind: str, net: SpikingViT, data: ImageData, device: torch.device
) -> dict[str, Any]:
    """Attention of the last block on 200 images, summed over steps and heads, each row divided by its sum."""
    q, k, _ = net_spikes(net, pictures(cfg, kind, data, 200, device))[-1]
    a = q @ k.transpose(-1, -2)
    a = (a if kind == "SSA" else torch.softmax(a / q.shape[-1] ** 0.5, -1)).sum((0, 2))  # (B, N, N)
    row = a / a.sum(-1, keepdim=True).clamp(min=1e-9)
    entropy, sees = -(row * row.clamp(min=1e-9).log()).sum(-1), a.sum(-1) > 0  # (B, N)
    return {
        "maps": row.cpu().numpy(),
        "spread": entropy[sees].exp().sum().item() / max(1, int(sees.sum())),
        "own": (row - row.mean(1, keepdim=True)).abs().sum(-1).mean().item() / 2,
    }  # total variation


@torch.no_grad()
def experiment_shortcut(net: SpikingViT, x: torch.Tensor) -> list[float]:
    """Of what each part of the network is given to multiply with its weights, and is not 0: the share above 1."""
    seen: list[torch.Tensor] = []
    net.run(x, seen)
    return [
        (s > 1).double().sum().item() / max(1.0, (s != 0).double().sum().item()) for s in seen[1:]
    ]


def experiment_full(cfg: Config, data: ImageData, run: Run) -> dict[str, float]:
    """The network of --full for a few images: parameters, speed and arithmetic of training."""
    full = replace(cfg, **({} if cfg.smoke else FULL | {"batch_size": 8}), full=True)
    net = build(full, "SSA").eval().to(run.device)
    macs = operations(net, pictures(full, "SSA", data, 1, run.device))[
        "dense"
    ]  # 2 FLOP each; backward: two passes
    return train_cost(full, net, "SSA", data, run, 2) | {
        "gflop": 6 * macs / 1e9,
        "million": sum(p.numel() for p in net.parameters()) / 1e6,
    }


def plot_products(found: dict[str, Any]) -> Figure:
    rows, sizes = found["rows"], [r["N"] for r in found["rows"]]
    saved = [rows[-1][k]["(QKᵀ)V"] / rows[-1][k]["Q(KᵀV)"] for k in ("additions", "ms")]
    fig, (a, b, c) = plots.figure(
        1,
        3,
        size=(14, 4),
        title=f"Without softmax the order is free: at N = {sizes[-1]:,} "
        f"Q(KᵀV) takes 1/{saved[0]:.0f} of the additions, 1/{saved[1]:.0f} of the time",
    )
    fire = [f"{100 * rates[found['scales'].index(SCALE)]:.0f}" for rates in found["rates"].values()]
    plots.curves(
        a, found["scales"], {f"{n} tokens": [100 * r for r in v] for n, v in found["rates"].items()}
    )
    plots.label(
        a,
        "scale s",
        "spikes per neuron and step (%)",
        f"No s fits all N: s = 1/8 gives {', '.join(fire)} %",
    )
    plots.curves(
        b, sizes, {way: [r["additions"][way] for r in rows] for way in ("(QKᵀ)V", "Q(KᵀV)")}
    )
    plots.label(b, "tokens N (dotted: N = d)", "additions, all heads", "Counted on random spikes")
    plots.curves(
        c, sizes, {way: [r["ms"][way] for r in rows] for way in ("(QKᵀ)V", "Q(KᵀV)", "softmax")}
    )
    plots.label(
        c, "tokens N (dotted: N = d)", "time of one step (ms)", "On a CPU zeros save nothing"
    )
    a.set_xscale("log", base=2)
    for ax in (b, c):
        ax.axvline(found["d"], color="0.5", linestyle=":", linewidth=1)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks(sizes, [str(n) for n in sizes])
    return fig


def plot_accuracy(
    rows: dict[str, dict[str, Any]], cost: dict[str, dict[str, float]], cfg: Config
) -> Figure:
    means = {kind: 100 * r["accuracy"].mean() for kind, r in rows.items()}
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(12, 4.2),
        title="Same weights, same images. Points above SSA: "
        + ", ".join(
            f"{kind} {v - means['SSA']:+.1f}" for kind, v in means.items() if kind != "SSA"
        ),
    )
    plots.bars(a, means, fmt="     {:.1f}", color=plots.SKY)
    for i, kind in enumerate(rows):
        a.plot(
            100 * rows[kind]["accuracy"], [i] * cfg.seeds, "o", color=plots.BLACK, markersize=3.5
        )
        b.plot(
            cost[kind]["nj"] / 1000,
            means[kind],
            plots.MARKERS[i],
            color=plots.COLOURS[i],
            markersize=8,
            label=kind,
        )
    b.set_xlim(0)
    b.legend()
    plots.label(
        a,
        "test accuracy (%)",
        "",
        f"{cfg.seeds} seeds (dots), {cfg.n_train:,} images, T = {cfg.num_steps}",
    )
    plots.label(
        b,
        "arithmetic of one image, estimated (µJ)",
        "test accuracy (%)",
        "Whole network: what it costs",
    )
    return fig


def plot_maps(maps: dict[str, dict[str, Any]], data: ImageData, token: int = 27) -> Figure:
    fig, axes = plots.figure(
        3,
        5,
        size=(10, 6.8),
        title="Attention stays broad: of 64 tokens, one (×) attends to "
        + ", ".join(f"{m['spread']:.0f} ({kind})" for kind, m in maps.items()),
    )
    for i, ax in enumerate(axes[0]):
        ax.imshow(data.x_test[i].permute(1, 2, 0))
        ax.set_title(data.classes[int(data.y_test[i])], fontsize=9)
        for below, (kind, m) in zip(axes[1:, i], maps.items(), strict=True):
            below.imshow(m["maps"][i, token].reshape(8, 8), vmin=0)
            below.plot(token % 8, token // 8, "x", color=plots.RED, markersize=9, markeredgewidth=2)
            below.set_title(f"{kind}, largest {100 * m['maps'][i, token].max():.0f} %", fontsize=9)
    for ax in axes.flat:
        ax.set_axis_off()
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(cifar10, n_train=cfg.n_train)
    data = data if cfg.full else replace(data, x_val=data.x_val[:500], y_val=data.y_val[:500])
    n = len(data.y_test)

    run.print("\n1  The scale s, and the order of the products")
    found = experiment_products(cfg)
    run.figure(plot_products(found), "products")
    run.claim(
        "rate_unscaled",
        "SSA′ without a scale, 64 tokens: spikes per neuron and step",
        found["rates"][64][0],
    )
    for N, rates in found["rates"].items():
        run.claim(
            f"rate_{N}",
            f"SSA′ with s = 1/8, {N} tokens: the same",
            rates[found["scales"].index(SCALE)],
        )
        run.claim(f"dssa_{N}", f"DSSA, {N} tokens: the same", found["dssa"][N])
    run.claim(
        "order",
        "(QKᵀ)V and Q(KᵀV): largest difference",
        max(r["difference"] for r in found["rows"]),
        "",
        "== 0",
    )
    last = found["rows"][-1]
    for key in ("additions", "ms"):
        run.claim(
            f"order_{key}",
            f"{last['N']:,} tokens, {key}: (QKᵀ)V / Q(KᵀV)",
            last[key]["(QKᵀ)V"] / last[key]["Q(KᵀV)"],
            "×",
        )

    run.print(f"\n2  Training: {cfg.n_train:,} images, epochs: {cfg.epochs}, seeds: {cfg.seeds}")
    rows = experiment_train(cfg, data, run)
    if cfg.resume:
        run.note(
            "Networks that an earlier run had trained were taken over; their time is not in the wall time."
        )
    for kind, r in rows.items():
        run.claim(
            f"accuracy_{slug(kind)}",
            f"{kind}: test accuracy",
            r["accuracy"].mean(),
            n=n * cfg.seeds,
            real=True,
            target=">= 0.90" if cfg.full and kind == "SSA" else None,
        )
        if kind != "SSA":
            differences = 100 * (r["accuracy"] - rows["SSA"]["accuracy"])
            run.claim(
                f"gap_{slug(kind)}",
                f"{kind} − SSA ({', '.join(f'{v:+.1f}' for v in differences)} by seed)",
                differences.mean(),
                "points",
                n=n * cfg.seeds,
                real=True,
            )

    run.print("\n3  The trained network's own spikes: are they bits, are there only additions?")
    x = pictures(cfg, "SSA", data, 100, run.device)
    exact = experiment_exact(rows["SSA"]["net"], x)
    for key, text, size in (
        ("not_bits", "Q, K, V: entries other than 0 and 1", "entries"),
        ("worst", "Q·Kᵀ·V by loops of additions, and by matrices: largest difference", "total"),
        ("miscounted", "additions made in those loops, and by formula: difference", "total"),
    ):
        run.claim(key, text, exact[key], "", "== 0", n=exact[size])

    run.print("\n4  What they cost")
    cost = {kind: experiment_cost(cfg, kind, r["net"], data, run) for kind, r in rows.items()}
    units = {
        "adds": ("additions", ""),
        "macs": ("multiply-accumulates", ""),
        "core_adds": ("additions in Q, K, V", ""),
        "core_macs": ("multiply-accumulates in Q, K, V", ""),
        "nj": ("arithmetic, estimated", "nJ"),
        "core_nj": ("arithmetic in Q, K, V, estimated", "nJ"),
        "bytes": ("kept for backward", "bytes"),
        "speed": ("training", "images/s"),
    }
    run.table(
        "One image",
        ("", *cost),
        [
            (f"{text} {unit}", *(f"{c[key]:,.4g}" for c in cost.values()))
            for key, (text, unit) in units.items()
        ],
    )
    for kind, c in cost.items():
        for key, (text, unit) in units.items():
            run.claim(f"{key}_{slug(kind)}", f"{kind}, one image: {text}", c[key], unit, real=True)
        row = ledger_row(
            rows[kind]["net"],
            pictures(cfg, kind, data, 50, run.device),
            model=f"transformer: {kind}",
            data=data.name,
            accuracy=rows[kind]["accuracy"][0],
            n=n,
        )
        run.ledger(
            **row
            | {
                "synops": c["adds"],
                "macs": c["macs"],
                "ann_macs": c["dense"] / row["num_steps"],
                "energy_estimated_nj": c["nj"],
            }
        )  # NeuroBench does not see products of Q, K and V
    run.figure(plot_accuracy(rows, cost, cfg), "accuracy")

    run.print("\n5  Attention maps")
    maps = {
        kind: experiment_maps(cfg, kind, rows[kind]["net"], data, run.device)
        for kind in ("SSA", "softmax")
    }
    run.figure(plot_maps(maps, data), "maps")
    for kind, m in maps.items():
        run.claim(
            f"spread_{slug(kind)}",
            f"{kind}: tokens attended to, of 64 (exp of entropy)",
            m["spread"],
            "",
            real=True,
        )
        run.claim(
            f"own_{slug(kind)}",
            f"{kind}: share of a token's map that is not the mean map",
            m["own"],
            real=True,
        )

    run.print("\n6  Shortcuts, and the network of --full")
    several = {
        kind: experiment_shortcut(rows[kind]["net"], x)
        for kind in ("SSA", "SSA, membrane")
        if kind in rows
    }
    run.table(
        "Inputs ≠ 0 that are 2 or more (%)",
        ("", *(f"{p} {i}" for i in range(1, cfg.blocks + 1) for p in ("attention", "MLP"))),
        [(kind, *(f"{100 * v:.1f}" for v in shares)) for kind, shares in several.items()],
    )
    for kind, shares in several.items():
        run.claim(
            f"several_{slug(kind)}",
            f"{kind}: inputs ≠ 0 that are 2 or more, in the part that has most",
            max(shares),
            target=None if kind == "SSA" else "== 0",
            real=True,
        )
    full = experiment_full(cfg, data, run)
    for key, text, unit, target in (
        ("million", "parameters", "million", "9.3..9.34"),
        ("gflop", "training, per image", "GFLOP", None),
        ("speed", "training on this device", "images/s", None),
    ):
        run.claim(f"full_{key}", f"network of --full: {text}", full[key], unit, target)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
