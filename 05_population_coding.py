"""Lesson 05 — Population coding: many poor neurons, one good answer

Question
    A cortical neuron is a poor instrument. Shown the same thing twice, it answers with different
    numbers of spikes; many different things draw the same answer from it; and it may die. How can
    a brain, or a chip, made of such parts measure an angle to a fraction of a degree?

Idea
    Let N neurons measure the same angle s. Neuron i fires most at its *preferred angle* sᵢ and less
    the further s lies from it. Its mean rate as a function of s is its *tuning curve* fᵢ(s). In a
    window of T seconds it fires nᵢ spikes:

        nᵢ ~ Poisson(T·fᵢ(s))          a mean of T·fᵢ(s), a standard deviation of √(T·fᵢ(s))   (1)

    A *decoder* turns the N counts back into an angle ŝ. The error ŝ − s is a sum of N independent
    errors over a sum of N signals. The first grows as √N, the second as N:

        error  ∝  √N / N  =  1/√N                                                            (2)

Read first
    Theory     Dayan & Abbott, Theoretical Neuroscience, chapter 3,
               http://www.gatsby.ucl.ac.uk/~dayan/book/
               Neuronal Dynamics, chapter 11, https://neuronaldynamics.epfl.ch/online/Ch11.html
    Practice   snnTorch's tutorial on population codes,
               https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_pop.html

Run
    uv run 05_population_coding.py --predict   asks what you expect, then measures it: start here
    uv run 05_population_coding.py             without questions; about a minute on two CPU cores
    uv run 05_population_coding.py --only 2 --shared 0.5     also --dead, --sigma, --stimulus
    uv run 05_population_coding.py --full      ten times the trials, all training images

Builds on / leads to
    Poisson spikes come from lesson 02, the variance of counts from 03. Section 5 trains networks
    with the loop that lesson 09 opens. Coarse weights return in 16 and 19.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from common import plots
from common.cost import ledger_row
from common.data import ImageData, batches, mnist
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import unroll
from training import fit

import numpy as np
import snntorch as snn
import snntorch.functional as SF
import torch
import torch.nn.functional as F
from scipy.stats import t as student_t
from torch import Tensor, nn

SIZES = (16, 32, 64, 128, 256, 512, 1024)  # neurons in the sweeps
DAMAGED = (16, 64, 256)  # neurons in section 4
BITS = (2, 3, 4, 6, 8)
FLOORS = (0.1, 1, 3, 10)  # of a bell, in spikes a second
GRID = torch.arange(-180, 180, dtype=torch.float64)  # the angles that likelihood tries, in degrees


@dataclass
class Config(LessonConfig):
    """Sections 1 to 4 count spikes over ``window``; ``num_steps`` belongs to section 5."""

    num_steps: int = bounded(10, 1, 1000)
    """time steps of the longer of the two answers in section 5"""
    trials: int = bounded(2000, 20, 50_000)
    """stimuli that each population decodes"""
    window: float = bounded(0.5, 0.01, 100.0)
    """time T for which spikes are counted, in seconds"""
    stimulus: float = bounded(40.0, -180.0, 180.0)
    """the angle that section 1 shows again and again, in degrees"""
    sigma: float = bounded(25.0, 5.0, 90.0)
    """width σ of the Gaussian tuning curves, in degrees"""
    shared: float = bounded(2.0, 0.0, 30.0)
    """tremble of the stimulus that all neurons share, in one arm of section 2, in degrees"""
    dead: float = bounded(0.3, 0.0, 0.9)
    """share of the neurons that die in sections 4 and 5"""
    num_hidden: int = bounded(64, 1, 10_000)
    """hidden neurons of the networks in section 5"""
    n_train: int = bounded(10_000, 10, 55_000)
    """their training images"""
    epochs: int = bounded(2, 1, 100)
    """passes over these images"""
    seeds: int = bounded(3, 2, 20)
    """networks trained for each arm"""
    lr: float | None = bounded(None, 1e-6, 1.0)
    """one learning rate for all arms (default: the best of each, see READOUTS)"""


SMOKE = {"trials": 100, "num_hidden": 16, "n_train": 300, "epochs": 1, "seeds": 2}
FULL = {"trials": 20_000, "num_hidden": 128, "n_train": 55_000, "epochs": 10, "lr": 5e-3}


def wrap(angle: Tensor) -> Tensor:
    """The same angle from −180° to 180°, so that 359° is 1° away from 0°."""
    return (angle + 180) % 360 - 180


@dataclass(frozen=True)
class Population:
    """N neurons whose preferred angles are spread evenly over the circle."""

    num_neurons: int
    shape: str = "bell"
    sigma: float = 25.0
    floor: float = 3.0  # of a bell, in spikes a second

    @property
    def preferred(self) -> Tensor:
        """The preferred angles sᵢ in degrees, ``(N,)``."""
        place = torch.arange(self.num_neurons, dtype=torch.float64) + 0.5
        return 360 * place / self.num_neurons - 180

    def rates(self, s: Tensor) -> Tensor:
        """Mean rates fᵢ(s) in spikes a second: angles ``(B,)`` → ``(B, N)``."""
        distance = wrap(s[:, None] - self.preferred)
        if self.shape == "cosine":
            return 20 + 18 * torch.cos(torch.deg2rad(distance))
        return self.floor + 40 * torch.exp(-(distance**2) / (2 * self.sigma**2))

    def slopes(self, s: Tensor) -> Tensor:
        """Their derivatives fᵢ′(s), in spikes a second and degree: ``(B,)`` → ``(B, N)``."""
        distance = wrap(s[:, None] - self.preferred)
        if self.shape == "cosine":
            return -18 * torch.sin(torch.deg2rad(distance)) * math.pi / 180
        return -distance / self.sigma**2 * (self.rates(s) - self.floor)

    def counts(self, s: Tensor, window: float, generator: torch.Generator) -> Tensor:
        """One trial for each angle, equation (1): ``(B,)`` → whole numbers of spikes ``(B, N)``."""
        return torch.poisson(window * self.rates(s), generator=generator)


def random_angles(num: int, generator: torch.Generator) -> Tensor:
    """``num`` angles from all around the circle, in degrees."""
    return 360 * torch.rand(num, generator=generator, dtype=torch.float64) - 180


def rms(error: Tensor) -> float:
    """Root mean square of errors in degrees, each the shorter way round."""
    return wrap(error).square().mean().sqrt().item()


def share_off(error: Tensor) -> float:
    """Share of errors of more than 7.5°, each the shorter way round."""
    return (wrap(error).abs() > 7.5).double().mean().item()


def interval_of_ratio(
    error: Tensor, unit: Tensor, generator: torch.Generator, resamples: int = 300
) -> tuple[float, float]:
    """95 % bootstrap interval of RMS(error)/RMS(unit), both ``(B,)``.

    It answers how much the ratio could have differed with other trials: as many trials are drawn
    again from those that we have, with repetition, and the ratio is taken anew, 300 times.
    """
    ratios = torch.zeros(resamples, dtype=torch.float64)
    for k in range(resamples):
        drawn = torch.randint(len(error), (len(error),), generator=generator)
        ratios[k] = rms(error[drawn]) / rms(unit[drawn])
    low, high = ratios.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


@section
def section_one_and_many(cfg: Config, run: Run) -> None:
    """1  What can one neuron tell, and what can many?

    The neuron in the left half of the picture prefers 0°. Its tuning curve is a bell on a floor:

        f(s) = 3 + 40·exp(−d²/2σ²)  spikes/s          d: from s to sᵢ, the shorter way round  (3)

    It is shown the same angle again and again. A spike comes by chance in each millisecond, with
    probability f(s)·1 ms, as in the rate code of lesson 02. Many rare chances make a count that is
    very nearly Poisson, equation (1): its Fano factor, variance over mean, is about 1 (lesson 03).

    To get an angle from a count, take the angle at which the curve promises the count that is
    nearest. Two things go wrong. The count varies, so the angle does too, and most where the curve
    is flat: on its floor a change of the angle changes nothing. A count of 0 or 1 is less than the
    floor promises, 1.5; it is read as 180°, as far away as can be. And the curve goes up and comes
    down, so each height but the top belongs to *two* angles, one on each side. Counting for longer
    does not help against that: both angles promise the same count.

    In the right half, 48 neurons see the angle, once. None is better than the first. But each has
    its own preferred angle, and so their counts, side by side, form a hill where the stimulus is.
    The middle of the hill is the answer; how to find it is the subject of section 2.

    Such curves are found in brains. Place cells in the hippocampus fire in one part of a room
    (O'Keefe & Dostrovsky 1971): narrow bells over position, so that in any spot few of them are
    active. Cells of the motor cortex fire with the *cosine* of the angle between an arm's movement
    and their preferred direction (Georgopoulos and colleagues 1982,
    https://doi.org/10.1523/JNEUROSCI.02-11-01527.1982). A cosine is so wide that nearly all cells
    take part in each movement. In section 2 it is 20 + 18·cos(d) spikes/s.
    """
    run.predict(
        "one_told",
        f"The stimulus is {cfg.stimulus:g}°, shown {cfg.trials:,} times. Each time the angle is read "
        "off the curve of the one neuron, and it is told on which side of 0° to look. What share of its "
        "answers is off by more than 7.5°?",
        unit="per cent",
    )
    generator = run.generator()
    steps = max(1, round(1000 * cfg.window))  # of 1 ms
    s = torch.tensor([cfg.stimulus], dtype=torch.float64)
    many = Population(48, "bell", cfg.sigma)
    one = Population(1, "bell", cfg.sigma)  # it prefers 0°

    # One trial of the 48 neurons, millisecond by millisecond.
    chance = many.rates(s)[0] / 1000  # (N,), of a spike in one step
    spk_rec = []
    for _ in range(steps):
        spk = torch.rand(48, generator=generator) < chance
        spk_rec.append(spk)
    spk_rec = torch.stack(spk_rec)  # (T, N)
    hill = spk_rec.sum(0)  # (N,)

    # Many trials of the one neuron, each of as many chances as there are milliseconds.
    same = s.expand(cfg.trials)  # (B,)
    chances = torch.full((cfg.trials,), float(steps), dtype=torch.float64)
    n = torch.binomial(chances, one.rates(same)[:, 0] / 1000, generator=generator)  # (B,)
    fano = (n.var() / n.mean().clamp(min=1e-9)).item()
    side = torch.linspace(0, 180, 181, dtype=torch.float64)  # one half of the curve
    nearest = (n[:, None] - cfg.window * one.rates(side)[:, 0]).abs().argmin(1)
    told = side[nearest] * (1 if cfg.stimulus >= 0 else -1)  # (B,)
    coin = torch.randint(0, 2, (cfg.trials,), generator=generator) * 2 - 1
    by_lot = told * coin
    one_told = share_off(told - same)
    farthest = (told.abs() == 180).double().mean().item()
    one_alone = share_off(by_lot - same)

    # And as many trials of the 48.
    counts = many.counts(same, cfg.window, generator)
    found = population_vector(counts, many.preferred)  # equation (4), section 2
    all_48 = share_off(found - same)

    title = f"Off by more than 7.5°: {100 * one_alone:.0f} % of the answers of one neuron,\n"
    title += (
        f"{100 * one_told:.0f} % if it is told the side, and {100 * all_48:.1f} % of those of 48"
    )
    fig, axes = plots.figure(3, 2, (11, 8.4), title, height_ratios=(1.2, 1, 1))
    (ax, bx), (cx, dx), (ex, fx) = axes
    around = torch.linspace(-180, 180, 361, dtype=torch.float64)
    height = one.rates(s).item()
    ax.plot(around, one.rates(around)[:, 0], color=plots.BLUE)
    ax.axhline(height, color="grey", linestyle=":", label=f"{height:.1f} spikes/s: which side?")
    for angle, name in ((cfg.stimulus, "the stimulus"), (-cfg.stimulus, "its double")):
        mark = "o" if angle == cfg.stimulus else "s"
        ax.plot(angle, height, mark, color=plots.RED, mfc="none", ms=9, label=name)
    ax.set_ylim(0, 58)
    ax.legend(loc="upper right")
    plots.label(ax, "stimulus s (°)", "rate f(s) (spikes/s)", "One neuron: its tuning curve")
    plots.raster(bx, spk_rec, width=1.2)
    bx.set_yticks([-0.5, 11.5, 23.5, 35.5, 47.5], ["−180", "−90", "0", "90", "180"])
    plots.label(bx, "time (ms)", "preferred angle sᵢ (°)", "48 neurons: the spikes of one trial")
    cx.hist(n.numpy(), bins=np.arange(-0.5, int(n.max()) + 1.5), color=plots.SKY, edgecolor="white")
    cx.axvline(cfg.window * height, color=plots.RED, linestyle="--", label="mean T·f(s)")
    cx.legend()
    head = f"One neuron: its counts in {cfg.trials:,} trials"
    plots.label(cx, f"spikes in {cfg.window:g} s", "trials", head)
    dx.bar(many.preferred, hill, width=6, color=plots.SKY, label="counts nᵢ")
    dx.plot(many.preferred, cfg.window * many.rates(s)[0], color=plots.BLUE, label="their means")
    dx.axvline(cfg.stimulus, color=plots.RED, linestyle="--", label="the stimulus")
    dx.legend(loc="upper left" if cfg.stimulus > 0 else "upper right")
    head = "48 neurons: the counts of that trial"
    plots.label(dx, "preferred angle sᵢ (°)", f"spikes in {cfg.window:g} s", head)
    for panel, answers, width, head in (
        (ex, by_lot, 5, f"One neuron, the side by lot: answers in {cfg.trials:,} trials"),
        (fx, found, 2, f"48 neurons: answers in {cfg.trials:,} trials"),
    ):
        bins = np.arange(-180 - width / 2, 181 + width / 2, width)
        panel.hist(answers.numpy(), bins=bins, color=plots.GREEN)
        panel.axvline(cfg.stimulus, color=plots.RED, linestyle="--", label="the stimulus")
        panel.legend(loc="upper left" if cfg.stimulus > 0 else "upper right")
        plots.label(panel, "answer ŝ (°)", f"trials in {width}°", head)
    for panel in (ax, dx, ex, fx):
        panel.set_xticks(range(-180, 181, 90))
    run.figure(
        fig,
        "1_one_and_many",
        look="the two histograms at the bottom: what a count of one says, and of 48",
    )

    run.claim("fano", "one neuron: Fano factor", fano, "", n=cfg.trials)
    run.claim("one_told", "one, side known: > 7.5° off", one_told, n=cfg.trials)
    run.claim("farthest", "one neuron: answers 180°", farthest, n=cfg.trials)
    run.claim("one_alone", "one, side by lot: > 7.5° off", one_alone, n=cfg.trials)
    run.claim("all_48", "48 neurons: > 7.5° off", all_48, n=cfg.trials)
    run.finding(
        f"Read from one neuron, {100 * one_told:.0f} % of the answers are off by more than 7.5°, even if "
        f"the side is known, and {100 * one_alone:.0f} % if it is not. Read from 48 such neurons, "
        f"{100 * all_48:.1f} % are."
    )


def population_vector(counts: Tensor, preferred: Tensor) -> Tensor:
    """Equation (4) for many trials at once: ``(B, N)``, ``(N,)`` → angles in degrees ``(B,)``."""
    x = counts @ torch.cos(torch.deg2rad(preferred))
    y = counts @ torch.sin(torch.deg2rad(preferred))
    return torch.rad2deg(torch.atan2(y, x))


def slope(sizes: tuple[int, ...], errors: list[float]) -> float:
    """The exponent k of error ∝ Nᵏ: the slope of a straight line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


@section
def section_population_vector(cfg: Config, run: Run) -> None:
    """2  What do more neurons buy?

    Let the neurons vote. Each casts a vote for its own preferred angle, with as many voices as it
    has spikes. A vote is an arrow: as long as the count, in the direction of sᵢ. The sum of all
    arrows is the *population vector*, and its direction is the answer:

        P = Σᵢ nᵢ·(cos sᵢ, sin sᵢ)          ŝ = direction of P                                (4)

    (This is how Georgopoulos and colleagues read a monkey's reach from its motor cortex.) Why
    arrows, and not simply the average of the angles, Σ nᵢ·sᵢ / Σ nᵢ? Because 179° and −179° are 2°
    apart, and their average is 0°, the opposite direction. And because spikes from the floor, which
    come from all around, cancel as arrows but pull an average towards 0°.

    What are more neurons good for? Twice as many give a P twice as long. Its sideways error comes
    from the noise of the counts. Variances add up, so it grows by √2 only. The error of an angle
    is the sideways error over the length: it falls as 1/√N, as equation (2) says. On axes that are
    both logarithmic this is a straight line with slope −½. A tenth of the error costs a hundred
    times as many neurons.

    All this needs noise that is *independent*. In one arm the stimulus itself trembles: in each
    trial it is shifted at random before the neurons see it, with a standard deviation of 2°
    (--shared). All neurons share this error.

    And it needs a decoder that listens to all of them. The loudest neuron alone is the luckiest of
    those whose curves are high here. More neurons mean more that are nearly as loud, and so more
    luck, while the answer still rests on a single count.
    """
    much = "It falls to less than a fifth."
    little = "It falls, but not to a half."
    half = "It falls to between a half and a fifth."
    none = "It does not fall."
    run.predict(
        "loudest",
        "Another way to read the hill: answer with the preferred angle of the neuron that has most "
        f"spikes. N goes from {SIZES[0]} to {SIZES[-1]:,}. What does the error of this answer do?",
        (much, half, little, none),
    )
    generator = run.generator()
    # The vote of 16 neurons on one angle, arrow by arrow.
    few = Population(16, "bell", cfg.sigma)
    truth = torch.tensor([40.0], dtype=torch.float64)
    counts = few.counts(truth, cfg.window, generator)  # (B = 1, N)
    x, y = 0.0, 0.0
    path = [(x, y)]
    for n, s_i in zip(counts[0].tolist(), few.preferred.tolist(), strict=True):
        x += n * math.cos(math.radians(s_i))
        y += n * math.sin(math.radians(s_i))
        path.append((x, y))
    answer = math.degrees(math.atan2(y, x))

    errors: dict[str, list[float]] = {}
    for num_neurons in SIZES:
        bells = Population(num_neurons, "bell", cfg.sigma)
        cosines = Population(num_neurons, "cosine")
        s = random_angles(cfg.trials, generator)  # (B,)
        tremble = cfg.shared * torch.randn(cfg.trials, generator=generator, dtype=torch.float64)
        counts = bells.counts(s, cfg.window, generator)  # (B, N)
        counts_cosine = cosines.counts(s, cfg.window, generator)
        counts_shared = bells.counts(wrap(s + tremble), cfg.window, generator)
        total = counts.sum(1).clamp(min=1)
        answers = {
            "vector": population_vector(counts, bells.preferred),
            "vector, cosine": population_vector(counts_cosine, cosines.preferred),
            "vector, shared": population_vector(counts_shared, bells.preferred),
            "loudest": bells.preferred[counts.argmax(1)],
            "mean of angles": counts @ bells.preferred / total,
        }
        for name, found in answers.items():
            errors.setdefault(name, []).append(rms(found - s))
    slopes = {name: slope(SIZES, values) for name, values in errors.items()}

    title = f"Population vector: the error falls as N to the power {slopes['vector']:.2f}"
    title = title.replace("-", "−")
    fig, (ax, bx) = plots.figure(1, 2, (11.5, 4.8), title, width_ratios=(1, 1.25))
    corners = np.array(path)
    steps = np.diff(corners, axis=0)
    arrows = {"angles": "xy", "scale_units": "xy", "scale": 1}
    ax.quiver(*corners[:-1].T, *steps.T, color=plots.BLUE, width=0.007, **arrows)
    ax.quiver(0, 0, x, y, color=plots.RED, width=0.012, **arrows)
    ax.plot([], [], color=plots.BLUE, label="votes of 16 neurons, tip to tail")
    ax.plot([], [], color=plots.RED, linewidth=3, label=f"their sum P: {answer:.0f}°")
    length = math.hypot(x, y)
    direction = math.radians(truth.item())
    ray = np.array([0, 1.15 * length])
    look = {"color": "grey", "linestyle": "--", "label": "the stimulus: 40°"}
    ax.plot(ray * math.cos(direction), ray * math.sin(direction), **look)
    ax.set_aspect("equal")
    ax.set_xlim(corners[:, 0].min() - 8, corners[:, 0].max() + 12)
    ax.set_ylim(corners[:, 1].min() - 3, corners[:, 1].max() + 20)
    ax.legend(loc="upper left")
    plots.label(ax, "x (spikes)", "y (spikes)", "One trial")
    names = {
        "mean of angles": "average of the angles",
        "loudest": f"loudest neuron: slope {slopes['loudest']:.2f}",
        "vector, shared": f"population vector, a tremble of {cfg.shared:g}° shared",
        "vector, cosine": f"population vector, cosines: slope {slopes['vector, cosine']:.2f}",
        "vector": f"population vector, bells: slope {slopes['vector']:.2f}",
    }
    for i, (name, text) in enumerate(names.items()):
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i], "marker": plots.MARKERS[i]}
        bx.plot(SIZES, errors[name], markersize=5, label=text.replace("-", "−"), **look)
    guide = 0.75 * errors["vector"][0] * np.sqrt(SIZES[0] / np.array(SIZES))
    bx.plot(SIZES, guide, color="grey", linewidth=1, label="1/√N")
    bx.set(xscale="log", yscale="log")
    bx.set_xticks(SIZES, [str(n) for n in SIZES])
    bx.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    bx.minorticks_off()
    bx.set_ylim(top=900)
    bx.legend(loc="upper right", ncols=2, fontsize=8, columnspacing=1)
    plots.label(bx, "neurons N", "RMS error (°)", "Error against the number of neurons")
    run.figure(
        fig, "2_population_vector", look="which lines go on falling, and which one levels out"
    )

    first, last = errors["vector"][0], errors["vector"][-1]
    shared = errors["vector, shared"][-1]
    loud = errors["loudest"]
    n = cfg.trials * len(SIZES)
    aim = "-0.55..-0.45"
    run.claim("slope_vector", "population vector: slope", slopes["vector"], "", aim, n=n)
    run.claim("error_vector", f"population vector, N = {SIZES[-1]:,}", last, "°", n=cfg.trials)
    run.claim("error_shared", f"the same, {cfg.shared:g}° of tremble shared", shared, "°")
    run.claim("slope_loudest", "loudest neuron: slope", slopes["loudest"], "", n=n)
    run.claim("error_mean", "average of the angles", errors["mean of angles"][-1], "°")
    falls = loud[0] / loud[-1]
    outcome = little if falls > 1 else none
    if falls > 2:
        outcome = much if falls > 5 else half
    run.outcome("loudest", outcome)
    run.finding(
        f"From {SIZES[0]} to {SIZES[-1]:,} noisy neurons the error of the population vector falls "
        f"from {first:.1f}° to {last:.2f}°, as N to the power {slopes['vector']:.2f}. That of the "
        f"loudest neuron falls from {loud[0]:.1f}° to {loud[-1]:.1f}°. With a tremble of "
        f"{cfg.shared:g}° that all neurons share, {SIZES[-1]:,} of them are off by "
        f"{shared:.2f}°.".replace("power -", "power −"),
        main=True,
        claim="slope_vector",
    )


