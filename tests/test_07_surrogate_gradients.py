"""Lesson 07: every backward pass against the derivative of its smooth function, and against snnTorch's own."""

from __future__ import annotations

import math
from types import SimpleNamespace

from common.data import mnist
from common.spiking import constant_current, reset_state
from tutor.quiz import load

import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script, run_main
from nets import Always, marked_splits
from snntorch import surrogate as snn_surrogate

L = load_script("07_surrogate_gradients")
RUN = SimpleNamespace(device=torch.device("cpu"), print=lambda *_: None)
CFG = L.Config(num_steps=5, hidden=12, epochs=1, seeds=1, lr=0.01)

# the smooth functions in closed form, written from the docstrings and not from the lesson's code
SMOOTH = {
    "atan": (lambda x: torch.atan(math.pi / 2 * 3.0 * x) / math.pi + 0.5, lambda x: L.atan(x, 3.0)),
    "fast_sigmoid": (lambda x: x / (1 + 7 * x.abs()), lambda x: L.fast_sigmoid(x, 7.0)),
    "sigmoid": (lambda x: 1 / (1 + torch.exp(-7 * x)), lambda x: L.sigmoid(x, 7.0)),
    "triangular": (
        lambda x: torch.where(x.abs() < 0.8, x - x * x.abs() / 1.6, 0.4 * x.sign()),
        lambda x: L.triangular(x, 0.8),
    ),
    "raised_cosine": (
        lambda x: (
            (c := x.clamp(-0.8, 0.8)) / 2 + 0.8 / (2 * math.pi) * torch.sin(math.pi * c / 0.8)
        ),
        lambda x: L.raised_cosine(x, 0.8),
    ),
    "straight_through": (lambda x: x, L.straight_through),
}


@pytest.fixture(scope="module")
def data():
    return mnist(source="stand-in", n_train=256)


