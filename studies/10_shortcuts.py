"""Study 10 — What are two shortcuts worth? The network for photographs with and without them

Question
    In lesson 10 stacks of 16 equal layers learn faster with SEW shortcuts, in short trainings. Its
    network for photographs has five layers, of which two have a shortcut, and is trained to the end.
    What holds for sixteen layers need not hold for five. Does it read more photographs with its
    shortcuts than without them?

Idea
    A shortcut adds the spikes that come in to those that the layer makes, A:

        S_out[t] = A[t] + S_in[t]                                                                 (1)

    It has no weights. So the two networks have the same number of weights, and with the same seed they
    start from the same ones, and see the same images in the same order. What they read is compared
    seed by seed. For k seeds, whose differences have the mean m and the standard deviation s, the 95 %
    interval is

        m ± t(k − 1)·s/√k                                     k = 3: t = 4.30                     (2)

    A comparison is fair only if each network has a learning rate that suits it. So each has its own,
    chosen on validation images with another seed in short trainings.

Read first
    Lesson 10, sections 2 and 3.

Run
    uv run studies/10_shortcuts.py                 a few minutes of a GPU, hours of two cores
    uv run studies/10_shortcuts.py --resume        goes on after the last finished epoch

Builds on / leads to
    Lesson 10. Study 10_seeds asks how far apart trainings of one network are.
"""

from __future__ import annotations

import _root  # noqa: F401

import importlib
from dataclasses import dataclass
from functools import partial

from common import plots
from common.data import ImageData, cifar10
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from multistep import fast_number
from training import evaluate, fit
from training.arms import interval
from training.augment import flip_and_shift
from training.muon import muon_for_convolutions, up_and_down

import numpy as np
import torch

lesson = importlib.import_module("10_convolutional_snn")


@dataclass
class Config(LessonConfig):
    """The training of lesson 10, section 3, for two networks."""

    num_steps: int = bounded(2, 1, 100_000)
    """time steps for which an image is shown (T)"""
    epochs: int = bounded(17, 1, 1000)
    """passes over the training images"""
    search_epochs: int = bounded(3, 1, 1000)
    """the same in the short trainings that choose the learning rate"""
    batch_size: int = bounded(256, 2, 45_000)
    """images in one update of the weights (B)"""
    channels: int = bounded(64, 1, 1024)
    """channels of the first layer"""
    seeds: int = bounded(3, 2, 20)
    """trainings of each network"""
    resume: bool = False
    """go on after the last finished epoch of a run that was stopped"""


SMOKE = {"epochs": 1, "search_epochs": 1, "batch_size": 64, "channels": 4, "seeds": 2}
FULL = {"seeds": 5}

ARMS = {"without": False, "with": True}
RATES = (0.05, 0.1, 0.2)  # highest learning rates of the convolutions
SEARCH_SEED = 1000  # added to the run's, for the trainings that choose a rate


def network(cfg: Config, shortcuts: bool, seed: int) -> lesson.SpikingCNN:
    """Lesson 10's network for photographs; without ``shortcuts`` its weights are the same."""
    torch.manual_seed(seed)  # also for the small changes to the images
    net = lesson.photo_net(channels=cfg.channels)
    for layer in net.layers:
        layer.shortcut = layer.shortcut and shortcuts
    return net


def train(
    cfg: Config, run: Run, data: ImageData, arm: str, seed: int, lr: float, epochs: int
) -> tuple[lesson.SpikingCNN, list[float]]:
    """Lesson 10's training: the network of the best epoch, and the validation accuracy of each."""
    net = network(cfg, ARMS[arm], seed)
    number = fast_number(run.device)
    show = partial(lesson.encode, num_steps=cfg.num_steps, number=number)
    name = f"{arm}_{seed}_{lr:g}"
    run.print(f"   training  {name}")
    history = fit(
        net,
        data,
        show,
        run=run,
        epochs=epochs,
        batch_size=cfg.batch_size,
        loss_fn=lesson.smoothed_loss,
        predict=lesson.highest_mean_current,
        augment=flip_and_shift,
        optimizer=partial(muon_for_convolutions, lr=lr, number=number),
        schedule=up_and_down,
        seed=seed,
        name=name,
        resume=cfg.resume,
    )
    return net, [row["val"] for row in history]


