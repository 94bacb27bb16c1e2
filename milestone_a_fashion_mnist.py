"""Milestone A — Fashion-MNIST: design, train and analyse a spiking network of your own

Question
    Can you build a spiking network that nobody has laid out for you: choose its neuron, its code,
    its layers and its loss, give a reason for each, and say what its accuracy costs in spikes?

Idea
    There is no blank to fill in here. You write my_net.py from an empty file, with what lessons 01
    to 09 taught. It has to meet seven demands:

        1  a neuron model, Leaky or Synaptic, and why
        2  a spike encoding, and why
        3  an architecture: how many layers, how wide, which β and θ
        4  training by BPTT, with a surrogate gradient and a loss of your choice
        5  more than 85 % of the 10,000 test images
        6  a spike raster of each layer, the training curves, the confusion matrix
        7  a page of analysis in journal.md: how does sparsity change from layer to layer, and what
           does accuracy cost in spikes?

    This script is the brief. Its sections say what to ask before each choice and what to measure,
    and show with our network what a finished piece of work looks like, without showing how it is
    built. That stands in exercises/solutions/milestone_a_net.py: one answer of many. Leave it
    closed until the judge has seen yours.

Read first
    Theory     Eshraghian et al. 2023, sections IV and V, https://arxiv.org/abs/2109.12894
               Xiao, Rasul & Vollgraf 2017 (the images), https://arxiv.org/abs/1708.07747
    Practice   lessons 01, 02, 03, 06, 07, 08 and 09, and your journal

Run
    uv run milestone_a_fashion_mnist.py --predict   the brief; 13 minutes on two CPU cores; --only 1
    uv run milestone_a_fashion_mnist.py --check my_net.py   judges your network (section 5)
    uv run milestone_a_fashion_mnist.py --full      a deeper network, 40 epochs: wants a GPU; --resume

Builds on / leads to
    Everything in parts 1 and 2. Lesson 10 takes convolutions to colour and to depth, 14 treats the
    price on spikes of section 4 properly, and 17 turns operations into energy.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from common import plots
from common.cost import ledger_row
from common.data import ImageData, fashion_mnist
from common.io import ROOT, UserError, write_atomic
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time
from training import evaluate, fit
from training.augment import flip_and_shift
from tutor import handed_in, judge, portrait

import numpy as np
import torch
from scipy.stats import t as student_t
from torch import Tensor, nn

JOURNAL = ROOT / "journal.md"
JUDGE = 5  # the section that judges


@dataclass
class Config(LessonConfig):
    """What our network looks like is not among the flags: it stands in a file of its own."""

    num_steps: int = bounded(5, 1, 100_000)
    """time steps (T) for which --check holds an image, if your file has no encode(images)"""
    train_images: int = bounded(55_000, 100, 55_000)
    """training images in sections 1 and 2 (fewer: to try things out)"""
    plain_epochs: int = bounded(10, 1, 100)
    """passes over them of the two networks without spikes"""
    tune_images: int = bounded(15_000, 10, 55_000)
    """training images of each short training in section 4"""
    seeds: int = bounded(3, 2, 20)
    """short trainings at each price on spikes in section 4"""
    resume: bool = False
    """go on after the last finished epoch of a run that was stopped"""
    check: Path | None = None
    """judge your own network: a Python file with make_net(); section 5's docstring says what else. In
    short: make_net() returns an nn.Module with run(x) for x (T, B, …), or forward(x_t) for one step,
    which gives spk_rec, mem_rec (T, B, 10) or one of them. If you like: encode(images), from
    (B, 1, 28, 28) in 0..1 to (T, B, …); predict(out), the classes (B,). Beside my_net.py stand
    my_net.safetensors, its weights, and my_net.json, its training history"""

    def validate(self) -> None:
        super().validate()
        if self.check is None:
            return
        if not self.check.is_file():
            raise UserError(
                f"--check: got {self.check}, which is no file; name the one with your make_net()"
            )
        if self.only not in (None, JUDGE):
            raise UserError(f"--only: got {self.only} with --check, allowed is {JUDGE}, or neither")
        self.only = JUDGE


SMOKE = {"plain_epochs": 1, "tune_images": 128, "seeds": 2}
FULL = {"tune_images": 20_000}


# ---------------------------------------------------------------- 1  the task


class Plain(nn.Module):
    """A network without spikes and without time, in the form that `fit` and `evaluate` expect."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), *layers)

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(1, B, 1, 28, 28)`` → the ten outputs ``(1, B, 10)``, twice."""
        out = over_time(self.layers, x)
        return out, out


def linear_map(seed: int) -> Plain:
    """784 pixels, 10 outputs, one matrix."""
    torch.manual_seed(seed)
    return Plain(nn.Linear(784, 10))


def dense_network(seed: int) -> Plain:
    """The shape of lesson 09's network, 784–256–10, with ReLU in the place of spikes."""
    torch.manual_seed(seed)
    return Plain(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


once = partial(constant_current, num_steps=1)  # an image is shown for a single step


def train_plain(net: Plain, data: ImageData, epochs: int, run: Run) -> float:
    """Train a network without spikes; return its share of right answers on the test images."""
    fit(net, data, once, run=run, epochs=epochs, lr=1e-3, quiet=True)
    return evaluate(net, data.x_test, data.y_test, once)


def standard_error(share: float, n: int) -> float:
    """√(p·(1 − p)/n): how far a share p measured on n images lies from the truth, typically."""
    return math.sqrt(share * (1 - share) / n)


@dataclass
class Baselines:
    """What section 1 leaves for later sections."""

    data: ImageData
    linear: float
    dense: float
    dense_net: Plain


@section
def section_task(cfg: Config, run: Run) -> Baselines:
    """1  What is 85 % worth?

    Fashion-MNIST is made to look like MNIST from outside: 70,000 grey pictures of 28 × 28 pixels, in
    ten classes. 55,000 are for training, 5,000 for validation and 10,000 for the test. But where a
    digit is a few black strokes on white, a pullover differs from a coat by shades and folds.

    A share of right answers means little by itself. Set beside it what simpler machines get:

        chance              1 of 10
        a linear map        argmax(W·x + b)                        x: the 784 grey values
        a dense network     argmax(W2·ReLU(W1·x + b1) + b2)        256 hidden neurons, no spikes

    Both are trained like the network of lesson 09, with cross entropy, and are not tuned further.
    These are your first rivals. If a spiking network does not beat the linear map, its hidden
    layers have added nothing.

    How exactly is a share known? Of n independent pictures, a share p is measured to about

        standard error = √(p·(1 − p)/n)

    The difference of two such shares has about √2 times this error, and a difference of less than
    twice its error is no finding. With 1,000 validation images the error is about 1 point; with 5,000
    it is less than half of that.

    Before you design anything, decide how you will work. Build a bench: a training that takes half
    a minute (10,000 images, a few epochs) and prints validation accuracy and the rate of each layer.
    Begin with the smallest network that learns at all, lesson 09's for example, and change one
    thing at a time. Choose on the validation images. Look at the test images once, at the end.
    """
    run.predict(
        "linear",
        "One matrix from 784 pixels to 10 outputs, no hidden layer: what share of the test images "
        "will it classify correctly?",
        unit="%",
    )
    data = run.data(fashion_mnist, n_train=cfg.train_images).to(run.device)
    linear = train_plain(linear_map(cfg.seed), data, cfg.plain_epochs, run)
    dense_net = dense_network(cfg.seed)
    dense = train_plain(dense_net, data, cfg.plain_epochs, run)
    n = len(data.y_test)

    fig = portrait_of_task(data, {"chance": 0.1, "a linear map": linear, "a dense network": dense})
    fig.suptitle(
        f"Ten kinds of clothing: a linear map gets {100 * linear:.1f} % of the test images right",
        x=0.01,
        ha="left",
    )
    run.figure(fig, "1_task", look="which rows you would mix up, and where the dotted line lies")

    error = standard_error(max(dense, 1 / n), n)
    run.claim("linear", "linear map, test images", linear, n=n, seeds=1, real=True)
    run.claim("dense", "dense network without spikes", dense, n=n, seeds=1, real=True)
    run.claim(
        "standard_error", "its standard error", 100 * error, "percentage points", n=n, real=True
    )
    needs = "A linear map alone would pass the 85 % mark."
    if linear <= judge.MORE_THAN:
        needs = "So 85 % asks for more than this linear map."
    order = "more" if dense > linear else "no more"
    run.finding(
        f"A linear map classifies {100 * linear:.1f} % of {n:,} test images, and a dense network "
        f"with 256 hidden neurons {order}: {100 * dense:.1f} % (one seed each; the standard error is "
        f"{100 * error:.1f} points). {needs}"
    )
    return Baselines(data, linear, dense, dense_net)


def portrait_of_task(data: ImageData, shares: dict[str, float]) -> Any:
    """Eight training images of each class, and beside them what simple machines get."""
    fig, (ax, bx) = plots.figure(1, 2, (11, 4.6), " ", width_ratios=(1, 1.1))
    size = data.x_train.shape[-1]
    wall = np.zeros((len(data.classes) * size, 8 * size))
    for k in range(len(data.classes)):
        rows = data.x_train[data.y_train == k][:8, 0].cpu().numpy()
        for j, image in enumerate(rows):
            wall[k * size : (k + 1) * size, j * size : (j + 1) * size] = image
    ax.imshow(wall, cmap="gray")
    ax.set_yticks([(k + 0.5) * size for k in range(len(data.classes))], data.classes)
    ax.set_xticks([])
    ax.grid(False)
    ax.set_title("eight training images of each class")
    names = [f"{name}: {100 * share:.1f} %" for name, share in shares.items()]
    bx.barh(names, [100 * share for share in shares.values()], color=plots.BLUE, height=0.5)
    bx.invert_yaxis()
    bx.grid(False, axis="y")
    line = {"color": plots.RED, "linestyle": ":", "linewidth": 2}
    bx.axvline(100 * judge.MORE_THAN, label="demand 5: more than 85 %", **line)
    bx.set_xlim(0, 100)
    bx.legend(loc="upper right", bbox_to_anchor=(0.83, 1.0))
    plots.label(bx, "test images classified correctly (%)", "", "what simple machines get")
    return fig


# ---------------------------------------------------------------- 2  the design


@dataclass
class Trained:
    """What section 2 leaves for later sections: our network, in the form in which yours is judged."""

    work: handed_in.Work
    data: ImageData
    answers: Tensor  # the classes it gives the test images, (N,)
    accuracy: float
    module: ModuleType  # its file


@section
def section_design(cfg: Config, run: Run) -> Trained:
    """2  How do you design a spiking network, and how do you see that it learns?

    Five choices are yours. "It worked" is no reason for a choice. A reason is a comparison: two
    networks that differ in this one thing, trained on the same images for as many updates, each at
    its own best learning rate, three seeds or more, validation images. On the bench of section 1 (the
    loop of lesson 09, or training.fit) that takes about ten minutes for each choice, so begin with
    the two choices that you doubt most. These are the questions, and what answers them:

    Neuron         The picture stands still. What is left for the second state of Synaptic to smooth
                   (lesson 06)? By how many steps does it put off the first spikes of each layer, and
                   how many steps do you have? How many steps does your β remember?
                   Measure: validation accuracy; the step of the first spike, layer by layer.

    Code           How well is a grey value known after T steps of a rate code (lesson 02)? What does
                   one first spike say? And if the grey value itself is the current, who makes the
                   spikes, and what must the first layer do that it would not have to do with spikes?
                   Measure: accuracy against T for each code; spikes at the input.

    Architecture   What must a dense layer learn anew for every place in the picture? How many
                   neurons, and so how many spikes, does a layer need? If few neurons of layer 2
                   fire, how large is the current into layer 3, and will layer 3 fire at all? What
                   would change that: θ, the scale of the weights, or a current normalised to mean 0
                   and deviation 1 (nn.BatchNorm2d)?
                   Measure: the rate of each layer before the first update and after the last one;
                   accuracy at half and at twice the width, and at two values of β and of θ.

    Surrogate      How far from θ do the potentials of a layer lie, and how large is the surrogate
                   derivative there (lesson 07)? Which layers does a gradient reach?
                   Measure: the size of ∂L/∂W of each layer at the first update; accuracy at half
                   and at twice the slope.

    Loss           Will you count output spikes, or average potentials? How many different counts can
                   there be after T steps? Is the network read in the way in which it was trained
                   (lesson 09)?
                   Measure: accuracy in both readings; the share of ties.

    Then train the design that won, on all images and for longer, and watch three things. The loss
    falls from the first epoch on; if it does not, look at the rates and at the gradient (lessons 03
    and 07). Validation follows training; where it stops following, the network learns its training
    images by heart, and more pictures help: a pullover moved by a pixel, or seen in the mirror, is
    still a pullover. And the last epochs change little; if they do not, you have stopped too early.

    Our network was built by the same questions. It is trained now, from a file that stays closed.
    """
    run.predict(
        "accuracy",
        "Our spiking network has a few minutes of two CPU cores for its training. What share of the "
        "test images will it classify correctly?",
        unit="%",
    )
    data = run.data(fashion_mnist, n_train=cfg.train_images).to(run.device)
    ours = judge.reference()
    recipe = ours.RECIPES[run.scale]
    net = ours.make_net(recipe, cfg.seed)
    history = ours.train(net, data, run, recipe, cfg.resume)
    run.checkpoint(net)  # model.safetensors: the weights of the epoch kept
    show = partial(ours.encode, num_steps=recipe.num_steps)
    work = handed_in.Work(
        Path(ours.__file__), net.eval(), show, ours.predict, True, ours.__doc__, history
    )
    read = judge.answers(work, data.x_test, run.device)
    answers = next(iter(read.values()))
    accuracy = judge.accuracy(answers, data.y_test)

    kept = max(history, key=lambda row: row["val"])
    n = len(data.y_test)
    title = f"Our network: {100 * accuracy:.2f} % of {n:,} test images"
    fig, (ax, bx) = plots.figure(1, 2, (10.5, 3.8), title)
    epochs = [row["epoch"] for row in history]
    plots.curves(ax, epochs, {"training": [row["loss"] for row in history]})
    plots.label(ax, "epoch", "loss", "loss on the training images")
    training = [100 * row["train"] for row in history]
    validation = [100 * row["val"] for row in history]
    plots.curves(bx, epochs, {"training (changed images)": training, "validation": validation})
    bx.plot(kept["epoch"], 100 * kept["val"], "ko", markersize=13, mfc="none", label="epoch kept")
    bx.axhline(100 * accuracy, color="grey", linestyle=":", label="test, once, at the end")
    bx.legend(loc="lower right")
    plots.label(bx, "epoch", "images classified correctly (%)", "validation chooses the epoch")
    for panel in (ax, bx):
        panel.xaxis.get_major_locator().set_params(integer=True)
    run.figure(fig, "2_training", look="whether validation still follows training at the end")

    target = ">= 0.94" if cfg.full else ">= 0.92"
    error = standard_error(accuracy, n)
    run.claim("accuracy", "test images, our network", accuracy, "1", target, n=n, real=True)
    run.claim(
        "validation", "validation images, epoch kept", kept["val"], n=len(data.y_val), real=True
    )
    run.claim("training", "changed training images, last epoch", history[-1]["train"], real=True)
    last = history[-1]
    before = history[-2] if len(history) > 1 else last
    run.finding(
        f"Our network classifies {100 * accuracy:.2f} % of {n:,} test images (standard error "
        f"{100 * error:.1f} points; one seed). In the last epoch it gets {100 * last['train']:.1f} % of "
        f"the changed training images and {100 * last['val']:.1f} % of the validation images, and that "
        f"epoch moved the latter by {100 * (last['val'] - before['val']):+.1f} points."
    )
    return Trained(work, data, answers, accuracy, ours)


# ---------------------------------------------------------------- 3  inside


def worst_pair(confusion: np.ndarray, classes: Sequence[str]) -> tuple[str, str, float]:
    """The two classes most often taken for each other, and their share of all errors."""
    both = confusion + confusion.T - 2 * np.diag(np.diag(confusion))
    i, j = np.unravel_index(both.argmax(), both.shape)
    errors = both.sum() / 2
    share = both[i, j] / errors if errors else 0.0
    return classes[min(i, j)], classes[max(i, j)], float(share)


def place_of(number: int, count: int) -> str:
    """Where layer ``number`` of ``count`` lies."""
    if number == 1:
        return PLACES[0]
    return PLACES[2] if number == count else PLACES[1]


PLACES = ("the first", "one between", "the last")


@section
def section_inside(cfg: Config, run: Run) -> judge.Inside:
    """3  Where are the spikes, and where is the work?

    Demand 6 asks for three pictures, and each answers a question of its own. The confusion matrix
    says which classes the network cannot tell apart: errors in one pair of classes want something
    else than errors everywhere. The raster of each layer says whether the layer is alive. A neuron
    that is silent for every image is wasted, and one that fires at every step for every image tells
    nothing (lesson 03); the raster of one image cannot show that, the column 'never fire' of the
    table below can. The curves of section 2 say whether the training was long enough.

    Demand 7 asks how sparsity changes from layer to layer. Sparsity has more than one measure, and
    they need not agree. For a layer of N neurons and an image shown for T steps:

        rate         r = spikes/(T·N)                 the share of neurons that fire at a step
        spikes       T·N·r                            what the layer sends out for one image
        operations   T·N·r·(fan-out)                  the additions that the spikes cause

    The fan-out of a neuron is the number of weights that its spike meets in the next layer: for a
    dense layer the width of that layer, for a convolution with k × k kernels, stride s and C output
    channels about k²·C/s². On hardware that works only when a spike arrives, operations are the
    work. So ask of each layer not only how often its neurons fire, but how many there are, and how
    far a spike reaches.

    What enters the network counts, too. If the code makes spikes, they cause additions like any
    others. If the grey values are the current, the first weights multiply instead, and a
    multiplication costs several times an addition. The judge counts one wherever your code multiplies:
    if your network has run(x), compute the first layer before the loop over time, and a held image
    costs it once.

    You need these numbers while you design, without the judge and without the test images:

        work = handed_in.read(Path("my_net.py"), num_steps, device)     from tutor import handed_in
        inside = judge.look_inside(work, images)                        from tutor import judge
        inside.layers                         rate, spikes and operations, a row a layer

    Our hidden layers are numbered here in the order in which they run.
    """
    run.predict(
        "most_work",
        "Which hidden layer of our network causes most of the operations?",
        PLACES,
    )
    given: Trained = run.result_of(section_design)
    data = given.data
    images = data.x_test[:500].float() / 255
    inside = judge.look_inside(given.work, images.to(run.device))
    inside = with_plain_names(inside)
    hidden = inside.layers[:-1]

    matrix = portrait.confusion_matrix(given.answers, data.y_test, len(data.classes))
    a, b, share = worst_pair(matrix.numpy(), data.classes)
    title = f"{a} and {b}: {100 * share:.0f} % of all errors"
    run.figure(
        portrait.confusion(matrix, data.classes, title),
        "3_confusion",
        look="the darkest squares: the most frequent errors",
    )
    answer = data.classes[int(given.answers[0])]
    label = data.classes[int(data.y_test[0])]
    title = f"One test image ({label}, classified as {answer}): the spikes of each layer"
    run.figure(
        portrait.rasters(inside.spikes, images[0, 0].cpu(), data.classes, title),
        "3_rasters",
        look="rows that stay empty, and rows that are full",
    )
    busiest = max(hidden, key=lambda layer: layer.rate)
    works = max(hidden, key=lambda layer: layer.operations)
    number = hidden.index(works) + 1
    run.outcome("most_work", place_of(number, len(hidden)))
    total = max(inside.operations, 1e-9)
    title = (
        f"Highest rate: {busiest.name}. Most operations: {works.name}, "
        f"{100 * works.operations / total:.0f} %"
    )
    fig, axes = plots.figure(1, 3, (12, 0.7 + 0.6 * len(hidden)), title, sharey=True)
    columns = (
        ("how often a neuron fires", "rate per step (%)", {x.name: 100 * x.rate for x in hidden}),
        ("what the layer sends out", "spikes per image", {x.name: x.spikes for x in hidden}),
        (
            "what follows from it",
            "operations per image (thousand)",
            {x.name: x.operations / 1000 for x in hidden},
        ),
    )
    for ax, (head, unit, values) in zip(axes, columns, strict=True):
        plots.bars(ax, values, fmt="{:,.1f}")
        plots.label(ax, unit, "", head)
    run.figure(fig, "3_layers", look="whether the three panels agree about which layer is busy")

    columns = ("layer", "rate a step", "never fire", "spikes an image", "operations")
    rows = [
        (x.name, f"{100 * x.rate:.1f} %", f"{100 * x.silent:.1f} %", x.spikes, x.operations)
        for x in inside.layers
    ]
    run.table(f"Layers of our network, {len(images):,} test images", columns, rows)
    spikes = sum(x.spikes for x in inside.layers)
    facts = {"n": len(images), "seeds": 1, "real": True}
    run.claim(
        "worst_pair", f"{a} or {b}: share of all errors", share, n=len(data.y_test), real=True
    )
    run.claim("spikes", "spikes for one image, all layers", spikes, "spikes", **facts)
    run.claim("operations", "additions they cause", inside.operations, "SynOps", **facts)
    run.claim("most_work", f"share of {works.name} in them", works.operations / total, **facts)
    multiplied = inside.multiplications
    run.claim("multiplications", "multiplications of grey values", multiplied, "", **facts)
    order = [layer.rate for layer in hidden]
    course = "neither only falls nor only rises with depth"
    if order == sorted(order):
        course = "rises with depth"
    if order == sorted(order, reverse=True):
        course = "falls with depth"
    agree = "and its neurons are also the busiest"
    if works != busiest:
        agree = f"but the busiest neurons are those of {busiest.name}"
    run.finding(
        f"Our network, whose design stays closed, classifies {100 * given.accuracy:.2f} % of the test "
        f"images with {spikes:,.0f} spikes an image, which cause {inside.operations:,.0f} additions; "
        f"the grey values cause {multiplied:,.0f} multiplications. "
        f"The rate {course}; {works.name} causes {100 * works.operations / total:.0f} % of the "
        f"additions, {agree}.",
        main=True,
        claim="accuracy",
    )
    net = given.work.net
    sample = given.work.encode(images.to(run.device))
    facts = {"data": data.name, "accuracy": given.accuracy, "n": len(data.y_test)}
    run.ledger(**ledger_row(net, sample, model="SNN, our milestone A", **facts))
    return inside


def with_plain_names(inside: judge.Inside) -> judge.Inside:
    """The same, with layers called layer 1, layer 2, … and output."""
    count = len(inside.layers)
    names = [f"layer {i}" for i in range(1, count)] + ["output"]
    layers = []
    for name, layer in zip(names, inside.layers, strict=True):
        layers.append(replace(layer, name=name))
    spikes = dict(zip(names, inside.spikes.values(), strict=True))
    return replace(inside, layers=tuple(layers), spikes=spikes)


# ---------------------------------------------------------------- 4  the price


PRICES = (0.0, 0.1, 0.3, 1.0)
"""λ; the network with λ = 0 is trained on just as long, and is what the others are compared with."""


def priced_loss(
    out: tuple[Tensor, Tensor, Sequence[Tensor]],
    y: Tensor,
    price: float,
    fan_out: Sequence[float],
    before: float,
    loss_fn: Callable[[Any, Tensor], Tensor],
) -> Tensor:
    """L + λ·(operations of an image)/(operations before): spikes of each layer times their fan-out."""
    operations = torch.zeros((), device=y.device)
    for reach, spk in zip(fan_out, out[2], strict=True):  # spk (T, B, …)
        operations = operations + reach * spk.sum() / len(y)
    return loss_fn(out, y) + price * operations / before


def interval(differences: np.ndarray) -> tuple[float, float]:
    """Mean of differences seed by seed, ``(seeds,)``, and half of its 95 % interval."""
    n = len(differences)
    half = student_t.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n)
    return float(differences.mean()), float(half)


