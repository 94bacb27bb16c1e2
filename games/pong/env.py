"""Atari Pong for capstone A: the game, what its agents see of it, and the states that they come through.

Levels of a DVS pixel and the three event maps are equation (2) of ``capstone_pong.py``.
"""

from __future__ import annotations

import time
import weakref
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from common.io import UserError
from common.run import Run
from eventcam.events import lin_log

import numpy as np
import torch
from torch import nn

ACTIONS = (
    0,
    2,
    3,
)  # of ALE's six for Pong: stay, up, down; the three others are the same with the fire button
SIZE = 84
TOP = 13  # the score stands above this row
THETA = 0.3  # threshold of a DVS pixel, in units of ln intensity
STICKY = 0.25  # probability with which a frame repeats the action before it, in ALE/Pong-v5
STEP = 51  # grey levels of a map for each event: five events fill a byte

LEVEL = np.floor(lin_log(np.arange(256)) / THETA).astype(np.uint8)
"""ℓ of equation (2) for each grey level: how often an ideal DVS pixel has fired on its way there from black."""


IDLE: dict[tuple[int, float, int], list[Any]] = {}
"""Emulators that no ``Pong`` holds any more, by games, stickiness and threads: to make one takes 0.1 s a game."""


class Pong:
    """``num`` games of ALE/Pong-v5 side by side.

    ALE does the work in C++: an action lasts four frames, the brighter of the last two counts, grey, 84 × 84, up to 30
    no-ops at the start.

    Args:
        seed: of the first game; the others count on from there.
        sticky: probability with which a frame repeats the action before it: 0.25 in ALE/Pong-v5.

    The emulator takes as many threads as PyTorch may (``OMP_NUM_THREADS``); the games are the same with any number.

    Raises:
        UserError: the Atari packages are missing.
    """

    def __init__(self, num: int, seed: int, sticky: float = 0.0) -> None:
        try:
            from ale_py import Action  # noqa: F401  (the emulator itself)
            from ale_py.vector_env import AtariVectorEnv
        except ImportError as e:
            raise UserError(
                f"the Atari games are missing ({e}); install them with 'uv sync', or with "
                "'uv pip install ale-py==0.12.1 gymnasium==1.4.0'"
            ) from e
        threads = min(num, torch.get_num_threads())
        self.idle = IDLE.setdefault((num, sticky, threads), [])
        if self.idle:
            self.env = self.idle.pop()
        else:
            chance = {"repeat_action_probability": sticky}
            self.env = AtariVectorEnv("pong", num, stack_num=4, num_threads=threads, **chance)
        self.free = weakref.finalize(self, self.idle.append, self.env)
        self.stack = stand_still(
            self.env.reset(seed=seed)[0]
        )  # (N, 4, 84, 84) grey, the newest last
        self.ended = np.zeros(num, bool)

    @property
    def level(self) -> np.ndarray:
        """The newest picture as thresholds below each pixel, ``(N, 84, 84)`` uint8."""
        return to_level(self.stack[:, -1])

    def level_on(self, device: torch.device) -> torch.Tensor:
        """The same on ``device``."""
        if device.type == "cpu":
            return torch.from_numpy(self.level)
        return to_level(sent(self.stack[:, -1], device))

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Play ``action (N,)``, 0 to 2: points won or lost ``(N,)``, games that ended now, games that only restarted.

        A game that has ended ignores its next action and starts again: that step is no transition.
        """
        self.send(action)
        return self.receive()

    def send(self, action: np.ndarray) -> None:
        """The first half of ``step``: the games go on in threads of their own, and the caller need not wait."""
        self.free.detach()  # an emulator that is not waited for is of no use to others
        self.env.send(np.asarray(ACTIONS)[action])

    def receive(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The second half: wait until all games are there, and tell what ``step`` tells."""
        restarted = self.ended
        stack, reward, over, cut, _ = self.env.recv()
        self.free = weakref.finalize(self, self.idle.append, self.env)
        self.stack, self.ended = stand_still(stack), over | cut
        return reward.astype(np.float32), self.ended, restarted