def most_likely(counts: Tensor, log_rates: Tensor, expected: Tensor, smooth: int = 0) -> Tensor:
    """Equation (5): the best angle of ``GRID``, made finer by a parabola through its neighbours.

    Args:
        counts: spikes ``(B, N)``.
        log_rates: log fᵢ(s) for each angle of the grid, ``(G, N)``; a table of weights.
        expected: T·Σᵢ fᵢ(s), the spikes that all living neurons should fire, ``(G,)`` or ``(B, G)``.
        smooth: average log L over so many degrees to each side first (section 4).
    """
    log_l = counts @ log_rates.T - expected  # (B, G)
    if smooth:
        neighbours = [log_l.roll(k, dims=1) for k in range(-smooth, smooth + 1)]
        log_l = torch.stack(neighbours).mean(0)
    best = log_l.argmax(1, keepdim=True)
    before = log_l.gather(1, (best - 1) % len(GRID))
    peak = log_l.gather(1, best)
    after = log_l.gather(1, (best + 1) % len(GRID))
    bend = (2 * peak - before - after).clamp(min=1e-9)  # 0 where all three are equal
    shift = 0.5 * (after - before) / bend  # in steps of the grid, which are 1°
    return wrap(GRID[best] + shift)[:, 0]


def vector_in_theory(population: Population) -> float:
    """Error of the population vector over the bound, in theory, for many neurons and a stimulus of 0°.

    The counts' noise moves P sideways by √(Σ T·f·sin²d); P is Σ T·f·cos d long; T cancels.
    """
    zero = torch.zeros(1, dtype=torch.float64)
    f, slopes = population.rates(zero)[0], population.slopes(zero)[0]  # (N,) each
    d = torch.deg2rad(population.preferred)
    error = (f * torch.sin(d) ** 2).sum().sqrt() / (f * torch.cos(d)).sum()  # radians
    bound = 1 / (slopes**2 / f).sum().sqrt()  # degrees
    return (torch.rad2deg(error) / bound).item()


