"""Study 06 — A synapse as a filter, and the corner where snn.Alpha breaks

Question
    Below its threshold a neuron is a filter. What does a second decay do to a current that goes up
    and down quickly? And what becomes of snn.Alpha when training moves β up to α?

Idea
    A sine of f cycles a step comes out of a linear filter as a sine of the same frequency, weaker and
    later. How much weaker is the size of H(f) = Σ h[n]·exp(−2πi·f·n). Each decay contributes one factor
    1/(1 − decay·exp(−2πi·f)), a *low-pass*: slow sines pass, fast ones are averaged away.

        |H(f)|   Leaky   1/|1 − β·e^(−2πi·f)|       Synaptic   1/|1 − α·e^(−2πi·f)| times that       (1)

    Alpha is Synaptic one step later and scaled, so its |H| has the same shape. Its scale contains
    κ = ln β/(ln β − ln α), which is infinite at α = β, times a sum E + F that is 0 there.

Read first
    Lesson 06, sections 2, 3 and 6.

Run
    uv run studies/06_filters.py         about 10 seconds on two CPU cores

Builds on / leads to
    Lesson 06. Lesson 20 takes many such filters, with complex decays, and calls them a state space model.
"""

from __future__ import annotations

import _root  # noqa: F401

from dataclasses import dataclass

from common import plots
from common.io import UserError
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run

import numpy as np
import snntorch as snn
import torch
from torch import Tensor

NO_SPIKES = {"threshold": 1e9, "reset_mechanism": "none"}


@dataclass
class Config(LessonConfig):
    """A few neurons are too little work for a GPU: this study stays on the CPU."""

    num_steps: int = bounded(2000, 1, 20_000)
    """time steps over which a sine is measured"""
    alpha: float = bounded(0.9, 0.05, 0.98)
    """share α of the synaptic current that is left after one step"""
    beta: float = bounded(0.8, 0.01, 0.95)
    """share β of the potential that is left after one step; less than alpha"""

    def validate(self) -> None:
        super().validate()
        if self.alpha < self.beta + 0.009:
            raise UserError(f"--alpha: got {self.alpha:g}, allowed is more than --beta by 0.01")


SMOKE = {"num_steps": 200}
FULL = {"num_steps": 10_000}


def passive(name: str, x: Tensor, alpha: float, beta: float) -> Tensor:
    """The potential ``(T, B)`` of a neuron that never fires, for the input ``x (T, B)``."""
    if name == "Leaky":
        neuron = snn.Leaky(beta=beta, **NO_SPIKES)
    elif name == "Synaptic":
        neuron = snn.Synaptic(alpha=alpha, beta=beta, **NO_SPIKES)
    else:
        neuron = snn.Alpha(alpha=alpha, beta=beta, **NO_SPIKES)
    number = {"Leaky": 1, "Synaptic": 2, "Alpha": 3}[name]
    states = [torch.zeros_like(x[0]) for _ in range(number)]
    mem_rec = []
    for x_t in x:
        _, *states = neuron(x_t, *states)
        mem_rec.append(states[-1])
    return torch.stack(mem_rec)


