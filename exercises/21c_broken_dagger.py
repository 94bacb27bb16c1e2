"""21c  Top marks and no progress: broken on purpose

Capstone A, section 3, equation (3), on a game that runs in a second: a ball flies towards a paddle, bounces
off two walls, and has to be met. The teacher knows where the ball will land. The student, a small network,
is trained after each of three rounds on all that has been collected so far. The program runs, and in each
round the student gets better at giving the answers that it was taught. It does not get better at the game.
Run it, read what it prints about the three rounds, find the one mistake, and mend it.

    teacher, student   state (B, 4) → values of the actions down, stay and up, (B, 3): Q, or logits z
    new_games()        B games at their start: .state() → (B, 4); .step(actions (B,)) plays one step
    fit(states, answers)     trains the student by equation (3) on (n, 4) and (n, 3): p = softmax(answers/τ)

The teacher plays the first round, the student all others. About 10 minutes.

Run:  uv run exercises/21c_broken_dagger.py
"""

from __future__ import annotations

import _root  # noqa: F401

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tutor.exercises import Exercise, Wrong

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Player = Callable[[Tensor], Tensor]


@torch.no_grad()
def dagger(
    teacher: Player, student: Player, new_games, fit, num_rounds: int, num_steps: int
) -> None:
    """Train the student in rounds, on states that both visit."""
    states, answers = [], []
    for k in range(num_rounds):
        player = teacher if k == 0 else student
        games = new_games()
        for _ in range(num_steps):
            state = games.state()  # (B, 4)
            values = player(state)  # (B, 3)
            states.append(state)
            answers.append(values)
            games.step(values.argmax(1))
        fit(torch.cat(states), torch.cat(answers))


# ---- nothing to edit below this line

ROUNDS, STEPS, GAMES = 3, 32, 16
PACE, REACH, WAY = 0.05, 0.08, 16  # paddle's step, half its height, steps of a ball's flight
TAU = 0.3


