"""Study 10 — How sure is the number? Three trainings of the same network, and one without bfloat16

Question
    Lesson 10 trains its network once and reports one number. How far does another seed move it? And
    how much of it depends on a processor that multiplies 16-bit numbers?

Idea
    Two kinds of chance are in an accuracy p. The test images are a sample of all photographs; for n
    images that is a 95 % interval of about

        ± 1.96·√(p·(1 − p)/n)                                 n = 10,000 and p = 0.85: ± 0.7 points  (1)

    The training is a sample, too: of first weights, and of the order of the images. That can only be
    seen by training again. For k trainings with mean m and standard deviation s the interval of the
    mean is

        m ± t(k − 1)·s/√k                                     k = 3: t = 4.30                        (2)

    All trainings are read with the same test images, so (1) cannot tell them apart, and (2) does not
    know of other photographs. A comparison of two networks that names only (1) forgets the training.

Read first
    Lesson 10, section 3.
    Bouthillier et al. 2021, what varies from one training to the next:
    https://arxiv.org/abs/2103.03098

Run
    uv run studies/10_seeds.py                 about two hours of one core; three minutes of an H200
    uv run studies/10_seeds.py --resume        goes on after the last finished epoch

Builds on / leads to
    Lesson 10. Lessons 14 and 16 compare networks of this kind, with three seeds where they can.
"""

from __future__ import annotations

import _root  # noqa: F401

import importlib
import math
from dataclasses import dataclass
from functools import partial

from common import plots
from common.data import ImageData, cifar10
from common.device import describe
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from multistep import fast_number
from training import evaluate, fit
from training.augment import flip_and_shift
from training.muon import muon_for_convolutions, up_and_down

import numpy as np
import torch
from scipy.stats import t as student_t

lesson = importlib.import_module(
    "10_convolutional_snn"
)  # the network of section 3, as it stands there


@dataclass
class Config(LessonConfig):
    """The training of lesson 10, section 3, with other seeds and another number type."""

    num_steps: int = bounded(2, 1, 100_000)
    """time steps for which an image is shown (T)"""
    epochs: int = bounded(17, 1, 1000)
    """passes over the training images"""
    float_epochs: int = bounded(7, 1, 1000)
    """the same for the training in float32: what a CPU without bfloat16 does in that time"""
    batch_size: int = bounded(256, 2, 45_000)
    """images in one update of the weights (B)"""
    lr: float = bounded(0.1, 1e-7, 10.0)
    """highest learning rate of the convolutions"""
    channels: int = bounded(64, 1, 1024)
    """channels of the first layer"""
    seeds: int = bounded(3, 2, 20)
    """trainings"""
    resume: bool = False
    """go on after the last finished epoch of a run that was stopped"""


SMOKE = {"epochs": 1, "float_epochs": 1, "batch_size": 64, "channels": 8, "seeds": 2}
FULL = {"seeds": 5}


@dataclass
class Training:
    """What one training came to. All are shares, 0 to 1."""

    validation: list[float]
    """validation images read correctly, after each epoch"""
    test: float
    """test images read correctly by the weights of the best epoch"""


def train(
    cfg: Config, run: Run, data: ImageData, seed: int, epochs: int, number: torch.dtype
) -> Training:
    """Lesson 10's training from first weights of this seed; validation chooses the epoch."""
    torch.manual_seed(seed)
    net = lesson.photo_net(channels=cfg.channels)
    show = partial(lesson.encode, num_steps=cfg.num_steps, number=number)
    name = f"{str(number).removeprefix('torch.')}_{seed}"
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
        optimizer=partial(muon_for_convolutions, lr=cfg.lr, number=number),
        schedule=up_and_down,
        seed=seed,
        name=name,
        resume=cfg.resume,
    )
    net.eval()
    test = evaluate(net, data.x_test, data.y_test, show, lesson.highest_mean_current)
    return Training([row["val"] for row in history], test)


def interval(values: list[float]) -> tuple[float, float]:
    """Equation (2): the mean, and half the width of its 95 % interval."""
    k = len(values)
    half = student_t.ppf(0.975, k - 1) * np.std(values, ddof=1) / math.sqrt(k)
    return float(np.mean(values)), float(half)


