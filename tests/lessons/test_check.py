"""How an answer is judged: nothing filled in, another kind of thing, an error, a wrong part, and the right one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labkit import lessons
from labkit.errors import BadInput
from labkit.lessons.exercise import Exercise, Mistake

DOUBLE = Exercise(
    name="99.ends",
    task="Write a function ends(values) of the lowest and the highest value.",
    returns="two numbers",
    truth=lambda values: (values.min(), values.max()),
    cases=lambda generator: [(generator.normal(size=5),), (generator.normal(size=3) + 10,)],
    mistakes=(Mistake(lambda values: (values.max(), values.min()), "the order is turned round"),),
    hint="sort them.",
    lesson="Well done.",
    parts=("low", "high"),
)


def words(answer: object, exercise: Exercise = DOUBLE) -> str:
    told = exercise.judge(answer)
    assert told.right == told.words.startswith("right")
    assert "\n" not in told.words
    return told.words


def test_right() -> None:
    assert words(lambda values: (min(values), max(values))) == "right. Well done."
    assert words(lambda values: torch.tensor([min(values), max(values)], dtype=torch.float64)) == "right. Well done."
    assert words(lambda values: np.array([values.min(), values.max()]) * (1 + 1e-7)) == "right. Well done."


@pytest.mark.parametrize("answer", [..., lambda values: ...])
def test_nothing_filled_in(answer: object) -> None:
    assert words(answer) == f"nothing filled in yet. {DOUBLE.task}"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (3, "expected a function of values; yours is one number"),
        ("min", "expected a function of values; yours is a text"),
        (lambda values: None, "your function returns nothing: a line with `return` is missing"),
        (
            lambda values: 1 / 0,
            "your function stopped with ZeroDivisionError: division by zero (called with 5 numbers)",
        ),
        (lambda: 1, "your function stopped with TypeError"),
        (lambda values: 1.0, "expected two numbers; yours is one number"),
        (lambda values: values, "expected two numbers; yours is 5 numbers"),
        (lambda values: {"low": 1}, "expected two numbers; yours is a dict"),
        (lambda values: [[1, 2], [3]], "expected two numbers; yours is a list"),
        (lambda values: (values.max(), values.min()), "the order is turned round"),
        (lambda values: (values.min() - 1, values.max()), "low is too"),
        (lambda values: (values.min(), np.nan), "high is no finite number (wrong in 2 of 2 tries). Hint: sort them."),
        (lambda values: (values.min(), max(values.max(), 5)), "high is too large (wrong in 1 of 2 tries). Hint"),
        (lambda values: (values.min(), -values.max()), "high is of the wrong sign (wrong in 2 of 2 tries)"),
    ],
)
def test_what_is_wrong_is_named(answer: object, told: str) -> None:
    assert words(answer).startswith(f"not yet: {told}")


def test_an_answer_that_changes_from_call_to_call() -> None:
    generator = np.random.default_rng(0)
    assert "two calls with the same input" in words(lambda values: generator.normal(size=2))


def test_a_function_that_changes_its_input_spoils_nothing() -> None:
    def sorting(values: np.ndarray) -> tuple[float, float]:
        values.sort()
        ends = values[0], values[-1]
        values[:] = 0
        return ends

    assert words(sorting) == "right. Well done."


def test_a_value() -> None:
    exercise = Exercise(
        name="99.six", task="?", returns="one number", truth=lambda: 6, mistakes=(), hint="3!", lesson="Yes."
    )
    assert words(6, exercise) == "right. Yes."
    assert words(np.float32(6), exercise) == "right. Yes."
    assert words(7, exercise) == "not yet: it is too large. Hint: 3!"
    assert words(..., exercise) == "nothing filled in yet. ?"
    assert words(lambda: 6, exercise) == "not yet: expected one number; yours is a function"


def test_the_inputs_are_the_same_each_time() -> None:
    (first, *_), (again, *_) = DOUBLE.tried(), DOUBLE.tried()
    assert np.array_equal(first[0], again[0])


def test_check_prints_what_judge_says(capsys: pytest.CaptureFixture[str]) -> None:
    lessons.check("00.nodes_left", ...)
    assert capsys.readouterr().out == lessons.judge("00.nodes_left", ...).words + "\n"


@pytest.mark.parametrize("name", ["06.gain", "gain", "00.gian", ""])
def test_an_unknown_exercise_is_bad_input(name: str) -> None:
    with pytest.raises(BadInput, match="one of 00"):
        lessons.check(name, 1)


@pytest.mark.parametrize("number", lessons.LESSONS)
def test_a_lesson_is_two_or_three_exercises_named_after_it(number: str) -> None:
    exercises = lessons.lesson(number)
    assert 2 <= len(exercises) <= 3
    assert all(name.startswith(f"{number}.") and name == one.name for name, one in exercises.items())