@pytest.mark.parametrize("name", SMOOTH)
def test_slope_is_the_derivative_of_its_smooth_function(name):
    smooth, h = SMOOTH[name]
    x = torch.linspace(
        -3, 3, 2000, dtype=torch.float64
    )  # an even number of points: none on the corner at 0
    step = 1e-6
    numerical = (smooth(x + step) - smooth(x - step)) / (2 * step)
    torch.testing.assert_close(h(x), numerical, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (L.atan, snn_surrogate.atan()),
        (lambda x: L.atan(x, 0.7), snn_surrogate.atan(alpha=0.7)),
        (L.fast_sigmoid, snn_surrogate.fast_sigmoid()),
        (lambda x: L.fast_sigmoid(x, 3), snn_surrogate.fast_sigmoid(slope=3)),
        (L.sigmoid, snn_surrogate.sigmoid()),
        (lambda x: L.sigmoid(x, 3), snn_surrogate.sigmoid(slope=3)),
        (L.straight_through, snn_surrogate.straight_through_estimator()),
        (L.snntorch_triangular, snn_surrogate.triangular()),
        (L.raised_cosine, snn_surrogate.custom_surrogate(L.custom_raised_cosine)),
    ],
)
def test_equal_to_snntorch(ours, theirs):
    x = torch.linspace(-3, 3, 6001)  # 0 is among them
    error = torch.randn(6001, generator=torch.Generator().manual_seed(0))
    grads = []
    for spike_grad in (L.surrogate(ours), theirs):
        u = x.clone().requires_grad_()
        spk = spike_grad(u)
        assert torch.equal(spk.detach(), (x > 0).float())
        spk.backward(error)
        grads.append(u.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("width", [0.05, 1.0, 8.0])
def test_matched_shapes_have_peak_one_equal_width_and_fall_on_both_sides(width):
    for name, h in L.matched(width).items():
        at = h(torch.tensor([0.0, width / 2, -width / 2], dtype=torch.float64))
        assert at.tolist() == pytest.approx([1.0, 0.5, 0.5], abs=1e-6), name
        x = torch.linspace(0, 5 * width, 1001, dtype=torch.float64)
        assert (h(x).diff() <= 1e-12).all() and torch.allclose(h(x), h(-x)), name


def test_library_facts_the_lesson_states():
    assert L.sigmoid(torch.zeros(1)).item() == pytest.approx(6.25)
    r = L.experiment_shapes()
    assert r["edge"] == pytest.approx(-math.log(torch.finfo(torch.float32).max) / 25, abs=2e-3)
    assert torch.isfinite(L.sigmoid(torch.tensor([-1e4, -4.0, 4.0, 1e4]))).all()
    assert L.backward_of(snn_surrogate.sigmoid(), torch.tensor([-4.0])).isnan().all()
    assert len(r["error"]) == 6 and max(r["error"].values()) <= 1e-6
    # the sign trap
    assert L.backward_of(snn_surrogate.triangular(), torch.tensor([-0.1, 0.0, 0.1])).tolist() == [
        1,
        -1,
        -1,
    ]


def test_true_gradient_leaves_hidden_weights_exactly_alone_and_moves_the_read_out(data):
    for hidden in ([12], [12, 12]):
        net, before, losses = L.train(CFG, RUN, data, L.surrogate(L.true_slope), 0, hidden, 256)
        after = [torch.cat([p.detach().flatten() for p in fc.parameters()]) for fc in net.fc]
        assert all(torch.equal(a, b) for a, b in zip(after[:-1], before[:-1], strict=True))
        assert not torch.equal(after[-1], before[-1])
        assert len(losses) == 1 and math.isfinite(losses[0])
    net, before, _ = L.train(CFG, RUN, data, L.surrogate(L.atan), 0, [12], 256)
    assert (
        torch.cat([p.detach().flatten() for p in net.fc[0].parameters()]) - before[0]
    ).abs().max() > 0


def test_surrogate_disable_cuts_the_graph():
    fc, lif = torch.nn.Linear(3, 4), snn.Leaky(beta=0.9, surrogate_disable=True)
    spk, _ = lif(fc(torch.ones(2, 3)), torch.zeros(2, 4))
    assert not spk.requires_grad


def test_step_by_step_equals_run_and_the_surrogate_changes_no_spike(data):
    torch.manual_seed(0)
    net = L.Net([12, 12], L.surrogate(L.atan), 0.9)
    x = constant_current(data.x_train[:16].float().flatten(1) / 255 * 3, 6)
    spk_rec, mem_rec = net.run(x)
    reset_state(net)
    steps = [net(x_t) for x_t in x]
    torch.testing.assert_close(mem_rec, torch.stack([m for _, m in steps]))
    assert torch.equal(spk_rec, torch.stack([s for s, _ in steps]))
    assert torch.equal(L.use(net, L.straight_through).run(x)[1], mem_rec)


def test_gradient_of_a_hidden_weight_by_hand(data):
    """One step, one hidden neuron: ∂L/∂w = ∂L/∂S · h(U − θ) · input, with ∂L/∂S by the read-out."""
    torch.manual_seed(0)
    net = L.Net([1], L.surrogate(L.atan), 0.9)
    x, y = torch.rand(1, 1, 784), torch.tensor([3])
    grad, _ = L.gradients(net, x, y)
    with torch.no_grad():
        u = x[0] @ net.fc[0].weight.T + net.fc[0].bias  # (1, 1): membrane after one step from rest
        out = (u > 1).float() @ net.fc[1].weight.T + net.fc[1].bias  # (1, 10)
        error = (out.softmax(1) - torch.eye(10)[y]) @ net.fc[1].weight  # (1, 1): ∂L/∂S
        torch.testing.assert_close(grad, error * L.atan(u - 1) * x[0], rtol=1e-5, atol=1e-8)


def test_descent_leaves_the_weights_and_sees_the_wrong_sign(data):
    net, x, y = L.probe(CFG, RUN, data, [12], 0, n=64)
    before = [p.clone() for p in net.parameters()]
    grads = L.gradients(L.use(net, L.matched(1.0)["ATan"]), x, y)
    down = L.descent(net, grads, x, y, 0.01)
    up = L.descent(net, [-g for g in grads], x, y, 0.01)
    assert down < 0 < up
    assert L.descent(net, [torch.zeros_like(g) for g in grads], x, y, 0.01) == 0
    for a, b in zip(before, net.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_overflow_poisons_whole_neurons_and_the_safe_formula_does_not(data):
    torch.manual_seed(0)
    net = L.Net([12], L.raw_sigmoid, 0.9)
    with torch.no_grad():
        net.fc[0].bias[0] = -10.0  # one neuron far below threshold
    x, y = constant_current(data.x_train[:8].float().flatten(1) / 255, 5), data.y_train[:8]
    grad, _ = L.gradients(net, x, y)
    assert grad[0].isnan().all() and not grad[1:].isnan().any()
    grad, _ = L.gradients(L.use(net, L.sigmoid), x, y)
    assert torch.isfinite(grad).all()


def test_quiz():
    questions = load("07_surrogate_gradients")
    assert 10 <= len(questions) <= 12
    assert sum(q.skill in ("reason", "compute") for q in questions) * 2 >= len(questions)


# ------------------------------------------------------------------ what is published


def test_seeds_are_scored_on_the_test_images(monkeypatch):
    """A network that always answers 2, then one that answers 3; weights moved by known amounts."""
    start = [torch.full((4,), 2.0), torch.full((2,), 3.0)]

    def train(cfg, run, data, spike_grad, seed, hidden, n_train):
        net = Always(2 + seed)
        net.fc = torch.nn.ModuleList(torch.nn.Linear(1, n, bias=False) for n in (4, 2))
        with torch.no_grad():
            net.fc[0].weight.fill_(2.0).view(-1)[1] = 1.5 - seed
            net.fc[1].weight.fill_(3.5)
        return net, start, [1.0]

    monkeypatch.setattr(L, "train", train)
    data = marked_splits()
    cfg = L.Config(num_steps=2, seeds=2, widths=(1.0, 0.5), sweep_seeds=2)
    r = L.train_seeds(cfg, RUN, data, "x", L.atan)
    assert r["accuracy"] == [0.75, 0.25] and r["nan"] == 0
    assert r["largest"] == [[0.5, 0.5], [1.5, 0.5]]
    assert r["relative"][0] == pytest.approx([0.5 / 4, 0.5 / 3]), "√(4·2²) = 4"
    monkeypatch.setattr(L, "probe", lambda *_: (None, None, None))
    monkeypatch.setattr(L, "use", lambda net, h: net)
    monkeypatch.setattr(L, "gradients", lambda *_: [torch.full((9,), 2.0), torch.ones(4)])
    monkeypatch.setattr(L, "descent", lambda *_, **__: -0.5)
    for family in L.experiment_slope_sweep(cfg, RUN, data).values():
        assert family["accuracy"].tolist() == [[0.75, 0.75], [0.25, 0.25]]
        assert family["norms"].tolist() == [[6.0, 2.0]] * 2


def test_staircase_is_flat_where_the_loss_stays(monkeypatch):
    """A loss that rises once in a walk of 200 steps: 199 are flat; the slope is that of the steepest weight."""
    net = SimpleNamespace(
        fc=[SimpleNamespace(weight=torch.zeros(2, 3))], run=lambda x: net.fc[0].weight
    )
    grad = torch.tensor([[0.0, 0.1, -0.2], [0.3, -0.7, 0.0]])
    monkeypatch.setattr(L, "train_seeds", lambda *_: {"net": net})
    monkeypatch.setattr(L, "gradients", lambda *_: (grad, None))
    monkeypatch.setattr(L, "membrane_loss", lambda weight, y: (weight[1, 1] > 0.1).float())
    r = L.experiment_true_gradient(CFG, RUN, marked_splits())
    assert r["slope"] == pytest.approx(-0.7) and r["flat"] == pytest.approx(199 / 200)


def test_claims_are_what_was_measured(monkeypatch, tmp_path):
    arm = {"losses": [], "nan": 0.0, "net": None}
    true = arm | {"largest": [[0.0, 1.0], [0.25, 2.0]], "relative": [[0, 0.4], [0, 0.3]]}
    set_ = lambda name, value: monkeypatch.setattr(L, name, lambda *_: value)  # noqa: E731
    set_("experiment_true_gradient", {"arms": {"true gradient": true}, "flat": 0.9})
    set_("experiment_shapes", {"error": {"a": 1e-8, "b": 1e-7}, "n": 3, "edge": -3.55})
    smooth = dict(zip(L.matched(1.0), (0.90, 0.92, 0.91, 0.89, 0.95), strict=True))
    others = {
        "true gradient": 0.3,
        "straight-through": 0.5,
        "snnTorch triangular()": 0.2,
        "snnTorch sigmoid()": 0.1,
        "the same sigmoid, no overflow": 0.88,
    }
    arms = {n: arm | {"accuracy": [a - 0.01, a + 0.01]} for n, a in (smooth | others).items()}
    arms["snnTorch sigmoid()"]["nan"] = 0.7
    set_("experiment_comparison", arms)
    change = dict(zip(smooth, (-0.5, -0.1, -0.3, -0.4, -0.2), strict=True))
    change |= {"straight-through": 0.2, "snnTorch triangular()": 0.6}
    set_("experiment_why_they_fail", {"change": change, "nan_gradient": 0.05})
    family = {
        "accuracy": np.array([[0.5, 0.8, 0.6], [0.5, 0.9, 0.7]]),
        "norms": np.array([[100.0, 1, 1], [10, 1, 1], [1, 1, 1000]]),
    }
    set_("experiment_slope_sweep", {"f": family, "s": family | {"norms": 1 / family["norms"]}})
    value = run_main(L, tmp_path, monkeypatch, marked_splits(), widths=(4, 1, 0.1)).value
    assert value("true_hidden_change") == 0.25, "the largest of all seeds"
    assert value("true_readout_change") == 0.3, "the smallest of all seeds"
    assert value("staircase_flat") == 0.9 and value("nan_edge") == -3.55
    assert value("formula_error") == 1e-7
    assert value("smooth_spread") == pytest.approx(0.95 - 0.89)
    assert value("accuracy_true") == pytest.approx(0.3)
    assert value("accuracy_atan") == pytest.approx(0.9)
    assert value("accuracy_snn_sigmoid") == pytest.approx(0.1)
    assert value("accuracy_safe_sigmoid") == pytest.approx(0.88)
    assert value("uphill") == 0.6 and value("downhill") == -0.1, "the worst of the smooth shapes"
    assert value("nan_gradient") == 0.05 and value("nan_weights") == 0.7
    assert value("fast_best") == pytest.approx(0.85)
    assert value("fast_flattest") == pytest.approx(0.35)
    assert value("sigmoid_steepest") == pytest.approx(0.2)
    assert value("fast_flattest_norm") == pytest.approx(2), "first hidden layer over third"
    assert value("fast_steepest_norm") == pytest.approx(-3)
    assert value("sigmoid_flattest_norm") == pytest.approx(-2)
