"""Lesson 15: the STDP window for any spike trains, the clustering layer, e-prop's gradients, the cue task."""

from __future__ import annotations

from datafiles.digits import digits

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import load_script, run_main
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import marked_splits

lesson = load_script("15_stdp_online_learning")
RecurrentALIF, eprop, bptt = lesson.RecurrentALIF, lesson.eprop_gradient, lesson.bptt_gradient


@settings(max_examples=60, deadline=None)
@given(
    pre=st.lists(st.booleans(), min_size=1, max_size=60),
    seed=st.integers(0, 10**6),
    rate=st.floats(0.0, 1.0),
    a_plus=st.floats(-2, 2),
    a_minus=st.floats(-2, 2),
    tau_plus=st.floats(1, 80),
    tau_minus=st.floats(1, 80),
)
def test_traces_equal_the_window_summed_over_all_pairs(
    pre: list[bool],
    seed: int,
    rate: float,
    a_plus: float,
    a_minus: float,
    tau_plus: float,
    tau_minus: float,
) -> None:
    """Any pair of spike trains: the two traces against equation (1) for every pair of spikes."""
    T = len(pre)
    post = (np.random.default_rng(seed).random(T) < rate).tolist()
    constants = a_plus, a_minus, tau_plus, tau_minus
    pairs = [
        lesson.stdp_window(torch.tensor(float(j - i), dtype=torch.float64), *constants).item()
        for i in range(T)
        if pre[i]
        for j in range(T)
        if post[j]
    ]
    column = lambda s: torch.tensor(s, dtype=torch.float64)[:, None]  # noqa: E731
    ours = lesson.stdp_traces(column(pre), column(post), *constants).item()
    assert ours == pytest.approx(sum(pairs), abs=1e-9 * (1 + len(pairs)))


def test_window_signs_and_values() -> None:
    dt = torch.tensor([-20.0, -1.0, 0.0, 1.0, 20.0])
    w = lesson.stdp_window(dt, 1.0, 0.5, 20.0, 10.0)
    expected = [-0.5 * np.exp(-2.0), -0.5 * np.exp(-0.1), 0.0, np.exp(-0.05), np.exp(-1.0)]
    assert torch.allclose(w, torch.tensor(expected, dtype=torch.float32))


def test_correlated_inputs_win_and_lose() -> None:
    """Additive STDP lifts the inputs that fire together, its mirror image lowers them."""
    by = {
        name: lesson.stdp_neuron(100_000, mu, 1.05, sign, 40, 1)
        for name, mu, sign in (("additive", 0, 1), ("soft", 1, 1), ("anti", 0, -1))
    }
    gain = {name: w[:40].mean() - w[40:].mean() for name, w in by.items()}
    assert gain["additive"] > 0.1 and gain["soft"] > 0.02 and gain["anti"] < -0.02, gain
    assert all((w >= 0).all() and (w <= 1).all() for w in by.values())
    assert ((by["soft"] > 0.05) & (by["soft"] < 0.95)).all()


def layer(images: torch.Tensor, **options: float) -> lesson.Features:
    features = lesson.Features(lesson.Config(neurons=30), **options)
    features.show(images, learn=True)
    return features


def test_features_learn_digits_without_labels() -> None:
    x, y, x_test, y_test = digits()
    trained = layer(x)
    trained.name_neurons(x, y)
    assert trained.accuracy(x_test, y_test) > 0.5  # chance: 0.1
    assert np.allclose(trained.w.sum(0), 78.4, rtol=1e-3) and (trained.w >= 0).all()
    assert trained.theta.min() >= 9, "thresholds rise from 10 and fade hardly"


def test_features_do_not_change_without_learning() -> None:
    x, *_ = digits()
    trained = layer(x[:50])
    w, theta = trained.w.copy(), trained.theta.copy()
    first, again, other = trained.show(x[:20]), trained.show(x[:20]), trained.show(x[:20], noise=1)
    assert (trained.w == w).all() and (trained.theta == theta).all()
    assert (first == again).all() and (first != other).any()


