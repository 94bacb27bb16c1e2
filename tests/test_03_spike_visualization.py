"""Lesson 03: the indices against second implementations, the raster diagnosis, and the network check."""

from __future__ import annotations

import itertools
import sys
import types
from pathlib import Path

from common.lesson import LessonConfig, begin
from common.spiking import constant_current, reset_state, spiking_layers
from training import fit, membrane_loss
from tutor.network_check import complaints, diagnose

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import TinyNet, marked_splits, three_classes
from snntorch import surrogate

lesson = load_script("03_spike_visualization")


def raster(seed: int, T: int, N: int, p: float) -> np.ndarray:
    return (np.random.default_rng(seed).random((T, N)) < p).astype(np.float32)


# -------------------------------------------------------------------- the indices


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), T=st.integers(10, 80), N=st.integers(2, 8), p=st.floats(0.05, 0.95)
)
def test_rho_is_mean_covariance_over_mean_variance(seed: int, T: int, N: int, p: float) -> None:
    spk = raster(seed, T, N, p)
    if spk.var(0).mean() == 0:
        return
    cov = np.cov(spk.T, bias=True)
    pairs = [cov[i, j] for i, j in itertools.permutations(range(N), 2)]
    chi, rho = lesson.synchrony(spk, 1)
    assert rho == pytest.approx(np.mean(pairs) / np.diag(cov).mean(), abs=1e-5)
    assert chi**2 == pytest.approx(rho * (1 - 1 / N) + 1 / N, abs=1e-5)


def test_copies_are_synchronous_and_order_of_neurons_does_not_matter() -> None:
    one = raster(0, 300, 1, 0.2)
    assert lesson.synchrony(np.repeat(one, 7, 1)) == pytest.approx((1, 1))
    spk = raster(1, 300, 9, 0.2)
    assert lesson.synchrony(spk[:, ::-1]) == pytest.approx(
        lesson.synchrony(spk), abs=1e-6
    )  # float32 sums


def test_intervals_cv_and_fano_by_hand() -> None:
    spk = np.zeros((12, 2), np.float32)
    spk[[0, 2, 6, 11], 0] = 1  # intervals 2, 4, 5
    spk[5, 1] = 1  # no interval: does not count
    assert [i.tolist() for i in lesson.intervals(spk)] == [[2, 4, 5], []]
    assert lesson.cv_isi(spk) == pytest.approx(np.std([2, 4, 5]) / np.mean([2, 4, 5]))
    # windows of 4: neuron 0 has counts 2, 1, 1; neuron 1 has 0, 1, 0
    assert lesson.fano(spk, 4) == pytest.approx(
        np.mean([(2 / 9) / (4 / 3), (2 / 9) / (1 / 3)]), rel=1e-5
    )


@pytest.mark.parametrize(
    "spk", [np.zeros((20, 5)), np.ones((20, 5)), np.ones((1, 1)), np.zeros((2, 3))]
)
def test_indices_of_degenerate_rasters(spk: np.ndarray) -> None:
    assert lesson.synchrony(spk) == (0.0, 0.0)
    assert lesson.cv_isi(spk) in (0.0,) or np.isnan(lesson.cv_isi(spk))
    assert lesson.fano(spk, 4) == 0 or np.isnan(lesson.fano(spk, 4))
    assert lesson.diagnose_raster(spk) in ("silence", "saturation")


@pytest.mark.parametrize(("T", "width", "bins"), [(10, 3, 3), (10, 5, 2), (4, 9, 1)])
def test_bins(T: int, width: int, bins: int) -> None:
    spk = raster(0, T, 3, 0.5)
    n = lesson.binned(spk, width)
    assert n.shape == (bins, 3)
    assert n.sum() == spk[: bins * min(width, T)].sum()


# -------------------------------------------------------------------- the populations and their names


def test_lif_is_the_hand_recurrence_with_reset_to_zero() -> None:
    rng = np.random.default_rng(0)
    cur, mem, spk = rng.uniform(0, 0.5, (60, 4)), np.full(4, 0.3), np.zeros(4)
    ours, _ = lesson.lif(cur, 0.9, mem)
    for t in range(60):
        mem = 0.9 * mem * (1 - spk) + cur[t]
        spk = (mem > 1).astype(float)
        assert np.array_equal(ours[t], spk), t


def test_ranges_of_the_test_lie_outside_those_that_set_the_limits() -> None:
    for name, (seen, *unseen) in lesson.RANGES.items():
        for low, high in [seen, *unseen]:
            assert low <= high, name
        for low, high in unseen:
            assert high < seen[0] or low > seen[1], f"{name}: {low}–{high} overlaps {seen}"