@dataclass
class Sweep:
    """Section 4: a row a seed, a column a price; and of the rates a third axis, the hidden layers."""

    accuracy: np.ndarray
    operations: np.ndarray
    rates: np.ndarray
    images: int
    nets: list[list[nn.Module]]  # a row a price
    change_on_test: tuple[float, float] = (0.0, 0.0)
    """what the chosen price does to the test accuracy, in points, and half of its interval"""

    @property
    def saved(self) -> np.ndarray:
        """Share of the operations that each price saves, ``(prices,)``."""
        means = self.operations.mean(0)
        return 1 - means / max(means[0], 1e-9)

    def change(self, column: int) -> tuple[float, float]:
        """Validation accuracy at a price less that of the control, in points, with its interval."""
        return interval(100 * (self.accuracy[:, column] - self.accuracy[:, 0]))


def best_saving(sweep: Sweep, allowed: float = 0.5) -> int:
    """The column that saves most among those that lose at most ``allowed`` points on average."""
    fits = [j for j in range(len(PRICES)) if sweep.change(j)[0] >= -allowed]
    return max(fits, key=lambda j: sweep.saved[j])


@section
def section_price(cfg: Config, run: Run) -> Sweep:
    """4  What does accuracy cost in spikes?

    A network that is trained for accuracy alone has no reason to be sparse. It learns to be if a
    spike has a price. Let the loss count the operations of an image, as section 3 does, and compare
    them with those before:

        L = cross entropy + λ·(operations)/(operations before)

    Spikes have a surrogate derivative, so this price has a gradient like any other term. With λ = 0
    the loss is that of section 2. The larger λ, the more a spike must help in order to stay.

    The trained network is copied and goes on for a short while at each λ. What is the right thing
    to compare it with? Not with the network before: going on changes a network in any case, and at a
    learning rate that is not small it first loses something. So for each seed one copy goes on with
    λ = 0, for the same images in the same order: the control. Seeds differ in the order and in the
    changes of the images; all start from the same trained network.

    λ is a choice like any other. So the curve is measured on the validation images, and they choose
    the λ that saves most while losing at most half a point (mean of the seeds). What that λ costs is
    then measured anew on the test images: a number that has been chosen looks better than it is.

    A price is one way to trade accuracy for spikes, and not the only one. A higher θ, fewer steps, a
    smaller β or a narrower layer are others. Find a curve of your own for demand 7: accuracy on one
    axis, operations on the other, and beside it what each layer gave up.
    """
    run.predict(
        "saved",
        "A price may cost half a point of accuracy on average. What share of the operations can be saved?",
        unit="%",
    )
    given: Trained = run.result_of(section_design)
    data = given.data
    few = replace(
        data, x_train=data.x_train[: cfg.tune_images], y_train=data.y_train[: cfg.tune_images]
    )
    images = data.x_val[:500].to(run.device).float() / 255
    inside = with_plain_names(judge.look_inside(given.work, images))
    fan_out = [x.operations / max(x.spikes, 1e-9) for x in inside.layers[:-1]]
    before = max(inside.operations, 1e-9)
    sweep = sweep_prices(given, few, fan_out, before, cfg, run)
    best = best_saving(sweep)
    control = accuracy_on_test(sweep.nets[0], given)
    chosen = accuracy_on_test(sweep.nets[best], given)
    val_before = evaluate(
        given.work.net, data.x_val, data.y_val, given.work.encode, given.work.predict
    )
    sweep.change_on_test = interval(100 * (chosen - control))
    change, half = sweep.change_on_test
    most, most_half = sweep.change(-1)

    title = "No price saves operations for half a point of accuracy or less"
    if best > 0:
        title = (
            f"λ = {PRICES[best]:g}: {100 * sweep.saved[best]:.0f} % fewer operations, test accuracy "
            f"{change:+.1f} ± {half:.1f} points"
        )
    fig, (ax, bx) = plots.figure(1, 2, (11, 4.2), title)
    work = sweep.operations / 1000
    share = 100 * sweep.accuracy
    ax.plot(work.mean(0), share.mean(0), "k_-", markersize=16, linewidth=1, label="mean")
    for j, price in enumerate(PRICES):
        look = {"color": plots.COLOURS[j], "label": f"λ = {price:g}"}
        ax.plot(work[:, j], share[:, j], plots.MARKERS[j], **look)
    ax.plot(before / 1000, 100 * val_before, "o", color="0.4", mfc="none", ms=11, label="before")
    ax.set_xlim(0, 1.1 * work.max())
    ax.margins(y=0.15)
    ax.legend(loc="best")
    plots.label(
        ax,
        "operations per image (thousand)",
        "validation images correct (%)",
        "one marker for each seed",
    )
    place = np.arange(len(PRICES))
    names = [x.name for x in inside.layers[:-1]]
    plots.curves(bx, place, {x: 100 * sweep.rates[:, :, i] for i, x in enumerate(names)})
    bx.set_xticks(place, [f"{price:g}" for price in PRICES])
    bx.set_ylim(bottom=0)
    plots.label(bx, "price λ (not to scale)", "rate per step (%)", "which layer gives way")
    run.figure(fig, "4_price", look="how far to the left the curve stays level")

    facts = {"n": len(data.y_val), "seeds": cfg.seeds, "real": True}
    tested = facts | {"n": len(data.y_test)}
    price = f"λ = {PRICES[best]:g}"
    run.claim("saved", f"saved for half a point, {price}", sweep.saved[best], **facts)
    run.claim("change", "test accuracy there, less control", change, "points", **tested)
    run.claim("saved_most", f"saved at the highest, λ = {PRICES[-1]:g}", sweep.saved[-1], **facts)
    run.claim("change_most", "validation there, less control", most, "points", **facts)
    contains = "an interval that contains zero"
    if abs(change) > half:
        contains = "an interval without zero"
    first = "No price saved operations at a cost of half a point or less on validation. "
    if best > 0:
        first = (
            f"At {price} the network does {100 * sweep.saved[best]:.0f} % fewer operations, and its "
            f"test accuracy changes by {change:+.2f} ± {half:.2f} points against the control ({cfg.seeds} "
            f"seeds), {contains}. The control has {100 * sweep.accuracy[:, 0].mean():.1f} % of the "
            f"validation images, the network before {100 * val_before:.1f} %. "
        )
    rest = ""
    if best < len(PRICES) - 1:
        rest = (
            f"At λ = {PRICES[-1]:g} the operations change by {-100 * sweep.saved[-1]:+.0f} %, and "
            f"validation by {most:+.2f} ± {most_half:.2f} points."
        )
    run.finding(first + rest)
    return sweep


