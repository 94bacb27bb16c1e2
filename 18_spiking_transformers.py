"""Lesson 18 — Spiking transformers: attention by additions

Question
    A convolution decides beforehand which places hear each other. Attention lets the image decide.
    Can spikes and additions do that, what is lost without the softmax, and what does it save?

Idea
    Every place of an image (a token) makes a query q, a key k and a value v. Attention compares each
    query with all keys and mixes the values accordingly. With N tokens and d channels:

        out = softmax(Q·Kᵀ/√d)·V           Q, K, V: real numbers, (N, d) each                     (1)

    Spiking self-attention (SSA, Spikformer) lets neurons make Q, K and V, so that they are 0 or 1,
    and leaves the softmax out. s is one fixed number, SN a layer of LIF neurons:

        out = SN(s·Q·Kᵀ·V)                 Q, K, V: spikes                                        (2)

    Now Q·Kᵀ counts in how many channels both fire, and a value's spike adds that count: no
    multiplication is left. And two products in a row may be computed in either order:

        (Q·Kᵀ)·V = Q·(Kᵀ·V)                up to 2·N²·d or 2·N·d² additions                       (3)

Read first
    Theory     Spikformer https://arxiv.org/abs/2209.15425 · Spike-Driven Transformer, and V2:
               https://arxiv.org/abs/2307.01694, https://arxiv.org/abs/2404.03663 · SpikingResformer
               https://arxiv.org/abs/2403.14302
    Practice   https://github.com/fangwei123456/spikingjelly (docs/source/tutorials/en/spikformer.rst)

Run
    uv run 18_spiking_transformers.py --predict   asks what you expect, then measures it: start here
    uv run 18_spiking_transformers.py             trains 36 small networks: about 7 minutes of one core
    uv run 18_spiking_transformers.py --resume    takes over those that are trained: half a minute
    uv run 18_spiking_transformers.py --train     trains the network of section 5 anew: 8 minutes more
    uv run 18_spiking_transformers.py --full      a larger network: for a GPU, not run so far

Builds on / leads to
    10 gave convolutions, BatchNorm and the SEW shortcut, 12 the account of energy. 20 goes another way
    around N²: a state in the place of a memory of all tokens. studies/18_cores.py trains longer.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from common import plots
from common.cost import PJ_PER_AC, PJ_PER_MAC, calls, estimated_energy_nj, latency
from common.data import ImageData, batches, cifar10
from common.io import ROOT, UserError, live, load_weights, save_weights, write_atomic
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current
from multistep import fast_number, unroll
from multistep.layers import BETA, Layer, Neurons
from multistep.meters import kept_for_training
from training import evaluate, fit
from training.arms import count_parameters, interval
from training.augment import flip_and_shift
from training.muon import muon_for_convolutions, up_and_down
from training.seeds import about, against, all_trainings, dots, gaps_of, listed, signed, verdict

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Config(LessonConfig):
    """Section 3 trains on a task made here, section 4 on photographs, section 5 reads a shipped network."""

    num_steps: int = bounded(2, 1, 100_000)
    """time steps for which an input is shown (T)"""
    dim: int = bounded(64, 4, 1024)
    """channels of a token (D) in sections 4 to 6"""
    heads: int = bounded(2, 1, 64)
    """heads, which share the channels: d = D / heads"""
    blocks: int = bounded(1, 1, 48)
    """blocks of attention and two further layers"""
    batch_size: int = bounded(128, 2, 45_000)
    """images in one update of the weights (B)"""
    lr: float = bounded(0.1, 1e-7, 10.0)
    """highest learning rate of the convolutions in sections 4 and 5"""
    updates: int = bounded(600, 1, 1_000_000)
    """updates of each training in section 3"""
    short_images: int = bounded(6_000, 10, 45_000)
    """training images of each short training in section 4, each seen once"""
    seeds: int = bounded(3, 2, 20)
    """trainings of each arm in sections 3 and 4"""
    epochs: int = bounded(6, 1, 1000)
    """passes over all training images in section 5, if it trains"""
    train: bool = False
    """train the network of section 5 anew; otherwise its weights are read from checkpoints/"""
    resume: bool = False
    """take over the networks that a stopped run has trained"""

    def validate(self) -> None:
        super().validate()
        if self.dim % self.heads or self.dim % 2:
            raise UserError(
                f"--heads: got {self.heads} with --dim {self.dim}, but dim has to be even and a multiple of heads"
            )


SMOKE = {"dim": 16, "updates": 2, "short_images": 100, "seeds": 2, "batch_size": 50, "epochs": 1}
FULL = {
    "num_steps": 4,
    "dim": 256,
    "heads": 8,
    "blocks": 2,
    "short_images": 45_000,
    "epochs": 100,
    "train": True,
}
SHIPPED = ROOT / "checkpoints" / "cifar10_ssa.safetensors"  # of section 5
LOG = ROOT / "checkpoints" / "cifar10_cores.csv"  # of the longer trainings of section 4
SCALE = 1 / 8  # s of equation (2), as in Spikformer
Core = Callable[[Tensor, Tensor, Tensor], Tensor]

# ---------------------------------------------------------------- 1  attention


def softmax_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Equation (1): each token asks all tokens, ``(…, N, d)`` three times → ``(…, N, d)``."""
    alike = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (…, N, N): query i with key j
    weights = torch.softmax(alike, -1)  # each row is positive and sums to 1
    return weights @ v  # each token gets a mean of the values


