"""Capstone A — Pong to silicon: a spiking agent, from pixels to the AKD1000

Question
    Can a network of spikes, in four bits and within the limits of a chip, play Pong as well as the network it learnt
    from, and what does each step on the way cost?

Idea
    A teacher learns by double DQN with returns over n steps (van Hasselt et al. 2016, equation 4; a point ends a
    return, for the rally after it is another one):

        y = Σ_{k<n} γᵏ·r_k + γⁿ·Q⁻(s', argmax_a Q(s', a))        loss = Huber(Q(s, a) − y)                 (1)

    It does not look at pixels but at events. A DVS pixel fires when ln I has moved by θ; with ℓ = ⌊ln I / θ⌋ the
    number of thresholds below a grey level, one picture makes three maps, which are 0 nearly everywhere:

        place = |ℓ_t − ℓ_board|        ON = max(ℓ_t − ℓ_{t−1}, 0)        OFF = max(ℓ_{t−1} − ℓ_t, 0)        (2)

    (place is the sum of all events since the board was empty). Its ReLU layers become integrate-and-fire neurons by
    lesson 16's equation (4): W_l·λ_{l−1}/λ_l, b_l/λ_l, with λ a high percentile of each layer's activations. The
    output does not spike: Q is the mean current of the last layer, as in Chen et al., so near ties are not lost to
    rounding. Policies with few steps, few spikes or few bits are then trained on by distillation (Rusu et al. 2016),
    on states that teacher and student visit (DAgger, Ross et al. 2011):

        loss = −Σ_a p_a·log softmax(z)_a + μ·SynOps,        p = softmax(Q_teacher/τ)                        (3)

    In Pong the best action is often better by a hundredth of a point only: τ is small. μ is a price on operations; an
    IF neuron with b > 0 fires on an empty board as well, so the sparse policy also keeps its hidden biases at b ≤ 0.

    What the literature found: Tan et al. convert a DQN (hundreds of steps; the rates of near-equal Q-values need a
    finer read-out than spike counts). Liu et al. train a spiking DQN directly with T = 64; Chen et al. with T = 8 and
    a read-out that integrates and never fires. PopSAN (Tang et al.) is for continuous actions: an actor that codes
    them in populations, 140 times less energy on Loihi than the same policy on a Jetson TX2. What follows here: train
    a DQN, convert it (the shortest way), then train the spiking policy on at small T. A spiking DQN from scratch is
    here too; it learns, and takes longest.

Read first
    Theory:   Tan et al. 2021, https://arxiv.org/abs/2009.14456 · Liu et al. 2022, https://arxiv.org/abs/2201.07211
              Chen et al. 2022, https://arxiv.org/abs/2201.09754 · PopSAN, https://arxiv.org/abs/2010.09635
              double DQN, https://arxiv.org/abs/1509.06461 · policy distillation, https://arxiv.org/abs/1511.06295
    Practice: lessons 04 (events), 14 (sparsity), 16 (conversion), 19 (Akida)
              https://ale.farama.org/environments/pong/

Run
    uv run capstone_pong.py                           `benchmark`, with the agents that the course ships: a minute
    uv run capstone_pong.py play --agent sparse --record pong.gif      watch one; teacher, converted, clone, akida too
    uv run capstone_pong.py train --resume            1,000,000 decisions: two to three hours on one thread; may be cut
    uv run capstone_pong.py convert                   then clone, sparsify, quantize, perception, spiking-dqn: each on
                                                      what was made before, or on what the course ships
    uv run capstone_pong.py report --journal          all that was measured, and the write-up for your journal

You should see
    30 games each, in brackets with sticky actions. Teacher +20.2 (+11.3). Of 21,168 inputs events leave 104. Balanced
    IF neurons act as the teacher on 76 % of the states at best, T = 32; trained clipped, on 88 %: +20.2 (+11.0). At
    T = 4: +19.9 (+9.3), 400,027 SynOps, 75 % of them on an empty board too; with a price and b ≤ 0: +16.1 (+8.4),
    80,646 SynOps. Akida, all on the mesh: 4 bits +19.9 (+11.6), 2-bit weights +20.0 (+9.8). Students (10 games): events
    +20.8, deltas +12.1, frames −21. Frame to action 3.0 ms (p95). A sensor's noise would leave 42 % of the actions.

Builds on / leads to
    04, 07, 09, 10, 14, 16, 17, 19. What you measure goes to your journal: `report --journal`.

Predict: with --num-steps 1 each neuron may speak once. How many points does `clone` still make, and how many SynOps?
Next: uv run capstone_gameworld.py
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
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
from common.cost import estimated_energy_nj, latency
from common.io import ROOT, UserError, load_weights, save_weights
from common.lesson import LessonConfig, bounded, start
from common.run import Run
from common.spiking import constant_current, over_time
from eventcam.events import Pixel
from games.commands import carry_out, gather, once, part_file, parts, trained
from games.pong import report as show
from games.pong.env import (
    ACTIONS,
    SIZE,
    THETA,
    Eyes,
    Policy,
    Pong,
    Seen,
    events,
    one_game,
    play,
    rollouts,
    see_by_sensor,
    see_deltas,
    see_events,
    see_frames,
    see_places,
    stages,
)
from games.pong.replay import Replay, read_csv, read_state, write_csv, write_state
from games.pong.report import BAR_MS
from multistep import unroll

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
import tyro
from torch import nn

CHECKPOINTS = ROOT / "checkpoints"
COMMANDS = (
    "train",
    "perception",
    "convert",
    "clone",
    "spiking-dqn",
    "sparsify",
    "quantize",
    "benchmark",
    "play",
    "report",
    "all",
)
AGENTS = ("teacher", "converted", "clone", "sparse", "akida")
CONVERTED = 32  # time steps of the converted network: what `convert` chose
HIDDEN = ("conv1", "conv2", "conv3", "fc1")
TEST_SEED, VAL_SEED, STUDENT_SEED = (
    10_000,
    20_000,
    30_000,
)  # first seed of the games that each use plays; training: 0


@dataclass
class Config(LessonConfig):
    """One command at a time; `all` runs them in order. `--num-steps` is T of the spiking policies, not of `convert`,
    which tries several. `--device`: only `benchmark` times a GPU, all else runs on the CPU as the emulator does."""

    command: tyro.conf.Positional[Literal[COMMANDS]] = "benchmark"  # type: ignore[valid-type]
    """what to do"""
    num_steps: int = bounded(4, 1, 100_000)
    """time steps a decision of the spiking policies (T)"""
    seed: int = bounded(0, 0, TEST_SEED - 1000)
    """seed of every random number in the script; its games start with seeds below the test games'"""
    agent: Literal[AGENTS] = "sparse"  # type: ignore[valid-type]
    """who plays, for `play`"""
    record: Path | None = None
    """`play`: write the first points of one game, with the spikes of the agent, to this GIF"""
    steps: int = bounded(1_000_000, 100, 1e8)
    """decisions of the teacher's training, over all environments"""
    enough: float = bounded(20.0, -21, 22)
    """points in the validation games at which a training ends early"""
    spiking_steps: int = bounded(60_000, 100, 1e8)
    """decisions of the spiking DQN's training"""
    envs: int = bounded(8, 2, 256)
    """environments at once; half of them with sticky actions"""
    replay: int = bounded(150_000, 1000, 1e7)
    """transitions that the replay holds, 7 kB each"""
    batch_size: int = bounded(32, 1, 4096)
    """transitions a gradient step of the DQN"""
    every: int = bounded(4, 1, 1000)
    """decisions a gradient step of the DQN"""
    n_step: int = bounded(4, 1, 50)
    """rewards that a return adds up before it trusts the network (n)"""
    gamma: float = bounded(0.99, 0.0, 1.0)
    """discount a decision (γ)"""
    lr: float = bounded(3e-4, 1e-7, 1.0)
    """learning rate at the start; it falls along a line"""
    tau: float = bounded(0.02, 1e-4, 10.0)
    """temperature of the teacher's Q-values in distillation (τ)"""
    states: int = bounded(30_000, 64, 1e7)
    """states of a round of distillation"""
    epochs: int = bounded(3, 1, 1000)
    """passes over them"""
    games: int = bounded(30, 1, 1000)
    """full games of an evaluation, with and without sticky actions each"""
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
    def limit(self) -> int:
        """Decisions after which a game is broken off: smoke runs only."""
        return 30 if self.smoke else 0


