"""The bridge: scores against hand-made runs, budgets and traps on a page that is played by a test, and Chromium."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common.io import UserError
from games.gameworld import bridge
from games.gameworld.bridge import BrowserGame, Judge, Task
from games.gameworld.browser import Page, find_browser, served
from games.runner import twin as runner

import numpy as np
import pytest
import runner_trace as recorded

TASK = Task("t_1", target=100.0)


def state(
    score: Any = 0, end: bool = False, outcome: str | None = None, **other: Any
) -> dict[str, Any]:
    return {
        "status": "terminal" if end else "playing",
        "is_actionable": not end,
        "game_state": {"score": score},
        "terminal": {"isTerminal": end, "outcome": outcome},
        **other,
    }


# ------------------------------------------------------------------------------------ scores


@pytest.mark.parametrize(
    ("scores", "progress", "success"),
    [
        ([0], 0.0, False),
        ([0, 30, 20], 0.3, False),
        ([0, 30, 99.9], 0.999, False),
        ([0, 100], 1.0, True),
        ([0, 250], 1.0, True),
        ([-50], 0.0, False),
        ([0, 40, 0, 60, 10], 0.6, False),
    ],
)
def test_progress_is_that_of_the_best_score(
    scores: list[float], progress: float, success: bool
) -> None:
    judge = Judge(TASK)
    for s in scores:
        judge.look(state(s))
    assert judge.progress == pytest.approx(progress) and (judge.status == "success") is success


def test_progress_counts_from_the_start() -> None:
    judge = Judge(replace(TASK, start=50.0))
    judge.look(state(75))
    assert judge.progress == 0.5
    judge = Judge(replace(TASK, start=100.0))  # nothing to gain: reached or not
    judge.look(state(99))
    assert judge.progress == 0.0


def test_a_crash_starts_over_under_the_same_budget() -> None:
    judge = Judge(replace(TASK, max_steps=3))
    assert not judge.look(state(40)) and judge.look(state(60, True, "fail")) and not judge.stopped
    assert not judge.look(state(5)) and judge.stopped
    assert (judge.status, judge.attempts, judge.progress, judge.steps) == ("fail", 2, 0.6, 3)


def test_a_crash_with_the_last_step_does_not_start_over() -> None:
    judge = Judge(replace(TASK, max_steps=1))
    assert not judge.look(state(60, True, "fail")) and judge.stopped and judge.status == "fail"


def test_target_with_the_last_step_or_in_the_crash_is_success() -> None:
    for task in (replace(TASK, max_steps=1), TASK):
        judge = Judge(task)
        assert not judge.look(state(100, True, "fail")) and judge.status == "success"


@pytest.mark.parametrize("outcome", ["success", None, "timeout"])
def test_the_terminal_trap(outcome: str | None) -> None:
    """GameWorld's runner tasks name terminal_status success: an end that does not say 'fail' is a win."""
    judge = Judge(replace(TASK, terminal_status="success"))
    assert not judge.look(state(10, True, outcome)) and judge.stopped
    assert judge.status == "success" and judge.progress == 0.1


def test_our_own_tasks_do_not_have_the_trap() -> None:
    judge = Judge(next(iter(bridge.own_tasks().values())))
    judge.look(state(10, True, None))
    assert judge.stopped and judge.status == "unknown"


def test_without_continue_on_fail_a_crash_ends_the_run() -> None:
    judge = Judge(replace(TASK, continue_on_fail=False))
    assert not judge.look(state(10, True, "fail")) and judge.stopped and judge.status == "fail"


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        [],
        "state",
        {"game_state": None},
        state("100"),
        state(True),
        state(float("nan")),
        state(None),
    ],
)
def test_a_state_without_a_score_is_unknown_and_no_success(broken: Any) -> None:
    judge = Judge(replace(TASK, max_steps=2))
    judge.look(broken)
    judge.look(broken)
    assert (
        judge.stopped
        and judge.status == "unknown"
        and judge.progress == 0
        and judge.score_best is None
    )


