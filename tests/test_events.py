"""The DVS pixel model, address-events and the readers of v2e's files, against second implementations and formats."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

from common.io import ROOT, UserError
from eventcam.events import (
    DVS,
    EVENT,
    Pixel,
    accumulate,
    aer_bits,
    aer_decode,
    aer_encode,
    event_array,
    frames_to_events,
    lin_log,
    v2e_events,
)
from eventcam.files import SENSORS, read_events
from eventcam.video import _microseconds, read_video

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def some_events(
    n: int = 500, width: int = 346, height: int = 260, seed: int = 0, span: int = 50_000
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return event_array(
        rng.integers(0, width, n),
        rng.integers(0, height, n),
        np.sort(rng.integers(0, span, n)),
        rng.random(n) < 0.5,
    )


# ------------------------------------------------------------------------------------------------ the pixel


def slow_reference(
    frames: np.ndarray, t_us: list[int], p: Pixel
) -> list[tuple[int, int, int, bool]]:
    """The same model one pixel and one event at a time, in double precision, without noise and mismatch."""
    events = []
    for y in range(frames.shape[1]):
        for x in range(frames.shape[2]):
            log = [
                math.log(v * 20 / p.toe) if v * 20 / p.toe > 20 else v / p.toe * math.log(20)
                for v in frames[:, y, x].astype(float)
            ]
            filtered = memory = log[0]
            last = -math.inf
            for i in range(1, len(frames)):
                t0, t1 = t_us[i - 1], t_us[i]
                share = 1.0
                if p.cutoff_hz:
                    f = p.cutoff_hz * (float(frames[i, y, x]) + p.toe) / (p.white + p.toe)
                    share = 1 - math.exp(-2 * math.pi * f * (t1 - t0) * 1e-6)
                new = filtered + share * (log[i] - filtered)
                d0, d1 = filtered - memory, new - memory
                on = d1 > 0
                sign, theta = (1, p.theta_on) if on else (-1, p.theta_off)
                for k in range(1, int(sign * d1 / theta + 1e-4) + 1):
                    level = k * theta
                    crossed = (
                        t0
                        if sign * d0 >= level
                        else t0 + (t1 - t0) * (level - sign * d0) / (sign * (d1 - d0))
                    )
                    when = max(crossed, last + p.refractory_us)
                    if when > t1:
                        break
                    last = when
                    memory += sign * theta
                    events.append((x, y, when, on))
                filtered = new
    return sorted(events, key=lambda e: (e[0], e[1], e[2]))


@pytest.mark.parametrize(
    "option",
    [
        {},
        {"refractory_us": 700.0},
        {"refractory_us": 5000.0},
        {"cutoff_hz": 80.0},
        {"cutoff_hz": 200.0, "refractory_us": 1300.0, "theta_off": 0.13},
    ],
)
def test_equals_a_slow_second_implementation(option: dict):
    rng = np.random.default_rng(1)
    frames = np.clip(128 + np.cumsum(rng.normal(0, 25, (25, 5, 6)), axis=0), 0, 255).astype(
        np.float32
    )
    t_us = np.cumsum(rng.integers(800, 3000, 25)).tolist()
    pixel = Pixel.ideal(0.171, **option)
    got = frames_to_events(frames, t_us, pixel)
    want = slow_reference(frames, t_us, pixel)
    assert len(got) == len(want) > 200
    got = got[np.lexsort((got["t"], got["y"], got["x"]))]
    assert [(e["x"], e["y"], e["p"]) for e in got] == [(x, y, p) for x, y, _, p in want]
    assert (
        np.abs(got["t"] - np.array([t for _, _, t, _ in want])).max() <= 2
    )  # float32 against float64, and µs


def test_response_is_linear_below_the_toe_and_logarithmic_above():
    x = np.array([0.0, 10.0, 20.0, 21.0, 255.0])
    want = [0, 10 * math.log(20) / 20, math.log(20), math.log(21), math.log(255)]
    assert lin_log(x) == pytest.approx(want, rel=1e-6, abs=1e-6)
    # in lux with a toe at 0.1 lux: the same curve, shifted
    assert lin_log(np.array([5.0]), toe=0.1) - lin_log(np.array([1.0]), toe=0.1) == pytest.approx(
        math.log(5), rel=1e-6
    )


def test_events_are_in_order_in_bounds_and_in_tonics_dtype():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (20, 17, 31)).astype(np.uint8)
    events = frames_to_events(frames, 1000 * np.arange(20) + 77)
    from tonic.io import events_struct

    assert events.dtype == EVENT == np.dtype(events_struct)
    assert np.all(np.diff(events["t"]) >= 0)
    assert events["t"].min() >= 77 and events["t"].max() <= 19_077
    assert (
        events["x"].max() == 30
        and events["y"].max() == 16
        and events["x"].min() == events["y"].min() == 0
    )


def test_same_seed_same_events_other_seed_other_events():
    frames = np.linspace(30, 200, 30)[:, None, None] * np.ones((1, 12, 12))
    runs = [frames_to_events(frames, 2000 * np.arange(30), seed=s) for s in (3, 3, 4)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_no_pixel_fires_twice_within_its_pause():
    rng = np.random.default_rng(2)
    frames = rng.integers(5, 250, (40, 8, 8))
    events = frames_to_events(frames, 1700 * np.arange(40), Pixel.ideal(0.1, refractory_us=450.0))
    for pixel in np.unique(events[["x", "y"]]):
        times = events["t"][(events["x"] == pixel["x"]) & (events["y"] == pixel["y"])]
        assert np.diff(times).min() >= 450


def test_a_pause_delays_events_but_loses_none_of_a_lasting_change():
    frames = np.array([20.0, 200.0] + [200.0] * 60)[:, None, None] * np.ones((1, 3, 3))
    t = 1000 * np.arange(62)
    quick, slow = (
        frames_to_events(frames, t, Pixel.ideal(0.1, refractory_us=r)) for r in (0.0, 900.0)
    )
    assert len(quick) == len(slow) == 9 * int(math.log(10) / 0.1)
    assert slow["t"].max() >= 22 * 900 > 1000 >= quick["t"].max()


def test_timestamps_are_interpolated():
    # ln I rises from ln 50 to ln 100 on a straight line within 1 s: the k-th event comes at k·θ / ln 2 seconds
    events = frames_to_events(
        [np.full((1, 1), 50.0), np.full((1, 1), 100.0)], [0, 1_000_000], Pixel.ideal(0.1)
    )
    assert events["t"] == pytest.approx(1e6 * 0.1 * np.arange(1, 7) / math.log(2), abs=2)
    assert events["p"].all()


def test_low_pass_step_response():
    # after a step by Δ: Δ·(1 − e^(−t/τ)) reaches kθ at t = −τ·ln(1 − kθ/Δ)
    pixel = Pixel.ideal(0.1, cutoff_hz=50.0, white=200.0)
    sensor, tau = DVS(pixel), 1e6 / (2 * math.pi * 50)  # the light after the step is 'white'
    sensor.step(np.full((1, 1), 100.0), 0)
    events = np.concatenate([sensor.step(np.full((1, 1), 200.0), 20 * k) for k in range(1, 2000)])
    want = [-tau * math.log(1 - 0.1 * k / math.log(2)) for k in range(1, 7)]
    assert events["t"] == pytest.approx(want, rel=2e-3, abs=2)


def test_bandwidth_falls_with_the_light():
    first = []
    for light in (20.0, 60.0, 220.0):
        sensor = DVS(Pixel.ideal(0.2, cutoff_hz=30.0))
        sensor.step(np.full((1, 1), light), 0)
        parts = [sensor.step(np.full((1, 1), light * 1.5), 20 * k) for k in range(1, 2000)]
        first.append(np.concatenate(parts)["t"][0])
    want = [1 / (1.5 * light + 20) for light in (20.0, 60.0, 220.0)]  # 1 / brightness
    assert np.array(first) / first[0] == pytest.approx(np.array(want) / want[0], rel=0.01)


@pytest.mark.parametrize("phase", np.linspace(0, 2 * np.pi, 7))
def test_flicker_count_from_any_phase(phase: float):
    delta, theta = np.linspace(0.3, 3, 40), 0.2
    wave = np.sin(2 * np.pi * np.arange(601) / 200 + phase)[:, None, None]
    events = frames_to_events(
        300 * (1 + np.tanh(delta / 2) * wave), 5000 * np.arange(601), Pixel.ideal(theta, toe=1.0)
    )
    late = events[events["t"] > 1_000_000]  # two whole cycles
    for p in (True, False):
        count = np.bincount(late["x"][late["p"] == p], minlength=40) / 2
        assert np.all(np.abs(count - np.floor(delta / theta)) <= 1)


def test_contrast_not_brightness():
    rng = np.random.default_rng(5)
    frames = np.exp(np.cumsum(rng.normal(0, 0.3, (30, 6, 6)), axis=0)) * 100
    counts = [
        len(frames_to_events(frames * k, 1000 * np.arange(30), Pixel.ideal(toe=0.01)))
        for k in (1, 1e2, 1e4)
    ]
    assert max(counts) - min(counts) <= 0.001 * max(counts)


def test_a_still_scene_gives_the_configured_noise_and_ideal_pixels_nothing():
    dark = np.zeros((60, 60))
    for pixel, rate, on in (
        (Pixel(sigma=0), 0.1 + 1.0 * (1 - 0.75 * 20 / 275), None),
        (Pixel.ideal(shot_hz=5.0), 5.0 * (1 - 0.75 * 20 / 275), 0.5),
        (Pixel.ideal(leak_hz=2.0), 2.0, 1.0),
    ):
        events = frames_to_events([dark] * 101, 100_000 * np.arange(101), pixel)
        assert len(events) / 3600 / 10 == pytest.approx(rate, rel=0.02)
        assert on is None or events["p"].mean() == pytest.approx(on, abs=0.02)
    bright = frames_to_events(
        [dark + 255] * 101, 100_000 * np.arange(101), Pixel.ideal(shot_hz=5.0)
    )
    assert len(bright) / 3600 / 10 == pytest.approx(5.0 / 4, rel=0.02)
    assert len(frames_to_events([dark] * 50, 10_000 * np.arange(50), Pixel.ideal())) == 0


def test_shot_noise_is_poisson_and_prefers_low_thresholds():
    sensor = DVS(Pixel.ideal(0.2, shot_hz=20.0, sigma=0.05), seed=1)
    events = np.concatenate([sensor.step(np.zeros((50, 50)), 1000 * k) for k in range(2001)])
    counts = np.bincount(events["y"].astype(int) * 50 + events["x"], minlength=2500)
    # the threshold mismatch alone: rate ∝ (1/θ_on + 1/θ_off)
    rate = (
        (1 / sensor.theta_on + 1 / sensor.theta_off).ravel()
        * 0.2
        / 2
        * 20
        * 2
        * (1 - 0.75 * 20 / 275)
    )
    assert np.corrcoef(counts, rate)[0, 1] > 0.6
    assert np.mean((counts - rate) ** 2 / rate) == pytest.approx(1, abs=0.1)  # variance = mean


def test_mismatch():
    sensor = DVS(Pixel(theta_on=0.2, theta_off=0.3, sigma=0.03))
    sensor.step(np.zeros((100, 100)), 0)
    assert sensor.theta_on.mean() == pytest.approx(0.2, abs=0.002)
    assert sensor.theta_on.std() == pytest.approx(0.03, rel=0.05)
    assert sensor.theta_off.mean() == pytest.approx(0.3, abs=0.002)
    assert abs(np.corrcoef(sensor.theta_on.ravel(), sensor.theta_off.ravel())[0, 1]) < 0.05


def test_a_clip_is_as_fast_as_it_should_be():
    import time

    y, x = np.mgrid[:130, :173]
    frames = [
        (127 + 100 * np.sin(0.2 * x + 0.1 * t) * np.cos(0.15 * y)).astype(np.uint8)
        for t in range(60)
    ]
    began = time.perf_counter()
    events = frames_to_events(frames, 2000 * np.arange(60))
    assert len(events) > 100_000
    assert (
        time.perf_counter() - began < 2.5
    )  # a twentieth of 346×260×300: ten times the time it takes


def test_sensor_refuses_what_makes_no_sense():
    sensor = DVS()
    sensor.step(np.zeros((4, 5)), 10)
    with pytest.raises(ValueError, match="later than 10"):
        sensor.step(np.zeros((4, 5)), 10)
    with pytest.raises(ValueError, match="expected"):
        sensor.step(np.zeros((5, 4)), 20)
    with pytest.raises(ValueError, match="grey"):
        DVS().step(np.zeros((4, 5, 3)), 0)


def test_accumulate_counts_signed_events():
    events = event_array(
        np.array([1, 1, 0, 2, 2]),
        np.array([0, 0, 1, 1, 1]),
        np.array([5, 6, 10, 19, 20]),
        np.array([True, True, False, True, True]),
    )
    frames = accumulate(events, (2, 3), np.array([0, 10, 20]))
    want = np.zeros((2, 2, 3))
    want[0, 0, 1], want[1, 1, 0], want[1, 1, 2] = (
        2,
        -1,
        1,
    )  # the event at 20 is beyond the last edge
    assert np.array_equal(frames, want)
    assert accumulate(events[:0], (2, 3), np.array([0, 10])).sum() == 0


# ------------------------------------------------------------------------------------------------ address-events


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 640),
    st.integers(1, 480),
    st.integers(0, 200),
    st.integers(0, 2**20),
    st.integers(0, 2**40),
)
def test_aer_round_trip(width: int, height: int, n: int, pause: int, begin: int):
    rng = np.random.default_rng(n)
    pause = min(pause, (1 << aer_bits(width, height)[2]) - 1)
    t = begin + np.cumsum(rng.integers(0, pause + 1, n))
    events = event_array(
        rng.integers(0, width, n), rng.integers(0, height, n), t, rng.random(n) < 0.5
    )
    words = aer_encode(events, width, height, begin)
    assert words.shape == (n, 5) and words.dtype == np.uint8
    assert np.array_equal(aer_decode(words, width, height, begin), events)


def test_aer_layout_is_that_of_nmnist_files(tmp_path: Path):
    from tonic.io import read_mnist_file

    events = some_events(width=34, height=34, span=300_000)
    assert aer_bits(34, 34) == (8, 8, 23) and aer_bits(346, 260) == (9, 9, 21)
    (tmp_path / "a.bin").write_bytes(aer_encode(events, 34, 34).tobytes())
    assert np.array_equal(read_mnist_file(str(tmp_path / "a.bin"), dtype=EVENT), events)


def test_aer_refuses_what_would_not_come_back():
    events = some_events(10)
    for bad, text in ((events[::-1], "pauses"), (np.concatenate([events, events]), "pauses")):
        with pytest.raises(ValueError, match=text):
            aer_encode(bad, 346, 260)
    with pytest.raises(ValueError, match="off the sensor"):
        aer_encode(events, 32, 260)
    late = event_array(
        np.array([1, 1]), np.array([1, 1]), np.array([0, 1 << 21]), np.array([True, True])
    )
    with pytest.raises(ValueError, match="pauses"):
        aer_encode(late, 346, 260)
    with pytest.raises(ValueError, match="no room"):
        aer_bits(40_000, 40_000)


# ------------------------------------------------------------------------------------------------ files


def write_aedat2(
    path: Path, events: np.ndarray, sensor: str, header: str = "", extra: bytes = b""
) -> None:
    """By jAER's definition, one event at a time: x from the right, y from the bottom, big-endian words."""
    body = b""
    for e in events:
        x, y, p = int(e["x"]), int(e["y"]), int(e["p"])
        if (
            sensor == "davis346"
        ):  # bit 31: 0 polarity event; 30–22 y; 21–12 x; 11 polarity; 10 special
            address = (259 - y) << 22 | (345 - x) << 12 | p << 11
        elif sensor == "davis240":
            address = (179 - y) << 22 | (239 - x) << 12 | p << 11
        elif sensor == "dvs640":  # 20–11 y; 10–1 x; 0 polarity
            address = (479 - y) << 11 | (639 - x) << 1 | p
        else:  # DVS128: 15 external; 14–8 y; 7–1 x; 0: ON is 0
            address = (127 - y) << 8 | (127 - x) << 1 | (1 - p)
        body += struct.pack(">II", address, int(e["t"]) % 2**32)
    lines = [
        "#!AER-DAT2.0",
        "# This is a raw AE data file",
        "# Timestamps tick is 1 us",
        *([header] if header else []),
    ]
    path.write_bytes("".join(line + "\r\n" for line in lines).encode() + extra + body)


