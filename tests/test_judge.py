"""The judge of milestone A: what it measures, which demands it sees, what it doubts, one line for what fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from common.cost import workload
from common.data import ImageData
from common.io import UserError, save_weights, write_json
from common.lesson import begin, parse, start
from common.spiking import constant_current, reset_state
from datafiles.digits import digits
from tutor import handed_in, judge, trial
from tutor.journal import write_entry

import matplotlib.pyplot as plt
import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from helpers import ROOT, load_script

m = load_script("milestone_a_fashion_mnist")


def data(n: int = 60) -> ImageData:
    x, y, *_ = digits()
    parts = (x[:n], y[:n]) * 3
    return ImageData("digits", True, tuple("0123456789"), *parts)


STUDENT = '''"""My network.

Neuron: Leaky, for the images stand still.
Encoding: held as a current, for five steps of Poisson noise know little.

Architecture: one hidden layer of 32, for 64 gained 0.1 points.

Training: BPTT with ATan and cross entropy
of the membrane.
"""

import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.lif1 = nn.Linear(784, 32), snn.Leaky(beta=0.9, init_hidden=True)
        self.fc2 = nn.Linear(32, 10)
        self.lif2 = snn.Leaky(beta=0.9, init_hidden=True, output=True)

    def forward(self, x_t):
        return self.lif2(self.fc2(self.lif1(self.fc1(x_t.flatten(1)))))


def make_net():
    return Net()
'''
RUN = """
class Sequence(Net):
    def run(self, x):
        steps = [self(x_t) for x_t in x]
        return torch.stack([s for s, _ in steps]), torch.stack([u for _, u in steps])

def make_net():
    return Sequence()
"""


def hand_in(folder: Path, more: str = "", text: str = STUDENT) -> Path:
    path = folder / "my_net.py"
    path.write_text(text + more, encoding="utf-8")
    return path


def judged(path: Path, images: ImageData | None = None, journal: Path | None = None):
    """The demands by number, and the run with its claims."""
    images = images or data()
    flags = ["--smoke", "--device", "cpu", "--out-dir", str(path.parent / "out")]
    cfg = parse(m.Config, [*flags, "--check", str(path)], m.SMOKE, m.FULL, "m.py")
    run = begin(cfg, "milestone_a_fashion_mnist", m.__doc__)

    def loaded(loader: object, **options: object) -> ImageData:
        run.datasets.append(images.facts())
        return images

    run.data = loaded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(m, "JOURNAL", journal or path.parent / "journal.md")
        m.section_judge.run(cfg, run)
    plt.close("all")
    run.value = {c.id: c.value for c in run.claims}.__getitem__
    return {d["number"]: judge.Demand(**d) for d in run.extra["demands"]}, run


def real(n: int = 60) -> ImageData:
    return replace(data(n), stand_in=False, name="Fashion-MNIST")


def train_on(path: Path, images: ImageData, steps: int = 60) -> float:
    """Train the student's network by hand; save it beside its file; return its accuracy."""
    made = trial.load(path, "student").make_net()
    x, y = images.x_test.float() / 255, images.y_test
    optimizer = torch.optim.Adam(made.parameters(), 5e-3)
    for _ in range(steps):
        reset_state(made)
        mem = torch.stack([made(x)[1] for _ in range(3)]).mean(0)
        optimizer.zero_grad()
        F.cross_entropy(mem, y).backward()
        optimizer.step()
    save_weights(made, path.with_suffix(".safetensors"))
    with torch.no_grad():
        reset_state(made)
        mem = torch.stack([made(x)[1] for _ in range(3)]).mean(0)
    return (mem.argmax(1) == y).double().mean().item()


