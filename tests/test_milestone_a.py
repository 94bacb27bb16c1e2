"""Milestone A: the network stepped against unrolled, operations counted twice, the penalty, the analysis."""

from __future__ import annotations

import math
import re

from common.cost import workload
from common.data import ImageData
from common.io import UserError
from common.lesson import begin, parse
from common.run import Run
from common.spiking import constant_current, reset_state
from datafiles.digits import digits
from tutor.journal import write_entry

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import load_script, run_main
from nets import Always, marked_splits

m = load_script("milestone_a_fashion_mnist")
SHAPES = [((4, 8), 16), ((3, 3, 4, 4), 12), ((), 20)]


def net(
    channels: tuple[int, ...] = (4, 8), num_hidden: int = 16, **other: float
) -> torch.nn.Module:
    torch.manual_seed(0)
    made = m.Net(channels, num_hidden, **other)
    for layer in made.synapses.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # statistics that are not the initial ones
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.fill_(0.02)
        elif isinstance(layer, torch.nn.Linear):
            layer.weight.data *= 3
    return made.eval()


def images(n: int = 40) -> torch.Tensor:
    return digits()[0][:n].float() / 255


def data(n: int = 60) -> ImageData:
    x, y, *_ = digits()
    return ImageData("digits", True, tuple("0123456789"), x[:n], y[:n], x[:n], y[:n], x[:n], y[:n])


@pytest.mark.parametrize(("channels", "num_hidden"), SHAPES)
@pytest.mark.parametrize("alpha", [None, 0.5])
def test_forward_and_run_are_one(
    channels: tuple[int, ...], num_hidden: int, alpha: float | None
) -> None:
    made, x = net(channels, num_hidden, alpha=alpha), images(6)
    with torch.no_grad():
        spk, mem, hidden = made.run(constant_current(x, 7))
        reset_state(made)
        steps = [made(x) for _ in range(7)]
    torch.testing.assert_close(torch.stack([s for s, _ in steps]), spk)
    torch.testing.assert_close(torch.stack([u for _, u in steps]), mem, atol=1e-4, rtol=1e-4)
    assert spk.shape == mem.shape == (7, 6, 10) and len(hidden) == len(channels) + 1
    assert all(0 < h.mean() < 1 for h in hidden), "a silent layer would prove nothing"


def test_sizes() -> None:
    for channels, stretched in (
        ((4, 8), [(4, 14, 14), (8, 7, 7)]),
        ((3, 3, 4, 4), [(3, 28, 28), (3, 14, 14), (4, 14, 14), (4, 7, 7)]),
    ):
        hidden = net(channels).run(constant_current(images(2), 2))[2]
        assert [tuple(h.shape[2:]) for h in hidden[:-1]] == stretched


