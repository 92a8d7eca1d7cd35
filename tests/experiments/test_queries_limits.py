"""What notebook 03 refuses before anything trains, what it foretells, and what its stored results may claim."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_queries import EXPERIMENT, hpo, jobs, resources, results, spec

from labkit.data.corpora import load_corpus
from labkit.errors import BadInput
from labkit.experiments.queries.claims import claims
from labkit.experiments.queries.limits import sizes
from labkit.experiments.queries.run import run
from labkit.runs import Store, Worker
from labkit.runs.view import View

N = 55  # training pairs of the forty documents


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epsilon": "-1"}, "epsilon.*clipped.*plain"),
        ({"epsilon": "3,none"}, "epsilon.*clipped.*plain"),
        ({"epsilon": "0"}, "epsilon.*clipped.*plain"),
        ({"split_by": "query"}, "split_by.*pair.*document"),
        ({"unit": "person"}, "unit.*pair.*document"),
        ({"batch_size": N + 1}, rf"batch_size = {N + 1}.*at most {N}, the pairs"),
        ({"direct_batch": N + 1}, rf"direct_batch = {N + 1}.*at most {N}, the pairs"),
        ({"logit_batch": N + 1}, rf"logit_batch = {N + 1}.*at most {N}, the pairs"),
        ({"encoder_batch": N + 1}, rf"encoder_batch = {N + 1}.*at most {N}, the training pairs"),
        ({"batch_size": N, "unit": "document"}, r"batch_size = 55.*at most \d\d, the documents of the training split"),
        ({"delta": 1 / N}, r"delta.*below 1/n = 0\.0182"),
        ({"delta": -1e-6}, "delta"),
        ({"canaries": 21}, r"canaries = 21.*at most 20 of each: one a document"),
        ({"canary_repeats": "1,0"}, "canary_repeats.*at least 1"),
        ({"canary_repeats": "often"}, "canary_repeats.*whole numbers"),
        ({"canary_repeats": ""}, "canary_repeats.*whole numbers"),
        ({"negatives": 41}, "negatives = 41.*at most 40, the documents"),
        ({"template": "Search query:"}, r"template = 'Search query:'.*\{document\}"),
        ({"template": "{document} {document}"}, r"template.*\{document\} in it, once"),
        ({"model": "nobodys-model"}, "model = 'nobodys-model'"),
        ({"model": "smollm2-135m"}, "labkit fetch smollm2-135m"),
        ({"noise_source": "dice"}, "noise_source.*seeded.*os"),
        ({"top_p": 0}, "top_p"),
        ({"temperature": 0}, "temperature"),
        ({"lora_targets": "nowhere"}, "lora_targets = 'nowhere'.*linear layers"),
        ({"lora_targets": "norm"}, "lora_targets"),
        ({"prompt_tokens": 4}, "prompt_tokens|template"),
        ({"prompt_tokens": 600}, "prompt_tokens = 600.*context"),
        ({"encoder_width": 4096, "encoder_layers": 32, "encoder_steps": 1_000_000}, "hours"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_trains(changes, words, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # no model has been fetched
    with pytest.raises(BadInput, match=words) as refused:
        EXPERIMENT.check(spec(**changes), hpo())
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "changes",
    [{"batch_size": N}, {"delta": 0.99 / N}, {"canaries": 20}, {"negatives": 40}, {"unit": "document"},
     {"split_by": "pair,document", "batch_size": 10}, {"canaries": 0}, {"lora_targets": "q_proj;v_proj"}],
)  # fmt: skip
def test_what_is_at_the_bound_is_not_refused(changes):
    EXPERIMENT.check(spec(**changes), hpo())


def test_the_presets_can_run():
    EXPERIMENT.check(EXPERIMENT.spec.of(device="cpu"), hpo())


def write(folder: Path, queries: list[str], qrels: str, documents: int = 12) -> Path:
    """A user's own corpus in BEIR's layout."""
    rows = {"corpus": [f"paper number {i} on heads" for i in range(documents)], "queries": queries}
    for name, texts in rows.items():
        lines = (json.dumps({"_id": f"{name[0]}{i}", "text": text}) + "\n" for i, text in enumerate(texts))
        (folder / f"{name}.jsonl").write_text("".join(lines))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return folder


OWN = {
    "documents": 0,
    "batch_size": 4,
    "direct_batch": 4,
    "encoder_batch": 4,
    "max_pairs": 2,
    "queries_per_document": 1,
}
PAIRS = "".join(f"q{i}\tc{i % 12}\t1\n" for i in range(36))


@pytest.mark.parametrize(
    ("queries", "qrels", "words"),
    [
        (["fine", "   "], "q0\tc0\t1\nq1\tc1\t1\n", "q1"),
        (["fine"], "q0\tc77\t1\n", "c77"),
        (["fine"], "q9\tc0\t1\n", "q9"),
        (["fine"], "", "pair"),
    ],
)
def test_a_corpus_that_cannot_be_used(tmp_path, queries, qrels, words):
    folder = str(write(tmp_path, queries, qrels))
    with Store(tmp_path / "store") as store, pytest.raises(BadInput, match=words):
        list(Worker(EXPERIMENT, spec(data=folder, **OWN), store).run())
    assert not list((tmp_path / "store").glob("files/*"))


def test_fewer_pairs_than_the_batch(tmp_path):
    corpus = load_corpus(str(write(tmp_path, ["a question"] * 36, PAIRS)), key=b"key")
    with pytest.raises(BadInput, match=r"batch_size = 26.*at most 2[0-5], the pairs"):
        EXPERIMENT.check(spec(data=str(tmp_path), **OWN | {"batch_size": 26}), corpus)


def test_a_users_own_corpus_by_documents(tmp_path):
    folder = str(write(tmp_path, [f"my secret {i}" for i in range(36)], PAIRS))
    corpus = load_corpus(folder, key=b"key")
    changes = {"data": folder, "epsilon": "3", "split_by": "document", "unit": "document"} | OWN
    EXPERIMENT.check(spec(**changes), corpus)
    row = results(list(run(jobs(**changes), resources(corpus))))[0, "synthetic"]
    assert (row["unit"], row["units"]) == ("document", 8)  # 70 % of 12 documents
    assert row["documents_fingerprint"] == corpus.fingerprint != load_corpus(folder, key=b"other").fingerprint
    assert not any(name.endswith("_lay") for name in row)  # nobody said who is a layperson
    assert row["lay_queries"] == 0


@pytest.mark.parametrize("unit", ["pair", "document"])
def test_a_dry_run_says_what_a_release_will_cost(unit):
    asked = spec(epsilon="3,clipped,plain", unit=unit)
    said = EXPERIMENT.costs(asked, hpo())
    units, _, _ = sizes(asked, hpo(), "pair")
    assert f"one {unit} of {units} is protected" in said
    assert [said.count(word) for word in ("language model", "direct", "logit", "\n")] == [1, 1, 1, 0]
    assert "none for clipped" in said
    assert "canaries are not released" in said
    assert "direct" not in EXPERIMENT.costs(spec(epsilon="plain", unit=unit), hpo())


@pytest.mark.usefixtures("one_rate")
def test_estimates_grow_with_the_work():
    def seconds(**changes):
        return EXPERIMENT.estimate(spec(**changes), hpo(), torch.device("cpu")).seconds

    assert 0 < seconds(epsilon="plain") < seconds(epsilon="3,plain") < seconds(epsilon="3,plain", seeds=3)
    assert seconds(epochs=100) > seconds() < seconds(encoder_steps=5000)
    assert seconds(canaries=0) < seconds(alternatives=1000)
    assert seconds(unit="document", epochs=100, max_pairs=64) > seconds(unit="document", epochs=100, max_pairs=1)
    assert EXPERIMENT.estimate(spec(), hpo(), torch.device("cpu")).peak_bytes > 0


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    asked = spec(epsilon="3,plain", queries_per_document=2, canaries=0)
    with Store(tmp_path_factory.mktemp("store")) as store:
        list(Worker(EXPERIMENT, asked, store, load=lambda spec, store: hpo()).run())
        yield View(store, EXPERIMENT, asked, hpo().fingerprint)


def failing(view: View, arm: str = "", epsilon: float | str = "", **values: object) -> list[str]:
    """The claims that do not hold when one stored row says something else."""
    rows = [dict(row) for row in view.results()]
    for row in rows:
        if (row["arm"], row["epsilon"]) == (arm, epsilon):
            row.update(values)
    judged = claims(SimpleNamespace(spec=view.spec, results=lambda: rows, series=view.series))
    return [claim.text for claim in judged if not claim.holds]


def test_claims_hold_of_what_is_stored(view):
    assert len(claims(view)) == 5  # a modified Spec has no bands
    assert failing(view) == []


@pytest.mark.parametrize(
    ("arm", "epsilon", "values", "claim"),
    [
        ("synthetic", 3.0, {"epsilon_spent": 3.001}, "nothing that was trained without interruption"),
        ("direct-warm", 3.0, {"epsilon_spent": 3.001}, "nothing that was trained without interruption"),
        ("logit", 3.0, {"executions": 2, "epsilon_spent": 2.9}, "what a stop made a run do again is charged"),
        ("synthetic", "plain", {"epsilon_spent": 1.0}, "nothing without noise shows an epsilon"),
        ("untuned", "plain", {"recall": 0.123}, "what no epsilon changes is the same at all of them"),
        ("real", 3.0, {"recall": 0.123}, "what no epsilon changes is the same at all of them"),
        ("synthetic", 3.0, {"empty_queries": 1}, "every document got the same number of queries"),
    ],
)
def test_a_claim_fails_when_a_stored_number_is_wrong(view, arm, epsilon, values, claim):
    (found,) = failing(view, arm, epsilon, **values)
    assert found.startswith(claim)


def test_the_verdicts_say_what_they_compare(view):
    words = EXPERIMENT.verdict_words(view)
    assert "synthetic" in words
    assert "direct" in words
    assert "seed" in words  # one is too few for a verdict


@pytest.mark.parametrize("name", sorted(EXPERIMENT.charts))
def test_every_chart_can_be_drawn_of_what_is_stored(view, name):
    assert EXPERIMENT.charts[name](view).to_dict()


def test_the_private_cost_of_all_results_in_words(view):
    assert "epsilon" in EXPERIMENT.totals(view)
