"""A training between two epochs, on disk: damage is found, another training's state is refused.

history, best = [], {}
state = {"net": net, "optimizer": optimizer, "order": order, "history": history, "best": best}
mark = fingerprint(run, net, data, epochs, lr=lr, batch_size=batch_size)
if resume:
    load_checkpoint(path, mark, state, run)      # fills everything in state, in place
for epoch in range(len(history) + 1, epochs + 1):
    ...                                          # updates best in place, appends to history
    save_checkpoint(path, mark, state)
"""

from __future__ import annotations

import hashlib
import inspect
import io
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from common.io import UserError, is_rank_zero, write_atomic
from common.run import Run
from common.torchrun import from_rank_zero

import torch
from torch import nn

PLUMBING = "data_dir out_dir device stand_in only predict resume show quiz journal jobs".split()
"""Flags that change no weight; what they lead to, such as the data found, is compared instead."""


def fingerprint(run: Run, net: nn.Module, data: Any, epochs: int, **more: Any) -> dict[str, str]:
    """Everything that decides a training, by name.

    Args:
        net: as it starts, on its device.
        data: has ``facts()``, as ``ImageData`` has.
        epochs: of this training; a resumed one may have more.
        more: what else decides it; functions count by name and options.
    """
    facts = data.facts()
    flags = {k: v for k, v in asdict(run.cfg).items() if k not in PLUMBING}
    norms = torch.stack([p.detach().cpu().double().norm() for p in net.parameters()])
    mark = {k: v for k, v in flags.items() if not k.endswith("epochs")} | more
    mark |= {"epochs": epochs, "device": run.device.type, "network": type(net).__name__}
    mark |= {"data": facts["name"] + " (stand-in)" * bool(facts["stand_in"])}
    mark |= {f"images to {part}": n for part, n in facts["sizes"].items()}
    mark |= {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    mark |= {"norm of the first weights": f"{norms.norm():.6g}"}  # more digits: the machine's own
    for c in {type(m) for m in net.modules()}:
        if c.__module__.split(".")[0] not in ("torch", "snntorch"):
            with suppress(OSError, TypeError):  # typed at a prompt: there is no file to read
                source = inspect.getsource(c).encode()
                mark[f"code of {c.__qualname__}"] = hashlib.sha256(source).hexdigest()[:8]
    return {name: _text(value) for name, value in mark.items()}


def _text(value: Any) -> str:
    if isinstance(value, partial):
        options = [f"{k}={_text(v)}" for k, v in value.keywords.items()]
        return f"{_text(value.func)}({', '.join([*map(_text, value.args), *options])})"
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    return str(value)


def _with_random(state: dict[str, Any]) -> dict[str, Any]:
    """``state``, and the generators that draw on the CPU and on the network's device."""
    device = next(state["net"].parameters()).device
    state = state | {"random": torch.default_generator}
    if device.type == "cuda":
        state["random on the GPU"] = torch.cuda.default_generators[device.index]
    elif device.type == "mps":
        state["random on the GPU"] = torch.mps._get_default_mps_generator()
    return state


def _kept(part: Any) -> Any:
    if isinstance(part, torch.Generator):
        return part.get_state()
    return part.state_dict() if hasattr(part, "state_dict") else part


def _put_back(part: Any, kept: Any) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(kept)
    elif hasattr(part, "load_state_dict"):
        part.load_state_dict(kept)
    elif isinstance(part, list):
        part[:] = [dict(row) for row in kept]
    else:
        part.clear()
        part.update(kept)


def save_checkpoint(path: Path, mark: dict[str, str], state: dict[str, Any]) -> Path:
    """Write ``state`` and all random states, with a SHA-256 of it all at the end.

    Raises:
        UserError: the file cannot be written; the one before stays as it was.
    """
    kept = {name: _kept(part) for name, part in _with_random(state).items()}
    buffer = io.BytesIO()
    torch.save({"mark": mark, "state": kept}, buffer)
    return write_atomic(path, buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())


def load_checkpoint(path: Path, mark: dict[str, str], state: dict[str, Any], run: Run) -> bool:
    """Put a checkpoint back into the objects that ``state`` names; False if there is none.

    Raises:
        UserError: the file is damaged, or of another training: the line names what differs.
    """
    try:
        content = path.read_bytes() if is_rank_zero() and path.exists() else None
        content = from_rank_zero(content)
        if content is None:
            run.print(f"resume    no {path.name} yet: starting from the beginning")
            return False
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise ValueError("the digest at its end is another")
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        there, kept = saved["mark"], saved["state"]
        done, planned, epochs = len(kept["history"]), there["epochs"], mark["epochs"]
        differs = [
            f"{k} is {there.get(k, 'absent')} there, {mark.get(k, 'absent')} here"
            for k in there | mark
            if k != "epochs" and there.get(k) != mark.get(k)
        ]
        if done > int(epochs):
            differs += [f"{done} epochs are finished there, {epochs} asked for here"]
        if not differs:
            for name, part in _with_random(state).items():
                _put_back(part, kept[name])
    except Exception as e:  # cut, of another format, an entry missing or of another kind
        raise UserError(
            f"{path} is damaged or no checkpoint of this course ({type(e).__name__}); "
            "delete it, or run without --resume"
        ) from e
    if differs:
        raise UserError(
            f"{path} is of another training: {'; '.join(differs[:4])}{'; …' * (len(differs) > 4)}. "
            "Give what was given there, or run without --resume"
        )
    what = f"epochs 1–{done} of '{path.stem.removeprefix('checkpoint_')}'"
    run.resumed.append(what if planned == epochs else f"{what}, planned as {planned} epochs")
    run.print(f"resume    {path.name}: {done} of {epochs} epochs are done")
    return True
