"""What notebook 04 refuses before anything trains, and what it foretells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from small_embeddings import EXPERIMENT, SMALL, jobs, results, spec, table, told, write_csv

from labkit import device
from labkit.data.tables import load_table
from labkit.errors import BadInput
from labkit.experiments.embeddings.limits import peak_bytes, shape
from labkit.privacy import Plan
from labkit.runs import Store, Worker

N = 420  # training examples
MANY = "power-law:rows=30000,examples=20000"
LARGEST = max(table().sizes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"selection_fraction": "0"}, r"selection_fraction = 0.*in \(0, 1\)"),
        ({"selection_fraction": "0.5,0", "method": "adafest_plus"}, "selection_fraction = 0"),
        ({"k": "0"}, f"k = 0 .*1 to {LARGEST}, the largest column"),
        ({"k": f"5,{LARGEST + 1}"}, f"k = {LARGEST + 1}.*1 to {LARGEST}"),
        ({"k": f"{LARGEST + 1}", "method": "adafest_plus"}, "k = "),
        ({"vocabulary": "25"}, "vocabulary = 25.*26"),
        ({"vocabulary": "0,25"}, "vocabulary = 25.*26"),
        ({"batch_size": N + 1}, rf"batch_size = {N + 1}.*at most {N}, the examples"),
        ({"delta": 1 / N}, r"delta.*below 1/n = 0\.00238"),
        ({"delta": -1e-6}, "delta"),
        ({"optimizer": "adagrad"}, "optimizer = 'adagrad'.*sgd with lazydp"),
        ({"order": "year,months"}, r"order = 'months'.*year: power law.* has no months"),
        ({"unit": "person"}, "unit = 'person'.*example: .*whose"),
        ({"model": "tiny"}, "model = 'tiny'.*none: .*no sentences"),
        ({"model": "nobodys-model"}, "model = 'nobodys-model'"),
        ({"adapter_rank": 2}, "adapter_rank = 2.*0 without a model"),
        ({"rates": "1,often"}, "rates = '1,often'.*numbers above 0"),
        ({"rates": ""}, "rates.*numbers above 0"),
        ({"rates": "1,0"}, "rates.*numbers above 0"),
        ({"rates": "nan"}, "rates.*finite numbers"),
        ({"rates": "1,inf"}, "rates.*finite numbers"),
        ({"data": MANY, "epochs": 1000, "batch_size": 1, "dim": 1024}, "epochs.*at most 24 hours"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_run_is_refused_before_anything_trains(changes, words):
    with pytest.raises(BadInput, match=words) as refused:
        EXPERIMENT.check(spec(**changes), table(changes.get("data", SMALL["data"])))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "changes",
    [{"batch_size": N}, {"delta": 0.99 / N}, {"k": str(LARGEST)}, {"k": "1"}, {"vocabulary": "26", "k": "1"},
     {"k": f"{LARGEST}", "vocabulary": "0,70"}, {"selection_fraction": "0", "method": "fest,lazydp"},
     {"k": "0", "method": "adafest"}, {"optimizer": "adagrad", "method": "fest,adafest"}],
    ids=str,
)  # fmt: skip
def test_what_is_at_the_bound_is_not_refused(changes):
    EXPERIMENT.check(spec(**changes), table())


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_the_presets_can_run(preset):
    made = EXPERIMENT.spec.of(device="cpu", preset=preset, **{"data": "flights-60k"} if preset == "full" else {})
    EXPERIMENT.check(made, load_table(made.data))


def test_a_vocabulary_that_does_not_fit_says_its_bytes(monkeypatch):
    asked = spec(dim=4096)
    needed = peak_bytes(asked, table(), torch.device("cpu"))
    assert needed > 2 * 4 * 400 * 4096
    monkeypatch.setattr(device, "memory_free", lambda where: needed)
    EXPERIMENT.check(asked, table())
    monkeypatch.setattr(device, "memory_free", lambda where: needed - 1)
    words = f"fits in the {needed - 1:,} bytes that are free on cpu; it would need {needed:,} bytes"
    with pytest.raises(BadInput, match=f"vocabulary = 0.*{words}"):
        EXPERIMENT.check(asked, table())


@pytest.fixture
def own(tmp_path) -> Path:
    return write_csv(tmp_path / "own.csv", people=40, months=4)


def test_a_vocabulary_built_from_private_data_is_refused_unless_hashed_or_declared(own):
    private = {"data": str(own), "k": "2"}
    with pytest.raises(BadInput, match=r"vocabulary = 0.*leaks who is in them"):
        EXPERIMENT.check(spec(**private), load_table(str(own), b"key"))
    with pytest.raises(BadInput, match=r"vocabulary = 0.*leaks"):
        EXPERIMENT.check(spec(**private, vocabulary="20,0"), load_table(str(own), b"key"))
    EXPERIMENT.check(spec(**private, vocabulary="20"), load_table(str(own), b"key"))
    own.with_name("own.csv.vocabulary.json").write_text('{"colour": 40, "size": 5}')
    EXPERIMENT.check(spec(**private), load_table(str(own), b"key"))


def test_a_part_of_the_data_is_not_taken_for_the_whole():
    """They share a fingerprint, and a panel checks one after the other."""
    sizes = [shape(spec(data=name).points()[0], load_table(name))[0] for name in ("flights-60k", "flights")]
    assert sizes == [[42_000], [229_142]]


def test_nothing_of_a_refused_table_is_stored(own, tmp_path):
    with Store(tmp_path / "store") as store, pytest.raises(BadInput, match="leaks"):
        list(Worker(EXPERIMENT, spec(data=str(own)), store).run())
    assert not list((tmp_path / "store").glob("files/*"))


def test_persons_are_what_is_counted_against_batch_and_delta(own):
    people = {"data": str(own), "k": "2", "vocabulary": "20", "unit": "person", "batch_size": 8, "max_examples": 2}
    data = load_table(str(own), b"key")
    (units,), _ = shape(spec(**people).points()[0], data)
    assert 20 < units < 30  # 70 % of at most 40
    with pytest.raises(BadInput, match=f"batch_size = {units + 1}.*at most {units}, the persons"):
        EXPERIMENT.check(spec(**people | {"batch_size": units + 1}), data)
    with pytest.raises(BadInput, match="delta"):
        EXPERIMENT.check(spec(**people, delta=1 / units), data)
    EXPERIMENT.check(spec(**people), data)
    rows = results(told(jobs(**people), data))
    assert {row["unit"] for row in rows.values()} == {"person"}


def test_sentences_need_a_model_that_cuts_them():
    movies = load_table("movies")
    with pytest.raises(BadInput, match=r"model = 'none'.*tiny"):
        EXPERIMENT.check(spec(data="movies"), movies)
    with pytest.raises(BadInput, match=r"vocabulary = 70.*0 for sentences"):
        EXPERIMENT.check(spec(data="movies", model="tiny", vocabulary="70"), movies)
    EXPERIMENT.check(spec(data="movies", model="tiny"), movies)


def test_a_dry_run_says_what_a_release_will_cost(monkeypatch):
    said = EXPERIMENT.costs(spec(epsilon="8,2,plain", threshold="1"), table())
    assert "\n" not in said
    assert f"one example of {N} is protected; 400 rows" in said
    assert 7.9 < float(re.search(r"(\S+) \(noise multiplier", said)[1]) <= 8
    assert said.count("noise multiplier") == 2
    assert "none for plain" in said
    assert "warning" not in said
    monkeypatch.setattr(Plan, "calibrated", None)
    assert "none for plain" in EXPERIMENT.costs(spec(epsilon="plain"), table())


@pytest.mark.parametrize(
    ("threshold", "words"),
    [("-3", "399 of 400 rows"), ("-1", "337 of 400 rows"), ("9", "and perhaps none"), ("1,9", "threshold 9")],
)
def test_a_threshold_that_decides_nothing_is_warned_of(threshold, words):
    said = EXPERIMENT.costs(spec(threshold=threshold), table())
    assert said.count("warning") == 1
    assert "\n" not in said
    assert words in said
    assert "warning" not in EXPERIMENT.costs(spec(threshold=threshold, method="fest"), table())


def test_estimates_grow_with_the_work():
    def seconds(**changes: object) -> float:
        return EXPERIMENT.estimate(spec(**changes), table(), torch.device("cpu")).seconds

    assert 0 < seconds(epsilon="plain") < seconds() < seconds(epsilon="8,3") < seconds(epsilon="8,3", seeds=3)
    assert seconds(epochs=100) > seconds() < seconds(threshold="1,2,3")
    assert seconds(learning_rate="tuned") > 1.2 * seconds()
    assert seconds(learning_rate="tuned", rates="1") < seconds(learning_rate="tuned", rates="1,2,3,4")
    estimate = EXPERIMENT.estimate(spec(optimizer="adagrad", method="fest"), table(), torch.device("cpu"))
    assert estimate.peak_bytes > EXPERIMENT.estimate(spec(method="fest"), table(), torch.device("cpu")).peak_bytes
