"""A network that a student hands in: read from a file with ``make_net()``, and run as the file says.

Whatever goes wrong in it is one line.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from common.io import UserError, load_weights
from common.spiking import constant_current, reset_state
from tutor import trial

import torch
from torch import Tensor, nn


@dataclass
class Work:
    """What a student handed in."""

    path: Path
    net: nn.Module
    encode: Callable[[Tensor], Tensor]
    predict: Callable[[Any], Tensor] | None
    own_encode: bool
    doc: str
    history: list[dict[str, float]] = field(default_factory=list)

    def attempt(self, what: str, call: Callable[..., Any], *args: Any) -> Any:
        """Call what the student wrote.

        Raises:
            UserError: whatever went wrong in it, as one line.
        """
        try:
            return call(*args)
        except (Exception, SystemExit) as e:
            if isinstance(e, UserError | MemoryError) or re.search("(of|allocate) memory", str(e)):
                raise  # what to lower is said elsewhere
            raise UserError(f"{self.path.name}, {what}: {trial.in_one_line(e, self.path)}") from e


def read(path: Path, num_steps: int, device: torch.device) -> Work:
    """Load a student's file, its weights and its training history.

    Raises:
        UserError: one line for every way in which that can fail.
    """
    module = trial.load(path, "my_network")
    make = getattr(module, "make_net", None)
    if not callable(make):
        raise UserError(f"{path.name} has no make_net(), expected one that returns your network")
    encode = getattr(module, "encode", None)
    work = Work(
        path,
        nn.Identity(),
        encode or partial(constant_current, num_steps=num_steps),
        getattr(module, "predict", None),
        encode is not None,
        inspect.cleandoc(module.__doc__ or ""),
    )
    net = work.attempt("make_net()", make)
    if not isinstance(net, nn.Module):
        raise UserError(f"{path.name}, make_net(): got {_kind(net)}, expected a torch.nn.Module")
    weights = path.with_suffix(".safetensors")
    if weights.is_file():
        load_weights(net, weights)
    work.net = net.to(device).eval()
    work.history = _history(path.with_suffix(".json"))
    return work


def _history(path: Path) -> list[dict[str, float]]:
    """The training history: one dict of numbers an epoch, with ``loss``; empty if there is none.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        history = [{key: float(value) for key, value in row.items()} for row in rows]
        if not all("loss" in row for row in history):
            raise LookupError("loss")
        return history
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as e:
        raise UserError(
            f"{path.name} cannot be read ({type(e).__name__}); expected a list with one "
            '{"epoch": 1, "loss": 0.7, "train": 0.74, "val": 0.80} an epoch, or no such file'
        ) from e


def run_network(work: Work, images: Tensor) -> Any:
    """What the network returns for images ``(B, 1, 28, 28)``: from ``run(x)``, or step by step.

    Raises:
        UserError: the input is not ``(T, B, …)``, or the network fails on it.
    """
    x = work.attempt("encode(images)", work.encode, images)
    B = len(images)
    if not isinstance(x, Tensor) or x.ndim < 2 or x.shape[1] != B:
        swapped = isinstance(x, Tensor) and len(x) == B
        fix = "; use x.transpose(0, 1)" if swapped else ""
        raise UserError(
            f"{work.path.name}, encode(images): got {_kind(x)}, expected (T, {B}, …), time first{fix}"
        )
    reset_state(work.net)
    if callable(getattr(work.net, "run", None)):
        return work.attempt("run(x)", work.net.run, x)
    return _stepped(work, x)


def _stepped(work: Work, x: Tensor) -> tuple[Tensor, ...]:
    """``forward(x_t)`` called once a step on ``x (T, B, …)``; each of its outputs ``(T, B, 10)``."""
    B = x.shape[1]
    steps = []
    for x_t in x:
        out = work.attempt("forward(x_t)", work.net, x_t)
        parts = [part for part in _right_shaped(out, (B, 10)) if part.ndim == 2]
        if not parts:
            raise UserError(
                f"{work.path.name}, forward(x_t): got {_kind(out)}, expected ({B}, 10) for one step, "
                "or spk, mem; if it takes the whole sequence, call it run"
            )
        steps.append(parts)
    return tuple(torch.stack(records) for records in zip(*steps, strict=True))


def _right_shaped(out: Any, shape: tuple[int, int]) -> list[Tensor]:
    """The tensors of an output whose shape ends so; none if that of the first does not."""
    parts = list(out) if isinstance(out, tuple | list) else [out]
    right = []
    for part in parts:
        if isinstance(part, Tensor) and tuple(part.shape[-2:]) == shape:
            right.append(part)
    return right if right and right[0] is parts[0] else []


def scores(work: Work, out: Any, images: int) -> dict[str, Tensor]:
    """The ways to read the output: name → a number for each class ``(B, 10)``; the main one first.

    Of several outputs the first holds spikes and the last the membrane, as in snnTorch.

    Raises:
        UserError: the output has another shape, or holds numbers that are not finite.
    """
    parts = [part for part in _right_shaped(out, (images, 10)) if part.ndim <= 3]
    if not parts:
        raise UserError(
            f"{work.path.name}: the output is {_kind(out)}, expected (T, {images}, 10), time first: "
            "spk_rec and mem_rec, or one of them"
        )
    means = [part.float().mean(0) if part.ndim == 3 else part.float() for part in parts]
    if not all(bool(torch.isfinite(mean).all()) for mean in means):
        raise UserError(f"{work.path.name}: the output holds numbers that are not finite")
    if len(means) == 1:
        return {"mean output": means[0]}
    return {"mean membrane": means[-1], "spike count": means[0]}


def classes_of(work: Work, out: Any, images: int) -> dict[str, Tensor]:
    """The classes ``(B,)`` that an output stands for, by each way to read it; the main one first.

    Raises:
        UserError: ``predict`` returns no classes, or the output has another shape.
    """
    if work.predict is None:
        return {name: each.argmax(1) for name, each in scores(work, out, images).items()}
    classes = work.attempt("predict(out)", work.predict, out)
    wrong = not isinstance(classes, Tensor) or tuple(classes.shape) != (images,)
    if wrong or bool(((classes < 0) | (classes > 9)).any()):
        raise UserError(
            f"{work.path.name}, predict(out): got {_kind(classes)}, "
            f"expected a class from 0 to 9 for each image, ({images},)"
        )
    return {"predict(out)": classes.long()}


def _kind(thing: Any) -> str:
    """The shape of a tensor, the shapes of several; of anything else its type."""
    if isinstance(thing, Tensor):
        return str(tuple(thing.shape))
    if isinstance(thing, tuple | list):
        return f"[{', '.join(_kind(part) for part in thing[:3])}]"
    return type(thing).__name__