def rows_of(events: np.ndarray) -> list[tuple[int, int, int, bool]]:
    return [tuple(e) for e in events.tolist()]


@pytest.mark.parametrize(
    ("sensor", "header"),
    [
        ("davis346", ""),
        ("davis346", "# AEChip: eu.seebetter.ini.chips.davis.Davis346B"),
        ("davis240", "# AEChip: eu.seebetter.ini.chips.davis.Davis240C"),
        ("dvs640", ""),
        ("dvs128", "# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128"),
    ],
)
def test_aedat2(tmp_path: Path, sensor: str, header: str):
    s = SENSORS[sensor]
    events = some_events(300, s.width, s.height)
    write_aedat2(tmp_path / "a.aedat", events, sensor, header)
    read = read_events(tmp_path / "a.aedat", "" if header else sensor)
    assert np.array_equal(read.events, events)
    assert read.size == (s.width, s.height) and not read.notes


def test_aedat2_without_its_sensor_asks_for_it(tmp_path: Path):
    write_aedat2(tmp_path / "a.aedat", some_events(9, 240, 180), "davis240")
    with pytest.raises(UserError, match=r"say which with --sensor: .*davis240 \(240×180\)"):
        read_events(tmp_path / "a.aedat")
    with pytest.raises(UserError, match="got banana, allowed are davis346"):
        read_events(tmp_path / "a.aedat", "banana")