@section
def section_likelihood(cfg: Config, run: Run) -> None:
    """3  Is there a better way to read the counts?

    A neuron far from the stimulus fires on its floor, whatever the angle is. Its spikes are noise,
    and the population vector counts them in full. *Maximum likelihood* (ML) weighs them. It asks
    under which angle these counts were most probable. By the Poisson distribution, log P(n) is
    n·log(T·f) − T·f + a number without s. With independent neurons the logarithms add up:

        log L(s) = Σᵢ nᵢ·log fᵢ(s) − T·Σᵢ fᵢ(s)          ŝ: the s where it is highest         (5)

    The first sum is a linear layer with the weights log fᵢ(s). Where a curve is flat its weights
    are equal for all s, so its spikes do not matter. The price: the decoder must know the curves.

    The vector has weights, too: the cosine of the distance. They are those of (5) if log f is a
    cosine plus a constant, as it nearly is for a bell without a floor. For any other curve they are
    the wrong weights. The last panel shows bells with four floors.

    How good can a decoder be? Move the stimulus by a small Δs. The mean count of a neuron moves by
    T·f′·Δs, where f′ is the slope of its curve. The noise of the count is √(T·f). The move is as
    large as the noise when

        T·f′·Δs = √(T·f)          so          1/Δs² = T·f′²/f                                 (6)

    This is the neuron's *Fisher information* about s. It is high on the flanks of the curve. At
    the top f′ is 0: there the neuron fires most and tells least about a small change. Informations
    of independent neurons add up, and the Cramér–Rao bound says that no decoder whose average
    answer is right (*unbiased*) can have a smaller mean squared error than

        1/J          J = Σᵢ T·fᵢ′(s)²/fᵢ(s)          J grows as N, so its root gives 1/√N again

    A measured error scatters around its true value, so it may lie a little below the bound. That
    is why each point has a 95 % interval. One such interval in twenty misses.
    """
    run.predict(
        "vector_over_bound",
        "Bells with a floor of 3 spikes/s and a top of 43. By how many per cent does the error of the "
        "population vector lie above the Cramér–Rao bound (median over all N)?",
        unit="per cent",
    )
    generator = run.generator()
    tried = []
    for shape in ("bell", "cosine"):
        for num_neurons in SIZES:
            tried.append((f"{shape}s", Population(num_neurons, shape, cfg.sigma)))
    for floor in FLOORS:
        tried.append(("floors", Population(256, "bell", cfg.sigma, floor)))
    ratios: dict[str, list[float]] = {}
    low_high: dict[str, list[tuple[float, float]]] = {}
    error_ml = math.nan
    for kind, population in tried:
        s = random_angles(cfg.trials, generator)  # (B,)
        counts = population.counts(s, cfg.window, generator)  # (B, N)
        table = population.rates(GRID)  # (G, N)
        ml = most_likely(counts, table.log(), cfg.window * table.sum(1))
        vector = population_vector(counts, population.preferred)
        information = cfg.window * population.slopes(s) ** 2 / population.rates(s)  # (B, N)
        bound = 1 / information.sum(1).sqrt()  # (B,), in degrees
        for decoder, found in (("ML", ml), ("vector", vector)):
            error = wrap(found - s)
            name = f"{decoder}, {kind}"
            ratios.setdefault(name, []).append(rms(error) / rms(bound))
            low_high.setdefault(name, []).append(interval_of_ratio(error, bound, generator))
        if kind == "bells":
            error_ml = rms(ml - s)  # the last one is the largest

    all_ml, inside = [], 0
    for name in ("ML, bells", "ML, cosines", "ML, floors"):
        all_ml += ratios[name]
        for low, high in low_high[name]:
            inside += low <= 1 <= high
    bells = 100 * (float(np.median(ratios["vector, bells"])) - 1)
    cosines = 100 * (float(np.median(ratios["vector, cosines"])) - 1)
    theory = [
        100 * (vector_in_theory(Population(1024, shape, cfg.sigma)) - 1)
        for shape in ("bell", "cosine")
    ]
    title = f"Error over bound: ML {min(all_ml):.2f} to {max(all_ml):.2f}; population vector with "
    title += f"bells {1 + bells / 100:.2f}, with cosines {1 + cosines / 100:.2f} (medians)"
    fig, axes = plots.figure(2, 2, (11.5, 7.2), title)
    (ax, bx), (cx, dx) = axes
    # One neuron's curve and its information, both in parts of their maximum.
    one = Population(1, sigma=cfg.sigma)
    around = torch.linspace(-100, 100, 401, dtype=torch.float64)
    f = one.rates(around)[:, 0]
    info = cfg.window * one.slopes(around)[:, 0] ** 2 / f
    ax.plot(around, f / f.max(), color=plots.BLUE, label="rate f")
    ax.plot(around, info / info.max(), "--", color=plots.RED, label="information T·f′²/f")
    ax.set_ylim(0, 1.35)
    ax.legend(loc="upper right")
    plots.label(ax, "stimulus s (°)", "share of its maximum", "One neuron that prefers 0°")
    for i, num_neurons in enumerate((16, 64, 256)):
        population = Population(num_neurons, sigma=cfg.sigma)
        counts = population.counts(torch.zeros(1, dtype=torch.float64), cfg.window, generator)
        fine = torch.linspace(-15, 15, 301, dtype=torch.float64)
        table = population.rates(fine)
        log_l = table.log() @ counts[0] - cfg.window * table.sum(1)  # equation (5)
        look = {"color": plots.COLOURS[i], "linestyle": plots.DASHES[i]}
        bx.plot(fine, log_l - log_l.max(), label=f"N = {num_neurons}", **look)
    bx.axvline(0, 0, 0.7, color="grey", linestyle=":", label="the stimulus")
    bx.set_ylim(-8, 3.5)
    bx.set_yticks([-8, -6, -4, -2, 0])
    bx.legend(loc="upper center", ncols=2)
    plots.label(bx, "angle s (°)", "log L(s) − its maximum", "One trial of three populations")
    for i, name in enumerate(ratios):
        ax_here, x, spread = cx, np.array(SIZES), 1.06 ** (i - 1.5)  # side by side
        if name.endswith("floors"):
            ax_here, x, spread, i = dx, np.array(FLOORS), 1.0, i % 2
        low, high = np.array(low_high[name]).T
        value = np.array(ratios[name])
        away = np.abs(np.stack([value - low, high - value]))
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "markersize": 4.5}
        text = name.replace(", floors", "")
        ax_here.errorbar(x * spread, value, away, linestyle=plots.DASHES[i], label=text, **look)
    for panel, ticks in ((cx, SIZES), (dx, FLOORS)):
        panel.axhline(1, color=plots.BLACK, linewidth=1)
        panel.set_xscale("log")
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
    cx.set_ylim(top=1.65)
    cx.legend(loc="upper center", ncols=2)
    dx.legend(loc="upper left")
    plots.label(cx, "neurons N", "RMS error / bound", "Each point with its 95 % interval")
    head = "Bells with other floors, N = 256"
    plots.label(dx, "floor of the curve (spikes/s)", "RMS error / bound", head)
    run.figure(
        fig, "3_likelihood", look="where a neuron informs; how L narrows; which points are at 1"
    )

    farthest = max(all_ml, key=lambda ratio: abs(ratio - 1))
    n = cfg.trials
    run.claim("error_ml", f"ML, bells, N = {SIZES[-1]:,}: error", error_ml, "°", n=n)
    text = "ML: error / bound, farthest from 1"
    run.claim("ml_over_bound", text, farthest, "times", "0.9..1.1", n=n)
    run.claim("ml_inside", f"ML: intervals with 1, of {len(all_ml)}", inside, "", n=n)
    run.claim("vector_over_bound", "vector, bells: above bound by", bells, "%", ">= 10", n=n)
    run.claim("cosine_over_bound", "vector, cosines: above bound by", cosines, "%", ">= 10", n=n)
    least, most = ratios["vector, floors"][0], ratios["vector, floors"][-1]
    run.finding(
        f"The error of ML is {min(all_ml):.2f} to {max(all_ml):.2f} times the Cramér–Rao bound; the "
        f"95 % interval contains 1 for {inside} of {len(all_ml)} populations. The population vector is "
        f"{bells:.0f} % above the bound with these bells (theory for many neurons: {theory[0]:.0f}) and "
        f"{cosines:.0f} % with cosines ({theory[1]:.0f}). With bells it depends on the floor: "
        f"{100 * (least - 1):.0f} % at {FLOORS[0]:g} spikes/s, "
        f"{100 * (most - 1):.0f} % at {FLOORS[-1]:g}.".replace("-", "−")
    )


