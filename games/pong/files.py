"""The files of Pong's agents: weights of your own or the course's, and the games that an agent has played."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from common.io import ROOT, UserError, load_weights, save_weights, write_json
from common.run import Run

from safetensors import SafetensorError, safe_open
from torch import nn

CHECKPOINTS = ROOT / "checkpoints"
MADE_BY = {
    "teacher": "train",
    "clipped": "convert",
    "sparse": "sparsify",
    "temporal": "remember",
    "akida": "quantize",
}
"""Weights → the command that makes them, where the two have different names."""
WEIGHTS = {"converted": "clipped"}
"""Agent → its weights, where the two have different names."""
GAMES = "pong_games.json"
FIRST_FORM = {
    "1f978e07604f50c4": "1,000,000 decisions, half sticky",
    "cbd74ea3ba9e079c": "the teacher's games, half sticky",
    "2f259ba7afae04c4": "the teacher's and its own, half sticky",
    "95cfb9007a77d9f7": "the clone's games, half sticky",
    "a653f46d2fe5ecc6": "the teacher's games, half sticky",
}
"""Weights, by their digest, that the script's first form has trained, and what they learnt from."""
SINCE = {"6c0ec072116b041a": "games of the first form's teacher, and its own"}
"""Weights, by their digest, that the course ships and the present form has trained, and what they learnt from."""
PLAIN_THEN = {
    "1f978e07604f50c4": 20.2,
    "cbd74ea3ba9e079c": 20.2,
    "2f259ba7afae04c4": 19.87,
    "95cfb9007a77d9f7": 16.1,
    "a653f46d2fe5ecc6": 19.93,
}
"""Weights, by their digest → mean points without sticky actions that the first form counted, from 30 seeds. Some seeds
gave the same game, so that these means are not those of different games."""
STEPS_THEN = {"converted": 32, "clone": 4, "sparse": 4}
"""Time steps per decision of agents whose games were noted without saying so."""


def find(run: Run, name: str) -> Path:
    """The file of weights ``name``: that of this results folder, or else the course's; says which one it is.

    ``--shipped`` takes the course's wherever there are two.

    Raises:
        UserError: there is none.
    """
    kind = "fbz" if name == "akida" else "safetensors"
    mine, ours = run.dir / f"{name}.{kind}", CHECKPOINTS / f"pong_{name}.{kind}"
    path = mine if mine.is_file() and not (run.cfg.shipped and ours.is_file()) else ours
    if not path.is_file():
        raise UserError(
            f"got no weights '{name}' in {mine.parent} or {ours.parent.name}/; make them with "
            f"'uv run capstone_pong.py {MADE_BY.get(name, name.replace('_', '-'))}'"
        )
    whose = "the course's" if path == ours else "your own (--shipped takes the course's)"
    if (name, path) not in _said:
        _said.add((name, path))
        run.print(f"   weights {name}: {whose}, {path.parent.name}/{path.name}")
    return path


_said: set[tuple[str, Path]] = set()  # one line a file and process


def width_of(path: Path) -> tuple[int, int]:
    """Channels of the first layer and neurons of the dense one, as the file's header tells.

    Raises:
        UserError: it is damaged, or holds another kind of network.
    """
    try:
        with safe_open(path, "pt") as f:
            return f.get_slice("conv1.weight").get_shape()[0], f.get_slice(
                "fc1.weight"
            ).get_shape()[0]
    except (SafetensorError, OSError, ValueError, IndexError) as e:
        raise UserError(
            f"{path} is damaged or holds another network ({type(e).__name__}); make it again"
        ) from e


def keep(net: nn.Module, run: Run, name: str) -> nn.Module:
    """Save a network's weights, in 16 bits to be small, and put what was saved back into it: it is what is measured."""
    inner = getattr(net, "net", net)
    path = save_weights(copy.deepcopy(inner).half(), run.dir / f"{name}.safetensors")
    run.print(f"   saved   {path}")
    return load_weights(inner, path)


def digest(path: Path) -> str:
    """Sixteen hex digits of a file: games belong to the weights that played them."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def keep_games(run: Run, agent: str, weights: Path, found: dict[str, Any]) -> None:
    """Note the points of the games that ``agent`` has played with ``weights``."""
    path = run.dir / GAMES
    games = _read(path) if path.is_file() else {}
    write_json(path, games | {agent: {"weights": digest(weights), **found}})


def note_games(run: Run, agent: str, found: dict[str, Any]) -> None:
    """Note them for the weights that this results folder holds: a command has just made them and let them play."""
    kind = "fbz" if agent == "akida" else "safetensors"
    keep_games(run, agent, run.dir / f"{WEIGHTS.get(agent, agent)}.{kind}", found)


def played(run: Run, agent: str, weights: Path) -> dict[str, Any] | None:
    """The games of ``agent`` with just these ``weights``: of this results folder, or noted by the course; or None."""
    for path in (run.dir / GAMES, CHECKPOINTS / GAMES):
        if path.is_file():
            found = _read(path).get(agent, {})
            if found.get("weights") == digest(weights):
                if "plain" not in found and found["weights"] in PLAIN_THEN:
                    found["plain_then"] = PLAIN_THEN[found["weights"]]
                return {"num_steps": STEPS_THEN.get(agent, 1)} | found
    return None


def origin(weights: Path) -> tuple[str, str]:
    """Whose ``weights`` these are and what they have learnt from, as the course knows."""
    if (learnt := FIRST_FORM.get(digest(weights))) is not None:
        return "the course's, first form", learnt
    if (learnt := SINCE.get(digest(weights))) is not None:
        return "the course's, present form", learnt
    if weights.parent == CHECKPOINTS:
        return "the course's", "see checkpoints/README.md"
    return "your own", "made here, in sticky games"


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as e:
        raise UserError(f"{path} is damaged ({type(e).__name__}); remove it") from e