def test_aedat2_of_another_sensor_is_refused(tmp_path: Path):
    write_aedat2(tmp_path / "small.aedat", some_events(99, 240, 180), "davis240")
    write_aedat2(tmp_path / "large.aedat", some_events(99, 640, 480), "dvs640")
    for name, sensor in (("small", "dvs640"), ("large", "davis346"), ("large", "dvs128")):
        with pytest.raises(UserError, match="is --sensor right"):
            read_events(tmp_path / f"{name}.aedat", sensor)
    write_aedat2(tmp_path / "346.aedat", some_events(999), "davis346")
    with pytest.raises(UserError, match="is --sensor right"):
        read_events(tmp_path / "346.aedat", "davis240")
    write_aedat2(tmp_path / "n.aedat", some_events(9), "davis346", "# AEChip: x.Davis346B")
    with pytest.raises(UserError, match="header names a Davis346B, but --sensor says dvs128"):
        read_events(tmp_path / "n.aedat", "dvs128")
    write_aedat2(tmp_path / "u.aedat", some_events(9), "davis346", "# AEChip: a.b.CochleaAMS1c")
    with pytest.raises(UserError, match="its sensor is a CochleaAMS1c, which is not known"):
        read_events(tmp_path / "u.aedat")


def test_aedat2_counts_what_is_no_pixel(tmp_path: Path):
    events = some_events(50)
    extra = struct.pack(
        ">IIII", 1 << 31 | 5 << 12, 0, 1 << 10 | 7 << 22, 0
    )  # a frame sample, a special event
    write_aedat2(tmp_path / "a.aedat2", events, "davis346", extra=extra)
    read = read_events(tmp_path / "a.aedat2", "davis346")
    assert np.array_equal(read.events, events)
    assert read.notes == ("left out 2 of 52 records, which are no events of a pixel",)


