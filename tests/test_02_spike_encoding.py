"""Lesson 02: the codes against their equations and spikegen, and every number that it publishes.

The oracles are loops over single pixels, ``scipy.stats.binom``, and counting in a dictionary.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

from common.data import mnist
from common.run import Run
from tutor.questions import load

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers import ROOT, load_script, run_section
from nets import marked_splits
from scipy.stats import binom
from snntorch import spikegen

sys.path.insert(0, str(ROOT / "studies"))  # for _root
lesson = load_script("02_spike_encoding")
study = load_script("studies/02_grey_paper")
RATE, SPARSE, LATENCY, DELTA = lesson.CODES
CFG = lesson.Config(num_steps=12, n_train=100)
PLAIN = SimpleNamespace(device=torch.device("cpu"))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """All test digits of the stand-in set, ``(B, 28, 28)`` from 0 to 1."""
    return mnist(source="stand-in").x_test[:, 0].float() / 255


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """What sections draw and what they answer: headlines, panel titles, lines, bars, outcomes."""
    seen = SimpleNamespace(figures={}, outcomes={}, drawn=False)

    def figure(self, fig, name, look=""):
        assert look, "every figure says what to look at"
        if seen.drawn:
            fig.canvas.draw()
        lines, bars = {}, []
        for i, ax in enumerate(fig.axes):
            bars.append([bar.get_width() for bar in ax.patches])
            for line in ax.get_lines():
                lines[i, line.get_label()] = np.asarray(line.get_xydata(), dtype=float)
        titles = [ax.get_title(loc="left") for ax in fig.axes]
        keep = {"headline": fig.get_suptitle(), "titles": titles, "lines": lines, "bars": bars}
        seen.figures[name] = SimpleNamespace(**keep)
        plt.close(fig)
        return Path(name)

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", lambda self, id, said: seen.outcomes.update({id: said}))
    return seen


def bits_by_counting(levels, messages) -> float:
    """I(X; M) in bits from two lists, by the definition Σ p(x, m)·log₂ p(x, m)/(p(x)·p(m))."""
    pairs = Counter(zip(levels, messages, strict=True))
    x, m, n = Counter(levels), Counter(messages), len(levels)
    total = 0.0
    for (a, b), count in pairs.items():
        total += count / n * math.log2(count * n / (x[a] * m[b]))
    return total


# -------------------------------------------------------------------- oracles


def test_latency_is_spikegens_and_equation_2(images) -> None:
    x = images[:50].flatten(1)
    options = {"threshold": 0.01, "normalize": True, "linear": True, "clip": True}
    for num_steps in (2, 12, 25, 64):
        spk = lesson.latency(x, num_steps, 0.01)
        assert torch.equal(spk, spikegen.latency(x, num_steps=num_steps, **options))
    for level in (0.02, 0.3, 0.77, 1.0):
        train = lesson.latency(torch.tensor([level]), 12, 0.01)[:, 0]
        assert torch.nonzero(train)[:, 0].tolist() == [round(11 * (1 - level))]
    assert not lesson.latency(torch.tensor([0.0, 0.009]), 12, 0.01).any()


def test_delta_is_spikegens_and_equation_3(images) -> None:
    frames = lesson.film(images[:5], 13)
    spk = lesson.delta(frames, 0.1)
    wanted = spikegen.delta(frames, threshold=0.1, padding=True, off_spike=True)
    assert torch.equal(spk, wanted) and {-1.0, 0.0, 1.0} == set(spk.unique().tolist())
    assert not lesson.delta(frames[:1].expand(9, -1, -1), 0.1).any()


def test_rate_has_the_mean_and_variance_of_coin_tosses() -> None:
    torch.manual_seed(0)
    for gain in (1.0, 0.1):
        count = lesson.rate(torch.full((20_000,), 0.6), 12, gain).sum(0)
        p = gain * 0.6
        spread = math.sqrt(12 * p * (1 - p))
        assert count.mean().item() == pytest.approx(12 * p, abs=5 * spread / math.sqrt(20_000))
        assert count.var().item() == pytest.approx(spread**2, rel=0.06)
    train = lesson.rate(torch.full((20_000,), 0.5), 2)
    assert (train[0] * train[1]).mean().item() == pytest.approx(0.25, abs=0.015), "independent"


def test_film_moves_a_pixel_a_step() -> None:
    dot = torch.zeros(1, 28, 28)
    dot[0, 3, 10] = 1
    places = [int(frame.argmax()) - 3 * 28 for frame in lesson.film(dot, 8)[:, 0]]
    assert places == [10, 11, 12, 13, 12, 11, 10, 11]


def test_encode_names_the_four_codes(images) -> None:
    x = images[:3]
    for code in lesson.CODES:
        assert lesson.encode(code, x, CFG).shape == (12, 3, 784)
    torch.manual_seed(0)
    cfg = lesson.Config(num_steps=200, gain=0.2)
    counts = {code: lesson.encode(code, x, cfg).sum().item() for code in (RATE, SPARSE)}
    assert counts[SPARSE] / counts[RATE] == pytest.approx(0.2, rel=0.05)


def test_rebuild_undoes_the_codes(images) -> None:
    x = images[:20].flatten(1)
    for num_steps in (5, 25):
        x_hat = lesson.rebuild(LATENCY, lesson.latency(x, num_steps, 0.01), num_steps)
        ink = x >= 0.01
        assert (x_hat - x)[ink].abs().max() <= 0.5 / (num_steps - 1) + 1e-6
        assert not x_hat[~ink].any()
    spk = torch.zeros(10, 2)
    spk[:4, 0] = 1
    assert lesson.rebuild(RATE, spk, 25, gain=0.5).tolist() == pytest.approx([0.8, 0])
    early = lesson.latency(torch.tensor([1.0, 0.5]), 11, 0.01)[:3]
    assert lesson.rebuild(LATENCY, early, 11).tolist() == [1, 0], "grey has not fired yet"


def test_information_in_closed_form() -> None:
    levels = torch.arange(256).repeat(40)
    assert lesson.bits_told(levels, levels // 64, 3) == pytest.approx(2)
    assert lesson.bits_told(levels, torch.zeros_like(levels), 3) == pytest.approx(0, abs=1e-12)
    torch.manual_seed(0)
    some = torch.randint(0, 256, (500,))
    told = (some // 30 + torch.randint(0, 3, (500,))).clamp(max=9)
    wanted = bits_by_counting(some.tolist(), told.tolist())
    assert lesson.bits_told(some, told, 9) == pytest.approx(wanted)
    assert lesson.entropy(np.array([1, 1, 0, 2])) == pytest.approx(1.5)


def test_message_is_a_count_or_a_time() -> None:
    spk = torch.tensor([[0, 1, 0], [0, 0, 1], [0, 0, 0]]).float()  # (T, B)
    assert lesson.message(LATENCY, spk).tolist() == [3, 0, 1], "3 = T says that there was none"
    assert lesson.message(RATE, spk.cumsum(0)).tolist() == [0, 3, 2]


def test_the_reader_is_least_squares() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(300, 784, generator=g), torch.randint(0, 10, (300,), generator=g)
    weights = lesson.best_linear_reader(x, y).double()
    strength = x.square().sum(0).mean().item()
    ridge = math.sqrt(strength) * torch.eye(784)
    rows = torch.cat([x, ridge]).double()
    target = torch.cat([torch.eye(10)[y], torch.zeros(784, 10)]).double()
    wanted = torch.linalg.lstsq(rows, target).solution
    assert torch.allclose(weights, wanted, atol=1e-4)
    share = lesson.share_right(x, y, weights.float())
    assert share == ((x @ wanted.float()).argmax(1) == y).float().mean().item()


def test_readers_of_different_seeds_share_no_image() -> None:
    cfg = lesson.Config(n_train=200, seeds=3)
    data = SimpleNamespace(x_train=torch.zeros(500, 1))
    used = [n for seed in range(3) for n in range(500)[lesson.training_part(data, seed, cfg)]]
    assert len(used) == len(set(used)) == 3 * 166


def test_as_seen_stops_at_the_deadline(images) -> None:
    x, y = (255 * images[:30, None]).to(torch.uint8), torch.zeros(30)
    pictures, spikes = lesson.as_seen(LATENCY, x, y, [1, 5, 12], CFG, PLAIN)
    pixels = x.flatten(1).float() / 255
    time = torch.round(11 * (1 - pixels))
    for picture, sent, deadline in zip(pictures, spikes, (1, 5, 12), strict=True):
        come = (time < deadline) & (pixels >= 0.01)
        assert torch.allclose(picture, come * (1 - time / 11), atol=1e-6)
        assert sent == pytest.approx(come.sum().item() / 30)
    torch.manual_seed(0)
    (picture,), _ = lesson.as_seen(SPARSE, x[:1].expand(400, -1, -1, -1), y, [12], CFG, PLAIN)
    assert picture.mean().item() == pytest.approx(pixels[0].mean().item(), rel=0.05), (
        "over the gain"
    )


def test_jitter_moves_spikes_and_loses_none(images) -> None:
    torch.manual_seed(0)
    spk = lesson.encode(LATENCY, images[:40], lesson.Config(num_steps=101))
    assert torch.equal(lesson.jittered(spk, 0.0), spk)
    middle = torch.zeros(101, 1, 5000)
    middle[50] = 1
    moved = lesson.jittered(middle, 8.0)
    assert torch.equal(moved.sum(0), middle.sum(0))
    times = moved[:, 0].argmax(0).float()
    assert times.mean().item() == pytest.approx(50, abs=0.5)
    assert times.std().item() == pytest.approx(8, rel=0.05)
    many = lesson.encode(RATE, images[:2], lesson.Config(num_steps=20))
    assert torch.equal(lesson.jittered(many, 3.0).sum(0), many.sum(0)), "no count changes"


# -------------------------------------------------------------------- the numbers of each section


def test_section_1(tmp_path: Path, seen, images) -> None:
    seen.drawn = True
    run = run_section(lesson.section_digit, tmp_path)
    x = images[:1000].flatten(1)
    digit = x[0].numpy()
    counts = {RATE: run.value("digit_rate"), LATENCY: run.value("digit_latency")}
    assert counts[LATENCY] == (digit >= 0.01).sum()
    spread = math.sqrt(25 * (digit * (1 - digit)).sum())
    assert counts[RATE] == pytest.approx(25 * digit.sum(), abs=4 * spread)
    changes = 0
    place = [0, 1, 2, 3, 2, 1]
    for step in range(1, 25):
        a, b = (np.roll(digit.reshape(28, 28), place[s % 6], 1) for s in (step - 1, step))
        changes += (np.abs(b - a) >= np.float32(0.1)).sum()
    assert run.value("digit_delta") == changes
    # spikegen by default: every pixel fires once, black ones too, as far as its time is in the window
    time = spikegen.latency_code(x, threshold=0.01)[0]
    inside = torch.round(time) <= 24
    black = x < 0.01
    share = (inside & black).sum().item() / inside.sum().item()
    assert run.value("from_black") == pytest.approx(share)
    ink = inside & ~black
    early = (ink & (torch.round(time) < 2)).sum().item() / ink.sum().item()
    assert run.value("ink_early") == pytest.approx(early)
    carefully = (torch.round(24 * (1 - x[~black])) < 2).float().mean().item()
    text = run.findings[0]["text"]
    assert f"(with the options above, {100 * carefully:.0f} %)" in text
    assert f"{100 * share:.0f} % come from black pixels" in text
    assert f"{int(counts[LATENCY]):,} spikes by latency" in seen.figures["1_digit"].headline
    titles = seen.figures["1_digit"].titles
    assert len(titles) == 24 and titles[9] == f"step 0: {int((digit > 1 - 0.5 / 24).sum())}"
    assert (run.dir / "1_digit.gif").stat().st_size > 1000
    ticks = seen.figures["1_pixels"].lines
    told = ticks[2, "ON"].shape[0] - ticks[2, "OFF"].shape[0]
    path = ticks[2, "x[t]"][:, 1]
    assert ticks[2, "ON"].shape[0] == (np.diff(path) >= np.float32(0.1)).sum()
    assert told == (np.diff(path) >= 0.1).sum() - (np.diff(path) <= -0.1).sum()


def test_section_2(tmp_path: Path, seen, images) -> None:
    run = run_section(lesson.section_cost, tmp_path)
    x = images[:1000].flatten(1)
    levels = torch.round(255 * x).long().flatten()
    n = len(x)
    assert run.value("spikes_latency") == pytest.approx((x >= 0.01).sum().item() / n)
    assert run.value("spikes_rate") == pytest.approx(25 * x.sum().item() / n, rel=0.01)
    time = torch.round(24 * (1 - x)).long()
    time[x < 0.01] = 25
    latency = bits_by_counting(levels.tolist(), time.flatten().tolist())
    assert run.value("bits_latency") == pytest.approx(latency, rel=1e-6)
    share = torch.bincount(levels, minlength=256).numpy() / len(levels)
    given = binom.pmf(np.arange(26), 25, np.arange(256)[:, None] / 255)
    exact = study.information(given, share)
    assert run.value("bits_rate") == pytest.approx(exact, rel=0.03)
    per_latency = latency / (run.value("spikes_latency") / 784)
    per_rate = run.value("bits_rate") / (run.value("spikes_rate") / 784)
    assert run.value("bits_ratio") == pytest.approx(per_latency / per_rate)
    text = run.findings[0]["text"]
    whole = -(share[share > 0] * np.log2(share[share > 0])).sum()
    assert f"of the {whole:.2f} bits" in text
    assert f"carries {per_latency / per_rate:.1f} times the information of one of the rate" in text
    bars = seen.figures["2_cost"].bars
    assert bars[1][2] == pytest.approx(100 * (x < 0.01).float().mean().item()), "silent, latency"
    assert bars[0][1] / bars[0][0] == pytest.approx(0.1, rel=0.05), "sparse rate: a tenth"
    assert bars[3][0] == pytest.approx(per_rate) and bars[3][2] == pytest.approx(per_latency)
    assert run.value("ratio_sparse") == pytest.approx(per_latency / bars[3][1])
    assert bars[3][1] == pytest.approx(bars[2][1] / (bars[0][1] / 784))
    assert f"{per_latency:.2f} by latency" in seen.figures["2_cost"].headline
    delta = spikegen.delta(lesson.film(images[:1000], 25), 0.1, padding=True, off_spike=True)
    assert bars[0][3] == pytest.approx(delta.abs().sum().item() / n)
    assert bars[1][3] == pytest.approx(100 * (delta.abs().sum(0) == 0).float().mean().item())


def test_section_3(tmp_path: Path, seen, images) -> None:
    run = run_section(lesson.section_time, tmp_path)
    even = torch.rand(10_000, generator=torch.Generator().manual_seed(0)).double().numpy()
    windows = np.array(lesson.WINDOWS)
    lines = seen.figures["3_precision"].lines
    rate, latency = lines[0, RATE][:, 1], lines[0, LATENCY][:, 1]
    np.testing.assert_allclose(rate, 1 / 6 / windows, rtol=0.06)  # the mean of x·(1 − x) is a sixth
    for num_steps, got in zip(windows[1:], latency[1:], strict=True):
        marks = num_steps - 1
        rounded = np.where(even >= 0.01, 1 - np.round(marks * (1 - even)) / marks, 0)
        assert got == pytest.approx(((rounded - even) ** 2).mean(), rel=1e-3)
        assert got == pytest.approx(1 / 12 / marks**2, rel=0.06)
    slope = np.polyfit(np.log(windows[1:]), np.log(rate[1:]), 1)[0]
    assert run.value("slope_rate") == pytest.approx(slope) == pytest.approx(-1, abs=0.03)
    slope = np.polyfit(np.log(windows[1:] - 1), np.log(latency[1:]), 1)[0]
    assert run.value("slope_latency") == pytest.approx(slope) == pytest.approx(-2, abs=0.03)
    for id, errors in (("rate", rate), ("latency", latency)):
        assert run.value(f"gain_{id}") == pytest.approx(errors[4] / errors[6])  # T = 16 and 64
    assert run.value("gain_latency") == pytest.approx((63 / 15) ** 2, rel=0.05)
    assert seen.outcomes["told"] == run.findings[0]["text"].split("the counts tell ")[1][:4]
    assert f"divided by {rate[4] / rate[6]:.1f} (rate)" in seen.figures["3_precision"].headline
    share = torch.bincount(torch.round(255 * images[:1000]).long().flatten(), minlength=256)
    share = share.numpy() / share.sum().item()
    whole = -(share[share > 0] * np.log2(share[share > 0])).sum()
    bits = lines[1, RATE][:, 1]
    for k in (0, 2, 4):
        given = binom.pmf(np.arange(windows[k] + 1), windows[k], np.arange(256)[:, None] / 255)
        assert bits[k] == pytest.approx(study.information(given, share), rel=0.03)
    told = 100 * bits[4] / whole
    assert f"the counts tell {told:.0f} %" in run.findings[0]["text"]
    assert (np.diff(lines[1, LATENCY][:, 1]) > 0).all()
    picture = seen.figures["3_rebuilt"].titles
    assert picture[0] == "x, as sent" and picture[8].startswith("T = 16: 0.0")


def fake_reading(monkeypatch, table):
    """Readers without learning: pictures carry their code and deadline, ``table`` says the share right."""
    calls = []

    def as_seen(code, x, y, deadlines, cfg, run):
        calls.append((code, x, y))
        marked = []
        for k in range(len(deadlines)):
            marked.append(torch.full((len(x), 784), 10.0 * lesson.STILL.index(code) + k))
        return marked, [100.0 * (k + 1) + lesson.STILL.index(code) for k in range(len(deadlines))]

    def share_right(pictures, labels, weights):
        assert set(labels.tolist()) == {2, 3}, "scored on the test images"
        code, k = divmod(int(pictures[0, 0]), 10)
        assert weights == (code, k), "another reader"
        return table[lesson.STILL[code]][k]

    def reader(pictures, labels):
        assert not labels.any(), "it learns from training images"
        return divmod(int(pictures[0, 0]), 10)

    monkeypatch.setattr(lesson, "as_seen", as_seen)
    monkeypatch.setattr(lesson, "share_right", share_right)
    monkeypatch.setattr(lesson, "best_linear_reader", reader)
    return calls


def test_section_4(tmp_path: Path, seen, monkeypatch) -> None:
    data = marked_splits()
    monkeypatch.setattr(Run, "data", lambda self, loader, **options: data)
    table = {RATE: [0.7, 0.71], SPARSE: [0.3, 0.62], LATENCY: [0.5, 0.6]}
    calls = fake_reading(monkeypatch, table)
    run = run_section(lesson.section_speed, tmp_path, num_steps=2, seeds=2)
    assert run.value("first_rate") == pytest.approx(0.7)
    assert run.value("first_sparse") == pytest.approx(0.3)
    assert run.value("first_latency") == pytest.approx(0.5)
    assert run.value("lead_first") == pytest.approx(20)
    assert run.value("lead_last") == pytest.approx(-2)
    assert seen.outcomes["first"] == RATE
    text = run.findings[0]["text"]
    assert "latency has sent 102 of its 202 spikes an image, those of white ink, and 50 %" in text
    assert run.results[4].spikes == {RATE: 200, SPARSE: 201, LATENCY: 202}
    assert "the sparse rate code has sent 101, for 30 %" in text
    assert "After all 2 steps it is 60.0 % and 62.0 %" in text
    assert "one step has 100 spikes and reads 70 %" in text
    assert "sparse rate needs 1 steps for 101 spikes and reads 30 %" in text
    left = run.results[4]
    assert left.weights[LATENCY] == [(2, 1), (2, 1)], "readers of the last deadline"
    assert len(calls) == 12
    title = seen.figures["4_speed"].headline
    assert "rate 70 %, latency 50 %, sparse rate 30 %" in title
    assert seen.figures["4_speed"].lines[1, LATENCY].tolist() == [[102, 50], [202, 60]]


def test_section_4_reads_digits(tmp_path: Path, seen) -> None:
    """The real thing on the stand-in digits: far above chance, and better with more time."""
    run = run_section(lesson.section_speed, tmp_path, n_train=600)
    assert run.value("first_rate") > 0.6
    curve = seen.figures["4_speed"].lines[0, SPARSE][:, 1]
    assert curve[-1] > curve[0] + 20


def test_section_5(tmp_path: Path, seen, monkeypatch, images) -> None:
    """A reader that names the share of pixels which are not black in what it is shown."""
    seen.drawn = True
    data = mnist(source="stand-in", n_test=60)
    empty = torch.zeros(784, 10)
    spikes = {RATE: 2000.0, SPARSE: 200.0, LATENCY: 100.0}
    readers = lesson.Readers(data, {code: [empty, empty] for code in lesson.STILL}, spikes)
    monkeypatch.setattr(Run, "result_of", lambda self, section: readers)
    monkeypatch.setattr(lesson, "share_right", lambda p, y, w: (p > 0).float().mean().item())
    run = run_section(lesson.section_damage, tmp_path)
    x = data.x_test.flatten(1).double().numpy() / 255
    last = 1 - 0.5 / 24  # darker pixels fire at the last step and are rebuilt as black
    bright = ((x >= 0.01) & (1 - x < last)).mean()
    assert run.value("lost_latency") == pytest.approx(-50 * bright, rel=0.06)
    left = 1 - (1 - x / 2) ** 25  # at least one of 25 tosses, each seen with probability x/2
    wanted = 100 * (left - (1 - (1 - x) ** 25)).mean()
    assert run.value("lost_rate") == pytest.approx(wanted, abs=0.15)
    left = (1 - 0.05 * x) ** 25 - (1 - 0.1 * x) ** 25
    assert run.value("lost_sparse") == pytest.approx(-100 * left.mean(), rel=0.06)
    # jitter: by hand on times, on ink only
    rng = np.random.default_rng(0)
    ink = np.tile(x[x >= 0.01], 20)
    late = np.round(24 * (1 - ink)) + np.round(8 * rng.standard_normal(ink.shape))
    off = 1 - late.clip(0, 24) / 24 - ink
    assert run.value("late_error") == pytest.approx(np.sqrt((off**2).mean()), rel=0.03)
    dark = ((late.clip(0, 24) == 24).mean() - (ink <= 0.5 / 24).mean()) * (x >= 0.01).mean()
    assert run.value("late_latency") == pytest.approx(-100 * dark, rel=0.08)
    text = run.findings[0]["text"]
    assert run.findings[0]["main"] and f"{run.value('lost_latency'):+.1f} with latency (to" in text
    title = seen.figures["5_damage"].headline.replace("−", "-")
    assert f"{run.value('lost_sparse'):+.1f} (sparse rate)" in title
    assert f"{run.value('lost_rate'):+.1f} points (rate)" in title
    lines = seen.figures["5_damage"].lines
    assert lines[0, LATENCY][:, 0].tolist() == [0, 50, 75, 90]
    assert lines[2, LATENCY][:, 1][[0, -1]] == pytest.approx([0, run.value("late_latency")])
    for code in (SPARSE, LATENCY):
        assert f"(to {lines[0, code][1, 1]:.1f} %, of {spikes[code]:.0f}" in text
    assert len(seen.figures["5_rebuilt"].titles) == 15


@pytest.mark.parametrize(
    "settings", [{"num_steps": 1}, {"num_steps": 2, "gain": 0.001, "pixel_threshold": 0.5}]
)
def test_extreme_settings(settings, tmp_path: Path, seen) -> None:
    seen.drawn = True
    for section in (lesson.section_digit, lesson.section_cost, lesson.section_damage):
        run = run_section(section, tmp_path, n_train=100, **settings)
        assert all(math.isfinite(claim.value) for claim in run.claims)


# -------------------------------------------------------------------- study and quiz


def test_study_grey_paper(tmp_path: Path, seen, monkeypatch) -> None:
    """A reader that looks at the first pixel: what it gets, on which paper, with which jitter."""
    data = marked_splits()
    monkeypatch.setattr(Run, "data", lambda self, loader, **options: data)
    monkeypatch.setattr(
        study, "best_linear_reader", lambda x, y: torch.eye(784, 10)[:, [0]].repeat(1, 10)
    )
    shown = []

    def by_latency(x, num_steps, sigma):
        shown.append((round(x[0, 0].item(), 2), sigma))
        weights = torch.zeros(len(x), 784)
        weights[:, 0] = 1
        return weights

    monkeypatch.setattr(study, "by_latency", by_latency)
    run = run_section(study.section_grey_paper, tmp_path)
    assert shown[:2] == [(0.0, 0.0), (1.0, 0.0)], "black training images, white test images"
    assert (0.25, 0.0) in shown and (0.75, 16.0) in shown
    assert run.value("black_8") == run.value("grey_8") == 0


def test_study_by_latency_is_the_lessons(images) -> None:
    x = images[:20].flatten(1)
    wanted = lesson.rebuild(LATENCY, lesson.latency(x, 25, 0.01), 25)
    assert torch.allclose(study.by_latency(x, 25, 0.0), wanted, atol=1e-6)
    torch.manual_seed(0)
    grey = 0.25 + x / 2
    off = study.by_latency(grey, 101, 5.0) - grey
    assert off.std().item() == pytest.approx(0.05, rel=0.1), "σ/(T − 1)"
    assert study.by_rate(grey, 100).sub(grey).abs().mean().item() < 0.05


def test_study_gain(tmp_path: Path, seen, images) -> None:
    run = run_section(study.section_gain, tmp_path)
    x = images[:1000].flatten(1)
    levels = torch.round(255 * x).long().flatten().tolist()
    time = torch.round(24 * (1 - x)).long()
    time[x < 0.01] = 25
    bits = bits_by_counting(levels, time.flatten().tolist())
    spikes = (x >= 0.01).float().mean().item()
    assert run.value("latency_spike") == pytest.approx(bits / spikes, rel=1e-5)
    # one spike of a very sparse rate code: x̂ is known to be drawn with probability ∝ x
    share = np.bincount(levels, minlength=256) / len(levels)
    drawn = share * np.arange(256) / (share * np.arange(256)).sum()
    kept = drawn > 0
    limit = (drawn[kept] * np.log2(drawn[kept] / share[kept])).sum()
    assert run.value("best_rate") == pytest.approx(limit, rel=0.1)


def test_quiz_numbers() -> None:
    questions = load("02_spike_encoding")

    def answer(words: str):
        return next(q.answer for q in questions if words in q.question)

    assert answer("carries 1.2 bits") == pytest.approx(1.2 / 0.15)
    assert answer("root mean square error") == pytest.approx(20 * (0.1 / 0.02) ** 2)
    assert answer("at most 4 bits") == 2**6 - 1 and 15 == 2**4 - 1
    assert answer("a third of all spikes") == pytest.approx(0.9 * 2 / 3)