def rounded(weights: Tensor, bits: int) -> Tensor:
    """Each weight moved to the nearest of 2^bits levels, evenly spaced from the lowest to the highest."""
    low, high = weights.min(), weights.max()
    step = (high - low) / (2**bits - 1)
    return low + step * ((weights - low) / step).round()


@section
def section_damage(cfg: Config, run: Run) -> None:
    """4  What if neurons die, or weights are coarse?

    Brains lose neurons, and chips have cells that never worked. Of each population 30 % are
    silenced (--dead), others in each trial. A decoder that is *told* leaves the dead out of both
    sums of (5): it expects nothing of them. The information of the others remains, 0.7·J, so its
    error should grow by 1/√0.7, about 1.2 times, if N is large. A decoder that is *not told* takes
    a hole in the hill for neurons that had a reason to be silent, and its answer is drawn to the
    fuller side. The population vector, which knows no curves, is drawn in the same way.

    Cheap hardware also stores weights with few bits: 4 bits are 16 levels. ML needs a table of log
    fᵢ(s), the population vector the weights cos sᵢ and sin sᵢ. They are rounded to 2^bits evenly
    spaced levels; the counts stay exact. The vector adds N rounded weights up, once. ML compares
    360 sums, one for each angle. As s goes on, the rounded weights jump from level to level, so
    log L becomes jagged, and where its highest point lies is partly luck. Most of the information
    is still there: averaging log L over neighbouring angles before the search brings it back. Here
    it is averaged over 31°, a little more than σ. A narrower window brings back less.
    """
    dead = f"{100 * cfg.dead:.0f} %"
    run.predict(
        "blind",
        f"{dead} of {DAMAGED[-1]} neurons are dead. A ML decoder that knows which ones makes an "
        f"error {(1 - cfg.dead) ** -0.5:.2f} times as large as before, by theory. How many times as "
        "large is the error of one that does not know?",
        unit="times",
    )
    generator = run.generator()
    errors: dict[str, list[float]] = {}
    low_high: dict[str, list[tuple[float, float]]] = {}
    one_degree = torch.ones(cfg.trials, dtype=torch.float64)
    coarse: dict[str, list[float]] = {
        "ML": [],
        "ML, averaged over 31°": [],
        "population vector": [],
    }
    coarse_band: dict[str, list[tuple[float, float]]] = {name: [] for name in coarse}
    for num_neurons in DAMAGED:
        population = Population(num_neurons, "bell", cfg.sigma)
        s = random_angles(cfg.trials, generator)  # (B,)
        counts = population.counts(s, cfg.window, generator)  # (B, N)
        table = population.rates(GRID)  # (G, N)
        expected = cfg.window * table.sum(1)  # (G,)

        # In each trial the neurons get a random order, and the first of it die.
        order = torch.rand(counts.shape, generator=generator).argsort(1)
        alive = (order >= round(cfg.dead * num_neurons)).double()  # (B, N), 1 or 0
        left = counts * alive
        answers = {
            "vector, not told": population_vector(left, population.preferred),
            "ML, not told": most_likely(left, table.log(), expected),
            "vector, all alive": population_vector(counts, population.preferred),
            "ML, told who died": most_likely(left, table.log(), cfg.window * alive @ table.T),
            "ML, all alive": most_likely(counts, table.log(), expected),
        }
        for name, found in answers.items():
            error = wrap(found - s)
            errors.setdefault(name, []).append(rms(error))
            low_high.setdefault(name, []).append(interval_of_ratio(error, one_degree, generator))

    # The last and largest population once more, all alive, read with coarse weights.
    angle = torch.deg2rad(population.preferred)
    votes = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)  # (N, 2)
    exact = {name: wrap(answers["ML, all alive"] - s) for name in coarse}
    exact["population vector"] = wrap(answers["vector, all alive"] - s)
    for bits in BITS:
        weights = rounded(table.log(), bits)
        sums = counts @ rounded(votes, bits)  # (B, 2)
        found = {
            "ML": most_likely(counts, weights, expected),
            "ML, averaged over 31°": most_likely(counts, weights, expected, smooth=15),
            "population vector": torch.rad2deg(torch.atan2(sums[:, 1], sums[:, 0])),
        }
        for name in coarse:
            error = wrap(found[name] - s)
            coarse[name].append(rms(error) / rms(exact[name]))
            coarse_band[name].append(interval_of_ratio(error, exact[name], generator))

    theory = (1 - cfg.dead) ** -0.5
    last = {name: values[-1] for name, values in errors.items()}
    title = f"{dead} dead, N = {DAMAGED[-1]}: ML {last['ML, all alive']:.1f}° before, "
    title += f"{last['ML, told who died']:.1f}° if told, {last['ML, not told']:.1f}° if not"
    fig, (ax, bx) = plots.figure(1, 2, (11.5, 4.4), title)
    for i, name in enumerate(errors):
        place = np.array(DAMAGED) * 1.05 ** (i - 2)
        low, high = np.array(low_high[name]).T
        value = np.array(errors[name])
        away = np.abs(np.stack([value - low, high - value]))
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "markersize": 5}
        ax.errorbar(place, value, away, linestyle=plots.DASHES[i], label=name, **look)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(DAMAGED, [str(n) for n in DAMAGED])
    ax.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    ax.minorticks_off()
    ax.set_ylim(top=60)
    ax.legend(loc="upper right", ncols=2)
    head = f"{dead} of the neurons dead (95 % intervals)"
    plots.label(ax, "neurons N", "RMS error (°)", head)
    for i, name in enumerate(coarse):
        low, high = np.array(coarse_band[name]).T
        value = np.array(coarse[name])
        away = np.abs(np.stack([value - low, high - value]))
        look = {"color": plots.COLOURS[i], "marker": plots.MARKERS[i], "markersize": 5}
        place = np.array(BITS) + 0.06 * (i - 1)
        bx.errorbar(place, value, away, linestyle=plots.DASHES[i], label=name, **look)
    bx.axhline(1, color="grey", linestyle=":")
    bx.set_xticks(BITS)
    bx.legend(loc="upper right")
    head = f"Coarse weights, N = {DAMAGED[-1]}"
    plots.label(bx, "bits of a weight", "error / error with exact weights", head)
    run.figure(fig, "4_damage", look="which lines come together on the left; what averaging does")

    four = BITS.index(4)
    bits_ml, bits_smooth, bits_vector = (coarse[name][four] for name in coarse)
    told = last["ML, told who died"] / last["ML, all alive"]
    blind = last["ML, not told"] / last["ML, all alive"]
    n = cfg.trials
    aim = f"{0.93 * theory:.3f}..{1.07 * theory:.3f}"
    run.claim("told", f"{dead} dead, ML told: error grows", told, "times", aim, n=n)
    run.claim("blind", f"{dead} dead, ML not told", blind, "times", n=n)
    run.claim("bits_ml", "weights of 4 bits, ML", bits_ml, "times", n=n)
    run.claim("bits_smooth", "averaged over 31°", bits_smooth, "times", n=n)
    run.claim("bits_vector", "weights of 4 bits, vector", bits_vector, "times", n=n)
    run.finding(
        f"With {dead} of {DAMAGED[-1]} neurons dead the error of ML grows {told:.2f} times if it knows "
        f"which ({theory:.2f} by theory) and {blind:.1f} times if it does not. Then it is off by "
        f"{last['ML, not told']:.1f}°, and the population vector by {last['vector, not told']:.1f}°. "
        f"With weights of 4 bits ML is off by {bits_ml * last['ML, all alive']:.1f}° for "
        f"{last['ML, all alive']:.1f}°, and the vector by {bits_vector * last['vector, all alive']:.1f}°; "
        f"with log L averaged first, ML is off by {bits_smooth * last['ML, all alive']:.1f}°."
    )


