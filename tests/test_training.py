"""The training loop: it learns, keeps the best epoch, goes on exactly, and takes over nothing that does not fit."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import math
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from common.io import UserError, load_weights
from common.lesson import LessonConfig, begin, start
from common.run import Run
from common.spiking import constant_current
from training import checkpoint, count_predict, evaluate, fit
from training import loop as training
from training.checkpoint import fingerprint, load_checkpoint, save_checkpoint

import pytest
import torch
from nets import TinyNet, three_classes

encode = partial(constant_current, num_steps=5)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return new_run(tmp_path)


def new_run(folder: Path, **flags: Any) -> Run:
    return begin(LessonConfig(**{"out_dir": folder, "device": "cpu"} | flags), "test")


def fresh(seed: int = 0) -> TinyNet:
    torch.manual_seed(seed)
    return TinyNet()


def weights(net: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def train(run: Run, net: TinyNet | None = None, **options: Any) -> list[dict[str, float]]:
    """Ten steps an epoch, with a checkpoint called "main"."""
    options = {"epochs": 2, "lr": 0.02, "batch_size": 10, "name": "main"} | options
    data = options.pop("data", three_classes())
    return fit(net or fresh(), data, options.pop("encode", encode), run=run, **options)


# ------------------------------------------------------------------------------------ the loop


def test_learns(run: Run) -> None:
    net, d = fresh(), three_classes()
    before = evaluate(net, d.x_test, d.y_test, encode)
    history = train(run, net, epochs=12, name="")
    assert evaluate(net, d.x_test, d.y_test, encode) > max(0.9, before)
    assert history[-1]["loss"] < history[0]["loss"]
    assert not (run.dir / "checkpoint_.pt").exists()


def test_keeps_the_epoch_that_was_best_on_validation(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, snapshots, net = iter([0.5, 0.9, 0.9, 0.7]), [], fresh()

    def scripted(net_, *args, **kwargs):
        snapshots.append(weights(net_))
        return next(scores)

    monkeypatch.setattr(training, "evaluate", scripted)
    history = fit(net, three_classes(), encode, run=run, epochs=4, lr=0.05)
    assert [h["val"] for h in history] == [0.5, 0.9, 0.9, 0.7]
    assert torch.equal(weights(net), snapshots[1]), "the first of two equal epochs is kept"
    assert not torch.equal(snapshots[1], snapshots[2])


class Forgetful(TinyNet):
    """Drops some of its input while it is trained."""

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().run(torch.nn.functional.dropout(x, 0.2, self.training))


def test_fit_is_the_loop_by_hand(run: Run) -> None:
    """Bit for bit: order, learning rate, decay of weights, training mode."""
    data, nets = three_classes(), []
    for _ in range(2):
        torch.manual_seed(0)
        nets.append(Forgetful())
    torch.manual_seed(1)
    options = {"epochs": 3, "lr": 0.03, "batch_size": 32, "weight_decay": 0.5, "seed": 4}
    fit(nets[0], data, encode, run=run, **options)

    torch.manual_seed(1)
    optimizer = torch.optim.AdamW(nets[1].parameters(), lr=0.03, weight_decay=0.5)
    order, step, scores = torch.Generator().manual_seed(4), 0, []
    for _ in range(3):
        nets[1].train()
        for index in torch.randperm(100, generator=order).split(32):
            optimizer.param_groups[0]["lr"] = 0.03 * (0.5 + 0.5 * math.cos(math.pi * step / 12))
            _, mem_rec = nets[1].run(encode(data.x_train[index]))
            loss = torch.nn.functional.cross_entropy(mem_rec.mean(0), data.y_train[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        scores.append(evaluate(nets[1], data.x_val, data.y_val, encode))
    assert scores[2] > max(scores[:2]), "the last epoch is the one that is kept"
    assert torch.equal(weights(nets[0]), weights(nets[1]))


def test_what_an_epoch_reports(run: Run) -> None:
    """Means over samples of the training images, and the accuracy on those of validation."""
    data, net = three_classes(309), fresh()  # 103 images: the last batch is of 3
    train(run, net, data=data, epochs=4, name="")
    data = replace(data, y_val=(data.y_val + (torch.arange(103) % 4 == 0)) % 3)
    frozen = partial(fit, net, data, encode, run=run, epochs=1, batch_size=50, lr=0.0)
    out, y = net.run(encode(data.x_train)), data.y_train
    for predict in (training.membrane_predict, count_predict):
        (row,) = frozen(predict=predict)
        right = (predict(out) == y).double().mean().item()
        val = (predict(net.run(encode(data.x_val))) == data.y_val).double().mean().item()
        assert row["loss"] == pytest.approx(training.membrane_loss(out, y).item(), rel=1e-5)
        assert (row["train"], row["val"]) == pytest.approx((right, val))
        assert right > val + 0.1


def test_evaluate_weighs_by_sample() -> None:
    """103 images in batches of 50: the small last batch counts less; nothing is dropped."""
    d, net = three_classes(309), Forgetful().eval()
    whole = (net.run(encode(d.x_test))[1].mean(0).argmax(1) == d.y_test).double().mean().item()
    net.train()
    found = evaluate(net, d.x_test, d.y_test, encode, batch_size=50)
    assert found == pytest.approx(whole, abs=1e-9) and net.training


def learning_rates(run: Run, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[float]:
    """The learning rate of every step that ``fit`` makes."""
    seen: list[float] = []
    step = torch.optim.AdamW.step

    def noted(self, *args, **kwargs):
        seen.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    with monkeypatch.context() as m:
        m.setattr(torch.optim.AdamW, "step", noted)
        train(run, **options)
    return seen


def test_the_learning_rate_follows_from_the_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cosine over all steps; with more epochs, the rest of the longer cosine and no climb to the full rate."""

    def cosine(steps: int) -> list[float]:
        return [0.02 * (0.5 + 0.5 * math.cos(math.pi * i / steps)) for i in range(steps)]

    assert learning_rates(run, monkeypatch, epochs=2) == pytest.approx(cosine(20))
    longer = learning_rates(run, monkeypatch, epochs=5, resume=True)
    assert longer == pytest.approx(cosine(50)[20:])
    assert run.resumed == ["epochs 1–2 of 'main', planned as 2 epochs"]