def test_aedat2_keeps_what_v2e_labels_as_noise(tmp_path: Path):
    noise = struct.pack(">II", (259 - 7) << 22 | (345 - 5) << 12 | 1 << 11 | 1 << 10, 3)
    header = "# This is a raw AE data file created by AEDat2Output in v2e"
    write_aedat2(tmp_path / "a.aedat", some_events(0), "davis346", header, noise)
    read = read_events(tmp_path / "a.aedat", "davis346")
    assert rows_of(read.events) == [(5, 7, 3, True)]
    assert read.notes == ("1 events carry v2e's label of noise; they are kept",)


def test_aedat2_clock_of_32_bits_goes_round(tmp_path: Path):
    events = some_events(40)
    events["t"] = 2**32 - 20 + np.arange(40)
    write_aedat2(tmp_path / "a.aedat", events, "davis346")
    read = read_events(tmp_path / "a.aedat", "davis346")
    assert np.array_equal(read.events, events) and "went round 1 times" in read.notes[0]


def test_aedat2_first_event_may_begin_with_the_byte_of_a_comment(tmp_path: Path):
    events = some_events(30)
    events["y"] = 259 - (0x23 << 2)  # y from the bottom in bits 30–22: the first byte is 0x23, '#'
    events["t"] += 10  # the byte of a line's end stands in the time of the first event
    events["t"][0] = 10
    write_aedat2(tmp_path / "a.aedat", np.sort(events, order="t"), "davis346")
    got = read_events(tmp_path / "a.aedat", "davis346").events
    assert len(got) == 30 and (got["y"] == 259 - (0x23 << 2)).all()


def test_aedat2_header_with_a_user_name_in_any_encoding(tmp_path: Path):
    events = some_events(30)
    write_aedat2(tmp_path / "a.aedat", events, "davis346")
    raw = (tmp_path / "a.aedat").read_bytes()
    raw = raw.replace(b"# This is", b"# User name: Zo\xeb\r\n#End Of ASCII Header\r\n", 1)
    raw = raw.replace(b" a raw AE data file\r\n# Timestamps tick is 1 us\r\n", b"", 1)
    (tmp_path / "a.aedat").write_bytes(raw)
    assert np.array_equal(read_events(tmp_path / "a.aedat", "davis346").events, events)
    (tmp_path / "ms.aedat").write_bytes(b"#!AER-DAT2.0\r\n# Timestamps tick is 1 ms\r\n" + bytes(8))
    with pytest.raises(UserError, match="its clock ticks every 1 ms, expected 1 us"):
        read_events(tmp_path / "ms.aedat", "davis346")


def write_h5(path: Path, **content: np.ndarray) -> None:
    """A file with one data set for each name; ``events__t`` stands in the group ``events``."""
    with h5py.File(path, "w") as f:
        for name, value in content.items():
            f[name.replace("__", "/")] = value


