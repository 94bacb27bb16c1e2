"""Capstone A: event maps against the DVS model, the replay against a second one, operations counted twice."""

from __future__ import annotations

import errno
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from akd1000 import packages
from akd1000.convert import channels_last, keras_outputs
from common.cost import ann_macs
from common.io import UserError, save_weights
from common.lesson import begin, parse
from common.run import Run
from eventcam.events import DVS, Pixel
from games import commands
from games.pong import cost as costs
from games.pong import env as pong
from games.pong import files, replay, training
from games.pong import report as pong_report

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import load_script
from hypothesis import given, settings
from hypothesis import strategies as st

m = load_script("capstone_pong")
TINY = {
    "steps": 200,
    "envs": 2,
    "batch_size": 4,
    "every": 20,
    "replay": 1000,
    "games": 1,
    "n_step": 3,
}


def config(out: Path, **other: Any) -> Any:
    return m.Config(**{**m.SMOKE, **TINY, "out_dir": out, "device": "cpu", "smoke": True, **other})


def start(out: Path, **other: Any) -> tuple[Any, Run]:
    cfg = config(out, **other)
    return cfg, begin(cfg, "capstone_pong")


see_places = m.see_places


def made(width: int = 4, hidden: int = 32, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return m.PongNet(width, hidden)


def sparse_maps(n: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 6, (n, 3, 84, 84), generator=g).mul(51) * (
        torch.rand(n, 3, 84, 84, generator=g) < 0.1
    )


def uint8_maps(n: int, seed: int = 0) -> torch.Tensor:
    return sparse_maps(n, seed).to(torch.uint8)


@pytest.fixture(autouse=True, scope="module")
def empty_board() -> None:
    """Looked at in a real game once, before a test puts another game in its place."""
    pong.board()


@pytest.fixture(scope="module")
def game() -> np.ndarray:
    """Stacks ``(n, 4, 84, 84)`` of a short real game, played at random."""
    env, rng, seen = pong.Pong(1, seed=5), np.random.default_rng(0), []
    for _ in range(60):
        seen.append(env.stack[0].copy())
        env.step(rng.integers(0, 3, 1))
    return np.array(seen)


# ------------------------------------------------------------------------------------ what the agents see


def on_minus_off(events: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """ON and OFF events of each pixel."""
    counts = np.zeros((2, *shape), int)
    np.add.at(counts, (1 - events["p"].astype(int), events["y"], events["x"]), 1)
    return counts[0], counts[1]


def test_level_is_how_often_a_dvs_pixel_fires_on_its_way_from_black() -> None:
    sensor, grey = DVS(Pixel.ideal(pong.THETA)), np.arange(256.0).reshape(16, 16)
    sensor.step(np.zeros((16, 16)), 0)
    on, off = on_minus_off(sensor.step(grey, 1000), (16, 16))
    np.testing.assert_array_equal(on.ravel(), pong.LEVEL)
    assert not off.any() and pong.LEVEL[255] > 10


def test_maps_are_the_counts_of_ideal_dvs_pixels(game: np.ndarray) -> None:
    """A pixel of a sensor has a memory, so it may be one event behind or ahead; never two."""
    sensor, shape = DVS(Pixel.ideal(pong.THETA)), (84 - pong.TOP, 84)
    pictures = game[:, -1, pong.TOP :].astype(np.float32)
    sensor.step(np.zeros(shape), 0)
    on, off = on_minus_off(sensor.step(pictures[0], 1000), shape)
    level, moved = on - off, 0
    for i, picture in enumerate(pictures[1:], 1):
        on, off = on_minus_off(sensor.step(picture, 1000 * (i + 1)), shape)
        level += on - off
        place, ours_on, ours_off = (
            pong.see_events(game[i][None])[0, :, pong.TOP :].numpy().astype(int) // pong.STEP
        )
        assert (
            np.abs(ours_on - np.minimum(on, 5)).max() <= 1
            and np.abs(ours_off - np.minimum(off, 5)).max() <= 1
        )
        theirs = np.abs(level - pong.board()[pong.TOP :].numpy().astype(int))
        assert np.abs(place - np.minimum(theirs, 5)).max() <= 1
        moved += (ours_on > 1).sum() + (ours_off > 1).sum()
    assert moved > 50, "nothing moved: the comparison would prove nothing"


@pytest.mark.parametrize("seed", range(3))
def test_place_is_the_sum_of_all_events_since_the_board_was_empty(seed: int) -> None:
    board = pong.board().numpy().astype(int)
    rng, total = np.random.default_rng(seed), np.zeros_like(board)
    low = -np.minimum(board, 2)
    before = board
    for _ in range(10):
        now = board + rng.integers(low, 3)
        maps = (
            pong.events(*(torch.from_numpy(x.astype(np.uint8))[None] for x in (before, now)))[0]
            .numpy()
            .astype(int)
        )
        assert not (maps % pong.STEP).any()
        place, on, off = maps // pong.STEP
        assert not (on * off).any(), "a pixel became both brighter and darker"
        total += on - off
        np.testing.assert_array_equal(place, np.abs(total))
        before = now


def test_the_maps_on_the_page_are_those_that_the_agents_see(game: np.ndarray) -> None:
    for stack in game[::7]:
        np.testing.assert_array_equal(m.three_maps(stack), pong.see_events(stack[None])[0].numpy())


def test_more_than_five_events_fill_a_byte() -> None:
    board = pong.board()
    maps = pong.events(torch.zeros_like(board)[None], board[None])[0]
    assert maps.dtype == torch.uint8 and maps.max() == 255
    assert not maps[0].any(), "the board itself is no event"
    np.testing.assert_array_equal((maps[1] == 255).numpy(), board.numpy() >= 5)


def test_eyes(game: np.ndarray) -> None:
    assert [
        tuple(see(game[:2]).shape) for see in (pong.see_events, pong.see_frames, pong.see_deltas)
    ] == [(2, 3, 84, 84)] * 3
    frames, deltas = pong.see_frames(game).int(), pong.see_deltas(game).int()
    torch.testing.assert_close(deltas[:, 0], frames[:, 2])
    torch.testing.assert_close(deltas[:, 1] - deltas[:, 2], frames[:, 2] - frames[:, 1])
    assert not pong.see_places(game)[:, 1:].any()
    assert not pong.see_events(game)[..., : pong.TOP, :].any(), "the score"


def first_pictures_are_still(stack: np.ndarray) -> None:
    assert not pong.see_events(stack)[:, 1:].any(), "a game begins with a flash of ON events"
    assert stack.reshape(*stack.shape[:2], -1).any(-1).all(), "a game begins with black pictures"


def test_a_game_begins_without_a_flash() -> None:
    """The emulator leaves the pictures before the first one black; a replay joins a first picture with itself, and
    what an agent sees when it plays has to be the same."""
    env = pong.Pong(2, seed=0)
    first_pictures_are_still(env.stack)
    for _ in range(5):
        env.step(np.array([0, 1]))
        assert env.stack.reshape(2, 4, -1).any(-1).all()


def test_a_game_restarts_without_a_flash_and_the_restart_is_told() -> None:
    env, sums, ended = pong.Pong(1, seed=0), 0.0, np.array([False])
    for _ in range(3000):
        reward, ended, restarted = env.step(np.array([0]))
        assert not restarted
        sums += reward[0]
        if ended[0]:
            break
    assert ended[0] and sums == -21, "who stays loses every rally"
    reward, ended, restarted = env.step(np.array([1]))
    assert restarted[0] and not ended[0] and reward[0] == 0
    first_pictures_are_still(env.stack)
    assert not env.step(np.array([1]))[2].any()


# ------------------------------------------------------------------------------------ on a GPU, and in threads


def as_on_a_gpu(patch: pytest.MonkeyPatch) -> None:
    """Pictures become tensors, as for a GPU; here they stay in the host's memory."""
    patch.setattr(pong, "sent", lambda grey, device: torch.from_numpy(grey.copy()))


def test_tensors_are_seen_as_arrays_are(game: np.ndarray) -> None:
    there = torch.from_numpy(game)
    for see in (pong.see_events, pong.see_places, pong.see_frames, pong.see_deltas):
        assert torch.equal(see(there), see(game))
    assert torch.equal(pong.to_level(there), torch.from_numpy(pong.to_level(game)))
    assert torch.equal(there, torch.from_numpy(game)), "the pictures themselves were changed"


def test_states_and_games_of_a_gpu_are_those_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = made()

    def twice() -> tuple[Any, list[float], list[bool]]:
        seen, kinds = m.rollouts(teacher, 45, 5), []

        def eyes(grey: Any) -> torch.Tensor:
            kinds.append(isinstance(grey, torch.Tensor))
            return pong.see_events(grey)

        films: list[int] = []

        def watch(env: Any, maps: torch.Tensor, action: np.ndarray) -> None:
            films.extend(action.tolist())

        pong.play(m.greedy(teacher), 2, 7, 0.25, eyes, watch, limit=20)
        return seen, films, kinds

    host, acted, kinds = twice()
    as_on_a_gpu(monkeypatch)
    there, acted_there, kinds_there = twice()
    assert isinstance(host.grey, np.ndarray) and isinstance(there.grey, torch.Tensor)
    assert not any(kinds) and all(kinds_there), "maps are made where the policy is"
    np.testing.assert_array_equal(host.grey, there.grey.numpy())
    assert torch.equal(host.q, there.q) and acted == acted_there
    assert host.games == there.games == 2 and len(host.grey) == 45
    both = there + there
    assert isinstance(both.grey, torch.Tensor) and len(both.grey) == len(both.q) == 90


def test_threads_change_nothing_and_an_emulator_is_used_again() -> None:
    """Three games, alone in a thread or side by side; the last film comes from an emulator that has played before."""
    threads = torch.get_num_threads()

    def film(n_threads: int) -> np.ndarray:
        torch.set_num_threads(n_threads)
        world, rng = pong.Pong(3, 11, 0.25), np.random.default_rng(0)
        for _ in range(30):
            world.step(rng.integers(0, 3, 3))
        return world.stack

    pong.IDLE.clear()
    try:
        alone, together = film(1), film(3)
        assert sorted(pong.IDLE) == [(3, 0.25, 1), (3, 0.25, 3)]
        again = film(3)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(alone, again)
    assert [len(envs) for envs in pong.IDLE.values()] == [1, 1]
    world = pong.Pong(3, 11, 0.25)
    world.send(np.zeros(3, int))
    del world
    assert sum(map(len, pong.IDLE.values())) == 1 + (threads > 1), "it was still at work"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_what_the_host_draws(game: np.ndarray, tmp_path: Path) -> None:
    drawn = []
    level = torch.from_numpy(pong.to_level(game[:, -1]))
    for device in ("cpu", "cuda"):
        memory, no = replay.Replay(60, 2, 3, device), np.zeros(2, bool)
        for i in range(30):
            memory.add(level[2 * i : 2 * i + 2].to(device), no, no + i % 3, no + (i == 9), no)
        b = memory.draw(32, 3, 0.9)
        maps = [pong.events(*b[k]) for k in ("s", "s2")]
        drawn.append([x.cpu() for x in (*maps, b["a"], b["r"], b["go"])])
    assert all(torch.equal(x, y) for x, y in zip(*drawn, strict=True))


def test_a_training_by_the_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two minutes, 100 s in one call and the rest in the next; decisions come at different speeds."""
    now = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(training, "keep", lambda *_: None)
    _, run = start(tmp_path)
    net = torch.nn.Linear(1, 1)
    parts = {"net": net, "target": net, "optimizer": torch.optim.Adam(net.parameters())}

    def diary(resume: bool) -> Any:
        return training.Diary(run, "teacher", {}, 10_000_000, resume, 2.0, **parts)

    d, logs, tests = diary(False), [], []
    for second in range(4, 101, 4):
        now[0] = float(second)
        d.made(200_000)
        assert d.share == pytest.approx(max(second / 120, d.done / 1e7)) and not d.over
        if d.log_due:
            logs.append(second)
            if d.test_due:
                tests.append(second)
            d.write(0.0, 1.0 if d.test_due else None)
    assert len(logs) == 25, "every 150th of two minutes has passed each time"
    assert tests == [20, 40, 60, 80, 100], "each sixth"
    now[0] = 1000.0
    d = diary(True)
    assert d.share == pytest.approx(100 / 120)
    now[0] = 1019.0
    d.made(32)
    assert not d.over and not d.log_due, "too few decisions for a line"
    now[0] = 1020.0
    d.made(32)
    assert d.over and d.share == 1 and d.log_due and d.test_due


def test_environments_differ_in_how_much_they_leave_to_chance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A trained network: its own action all but always, from 0.1 to 0.001 of chance; an untrained one: chance alone."""
    acted: list[np.ndarray] = []

    class Spy:
        def __init__(self, num: int, seed: int, sticky: float) -> None:
            self.num = num

        def level_on(self, device: Any) -> torch.Tensor:
            return torch.zeros(self.num, 84, 84, dtype=torch.uint8)

        def send(self, action: np.ndarray) -> None:
            acted.append(action)

        def receive(self) -> tuple[np.ndarray, ...]:
            no = np.zeros(self.num, bool)
            return no.astype(np.float32), no, no

    monkeypatch.setattr(m, "Pong", Spy)
    monkeypatch.setattr(m, "play", lambda *_, **__: np.zeros(1))
    cfg, run = start(tmp_path, envs=20, replay=1000, every=1000, warm=True, batch_size=2)
    m.q_learning(Table(0.0, 0.0, 1.0), cfg, run, "teacher", 20_000)
    by_chance = 1.5 * (np.array(acted) != 2).mean(0)  # two of three chances are another action
    assert by_chance[:3].mean() == pytest.approx(0.08, abs=0.02) and by_chance[-5:].max() < 0.01
    assert 0.004 < by_chance[9:11].mean() < 0.018


@pytest.mark.parametrize(
    ("steps", "replay"), [(60_000, 200_000), (1_500_000, 200_000), (10_000_000, 1_000_000)]
)
def test_chance_rules_until_learning_begins(steps: int, replay: int) -> None:
    begins = m.first_lesson(replay, steps)
    assert m.exploration(begins, steps, replay, False) == 1.0
    falls = min(80_000, 0.2 * steps)
    assert m.exploration(int(begins + falls / 2), steps, replay, False) == pytest.approx(0.505)
    assert m.exploration(int(begins + falls), steps, replay, False) == pytest.approx(0.01)
    assert begins + falls <= 0.3 * steps, "most decisions are its own"
    assert m.exploration(0, steps, replay, True) == 0.01


def test_a_spiking_dqn_begins_by_chance_even_beside_a_warm_teacher(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[bool] = []

    def exploration(done: int, steps: int, replay: int, warm: bool) -> float:
        told.append(warm)
        return 1.0

    monkeypatch.setattr(m, "exploration", exploration)
    monkeypatch.setattr(m, "play", lambda *_, **__: np.zeros(1))
    cfg, run = start(tmp_path, warm=True, every=1000)
    for name in ("teacher", "spiking_dqn"):
        m.q_learning(m.PongNet(4, 32), cfg, run, name, 4)
    assert told == [True, True, False, False]


# ------------------------------------------------------------------------------------ the replay


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(8, 14),
    st.integers(0, 40),
    st.integers(1, 3),
    st.integers(0, 2**16),
    st.sampled_from([1.0, 0.9, 0.5]),
)
def test_replay_against_a_second_one(
    n: int, rows: int, more: int, envs: int, seed: int, gamma: float
) -> None:
    """``more`` rows beyond the first overwrite the ring. The second one keeps everything and goes step by step."""
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "SIZE", 2)
        memory = replay.Replay(rows * envs + envs - 1, envs, seed)
    assert memory.rows == rows
    held, history = memory.bytes, []
    restarted, first = np.zeros(envs, bool), np.ones(envs, bool)
    for t in range(n + 3 + more):
        level = np.empty((envs, 2, 2), np.uint8)
        level[:, 0, 0], level[:, 0, 1], level[:, 1] = (
            t,
            np.arange(envs),
            rng.integers(0, 255, (envs, 2)),
        )
        reward = rng.choice([0.0, 0.0, 0.0, 1.0, -1.0], envs).astype(np.float32) * ~restarted
        ended = (rng.random(envs) < 0.15) & (reward != 0)
        ended |= rng.random(envs) < 0.05  # cut by a time limit, without a point
        action = rng.integers(0, 3, envs)
        memory.add(torch.from_numpy(level), first, action, reward, restarted)
        history.append((level, first, action, reward, restarted))
        first, restarted = restarted, ended
    now = len(history)

    def into_the_next_game(t: int, e: int) -> bool:
        for k in range(n):
            if history[t + k][3][e]:
                return False
            if history[t + k + 1][4][e]:
                return True
        return False

    whole = [
        (t, e)
        for t in range(max(1, now - rows + 1), now - n)
        for e in range(envs)
        if not history[t][4][e] and not into_the_next_game(t, e)
    ]
    if not whole:
        return
    b = memory.draw(400, n, gamma)
    drawn = set()
    for i in range(400):
        t, e = int(b["s"][1][i, 0, 0]), int(b["s"][1][i, 0, 1])
        if (t, e) in drawn:
            continue
        drawn.add((t, e))
        assert not history[t][4][e], "a restart was drawn"
        total, go = 0.0, gamma**n
        for k in range(n):
            total += gamma**k * float(history[t + k][3][e])
            if history[t + k][3][e]:
                go = 0.0
                break
        assert b["r"][i].item() == pytest.approx(total, abs=1e-6) and b["go"][
            i
        ].item() == pytest.approx(go, abs=1e-6)
        assert b["a"][i] == history[t][2][e]
        for key, at in (("s", t), ("s2", t + n)):
            before = at if history[at][1][e] else at - 1
            assert before > now - rows - 1, "overwritten already"
            np.testing.assert_array_equal(b[key][0][i], history[before][0][e])
            np.testing.assert_array_equal(b[key][1][i], history[at][0][e])
    assert drawn == set(whole), "some transitions are never drawn"
    assert memory.bytes == held


# ------------------------------------------------------------------------------------ the network, as ReLU and as IF


def test_step_is_run_and_forget_forgets() -> None:
    x = sparse_maps(3).float() / 255
    agent = m.SpikingPong(m.balance(made(), sparse_maps(8, 1)), 6)
    with torch.no_grad():
        spks, out = agent.run(m.constant_current(x, 6))
        agent.forget()
        steps = torch.stack([agent.step(x)[1] for _ in range(6)])
        going_on = agent.step(x)[1]
        agent.forget()
        again = agent.step(x)[1]
    assert all(0 < s.mean() < 1 and set(s.unique().tolist()) == {0.0, 1.0} for s in spks), (
        "a silent layer"
    )
    torch.testing.assert_close(steps, out, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(agent(x), out.mean(0))
    torch.testing.assert_close(again, steps[0])
    assert not torch.allclose(going_on, steps[0]), "the last decision is still in the membranes"


def test_written_out_input_is_the_same_as_a_held_one() -> None:
    x, agent = sparse_maps(2).float() / 255, m.SpikingPong(m.balance(made(), sparse_maps(8, 1)), 4)
    with torch.no_grad():
        a, b = agent.run(m.constant_current(x, 4))[1], agent.run(x.repeat(4, 1, 1, 1, 1))[1]
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_balance_keeps_q_and_brings_activations_to_one() -> None:
    net, maps = made(), sparse_maps(12)
    x = maps.float() / 255
    with torch.no_grad():
        q = net(x)
        for percentile in (100.0, 99.0):
            balanced = m.balance(net, maps, percentile)
            assert (balanced(x) - q).abs().max() <= 1e-5 * q.abs().max()
            for a in balanced.activations(x):
                assert a.min() >= 0
                if percentile == 100:
                    assert a.max().item() == pytest.approx(1, rel=1e-5)
                else:
                    assert a.max() > 1.01 and (a > 1 + 1e-5).float().mean() <= 0.011
        torch.testing.assert_close(net(x), q)  # the network that was given is left alone


def test_converted_network_comes_nearer_with_more_steps() -> None:
    net, maps = made(), sparse_maps(4)
    with torch.no_grad():
        q = net(maps.float() / 255)
        balanced = m.balance(net, maps, 100.0)
        far, near = (
            (m.SpikingPong(balanced, t)(maps.float() / 255) - q).abs().max() for t in (4, 128)
        )
    assert near < far / 5 and near < 0.05 * q.abs().max()


def test_a_dead_layer_does_not_divide_by_zero() -> None:
    net = made()
    with torch.no_grad():
        net.conv2.bias.fill_(-100.0)
    assert all(p.isfinite().all() for p in m.balance(net, sparse_maps(2)).parameters())


def test_sharpen_keeps_the_order_of_actions() -> None:
    net, x = made(), sparse_maps(4).float() / 255
    with torch.no_grad():
        torch.testing.assert_close(m.sharpen(net, 0.02)(x), net(x) / 0.02)


# ------------------------------------------------------------------------------------ operations


def counting(net: Any) -> Any:
    """The same network with all weights one and no bias: its currents count the inputs that reach each output."""
    net = m.copy.deepcopy(net)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.fill_(float(name.endswith("weight")))
    return net


SHAPES = {
    "conv1": (3, 84, 84),
    "conv2": (4, 28, 28),
    "conv3": (8, 14, 14),
    "fc1": (8, 7, 7),
    "fc2": (32,),
}


@pytest.mark.parametrize("name", SHAPES)
def test_reach_is_the_number_of_outputs_that_a_position_goes_to(name: str) -> None:
    x = torch.zeros(1, *SHAPES[name], requires_grad=True)
    (reads,) = torch.autograd.grad(counting(made()).current(name, x).sum(), x)
    expected = costs.reach(name, 4, 32)
    if name.startswith("conv"):
        assert expected.shape == SHAPES[name][1:]
    torch.testing.assert_close(reads[0], expected.expand(SHAPES[name]))


def test_operations_by_convolving_where_something_is() -> None:
    net, g = made(), torch.Generator().manual_seed(3)
    inputs = [
        (torch.rand(2, *shape, generator=g) < 0.05) * torch.rand(2, *shape, generator=g)
        for shape in SHAPES.values()
    ]
    for x in inputs[:4]:
        x[..., 0, 0] = x[..., -1, -1] = 0.5  # corners, where fewer outputs are reached
    ones = counting(net)
    with torch.no_grad():
        expected = [
            ones.current(name, (x != 0).float()).sum()
            for name, x in zip(SHAPES, inputs, strict=True)
        ]
    for got, want in zip(m.operations(net, inputs), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_operations_of_spikes_over_time_have_a_gradient() -> None:
    """The penalty of equation (3): ∂SynOps/∂spike is what the spike reaches."""
    spk = (
        (torch.rand(3, 2, 4, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.1)
        .float()
        .requires_grad_()
    )
    rest = [torch.zeros(2, *s) for s in SHAPES.values()]
    ops = m.operations(made(), [rest[0], spk, *rest[2:]])[1]
    (grad,) = torch.autograd.grad(ops, spk)
    torch.testing.assert_close(grad, costs.reach("conv2", 4, 32).expand_as(spk))
    assert ops.item() == pytest.approx(
        m.operations(made(), [rest[0], spk.detach(), *rest[2:]])[1].item()
    )


@pytest.mark.parametrize(("width", "hidden"), [(16, 256), (8, 128), (4, 32)])
def test_dense_macs(width: int, hidden: int) -> None:
    net = m.PongNet(width, hidden)
    assert costs.dense_macs(net) == ann_macs(net, torch.zeros(1, 3, 84, 84))


def test_synops_on_the_page_are_those_of_the_price_and_of_the_table() -> None:
    agent, maps = m.SpikingPong(m.balance(made(), sparse_maps(8, 1)), 3), uint8_maps(4)
    counted = m.cost(agent, maps)["synops"]
    assert m.synops(agent, maps) == pytest.approx(counted, rel=1e-5) and counted > 1000
    assert m.cost(agent, maps)["updates"] == 3 * (4 * 28**2 + 8 * 14**2 + 8 * 7**2 + 32)
    assert m.cost(agent.net, maps)["updates"] == 0


def test_cost_counts_a_decision() -> None:
    net, maps = m.balance(made(), sparse_maps(8, 1)), uint8_maps(4)
    ann, snn = m.cost(net, maps), m.cost(m.SpikingPong(net, 3), maps)
    assert ann["inputs"] == snn["inputs"] == (maps != 0).sum().item() / 4
    assert ann["by_layer"][0] == snn["by_layer"][0] == snn["macs"], (
        "the maps are shown T times, and multiplied once"
    )
    assert ann["macs"] == pytest.approx(sum(ann["by_layer"])) and ann["macs"] < ann[
        "dense"
    ] == costs.dense_macs(net)
    hidden = m.SpikingPong(net, 3).run(m.constant_current(maps.float() / 255, 3))[0]
    assert snn["spikes"] == pytest.approx(sum(h.sum().item() for h in hidden) / 4)
    assert snn["synops"] == pytest.approx(sum(snn["by_layer"][1:])) and 0 < snn["energy_nj"]
    one_by_one = [m.cost(m.SpikingPong(net, 3), maps[i : i + 1])["synops"] for i in range(4)]
    assert snn["synops"] == pytest.approx(np.mean(one_by_one), rel=1e-5)


def test_keras_twin_is_the_same_network() -> None:
    try:
        packages.keras()
    except UserError as e:
        pytest.skip(f"no TensorFlow here: {e}")
    net, maps = m.balance(made(), uint8_maps(8, 1), 95.0), uint8_maps(4)
    net.clipped = True
    with torch.no_grad():
        want = net(maps.float() / 255)
        uncut = m.balance(made(), uint8_maps(8, 1), 95.0)(maps.float() / 255)
    got = torch.from_numpy(keras_outputs(m.keras_twin(net), channels_last(maps)))
    assert (got - want).abs().max() <= 1e-4 * want.abs().max()
    assert not torch.allclose(want, uncut), "clipping cuts nothing off: it would not be compared"


def test_outliers_do_not_set_the_scale_of_two_bits() -> None:
    """One weight ten times the others': uncut it is the scale, and all others of its output round to 0."""
    try:
        packages.keras()
    except UserError as e:
        pytest.skip(f"no TensorFlow here: {e}")
    net = made()
    with torch.no_grad():
        net.fc1.weight[:, 0] = 10 * net.fc1.weight.std()
        sd = net.fc1.weight.std(1)
    first, before = net.conv1.weight.detach().clone(), net.fc1.weight.detach().clone()
    cut = m.keras_twin(net, 1.2).get_layer("fc1").get_weights()[0]  # (inputs, outputs)
    assert np.allclose(np.abs(cut).max(0), 1.2 * sd.numpy(), rtol=1e-5)
    assert torch.equal(net.fc1.weight, before), "the network itself was cut"
    kept = m.keras_twin(net, 1.2).get_layer("conv1").get_weights()[0]
    assert np.allclose(kept, first.permute(2, 3, 1, 0).numpy())
    whole = lambda w: np.mean(np.abs(np.round(w / np.abs(w).max(0))) > 0)  # noqa: E731  (−1, 0, 1 times the largest)
    assert whole(cut) > 10 * whole(m.keras_twin(net).get_layer("fc1").get_weights()[0])


# ------------------------------------------------------------------------------------ games


class Scripted:
    """Two games: one of three decisions and 2 points lost, whose next game would win; one of six and 1 point won."""

    def __init__(self, num: int, seed: int, sticky: float = 0.0) -> None:
        assert num == 2
        self.stack, self.t = np.zeros((2, 4, 84, 84), np.uint8), 0

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        assert action.shape == (2,)
        self.t += 1
        reward = np.array(
            [[-1, 0], [0, 0], [-1, 0], [0, 1], [5, 0], [5, 0]][self.t - 1], np.float32
        )
        return reward, np.array([self.t in (3, 6), self.t == 6]), np.array([self.t == 4, False])


def test_only_the_first_game_of_a_seed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pong, "Pong", Scripted)
    asked = []

    def policy(maps: torch.Tensor) -> np.ndarray:
        asked.append(len(maps))
        return np.zeros(len(maps), int)

    assert pong.play(policy, 2, 0, 0.0).tolist() == [-2, 1]
    assert asked == [2, 2, 2, 1, 1, 1], "a game that is over is no longer asked"
    assert pong.play(policy, 2, 0, 0.0, limit=4).tolist() == [-2, 1]
    assert pong.play(policy, 2, 0, 0.0, limit=1).tolist() == [-1, 0]


def test_points_are_told_as_they_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pong, "Pong", Scripted)
    heard: list[str] = []
    run = SimpleNamespace(print=lambda text: heard.append(text.strip()))

    def stay(maps: torch.Tensor) -> np.ndarray:
        return np.zeros(len(maps), int)

    pong.play(stay, 2, 0, 0.0, hear=pong_report.scoreboard(run))
    assert heard == [
        "game 1, decision 1: 1 : 0",
        "game 1, decision 3: 2 : 0",
        "game 1 ends -2 after 3 decisions; 1 of 2 games, mean -2.0",
        "game 2 ends +1 after 6 decisions; 2 of 2 games, mean -0.5",
    ]


def test_a_policy_with_a_memory_is_asked_about_all_games(monkeypatch: pytest.MonkeyPatch) -> None:
    """Membranes of game 2 must not move into the place of game 1 when that one is over."""
    monkeypatch.setattr(pong, "Pong", Scripted)
    asked = []

    class Policy:
        memory = True

        def __call__(self, maps: torch.Tensor) -> np.ndarray:
            asked.append(len(maps))
            return np.zeros(len(maps), int)

    assert pong.play(Policy(), 2, 0, 0.0).tolist() == [-2, 1] and asked == [2] * 6


def test_the_same_game_twice_is_one_game() -> None:
    """Games 0 and 2 show the same until they end; what the emulator shows after an end is another game's."""
    films = [[1, 2, 3, 9], [1, 2, 4, 9], [1, 2, 3, 8]]
    ended = [[False] * 3, [False] * 3, [False] * 3, [True] * 3]
    kinds = pong.Different()
    for k in range(4):
        stack = np.array([np.full((4, 84, 84), film[k], np.uint8) for film in films])
        env = SimpleNamespace(stack=stack, ended=np.array(ended[k]))
        kinds.watch(env, None, None)
    assert kinds.first_ones() == [0, 1]


def test_same_seed_same_points_and_the_limit_stops() -> None:
    def films(seed: int, sticky: float) -> tuple[list[float], np.ndarray]:
        film = []
        policy = lambda maps: maps.flatten(1).sum(1).numpy() // pong.STEP % 3  # noqa: E731  (as good as any: it depends on the maps)
        points = pong.play(
            policy,
            2,
            seed,
            sticky,
            limit=120,
            watch=lambda env, maps, action: film.append((env.stack[:, -1].copy(), action.copy())),
        )
        assert len(film) == 120
        return points.tolist(), np.array([f for f, _ in film])

    for sticky in (0.0, 0.25):
        (a, seen_a), (b, seen_b) = films(3, sticky), films(3, sticky)
        assert a == b and -5 < sum(a) < 0
        np.testing.assert_array_equal(seen_a, seen_b)
    assert not np.array_equal(seen_a, films(3, 0.0)[1]), "sticky actions change nothing"
    np.testing.assert_array_equal(
        seen_a[0, 1], pong.Pong(1, 4).stack[0, -1]
    )  # the second game has the next seed


def test_missing_atari_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pong.Pong(1, 0)  # the package itself stays whole for the tests after this one
    monkeypatch.setitem(sys.modules, "ale_py.vector_env", None)
    with pytest.raises(UserError, match="Atari games are missing.*uv sync"):
        pong.Pong(1, 0)


def test_seeds_of_training_validation_test_and_students_do_not_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    class Spy(pong.Pong):
        def __init__(self, num: int, seed: int, sticky: float = 0.0) -> None:
            used.extend(range(seed, seed + num))
            super().__init__(num, seed, sticky)

    def taken() -> set[int]:
        seeds = set(used)
        used.clear()
        return seeds

    monkeypatch.setattr(pong, "Pong", Spy)
    monkeypatch.setattr(m, "Pong", Spy)
    pong.board()  # may play, once
    taken()
    monkeypatch.setattr(m, "play", lambda *_, **__: np.zeros(1))
    cfg, run = start(tmp_path, every=1000)
    m.q_learning(m.PongNet(), cfg, run, "teacher", 8)
    assert taken() == {0, 1}
    monkeypatch.undo()

    # those that are worked out: rounds of the clone, and of the policies that keep their membranes or not
    offsets = {"TEST": {0}, "VAL": {0}, "STUDENT": {0, 600, 2100, 2200}}
    source = Path(m.__file__).read_text(encoding="utf-8")
    for name, more in re.findall(r"(TEST|VAL|STUDENT)_SEED(?: \+ (\d+))?(?= *[,)])", source):
        offsets[name].add(int(more or 0))
    assert offsets["TEST"] == offsets["VAL"] == {0}
    assert offsets["STUDENT"] == {0, 500, 600, 1000, 1500, 2000, 2100, 2200}
    at_once = replace(cfg, envs=int(m.Config.limits()["envs"][1])).players
    assert at_once == 100 and m.Config().players == 16
    games = {
        "training": set(range(m.Config.limits()["envs"][1])),
        "TEST": set(range(m.TEST_SEED, m.TEST_SEED + int(m.Config.limits()["games"][1]))),
        "VAL": {m.VAL_SEED + i for i in range(max(16, m.VAL_GAMES))},
        "STUDENT": {m.STUDENT_SEED + o + i for o in offsets["STUDENT"] for i in range(at_once)},
    }
    assert sum(map(len, games.values())) == len(set.union(*games.values()))
    assert len(games["STUDENT"]) == at_once * len(offsets["STUDENT"]), "two rounds share games"

    for first in (
        m.TEST_SEED,
        m.VAL_SEED,
        m.STUDENT_SEED - 3,
    ):  # --seed must not lead training into them
        with pytest.raises(UserError, match="--seed"):
            parse(m.Config, ["--seed", str(first)], m.SMOKE, m.FULL, "capstone_pong.py")


# ------------------------------------------------------------------------------------ Q-learning, cut and resumed


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the validation games bring, one after the other."""
    coming = [5.0, 3.0, 7.0]
    monkeypatch.setattr(m, "play", lambda *_, **__: np.array([coming.pop(0)]))
    return coming


def weights(run: Run, name: str = "teacher") -> dict[str, torch.Tensor]:
    return m.fetch(run, name).state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


class Table(torch.nn.Module):
    """Q-values that do not depend on what is seen."""

    def __init__(self, *q: float) -> None:
        super().__init__()
        self.q = torch.nn.Parameter(torch.tensor(q))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.q.expand(len(x), 3)


def test_targets_of_double_q_learning_by_hand() -> None:
    """The network prefers action 2, the slow copy action 0; the copy values action 2 at 0.3. One return goes on with
    γⁿ = 0.9 after a reward of 0.1, the other one ended with a point."""
    empty = pong.board()[None].repeat(2, 1, 1)
    b = {"s": (empty, empty), "s2": (empty, empty), "a": torch.tensor([1, 2])}
    b |= {"r": torch.tensor([0.1, -1.0]), "go": torch.tensor([0.9, 0.0])}
    loss, y = m.td_loss(Table(0.0, 0.2, 0.5), Table(0.8, 0.1, 0.3), b)
    assert y.tolist() == pytest.approx([0.1 + 0.9 * 0.3, -1.0])
    huber = [0.5 * (0.2 - 0.37) ** 2, 1.5 - 0.5]  # the second error is larger than 1
    assert loss.item() == pytest.approx(np.mean(huber))


def test_a_cut_training_goes_on_where_it_was(
    tmp_path: Path, scores: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    cfg, run = start(tmp_path)
    torch.manual_seed(0)
    first = m.q_learning(m.PongNet(), cfg, run, "teacher", 200)
    saved, kept = replay.read_state(run.dir / "teacher.pt"), weights(run)
    assert first[-1]["decisions"] == saved["done"] == 200 and saved["best"] == 5.0
    made_steps = next(iter(saved["optimizer"]["state"].values()))["step"].item()
    assert made_steps > 0

    fresh = m.PongNet()  # nothing left to do: weights and log are those of the checkpoint
    assert m.q_learning(fresh, replace(cfg, resume=True), run, "teacher", 200) == first
    assert same(fresh.state_dict(), saved["net"])

    capsys.readouterr()
    second = m.q_learning(m.PongNet(), replace(cfg, resume=True), run, "teacher", 800)
    assert "resume    at decision 200 of 800" in capsys.readouterr().out
    assert second[: len(first)] == first and second[-1]["decisions"] == 800
    assert second[-1]["seconds"] >= first[-1]["seconds"]
    again = replay.read_state(run.dir / "teacher.pt")
    assert next(iter(again["optimizer"]["state"].values()))["step"].item() > made_steps
    assert not same(again["net"], saved["net"]), "it did not go on learning"
    assert again["best"] == 5.0 and same(weights(run), kept), (
        "3 points are no reason to give up the weights of 5"
    )
    assert [r["decisions"] for r in m.read_csv(run.dir / "teacher.csv")] == [200, 800]

    m.q_learning(m.PongNet(), replace(cfg, resume=True), run, "teacher", 1000)  # 7 points
    assert not same(weights(run), kept)

    scores.append(0.0)
    third = m.q_learning(m.PongNet(), cfg, run, "teacher", 40)
    assert [r["decisions"] for r in third] == [40], "without --resume it starts anew"


def test_another_training_is_not_gone_on_with(tmp_path: Path, scores: list[float]) -> None:
    cfg, run = start(tmp_path)
    m.q_learning(m.PongNet(), cfg, run, "teacher", 200)
    path = run.dir / "teacher.pt"
    whole = path.read_bytes()
    other = replace(cfg, resume=True, lr=1e-5, n_step=4)
    with pytest.raises(UserError, match=r"of another training: n_step is 3 there, 4 here; lr"):
        m.q_learning(m.PongNet(), other, run, "teacher", 400)
    with pytest.raises(UserError, match=r"network is PongNet there, SpikingPong here"):
        m.q_learning(m.SpikingPong(m.PongNet(), 2), replace(cfg, resume=True), run, "teacher", 400)
    with pytest.raises(UserError, match=r"is damaged .*RuntimeError.*without --resume"):
        m.q_learning(m.PongNet(hidden=64), replace(cfg, resume=True), run, "teacher", 400)
    for at in np.linspace(0, len(whole) - 1, 12).astype(int):  # one bit flipped
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UserError, match=r"is damaged"):
            replay.read_state(path)


def test_a_damaged_log_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "teacher.csv"
    for content in (b"decisions,val\n1,\xff\n", b"decisions,val\n1,many\n", b"a\n1,2,3\n"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"teacher\.csv is damaged"):
            m.read_csv(path)


def test_a_spiking_network_is_trained_and_resumed_as_well(
    tmp_path: Path, scores: list[float]
) -> None:
    cfg, run = start(tmp_path)
    agent = m.SpikingPong(m.balance(m.PongNet(), uint8_maps(4)), 2)
    before = m.copy.deepcopy(agent.net.state_dict())
    m.q_learning(agent, cfg, run, "spiking_dqn", 200)
    assert not same(agent.net.state_dict(), before)
    other = m.SpikingPong(m.PongNet(), 2)
    m.q_learning(other, replace(cfg, resume=True), run, "spiking_dqn", 200)
    assert same(other.net.state_dict(), agent.net.state_dict())
    assert weights(run, "spiking_dqn").keys() == m.PongNet().state_dict().keys()


@pytest.mark.parametrize("content", ["cut", "empty", "of something else"])
def test_damaged_checkpoint(tmp_path: Path, content: str) -> None:
    cfg, run = start(tmp_path, resume=True)
    path = run.dir / "teacher.pt"
    torch.save({"net": {}} if content == "of something else" else {"net": torch.zeros(5000)}, path)
    if content != "of something else":
        path.write_bytes(path.read_bytes()[: 3000 if content == "cut" else 0])
    with pytest.raises(UserError, match=r"teacher\.pt.*without --resume"):
        m.q_learning(m.PongNet(), cfg, run, "teacher", 400)


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 50 kB, as on a disk that is full: the system itself says no."""
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_keeps_the_last_good_checkpoint(
    tmp_path: Path, scores: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, run = start(tmp_path)
    m.q_learning(m.PongNet(), cfg, run, "teacher", 200)
    files = sorted(p.name for p in run.dir.iterdir())
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(UserError, match=r"cannot write .*teacher\.(pt|csv).*Free the disk"):
        m.q_learning(m.PongNet(), replace(cfg, resume=True), run, "teacher", 400)
    assert replay.read_state(run.dir / "teacher.pt")["done"] == 200
    assert sorted(p.name for p in run.dir.iterdir()) == files, "half a file was left behind"


def test_real_full_disk(
    tmp_path: Path, scores: list[float], request: pytest.FixtureRequest
) -> None:
    """PyTorch and safetensors have errors of their own for it."""
    cfg, run = start(tmp_path)
    m.q_learning(m.PongNet(), cfg, run, "teacher", 200)
    kept = weights(run)
    request.getfixturevalue("small_files")
    scores[:] = [1.0, 9.0]
    for _ in range(2):  # without and with better weights to keep
        with pytest.raises(UserError, match=r"cannot write .*teacher.*Free the disk"):
            m.q_learning(m.PongNet(), replace(cfg, resume=True), run, "teacher", 400)
        assert replay.read_state(run.dir / "teacher.pt")["done"] == 200
        assert same(weights(run), kept)
    assert not list(run.dir.glob("*.tmp")), "half a file was left behind"


@pytest.mark.parametrize(
    "change", [{"envs": 256, "replay": 1000}, {"n_step": 50, "envs": 64, "replay": 1000}]
)
def test_a_replay_that_holds_no_return_is_refused(change: dict[str, int]) -> None:
    flags = [x for k, v in change.items() for x in (f"--{k.replace('_', '-')}", str(v))]
    with pytest.raises(UserError, match="--replay"):
        parse(m.Config, flags, m.SMOKE, m.FULL, "capstone_pong.py")


def test_learning_waits_for_the_first_whole_return(tmp_path: Path, scores: list[float]) -> None:
    cfg, run = start(tmp_path, n_step=50, every=2)
    assert (
        m.q_learning(m.PongNet(), cfg, run, "teacher", 60)[-1]["decisions"] == 60
    )  # fewer steps than n


# ------------------------------------------------------------------------------------ weights


@pytest.mark.parametrize("name", ["teacher", "clone", "sparse", "spiking_dqn", "temporal"])
def test_missing_weights_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(files, "CHECKPOINTS", tmp_path / "nothing")
    _, run = start(tmp_path)
    with pytest.raises(UserError, match=f"no weights '{name}'") as caught:
        m.fetch(run, name)
    command = re.search(r"uv run capstone_pong.py ([\w-]+)", str(caught.value))
    assert command and command[1] in m.COMMANDS
    if name == "teacher":
        with pytest.raises(UserError, match="quantize"):
            files.find(run, "akida")


def test_wrong_or_damaged_weights(tmp_path: Path) -> None:
    _, run = start(tmp_path)
    save_weights(m.PongNet(8, 128), run.dir / "teacher.safetensors")
    assert m.fetch(run, "teacher").conv1.out_channels == 8, "the file says how wide its network is"
    save_weights(torch.nn.Linear(2, 2), run.dir / "teacher.safetensors")
    with pytest.raises(
        UserError, match=r"teacher\.safetensors is damaged or holds another network"
    ):
        m.fetch(run, "teacher")
    (run.dir / "teacher.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(UserError, match=r"teacher\.safetensors is damaged"):
        m.fetch(run, "teacher")


def test_whose_weights_are_taken_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trial's teacher never silently takes the place of the course's."""
    cfg, run = start(tmp_path)
    save_weights(m.PongNet(), run.dir / "teacher.safetensors")
    assert files.find(run, "teacher").parent == run.dir
    assert "your own (--shipped takes the course's)" in capsys.readouterr().out
    run.cfg = replace(cfg, shipped=True)
    assert files.find(run, "teacher").parent == files.CHECKPOINTS
    assert "the course's" in capsys.readouterr().out


def test_games_count_for_the_weights_that_played_them(tmp_path: Path) -> None:
    _, run = start(tmp_path)
    path = save_weights(m.PongNet(), run.dir / "teacher.safetensors")
    assert files.played(run, "teacher", path) is None
    files.keep_games(run, "teacher", path, {"sticky": 3.0})
    files.keep_games(run, "sparse", path, {"sticky": 1.0})
    assert files.played(run, "teacher", path)["sticky"] == 3
    files.note_games(run, "teacher", {"sticky": 4.0})
    assert files.played(run, "teacher", path)["sticky"] == 4
    save_weights(m.PongNet(), path)
    assert files.played(run, "teacher", path) is None, "other weights, and the old games"
    (run.dir / files.GAMES).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"pong_games\.json is damaged"):
        files.played(run, "teacher", path)


def test_what_is_kept_is_what_is_measured(tmp_path: Path) -> None:
    """16 bits in the file, and the network goes on with what they hold."""
    _, run = start(tmp_path)
    agent = m.SpikingPong(m.PongNet(), 2)
    exact = m.copy.deepcopy(agent.net.state_dict())
    m.keep(agent, run, "clone")
    assert same(weights(run, "clone"), agent.net.state_dict()) and not same(
        exact, agent.net.state_dict()
    )
    assert (run.dir / "clone.safetensors").stat().st_size < 2.1 * sum(
        p.numel() for p in agent.net.parameters()
    )
    assert next(agent.net.parameters()).dtype == torch.float32


# ------------------------------------------------------------------------------------ distillation


def test_rollouts_label_what_the_actor_comes_through() -> None:
    teacher, asked = made(), []

    def actor(maps: torch.Tensor) -> np.ndarray:
        asked.append(tuple(maps.shape))
        return np.ones(len(maps), int)

    seen = m.rollouts(teacher, 40, m.STUDENT_SEED, actor)
    assert seen.grey.shape == (40, 3, 84, 84) and asked == [(2, 3, 84, 84)] * 20
    with torch.no_grad():
        torch.testing.assert_close(seen.q, teacher(m.see_events(seen.grey).float() / 255))
    both = seen + seen
    assert both.grey.shape[0] == len(both.q) == 80
    np.testing.assert_array_equal(both.grey[40:], seen.grey)


def test_distillation_lowers_the_loss_and_the_penalty_lowers_synops(tmp_path: Path) -> None:
    cfg, run = start(tmp_path, tau=0.1)
    maps = uint8_maps(96)
    with torch.no_grad():
        q = made(seed=5)(maps.float() / 255)
        q = 0.2 * (q - q.mean(0)) / q.std(0)
    begin_with = m.sharpen(m.balance(made(), maps), 0.1)

    def loss(net: Any) -> float:
        with torch.no_grad():
            return (
                -(F.softmax(q / 0.1, 1) * F.log_softmax(net(maps.float() / 255), 1))
                .sum(1)
                .mean()
                .item()
            )

    free, priced = m.SpikingPong(begin_with, 2), m.SpikingPong(begin_with, 2)
    before, cost = loss(free), m.cost(free, maps)["synops"]
    m.distil(free, maps, q, cfg, run, name="free", lr=1e-3, epochs=4)
    m.distil(priced, maps, q, cfg, run, name="priced", lr=1e-3, epochs=4, penalty=0.3)
    assert loss(free) < 0.95 * before
    assert m.cost(priced, maps)["synops"] < 0.95 * min(cost, m.cost(free, maps)["synops"])
    relu = made()
    before = loss(relu)
    m.distil(relu, maps, q, cfg, run, name="ReLU", lr=1e-3, epochs=4)
    assert loss(relu) < before and not relu.training


def test_without_input_a_hushed_network_is_silent(tmp_path: Path) -> None:
    """Any positive bias makes an IF neuron fire on an empty board; the projection holds after every step."""
    cfg, run = start(tmp_path, tau=0.1)
    maps, empty = uint8_maps(64), torch.zeros(1, 3, 84, 84, dtype=torch.uint8)
    with torch.no_grad():
        q = made(seed=5)(maps.float() / 255)
    agent = m.SpikingPong(m.balance(made(), maps), 4)
    assert m.cost(agent, empty)["synops"] > 1000
    biases = [getattr(agent.net, name).bias.clone() for name in m.HIDDEN]
    last = agent.net.fc2.bias.clone()
    m.distil(agent, maps, q, cfg, run, name="silent", lr=1e-2, epochs=2, silent=True)
    assert m.cost(agent, empty)["synops"] == 0 < m.cost(agent, maps)["synops"]
    for name, before in zip(m.HIDDEN, biases, strict=True):
        assert getattr(agent.net, name).bias.max() <= 0 and not torch.equal(
            getattr(agent.net, name).bias, before
        )
    assert not torch.equal(agent.net.fc2.bias, last), "the output is free: it makes no spikes"


def test_the_shipped_sparse_policy_is_silent_on_an_empty_board_and_the_clone_is_not() -> None:
    empty = torch.zeros(1, 3, 84, 84, dtype=torch.uint8)
    clone, sparse = (
        m.SpikingPong(
            m.load_weights(m.PongNet(), files.CHECKPOINTS / f"pong_{name}.safetensors"), 4
        )
        for name in ("clone", "sparse")
    )
    assert m.cost(sparse, empty)["synops"] == 0 and m.cost(clone, empty)["synops"] == pytest.approx(
        300_492, abs=50
    )


# ------------------------------------------------------------------------------------ what a cut leaves


class Cut(BaseException):
    """What no ``except Exception`` catches, like Ctrl-C."""


def carried_out(out: Path, name: str, games: int | None = None, **other: Any) -> Run:
    """Command ``name``, cut when game ``games`` begins (None: not at all)."""
    cfg, run = start(out, command=name, **other)
    begun, play = [], m.play

    def counted(*a: Any, **k: Any) -> Any:
        begun.append(1)
        if games is not None and len(begun) > games:
            raise Cut
        return play(*a, **k)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(m, "play", counted)
        patch.setattr(costs, "latency", lambda *_: (0.0, 0.0))  # slow, and told elsewhere
        patch.setattr(run, "figure", lambda *_, **__: None)
        commands.carry_out(run, name, lambda: m.SECTIONS[name].run(cfg, run))
    return run


def left_by(run: Run, name: str) -> list[tuple[str, float]]:
    saved = json.loads((run.dir / "commands" / f"{name}.json").read_text(encoding="utf-8"))
    return [(c["id"], c["value"]) for c in saved["claims"]]


@pytest.mark.parametrize(("name", "games"), [("clone", 2), ("quantize", 1)])
def test_a_cut_command_loses_only_the_part_at_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, games: int
) -> None:
    if name == "quantize":
        pytest.importorskip("akida", reason="needs akida")
    with pytest.raises(Cut):
        carried_out(tmp_path / "cut", name, games)
    passes = capsys.readouterr().out.count("pass 1/")
    assert passes
    if name == "quantize":
        (part,) = (tmp_path / "cut").rglob("unfinished/quantize/*.fbz")
        whole_file = part.read_bytes()
        part.write_bytes(whole_file[:1000])
        with pytest.raises(UserError, match="differs from its checksum"):
            carried_out(tmp_path / "cut", name, resume=True)
        part.write_bytes(whole_file)
    run = carried_out(tmp_path / "cut", name, resume=True)
    out = capsys.readouterr().out
    assert "taken over" in out and "pass 1/" not in out, "it trained once more"
    assert (run.dir / "commands" / "unfinished" / name).is_dir()
    commands.parts(run).end()
    assert not (run.dir / "commands" / "unfinished" / name).exists()
    if name != "quantize":  # takes too long a second time
        whole = carried_out(tmp_path / "whole", name)
        assert capsys.readouterr().out.count("pass 1/") == passes
        assert left_by(run, name) == left_by(whole, name)


def in_parts(out: Path, names: tuple[str, ...], done: list[str], **other: Any) -> list[Any]:
    """One call with these parts, each of which gives its name's length; the part 'cut' is never reached."""
    _, run = start(out, **other)

    def work(name: str) -> Any:
        done.append(name)
        if name == "cut":
            raise Cut
        return (len(name), {1: torch.tensor(2.0)})

    return [commands.once(run, name, lambda name=name: work(name)) for name in names]


def test_parts_are_taken_over_once_and_in_any_order(tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.raises(Cut):
        in_parts(tmp_path, ("a", "bb", "cut"), done)
    assert in_parts(tmp_path, ("bb", "c", "a"), done, resume=True) == [
        [2, {"1": 2.0}],
        [1, {"1": 2.0}],
        [1, {"1": 2.0}],
    ]
    assert done == ["a", "bb", "cut", "c"]
    with pytest.raises(ValueError, match="'a' already"):
        in_parts(tmp_path, ("a", "a"), done, resume=True)
    in_parts(tmp_path, ("a",), done, resume=True)
    assert done[4:] == [], "still there after a second cut"
    in_parts(tmp_path, ("a",), done)
    assert done[4:] == ["a"], "without --resume a call starts afresh"
    in_parts(tmp_path, ("bb",), done, resume=True)
    assert done[5:] == ["bb"]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"num_steps": 3}, False),
        ({"seed": 1}, False),
        ({"show": True}, True),
        ({"command": "clone"}, False),
    ],
)
def test_parts_of_other_settings_are_not_taken_over(
    tmp_path: Path, change: dict[str, Any], same: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []
    in_parts(tmp_path, ("a",), done, num_steps=2)
    in_parts(tmp_path, ("a",), done, resume=True, **{"num_steps": 2, **change})
    assert done == (["a"] if same else ["a", "a"])
    if not same and "command" not in change:  # another command has parts of its own
        assert f"another {next(iter(change))}" in capsys.readouterr().out
    in_parts(tmp_path, ("a",), done, resume=True, num_steps=2)
    assert len(done) == (1 if same else 2 if "command" in change else 3)


def test_damaged_parts_are_one_clear_line(tmp_path: Path) -> None:
    in_parts(tmp_path, ("a",), [])
    (path,) = tmp_path.rglob("parts.json")
    for content in ("{", "[]", '{"settings": 3, "parts": {}}'):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=r"parts\.json is damaged .* without --resume"):
            in_parts(tmp_path, ("a",), [], resume=True)
    in_parts(tmp_path, ("a",), [])
    in_parts(tmp_path, ("a",), [], resume=True)


def test_all_resumed_goes_on_with_the_command_that_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def command(name: str) -> Any:
        def do(cfg: Any, run: Run) -> None:
            done.append(name)
            if done.count("convert") == 1 and name == "convert":
                raise Cut
            run.claim(f"{name}_x", name, 1.0)

        return do

    names = ("train", "convert", "clone")
    sections = {name: SimpleNamespace(run=command(name), number=1) for name in names}
    monkeypatch.setattr(m, "SECTIONS", sections)
    monkeypatch.setattr(m, "play_games", lambda cfg, run: None)
    cfg, run = start(tmp_path, command="all")
    with pytest.raises(Cut):
        m.main(cfg, run)
    cfg, run = start(tmp_path, command="all", resume=True)
    m.main(cfg, run)
    assert done == ["train", "convert", "convert", "clone"]
    assert [c.id for c in run.claims] == ["train_x", "convert_x", "clone_x"]
    cfg, run = start(tmp_path, command="all", resume=True)
    m.main(cfg, run)
    assert done[4:] == ["train", "convert", "clone"], (
        "nothing was left over of a call that came to its end"
    )


# ------------------------------------------------------------------------------------ what the commands leave


def test_commands_files_are_merged_in_order(tmp_path: Path) -> None:
    """Measured in any order, on any day; the newest of each command counts."""
    for name, value in (("benchmark", 1.0), ("train", 2.0), ("clone", 3.0), ("train", 4.0)):
        _, run = start(tmp_path)
        run.claim(f"{name}_x", name, value, n=3)
        run.table(f"table of {name}", ("a",), [(1,)])
        run.ledger(model=name, accuracy=value)
        commands.remember(run, name, 1.0)
        assert not run.claims and not run.ledger_rows and not run.extra, (
            "the next command starts afresh"
        )
    commands.gather(run, m.SECTIONS, ["train"])
    assert [(c.id, c.value) for c in run.claims] == [
        ("train_x", 4.0),
        ("clone_x", 3.0),
        ("benchmark_x", 1.0),
    ]
    assert [r["model"] for r in run.ledger_rows] == ["train", "clone", "benchmark"]
    *tables, spent = run.extra["tables"]
    assert [t["title"] for t in tables] == [
        "table of train",
        "table of clone",
        "table of benchmark",
    ]
    assert [r[-1] for r in spent["rows"]] == ["now", "before", "before"]
    assert run.finish().is_file()


def test_notes_of_commands_run_on_different_days_all_stay(tmp_path: Path) -> None:
    for name in ("quantize", "benchmark"):
        _, run = start(tmp_path)
        run.note(f"said by {name}.")
        commands.remember(run, name, 1.0)
    commands.gather(run, m.SECTIONS, ["benchmark"])
    assert (
        run.extra["note"].count("said by quantize.")
        == run.extra["note"].count("said by benchmark.")
        == 1
    )


def test_a_damaged_file_of_a_command_is_one_clear_line(tmp_path: Path) -> None:
    _, run = start(tmp_path)
    (run.dir / "commands").mkdir()
    (run.dir / "commands" / "train.json").write_text('{"claims": [', encoding="utf-8")
    with pytest.raises(UserError, match=r"train\.json"):
        commands.gather(run, m.SECTIONS, ["clone"])


def test_write_up_says_only_what_was_measured(tmp_path: Path) -> None:
    _, run = start(tmp_path)
    for id, value in (
        ("teacher", 20.5),
        ("teacher_plain", 21.0),
        ("teacher_decisions", 5e5),
        ("clone", 3.0),
    ):
        run.claim(id, id, value)
    text = pong_report.analysis({c.id: c for c in run.claims})
    assert (
        "+20.50 points in ALE/Pong-v5 after 500,000 decisions, +21.00 without" in text
        and "Cloned" not in text
        and "Akida" not in text
    )
    run.claims[-1] = replace(run.claims[-1], met=False)
    assert "Missed: clone" in pong_report.analysis({c.id: c for c in run.claims})


def test_write_up_names_claims_that_commands_make() -> None:
    source, report = (Path(mod.__file__).read_text(encoding="utf-8") for mod in (m, pong_report))
    body = report[report.index("def analysis(") :]
    named = set(re.findall(r'"([a-z][a-z0-9_]+)"', body)) - {"claims"}
    claimed = set(re.findall(r'\.claim\(\s*f?"([^"]+)"', source))
    claimed |= {"akida_844", "akida_824"}  # by a variable
    patterns = [re.sub(r"\\\{\w+\\\}", r"\\w+", re.escape(c)) for c in claimed]
    unknown = {n for n in named if not any(re.fullmatch(p, n) for p in patterns)}
    assert len(named) > 20 and not unknown


@pytest.mark.parametrize("fired", [(4, 40), (1, 1)], ids=["spiking", "teacher"])
def test_film_is_a_readable_gif(tmp_path: Path, game: np.ndarray, fired: tuple[int, int]) -> None:
    from PIL import Image, ImageSequence

    rng = np.random.default_rng(0)

    def spikes():
        if fired == (1, 1):
            return np.zeros((1, 1))
        return (rng.random(fired) < 0.3).astype(np.float32)

    film = [(s[-1], pong.see_events(s[None])[0].numpy(), spikes()) for s in game[30:38]]
    path = pong_report.record(film, tmp_path / "new" / "film.gif")
    with Image.open(path) as gif:
        assert gif.format == "GIF" and gif.info["loop"] == 0
        frames = [np.asarray(f.convert("L")) for f in ImageSequence.Iterator(gif)]
    assert 2 <= len(frames) <= 8 and len({f.shape for f in frames}) == 1
    assert all(f.std() > 10 for f in frames) and not np.array_equal(frames[0], frames[-1])
    if fired != (1, 1):
        dark = [(f[20:272, 524:] < 128).sum() for f in frames]
        assert len(frames) == 8 and dark[-1] > 4 * dark[0] > 0, "the raster grows as spikes come in"


def test_the_sentence_of_the_benchmark_names_what_was_played() -> None:
    games = {
        "teacher": {"sticky": 11.0, "error": 1.5},
        "sparse": {"sticky": 8.0, "error": 2.0},
    }
    costs_ = {"sparse": {"synops": 80_646.0}}
    said = pong_report.sentence_of_benchmark(games, costs_)
    assert "+8.0 ± 2.0 points" in said and "80,646 operations" in said and "+11.0 ± 1.5" in said
    assert "difference is -8.0 to +2.0" in said, "3 points fewer, give or take 2.00 · 2.5 (t of 58)"
    assert "has not played yet" in pong_report.sentence_of_benchmark({}, costs_)
    means = {name: {"sticky": g["sticky"]} for name, g in games.items()}
    said = pong_report.sentence_of_benchmark(means, costs_)
    assert "±" not in said and "were not kept" in said


@pytest.mark.parametrize(
    ("gap", "said"),
    [(6.0, "plays better"), (-6.0, "plays worse"), (4.0, "is not shown"), (-4.0, "is not shown")],
)
def test_who_plays_better_is_said_by_an_interval(gap: float, said: str) -> None:
    one, other = {"sticky": gap, "error": 2.0}, {"sticky": 0.0, "error": 1.5}
    found = pong_report.compared("a", one, "b", other)
    assert said in found and f"{abs(gap):.1f} ± 5.0 points a game" in found
    assert (" fewer than b" in found) == (gap < 0)
    assert "may be chance" in pong_report.compared("a", {"sticky": gap}, "b", other)
    games = {"sparse": one, "teacher": other}
    assert f"{gap:+.1f} ± 5.0 points" in pong_report.title_of_games(games)
    title = pong_report.title_of_games({**games, "sparse": {"sticky": gap}})
    assert "no order is established" in title and "best" not in title


def test_the_figure_of_games_has_a_dot_for_each_game_and_none_for_a_mean() -> None:
    games = {"a": {"sticky": 1.0, "error": 1.0, "sticky_points": [0.0, 2.0], "games": 2}}
    games["b"] = {"sticky": 5.0, "games": 30}
    fig = pong_report.plot_benchmark(games, {"a": {"energy_nj": 1000.0}}, targets={"a": 16.0})
    dots = [line for line in fig.axes[0].lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in dots] == [2, 0]
    assert "games not kept" in fig.axes[0].get_xlabel()
    (target,) = fig.axes[0].collections[-1].get_segments()
    assert target[:, 1].tolist() == [16, 16], "the line of a's target"
    title = fig.axes[1].get_title("left") or fig.axes[1].get_title()  # where the style puts it
    assert "not priced: b" in title


def test_bars_of_the_latency_end_at_the_mean_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    times = {"a": {"see": rng.exponential(3, 99), "decide": rng.exponential(9, 99)}}
    whole = {"a": sum(times["a"].values())}
    (ax,) = pong_report.plot_latency(times, whole).axes
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(whole["a"].mean())
    p50, p95, target = (line.get_xdata()[0] for line in ax.lines)
    assert (p50, p95) == tuple(np.percentile(whole["a"], (50, 95))) and target == 5
    assert "0 of 1" in ax.figure.get_suptitle() and "1 of 1" in (
        pong_report.plot_latency(times, {"a": 0.01 * whole["a"]}).get_suptitle()
    )


def test_policies_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host becomes ten times slower with each call: that meets all policies, not the last one alone."""
    calls: list[tuple[str, int, int]] = []

    def stages(policy: str, repeats: int, seed: int) -> dict[str, np.ndarray]:
        calls.append((policy, repeats, seed))
        return {"policy": np.full(repeats, 10.0 ** len(calls))}

    monkeypatch.setattr(pong, "stages", stages)
    found = pong.stages_in_turn({"a": "A", "b": "B"}, 6, 40, rounds=2)
    assert calls == [("A", 3, 40), ("B", 3, 40), ("A", 3, 41), ("B", 3, 41)]
    assert found["a"]["policy"].tolist() == [10, 10, 10, 1000, 1000, 1000]
    assert found["b"]["policy"].tolist() == [100, 100, 100, 10_000, 10_000, 10_000]


class Page:
    """A run that keeps what is printed, on one line."""

    def __init__(self) -> None:
        self.text = ""

    def print(self, text: str) -> None:
        self.text += f"{' '.join(text.split())} "

    def table(self, title: str, columns: Any, rows: Any) -> None:
        self.text += f"{title}: {rows} "


def stage_times(frame: float, perception: float, policy: float) -> dict[str, np.ndarray]:
    stages = {"frame": frame, "perception": perception, "policy": policy, "action": 0.0}
    return {k: np.full(100, ms) for k, ms in stages.items()}


def test_fewer_operations_need_not_be_less_time() -> None:
    costs_ = {
        "teacher": {"energy_nj": 2000.0, "updates": 0},
        "sparse": {"energy_nj": 100.0, "synops": 8e4, "updates": 1000},
        "clone": {"energy_nj": 400.0, "synops": 4e5, "updates": 1000},
    }
    assert pong_report.priced_with_updates(costs_["sparse"]) == pytest.approx(100.9), "0.9 pJ each"
    times = {
        "teacher": stage_times(4, 1, 3),
        "sparse, T = 4, cpu": stage_times(4, 1, 12),
        "sparse, T = 4, cuda": stage_times(4, 1, 1),
        "clone, T = 4": stage_times(4.4, 1, 11),
    }
    said = pong_report.sentence_of_speed(costs_, times)
    assert "20.0 times less energy" in said and "4.0 times as long (12.0 against 3.0 ms)" in said
    assert "a factor of 19.8 if updates" in said
    assert "5.0 times the operations and takes 11.0 ms, -8 %" in said
    assert "differs by 10 %. So no time is seen to be saved" in said
    times["clone, T = 4"] = stage_times(4.4, 1, 15)
    assert (
        "+25 %; the emulator's work, the same for both, differs by 10 %, which explains no such"
        in (pong_report.sentence_of_speed(costs_, times))
    )
    quick = {"teacher": stage_times(4, 1, 3), "sparse, T = 4": stage_times(4, 1, 1.5)}
    dear = {"teacher": {"energy_nj": 50.0, "updates": 0}, "sparse": costs_["sparse"]}
    said = pong_report.sentence_of_speed(dear, quick)
    assert "2.0 times more energy" in said and "2.0 times less time" in said
    assert "saved by spikes" not in said and "clone" not in said


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ((4.5, 5.0), "no agent can meet the target of 5 ms"),
        ((2.0, 3.0), "leaves a policy about 1.0 of the 5 ms"),
        ((2.0, 5.0), "In some rows that alone is more"),
    ],
)
def test_what_the_target_leaves_to_a_policy(frames: tuple[float, float], said: str) -> None:
    page = Page()
    times = {"a": stage_times(frames[0], 1, 7), "b": stage_times(frames[1], 1, 9)}
    pong_report.say_before_policies(page, times)
    assert said in page.text and "a: 7.0; b: 9.0" in page.text
    assert f"{frames[0] + 1:.1f} to {frames[1] + 1:.1f} ms on average" in page.text


def test_games_that_are_not_sticky_are_told_by_who_has_counted_them(tmp_path: Path) -> None:
    assert (
        pong_report.plain_of({"plain": 12.0, "different": 18, "error": 1.0}) == "+12.0 (18 games)"
    )
    assert pong_report.plain_of({"plain_then": 20.2}) == "+20.2 (old)"
    assert pong_report.plain_of({}) == "not kept"
    assert pong_report.plain_of({"error": 1.0}) == "not played"
    weights = files.CHECKPOINTS / "pong_teacher.safetensors"
    _, run = start(tmp_path)
    assert files.played(run, "teacher", weights)["plain_then"] == 20.2
    sticky = {"sticky": 1.0, "error": 1.0}
    files.keep_games(run, "teacher", weights, sticky)
    assert files.played(run, "teacher", weights)["plain_then"] == 20.2, "not sticky: not yet played"
    files.keep_games(run, "teacher", weights, sticky | {"plain": 2.0, "different": 9})
    assert "plain_then" not in files.played(run, "teacher", weights)


def test_the_first_form_is_explained_where_it_is_named() -> None:
    for whose, told in (("the course's, first form", True), ("your own", False)):
        page = Page()
        pong_report.table_rewards(page, {}, {"teacher": (whose, "games")})
        assert page.text.startswith("First form: an earlier version") == told


def test_where_agents_come_from_is_told_by_their_weights(tmp_path: Path) -> None:
    whose, learnt = files.origin(files.CHECKPOINTS / "pong_teacher.safetensors")
    assert whose == "the course's, first form" and "half sticky" in learnt
    own = save_weights(m.PongNet(4, 32), tmp_path / "teacher.safetensors")
    assert files.origin(own)[0] == "your own"


def test_points_of_other_steps_are_not_shown_for_these(tmp_path: Path) -> None:
    cfg, run = start(tmp_path, num_steps=8)
    path = files.find(run, "clone")
    assert files.played(run, "clone", path)["num_steps"] == 4
    assert (m.steps_of(cfg, run, "clone"), m.steps_of(cfg, run, "akida")) == (8, 1)
    assert m.steps_of(cfg, run, "converted") == m.CONVERTED
    save_weights(m.PongNet(4, 32), run.dir / "clipped.safetensors")
    files.note_games(run, "converted", {"sticky": 1.0, "num_steps": 16})
    assert m.steps_of(cfg, run, "converted") == 16, "as many as section 2 has chosen"


def test_headline_keeps_capitals() -> None:
    log = [{"decisions": 1000, "return": -21.0, "q": 0.0, "val": -20.0}]
    fig = pong_report.plot_learning({"spiking DQN": log}, {"plain": 1.0, "sticky": 0.0})
    assert "Spiking DQN" in fig.get_suptitle()


def test_cost_in_parts_is_the_cost_of_all() -> None:
    agent, maps = m.SpikingPong(made(), 2), uint8_maps(130)
    a, b = m.cost(agent, maps[:100]), m.cost(agent, maps[100:])
    whole = m.cost(agent, maps)
    assert whole["synops"] == pytest.approx((100 * a["synops"] + 30 * b["synops"]) / 130)
    assert whole["by_layer"] == pytest.approx(
        [(100 * x + 30 * y) / 130 for x, y in zip(a["by_layer"], b["by_layer"], strict=True)]
    )
    assert whole["dense"] == a["dense"]


# ------------------------------------------------------------------ what is published


REWARD = {"plain": 12.0, "different": 18, "sticky": 11.0, "error": 1.0}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A run whose games, networks and files are stubs; ``bench(command)`` gives that command's claims by id."""
    maps = torch.zeros(4, 3, 84, 84, dtype=torch.uint8)
    q = torch.tensor([[3.0, 1, 0], [0, 2, 1], [0, 1, 5], [4, 0, 0]])  # the teacher's: 0, 1, 2, 0
    stubs = {
        "fetch": lambda run, name, net=None: made(),
        "rollouts": lambda *_, **__: m.Seen(maps.numpy(), q, 2),
        "see_events": lambda grey: maps[: len(grey)],
        "keep": lambda net, run, name: net,
        "note_games": lambda *_: None,
        "rounds": lambda *_, **__: None,
        "row": lambda model, agent, maps, reward, n: {
            "model": model,
            "data": "x",
            "accuracy": reward,
            "n": n,
        },
        "evaluate": lambda policy, cfg, run, name, eyes=None: dict(REWARD),
        "show": MagicMock(),
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(m, name, stub)

    def claims(command: str, **settings: Any) -> Any:
        cfg, run = start(tmp_path, command=command, games=30, **settings)
        monkeypatch.setattr(run, "figure", lambda *_, **__: None)
        commands.carry_out(run, command, lambda: m.SECTIONS[command].run(cfg, run))
        saved = json.loads((run.dir / "commands" / f"{command}.json").read_text(encoding="utf-8"))
        assert all(row["n"] == 30 and row["accuracy"] == 11 for row in saved["ledger"])
        return {c["id"]: c["value"] for c in saved["claims"]}

    return claims


def fake_play(asked: list[tuple[int, int, float]], cut_at: int = -1) -> Any:
    """Sticky games bring 10 and 14 points in turn; without stickiness 20, 22, 22, …, of which the 22s are one game."""

    def play(policy: Any, games: int, seed: int, sticky: float, *more: Any) -> Any:
        if len(asked) == cut_at:
            raise Cut
        asked.append((games, seed, sticky))
        which = np.arange(games) + seed - m.TEST_SEED
        shown = np.where(which == 0, 1, 2).astype(np.uint8)
        stack = shown[:, None, None, None].repeat(84, 2)
        more[1](SimpleNamespace(stack=stack, ended=np.zeros(games, bool)), None, None)
        if sticky:
            return np.where(which % 2, 14.0, 10.0)
        return np.where(which == 0, 20.0, 22.0)

    return play


PARTS = [(10, m.TEST_SEED + first, sticky) for sticky in (0.25, 0.0) for first in (0, 10, 20)]


def test_rewards_are_those_of_the_test_games(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Thirty games each way, ten at a time, from seeds that follow one another."""
    asked: list[tuple[int, int, float]] = []
    monkeypatch.setattr(m, "play", fake_play(asked))
    cfg, run = start(tmp_path, games=30)
    found = {}
    commands.carry_out(run, "play", lambda: found.update(m.evaluate(None, cfg, run, "x")))
    assert asked == PARTS
    assert (found["plain"], found["different"], found["sticky"]) == (21, 2, 12)
    assert found["sticky_points"].tolist() == [10.0, 14.0] * 15 and found["games"] == 30
    assert found["error"] == pytest.approx(2 * (30 / 29) ** 0.5 / 30**0.5), "from n − 1, over √n"


def test_play_goes_on_after_a_cut_and_the_benchmark_reads_each_game(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``play --resume`` plays only what the call before has not finished, and notes the points of every game."""
    monkeypatch.setattr(m, "make_agent", lambda cfg, run, name: (None, None))
    monkeypatch.setattr(m, "show", MagicMock())

    def call(cut_at: int, resume: bool) -> tuple[list[tuple[int, int, float]], Run]:
        asked: list[tuple[int, int, float]] = []
        monkeypatch.setattr(m, "play", fake_play(asked, cut_at))
        cfg, run = start(tmp_path, command="play", agent="sparse", games=30, resume=resume)
        monkeypatch.setattr(run, "figure", lambda *_, **__: None)
        original = m.play

        def play(*a: Any, **k: Any) -> Any:
            return np.zeros(1) if "watch" in k else original(*a, **k)  # the film

        monkeypatch.setattr(m, "play", play)
        commands.carry_out(run, "play", lambda: m.play_games(cfg, run))
        return asked, run

    with pytest.raises(Cut):
        call(4, False)
    noted = json.loads(next(tmp_path.rglob(files.GAMES)).read_text(encoding="utf-8"))["sparse"]
    assert len(noted["sticky_points"]) == 30 and "plain" not in noted, "noted before the cut"
    asked, run = call(-1, True)
    assert asked == PARTS[4:], "games that were finished are not played again"
    assert (
        "plain_points" in json.loads((run.dir / files.GAMES).read_text(encoding="utf-8"))["sparse"]
    )
    found = files.played(run, "sparse", files.find(run, "sparse"))
    assert found["sticky_points"] == [10.0, 14.0] * 15 and found["sticky"] == 12
    assert found["num_steps"] == 2 and found["games"] == 30
    games = {"sparse": found, "teacher": {"sticky": 11.3, "games": 30}}
    assert pong_report.reward_of(games["sparse"]) == "+12.0 ± 0.4"
    assert pong_report.reward_of(games["teacher"]) == "+11.3", "no ± where there is none"


def test_choices_go_by_thirty_sticky_games_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def play(policy: Any, games: int, seed: int, sticky: float, limit: int = 0) -> Any:
        asked.append((games, seed, sticky))
        return np.array([1.0, 4.0])

    monkeypatch.setattr(m, "play", play)
    cfg, _ = start(tmp_path)
    assert m.validate(None, cfg) == m.validate(None, replace(cfg, smoke=False)) == 2.5
    assert asked == [(1, m.VAL_SEED, 0.25), (30, m.VAL_SEED, 0.25)]


def test_claims_of_training(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = [{"decisions": 100, "return": -20.0}, {"decisions": 900, "return": -17.5}]
    monkeypatch.setattr(m, "q_learning", lambda *_: log)
    few, many = torch.zeros(4, 3, 84, 84), torch.zeros(4, 3, 84, 84)
    few[:, 0, :2, :3] = 1  # 6 of each state
    many[:, 0, :10, :60] = 1
    monkeypatch.setattr(m, "see_events", lambda grey: few)
    monkeypatch.setattr(m, "see_frames", lambda grey: many)
    value = bench("train")
    assert (value["teacher"], value["teacher_plain"], value["teacher_decisions"]) == (11, 12, 900)
    assert value["inputs_saved"] == 100, "frames over events"
    monkeypatch.setattr(m, "balance", lambda net, maps: net)
    monkeypatch.setattr(m, "read_csv", lambda *_: [])
    value = bench("spiking-dqn")
    assert value["spiking_dqn"] == 11 and value["spiking_dqn_gain"] == 2.5


def test_agreement_with_the_teacher_by_hand(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Always action 0: right in the first and the last of four states; elsewhere 2 and 5 points are given away."""
    seen = m.rollouts()
    same, lost = m.agreement(lambda maps: torch.tensor([[1.0, 0, 0]]).expand(len(maps), 3), seen)
    assert same == 0.5 and lost == pytest.approx(7 / 4)


def test_claims_of_conversion(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher makes 15 in validation; T = 2 makes 14.5: within a point, so T = 2 is chosen."""
    validation = iter((15.0, 14.5))
    monkeypatch.setattr(m, "validate", lambda *_: next(validation))
    monkeypatch.setattr(m, "balance", lambda net, maps, percentile: net)
    clipped = made()
    monkeypatch.setattr(m, "clipped_twin", lambda *_: clipped)
    same = lambda arm, test: (arm.num_steps / 10 + arm.charge, 0.01 * arm.num_steps)  # noqa: E731
    monkeypatch.setattr(m, "agreement", same)
    value = bench("convert")
    assert value["converted"] == 11 and value["converted_plain"] == 12
    assert value["converted_steps"] == 2
    assert value["converted_agree"] == value["converted_agree_clipped"] == pytest.approx(0.7)
    assert value["converted_short"] == pytest.approx(0.5), "of the same games, the validation's"


def test_claims_of_cloning(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    validation = iter((3.0, 9.0))
    monkeypatch.setattr(m, "validate", lambda *_: next(validation))
    value = bench("clone")
    assert (value["clone"], value["clone_plain"]) == (11, 12)
    assert (value["clone_before"], value["clone_after"]) == (3, 9)


def test_claims_of_sparsity(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clone takes 1,000 SynOps and 250 on an empty board. The price alone saves half; silence more, but the
    cheapest of all play too badly."""
    taken = dict(zip(m.SPARSE, (1000.0, 500.0, 400.0, 100.0, 50.0), strict=True))
    points = dict(zip(m.SPARSE, (10.0, 11.0, 9.5, 8.5, -3.0), strict=True))
    now = {}

    def once(run: Run, name: str, work: Any) -> Any:
        now["name"], _ = name.split(": ")
        return points[now["name"]]

    def cost(agent: Any, maps: torch.Tensor) -> dict[str, float]:
        return {"synops": taken[now["name"]]}

    monkeypatch.setattr(m, "once", once)
    monkeypatch.setattr(m, "synops", lambda agent, maps: 250.0 if len(maps) == 1 else -1.0)
    monkeypatch.setattr(m, "cost", cost)
    monkeypatch.setattr(m, "SMOKE", {})
    value = bench("sparsify", smoke=False)
    assert value["sparse"] == 11 and value["sparse_plain"] == 12 and value["sparse_synops"] == 400
    assert value["sparse_saved"] == 2.5 and value["clone_empty"] == 0.25


# ------------------------------------------------------------------------------------ membranes that stay


def test_games_come_back_in_their_order() -> None:
    """Sixteen games side by side: game 3 shows the numbers 3, 19, 35 …"""
    q = torch.arange(320.0)[:, None].repeat(1, 3)
    maps = torch.arange(320).remainder(256).to(torch.uint8).view(-1, 1, 1, 1)
    seen = list(m.in_order(m.Seen(maps.numpy(), q), maps))
    assert len(seen) == 20 and [int(q[3, 0]) for _, q, _ in seen][:3] == [3, 19, 35]
    assert seen[1][0][3].item() == pytest.approx(19 / 255)
    assert seen[0][2].all() and not seen[1][2].any(), "a game begins where it begins, and not later"


def test_what_is_kept_is_the_past_and_nothing_else() -> None:
    maps = uint8_maps(40)
    seen = m.Seen(maps, torch.zeros(40, 3), 2)
    agent = m.SpikingPong(m.balance(made(), maps), 1, beta=0.8)
    with torch.no_grad():  # no action is preferred whatever comes
        spks, _ = agent.run(m.constant_current(maps.float() / 255, 1))
        agent.net.fc2.weight.normal_(generator=torch.Generator().manual_seed(1))
        agent.net.fc2.bias.copy_(-(spks[-1][0] @ agent.net.fc2.weight.T).mean(0))
        alone = agent(maps.float() / 255).argmax(1).view(20, 2)
    kept = m.choices(agent, seen, lambda x: x, True)
    assert kept.shape == (20, 2), "twenty decisions of two games"
    assert torch.equal(kept, m.choices(agent, seen, lambda x: x, True)), "a past was left over"
    anew = m.choices(agent, seen, lambda x: x, False)
    assert torch.equal(anew, alone), "new membranes are those of a single decision"
    assert (kept[0] == anew[0]).all() and (kept != anew).float().mean() > 0.1, "no past to keep"
    cut = m.choices(agent, seen, lambda x: x, True, every=2)
    assert torch.equal(cut[:2], kept[:2]) and torch.equal(cut[2::2], anew[2::2])
    assert not torch.equal(cut[3::2], anew[3::2]), "it forgets every second time, not each time"


def test_how_soon_a_past_no_longer_matters_is_told_by_all_cuts() -> None:
    whole = torch.zeros(11, 2)
    after = whole.clone()
    after[0] = 1  # before anything was forgotten
    after[3, 0], after[6], after[10] = 1, 1, 1  # the last one is of no whole round
    assert m.same_after_forgetting(whole, after, 3).tolist() == [0.25, 1, 1]


def test_a_new_game_knows_nothing_of_the_one_before() -> None:
    """Game 1 of two ends after decision 4: it goes on like a game that begins there, and game 0 as if nothing was."""
    maps = uint8_maps(20)
    agent = m.SpikingPong(m.balance(made(), maps), 1, beta=0.8)
    begins = torch.zeros(10, 2, dtype=torch.bool)
    begins[0], begins[5, 1] = True, True
    both = memories(agent, m.Seen(maps, torch.zeros(20, 3), 2, begins.flatten()))
    one_long = memories(agent, m.Seen(maps, torch.zeros(20, 3), 2))
    late = memories(agent, m.Seen(maps[10:], torch.zeros(10, 3), 2))
    assert torch.equal(both[:, 0], one_long[:, 0]), "the other game forgot as well"
    assert torch.equal(both[:5, 1], one_long[:5, 1])
    assert torch.equal(both[5:, 1], late[:, 1]), "something of the old game was left"
    assert not torch.equal(both[5:, 1], one_long[5:, 1]), "no past to forget"


def memories(agent: Any, seen: Any) -> torch.Tensor:
    """Membranes of the last hidden layer ``(decisions, games, 256)``: they show a past that an action may hide."""
    found, step = [], agent.step

    def watched(x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        result = step(x)
        found.append(agent.lifs["fc1"].mem.clone())
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "step", watched)
        m.choices(agent, seen, lambda x: x, True)
    return torch.stack(found)


def test_rollouts_tell_a_remembering_actor_which_games_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two games of which the second ends after its third decision; its fourth action only restarts it."""

    class World:
        def __init__(self, games: int, seed: int, sticky: float) -> None:
            self.stack, self.done, self.over = np.zeros((2, 4, 84, 84), np.uint8), 0, False

        def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            restarted, self.over = np.array([False, self.over]), self.done == 2
            self.done += 1
            return np.zeros(2), np.array([False, self.over]), restarted

    class Actor:
        told: list[list[bool]] = []

        def begin(self, games: np.ndarray) -> None:
            self.told.append(games.tolist())

        def __call__(self, maps: torch.Tensor) -> np.ndarray:
            return np.zeros(2, np.int64)

    monkeypatch.setitem(m.rollouts.__globals__, "Pong", World)
    monkeypatch.setitem(m.rollouts.__globals__, "see_events", lambda x: torch.zeros(2, 3, 84, 84))
    seen = m.rollouts(made(), 12, 0, Actor(), lambda x: torch.zeros(2, 3, 84, 84))
    wanted = [[True, True], *[[False, False]] * 3, [False, True], [False, False]]
    assert seen.begins.view(6, 2).tolist() == wanted == Actor.told
    twice = (seen + seen).begins
    assert twice.tolist() == seen.begins.tolist() * 2, "the second part begins anew"


def test_operations_of_one_step_a_decision() -> None:
    maps = uint8_maps(8)
    agent = m.SpikingPong(m.balance(made(), maps), 1, beta=0.8)
    one = m.Seen(maps[:2], torch.zeros(2, 3), 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(m, "see_events", lambda grey: grey)
        first = m.temporal_synops(agent, one)
        assert first == pytest.approx(m.cost(agent, maps[:2])["synops"]), "nothing is kept yet"
        whole = m.temporal_synops(agent, m.Seen(maps, torch.zeros(8, 3), 2))
    assert whole > 0 and whole != pytest.approx(m.cost(agent, maps)["synops"])


def test_learning_in_time_learns(tmp_path: Path) -> None:
    cfg, run = start(tmp_path, tau=0.1, epochs=8)
    maps = uint8_maps(32)
    q = torch.tensor([[0.0, 0.2, 0.0]]).repeat(32, 1)
    seen = m.Seen(maps, q, 2)
    agent = m.SpikingPong(m.balance(made(), maps), 1, beta=0.8)

    def loss() -> float:
        agent.forget()
        total = 0.0
        with torch.no_grad():
            for x, want, _ in m.in_order(seen, maps):
                z = agent.step(x)[1]
                total -= (F.softmax(want / 0.1, 1) * F.log_softmax(z, 1)).sum().item()
        return total

    before = loss()
    m.distil_in_time(agent, seen, lambda x: x, cfg, run, name="t", lr=1e-2, keeps=True, window=4)
    assert loss() < 0.9 * before


def test_the_last_decisions_of_a_pass_are_learnt_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 decisions in windows of 5: four gradient steps a pass, and the learning rate ends where it should."""
    cfg, run = start(tmp_path, epochs=2)
    maps, schedules = uint8_maps(32), []
    real = torch.optim.lr_scheduler.LinearLR

    def spied(*args: Any) -> Any:
        schedules.append(real(*args))
        return schedules[-1]

    monkeypatch.setattr(torch.optim.lr_scheduler, "LinearLR", spied)
    agent = m.SpikingPong(m.balance(made(), maps), 1, beta=0.8)
    seen = m.Seen(maps, torch.zeros(32, 3), 2)
    m.distil_in_time(agent, seen, lambda x: x, cfg, run, name="t", lr=1e-2, keeps=True, window=5)
    assert schedules[0].last_epoch == 8 and schedules[0].get_last_lr() == pytest.approx([5e-4])


def test_claims_of_memory(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Place only: with memory all of the teacher's four actions, without it two; all maps: three either way."""
    wanted = torch.tensor([[0, 1], [2, 0]])
    right = {(True, True): 3, (True, False): 3, (False, True): 4, (False, False): 2}
    events = m.see_events

    def choices(agent: Any, seen: Any, eyes: Any, keeps: bool, every: int = 10**9) -> torch.Tensor:
        taken = wanted.flatten().clone()
        taken[right[eyes is events, keeps] :] += 1
        return taken.view(2, 2)

    monkeypatch.setattr(m, "see_places", lambda grey: torch.zeros(4, 3, 84, 84, dtype=torch.uint8))
    monkeypatch.setattr(m, "choices", choices)
    monkeypatch.setattr(m, "distil_in_time", lambda *_, **__: None)
    monkeypatch.setattr(m, "temporal_synops", lambda *_: 123.0)
    rewards = {"events, anew": 2.0, "events, kept": 5.0}
    monkeypatch.setattr(
        m, "evaluate", lambda policy, cfg, run, name: REWARD | {"sticky": rewards[name]}
    )
    kinds = {
        k: (events if eyes is not see_places else m.see_places, keeps)
        for k, (eyes, keeps) in m.KINDS.items()
    }
    monkeypatch.setattr(m, "KINDS", kinds)
    value = bench("remember")
    assert value["temporal"] == 5 and value["temporal_anew"] == 2
    assert value["temporal_synops"] == 123
    assert value["place_gain"] == 0.5 and value["events_gain"] == 0


def test_claims_of_the_benchmark(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages; the sum of both is what counts, and its 95th percentile is not the median."""

    def stages_in_turn(
        policies: dict[str, Any], repeats: int, seed: int
    ) -> dict[str, dict[str, np.ndarray]]:
        each = {k: factor * np.arange(101.0) for factor, k in enumerate(policies, 1)}
        return {k: {"see": x, "decide": x} for k, x in each.items()}

    prices = iter(range(1, 9))

    def cost(agent: Any, maps: torch.Tensor) -> dict[str, float]:
        k = next(prices)
        return {"energy_nj": 10.0 / k, "dense": 1e6, "synops": 100.0 * k}

    games = {"teacher": 8.0, "sparse": 6.0, "akida": 7.0}

    def played(run: Run, agent: str, path: Path) -> Any:
        if agent in games:
            return REWARD | {"sticky": games[agent], "games": 30}
        return None

    monkeypatch.setattr(m, "cost", cost)
    monkeypatch.setattr(m, "stages_in_turn", stages_in_turn)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(packages, "missing", lambda: [])
    status = SimpleNamespace(state="simulator", reason="", means="")
    monkeypatch.setattr(m, "akida_status", lambda: status)
    monkeypatch.setattr(m, "published_tables", lambda run: None)
    monkeypatch.setattr(m, "open_fbz", lambda path: "model")
    stub = SimpleNamespace(find=lambda run, name: Path(name), played=played, WEIGHTS=files.WEIGHTS)
    stub.origin = lambda path: ("the course's", "games")
    monkeypatch.setattr(m, "files", stub)
    m.show.sentence_of_benchmark.return_value = "said elsewhere"
    m.show.sentence_of_speed.return_value = "said elsewhere as well"
    m.show.TARGET_MS = 5.0
    value = bench("benchmark")
    # the teacher, the sparse policy as the last of four agents, and the chip
    assert value["latency_ann"] == 190 and value["latency_spiking"] == 760
    assert value["latency_akida"] == 950
    assert (value["played_teacher"], value["played_sparse"], value["played_akida"]) == (8, 6, 7)
    assert "played_clone" not in value, "it has not played"
    assert value["synops"] == 400
    assert value["energy_saved"] == pytest.approx(4), "the teacher's 10 nJ over 2.5"


def test_claims_of_quantisation(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(packages, "missing", lambda: [])
    status = SimpleNamespace(state="simulator", reason="")
    monkeypatch.setattr(m, "akida_status", lambda: status)
    monkeypatch.setattr(m, "round_and_train", lambda *_: ({"agree": 0.9, "ptq": 1.0}, "model"))
    fbz = tmp_path / "net.fbz"
    fbz.write_bytes(b"123")
    monkeypatch.setattr(m, "save_fbz", lambda model, path: fbz)

    def mapped(model: Any, mode: str = "") -> SimpleNamespace:
        used = 7 if mode == "Minimal" else 40
        return SimpleNamespace(fallbacks={"a": 1}, nps_used=used, places=dict)

    monkeypatch.setattr(m, "map_on_akd1000", mapped)
    value = bench("quantize")
    assert (value["akida_844"], value["akida_844_plain"]) == (11, 12)
    assert value["akida_software"] == 1
    assert (value["akida_nps"], value["akida_nps_minimal"], value["akida_bytes"]) == (40, 7, 3)
