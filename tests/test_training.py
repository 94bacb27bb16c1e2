"""The training loop: it learns, keeps the best epoch, resumes exactly, and refuses what does not fit."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from common import training
from common.io import UserError
from common.lesson import LessonConfig, begin
from common.run import Run
from common.spiking import constant_current
from common.training import evaluate, fit, load_checkpoint, load_weights

import pytest
import torch
from nets import TinyNet, three_classes

encode = partial(constant_current, num_steps=5)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return begin(LessonConfig(out_dir=tmp_path, device="cpu"), "test")


def fresh(seed: int = 0) -> TinyNet:
    torch.manual_seed(seed)
    return TinyNet()


def weights(net: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_learns(run: Run) -> None:
    net, d = fresh(), three_classes()
    before = evaluate(net, d.x_test, d.y_test, encode)
    history = fit(net, d, encode, run=run, epochs=12, lr=0.02, batch_size=10)
    assert evaluate(net, d.x_test, d.y_test, encode) > max(0.9, before)
    assert history[-1]["loss"] < history[0]["loss"]


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


def test_evaluate_weighs_by_sample() -> None:
    """103 images in batches of 50: the small last batch must not count as much as a full one."""
    d = three_classes(309)
    net = fresh()
    whole = (net.run(encode(d.x_test))[1].mean(0).argmax(1) == d.y_test).double().mean().item()
    assert evaluate(net, d.x_test, d.y_test, encode, batch_size=50) == pytest.approx(
        whole, abs=1e-9
    )


@pytest.mark.parametrize("cut_in_epoch", [2, 3])
def test_ctrl_c_and_resume_give_the_weights_of_an_uncut_run(cut_in_epoch: int, run: Run) -> None:
    d = three_classes()
    whole = fresh()
    fit(whole, d, encode, run=run, epochs=4, lr=0.02, batch_size=10)

    batch, cut = 0, 10 * (cut_in_epoch - 1) + 4

    def interrupting(x: torch.Tensor) -> torch.Tensor:
        nonlocal batch
        batch += 1
        if batch == cut:
            raise KeyboardInterrupt
        return x

    net = fresh()
    with pytest.raises(KeyboardInterrupt):
        fit(
            net,
            d,
            encode,
            run=run,
            epochs=4,
            lr=0.02,
            batch_size=10,
            name="main",
            augment=interrupting,
        )
    resumed = fresh(seed=99)  # its own weights must not matter
    history = fit(
        resumed, d, encode, run=run, epochs=4, lr=0.02, batch_size=10, name="main", resume=True
    )
    assert [h["epoch"] for h in history] == [1, 2, 3, 4]
    assert torch.equal(weights(resumed), weights(whole)), "bit for bit"


def test_resume_without_a_checkpoint_starts_from_the_beginning(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(fresh(), three_classes(), encode, run=run, epochs=1, name="main", resume=True)
    assert "starting from the beginning" in capsys.readouterr().out


def test_resume_of_a_finished_run_changes_nothing(run: Run) -> None:
    net, again = fresh(), fresh(5)
    fit(net, three_classes(), encode, run=run, epochs=2, name="main")
    assert (
        len(fit(again, three_classes(), encode, run=run, epochs=2, name="main", resume=True)) == 2
    )
    assert torch.equal(weights(net), weights(again))


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_truncated_checkpoint(keep: float, run: Run) -> None:
    fit(fresh(), three_classes(), encode, run=run, epochs=1, name="main")
    path = run.dir / "checkpoint_main.pt"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UserError, match="cannot be read.*delete it, or run without --resume"):
        fit(fresh(), three_classes(), encode, run=run, epochs=2, name="main", resume=True)
    assert path.exists()


def test_checkpoint_of_another_architecture(run: Run) -> None:
    fit(fresh(), three_classes(), encode, run=run, epochs=1, name="main")
    with pytest.raises(
        UserError, match=r"another architecture: fc1.bias is \(12,\) there, \(20,\) here"
    ):
        load_checkpoint(run.dir / "checkpoint_main.pt", TinyNet(num_hidden=20))


def test_checkpoint_with_code_inside_is_not_run(run: Run) -> None:
    """Weights are loaded without unpickling code: a file from a stranger cannot run anything."""
    import pickle

    class Evil:
        def __reduce__(self):
            return (Path.touch, (run.dir / "owned",))

    path = run.dir / "checkpoint_main.pt"
    path.write_bytes(pickle.dumps({"model": Evil()}))
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(path, fresh())
    assert not (run.dir / "owned").exists()


def test_weights_file(run: Run) -> None:
    net, other = fresh(), fresh(7)
    path = run.checkpoint(net)
    assert torch.equal(weights(load_weights(other, path)), weights(net))
    with pytest.raises(UserError, match="another architecture"):
        load_weights(TinyNet(num_hidden=5), path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="damaged"):
        load_weights(fresh(), path)
    with pytest.raises(UserError, match="got no weights"):
        load_weights(fresh(), path.with_name("absent.safetensors"))


def test_full_disk_keeps_the_last_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(fresh(), three_classes(), encode, run=run, epochs=1, name="main")
    path = run.dir / "checkpoint_main.pt"
    good = path.read_bytes()

    def full(state, tmp):
        Path(tmp).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="No space left"):
        fit(fresh(), three_classes(), encode, run=run, epochs=2, name="main", resume=True)
    assert path.read_bytes() == good