def sweep_prices(
    given: Trained,
    few: ImageData,
    fan_out: Sequence[float],
    before: float,
    cfg: Config,
    run: Run,
) -> Sweep:
    """Go on from the trained network at each price and with each seed, and measure on validation."""
    work, ours = given.work, given.module
    shape = (cfg.seeds, len(PRICES))
    accuracy, operations = np.zeros(shape), np.zeros(shape)
    nets: list[list[nn.Module]] = []
    rates = np.zeros((*shape, len(fan_out)))
    images = few.x_val[:500].to(run.device).float() / 255
    for j, price in enumerate(PRICES):
        nets.append([])
        terms = {"price": price, "fan_out": fan_out, "before": before, "loss_fn": ours.loss_fn}
        for i in range(cfg.seeds):
            seed = cfg.seed + 1 + i
            torch.manual_seed(seed)
            net = copy.deepcopy(work.net)
            fit(
                net,
                few,
                work.encode,
                run=run,
                epochs=1,  # so no epoch is chosen, which would favour whatever changes least
                lr=3e-3,
                loss_fn=partial(priced_loss, **terms),
                predict=work.predict,
                augment=partial(flip_and_shift, shift=1),
                seed=seed,
                quiet=True,
            )
            accuracy[i, j] = evaluate(net, few.x_val, few.y_val, work.encode, work.predict)
            inside = judge.look_inside(replace(work, net=net.eval()), images)
            operations[i, j] = inside.operations
            rates[i, j] = [layer.rate for layer in inside.layers[:-1]]
            nets[j].append(net)
        run.print(
            f"   λ = {price:<4g}  {100 * accuracy[:, j].mean():.2f} % of the validation images, "
            f"{operations[:, j].mean():,.0f} operations"
        )
    return Sweep(accuracy, operations, rates, len(few.x_train), nets)