def test_test_images_are_seen_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call of the layer sees a test image before the last one."""
    from common.data import mnist

    data, seen = mnist(source="stand-in"), []
    show = lesson.Features.show
    note = lambda self, images, **k: (seen.append(images), show(self, images, **k))[1]  # noqa: E731
    monkeypatch.setattr(lesson.Features, "show", note)
    lesson.experiment_features(lesson.Config(neurons=10, train_images=30, num_steps=5), data)
    assert seen[-1] is data.x_test and not any(s is data.x_test for s in seen[:-1])


def small(
    seed: int, beta: float, kappa: float, recurrent: bool
) -> tuple[RecurrentALIF, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    net = RecurrentALIF(5, 7, 3, g, beta=beta, kappa=kappa, recurrent=recurrent).double()
    return (
        net,
        (torch.rand(30, 4, 5, generator=g) < 0.4).double(),
        torch.randint(0, 3, (4,), generator=g),
    )


def same(ours: tuple, theirs: tuple) -> bool:
    return all(
        torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(ours, theirs, strict=True)
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    beta=st.sampled_from([0.0, 0.1, 0.5]),
    kappa=st.sampled_from([0.0, 0.5, 0.9]),
    recall=st.integers(1, 30),
)
def test_eprop_is_bptt_without_recurrence(
    seed: int, beta: float, kappa: float, recall: int
) -> None:
    net, x, y = small(seed, beta, kappa, recurrent=False)
    assert same(eprop(net, x, y, recall)[0], bptt(net, x, y, recall)[0])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), beta=st.sampled_from([0.0, 0.3]), kappa=st.sampled_from([0.0, 0.8])
)
def test_eprop_drops_the_path_through_other_neurons_and_nothing_else(
    seed: int, beta: float, kappa: float
) -> None:
    net, x, y = small(seed, beta, kappa, recurrent=True)
    assert same(eprop(net, x, y, 12)[0], bptt(net, x, y, 12, cut=True)[0])


def test_full_bptt_differs_and_only_the_readout_is_exact() -> None:
    net, x, y = small(3, 0.2, 0.8, recurrent=True)
    (w_in, w_rec, w_out), (b_in, b_rec, b_out) = eprop(net, x, y, 12)[0], bptt(net, x, y, 12)[0]
    assert (
        torch.allclose(w_out, b_out)
        and not torch.allclose(w_in, b_in)
        and not torch.allclose(w_rec, b_rec)
    )
    cosine = F.cosine_similarity(w_in.flatten(), b_in.flatten(), dim=0)
    assert 0.3 < cosine < 1


def test_surrogate_is_the_derivative_that_autograd_sees() -> None:
    """One neuron, one step: dz/dv = γ/θ·max(0, 1 − |v − θ|/θ), while the spike itself stays 0 or 1."""
    net = RecurrentALIF(1, 1, 1, torch.Generator().manual_seed(0))
    v = torch.linspace(-1, 2, 31)
    x = (v / net.w_in.item())[:, None].requires_grad_()
    z, psi = net(x, net.state(31))[2:4]
    z.sum().backward()
    expected = 0.3 / 0.6 * (1 - (v - 0.6).abs() / 0.6).clamp(min=0)
    assert torch.allclose(psi[:, 0], expected, atol=1e-6) and torch.equal(
        z[:, 0], (v > 0.6).float()
    )
    assert torch.allclose(x.grad[:, 0] / net.w_in.item(), expected, atol=1e-6)


def test_no_synapse_onto_itself() -> None:
    net, x, y = small(1, 0.2, 0.8, recurrent=True)
    assert (net.w_rec.diagonal() == 0).all()
    assert all((rule(net, x, y, 5)[0][1].diagonal() == 0).all() for rule in (eprop, bptt))


def test_random_feedback_changes_hidden_gradients_only() -> None:
    net, x, y = small(2, 0.2, 0.8, recurrent=True)
    a, b = eprop(net, x, y, 12)[0], eprop(net, x, y, 12, random=True)[0]
    assert torch.equal(a[2], b[2]) and not torch.allclose(a[0], b[0])


def test_cue_trials() -> None:
    x, y = lesson.cue_trials(200, torch.Generator().manual_seed(0), 240)
    assert x.shape == (450, 200, 40) and set(x.unique().tolist()) == {0.0, 1.0}
    left, right = x[:210, :, :10].sum((0, 2)), x[:210, :, 10:20].sum((0, 2))
    assert (((right > left).long() == y).float().mean()) > 0.95, (
        "the side with more cues has more spikes"
    )
    assert x[210:, :, :20].sum() == 0 and x[:-30, :, 20:30].sum() == 0, (
        "the wait is silent, the question comes last"
    )
    assert 0.35 < y.float().mean() < 0.65
    assert (
        abs(x[-30:, :, 20:30].mean().item() - 0.2) < 0.01
        and abs(x[:, :, 30:].mean().item() - 0.05) < 0.005
    )


def test_memory_of_bptt_grows_and_of_eprop_does_not() -> None:
    memory = lesson.experiment_memory(lesson.Config(smoke=True, num_hidden=10))
    assert len(set(memory["kept"]["e-prop"])) == 1
    per_step = np.diff(memory["kept"]["BPTT"]) / np.diff(memory["steps"])
    assert np.allclose(per_step, per_step[0]) and per_step[0] > 0


def test_eprop_learns_a_short_cue_task() -> None:
    g = torch.Generator().manual_seed(0)
    net = RecurrentALIF(40, 20, 2, g)
    trials = (lesson.cue_trials(16, g, 40) for _ in range(40))
    done = lesson.learn(net, "e-prop, symmetric", trials, 40, lesson.RECALL, 1e-2)
    assert np.mean(done["curve"][-10:]) > 0.75 > np.mean(done["curve"][:5])


# ------------------------------------------------------------------------------------ what is published


def test_features_are_scored_on_validation_and_at_the_end_on_test_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A layer that says 3: 0 of the validation images, a quarter of the test images; a label is a neuron's name."""
    data = marked_splits()

    def show(self, images, learn=False, noise=0):
        """Neuron 0 fires once; neurons 1 and 2 fire more together, less each; named 3, 2, 2 and so on."""
        counts = np.zeros((len(images), len(self.theta)), int)
        counts[:, :3] = 3, 2, 2
        return counts

    monkeypatch.setattr(lesson.Features, "show", show)
    monkeypatch.setattr(
        lesson.Features,
        "name_neurons",
        lambda self, x, y: self.labels.__setitem__(slice(0, 3), (3, 2, 2)),
    )
    r = lesson.experiment_features(lesson.Config(neurons=10, train_images=20), data)
    assert r["test"] == 0.25 and set(r["accuracy"].values()) == {0.0}
    assert list(r["accuracy"]) == ["no inhibition", "fixed thresholds", "both", "all images"]