def test_hdf5(tmp_path: Path):
    events = some_events()
    t, x, y, p = (events[name] for name in "txyp")
    rows = np.stack([t, x, y, p], axis=1).astype(np.uint32)  # v2e: t (µs), x, y, polarity 0/1
    write_h5(tmp_path / "v2e.h5", events=rows, frame_ts=np.zeros(3, np.uint32))
    write_h5(tmp_path / "group.h5", events__t=t, events__x=x, events__y=y, events__p=p)
    write_h5(tmp_path / "names.h5", ts=t, xs=x, ys=y, ps=np.where(p, 1, -1))
    write_h5(tmp_path / "fields.h5", events=events)
    for name in ("v2e", "group", "names", "fields"):
        assert np.array_equal(read_events(tmp_path / f"{name}.h5").events, events), name
    write_h5(tmp_path / "none.h5", events=np.empty((0, 4), np.uint32))
    assert len(read_events(tmp_path / "none.h5").events) == 0


def test_hdf5_of_other_tools(tmp_path: Path):
    t, x, y, p = np.array([1000, 2000]), np.array([3, 5]), np.array([4, 6]), np.array([1, 0])
    expected = [(3, 4, 1000, True), (5, 6, 2000, False)]
    fields = [("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")]
    write_h5(tmp_path / "cd.h5", CD__events=np.array(list(zip(x, y, p, t, strict=True)), fields))
    write_h5(tmp_path / "ms.h5", events__x=x, events__y=y, events__p=p, events__t_ms=t / 1000)
    write_h5(tmp_path / "ns.h5", x=x, y=y, polarity=p, timestamps=1000 * t)
    with h5py.File(tmp_path / "ns.h5", "a") as file:
        file["timestamps"].attrs["units"] = "ns"
    for name in ("cd", "ms", "ns"):
        assert rows_of(read_events(tmp_path / f"{name}.h5").events) == expected, name
    write_h5(tmp_path / "dsec.h5", events__t=t, events__x=x, events__y=y, events__p=p, t_offset=7)
    assert read_events(tmp_path / "dsec.h5").events["t"].tolist() == [1007, 2007]


def test_hdf5_of_another_order_or_packed_by_another_tool(tmp_path: Path):
    rows = np.array([[9, 4, 1000, 1], [3, 4, 2000, 0]])  # x y t p
    write_h5(tmp_path / "a.h5", events=rows)
    with pytest.raises(UserError, match="goes back 1 times and another one never does"):
        read_events(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((2, 4))
        plan.set_filter(0x8ECF, h5py.h5z.FLAG_OPTIONAL, ())  # Prophesee's
        space = h5py.h5s.create_simple((2, 4))
        h5py.h5d.create(file.id, b"events", h5py.h5t.STD_U32LE, space, plan)
    with pytest.raises(UserError, match="which is not installed here; write it with gzip"):
        read_events(tmp_path / "b.h5")


@pytest.mark.parametrize(
    ("dtype", "times", "expected", "turns"),
    [
        ("u4", [2**32 - 5, 4], [2**32 - 5, 2**32 + 4], 1),
        ("u4", [0, 2**32 - 1], [0, 2**32 - 1], 0),
        ("u4", [2**32 - 5, 4, 2**32 - 4, 5], [2**32 - 5, 2**32 - 4, 2**32 + 4, 2**32 + 5], 1),
        ("u2", [65_530, 4, 9], [65_530, 65_540, 65_545], 1),
        ("i4", [-5, 4], [-5, 4], 0),
        ("i4", [2**31 - 1, -(2**31)], [2**31 - 1, 2**31], 1),
        ("i8", [2**32 - 5, 4], [2**32 - 5, 2**32 + 4], 1),  # a clock of 32 bits, kept as 64
        ("i8", [2**33, 5, 2**32, 4], [4, 5, 2**32, 2**33], 0),  # no clock of 32 bits
        ("i8", [100, 50, 200], [50, 100, 200], 0),
    ],
)
def test_clocks(tmp_path: Path, dtype: str, times: list[int], expected: list[int], turns: int):
    """Clocks go round, and an event may come late; what is not in order is put in order and said."""
    t, same = np.array(times, dtype), np.ones(len(times), int)
    write_h5(tmp_path / "a.h5", t=t, x=same, y=same, p=same)
    read = read_events(tmp_path / "a.h5")
    assert read.events["t"].tolist() == expected
    assert any("went round" in note for note in read.notes) == bool(turns)
    late = turns < (np.diff(np.array(times)) < 0).sum()
    assert any("put in order" in note for note in read.notes) == bool(late)


def test_hdf5_clock_of_32_bits_goes_round(tmp_path: Path):
    rows = np.array([[2**32 - 5, 1, 2, 1], [4, 1, 2, 0]], np.uint32)
    write_h5(tmp_path / "a.h5", events=rows)
    assert rows_of(read_events(tmp_path / "a.h5").events) == [
        (1, 2, 2**32 - 5, True),
        (1, 2, 2**32 + 4, False),
    ]


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ("holds data; expected an array 'events'", {"data": np.zeros(3)}),
        ("holds t, x, y; expected", {f"events__{k}": np.zeros(3, int) for k in "txy"}),
        ("t holds a value that is no number", {"events": np.array([[np.nan, 3, 4, 1]])}),
        ("nothing says their unit", {"events": np.array([[0.001, 3, 4, 1], [0.002, 3, 4, 0]])}),
        ("has the shape", {"events": np.zeros((3, 3), np.uint32)}),
        ("an address x = 40000", {"events": np.array([[1, 40_000, 4, 1]])}),
        ("an address y = -1", {"events": np.array([[1, 4, -1, 1]])}),
        ("polarities other than", {"events": np.array([[1, 4, 4, 7]])}),
        ("a time of 1.84e.19 µs", {"events": np.array([[2**64 - 9, 4, 4, 1]], np.uint64)}),
        (
            "x holds fractions",
            {"t": np.arange(2), "x": np.array([1, 2.5]), "y": np.arange(2), "p": np.ones(2)},
        ),
        (
            "columns of 3, 2, 3 and 3",
            {"t": np.arange(3), "x": np.arange(2), "y": np.arange(3), "p": np.ones(3)},
        ),
    ],
)
def test_hdf5_that_does_not_say_what_is_needed(
    tmp_path: Path, message: str, content: dict[str, np.ndarray]
):
    write_h5(tmp_path / "a.h5", **content)
    with pytest.raises(UserError, match=f"a.h5: .*{message}"):
        read_events(tmp_path / "a.h5")


