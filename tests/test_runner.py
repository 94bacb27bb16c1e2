"""The runner: rules against closed forms, B games against one, the simulator against the page (live or recorded)."""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from typing import Any

from common.io import UserError
from games.runner import twin as runner
from games.runner.twin import Games, key_ticks

import numpy as np
import pytest
import runner_trace as recorded
from hypothesis import given, settings
from hypothesis import strategies as st

SCRIPT = (runner.FOLDER / "runner.js").read_text(encoding="utf-8")
SEEDS = st.integers(0, 2**32 - 1)


@cache
def trace() -> dict[str, Any]:
    return json.loads(recorded.TRACE.read_text(encoding="utf-8"))


def state(g: Games, i: int = 0) -> tuple[float, ...]:
    return tuple(float(a[i]) for a in (g.distance, g.y, g.vy, g.tick, g.dead, g.score))


# ------------------------------------------------------------------------------------ rules


def test_both_files_have_the_same_constants() -> None:
    rules = json.loads(re.search(r"const RULES = (\{.*?\n\});", SCRIPT, re.DOTALL)[1])
    named = {
        "ticks_per_s": "TICKS_PER_S",
        "width": "WIDTH",
        "height": "HEIGHT",
        "ground": "GROUND",
        "player_x": "PLAYER_X",
        "player_w": "PLAYER_W",
        "player_h": "PLAYER_H",
        "jump": "JUMP",
        "gravity": "GRAVITY",
        "speed": "SPEED",
        "speed_max": "SPEED_MAX",
        "ramp": "RAMP",
        "first": "FIRST",
        "gap_min": "GAP_MIN",
        "gap_spread": "GAP_SPREAD",
        "pixels_a_point": "PIXELS_A_POINT",
        "colours": "COLOURS",
        "notch": "NOTCH",
        "eye": "EYE",
    }
    for key, name in named.items():
        assert rules.pop(key) == getattr(runner, name), key
    assert [runner.Kind(**k) for k in rules.pop("kinds")] == list(runner.KINDS)
    assert tuple(rules.pop("deal")) == runner.DEAL
    tasks = json.loads((runner.FOLDER / "tasks.json").read_text(encoding="utf-8"))["tasks"]
    assert rules == {"complete": tasks[-1]["target"]}


def test_jump_against_the_closed_form() -> None:
    g = Games([0])
    for n in range(1, runner.AIRBORNE + 1):
        g.step(np.array([n == 1]))
        assert g.y[0] == 17.5 * n - 0.4375 * n * (n + 1)
        assert g.vy[0] == (17.5 - 0.875 * n if n < runner.AIRBORNE else 0)
        assert g.y[0] > 0 or n == runner.AIRBORNE
    assert max(17.5 * n - 0.4375 * n * (n + 1) for n in range(40)) == 166.25


def test_a_held_key_jumps_again_on_landing_and_a_key_in_the_air_does_nothing() -> None:
    held, tapped, once = Games([0]), Games([0]), Games([0])
    for n in range(60):
        held.step(np.array([True]))
        tapped.step(np.array([n in (0, 5, 20, 38)]))
        once.step(np.array([n == 0]))
        assert state(tapped) == state(once)
        assert held.y[0] == once.y[0] if n < runner.AIRBORNE else once.y[0] == 0
    assert held.y[0] > 100


def test_speed_and_distance() -> None:
    g = Games([1])
    jumps, expected = set(recorded.good_run(1, 3600)), 0.0
    for t in range(3600):
        expected += min(16.0, 8.0 + expected / 4096.0)
        g.step(np.array([t in jumps]))
        assert g.distance[0] == expected
    # dv/dt = v/4096 until v = 16: v = 8·exp(t/4096), so 16 after 4096·ln 2 ticks, at 32,768 px
    assert g.speed[0] == 16 and expected == pytest.approx(
        32_768 + 16 * (3600 - 4096 * np.log(2)), rel=2e-3
    )


def test_the_seconds_of_the_task_table() -> None:
    table = json.loads((runner.FOLDER / "tasks.json").read_text(encoding="utf-8"))["tasks"]
    assert len(table) == 5
    distance, t, reached = 0.0, 0, []
    while len(reached) < 5:
        distance += min(16.0, 8.0 + distance / 4096.0)
        t += 1
        if distance // 64 >= table[len(reached)]["target"]:
            reached.append(round(t / 60, 1))
    assert reached == [task["seconds"] for task in table] and 55 < reached[-1] < 65


def against(kind: int, offset: float, y: float, vy: float = 0.0) -> bool:
    """Whether the runner crashes in the next tick, the thing ``offset`` px from its left edge after it."""
    g = Games([0])
    g._x[0, 1], g._kind[0, 1] = offset + 8.0, kind  # the first tick runs 8 px
    g._next()
    g.y[0], g.vy[0] = y, vy
    g.step(np.array([False]))
    return bool(g.dead[0])


@pytest.mark.parametrize("kind", range(5))
def test_collision_is_the_overlap_of_two_rectangles(kind: int) -> None:
    """Touching is not crashing; half a pixel of overlap is. Edges from each side."""
    k = runner.KINDS[kind]
    inside = 0.0 if k.bottom == 0 else float(k.bottom)
    vy = runner.GRAVITY  # then the tick leaves y where it is
    assert not against(kind, 40.0, inside, vy) and against(kind, 39.5, inside, vy)
    assert not against(kind, -float(k.w), inside, vy) and against(kind, 0.5 - k.w, inside, vy)
    assert not against(kind, 0.0, float(k.top), vy) and against(kind, 0.0, k.top - 0.5, vy)
    if k.bottom:
        assert not against(kind, 0.0, k.bottom - 56.0, vy) and against(
            kind, 0.0, k.bottom - 55.5, vy
        )
        assert not against(kind, 0.0, 0.0), "a beam is passed on the ground"


def test_every_track_can_be_run() -> None:
    """Who jumps in the middle of the window lives for 80 s on 300 tracks; who never jumps does not."""
    g, still = Games(range(300)), Games(range(300))
    for _ in range(4800):
        g.step(recorded.good_jumps(g))
        still.step(np.zeros(300, bool))
    assert not g.dead.any() and (g.tick == 4800).all()
    assert still.dead.all() and np.median(still.score) < 40


def test_the_window_of_a_jump_is_what_the_rules_give() -> None:
    """A step outside of the closed form's window crashes, a step inside does not; at both ends of the speed."""
    for kind in range(4):
        for speed in (8.0, 16.0):
            first, last = (float(v) for v in recorded.window(np.array(kind), np.array(speed)))
            lived = []
            for ticks in range(60):
                g = Games([0])
                g.distance[0] = 0.0 if speed == 8 else 40_000.0
                g._x[0, 1], g._kind[0, 1] = g.distance[0] + 40 + speed * ticks, kind
                g._x[0, 2:] += 1e6
                g._next()
                for t in range(60):
                    g.step(np.array([t == 0]))
                if not g.dead[0]:
                    lived.append(ticks)
            assert lived[0] == pytest.approx(first, abs=2) and lived[-1] == pytest.approx(
                last, abs=2
            )
            assert len(lived) >= 10 and lived == list(range(lived[0], lived[-1] + 1))


# ------------------------------------------------------------------------------------ chance


def test_tracks_keep_what_the_rules_promise() -> None:
    g = Games(range(200))
    g._extend(200)
    x, kind = g._x[:, 1:], g._kind[:, 1:]
    w = np.array([k.w for k in runner.KINDS])[kind]
    start = np.concatenate((np.full((200, 1), 700.0), (x + w)[:, :-1]), 1)
    gap = (x - start) / np.minimum(16.0, 8.0 + start / 4096.0)
    assert gap.min() >= 36 - 1e-9 and gap.max() < 108 and gap.mean() == pytest.approx(72, abs=0.5)
    np.testing.assert_allclose(
        np.bincount(kind.ravel()) / kind.size, [0.25, 0.25, 0.125, 0.125, 0.25], atol=0.01
    )
    assert len({tuple(row) for row in kind.tolist()}) == 200, "two seeds with the same track"