def test_held_input_is_the_same_as_a_written_out_one() -> None:
    """The first convolution is computed once for a constant image; nothing else may follow from that."""
    made, x = net(), images(5)
    with torch.no_grad():
        a, b = made.run(constant_current(x, 4)), made.run(x.repeat(4, 1, 1, 1, 1))
    torch.testing.assert_close(a[1], b[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("channels", "num_hidden"), SHAPES)
def test_operations_agree_with_neurobench(channels: tuple[int, ...], num_hidden: int) -> None:
    """Two counts by different means: convolving spikes with ones, and NeuroBench's hooks."""
    made, x = net(channels, num_hidden), constant_current(images(20), 5)
    with torch.no_grad():
        hidden = made.run(x)[2]
    own = sum(m.layer_operations(made, spk, i + 1) for i, spk in enumerate(hidden))
    assert own > 0 and own == pytest.approx(workload(made, x)["acs"], rel=1e-6)


def test_one_spike_costs_its_fan_out() -> None:
    made = net((2, 32))
    for row, expected in (
        (6, 32 * 2),
        (7, 32 * 4),
    ):  # of 3×3 places, stride 2 visits 1·2 or 2·2 away from borders
        spk = torch.zeros(1, 1, 2, 14, 14)
        spk[0, 0, 0, row, 7] = 1
        assert m.layer_operations(made, spk, 1) == expected
    everywhere = torch.zeros(1, 1, 2, 14, 14)
    everywhere[:, :, 0, 2:12, 2:12] = 1
    assert m.layer_operations(made, everywhere, 1) / 100 == pytest.approx(9 / 4 * 32), (
        "the quiz's 72"
    )


def test_penalty() -> None:
    out = (
        torch.zeros(5, 4, 10),
        torch.randn(5, 4, 10),
        (torch.ones(5, 4, 3, 2, 2), torch.zeros(5, 4, 6)),
    )
    y = torch.tensor([0, 1, 2, 3])
    entropy = F.cross_entropy(out[1].mean(0), y)
    assert m.penalised_loss(out, y, 0.0, (0.25, 0.75)) == entropy
    torch.testing.assert_close(m.penalised_loss(out, y, 0.7, (0.25, 0.75)), entropy + 0.7 * 0.25)


def test_penalty_is_the_share_of_possible_operations() -> None:
    """If all neurons fired, Σ w·mean(S) would be 1; and conv 1's weight is its neurons times fan-out."""
    made = net((16, 32), 128)
    weights = m.operation_weights(made, torch.device("cpu"))
    assert sum(weights) == pytest.approx(1)
    # of stride 2 on 14 pixels, 3 taps, padding 1: 3·7 − 1 = 20 taps meet a pixel along each side
    most = [16 * 20**2 * 32, 32 * 49 * 128, 128 * 10]
    assert weights == pytest.approx([w / sum(most) for w in most])


def test_penalty_lowers_rates() -> None:
    """Its gradient goes through the surrogate: plain descent on the penalty alone makes fewer spikes."""
    made, x, y = net(), constant_current(images(20), 4), digits()[1][:20]
    optimizer, totals = torch.optim.SGD(made.parameters(), lr=1.0), []
    weights = [1 / 3] * 3
    for _ in range(15):
        out = made.run(x)
        totals.append(sum(s.mean().item() for s in out[2]))
        optimizer.zero_grad()
        (m.penalised_loss(out, y, 1.0, weights) - m.membrane_loss(out, y)).backward()
        optimizer.step()
    assert totals[-1] < 0.9 * totals[0], totals


def test_poisson_mean_and_spread() -> None:
    """Quiz: the rate of p = 0.5 over five steps has the standard deviation √(0.25/5)."""
    torch.manual_seed(0)
    spk = m.poisson(torch.full((20_000, 1), 0.5), 5)
    assert spk.shape == (5, 20_000, 1) and set(spk.unique().tolist()) == {0.0, 1.0}
    rate = spk.mean(0)
    assert rate.mean().item() == pytest.approx(0.5, abs=0.01)
    assert (
        rate.std().item()
        == pytest.approx(math.sqrt(0.25 / 5), abs=0.005)
        == pytest.approx(0.2236, abs=0.005)
    )


def test_worst_pair_and_best_saving() -> None:
    confusion = np.diag([90, 80, 70])
    confusion[0, 2], confusion[2, 0], confusion[1, 2] = 6, 4, 5
    assert m.worst_pair(confusion, ("a", "b", "c")) == ("a", "c", pytest.approx(10 / 15))
    sweep = {
        "strengths": (0.0, 1.0, 2.0, 3.0),
        "accuracy": np.array([[0.90, 0.91, 0.895, 0.80]] * 2),
        "synops": np.array([[100.0, 90.0, 60.0, 10.0]] * 2),
    }
    assert m.best_saving(sweep) == (2.0, pytest.approx(0.4), pytest.approx(0.005))
    assert m.best_saving(sweep, loss=0.2)[0] == 3.0
    sweep["accuracy"] = np.array([[0.9, 0.1, 0.1, 0.1]])
    assert m.best_saving(sweep) == (0.0, 0.0, 0.0), "the control is always allowed"


def test_worst_pair_without_an_error() -> None:
    assert m.worst_pair(np.diag([5, 5]), ("a", "b"))[2] == 0


def smoke(tmp_path, *flags: str) -> tuple[object, Run]:
    cfg = parse(
        m.Config,
        ["--smoke", "--device", "cpu", "--out-dir", str(tmp_path), *flags],
        m.SMOKE,
        m.FULL,
        "m.py",
    )
    return cfg, begin(cfg, "milestone_a_fashion_mnist", m.__doc__)


def test_experiments_and_analysis(tmp_path) -> None:
    cfg, run = smoke(tmp_path)
    small = data()
    trained = m.experiment_train(cfg, small, run)
    assert trained["confusion"].sum() == 60
    assert np.trace(trained["confusion"]) / 60 == pytest.approx(trained["accuracy"])
    inside = m.experiment_layers(trained["net"], small, cfg, run)
    for row in inside["layers"]:
        assert row["spikes"] == pytest.approx(
            row["rate"] * row["neurons"] * cfg.num_steps, rel=1e-4
        )
        assert row["rate"] <= row["active"] <= 1 - 0.999 * row["silent"] + 1e-6
    before = [p.clone() for p in trained["net"].parameters()]
    sparsity = m.experiment_sparsity(trained["net"], cfg, small, run)
    assert all(
        torch.equal(p, q) for p, q in zip(before, trained["net"].parameters(), strict=True)
    ), "on copies only"
    choices = {"as designed": [0.5, 0.6], "other": [0.4, 0.5]}
    page = m.analysis(trained, inside, choices, sparsity, "digits")
    assert not re.search(r"\bnan\b|\binf\b", page)
    assert f"{100 * trained['accuracy']:.1f} %" in page and "other -10.0 points" in page
    assert 350 < len(page.split()) < 900, "about a page"
    for question in (
        "How does sparsity change across layers?",
        "trade-off between accuracy and sparsity?",
    ):
        assert question in page
    write_entry({"lesson": "milestone_a_fashion_mnist", "analysis": page}, tmp_path / "journal.md")
    assert page in (tmp_path / "journal.md").read_text(encoding="utf-8")
    for fig in (
        m.plot_training(trained),
        m.plot_confusion(trained),
        m.plot_rasters(inside),
        m.plot_layers(inside),
        m.plot_sparsity(sparsity),
    ):
        assert fig._suptitle.get_text()
    plt.close("all")


def test_a_silent_network_is_described_without_a_fault(tmp_path) -> None:
    cfg, run = smoke(tmp_path)
    made = net()
    for p in made.parameters():
        p.data.zero_()
    inside = m.experiment_layers(made, data(), cfg, run)
    assert all(
        r["rate"] == 0 and r["silent"] == 1 and r["operations"] == 0 for r in inside["layers"]
    )
    m.plot_rasters(inside)
    m.plot_layers(inside)
    plt.close("all")


def test_resume_goes_on_and_refuses_another_network(tmp_path) -> None:
    cfg, run = smoke(tmp_path)
    first = m.experiment_train(cfg, data(), run)
    cfg, run = smoke(tmp_path, "--resume")
    again = m.experiment_train(cfg, data(), run)
    assert len(again["history"]) == 1 and np.array_equal(first["confusion"], again["confusion"])
    cfg, run = smoke(tmp_path, "--resume", "--num-hidden", "17")
    with pytest.raises(UserError, match="num_hidden is .* there, 17 here"):
        m.experiment_train(cfg, data(), run)


def test_the_reference_tells_the_student_to_try_first() -> None:
    assert "your own work" in m.__doc__ and "Close this file" in m.__doc__


def test_quiz_numbers() -> None:
    alpha = 0.9
    assert 1 - alpha**5 == pytest.approx(0.41, abs=0.005)
    assert 3136 * 0.1 * 72 / (128 * 0.4 * 10) == pytest.approx(44.1)
    assert 0.5 * math.erfc(1 / math.sqrt(2)) == pytest.approx(1 / 6, abs=0.01), (
        "N(0, 1) above θ = 1: one in six"
    )


# ------------------------------------------------------------------ what is published


def stub_ledger_row(net, sample, **row) -> dict:
    return {"synops": 1234.0, **row}


def test_training_is_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """The membrane always says 2, the counts always 3."""
    cfg, run = smoke(tmp_path)
    monkeypatch.setattr(m, "make_net", lambda cfg, seed: Always(2, spikes=3))
    monkeypatch.setattr(m, "fit", lambda *_, **__: [])
    r = m.experiment_train(cfg, marked_splits(), run)
    assert r["accuracy"] == 0.75 and r["count"] == 0.25
    expected = np.zeros((10, 10))
    expected[2, 2], expected[3, 2] = 30, 10  # row: true class
    assert np.array_equal(r["confusion"], expected)


def test_sweeps_are_scored_on_the_test_images(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Networks that answer 2 with the first seed, 3 with the second; the penalty counts its own SynOps."""
    cfg, run = smoke(tmp_path, "--seeds", "2")
    monkeypatch.setattr(m, "make_net", lambda cfg, seed, **other: Always(2 + seed))
    monkeypatch.setattr(m, "fit", lambda *_, **__: [])
    choices = m.experiment_choices(cfg, marked_splits(), run)
    assert list(choices.values()) == [[0.75, 0.25]] * 4

    def fit(net, data, encode, *, loss_fn, seed, **_) -> None:
        """What training does here: answer by seed, and fire less the stronger the penalty is."""
        strength = loss_fn.keywords["strength"]
        net.answer, net.strength = 2 + seed, strength
        net.more = ((torch.full((2, 3, 4), 1 / (1 + strength)), torch.zeros(2, 3, 4)),)

    trained = Always(5)
    trained.names = ["a", "b"]
    monkeypatch.setattr(m, "fit", fit)
    monkeypatch.setattr(m, "operation_weights", lambda *_: [0.5, 0.5])
    monkeypatch.setattr(m, "workload", lambda net, x: {"acs": 100 / (1 + net.strength), "macs": 7})
    r = m.experiment_sparsity(trained, cfg, marked_splits(), run)
    assert r["accuracy"].tolist() == [[0.75] * 4, [0.25] * 4]
    assert r["synops"].tolist() == [[100, 50, 25, 100 / 11]] * 2
    assert r["rates"][0].T == pytest.approx(np.array([[1, 0.5, 0.25, 1 / 11], [0] * 4]))


def test_spikes_and_rates_of_a_known_layer(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Of four neurons one fires at each of three steps, one only once in the first image, two never."""
    cfg, run = smoke(tmp_path)
    spk = torch.zeros(3, 40, 4)
    spk[:, :, 0] = 1
    spk[1, 0, 1] = 1
    net = Always(2, more=((spk,),))
    net.names = ["only"]
    monkeypatch.setattr(m, "layer_operations", lambda net, spk, layer: 10.0 * layer)
    (row,) = m.experiment_layers(net, marked_splits(), cfg, run)["layers"]
    assert row["neurons"] == 4 and row["spikes"] == pytest.approx(3 + 1 / 40)
    assert row["rate"] == pytest.approx((3 + 1 / 40) / 12)
    assert row["active"] == pytest.approx((1 + 1 / 40) / 4) and row["silent"] == 0.5
    assert row["operations"] == 10


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(m, name, lambda *_, **__: value)  # noqa: E731
    confusion = np.diag([90.0, 80, 70])
    confusion[0, 2], confusion[2, 0], confusion[1, 2] = 6, 4, 5
    trained = {
        "net": Always(0),
        "history": [{"seconds": 5.0}, {"seconds": 9.0}],
        "confusion": confusion,
        "classes": ("a", "b", "c"),
        "accuracy": 0.9,
        "count": 0.8,
    }
    set_("experiment_train", trained)
    row = {"name": "x", "neurons": 1, "silent": 0.0, "spikes": 1.0, "operations": 1.0}
    layers = [row | {"rate": 0.3}, row | {"rate": 0.2}, row | {"rate": 0.1}]
    set_("experiment_layers", {"layers": layers, "n": 7})
    names = ("as designed", "Synaptic", "Poisson", "dense")
    set_("experiment_choices", {name: [0.1 * i, 0.1 * i + 0.02] for i, name in enumerate(names)})
    accuracy = np.array([[0.9, 0.9, 0.8, 0.7], [0.9, 0.9, 0.9, 0.7]])
    synops = np.array([[100.0, 80, 60, 10], [300, 240, 60, 30]])
    set_(
        "experiment_sparsity", {"accuracy": accuracy, "synops": synops, "strengths": (0, 1, 3, 10)}
    )
    set_("analysis", "a page")
    monkeypatch.setattr(m, "ledger_row", stub_ledger_row)
    run = run_main(m, tmp_path, monkeypatch, marked_splits(), seeds=2)
    value = run.value
    assert value("accuracy") == 0.9 and value("accuracy_count") == 0.8 and value("seconds") == 9
    assert value("worst_pair") == pytest.approx(10 / 15)
    assert value("rate_first") == 0.3 and value("rate_last") == 0.1 and value("synops") == 1234
    choices = [value(f"choice_{k}") for k in ("design", "synaptic", "poisson", "dense")]
    assert choices == pytest.approx([0.01, 0.11, 0.21, 0.31])
    # λ = 3 costs five points; λ = 1 nothing and saves a fifth
    assert value("saved") == pytest.approx(0.2)
    assert value("saved_strongest") == pytest.approx(0.9)
    assert value("lost_strongest") == pytest.approx(0.2)
    assert run.ledger_rows[0]["accuracy"] == 0.9 and run.ledger_rows[0]["n"] == 40