def test_hdf5_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as f:  # nothing is written: the file is 2 kB small
        f.create_dataset("events", shape=(10**12, 4), dtype="u4", chunks=(1024, 4))
    with pytest.raises(UserError, match="claims 1,000,000,000,000 events"):
        read_events(tmp_path / "a.h5")


@pytest.mark.parametrize("label", ["", " 1"])
@pytest.mark.parametrize("separator", [" ", ",", "\t", " ; "])
def test_text(tmp_path: Path, label: str, separator: str):
    events = some_events()
    lines = ["#!events.txt", "# Format is time (float s), x, y, polarity (0=off, 1=on)"]
    body = [f"{e['t'] / 1e6} {e['x']} {e['y']} {int(e['p'])}{label}" for e in events]
    lines += [line.replace(" ", separator) for line in body]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert np.array_equal(read_events(tmp_path / "a.txt").events, events)
    (tmp_path / "none.txt").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    assert len(read_events(tmp_path / "none.txt").events) == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_from_windows(tmp_path: Path, encoding: str, end: str):
    text = end.join(["# User name: Zoë", "0.001 3 4 1", "0.002 3 4 -1", ""])
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert rows_of(read_events(tmp_path / "a.txt").events) == [
        (3, 4, 1000, True),
        (3, 4, 2000, False),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "0,001;3;4;1\n0,002;3;4;0\n",  # a decimal comma, as Excel writes it in half of Europe
        "0,001\t3\t4\t1\n0,002\t3\t4\t0\n",
        "0,001, 3, 4, 1\n0,002, 3, 4, 0\n",
        "0.001 3 4 1\r0.002 3 4 0\r",
        '"0.001","3","4","1"\n"0.002","3","4","0"\n',
        "t,x,y,p\n0.001,3,4,1\n0.002,3,4,0\n",
        "x;y;polarity;t_us\n3;4;1;1000\n3;4;0;2000\n",
        "# x y p t[ms]\n3 4 1 1\n3 4 0 2\n",
        "% a note\n,timestamp (ns),x,y,p\n0,1000000,3,4,1\n1,2000000,3,4,0\n",
        "240 180\n0.001 3 4 1\n0.002 3 4 0\n",
    ],
)
def test_text_of_other_tools(tmp_path: Path, content: str):
    (tmp_path / "a.csv").write_bytes(content.encode())
    read = read_events(tmp_path / "a.csv")
    assert rows_of(read.events) == [(3, 4, 1000, True), (3, 4, 2000, False)]
    assert read.size == ((240, 180) if content.startswith("240") else None) and not read.notes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.aedat", b"", "first line is not"),
        ("a.aedat", b"#!AER-DAT3.1\r\n" + bytes(16), "this is AEDAT 3.1"),
        ("a.aedat", b"#!AER-DAT2.0\r\n" + bytes(13), "5 bytes are left over"),
        ("a.aedat", b"#!AER-DAT2.0", "its header has no end"),
        ("a.h5", b"no hdf5", "is damaged or no event file"),
        ("a.txt", b"0.1 3 4\n", "3 columns"),
        ("a.txt", b"0.1 3 4 2\n", "polarities other than"),
        ("a.txt", b"0.1 99999 4 1\n", "an address x = 99999"),
        ("a.txt", b"0.1 3.7 4.2 1\n", "x holds fractions"),
        ("a.txt", b"0.1 3 4 1\n0.2 3 4\n", "got a line '0.2 3 4', expected numbers"),
        ("a.txt", b"3 4 1 0.1\n", "nothing says their unit"),
        ("a.txt", b"nan 3 4 1\n", "nothing says their unit|no number"),
        ("a.txt", b"0.1 3 inf 1\n", "y holds a value that is no number"),
        ("a.txt", b"1700000000000000000 3 4 1\n", "nothing says their unit"),
        ("a.txt", b"1.7e18 3 4 1\n", "nothing says their unit"),
        ("a.txt", b"t_s x y p\n1.7e18 3 4 1\n", "a time of 1.7e.24 µs"),
        ("a.txt", b"\xff\xfe\x00", "is damaged or no event file"),
        ("a.csv", b"t,x,y,p\n100,3,4,1\n", "nothing says their unit"),
        (
            "a.csv",
            b"t,row,column,p\n0.1,3,4,1\n",
            "first line holds column, p, row, t; expected t, x",
        ),
        ("a.csv", b"t,time,x,y,p\n0.1,0.1,3,4,1\n", "holds t and time; which is t"),
        ("a.csv", b"t,x,y,p\n0.1,3,4,1,0\n", "4 names above 5 columns"),
        ("a.csv", b"0,4,1,1000\n0,4,0,1001\n", "nothing says their unit"),  # x y p t
        ("a.txt", b"1.0e+01 3.0 4.0 1.0\n2.0e+01 3.0 4.0 1.0\n", "nothing says their unit"),
        ("a.txt", b"3.0 4.0 1000.0 1.0\n5.0 4.0 2000.0 1.0\n", "nothing says their unit"),
        ("a.txt", b"0.1 3 4 1 7\n", "fifth column holds more than v2e's label"),
        ("a.txt", b"0.1 1_0 4 1\n", "got a line '0.1 1_0 4 1'"),
        ("a.txt", "0.1 3 4 1\n".encode("utf-16-le"), "byte 0 stands at 1: this is no text"),
        ("a.txt", "0.1 3 4 1\n".encode("utf-32"), "this is no text"),
        ("a.aedat", b"#!AER-DAT2.0x\r\n" + bytes(8), "first line is not"),
        ("a.aedat", b"#!AER-DAT2.0\r\n" + bytes(3) + b"\x80" + bytes(4), "bits are set"),
        ("a.aedat", b"#!AER-DAT2.0\r\n" + b"\x80" + bytes(7), "none of its 1 records is an event"),
    ],
)
def test_damaged_files_end_in_one_line(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_events(tmp_path / name, "davis346")
    assert name in str(caught.value) and "\n" not in str(caught.value)


HEADER = b"#!AER-DAT2.0\r\n# made for a test\r\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.sampled_from(["a.txt", "a.aedat", "a.h5"]), st.binary(max_size=200), st.data())
def test_any_bytes_end_in_events_or_in_one_line(tmp_path: Path, name: str, junk: bytes, data):
    begin = {"a.txt": b"0.001 3 4 1\n", "a.aedat": HEADER, "a.h5": _an_h5(tmp_path)}[name]
    cut = data.draw(st.integers(0, len(begin)))
    content = data.draw(st.sampled_from([junk, begin + junk, begin[:cut] + junk + begin[cut:]]))
    (tmp_path / name).write_bytes(content)
    try:
        read = read_events(tmp_path / name, data.draw(st.sampled_from(["", "davis240", "dvs128"])))
    except UserError as e:
        assert "\n" not in str(e)
        return
    t, x, y = (read.events[column].astype(np.int64) for column in "txy")
    width, height = read.size or (32_768, 32_768)
    assert ((0 <= x) & (x < width) & (0 <= y) & (y < height)).all()
    assert (np.diff(t) >= 0).all() and (np.abs(t) <= 2**53).all()


@cache
def _an_h5(folder: Path) -> bytes:
    write_h5(folder / "good.h5", events=np.array([[1, 2, 3, 1]], np.uint32))
    return (folder / "good.h5").read_bytes()


def test_other_files_are_named(tmp_path: Path):
    with pytest.raises(UserError, match="allowed are files that end in .h5"):
        read_events(tmp_path / "a.raw")
    with pytest.raises(UserError, match="no file"):
        read_events(tmp_path / "a.h5")


def write_clip(path: Path, frames: np.ndarray, rate: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width, stream.bit_rate = *frames.shape[1:], 4_000_000
        for frame in frames:
            for packet in stream.encode(
                av.VideoFrame.from_ndarray(np.repeat(frame[..., None], 3, -1), format="rgb24")
            ):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_video(tmp_path: Path):
    pytest.importorskip("av")
    frames = np.stack([np.full((48, 64), 40 + 8 * i, np.uint8) for i in range(20)])
    write_clip(tmp_path / "a.mp4", frames, 25)
    got, t = read_video(tmp_path / "a.mp4", 100)
    assert got.shape == frames.shape and got.dtype == np.uint8
    assert np.abs(got.mean((1, 2)) - frames.mean((1, 2))).max() < 4
    assert np.array_equal(t, 40_000 * np.arange(20))
    got, t = read_video(tmp_path / "a.mp4", 7, max_width=32)
    assert got.shape == (7, 24, 32) and len(t) == 7
    assert len(frames_to_events(got, t)) > 0


def test_gif(tmp_path: Path):
    pytest.importorskip("av")
    from PIL import Image

    pictures = [Image.fromarray(np.full((20, 30), 50 * i, np.uint8)) for i in range(5)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=50)
    got, t = read_video(tmp_path / "a.gif", 100)
    assert got.shape == (5, 20, 30) and np.abs(got.mean((1, 2)) - 50 * np.arange(5)).max() < 3
    assert np.array_equal(t, 50_000 * np.arange(5))


@pytest.mark.parametrize("content", [b"", b"no video at all", bytes(5000)])
def test_bad_video_ends_in_one_line(tmp_path: Path, content: bytes):
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UserError, match="--video"):
        read_video(tmp_path / "a.mp4", 10)


def test_half_a_video(tmp_path: Path):
    pytest.importorskip("av")
    write_clip(tmp_path / "a.mp4", np.zeros((30, 48, 64), np.uint8), 25)
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="b.mp4 is broken or no video"):
        read_video(tmp_path / "b.mp4", 10)
    with pytest.raises(UserError, match="no file"):
        read_video(tmp_path / "c.mp4", 10)


