"""Lesson 05 — Population coding: why a thousand bad neurons beat one good one

Question
    How can neurons that are noisy, ambiguous and mortal report an angle to a fraction of a degree?

Idea
    A *tuning curve* fᵢ(s) is the mean firing rate of neuron i as a function of a stimulus s. Here s is an angle, and
    each of N neurons has a preferred angle sᵢ, evenly spread over the circle. Two shapes that were found in brains:

        cosine    f(s) = b + A·cos(s − sᵢ)                    motor cortex: direction of reach (Georgopoulos 1982)
        Gaussian  f(s) = b + A·exp(−d(s, sᵢ)²/2σ²)            place cells (O'Keefe & Dostrovsky 1971): position, on a
                                                              round track an angle too; d is the shorter way round

    In a window of T seconds neuron i fires nᵢ spikes, Poisson with mean T·fᵢ(s). One count says little: its noise is
    √mean, and two angles share each rate (the curve goes up and comes down). N counts together say much. The
    *population vector* lets every neuron vote for its preferred angle with its count:

        P = Σᵢ nᵢ·(cos sᵢ, sin sᵢ)                             ŝ = angle of P                                (1)

    The vote is a vector for a reason: averaging the angles themselves, Σ nᵢsᵢ/Σ nᵢ, puts halfway between 179° and
    −179° at 0°. *Maximum likelihood* asks which s makes the counts most probable:

        log L(s) = Σᵢ nᵢ·log fᵢ(s) − T·Σᵢ fᵢ(s) + const       ŝ = argmax log L                              (2)

    The first sum is a linear layer with weights log fᵢ(s), so a layer of synapses can compute it. How well can any
    decoder do? No unbiased one beats the Cramér–Rao bound, given by the Fisher information of the tuning curves:

        Var ŝ ≥ 1/J(s)                                        J(s) = T·Σᵢ fᵢ′(s)²/fᵢ(s)                     (3)

    J is a sum over neurons: with independent noise it grows as N, so the error falls as 1/√N, a slope of −½ on
    log-log axes. Steep flanks inform, not peaks: where f′ = 0 a neuron says nothing about small changes of s.
    The "independent" matters. Noise that all neurons share cannot be averaged away (--shared).

Read first
    Theory:   Dayan & Abbott, Theoretical Neuroscience, ch. 3 (Neural Decoding), http://www.gatsby.ucl.ac.uk/~dayan/book/
              Neuronal Dynamics, Ch. 11, https://neuronaldynamics.epfl.ch/online/Ch11.html
              Georgopoulos et al. 1982, https://doi.org/10.1523/JNEUROSCI.02-11-01527.1982
    Practice: snnTorch's tutorial on population codes,
              https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_pop.html

Run
    uv run 05_population_coding.py             about half a minute of one core (65 s on a busy machine)
    uv run 05_population_coding.py --smoke     seconds, stand-in data
    uv run 05_population_coding.py --full      ten times the trials, all training images, ten epochs

You should see
    From 16 to 1,024 neurons the error falls with slope −0.51 (Gaussian) and −0.50 (cosine), to 0.49° and 0.74°. The
    loudest neuron alone gets slope −0.10; the arithmetic mean of the angles stays at 59°, however many neurons.
    Maximum likelihood stays within 4 % of the Cramér–Rao bound at every N; the population vector lies 24 to 34 %
    above it with Gaussian tuning, 15 to 17 % with cosine.
    30 % of 256 neurons dead: the error grows 1.19 times if the decoder knows which (1/√0.7 = 1.195), 2.3 times if
    not. Weights of 4 bits cost the population vector nothing, maximum likelihood 54 % at N = 256: more neurons make
    the error smaller, yet the share of it that is due to coarse weights larger.
    MNIST at one time step: 86.1 % with 10 output neurons, where 18 % of the images end in a tie, and 91.1 % with
    200 (3 %). At ten steps the two are level: 92.7 and 92.6 %.

Builds on / leads to
    Poisson spikes come from 02. Training is a closed box here that lesson 09 opens. Votes of several output neurons a
    class come back wherever few time steps must do; quantised weights return in 16 and 19.

Predict: with --shared 2 every trial's angle is blurred by 2° before all neurons see it. What becomes of the slope?
Next: uv run 06_synaptic_currents.py
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from common import plots
from common.cost import ledger_row
from common.data import ImageData, batches, mnist
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time
from multistep import unroll
from training import fit

import numpy as np
import snntorch as snn
import snntorch.functional as SF
import torch
from matplotlib.figure import Figure
from torch import nn

Array = np.ndarray
SIZES = (16, 32, 64, 128, 256, 512, 1024)  # neurons in the sweeps
DAMAGED = (16, 64, 256)  # neurons in experiment 3
BITS = (2, 3, 4, 6, 8)
SHAPES = ("Gaussian", "cosine")


@dataclass
class Config(LessonConfig):
    """``num_steps`` belongs to the MNIST experiment; the spike counts before it are taken over ``window``."""

    num_steps: int = bounded(10, 1, 1000)
    """most time steps of the MNIST network; 1, 2 and 5 are tried too if they are fewer"""
    trials: int = bounded(2000, 20, 1_000_000)
    """stimuli decoded per population"""
    window: float = bounded(0.5, 0.01, 100.0)
    """time for which spikes are counted, in seconds"""
    sigma: float = bounded(25.0, 5.0, 90.0)
    """width of the Gaussian tuning curves, in degrees"""
    dead: float = bounded(0.3, 0.0, 0.9)
    """share of neurons that die in experiment 3"""
    shared: float = bounded(0.0, 0.0, 30.0)
    """noise of the stimulus that all neurons see alike, in degrees; 0 makes all noise independent"""
    num_hidden: int = bounded(64, 1, 10_000)
    """hidden neurons of the MNIST network"""
    n_train: int = bounded(10_000, 10, 55_000)
    """training images"""
    epochs: int = bounded(2, 1, 100)
    """passes over the training images"""
    seeds: int = bounded(3, 1, 20)
    """networks trained per setting"""
    lr: float = bounded(5e-3, 1e-6, 1.0)
    """learning rate at the start"""


SMOKE = {"trials": 100, "num_hidden": 16, "n_train": 300, "epochs": 1, "seeds": 1}
FULL = {"trials": 20_000, "num_hidden": 128, "n_train": 55_000, "epochs": 10, "seeds": 5}


# ------------------------------------------------------------------------------------ the equations as code


def wrap(angle: Array) -> Array:
    """The same angle in −π … π (radians), so that 359° is 1° away from 0°."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


