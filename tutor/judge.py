"""The judge of milestone A: a student's own network on the complete test set, and the seven demands.

What can be seen of a network the judge measures itself: the accuracy, the spikes of every layer,
the confusion matrix, whether a gradient reaches the weights. What is written in words it finds or
does not find, and says so; whether the words are good is for people.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import plots
from common.data import ImageData, batches
from common.io import ROOT, UserError
from common.run import WIDTH, Run
from common.spiking import spiking_layers
from tutor.handed_in import Work, classes_of, read, run_network, scores

import torch
from torch import Tensor, nn

MORE_THAN = 0.85
BATCH = 250
SHOWN = 80
"""Neurons of a layer that its raster shows at most."""
REASON, PAGE = 5, 150
"""How many words make a reason in the docstring, and a page in the journal."""


@dataclass(frozen=True)
class Demand:
    """One of the seven demands: is it seen to be met, and what was seen."""

    number: int
    text: str
    met: bool
    seen: str


# -------------------------------------------------------------------- measuring


@torch.no_grad()
def answers(work: Work, data: ImageData, device: torch.device) -> dict[str, Tensor]:
    """The classes ``(N,)`` of the complete test set, by each way to read the output."""
    found: dict[str, list[Tensor]] = {}
    for images, _ in batches(data.x_test, data.y_test, BATCH, device=device):
        for name, classes in classes_of(work, run_network(work, images), len(images)).items():
            found.setdefault(name, []).append(classes.cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


@torch.no_grad()
def layer_spikes(work: Work, images: Tensor) -> dict[str, Tensor]:
    """Spikes ``(T, B, N)`` of every snnTorch neuron in the network, in the order in which they run."""
    seen: dict[str, list[Tensor]] = {}
    hooks = []
    for name, neuron in spiking_layers(work.net).items():

        def keep(module: nn.Module, args: Any, out: Any, name: str = name) -> None:
            spk = out[0] if isinstance(out, tuple) else out  # (B, …)
            if spk.ndim > 1 and len(spk) == len(images):
                seen.setdefault(name, []).append(spk.flatten(1).cpu())

        hooks.append(neuron.register_forward_hook(keep))
    try:
        run_network(work, images)
    finally:
        for hook in hooks:
            hook.remove()
    return {k: torch.stack(v) for k, v in seen.items() if len({step.shape for step in v}) == 1}


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


def demands(
    work: Work,
    accuracy: float | None,
    spikes: dict[str, Tensor],
    stuck: list[str] | None,
    journal: Path,
) -> list[Demand]:
    """Which of the seven demands can be seen to be met, and what is missing of the others.

    Args:
        accuracy: on the complete test set; None if a stand-in took its place.
        spikes: of ``layer_spikes``; ``stuck``: of ``without_gradient``.
        journal: the student's journal.
    """
    said = reasons(work.doc)
    page, ticked = pages(journal)

    def reason(words: Sequence[str], box: str) -> tuple[bool, str]:
        if any(word in said for word in words):
            return True, "reason in the docstring"
        if any(line.startswith(box) for line in ticked):
            return True, "reason: ticked in journal.md"
        return False, f"no reason: a paragraph '{words[0].capitalize()}: …' in the docstring"

    kinds = Counter(type(neuron).__name__ for neuron in spiking_layers(work.net).values())
    names = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
    known = any(kind in ("Leaky", "Synaptic") for kind in kinds)
    why_neuron, neuron_reason = reason(["neuron"], "Neuron model chosen")
    neuron = f"{names or 'no neuron of snnTorch'}; {neuron_reason}"

    why_code, code_reason = reason(["encoding"], "Spike encoding chosen")
    held = "encode(images)" if work.own_encode else "the image, held as a constant current"

    widths = ", ".join(f"{spk.shape[2]:,}" for spk in spikes.values())
    size = sum(p.numel() for p in work.net.parameters())
    layers = f"spiking layers of {widths}" if spikes else "no spiking layer seen"

    why_training, training_reason = reason(["training", "loss"], "Trained by BPTT")
    training = "a gradient reaches every weight"
    if stuck is None:
        training = "no gradient can be followed: no_grad, detach, or an output of another form"
    elif stuck:
        training = f"no gradient reaches {', '.join(stuck[:3])}"

    reached = "not judged: stand-in data" if accuracy is None else f"{100 * accuracy:.2f} %"
    drawn = [
        "confusion matrix",
        "rasters" if spikes else "no raster, for no spiking layer was seen",
    ]
    lacking = f"no training curves: {work.path.stem}.json with an epoch a row is not there"
    drawn.append("training curves" if work.history else lacking)

    count = len(page.split())
    sparse = "spars" in page.lower()
    written = f"{count} words under a heading that names the milestone"
    about = "" if sparse else ", none on sparsity"
    return [
        Demand(1, "neuron model, and why", known and why_neuron, neuron),
        Demand(2, "spike encoding, and why", why_code, f"{held}; {code_reason}"),
        Demand(3, "architecture of your own", bool(spikes), f"{layers}; {size:,} parameters"),
        Demand(
            4,
            "BPTT with a surrogate gradient, loss",
            stuck == [] and why_training,
            f"{training}; {training_reason}",
        ),
        Demand(5, "more than 85 % of the test set", (accuracy or 0) > MORE_THAN, reached),
        Demand(
            6,
            "raster of each layer, training curves, confusion matrix",
            bool(spikes and work.history),
            ", ".join(drawn),
        ),
        Demand(7, "a page of analysis in journal.md", sparse and count >= PAGE, written + about),
    ]


# -------------------------------------------------------------------- judging


def judge(
    path: Path, run: Run, data: ImageData, journal: Path = ROOT / "journal.md"
) -> list[Demand]:
    """Measure the network in ``path``, draw it, and say which demands are met.

    Raises:
        UserError: one line, if the file or its network does not work.
    """
    torch.manual_seed(run.cfg.seed)
    work = read(path, run.cfg.num_steps, run.device)
    weights = path.with_suffix(".safetensors")
    note = weights.name if weights.is_file() else "as make_net() returns them"
    run.print(f"\n1  {path.name} on {len(data.y_test):,} test images   (weights: {note})")
    read_as = answers(work, data, run.device)
    main, *others = read_as
    y = data.y_test
    accuracy = {name: (classes == y).double().mean().item() for name, classes in read_as.items()}
    least = (math.floor(MORE_THAN * len(y)) + 1) / len(y)  # more than 85 %, in whole images
    run.claim("accuracy", f"test accuracy, read by {main}", accuracy[main], target=f">= {least:.6g}", n=len(y), real=True)  # fmt: skip
    for name in others:
        run.claim(
            "other_accuracy", f"the same, read by {name}", accuracy[name], n=len(y), real=True
        )
        if accuracy[name] > max(accuracy[main], MORE_THAN):
            run.note(f"{name} reads it better: if you trained for that, say so with predict(out).")
    run.figure(_draw_confusion(read_as[main], data, accuracy[main]), "check_confusion")

    images, _ = next(batches(data.x_test, y, BATCH, device=run.device))
    spikes = layer_spikes(work, images)
    if spikes:
        rows = [_layer_row(name, spk) for name, spk in spikes.items()]
        run.table("Spikes by layer", ("layer", "neurons", "rate a step", "spikes an image"), rows)
        figure = _draw_rasters(spikes, images[0, 0].cpu(), data)
        run.figure(
            figure, "check_rasters", look="which layers are silent, and which fire all the time"
        )
    if work.history:
        run.figure(_draw_curves(work.history), "check_training")
    batch, labels = next(batches(data.x_train[:32], data.y_train[:32], 32, device=run.device))
    stuck = without_gradient(work, batch, labels)

    run.print("\n2  The seven demands, as far as they can be seen from here")
    judged = None if data.stand_in else accuracy[main]
    found = demands(work, judged, spikes, stuck, journal)
    for demand in found:
        run.print(f"   {'✓' if demand.met else '✗'} {demand.number}  {demand.text}")
        run.print(textwrap.indent(textwrap.fill(demand.seen, WIDTH - 8), " " * 8))
    run.extra["demands"] = [vars(demand) for demand in found]
    met = sum(demand.met for demand in found)
    run.claim(
        "demands", "demands that can be seen to be met", met, "of 7", target="== 7", real=True
    )
    missing = ", ".join(str(demand.number) for demand in found if not demand.met)
    verdict = "more than 85 %" if accuracy[main] > MORE_THAN else "not more than 85 %"
    if data.stand_in:
        verdict = "stand-in data, which is not judged"
    rest = f"Missing of the seven demands: {missing}." if missing else "All seven demands are met."
    share = f"{100 * accuracy[main]:.2f} % of {len(y):,} test images ({data.name})"
    run.finding(f"{share}: {verdict}. {rest}")
    return found


def _layer_row(name: str, spk: Tensor) -> tuple[str, str, float, float]:
    return name, f"{spk.shape[2]:,}", spk.mean().item(), spk.sum().item() / spk.shape[1]


def _draw_confusion(classes: Tensor, data: ImageData, accuracy: float) -> Any:
    K = len(data.classes)
    matrix = torch.bincount(K * data.y_test + classes, minlength=K * K).view(K, K)
    title = f"Your network: {100 * accuracy:.2f} % of {len(classes):,} test images"
    fig, ax = plots.figure(size=(7.2, 6.4), title=title)
    plots.confusion(ax, matrix, data.classes)
    return fig


def _draw_rasters(spikes: dict[str, Tensor], image: Tensor, data: ImageData) -> Any:
    """The first test image, and the spikes that it causes in every layer.

    Of a hidden layer, neurons that fire are shown; of an output layer all ten, with their classes.
    """
    title = f"One test image ({data.classes[int(data.y_test[0])]}): the spikes of each layer"
    fig, axes = plots.figure(1, len(spikes) + 1, (3.1 * len(spikes) + 3.2, 4.2), title)
    axes[0].imshow(image.numpy(), cmap="gray")
    axes[0].set_axis_off()
    for ax, (name, spk) in zip(axes[1:], spikes.items(), strict=True):
        first = spk[:, 0]  # (T, N)
        fires = first.any(0).nonzero()[:, 0]
        heading = f"{name}: {len(fires):,} of {first.shape[1]:,} fire"
        if first.shape[1] == len(data.classes):
            plots.raster(ax, first, width=4)
            ax.set_yticks(range(len(data.classes)), data.classes)
            plots.label(ax, "time step", "", heading)
        else:
            kept = fires[torch.linspace(0, max(0, len(fires) - 1), min(SHOWN, len(fires))).long()]
            plots.raster(ax, first[:, kept] if len(kept) else first[:, :1], width=4)
            plots.label(ax, "time step", f"neurons that fire ({len(kept)} shown)", heading)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig


def _draw_curves(history: Sequence[dict[str, float]]) -> Any:
    """Loss by epoch, and beside it whatever accuracies the history holds."""
    epochs = [row.get("epoch", i + 1) for i, row in enumerate(history)]
    keys = [key for key in history[0] if all(key in row for row in history)]
    shares = [key for key in keys if key not in ("epoch", "loss", "seconds", "lr")]
    fig, axes = plots.figure(1, 2, (10, 3.8), f"Your training: {len(history)} epochs")
    plots.curves(axes[0], epochs, {"loss": [row["loss"] for row in history]})
    plots.label(axes[0], "epoch", "loss", "Loss")
    plots.curves(axes[1], epochs, {key: [100 * row[key] for row in history] for key in shares})
    found = f"Accuracy: {', '.join(shares)}" if shares else "No accuracy in the history"
    plots.label(axes[1], "epoch", "accuracy (%)", found)
    for ax in axes:
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig
