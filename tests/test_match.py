"""Players and matches of the runner: one life or many, answers that come late, what is kept; games that start anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.io import UserError
from games.gameworld import match
from games.gameworld.bridge import BrowserGame, Task
from games.gameworld.show import record
from games.runner import twin
from games.runner.play import World, lives, planner

import numpy as np
import pytest

# ------------------------------------------------------------------------------------ players and matches


def test_simulate_is_lives_cut_at_the_target() -> None:
    points = match.simulate(match.never, range(5), seed=3)
    np.testing.assert_array_equal(
        points, lives(lambda w: np.zeros(5, bool), World(range(5), seed=3))
    )
    assert (match.simulate(match.by_reach(0, 20), [3 * 2**30]) <= 700).all()


def test_the_rule_with_a_clock_knows_the_speed() -> None:
    games = twin.Games([3])
    speeds = match.speed_table(600)
    for t in range(600):
        assert speeds[t] == pytest.approx(float(games.speed[0]))
        games.dead[:] = False
        games.step(np.zeros(1, bool))
    sky = twin.grey_of(twin.COLOURS["sky"])
    frame = np.full((1, 24, 80), sky, np.uint8)
    frame[0, 19:22, 10:12] = 140  # the runner on the ground
    frame[0, 20, 30] = 40  # 480 px from the left: 280 px before the runner's front
    rule = match.by_reach(0, 20)()
    at_8, at_16 = rule(frame, np.array([0])), rule(frame, np.array([4000]))
    assert not at_8[0] and at_16[0]
    assert (
        match.by_reach(300)()(frame, np.array([0]))[0]
        and not match.by_reach(270)()(frame, np.array([0]))[0]
    )
    frame[0, 18:22, 10:12] = sky  # in the air
    assert not match.by_reach(300)()(frame, np.array([0]))[0]


def test_page_seeds_lead_to_tracks_that_training_never_draws() -> None:
    seeds = match.page_seeds(10, 3 * 2**30)
    assert len(set(seeds)) == 10
    assert all(twin.run_seeds(s, 1)[0] >= 3 * 2**30 for s in seeds)


def test_official_is_100_looks_and_the_best_of_all_attempts() -> None:
    points = match.official(match.never, range(3))
    best = np.zeros(3)
    tracks, world = 3, World(range(3), (21, 21), (2, 4), hold=15)
    for _ in range(100):
        world.act(np.zeros(3, bool))
        best = np.maximum(best, world.games.score)
        for i in np.flatnonzero(world.games.dead):
            world.restart(np.array([i]), [tracks])
            tracks += 1
    np.testing.assert_array_equal(points, best)


class Clockwork:
    """A page that crashes every ``life`` seconds and makes ten points a second; its clock is the test's."""

    def __init__(self, life: float) -> None:
        self.t, self.life, self.began, self.asked = 0.0, life, 0.0, []

    def evaluate(self, script: str, argument: Any = None) -> Any:
        if "reset" in script:
            self.began = self.t
            return {"ok": True}
        age = min(self.t - self.began, self.life)
        end = age >= self.life
        return {
            "is_actionable": not end,
            "game_state": {"score": 10 * age},
            "terminal": {"isTerminal": end, "outcome": "fail" if end else None},
        }

    def grey(self, clip: Any = None, scale: float = 1.0) -> np.ndarray:
        self.t += 0.1
        return np.zeros((clip[3], clip[2]), np.uint8)

    def key_down(self, key: str) -> None:
        self.asked.append(round(self.t, 2))

    def key_up(self, key: str) -> None:
        pass

    def wait(self, seconds: float) -> None:
        self.t += seconds


def made(life: float, limit_s: float = 20.0) -> tuple[BrowserGame, Clockwork]:
    page = Clockwork(life)
    tasks = {"t": Task("t", target=700.0), "easy": Task("easy", target=5.0)}
    return BrowserGame(page, tasks, "reactive", now=lambda: page.t, limit_s=limit_s), page  # type: ignore[arg-type]


def test_a_match_of_one_life_ends_at_the_first_crash() -> None:
    game, page = made(life=5.0)
    found = match.play_in_browser(game, match.never, [1, 2], one_life=True)
    assert found["lives"] == pytest.approx([50, 50]) and found["n"] == 2 and page.t < 12
    game, page = made(life=5.0)
    found = match.play_in_browser(game, match.never, [1], one_life=False)
    assert (
        found["lives"] == pytest.approx([50]) and page.t >= 20 and found["runs"][0]["attempts"] > 2
    )
    assert found["runs"][0]["task"] == "t", "the hardest task"


