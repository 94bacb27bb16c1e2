"""Lesson 03 — Reading the language of spikes: you cannot debug what you cannot see

Question
    What do the spikes of a network that does not learn look like, and how does one get from there to the cause?

Idea
    A raster has one row a neuron and one tick a spike, S_i[t] ∈ {0, 1} for neuron i of N at step t of T. A row
    tells about a neuron, a column about the moment; each number of this lesson reads one of the two directions.

    Along the rows: the rate, spikes per neuron and step, and the spread of the intervals between spikes (ISI)
    [Neuronal Dynamics 7.2, 7.3; Dayan & Abbott 1.2–1.4]:

        r = Σ_i Σ_t S_i[t] / (N·T)                       CV = σ(ISI) / ⟨ISI⟩                         (1)

    CV is 0 for a clock, √(1−p) for a coin thrown at each step, above 1 for bursts. The spike counts n of windows
    of W steps ask the same over longer times, in the Fano factor

        F = Var[n] / ⟨n⟩                                                                             (2)

    is 1 − p for the coin, 0 for the clock, and above 1 when the rate itself wanders. Down the columns: the
    peristimulus time histogram averages K repetitions of a stimulus in bins of Δ steps [Neuronal Dynamics 7.2]:

        PSTH[b] = (spikes in bin b, all trials) / (K·Δ)                                              (3)

    Synchrony compares the fluctuation of the population's mean with that of its members [Golomb & Rinzel 1993]:

        χ² = Var_t[ ⟨S⟩_i ] / ⟨ Var_t[S_i] ⟩_i           ρ = (χ² − 1/N) / (1 − 1/N)                  (4)

    N independent neurons give χ² = 1/N, not zero: recordings of different size cannot be compared by χ. Written
    out, Var_t[⟨S⟩] = (Σ_i Var[S_i] + Σ_{i≠j} Cov[S_i, S_j])/N², so ρ is the mean covariance of a pair over the mean
    variance of one: 0 for independent neurons, 1 for copies, whatever N. Spikes are counted in bins of 5 steps
    there, for they need not coincide to the step to be "together".

    Three patterns are ill. *Silence* says nothing; *saturation*, a spike at every step, says as little and costs
    most; in *synchronous bursting* N neurons say what one would: they share their input, or excite one another.
    diagnose_raster names them from r and ρ. No raster shows whether a gradient arrives or where a run starts:
    diagnose (tutor/network_check.py) looks there too, and fit(check=…) calls it where a lesson asks.

Read first
    Theory:   snnbook, raster plots and population analysis, https://snnbook.net/
              Neuronal Dynamics, Ch. 7, https://neuronaldynamics.epfl.ch/online/Ch7.html
              Dayan & Abbott, Theoretical Neuroscience, Ch. 1; Golomb & Rinzel 1993, Phys. Rev. E 48, 4810
    Practice: snnTorch tutorial 3, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_3.html

Run
    uv run 03_spike_visualization.py             about 25 s on two busy CPU cores, a third of it drawing
    uv run 03_spike_visualization.py --smoke     seconds, stand-in data
    uv run 03_spike_visualization.py --full      ten times the populations, more networks

You should see
    With 20 trials the PSTH is truest in bins of 4 steps; bins of 1 and of 64 are 1.5 and 1.7 times as far off.
    98 to 100 % of 100 populations of each kind are named rightly, with parameters outside the ranges that set the
    limits, and 100 % of those made by another mechanism (the patterns are far apart: expect less of borderline ones).
    Five networks, three seeds: the check is right on 15 of 15. (Its limits were set by hand on networks of this
    shape: a demonstration, no test.) The steep surrogate costs nothing after training and is invisible in the
    raster: 89 %. Present from the start, it leaves 56 %. A forgotten reset takes 89 % down to 52 %.

Builds on / leads to
    01 gave the neuron, 02 the codes. fit prints what diagnose finds after the first epoch and at the end. 07
    explains the steep surrogate, 08 the state left over, 10 gradients that fade with depth.

Predict: with --neurons 15 instead of 60, does ρ of independent neurons rise, and does χ?
Next: uv run 04_event_cameras_v2e.py
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from common import plots
from common.data import ImageData, mnist
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time, reset_state
from multistep import unroll
from training import evaluate, fit
from tutor.network_check import complaints, diagnose

import numpy as np
import snntorch as snn
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from snntorch import spikegen, surrogate
from torch import nn


@dataclass
class Config(LessonConfig):
    """num_steps: length of the recordings in sections 1 to 3, and four times that of the codes in section 5; the
    populations of section 4 have lengths of their own, the networks of section 6 run for 15 steps."""

    num_steps: int = bounded(200, 1, 100_000)
    """time steps of a recording (T)"""
    neurons: int = bounded(60, 2, 10_000)
    """neurons of a recording (N)"""
    beta: float = bounded(0.9, 0.01, 0.999)
    """membrane decay per step"""
    populations: int = bounded(100, 1, 10_000)
    """populations of each kind that diagnose_raster has to name"""
    train: int = bounded(3000, 32, 55_000)
    """training images of the networks that are broken afterwards"""
    networks: int = bounded(3, 1, 50)
    """networks (seeds) that are broken in four ways each"""


SMOKE = {"num_steps": 60, "populations": 8, "train": 300, "networks": 1}
FULL = {"populations": 1000, "train": 20_000, "networks": 10}

# ---------------------------------------------------------------- populations that are what they are by their making

KINDS = ("silence", "saturation", "synchronous bursting", "healthy firing")
THETA = 1.0


def lif(
    cur: np.ndarray, beta: float, mem0: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes, ``(T, N)`` each, of LIF neurons with reset to zero under ``cur (T, N)``."""
    neuron = snn.Leaky(beta=beta, threshold=THETA, reset_mechanism="zero")
    state = None if mem0 is None else (torch.tensor(mem0, dtype=torch.float32)[None],)
    with torch.no_grad():
        spk, mem, _ = unroll(
            neuron, torch.tensor(cur, dtype=torch.float32)[:, None], state, record_mem=True
        )
    return spk[:, 0].numpy(), mem[:, 0].numpy()


