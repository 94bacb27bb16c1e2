"""Lesson 01 — The leaky integrate-and-fire neuron: one number that leaks, and one rule that fires

Question
    What is left of a nerve cell if we keep only what a computer can step through a million times a second,
    and what can that remainder not do?

Idea
    A cell membrane is a thin insulator between two salt solutions: a capacitor C. Ion channels that stand
    open make it leak: a resistor R beside it. An injected current either charges the one or escapes
    through the other.

            I ───►──┬──────┬────  U    potential above rest
                    │      │
                    R      C           I = U/R + C·dU/dt        so with τ = R·C:
                    │      │
                   ─┴──────┴─          τ·dU/dt = −U + R·I                                            (1)

    That is the *passive* membrane: linear, forgetful, and unable to signal over a distance. A real neuron
    adds an *active* part, channels that open with the voltage and make the spike (Hodgkin and Huxley needed
    four coupled equations for it). All spikes look alike, so LIF throws their shape away and keeps two
    rules: when U passes the threshold θ, note a spike S = 1; then reset U. That is the whole bargain:
    the form of the spike is lost, the time of the spike is kept.

    A computer wants steps. If I is held during a step Δt, equation (1) can be solved without any error:

        U[t+1] = β·U[t] + (1−β)·R·I[t+1]           β = exp(−Δt/τ)                                    (2)

    β is what one step leaves of the potential: a property of the membrane (τ) *and* of your clock (Δt).
    Networks learn the scale of their input anyway, so snnTorch lets the weights swallow (1−β)·R. With the
    two rules added, this is the neuron of the whole course:

        S[t]   = 1 if U[t] > θ else 0                                                                (3)
        U[t+1] = β·U[t] + I[t+1] − S[t]·θ          (reset by subtraction)                            (4)

    Mind the S[t] in (4): a spike is paid for one step later. So the U that comes back with a spike still
    stands above θ, and θ is taken off in full, although U has leaked meanwhile. Half of all questions about
    snn.Leaky come from this line; section 3 makes both wrong guesses first and counts what they cost.

    Three results follow with pencil and paper, and the script checks each. Under a steady current U climbs
    to I/(1−β), so the weakest current that ever fires, the rheobase, is I = θ·(1−β). Above it, a neuron
    reset to zero fires every ⌊x⌋ + 1 steps with

        x = ln(1 − θ·(1−β)/I) / ln β               (the continuous period, in steps)                 (5)

    and, because the reset erases the only number there is, every interval is like the one before: LIF can
    neither tire (adaptation) nor stutter (bursting). Section 9 shows what has to be added.

Read first
    Theory:   Neuronal Dynamics, Ch. 1, https://neuronaldynamics.epfl.ch/online/Ch1.html (and Ch. 6 for section 9)
              Eshraghian et al. 2023, section II, https://arxiv.org/abs/2109.12894
    Practice: snnTorch tutorial 2, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_2.html

Run
    uv run 01_lif_neuron.py             @DEFAULT@
    uv run 01_lif_neuron.py --smoke     the same with fewer and shorter runs
    uv run 01_lif_neuron.py --full      ten times longer runs

You should see
@SEE@

Builds on / leads to
    Needs nothing but high-school calculus. 02 turns data into the current I, 06 gives I a shape in time,
    07 makes (3) trainable, 09 differentiates (4) through time, 13 uses the slow variable of section 9 as memory.

Predict: with --beta 0.99 instead of 0.9, how do the rheobase and the waiting time just above it change?
Next: uv run 02_spike_encoding.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import snntorch as snn
import torch
from matplotlib.figure import Figure

from common import plots
from common.lesson import LessonConfig, start
from common.results import Run

Tensor = torch.Tensor
RESETS = ("subtract", "zero", "none")


@dataclass
class Config(LessonConfig):
    """num_steps is the length of the traces that are drawn; what is measured on long runs takes long_steps.

    The hand-made neuron meets snn.Leaky on --device; the rest is too little work for a GPU and stays on the CPU.
    """

    LIMITS = LessonConfig.LIMITS | {"beta": (0.05, 0.999), "threshold": (0.01, 100.0), "long_steps": (100, 100_000),
                                    "neurons": (1, 10_000), "refractory": (1, 50), "grid": (2, 200)}
    num_steps: int = 200
    """time steps in the traces that are drawn; one step stands for 1 ms"""
    beta: float = 0.9
    """share of the potential that one step leaves; 0.9 at 1 ms is a time constant of 9.5 ms"""
    threshold: float = 1.0
    """potential θ above which the neuron fires"""
    long_steps: int = 1000
    """time steps of the runs that are only measured"""
    neurons: int = 64
    """neurons, each with noise of its own, in the comparison with snn.Leaky"""
    refractory: int = 5
    """steps for which a neuron sits out after a spike (section 6)"""
    grid: int = 40
    """values of β, and of θ, in the sweep of section 7"""


SMOKE = {"long_steps": 200, "neurons": 4, "grid": 6}
FULL = {"long_steps": 10_000, "neurons": 256, "grid": 80}


# ------------------------------------------------------------------------------------ the equations as code

# U[t+1] from U[t], I[t+1], S[t], β and θ. The first three are what snnTorch computes; the guesses are not.
RULES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "subtract": lambda mem, cur, spk, beta, theta: beta * mem + cur - spk * theta,  # equation (4)
    "zero": lambda mem, cur, spk, beta, theta: beta * ((1 - spk) * mem) + cur,      # old U cleared: U lands on I
    "none": lambda mem, cur, spk, beta, theta: beta * mem + cur,                    # a spike costs nothing
    "guess: subtract, then leak": lambda mem, cur, spk, beta, theta: beta * (mem - spk * theta) + cur,
    "guess: the step ends at 0": lambda mem, cur, spk, beta, theta: (1 - spk) * (beta * mem + cur),
}


def lif(cur: Tensor, beta: float | Tensor, theta: float | Tensor, rule: str = "subtract") -> tuple[Tensor, Tensor]:
    """A LIF neuron by hand: input current ``cur (T, B)`` → ``spk_rec, mem_rec``, each ``(T, B)``."""
    beta, theta = torch.as_tensor(beta).to(cur), torch.as_tensor(theta).to(cur)
    mem, spk = torch.zeros_like(cur[0]), torch.zeros_like(cur[0])  # at rest, no spike to pay for
    spk_rec, mem_rec = [], []
    for cur_t in cur:  # (B,)
        mem = RULES[rule](mem, cur_t, spk, beta, theta)  # U[t+1] from U[t], I[t+1], S[t]
        spk = (mem > theta).to(cur.dtype)                # S[t+1]
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


def leaky(cur: Tensor, beta: float | Tensor, theta: float | Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """The same loop around ``snn.Leaky``: one call a step, the membrane handed back in each time."""
    neuron = snn.Leaky(beta=beta, threshold=theta, **options).to(cur.device)
    mem = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    with torch.no_grad():
        for cur_t in cur:
            spk, mem = neuron(cur_t, mem)
            spk_rec.append(spk)
            mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)


def adaptive_lif(cur: Tensor, beta: float, theta: float, *, refractory: int = 0, restart: float = 0.0,
                 jump: float = 0.0, decay: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """LIF with two memories that outlive a spike: a refractory clock and a slow outward current w.

        U[t+1] = β·U[t] + I[t+1] − w[t+1]          w[t+1] = ρ·w[t] + b·S[t]

    A spike sets U to ``restart``, holds it there for ``refractory`` steps, and adds b (``jump``) to w, which
    keeps the share ρ (``decay``) of itself a step. With everything at 0 this is ``snn.Leaky`` reset to zero.

    Returns:
        ``spk_rec, mem_rec, w_rec``, each ``(T, B)``.
    """
    mem, spk, w, wait = (torch.zeros_like(cur[0]) for _ in range(4))
    records: list[tuple[Tensor, Tensor, Tensor]] = []
    for cur_t in cur:
        wait = torch.where(spk > 0, refractory, wait - 1)  # steps still to sit out
        w = decay * w + jump * spk
        mem = torch.where(spk > 0, restart, mem)
        mem = torch.where(wait > 0, mem, beta * mem + cur_t - w)
        spk = ((mem > theta) & (wait <= 0)).to(cur.dtype)
        records.append((spk, mem, w))
    spk_rec, mem_rec, w_rec = (torch.stack(r) for r in zip(*records, strict=True))
    return spk_rec, mem_rec, w_rec


def period(cur: np.ndarray, beta: np.ndarray | float, theta: np.ndarray | float) -> np.ndarray:
    """Equation (5): steps between spikes under constant current, as a real number; infinite below the rheobase."""
    share = np.minimum(theta * (1 - np.asarray(beta, float)) / np.asarray(cur, float), 1.0)
    with np.errstate(divide="ignore"):
        return np.log1p(-share) / np.log(beta)


def intervals(spk: Tensor) -> np.ndarray:
    """Steps from each spike of one neuron ``spk (T,)`` to the next."""
    return np.diff(np.nonzero(spk.numpy())[0])


def ratio(isi: np.ndarray, kind: str) -> float:
    """``last/first`` interval or ``longest/shortest``; 0 if there are fewer than two intervals to compare."""
    if len(isi) < 2:
        return 0.0
    return float(isi[-1] / isi[0] if kind == "last/first" else isi.max() / isi.min())


# ----------------------------------------------------------------- 1  from the differential equation to steps


def experiment_discretise() -> dict[str, Any]:
    """Forward Euler, the obvious way to step (1), against β = exp(−Δt/τ), for a current switched on at 0 (R·I = 1).

    Both are judged by the exact solution over 20 τ. A sine current, held during each step as any digital
    input is, shows what β cannot repair: what the input did *within* a step is gone.
    """
    ratios = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 1.9, 2.1, 2.5])  # Δt/τ
    error: dict[str, list[float]] = {"Euler, 1 − Δt/τ": [], "exact, β = exp(−Δt/τ)": [], "exact β, sine current": []}
    traces = {}
    for r in ratios:
        t = np.arange(round(20 / r) + 1) * r  # in units of τ
        step, sine = 1 - np.exp(-t), (np.sin(t) - np.cos(t) + np.exp(-t)) / 2  # (1) solved for I = 1 and I = sin t
        for name, keep, cur, truth in zip(error, (1 - r, np.exp(-r), np.exp(-r)), (np.ones_like(t), np.ones_like(t),
                                          np.sin(t)), (step, step, sine), strict=True):
            mem = np.zeros_like(t)
            for k in range(1, len(t)):
                mem[k] = keep * mem[k - 1] + (1 - keep) * cur[k]
            error[name].append(float(np.abs(mem - truth).max()))
            traces[name, float(r)] = (t, mem)
    euler = error["Euler, 1 − Δt/τ"]
    return {"ratios": ratios, "error": error, "traces": traces,
            "slope": float(np.polyfit(np.log(ratios[:4]), np.log(euler[:4]), 1)[0])}


def plot_discretise(r: dict[str, Any]) -> Figure:
    first = next((x for x, e in zip(r["ratios"], r["error"]["Euler, 1 − Δt/τ"], strict=True) if e > 0.05), np.inf)
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), f"Euler is off by more than 5 % from Δt/τ = {first:g} and explodes "
                                                "beyond 2; β = exp(−Δt/τ) is exact")
    fine = np.linspace(0, 8, 400)
    ax.plot(fine, 1 - np.exp(-fine), color=plots.BLACK, linewidth=3, alpha=0.3, label="the ODE")
    for i, x in enumerate((0.5, 1.5, 2.1)):
        ax.plot(*r["traces"]["Euler, 1 − Δt/τ", x], marker=plots.MARKERS[i], markersize=4.5, linewidth=1.1,
                linestyle=plots.DASHES[i], color=plots.COLOURS[i + 1], label=f"Euler, Δt = {x:g} τ")
    ax.plot(*r["traces"]["exact, β = exp(−Δt/τ)", 1.5], "o", color=plots.BLUE, markersize=7, mfc="none", mew=1.6,
            label="β, Δt = 1.5 τ")
    ax.set(xlim=(0, 8), ylim=(-0.4, 2.6))
    ax.legend(loc="upper right", ncols=2)
    plots.label(ax, "time (τ)", "potential U (R·I)", "A current is switched on")
    plots.curves(bx, r["ratios"], {k: np.maximum(v, 1e-16) for k, v in r["error"].items()})
    bx.axvline(2, color="grey", linestyle=":", linewidth=1)
    bx.text(2.15, 1e-9, "Euler unstable", rotation=90, color="grey", fontsize=9, va="center")
    bx.set(xscale="log", yscale="log", xlim=(0.008, 4))
    bx.legend(loc="center left", bbox_to_anchor=(0, 0.45))
    plots.label(bx, "step length Δt/τ", "largest error of U (R·I)", "Error against step length")
    return fig


# --------------------------------------------------------------------------- 2  the passive membrane below θ


def experiment_passive(cfg: Config) -> dict[str, Any]:
    """Below threshold: the approach to I/(1−β), and superposition. Above threshold: superposition is gone."""
    shares = torch.tensor([0.2, 0.4, 0.6, 0.8, 0.95])  # of the rheobase θ(1−β)
    steps = int(np.ceil(np.log(1e-7) / np.log(cfg.beta)))  # until β^t < 1e-7: settled
    cur = shares * cfg.threshold * (1 - cfg.beta)
    _, mem = leaky(cur.expand(steps, 5), cfg.beta, cfg.threshold)  # (T, 5)
    steady = cur.double() / (1 - cfg.beta)
    closed = steady * (1 - cfg.beta ** torch.arange(1, steps + 1, dtype=torch.float64)[:, None])

    rng = torch.Generator().manual_seed(cfg.seed)
    drive = torch.rand(max(cfg.num_steps, cfg.long_steps), 2, generator=rng) * 0.45 * cfg.threshold * (1 - cfg.beta)
    out: dict[str, Any] = {"mem": mem, "steady": steady, "tau": -1 / np.log(cfg.beta)}
    out["steady_error"] = ((mem[-1] - steady).abs().max() / cfg.threshold).item()
    out["closed_error"] = ((mem - closed).abs().max() / cfg.threshold).item()
    for name, scale in (("passive", 1.0), ("active", 5.0)):
        a, b = (drive * scale).unbind(1)
        mems = leaky(torch.stack([a, b, a + b], 1), cfg.beta, cfg.threshold)[1]  # (T, 3): alone, alone, together
        out[name] = (mems[:, 0] + mems[:, 1], mems[:, 2])
        out[f"{name}_error"] = ((out[name][0] - out[name][1]).abs().max() / cfg.threshold).item()
    return out


def plot_passive(r: dict[str, Any], cfg: Config) -> Figure:
    fig, axes = plots.figure(1, 3, (13, 3.9), f"Below θ the membrane is a linear filter with τ = {r['tau']:.1f} steps; "
                                              "the spike is what makes it non-linear", width_ratios=(1.1, 1, 1))
    ax = axes[0]
    mem = torch.cat([torch.zeros(1, 5), r["mem"]])[: min(cfg.num_steps, int(6 * r["tau"]) + 2)]
    for i, level in enumerate(r["steady"].tolist()):
        ax.plot(mem[:, i], color=plots.COLOURS[i])
        ax.axhline(level, color=plots.COLOURS[i], linestyle=":", linewidth=1)
    ax.axhline(cfg.threshold, color=plots.RED, linestyle="--", linewidth=1)
    ax.axvline(r["tau"], color="grey", linewidth=0.8)
    ax.annotate("after τ: 63 % of the way", (r["tau"], 0.03 * cfg.threshold), xytext=(5, 0),
                textcoords="offset points", fontsize=9, color="grey")
    ax.text(0, cfg.threshold * 1.02, "threshold θ", color=plots.RED, fontsize=9, va="bottom")
    ax.set_ylim(0, 1.15 * cfg.threshold)
    plots.label(ax, "step", "potential U", "Five currents: dotted, I/(1−β)")
    for ax, name in zip(axes[1:], ("passive", "active"), strict=True):
        apart, together = (x[: min(cfg.num_steps, 60)] for x in r[name])
        ax.plot(apart, color=plots.ORANGE, linewidth=4, alpha=0.55, label="U(a) + U(b)")
        ax.plot(together, color=plots.BLUE, linewidth=1.3, label="U(a + b)")
        ax.axhline(cfg.threshold, color=plots.RED, linestyle="--", linewidth=1, label="threshold θ")
        ax.set_ylim(top=1.45 * max(cfg.threshold, float(apart.max())))
        ax.legend(loc="upper right", ncols=3, columnspacing=1, handlelength=1.4)
        what = "weak input: the sum of the answers" if name == "passive" else "five times the input: not the sum"
        plots.label(ax, "step", "", f"{name.capitalize()}, {what}")
    return fig


# ---------------------------------------------------------------------------------- 3  by hand, beside snn.Leaky


def experiment_by_hand(cfg: Config, device: torch.device) -> dict[str, Any]:
    """Noise into snn.Leaky and into each of the five rules: at how many of the T·B steps do their spikes differ?"""
    rng = torch.Generator().manual_seed(cfg.seed)
    noise = torch.rand(max(cfg.num_steps, cfg.long_steps), cfg.neurons, generator=rng)
    cur = ((1.4 * noise - 0.5) * cfg.threshold).to(device)  # (T, B), −0.5 θ to 0.9 θ: inhibition as well
    theirs = {reset: leaky(cur, cfg.beta, cfg.threshold, reset_mechanism=reset) for reset in RESETS}
    # reset_delay=False pays for a spike within its own step
    theirs |= {f"{reset}, at once": leaky(cur, cfg.beta, cfg.threshold, reset_mechanism=reset, reset_delay=False)
               for reset in RESETS[:2]}
    ours = {rule: lif(cur, cfg.beta, cfg.threshold, rule) for rule in RULES}
    rivals = [(reset, reset) for reset in RESETS] + [
        ("guess: subtract, then leak", "subtract"), ("guess: the step ends at 0", "zero"),
        ("guess: subtract, then leak", "subtract, at once"), ("zero", "zero, at once")]
    differ = {(a, b): int((ours[a][0] != theirs[b][0]).sum()) for a, b in rivals}
    return {"differ": differ, "n": cur.numel(), "first": cfg.threshold, "num_steps": cfg.num_steps,
            "ours": {k: m[:, 0].cpu() for k, (_, m) in ours.items()},
            "theirs": {k: m[:, 0].cpu() for k, (_, m) in theirs.items()}}


def plot_by_hand(r: dict[str, Any]) -> Figure:
    same = all(r["differ"][reset, reset] == 0 for reset in RESETS)
    wrong = [r["differ"]["guess: subtract, then leak", "subtract"], r["differ"]["guess: the step ends at 0", "zero"]]
    fig, axes = plots.figure(3, 1, (10, 7.2), f"Equation (4) and snn.Leaky: {'the same' if same else 'NOT the same'} "
                             f"spikes; the two guesses miss {wrong[0] / r['n']:.1%} and {wrong[1] / r['n']:.1%} of steps",
                             sharex=True)
    guesses = {"subtract": "guess: subtract, then leak", "zero": "guess: the step ends at 0"}
    for ax, reset in zip(axes, RESETS, strict=True):
        shown = slice(0, min(r["num_steps"], 60))
        t = np.arange(len(r["ours"][reset][shown]))
        ax.plot(t, r["theirs"][reset][shown], color=plots.SKY, linewidth=3.5, label="snn.Leaky")
        ax.plot(t, r["ours"][reset][shown], ".", color=plots.BLACK, markersize=5, label="by hand")
        if reset in guesses:
            ax.plot(t, r["ours"][guesses[reset]][shown], "--", color=plots.RED, linewidth=1.1, label=guesses[reset])
        ax.axhline(r["first"], color="grey", linestyle=":", linewidth=1.2)
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
        plots.label(ax, "step" if reset == "none" else "", "potential U", f"reset: {reset}")
    return fig


# --------------------------------------------------------------------------- 4  subtract, zero, none: the ledger


def experiment_resets(cfg: Config) -> dict[str, Any]:
    """What one spike leaves behind, where the charge goes, and a corner of ``reset_delay=False``."""
    beta, theta = cfg.beta, cfg.threshold
    kick = torch.tensor([[1.3], [0.2]]) * theta  # one spike, then a weak input
    a, b = kick.flatten().tolist()
    formulas = {("subtract", True): ("βU + I − θ", beta * a + b - theta), ("zero", True): ("I", b),
                ("none", True): ("βU + I", beta * a + b), ("subtract", False): ("β(U − θ) + I", beta * (a - theta) + b),
                ("zero", False): ("I", b)}
    rows, error = [], 0.0
    for (reset, delay), (formula, value) in formulas.items():
        _, mem = leaky(kick, beta, theta, reset_mechanism=reset, reset_delay=delay)
        rows.append((reset, str(delay), mem[0].item(), formula, value, mem[1].item()))
        error = max(error, abs(value - mem[1].item()) / theta)

    # Without a leak (β = 1) every bit of input must be in U or have been paid out in spikes of θ each.
    rng = torch.Generator().manual_seed(cfg.seed)
    cur = torch.rand(max(cfg.num_steps, cfg.long_steps), 1, generator=rng) * 0.8 * theta
    charge, traces = {}, {}
    for reset in RESETS:
        spk, mem = leaky(cur, 1.0, theta, reset_mechanism=reset)
        paid = theta * spk[:-1].sum()  # the last spike is not paid for yet: θ still stands in U
        charge[reset] = ((paid + mem[-1]) / cur.sum()).item()
        traces[reset] = leaky(cur[: min(cfg.num_steps, 40)], beta, theta, reset_mechanism=reset)

    # A kick above 2θ with reset_delay=False: what is left after the reset is above θ again.
    quirk = torch.zeros(8, 1)
    quirk[0] = 2.5 * theta
    spk, mem = leaky(quirk, beta, theta, reset_delay=False)
    return {"rows": rows, "error": error, "charge": charge, "traces": traces, "theta": theta, "quirk_mem": mem[:, 0],
            "quirk": int(((mem > theta) & (spk == 0)).sum()), "quirk_spk": spk[:, 0],
            "late": leaky(quirk, beta, theta)[1][:, 0]}


def plot_resets(r: dict[str, Any]) -> Figure:
    charge = r["charge"]
    fig, axes = plots.figure(2, 3, (13, 6.4), f"Subtract accounts for {charge['subtract']:.0%} of the input, zero for "
                                              f"{charge['zero']:.0%}, none for {charge['none']:.0%}")
    for ax, reset in zip(axes[0], RESETS, strict=True):
        spk, mem = r["traces"][reset]
        plots.membrane(ax, mem[:, 0], r["theta"], spk[:, 0])
        plots.label(ax, "step", "potential U" if reset == "subtract" else "", f"{reset}: {int(spk.sum())} spikes")
    ax, bx, cx = axes[1]
    plots.bars(ax, charge, fmt="{:.2f}")
    ax.axvline(1, color=plots.RED, linestyle="--", linewidth=1)
    plots.label(ax, "(θ·spikes + U at the end) / ΣI", "", "Where the charge went (no leak)")
    names = [f"{row[0]},\n{'late' if row[1] == 'True' else 'at once'}" for row in r["rows"]]
    x = np.arange(len(names))
    bx.bar(x - 0.2, [row[2] for row in r["rows"]], 0.38, color=plots.SKY, label="with the spike")
    bx.bar(x + 0.2, [row[5] for row in r["rows"]], 0.38, color=plots.BLUE, label="one step later")
    bx.plot(x + 0.2, [row[4] for row in r["rows"]], "_", color=plots.RED, markersize=18, mew=2, label="formula")
    bx.set_xticks(x, names, fontsize=8)
    bx.set_ylim(top=1.75 * r["theta"])
    bx.legend(ncols=3, loc="upper center", columnspacing=1, handlelength=1.2)
    plots.label(bx, "", "returned U", "A kick of 1.3 θ, then an input of 0.2 θ")
    cx.plot(r["late"], "o-", color=plots.GREEN, markersize=5, label="reset_delay=True")
    cx.plot(r["quirk_mem"], "s--", color=plots.ORANGE, markersize=5, label="reset_delay=False")
    cx.axhline(r["theta"], color=plots.RED, linestyle="--", linewidth=1)
    cx.legend()
    plots.label(cx, "step", "", f"A kick of 2.5 θ: {r['quirk']} steps above θ without a spike")
    return fig


# --------------------------------------------------------------------------------------------- 5  the f–I curve


def experiment_fi(cfg: Config) -> dict[str, Any]:
    """Firing rate under constant current, measured with snn.Leaky, against equation (5)."""
    steps = max(cfg.num_steps, cfg.long_steps)
    rheobase = cfg.threshold * (1 - cfg.beta)
    cur = np.r_[np.linspace(0.5, 0.99, 8) * rheobase, np.geomspace(1.005 * rheobase, 1.2 * cfg.threshold, 80)]
    drive = torch.tensor(cur, dtype=torch.float32).expand(steps, -1)  # (T, B): one neuron a current
    spk = {reset: leaky(drive, cfg.beta, cfg.threshold, reset_mechanism=reset)[0] for reset in RESETS[:2]}
    predicted = period(cur, cfg.beta, cfg.threshold)
    isi = {k: [intervals(s[:, i]) for i in range(len(cur))] for k, s in spk.items()}
    rate = {k: np.array([1 / x.mean() if len(x) else 0.0 for x in v]) for k, v in isi.items()}
    fires = rate["zero"] > 0
    off = 1 / rate["zero"][fires] - predicted[fires]  # steps; a whole number of steps can only be later
    return {"cur": cur, "rheobase": rheobase, "predicted": predicted, "rate": rate, "fires": fires, "off": off,
            "silent": float((spk["zero"].sum(0).numpy()[cur < rheobase] == 0).mean()),
            "slower": int((rate["subtract"] < rate["zero"])[fires].sum()), "threshold": cfg.threshold}


def plot_fi(r: dict[str, Any]) -> Figure:
    x = r["cur"] / r["rheobase"]
    worst = np.abs(r["off"]).max(initial=0.0)
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), f"Nothing below the rheobase; above it the period is the closed form, "
                                                f"rounded up (worst {worst:.2f} steps)")
    with np.errstate(divide="ignore"):
        ax.plot(x, np.minimum(1, 1 / r["predicted"]), color=plots.BLACK, linewidth=3.5, alpha=0.25,
                label="closed form 1/x, at most 1")
    ax.plot(x, r["rate"]["zero"], "o", color=plots.BLUE, markersize=3.5, label="reset to zero")
    ax.plot(x, r["rate"]["subtract"], "s", color=plots.RED, markersize=3.5, mfc="none", label="reset by subtraction")
    ax.axvline(1, color="grey", linestyle=":", linewidth=1)
    ax.text(1.03, 0.97, "rheobase θ(1−β)", rotation=90, fontsize=9, color="grey", va="top", ha="left")
    ax.set_xscale("log")
    ax.set_xticks(ticks := [0.5, 1, 2, 5, 10], [f"{t:g}" for t in ticks])
    ax.legend(loc="upper left", bbox_to_anchor=(0.28, 1))
    plots.label(ax, "input current I (rheobases)", "rate (spikes per step)", "The f–I curve")
    bx.axhspan(0, 1, color=plots.GREEN, alpha=0.12, linewidth=0)
    bx.plot(x[r["fires"]], r["off"], "o", color=plots.BLUE, markersize=3.5)
    bx.set(xscale="log", ylim=(-1.1, 1.6))
    bx.set_xticks(ticks[1:], [f"{t:g}" for t in ticks[1:]])
    bx.text(0.03, 0.95, "green: less than one step late", transform=bx.transAxes, fontsize=9, va="top")
    plots.label(bx, "input current I (rheobases)", "measured − predicted period (steps)", "A spike waits for the next step")
    return fig


# -------------------------------------------------------------------------------------- 6  the refractory period


def experiment_refractory(cfg: Config) -> dict[str, Any]:
    """Sitting out r steps after a spike adds r to every period, so no input can drive the rate above 1/(r+1)."""
    cur = np.geomspace(1.05 * cfg.threshold * (1 - cfg.beta), 3 * cfg.threshold, 40)
    drive = torch.tensor(cur, dtype=torch.float32).expand(max(cfg.num_steps, cfg.long_steps), -1)
    out: dict[str, Any] = {"cur": cur / (cfg.threshold * (1 - cfg.beta)), "off": 0.0, "n": 0, "ceiling": {}, "rate": {},
                           "predicted": {}}
    for r in (0, cfg.refractory, 3 * cfg.refractory):
        spk, mem, _ = adaptive_lif(drive, cfg.beta, cfg.threshold, refractory=r)
        isi = np.array([x.mean() if len(x := intervals(spk[:, i])) else np.inf for i in range(len(cur))])
        predicted = r + np.maximum(1, period(cur, cfg.beta, cfg.threshold))
        seen = np.isfinite(isi)
        out["off"] = max(out["off"], float(np.abs(isi - predicted)[seen].max(initial=0)))
        out["n"] += int(seen.sum())
        out["rate"][r], out["predicted"][r], out["ceiling"][r] = 1 / isi, 1 / predicted, float(1 / isi[-1])
        out["trace", r] = (spk[:, 20], mem[:, 20])
    return out


def plot_refractory(r: dict[str, Any], cfg: Config) -> Figure:
    fig, (ax, bx) = plots.figure(1, 2, (11, 4), f"Sitting out {cfg.refractory} steps caps the rate at "
                                                f"{r['ceiling'][cfg.refractory]:.3f} spikes a step")
    spk, mem = (x[: min(cfg.num_steps, 60)] for x in r["trace", cfg.refractory])
    plots.membrane(ax, mem, cfg.threshold, spk)
    for t in np.nonzero(spk.numpy())[0]:
        ax.axvspan(t + 0.5, t + cfg.refractory + 0.5, color="grey", alpha=0.18, linewidth=0)
    ax.set_ylim(top=1.45 * max(float(mem.max()), cfg.threshold))
    ax.legend(ncols=3, loc="upper center")
    plots.label(ax, "step", "potential U", "Grey: deaf to its input")
    for i, (wait, rate) in enumerate(r["rate"].items()):
        bx.plot(r["cur"], r["predicted"][wait], color=plots.COLOURS[i], alpha=0.35, linewidth=3)
        bx.plot(r["cur"], rate, plots.MARKERS[i], color=plots.COLOURS[i], markersize=3.5, label=f"{wait} steps")
    bx.set(xscale="log", yscale="log")
    bx.legend(title="refractory for")
    plots.label(bx, "input current I (rheobases)", "rate (spikes per step)", "Lines: 1 / (r + closed form)")
    return fig


# ------------------------------------------------------------------------------------------- 7  sweeps of β and θ


def experiment_sweep(cfg: Config) -> dict[str, Any]:
    """All pairs of β and θ under one current, as one layer of neurons: beta and threshold may be tensors."""
    current, steps = 0.15, max(cfg.num_steps, cfg.long_steps)
    memories = 1 - np.geomspace(0.5, 0.01, cfg.grid)  # β from 0.5 to 0.99, evenly in log τ
    thetas = np.geomspace(0.1, 10, cfg.grid)
    beta, theta = (x.ravel() for x in np.meshgrid(memories, thetas, indexing="ij"))
    as_tensor = lambda x: torch.tensor(x, dtype=torch.float32)  # noqa: E731
    spk, _ = leaky(torch.full((steps, len(beta)), current), as_tensor(beta), as_tensor(theta), reset_mechanism="zero")
    fired = spk.any(0).numpy()
    expected = period(current, beta, theta) < steps
    spread = [ratio(x, "longest/shortest") for i in range(len(beta)) if len(x := intervals(spk[:, i])) > 1]
    pulses = torch.zeros(max(cfg.num_steps, 1), 1)
    pulses[[t for t in (5, 20, 24, 28, 50) if t < len(pulses)]] = 1.0
    return {"memories": memories, "thetas": thetas, "rate": spk.mean(0).numpy().reshape(cfg.grid, cfg.grid),
            "agree": float((fired == expected).mean()), "n": len(beta), "spread": max(spread, default=0.0),
            "spread_n": len(spread), "current": current,
            "pulses": {b: lif(pulses, b, 1e9)[1][:, 0] for b in (0.5, 0.9, 0.98)}}


def plot_sweep(r: dict[str, Any]) -> Figure:
    fig, (ax, bx, cx) = plots.figure(1, 3, (13.5, 4), f"I/(1−β) against θ decides who fires: right for "
                                                     f"{r['agree']:.1%} of {r['n']:,} neurons")
    for i, (beta, mem) in enumerate(r["pulses"].items()):
        ax.plot(mem[:90], color=plots.COLOURS[i], linestyle=plots.DASHES[i],
                label=f"β = {beta:g}: half gone in {np.log(0.5) / np.log(beta):.0f} steps")
    ax.legend(loc="upper left")
    ax.set_ylim(top=5)
    plots.label(ax, "step", "potential U (no threshold)", "β is memory: five input pulses of 1")
    for i, j in enumerate(np.linspace(0, len(r["memories"]) - 1, 5).round().astype(int)):
        bx.plot(r["thetas"], np.maximum(r["rate"][j], 1e-9), color=plots.COLOURS[i], linestyle=plots.DASHES[i],
                label=f"β = {r['memories'][j]:.2f}")
    bx.set(xscale="log", yscale="log", ylim=(8e-4, 1.5))
    bx.legend()
    plots.label(bx, "threshold θ", "rate (spikes per step)", "A higher θ: fewer spikes, then none")
    rate = np.where(r["rate"] > 0, np.log10(np.maximum(r["rate"], 1e-9)), np.nan)
    mesh = cx.pcolormesh(1 / (1 - r["memories"]), r["thetas"], rate.T, shading="nearest", vmin=-3, vmax=0)
    cx.plot(1 / (1 - r["memories"]), r["current"] / (1 - r["memories"]), color=plots.RED, label="θ = I/(1−β)")
    cx.set(xscale="log", yscale="log")
    cx.legend(loc="lower right", facecolor="white", frameon=True)
    fig.colorbar(mesh, ax=cx, label="log₁₀ rate (white: silent)")
    plots.label(cx, "memory 1/(1−β) (steps)", "threshold θ", f"One input, I = {r['current']:g}, for all")
    return fig


# ------------------------------------------------------------------------- 8  step, ramp, sine and noise currents


def experiment_currents(cfg: Config) -> dict[str, Any]:
    """Four currents, each in rheobases. The noise has a mean that alone would never make the neuron fire."""
    steps, sine_period = max(cfg.num_steps, cfg.long_steps), 40
    t = torch.arange(steps)
    phase = (t % cfg.num_steps) / cfg.num_steps  # step and ramp start anew with every drawn window
    rheobase = cfg.threshold * (1 - cfg.beta)
    # the membrane averages: for a spread of θ/4 in U, white noise needs a spread √(1−β²)⁻¹ times as wide
    noise = torch.randn(steps, generator=torch.Generator().manual_seed(cfg.seed))
    noise *= 0.25 * cfg.threshold * np.sqrt(1 - cfg.beta**2) / rheobase
    cur = {"step": 2.0 * ((phase >= 0.15) & (phase < 0.75)), "ramp": 3.0 * phase,
           "sine": 1.2 + 1.2 * torch.sin(2 * torch.pi * t / sine_period), "noise": 0.75 + noise,
           "its mean": torch.full((steps,), 0.75)}
    spk, mem = leaky(torch.stack(list(cur.values()), 1) * rheobase, cfg.beta, cfg.threshold)  # (T, 5)
    angles = 2 * np.pi * (np.nonzero(spk[:, 2].numpy())[0] % sine_period) / sine_period
    return {"cur": {k: v[: cfg.num_steps] for k, v in cur.items()}, "steps": steps, "spk": spk[: cfg.num_steps],
            "mem": mem[: cfg.num_steps], "spikes": {k: int(n) for k, n in zip(cur, spk.sum(0), strict=True)},
            "locking": float(abs(np.exp(1j * angles).mean())) if len(angles) else 0.0}


def plot_currents(r: dict[str, Any], cfg: Config) -> Figure:
    fig, axes = plots.figure(2, 4, (14, 5.2), f"Noise whose mean alone gives {r['spikes']['its mean']} spikes in "
                             f"{r['steps']:,} steps gives {r['spikes']['noise']}; a sine locks the spikes to its phase",
                             sharex=True, sharey="row", height_ratios=(1, 1.6))
    for i, name in enumerate(("step", "ramp", "sine", "noise")):
        top, ax = axes[:, i]
        top.plot(r["cur"][name], color=plots.GREEN, linewidth=1.3)
        top.axhline(1, color="grey", linestyle=":", linewidth=1.2)
        plots.label(top, "", "I (rheobases)" if i == 0 else "", f"{name}: {int(r['spk'][:, i].sum())} spikes")
        plots.membrane(ax, r["mem"][:, i], cfg.threshold, r["spk"][:, i])
        plots.label(ax, "step", "potential U" if i == 0 else "")
    axes[1, 0].legend(loc="lower center", fontsize=8)
    return fig


# ------------------------------------------------------------------------------------------- 9  where LIF fails


def experiment_limits(cfg: Config) -> dict[str, Any]:
    """One current, four neurons: LIF, LIF with a slow current w, with an afterpotential too, and with that alone."""
    rheobase = cfg.threshold * (1 - cfg.beta)
    cur = torch.full((max(cfg.num_steps, cfg.long_steps), 1), 2 * rheobase)
    above = (cfg.threshold + 0.35 * rheobase) / cfg.beta  # so high that one more leak still leaves U above θ
    slow = {"jump": 0.1 * rheobase, "decay": float(np.exp(-1 / 100))}
    kinds = {"LIF": {"refractory": 2}, "adapting": {"refractory": 2, **slow},
             "bursting": {"refractory": 2, "restart": above, "jump": 0.45 * rheobase, "decay": slow["decay"]},
             "control": {"refractory": 2, "restart": above}}
    out = {}
    for name, options in kinds.items():
        spk, mem, w = adaptive_lif(cur, cfg.beta, cfg.threshold, **options)
        isi = intervals(spk[:, 0])
        out[name] = {"spk": spk[:, 0], "mem": mem[:, 0], "w": w[:, 0] / rheobase, "isi": isi,
                     "last/first": ratio(isi, "last/first"), "longest/shortest": ratio(isi, "longest/shortest")}
    return out


def plot_limits(r: dict[str, Any], cfg: Config) -> Figure:
    fig, axes = plots.figure(3, 2, (12, 7.2), f"LIF repeats itself (last/first interval {r['LIF']['last/first']:.0f}); "
                             f"one slow variable adapts ({r['adapting']['last/first']:.1f}) or bursts",
                             width_ratios=(2.2, 1), sharex="col")
    for (ax, bx), name in zip(axes, ("LIF", "adapting", "bursting"), strict=True):
        shown = slice(0, cfg.num_steps)
        plots.membrane(ax, r[name]["mem"][shown], cfg.threshold, r[name]["spk"][shown])
        ax.plot(r[name]["w"][shown] * 0.5 * cfg.threshold, color=plots.ORANGE, linewidth=1.2, label="slow current w (½ θ = 1 rheobase)")
        plots.label(ax, "step" if name == "bursting" else "", "potential U", name)
        bx.plot(r[name]["isi"][:30], "o-", color=plots.BLUE, markersize=4, linewidth=0.8)
        bx.set_ylim(0, 1.25 * max(r[name]["isi"][:30], default=1))
        plots.label(bx, "interval number" if name == "bursting" else "", "interval (steps)",
                    f"longest/shortest {r[name]['longest/shortest']:.1f}")
    axes[0, 0].legend(loc="upper right", ncols=4)
    axes[0, 0].set_ylim(top=1.6 * cfg.threshold)
    return fig


# ------------------------------------------------------------------------------------------------------ the lesson


def main(cfg: Config, run: Run) -> None:
    run.print("1  from the differential equation to steps")
    r = experiment_discretise()
    run.figure(plot_discretise(r), "1_discretise")
    euler, exact, sine = r["error"].values()
    run.claim("euler_order", "Euler: power of Δt/τ in its error", r["slope"], "", "0.95..1.05", n=4)
    run.claim("euler_diverges", "Euler at Δt/τ = 2.5: error over 20 τ", euler[-1], "R·I", ">= 10")
    run.claim("beta_exact", "β = exp(−Δt/τ): largest error at any Δt/τ", max(exact), "R·I", "<= 1e-12", n=len(exact))
    run.claim("beta_sine", "the same for a sine current held for 0.1 τ", sine[3], "R·I")

    run.print("2  the passive membrane below threshold")
    r = experiment_passive(cfg)
    run.figure(plot_passive(r, cfg), "2_passive")
    run.claim("steady_state", "steady state against I/(1−β), in θ", r["steady_error"], "θ", "<= 1e-5", n=5)
    run.claim("approach", "the way there against I(1−β^t)/(1−β)", r["closed_error"], "θ", "<= 1e-5", n=5)
    run.claim("superposition", "U(a+b) − U(a) − U(b), passive", r["passive_error"], "θ", "<= 1e-5")
    run.claim("superposition_active", "U(a+b) − U(a) − U(b), spiking", r["active_error"], "θ", ">= 0.5")

    run.print("3  by hand, beside snn.Leaky")
    r = experiment_by_hand(cfg, run.device)
    run.figure(plot_by_hand(r), "3_by_hand")
    for reset in RESETS:
        run.claim(f"same_{reset}", f"{reset}: spikes unlike snn.Leaky's", r["differ"][reset, reset], "spikes", "== 0", n=r["n"])
    for id, (a, b), target in (
            ("guess_leak", ("guess: subtract, then leak", "subtract"), None),
            ("guess_zero", ("guess: the step ends at 0", "zero"), None),
            ("guess_at_once", ("guess: subtract, then leak", "subtract, at once"), "== 0"),
            ("zero_at_once", ("zero", "zero, at once"), "== 0")):
        text = f"{a} ≠ {b.replace(', at once', ' with reset_delay=False')}: share of steps"
        run.claim(id, text, r["differ"][a, b] / r["n"], "1", target, n=r["n"])

    run.print("4  subtract, zero, none")
    r = experiment_resets(cfg)
    run.figure(plot_resets(r), "4_resets")
    run.table("After a kick of 1.3 θ, an input of 0.2 θ: what snn.Leaky returns",
              ("reset", "reset_delay", "U with the spike", "next U is", "formula", "snn.Leaky"), r["rows"])
    run.claim("reset_formulas", "the five formulas against snn.Leaky", r["error"], "θ", "<= 1e-6", n=5)
    run.claim("charge_subtract", "subtract: share of the input accounted for", r["charge"]["subtract"], "1", "0.9999..1.0001")
    run.claim("charge_zero", "zero: share of the input accounted for", r["charge"]["zero"], "1", "<= 0.95")
    run.claim("charge_none", "none: times the input is counted", r["charge"]["none"], "times", ">= 1.05")
    run.claim("quirk", "reset_delay=False, kick of 2.5 θ: steps above θ without a spike", r["quirk"], "steps")

    run.print("5  the f–I curve")
    r = experiment_fi(cfg)
    run.figure(plot_fi(r), "5_fi_curve")
    n = int(r["fires"].sum())
    run.claim("fi_period", "period against closed form (5), worst", np.abs(r["off"]).max(initial=0), "steps", "<= 1", n=n)
    run.claim("fi_silent", "currents below the rheobase that stay silent", r["silent"], "1", "== 1", n=8)
    run.claim("fi_subtract_slower", "currents at which subtract fires more slowly than zero", r["slower"], "currents", n=n)

    run.print("6  the refractory period")
    r = experiment_refractory(cfg)
    run.figure(plot_refractory(r, cfg), "6_refractory")
    run.claim("refractory_period", "period against r + closed form, worst", r["off"], "steps", "<= 1", n=r["n"])
    run.claim("refractory_ceiling", f"highest rate with r = {cfg.refractory}, times r + 1",
              r["ceiling"][cfg.refractory] * (cfg.refractory + 1), "", "0.999..1.001")

    run.print("7  sweeps of β and θ")
    r7 = experiment_sweep(cfg)
    run.figure(plot_sweep(r7), "7_sweeps")
    run.claim("sweep", "neurons whose firing or silence (5) foretells", r7["agree"], "1", ">= 0.99", n=r7["n"])

    run.print("8  step, ramp, sine and noise")
    r = experiment_currents(cfg)
    run.figure(plot_currents(r, cfg), "8_currents")
    run.claim("noise_mean", "spikes from a constant 0.75 rheobases", r["spikes"]["its mean"], "spikes", "== 0", n=r["steps"])
    run.claim("noise", "spikes from noise of that mean", r["spikes"]["noise"], "spikes", ">= 10", n=r["steps"])
    run.claim("sine_locking", "sine: phase locking of the spikes (0 none, 1 perfect)", r["locking"], "", ">= 0.5",
              n=r["spikes"]["sine"])

    run.print("9  where LIF fails")
    r = experiment_limits(cfg)
    run.figure(plot_limits(r, cfg), "9_limits")
    run.claim("lif_ratio", "LIF: last interval / first", r["LIF"]["last/first"], "", "== 1", n=len(r["LIF"]["isi"]))
    run.claim("lif_grid_ratio", "longest/shortest interval, worst LIF of the sweep", r7["spread"], "", "== 1", n=r7["spread_n"])
    run.claim("adapting_ratio", "adapting: last interval / first", r["adapting"]["last/first"], "", ">= 1.5",
              n=len(r["adapting"]["isi"]))
    run.claim("burst_ratio", "bursting: longest interval / shortest", r["bursting"]["longest/shortest"], "", ">= 5",
              n=len(r["bursting"]["isi"]))
    run.claim("control_ratio", "the same without the slow current", r["control"]["longest/shortest"], "", "== 1",
              n=len(r["control"]["isi"]))


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
