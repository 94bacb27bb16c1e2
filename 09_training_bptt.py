"""Lesson 09 — Backpropagation through time: the first spiking network that learns

Question
    A spiking network looks at an image for T time steps and then gives its answer. How does an
    error in that answer tell a weight of the first layer what it should have done at the first
    step? And what does it cost to carry that message back?

Idea
    Written out over its T steps, a spiking network is an ordinary deep network: T copies of the
    same layers, joined by the membrane potentials. Backpropagation works on it as on any other; it
    is then called backpropagation through time, BPTT. For one layer of LIF neurons (lesson 01),
    with input current I, potential U, spikes S, leak β and threshold θ:

        U[t] = β·U[t−1] + I[t] − θ·S[t−1]       S[t] = 1 if U[t] > θ else 0       t = 1 … T    (1)

    The error at step t is δ[t] = ∂L/∂U[t]: how much the loss L grows if U[t] is raised a little. A
    raised U[t] is felt in three places: in its own spike, in a loss that reads U itself, and in
    the next potential U[t+1], which keeps the share β of it:

        δ[t] = g_S[t]·σ′(U[t] − θ) + g_U[t] + β·δ[t+1]                            t = T … 1    (2)

    g_S[t] and g_U[t] are the gradients that the loss, or the layer above, sends to S[t] and U[t].
    σ′ is the surrogate derivative of lesson 07. The reset has no term in (2), since snnTorch
    detaches it. So (1) runs up in time and (2) runs down, with the same β. Since (2) needs every
    U[t] again, all of them have to be kept until then.

Read first
    Theory     Eshraghian et al. 2023, section IV, https://arxiv.org/abs/2109.12894
               Neftci, Mostafa & Zenke 2019, https://arxiv.org/abs/1901.09948
    Practice   snnTorch tutorial 5,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_5.html

Run
    uv run 09_training_bptt.py --predict   asks what you expect, then measures it: start here
    uv run 09_training_bptt.py             three minutes on two CPU cores; also --only 1, --resume
    uv run 09_training_bptt.py --full      1,000 hidden neurons, 25 steps, 30 epochs: wants a GPU

Builds on / leads to
    01 gave (1), 07 the surrogate, 08 the network. Later lessons call the loop on this page
    training.fit, and the two recursions multistep.unroll. Next is milestone A.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial

from common import plots
from common.claims import plain
from common.cost import ledger_row
from common.data import ImageData, batches, mnist
from common.io import live, process_number
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import saved_for_backward, unroll
from training import evaluate, fit
from training.augment import jitter
from training.checkpoint import fingerprint, load_checkpoint, save_checkpoint

import numpy as np
import snntorch as snn
import snntorch.functional as SF
import torch
import torch.nn.functional as F
from scipy.stats import t as student_t
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

Out = tuple[Tensor, Tensor]  # what a network returns: spk_rec and mem_rec of its output, (T, B, 10)
Loss = Callable[[Out, Tensor], Tensor]
Read = Callable[[Out], Tensor]  # from what it returns to its answers, (B,)


@dataclass
class Config(LessonConfig):
    """Sections 1 and 4 train on all images, sections 3 and 6 on the first ``short_images``."""

    num_steps: int = bounded(10, 1, 100_000)
    """time steps for which an image is shown (T)"""
    epochs: int = bounded(15, 1, 1000)
    """passes over the training images in sections 1 and 4"""
    batch_size: int = bounded(128, 1, 60_000)
    """images in one update of the weights (B)"""
    lr: float = bounded(3e-3, 1e-7, 10.0)
    """learning rate at the start of section 1; it falls to zero along a cosine"""
    lr_count: float = bounded(2e-3, 1e-7, 10.0)
    """the same for the network of section 4, which is trained on spike counts"""
    beta: float = bounded(0.9, 0.0, 1.0)
    """share β of the potential that is left after one step"""
    num_hidden: int = bounded(256, 1, 100_000)
    """hidden neurons (H)"""
    shift: int = bounded(1, 0, 14)
    """training images are moved by up to this many pixels, at random, in sections 1 and 4"""
    short_images: int = bounded(5_000, 10, 55_000)
    """training images of each short training in sections 3 and 6"""
    short_epochs: int = bounded(3, 1, 100)
    """passes over them"""
    seeds: int = bounded(3, 2, 20)
    """trainings of each arm of a comparison"""
    resume: bool = False
    """go on after the last finished epoch of a run that was stopped"""


SMOKE = {"epochs": 2, "num_hidden": 32, "num_steps": 4, "short_images": 200, "short_epochs": 1}
FULL = {"epochs": 30, "num_hidden": 1000, "num_steps": 25, "shift": 2}


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
    """A fresh network, whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    return Net(num_hidden=cfg.num_hidden, beta=cfg.beta)


