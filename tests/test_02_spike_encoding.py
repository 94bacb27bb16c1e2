"""Lesson 02: the encoders against their equations, information against sampling, traces against snn.Leaky."""

from __future__ import annotations

import math
from types import SimpleNamespace

from common.data import mnist

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script, run_main
from nets import marked_splits

L = load_script("02_spike_encoding")
CFG = L.Config(num_steps=12, n_train=100, epochs=1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    return mnist(source="stand-in", n_train=100, n_test=60)


@pytest.fixture(scope="module")
def x(data):
    return data.x_test[:40].float() / 255


def test_latency_is_equation_2(x):
    spk = L.encode("latency", x, CFG)
    pixels = x.flatten(1)
    fires = pixels >= CFG.pixel_threshold
    assert torch.equal(spk.sum(0), fires.float()), (
        "one spike for each pixel of ink, none for the others"
    )
    exact = (CFG.num_steps - 1) * (1 - pixels)
    off = (spk.argmax(0) - exact).abs()[fires]
    # below the threshold's own time the ramp is cut off, hence the small extra
    assert off.max() <= 0.5 + CFG.pixel_threshold * CFG.num_steps


def test_rate_has_the_mean_and_variance_of_equation_1():
    torch.manual_seed(0)
    x = torch.full((4000, 1, 1, 1), 0.6)
    for code, gain in (("rate", 1.0), ("sparse rate", CFG.gain)):
        count = L.encode(code, x, CFG).sum(0)
        p, T = gain * 0.6, CFG.num_steps
        assert count.mean().item() == pytest.approx(
            T * p, abs=5 * math.sqrt(T * p * (1 - p) / 4000)
        )
        assert count.var().item() == pytest.approx(T * p * (1 - p), rel=0.15)


def test_delta_is_equation_3_by_a_loop(x):
    spk = L.encode("delta", x[:3], CFG)
    frames = L.moving(x[:3], CFG.num_steps).numpy()
    n = frames.shape[2]
    for t in range(CFG.num_steps):
        change = frames[t] - frames[t - 1] if t else np.zeros_like(frames[0])
        np.testing.assert_array_equal(
            spk[t, :, :n].numpy(), change >= np.float32(CFG.delta_threshold)
        )
        np.testing.assert_array_equal(
            spk[t, :, n:].numpy(), change <= -np.float32(CFG.delta_threshold)
        )


@pytest.mark.parametrize("T", [1, 2, 12, 13, 14, 40])
def test_laps_of_delta_equal_spikegen_on_all_frames(x, T):
    cfg = L.Config(num_steps=T)
    whole = L.spikegen.delta(
        L.moving(x[:2], T), threshold=cfg.delta_threshold, padding=True, off_spike=True
    )
    spk = L.encode("delta", x[:2], cfg)
    assert torch.equal(spk[..., :784] - spk[..., 784:], whole)


def test_shift_moves_and_fills_with_black():
    x = torch.zeros(1, 1, 28, 28)
    x[0, 0, 10, 12] = 1
    assert L.shift(x, 2, -3)[0, 0, 12, 9] == 1 and L.shift(x, 2, -3).sum() == 1
    edge = torch.ones(1, 1, 28, 28)
    assert L.shift(edge, 3, 0)[0, 0, :3].sum() == 0
    steps = np.abs(np.diff(np.array([*L.SQUARE, L.SQUARE[0]]), axis=0)).sum(1)
    assert (steps == 1).all(), "one pixel a step, and the way is closed"


def test_traces_equal_a_leaky_neuron_that_never_fires(x):
    torch.manual_seed(0)
    spk = (torch.rand(12, 3, 5) < 0.4).float()
    neuron, mem, mem_rec = (
        snn.Leaky(beta=0.8, threshold=1e9, reset_mechanism="none"),
        torch.zeros(3, 5),
        [],
    )
    for spk_t in spk:
        _, mem = neuron(spk_t, mem)
        mem_rec.append(mem)
    steps = [0, 3, 11]
    weights = L.trace_weights(steps, 12, 0.8)
    torch.testing.assert_close(
        (weights @ spk.flatten(1)).view(3, 3, 5), torch.stack(mem_rec)[steps]
    )
    assert torch.equal(L.trace_weights([11], 12, 1.0), torch.ones(1, 12)), "β = 1 counts"


def test_retina_tells_every_change_sooner_or_later():
    theta = 0.1
    for steps in (10, 100, 1000):
        ramp = torch.linspace(0, 1, steps + 1)[:, None]
        assert L.retina(ramp, theta).sum() == 10
        down = L.retina(ramp.flip(0), theta)
        assert down.sum() == -10 and (down <= 0).all()
    slow = torch.linspace(0, 1, 1001)[:, None]
    assert L.spikegen.delta(slow, threshold=theta, padding=True).sum() == 0


def test_binomial_and_information_in_closed_form():
    p = L.counts_given(torch.tensor([0.0, 0.3, 1.0]), 7)
    torch.testing.assert_close(p.sum(1), torch.ones(3, dtype=torch.float64))
    expected = [math.comb(7, k) * 0.3**k * 0.7 ** (7 - k) for k in range(8)]
    torch.testing.assert_close(
        p[1], torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-9
    )
    assert p[0, 0] == 1 and p[2, 7] == 1
    # a binary symmetric channel with error e and even inputs has 1 − H(e) bits
    e = 0.11
    h = -(e * math.log2(e) + (1 - e) * math.log2(1 - e))
    assert L.mutual_information(torch.tensor([[1 - e, e], [e, 1 - e]])) == pytest.approx(
        1 - h, abs=1e-6
    )
    assert L.mutual_information(torch.ones(5, 4)) == pytest.approx(0, abs=1e-12)
    assert L.mutual_information(torch.eye(8)) == pytest.approx(3)


def test_information_never_exceeds_the_entropy_of_the_pixels(x):
    torch.manual_seed(0)
    r = L.experiment_density(x, CFG)
    for code in ("rate", "sparse rate", "latency"):
        assert 0 < r[code]["bits"] <= r["H(X)"]["bits"] + 1e-9
    assert r["sparse rate"]["bits"] < r["rate"]["bits"] < r["latency"]["bits"]
    # second way: tables of what was drawn, which the closed forms replace; few images, so some bias is left
    level = (x * 255).round().long().flatten(1)
    for code in ("rate", "latency"):
        spk = L.encode(code, x, CFG)
        y = (
            spk.sum(0).long()
            if code == "rate"
            else torch.where(spk.any(0), spk.argmax(0), CFG.num_steps)
        )
        joint = torch.bincount((level * 13 + y).flatten(), minlength=256 * 13).view(256, 13)
        assert L.mutual_information(joint) == pytest.approx(
            r[code]["bits"], rel=0.06 if code == "rate" else 1e-5
        )
    pixels = x.flatten()
    assert r["latency"]["spikes"] * len(x) == pytest.approx(
        float((pixels >= CFG.pixel_threshold).sum())
    )
    assert r["latency"]["silent"] == pytest.approx(
        (pixels < CFG.pixel_threshold).float().mean().item()
    )


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ([3, 2, 1], [2, 2, 2], 1.0),
        ([3, 1], [2, 2], 0.5),
        ([1, 1], [2, 0], 0.0),
        ([3, 3, 3], [1, 1, 1], 2.0),
    ],
)
def test_crossing(a, b, expected):
    assert L.crossing(range(len(a)), a, b) == pytest.approx(expected)


