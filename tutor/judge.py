"""The judge of milestone A: what it measures of a network, and which of the seven demands it sees met.

What can be seen of a network the judge measures itself: its accuracy, the spikes and operations of
every layer, whether a gradient reaches the weights, and whether it knows the test images better than
it should. What is written in words it finds or does not find, and says so; whether the words are good
is for people.
"""

from __future__ import annotations

import ast
import copy
import math
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from common.cost import WEIGHTED
from common.data import ImageData, batches
from common.io import UserError
from common.run import WIDTH
from common.spiking import spiking_layers
from tutor import record, trial
from tutor.handed_in import Work, classes_of, run_network, scores

import torch
from torch import Tensor, nn

MORE_THAN, LEARNT = 0.85, 0.2
BATCH = 250
SURE = 3.29
"""Standard errors on either side: an honest network leaves such an interval once in a thousand times."""
REASON, PAGE = 5, 150
"""How many words make a reason in the docstring, and a page in the journal."""
OF_TEST = re.compile(r"\b(x_test|y_test|t10k\w*|test_set|testset|test_data)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Demand:
    """One of the seven demands: is it seen to be met, and what was seen."""

    number: int
    text: str
    met: bool
    seen: str


@dataclass(frozen=True)
class Layer:
    """What a spiking layer does for one image, on average.

    ``operations``: of the weights that run after it, spikes times fan-out.
    """

    name: str
    neurons: int
    rate: float
    silent: float
    spikes: float
    operations: float


@dataclass(frozen=True)
class Inside:
    """Spikes ``(T, B, N)`` of every layer, in running order, what they cause, and what the input does."""

    spikes: dict[str, Tensor] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    multiplications: float = 0.0
    """of an image: weights times an input that is no spike"""

    @property
    def operations(self) -> float:
        """Additions that the spikes of all layers cause for one image."""
        return sum(layer.operations for layer in self.layers)


@dataclass(frozen=True)
class Gap:
    """Accuracy on the test images less that on the validation images, and half of its interval."""

    test: float
    val: float
    half: float

    @property
    def difference(self) -> float:
        return self.test - self.val

    @property
    def leaks(self) -> bool:
        """The test images are known better than the validation images, beyond chance."""
        return self.difference > self.half


def reference() -> ModuleType:
    """The file of the reference network: ``make_net``, ``encode``, ``predict``, ``train``, ``page``.

    Raises:
        UserError: it is not there, or does not run.
    """
    return trial.load(record.SOLUTIONS / "milestone_a_net.py", "milestone_a_net")


# -------------------------------------------------------------------- measuring


@torch.no_grad()
def answers(work: Work, x: Tensor, device: torch.device) -> dict[str, Tensor]:
    """The classes ``(N,)`` of all images ``x``, by each way to read the output; the main one first."""
    found: dict[str, list[Tensor]] = {}
    for images, _ in batches(x, torch.zeros(len(x)), BATCH, device=device):
        for name, classes in classes_of(work, run_network(work, images), len(images)).items():
            found.setdefault(name, []).append(classes.cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def accuracy(classes: Tensor, y: Tensor) -> float:
    """Share of right answers."""
    return (classes == y.cpu()).double().mean().item()


def gap(right_test: float, n_test: int, right_val: float, n_val: int) -> Gap:
    """The difference of two shares with its interval: ``SURE`` standard errors to either side."""
    variance = right_test * (1 - right_test) / n_test + right_val * (1 - right_val) / n_val
    return Gap(right_test, right_val, SURE * math.sqrt(variance))


@torch.no_grad()
def look_inside(work: Work, images: Tensor) -> Inside:
    """Run ``images (B, 1, 28, 28)``, with an ear at every spiking neuron and every layer of weights.

    Operations are counted by a copy of each layer in which a weight that is not zero is 1: what it
    gives for an input of spikes is the number of spikes that arrive at each neuron. They are put down
    to the spiking layer that ran before it.
    """
    B = len(images)
    seen: dict[str, list[Tensor]] = {}
    caused: Counter[str] = Counter()
    before = ["input"]
    hooks = []

    def listen(name: str, neuron: nn.Module) -> None:
        def keep(module: nn.Module, args: Any, out: Any) -> None:
            spk = out[0] if isinstance(out, tuple) else out  # (B, …)
            before[0] = name
            if spk.ndim > 1 and len(spk) == B:
                seen.setdefault(name, []).append(spk.flatten(1).cpu())

        hooks.append(neuron.register_forward_hook(keep))

    def count(layer: nn.Module) -> None:
        ones = copy.deepcopy(layer)
        ones.weight.data = (layer.weight != 0).to(layer.weight.dtype)
        if ones.bias is not None:
            ones.bias.data.zero_()

        def add(module: nn.Module, args: tuple[Tensor, ...], out: Any) -> None:
            x = args[0]
            active = (x != 0).to(x.dtype)
            kind = "" if bool((x == active).all()) else "multiplied"
            caused[kind or before[0]] += ones(active).double().sum().item() / B

        hooks.append(layer.register_forward_hook(add))

    weighted = [m for m in work.net.modules() if isinstance(m, WEIGHTED)]
    try:
        for layer in weighted:
            count(layer)
        for name, neuron in spiking_layers(work.net).items():
            listen(name, neuron)
        run_network(work, images)
    finally:
        for hook in hooks:
            hook.remove()
    spikes = {k: torch.stack(v) for k, v in seen.items() if len({step.shape for step in v}) == 1}
    layers = [_layer(name, spk, caused[name]) for name, spk in spikes.items()]
    return Inside(spikes, tuple(layers), caused["multiplied"])


def _layer(name: str, spk: Tensor, operations: float) -> Layer:
    """The row of a layer from its spikes ``(T, B, N)``."""
    silent = (spk.sum((0, 1)) == 0).double().mean().item()
    per_image = spk.sum().item() / spk.shape[1]
    return Layer(name, spk.shape[2], spk.mean().item(), silent, per_image, operations)


def without_gradient(work: Work, images: Tensor, labels: Tensor) -> list[str] | None:
    """Names of the weights that no gradient reaches; None if none can be followed."""
    weights = {n: p for n, p in work.net.named_parameters() if p.requires_grad and p.dim() > 1}
    with torch.enable_grad():
        try:
            out = run_network(work, images)
            each = next(iter(scores(work, out, len(images)).values()))
        except UserError:
            return None  # read by predict(out) alone
        loss = nn.functional.cross_entropy(each, labels)
        if not loss.requires_grad or not weights:
            return None
        grads = work.attempt("backward", _gradients, loss, list(weights.values()))
    return [n for n, g in zip(weights, grads, strict=True) if g is None or not g.any()]


def _gradients(loss: Tensor, weights: list[Tensor]) -> Sequence[Tensor | None]:
    return torch.autograd.grad(loss, weights, allow_unused=True)


def names_of_test_images(work: Work) -> list[str]:
    """Where the file and its history speak of the test images: a question to ask, not a fault.

    A network has to be scored on them once, so naming them proves nothing.
    """
    found = []
    try:
        tree = ast.parse(work.path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        tree = ast.Module([], [])
    lines = set()
    for node in ast.walk(tree):
        name = getattr(node, "attr", getattr(node, "id", ""))
        text = (
            node.value if isinstance(node, ast.Constant) and node.end_lineno == node.lineno else ""
        )
        off = isinstance(node, ast.keyword) and node.arg == "train"
        official = off and isinstance(node.value, ast.Constant) and node.value.value is False
        if (
            official
            or OF_TEST.search(str(name))
            or (isinstance(text, str) and OF_TEST.search(text))
        ):
            lines.add(node.lineno)
    if lines:
        shown = ", ".join(str(line) for line in sorted(lines)[:5])
        found.append(f"{work.path.name} names the test images in line {shown}")
    if len(work.history) > 1 and any("test" in key.lower() for key in work.history[0]):
        found.append("the history has a test accuracy for every epoch")
    return found


@dataclass(frozen=True)
class Measured:
    """What the judge saw of one network. The first of ``read_as`` is the main way to read it."""

    read_as: dict[str, Tensor]
    accuracies: dict[str, float]
    gap: Gap
    inside: Inside
    stuck: list[str] | None
    named: list[str]

    @property
    def accuracy(self) -> float:
        return next(iter(self.accuracies.values()))


def measure(work: Work, data: ImageData, device: torch.device) -> Measured:
    """Everything that can be seen of a network: test and validation images, spikes, gradients.

    Raises:
        UserError: one line, if the network does not work.
    """
    on_test = answers(work, data.x_test, device)
    on_val = answers(work, data.x_val, device)
    accuracies = {name: accuracy(classes, data.y_test) for name, classes in on_test.items()}
    main = next(iter(on_test))
    val = accuracy(on_val[main], data.y_val)
    apart = gap(accuracies[main], len(data.y_test), val, len(data.y_val))
    images, _ = next(batches(data.x_test, data.y_test, BATCH, device=device))
    batch, labels = next(batches(data.x_train[:32], data.y_train[:32], 32, device=device))
    inside = look_inside(work, images)
    stuck = without_gradient(work, batch, labels)
    return Measured(on_test, accuracies, apart, inside, stuck, names_of_test_images(work))


# -------------------------------------------------------------------- the seven demands


def reasons(doc: str) -> dict[str, str]:
    """The paragraphs of a docstring that begin with a word and a colon, by that word in lower case."""
    found = {}
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*[A-Z][a-z]+: )", doc):
        match = re.match(r"\s*([A-Z][a-z]+): (.*)", paragraph, re.DOTALL)
        if match and len(match[2].split()) >= REASON:
            found[match[1].lower()] = " ".join(match[2].split())
    return found


def pages(journal: Path) -> tuple[str, set[str]]:
    """What the student wrote on the milestone in the journal, and the boxes that are ticked there.

    What a run measured is not the student's text: tables, lists of facts and the analysis of a
    reference run are left out.
    """
    try:
        text = journal.read_text(encoding="utf-8") if journal.is_file() else ""
    except (OSError, ValueError):
        return "", set()
    ticked = {line.strip() for line in re.findall(r"(?m)^- \[[xX]\] (.*)$", text)}
    own = []
    for entry in re.split(r"(?m)^(?=## )", text):
        heading = entry.partition("\n")[0].lower()
        named = "milestone" in heading or "fashion" in heading
        if not named or "progress" in heading or "quiz" in heading:
            continue
        for part in re.split(r"(?m)^(?=### )", entry):
            measured = "<!-- run" in entry and not part.startswith("### My findings")
            if not measured:
                lines = part.split("\n")
                own += [line for line in lines if not re.match(r"#|\||<!--|- .*:\s*$", line)]
    return "\n".join(own), ticked


def demands(work: Work, seen: Measured, journal: Path, stand_in: bool = False) -> list[Demand]:
    """Which of the seven demands can be seen to be met, and what is missing of the others.

    Args:
        journal: the student's journal.
        stand_in: other images took the place of Fashion-MNIST, so the accuracy says nothing.
    """
    said = reasons(work.doc)
    page, ticked = pages(journal)

    def reason(words: Sequence[str], box: str) -> tuple[bool, str]:
        for word in words:
            if word in said:
                measured = re.search(r"\d.*(%|points?\b|\bthan\b|\bagainst\b)", said[word])
                doubt = "" if measured else " without a comparison: what did you measure?"
                return True, f"reason in the docstring{doubt}"
        if any(line.startswith(box) for line in ticked):
            return True, "reason: ticked in journal.md"
        return (
            False,
            f"no reason: a paragraph '{words[0].capitalize()}: …' of {REASON} words or more",
        )

    kinds = Counter(type(neuron).__name__ for neuron in spiking_layers(work.net).values())
    names = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
    known = any(kind in ("Leaky", "Synaptic") for kind in kinds)
    why_neuron, neuron_reason = reason(["neuron"], "Neuron model chosen")
    neuron = f"{names or 'no neuron of snnTorch'}; {neuron_reason}"

    why_code, code_reason = reason(["encoding"], "Spike encoding chosen")
    held = "encode(images)" if work.own_encode else "the image, held as a constant current"

    spikes = seen.inside.spikes
    widths = ", ".join(f"{spk.shape[2]:,}" for spk in spikes.values())
    size = sum(p.numel() for p in work.net.parameters())
    layers = f"spiking layers of {widths}" if spikes else "no spiking layer seen"
    silent = [layer.name for layer in seen.inside.layers if layer.spikes == 0]
    if silent:
        layers += f"; no spike at all in {', '.join(silent)}"
    why_layers, layers_reason = reason(["architecture"], "Architecture designed")

    why_training, training_reason = reason(["training", "loss"], "Trained by BPTT")
    training = "a gradient reaches every weight"
    if seen.stuck is None:
        training = "no gradient can be followed: no_grad, detach, or an output of another form"
    elif seen.stuck:
        training = f"no gradient reaches {', '.join(seen.stuck[:3])}"
    learnt = seen.accuracy > LEARNT
    if not learnt:
        training += f"; {100 * seen.accuracy:.0f} % is about chance: is it trained?"

    drawn = [
        "confusion matrix",
        "rasters" if spikes else "no raster, for no spiking layer was seen",
    ]
    lacking = f"no training curves: {work.path.stem}.json with an epoch a row is not there"
    drawn.append("training curves" if work.history else lacking)

    count = len(page.split())
    sparse = "spars" in page.lower()
    written = f"{count} words under a heading that names the milestone"
    if count < PAGE or not sparse:
        written += f"; wanted in {journal.name}: {PAGE} or more of your own, on sparsity too"
    enough = seen.accuracy > MORE_THAN and not seen.gap.leaks and not stand_in
    return [
        Demand(1, "neuron model, and why", known and why_neuron, neuron),
        Demand(2, "spike encoding, and why", why_code, f"{held}; {code_reason}"),
        Demand(
            3,
            "architecture of your own, and why",
            bool(spikes) and why_layers,
            f"{layers}; {size:,} parameters; {layers_reason}",
        ),
        Demand(
            4,
            "BPTT with a surrogate gradient, loss",
            seen.stuck == [] and learnt and why_training,
            f"{training}; {training_reason}",
        ),
        Demand(5, "more than 85 % of the test set", enough, reached(seen, stand_in)),
        Demand(
            6,
            "raster of each layer, training curves, confusion matrix",
            bool(spikes and work.history),
            ", ".join(drawn),
        ),
        Demand(7, "a page of analysis in journal.md", sparse and count >= PAGE, written),
    ]


def as_lines(found: Sequence[Demand], named: Sequence[str], closed: bool) -> list[str]:
    """The demands for the terminal, and what to ask the author.

    Args:
        named: of ``names_of_test_images``.
        closed: say nothing of the design, which is what the first four demands are about.
    """
    lines = [""]
    for demand in found:
        lines.append(f"   {'✓' if demand.met else '✗'} {demand.number}  {demand.text}")
        if not closed or demand.number > 4:
            lines.append(_indented(demand.seen, "        "))
    for question in () if closed else named:
        lines.append(_indented(f"{question}: was anything chosen or trained by them?", "   ? "))
    return [*lines, ""]


def _indented(text: str, mark: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark))


def reached(seen: Measured, stand_in: bool) -> str:
    """The accuracy in words, and whether it can be believed."""
    if stand_in:
        return "not judged: stand-in data"
    apart = seen.gap
    text = (
        f"{100 * apart.test:.2f} % of the test images, {100 * apart.val:.2f} % of the validation "
        f"images: {100 * apart.difference:+.2f} ± {100 * apart.half:.2f} points"
    )
    if apart.leaks:
        return f"{text}. That is more than chance: were test images among the training images?"
    return f"{text}, no sign that test images were learnt"