def test_neurons_are_named_by_the_class_they_fire_most_for(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, y = lesson.Features(lesson.Config(neurons=10)), torch.tensor([4, 4, 4, 7])
    counts = np.zeros((4, 10), int)
    counts[:3, 0], counts[3, 0] = 2, 1  # more for a 4 in sum and on average
    counts[:3, 1], counts[3, 1] = 1, 2  # more for 4s in sum, but for a 7 on average
    monkeypatch.setattr(layer, "show", lambda images, noise: counts)
    layer.name_neurons(torch.zeros(4), y)
    assert layer.labels[:2].tolist() == [4, 7]


def test_supervised_rules_are_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is learnt, the read-out says 2."""

    def forward_all(net, x, y, recall, cut=False):
        return 0.0, torch.eye(10)[2].expand(len(y), 10), 0.0

    monkeypatch.setattr(lesson, "learn", lambda *_: None)
    monkeypatch.setattr(lesson, "forward_all", forward_all)
    cfg = lesson.Config(smoke=True, neurons=10, train_images=20)
    accuracy = lesson.experiment_supervised(cfg, marked_splits(), torch.device("cpu"))
    assert set(accuracy) == set(lesson.RULES) and set(accuracy.values()) == {0.75}


def test_cue_task_shares_and_cosines_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))
    monkeypatch.setattr(lesson, "learn", lambda *_: {"curve": [0.5], "seconds": 0.1, "rate": 0.02})
    monkeypatch.setattr(lesson, "right", lambda net, x, y, recall: 15.0)
    monkeypatch.setattr(lesson, "cosines", lambda *_: [[next(calls)] * 3, [0.0] * 3])
    cfg = lesson.Config(smoke=True, num_hidden=4, wait=30, iterations=1, seeds=2)
    arms = lesson.experiment_cues(cfg, torch.device("cpu"))
    assert [arm["test"].tolist() for arm in arms.values()] == [[0.75, 0.75]] * 5
    first = next(iter(arms.values()))
    assert first["n"] == 40 and first["cosine"][:, :, 0, 0].tolist() == [[0, 1], [2, 3]]


def test_eprop_keeps_less_from_the_crossing_on() -> None:
    memory = lesson.experiment_memory(lesson.Config(smoke=True, num_hidden=10))
    (T0, T1, _), bptt = memory["steps"], memory["kept"]["BPTT"]
    per_step = (bptt[1] - bptt[0]) / (T1 - T0)
    at_crossing = bptt[0] + per_step * (memory["crossing"] - T0)
    assert at_crossing == pytest.approx(memory["kept"]["e-prop"][-1], rel=1e-6)
    assert memory["slope"] == pytest.approx(per_step) and memory["growth"] == 1


def test_learning_tests_each_batch_before_it_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    net = RecurrentALIF(3, 4, 2, torch.Generator().manual_seed(0))
    shares = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    zero = tuple(torch.zeros_like(w) for w in (net.w_in, net.w_rec, net.w_out))
    monkeypatch.setitem(lesson.RULES, "known", lambda *_: (zero, shares, torch.tensor(0.25)))
    batches = [(torch.zeros(5, 3, 3), torch.tensor(y)) for y in ([0, 1, 0], [1, 1, 0], [1, 0, 1])]
    done = lesson.learn(net, "known", iter(batches), 3, 2, 1e-2)
    assert done["curve"] == pytest.approx([1, 2 / 3, 0]) and done["rate"] == 0.25


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(lesson, name, lambda *_: value)  # noqa: E731
    weights = lambda high, low: np.concatenate([np.full(40, high), np.full(160, low)])  # noqa: E731
    by_rule = {
        "additive": weights(0.95, 0.5),
        "multiplicative": weights(0.6, 0.4),
        "anti": weights(0.3, 0.05),
    }
    set_("experiment_synapse", {"error": 1e-9, "weights": by_rule})
    accuracy = {"no inhibition": 0.3, "fixed thresholds": 0.4, "both": 0.7, "all images": 0.8}
    set_("experiment_features", {"accuracy": accuracy, "seconds": 60.0, "test": 0.82})
    set_("experiment_exact", {"LIF": 1e-8, "ALIF": 2e-8, "cut": 3e-8})
    arms = {}
    for i, name in enumerate(lesson.ARMS):
        cosine = np.zeros(
            (2, 2, 2, 3)
        )  # seeds; before and after; symmetric and random; W_in, W_rec, W_out
        cosine[:, 1, 0] = np.array([[0.5, 0.3, 1.0], [0.7, 0.1, 1.0]])
        arm = {
            "test": np.array([0.1, 0.2]) * (i + 1),
            "cosine": cosine,
            "rate": np.ones(2),
            "n": 40,
        }
        arms[name] = arm | {"seconds": np.ones(2), "net": torch.nn.Linear(1, 1)}
    set_("experiment_cues", arms)
    kept = {"BPTT": [1000, 2000], "e-prop": [500, 510]}
    memory = {
        "steps": (10, 20),
        "kept": kept,
        "slope": 100.0,
        "crossing": 5.0,
        "r2": 0.9995,
        "growth": 1.02,
    }
    set_("experiment_memory", memory)
    set_("experiment_traces", {})
    digits_right = {"BPTT": 0.95, "e-prop, symmetric": 0.94, "e-prop, random": 0.9}
    set_("experiment_supervised", digits_right)
    value = run_main(lesson, tmp_path, monkeypatch, marked_splits(), seeds=2).value
    assert value("gain_additive") == pytest.approx(0.45) and value("gain_anti") == pytest.approx(
        0.25
    )
    # of 200 weights 40 lie above 0.9 under the additive rule, 160 below 0.1 under its mirror image
    assert (
        value("ends_additive") == 0.2
        and value("ends_anti") == 0.8
        and value("ends_multiplicative") == 0
    )
    assert value("window_error") == 1e-9
    assert value("stdp_no_inhibition") == 0.3 and value("stdp_few") == 0.7
    assert value("stdp_accuracy") == 0.82 and value("stdp_seconds") == 60
    assert [value(f"exact_{k}") for k in ("lif", "alif", "cut")] == [1e-8, 2e-8, 3e-8]
    cues = [value(f"cue_{k}") for k in ("lif", "lif_slow", "random", "eprop", "bptt")]
    assert cues == pytest.approx([0.15, 0.3, 0.45, 0.6, 0.75])
    assert [value(f"cosine_{k}") for k in ("in", "rec", "out")] == pytest.approx([0.6, 0.2, 1])
    assert value("memory_r2") == 0.9995 and value("memory_slope") == 100
    assert value("memory_growth") == 1.02 and value("memory_crossing") == 5
    mnist = [value(f"mnist_{k}") for k in ("bptt", "eprop", "random")]
    assert mnist == [0.95, 0.94, 0.9]