class Net(nn.Module):
    """784–H–outputs, where ``outputs`` is a multiple of 10. ``forward`` is one time step."""

    def __init__(self, num_hidden: int, num_outputs: int, beta: float = 0.9) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, num_hidden)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.fc2 = nn.Linear(num_hidden, num_outputs)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """One step: ``(B, 784)`` → spikes and potentials of the outputs, ``(B, outputs)`` each."""
        spk1 = self.lif1(self.fc1(x_t))
        return self.lif2(self.fc2(spk1))

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All steps: ``(T, B, 784)`` → ``spk_rec, mem_rec``, each ``(T, B, outputs)``."""
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)
        return spk2, mem2


Out = tuple[Tensor, Tensor]  # what a network returns: spk_rec and mem_rec, (T, B, outputs) each


def class_votes(spk_rec: Tensor) -> Tensor:
    """Spikes for each class: ``(T, B, outputs)`` → ``(B, 10)``.

    As in snnTorch, the first tenth of the outputs votes for class 0, the next for class 1, and so
    on: 200 outputs are 10 classes of 20 neurons.
    """
    counts = spk_rec.sum(0)  # (B, outputs), over time
    by_class = counts.unflatten(1, (10, -1))  # (B, 10, neurons of a class)
    return by_class.sum(2)


def votes_loss(out: Out, y: Tensor) -> Tensor:
    """snnTorch's loss for populations: cross entropy of the votes. With 10 outputs, of the counts."""
    count_loss = SF.ce_count_loss(population_code=True, num_classes=10)
    return count_loss(out[0], y)


