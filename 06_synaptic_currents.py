"""Lesson 06 — Synaptic currents: a second time constant gives an input a shape, and the shape has a price

Question
    What does a neuron gain when its input arrives as a wave of current and not as a jump, and what does it pay?

Idea
    In LIF a spike lifts the membrane at once: U jumps by the weight. A synapse does not work like that. The
    spike releases transmitter; the transmitter opens ion channels; each channel shuts again at random. What flows
    is a conductance that rises within a millisecond and decays as the channels shut, in some 2 ms (AMPA), 5 to
    10 ms (GABA-A) or 100 ms (NMDA), and the membrane filters that once more. Model it as a current with a decay
    of its own. (A conductance would also shrink as U nears its reversal potential; that is left out here.)

        snn.Leaky       U[n] = β·U[n−1] + x[n]
        snn.Synaptic    I[n] = α·I[n−1] + x[n]       U[n] = β·U[n−1] + I[n]                            (1)
        snn.Alpha       E[n] = α·E[n−1] + x[n]       F[n] = β·F[n−1] − x[n]       U[n] = κ·(E[n] + F[n])
                        κ = ln α / (ln β − ln α) + 1 = ln β / (ln β − ln α)                            (2)

    Below threshold all three are linear: the answer to one spike, h[n], tells everything. Unfold (1): what
    entered I at step 0 is α^k at step k, enters U there and decays by β afterwards, so

        Leaky      h[n] = βⁿ                                                                            (3)
        Synaptic   h[n] = Σ αᵏ·βⁿ⁻ᵏ (k = 0…n) = (αⁿ⁺¹ − βⁿ⁺¹)/(α − β)         (n+1)·αⁿ at α = β          (4)
        Alpha      h[n] = κ·(αⁿ − βⁿ)                                    −ln α · n·αⁿ as β → α          (5)

    (4) does not change when α and β change places: below threshold nobody can say which of the two is the
    synapse. And (5) is κ(α−β) times (4), one step later: **Alpha is a scaled and delayed Synaptic**. It rises as
    long as h[n+1] > h[n], that is (α/β)ⁿ < (1−β)/(1−α). With x = ln((1−β)/(1−α)) / ln(α/β) the peak is

        at n = ⌈x⌉ for Alpha, one step sooner for Synaptic            x = α/(1−α) at α = β              (6)

    Areas follow from the geometric series, G = 1/(1−β) for Leaky and 1/((1−α)(1−β)) for Synaptic: the area is
    the answer to a constant input, so it says how much a weight is worth. With z = e^{2πif} (f in cycles a step)

        Leaky 1/(1 − β/z)      Synaptic 1/((1 − α/z)(1 − β/z))      Alpha κ(α−β)/z times Synaptic       (7)

    is what a sine comes out with: each decay is one low-pass more.

    Resets differ too. Subtract takes θ from U in Leaky and Synaptic; Alpha has no such state, for its U is read off
    E and F, so leave its default: "zero" clears E, F and the input of that step with them. In Synaptic "zero"
    clears U alone, and the current that goes on flowing may fire again. Which one to take: Leaky unless the task
    needs a delay, smoothing or tolerance; then Synaptic; Alpha for its rise from 0, never for speed.

Read first
    Theory:   Neuronal Dynamics, Ch. 3, https://neuronaldynamics.epfl.ch/online/Ch3.html
    Practice: snnTorch tutorial 4, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_4.html

Run
    uv run 06_synaptic_currents.py             10 to 30 s on two shared CPU cores, imports included
    uv run 06_synaptic_currents.py --smoke     fewer trials
    uv run 06_synaptic_currents.py --full      ten times the trials, a finer grid

You should see
    Leaky's weights in snn.Synaptic are worth 10 times as much: 0.43 spikes a step instead of 0.07. Divided by the
    area they give 0.016: the same mean, but the slower filter has averaged away the peaks that made Leaky fire.
    snnTorch computes (3) to (5) to 4e-7. Difference of exponentials as textbooks write it, sampled: off by 1.0,
    it comes a step late. The peak is at the step of (6) in all of 590 neurons.
    A sine of 0.1 cycles a step: −9.4 dB in Leaky, −24.9 dB in both others. Their first spike is later (12 steps
    against 3) and jitters more (0.60 steps against 0.49); a Leaky slowed down to be as late jitters by 0.78.
    Two inputs work together up to 2 steps apart in Leaky, 11 in Synaptic. State 4, 8 and 12 bytes a neuron.
    snn.Alpha refuses β ≥ α, but only when made: a learnt β that meets α makes U and the gradient NaN, and NaN > θ
    is False, so the neuron is silent without a word. A scaled Synaptic is right there to 4e-7.

Builds on / leads to
    01 (the membrane, its reset). 13 adds recurrence (RSynaptic), 20 runs such filters over thousands of steps.

Predict: with --alpha 0.8 --beta 0.4, which of the figures keep their shape, and what becomes of the peak times?
Next: uv run 07_surrogate_gradients.py
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from common import plots
from common.device import synchronize
from common.io import UserError
from common.lesson import LessonConfig, bounded, start
from common.run import Run

import numpy as np
import snntorch as snn
import torch
from matplotlib.figure import Figure

Tensor = torch.Tensor
MODELS = {"Leaky": snn.Leaky, "Synaptic": snn.Synaptic, "Alpha": snn.Alpha}
LOOK = {
    "Leaky": (plots.BLUE, "o", "-"),
    "Synaptic": (plots.RED, "s", "--"),
    "Alpha": (plots.GREEN, "^", "-."),
    "Leaky, slowed": (plots.SKY, "D", ":"),
}
SUBTHRESHOLD = {"threshold": 1e9, "reset_mechanism": "none"}  # the linear filter alone


@dataclass
class Config(LessonConfig):
    """The threshold is 1 throughout. Only the cost (section 6) is measured on --device: the rest is too little work."""

    num_steps: int = bounded(60, 1, 100_000)
    """time steps of the impulse responses"""
    alpha: float = bounded(0.9, 0.05, 0.99)
    """share of the synaptic current that one step leaves; has to be larger than beta (snn.Alpha asks for it)"""
    beta: float = bounded(0.8, 0.01, 0.98)
    """share of the membrane potential that one step leaves"""
    trials: int = bounded(2000, 10, 100_000)
    """noisy trials behind each point of the jitter and coincidence curves"""
    neurons: int = bounded(100_000, 10, 10_000_000)
    """neurons of the layer whose cost is measured"""
    grid: int = bounded(20, 3, 100)
    """time constants each way in the α/β grid"""
    frequencies: int = bounded(36, 4, 200)
    """sines in the frequency response"""

    def validate(self) -> None:
        super().validate()
        if self.alpha <= self.beta:
            raise UserError(f"--alpha: got {self.alpha}, allowed is more than --beta ({self.beta})")


SMOKE = {"trials": 100, "neurons": 2000, "grid": 6, "frequencies": 10}
FULL = {"trials": 20_000, "neurons": 1_000_000, "grid": 40, "frequencies": 100}


# ------------------------------------------------------------------------------------ the equations as code


def impulse(kind: str, n: Any, alpha: Any, beta: Any) -> np.ndarray:
    """h[n] of (3), (4), (5) in float64, sound at α = β too: with s the slower decay, αⁿ − βⁿ is ± sⁿ·(1 − e^{nδ})."""
    if kind == "Leaky":
        return np.where(n < 0, 0.0, beta ** np.maximum(n, 0.0))
    slow, delta = np.maximum(alpha, beta), np.minimum(-np.abs(np.log(beta / alpha)), -1e-12)
    if kind == "Synaptic":
        return np.where(
            n < 0, 0.0, slow ** np.maximum(n, 0.0) * np.expm1((n + 1) * delta) / np.expm1(delta)
        )
    return np.where(
        n < 0, 0.0, -np.log(beta) * slow ** np.maximum(n, 0.0) * np.expm1(n * delta) / delta
    )


def peak_step(kind: str, alpha: Any, beta: Any) -> Any:
    """The step of the highest h[n], equation (6)."""
    ratio = np.log(alpha / beta)
    near = np.abs(ratio) < 1e-9
    x = np.where(
        near, alpha / (1 - alpha), np.log((1 - beta) / (1 - alpha)) / np.where(near, 1.0, ratio)
    )
    return {"Leaky": 0 * x, "Synaptic": np.ceil(x) - 1, "Alpha": np.ceil(x)}[kind]


def transfer(kind: str, f: Any, alpha: Any, beta: Any) -> Any:
    """H at ``f`` cycles a step, equation (7); f = 0 gives the area G."""
    z = np.exp(2j * np.pi * np.asarray(f))
    if kind == "Leaky":
        return 1 / (1 - beta / z)
    synaptic = 1 / ((1 - alpha / z) * (1 - beta / z))
    return (
        synaptic
        if kind == "Synaptic"
        else np.log(beta) / np.log(beta / alpha) * (alpha - beta) / z * synaptic
    )


def area(kind: str, alpha: Any, beta: Any) -> Any:
    """G: the area under h, and the potential under a constant input of 1."""
    return transfer(kind, 0.0, alpha, beta).real


def simulate(
    kind: str, cur: Tensor, alpha: Any, beta: Any, **options: Any
) -> tuple[Tensor, Tensor]:
    """Step a snnTorch neuron through ``cur (T, B)``: ``spk_rec, mem_rec``, each ``(T, B)``; α and β may be ``(B,)``."""
    decays = {"beta": beta} if kind == "Leaky" else {"alpha": alpha, "beta": beta}
    neuron = MODELS[kind](**decays, init_hidden=True, output=True, **options)
    out = [neuron(cur_t) for cur_t in cur]  # each (spk, …, mem)
    return torch.stack([o[0] for o in out]).detach(), torch.stack([o[-1] for o in out])


def pulse(num_steps: int, size: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """One input of 1 at step 0: ``(T, B)``."""
    return torch.eye(num_steps, 1, dtype=dtype).expand(-1, size)


def settled(*decays: float, rest: float = 1e-7) -> int:
    """Steps until the slowest decay has left less than ``rest``."""
    return int(np.ceil(np.log(rest) / np.log(max(decays))))


# ---------------------------------------------------------------- the experiments, each with its figure, in order


def experiment_swap(cfg: Config) -> dict[str, Any]:
    """1. The wrong way first: Leaky replaced by the others with its weights as they were; then weights times 1/G."""
    g = torch.Generator().manual_seed(cfg.seed)
    events = torch.bernoulli(
        torch.full((1000, 64), 0.2), generator=g
    )  # one input line a neuron, 0.2 spikes a step
    gain = {k: area(k, cfg.alpha, cfg.beta) for k in MODELS}
    r: dict[str, Any] = {"gain": gain, "rate": {}, "mem": {}, "n": events.numel()}
    for kind in MODELS:
        for scaled in (False, True):
            w = (
                3.5 / gain[kind if scaled else "Leaky"]
            )  # Leaky's mean potential, without reset: 0.2 · 3.5 = 0.7 θ
            spk, mem = simulate(kind, w * events, cfg.alpha, cfg.beta, reset_mechanism="zero")
            r["rate"][kind, scaled], r["mem"][kind, scaled] = (
                spk.mean().item(),
                (mem[:120, 0], spk[:120, 0]),
            )
    return r


def plot_swap(r: dict[str, Any]) -> Figure:
    ratio = r["rate"]["Synaptic", False] / max(r["rate"]["Leaky", False], 1e-9)
    title = (
        f"Same weights, other neuron: Synaptic fires {ratio:.1f} times as often as Leaky, for there a weight is "
        f"worth {r['gain']['Synaptic'] / r['gain']['Leaky']:.1f} times as much"
    )
    fig, axes = plots.figure(2, 3, (13, 5.2), title, sharex=True, sharey="row")
    for (kind, scaled), (mem, spk) in r["mem"].items():
        ax = axes[int(scaled), list(MODELS).index(kind)]
        plots.membrane(ax, mem, spk, 1.0, color=LOOK[kind][0])
        how = f"weights × {r['gain']['Leaky'] / r['gain'][kind]:.2g}" if scaled else "same weights"
        plots.label(
            ax,
            "step" if scaled else "",
            "" if kind != "Leaky" else "potential U (θ)",
            f"{kind}, {how}: {r['rate'][kind, scaled]:.3f} spikes/step",
        )
    axes[1, 0].legend(loc="upper right", ncols=3, fontsize=8)
    axes[1, 0].set_ylim(top=2.4)
    return fig


def experiment_impulse(cfg: Config) -> dict[str, Any]:
    """2. h[n] of each model against (3) to (5), and against the textbook's difference of exponentials, sampled."""
    r: dict[str, Any] = {"n": np.arange(cfg.num_steps)}
    for kind in MODELS:
        _, mem = simulate(kind, pulse(cfg.num_steps), cfg.alpha, cfg.beta, **SUBTHRESHOLD)
        closed = impulse(kind, r["n"], cfg.alpha, cfg.beta)
        r[kind] = {
            "mem": mem[:, 0].numpy(),
            "closed": closed,
            "error": float(np.abs(mem[:, 0].numpy() - closed).max()),
        }
    r["guess"] = impulse(
        "Synaptic", r["n"] - 1, cfg.alpha, cfg.beta
    )  # e^(−t/τ) − e^(−t/τ'): 0 at t = 0
    r["guess_error"] = float(np.abs(r["guess"] - r["Synaptic"]["mem"]).max())
    scale = area("Alpha", cfg.alpha, cfg.beta) / area("Synaptic", cfg.alpha, cfg.beta)  # κ(α−β)
    shifted = np.concatenate([[0], scale * r["Synaptic"]["mem"][:-1]])
    r["twin_error"] = float(np.abs(shifted - r["Alpha"]["mem"]).max())
    _, swapped = simulate("Synaptic", pulse(cfg.num_steps), cfg.beta, cfg.alpha, **SUBTHRESHOLD)
    r["swapped_error"] = float(np.abs(swapped[:, 0].numpy() - r["Synaptic"]["mem"]).max())
    return r