def encode(x: Tensor, num_steps: int) -> Tensor:
    """The grey values are the input, the same at every step: ``(B, 1, 28, 28)`` → ``(T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


def step_by_step(net: Net, x: Tensor) -> tuple[list[Tensor], ...]:
    """The forward pass in plain sight, as lesson 08 writes it: ``x (T, B, 784)``, one step at a time.

    Returns ``spk1, mem1`` of the hidden layer and ``spk2, mem2`` of the output, lists of T tensors.
    ``net.run(x)`` gives the same spikes layer by layer, which is several times as fast.
    """
    lif1 = snn.Leaky(beta=net.lif1.beta)  # as in the network, but here the state is ours to carry
    lif2 = snn.Leaky(beta=net.lif2.beta)
    mem1 = lif1.init_leaky()
    mem2 = lif2.init_leaky()
    spk1_rec, mem1_rec, spk2_rec, mem2_rec = [], [], [], []
    for x_t in x:  # (B, 784)
        spk1, mem1 = lif1(net.fc1(x_t), mem1)  # (B, H) each
        spk2, mem2 = lif2(net.fc2(spk1), mem2)  # (B, 10) each
        spk1_rec.append(spk1)
        mem1_rec.append(mem1)
        spk2_rec.append(spk2)
        mem2_rec.append(mem2)
    return spk1_rec, mem1_rec, spk2_rec, mem2_rec


# ---------------------------------------------------------------- 1  training


def mean_membrane_loss(out: Out, y: Tensor) -> Tensor:
    """Cross entropy of the output potentials, averaged over time."""
    _, mem_rec = out
    return F.cross_entropy(mem_rec.mean(0), y)


def highest_mean_membrane(out: Out) -> Tensor:
    """The class whose output potential is highest on average: ``(B,)``."""
    _, mem_rec = out
    return mem_rec.mean(0).argmax(1)


def train(
    net: Net,
    data: ImageData,
    cfg: Config,
    run: Run,
    name: str,
    loss_fn: Loss,
    read: Read,
    lr: float,
) -> list[dict[str, float]]:
    """The training loop, in full. Leaves in ``net`` the epoch that was best on validation images.

    Each epoch goes to a checkpoint, from which ``--resume`` goes on if the run was stopped.
    Returns one row an epoch: ``epoch, loss, train, val, seconds``; accuracies are shares.
    """
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    show = partial(encode, num_steps=cfg.num_steps)
    move = partial(jitter, shift=cfg.shift)  # each training image by a few pixels
    order = torch.Generator().manual_seed(cfg.seed)  # shuffles the training images
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}  # the weights of the best epoch so far
    state = {"net": net, "optimizer": optimizer, "order": order, "history": history, "best": best}
    path = run.dir / f"checkpoint_{name}.pt"
    mark = fingerprint(
        run,
        net,
        data,
        cfg.epochs,
        lr=lr,
        batch_size=cfg.batch_size,
        weight_decay=0.0,
        loss=loss_fn,
        encode=show,
        augment=move,
        predict=read,
        order_seed=cfg.seed,
    )
    if cfg.resume:
        load_checkpoint(path, mark, state, run)  # fills state; refuses a training with other flags

    updates = math.ceil(len(data.x_train) / cfg.batch_size)  # in one epoch

    def falling(update: int) -> float:
        """The learning rate's factor: from 1 at the first update to 0 after the last, along a cosine."""
        return 0.5 + 0.5 * math.cos(math.pi * update / (cfg.epochs * updates))

    done = len(history) * updates  # 0, unless --resume goes on with a training
    schedule = LambdaLR(optimizer, falling, last_epoch=done - 1)
    started = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
    for epoch in range(len(history) + 1, cfg.epochs + 1):
        loss_sum, right = 0.0, 0
        shuffled = batches(data.x_train, data.y_train, cfg.batch_size, generator=order)
        for x_b, y_b in live(shuffled, f"   epoch {epoch}/{cfg.epochs}", updates):
            x = show(move(x_b))  # (B, 1, 28, 28) → (T, B, 784)
            out = net.run(x)  # spk_rec, mem_rec, each (T, B, 10)
            loss = loss_fn(out, y_b)
            optimizer.zero_grad()  # gradients add up in .grad, so each batch starts from none
            loss.backward()  # BPTT: back through all T steps, by equation (2)
            optimizer.step()
            schedule.step()  # the learning rate falls a little
            loss_sum += loss.item() * len(y_b)
            right += (read(out) == y_b).sum().item()
        val = evaluate(net, data.x_val, data.y_val, show, read)
        if val > max((row["val"] for row in history), default=-1.0):
            best.update({k: v.detach().clone() for k, v in net.state_dict().items()})
        n = len(data.y_train)
        row = {"epoch": epoch, "loss": loss_sum / n, "train": right / n, "val": val}
        row["seconds"] = time.perf_counter() - started
        history.append(row)
        save_checkpoint(path, mark, state)
        run.print(
            f"   epoch {epoch:2d}/{cfg.epochs}   loss {row['loss']:.4f}   training "
            f"{100 * row['train']:.2f} %   validation {100 * val:.2f} %   {row['seconds']:.1f} s"
        )
    net.load_state_dict(best)
    return history


def train_alone_or_together(
    net: Net,
    data: ImageData,
    cfg: Config,
    run: Run,
    name: str,
    loss_fn: Loss,
    read: Read,
    lr: float,
) -> list[dict[str, float]]:
    """``train``, or under torchrun ``fit``: the same loop in several processes that share each batch."""
    if process_number("WORLD_SIZE", 1) == 1:
        return train(net, data, cfg, run, name, loss_fn, read, lr)
    return fit(
        net,
        data,
        partial(encode, num_steps=cfg.num_steps),
        run=run,
        epochs=cfg.epochs,
        lr=lr,
        batch_size=cfg.batch_size,
        loss_fn=loss_fn,
        predict=read,
        augment=partial(jitter, shift=cfg.shift),
        name=name,
        resume=cfg.resume,
    )


@dataclass
class Trained:
    """What section 1 leaves for section 4."""

    net: Net
    data: ImageData


@section
def section_training(cfg: Config, run: Run) -> Trained:
    """1  How does a spiking network learn to read digits?

    The network has 784 inputs, one for each pixel, 256 hidden neurons and 10 output neurons, one for
    each digit. The grey values of the image are the input, and they stay the same for all T steps.
    So the only thing that changes from step to step is the state of the neurons.

    Output neuron k gives its answer by its potential U_k, averaged over time. The loss is the usual
    one, the cross entropy of these ten numbers:

        z_k = (U_k[1] + … + U_k[T]) / T          L = −log softmax(z)_y          y: the right digit

    `train`, above, is all there is to the training. What is new in it is net.run(x): it goes through
    time, and therefore loss.backward() does so, too. Images that are moved a little and a learning
    rate that falls are ordinary helpers. (Moved images are harder, so training lies below
    validation at first.)

    Of the 60,000 training images, 5,000 are set aside for validation: they choose the epoch that is
    kept. The 10,000 test images are looked at once, at the end. For comparison: snnTorch's tutorial
    5 reaches 93.87 % with 1,000 hidden neurons, 25 steps and one epoch; set the first epoch printed
    below beside it, not the last. SpikingJelly's example with a single layer reaches 92.9 %.

    A network trained like this one reads a digit that you draw, spike by spike: `uv run course.py pages`
    writes site/playground.html, part (b).
    """
    run.predict(
        "accuracy",
        "What share of 10,000 digits that it has never seen will the network read correctly, after "
        "less than a minute of training?",
        unit="%",
    )
    data = run.data(mnist).to(run.device)  # all images lie on the device: 55 MB
    net = make_net(cfg, cfg.seed).to(run.device)
    history = train_alone_or_together(
        net, data, cfg, run, "membrane", mean_membrane_loss, highest_mean_membrane, cfg.lr
    )
    run.checkpoint(net)  # model.safetensors: the weights of the best epoch
    show = partial(encode, num_steps=cfg.num_steps)
    accuracy = evaluate(net, data.x_test, data.y_test, show, highest_mean_membrane)

    # What happens inside, for the first image of the test set.
    image, digit = data.x_test[:1].float() / 255, int(data.y_test[0])
    with torch.no_grad():
        spk1_rec, _, _, mem2_rec = step_by_step(net, show(image))
    spk1 = torch.stack(spk1_rec)[:, 0].cpu()  # (T, H)
    mem2 = torch.stack(mem2_rec)[:, 0].cpu().numpy()  # (T, 10)
    z = mem2.mean(0)  # (10,)
    answer = int(z.argmax())
    counts = spk1.sum(0)  # (H,)
    active, always = int((counts > 0).sum()), int((counts == cfg.num_steps).sum())
    changes = (spk1[1:] != spk1[:-1]).sum(0)  # (H,): how often it stops or starts to spike
    varied = changes.argsort(descending=True, stable=True)[: min(40, int((changes > 0).sum()))]
    title = f"From pixels to a decision: a {digit} is read as a {answer}"
    fig, (ax, bx, cx, dx) = plots.figure(1, 4, (13.5, 3.8), title, width_ratios=(0.8, 1.7, 1.7, 1))
    steps = np.arange(1, cfg.num_steps + 1)
    ax.imshow(image[0, 0].cpu(), cmap="gray")
    ax.set_axis_off()
    ax.set_title("input: 784 grey values")
    plots.raster(bx, spk1[:, varied])
    bx.set_xticks(steps - 1, steps)
    head = f"{active} hidden neurons spike, {always} at each step"
    plots.label(bx, "time step", f"the {len(varied)} that change most", head)
    for k in range(10):
        width, colour = (3, plots.RED) if k == answer else (1, "0.6")
        cx.plot(steps, mem2[:, k], color=colour, linewidth=width)
        dx.barh(k, z[k], color=colour)
    cx.text(
        steps[-1],
        mem2[-1, answer],
        f" {answer}",
        color=plots.RED,
        weight="bold",
        va="center",
    )
    cx.axhline(1.0, color=plots.BLACK, linestyle="--", linewidth=1, label="threshold θ")
    cx.legend(loc="lower left")
    plots.label(cx, "time step", "potential U", "the ten output potentials part")
    dx.set_yticks(range(10))
    plots.label(dx, "mean potential z", "digit", "the highest decides")
    run.figure(fig, "1_inside", look="how few steps the ten potentials need to part")

    epochs = [row["epoch"] for row in history]
    kept = max(history, key=lambda row: row["val"])
    title = f"{100 * accuracy:.2f} % of {len(data.y_test):,} test images are read correctly"
    fig, (ax, bx) = plots.figure(1, 2, (10.5, 3.7), title)
    plots.curves(ax, epochs, {"training": [row["loss"] for row in history]})
    plots.label(ax, "epoch", "cross entropy L", "loss on the training images")
    training = [100 * row["train"] for row in history]
    validation = [100 * row["val"] for row in history]
    plots.curves(bx, epochs, {"training (images moved)": training, "validation": validation})
    bx.plot(kept["epoch"], 100 * kept["val"], "ko", markersize=13, mfc="none", label="epoch kept")
    bx.axhline(100 * accuracy, color="grey", linestyle=":", label="test, once, at the end")
    bx.legend()
    plots.label(bx, "epoch", "images read correctly (%)", "validation chooses the epoch")
    run.figure(fig, "1_training", look="on the right, the distance between training and validation")

    seconds, n = history[-1]["seconds"], len(data.y_test)
    wrong = n - round(accuracy * n)
    inside = activity(net, data.x_test, cfg)
    limit = None if cfg.full else "<= 60"
    run.claim("accuracy", "test images read correctly", accuracy, "1", ">= 0.984", n=n, real=True)
    run.claim("seconds", "training, validation included", seconds, "s", limit, real=True)
    run.claim("spikes_hidden", "hidden spikes for one image", inside.hidden, "", n=n, real=True)
    run.claim("spikes_output", "output spikes for one image", inside.output, "", n=n, real=True)
    run.finding(
        f"After {len(history)} epochs and {seconds:.0f} s, {wrong:,} of {n:,} test images are read "
        f"wrongly ({100 * accuracy:.2f} % right). It took a loop over time, a surrogate, and nothing "
        "else that is new."
    )
    sample = show(data.x_test[:500].float() / 255)
    name = f"SNN 784–{cfg.num_hidden}–10"
    run.ledger(**ledger_row(net, sample, model=name, data=data.name, accuracy=accuracy, n=n))
    return Trained(net, data)