def test_judge_measures_the_network_with_its_weights(tmp_path: Path) -> None:
    path, images = hand_in(tmp_path), real()
    accuracy = train_on(path, images)
    assert accuracy > 0.9
    found, run = judged(path, images)
    claims = {c.id: c for c in run.claims}
    assert claims["judged"].value == pytest.approx(accuracy)
    assert claims["judged"].target == f">= {52 / 60:.6g}", "52 of 60 is the first above 85 %"
    assert claims["judged"].n == 60
    assert [d.met for d in found.values()] == [True, True, True, True, True, False, False]
    assert "2 × Leaky" in found[1].seen and "32, 10" in found[3].seen
    assert f"{785 * 32 + 33 * 10:,} parameters" in found[3].seen
    assert "my_net.json with an epoch a row is not there" in found[6].seen
    assert (run.dir / "check_confusion.png").is_file() and (run.dir / "check_rasters.png").is_file()
    rows = run.extra["tables"][0]["rows"]
    assert [row[:2] for row in rows] == [["lif1", "32"], ["lif2", "10"]]
    untrained = path.with_suffix(".safetensors")
    untrained.unlink()
    found, run = judged(path, images)
    assert run.value("judged") < 0.5 and not found[5].met
    assert "± " in found[5].seen and "no sign" in found[5].seen


def test_run_and_forward_are_judged_alike(tmp_path: Path) -> None:
    images = real()
    train_on(hand_in(tmp_path), images, 20)
    stepped = judged(hand_in(tmp_path), images)[1]
    whole = judged(hand_in(tmp_path, RUN), images)[1]
    assert [c.value for c in stepped.claims[:3]] == [c.value for c in whole.claims[:3]]
    assert stepped.extra["tables"] == whole.extra["tables"]


def test_all_seven_demands(tmp_path: Path) -> None:
    path, images = hand_in(tmp_path), real()
    train_on(path, images)
    write_json(path.with_suffix(".json"), [{"epoch": e, "loss": 1 / e, "val": 0.5} for e in (1, 2)])
    journal = tmp_path / "journal.md"
    journal.write_text(f"## milestone_a_fashion_mnist\n\n{'Sparsity falls. ' * 100}", "utf-8")
    found, run = judged(path, images, journal)
    assert all(d.met for d in found.values()), found
    assert run.findings[-1]["text"].endswith("All seven demands are met.")
    assert run.value("demands") == 7 and (run.dir / "check_training.png").is_file()


def test_judge_on_a_stand_in_says_so(tmp_path: Path) -> None:
    path, images = hand_in(tmp_path), data()
    train_on(path, images)
    found, run = judged(path, images)
    assert not found[5].met and "stand-in" in found[5].seen
    assert "which is not judged" in run.findings[-1]["text"]
    assert all(c.met is None for c in run.claims)


def test_encode_and_predict_are_the_students(tmp_path: Path) -> None:
    images = real()
    first, run = judged(
        hand_in(tmp_path, "\n\ndef predict(out):\n    return 0 * out[0][0, :, 0] + 3\n"), images
    )
    assert run.claims[0].text == "test images, read by predict(out)"
    assert run.claims[0].value == pytest.approx((images.y_test == 3).double().mean().item())
    more = "\n\ndef encode(images):\n    return torch.zeros(4, len(images), 784)\n"
    found, run = judged(hand_in(tmp_path, more), images)
    assert "encode(images)" in found[2].seen and run.extra["tables"][0]["rows"][0][2] == "0.0 %"
    assert "no spike at all in lif1, lif2" in found[3].seen


def test_reasons_and_pages(tmp_path: Path) -> None:
    path, journal = (
        hand_in(
            tmp_path,
            text=STUDENT.replace("Neuron: Leaky, for the images stand still.", "Neuron: Leaky."),
        ),
        tmp_path / "journal.md",
    )
    found, _ = judged(path, real())
    assert not found[1].met and "no reason: a paragraph 'Neuron: …'" in found[1].seen
    assert found[2].met and found[3].met
    assert found[3].seen.endswith("reason in the docstring")
    assert "reason in the docstring without a comparison: what did you measure?" in found[2].seen
    assert not found[4].met and "is about chance: is it trained?" in found[4].seen
    template = (ROOT / "journal.md").read_text(encoding="utf-8")
    journal.write_text(template.replace("- [ ] Neuron", "- [x] Neuron"), encoding="utf-8")
    found, _ = judged(path, real(), journal)
    assert found[1].met and "ticked in journal.md" in found[1].seen
    assert "0 words" in found[7].seen, "the template is nobody's analysis"
    assert "wanted in journal.md: 150 or more" in found[7].seen
    metrics = {"lesson": "milestone_a_fashion_mnist", "analysis": "sparsity " * 500}
    write_entry(
        metrics | {"claims": [], "findings": [{"section": 1, "text": "spars " * 300}]}, journal
    )
    found, _ = judged(path, real(), journal)
    assert "0 words" in found[7].seen, "what a run wrote is not the student's page"
    with journal.open("a", encoding="utf-8") as file:
        file.write("\n" + "The rate falls and the layers get sparse. " * 30)
    found, _ = judged(path, real(), journal)
    assert found[7].met and "240 words" in found[7].seen and "wanted" not in found[7].seen
    journal.write_bytes(b"\xff")
    assert not judged(path, real(), journal)[0][7].met


