"""Lesson 08: the loop by hand against snnTorch and a pencil-and-paper case, resets, swapped axes, counting."""

from __future__ import annotations

from common.data import ImageData
from common.io import UserError
from common.spiking import check_time_first, reset_state, spiking_layers
from datafiles.digits import digits

import matplotlib.pyplot as plt
import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script, run_main
from nets import Always, marked_splits
from snntorch import utils

m = load_script("08_feedforward_snn")
CPU = torch.device("cpu")


def net(num_hidden: int = 24, beta: float = 0.9, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    made = m.Net(num_hidden=num_hidden, beta=beta)
    with torch.no_grad():
        for fc in (made.fc1, made.fc2):
            fc.weight *= 4  # lively: most neurons spike
    return made


def images(n: int = 60) -> ImageData:
    x, y, *_ = digits()
    return ImageData("digits", True, tuple("0123456789"), x[:n], y[:n], x[:n], y[:n], x[:n], y[:n])


def small(**more: int) -> object:
    return m.Config(
        **{"num_steps": 6, "num_hidden": 24, "test_images": 60, "batch_size": 10, "networks": 3}
        | more
    )


# ------------------------------------------------------------------ the equations


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
def test_three_ways_are_one(beta: float) -> None:
    made, x = net(beta=beta), torch.rand(11, 5, 784)  # T, B and N all different
    hand = m.time_loop(made, x)
    reset_state(made)
    stepped, unrolled = m.step_loop(made, x), made.run(x)
    assert 0.02 < hand["spk2"].mean() < 0.9, "a silent network would prove nothing"
    for spk, mem in (stepped, unrolled):
        assert (spk != hand["spk2"]).float().mean() <= 1e-3
        torch.testing.assert_close(mem, hand["mem2"], atol=1e-4, rtol=1e-4)
    assert {k: tuple(v.shape) for k, v in hand.items()} == {
        "cur1": (11, 5, 24),
        "mem1": (11, 5, 24),
        "spk1": (11, 5, 24),
        "cur2": (11, 5, 10),
        "mem2": (11, 5, 10),
        "spk2": (11, 5, 10),
    }


def test_the_loop_by_pencil_and_paper() -> None:
    """One input, one hidden, one output neuron, weights 1, current 0.6, β = 0.5."""
    made = m.Net(1, 1, 1, beta=0.5)
    with torch.no_grad():
        for fc, w in ((made.fc1, 1.0), (made.fc2, 2.0)):
            fc.weight.fill_(w)
            fc.bias.zero_()
    rec = m.time_loop(made, torch.full((5, 1, 1), 0.6))
    # U1: 0.6, 0.9, 1.05 (spike), 0.5·1.05 + 0.6 − 1 = 0.125, 0.6625
    assert rec["mem1"].flatten().tolist() == pytest.approx([0.6, 0.9, 1.05, 0.125, 0.6625])
    assert rec["spk1"].flatten().tolist() == [0, 0, 1, 0, 0]
    # the hidden spike of step 3 arrives in the same step: U2 = 2, spike; then 0.5·2 − 1 = 0
    assert rec["mem2"].flatten().tolist() == pytest.approx([0, 0, 2, 0, 0])
    assert rec["spk2"].flatten().tolist() == [0, 0, 1, 0, 0]


def test_gradient_reaches_the_first_layer_through_forward_and_run() -> None:
    grads = []
    for way in ("forward", "run"):
        made, x = net(), torch.rand(4, 3, 784, generator=torch.Generator().manual_seed(1))
        reset_state(made)
        _, mem = m.step_loop(made, x) if way == "forward" else made.run(x)
        mem.square().mean().backward()
        grads.append(made.fc1.weight.grad)
    assert grads[0].abs().sum() > 0
    torch.testing.assert_close(grads[0], grads[1], atol=1e-5, rtol=1e-4)


def test_reading_a_class() -> None:
    spk = torch.zeros(4, 3, 10)
    spk[:, 0, 7] = 1
    spk[:2, 1, 5], spk[2:, 1, 2] = 1, 1  # a tie, two each: the lower class
    assert m.read_class(spk).tolist() == [7, 2, 0]  # the silent one becomes class 0
    assert torch.equal(m.read_class(spk), spk.mean(0).argmax(1)), "a rate is a count over T"


# ------------------------------------------------------------------ resets


def test_answers_with_reset_depend_on_nothing_else() -> None:
    made, x = net(), images().x_test
    whole = m.read_class(made.run(m.encode(x.float() / 255, 6))[0])
    for batch_size in (1, 7, 10, 60):
        assert torch.equal(m.answers(made, x, 6, batch_size, True), whole)
    without = m.answers(made, x, 6, 10, False)
    assert torch.equal(without[:10], whole[:10]), "the first batch starts at rest"
    assert (without[10:] != whole[10:]).any()
    assert all(not n.mem.any() for n in spiking_layers(made).values()), "leaves no state behind"


def test_what_is_left_over_fades_by_beta() -> None:
    """Quiz: 0.95·0.9^10 is left of a potential after ten dark steps."""
    lif = snn.Leaky(beta=0.9, init_hidden=True)
    lif(torch.tensor([[0.95]]))
    for _ in range(10):
        lif(torch.zeros(1, 1))
    assert lif.mem.item() == pytest.approx(0.95 * 0.9**10) and 0.95 * 0.9**10 == pytest.approx(
        0.331, abs=5e-4
    )


def test_another_batch_size_starts_a_new_state_in_silence() -> None:
    lif = snn.Leaky(beta=0.9, init_hidden=True)
    lif(torch.full((4, 2), 0.5))
    lif(torch.zeros(3, 2))
    assert lif.mem.shape == (3, 2) and not lif.mem.any()


def test_reset_reach_table() -> None:
    assert m.experiment_reset_reach(small(), images(), CPU) == {
        "utils.reset(flat)": {"own": 0, "other": 0},
        "utils.reset(nested)": {"own": 1, "other": 1},
        "reset_state(flat)": {"own": 0, "other": 1},
        "reset_state(nested)": {"own": 0, "other": 1},
    }


def test_nested_is_the_same_network() -> None:
    made, nested, x = net(), m.Nested(num_hidden=24), torch.rand(5, 3, 784)
    nested.load_state_dict(
        {
            k.replace("fc1.", "block1.0.")
            .replace("lif1.", "block1.1.")
            .replace("fc2.", "block2.0.")
            .replace("lif2.", "block2.1."): v
            for k, v in made.state_dict().items()
        }
    )
    torch.testing.assert_close(m.step_loop(nested, x)[1], made.run(x)[1], atol=1e-5, rtol=1e-4)
    utils.reset(nested)
    assert m.potentials(nested).any(), (
        "this is the trap; if it has gone, snnTorch has mended it: rewrite section 3"
    )


def test_training_without_reset_raises_and_with_reset_does_not() -> None:
    made, data = net(), images()
    assert "backward through the graph a second time" in m.experiment_training_without_reset(
        small(), made, data, CPU
    )
    for _ in range(2):
        reset_state(made)
        m.step_loop(made, m.encode(data.x_train[:4].float() / 255, 3))[1].sum().backward()


# ------------------------------------------------------------------ batch and time


def test_swapped_axes() -> None:
    r = m.experiment_swapped(small(), net(), images(), CPU)
    assert r["shape"] == (13, 6, 10)
    assert (
        "(13, 6, 784)" in r["seen"]["check_time_first"]
        and "transpose(0, 1)" in r["seen"]["check_time_first"]
    )
    assert r["seen"]["loss"] and not r["seen"]["check_time_first, T = B"]
    right, wrong = r["influence"].values()
    assert m.leaked(right) == pytest.approx(0, abs=1e-6) and (np.diag(right) > 0).all()
    assert m.leaked(wrong) > 0.5
    # constant input: every row of the swapped batch sees the same sequence, so all rows are alike
    assert np.allclose(wrong, wrong[0], atol=1e-6)


def test_swapping_twice_and_hostile_shapes() -> None:
    x = torch.rand(25, 32, 4)
    assert check_time_first(x, 25) is x
    with pytest.raises(UserError, match="transpose"):
        check_time_first(x.transpose(0, 1), 25)
    with pytest.raises(UserError, match="check num_steps"):
        check_time_first(x, 7)
    with pytest.raises(RuntimeError):
        net().run(
            torch.rand(3, 2, 700)
        )  # a wrong number of pixels is the one mistake that does raise


# ------------------------------------------------------------------ counting, chance


def test_parameters_and_state() -> None:
    r = m.experiment_where(small(num_hidden=100, batch_size=64), CPU)
    assert {p for p, _ in [*r["by_batch"], *r["by_steps"]]} == {79_510}
    assert [s for _, s in r["by_batch"]] == [110 * b for b in r["sizes"]]
    assert {s for _, s in r["by_steps"]} == {7040}, "the quiz's 784–100–10 with a batch of 64"
    assert r["layers"] == [
        ("fc1", 78_500, 0),
        ("lif1", 0, 6400),
        ("fc2", 1010, 0),
        ("lif2", 0, 640),
    ]
    assert r["saved"] == []


def test_untrained_ties() -> None:
    data = images()
    r = m.experiment_untrained(small(networks=3, num_steps=1), data, CPU)
    assert r["tied"] > 0.9, "in one step hardly anything spikes"
    share_of_0 = (data.y_test == 0).float().mean().item()
    assert np.abs(r["lowest"] - share_of_0).max() < 0.1, "all ties become class 0"


def test_figures() -> None:
    cfg, data, made = small(), images(), net()
    results = [
        m.plot_no_reset(m.experiment_no_reset(cfg, made, data, CPU)),
        m.plot_reach(m.experiment_reset_reach(cfg, data, CPU)),
        m.plot_loop(m.experiment_shapes(cfg, made, data, CPU)),
    ]
    for fig in results:
        assert fig.axes and fig._suptitle.get_text()
    plt.close("all")


def test_no_reset_with_few_images() -> None:
    """A batch larger than half the test set is made smaller, so that there is a batch to be spoilt."""
    r = m.experiment_no_reset(small(batch_size=500), net(), images(), CPU)
    assert r["n"] == 30 and np.isfinite(r["flips"]).all() and r["order_matters_with_reset"] == 0


# ------------------------------------------------------------------ what is published


def test_no_reset_counts_flips_and_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reset an image is answered by its own mean; without one every answer after the first batch is 9."""
    y = torch.tensor([3, 1, 2, 0, 3, 3, 1, 2])
    data = ImageData(
        "x", True, (), *[torch.zeros(8, 1, 1, 1), torch.full((8,), 9)] * 2, y.view(8, 1, 1, 1), y
    )

    def answers(made, x, num_steps, batch_size, reset):
        told = x.flatten().clone()
        told[told == 3] = 0  # wrong for every 3
        if not reset:
            told[batch_size:] = 9
        return told

    monkeypatch.setattr(m, "answers", answers)
    r = m.experiment_no_reset(small(batch_size=2, test_images=8), net(), data, CPU)
    assert r["flips"] == [1.0] * len(r["steps"]) and r["flips_now"] == 1 and r["n"] == 6
    assert r["orders"]["reset, any order"] == 5 / 8
    assert r["orders"]["no reset, as the test set comes"] == 1 / 8, "of 3 and 1 only 1 is right"
    assert r["orders"]["no reset, sorted by class"] == 2 / 8, "0 and 1 come first and are right"
    assert r["order_matters_with_reset"] == 0


def test_untrained_networks_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent networks: all classes tie, argmax says 0, a lot says each class equally often."""
    y = torch.arange(200) % 10
    data = ImageData("x", True, (), *[torch.zeros(200, 1, 28, 28), y] * 3)
    monkeypatch.setattr(m.Net, "run", lambda self, x: (torch.zeros(*x.shape[:2], 10), None))
    r = m.experiment_untrained(small(networks=50, test_images=200), data, CPU)
    assert r["lowest"] == pytest.approx(np.full(50, 0.1)) and r["tied"] == 1 and r["n"] == 200
    assert r["drawn"].mean() == pytest.approx(0.1, abs=0.01)
    assert r["binomial"] == pytest.approx((0.1 * 0.9 / 200) ** 0.5)
    assert r["error"] == pytest.approx(r["binomial"] / 50**0.5, rel=0.4)


def test_swapped_axes_are_scored_on_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that answers 2 if the first step is the second one (time first), and 3 otherwise."""

    class ByAxis(Always):
        def run(self, x):
            self.answer = self.spikes = 2 if torch.equal(x[0], x[1]) else 3
            return super().run(x)

    data = marked_splits()
    data.x_test[0], data.x_test[8], data.x_test[16], data.x_test[24], data.x_test[32] = [0] * 5
    monkeypatch.setattr(m, "influence", lambda *_: None)
    r = m.experiment_swapped(small(num_steps=8), ByAxis(2), data, CPU)
    assert r["n"] == 40 and r["accuracy"] == {"time first": 0.75, "batch first": 0.25}


def test_claims_are_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    set_ = lambda name, value: monkeypatch.setattr(m, name, lambda *_: value)  # noqa: E731
    set_("trained_net", None)
    set_(
        "experiment_shapes",
        {"shapes": [], "times": {}, "differ": {"forward": 0.1, "run": 0.2}, "n": 1},
    )
    orders = {"reset": 0.9, "as it comes": 0.8, "sorted": 0.7}
    flips = {"flips": [0.3, 0.6, 0.2], "flips_now": 0.2, "n": 1, "n_all": 2, "orders": orders}
    set_("experiment_no_reset", flips | {"order_matters_with_reset": 0.01})
    set_("experiment_training_without_reset", "an error")
    calls = ("utils.reset(flat)", "utils.reset(nested)", "reset_state(flat)", "reset_state(nested)")
    reach = {call: {"own": 0.1 * i, "other": 0.5 + 0.1 * i} for i, call in enumerate(calls)}
    set_("experiment_reset_reach", reach)
    swapped = {
        "B": 1,
        "shape": (),
        "seen": {"check_time_first": "wrong", "check_time_first, T = B": ""},
        "side": 2,
        "n": 4,
        "accuracy": {"time first": 0.9, "batch first": 0.4},
        "influence": {"time first": np.eye(2), "batch first": np.array([[1.0, 2], [1, 1]])},
    }
    set_("experiment_swapped", swapped)
    where = {
        "layers": [],
        "by_batch": [(1, 2), (25_450, 3)],
        "by_steps": [(1, 2), (3, 840)],
        "saved": ["x"],
    }
    set_("experiment_where", where)
    drawn = np.array([0.08, 0.10, 0.15])
    untrained = {"drawn": drawn, "lowest": np.array([0.2, 0.3, 0.1]), "tied": 0.6, "n": 7}
    set_("experiment_untrained", untrained | {"error": 0.02, "binomial": 0.01})
    run = run_main(m, tmp_path, monkeypatch, marked_splits(), batch_size=20)
    value = run.value
    assert value("forward_differs") == 0.1 and value("run_differs") == 0.2
    assert value("flips") == 0.2 and value("flips_most") == 0.6
    assert [value(f"accuracy_{k}") for k in ("reset", "no_reset", "sorted")] == [0.9, 0.8, 0.7]
    assert value("order_with_reset") == 0.01 and value("second_backward") == 1
    assert value("reset_misses") == pytest.approx(0.1) and value("reset_overreaches") == 0.5
    assert value("remedy_own") == pytest.approx(0.3) and value("remedy_other") == pytest.approx(0.8)
    assert value("accuracy_right") == 0.9 and value("accuracy_swapped") == 0.4
    assert value("foreign_right") == 0 and value("foreign_swapped") == pytest.approx(3 / 5)
    assert value("caught") == 1 and value("caught_square") == 0
    assert value("parameters") == 25_450 == 785 * 32 + 33 * 10
    assert value("state") == 42 and value("state_saved") == 1
    assert value("untrained") == pytest.approx(0.11) and value("untrained_z") == pytest.approx(0.5)
    assert value("untrained_argmax") == pytest.approx(0.2) and value("untrained_tied") == 0.6
    assert value("untrained_spread") == pytest.approx(np.std(drawn, ddof=1) / 0.01)
