"""Milestone A: its network stepped against unrolled, the loss with a price, and every published number."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from common.cost import workload
from common.data import ImageData
from common.io import UserError
from common.lesson import begin, parse
from common.run import Run
from common.spiking import constant_current, reset_state
from datafiles.digits import digits
from tutor import handed_in, judge, portrait
from tutor.journal import write_entry

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import load_script
from nets import Always, marked_splits
from torch import nn

m = load_script("milestone_a_fashion_mnist")
ours = judge.reference()
CPU = torch.device("cpu")
STRIDES = {(4, 8): (2, 2), (3, 3, 4, 4): (1, 2, 1, 2)}
SHAPES = [((4, 8), 16), ((3, 3, 4, 4), 12)]


def net(channels: tuple[int, ...] = (4, 8), num_hidden: int = 16) -> nn.Module:
    torch.manual_seed(0)
    made = ours.Net(channels, STRIDES[channels], num_hidden)
    for layer in made.synapses.modules():
        if isinstance(
            layer, nn.BatchNorm2d | nn.BatchNorm1d
        ):  # statistics that are not the initial ones
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.fill_(0.02)
        elif isinstance(layer, nn.Linear):
            layer.weight.data *= 3
    return made.eval()


def images(n: int = 40) -> torch.Tensor:
    return digits()[0][:n].float() / 255


def data(n: int = 60) -> ImageData:
    x, y, *_ = digits()
    return ImageData("digits", True, tuple("0123456789"), x[:n], y[:n], x[:n], y[:n], x[:n], y[:n])


def prepared(folder: Path, given: ImageData | None = None, *flags: str, **settings: object) -> Run:
    """A run whose data are ``given`` and count as real."""
    argv = ["--smoke", "--device", "cpu", "--out-dir", str(folder), *flags]
    cfg = replace(parse(m.Config, argv, m.SMOKE, m.FULL, "m.py"), **settings)
    run = begin(cfg, "milestone_a_fashion_mnist", m.__doc__)
    if given is not None:
        run.data = lambda loader, **options: given
    run.value = {}.__getitem__
    return run


def section(number: m.section, run: Run) -> object:
    number.run(run.cfg, run)
    plt.close("all")
    run.value = {c.id: c.value for c in run.claims}.__getitem__
    return run.results[number.number]


# -------------------------------------------------------------------- our network


@pytest.mark.parametrize(("channels", "num_hidden"), SHAPES)
def test_forward_and_run_are_one(channels: tuple[int, ...], num_hidden: int) -> None:
    made, x = net(channels, num_hidden), images(6)
    with torch.no_grad():
        spk, mem, hidden = made.run(constant_current(x, 7))
        reset_state(made)
        steps = [made(x) for _ in range(7)]
    torch.testing.assert_close(torch.stack([s for s, _ in steps]), spk)
    torch.testing.assert_close(torch.stack([u for _, u in steps]), mem, atol=1e-4, rtol=1e-4)
    assert spk.shape == mem.shape == (7, 6, 10) and len(hidden) == len(channels) + 1
    assert all(0 < h.mean() < 1 for h in hidden), "a silent layer would prove nothing"


def test_sizes() -> None:
    for channels, expected in (
        ((4, 8), [(4, 14, 14), (8, 7, 7)]),
        ((3, 3, 4, 4), [(3, 28, 28), (3, 14, 14), (4, 14, 14), (4, 7, 7)]),
    ):
        hidden = net(channels).run(constant_current(images(2), 2))[2]
        assert [tuple(h.shape[2:]) for h in hidden[:-1]] == expected


def test_held_input_is_the_same_as_a_written_out_one() -> None:
    """The first convolution is computed once for a constant image; nothing else may follow from that."""
    made, x = net(), images(5)
    with torch.no_grad():
        a, b = made.run(constant_current(x, 4)), made.run(x.repeat(4, 1, 1, 1, 1))
    torch.testing.assert_close(a[1], b[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("channels", "num_hidden"), SHAPES)
def test_operations_agree_with_neurobench(channels: tuple[int, ...], num_hidden: int) -> None:
    made, x = net(channels, num_hidden), images(20)
    work = handed_in.Work(Path("x.py"), made, lambda x: constant_current(x, 5), None, True, "")
    found, counted = judge.look_inside(work, x), workload(made, constant_current(x, 5))
    assert found.operations == pytest.approx(counted["acs"], rel=1e-6) and found.operations > 0
    assert found.multiplications == pytest.approx(counted["macs"] / 5), "a held image counts once"
    assert sum(layer.spikes for layer in found.layers) == pytest.approx(counted["spikes"])
    assert [layer.neurons for layer in found.layers][-2:] == [num_hidden, 10]


def test_the_file_gives_its_reasons() -> None:
    said = judge.reasons(ours.__doc__)
    assert {"neuron", "encoding", "architecture", "loss", "training"} <= set(said)
    assert ours.make_net().run(ours.encode(images(2)))[1].shape == (
        ours.RECIPES["default"].num_steps,
        2,
        10,
    )


def test_training_keeps_the_weights_of_the_best_epoch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Validation accuracies are given: the second of three epochs is the best."""
    given = iter((0.5, 0.9, 0.7))
    seen = []

    def scored(trained: nn.Module, x: torch.Tensor, y: torch.Tensor, *_: object) -> float:
        assert torch.equal(y, small.y_val) and len(x) == len(small.x_val)
        seen.append({k: v.clone() for k, v in trained.state_dict().items()})
        return next(given)

    monkeypatch.setattr(ours, "evaluate", scored)
    small = marked_splits()
    recipe = replace(ours.RECIPES["smoke"], epochs=3, batch_size=8)
    made = ours.make_net(recipe, 0)
    before = made.state_dict()["synapses.0.0.weight"].clone()
    history = ours.train(made, small, prepared(tmp_path), recipe)
    assert [row["val"] for row in history] == [0.5, 0.9, 0.7]
    for name, value in made.state_dict().items():
        assert torch.equal(value, seen[1][name]), name
    assert not torch.equal(made.state_dict()["synapses.0.0.weight"], before)


