"""Lesson 11: binning and denoising against slow oracles, the statistics against SciPy, padding that changes nothing."""

from __future__ import annotations

import math
import os
from pathlib import Path

from common.lesson import begin
from common.spiking import reset_state
from eventcam.events import event_array
from eventcam.recordings import EventData, content_hash, make_frames, nmnist
from eventcam.scenes import uniform_noise

import numpy as np
import pytest
import torch
from helpers import load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Always

lesson = load_script("11_neuromorphic_data_tonic")


def recording(seed: int, n: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return event_array(
        rng.integers(34, size=n),
        rng.integers(34, size=n),
        np.sort(rng.integers(300_000, size=n)),
        rng.integers(2, size=n) > 0,
    )


def small(n: int = 6) -> EventData:
    recordings = [recording(i, 100 + 60 * i) for i in range(n)]
    return EventData(
        "small",
        False,
        tuple("0123456789"),
        (34, 34, 2),
        recordings,
        torch.arange(n) % 10,
        n,
        [content_hash(r) for r in recordings],
    )


# ---------------------------------------------------------------------------------------- binning


def counted(events: np.ndarray, bins: np.ndarray, T: int) -> np.ndarray:
    """Equation (1), event by event: ``bins`` holds the bin of each event, −1 for one that is lost."""
    out = np.zeros((T, 2, 34, 34), int)
    for e, k in zip(events, bins, strict=True):
        if 0 <= k < T:
            out[k, int(e["p"]), e["y"], e["x"]] += 1
    return out


def test_every_binning_is_equation_1() -> None:
    """Against a loop over the events, with the bins of (2a) to (2c) computed by hand."""
    data = small()
    made = {
        name: make_frames(data, transforms) for name, transforms in lesson.binnings(data, 5).items()
    }
    how = lesson.binnings(data, 5)
    for i, events in enumerate(data.recordings):
        t = events["t"] - events["t"][0]
        window, n = how["time window"][0].time_window, how["event count"][0].event_count
        span = int(t[-1] // 5)
        index = np.arange(len(events))
        for name, bins, T in (
            ("time window", t // window, int(t[-1] // window)),
            ("time bins", t // span, 5),
            ("event count", index // n, len(events) // n),
            ("1 frame", np.where(t < t[-1], 0, -1), 1),
        ):
            assert np.array_equal(made[name][i].numpy(), counted(events, bins.astype(int), T)), (
                name,
                i,
            )


def test_what_is_kept_is_counted_right() -> None:
    data = small()
    made = {
        name: make_frames(data, transforms) for name, transforms in lesson.binnings(data, 5).items()
    }
    rows = {r["binning"]: r for r in lesson.experiment_binning(data, made)}
    n = lesson.binnings(data, 5)["event count"][0].event_count
    lengths = [len(r) for r in data.recordings]
    assert rows["event count"]["kept"] == pytest.approx(
        sum(k // n * n for k in lengths) / sum(lengths)
    )
    assert rows["event count"]["max"] == max(k // n for k in lengths)
    cells = sum(
        len(
            {
                (k // n, *map(int, (e["p"], e["y"], e["x"])))
                for k, e in enumerate(r[: len(r) // n * n])
            }
        )
        for r in data.recordings
    )
    assert rows["event count"]["density"] == pytest.approx(
        cells / (sum(k // n for k in lengths) * 2 * 34 * 34)
    )
    assert rows["1 frame"]["density"] > 2 * rows["time bins"]["density"], (
        "a long exposure fills more cells"
    )


# ---------------------------------------------------------------------------------------- denoise


@given(seed=st.integers(0, 10**6), tau=st.sampled_from([500, 5_000, 40_000]))
@settings(max_examples=15, deadline=None)
def test_denoise_against_its_definition(seed: int, tau: int) -> None:
    """Kept is an event with an earlier event in one of four neighbour pixels less than τ_f ago; all before τ_f."""
    from tonic.transforms import Denoise

    events = recording(seed, 250)
    x, y, t = (events[k].astype(np.int64) for k in "xyt")
    near = (np.abs(x[:, None] - x) + np.abs(y[:, None] - y)) == 1
    before = np.tril(np.ones((250, 250), bool), -1)
    kept = (near & before & (t[:, None] - t < tau)).any(1) | (t < tau)
    assert np.array_equal(Denoise(tau)(events), events[kept])


def test_experiment_denoise_counts_shares(tmp_path: Path) -> None:
    cfg = lesson.Config(out_dir=tmp_path, smoke=True)
    out = lesson.experiment_denoise(cfg, small(), 2)
    for name in ("recordings + injected noise", "rendered, DVS noise"):
        shares = out[name]
        assert ((shares >= 0) & (shares <= 1)).all()
        assert (np.diff(shares, axis=1) <= 0).all(), "a longer filter time removes less"
        assert (shares[1] >= shares[0] - 0.2).all()
    assert out["early"][0] == 0 < out["early"][1] <= 1


def test_injected_noise_is_uniform_and_as_many_as_said() -> None:
    noise = uniform_noise(recording(0, 5000), 2.0, 34, np.random.default_rng(0))
    assert len(noise) == 10_000
    counts = np.bincount(noise["y"].astype(int) * 34 + noise["x"], minlength=34 * 34)
    assert 0.7 < counts.var() / counts.mean() < 1.3, "Poisson: variance equals mean"
    assert abs(noise["p"].mean() - 0.5) < 0.03


# ---------------------------------------------------------------------------------------- statistics


@given(n=st.integers(1, 2000), share=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_wilson_interval_solves_its_equation(n: int, share: float) -> None:
    """Both ends p of the interval satisfy (p̂ − p)² = z²·p·(1 − p)/n: Wilson's definition."""
    right = np.arange(n) < round(share * n)
    for p in lesson.wilson_interval(right):
        assert 0 <= p <= 1
        assert (right.mean() - p) ** 2 == pytest.approx(1.959964**2 * p * (1 - p) / n, abs=1e-7)


@given(a=st.lists(st.booleans(), min_size=1, max_size=300), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_mcnemar_counts_coin_tosses(a: list[bool], seed: int) -> None:
    """p = min(1, 2·Σ_{k ≤ few} (n over k) / 2ⁿ), in whole numbers."""
    first = np.array(a)
    second = first ^ (np.random.default_rng(seed).random(len(a)) < 0.3)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n, few = only_first + only_second, min(only_first, only_second)
    expected = min(1.0, 2 * sum(math.comb(n, k) for k in range(few + 1)) / 2**n)
    assert lesson.mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_paired_interval_is_wider_than_the_plain_one_by_three_halves() -> None:
    """k = 5: √(1/5 + 1/4) against √(1/5) is a factor of 1.5."""
    from scipy.stats import t

    d = np.array([0.01, 0.02, -0.005, 0.0, 0.03])
    mean, low, high = lesson.paired_interval(d)
    plain = t.interval(0.95, 4, loc=d.mean(), scale=d.std(ddof=1) / np.sqrt(5))
    assert mean == pytest.approx(d.mean()) and high - mean == pytest.approx(
        1.5 * (plain[1] - d.mean())
    )
    assert mean - low == pytest.approx(high - mean)
    assert lesson.paired_interval(np.full(5, 0.01)) == pytest.approx((0.01, 0.01, 0.01))


# ---------------------------------------------------------------------------------------- network


def net() -> lesson.Net:
    torch.manual_seed(0)
    n = lesson.Net((4, 8), 17, 10, 0.9)
    with torch.no_grad():
        for conv in (
            n.conv
        ):  # as after some training: a batch norm that shifts, so that padding could do harm
            conv[1].running_mean.uniform_(-0.3, 0.3)
            conv[1].bias.uniform_(0.0, 0.5)
    return n.eval()


def test_run_is_forward_step_by_step() -> None:
    n, x = net(), torch.randint(1, 3, (5, 3, 2, 17, 17)).float()
    spk_rec, mem_rec = n.run(x)
    reset_state(n)
    for t in range(5):
        spk, mem = n(x[t])
        assert torch.equal(spk, spk_rec[t]) and torch.allclose(mem, mem_rec[t], atol=1e-5)


@given(extra=st.integers(1, 9), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_padding_changes_no_answer(extra: int, seed: int) -> None:
    n, g = net(), torch.Generator().manual_seed(seed)
    x = (torch.rand(4, 3, 2, 17, 17, generator=g) < 0.1).float()
    x[:, :, 0, 0, 0] = 1  # no frame is empty
    padded = torch.cat([x, torch.zeros(extra, 3, 2, 17, 17)])
    a, b = n.run(x)[1].mean(0), n.run(padded)[1].mean(0)
    assert torch.allclose(a, b, atol=1e-5)
    assert n.run(padded)[0][4:].sum() == 0


def test_weights_of_an_empty_frame_inside_and_behind() -> None:
    x = torch.zeros(4, 2, 2, 3, 3)
    x[0, 0], x[2, 0], x[3, 1] = 1, 1, 1  # recording 0 pauses at step 1 and ends after step 2
    expected = torch.tensor([[4 / 3, 4 / 3, 4 / 3, 0], [1, 1, 1, 1]])
    assert torch.allclose(lesson.seen(x)[..., 0].T, expected)


def test_encode_sums_pixels_and_takes_the_logarithm() -> None:
    counts = torch.randint(0, 9, (3, 5, 2, 34, 34), dtype=torch.uint8)
    got = lesson.encode(counts.float() / 255, 2)
    sums = counts.numpy().astype(int).reshape(3, 5, 2, 17, 2, 17, 2).sum((4, 6))
    assert np.allclose(got.numpy(), np.log(1 + sums).transpose(1, 0, 2, 3, 4), atol=1e-4)


def test_move_shifts_a_recording_as_a_whole() -> None:
    x = torch.zeros(20, 3, 2, 9, 9)
    x[:, :, :, 4, 4] = 1
    moved = lesson.move(x, 2)
    at = moved.flatten(3).argmax(3)
    assert (at == at[:, :1, :1]).all() and moved.sum() == x.sum() and len(at[:, 0, 0].unique()) > 3
    assert torch.equal(lesson.move(x, 0), x)


def test_training_refuses_a_recording_that_is_on_both_sides(tmp_path: Path) -> None:
    cfg = lesson.Config(out_dir=tmp_path, epochs=1, channels=(2, 2))
    run, data = begin(cfg, "test_11"), small()
    x = make_frames(data, lesson.binnings(data, 2)["time bins"]).padded()
    index = torch.arange(6)
    lesson.train_one(
        cfg, run, data, x, (index[:3], index[3:4], index[4:]), pool=2, name="a", epochs=1, seed=0
    )
    data.hashes[5] = data.hashes[0]  # the same content under another number
    with pytest.raises(AssertionError, match="recording 5 of the test part is recording 0"):
        lesson.train_one(
            cfg,
            run,
            data,
            x,
            (index[:3], index[3:4], index[4:]),
            pool=2,
            name="a",
            epochs=1,
            seed=0,
        )


@given(n=st.integers(1, 400), size=st.integers(1, 40), pool=st.sampled_from([1, 8]))
@settings(max_examples=30, deadline=None)
def test_batches_hold_each_recording_once(n: int, size: int, pool: int) -> None:
    lengths = torch.randint(1, 30, (n,), generator=torch.Generator().manual_seed(n))
    several = lesson.batches_by_length(lengths, size, torch.Generator().manual_seed(1), pool)
    assert sorted(torch.cat(several).tolist()) == list(range(n)) and max(map(len, several)) <= size


def test_batches_of_like_length_pad_less() -> None:
    lengths = torch.randint(2, 30, (800,), generator=torch.Generator().manual_seed(0))
    share = {
        pool: 1
        - lengths.sum().item()
        / sum(
            int(lengths[b].max()) * len(b)
            for b in lesson.batches_by_length(lengths, 32, torch.Generator().manual_seed(1), pool)
        )
        for pool in (1, 8)
    }
    assert share[8] < 0.3 * share[1]


# ---------------------------------------------------------------------------------------- real data


@pytest.mark.skipif(not os.environ.get("SNN_DATA"), reason="no real data here")
def test_the_real_subset_if_it_is_here() -> None:
    data = nmnist()
    if data.stand_in:
        pytest.skip("N-MNIST is not here")
    assert len(set(data.hashes)) == len(data.y) == 1100 and data.n_train == 1000
    assert data.y[:1000].bincount().tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert data.y[1000:].bincount().tolist() == [8, 14, 8, 11, 14, 7, 10, 15, 2, 11]
    assert all((np.diff(r["t"]) >= 0).all() for r in data.recordings)


# ---------------------------------------------------------------------------------------- what is published


def recordings_with_known_labels(n: int = 12) -> EventData:
    """Nine to train (labels 0) and three to test (labels 2, 2, 3)."""
    data = small(n)
    data.y = torch.tensor([0] * 9 + [2, 2, 3])
    data.n_train = 9
    return data


def test_train_one_answers_the_test_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, x = recordings_with_known_labels(), torch.zeros(12, 2, 2, 8, 8, dtype=torch.uint8)
    monkeypatch.setattr(lesson, "fit", lambda *_, **__: [{"val": 0.3}, {"val": 0.6}, {"val": 0.5}])

    def always(*_) -> Always:
        made = Always(2)
        made.fc = torch.nn.Linear(1, 1)
        return made

    monkeypatch.setattr(lesson, "Net", always)
    cfg = lesson.Config(out_dir=tmp_path)
    parts = (torch.arange(6), torch.arange(6, 9), torch.arange(9, 12))
    _, val, right = lesson.train_one(
        cfg, begin(cfg, "test"), data, x, parts, pool=2, name="a", epochs=1, seed=0
    )
    assert val == 0.6 and right.tolist() == [True, True, False]


def test_cross_validation_puts_answers_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Binning "a" is right on even recordings, "b" on the first half; "a" is chosen in fold 0 only."""
    n = 20
    data = small(n)
    data.y = torch.arange(n) % 2
    on = {"a": np.arange(n) % 2 == 0, "b": np.arange(n) < 10}

    def train_one(cfg, run, data, x, parts, *, name, **_):
        train, val, test = (set(p.tolist()) for p in parts)
        assert len(train | val | test) == n == len(train) + len(val) + len(test)
        binning, fold = name.split("_")
        score = 0.9 if (binning == "a") == (fold == "0") else 0.2
        return None, score, on[binning][parts[2].numpy()]

    class Padded:
        def padded(self) -> None: ...

    monkeypatch.setattr(lesson, "train_one", train_one)
    cfg = lesson.Config(out_dir=tmp_path, folds=2)
    r = lesson.experiment_cross_validation(
        cfg, begin(cfg, "test"), data, {"a": Padded(), "b": Padded()}
    )
    assert (
        r["right"]["a"].tolist() == on["a"].tolist()
        and r["right"]["b"].tolist() == on["b"].tolist()
    )
    fold = lesson.five_folds(data.y, 2, cfg.seed).numpy()
    assert r["by_fold"]["b"] == pytest.approx([on["b"][fold == k].mean() for k in (0, 1)])
    assert r["chosen"] == ["a", "b"]
    assert r["nested"].tolist() == np.where(fold == 0, on["a"], on["b"]).tolist()


def test_padding_by_hand(tmp_path: Path) -> None:
    """Lengths 1 to 4, two a batch: what is added to the longest of all, and to the longest of each batch."""

    class Short:
        lengths = torch.tensor([1, 2, 3, 4])

        def __len__(self) -> int:
            return 4

        def __getitem__(self, i: int) -> torch.Tensor:
            return torch.ones(int(self.lengths[i]), 2, 34, 34)

    cfg = lesson.Config(out_dir=tmp_path, batch_size=2, channels=(2, 2))
    r = lesson.experiment_padding(cfg, small(4), Short(), torch.device("cpu"))
    assert r["share"]["to the longest of all"] == pytest.approx(1 - 10 / 16)
    assert r["share"]["batches of like length"] == pytest.approx(1 - 10 / 12)
    pairs = lesson.batches_by_length(Short.lengths, 2, torch.Generator().manual_seed(cfg.seed), 1)
    longest = [int(Short.lengths[pair].max()) for pair in pairs]
    assert r["share"]["random batches"] == pytest.approx(1 - 10 / (2 * sum(longest)))


def test_claims_are_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731

    class Padded:
        def padded(self) -> torch.Tensor:
            return torch.zeros(12, 2, 2, 8, 8)

    names = ("1 frame", "time window", "time bins", "event count", "time bins, denoised")
    frames = dict.fromkeys(names, ())
    set_("binnings", frames)
    set_("make_frames", Padded())
    rows = [
        {"binning": b, "mean": 1, "min": 1, "max": 1, "density": 0.01 * i, "kept": 0.1 * i}
        for i, b in enumerate(names, 1)
    ]
    set_("experiment_binning", rows)
    right = {b: np.arange(12) < 6 + i for i, b in enumerate(names)}
    by_fold = {b: np.array([0.5, 0.5 + 0.1 * i]) for i, b in enumerate(names)}
    cv = {"right": right, "by_fold": by_fold, "nested": np.arange(12) < 9}
    set_(
        "experiment_cross_validation", cv | {"chosen": ["event count", "time bins", "event count"]}
    )
    set_("train_one", (Always(2), 0.5, np.array([True, True, False])))
    monkeypatch.setattr(lesson, "ledger_row", lambda net, x, **row: row)
    filters = len(lesson.FILTERS_US)
    at = lesson.FILTERS_US.index(10_000)
    shares = lambda a, b: np.array([[a + 0.01 * (j - at) for j in range(filters)], [b] * filters])  # noqa: E731
    denoise = {
        "recordings + injected noise": shares(0.2, 0.7),
        "rendered, DVS noise": shares(0.1, 0.9),
        "plain": np.zeros(filters),
        "early": np.array([0.0, 0.6]),
        "early_n": np.array(50),
    }
    set_("experiment_denoise", denoise)
    cache = dict(zip(lesson.READS, (9.0, 4.0, 1.0, 0.5), strict=True))
    set_("experiment_cache", cache | {"stale": 1.0, "stale_ours": 0.0, "wrong": 2.0})
    padding = {
        "share": {
            "to the longest of all": 0.6,
            "random batches": 0.4,
            "batches of like length": 0.1,
        },
        "seconds": {"random batches": 3.0, "batches of like length": 2.0},
    }
    set_("experiment_padding", padding)
    matrix = np.full((11, 11), 9)
    matrix[3:7, 3:7] = 1
    matrix[range(3, 7), range(3, 7)] = 2
    gestures = {
        "accuracy": {1: [0.5, 0.7], 16: [0.8, 0.9]},
        "confusion": {1: matrix, 16: matrix.T},
        "n": 3,
    }
    set_("experiment_gestures", gestures)
    data = recordings_with_known_labels()
    value = run_main(lesson, tmp_path, monkeypatch, data, seeds=2).value
    assert value("kept_frame") == 0.1 and value("density_denoised") == 0.05
    assert value("accuracy_frame") == 0.5 and value("accuracy_count") == 9 / 12
    assert value("accuracy") == 0.75
    for side in ("low", "high"):
        p = value(f"accuracy_{side}")  # Wilson's definition
        assert (0.75 - p) ** 2 == pytest.approx(1.959964**2 * p * (1 - p) / 12, abs=1e-7)
    assert value("accuracy_low") < 0.75 < value("accuracy_high")
    assert value("accuracy_official") == pytest.approx(2 / 3)
    assert value("denoise_noise") == 0.7 and value("denoise_signal") == pytest.approx(0.2)
    assert value("denoise_rendered_noise") == 0.9
    assert value("denoise_rendered_signal") == pytest.approx(0.1)
    assert value("denoise_early") == 0 and value("denoise_early_shifted") == 0.6
    assert [value(f"read_{k}") for k in ("raw", "tonic", "file")] == [9, 4, 1]
    assert value("stale_tonic") == 1 and value("stale_ours") == 0 and value("cache_wrong") == 2
    assert [value(f"padding_{k}") for k in ("longest", "random", "length")] == [0.6, 0.4, 0.1]
    assert value("padding_speed") == 1.5
    assert value("rendered_frame") == pytest.approx(0.6) and value(
        "rendered_time"
    ) == pytest.approx(0.85)
    assert value("rendered_time_turn") == pytest.approx(8 / 20)


def test_denoise_by_a_filter_that_keeps_every_other_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter that lets signal pass and drops three quarters of the noise."""
    import tonic.transforms

    class Filter:
        def __init__(self, tau: int) -> None: ...

        def __call__(self, events: np.ndarray) -> np.ndarray:
            if "noise" not in events.dtype.names:
                return events[::2]
            noise = np.flatnonzero(events["noise"])
            return np.delete(events, noise[np.arange(len(noise)) % 4 > 0])

    monkeypatch.setattr(tonic.transforms, "Denoise", Filter)
    cfg = lesson.Config(out_dir=tmp_path, smoke=True)
    out = lesson.experiment_denoise(cfg, small(2), 2)
    for name in ("recordings + injected noise", "rendered, DVS noise"):
        assert out[name][0] == pytest.approx(np.zeros(len(lesson.FILTERS_US)))
        assert out[name][1] == pytest.approx(np.full(len(lesson.FILTERS_US), 0.75), abs=0.03)
    assert out["plain"] == pytest.approx(np.full(len(lesson.FILTERS_US), 0.5), abs=0.01)