def tokens_first(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(Q·Kᵀ)·V: how much has each query in common with each key? Each value is added that many times."""
    return (q @ k.transpose(-1, -2)) @ v  # (…, N, N) in between


def channels_first(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Q·(Kᵀ·V), the same numbers: which key channel goes with which value, over all tokens?"""
    return q @ (k.transpose(-1, -2) @ v)  # (…, d, d) in between


def spiking_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Q·Kᵀ·V of equation (2), in the order with fewer additions at most: ``(…, N, d)``."""
    tokens, channels = q.shape[-2:]
    return channels_first(q, k, v) if tokens > channels else tokens_first(q, k, v)


def attention_by_hand(
    q: list[list[bool]], k: list[list[bool]], v: list[list[bool]]
) -> tuple[list[list[int]], int]:
    """(Q·Kᵀ)·V of spikes ``(N, d)``, by ``and``, ``+=`` and nothing else; and how many ``+=`` were made."""
    tokens, channels = len(q), len(q[0])
    out = [[0] * channels for _ in range(tokens)]
    made = 0
    for i in range(tokens):  # who asks
        for j in range(tokens):  # who is asked
            count = 0
            for c in range(channels):
                if q[i][c] and k[j][c]:  # both fire in this channel
                    count += 1
                    made += 1
            for c in range(channels):
                if count and v[j][c]:  # a spike of the value adds the count
                    out[i][c] += count
                    made += 1
    return out, made


def share_of_right(q: Tensor, k: Tensor, factor: float | None = None) -> Tensor:
    """Of the attention that query i pays, the share of key i, ``(…, N)``: by softmax with ``factor``, or by counts."""
    alike = q @ k.transpose(-1, -2)  # (…, N, N)
    if factor is None:
        total = alike.sum(-1, keepdim=True)
        weights = alike / total.clamp(min=1e-9)
    else:
        sharper = factor * alike / q.shape[-1] ** 0.5
        weights = torch.softmax(sharper, -1)
    return weights.diagonal(dim1=-2, dim2=-1)


@section
def section_attention(cfg: Config, run: Run) -> None:
    """1  What is attention, and what is left of it when everything is a spike?

    Think of a memory of N entries. Each has a key, by which it is found, and a value, its content. A query
    is compared with every key, by the scalar product q·k. The more a key resembles the query, the more
    weight its value gets:

        alike   = q @ k.T / d**0.5           how well does each key fit?           (N, N)
        weights = softmax(alike)             positive, and 1 in all for a query    (N, N)
        out     = weights @ v                a mean of the values, so weighted     (N, d)

    In a transformer each token makes its own q, k and v by three layers of weights, so every token is a
    question and an entry at once. No weight of the layer says which token hears which: that is worked
    out anew for every image. (√d keeps q·k of the same size for any number of channels.)

    Now let q, k and v be spikes. q·k is the number of channels in which both fire: an `and` and a
    counter. It cannot be negative, so one task of the softmax is done already. The value's spikes then
    add this count. `attention_by_hand`, above, is all of it. What is given up is the other task of the
    softmax, the competition: a key that fits well takes weight from the others. In (2) every key that
    shares a channel with the query is heard, in proportion to its count. The weights no longer sum to 1.

    Does that matter? The memory below has 8 entries with random keys, half of 16 channels on. Each query
    is the key of one entry, without an error. How much of its attention does the right entry get? A
    network can make q and k longer by larger weights, which multiplies all scalar products by a factor
    (right panel). The softmax sharpens. Counts keep their ratios whatever the factor, so in (2) only the
    threshold of the neurons behind them can choose.
    """
    run.predict(
        "share_spikes",
        "8 random keys, half of 16 channels on. A query is equal to one of them. Which share of the counts of "
        "all keys goes to the right one?",
        unit="%",
    )
    places = torch.rand(1000, 8, 16, generator=run.generator()).argsort(-1)
    keys = places < 8  # (memories, N, d)
    values = torch.rand(1000, 8, 16, generator=run.generator(1)) < 0.25
    k = keys.float()
    factors = (1, 4, 8, 12)
    by_counts = share_of_right(k, k).mean().item()
    by_softmax = [share_of_right(k, k, f).mean().item() for f in factors]
    made = []
    for a, b in zip(keys[:100].tolist(), values[:100].tolist(), strict=True):
        _, additions_made = attention_by_hand(a, a, b)
        made.append(additions_made)

    title = f"A factor of 12 lifts the right entry's share from {100 * by_softmax[0]:.0f} to "
    title += (
        f"{100 * by_softmax[-1]:.1f} % by softmax; by counts it stays at {100 * by_counts:.0f} %"
    )
    fig, axes = plots.figure(
        1,
        4,
        (12.5, 3.7),
        title,
        width_ratios=(1.3, 0.9, 0.9, 1.2),
    )
    asked = 2  # the entry whose key is asked for
    axes[0].imshow(torch.cat([k[0], k[0, asked][None]]), cmap="Greys", aspect="auto")
    axes[0].axhline(7.5, color=plots.RED, lw=1.5)
    axes[0].set_yticks(range(9), [*map(str, range(1, 9)), "query"])
    axes[0].set_xticks(range(0, 16, 5), ["1", "6", "11", "16"])
    axes[0].grid(False)
    above = f"keys; the query is that of {asked + 1}"
    plots.label(axes[0], "channel (black: fires)", "entry", above)
    counts = k[0] @ k[0, asked]  # (N,)
    shares = 100 * counts / counts.sum()
    weights = 100 * torch.softmax(counts / 4, 0)
    for ax, bars, name in (
        (axes[1], shares.tolist(), "share of all counts (%)"),
        (axes[2], weights.tolist(), "softmax weight (%)"),
    ):
        ax.set_xlim(0, 40)
        colours = [plots.ORANGE if j == asked else plots.BLUE for j in range(8)]
        ax.barh(range(1, 9), bars, color=colours)
        ax.invert_yaxis()
        plots.label(ax, name, "entry", "")
    axes[1].set_title("counts (2)")
    axes[2].set_title("softmax (1), factor 1")
    plots.curves(axes[3], factors, {"softmax (1)": [100 * s for s in by_softmax]})
    axes[3].axhline(100 * by_counts, color=plots.ORANGE, ls="--", label="counts (2): any factor")
    axes[3].legend(loc="center right")
    axes[3].set_ylim(0, 105)
    axes[3].set_xticks(factors)
    plots.label(
        axes[3],
        "factor on the products",
        "right entry's share (%)",
        "1,000 memories",
    )
    run.figure(
        fig,
        "1_attention",
        look="which entries, besides the right one, are heard?",
    )

    run.claim("share_spikes", "counts: the right entry's share", by_counts)
    run.claim("share_softmax", "softmax: the right entry's share", by_softmax[0])
    run.claim("share_sharp", "softmax × 12: right entry's share", by_softmax[-1])
    run.claim(
        "made",
        "additions by hand, 8 queries",
        float(np.mean(made)),
        "additions",
    )
    run.finding(
        f"By counts the right one of 8 random entries gets {100 * by_counts:.0f} % of the attention, whatever the "
        f"factor; by softmax {100 * by_softmax[0]:.0f} %, and {100 * by_softmax[-1]:.1f} % once the products are twelve "
        "times as large. With counts a wrong key is silent only if it shares no channel with the query. The right "
        "entry still has the highest count, as long as no other key has all of its channels."
    )


# ---------------------------------------------------------------- 2  order and scale


def additions(q: Tensor, k: Tensor, v: Tensor) -> dict[str, float]:
    """Additions for spikes ``(…, N, d)`` by the two orders.

    In the first product: one wherever two spikes meet. In the second: one wherever a spike meets a count
    that is not 0.
    """
    q, k, v = q.double(), k.double(), v.double()
    tokens = q @ k.transpose(-1, -2)  # (…, N, N), counts
    channels = k.transpose(-1, -2) @ v  # (…, d, d), counts
    met = (tokens > 0).double() @ v
    asked = q @ (channels > 0).double()
    first = tokens.sum() + met.sum()
    second = channels.sum() + asked.sum()
    return {"(QKᵀ)V": first.item(), "Q(KᵀV)": second.item()}


def dual_attention(x: Tensor, neuron: snn.Leaky) -> Tensor:
    """DSSA as in section 2, with random weights, for spikes ``x (T, B, N, d)``: rates set the scales."""
    tokens, channels = x.shape[-2:]
    currents = []
    for _ in range(2):
        y = x @ torch.randn(channels, channels)
        mean = y.mean((0, 1, 2))
        spread = y.std((0, 1, 2))
        currents.append((y - mean) / spread)  # as BatchNorm does
    rate = x.mean().clamp(min=1e-3)
    cur = currents[0] @ x.transpose(-1, -2) / (rate * channels).sqrt()
    a, _, _ = unroll(neuron, cur)  # (T, B, N, N)
    rate = a.mean().clamp(min=1e-3)
    cur = a @ currents[1] / (rate * tokens).sqrt()
    out, _, _ = unroll(neuron, cur)
    return out  # (T, B, N, d)


KEPT = 64  # tokens at which the BatchNorm of section 2 has measured
RATE = 0.2  # how often the neurons of section 2 fire


@torch.no_grad()
def rates_behind(T: int, sizes: tuple[int, ...], d: int) -> dict[str, list[float]]:
    """Share of neurons that fire behind the attention, for random spikes of N tokens: four ways to set the scale."""
    neuron = snn.Leaky(beta=BETA)
    seen = spiking_attention(*(torch.rand(3, T, 4, KEPT, d) < RATE).float())
    mean, spread = seen.mean(), seen.std()  # as after training: no other N changes them
    names = ("s = 1/8", f"BatchNorm of N = {KEPT}", "DSSA", "s = 2/N")
    fires: dict[str, list[float]] = {name: [] for name in names}
    for tokens in sizes:
        q, k, v = (torch.rand(3, T, 4, tokens, d) < RATE).float()
        cur = spiking_attention(q, k, v)  # (T, B, N, d)
        scaled, _, _ = unroll(neuron, SCALE * cur)
        normal, _, _ = unroll(neuron, (cur - mean) / spread)
        by_tokens, _, _ = unroll(neuron, 2 / tokens * cur)
        made = (scaled, normal, dual_attention(q, neuron), by_tokens)
        for name, spk in zip(names, made, strict=True):
            fires[name].append(spk.mean().item())
    return fires


@section
def section_order(cfg: Config, run: Run) -> None:
    """2  In which order, and with which scale?

    Matrix products may be bracketed as one likes: (Q·Kᵀ)·V and Q·(Kᵀ·V) are the same numbers, exactly,
    since all of them are whole. They are not the same work:

        (Q·Kᵀ)·V    N×N counts, who has how much in common with whom       up to 2·N²·d additions
        Q·(Kᵀ·V)    d×d counts, which key channel goes with which value    up to 2·N·d²

    With the softmax the first is the only way, since it needs a whole row of N numbers to normalise one
    of them: the work grows with N². (Its N² weights need not all be kept. FlashAttention, which PyTorch
    has as scaled_dot_product_attention, goes through them block by block and keeps a few numbers a row.)
    Without the softmax, work and memory can grow with N. (This is known as linear attention, and does not
    need spikes.) With zeros skipped the rates decide, too: exercise 18b.

    How large is the result? An element of Q·Kᵀ·V is a sum over N tokens and d channels. If the elements
    of Q, K and V fire with the rate f, its mean is N·d·f³. In (2) the number s has to bring that near the
    threshold. Leak, input and reset by subtraction are linear, so SN(s·z) with the threshold θ fires as
    SN(z) with θ/s does: no multiplication is needed. But one s fits one N. Three other ways:

        s = 2/N     the plainest: 1/8 at N = 16, and as the mean grows with N, s falls with it
        BatchNorm   measures mean and spread of Q·Kᵀ·V while it trains. Afterwards they are fixed: one factor
                    and one offset a channel, which the neuron takes over as a threshold and a constant
                    current (if the factor is above 0). So it finds the scale for the N that it has seen,
                    and for no other. All networks of this lesson have it there, and keep their N
        DSSA        SpikingResformer's attention has N in its formula. It scales each product by the rate of
                    the spikes in it, and has neurons after each of the two. X are the spikes that come in,
                    W₁ and W₂ weights, BN a BatchNorm, f(X) the rate of X. The spikes themselves are the keys:

                        A   = SN(BN(X·W₁)·Xᵀ / √(d·f(X)))      whom each token hears, (N, N) spikes
                        out = SN(A·BN(X·W₂) / √(N·f(A)))       what it hears

                    The neurons between the products fix their order: the first of the two above.

    To have N in the formula is not yet to fire alike at every N. 2/N keeps the mean and not the spread around
    it. DSSA's √N is right for a sum of N terms that have nothing to do with each other. But here A and the
    values are made of the same X: the tokens that one token hears resemble each other, so do their values,
    and their sum grows faster than √N.

    Below: random spikes, rate 0.2, d = 32, one draw. BatchNorm has measured at N = 64. DSSA's formula is given
    the rates f(X) and f(A) of the run itself, so that it may adapt to each N, which the others may not. Its
    weights are random; trained ones may do otherwise. The memory is that of one core in one step, with the
    softmax written out (`softmax_attention`). SSA keeps its part T times; a whole network is not measured.
    """
    run.predict(
        "order_additions",
        "N = 1024 tokens, d = 32 channels, a fifth of the elements are spikes. How many times the additions of "
        "Q(KᵀV) does (QKᵀ)V need, when zeros are skipped?",
        unit="×",
    )
    d = 32
    sizes = (4, 16, 32, 64, 256) if cfg.smoke else (4, 16, 32, 64, 256, 1024)
    counted: dict[str, list[float]] = {"(QKᵀ)V": [], "Q(KᵀV)": []}
    kept = {
        "softmax, written out": [kept_for_training(softmax_attention, n, d) for n in sizes],
        "Q(KᵀV)": [kept_for_training(channels_first, n, d) for n in sizes],
    }
    for tokens in sizes:
        q, k, v = (torch.rand(3, 1, tokens, d, generator=run.generator()) < RATE).float()
        for name, number in additions(q, k, v).items():
            counted[name].append(number)
    tried = (16, 64, 256) if cfg.smoke else (16, 64, 256, 1024)
    behind = rates_behind(cfg.num_steps, tried, d)

    ratio = counted["(QKᵀ)V"][-1] / counted["Q(KᵀV)"][-1]
    went = {
        name: f"from {100 * rates[0]:.0f} to {100 * rates[-1]:.0f} %"
        for name, rates in behind.items()
    }
    title = f"Kᵀ·V first takes 1/{ratio:.0f} of the additions (N = {sizes[-1]:,}, d = {d}). From N = {tried[0]} to "
    title += f"{tried[-1]:,}, firing with s = 1/8 goes {went['s = 1/8']}"
    fig, (left, middle, right) = plots.figure(
        1,
        3,
        (13.5, 3.9),
        title,
    )
    for ax, lines, unit in ((left, counted, "additions"), (middle, kept, "MiB, float32")):
        plots.curves(ax, sizes, lines)
        ax.axvline(d, color="0.5", ls=":", lw=1)
        ax.set_yscale("log")
        plots.label(ax, "tokens N (dotted: N = d)", unit)
    left.set_title("additions, zeros skipped")
    middle.set_title("kept for the gradient")
    lines = {name: [100 * share for share in rates] for name, rates in behind.items()}
    plots.curves(right, tried, lines)
    others = (plots.GREEN, plots.ORANGE, plots.PINK, plots.BLACK)  # not the orders on the left
    for line, colour in zip(right.lines, others, strict=True):
        line.set_color(colour)
    right.legend(loc="center right", fontsize=8)
    for ax, ticks in ((left, sizes), (middle, sizes), (right, tried)):
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks, [f"{n}" for n in ticks])
    right.set_ylim(-3, 103)
    plots.label(right, "tokens N", "neurons that fire at a step (%)", "behind the attention")
    look = "left: where do the lines cross? right: which line moves least?"
    run.figure(fig, "2_order", look=look)

    scaled, normal, dual, by_tokens = behind.values()
    soft, spiking = kept["softmax, written out"][-1], kept["Q(KᵀV)"][-1]
    run.claim("order_additions", "additions: Q·Kᵀ first / Kᵀ·V first", ratio, "×")
    run.claim("order_memory", "kept: softmax written out / Kᵀ·V", soft / spiking, "×")
    run.claim(
        "rate_scale",
        "firing, s = 1/8, largest N",
        scaled[-1],
    )
    run.claim(
        "rate_norm",
        "firing, BatchNorm, largest N",
        normal[-1],
    )
    run.claim(
        "rate_dssa",
        "firing, DSSA, largest N",
        dual[-1],
    )
    run.claim(
        "rate_tokens",
        "firing, s = 2/N, largest N",
        by_tokens[-1],
    )
    moves = {name: max(rates) - min(rates) for name, rates in behind.items()}
    first, second, *_ = sorted(moves, key=lambda name: moves[name])
    steady = f"{first} moves least"
    if {first, second} == {"s = 2/N", "DSSA"}:
        steady = "The two with N in their formula move least"
    run.finding(
        f"At N = {sizes[-1]:,} and d = {d}, working out Kᵀ·V first takes 1/{ratio:.0f} of the additions (1/{sizes[-1] // d} if all neurons fired), and training "
        f"keeps {spiking:.1f} MiB a head and step, where the written-out softmax keeps {soft:.1f}. One s does not fit all N: from "
        f"{tried[0]} to {tried[-1]:,} tokens the share of neurons that fire goes {went['s = 1/8']} with s = 1/8, and {went[f'BatchNorm of N = {KEPT}']} "
        f"with a BatchNorm that has measured at N = {KEPT}. With s = 2/N it goes {went['s = 2/N']}, with DSSA {went['DSSA']}. "
        f"{steady}."
    )


# ---------------------------------------------------------------- attention as a part of a network


def split(x: Tensor, heads: int) -> Tensor:
    """A map of tokens → one list of tokens a head: ``(…, C, H, W)`` → ``(…, heads, N, d)``, N = H·W."""
    tokens = x.flatten(-2).transpose(-1, -2)  # (…, N, C)
    return tokens.unflatten(-1, (heads, -1)).transpose(-2, -3)


def join(y: Tensor, size: torch.Size) -> Tensor:
    """The way back: ``(…, heads, N, d)`` → ``(…, C, H, W)`` for ``size`` (H, W)."""
    tokens = y.transpose(-2, -3).flatten(-2)  # (…, N, C)
    return tokens.unflatten(-2, size).movedim(-1, -3)


# ``Layer`` (multistep/layers.py) is lesson 10's: convolution, pooling if asked for, BatchNorm, neurons. With size
# 1, as here, it is a matrix of weights for each token by itself. The comparisons need two switches:
#   kind   what neurons are: "spikes", or "relu" in the network without spikes (ANN)
#   asks   what ends the layers of Q and K: "spikes", or "real", which is no neuron at all. Products may then be
#          negative, as in a usual transformer. In the ANN the values are real, too
# Without attention the layers of Q and K are made and then deleted, so that all arms draw the same random weights.


class Attention(nn.Module):
    """Queries, keys and values by three layers; ``core`` mixes them; neurons behind it."""

    def __init__(
        self,
        dim: int,
        heads: int,
        core: Core,
        *,
        kind: str = "spikes",
        asks: str = "spikes",
        number: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.core = core
        self.query: Layer | None = Layer(dim, dim, kind=asks, number=number)
        self.key: Layer | None = Layer(dim, dim, kind=asks, number=number)
        self.value = Layer(dim, dim, kind=asks if kind == "relu" else kind, number=number)
        self.mixed = Neurons(dim, kind)
        if core is own_value:  # it reads neither; the weights above stay the same
            self.query = self.key = None

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Maps ``(…, C, H, W)`` → currents of the same shape; each head works on its own channels."""
        q = split(query, self.heads)
        k = split(key, self.heads)
        v = split(value, self.heads)
        return join(self.core(q, k, v), query.shape[-2:])

    def forward(self, x_t: Tensor) -> Tensor:
        """One step after training, ``(B, C, H, W)`` → the same shape."""
        value = self.value(x_t)
        query = self.query(x_t) if self.query else value
        key = self.key(x_t) if self.key else value
        spk = self.mixed(self.attend(query, key, value))
        return spk * value if self.core is shared_mask else spk

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest, ``(T, B, C, H, W)`` → the same shape."""
        value = self.value.run(x)
        query = self.query.run(x) if self.query else value
        key = self.key.run(x) if self.key else value
        spk = self.mixed.run(self.attend(query, key, value))
        return spk * value if self.core is shared_mask else spk


SHARP = 12  # chosen beforehand: of 32 channels one more in common makes a weight 8 times as large


def sharp_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax with scalar products twelve times as large, since spikes cannot be longer than 1 a channel."""
    return softmax_attention(SHARP * q, k, v)


def shared_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SDSA: in each channel the tokens in which q and k fire both are counted, for all tokens together.

    Neurons behind it make a mask of this, one bit a channel, through which each token's v has to pass.
    """
    return (q * k).sum(-2, keepdim=True).expand_as(q)


def own_value(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """No attention: each token keeps its own value, and no token hears of another."""
    return v


CORES = (
    softmax_attention,
    sharp_attention,
    tokens_first,
    channels_first,
    spiking_attention,
    shared_mask,
    own_value,
)


def built_from(*code: Any) -> tuple[Any, ...]:
    """All classes and functions that decide a training, beside those named: if one is edited, nothing is resumed."""
    return (Layer, Neurons, Attention, *CORES, *code)


def mean_current_loss(out: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of the output current ``(T, B, 10)``, averaged over time; classes ``y (B,)``."""
    return F.cross_entropy(out.mean(0), y)


def smoothed_loss(out: Tensor, y: Tensor) -> Tensor:
    """The same with goals of 0.91 for the right class and 0.01 for each other one, not 1 and 0."""
    return F.cross_entropy(out.mean(0), y, label_smoothing=0.1)


def highest_mean_current(out: Tensor) -> Tensor:
    """The class whose output current is highest on average: ``(T, B, 10)`` → ``(B,)``."""
    return out.mean(0).argmax(1)


# ---------------------------------------------------------------- 3  a task that needs attention

KEYS, VALUES, PAIRS = 64, 10, 16  # different keys, values, pairs in a list


def memory_task(n: int, draw: torch.Generator, known: int = KEYS) -> tuple[Tensor, Tensor]:
    """``n`` lists of 16 pairs (key, value) and a question: ``(n, 75, 1, 17)``, and the answers ``(n,)``.

    Token 0 … 15 is a pair: one of 64 keys (channels 0 to 63; no key comes twice in a list) and one of ten
    values (channels 64 to 73). Token 16 is the question: one of the keys of the list, and channel 74.
    With ``known`` below 64 only the first so many keys are in use.
    """
    keys = torch.rand(n, known, generator=draw).argsort(1)[:, :PAIRS]  # (n, 16)
    values = torch.randint(VALUES, (n, PAIRS), generator=draw)
    asked = torch.randint(PAIRS, (n, 1), generator=draw)
    x = torch.zeros(n, PAIRS + 1, KEYS + VALUES + 1)
    x[:, :PAIRS].scatter_(2, keys[..., None], 1.0)
    x[:, :PAIRS].scatter_(2, KEYS + values[..., None], 1.0)
    x[:, PAIRS].scatter_(1, keys.gather(1, asked), 1.0)
    x[:, PAIRS, -1] = 1.0
    return x.transpose(1, 2).unsqueeze(2), values.gather(1, asked)[:, 0]


class MemoryNet(nn.Module):
    """A layer, attention with a SEW shortcut, and a linear read-out of the token that asks."""

    def __init__(self, core: Core, asks: str = "spikes", dim: int = 32) -> None:
        super().__init__()
        self.first = Layer(KEYS + VALUES + 1, dim)
        self.attention = Attention(dim, 1, core, asks=asks)
        self.out = Layer(dim, dim)
        self.fc = nn.Linear(dim, VALUES)

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest: ``(T, B, 75, 1, N)`` → output currents ``(T, B, 10)``."""
        x = self.first.run(x)  # (T, B, D, 1, N)
        x = x + self.out.run(self.attention.run(x))
        return self.fc(x[..., 0, -1])


MEMORIES: dict[str, dict[str, Any]] = {
    "SSA": {"core": spiking_attention},
    "SSA, only 16 keys": {"core": spiking_attention},
    "softmax": {"core": softmax_attention},
    "softmax × 12": {"core": sharp_attention},
    "softmax, real q, k": {"core": softmax_attention, "asks": "real"},
    "SDSA": {"core": shared_mask},
}


def train_memory(cfg: Config, run: Run, arm: str, seed: int) -> dict[str, float]:
    """Train one network on lists that never come twice; its share of right answers on 5,000 fresh ones."""
    torch.manual_seed(seed)
    net = MemoryNet(**MEMORIES[arm]).to(run.device)
    draw = torch.Generator().manual_seed(1000 + seed)
    lists = partial(memory_task, draw=draw, known=16 if "16 keys" in arm else KEYS)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: up_and_down((i + 1) / (cfg.updates + 1))
    )
    for _ in range(cfg.updates):
        x, y = lists(128)
        out = net.run(constant_current(x.to(run.device), cfg.num_steps))
        loss = mean_current_loss(out, y.to(run.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    net.eval()
    right = 0
    with torch.no_grad():
        for _ in range(1 if cfg.smoke else 10):
            x, y = lists(500)
            out = net.run(constant_current(x.to(run.device), cfg.num_steps))
            right += int((highest_mean_current(out).cpu() == y).sum())
    return {"right": right / (500 if cfg.smoke else 5000)}


def most_frequent(n: int, draw: torch.Generator) -> float:
    """How often the value that a list holds most often is the answer: the best guess without matching."""
    x, y = memory_task(n, draw)
    values = x[:, KEYS : KEYS + VALUES, 0, :PAIRS]  # (n, 10, 16)
    most = values.sum(-1).argmax(1)
    return (most == y).float().mean().item()


LEFT = 22  # channels for the keys, if each of the ten values has one of the 32 to itself


def by_random_keys(
    n: int, draw: torch.Generator, on: int, core: Core = spiking_attention, dim: int = LEFT
) -> tuple[float, float]:
    """Right answers of ``core`` if each key has ``on`` of ``dim`` channels at random, and nothing is learned.

    Read from the currents, and from the spikes of neurons behind them: T = 2, a BatchNorm as in the networks.
    Each value has a channel of its own, which no query or key uses. The highest wins; among equals one is guessed.
    """
    x, y = memory_task(n, draw)
    x = x[:, :, 0].transpose(1, 2)  # (n, 17, 75)
    chosen = torch.rand(KEYS, dim, generator=draw).argsort(1)[:, :on]
    table = torch.zeros(KEYS, dim).scatter_(1, chosen, 1.0)  # the spikes of each key
    k = x[..., :KEYS] @ table  # (n, 17, dim)
    k = F.pad(k, (0, VALUES))  # all 32 channels, as in the networks: d in the √d of a softmax
    v = x[:, :PAIRS, KEYS : KEYS + VALUES]  # (n, 16, 10)
    heard = core(k[:, PAIRS:], k[:, :PAIRS], v)[:, 0]  # (n, 10)
    normal = (heard - heard.mean()) / heard.std()
    spk, _, _ = unroll(snn.Leaky(beta=BETA), constant_current(normal, 2))
    return guessed_right(heard, y), guessed_right(spk.sum(0), y)


def guessed_right(scores: Tensor, y: Tensor) -> float:
    """Share of right answers if the highest score wins and equals are drawn among: ``(n, 10)``, ``(n,)``."""
    highest = scores.max(1, keepdim=True).values
    best = (scores == highest).float()  # 1 for each that is highest
    right = best.gather(1, y[:, None])[:, 0]
    return (right / best.sum(1)).mean().item()


@section
def section_memory(cfg: Config, run: Run) -> None:
    """3  What can attention do that nothing else in the network can?

    Photographs are a poor test of attention: convolutions read most of them without it. So first a task
    made for it. An input is a list of 16 pairs and a question, 17 tokens:

        (key 41, value 7)  (key 3, value 0)  …  (key 58, value 7)      which value has key 3?

    No weight can know the answer: pairs are drawn anew for every list, from 64 keys and ten values. The
    last token has to find the one that has its key, and hear its value. (Such tasks are called
    associative recall.) The network is small. One layer gives each token 32 channels of spikes; then come
    attention and a further layer, with a shortcut around both; a linear layer reads the token that asks.
    What differs is the core:

        SSA                  counts, equation (2), with a BatchNorm in the place of s
        SSA, only 16 keys    the same core, an easier task in three ways: each key comes four times as often,
                             every list holds all 16, and each could have a channel to itself. Which of
                             them helps, this arm does not tell
        softmax              equation (1) of the same spikes Q, K and V
        softmax × 12         the same, with scalar products twelve times as large
        softmax, real q, k   Q and K as currents, which may be long and negative; V as spikes. (Real q and k
                             without a softmax are not tried: the two are changed at once)
        SDSA                 the mask of the Spike-Driven Transformer: SN(Σ q ⊙ k) ⊙ v, the sum over all
                             tokens, ⊙ channel by channel. Additions that are linear in N and d, but one
                             mask for all tokens. 87 times less energy than softmax attention is its
                             authors' estimate for this mask alone, not for a network, and not for SSA

    With one seed all start with the same weights and, but for the one with fewer keys, see the same lists.
    All take one learning rate, 0.02, which was tuned for none. Without attention the token that asks would
    hear of no other: 10 %. One that hears of all but cannot match can guess the most frequent value.

    There are 64 keys and 32 channels, so different keys share channels, and a wrong key may be heard. Must
    SSA fail at that? `by_random_keys` hands Q, K and V that are made by hand straight to the core; no layer
    before it is used. Each of the ten values gets one of the 32 channels to itself, which leaves 22: every
    key gets n of these at random, and the question has the spikes of its key. The core and neurons behind
    it answer. This shows what a core can do with such codes, not that a training finds them. (The same codes
    can be written into the weights of the network above, which then gives the same answers: a test of this
    lesson does it.)

    In the right panel the right key counts n, a wrong one n²/22 on average. SSA weighs by the ratio of the two,
    22/n, which falls as n grows. A softmax weighs by their difference: exp((n − n²/22)/√32) if it is flat,
    which grows up to n = 11. Where keys have few channels, most wrong keys count 0: SSA leaves them out,
    while a flat softmax gives each exp(0) = 1.
    """
    run.predict(
        "ssa",
        "Which share of the questions does SSA answer right, with 32 channels for 64 keys? "
        "(Mean of the trainings; 10 % by chance)",
        unit="%",
    )
    code = built_from(MemoryNet, memory_task)
    right = all_trainings(run, train_memory, MEMORIES, [cfg.updates], code, (SHARP, BETA))
    guess = most_frequent(500 if cfg.smoke else 50_000, run.generator())
    draw = run.generator(1)
    channels = (1, 2, 3, 4, 6, 8, 11)
    names = ("SSA", "softmax × 12", "softmax")
    found = {}  # a row a number of channels: right by the currents, and by spikes of neurons behind them
    for name in names:
        core = MEMORIES[name]["core"]
        draws = range(1 if cfg.smoke else 20)
        read = [[by_random_keys(1000, draw, on, core) for on in channels] for _ in draws]
        found[name] = 100 * np.mean(read, axis=0)
    room = {name: rows[:, 1] for name, rows in found.items()}
    best = {name: max(shares) for name, shares in room.items()}
    most = int(np.argmax(room["SSA"]))

    above = {arm: against(shares, right["SSA"]) for arm, shares in right.items() if arm != "SSA"}
    del above["SSA, only 16 keys"]  # another task, not another core
    rows = []
    for arm, shares in right.items():
        rows.append((arm, listed(shares), signed(above.get(arm))))
    title = f"Right answers after {cfg.updates} updates, seed by seed, and the difference with its 95 % interval"
    run.table(title, ("core", "right", "against SSA (points)"), rows)

    mean = {arm: float(np.mean(shares)) for arm, shares in right.items()}
    ssa = mean["SSA"]
    title = f"SSA learns {100 * ssa:.0f} % in {cfg.updates} updates; codes made by hand: up to "
    title += f"{best['SSA']:.0f} % by SSA, {best['softmax × 12']:.0f} by softmax × 12, {best['softmax']:.0f} by softmax"
    fig, (left, axis) = plots.figure(
        1,
        2,
        (12.5, 3.9),
        title,
        width_ratios=(1.5, 1),
    )
    dots(left, right, "questions answered right (%)", "trained: dots are seeds, the bar their mean")
    for without, name in ((10, "chance"), (100 * guess, "best guess\nwithout matching")):
        left.axvline(without, color="0.4", ls=":", lw=1.2)
        left.text(without + 1, -0.5, name, fontsize=8, va="top")
    left.set_xlim(0, 103)
    plots.curves(axis, channels, room)
    axis.axhline(100 * ssa, color="0.4", ls="--", lw=1.2, label="SSA, trained (mean)")
    axis.legend(loc="lower right", fontsize=8)
    axis.set_ylim(0, 103)
    axis.set_xticks(channels)
    what = f"channels of {LEFT} that a key has"
    plots.label(
        axis,
        what,
        "right, by the neurons' spikes (%)",
        "random keys, codes made by hand",
    )
    run.figure(fig, "3_memory", look="where is SSA's core above what its network learned?")

    facts = {"n": 5000 * cfg.seeds, "seeds": cfg.seeds}
    run.claim("ssa", "SSA: questions answered right", ssa, **facts)
    run.claim("softmax", "softmax of the same spikes", mean["softmax"], **facts)
    run.claim(
        "sharp",
        "softmax, products × 12",
        mean["softmax × 12"],
        **facts,
    )
    run.claim("real", "softmax of real q and k", mean["softmax, real q, k"], **facts)
    name = f"random keys, {channels[most]} channels:"
    run.claim("random_keys", f"{name} counts", found["SSA"][most, 0] / 100, n=20_000)
    run.claim("random_spikes", f"{name} spikes", best["SSA"] / 100, n=20_000)
    told = {arm: f"{signed(gap)} points ({verdict(gap)})" for arm, gap in above.items()}
    better = "more" if mean["SDSA"] > guess else "no more"
    counts = ""
    if (verdict(above["softmax × 12"]), verdict(above["softmax"])) == ("more", "fewer"):
        counts = " So it is sharpness that counts here, not the softmax as such."
    why = "Trained, SSA reaches that, too: what ends it is open."
    if best["SSA"] > 100 * max(right["SSA"]):
        why = "So the core allows more than any of its trainings found, in so many updates at one rate."
    run.finding(
        f"After {cfg.updates} updates SSA answers {100 * ssa:.0f} % of the questions. A sharp softmax of the same spikes: "
        f"{told['softmax × 12']}; a flat one: {told['softmax']}.{counts} Real q and k: {told['softmax, real q, k']}. SDSA answers "
        f"{better} than the best guess without matching ({100 * guess:.0f} %). With random keys and codes made by hand, SSA and its "
        f"neurons answer up to {best['SSA']:.0f} %. {why} On such codes a sharp softmax answers up to {best['softmax × 12']:.0f} %, "
        f"a flat one up to {best['softmax']:.0f}, each at its own best number of channels."
    )


# ---------------------------------------------------------------- 4  photographs


class Same(nn.Identity):
    """Hands on what it gets, where the other kind of shortcut has neurons."""

    run = nn.Identity.forward


class Block(nn.Module):
    """Attention, and then two layers for each token by itself; a shortcut around either."""

    def __init__(
        self,
        dim: int,
        heads: int,
        core: Core,
        *,
        shortcut: str,
        kind: str = "spikes",
        asks: str = "spikes",
        number: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        add_spikes = shortcut == "SEW"
        last = kind if add_spikes else "real"  # what a branch ends with: spikes, or currents
        self.before_attention = Same() if add_spikes else Neurons(dim, kind)
        self.attention = Attention(dim, heads, core, kind=kind, asks=asks, number=number)
        self.out = Layer(dim, dim, kind=last, number=number)
        self.before_hidden = Same() if add_spikes else Neurons(dim, kind)
        self.hidden = Layer(dim, 2 * dim, kind=kind, number=number)
        self.back = Layer(2 * dim, dim, kind=last, number=number)

    def forward(self, x_t: Tensor) -> Tensor:
        """One step after training, ``(B, D, H, W)`` → the same shape."""
        x_t = x_t + self.out(self.attention(self.before_attention(x_t)))
        return x_t + self.back(self.hidden(self.before_hidden(x_t)))

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest, ``(T, B, D, H, W)`` → the same shape."""
        x = x + self.out.run(self.attention.run(self.before_attention.run(x)))
        return x + self.back.run(self.hidden.run(self.before_hidden.run(x)))


class SpikingViT(nn.Module):
    """Photographs → 8×8 tokens → blocks → mean over the tokens → ten currents."""

    def __init__(
        self,
        dim: int = 64,
        heads: int = 2,
        blocks: int = 1,
        *,
        core: Core = spiking_attention,
        shortcut: str = "SEW",
        stem: str = "pooled",
        kind: str = "spikes",
        asks: str = "spikes",
        number: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        make = partial(Layer, number=number)
        last = kind if shortcut == "SEW" else "real"
        if stem == "pooled":  # 32×32 → 16×16 → 8×8
            layers = [
                make(3, dim // 2, 3, pool=True, kind=kind),
                make(dim // 2, dim, 3, pool=True, kind=kind),
                make(dim, dim, 3, kind=last),
            ]
        else:  # patches of 4×4 pixels, each by itself; as many weights
            wide = max(1, round(6.75 * dim - 17.25))
            layers = [
                make(3, dim, 4, stride=4, kind=kind),
                make(dim, wide, kind=kind),
                make(wide, dim, kind=last),
            ]
        for _ in range(blocks):
            layers.append(
                Block(dim, heads, core, shortcut=shortcut, kind=kind, asks=asks, number=number)
            )
        self.layers = nn.Sequential(*layers)
        self.end = Same() if shortcut == "SEW" else Neurons(dim, kind)
        self.fc = nn.Linear(dim, 10)

    def forward(self, x_t: Tensor) -> Tensor:
        """One step after training: ``(B, 3, 32, 32)`` → output current ``(B, 10)``."""
        x_t = self.end(self.layers(x_t))
        return self.fc(x_t.float().mean((-2, -1)))

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest: ``(T, B, 3, 32, 32)`` → output current ``(T, B, 10)``."""
        for layer in self.layers:
            x = layer.run(x)
        x = self.end.run(x)
        return self.fc(x.float().mean((-2, -1)))


PHOTOS: dict[str, dict[str, Any]] = {
    "SSA": {},
    "softmax": {"core": softmax_attention},
    "no attention": {"core": own_value},
    "SSA, patches": {"stem": "patches"},
    "SSA, membrane": {"shortcut": "membrane"},
    "ANN": {"core": softmax_attention, "kind": "relu", "asks": "real"},
}


def photo_net(cfg: Config, arm: str, seed: int, number: torch.dtype = torch.float32) -> SpikingViT:
    """A fresh network, whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    return SpikingViT(cfg.dim, cfg.heads, cfg.blocks, number=number, **PHOTOS[arm])


def encode(x: Tensor, num_steps: int) -> Tensor:
    """Grey values 0..1, stretched to −2..2, as a current that stays: ``(B, 3, H, W)`` → ``(T, B, …)``."""
    cur = (4 * x - 2).contiguous(memory_format=torch.channels_last)
    return constant_current(cur, num_steps)


def show(cfg: Config, arm: str) -> Callable[[Tensor], Tensor]:
    """How an arm is shown an image: for T steps, the ANN for one."""
    return partial(encode, num_steps=1 if arm == "ANN" else cfg.num_steps)


def train_photos(
    cfg: Config, run: Run, data: ImageData, arm: str, seed: int, epochs: int, name: str = ""
) -> tuple[SpikingViT, list[dict[str, float]]]:
    """One training: Muon, a rate that rises and falls, labels smoothed, images mirrored and moved."""
    number = fast_number(run.device)
    net = photo_net(cfg, arm, seed, number)
    history = fit(
        net,
        data,
        show(cfg, arm),
        run=run,
        epochs=epochs,
        batch_size=cfg.batch_size,
        loss_fn=smoothed_loss,
        predict=highest_mean_current,
        augment=flip_and_shift,
        optimizer=partial(muon_for_convolutions, lr=cfg.lr, number=number),
        schedule=up_and_down,
        seed=seed,
        name=name,
        resume=cfg.resume,
        quiet=not name,
    )
    return net.eval(), history


def photo_point(cfg: Config, run: Run, arm: str, seed: int, data: ImageData) -> dict[str, float]:
    """Train one network for one epoch, keep its weights in a file, and read the test images."""
    net, _ = train_photos(cfg, run, data, arm, seed, 1)
    save_weights(net, weights_of(run, arm, seed))
    right = evaluate(net, data.x_test, data.y_test, show(cfg, arm), highest_mean_current)
    return {"right": right}


def weights_of(run: Run, arm: str, seed: int) -> Path:
    """Where the weights of one training of section 4 are kept."""
    return run.dir / "points" / f"photos {arm} {seed}.safetensors"


@torch.no_grad()
def above_one(net: SpikingViT, x: Tensor) -> float:
    """Of the inputs ≠ 0 that meet weights in the blocks: the share above 1."""
    above, found = 0, 0
    blocks = [layer for layer in net.layers if isinstance(layer, Block)]
    inside = {part for block in blocks for part in block.modules() if isinstance(part, nn.Conv2d)}
    for _, layer, inputs, _ in list(calls(net, x)):
        if layer in inside:
            above += int((inputs > 1).sum())
            found += int((inputs != 0).sum())
    return above / max(found, 1)


def long_trainings() -> tuple[int, dict[str, list[float]]]:
    """From the log of studies/18_cores.py: passes over the images, and test images read by each core's seeds."""
    found: dict[str, list[float]] = {}
    passes = 0
    with LOG.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            passes = max(passes, int(row["epoch"]))
            if row["test"]:  # read once, after the last pass
                shares = found.setdefault(row["core"], [])
                shares.append(float(row["test"]))
    return passes, found


@dataclass
class Arm:
    """The trainings of one arm: shares of test images read correctly, a seed each, and the first network."""

    test: list[float]
    net: SpikingViT


@section
def section_photographs(cfg: Config, run: Run) -> dict[str, Arm]:
    """4  From photographs to tokens, around the layers, and: does attention help here?

    **Tokens.** CIFAR-10 has 32×32 pixels and ten classes. Attention needs tokens, each made of a place's
    surroundings. There are two ways to make them:

        pooled    three 3×3 convolutions with neurons, max pooling after the first two: 8×8 tokens.
                  Spikformer calls it spiking patch splitting
        patches   as in the first vision transformers: 4×4 pixels are one token, made by a layer of
                  weights of its own and two further ones. No weight looks across a border

    **Shortcuts.** Then comes one block: attention, and two layers for every token by itself. A shortcut
    leads around either, as in lesson 10. Two kinds are in use, and they differ in what meets a weight:

        SEW        X ← X + SN(BN(F(X)))        spikes are added to spikes: X may be 2, 3, … Spikformer's
        membrane   U ← U + BN(F(SN(BN(U))))    currents are added to currents; what meets a weight has
                                               passed a neuron and is 0 or 1. The Spike-Driven Transformer's

    Where X is 2, a weight is added twice, and a chip of binary spikes cannot send a 2. (The Spike-Driven
    Transformer V2 keeps the membrane shortcut, puts blocks of convolutions before those with attention,
    and goes back from the mask of section 3 to Q·(Kᵀ·V).)

    **What is compared.** Six arms see the same images once, in the same order, with one learning rate (0.1 with
    Muon, as in lesson 10). Softmax differs from SSA in the core alone. Without attention there are no layers for
    Q and K. The ANN has ReLU in the place of neurons, T = 1, and softmax of real q and k: its gap is that
    of all these together. Nothing is chosen by validation images, and the accuracy is that on the first
    3,000 test images. A few thousand images tell little about attention, so studies/18_cores.py trained
    three of the arms on all 45,000, three seeds each, at the same learning rate, and read all 10,000 test
    images. Its log comes with the course (checkpoints/cifar10_cores.csv) and is the second table.

    **What is lost without the softmax?** Spikformer's authors publish, for networks a hundred times this
    size and more (tables 2, 3 and 5, T = 4; the first row is a vision transformer with as many weights):

                                                          CIFAR-10     ImageNet
        without spikes, softmax                            96.73 %      80.80 %
        Spikformer: SSA                                    95.19 %      73.38 %
        Spikformer: softmax of real q and k, spikes v      94.97 %      72.70 %
        Spikformer: softmax of real q, k and v             95.17 %      73.96 %

    The spiking network is 1.5 points behind, and 7.4 on the harder set. Putting the softmax back wins none
    of the 1.5 and at most 0.6 of the 7.4: little of the gap is the softmax's. The rest comes from the other
    differences: spikes in every layer, few steps, gradients through them. Neither these tables nor this
    lesson tells them apart: below, softmax against SSA is that one swap, and ANN against SSA is everything
    at once. Section 3 is no contradiction. There one token has to be found among 16, which asks for a sharp
    choice. What a network asks of its attention on photographs is looked at in section 5.
    """
    run.predict(
        "long_none",
        "The attention is taken out: every token keeps its own value. By how many points does the accuracy on "
        "photographs change, after all training images?",
        unit="points",
    )
    data = run.data(cifar10, n_train=512 if cfg.smoke else None)
    seen = cfg.short_images
    few = replace(data, x_train=data.x_train[:seen], y_train=data.y_train[:seen])
    few = replace(few, x_val=data.x_val[:100], y_val=data.y_val[:100])
    few = replace(few, x_test=data.x_test[:3000], y_test=data.y_test[:3000])
    decides = [cfg.dim, cfg.heads, cfg.blocks, cfg.batch_size, cfg.lr, cfg.short_images]
    decides.append(data.facts())
    code = (SpikingViT, Block, photo_net, train_photos, encode, show, smoothed_loss, fit)
    test = all_trainings(
        run, photo_point, PHOTOS, decides, built_from(*code), (SHARP, BETA), data=few
    )
    nets = {}
    for arm in PHOTOS:
        net = photo_net(cfg, arm, cfg.seed, fast_number(run.device))
        net = load_weights(net, weights_of(run, arm, cfg.seed))
        nets[arm] = net.to(run.device).eval()
    x = data.x_test[:100].to(run.device).float() / 255
    gaps = {arm: against(shares, test["SSA"]) for arm, shares in test.items() if arm != "SSA"}
    sums = {arm: above_one(net, show(cfg, arm)(x)) for arm, net in nets.items() if arm != "ANN"}
    rows = []
    for arm, shares in test.items():
        read = interval(100 * np.array(shares))
        whole = f"{100 * sums[arm]:.1f}" if arm in sums else ""
        weights = count_parameters(nets[arm])
        rows.append((arm, f"{weights:,}", about(read), signed(gaps.get(arm)), whole))
    n = len(few.y_train)
    columns = ("arm", "weights", "read (%)", "against SSA (points)", "inputs > 1 (%)")
    title = f"{n:,} images, each seen once: test images read, mean and 95 % interval of {cfg.seeds} seeds"
    run.table(title, columns, rows)

    passes, logged = long_trainings()
    long = {arm: logged[arm] for arm in PHOTOS if arm in logged}  # in the order of the first table
    more = {}
    rows = []
    for core, shares in long.items():
        if core != "SSA":
            more[core] = against(shares, long["SSA"])
        read = about(interval(100 * np.array(shares)))
        rows.append((core, read, signed(more.get(core))))
    often = "once" if passes == 1 else f"{passes} times"
    title = f"45,000 images, each seen {often} (from the log)"
    run.table(title, ("core", "read (%)", "against SSA (points)"), rows)

    title = f"Attention taken out: {signed(more['no attention'])} points (45,000 images); "
    title += f"the ANN: {signed(gaps['ANN'])} ({n:,} images)"
    fig, (left, right) = plots.figure(1, 2, (11.5, 3.7), title, sharex=True)
    gaps_of(left, gaps, "points above SSA", f"{n:,} images once: 95 % intervals")
    gaps_of(right, more, "points above SSA", f"45,000 images {often}: 95 % intervals")
    run.figure(fig, "4_photographs", look="which intervals leave out 0?")

    facts = {"n": len(few.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim("gap_patches", "patches, not pooled", gaps["SSA, patches"][0], "points", **facts)
    run.claim("gap_membrane", "membrane shortcut", gaps["SSA, membrane"][0], "points", **facts)
    trained = len(long["SSA"])
    facts = {"n": 10_000 * trained, "seeds": trained, "real": True}
    run.claim("long_ssa", "SSA, longer: test images read", float(np.mean(long["SSA"])), **facts)
    run.claim("long_none", "no attention, longer", more["no attention"][0], "points", **facts)
    run.claim("long_softmax", "softmax, longer", more["softmax"][0], "points", **facts)
    told = {core: f"{signed(gap)} points ({verdict(gap)})" for core, gap in more.items()}
    said = {arm: f"{signed(gap)} ({verdict(gap)})" for arm, gap in gaps.items()}
    gain, half = more["no attention"]
    may = ""
    if abs(gain) <= half:
        may = f", so that attention may win up to {half - gain:.1f} points or cost up to {half + gain:.1f}"
    run.finding(
        f"After 45,000 photographs, each seen {often}, SSA reads {100 * np.mean(long['SSA']):.1f} % of the test images. Without "
        f"attention: {told['no attention']}{may}; with softmax: {told['softmax']}. After {n:,}, in points against SSA: "
        f"patches {said['SSA, patches']}, the membrane shortcut {said['SSA, membrane']}, the ANN {said['ANN']}. "
        f"With SEW {100 * sums['SSA']:.0f} % of the block's inputs that are not 0 are above 1, with the membrane "
        f"shortcut {100 * sums['SSA, membrane']:.0f} %, as it has to be."
    )
    return {arm: Arm(test[arm], nets[arm]) for arm in PHOTOS}


# ---------------------------------------------------------------- 5  the trained network


def is_shipped(cfg: Config) -> bool:
    """Whether section 5 reads the weights that come with the course."""
    return (cfg.dim, cfg.heads, cfg.blocks) == (64, 2, 1) and not cfg.train


def long_network(cfg: Config, run: Run, data: ImageData) -> SpikingViT:
    """The network of section 5: from checkpoints/, or trained anew, if asked for or if its size is another."""
    number = fast_number(run.device)
    if is_shipped(cfg):
        net = load_weights(photo_net(cfg, "SSA", cfg.seed, number), SHIPPED)
        return net.to(run.device).eval()
    net, history = train_photos(cfg, run, data, "SSA", cfg.seed, cfg.epochs, "long")
    lines = ["epoch,loss,train,val"]
    for row in history:
        shown = [f"{row[name]:.4f}" for name in ("loss", "train", "val")]
        lines.append(",".join([str(row["epoch"]), *shown]))
    write_atomic(run.dir / "log.csv", "\n".join(lines) + "\n")
    run.checkpoint(net)
    return net


def foreign_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token asks with the query of its place in the image before it in the batch."""
    return spiking_attention(q.roll(1, 1), k, v)


def mean_answer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token gets the same: the mean of its image's answers."""
    answers = spiking_attention(q, k, v)  # (T, B, heads, N, d)
    return answers.mean(-2, keepdim=True).expand_as(answers)


def other_values(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Behind every key stands the value of another token of the image."""
    order = torch.randperm(q.shape[-2], device=q.device)
    return spiking_attention(q, k, v[..., order, :])


def other_image(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every image asks the keys and values of the image before it in the batch ``(T, B, heads, N, d)``."""
    return spiking_attention(q, k.roll(1, 1), v.roll(1, 1))


def no_answer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The attention hands on nothing."""
    return torch.zeros_like(q)


BATCH = 500  # images at a time, in which "another image" is the one before
DISTURBED: dict[str, Core] = {
    "queries of another image": foreign_queries,
    "the mean answer for all": mean_answer,
    "values of other tokens": other_values,
    "keys, values of another image": other_image,
    "no answer": no_answer,
}


@torch.no_grad()
def answers(net: SpikingViT, images: Tensor, cfg: Config, core: Core) -> Tensor:
    """The classes that the network names with ``core`` in all blocks: ``(N, 3, 32, 32)`` → ``(N,)``."""
    blocks = [layer for layer in net.layers if isinstance(layer, Block)]
    for block in blocks:
        block.attention.core = core
    named = []
    no_labels = torch.zeros(len(images))
    for x_b, _ in batches(images, no_labels, BATCH, device=net.fc.weight.device):
        named.append(highest_mean_current(net.run(encode(x_b, cfg.num_steps))).cpu())
    for block in blocks:
        block.attention.core = spiking_attention
    return torch.cat(named)


def of_the_image_before(y: Tensor) -> Tensor:
    """The class of the image whose keys and values ``other_image`` hands to each image: ``(N,)`` → ``(N,)``."""
    return torch.cat([batch.roll(1) for batch in y.split(BATCH)])


@torch.no_grad()
def heard(net: SpikingViT, x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Q, K and V of each block for ``x (T, B, 3, 32, 32)``: ``(T, B, heads, N, d)`` each."""
    found = []
    for layer in net.layers:
        if isinstance(layer, Block):
            part = layer.attention
            before = layer.before_attention.run(x)
            v = part.value.run(before)
            q = part.query.run(before) if part.query else v
            k = part.key.run(before) if part.key else v
            q, k, v = (split(y.float(), part.heads) for y in (q, k, v))
            found.append((q, k, v))
        x = layer.run(x)
    return found


def attention_maps(q: Tensor, k: Tensor) -> Tensor:
    """Whom each token hears, over all steps and heads: ``(T, B, heads, N, d)`` → ``(B, N, N)``, rows sum to 1."""
    counts = q @ k.transpose(-1, -2)  # (T, B, heads, N, N)
    counts = counts.sum((0, 2))
    total = counts.sum(-1, keepdim=True)
    return counts / total.clamp(min=1e-9)


CROSS = 27  # a token near the middle: row 3, column 3


def draw_heard(pictures: Any, data: ImageData, maps: Tensor) -> None:
    """Four photographs, and below each whom the token at the cross hears: ``maps (4, N)``."""
    axes = pictures.subplots(2, 4)
    shares = (100 * maps).view(4, 8, 8)
    top = float(shares.max())
    row, column = divmod(CROSS, 8)
    for i in range(4):
        photo, below = axes[:, i]
        photo.imshow(data.x_test[i].permute(1, 2, 0))
        photo.set_title(data.classes[int(data.y_test[i])])
        photo.plot(4 * column + 1.5, 4 * row + 1.5, "x", color=plots.RED, ms=8, mew=2)
        drawn = below.imshow(shares[i], vmin=0, vmax=top, cmap="Greys")
        below.plot(column, row, "x", color=plots.RED, ms=8, mew=2)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    axes[0, 0].set_ylabel("image")
    axes[1, 0].set_ylabel("the × hears")
    alike = 100 / maps.shape[-1]
    bar = pictures.colorbar(drawn, ax=axes[1], shrink=0.75, ticks=[0, alike, top])
    bar.ax.set_title("% of its\ncounts", fontsize=8)
    bar.ax.set_yticklabels(["0", f"{alike:.1f}\n(all alike)", f"{top:.1f}"])


@dataclass
class Trained:
    """What section 5 leaves for section 6."""

    net: SpikingViT
    data: ImageData
    accuracy: float


@section
def section_trained(cfg: Config, run: Run) -> Trained:
    """5  What does a trained network do with its attention?

    An SSA network as in section 4, trained for six passes, comes with the course
    (checkpoints/cifar10_ssa.safetensors, its log beside it as .csv; `--train` makes it anew). The pass that
    is kept was chosen on 5,000 validation images. It is compared with no other network.

    In section 4 one arm was *trained* without attention, so its other parts could make up for it. Here a
    finished network loses its attention, and cannot adapt. Its attention is disturbed in one of five ways,
    and the first 3,000 test images are read:

        queries of another image        each token asks with the query of its place in another image
        the mean answer for all         all tokens of an image get the mean of their answers
        values of other tokens          in each image the values are shuffled among the keys
        keys, values of another image   the right queries to the wrong memory
        no answer                       the attention is silent

    What would you expect? If tokens pick out what they need, the first two lines hurt: it matters who asks.
    If one answer does for all tokens of an image, they do not. Think of Q·(Kᵀ·V): the bracket is d×d numbers
    a head, which key channel goes with which value channel, over the whole image. Shuffled values leave the
    sums of keys and of values as they are, and spoil which goes with which. The fourth line hands over a
    complete summary, of the wrong image. Silence is not neutral, by the way: the BatchNorm behind the core
    has never seen zeros alone, so the last line also takes the network out of the range that it was trained
    for. (The ± is that of the images: one network, one draw of the shuffle for each batch of 500.)
    """
    run.predict(
        "lost_mean",
        "Every token gets the same answer from the attention: the mean of its image's answers. How many points of "
        "accuracy does the trained network lose?",
        unit="points",
    )
    data = run.data(cifar10, n_train=512 if cfg.smoke else None)
    net = long_network(cfg, run, data)
    right = (answers(net, data.x_test, cfg, spiking_attention) == data.y_test).float()
    accuracy = right.mean().item()
    x, y = data.x_test[:3000], data.y_test[:3000]
    named: dict[str, Tensor] = {}
    lost: dict[str, tuple[float, float]] = {}
    for name, core in live(list(DISTURBED.items()), "   disturbed", len(DISTURBED)):
        named[name] = answers(net, x, cfg, core)
        still = (named[name] == y).float()
        change = 100 * (right[: len(y)] - still)  # image by image
        spread = change.std().item()
        half = 1.96 * spread / math.sqrt(len(change))
        lost[name] = (change.mean().item(), half)
    wrong_memory = named["keys, values of another image"]
    follow = wrong_memory == of_the_image_before(y)
    follows = follow.float().mean().item()
    differ = y != of_the_image_before(y)
    strictly = follow[differ].float().mean().item()

    x = data.x_test[:4].to(run.device).float() / 255
    q, k, _ = heard(net, encode(x, cfg.num_steps))[-1]
    maps = attention_maps(q, k).cpu()  # (B, N, N)

    asked, mean, shuffled, image, silent = (lost[name] for name in DISTURBED)
    title = f"One mean answer for all tokens costs {mean[0]:.1f} points, no answer {silent[0]:.1f}, the memory of another "
    title += f"image {image[0]:.1f}"
    fig, _ = plots.figure(1, 1, (12.5, 3.9))
    fig.clear()  # two parts with axes of their own
    fig.suptitle(title, x=0.01, ha="left")
    pictures, bars = fig.subfigures(1, 2, width_ratios=(1.25, 1))
    draw_heard(pictures, data, maps[:4, CROSS])
    gaps_of(bars.subplots(), lost, "points lost", "attention disturbed")
    run.figure(fig, "5_trained", look="who is heard by the token at the cross?")

    facts = {"n": len(data.y_test), "seeds": 1, "real": True}
    target = ">= 0.90" if cfg.full else ">= 0.70"
    run.claim("accuracy", "test images read correctly", accuracy, target=target, **facts)
    facts["n"] = len(y)
    run.claim("lost_mean", "lost with the mean answer for all", mean[0], "points", **facts)
    run.claim("lost_values", "lost with shuffled values", shuffled[0], "points", **facts)
    run.claim("lost_image", "lost with another image's memory", image[0], "points", **facts)
    run.claim("lost_all", "lost without an answer", silent[0], "points", **facts)
    run.claim("follows", "then names the other image's class", follows, **facts)
    who, counts = "Much depends on who asks", "So tokens do choose"
    at_most = max(asked[0] + asked[1], mean[0] + mean[1], 0.01)
    if at_most < silent[0] / 4:
        who = f"Who asks matters for less than 1/{int(silent[0] / at_most)} of that"
        counts = f"Tokens do hear some more than others (up to {100 * maps[:4, CROSS].max():.1f} % in the figure), but "
        counts += "one mean answer for all tokens does nearly as well: a summary of the image, and not the look-up of section 3"
    pairs = "which value stands behind which key is not shown to matter"
    if shuffled[0] > shuffled[1]:
        pairs = f"which value stands behind which key is worth {about(shuffled)}"
    memory = "No worse than none is the memory of another image"
    if image[0] - image[1] > silent[0] + silent[1]:
        memory = "Worse than none is the memory of another image"
    run.finding(
        f"The network reads {100 * accuracy:.1f} % of {len(data.y_test):,} test images, and {about(silent)} points less "
        "without an answer from its attention (one that is trained without any is not shown to read fewer: section 4). "
        f"{who}: another image's queries cost {about(asked)}, the mean answer for all {about(mean)}. {counts}; "
        f"{pairs}. {memory} ({about(image)}): in {100 * follows:.0f} % of the cases it then names that image's class "
        f"({100 * strictly:.0f} % where the two classes differ).",
        main=True,
        claim="accuracy",
    )
    return Trained(net, data, accuracy)


# ---------------------------------------------------------------- 6  cost


def reached(layer: nn.Module, inputs: Tensor) -> float:
    """Σ over inputs of their value times the outputs that it reaches: fewer at an edge."""
    ones = {"weight": torch.ones_like(layer.weight)}
    if layer.bias is not None:
        ones["bias"] = torch.zeros_like(layer.bias)
    return torch.func.functional_call(layer, ones, inputs).double().sum().item()


def core_operations(core: Core, q: Tensor, k: Tensor, v: Tensor, spiking: bool) -> dict[str, float]:
    """Operations of one attention core for ``(T, B, heads, N, d)``, zeros skipped: see ``operations``."""
    if core is own_value:
        return {}
    if core is spiking_attention:
        return {"core_adds": min(additions(q, k, v).values())}
    tokens = q.shape[-2]
    asks = (q != 0).double()
    tells = (k != 0).double()
    meet = asks @ tells.transpose(-1, -2)
    both = meet.sum().item()
    spikes = (v != 0).sum().item()
    mixed = tokens * spikes  # every query hears every value
    pairs = q[..., 0].numel() * tokens
    name = "core_adds" if spiking else "core_macs"
    return {name: both + mixed, "exponentials": pairs}


@torch.no_grad()
def operations(net: SpikingViT, x: Tensor) -> dict[str, float]:
    """Operations an image for ``x (T, B, 3, 32, 32)``, zeros skipped wherever an input is 0.

    ``adds``: something is added (an input of 2 adds twice). ``macs``: it is multiplied first.
    ``core_adds``, ``core_macs`` and ``exponentials``: the part of the products of Q, K and V. ``updates``:
    neurons that leak and are compared with θ. The image stands still and is convolved once; the read-out
    gets the mean of all steps, once.
    """
    names = (
        "adds",
        "macs",
        "core_adds",
        "core_macs",
        "exponentials",
        "updates",
    )
    found = dict.fromkeys(names, 0.0)
    spiking = any(isinstance(layer, snn.SpikingNeuron) for layer in net.modules())
    for name, layer, inputs, _ in list(calls(net, x)):
        if isinstance(layer, snn.SpikingNeuron):
            found["updates"] += inputs.numel()
        elif name in ("layers.0.conv", "fc"):  # real numbers in either network
            found["macs"] += reached(layer, (inputs != 0).float()) / len(x)
        elif spiking:
            found["adds"] += reached(layer, inputs.float())
        else:
            found["macs"] += reached(layer, (inputs != 0).float())
    blocks = [layer for layer in net.layers if isinstance(layer, Block)]
    for block, (q, k, v) in zip(blocks, heard(net, x), strict=True):
        made = core_operations(block.attention.core, q, k, v, spiking)
        for name, number in made.items():
            found[name] += number
    found["adds"] += found["core_adds"]
    found["macs"] += found["core_macs"]
    return {name: value / x.shape[1] for name, value in found.items()}


@section
def section_cost(cfg: Config, run: Run) -> None:
    """6  What does it cost, counted alike on both sides?

    An addition of a weight is counted wherever an input is not 0, a multiply-accumulate where a real
    number that is not 0 meets a weight: in the ANN's layers too, since ReLU makes zeros as neurons do.
    The first convolution sees grey values and multiplies in all networks, once, since the image stands
    still. All else that meets a weight in a spiking network is added, T times. In the core:

        SSA              `additions` of section 2, in the cheaper order
        softmax          coincidences of spikes for Q·Kᵀ; then each spike of V adds N real weights;
                         N² exponentials and divisions a head and step
        ANN              real Q, K and V, signed, so that hardly any is 0: two products of N²·d
                         multiply-accumulates, and N² exponentials and divisions a head, once

    Only the spiking networks have neurons. At every step each of them forms β·U + I and compares it with θ, spike
    or not. They are counted apart, at lesson 17's price: a multiply-accumulate and an addition. (Where β = 1/2
    is a shift of whole numbers, a third of that. A ReLU is one comparison: 0.03 µJ for all of the ANN's,
    left out.)

    Energy is *estimated*: 0.9 pJ for an addition of 32-bit floats, 4.6 pJ with a multiplication (45 nm,
    Horowitz, ISSCC 2014). Left out, on all sides: reading weights and potentials from memory, which often
    costs more than arithmetic, BatchNorm, and exponentials, so what the softmax itself costs stays open. (With
    spikes it takes 16,384 of them an image; at ten multiply-accumulates each they would be 0.75 µJ.) So this
    is arithmetic alone, on a chip that skips zeros, for 100 test images and one training of each network:
    section 4's, first seed, which have seen 6,000 images, and the shipped one, which has no ANN beside it.

    In Q·Kᵀ·V the ratio of the ANN to SSA is a product of three factors: the operation, 4.6/0.9 = 5.1; the order,
    since the softmax forbids Kᵀ·V first (an ANN without it may take that order, too); and the zeros that are
    skipped, although SSA takes T steps and the ANN one. (It is not the 87 of section 3, which is for another attention.)

    **When does spiking attention make sense?** Where energy is worth some accuracy (section 4) and three
    things come together:

        zeros are skipped            inputs are sparse, steps are few, and the chip works on events. A GPU or
                                     CPU multiplies every zero, T times over: take softmax attention there
        N > d                        many tokens, few channels a head, so that Kᵀ·V first pays
        the chip can write weights   in a layer the weights are stored. In Q·Kᵀ·V both factors are activity:
                                     Kᵀ·V is a matrix of weights written anew at every step. A chip with fixed
                                     weights, such as the AKD1000, cannot do it; digital cores that can be
                                     programmed can. SDSA asks for less: a counter a channel, and an `and`
    """
    run.predict(
        "core_share",
        "Which share of all additions of the trained SSA network is made by its attention, Q·Kᵀ·V?",
        unit="%",
    )
    arms: dict[str, Arm] = run.result_of(section_photographs)
    trained: Trained = run.result_of(section_trained)
    data = trained.data
    x = data.x_test[:100].to(run.device).float() / 255
    kinds = ("SSA", "softmax", "no attention", "ANN")
    cost = {arm: operations(arms[arm].net, show(cfg, arm)(x)) for arm in kinds}
    cost["SSA, section 5"] = operations(trained.net, encode(x, cfg.num_steps))
    energy, core, neurons = {}, {}, {}  # estimated, in µJ
    whole: dict[str, float] = {}
    rows, priced = [], []
    for arm, c in cost.items():
        energy[arm] = estimated_energy_nj(c["adds"], c["macs"]) / 1000
        core[arm] = estimated_energy_nj(c["core_adds"], c["core_macs"]) / 1000
        neurons[arm] = estimated_energy_nj(c["updates"], c["updates"]) / 1000
        cells = [f"{number / 1000:,.0f}" for number in c.values()]
        rows.append((arm, *cells))
        whole[arm] = energy[arm] + neurons[arm]
        parts = (f"{neurons[arm]:.2f}", f"{whole[arm]:.2f}", f"{core[arm]:.3f}")
        priced.append((arm, f"{energy[arm]:.2f}", *parts))
    columns = (
        "",
        "adds",
        "MACs",
        "QKV adds",
        "QKV MACs",
        "exp.",
        "neurons",
    )
    title = "One image: operations in thousands; adds and MACs hold those of QKV"
    run.table(title, columns, rows)
    columns = ("", "without neurons", "neurons", "together", "of that QKV")
    run.table("One image: energy of arithmetic, estimated, in µJ", columns, priced)

    ratio = energy["ANN"] / energy["SSA"]
    ratio_whole = whole["ANN"] / whole["SSA"]
    soft = energy["softmax"] / energy["SSA"]
    core_ratio = core["ANN"] / max(core["SSA"], 1e-9)
    title = f"Estimated energy: the ANN takes {ratio:.1f} times SSA's ({ratio_whole:.1f} with neurons), a softmax of spikes "
    title += f"{soft:.2f} times (without its exponentials)"
    fig, axes = plots.figure(1, 3, (13.5, 3.3), title)
    plots.bars(axes[0], {arm: whole[arm] for arm in kinds}, fmt="{:.2f}", color=plots.ORANGE)
    arithmetic = [energy[arm] for arm in kinds]
    axes[0].barh(kinds, arithmetic, color=plots.BLUE, height=0.65, label="weights and Q·Kᵀ·V")
    axes[0].barh(kinds, 0, color=plots.ORANGE, label="neurons")
    axes[0].legend(loc="upper right")
    plots.label(axes[0], "energy of arithmetic (µJ)", "", "whole network")
    plots.bars(axes[1], {arm: core[arm] for arm in kinds}, fmt="{:.3f}")
    plots.label(axes[1], "energy of arithmetic (µJ)", "", "Q·Kᵀ·V alone, without exponentials")
    read = {arm: interval(100 * np.array(arms[arm].test)) for arm in kinds}
    shares = [share for share, _ in read.values()]
    drawn = axes[2].barh(kinds, shares, color=plots.BLUE, height=0.65)
    axes[2].bar_label(drawn, [about(pair) for pair in read.values()], padding=4, fontsize=9)
    axes[2].invert_yaxis()
    axes[2].margins(x=0.3)
    axes[2].grid(False, axis="y")
    plots.label(axes[2], "test images read correctly (%)", "", f"after {cfg.short_images:,} images")
    run.figure(fig, "6_cost", look="what is saved by the attention, and what around it?")

    mine = cost["SSA, section 5"]
    share = mine["core_adds"] / max(mine["adds"], 1)
    gap = against(arms["ANN"].test, arms["SSA"].test)
    facts = {"n": min(3000, len(data.y_test)) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    core_adds, core_macs = cost["SSA"]["core_adds"], cost["ANN"]["core_macs"]
    run.claim(
        "core_adds",
        "SSA: additions of Q·Kᵀ·V",
        core_adds,
        "",
        real=True,
    )
    run.claim("core_macs", "ANN: multiplications of Q·Kᵀ·V", core_macs, "", real=True)
    run.claim("core_share", "section 5: Q·Kᵀ·V of all additions", share, real=True)
    run.claim("energy", "energy, ANN / SSA (estimated)", ratio, "×", real=True)
    run.claim("core_energy", "energy of Q·Kᵀ·V, ANN / SSA", core_ratio, "×", real=True)
    run.claim("gap_ann", "accuracy, ANN against SSA", gap[0], "points", **facts)
    p50, p95 = latency(lambda: trained.net.run(encode(x[:1], cfg.num_steps)), run.device)
    weights = count_parameters(trained.net)
    run.ledger(
        model=f"spiking transformer, SSA (ANN: section 4's, {cfg.short_images:,} images)",
        data=data.name,
        accuracy=trained.accuracy,
        n=len(data.y_test),
        num_steps=cfg.num_steps,
        parameters=weights,
        bytes=4 * weights,
        synops=mine["adds"],
        macs=mine["macs"],
        ann_macs_nonzero=cost["ANN"]["macs"],
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        energy_estimated_nj=1000 * energy["SSA, section 5"],
    )
    in_order = 0.0  # SSA's additions, if Q·Kᵀ came first as in the ANN
    for qkv in heard(arms["SSA"].net, encode(x, cfg.num_steps)):
        in_order += additions(*qkv)["(QKᵀ)V"] / len(x)
    saved = (core["ANN"] - core["SSA"]) / ((energy["ANN"] - energy["SSA"]) or 1)
    first = estimated_energy_nj(0, cost["SSA"]["macs"]) / 1000
    first /= energy["SSA"]  # with the 640 multiplications of the read-out
    order = in_order / max(core_adds, 1)
    zeros = core_macs / max(in_order, 1)
    ticks = neurons["SSA"] / max(core["SSA"], 1e-9)
    soft_adds = cost["softmax"]["core_adds"]
    less = 100 * (1 - 1 / soft)
    saves = f"{less:.1f} % less" if less > 0 else f"{-less:.1f} % more"
    exponentials = cost["softmax"]["exponentials"]
    run.finding(
        f"Spikes and additions can make attention: SSA makes {core_adds:,.0f} additions an image in Q·Kᵀ·V. A softmax of the "
        f"same spikes makes {soft_adds:,.0f}, and {exponentials:,.0f} exponentials, which are not priced; without them, "
        f"SSA's whole network takes {saves} energy (estimated). Against the ANN, Q·Kᵀ·V takes 1/{core_ratio:.0f}: "
        f"{PJ_PER_MAC / PJ_PER_AC:.1f} by the operation × {order:.1f} by the order × {zeros:.1f} by skipped zeros. The ANN's whole "
        f"network takes {ratio:.1f} times SSA's energy, or {ratio_whole:.1f} times with SSA's neurons, which take {ticks:.0f} times the "
        f"energy of its Q·Kᵀ·V. The ANN reads {signed(gap)} points ({verdict(gap)}). Of what SSA saves against it, {100 * saved:.0f} % is saved in Q·Kᵀ·V; of what SSA still costs, "
        f"{100 * first:.0f} % is the first convolution, which multiplies."
    )


def main(cfg: Config, run: Run) -> None:
    section_attention(cfg, run)
    section_order(cfg, run)
    section_memory(cfg, run)
    section_photographs(cfg, run)
    section_trained(cfg, run)
    section_cost(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