def plot_impulse(r: dict[str, Any], cfg: Config) -> Figure:
    worst = max(r[k]["error"] for k in MODELS)
    title = f"The closed forms hold to {worst:.0e}; the textbook's curve, sampled, is one step late"
    fig, axes = plots.figure(1, 3, (13, 3.9), title)
    for ax, kind in zip(axes, MODELS, strict=True):
        colour, marker, _ = LOOK[kind]
        ax.plot(
            r["n"],
            r[kind]["closed"],
            color=plots.BLACK,
            alpha=0.3,
            linewidth=4,
            label="closed form",
        )
        ax.plot(r["n"], r[kind]["mem"], marker, color=colour, markersize=4, label=f"snn.{kind}")
        if kind == "Synaptic":
            ax.plot(
                r["n"],
                r["guess"],
                ":",
                color=plots.BLACK,
                linewidth=1.5,
                label="textbook curve, sampled",
            )
        if (at := int(peak_step(kind, cfg.alpha, cfg.beta))) < cfg.num_steps:
            ax.axvline(
                at,
                color=plots.ORANGE,
                linestyle="--",
                linewidth=1.3,
                label=f"peak by (6): step {at}",
            )
        ax.legend()
        plots.label(
            ax,
            "step n",
            "h[n] (U after an input of 1)",
            f"{kind}: area {area(kind, cfg.alpha, cfg.beta):.1f}",
        )
    return fig