@dataclass
class Activity:
    """What a network does for one image, on average.

    ``onset`` is the step, counted from 1, of the first output spike; T + 1 if there is none.
    """

    hidden: float
    output: float
    onset: float


@torch.no_grad()
def activity(net: Net, images: Tensor, cfg: Config) -> Activity:
    """Count the spikes of both layers for ``images (B, 1, 28, 28)``, values 0 to 255."""
    x = encode(images.float() / 255, cfg.num_steps)
    spk1, _, _ = unroll(net.lif1, over_time(net.fc1, x))  # (T, B, H)
    spk2, _, _ = unroll(net.lif2, over_time(net.fc2, spk1))  # (T, B, 10)
    fired = spk2.sum(2).cumsum(0) > 0  # (T, B): has any output neuron fired by now?
    onset = (~fired).sum(0) + 1.0  # (B,)
    B = len(images)
    return Activity(spk1.sum().item() / B, spk2.sum().item() / B, onset.mean().item())


# ---------------------------------------------------------------- 2  the way back


def surrogate(x: Tensor) -> Tensor:
    """σ′ of ATan, snnTorch's default (lesson 07): 1 at the threshold, small far away from it."""
    return 1 / (1 + (math.pi * x) ** 2)


@torch.no_grad()
def backward_by_hand(
    net: Net,
    x: Tensor,
    y: Tensor,
    spk1_rec: list[Tensor],
    mem1_rec: list[Tensor],
    mem2_rec: list[Tensor],
    carry: bool = True,
) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """Equation (2) for both layers of the network, from the last step down; autograd is off.

    Without ``carry``, the term β·δ[t+1] is left out: no error goes back in time.
    Returns ∂L/∂W1, ∂L/∂W2 and the errors δ1, δ2, lists of T tensors ``(B, H)`` and ``(B, 10)``.
    """
    T, B, _ = x.shape
    theta = net.lif1.threshold
    beta = net.lif1.beta if carry else 0.0
    probability = torch.stack(mem2_rec).mean(0).softmax(1)  # (B, 10)
    # The loss reads the mean over time, so it sends the same to the output potential at each step.
    g_mem2 = (probability - F.one_hot(y, 10)) / (B * T)  # (B, 10)
    delta1 = torch.zeros_like(mem1_rec[0])  # δ[T+1] = 0: nothing comes after the last step
    delta2 = torch.zeros_like(mem2_rec[0])
    grad_w1 = torch.zeros_like(net.fc1.weight)
    grad_w2 = torch.zeros_like(net.fc2.weight)
    delta1_rec, delta2_rec = [], []
    for t in reversed(range(T)):
        # δ2[t] = g_U[t] + β·δ2[t+1]                        (this loss reads no output spikes)
        delta2 = g_mem2 + beta * delta2  # (B, 10)
        # ∂L/∂W2 = Σ_t δ2[t]·S1[t]ᵀ                         (all steps share W2, so they add up)
        grad_w2 += delta2.T @ spk1_rec[t]  # (10, H)
        # g_S[t] = W2ᵀ·δ2[t]                                (from the output to the hidden spikes)
        g_spk1 = delta2 @ net.fc2.weight  # (B, H)
        # δ1[t] = g_S[t]·σ′(U1[t] − θ) + β·δ1[t+1]
        delta1 = g_spk1 * surrogate(mem1_rec[t] - theta) + beta * delta1  # (B, H)
        # ∂L/∂W1 = Σ_t δ1[t]·x[t]ᵀ
        grad_w1 += delta1.T @ x[t]  # (H, 784)
        delta1_rec.insert(0, delta1)
        delta2_rec.insert(0, delta2)
    return grad_w1, grad_w2, delta1_rec, delta2_rec


def error_left(step: Callable[[Tensor], Tensor], state: Tensor, num_steps: int) -> list[float]:
    """How much of an error in the last state of a recurrent layer is left 0, 1, 2 … steps earlier.

    ``step`` takes the state ``(B, N)`` to the next one; autograd goes back through all of them.
    """
    states = [state.clone().requires_grad_()]
    for _ in range(num_steps):
        states.append(step(states[-1]))
    error = torch.ones_like(states[-1])
    back = torch.autograd.grad((error * states[-1]).sum(), states)
    left = [(g.norm() / error.norm()).item() for g in back]
    return left[::-1]