NO_GRADIENT = """
class Frozen(Net):
    def forward(self, x_t):
        return self.lif2(self.fc2(self.lif1(self.fc1(x_t.flatten(1))).detach()))

def make_net():
    return Frozen()
"""


def test_a_gradient_that_does_not_arrive_is_seen(tmp_path: Path) -> None:
    found, _ = judged(hand_in(tmp_path, NO_GRADIENT), real())
    assert not found[4].met and "no gradient reaches fc1.weight" in found[4].seen
    found, _ = judged(
        hand_in(tmp_path, RUN.replace("    def run", "    @torch.no_grad()\n    def run")), real()
    )
    assert not found[4].met and "no gradient can be followed" in found[4].seen


def test_a_network_without_spiking_neurons_is_judged_for_what_it_is(tmp_path: Path) -> None:
    more = "\n\ndef make_net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    found, run = judged(hand_in(tmp_path, more), real())
    assert [found[n].met for n in (1, 3, 6)] == [False, False, False]
    assert "no neuron of snnTorch" in found[1].seen and "tables" not in run.extra


def body(text: str) -> str:
    return f"\n\nclass Other(Net):\n    {text}\n\n\ndef make_net():\n    return Other()\n"


REFUSED = {
    "\n\ndef f(:\n": "my_net.py, line 33 (def f(:): SyntaxError",
    "\n\nimport no_such_package\n": "ModuleNotFoundError",
    "\n\ndel make_net\n": "my_net.py has no make_net(), expected one that returns your network",
    "\n\ndef make_net():\n    return 3\n": "make_net(): got int, expected a torch.nn.Module",
    "\n\ndef make_net():\n    return Net\n": "make_net(): got type, expected",
    "\n\ndef make_net(size):\n    return Net()\n": "make_net(): TypeError: make_net() missing 1",
    "\n\ndef make_net():\n    return nn.Linear(784, 10)\n": "forward(x_t): RuntimeError: mat1 and mat2",
    "\n\ndef make_net():\n    exit()\n": "the code ends Python here",
    body("def forward(self, x_t): return super().forward(x_t)[0].T"): (
        "forward(x_t): got (10, 60), expected (60, 10) for one step"
    ),
    body("def forward(self, x): return torch.zeros(5, len(x), 10)"): "call it run",
    body("def forward(self, x): return None"): "forward(x_t): got NoneType",
    body("def run(self, x): return torch.zeros(60, 3, 10), torch.zeros(60, 3, 10)"): (
        "the output is [(60, 3, 10), (60, 3, 10)], expected (T, 60, 10), time first"
    ),
    body("def run(self, x): return ()"): "the output is []",
    body("def run(self, x): return x.no_such_thing"): "run(x): line 34 (def run(self, x): return",
    body("def run(self, x): return torch.full((3, 60, 10), float('nan'))"): "not finite",
    "\n\ndef encode(images):\n    return images.expand(3, -1, -1, -1, -1).transpose(0, 1)\n": (
        "encode(images): got (60, 3, 1, 28, 28), expected (T, 60, …), time first; use x.transpose(0, 1)"
    ),
    "\n\ndef encode(images):\n    return 7\n": "encode(images): got int",
    "\n\ndef predict(out):\n    return out[1].mean(0)\n": "predict(out): got (60, 10), expected a class",
    "\n\ndef predict(out):\n    return torch.full((60,), 10)\n": "expected a class from 0 to 9",
}