def test_a_look_into_the_network_draws_no_random_numbers(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy(x: torch.Tensor) -> torch.Tensor:
        return encode(x + 0.1 * torch.rand_like(x))

    looked, not_looked = fresh(), fresh()
    train(run, not_looked, encode=noisy, epochs=3, name="")
    torch.manual_seed(0)
    looked = TinyNet()
    train(run, looked, encode=noisy, epochs=3, name="", check=lambda net, x, y, loss: ["hm"])
    assert torch.equal(weights(looked), weights(not_looked))
    assert capsys.readouterr().out.count("   check  hm\n") == 2, "after epochs 1 and 3"


# ------------------------------------------------------------------------------------ going on


@pytest.mark.parametrize("cut_in_epoch", [2, 3])
def test_ctrl_c_and_resume_give_the_weights_of_an_uncut_run(
    cut_in_epoch: int, tmp_path: Path
) -> None:
    """Bit for bit, with noise in the input: all random states go on where they were."""
    batch, cut = 0, 10 * (cut_in_epoch - 1) + 4

    def noisy(x: torch.Tensor) -> torch.Tensor:
        nonlocal batch
        batch += 1
        if batch == cut:
            raise KeyboardInterrupt
        return x + 0.05 * torch.rand_like(x)

    run, net = new_run(tmp_path / "cut"), fresh()
    with pytest.raises(KeyboardInterrupt):
        train(run, net, epochs=4, augment=noisy)
    run, resumed = new_run(tmp_path / "cut"), fresh()
    history = train(run, resumed, epochs=4, augment=noisy, resume=True)
    assert [h["epoch"] for h in history] == [1, 2, 3, 4]
    assert run.resumed == [f"epochs 1–{cut_in_epoch - 1} of 'main'"]
    assert run.metrics()["resumed"] == run.resumed

    batch, run, whole = 1000, new_run(tmp_path / "whole"), fresh()
    uncut = train(run, whole, epochs=4, augment=noisy)
    assert torch.equal(weights(resumed), weights(whole))
    assert [h["val"] for h in history] == [h["val"] for h in uncut]


def test_resume_without_a_checkpoint_starts_from_the_beginning(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    train(run, resume=True)
    assert "starting from the beginning" in capsys.readouterr().out and run.resumed == []


def test_resume_of_a_finished_run_changes_nothing(run: Run) -> None:
    net, again = fresh(), fresh()
    train(run, net)
    before = (run.dir / "checkpoint_main.pt").read_bytes()
    assert len(train(run, again, resume=True)) == 2
    assert torch.equal(weights(net), weights(again))
    assert (run.dir / "checkpoint_main.pt").read_bytes() == before


# ------------------------------------------------------------------------------------ another training


class OtherCode(TinyNet):
    """The same weights, but another network."""


@dataclass
class Flags(LessonConfig):
    beta: float = 0.9
    lr: float = 0.02
    epochs: int = 2
    sweep_epochs: int = 3
    resume: bool = False


def other_loss(out: Any, y: torch.Tensor) -> torch.Tensor:
    return out[1].sum()


DIFFERS = {
    "lr is 0.02 there, 0.01 here": {"lr": 0.01},
    "batch_size is 10 there, 20 here": {"batch_size": 20},
    "weight_decay is 0.0 there, 0.1 here": {"weight_decay": 0.1},
    "order_seed is 0 there, 3 here": {"seed": 3},
    "membrane_loss> there, .*other_loss> here": {"loss_fn": other_loss},
    "membrane_predict> there, .*count_predict> here": {"predict": count_predict},
    "num_steps=5\\) there, .*num_steps=6\\) here": {
        "encode": partial(constant_current, num_steps=6)
    },
    "augment is None there, .*sigmoid.* here": {"augment": torch.sigmoid},
    "images to train is 100 there, 50 here": {"data": three_classes(150)},
    "data is three patterns there, three patterns \\(stand-in\\) here": {
        "data": replace(three_classes(), stand_in=True)
    },
    "data is three patterns there, MNIST here": {"data": replace(three_classes(), name="MNIST")},
}


@pytest.mark.parametrize("difference", DIFFERS)
def test_another_training_is_refused_by_what_differs(difference: str, run: Run) -> None:
    train(run, epochs=1)
    before = (run.dir / "checkpoint_main.pt").read_bytes()
    net = fresh()
    kept = weights(net)
    with pytest.raises(UserError, match=difference):
        train(run, net, resume=True, **DIFFERS[difference])
    assert torch.equal(weights(net), kept), "nothing was taken over"
    assert run.resumed == [] and (run.dir / "checkpoint_main.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("net", "difference"),
    [
        (lambda: TinyNet(num_hidden=20), r"fc1.weight is \(12, 8\) there, \(20, 8\) here"),
        (lambda: OtherCode(), "network is TinyNet there, OtherCode here"),
        (lambda: fresh(seed=1), "norm of the first weights is"),
    ],
)
def test_another_network_is_refused(net: Callable[[], TinyNet], difference: str, run: Run) -> None:
    train(run, epochs=1)
    with pytest.raises(UserError, match=difference):
        train(run, net(), resume=True)


def test_changed_code_is_another_network(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    train(run, epochs=1)
    source = inspect.getsource
    changed = lambda c: source(c).replace("spk2, mem2", "spk2, -mem2")  # noqa: E731
    monkeypatch.setattr(checkpoint.inspect, "getsource", changed)
    with pytest.raises(UserError, match="code of TinyNet is"):
        train(run, resume=True)

    def typed_at_a_prompt(c: type) -> str:
        raise OSError("could not get source code")

    monkeypatch.setattr(checkpoint.inspect, "getsource", typed_at_a_prompt)
    train(run, epochs=1, name="prompt")
    train(run, epochs=2, name="prompt", resume=True)


def test_flags_that_decide_and_flags_that_do_not(tmp_path: Path) -> None:
    def started(**flags: Any) -> Run:
        return begin(Flags(**{"out_dir": tmp_path, "device": "cpu"} | flags), "test")

    train(started(), epochs=1)
    harmless = {"resume": True, "data_dir": tmp_path, "show": False, "sweep_epochs": 9, "only": 1}
    train(started(**harmless), epochs=1, resume=True)
    other = {"beta": 0.2, "num_steps": 7, "seed": 5}
    with pytest.raises(UserError) as refused:
        train(started(**other), epochs=1, resume=True)
    for text in ("beta is 0.9 there, 0.2 here", "num_steps is 25 there, 7 here", "seed is 0 there"):
        assert text in str(refused.value)


def test_fewer_epochs_than_were_finished(run: Run) -> None:
    train(run, epochs=3)
    with pytest.raises(UserError, match="3 epochs are finished there, 2 asked for here"):
        train(run, epochs=2, resume=True)


def test_two_trainings_of_the_same_kind_have_the_same_fingerprint(tmp_path: Path) -> None:
    """No place in memory, no path, no order of a set decides it."""
    data = three_classes()
    more = {"loss": lambda out, y: out, "encode": partial(constant_current, num_steps=3)}
    marks = [
        fingerprint(new_run(tmp_path / str(i)), fresh(), copy.deepcopy(data), 3, **more)
        for i in range(2)
    ]
    assert marks[0] == marks[1]
    assert not any(str(tmp_path) in value or "0x" in value for value in marks[0].values())


def lesson(cfg: Flags, run: Run) -> None:
    torch.manual_seed(cfg.seed)
    net, steps = TinyNet(beta=cfg.beta), partial(constant_current, num_steps=cfg.num_steps)
    options = {"epochs": cfg.epochs, "lr": cfg.lr, "name": "main", "resume": cfg.resume}
    fit(net, three_classes(), steps, run=run, **options)


def test_other_flags_end_a_lesson_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that differs is named, with both values."""

    def started(*flags: str) -> None:
        start(lesson, Flags, {}, {}, ["--out-dir", str(tmp_path), "--device", "cpu", *flags])

    started("--beta", "0.9", "--epochs", "2")
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        started(*"--beta 0.2 --lr 1e-5 --num-steps 7 --epochs 4 --resume".split())
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1
    for text in ("beta is 0.9 there, 0.2 here", "lr is 0.02 there, 1e-05 here", "num_steps is 25"):
        assert text in err
    started("--epochs", "4", "--resume")
    metrics = json.loads((tmp_path / "test_training" / "metrics.json").read_text("utf-8"))
    assert metrics["resumed"] == ["epochs 1–2 of 'main', planned as 2 epochs"]


# ------------------------------------------------------------------------------------ damage


def checkpoint_of(run: Run) -> Path:
    train(run, epochs=1)
    return run.dir / "checkpoint_main.pt"


def refused(run: Run, text: str) -> None:
    """``--resume`` ends with one line."""
    with pytest.raises(UserError, match=text) as e:
        train(run, resume=True)
    assert "\n" not in str(e.value)


def test_every_flipped_bit_is_found(run: Run) -> None:
    path, rng = checkpoint_of(run), random.Random(0)
    good = path.read_bytes()
    places = [0, 8 * len(good) - 1] + [rng.randrange(8 * len(good)) for _ in range(100)]
    for place in places:
        bad = bytearray(good)
        bad[place // 8] ^= 1 << place % 8
        path.write_bytes(bad)
        refused(run, "is damaged or no checkpoint.*delete it, or run without --resume")
    path.write_bytes(good)
    train(run, resume=True)


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.99])
def test_truncated(keep: float, run: Run) -> None:
    path = checkpoint_of(run)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    refused(run, "is damaged")
    assert path.exists()


def signed(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


def without(*names: str) -> Callable[[dict[str, Any]], Any]:
    """Leave out the entry that the names lead to."""

    def change(saved: dict[str, Any]) -> dict[str, Any]:
        place = saved
        for name in names[:-1]:
            place = place[name]
        del place[names[-1]]
        return saved

    return change


def with_state(**entries: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda saved: saved | {"state": saved["state"] | entries}


MALFORMED = {
    "no mark": without("mark"),
    "no state": without("state"),
    "no epochs": without("mark", "epochs"),
    "mark a list": lambda saved: saved | {"mark": [1]},
    "all a list": lambda saved: [saved],
    "a number": lambda saved: 3,
    "net a list": with_state(net=[1, 2]),
    "net of other names": with_state(net={"a": torch.zeros(2)}),
    "optimizer a number": with_state(optimizer=1),
    "optimizer of other groups": with_state(optimizer={"state": {}, "param_groups": []}),
    "random state too short": with_state(random=torch.zeros(3, dtype=torch.uint8)),
    "random state of floats": with_state(random=torch.zeros(5056)),
    "order a text": with_state(order="shuffled"),
    "history a number": with_state(history=7),
    "history of numbers": with_state(history=[1, 2]),
    "best a list": with_state(best=[1]),
    "history of empty rows": with_state(history=[{}]),
    "history of texts": with_state(
        history=[dict.fromkeys(("epoch", "loss", "train", "val", "seconds"), "1")]
    ),
    "best of other names": with_state(best={"x": 1}),
    "an entry more": with_state(more=1),
    "weights of another type": lambda saved: with_state(
        net={name: t.double() for name, t in saved["state"]["net"].items()}
    )(saved),
    "optimizer without moments": lambda saved: with_state(
        optimizer=saved["state"]["optimizer"] | {"state": {}}
    )(saved),
} | {
    f"no {name}": without("state", name)
    for name in ("net", "optimizer", "order", "random", "history", "best")
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_though_its_digest_is_right(what: str, run: Run) -> None:
    path = checkpoint_of(run)
    saved, buffer = torch.load(path, weights_only=True), BytesIO()
    torch.save(MALFORMED[what](saved), buffer)
    path.write_bytes(signed(buffer.getvalue()))
    refused(run, "is damaged or no checkpoint")


def test_code_inside_is_not_run(run: Run) -> None:
    """A file from a stranger cannot run anything, though its digest is right."""

    class Evil:
        def __reduce__(self):
            return (Path.touch, (run.dir / "owned",))

    checkpoint_of(run).write_bytes(signed(pickle.dumps({"mark": {}, "state": Evil()}, protocol=2)))
    refused(run, "is damaged")
    assert not (run.dir / "owned").exists()


def test_full_disk_keeps_the_last_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint_of(run)
    good = path.read_bytes()
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        write(self, content[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        train(run, resume=True)
    assert path.read_bytes() == good and list(run.dir.glob(".*")) == []


def test_a_loop_of_ones_own(run: Run) -> None:
    """The two functions serve any loop: everything in ``state`` is filled in place."""

    def start_of(seed: int) -> dict[str, Any]:
        net = fresh(seed)
        state = {"net": net, "optimizer": torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)}
        order = torch.Generator().manual_seed(seed)
        return state | {"order": order, "history": [], "best": {}, "steps": {"done": 0}}

    path, state = run.dir / "checkpoint_own.pt", start_of(1)
    mark = fingerprint(run, state["net"], three_classes(), 5, lr=0.1)
    state["net"].fc1.weight.grad = torch.ones(12, 8)
    state["optimizer"].step()
    state["history"].append({"loss": 1.0})
    state["best"]["w"], state["steps"]["done"] = torch.ones(2), 10
    torch.rand(3), torch.rand(3, generator=state["order"])
    save_checkpoint(path, mark, state)
    then = torch.rand(3), torch.rand(3, generator=state["order"])

    other = start_of(2)
    history = other["history"]
    load_checkpoint(path, mark, other, run)
    assert torch.equal(weights(other["net"]), weights(state["net"]))
    assert history == [{"loss": 1.0}] and other["steps"] == {"done": 10}
    assert torch.equal(other["best"]["w"], torch.ones(2))
    again = torch.rand(3), torch.rand(3, generator=other["order"])
    assert torch.equal(then[0], again[0]) and torch.equal(then[1], again[1])
    momentum = other["optimizer"].state_dict()["state"][0]["momentum_buffer"]
    assert torch.equal(momentum, torch.ones(12, 8))
    assert run.resumed == ["epochs 1–1 of 'own'"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gpus_random_numbers_go_on(tmp_path: Path) -> None:
    run, net = new_run(tmp_path, device="cuda"), fresh().cuda()
    order = torch.Generator()
    state = {"net": net, "order": order, "history": []}
    mark = fingerprint(run, net, three_classes(), 1)
    torch.rand(3, device="cuda")
    save_checkpoint(tmp_path / "c.pt", mark, state)
    then = torch.rand(3, device="cuda")
    load_checkpoint(tmp_path / "c.pt", mark, state, run)
    assert torch.equal(then, torch.rand(3, device="cuda"))


# ------------------------------------------------------------------------------------ weights


def test_weights_file(run: Run) -> None:
    net, other = fresh(), fresh(7)
    path = run.checkpoint(net)
    assert torch.equal(weights(load_weights(other, path)), weights(net))
    with pytest.raises(UserError, match=r"another architecture: fc1.bias is \(12,\) there, \(5,\)"):
        load_weights(TinyNet(num_hidden=5), path)
    with pytest.raises(UserError, match=r"another architecture: bias is absent there, \(3,\) here"):
        load_weights(torch.nn.Linear(8, 3), path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="damaged"):
        load_weights(fresh(), path)
    with pytest.raises(UserError, match="got no weights"):
        load_weights(fresh(), path.with_name("absent.safetensors"))