def test_rebuild_slopes(x):
    torch.manual_seed(0)
    r = L.experiment_rebuild(x, [2**k for k in range(8)])
    assert r["slope"]["rate"] == pytest.approx(-1, abs=0.1)
    assert r["slope"]["latency"] < -1.6
    np.testing.assert_allclose(r["error"]["rate"], r["theory"], rtol=0.15)


def test_moving_digit_fires_where_pixels_change(x):
    r = L.experiment_moving(x, CFG)
    assert r["n"] > 0 and r[True] == 1 and r[False] < 1
    by_speed = dict(zip(r["speeds"], r["spikes"]["spikegen.delta"], strict=True))
    assert by_speed[1 / 16] == by_speed[1 / 32] == 0 < by_speed[1]
    kept = r["spikes"]["level kept (DVS)"]
    assert max(kept) / min(kept) < 1.05


@pytest.mark.parametrize("code", L.CODES)
def test_nothing_lost_and_nothing_shifted_is_the_plain_accuracy(data, code):
    torch.manual_seed(0)
    cfg = L.Config(num_steps=6, n_train=100, epochs=1, gain=1.0)
    x = data.x_test.clone()
    x[x > 100], x[x <= 100] = 255, 0  # black and white: at gain 1 the rate code then draws nothing
    bw = SimpleNamespace(x_test=x, y_test=data.y_test)
    net = L.ReadOut(2, 1568 if code == "delta" else 784)
    torch.nn.init.normal_(net.weight)
    with torch.no_grad():
        out = net.run(L.traces(code, x, [2, 5], cfg, CPU)).argmax(2)
    for k, step in enumerate((2, 5)):
        r = L.experiment_noise(code, net, k, step, bw, cfg, CPU)
        plain = (out[k] == data.y_test).float().mean().item()
        assert r["deleted"][0] == pytest.approx(plain) == pytest.approx(r["jittered"][0])
        assert len(r["deleted"]) == len(L.DELETED) and len(r["jittered"]) == len(L.SIGMAS)