def best_rate(cfg: Config, run: Run, data: ImageData, arm: str) -> float:
    """The rate whose short training reads most validation images."""
    found = {}
    for lr in RATES:
        seed = cfg.seed + SEARCH_SEED
        _, validation = train(cfg, run, data, arm, seed, lr, cfg.search_epochs)
        found[lr] = max(validation)
    return max(found, key=found.get)


@section
def section_pairs(cfg: Config, run: Run) -> None:
    """1  Does the network read more photographs with its two shortcuts?

    Both networks are trained as lesson 10 says, with each seed once. Pairs of one seed stand beside each
    other. The learning rate of each was chosen in trainings of `search_epochs` epochs, which are shorter
    than those that are compared: a rate that is best there need not be best here.
    """
    run.predict(
        "gain",
        "How many points of test accuracy are the two shortcuts worth, on average?",
        unit="points",
    )
    data = run.data(cifar10, n_train=512 if cfg.smoke else None)
    rates = {arm: best_rate(cfg, run, data, arm) for arm in ARMS}
    number = fast_number(run.device)
    show = partial(lesson.encode, num_steps=cfg.num_steps, number=number)
    validation = {arm: [] for arm in ARMS}  # shares, (seeds, epochs)
    test = {arm: [] for arm in ARMS}  # per cent, a seed each
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        for arm in ARMS:
            net, curve = train(cfg, run, data, arm, seed, rates[arm], cfg.epochs)
            right = evaluate(net, data.x_test, data.y_test, show, lesson.highest_mean_current)
            validation[arm].append(curve)
            test[arm].append(100 * right)
            run.print(f"   {arm} shortcuts, seed {seed}: {100 * right:.2f} % of the test images")

    gain, half = interval(np.subtract(test["with"], test["without"]))
    rows = []
    for arm in ARMS:
        mean, width = interval(test[arm])
        seeds = " ".join(f"{value:.2f}" for value in test[arm])
        rows.append((arm, f"{rates[arm]:g}", seeds, f"{mean:.2f} ± {width:.2f}"))
    columns = ("shortcuts", "rate", "test images read (%), a seed each", "mean, 95 %")
    run.table(f"After {cfg.epochs} epochs", columns, rows)

    fig, (left, right) = plots.figure(1, 2, (10.5, 4))
    curves = {f"{arm} shortcuts": 100 * np.array(validation[arm]) for arm in ARMS}
    plots.curves(left, range(1, cfg.epochs + 1), curves)
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend(loc="lower right")
    plots.label(left, "epoch", "validation images read correctly (%)", "bands: range of the seeds")
    for i, pair in enumerate(zip(test["without"], test["with"], strict=True)):
        color, marker = plots.COLOURS[i % 7], plots.MARKERS[i % 7]
        right.plot([0, 1], pair, "-", marker=marker, color=color, label=f"seed {cfg.seed + i}")
    right.set_xticks([0, 1], ["without shortcuts", "with both"])
    right.set_xlim(-0.4, 1.4)
    right.legend(loc="best")
    plots.label(right, "", "test images read correctly (%)", "the same seed, with and without")
    title = f"Two shortcuts: {gain:+.2f} ± {half:.2f} points (95 % of {cfg.seeds} seeds)"
    fig.suptitle(title, x=0.01, ha="left")
    run.figure(fig, "1_shortcuts", look="right: do all lines go the same way?")

    facts = {"n": len(data.y_test), "seeds": cfg.seeds, "real": True}
    means = {arm: float(np.mean(test[arm])) for arm in ARMS}
    run.claim("with", "test images read with shortcuts", means["with"] / 100, **facts)
    run.claim("without", "test images read without", means["without"] / 100, **facts)
    run.claim("gain", "gain by the shortcuts", gain, "points", **facts)
    verdict = "a difference is not shown"
    if gain > half:
        verdict = "they help"
    if gain < -half:
        verdict = "they do harm"
    run.finding(
        f"With its two shortcuts the network of five layers reads {means['with']:.2f} % of the test images, "
        f"without them {means['without']:.2f} %: {gain:+.2f} ± {half:.2f} points (95 % of {cfg.seeds} pairs, "
        f"{cfg.epochs} epochs): {verdict}.",
        main=True,
        claim="gain",
    )


def main(cfg: Config, run: Run) -> None:
    section_pairs(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
