"""Stages of one plan, each advanced by a trainer of its own: what is done once costs the plan, what is redone more."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.experiments.executions import Stretch, advance, cost, ledger_rows, stretches, together
from labkit.generators import exhaust
from labkit.population import MLP
from labkit.privacy import Plan, PrivateTrainer, spent
from labkit.privacy.events import dp_sgd
from labkit.runs.events import Checkpoint, Chunk, Progress
from labkit.runs.experiment import Resources

ARCH, N, STEPS, CUT = MLP((4, 3, 2)), 60, 10, 4
SPANS = {"work": (0, CUT), "work-second": (CUT, STEPS)}  # the one name begins like the other


def plan(source: str = "os") -> Plan:
    return Plan.calibrated(epsilon=2, examples=N, batch_size=12, steps=STEPS, clip_norm=1.0, noise_source=source)


def steps_cost(made: Plan, count: int) -> float:
    return spent([dp_sgd(made.sample_rate, made.noise_multiplier, count)], made.delta).epsilon


class Lab:
    """A bench whose store is two dictionaries."""

    def __init__(self) -> None:
        self.chunks, self.checkpoints, self.done = {}, {}, 0.0
        self.resources = Resources(torch.device("cpu"), None, self.chunks, self.checkpoints)

    def progress(self, what: str) -> Progress:
        return Progress(self.done, 2.0, what)

    def keep(self, event) -> None:
        if isinstance(event, Chunk):
            self.chunks[event.key] = dict(event.tensors)
        if isinstance(event, Checkpoint):
            self.checkpoints[event.key] = event.make()


def trainer(made: Plan, name: str, start) -> PrivateTrainer:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(N, 4, generator=generator), torch.randint(0, 2, (N,), generator=generator)
    return PrivateTrainer(
        ARCH, start, [made], x, y, learning_rate=0.5, span=SPANS[name],
        draw_keys=[made.draw_key(0, "draw")], noise_keys=[made.noise_key(0, "work", 0)],
    )  # fmt: skip


def whole(lab: Lab, made: Plan, looked: list[int], spans=SPANS) -> Iterator:
    """All stages, one after the other; returns what was begun and the weights."""
    start, begun = ARCH.init([0]), []
    for name in spans:
        if f"{name} done" in lab.chunks:
            start, past = lab.chunks[f"{name} done"], stretches(lab.chunks, name)
            begun.append(past or [Stretch(0, *spans[name])])
            continue
        now = trainer(made, name, start)
        looks = (2, CUT, 7, STEPS)
        found = yield from advance(lab, 0, name, now, seconds=1.0, looks=looks, look=lambda at: [looked.append(at)][1:])
        begun.append(found)
        start = {key: held.clone() for key, held in now.params.items()}
        yield 0, Chunk(f"{name} done", start)
    return begun, start


def run(lab: Lab, made: Plan, until: str = "", looked: list[int] | None = None):
    """What was begun, and the weights; None where it was stopped at the first word that starts with `until`."""
    events = whole(lab, made, [] if looked is None else looked)
    while True:
        try:
            _, event = next(events)
        except StopIteration as end:
            return end.value
        if until and getattr(event, "what", "").startswith(until):
            return None
        lab.keep(event)


def test_nothing_redone_costs_the_plan():
    lab, made, looked = Lab(), plan(), []
    begun, _ = run(lab, made, looked=looked)
    assert looked == [2, CUT, 7, STEPS]  # every look once, in its stage
    assert begun == [[Stretch(0, 0, 2), Stretch(0, 2, CUT)], [Stretch(0, CUT, 7), Stretch(0, 7, STEPS)]]
    assert cost(made, together(begun)) == made.spent_after(STEPS)
    assert lab.done == 2.0


@pytest.mark.parametrize(("until", "redone"), [("work: step 2", 1), ("work-second: step 6", 2), ("work-second", 3)])
def test_a_stage_that_was_stopped_and_done_again_costs_more_than_the_plan(until, redone):
    """Redone are the steps of the stretch that was begun, from the last checkpoint on."""
    lab, made = Lab(), plan()
    assert run(lab, made, until) is None
    begun, _ = run(lab, made)
    stage = 0 if until.startswith("work:") else 1
    assert [len({stretch.execution for stretch in some}) for some in begun] == [2 - stage, 1 + stage]
    found = cost(made, together(begun)).epsilon
    assert found == pytest.approx(steps_cost(made, STEPS + redone), rel=1e-3)
    assert found > made.epsilon * 1.01
    rows = [row.values for row in ledger_rows(made, together(begun), "group")]
    assert sum(row["steps"] for row in rows) == STEPS + redone
    assert len({row["group"] for row in rows}) == 3


def test_a_stop_between_stages_redoes_nothing():
    lab, made = Lab(), plan()
    for event in whole(lab, made, []):
        lab.keep(event[1])
        if isinstance(event[1], Chunk) and event[1].key == "work done":
            break
    begun, _ = run(lab, made)
    assert cost(made, together(begun)) == made.spent_after(STEPS)


@pytest.mark.parametrize("until", ["", "work: step 2", "work-second: step 6"])
def test_a_seeded_run_is_charged_for_each_stage_once_and_ends_in_the_same_bits(until):
    lab, made = Lab(), plan("seeded")
    if until:
        assert run(lab, made, until) is None
    begun, weights = run(lab, made)
    assert begun == [[Stretch(0, 0, CUT)], [Stretch(0, CUT, STEPS)]]
    assert cost(made, together(begun)) == made.spent_after(STEPS)
    _, expected = run(Lab(), made)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_stage_alone_is_charged_for_its_steps():
    """A trainer that begins late says so, with a checkpoint or without one."""
    lab, made = Lab(), plan("seeded")
    late = trainer(made, "work-second", ARCH.init([0]))
    found = exhaust(advance(lab, 0, "work-second", late, seconds=1.0))
    assert found == [Stretch(0, CUT, STEPS)]
    assert cost(made, found).epsilon == pytest.approx(steps_cost(made, STEPS - CUT), rel=1e-3)


def test_what_one_training_began_is_not_another_s():
    """Names that begin alike, as those of stages do."""
    chunks = {
        "begun-a-0-0": {"stretch": torch.tensor([0, 0, 4])},
        "begun-a-b-0-4": {"stretch": torch.tensor([0, 4, 6])},
        "begun-a-2-1-4": {"stretch": torch.tensor([1, 4, 9])},
    }
    assert stretches(chunks, "a") == [Stretch(0, 0, 4)]
    assert stretches(chunks, "a-b") == [Stretch(0, 4, 6)]
    assert stretches(chunks, "a-2") == [Stretch(1, 4, 9)]


def test_executions_of_stages_get_numbers_of_their_own():
    stages = [[Stretch(0, 0, 2), Stretch(0, 2, 4), Stretch(3, 1, 4)], [], [Stretch(0, 4, 7), Stretch(1, 5, 9)]]
    assert together(stages) == [
        Stretch(0, 0, 2), Stretch(0, 2, 4), Stretch(1, 1, 4), Stretch(2, 4, 7), Stretch(3, 5, 9)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("begun", "steps"),
    [
        ([(0, 4), (4, 10)], None),
        ([(4, 10), (0, 4)], None),
        ([(0, 3), (3, 4), (4, 10)], None),
        ([(0, 4), (3, 10)], 11),
        ([(0, 4), (5, 10)], 9),
        ([(0, 4), (4, 9)], 9),
        ([(1, 4), (4, 10)], 9),
        ([(0, 10), (0, 10)], 20),
        ([(0, 4), (4, 10), (4, 10)], 16),
    ],
)
def test_the_cost_of_ranges_by_hand(begun, steps):
    """None for the plan's own, to the last digit."""
    made = plan()
    found = cost(made, [Stretch(number, first, last) for number, (first, last) in enumerate(begun)])
    if steps is None:
        assert found == made.spent_after(STEPS)
    else:
        assert found.epsilon == pytest.approx(steps_cost(made, steps), rel=1e-3)


