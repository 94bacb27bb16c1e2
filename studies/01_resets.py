"""Study 01 — Resets in detail: what a rewritten neuron gets wrong

Question
    You rewrite snn.Leaky for another simulator, for NumPy or for a chip. The equation is one line,
    and yet there are natural ways to write it that give another neuron. How far off are they? And
    what does a reset do with the input that it takes away?

Idea
    snnTorch pays for a spike one step late, and what is taken off has not leaked:

        subtract   U[t+1] = β·U[t] + I[t+1] − S[t]·θ
        zero       U[t+1] = β·U[t]·(1 − S[t]) + I[t+1]                                        (1)

    The natural guesses pay at once, as a text says it ("when U crosses θ, θ is taken off"), and then
    go on:

        subtract   U[t+1] = β·(U[t] − S[t]·θ) + I[t+1]         θ leaks too
        zero       U[t+1] = (β·U[t] + I[t+1])·(1 − S[t])       the input after a spike is lost (2)

Read first
    Lesson 01, section 3. snnTorch on reset_delay: https://github.com/jeshraghian/snntorch/issues/341

Run
    uv run studies/01_resets.py          about 10 seconds on two CPU cores

Builds on / leads to
    Lesson 01. Lesson 16 needs the account of section 2, lesson 17 meets (2) in other simulators.
"""

from __future__ import annotations

import _root  # noqa: F401

from dataclasses import dataclass

from common import plots
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run

import numpy as np
import snntorch as snn
import torch
from torch import Tensor

BETAS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)


@dataclass
class Config(LessonConfig):
    """A few neurons are too little work for a GPU: this study stays on the CPU."""

    num_steps: int = bounded(1000, 1, 100_000)
    """time steps of a run"""
    beta: float = bounded(0.9, 0.05, 1.0)
    """share β of the potential that is left after one step"""
    threshold: float = bounded(1.0, 0.01, 100.0)
    """potential θ above which the neuron fires"""
    neurons: int = bounded(64, 1, 10_000)
    """neurons, each with noise of its own"""


SMOKE = {"num_steps": 100, "neurons": 4}
FULL = {"num_steps": 5000, "neurons": 256}


def leaky(
    cur: Tensor, beta: float, threshold: float, reset: str, delay: bool = True
) -> tuple[Tensor, Tensor]:
    """snn.Leaky over ``cur (T, B)``; returns ``spk_rec, mem_rec (T, B)``."""
    lif = snn.Leaky(beta=beta, threshold=threshold, reset_mechanism=reset, reset_delay=delay)
    mem = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        spk, mem = lif(cur_t, mem)
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


def guessed(cur: Tensor, beta: float, threshold: float, reset: str) -> tuple[Tensor, Tensor]:
    """The natural guesses, equation (2), over ``cur (T, B)``; returns ``spk_rec, mem_rec``."""
    mem = torch.zeros_like(cur[0])
    spk = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        if reset == "subtract":
            # U[t+1] = β·(U[t] − S[t]·θ) + I[t+1]
            mem = beta * (mem - spk * threshold) + cur_t
        else:
            # U[t+1] = (β·U[t] + I[t+1])·(1 − S[t])
            mem = (beta * mem + cur_t) * (1 - spk)
        spk = (mem > threshold).float()
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


@section
def section_guesses(cfg: Config, run: Run) -> None:
    """1  How many spikes does a natural guess get wrong?

    Noise between −0.5·θ and 0.9·θ goes into snn.Leaky and into the two guesses (2). Counted are the
    steps at which one fires and the other does not. Without a leak (β = 1) the first guess is right:
    the order of leak and payment matters only if there is a leak.

    snnTorch has a switch that pays at once, reset_delay=False. Its subtract is the first guess as long
    as U stays below 2·θ. Above that it is neither: after a spike, the U it hands back is still above
    θ, which the next call takes for a spike that has been paid for already; it takes θ off, sees
    no spike, and puts θ back. U then sits above θ in silence until the leak has drawn it under.
    """
    run.predict(
        "wrong_subtract",
        f"β = {cfg.beta:g}. At what share of the steps does the first guess have another spike than "
        "snn.Leaky, in per cent?",
        unit="per cent",
    )
    shape = (cfg.num_steps, cfg.neurons)
    noise = (1.4 * torch.rand(shape, generator=run.generator()) - 0.5) * cfg.threshold  # (T, B)
    wrong: dict[str, list[float]] = {"subtract": [], "zero": []}
    for reset, shares in wrong.items():
        for beta in BETAS:
            right, _ = leaky(noise, beta, cfg.threshold, reset)
            guess, _ = guessed(noise, beta, cfg.threshold, reset)
            shares.append((right != guess).float().mean().item())
    here = {}
    for reset in wrong:
        right, _ = leaky(noise, cfg.beta, cfg.threshold, reset)
        guess, _ = guessed(noise, cfg.beta, cfg.threshold, reset)
        here[reset] = (right != guess).float().mean().item()
    at_once, _ = leaky(noise, cfg.beta, cfg.threshold, "subtract", delay=False)
    guess, _ = guessed(noise, cfg.beta, cfg.threshold, "subtract")
    switch = (at_once != guess).float().mean().item()

    kick = torch.zeros(30, 1)
    kick[2] = 2.5 * cfg.threshold
    spk_late, mem_late = leaky(kick, cfg.beta, cfg.threshold, "subtract")
    spk_once, mem_once = leaky(kick, cfg.beta, cfg.threshold, "subtract", delay=False)
    silent = ((mem_once > cfg.threshold) & (spk_once == 0)).sum().item()

    title = f"β = {cfg.beta:g}: guess wrong at {100 * here['subtract']:.0f} % (subtract) and "
    title += f"{100 * here['zero']:.0f} % (zero) of the steps"
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), title)
    percent = {reset: 100 * np.array(shares) for reset, shares in wrong.items()}
    plots.curves(ax, BETAS, percent)
    plots.label(ax, "β", "steps with another spike (%)", "Natural guess against snn.Leaky")
    bx.plot(mem_late[:, 0], label=f"default (spikes: {spk_late.sum():.0f})")
    bx.plot(mem_once[:, 0], "--", label=f"reset_delay=False (spikes: {spk_once.sum():.0f})")
    bx.axhline(cfg.threshold, color="grey", linestyle=":", label="threshold θ")
    bx.legend()
    head = f"One input of 2.5·θ; {silent} steps above θ in silence"
    plots.label(bx, "time step", f"potential U (θ = {cfg.threshold:g})", head)
    run.figure(fig, "1_guesses", look="β = 1 on the left; U above θ without spikes on the right")

    run.claim("wrong_subtract", "subtract: steps with another spike", here["subtract"])
    run.claim("wrong_zero", "zero: steps with another spike", here["zero"])
    run.claim("switch", "reset_delay=False against guess", switch)
    run.claim("silent", "2.5·θ: steps above θ in silence", silent, "steps")
    run.finding(
        f"At β = {cfg.beta:g}, paying at once gives another spike at {100 * here['subtract']:.0f} % of "
        f"the steps with subtract and at {100 * here['zero']:.0f} % with zero. reset_delay=False and "
        f"the first guess differ at {100 * switch:.2g} % of the steps."
    )


