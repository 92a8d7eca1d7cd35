"""Exercises with hidden checks, three for each notebook: what a learner wrote is judged in words.

A lesson is one file here and a line in `LESSONS`; its notebook is `notebooks/lessons/NN_*_exercises.ipynb`, with
solutions beside it. A check computes its truth, on inputs of a fixed seed; no answer is written down anywhere here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from labkit.errors import BadInput
from labkit.lessons.exercise import Exercise, Told

# Modules, not objects: the exercises of one notebook must not wait for what another one imports.
LESSONS = {
    "00": "labkit.lessons.tour",
    "01": "labkit.lessons.random_search",
    "02": "labkit.lessons.frontier",
    "03": "labkit.lessons.queries",
    "04": "labkit.lessons.embeddings",
    "05": "labkit.lessons.finetune",
}


def lesson(number: str) -> dict[str, Exercise]:
    """The exercises of a notebook, by name, in the order in which they are set.

    Raises:
        BadInput: there is no such notebook.
    """
    if number not in LESSONS:
        raise BadInput("lesson", number, "one of " + ", ".join(LESSONS))
    return {one.name: one for one in import_module(LESSONS[number]).EXERCISES}


def judge(name: str, answer: Any) -> Told:
    """Whether an answer is right, and words that explain it.

    Args:
        name: the notebook's number and the exercise's name: "00.interval".
        answer: a function or a value, as the exercise asks; `...` where nothing is filled in yet.

    Raises:
        BadInput: there is no such exercise.
    """
    exercises = lesson(name.partition(".")[0])
    if name not in exercises:
        raise BadInput("exercise", name, "one of " + ", ".join(exercises))
    return exercises[name].judge(answer)


def check(name: str, answer: Any) -> None:
    """Print what `judge` says; for the last line of a learner's cell."""
    print(judge(name, answer).words)