def test_resume_goes_on_and_refuses_another_training(tmp_path: Path) -> None:
    small = data()
    recipe = replace(ours.RECIPES["smoke"], epochs=3)

    def trained(run: Run, resume: bool = False, **other: object) -> dict[str, torch.Tensor]:
        made = ours.make_net(recipe, 0)
        ours.train(made, small, run, replace(recipe, **other), resume)
        return made.state_dict()

    torch.manual_seed(1)
    whole = trained(prepared(tmp_path / "a"))
    run = prepared(tmp_path / "b")
    torch.manual_seed(1)
    kept = ours.save_checkpoint
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ours, "save_checkpoint", lambda *a: (kept(*a), stop(a[2]["history"])))
        trained(run)
    again = trained(run, resume=True)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    with pytest.raises(UserError, match="recipe is .* there"):
        trained(run, resume=True, lr=1.0)


def stop(history: list[dict[str, float]]) -> None:
    if len(history) == 2:
        raise KeyboardInterrupt


# -------------------------------------------------------------------- 1  the task


def test_baselines_are_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The linear map always says 3, a quarter of the test labels; the dense network always 2."""
    monkeypatch.setattr(m, "linear_map", lambda seed: Always(3))
    monkeypatch.setattr(m, "dense_network", lambda seed: Always(2))
    monkeypatch.setattr(m, "fit", lambda *_, **__: [])
    run = prepared(tmp_path, marked_splits())
    base = section(m.section_task, run)
    assert run.value("linear") == base.linear == 0.25 and run.value("dense") == base.dense == 0.75
    assert run.value("standard_error") == pytest.approx(100 * math.sqrt(0.75 * 0.25 / 40))
    said = run.findings[-1]["text"]
    assert "hidden neurons more: 75.0 %" in said and "asks for more than this linear map" in said


def test_a_linear_map_that_passes_is_called_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(m, "train_plain", lambda net, *_: 0.9 if len(net.layers) == 2 else 0.88)
    run = prepared(tmp_path, marked_splits())
    section(m.section_task, run)
    said = run.findings[-1]["text"]
    assert "no more: 88.0 %" in said and "alone would pass" in said


def test_baselines_learn(tmp_path: Path) -> None:
    run = prepared(tmp_path, plain_epochs=20)
    assert m.train_plain(m.dense_network(0), data(), 20, run) > 0.5
    assert sum(p.numel() for p in m.linear_map(0).parameters()) == 7850
    assert [*m.dense_network(0).layers][1].out_features == 256


# -------------------------------------------------------------------- 2  the design


def stub_module(answer: int = 2, **more: object) -> SimpleNamespace:
    """A file with a network that always gives the same class, and a training that has happened."""
    history = [
        {"epoch": 1, "loss": 2.0, "train": 0.3, "val": 0.6},
        {"epoch": 2, "loss": 1.0, "train": 0.5, "val": 0.4},
    ]
    parts = {
        "__file__": str(Path(ours.__file__)),
        "__doc__": ours.__doc__,
        "RECIPES": {"smoke": SimpleNamespace(num_steps=3)},
        "make_net": lambda recipe, seed: Always(answer, spikes=3),
        "encode": lambda x, num_steps: constant_current(x, num_steps),
        "predict": lambda out: out[1].mean(0).argmax(1),
        "loss_fn": lambda out, y: F.cross_entropy(out[1].mean(0), y),
        "train": lambda *_: history,
        "page": ours.page,
    }
    return SimpleNamespace(**parts | more)


def test_our_network_is_scored_on_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its potential always says 2, its counts always 3; the file says how it is read."""
    monkeypatch.setattr(judge, "reference", stub_module)
    run = prepared(tmp_path, marked_splits())
    given = section(m.section_design, run)
    assert run.value("accuracy") == given.accuracy == 0.75
    assert run.value("validation") == 0.6 and run.value("training") == 0.5
    said = run.findings[-1]["text"]
    assert "75.00 % of 40 test images" in said and "50.0 % of the changed training images" in said
    assert "40.0 % of the validation images" in said and "moved the latter by -20.0 points" in said
    assert {c.id: c.target for c in run.claims}["accuracy"] == ">= 0.92"
    same = stub_module(predict=lambda out: out[0].sum(0).argmax(1))
    monkeypatch.setattr(judge, "reference", lambda: same)
    run = prepared(tmp_path, marked_splits())
    assert section(m.section_design, run).accuracy == 0.25


# -------------------------------------------------------------------- 3  inside


def rows(*operations: float) -> judge.Inside:
    """Three hidden layers with rates 0.3, 0.2, 0.1 and an output, and these operations."""
    layers, spikes = [], {}
    for i, ops in enumerate((*operations, 0.0)):
        layers.append(judge.Layer(f"n{i}", 10, 0.3 - 0.1 * i, 0.5, 30.0 - 10 * i, ops))
        spikes[f"n{i}"] = torch.ones(3, 4, 10)
    return judge.Inside(spikes, tuple(layers), 99.0)


def trained_on(images_: ImageData, tmp_path: Path, **more: object) -> m.Trained:
    work = handed_in.Work(
        Path(ours.__file__),
        net(),
        lambda x: constant_current(x, 3),
        ours.predict,
        True,
        ours.__doc__,
        stub_module().train(),
    )
    answers = torch.full((len(images_.y_test),), 2)
    return m.Trained(work, images_, answers, 0.75, stub_module(**more))


def test_layers_and_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(judge, "look_inside", lambda *_: rows(10.0, 60.0, 30.0))
    monkeypatch.setattr(m, "ledger_row", lambda *_, **row: row)
    run = prepared(tmp_path, marked_splits())
    run.results[2] = trained_on(marked_splits(), tmp_path)
    run.predictions.append({"id": "most_work", "section": 3, "question": "", "guess": "the last"})
    inside = section(m.section_inside, run)
    assert [x.name for x in inside.layers] == ["layer 1", "layer 2", "layer 3", "output"]
    assert run.value("operations") == 100 and run.value("most_work") == 0.6
    assert run.value("spikes") == 30 + 20 + 10 + 0 and run.value("multiplications") == 99
    assert run.value("worst_pair") == 1.0, "all errors are threes called two"
    said = run.findings[-1]
    assert "The rate falls with depth; layer 2 causes 60 %" in said["text"]
    assert "but the busiest neurons are those of layer 1" in said["text"]
    assert said["main"] and said["claim"] == "accuracy" and "75.00 %" in said["text"]
    assert run.predictions[0]["measured"] == "one between"
    assert run.ledger_rows[0]["accuracy"] == 0.75 and run.ledger_rows[0]["n"] == 40


def test_place_of() -> None:
    assert [m.place_of(i, 4) for i in (1, 2, 3, 4)] == [
        "the first", "one between", "one between", "the last",
    ]  # fmt: skip


def test_worst_pair() -> None:
    confusion = np.diag([90, 80, 70])
    confusion[0, 2], confusion[2, 0], confusion[1, 2] = 6, 4, 5
    assert m.worst_pair(confusion, ("a", "b", "c")) == ("a", "c", pytest.approx(10 / 15))
    assert m.worst_pair(np.diag([5, 5]), ("a", "b"))[2] == 0


def test_confusion_has_true_classes_in_rows() -> None:
    matrix = portrait.confusion_matrix(torch.tensor([1, 1, 2]), torch.tensor([0, 1, 1]), 3)
    assert matrix.tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 0]]


# -------------------------------------------------------------------- 4  the price


def test_priced_loss() -> None:
    out = (
        torch.zeros(5, 4, 10),
        torch.randn(5, 4, 10),
        (torch.ones(5, 4, 3, 2), torch.zeros(5, 4, 6)),
    )
    y = torch.tensor([0, 1, 2, 3])
    entropy = F.cross_entropy(out[1].mean(0), y)
    terms = {"fan_out": (7.0, 100.0), "before": 50.0, "loss_fn": ours.loss_fn}
    assert m.priced_loss(out, y, price=0.0, **terms) == entropy
    # an image makes 5·6 spikes, each worth 7 operations
    torch.testing.assert_close(m.priced_loss(out, y, price=0.5, **terms), entropy + 0.5 * 210 / 50)


def test_a_price_makes_fewer_spikes() -> None:
    """Its gradient goes through the surrogate: plain descent on the price alone."""
    made, x, y = net(), constant_current(images(20), 4), digits()[1][:20]
    optimizer, totals = torch.optim.SGD(made.parameters(), lr=1.0), []
    for _ in range(15):
        out = made.run(x)
        totals.append(sum(s.sum().item() for s in out[2]))
        optimizer.zero_grad()
        terms = {"fan_out": (72.0, 16.0, 10.0), "before": 1e4, "loss_fn": ours.loss_fn}
        (m.priced_loss(out, y, price=1.0, **terms) - ours.loss_fn(out, y)).backward()
        optimizer.step()
    assert totals[-1] < 0.9 * totals[0], totals


def sweep(accuracy: list[list[float]], operations: list[list[float]]) -> m.Sweep:
    accuracy_, operations_ = np.array(accuracy), np.array(operations)
    rates = np.repeat(operations_[:, :, None] / 1000, 3, 2) * np.array([1.0, 0.5, 0.2])
    nets = [[Always(2), Always(2)], [Always(5)], [Always(2), Always(3)], [Always(5)]]
    return m.Sweep(accuracy_, operations_, rates, 128, nets, (-25.0, 317.66))


SWEEP = sweep(
    [[0.90, 0.904, 0.897, 0.80], [0.92, 0.920, 0.915, 0.84]],
    [[100.0, 90, 60, 10], [300.0, 230, 100, 30]],
)


def test_changes_are_paired_by_seed_and_carry_an_interval() -> None:
    assert SWEEP.saved == pytest.approx([0, 0.2, 0.6, 0.9])
    change, half = SWEEP.change(2)
    assert change == pytest.approx(-0.4)  # −0.3 and −0.5 points
    assert half == pytest.approx(12.706 * 0.1, rel=1e-3)  # t of 97.5 % with one degree of freedom
    assert m.best_saving(SWEEP) == 2 and m.best_saving(SWEEP, allowed=0.3) == 1
    assert m.best_saving(SWEEP, allowed=20) == 3
    assert m.best_saving(sweep([[0.9, 0.1, 0.1, 0.1]] * 2, [[9.0, 1, 1, 1]] * 2)) == 0


