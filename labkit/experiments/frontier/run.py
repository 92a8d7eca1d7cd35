"""All replicates of one epsilon: learning rates, private choices, training, and what each arm reached."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.audits import audits
from labkit.experiments.frontier.batch import Batch, Table, digest
from labkit.experiments.frontier.begun import begin, begin_jobs, fresh, times
from labkit.experiments.frontier.choosing import Cell, cell_of, choose_masks, repeated, winner
from labkit.experiments.frontier.keeping import WEIGHT, packed, weights
from labkit.experiments.frontier.ledger import ledger, spent_so_far
from labkit.experiments.frontier.pictures import pictures
from labkit.experiments.frontier.spec import CHOSEN, DENSE, RANDOM, REPEATS, SHARED, SIMULATED, TUNED
from labkit.experiments.frontier.training import Told, train
from labkit.experiments.frontier.tuned import Tuned
from labkit.experiments.frontier.tuning import CLIPS, tune, tuned_arms, tuned_networks, tuning_stage
from labkit.population import Params
from labkit.runs.events import Chunk, Event, Point, Result
from labkit.runs.experiment import Job, Resources
from labkit.runs.values import bounded

DRAWN = (DENSE, RANDOM)  # arms whose learning curves are told while they grow


def run(jobs: Sequence[Job], resources: Resources) -> Iterator[tuple[int, Event]]:
    """The events of replicates of one epsilon (see `labkit.runs.experiment.Together`).

    Results come last, after all that a resumed run would have to say again.
    """
    batch = Batch(jobs, resources)
    batch.expected = expected_steps(batch)
    tuned = (yield from tune(batch)) if batch.point.learning_rate in (TUNED, SHARED) else None
    rows, networks = yield from learn(batch, tuned)
    yield from pictures(batch, *settings(batch, tuned, Arm(DENSE, batch.plans.training))[""])
    yield from audits(batch)
    if tuned:
        yield from ((batch.lead, point) for arm in tuned.variants for point in tuned.points(tuned.choice(arm)))
    releases = 2 if batch.point.learning_rate == TUNED else 1  # at its own rate, and at the dense network's
    stages = [learning_stage(batch, tuned), *([tuning_stage(batch)] if tuned else [])]
    yield from ledger(batch, [*networks, *(tuned_networks(batch, tuned) if tuned else [])], releases, stages)
    for place, job in enumerate(batch.jobs):
        for arm in batch.arms(job):
            yield place, result(batch, tuned, arm, rows[place, arm.name], times(batch, job))


def settings(batch: Batch, tuned: Tuned | None, arm: Arm) -> dict[str, tuple[Arm, float]]:
    """What an arm is reported with: itself at its clip norm and its learning rate, and both as the dense network has
    them (`_shared`)."""
    if tuned is None:
        return {"": (arm, batch.point.learning_rate)}
    dense = tuned.choice(Arm(DENSE, batch.plans.training))
    shared = _clipped_as(arm, dense), tuned.best(dense)
    if batch.point.learning_rate == SHARED or arm.kind == SIMULATED:
        return {"": shared}
    own = tuned.choice(arm.tuned_as())
    return {"": (_clipped_as(arm, own), tuned.best(own)), "_shared": shared}


def _clipped_as(arm: Arm, other: Arm) -> Arm:
    """The arm at another one's clip norm."""
    return arm if arm.plan.clip_norm == other.plan.clip_norm else arm.clipped_to(other.plan.clip_norm)


def learning_stage(batch: Batch, tuned: Tuned | None) -> str:
    """What choosing and training are on record as."""
    rates = [
        (place, arm.name, suffix, rate)
        for place, job in enumerate(batch.jobs)
        for arm in batch.arms(job)
        for suffix, (_, rate) in settings(batch, tuned, arm).items()
    ]
    return f"learned-{digest(rates, [(job.seed, job.point.hashed()) for job in batch.jobs])}"


Rows = dict[tuple[int, str], dict[str, Table]]


def learn(batch: Batch, tuned: Tuned | None) -> Generator[Told, None, tuple[Rows, list[Network]]]:
    """Train every network of every arm once.

    Returns:
        for each place and arm what its network reached, by the rate's suffix; and all networks.
    """
    key = learning_stage(batch, tuned)
    if key not in batch.resources.chunks:
        yield from begin_jobs(batch)
    chosen = yield from choose_masks(batch)
    wanted: dict[tuple[int, str, str], list[Network]] = {}
    for place, job in enumerate(batch.jobs):
        for arm in batch.arms(job):
            for suffix, (used, rate) in settings(batch, tuned, arm).items():
                wanted[place, arm.name, suffix] = networks_of(batch, job, used, rate, suffix, chosen)
    networks = list(dict.fromkeys(network for some in wanted.values() for network in some))
    places: dict[Network, list[int]] = {}
    for (place, name, suffix), some in wanted.items():
        if name in DRAWN and suffix == "":
            places.setdefault(some[0], []).append(place)

    told: set[int] = set()  # steps whose spending was said

    def curve(network: Network, step: int, accuracy: float) -> Iterator[Told]:
        if batch.plans.noisy and network.arm.kind == DENSE and step not in told:
            told.add(step)
            yield 0, spent_so_far(batch, step)
        for place in places.get(network, []):
            yield place, curve_point(batch.jobs[place], network.arm.name, step, accuracy)

    if key in batch.resources.chunks:
        kept = dict(batch.resources.chunks[key])
        # Points that the first replicate said before this chunk are in the store; the others' were dropped.
        for (place, name, suffix), own in zip(wanted, kept["curve"], strict=True):
            if place and name in DRAWN and suffix == "":
                for step, accuracy in zip(batch.point.looks(), own.tolist(), strict=True):
                    yield place, curve_point(batch.jobs[place], name, step, accuracy)
    else:
        yield from begin(batch, key, networks)
        trained: dict[Network, Params] | None = {} if batch.point.keep_weights else None
        learned = yield from train(batch, networks, "training", look=curve, trained=trained)
        which = winners(batch, wanted, networks, learned)
        kept = {field: value[which] for field, value in learned.items() if field != "right"}
        if trained is not None:
            kept |= packed([trained[networks[place]] for place in which])
        yield 0, Chunk(key, kept)
    yield from weights(list(wanted), kept)
    kept = {field: value for field, value in kept.items() if not field.startswith(WEIGHT)}
    rows: Rows = {}
    for i, (place, name, suffix) in enumerate(wanted):
        rows.setdefault((place, name), {})[suffix] = {field: value[i] for field, value in kept.items()}
    return rows, networks