def test_video_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match="pip install av"):
        read_video(tmp_path / "a.mp4", 10)


def test_v2e_is_called_with_seconds_and_its_rows_become_events(monkeypatch: pytest.MonkeyPatch):
    seen = []

    class EventEmulator:
        def __init__(self, **options: object) -> None:
            seen.append(options)

        def generate_events(self, frame: np.ndarray, t: float) -> np.ndarray | None:
            seen.append((frame.dtype, t))
            return None if t == 0 else np.array([[t - 0.0005, 3, 4, 1], [t, 5, 6, -1]], np.float32)

    module = ModuleType("v2ecore.emulator")
    module.EventEmulator = EventEmulator
    monkeypatch.setitem(sys.modules, "v2ecore", SimpleNamespace(emulator=module))
    monkeypatch.setitem(sys.modules, "v2ecore.emulator", module)
    events = v2e_events(
        np.zeros((2, 8, 8), np.uint8), [0, 2000], Pixel(theta_on=0.25, refractory_us=300.0)
    )
    assert events.tolist() == [(3, 4, 1500, True), (5, 6, 2000, False)]
    assert seen[0]["pos_thres"] == 0.25 and seen[0]["refractory_period_s"] == pytest.approx(3e-4)
    assert seen[1:] == [(np.float32, 0.0), (np.float32, 0.002)]
    monkeypatch.setitem(sys.modules, "v2ecore.emulator", None)
    with pytest.raises(UserError, match="--engine v2e"):
        v2e_events(np.zeros((2, 8, 8)), [0, 2000])


