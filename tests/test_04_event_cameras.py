"""Lesson 04: its pixel and its words against other ways of writing them, and every number it publishes."""

from __future__ import annotations

import io
import math
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

from common.io import UserError
from common.lesson import start
from common.run import Run
from eventcam.events import EVENT, Pixel, aer_encode, event_array, frames_to_events

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import ROOT, load_script, run_section
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

sys.path.insert(0, str(ROOT / "studies"))  # for _root
L = load_script("04_event_cameras_v2e")
study = load_script("studies/04_pixel_physics")
REAL = {"smoke": False, "size": 32, "engine": "builtin"}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """What sections draw and answer, and the streams that the model makes for them, in order."""
    seen = SimpleNamespace(figures={}, outcomes={}, streams=[])

    def figure(self, fig, name, look=""):
        assert look, "every figure says what to look at"
        fig.canvas.draw()
        titles = [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes]
        images = [ax.images[0].get_array() for ax in fig.axes if ax.images]
        texts = [text.get_text() for ax in fig.axes for text in ax.texts]
        lines = {
            (i, line.get_label()): np.asarray(line.get_xydata(), dtype=float)
            for i, ax in enumerate(fig.axes)
            for line in ax.get_lines()
        }
        clouds = [ax.collections for ax in fig.axes if ax.name == "rectilinear" and ax.collections]
        points = [cloud.get_offsets() for cloud in clouds[0]] if name == "2_clip" else []
        keep = {"headline": fig.get_suptitle(), "titles": titles, "images": images}
        keep["points"] = points
        seen.figures[name] = SimpleNamespace(**keep, texts=texts, lines=lines)
        plt.close(fig)
        return Path(name)

    def convert(frames, times, pixel=None, seed=0):
        frames = list(frames)
        events = frames_to_events(frames, times, pixel, seed)
        seen.streams.append((frames, np.asarray(times), pixel, events))
        return events

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", lambda self, id, what: seen.outcomes.update({id: what}))
    monkeypatch.setattr(L, "frames_to_events", convert)
    return seen


def run(tmp_path: Path, *flags: str) -> None:
    start(L.main, L.Config, L.SMOKE, L.FULL, ["--out-dir", str(tmp_path), *flags])