def test_the_stream_against_plain_integers() -> None:
    def numbers(seed: int, n: int) -> list[float]:
        x = ((seed * 2654435761) & 0xFFFFFFFF ^ 0x5BD1E995) or 1
        found = []
        for _ in range(n + 8):
            x = (x ^ (x << 13)) & 0xFFFFFFFF
            x ^= x >> 17
            x = (x ^ (x << 5)) & 0xFFFFFFFF
            found.append(x / 2**32)
        return found[8:]

    zero = (
        0x5BD1E995 * pow(2654435761, -1, 2**32)
    ) % 2**32  # the seed that would start from 0, where xorshift stays
    seeds = [0, 1, 2, 2**31, 2**32 - 1, zero]
    stream = runner.Stream(runner.check_seeds(seeds))
    drawn = np.stack([stream.draw() for _ in range(100)], 1)
    np.testing.assert_array_equal(drawn, [numbers(s, 100) for s in seeds])
    assert runner.run_seeds(7, 3) == [int(u * 2**32) for u in numbers(7, 3)]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(SEEDS, min_size=1, max_size=7),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.05, 1.0]),
)
def test_games_side_by_side_are_games_one_at_a_time(
    seeds: list[int], seed: int, often: float
) -> None:
    keys = np.random.default_rng(seed).random((260, len(seeds))) < often
    together = runner.play(seeds, keys)
    for i, s in enumerate(seeds):
        alone = runner.play([s], keys[:, i : i + 1])
        assert state(alone) == state(together, i)
        np.testing.assert_array_equal(alone.render()[0], together.render()[i])


def test_a_crashed_run_stands_still() -> None:
    g = runner.play([0], np.zeros((400, 1), bool))
    assert g.dead[0]
    before = state(g)
    g.step(np.array([True]))
    assert state(g) == before


# ------------------------------------------------------------------------------------ hostile use


@pytest.mark.parametrize("seeds", [[], [-1], [2**32], [1.5], ["1"], [None], [True], [0, -3]])
def test_bad_seeds(seeds: list[Any]) -> None:
    with pytest.raises(UserError, match="seeds of the runner: got .* allowed are"):
        Games(seeds)


@pytest.mark.parametrize("shape", [(720, 1279), (384, 1280, 3), (45, 80), (0, 0)])
def test_a_screenshot_of_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="expected 720 × 1280"):
        runner.shrink(np.zeros(shape, np.uint8))


def test_a_page_that_is_not_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert runner.page_folder() == runner.FOLDER
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="index.html"):
        runner.page_folder()


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([], "......."),
        ([[2, 1], [4, 0]], "..##..."),
        ([[2, 1], [2, 0]], "..#...."),
        ([[2, 1]], "..#####"),
        ([[0, 1], [1, 0], [1, 1], [3, 0]], "###...."),
        ([[3, 0]], "......."),
        ([[1, 1], [2, 1], [4, 0]], ".###..."),
        ([[9, 1]], "......."),
        ([[5, 1], [9, 0]], ".....##"),
    ],
)
def test_key_log(log: list[list[int]], expected: str) -> None:
    assert "".join(".#"[int(k)] for k in key_ticks(log, 7)) == expected


# ------------------------------------------------------------------------------------ pictures


def painted(g: Games, i: int = 0) -> np.ndarray:
    """The page's picture pixel by pixel, one rectangle after the other, as runner.js paints it."""
    grey = {k: runner.grey_of(v) for k, v in runner.COLOURS.items()}
    picture = np.full((720, 1280), grey["sky"])

    def fill(x: int, y: int, w: int, h: int, colour: str) -> None:
        picture[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)] = grey[colour]

    fill(0, 608, 1280, 112, "ground")
    for x in range(-(int(np.floor(g.distance[i] + 0.5)) % 128), 1280, 128):
        fill(x, 616, 64, 8, "notch")
    for x, kind in zip(g._x[i, 1:], g._kind[i, 1:], strict=True):
        k = runner.KINDS[kind]
        if abs(x - g.distance[i]) < 2000:
            fill(
                int(np.floor(x - g.distance[i] + 0.5)) + 160,
                608 - k.top,
                k.w,
                k.top - k.bottom,
                "hang" if k.bottom else "stand",
            )
    top = 608 - 56 - int(np.floor(g.y[i] + 0.5))
    fill(160, top, 40, 56, "player")
    fill(186, top + 10, 8, 8, "eye")
    return picture.astype(np.uint8)


def test_frames_against_a_picture_painted_pixel_by_pixel() -> None:
    """Also with things behind the runner, half on the screen at either side, and at full speed."""
    g, moments = Games(range(8)), []
    for t in range(3000):
        g.step(recorded.good_jumps(g))
        if t % 37 == 0 or t > 2990:
            frames = g.render()
            for i in range(8):
                np.testing.assert_array_equal(
                    frames[i], runner.shrink(painted(g, i)), f"tick {t}, game {i}"
                )
            moments.append(g.y.max())
    assert max(moments) > 100 and not g.dead.any()


def test_frames_of_crashes_against_a_picture_painted_pixel_by_pixel() -> None:
    """From the side, from above, into a beam from below: the runner stands before what it hit."""
    b = 60
    g = runner.play(range(b), np.random.default_rng(0).random((1500, b)) < np.linspace(0, 0.1, b))
    assert g.dead.all() and (g.y > 0).any() and (g.y == 0).any() and (g._low > 0).any()
    for i, frame in enumerate(g.render()):
        np.testing.assert_array_equal(frame, runner.shrink(painted(g, i)), f"game {i}")


@pytest.mark.parametrize("times", [2, 4])
def test_a_smaller_picture_gives_the_same_frame(times: int) -> None:
    """Up to one level: the mean of each block of the smaller picture is rounded once more."""
    picture = painted(runner.play([3], np.ones((60, 1), bool)), 0)
    high, wide = picture.shape
    blocks = picture.reshape(high // times, times, wide // times, times)
    small = np.rint(blocks.mean((1, 3))).astype(np.uint8)
    frame, whole = runner.shrink(small).astype(int), runner.shrink(picture).astype(int)
    assert frame.shape == (24, 80) and np.abs(frame - whole).max() <= 1
    np.testing.assert_array_equal(frame, runner.shrink(small[256 // times : 640 // times]))


def test_grey_is_what_pillow_makes_of_a_colour() -> None:
    from PIL import Image

    for colour in runner.COLOURS.values():
        assert Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)) == runner.grey_of(
            colour
        )
    levels = {name: runner.grey_of(c) for name, c in runner.COLOURS.items()}
    assert levels["sky"] - max(levels[k] for k in ("player", "stand", "hang", "ground")) > 80, (
        "contrast"
    )


# ------------------------------------------------------------------------------------ the page


def check_logic(run: dict[str, Any], every: int) -> None:
    jumps, g, rows = set(run["jumps"]), Games([run["seed"]]), []
    while g.tick[0] < run["ticks"] and not g.dead[0]:
        g.step(np.array([int(g.tick[0]) in jumps]))
        if g.tick[0] % every == 0 or g.dead[0]:
            rows.append([float(g.distance[0]), float(g.y[0]), float(g.vy[0])])
    assert rows == run["rows"], "a double differs"
    assert (int(g.tick[0]), int(g.score[0]), bool(g.dead[0])) == (
        run["tick"],
        run["score"],
        run["dead"],
    )


def check_picture(p: dict[str, Any]) -> None:
    g = runner.play([p["seed"]], key_ticks(p["log"], p["tick"])[:, None])
    assert (int(g.tick[0]), float(g.distance[0]), float(g.y[0])) == (
        p["tick"],
        p["distance"],
        p["y"],
    )
    frame = np.frombuffer(base64.b64decode(p["frame"]), np.uint8).reshape(
        runner.ROWS, runner.COLUMNS
    )
    np.testing.assert_array_equal(g.render()[0], frame)


def test_rules_against_the_recorded_page() -> None:
    runs = trace()["logic"]
    assert len(runs) >= 10 and sum(r["tick"] for r in runs) > 10_000
    assert any(r["dead"] for r in runs) and any(not r["dead"] for r in runs)
    for run in runs:
        check_logic(run, trace()["every"])


def test_frames_against_recorded_screenshots() -> None:
    pictures = trace()["pictures"]
    assert (
        len(pictures) >= 10
        and any(p["y"] > 0 for p in pictures)
        and any(p["y"] == 0 for p in pictures)
    )
    for p in pictures:
        check_picture(p)


def test_the_page_asks_for_nothing_else() -> None:
    text = SCRIPT + (runner.FOLDER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|//[a-z]+\.|import\s|fetch\(|XMLHttp|eval\(", text)
    assert set(re.findall(r'(?:src|href)="([^"]*)"', text)) == {"runner.js", "data:,"}


@pytest.fixture(scope="module")
def page() -> Any:
    from games.gameworld.browser import Page, served

    try:
        opened = Page()
    except UserError as e:
        pytest.skip(f"no browser: {e}")
    with served(runner.FOLDER) as address, opened as page:
        page.goto(address)
        yield page
        assert page.refused == [], "the page asked for another host"


def test_the_recorded_page_is_the_page(page: Any) -> None:
    assert recorded.logic(page) == trace()["logic"], "run tests/runner_trace.py"


def test_a_run_with_real_keys_is_repeated_by_the_simulator(page: Any) -> None:
    found = recorded.pictures(page, 11, 4)
    assert found[0]["seed"] == runner.run_seeds(11, 1)[0] and found[-1]["tick"] > 60
    for p in found:
        check_picture(p)
