"""The runner through a browser's delays: when keys arrive, what the teacher knows, how good its rivals are."""

from __future__ import annotations

from common.io import UserError
from games.runner import play as runner_play
from games.runner import twin as runner
from games.runner.play import World, at_random, by_pixels, lives, never, planner

import numpy as np
import pytest
import runner_trace as recorded
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 5), st.integers(0, 3), st.integers(0, 9), st.integers(0, 4), st.integers(0, 999)
)
def test_keys_arrive_when_they_should(
    i: int, i_more: int, late: int, l_more: int, seed: int
) -> None:
    """A second simulator of the delays: one list of arrivals for each game, applied tick by tick."""
    b, rng = 3, np.random.default_rng(seed)
    world, ours = (
        World(range(b), (i, i + i_more), (late, late + l_more), seed=seed),
        runner.Games(range(b)),
    )
    arrivals: list[list[tuple[int, bool]]] = [[] for _ in range(b)]
    tick = 0
    for _ in range(25):
        keys = rng.random(b) < 0.4
        assert (
            i <= world.ticks <= i + i_more
            and (world.late >= late).all()
            and (world.late <= late + l_more).all()
        )
        for g in range(b):
            arrivals[g].append((tick + int(world.late[g]), bool(keys[g])))
        frames, ticks = world.frame(), world.ticks
        np.testing.assert_array_equal(frames, ours.render())
        world.act(keys)
        for t in range(tick, tick + ticks):
            ours.step(
                np.array(
                    [([False] + [k for at, k in arrivals[g] if at <= t])[-1] for g in range(b)]
                )
            )
        tick += ticks
        assert all(x[0] < y[0] for a in arrivals for x, y in zip(a, a[1:], strict=False)), (
            "one overtook another"
        )
        np.testing.assert_array_equal(world.games.y, ours.y)
        np.testing.assert_array_equal(world.games.distance, ours.distance)


def test_without_delay_a_decision_counts_at_once() -> None:
    world = World([0], (1, 1), (0, 0))
    world.act(np.array([True]))
    assert world.games.y[0] > 0 and world.games.tick[0] == 1


def test_hold_lets_the_key_go() -> None:
    def landings(hold: int | None) -> int:
        world, found = World([0], (1, 1), (0, 0), hold), 0
        for _ in range(85):
            before = world.games.y[0]
            world.act(np.array([True]))
            found += before > 0 and world.games.y[0] == 0
        return found

    assert landings(None) == 2 and landings(15) == 1


def test_planning_leaves_the_runs_alone() -> None:
    world, twin = World(range(5), seed=1), World(range(5), seed=1)
    for _ in range(200):
        world.planned(60)
        for w in (world, twin):
            w.act(planner(twin))
    np.testing.assert_array_equal(world.games.distance, twin.games.distance)
    np.testing.assert_array_equal(world.games._x[:, :40], twin.games._x[:, :40])
    assert world.planned(7).tick[0] == world.games.tick[0] + 7


def test_the_window_is_the_oracles() -> None:
    for speed in (8.0, 11.5, 16.0):
        kinds = np.arange(4)
        np.testing.assert_allclose(
            runner_play.window(kinds, np.full(4, speed)), recorded.window(kinds, np.full(4, speed))
        )


def test_the_teacher_reaches_every_target_and_its_rivals_do_not() -> None:
    """80 tracks each. A rule with one distance is too late at full speed or too early at the start."""
    teacher = lives(planner, World(range(80)))
    assert (teacher >= 700).mean() == 1.0
    assert (
        np.median(lives(never, World(range(80)))) < 40
        and np.median(lives(at_random(), World(range(80)))) < 40
    )
    by_reach = {
        reach: (lives(by_pixels(reach), World(range(80))) >= 700).mean() for reach in (90, 200, 230)
    }
    assert max(by_reach.values()) < 0.4 and by_reach[90] == 0


def test_delay_beyond_the_horizon_defeats_even_the_teacher() -> None:
    """At 8 px a tick 1,080 px are 2.2 s ahead, at 16 px a tick 1.1 s: a key that comes later is a guess."""

    def beyond(world: World) -> np.ndarray:
        return planner(world, np.inf)  # sees things that are not in the picture yet

    assert (lives(beyond, World(range(20), latency=(60, 60))) >= 700).mean() == 1.0
    assert (lives(planner, World(range(20), latency=(60, 60))) >= 700).mean() < 0.6
    late = World(range(20), latency=(60, 60))
    assert (lives(planner, late, 600) > 70).mean() == 1.0 and not late.games.dead.any()
    assert (lives(planner, World(range(20), (384, 384), (384, 384), hold=15)) >= 75).mean() < 0.1


@pytest.mark.parametrize(
    "bad",
    [
        {"interval": (0, 2)},
        {"interval": (3, 2)},
        {"latency": (-1, 2)},
        {"latency": (5, 4)},
        {"hold": 0},
    ],
)
def test_bad_delays(bad: dict) -> None:
    with pytest.raises(UserError, match=f"{next(iter(bad))}: got .* allowed is"):
        World([0], **bad)