def test_read_out_learns_and_equals_its_formula(data, tmp_path):
    run = SimpleNamespace(device=CPU, dir=tmp_path, cfg=CFG, print=lambda *_: None)
    torch.manual_seed(0)
    cfg = L.Config(num_steps=4, n_train=100, epochs=10)
    net = L.train("latency", data, [0, 3], cfg, run)
    tr = L.traces("latency", data.x_test, [0, 3], cfg, CPU)
    with torch.no_grad():
        out = net.run(tr)
        torch.testing.assert_close(
            out[1], tr[:, 1] @ net.weight[1] + net.bias[1], rtol=1e-4, atol=1e-5
        )
    assert (out[1].argmax(1) == data.y_test).float().mean() > 0.5


def test_gif_has_a_frame_a_step(x):
    r = L.experiment_pictures(x[:1], CFG)
    for code in L.CODES:
        frames = L.plot_gif(code, r, 0.9, "note")
        assert len(frames) == CFG.num_steps and frames[0].size == (712, 286)
    assert r["spk"]["delta"].min() == -1 and r["spk"]["delta"].max() == 1


def test_quiz_numbers():
    from tutor.questions import load

    questions = {q.question[:20]: q for q in load("02_spike_encoding")}
    assert questions["How many steps does "].answer == 20 * 9
    assert questions["A train carries 1.2 "].answer == pytest.approx(1.2 / 0.15)


# ------------------------------------------------------------------ what is published


def test_density_by_hand(monkeypatch):
    """Two spikes in each of 3 pixels of 4, none in the last: counts, silence and bits a spike."""
    spk = torch.zeros(12, 5, 4)
    spk[:2, :, :3] = 1
    monkeypatch.setattr(L, "encode", lambda code, x, cfg: spk[:, : len(x)])
    x = torch.tensor([0.0, 0.2, 0.4, 0.8]).repeat(5, 1).view(5, 1, 2, 2)
    r = L.experiment_density(x, CFG)
    assert r["H(X)"]["bits"] == pytest.approx(2)
    for code in ("rate", "sparse rate", "latency"):
        assert (r[code]["spikes"], r[code]["silent"], r[code]["most"]) == (6, 0.25, 2)
        assert r[code]["per_spike"] == pytest.approx(r[code]["bits"] / (6 / 4))


