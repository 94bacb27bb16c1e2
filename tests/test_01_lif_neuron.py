"""Lesson 01: the recurrence and the closed forms against oracles, and every number it publishes.

The oracle is ``neuron``, a LIF neuron in plain Python numbers with an ``if`` for each rule. It shares no
line with the lesson, nor with snnTorch.
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

from common.lesson import start
from common.run import Run

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers import ROOT, load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(ROOT / "studies"))  # for _root
lesson = load_script("01_lif_neuron")
study = load_script("studies/01_resets")
SETTINGS = {"smoke": False}
SLOWER = {"smoke": False, "beta": 0.8, "threshold": 2.0, "num_steps": 70, "long_steps": 300}


def neuron(cur, beta, theta, reset="subtract"):
    """Spike times and potentials under the currents ``cur``, in whatever numbers these are."""
    mem, fired, times, potentials = 0, False, [], []
    for t, cur_t in enumerate(cur):
        if fired and reset == "zero":
            mem = 0
        mem = beta * mem + cur_t
        if fired and reset == "subtract":
            mem -= theta
        fired = mem > theta
        if fired:
            times.append(t)
        potentials.append(mem)
    return times, potentials


def exact(cfg) -> tuple[Fraction, Fraction, Fraction]:
    """β, θ and the rheobase as fractions, so that no rounding decides over a spike."""
    beta = Fraction(str(cfg.beta))
    theta = Fraction(str(cfg.threshold))
    return beta, theta, theta * (1 - beta)


def gaps(times) -> list[int]:
    return [b - a for a, b in zip(times, times[1:], strict=False)]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """What sections draw and what they answer: headlines, panel titles, lines, outcomes."""
    seen = SimpleNamespace(drawn=False, figures={}, outcomes={})

    def figure(self, fig, name, look=""):
        assert look, "every figure says what to look at"
        if seen.drawn:
            fig.canvas.draw()  # whatever cannot be drawn fails here
        seen.headline = fig.get_suptitle()
        seen.lines = {}
        seen.titles = [ax.get_title(loc="left") for ax in fig.axes]
        for i, ax in enumerate(fig.axes):
            for line in ax.get_lines():
                seen.lines[i, line.get_label()] = np.asarray(line.get_xydata(), dtype=float)
            seen.ends = [bar.get_x() + bar.get_width() for bar in ax.patches[-3:]]
        keep = {"headline": seen.headline, "titles": seen.titles, "lines": seen.lines}
        seen.figures[name] = SimpleNamespace(**keep)
        seen.bars = [bar.get_height() for bar in fig.axes[-1].patches]
        plt.close(fig)
        return Path(name)

    def outcome(self, id, measured):
        seen.outcomes[id] = measured

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", outcome)
    return seen


# -------------------------------------------------------------------- oracles


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.0, 1.0, width=32),
    st.floats(0.125, 8.0, width=32),
    st.sampled_from(lesson.RESETS),
    st.integers(0, 2**31 - 1),
    st.floats(0.1, 10.0),
)
def test_leaky_is_the_equations(
    beta: float, theta: float, reset: str, seed: int, scale: float
) -> None:
    """Any β, θ, reset and current: snn.Leaky computes what the docstrings of sections 1 and 3 say."""
    generator = torch.Generator().manual_seed(seed)
    cur = (2 * torch.rand(60, 5, generator=generator) - 0.5) * scale
    spk_rec, mem_rec = lesson.simulate(cur, beta, theta, reset)
    mem = torch.zeros(5)
    spk = torch.zeros(5)
    for t, cur_t in enumerate(cur):
        mem = {
            "subtract": beta * mem + cur_t - spk * theta,
            "zero": beta * (mem * (1 - spk)) + cur_t,
            "none": beta * mem + cur_t,
        }[reset]
        spk = (mem > theta).float()
        assert torch.equal(spk, spk_rec[t])
        assert torch.equal(mem, mem_rec[t])


@pytest.mark.parametrize("reset", lesson.RESETS)
def test_leaky_is_the_neuron_in_plain_numbers(reset: str) -> None:
    """200 steps in quarters: exact in float32, so potentials agree to the last digit."""
    cur = torch.randint(-1, 5, (200,), generator=torch.Generator().manual_seed(3)) / 4
    times, potentials = neuron(cur[:20].tolist(), 0.5, 1.0, reset)
    spk_rec, mem_rec = lesson.simulate(cur[:20, None], 0.5, 1.0, reset)
    assert torch.nonzero(spk_rec[:, 0])[:, 0].tolist() == times and len(times) > 1
    assert mem_rec[:, 0].tolist() == potentials


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 0.99), st.floats(0.2, 5.0), st.floats(1.02, 30.0))
def test_period_is_what_a_neuron_does(beta: float, theta: float, rheobases: float) -> None:
    cur = rheobases * theta * (1 - beta)
    x = math.log(1 - min(theta * (1 - beta) / cur, 1)) / math.log(beta)
    if abs(x - round(x)) < 1e-6:  # the potential meets θ within rounding: either step is right
        return
    period = float(lesson.period(cur, beta, theta))
    times, _ = neuron([cur] * int(4 * period + 2), beta, theta, "zero")
    assert set(gaps(times)) == {period} and times[0] == period - 1


def test_period_up_to_the_rheobase_is_infinite() -> None:
    assert np.isinf(lesson.period(np.array([0.05, 0.0999]), 0.9, 1.0)).all()
    assert lesson.period(0.1001, 0.9, 1.0) < 100


@pytest.mark.parametrize("beta", [0.05, 0.5, 0.9, 0.999])
def test_beta_and_tau(beta: float) -> None:
    """After τ steps 1/e is left, whatever β is; half the step is √β."""
    tau = lesson.Config(beta=beta).tau
    assert beta**tau == pytest.approx(1 / math.e)
    assert math.exp(-0.5 / tau) == pytest.approx(math.sqrt(beta))


def test_with_subtract_intervals_differ_by_one_step_at_most() -> None:
    """Section 6 says so in brackets; here for 60 currents, and that there is no trend."""
    for rheobases in np.geomspace(1.02, 9.7, 60):
        times, _ = neuron([0.1 * rheobases] * 2000, 0.9, 1.0)
        isi = np.array(gaps(times)[3:])  # after a short start
        assert isi.max() - isi.min() <= 1
        half = len(isi) // 2
        assert abs(isi[:half].mean() - isi[-half:].mean()) < 0.1


def test_rheobase_is_the_border() -> None:
    cfg = lesson.Config(beta=0.9, threshold=2.0)
    assert cfg.rheobase == pytest.approx(0.2)
    cur = torch.tensor([0.999, 1.001]) * cfg.rheobase
    spk_rec, _ = lesson.simulate(cur.expand(2000, 2), 0.9, 2.0)
    assert spk_rec.any(0).tolist() == [False, True]


def test_passive_membrane_is_a_weighted_sum_and_linear() -> None:
    """Equation (6), and superposition: the membrane of a + b is the sum of the two."""
    cur = torch.rand(40, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mem = lesson.passive_membrane(cur, 0.8)
    for t in (0, 7, 39):
        weights = 0.8 ** torch.arange(t, -1, -1, dtype=torch.float64)
        assert torch.allclose(mem[t], weights @ cur[: t + 1])
    both = lesson.passive_membrane(cur.sum(1, keepdim=True), 0.8)
    assert torch.allclose(both[:, 0], mem.sum(1))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_only_subtract_keeps_the_account(seed: int) -> None:
    """Without leak: ΣI = θ·(spikes paid for) + U. Integers keep it exact in float32."""
    cur = torch.randint(0, 4, (200, 3), generator=torch.Generator().manual_seed(seed)).float()
    spk_rec, mem_rec = lesson.simulate(cur, 1.0, 5.0)
    assert torch.equal(cur.sum(0), 5.0 * spk_rec[:-1].sum(0) + mem_rec[-1])
    spk_rec, mem_rec = lesson.simulate(cur, 1.0, 5.0, "zero")
    assert (cur.sum(0) >= 5.0 * spk_rec[:-1].sum(0) + mem_rec[-1]).all()


def adaptive_neuron(steps, cur, beta, theta, refractory, restart, jump, decay):
    """Equation (7) for one neuron, with an ``if`` for each rule; returns spike times and w."""
    mem, w, silent, fired, times, ws = 0.0, 0.0, 0, False, [], []
    for t in range(steps):
        w *= decay
        if fired:
            w += jump
            mem = restart
            silent = refractory
        fired = False
        if silent > 0:
            silent -= 1
        else:
            mem = beta * mem + cur - w
            fired = mem > theta
        if fired:
            times.append(t)
        ws.append(w)
    return times, ws


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 6), st.floats(-0.5, 1.5), st.floats(0, 0.2), st.floats(0.5, 0.999))
def test_adaptive_lif_is_its_equations(
    refractory: int, restart: float, jump: float, decay: float
) -> None:
    cur = torch.full((150, 1), 0.25, dtype=torch.float64)
    parameters = [torch.tensor([x], dtype=torch.float64) for x in (refractory, restart, jump)]
    spk_rec, _, w_rec = lesson.adaptive_lif(cur, 0.9, 1.0, *parameters, decay)
    times, ws = adaptive_neuron(150, 0.25, 0.9, 1.0, refractory, restart, jump, decay)
    assert torch.nonzero(spk_rec[:, 0])[:, 0].tolist() == times
    assert w_rec[:, 0].tolist() == pytest.approx(ws, abs=1e-12)


def test_adaptive_lif_with_everything_off_is_reset_to_zero() -> None:
    cur = torch.rand(300, 4, generator=torch.Generator().manual_seed(2))
    off = torch.zeros(4)
    spk_rec, mem_rec, w_rec = lesson.adaptive_lif(cur, 0.9, 1.0, off, off, off, 0.5)
    expected = lesson.simulate(cur, 0.9, 1.0, "zero")
    assert torch.equal(spk_rec, expected[0]) and torch.allclose(mem_rec, expected[1])
    assert not w_rec.any()


# -------------------------------------------------------------------- the numbers of each section


@pytest.mark.parametrize("settings_", [SETTINGS, SLOWER])
def test_section_1(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_steady_current, tmp_path, **settings_)
    beta, theta, rheobase = exact(run.cfg)
    steps = run.cfg.num_steps
    onset = steps // 10
    counts = []
    for strength in (Fraction(8, 10), Fraction(12, 10), Fraction(3)):
        cur = [0] * onset + [strength * rheobase] * (steps - onset)
        counts.append(len(neuron(cur, beta, theta)[0]))
    assert counts[0] == 0 < counts[1] < counts[2]
    settled = 0.8 * (1 - run.cfg.beta ** (steps - onset))
    assert run.value("settled") == pytest.approx(settled, rel=1e-4)
    assert run.value("spikes_middle") == counts[1]
    assert run.value("spikes_strong") == counts[2]
    assert counts[2] > 2.5 * counts[1]
    assert seen.outcomes["growth"] == "more than that"
    text = run.findings[0]["text"]
    assert f"the number of spikes from {counts[1]} to {counts[2]}." in text
    assert text.startswith("2 of 3 neurons fire, and 2 of the 3 steady states")
    assert text.endswith(f"differ at 0 of {3 * steps} steps.")
    assert seen.titles[:3] == [
        "0.8 × rheobase: 0 spikes",
        f"1.2 × rheobase: {counts[1]} spikes",
        f"3 × rheobase: {counts[2]} spikes",
    ]
    for column in (3, 4, 5):  # U by snnTorch and by hand: the same curve, drawn twice
        by_leaky = seen.lines[column, "U, snn.Leaky"]
        assert by_leaky == pytest.approx(seen.lines[column, "U, by hand"])
        assert len(by_leaky) == steps


def test_section_1_notices_another_neuron(tmp_path: Path, seen, monkeypatch) -> None:
    """If snnTorch changed its default reset, the page would say so."""
    leaky = lesson.snn.Leaky
    other = SimpleNamespace(Leaky=lambda **options: leaky(**options, reset_mechanism="zero"))
    monkeypatch.setattr(lesson, "snn", other)
    run = run_section(lesson.section_steady_current, tmp_path, **SETTINGS)
    differ = int(run.findings[0]["text"].split("differ at ")[1].split()[0])
    assert differ > 20


@pytest.mark.parametrize("settings_", [SETTINGS, SLOWER])
def test_section_2(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_membrane, tmp_path, **settings_)
    beta, theta, rheobase = exact(run.cfg)
    memory = math.floor(-1 / math.log(run.cfg.beta)) + 1  # the first n with βⁿ < 1/e
    assert run.value("memory") == memory
    assert "passive U × 2.0" in seen.titles[1]
    assert "passive membrane 2.0 times the potential" in run.findings[0]["text"]
    steps = run.cfg.measured_steps
    once, _ = neuron([1.2 * float(rheobase)] * steps, float(beta), float(theta))
    twice, _ = neuron([2.4 * float(rheobase)] * steps, float(beta), float(theta))
    assert run.value("active_ratio") == pytest.approx(len(twice) / len(once))
    assert run.value("active_ratio") > 2.5
    # Half the time step: √β, twice as many steps; 1.2 rheobases a step, or as much as (4) says.
    half = math.sqrt(run.cfg.beta)
    tau = -1 / math.log(run.cfg.beta)
    now = 1.2 * float(rheobase)
    resistance_times_current = now / (1 - run.cfg.beta)
    shrunk = (1 - math.exp(-0.5 / tau)) * resistance_times_current
    trapped, _ = neuron([now] * 2 * steps, half, float(theta))
    mended, _ = neuron([shrunk] * 2 * steps, half, float(theta))
    assert run.value("trap") == pytest.approx(len(trapped) / len(once))
    assert run.value("mended") == pytest.approx(len(mended) / len(once))
    assert run.value("trap") > 2.5 and 0.9 < run.value("mended") < 1.1
    assert f"β alone gets {len(trapped) / len(once):.1f} times" in run.findings[0]["text"]
    # forward Euler keeps (1/2)ᵏ of the distance to R·I where e^(−k/2) is right
    error = max(abs(0.5**k - math.exp(-k / 2)) for k in range(11))
    assert run.value("euler_error") == pytest.approx(error)
    assert f"forgets in {memory} steps" in seen.headline
    assert seen.headline.endswith(f"{len(twice) / len(once):.1f} times the spikes")
    assert f"Euler, {100 * error:.0f} % of R·I_in off" in seen.titles[2]
    assert f"spikes × {len(twice) / len(once):.1f}" in seen.titles[1]
    solution = seen.lines[2, "solution"]
    assert seen.lines[2, "exp(−Δt/τ)"] == pytest.approx(solution, abs=1e-12)
    left = seen.lines[0, f"β = {run.cfg.beta:.3g}: below 37 % after {memory}"]
    assert left[:, 1] == pytest.approx(run.cfg.beta ** np.arange(len(left)), abs=1e-6)
    assert len(left) > 100  # far enough for β = 0.99 to cross the line
    for i, strength in enumerate(("1.2", "2.4")):
        passive = seen.lines[1, f"{strength}, passive"][:, 1]
        climb = 1 - run.cfg.beta ** np.arange(1, run.cfg.num_steps + 1)
        assert passive == pytest.approx(float(strength) * float(theta) * climb, rel=1e-4)
        assert len(passive) == run.cfg.num_steps, i
    assert (0, "β = 0.5: below 37 % after 2") in seen.lines
    assert (0, "β = 0.99: below 37 % after 100") in seen.lines


@pytest.mark.parametrize("settings_", [SETTINGS, SLOWER])
def test_section_3(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_resets, tmp_path, **settings_)
    beta, theta, rheobase = exact(run.cfg)
    for row, reset in enumerate(lesson.RESETS):
        steady, _ = neuron([3 * rheobase] * run.cfg.num_steps, beta, theta, reset)
        kick, _ = neuron([3 * theta] + [0] * 40, beta, theta, reset)
        assert run.value(f"kick_{reset}") == len(kick)
        ending = "1 spike" if len(kick) == 1 else f"{len(kick)} spikes"
        assert seen.titles[2 * row] == f"{reset}, 3 rheobases, steady: {len(steady)} spikes"
        assert seen.titles[2 * row + 1] == f"{reset}, 3·θ, once: {ending}"
        assert f"{len(kick)} with {reset}" in seen.headline
    # Without a leak, reset to zero loses what stands above θ at each spike it pays for.
    theta = run.cfg.threshold
    generator = torch.Generator().manual_seed(run.cfg.seed)
    cur = (0.8 * theta * torch.rand(run.cfg.long_steps, 1, generator=generator))[:, 0].tolist()
    times, potentials = neuron(cur, 1.0, theta, "zero")
    lost = sum(potentials[t] - theta for t in times if t < len(cur) - 1)
    assert run.value("kept_zero") == pytest.approx(1 - lost / sum(cur), abs=1e-4)
    assert run.value("kept_subtract") == pytest.approx(1, abs=1e-4)
    text = run.findings[0]["text"]
    assert f"zero for {100 * (1 - lost / sum(cur)):.0f} %" in text
    assert "1 spike with zero" in text


@pytest.mark.parametrize("settings_", [SETTINGS, SLOWER])
def test_section_4(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_fi_curve, tmp_path, **settings_)
    cfg = run.cfg
    beta, theta, rheobase = exact(cfg)
    assert run.value("fi_agree") == 1
    steps = cfg.measured_steps
    for reset, name in (("zero", "zero, measured"), ("subtract", "subtract")):
        times, _ = neuron([2 * float(rheobase)] * steps, cfg.beta, cfg.threshold, reset)
        assert run.value(f"period_{reset}") == pytest.approx(np.mean(gaps(times)), rel=2e-3)
        drawn = seen.lines[0, name]
        assert len(drawn) == 80
        assert drawn[0, 0] == pytest.approx(0.4 * float(rheobase))
        assert drawn[-1, 0] == pytest.approx(1.2 * cfg.threshold)
        for cur, rate in drawn[::6]:
            counted = len(neuron([cur] * steps, cfg.beta, cfg.threshold, reset)[0])
            assert rate * steps == pytest.approx(counted, abs=1.01)
    assert run.value("period_zero") == 7 or cfg.beta != 0.9
    for (panel, name), line in seen.lines.items():  # the closed forms: where each leaves the axis
        value = float(name.split("=")[1]) if "=" in name else None
        if panel == 1:
            foot = cfg.threshold * (1 - value)
        elif panel == 2:
            foot = value * (1 - cfg.beta)
        elif name == "zero, by (5)":
            foot = float(rheobase)
        else:
            continue
        silent = line[line[:, 1] == 0, 0]
        last_silent = silent.max() if len(silent) else 0.0
        assert last_silent <= foot + 1e-9
        assert last_silent > foot - 0.012 * cfg.threshold
    assert seen.headline.startswith("Reset to zero") and "80 of 80 currents" in seen.headline
    assert "right for 80 of 80" in run.findings[0]["text"]


def test_section_4_notices_a_wrong_formula(tmp_path: Path, seen, monkeypatch) -> None:
    right = lesson.period
    monkeypatch.setattr(lesson, "period", lambda *a: right(*a) + 1)
    run = run_section(lesson.section_fi_curve, tmp_path, **SETTINGS)
    assert run.value("fi_agree") < 0.2


@pytest.mark.parametrize("settings_", [SETTINGS, SLOWER | {"seed": 5}])
def test_section_5(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_varying_currents, tmp_path, **settings_)
    cfg = run.cfg
    steps, drawn = cfg.measured_steps, cfg.num_steps
    rheobase = cfg.threshold * (1 - cfg.beta)
    generator = torch.Generator().manual_seed(cfg.seed)
    spread = 0.25 * cfg.threshold * math.sqrt(1 - cfg.beta**2)
    random = torch.randn(steps, 50, generator=generator)
    currents = {
        "step": [2 * rheobase * (drawn // 5 <= t < 3 * drawn // 4) for t in range(steps)],
        "ramp": [3 * rheobase * t / drawn for t in range(steps)],
        "sine": [1.2 * rheobase * (1 + math.sin(2 * math.pi * t / 40)) for t in range(steps)],
    }
    times = {name: neuron(cur, cfg.beta, cfg.threshold)[0] for name, cur in currents.items()}
    counts = {name: sum(t < drawn for t in found) for name, found in times.items()}
    first = seen.figures["5_step_ramp_sine"]
    assert first.titles[:3] == [f"{name}: {lesson.spikes(n)}" for name, n in counts.items()]
    lag = times["ramp"][0] - drawn / 3
    assert run.value("ramp_lag") == pytest.approx(lag)
    assert 0.5 * cfg.tau < lag < cfg.tau + 1
    assert f"comes {lag:.1f} steps after" in first.headline

    isi, total = [], 0
    for column in random.unbind(1):
        noise = [0.75 * rheobase + spread * x for x in column.tolist()]
        found, _ = neuron(noise, cfg.beta, cfg.threshold)
        total += len(found)
        isi += gaps(found)
    # float32 decides otherwise about a spike now and then
    assert run.value("noise_spikes") == pytest.approx(total / 50, rel=0.01) and total > 200
    assert run.value("mean_spikes") == 0
    cv = np.std(isi) / np.mean(isi)
    assert run.value("cv") == pytest.approx(cv, rel=0.01) and 0.4 < cv < 1
    assert seen.outcomes["noise_fires"] == "now and then, at uneven intervals"
    assert f"{run.value('noise_spikes'):.1f} spikes from noise and 0 from" in seen.headline
    assert f"CV {100 * run.value('cv'):.0f} %" in seen.headline
    assert sum(seen.bars) == pytest.approx(len(isi), rel=0.01)
    mean = seen.lines[0, "its mean alone"][:, 1]
    climb = 0.75 * cfg.threshold * (1 - cfg.beta ** np.arange(1, len(mean) + 1))
    assert mean == pytest.approx(climb, rel=1e-4)
    # Without spikes the noise would make U scatter by θ/4 around 0.75 θ.
    long = 0.75 * rheobase + spread * torch.randn(200_000, generator=generator)
    mem = 0.0
    potentials = [mem := cfg.beta * mem + x for x in long.tolist()]
    assert np.std(potentials[500:]) == pytest.approx(cfg.threshold / 4, rel=0.05)
    assert np.mean(potentials[500:]) == pytest.approx(0.75 * cfg.threshold, rel=0.02)


@pytest.mark.parametrize("settings_", [SETTINGS, SLOWER])
def test_section_6(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_limits, tmp_path, **settings_)
    cfg = run.cfg
    rheobase = cfg.threshold * (1 - cfg.beta)
    decay = math.exp(-1 / (10 * cfg.tau))  # ten times the membrane's time constant
    parameters = {
        "lif": (0, 0, 0),
        "late": (5, 0, 0),
        "slower": (0, 0, 0.2 * rheobase),
        "bursting": (0, cfg.threshold / cfg.beta, 0.2 * rheobase),
    }
    isi = {}
    for name, (refractory, restart, jump) in parameters.items():
        times, _ = adaptive_neuron(
            *(cfg.measured_steps, 2 * rheobase, cfg.beta, cfg.threshold),
            *(refractory, restart, jump, decay),
        )
        isi[name] = gaps(times)
    period = math.floor(math.log(0.5) / math.log(cfg.beta)) + 1  # x of (5) at twice the rheobase
    assert set(isi["lif"]) == {period} and set(isi["late"]) == {period + 5}
    assert run.value("lif_uneven") == 1
    assert run.value("late") == period + 5
    assert run.value("slower") == pytest.approx(isi["slower"][-1] / isi["slower"][0])
    assert run.value("slower") > 1.5
    sizes, pauses, size = [], [], 1
    for interval in isi["bursting"]:
        if interval == 1:
            size += 1
        else:
            sizes.append(size)
            pauses.append(interval)
            size = 1
    assert len(sizes) > 2 and min(sizes) > 2 and min(pauses) > 20
    assert run.value("burst") == np.median(sizes)
    assert run.value("pause") == np.median(pauses)
    ending = f"it bursts: about {np.median(sizes):.0f} spikes, then a pause of about "
    assert ending + f"{np.median(pauses):.0f} steps." in run.findings[0]["text"]
    assert f"With w: from {isi['slower'][0]} to {isi['slower'][-1]} steps" in seen.headline
    assert ending in seen.headline
    for title, name in zip(seen.titles, parameters, strict=False):
        assert title.endswith("intervals " + ", ".join(map(str, isi[name][:13])) + ", …")
    assert f"{len(isi['lif'])} intervals, all of {period} steps" in run.findings[0]["text"]


@pytest.mark.parametrize(("beta", "bursts"), [(0.3, False), (0.5, True), (0.9, True), (0.99, True)])
def test_section_6_bursts_where_w_reaches_the_current(
    beta: float, bursts: bool, tmp_path: Path, seen
) -> None:
    """A spike a step drives w to b/(1 − ρ); if that is less than I, no pause comes and none is told."""
    run = run_section(lesson.section_limits, tmp_path, smoke=False, beta=beta)
    rheobase = 1 - beta
    assert (0.2 * rheobase / (1 - beta**0.1) > 2 * rheobase) == bursts
    assert (run.value("burst") > 1) == bursts == (run.value("pause") > 5)
    assert ("it bursts" in run.findings[0]["text"]) == bursts
    assert ("no pause comes" in run.findings[0]["text"]) != bursts


def test_without_w_a_reset_above_the_threshold_never_pauses() -> None:
    one = torch.ones(1)
    spk_rec, _, _ = lesson.adaptive_lif(
        torch.full((300, 1), 0.2), 0.9, 1.0, 0 * one, one / 0.9, 0 * one, 0.99
    )
    assert set(lesson.intervals(spk_rec[:, 0])) == {1}


# -------------------------------------------------------------------- at the edges


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("flags", "drawn"),
    [
        (["--num-steps=1"], True),
        (["--beta=0.05", "--threshold=0.01", "--num-steps=7"], False),
        (["--beta=0.99", "--threshold=100", "--seed=3"], False),
    ],
)
def test_whole_lesson_at_the_edges(flags, drawn: bool, tmp_path: Path, seen) -> None:
    """One step to draw, hardly any memory, hardly any leak: every number stays a number."""
    seen.drawn = drawn
    flags = [*flags, "--smoke", "--device=cpu", f"--out-dir={tmp_path}"]
    start(lesson.main, lesson.Config, lesson.SMOKE, lesson.FULL, flags)
    assert (tmp_path / "smoke" / "01_lif_neuron" / "metrics.json").is_file()


# -------------------------------------------------------------------- the study


def test_snn_leaky_is_handed_u_alone_and_finds_its_spike() -> None:
    """Section 3: a U above θ that comes in is a spike to pay for, whoever made it."""
    lif = lesson.snn.Leaky(beta=0.5)
    _, mem = lif(torch.tensor([0.4]), torch.tensor([1.3]))
    assert mem.item() == pytest.approx(0.5 * 1.3 + 0.4 - 1)


def test_study_guesses(tmp_path: Path, seen) -> None:
    """Counted again with ``if`` and plain numbers, neuron by neuron."""
    run = run_section(study.section_guesses, tmp_path, num_steps=200, neurons=5, beta=0.8)
    noise = torch.rand(200, 5, generator=torch.Generator().manual_seed(0))
    for reset in ("subtract", "zero"):
        wrong = 0
        for column in ((1.4 * noise - 0.5) * 1.0).unbind(1):
            right = set(neuron(column.tolist(), 0.8, 1.0, reset)[0])
            mem, fired = 0.0, False
            for t, cur_t in enumerate(column.tolist()):
                if fired and reset == "subtract":
                    mem -= 1.0
                mem = 0.8 * mem + cur_t
                if fired and reset == "zero":
                    mem = 0.0
                fired = mem > 1.0
                wrong += fired != (t in right)
        assert wrong > 20
        assert run.value(f"wrong_{reset}") == pytest.approx(wrong / 1000)
        drawn = seen.lines[0, reset]
        assert drawn[:, 0].tolist() == list(study.BETAS)
        assert drawn[study.BETAS.index(0.8), 1] == pytest.approx(wrong / 10)
    assert seen.lines[0, "subtract"][-1].tolist() == [1.0, 0.0]  # no leak: the order is no matter
    assert run.value("switch") == 0
    assert run.value("silent") == math.floor(math.log(1.5) / -math.log(0.8))  # 1.5·θ leaks to θ


def test_study_account(tmp_path: Path, seen) -> None:
    """Zero's account from the potentials of plain neurons; all parts of an account add up to 1."""
    settings_ = {"num_steps": 150, "neurons": 3, "threshold": 2.0, "seed": 4}
    run = run_section(study.section_account, tmp_path, **settings_)
    generator = torch.Generator().manual_seed(5)
    cur = 1.6 * torch.rand(150, 3, generator=generator)
    total = cur.sum().item()
    paid, thrown, free = {"subtract": 0.0, "zero": 0.0}, 0.0, 0.0
    for column in cur.unbind(1):
        for reset in paid:
            times, potentials = neuron(column.tolist(), 0.9, 2.0, reset)
            paid[reset] += 2.0 * sum(t < 149 for t in times)
            if reset == "zero":
                thrown += sum(potentials[t] - 2.0 for t in times if t < 149)
        free += 2.0 * len(neuron(column.tolist(), 0.9, 2.0, "none")[0])
    assert run.value("paid_subtract") == pytest.approx(paid["subtract"] / total, rel=1e-5)
    assert run.value("paid_zero") == pytest.approx(paid["zero"] / total, rel=1e-5)
    assert run.value("thrown_zero") == pytest.approx(thrown / total, rel=1e-4)
    assert run.value("free_none") == pytest.approx(free / total, rel=1e-5)
    assert seen.ends == pytest.approx([100, 100, 100], abs=1e-3)