def test_white_noise_has_the_spread_it_says() -> None:
    cur = lesson.noisy_current(np.random.default_rng(0), np.zeros(200), 2000, 0.9, 0.2)
    mem, u = [], np.zeros(200)
    for c in cur:
        u = 0.9 * u + c
        mem.append(u)
    assert np.std(mem[100:]) == pytest.approx(0.2, rel=0.03)


def test_names_unseen_populations_of_another_seed() -> None:
    cfg = lesson.Config(seed=77, populations=40)
    limits = lesson.set_limits(cfg)
    assert np.allclose(limits, lesson.Limits(), rtol=0.8), (
        "the defaults are far from what the ranges give"
    )
    diagnosis = lesson.experiment_diagnosis(cfg, limits)
    for name in ("unseen ranges", "other mechanism"):
        assert (np.diag(diagnosis[name]["matrix"]) >= 36).all(), diagnosis[name]["matrix"]
        assert diagnosis[name]["matrix"].sum() == 160


def test_indices_meet_their_closed_forms() -> None:
    for row in lesson.experiment_indices(lesson.Config(num_steps=100)):
        for key, tolerance in (("cv", 0.03), ("fano", 0.15), ("rho", 0.02)):
            got, theory = row[key]
            assert theory is None or got == pytest.approx(theory, abs=tolerance), (row["name"], key)


def test_closed_form_of_the_rate() -> None:
    assert lesson.experiment_input_strength(lesson.Config(num_steps=400))["spikes_off"] <= 1


def test_codes_have_their_signature() -> None:
    torch.manual_seed(0)
    image = torch.rand(28, 28)
    codes = lesson.encode_three_ways(image, 20)
    assert set(codes) == {"rate", "latency", "delta"} and all(
        c.shape == (20, 784) for c in codes.values()
    )
    assert codes["latency"].sum(0).max() == 1
    moves = np.arange(20) % 4 == 0
    assert (codes["delta"][~moves] == 0).all() and (codes["delta"][moves][1:] != 0).any()


def test_dots_agree_with_spikeplot(monkeypatch: pytest.MonkeyPatch) -> None:
    """spikeplot imports pandas, which may be absent: an empty stand-in is enough for its raster."""
    import matplotlib.pyplot as plt

    spk = raster(3, 30, 5, 0.2)
    points = []
    for have in (True, False):
        monkeypatch.delitem(sys.modules, "snntorch.spikeplot", raising=False)
        monkeypatch.setitem(sys.modules, "pandas", types.ModuleType("pandas") if have else None)
        fig, ax = plt.subplots()
        lesson.dots(ax, spk)
        points.append(np.asarray(ax.collections[0].get_offsets()))
        plt.close(fig)
    monkeypatch.delitem(sys.modules, "snntorch.spikeplot", raising=False)
    assert np.array_equal(*points) and len(points[0]) == spk.sum()


# -------------------------------------------------------------------- the network check


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> TinyNet:
    run = begin(LessonConfig(out_dir=tmp_path_factory.mktemp("03"), device="cpu"), "test")
    torch.manual_seed(0)
    net = TinyNet(num_hidden=24)
    fit(net, three_classes(), encode, run=run, epochs=6, lr=0.02, batch_size=10, quiet=True)
    return net


def encode(x: torch.Tensor) -> torch.Tensor:
    return constant_current(x, 8)


DATA = three_classes()


def look(net: torch.nn.Module):
    return diagnose(net, encode(DATA.x_train[:30]), DATA.y_train[:30], membrane_loss)


def test_numbers_of_a_layer_are_those_of_its_spikes(healthy: TinyNet) -> None:
    found = look(healthy)
    assert found.healthy and found.stale == 0 and found.lines() == []
    assert [la.name for la in found.layers] == ["lif1", "lif2"]
    reset_state(healthy)
    spk1 = torch.stack(
        [healthy.lif1(healthy.fc1(x_t)) for x_t in encode(DATA.x_train[:30])]
    )  # (T, B, N)
    share = spk1.detach().mean((0, 1))
    first = found.layers[0]
    assert first.rate == pytest.approx(share.mean().item(), abs=1e-6)
    assert first.dead == pytest.approx((share == 0).float().mean().item(), abs=1e-6)
    assert first.saturated == pytest.approx((share > 0.9).float().mean().item(), abs=1e-6)
    healthy.zero_grad()
    membrane_loss(healthy.run(encode(DATA.x_train[:30])), DATA.y_train[:30]).backward()
    assert first.gradient == pytest.approx(healthy.fc1.weight.grad.norm().item(), rel=1e-4)
    healthy.zero_grad()
    reset_state(healthy)


