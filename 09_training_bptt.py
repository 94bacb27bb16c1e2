"""Lesson 09 — Backpropagation through time: the first spiking network that learns

Question
    How does an error at the output at step T tell a weight what it should have done at step 1, and what
    does carrying that message cost?

Idea
    Unroll the network over its T time steps and it is an ordinary deep network: T copies of the same
    layers, joined by the membranes. One LIF layer, with input current I, membrane U and spikes S:

        U[t] = β·U[t−1] + I[t] − θ·S[t−1]            S[t] = H(U[t] − θ)                              (1)

    Let δ[t] = ∂L/∂U[t] be the error at the membrane. U[t] acts on the loss in three ways: through its own
    spike (the surrogate σ′ of lesson 07 stands in for the derivative of the step H), directly where the
    loss reads the membrane, and through the next membrane U[t+1], which keeps the share β of it:

        δ[t] = ∂L/∂S[t]·σ′(U[t] − θ) + ∂L/∂U[t]|direct + β·δ[t+1]        (from t = T down to 1)       (2)

        ∂L/∂I[t] = δ[t]                 ∂L/∂β = Σ_t δ[t]·U[t−1]                                       (3)

    That is backpropagation through time (BPTT): the forward recursion (1) runs up, the error recursion (2)
    runs down with the same leak β. The reset −θ·S[t−1] is left out of (2), as snnTorch does: its spike is
    detached, so no surrogate gradient flows through the reset. Two things follow, and this lesson measures
    both. (2) needs every U[t] again, so memory grows in proportion to T. And an error fades by β a step,
    just as the membrane forgets.

    This is a recurrent network trained as recurrent networks are, with one difference: each neuron's
    recurrence is the fixed, diagonal β, so unlike an RNN's weight matrix it cannot make gradients explode.

Read first
    Theory:   Eshraghian et al. 2023, section IV, https://arxiv.org/abs/2109.12894
              Neftci, Mostafa & Zenke 2019, https://arxiv.org/abs/1901.09948
    Practice: snnTorch tutorial 5, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_5.html

Run
    uv run 09_training_bptt.py              about three minutes on two CPU cores, half a minute of it the main training
    uv run 09_training_bptt.py --resume     go on after Ctrl-C from the last finished epoch
    uv run 09_training_bptt.py --smoke      seconds, stand-in data
    uv run 09_training_bptt.py --full       1,000 hidden neurons, 25 steps, 30 epochs: 5 minutes on an H100

You should see
    98.5 % on all 10,000 test images, read by the output membrane; the same network read by its spike counts: 94.6 %.
    The hand-written gradients equal autograd's to 1e-7, and keep half the bytes when β is learnt.
    2,088 bytes kept for every step and image, in a straight line.
    Cut BPTT to 1 of 10 steps and a steady image loses 0.3 points, a flashed one 43: the error cannot reach it.

Builds on / leads to
    07 gave the surrogate, 08 the network and its time loop. Later lessons import this loop as
    common.training.fit and the recursions (1) and (2) as common.spiking.unroll.

Predict: with --beta 0.5 the error fades twice as fast a step. Will the test accuracy on steady images fall?
Next: uv run milestone_a_fashion_mnist.py (design your own network first, then compare)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from common import plots
from common.cost import ledger_row
from common.data import ImageData, batches, jitter, mnist
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time, reset_state
from common.training import (
    Encode,
    Loss,
    count_predict,
    evaluate,
    fit,
    membrane_loss,
    membrane_predict,
)
from multistep import saved_for_backward, unroll
from tutor.network_check import complaints

import numpy as np
import snntorch as snn
import snntorch.functional as SF
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

Out = tuple[torch.Tensor, torch.Tensor]  # spk_rec and mem_rec of the output layer, each (T, B, K)


@dataclass
class Config(LessonConfig):
    """The main training runs through ``fit``; the experiments after it train on fewer images, several seeds each."""

    num_steps: int = bounded(10, 1, 100_000)
    """time steps per image (T)"""
    epochs: int = bounded(12, 1, 1000)
    """passes over the training images in the main training"""
    batch_size: int = bounded(256, 1, 60_000)
    """images per gradient step"""
    lr: float = bounded(4e-3, 1e-7, 10.0)
    """learning rate at the start; it falls to zero along a cosine"""
    beta: float = bounded(0.9, 0.0, 1.0)
    """membrane decay per step"""
    num_hidden: int = bounded(256, 1, 100_000)
    """hidden neurons"""
    shift: int = bounded(1, 0, 14)
    """training images are moved by up to this many pixels"""
    sweep_train: int = bounded(10_000, 10, 55_000)
    """training images in the experiments after the main training"""
    sweep_epochs: int = bounded(3, 1, 100)
    """epochs in those experiments"""
    seeds: int = bounded(2, 1, 20)
    """seeds in those experiments"""
    resume: bool = False
    """go on from the checkpoint of a run that was cut"""


SMOKE = {
    "epochs": 1,
    "num_hidden": 32,
    "num_steps": 4,
    "sweep_train": 200,
    "sweep_epochs": 1,
    "seeds": 1,
}
FULL = {
    "epochs": 30,
    "num_hidden": 1000,
    "num_steps": 25,
    "shift": 2,
    "sweep_train": 55_000,
    "seeds": 3,
}

LEARNING_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


# ------------------------------------------------------------------------------------ the equations as code


class LIFThroughTime(torch.autograd.Function):
    """One LIF layer over all steps, with the backward pass of equations (2) and (3) written by hand.

    ``apply(cur (T, B, N), beta, threshold) -> spk_rec, mem_rec``, each ``(T, B, N)``; reset by subtraction
    and the ATan surrogate σ′(x) = 1/(1 + (πx)²), as in ``snn.Leaky``'s defaults.
    """

    @staticmethod
    def forward(ctx: Any, cur: torch.Tensor, beta: torch.Tensor, threshold: float = 1.0) -> Out:  # type: ignore[override]
        mem_rec, spk_rec = torch.empty_like(cur), torch.empty_like(cur)
        mem, spk = torch.zeros_like(cur[0]), torch.zeros_like(cur[0])
        for t in range(len(cur)):
            mem = (
                beta * mem + cur[t] - threshold * spk
            )  # U[t] = β·U[t−1] + I[t] − θ·S[t−1]           (1)
            spk = (mem > threshold).to(cur.dtype)  # S[t] = H(U[t] − θ)
            mem_rec[t], spk_rec[t] = mem, spk
        ctx.save_for_backward(mem_rec, beta)  # all that backward needs: the spikes follow from U
        ctx.threshold = threshold
        ctx.set_materialize_grads(False)
        return spk_rec, mem_rec

    @staticmethod
    def backward(ctx: Any, grad_spk: torch.Tensor | None, grad_mem: torch.Tensor | None) -> tuple:  # type: ignore[override]
        mem_rec, beta = ctx.saved_tensors
        delta = torch.zeros_like(mem_rec[0])  # δ[T+1] = 0: nothing comes after the last step
        grad_cur, grad_beta = torch.empty_like(mem_rec), torch.zeros_like(beta)
        for t in reversed(range(len(mem_rec))):
            delta = beta * delta  # β·δ[t+1]     (2)
            if grad_spk is not None:
                surrogate = 1 / (1 + (torch.pi * (mem_rec[t] - ctx.threshold)) ** 2)  # σ′(U[t] − θ)
                delta = delta + grad_spk[t] * surrogate  # ∂L/∂S[t]·σ′
            if grad_mem is not None:
                delta = delta + grad_mem[t]  # ∂L/∂U[t]|direct
            grad_cur[t] = delta  # ∂L/∂I[t]     (3)
            if t > 0:
                grad_beta += (delta * mem_rec[t - 1]).sum()  # δ[t]·U[t−1]
        return grad_cur, grad_beta, None


class FirstSpike(torch.autograd.Function):
    """Time of each neuron's first spike: ``spk_rec (T, B, K) → (B, K)``, T − 1 for one that stays silent.

    Time has no derivative with respect to a spike, so one is made up: more membrane, earlier spike. The
    gradient −1 goes to the step of the first spike (the last step if there is none), as in snnTorch's
    ``ce_temporal_loss``.
    """

    @staticmethod
    def forward(ctx: Any, spk_rec: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        fired = spk_rec.cumsum(0) > 0
        first = (~fired).sum(0).clamp(max=len(spk_rec) - 1)  # steps before the first spike
        ctx.save_for_backward(first)
        ctx.shape = spk_rec.shape
        return first.to(spk_rec.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        (first,) = ctx.saved_tensors
        return torch.zeros(ctx.shape, dtype=grad.dtype, device=grad.device).scatter_(
            0, first[None], -grad[None]
        )


def latency_loss(out: Out, y: torch.Tensor) -> torch.Tensor:
    """Cross entropy on minus the first spike times: the right neuron shall be the first to fire."""
    return F.cross_entropy(-FirstSpike.apply(out[0]), y)


def latency_predict(out: Out) -> torch.Tensor:
    """The neuron that fires first; among those that fire at the same step, the lower class number."""
    return FirstSpike.apply(out[0]).argmin(1)


LOSSES = {  # name: (loss on (spk_rec, mem_rec), how the class is read)
    "ce_rate_loss": (lambda out, y: SF.ce_rate_loss()(out[0], y), count_predict),
    "ce_count_loss": (lambda out, y: SF.ce_count_loss()(out[0], y), count_predict),
    "mse_count_loss": (
        lambda out, y: SF.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2)(out[0], y),
        count_predict,
    ),
    "latency (first spike)": (latency_loss, latency_predict),
    "mean membrane": (membrane_loss, membrane_predict),
}


# ------------------------------------------------------------------------------------ the network


# same as lesson 08
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


def make_net(cfg: Config, seed: int) -> Net:
    """A fresh network whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    return Net(num_hidden=cfg.num_hidden, beta=cfg.beta)