def test_own_tasks_are_the_table() -> None:
    tasks = bridge.own_tasks()
    assert [t.target for t in tasks.values()] == [75, 150, 300, 500, 700]
    assert all((t.key, t.hold_s, t.max_steps) == ("Space", 0.25, 100) for t in tasks.values())


# ------------------------------------------------------------------------------------ a page that a test plays


class FakePage:
    """Scores ten a second while it plays, crashes every ``life`` seconds; its clock is the test's."""

    def __init__(
        self, life: float = 5.0, outcome: str = "fail", capture_s: float = 0.04, ready: bool = True
    ) -> None:
        self.t, self.life, self.outcome, self.capture_s, self.ready = (
            0.0,
            life,
            outcome,
            capture_s,
            ready,
        )
        self.began, self.seed, self.resets, self.keys = 0.0, None, 0, []

    def evaluate(self, script: str, argument: Any = None) -> Any:
        if "reset" in script:
            self.seed = argument if argument is not None else self.seed
            self.began, self.resets = self.t, self.resets + 1
            return {"ok": True}
        if "getState" in script:
            age = self.t - self.began
            end = age >= self.life
            found = state(int(10 * min(age, self.life)), end, self.outcome if end else None)
            return found if self.ready else {**found, "is_actionable": False}
        raise AssertionError(script)

    def grey(self, clip: Any = None, scale: float = 1.0) -> np.ndarray:
        self.t += self.capture_s
        return np.zeros((clip[3], clip[2]), np.uint8)

    def key_down(self, key: str) -> None:
        self.keys.append(("down", key, round(self.t, 3)))
        self.t += 0.01

    def key_up(self, key: str) -> None:
        self.keys.append(("up", key, round(self.t, 3)))

    def wait(self, seconds: float) -> None:
        self.t += seconds


def made(
    page: FakePage | None = None, track: str = "official", **other: Any
) -> tuple[BrowserGame, FakePage]:
    page = page or FakePage()
    task = other.pop("task", TASK)
    return BrowserGame(page, {"t_1": task}, track, now=lambda: page.t, **other), page  # type: ignore[arg-type]


def test_official_track_spends_a_hundred_actions() -> None:
    game, page = made(FakePage(life=3.0))
    frame, done, steps = game.reset("t_1", 5), False, 0
    assert frame.shape == (24, 80) and page.seed == 5
    while not done:
        _, _, done, cut, info = game.step(steps % 2)
        steps += 1
        assert not cut
    assert (steps, info["steps"], info["status"]) == (100, 100, "fail")
    result = game.score()
    assert (
        result["SR"] == 0
        and result["PG"] == pytest.approx(0.3, abs=0.03)
        and result["presses"] == 50
    )
    assert result["runs"][0]["attempts"] == page.resets > 5
    # 0.25 s of hold, 0.05 s of sleep, 0.04 s of capture; a press is acknowledged after 0.01 s
    assert result["s_per_step"] == pytest.approx(0.34 + 0.005, abs=0.005)
    downs, ups = ([t for kind, _, t in page.keys if kind == k] for k in ("down", "up"))
    np.testing.assert_allclose(np.subtract(ups, downs), 0.26, atol=2e-3)
    with pytest.raises(UserError, match="reset"):
        game.step(True)


def test_official_track_stops_at_the_target_and_waits_may_be_longer() -> None:
    game, page = made(FakePage(life=60.0))
    game.reset("t_1", 0)
    _, gain, done, _, _ = game.step(False, wait_s=5.0)
    assert not done and gain == pytest.approx(50, abs=1)
    _, gain, done, _, info = game.step(False, wait_s=5.0)
    assert done and info["status"] == "success" and page.keys == []
    assert game.score()["SR"] == 1 and game.score()["PG"] == 1 and game.score()["n"] == 1


