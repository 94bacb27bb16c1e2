"""Lesson 04: its scene, its analytic checks at small scale, and its flags."""

from __future__ import annotations

import json
import math
from pathlib import Path

from common.lesson import start
from eventcam.events import EVENT, event_array

import numpy as np
import pytest
from helpers import load_script, run_main

L = load_script("04_event_cameras_v2e")


def config(**fields: object) -> object:
    return L.Config(**({"size": 24, "static_s": 4.0, "engine": "builtin"} | fields))


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


# ------------------------------------------------------------------------------------------------ the scene


def test_scene_moves_where_it_should():
    still, later, faster = (
        next(L.render(np.array([t]), 48, v)) for t, v in ((0.0, 1.0), (0.05, 1.0), (0.025, 2.0))
    )
    assert still.shape == (48, 64) and 0 < still.min() < still.max() < 255
    assert np.allclose(later, faster, atol=1e-3)  # speed scales time
    moved = np.abs(later - still) > 5
    assert moved[24, 24:40].any() and not moved[:, :3].any()  # the disc turns, the wall stands
    third = next(L.render(np.array([1 / 3]), 48, 1.0))
    assert np.allclose(
        third[:, :45], still[:, :45], atol=1
    )  # three spokes: a third of a turn is the same disc


# ------------------------------------------------------------------------------------------------ the analytic checks


@pytest.mark.parametrize(
    "noise", [{}, {"leak_hz": 1.0, "shot_hz": 0.0}, {"leak_hz": 0.0, "shot_hz": 10.0, "sigma": 0.0}]
)
def test_still_scene(noise: dict):
    r = L.experiment_static(config(**noise))
    assert r["silent"] == 0
    assert len(r["noise"]) / r["expected"] == pytest.approx(1, abs=0.1)
    assert r["noise"]["p"].mean() == pytest.approx(r["expected_on"], abs=0.06)


def test_still_scene_without_noise():
    r = L.experiment_static(config(leak_hz=0.0, shot_hz=0.0))
    assert len(r["noise"]) == r["expected"] == 0


@pytest.mark.parametrize("theta", [0.1, 0.2, 0.37])
def test_flicker(theta: float):
    r = L.experiment_flicker(config(theta=theta))
    assert np.array_equal(r["predicted"], 2 * np.floor(r["delta"] / theta))
    assert r["counts"].mean() / r["predicted"].mean() == pytest.approx(1, abs=0.05)
    assert np.abs(r["counts"] - r["predicted"]).max() <= 2


def test_contrast_invariance_and_what_frames_lose():
    r = L.experiment_lux(config())
    assert np.abs(r["ideal"] / r["ideal"].mean() - 1).max() <= 0.1
    assert (
        r["slow"][0] < 0.2 * r["slow"][-1]
    )  # in the dark the photoreceptor is too slow for the bars
    at = lambda lux: r["camera"][np.abs(r["fine"] - lux).argmin()]  # noqa: E731
    assert at(900) == pytest.approx(math.log(2), rel=0.02)
    assert at(1) == at(1e5) == 0  # black on black, white on white
    assert 1 < r["decades"] < 2.5


def test_latency_follows_the_closed_form():
    r = L.experiment_latency(config(sigma=0.0))
    assert np.abs(r["first"] / r["predicted"][:, None] - 1).max() < 0.03
    tau = 1e6 / (2 * math.pi * 300 * (2000 + 0.1) / (1000 + 0.1))
    assert r["predicted"][-1] == pytest.approx(tau * math.log(math.log(2) / (math.log(2) - 0.2)))


def test_bytes_grow_with_motion_and_cross():
    speeds = np.geomspace(0.02, 5, 6)
    r = L.experiment_bytes(config(size=48), speeds, seconds=0.2)
    events, raw = r["rates"]["events, 5 bytes each"], r["rates"]["raw frames"]
    assert np.all(np.diff(events) > 0)
    assert np.allclose(raw, 60 * 48 * 64)
    assert np.all(r["rates"]["frames, lossless"] < raw) and np.all(r["rates"]["frames, JPEG"] < raw)
    for name, speed in r["crossing"].items():
        assert speeds[0] < speed < speeds[-1]
        near = [
            np.exp(np.interp(np.log(speed), np.log(speeds), np.log(rate)))
            for rate in (events, r["rates"][name])
        ]
        assert near[0] == pytest.approx(near[1], rel=1e-6)


def test_address_events_of_a_stream_with_long_pauses():
    t = np.array([5, 6, 6 + (1 << 23), 7 + (3 << 23)])
    r = L.experiment_aer(event_array(np.arange(4), np.arange(4), t, t > 5), 32, 24)
    assert r == {"exact": 1.0, "bytes": 20, "bits": (8, 8, 23)}
    assert L.experiment_aer(np.empty(0, EVENT), 32, 24)["exact"] == 1.0


# ------------------------------------------------------------------------------------------------ the script


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_smoke_without_noise_and_with_a_single_frame(tmp_path: Path):
    off = (
        f
        for name in ("leak-hz", "shot-hz", "cutoff-hz", "refractory-us", "sigma")
        for f in (f"--{name}", "0")
    )
    run(tmp_path, "--smoke", "--size", "16", "--num-steps", "1", *off)
    folder = tmp_path / "smoke" / "04_event_cameras_v2e"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert all(math.isfinite(c["value"]) for c in metrics["claims"])
    assert {p.stem for p in folder.glob("*.png")} == {
        "cloud",
        "bytes",
        "static",
        "flicker",
        "lux",
        "latency",
    }