@pytest.mark.parametrize("more", REFUSED)
def test_what_does_not_work_is_one_line(more: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        judged(hand_in(tmp_path, more), real())
    assert REFUSED[more] in str(e.value) and "\n" not in str(e.value)
    assert "my_net.py" in str(e.value)


def test_files_beside_the_network(tmp_path: Path) -> None:
    path = hand_in(tmp_path)
    weights, history = path.with_suffix(".safetensors"), path.with_suffix(".json")
    save_weights(torch.nn.Linear(3, 3), weights)
    with pytest.raises(UserError, match="another architecture"):
        judged(path, real())
    weights.write_bytes(b"not weights")
    with pytest.raises(UserError, match="damaged or no safetensors file"):
        judged(path, real())
    weights.unlink()
    for text in ("{", "3", "[3]", '[{"epoch": 1}]', '[{"loss": "low"}]'):
        history.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="my_net.json cannot be read .* expected a list"):
            judged(path, real())


def test_check_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through `start`: nothing is trained, and the record of the reference stays as it is."""
    path = hand_in(tmp_path)
    flags = ["--smoke", "--device", "cpu", "--out-dir", str(tmp_path / "out")]
    start(m.main, m.Config, m.SMOKE, m.FULL, [*flags, "--check", str(path)])
    out = capsys.readouterr().out
    assert "5  What does the judge see?" in out and "epoch 1/" not in out and "\n1  " not in out
    lines = out.partition("5  What does the judge see?")[2].splitlines()
    wide = [line for line in lines if len(line) > 80 and str(tmp_path) not in line]
    assert len(wide) == 1 and "STAND-IN" in wide[0], "the line of the data alone"
    folder = tmp_path / "out" / "smoke" / "milestone_a_fashion_mnist"
    assert (folder / "metrics_check.json").is_file() and not (folder / "metrics.json").exists()
    demands = json.loads((folder / "metrics_check.json").read_text(encoding="utf-8"))["demands"]
    assert [d["number"] for d in demands] == [1, 2, 3, 4, 5, 6, 7]
    for bad in (tmp_path / "none.py", tmp_path):
        with pytest.raises(SystemExit) as stop:
            start(m.main, m.Config, m.SMOKE, m.FULL, [*flags, "--check", str(bad)])
        out, err = capsys.readouterr()
        assert stop.value.code == 2 and out == "" and err.count("\n") == 1
        assert err.startswith(f"error: --check: got {bad}, which is no file")


# -------------------------------------------------------------------- the doubt


def test_the_interval_is_that_of_two_proportions() -> None:
    apart = judge.gap(0.95, 10_000, 0.93, 5_000)
    both = np.sqrt(0.95 * 0.05 / 10_000 + 0.93 * 0.07 / 5_000)
    assert apart.difference == pytest.approx(0.02) and apart.half == pytest.approx(3.29 * both)
    assert apart.leaks and not judge.gap(0.93, 10_000, 0.95, 5_000).leaks
    assert not judge.gap(0.94, 10_000, 0.93, 5_000).leaks, "within chance"
    assert not judge.gap(1.0, 10, 1.0, 10).leaks


def test_an_honest_network_is_doubted_less_than_once_in_a_thousand_times() -> None:
    rng = np.random.default_rng(0)
    test, val = (rng.binomial(n, 0.92, 20_000) / n for n in (10_000, 5_000))
    doubted = [judge.gap(p, 10_000, q, 5_000).leaks for p, q in zip(test, val, strict=True)]
    assert np.mean(doubted) < 1e-3


def apart(n: int = 600) -> ImageData:
    """Three different parts of the digits, called real."""
    x, y, *_ = digits()
    parts = []
    for start_ in (0, n, 2 * n):
        some = torch.arange(start_, start_ + n) % len(x)
        parts += [x[some], y[some]]
    return ImageData("Fashion-MNIST", False, tuple("0123456789"), *parts)


def test_a_network_that_learnt_the_test_images_is_doubted(tmp_path: Path) -> None:
    path, images = hand_in(tmp_path), apart()
    assert train_on(path, images, 80) > 0.97
    found, run = judged(path, images)
    assert run.value("judged") > 0.97 and not found[5].met
    assert "were test images among the training images?" in found[5].seen
    assert run.value("gap") == pytest.approx(
        100 * (run.value("judged") - _on_validation(path, images))
    )


def test_a_network_that_learnt_other_images_is_not(tmp_path: Path) -> None:
    path, images = hand_in(tmp_path), apart()
    train_on(path, replace(images, x_test=images.x_train, y_test=images.y_train), 80)
    found, run = judged(path, images)
    assert found[5].met and "no sign that test images were learnt" in found[5].seen
    assert abs(run.value("gap")) < 8


def _on_validation(path: Path, images: ImageData) -> float:
    work = handed_in.read(path, 5, torch.device("cpu"))
    classes = next(iter(judge.answers(work, images.x_val, torch.device("cpu")).values()))
    return (classes == images.y_val).double().mean().item()


NAMING = """