def noisy_current(
    rng: np.random.Generator, mean: np.ndarray, T: int, beta: float, noise: float
) -> np.ndarray:
    """``mean (N,)`` or ``(T, N)`` plus white noise that alone would spread the membrane by ``noise``·θ."""
    sigma = noise * THETA * np.sqrt(1 - beta**2)  # the variance of an AR(1) process is σ²/(1 − β²)
    return mean + sigma * rng.standard_normal((T, mean.shape[-1]))


# For each parameter: the range that sets the limits, then the ranges of the test, which lie outside it. A population
# is what its noise-free membrane says: it never reaches θ; at each step; only in pulses that all share; by itself.
RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "N": ((40, 80), (15, 39), (81, 200)),
    "T": ((120, 200), (60, 119), (201, 400)),
    "β": ((0.85, 0.93), (0.75, 0.84), (0.94, 0.97)),
    "spread of the drive": ((0.10, 0.15), (0.0, 0.09), (0.16, 0.30)),
    "silence: drive / rheobase": ((0.2, 0.5), (0.0, 0.19), (0.51, 0.6)),
    "silence: noise / θ": ((0.05, 0.12), (0.0, 0.04), (0.13, 0.18)),
    "saturation: drive / θ": ((1.5, 3.0), (1.2, 1.49), (3.01, 6.0)),
    "saturation: noise / θ": ((0.05, 0.20), (0.0, 0.04), (0.21, 0.40)),
    "bursting: drive / rheobase": ((0.4, 0.6), (0.0, 0.39), (0.61, 0.95)),
    "bursting: noise / θ": ((0.05, 0.12), (0.0, 0.04), (0.13, 0.25)),
    "bursting: period": ((15, 25), (8, 14), (26, 40)),
    "bursting: pulse / period": ((0.10, 0.20), (0.02, 0.09), (0.21, 0.30)),
    "bursting: peak / θ": ((1.4, 2.0), (1.2, 1.39), (2.01, 4.0)),
    "healthy: drive, 0 = rheobase, 1 = θ": ((0.05, 0.20), (0.01, 0.049), (0.21, 0.50)),
    "healthy: noise / θ": ((0.15, 0.30), (0.05, 0.14), (0.31, 0.45)),
}


def population(kind: str, rng: np.random.Generator, unseen: bool) -> np.ndarray:
    """A LIF population ``(T, N)`` that is ``kind`` by its making, with parameters from ``RANGES``."""

    def draw(name: str) -> float:
        low, high = RANGES[name][rng.integers(1, 3) if unseen else 0]
        return (
            int(rng.integers(low, high + 1))
            if isinstance(low, int)
            else float(rng.uniform(low, high))
        )

    word = kind.split()[-1 if kind.startswith("sync") else 0]
    N, T, beta = int(draw("N")), int(draw("T")), draw("β")
    rheobase, noise = (1 - beta) * THETA, draw(f"{word}: noise / θ")
    if word == "healthy":
        drive = rheobase + draw("healthy: drive, 0 = rheobase, 1 = θ") * (THETA - rheobase)
    elif word == "saturation":
        drive = draw("saturation: drive / θ") * THETA
    else:
        drive = draw(f"{word}: drive / rheobase") * rheobase
    spread = 1 + draw("spread of the drive") * rng.uniform(
        0 if word == "healthy" else -1, 1, N
    )  # none below rheobase
    cur = noisy_current(rng, drive * spread, T, beta, noise)
    if word == "bursting":
        period = int(draw("bursting: period"))
        width = max(1, round(draw("bursting: pulse / period") * period))
        rise = draw("bursting: peak / θ") * THETA - drive / (
            1 - beta
        )  # from the resting level to the peak
        cur[(np.arange(T) + rng.integers(period)) % period < width] += (
            rise * (1 - beta) / (1 - beta**width)
        )
    return lif(cur, beta, rng.uniform(0, THETA, N))[
        0
    ]  # not from rest: a common start is a common burst


def other_mechanism(kind: str, rng: np.random.Generator) -> np.ndarray:
    """The same four patterns ``(T, N)`` made without what made the others: coins, dice, and mutual excitation."""
    N, T = int(rng.integers(15, 201)), int(rng.integers(60, 401))
    if kind == "silence":
        return (rng.random((T, N)) < rng.uniform(0, 0.004)).astype(np.float32)
    if kind == "saturation":
        return (rng.random((T, N)) < rng.uniform(0.8, 1.0)).astype(np.float32)
    if kind == "healthy firing":
        return renewal(rng, T, N, k=int(rng.integers(1, 5)), mean_isi=float(rng.uniform(5, 25)))
    return coupled(rng, T, N, coupling=float(rng.uniform(1.5, 3.0)))


def renewal(rng: np.random.Generator, T: int, N: int, k: int, mean_isi: float) -> np.ndarray:
    """Spikes ``(T, N)`` whose intervals are the sum of k geometric ones: CV = √((1−q)/k) with q = k/⟨ISI⟩."""
    q = min(1.0, k / mean_isi)
    spk = np.zeros((T, N), np.float32)
    for i in range(N):
        times = np.cumsum(rng.geometric(q, (2 * int(T / mean_isi) + 40, k)).sum(1)) - int(
            20 * mean_isi
        )
        spk[times[(times >= 0) & (times < T)], i] = 1
    return spk