@dataclass(frozen=True)
class Population:
    """N neurons with evenly spread preferred angles. Rates in spikes a second, angles in radians."""

    N: int
    shape: str = "Gaussian"
    sigma: float = np.deg2rad(25.0)

    @property
    def preferred(self) -> Array:
        """sᵢ, ``(N,)``; centred, so that the circle's seam at ±180° is no special place for any neuron."""
        return -np.pi + 2 * np.pi * (np.arange(self.N) + 0.5) / self.N

    def rates(self, s: Array) -> Array:
        """fᵢ(s): ``(B,) → (B, N)``. Cosine: 20 ± 18 Hz. Gaussian: 3 Hz at rest, 40 Hz more at the peak."""
        d = wrap(np.asarray(s)[:, None] - self.preferred)
        return (
            20 + 18 * np.cos(d)
            if self.shape == "cosine"
            else 3 + 40 * np.exp(-(d**2) / (2 * self.sigma**2))
        )

    def slopes(self, s: Array) -> Array:
        """fᵢ′(s) = dfᵢ/ds: ``(B,) → (B, N)``, spikes a second and radian."""
        d = wrap(np.asarray(s)[:, None] - self.preferred)
        return (
            -18 * np.sin(d) if self.shape == "cosine" else -d / self.sigma**2 * (self.rates(s) - 3)
        )

    def fisher(self, s: Array, window: float) -> Array:
        """J(s) = T·Σᵢ fᵢ′²/fᵢ, equation (3), of these very curves: ``(B,)`` in radian⁻²."""
        return window * (self.slopes(s) ** 2 / self.rates(s)).sum(1)


def population_vector(counts: Array, weights: Array) -> Array:
    """Equation (1): ``counts (B, N)`` and ``weights (N, 2)``, one vote (x, y) a neuron → angles ``(B,)``."""
    x, y = (counts @ weights).T
    return np.arctan2(y, x)


def votes(pop: Population) -> Array:
    """The population vector's weights (cos sᵢ, sin sᵢ), ``(N, 2)``."""
    return np.stack([np.cos(pop.preferred), np.sin(pop.preferred)], 1)