def refused(tmp_path: Path, capsys: pytest.CaptureFixture, *flags: str) -> str:
    """The one line on standard error of a run that ends with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        run(tmp_path, *flags)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("error: ")
    return error


# -------------------------------------------------------------------- the pixel and the word


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from([0.13, 0.2, 0.37]))
def test_the_plain_pixel_is_the_fast_one(seed: int, theta: float) -> None:
    """12 pixels in plain Python and all at once: as many events, of the same signs, at the same steps."""
    rng = np.random.default_rng(seed)
    light = np.exp(np.cumsum(0.15 * rng.standard_normal((40, 3, 4)), axis=0)) * 100
    times = 1000 * np.arange(40)
    fast = frames_to_events(light, times, Pixel.ideal(theta, toe=0.001))
    compared = 0
    for y in range(3):
        for x in range(4):
            plain, memory = L.pixel_events(light[:, y, x], theta)
            rest = np.abs(np.log(light[:, y, x]) - memory) / theta
            if rest.max() > 0.998 or (rest[1:] < 0.002).any():
                continue  # so near a threshold that rounding decides
            mine = fast[(fast["y"] == y) & (fast["x"] == x)]
            step = np.ceil(mine["t"] / 1000 - 1e-9).astype(int)  # the frame before which it came
            assert [p for _, p in plain] == np.where(mine["p"], 1, -1).tolist()
            assert all(abs(a - b) <= 1 for a, (b, _) in zip(step, plain, strict=True))
            compared += 1
    assert compared > 4


def test_the_pixel_by_hand() -> None:
    light = np.array(
        [100.0, 200.0, 103.0, 99.0]
    )  # ln I: +3.47 θ, then −2.85 θ from M, then −1.05 θ
    events, memory = L.pixel_events(light, 0.2)
    assert events == [(1, 1)] * 3 + [(2, -1)] * 2 + [(3, -1)]
    assert memory[1] == pytest.approx(math.log(100) + 0.6)
    assert L.pixel_events(np.full(5, 7.0), 0.1)[0] == []


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 345), st.integers(0, 259), st.integers(0, 1), st.integers(0, 2**40), st.data()
)
def test_pack_is_the_fast_form_and_unpack_its_inverse(x, y, on, t, data) -> None:
    for width, height, bits in ((346, 260, (9, 9, 21)), (128, 128, (8, 8, 23))):
        x, y = min(x, width - 1), min(y, height - 1)
        word = L.pack(x, y, on, t, bits)
        assert 0 <= word < 2**40
        assert L.unpack(word, bits) == (x, y, on, t % 2 ** bits[2])
        event = event_array(*(np.array([v]) for v in (x, y, t, on == 1)))
        fast = aer_encode(event, width, height, start=t - t % 2 ** bits[2])
        assert int.from_bytes(fast.tobytes(), "big") == word
        fields = f"{x:0{bits[0]}b}{y:0{bits[1]}b}{on}{t % 2 ** bits[2]:0{bits[2]}b}"
        assert f"{word:040b}" == fields, "from the left to the right as the page says"


def test_scene_moves_where_it_should() -> None:
    still = next(L.render(np.array([0.0]), 48, 1.0))
    later = next(L.render(np.array([0.05]), 48, 1.0))
    faster = next(L.render(np.array([0.025]), 48, 2.0))
    assert still.shape == (48, 64) and 0 < still.min() < still.max() < 255
    assert np.allclose(later, faster, atol=1e-3)  # speed scales time
    moved = np.abs(later - still) > 5
    assert moved[24, 24:40].any() and not moved[:, :3].any()  # the disc turns, the wall stands
    third = next(L.render(np.array([1 / 3]), 48, 1.0))
    assert np.allclose(third[:, :45], still[:, :45], atol=1), "three spokes"


# -------------------------------------------------------------------- section 1


@pytest.mark.parametrize("theta", [0.2, 0.35])
def test_section_1(theta: float, tmp_path: Path, seen) -> None:
    run = run_section(L.section_one_pixel, tmp_path, theta=theta, **{"smoke": False})
    light = L.one_pixels_light(1000)
    assert "to within one θ." in run.findings[0]["text"]
    memory, count, at_step, worst = 0.0, 0, 0, 0.0
    first = int(np.argmax(light > 1))
    for t, level in enumerate(np.log(light)):
        n = int(abs(level - memory) / theta + 1e-12)
        memory += math.copysign(n * theta, level - memory)
        count += n
        at_step += n * (t == first)
        worst = max(worst, abs(level - memory))
    assert run.value("step") == at_step == int(math.log(2) / theta)
    assert run.value("noon") == count > 10
    assert run.value("differ") == 0
    assert run.value("rebuilt") == pytest.approx(worst / theta) and worst < theta
    shown = seen.figures["1_one_pixel"]
    assert shown.headline == f"With a hundredth of the light, 0 of {count} events differ"
    assert shown.titles[4:6] == [f"{count} events"] * 2
    grey = [np.floor(light[::33] * k) for k in (100, 1)]
    levels = [len(set(g.clip(0, 255))) for g in grey]
    assert f"fall from {levels[0]} to {levels[1]}." in run.findings[0]["text"]
    assert f"31 pictures, {levels[0]} different" in shown.titles[6]


def test_light_of_section_1_is_what_the_docstring_says() -> None:
    light = L.one_pixels_light(1000)
    assert light[0] == 1 and light[200] == 2 and light[649] == pytest.approx(0.5, rel=0.02)
    assert 0.29 < light[650:].min() < 0.31 and 0.8 < light[650:].max() < 0.83


# -------------------------------------------------------------------- sections 2 and 3


def test_section_2(tmp_path: Path, seen) -> None:
    run = run_section(L.section_clip, tmp_path, num_steps=40, **REAL)
    ((frames, times, pixel, events),) = seen.streams
    assert len(frames) == 40 and times[1] == 2000 and pixel == run.cfg.pixel
    seconds = 39 / 500
    pixels = 32 * 42
    assert run.value("events") == len(events) > 100
    assert run.value("on_share") == pytest.approx(np.mean(events["p"]))
    assert run.value("pixel_rate") == pytest.approx(len(events) / pixels / seconds)
    counts = np.zeros((32, 42), int)
    for event in events:
        counts[event["y"], event["x"]] += 1
    busiest = sorted(counts.ravel(), reverse=True)[: pixels // 4]
    assert run.value("busiest") == pytest.approx(sum(busiest) / len(events))
    shown = seen.figures["2_clip"]
    assert shown.headline.startswith(f"rendered clip: {len(events):,} events in 0.08 s")
    assert f"{100 * np.mean(events['p']):.0f} % of them ON" in shown.headline
    at = 0.3 * times[-1]
    near = np.zeros((32, 42))
    for e in events[(events["t"] >= at - 10_000) & (events["t"] < at + 10_000)]:
        near[e["y"], e["x"]] += 1 if e["p"] else -1
    assert any(np.array_equal(near, image) for image in seen.figures["2_clip"].images)
    assert seen.outcomes["on_share"] == "40 to 60 %"
    assert [len(points) for points in shown.points] == [  # of the slice: ON, then OFF
        np.sum((events["y"] == 6) & (events["p"] == on) & (events["t"] < 1e6 * seconds / 4))
        for on in (True, False)
    ]
    clip = run.result_of(L.section_clip)
    assert (clip.height, clip.width, clip.seconds) == (32, 42, pytest.approx(seconds))
    assert run.datasets[0]["sizes"] == {"frames": 40}


def a_clip(events: np.ndarray, seconds: float, width: int = 346, height: int = 260):
    return L.Clip("a clip", events, height, width, int(events["t"][0]), seconds, None, events["t"])


def test_section_3(tmp_path: Path, seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three events, the last one after a pause longer than a round of the clock: two packets."""
    t = np.array([5, 6, 6 + 3 * 2**21])
    events = event_array(np.array([1, 345, 7]), np.array([2, 259, 9]), t, np.array([1, 0, 1]))
    clip = a_clip(events, 0.01)
    monkeypatch.setattr(Run, "result_of", lambda self, section: clip)
    run = run_section(L.section_address_event, tmp_path)
    assert run.value("by_hand") == run.value("aer_exact") == 1
    assert run.value("wrap") == pytest.approx(2**21 / 1e6)
    assert run.value("clip_rate") == pytest.approx(15 / 0.01 / 1e3), "five bytes an event"
    raw = 60 * 346 * 260 / 1e3
    assert seen.outcomes["clip_bytes"] == "less than half of it", "1.5 against 5,398 kB a second"
    assert f"and {raw:,.0f} kB as raw pictures at 60 Hz" in run.findings[0]["text"]
    texts = seen.figures["3_address_event"].texts
    assert "345" in texts and "259" in texts and "OFF" in texts and "x: 9" in texts


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1.0, "less than half of it"),
        (0.0026, "half of it to twice as much"),
        (0.0001, "more than twice as much"),
    ],
)
def test_section_3_answers_its_question(
    seconds: float, said: str, tmp_path: Path, seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight events of 5 bytes, beside 16×16 pixels at 60 Hz, 15.36 kB a second."""
    t = np.arange(8)
    clip = a_clip(event_array(t, t, t, t % 2), seconds, width=16, height=16)
    monkeypatch.setattr(Run, "result_of", lambda self, section: clip)
    run_section(L.section_address_event, tmp_path)
    assert seen.outcomes["clip_bytes"] == said


def test_section_3_notices_a_wrong_word(tmp_path: Path, seen, monkeypatch) -> None:
    t = np.arange(8)
    clip = a_clip(event_array(t + 1, t + 2, t, t % 2), 0.1)
    monkeypatch.setattr(Run, "result_of", lambda self, section: clip)
    monkeypatch.setattr(L, "unpack", lambda word, bits: (0, 0, 0, 0))
    decode = L.aer_decode

    def one_wrong(*args):
        events = decode(*args).copy()
        events["x"][0] += 1
        return events

    monkeypatch.setattr(L, "aer_decode", one_wrong)
    run = run_section(L.section_address_event, tmp_path)
    assert run.value("by_hand") == 0 and run.value("aer_exact") == pytest.approx(7 / 8)


# -------------------------------------------------------------------- section 4


@pytest.mark.parametrize("speed", [2.0, 0.2])
def test_bytes_per_second(speed: float) -> None:
    cfg = L.Config(size=32, engine="builtin")
    events, raw, lossless, jpeg = L.bytes_per_second(cfg, speed)
    seconds = {2.0: 0.3, 0.2: 0.5}[speed]
    fps = max(100.0, 4 * math.pi * speed * 0.4 * 32)
    t = np.arange(int(2 * seconds * fps) + 1) / fps
    stream = frames_to_events(L.render(t, 32, speed), np.rint(t * 1e6), cfg.pixel, cfg.seed)
    later = [event for event in stream if event["t"] >= t[-1] / 2 * 1e6]
    assert events == pytest.approx(5 * len(later) / (t[-1] / 2)), "five bytes an event"
    assert raw == 60 * 32 * 42
    # the same pictures, sized another way
    shots = np.stack(list(L.render(np.arange(19) / 60, 32, speed)))
    shots = shots + np.random.default_rng(0).standard_normal(shots.shape)
    shots = np.clip(np.rint(shots), 0, 255).astype(np.uint8)
    changes = [a - b for a, b in zip(shots[1:], shots[:-1], strict=True)]
    assert lossless == pytest.approx(60 * sum(len(zlib.compress(c, 6)) for c in changes) / 18)
    sizes = []
    for shot in shots[1:]:
        buffer = io.BytesIO()
        Image.fromarray(shot).save(buffer, "JPEG", quality=85)
        sizes.append(len(buffer.getvalue()))
    assert jpeg == pytest.approx(60 * np.mean(sizes))
    restored = [shots[0]]
    for change in changes:
        restored.append(restored[-1] + change)
    assert np.array_equal(restored[-1], shots[-1]), "lossless"


def test_crossing() -> None:
    speeds = np.array([1.0, 10.0, 100.0])
    flat = np.full(3, 10.0)
    assert L.crossing(speeds, np.array([1.0, 100.0, 1000.0]), flat) == pytest.approx(10**0.5)
    assert math.isnan(L.crossing(speeds, np.array([1.0, 2.0, 3.0]), flat))
    assert math.isnan(L.crossing(speeds, np.array([20.0, 30.0, 40.0]), flat))
    assert L.turns(math.nan) == "nowhere in this range" and L.turns(0.66) == "from 0.66 turns/s on"


def test_section_4(tmp_path: Path, seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that follow known laws: events 100·speed, raw 200, lossless 20, JPEG above all."""
    monkeypatch.setattr(L, "bytes_per_second", lambda cfg, speed: (100 * speed, 200.0, 20.0, 900.0))
    run = run_section(L.section_bytes, tmp_path, **REAL)
    assert run.value("bytes_saved") == pytest.approx(100) and run.value("bytes_lost") == 0.4
    assert run.value("crossing_raw") == pytest.approx(2)
    assert run.value("crossing_lossless") == pytest.approx(0.2)
    assert "crossing_jpeg" not in {c.id for c in run.claims}
    text = run.findings[0]["text"]
    assert "raw pictures from 2 turns/s on, than lossless ones from 0.2 turns/s on" in text
    assert "take 100 times the bytes" in text and "second 0.40 times" in text
    assert text.endswith("than JPEG nowhere in this range.")
    shown = seen.figures["4_bytes"]
    assert "than raw frames from 2 turns/s on,\nthan JPEG nowhere in this range" in shown.headline
    frame = next(L.render(np.zeros(1), 32))
    asked = 0.1 + (1 - 0.75 * (frame + 20) / 275).mean() * (1 + 0.15**2)
    assert shown.lines[0, "noise alone"][0, 1] == pytest.approx(5 * asked * 32 * 42 / 1e3)
    assert shown.lines[0, "events"][-1] == pytest.approx((5, 0.5)), "kB"
    assert run.findings[0]["main"]


# -------------------------------------------------------------------- section 5


def test_section_5(tmp_path: Path, seen, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_section(L.section_range, tmp_path, **REAL)
    pairs = seen.streams[:26]
    light = [np.max(frames[0]) for frames, *_ in pairs[::2]]
    assert light[0] == pytest.approx(1, rel=0.01) and light[-1] == pytest.approx(1e6, rel=0.01)
    ideal = np.array([len(events) for *_, events in pairs[::2]])
    slow = np.array([len(events) for *_, events in pairs[1::2]])
    assert all(pixel.cutoff_hz == 0 for _, _, pixel, _ in pairs[::2])
    assert all(pixel.cutoff_hz == 300 for _, _, pixel, _ in pairs[1::2])
    assert np.abs(ideal / ideal.mean() - 1).max() < 0.01, "the same at all lights"
    assert f"sends the same {ideal[0]:,} events at all lights" in run.findings[0]["text"]
    enough = np.flatnonzero(slow >= 0.9 * slow.max())[0]
    assert run.value("dvs_db") == pytest.approx(10 * (12 - enough)), "half a decade is 10 dB"

    # the camera, light by light: the widest stretch around 1,000 lux where the contrast is right
    def right(lux: float) -> bool:
        levels = [min(255, max(1, math.floor(k * lux))) for k in (0.2, 0.1)]
        return 1.8 <= levels[0] / levels[1] <= 2.2 + 1e-9

    low = high = 1000.0
    while right(low):
        low *= 0.999
    while right(high):
        high *= 1.001
    assert run.value("camera_db") == pytest.approx(20 * math.log10(high / low), abs=0.15)
    for id, lux in (("latency_dark", 1.0), ("latency_frame", 100.0)):
        tau = 1e3 / (2 * math.pi * 300 * (2 * lux + 0.1) / 1000.1)  # ms
        ms = tau * math.log(math.log(2) / (math.log(2) - 0.2))
        wanted = ms if id == "latency_dark" else ms / (1000 / 30)
        assert run.value(id) == pytest.approx(wanted, rel=0.05)
    shown = seen.figures["5_range"]
    for (lux, ms), (_, by_formula) in zip(
        shown.lines[2, "one pixel, by low_passed"], shown.lines[2, "equation (2)"], strict=True
    ):
        assert ms == pytest.approx(by_formula, rel=0.01), lux
    lux = 10 ** (enough / 2)
    assert f"90 % of its events from {lux:.0f} lux up" in shown.headline
    assert (
        shown.headline.endswith(f"contrast from 50 to {high / 1.001:,.0f} lux")
        or abs(float(shown.headline.split()[-2].replace(",", "")) / high - 1) < 0.01
    )
    text = run.findings[0]["text"]
    assert f"over {run.value('dvs_db'):.0f} dB at this speed" in text
    assert f"{run.value('latency_dark'):.3g} ms at 1 lux" in text
    assert "1 lux; a picture takes 33 ms" in text


def test_decibels_and_bars() -> None:
    assert L.decibels(10) == pytest.approx(20) and L.decibels(1e6) == pytest.approx(120)
    scene = L.bars(np.arange(400) / 1000)
    assert scene.shape == (400, 4, 64)
    assert scene.max() / scene.min() == pytest.approx(2, rel=0.01), "contrast 2 : 1"


# -------------------------------------------------------------------- section 6


@pytest.mark.parametrize(
    "noise", [{}, {"leak_hz": 2.0, "shot_hz": 0.0}, {"leak_hz": 0.0, "shot_hz": 6.0, "sigma": 0.0}]
)
def test_section_6(noise: dict, tmp_path: Path, seen) -> None:
    run = run_section(L.section_still, tmp_path, **REAL, **noise)
    (frames, times, pixel, still), (_, _, ideal, silent), (shaken, when, _, tremble) = seen.streams
    assert pixel == run.cfg.pixel and ideal == Pixel.ideal(0.2)
    assert all(np.array_equal(frames[0], frame) for frame in frames) and times[-1] == 10_000_000
    rate = len(still) / (32 * 42) / 10
    assert run.value("still_ideal") == len(silent) == 0
    assert run.value("noise_rate") == pytest.approx(rate)
    grey = frames[0]
    shot = run.cfg.shot_hz * (1 - 0.75 * (grey + 20) / 275).mean()
    shot *= 1 + (run.cfg.sigma / run.cfg.theta) ** 2
    assert run.value("noise_ratio") == pytest.approx(rate / (run.cfg.leak_hz + shot))
    assert 0.9 < run.value("noise_ratio") < 1.1
    later = np.sum(tremble["t"] >= 200_000)
    assert run.value("tremble_rate") == pytest.approx(later / (32 * 42) / 1.0)
    assert when[-1] == 1_200_000 and np.allclose(shaken[50][:, 2:], grey[:, :-2])
    assert np.allclose(shaken[50][:, :2], grey[:, :1]), "the edge comes in, not the other side"
    assert np.allclose(shaken[75][:, 1:], grey[:, :-1], atol=1e-3), "five times a second"
    assert np.allclose(shaken[0], grey) and np.allclose(shaken[-1], grey)
    assert run.value("tremble_rate") > 2 * rate or rate > 2
    title = f"Nothing moves: {rate:.2f} events a second and pixel; with a tremble: "
    assert seen.figures["6_still"].headline == f"{title}{run.value('tremble_rate'):.1f}"
    assert f"{rate:.2f} a second each" in run.findings[0]["text"]


# -------------------------------------------------------------------- files, videos, flags


CASES = {  # what kinds of files are read, and with which flags; or what the one line says
    "bom.txt": ("\ufeff0.001 3 4 1\n0.002 3 4 0\n", [(3, 4, 1000, True), (3, 4, 2000, False)]),
    "semicolon.csv": ("0.001;3;4;1\n", [(3, 4, 1000, True)]),
    "nanoseconds.txt": ("1000 3 4 1\n", "nothing says their unit"),
    "fraction.txt": ("0.001 3.7 4 1\n", "whole pixels"),
    "named.csv": ("x,y,polarity,t_us\n3,4,1,1000\n", [(3, 4, 1000, True)]),
    "words.txt": ("time row column p\n0.1 1 1 1\n", "words.txt: its first line holds"),
    "polarity.txt": ("0.001 3 4 7\n", "polarities other than 0 and 1"),
    "events.mp3": ("", "allowed are files that end in"),
    "empty.txt": ("# nothing\n", "holds no event"),
}


@pytest.mark.parametrize("name", CASES)
def test_event_files_are_read_or_refused_in_one_line(name: str, tmp_path: Path, seen) -> None:
    content, wanted = CASES[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    settings_ = {"events": tmp_path / name}
    if isinstance(wanted, str):
        with pytest.raises(UserError, match=wanted) as refusal:
            run_section(L.section_clip, tmp_path, **settings_)
        assert "\n" not in str(refusal.value)
        return
    run = run_section(L.section_clip, tmp_path, **settings_)
    clip = run.result_of(L.section_clip)
    assert clip.events.tolist() == wanted and clip.frames is None
    assert (clip.width, clip.height) == (4, 5), "as far as the addresses go"
    assert "the file has no frames" in seen.figures["2_clip"].titles
    assert seen.figures["2_clip"].headline.startswith(f"file {name}: {len(wanted)} events")


def test_an_aedat_file_needs_its_sensor(tmp_path: Path, seen) -> None:
    """As v2e writes it, without AEChip: asked for by name; with the right sensor read; the size is the sensor's."""
    words = np.array([(240 - 1 - 5) << 12 | (180 - 1 - 6) << 22 | 1 << 11, 10], ">u4")
    path = tmp_path / "v2e.aedat"
    path.write_bytes(b"#!AER-DAT2.0\r\n# created by v2e\r\n" + words.tobytes())
    with pytest.raises(UserError, match="--sensor"):
        run_section(L.section_clip, tmp_path, events=path)
    run = run_section(L.section_clip, tmp_path, events=path, sensor="davis240")
    clip = run.result_of(L.section_clip)
    assert clip.events.tolist() == [(5, 6, 10, True)] and (clip.width, clip.height) == (240, 180)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_run_without_noise_and_with_a_single_frame(tmp_path: Path) -> None:
    off = []
    for name in ("leak-hz", "shot-hz", "cutoff-hz", "refractory-us", "sigma"):
        off += [f"--{name}", "0"]
    run(tmp_path, "--smoke", "--size", "16", "--num-steps", "1", *off)
    folder = tmp_path / "smoke" / "04_event_cameras_v2e"
    names = {p.stem for p in folder.glob("*.png")}
    assert names == {
        "1_one_pixel",
        "2_clip",
        "3_address_event",
        "4_bytes",
        "5_range",
        "6_still",
    }


def test_video_flag(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("av")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    for name, said in (("empty", "empty.mp4"), ("broken", "broken"), ("none", "no file")):
        flags = ("--smoke", "--only", "2", "--video", str(tmp_path / f"{name}.mp4"))
        assert said in refused(tmp_path, capsys, *flags)
    pictures = [Image.fromarray(np.full((20, 30), k, np.uint8)) for k in (60, 120, 240)]
    pictures[0].save(tmp_path / "clip.gif", save_all=True, append_images=pictures[1:], duration=100)
    settings_ = {"video": tmp_path / "clip.gif", "leak_hz": 0.0, "shot_hz": 0.0}
    clip = run_section(L.section_clip, tmp_path, **settings_).result_of(L.section_clip)
    assert clip.frames.shape == (3, 20, 30) and clip.name == "video clip.gif"
    assert len(clip.events) > 3 * 600 and clip.events["p"].all(), "it only gets brighter"


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--engine", "esim"), "allowed are auto, builtin and v2e"),
        (("--theta", "0"), "--theta: got 0"),
        (("--video", "a.mp4", "--events", "b.h5"), "allowed is one of them"),
        (("--events", "nothing.h5", "--only", "2"), "no file"),
    ],
)
def test_bad_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture, flags: tuple[str, ...], text: str
) -> None:
    assert text in refused(tmp_path, capsys, *flags)


def test_the_engine(tmp_path: Path, capsys, monkeypatch, seen) -> None:
    monkeypatch.setattr(L, "find_spec", lambda name: None)
    assert "not installed" in refused(tmp_path, capsys, "--engine", "v2e")
    run_section(L.section_clip, tmp_path, engine="auto", num_steps=3)
    assert "by the builtin model" in capsys.readouterr().out
    made = []

    def v2e_events(frames, times, pixel, seed):
        made.append(pixel)
        return np.empty(0, EVENT)

    monkeypatch.setattr(L, "find_spec", lambda name: object())
    monkeypatch.setattr(L, "v2e_events", v2e_events)
    run = run_section(L.section_clip, tmp_path, engine="auto", num_steps=3)
    assert made == [run.cfg.pixel] and "by v2e" in capsys.readouterr().out
    assert run.value("events") == 0 and run.value("on_share") == 0


# -------------------------------------------------------------------- the study


@pytest.mark.parametrize("theta", [0.1, 0.2, 0.37])
def test_study_flicker(theta: float, tmp_path: Path, seen) -> None:
    run = run_section(study.section_flicker, tmp_path, smoke=False, theta=theta, cycles=1)
    swing = np.linspace(0.13, 3.0, 120)
    swings = study.flicker_counts(run.cfg, swing, 16, Pixel.ideal(theta, toe=1.0))
    predicted = 2 * np.floor(swing / theta)
    assert run.value("flicker_ratio") == pytest.approx(swings.mean() / predicted.mean())
    assert run.value("flicker_within") == np.mean(np.abs(swings - predicted) <= 2) == 1
    assert run.value("at_one") == 2 * int(1.1 / theta)
    frames = 1 - 0.5 * np.cos(2 * np.pi * np.arange(201) / 200)  # swings by ln 3
    plain, _ = L.pixel_events(frames, theta)
    mine = study.flicker_counts(run.cfg, np.array([math.log(3)]), 1, Pixel.ideal(theta, toe=1.0))
    assert abs(mine[0, 0] - len(plain)) <= 1


def test_study_latency(tmp_path: Path, seen) -> None:
    run = run_section(study.section_latency, tmp_path, smoke=False, sigma=0.0)
    assert run.value("latency_theory") < 0.03 and run.value("slowest") == pytest.approx(1, abs=0.05)
    shown = seen.figures["2_latency"]
    tau = 1e3 / (2 * math.pi * 300 * 2000.1 / 1000.1)  # ms, at 1,000 lux
    wanted = tau * math.log(math.log(2) / (math.log(2) - 0.2))
    assert shown.lines[0, "equation (2)"][-1, 1] == pytest.approx(wanted, rel=1e-6)
    assert shown.lines[0, "median of 256 pixels"][-1, 1] == pytest.approx(wanted, rel=0.03)


def test_low_pass_is_the_response_to_a_step() -> None:
    """Lights so bright that the 0.1 lux do not count: ln I + ln 2·(1 − exp(−t/τ)) after a doubling."""
    light = np.full(400, 2000.0)
    light[0] = 1000.0
    level = L.low_passed(light, 1e-5, 50.0)
    t = 1e-5 * np.arange(400)
    wanted = math.log(1000) + math.log(2) * (1 - np.exp(-2 * math.pi * 100 * t))
    assert np.allclose(level, wanted, rtol=1e-4)