def experiment_grid(cfg: Config) -> dict[str, Any]:
    """3. Every pair of time constants 1 to 50 steps as one layer: peak step, width at half height and area of h."""
    tau = np.geomspace(1, 50, cfg.grid)
    alpha, beta = (np.exp(-1 / x).astype(np.float32) for x in np.meshgrid(tau, tau, indexing="ij"))
    r: dict[str, Any] = {"tau": tau}
    steps = settled(float(alpha.max()), rest=1e-8)
    for kind in ("Synaptic", "Alpha"):
        allowed = (
            alpha > beta if kind == "Alpha" else np.ones_like(alpha, dtype=bool)
        )  # snn.Alpha refuses the others
        a, b = torch.from_numpy(alpha[allowed]), torch.from_numpy(beta[allowed])
        mem = (
            simulate(kind, pulse(steps, len(a)), a, b, **SUBTHRESHOLD)[1].double().numpy()
        )  # (T, pairs)
        a64, b64 = a.double().numpy(), b.double().numpy()
        closed = impulse(kind, np.arange(steps)[:, None], a64, b64)
        found = {"peak": mem.argmax(0), "width": (mem >= mem.max(0) / 2).sum(0), "area": mem.sum(0)}
        formula = {
            "peak": peak_step(kind, a64, b64),
            "width": (closed >= closed.max(0) / 2).sum(0),
            "area": area(kind, a64, np.where(a64 == b64, b64 * (1 - 1e-9), b64)),
        }
        r[kind] = {
            "n": len(a),
            "one": 1,
            "maps": {},
            "peak_equal": float((found["peak"] == formula["peak"]).mean()),
            "width_off": float(np.abs(found["width"] - formula["width"]).max()),
            "area_error": float(np.abs(found["area"] / formula["area"] - 1).max()),
        }
        for name, values in found.items():
            r[kind]["maps"][name] = full = np.full(alpha.shape, np.nan)
            full[allowed] = values
    return r