@section
def section_bptt(cfg: Config, run: Run) -> None:
    """2  How does the error get back to the first step?

    By equation (2). `backward_by_hand`, above, is that equation for the two layers of our network,
    with each line below its formula. It begins at the last step and goes down to the first. At each
    step an error has two sources: what the loss, or the layer above, has to say about this very
    step, and the share β of the error one step later, since that share of the potential lived on.

    Forward, a spike is a hard step from 0 to 1. Backward, the derivative of that step would be zero
    almost everywhere, and g_S[t]·σ′ is the only door to the hidden layer: the surrogate keeps it
    open. It acts in training alone; a trained network spikes the same whatever its surrogate. The
    reset −θ·S[t−1] has no term in (2): snnTorch detaches it, so no error runs back through it.

    A recurrent network, an RNN, is trained by the same algorithm. Its state follows h[t] =
    tanh(V·h[t−1] + …), so at every step its error is multiplied by the matrix V (and by the slope
    of tanh). Errors vanish where V is small, and explode where it is large. A LIF layer is an RNN
    whose V is β times the identity: each neuron remembers itself. Its errors shrink by the factor β
    a step, so along the membrane they cannot explode, and they reach no further than its memory.

    What does the carry do for ∂L/∂W1? Without it the gradient may be only shorter, or point
    elsewhere. A common factor cancels in Adam; a change of direction does not.
    """
    T = cfg.num_steps
    run.predict(
        "first_over_last",
        f"The loss reads the mean of the output potential over {T} steps, every step alike. How many "
        f"times as large as at the last step is the error δ at the first (β = {cfg.beta:g})?",
        unit="times",
    )
    data = run.data(mnist)
    net = make_net(cfg, cfg.seed)  # before its first update: its errors are large
    x_b, y = next(batches(data.x_train, data.y_train, 32))
    x = encode(x_b, T)  # (T, 32, 784)
    spk1_rec, mem1_rec, _, mem2_rec = step_by_step(net, x)
    records = (spk1_rec, mem1_rec, mem2_rec)
    grad_w1, grad_w2, delta1_rec, delta2_rec = backward_by_hand(net, x, y, *records)
    not_carried, _, _, _ = backward_by_hand(net, x, y, *records, carry=False)
    loss = F.cross_entropy(torch.stack(mem2_rec).mean(0), y)
    wanted = [net.fc1.weight, net.fc2.weight, *mem1_rec, *mem2_rec]
    auto_w1, auto_w2, *auto_delta = torch.autograd.grad(loss, wanted)
    off_w1 = ((grad_w1 - auto_w1).norm() / auto_w1.norm()).item()
    off_w2 = ((grad_w2 - auto_w2).norm() / auto_w2.norm()).item()
    carried = (grad_w1.norm() / not_carried.norm()).item()
    cosine = F.cosine_similarity(grad_w1.flatten(), not_carried.flatten(), dim=0).item()

    # For the figure: the first image, the output neuron of its digit, its busiest hidden neuron.
    k = int(y[0])
    j = int(torch.stack(spk1_rec)[:, 0].sum(0).argmax())
    mem1 = torch.stack(mem1_rec)[:, 0, j].detach()  # (T,)
    mem2 = torch.stack(mem2_rec)[:, 0, k].detach()
    delta1 = torch.stack(delta1_rec)[:, 0, j]
    delta2 = torch.stack(delta2_rec)[:, 0, k]
    auto1 = torch.stack(auto_delta[:T])[:, 0, j]
    auto2 = torch.stack(auto_delta[T:])[:, 0, k]
    first_over_last = (delta2[0] / delta2[-1]).item()
    title = (
        f"Errors add up on the way back: δ[1] of the output is {first_over_last:.1f} times δ[{T}]"
    )
    fig, axes = plots.figure(2, 2, (11.5, 5.6), title, sharex=True)
    neurons = (
        (f"output neuron of the right digit, {k}", mem2, delta2, auto2),
        ("a hidden neuron", mem1, delta1, auto1),
    )
    place = np.arange(T)
    for (ax, bx), (name, mem, delta, auto) in zip(axes, neurons, strict=True):
        plots.membrane(ax, mem, (mem > 1).float())
        plots.label(ax, "", "potential U", f"{name}: U runs up in time →")
        later = cfg.beta * np.append(delta[1:], 0)  # β·δ[t+1]
        here = delta.numpy() - later
        bx.bar(place, here, 0.5, color=plots.SKY, label="from this step")
        bx.bar(place, later, 0.5, here, color=plots.ORANGE, hatch="//", label="carried: β·δ[t+1]")
        bx.plot(place, delta, "o", color=plots.BLUE, mfc="none", ms=9, label="δ by hand: both")
        bx.plot(place, auto, ".", color=plots.BLACK, label="δ by autograd")
        bx.axhline(0, color="grey", linewidth=0.8)
        plots.label(bx, "", "error δ = ∂L/∂U", f"{name}: ← δ runs down")
    for ax in axes[1]:
        ax.set_xticks(place, place + 1)
        ax.set_xlabel("time step")
    axes[0, 0].legend()
    axes[0, 1].legend()
    run.figure(fig, "2_errors", look="the right column, from right to left")

    # The same question for three recurrent layers of 100 units: what is left of an error?
    cur = torch.rand(16, 100, generator=run.generator())  # (B, N)
    start_state = 0.1 * torch.randn(16, 100, generator=run.generator(1))
    matrix = torch.randn(100, 100, generator=run.generator(2)) / 10  # keeps lengths, on average
    lif = snn.Leaky(beta=cfg.beta)

    def lif_step(mem: Tensor) -> Tensor:
        _, mem = lif(cur, mem)
        return mem

    def rnn_step(h: Tensor, gain: float) -> Tensor:
        return torch.tanh(h @ (gain * matrix).T)

    left = {
        f"LIF layer, β = {cfg.beta:g}": error_left(lif_step, start_state, 30),
        "RNN with tanh, V halves lengths": error_left(partial(rnn_step, gain=0.5), start_state, 30),
        "RNN with tanh, V doubles lengths": error_left(
            partial(rnn_step, gain=2.0), start_state, 30
        ),
    }
    lif_left, _, large_left = (curve[20] for curve in left.values())
    title = f"20 steps back, a LIF layer has kept {100 * lif_left:.0f} % of an error"
    fig, ax = plots.figure(1, 1, (8, 3.8), title)
    plots.curves(ax, range(31), left, markers=False)
    ax.set_yscale("log")
    plots.label(ax, "steps back in time", "length of the error (1: at the end)")
    run.figure(fig, "2_reach", look="which curve is a straight line: one factor for every step")

    run.claim("bptt", "by hand against autograd", max(off_w1, off_w2), "1", "<= 1e-5")
    run.claim("first_over_last", "δ at the first step over the last", first_over_last, "times")
    run.claim("carried", "length of ∂L/∂W1, with over without carry", carried, "times")
    run.claim("carried_cosine", "cosine of the two", cosine, "")
    run.claim("lif_left", "LIF: error left 20 steps back", lif_left)
    run.claim("rnn_left", "RNN, V doubles lengths: the same", large_left, "times")
    way = "points another way"
    if cosine > 0.95:
        way = "points nearly the same way, since every step shows the same image"
    run.finding(
        f"An early push acts on all later steps, so the output's error is {first_over_last:.1f} times "
        f"as large at the first step as at the last. Without the carry ∂L/∂W1 is {carried:.0f} times "
        f"shorter and {way} (cosine {cosine:.3f}); section 6 has a task where the carry decides. β "
        f"sets the reach: of an error, {100 * lif_left:.0f} % is left 20 steps earlier."
    )