def accuracy_on_test(nets: Sequence[nn.Module], given: Trained) -> np.ndarray:
    """Share of the test images that each network classifies correctly, ``(seeds,)``."""
    data, work = given.data, given.work
    shares = []
    for net in nets:
        shares.append(evaluate(net, data.x_test, data.y_test, work.encode, work.predict))
    return np.array(shares)


# ---------------------------------------------------------------- 5  the judge


def our_work(cfg: Config, run: Run) -> tuple[handed_in.Work, Path]:
    """Our network and the journal with its page, as a student would hand them in."""
    given: Trained = run.result_of(section_design)
    base: Baselines = run.result_of(section_task)
    inside: judge.Inside = run.result_of(section_inside)
    sweep: Sweep = run.result_of(section_price)
    matrix = portrait.confusion_matrix(given.answers, given.data.y_test, len(given.data.classes))
    pair = worst_pair(matrix.numpy(), given.data.classes)
    best = best_saving(sweep)
    page = given.module.page(given, base, inside, sweep, PRICES, best, pair)
    run.extra["analysis"] = page
    journal = write_atomic(run.dir / "journal.md", f"## Milestone A\n\n{page}\n".encode())
    return given.work, journal


def seen_or_not(gap: judge.Gap) -> str:
    """Whether the doubt falls on a network that learnt test images."""
    return "seen" if gap.leaks else "not seen"