def winners(
    batch: Batch, wanted: Mapping[tuple[int, str, str], list[Network]], networks: list[Network], learned: Table
) -> list[int]:
    """Which networks are kept, one for each wanted result: of repeats the winner alone, neither the losers nor their
    number."""
    numbers = {network: i for i, network in enumerate(networks)}
    kept = []
    for (place, name, suffix), some in wanted.items():
        at = [numbers[network] for network in some]
        kept.append(winner(batch, cell_of(batch.jobs[place]), suffix, at, learned) if name == REPEATS else at[0])
    return kept


def curve_point(job: Job, arm: str, step: int, accuracy: float) -> Point:
    """One point of a learning curve."""
    arm = f"{arm}-{job.point.space[0]}" if arm == RANDOM else arm
    return Point("curve", {"arm": arm, "step": step, "selection_accuracy": accuracy})


def networks_of(
    batch: Batch, job: Job, arm: Arm, rate: float, suffix: str, chosen: Mapping[tuple[Cell, int], int]
) -> list[Network]:
    """The networks behind one arm of one replicate: one, or as many as were repeated."""
    if arm.kind == REPEATS:
        return repeated(batch, arm, cell_of(job), rate, suffix)
    candidate = chosen[cell_of(job), int(arm.candidates)] if arm.kind == CHOSEN else 0
    return [Network(arm, job.seed, rate, candidate)]


def result(batch: Batch, tuned: Tuned | None, arm: Arm, reached: dict[str, Table], executions: int) -> Result:
    """The stored numbers of one arm of one replicate, which was begun so many times."""
    set_to, own = settings(batch, tuned, arm), reached[""]
    plan = set_to[""][0].plan
    values = {
        "test_accuracy": float(own["test_accuracy"]),
        "test_loss": bounded(float(own["test_loss"])),
        "selection_accuracy": float(own["selection_accuracy"]),
        "learning_rate": set_to[""][1],
        "noise_multiplier": plan.noise_multiplier,
        "sample_rate": plan.sample_rate,
        "steps": plan.steps,
        "parameters": batch.parameters(arm),
        "test_images": len(batch.data.test),
        "not_private_clipped": float(own["clipped"]),
        "not_private_dropped": int(own["dropped"]),
    }
    values |= {f"recall_{label}": float(share) for label, share in enumerate(own["recall"])}
    if "_shared" in reached:
        values["test_accuracy_shared"] = float(reached["_shared"]["test_accuracy"])
        values["learning_rate_shared"] = set_to["_shared"][1]
    if plan.clip_norm < float("inf"):
        values["clip_norm"] = plan.clip_norm
    if plan.private and arm.kind != SIMULATED:
        values["delta"] = plan.delta
        values["epsilon_spent"], values["accountant"] = batch.plans.cost(arm, executions)
    if fresh(batch):
        values["executions"] = executions
    if arm.candidates:
        values["candidates"] = arm.candidates
    if tuned is not None and arm.kind != SIMULATED:
        like = arm.tuned_as() if batch.point.learning_rate == TUNED else Arm(DENSE, batch.plans.training)
        values |= {"tuned_rates": tuned.tried(like), "widened": tuned.rounds[tuned.choice(like)]}
        values["tuning_seeds"] = batch.point.tuning_seeds
    return Result(arm.name, values)


def expected_steps(batch: Batch) -> float:
    """Network-steps of the whole batch, without what widened grids add."""
    point = batch.point
    every = {arm for job in batch.jobs for arm in batch.arms(job)}
    clips = len(CLIPS) if point.clip_norm == TUNED else 1
    tuning = len(tuned_arms(batch)) * clips * point.rates * point.tuning_seeds
    both = 2 if point.learning_rate == TUNED else 1
    seeds = len({job.seed for job in batch.jobs})
    reported = sum(both * (arm.candidates if arm.kind == REPEATS else 1) for arm in every) * seeds
    return point.steps * (reported + (tuning if point.learning_rate in (TUNED, SHARED) else 0))
