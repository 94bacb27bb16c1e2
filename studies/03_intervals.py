"""Study 03 — CV and Fano factor of spike trains whose theory is known

Question
    Lesson 03 reads CV, Fano factor and synchrony off rasters. How near do they come to what theory
    says? And when do CV and Fano factor tell different stories?

Idea
    In a *renewal* train each interval is drawn anew, without looking at those before. Let μ and σ
    be mean and standard deviation of an interval, so that CV = σ/μ. A window of W steps, much
    longer than μ, then holds n spikes with

        mean(n) = W/μ      Var[n] ≈ W·σ²/μ³      F = Var[n]/mean(n) ≈ CV²                       (1)

    Four trains are renewal or nearly so:

        clock               every 10 steps                       CV = 0             F = 0
        four-stage clock    sum of k = 4 geometric waits         CV = √((1 − q)/k)  F = CV²
        coin                heads with p at every step           CV = √(1 − p)      F = 1 − p
        half-shared coin    the same, half of it from a coin     CV = √(1 − p)      F = 1 − p
                            that all neurons share               ρ = ½² (a pair shares a quarter)

    The fifth is not: a coin whose p is drawn anew for each window of W steps, p₁ or p₂. Within a
    window it is a coin. But the counts of windows also vary because p does:

        F = mean(p·(1 − p))/mean(p) + W·Var[p]/mean(p)                                           (2)

Read first
    Lesson 03, section 3. Neuronal Dynamics 7.3, https://neuronaldynamics.epfl.ch/online/Ch7.html

Run
    uv run studies/03_intervals.py          about 5 seconds on two CPU cores

Builds on / leads to
    Lesson 03. Equation (2) is why a Fano factor above 1 points to a rate that wanders.
"""

from __future__ import annotations

import _root  # noqa: F401

from dataclasses import dataclass

from common import plots
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run

import numpy as np
import torch
from torch import Tensor

P = 0.1  # spikes per step of every train
WINDOW = 100  # steps, W
STAGES = 4  # k
WANDER = (0.05, 0.15)  # the two rates of the fifth train


@dataclass
class Config(LessonConfig):
    """Coins and clocks are too little work for a GPU: this study stays on the CPU."""

    num_steps: int = bounded(50_000, 1, 1_000_000)
    """time steps of a train; at least 2,000 are made"""
    neurons: int = bounded(40, 2, 1_000)
    """neurons of each kind"""


SMOKE = {"num_steps": 2000}
FULL = {"num_steps": 500_000}


def coin(T: int, N: int, p: float | Tensor, random: torch.Generator) -> Tensor:
    """Independent spikes ``(T, N)`` with probability p at each step."""
    return (torch.rand(T, N, generator=random) < p).float()


def staged(T: int, N: int, random: torch.Generator) -> Tensor:
    """A spike whenever a coin has fallen on heads ``STAGES`` times since the last one: ``(T, N)``."""
    heads = coin(T, N, STAGES * P, random)
    return ((heads.cumsum(0) % STAGES == 0) & (heads > 0)).float()


def half_shared(T: int, N: int, random: torch.Generator) -> Tensor:
    """At each step a neuron listens to its own coin or, half of the time, to one for all."""
    common = coin(T, 1, P, random)
    own = coin(T, N, P, random)
    listens = torch.rand(T, N, generator=random) < 0.5
    return torch.where(listens, common, own)


