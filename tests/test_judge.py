"""The judge of milestone A: what it measures, which demands it sees, and one line for what fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from common.data import ImageData
from common.io import UserError, save_weights, write_json
from common.lesson import begin, parse, start
from common.spiking import reset_state
from datafiles.digits import digits
from tutor import trial
from tutor.journal import write_entry
from tutor.judge import judge

import matplotlib.pyplot as plt
import pytest
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
    flags = ["--smoke", "--device", "cpu", "--out-dir", str(path.parent / "out")]
    cfg = parse(m.Config, [*flags, "--check", str(path)], m.SMOKE, m.FULL, "m.py")
    run = begin(cfg, "milestone_a_fashion_mnist", m.__doc__)
    found = judge(path, run, images or data(), journal or path.parent / "journal.md")
    plt.close("all")
    return {d.number: d for d in found}, run


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
    assert claims["accuracy"].value == pytest.approx(accuracy)
    assert claims["accuracy"].target == f">= {52 / 60:.6g}", "52 of 60 is the first above 85 %"
    assert claims["accuracy"].n == 60
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
    assert run.claims[0].value < 0.5 and not found[5].met


def test_run_and_forward_are_judged_alike(tmp_path: Path) -> None:
    images = real()
    train_on(hand_in(tmp_path), images, 20)
    stepped = judged(hand_in(tmp_path), images)[1]
    whole = judged(hand_in(tmp_path, RUN), images)[1]
    assert [c.value for c in stepped.claims[:2]] == [c.value for c in whole.claims[:2]]
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
    assert run.claims[-1].value == 7 and (run.dir / "check_training.png").is_file()


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
    assert run.claims[0].text == "test accuracy, read by predict(out)"
    assert run.claims[0].value == pytest.approx((images.y_test == 3).double().mean().item())
    more = "\n\ndef encode(images):\n    return torch.zeros(4, len(images), 784)\n"
    found, run = judged(hand_in(tmp_path, more), images)
    assert "encode(images)" in found[2].seen and run.extra["tables"][0]["rows"][0][2] == "0"


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
    assert found[2].met and found[4].met
    template = (ROOT / "journal.md").read_text(encoding="utf-8")
    journal.write_text(template.replace("- [ ] Neuron", "- [x] Neuron"), encoding="utf-8")
    found, _ = judged(path, real(), journal)
    assert found[1].met and "ticked in journal.md" in found[1].seen
    assert "0 words" in found[7].seen, "the template is nobody's analysis"
    metrics = {"lesson": "milestone_a_fashion_mnist", "analysis": "sparsity " * 500}
    write_entry(
        metrics | {"claims": [], "findings": [{"section": 1, "text": "spars " * 300}]}, journal
    )
    found, _ = judged(path, real(), journal)
    assert "0 words" in found[7].seen, "what a run wrote is not the student's page"
    with journal.open("a", encoding="utf-8") as file:
        file.write("\n" + "The rate falls and the layers get sparse. " * 30)
    found, _ = judged(path, real(), journal)
    assert found[7].met and "240 words" in found[7].seen
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
    "\n\ndef f(:\n": "my_net.py, line 31 (def f(:): SyntaxError",
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
    body("def run(self, x): return x.no_such_thing"): "run(x): line 32 (def run(self, x): return",
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
    assert "2  The seven demands" in out and "Train" not in out
    lines = out.partition("2  The seven demands")[2].splitlines()
    assert all(len(line) <= 80 or str(tmp_path) in line for line in lines)
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