def test_a_blocking_player_answers_late_and_looks_rarely() -> None:
    game, page = made(life=1e9, limit_s=10.0)
    shown = []
    found = match.play_in_browser(
        game,
        match.at_random(1.0),
        [1],
        one_life=True,
        think_s=2.4,
        watch=lambda f, k: shown.append(k),
    )
    assert len(shown) == 4 and all(shown) and page.asked[0] == pytest.approx(2.5)
    assert found["lives"] == pytest.approx([100], abs=5)
    game, _ = made(life=1e9)
    assert (
        match.play_in_browser(game, match.never, [1], one_life=True, most_steps=3)["runs"][0][
            "steps"
        ]
        == 3
    )


def test_the_player_gets_the_time_of_its_own_run() -> None:
    game, _ = made(life=1e9, limit_s=1.0)
    told = []

    def start() -> match.Player:
        def act(frames: np.ndarray, ticks: np.ndarray) -> np.ndarray:
            assert frames.shape == (1, 24, 80)
            told.append(float(ticks[0]))
            return np.zeros(1, bool)

        return act

    match.play_in_browser(game, start, [1, 2], one_life=True)
    assert told[0] == 0 and told[1] == pytest.approx(6) and told.count(0) == 2


def test_stages_without_a_browser() -> None:
    found = match.stages_without_browser(match.never(), 5)
    assert set(found) == {"preprocess", "policy"} and all(
        0 < t["p50"] <= t["p95"] for t in found.values()
    )


def test_a_damaged_log_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("round,loss\n1\n", encoding="utf-8")
    for name in ("log.csv", "missing.csv"):
        with pytest.raises(UserError, match="cannot read the log"):
            match.read_log(tmp_path / name)


@pytest.mark.parametrize("name", ["film.gif", "film.webp"])
def test_a_film_has_a_picture_for_each_frame(name: str, tmp_path: Path) -> None:
    from PIL import Image

    frames = np.stack([World([0]).frame()[0]] * 6)
    rng = np.random.default_rng(0)
    spikes = (rng.random((6, 64)) < 0.2).astype(float)
    record(frames, np.arange(6) % 2 == 0, spikes, tmp_path / name, (8, 48))
    with Image.open(tmp_path / name) as film:
        assert film.n_frames == 6 and film.size[0] == 480


def test_what_is_kept_comes_back_only_for_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "browser.json"
    assert match.match_kept(path, "a", {"runs": 1}) is None
    match.keep_match(path, "a", {"lives": np.array([3.0])}, {"runs": 1})
    match.keep_match(path, "b", {"lives": [4]}, {"runs": 2})
    assert match.match_kept(path, "a", {"runs": 1})["lives"] == [3.0]
    assert match.match_kept(path, "a", {"runs": 2}) is None and set(match.all_kept(path)) == {
        "a",
        "b",
    }
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="browser.json is damaged"):
        match.all_kept(path)


def test_the_planner_on_its_own() -> None:
    assert (match.planned(range(4)) == 700).all()
    assert match.quartiles(np.array([0.0, 100.0, 200.0])) == "50 / 100 / 150"
    best = match.official(None, range(4))
    assert (best > match.official(match.never, range(4))).all()


# ------------------------------------------------------------------------------------ the twin


def test_a_restarted_game_is_a_new_one() -> None:
    rng, games, fresh = np.random.default_rng(0), twin.Games([1, 2, 3]), twin.Games([7, 9])
    for _ in range(2500):  # the track of the one that lives has been lengthened
        games.dead[1] = False
        games.step(np.zeros(3, bool))
    games.restart(np.array([0, 2]), [7, 9])
    for _ in range(200):
        keys = rng.random(3) < 0.1
        games.step(keys)
        fresh.step(keys[[0, 2]])
        for name in ("distance", "y", "tick", "dead", "score"):
            np.testing.assert_array_equal(getattr(games, name)[[0, 2]], getattr(fresh, name))
    np.testing.assert_array_equal(games.render()[[0, 2]], fresh.render())


def test_a_restart_forgets_keys_on_their_way() -> None:
    world = World([1, 2], (1, 1), (5, 5))
    world.act(np.array([True, True]))
    world.restart(np.array([0]), [8])
    for _ in range(6):
        world.act(np.zeros(2, bool))
    assert world.games.y[0] == 0 < world.games.y[1]


def test_passed_counts_what_stands() -> None:
    world = World(range(6), (1, 1), (0, 0))
    met = np.zeros(6, int)
    for _ in range(700):
        x, kind = world.games.ahead(1)
        world.act(planner(world))
        gone = world.games.ahead(1)[0][:, 0] > x[:, 0]
        met += gone & np.array([twin.KINDS[k].bottom == 0 for k in kind[:, 0]])
    np.testing.assert_array_equal(world.games.passed(), met)
    assert met.min() > 2