def encode(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """The grey values are the input current, the same at every step: ``(B, 1, 28, 28) → (T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


def train(
    net: nn.Module,
    data: ImageData,
    cfg: Config,
    seed: int,
    enc: Encode,
    loss_fn: Loss = membrane_loss,
    lr: float | None = None,
) -> None:
    """The training loop, bare. ``common.training.fit`` is this loop with validation, checkpoint and resume."""
    device = next(net.parameters()).device
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr or cfg.lr, weight_decay=0.0)
    num_batches = -(-len(data.x_train) // cfg.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cfg.sweep_epochs * num_batches)
    order = torch.Generator().manual_seed(seed)
    for _ in range(cfg.sweep_epochs):
        for x_b, y_b in batches(
            data.x_train, data.y_train, cfg.batch_size, generator=order, device=device
        ):
            out = net.run(enc(x_b))  # all T steps forward: spk_rec and mem_rec, each (T, B, 10)
            loss = loss_fn(out, y_b)
            optimizer.zero_grad()  # gradients add up in .grad; each batch starts from none
            loss.backward()  # BPTT: equations (2) and (3) in each layer, from step T down to 1
            optimizer.step()
            schedule.step()  # the learning rate falls to zero along a cosine


# ------------------------------------------------------------------------------------ experiments


def experiment_train(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """Train 784–256–10 on MNIST; read the same network by its membrane and by its spike counts."""
    net, enc = make_net(cfg, cfg.seed), partial(encode, num_steps=cfg.num_steps)
    history = fit(
        net,
        data,
        enc,
        run=run,
        check=complaints,
        epochs=cfg.epochs,
        lr=cfg.lr,
        batch_size=cfg.batch_size,
        augment=partial(jitter, shift=cfg.shift),
        name="main",
        resume=cfg.resume,
    )
    test = {
        "membrane": evaluate(net, data.x_test, data.y_test, enc),
        "count": evaluate(net, data.x_test, data.y_test, enc, predict=count_predict),
    }
    return {
        "net": net,
        "history": history,
        "test": test,
        "anytime": accuracy_by_step(net, data, cfg),
    }


@torch.no_grad()
def accuracy_by_step(net: Net, data: ImageData, cfg: Config) -> dict[str, np.ndarray]:
    """Test accuracy if the network had to answer after t = 1 … T steps, ``(T,)`` for each read-out."""
    right = {"mean membrane": 0, "spike count": 0}
    for x_b, y_b in batches(data.x_test, data.y_test, 1000, device=next(net.parameters()).device):
        spk_rec, mem_rec = net.run(encode(x_b, cfg.num_steps))
        for name, rec in (("mean membrane", mem_rec), ("spike count", spk_rec)):
            right[name] = (
                right[name] + (rec.cumsum(0).argmax(2) == y_b).sum(1).cpu().numpy()
            )  # (T,)
    return {name: count / len(data.y_test) for name, count in right.items()}


@torch.no_grad()
def look_inside(net: Net, data: ImageData, cfg: Config) -> dict[str, Any]:
    """All layers' activity for the first test image of class 3."""
    index = int((data.y_test == 3).nonzero()[0])
    x = encode(data.x_test[index : index + 1].float() / 255, cfg.num_steps).to(
        next(net.parameters()).device
    )
    spk1, _, _ = unroll(net.lif1, over_time(net.fc1, x))  # (T, 1, H)
    spk2, mem2, _ = unroll(net.lif2, over_time(net.fc2, spk1), record_mem=True)  # (T, 1, K)
    return {
        "image": data.x_test[index, 0],
        "spk1": spk1[:, 0].cpu(),
        "mem2": mem2[:, 0].cpu(),
        "label": 3,
        "answer": int(mem2.mean(0).argmax()),
    }


def experiment_losses(cfg: Config, data: ImageData, run: Run) -> list[dict[str, Any]]:
    """Train the same network under five losses; each is read the way its loss asks for."""
    rows = []
    for name, (loss_fn, predict) in LOSSES.items():
        for seed in range(cfg.seed, cfg.seed + cfg.seeds):
            net, enc = make_net(cfg, seed).to(run.device), partial(encode, num_steps=cfg.num_steps)
            train(net, data, cfg, seed, enc, loss_fn)
            accuracy = evaluate(net, data.x_test, data.y_test, enc, predict=predict)
            rows.append(
                {"loss": name, "seed": seed, "accuracy": accuracy, **activity(net, data, cfg)}
            )
        run.print(
            f"          {name}: {np.mean([r['accuracy'] for r in rows if r['loss'] == name]):.4f}"
        )
    return rows


@torch.no_grad()
def activity(net: Net, data: ImageData, cfg: Config) -> dict[str, float]:
    """Spikes per image in both layers, and the mean step of the first output spike, on 1,000 test images."""
    x = encode(data.x_test[:1000].float() / 255, cfg.num_steps).to(next(net.parameters()).device)
    spk1, _, _ = unroll(net.lif1, over_time(net.fc1, x))
    spk2, _, _ = unroll(net.lif2, over_time(net.fc2, spk1))
    any_spike = (spk2.sum(2) > 0).cumsum(0) > 0  # (T, B): some output neuron has fired by now
    return {
        "hidden": spk1.sum().item() / x.shape[1],
        "output": spk2.sum().item() / x.shape[1],
        "first": (~any_spike).sum(0).float().mean().item() + 1,
    }


def experiment_hand_written_bptt(cfg: Config) -> dict[str, float]:
    """Relative difference ‖ours − autograd's‖ / ‖autograd's‖ of the gradients of one LIF layer."""
    g = torch.Generator().manual_seed(cfg.seed)
    T, B, N = max(cfg.num_steps, 2), 32, 64
    cur0 = torch.rand(T, B, N, generator=g)
    w_spk, w_mem = torch.randn(
        2, T, B, N, generator=g
    )  # an arbitrary loss that looks at spikes and membranes

    lif = snn.Leaky(beta=cfg.beta, learn_beta=True)
    cur = cur0.clone().requires_grad_()
    mem, loss = torch.zeros(B, N), 0.0
    for t in range(T):  # autograd walks back through snnTorch's own steps
        spk, mem = lif(cur[t], mem)
        loss = loss + (w_spk[t] * spk + w_mem[t] * mem).sum()
    loss.backward()

    ours, beta = cur0.clone().requires_grad_(), torch.tensor(cfg.beta, requires_grad=True)
    spk_rec, mem_rec = LIFThroughTime.apply(ours, beta)
    (w_spk * spk_rec + w_mem * mem_rec).sum().backward()

    relative = lambda a, b: ((a - b).norm() / b.norm()).item()  # noqa: E731
    return {"current": relative(ours.grad, cur.grad), "beta": relative(beta.grad, lif.beta.grad)}


def experiment_memory(cfg: Config, device: torch.device) -> dict[str, Any]:
    """Bytes that autograd keeps until backward: the network against T, one layer stepped against written by hand."""
    steps = [5, 10, 20, 40, 80]
    x = torch.rand(64, 784, device=device)
    network, vram = [], []
    for T in steps:
        net = make_net(cfg, 0).to(device)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
        with saved_for_backward() as kept:
            reset_state(net)
            outs = [net(x) for _ in range(T)]  # step by step: autograd keeps each step's membranes
            network.append(kept())
        if device.type == "cuda":
            vram.append(torch.cuda.max_memory_allocated(device) - before)
        del outs
    line = np.polyfit(steps, network, 1)
    residual = np.asarray(network) - np.polyval(line, steps)
    layer: dict[str, list[int]] = {}
    for learnt in (False, True):
        for T in steps:
            cur = torch.rand(T, 64, cfg.num_hidden, device=device, requires_grad=True)
            lif = snn.Leaky(beta=cfg.beta, learn_beta=learnt, init_hidden=True).to(device)
            with saved_for_backward() as kept:
                spks = torch.stack([lif(cur_t) for cur_t in cur])
                layer.setdefault(
                    f"snnTorch's steps, {'learnt' if learnt else 'fixed'} β", []
                ).append(kept())
            del spks
            with saved_for_backward() as kept:
                spk_rec, _ = LIFThroughTime.apply(
                    cur, torch.tensor(cfg.beta, device=device, requires_grad=learnt)
                )
                layer.setdefault(f"by hand, {'learnt' if learnt else 'fixed'} β", []).append(kept())
            del spk_rec
    return {
        "steps": steps,
        "network": network,
        "vram": vram,
        "slope": line[0],
        "layer": layer,
        "r2": 1 - residual.var() / np.var(network),
    }


def flashed(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """The image for the first fifth of the steps, then darkness: ``(B, …) → (T, B, 784)``."""
    seq = torch.zeros(num_steps, len(x), 784, device=x.device)
    seq[: max(1, num_steps // 5)] = x.flatten(1)
    return seq


class AnswerAtTheEnd(Net):
    """The same network, which answers with its last membrane; the error goes back ``window`` steps at most."""

    window: int = 10**9

    def run(self, x: torch.Tensor) -> Out:
        early = max(0, len(x) - self.window)
        state1 = state2 = None
        if early:
            with torch.no_grad():  # forward as always; autograd remembers nothing of these steps
                spk1, _, state1 = unroll(self.lif1, over_time(self.fc1, x[:early]))
                _, _, state2 = unroll(self.lif2, over_time(self.fc2, spk1))
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x[early:]), state1)
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), state2, record_mem=True)
        return spk2[-1:], mem2[
            -1:
        ]  # the last step only, so that mean over time is the last membrane