def potential_loss(out: Out, y: Tensor) -> Tensor:
    """Cross entropy of the output potentials, averaged over time."""
    return F.cross_entropy(out[1].mean(0), y)


def most_votes(out: Out) -> Tensor:
    """The class with most votes, ``(B,)``; of equal ones the lower digit."""
    return class_votes(out[0]).argmax(1)


def highest_potential(out: Out) -> Tensor:
    """The class of the highest potential, averaged over time, ``(B,)``; for 10 outputs."""
    return out[1].mean(0).argmax(1)


@dataclass
class Readout:
    """One arm of section 5: how many outputs, what they are trained for, and how they are read.

    ``lr_one`` and ``lr_more`` are its learning rates for one time step and for more: the best of
    0.002, 0.005, 0.01, 0.02 and 0.04 for three networks on validation images, at the default
    scale. --full takes one rate for all.
    """

    num_outputs: int
    loss: Callable[[Out, Tensor], Tensor]
    read: Callable[[Out], Tensor]
    lr_one: float
    lr_more: float


READOUTS = {
    "200, spikes": Readout(200, votes_loss, most_votes, 0.01, 0.005),
    "10, spikes": Readout(10, votes_loss, most_votes, 0.01, 0.005),
    "10, potentials": Readout(10, potential_loss, highest_potential, 0.02, 0.01),
}


