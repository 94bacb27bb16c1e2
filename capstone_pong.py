"""Capstone A — Pong to silicon: a spiking agent, from pixels to the AKD1000

Question
    A network that plays Pong is made cheaper in one of two ways: by few spikes, or by few bits, which a chip can hold.
    What does each step cost in points? T counts time steps per decision:

        agent      neurons            T   weights           made from  learns from
        teacher    ReLU               1   float             random     the game, by equation (1)
        converted  spiking            32  float             teacher    the teacher's games, by (3)
        clone      spiking            4   float             converted  those games and its own
        sparse     spiking            4   float             clone      the clone's games and its own, with a price μ
        temporal   spiking            1   float             clone      games of the same kinds, with membranes that stay
        akida      ReLU of 16 values  1   4 bits (first: 8) converted  the teacher's games; fits the AKD1000

Idea
    A teacher learns Q(s, a): the points, discounted by γ, that action a in state s will bring in this rally. Its target
    adds n rewards r to a slow copy Q⁻ in s', n steps later; g is γⁿ, and 0 once a point, r = ±1, has fallen:

        y = Σ_{k<n} γᵏ·r_k + g·Q⁻(s', argmax_a Q(s', a))            loss = Huber(Q(s, a) − y)              (1)

    All see events. A DVS pixel fires whenever ln I moves by θ: ℓ = ⌊ln I/θ⌋ times from black (ln I as in lesson 04):

        place = |ℓ_t − ℓ_board|       ON = max(ℓ_t − ℓ_{t−1}, 0)       OFF = max(ℓ_{t−1} − ℓ_t, 0)         (2)

    A student's choice softmax(z) copies p, the teacher's at temperature τ; μ is a price on operations (SynOps):

        loss = −Σ_a p_a·log softmax(z)_a + μ·SynOps/1000            p = softmax(Q_teacher/τ)               (3)

Read first
    https://arxiv.org/abs/1509.06461 (double DQN), 1511.06295 (distillation), 2009.14456 (a converted DQN), 2201.07211
    (a spiking DQN); https://ale.farama.org/environments/pong/; lessons 04 (events), 14 (sparsity), 16, 19

Run
    uv run capstone_pong.py                            section 8 on shipped agents of an earlier form: a minute
    uv run capstone_pong.py play --agent sparse --record pong.gif      30 sticky games and 30 others; --resume goes on
    uv run capstone_pong.py train --warm --resume      hours on two cores; section 1 has the line for a GPU
    uv run capstone_pong.py convert                    then clone, spiking-dqn, sparsify, remember, quantize: 10 to 40
                                                       minutes each on two cores; report --journal writes all of it up
Builds on / leads to
    04, 07, 09, 13, 14, 16 and 19; capstone_gameworld.py takes the same ideas to a game in a browser.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from akd1000 import packages
from akd1000.chip import akida_outputs, measure_on_chip
from akd1000.convert import (
    channels_last,
    convert_quantised,
    copy_weights,
    keras_outputs,
    quantize_and_convert,
)
from akd1000.device import describe_measurement
from akd1000.fbz import open_fbz, save_fbz
from akd1000.mesh import map_on_akd1000
from akd1000.published import published_tables
from common.akida import akida_status
from common.io import UserError, load_weights
from common.lesson import LessonConfig, bounded, section, start
from common.run import Run
from common.spiking import constant_current, over_time
from eventcam.events import lin_log
from games.commands import carry_out_asked, once, part_file, trained
from games.pong import files
from games.pong import report as show
from games.pong.cost import cost, operations, row, summed
from games.pong.env import (
    ACTIONS,
    SIZE,
    STEP,
    STICKY,
    THETA,
    TOP,
    Different,
    Eyes,
    Policy,
    Pong,
    Seen,
    board,
    device_of,
    events,
    learning_device,
    play,
    rollouts,
    see_deltas,
    see_events,
    see_frames,
    see_places,
    stages_in_turn,
)
from games.pong.files import keep, note_games
from games.pong.replay import Replay, read_csv
from games.pong.training import Diary
from multistep import unroll

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
import tyro
from torch import nn

# Plumbing: once, trained and part_file let a command that was cut go on (--resume); keep saves weights, note_games the
# points of games for just these weights, Diary the log of a training; carry_out_asked runs the commands asked for.

LEARN = ("train", "convert", "clone", "spiking-dqn", "sparsify", "remember", "quantize")
COMMANDS = (*LEARN, "benchmark", "play", "report", "all")
AGENTS = ("teacher", "converted", "clone", "sparse", "temporal", "akida")
HIDDEN = ("conv1", "conv2", "conv3", "fc1")
CONVERTED = 32  # time steps of the converted network, where section 2 has not chosen others
GAMMA = 0.99  # γ of equation (1)
SLOW = 0.002  # share of the network that its slow copy takes over after each gradient step
VAL_GAMES = 30  # validation games, with sticky actions: all choices go by their mean (of the first form: not sticky)
PART = 10  # games of an evaluation side by side; a command that is cut loses no more than these
TEST_SEED, VAL_SEED, STUDENT_SEED = 10_000, 20_000, 30_000  # first games of each use; training: 0
NEXT = 100  # so far apart are the first games of two rounds of distillation


@dataclass
class Config(LessonConfig):
    """One command at a time; `all` runs them in order. `--num-steps` is T of the spiking policies, not of `convert`,
    which tries several. `--device`: with a GPU of CUDA or ROCm networks learn and decide there; the emulator and
    Akida always run on the CPU."""

    command: tyro.conf.Positional[Literal[COMMANDS]] = "benchmark"  # type: ignore[valid-type]
    """what to do"""
    num_steps: int = bounded(4, 1, 100_000)
    """time steps per decision of the spiking policies (T)"""
    seed: int = bounded(0, 0, TEST_SEED - 4096)
    """seed of every random number in the script; its games start with seeds below the test games'"""
    agent: Literal[AGENTS] = "sparse"  # type: ignore[valid-type]
    """who plays, for `play`"""
    record: Path | None = None
    """`play`: write the first points of one game, with the spikes of the agent, to this GIF"""
    games: int = bounded(30, 1, 1000)
    """full games of an evaluation, with and without sticky actions each"""
    shipped: bool = False
    """take the course's agents even where this results folder holds your own"""
    warm: bool = False
    """`train`: begin with the weights of the teacher there is, not with random ones; no other command heeds it"""
    width: int = bounded(16, 2, 64)
    """channels of the first layer of a network that begins with random weights; the dense layer has 16 times as many"""
    steps: int = bounded(1_500_000, 100, 1e8)
    """decisions of the teacher's training, over all environments; the spiking DQN makes a twenty-fifth of them"""
    minutes: float = bounded(0.0, 0.0, 1e5)
    """a training ends after so many, `--steps` or not: its learning rate falls by the clock then (0: no clock)"""
    envs: int = bounded(32, 2, 4096)
    """environments at once, all with sticky actions; in the games for a distillation half as many, 100 at most"""
    replay: int = bounded(200_000, 1000, 1e7)
    """transitions that the replay holds, 7 kB each"""
    batch_size: int = bounded(128, 1, 4096)
    """transitions in each gradient step of the DQN; a gradient step of a distillation takes half as many states"""
    every: int = bounded(32, 1, 1000)
    """decisions from one gradient step of the DQN to the next"""
    n_step: int = bounded(8, 1, 50)
    """rewards that a return adds up before it trusts the network (n)"""
    lr: float = bounded(3e-4, 1e-7, 1.0)
    """learning rate at the start; it falls along a line"""
    tau: float = bounded(0.02, 1e-4, 10.0)
    """temperature of the teacher's Q-values in distillation (τ): small, for the best action is often better by a
    hundredth of a point only"""
    states: int = bounded(30_000, 16, 1e7)
    """states of a round of distillation"""
    epochs: int = bounded(3, 1, 1000)
    """passes over them"""
    resume: bool = False
    """go on where the last call of the command was cut: a training from its checkpoint (the replay is filled anew by
    the policy as it stands), all else from the parts that were finished, if the settings are the same"""

    def validate(self) -> None:
        super().validate()
        if self.replay // self.envs < self.n_step + 3:
            raise UserError(
                f"--replay: got {self.replay} for {self.envs} environments, allowed is "
                f"{self.envs * (self.n_step + 3)} and more, so that a return over {self.n_step} steps fits"
            )

    @property
    def players(self) -> int:
        """Games side by side that the states of a distillation come from."""
        return min(NEXT, max(2, self.envs // 2))

    @property
    def limit(self) -> int:
        """Decisions after which a game is broken off: smoke runs only."""
        return 10 if self.smoke else 0


SMOKE = {
    "steps": 400,
    "replay": 1000,
    "envs": 2,
    "batch_size": 32,
    "games": 1,
    "states": 32,
    "epochs": 1,
    "num_steps": 2,
}
FULL = {"steps": 10_000_000, "replay": 1_000_000, "states": 200_000}


# ------------------------------------------------------------------------------------ how rewards are measured


def some_games(
    policy: Policy, seed: int, count: int, sticky: float, eyes: Eyes, limit: int, hear: Any
) -> dict[str, Any]:
    """``count`` full games, the first one from ``seed``: their points, and a checksum of what each of them showed."""
    kinds = Different()
    points = play(policy, count, seed, sticky, eyes, kinds.watch, limit, hear)
    return {"points": points, "shown": [kinds.film[game] for game in range(count)]}


def evaluate(
    policy: Policy,
    cfg: Config,
    run: Run,
    name: str,
    eyes: Eyes = see_events,
    hear: Any = None,
    note: Any = None,
) -> dict[str, Any]:
    """The protocol of every reward here: full games from seeds that nothing learnt from or was chosen by.

    ``sticky``: ALE/Pong-v5 as it is registered, in which a frame repeats the action before it with probability 0.25.
    ``plain``: the same game without that chance. Then a policy plays the same game again wherever it starts alike, so
    each game counts once; ``different`` says how many there were. ``error`` is the standard error over games: every
    network is trained once, so how much another training would differ stays unknown.

    Args:
        hear: makes the listener of a part of the sticky games (``hear`` of ``play``), from the number of games before.
        note: is given what the sticky games brought as soon as these are over.
    """
    points: dict[str, list[float]] = {"sticky": [], "plain": []}
    shown: list[int] = []
    found: dict[str, Any] = {}
    for kind, chance in (("sticky", STICKY), ("plain", 0.0)):
        for first in range(0, cfg.games, PART):
            count = min(PART, cfg.games - first)
            told = hear(first) if hear and kind == "sticky" else None
            seed = TEST_SEED + first
            work = partial(some_games, policy, seed, count, chance, eyes, cfg.limit, told)
            part = once(run, f"{name}: {kind} games {first + 1} to {first + count}", work)
            points[kind] += part["points"]
            shown += part["shown"] if kind == "plain" else []
            mean = np.mean(points[kind])
            run.print(f"          {name}: {kind}, {first + count} of {cfg.games}: {mean:+.2f}")
        if kind == "sticky":
            sticky = np.array(points["sticky"])
            error = sticky.std(ddof=min(1, len(sticky) - 1)) / len(sticky) ** 0.5
            found = {"sticky": sticky.mean(), "error": error, "games": len(sticky)}
            found["sticky_points"] = sticky
            if note:
                note(found)
    kinds = Different(shown)
    plain = np.array(points["plain"])[kinds.first_ones()]
    run.print(
        f"          {name}: {found['sticky']:+.2f} ± {error:.2f} in {cfg.games} games; without sticky actions "
        f"{plain.mean():+.2f} in {len(plain)} different ones"
    )
    return found | {"plain": plain.mean(), "different": len(plain), "plain_points": plain}


def validate(policy: Policy, cfg: Config) -> float:
    """Mean points of games with sticky actions and seeds of their own: what every choice here goes by."""
    games = 1 if cfg.smoke else VAL_GAMES
    return float(play(policy, games, VAL_SEED, STICKY, limit=cfg.limit).mean())


def unseen_states(teacher: nn.Module, cfg: Config) -> Seen:
    """States of the validation games, that no student learns from: what costs and agreements are measured on.

    Learning rates were chosen on them, and neighbours in a game are alike: so an agreement here is a description of a
    network, and only the points of the test games judge it.
    """
    return rollouts(teacher, cfg.states // 30 + 16, VAL_SEED)


# ------------------------------------------------------------------------------------ 1  the teacher


class PongNet(nn.Module):
    """Three strided convolutions and two dense layers: Q-values ``(B, 3)`` from maps ``(B, 3, 84, 84)`` in 0..1.

    No pooling, padding as Keras pads, features in the order height, width, channel: so the same weights run here, as IF
    neurons, in Keras, and on the AKD1000. With ``clipped`` activations lie in 0..1. With ``levels`` they are also
    rounded to the nearest of 0, 1/levels, 2/levels, … 1: lesson 16's equation (3), its gradient passed straight
    through.
    """

    def __init__(self, width: int = 16, hidden: int = 256) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 3, padding=2)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, 2)
        self.conv3 = nn.Conv2d(2 * width, 2 * width, 3, 2)
        self.fc1 = nn.Linear(7 * 7 * 2 * width, hidden)
        self.fc2 = nn.Linear(hidden, len(ACTIONS))
        self.clipped, self.levels = False, 0

    def current(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """What layer ``name`` makes of the activations or spikes ``x (B, …)`` before it."""
        if name in ("conv2", "conv3"):
            x = F.pad(x, (0, 1, 0, 1))
        elif name == "fc1":
            x = x.permute(0, 2, 3, 1).flatten(1)
        return getattr(self, name)(x)

    def activations(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Those of all hidden layers: ``(B, 16, 28, 28), (B, 32, 14, 14), (B, 32, 7, 7), (B, 256)``."""
        found = []
        for name in HIDDEN:
            x = self.current(name, x)
            if self.levels:
                stairs = torch.floor(x.detach() * self.levels + 0.5) / self.levels
                x = x + (stairs - x.detach())
            x = x.clamp(0, 1) if self.clipped else F.relu(x)
            found.append(x)
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activations(x)[-1])


def greedy(net: nn.Module) -> Policy:
    """The policy that takes the best action of ``net`` for maps ``(B, 3, 84, 84)`` of uint8, on its device."""

    def act(maps: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return net(maps.float() / 255).argmax(1).cpu().numpy()

    act.device = device_of(net)  # type: ignore[attr-defined]
    return act


def fetch(run: Run, name: str) -> PongNet:
    """The weights ``name`` of this results folder, or else those that the course ships."""
    path = files.find(run, name)
    net = load_weights(PongNet(*files.width_of(path)), path)
    return net.eval().to(learning_device(run), memory_format=torch.channels_last)


def td_loss(
    net: nn.Module, slow: nn.Module, b: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Equation (1) on a batch of the replay: the loss, and its targets y ``(B,)``.

    The replay has added up the rewards already, for a whole batch (``Replay.draw``). For one return it is this loop:

        total, go = 0, gamma**n
        for k, r in enumerate(rewards):         # n of them, from the action on
            total += gamma**k * r
            if r != 0:                          # a point: what follows belongs to another rally
                go = 0
                break

    ``b["r"]`` holds the totals, ``b["go"]`` g of equation (1). Exercise 21a writes it for a batch.
    """
    s, s2 = events(*b["s"]).float() / 255, events(*b["s2"]).float() / 255
    with torch.no_grad():
        best = net(s2).argmax(1, keepdim=True)  # one network chooses,
        value = slow(s2).gather(1, best)[:, 0]  # the other one values
        y = b["r"] + b["go"] * value  # Σ γᵏ·r_k + g·Q⁻
    q = net(s).gather(1, b["a"][:, None])[:, 0]
    return F.smooth_l1_loss(q, y), y


def first_lesson(replay: int, steps: int) -> int:
    """Decisions before the first gradient step: they fill a tenth of the replay, in a short training less."""
    return min(replay // 10, steps // 10)


def exploration(done: int, steps: int, replay: int, warm: bool) -> float:
    """ε, the share of actions left to chance. It is 1 until learning begins, so that the replay is not filled by the
    favourite action of an untrained network, and falls to 0.01 while the network learns: within 80,000 decisions, in
    a short training within a fifth of it. A trained network starts at 0.01.

    Each environment has its own share, from ε^0.5 to ε^1.5; ε is the one in the middle. At last that is 0.1 to 0.001:
    some see what becomes of an action that the network would not take, and others how far it gets with its own.
    """
    if warm:
        return 0.01
    learning = max(0, done - first_lesson(replay, steps))
    return max(0.01, 1 - 0.99 * learning / min(80_000, 0.2 * steps))


def q_learning(
    net: nn.Module, cfg: Config, run: Run, name: str, steps: int
) -> list[dict[str, float]]:
    """Train ``net`` by equation (1); keep the slow copy that played best in the validation games. Returns the log.

    A run that was cut goes on with ``--resume``: weights, optimiser, log and the count of decisions come from the
    checkpoint; the replay is filled anew by the policy as it stands before learning goes on.
    """
    slow, device = copy.deepcopy(net), device_of(net)
    net, slow = (m.to(memory_format=torch.channels_last) for m in (net, slow))
    optimizer = torch.optim.Adam(net.parameters(), lr=cfg.lr, eps=1e-5, fused=True)
    decides = ("seed", "envs", "replay", "batch_size", "every", "n_step", "lr", "warm")
    mark = {k: str(getattr(cfg, k)) for k in decides} | {"network": type(net).__name__}
    if isinstance(net, SpikingPong):
        mark["num_steps"] = str(net.num_steps)
    parts = {"net": net, "target": slow, "optimizer": optimizer}
    diary = Diary(run, name, mark, steps, cfg.resume, cfg.minutes, **parts)
    learn_from = diary.done + first_lesson(cfg.replay, steps)
    warm = cfg.warm and name == "teacher"
    world, rng = Pong(cfg.envs, cfg.seed, STICKY), np.random.default_rng(cfg.seed)
    replay = Replay(cfg.replay, cfg.envs, cfg.seed, device)
    run.print(f"replay    {cfg.replay:,} transitions, {replay.bytes / 2**20:,.0f} MiB")
    level = before = world.level_on(device)
    first, current, owed = np.ones(cfg.envs, bool), np.zeros(cfg.envs), 0.0
    power = np.linspace(0.5, 1.5, cfg.envs)
    while not diary.over:
        epsilon = exploration(diary.done, steps, cfg.replay, warm)
        action = greedy(net)(events(before, level))
        chance = rng.random(cfg.envs) < epsilon**power
        action = np.where(chance, rng.integers(0, len(ACTIONS), cfg.envs), action)
        world.send(action)  # the games go on in threads of their own, and meanwhile:
        owed += cfg.envs / cfg.every if diary.done >= learn_from else 0
        while owed >= 1 and replay.count > cfg.n_step + 2:
            owed -= 1
            loss, y = td_loss(net, slow, replay.draw(cfg.batch_size, cfg.n_step, GAMMA))
            for group in optimizer.param_groups:
                group["lr"] = cfg.lr * (1 - 0.9 * diary.share)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 10.0)
            optimizer.step()
            with torch.no_grad():
                for w_slow, w in zip(slow.parameters(), net.parameters(), strict=True):
                    w_slow.lerp_(w, SLOW)
            diary.losses.append(loss.detach())
            diary.values.append(y.mean())
        reward, ended, restarted = world.receive()
        replay.add(level, first, action, reward, restarted)
        current += reward
        diary.returns.extend(current[ended].tolist())
        current[ended] = 0
        first, before, level = restarted, level, world.level_on(device)
        begins = torch.from_numpy(first).to(device)[:, None, None]
        before = torch.where(begins, level, before)  # a game's first picture has none before it
        diary.made(cfg.envs)
        if diary.log_due:
            diary.write(epsilon, validate(greedy(slow), cfg) if diary.test_due else None)
    return diary.log


def three_maps(pictures: np.ndarray) -> np.ndarray:
    """Equation (2), line by line: grey pictures ``(n, 84, 84)``, the newest last → place, ON and OFF in 0..255.

    ``lin_log`` is lesson 04's ln I; below 20 grey levels it is a straight line to 0, so that black has a value. Five
    events fill a byte. The agents see this through ``see_events``, which does it for many games at once.
    """
    level = np.floor(lin_log(pictures[-2:]) / THETA)  # ℓ of both pictures
    level[:, :TOP] = 0  # the score is none of their business
    before, now = level
    place = np.abs(now - board().numpy())
    on = np.maximum(now - before, 0)
    off = np.maximum(before - now, 0)
    return STEP * np.minimum(np.stack((place, on, off)), 5)


@section
def section_train(cfg: Config, run: Run) -> None:
    """1  Can a network learn Pong from events?

    One picture does not tell where the ball is going. Deep Q-networks get the last pictures at once, the *frame stack*.
    A DVS sees change instead: of two pictures of 84 × 84 pixels equation (2), ``three_maps`` above, leaves the outlines
    of what moves (ON and OFF) and what stands where the board is usually empty (place). Place has to be there as well:
    a paddle that waits makes no events, and a network without memory would not know where it is. A grey frame is almost
    nowhere 0, for the board is not black: much of what events save in inputs is saved by taking the board away.

    An agent stays, goes up or goes down. In ALE/Pong-v5 an action lasts four frames (*frame skip*), and each frame
    repeats the action before it with probability 0.25 (*sticky actions*). A policy that has learnt one sequence of
    moves by heart does not get far with that. So ``train`` lets a teacher learn in sticky games only, by equation (1),
    which is ``td_loss`` above.

    That takes a GPU ten minutes and two cores most of a day. One such training came to +18.4 points, but its weights
    were lost, and the course does not ship such a teacher yet. Its teacher is that of the *first form*, an earlier
    version of this script: half of the decisions it learnt from had no sticky actions, and it made +20.2 points without
    them and +11.3 with them. The other agents come from it.

    Figure 1 counts inputs for two more ways to see: *frames*, the last three pictures, and *deltas*, the picture and by
    how many grey levels each pixel has become brighter or darker.

    ``--minutes 9 --envs 192 --batch-size 1024 --every 48 --n-step 5 --replay 1000000`` suits a GPU: the clock ends the
    training after nine minutes, however far it has come.
    """
    run.predict(
        "inputs_saved", "How many times fewer inputs than in three frames are not 0?", unit="×"
    )
    net = fetch(run, "teacher") if cfg.warm else PongNet(cfg.width, 16 * cfg.width)
    net = net.to(learning_device(run))
    log = q_learning(net, cfg, run, "teacher", cfg.steps)
    teacher = fetch(run, "teacher")
    unseen = unseen_states(teacher, cfg)
    eyes = {"frames": see_frames, "deltas": see_deltas, "events": see_events, "place": see_places}
    inputs = {}
    for name, see in eyes.items():
        inputs[name] = float((see(unseen.grey) != 0).sum()) / len(unseen.q)
    saved = inputs["frames"] / max(1e-9, inputs["events"])
    run.claim("inputs_saved", "non-zero inputs of three frames over those of events", saved, "×")
    run.figure(
        show.plot_eyes(inputs, unseen.grey, three_maps),
        "1_events",
        look="the ball and the paddles, and what is left of everything else",
    )
    found = evaluate(greedy(teacher), cfg, run, "teacher")
    note_games(run, "teacher", found)
    n = cfg.games
    run.claim("teacher", "teacher in ALE/Pong-v5: reward", found["sticky"], "points", ">= 18", n=n)
    n = found["different"]
    run.claim("teacher_plain", "without sticky actions", found["plain"], "points", n=n)
    text = "decisions it learnt from" + (", after those of its first weights" if cfg.warm else "")
    run.claim("teacher_decisions", text, log[-1]["decisions"], "decisions")
    maps = see_events(unseen.grey)
    run.ledger(**row("DQN, ReLU", teacher, maps, found["sticky"], cfg.games))
    run.figure(
        show.plot_learning({"teacher": log}, found), "1_learning", look="where the curve turns flat"
    )
    run.finding(
        f"Events leave {inputs['events']:.0f} of {3 * SIZE**2:,} inputs. From these the teacher wins by "
        f"{found['sticky']:+.1f} ± {found['error']:.1f} points a game with sticky actions, and by "
        f"{found['plain']:+.1f} without."
    )


# ------------------------------------------------------------------------------------ 2  conversion


class SpikingPong(nn.Module):
    """The same weights with spiking neurons that fire at 1, do not leak (β = 1), and start at ``charge``."""

    def __init__(
        self, net: PongNet, num_steps: int, charge: float = 0.5, beta: float = 1.0
    ) -> None:
        super().__init__()
        self.net, self.num_steps, self.charge = copy.deepcopy(net), num_steps, charge
        self.lifs = nn.ModuleDict({name: snn.Leaky(beta=beta, init_hidden=True) for name in HIDDEN})
        self.lifs.to(device_of(net))

    def step(self, x_t: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """One time step by snnTorch, ``(B, 3, 84, 84)`` → spikes of each hidden layer, output current ``(B, 3)``.

        Membranes stay as they are for the next call, until ``forget``.
        """
        spks = []
        for name, lif in self.lifs.items():
            cur = self.net.current(name, x_t)
            if lif.mem.shape != cur.shape:
                lif.mem = torch.full_like(cur, self.charge)
            x_t = lif(cur)  # U[t] = β·U[t−1] + I[t] − S[t−1]
            spks.append(x_t)
        return spks, self.net.fc2(x_t)

    def forget(self, which: torch.Tensor | None = None) -> None:
        """Every membrane starts anew; with ``which (B,)`` only those of the games where it is True."""
        for lif in self.lifs.values():
            if which is None:
                lif.mem = torch.zeros(0)
            elif len(lif.mem) == len(which):  # else no step was made yet
                begins = which.view(-1, *[1] * (lif.mem.ndim - 1))  # (B, 1, …)
                lif.mem = torch.where(begins, self.charge, lif.mem)

    def run(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """T steps from new membranes: ``(T, B, 3, 84, 84)`` → spikes ``(T, B, …)`` a layer, current ``(T, B, 3)``."""
        spks = []
        for name, lif in self.lifs.items():
            cur = over_time(partial(self.net.current, name), x)  # a constant input: computed once
            x, _, _ = unroll(lif, cur, (torch.full_like(cur[0], self.charge),))
            spks.append(x)
        return spks, over_time(self.net.fc2, x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Q-values ``(B, 3)`` of maps ``(B, 3, 84, 84)``: the mean output current over T steps."""
        return self.run(constant_current(x, self.num_steps))[1].mean(0)


@torch.no_grad()
def balance(net: PongNet, maps: torch.Tensor, percentile: float = 99.0) -> PongNet:
    """A copy whose activations lie in 0..1: threshold balancing, lesson 16's equation (4)."""
    balanced, before = copy.deepcopy(net), 1.0
    for name, a in zip(HIDDEN, net.activations(maps.float() / 255), strict=True):
        lam = a.flatten().kthvalue(max(1, round(a.numel() * percentile / 100))).values.item() or 1.0
        layer = getattr(balanced, name)
        layer.weight.mul_(before / lam)  # W_l·λ_{l−1}/λ_l
        layer.bias.div_(lam)  # b_l/λ_l
        before = lam
    balanced.fc2.weight.mul_(before)
    return balanced


@torch.no_grad()
def sharpen(net: PongNet, tau: float) -> PongNet:
    """A copy whose outputs are Q/τ: the logits that equation (3) asks for; the best action stays the same."""
    net = copy.deepcopy(net)
    net.fc2.weight.div_(tau)
    net.fc2.bias.div_(tau)
    return net


@torch.no_grad()
def hush(net: PongNet) -> None:
    """Without input a neuron with b > 0 fires all the same, about b·T times per decision: cut b to 0 and below."""
    for name in HIDDEN:
        getattr(net, name).bias.clamp_(max=0)


def distil(
    net: nn.Module,
    maps: torch.Tensor,
    q: torch.Tensor,
    cfg: Config,
    run: Run,
    *,
    name: str,
    lr: float,
    epochs: int | None = None,
    penalty: float = 0.0,
    silent: bool = False,
) -> nn.Module:
    """Train ``net`` by equation (3) on ``maps (n, 3, 84, 84)`` and the teacher's ``q (n, 3)``, by Adam.

    The learning rate grows with the root of the batch.

    Args:
        lr: for batches of 64.
        penalty: μ, the price of a thousand operations per decision; spiking networks only.
        silent: keep the biases of the hidden layers at or below 0, so that no neuron fires without input.
    """
    net.to(memory_format=torch.channels_last).train()
    epochs, batch = epochs or cfg.epochs, max(2, cfg.batch_size // 2)
    lr *= (batch / 64) ** 0.5
    inner = net.net if isinstance(net, SpikingPong) else net
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, epochs * -(-len(q) // batch))
    generator, target = torch.Generator().manual_seed(cfg.seed), F.softmax(q / cfg.tau, 1)

    def passes() -> None:
        began = time.perf_counter()
        for epoch in range(epochs):
            total = right = torch.zeros((), device=q.device)
            for i in torch.randperm(len(q), generator=generator).to(q.device).split(batch):
                x = maps[i].to(memory_format=torch.channels_last).float().div_(255)
                if isinstance(net, SpikingPong):
                    hidden, out = net.run(constant_current(x, net.num_steps))
                    z = out.mean(0)
                else:
                    z = net(x)
                loss = -(target[i] * F.log_softmax(z, 1)).sum(1).mean()
                total = total + loss.detach() * len(i)
                right = right + (z.argmax(1) == q[i].argmax(1)).sum()
                if penalty:
                    loss = loss + penalty * sum(operations(inner, [x, *hidden])[1:]) / len(i) / 1000
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                if silent:
                    hush(inner)
            run.print(
                f"          {name}: pass {epoch + 1}/{epochs}, loss {total / len(q):.4f}, teacher's action "
                f"{100 * right / len(q):.1f} % ({time.perf_counter() - began:.0f} s)"
            )

    trained(run, name, inner, passes)
    return net.eval()


TIMES = (1, 2, 4, 8, 16, 32)
ARMS = {  # percentile for λ (None: trained clipped), charge at the start
    "maximum": (100.0, 0.0),
    "99.9 percentile": (99.9, 0.0),
    "99 percentile": (99.0, 0.0),
    "99 percentile, U[0] = ½": (99.0, 0.5),
    "trained clipped, U[0] = ½": (None, 0.5),
}


def clipped_twin(cfg: Config, run: Run, teacher: PongNet, seen: Seen) -> PongNet:
    """The balanced teacher, trained on by equation (3) with activations in 0..1, rounded to a staircase of 16 steps:
    the values that an IF neuron has in 16 time steps, and nearly those of four bits. Its outputs are logits."""
    maps = see_events(seen.grey)
    net = sharpen(balance(teacher, maps[:1000]), cfg.tau)
    net.clipped, net.levels = True, 16
    return keep(distil(net, maps, seen.q, cfg, run, name="clipped", lr=3e-4), run, "clipped")


@torch.no_grad()
def agreement(agent: nn.Module, seen: Seen) -> tuple[float, float]:
    """Share of states on which ``agent`` chooses as the teacher does, and the mean Q that its choices give away."""
    best = torch.cat([agent(m.float() / 255).argmax(1) for m in see_events(seen.grey).split(100)])
    lost = seen.q.max(1).values - seen.q.gather(1, best[:, None])[:, 0]
    return float((best == seen.q.argmax(1)).float().mean()), float(lost.mean())


@section
def section_convert(cfg: Config, run: Run) -> None:
    """2  How many time steps does a converted network need?

    Each ReLU becomes an integrate-and-fire neuron: weights W_l·λ_{l−1}/λ_l and biases b_l/λ_l, with λ a high percentile
    of the layer's activations in the first 1000 states (``balance``). Its spikes over T steps count how large the
    activation was, rounded to one of T + 1 values. That holds for a constant input; from the second layer on spikes
    come unevenly in time, which is an error of its own. The output does not spike: Q is the mean current of the last layer,
    so that near ties are not rounded away as well.

    The last arm trains the teacher on with activations clipped to 0..1 and rounded to steps of 1/16, by equation (3):
    then it has already learnt to live with what IF neurons can say. Its weights, ``clipped``, are those of the agent
    *converted*; *clone* and *akida* start from them too. T, from 2 on, is chosen in the validation games: the least
    within a point of the teacher, if there is one. Of 30 games the mean is uncertain itself, so a neighbour of the T
    chosen may be as good. And the teacher's best checkpoint was picked in these games too, which flatters it here.
    """
    run.predict(
        "converted_steps", "From which T on does the converted network play as the teacher?"
    )
    teacher = fetch(run, "teacher")
    seen = rollouts(teacher, cfg.states, STUDENT_SEED, games=cfg.players)
    unseen = unseen_states(teacher, cfg)
    clipped, times = clipped_twin(cfg, run, teacher, seen), TIMES if not cfg.smoke else TIMES[:2]
    found: dict[str, list[tuple[float, float]]] = {}
    for name, (percentile, charge) in ARMS.items():
        net = balance(teacher, see_events(seen.grey[:1000]), percentile) if percentile else clipped
        arms = [SpikingPong(net, t, charge) for t in times]
        found[name] = once(run, name, lambda arms=arms: [agreement(arm, unseen) for arm in arms])
    show.table_agreement(run, times, found)
    ann = once(run, "teacher, validation", partial(validate, greedy(teacher), cfg))
    tried = {}
    for t in times[1:]:
        policy = greedy(SpikingPong(clipped, t))
        tried[t] = once(run, f"T = {t}, validation", partial(validate, policy, cfg))
        run.print(f"          validation games: T = {t} {tried[t]:+.2f}, teacher {ann:+.2f}")
    near = [t for t in tried if tried[t] >= ann - 1.0]
    chosen = min(near, default=max(tried, key=tried.__getitem__))
    agent = SpikingPong(clipped, chosen)
    reward = evaluate(greedy(agent), cfg, run, f"converted, T = {chosen}")
    note_games(run, "converted", reward | {"num_steps": chosen})
    text = f"converted (trained clipped), T = {chosen}: reward"
    run.claim("converted", text, reward["sticky"], "points", ">= 17", n=cfg.games)
    n = reward["different"]
    run.claim("converted_plain", "without sticky actions", reward["plain"], "points", n=n)
    text = "the best of those tried; none comes within a point of the teacher"
    if near:
        text = "fewest steps within a point of the teacher (validation games)"
    run.claim("converted_steps", text, chosen, "steps")
    text = "points that it gives away to the teacher (validation games)"
    run.claim("converted_short", text, ann - tried[chosen], "points", "<= 1", n=VAL_GAMES)
    same, _ = found["99 percentile, U[0] = ½"][times.index(chosen)]
    n = len(unseen.q)
    run.claim("converted_agree", "without training: chooses as the teacher", same, n=n)
    same_clipped, lost = found["trained clipped, U[0] = ½"][times.index(chosen)]
    run.claim("converted_agree_clipped", "trained clipped: the same", same_clipped, n=n)
    maps = see_events(unseen.grey)
    run.ledger(**row("converted, IF", agent, maps, reward["sticky"], cfg.games))
    run.figure(
        show.plot_conversion(times, found, tried, ann),
        "2_conversion",
        look="the arm that was trained clipped, at small T",
    )
    run.finding(
        f"At T = {chosen} balanced weights choose as the teacher in {same:.0%} of the states, weights trained clipped "
        f"in {same_clipped:.0%}, and their choices give away {1000 * lost:.1f} thousandths of a point on average. In "
        f"the validation games these make {tried[chosen]:+.1f} and the teacher {ann:+.1f}; in the test games they make "
        f"{reward['sticky']:+.1f} ± {reward['error']:.1f}."
    )


# ------------------------------------------------------------------------------------ 3  cloning at small T


def rounds(
    agent: SpikingPong,
    teacher: PongNet,
    seen: Seen,
    seed: int,
    cfg: Config,
    run: Run,
    *,
    name: str,
    count: int = 3,
    **how: Any,
) -> None:
    """DAgger: distil on what others have ``seen``, then ``count − 1`` times on that and on what the agent comes into
    by itself, from ``seed`` on: one wrong action leads to states that the teacher never visits. Whoever plays, the
    teacher says what would have been right. Later rounds have more states and take fewer passes, `--epochs` // 2."""
    epochs, count = cfg.epochs, 2 if cfg.smoke else count
    for k in range(count):
        text = f"{name}, round {k + 1}"
        maps = see_events(seen.grey)
        lr = 4e-3 if k == 0 else 2e-3  # by validation states: 3e-4 and 1e-2 teach less
        distil(agent, maps, seen.q, cfg, run, name=text, lr=lr, epochs=epochs, **how)
        epochs = max(1, cfg.epochs // 2)
        if k + 1 < count:
            first, players = seed + NEXT * k, cfg.players
            seen = seen + rollouts(teacher, cfg.states, first, actor=greedy(agent), games=players)


@section
def section_clone(cfg: Config, run: Run) -> None:
    """3  Can a policy of four time steps be taught what a conversion loses?

    At small T rounding hurts. Now the spiking network itself is trained by equation (3), surrogate gradients through
    all T steps (lesson 07). The teacher's states come first; then the student plays, the teacher is asked what it
    would have done there, and both kinds of states are learnt: DAgger. The validation games before and after tell what
    all of this is worth together; how much of it is DAgger's share is not measured here (exercise 21c does it on a
    smaller game), and section 8 compares the clone with agents that learnt without it.
    """
    run.predict("clone_after", "How many points does the policy win by after that?", unit="points")
    teacher = fetch(run, "teacher")
    seen = rollouts(teacher, cfg.states, STUDENT_SEED, games=cfg.players)
    agent = SpikingPong(fetch(run, "clipped"), cfg.num_steps)
    before = once(run, "clone, validation before", partial(validate, greedy(agent), cfg))
    text = f"the converted network at T = {cfg.num_steps}, validation games"
    run.claim("clone_before", text, before, "points")
    rounds(agent, teacher, seen, STUDENT_SEED + 500, cfg, run, name="clone")
    keep(agent, run, "clone")
    after = once(run, "clone, validation after", partial(validate, greedy(agent), cfg))
    text = f"trained at T = {cfg.num_steps}, validation games"
    run.claim("clone_after", text, after, "points")
    found = evaluate(greedy(agent), cfg, run, f"cloned, T = {cfg.num_steps}")
    note_games(run, "clone", found | {"num_steps": cfg.num_steps})
    text, n = f"cloned, T = {cfg.num_steps}: reward", cfg.games
    run.claim("clone", text, found["sticky"], "points", ">= 17", n=n)
    n = found["different"]
    run.claim("clone_plain", "without sticky actions", found["plain"], "points", n=n)
    maps = see_events(unseen_states(teacher, cfg).grey)
    run.ledger(**row("cloned, IF", agent, maps, found["sticky"], cfg.games))
    with torch.no_grad():
        spks = agent.run(constant_current(maps[:25].float() / 255, cfg.num_steps))[0]
    run.figure(
        show.plot_inside(dict(zip(HIDDEN, spks, strict=True))),
        "3_inside",
        look="neurons that fire in every step, whatever happens",
    )
    run.finding(
        f"Training at T = {cfg.num_steps} takes the policy from {before:+.1f} to {after:+.1f} points in the validation "
        f"games; in the test games it makes {found['sticky']:+.1f}."
    )


# ------------------------------------------------------------------------------------ 4  a spiking DQN


@section
def section_spiking_dqn(cfg: Config, run: Run) -> None:
    """4  Does a spiking network learn Pong without a teacher?

    Equation (1) asks only for a network with a gradient. Here it is the spiking one, from random weights; they are
    balanced first, or no spike would ever reach the last layer. No teacher and no conversion stands between the game
    and the spikes. It takes longest: a gradient step costs about T times as much, and a run of this length ends where
    the teacher has hardly begun.

    Its timetable is that of ``exploration``: a tenth of the decisions at random, to fill the replay; then ε falls from
    1 to 0.01 within a fifth of them, while the network learns. From then on about two actions in a hundred are left to
    chance: environments have shares from 0.1 to 0.001, and their mean is more than the 0.01 of the one in the middle. A
    short run that fails may fail for want of decisions, and not for its spikes. A part of what it gains is the end of
    the random moves: its first games are all chance.
    """
    options = ("less than a point", "one to five points", "more than five points")
    run.predict("spiking_dqn_gain_text", "How much better does it get in this short run?", options)
    net = PongNet(cfg.width, 16 * cfg.width).to(learning_device(run))
    some = see_events(rollouts(net, 256, STUDENT_SEED, noise=1.0).grey)
    agent = SpikingPong(balance(net, some), cfg.num_steps)
    log = q_learning(agent, cfg, run, "spiking_dqn", max(cfg.envs, cfg.steps // 25))
    agent = SpikingPong(fetch(run, "spiking_dqn"), cfg.num_steps)
    found = evaluate(greedy(agent), cfg, run, "spiking DQN")
    text = f"spiking DQN, T = {cfg.num_steps}, {log[-1]['decisions']:,.0f} decisions: reward"
    run.claim("spiking_dqn", text, found["sticky"], "points", n=cfg.games)
    gain = log[-1]["return"] - log[0]["return"]
    text = "return of its last training games over that of the first ones"
    run.claim("spiking_dqn_gain", text, gain, "points", ">= 1")
    run.outcome("spiking_dqn_gain_text", options[int(gain >= 1) + int(gain > 5)])
    teacher = read_csv(run.dir / "teacher.csv", files.CHECKPOINTS / "pong_teacher.csv")
    own = (run.dir / "teacher.csv").is_file()
    whose = "teacher" if own else "the course's teacher (half sticky)"
    run.figure(
        show.plot_learning({"spiking DQN": log, whose: teacher}, found),
        "4_spiking_learning",
        look="how much of the teacher's way it has gone",
    )
    run.finding(
        f"From random weights a spiking DQN gains {gain:+.1f} points within {log[-1]['decisions']:,.0f} decisions, a part "
        f"of it since its first games are random moves, and plays {found['sticky']:+.1f}."
    )


# ------------------------------------------------------------------------------------ 5  sparsity

SPARSE = {  # μ, hidden biases held at or below 0
    "clone": (None, False),
    "μ = 0.003": (3e-3, False),
    "silent": (0.0, True),
    "silent, μ = 0.001": (1e-3, True),
    "silent, μ = 0.002": (2e-3, True),
}


@torch.no_grad()
def synops(agent: SpikingPong, maps: torch.Tensor) -> float:
    """Operations per decision after the first layer, the plain way: where all weights are 1 and all biases 0, the
    currents of a layer add up to the number of its operations. The price of equation (3) takes the same number from
    ``operations``, which has a gradient; ``cost`` tells it layer by layer."""
    ones = copy.deepcopy(agent.net)
    for name, p in ones.named_parameters():
        p.fill_(1.0 if name.endswith("weight") else 0.0)
    spks, _ = agent.run(constant_current(maps.float() / 255, agent.num_steps))
    total = 0.0
    for name, spk in zip((*HIDDEN[1:], "fc2"), spks, strict=True):  # which layer the spikes go to
        total += over_time(partial(ones.current, name), spk).sum().item()
    return total / len(maps)


@section
def section_sparsify(cfg: Config, run: Run) -> None:
    """5  How few operations does a good game take?

    An operation (SynOp) is one weight added to one membrane because a spike came (``synops`` counts them). The price of
    equation (3), μ for each thousand of them per decision, makes the network save them. But an IF neuron with b > 0
    fires about b·T times per decision even on an empty board: so further arms hold all hidden biases at or below 0
    (``hush``), and then add a price. The choice goes by the validation games: the fewest SynOps within a point of the
    clone. The first silent arm starts from the clone and each later one from the silent arm before, so that it has
    trained longer. Each was trained once, and two means of 30 games may differ by a point by chance: the arms are
    candidates for the agent *sparse*, not a comparison of methods. Operations are counted on the teacher's games.
    """
    run.predict("clone_empty", "Which share of the clone's SynOps comes on an empty board as well?")
    teacher, start_from = fetch(run, "teacher"), fetch(run, "clone")
    actor = greedy(SpikingPong(start_from, cfg.num_steps))
    seen = rollouts(teacher, cfg.states, STUDENT_SEED + 1000, actor=actor, games=cfg.players)
    maps = see_events(unseen_states(teacher, cfg).grey)
    points: list[dict[str, Any]] = []
    for name, (mu, silent) in list(SPARSE.items())[-1 if cfg.smoke else None :]:
        go_on = silent and points and points[-1]["silent"]
        agent = SpikingPong(points[-1]["net"] if go_on else start_from, cfg.num_steps)
        if mu is not None:
            how = {"name": name, "count": 2, "penalty": mu, "silent": silent}
            rounds(agent, teacher, seen, STUDENT_SEED + 1500, cfg, run, **how)
            keep(agent, run, f"sparse_{mu:g}{'_silent' if silent else ''}")
        val = once(run, f"{name}: validation", partial(validate, greedy(agent), cfg))
        empty = synops(agent, torch.zeros_like(maps[:1]))
        point = {"name": name, "silent": silent, "val": val, "net": agent.net, "empty": empty}
        points.append(point | cost(agent, maps))
        run.print(f"          {name}: {val:+.2f}, {points[-1]['synops']:,.0f} SynOps per decision")
    near = [p for p in points if p["val"] >= points[0]["val"] - 1.0]
    chosen = min(near, key=lambda p: p["synops"])
    agent = SpikingPong(keep(chosen["net"], run, "sparse"), cfg.num_steps)
    found = evaluate(greedy(agent), cfg, run, f"sparse ({chosen['name']})")
    note_games(run, "sparse", found | {"num_steps": cfg.num_steps})
    show.table_sparsity(run, points)
    text = f"sparse policy ({chosen['name']}): reward"
    run.claim("sparse", text, found["sticky"], "points", ">= 16", n=cfg.games)
    n = found["different"]
    run.claim("sparse_plain", "without sticky actions", found["plain"], "points", n=n)
    run.claim("sparse_synops", "its SynOps per decision", chosen["synops"], "SynOps", "<= 80000")
    saved = points[0]["synops"] / max(1.0, chosen["synops"])
    run.claim("sparse_saved", "SynOps of the clone over those of the sparse policy", saved, "×")
    empty = points[0]["empty"] / max(1.0, points[0]["synops"])
    text = "SynOps of the clone on an empty board over those in play"
    run.claim("clone_empty", text, empty)
    run.ledger(**row("sparse, IF", agent, maps, found["sticky"], cfg.games))
    run.figure(
        show.plot_pareto(points, chosen), "5_pareto", look="the bars on the right: an empty board"
    )
    run.finding(
        f"On an empty board the clone makes {empty:.0%} of its operations in play. The policy kept takes {saved:.1f} "
        f"times fewer than the clone, {chosen['synops']:,.0f} per decision. In the validation games it makes "
        f"{chosen['val']:+.1f} points and the clone {points[0]['val']:+.1f}; in the test games it makes "
        f"{found['sticky']:+.1f} ± {found['error']:.1f}."
    )


# ------------------------------------------------------------------------------------ 6  a policy that remembers


class Remembering:
    """The policy of a spiking network that takes one step per decision and keeps its membranes for the next one."""

    def __init__(self, agent: SpikingPong) -> None:
        self.agent, self.memory, self.device = agent, True, device_of(agent)
        agent.forget()

    def begin(self, games: np.ndarray) -> None:
        """``games (B,)`` is True where a game begins: nothing of the one before is remembered there."""
        self.agent.forget(torch.from_numpy(games).to(self.device))

    def __call__(self, maps: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return self.agent.step(maps.float() / 255)[1].argmax(1).cpu().numpy()


def in_order(
    seen: Seen, maps: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """What the games side by side showed, decision by decision: ``rollouts`` leaves them in this order.

    Yields the maps ``(B, 3, 84, 84)``, the teacher's Q ``(B, 3)``, and which games begin there ``(B,)``.
    """
    for i in range(0, len(maps) - seen.games + 1, seen.games):
        now = slice(i, i + seen.games)
        yield maps[now].float() / 255, seen.q[now], seen.begins[now]


def distil_in_time(
    agent: SpikingPong,
    seen: Seen,
    eyes: Eyes,
    cfg: Config,
    run: Run,
    *,
    name: str,
    lr: float,
    keeps: bool,
    window: int = 8,
) -> None:
    """Equation (3) on games in their order, one time step per decision, gradients through ``window`` decisions.

    Args:
        keeps: membranes stay from decision to decision; otherwise every decision starts with new ones.
    """
    maps = eyes(seen.grey)
    optimizer = torch.optim.Adam(agent.parameters(), lr=lr, fused=True)
    decisions = len(maps) // seen.games  # as many as ``in_order`` yields
    updates = cfg.epochs * -(-decisions // window)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, max(1, updates))

    def learn(losses: list[torch.Tensor]) -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).mean().backward()
        optimizer.step()
        schedule.step()
        for lif in agent.lifs.values():
            lif.mem = lif.mem.detach()  # the past before this window is given

    def passes() -> None:
        for epoch in range(cfg.epochs):
            agent.forget()
            losses: list[torch.Tensor] = []
            right, count = torch.zeros((), device=maps.device), 0
            for x, q, begins in in_order(seen, maps):
                agent.forget(begins if keeps else None)
                z = agent.step(x)[1]
                p = F.softmax(q / cfg.tau, 1)
                losses.append(-(p * F.log_softmax(z, 1)).sum(1).mean())
                right = right + (z.argmax(1) == q.argmax(1)).sum()
                count += len(q)
                if len(losses) == window:
                    learn(losses)
                    losses = []
            if losses:  # the last window of a pass may be shorter
                learn(losses)
            share = 100 * right.item() / max(1, count)
            run.print(
                f"          {name}: pass {epoch + 1}/{cfg.epochs}, teacher's action {share:.1f} %"
            )

    trained(run, name, agent.net, passes)
    agent.forget()


@torch.no_grad()
def choices(
    agent: SpikingPong, seen: Seen, eyes: Eyes, keeps: bool, every: int = 10**9
) -> torch.Tensor:
    """Actions ``(decisions, games)`` that the agent takes on games in their order; it forgets all every so often."""
    agent.forget()
    found = []
    for k, (x, _, begins) in enumerate(in_order(seen, eyes(seen.grey))):
        everything = k % every == 0 or not keeps
        agent.forget(None if everything else begins)
        found.append(agent.step(x)[1].argmax(1))
    return torch.stack(found)


def same_after_forgetting(whole: torch.Tensor, after: torch.Tensor, every: int) -> torch.Tensor:
    """Share of equal actions 0, 1, 2, … decisions after all was forgotten, ``(every,)``; actions ``(decisions, games)``.

    The first ``every`` decisions do not count: there was nothing to forget when they began.
    """
    equal = (whole == after).float().mean(1)  # (decisions,)
    whole_rounds = len(equal) // every
    return equal[every : whole_rounds * every].view(-1, every).mean(0)


@torch.no_grad()
def temporal_synops(agent: SpikingPong, seen: Seen) -> float:
    """Operations per decision after the first layer, with membranes that stay, on games in their order."""
    agent.forget()
    total, count = 0.0, 0
    for x, q, begins in in_order(seen, see_events(seen.grey)):
        agent.forget(begins)
        spks, _ = agent.step(x)
        total += summed(agent.net, [x, *spks], 1)["synops"]
        count += len(q)
    return total / max(1, count)


BETA = 0.4  # of the temporal agent, by validation states: with 0.8, a longer memory, it agrees less with the teacher
KINDS = {  # what it sees, whether its membranes stay
    "events, anew": (see_events, False),
    "events, kept": (see_events, True),
    "place only, anew": (see_places, False),
    "place only, kept": (see_places, True),
}


@section
def section_remember(cfg: Config, run: Run) -> None:
    """6  What does a policy gain that keeps its membranes from decision to decision?

    All policies so far start each decision with new membranes and repeat one picture for T steps: time inside the
    network has nothing to do with time in the game. Here one decision is one step, and the membranes stay:

        U[t] = β·U[t−1] + I(picture t) − S[t−1]            S[t] = 1 where U[t] > 1                         (4)

    What a membrane keeps is a trace of the pictures before. Is it of use? The maps ON and OFF already say what moved.
    So two more networks see only ``place``, in which one picture does not tell where the ball is going: there a policy
    without memory has to guess, and one with memory need not, if it learns to use what it keeps. A charge that stays is
    a disturbance until that is learnt: it adds to what a picture brings. All four first learn from the same states by
    equation (3), each once. The two that see all maps then learn from games of their own as well, and play; of the
    other two only the share of decisions that agree with the teacher's is compared.

    β is 0.4: of a membrane's charge two fifths are left at the next decision, and 6 % at the third. It was chosen, like
    the learning rate, on games of the same seeds that the agreement is measured on. That favours the networks that
    remember. With β = 0.8, a longer memory, they agreed less.

    How far back does a network remember? The same games are shown to it once more, and every 30 decisions it forgets
    everything. The right panel shows how soon its actions are again those that it took without forgetting. A difference
    may live longer than a charge: it changes spikes, and these the charges of the next layer and of later decisions.
    """
    run.predict("place_gain", "Seeing place only: what does memory add to the agreement?", unit="%")
    teacher, begin_with = fetch(run, "teacher"), fetch(run, "clone")
    seen = rollouts(teacher, cfg.states, STUDENT_SEED + 2000, games=cfg.players)
    unseen = rollouts(teacher, max(32, cfg.states // 5), VAL_SEED)
    wanted = torch.stack([q.argmax(1) for _, q, _ in in_order(unseen, see_places(unseen.grey))])
    share, rewards, agents = {}, {}, {}
    for name, (eyes, keeps) in KINDS.items():
        agent = agents[name] = SpikingPong(begin_with, 1, beta=BETA)
        # by validation states: with 1e-3 less is learnt, with 1e-2 no more
        distil_in_time(agent, seen, eyes, cfg, run, name=name, lr=4e-3, keeps=keeps)
        if eyes is see_events:
            actor = Remembering(agent) if keeps else greedy(agent)
            seed = STUDENT_SEED + 2100 + NEXT * keeps
            more = seen + rollouts(teacher, cfg.states, seed, actor=actor, games=cfg.players)
            text = f"{name}, round 2"
            distil_in_time(agent, more, eyes, cfg, run, name=text, lr=2e-3, keeps=keeps)
        share[name] = float((choices(agent, unseen, eyes, keeps) == wanted).float().mean())
    keep(agents["events, kept"], run, "temporal")
    for name, keeps in (("events, anew", False), ("events, kept", True)):
        agent = agents[name]
        policy = Remembering(agent) if keeps else greedy(agent)
        rewards[name] = evaluate(policy, cfg, run, name)
    note_games(run, "temporal", rewards["events, kept"])
    remembers = agents["events, kept"]
    whole = choices(remembers, unseen, see_events, True)
    every = min(30, len(whole) // 2)
    after = choices(remembers, unseen, see_events, True, every)
    same = same_after_forgetting(whole, after, every)
    rounds_forgotten = len(whole) // every - 1
    synops = temporal_synops(agents["events, kept"], unseen)
    kept, n = rewards["events, kept"], cfg.games
    text = "membranes kept, one step per decision: reward"
    run.claim("temporal", text, kept["sticky"], "points", n=n)
    anew = rewards["events, anew"]["sticky"]
    run.claim("temporal_anew", "one step per decision, new membranes: reward", anew, "points", n=n)
    run.claim("temporal_synops", "SynOps per decision, membranes kept", synops, "SynOps")
    gain = share["place only, kept"] - share["place only, anew"]
    text = "place only: more of the teacher's actions with memory"
    run.claim("place_gain", text, gain, n=wanted.numel())
    text = "all three maps: more of the teacher's actions with memory"
    control = share["events, kept"] - share["events, anew"]
    run.claim("events_gain", text, control, n=wanted.numel())
    run.figure(
        show.plot_memory(share, same.tolist(), rounds_forgotten * whole.shape[1]),
        "6_memory",
        look="left: the two bars of place only; right: how soon a forgotten past no longer matters",
    )
    hoped = "as hoped" if gain > 0 else "against what was hoped for"
    run.finding(
        f"Seeing place only, the policy chooses as the teacher in {share['place only, kept']:.0%} of the states if it "
        f"keeps its membranes and in {share['place only, anew']:.0%} if not, {hoped}; seeing all maps, which tell of "
        f"motion anyway, keeping them changes the share by {100 * control:+.1f} percentage points. With all maps, one step "
        f"per decision and {synops:,.0f} SynOps, it plays {kept['sticky']:+.1f} if it keeps them and {anew:+.1f} with new "
        f"ones: {show.compared('the former', kept, 'the latter', rewards['events, anew'])}. Each was trained once."
    )


# ------------------------------------------------------------------------------------ 7  Akida


def keras_twin(net: PongNet, within: float = 0.0) -> Any:
    """``net``, whose activations lie in 0..1, in tf_keras: ``(B, 84, 84, 3)`` uint8 → logits ``(B, 3)``.

    With ``within``, weights after the first layer are clamped at so many standard deviations of the weights that lead
    to the same output: two bits leave −1, 0 and 1 times a scale that the largest weight sets, so one outlier rounds all
    others to 0.
    """
    packages.keras()
    from tf_keras import Input, Sequential, layers

    relu = partial(layers.ReLU, max_value=1.0)
    conv = partial(layers.Conv2D, padding="same")
    net, width, hidden = copy.deepcopy(net), net.conv1.out_channels, net.fc1.out_features
    for name in (*HIDDEN[1:], "fc2") if within else ():
        w = getattr(net, name).weight.data
        s = within * w.flatten(1).std(1).view(-1, *[1] * (w.ndim - 1))
        w.copy_(w.clamp(-s, s))
    twin = Sequential(
        [
            Input((SIZE, SIZE, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            conv(width, 7, strides=3, name="conv1"),
            relu(),
            conv(2 * width, 3, strides=2, name="conv2"),
            relu(),
            conv(2 * width, 3, strides=2, name="conv3"),
            relu(),
            layers.Flatten(),
            layers.Dense(hidden, name="fc1"),
            relu(),
            layers.Dense(len(ACTIONS), name="fc2"),
        ]
    )
    return copy_weights(net, twin)


def akida_policy(model: Any) -> Policy:
    """The policy of an ``akida.Model``, on the chip if there is one, else in the simulator."""

    def act(maps: torch.Tensor) -> np.ndarray:
        return akida_outputs(model, channels_last(maps)).argmax(1)

    return act


def round_and_train(
    cfg: Config, run: Run, net: PongNet, bits: tuple[int, int, int], seen: Seen, unseen: Seen
) -> tuple[dict[str, float], Any]:
    """``net`` at ``bits`` (input weights, weights, activations): what it makes rounded, and trained with rounding;
    and the ``akida.Model`` of the latter."""
    from tf_keras import losses, optimizers

    name = "/".join(map(str, bits))
    path, few = part_file(run, f"{name}.fbz"), bits[1] <= 2

    def work() -> dict[str, float]:
        x, p = channels_last(see_events(seen.grey)), F.softmax(seen.q / cfg.tau, 1).numpy()
        x_unseen = channels_last(see_events(unseen.grey))
        began = time.perf_counter()
        names = dict(zip(("input_bits", "weight_bits", "activation_bits"), bits, strict=True))
        with torch.no_grad():
            wanted = net(see_events(unseen.grey[:32]).float() / 255)
        off = np.abs(keras_outputs(keras_twin(net), x_unseen[:32]) - wanted.numpy()).max()
        off /= float(wanted.abs().max())
        run.print(f"          {name}: Keras, not yet rounded, differs from PyTorch by {off:.1e}")
        twin = keras_twin(net, 1.2 if few else 0.0)
        quantised, ptq = quantize_and_convert(twin, x[:1000], **names)
        packages.keras().utils.set_random_seed(cfg.seed)
        passes = 2 * cfg.epochs if few else cfg.epochs
        schedule = optimizers.schedules.CosineDecay(5e-4, passes * -(-len(x) // 64))
        loss = losses.CategoricalCrossentropy(from_logits=True)
        quantised.compile(optimizers.Adam(schedule), loss, run_eagerly=cfg.smoke)
        for k in range(passes):
            once_more = {"epochs": k + 1, "initial_epoch": k, "verbose": 0}
            with packages.quiet():
                value = quantised.fit(x, p, batch_size=64, **once_more).history["loss"][0]
            spent = time.perf_counter() - began
            run.print(f"          {name}: pass {k + 1}/{passes}, loss {value:.4f} ({spent:.0f} s)")
        model = convert_quantised(quantised, twin, name)
        save_fbz(model, path)
        by_akida = akida_outputs(model, x_unseen).argmax(1)
        agree = (by_akida == keras_outputs(quantised, x_unseen).argmax(1)).mean()
        same = (by_akida == unseen.q.argmax(1).numpy()).mean()
        return {"ptq": validate(akida_policy(ptq), cfg), "agree": agree, "teacher": same}

    return once(run, f"{name} bits", work), open_fbz(path)


@section
def section_quantize(cfg: Config, run: Run) -> None:
    """7  Does it still play in four bits, on the AKD1000?

    This is the other way to be cheap, and not the next step after section 5: the agent *akida* is the network that was
    trained clipped, with one pass per decision, and has no spikes in time, no DAgger and no price on operations. The
    chip calls its activations events: a 0 is not sent, and costs nothing. It adds integers: weights of four (or two)
    bits, in the first layer of eight, and activations of four. So the network is written in Keras, compared with
    PyTorch, quantised, trained on by equation (3) with rounding in the forward pass (lesson 19), and converted. With
    two bits it gets twice the passes, and weights without outliers. Every layer has to find processors on the mesh, or
    the host would have to compute it. Rewards come from the chip if there is one, else from Akida's simulator, which
    computes the same integers.
    """
    if missing := packages.missing():
        reason = f"{', '.join(missing)} cannot be imported here; {akida_status().reason}"
        run.note(f"Akida: left out, for {reason}.")
        return
    options = ("less than a point", "one to three points", "more than three points")
    run.predict("bits_cost", "What do two-bit weights cost against four bits?", options)
    teacher, net = fetch(run, "teacher").cpu(), fetch(run, "clipped").cpu()  # as TensorFlow is
    seen = rollouts(teacher, cfg.states, STUDENT_SEED, games=cfg.players)
    unseen = unseen_states(teacher, cfg)
    net.clipped = True
    rows, models = {}, {}
    for bits in ((8, 4, 4), (8, 2, 4))[: 1 if cfg.smoke else None]:
        name = "/".join(map(str, bits))
        found, models[name] = round_and_train(cfg, run, net, bits, seen, unseen)
        rows[name] = found | evaluate(akida_policy(models[name]), cfg, run, f"Akida {name}")
    model = models["8/4/4"]
    path = save_fbz(model, run.dir / "akida.fbz")
    run.print(f"   saved   {path}")
    note_games(run, "akida", rows["8/4/4"])
    mapping, where = map_on_akd1000(model), akida_status()
    show.tables_akida(run, rows, mapping, where.state)
    for name, r in rows.items():
        key, target = "akida_" + name.replace("/", ""), ">= 16" if name == "8/4/4" else None
        text = f"Akida {where.state}, {name} bits: reward"
        run.claim(key, text, r["sticky"], "points", target, n=cfg.games)
        text, n = "without sticky actions", r["different"]
        run.claim(f"{key}_plain", text, r["plain"], "points", n=n)
    left = len(mapping.fallbacks)
    run.claim(
        "akida_software", "layers that the AKD1000 leaves to software", left, "layers", "== 0"
    )
    run.claim("akida_nps", "neural processors of 78 that it takes", mapping.nps_used, "NPs")
    fewest = map_on_akd1000(model, mode="Minimal").nps_used
    run.claim("akida_nps_minimal", "as few as possible", fewest, "NPs")
    run.claim("akida_bytes", "size of the .fbz", path.stat().st_size, "bytes")
    run.extra["akida"] = {"state": where.state, "reason": where.reason, **mapping.places()}
    run.figure(
        show.plot_akida(rows, mapping), "7_akida", look="which layer takes most of the processors"
    )
    by_two = rows[list(rows)[-1]]["sticky"]
    lost = rows["8/4/4"]["sticky"] - by_two
    run.outcome("bits_cost", options[int(lost >= 1) + int(lost > 3)])
    run.finding(
        f"In four bits, {'all layers' if not left else f'all but {left} layers'} on the mesh, the policy plays "
        f"{rows['8/4/4']['sticky']:+.1f}; with weights of two bits {by_two:+.1f}."
    )


# ------------------------------------------------------------------------------------ 8  what a decision costs


def steps_of(cfg: Config, run: Run, name: str) -> int:
    """Time steps per decision of agent ``name``: `--num-steps`, or for the converted one those its section chose."""
    if name == "converted":
        found = files.played(run, name, files.find(run, "clipped")) or {}
        return int(found.get("num_steps", CONVERTED))
    return cfg.num_steps if name in ("clone", "sparse") else 1


def make_agent(cfg: Config, run: Run, name: str) -> tuple[Policy, nn.Module | None]:
    """The policy ``name``, and its network where it is one of PyTorch's."""
    if name == "akida":
        return akida_policy(open_fbz(files.find(run, "akida"))), None
    net = fetch(run, files.WEIGHTS.get(name, name))
    if name == "teacher":
        return greedy(net), net
    if name == "temporal":
        agent = SpikingPong(net, 1, beta=BETA)
        return Remembering(agent), agent
    agent = SpikingPong(net, steps_of(cfg, run, name))
    return greedy(agent), agent


def on(agent: nn.Module, device: str) -> Callable[[torch.Tensor], Any]:
    """A copy of ``agent`` on ``device``: maps ``(1, 3, 84, 84)`` on the host → Q-values on the host."""
    agent = copy.deepcopy(agent).to(device)

    def values(maps: torch.Tensor) -> Any:
        with torch.no_grad():
            return agent(maps.to(device).float() / 255).cpu().numpy()

    return values


def akida_values(run: Run, maps: torch.Tensor) -> dict[str, Callable[[torch.Tensor], Any]]:
    """The deployed network by its name, where Akida can run here; on a chip its power and speed are measured."""
    status = akida_status()
    if packages.missing():
        run.note(f"Akida: left out of the latencies; {status.reason}.")
        return {}
    try:
        model = open_fbz(files.find(run, "akida"))
    except UserError as e:
        run.print(f"          Akida: left out; {e}")
        return {}

    def values(m: torch.Tensor) -> np.ndarray:
        return akida_outputs(model, channels_last(m))

    if status.state != "hardware":
        run.print(f"   {status.means}")
        return {"Akida, simulator": values}
    measured = measure_on_chip(model, channels_last(maps))
    run.extra["chip"] = measured
    run.print("\n".join("          " + line for line in describe_measurement(measured)))
    return {"Akida, chip": values}


@section
def section_benchmark(cfg: Config, run: Run) -> None:
    """8  What does a decision win, and what does it cost?

    Points are those of games in ALE/Pong-v5 as registered, each played by the weights that stand here: the section that
    made them has noted their games, or ``play`` has. Where only the mean of the games is known, the table says so. Where
    single games are known, ± is the standard error, and a difference of two agents stands with its 95 % interval.

    Costs are measured now, on the teacher's games: operations that active inputs cause (the teacher's multiply and add,
    those of a spiking agent only add), and their energy by the price list of lesson 17. That is arithmetic alone: no
    memory is priced, and the updates of membranes stand in a column of their own. Zeros are skipped on both sides. Two
    agents have no price here: what *temporal* computes depends on the game so far, and section 6 counts it on games in
    their order; for *akida*, the other way to be cheap, its 4 bits would need a price list of their own.

    Fewer operations are not less time on a CPU. It computes each layer for all T steps, only the first one once, and
    multiplies by every 0: a spike that is left out is computed all the same. Hardware that works only where a spike
    comes would save that time.

    Times go from the call for a frame to the action; the emulator's work on the four frames of a decision is counted
    in. The agents take turns, so that whatever else the host does meets all of them.
    The target is 5 ms in 95 of 100 decisions. A frame of the game lasts 16.7 ms and a decision four of them: an agent
    of 5 ms could decide on every frame, and a camera and a hand would have two thirds of it. A simulator's time is that
    of this host.
    """
    question = "Milliseconds from frame to action, sparse policy on a CPU, 95th percentile?"
    run.predict("latency_spiking", question, unit="ms")
    maps = see_events(unseen_states(fetch(run, "teacher"), cfg).grey)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    repeats = 5 if cfg.smoke else 400
    policies, costs, games, origins = {}, {}, {}, {}
    for name in AGENTS:
        try:
            path = files.find(run, files.WEIGHTS.get(name, name))
            steps = steps_of(cfg, run, name)
            found = files.played(run, name, path)
            origins[name] = files.origin(path)
            if found is not None and found.get("num_steps", steps) == steps:
                games[name] = found
            if name in ("akida", "temporal"):
                continue
            agent = make_agent(cfg, run, name)[1]
        except UserError as e:
            run.print(f"          {name}: left out; {e}")
            continue
        costs[name] = cost(agent, maps)
        for device in devices:
            key = f"{name}, T = {steps}" if steps > 1 else name
            key = key if len(devices) == 1 else f"{key}, {device}"
            policies[key] = on(agent, device)
    policies |= akida_values(run, maps.cpu())
    times = stages_in_turn(policies, repeats, VAL_SEED)
    show.table_rewards(run, games, origins)
    show.say_differences(run, games)
    show.table_costs(run, costs)
    whole = {k: sum(v.values()) for k, v in times.items()}
    show.table_latency(run, times, whole)
    show.say_before_policies(run, times)
    targets = {"teacher": ">= 18", "converted": ">= 17", "clone": ">= 17"}
    targets |= {"sparse": ">= 16", "akida": ">= 16"}
    for name in [name for name in targets if name in games]:
        reward, n = games[name]["sticky"], games[name]["games"]
        text = f"{name} in ALE/Pong-v5: reward"
        run.claim(f"played_{name}", text, reward, "points", targets[name], n=n)
    if "sparse" in costs:
        spent = costs["sparse"]["synops"]
        run.claim("synops", "SynOps per decision, sparse", spent, "SynOps", "<= 80000")
        saved = costs["teacher"]["energy_nj"] / max(1e-9, costs["sparse"]["energy_nj"])
        text = "energy of arithmetic, teacher (its zeros skipped) over sparse"
        run.claim("energy_saved", text, saved, "×")
    told = {"ann": "teacher", "spiking": "sparse", "akida": "Akida"}
    for key, start_of in told.items():
        name = next((k for k in times if k.startswith(start_of) and "cuda" not in k), None)
        if name is not None:
            p95 = float(np.percentile(whole[name], 95))
            text = f"frame to action, {name}: 95th percentile"
            run.claim(f"latency_{key}", text, p95, "ms", f"<= {show.TARGET_MS:g}")
    marks = {name: float(target.split()[1]) for name, target in targets.items()}
    fig = show.plot_benchmark(games, costs, origins, marks)
    run.figure(fig, "8_reward", look=show.look_at_games(games))
    run.figure(
        show.plot_latency(times, whole),
        "8_latency",
        look="which stage takes most of the time, and how far the triangles are from the line",
    )
    told_by = "played_sparse" if "sparse" in games else "synops"
    run.finding(show.sentence_of_benchmark(games, costs), main=True, claim=told_by)
    if {"teacher", "sparse"} <= costs.keys():
        run.finding(show.sentence_of_speed(costs, times), claim="energy_saved")
    show.note_on_origin(run, games, origins)
    show.note_on_targets(run, games)
    if not packages.missing() and akida_status().state != "hardware":
        run.print("   Of the chip itself others have published, for other networks than ours:")
        published_tables(run)


# ------------------------------------------------------------------------------------ putting it together


def play_games(cfg: Config, run: Run) -> None:
    """Let an agent play, its points shown as they fall; note each game, what the agent saw and how it fired.

    Ten games at a time are a part of their own, so that `--resume` goes on after the last ten of a call that was cut.
    The sticky games come first and are noted at once; those without sticky actions follow.
    """
    policy, agent = make_agent(cfg, run, cfg.agent)
    film: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def watch(env: Pong, maps: torch.Tensor, action: np.ndarray) -> None:
        if len(film) < (20 if cfg.smoke else 240):
            fired = np.zeros((1, 1))
            if isinstance(agent, SpikingPong) and cfg.agent != "temporal":
                with torch.no_grad():
                    spks = agent.run(constant_current(maps[:1].float() / 255, agent.num_steps))[0]
                fired = spks[-1][:, 0].cpu().numpy()  # (T, 256): the dense hidden layer
            film.append((env.stack[0, -1].copy(), maps[0].cpu().numpy(), fired))

    weights = files.find(run, files.WEIGHTS.get(cfg.agent, cfg.agent))
    steps = {"num_steps": steps_of(cfg, run, cfg.agent)}

    def note(found: dict[str, Any]) -> None:
        files.keep_games(run, cfg.agent, weights, found | steps)

    hear = partial(show.scoreboard, run)
    found = evaluate(policy, cfg, run, f"{cfg.agent} at play", hear=hear, note=note)
    note(found)
    play(policy, 1, TEST_SEED, STICKY, watch=watch, limit=cfg.limit or 240)
    text, n = f"{cfg.agent}: reward in ALE/Pong-v5", cfg.games
    run.claim(f"play_{cfg.agent}", text, found["sticky"], "points", n=n)
    n = found["different"]
    run.claim(f"play_{cfg.agent}_plain", "without sticky actions", found["plain"], "points", n=n)
    run.figure(show.plot_play(film, cfg.agent), "play", look="which maps are empty, and when")
    if cfg.record is not None:
        run.print(f"   saved   {show.record(film, cfg.record)}")


SECTIONS = {
    "train": section_train,
    "convert": section_convert,
    "clone": section_clone,
    "spiking-dqn": section_spiking_dqn,
    "sparsify": section_sparsify,
    "remember": section_remember,
    "quantize": section_quantize,
    "benchmark": section_benchmark,
}


def main(cfg: Config, run: Run) -> None:
    carry_out_asked(cfg, run, SECTIONS, {"play": play_games}, show.write_up)


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