def experiment_truncated(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """BPTT cut after 1, 2, 5 … T steps, for an image that stays and for one that is flashed at the start."""
    windows = sorted({w for w in (1, 2, 5) if w < cfg.num_steps} | {cfg.num_steps})
    inputs = {
        "image stays": partial(encode, num_steps=cfg.num_steps),
        "image flashed at the start": partial(flashed, num_steps=cfg.num_steps),
    }
    accuracy = {name: np.zeros((cfg.seeds, len(windows))) for name in inputs}
    for name, enc in inputs.items():
        for (i, seed), (j, window) in [
            (a, b)
            for a in enumerate(range(cfg.seed, cfg.seed + cfg.seeds))
            for b in enumerate(windows)
        ]:
            torch.manual_seed(seed)
            net = AnswerAtTheEnd(num_hidden=cfg.num_hidden, beta=cfg.beta).to(run.device)
            net.window = window
            train(net, data, cfg, seed, enc)
            accuracy[name][i, j] = evaluate(net, data.x_test, data.y_test, enc)
        run.print(
            f"          {name}: "
            + ", ".join(
                f"{w} steps {a:.3f}" for w, a in zip(windows, accuracy[name].mean(0), strict=True)
            )
        )
    return {"windows": windows, "accuracy": accuracy}


def experiment_learning_rate(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """Validation accuracy after a short training, over three decades of learning rate."""
    accuracy = np.zeros((cfg.seeds, len(LEARNING_RATES)))
    for i, seed in enumerate(range(cfg.seed, cfg.seed + cfg.seeds)):
        for j, lr in enumerate(LEARNING_RATES):
            net, enc = make_net(cfg, seed).to(run.device), partial(encode, num_steps=cfg.num_steps)
            train(net, data, cfg, seed, enc, lr=lr)
            accuracy[i, j] = evaluate(net, data.x_val, data.y_val, enc)
    run.print(
        "          "
        + ", ".join(
            f"{lr:g}: {a:.3f}" for lr, a in zip(LEARNING_RATES, accuracy.mean(0), strict=True)
        )
    )
    return {"lr": LEARNING_RATES, "accuracy": accuracy}


# ------------------------------------------------------------------------------------ figures


def plot_training(result: dict[str, Any]) -> Figure:
    history, test = result["history"], result["test"]
    fig, (a, b, c) = plots.figure(
        1,
        3,
        size=(13, 3.9),
        title=(
            f"The spiking network learns: {100 * test['membrane']:.2f} % on the test set in "
            f"{history[-1]['seconds']:.0f} s"
        ),
    )
    epochs = [h["epoch"] for h in history]
    plots.curves(a, epochs, {"training": [h["loss"] for h in history]})
    a.set_yscale("log")
    plots.label(a, "epoch", "cross entropy (nats)", "Loss on the output membrane")
    plots.curves(
        b,
        epochs,
        {
            "training (moved images)": [100 * h["train"] for h in history],
            "validation": [100 * h["val"] for h in history],
        },
    )
    b.axhline(100 * test["membrane"], color=plots.BLACK, linewidth=1, linestyle=":")
    b.annotate(
        f"test {100 * test['membrane']:.2f} %",
        (epochs[0], 100 * test["membrane"]),
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=9,
    )
    plots.label(b, "epoch", "accuracy (%)", "Best epoch chosen on validation")
    steps = range(1, 1 + len(result["anytime"]["spike count"]))
    plots.curves(c, list(steps), {k: 100 * v for k, v in result["anytime"].items()})
    plots.label(
        c, "steps seen before the answer", "test accuracy (%)", "Same network, two ways to read it"
    )
    return fig


def plot_inside(inside: dict[str, Any]) -> Figure:
    fig, (a, b, c) = plots.figure(
        1,
        3,
        size=(13, 3.9),
        width_ratios=(1, 2, 2),
        title=(f"From pixels to a decision: a {inside['label']} is read as a {inside['answer']}"),
    )
    a.imshow(inside["image"], cmap="gray")
    a.set_axis_off()
    a.set_title("input current: grey values")
    active = inside["spk1"][:, inside["spk1"].sum(0) > 0]
    plots.raster(b, active[:, active.sum(0).argsort(descending=True)])
    plots.label(
        b,
        "time step",
        "hidden neuron (most active first)",
        f"Hidden spikes: {active.shape[1]} of {inside['spk1'].shape[1]} neurons fire, the others stay silent",
    )
    for k in range(10):
        chosen = k == inside["answer"]
        c.plot(
            range(len(inside["mem2"])),
            inside["mem2"][:, k],
            color=plots.RED if chosen else "0.7",
            linewidth=2.5 if chosen else 1.2,
        )
    c.plot([], [], color=plots.RED, label=f"class {inside['answer']}")
    c.plot([], [], color="0.7", label="the nine others")
    c.axhline(1, color=plots.BLACK, linestyle="--", linewidth=1, label="threshold θ")
    c.legend()
    plots.label(c, "time step", "output membrane U", "The output membranes part within a few steps")
    return fig


def plot_losses(rows: list[dict[str, Any]]) -> Figure:
    names = list(LOSSES)
    mean = lambda key, name: float(np.mean([r[key] for r in rows if r["loss"] == name]))  # noqa: E731
    best = max(names, key=lambda n: mean("accuracy", n))
    fig, axes = plots.figure(
        1,
        3,
        size=(13, 3.4),
        sharey=True,
        title=(f"What the loss asks for is what the network does: best accuracy by {best}"),
    )
    for ax, value, fmt, x, title in zip(
        axes,
        (
            lambda n: 100 * (1 - mean("accuracy", n)),
            lambda n: mean("hidden", n) + mean("output", n),
            lambda n: mean("first", n),
        ),
        ("{:.1f}", "{:.0f}", "{:.1f}"),
        ("test error (%)", "spikes per image", "step of the first output spike"),
        ("Error", "Spikes, both layers", "Time to the first output spike"),
        strict=True,
    ):
        plots.bars(ax, {name: value(name) for name in names}, fmt=fmt)
        plots.label(ax, x, "", title)
    return fig


def plot_memory(memory: dict[str, Any]) -> Figure:
    ratio = (
        memory["layer"]["by hand, learnt β"][-1] / memory["layer"]["snnTorch's steps, learnt β"][-1]
    )
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11, 4),
        title=(
            f"BPTT's memory grows in proportion to T; our backward pass keeps {ratio:.2f} of it when β is learnt"
        ),
    )
    curves = {"kept for backward": np.asarray(memory["network"]) / 2**20}
    if memory["vram"]:
        curves["VRAM, peak above start"] = np.asarray(memory["vram"]) / 2**20
    plots.curves(a, memory["steps"], curves)
    plots.label(
        a,
        "time steps T",
        "MiB (batch of 64)",
        f"Network: {memory['slope'] / 2**20:.3f} MiB a step, R² = {memory['r2']:.6f}",
    )
    plots.curves(b, memory["steps"], {k: np.asarray(v) / 2**20 for k, v in memory["layer"].items()})
    plots.label(
        b, "time steps T", "MiB (batch of 64)", "One LIF layer: autograd against equations (2), (3)"
    )
    return fig