# ---------------------------------------------------------------- 3  the losses


class FirstSpike(torch.autograd.Function):
    """The step of each neuron's first spike, from 0: ``spk_rec (T, B, K)`` → ``(B, K)``.

    A silent neuron gets T − 1. A time has no derivative with respect to a spike, so one is made up:
    −1 at the step of the first spike. More potential there counts as an earlier spike.
    """

    @staticmethod
    def forward(ctx, spk_rec: Tensor) -> Tensor:  # type: ignore[override]
        fired = spk_rec.cumsum(0) > 0  # (T, B, K): has it fired by now?
        step = (~fired).sum(0).clamp(max=len(spk_rec) - 1)  # (B, K)
        ctx.save_for_backward(step)
        ctx.shape = spk_rec.shape
        return step.to(spk_rec.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[override]
        (step,) = ctx.saved_tensors
        return grad.new_zeros(ctx.shape).scatter_(0, step[None], -grad[None])


def first_spike_loss(spk_rec: Tensor, y: Tensor) -> Tensor:
    """SF.ce_temporal_loss, without its Python loop over every image and class."""
    return F.cross_entropy(-FirstSpike.apply(spk_rec), y)


def on_spikes(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss that reads the output spikes, for a loop that hands over spikes and potentials."""
    return lambda out, y: loss(out[0], y)


def on_potentials(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """The same for a loss that reads the output potentials."""
    return lambda out, y: loss(out[1], y)


def most_spikes(out: Out) -> Tensor:
    """The class with most output spikes: ``(B,)``; of equal counts the lower class."""
    spk_rec, _ = out
    return spk_rec.sum(0).argmax(1)


def first_to_fire(out: Out) -> Tensor:
    """The class whose neuron fires first: ``(B,)``; at the same step the lower class."""
    spk_rec, _ = out
    return FirstSpike.apply(spk_rec).argmin(1)


def highest_peak(out: Out) -> Tensor:
    """The class whose potential reaches the highest value: ``(B,)``."""
    _, mem_rec = out
    return mem_rec.amax(0).argmax(1)


mse_count_loss = SF.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2)
LOSSES: dict[str, tuple[Loss, Read]] = {  # the loss, and how the answer is read
    "ce_rate_loss": (on_spikes(SF.ce_rate_loss()), most_spikes),
    "ce_count_loss": (on_spikes(SF.ce_count_loss()), most_spikes),
    "mse_count_loss": (on_spikes(mse_count_loss), most_spikes),
    "ce_temporal_loss": (on_spikes(first_spike_loss), first_to_fire),
    "ce_max_membrane_loss": (on_potentials(SF.ce_max_membrane_loss()), highest_peak),
    "mean membrane": (mean_membrane_loss, highest_mean_membrane),
}
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3)


@dataclass
class Arm:
    """One arm of a comparison. Accuracies are in per cent."""

    validation: list[float]  # one training for each learning rate
    lr: float  # the best of these rates
    test: list[float]  # at this rate, one training for each new seed
    nets: list[Net]  # the networks of these seeds


def train_arm(
    build: Callable[[int], Net],
    show: Callable[[Tensor], Tensor],
    loss_fn: Loss,
    read: Read,
    data: ImageData,
    cfg: Config,
    run: Run,
    rates: Sequence[float] = RATES,
) -> Arm:
    """Try each learning rate, let the validation images choose, train anew with new seeds, test."""
    few = replace(
        data,
        x_train=data.x_train[: cfg.short_images],
        y_train=data.y_train[: cfg.short_images],
        x_val=data.x_val[:1000],
        y_val=data.y_val[:1000],  # these choose the epoch that is kept
    )

    def trained(lr: float, seed: int) -> Net:
        net = build(seed)
        fit(  # the loop of section 1
            net,
            few,
            show,
            run=run,
            epochs=cfg.short_epochs,
            lr=lr,
            batch_size=cfg.batch_size,
            loss_fn=loss_fn,
            predict=read,
            seed=seed,
            quiet=True,
        )
        return net

    validation = []
    for lr in rates:
        net = trained(lr, cfg.seed)
        validation.append(100 * evaluate(net, data.x_val, data.y_val, show, read))
    best = rates[int(np.argmax(validation))]
    nets = [trained(best, cfg.seed + 1 + i) for i in range(cfg.seeds)]
    test = [100 * evaluate(net, data.x_test, data.y_test, show, read) for net in nets]
    return Arm(validation, best, test, nets)


def interval(values: Sequence[float], comparisons: int = 1) -> tuple[float, float]:
    """Mean of a few trainings, and half the width of its 95 % interval (Student's t).

    Where several intervals are judged together, each has to be wider (Bonferroni's correction).
    """
    n = len(values)
    quantile = student_t.ppf(1 - 0.025 / comparisons, n - 1)
    return float(np.mean(values)), float(quantile * np.std(values, ddof=1) / math.sqrt(n))


def not_told_apart(arms: dict[str, Arm]) -> list[str]:
    """The best arm, and after it every arm whose distance to it, seed by seed, may be zero."""
    best = max(arms, key=lambda name: np.mean(arms[name].test))
    tied = [best]
    for name, arm in arms.items():
        lead, half = interval(np.subtract(arms[best].test, arm.test), len(arms) - 1)
        if name != best and lead <= half:
            tied.append(name)
    return tied


@section
def section_losses(cfg: Config, run: Run) -> None:
    """3  Which loss should a spiking network be trained with?

    snntorch.functional offers several, which ask for different things. CE(z) is the cross entropy
    −log softmax(z)_y of ten numbers z, one for each output neuron:

        ce_rate_loss           mean over t of CE(S[t])     spikes, step by step: fire at every step
        ce_count_loss          CE(Σ_t S[t])                spike counts: fire more than the others
        mse_count_loss         mean of (Σ_t S[t] − goal)²  counts: goal 80 % of T; wrong neurons 20 %
        ce_temporal_loss       CE(−step of first spike)    latency: be the first to fire
        ce_max_membrane_loss   CE(max over t of U[t])      the highest peak of the potential
        mean membrane          CE(mean over t of U[t])     the loss of section 1, plain PyTorch

    One expects losses on rates or counts to be robust, for many spikes vote; they cost time and
    spikes. (A spike is 0 or 1, so ce_rate_loss ends at ln(1 + 9/e) = 1.46 even for a perfect
    network.) A latency loss can do with one spike, but one expects a stray spike to mislead it,
    and a silent neuron has no time of its own that could improve. (Neither is measured here.)
    Mind what it asks for: that the right neuron fires before the others, not that it fires early.
    Potentials say more than spikes, but not every chip shows them.

    The gradients of these losses differ in size, so no learning rate suits all, and one rate for
    all would decide the contest. Here each loss tries six, the validation images choose, and the
    rate that was chosen is trained with new seeds. Spikes and latencies are those of these networks,
    so they come from different rates, too. Each loss is compared with the best one seed by seed. A
    few seeds, corrected for five comparisons, give wide intervals: "not told apart" says little.

    Too high a rate may throw potentials far from θ, where the surrogate is almost zero and errors
    hardly pass; studies/09_learning_rate.py measures it.
    """
    names = list(LOSSES)
    places = ("the first", "second or third", "fourth or fifth", "the last")
    run.predict(
        "place",
        "Six networks, one for each loss. ce_temporal_loss looks at nothing but the time of the first "
        "output spikes. When does its network give its first spike, compared with the other five?",
        places,
    )
    data = run.data(mnist).to(run.device)
    show = partial(encode, num_steps=cfg.num_steps)
    build = partial(make_net, cfg)
    arms = {}
    for name in live(names, "   losses", len(names)):
        arms[name] = train_arm(build, show, *LOSSES[name], data, cfg, run)

    validation = np.array([arm.validation for arm in arms.values()])  # (losses, rates)
    winner = [names[i] for i in validation.argmax(0)]  # at each rate
    lost = validation.max(1) - validation[:, -1]  # by the highest rate, against the best: (losses,)
    hurt = int(lost.argmax())
    count = len(set(winner))
    title = (
        f"At one rate for all, {count} loss{'es' * (count > 1)} could win: it depends on the rate"
    )
    fig, ax = plots.figure(1, 1, (9, 4.2), title)
    plots.curves(ax, RATES, {name: 100 - np.array(arm.validation) for name, arm in arms.items()})
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(RATES, [f"{lr:g}" for lr in RATES])
    ax.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    ax.minorticks_off()
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(ax, "learning rate at the start", "validation images read wrongly (%)")
    run.figure(
        fig, "3_learning_rates", look="the lowest point of each curve, and to the right of it"
    )

    tied = not_told_apart(arms)
    mean = {name: interval(arm.test) for name, arm in arms.items()}
    acts = {name: average_activity(arm.nets, data, cfg) for name, arm in arms.items()}
    spikes = {name: a.hidden + a.output for name, a in acts.items()}
    onset = {name: a.onset for name, a in acts.items()}
    apart = f"{cfg.seeds} seeds tell {len(arms) - len(tied)} of the 5 others apart from it"
    title = f"At their own learning rates: highest mean {tied[0]}; {apart}"
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.7), title)
    for i, name in enumerate(names):
        ax.errorbar(mean[name][0], i, xerr=mean[name][1], fmt="o", color=plots.BLUE, capsize=4)
        ax.plot(arms[name].test, [i + 0.25] * cfg.seeds, "|", color="0.4")
    ax.set_yticks(range(len(names)), names)
    plots.label(ax, "test images read correctly (%)", "", "mean, 95 % interval, each seed")
    plots.bars(bx, spikes, fmt="{:.0f}")
    plots.label(bx, "spikes for one image", "", "spikes of both layers")
    plots.bars(cx, onset, fmt="{:.1f}")
    plots.label(cx, "time step", "", "first output spike")
    bx.set_yticklabels([])
    cx.set_yticklabels([])
    for panel in (ax, bx, cx):  # one row for each loss, the same in all panels, the first on top
        panel.set_ylim(len(names) - 0.5, -0.5)
    run.figure(fig, "3_losses", look="how far the seeds scatter; who spikes least; who spikes last")

    rows = []
    for name, a in acts.items():
        accuracy = f"{mean[name][0]:.1f} ± {mean[name][1]:.1f} %"
        counts = (f"{a.hidden:.0f}", f"{a.output:.1f}", f"{a.onset:.1f}")
        rows.append((name, f"{arms[name].lr:g}", accuracy, *counts))
    columns = ("loss", "rate", "read correctly", "hidden", "output", "first")
    run.table("Spikes for one image, and the step of the first output spike", columns, rows)

    facts = {"n": len(data.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    own = validation.max(1).max() - validation.max(1).min()  # each loss at its best rate
    shared = (validation.max(0) - validation.min(0)).max()  # all at the rate where they differ most
    latency = onset["ce_temporal_loss"]
    earlier = sum(step < latency for step in onset.values())
    thrifty = min(spikes, key=spikes.get)
    sweep = {"n": len(data.y_val), "seeds": 1, "real": True}  # both spreads: validation images
    run.claim("spread_own", "best − worst loss, own rates", own, "points", **sweep)
    run.claim("spread_shared", "one rate for all: up to", shared, "points", **sweep)
    run.claim("first_temporal", "ce_temporal_loss: first spike", latency, "", **facts)
    run.claim("earlier", "losses that fire earlier", earlier, "of 5", **facts)
    run.claim("fewest", f"fewest spikes: {thrifty}", spikes[thrifty], "", **facts)
    # With 0 earlier ones it is the first, with 1 or 2 second or third, and so on.
    place = (places[0], places[1], places[1], places[2], places[2], places[3])
    run.outcome("place", place[earlier])
    run.finding(
        f"At their own rates {tied[0]} has the highest mean; {apart}. At one rate for all, the winner at "
        f"{RATES[0]:g} is {winner[0]}, at {RATES[-1]:g} {winner[-1]}; there {names[hurt]} loses most, "
        f"{lost[hurt]:.0f} points against its own best. The network of the latency loss gives its "
        f"first spike at step {latency:.1f}; {earlier} of the 5 others are earlier. (Their rates "
        "differ as well, and a high rate makes a network fire early.)"
    )


def average_activity(nets: Sequence[Net], data: ImageData, cfg: Config) -> Activity:
    """What several networks do for a test image, on average."""
    rows = [astuple(activity(net, data.x_test, cfg)) for net in nets]
    return Activity(*np.mean(rows, axis=0).tolist())


# ---------------------------------------------------------------- 4  two ways to read


@torch.no_grad()
def accuracy_by_step(net: Net, data: ImageData, cfg: Config) -> tuple[np.ndarray, np.ndarray]:
    """Test accuracy if the answer were due after 1 … T steps: by potential and by count, ``(T,)``."""
    by_potential = torch.zeros(cfg.num_steps)
    by_count = torch.zeros(cfg.num_steps)
    for x_b, y_b in batches(data.x_test, data.y_test, 1000):
        spk_rec, mem_rec = net.run(encode(x_b, cfg.num_steps))  # (T, B, 10) each
        # The class with the highest sum up to step t has the highest mean up to step t, too.
        by_potential += (mem_rec.cumsum(0).argmax(2) == y_b).sum(1).cpu()
        by_count += (spk_rec.cumsum(0).argmax(2) == y_b).sum(1).cpu()
    n = len(data.y_test)
    return by_potential.numpy() / n, by_count.numpy() / n


@torch.no_grad()
def share_of_ties(net: Net, data: ImageData, cfg: Config) -> float:
    """Share of the test images for which two or more output neurons have the highest spike count."""
    ties = 0
    for x_b, _ in batches(data.x_test, data.y_test, 1000):
        spk_rec, _ = net.run(encode(x_b, cfg.num_steps))  # (T, B, 10)
        highest = spk_rec.sum(0).topk(2).values  # (B, 2): the two highest counts
        ties += (highest[:, 0] == highest[:, 1]).sum().item()
    return ties / len(data.y_test)


@section
def section_reading(cfg: Config, run: Run) -> None:
    """4  Can a network be read in another way than it was trained?

    The network of section 1 was trained on its potentials. Its loss never looked at an output spike:
    it wants the right potential above the nine others, and where θ lies does not matter to it. But
    a chip, or a next layer, may see nothing but spikes. Are they right without being trained?

    Beside it stands a second network, trained in full on its spike counts by ce_count_loss: the same
    first weights, images and number of epochs, and a learning rate of its own, which validation
    images chose in trials before this run. Both are read both ways, after every step. Where several
    neurons share the highest count, a tie, the lowest of their classes is taken.
    """
    run.predict(
        "count_of_potential",
        "The network of section 1 is read by counting its output spikes, which were never trained. "
        "What share of the test images does it get right?",
        unit="%",
    )
    given: Trained = run.result_of(section_training)
    data = given.data
    counting = make_net(cfg, cfg.seed).to(run.device)
    train_alone_or_together(
        counting, data, cfg, run, "count", *LOSSES["ce_count_loss"], cfg.lr_count
    )

    fig, axes = plots.figure(1, 2, (11, 3.9), sharey=True)
    steps = range(1, cfg.num_steps + 1)
    final = {}
    nets = {"potentials": given.net, "spike counts": counting}
    for ax, (trained_on, net) in zip(axes, nets.items(), strict=True):
        by_potential, by_count = accuracy_by_step(net, data, cfg)
        curves = {"read by potential": 100 * by_potential, "read by spike count": 100 * by_count}
        plots.curves(ax, steps, curves)
        plots.label(ax, "steps seen before the answer", "", f"trained on {trained_on}")
        final[trained_on] = (by_potential[-1], by_count[-1])
        if net is given.net:
            one_step = by_potential[0]
    axes[0].set_ylabel("test images read correctly (%)")
    potential_potential, count_of_potential = final["potentials"]
    potential_of_count, count_of_count = final["spike counts"]
    lost = 100 * (potential_potential - count_of_potential)
    lost_too = 100 * (count_of_count - potential_of_count)
    ties = share_of_ties(given.net, data, cfg)
    title = (
        f"Read in the other way, the left network loses {lost:.1f} points, the right one "
        f"{lost_too:.1f} (one seed each)"
    )
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(
        fig, "4_reading", look="in each panel, the curve that its network was not trained for"
    )

    facts = {"n": len(data.y_test), "seeds": 1, "real": True}
    run.claim("count_of_potential", "on potentials, read by counts", count_of_potential, **facts)
    run.claim("count_of_count", "on counts, read by counts", count_of_count, **facts)
    run.claim("potential_of_count", "on counts, read by potential", potential_of_count, **facts)
    run.claim("ties", "on potentials: ties of counts", ties, **facts)
    run.claim("one_step", "on potentials, read after one step", one_step, **facts)
    need = "a still image, too, takes time"
    if potential_potential - one_step < 0.02:
        need = "a still image needs little time, and the flash of section 6 does"
    run.finding(
        f"Read as they were trained: {100 * potential_potential:.2f} % by potential, "
        f"{100 * count_of_count:.2f} % by counts (one seed each). Read in the other way, the network "
        f"trained on potentials loses {lost:.1f} points, the one trained on counts {lost_too:.1f}. The "
        f"first has a tie of counts for {100 * ties:.1f} % of the images, where the lower class is "
        f"taken. By potential it reads {100 * one_step:.1f} % after a single step: {need}."
    )


# ---------------------------------------------------------------- 5  memory


def run_truncated(net: Net, x: Tensor, window: int) -> Out:
    """Truncated BPTT: forward as always, but errors go back ``window`` steps at most.

    ``x (T, B, 784)`` → the spikes and potentials of the last step alone, each ``(1, B, 10)``.
    """
    early = max(0, len(x) - window)
    with torch.no_grad():  # these steps are computed and forgotten: nothing is kept for backward
        spk1, _, state1 = unroll(net.lif1, over_time(net.fc1, x[:early]))
        _, _, state2 = unroll(net.lif2, over_time(net.fc2, spk1))
    spk1, _, _ = unroll(net.lif1, over_time(net.fc1, x[early:]), state1)
    spk2, mem2, _ = unroll(net.lif2, over_time(net.fc2, spk1), state2, record_mem=True)
    return spk2[-1:], mem2[-1:]


def bytes_kept(forward: Callable[[], object]) -> int:
    """Bytes that autograd holds for backward when ``forward`` has returned."""
    with saved_for_backward() as kept:
        out = forward()  # has to live until the bytes are counted
        held = kept()
    del out
    return held


def peak_vram(net: Net, x: Tensor) -> int:
    """Bytes of GPU memory that a forward and backward pass takes at its peak; 0 without CUDA."""
    if x.device.type != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats(x.device)
    before = torch.cuda.memory_allocated(x.device)
    _, _, _, mem2_rec = step_by_step(net, x)
    torch.stack(mem2_rec).sum().backward()
    return torch.cuda.max_memory_allocated(x.device) - before


@section
def section_memory(cfg: Config, run: Run) -> None:
    """5  Why does BPTT need so much memory?

    Look at `backward_by_hand` again. At step t it reads U1[t], for the surrogate, and S1[t], for
    ∂L/∂W2. Autograd, in `step_by_step`, reads the same, and U2[t], for the surrogate of the output
    neurons. So while the forward pass runs, these tensors of every step are kept until the backward
    pass has used them (net.run keeps at most as much: it can make spikes again from potentials):

        bytes = 4·(H + H + 10)·T·B, and a part that does not grow with T      (float32: 4 bytes)

    The input is read as well, for ∂L/∂W1. An image that stays the same is kept once; an input that
    changes, such as a spike train or a video, is kept at every step and adds 4·784·T·B.

    All steps and images share the weights, so the weights are not in this product. What limits a
    training is T times B: in the memory of a GPU, its VRAM, twice the steps cost half the batch.
    There are three ways out. Truncated BPTT keeps a window of the last steps (section 6; here it is
    measured for the image that stays). Recomputing keeps the state at a few cuts and runs the steps
    between them once more on the way back. Lesson 15 learns forward in time and keeps no history at
    all. Answering without learning, under torch.no_grad(), needs the state of a single step,
    whatever T is.

    The bytes are counted by autograd's own hooks. On a GPU the peak of its VRAM is measured, too.
    """
    H, B = cfg.num_hidden, 64
    run.predict(
        "memory_slope",
        "An image stays the same for all steps. How many bytes are kept for each step and each image, "
        f"with {H} hidden and 10 output neurons?",
        unit="bytes",
    )
    steps, window = [10, 20, 40, 80], 5
    net = make_net(cfg, cfg.seed).to(run.device)
    image = torch.rand(B, 1, 28, 28, generator=run.generator()).to(run.device)
    stays, changes, truncated, vram = [], [], [], []
    for T in steps:
        still = encode(image, T)  # (T, B, 784), a view of one image
        moving = still.clone()  # as much memory as a spike train or a video
        stays.append(bytes_kept(partial(step_by_step, net, still)))
        changes.append(bytes_kept(partial(step_by_step, net, moving)))
        truncated.append(bytes_kept(partial(run_truncated, net, still, window)))
        vram.append(peak_vram(net, still))

    def slope(kept: list[int]) -> int:
        """Bytes for one more step of one image."""
        return round((kept[-1] - kept[0]) / (steps[-1] - steps[0]) / B)

    per_step = slope(stays)
    title = f"Each further step keeps {per_step:,} bytes for every image"
    fig, ax = plots.figure(1, 1, (8.5, 4), title)
    curves = {"input changes at every step": changes, "image stays": stays}
    curves[f"image stays, truncated to {window} steps (run_truncated)"] = truncated
    if any(vram):
        curves["image stays: VRAM at its peak"] = vram
    plots.curves(ax, steps, {name: np.divide(kept, 2**20) for name, kept in curves.items()})
    plots.label(ax, "time steps T", f"kept for backward (MiB, B = {B})")
    run.figure(fig, "5_memory", look="straight lines, and the one that is flat")

    weights = 4 * sum(p.numel() for p in net.parameters())
    run.claim("memory_slope", "kept for each step and image", per_step, "bytes")
    run.claim("memory_formula", "by the formula, 4·(H + H + 10)", 4 * (H + H + 10), "bytes")
    run.claim("memory_changes", "kept if the input changes", slope(changes), "bytes")
    if any(vram):
        run.claim(
            f"memory_{run.device.type}", "VRAM at its peak, step and image", slope(vram), "bytes"
        )
    run.finding(
        f"Memory is a straight line in T: {per_step:,} bytes for a step and image, the potentials "
        f"and spikes that the way back reads again. 100 steps and 128 images make "
        f"{per_step * 12_800 / 1e6:,.0f} MB, in a network whose weights take {weights / 1e6:.1f} MB."
    )


# ---------------------------------------------------------------- 6  truncated BPTT


WINDOW_RATES = (8e-3, 16e-3)


class LastAnswer(Net):
    """The network of section 1, trained by truncated BPTT; its last potentials are its answer."""

    window: int

    def run(self, x: Tensor) -> Out:
        """``(T, B, 784)`` → spikes and potentials of the last step, each ``(1, B, 10)``."""
        return run_truncated(self, x, self.window)


def make_last_answer(cfg: Config, window: int, seed: int) -> LastAnswer:
    """A fresh network with a window, whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    net = LastAnswer(num_hidden=cfg.num_hidden, beta=cfg.beta)
    net.window = window
    return net


def lit_steps(num_steps: int) -> int:
    """For how many steps a flashed image is seen: a fifth of them."""
    return max(1, num_steps // 5)


def flash(x: Tensor, num_steps: int) -> Tensor:
    """The image at the first steps, then darkness: ``(B, 1, 28, 28)`` → ``(T, B, 784)``."""
    seen = x.new_zeros(num_steps, len(x), 784)
    seen[: lit_steps(num_steps)] = x.flatten(1)
    return seen


@section
def section_truncated(cfg: Config, run: Run) -> None:
    """6  What is lost if the error may not go back all the way?

    Truncated BPTT lets errors go back w steps, the window, and no further; the last step is one of
    them. In a loop over time one detaches the state there, mem1 = mem1.detach(): the number stays
    and its history is cut. Forward nothing changes, and only w steps are kept. Long sequences are
    often trained so, window by window. What gets lost is blame: a cause w steps or more before its
    effect gets none.

    Two tasks show when that matters. In both the network answers with its last potential, and each
    window tries two learning rates, below and above 0.01, at which studies/09_learning_rate.py found
    this loss at its best. In the first the image stays to the end. In the second it is flashed for a
    fifth of the steps, and then all is dark; the network has to hold on to what it saw until it is
    asked.

    While the image stays, one step is like another, and the last ones can teach for all. After a
    flash, equation (2) says what must happen: ∂L/∂W1 = Σ_t δ1[t]·x[t]ᵀ, and in the dark x[t] is
    0. As long as the window holds dark steps only, this gradient is exactly zero. The biases of
    the hidden layer still get one, Σ_t δ1[t]. So W1 stays as random as it was, and the biases and
    the output layer learn to make the best of its random features; more dark steps are no help.
    """
    T = cfg.num_steps
    lit = lit_steps(T)
    short = max(1, T - lit)  # the longest window that does not reach back to the flash
    enough = max(1, T - lit + 1)  # the shortest that does
    run.predict(
        "flash_short",
        f"An image is flashed for {lit} of {T} steps. In training, errors go back {short} steps, the "
        "last one included. What share of the test images will be read correctly?",
        unit="%",
    )
    data = run.data(mnist).to(run.device)
    tasks = {"image stays": encode, "image flashed": flash}
    windows = {
        "image stays": sorted({1, (T + 1) // 2, T}),
        "image flashed": sorted({1, short, enough, T}),
    }
    pairs = [(task, window) for task in tasks for window in windows[task]]
    arms = {}
    for task, window in live(pairs, "   windows", len(pairs)):
        build = partial(make_last_answer, cfg, window)
        show = partial(tasks[task], num_steps=T)
        arms[task, window] = train_arm(
            build, show, mean_membrane_loss, highest_mean_membrane, data, cfg, run, WINDOW_RATES
        )
    at_short = float(np.mean(arms["image flashed", short].test))
    at_enough = float(np.mean(arms["image flashed", enough].test))

    title = (
        f"After a flash, one more step in the window is worth {at_enough - at_short:+.0f} points"
    )
    fig, ax = plots.figure(1, 1, (8.5, 4.2), title)
    for i, task in enumerate(tasks):
        test = np.array([arms[task, window].test for window in windows[task]])  # (windows, seeds)
        middle = test.mean(1)
        reach = (middle - test.min(1), test.max(1) - middle)
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "ls": plots.DASHES[i]}
        ax.errorbar(windows[task], middle, reach, capsize=4, label=task, **look)
    ax.axvline(T - lit + 0.5, color="grey", linestyle=":", linewidth=1)
    ax.annotate("the flash is out of reach ← ", (T - lit + 0.5, 8), ha="right", color="0.3")
    ax.annotate(" → in reach", (T - lit + 0.5, 8), ha="left", color="0.3")
    ax.set(ylim=(0, 100), xlim=(0.5, T + 1.2))
    ax.set_xticks(range(1, T + 1) if T <= 25 else windows["image flashed"])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(
        ax,
        "window: steps that errors go back, the last one included",
        "test images read correctly (%)",
    )
    run.figure(fig, "6_truncated", look="the dotted line; the bars are the range of the seeds")

    net = arms["image flashed", short].nets[0]
    start_weights = make_last_answer(cfg, short, cfg.seed + 1).fc1.weight.to(run.device)
    moved = (net.fc1.weight - start_weights).abs().max().item()
    gained, half = interval(np.subtract(arms["image stays", T].test, arms["image stays", 1].test))
    facts = {"n": len(data.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim("stays_gain", f"image stays: window {T} against 1", gained, "points", **facts)
    run.claim("flash_short", f"image flashed, window {short}", at_short / 100, **facts)
    run.claim("flash_enough", f"image flashed, window {enough}", at_enough / 100, **facts)
    run.claim("flash_moved", f"window {short}: W1 moved by at most", moved, "", "== 0")
    run.finding(
        f"While the image stays, {T} steps back instead of one are worth {gained:+.1f} ± {half:.1f} "
        f"points. After a flash the window decides: with {short} steps the hidden weights move by "
        f"{plain(moved)}, and {at_short:.0f} % are read; with {enough} it is {at_enough:.0f} %."
    )


def main(cfg: Config, run: Run) -> None:
    section_training(cfg, run)
    section_bptt(cfg, run)
    section_losses(cfg, run)
    section_reading(cfg, run)
    section_memory(cfg, run)
    section_truncated(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
