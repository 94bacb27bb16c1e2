"""Lesson 07: each h against the slope of its smooth step and against snnTorch; every number it publishes.

Training is stubbed where a number is only a mean or a difference of what networks reach; what a network
reaches is checked on the small stand-in images.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

from common.data import mnist
from common.lesson import start
from common.run import Run

import matplotlib.pyplot as plt
import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from helpers import load_script, run_section
from nets import marked_splits
from snntorch import surrogate as snn_surrogate

lesson = load_script("07_surrogate_gradients")
SMALL = {
    "hidden": 12,
    "n_train": 200,
    "epochs": 1,
    "seeds": 2,
    "num_steps": 4,
    "sweep_train": 200,
    "sweep_epochs": 1,
}

# the smooth steps in closed form, written from the docstrings and not from the lesson's code
ROOT_2 = math.sqrt(2)
STEPS = {
    "ATan": lambda x, w: w / 2 * torch.atan(2 * x / w),
    "fast sigmoid": lambda x, w: x / (1 + 2 * (ROOT_2 - 1) / w * x.abs()),
    "sigmoid": lambda x, w: (
        4
        / (2 * math.log(3 + 2 * ROOT_2) / w)
        / (1 + torch.exp(-2 * math.log(3 + 2 * ROOT_2) / w * x))
    ),
    "triangular": lambda x, w: torch.where(
        x.abs() < w, x - x * x.abs() / (2 * w), w / 2 * x.sign()
    ),
    "raised cosine": lambda x, w: (
        x.clamp(-w, w) / 2 + w / (2 * math.pi) * torch.sin(math.pi * x.clamp(-w, w) / w)
    ),
    "straight-through": lambda x, w: x,
}


@pytest.fixture(scope="module")
def data():
    return mnist(source="stand-in", n_train=200)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """What sections draw and what they answer."""
    seen = SimpleNamespace(drawn=False, outcomes={}, asked={}, text={})

    def figure(self, fig, name, look=""):
        assert look, "every figure says what to look at"
        if seen.drawn:
            fig.canvas.draw()
        seen.headline = fig.get_suptitle()
        seen.titles = [ax.get_title(loc="left") for ax in fig.axes]
        seen.lines = [
            [(line.get_label(), np.asarray(line.get_xydata(), dtype=float)) for line in ax.lines]
            for ax in fig.axes
        ]
        seen.texts = [[text.get_text() for text in ax.texts] for ax in fig.axes]
        plt.close(fig)
        return Path(name)

    def outcome(self, id, measured):
        seen.outcomes[id] = measured
        options = seen.asked.get(id)
        if id == "silent":  # other widths leave out other shapes
            return
        assert not options or measured in options, "one of the options that were given"

    def predict(self, id, question, options=(), unit=""):
        seen.asked[id] = options

    monkeypatch.setattr(Run, "figure", figure)
    monkeypatch.setattr(Run, "outcome", outcome)
    monkeypatch.setattr(Run, "predict", predict)
    return seen


def text_of(run) -> str:
    return run.findings[-1]["text"]


def runner(data=None):
    return SimpleNamespace(device=torch.device("cpu"))


# -------------------------------------------------------------------- the shapes


@pytest.mark.parametrize("name", lesson.SHAPES)
@pytest.mark.parametrize("width", [0.3, 1.0, 4.0])
def test_h_is_the_slope_of_its_smooth_step(name: str, width: float) -> None:
    x = torch.linspace(-3, 3, 2000, dtype=torch.float64)  # an even number: none on the corner at 0
    step = 1e-6
    slope = (STEPS[name](x + step, width) - STEPS[name](x - step, width)) / (2 * step)
    torch.testing.assert_close(lesson.SHAPES[name](x, width), slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [0.05, 1.0, 8.0])
def test_smooth_shapes_have_height_one_and_this_full_width(width: float) -> None:
    for name, h in lesson.PEAKED.items():
        at = h(torch.tensor([0.0, width / 2, -width / 2], dtype=torch.float64), width)
        assert at.tolist() == pytest.approx([1.0, 0.5, 0.5], abs=1e-6), name
        x = torch.linspace(0, 5 * width, 1001, dtype=torch.float64)
        assert (h(x, width).diff() <= 1e-12).all(), f"{name} rises away from θ"
        assert torch.allclose(h(x, width), h(-x, width)), name


@pytest.mark.parametrize(
    ("ours", "theirs", "height", "width"),
    [
        (lesson.atan, snn_surrogate.atan(), 1.0, 2 / math.pi),
        (lesson.fast_sigmoid, snn_surrogate.fast_sigmoid(), 1.0, 2 * (ROOT_2 - 1) / 25),
        (lesson.sigmoid, snn_surrogate.sigmoid(), 6.25, 2 * math.log(3 + 2 * ROOT_2) / 25),
        (lesson.straight_through, snn_surrogate.straight_through_estimator(), 1.0, 1.0),
    ],
)
def test_heights_and_widths_of_snntorchs_defaults(ours, theirs, height, width) -> None:
    """Section 3 names them: 0.64, 0.033, 0.14 wide and 1, 1, 6.25 high."""
    x = torch.linspace(-3, 3, 6001)
    error = torch.randn(6001, generator=torch.Generator().manual_seed(0))
    u = x.clone().requires_grad_()
    spk = theirs(u)
    assert torch.equal(spk.detach(), (x > 0).float())
    spk.backward(error)
    torch.testing.assert_close(u.grad, error * height * ours(x, width), rtol=1e-5, atol=1e-6)
    assert round(2 / math.pi, 2) == 0.64 and round(2 * (ROOT_2 - 1) / 25, 3) == 0.033
    assert round(2 * math.log(3 + 2 * ROOT_2) / 25, 2) == 0.14


def test_spike_is_a_step_forward_and_h_backward() -> None:
    x = torch.tensor([-2.0, 0.0, 0.1, 3.0], requires_grad=True)
    spk = lesson.surrogate(lambda x: x + 10)(x)
    assert spk.tolist() == [0, 0, 1, 1]
    (grad,) = torch.autograd.grad(spk, x, torch.tensor([1.0, -1.0, 2.0, 0.5]))
    assert grad.tolist() == pytest.approx([8.0, -10.0, 20.2, 6.5])


def test_grown_sigmoid_has_area_one() -> None:
    x = torch.linspace(-20, 20, 200_001, dtype=torch.float64)
    for width in (0.3, 1.0):
        area = torch.trapezoid(lesson.grown_sigmoid(x, width), x)
        assert area.item() == pytest.approx(1.0, abs=1e-6)


# -------------------------------------------------------------------- network and training


def test_network_is_the_equations(data) -> None:
    """Two hidden layers by hand: leak, add, pay; the read-out leaks and adds."""
    torch.manual_seed(1)
    net = lesson.Net([7, 5], lesson.surrogate(lesson.atan), 0.8)
    x = 3 * torch.rand(6, 784)
    u1, s1, u2, s2, out, total = (torch.zeros(6, n) for n in (7, 7, 5, 5, 10, 10))
    with torch.no_grad():
        for _ in range(9):
            u1 = 0.8 * u1 + net.fc[0](x) - s1
            s1 = (u1 > 1).float()
            u2 = 0.8 * u2 + net.fc[1](s1) - s2
            s2 = (u2 > 1).float()
            out = 0.8 * out + net.fc[2](s2)
            total += out
        assert s1.any()
        torch.testing.assert_close(net(x, 9), total / 9)


def test_hidden_gradient_by_hand() -> None:
    """One step: ∂L/∂w = ∂L/∂S · h(U − θ) · input."""
    torch.manual_seed(0)
    net = lesson.Net([3], lesson.surrogate(lesson.atan), 0.9)
    x, y = torch.rand(1, 784), torch.tensor([3])
    loss = F.cross_entropy(net(x, 1), y)
    (grad,) = torch.autograd.grad(loss, net.fc[0].weight)
    with torch.no_grad():
        u = net.fc[0](x)
        out = net.fc[1]((u > 1).float())
        error = (out.softmax(1) - torch.eye(10)[y]) @ net.fc[1].weight  # ∂L/∂S
        expected = (error / (1 + 4 * (u - 1) ** 2)).T @ x
    torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-8)


def test_equal_seeds_start_alike_and_see_the_same_batches(data) -> None:
    cfg = lesson.Config(**SMALL | {"epochs": 2}, device="cpu")
    args = (cfg, runner(), data)
    first, losses = lesson.train(*args, lesson.surrogate(lesson.true_slope), 5)
    assert len(losses) == 2 * math.ceil(200 / lesson.BATCH)
    assert torch.equal(first.fc[0].weight, lesson.start_weights(cfg, 5))
    again, losses_again = lesson.train(*args, lesson.surrogate(lesson.atan), 5)
    assert losses_again[0] == losses[0], "the first forward pass knows nothing of h"
    assert not torch.equal(again.fc[0].weight, first.fc[0].weight)


def test_accuracy_counts_the_images_it_is_given() -> None:
    marked = marked_splits()
    net = torch.nn.Linear(784, 10)
    with torch.no_grad():
        net.weight.zero_()
        net.bias.copy_(F.one_hot(torch.tensor(2), 10).float())
    cfg = lesson.Config(device="cpu")

    def answers(x, num_steps):
        return net(x)

    x, y = marked.x_test, marked.y_test
    assert lesson.accuracy(cfg, runner(), answers, x, y) == 0.75
    assert lesson.accuracy(cfg, runner(), answers, marked.x_val, marked.y_val) == 0


def test_walk_puts_the_weight_back_and_finds_stairs(data) -> None:
    cfg = lesson.Config(**SMALL, device="cpu")
    net, _ = lesson.train(cfg, runner(), data, lesson.surrogate(lesson.true_slope), 0)
    before = net.fc[0].weight.clone()
    losses = lesson.walk(cfg, runner(), data, net, np.array([-0.5, 0.0, 1e-7, 0.5]))
    assert torch.equal(net.fc[0].weight, before)
    assert losses[1] == losses[2]
    x, y = lesson.few_images(runner(), data)
    assert losses[1] == pytest.approx(F.cross_entropy(net(x, cfg.num_steps), y).item())


def test_downhill_sees_the_sign_and_leaves_the_weights(data) -> None:
    cfg = lesson.Config(**SMALL | {"hidden": 40}, device="cpu")
    net, _ = lesson.train(cfg, runner(), data, lesson.surrogate(lesson.atan), 0)
    x, y = lesson.few_images(runner(), data, 100)
    before = net.fc[0].weight.clone()
    down = lesson.downhill(cfg, net, lesson.atan, x, y)
    up = lesson.downhill(cfg, net, lambda x: -lesson.atan(x), x, y)
    assert down < 0 < up and torch.equal(before, net.fc[0].weight)
    assert lesson.downhill(cfg, net, lesson.true_slope, x, y) == pytest.approx(0, abs=1e-6)


def test_norms_are_those_of_each_hidden_layer(data) -> None:
    cfg = lesson.Config(**SMALL, device="cpu")
    torch.manual_seed(0)
    net = lesson.Net([12, 12, 12], lesson.surrogate(lesson.atan), 0.9)
    for fc in net.fc:
        torch.nn.init.normal_(fc.weight, std=0.5)
    x, y = lesson.few_images(runner(), data, 50)
    norms = lesson.layer_norms(cfg, net, lesson.straight_through, x, y)
    for lif in net.lif:
        lif.spike_grad = snn_surrogate.straight_through_estimator()
    F.cross_entropy(net(x, cfg.num_steps), y).backward()
    assert norms == pytest.approx([fc.weight.grad.norm().item() for fc in net.fc[:3]], rel=1e-4)


# -------------------------------------------------------------------- the numbers of each section


def test_section_1(tmp_path: Path, seen, monkeypatch) -> None:
    scores = iter([0.1, 0.3, 0.2, 0.2, 0.5, 0.7])  # four rates on validation images, then two seeds
    monkeypatch.setattr(lesson, "accuracy", lambda cfg, run, net, x, y: next(scores))
    run = run_section(lesson.section_true_gradient, tmp_path, **SMALL)
    assert run.value("true_moved") == 0
    assert run.value("true_accuracy") == pytest.approx(0.6)
    assert run.value("nudges") > 0.9
    assert seen.outcomes["true"] == "more than chance, below 90 %"
    assert "60.0 % of the test digits" in text_of(run) and "60.0 % of test digits" in seen.headline
    assert f"{100 * run.value('nudges'):.0f} of 100 small nudges" in text_of(run)
    assert seen.lines[0][0][1].shape == (201, 2) and seen.lines[1][0][1][-1, 0] == 0.025
    assert seen.titles[2] == "2 seeds, learning rate 0.02", "the second rate, 4 times --lr"


def test_section_1_scores_test_images_and_sees_a_move(tmp_path: Path, seen, monkeypatch) -> None:
    asked = []

    def accuracy(cfg, run, net, x, y):
        asked.append(len(y))
        return 0.95

    train = lesson.train

    def moving(*args, **options):
        net, losses = train(*args, **options)
        with torch.no_grad():
            net.fc[0].weight[3, 4] -= 0.25
        return net, losses

    monkeypatch.setattr(lesson, "accuracy", accuracy)
    monkeypatch.setattr(lesson, "train", moving)
    run = run_section(lesson.section_true_gradient, tmp_path, **SMALL)
    sizes = run.datasets[0]["sizes"]
    assert asked == [sizes["val"]] * 4 + [sizes["test"]] * 2
    assert sizes["test"] not in (sizes["train"], sizes["val"])
    assert run.value("true_moved") == pytest.approx(0.25)
    assert seen.outcomes["true"] == "90 % or more"


def test_section_2(tmp_path: Path, seen, monkeypatch) -> None:
    true_rates = [0.3, 0.2, 0.1, 0.1]  # --lr itself is the best rate in both arms:
    rates = [0.2, 0.3, 0.1, 0.1]  # of ATan's four it is the second
    scores = iter([*true_rates, 0.5, 0.7, *rates, 0.8, 1.0])
    monkeypatch.setattr(lesson, "accuracy", lambda cfg, run, net, x, y: next(scores))
    run = run_section(lesson.section_surrogate, tmp_path, **SMALL)
    assert run.value("atan_accuracy") == pytest.approx(0.9)
    assert run.value("gain") == pytest.approx(30)
    assert "60.0 % with the true gradient, 90.0 % with ATan" in seen.headline
    assert "+30.0 points" in text_of(run)
    assert run.findings[-1]["main"] and run.findings[-1]["claim"] == "atan_accuracy"
    moves = []
    for seed in (0, 1):
        args = (run.cfg, run, run.data(lesson.mnist, n_train=200))
        net, _ = lesson.train(*args, lesson.surrogate(lesson.atan), seed)
        start = lesson.start_weights(run.cfg, seed)
        moves.append((net.fc[0].weight.detach() - start).norm().item() / start.norm().item())
    assert run.value("atan_moved") == pytest.approx(np.mean(moves), rel=1e-4) and moves[0] > 0.01
    label, line = seen.lines[2][1]
    slope = (line[-1, 1] - line[0, 1]) / (line[-1, 0] - line[0, 0])
    assert label == f"ATan's slope, {slope:.2g}"


def test_the_surrogates_slope_is_a_trend_of_the_stairs(tmp_path: Path, seen) -> None:
    """Section 2 says so of the weight of section 1: the sign is that of the walk."""
    settings = SMALL | {"hidden": 40, "num_steps": 6, "epochs": 2}
    run_section(lesson.section_surrogate, tmp_path, **settings)
    stairs = seen.lines[2][0][1]
    line = seen.lines[2][1][1]
    trend = np.polyfit(stairs[60:141, 0], stairs[60:141, 1], 1)[0]
    assert trend * (line[-1, 1] - line[0, 1]) > 0


def test_section_3(tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_shapes, tmp_path)
    k = 2 * (ROOT_2 - 1)
    assert run.value("rest_fast") == pytest.approx(1 / (1 + k) ** 2)
    assert run.value("rest_atan") == pytest.approx(0.2)
    a = math.exp(-2 * math.log(3 + 2 * ROOT_2))
    assert run.value("rest_sigmoid") == pytest.approx(4 * a / (1 + a) ** 2, rel=1e-5)
    assert run.value("custom") == 0
    assert seen.outcomes["silent"] == "triangular and raised cosine"
    assert "30 % of its error by the fast sigmoid, 20 % by ATan, 11 %" in text_of(run)
    assert "nothing by triangular and raised cosine" in text_of(run)
    assert seen.headline.endswith("2 of 6 hand nothing to a neuron at rest")
    assert seen.titles[1].startswith("fast sigmoid: 0.3 at")
    rows = {row[0]: row[1:] for row in run.extra["tables"][0]["rows"]}
    assert rows["straight-through"] == ["1.000", "1.000"] and rows["ATan"] == ["0.500", "0.200"]


def test_section_3_with_a_wide_surrogate_leaves_nobody_out(tmp_path: Path, seen) -> None:
    run = run_section(lesson.section_shapes, tmp_path, width=4.0)
    assert seen.outcomes["silent"] == "none of the six" and "0 of 6" in seen.headline
    assert "nothing by none of the six" in text_of(run)


def fake_training(monkeypatch, reach):
    """``reach(h, lr, seed, split)`` instead of training; which h it is is told from h at x = −1."""

    def train(cfg, run, data, spike_grad, seed, hidden=None, n_train=None, lr=None, epochs=None):
        x = torch.tensor([-1.0], requires_grad=True)
        h = torch.autograd.grad(spike_grad(x).sum(), x)[0].item()
        return SimpleNamespace(h=h, lr=lr, seed=seed, n=n_train, hidden=hidden), [
            0.1 * k for k in range(1, 9)
        ]

    def accuracy(cfg, run, net, x, y):
        split = {
            n: s for s, n in run.data(lesson.mnist, n_train=cfg.n_train).facts()["sizes"].items()
        }
        return reach(net, split[len(y)])

    monkeypatch.setattr(lesson, "train", train)
    monkeypatch.setattr(lesson, "accuracy", accuracy)


def test_section_4(tmp_path: Path, seen, monkeypatch) -> None:
    """Each shape has its best rate on validation images; the test images say what it reaches."""

    def reach(net, split):
        best = 0.01 if net.h > 0.25 else 0.005  # the rate that suits this shape
        if split == "val":
            return 0.9 - abs(net.lr - best)
        assert split == "test" and net.lr == best, "another rate than validation chose"
        if net.h == 1:
            return 0.7 + 0.01 * net.seed
        return 0.9 - 0.1 * net.h + 0.01 * net.seed

    fake_training(monkeypatch, reach)
    run = run_section(lesson.section_shape_matters, tmp_path, **SMALL | {"seeds": 3})
    at_rest = [h(torch.tensor(-1.0)).item() for h in lesson.PEAKED.values()]
    means = [0.9 - 0.1 * h + 0.01 for h in at_rest]
    assert run.value("smooth_spread") == pytest.approx(100 * (max(means) - min(means)))
    assert run.value("error") == pytest.approx(1 / math.sqrt(3))  # seeds 0, 1, 2 points: s.d. 1
    assert run.value("ste") == pytest.approx(100 * (0.71 - np.mean(means)))
    spread = run.value("smooth_spread")
    assert f"lie within {spread:.2f} points" in text_of(run)
    assert (
        f"largest gap is {spread / math.sqrt(2 / 3):.1f} standard errors of a difference"
        in text_of(run)
    )
    assert f"{spread:.2f} points from best" in seen.headline and "mean 0.58" in seen.headline
    assert seen.texts[0][1] == f"{100 * means[1]:.2f} %, lr 0.01"
    assert seen.texts[0][0].endswith("lr 0.005")


@pytest.mark.parametrize("winner", [32.0, 1.0, 0.06])
def test_section_5(winner: float, tmp_path: Path, seen, monkeypatch) -> None:
    def reach(net, split):
        k = 1 / math.sqrt(net.h) - 1  # h = 1/(1 + k)² at x = −1
        width = 2 * (ROOT_2 - 1) / k
        assert net.n == 200 and net.hidden == [12] * 3 and net.lr == 0.01 and split == "test"
        return 0.9 - 0.05 * abs(math.log(width / winner)) + 0.01 * net.seed

    fake_training(monkeypatch, reach)

    def norms(cfg, net, h, x, y):
        width = h.keywords["width"]
        return [100 * width, 5.0, 2.0]

    monkeypatch.setattr(lesson, "layer_norms", norms)
    run = run_section(lesson.section_width_matters, tmp_path, **SMALL, depth=3)
    expected = {w: 0.905 - 0.05 * abs(math.log(w / winner)) for w in (32.0, 1.0, 0.06)}
    assert run.value("best") == pytest.approx(0.905, abs=1e-5)
    assert run.value("flat") == pytest.approx(100 * (expected[32.0] - 0.905), abs=1e-3)
    assert run.value("steep") == pytest.approx(100 * (expected[0.06] - 0.905), abs=1e-3)
    assert run.value("grows") == pytest.approx(1600)
    assert run.value("shrinks") == pytest.approx(3.0)
    answers = {32.0: "the widest", 1.0: "one in between"}
    narrow = "the narrowest, nearest to the true step"
    assert seen.outcomes["best_width"] == answers.get(winner, narrow)
    read = ", ".join(f"{100 * m:.0f} % at {w:g}·θ" for w, m in expected.items())
    assert seen.headline.endswith(f"8 updates: {read}")
    assert f"8 updates lead to {read} of the test digits" in text_of(run)
    told = "the training loss was 0.30, 0.30, 0.30 nats"
    assert told in text_of(run), "after a quarter: the third of eight losses, 0.3"


def test_section_6(tmp_path: Path, seen, monkeypatch) -> None:
    named = {}

    def downhill(cfg, net, h, x, y):
        above = h(torch.tensor([0.1])).item()
        fresh = torch.equal(net.fc[0].weight.detach(), lesson.start_weights(cfg, 0))
        fresh = fresh or torch.equal(net.fc[0].weight.detach(), lesson.start_weights(cfg, 1))
        return 0.5 * (-1 if above > 0 else 1) - 0.7 * fresh

    def accuracy(cfg, run, net, x, y):
        spike_grad = net.lif[0].spike_grad
        x = torch.tensor([-5.0, 0.5], requires_grad=True)
        low, high = torch.autograd.grad((1e-3 * spike_grad(x)).sum(), x)[0].tolist()
        kind = "nan" if math.isnan(low) else "negative" if high < 0 else "good"
        if low == high == 0:
            return 0.6  # the true gradient, of section 1
        named[kind] = named.get(kind, 0) + 1
        return {"nan": 0.1, "negative": 0.7, "good": 0.9}[kind]

    monkeypatch.setattr(lesson, "downhill", downhill)
    monkeypatch.setattr(lesson, "accuracy", accuracy)
    run = run_section(lesson.section_defaults, tmp_path, **SMALL)
    assert named == {"nan": 2, "negative": 2, "good": 4}
    assert run.value("triangular") == pytest.approx(0.7)
    assert run.value("sigmoid") == pytest.approx(0.1)
    assert run.value("safe_sigmoid") == pytest.approx(0.9)
    assert run.value("uphill") == pytest.approx(0.5)
    edge = -math.log(torch.finfo(torch.float32).max) / 25
    assert run.value("nan_edge") == pytest.approx(edge, abs=2e-3)
    assert seen.outcomes["wrong_sign"] == "above chance, below 90 %"
    assert "by -0.200 nats in an untrained network and by +0.500 after" in text_of(run)
    assert "(our triangle: -0.500)" in text_of(run)
    assert "70 % of the test digits, the true gradient at its own best rate 60 %" in text_of(run)
    assert "triangular() 70 %, sigmoid() 10 %, without their faults 90 and 90 %" in seen.headline


def test_section_6_counts_poisoned_neurons(tmp_path: Path, seen, monkeypatch) -> None:
    """A neuron far below θ in some image has NaN weights after training, and only such a one."""
    run = run_section(lesson.section_defaults, tmp_path, **SMALL | {"seeds": 1})
    train = lesson.train

    def poison(*args, **options):
        net, losses = train(*args, **options)
        with torch.no_grad():
            net.fc[0].weight.zero_()
            net.fc[0].weight[:3, 5] = math.nan
        return net, losses

    monkeypatch.setattr(lesson, "train", poison)
    monkeypatch.setattr(lesson, "downhill", lambda *_: 0.0)
    run = run_section(lesson.section_defaults, tmp_path / "again", **SMALL | {"seeds": 1})
    assert run.value("poisoned") == pytest.approx(3 / 12)
    assert "25 % of the trained neurons" in text_of(run)


def test_the_traps_of_snntorch() -> None:
    """Section 6 says what triangular() and sigmoid() of this version do."""
    at = torch.tensor([-0.1, 0.0, 0.1])
    theirs = lesson.handed_back(snn_surrogate.triangular(), at)
    assert theirs.tolist() == [1, -1, -1] == lesson.snntorch_triangular(at).tolist()
    nan = lesson.handed_back(snn_surrogate.sigmoid(), torch.tensor([-4.0, -3.5]), error=1e-3)
    assert nan.isnan().tolist() == [True, False]
    assert not (torch.tensor(math.nan) > 1.0), "a neuron of NaN is silent"
    fc, lif = torch.nn.Linear(2, 1), snn.Leaky(beta=0.9, spike_grad=snn_surrogate.sigmoid())
    spk, _ = lif(fc(torch.full((1, 2), -10.0)) - 10, torch.zeros(1))
    spk.sum().backward()
    assert fc.weight.grad.isnan().all()


# -------------------------------------------------------------------- at the edges


@pytest.mark.parametrize(
    "flags",
    [
        ["--num-steps=1", "--hidden=1", "--depth=1", "--n-train=1", "--sweep-train=1"],
        ["--width=0.02", "--beta=0", "--seeds=1", "--seed=3", "--num-steps=1", "--hidden=6"],
    ],
)
def test_whole_lesson_at_the_edges(flags, tmp_path: Path, seen) -> None:
    """One step, one neuron, one image; hardly any width: every number stays a number."""
    seen.drawn = True
    flags = [*flags, "--smoke", "--device=cpu", f"--out-dir={tmp_path}"]
    start(lesson.main, lesson.Config, lesson.SMOKE, lesson.FULL, flags)
    assert (tmp_path / "smoke" / "07_surrogate_gradients" / "metrics.json").is_file()