def measure(spk: Tensor) -> tuple[float, float, float]:
    """CV, Fano factor over WINDOW steps and synchrony in bins of one step, of ``spk (T, N)``."""
    cvs, fanos = [], []
    for row in spk.unbind(1):
        isi = torch.nonzero(row)[:, 0].diff().double()
        cvs.append((isi.std() / isi.mean()).item())
        n = row[: len(row) // WINDOW * WINDOW].reshape(-1, WINDOW).sum(1)
        fanos.append((n.var() / n.mean()).item())
    N = spk.shape[1]
    chi2 = (spk.mean(1).var() / spk.var(0).mean()).item()
    return float(np.mean(cvs)), float(np.mean(fanos)), (chi2 - 1 / N) / (1 - 1 / N)


@section
def section_theory(cfg: Config, run: Run) -> None:
    """1  Do CV, Fano factor and synchrony meet their theory?

    Five kinds of train, all with one spike in ten steps, and for each the three numbers beside
    equations (1) and (2). Where intervals are independent, F has to be CV². Where F is larger, some
    slower thing moves the rate: each interval is drawn from the same few, but neighbours are alike,
    and their excess adds up in a window. (The clock's ρ has no simple
    theory and is left out: it depends on which neurons happen to tick together.)
    """
    run.predict(
        "fano_wander",
        f"A coin with p = 0.1 has a Fano factor of 0.9. Now p is {WANDER[0]} or {WANDER[1]}, drawn anew "
        f"for each window of {WINDOW} steps; on average it is still 0.1. What is the Fano factor of the "
        "counts in these windows?",
    )
    T = max(cfg.num_steps, 2000) // WINDOW * WINDOW
    N = cfg.neurons
    random = run.generator()
    phase = torch.randint(10, (N,), generator=random)
    which = torch.randint(2, (T // WINDOW, N), generator=random)
    p = torch.tensor(WANDER)[which].repeat_interleave(WINDOW, 0)  # (T, N)
    trains = {
        "clock": ((torch.arange(T)[:, None] + phase) % 10 == 0).float(),
        "four-stage clock": staged(T, N, random),
        "coin": coin(T, N, P, random),
        "coin, half of it shared": half_shared(T, N, random),
        "coin, wandering rate": coin(T, N, p, random),
    }
    cv_staged = np.sqrt((1 - STAGES * P) / STAGES)
    mean_p = np.mean(WANDER)
    within = np.mean([p_i * (1 - p_i) for p_i in WANDER]) / mean_p
    fano_wander = within + WINDOW * np.var(WANDER) / mean_p
    nan = float("nan")  # where theory has nothing simple to say
    theory = {
        "clock": (0.0, 0.0, nan),
        "four-stage clock": (cv_staged, cv_staged**2, 0.0),
        "coin": (np.sqrt(1 - P), 1 - P, 0.0),
        "coin, half of it shared": (np.sqrt(1 - P), 1 - P, 0.25),
        "coin, wandering rate": (nan, fano_wander, 0.0),
    }
    measured = {name: measure(spk) for name, spk in trains.items()}
    gaps = np.array([np.abs(np.subtract(measured[name], theory[name])) for name in trains])

    title = "Fano factor against squared CV; the line is equation (1), F = CV²"
    fig, (ax, bx) = plots.figure(1, 2, (12, 4.4), title, width_ratios=(1.6, 1))
    for row, (name, spk) in enumerate(trains.items()):
        for i in range(5):
            times = torch.nonzero(spk[:300, i])[:, 0]
            ax.plot(times, torch.full((len(times),), 6.0 * row + i), "|", color=plots.COLOURS[row])
        cv, fano, _ = measured[name]
        bx.plot(cv**2, fano, plots.MARKERS[row], color=plots.COLOURS[row], label=name)
    ax.set_yticks([6 * row + 2 for row in range(5)], list(trains))
    ax.set_xlabel("time step")
    ax.set_title("five neurons of each kind")
    top = max(fano for _, fano, _ in measured.values())
    bx.plot([0, top], [0, top], color="0.6", linewidth=1, zorder=0)
    bx.legend(loc="upper left")
    plots.label(bx, "CV²", "Fano factor F")
    run.figure(
        fig, "1_intervals", look="which kind leaves the line, and whether its raster shows it"
    )

    run.claim("cv", "CV: largest distance from theory", np.nanmax(gaps[:, 0]), "", "<= 0.02")
    run.claim("fano", "F: largest distance from theory", np.nanmax(gaps[:, 1]), "", "<= 0.05")
    run.claim("rho", "ρ: largest distance from theory", np.nanmax(gaps[:, 2]), "", "<= 0.02")
    cv, fano, _ = measured["coin, wandering rate"]
    run.claim("fano_wander", "wandering rate: Fano factor", fano, "")
    run.claim("cv_wander", "wandering rate: CV", cv, "")
    run.finding(
        f"CV comes within {np.nanmax(gaps[:, 0]):.3f} of its theory, F within "
        f"{np.nanmax(gaps[:, 1]):.3f}, ρ within {np.nanmax(gaps[:, 2]):.3f}. Where the rate wanders "
        f"from window to window, F is {fano:.2f} while CV² is {cv**2:.2f}: there, F is not CV²."
    )


def main(cfg: Config, run: Run) -> None:
    section_theory(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