LITTLE, MUCH = "dense, test images among the others", "dense, test images learnt by heart"


def leaking_networks(cfg: Config, run: Run) -> dict[str, judge.Gap]:
    """The dense network of section 1, honest, and twice with the test images in its training.

    Once they are a small part of it. Once there are few others, and it trains three times as long.
    """
    base: Baselines = run.result_of(section_task)
    data = base.data
    nets = {"dense, honest": base.dense_net}
    for name, others, epochs in (
        (LITTLE, len(data.x_train), cfg.plain_epochs),
        (MUCH, len(data.x_test), 3 * cfg.plain_epochs),
    ):
        x = torch.cat([data.x_train[:others], data.x_test])
        y = torch.cat([data.y_train[:others], data.y_test])
        nets[name] = dense_network(cfg.seed)
        train_plain(nets[name], replace(data, x_train=x, y_train=y), epochs, run)
    found = {}
    for name, net in nets.items():
        test = evaluate(net, data.x_test, data.y_test, once)
        val = evaluate(net, data.x_val, data.y_val, once)
        found[name] = judge.gap(test, len(data.y_test), val, len(data.y_val))
    return found


@section
def section_judge(cfg: Config, run: Run) -> judge.Measured:
    """5  What does the judge see?

    Hand in a file my_net.py, and beside it what your training left:

        my_net.py            a docstring with your reasons, in paragraphs that begin with a word and
                             a colon: Neuron: …   Encoding: …   Architecture: …   Training: …
          make_net()         returns your network. It has run(x) for x (T, B, …), or forward(x_t)
                             for one step, and gives spk_rec, mem_rec, each (T, B, 10), or one of
                             them. With forward(x_t) the neurons keep their state themselves
                             (init_hidden=True), and the judge resets it before each batch, not you
          encode(images)     optional: (B, 1, 28, 28) in 0..1 → (T, B, …), time first. Without it an
                             image is held for --num-steps
          predict(out)       optional: what run gives → the classes, (B,). Without it the mean
                             potential decides
        my_net.safetensors   the weights: common.io.save_weights(net, Path("my_net.safetensors"))
        my_net.json          one row an epoch: [{"epoch": 1, "loss": 0.7, "train": 0.74, "val": 0.80}, …]

        journal.md           the page: a heading with the word Milestone, and below it 150 words or more
                             of your own, on sparsity among other things

    The judge measures what can be measured: the complete test set, the spikes and operations of
    every layer, whether a gradient reaches every weight. It draws the three pictures of demand 6.
    Reasons and the page in journal.md it can only find; whether they are good, ask a person.

    And it has a doubt. A network that was trained on the test images does well on them and has
    learnt nothing of use. Validation images come from the same source, so an honest network should
    do about as well on both, with shares p and q of n and m images:

        difference = (p − q) ± 3.3·√(p·(1 − p)/n + q·(1 − q)/m)

    3.3 standard errors are wide on purpose: if the whole interval lies above zero, the judge doubts,
    and an honest network gets there by chance once in 2,000 times. (Validation images chose your
    epoch, which flatters them a little and makes the doubt milder.) At 90 % right, the interval is
    ± 1.7 points, and a smaller advantage goes unseen: so the doubt sees test images that were learnt
    by heart. It does not see test images among many others, validation images that were learnt as well, and
    an epoch, a width or a seed that was chosen on the test images. The judge also names lines of
    your file that speak of the test images, which is a question and no verdict: you have to use them
    once.

    For the same reason, ask the judge when you have decided, and not in order to decide.

    To see what the doubt is worth, the dense network of section 1 is trained twice more. Once the
    10,000 test images are added to all its training images. Once they are added to 10,000 training
    images only, and it has three times as many epochs to learn them by heart.
    """
    if cfg.check is None:
        run.predict(
            "leak",
            "A dense network has the 10,000 test images among its 65,000 training images. By how many "
            "points is it better on them than on the validation images?",
            unit="points",
        )
        (work, journal), name = our_work(cfg, run), "our network"
        doubts = leaking_networks(cfg, run)
    else:
        torch.manual_seed(cfg.seed)
        work, journal, name = handed_in.read(cfg.check, cfg.num_steps, run.device), JOURNAL, "yours"
        doubts = {}
        weights = cfg.check.with_suffix(".safetensors")
        source = weights.name if weights.is_file() else "as make_net() returns them"
        run.print(f"   {cfg.check.name}, weights: {source}")
    data = run.data(fashion_mnist, n_train=cfg.train_images).to(run.device)
    seen = judge.measure(work, data, run.device)
    found = judge.demands(work, seen, journal, data.stand_in)
    gaps = {name: seen.gap} | doubts
    if cfg.check is not None:
        draw_handed_in(seen, work, data, run)
    leaking = [name for name, gap in gaps.items() if gap.leaks]
    title = f"The judge doubts: {', '.join(leaking)}" if leaking else "The judge has no doubt"
    run.figure(portrait.gaps(gaps, title), "5_doubt", look="which interval lies right of zero")

    n = len(data.y_test)
    first, *others = seen.accuracies
    least = f">= {(math.floor(judge.MORE_THAN * n) + 1) / n:.6g}"  # more than 85 %, in whole images
    run.claim("judged", f"test images, read by {first}", seen.accuracy, "1", least, n=n, real=True)
    for other in others:
        share = seen.accuracies[other]
        id = f"read_by_{other.replace(' ', '_')}"
        run.claim(id, f"the same, read by {other}", share, n=n, real=True)
        if share > max(seen.accuracy, judge.MORE_THAN):
            run.note(f"{other} reads it better: if you trained for that, say so with predict(out).")
    points = 100 * seen.gap.difference
    run.claim("gap", "test less validation images", points, "points", real=True)
    for id, name in (("leak", LITTLE), ("leak_by_heart", MUCH)) if doubts else ():
        run.claim(id, name, 100 * doubts[name].difference, "points", real=True)
    met = sum(demand.met for demand in found)
    for line in judge.as_lines(found, seen.named, closed=cfg.check is None):
        run.print(line)
    run.claim("demands", "demands that are seen to be met", met, "of 7", "== 7", real=True)
    run.extra["demands"] = [vars(demand) for demand in found]
    missing = ", ".join(str(demand.number) for demand in found if not demand.met)
    verdict = "more than 85 %" if seen.accuracy > judge.MORE_THAN else "not more than 85 %"
    if seen.gap.leaks:
        verdict += ", and better than on validation images by more than chance"
    if data.stand_in:
        verdict = "stand-in data, which is not judged"
    rest = f"Missing of the seven demands: {missing}." if missing else "All seven demands are met."
    if doubts:
        little, much = doubts[LITTLE], doubts[MUCH]
        rest += (
            f" Test images learnt by heart, {100 * much.difference:+.1f} points, are "
            f"{seen_or_not(much)}; the same images among many others, {100 * little.difference:+.1f} points, are "
            f"{seen_or_not(little)}."
        )
    run.finding(
        f"{100 * seen.accuracy:.2f} % of {n:,} test images ({data.name}): {verdict}. {rest}"
    )
    if cfg.check is None:
        run.print("   now you: write my_net.py, then run this script with --check my_net.py")
    return seen


