"""Lesson 06: the three neurons against plain recurrences, and every number it publishes.

The oracle is ``neuron``, the equations (1) to (3) in plain Python numbers with an ``if`` for each reset. It
shares no line with the lesson, nor with snnTorch.
"""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

from common.io import UserError
from common.lesson import start
from common.run import Run
from tutor.questions import load

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers import ROOT, load_script, run_section
from hypothesis import assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(ROOT / "studies"))  # for _root
lesson = load_script("06_synaptic_currents")
study = load_script("studies/06_filters")
DECAY = st.floats(0.05, 0.97)
SETTINGS = {"smoke": False, "trials": 200}
OTHER = SETTINGS | {"alpha": 0.8, "beta": 0.4, "seed": 3}
both = pytest.mark.parametrize("settings_", [SETTINGS, OTHER])


def neuron(kind, x, alpha, beta, theta=1.0):
    """Spike times and potentials for the inputs ``x``; Alpha resets to zero, the others subtract."""
    syn = inh = mem = 0.0
    fired, times, potentials = False, [], []
    for t, x_t in enumerate(x):
        if kind == "Alpha":
            if fired:
                syn = inh = mem = 0.0
            else:
                syn = alpha * syn + x_t
                inh = beta * inh - x_t
                mem = math.log(beta) / (math.log(beta) - math.log(alpha)) * (syn + inh)
        else:
            syn = alpha * syn + x_t if kind == "Synaptic" else x_t
            mem = beta * mem + syn
            if fired:
                mem -= theta
        fired = mem > theta
        if fired:
            times.append(t)
        potentials.append(mem)
    return times, potentials


def answer(kind, alpha, beta, steps=1500):
    """h in plain numbers."""
    return np.array(neuron(kind, [1.0] + [0.0] * (steps - 1), alpha, beta, math.inf)[1])


def slow(cfg) -> float:
    """β of the slow Leaky, from the mean of n weighted with Synaptic's h."""
    h = answer("Synaptic", cfg.alpha, cfg.beta)
    mean = (np.arange(len(h)) * h).sum() / h.sum()
    return mean / (1 + mean)


def arms(cfg):
    """Name in the lesson → kind, α, β."""
    kinds = {name: (name, cfg.alpha, cfg.beta) for name in lesson.NAMES}
    return kinds | {lesson.SLOW: ("Leaky", None, slow(cfg))}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """What sections draw and what they answer: headlines, panel titles, lines, legends, outcomes."""
    seen = SimpleNamespace(drawn=False, outcomes={}, asked={})

    def figure(self, fig, name, look=""):
        assert look, "every figure says what to look at"
        if seen.drawn:
            fig.canvas.draw()  # whatever cannot be drawn fails here
        seen.headline = fig.get_suptitle()
        seen.titles = [ax.get_title(loc="left") for ax in fig.axes]
        seen.lines = {}
        for i, ax in enumerate(fig.axes):
            for line in ax.get_lines():
                seen.lines[i, line.get_label()] = np.asarray(line.get_xydata(), dtype=float)
        seen.legends = [
            [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []
            for ax in fig.axes
        ]
        seen.bars = [[bar.get_height() for bar in ax.patches] for ax in fig.axes]
        plt.close(fig)
        return Path(name)

    def outcome(self, id, measured):
        seen.outcomes[id] = measured

    def predict(self, id, question, options=(), unit=""):
        seen.asked[id] = (question, options)

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", outcome)
    monkeypatch.setattr(Run, "predict", predict)
    return seen


def text_of(run) -> str:
    return run.findings[0]["text"]


# -------------------------------------------------------------------- oracles


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(lesson.NAMES), DECAY, DECAY, st.integers(0, 2**31 - 1))
def test_snntorch_is_the_equations(kind: str, alpha: float, beta: float, seed: int) -> None:
    assume(kind != "Alpha" or alpha - beta > 0.02)  # near α = β float32 loses digits
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(seed)) - 0.2
    cfg = SimpleNamespace(alpha=alpha, beta=beta)
    record = lesson.simulate(kind, x, cfg)
    for column in range(2):
        times, potentials = neuron(kind, x[:, column].double().tolist(), alpha, beta)
        if min(abs(u - 1) for u in potentials) < 1e-4:
            continue  # float32 may decide otherwise
        assert torch.nonzero(record["spk"][:, column])[:, 0].tolist() == times
        assert record["mem"][:, column].tolist() == pytest.approx(potentials, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(lesson.NAMES), DECAY, DECAY)
