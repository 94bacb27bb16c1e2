"""A training between two epochs, on disk: damage is found, another training's state is refused.

state = {"net": net, "optimizer": optimizer, "order": order, "history": [], "best": {}}
mark = fingerprint(run, net, data, epochs, lr=lr, batch_size=batch_size)
if resume:
    load_checkpoint(path, mark, state, run)  # everything in state is filled in place
for epoch in range(len(state["history"]) + 1, epochs + 1):
    …
    save_checkpoint(path, mark, state)
"""

from __future__ import annotations

import hashlib
import inspect
import io
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from common.io import UserError, is_rank_zero, write_atomic
from common.run import Run
from training.torchrun import from_rank_zero

import torch

DECIDES_NOTHING = r"data_dir|out_dir|device|stand_in|only|predict|resume|show|quiz|journal|jobs"
"""Flags that change no weight; what they lead to, such as the data found, is compared instead."""


def fingerprint(run: Run, net: Any, data: Any, epochs: int, **more: Any) -> dict[str, str]:
    """Everything that decides a training, by name: flags, ``more``, data, and ``net`` as it starts.

    A training that is resumed may have more ``epochs``: they are noted, and not compared.
    """
    idle = re.compile(rf"{DECIDES_NOTHING}|\w*epochs")
    facts, mark = data.facts(), {k: v for k, v in vars(run.cfg).items() if not idle.fullmatch(k)}
    mark |= more | {"epochs": epochs, "device": run.device.type, "network": type(net).__name__}
    mark["data"] = f"{facts['name']} (stand-in)" if facts["stand_in"] else facts["name"]
    mark |= {f"images to {part}": n for part, n in facts["sizes"].items()}
    mark |= {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    norms = torch.stack([p.detach().cpu().double().norm() for p in net.parameters()])
    mark["norm of the first weights"] = f"{norms.norm():.6g}"  # more digits: the machine's own
    for c in {type(m) for m in net.modules()}:
        if c.__module__.split(".")[0] not in ("torch", "snntorch"):
            with suppress(OSError, TypeError):  # typed at a prompt: there is no file to read
                source = inspect.getsource(c).encode()
                mark[f"code of {c.__qualname__}"] = hashlib.sha256(source).hexdigest()[:8]
    # a function counts by its name and options, not by its place in memory
    return {name: re.sub(r" at 0x\w+", "", str(value)) for name, value in mark.items()}


def _with_random(state: dict[str, Any]) -> dict[str, Any]:
    """``state``, and the generators that draw on the CPU and on the network's device."""
    device, everything = next(state["net"].parameters()).device, dict(state)
    everything["random"] = torch.default_generator
    if device.type == "cuda":
        everything["random_gpu"] = torch.cuda.default_generators[device.index]
    elif device.type == "mps":
        everything["random_gpu"] = torch.mps._get_default_mps_generator()
    return everything


def _kept(part: Any) -> Any:
    if isinstance(part, torch.Generator):
        return part.get_state()
    return part if isinstance(part, (list, dict)) else part.state_dict()


def _put_back(part: Any, kept: Any) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(kept)
    elif isinstance(part, list):
        part[:] = map(dict, kept)
    else:
        (part.update if isinstance(part, dict) else part.load_state_dict)(kept)


def _check(state: dict[str, Any], kept: dict[str, Any]) -> None:
    """A ``ValueError`` for entries that torch would take over in silence though they do not fit."""
    if kept.keys() != state.keys():
        raise ValueError(f"entries {sorted(kept)}, expected {sorted(state)}")
    expected = {name: (t.shape, t.dtype) for name, t in state["net"].state_dict().items()}
    if {name: (t.shape, t.dtype) for name, t in kept["net"].items()} != expected:
        raise ValueError("weights of other names, shapes or types")
    moments = kept["optimizer"]["state"] if "optimizer" in kept else True
    if kept["history"] and not moments:
        raise ValueError("an optimizer that has not taken a step")


def save_checkpoint(path: Path, mark: dict[str, str], state: dict[str, Any]) -> None:
    """Write ``state`` and all random states, then their SHA-256; a ``UserError`` if it cannot be.

    ``state`` names the ``net``, its ``history`` (one dict an epoch) and what else training changes.
    """
    buffer = io.BytesIO()
    kept = {name: _kept(part) for name, part in _with_random(state).items()}
    torch.save({"mark": mark, "state": kept}, buffer)
    write_atomic(path, buffer.getvalue() + hashlib.sha256(buffer.getbuffer()).digest())


def load_checkpoint(
    path: Path, mark: dict[str, str], state: dict[str, Any], run: Run, quiet: bool = False
) -> None:
    """Fill ``state`` from a checkpoint, if there is one; ``run`` says what was taken over.

    ``quiet``: only in its record, not in the terminal.

    A ``UserError`` if the file is damaged, or of another training: it names what differs.
    """
    try:
        content = from_rank_zero(path.read_bytes() if is_rank_zero() and path.exists() else None)
        if content is None:
            if not quiet:
                run.print(f"resume    no {path.name} yet: starting from the beginning")
            return
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise ValueError("the digest at its end is another")
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        there, kept, planned = saved["mark"], saved["state"], saved["mark"]["epochs"]
        done, epochs = len(kept["history"]), mark["epochs"]
        names = [k for k in there | mark if k != "epochs" and there.get(k) != mark.get(k)]
        if not names:
            everything = _with_random(state)
            _check(everything, kept)
            for name, part in everything.items():
                _put_back(part, kept[name])
    except Exception as e:  # cut, of another format, an entry missing or of another kind
        raise UserError(
            f"{path} is damaged or no checkpoint of this course ({type(e).__name__}); "
            "delete it, or run without --resume"
        ) from e
    differs = [f"{k} is {there.get(k)} there, {mark.get(k)} here" for k in names]
    if done > int(epochs):
        differs.append(f"{done} epochs are finished there, {epochs} asked for here")
    if differs:
        shown = "; ".join(differs[:4]) + ("; …" if len(differs) > 4 else "")
        raise UserError(f"{path} is of another training: {shown}. Give the same, or no --resume")
    what = f"epochs 1–{done} of '{path.stem.removeprefix('checkpoint_')}'"
    run.resumed.append(what if planned == epochs else f"{what}, planned as {planned} epochs")
    if not quiet:
        run.print(f"resume    {path.name}: {done} of {epochs} epochs are done")