@settings(deadline=None, max_examples=15)
@given(
    cuts=st.sets(st.integers(1, STEPS - 1), max_size=3),
    again=st.none() | st.tuples(st.integers(0, STEPS - 1), st.integers(1, STEPS)),
)
def test_more_than_the_plan_exactly_if_a_step_was_begun_twice(cuts, again):
    made, ends = plan(), [0, *sorted(cuts), STEPS]
    stages = [[Stretch(0, first, last)] for first, last in itertools.pairwise(ends)]
    if again and again[0] < again[1]:
        stages.append([Stretch(0, *again)])
    found = cost(made, together(stages))
    assert (found == made.spent_after(STEPS)) == (len(stages) == len(ends) - 1)
    assert found.epsilon >= made.epsilon


def test_stages_of_a_seeded_training_are_one_row_of_the_ledger():
    """Networks without stages share its draws: in two rows its second stage would count as a draw of its own."""
    made, stages = plan("seeded"), [[Stretch(0, 0, CUT)], [Stretch(0, CUT, STEPS)]]
    alone = ledger_rows(made, [Stretch(0, 0, STEPS)], "group")
    assert ledger_rows(made, together(stages), "group") == alone
    assert ledger_rows(made, together(stages[::-1]), "group") == alone
    assert [row.values["steps"] for row in ledger_rows(plan(), together(stages), "group")] == [CUT, STEPS - CUT]


def test_without_noise_a_stage_has_no_epsilon_either():
    made = Plan.nonprivate("plain: no noise", examples=N, batch_size=12, steps=STEPS)
    assert math.isinf(cost(made, [Stretch(0, CUT, STEPS)]).epsilon)
    assert ledger_rows(made, [Stretch(0, CUT, STEPS)], "group") == []


def test_looks_of_other_stages_are_passed_over():
    """A look that this trainer never reaches would keep it waiting for ever."""
    done = []

    class Steps(SimpleNamespace):
        def advance(self, steps: int) -> None:
            self.done += steps

    fake = Steps(plan=plan("seeded"), done=3, steps=6, state=dict)
    steps = advance(Lab(), 0, "x", fake, seconds=1.0, looks=(1, 3, 5, 8, 10), look=lambda at: [done.append(at)][1:])
    assert len([None for _ in itertools.islice(steps, 100)]) < 100
    assert done == [5]
    assert fake.done == 6