def coupled(
    rng: np.random.Generator, T: int, N: int, coupling: float, beta: float = 0.9
) -> np.ndarray:
    """Spikes ``(T, N)`` of LIF neurons, refractory for 5 steps, each spike of which lifts all by coupling·θ/N."""
    cur = noisy_current(rng, np.full(N, 1.1 * (1 - beta) * THETA), T, beta, 0.12)
    spk_rec, mem, spk = np.zeros((T, N), np.float32), rng.uniform(0, THETA, N), np.zeros(N)
    rest = np.zeros(N)  # refractory steps still to come
    for t in range(T):
        rest = np.where(spk > 0, 5, np.maximum(rest - 1, 0))
        mem = np.where(rest > 0, 0, beta * mem + cur[t] + coupling * THETA * spk.mean())
        spk_rec[t] = spk = (mem > THETA).astype(np.float32)
    return spk_rec


BIN = 5  # steps; see equation (4)
TRIALS = 2000  # repetitions of the stimulus from which the true PSTH is taken


# ------------------------------------------------------------------------------------ the indices as code


def intervals(spk: np.ndarray) -> list[np.ndarray]:
    """Steps between the spikes of each neuron, for ``spk (T, N)``."""
    return [np.diff(np.nonzero(row)[0]) for row in spk.T]


def cv_isi(spk: np.ndarray) -> float:
    """Equation (1), right, averaged over the neurons that have two intervals or more; NaN if none has."""
    cvs = [isi.std() / isi.mean() for isi in intervals(spk) if len(isi) >= 2]
    return float(np.mean(cvs)) if cvs else float("nan")


