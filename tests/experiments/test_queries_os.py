"""Notebook 03 with noise of the operating system: what a resumed run does again is charged, and no key is stored."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from small_queries import finish, run_until, step

from labkit.experiments.executions import Stretch, cost, ledger_rows
from labkit.experiments.queries.claims import claims
from labkit.experiments.queries.lab import Lab
from labkit.privacy import Plan, spent
from labkit.privacy.events import dp_sgd
from labkit.runs import RunKey, Store, worker


@pytest.fixture(autouse=True)
def checkpoints_at_every_step(monkeypatch):
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)


def recorded(monkeypatch) -> list[dict[str, int]]:
    """Every key that a training is given from now on."""
    given, made = [], Lab.keys

    def keys(self, plan: Plan, arm: str) -> dict[str, int]:
        given.append(made(self, plan, arm))
        return given[-1]

    monkeypatch.setattr(Lab, "keys", keys)
    return given


@pytest.mark.parametrize(("work", "arm"), [("fine-tuning", "synthetic"), ("direct", "direct"), ("logit", "logit")])
def test_with_noise_of_the_system_what_is_done_again_is_charged(tmp_path, monkeypatch, work, arm):
    given, redone = recorded(monkeypatch), {"noise_source": "os", "canaries": 0}
    with Store(tmp_path) as store:
        # In the second of three steps: its checkpoint was not offered yet, and that of the first is the last.
        second = f"{work} at epsilon 3: step 2"
        assert run_until(store, lambda event: getattr(event, "what", "").startswith(second), **redone)
        (key,) = [RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"]) for row in store.replicates()]
        state = store.checkpoints(key)[f"training-{work} at epsilon 3"]
        assert "keys" not in state
        first = int(state["counts"][0])
        assert first == 1
        view = finish(store, **redone)
    assert all(claim.holds for claim in claims(view)), [claim for claim in claims(view) if not claim.holds]
    row = {found["arm"]: found for found in view.results()}
    values = row[arm]
    noise, rate, delta = (values[name] for name in ("noise_multiplier", "sample_rate", "delta"))
    ledger = [entry for entry in view.series("ledger") if entry["group"].startswith(f"{work} at")]
    assert [entry["group"][-11:] for entry in ledger] == ["execution 0", "execution 1"]
    steps = sum(entry["steps"] for entry in ledger)
    assert steps == values["steps"] + ledger[0]["steps"] - first > values["steps"]
    assert values["epsilon_spent"] == pytest.approx(spent([dp_sgd(rate, noise, steps)], delta).epsilon, rel=1e-3)
    assert len({tuple(keys.values()) for keys in given}) == len(given)  # drawn anew, for the draws as for the noise
    for other in ("synthetic", "direct", "direct-warm", "logit"):
        assert (row[other]["epsilon_spent"] > 3) == (other == arm) == (row[other]["executions"] == 2)


def stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "key")


@pytest.mark.parametrize("source", ["os", "seeded"])
def test_nothing_of_the_keys_of_the_system_is_in_a_file(tmp_path, monkeypatch, source):
    given, changes = recorded(monkeypatch), {"noise_source": source, "canaries": 0}
    seen: list[bytes] = []
    with Store(tmp_path) as store:
        for work in ("fine-tuning", "direct", "logit"):
            assert run_until(store, step(work, 2), **changes)
            seen.append(stored(tmp_path))
        finish(store, **changes)
        seen.append(stored(tmp_path))
    held = b"".join(seen)
    orders = ("little", "big")
    found = [keys["noise_key"].to_bytes(8, order) in held for keys in given for order in orders]
    found += [keys["draw_key"].to_bytes(16, order) in held for keys in given for order in orders]
    assert any(found) == (source == "seeded")  # a seeded run's are no secret: they derive from its seed


def test_the_cost_of_two_executions_by_hand():
    plan = Plan.calibrated(epsilon=2, examples=200, batch_size=20, steps=10, clip_norm=1.0, noise_source="os")
    rate, sigma = plan.sample_rate, plan.noise_multiplier

    def steps(count: int) -> float:
        return spent([dp_sgd(rate, sigma, count)], plan.delta).epsilon

    whole = cost(plan, [Stretch(0, 0, 4), Stretch(0, 4, 10)])
    assert whole == plan.spent_after(10)
    again = cost(plan, [Stretch(0, 0, 4), Stretch(0, 4, 8), Stretch(1, 5, 8), Stretch(1, 8, 10)])
    assert again.epsilon == pytest.approx(steps(8 + 5), rel=1e-3)
    assert again.epsilon > 2
    from_the_start = cost(plan, [Stretch(0, 0, 1), Stretch(1, 0, 10)])
    assert from_the_start.epsilon == pytest.approx(steps(11), rel=1e-3)


@pytest.mark.parametrize("words", ["clipped", "plain"])
def test_without_noise_there_is_no_epsilon(words):
    plan = Plan.nonprivate(f"{words}: no noise", examples=200, batch_size=20, steps=10, clip_norm=1.0)
    assert math.isinf(cost(plan, [Stretch(0, 0, 10)]).epsilon)
    assert ledger_rows(plan, [Stretch(0, 0, 10)], "group") == []