def encode(x: Tensor, num_steps: int) -> Tensor:
    """Grey values as a steady current: ``(B, 1, 28, 28)`` → ``(T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


@torch.no_grad()
def share_right(
    net: Net,
    data: ImageData,
    num_steps: int,
    read: Callable[[Out], Tensor],
    alive: Tensor | None = None,
) -> float:
    """Share of all test images that ``read`` answers rightly.

    Args:
        alive: ``(outputs,)`` of 1 and 0; the outputs with 0 are dead: no spikes, no potential.
    """
    device = next(net.parameters()).device
    right = 0
    for x_b, y_b in batches(data.x_test, data.y_test, 1000, device=device):
        spk_rec, mem_rec = net.run(encode(x_b, num_steps))
        if alive is not None:
            spk_rec, mem_rec = spk_rec * alive, mem_rec.masked_fill(alive == 0, -math.inf)
        right += (read((spk_rec, mem_rec)) == y_b).sum().item()
    return right / len(data.y_test)


def is_tie(out: Out) -> Tensor:
    """1 where two or more classes share the most votes, else 0: ``(B,)``."""
    top = class_votes(out[0]).topk(2, dim=1).values  # (B, 2)
    return (top[:, 0] == top[:, 1]).long()


@torch.no_grad()
def share_tied(net: Net, data: ImageData, num_steps: int) -> float:
    """Share of all test images that end in a tie."""
    device = next(net.parameters()).device
    ties = 0
    for x_b, _ in batches(data.x_test, data.y_test, 1000, device=device):
        ties += is_tie(net.run(encode(x_b, num_steps))).sum().item()
    return ties / len(data.y_test)


def half_width(values: list[float]) -> float:
    """Half of the 95 % interval of a mean over few seeds, by Student's t."""
    n = len(values)
    return float(student_t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))


def difference(more: list[float], fewer: list[float]) -> tuple[float, float]:
    """Mean difference of two arms in points, seed by seed, and half of its 95 % interval."""
    points = [100 * (a - b) for a, b in zip(more, fewer, strict=True)]
    return float(np.mean(points)), half_width(points)


