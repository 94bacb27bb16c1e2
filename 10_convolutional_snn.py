"""Lesson 10 — Spiking convolutional and residual networks: images in colour, and depth

Question
    How do convolutions and spikes go together, why do deep stacks of spiking layers stop learning, and what
    does a spike-element-wise (SEW) shortcut change?

Idea
    A convolution sees one time step and many places; a LIF neuron sees one place and many time steps. One after
    the other, with the same weights at every step, they look at space and time in turns:

        I[t] = conv(S_below[t])      U[t] = β·U[t−1] + I[t] − θ·S[t−1]      S[t] = H(U[t] − θ)          (1)

    Depth. Going back through a layer, an error is multiplied by the weights and by the surrogate σ′. Weights that
    make currents of variance 1 (BatchNorm sees to it) out of spikes S amplify it by about 1/√Var(S), and the
    surrogate lets √E[σ′²] of it pass:

        ‖∂L/∂S^(l−1)‖ ≈ ρ·‖∂L/∂S^l‖,   ρ = √(E[σ′(U − θ)²] / Var(S))   ⇒   ‖∂L/∂S^l‖ ≈ ρ^(D−l)·‖∂L/∂S^D‖    (2)

    A ReLU with He's weights has ρ = 1. Here ρ hangs on the slope of a surrogate that somebody picked: below 1 the
    error vanishes, above 1 it explodes, and depth is the exponent. (The error's way through time, by β, is left out.)

    A remedy is a path on which the factor is 1. Adding the shortcut to the current, as ResNets do, gives none:
    SN(F(S) + S) ends in a spike function again. SEW joins spikes behind the neuron, A = SN(F(S^(l−1))):

        S^l[t] = g(A[t], S^(l−1)[t]),   g:  ADD  A + S    AND  A·S    IAND  (1 − A)·S    (plain  A)        (3)
        direct path ∂g/∂S:                  1             A           1 − A              0

    A block that stays silent (A = 0) is the identity under ADD and IAND, with gradient 1; for AND it would have to
    fire always. ADD pays: what it hands on are whole numbers, no longer spikes.

    Memory. Backward needs each membrane and each spike again. In bytes of 32-bit numbers, for P weights, a still
    input of C·H·W values and C_l·H_l·W_l neurons in layer l:

        M = 4·(P + B·C·H·W + T·B·Σ_l 2·C_l·H_l·W_l)                                                     (4)

Read first
    Theory:   Fang et al. 2021, SEW-ResNet, https://arxiv.org/abs/2102.04159
              Fang et al. 2021, PLIF (learnt time constants), https://arxiv.org/abs/2007.05785
    Practice: snnTorch tutorial 6, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_6.html

Run
    uv run 10_convolutional_snn.py              31 minutes on one thread of a busy machine, 21 of them the main training
    uv run 10_convolutional_snn.py --resume     go on after Ctrl-C from the last finished epoch
    uv run 10_convolutional_snn.py --smoke      seconds, stand-in data
    uv run 10_convolutional_snn.py --full       SEW-ResNet-18, 100 epochs, aims at 92 %: for a GPU. NOT RUN so far. Its
        6·10^16 operations would take 50 minutes at 20 TFLOP/s (assumed), 16 days at 3.2 images/s (one CPU thread here)
    torchrun --nproc-per-node 2 10_convolutional_snn.py        several processes or GPUs, every training

You should see
    67.6 % of the 10,000 test images with T = 4; the same weights answer with T = 1 at 62 %.
    Through 20 plain blocks the error shrinks to 1/77,000 (flat surrogate) or grows 790,000-fold (steep); by SEW's ADD
    it changes 1.5- and 32-fold. Sixteen blocks, trained briefly: plain 18 %, ADD 34, IAND 26, AND 10 (chance).
    Equation (4) is right to 0.12 %: 114,688 bytes a step and image. τ = 16 in place of 2: 34 falls to 10 % (chance) if
    the input is scaled by 1/τ, and stays at 39 to 40 % if not: the neurons were silent, not forgetful.

Builds on / leads to
    07 gave the surrogate whose slope decides here, 09 the training loop (training.fit). 11 takes convolutions
    to event data, 12, 14 and 17 start from SmallCNN and its weights, 16 gets such a network by conversion.

Predict: with --num-steps 1 no membrane remembers anything. How many points of accuracy does that cost?
Next: uv run 11_neuromorphic_data_tonic.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.cost import ann_macs, ledger_row
from common.data import ImageData, batches, cifar10
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time, reset_state
from multistep import saved_for_backward, unroll
from training import evaluate, fit, membrane_loss
from training.augment import flip_and_shift
from tutor.network_check import complaints

import numpy as np
import snntorch as snn
import torch
from matplotlib.figure import Figure
from snntorch import surrogate
from torch import nn


@dataclass
class Config(LessonConfig):
    """The main training takes all images; the experiments after it a few thousand of them, several seeds each."""

    num_steps: int = bounded(4, 1, 100_000)
    """time steps per image (T)"""
    epochs: int = bounded(6, 1, 1000)
    """passes over the training images in the main training"""
    batch_size: int = bounded(64, 2, 45_000)
    """images per gradient step"""
    lr: float = bounded(2e-3, 1e-7, 10.0)
    """learning rate at the start; it falls to zero along a cosine"""
    beta: float = bounded(0.5, 0.0, 1.0)
    """membrane decay per step"""
    depth: int = bounded(16, 2, 100)
    """blocks of the deep stacks that are trained"""
    sweep_train: int = bounded(3_000, 10, 45_000)
    """training images in the experiments after the main training"""
    sweep_epochs: int = bounded(3, 1, 1000)
    """epochs in those experiments"""
    seeds: int = bounded(2, 1, 20)
    """seeds in those experiments"""
    resume: bool = False
    """go on from the checkpoint of a run that was cut"""


SMOKE = {"epochs": 1, "num_steps": 2, "depth": 4, "sweep_train": 128, "sweep_epochs": 1, "seeds": 1}
FULL = {
    "epochs": 100,
    "batch_size": 128,
    "lr": 1e-3,
    "sweep_train": 20_000,
    "sweep_epochs": 5,
    "seeds": 3,
}

DEPTHS, WIDTH = (6, 10, 14, 20), 16  # blocks and channels of the deep stacks, on maps of 8×8
SLOPES = (
    0.5,
    2.0,
    8.0,
)  # α of the surrogate σ′(x) = (α/2) / (1 + (π·α·x/2)²): flat, snnTorch's default, steep
TIMES, BATCHES = (
    (1, 2, 4, 8),
    (2, 8, 32),
)  # T and B at which the memory formula meets what is measured
CARD = 24 * 2**30  # bytes of the graphics card that the course is written for


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


def encode(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Grey values 0..1, centred and stretched to −2..2, as a current that stays: ``(B, …) → (T, B, …)``."""
    return constant_current(4 * x - 2, num_steps)