def test_reactive_track_holds_the_key_until_a_later_decision_and_ends_by_the_clock() -> None:
    game, page = made(FakePage(life=2.5), "reactive", limit_s=10.0)
    game.reset("t_1", 0)
    for action in (0, 1, 1, 1, 0, 0):
        game.step(action)
    assert [k[0] for k in page.keys] == ["down", "up"] and page.keys[1][2] - page.keys[0][
        2
    ] == pytest.approx(0.13)
    done = cut = False
    while not (done or cut):
        *_, done, cut, info = game.step(False)
    assert cut and not done and info["status"] == "fail" and page.t == pytest.approx(10.1, abs=0.2)
    assert info["steps"] > 100, "waits are free"
    latency = game.score()["latency"]
    assert latency["capture"]["p50"] == pytest.approx(40) and latency["dispatch"][
        "p50"
    ] == pytest.approx(10)
    assert latency["all"] == pytest.approx({"p50": 50.0, "p95": 50.0, "n": 1})


def test_late_keys_and_looks_are_counted_and_books_kept_apart() -> None:
    """A look takes 40 ms, a key 10 ms; in the twin keys come within 6 ticks, 100 ms, looks within 5, 83 ms."""
    game, page = made(FakePage(life=1e9), "reactive", limit_s=1e6, task=replace(TASK, target=1e9))
    game.reset("t_1", 0)
    for think_s in (0.0, 0.0, 0.2, 0.0):
        page.t += think_s
        game.step(False)
    page.t += 0.1
    game.step(True)
    late = game.score()["late"]
    assert late["ticks"] == [6, 5]
    assert late["keys"] == [1, 1] and late["looks"][1] == 5
    assert late["looks"][0] == 2, "the one after 0.2 s, and the one after 0.1 s and a key"
    assert late["longest_ms"] == pytest.approx(240, abs=15)
    first = game.book()
    game.turn_to(None)
    game.reset("t_1", 0)
    game.step(False)
    other = game.score()
    assert other["late"]["looks"] == [0, 1] and other["n"] == 1 and other["late"]["keys"] == [0, 0]
    game.turn_to(first)
    assert game.score()["late"] == late and game.score()["n"] == 1


def test_reactive_track_refuses_the_101st_press() -> None:
    game, page = made(FakePage(life=1e9), "reactive", max_presses=3, task=replace(TASK, target=1e9))
    game.reset("t_1", 0)
    infos = [game.step(i % 2)[-1] for i in range(12)]
    assert sum(i["pressed"] for i in infos) == infos[-1]["presses"] == 3
    assert [k[0] for k in page.keys] == ["down", "up"] * 3


def test_a_crash_lets_the_key_go_and_keeps_the_best() -> None:
    game, page = made(FakePage(life=0.5), "reactive", limit_s=3.0)
    game.reset("t_1", 0)
    done, crashed = False, 0
    while not done:
        *_, done, info = game.step(True)
        crashed += info["crashed"]
    assert crashed >= 3 and [k[0] for k in page.keys][:3] == ["down", "up", "down"]
    assert game.score()["PG"] == pytest.approx(0.05)


def test_runs_are_averaged_and_an_unfinished_one_counts() -> None:
    game, page = made(FakePage(life=60.0), "reactive")
    for seed, seconds in ((1, 11.0), (2, 5.0)):
        game.reset("t_1", seed)
        page.wait(seconds)
        game.step(False)
    result = game.score()
    assert (
        result["n"] == 2
        and result["SR"] == 0.5
        and result["PG"] == pytest.approx((1 + 0.5) / 2, abs=0.01)
    )
    assert [r["seed"] for r in result["runs"]] == [1, 2] and result["track"] == "RT-reactive"
    assert "not GameWorld" in result["game"]
    json.dumps(result, allow_nan=False)


def test_hostile_use() -> None:
    game, _ = made()
    with pytest.raises(UserError, match="reset"):
        game.step(True)
    with pytest.raises(UserError, match="task: got 't_9', allowed are t_1"):
        game.reset("t_9", 0)
    assert game.score()["n"] == 0 and game.score()["latency"] == {}
    with pytest.raises(UserError, match="track: got 'turbo'"):
        made(track="turbo")
    with pytest.raises(UserError, match="cannot be played 60 s after"):
        made(FakePage(ready=False))[0].reset("t_1", 0)
    game.close()
    game.close()
    with pytest.raises(UserError, match="closed"):
        game.reset("t_1", 0)


