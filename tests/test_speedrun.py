"""The speed-run: it times, judges and counts what an entry does, and refuses what is no entry."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from common.io import UserError

import pytest
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import speedrun  # noqa: E402
from entries import cifar10_92  # noqa: E402
from entries.small_cnn import SmallCNN, fit  # noqa: E402


class Known(nn.Module):
    """Two linear layers whose inputs are known: the image, and then two spikes of three neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 5)

    def classify(self, x: Tensor) -> Tensor:
        self.first(x.float().flatten(1) / 255)
        self.second(torch.tensor([[1.0, 0.0, 2.0]]).expand(len(x), 3))
        return torch.zeros(len(x), dtype=torch.long)


def test_operations_of_a_known_network() -> None:
    """Of four pixels one is 0: 3·3 multiplications. Three spikes meet five outputs: 15 additions."""
    x = torch.tensor([[[[0, 10], [20, 30]]]], dtype=torch.uint8).expand(7, 1, 2, 2)
    assert speedrun.operations(Known(), x) == (15.0, 9.0)


def test_a_convolution_counts_its_edges() -> None:
    """A spike in the corner of a 3×3 map reaches four of nine places, in each of two channels."""
    net = nn.Module()
    net.conv = nn.Conv2d(1, 2, 3, padding=1)
    spike = torch.zeros(1, 1, 3, 3)
    spike[..., 0, 0] = 1

    def classify(x: Tensor) -> Tensor:
        net.conv(spike.expand(len(x), 1, 3, 3))
        return torch.zeros(len(x))

    net.classify = classify
    assert speedrun.operations(net, torch.zeros(5, 1, 3, 3, dtype=torch.uint8)) == (8.0, 0.0)


def test_accuracy_is_over_all_images() -> None:
    net = SimpleNamespace(classify=lambda x: x[:, 0, 0, 0].long())
    x = torch.arange(11, dtype=torch.uint8).view(11, 1, 1, 1)
    y = torch.arange(11)
    y[4] = 0
    assert speedrun.accuracy(net, x, y, batch_size=4) == pytest.approx(10 / 11)


def test_the_entries_network_sends_spikes() -> None:
    """Behind the first layer each layer with weights gets whole numbers (rule 3)."""
    torch.manual_seed(0)
    net = SmallCNN((2, 3, 3), num_steps=2, side=8).eval()
    x = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    fit(net, x, torch.arange(6), 0, epochs=1, batch_size=2, lr=0.1)
    net.eval()
    inputs = []
    for layer in [net.fc, *(block.conv for block in net.layers)]:
        layer.register_forward_hook(lambda _, given, __: inputs.append(given[0].float()))
    assert net.classify(x).shape == (6,)
    image, *others = inputs
    assert len(others) == 3 and not torch.equal(image, image.round())
    assert all(torch.equal(given, given.round()) for given in others)


SMALL = cifar10_92.Recipe(
    channels=(3, 4, 5),
    shortcuts=2,
    stages=((0.5, 1), (0.5, 2)),
    judged_steps=3,
    epochs=4,
    batch_size=4,
    hole=3,
)


def photos(count: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=g)


def test_the_gpu_entrys_network_sends_sums_of_spikes() -> None:
    """Rule 3: whole numbers into every filter but the first; up to 3 where two shortcuts add."""
    assert cifar10_92.RECIPE.judged_steps >= 2 and cifar10_92.RECIPE.stages[-1][1] >= 2
    x, y = photos(12), torch.arange(12) % 10
    net = cifar10_92.fit(SMALL, x, y, seed=0)
    net.eval()
    inputs = []
    for layer in net.layers:
        layer.conv.register_forward_hook(lambda _, given, __: inputs.append(given[0].float()))
    net.classify(x)
    image, *others = inputs
    assert len(image) == 12 and {len(given) for given in others} == {36}  # T = 3 behind the first
    assert all(torch.equal(given, given.round()) for given in others)
    assert max(given.max().item() for given in others) in (2, 3)
    acs, macs = speedrun.operations(net, x)
    assert 0 < macs < 12 * 8 * 8 * 3 * 9 * 3 and acs > 0


