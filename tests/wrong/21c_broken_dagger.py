"""Wrong versions of exercise 21c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _dagger(teacher, student, new_games, fit, rounds, steps, answer=None, plays=None, all_=True):
    """The solution with a mistake: ``answer(games, state, values)`` for a state, ``plays(k)`` in round k."""
    states, answers = [], []
    for k in range(rounds):
        player = plays(k) if plays else (teacher if k == 0 else student)
        games = new_games()
        if not all_:
            states, answers = [], []
        for _ in range(steps):
            state = games.state()
            with torch.no_grad():
                values = player(state)
            games.step(values.argmax(1))
            states.append(state)
            answers.append(answer(games, state, values) if answer else teacher(state))
        fit(torch.cat(states), torch.cat(answers))


def as_given(teacher, student, *rest):
    """by whose answers is it marked?"""
    _dagger(teacher, student, *rest, answer=lambda games, state, values: values)


def the_students_action_as_the_answer(teacher, student, *rest):
    """The marks rise and the game does not"""

    def answer(games, state, values):
        return torch.nn.functional.one_hot(values.argmax(1), 3).float()

    _dagger(teacher, student, *rest, answer=answer)


def teacher_plays_all_rounds(teacher, student, *rest):
    """to which the student's own mistakes lead"""
    _dagger(teacher, student, *rest, plays=lambda k: teacher)


def student_plays_from_the_start(teacher, student, *rest):
    """The teacher shows the way first"""
    _dagger(teacher, student, *rest, plays=lambda k: student)


def asked_after_the_step(teacher, student, *rest):
    """Does each answer belong to the state"""
    _dagger(teacher, student, *rest, answer=lambda games, state, values: teacher(games.state()))


def teachers_action_alone(teacher, student, *rest):
    """how much better an action is"""

    def answer(games, state, values):
        return torch.nn.functional.one_hot(teacher(state).argmax(1), 3).float()

    _dagger(teacher, student, *rest, answer=answer)


def earlier_rounds_are_dropped(teacher, student, *rest):
    """What is not shown again is forgotten"""
    _dagger(teacher, student, *rest, all_=False)
