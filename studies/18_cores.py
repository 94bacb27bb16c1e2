"""Study 18 — Three cores of attention on photographs, at one budget

Question
    Lesson 18 swaps the core of its attention: SSA, softmax of the same spikes, or none, where every
    token keeps its own value. Which of them reads photographs best, once each is trained on all of them?

Idea
    Each core sees all 45,000 training images once, with three seeds, and the nine networks read the
    test images once. All take one learning rate, 0.1 for convolutions. So that this does not decide the
    comparison, each core is also tried at half and at twice that rate, with another seed and fewer
    images, on validation images: how much would it gain by a rate of its own?

    What was not tried: more passes, more blocks, other rates for what is not a convolution. And the
    rate that is best for a third of the images need not be best for all.

Read first
    Lesson 18, section 4; studies/13_arms.py.

Run
    uv run studies/18_cores.py            12 minutes of one CPU core; --resume goes on
    Lesson 18 reads its log, checkpoints/cifar10_cores.csv: a copy of what this run writes.

Builds on / leads to
    Lesson 18.
"""

from __future__ import annotations

import _root  # noqa: F401

import csv
import importlib
import io
from dataclasses import dataclass, replace
from typing import Any

from common import plots
from common.data import ImageData, cifar10
from common.io import write_atomic
from common.lesson import bounded, section, start
from common.run import Run
from training import evaluate
from training.seeds import against, dots, signed, verdict

import numpy as np

lesson = importlib.import_module("18_spiking_transformers")  # the networks, as they stand there

CORES = ("SSA", "no attention", "softmax")
TIMES = (0.5, 1.0, 2.0)  # the learning rate
OTHER_SEED = 100  # of the trainings that compare rates


@dataclass
class Config(lesson.Config):
    """The networks of lesson 18; ``epochs`` passes each."""

    epochs: int = bounded(1, 1, 1000)
    """passes of each of the nine trainings over all training images"""
    tried_images: int = bounded(15_000, 10, 45_000)
    """training images of each training that compares rates, each seen once"""


SMOKE = lesson.SMOKE | {"tried_images": 100}
FULL = {"epochs": 100}


def one_training(
    cfg: Config, run: Run, data: ImageData, core: str, lr: float, seed: int, epochs: int
) -> tuple[Any, list[dict[str, float]]]:
    """Train one network at its rate; a checkpoint after each pass."""
    at_rate = replace(cfg, lr=lr)
    name = f"{core.replace(' ', '_')}_{lr:g}_{seed}"
    return lesson.train_photos(at_rate, run, data, core, seed, epochs, name)


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The log, a line a row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@section
def section_rates(cfg: Config, run: Run) -> None:
    """1  Does one learning rate for all favour a core?

    One pass over a third of the training images for each core and rate, seed 100; validation images.
    """
    data = run.data(cifar10, n_train=100 if cfg.smoke else None)
    n = cfg.tried_images
    few = replace(data, x_train=data.x_train[:n], y_train=data.y_train[:n])
    curves: dict[str, list[float]] = {}
    for core in CORES:
        curves[core] = []
        for times in TIMES:
            _, history = one_training(cfg, run, few, core, times * cfg.lr, OTHER_SEED, 1)
            curves[core].append(100 * history[-1]["val"])
    rows = [(core, *(f"{value:.1f}" for value in curve)) for core, curve in curves.items()]
    rates = [f"{times * cfg.lr:g}" for times in TIMES]
    run.table("Validation images read (%), by learning rate", ("core", *rates), rows)
    fig, ax = plots.figure(
        1, 1, (8, 4), "One pass over a third of the images, at three learning rates"
    )
    plots.curves(ax, [times * cfg.lr for times in TIMES], curves)
    ax.set_xscale("log", base=2)
    ax.set_xticks([times * cfg.lr for times in TIMES], rates)
    plots.label(ax, "learning rate at its highest", "validation images read correctly (%)")
    run.figure(fig, "1_rates", look="how far each curve lies below its summit at the middle rate")
    lost = {core: max(curve) - curve[1] for core, curve in curves.items()}
    facts = {"n": len(data.y_val), "seeds": 1, "real": True}
    for core, id in zip(CORES, ("lost_ssa", "lost_none", "lost_softmax"), strict=True):
        run.claim(id, f"{core}: below its best rate", lost[core], "points", **facts)
    run.finding(
        f"At {cfg.lr:g} the cores lie below their best rates by "
        + ", ".join(f"{value:.1f} points ({core})" for core, value in lost.items())
        + ", one training each."
    )


@section
def section_cores(cfg: Config, run: Run) -> None:
    """2  Which core reads photographs best at one budget?

    The log of all passes is written to cifar10_cores.csv, a row a pass.
    """
    run.predict("gap_none", "Without attention: how many points more or fewer?", unit="points")
    data = run.data(cifar10, n_train=100 if cfg.smoke else None)
    rows = []
    test: dict[str, list[float]] = {core: [] for core in CORES}
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        for core in CORES:
            net, history = one_training(cfg, run, data, core, cfg.lr, seed, cfg.epochs)
            right = evaluate(
                net, data.x_test, data.y_test, lesson.show(cfg, core), lesson.highest_mean_current
            )
            test[core].append(right)
            for row in history:
                kept = {name: f"{row[name]:.4f}" for name in ("loss", "train", "val")}
                last = row is history[-1]
                given = {"core": core, "lr": cfg.lr, "seed": seed, "epoch": row["epoch"]}
                rows.append(given | kept | {"test": f"{right:.4f}" if last else ""})
            write_atomic(run.dir / "cifar10_cores.csv", as_csv(rows))
            run.print(f"   {core:<13} seed {seed}   test {100 * right:.2f} %")

    fig, ax = plots.figure(1, 1, (8, 3), "Three cores at one budget")
    dots(ax, test, "test images read correctly (%)")
    run.figure(fig, "2_cores", look="whether the dots of one core stand apart from the others'")
    facts = {"n": len(data.y_test) * cfg.seeds, "seeds": cfg.seeds, "real": True}
    run.claim("ssa", "SSA: test images read", float(np.mean(test["SSA"])), **facts)
    said = []
    for core, id in (("no attention", "gap_none"), ("softmax", "gap_softmax")):
        gap = against(test[core], test["SSA"])
        run.claim(id, f"{core}, against SSA", gap[0], "points", **facts)
        said.append(f"{core} {signed(gap)} points ({verdict(gap)})")
    run.finding(
        f"Passes over all images: {cfg.epochs}. SSA reads {100 * np.mean(test['SSA']):.1f} % of the test images; against it, "
        + "; ".join(said)
        + "."
    )


def main(cfg: Config, run: Run) -> None:
    section_rates(cfg, run)
    section_cores(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
