"""Lesson 01 — The leaky integrate-and-fire neuron: one number that leaks, and one rule that fires

Question
    How little of a nerve cell can we keep and still have one that computes, and what do we lose by it?

Idea
    A cell membrane is a thin insulator between two salt solutions: a capacitor C. Ion channels that stand open
    make it leak: a resistor R beside it. An injected current charges the one or escapes through the other.

            I ───►──┬──────┬────  U    potential above rest
                    R      C           I = U/R + C·dU/dt        so with τ = R·C:
                   ─┴──────┴─          τ·dU/dt = −U + R·I                                            (1)

    That is the *passive* membrane: linear, forgetful, unable to signal over a distance. The *active* part of a real
    neuron, channels that open with the voltage, makes the spike. All spikes look alike, so LIF keeps two rules
    instead: when U passes the threshold θ, note a spike S = 1, then reset U. The spike's form is lost, its time kept.

    A computer wants steps. If I is held during a step Δt, equation (1) can be solved without any error:

        U[t+1] = β·U[t] + (1−β)·R·I[t+1]           β = exp(−Δt/τ)                                    (2)

    β is what one step leaves of the potential: a property of the membrane (τ) *and* of your clock (Δt). Networks
    learn the scale of their input anyway, so snnTorch lets the weights swallow (1−β)·R. With the two rules:

        S[t]   = 1 if U[t] > θ else 0                                                                (3)
        U[t+1] = β·U[t] + I[t+1] − S[t]·θ          (reset by subtraction)                            (4)

    Mind the S[t] in (4): a spike is paid for one step later. So the U that comes back with a spike still stands
    above θ, and θ is taken off in full, although U has leaked meanwhile. Section 3 counts what wrong guesses cost.

    Three results follow with pencil and paper. Under a steady current U climbs to I/(1−β), so the weakest
    current that ever fires, the rheobase, is θ·(1−β). Above it, a neuron reset to zero fires every ⌊x⌋ + 1 steps,

        x = ln(1 − θ·(1−β)/I) / ln β               (the period in continuous time, in steps)         (5)

    and because the reset erases the only number there is, every interval is like the one before: LIF can
    neither tire (adaptation) nor stutter (bursting). Section 9 shows what has to be added.

Read first
    Theory:   Neuronal Dynamics, Ch. 1, https://neuronaldynamics.epfl.ch/online/Ch1.html (and Ch. 6 for section 9)
              Eshraghian et al. 2023, section II, https://arxiv.org/abs/2109.12894
    Practice: snnTorch tutorial 2, https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_2.html

Run
    uv run 01_lif_neuron.py             10 to 16 s on two shared CPU cores, imports included
    uv run 01_lif_neuron.py --smoke     the same with fewer and shorter runs
    uv run 01_lif_neuron.py --full      five times longer runs, more neurons

You should see
    By hand and snn.Leaky: not one spike differs in 64,000 neuron-steps, for each of the three resets. The natural
    guesses are wrong at 13 % and 12 % of them; the first is, spike for spike, what reset_delay=False computes.
    80 currents, 80 periods: none is as much as one step later than the closed form (worst 0.99).
    Without a leak, reset by subtraction accounts for 100 % of its input, zero for 78 %, none for 349 %.
    1,048 LIF neurons, each under constant current: longest/shortest interval is exactly 1. With one slow current
    more, the last interval is 2.2 times the first, or bursts come with pauses 33 times as long.

Builds on / leads to
    Needs a little calculus. 02 turns data into the current I, 06 gives I a shape in time, 07 makes (3) trainable,
    09 differentiates (4) through time, 13 uses a slow variable as in section 9 as memory, 16 needs subtract.

Predict: with --beta 0.99 instead of 0.9, how do the rheobase and the waiting time just above it change?
Next: uv run 02_spike_encoding.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import plots
from common.lesson import LessonConfig, bounded, start
from common.run import Run

import numpy as np
import snntorch as snn
import torch
from matplotlib.figure import Figure

Tensor = torch.Tensor
RESETS = ("subtract", "zero", "none")
LEAK_LATER, LAND_ON_0 = "guess: subtract, then leak", "guess: the step ends at 0"


@dataclass
class Config(LessonConfig):
    """Only section 3, by hand beside snn.Leaky, runs on --device: the rest is too little work for a GPU."""

    num_steps: int = bounded(200, 1, 100_000)
    """time steps in the traces that are drawn, at 1 ms each"""
    beta: float = bounded(0.9, 0.05, 0.999)
    """share of the potential that one step leaves; 0.9 at 1 ms is a time constant of 9.5 ms"""
    threshold: float = bounded(1.0, 0.01, 100.0)
    """potential θ above which the neuron fires"""
    long_steps: int = bounded(1000, 100, 20_000)
    """time steps of the runs that are only measured"""
    neurons: int = bounded(64, 1, 10_000)
    """neurons, each with noise of its own, in the comparison with snn.Leaky"""
    refractory: int = bounded(5, 1, 50)
    """steps for which a neuron sits out after a spike (section 6)"""
    grid: int = bounded(40, 2, 100)
    """values of β, and of θ, in the sweep of section 7"""

    @property
    def length(self) -> int:
        """Steps of a measured run: long_steps, or more if more are to be drawn."""
        return max(self.num_steps, self.long_steps)


SMOKE = {"long_steps": 200, "neurons": 4, "grid": 6}
FULL = {"long_steps": 5000, "neurons": 256, "grid": 60}


# The equations as code: U[t+1] from U[t], I[t+1], S[t], β and θ. snnTorch computes the first three, not the guesses.
RULES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "subtract": lambda mem, cur, spk, beta, theta: beta * mem + cur - spk * theta,  # equation (4)
    "zero": lambda mem, cur, spk, beta, theta: (
        beta * ((1 - spk) * mem) + cur
    ),  # old U cleared: U lands on I
    "none": lambda mem, cur, spk, beta, theta: beta * mem + cur,  # a spike costs nothing
    LEAK_LATER: lambda mem, cur, spk, beta, theta: beta * (mem - spk * theta) + cur,
    LAND_ON_0: lambda mem, cur, spk, beta, theta: (1 - spk) * (beta * mem + cur),
}


def lif(
    cur: Tensor, beta: float | Tensor, theta: float | Tensor, rule: str = "subtract"
) -> tuple[Tensor, ...]:
    """A LIF neuron by hand: input current ``cur (T, B)`` → ``spk_rec, mem_rec``, each ``(T, B)``."""
    beta, theta = torch.as_tensor(beta).to(cur), torch.as_tensor(theta).to(cur)
    mem, spk, records = (
        torch.zeros_like(cur[0]),
        torch.zeros_like(cur[0]),
        [],
    )  # at rest, no spike to pay for
    for cur_t in cur:  # (B,)
        mem = RULES[rule](mem, cur_t, spk, beta, theta)  # U[t+1] from U[t], I[t+1], S[t]
        spk = (mem > theta).to(cur.dtype)  # S[t+1]
        records.append((spk, mem))
    return tuple(torch.stack(record) for record in zip(*records, strict=True))


def leaky(
    cur: Tensor, beta: float | Tensor, theta: float | Tensor, **options: Any
) -> tuple[Tensor, ...]:
    """The same loop around ``snn.Leaky``: one call a step, the membrane handed back in each time."""
    neuron = snn.Leaky(beta=beta, threshold=theta, **options).to(cur.device)
    mem, records = torch.zeros_like(cur[0]), []
    with torch.no_grad():  # nothing is learnt in this lesson
        for cur_t in cur:
            spk, mem = neuron(cur_t, mem)
            records.append((spk, mem))
    return tuple(torch.stack(record) for record in zip(*records, strict=True))


def adaptive_lif(
    cur: Tensor,
    beta: float,
    theta: float,
    *,
    refractory: int = 0,
    restart: float = 0.0,
    jump: float = 0.0,
    decay: float = 0.0,
) -> tuple[Tensor, ...]:
    """LIF with two memories that outlive a spike: a refractory clock and a slow outward current w.

        U[t+1] = β·U[t] + I[t+1] − w[t+1]          w[t+1] = ρ·w[t] + b·S[t]

    A spike sets U to ``restart``, holds it there for ``refractory`` steps, and adds b (``jump``) to w, which
    keeps the share ρ (``decay``) of itself a step. With everything at 0 this is ``snn.Leaky`` reset to zero.
    Returns ``spk_rec, mem_rec, w_rec``, each ``(T, B)``.
    """
    mem, spk, w, wait = (torch.zeros_like(cur[0]) for _ in range(4))
    records = []
    for cur_t in cur:
        wait = torch.where(spk > 0, refractory, wait - 1)  # steps still to sit out
        w = decay * w + jump * spk
        mem = torch.where(spk > 0, restart, mem)
        mem = torch.where(wait > 0, mem, beta * mem + cur_t - w)
        spk = ((mem > theta) & (wait <= 0)).to(cur.dtype)
        records.append((spk, mem, w))
    return tuple(torch.stack(record) for record in zip(*records, strict=True))


def period(cur: Any, beta: Any, theta: Any) -> np.ndarray:
    """Equation (5): steps between spikes under constant current, as a real number; infinite below the rheobase."""
    share = np.minimum(theta * (1 - beta) / cur, 1.0)
    with np.errstate(divide="ignore"):
        return np.log1p(-share) / np.log(beta)


def intervals(spk: Tensor) -> np.ndarray:
    """Steps from each spike of one neuron ``spk (T,)`` to the next."""
    return np.diff(np.nonzero(spk.numpy())[0])


def uneven(isi: np.ndarray) -> tuple[float, float]:
    """Intervals last/first and longest/shortest: 1 and 1 for a clock; 0 and 0 with fewer than two intervals."""
    return (float(isi[-1] / isi[0]), float(isi.max() / isi.min())) if len(isi) > 1 else (0.0, 0.0)


def experiment_discretise() -> dict[str, Any]:
    """1. Forward Euler, the obvious way to step (1), against β = exp(−Δt/τ), judged by the exact solution over 20 τ."""
    ratios = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 1.9, 2.1, 2.5])  # Δt/τ
    error: dict[str, list[float]] = {"Euler": [], "exact": []}
    for r in ratios.tolist():
        t = np.arange(round(20 / r) + 1) * r  # in units of τ
        for name, keep in (("Euler", 1 - r), ("exact", np.exp(-r))):
            mem = np.zeros_like(t)
            for k in range(1, len(t)):
                mem[k] = (
                    keep * mem[k - 1] + (1 - keep) * 1.0
                )  # equation (2); a current R·I = 1 is switched on
            error[name].append(float(np.abs(mem - (1 - np.exp(-t))).max()))
    order = np.polyfit(np.log(ratios[:4]), np.log(error["Euler"][:4]), 1)[
        0
    ]  # 1: half the step, half the error
    return {"ratios": ratios, "error": error, "order": float(order)}


def experiment_passive(cfg: Config) -> dict[str, Any]:
    """2. Below θ: the climb to I/(1−β), and superposition. With spikes, superposition is gone. Errors in units of θ."""
    steps = int(np.ceil(np.log(1e-7) / np.log(cfg.beta)))  # until β^t < 1e-7: settled
    cur = torch.tensor([0.2, 0.4, 0.6, 0.8, 0.95]) * cfg.threshold * (1 - cfg.beta)
    _, mem = leaky(cur.expand(steps, 5), cfg.beta, cfg.threshold)  # (T, 5)
    steady = cur.double() / (1 - cfg.beta)
    closed = steady * (1 - cfg.beta ** torch.arange(1, steps + 1, dtype=torch.float64)[:, None])
    r = {
        "mem": mem,
        "steady": steady,
        "tau": -1 / np.log(cfg.beta),
        "steady_error": ((mem[-1] - steady).abs().max() / cfg.threshold).item(),
        "climb_error": ((mem - closed).abs().max() / cfg.threshold).item(),
    }
    drive = (
        torch.rand(cfg.length, 2, generator=torch.Generator().manual_seed(cfg.seed))
        * 0.45
        * cur[-1]
        / 0.95
    )
    for name, (a, b) in (
        ("passive_error", drive.unbind(1)),
        ("active_error", (5 * drive).unbind(1)),
    ):
        alone_a, alone_b, together = leaky(torch.stack([a, b, a + b], 1), cfg.beta, cfg.threshold)[
            1
        ].unbind(1)
        r[name] = ((alone_a + alone_b - together).abs().max() / cfg.threshold).item()
    return r


def plot_membrane(euler: dict[str, Any], passive: dict[str, Any], cfg: Config) -> Figure:
    limit = next(
        x for x, e in zip(euler["ratios"], euler["error"]["Euler"], strict=True) if e > 0.05
    )
    title = f"Euler is off by more than 5 % from Δt = {limit:g} τ and explodes beyond 2 τ; β = exp(−Δt/τ) is exact"
    fig, (ax, bx) = plots.figure(1, 2, (11, 4.2), title)
    plots.curves(
        ax,
        euler["ratios"],
        {
            "Euler: keep 1 − Δt/τ": euler["error"]["Euler"],
            "exact: keep exp(−Δt/τ)": np.maximum(euler["error"]["exact"], 1e-16),
        },
    )
    ax.set(xscale="log", yscale="log", xlim=(0.008, 4))
    plots.label(
        ax,
        "step length Δt/τ",
        "largest error of U (R·I)",
        "A current is switched on: error by step length",
    )
    mem = torch.cat([torch.zeros(1, 5), passive["mem"]])[
        : min(cfg.num_steps, int(6 * passive["tau"])) + 1
    ]
    for i, level in enumerate(passive["steady"].tolist()):
        bx.plot(mem[:, i], color=plots.COLOURS[i])
        bx.axhline(level, color=plots.COLOURS[i], linestyle=":", linewidth=1)
    bx.axvline(
        passive["tau"],
        color="grey",
        linewidth=0.8,
        label=f"τ = {passive['tau']:.1f} steps: 63 % of the way",
    )
    bx.axhline(cfg.threshold, color=plots.RED, linestyle="--", linewidth=1, label="threshold θ")
    bx.set_ylim(0, 1.4 * cfg.threshold)
    bx.legend(loc="upper right")
    plots.label(bx, "step", "potential U", "Five steady currents; dotted: I/(1−β)")
    return fig


def experiment_by_hand(cfg: Config, device: torch.device) -> dict[str, Any]:
    """3. Noise into snn.Leaky and into each of the five rules: at how many of the T·B steps do their spikes differ?"""
    noise = torch.rand(cfg.length, cfg.neurons, generator=torch.Generator().manual_seed(cfg.seed))
    cur = ((1.4 * noise - 0.5) * cfg.threshold).to(
        device
    )  # (T, B), −0.5 θ to 0.9 θ: inhibition as well
    ours = {rule: lif(cur, cfg.beta, cfg.threshold, rule) for rule in RULES}
    theirs = {reset: leaky(cur, cfg.beta, cfg.threshold, reset_mechanism=reset) for reset in RESETS}
    for reset in RESETS[:2]:  # reset_delay=False pays for a spike within its own step
        theirs[f"{reset} at once"] = leaky(
            cur, cfg.beta, cfg.threshold, reset_mechanism=reset, reset_delay=False
        )
    pairs = [
        *zip(RESETS, RESETS, strict=True),
        (LEAK_LATER, "subtract"),
        (LAND_ON_0, "zero"),
        (LEAK_LATER, "subtract at once"),
        ("zero", "zero at once"),
    ]
    return {
        "differ": {(a, b): int((ours[a][0] != theirs[b][0]).sum()) for a, b in pairs},
        "n": cur.numel(),
        "ours": {k: mem[:, 0].cpu() for k, (_, mem) in ours.items()},
        "theirs": {k: mem[:, 0].cpu() for k, (_, mem) in theirs.items()},
    }


def plot_by_hand(r: dict[str, Any], cfg: Config) -> Figure:
    same = sum(r["differ"][reset, reset] for reset in RESETS)
    wrong = [
        100 * r["differ"][pair] / r["n"] for pair in ((LEAK_LATER, "subtract"), (LAND_ON_0, "zero"))
    ]
    title = (
        f"By hand and snn.Leaky: {same} spikes differ. "
        f"The two guesses are wrong at {wrong[0]:.0f} % and {wrong[1]:.0f} % of steps"
    )
    fig, axes = plots.figure(3, 1, (10.5, 7), title, sharex=True)
    shown = slice(0, min(cfg.num_steps, 60))
    for ax, reset, guess in zip(axes, RESETS, (LEAK_LATER, LAND_ON_0, None), strict=True):
        ax.plot(r["theirs"][reset][shown], color=plots.SKY, linewidth=4, label="snn.Leaky")
        ax.plot(r["ours"][reset][shown], ".", color=plots.BLACK, markersize=6, label="by hand")
        if guess:
            ax.plot(r["ours"][guess][shown], "--", color=plots.RED, linewidth=1.2, label=guess)
        ax.axhline(cfg.threshold, color="grey", linestyle=":", linewidth=1.3, label="threshold θ")
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
        plots.label(ax, "step" if reset == "none" else "", "potential U", f"reset: {reset}")
    return fig


def experiment_resets(cfg: Config) -> dict[str, Any]:
    """4. What a spike leaves behind, and where the charge goes.

    snnTorch's own description of "zero" says that U becomes 0; it becomes I. ``reset_delay=False`` resets U within
    the step of the spike, so U does return as 0, and θ leaks (https://github.com/jeshraghian/snntorch/issues/341).
    """
    beta, theta = cfg.beta, cfg.threshold
    kick, weak, rows = 1.3 * theta, 0.2 * theta, []  # one spike, then a weak input
    for reset, delay, formula, value in (
        ("subtract", True, "βU + I − θ", beta * kick + weak - theta),
        ("zero", True, "I", weak),
        ("none", True, "βU + I", beta * kick + weak),
        ("subtract", False, "β(U − θ) + I", beta * (kick - theta) + weak),
        ("zero", False, "I", weak),
    ):
        _, mem = leaky(
            torch.tensor([[kick], [weak]]), beta, theta, reset_mechanism=reset, reset_delay=delay
        )
        rows.append((reset, str(delay), mem[0].item(), formula, value, mem[1].item()))
    # Without a leak (β = 1) every bit of input must still be in U, or have been paid out in spikes of θ each.
    cur = torch.rand(cfg.length, 1, generator=torch.Generator().manual_seed(cfg.seed)) * 0.8 * theta
    spk, mem = zip(
        *(leaky(cur, 1.0, theta, reset_mechanism=reset) for reset in RESETS), strict=True
    )
    charge = {
        reset: (
            (theta * s[:-1].sum() + m[-1]) / cur.sum()
        ).item()  # the last spike is not yet paid for
        for reset, s, m in zip(RESETS, spk, mem, strict=True)
    }
    return {
        "rows": rows,
        "error": max(abs(row[4] - row[5]) for row in rows) / theta,
        "charge": charge,
        "input": cur.cumsum(0)[:, 0] / theta,
        "count": [s.cumsum(0)[:, 0] for s in spk],
    }


def plot_resets(r: dict[str, Any], cfg: Config) -> Figure:
    title = "Input accounted for: " + ", ".join(
        f"{reset} {100 * x:.0f} %" for reset, x in r["charge"].items()
    )
    fig, ax = plots.figure(1, 1, (8, 4), title)
    ax.plot(
        r["input"][: cfg.num_steps],
        color=plots.BLACK,
        linewidth=5,
        alpha=0.25,
        label="input so far, ΣI/θ",
    )
    for i, (reset, count) in enumerate(zip(RESETS, r["count"], strict=True)):
        ax.plot(
            count[: cfg.num_steps],
            color=plots.COLOURS[i],
            linestyle=plots.DASHES[i],
            label=f"spikes, {reset}",
        )
    ax.set_ylim(top=2 * max(1.0, float(r["input"][: cfg.num_steps][-1])))
    ax.legend(loc="upper left")
    plots.label(ax, "step", "count", "Without a leak, spikes should add up to the input")
    return fig


def experiment_fi(cfg: Config) -> dict[str, Any]:
    """5. Firing rate under constant current, measured with snn.Leaky, against equation (5)."""
    cur = np.r_[
        np.linspace(0.1, 0.99, 8), np.geomspace(1.005, 1.2 / (1 - cfg.beta), 80)
    ]  # rheobases
    amps = cur * cfg.threshold * (1 - cfg.beta)
    drive = torch.tensor(amps, dtype=torch.float32).expand(
        cfg.length, -1
    )  # (T, B): one neuron a current
    rate = {}
    for reset in RESETS[:2]:
        spk, _ = leaky(drive, cfg.beta, cfg.threshold, reset_mechanism=reset)
        rate[reset] = np.array(
            [1 / isi.mean() if len(isi := intervals(s)) else 0.0 for s in spk.unbind(1)]
        )
    predicted, fires = period(amps, cfg.beta, cfg.threshold), rate["zero"] > 0
    off = (
        1 / rate["zero"][fires] - predicted[fires]
    )  # 0 to 1: a spike has to wait for the next whole step
    return {
        "cur": cur,
        "predicted": predicted,
        "rate": rate,
        "fires": fires,
        "silent": float((~fires[:8]).mean()),
        "worst": float(np.abs(off).max(initial=0)),
        "n": len(off),
    }


def experiment_refractory(cfg: Config) -> dict[str, Any]:
    """6. Sitting out r steps after a spike adds r to every period: no input can drive the rate above 1/(r+1)."""
    cur = np.geomspace(1.05, 3 / (1 - cfg.beta), 40)  # rheobases
    amps = cur * cfg.threshold * (1 - cfg.beta)
    drive = torch.tensor(amps, dtype=torch.float32).expand(cfg.length, -1)
    r: dict[str, Any] = {"cur": cur, "rate": {}, "predicted": {}, "off": []}
    for wait in (0, cfg.refractory, 3 * cfg.refractory):
        spk, _, _ = adaptive_lif(drive, cfg.beta, cfg.threshold, refractory=wait)
        isi = np.array([x.mean() if len(x := intervals(s)) else np.inf for s in spk.unbind(1)])
        predicted = wait + np.maximum(1, period(amps, cfg.beta, cfg.threshold))
        r["off"] += np.abs(isi - predicted)[np.isfinite(isi)].tolist()
        r["rate"][wait], r["predicted"][wait] = 1 / isi, 1 / predicted
    return r | {"ceiling": float(r["rate"][cfg.refractory][-1])}


def plot_fi(fi: dict[str, Any], refractory: dict[str, Any], cfg: Config) -> Figure:
    title = (
        f"{fi['n']} periods at most {fi['worst']:.2f} steps from the closed form; {cfg.refractory} refractory "
        f"steps cap the rate at {refractory['ceiling']:.3f} spikes a step"
    )
    fig, (ax, bx) = plots.figure(1, 2, (11, 4.2), title)
    ax.plot(
        fi["cur"],
        np.minimum(1, 1 / fi["predicted"]),
        color=plots.BLACK,
        lw=4,
        alpha=0.25,
        label="min(1, 1/x)",
    )
    ax.plot(
        fi["cur"], fi["rate"]["zero"], "o", color=plots.BLUE, markersize=3.5, label="reset to zero"
    )
    ax.plot(
        fi["cur"],
        fi["rate"]["subtract"],
        "s",
        color=plots.RED,
        ms=3.5,
        mfc="none",
        label="reset by subtraction",
    )
    ax.axvline(1, color="grey", linestyle=":", linewidth=1.3, label="rheobase θ(1−β)")
    ax.legend(loc="upper left")
    plots.label(ax, "input current I (rheobases)", "rate (spikes per step)", "The f–I curve")
    for i, (wait, rate) in enumerate(refractory["rate"].items()):
        bx.plot(
            refractory["cur"],
            refractory["predicted"][wait],
            color=plots.COLOURS[i],
            alpha=0.3,
            linewidth=4,
        )
        bx.plot(
            refractory["cur"],
            rate,
            plots.MARKERS[i],
            color=plots.COLOURS[i],
            ms=3.5,
            label=f"{wait} steps",
        )
    bx.set(xscale="log", yscale="log")
    bx.legend(title="refractory for")
    plots.label(
        bx,
        "input current I (rheobases)",
        "",
        "With a refractory period r; lines: 1 / (r + closed form)",
    )
    return fig


def experiment_sweep(cfg: Config) -> dict[str, Any]:
    """7. All pairs of β and θ under one current, as one layer of neurons: beta and threshold may be tensors."""
    current = 0.15
    betas, thetas = 1 - np.geomspace(0.5, 0.01, cfg.grid), np.geomspace(0.1, 10, cfg.grid)
    beta, theta = (x.ravel() for x in np.meshgrid(betas, thetas, indexing="ij"))
    spk, _ = leaky(
        torch.full((cfg.long_steps, len(beta)), current),
        torch.tensor(beta, dtype=torch.float32),
        torch.tensor(theta, dtype=torch.float32),
        reset_mechanism="zero",
    )  # (T, grid²)
    agree = spk.any(0).numpy() == (period(current, beta, theta) < cfg.long_steps)
    spread = [uneven(isi)[1] for s in spk.unbind(1) if len(isi := intervals(s)) > 1]
    return {
        "betas": betas,
        "thetas": thetas,
        "rate": spk.mean(0).numpy().reshape(cfg.grid, cfg.grid),
        "current": current,
        "agree": float(agree.mean()),
        "n": len(agree),
        "spread": max(spread, default=0.0),
        "spread_n": len(spread),
    }


def plot_sweep(r: dict[str, Any]) -> Figure:
    title = f"Equation (5) foretells which neurons fire: right for {100 * r['agree']:.1f} % of {r['n']:,} neurons"
    fig, ax = plots.figure(1, 1, (8.5, 4.4), title)
    memory, rate = 1 / (1 - r["betas"]), np.where(r["rate"] > 0, r["rate"], np.nan)
    mesh = ax.pcolormesh(memory, r["thetas"], np.log10(rate).T, shading="nearest", vmin=-3, vmax=0)
    ax.plot(memory, r["current"] * memory, color=plots.RED, linewidth=2.5, label="θ = I/(1−β)")
    ax.set(xscale="log", yscale="log")
    ax.legend(loc="upper left")
    fig.colorbar(mesh, ax=ax, label="log₁₀ of spikes per step (white: silent)")
    plots.label(
        ax, "memory 1/(1−β) (steps)", "threshold θ", f"Firing rate, I = {r['current']:g} for all"
    )
    return fig


def experiment_currents(cfg: Config) -> dict[str, Any]:
    """8. Four currents, in rheobases. The noise has a mean that alone would never make the neuron fire."""
    t, cycle, rheobase = torch.arange(cfg.length), 40, cfg.threshold * (1 - cfg.beta)
    phase = (t % cfg.num_steps) / cfg.num_steps  # step and ramp start anew with every drawn window
    noise = torch.randn(cfg.length, generator=torch.Generator().manual_seed(cfg.seed))
    noise *= (
        0.25 * cfg.threshold * np.sqrt(1 - cfg.beta**2) / rheobase
    )  # the leak averages: spread of U is θ/4
    cur = {
        "step": 2.0 * ((phase >= 0.15) & (phase < 0.75)),
        "ramp": 3.0 * phase,
        "sine": 1.2 + 1.2 * torch.sin(2 * torch.pi * t / cycle),
        "noise": 0.75 + noise,
        "its mean": torch.full((cfg.length,), 0.75),
    }
    spk, mem = leaky(
        torch.stack(list(cur.values()), 1) * rheobase, cfg.beta, cfg.threshold
    )  # (T, 5)
    angle = 2 * np.pi * np.nonzero(spk[:, 2].numpy())[0] / cycle
    return {
        "cur": cur,
        "spk": spk,
        "mem": mem,
        "spikes": dict(zip(cur, spk.sum(0).int().tolist(), strict=True)),
        "locking": float(abs(np.exp(1j * angle).mean())) if len(angle) else 0.0,
    }


def plot_currents(r: dict[str, Any], cfg: Config) -> Figure:
    title = (
        f"Noise draws {r['spikes']['noise']} spikes in {cfg.length:,} steps, its mean alone "
        f"{r['spikes']['its mean']}; locking to the sine's phase {r['locking']:.2f}"
    )
    fig, axes = plots.figure(
        2, 4, (14, 5.2), title, sharex=True, sharey="row", height_ratios=(1, 1.7)
    )
    for i, name in enumerate(("step", "ramp", "sine", "noise")):
        top, ax = axes[:, i]
        top.plot(r["cur"][name][: cfg.num_steps], color=plots.GREEN, linewidth=1.3)
        top.axhline(1, color="grey", linestyle=":", linewidth=1.3)
        spk = r["spk"][: cfg.num_steps, i]
        plots.label(top, "", "" if i else "I (rheobases)", f"{name}: {int(spk.sum())} spikes")
        plots.membrane(ax, r["mem"][: cfg.num_steps, i], spk, cfg.threshold)
        plots.label(ax, "step", "" if i else "potential U")
    axes[1, 3].legend(loc="lower right", ncols=3, fontsize=7)
    axes[1, 0].set_ylim(-0.55 * cfg.threshold, 1.55 * cfg.threshold)
    return fig


def experiment_limits(cfg: Config) -> dict[str, Any]:
    """9. One current, four neurons: LIF; with a slow current w; with an afterpotential as well; with that alone.

    The idea of Mihalaş & Niebur 2009, https://doi.org/10.1162/neco.2008.12-07-680, in a small form.
    """
    rheobase = cfg.threshold * (1 - cfg.beta)
    high = (cfg.threshold + 0.35 * rheobase) / cfg.beta  # one more leak, and U is still above θ
    decay = cfg.beta**0.1  # w forgets ten times as slowly as U
    kinds = {
        "LIF": {},
        "adapting": {"jump": 0.2 * rheobase, "decay": decay},
        "bursting without w": {"restart": high},
        "bursting": {"jump": 0.45 * rheobase, "decay": decay, "restart": high},
    }
    r = {}
    for name, extra in kinds.items():
        steps = max(
            cfg.length, int(-25 / np.log(cfg.beta))
        )  # at least 25 τ: a pause between bursts takes 11
        cur = torch.full((steps, 1), 2 * rheobase)
        spk, mem, w = (
            x[:, 0] for x in adaptive_lif(cur, cfg.beta, cfg.threshold, refractory=2, **extra)
        )
        isi = intervals(spk)
        r[name] = {"spk": spk, "mem": mem, "w": w / rheobase, "isi": isi, "uneven": uneven(isi)}
    return r


def plot_limits(r: dict[str, Any], cfg: Config) -> Figure:
    title = (
        f"One current. Last/first interval: LIF {r['LIF']['uneven'][0]:.1f}, with a slow current "
        f"{r['adapting']['uneven'][0]:.1f}. Longest/shortest in bursts: {r['bursting']['uneven'][1]:.0f}"
    )
    fig, axes = plots.figure(3, 1, (11, 7), title, sharex=True)
    for ax, name in zip(axes, ("LIF", "adapting", "bursting"), strict=True):
        plots.membrane(
            ax, r[name]["mem"][: cfg.num_steps], r[name]["spk"][: cfg.num_steps], cfg.threshold
        )
        ax.plot(
            r[name]["w"][: cfg.num_steps] * cfg.threshold / 3,
            color=plots.ORANGE,
            label="w (3 rheobases = θ)",
        )
        ax.set_ylim(-0.15 * cfg.threshold, 1.6 * cfg.threshold)
        first = ", ".join(str(isi) for isi in r[name]["isi"][:12])
        plots.label(
            ax, "step" if name == "bursting" else "", "potential U", f"{name}: intervals {first}, …"
        )
    axes[0].legend(loc="upper right", ncols=4)
    return fig


def main(cfg: Config, run: Run) -> None:
    run.print("1  from the differential equation to steps, 2  the passive membrane below threshold")
    r, passive = experiment_discretise(), experiment_passive(cfg)
    run.figure(plot_membrane(r, passive, cfg), "1_2_membrane")
    run.claim("euler_order", "Euler: power of Δt/τ in its error", r["order"], "", "0.95..1.05", n=4)
    run.claim(
        "euler_diverges",
        "Euler at Δt = 2.5 τ: error within 20 τ",
        r["error"]["Euler"][-1],
        "R·I",
        ">= 10",
    )
    run.claim(
        "beta_exact",
        "exact β: largest error at any Δt/τ",
        max(r["error"]["exact"]),
        "R·I",
        "<= 1e-12",
        n=11,
    )
    run.claim(
        "steady_state", "steady state against I/(1−β)", passive["steady_error"], "θ", "<= 1e-5", n=5
    )
    run.claim(
        "climb", "the way there against I(1−β^t)/(1−β)", passive["climb_error"], "θ", "<= 1e-5", n=5
    )
    run.claim(
        "superposition",
        "U(a) + U(b) − U(a+b), passive",
        passive["passive_error"],
        "θ",
        "<= 1e-5",
        n=cfg.length,
    )
    run.claim(
        "superposition_lost",
        "the same with spikes",
        passive["active_error"],
        "θ",
        ">= 0.5",
        n=cfg.length,
    )
    run.print("3  by hand, beside snn.Leaky")
    run.figure(plot_by_hand(r := experiment_by_hand(cfg, run.device), cfg), "3_by_hand")
    for (a, b), differ in r["differ"].items():
        id = (
            {LEAK_LATER: "leak_later", LAND_ON_0: "land_on_0"}.get(a, a)
            + "_against_"
            + b.replace(" ", "_")
        )
        target = None if (a, b) in ((LEAK_LATER, "subtract"), (LAND_ON_0, "zero")) else "== 0"
        text = f"by hand “{a}” against snn.Leaky “{b}”: spikes differ"
        run.claim(id, text, differ / r["n"], "1", target, n=r["n"])
    run.print("4  subtract, zero, none")
    run.figure(plot_resets(r := experiment_resets(cfg), cfg), "4_resets")
    columns = ("reset", "reset_delay", "U with the spike", "next U: formula", "value", "snn.Leaky")
    run.table("snn.Leaky gets a kick of 1.3 θ, then 0.2 θ", columns, r["rows"])
    run.claim(
        "reset_formulas", "the five formulas against snn.Leaky", r["error"], "θ", "<= 1e-6", n=5
    )
    for reset, target in zip(RESETS, ("0.9999..1.0001", "<= 0.95", ">= 1.05"), strict=True):
        run.claim(
            f"charge_{reset}",
            f"{reset}: input accounted for",
            r["charge"][reset],
            "1",
            target,
            n=cfg.length,
        )
    run.print("5  the f–I curve, 6  the refractory period")
    r, refractory = experiment_fi(cfg), experiment_refractory(cfg)
    run.figure(plot_fi(r, refractory, cfg), "5_6_fi_curve")
    run.claim("fi_period", "period against (5), worst", r["worst"], "steps", "<= 1", n=r["n"])
    run.claim(
        "fi_silent", "currents below the rheobase without a spike", r["silent"], "1", "== 1", n=8
    )
    off, ceiling = refractory["off"], refractory["ceiling"] * (cfg.refractory + 1)
    run.claim("refractory", "period against r + (5), worst", max(off), "steps", "<= 1", n=len(off))
    run.claim("ceiling", "highest rate · (r + 1)", ceiling, "", "0.999..1.001")
    run.print("7  sweeps of β and θ")
    run.figure(plot_sweep(sweep := experiment_sweep(cfg)), "7_sweeps")
    run.claim(
        "sweep", "firing or silence as (5) foretells", sweep["agree"], "1", ">= 0.99", n=sweep["n"]
    )
    run.print("8  step, ramp, sine and noise")
    run.figure(plot_currents(r := experiment_currents(cfg), cfg), "8_currents")
    run.claim(
        "noise_mean",
        "a constant 0.75 rheobases",
        r["spikes"]["its mean"],
        "spikes",
        "== 0",
        n=cfg.length,
    )
    run.claim("noise", "noise of that mean", r["spikes"]["noise"], "spikes", ">= 1", n=cfg.length)
    run.claim(
        "locking",
        "sine: spikes locked to its phase, 0 to 1",
        r["locking"],
        "",
        ">= 0.5",
        n=r["spikes"]["sine"],
    )
    run.print("9  where LIF fails")
    run.figure(plot_limits(r := experiment_limits(cfg), cfg), "9_limits")
    for name, which, target in (
        ("LIF", 0, "== 1"),
        ("adapting", 0, ">= 1.5"),
        ("bursting", 1, ">= 5"),
        ("bursting without w", 1, "== 1"),
    ):
        text = f"{name}: {('last/first', 'longest/shortest')[which]} interval"
        run.claim(
            "uneven_" + name.replace(" ", "_"),
            text,
            r[name]["uneven"][which],
            "",
            target,
            n=len(r[name]["isi"]),
        )
    run.claim(
        "uneven_sweep",
        "section 7, worst: longest/shortest",
        sweep["spread"],
        "",
        "== 1",
        n=sweep["spread_n"],
    )


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