@section
def section_seeds(cfg: Config, run: Run) -> None:
    """1  How far apart are three trainings?

    The network, the images and the flags are those of lesson 10. Only the seed differs: it draws the
    first weights, the order of the images, and how each is mirrored and moved. The first seed is the
    lesson's own. In each training the validation images choose the epoch, and the test images are then
    read once.
    """
    run.predict(
        "range",
        f"{cfg.seeds} trainings with different seeds: how many points of test accuracy lie between the "
        "best and the worst?",
        unit="points",
    )
    data = run.data(cifar10, n_train=512 if cfg.smoke else None).to(run.device)
    number = fast_number(run.device)
    trainings = []
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        trainings.append(train(cfg, run, data, seed, cfg.epochs, number))
    test = [100 * training.test for training in trainings]
    mean, half = interval(test)
    n = len(data.y_test)
    sample = 196 * math.sqrt(mean / 100 * (1 - mean / 100) / n)  # equation (1), in points

    fig, (left, right) = plots.figure(1, 2, (10.5, 4))
    for i, training in enumerate(trainings):
        look = {"color": plots.COLOURS[i], "ls": plots.DASHES[i % len(plots.DASHES)]}
        epochs = range(1, len(training.validation) + 1)
        shares = 100 * np.array(training.validation)
        left.plot(epochs, shares, label=f"seed {cfg.seed + i}", **look)
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend(loc="lower right")
    plots.label(left, "epoch", "validation images read correctly (%)", "training")
    seeds = np.arange(cfg.seed, cfg.seed + cfg.seeds)
    best = [100 * max(training.validation) for training in trainings]
    right.errorbar(seeds, test, sample, fmt="o", color=plots.BLUE, capsize=4, label="test")
    right.plot(seeds, best, "v", color=plots.ORANGE, label="validation, best epoch")
    right.axhspan(mean - half, mean + half, color="0.85", zorder=0, label="interval of the mean")
    right.set_xticks(seeds)
    right.legend(loc="best")
    plots.label(right, "seed", "images read correctly (%)", "bars: chance in the test images (1)")
    fig.suptitle(
        f"{cfg.seeds} trainings: {mean:.2f} ± {half:.2f} % of {n:,} test images", x=0.01, ha="left"
    )
    run.figure(fig, "1_seeds", look="how the range of the points compares with one bar")

    spread = max(test) - min(test)
    target = ">= 0.84" if number == torch.bfloat16 else None
    facts = {"n": n, "seeds": cfg.seeds, "real": True}
    run.claim("accuracy", "test images read correctly, mean", mean / 100, target=target, **facts)
    run.claim("worst", "the worst training", min(test) / 100, **facts)
    run.claim("range", "best against worst training", spread, "points", **facts)
    gap = float(np.mean(best)) - mean
    run.claim("validation", "validation against test, mean", gap, "points", **facts)
    run.finding(
        f"{cfg.seeds} trainings read {mean:.2f} ± {half:.2f} % of the test images, from {min(test):.2f} to "
        f"{max(test):.2f} %: {spread:.2f} points apart, where the chance in {n:,} images alone is "
        f"± {sample:.2f} points. Accuracy on the validation images differs from that by {gap:+.2f} points: "
        f"they are other images, and the epoch was chosen on them. Trained on: {describe(run.device)}.",
        main=True,
        claim="accuracy",
    )


@section
def section_number(cfg: Config, run: Run) -> None:
    """2  What is left without bfloat16?

    A CPU without fast 16-bit multiplication trains in float32 and does less than half as many images in
    a second, so lesson 10 plans seven epochs there and not seventeen. Here that training is run wherever
    you are. Numbers in 32 bits are finer: what is lost is lost by the shorter training.

    On a GPU the clock is another one, but the epochs and the numbers are the same: TF32, which would cut
    the factors of each product to 10 of 23 bits there, is switched off.
    """
    torch.backends.cudnn.allow_tf32 = False
    data = run.data(cifar10, n_train=512 if cfg.smoke else None).to(run.device)
    short = train(cfg, run, data, cfg.seed, cfg.float_epochs, torch.float32)
    n = len(data.y_test)
    facts = {"n": n, "seeds": 1, "real": True}
    run.claim("float32", "float32, short training", short.test, target=">= 0.82", **facts)
    run.finding(
        f"In float32, with {cfg.float_epochs} epochs, one training reads {100 * short.test:.1f} % of {n:,} "
        "test images."
    )


def main(cfg: Config, run: Run) -> None:
    section_seeds(cfg, run)
    section_number(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
