"""Notebook 05's trained weights: loaded as others load them they are the networks of the stored results."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from safetensors import safe_open
from small_finetune import chunk, finish, images, kept, patched, run_until, spec
from weights_of import export, place, replicates, run_card, said

from labkit.cli import main
from labkit.runs import RunKey, Store
from labkit.runs.events import Artifact, Result

SECRET = {"method": "random,lora,search", "epsilon": "8", "seeds": 2, "noise_source": "os", "keep_weights": True}
SEEDED = {"method": "random", "epsilon": "8,plain", "keep_weights": True}


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched():
        yield


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A store of fine-tunes whose noise nobody can make again."""
    with Store(tmp_path_factory.mktemp("os")) as store:
        finish(store, **SECRET)
        yield store


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("seeded")) as store:
        finish(store, **SEEDED)
        yield store


@pytest.fixture(scope="module")
def taken(secret, tmp_path_factory):
    """The weights of every run of the secret store."""
    folder = tmp_path_factory.mktemp("taken")
    for row in secret.replicates():
        assert export(secret, row, folder) == 0
    return folder


@pytest.mark.parametrize("method", ["random", "lora", "search"])
def test_the_cards_code_loads_the_network_of_the_stored_result(secret, taken, method):
    """By peft, or into a plain module: every replicate its own member of the population."""
    data = images()
    losses = set()
    for row in replicates(secret, method=[method]):
        found = run_card(place(taken, row, method), pixels=data.pixels(data.test))["logits"]
        loss = float(torch.nn.functional.cross_entropy(found, data.test.y))
        assert float((found.argmax(1) == data.test.y).double().mean()) == row["results"][method]["test_accuracy"]
        assert loss == pytest.approx(row["results"][method]["test_loss"], abs=1e-6)
        losses.add(round(loss, 5))
    assert len(losses) == 2


def test_numbers_are_what_they_are_without(tmp_path, seeded):
    with Store(tmp_path) as store:
        plain = kept(finish(store, **(SEEDED | {"keep_weights": False})))
        assert not any(store.artifacts(row["key"]) for row in replicates(store))
    keeping = kept(finish(seeded, **SEEDED))
    names = {"name", "keep_weights"}
    assert [{n: v for n, v in row.items() if n not in names} for row in keeping[0]] == [
        {n: v for n, v in row.items() if n not in names} for row in plain[0]
    ]
    assert keeping[1]["ledger"] == plain[1]["ledger"]


def stored(store: Store) -> dict[tuple, dict[str, list]]:
    """The weights of each epsilon."""
    arrays = {row["spec"]["epsilon"][0]: store.arrays(row["key"], "weights random") for row in replicates(store)}
    return {epsilon: {name: array.tolist() for name, array in own.items()} for epsilon, own in arrays.items()}


@pytest.mark.parametrize(
    "ends",
    [lambda event: isinstance(event, Artifact), chunk("ended "), chunk("trained ")],
    ids=["kept", "ended", "told"],
)
def test_a_run_stopped_around_its_weights_ends_with_them(tmp_path, seeded, ends):
    with Store(tmp_path) as store:
        assert run_until(store, ends, **SEEDED)
        finish(store, **SEEDED)
        assert stored(store) == stored(seeded)


def test_the_card_says_what_the_result_says(secret, taken):
    for row in replicates(secret, method=["random"]):
        result, facts = row["results"]["random"], said(place(taken, row, "random"), "Guarantee")
        for name, field in {"epsilon": "epsilon_spent", "delta": "delta", "sample rate": "sample_rate"}.items():
            assert float(facts[name]) == result[field]
        for name in ("steps", "clip norm", "noise multiplier"):
            assert float(facts[name]) == result[name.replace(" ", "_")]
        assert facts["accountant"] == result["accountant"]
        assert facts["relation"] == "add/remove one record: one training image"
        assert int(facts["protected records"]) == len(images().train)
        assert facts["noise"].startswith("from the operating system")
        reached = said(place(taken, row, "random"), "What it reached")
        assert float(reached["accuracy"]) == result["test_accuracy"]
        assert (
            f"On {len(images().test)} images of the test split"
            in (place(taken, row, "random") / "README.md").read_text()
        )


@pytest.mark.parametrize("method", ["random", "lora"])
def test_another_accountant_finds_the_cards_epsilon_from_the_cards_numbers(secret, taken, method):
    facts = said(place(taken, replicates(secret, method=[method])[0], method), "Guarantee")
    step = PoissonSampledDpEvent(float(facts["sample rate"]), GaussianDpEvent(float(facts["noise multiplier"])))
    found = PLDAccountant().compose(step, int(facts["steps"])).get_epsilon(float(facts["delta"]))
    assert found == pytest.approx(float(facts["epsilon"]), rel=1e-3)
    assert found <= 8 * (1 + 1e-6)


def test_what_else_epsilon_pays_for_and_does_not_cover(secret, taken):
    text = (place(taken, replicates(secret, method=["search"])[0], "search") / "README.md").read_text()
    assert "one choice among 3 sets of rows, by the exponential mechanism at epsilon 0.8" in text
    assert "4 of the steps, whose noised sums choose the rows that move" in text
    for words in ("other weights trained on the same data", "the choice of these settings", "tuned learning rates"):
        assert words in text
    assert "tuning and losing runs included: epsilon" in text
    assert "MIT, (c) 2026 FYS-8805" in text
    assert "CC BY 4.0" in text