def test_the_price_is_reported_as_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = {}

    def swept(given, few, fan_out, before, cfg, run) -> m.Sweep:  # noqa: ANN001
        seen.update(fan_out=fan_out, before=before, images=len(few.x_train))
        return SWEEP

    monkeypatch.setattr(m, "sweep_prices", swept)
    looked = []

    def inside(work: handed_in.Work, x: torch.Tensor) -> judge.Inside:
        looked.append(round(255 * x.max().item()))
        return rows(10.0, 60.0, 30.0)

    monkeypatch.setattr(judge, "look_inside", inside)
    run = prepared(tmp_path, marked_splits(), tune_images=11)
    run.results[2] = trained_on(marked_splits(), tmp_path)
    run.results[2].work.net = Always(1)  # the label of all validation images
    section(m.section_price, run)
    assert all(grey == 128 for grey in looked), "on validation images"
    assert seen == {"fan_out": [1 / 3, 3.0, 3.0], "before": 100.0, "images": 11}
    assert run.value("saved") == pytest.approx(0.6)
    # on the test images the control has 75 % twice, the chosen price 75 % and 25 %
    assert run.value("change") == pytest.approx(-25)
    assert run.value("saved_most") == pytest.approx(0.9)
    assert run.value("change_most") == pytest.approx(-9)
    said = run.findings[-1]["text"]
    assert "At λ = 0.3 the network does 60 % fewer operations" in said, said
    assert (
        "-25.00 ± 317.66 points against the control (2 seeds), an interval that contains zero"
        in said
    )
    assert "The control has 91.0 % of the validation images, the network before 100.0 %" in said
    assert "the operations change by -90 %, and validation by -9.00 ± " in said
    claims = {c.id: c for c in run.claims}
    assert claims["change"].n == 40 and claims["change"].seeds == 2 and claims["saved"].n == 12


def test_the_sweep_goes_on_from_copies_and_looks_at_validation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each copy answers by its seed, and fires less the higher its price."""
    run, given = prepared(tmp_path, seeds=2), trained_on(marked_splits(), tmp_path)
    given.work.net = Always(7)
    trained = []

    def fit(copied, few, encode, *, loss_fn, seed, epochs, **_) -> None:  # noqa: ANN001
        assert copied is not given.work.net and copied.answer == 7 and epochs == 1
        price = loss_fn.keywords["price"]
        trained.append((price, seed))
        copied.answer, copied.price = seed, price  # seed 1 is the label of all validation images

    def inside(work: handed_in.Work, x: torch.Tensor) -> judge.Inside:
        assert (x == 128 / 255).all(), "validation images are grey"
        return rows(100 / (1 + work.net.price), 0.0, 0.0)

    monkeypatch.setattr(m, "fit", fit)
    monkeypatch.setattr(judge, "look_inside", inside)
    r = m.sweep_prices(given, marked_splits(), [1.0, 1.0, 1.0], 9.0, run.cfg, run)
    assert r.accuracy.tolist() == [[1.0] * 4, [0.0] * 4] and given.work.net.answer == 7
    assert r.operations[0] == pytest.approx([100 / (1 + price) for price in m.PRICES])
    assert r.rates[0, 0] == pytest.approx([0.3, 0.2, 0.1])
    assert trained == [(price, seed) for price in m.PRICES for seed in (1, 2)]


# -------------------------------------------------------------------- 5  the judge, on our own network


def results(run: Run, tmp_path: Path, given: m.Trained | None = None) -> None:
    given = given or trained_on(marked_splits(), tmp_path)
    base = m.Baselines(given.data, 0.6, 0.75, Always(2))
    run.results.update({1: base, 2: given, 3: m.with_plain_names(rows(10.0, 60.0, 30.0)), 4: SWEEP})


def test_our_own_network_is_judged_and_its_design_stays_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The leaking network says 2 for all, three quarters of the test images and no validation image."""
    learnt = []
    monkeypatch.setattr(m, "dense_network", lambda seed: Always(2))
    monkeypatch.setattr(m, "fit", lambda net, d, *_, **__: learnt.append((d.x_train, d.y_train)))
    run = prepared(tmp_path, marked_splits())
    results(run, tmp_path)
    seen = section(m.section_judge, run)
    out = capsys.readouterr().out
    for word in ("Leaky", "parameters", "encode(images)", "spiking layers"):
        assert word not in out, f"{word} tells of the design"
    assert (
        run.value("judged")
        == seen.accuracy
        == judge.accuracy(seen.read_as["predict(out)"], marked_splits().y_test)
    )
    assert run.value("leak") == pytest.approx(75.0)
    assert run.value("leak_by_heart") == pytest.approx(75.0) and len(learnt) == 2
    for x, y in learnt:
        assert len(x) == 24 + 40 and torch.equal(y[24:], marked_splits().y_test)
        assert torch.equal(x[24:], marked_splits().x_test), "the test images themselves"
    assert (
        "learnt by heart, +75.0 points, are seen; the same images among many others, +75.0"
        in run.findings[-1]["text"]
    )
    assert run.value("gap") == pytest.approx(100 * seen.gap.difference)
    by_number = {d["number"]: d for d in run.extra["demands"]}
    assert by_number[7]["met"] and not by_number[5]["met"]
    assert run.value("demands") == sum(d["met"] for d in by_number.values())