SMOKE = {
    "steps": 400,
    "spiking_steps": 160,
    "replay": 1000,
    "games": 1,
    "states": 64,
    "epochs": 1,
    "num_steps": 2,
}
FULL = {"steps": 10_000_000, "replay": 1_000_000, "spiking_steps": 2_000_000, "states": 200_000}


def evaluate(
    policy: Policy, cfg: Config, run: Run, name: str, eyes: Eyes = see_events
) -> dict[str, Any]:
    """The protocol of every reward here: full games with test seeds, without and with sticky actions."""

    def games() -> dict[str, Any]:
        began, found = time.perf_counter(), {}
        for key, sticky in (("plain", 0.0), ("sticky", 0.25)):
            points = play(policy, cfg.games, TEST_SEED, sticky, eyes, limit=cfg.limit)
            found |= {key: points.mean(), f"{key}_std": points.std(), f"{key}_points": points}
        run.print(
            f"          {name}: {found['plain']:+.2f} ± {found['plain_std']:.2f}, with sticky actions "
            f"{found['sticky']:+.2f} ± {found['sticky_std']:.2f} ({cfg.games} games each, "
            f"{time.perf_counter() - began:.0f} s)"
        )
        return found

    return once(run, f"{name}: reward", games)


def validate(policy: Policy, cfg: Config, sticky: float = 0.25) -> float:
    """Mean points of eight games with seeds of their own: what every choice here goes by."""
    return float(play(policy, 1 if cfg.smoke else 8, VAL_SEED, sticky, limit=cfg.limit).mean())


# ------------------------------------------------------------------------------------ the network, three times


class PongNet(nn.Module):
    """Three strided convolutions and two dense layers: Q-values ``(B, 3)`` from maps ``(B, 3, 84, 84)`` in 0..1.

    No pooling, padding as Keras pads, features in the order height, width, channel: so the same weights run here, as
    IF neurons, in Keras, and on the AKD1000. With ``clipped`` activations lie in 0..1, and with ``levels`` on a
    staircase of so many steps there: lesson 16's equation (3), its gradient passed straight through.
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
                x = x + (torch.floor(x.detach() * self.levels + 0.5) / self.levels - x.detach())
            x = x.clamp(0, 1) if self.clipped else F.relu(x)
            found.append(x)
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activations(x)[-1])


class SpikingPong(nn.Module):
    """The same weights with integrate-and-fire neurons (β = 1, θ = 1) that start at ``charge``."""

    def __init__(self, net: PongNet, num_steps: int, charge: float = 0.5) -> None:
        super().__init__()
        self.net, self.num_steps, self.charge = copy.deepcopy(net), num_steps, charge
        self.lifs = nn.ModuleDict({name: snn.Leaky(beta=1.0, init_hidden=True) for name in HIDDEN})

    def step(self, x_t: torch.Tensor) -> torch.Tensor:
        """One time step by snnTorch, ``(B, 3, 84, 84) → (B, 3)``; ``reset`` comes before a new decision."""
        for name, lif in self.lifs.items():
            cur = self.net.current(name, x_t)
            if lif.mem.shape != cur.shape:
                lif.mem = torch.full_like(cur, self.charge)
            x_t = lif(cur)  # U[t] = U[t−1] + I[t] − S[t−1]·θ
        return self.net.fc2(x_t)

    def reset(self) -> None:
        """Forget the last decision."""
        for lif in self.lifs.values():
            lif.mem = torch.zeros(0)

    def run(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """``(T, B, 3, 84, 84)`` → spikes of each hidden layer ``(T, B, …)``, output current ``(T, B, 3)``."""
        spks = []
        for name, lif in self.lifs.items():
            cur = over_time(partial(self.net.current, name), x)  # a constant input: computed once
            x, _, _ = unroll(lif, cur, (torch.full_like(cur[0], self.charge),))
            spks.append(x)
        return spks, over_time(self.net.fc2, x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Q-values ``(B, 3)`` of maps ``(B, 3, 84, 84)``: the mean output current over T steps."""
        return self.run(constant_current(x, self.num_steps))[1].mean(0)