def maximum_likelihood(
    counts: Array,
    pop: Population,
    window: float,
    alive: Array | None = None,
    grid: int = 720,
    iterations: int = 6,
) -> Array:
    """Equation (2): best angle of a fine grid, then Fisher scoring between its neighbours; ``(B, N) → (B,)``.

    Args:
        alive: ``(B, N)`` of 0 and 1 if the decoder knows which neurons are dead; None: it believes in all.
    """
    s_grid = -np.pi + 2 * np.pi * np.arange(grid) / grid
    f = pop.rates(s_grid)  # (G, N)
    living = np.ones((1, pop.N)) if alive is None else alive
    start_at = s_grid[(counts @ np.log(f).T - window * living @ f.T).argmax(1)]  # (B,)
    s, step = start_at, 2 * np.pi / grid
    for _ in range(
        iterations
    ):  # s ← s + (d log L/ds)/J(s), held within the two neighbours on the grid
        f, slope = pop.rates(s), pop.slopes(s)
        score = ((counts / f - window * living) * slope).sum(1)
        information = window * (living * slope**2 / f).sum(1)
        s = np.clip(s + score / np.maximum(information, 1e-9), start_at - step, start_at + step)
    return wrap(s)


def arithmetic_mean(counts: Array, pop: Population) -> Array:
    """The wrong way: Σ nᵢ·sᵢ / Σ nᵢ, as if angles were lengths."""
    return counts @ pop.preferred / np.maximum(counts.sum(1), 1)


def loudest(counts: Array, pop: Population) -> Array:
    """Another wrong way: believe the neuron with most spikes, and throw the others away."""
    return pop.preferred[counts.argmax(1)]


def quantise(weights: Array, bits: int) -> tuple[Array, float, float]:
    """Round to 2^bits evenly spaced levels: ``codes, step, lowest`` with weights ≈ lowest + step·codes."""
    low, high = weights.min(), weights.max()
    step = (high - low) / (2**bits - 1)
    return np.round((weights - low) / step), step, low


def quantised_likelihood(counts: Array, pop: Population, bits: int, grid: int = 720) -> Array:
    """Equation (2) on integer weights, as a chip would do it; several best angles are averaged (as vectors).

    The term −T·Σf is left out: with evenly spread neurons, all alive, it is the same for every s.
    """
    s_grid = -np.pi + 2 * np.pi * np.arange(grid) / grid
    codes, _, _ = quantise(
        np.log(pop.rates(s_grid)), bits
    )  # (G, N), whole numbers: sums are exact, so are ties
    log_l = counts @ codes.T
    best = log_l == log_l.max(1, keepdims=True)
    return np.angle(best @ np.exp(1j * s_grid))


