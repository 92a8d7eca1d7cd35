import itertools

import torch
import torch.nn.functional as F

from labkit.data.split import Part, Split
from labkit.generators import exhaust
from labkit.population import MLP, evaluate
from labkit.runs.events import Checkpoint, Point
from labkit.search import Candidates, NodeSpace, Recipe, advance, best, learn, score, steps_to


def small_split(n=300):
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 12, generator=generator)

    def part(count):
        y = torch.randint(0, 4, (count,), generator=generator)
        return Part(centres[y] + 0.5 * torch.randn(count, 12, generator=generator), y)

    return Split("blobs", "0" * 64, part(n), part(100), part(100), ("a", "b", "c", "d"))


DATA, ARCH = small_split(), MLP((12, 16, 4))
RECIPE = Recipe(steps=30, batch_size=20, learning_rate=0.05, evaluations=3)


def candidates(count=4):
    return Candidates(ARCH, ARCH.init(range(count)), None)


def test_looks_are_even_and_end_at_the_end():
    assert RECIPE.looks() == [10, 20, 30]
    assert Recipe(7, 1, 0.1, 3).looks() == [2, 4, 7]
    assert Recipe(2, 1, 0.1, 10).looks() == [1, 2]


def test_learning_tells_curves_and_final_scores():
    steps = learn(candidates(), RECIPE, DATA, 5, key="k", drawn={"found": 2})
    said = []
    while True:
        try:
            said.append(next(steps))
        except StopIteration as end:
            learned = end.value
            break
    points = [event.values for event in said if isinstance(event, Point)]
    assert [p["step"] for p in points] == [10, 20, 30]
    assert all(p["arm"] == "found" for p in points)
    assert [p["selection_accuracy"] for p in points] == learned["selection_accuracy"][:, 2].tolist()
    trainer = RECIPE.trainer(candidates(), DATA, 5)
    trainer.advance(30)
    expected = evaluate(ARCH, trainer.params, DATA.test.x, DATA.test.y)
    assert torch.equal(learned["test_accuracy"], expected.accuracy)
    assert learned["test_accuracy"].min() > 0.8  # four clusters far apart are learned


def test_going_on_from_any_checkpoint_gives_the_same_bits_and_tells_no_look_twice():
    whole = exhaust(learn(candidates(), RECIPE, DATA, 5, key="k"))
    steps = learn(candidates(), RECIPE, DATA, 5, key="k", drawn={"found": 0})
    kept = []
    for event in steps:
        if isinstance(event, Checkpoint):
            kept.append({name: tensor.clone() for name, tensor in event.make().items()})
    assert len(kept) >= 3
    for state in (kept[0], kept[len(kept) // 2], kept[-1]):
        again = learn(candidates(), RECIPE, DATA, 5, key="k", checkpoint=state, drawn={"found": 0})
        points = 0
        while True:
            try:
                points += isinstance(next(again), Point)
            except StopIteration as end:
                resumed = end.value
                break
        assert points == 3 - len(state["looks"])
        assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_steps_to_a_threshold_by_hand():
    accuracy = torch.tensor([[0.5, 0.1, 0.9], [0.8, 0.2, 0.7], [0.7, 0.3, 0.9]])
    steps, censored = steps_to(0.75, accuracy, [10, 20, 30])
    assert steps.tolist() == [20, 30, 10]
    assert censored.tolist() == [False, True, False]


def test_the_score_is_the_initial_loss_on_the_selection_split():
    space = NodeSpace(ARCH, 0.5, seed=2)
    parent = ARCH.init([9])
    scores = exhaust(score(space, parent, range(6), DATA, RECIPE, 0, 5))
    some = space.candidates(parent, range(6))
    for k in range(6):
        hidden = F.relu(DATA.selection.x @ some.params["0.weight"][k].T + some.params["0.bias"][k])
        logits = hidden @ some.params["1.weight"][k].T + some.params["1.bias"][k]
        torch.testing.assert_close(scores[k], F.cross_entropy(logits, DATA.selection.y))
    assert best(scores) == int(scores.argmin())
    assert best(torch.tensor([2.0, 1.0, 1.0])) == 1


def test_a_score_after_steps_is_the_loss_of_the_trained_network():
    space, parent = NodeSpace(ARCH, 0.5, seed=2), ARCH.init([9])
    scores = exhaust(score(space, parent, range(3), DATA, RECIPE, 7, 5))
    trainer = RECIPE.trainer(space.candidates(parent, range(3)), DATA, 5)
    trainer.advance(7)
    some = space.candidates(parent, range(3))
    assert torch.equal(scores, evaluate(some.arch, trainer.params, DATA.selection.x, DATA.selection.y).loss)


def test_the_pace_follows_the_clock_and_stops_at_the_step_asked_for():
    trainer = RECIPE.trainer(candidates(), DATA, 5)
    now = [0.0]

    def clock():
        now[0] += 0.02
        return now[0]

    seen = []
    for rate in advance(trainer, 25, clock):
        seen.append(trainer.done)
        assert rate > 0
    assert seen[-1] == 25
    assert seen[0] == 1
    assert max(b - a for a, b in itertools.pairwise(seen)) > 1