@section
def section_account(cfg: Config, run: Run) -> None:
    """2  Where does the input go?

    Sum equation (1) over time, and every bit of input has one of four fates: it was paid out in
    spikes, θ each; it leaked, the share 1 − β of U in every step; the reset threw it away; or it is
    still in U at the end. For subtract nothing is thrown away. For zero, what a reset clears is U,
    of which θ counts as paid and U − θ as thrown away. For none nothing is paid: its spikes are free.
    Noise between 0 and 0.8·θ, all of it positive, so that shares make sense.
    """
    run.predict(
        "thrown_zero",
        f"β = {cfg.beta:g}. What share of its input does the reset to zero throw away, in per cent?",
        unit="per cent",
    )
    shape = (cfg.num_steps, cfg.neurons)
    cur = 0.8 * cfg.threshold * torch.rand(shape, generator=run.generator(1)).double()
    total = cur.sum()
    fates = {}
    for reset in ("subtract", "zero", "none"):
        spk_rec, mem_rec = leaky(cur, cfg.beta, cfg.threshold, reset)
        spk_rec = spk_rec.double()
        spk, mem = spk_rec[:-1], mem_rec[:-1]  # what the next step leaks and pays
        paid = cfg.threshold * spk.sum()
        leaked = (1 - cfg.beta) * mem.sum()
        thrown = torch.zeros(())
        if reset == "zero":
            leaked = (1 - cfg.beta) * (mem * (1 - spk)).sum()  # a cleared U cannot leak
            thrown = ((mem - cfg.threshold) * spk).sum()
        if reset == "none":
            paid = torch.zeros(())
        parts = {"paid": paid, "leaked": leaked, "thrown away": thrown, "left": mem_rec[-1].sum()}
        fates[reset] = {name: (part / total).item() for name, part in parts.items()}
    free = (cfg.threshold * spk_rec.sum() / total).item()  # of none, the last one

    title = f"Zero throws away {100 * fates['zero']['thrown away']:.1f} % of its input"
    fig, ax = plots.figure(1, 1, (9, 3), title)
    bottom = np.zeros(3)
    for i, name in enumerate(fates["zero"]):
        shares = np.array([100 * parts[name] for parts in fates.values()])
        hatch = ("", "//", "xx", "..")[i]
        ax.barh(list(fates), shares, left=bottom, label=name, hatch=hatch, edgecolor="white")
        bottom += shares
    ax.invert_yaxis()
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plots.label(ax, "share of the input (%)", "reset", "Where the input goes")
    run.figure(fig, "2_account", look="the third part of zero, which subtract does not have")

    run.claim("paid_subtract", "subtract: paid out in spikes", fates["subtract"]["paid"])
    run.claim("paid_zero", "zero: paid out in spikes", fates["zero"]["paid"])
    run.claim("thrown_zero", "zero: thrown away", fates["zero"]["thrown away"])
    run.claim("free_none", "none: spikes that nobody pays for", free)
    more = 100 * (fates["subtract"]["paid"] - fates["zero"]["paid"])
    run.finding(
        f"At β = {cfg.beta:g} zero throws away {100 * fates['zero']['thrown away']:.0f} % of its input. "
        f"What subtract pays out in spikes is {more:+.0f} points against zero. The spikes of none are "
        f"worth {100 * free:.0f} % of the input, and cost nothing."
    )


def main(cfg: Config, run: Run) -> None:
    section_guesses(cfg, run)
    section_account(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