def test_closed_form_is_the_recurrence(kind: str, alpha: float, beta: float) -> None:
    assume(abs(alpha - beta) > 1e-3)
    h = answer(kind, alpha, beta, 80)
    closed = lesson.closed_form(kind, np.arange(80), alpha, beta)
    assert np.allclose(closed, h, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(DECAY, DECAY)
def test_alpha_is_a_scaled_synaptic_one_step_later(alpha: float, beta: float) -> None:
    """Section 2 says so, and that nothing changes when α and β change places."""
    assume(alpha - beta > 1e-3)
    synaptic = answer("Synaptic", alpha, beta, 100)
    late = answer("Alpha", alpha, beta, 100)
    assert late[0] == pytest.approx(0, abs=1e-12)
    assert late[1:] == pytest.approx(late[1] * synaptic[:-1], rel=1e-6, abs=1e-12)
    assert answer("Synaptic", beta, alpha, 100) == pytest.approx(synaptic, rel=1e-6, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(DECAY, DECAY)
def test_delays_add_up_and_so_does_the_worth_of_a_weight(alpha: float, beta: float) -> None:
    h = answer("Synaptic", alpha, beta)
    cfg = SimpleNamespace(alpha=alpha, beta=beta)
    mean = (np.arange(len(h)) * h).sum() / h.sum()
    assert lesson.mean_delay(cfg) == pytest.approx(mean, rel=1e-6)
    assert h.sum() == pytest.approx(1 / ((1 - alpha) * (1 - beta)), rel=1e-6)
    one = answer("Leaky", None, lesson.one_leak(cfg), 4000)
    assert (np.arange(4000) * one).sum() / one.sum() == pytest.approx(mean, rel=1e-4)


def test_resets_are_as_the_lesson_says() -> None:
    """After a spike Synaptic's current flows on; Alpha has nothing left, not even that step's input."""
    cfg = lesson.Config()
    x = torch.zeros(30, 1)
    x[0] = 3
    record = lesson.simulate("Synaptic", x, cfg)
    assert record["spk"][0] == 1 and record["spk"].sum() > 1
    assert record["I"][:, 0].tolist() == pytest.approx((3 * 0.9 ** np.arange(30)).tolist())
    x[0] = 5
    record = lesson.simulate("Alpha", x, cfg)
    fired = int(record["spk"].argmax())
    for key in ("E", "F", "mem"):
        assert record["spk"].sum() == 1 and record[key][fired + 1].item() == 0


def test_first_spikes() -> None:
    spk = torch.tensor([[0.0, 1, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]])
    assert lesson.first_spikes(spk).tolist() == [2, 0, 4]


def test_alpha_too_near_beta_is_one_clear_line() -> None:
    for alpha, beta in ((0.8, 0.8), (0.5, 0.9), (0.9, 0.895)):
        with pytest.raises(UserError, match="--alpha: got .*, allowed is --beta"):
            lesson.Config(alpha=alpha, beta=beta).validate()
    lesson.Config(alpha=0.91, beta=0.9).validate()


# -------------------------------------------------------------------- the numbers of each section


@both
def test_section_1(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_four_rows, tmp_path, **settings_)
    cfg = run.cfg
    x = np.zeros(150)
    x[[5, 75, 79, 115, 120, 125, 130, 135]] = 1
    x[35] = 2
    counts, pair = {}, []
    for i, name in enumerate(lesson.NAMES):
        weight = 0.6 / answer(name, cfg.alpha, cfg.beta).max()
        times, potentials = neuron(name, weight * x, cfg.alpha, cfg.beta)
        counts[name] = len(times)
        assert run.value(f"out_{name.lower()}") == len(times)
        assert seen.titles[i] == f"snn.{name}, w = {weight:.2g}"
        assert seen.titles[9 + i] == f"spikes out: {len(times)}"
        assert seen.lines[6 + i, "U"][:, 1] == pytest.approx(potentials, abs=1e-4)
        if any(75 <= t < 115 for t in times):
            pair.append(name)
        assert not any(t < 35 for t in times), "one spike alone is not enough"
        assert any(35 <= t < 75 for t in times), "two at once are"
    current = neuron("Synaptic", x, cfg.alpha, 0.0, math.inf)[1]  # β = 0: U is I
    weight = 0.6 / answer("Synaptic", cfg.alpha, cfg.beta).max()
    assert seen.lines[4, "I"][:, 1] == pytest.approx(weight * np.array(current), abs=1e-5)
    assert seen.headline.endswith(", ".join(f"{k} {n}" for k, n in counts.items()))
    assert f"four steps apart make {' and '.join(pair) or 'none of them'} fire" in text_of(run)
    expected = {0: "none", 2: "Synaptic and Alpha"}[len(pair)]
    assert seen.outcomes["apart"] == expected and expected in seen.asked["apart"][1]
    assert "differ at 0 of 150 steps" in text_of(run)


def test_section_1_notices_another_neuron(tmp_path: Path, seen, monkeypatch) -> None:
    """If snnTorch exchanged the decays, the page would say so."""
    right = lesson.run_synaptic
    monkeypatch.setattr(lesson, "run_synaptic", lambda x, a, b, **o: right(x, b, a, **o))
    run = run_section(lesson.section_four_rows, tmp_path, **SETTINGS)
    assert int(text_of(run).split("differ at ")[1].split()[0]) > 2


@both
def test_section_2(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_response, tmp_path, **settings_)
    cfg = run.cfg
    peaks = {name: int(answer(name, cfg.alpha, cfg.beta).argmax()) for name in lesson.NAMES}
    assert run.value("peak_synaptic") == peaks["Synaptic"]
    assert run.value("peak_alpha") == peaks["Alpha"] == peaks["Synaptic"] + 1
    assert run.value("swap_below") < 1e-5
    assert seen.headline == "Highest after " + (
        f"0 (Leaky), {peaks['Synaptic']} (Synaptic), {peaks['Alpha']} steps (Alpha); "
        f"α ↔ β makes {run.value('swap_spikes'):.2f} times the spikes"
    )
    # the spikes of the first 8 neurons, by plain numbers
    generator = torch.Generator().manual_seed(cfg.seed)
    spk_in = torch.bernoulli(torch.full((2000, 64), 0.2), generator=generator)
    weight = (1 - cfg.alpha) * (1 - cfg.beta) / 0.2
    assert weight * 0.2 * answer("Synaptic", cfg.alpha, cfg.beta).sum() == pytest.approx(1)
    given, swapped = 0, 0
    for column in spk_in[:, :8].T.tolist():
        x = [weight * s for s in column]
        given += len(neuron("Synaptic", x, cfg.alpha, cfg.beta)[0])
        swapped += len(neuron("Synaptic", x, cfg.beta, cfg.alpha)[0])
    assert swapped < 0.9 * given, "the slower membrane remembers its debts for longer"
    assert run.value("swap_spikes") == pytest.approx(swapped / given, rel=0.05)
    ratio = run.value("swap_spikes")
    assert f"makes {ratio:.2f} times as many spikes" in text_of(run)
    assert "a threshold stays the same" in text_of(run)
    # What section 2 says of the price of a spike: θ/(1 − β) in all.
    free = np.array(neuron("Synaptic", [5.0] + [0.0] * 400, cfg.alpha, cfg.beta, math.inf)[1])
    times, paid = neuron("Synaptic", [5.0] + [0.0] * 400, cfg.alpha, cfg.beta)
    assert (free - np.array(paid)).sum() == pytest.approx(len(times) / (1 - cfg.beta))
    drawn = seen.lines[2, f"α = {cfg.beta:g}, β = {cfg.alpha:g}"]
    before = seen.lines[2, f"α = {cfg.alpha:g}, β = {cfg.beta:g}"]
    assert drawn[-1, 1] / before[-1, 1] == pytest.approx(ratio, rel=0.1)
    h = seen.lines[0, "snn.Synaptic"][:, 1]
    expected = answer("Synaptic", cfg.alpha, cfg.beta)
    assert h == pytest.approx(expected[: len(h)] / expected.max(), abs=1e-5)


@both
def test_section_3(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_two_decays, tmp_path, **settings_)
    cfg = run.cfg
    delay = cfg.alpha / (1 - cfg.alpha) + cfg.beta / (1 - cfg.beta)
    even = (delay / 2) / (1 + delay / 2)
    n = np.arange(1500)
    hump = (n + 1) * even**n  # equation (4) as α → β
    jump = (delay / (1 + delay)) ** n
    assert run.value("peak_even") == hump.argmax()
    assert run.value("width_even") == (hump >= hump.max() / 2).sum()
    assert run.value("width_one") == (jump >= 0.5).sum()
    assert f"A mean delay of {delay:.3g} steps" in seen.headline
    assert seen.headline.endswith(f"step 0 with one leak, at step {hump.argmax()} split evenly")
    x = np.zeros(300)
    x[[0, 5, 10, 15, 20]] = 1
    for name, (kind, alpha, beta) in arms(cfg).items():
        if name == "Alpha":
            continue
        burst = max(neuron(kind, x, alpha, beta, math.inf)[1])
        volley = 5 * answer(kind, alpha, beta).max()
        drawn = seen.lines[2, name]
        assert drawn[5, 1] == pytest.approx(burst / volley, rel=1e-4)
        assert drawn[0, 1] == pytest.approx(1)
        shown = {"Leaky": "burst_leaky", "Synaptic": "burst_synaptic"}.get(name)
        if shown:
            assert run.value(shown) == pytest.approx(burst / volley, rel=1e-4)
        assert f"{100 * burst / volley:.0f} %" in text_of(run)
    widths = seen.lines[1, "width at half height"][:, 1]
    assert widths == pytest.approx(widths[::-1]), "the split is symmetric"
    peaks = seen.lines[1, "step of the peak"][:, 1]
    assert peaks.max() == peaks[10] and peaks[0] == peaks[-1] == 0


@both
def test_section_4(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_first_spike, tmp_path, **settings_)
    cfg = run.cfg
    # The same experiment with its own noise, in NumPy, 20 trials a level: means agree within a few errors.
    rng = np.random.default_rng(11)
    latency, jitter = {}, {}
    text = text_of(run)
    for name, (kind, alpha, beta) in arms(cfg).items():
        h = answer(kind, alpha, beta)
        climb = 1.75 * h.cumsum() / h.sum()
        meets = int((climb > 1).argmax())
        slope = climb[meets] - climb[meets - 1]
        drawn = seen.lines[0, name][:, 1]
        assert drawn == pytest.approx(climb[: len(drawn)], abs=1e-3)
        error = 0.2 / h.sum() * math.sqrt((h[: meets + 1] ** 2).sum())
        if name in ("Synaptic", lesson.SLOW):
            key = "slow" if name == lesson.SLOW else "synaptic"
            expected = math.sqrt((error / slope) ** 2 + 1 / 12)
            assert run.value(f"expected_{key}") == pytest.approx(expected, rel=0.12)  # 200 trials
            assert f"{slope:.3f}" in text.split("U climbs by")[1].split("from which")[0]
            assert f"{run.value(f'expected_{key}'):.2f}" in text.split("(6) expects")[1]
            told = text.split("throws U off by ")[1].split(" θ")[0].split(" and ")
            assert float(told[key == "slow"]) == pytest.approx(error, rel=0.15)
        firsts = []
        for level in np.linspace(1.5, 2.0, 10):
            noise = rng.standard_normal((60, 200))
            x = (level + 0.2 * noise) / h.sum()
            firsts.append([neuron(kind, row, alpha, beta)[0][0] for row in x])
        latency[name] = np.mean(firsts)
        jitter[name] = math.sqrt(np.mean(np.var(firsts, axis=1, ddof=1)))
    for key, name in (("leaky", "Leaky"), ("synaptic", "Synaptic"), ("slow", lesson.SLOW)):
        assert run.value(f"jitter_{key}") == pytest.approx(jitter[name], rel=0.2)
    for name, mean in latency.items():
        legend = next(words for words in seen.legends[1] if words.startswith(name))
        assert float(legend.split("step ")[1]) == pytest.approx(mean, abs=0.15)
    synaptic, slow_one = run.value("jitter_synaptic"), run.value("jitter_slow")
    assert f"{synaptic:.2f} in Synaptic, {slow_one:.2f} in the slow" in seen.headline
    assert f"by {slow_one:.2f} in the slow Leaky" in text
    expected = "equally (within 5 %)"
    if synaptic < 0.95 * slow_one:
        expected = "Synaptic's"
    if slow_one < 0.95 * synaptic:
        expected = "the slow Leaky's"
    assert seen.outcomes["surer"] == expected and expected in seen.asked["surer"][1]
    assert "200 trials a point" in seen.titles[1]
    drawn = next(xy for (i, name), xy in seen.lines.items() if i == 1 and name.startswith("Syn"))
    assert drawn[1].tolist() == pytest.approx([0.2, synaptic], abs=0.006)


@both
def test_section_5(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_coincidence, tmp_path, **settings_)
    cfg = run.cfg
    window = {}
    for name, (kind, alpha, beta) in arms(cfg).items():
        size = 0.65 / answer(kind, alpha, beta).max()
        fires = []
        for gap in range(80):
            x = np.zeros(300)
            x[0] += size
            x[gap] += size
            fires.append(bool(neuron(kind, x, alpha, beta)[0]))
        window[name] = sum(fires) - 1
        assert not any(later and not sooner for sooner, later in pairwise(fires))
    assert run.value("window_leaky") == window["Leaky"]
    limit = math.log(0.35 / 0.65) / math.log(cfg.beta)  # the closed form of section 5
    assert window["Leaky"] == math.ceil(limit) - 1
    assert run.value("window_slow") == window[lesson.SLOW]
    assert run.value("window_synaptic") == window["Synaptic"] == window["Alpha"]
    assert seen.headline.endswith(f"{window['Synaptic']} in Synaptic")
    assert f"{window[lesson.SLOW]} in the slow Leaky" in seen.headline
    assert f"up to {window['Leaky']} steps apart. And" in seen.asked["window_synaptic"][0]
    assert f"alone reaches {window[lesson.SLOW]};" in text_of(run)
    strong = {}
    for name in ("Synaptic", lesson.SLOW):
        kind, alpha, beta = arms(cfg)[name]
        h = answer(kind, alpha, beta, 400)
        h = 0.9 * h / h.max()
        both_at = [
            (h + np.concatenate([np.zeros(gap), h[: 400 - gap]])).max() for gap in range(150)
        ]
        strong[name] = int((np.array(both_at) > 1).sum()) - 1
    told = f"it is {strong['Synaptic']} in Synaptic and {strong[lesson.SLOW]} in the slow Leaky"
    assert told in text_of(run)
    # The Leaky whose window is as long: one more step would not fire, and a slightly smaller β fails.
    delay = run.value("delay_leaky")
    beta = delay / (1 + delay)
    assert 0.65 * (1 + (1.001 * beta) ** window["Synaptic"]) > 1
    assert 0.65 * (1 + (0.999 * beta) ** window["Synaptic"]) < 1
    assert f"it needs {delay:.3g}." in text_of(run)
    assert delay > lesson.mean_delay(cfg) or cfg.beta == 0.4  # whole steps: there it is a tie
    drawn = seen.lines[0, f"Synaptic: {window['Synaptic']}"][:, 1]
    assert (drawn > 1).sum() - 1 == window["Synaptic"] and drawn[0] == pytest.approx(1.3)
    assert run.findings[0]["main"] and run.findings[0]["claim"] == "window_synaptic"
    # Half of the volleys fire: own arrivals, exact convolution with h.
    rng = np.random.default_rng(5)
    for key, name in (("slow", lesson.SLOW), ("synaptic", "Synaptic")):
        h = answer(*arms(cfg)[name], 400)
        half = run.value(f"half_{key}")
        shares = []
        for scatter in (0.7 * half, half, 1.4 * half):
            arrival = np.round(200 + scatter * rng.standard_normal((300, 20))).astype(int)
            fired = 0
            for row in arrival:
                total = np.convolve(np.bincount(row, minlength=400), h)
                fired += 1.6 / 20 / h.max() * total.max() > 1
            shares.append(fired / 300)
        assert shares[0] > 0.75 and 0.3 < shares[1] < 0.7 and shares[2] < 0.25, (name, shares)
        assert f"{half:.1f}" in text_of(run)


@both
def test_section_6(settings_, tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_cost, tmp_path, **settings_)
    cfg = run.cfg
    assert run.value("state_synaptic") == 8
    assert "State takes 4, 8, 12 bytes" in text_of(run)
    assert seen.headline.startswith("State: 4, 8, 12 bytes")
    generator = torch.Generator().manual_seed(cfg.seed)
    spk_in = torch.bernoulli(torch.full((1000, 64), 0.2), generator=generator)
    weight = 0.9 * (1 - cfg.beta) / 0.2
    leaky, kept, divided = 0, 0, 0
    for column in spk_in[:, :12].T.tolist():
        x = np.array([weight * s for s in column])
        leaky += len(neuron("Leaky", x, None, cfg.beta)[0])
        kept += len(neuron("Synaptic", x, cfg.alpha, cfg.beta)[0])
        divided += len(neuron("Synaptic", (1 - cfg.alpha) * x, cfg.alpha, cfg.beta)[0])
    shares = {"leaky": leaky, "kept": kept, "divided": divided}
    for key, count in shares.items():
        assert run.value(f"fires_{key}") == pytest.approx(count / 12_000, rel=0.1)
    text = text_of(run)
    assert f"weights divided by {1 / (1 - cfg.alpha):.3g}." in text
    assert f"Leaky fires at {100 * run.value('fires_leaky'):.0f} % of the steps" in text
    assert f"at {100 * run.value('fires_kept'):.0f} % with the same weights" in text
    assert f"at {100 * run.value('fires_divided'):.1f} % with weights divided" in text
    assert f"a spike in {100 * run.value('fires_kept'):.0f} % of the steps" in seen.headline
    # With fixed decays a step keeps U − θ alone; learnt ones keep the old I and the old U as well.
    assert run.value("fixed_synaptic") == 4 and run.value("learnt_synaptic") == 12
    assert (
        "Training keeps 4, 4 and 8 bytes of each step if the decays are fixed, 8 and 12 if they are"
        in text
    )


# -------------------------------------------------------------------- at the edges


@pytest.mark.parametrize(
    ("flags", "drawn"),
    [
        (["--alpha=0.06", "--beta=0.05", "--num-steps=1"], True),
        (["--alpha=0.9", "--beta=0.89", "--seed=3"], False),
    ],
)
def test_whole_lesson_at_the_edges(flags, drawn: bool, tmp_path: Path, seen) -> None:
    """One step to draw, hardly any memory, two decays that are nearly equal: numbers stay numbers."""
    seen.drawn = drawn
    flags = [*flags, "--smoke", "--trials=20", "--device=cpu", f"--out-dir={tmp_path}"]
    start(lesson.main, lesson.Config, lesson.SMOKE, lesson.FULL, flags)
    assert (tmp_path / "smoke" / "06_synaptic_currents" / "metrics.json").is_file()


# -------------------------------------------------------------------- the study


def test_study_sines(tmp_path: Path, seen) -> None:
    run = run_section(study.section_sines, tmp_path, num_steps=400)
    n = np.arange(1500)
    for kind in ("Leaky", "Synaptic"):
        h = answer(kind, 0.9, 0.8)
        size = abs((h * np.exp(-2j * np.pi * 0.1 * n)).sum()) / h.sum()
        assert run.value(f"tenth_{kind.lower()}") == pytest.approx(20 * math.log10(size), abs=0.05)
        assert f"{kind} {20 * math.log10(size):.1f} dB" in seen.headline
    assert run.value("sines_off") < 1e-3


def test_study_corner(tmp_path: Path, seen) -> None:
    run = run_section(study.section_corner, tmp_path)
    assert run.value("corner_nan") == 1 and run.value("remedy_off") < 1e-5
    assert 1e-3 < run.value("corner_off") < 0.2
    assert "draws 0 spikes" in text_of(run)
    assert seen.outcomes["equal"] == "it never fires again"
    limit = seen.lines[0, "limit −ln α·n·αⁿ"][:, 1]
    assert limit == pytest.approx(answer("Alpha", 0.9, 0.9 - 1e-5, len(limit)), abs=1e-3)
    errors = seen.lines[1, "snn.Alpha, float32"]
    assert errors[0, 1] == pytest.approx(run.value("corner_off"))
    assert errors[-1, 1] < 1e-5, "far from the corner float32 is good enough"


# -------------------------------------------------------------------- the quiz


def test_quiz_numbers() -> None:
    numbers = [q for q in load("06_synaptic_currents") if q.kind == "number"]
    u_2 = answer("Synaptic", 0.5, 0.5, 10)[2]
    settled = neuron("Synaptic", [0.1] * 400, 0.9, 0.6, math.inf)[1][-1]
    assert [q.answer for q in numbers] == pytest.approx([u_2, settled, 8 * 100_000 * 32 / 1e6])
    worth = answer("Synaptic", 0.95, 0.8).sum() / answer("Leaky", None, 0.8).sum()
    swap = next(q for q in load("06_synaptic_currents") if "α = 0.95" in q.question)
    assert float(swap.options["abcd".index(swap.answer)]) == pytest.approx(1 / worth)