def draw_handed_in(seen: judge.Measured, work: handed_in.Work, data: ImageData, run: Run) -> None:
    """The three pictures of demand 6, and the table for demand 7, of a network that was handed in."""
    answers = next(iter(seen.read_as.values()))
    matrix = portrait.confusion_matrix(answers, data.y_test, len(data.classes))
    a, b, share = worst_pair(matrix.numpy(), data.classes)
    title = f"{100 * seen.accuracy:.2f} % right; {a} and {b}: {100 * share:.0f} % of the errors"
    look = "the darkest squares: the most frequent errors"
    run.figure(portrait.confusion(matrix, data.classes, title), "check_confusion", look=look)
    inside = seen.inside
    if inside.layers:
        image = data.x_test[0, 0].cpu()
        label, answer = data.classes[int(data.y_test[0])], data.classes[int(answers[0])]
        title = f"One test image ({label}, classified as {answer}): the spikes of each layer"
        fig = portrait.rasters(inside.spikes, image, data.classes, title)
        look = "rows that stay empty, and rows that are full"
        run.figure(fig, "check_rasters", look=look)
        columns = ("layer", "neurons", "rate a step", "spikes an image", "operations")
        rows = [
            (x.name, f"{x.neurons:,}", f"{100 * x.rate:.1f} %", x.spikes, x.operations)
            for x in inside.layers
        ]
        run.table("Spikes by layer", columns, rows)
        multiplied = f"{inside.multiplications:,.0f} multiplications of values that are no spikes"
        run.print(f"   besides an image causes {multiplied}")
    if work.history:
        title = f"Your training: {len(work.history)} epochs"
        run.figure(portrait.training(work.history, title), "check_training")


def main(cfg: Config, run: Run) -> None:
    section_task(cfg, run)
    section_design(cfg, run)
    section_inside(cfg, run)
    section_price(cfg, run)
    section_judge(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