def test_decide_scores_the_test_images(monkeypatch, tmp_path):
    """Read-outs that always answer 2, then 3: three quarters, then one quarter of the test labels."""
    data, run = marked_splits(), SimpleNamespace(device=CPU, print=lambda *_: None)

    def constant(code, data, steps, cfg, run):
        net = L.ReadOut(len(steps), 1568 if code == L.DELTA else 784)
        for k in range(len(steps)):
            net.bias.data[k, 0, 2 + k % 2] = 1
        return net

    monkeypatch.setattr(L, "train", constant)
    r = L.experiment_decide(data, L.Config(num_steps=3), run)
    assert r["steps"] == [1, 2, 3] and r["half"] == 1 and r["timeless"] == 0.75
    for code in L.CODES:
        assert r["accuracy"][code] == [0.75, 0.25, 0.75]
        noise = L.experiment_noise(code, r["net"][code], 1, 1, data, L.Config(num_steps=3), CPU)
        assert noise["deleted"] == [0.25] * 10 and noise["jittered"] == [0.25] * len(L.SIGMAS)


def test_claims_are_what_was_measured(monkeypatch, tmp_path):
    accuracy = {
        L.RATE: [0.5, 0.7, 0.9],
        L.SPARSE: [0.1, 0.3, 0.8],
        L.LATENCY: [0.2, 0.4, 0.6],
        L.DELTA: [0.11, 0.12, 0.13],
    }
    decide = {"steps": [1, 3, 5], "half": 1, "accuracy": accuracy, "timeless": 0.77}
    monkeypatch.setattr(
        L, "experiment_decide", lambda *_: decide | {"net": {c: c for c in L.CODES}}
    )

    def noise(code, net, k, step, data, cfg, device):
        """Latency falls by 0.08 with every tenth of the spikes and 0.1 with every jitter; others less."""
        slope, jump = (0.08, 0.1) if code == L.LATENCY else (0.02, 0.01)
        start = 0.9 if code == L.LATENCY else 0.6
        return {
            "deleted": [start - slope * i for i in range(10)],
            "jittered": [start - jump * i for i in range(len(L.SIGMAS))],
        }

    monkeypatch.setattr(L, "experiment_noise", noise)
    monkeypatch.setattr(L, "train", lambda *_: None)
    density = {
        code: {"spikes": 100.0 + i, "silent": 0.1 * i, "per_spike": 0.5 * (i + 1), "most": 1.0}
        for i, code in enumerate(L.CODES)
    }
    monkeypatch.setattr(L, "experiment_density", lambda *_: density)
    rebuild = {"slope": {L.RATE: -0.9, L.LATENCY: -1.8}}
    monkeypatch.setattr(L, "experiment_rebuild", lambda *_: rebuild)
    moving = {
        True: 0.99,
        False: 0.8,
        "n": 9,
        "spikes": {"delta": [50.0, 1.0], "kept": [40.0, 44.0]},
    }
    monkeypatch.setattr(L, "experiment_moving", lambda *_: moving)
    run = run_main(L, tmp_path, monkeypatch, num_steps=5)
    value = run.value
    assert value("spikes_latency") == 102 and value("bits_delta") == 2.0
    assert value("bits_ratio") == pytest.approx(1.5 / 0.5)  # latency over rate
    sample = run.data(mnist, n_train=256, n_val=1000).x_test[:1000].double() / 255
    assert value("rate_count") == pytest.approx(100 / (float(sample.sum()) / len(sample) * 5))
    assert (value("slope_rate"), value("slope_latency")) == (-0.9, -1.8)
    assert (value("changed"), value("changed_default"), value("slow_lost")) == (0.99, 0.8, 1)
    assert value("slow_kept") == pytest.approx(1.1)
    assert value("half_latency") == 0.4 and value("last_rate") == 0.9
    # latency leads by 0.1 at step 3 and trails by 0.2 at step 5
    assert value("cross_time") == pytest.approx(3 + 2 / 3)
    assert value("lost_latency") == pytest.approx(5 * 0.08)
    assert value("lost_rate") == pytest.approx(5 * 0.02)
    assert value("jitter_grey_latency") == pytest.approx(0.4)
    assert value("jitter_grey_sparse") == pytest.approx(0.04)
    assert value("cross_deletion") == pytest.approx(0.5)  # 0.9 − 0.8p = 0.6 − 0.2p
    assert value("cross_jitter") == pytest.approx(8 + 8 / 3)  # 0.9 − 0.1i = 0.6 − 0.01i at i = 3⅓