def observe(
    pop: Population, cfg: Config, trials: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Random stimuli ``(B,)`` and one window of Poisson spike counts for each, ``(B, N)``."""
    s = rng.uniform(-np.pi, np.pi, trials)
    seen = s + np.deg2rad(cfg.shared) * rng.standard_normal(trials)
    return s, rng.poisson(cfg.window * pop.rates(seen)).astype(float)


def rms(error: Array) -> float:
    """Root mean square of angular errors (radians), in degrees."""
    return float(np.rad2deg(np.sqrt((wrap(error) ** 2).mean())))


def band(error: Array, rng: np.random.Generator, resamples: int = 200) -> Array:
    """Root mean squares (degrees) of ``resamples`` bootstrap samples of the trials: the band's raw material."""
    e = wrap(error) ** 2
    return np.rad2deg(np.sqrt(np.array([rng.choice(e, len(e)).mean() for _ in range(resamples)])))


# ------------------------------------------------------------------------------------ experiments 1 and 2


def experiment_one_trial(cfg: Config) -> dict[str, Any]:
    """One stimulus at 180° (the seam), 48 neurons, spike by spike; and what three decoders make of it."""
    rng, pop = np.random.default_rng(cfg.seed), Population(48, "Gaussian", np.deg2rad(cfg.sigma))
    s, steps = np.array([np.deg2rad(178.0)]), max(1, round(cfg.window * 1000))
    spk = rng.random((steps, pop.N)) < pop.rates(s) / 1000  # steps of 1 ms, (T, N)
    counts = spk.sum(0, keepdims=True).astype(float)
    decoded = {
        "arithmetic mean of angles": arithmetic_mean(counts, pop),
        "population vector": population_vector(counts, votes(pop)),
        "maximum likelihood": maximum_likelihood(counts, pop, cfg.window),
    }
    return {
        "pop": pop,
        "s": s,
        "spk": spk,
        "counts": counts[0],
        "window": cfg.window,
        "decoded": {k: float(np.rad2deg(v[0])) for k, v in decoded.items()},
    }


def experiment_size(cfg: Config) -> dict[str, Any]:
    """Error of each decoder against N beside the Cramér–Rao bound, with 95 % bands by bootstrap over trials."""
    result: dict[str, Any] = {"sizes": SIZES}
    for shape in SHAPES:
        rng = np.random.default_rng(cfg.seed)
        error, boot, bound = {}, {}, []
        for N in SIZES:
            pop = Population(N, shape, np.deg2rad(cfg.sigma))
            s, counts = observe(pop, cfg, cfg.trials, rng)
            bound.append(float(np.rad2deg(np.sqrt((1 / pop.fisher(s, cfg.window)).mean()))))
            for name, guess in (
                ("arithmetic mean", arithmetic_mean(counts, pop)),
                ("loudest neuron", loudest(counts, pop)),
                ("population vector", population_vector(counts, votes(pop))),
                ("maximum likelihood", maximum_likelihood(counts, pop, cfg.window)),
            ):
                error.setdefault(name, []).append(rms(guess - s))
                boot.setdefault(name, []).append(band(guess - s, rng))
        log_n = np.log(SIZES)
        slopes = {
            k: np.polyfit(log_n, np.log(np.array(v)), 1)[0] for k, v in boot.items()
        }  # (resamples,)
        result[shape] = {
            "error": {k: np.array(v) for k, v in error.items()},
            "bound": np.array(bound),
            "band": {k: np.percentile(v, (2.5, 97.5), axis=1) for k, v in boot.items()},
            "slope": {k: float(np.polyfit(log_n, np.log(v), 1)[0]) for k, v in error.items()},
            "slope_band": {k: np.percentile(v, (2.5, 97.5)) for k, v in slopes.items()},
        }
    return result


# ------------------------------------------------------------------------------------ experiment 3


def experiment_damage(cfg: Config) -> dict[str, Any]:
    """Error in degrees for N of ``DAMAGED``: intact, with dead neurons, and with the decoder's weights quantised."""
    dead: dict[str, list[float]] = {}
    bits: dict[str, list[list[float]]] = {"population vector": [], "maximum likelihood": []}
    for N in DAMAGED:
        rng, pop = np.random.default_rng(cfg.seed), Population(N, "Gaussian", np.deg2rad(cfg.sigma))
        s, counts = observe(pop, cfg, cfg.trials, rng)
        killed = rng.random((cfg.trials, N)).argsort(1) < round(
            cfg.dead * N
        )  # others die in each trial
        alive = (~killed).astype(float)
        left, w = counts * alive, votes(pop)
        for name, guess in (
            ("population vector, intact", population_vector(counts, w)),
            ("population vector, damaged", population_vector(left, w)),
            ("ML, intact", maximum_likelihood(counts, pop, cfg.window)),
            ("ML, not told who died", maximum_likelihood(left, pop, cfg.window)),
            ("ML, told who died", maximum_likelihood(left, pop, cfg.window, alive)),
        ):
            dead.setdefault(name, []).append(rms(guess - s))
        rows: dict[str, list[float]] = {"population vector": [], "maximum likelihood": []}
        for b in BITS:
            codes, step, low = quantise(w, b)
            rows["population vector"].append(rms(population_vector(counts, low + step * codes) - s))
            rows["maximum likelihood"].append(rms(quantised_likelihood(counts, pop, b) - s))
        for name, row in rows.items():
            bits[name].append(row)
    exact = {
        "population vector": dead["population vector, intact"],
        "maximum likelihood": dead["ML, intact"],
    }
    return {
        "dead": {k: np.array(v) for k, v in dead.items()},
        "share": cfg.dead,
        "bits": {k: np.array(v) for k, v in bits.items()},  # (sizes, bits)
        "growth": {k: np.array(v) / np.array(exact[k])[:, None] for k, v in bits.items()},
    }


# ------------------------------------------------------------------------------------ experiment 4


class Net(nn.Module):
    """784–H–outputs, ``outputs`` a multiple of 10. ``forward`` is one time step, ``run`` a whole sequence."""

    def __init__(self, num_hidden: int, num_outputs: int, beta: float = 0.9) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, num_hidden)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.fc2 = nn.Linear(num_hidden, num_outputs)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 784)`` → output spikes and membrane, each ``(B, outputs)``."""
        return self.lif2(self.fc2(self.lif1(self.fc1(x_t))))

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 784)`` → ``spk_rec, mem_rec``, each ``(T, B, outputs)``, starting from rest."""
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)
        return spk2, mem2