def stand_still(stack: np.ndarray) -> np.ndarray:
    """ALE leaves the pictures before a game's first one black, which would look like a flash: repeat the first one."""
    for k in range(stack.shape[1] - 2, -1, -1):
        black = np.flatnonzero(stack[:, k, SIZE // 2, SIZE // 2] == 0)  # a look at one pixel first
        black = black[~stack[black, k].any((1, 2))]
        stack[black, k] = stack[black, k + 1]
    return stack


def device_of(net: nn.Module) -> torch.device:
    """Where its weights are, and so where it decides."""
    return next(net.parameters()).device


def learning_device(run: Run) -> torch.device:
    """Where the networks of ``run`` learn and decide: on a GPU of CUDA or ROCm, else on the CPU."""
    return run.device if run.device.type == "cuda" else torch.device("cpu")


Grey = np.ndarray | torch.Tensor
"""Pictures in bytes: an array on the host, or a tensor on the device that is to look at them."""


def sent(grey: np.ndarray, device: torch.device) -> Grey:
    """``grey`` as a tensor on a GPU; on the host an array stays what it is."""
    if device.type == "cpu":
        return grey
    return torch.from_numpy(np.ascontiguousarray(grey)).to(device)


def to_level(grey: Any) -> Any:
    """ℓ of equation (2), without the score at the top: ``(…, 84, 84)`` uint8, where ``grey`` is."""
    if isinstance(grey, torch.Tensor):
        level = _to_device(LEVEL_THERE, grey.device)[grey.int()]
    else:
        level = LEVEL[grey]
    level[..., :TOP, :] = 0
    return level


LEVEL_THERE = torch.from_numpy(LEVEL)


@cache
def _to_device(table: torch.Tensor, device: torch.device) -> torch.Tensor:
    return table.to(device)


@cache
def board() -> torch.Tensor:
    """ℓ of the board without paddles and ball, ``(84, 84)``: the median of some moments of a game."""
    game, seen, rng = Pong(1, seed=0), [], np.random.default_rng(0)
    for _ in range(100):
        game.step(rng.integers(0, 3, 1))
        seen.append(game.level[0])
    return torch.from_numpy(np.median(seen, axis=0).astype(np.uint8))


def events(before: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """Equation (2) on levels ``(B, 84, 84)``: ``(B, 3, 84, 84)`` uint8, 51 for each event, five at most.

    Levels lie far below 128, so that signed bytes hold their differences; the channel lies last in memory, as
    convolutions on a CPU like it.
    """
    b, n = before.view(torch.int8), now.view(torch.int8)
    place = (n - _to_device(board(), n.device).view(torch.int8)).abs()
    maps = torch.stack((place, n - b, b - n), -1).clamp_(0, 5)
    return maps.view(torch.uint8).mul_(STEP).permute(0, 3, 1, 2)


def see_events(grey: Grey) -> torch.Tensor:
    """Pictures ``(B, n, 84, 84)``, the newest last → place, ON and OFF, ``(B, 3, 84, 84)`` uint8: equation (2)."""
    step = 1000 if isinstance(grey, np.ndarray) else 10_000
    parts = [
        torch.as_tensor(to_level(grey[i : i + step, -2:])) for i in range(0, len(grey), step)
    ]  # in parts, to save memory
    maps = [events(level[:, 0], level[:, 1]) for level in parts]
    return torch.cat(maps) if len(maps) > 1 else maps[0]


def see_places(grey: Grey) -> torch.Tensor:
    """Only where things are; ON and OFF, that is motion, left out."""
    maps = see_events(grey)
    maps[:, 1:] = 0
    return maps


def see_frames(grey: Grey) -> torch.Tensor:
    """The last three pictures as they are."""
    return torch.as_tensor(grey[:, -3:]).contiguous()


def see_deltas(grey: Grey) -> torch.Tensor:
    """The picture, and by how much each pixel became brighter and darker since the last one, in grey levels."""
    before, now = (torch.as_tensor(grey[:, k]).short() for k in (-2, -1))
    return torch.stack((now, now - before, before - now), 1).clamp_(0, 255).to(torch.uint8)


Eyes = Callable[[Any], torch.Tensor]
Policy = Callable[[torch.Tensor], np.ndarray]


def play(
    policy: Policy,
    games: int,
    seed: int,
    sticky: float,
    eyes: Eyes = see_events,
    watch: Callable[[Pong, torch.Tensor, np.ndarray], None] | None = None,
    limit: int = 0,
    hear: Callable[[np.ndarray, np.ndarray, np.ndarray], None] | None = None,
) -> np.ndarray:
    """One full game for each seed from ``seed`` on: the points ``(games,)``, −21 to 21.

    A policy with an attribute ``device`` is shown maps that were made there. One with an attribute ``memory`` keeps
    something for each game from decision to decision: it is asked about all games every time, those that are over
    included, so that its memories stay in their places. One with a method ``begin`` is told that all games begin.

    Args:
        watch: is shown every decision: the games, the maps of those still going on, their actions.
        limit: stop after so many decisions (smoke runs); 0: play to the end.
        hear: is told after every decision: points made now, points so far, games that ended now, ``(games,)`` each.
    """
    env = Pong(games, seed, sticky)
    if hasattr(policy, "begin"):  # nothing is remembered of other games
        policy.begin(np.ones(games, bool))
    points, running, decisions = np.zeros(games), np.ones(games, bool), 0
    device = getattr(policy, "device", torch.device("cpu"))
    while running.any() and not 0 < limit <= decisions:
        decisions += 1
        remembers = hasattr(policy, "memory")
        which = np.arange(games) if remembers else np.flatnonzero(running)
        action = np.zeros(games, np.int64)
        maps = eyes(sent(env.stack[which], device))
        action[which] = policy(maps)
        if watch:
            watch(env, maps, action[which])
        reward, ended, _ = env.step(action)
        points += reward * running
        if hear:
            hear(reward * running, points, ended & running)
        running &= ~ended
    return points


class Different:
    """Tells games apart by all pictures that they showed: give its ``watch`` to ``play``.

    Without sticky actions a policy without chance plays the same game again wherever ALE draws the same number of
    no-ops at the start, 31 at most. The same game twice is one game.

    Args:
        shown: checksums of games that have been played already.
    """

    def __init__(self, shown: Sequence[int] = ()) -> None:
        self.film: dict[int, int] = dict(enumerate(shown))
        self.running: np.ndarray | None = None

    def watch(self, env: Pong, maps: torch.Tensor, action: np.ndarray) -> None:
        """Add what each game that goes on shows now to its checksum."""
        if self.running is None:
            self.running = np.ones(len(env.stack), bool)
        self.running &= ~env.ended
        for game in np.flatnonzero(self.running):
            self.film[game] = zlib.crc32(env.stack[game, -1].tobytes(), self.film.get(game, 0))

    def first_ones(self) -> list[int]:
        """The games that no earlier one equals."""
        found: dict[int, int] = {}
        for game, film in self.film.items():
            found.setdefault(film, game)
        return sorted(found.values())


@dataclass
class Seen:
    """States that an actor came through: pictures ``grey (n, 3, 84, 84)`` uint8, the newest last, and the teacher's
    Q-values ``q (n, 3)``, both where the teacher is; of so many ``games`` side by side. ``begins (n,)`` is True where
    a state is the first one of a game; without it, in the first state of each of the games side by side only."""

    grey: Grey
    q: torch.Tensor
    games: int = 16
    begins: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.begins is None:
            self.begins = torch.arange(len(self.q), device=self.q.device) < self.games

    def __add__(self, other: Seen) -> Seen:
        join: Any = np.concatenate if isinstance(self.grey, np.ndarray) else torch.cat
        grey = join((self.grey, other.grey))
        begins = torch.cat((self.begins, other.begins))
        return Seen(grey, torch.cat((self.q, other.q)), self.games, begins)


def rollouts(
    teacher: nn.Module,
    n: int,
    seed: int,
    actor: Policy | None = None,
    eyes: Eyes = see_events,
    noise: float = 0.05,
    games: int = 16,
) -> Seen:
    """``n`` states of ``games`` (2 for fewer than 256 states: a game takes 0.2 s to begin) with sticky actions;
    ``actor`` plays, or the teacher, with some noise. State i is of game i modulo their number, in order of time. An
    actor with a method ``begin`` is told before each decision which games have just begun, ``(games,)``. Whoever plays,
    the labels are the teacher's."""
    games = games if n >= 16 * games else 2
    world, rng = Pong(games, seed, STICKY), np.random.default_rng(seed)
    device = device_of(teacher)
    grey: Any = sent(np.empty((n, 3, SIZE, SIZE), np.uint8), device)
    q = torch.empty(n, len(ACTIONS), device=device)
    begins = torch.empty(n, dtype=torch.bool, device=device)
    new = np.ones(games, bool)
    for i in range(0, n, games):
        stack = sent(world.stack[:, 1:], device)
        with torch.no_grad():
            values = teacher(see_events(stack).float() / 255)
        grey[i : i + games], q[i : i + games] = stack[: n - i], values[: n - i]
        begins[i : i + games] = torch.from_numpy(new)[: n - i]
        if hasattr(actor, "begin"):
            actor.begin(new)
        action = values.argmax(1).cpu().numpy() if actor is None else actor(eyes(stack))
        chance = rng.random(games) < noise
        new = world.step(np.where(chance, rng.integers(0, len(ACTIONS), games), action))[2]
    return Seen(grey, q, games, begins)


def stages(policy: Callable[[torch.Tensor], Any], repeats: int, seed: int) -> dict[str, np.ndarray]:
    """Milliseconds of each stage of ``repeats`` decisions in one game: frame (the emulator makes it), perception,
    policy, action."""
    env, found = Pong(1, seed), {k: [] for k in ("frame", "perception", "policy", "action")}
    for i in range(repeats + 20):
        t0 = time.perf_counter()
        maps = see_events(env.stack)
        t1 = time.perf_counter()
        values = policy(maps)
        t2 = time.perf_counter()
        action = np.asarray(values).argmax(1)
        t3 = time.perf_counter()
        env.step(action)  # the emulator makes the next frame: that is its time, not ours
        t4 = time.perf_counter()
        if i >= 20:
            for key, dt in zip(found, (t4 - t3, t1 - t0, t2 - t1, t3 - t2), strict=True):
                found[key].append(1000 * dt)
    return {k: np.array(v) for k, v in found.items()}


def stages_in_turn(
    policies: dict[str, Callable[[torch.Tensor], Any]], repeats: int, seed: int, rounds: int = 4
) -> dict[str, dict[str, np.ndarray]]:
    """``stages`` of several policies: each makes a part of its decisions, then the next one does, ``rounds`` times.

    So whatever else the host is doing meets all of them.
    """
    parts: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in policies}
    for k in range(rounds):
        for name, policy in policies.items():
            parts[name].append(stages(policy, max(1, repeats // rounds), seed + k))
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, of_policy in parts.items():
        found[name] = {
            key: np.concatenate([part[key] for part in of_policy]) for key in of_policy[0]
        }
    return found