# ------------------------------------------------------------------------------------ depth: plain and SEW

CONNECT: dict[
    str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
] = {  # g(A, S) of equation (3)
    "plain": lambda a, s: a,
    "ADD": lambda a, s: a + s,
    "AND": lambda a, s: a * s,
    "IAND": lambda a, s: (1 - a) * s,
}


def conv_norm(
    c_in: int, c_out: int, kernel: int, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    """Convolution and BatchNorm: currents of mean 0 and variance 1 (under torchrun, over each process's own part)."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False), nn.BatchNorm2d(c_out)
    )


def through_time(layers: nn.Sequential, s: torch.Tensor) -> torch.Tensor:
    """Synapses and neurons in turn over all steps, each neuron from rest: ``(T, B, C, H, W)``."""
    for layer in layers:
        s = unroll(layer, s)[0] if isinstance(layer, snn.Leaky) else over_time(layer, s)
    return s


class Block(nn.Module):
    """S^l[t] = g(SN(F(S^(l−1)[t])), S^(l−1)[t]). Where sizes change, the shortcut is a 1×1 convolution with neurons."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        connect: str,
        neuron: Callable[[], snn.Leaky],
        stride: int = 1,
        convs: int = 1,
    ) -> None:
        super().__init__()
        self.connect, path = connect, [conv_norm(c_in, c_out, 3, stride, 1), neuron()]
        for _ in range(convs - 1):
            path += [conv_norm(c_out, c_out, 3, 1, 1), neuron()]
        self.path, changes = (
            nn.Sequential(*path),
            connect != "plain" and (stride > 1 or c_in != c_out),
        )
        self.shortcut = nn.Sequential(
            *([conv_norm(c_in, c_out, 1, stride), neuron()] if changes else [])
        )

    def forward(self, s_t: torch.Tensor) -> torch.Tensor:
        return CONNECT[self.connect](self.path(s_t), self.shortcut(s_t))

    def run(self, s: torch.Tensor) -> torch.Tensor:
        return CONNECT[self.connect](through_time(self.path, s), through_time(self.shortcut, s))