def class_votes(spk_rec: torch.Tensor) -> torch.Tensor:
    """Spikes per class, ``(T, B, outputs) → (B, 10)``: the first tenth of the neurons votes for class 0, and so on."""
    return spk_rec.sum(0).unflatten(1, (10, -1)).sum(2)


def encode(x: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Grey values as a constant current: ``(B, 1, 28, 28) → (T, B, 784)``."""
    return constant_current(x.flatten(1), num_steps)


@torch.no_grad()
def judge(net: Net, data: ImageData, num_steps: int) -> Array:
    """Shares of all test images: right by spikes, right by membrane, undecided (classes tie for most spikes)."""
    found = np.zeros(3)
    for x_b, y_b in batches(data.x_test, data.y_test, 1000, device=next(net.parameters()).device):
        spk_rec, mem_rec = net.run(encode(x_b, num_steps))
        votes_b = class_votes(spk_rec)
        top = votes_b.topk(2, dim=1).values  # (B, 2)
        found += [
            int(hit.sum())
            for hit in (
                votes_b.argmax(1) == y_b,
                class_votes(mem_rec).argmax(1) == y_b,
                top[:, 0] == top[:, 1],
            )
        ]
    return found / len(data.y_test)


def experiment_readout(cfg: Config, data: ImageData, run: Run) -> dict[str, Any]:
    """Train with 10 and with 200 output neurons at several T. Shares are of the full test set, ``(seeds, steps)``."""
    steps = sorted({t for t in (1, 2, 5) if t < cfg.num_steps} | {cfg.num_steps})
    loss = SF.ce_count_loss(
        population_code=True, num_classes=10
    )  # with 10 neurons: one a class, the usual count loss
    result: dict[str, Any] = {
        "steps": steps,
        "nets": {},
        "accuracy": {},
        "membrane": {},
        "ties": {},
    }
    for num_outputs in (10, 200):
        found = np.zeros((3, cfg.seeds, len(steps)))
        for i, j in np.ndindex(cfg.seeds, len(steps)):
            torch.manual_seed(cfg.seed + i)
            net = Net(cfg.num_hidden, num_outputs)
            fit(
                net,
                data,
                partial(encode, num_steps=steps[j]),
                run=run,
                epochs=cfg.epochs,
                lr=cfg.lr,
                seed=cfg.seed + i,
                quiet=True,
                loss_fn=lambda out, y: loss(out[0], y),
                predict=lambda out: class_votes(out[0]).argmax(1),
            )
            found[:, i, j] = judge(net, data, steps[j])
            if i == j == 0:
                result["nets"][num_outputs] = net
        for key, share in zip(("accuracy", "membrane", "ties"), found, strict=True):
            result[key][num_outputs] = share
        run.print(
            f"          {num_outputs:3d} output neurons, T = {steps}: "
            + ", ".join(f"{a:.4f}" for a in found[0].mean(0))
        )
    return result


# ------------------------------------------------------------------------------------ figures


def plot_one_trial(r: dict[str, Any]) -> Figure:
    pop, wrong = (
        r["pop"],
        abs(wrap(np.deg2rad(r["decoded"]["arithmetic mean of angles"]) - r["s"][0])),
    )
    fig, (a, b, c) = plots.figure(
        1,
        3,
        size=(14, 4),
        title=(
            f"One neuron is ambiguous; averaging angles as numbers misses by {np.rad2deg(wrong):.0f}°"
        ),
    )
    s = np.linspace(-np.pi, np.pi, 361)
    for i, shape in enumerate(SHAPES):
        p = Population(12, shape, pop.sigma)
        f = p.rates(s)
        a.plot(np.rad2deg(s), f, color=plots.COLOURS[i], alpha=0.2, linewidth=1)
        a.plot(
            np.rad2deg(s), f[:, 6], color=plots.COLOURS[i], linestyle=plots.DASHES[i], label=shape
        )
    a.axhline(25, color=plots.BLACK, linestyle=":", linewidth=1, label="25 spikes/s: which angle?")
    a.set_xticks(range(-180, 181, 90))
    a.set_ylim(0, 58)
    a.legend(loc="upper right")
    plots.label(
        a, "stimulus s (°)", "rate f (spikes/s)", "Tuning curves: each rate fits two angles"
    )
    plots.raster(b, r["spk"], width=1.2)
    b.set_yticks([0, 12, 24, 36, 47], ["−180", "−90", "0", "90", "180"])
    plots.label(
        b, "time (ms)", "preferred angle (°)", f"{pop.N} neurons, s = {np.rad2deg(r['s'][0]):.0f}°"
    )
    c.bar(np.rad2deg(pop.preferred), r["counts"], width=360 / pop.N * 0.8, color=plots.SKY)
    for i, (name, at) in enumerate(r["decoded"].items()):
        c.axvline(
            at,
            0,
            0.7,
            color=(plots.RED, plots.BLUE, plots.ORANGE)[i],
            linestyle=plots.DASHES[i],
            linewidth=2.2,
            label=f"{name}: {at:.0f}°",
        )
    c.set_xticks(range(-180, 181, 90))
    c.set_ylim(0, r["counts"].max() * 1.5 + 1)  # room for the legend
    c.legend(loc="upper center")
    plots.label(
        c,
        "preferred angle (°)",
        f"spikes in {r['window']:g} s",
        "The counts, and three readings of them",
    )
    return fig


def plot_size(r: dict[str, Any]) -> Figure:
    slopes = [r[shape]["slope"]["maximum likelihood"] for shape in SHAPES]
    fig, axes = plots.figure(
        2,
        2,
        size=(12.5, 7),
        sharex=True,
        height_ratios=(2, 1),
        title=(
            f"Maximum likelihood's error falls as N to the power {slopes[0]:.2f} (Gaussian) and {slopes[1]:.2f} (cosine), "
            f"the loudest neuron's as {r['Gaussian']['slope']['loudest neuron']:.2f}".replace(
                "-", "−"
            )
        ),
    )
    for (top, low), shape in zip(axes.T, SHAPES, strict=True):
        x = r[shape]
        for i, name in enumerate(
            ("maximum likelihood", "population vector", "loudest neuron", "arithmetic mean")
        ):
            look = {
                "color": plots.COLOURS[i],
                "marker": plots.MARKERS[i],
                "markersize": 4.5,
                "linestyle": plots.DASHES[i],
            }
            panels = ((top, 1.0), (low, x["bound"])) if i < 2 else ((top, 1.0),)
            for ax, unit in panels:
                ax.fill_between(
                    r["sizes"],
                    *(x["band"][name] / unit),
                    color=plots.COLOURS[i],
                    alpha=0.2,
                    linewidth=0,
                )
                ax.plot(
                    r["sizes"],
                    x["error"][name] / unit,
                    label=f"{name} (slope {x['slope'][name]:.2f})",
                    **look,
                )
        top.plot(
            r["sizes"], x["bound"], color=plots.BLACK, linestyle="--", label="Cramér–Rao bound"
        )
        low.axhline(1, color=plots.BLACK, linestyle="--")
        top.set(xscale="log", yscale="log", ylim=(0.3, 500))
        top.legend(loc="upper right", ncols=2, fontsize=8)
        plots.label(top, "", "RMS error (°)", f"{shape} tuning")
        plots.label(low, "neurons N", "error / bound", "Bands: 95 % of bootstrap samples")
        low.set_xticks(r["sizes"], [str(n) for n in r["sizes"]])
        low.minorticks_off()
    return fig


def plot_damage(r: dict[str, Any]) -> Figure:
    told = r["dead"]["ML, told who died"] / r["dead"]["ML, intact"]
    fig, axes = plots.figure(
        1,
        3,
        size=(14.5, 4.2),
        title=(
            f"{100 * r['share']:.0f} % dead cost a decoder that knows who died {100 * (told[-1] - 1):.0f} % at "
            f"N = {DAMAGED[-1]} (expected {100 * ((1 - r['share']) ** -0.5 - 1):.0f} %)"
        ),
    )
    plots.curves(axes[0], DAMAGED, r["dead"])
    axes[0].set(xscale="log", yscale="log")
    axes[0].set_xticks(DAMAGED, [str(n) for n in DAMAGED])
    axes[0].set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes[0].minorticks_off()
    plots.label(axes[0], "neurons N", "RMS error (°)", "Dead neurons")
    for ax, name in zip(axes[1:], r["growth"], strict=True):
        plots.curves(
            ax, BITS, {f"N = {n}": g for n, g in zip(DAMAGED, r["growth"][name], strict=True)}
        )
        ax.axhline(1, color=plots.BLACK, linewidth=1)
        plots.label(
            ax,
            "bits per decoder weight",
            "error / error with exact weights",
            f"Coarse weights: {name}",
        )
    return fig


def plot_readout(r: dict[str, Any]) -> Figure:
    one = {k: 100 * v.mean(0)[0] for k, v in r["accuracy"].items()}
    fig, (a, b) = plots.figure(
        1,
        2,
        size=(11, 4),
        title=(
            f"At T = {r['steps'][0]}, 200 output neurons answer {one[200]:.1f} % right, 10 answer {one[10]:.1f} %"
        ),
    )
    plots.curves(
        a,
        r["steps"],
        {f"{k} output neurons": 100 * v for k, v in r["accuracy"].items()}
        | {"10, read by membrane": 100 * r["membrane"][10]},
    )
    plots.label(a, "time steps T", "test accuracy (%)", "Accuracy (bands: range of the seeds)")
    a.set_xticks(r["steps"])
    b.set_xticks(r["steps"])
    plots.curves(b, r["steps"], {f"{k} output neurons": 100 * v for k, v in r["ties"].items()})
    plots.label(b, "time steps T", "test images (%)", "Ties: several classes share the most spikes")
    return fig


# ------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    run.print("\n1  One trial: wrong ways first")
    trial = experiment_one_trial(cfg)
    run.figure(plot_one_trial(trial), "one_trial")

    run.print("\n2  Error against the number of neurons, beside the Cramér–Rao bound")
    size = experiment_size(cfg)
    run.figure(plot_size(size), "size")
    n = cfg.trials * len(SIZES)
    for shape, r in ((shape, size[shape]) for shape in SHAPES):
        rows = [
            (N, *(f"{e[i]:.2f}" for e in r["error"].values()), f"{r['bound'][i]:.2f}")
            for i, N in enumerate(SIZES)
        ]
        rows += [
            ("slope", *(f"{v:.3f}" for v in r["slope"].values()), "−0.500"),
            ("95 % band", *("{:.2f} … {:.2f}".format(*v) for v in r["slope_band"].values()), ""),
        ]
        run.table(f"RMS error (°), {shape} tuning", ("N", *r["error"], "Cramér–Rao"), rows)
    run.claim(
        "arithmetic_mean",
        f"Gaussian: arithmetic mean of angles, N = {SIZES[-1]}, RMS error",
        size["Gaussian"]["error"]["arithmetic mean"][-1],
        "°",
        n=cfg.trials,
    )
    run.claim(
        "slope_loudest",
        "Gaussian: slope when only the loudest neuron is believed",
        size["Gaussian"]["slope"]["loudest neuron"],
        "",
        n=n,
    )
    for shape, r in ((shape, size[shape]) for shape in SHAPES):
        for key, name in (("ml", "maximum likelihood"), ("pv", "population vector")):
            ratio = r["error"][name] / r["bound"]
            text, value, target = (
                ("farthest from 1 of all N", ratio[np.abs(ratio - 1).argmax()], "0.9..1.1")
                if key == "ml"
                else ("smallest of all N", ratio.min(), ">= 1.02")
            )
            run.claim(
                f"slope_{key}_{shape.lower()}",
                f"{shape}: log-log slope of error against N, {name}",
                r["slope"][name],
                "",
                "-0.55..-0.45",
                n=n,
            )
            run.claim(
                f"bound_{key}_{shape.lower()}",
                f"{shape}: {name}, error / Cramér–Rao bound, {text}",
                value,
                "×",
                target,
                n=n,
            )
    run.claim(
        f"error_{SIZES[-1]}",
        f"Gaussian: ML's RMS error with {SIZES[-1]} neurons",
        size["Gaussian"]["error"]["maximum likelihood"][-1],
        "°",
        n=cfg.trials,
    )

    run.print("\n3  Dead neurons and coarse weights")
    damage = experiment_damage(cfg)
    run.figure(plot_damage(damage), "damage")
    dead = damage["dead"]
    run.table(
        f"RMS error (°), {100 * cfg.dead:.0f} % of the neurons dead",
        ("decoder", *(f"N = {N}" for N in DAMAGED)),
        [(k, *map(float, v)) for k, v in dead.items()],
    )
    run.table(
        "RMS error / error with exact weights",
        ("decoder, N", *(f"{b} bits" for b in BITS)),
        [
            (f"{k}, N = {N}", *map(float, g))
            for k, v in damage["growth"].items()
            for N, g in zip(DAMAGED, v, strict=True)
        ],
    )
    expected = (
        1 - cfg.dead
    ) ** -0.5  # what is left of the information, if the decoder knows what is left
    for i, N in enumerate(DAMAGED):
        for name, key, intact in (
            ("population vector, damaged", "pv", "population vector, intact"),
            ("ML, not told who died", "ml_blind", "ML, intact"),
            ("ML, told who died", "ml_told", "ML, intact"),
        ):
            judged = (
                f"{0.93 * expected:.3f}..{1.07 * expected:.3f}"
                if key == "ml_told" and N == DAMAGED[-1]
                else None
            )
            run.claim(
                f"dead_{key}_{N}",
                f"{name}: error / error when intact, N = {N}",
                dead[name][i] / dead[intact][i],
                "×",
                judged,
                n=cfg.trials,
            )
        for key, name in (("pv", "population vector"), ("ml", "maximum likelihood")):
            for bits in (2, 4, 8):
                run.claim(
                    f"bits{bits}_{key}_{N}",
                    f"{name}, {bits}-bit weights: error / exact, N = {N}",
                    damage["growth"][name][i, BITS.index(bits)],
                    "×",
                    n=cfg.trials,
                )

    data = run.data(mnist, n_train=cfg.n_train, n_val=1000)
    run.print(
        f"\n4  Ten output neurons or two hundred: {cfg.n_train:,} images, {cfg.epochs} epochs, {cfg.seeds} seeds"
    )
    readout, n = experiment_readout(cfg, data, run), len(data.y_test) * cfg.seeds
    run.figure(plot_readout(readout), "readout")
    first, last = readout["steps"][0], readout["steps"][-1]
    for k in (10, 200):
        run.claim(
            f"mnist_{k}",
            f"test accuracy with {k} output neurons, T = {first}",
            readout["accuracy"][k][:, 0].mean(),
            n=n,
            real=True,
        )
        run.claim(
            f"ties_{k}",
            f"test images on which classes tie, {k} output neurons, T = {first}",
            readout["ties"][k][:, 0].mean(),
            n=n,
            real=True,
        )
    gain = readout["accuracy"][200] - readout["accuracy"][10]  # (seeds, steps)
    run.claim(
        "mnist_gain",
        f"accuracy gained by 200 output neurons, T = {first}, worst seed",
        gain[:, 0].min(),
        target=">= 0.005",
        n=n,
        real=True,
    )
    run.claim(
        "mnist_gain_last",
        f"accuracy gained by 200 output neurons, T = {last}, mean",
        gain[:, -1].mean(),
        n=n,
        real=True,
    )
    run.claim(
        "mnist_membrane",
        f"the 10 neurons read by membrane instead, T = {first}",
        readout["membrane"][10][:, 0].mean(),
        n=n,
        real=True,
    )
    run.print(
        "          published, Fashion-MNIST, one step, 5 epochs (snnTorch's tutorial): 59.4 to 61.9 % without a "
        "population read-out, 80.5 to 82.7 % with one"
    )
    sample = encode(data.x_test[:500].float() / 255, first).to(run.device)
    for k, net in readout["nets"].items():
        run.ledger(
            **ledger_row(
                net,
                sample,
                model=f"SNN 784–{cfg.num_hidden}–{k}",
                data=data.name,
                accuracy=float(readout["accuracy"][k][0, 0]),
                n=len(data.y_test),
            )
        )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
