"""Lesson 20 — Spiking state space models: a neuron with a longer memory, trained in parallel, run token by token

Question
    Can a spiking network remember hundreds of steps, train without walking through them one by one, and still answer
    with a memory that does not grow?

Idea
    A state space model (SSM) drives a state h by an input x and reads it out as y. With a diagonal A each of its N
    entries is a damped oscillator. Holding x still during a step Δ (zero-order hold) gives an exact recursion:

        h′(τ) = A·h(τ) + B·x(τ)            y(τ) = Re C·h(τ) + D·x(τ)                                  (1)
        h[t] = Ā·h[t−1] + B̄·x[t]           Ā = e^(ΔA),  B̄ = A⁻¹(e^(ΔA) − 1)·B                         (2)

    With A = −e^a + iω, |Ā| < 1 for every a: the state cannot explode. A LIF neuron below its threshold *is* this with
    N = 1, ω = 0: β = e^(ΔA). A spiking SSM gives each neuron N complex memories, some long, some ringing. Equation
    (2) can be worked out step by step (inference), as a convolution if Δ is fixed, and as a scan if it is not: pairs
    (Ā, B̄x) are joined by an associative operation, any bracketing will do, T steps take about 2·log₂T rounds:

        y = K ∗ x,     K[k] = Re C·Ā^k·B̄ + D·[k = 0]                                                  (3)
        (a₂, b₂) ∘ (a₁, b₁) = (a₂a₁, a₂b₁ + b₂)                                                       (4)

    Mamba lets Δ depend on the input (its algorithm 2): a large Δ forgets and takes the input in, a small one waits.

        Δ[t] = softplus(bias + w·x[t])                                                                (5)

    How does y become a spike? By a LIF neuron, whose reset makes the next step wait for this one; or by chance, as in
    P-SpikeSSM, which needs no reset and keeps all steps parallel (surrogate as in its authors' code):

        S[t] ~ Bernoulli(p[t]),   p = clip(y, 0, 1)        ∂S/∂y ≈ ∂p/∂y: 1 where 0 < y < 1, else 0  (6)

Read first
    Theory:   Mamba, Gu & Dao 2023, sections 2 and 3, https://arxiv.org/abs/2312.00752
              P-SpikeSSM (ICLR 2025) https://arxiv.org/abs/2406.02923 · SPikE-SSM https://arxiv.org/abs/2410.17268
              Mamba-Spike https://arxiv.org/abs/2408.11823 · SpikeGPT https://arxiv.org/abs/2302.13939
    Practice: S4D, how to choose A, Gu et al. 2022, https://arxiv.org/abs/2206.11893

Run
    uv run 20_spiking_mamba_ssm.py              eleven minutes on one CPU core
    uv run 20_spiking_mamba_ssm.py --resume     go on after Ctrl-C with the main training
    uv run 20_spiking_mamba_ssm.py --smoke      seconds, stand-in data
    uv run 20_spiking_mamba_ssm.py --full       784 steps, 128 channels, 4 blocks, 30 epochs: for a GPU

You should see
    97.93 % on MNIST's test images, a pixel a step. With few images: by chance 1.8 points below LIF, GELU 5.0 above.
    Steps, scan and convolution agree to 8e-7 on up to 16,384 steps; the scan takes 1/26 of the loop's time.
    8,704 bytes of state at every token (attention's cache: 1,928 times as many). Δ by input loses to a fixed Δ here.

Builds on / leads to
    01 and 06 gave e^(−Δ/τ), 13 this task, 18 the attention that this replaces. Open in the field: states multiply at
    every step, spikes or not (measured here); a LIF's reset forbids the scan, a neuron without one is another neuron;
    SpikeGPT (216 M parameters) is small beside the language models it points to; who builds a chip for such states?
    Nothing of this is a stable package yet: the layers are our own, from the papers.

Predict: with --dt-max 0.02 every memory is longer than the image at the start. Will accuracy rise or fall?
Next: uv run capstone_pong.py
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.cost import PJ_PER_AC, PJ_PER_MAC, latency
from common.data import ImageData, mnist
from common.device import synchronize
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import over_time, reset_state
from multistep import unroll
from training import evaluate, fit

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn


@dataclass
class Config(LessonConfig):
    """``num_steps`` is the length of the sequence: the image is shrunk to ⌈√T⌉ × ⌈√T⌉ and read pixel by pixel. The
    experiments after the main training use half the channels, two blocks, ``sweep_train`` images and several seeds."""

    num_steps: int = bounded(196, 1, 784)
    """length of the sequence (T): 196 = 14×14 pixels, 784 = all of them"""
    epochs: int = bounded(3, 1, 1000)
    """passes over the training images in the main training"""
    batch_size: int = bounded(50, 2, 10_000)
    """images per gradient step"""
    lr: float = bounded(2e-2, 1e-7, 1.0)
    """learning rate at the start; it falls to zero along a cosine"""
    num_hidden: int = bounded(64, 4, 4096)
    """channels: each is one spiking neuron with a state of its own (H)"""
    num_blocks: int = bounded(2, 1, 64)
    """blocks of SSM, neuron and mixing matrix"""
    num_state: int = bounded(8, 1, 256)
    """complex numbers of state a channel (N)"""
    dt_max: float = bounded(0.2, 1e-4, 10.0)
    """largest Δ at the start; the smallest is a fiftieth of it, and memories last about 2/Δ steps"""
    sweep_train: int = bounded(5_000, 10, 55_000)
    """training images in the comparisons"""
    sweep_epochs: int = bounded(2, 1, 100)
    """epochs in the comparisons"""
    seeds: int = bounded(3, 1, 20)
    """seeds in the comparisons"""
    resume: bool = False
    """go on with the main training from its checkpoint"""


SMOKE = {
    "epochs": 1,
    "num_hidden": 8,
    "num_steps": 36,
    "sweep_train": 100,
    "sweep_epochs": 1,
    "seeds": 1,
}
FULL = {
    "epochs": 30,
    "num_hidden": 128,
    "num_blocks": 4,
    "num_state": 16,
    "num_steps": 784,
    "lr": 1e-2,
    "batch_size": 100,
    "dt_max": 0.1,
    "sweep_train": 10_000,
    "sweep_epochs": 4,
}

KINDS = (
    "LIF",
    "stochastic",
    "threshold",
    "GELU",
)  # how y becomes the block's output; the last one does not spike
STATES = (0, 1, 4, 16)  # N in the ablation; 0: no SSM, the LIF membranes are the only memory
TOKENS = (256, 1024, 4096, 16_384)

# ------------------------------------------------------------------------------------ the equations as code


def steps(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """h[t] = a[t]·h[t−1] + b[t] from rest, one step after the other: ``(T, …) → (T, …)``."""
    h = torch.empty_like(b)
    h[0] = b[0]
    for t in range(1, len(b)):
        torch.addcmul(
            b[t], a[t], h[t - 1], out=h[t]
        )  # h[t] = a·h[t−1] + b[t]                         (2)
    return h


def scan(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The same as ``steps`` in about 2·log₂T rounds, each of which works on all its steps at once."""
    T = len(b)
    if T == 1:
        return b
    even, odd = slice(0, T // 2 * 2, 2), slice(1, None, 2)
    # neighbours are joined: (a₂, b₂) ∘ (a₁, b₁) = (a₂a₁, a₂b₁ + b₂)                                    (4)
    pairs = scan(a[odd] * a[even], a[odd] * b[even] + b[odd])  # (T/2, …): h at every second step
    h = torch.empty_like(b)
    h[odd] = pairs
    h[0] = b[0]
    h[2::2] = (
        a[2::2] * pairs[: len(b[2::2])] + b[2::2]
    )  # the steps in between: one more step of (2)
    return h


class Recurrence(torch.autograd.Function):
    """``apply(a, b, steps or scan) -> h``, each ``(T, …)``. Going back, the error runs the recursion from the end."""

    @staticmethod
    def forward(
        ctx: Any, a: torch.Tensor, b: torch.Tensor, join: Callable[..., torch.Tensor]
    ) -> torch.Tensor:  # type: ignore[override]
        h = join(a, b)
        ctx.save_for_backward(a, h)
        ctx.join = join
        return h

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
        a, h = ctx.saved_tensors
        # δ[t] = ∂L/∂h[t] + a[t+1]*·δ[t+1]: equation (2) with time reversed (* is the complex conjugate)
        later = torch.cat([torch.zeros_like(a[:1]), a[1:].flip(0).conj()])
        delta = ctx.join(later, grad.flip(0)).flip(0)
        grad_a = torch.zeros_like(a)
        torch.mul(delta[1:], h[:-1].conj(), out=grad_a[1:])  # ∂L/∂a[t] = δ[t]·h[t−1]*
        return grad_a, delta, None


def sample(y: torch.Tensor) -> torch.Tensor:
    """Spikes by chance with P-SpikeSSM's surrogate, ``y → S`` of the same shape."""
    p = y.clamp(0, 1)
    spk = (torch.rand_like(p) < p).to(
        p.dtype
    )  # S ~ Bernoulli(p)                                      (6)
    return spk + (p - p.detach())  # adds zero; its gradient is ∂p/∂y                      (6)


class SSM(nn.Module):
    """H channels, each with N complex states: diagonal A, zero-order hold.

    ``delta`` says what Δ is: ``frozen`` (as initialised), ``learnt`` (a number a channel) or ``input`` (equation 5).
    A starts as S4D-Lin, A_n = −1/2 + iπn; B = 1, for a state's scale is in C as well.
    """

    def __init__(self, H: int, N: int, dt_max: float, delta: str = "learnt") -> None:
        super().__init__()
        self.a = nn.Parameter(torch.full((H, N), math.log(0.5)))
        self.omega = nn.Parameter(math.pi * torch.arange(N).float().repeat(H, 1))
        self.C = nn.Parameter(torch.randn(H, N, 2))  # real and imaginary part
        self.D = nn.Parameter(torch.randn(H))
        dt = dt_max * torch.logspace(0, math.log10(0.02), H)  # memories of about 2/Δ steps
        self.bias = nn.Parameter(
            dt.expm1().log(), requires_grad=delta != "frozen"
        )  # softplus(bias) = Δ
        self.w = nn.Parameter(torch.randn(H) / H**0.5) if delta == "input" else None
        self.state: torch.Tensor | None = None  # (B, H, N), for forward

    def delta(self, x: torch.Tensor) -> torch.Tensor:
        """Δ: ``(H,)`` if it is fixed, ``(…, H)`` if it depends on ``x (…, H)``."""
        if self.w is None:
            return F.softplus(self.bias)
        return F.softplus(
            self.bias + (x @ self.w)[..., None]
        )  # Δ[t] = softplus(bias + w·x[t])        (5)

    def discretise(self, dt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Δ ``(…, H)`` → Ā and B̄, ``(…, H, N)``."""
        dt = dt[..., None]
        A_bar = torch.polar(
            torch.exp(-self.a.exp() * dt), self.omega * dt
        )  # Ā = e^(ΔA), A = −e^a + iω (2)
        return A_bar, (A_bar - 1) / torch.complex(
            -self.a.exp(), self.omega
        )  # B̄ = A⁻¹(Ā − 1)          (2)

    def read(self, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """States ``(…, H, N)`` → y ``(…, H)``: y = Re C·h + D·x."""
        return (self.C[..., 0] * h.real - self.C[..., 1] * h.imag).sum(-1) + self.D * x

    def forward(self, x_t: torch.Tensor) -> torch.Tensor:
        """One step: ``(B, H) → (B, H)``; this is all that inference needs, however long the sequence."""
        A_bar, B_bar = self.discretise(self.delta(x_t))
        new = B_bar * x_t[..., None]
        self.state = (
            new if self.state is None else A_bar * self.state + new
        )  # h[t] = Ā·h[t−1] + B̄·x[t] (2)
        return self.read(self.state, x_t)

    def step_through(self, x: torch.Tensor) -> torch.Tensor:
        """``forward`` over all steps of ``x (T, B, H)``, from rest."""
        self.state = None
        return torch.stack([self(x_t) for x_t in x])

    def kernel(self, T: int) -> torch.Tensor:
        """K ``(T, H)``: the answer to a single input 1 at step 0."""
        dt = self.delta(self.D)
        weight = torch.view_as_complex(self.C) * self.discretise(dt)[1]  # C·B̄, (H, N)
        k = torch.arange(T, device=dt.device)[:, None, None] * dt[:, None]  # k·Δ, (T, H, 1)
        damping, angle = torch.exp(-self.a.exp() * k), self.omega * k  # Ā^k, (T, H, N)
        K = (damping * (weight.real * angle.cos() - weight.imag * angle.sin())).sum(
            -1
        )  # Re C·Ā^k·B̄  (3)
        return torch.cat([K[:1] + self.D, K[1:]])

    def run(self, x: torch.Tensor, join: Callable[..., torch.Tensor] | None = None) -> torch.Tensor:
        """All steps from rest: ``(T, B, H) → (T, B, H)``. By default the fastest way this device has."""
        T = len(x)
        if self.w is None and join is None:
            n = (
                2 * T
            )  # room for both, so that the end of the sequence does not come in again at its beginning
            f = torch.fft.rfft(x.permute(1, 2, 0), n=n) * torch.fft.rfft(
                self.kernel(T).t(), n=n
            )  # (B, H, T + 1)
            return torch.fft.irfft(f, n=n)[..., :T].permute(2, 0, 1).contiguous()  # y = K ∗ x   (3)
        A_bar, B_bar = self.discretise(self.delta(x))
        b = B_bar * x[..., None]  # (T, B, H, N)
        # a scan does about three times the work of the steps: worth it where steps would leave the device idle
        join = join or (scan if x.device.type != "cpu" else steps)
        return self.read(Recurrence.apply(A_bar.expand_as(b), b, join), x)


# ------------------------------------------------------------------------------------ the network


class Block(nn.Module):
    """SSM → BatchNorm → neuron → mixing matrix, added to the real-valued stream x.

    Only 0 and 1 meet the mixing matrix; the SSM multiplies x, spikes or not (see ``operations``).
    """

    def __init__(
        self, num_hidden: int, num_state: int, dt_max: float, kind: str, delta: str
    ) -> None:
        super().__init__()
        self.ssm = SSM(num_hidden, num_state, dt_max, delta) if num_state else None
        self.norm = nn.BatchNorm1d(
            num_hidden
        )  # keeps y near the threshold; folds into C and D afterwards
        self.lif = snn.Leaky(beta=0.5, init_hidden=True) if kind == "LIF" else None
        self.mix = nn.Linear(num_hidden, num_hidden)
        self.kind = kind

    def fire(self, cur: torch.Tensor) -> torch.Tensor:
        """Every kind but the LIF neuron, which has a memory: all steps at once, or one."""
        if self.kind == "stochastic":
            return sample(cur)
        return F.gelu(cur) if self.kind == "GELU" else snn.surrogate.atan()(cur - 1)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, H)`` → the stream and the spikes, each ``(B, H)``."""
        cur = self.norm(self.ssm(x_t) if self.ssm else x_t)
        spk = self.lif(cur) if self.lif else self.fire(cur)
        return x_t + self.mix(spk), spk

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, H)`` → the stream and the spikes, each ``(T, B, H)``."""
        cur = over_time(self.norm, self.ssm.run(x) if self.ssm else x)
        spk = unroll(self.lif, cur)[0] if self.lif else self.fire(cur)
        return x + over_time(self.mix, spk), spk


class Net(nn.Module):
    """A number a step → H channels → blocks → 10 scores a step; their mean over the last quarter is the answer."""

    def __init__(
        self,
        num_hidden: int = 64,
        num_blocks: int = 2,
        num_state: int = 8,
        dt_max: float = 0.2,
        kind: str = "LIF",
        delta: str = "learnt",
    ) -> None:
        super().__init__()
        self.encoder = nn.Linear(1, num_hidden)
        self.blocks = nn.ModuleList(
            Block(num_hidden, num_state, dt_max, kind, delta) for _ in range(num_blocks)
        )
        self.head = nn.Linear(num_hidden, 10)

    def reset(self) -> None:
        """Forget the sequence before: the membranes, and the states of the SSMs, which snnTorch does not know."""
        reset_state(self)
        for m in self.modules():
            if isinstance(m, SSM):
                m.state = None

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 1)`` → the last block's spikes ``(B, H)`` and the scores ``(B, 10)``."""
        x = self.encoder(x_t)
        for block in self.blocks:
            x, spk = block(x)
        return spk, self.head(x)

    def run(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """All steps from rest: ``(T, B, 1)`` → each block's spikes ``(T, B, H)`` and scores ``(T/4, B, 10)``."""
        x, recs = over_time(self.encoder, x), []
        for block in self.blocks:
            x, spk = block.run(x)
            recs.append(spk)
        return recs, over_time(self.head, x[-max(1, len(x) // 4) :])


def make_net(cfg: Config, seed: int, **changes: Any) -> Net:
    """A fresh network whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    sizes = {k: getattr(cfg, k) for k in ("num_hidden", "num_blocks", "num_state", "dt_max")}
    return Net(**(sizes | changes))


def encode(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Images ``(B, 1, 28, 28)``, 0..1 or bytes → one pixel a step, ``(T, B, 1)``, about mean 0 and variance 1."""
    x, side = x.float() / 255 if x.dtype == torch.uint8 else x, math.ceil(num_steps**0.5)
    small = F.adaptive_avg_pool2d(x, side) if side < x.shape[-1] else x
    return ((small.flatten(1)[:, :num_steps] - 0.13) / 0.3).t()[..., None]


# ------------------------------------------------------------------------------------ experiments


def experiment_discretise(cfg: Config) -> dict[str, float]:
    """The obvious step, Euler's h + Δ·(A·h + x), beside zero-order hold, for x = 1; the truth is (e^(AΔt) − 1)/A."""
    N, T, dt = 8, 50, 0.1
    A = torch.complex(torch.full((N,), -0.5), math.pi * torch.arange(N).float())
    factor = torch.stack([1 + dt * A, torch.exp(dt * A)])  # Ā of Euler, and of (2)
    gain = torch.stack([torch.full_like(A, dt), (factor[1] - 1) / A])  # B̄
    h, A = steps(factor.expand(T, 2, N), gain.expand(T, 2, N)), A.to(torch.complex128)  # (T, 2, N)
    exact = (torch.exp(A * dt * torch.arange(1, T + 1)[:, None]) - 1) / A  # (T, N)
    error = ((h - exact[:, None]).abs() / exact.abs().max(0).values).amax(
        (0, 2)
    )  # Euler's, and that of (2)
    beta, cur = (
        math.exp(-0.1),
        torch.randn(T, 1, 1, generator=torch.Generator().manual_seed(cfg.seed)),
    )
    mem = unroll(snn.Leaky(beta=beta, threshold=1e9), cur, record_mem=True)[
        1
    ]  # a LIF that never fires
    return {
        "explode": (factor[0].abs() > 1).sum().item(),
        "euler": error[0].item(),
        "zoh": error[1].item(),
        "lif": (mem - scan(torch.full_like(cur, beta), cur)).abs().max().item(),
    }  # N = 1, ω = 0


def experiment_forms(cfg: Config, device: torch.device) -> dict[str, Any]:
    """Steps, scan and convolution of one SSM: do they agree, and how long do they take? Δ fixed and by input."""
    lengths = (16, 64) if cfg.smoke else (196, 784, 4096, 16_384)
    worst, seconds = {"learnt": 0.0, "input": 0.0}, {}
    for delta in worst:
        torch.manual_seed(cfg.seed)
        ssm = SSM(16, 8, cfg.dt_max, delta).to(device)
        ways = {"step by step": ssm.step_through, "scan": partial(ssm.run, join=scan)} | (
            {"convolution": ssm.run} if delta == "learnt" else {}
        )
        for T in lengths:
            x, results = torch.randn(T, 1, 16, device=device), {}
            for name in (*ways, *ways):  # each way twice: the first time warms up
                started = time.perf_counter()
                with torch.no_grad():
                    results[name] = ways[name](x)
                synchronize(device)
                seconds[delta, name, T] = time.perf_counter() - started
            truth = results["step by step"]
            errors = [(y - truth).abs().max() / truth.abs().max() for y in results.values()]
            worst[delta] = max(worst[delta], *(e.item() for e in errors))
    return {"worst": worst, "seconds": seconds, "lengths": lengths}


def train(
    net: Net, cfg: Config, data: ImageData, run: Run, seed: int, name: str = ""
) -> tuple[list[dict[str, float]], float]:
    """``fit``, its loss the cross entropy of the mean score over the steps that are read; history and test accuracy."""
    enc, epochs = partial(encode, num_steps=cfg.num_steps), cfg.epochs if name else cfg.sweep_epochs
    history = fit(
        net,
        data,
        enc,
        run=run,
        epochs=epochs,
        lr=cfg.lr,
        seed=seed,
        batch_size=cfg.batch_size,
        name=name,
        resume=cfg.resume and bool(name),
        quiet=not name,
    )
    return history, evaluate(net, data.x_test, data.y_test, enc)


def experiment_train(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """The main training: LIF neurons after SSMs with learnt Δ, on all training images."""
    net = make_net(cfg, cfg.seed)
    history, accuracy = train(net, cfg, data, run, cfg.seed, "main")
    with torch.no_grad():
        spk, _ = net.eval().run(
            encode(data.x_test[:200].to(run.device), cfg.num_steps)
        )  # (T, B, H) each
        kernels = net.blocks[0].ssm.kernel(cfg.num_steps).cpu().numpy()  # (T, H)
    return {
        "net": net,
        "history": history,
        "test": accuracy,
        "kernels": kernels,
        "spikes": torch.stack(spk).sum().item() / 200,
        "rate": torch.stack(spk).mean().item(),
    }


def operations(net: Net, T: int, spikes: float) -> list[tuple[str, float, float]]:
    """What a sequence of ``T`` steps and so many spikes takes, Δ fixed: part, number, nJ (estimated)."""
    # a complex state: 4 multiply-accumulates for Ā·h, 2 for B̄·x (x is real), 2 for Re C·h; and one for D·x
    H, blocks, N = net.head.in_features, len(net.blocks), net.blocks[0].ssm.a.shape[1]
    return [
        (name, count, count * pj / 1000)
        for name, count, pj in (
            (
                "states, spikes or not: multiply-accumulates",
                blocks * T * H * (8 * N + 1),
                PJ_PER_MAC,
            ),
            (
                "encoder and read-out: multiply-accumulates",
                T * H + max(1, T // 4) * H * 10,
                PJ_PER_MAC,
            ),
            ("mixing, by spikes: additions", spikes * H, PJ_PER_AC),
            ("mixing, without spikes: multiply-accumulates", blocks * T * H * H, PJ_PER_MAC),
        )
    ]


class Attention(nn.Module):
    """Causal softmax attention, token by token: ``(1, H) → (1, H)``, from a cache of all keys and values."""

    def __init__(self, num_hidden: int, longest: int, heads: int = 4) -> None:
        super().__init__()
        self.qkv, self.length = nn.Linear(num_hidden, 3 * num_hidden), 0
        self.register_buffer("cache", torch.randn(2, heads, longest, num_hidden // heads))

    def forward(self, x_t: torch.Tensor) -> torch.Tensor:
        q, *key_value = self.qkv(x_t).view(3, self.cache.shape[1], -1)  # (heads, d) each
        self.cache[:, :, self.length], self.length = torch.stack(key_value), self.length + 1
        keys, values = self.cache[:, :, : self.length]  # (heads, t, d) each
        weight = (keys @ q[..., None] / q.shape[-1] ** 0.5).softmax(
            1
        )  # (heads, t, 1): one for every token so far
        return (weight.mT @ values).view(1, -1)


def experiment_inference(cfg: Config, net: Net) -> list[tuple[int, float, int, float, int]]:
    """After t tokens: milliseconds for one more and bytes of memory, of the trained network and of attention."""
    device, tokens, rows, done = (
        next(net.parameters()).device,
        (16, 64) if cfg.smoke else TOKENS,
        [],
        0,
    )
    other, repeats = make_net(cfg, cfg.seed).to(device).eval(), 5 if cfg.smoke else 60
    for block in other.blocks:  # the same network with attention in the place of the SSM
        block.ssm = Attention(cfg.num_hidden, tokens[-1] + 100).to(device)
    net.eval().reset()
    with torch.no_grad():
        for t in tokens:
            for x_t in torch.randn(t - done, 1, 1, device=device):  # every token is really read
                net(x_t)
            for block in other.blocks:
                block.ssm.length = (
                    t - 1
                )  # the cache is full of random keys: what they say does not matter for time
            held = (
                [s for b in net.blocks for s in (b.ssm.state, b.lif.mem)],
                [b.ssm.cache[:, :, :t] for b in other.blocks],
            )
            ms = [latency(partial(n, x_t), device, repeats)[0] for n in (net, other)]
            size = [sum(s.numel() * s.element_size() for s in tensors) for tensors in held]
            rows.append((t, ms[0], size[0], ms[1], size[1]))
            done = t
    return rows


def comparison(
    cfg: Config, data: ImageData, run: Run, seeds: int, **changes: Any
) -> dict[str, Any]:
    """Train one setting with several seeds; test accuracy, rate, and the last network."""
    accuracy, rate = [], []
    for seed in range(cfg.seed, cfg.seed + seeds):
        net = make_net(
            cfg, seed, **({"num_hidden": cfg.num_hidden // 2, "num_blocks": 2} | changes)
        )
        accuracy.append(train(net, cfg, data, run, seed)[1])
        with torch.no_grad():
            spk, _ = net.eval().run(encode(data.x_test[:200].to(run.device), cfg.num_steps))
        rate.append(torch.stack(spk).ne(0).float().mean().item())
    run.print(f"          {changes}: {', '.join(f'{a:.4f}' for a in accuracy)}")
    return {"accuracy": np.array(accuracy), "rate": np.mean(rate), "net": net}


def experiment_kinds(
    cfg: Config, data: ImageData, run: Run
) -> tuple[dict[str, dict[str, Any]], list[float]]:
    """LIF, chance, a threshold, no spikes: same recipe and seeds. And one stochastic network, asked several times."""
    rows = {kind: comparison(cfg, data, run, cfg.seeds, kind=kind) for kind in KINDS}
    return rows, [
        evaluate(
            rows["stochastic"]["net"],
            data.x_test,
            data.y_test,
            partial(encode, num_steps=cfg.num_steps),
        )
        for _ in range(1 if cfg.smoke else 4)
    ]


def experiment_ablation(cfg: Config, data: ImageData, run: Run) -> dict[str, dict[str, Any]]:
    """State size; Δ learnt, frozen and by input; memories that are all long or all short at the start."""
    settings = {f"N = {n}": {"num_state": n} for n in STATES} | {
        "Δ frozen": {"delta": "frozen"},
        "Δ by input": {"delta": "input"},
        "start Δ / 20": {"dt_max": cfg.dt_max / 20},
        "start Δ × 20": {"dt_max": cfg.dt_max * 20},
    }
    return {
        k: comparison(cfg, data, run, min(2, cfg.seeds), **({"num_state": 4} | v))
        for k, v in settings.items()
    }


# ------------------------------------------------------------------------------------ figures


def plot_training(r: dict[str, Any], data: ImageData, cfg: Config) -> Figure:
    history, kernels = r["history"], r["kernels"]
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11.5, 3.9),
        title=(
            f"{100 * r['test']:.2f} % of the {len(data.y_test):,} test images of {data.name}, one pixel a step, "
            f"{cfg.num_steps} steps"
        ),
    )
    plots.curves(
        a,
        [h["epoch"] for h in history],
        {
            "training": [100 * h["train"] for h in history],
            "validation": [100 * h["val"] for h in history],
        },
    )
    a.xaxis.get_major_locator().set_params(integer=True)
    plots.label(a, "epoch", "accuracy (%)", "The epoch is chosen on validation")
    k, scaled = (
        np.arange(1, len(kernels)),
        kernels[1:] / np.abs(kernels[1:]).max(0, initial=1e-9),
    )  # K[0] has D in it
    plots.curves(
        b,
        k,
        {f"channel {c}": scaled[:, c] for c in np.linspace(0, scaled.shape[1] - 1, 4).astype(int)}
        | {"LIF, β = 0.5": 0.5 ** (k - 1.0)},
        markers=False,
    )
    plots.label(
        b,
        "steps after the input k",
        "K[k], scaled",
        "What a neuron remembers of one pixel (block 1)",
    )
    return fig


def plot_ways(f: dict[str, Any], rows: list[tuple[int, float, int, float, int]]) -> Figure:
    tokens, ssm_ms, ssm_bytes, kv_ms, kv_bytes = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    fig, axes = plots.figure(
        1,
        3,
        size=(15, 4.3),
        title=(
            f"At token {tokens[-1]:,} attention takes {kv_ms[-1] / ssm_ms[-1]:.1f} × the time and "
            f"{kv_bytes[-1] / ssm_bytes[-1]:,.0f} × the memory of the spiking SSM, which pays the same for every token"
        ),
    )
    ways = {
        f"{way}, Δ {delta}": [1000 * f["seconds"][delta, way, T] for T in f["lengths"]]
        for delta, way in dict.fromkeys(k[:2] for k in f["seconds"])
    }
    both = lambda ssm, kv: {"spiking SSM": ssm, "attention with KV cache": kv}  # noqa: E731
    for ax, ticks, lines, *names in (
        (
            axes[0],
            f["lengths"],
            ways,
            "steps T",
            "whole sequence (ms)",
            "One SSM: 16 channels, N = 8",
        ),
        (
            axes[1],
            tokens,
            both(ssm_ms, kv_ms),
            "tokens so far",
            "one more token (ms)",
            "Inference: time",
        ),
        (
            axes[2],
            tokens,
            both(ssm_bytes / 1024, kv_bytes / 1024),
            "tokens so far",
            "state or cache (KiB)",
            "Inference: memory",
        ),
    ):
        plots.curves(ax, ticks, lines)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks(ticks, [f"{t:,}" for t in ticks])
        plots.label(ax, *names)
    return fig


def plot_comparisons(kinds: dict[str, dict[str, Any]], rows: dict[str, dict[str, Any]]) -> Figure:
    gap = 100 * (kinds["stochastic"]["accuracy"].mean() - kinds["LIF"]["accuracy"].mean())
    none, best = (100 * rows[f"N = {n}"]["accuracy"].mean() for n in (0, STATES[-1]))
    fig, axes = plots.figure(
        1,
        3,
        size=(15, 4.3),
        title=(
            f"Spikes by chance against LIF neurons: {gap:+.1f} points; no SSM {none:.1f} %, with {STATES[-1]} states a "
            f"channel {best:.1f} %"
        ),
    )
    for ax, title, bars in (
        (
            axes[0],
            "How y becomes a spike (dots: single seeds)",
            {
                k if k == "GELU" else (f"{k}\n({100 * r['rate']:.0f} % spikes)"): r
                for k, r in kinds.items()
            },
        ),
        (
            axes[1],
            "State size (N = 0: LIF only)",
            {k: r for k, r in rows.items() if k.startswith("N")},
        ),
        (
            axes[2],
            "Δ, with N = 4",
            {"Δ learnt": rows["N = 4"]} | {k: r for k, r in rows.items() if "Δ" in k},
        ),
    ):
        plots.bars(
            ax,
            {k: 100 * r["accuracy"].mean() for k, r in bars.items()},
            fmt="    {:.1f}",
            color=plots.SKY,
        )
        for i, r in enumerate(bars.values()):
            ax.plot(
                100 * r["accuracy"],
                [i] * len(r["accuracy"]),
                "o",
                color=plots.BLACK,
                markersize=3.5,
            )
        plots.label(ax, "test accuracy (%)", "", title)
    return fig


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist, n_train=200 if cfg.smoke else None)
    n, T, sizes = len(data.y_test), cfg.num_steps, {"train": cfg.sweep_train, "val": 1000}
    few = replace(
        data,
        **{
            f"{v}_{part}": getattr(data, f"{v}_{part}")[:k]
            for part, k in sizes.items()
            for v in "xy"
        },
    )

    run.print("\n1  From the differential equation to a step")
    d = experiment_discretise(cfg)
    run.claim("explode", "Euler's step, Δ = 0.1: states of 8 that explode", d["explode"], "")
    run.claim(
        "euler",
        "Euler's step against the closed form, largest error in 50 steps",
        d["euler"],
        "× the truth",
    )
    run.claim("zoh", "zero-order hold, the same error", d["zoh"], "× the truth", "<= 1e-4")
    run.claim(
        "lif",
        "LIF below threshold against an SSM with N = 1, ω = 0: difference",
        d["lif"],
        "",
        "<= 1e-4",
    )

    run.print("\n2  Step by step, scan, convolution")
    f = experiment_forms(cfg, run.device)
    last, seconds = f["lengths"][-1], f["seconds"]
    for delta, name in (
        ("learnt", "steps, scan and convolution, Δ fixed"),
        ("input", "steps and scan, Δ by input"),
    ):
        run.claim(
            f"agree_{delta}",
            f"{name}: largest relative difference up to {last:,} steps",
            f["worst"][delta],
            target="<= 1e-4",
        )
        run.claim(
            f"scan_{delta}",
            f"{last:,} steps by scan against step by step, Δ {delta}",
            seconds[delta, "step by step", last] / seconds[delta, "scan", last],
            "×",
        )

    run.print(f"\n3  Sequential MNIST, {T} steps")
    r = experiment_train(cfg, data, run)
    net, target = r["net"], ">= 0.98" if cfg.full else ">= 0.97"
    run.checkpoint(net)
    if cfg.resume:
        run.note(
            "The main training was resumed from its checkpoint; its time is not in the wall time."
        )
    run.figure(plot_training(r, data, cfg), "training")
    run.claim(
        "accuracy",
        f"test accuracy, {T} steps, one pixel a step",
        r["test"],
        "1",
        target,
        n=n,
        real=True,
    )
    run.claim("rate", "spikes per neuron and step", r["rate"], n=200, real=True)
    ops = operations(net, T, r["spikes"])
    run.table(
        "Operations of one sequence, and energy (estimated)", ("part", "operations", "nJ"), ops
    )
    (_, states, nj), (_, ends, more), (_, synops, sparse), (_, mixing, dense) = ops
    run.claim(
        "mixing_energy",
        "estimated energy of the mixing, with spikes / without",
        sparse / dense,
        real=True,
    )
    run.claim(
        "energy",
        "estimated energy of the whole network, with spikes / without",
        (nj + more + sparse) / (nj + more + dense),
        real=True,
    )
    p50, p95 = latency(
        lambda: net.run(encode(data.x_test[:1].to(run.device), cfg.num_steps)), run.device
    )
    parameters = sum(p.numel() for p in net.parameters())
    run.ledger(
        model=f"spiking SSM, {cfg.num_blocks} × {cfg.num_hidden}, N = {cfg.num_state}",
        accuracy=r["test"],
        n=n,
        data=f"{data.name}, sequential",
        num_steps=T,
        parameters=parameters,
        bytes=4 * parameters,
        spikes=r["spikes"],
        synops=synops,
        macs=states + ends,
        ann_macs=states + ends + mixing,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        energy_estimated_nj=nj + more + sparse,
    )

    run.print("\n4  One token after the other")
    rows = experiment_inference(cfg, net)
    run.figure(plot_ways(f, rows), "ways")
    run.table(
        "One more token",
        ("tokens so far", "SSM ms", "SSM bytes", "attention ms", "attention bytes"),
        rows,
    )
    for i, key, name, goal in (
        (1, "time", "spiking SSM, time a token", "<= 1.5"),
        (2, "memory", "its state", "== 1"),
        (3, "kv_time", "attention, time a token", None),
        (4, "kv_memory", "its cache", None),
    ):
        run.claim(
            key,
            f"{name}: at token {rows[-1][0]:,} / at {rows[0][0]:,}",
            rows[-1][i] / rows[0][i],
            "×",
            goal,
        )
    run.claim(
        "cache",
        f"attention's cache / the SSM's state at {rows[-1][0]:,}",
        rows[-1][4] / rows[-1][2],
        "×",
    )

    how = f"{cfg.num_hidden // 2} channels, {len(few.x_train):,} images, {cfg.sweep_epochs} epochs"
    run.print(f"\n5  How y becomes a spike: {how}, {cfg.seeds} seeds")
    kinds, again = experiment_kinds(cfg, few, run)
    for kind, row in kinds.items():
        run.claim(
            f"kind_{kind}",
            f"{kind}: test accuracy",
            row["accuracy"].mean(),
            n=n * cfg.seeds,
            real=True,
        )
        run.claim(
            f"spread_{kind}",
            f"{kind}: range over seeds",
            np.ptp(row["accuracy"]),
            n=cfg.seeds,
            real=True,
        )
        run.claim(
            f"rate_{kind}", f"{kind}: outputs that are not zero", row["rate"], n=200, real=True
        )
    run.claim(
        "sampling",
        f"stochastic: range over {len(again)} passes of one network",
        np.ptp(again),
        n=n,
        real=True,
    )

    run.print(f"\n6  State size and Δ: {how}, {min(2, cfg.seeds)} seeds")
    rows = experiment_ablation(cfg, few, run)
    run.figure(plot_comparisons(kinds, rows), "comparisons")
    for name, row in rows.items():
        run.claim(
            name,
            f"{name}: test accuracy",
            row["accuracy"].mean(),
            n=n * min(2, cfg.seeds),
            real=True,
        )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