class SpikingResNet(nn.Module):
    """Stem → blocks → 4×4 average → Linear → Leaky. ``widths``: one entry a stage; every stage but the first halves."""

    def __init__(
        self,
        widths: Sequence[int],
        blocks: Sequence[int],
        connect: str = "ADD",
        beta: float = 0.5,
        convs: int = 1,
        stem_stride: int = 1,
        slope: float = 2.0,
        num_outputs: int = 10,
    ) -> None:
        super().__init__()
        neuron = partial(
            snn.Leaky, beta=beta, init_hidden=True, spike_grad=surrogate.atan(alpha=slope)
        )
        first = (
            conv_norm(3, widths[0], 4, 4)
            if stem_stride == 4
            else conv_norm(3, widths[0], 3, stem_stride, 1)
        )
        self.stem, self.blocks, before = nn.Sequential(first, neuron()), nn.ModuleList(), widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for i in range(count):
                self.blocks.append(
                    Block(before, width, connect, neuron, 2 if stage and i == 0 else 1, convs)
                )
                before = width
        size = 32 // stem_stride // 2 ** (len(widths) - 1) // 4  # of the map after the average
        self.head = nn.Sequential(
            nn.AvgPool2d(4), nn.Flatten(), nn.Linear(before * size**2, num_outputs)
        )
        self.out = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 3, 32, 32)`` → output spikes and membrane, each ``(B, 10)``."""
        s_t = self.stem(x_t)
        for block in self.blocks:
            s_t = block(s_t)
        return self.out(self.head(s_t))

    def layers(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """S^l ``(T, B, C, H, W)``: of the stem, then of each block."""
        yield (s := through_time(self.stem, x))
        for block in self.blocks:
            yield (s := block.run(s))

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 3, 32, 32)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``, starting from rest."""
        *_, s = self.layers(x)
        spk, mem, _ = unroll(self.out, over_time(self.head, s), record_mem=True)
        return spk, mem


def stack(cfg: Config, connect: str, depth: int, seed: int, slope: float = 2.0) -> SpikingResNet:
    """A deep stack whose weights depend on the seed alone: the four kinds start from the same ones."""
    torch.manual_seed(seed)
    return SpikingResNet((WIDTH,), (depth,), connect, cfg.beta, stem_stride=4, slope=slope)


sew_resnet18 = partial(SpikingResNet, (64, 128, 256, 512), (2, 2, 2, 2), "ADD", convs=2)
"""the network of --full"""


def kept_bytes(num_steps: int, batch: int, parameters: int, image: int, neurons: int) -> int:
    """Equation (4): bytes of 32-bit numbers that backward needs. A membrane and a spike for each neuron and step."""
    return 4 * (parameters + batch * image + num_steps * batch * 2 * neurons)