def test_contract_check_names_what_is_missing() -> None:
    class Bare:
        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def evaluate(self, script: str, argument: Any = None) -> Any:
            return self.answer if script == "gameAPI.getState()" else self.kind(script)

        def kind(self, script: str) -> str:
            return "undefined" if "__pause" in script or "init" in script else "function"

    found = bridge.contract_problems(Bare({"status": "asleep", "terminal": {}}))  # type: ignore[arg-type]
    assert {
        "no gameAPI.init",
        "no __pauseGame",
        "the state has no terminal.outcome",
        "the state has no metrics.speed",
        "the state has no debug",
    } <= set(found)
    assert any("'asleep'" in p for p in found) and "the state has no status" not in found


# ------------------------------------------------------------------------------------ a clone of GameWorld, made up


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as the contract describes them, filled by us: our page, a task of ours. JSON is YAML too."""
    monkeypatch.setitem(sys.modules, "yaml", SimpleNamespace(safe_load=json.loads))
    rules = {
        "game_roles": [
            {"computer_use_controls": {"allowed_keys": ["Space", "ArrowUp"], "hold_duration": 0.25}}
        ]
    }
    task = {
        "task_id": "99_01",
        "task_target_score_field": 5,
        "task_start_score_field": 0,
        "max_steps": 100,
        "continue_on_fail": True,
        "evaluator_config": {
            "terminal_status": "success",
            "score_field": "game_state.score",
            "end_field": "terminal.isTerminal",
        },
    }
    files = {
        "catalog/games/99_own.yaml": json.dumps(rules),
        "catalog/tasks/99_own/99_01.yaml": json.dumps(task),
        "env/browser_scripts/dynamic_speed_control.js": "window.clockAt = __INITIAL_SPEED_MULTIPLIER__;",
        "env/browser_scripts/deterministic_random.js": "window.seedAt = __RANDOM_SEED__;",
    }
    for name in ("index.html", "runner.js"):
        files[f"games/benchmark/99_own/{name}"] = (runner.FOLDER / name).read_text(encoding="utf-8")
    for name, text in files.items():
        path = tmp_path / "clone" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "clone"


def test_catalog_of_a_clone(clone: Path) -> None:
    tasks, page = bridge.gameworld_tasks(clone, "99_own")
    assert tasks == {"99_01": Task("99_01", 5.0, terminal_status="success")}
    assert page == clone / "games" / "benchmark" / "99_own"
    inner = clone / "games" / "benchmark" / "benchmark"
    inner.mkdir()
    page.rename(inner / "99_own")
    assert bridge.gameworld_tasks(clone, "99_own")[1] == inner / "99_own"


def test_a_clone_that_is_not_whole(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(match: str, folder: Path = clone, game: str = "99_own") -> None:
        with pytest.raises(UserError, match=match) as e:
            bridge.gameworld_game(folder, game)
        assert "\n" not in str(e.value)

    refused("--gameworld: got .*nowhere, which is no folder", tmp_path / "nowhere")
    refused("--game: got '98_other'.* it holds 99_own", game="98_other")
    refused("is it a clone of GameWorld", tmp_path)
    (clone / "env/browser_scripts/deterministic_random.js").unlink()
    refused("got no .*deterministic_random.js")
    task = clone / "catalog/tasks/99_own/99_01.yaml"
    text = task.read_text(encoding="utf-8")
    for broken in ("[]", "{}", "{", text.replace("100", '"many"')):
        task.write_text(broken, encoding="utf-8")
        refused("99_01.yaml is not as expected")
    task.write_text(text, encoding="utf-8")
    (clone / "games/benchmark/99_own/index.html").unlink()
    refused("got no index.html of 99_own")
    monkeypatch.setitem(sys.modules, "yaml", None)
    refused("pyyaml is missing.*uv pip install pyyaml")


def test_nothing_of_the_browser_is_imported_with_the_module() -> None:
    import subprocess

    code = (
        "import sys, games.gameworld.bridge; "
        "print([m for m in ('playwright', 'yaml', 'env', 'catalog') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------ browser and server


def test_served_folder_needs_a_page(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="index.html"), served(tmp_path):
        pass


def test_served_files_come_from_loopback_and_the_port_is_freed() -> None:
    from urllib.error import URLError
    from urllib.request import urlopen

    with served(runner.FOLDER) as address, served(runner.FOLDER) as other:
        assert address.startswith("http://127.0.0.1:") and address != other
        assert b"runner.js" in urlopen(address, timeout=5).read()
        with pytest.raises(URLError):
            urlopen(address + "../../pyproject.toml", timeout=5)
    with pytest.raises(URLError):
        urlopen(address, timeout=5)


def answer(address: str, path: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of a request whose path is sent as it stands."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    connection = HTTPConnection(urlsplit(address).netloc, timeout=5)
    connection.request("GET", path, headers=headers)
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, body


def test_nothing_leaves_the_folder_of_the_page(tmp_path: Path) -> None:
    """Neither through a link, nor through dots, nor under another name; each try is counted."""
    page, secret = tmp_path / "page", tmp_path / "secret.txt"
    (page / "deep").mkdir(parents=True)
    (page / "index.html").write_text("the page", encoding="utf-8")
    (page / "deep" / "a.txt").write_text("inside", encoding="utf-8")
    secret.write_text("not for the page", encoding="utf-8")
    doors = ["/../secret.txt", "/%2e%2e/secret.txt", "/deep/..%2f..%2fsecret.txt", "//etc/passwd"]
    doors += ["/..%5csecret.txt", "/%00", "/deep/%2e%2e/%2e%2e/secret.txt"]
    links = {"link.txt": secret, "folder": tmp_path, "again": page / "again"}
    for name, target in links.items():
        try:
            (page / name).symlink_to(target)
        except OSError:
            pytest.skip("this system allows no symbolic links")
    linked = ["/link.txt", "/folder/secret.txt", "/folder", "/folder/", "/again/secret.txt"]
    refused: list[str] = []
    with served(page, refused) as address:
        assert answer(address, "/") == (200, b"the page")
        assert answer(address, "/deep/a.txt?x=1")[0] == 200 and refused == []
        for door in [*doors, *linked]:
            status, body = answer(address, door)
            assert status in (400, 403, 404) and b"not for" not in body, door
        assert {*linked, *doors} - {"//etc/passwd"} <= set(refused)  # that is a name inside
        if hasattr(os, "mkfifo"):
            os.mkfifo(page / "pipe")
            assert answer(address, "/pipe")[0] == 403, "nobody waits for a pipe"
        assert answer(address, "/deep/")[0] == 404, "a folder is not listed"
        before = len(refused)
        assert answer(address, "/", Host="evil.example")[0] == 403
        assert refused[before:] == ["/"]
        (page / "inner.txt").symlink_to(page / "deep" / "a.txt")
        assert answer(address, "/inner.txt") == (200, b"inside"), "a link that stays inside"


def test_a_page_that_is_itself_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "index.html").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with served(tmp_path / "link") as address:
        assert answer(address, "/") == (200, b"x")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:5000/a.js", True),
        ("http://127.0.0.1:5001/a.js", False),
        ("http://localhost:5000/a.js", False),
        ("https://127.0.0.1:5000/", False),
        ("http://127.0.0.1.evil.example:5000/", False),
        ("http://127.0.0.1:5000@evil.example/", False),
        ("http://evil.example/127.0.0.1:5000", False),
        ("http://127.0.0.1/", False),
        ("file:///etc/passwd", False),
        ("data:text/plain,x", False),
        ("about:blank", False),
        ("http://[::1", False),
        ("http://127.0.0.1:port/", False),
        ("", False),
    ],
)
def test_only_the_pages_own_address_is_let_through(url: str, allowed: bool) -> None:
    page = object.__new__(Page)
    page.refused, page._origin = [], ("http", "127.0.0.1", 5000)
    done = []
    route = SimpleNamespace(
        request=SimpleNamespace(url=url),
        continue_=lambda: done.append("continued"),
        abort=lambda: done.append("aborted"),
    )
    page._guard(route)
    assert done == (["continued"] if allowed else ["aborted"])
    assert page.refused == ([] if allowed else [url])
    page._no_socket(SimpleNamespace(url="ws://127.0.0.1:5000/"))  # it has nothing to connect with
    assert page.refused[-1] == "ws://127.0.0.1:5000/"
    with pytest.raises(UserError, match=r"expected one of http://127\.0\.0\.1"):
        page.goto("https://example.org/")


def test_what_was_refused_stands_in_the_score() -> None:
    game, page = made(FakePage(life=60.0))
    assert game.score()["refused"] == 0
    page.refused = ["ws://evil.example/", "/link.txt"]
    assert game.score()["refused"] == 2


def test_a_browser_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="--browser: got .*nothing"):
        find_browser(tmp_path / "nothing")
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(UserError, match="playwright is missing.*uv sync"):
        find_browser()


def page_or_skip() -> Page:
    try:
        return Page()
    except UserError as e:
        pytest.skip(f"no browser: {e}")


@pytest.fixture(scope="class")
def browser() -> Iterator[BrowserGame]:
    """Our game in one browser for all tests that need no other: to start one takes seconds."""
    try:
        game = bridge.own_game()
    except UserError as e:
        pytest.skip(f"no browser: {e}")
    with game:
        yield game


class TestOneBrowser:
    """Tests that share one browser."""

    def test_our_page_keeps_the_contract(self, browser: BrowserGame) -> None:
        game = browser
        host = game.host
        assert bridge.contract_problems(host) == []
        assert host.evaluate("gameAPI.version") == "2.0"
        asked = {
            "supports_seed",
            "supports_level_select",
            "supports_difficulty",
            "supports_inplace_reset",
            "supports_reload_reset",
            "supports_pause_detection",
            "supports_menu_detection",
            "provides_actionable_flag",
        }
        assert set(host.evaluate("gameAPI.capabilities")) == asked
        answer = host.evaluate("gameAPI.reset({seed: 4, level: 2})")
        assert (
            answer["ok"]
            and answer["applied"] == {"seed": 4}
            and answer["method"] == "inplace"
            and answer["notes"]
        )
        assert host.evaluate("gameAPI.init({seed: -1})")["ok"] is False
        assert host.evaluate("__getRandomSeed()") == 4
        first = host.evaluate("gameAPI.getState().debug.runSeed")
        host.evaluate("gameAPI.reset({})")
        assert [first, host.evaluate("gameAPI.getState().debug.runSeed")] == runner.run_seeds(4, 2)

    def test_pause_speed_and_untrusted_keys(self, browser: BrowserGame) -> None:
        game = browser
        host = game.host

        def ticks(seconds: float) -> int:
            before = host.evaluate("gameAPI.getState().debug.tick")
            host.wait(seconds)
            return host.evaluate("gameAPI.getState().debug.tick") - before

        host.evaluate("gameAPI.reset({seed: 1})")
        host.evaluate("dispatchEvent(new KeyboardEvent('keydown', {code: 'Space'}))")
        assert 15 < ticks(0.5) < 60
        assert host.evaluate("gameAPI.getState().debug.keyLog") == [], (
            "a page's own event is not a key"
        )
        host.evaluate("__pauseGame()")
        assert ticks(0.3) == 0 and host.evaluate("gameAPI.getState().status") == "paused"
        speed = host.evaluate("__getGameSpeedState()")
        assert (
            speed["isPaused"] and speed["speedMultiplier"] == 1 and speed["totalPausedTime"] > 250
        )
        assert host.evaluate("__setGameSpeed(0.25)") and not host.evaluate("__setGameSpeed('fast')")
        host.evaluate("__resumeGame()")
        assert not host.evaluate("__isGamePaused()") and ticks(0.6) < 20
        assert host.evaluate("__setGameSpeed(1)")

    @pytest.mark.parametrize("track", bridge.TRACKS)
    def test_a_run_in_the_browser_is_what_the_simulator_says(
        self, browser: BrowserGame, track: str
    ) -> None:
        """No key is pressed: where the run crashes is known, whatever the browser's pace."""
        game = BrowserGame(browser.host, browser.tasks, track, limit_s=30.0)
        frame = game.reset("runner_01", 21)
        assert frame.shape == (24, 80) and frame.dtype == np.uint8 and frame.max() > 200
        crashed, steps = False, 0
        while not crashed and steps < 300:
            frame, gain, terminated, truncated, info = game.step(False)
            crashed, steps = info["crashed"], steps + 1
        still = runner.play(runner.run_seeds(21, 1), np.zeros((600, 1), bool))
        assert crashed and info["score_best"] == still.score[0]
        result = game.score()
        assert result["PG"] == pytest.approx(still.score[0] / 75) and result["SR"] == 0
        assert (
            set(result["latency"]) == {"capture", "preprocess", "policy"} and result["presses"] == 0
        )
        assert game.host.refused == []

    def test_a_frame_in_the_browser_is_the_simulators(self, browser: BrowserGame) -> None:
        game = browser
        game.reset("runner_01", 2)
        game.step(True)
        game.host.evaluate("__pauseGame()")
        game.host.wait(0.1)
        frame, _ = game.observe()
        debug = game.host.evaluate("gameAPI.getState().debug")
        sim = runner.play(
            [debug["runSeed"]], runner.key_ticks(debug["keyLog"], debug["tick"])[:, None]
        )
        np.testing.assert_array_equal(frame, sim.render()[0])