def test_the_page_is_made_of_the_numbers(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    results(run, tmp_path)
    given, base, inside = (run.results[k] for k in (2, 1, 3))
    page = ours.page(given, base, inside, SWEEP, m.PRICES, 2, ("a", "b", 0.25))
    assert not re.search(r"\bnan\b|\binf\b", page) and 250 < len(page.split()) < 700, "about a page"
    for piece in (
        "75.0 % of the 40 test images", "linear map gets 60.0 %", "a and b, taken for each other, are 25.0 %",
        "falls from layer to layer", "layer 2 causes 60.0 % of the 100 additions",
        "λ = 0.3 saves 60.0 % of the operations and changes the accuracy on the test images by -25.00 ± 317.66 points",
        "| 0.3 | 90.6 % | 80 | 60.0 % | 8.0 % | 4.0 % | 1.6 % |",
    ):  # fmt: skip
        assert piece in page, f"{piece} is missing of: {page}"
    write_entry({"lesson": "milestone_a_fashion_mnist", "analysis": page}, tmp_path / "journal.md")
    assert page in (tmp_path / "journal.md").read_text(encoding="utf-8")


def test_a_whole_smoke_run_hangs_together(tmp_path: Path) -> None:
    run = prepared(tmp_path, data())
    before = copy.deepcopy(run.cfg)
    m.main(run.cfg, run)
    plt.close("all")
    assert run.cfg == before and list(run.results) == [1, 2, 3, 4, 5]
    value = {c.id: c.value for c in run.claims}
    assert value["judged"] == value["accuracy"]
    assert "accuracy" in run.findings[2]["claim"] and run.extra["analysis"]


def test_check_and_only(tmp_path: Path) -> None:
    path = tmp_path / "my_net.py"
    path.write_text("", encoding="utf-8")
    argv = ["--smoke", "--device", "cpu", "--check", str(path)]
    assert parse(m.Config, argv, m.SMOKE, m.FULL, "m.py").only == m.JUDGE
    assert m.section_judge.number == m.JUDGE
    with pytest.raises(UserError, match="--only: got 2 with --check"):
        parse(m.Config, [*argv, "--only", "2"], m.SMOKE, m.FULL, "m.py")


def test_the_brief_tells_the_student_to_try_first() -> None:
    assert "from an empty file" in m.__doc__ and "Leave it\n    closed" in m.__doc__
    assert all(f"        {n}  " in m.__doc__ for n in range(1, 8)), "the seven demands"


def test_quiz_numbers() -> None:
    alpha = 0.9
    assert 1 - alpha**5 == pytest.approx(0.41, abs=0.005)
    assert math.sqrt(0.5 * 0.5 / 5) == pytest.approx(0.2236, abs=1e-4)
    assert 3136 * 0.1 * 72 / (128 * 0.4 * 10) == pytest.approx(44.1)
    assert 0.5 * math.erfc(1 / math.sqrt(2)) == pytest.approx(1 / 6, abs=0.01), (
        "N(0, 1) above θ = 1: one in six"
    )