def greedy(net: nn.Module) -> Policy:
    """The policy that takes the best action of ``net`` for maps ``(B, 3, 84, 84)`` of uint8."""

    def act(maps: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return net(maps.float() / 255).argmax(1).numpy()

    return act


@torch.no_grad()
def balance(net: PongNet, maps: torch.Tensor, percentile: float = 99.0) -> PongNet:
    """A copy whose activations lie in 0..1: threshold balancing, lesson 16's equation (4). θ is 1 everywhere."""
    balanced, before = copy.deepcopy(net), 1.0
    for name, a in zip(HIDDEN, net.activations(maps.float() / 255), strict=True):
        lam = a.flatten().kthvalue(max(1, round(a.numel() * percentile / 100))).values.item() or 1.0
        layer = getattr(balanced, name)
        layer.weight.mul_(before / lam)  # W_l·λ_{l−1}/λ_l
        layer.bias.div_(lam)  # b_l/λ_l
        before = lam
    balanced.fc2.weight.mul_(before)
    return balanced


# ------------------------------------------------------------------------------------ what a decision costs


@cache
def reach(name: str, width: int, hidden: int) -> torch.Tensor:
    """Operations that one active input of a layer causes, by position: ``(H, W)`` for convolutions, else ``()``."""
    if name in ("fc1", "fc2"):
        return torch.tensor(float(hidden if name == "fc1" else len(ACTIONS)))
    k, s, size, out = {
        "conv1": (7, 3, 28, width),
        "conv2": (3, 2, 14, 2 * width),
        "conv3": (3, 2, 7, 2 * width),
    }[name]
    reads = F.conv_transpose2d(torch.ones(1, 1, size, size), torch.ones(1, 1, k, k), stride=s)[
        0, 0
    ]  # with padding
    first = 2 if name == "conv1" else 0
    size_in = {"conv1": SIZE, "conv2": 28, "conv3": 14}[name]
    return out * reads[first:, first:][:size_in, :size_in]


def operations(net: PongNet, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What the non-zero ``inputs`` of the five layers cause, ``(…, C, H, W)`` or ``(…, N)`` each: operations, summed.

    For spikes these are accumulates; a spike of strength (an activation, an event count) takes a multiplication.
    """
    width, hidden = net.conv1.out_channels, net.fc1.out_features
    found = []
    for name, x in zip((*HIDDEN, "fc2"), inputs, strict=True):
        r = reach(name, width, hidden).to(x.device)
        active = (x != 0).to(r.dtype) if not x.requires_grad else x
        found.append((active.sum(-3) * r).sum() if r.ndim else active.sum() * r)
    return found


def dense_macs(net: PongNet) -> int:
    """Multiply-accumulates of one decision if nothing is skipped."""
    sizes = {"conv1": 28 * 28, "conv2": 14 * 14, "conv3": 7 * 7, "fc1": 1, "fc2": 1}
    return sum(n * getattr(net, name).weight.numel() for name, n in sizes.items())


@torch.no_grad()
def cost(agent: nn.Module, maps: torch.Tensor) -> dict[str, float]:
    """Per decision on ``maps (B, 3, 84, 84)``: ``macs`` of the first layer, ``synops`` after it, ``spikes``, energy."""
    if (b := len(maps)) > 100:  # in parts, to save memory
        parts = [(cost(agent, m), len(m)) for m in maps.split(100)]
        return {
            k: np.average([c[k] for c, _ in parts], 0, [n for _, n in parts]).tolist()
            for k in parts[0][0]
        }
    x, spiking = maps.float() / 255, isinstance(agent, SpikingPong)
    hidden = agent.run(constant_current(x, agent.num_steps))[0] if spiking else agent.activations(x)
    net = agent.net if spiking else agent
    first, *rest = (n.item() / b for n in operations(net, [x, *hidden]))
    synops, macs = sum(rest), first + (0 if spiking else sum(rest))
    return {
        "inputs": (maps != 0).sum().item() / b,
        "macs": macs,
        "synops": synops,
        "by_layer": [first, *rest],
        "spikes": sum((h != 0).sum().item() for h in hidden) / b,
        "dense": dense_macs(net),
        "energy_nj": estimated_energy_nj(synops if spiking else 0.0, macs),
    }


# ------------------------------------------------------------------------------------ deep Q-learning


def q_learning(
    net: nn.Module, cfg: Config, run: Run, name: str, steps: int
) -> list[dict[str, float]]:
    """Train ``net`` by equation (1); keep the weights that played best on the validation games. Returns the log.

    A run that was cut goes on with ``--resume``: weights, optimiser, log and the count of decisions come from the
    checkpoint; the replay is filled anew by the policy as it stands before learning goes on.
    """
    half = cfg.envs // 2
    worlds = [Pong(half, cfg.seed, 0.0), Pong(cfg.envs - half, cfg.seed + half, 0.25)]
    target = copy.deepcopy(net)
    net, target = (m.to(memory_format=torch.channels_last) for m in (net, target))
    optimizer = torch.optim.Adam(net.parameters(), lr=cfg.lr, eps=1e-5, fused=True)
    replay, rng = Replay(cfg.replay, cfg.envs, cfg.seed), np.random.default_rng(cfg.seed)
    path, log = run.dir / f"{name}.pt", []
    decides = ("seed", "envs", "replay", "batch_size", "every", "n_step", "gamma", "lr")
    mark = {k: str(getattr(cfg, k)) for k in decides} | {"network": type(net).__name__}
    if isinstance(net, SpikingPong):
        mark["num_steps"] = str(net.num_steps)
    done, best, learn_from, spent = 0, -22.0, min(10_000, steps // 2), 0.0
    if cfg.resume and path.exists():
        saved = read_state(path, mark, net=net, target=target, optimizer=optimizer)
        done, best, log = saved["done"], saved["best"], saved["log"]
        learn_from, spent = done + learn_from, log[-1]["seconds"]
        write_csv(run.dir / f"{name}.csv", log)
        run.print(f"resume    at decision {done:,} of {steps:,}")
    run.print(f"replay    {cfg.replay:,} transitions, {replay.bytes / 2**20:,.0f} MiB")
    level = np.concatenate([w.level for w in worlds])
    before, first = level, np.ones(cfg.envs, bool)
    returns, current = deque([row["return"] for row in log[-1:]], 20), np.zeros(cfg.envs)
    losses, values = deque([], 2500), deque([], 2500)
    began, resumed_at, owed, updates, logged, tested = time.perf_counter(), done, 0.0, 0, done, done
    while done < steps and best < cfg.enough:
        epsilon = max(0.02, 1 - 0.98 * done / min(80_000, 0.2 * steps))
        action, follow = rng.integers(0, len(ACTIONS), cfg.envs), rng.random(cfg.envs) >= epsilon
        if follow.any():
            action[follow] = greedy(net)(
                events(torch.from_numpy(before[follow]), torch.from_numpy(level[follow]))
            )
        parts = [w.step(a) for w, a in zip(worlds, np.split(action, [half]), strict=True)]
        reward, ended, restarted = (np.concatenate(p) for p in zip(*parts, strict=True))
        replay.add(level, first, action, reward, restarted)
        current += reward
        returns.extend(current[ended].tolist())
        current[ended] = 0
        first, before = restarted, level  # what a restart shows is the first picture of a game
        level = np.concatenate([w.level for w in worlds])
        before = np.where(first[:, None, None], level, before)
        done += cfg.envs
        owed += cfg.envs / cfg.every if done >= learn_from else 0
        while owed >= 1 and replay.count > cfg.n_step + 2:
            owed -= 1
            b = replay.draw(cfg.batch_size, cfg.n_step, cfg.gamma)
            s, s2 = (
                events(*b[k]).to(memory_format=torch.channels_last).float().div_(255)
                for k in ("s", "s2")
            )
            with torch.no_grad():
                # y = Σ γᵏ·r_k + γⁿ·Q⁻(s', argmax_a Q(s', a)): one network chooses, the other one values        (1)
                y = b["r"] + b["go"] * target(s2).gather(1, net(s2).argmax(1, keepdim=True))[:, 0]
            q = net(s).gather(1, b["a"][:, None])[:, 0]
            loss = F.smooth_l1_loss(q, y)
            for group in optimizer.param_groups:
                group["lr"] = cfg.lr * (1 - 0.9 * done / steps)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 10.0)
            optimizer.step()
            updates += 1
            losses.append(loss.item())
            values.append(y.mean().item())
            if updates % 500 == 0:
                target.load_state_dict(net.state_dict())
        if done - logged >= 10_000 or done >= steps:
            logged, seconds = done, time.perf_counter() - began
            mean = lambda xs, empty: float(np.mean(xs)) if xs else empty  # noqa: E731
            log.append(
                {
                    "decisions": done,
                    "epsilon": round(epsilon, 3),
                    "return": round(mean(returns, -21.0), 2),
                    "loss": round(mean(losses, 0.0), 5),
                    "q": round(mean(values, 0.0), 4),
                    "seconds": round(spent + seconds, 1),
                }
            )
            if done - tested >= 50_000 or done >= steps:
                tested = done
                log[-1]["val"] = validate(greedy(net), cfg)
                if log[-1]["val"] >= best:
                    best = log[-1]["val"]
                    keep(copy.deepcopy(net), run, name)
            run.print(
                "  ".join(f"{k} {v}" for k, v in log[-1].items())
                + f"  {(done - resumed_at) / seconds:.0f} decisions/s"
            )
            state = {
                "mark": mark,
                "net": net.state_dict(),
                "target": target.state_dict(),
                "optimizer": optimizer.state_dict(),
                "done": done,
                "best": best,
                "log": log,
            }
            write_state(path, state)
            write_csv(run.dir / f"{name}.csv", log)
    return log


# ------------------------------------------------------------------------------------ files


def keep(net: nn.Module, run: Run, name: str) -> PongNet:
    """Save a network's weights, in 16 bits to be small, and put what was saved back into it: it is what is measured."""
    inner = net.net if isinstance(net, SpikingPong) else net
    path = save_weights(copy.deepcopy(inner).half(), run.dir / f"{name}.safetensors")
    run.print(f"   saved   {path}")
    return load_weights(inner, path)


def fetch(run: Run, name: str, net: PongNet | None = None) -> PongNet:
    """The weights ``name`` of this results folder, or else those that the course ships.

    Raises:
        UserError: there are none, or they are damaged or of another network.
    """
    mine, ours = run.dir / f"{name}.safetensors", CHECKPOINTS / f"pong_{name}.safetensors"
    path = mine if mine.is_file() else ours
    if not path.is_file():
        raise UserError(
            f"got no weights '{name}' in {mine.parent} or {ours.parent}; make them with "
            f"'uv run capstone_pong.py {MADE_BY.get(name, name)}'"
        )
    return load_weights(net or PongNet(), path).eval().to(memory_format=torch.channels_last)


MADE_BY = {
    "teacher": "train",
    "clipped": "convert",
    "sparse": "sparsify",
    "akida": "quantize",
    "spiking_dqn": "spiking-dqn",
}


# ------------------------------------------------------------------------------------ distillation


def sharpen(net: PongNet, tau: float) -> PongNet:
    """A copy whose outputs are Q/τ: the logits that equation (3) asks for; the best action stays the same."""
    net = copy.deepcopy(net)
    with torch.no_grad():
        net.fc2.weight.div_(tau)
        net.fc2.bias.div_(tau)
    return net


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
    """Train ``net`` by equation (3) on ``maps (n, 3, 84, 84)`` and the teacher's ``q (n, 3)``; Adam, batches of 64.

    Args:
        penalty: μ, for each thousand operations of a decision; spiking networks only.
        silent: keep the biases of the hidden layers at or below 0, so that no neuron fires without input.
    """
    net.to(memory_format=torch.channels_last).train()
    epochs, batch, inner = (
        epochs or cfg.epochs,
        64,
        net.net if isinstance(net, SpikingPong) else net,
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, epochs * -(-len(q) // batch))
    generator, target = torch.Generator().manual_seed(cfg.seed), F.softmax(q / cfg.tau, 1)

    def passes() -> None:
        began = time.perf_counter()
        for epoch in range(epochs):
            total = right = 0.0
            for i in torch.randperm(len(q), generator=generator).split(batch):
                x = maps[i].to(memory_format=torch.channels_last).float().div_(255)
                if isinstance(net, SpikingPong):
                    hidden, out = net.run(constant_current(x, net.num_steps))
                    z = out.mean(0)
                else:
                    z = net(x)
                loss = -(target[i] * F.log_softmax(z, 1)).sum(1).mean()
                total, right = (
                    total + loss.item() * len(i),
                    right + (z.argmax(1) == q[i].argmax(1)).sum().item(),
                )
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


def two_rounds(
    agent: SpikingPong,
    teacher: PongNet,
    seen: Seen,
    seed: int,
    cfg: Config,
    run: Run,
    *,
    name: str,
    **how: Any,
) -> None:
    """Distil on what others have ``seen``, then on that and on what the agent comes into by itself, from ``seed`` on:
    one wrong action leads to states that nobody else visits, and without sticky actions a game can end in a circle."""
    distil(agent, see_events(seen.grey), seen.q, cfg, run, name=f"{name}, round 1", lr=3e-4, **how)
    seen = seen + rollouts(teacher, cfg.states, seed, greedy(agent))
    distil(
        agent,
        see_events(seen.grey),
        seen.q,
        cfg,
        run,
        name=f"{name}, round 2",
        lr=2e-4,
        epochs=max(1, cfg.epochs // 2),
        **how,
    )


@torch.no_grad()
def hush(net: PongNet) -> None:
    """Without input a neuron with b > 0 fires all the same, about b·T times a decision: cut b to 0 and below."""
    for name in HIDDEN:
        getattr(net, name).bias.clamp_(max=0)


# ------------------------------------------------------------------------------------ the commands


def train(cfg: Config, run: Run) -> None:
    """The teacher, by double DQN."""
    log = q_learning(PongNet(), cfg, run, "teacher", cfg.steps)
    found = evaluate(greedy(fetch(run, "teacher")), cfg, run, "teacher")
    run.claim(
        "teacher",
        "teacher (DQN, ReLU, float): reward",
        found["plain"],
        "points",
        ">= 18",
        n=cfg.games,
    )
    run.claim(
        "teacher_sticky",
        "the same with sticky actions (0.25)",
        found["sticky"],
        "points",
        n=cfg.games,
    )
    run.claim("teacher_decisions", "decisions it learnt from", log[-1]["decisions"], "decisions")
    maps = see_events(rollouts(fetch(run, "teacher"), cfg.states // 30 + 16, VAL_SEED).grey)
    run.ledger(**row("DQN, ReLU", fetch(run, "teacher"), maps, found["plain"], cfg.games))
    run.figure(show.plot_learning({"teacher": log}, found), "learning")


def row(model: str, agent: nn.Module, maps: torch.Tensor, reward: float, n: int) -> dict[str, Any]:
    """A row of the ledger; ``accuracy`` is the mean reward in points."""
    c, net = cost(agent, maps), agent.net if isinstance(agent, SpikingPong) else agent
    steps = agent.num_steps if isinstance(agent, SpikingPong) else 1
    p50, p95 = latency(lambda: greedy(agent)(maps[:1]), "cpu")
    count = sum(p.numel() for p in net.parameters())
    return {
        "model": f"{model} (reward in points)",
        "data": "ALE/Pong-v5",
        "accuracy": reward,
        "n": n,
        "num_steps": steps,
        "parameters": count,
        "bytes": 4 * count,
        "spikes": c["spikes"],
        "synops": c["synops"],
        "macs": c["macs"],
        "ann_macs": c["dense"],
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "energy_estimated_nj": c["energy_nj"],
    }


PERCEPTIONS: dict[str, tuple[Eyes, dict[str, int]]] = {
    "frames": (see_frames, {}),
    "deltas": (see_deltas, {}),
    "events": (see_events, {}),
    "events, no motion": (see_places, {}),
    "events, half width": (see_events, {"width": 8, "hidden": 128}),
}
SENSORS = {
    "equation (2)": None,
    "DVS model, ideal pixels": (Pixel.ideal(THETA), False),
    "DVS model, noise and mismatch": (Pixel(theta_on=THETA, theta_off=THETA), False),
    "the same, place summed up from events": (Pixel(theta_on=THETA, theta_off=THETA), True),
}


def perception(cfg: Config, run: Run) -> None:
    """Equal students of the same teacher on what each pair of eyes sees; two ablations beside them."""
    teacher = fetch(run, "teacher")
    seen = rollouts(teacher, cfg.states, STUDENT_SEED)
    test = rollouts(teacher, cfg.states // 30 + 16, VAL_SEED)
    found = {}
    for name, (eyes, size) in PERCEPTIONS.items():
        torch.manual_seed(cfg.seed)
        net = distil(PongNet(**size), eyes(seen.grey), seen.q, cfg, run, name=name, lr=1e-3)
        maps = eyes(test.grey)
        found[name] = (
            evaluate(greedy(net), cfg, run, name, eyes)
            | cost(net, maps)
            | {
                "agree": float(
                    (net(maps.float() / 255).argmax(1) == test.q.argmax(1)).float().mean()
                )
            }
        )
    show.table_perception(run, found, f"{cfg.states:,} states, {cfg.epochs} passes")
    grey, q = one_game(teacher, 40 if cfg.smoke else 1500, VAL_SEED)
    sensors = {
        name: see_events(grey[:, None].repeat(2, 1)) if how is None else see_by_sensor(grey, *how)
        for name, how in SENSORS.items()
    }
    sensors["equation (2)"][1:] = see_events(np.stack((grey[:-1], grey[1:]), 1))
    with torch.no_grad():
        agree = {
            name: float((teacher(maps.float() / 255).argmax(1) == q.argmax(1)).float().mean())
            for name, maps in sensors.items()
        }
    show.table_sensors(run, sensors, agree)
    for key, name in zip(("ideal", "noisy", "summed"), list(SENSORS)[1:], strict=True):
        run.claim(f"sensor_{key}", f"{name}: teacher's action unchanged", agree[name], n=len(grey))
    for name in PERCEPTIONS:
        run.claim(
            "sees_" + name.replace(", ", "_").replace(" ", "_"),
            f"student that sees {name}: reward",
            found[name]["plain"],
            "points",
            n=cfg.games,
        )
    run.claim(
        "inputs_saved",
        "non-zero inputs of frames over those of events",
        found["frames"]["inputs"] / found["events"]["inputs"],
        "×",
    )
    run.figure(show.plot_perception(found, test.grey), "perception")


TIMES = (1, 2, 4, 8, 16, 32)
ARMS = {
    "maximum": (100.0, 0.0),
    "99.9 percentile": (99.9, 0.0),
    "99 percentile": (99.0, 0.0),
    "99 percentile, U[0] = θ/2": (99.0, 0.5),
    "trained clipped, U[0] = θ/2": (None, 0.5),
}


def clipped_twin(cfg: Config, run: Run, teacher: PongNet, seen: Seen) -> PongNet:
    """The balanced teacher, trained on by equation (3) with activations in 0..1 on 16 levels: what IF neurons can say
    in 16 steps, and four bits. Its outputs are logits."""
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


def convert(cfg: Config, run: Run) -> None:
    """The teacher's weights with IF neurons: how many steps does it take?"""
    teacher = fetch(run, "teacher")
    seen = rollouts(teacher, cfg.states, STUDENT_SEED)
    test = rollouts(teacher, cfg.states // 30 + 16, VAL_SEED)
    clipped, times = clipped_twin(cfg, run, teacher, seen), TIMES if not cfg.smoke else TIMES[:2]
    found: dict[str, list[tuple[float, float]]] = {}
    for name, (percentile, charge) in ARMS.items():
        net = balance(teacher, see_events(seen.grey[:1000]), percentile) if percentile else clipped
        arms = [SpikingPong(net, t, charge) for t in times]
        found[name] = once(run, name, lambda arms=arms: [agreement(arm, test) for arm in arms])
        run.print(
            f"          {name}: "
            + ", ".join(
                f"T = {t} {100 * a:.1f} %" for t, (a, _) in zip(times, found[name], strict=True)
            )
        )
    ann = once(run, "teacher, validation", partial(validate, greedy(teacher), cfg))
    limit = once(run, "clipped, validation", partial(validate, greedy(clipped), cfg))
    tried = {
        t: once(
            run, f"T = {t}, validation", partial(validate, greedy(SpikingPong(clipped, t)), cfg)
        )
        for t in times[1:]
    }
    run.print(
        f"          validation games: teacher {ann:+.2f}, clipped {limit:+.2f}, "
        + ", ".join(f"T = {t} {v:+.2f}" for t, v in tried.items())
    )
    chosen = min(
        (t for t in tried if tried[t] >= ann - 1.0), default=max(tried, key=lambda t: tried[t])
    )
    agent = SpikingPong(clipped, chosen)
    reward = evaluate(greedy(agent), cfg, run, f"converted, T = {chosen}")
    run.claim(
        "converted",
        f"converted network (trained clipped), T = {chosen}: reward",
        reward["plain"],
        "points",
        ">= 18",
        n=cfg.games,
    )
    run.claim(
        "converted_sticky", "the same with sticky actions", reward["sticky"], "points", n=cfg.games
    )
    run.claim(
        "converted_steps",
        "fewest steps within a point of the teacher, or else the best (validation games)",
        chosen,
        "steps",
        "<= 32",
    )
    for key, name in (
        ("plain", "99 percentile, U[0] = θ/2"),
        ("clipped", "trained clipped, U[0] = θ/2"),
    ):
        same, lost = found[name][times.index(chosen)]
        run.claim(
            f"converted_agree_{key}",
            f"{name}, T = {chosen}: chooses as the teacher",
            same,
            n=len(test.q),
        )
        run.claim(
            f"converted_lost_{key}",
            "mean Q that its choices give away",
            lost,
            "points",
            n=len(test.q),
        )
    run.ledger(**row("converted, IF", agent, see_events(test.grey), reward["plain"], cfg.games))
    run.figure(show.plot_conversion(times, found, tried, ann), "conversion")


def clone(cfg: Config, run: Run) -> None:
    """The converted network trained on at T steps; the second round is on states that it came into by itself."""
    teacher = fetch(run, "teacher")
    seen = rollouts(teacher, cfg.states, STUDENT_SEED)
    agent = SpikingPong(fetch(run, "clipped"), cfg.num_steps)
    before = once(run, "clone, validation before", partial(validate, greedy(agent), cfg))
    two_rounds(agent, teacher, seen, STUDENT_SEED + 100, cfg, run, name="clone")
    keep(agent, run, "clone")
    found = evaluate(greedy(agent), cfg, run, f"cloned, T = {cfg.num_steps}")
    run.claim(
        "clone",
        f"cloned spiking policy, T = {cfg.num_steps}: reward",
        found["plain"],
        "points",
        ">= 15",
        n=cfg.games,
    )
    run.claim(
        "clone_sticky", "the same with sticky actions", found["sticky"], "points", n=cfg.games
    )
    run.claim(
        "clone_before",
        f"the converted network at T = {cfg.num_steps}, before training, validation games",
        before,
        "points",
    )
    after = once(run, "clone, validation after", partial(validate, greedy(agent), cfg))
    run.claim("clone_after", "the same after training", after, "points")
    maps = see_events(rollouts(teacher, cfg.states // 30 + 16, VAL_SEED).grey)
    run.ledger(**row("cloned, IF", agent, maps, found["plain"], cfg.games))
    with torch.no_grad():
        spks = agent.run(constant_current(maps[:25].float() / 255, cfg.num_steps))[0]
    run.figure(show.plot_inside(dict(zip(HIDDEN, spks, strict=True))), "inside")


def spiking_dqn(cfg: Config, run: Run) -> None:
    """Equation (1) for a spiking network from random weights: nothing taken from the teacher."""
    torch.manual_seed(cfg.seed)
    net = PongNet()
    some = see_events(rollouts(net, 256, STUDENT_SEED, noise=1.0).grey)
    agent = SpikingPong(
        balance(net, some), cfg.num_steps
    )  # balanced, or no spike would ever come to the last layer
    log = q_learning(agent, cfg, run, "spiking_dqn", cfg.spiking_steps)
    found = evaluate(
        greedy(SpikingPong(fetch(run, "spiking_dqn"), cfg.num_steps)), cfg, run, "spiking DQN"
    )
    run.claim(
        "spiking_dqn",
        f"spiking DQN, T = {cfg.num_steps}, {log[-1]['decisions']:,.0f} decisions: reward",
        found["plain"],
        "points",
        n=cfg.games,
    )
    run.claim(
        "spiking_dqn_gain",
        "return of its last 20 training games over that of the first ones",
        log[-1]["return"] - log[0]["return"],
        "points",
        ">= 1",
    )
    logs = {
        "spiking DQN": log,
        "teacher": read_csv(run.dir / "teacher.csv", CHECKPOINTS / "pong_teacher.csv"),
    }
    run.figure(show.plot_learning(logs, found), "spiking_learning")


SPARSE = {
    "clone": (None, False),
    "μ = 0.003": (3e-3, False),
    "silent": (0.0, True),
    "silent, μ = 0.001": (1e-3, True),
}  # μ, hidden biases held at or below 0


def sparsify(cfg: Config, run: Run) -> None:
    """Reward against operations per decision: the clone trained on with a price on operations; or with biases that
    let no neuron fire on an empty board, and then a price (each of these goes on from the one before)."""
    teacher, start_from = fetch(run, "teacher"), fetch(run, "clone")
    seen = rollouts(
        teacher, cfg.states, STUDENT_SEED + 200, greedy(SpikingPong(start_from, cfg.num_steps))
    )
    maps = see_events(rollouts(teacher, cfg.states // 30 + 16, VAL_SEED).grey)
    points: list[dict[str, Any]] = []
    for name, (mu, silent) in list(SPARSE.items())[-1 if cfg.smoke else None :]:
        go_on = silent and points and points[-1]["silent"]
        agent = SpikingPong(points[-1]["net"] if go_on else start_from, cfg.num_steps)
        if mu is not None:
            two_rounds(
                agent,
                teacher,
                seen,
                STUDENT_SEED + 300,
                cfg,
                run,
                name=name,
                penalty=mu,
                silent=silent,
            )
            keep(agent, run, f"sparse_{mu:g}{'_silent' if silent else ''}")
        val = once(run, f"{name}: validation", partial(validate, greedy(agent), cfg))
        val_plain = once(
            run, f"{name}: validation without sticky", partial(validate, greedy(agent), cfg, 0.0)
        )
        run.print(
            f"          {name}: validation games {val_plain:+.2f}, with sticky actions {val:+.2f}"
        )
        points.append(
            {
                "name": name,
                "silent": silent,
                "val": val,
                "val_plain": val_plain,
                "net": agent.net,
                "mean": (val + val_plain) / 2,
                "empty": cost(agent, torch.zeros_like(maps[:1]))["synops"],
                **cost(agent, maps),
            }
        )
    chosen = min(
        (p for p in points if p["mean"] >= points[0]["mean"] - 1.0), key=lambda p: p["synops"]
    )
    agent = SpikingPong(keep(chosen["net"], run, "sparse"), cfg.num_steps)
    found = evaluate(greedy(agent), cfg, run, f"sparse ({chosen['name']})")
    show.table_sparsity(run, points)
    run.claim(
        "sparse",
        f"sparse policy, {chosen['name']} (fewest SynOps of those within a point of the clone in all "
        "validation games): reward",
        found["plain"],
        "points",
        n=cfg.games,
    )
    run.claim(
        "sparse_sticky", "the same with sticky actions", found["sticky"], "points", n=cfg.games
    )
    run.claim("sparse_synops", "its SynOps a decision", chosen["synops"], "SynOps")
    saved = [points[0]["synops"] / max(1.0, p["synops"]) for p in points]
    run.claim(
        "sparse_saved",
        "SynOps of the clone over those of the sparse policy",
        saved[points.index(chosen)],
        "×",
    )
    run.claim(
        "clone_empty",
        "SynOps of the clone on an empty board over those in play",
        points[0]["empty"] / max(1.0, points[0]["synops"]),
    )
    priced = max((i for i, p in enumerate(points) if not p["silent"]), default=0)
    run.claim(
        "priced_saved",
        f"SynOps saved by a price alone, {points[priced]['name']}, biases as they were",
        saved[priced],
        "×",
    )
    run.claim("priced", "its reward in the validation games", points[priced]["val_plain"], "points")
    run.ledger(**row("sparse, IF", agent, maps, found["plain"], cfg.games))
    run.figure(show.plot_pareto(points, chosen, found), "pareto")


# ------------------------------------------------------------------------------------ Akida


def keras_twin(net: PongNet, within: float = 0.0) -> Any:
    """``net``, whose activations lie in 0..1, in tf_keras: ``(B, 84, 84, 3)`` uint8 → logits ``(B, 3)``.

    With ``within``, weights after the first layer are cut to so many standard deviations of their output's: two bits
    leave −1, 0 and 1 times a scale that the largest weight sets, so one outlier rounds all others to 0.
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
    return lambda maps: akida_outputs(model, channels_last(maps)).argmax(1)


def load_fbz(run: Run) -> Any:
    """The deployed network of this results folder, or the one that the course ships; its checksum is looked at."""
    mine, ours = run.dir / "akida.fbz", CHECKPOINTS / "pong_akida.fbz"
    path = mine if mine.is_file() else ours
    if not path.is_file():
        raise UserError(
            f"got no akida.fbz in {mine.parent} or {ours.parent}; make it with "
            "'uv run capstone_pong.py quantize'"
        )
    return open_fbz(path)


def round_and_train(
    cfg: Config, run: Run, net: PongNet, bits: tuple[int, int, int], seen: Seen, test: Seen
) -> tuple[dict[str, float], Any]:
    """``net`` at ``bits`` (input weights, weights, activations): what it makes rounded, and trained with rounding;
    and the ``akida.Model`` of the latter."""
    from tf_keras import losses, optimizers

    name = "/".join(map(str, bits))
    path = part_file(run, f"{name}.fbz")

    def work() -> dict[str, float]:
        x, p = channels_last(see_events(seen.grey)), F.softmax(seen.q / cfg.tau, 1).numpy()
        began, names = (
            time.perf_counter(),
            dict(zip(("input_bits", "weight_bits", "activation_bits"), bits, strict=True)),
        )
        twin = keras_twin(net, 0.0 if bits[1] > 2 else 1.2)
        quantised, ptq = quantize_and_convert(twin, x[:1000], **names)
        packages.keras().utils.set_random_seed(cfg.seed)
        passes = cfg.epochs if bits[1] > 2 else 2 * cfg.epochs
        schedule = optimizers.schedules.CosineDecay(5e-4, passes * -(-len(x) // 64))
        quantised.compile(
            optimizers.Adam(schedule),
            losses.CategoricalCrossentropy(from_logits=True),
            run_eagerly=cfg.smoke,
        )
        for k in range(passes):
            with packages.quiet():
                loss = quantised.fit(
                    x, p, batch_size=64, epochs=k + 1, initial_epoch=k, verbose=0
                ).history["loss"][0]
            run.print(
                f"          {name}: pass {k + 1}/{passes}, loss {loss:.4f} ({time.perf_counter() - began:.0f} s)"
            )
        model = convert_quantised(quantised, twin, name)
        x_test = channels_last(see_events(test.grey))
        save_fbz(model, path)
        by_akida = akida_outputs(model, x_test).argmax(1)
        return {
            "ptq": validate(akida_policy(ptq), cfg),
            "agree": (by_akida == keras_outputs(quantised, x_test).argmax(1)).mean(),
            "teacher": (by_akida == test.q.argmax(1).numpy()).mean(),
        }

    return once(run, f"{name} bits", work), open_fbz(path)


def quantize(cfg: Config, run: Run) -> None:
    """Integers of few bits by distillation on the teacher's states, and onto the chip."""
    if missing := packages.missing():
        run.note(
            f"Akida: left out, for {', '.join(missing)} cannot be imported here; {akida_status().reason}."
        )
        return
    teacher = fetch(run, "teacher")
    seen = rollouts(teacher, cfg.states, STUDENT_SEED)
    test = rollouts(teacher, cfg.states // 30 + 16, VAL_SEED)
    maps = see_events(test.grey)
    net = fetch(run, "clipped")
    net.clipped = True
    reference = net(maps.float() / 255).detach().numpy()
    by_keras = keras_outputs(keras_twin(net), channels_last(maps))
    difference = float(np.abs(by_keras - reference).max() / np.abs(reference).max())
    rows, models = {}, {}
    for bits in ((8, 4, 4), (8, 2, 4))[: 1 if cfg.smoke else None]:
        name = "/".join(map(str, bits))
        found, models[name] = round_and_train(cfg, run, net, bits, seen, test)
        rows[name] = found | evaluate(akida_policy(models[name]), cfg, run, f"Akida {name}")
    model = models["8/4/4"]
    path = save_fbz(model, run.dir / "akida.fbz")
    run.print(f"   saved   {path}")
    mapping = map_on_akd1000(model)
    where = akida_status()
    show.tables_akida(run, rows, mapping, where.state)
    run.claim(
        "keras_twin",
        "largest difference of the Keras network from PyTorch's, relative",
        difference,
        "1",
        "<= 1e-4",
        n=len(maps),
    )
    for name, r in rows.items():
        key = name.replace("/", "")
        run.claim(
            f"akida_{key}",
            f"Akida {where.state}, {name} bits, trained with rounding: reward",
            r["plain"],
            "points",
            ">= 15" if name == "8/4/4" else None,
            n=cfg.games,
        )
        run.claim(
            f"akida_{key}_sticky",
            "the same with sticky actions",
            r["sticky"],
            "points",
            n=cfg.games,
        )
    run.claim(
        "akida_agreement",
        "states on which Akida chooses as the quantised Keras network, 8/4/4",
        rows["8/4/4"]["agree"],
        n=len(maps),
    )
    run.claim(
        "akida_software",
        "layers of it that the AKD1000 leaves to software",
        len(mapping.fallbacks),
        "layers",
        "== 0",
    )
    run.claim("akida_nps", "neural processors of 78 that it takes", mapping.nps_used, "NPs")
    run.claim(
        "akida_nps_minimal",
        "as few as possible",
        map_on_akd1000(model, mode="Minimal").nps_used,
        "NPs",
    )
    run.claim("akida_bytes", "size of the .fbz", path.stat().st_size, "bytes")
    run.extra["akida"] = {"state": where.state, "reason": where.reason, **mapping.places()}
    run.figure(show.plot_akida(rows, mapping), "akida")


# ------------------------------------------------------------------------------------ latency


def benchmark(cfg: Config, run: Run) -> None:
    """Time from the frame to the action, by stage, and what a decision costs, for each agent that can run here."""
    teacher, t = fetch(run, "teacher"), cfg.num_steps
    maps = see_events(rollouts(teacher, cfg.states // 30 + 16, VAL_SEED).grey)
    agents: dict[str, nn.Module] = {"teacher, ReLU": teacher}
    for name, file, steps in (
        ("converted", "clipped", CONVERTED),
        ("clone", "clone", t),
        ("sparse", "sparse", t),
    ):
        try:
            agents[f"{name}, T = {steps}"] = SpikingPong(fetch(run, file), steps)
        except UserError as e:
            run.print(f"          {name}: left out; {e}")
    spiking = list(agents)[-1]
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    costs = {name: cost(agent, maps) for name, agent in agents.items()}
    show.table_costs(run, costs)
    repeats, times = (5 if cfg.smoke else 400), {}

    def on(agent: nn.Module, device: str) -> Callable[[torch.Tensor], Any]:
        agent = copy.deepcopy(agent).to(device)

        def values(m: torch.Tensor) -> Any:
            with torch.no_grad():
                return agent(m.to(device).float() / 255).cpu().numpy()

        return values

    for device in devices:
        for name, agent in agents.items():
            times[f"{name}, {device}"] = stages(on(agent, device), repeats, VAL_SEED)
    model, state = None, akida_status().state
    if packages.missing():
        run.note(f"Akida: left out of the latencies; {akida_status().reason}.")
    else:
        try:
            model = load_fbz(run)
        except UserError as e:
            run.print(f"          Akida: left out; {e}")
    if model is not None:
        where = "chip" if state == "hardware" else "simulator on this host"
        times[f"Akida 8/4/4, {where}"] = stages(
            lambda m: akida_outputs(model, channels_last(m)), repeats, VAL_SEED
        )
        if state == "hardware":
            measured = measure_on_chip(model, channels_last(maps))
            run.extra["chip"] = measured
            run.print("\n".join("          " + line for line in describe_measurement(measured)))
        else:
            run.print(f"akida     {akida_status().means}")
            published_tables(run)
    whole = {k: sum(v.values()) for k, v in times.items()}
    show.table_latency(run, times, whole, repeats)
    told = ("teacher, ReLU, cpu", f"{spiking}, cpu", *(k for k in times if k.startswith("Akida")))
    for key, name in zip(
        ("ann", "spiking", "akida"), told, strict=False
    ):  # a simulator's speed is its host's
        run.claim(
            f"latency_{key}_p50",
            f"frame to action, {name}: median",
            np.percentile(whole[name], 50),
            "ms",
        )
        run.claim(
            f"latency_{key}_p95",
            "its 95th percentile",
            np.percentile(whole[name], 95),
            "ms",
            f"<= {BAR_MS:g}",
        )
    run.claim(
        "spiking_energy",
        f"estimated energy of a decision, arithmetic only: {spiking}",
        costs[spiking]["energy_nj"],
        "nJ",
    )
    run.claim(
        "dense_energy",
        "the same for the teacher with nothing skipped",
        estimated_energy_nj(0, costs["teacher, ReLU"]["dense"]),
        "nJ",
    )
    run.figure(show.plot_latency(times, whole), "latency")


def make_agent(cfg: Config, run: Run, name: str) -> tuple[Policy, nn.Module | None]:
    """The policy ``name``, and its network where it is one of PyTorch's."""
    if name == "akida":
        return akida_policy(load_fbz(run)), None
    net = fetch(run, "clipped" if name == "converted" else name)
    agent = (
        net
        if name == "teacher"
        else SpikingPong(net, CONVERTED if name == "converted" else cfg.num_steps)
    )
    return greedy(agent), agent


def play_games(cfg: Config, run: Run) -> None:
    """Let an agent play; keep what it saw and how it fired."""
    policy, agent = make_agent(cfg, run, cfg.agent)
    film: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def watch(env: Pong, maps: torch.Tensor, action: np.ndarray) -> None:
        if len(film) < (20 if cfg.smoke else 240):
            fired = np.zeros((1, 1))
            if isinstance(agent, SpikingPong):
                with torch.no_grad():
                    spks = agent.run(constant_current(maps[:1].float() / 255, agent.num_steps))[0]
                fired = spks[-1][:, 0].numpy()  # (T, 256): the dense hidden layer
            film.append((env.stack[0, -1].copy(), maps[0].numpy(), fired))

    found = evaluate(policy, cfg, run, f"{cfg.agent} at play")
    play(policy, 1, TEST_SEED, 0.0, watch=watch, limit=cfg.limit or 240)
    run.claim(f"play_{cfg.agent}", f"{cfg.agent}: reward", found["plain"], "points", n=cfg.games)
    run.claim(
        f"play_{cfg.agent}_sticky",
        "the same with sticky actions",
        found["sticky"],
        "points",
        n=cfg.games,
    )
    run.figure(show.plot_play(film, cfg.agent), "play")
    if cfg.record is not None:
        run.print(f"   saved   {show.record(film, cfg.record)}")


# ------------------------------------------------------------------------------------ putting it together


DO: dict[str, Callable[[Config, Run], None]] = {
    "train": train,
    "perception": perception,
    "convert": convert,
    "clone": clone,
    "spiking-dqn": spiking_dqn,
    "sparsify": sparsify,
    "quantize": quantize,
    "benchmark": benchmark,
    "play": play_games,
}


def main(cfg: Config, run: Run) -> None:
    run.datasets.append(
        {"name": "ALE/Pong-v5", "stand_in": False, "sizes": {"games an evaluation": cfg.games}}
    )
    todo = (
        list(DO)
        if cfg.command == "all" or cfg.smoke
        else []
        if cfg.command == "report"
        else [cfg.command]
    )
    for name in todo:
        carry_out(run, name, partial(DO[name], cfg, run))
    gather(run, DO, todo)
    parts(run).end()
    if not run.claims:
        raise UserError(
            f"got no measurements in {run.dir}; run another command first, such as 'benchmark'"
        )
    run.extra["analysis"] = show.analysis({c.id: c for c in run.claims})  # --journal writes it down
    run.print(f"\n{run.extra['analysis']}" if cfg.command in ("report", "all") else "")


if __name__ == "__main__":
    start(main, Config, SMOKE, FULL)