def evaluate_on(data):
    return data.x_test


def load():
    return "t10k-images-idx3-ubyte", FashionMNIST("data", train=False)
"""


def test_lines_that_name_the_test_images_are_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hand_in(tmp_path, NAMING)
    write_json(path.with_suffix(".json"), [{"loss": 1.0, "test": 0.5}, {"loss": 0.9, "test": 0.6}])
    found, _ = judged(path, real())
    out = " ".join(capsys.readouterr().out.split())
    assert "my_net.py names the test images in line 34, 38: was anything chosen" in out
    assert "the history has a test accuracy for every epoch" in out
    assert judge.names_of_test_images(
        handed_in.read(hand_in(tmp_path), 5, torch.device("cpu"))
    ) == ["the history has a test accuracy for every epoch"]


# -------------------------------------------------------------------- operations


class Probe(torch.nn.Module):
    """Hands its input through a spiking layer to a convolution: what goes in are the spikes."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.lif = snn.Leaky(beta=0.0, threshold=0.5, init_hidden=True, reset_mechanism="none")
        self.conv = torch.nn.Conv2d(channels, outputs, 3, stride=2, padding=1)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.conv(self.lif(x_t)) for x_t in x])


def inside_of(net: torch.nn.Module, x: torch.Tensor, num_steps: int = 1) -> judge.Inside:
    held = lambda images: images.repeat(num_steps, *[1] * images.dim())  # noqa: E731
    return judge.look_inside(handed_in.Work(Path("x.py"), net, held, None, True, ""), x)


def test_one_spike_costs_its_fan_out() -> None:
    for row, expected in ((6, 32 * 2), (7, 32 * 4)):  # of 3×3 places, stride 2 visits 1·2 or 2·2
        spk = torch.zeros(1, 2, 14, 14)
        spk[0, 0, row, 7] = 1
        found = inside_of(Probe(2, 32), spk)
        assert found.operations == expected and found.layers[0].spikes == 1
    everywhere = torch.zeros(1, 2, 14, 14)
    everywhere[:, 0, 2:12, 2:12] = 1
    found = inside_of(Probe(2, 32), everywhere)
    assert found.operations / 100 == pytest.approx(9 / 4 * 32), "the quiz's 72"
    assert inside_of(Probe(2, 32), everywhere.repeat(3, 1, 1, 1)).operations == found.operations


def test_rates_of_a_known_layer() -> None:
    """Of four neurons one fires at each of three steps for both images, one for the first only, two never."""
    x = torch.zeros(2, 1, 2, 2)
    x[:, 0, 0, 0] = 1
    x[0, 0, 0, 1] = 1
    (layer,) = inside_of(Probe(1, 1), x, 3).layers
    assert (layer.neurons, layer.silent, layer.spikes) == (4, 0.5, 4.5)
    assert layer.rate == pytest.approx(4.5 / 12)


def test_grey_input_multiplies_and_spikes_add(tmp_path: Path) -> None:
    work = handed_in.read(hand_in(tmp_path), 5, torch.device("cpu"))
    images = real().x_test.float() / 255
    found = judge.look_inside(work, images)
    counted = workload(work.net, constant_current(images, 5))
    assert found.multiplications == pytest.approx(counted["macs"])
    assert found.operations == pytest.approx(counted["acs"]) and found.operations > 0
    assert found.layers[1].operations == 0, "nothing comes after the output"