def test_the_gpu_entrys_seeds_and_stages() -> None:
    """A seed is a training; T changes when the share of a stage is over."""
    x, y = photos(9), torch.arange(9)
    nets = [cifar10_92.fit(SMALL, x, y, seed) for seed in (0, 0, 1)]
    a, b, c = (net.layers[1].conv.weight for net in nets)
    assert torch.equal(a, b) and not torch.equal(a, c)
    stages = ((0.5, 1), (0.3, 2), (0.2, 4))
    steps = [cifar10_92.steps_at(stages, i / 10) for i in range(11)]
    assert steps == [1] * 5 + [2] * 3 + [4] * 3


def test_the_gpu_entrys_images() -> None:
    """Moved by up to two pixels; mirrored in every other epoch; a square of 3 × 3 is blank."""
    x = photos(40)
    recipe = cifar10_92.Recipe(channels=(2, 2))
    net = cifar10_92.Net(recipe)
    cifar10_92.look_at(net, x, whitened=False)
    pixels = net.prepared(x)
    assert pixels.mean((0, 2, 3)).abs().max() < 1e-5
    still = cifar10_92.Photos(net, x, cifar10_92.Recipe(shift=0), seed=0)
    order = still.order(40)
    assert sorted(order.tolist()) == list(range(40))
    odd, even = still.shown(order, 0), still.shown(order, 1)
    assert torch.equal(odd, even.flip(3))
    mirrored = [not torch.equal(a, b) for a, b in zip(odd, pixels[order], strict=True)]
    assert 5 < sum(mirrored) < 35
    moved = cifar10_92.Photos(net, x, recipe, seed=0).shown(order, 0)
    inner = {shown[:, 2:-2, 2:-2].sum().item() for shown in moved}
    assert moved.shape == (40, 3, 8, 8) and len(inner) == 40
    holes = cifar10_92.Photos(net, x, cifar10_92.Recipe(shift=0, hole=3), seed=0).shown(order, 0)
    assert ((holes == 0).all(1).sum((1, 2)) == 9).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "has no function train"),
        ("raise ValueError('no')", "cannot be imported"),
        ("def train(x, y, seed, device): return 3", "expected a module with classify"),
        (
            "from torch import nn\ndef train(x, y, seed, device):\n"
            "    net = nn.Linear(1, 1); net.classify = lambda x: x; return net",
            "expected one class an image",
        ),
    ],
)
def test_what_is_no_entry(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "entry_that_is_none.py"
    path.write_text(text, encoding="utf-8")
    data = (torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.long))
    with pytest.raises(UserError, match=says):
        speedrun.attempt(speedrun.load_entry(path), data, data, 0)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a Python file"):
        speedrun.load_entry(tmp_path / "none.py")


def test_records_in_the_readme_are_those_measured() -> None:
    """Each committed result has its line in the table, and each line its result."""
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    shown = {line for line in readme.splitlines() if line.startswith(("| mnist_", "| cifar10_"))}
    measured = set()
    for path in (ROOT / "docs" / "results").glob("bench_speedrun_*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert "A valid record." in found["note"], path.name
        measured.add(speedrun.record_row(found))
    assert shown == measured


def test_smoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it on a stand-in, and a second entry that is named."""
    threads = torch.get_num_threads()
    flags = ["--smoke", "--entry", str(ROOT / "benchmarks" / "entries" / "mnist_985.py")]
    out = tmp_path / "speedrun.json"
    monkeypatch.setattr(sys, "argv", ["speedrun.py", *flags, "--out", str(out)])
    try:
        speedrun.start(
            speedrun.main, "speedrun", "t", "d", 1, own_flags=speedrun.flags, file="x_{track}"
        )
    finally:
        torch.set_num_threads(threads)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert {c["id"] for c in found["claims"]} >= {"accuracy", "seconds", "synops"}
    assert "Not a record" in found["note"]
    assert found["command"].startswith("benchmarks/speedrun.py --smoke")