@section
def section_readout(cfg: Config, run: Run) -> None:
    """5  What does a population buy at a network's output?

    A classifier usually has one output neuron a class, and the class with most spikes wins. In one
    time step a neuron spikes once or not at all. So the answer has ten bits, and where two outputs
    spike, or none, it is a *tie*, which argmax gives to the lower digit. More time steps mend it:
    ten steps give counts from 0 to 10. snnTorch's population read-out uses neurons in place of
    time. Each class gets 20 output neurons, and their spikes are added up:

        SF.ce_count_loss(population_code=True, num_classes=10)                     to train
        SF.accuracy_rate(spk_rec, y, population_code=True, num_classes=10)         to judge

    Is it the number of neurons that helps, or only that their sum is a finer number than one spike?
    To find out, the *same* ten neurons are also read by their potential, which is as fine as
    floats are. And a third network of ten outputs is trained for this reading from the start.
    (Over ten steps each spike takes θ from the potential, so the average of the potential does not
    hold all that the number of spikes does.)

    Then 30 % of the output neurons die. Nobody is told, and no network is trained again. Of ten
    neurons, each one that dies takes its class with it, so about 70 % are the most that can be
    right. Of 200 the dead leave most classes with more than half of their voices.

    Each arm has three networks of 784–64–outputs, trained on 10,000 digits of MNIST in two passes,
    each arm with the learning rate that is best for it on validation images.
    """
    nothing, half, most = "less than a third of it", "a third to two thirds", "more than two thirds"
    run.predict(
        "recovered",
        "One time step. 200 outputs answer more digits rightly than 10. Now the 10 are read by their "
        "potentials, without any new training. How much of the advantage of the 200 does this give?",
        (nothing, half, most),
    )
    data = run.data(mnist, n_train=cfg.n_train, n_val=1000)
    lengths = sorted({1, cfg.num_steps})
    names = [*READOUTS, "10, spikes, read by potential"]
    found = {(name, steps): [] for name in names for steps in lengths}  # shares, one a seed
    ties = {(name, steps): [] for name in READOUTS for steps in lengths}
    dead = {name: [] for name in READOUTS}  # at one step
    generator = run.generator()
    for seed in range(cfg.seed, cfg.seed + cfg.seeds):
        for steps in lengths:
            for name, arm in READOUTS.items():
                torch.manual_seed(seed)
                net = Net(cfg.num_hidden, arm.num_outputs)
                lr = cfg.lr or (arm.lr_one if steps == 1 else arm.lr_more)
                show = partial(encode, num_steps=steps)
                options = {"loss_fn": arm.loss, "predict": arm.read, "lr": lr, "seed": seed}
                fit(net, data, show, run=run, epochs=cfg.epochs, quiet=True, **options)
                right = share_right(net, data, steps, arm.read)
                found[name, steps].append(right)
                ties[name, steps].append(share_tied(net, data, steps))
                if name == "10, spikes":
                    again = share_right(net, data, steps, highest_potential)
                    found["10, spikes, read by potential", steps].append(again)
                if steps == 1:
                    for _ in range(5):  # five times, other outputs die
                        order = torch.randperm(arm.num_outputs, generator=generator)
                        alive = (order >= round(cfg.dead * arm.num_outputs)).to(run.device)
                        dead[name].append(share_right(net, data, 1, arm.read, alive))
                    if seed == cfg.seed:
                        sample = encode(data.x_test[:500].float() / 255, 1).to(run.device)
                        model = f"SNN 784–{cfg.num_hidden}–{arm.num_outputs}, {name.split(', ')[1]}"
                        kept = {"model": model, "data": data.name, "accuracy": right}
                        run.ledger(**ledger_row(net, sample, **kept, n=len(data.y_test)))

    mean = {key: 100 * float(np.mean(values)) for key, values in found.items()}
    spikes_200, spikes_10 = mean["200, spikes", 1], mean["10, spikes", 1]
    potential_10 = mean["10, spikes, read by potential", 1]
    trained_10 = mean["10, potentials", 1]
    gain, off = difference(found["200, spikes", 1], found["10, spikes", 1])
    read, read_off = difference(found["10, spikes, read by potential", 1], found["10, spikes", 1])
    trained, trained_off = difference(found["10, potentials", 1], found["200, spikes", 1])
    recovered = (potential_10 - spikes_10) / gain if gain > 0 else math.nan
    survive = {name: 100 * float(np.mean(values)) for name, values in dead.items()}
    fallen = {}  # half of the 95 % interval of each, from the mean of each network
    for name, values in dead.items():
        networks = np.reshape(values, (cfg.seeds, -1)).mean(1)
        fallen[name] = 100 * half_width(networks.tolist())

    title = (
        f"One step: 200 outputs {spikes_200:.1f} % right, 10 outputs {spikes_10:.1f} %, the same "
    )
    title += f"10 by potential {potential_10:.1f} %, 10 trained for it {trained_10:.1f} %"
    fig, (ax, bx, cx) = plots.figure(1, 3, (14, 3.9), title, width_ratios=(1.3, 1, 1))
    labels = {
        "200, spikes": "200 outputs, spikes",
        "10, spikes": "10 outputs, spikes",
        "10, spikes, read by potential": "the same 10,\nread by potential",
        "10, potentials": "10, trained and\nread by potential",
    }
    for i, name in enumerate(labels):
        for j, steps in enumerate(lengths):
            values = [100 * share for share in found[name, steps]]
            height = i + 0.15 * (2 * j - len(lengths) + 1)
            what = f"T = {steps}" if i == 0 else None
            look = {"color": plots.COLOURS[j], "marker": plots.MARKERS[j], "linestyle": ""}
            ax.plot(values, [height] * len(values), mfc="none", label=what, **look)
    ax.set_yticks(range(len(labels)), labels.values())
    ax.set_ylim(len(labels) - 0.4, -1.3)
    ax.legend(loc="upper left", ncols=2)
    plots.label(ax, "test images read correctly (%)", "", "One mark for each network")
    drawn = {
        f"T = {steps}": {
            name.replace(", ", "\n"): 100 * float(np.mean(ties[name, steps]))
            for name in ("200, spikes", "10, spikes")
        }
        for steps in lengths
    }
    plots.grouped_bars(bx, drawn, fmt="{:.1f}")
    plots.label(bx, "outputs, read by", "test images (%)", "Ties: several classes share the most")
    drawn = {
        "all outputs alive": {name.replace(", ", "\n"): mean[name, 1] for name in READOUTS},
        f"{100 * cfg.dead:.0f} % dead": {
            name.replace(", ", "\n"): survive[name] for name in READOUTS
        },
    }
    plots.grouped_bars(cx, drawn, fmt="{:.0f}")
    cx.set_ylim(0, 130)
    cx.legend(loc="upper right", ncols=2)
    plots.label(cx, "outputs, read by", "read correctly (%)", "One step, outputs dead")
    run.figure(
        fig,
        "5_readout",
        look="the rows on the left; which outputs tie in one step; the dead on the right",
    )

    n = len(data.y_test)
    real = {"n": n, "seeds": cfg.seeds, "real": True}
    run.claim("gain", "200 outputs for 10, one step: gain", gain, "points", ">= 2", **real)
    run.claim("read_gain", "the 10 read by potential: gain", read, "points", **real)
    run.claim("trained_gain", "10 trained for it, against 200", trained, "points", **real)
    tied = float(np.mean(ties["10, spikes", 1]))
    run.claim("ties_10", "10 outputs, one step: ties", tied, "1", **real)
    lost = survive["200, spikes"] - spikes_200
    run.claim(
        "lost_200", f"{100 * cfg.dead:.0f} % die: 200 outputs change by", lost, "points", **real
    )
    lost = survive["10, potentials"] - trained_10
    run.claim("lost_10", "10 by potential change by", lost, "points", **real)
    outcome = "neither: the 200 have no advantage"
    if gain > 0:
        outcome = most if recovered > 2 / 3 else half
        if recovered < 1 / 3:
            outcome = nothing
    run.outcome("recovered", outcome)
    later = ""
    if cfg.num_steps > 1:
        more, more_off = difference(
            found["200, spikes", cfg.num_steps], found["10, spikes", cfg.num_steps]
        )
        gained = f"{more:.1f} ± {more_off:.1f}"
        later = f" At {cfg.num_steps} steps the 200 gain {gained}."
        if abs(more) <= more_off:
            later = f" At {cfg.num_steps} steps no difference is seen ({gained})."
    run.finding(
        f"In one step 200 outputs gain {gain:.1f} ± {off:.1f} points over 10 (95 % interval of "
        f"{cfg.seeds} seeds). The same 10, read by potential, gain {read:.1f} ± {read_off:.1f}; 10 "
        f"trained for this reading stand at {trained:+.1f} ± {trained_off:.1f} against the 200.{later} "
        f"When {100 * cfg.dead:.0f} % of the outputs die, 200 fall to {survive['200, spikes']:.0f} ± "
        f"{fallen['200, spikes']:.0f} % and 10 to {survive['10, potentials']:.0f} ± "
        f"{fallen['10, potentials']:.0f} %, even by potential.".replace("-", "−")
    )


def main(cfg: Config, run: Run) -> None:
    section_one_and_many(cfg, run)
    section_population_vector(cfg, run)
    section_likelihood(cfg, run)
    section_damage(cfg, run)
    section_readout(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