def plot_truncated(truncated: dict[str, Any]) -> Figure:
    stays, flash = (v.mean(0) for v in truncated["accuracy"].values())
    fig, ax = plots.figure(
        size=(7.5, 4.2),
        title=(
            f"Cutting BPTT to {truncated['windows'][0]} step costs {100 * (stays[-1] - stays[0]):.1f} points if the image "
            f"stays,\n{100 * (flash[-1] - flash[0]):.1f} points if it was flashed before the window"
        ),
    )
    plots.curves(ax, truncated["windows"], {k: 100 * v for k, v in truncated["accuracy"].items()})
    ax.set_xscale("log")
    ax.set_xticks(truncated["windows"], [str(w) for w in truncated["windows"]])
    ax.minorticks_off()
    plots.label(ax, "steps the error may go back", "test accuracy (%)")
    return fig


def plot_learning_rate(sweep: dict[str, Any]) -> Figure:
    mean = 100 * sweep["accuracy"].mean(0)
    best = sweep["lr"][int(mean.argmax())]
    fig, ax = plots.figure(size=(7.5, 4.2), title=f"The learning rate decides: best near {best:g}")
    plots.curves(ax, sweep["lr"], {"validation": 100 * sweep["accuracy"]})
    ax.set_xscale("log")
    plots.label(ax, "learning rate at the start (Adam)", "validation accuracy (%)")
    return fig