def binned(spk: np.ndarray, width: int) -> np.ndarray:
    """Spike counts in bins of ``width`` steps: ``(T, N) → (T // width, N)``; one bin if T is shorter."""
    width = min(width, len(spk))
    return spk[: len(spk) // width * width].reshape(-1, width, spk.shape[1]).sum(1)


def fano(spk: np.ndarray, window: int) -> float:
    """Equation (2) over windows of ``window`` steps, averaged over the neurons that fire; NaN if none does."""
    n = binned(spk, window)  # (windows, N)
    active = n.sum(0) > 0
    return float((n.var(0)[active] / n.mean(0)[active]).mean()) if active.any() else float("nan")


def synchrony(spk: np.ndarray, width: int = BIN) -> tuple[float, float]:
    """Equation (4): χ and ρ. Both are 0 for a raster in which no count varies, where they are not defined."""
    n = binned(spk, width)
    members, N = n.var(0).mean(), spk.shape[1]
    if members == 0 or N < 2:
        return 0.0, 0.0
    chi2 = n.mean(1).var() / members  # Var_t[⟨S⟩_i] / ⟨Var_t[S_i]⟩_i
    return float(np.sqrt(chi2)), float((chi2 - 1 / N) / (1 - 1 / N))


class Limits(NamedTuple):
    """Where one pattern ends and the next begins. The defaults are what ``set_limits`` finds with seed 0, rounded."""

    silent: float = 0.006  # spikes per neuron and step below which a population is silent
    saturated: float = 0.5  # … and above which it is saturated
    synchronous: float = 0.08  # ρ above which it bursts in synchrony


def diagnose_raster(spk: np.ndarray, limits: Limits = Limits()) -> str:  # noqa: B008  (cannot be changed)
    """Name the pattern of ``spk (T, N)``. In this order: where hardly anything varies, synchrony means nothing."""
    r = spk.mean()
    if r < limits.silent or r > limits.saturated:
        return "silence" if r < limits.silent else "saturation"
    return "synchronous bursting" if synchrony(spk)[1] > limits.synchronous else "healthy firing"


# ------------------------------------------------------------------------------------ experiments


def experiment_recording(cfg: Config) -> dict[str, Any]:
    """One population with graded input, and one neuron over many trials of a stimulus: what there is to read."""
    rng, T, rheobase = np.random.default_rng(cfg.seed), cfg.num_steps, (1 - cfg.beta) * THETA
    strength = np.linspace(0.5, 3.0, cfg.neurons)  # in units of the rheobase
    spk, mem = lif(noisy_current(rng, strength * rheobase, T, cfg.beta, 0.15), cfg.beta)
    stimulus = np.full(T, 0.8)
    stimulus[T // 3 : T // 3 + max(1, T // 6)] = 2.0  # the neuron is driven hard for a while
    repeat = noisy_current(
        rng, np.repeat(rheobase * stimulus[:, None], TRIALS, 1), T, cfg.beta, 0.15
    )
    trials, _ = lif(repeat, cfg.beta)  # (T, trials)
    truth = trials.mean(1)  # spikes per step, all trials
    widths = [w for w in (1, 2, 4, 8, 16, 32, 64) if w <= T]
    few = [trials[:, i : i + 20] for i in range(0, 400, 20)]
    errors = []  # root mean square distance between the truth and a PSTH of 20 trials, held over each bin
    for w in widths:
        stairs = [np.repeat(binned(f, w).mean(1) / w, w) for f in few]
        errors.append(np.mean([np.sqrt(np.mean((st - truth[: len(st)]) ** 2)) for st in stairs]))
    return {
        "strength": strength,
        "spk": spk,
        "mem": mem,
        "stimulus": stimulus,
        "truth": truth,
        "few": few[0],
        "widths": widths,
        "errors": errors,
        "isi": np.concatenate(intervals(spk[:, cfg.neurons // 2 :])),
    }


def experiment_input_strength(cfg: Config) -> dict[str, Any]:
    """Firing rate against input current, without noise and with it, beside the closed form of lesson 01."""
    rng, T = np.random.default_rng(cfg.seed), cfg.num_steps
    cur = np.geomspace(0.3, 20, 80) * (1 - cfg.beta) * THETA
    rates = {
        f"noise {noise:g}·θ": lif(
            noisy_current(rng, np.repeat(cur, 20), T, cfg.beta, noise), cfg.beta
        )[0]
        .mean(0)
        .reshape(80, 20)
        .mean(1)
        for noise in (0.0, 0.1, 0.3)
    }
    over = np.maximum(1 - THETA * (1 - cfg.beta) / cur, 1e-300)
    closed = np.where(
        over > 1e-12, 1 / (np.floor(np.log(over) / np.log(cfg.beta)) + 1), 0
    )  # (5) of lesson 01
    return {
        "cur": cur,
        "rates": rates,
        "closed": closed,
        "below": rates["noise 0.3·θ"][over <= 1e-12].max(),
        "spikes_off": np.abs(rates["noise 0·θ"] - closed).max() * T,
    }


def experiment_indices(cfg: Config) -> list[dict[str, Any]]:
    """Five spike trains whose indices are known with pencil and paper, 400 times as long as a recording."""
    rng, T, N, W = np.random.default_rng(cfg.seed), 400 * cfg.num_steps, min(cfg.neurons, 60), 100
    p, q, k, mean_isi = 0.1, 0.5, 4, 10.0
    clock = ((np.arange(T)[:, None] + rng.integers(0, 10, N)) % 10 == 0).astype(np.float32)
    coin = (rng.random((T, N)) < p).astype(np.float32)
    wander = np.repeat(
        rng.choice([0.05, 0.15], (T // W, N)), W, 0
    )  # the rate changes from window to window
    common = rng.random((T, 1)) < p
    shared = np.where(rng.random((T, N)) < q, common, rng.random((T, N)) < p).astype(np.float32)
    cv_gamma = np.sqrt((1 - k / mean_isi) / k)
    wander_f = (W * np.mean([0.05 * 0.95, 0.15 * 0.85]) + W**2 * 0.05**2) / (
        W * 0.1
    )  # binomial + that of the rate
    trains = (  # name, spikes, CV, F, ρ at bins of one step; None where there is no simple closed form
        ("clock", clock, 0.0, 0.0, None),
        ("four-stage clock", renewal(rng, T, N, k, mean_isi), cv_gamma, cv_gamma**2, 0.0),
        ("coin", coin, np.sqrt(1 - p), 1 - p, 0.0),
        (
            "coin, wandering rate",
            (rng.random((T, N)) < wander).astype(np.float32),
            None,
            wander_f,
            0.0,
        ),
        ("coin, half of it shared", shared, np.sqrt(1 - p), 1 - p, q**2),
    )
    rows = [
        {
            "name": name,
            "spk": spk[: cfg.num_steps],
            "rate": spk.mean(),
            "chi": synchrony(spk, 1)[0],
            "cv": (cv_isi(spk), cv),
            "fano": (fano(spk, W), f),
            "rho": (synchrony(spk, 1)[1], rho),
        }
        for name, spk, cv, f, rho in trains
    ]
    known = lambda v: f"{v[0] + 1e-9:.3f}" + ("" if v[1] is None else f" ({v[1]:.3f})")  # noqa: E731  measured (theory)
    return [r | {"text": [known(r[k]) for k in ("cv", "fano", "rho")]} for r in rows]


def set_limits(cfg: Config) -> Limits:
    """Halfway between the patterns (on a logarithmic scale), on populations from the first range of each parameter."""
    rng = np.random.default_rng(cfg.seed + 1)
    seen = {
        kind: [population(kind, rng, unseen=False) for _ in range(cfg.populations)]
        for kind in KINDS
    }
    r = {kind: [s.mean() for s in spks] for kind, spks in seen.items()}
    rho = {kind: [synchrony(s)[1] for s in seen[kind]] for kind in KINDS[2:]}
    between = lambda low, high: float(np.sqrt(max(*low, 1e-3) * max(min(high), 1e-3)))  # noqa: E731
    return Limits(
        between(r["silence"], [min(r[kind]) for kind in KINDS[1:]]),
        between([max(r[kind]) for kind in KINDS if kind != "saturation"], r["saturation"]),
        between(rho["healthy firing"], rho["synchronous bursting"]),
    )


def experiment_diagnosis(cfg: Config, limits: Limits) -> dict[str, Any]:
    """Name populations from ranges the limits have not seen, and populations made by another mechanism."""
    result: dict[str, Any] = {"limits": limits}
    for name, seed, make in (
        ("unseen ranges", 2, partial(population, unseen=True)),
        ("other mechanism", 3, other_mechanism),
    ):
        rng = np.random.default_rng(cfg.seed + seed)
        spks = [
            (a, make(kind, rng)) for a, kind in enumerate(KINDS) for _ in range(cfg.populations)
        ]
        matrix = np.zeros((4, 4), int)
        np.add.at(
            matrix,
            tuple(
                zip(*[(a, KINDS.index(diagnose_raster(s, limits))) for a, s in spks], strict=True)
            ),
            1,
        )
        result[name] = {
            "matrix": matrix,
            "points": np.array([(a, s.mean(), synchrony(s)[1]) for a, s in spks]),
        }
    rng = np.random.default_rng(cfg.seed)
    return result | {
        "examples": {kind: population(kind, rng, unseen=False)[:120, :40] for kind in KINDS}
    }


def encode_three_ways(image: torch.Tensor, num_steps: int) -> dict[str, torch.Tensor]:
    """Rate, latency and delta code of ``image (28, 28)`` in 0..1, each ``(T, 784)``; delta sees it move."""
    flat = image.flatten()
    film = torch.stack(
        [torch.roll(image, t // 4, 1).flatten() for t in range(num_steps)]
    )  # a pixel every four steps
    return {
        "rate": spikegen.rate(flat, num_steps=num_steps),
        "latency": spikegen.latency(
            flat, num_steps, tau=5, threshold=0.01, clip=True, normalize=True, linear=True
        ),
        "delta": spikegen.delta(film, threshold=0.1, padding=True, off_spike=True),
    }


def experiment_codes(cfg: Config, data: ImageData) -> dict[str, Any]:
    """What gives each code away, over many images, and the picture of one."""
    torch.manual_seed(cfg.seed)
    steps, rows = max(2, cfg.num_steps // 4), []
    for image in data.x_test[:100, 0].float() / 255:
        ink = image.flatten() > 0.01
        for code, spk in encode_three_ways(image, steps).items():
            s, grey = spk.abs()[:, ink].numpy(), image.flatten()[ink].numpy()
            count, fired = s.sum(0), s.sum(0) > 0
            rank = lambda a, b: np.nan if len(set(b)) < 2 else spearmanr(a, b)[0]  # noqa: E731
            quiet = (spk.abs().sum(1) == 0).float().mean().item()  # share of steps without a spike
            # the look that names a code: one spike a pixel; or long pauses for all; or neither
            guess = "latency" if spk.abs().sum(0).max() <= 1 else "delta" if quiet > 0.5 else "rate"
            rows.append(
                {
                    "code": code,
                    "count": count.mean(),
                    "most": count.max(),
                    "order": rank(grey, count),
                    "when": rank(grey[fired], s.argmax(0)[fired]),
                    "quiet": quiet,
                    "named": guess == code,
                }
            )
    image = data.x_test[int((data.y_test == 3).nonzero()[0]), 0].float() / 255
    return {"rows": rows, "image": image, "spk": encode_three_ways(image, steps)}


# ------------------------------------------------------------------------------------ the network check


class Net(nn.Module):
    """784–100–100–10. ``run`` starts from rest, unless it is made forgetful."""

    forgetful = False

    def __init__(self, beta: float = 0.9) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(784, 100), nn.Linear(100, 100), nn.Linear(100, 10)
        self.lif1, self.lif2 = (
            snn.Leaky(beta=beta, init_hidden=True),
            snn.Leaky(beta=beta, init_hidden=True),
        )
        self.lif3 = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 784)`` → output spikes and membrane, each ``(B, 10)``."""
        return self.lif3(self.fc3(self.lif2(self.fc2(self.lif1(self.fc1(x_t))))))

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 784)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``."""
        if self.forgetful:  # a time loop without reset_state: it goes on where the last batch ended
            return tuple(torch.stack(rec) for rec in zip(*[self(x_t) for x_t in x], strict=True))
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))  # (T, B, 100)
        spk2, _, _ = unroll(self.lif2, over_time(self.fc2, spk1))  # (T, B, 100)
        spk3, mem3, _ = unroll(self.lif3, over_time(self.fc3, spk2), record_mem=True)  # (T, B, 10)
        return spk3, mem3


BROKEN = {  # what is done to a healthy network: what must be found
    "healthy": "",
    "weights zeroed": "silence",
    "weights too large": "saturation",
    "surrogate too steep": "vanishing gradient",
    "no reset between batches": "state left over from the batch before",
}


def spoil(net: Net, how: str, hard: int) -> Net:
    """A copy of ``net`` with one thing broken; ``hard`` picks how badly or where."""
    bad = Net().to(net.fc1.weight.device)
    bad.load_state_dict(net.state_dict())
    bad.forgetful = how == "no reset between batches"
    with torch.no_grad():
        if how == "weights zeroed":
            for p in (bad.fc1, bad.fc2)[hard % 2].parameters():
                p.zero_()
        elif how == "weights too large":
            bad.fc1.weight.abs_().mul_((30, 100, 300)[hard % 3])
        elif how == "surrogate too steep":
            for layer in (bad.lif1, bad.lif2, bad.lif3):
                layer.spike_grad = surrogate.fast_sigmoid(slope=(1000, 2000, 5000)[hard % 3])
    return bad


@torch.no_grad()
def second_layer(net: Net, x: torch.Tensor) -> np.ndarray:
    """Spikes ``(T, 40)`` of the second layer for the first image; a forgetful net sees the batch a second time."""
    state1 = state2 = None
    for _ in range(2 if net.forgetful else 1):
        spk1, _, state1 = unroll(net.lif1, over_time(net.fc1, x), state1)
        spk2, _, state2 = unroll(net.lif2, over_time(net.fc2, spk1), state2)
    return spk2[:, 0, :40].cpu().numpy()


def encode(x: torch.Tensor) -> torch.Tensor:
    """Grey values as a steady current over 15 steps: ``(B, 1, 28, 28) → (15, B, 784)``."""
    return constant_current(x.flatten(1), 15)


def experiment_network_check(cfg: Config, data: ImageData, run: Run) -> list[dict[str, Any]]:
    """Train, break in four ways (each network a little differently), and let ``diagnose`` say what is wrong."""
    rows = []
    x, y = encode(data.x_train[:32].float().to(run.device) / 255), data.y_train[:32].to(run.device)
    for hard in range(cfg.networks):
        torch.manual_seed(cfg.seed + hard)
        trained = Net()
        fit(
            trained,
            data,
            encode,
            run=run,
            epochs=2,
            lr=4e-3,
            batch_size=64,
            seed=cfg.seed + hard,
            quiet=True,
        )
        for how, expected in BROKEN.items():
            net = spoil(trained, how, hard)
            found = diagnose(net, x, y)
            reset_state(net)
            rows.append(
                {
                    "net": how,
                    "found": found,
                    "right": " + ".join(found.problems) == expected,
                    "accuracy": evaluate(net, data.x_test, data.y_test, encode, batch_size=50),
                    "spk2": second_layer(net, x),
                }
            )
    return rows


def experiment_check_in_fit(cfg: Config, data: ImageData, run: Run) -> float:
    """Accuracy of a network whose surrogate is too steep from the start; fit prints the diagnosis by itself."""
    torch.manual_seed(cfg.seed)
    net = spoil(Net(), "surrogate too steep", 0)
    fit(net, data, encode, run=run, epochs=2, lr=4e-3, batch_size=64, check=complaints)
    return evaluate(net, data.x_test, data.y_test, encode)


# ------------------------------------------------------------------------------------ figures


def dots(ax: Axes, spk: np.ndarray, **look: Any) -> None:
    """``snntorch.spikeplot.raster``: a scatter plot of where ``spk (T, N)`` is not zero."""
    try:
        from snntorch.spikeplot import raster
    except (
        ImportError
    ):  # it needs pandas, which snnTorch does not ask for; this is all that its raster does
        ax.scatter(*np.nonzero(spk), **look)
    else:
        raster(torch.as_tensor(spk), ax, **look)
    ax.grid(False)


def plot_recording(rec: dict[str, Any]) -> Figure:
    best = rec["widths"][int(np.argmin(rec["errors"]))]
    N, isi = rec["spk"].shape[1], rec["isi"]
    fig, axes = plots.figure(
        2,
        2,
        size=(13, 7.6),
        title=(
            f"Four readings of the same spikes; with 20 trials the PSTH is truest in bins of {best} steps"
        ),
    )
    (a, b), (c, d) = axes
    dots(a, rec["spk"], s=5, c=plots.BLACK, marker="|", linewidths=1.2)
    start = rec["strength"][rec["spk"].any(0)].min(initial=rec["strength"][-1])
    plots.label(
        a,
        "time step",
        "neuron (weakest input below)",
        f"Raster: input 0.5 to 3 × rheobase, spikes from {start:.1f} up",
    )
    a.set_ylim(-1, N)
    for offset, i in enumerate((0, N // 3, N - 1)):
        low, t = 1.6 * offset, np.nonzero(rec["spk"][:, i])[0]
        b.plot(rec["mem"][:, i] + low, linewidth=1.2, label=f"{rec['strength'][i]:.1f} × rheobase")
        b.axhline(1 + low, color=plots.RED, linestyle="--", linewidth=0.8)
        b.plot(t, np.full(len(t), 1.35 + low), "|", color=plots.BLACK, markersize=6)
    b.set_yticks([0, 1, 1.6, 2.6, 3.2, 4.2], ["0", "θ"] * 3)
    b.legend(reverse=True, loc="upper left", bbox_to_anchor=(1.0, 1.0), title="input")
    plots.label(
        b, "time step", "membrane U", "Membranes: below, around and well above the threshold"
    )
    counts = binned(rec["few"], best)
    c.step(
        np.arange(len(counts)) * best,
        counts.mean(1) / best,
        where="post",
        label=f"20 trials, bins of {best} steps",
    )
    c.plot(
        rec["truth"], color=plots.ORANGE, linewidth=1.0, label=f"{TRIALS:,} trials, bins of 1 step"
    )
    on = np.nonzero(rec["stimulus"] > 1)[0]
    c.axvspan(on[0], on[-1] + 1, color="0.9", zorder=0, label="strong stimulus")
    c.legend()
    plots.label(
        c, "time step", "rate (spikes per step)", "PSTH: a rate that changes within a few steps"
    )
    n = np.arange(1, isi.max(initial=1) + 1)
    if len(isi):
        d.hist(
            isi, bins=np.append(n, n[-1] + 1) - 0.5, density=True, color=plots.SKY, label="measured"
        )
        d.plot(
            n,
            (1 - 1 / isi.mean()) ** (n - 1) / isi.mean(),
            "--",
            color=plots.RED,
            label="coin of the same rate",
        )
        d.legend()
    plots.label(
        d,
        "interval between spikes (steps)",
        "probability",
        f"ISI histogram of the stronger half: none below {isi.min(initial=len(rec['spk']))} steps",
    )
    return fig


def plot_input_strength(s: dict[str, Any], beta: float) -> Figure:
    fig, ax = plots.figure(
        size=(9.5, 4.4),
        title=(
            f"Silent, graded, saturated; with noise up to {s['below']:.2f} spikes a step below the rheobase"
        ),
    )
    plots.curves(ax, s["cur"] / THETA, s["rates"], markers=False)
    ax.plot(
        s["cur"] / THETA,
        s["closed"],
        ".",
        color=plots.BLACK,
        markersize=4,
        label="closed form, no noise",
    )
    for x, y, text, side in (
        (1 - beta, 0.97, "rheobase (1−β)·θ ", "right"),
        (1, 0.3, " θ: always", "left"),
    ):
        ax.axvline(x, color="0.5", linewidth=1)
        ax.annotate(text, (x, y), ha=side, fontsize=9)
    ax.set_xscale("log")
    ax.legend(loc="center left")
    plots.label(ax, "input current (θ per step)", "rate (spikes per step)")
    return fig


def plot_indices(rows: list[dict[str, Any]]) -> Figure:
    fig, axes = plots.figure(
        1,
        len(rows),
        size=(15, 4.3),
        sharey=True,
        title=(
            f"All five at {np.mean([r['rate'] for r in rows]):.2f} spikes a step: they differ in rhythm and togetherness"
        ),
    )
    for ax, row in zip(axes, rows, strict=True):
        plots.raster(ax, row["spk"][:100, :30], width=1.5)
        plots.label(ax, "time step", "", "{}\nCV {}\nF {}\nρ {}".format(row["name"], *row["text"]))
    axes[0].set_ylabel("neuron (in brackets: theory)")
    return fig


def plot_patterns(diagnosis: dict[str, Any]) -> Figure:
    named = {
        kind: diagnose_raster(spk, diagnosis["limits"])
        for kind, spk in diagnosis["examples"].items()
    }
    fig, axes = plots.figure(
        2,
        4,
        size=(15, 5.6),
        sharex=True,
        height_ratios=(2, 1),
        title=(
            f"Four patterns as diagnose_raster names them, {sum(k == v for k, v in named.items())} of 4 rightly"
        ),
    )
    for (top, bottom), (kind, spk) in zip(axes.T, diagnosis["examples"].items(), strict=True):
        plots.raster(top, spk, width=1.3)
        top.set_title(named[kind], color=(colour := plots.GREEN if kind == KINDS[3] else plots.RED))
        bottom.fill_between(
            range(len(spk)), spk.mean(1), step="mid", color=colour, alpha=0.7, linewidth=0
        )
        bottom.set_ylim(0, 1.05)
        plots.label(bottom, "time step", "", f"r = {spk.mean():.3f}, ρ = {synchrony(spk)[1]:.2f}")
    axes[0, 0].set_ylabel("neuron")
    axes[1, 0].set_ylabel("share of neurons\nthat fire")
    return fig


def plot_diagnosis(diagnosis: dict[str, Any]) -> Figure:
    limits, sets = diagnosis["limits"], ("unseen ranges", "other mechanism")
    share = [100 * diagnosis[s]["matrix"].trace() / diagnosis[s]["matrix"].sum() for s in sets]
    fig, axes = plots.figure(
        2,
        2,
        size=(12, 8.2),
        width_ratios=(1.5, 1),
        title=(
            f"diagnose_raster is right on {share[0]:.1f} % of populations from unseen ranges,\n{share[1]:.1f} % of those "
            "made by another mechanism"
        ),
    )
    for (ax, right), key in zip(axes, sets, strict=True):
        for a, kind in enumerate(KINDS):
            mine = diagnosis[key]["points"][diagnosis[key]["points"][:, 0] == a]
            ax.plot(
                np.maximum(mine[:, 1], 3e-4),
                mine[:, 2],
                plots.MARKERS[a],
                markersize=4,
                alpha=0.6,
                color=plots.COLOURS[a],
                label=kind,
            )
        ax.vlines(limits[:2], -0.1, 1.05, color=plots.BLACK, linewidth=1, linestyle="--")
        ax.hlines(limits.synchronous, *limits[:2], color=plots.BLACK, linewidth=1, linestyle="--")
        ax.set_xscale("log")
        plots.label(
            ax,
            "rate r (spikes per neuron and step; none at all: left edge)",
            "synchrony ρ",
            f"{key.capitalize()}, with the limits",
        )
        plots.confusion(
            right, diagnosis[key]["matrix"], ("silence", "saturation", "bursting", "healthy")
        )
        plots.label(right, "diagnosis", "made as", key.capitalize())
    axes[0, 0].legend(loc="upper left")
    return fig


def plot_codes(codes: dict[str, Any]) -> Figure:
    right = np.mean([r["named"] for r in codes["rows"]])
    fig, axes = plots.figure(
        1,
        4,
        size=(15, 4.3),
        width_ratios=(0.55, 1, 1, 1),
        title=(
            f"Each code has a signature: two looks at the raster name it in {100 * right:.0f} % of "
            f"{len(codes['rows'])} cases"
        ),
    )
    axes[0].imshow(codes["image"], cmap="gray")
    axes[0].set_axis_off()
    order = (
        codes["image"].flatten().argsort(stable=True)[-200:]
    )  # the brightest pixels, the brightest on top
    titles = (
        "Rate: bright rows are dense",
        "Latency: one spike a pixel, bright first",
        "Delta: columns of on (black) and off (red)",
    )
    for ax, spk, title in zip(axes[1:], codes["spk"].values(), titles, strict=True):
        for sign, colour in ((1, plots.BLACK), (-1, plots.RED)):
            dots(ax, spk[:, order].numpy() == sign, s=4, c=colour, marker="|", linewidths=1)
        ax.set(xlim=(-1, len(spk)), ylim=(-3, 203))
        plots.label(ax, "time step", "", title)
    axes[1].set_ylabel("pixel, sorted by grey value")
    return fig


def plot_network_check(rows: list[dict[str, Any]]) -> Figure:
    first = rows[: len(BROKEN)]
    right, same = (
        sum(r["right"] for r in rows),
        sum(np.array_equal(r["spk2"], first[0]["spk2"]) for r in first[1:]),
    )
    fig, axes = plots.figure(
        2,
        len(BROKEN),
        size=(16, 6.6),
        height_ratios=(1.3, 1),
        title=(
            f"The check is right on {right} of {len(rows)} networks; of the four ills, {same} leaves the raster as it was"
        ),
    )
    for (top, bottom), row in zip(axes.T, first, strict=True):
        plots.raster(top, row["spk2"], width=2)
        top.set_xticks(range(0, len(row["spk2"]), 5))
        plots.label(top, "time step", "", f"{row['net']}\naccuracy {100 * row['accuracy']:.1f} %")
        colour = plots.GREEN if row["found"].healthy else plots.RED
        bottom.bar(
            ("fc1", "fc2", "fc3"),
            [max(n.gradient, 1e-6) for n in row["found"].layers],
            color=colour,
        )
        bottom.set(yscale="log", ylim=(1e-6, 1e3))
        bottom.set_title(
            " + ".join(row["found"].problems).replace(" from", "\nfrom") or "nothing found",
            color=colour,
        )
    axes[0, 0].set_ylabel("neuron of the second layer\n(40 of 100, one image)")
    axes[1, 0].set_ylabel("gradient norm\n(at least 1e-6)")
    return fig


# ------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    data = run.data(mnist, n_train=cfg.train, n_val=500, n_test=1000)
    images = len(data.y_test)
    run.print("\n1  Raster, membranes, PSTH, ISI histogram")
    rec = experiment_recording(cfg)
    run.figure(plot_recording(rec), "recording")
    best = int(np.argmin(rec["errors"]))
    run.claim(
        "psth_bin",
        "PSTH of 20 trials: bin width nearest to the truth",
        rec["widths"][best],
        "steps",
    )
    for key, i, name in (
        ("psth_fine", 0, "bins of one step"),
        ("psth_coarse", -1, "the widest bins"),
    ):
        run.claim(
            key,
            f"PSTH error in {name} / in the best bins",
            rec["errors"][i] / max(rec["errors"][best], 1e-12),
            "×",
            ">= 1.3",
            n=20,
        )
    run.print("\n2  Rate against input strength")
    s = experiment_input_strength(cfg)
    run.figure(plot_input_strength(s, cfg.beta), "input_strength")
    run.claim(
        "strength",
        f"no noise: largest distance from the closed form, in spikes per {cfg.num_steps} steps",
        s["spikes_off"],
        "spikes",
        "<= 1",
        n=80,
    )
    run.print("\n3  Four indices against what is known")
    rows = experiment_indices(cfg)
    run.figure(plot_indices(rows), "indices")
    run.table(
        "Indices, measured (theory)",
        ("spike train", "rate", "χ", "CV of ISI", "Fano factor", "ρ"),
        [(r["name"], r["rate"], r["chi"], *r["text"]) for r in rows],
    )
    for key, text, target in (
        ("cv", "CV", "<= 0.02"),
        ("fano", "Fano factor", "<= 0.05"),
        ("rho", "ρ", "<= 0.02"),
    ):
        gaps = [
            abs(r[key][0] - r[key][1])
            for r in rows
            if r[key][1] is not None and np.isfinite(r[key][0])
        ]
        run.claim(
            key,
            f"{text}: largest distance from theory",
            max(gaps, default=0.0),
            "",
            target,
            n=len(gaps),
        )
    run.print(f"\n4  Name the pattern: {cfg.populations} populations of each kind")
    diagnosis = experiment_diagnosis(cfg, limits := set_limits(cfg))
    run.figure(plot_patterns(diagnosis), "patterns")
    run.figure(plot_diagnosis(diagnosis), "diagnosis")
    run.print(
        "          limits found: " + ", ".join(f"{k} {v:.3f}" for k, v in limits._asdict().items())
    )
    run.table(
        "Parameters of the populations",
        ("parameter", "set the limits", "test, below", "test, above"),
        [(name, *(f"{a:g}–{b:g}" for a, b in ranges)) for name, ranges in RANGES.items()],
    )
    for name in ("unseen ranges", "other mechanism"):
        matrix = diagnosis[name]["matrix"]
        run.table(
            f"Confusion matrix, {name} (rows: made as)",
            ("", *KINDS),
            [(kind, *map(int, row)) for kind, row in zip(KINDS, matrix, strict=True)],
        )
        for a, kind in enumerate(KINDS):
            run.claim(
                f"{name.split()[0]}_{kind.split()[0]}",
                f"{kind}, {name}: named rightly",
                matrix[a, a] / cfg.populations,
                target=">= 0.95",
                n=cfg.populations,
            )
    run.print("\n5  The signature of each code")
    codes = experiment_codes(cfg, data)
    run.figure(plot_codes(codes), "codes")

    def of(code: str, key: str) -> np.ndarray:
        return np.array(
            [v for r in codes["rows"] if r["code"] == code and np.isfinite(v := r[key])] or [0.0]
        )

    for key, text, value, target in (
        (
            "rate",
            "rate code: rank correlation of grey value and count",
            of("rate", "order").mean(),
            ">= 0.8",
        ),
        (
            "latency",
            "latency code: … of grey value and first spike",
            of("latency", "when").mean(),
            "<= -0.95",
        ),
        (
            "latency_most",
            "latency code: most spikes of any pixel",
            of("latency", "most").max(),
            "<= 1",
        ),
        (
            "delta",
            "delta code: share of steps without a spike",
            of("delta", "quiet").mean(),
            ">= 0.7",
        ),
    ):
        run.claim(
            "signature_" + key, text, value, "", target, n=len(of("rate", "quiet")), real=True
        )
    run.claim(
        "codes_named",
        "codes named rightly from their rasters",
        np.mean([r["named"] for r in codes["rows"]]),
        target=">= 0.95",
        n=len(codes["rows"]),
        real=True,
    )
    run.print(f"\n6  The network check: {cfg.networks} healthy networks, each broken in four ways")
    checks = experiment_network_check(cfg, data, run)
    run.figure(plot_network_check(checks), "network_check")
    run.table(
        "By layer, first seed",
        ("network", "layer", "rate", "dead", "full", "‖∂L/∂W‖", "open", "stale"),
        [
            (
                r["net"],
                n.name,
                *(f"{v:.2g}" for v in (n.rate, n.dead, n.saturated, n.gradient, n.gate)),
                f"{r['found'].stale:.2g}",
            )
            for r in checks[: len(BROKEN)]
            for n in r["found"].layers
        ],
    )
    for r in checks[: len(BROKEN)]:
        run.print(f"          {r['net']}: {' '.join(r['found'].lines()) or 'nothing found.'}")
    run.claim(
        "network_check",
        "networks of which the check says exactly what is wrong",
        float(np.mean([r["right"] for r in checks])),
        target=">= 0.95",
        n=len(checks),
        real=True,
    )
    for how in BROKEN:
        accuracy = np.mean([r["accuracy"] for r in checks if r["net"] == how])
        run.claim(
            "accuracy_" + how.split()[-1],
            f"test accuracy, {how}",
            accuracy,
            n=images * cfg.networks,
            real=True,
        )
    run.print("\n   The same inside fit, on a network whose surrogate is too steep from the start:")
    run.claim(
        "accuracy_steep_trained",
        "test accuracy, trained with the steep surrogate",
        experiment_check_in_fit(cfg, data, run),
        n=images,
        real=True,
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
