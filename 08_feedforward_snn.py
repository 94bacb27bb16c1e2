"""Lesson 08 — A feedforward spiking network: two layers, one loop over time, and what goes wrong in it

Question
    A spiking network is made of layers of PyTorch and neurons of lesson 01. What happens, tensor by
    tensor, when an image runs through it, and which mistakes raise no error?

Idea
    nn.Linear holds the weights. Where an ordinary network has its ReLU, a layer of neurons stands,
    and it brings what no ReLU has: a state. For layers ℓ = 1, 2, with leak β and threshold θ = 1:

        I_ℓ[t] = W_ℓ·S_ℓ₋₁[t] + b_ℓ                   S₀[t] = x[t], the input                (1)
        U_ℓ[t] = β·U_ℓ[t−1] + I_ℓ[t] − θ·S_ℓ[t−1]     at rest before the first step: U_ℓ = 0 (2)
        S_ℓ[t] = 1 if U_ℓ[t] > θ else 0                                                      (3)

    So the forward pass is a loop over the time steps, and inside it the layers in order. Weights
    and state live apart. W and b belong to the network: training changes them, and all images and
    all steps share them. U belongs to one neuron *and one image*, lives from one step to the next,
    and means nothing any more when the next image comes.

Read first
    Theory     Eshraghian et al. 2023, section III, https://arxiv.org/abs/2109.12894
    Practice   snnTorch tutorial 3 (architecture and forward pass),
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_3.html

Run
    uv run 08_feedforward_snn.py --predict      asks what you expect, then measures it: start here
    uv run 08_feedforward_snn.py                about 20 seconds on two CPU cores
    uv run 08_feedforward_snn.py --beta 0.5     neurons that forget faster; also --only 3
    uv run 08_feedforward_snn.py --full         the network learns from all of MNIST

Builds on / leads to
    01 gave (2) and (3), 02 ways to make x[t], 07 the gradient through (3). 09 trains this very
    network, and milestone A asks for one of your own.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from common import plots
from common.data import ImageData, batches, mnist
from common.device import synchronize
from common.io import UserError
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import saved_for_backward, unroll
from training import count_predict, fit

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from snntorch import utils
from torch import Tensor, nn


@dataclass
class Config(LessonConfig):
    """num_steps is the number of steps T for which an image is shown."""

    num_steps: int = bounded(25, 1, 100_000)
    """time steps for which an image is shown (T)"""
    beta: float = bounded(0.9, 0.0, 1.0)
    """share β of the potential that is left after one step"""
    num_hidden: int = bounded(256, 1, 100_000)
    """hidden neurons (H)"""
    train_images: int = bounded(10_000, 10, 55_000)
    """images for the short training that gives us a network worth asking"""
    epochs: int = bounded(3, 1, 100)
    """passes over them"""
    test_images: int = bounded(10_000, 20, 10_000)
    """test images that are read"""
    batch_size: int = bounded(100, 2, 10_000)
    """images shown at once (B)"""


SMOKE = {
    "num_steps": 5,
    "num_hidden": 32,
    "train_images": 500,
    "epochs": 1,
    "test_images": 100,
    "batch_size": 20,
}
FULL = {"train_images": 55_000, "epochs": 8}


# Section 1 takes the weights from it; what forward and run do is the subject of section 2.
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
    """The same network in two blocks: the neurons are children of the blocks, not of the network."""

    def __init__(self, num_hidden: int, beta: float) -> None:
        super().__init__()
        lif1 = snn.Leaky(beta=beta, init_hidden=True)
        lif2 = snn.Leaky(beta=beta, init_hidden=True, output=True)
        self.block1 = nn.Sequential(nn.Linear(784, num_hidden), lif1)
        self.block2 = nn.Sequential(nn.Linear(num_hidden, 10), lif2)

    def forward(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """One step: ``(B, 784)`` → output spikes and membrane, each ``(B, 10)``."""
        return self.block2(self.block1(x_t))


def encode(x: Tensor, num_steps: int) -> Tensor:
    """The grey values are the input, the same at every step: ``(B, 1, 28, 28)`` → ``(T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


def count_loss(out: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    """Cross entropy of the spike counts (lesson 09 compares such losses)."""
    spk_rec, _ = out
    return F.cross_entropy(spk_rec.sum(0), y)


@dataclass
class Trained:
    """What section 1 leaves for the others: a network that has learnt digits, and the digits."""

    net: Net
    data: ImageData


def trained(cfg: Config, run: Run) -> Trained:
    """A network that reads digits. Lesson 09 opens the box ``fit``; here we only need the result."""
    data = run.data(mnist, n_train=cfg.train_images).to(run.device)
    torch.manual_seed(cfg.seed)
    net = Net(num_hidden=cfg.num_hidden, beta=cfg.beta)
    fit(
        net,
        data,
        partial(encode, num_steps=cfg.num_steps),
        run=run,
        epochs=cfg.epochs,
        lr=2e-3,
        loss_fn=count_loss,
        predict=count_predict,
        quiet=True,
    )
    return Trained(net, data)


@section
def section_loop(cfg: Config, run: Run) -> Trained:
    """1  How does an image run through a spiking network?

    The loop below is the one that every snnTorch program has. Outside it, once: all potentials at
    rest. Inside it, for each step: the layers in order. A spike of the first layer reaches the second
    in the same step. lif1 takes the potential of the step before and gives back the new one; whoever
    holds `mem1` holds the state.

    There are two kinds of axes. B, the images of a batch, run side by side and never meet. T, the
    steps, follow one another, and each needs the one before. By custom time comes first: (T, B, …).

    After the loop the answer is read. Count each output neuron's spikes over all steps and take the
    neuron with most:

        counts = spk_rec.sum(0)        (T, B, 10) → (B, 10)          the axis of time vanishes
        answer = counts.argmax(1)      (B, 10) → (B,)                the axis of classes vanishes

    Two counts may be equal. argmax then takes the lower class without a word, and if no neuron
    spikes at all, the answer is always 0. A network that never spikes therefore reads a tenth of
    the digits correctly: look at the counts, not only at the accuracy.

    Here the input x[t] is the image itself, its grey values, at every step. The weights come from a
    short training.
    """
    run.predict(
        "active",
        f"One digit is shown for {cfg.num_steps} steps. What share of the {cfg.num_hidden} hidden "
        "neurons spikes at least once?",
        unit="%",
    )
    here = trained(cfg, run)
    net, data = here.net, here.data
    images, labels = data.x_test[: cfg.test_images], data.y_test[: cfg.test_images]
    batch = images[: cfg.batch_size].float() / 255  # (B, 1, 28, 28)
    x = encode(batch, cfg.num_steps)  # (T, B, 784)

    lif1 = snn.Leaky(beta=cfg.beta)
    lif2 = snn.Leaky(beta=cfg.beta)
    mem1 = lif1.init_leaky()  # at rest: a 0 that takes the shape of the first input
    mem2 = lif2.init_leaky()
    spk1_list, spk2_list, mem2_list = [], [], []
    with torch.no_grad():
        for x_t in x:  # (B, 784)
            cur1 = net.fc1(x_t)  # (B, H)      equation (1)
            spk1, mem1 = lif1(cur1, mem1)  # (B, H) each   equations (2) and (3)
            cur2 = net.fc2(spk1)  # (B, 10)
            spk2, mem2 = lif2(cur2, mem2)  # (B, 10) each
            spk1_list.append(spk1)
            spk2_list.append(spk2)
            mem2_list.append(mem2)
    spk1_rec = torch.stack(spk1_list)  # (T, B, H)
    spk_rec = torch.stack(spk2_list)  # (T, B, 10)
    mem_rec = torch.stack(mem2_list)  # (T, B, 10)
    counts = spk_rec.sum(0)  # (B, 10)
    answer = counts.argmax(1)  # (B,)

    shapes = (
        ("x", "T, B, pixels", x),
        ("cur1, spk1, mem1 in a step", "B, H", mem1),
        ("cur2, spk2, mem2 in a step", "B, classes", mem2),
        ("spk_rec", "T, B, classes", spk_rec),
        ("spk_rec.sum(0)", "B, classes", counts),
        (".argmax(1)", "B", answer),
    )
    rows = [(name, axes, str(tuple(tensor.shape))) for name, axes, tensor in shapes]
    run.table("Shapes on the way", ("tensor", "axes", "shape"), rows)

    # All test images, by the faster net.run of section 2.
    right, tied, silent = 0, 0, 0
    with torch.no_grad():
        for x_b, y_b in batches(images, labels, 500):
            sums = net.run(encode(x_b, cfg.num_steps))[0].sum(0)  # (B, 10)
            highest = sums.max(1, keepdim=True).values
            right += (sums.argmax(1) == y_b).sum().item()
            tied += ((sums == highest).sum(1) > 1).sum().item()
            silent += (highest[:, 0] == 0).sum().item()
    n = len(labels)
    active = (spk1_rec.sum(0) > 0).float().mean().item()  # over neurons and images

    show = int((counts.max(1).values > 0).float().argmax())  # the first that is answered at all
    hidden, output = spk1_rec[:, show].cpu(), spk_rec[:, show].cpu()
    spiking = int((hidden.sum(0) > 0).sum())
    order = hidden.sum(0).argsort(descending=True)[: max(1, spiking)]
    digit, told = int(labels[show]), int(answer[show])
    title = f"A {digit} on its way: read as a {told}, by {int(counts[show].max())} output spikes"
    fig, axes = plots.figure(1, 5, (14, 3.7), title, width_ratios=(0.9, 1.8, 1.6, 1.6, 1))
    image, first, second, potential, sums = axes
    image.imshow(batch[show, 0].cpu(), cmap="gray")
    image.set_axis_off()
    image.set_title("x[t], each t")
    plots.raster(first, hidden[:, order], width=1.2)
    plots.raster(second, output)
    mem = mem_rec[:, show].cpu()
    spiking_most = counts[show].argsort(descending=True, stable=True)[:3].tolist()
    for k in range(10):
        look = {"color": "0.8", "linewidth": 1}
        if k in spiking_most and counts[show, k] > 0:
            i = spiking_most.index(k)
            colour = (plots.RED, plots.BLUE, plots.GREEN)[i]
            look = {"color": colour, "linestyle": plots.DASHES[i], "label": f"neuron {k}"}
        potential.plot(mem[:, k], **look)
    potential.axhline(1.0, color=plots.BLACK, linestyle="--", linewidth=1, label="threshold θ")
    low, high = potential.get_ylim()
    potential.set_ylim(low - 0.55 * (high - low), high)
    potential.legend(loc="lower left")
    colours = [plots.RED if k == told else "0.65" for k in range(10)]
    sums.barh(range(10), counts[show].cpu(), color=colours)
    for panel in (second, sums):
        panel.set_yticks(range(10))
        panel.set_ylim(-0.7, 9.7)
    plots.label(
        first, "time step", "neuron (most active first)", f"spk1: {spiking} of {cfg.num_hidden}"
    )
    plots.label(second, "time step", "class", f"spk2: {int(output.sum())} spikes")
    plots.label(potential, "time step", "potential U", "mem2, all ten")
    plots.label(sums, "spikes in all steps", "", "spk_rec.sum(0)")
    run.figure(
        fig, "1_loop", look="from left to right, what x_t, spk1, spk2, mem2 and the counts hold"
    )

    run.claim("accuracy", "test images read correctly", right / n, "1", ">= 0.9", n=n, real=True)
    run.claim("active", "hidden neurons that spike", active, n=len(batch), real=True)
    run.claim("tied", "images with a tie for first place", tied / n, n=n, real=True)
    run.claim("silent", "images without an output spike", silent / n, n=n, real=True)
    run.finding(
        f"A loop over {cfg.num_steps} steps turns {len(batch)} images into {len(answer)} answers. "
        f"{100 * right / n:.1f} % of {n:,} test images are read correctly; for {100 * tied / n:.1f} % "
        "two or more counts share the first place, and argmax takes the lower class."
    )
    return here


def by_forward(net: nn.Module, x: Tensor) -> Tensor:
    """``net(x_t)``, step by step, with the state inside the neurons: ``(T, B, 784)`` → spikes ``(T, B, 10)``.

    It starts from whatever state the neurons are in.
    """
    spk_list = []
    for x_t in x:
        spk, _ = net(x_t)
        spk_list.append(spk)
    return torch.stack(spk_list)


def by_loop(net: Net, x: Tensor) -> Tensor:
    """The loop of section 1: ``(T, B, 784)`` → output spikes ``(T, B, 10)``."""
    lif1 = snn.Leaky(beta=net.lif1.beta)
    lif2 = snn.Leaky(beta=net.lif2.beta)
    mem1 = lif1.init_leaky()
    mem2 = lif2.init_leaky()
    spk_list = []
    for x_t in x:
        spk1, mem1 = lif1(net.fc1(x_t), mem1)
        spk2, mem2 = lif2(net.fc2(spk1), mem2)
        spk_list.append(spk2)
    return torch.stack(spk_list)


def by_layer(net: Net, x: Tensor) -> Tensor:
    """All steps of layer 1, then all steps of layer 2: ``(T, B, 784)`` → output spikes ``(T, B, 10)``."""
    spk = x
    for fc, lif in ((net.fc1, net.lif1), (net.fc2, net.lif2)):
        cur = fc(spk)  # (T, B, H): nn.Linear takes all steps at once, as if they were images
        lif = snn.Leaky(beta=lif.beta)
        mem = lif.init_leaky()
        spk_list = []
        for cur_t in cur:  # time is still a loop: a neuron needs its own past
            spk_t, mem = lif(cur_t, mem)
            spk_list.append(spk_t)
        spk = torch.stack(spk_list)
    return spk


def reset(net: nn.Module) -> None:
    """Put all neurons of a network to rest, however deep they are nested, and no others."""
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            module.reset_mem()


def milliseconds(
    ways: dict[str, Callable[[Tensor], Tensor]], inputs: dict[str, Tensor], run: Run
) -> dict[str, dict[str, float]]:
    """Time of each way with each input: the fastest of ten rounds, as other work only adds to it.

    The ways take turns, so that a slow moment of the machine does not fall on one of them.
    """
    fastest = {name: dict.fromkeys(ways, float("inf")) for name in inputs}
    for _ in range(10):
        for name, x in inputs.items():
            for way, function in ways.items():
                start = time.perf_counter()
                function(x)
                synchronize(run.device)
                seconds = time.perf_counter() - start
                fastest[name][way] = min(fastest[name][way], 1000 * seconds)
    return fastest


@section
def section_three_ways(cfg: Config, run: Run) -> None:
    """2  Where can the state be kept, and in which order may one compute?

    Carrying mem1, mem2, … by hand gets tedious. With init_hidden=True a neuron keeps its potential
    in itself: one writes spk = lif(cur), and only the last layer, with output=True, gives its
    potential back. That is `Net.forward` above. The price: the state is now out of sight, and it
    stays when the batch is over (section 3).

    `by_layer` does something else. Layers feed only forward: layer 1 at step 5 needs layer 1 at step 4
    and nothing of layer 2. So the two loops may change places: all steps of layer 1 first, then all
    steps of layer 2. The numbers are the same, and nn.Linear is called once for all steps. `Net.run`
    is this order, with the loop over time inside `unroll`, a function of this course that does what
    the loop in `by_layer` does, in a single call. `by_layer` and `run` both start from rest each
    time, so nothing can be left over.

    The order alone gains little. `unroll` gains time, since the loop over time is one call. And if the
    input stays the same, fc1 need be computed only once, and not T times, which `run` notices. So
    two inputs are timed: one image at all steps, and a rate code, which is another input at each
    step (lesson 02).

    A network whose output feeds back into its first layer could not be computed in this order.
    """
    run.predict(
        "speedup",
        f"T = {cfg.num_steps}, B = {cfg.batch_size}, an input that changes at every step: how many times "
        "as fast as the loop of section 1 is net.run?",
        unit="times",
    )
    here = run.result_of(section_loop)
    net = here.net
    images = here.data.x_test[: cfg.batch_size].float() / 255
    x = encode(images, cfg.num_steps)  # (T, B, 784), the same at every step
    coded = (torch.rand(x.shape, device=x.device) < x).float()  # another input at every step
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "loop": partial(by_loop, net),
        "forward": partial(by_forward, net),
        "by layer": partial(by_layer, net),
        "run": lambda x: net.run(x)[0],
    }
    spikes = {}
    with torch.no_grad():
        for name, way in ways.items():
            reset(net)
            spikes[name] = way(coded)  # (T, B, 10)
        times = milliseconds(ways, {"input changes": coded, "one still image": x}, run)
    reset(net)
    changing, still = times.values()
    loop = spikes["loop"]
    wrong = {name: int((spk != loop).sum()) for name, spk in spikes.items()}
    speedup = changing["loop"] / changing["run"]
    speedup_still = still["loop"] / still["run"]

    n = loop.numel()
    title = f"Four ways: {max(wrong.values())} of {n:,} outputs (spike or none) differ at most"
    fig, axes = plots.figure(1, 3, (13, 3.3), title, width_ratios=(1.1, 1.1, 1.4))
    steps = 6
    visits = {
        "loop, forward: step by step": np.arange(2 * steps).reshape(steps, 2).T,
        "by layer, run: layer by layer": np.arange(2 * steps).reshape(2, steps),
    }
    for ax, (name, visit) in zip(axes[:2], visits.items(), strict=True):
        ax.imshow(visit, cmap="Blues", vmin=0, vmax=3 * steps, origin="lower")
        for (layer, step), number in np.ndenumerate(visit + 1):
            ax.text(step, layer, str(number), ha="center", va="center")
        ax.set_yticks(range(2), ("layer 1", "layer 2"))
        ax.set_xticks(range(steps))
        ax.grid(False)
        plots.label(ax, "time step", "", name)
    plots.grouped_bars(axes[2], times, fmt="{:.1f}")
    plots.label(
        axes[2], "", f"ms for {len(x)} steps of {x.shape[1]} images", "measured, on this machine"
    )
    run.figure(fig, "2_order", look="the numbers say in which order the boxes are computed")

    for name, id in (
        ("forward", "forward_differs"),
        ("by layer", "layer_differs"),
        ("run", "run_differs"),
    ):
        share = wrong[name] / n
        run.claim(id, f"{name}: spikes that differ", share, target="<= 1e-3", n=n)
    run.claim("speedup", "run / loop, changing input", round(speedup, 1), "times as fast")
    run.claim("speedup_still", "run / loop, a still image", round(speedup_still), "times as fast")
    run.finding(
        f"Of {n:,} output spikes and silences, {wrong['forward']} differ if the neurons keep the state "
        f"themselves, and {max(wrong['by layer'], wrong['run'])} if it is computed layer by layer. On "
        f"this machine net.run was {speedup:.1f} times as fast as the loop if the input changes, and "
        f"{speedup_still:.0f} times if it stays the same and fc1 is computed once."
    )


@torch.no_grad()
def spike_counts(
    net: Net, images: Tensor, num_steps: int, batch_size: int, between: bool
) -> Tensor:
    """Output spikes of ``images (N, 1, 28, 28)``, batch after batch: ``(N, 10)``.

    ``between``: reset before each batch. N is a multiple of the batch size.
    """
    reset(net)
    counts = []
    for x_b, _ in batches(images, images, batch_size):
        if between:
            reset(net)
        spk_rec = by_forward(net, encode(x_b, num_steps))  # (T, B, 10)
        counts.append(spk_rec.sum(0))
    reset(net)
    return torch.cat(counts)


def has_tie(counts: Tensor) -> Tensor:
    """Whether two neurons share the first place: ``(N, 10)`` → ``(N,)``."""
    return (counts == counts.max(1, keepdim=True).values).sum(1) > 1


@torch.no_grad()
def potentials(net: Net, images: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Potentials at each step, from whatever state the network is in: ``(T, B, H)``, ``(T, B, 10)``."""
    hidden, output = [], []
    for x_t in encode(images.float() / 255, num_steps):
        _, mem2 = net(x_t)
        hidden.append(net.lif1.mem)
        output.append(mem2)
    return torch.stack(hidden), torch.stack(output)


def why_not(attempt: Callable[[], object]) -> str:
    """What the error says that ``attempt`` raises, shortened; empty if it raises none."""
    try:
        attempt()
    except (RuntimeError, ValueError, UserError) as error:
        return textwrap.shorten(str(error), 74, placeholder=" …")
    return ""


def left_over(apart: Tensor, which: Tensor) -> np.ndarray:
    """Mean of ``apart (T, B, H)`` over the neurons ``which (B, H)``, in per cent of that at step 0."""
    if not which.any():
        return np.zeros(len(apart))
    mean = apart[:, which].mean(1)  # (T,)
    return (100 * mean / mean[0].clamp(min=1e-9)).cpu().numpy()


@section
def section_no_reset(cfg: Config, run: Run) -> None:
    """3  What if nobody resets the state?

    An image leaves potentials behind. With the state inside the neurons and no reset between two
    batches, image 7 of the next batch starts where image 7 of this one ended. What is left over
    fades by β a step, counted from the first step of the new image:

        U_left[t] = βᵗ·U_left[0]            β = 0.9: 8 % is left after 24 steps              (4)

    That is right for neurons that do not spike. One that spikes loses the difference faster at first:
    the spike that comes earlier takes θ off earlier. But a spike more or less is a new difference, so
    some of it stays to the end. It all happens only as long as batches have the same size: a
    batch of another size starts from rest, without a word.

    In training the mistake betrays itself: the state still hangs on the graph of the batch before, so
    the second backward() raises an error, quoted below. In evaluation, under no_grad, it is silent.
    And what does it do to the accuracy? That depends on which image came before, so the test set is
    read three times: with a reset, without one in the given order, and without one sorted by class.
    What an image leaves over favours its own class, so an order by class may even help. (One network,
    one seed: take the direction from this, not the size.)
    """
    run.predict(
        "flips",
        "Nobody resets the network between batches of the test set. What share of its answers changes?",
        unit="%",
    )
    here = run.result_of(section_loop)
    net, data = here.net, here.data
    B = min(cfg.batch_size, min(cfg.test_images, len(data.y_test)) // 2)
    n = min(cfg.test_images, len(data.y_test)) // B * B
    images, labels = data.x_test[:n], data.y_test[:n]
    counts_rest = spike_counts(net, images, cfg.num_steps, B, between=True)  # (N, 10)
    counts_left = spike_counts(net, images, cfg.num_steps, B, between=False)
    rested, carried = counts_rest.argmax(1), counts_left.argmax(1)
    by_class = labels.argsort(stable=True)
    sorted_ = spike_counts(net, images[by_class], cfg.num_steps, B, between=False).argmax(1)
    flipped = rested != carried
    tie = has_tie(counts_rest) | has_tie(counts_left)
    by_tie = tie[flipped].float().mean().item() if flipped.any() else 0.0
    flips = flipped[B:].float().mean().item()  # the first batch starts at rest in either case
    accuracy = {
        "with reset": (rested == labels).float().mean().item(),
        "no reset": (carried == labels).float().mean().item(),
        "no reset, sorted by class": (sorted_ == labels[by_class]).float().mean().item(),
    }

    # One image whose answer flips: without a tie, and read correctly with a reset, if there is one.
    telling = flipped & (rested == labels) & ~tie
    if not telling.any():
        telling = flipped
    flip = int(telling.float().argmax()) if telling.any() else n - 1
    earlier = images[flip % B : flip : B]  # the images of the same place in the batches before
    reset(net)
    _, from_rest = potentials(net, images[flip : flip + 1], cfg.num_steps)
    reset(net)
    for image in earlier:
        potentials(net, image[None], cfg.num_steps)
    _, from_left = potentials(net, images[flip : flip + 1], cfg.num_steps)
    # The second batch from rest and from what the first one left.
    reset(net)
    rest, _ = potentials(net, images[B : 2 * B], cfg.num_steps)
    reset(net)
    potentials(net, images[:B], cfg.num_steps)
    left, _ = potentials(net, images[B : 2 * B], cfg.num_steps)
    apart = (left - rest).abs()  # (T, B, H)
    fires = ((left > 1) | (rest > 1)).any(
        0
    )  # (B, H): neurons that spike in this image, in either case
    fading = {
        "neurons that spike": left_over(apart, fires),
        "neurons that do not": left_over(apart, ~fires),
    }

    def train_twice() -> None:
        """Two steps of training without a reset between them."""
        reset(net)
        x = encode(data.x_train[:8].float() / 255, cfg.num_steps)
        for _ in range(2):
            by_forward(net, x).sum().backward()

    message = why_not(train_twice)
    net.zero_grad()
    reset(net)
    run.print(f"   training without a reset, second batch:\n     {message or 'no error'}")

    now, then = int(rested[flip]), int(carried[flip])
    title = f"Without a reset {100 * flips:.1f} % of the answers change"
    fig, (ax, bx, cx) = plots.figure(1, 3, (13, 3.9), title, width_ratios=(1.4, 1, 1))
    for k, colour in ((now, plots.BLUE), (then, plots.RED)):
        for mem, dash, name in ((from_rest, "-", "from rest"), (from_left, "--", "no reset")):
            trace = mem[:, 0, k].cpu()
            head = f"neuron {k}, {name}, spikes: {int((trace > 1).sum())}"
            ax.plot(trace, dash, color=colour, label=head)
        if now == then:
            break
    ax.axhline(1.0, color=plots.BLACK, linestyle=":", linewidth=1)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.45 * (high - low))
    ax.legend(loc="upper left", ncols=2, fontsize=8)
    head = f"A {int(labels[flip])}: read as {now}, without reset as {then}"
    plots.label(ax, "time step", "output potential U (dotted: θ)", head)
    by_4 = 100 * cfg.beta ** np.arange(cfg.num_steps)
    bx.plot(by_4, color="0.8", linewidth=5, label="by (4)")
    for i, (name, share) in enumerate(fading.items()):
        bx.plot(share, color=plots.COLOURS[i], linestyle=plots.DASHES[i], label=name)
    bx.set_ylim(bottom=0)
    bx.legend()
    plots.label(bx, "time step", "left over (% of that at step 0)", "hidden layer, mean |ΔU|")
    plots.bars(cx, {name: 100 * value for name, value in accuracy.items()}, fmt="{:.2f}")
    cx.set_yticks(range(3), ("reset", "no reset", "no reset,\nsorted"))
    shares = [100 * value for value in accuracy.values()]
    cx.set_xlim(min(shares) - 1.5, max(shares) + 0.8)
    plots.label(cx, "read correctly (%; axis cut)", "", "same network, same images")
    run.figure(
        fig,
        "3_no_reset",
        look="how the dashed lines differ from the solid ones; who forgets by (4)",
    )

    run.claim("flips", "no reset: answers that change", flips, n=n - B, real=True)
    run.claim("by_tie", "of these, with a tie in one case", by_tie, real=True)
    names = ("accuracy_reset", "accuracy_no_reset", "accuracy_sorted")
    for id, (name, value) in zip(names, accuracy.items(), strict=True):
        run.claim(id, name, value, n=n, real=True)
    before, after = 100 * accuracy["no reset"], 100 * accuracy["no reset, sorted by class"]
    run.finding(
        f"Without a reset {100 * flips:.1f} % of the answers change and no error is raised; in "
        f"{100 * by_tie:.0f} % of these cases two counts are equal, with the reset or without. In the given "
        f"order of the images the network then reads {before:.2f} %, sorted by class {after:.2f} %, with "
        f"a reset {100 * accuracy['with reset']:.2f} % in any order: without one, the order is measured "
        "as well as the network."
    )


@torch.no_grad()
def reached(net: nn.Module, x_t: Tensor, other: nn.Module, call: Callable) -> tuple[float, float]:
    """Run two networks for a step, then ``call(net)``: the shares of potentials that it puts to rest,
    in ``net`` (wanted: 1) and in ``other`` (wanted: 0)."""
    shares = []
    for network in (net, other):
        reset(network)
        network(x_t)
    call(net)
    for network in (net, other):
        shares.append((state_of(network) == 0).float().mean().item())
    return shares[0], shares[1]


def state_of(net: nn.Module) -> Tensor:
    """All potentials of a network in one row."""
    neurons = [m for m in net.modules() if isinstance(m, snn.SpikingNeuron)]
    return torch.cat([neuron.mem.flatten() for neuron in neurons])


@section
def section_reset_reach(cfg: Config, run: Run) -> None:
    """4  Which neurons does a reset reach?

    snntorch.utils.reset(net) is what tutorials call before each batch. In the version installed here
    it works in two steps. It looks through the *direct* children of net (net.lif1, but not what
    stands inside net.block1) and notes which kinds of neuron it finds. Then it resets *all* neurons of
    these kinds, from a list that the class keeps of every neuron in the program.

    Networks of more than two layers are written in blocks. What does the call do there? `reset`, above,
    walks net.modules(), which are all modules however deep, and resets those that are neurons.

    Measured for both calls, on the flat Net and on the same network in blocks (`Nested`): which share
    of the potentials is put to rest, in the network that was meant, and in one that was not.
    """
    nothing, both, error = "it resets nothing", "it resets both neurons", "it raises an error"
    run.predict(
        "call",
        "All neurons of a network stand inside nn.Sequential blocks. What does utils.reset(net) do?",
        (both, nothing, error),
    )
    torch.manual_seed(cfg.seed)
    pixels = run.data(mnist, n_train=cfg.train_images).x_test[: cfg.batch_size].flatten(1)
    x_t = pixels.to(run.device).float() / 255 + 0.01  # so that no potential is 0 by itself
    flat = Net(num_hidden=cfg.num_hidden, beta=cfg.beta).to(run.device)
    nested = Nested(cfg.num_hidden, cfg.beta).to(run.device)
    other = Net(num_hidden=cfg.num_hidden, beta=cfg.beta).to(run.device)
    table = {
        "utils.reset(flat)": reached(flat, x_t, other, utils.reset),
        "utils.reset(nested)": reached(nested, x_t, other, utils.reset),
        "reset(flat)": reached(flat, x_t, other, reset),
        "reset(nested)": reached(nested, x_t, other, reset),
    }

    wrong = [call for call, shares in table.items() if shares != (1.0, 0.0)]
    title = f"Resets too little or too much: {' and '.join(wrong) or 'none of the four'}"
    fig, ax = plots.figure(1, 1, (8.5, 3.6), title)
    place = np.arange(4)
    own_shares = [100 * own for own, _ in table.values()]
    other_shares = [100 * others for _, others in table.values()]
    drawn = ax.barh(
        place - 0.2, own_shares, 0.38, color=plots.BLUE, label="of the network given (wanted: 100)"
    )
    ax.bar_label(drawn, fmt="%.0f", padding=3)
    drawn = ax.barh(
        place + 0.2,
        other_shares,
        0.38,
        color=plots.SKY,
        hatch="//",
        edgecolor="white",
        label="of another network (wanted: 0)",
    )
    ax.bar_label(drawn, fmt="%.0f", padding=3)
    ax.set_yticks(place, list(table))
    ax.invert_yaxis()
    ax.set_xlim(0, 110)
    ax.grid(False, axis="y")
    fig.legend(loc="outside lower center", ncols=2)
    plots.label(ax, "potentials put to rest (%)", "")
    run.figure(fig, "4_reset", look="the second call: nothing happens, and nothing is said")

    missed = table["utils.reset(nested)"][0]
    elsewhere = table["utils.reset(flat)"][1]
    own, others = table["reset(nested)"]
    run.claim("missed", "utils.reset(nested): reset in it", missed)
    run.claim("elsewhere", "utils.reset(flat): reset elsewhere", elsewhere)
    run.claim("remedy_own", "reset(nested): reset in it", own, target="== 1")
    run.claim("remedy_other", "reset(nested): reset elsewhere", others, target="== 0")
    run.outcome("call", nothing if missed == 0 else both)
    run.finding(
        f"In a network in blocks utils.reset puts {100 * missed:.0f} % of the potentials to rest, without "
        f"a word; called for a flat one, it puts {100 * elsewhere:.0f} % of those of *another* network to "
        f"rest. Walking net.modules() does what is meant: {100 * own:.0f} % and {100 * others:.0f} %."
    )


def check_time_first(x: torch.Tensor, num_steps: int, what: str = "x") -> torch.Tensor:
    """Return ``x`` if its first dimension is time.

    Raises:
        UserError: with what was got, what was expected, and the transpose that mends it.
    """
    if x.shape[0] != num_steps:
        where = [i for i, n in enumerate(x.shape) if n == num_steps]
        fix = f"use {what}.transpose(0, {where[0]})" if where else "check num_steps"
        raise UserError(f"{what}: got {tuple(x.shape)}, expected T={num_steps} first; {fix}")
    return x


@section
def section_swapped(cfg: Config, run: Run) -> None:
    """5  What if batch and time change places?

    Data loaders give the batch first, (B, T, …); the loop wants time first. To the loop, whatever
    comes first is time. Given (B, T, 784) it takes B steps, and at each of them it sees the T moments
    of *one* image as if they were T images side by side.

        time first       step t, place b:   moment t of image b
        batch first      step t, place b:   moment b of image t

    Every shape fits. With B ≠ T it is noticed at the end at least: the loss gets T answers for B
    labels. A check at the door says it sooner, check_time_first(x, T), which compares x.shape[0]
    with T. With B = T there is nothing left that could notice. So try new code with T, B and the
    number of features all different.
    """
    run.predict(
        "accuracy_swapped",
        "T = B, and the axes are swapped on the way in. What share of the digits does the trained "
        "network read correctly now?",
        unit="%",
    )
    here = run.result_of(section_loop)
    net, data = here.net, here.data
    T = max(2, min(cfg.num_steps, 25, len(data.y_test) // 2))
    wide = encode(data.x_test[: T + 7].float() / 255, T)  # (T, T + 7, 784)
    labels = data.y_test[: T + 7]
    swapped = wide.transpose(0, 1)  # (T + 7, T, 784): the mistake

    def ask_the_loss() -> None:
        F.cross_entropy(net.run(swapped)[0].sum(0), labels)

    at_the_end = why_not(ask_the_loss)
    at_the_door = why_not(partial(check_time_first, swapped, T))
    square = why_not(partial(check_time_first, swapped[:T], T))
    run.print(f"   B = T + 7, at the loss:\n     {at_the_end or 'no error'}")
    run.print(f"   B = T + 7, at the door:\n     {at_the_door or 'no error'}")
    run.print(f"   B = T, at the door:\n     {square or 'no error'}")

    # As many images as steps, batch after batch, read in both ways.
    n = min(cfg.test_images, len(data.y_test)) // T * T
    right = {"time first": 0, "batch first": 0}
    alike = 0  # batches in which all images get the same answer
    first = {}  # digits and answers of the first batch
    with torch.no_grad():
        for x_b, y_b in batches(data.x_test[:n], data.y_test[:n], T):
            x = encode(x_b, T)  # (T, B, 784), and B = T
            told = net.run(x)[0].sum(0).argmax(1)
            mixed = net.run(x.transpose(0, 1))[0].sum(0).argmax(1)
            right["time first"] += (told == y_b).sum().item()
            right["batch first"] += (mixed == y_b).sum().item()
            alike += int((mixed == mixed[0]).all())
            first = first or {"digit": y_b, "time first": told, "batch first": mixed}
    accuracy = {name: count / n for name, count in right.items()}
    same = alike / (n // T)

    title = f"T = B = {T}, no error: {100 * accuracy['time first']:.0f} % read correctly with time first, "
    title += f"{100 * accuracy['batch first']:.0f} % with batch first"
    shape = {"width_ratios": (1, 1, 1.9)}
    fig, (ax, bx, cx) = plots.figure(1, 3, (13.5, 3.9), title, **shape)
    place = np.arange(T)
    by_time = np.tile(place, (T, 1))  # step t, place b: image b
    for panel, image, name in ((ax, by_time, "time first"), (bx, by_time.T, "batch first")):
        drawn = panel.imshow(image, cmap="viridis", origin="lower")
        panel.grid(False)
        plots.label(panel, "place b in the batch", "step of the loop", f"{name}: which image")
    fig.colorbar(drawn, ax=bx, label="number of the image", shrink=0.8)
    rows = list(first)
    for row, name in enumerate(rows):
        for column, (digit, told) in enumerate(zip(first["digit"], first[name], strict=True)):
            look = {"ha": "center", "va": "center", "fontsize": 9}
            if digit == told:
                look |= {"weight": "bold"}
            else:
                look |= {"color": plots.RED}
            cx.text(column, row, str(int(told)), **look)
    cx.set_xlim(-0.7, T - 0.3)
    cx.set_ylim(len(rows) - 0.4, -0.6)
    cx.set_yticks(range(len(rows)), rows)
    cx.grid(False)
    plots.label(cx, "place b in the batch", "", "answers, first batch (red, not bold: wrong)")
    run.figure(
        fig,
        "5_swapped",
        look="a column, upwards: what one place sees; on the right, what comes of it",
    )

    target = ">= 0.9"
    run.claim(
        "accuracy_right",
        f"T = B = {T}, time first",
        accuracy["time first"],
        "1",
        target,
        n=n,
        real=True,
    )
    run.claim("accuracy_swapped", "batch first", accuracy["batch first"], n=n, real=True)
    run.claim("same_answer", "batches with one answer for all", same, n=n // T, real=True)
    run.finding(
        f"Shapes that fit prove nothing: with batch and time swapped the same trained network reads "
        f"{100 * accuracy['batch first']:.2f} % of the digits instead of "
        f"{100 * accuracy['time first']:.2f} %, without an error. In {100 * same:.0f} % of the batches "
        f"all {T} images get one answer: where images stand still, each place sees the same film, all "
        "images of the batch, one a step.",
        main=True,
        claim="accuracy_swapped",
    )


def held(net: Net, x: Tensor) -> tuple[int, int]:
    """Numbers of a network that runs over ``x (T, B, 784)``: parameters, and potentials at the end."""
    reset(net)
    with torch.no_grad():
        by_forward(net, x)
    return sum(p.numel() for p in net.parameters()), state_of(net).numel()


def kept_by_autograd(net: Net, x: Tensor) -> int:
    """Numbers that the loop over ``x (T, B, 784)`` keeps for the way back, weights and ``x`` left out."""
    reset(net)
    with saved_for_backward(leave_out=[x, *net.parameters()]) as kept_bytes:
        spk_rec = by_forward(net, x)  # has to live until the bytes are counted
        numbers = kept_bytes() // x.element_size()
    del spk_rec
    reset(net)
    return numbers


@section
def section_where(cfg: Config, run: Run) -> None:
    """6  Where do the weights live, and where the state?

    Weights: in nn.Linear. A layer of n inputs and m outputs has (n + 1)·m of them, for all images and
    all steps. They are saved, loaded and trained. State: in the neurons. It is a potential for each
    neuron and image, (H + 10)·B numbers; each step overwrites those of the step before. The inputs are
    no neurons and have no state. A checkpoint does not hold it: state_dict() has no potentials.

    So the state does not grow with T. (What you choose to record, such as spk_rec, does.) Training is
    another matter: for the way back autograd keeps, of *every* step,
    the potentials and the spikes that enter the next layer (and the input, which is not counted
    here). Lesson 09 says what for.
    """
    run.predict(
        "state",
        f"{cfg.num_hidden} hidden and 10 output neurons, {cfg.batch_size} images at once, "
        f"{cfg.num_steps} steps. How many potentials are held at one moment, without training?",
    )
    net = Net(num_hidden=cfg.num_hidden, beta=cfg.beta).to(run.device)
    sizes, lengths = (1, 4, 16, 64, 256), (1, 2, 5, 10, 20, 50)
    by_batch, by_steps, kept_for_backward = [], [], []
    for size in sizes:
        by_batch.append(held(net, torch.rand(2, size, 784, device=run.device)))
    for length in lengths:
        x = torch.rand(length, cfg.batch_size, 784, device=run.device)
        by_steps.append(held(net, x))
        kept_for_backward.append(kept_by_autograd(net, x))
    parameters, potentials_now = held(net, torch.rand(1, cfg.batch_size, 784, device=run.device))
    saved = [name for name in net.state_dict() if name.endswith(".mem")]
    hidden_spikes = cfg.num_hidden * cfg.batch_size
    a_step = (kept_for_backward[-1] - kept_for_backward[0]) / (lengths[-1] - lengths[0])

    after_1, after_50 = by_steps[0][1], by_steps[-1][1]
    title = f"Potentials: {after_1:,} after 1 step, {after_50:,} after 50. Training keeps {a_step:,.0f} "
    title += "numbers a step"
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), title, sharey=True)
    batch_curves = {
        "parameters": [weights for weights, _ in by_batch],
        "potentials": [state for _, state in by_batch],
    }
    step_curves = {
        "parameters": [weights for weights, _ in by_steps],
        "potentials": [state for _, state in by_steps],
        "kept for backward, in training": kept_for_backward,
    }
    plots.curves(ax, sizes, batch_curves)
    plots.curves(bx, lengths, step_curves)
    for panel, ticks in ((ax, sizes), (bx, lengths)):
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks(ticks, ticks)
        panel.minorticks_off()
    plots.label(ax, "images at once, B", "numbers held", "T = 2")
    plots.label(bx, "time steps T", "", f"B = {cfg.batch_size}")
    run.figure(fig, "6_where", look="which curves rise on the left, and which on the right")

    expected = (784 + 1) * cfg.num_hidden + (cfg.num_hidden + 1) * 10
    run.claim("parameters", "parameters, for every B and T", parameters, "", f"== {expected}")
    run.claim("state", f"potentials for {cfg.batch_size} images", potentials_now, "")
    run.claim("state_saved", "potentials in state_dict()", len(saved), "", "== 0")
    run.claim("a_step", "training: kept for each step", round(a_step), "")
    run.finding(
        f"The network has {parameters:,} parameters, whatever it is shown. Its state is "
        f"{potentials_now // cfg.batch_size:,} potentials an image: {after_1:,} for the batch after one "
        f"step, {after_50:,} after 50. Training keeps {a_step:,.0f} numbers for each step: {potentials_now:,} "
        f"potentials, {hidden_spikes:,} spikes of the hidden layer, and "
        f"{a_step - potentials_now - hidden_spikes:.0f} others."
    )


def main(cfg: Config, run: Run) -> None:
    section_loop(cfg, run)
    section_three_ways(cfg, run)
    section_no_reset(cfg, run)
    section_reset_reach(cfg, run)
    section_swapped(cfg, run)
    section_where(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