def test_leaves_everything_as_it_was(healthy: TinyNet) -> None:
    healthy.train()
    healthy.fc1.weight.grad = torch.full_like(healthy.fc1.weight, 3.0)
    healthy(torch.rand(5, 8))
    before = {n: m.mem.clone() for n, m in spiking_layers(healthy).items()}
    weights, rng = healthy.fc1.weight.detach().clone(), torch.get_rng_state()
    look(healthy)
    assert healthy.training and (healthy.fc1.weight.grad == 3).all()
    assert torch.equal(healthy.fc1.weight, weights) and torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(m.mem, before[n]) for n, m in spiking_layers(healthy).items())
    assert not any(m._forward_hooks for m in healthy.modules())
    healthy.zero_grad()
    reset_state(healthy)


class Deep(torch.nn.Module):
    """8–20–20–3 with any surrogate; ``stale`` leaves out the reset."""

    def __init__(self, spike_grad=None, stale: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fcs = torch.nn.ModuleList(
            torch.nn.Linear(a, b) for a, b in ((8, 20), (20, 20), (20, 3))
        )
        self.lifs = torch.nn.ModuleList(
            snn.Leaky(beta=0.9, init_hidden=True, spike_grad=spike_grad, output=i == 2)
            for i in range(3)
        )
        self.stale = stale
        with torch.no_grad():
            for fc in self.fcs:
                fc.weight.mul_(2)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.stale:
            reset_state(self)
        out = []
        for x_t in x:
            for fc, lif in zip(self.fcs, self.lifs, strict=True):
                x_t = lif(fc(x_t))
            out.append(x_t)
        return tuple(torch.stack(o) for o in zip(*out, strict=True))


def zero(net: Deep, layer: int) -> Deep:
    with torch.no_grad():
        net.fcs[layer].weight.zero_()
        net.fcs[layer].bias.zero_()
    return net


def test_names_each_disease() -> None:
    assert look(Deep()).problems == ()
    assert look(Deep(stale=True)).problems == ("state left over from the batch before",)
    assert look(Deep(surrogate.fast_sigmoid(slope=3000))).problems == ("vanishing gradient",)
    for layer in (0, 1):
        found = look(zero(Deep(), layer))
        assert found.problems == ("silence",) and found.findings[0].where == f"lifs.{layer}"
    big = Deep()
    with torch.no_grad():
        big.fcs[0].weight.abs_().mul_(100)
    assert look(big).problems == ("saturation",)
    with torch.no_grad():
        big.fcs[0].weight.fill_(float("nan"))
    assert look(big).problems == ("potentials that are no finite numbers",)


def test_a_silent_output_read_by_its_membrane_is_not_ill() -> None:
    net = Deep()
    net.lifs[2].threshold.fill_(1e6)
    assert look(net).problems == ()
    by_count = diagnose(
        net,
        encode(DATA.x_train[:30]),
        DATA.y_train[:30],
        lambda out, y: torch.nn.functional.cross_entropy(out[0].sum(0), y),
    )
    assert by_count.problems == ("silence",)


def test_without_labels_without_neurons_and_with_one_step() -> None:
    assert diagnose(Deep(), encode(DATA.x_train[:30])).healthy

    class Plain(torch.nn.Linear):
        def run(self, x: torch.Tensor) -> torch.Tensor:
            return self(x)

    found = diagnose(Plain(8, 3), encode(DATA.x_train[:30]))
    assert found.layers == () and found.healthy
    assert len(diagnose(Deep(), encode(DATA.x_train[:30])[:1]).layers) == 3


def test_fit_says_what_is_wrong_and_nothing_when_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = begin(LessonConfig(out_dir=tmp_path, device="cpu"), "test")
    for net, times in ((Deep(), 0), (Deep(surrogate.fast_sigmoid(slope=3000)), 2)):
        capsys.readouterr()
        options = {"lr": 1e-4, "batch_size": 50, "check": complaints}
        fit(net, three_classes(), encode, run=run, epochs=3, **options)
        out = capsys.readouterr().out
        assert out.count("check ") == times, out
        assert out.count("Remedy:") == times
    fit(
        Deep(surrogate.fast_sigmoid(slope=3000)),
        three_classes(),
        encode,
        run=run,
        epochs=1,
        quiet=True,
        check=complaints,
    )
    assert "check " not in capsys.readouterr().out


def test_the_check_does_not_change_a_training(tmp_path: Path) -> None:
    run = begin(LessonConfig(out_dir=tmp_path, device="cpu"), "test")
    weights = []
    for quiet in (False, True):
        net = Deep()
        torch.manual_seed(3)
        fit(
            net,
            three_classes(),
            lambda x: torch.bernoulli(encode(x).clamp(0, 1)),
            run=run,
            epochs=2,
            quiet=quiet,
            check=complaints,
        )
        weights.append(net.fcs[0].weight.detach().clone())
    assert torch.equal(*weights)


# -------------------------------------------------------------------- what is published


def test_psth_error_of_single_steps_is_binomial() -> None:
    """In bins of one step, 20 trials miss a probability p by √(p(1 − p)/20); wider bins miss less of it."""
    r = lesson.experiment_recording(lesson.Config(num_steps=120, neurons=4))
    p = r["truth"]
    assert r["widths"][0] == 1
    assert r["errors"][0] == pytest.approx(np.sqrt(np.mean(p * (1 - p)) / 20), rel=0.05)
    assert r["errors"][1] < r["errors"][0]


def test_each_broken_network_is_itself_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = marked_splits()

    def score(net, x, y, encode, batch_size=500) -> float:
        """A different number for each way of being broken."""
        assert x is data.x_test and y is data.y_test
        if net.forgetful:
            return 0.5
        if slope(net) < 0.1:
            return 0.6
        if any((fc.weight == 0).all() for fc in (net.fc1, net.fc2)):
            return 0.1
        return 0.2 if (net.fc1.weight >= 0).all() else 0.9

    def slope(net) -> float:
        """What the surrogate passes back at U = θ + 0.1: nearly nothing if it is steep."""
        u = torch.full((1,), 0.1, requires_grad=True)
        net.lif1.spike_grad(u).sum().backward()
        return u.grad.item()

    monkeypatch.setattr(lesson, "fit", lambda *_, **__: [])
    monkeypatch.setattr(lesson, "evaluate", score)
    run = begin(lesson.Config(out_dir=tmp_path, device="cpu", smoke=True), "test")
    rows = lesson.experiment_network_check(lesson.Config(networks=2), data, run)
    assert [r["net"] for r in rows] == 2 * list(lesson.BROKEN)
    assert [r["accuracy"] for r in rows] == 2 * [0.9, 0.1, 0.2, 0.6, 0.5]
    assert lesson.experiment_check_in_fit(lesson.Config(), data, run) == 0.6


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_, **__: value)  # noqa: E731
    set_("experiment_recording", {"errors": [0.4, 0.1, 0.3], "widths": [1, 2, 4]})
    set_("experiment_input_strength", {"spikes_off": 0.7})
    index = {"name": "x", "rate": 0.1, "chi": 0.2, "text": ["", "", ""]}
    rows = [
        index | {"cv": (0.5, 0.4), "fano": (1.0, 1.3), "rho": (0.2, None)},
        index | {"cv": (float("nan"), 0.4), "fano": (1.0, 0.9), "rho": (0.1, 0.15)},
    ]
    set_("experiment_indices", rows)
    set_("set_limits", lesson.Limits())
    unseen = np.array([[8, 0, 0, 0], [2, 6, 0, 0], [0, 0, 7, 1], [0, 0, 4, 4]])
    set_(
        "experiment_diagnosis",
        {"unseen ranges": {"matrix": unseen}, "other mechanism": {"matrix": unseen[::-1, ::-1]}},
    )
    blank = {
        "count": 0.0,
        "most": 1.0,
        "order": np.nan,
        "when": np.nan,
        "quiet": 0.0,
        "named": True,
    }
    codes = [
        blank | {"code": "rate", "order": 0.8},
        blank | {"code": "rate", "order": 0.6, "named": False},
        blank | {"code": "latency", "when": -0.9, "most": 1.0},
        blank | {"code": "delta", "quiet": 0.75},
    ]
    set_("experiment_codes", {"rows": codes})
    found = types.SimpleNamespace(layers=(), stale=0.0, lines=lambda: [])
    checks = [
        {"net": how, "found": found, "right": i != 1, "accuracy": 0.1 * i + 0.01 * seed}
        for seed in range(2)
        for i, how in enumerate(lesson.BROKEN)
    ]
    set_("experiment_network_check", checks)
    set_("experiment_check_in_fit", 0.33)
    value = run_main(lesson, tmp_path, monkeypatch, marked_splits(), networks=2).value
    assert value("psth_bin") == 2
    assert value("psth_fine") == pytest.approx(4) and value("psth_coarse") == pytest.approx(3)
    assert value("strength") == 0.7
    assert value("cv") == pytest.approx(0.1) and value("fano") == pytest.approx(0.3)
    assert value("rho") == pytest.approx(0.05)
    # a row of the matrix is what a population was made as, eight of each kind
    assert value("unseen_silence") == 1 and value("unseen_saturation") == 6 / 8
    assert value("unseen_synchronous") == 7 / 8 and value("unseen_healthy") == 0.5
    assert value("other_silence") == 0.5 and value("other_saturation") == 7 / 8
    assert value("signature_rate") == pytest.approx(0.7) and value("signature_latency") == -0.9
    assert value("signature_delta") == 0.75 and value("codes_named") == 0.75
    assert value("network_check") == 0.8
    assert value("accuracy_zeroed") == pytest.approx(0.105)
    assert value("accuracy_batches") == pytest.approx(0.405)
    assert value("accuracy_steep_trained") == 0.33