ONE = 1 << 16  # in the numbers of a display matrix


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An MP4 of eight frames, 64 wide and 48 high: dark, but for their upper left corner."""
    pytest.importorskip("av")
    frames = np.zeros((8, 48, 64), np.uint8)
    frames[:, :8, :8] = 255
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    write_clip(path, frames, 25)
    return path.read_bytes()


def shown_at(path: Path, video: bytes, a: int, b: int, c: int, d: int) -> tuple[str, str]:
    """Where the bright corner comes to lie if the pixel (x, y) is to be shown at (ax + cy, bx + dy)."""
    at = video.index(b"tkhd") + 44  # where an MP4 keeps its matrix
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(video[:at] + matrix + video[at + 36 :])
    frame = read_video(path, 9)[0][0]
    assert frame.shape == ((48, 64) if a else (64, 48))
    rows, columns = np.nonzero(frame > 200)
    side = ("left", "right")[int(columns.mean() > frame.shape[1] / 2)]
    return ("top", "bottom")[int(rows.mean() > frame.shape[0] / 2)], side


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "corner"),
    [
        (1, 0, 0, 1, ("top", "left")),
        (0, 1, -1, 0, ("top", "right")),  # a phone held upright: a quarter turn clockwise
        (-1, 0, 0, -1, ("bottom", "right")),
        (0, -1, 1, 0, ("bottom", "left")),
        (-1, 0, 0, 1, ("top", "right")),  # mirrored, as a front camera stores it
        (1, 0, 0, -1, ("bottom", "left")),
        (0, 1, 1, 0, ("top", "left")),
        (0, -1, -1, 0, ("bottom", "right")),
    ],
)
def test_video_is_turned_as_a_player_turns_it(
    tmp_path: Path, clip: bytes, a: int, b: int, c: int, d: int, corner: tuple[str, str]
):
    assert shown_at(tmp_path / "a.mp4", clip, a * ONE, b * ONE, c * ONE, d * ONE) == corner


def test_video_at_a_slant_is_refused(tmp_path: Path, clip: bytes):
    with pytest.raises(UserError, match="a.mp4 is to be shown at a slant, expected quarter turns"):
        shown_at(tmp_path / "a.mp4", clip, 46_341, 46_341, -46_341, 46_341)


def test_video_that_changes_its_size_or_claims_a_huge_one(tmp_path: Path):
    pytest.importorskip("av")
    from PIL import Image

    jpegs = []
    for size in ((64, 48), (32, 48)):
        Image.new("L", size).save(tmp_path / "one.jpg")
        jpegs.append((tmp_path / "one.jpg").read_bytes())
    (tmp_path / "a.mjpeg").write_bytes(b"".join(jpegs))
    with pytest.raises(UserError, match="frame 1 of a.mjpeg has 32×48 pixels, the first has 64×48"):
        read_video(tmp_path / "a.mjpeg", 9)
    Image.new("L", (4, 4)).save(tmp_path / "a.gif")
    gif = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(gif[:6] + struct.pack("<HH", 16_000, 16_000) + gif[10:])
    with pytest.raises(UserError, match="a.gif has frames of 16000×16000 pixels, at most"):
        read_video(tmp_path / "a.gif", 9)


def test_video_cut_anywhere_ends_in_frames_or_in_one_line(tmp_path: Path, clip: bytes):
    """A fault of the decoder's may end the process, so it is tried in one of its own."""
    script = (
        "import sys; from pathlib import Path; from common.io import UserError\n"
        "from eventcam.video import read_video\n"
        "whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[1] + '.mp4')\n"
        "for end in range(1, len(whole), 13):\n"
        "    path.write_bytes(whole[:end])\n"
        "    try: read_video(path, 9)\n"
        "    except UserError as e: assert '\\n' not in str(e)\n"
    )
    (tmp_path / "clip").write_bytes(clip)
    command = [sys.executable, "-c", script, str(tmp_path / "clip")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def test_frames_that_are_missing_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("av")
    rng = np.random.default_rng(0)
    write_clip(tmp_path / "a.mkv", rng.integers(0, 256, (20, 48, 64), np.uint8), 25)
    whole = (tmp_path / "a.mkv").read_bytes()
    read_video(tmp_path / "a.mkv", 99)
    assert not capsys.readouterr().out
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    found = len(read_video(tmp_path / "a.mkv", 99)[0])
    assert 5 < found < 19
    assert f"a.mkv: {found} of 19 frames or more can be read" in capsys.readouterr().out


def test_a_clock_that_stands_still(tmp_path: Path):
    assert _microseconds([0.1, 0.1, 0.1], 25).tolist() == [0, 40_000, 80_000]
    assert _microseconds([0.1, None, 0.2], 25).tolist() == [0, 40_000, 80_000]
    assert _microseconds([0.1, 0.2, 0.4], 25).tolist() == [0, 100_000, 300_000]