def test_a_page_that_wants_out(tmp_path: Path) -> None:
    """Scripts, pictures, requests, sockets: what is asked of another host or port is refused and counted."""
    with served(runner.FOLDER) as other, page_or_skip() as page:
        (tmp_path / "index.html").write_text("<p>here</p>", encoding="utf-8")
        (tmp_path / "secret").symlink_to(Path(__file__))
        with served(tmp_path, page.refused) as address:
            page.goto(address)
            assert page.evaluate("document.body.innerText") == "here"
            ask = "url => fetch(url, {mode: 'no-cors'}).then(r => r.status, () => 'refused')"
            assert page.evaluate(ask, address) == 200 and page.refused == []
            for url in (other, "http://192.0.2.1/", "https://example.org/x"):
                assert page.evaluate(ask, url) == "refused"
                assert page.refused[-1].startswith(url)
            assert page.evaluate(ask, address + "secret") == 403 and page.refused[-1] == "/secret"
            connect = """url => new Promise(done => { const s = new WebSocket(url);
                s.onmessage = () => done('heard'); s.onopen = () => s.send('x');
                setTimeout(() => done('silent'), 300) })"""
            for url in ("ws://127.0.0.1:9/", "wss://example.org/", address.replace("http", "ws")):
                assert page.evaluate(connect, url) == "silent"
                assert page.refused[-1].startswith(url)


def test_a_game_of_a_clone_in_the_browser(clone: Path) -> None:
    """The way through a clone's folders, with our own page in the place of a game."""
    try:
        find_browser()
    except UserError as e:
        pytest.skip(f"no browser: {e}")
    with bridge.gameworld_game(clone, "99_own", seed=9, limit_s=20.0) as game:
        assert (
            game.host.evaluate("[clockAt, seedAt]") == [1.0, 9] and game.label == "GameWorld 99_own"
        )
        game.reset("99_01", 3)
        done = False
        while not done:
            frame, _, done, cut, info = game.step(False)
            assert not cut
        assert info["status"] == "success" and info["score_best"] >= 5 and frame.shape == (24, 80)


def test_the_recorder_uses_the_same_crop() -> None:
    assert recorded.CROP == BrowserGame.__dataclass_fields__["clip"].default