def gain(name: str, f: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """|H(f)| by equation (1), divided by its value at f = 0."""
    turn = np.exp(-2j * np.pi * f)
    one = (1 - beta) / np.abs(1 - beta * turn)
    two = (1 - alpha) / np.abs(1 - alpha * turn)
    return one if name == "Leaky" else one * two


@section
def section_sines(cfg: Config, run: Run) -> None:
    """1  How fast may an input change?

    Sines of several frequencies go in. Once the start is forgotten, the amplitude of U is measured: the
    sum of U times a turning pointer of the same frequency. Amplitudes are given in decibels, 20·log₁₀ of
    the ratio: −20 dB is a tenth, −6 dB about a half. Without a threshold, a steady input is 0 dB.
    """
    run.predict(
        "tenth_synaptic",
        "A sine of one cycle in ten steps comes out of Leaky (β = 0.8) at about a third of what a steady "
        "input would be, −9.4 dB. By how many dB does Synaptic (α = 0.9, β = 0.8) change it?",
        unit="dB",
    )
    wait = int(20 / (1 - cfg.alpha))
    window = 10 * max(cfg.num_steps // 10, 20)  # whole cycles of 0.1
    f = np.unique(np.round(np.geomspace(0.002, 0.48, 20) * window)) / window
    f = np.union1d(f[f > 0], 0.1)
    t = torch.arange(wait + window, dtype=torch.float64)[:, None]
    angle = 2 * np.pi * t * torch.from_numpy(f)  # (T, F)
    pointer = torch.exp(-1j * angle[wait:])
    fine = np.geomspace(0.002, 0.5, 300)
    tenth, worst = {}, 0.0
    fig, ax = plots.figure(1, 1, (8, 4.2))
    for i, name in enumerate(("Leaky", "Synaptic", "Alpha")):
        mem = passive(name, torch.cos(angle).float(), cfg.alpha, cfg.beta).double()
        steady = passive(name, torch.ones(wait, 1), cfg.alpha, cfg.beta)[-1].item()
        found = 2 / window * (mem[wait:] * pointer).sum(0).abs().numpy() / steady
        tenth[name] = 20 * np.log10(found[f == 0.1].item())
        worst = max(worst, np.abs(found / gain(name, f, cfg.alpha, cfg.beta) - 1).max())
        look = {"color": plots.COLOURS[i], "markersize": 9 - 2 * i, "fillstyle": "none"}
        ax.plot(f, 20 * np.log10(found), plots.MARKERS[i], label=f"{name}, measured", **look)
        if name != "Alpha":
            theory = 20 * np.log10(gain(name, fine, cfg.alpha, cfg.beta))
            ax.plot(fine, theory, color=plots.COLOURS[i], label=f"{name}, by (1)")
    ax.set_xscale("log")
    ax.legend()
    plots.label(ax, "frequency (cycles a step)", "amplitude (dB, steady input = 0)")
    title = (
        f"0.1 cycles a step: Leaky {tenth['Leaky']:.1f} dB, Synaptic {tenth['Synaptic']:.1f} dB, "
    )
    fig.suptitle(title + f"Alpha {tenth['Alpha']:.1f} dB", x=0.01, ha="left")
    run.figure(fig, "1_sines", look="how much steeper two decays fall than one")
    run.claim("tenth_leaky", "0.1 cycles a step: Leaky", tenth["Leaky"], "dB")
    run.claim("tenth_synaptic", "0.1 cycles a step: Synaptic", tenth["Synaptic"], "dB")
    run.claim("sines_off", "measured against (1), at worst", worst, "1", target="<= 0.01")
    run.finding(
        f"A sine of 0.1 cycles a step is weakened by {-tenth['Leaky']:.1f} dB in Leaky, by "
        f"{-tenth['Synaptic']:.1f} dB in Synaptic and by {-tenth['Alpha']:.1f} dB in Alpha."
    )


@section
def section_corner(cfg: Config, run: Run) -> None:
    """2  What happens to snn.Alpha when β meets α?

    The constructor refuses β ≥ α. But it looks once, and β can be learnt. Below, β is set after the neuron
    was made, as an optimiser would do. κ grows like 1/(α − β) and multiplies E + F, a small difference
    of two large numbers. float32 keeps 7 digits; what is lost of them, κ makes visible. At β = α the
    product is ∞·0, which is NaN, and NaN > θ is False: the neuron falls silent without an error.

    The limit itself is harmless: U tends to −ln α·n·αⁿ. snn.Synaptic, which divides by nothing, gives
    it with α = β, one step later and times −α·ln α.
    """
    silent, error, fine = "it never fires again", "an error is raised", "it fires as before"
    run.predict(
        "equal",
        "A learnt β of snn.Alpha becomes exactly α. What does the neuron do with a strong input?",
        (silent, error, fine),
    )
    steps = int(np.ceil(7 / (1 - cfg.alpha)))
    n = np.arange(steps)
    gaps = np.geomspace(1e-6, 0.1, 21) * cfg.alpha
    alpha = torch.tensor(cfg.alpha)
    beta = torch.cat([(alpha - torch.tensor(gaps)).float(), alpha[None]])
    neuron = snn.Alpha(alpha, beta / 2, **NO_SPIKES)
    neuron.beta = beta
    x = torch.zeros(steps, len(beta))  # (T, B), a column for each β
    x[0] = 1
    states = [torch.zeros(len(beta)) for _ in range(3)]
    mem_rec = []
    for x_t in x:
        _, *states = neuron(x_t, *states)
        mem_rec.append(states[-1])
    mem = torch.stack(mem_rec).double().numpy()
    # the same difference of powers, written so that nothing cancels, in float64
    a = alpha.double().item()
    b = beta[:-1].double().numpy()
    ratio = np.log(b / a)
    exact = -np.log(b) * a ** n[:, None] * np.expm1(n[:, None] * ratio) / ratio
    off = np.abs(mem[:, :-1] - exact).max(0) / exact.max(0)
    nan = np.isnan(mem[:, -1]).mean()
    same = passive("Synaptic", x[:, :1], cfg.alpha, cfg.alpha)[:, 0].double().numpy()
    limit = -np.log(cfg.alpha) * n * cfg.alpha**n
    remedy = -cfg.alpha * np.log(cfg.alpha) * np.concatenate([[0.0], same[:-1]])
    remedy_off = np.abs(remedy - limit).max() / limit.max()

    firing = snn.Alpha(cfg.alpha, cfg.alpha / 2)
    firing.beta = torch.tensor(cfg.alpha)
    states = [torch.zeros(1) for _ in range(3)]
    spikes = 0
    for _ in range(100):
        spk, *states = firing(torch.full((1,), 10.0), *states)
        spikes += int(spk)

    fig, (ax, bx) = plots.figure(1, 2, (11, 4), f"α − β = {gaps[0]:.0e}: {100 * off[0]:.2g} % off")
    ax.plot(n, limit, color="0.6", linewidth=4, label="limit −ln α·n·αⁿ")
    ax.plot(n, mem[:, 0], color=plots.RED, label=f"snn.Alpha, α − β = {gaps[0]:.0e}")
    ax.plot(n, remedy, ".", color=plots.BLACK, markersize=4, label="snn.Synaptic, α = β, scaled")
    ax.legend()
    bx.loglog(gaps, np.maximum(off, 1e-9), "o-", label="snn.Alpha, float32")
    bx.legend()
    plots.label(ax, "steps since the input, n", "U after one input of 1", "Near the corner")
    plots.label(bx, "α − β", "largest error / peak of U", f"At α = β: NaN at {100 * nan:.0f} %")
    run.figure(fig, "2_corner", look="where the error exceeds what you would accept")
    run.claim("corner_off", "nearest β: error of U", off[0])
    run.claim("corner_nan", "α = β: steps at which U is NaN", nan)
    run.claim("remedy_off", "scaled Synaptic at α = β: error", remedy_off, "1", target="<= 1e-4")
    run.outcome("equal", silent if spikes == 0 else fine)
    run.finding(
        f"At α − β = {gaps[0]:.0e} U is off by {100 * off[0]:.2g} % of its peak; at α = β it is NaN at "
        f"{100 * nan:.0f} % of the steps, and an input of 10 a step draws {spikes} spikes in 100 steps. "
        f"A scaled snn.Synaptic gives the limit to {remedy_off:.0e}."
    )


def main(cfg: Config, run: Run) -> None:
    section_sines(cfg, run)
    section_corner(cfg, run)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