def test_an_event_file_of_v2e(tmp_path: Path):
    lines = ["# time x y polarity"] + [
        f"{1e-4 * i:.6f} {i % 30} {i % 20} {i % 2}" for i in range(400)
    ]
    (tmp_path / "v2e.txt").write_text("\n".join(lines), encoding="utf-8")
    clip = L.read_events(tmp_path / "v2e.txt").events
    assert len(clip) == 400 and clip["t"][-1] == 39_900
    fig = L.plot_cloud(None, clip["t"][[0, -1]], clip, (20, 30), "file")
    assert fig.get_suptitle().startswith("file: 400 events in 0.04 s, 50%")


def test_video_flag(tmp_path: Path, capsys: pytest.CaptureFixture):
    pytest.importorskip("av")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    assert "empty.mp4" in refused(
        tmp_path, capsys, "--smoke", "--video", str(tmp_path / "empty.mp4")
    )
    assert "broken" in refused(tmp_path, capsys, "--smoke", "--video", str(tmp_path / "broken.mp4"))
    assert "no file" in refused(tmp_path, capsys, "--smoke", "--video", str(tmp_path / "none.mp4"))


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--engine", "esim"), "allowed are auto, builtin and v2e"),
        (("--theta", "0"), "--theta: got 0"),
        (("--video", "a.mp4", "--events", "b.h5"), "allowed is one of them"),
        (("--events", "nothing.h5"), "no file"),
    ],
)
def test_bad_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture, flags: tuple[str, ...], text: str
):
    assert text in refused(tmp_path, capsys, *flags)


def test_engine_v2e_without_v2e(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(L, "find_spec", lambda name: None)
    assert "not installed" in refused(tmp_path, capsys, "--engine", "v2e")
    frames, t = np.zeros((2, 8, 8)), np.array([0, 1000])
    assert L.experiment_clip(config(engine="auto"), frames, t)[1] == "the builtin model"


# ------------------------------------------------------------------------------------------------ what is published


def test_bytes_of_events_are_five_each():
    cfg = config(size=32)
    r = L.experiment_bytes(cfg, np.array([1.0, 2.0]), seconds=0.1)
    for i, speed in enumerate((1.0, 2.0)):
        fps = max(100.0, 4 * math.pi * speed * 0.4 * 32)
        t = np.arange(int(0.1 * fps) + 1) / fps
        events = L.frames_to_events(L.render(t, 32, speed), np.rint(t * 1e6), cfg.pixel(), cfg.seed)
        assert r["rates"]["events, 5 bytes each"][i] * t[-1] == pytest.approx(5 * len(events))
    assert r["rates"]["raw frames"] == pytest.approx(np.full(2, 60 * 32 * 42))


def test_claims_are_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    events = event_array(np.zeros(4), np.zeros(4), np.arange(4), np.array([1, 1, 1, 0]))
    clip = ("clip", np.zeros((3, 4, 6)), np.array([0, 1000, 2000]))
    set_ = lambda name, value: monkeypatch.setattr(L, name, lambda *_, **__: value)  # noqa: E731
    set_("load_clip", clip)
    set_("experiment_clip", (events, "the builtin model"))
    rates = {
        "events, 5 bytes each": np.array([10.0, 400.0]),
        "raw frames": np.array([200.0, 200.0]),
    }
    crossing = {"raw frames": 1.0, "lossless": 2.0, "JPEG": 3.0}
    set_("experiment_bytes", {"rates": rates, "crossing": crossing})
    static = {"silent": 3, "rate": 0.5, "noise": np.zeros(6), "expected": 8.0}
    set_("experiment_static", static)
    flicker = {"counts": np.array([[2.0, 4.0, 9.0]]), "predicted": np.array([4.0, 4.0, 4.0])}
    set_("experiment_flicker", flicker)
    lux = {"ideal": np.array([80, 100, 120]), "slow": np.array([5, 20, 50]), "decades": 1.5}
    set_("experiment_lux", lux)
    first = np.array([[100.0], [90.0], [80.0], [70.0], [60.0], [50.0], [40.0]]) * [1, 2, 30]
    set_("experiment_latency", {"first": first, "predicted": np.arange(100.0, 39, -10) * 2.5})
    value = run_main(L, tmp_path, monkeypatch).value
    assert value("events") == 4 and value("on_share") == 0.75 and value("aer_exact") == 1
    assert value("bytes_saved") == 20 and value("bytes_lost") == 0.5
    assert [value(f"crossing_{k}") for k in ("raw", "lossless", "jpeg")] == [1, 2, 3]
    assert value("static_silent") == 3 and value("noise_rate") == 0.5
    assert value("noise_ratio") == 0.75
    assert value("flicker_ratio") == 5 / 4 and value("flicker_within") == pytest.approx(2 / 3)
    assert value("invariance") == pytest.approx(0.2) and value("dark_share") == 0.1
    assert value("camera_decades") == 1.5
    # of seven lights from 1 to 1,000 lux the fifth is 100 lux; its median is 120 µs, a frame 33,333 µs
    assert np.geomspace(1, 1000, 7)[4] == pytest.approx(100)
    assert value("latency_frame") == pytest.approx(120 / (1e6 / 30))
    assert value("latency_theory") == pytest.approx(0.2)


def test_noise_of_a_still_scene_is_counted_per_pixel_and_second():
    r = L.experiment_static(config(leak_hz=3.0, shot_hz=0.0, sigma=0.0, refractory_us=0.0))
    assert r["rate"] == pytest.approx(3.0, rel=0.05)