def test_a_seed_is_no_guarantee_and_nothing_is_written(seeded, tmp_path, capsys):
    for epsilon, why in ((8.0, "its noise comes from a seed"), ("plain", "it was trained without noise")):
        (row,) = replicates(seeded, epsilon=[epsilon])
        assert export(seeded, row, tmp_path / "out") == 2
        err = capsys.readouterr().err
        assert f"random is not private: {why}" in err
        assert "--not-private" in err
        assert len(err.splitlines()) == 1
        assert not (tmp_path / "out").exists()


def test_what_has_no_guarantee_is_marked_in_file_and_card(seeded, secret, taken, tmp_path):
    for row in replicates(seeded):
        assert export(seeded, row, tmp_path, "--not-private") == 0
        folder = place(tmp_path, row, "random")
        with safe_open(folder / "model.safetensors", "pt") as file:
            told = file.metadata()
        text = (folder / "README.md").read_text()
        assert told["watermark"].startswith("not private")
        assert told["guarantee"].startswith("no guarantee")
        assert "**No guarantee.** These weights are not private" in text
        assert "- not-private\n" in text
        assert "epsilon" not in said(folder, "Guarantee")
        assert "differentially private" not in text
    (row, _) = replicates(secret, method=["random"])
    with safe_open(place(taken, row, "random") / "model.safetensors", "pt") as file:
        told = file.metadata()
    spent, delta = (row["results"]["random"][field] for field in ("epsilon_spent", "delta"))
    assert "watermark" not in told
    assert told["guarantee"].startswith(f"epsilon {spent!r} at delta {delta!r}; add/remove one record")


def by_hand(store: Store, what: str, values: dict, **changes: Any) -> dict[str, Any]:
    """A finished replicate that nobody ran."""
    key = RunKey("05", "a" * 16, 0, "cpu")
    store.claim(key, spec(**(SECRET | {"method": "random"} | changes)).points()[0], {"fingerprint": "ab"})
    store.write(key, Artifact(f"weights {what}", {"6.weight": torch.zeros(10, 6)}), Result(what, values))
    store.finish(key)
    (row,) = store.replicates()
    return row


def private(secret: Store) -> dict[str, Any]:
    """The values of a result that has a guarantee."""
    values = replicates(secret, method=["random"])[0]["results"]["random"]
    return {name: value for name, value in values.items() if name not in ("name", "seed", "device_kind", "arm")}


def test_tuned_rates_were_chosen_by_trainings_that_epsilon_does_not_charge(secret, tmp_path, capsys):
    values = private(secret)
    for rate, code in (("tuned", 2), (0.5, 0)):
        with Store(tmp_path / str(rate)) as store:
            row = by_hand(store, "random", values, learning_rate=rate)
            assert export(store, row, tmp_path / f"out {rate}") == code
    assert "random is not private: its learning rate was chosen by other trainings" in capsys.readouterr().err


def test_a_guarantee_without_its_delta_is_none(secret, tmp_path, capsys):
    values = {name: value for name, value in private(secret).items() if name != "delta"}
    with Store(tmp_path / "store") as store:
        assert export(store, by_hand(store, "random", values), tmp_path / "out") == 1
    assert "lacks delta" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_words_of_a_spec_are_nothing_but_text_on_the_card(secret, tmp_path):
    with Store(tmp_path / "store") as store:
        row = by_hand(store, "random", private(secret), data="/home/somebody/<img src=x onerror=alert(1)>| [a](b) `c`")
        assert export(store, row, tmp_path / "out") == 0
    _, _, body = (place(tmp_path / "out", row, "random") / "README.md").read_text().split("---\n", 2)
    assert "<img" not in body
    assert "[a](b)" not in body
    assert "somebody" not in body
    assert r"&lt;img src=x onerror=alert(1)&gt;\| \[a\](b) \`c\`" in body


def test_weights_leave_with_their_card_alone(secret, tmp_path, capsys):
    row = replicates(secret, method=["random"])[0]
    assert main(["export", row["name"], "--arrays", "-o", str(tmp_path / "out"), "--store", str(secret.path)]) == 0
    assert "left out: weights random; --weights writes it with its provenance" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone(secret, taken, capsys):
    row = replicates(secret, method=["random"])[0]
    card = place(taken, row, "random") / "README.md"
    before = card.read_bytes(), card.stat().st_mtime_ns
    assert export(secret, row, taken) == 2
    assert "yet" in capsys.readouterr().err
    assert (card.read_bytes(), card.stat().st_mtime_ns) == before


def test_a_write_that_fails_leaves_no_half_folder(secret, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labkit.cli.weights.card", full)
    assert export(secret, replicates(secret, method=["lora"])[0], tmp_path / "out") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert not list((tmp_path / "out").rglob("*lora*"))


@pytest.mark.parametrize("what", ["../../../evil", "..", "a/b", "/tmp/evil"])
def test_a_name_from_the_store_cannot_leave_the_folder(tmp_path, what, capsys):
    with Store(tmp_path / "store") as store:
        row = by_hand(store, what, {})
        assert export(store, row, tmp_path / "deep" / "down" / "out", "--not-private") == 1
    assert "could lie outside" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