def largest_batch(
    num_steps: int, parameters: int, image: int, neurons: float, card: int = CARD
) -> int:
    """Equation (4) solved for B, with room for the gradient and Adam's two moments: 4 numbers a weight in all."""
    return max(0, int((card / 4 - 4 * parameters) // (image + num_steps * 2 * neurons)))


def scale_currents(net: SmallCNN, beta: float) -> SmallCNN:
    """Give the hidden neurons PLIF's update, in which the leak weighs the input too: with β = 1 − 1/τ

        U[t] = U[t−1] + (I[t] − U[t−1])/τ = β·U[t−1] + (1 − β)·I[t]                                     (5)

    ``snn.Leaky`` computes β·U[t−1] + I[t]; a constant I then ends at U = I/(1 − β) = τ·I, in (5) at U = I. The
    factor goes behind each convolution, as a hook. The read-out is left as it is.
    """
    for conv in (net.conv1, net.conv2, net.conv3):
        conv.register_forward_hook(lambda _conv, _inputs, cur: (1 - beta) * cur)
    return net


# ------------------------------------------------------------------------------------ experiments


def experiment_train(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """The main training on all images: the small network, or with --full the SEW-ResNet. Best epoch by validation."""
    torch.manual_seed(cfg.seed)
    net = sew_resnet18(beta=cfg.beta) if cfg.full else SmallCNN(beta=cfg.beta)
    enc = partial(encode, num_steps=cfg.num_steps)
    history = fit(
        net,
        data,
        enc,
        run=run,
        check=complaints,
        epochs=cfg.epochs,
        lr=cfg.lr,
        batch_size=cfg.batch_size,
        augment=partial(flip_and_shift, shift=4 if cfg.full else 2),
        weight_decay=5e-2 if cfg.full else 0.0,
        name="main",
        resume=cfg.resume,
    )
    steps = sorted({1, 2, cfg.num_steps, 2 * cfg.num_steps})
    other = {
        T: evaluate(net, data.x_test[:2000], data.y_test[:2000], partial(encode, num_steps=T))
        for T in steps
    }
    return {
        "net": net,
        "history": history,
        "accuracy": evaluate(net, data.x_test, data.y_test, enc),
        "other": other,
    }


def experiment_gradients(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """‖∂L/∂S^l‖ of every block's output at initialisation, relative to the last block's, and ρ of equation (2)."""
    x, y = next(batches(data.x_train, data.y_train, 32, device=run.device))
    norms, means, depths = {}, {}, (3, 6) if cfg.smoke else DEPTHS
    for connect, slope, depth in [(c, a, d) for c in CONNECT for a in SLOPES for d in depths]:
        rows = []
        for seed in range(cfg.seed, cfg.seed + cfg.seeds):
            net = stack(cfg, connect, depth, seed, slope).to(run.device)
            outputs = list(net.layers(encode(x, cfg.num_steps)))[1:]
            for s in outputs:
                s.retain_grad()
            mem = unroll(net.out, over_time(net.head, outputs[-1]), record_mem=True)[1]
            membrane_loss((mem, mem), y).backward()
            norm = np.array([s.grad.norm().item() for s in outputs])  # (depth,)
            rows.append(norm / max(norm[-1], 1e-30))
        norms[connect, slope, depth] = np.stack(rows)  # (seeds, depth)
        means[connect, depth] = np.array([s.detach().mean().item() for s in outputs])
    rho = {a: predicted_rho(cfg, a) for a in SLOPES}
    return {"norms": norms, "means": means, "depths": depths, "rho": rho}


def predicted_rho(cfg: Config, slope: float) -> float:
    """ρ of equation (2) for one neuron whose current is standard normal at every step, without any network."""
    g = torch.Generator().manual_seed(0)
    cur = torch.randn(1, 100_000, generator=g).expand(
        cfg.num_steps, -1
    )  # a still image: the same at every step
    spk, mem, _ = unroll(snn.Leaky(beta=cfg.beta), cur, record_mem=True)  # (T, N) each
    derivative = slope / 2 / (1 + (torch.pi / 2 * slope * (mem - 1)) ** 2)  # σ′(U − θ)
    return (derivative.square().mean() / spk.var()).sqrt().item()


def experiment_connections(cfg: Config, data: ImageData, run: Run) -> dict[str, np.ndarray]:
    """Test accuracy of plain, ADD, AND and IAND stacks: the same weights at the start, images, order and epochs."""
    accuracy = {}
    for connect in CONNECT:
        accuracy[connect] = np.array(
            [
                short_training(stack(cfg, connect, cfg.depth, seed), cfg, data, run, seed)
                for seed in range(cfg.seed, cfg.seed + cfg.seeds)
            ]
        )
        run.print(f"          {connect}: {accuracy[connect].mean():.4f}")
    return accuracy


def short_training(net: nn.Module, cfg: Config, data: ImageData, run: Run, seed: int) -> float:
    """A few epochs on a few thousand images; accuracy on the test images of ``data``."""
    enc = partial(encode, num_steps=cfg.num_steps)
    fit(
        net,
        data,
        enc,
        run=run,
        epochs=cfg.sweep_epochs,
        lr=2e-3,
        batch_size=64,
        augment=flip_and_shift,
        seed=seed,
        quiet=True,
    )
    return evaluate(net, data.x_test, data.y_test, enc)


def experiment_time_constant(cfg: Config, data: ImageData, run: Run) -> dict[str, dict[str, Any]]:
    """The same network with τ = 2 and τ = 16, with PLIF's update (5) and with snnTorch's."""
    rows, (image, _) = {}, next(batches(data.x_test, data.y_test, 200, device=run.device))
    for scaled, tau in [(True, 2), (True, 16), (False, 2), (False, 16)]:
        name, accuracy, at_start = (
            f"τ = {tau}, " + ("input scaled" if scaled else "snnTorch"),
            [],
            [],
        )
        for seed in range(cfg.seed, cfg.seed + cfg.seeds):
            torch.manual_seed(seed)
            net = SmallCNN(beta=1 - 1 / tau)
            net = (scale_currents(net, 1 - 1 / tau) if scaled else net).to(run.device)
            at_start.append(rates(net, image, cfg))
            accuracy.append(short_training(net, cfg, data, run, seed))
        rows[name] = {"accuracy": np.array(accuracy), "at_start": np.mean(at_start, 0)}
        run.print(f"          {name}: {np.mean(accuracy):.4f}")
    return rows


@torch.no_grad()
def rates(net: SmallCNN, image: torch.Tensor, cfg: Config) -> list[float]:
    """Spikes per neuron and step of the three hidden layers, for ``image (B, 3, 32, 32)``."""
    spk1 = unroll(net.lif1, over_time(net.conv1, encode(image, cfg.num_steps)))[0]
    spk2 = unroll(net.lif2, over_time(net.conv2, spk1))[0]
    return [s.mean().item() for s in (spk1, spk2, unroll(net.lif3, over_time(net.conv3, spk2))[0])]


def experiment_memory(cfg: Config, device: torch.device) -> dict[str, Any]:
    """Bytes kept for backward over a grid of T and B, stepped through snnTorch and by ``run``, beside equation (4)."""
    net = SmallCNN(beta=cfg.beta).to(device)
    neurons = sum(
        m.out_channels * size**2 for m, size in ((net.conv1, 16), (net.conv2, 8), (net.conv3, 4))
    )
    sizes = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "image": 3 * 32 * 32,
        "neurons": neurons,
    }
    rows = [
        {"T": T, "B": B, "predicted": kept_bytes(T, B, **sizes), **measure_bytes(net, T, B, device)}
        for T in TIMES
        for B in BATCHES
    ]
    return {
        "rows": rows,
        "worst": max(abs(r["predicted"] / r["kept"] - 1) for r in rows),
        "sizes": sizes,
    }


def measure_bytes(
    net: SmallCNN, num_steps: int, batch: int, device: torch.device
) -> dict[str, int]:
    """Bytes alive for backward after a forward pass: step by step, and by ``run``; on a GPU also the peak."""
    image, y = (
        torch.rand(batch, 3, 32, 32, device=device),
        torch.zeros(batch, dtype=torch.long, device=device),
    )
    found = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    reset_state(net)
    with saved_for_backward() as kept:
        mem = torch.stack([net(image)[1] for _ in range(num_steps)])  # (T, B, 10)
        loss = membrane_loss((mem, mem), y)
        found["kept"] = kept()
    loss.backward()
    net.zero_grad(set_to_none=True)
    if device.type == "cuda":  # workspace of the convolutions and the gradients come on top
        found["peak"] = torch.cuda.max_memory_allocated(device) - before
    with saved_for_backward() as kept:
        loss = membrane_loss(net.run(constant_current(image, num_steps)), y)
        found["run"] = kept()
    return found


def experiment_sew_resnet(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """A few steps of the network of --full on one small batch: does it train, and how fast is it here?"""
    torch.manual_seed(cfg.seed)
    B, count = (2, 2) if cfg.smoke else (8, 8)
    net = sew_resnet18(beta=cfg.beta).to(run.device)
    x, y = next(batches(data.x_train, data.y_train, B, device=run.device))
    parameters = sum(p.numel() for p in net.parameters())
    with saved_for_backward() as kept:
        loss = membrane_loss(net.run(encode(x, cfg.num_steps)), y)
        numbers = (kept() // 4 - parameters - x.numel()) / (cfg.num_steps * B)  # a step and image
    optimizer, losses = torch.optim.AdamW(net.parameters(), lr=1e-3), []
    started = time.perf_counter()
    for i in range(count):
        loss = membrane_loss(net.run(encode(x, cfg.num_steps)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        run.print(f"          step {i + 1}/{count}: loss {losses[-1]:.3f}")
    speed = B * count / (time.perf_counter() - started)  # images a second, forward and backward
    macs = ann_macs(net.eval(), x[:1])
    stem = 3 * 9 * 64 * 32 * 32  # computed once: the image stands still
    flop = 2 * 3 * (stem + cfg.num_steps * (macs - stem))  # backward takes about two forward passes
    return {
        "losses": losses,
        "speed": speed,
        "flop": flop,
        "sizes": {"parameters": parameters, "image": 3 * 32 * 32, "neurons": numbers / 2},
    }


# ------------------------------------------------------------------------------------ figures


def plot_training(result: dict[str, Any], data: ImageData) -> Figure:
    history, other = result["history"], result["other"]
    fig, (b, c) = plots.figure(
        1,
        2,
        size=(11, 3.9),
        title=(
            f"{100 * result['accuracy']:.1f} % of the {len(data.y_test):,} test images of {data.name} after "
            f"{len(history)} epochs"
        ),
    )
    plots.curves(
        b,
        [h["epoch"] for h in history],
        {
            "training (moved images)": [100 * h["train"] for h in history],
            "validation": [100 * h["val"] for h in history],
        },
    )
    plots.label(b, "epoch", "accuracy (%)", "The epoch is chosen on validation")
    b.xaxis.get_major_locator().set_params(integer=True)
    plots.curves(c, list(other), {"test (2,000 images)": [100 * v for v in other.values()]})
    c.set_xscale("log", base=2)
    c.set_xticks(list(other), [str(T) for T in other])
    plots.label(
        c, "time steps T when tested", "accuracy (%)", "Trained with one T, tested with others"
    )
    return fig


def plot_gradients(found: dict[str, Any]) -> Figure:
    norms, depths, deepest = found["norms"], found["depths"], found["depths"][-1]
    (low, high), add = (
        [norms[c, a, deepest][:, 0].mean() for a in SLOPES[::2]] for c in ("plain", "ADD")
    )
    fig, axes = plots.figure(
        2,
        2,
        size=(11.5, 7.8),
        title=(
            f"Through {deepest} plain blocks the error is multiplied by 1/{1 / max(low, 1e-30):,.0f} or by {high:,.0f}, by "
            f"the surrogate's slope alone;\nwith ADD by {add[0]:.2g} or {add[1]:.2g}"
        ),
    )
    at = np.arange(1, deepest + 1)
    for ax, slope in zip(axes.flat, SLOPES, strict=False):
        now = {
            c: norms[c, slope, deepest] for c in CONNECT
        }  # (seeds, D); a logarithm has no place for zero
        plots.curves(
            ax,
            at,
            {
                c if v.min() > 0 else f"{c}: zero": np.where(v > 0, v, np.nan)
                for c, v in now.items()
            },
        )
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.plot(
            at,
            found["rho"][slope] ** (deepest - at),
            color="0.4",
            linewidth=1,
            label="equation (2)",
        )
        ax.set_yscale("log")
        ax.legend()
        plots.label(
            ax, "block l", "‖∂L/∂S^l‖ / ‖∂L/∂S^D‖", f"α = {slope:g}: ρ = {found['rho'][slope]:.2f}"
        )
    plots.curves(
        axes[1, 1],
        depths,
        {
            f"{c}, α = {a:g}": np.stack([norms[c, a, d][:, 0] for d in depths], 1)
            for c in ("plain", "ADD")
            for a in SLOPES[::2]
        },
    )
    axes[1, 1].set_yscale("log")
    axes[1, 1].set_xticks(depths)
    plots.label(axes[1, 1], "depth D (blocks)", "first block / last block", "Depth is the exponent")
    return fig


def two_panels(title: str, values: dict[str, np.ndarray], bars_title: str) -> tuple[Figure, Any]:
    """Left: mean accuracy by name, with a dot a seed. Right: still empty."""
    fig, (a, b) = plots.figure(1, 2, size=(11.5, 3.9), title=title)
    plots.bars(
        a, {name: 100 * v.mean() for name, v in values.items()}, fmt="   {:.1f}", color=plots.SKY
    )
    for i, v in enumerate(values.values()):
        a.plot(100 * v, [i] * len(v), "o", color=plots.BLACK, markersize=3.5)
    plots.label(a, "test accuracy (%)", "", f"{bars_title} (dots: single seeds)")
    return fig, b


def plot_connections(accuracy: dict[str, np.ndarray], found: dict[str, Any], cfg: Config) -> Figure:
    gain = {
        c: 100 * (accuracy[c].mean() - accuracy["plain"].mean()) for c in CONNECT if c != "plain"
    }
    deepest, means = found["depths"][-1], found["means"]
    fig, ax = two_panels(
        "Same weights at the start, same epochs. Against plain: "
        + ", ".join(f"{c} {g:+.1f}" for c, g in gain.items())
        + " points",
        accuracy,
        f"{cfg.depth} blocks, trained briefly",
    )
    plots.curves(
        ax,
        range(1, deepest + 1),
        {c: np.where(means[c, deepest] > 1e-6, means[c, deepest], np.nan) for c in CONNECT},
    )
    ax.set_yscale("log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    plots.label(
        ax,
        "block l",
        "mean of S^l per neuron and step",
        "Before training: ADD counts up, AND falls silent",
    )
    return fig


def plot_memory(memory: dict[str, Any], resnet_sizes: dict[str, Any]) -> Figure:
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11, 4),
        title=(f"Equation (4) predicts the memory of training to {100 * memory['worst']:.2g} %"),
    )
    for B, colour, marker in zip(BATCHES, plots.COLOURS, plots.MARKERS, strict=False):
        mine = [r for r in memory["rows"] if r["B"] == B]
        a.plot(TIMES, [r["predicted"] / 2**20 for r in mine], color=colour)
        a.plot(
            TIMES,
            [r["kept"] / 2**20 for r in mine],
            marker,
            color=colour,
            label=f"measured, B = {B}",
        )
    a.plot([], [], color="0.5", label="equation (4)")
    a.legend()
    a.set_yscale("log", base=2)
    a.yaxis.set_major_formatter("{x:g}")
    plots.label(a, "time steps T", "kept for backward (MiB)", "SmallCNN")
    steps = [1, 2, 4, 8, 16, 32, 64]
    plots.curves(
        b,
        steps,
        {
            "SmallCNN": [largest_batch(T, **memory["sizes"]) for T in steps],
            "SEW-ResNet-18": [largest_batch(T, **resnet_sizes) for T in steps],
        },
    )
    b.set_yscale("log")
    plots.label(
        b, "time steps T", "largest batch B", "What fits on a card of 24 GB: T·B is the budget"
    )
    for ax, ticks in ((a, TIMES), (b, steps)):
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks, [str(T) for T in ticks])
    return fig


def plot_time_constant(rows: dict[str, dict[str, Any]]) -> Figure:
    good, bad = (100 * rows[f"τ = {tau}, input scaled"]["accuracy"].mean() for tau in (2, 16))
    fig, ax = two_panels(
        f"Too long a time constant: {good:.1f} % falls to {bad:.1f} % where the leak scales the input",
        {name: r["accuracy"] for name, r in rows.items()},
        "The same network, trained briefly",
    )
    plots.curves(ax, (1, 2, 3), {name: 100 * r["at_start"] for name, r in rows.items()})
    ax.set_xticks((1, 2, 3), ["conv 1", "conv 2", "conv 3"])
    plots.label(
        ax, "layer", "spikes per neuron and step (%)", "Before training: is anything alive?"
    )
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(cifar10, n_train=256 if cfg.smoke else None)
    n, model = len(data.y_test), "SEW-ResNet-18" if cfg.full else "SmallCNN"
    few = replace(
        data,
        x_train=data.x_train[: cfg.sweep_train],
        y_train=data.y_train[: cfg.sweep_train],
        x_val=data.x_val[:500],
        y_val=data.y_val[:500],
        x_test=data.x_test[:3000],
        y_test=data.y_test[:3000],
    )
    how, n_few = (
        f"{len(few.x_train):,} images, {cfg.sweep_epochs} epochs, {cfg.seeds} seeds",
        3000 * cfg.seeds,
    )

    run.print(f"\n1  Train {model}")
    trained = experiment_train(cfg, data, run)
    run.checkpoint(trained["net"])
    if cfg.resume:
        run.note(
            "The main training was resumed from its checkpoint; its time is not in the wall time."
        )
    run.figure(plot_training(trained, data), "training")
    run.claim(
        "accuracy",
        "test accuracy, read by the mean output membrane",
        trained["accuracy"],
        target=">= 0.92" if cfg.full else ">= 0.60",
        n=n,
        real=True,
    )
    for T, value in trained["other"].items():
        run.claim(
            f"tested_T{T}",
            f"the same network tested with T = {T}",
            value,
            n=min(2000, n),
            real=True,
        )
    sample = encode(data.x_test[:200].to(run.device).float() / 255, cfg.num_steps)
    row = ledger_row(
        trained["net"],
        sample,
        model=f"SNN {model}",
        data=data.name,
        accuracy=trained["accuracy"],
        n=n,
    )
    run.ledger(**row)
    run.claim("synops", "accumulates per image (NeuroBench)", row["synops"], "SynOps", real=True)

    run.print("\n2  Gradients and depth, at initialisation")
    found = experiment_gradients(cfg, data, run)
    run.figure(plot_gradients(found), "gradients")
    depths, seeds = found["depths"], cfg.seeds
    ratio = lambda c, a, d: float(found["norms"][c, a, d][:, 0].mean())  # noqa: E731
    run.table(
        f"First block's gradient relative to the last's (means over {seeds} seeds)",
        ("blocks", "α", *(f"D = {d}" for d in depths)),
        [(c, a, *(ratio(c, a, d) for d in depths)) for c in CONNECT for a in SLOPES],
    )
    for a, word in zip(SLOPES, ("flat", "default", "steep"), strict=True):
        for c in ("plain", "ADD"):
            run.claim(
                f"gradient_{c.lower()}_{word}",
                f"{c}, α = {a:g}: gradient at block 1 / block {depths[-1]}",
                ratio(c, a, depths[-1]),
                "×",
                n=seeds,
            )
        measured = max(ratio("plain", a, depths[-1]), 1e-30) ** (1 / (depths[-1] - 1))
        run.claim(f"rho_{word}", f"plain, α = {a:g}: ρ by equation (2)", found["rho"][a], "×")
        run.claim(
            f"factor_{word}", f"plain, α = {a:g}: factor a block, measured", measured, "×", n=seeds
        )

    run.print(f"\n3  {cfg.depth} blocks, plain, ADD, AND, IAND: {how}")
    accuracy = experiment_connections(cfg, few, run)
    run.figure(plot_connections(accuracy, found, cfg), "connections")
    for c in CONNECT:
        run.claim(
            f"depth_{c.lower()}",
            f"{cfg.depth} blocks, {c}",
            float(accuracy[c].mean()),
            n=n_few,
            real=True,
        )

    run.print("\n4  Memory, and the network of --full")
    memory, net18 = experiment_memory(cfg, run.device), experiment_sew_resnet(cfg, data, run)
    run.figure(plot_memory(memory, net18["sizes"]), "memory")
    run.table(
        "Bytes kept for backward",
        ("T", "B", "equation (4)", "step by step", "run", "GPU, peak"),
        [
            (*(r[k] for k in ("T", "B", "predicted", "kept", "run")), r.get("peak", "–"))
            for r in memory["rows"]
        ],
    )
    run.claim(
        "memory",
        f"equation (4) against bytes measured, largest error on {len(memory['rows'])} points",
        memory["worst"],
        target="<= 0.05",
    )
    run.claim(
        "memory_slope", "SmallCNN: kept per step and image", 8 * memory["sizes"]["neurons"], "bytes"
    )
    run.claim(
        "resnet_slope",
        "SEW-ResNet-18: kept per step and image",
        8 * net18["sizes"]["neurons"],
        "bytes",
    )
    run.claim(
        "resnet_loss",
        f"SEW-ResNet-18: loss after / before {len(net18['losses'])} steps on one batch",
        net18["losses"][-1] / net18["losses"][0],
        "",
        "<= 0.9",
    )
    run.claim("resnet_speed", "SEW-ResNet-18: training on this device", net18["speed"], "images/s")
    run.claim(
        "resnet_flop",
        "SEW-ResNet-18: arithmetic of training, per image",
        net18["flop"] / 1e9,
        "GFLOP",
    )

    run.print(f"\n5  The time constant: {how}")
    rows = experiment_time_constant(cfg, few, run)
    run.figure(plot_time_constant(rows), "time_constant")
    for name, key in zip(rows, ("tau2_scaled", "tau16_scaled", "tau2", "tau16"), strict=True):
        run.claim(
            key, f"{name}: short training", float(rows[name]["accuracy"].mean()), n=n_few, real=True
        )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