@contextmanager
def one_thread() -> Iterator[None]:
    """Tensors as small as these gain nothing by more threads, which on a busy machine only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Game:
    """B games side by side. A state: steps until the ball is there, its height, its speed, the paddle's height."""

    def __init__(self, num: int, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.paddle = torch.full((num,), 0.5)
        self.left = torch.randint(1, WAY + 1, (num,), generator=self.generator)
        self.y, self.v = self.serve()
        self.balls = self.met = 0
        self.actions: list[Tensor] = []

    def serve(self) -> tuple[Tensor, Tensor]:
        """Height and speed of new balls."""
        y, v = torch.rand(2, len(self.paddle), generator=self.generator)
        return y, 0.08 * (2 * v - 1)

    def state(self) -> Tensor:
        return torch.stack((self.left / WAY, self.y, self.v / 0.08, self.paddle), 1)  # (B, 4)

    def step(self, action: Tensor) -> None:
        self.actions.append(action)
        self.paddle = (self.paddle + PACE * (action - 1)).clamp(0, 1)
        y = self.y + self.v
        self.v = torch.where((y < 0) | (y > 1), -self.v, self.v)  # off the wall
        self.y = 1 - (1 - y.abs()).abs()
        self.left = self.left - 1
        there = self.left == 0
        self.balls += int(there.sum())
        self.met += int((there & ((self.y - self.paddle).abs() <= REACH)).sum())
        y, v = self.serve()
        self.y, self.v = torch.where(there, y, self.y), torch.where(there, v, self.v)
        self.left = torch.where(there, WAY, self.left)


def landing_teacher(state: Tensor) -> Tensor:
    """Q of the three actions: how far the paddle then is from where the ball will land, in steps, times −1."""
    left, y, v, paddle = state.unbind(1)
    straight = (y + 0.08 * v * WAY * left) % 2  # without walls
    land = 1 - (1 - straight).abs()
    after = (paddle[:, None] + PACE * torch.tensor([-1.0, 0.0, 1.0])).clamp(0, 1)
    return -(land[:, None] - after).abs() / PACE


def games_from(seed: int):
    """``new_games``, with a list of the games that it has made."""
    made: list[Game] = []

    def new_games() -> Game:
        made.append(Game(GAMES, seed + len(made)))
        return made[-1]

    return new_games, made


@torch.no_grad()
def balls_met(player: Player) -> float:
    """Share of the balls that ``player`` meets in games of its own."""
    games = Game(64, 999)
    for _ in range(6 * WAY):
        games.step(player(games.state()).argmax(1))
    return games.met / games.balls


def small_network() -> nn.Module:
    """The student, with random weights."""
    torch.manual_seed(0)
    hidden = (nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    return nn.Sequential(*hidden, nn.Linear(32, 3))


@torch.enable_grad()
def train(student: nn.Module, states: Tensor, answers: Tensor) -> None:
    """Sixty gradient steps of equation (3), without a price, with momentum."""
    p, weights = F.softmax(answers / TAU, 1), list(student.parameters())
    pushes = [torch.zeros_like(w) for w in weights]
    for _ in range(60):
        loss = -(p * F.log_softmax(student(states), 1)).sum(1).mean()
        grads = torch.autograd.grad(loss, weights)
        for w, push, grad in zip(weights, pushes, grads, strict=True):
            push.mul_(0.9).add_(grad)
            w.data.sub_(0.1 * push)


def in_percent(shares: list[float]) -> str:
    return ", ".join(f"{100 * share:.0f}" for share in shares) + " %"


@one_thread()
def check_game(dagger) -> None:
    """the student gets better at the game, round by round"""
    student, marks, met, taught = small_network(), [], [], []

    def fit(states: Tensor, answers: Tensor) -> None:
        train(student, states, answers)
        same = student(states).argmax(1) == answers.argmax(1)
        marks.append(float(same.float().mean()))
        met.append(balls_met(student))
        taught[:] = states, answers

    dagger(landing_teacher, student, games_from(100)[0], fit, ROUNDS, STEPS)
    if len(met) != ROUNDS:
        raise Wrong(f"fit was called {len(met)} times in {ROUNDS} rounds, expected once a round.")
    if met[-1] > met[0] + 0.12:
        return
    told = (
        f"after rounds 1 to {ROUNDS} the student gives the answers that it was taught in {in_percent(marks)} of "
        f"their states, and in a game it meets {in_percent(met)} of the balls (teacher: "
        f"{in_percent([balls_met(landing_teacher)])})."
    )
    smell = "Does each answer belong to the state that stands beside it?"
    if marks[-1] > marks[0] + 0.05:
        smell = "The marks rise and the game does not: by whose answers is it marked?"
    if torch.allclose(taught[1], landing_teacher(taught[0]), atol=1e-4):
        smell = (
            "The answers are the teacher's. So look at the states: those to which the student's own mistakes "
            "lead are what it has to learn about."
        )
    raise Wrong(f"{told} {smell}")


def recorded(dagger) -> tuple[list[Game], list[tuple[Tensor, Tensor]], nn.Module]:
    """Rounds in which the student learns nothing: its games, and what ``fit`` was given."""
    student, given = small_network(), []
    new_games, made = games_from(300)

    def fit(states: Tensor, answers: Tensor) -> None:
        given.append((states.clone(), answers.clone()))

    dagger(landing_teacher, student, new_games, fit, ROUNDS, STEPS)
    if len(made) != ROUNDS or len(given) != ROUNDS:
        raise Wrong(
            f"{len(made)} times new games and {len(given)} times fit, expected {ROUNDS} of each."
        )
    for k, games in enumerate(made):
        if len(games.actions) != STEPS:
            raise Wrong(
                f"round {k + 1} was played for {len(games.actions)} steps, expected {STEPS}."
            )
    return made, given, student


@one_thread()
def check_players(dagger) -> None:
    """the teacher plays the first round, the student all others"""
    made, _, student = recorded(dagger)
    for k, games in enumerate(made):
        player, name = (student, "student") if k else (landing_teacher, "teacher")
        again = Game(GAMES, 300 + k)
        for t, action in enumerate(games.actions):
            with torch.no_grad():
                wanted = player(again.state()).argmax(1)
            if torch.equal(action, wanted):
                again.step(action)
                continue
            smell = "The teacher shows the way first."
            if k:
                smell = "The states to which the student's own mistakes lead are what it has to learn about."
            raise Wrong(
                f"round {k + 1}, step {t}: the games got another action than the {name}'s. {smell}"
            )


@one_thread()
def check_answers(dagger) -> None:
    """each state has the teacher's answer to it"""
    made, given, _ = recorded(dagger)
    states, answers = given[-1]
    wanted = landing_teacher(states)
    if answers.shape == wanted.shape and torch.allclose(answers, wanted, atol=1e-4):
        return
    if answers.shape != wanted.shape:
        raise Wrong(f"answers: got shape {tuple(answers.shape)}, expected {tuple(wanted.shape)}.")
    i = int((answers - wanted).abs().amax(1).gt(1e-4).nonzero()[0])
    smell = "Does each answer belong to the state that stands beside it?"
    if set(answers.unique().tolist()) <= {0.0, 1.0}:
        smell = "Hand on its values: how much better an action is counts in equation (3)."
    raise Wrong(
        f"round {i // (GAMES * STEPS) + 1}: in state {i} the teacher says {rounded(wanted[i])}, the record says "
        f"{rounded(answers[i])}. {smell}"
    )


def rounded(values: Tensor) -> list[float]:
    return [round(v, 2) for v in values.tolist()]


@one_thread()
def check_all_rounds(dagger) -> None:
    """what earlier rounds have seen is learnt again"""
    _, given, _ = recorded(dagger)
    for k, (states, _) in enumerate(given):
        wanted = (k + 1) * GAMES * STEPS
        before = given[k - 1][0] if k else states[:0]
        if len(states) == wanted and torch.equal(states[: len(before)], before):
            continue
        raise Wrong(
            f"after round {k + 1} fit got {len(states)} states, expected {wanted}: those of all rounds so far, "
            "in their order. What is not shown again is forgotten."
        )


EXERCISE = Exercise(
    solve=dagger,
    checks=(check_game, check_players, check_answers, check_all_rounds),
    hints=(
        "Go through the loop for k = 0 and again for k = 1. Which of the names in it stand for something else "
        "then?",
        "In round 1 whoever plays is also whoever knows. From round 2 on these are two: one is asked what to do, "
        "the other what would have been right.",
        "answers.append(teacher(state)); the values that choose the action remain the player's.",
    ),
    why=(
        "A student that learns from its own answers can only become surer of them. DAgger takes the states from the "
        "student, because these are the ones it will meet, and the answers from the teacher, because it knows them. The "
        "student's marks rise less then: each round asks what it did not know. After the three rounds of this game it meets "
        "26, 59 and 63 % of the balls; with the mistake 26, 25 and 25 %; and if the teacher plays all rounds 26, 24 and "
        "28 %, for then both states and answers are right and the states are those of somebody else."
    ),
)

if __name__ == "__main__":
    EXERCISE.main()
