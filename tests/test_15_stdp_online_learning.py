"""Lesson 15: the STDP window for any spike trains, the clustering layer, e-prop's gradients, the cue task."""

from __future__ import annotations

from common.data import digits

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import load_script
from hypothesis import given, settings
from hypothesis import strategies as st

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