# ------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist)

    run.print("\n1  Train the network of lesson 08")
    trained = experiment_train(cfg, data, run)
    net, test, n = trained["net"], trained["test"], len(data.y_test)
    run.checkpoint(net)
    run.figure(plot_training(trained), "training")
    run.figure(plot_inside(look_inside(net, data, cfg)), "inside")
    run.claim(
        "accuracy",
        "test accuracy, read by the mean output membrane",
        test["membrane"],
        target=">= 0.982",
        n=n,
        real=True,
    )
    run.claim(
        "seconds",
        "main training on this device",
        trained["history"][-1]["seconds"],
        "s",
        None if cfg.full else "<= 60",
        real=True,
    )
    run.claim(
        "accuracy_count", "the same network read by its spike counts", test["count"], n=n, real=True
    )
    sample = encode(data.x_test[:500].float() / 255, cfg.num_steps).to(run.device)
    run.ledger(
        **ledger_row(
            net,
            sample,
            model=f"SNN 784–{cfg.num_hidden}–10",
            data=data.name,
            accuracy=test["membrane"],
            n=n,
        )
    )

    run.print(
        f"\n2  Five losses, {cfg.sweep_train:,} images, {cfg.sweep_epochs} epochs, {cfg.seeds} seeds"
    )
    few = replace(
        data, x_train=data.x_train[: cfg.sweep_train], y_train=data.y_train[: cfg.sweep_train]
    )
    rows = experiment_losses(cfg, few, run)
    run.figure(plot_losses(rows), "losses")
    mean = lambda key, name: float(np.mean([r[key] for r in rows if r["loss"] == name]))  # noqa: E731
    run.table(
        "Five losses (means over seeds)",
        (
            "loss",
            "accuracy",
            "hidden spikes per image",
            "output spikes per image",
            "first output spike (step)",
        ),
        [
            (name, *(mean(k, name) for k in ("accuracy", "hidden", "output", "first")))
            for name in LOSSES
        ],
    )
    for key, name in (
        ("rate", "ce_rate_loss"),
        ("count", "ce_count_loss"),
        ("mse", "mse_count_loss"),
        ("latency", "latency (first spike)"),
        ("membrane", "mean membrane"),
    ):
        run.claim(
            f"loss_{key}",
            f"{name}, short training",
            mean("accuracy", name),
            n=n * cfg.seeds,
            real=True,
        )

    run.print("\n3  BPTT by hand against autograd")
    difference = experiment_hand_written_bptt(cfg)
    run.claim(
        "bptt_current",
        "hand-written ∂L/∂I against autograd's, relative",
        difference["current"],
        target="<= 1e-5",
    )
    run.claim(
        "bptt_beta",
        "hand-written ∂L/∂β against autograd's, relative",
        difference["beta"],
        target="<= 1e-5",
    )

    run.print("\n4  What backward has to remember")
    memory = experiment_memory(cfg, run.device)
    run.figure(plot_memory(memory), "memory")
    last = {k: v[-1] for k, v in memory["layer"].items()}
    run.claim(
        "memory_r2",
        "straightness (R²) of bytes kept against num_steps",
        memory["r2"],
        "",
        ">= 0.999",
    )
    run.claim(
        "memory_slope", "kept for backward, per step and image", memory["slope"] / 64, "bytes"
    )
    run.claim(
        "memory_fixed",
        "bytes kept by hand / by snnTorch's steps, fixed β",
        last["by hand, fixed β"] / last["snnTorch's steps, fixed β"],
        "ratio",
        "<= 1.0",
    )
    run.claim(
        "memory_learnt",
        "bytes kept by hand / by snnTorch's steps, learnt β",
        last["by hand, learnt β"] / last["snnTorch's steps, learnt β"],
        "ratio",
        "<= 0.51",
    )

    run.print("\n5  Truncated BPTT")
    truncated = experiment_truncated(cfg, few, run)
    run.figure(plot_truncated(truncated), "truncated")
    for key, name in (("stays", "image stays"), ("flash", "image flashed at the start")):
        a = truncated["accuracy"][name].mean(0)
        run.claim(
            f"truncated_{key}",
            f"{name}: accuracy lost when the error goes back "
            f"{truncated['windows'][0]} of {cfg.num_steps} steps",
            a[-1] - a[0],
            n=n * cfg.seeds,
            real=True,
        )

    run.print("\n6  Learning rate")
    sweep = experiment_learning_rate(cfg, few, run)
    run.figure(plot_learning_rate(sweep), "learning_rate")
    mean_lr = sweep["accuracy"].mean(0)
    good = [lr for lr, a in zip(sweep["lr"], mean_lr, strict=True) if a >= mean_lr.max() - 0.02]
    run.claim("lr_best", "best learning rate of the sweep", sweep["lr"][int(mean_lr.argmax())], "")
    run.claim(
        "lr_span",
        "learning rates within 2 points of the best: largest / smallest",
        max(good) / min(good),
        "×",
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
