"""Lesson 08: the loop by hand against snnTorch and a pencil-and-paper case, resets, swapped axes, counting."""

from __future__ import annotations

from common.data import ImageData, digits
from common.io import UserError
from common.spiking import check_time_first, reset_state, spiking_layers

import matplotlib.pyplot as plt
import numpy as np
import pytest
import snntorch as snn
import torch
from helpers import load_script
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