def plot_grid(r: dict[str, Any]) -> Figure:
    share, total = (
        sum(r[k]["n"] * r[k][x] for k in ("Synaptic", "Alpha")) for x in ("peak_equal", "one")
    )
    title = f"Either time constant slows the response: (6) names the peak of {share:.0f} of {total:,} neurons"
    fig, axes = plots.figure(2, 3, (12, 7), title, sharex=True, sharey=True)
    units = {"peak": "peak (step)", "width": "width at half height (steps)", "area": "area"}
    for row, kind in zip(axes, ("Synaptic", "Alpha"), strict=True):
        for ax, (name, values) in zip(row, r[kind]["maps"].items(), strict=True):
            shown = np.log10(np.maximum(values, 1)) if name == "area" else values
            mesh = ax.pcolormesh(r["tau"], r["tau"], shown.T, shading="nearest")
            lines = ax.contour(r["tau"], r["tau"], shown.T, 5, colors="white", linewidths=0.9)
            ax.clabel(lines, fontsize=8)
            ax.set(xscale="log", yscale="log", aspect="equal")
            ax.grid(False)
            fig.colorbar(mesh, ax=ax, shrink=0.9)
            unit = ("log₁₀ of the " if name == "area" else "") + units[name]
            plots.label(
                ax,
                "τ of α (steps)" if kind == "Alpha" else "",
                "τ of β (steps)" if name == "peak" else "",
                f"{kind}: {unit}",
            )
    axes[1, 0].text(1.15, 38, "refused: β ≥ α", fontsize=9, va="top")
    return fig


def experiment_frequency(cfg: Config) -> dict[str, Any]:
    """4. A sine in; amplitude and phase out, after the transient, over a window that holds whole periods."""
    window, wait = 2000, settled(cfg.alpha)
    f = np.unique(np.round(np.geomspace(2, 0.48 * window, cfg.frequencies))) / window
    t = torch.arange(wait + window, dtype=torch.float64)[:, None]
    angle = 2 * np.pi * t * torch.from_numpy(f)  # (T, F)
    fine = np.geomspace(f[0], 0.5, 400)
    r: dict[str, Any] = {"f": f, "fine": fine, "models": {}}
    for kind in MODELS:
        _, mem = simulate(kind, torch.cos(angle).float(), cfg.alpha, cfg.beta, **SUBTHRESHOLD)
        found = 2 / window * (mem[wait:].double() * torch.exp(-1j * angle[wait:])).sum(0).numpy()
        theory = transfer(kind, f, cfg.alpha, cfg.beta)
        drawn, gain = transfer(kind, fine, cfg.alpha, cfg.beta), area(kind, cfg.alpha, cfg.beta)
        r["models"][kind] = {
            "found": found / gain,
            "drawn": drawn / gain,
            "error_h": float(np.abs(found / theory - 1).max()),
            "cutoff": float(fine[np.argmax(np.abs(drawn) < gain / np.sqrt(2))]),
            "tenth_db": float(
                20 * np.log10(np.abs(transfer(kind, 0.1, cfg.alpha, cfg.beta)) / gain)
            ),
        }
    return r


def plot_frequency(r: dict[str, Any]) -> Figure:
    m = r["models"]
    title = (
        f"At 0.1 cycles a step Leaky weakens a sine by {-m['Leaky']['tenth_db']:.0f} dB, Synaptic and Alpha by "
        f"{-m['Synaptic']['tenth_db']:.0f} dB: a second low-pass"
    )
    fig, (ax, bx) = plots.figure(1, 2, (11.5, 4.2), title)
    for kind, one in m.items():
        colour, marker, dash = LOOK[kind]
        size, face = (
            (4.5, colour) if kind != "Synaptic" else (8, "none")
        )  # Alpha's marks lie inside Synaptic's
        ax.plot(r["fine"], 20 * np.log10(np.abs(one["drawn"])), dash, color=colour, linewidth=1.2)
        ax.plot(
            r["f"],
            20 * np.log10(np.abs(one["found"])),
            marker,
            color=colour,
            ms=size,
            mfc=face,
            label=kind,
        )
        bx.plot(
            r["fine"],
            np.degrees(np.unwrap(np.angle(one["drawn"]))),
            dash,
            color=colour,
            linewidth=1.2,
        )
        bx.plot(
            r["f"],
            np.degrees(np.unwrap(np.angle(one["found"]))),
            marker,
            color=colour,
            ms=4.5,
            label=kind,
        )
    ax.axhline(-3.01, color="grey", linestyle=":", linewidth=1)
    ax.text(r["f"][0], -6, "half the power", fontsize=8)
    for x in (ax, bx):
        x.set_xscale("log")
        x.legend(loc="lower left")
    plots.label(
        ax,
        "frequency (cycles a step)",
        "amplitude (dB re constant input)",
        "Lines: (7); marks: measured",
    )
    plots.label(
        bx,
        "frequency (cycles a step)",
        "phase (degrees)",
        "The later answer: Alpha has one step more",
    )
    return fig


def crossing(h: np.ndarray, level: float, sigma: float = 0.0) -> tuple[float, float]:
    """Step at which ``level``·(step response of h, normalised to 1) meets θ = 1, and σ_U divided by its slope there."""
    climb = level * np.cumsum(h) / h.sum()
    k = int(np.argmax(climb >= 1))
    before = climb[k - 1] if k else 0.0
    spread = sigma * np.sqrt((h[: k + 1] ** 2).sum()) / h.sum()
    return k - (climb[k] - 1) / (climb[k] - before), spread / (climb[k] - before)


def experiment_jitter(cfg: Config) -> dict[str, Any]:
    """4, continued. A noisy current is switched on: spread of the first spike's time, beside its prediction.

    Near θ a potential off by σ_U is off by σ_U/slope in time; rounding up to whole steps adds a variance of 1/12.
    Every model gets (level + σ·noise)/G. Ten levels, so that no model is favoured by where θ falls between steps.
    """
    n = np.arange(settled(cfg.alpha))
    h = {k: impulse(k, n, cfg.alpha, cfg.beta) for k in MODELS}
    slow = (1 - 1 / 1.75) ** (
        1 / (crossing(h["Synaptic"], 1.75)[0] + 1)
    )  # a Leaky as late as Synaptic
    h["Leaky, slowed"] = slow**n
    sigmas, levels = np.array([0.05, 0.1, 0.2, 0.4, 0.8]), np.linspace(1.5, 2.0, 10)
    each = max(cfg.trials // len(levels), 2)
    shape, steps = (len(sigmas), len(levels), each), 12 * int(crossing(h["Synaptic"], 1.5)[0] + 5)
    noise = torch.randn(steps, *shape, generator=torch.Generator().manual_seed(cfg.seed))
    drive = (
        torch.tensor(levels)[:, None] + torch.tensor(sigmas)[:, None, None] * noise
    )  # (T, σ, level, trial)
    r: dict[str, Any] = {"sigmas": sigmas, "n": each * len(levels), "models": {}, "slow": slow}
    for kind, h_kind in h.items():
        beta, model = (slow, "Leaky") if kind == "Leaky, slowed" else (cfg.beta, kind)
        cur = (drive / area(model, cfg.alpha, beta)).float().flatten(1)
        spk = simulate(model, cur, cfg.alpha, beta)[0].reshape(steps, *shape)
        first = spk.argmax(0).double()  # (σ, level, trial)
        first[~spk.bool().any(0)] = steps
        theory = [
            np.sqrt(np.mean([crossing(h_kind, x, s)[1] ** 2 for x in levels]) + 1 / 12)
            for s in sigmas
        ]
        r["models"][kind] = {
            "jitter": first.var(-1).mean(-1).sqrt().numpy(),
            "theory": np.array(theory),
            "latency": first[0].mean().item(),
        }
    return r


def plot_jitter(r: dict[str, Any]) -> Figure:
    at = {k: m["jitter"][2] for k, m in r["models"].items()}
    title = (
        f"First spike under noise of σ = {r['sigmas'][2]:g}: jitter {at['Leaky']:.2f} steps for Leaky, "
        f"{at['Synaptic']:.2f} for Synaptic, {at['Leaky, slowed']:.2f} for a Leaky made as late"
    )
    fig, (ax, bx) = plots.figure(1, 2, (11.5, 4.2), title)
    for kind, m in r["models"].items():
        colour, marker, dash = LOOK[kind]
        ax.plot(
            r["sigmas"],
            m["theory"],
            dash,
            r["sigmas"],
            m["jitter"],
            marker,
            color=colour,
            linewidth=1.2,
        )
        ax.plot([], [], marker, color=colour, label=kind)
        bx.plot(m["latency"], m["jitter"][2], marker, color=colour, markersize=10)
        where = (-12, -18) if kind == "Synaptic" else (9, -3)
        bx.annotate(
            kind,
            (m["latency"], m["jitter"][2]),
            xytext=where,
            textcoords="offset points",
            fontsize=9,
        )
    ax.set(xscale="log", yscale="log")
    ax.minorticks_off()
    for axis, ticks in ((ax.xaxis, r["sigmas"]), (ax.yaxis, (0.25, 0.5, 1, 2))):
        axis.set_ticks(ticks, [f"{x:g}" for x in ticks])
    ax.legend()
    bx.set(xmargin=0.25, ylim=(0, 1.2 * max(at.values())))
    plots.label(
        ax, "input noise σ (θ, before the filter)", "jitter (steps)", "Lines: √(σ_U²/slope² + 1/12)"
    )
    plots.label(
        bx, "latency (steps)", "jitter (steps)", f"Late, but how sure? (σ = {r['sigmas'][2]:g})"
    )
    return fig


def experiment_coincidence(cfg: Config) -> dict[str, Any]:
    """5. Two inputs Δ steps apart, each with a peak of 0.65 θ; then 20 inputs, scattered in time.

    Predicted from h alone: they fire the neuron if h[n] + h[n−Δ] passes θ anywhere.
    """
    alphas = np.array(
        [a for a in (0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95) if abs(a - cfg.beta) > 1e-3]
    )
    gaps, share = np.arange(100), 0.65
    steps = 100 + settled(0.95, cfg.beta, rest=1e-3)
    pair = torch.zeros(steps, len(gaps))
    pair[0] += 1
    pair[gaps, gaps] += 1
    scatter = np.geomspace(0.5, 30, 12)
    g = torch.Generator().manual_seed(cfg.seed)
    when = (
        150
        + torch.randn(20, len(scatter), cfg.trials, generator=g) * torch.tensor(scatter)[:, None]
    ).round()
    when = when.clamp(0, 399).long().reshape(20, -1)
    packet = torch.zeros(400, when.shape[1]).scatter_add_(0, when, torch.ones(when.shape))
    r: dict[str, Any] = {k: {} for k in ("window", "predicted", "peak", "fires", "half")}
    r |= {
        "alphas": alphas,
        "gaps": gaps,
        "scatter": scatter,
        "n": len(MODELS) * (len(alphas) + 1) * len(gaps),
    }
    n = np.arange(steps)
    for kind in MODELS:
        found, predicted = [], []
        for a in [cfg.alpha, *alphas]:
            # Alpha's α is its slower decay: where β is the slower one, the two change places
            fast, slow = (min(a, cfg.beta), max(a, cfg.beta)) if kind == "Alpha" else (cfg.beta, a)
            h = impulse(kind, n, slow, fast)
            w = share / h.max()
            both = w * (h[:, None] + impulse(kind, n[:, None] - gaps, slow, fast))  # (T, Δ)
            found.append(int(simulate(kind, w * pair, slow, fast)[0].any(0).sum()))
            predicted.append(int((both.max(0) > 1).sum()))
            if len(found) == 1:
                r["peak"][kind] = both.max(0)
                fires = (
                    simulate(kind, 1.6 / 20 / h.max() * packet, slow, fast)[0]
                    .any(0)
                    .reshape(len(scatter), -1)
                )
                r["fires"][kind] = fires.float().mean(1).numpy()
                r["half"][kind] = float(np.exp(np.interp(-0.5, -r["fires"][kind], np.log(scatter))))
        r["window"][kind], r["predicted"][kind] = np.array(found), np.array(predicted)
    return r | {"off": max(int(np.abs(r["window"][k] - r["predicted"][k]).max()) for k in MODELS)}


def plot_coincidence(r: dict[str, Any], cfg: Config) -> Figure:
    w = {k: int(v[0]) for k, v in r["window"].items()}
    title = (
        f"Two inputs work together up to {w['Leaky'] - 1} steps apart in Leaky, {w['Synaptic'] - 1} in Synaptic: "
        "sharp or tolerant, α decides"
    )
    fig, (ax, bx, cx) = plots.figure(1, 3, (14, 4.1), title)
    for kind in MODELS:
        colour, marker, dash = LOOK[kind]
        ax.plot(r["gaps"][:40], r["peak"][kind][:40], dash, color=colour, label=kind)
        bx.plot(r["alphas"], r["predicted"][kind][1:] - 1, dash, color=colour, linewidth=1.2)
        hollow = (
            {"ms": 9, "mfc": "none"} if kind == "Synaptic" else {"ms": 5}
        )  # Alpha's marks lie inside
        bx.plot(r["alphas"], r["window"][kind][1:] - 1, marker, color=colour, label=kind, **hollow)
        cx.plot(
            r["scatter"],
            r["fires"][kind],
            marker,
            linestyle=dash,
            color=colour,
            markersize=5,
            label=f"{kind}: {r['half'][kind]:.1f} steps",
        )
    ax.axhline(1, color=plots.BLACK, linewidth=1, linestyle=":", label="θ")
    plots.label(
        ax,
        "time between two inputs Δ (steps)",
        "highest U (θ)",
        f"α = {cfg.alpha:g}, β = {cfg.beta:g}",
    )
    plots.label(
        bx, "α", "largest Δ that fires (steps)", f"β = {cfg.beta:g}; lines: predicted from h"
    )
    plots.label(
        cx,
        "scatter of 20 inputs (s.d., steps)",
        "share of volleys that fire",
        "A volley out of step",
    )
    cx.set(xscale="log", ylim=(-0.05, 1.5), yticks=np.linspace(0, 1, 6))
    ax.legend()
    bx.legend(loc="upper left")
    cx.legend(title="half of them fire at", loc="upper right")
    return fig


def experiment_cost(cfg: Config, device: torch.device) -> dict[str, Any]:
    """6. Bytes of state, and time of one step, a neuron; the models take turns, so that a busy machine is fair."""
    cur, steps = torch.rand(cfg.neurons, device=device), 20
    decays = {
        k: {"beta": cfg.beta} if k == "Leaky" else {"alpha": cfg.alpha, "beta": cfg.beta}
        for k in MODELS
    }
    neurons = {
        k: m(**decays[k], init_hidden=True, reset_mechanism="zero").to(device)
        for k, m in MODELS.items()
    }
    ns: dict[str, list[float]] = {k: [] for k in MODELS}
    with torch.no_grad():
        for kind in 9 * list(MODELS):
            synchronize(device)
            begun = time.perf_counter()
            for _ in range(steps):
                neurons[kind](cur)
            synchronize(device)
            ns[kind].append(1e9 * (time.perf_counter() - begun) / steps / cfg.neurons)
    return {
        k: {
            "state": sum(b.nbytes for b in neurons[k].buffers() if b.shape == cur.shape)
            / cfg.neurons,
            "time": float(np.median(ns[k][1:])),
        }
        for k in MODELS
    }


def plot_cost(r: dict[str, Any]) -> Figure:
    state, ratio = (
        " : ".join(f"{r[k][x] / r['Leaky'][x]:.2g}" for k in MODELS) for x in ("state", "time")
    )
    fig, axes = plots.figure(
        1, 2, (11, 2.6), f"What a second state costs: memory {state}, time {ratio}"
    )
    for ax, key, name in zip(
        axes, ("state", "time"), ("state (bytes", "one step (ns"), strict=True
    ):
        plots.bars(ax, {k: r[k][key] for k in MODELS})
        plots.label(ax, name + " a neuron)", "")
    return fig


def experiment_corner(cfg: Config) -> dict[str, Any]:
    """7. β → α in snn.Alpha: κ grows like 1/(α−β) and multiplies a difference that shrinks like it; digits are lost.

    β is set after the layer was made, as training sets it: the constructor's check never sees it.
    """
    n = np.arange(settled(cfg.alpha, rest=1e-3))
    gaps = np.geomspace(1e-6, 0.3, 30) * cfg.alpha
    r: dict[str, Any] = {"n": n, "error": {}, "traces": {}, "gradient": {}}
    for dtype in (torch.float32, torch.float64):
        alpha = torch.tensor(cfg.alpha, dtype=dtype)
        beta = torch.cat(
            [alpha - torch.tensor(gaps, dtype=dtype), alpha[None], alpha[None] * 1.05]
        ).clamp(max=0.999)
        neuron = snn.Alpha(
            alpha, beta * 0.5, learn_beta=True, init_hidden=True, output=True, **SUBTHRESHOLD
        ).to(dtype)
        with torch.no_grad():
            neuron.beta.copy_(beta)
        mem = torch.stack([neuron(x)[-1] for x in pulse(len(n), len(beta), dtype)])  # (T, gaps + 2)
        mem.sum().backward()
        a, b = alpha.double().item(), beta.detach().double().numpy()
        closed = impulse("Alpha", n[:, None], a, b)
        slope = (
            impulse("Alpha", n[:, None], a, b + 1e-6) - impulse("Alpha", n[:, None], a, b - 1e-6)
        ).sum(0) / 2e-6
        mem, grad, name = (
            mem.detach().double().numpy(),
            neuron.beta.grad.double().numpy(),
            str(dtype)[6:],
        )
        r["error"][name], r["gradient"][name] = (
            np.abs(mem - closed).max(0) / closed.max(0),
            np.abs(grad / slope - 1),
        )
        if dtype == torch.float32:
            r["gap"], r["bound"] = (
                a - b[:-2],
                np.finfo(np.float32).eps * np.log(b[:-2]) / np.log(b[:-2] / a),
            )
            r["traces"] = {
                "limit": closed[:, -2],
                "near": mem[:, 0],
                "equal": mem[:, -2],
                "above": mem[:, -1],
            }
            r["nan"], r["nan_gradient"] = (
                float(np.isnan(mem[:, -2]).mean()),
                float(np.isnan(grad[-2])),
            )
            r["sign"] = float(
                np.nanmin(mem[:, -1])
            )  # β > α: is U negative, as the documentation warns?
    try:
        snn.Alpha(cfg.alpha, cfg.alpha)
        r["refused"] = 0.0
    except ValueError as e:
        r["refused"] = float("greater than beta" in str(e))
    # The remedy: Synaptic divides by nothing. Scaled by −ln α/α and one step later it is the limit of (5).
    _, syn = simulate("Synaptic", pulse(len(n)), cfg.alpha, cfg.alpha, **SUBTHRESHOLD)
    remedy = np.concatenate([[0], -np.log(cfg.alpha) * cfg.alpha * syn[:-1, 0].double().numpy()])
    r["remedy_error"] = float(
        np.abs(remedy - impulse("Alpha", n, cfg.alpha, cfg.alpha)).max() * np.e
    )
    return r


def plot_corner(r: dict[str, Any]) -> Figure:
    title = (
        f"β → α in snn.Alpha: error {100 * r['error']['float32'][0]:.1g} % of the peak at α − β = "
        f"{r['gap'][0]:.0e}, NaN at 0; a scaled Synaptic is off by {r['remedy_error']:.0e}"
    )
    fig, (ax, bx) = plots.figure(1, 2, (11.5, 4.2), title)
    ax.plot(
        r["n"],
        r["traces"]["limit"],
        color=plots.BLACK,
        alpha=0.3,
        linewidth=4,
        label="the limit −ln α · n·αⁿ",
    )
    ax.plot(
        r["n"],
        r["traces"]["near"],
        color=plots.RED,
        drawstyle="steps-mid",
        linewidth=1.2,
        label=f"snn.Alpha, α − β = {r['gap'][0]:.1e}",
    )
    ax.plot([], [], " ", label=f"snn.Alpha, α = β: NaN at {100 * r['nan']:.0f} % of the steps")
    ax.legend()
    plots.label(ax, "step n", "h[n]", "The staircase is float32's last digit, times κ")
    for name, (colour, marker) in {
        "float32": (plots.BLUE, "o"),
        "float64": (plots.GREEN, "^"),
    }.items():
        bx.plot(
            r["gap"],
            np.maximum(r["error"][name][:-2], 1e-17),
            marker,
            color=colour,
            ms=4.5,
            label=f"h, {name}",
        )
    bx.plot(
        r["gap"],
        r["gradient"]["float32"][:-2],
        "x",
        color=plots.RED,
        ms=5,
        label="∂h/∂β (autograd), float32",
    )
    bx.plot(
        r["gap"], r["bound"], color=plots.BLACK, linewidth=1, linestyle="--", label="κ · 1.2e-7"
    )
    bx.set(xscale="log", yscale="log")
    bx.legend(loc="upper right")
    plots.label(bx, "α − β", "relative error", "Digits lost, and faster in the gradient")
    return fig


# ------------------------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    def claims(
        kind: str, r: dict[str, Any], n: int | None, *rows: tuple[str, str, str, str | None]
    ) -> None:
        for key, text, unit, target in rows:  # one claim a row, about one model
            run.claim(
                f"{key}_{kind}".lower().replace(", ", "_"),
                f"{kind}: {text}",
                r[key],
                unit,
                target,
                n=n,
            )

    run.print("1  another neuron, the same weights: the wrong way")
    run.figure(plot_swap(r := experiment_swap(cfg)), "1_same_weights")
    for (kind, scaled), rate in r["rate"].items():
        key, text = (
            ("rate_scaled", "weights times 1/G: rate")
            if scaled
            else ("rate_same", "same weights: rate")
        )
        claims(kind, {key: rate}, r["n"], (key, text, "spikes/step", None))
    run.print("2  impulse responses")
    run.figure(plot_impulse(r := experiment_impulse(cfg), cfg), "2_impulse")
    n = cfg.num_steps
    for kind in MODELS:
        claims(kind, r[kind], n, ("error", "h against its closed form", "", "<= 1e-5"))
    run.claim(
        "impulse_guess", "textbook curve, sampled, against snn.Synaptic", r["guess_error"], "", n=n
    )
    run.claim(
        "twin",
        "Alpha against Synaptic, scaled and a step later",
        r["twin_error"],
        "",
        "<= 1e-5",
        n=n,
    )
    run.claim(
        "symmetry",
        "Synaptic, α and β exchanged: U differs by",
        r["swapped_error"],
        "",
        "<= 1e-5",
        n=n,
    )
    run.print("3  the α/β grid")
    run.figure(plot_grid(r := experiment_grid(cfg)), "3_grid")
    for kind in ("Synaptic", "Alpha"):
        claims(
            kind,
            r[kind],
            r[kind]["n"],
            ("peak_equal", "peak at the step of (6)", "1", ">= 0.98"),
            ("width_off", "width against the closed form", "steps", "<= 1"),
            ("area_error", "area against G", "1", "<= 1e-4"),
        )
    run.print("4  frequency response, and the jitter of the first spike")
    run.figure(plot_frequency(r := experiment_frequency(cfg)), "4_frequency")
    for kind, one in r["models"].items():
        claims(
            kind,
            one,
            len(r["f"]),
            ("error_h", "H measured against (7)", "1", "<= 1e-3"),
            ("tenth_db", "at 0.1 cycles a step", "dB", None),
            ("cutoff", "half the power at", "cycles/step", None),
        )
    run.figure(plot_jitter(r := experiment_jitter(cfg)), "5_jitter")
    for kind, one in r["models"].items():
        one |= {"jitter_02": one["jitter"][2], "predicted": one["jitter"][2] / one["theory"][2]}
        claims(
            kind,
            one,
            r["n"],
            ("jitter_02", "jitter at σ = 0.2", "steps", None),
            ("latency", "latency", "steps", None),
            ("predicted", "jitter/its prediction", "", "0.85..1.15"),
        )
    run.print("5  coincidence detection")
    run.figure(plot_coincidence(r := experiment_coincidence(cfg), cfg), "6_coincidence")
    run.claim(
        "window_off", "window against that from h, worst", r["off"], "steps", "== 0", n=r["n"]
    )
    for kind in MODELS:
        claims(
            kind,
            {"half": r["half"][kind]},
            cfg.trials,
            ("half", "scatter for half the volleys", "steps", None),
        )
        claims(
            kind,
            {"window": r["window"][kind][0] - 1},
            None,
            ("window", "longest Δ that fires it", "steps", None),
        )
    run.print("6  cost")
    run.figure(plot_cost(r := experiment_cost(cfg, run.device)), "7_cost")
    for kind, size in zip(MODELS, (4, 8, 12), strict=True):
        one = r[kind] | {"ratio": r[kind]["time"] / r["Leaky"]["time"]}
        claims(
            kind,
            one,
            cfg.neurons,
            ("state", "state a neuron", "bytes", f"== {size}"),
            ("ratio", "step time/that of Leaky", "", None),
        )
    run.print("7  the corner α → β of snn.Alpha")
    run.figure(plot_corner(r := experiment_corner(cfg)), "8_corner")
    run.claim("corner_refused", "constructor refuses α = β", r["refused"], "1", "== 1")
    run.claim(
        "corner_error", f"α − β = {r['gap'][0]:.1e}: error/peak", r["error"]["float32"][0], "1"
    )
    run.claim(
        "corner_nan",
        "β set to α afterwards: steps with U = NaN",
        r["nan"],
        "1",
        "== 1",
        n=len(r["n"]),
    )
    run.claim("corner_gradient", "and its gradient is NaN", r["nan_gradient"], "1", "== 1")
    run.claim("corner_sign", "β 5 % above α: lowest U", r["sign"], "", ">= 0")
    run.claim(
        "corner_remedy", "scaled Synaptic at α = β: error/peak", r["remedy_error"], "1", "<= 1e-5"
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
