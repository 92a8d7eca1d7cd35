"""Notebook 03's adapter and retrievers: loaded as others load them they are what wrote and what found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from safetensors.torch import load_file
from small_queries import chunk, finish, kept, lab, run_until
from weights_of import export, place, replicates, run_card, said

from labkit.experiments.queries.lab import AT_ONCE
from labkit.retrieval.metrics import measures, search
from labkit.runs import Store
from labkit.runs.events import Artifact
from labkit.text.language import encode_plain
from labkit.text.sampling import decode, sample

KEPT = {"noise_source": "os", "keep_weights": True, "canaries": 0}
SEEDED = KEPT | {"noise_source": "seeded"}
ADAPTER, PRIVATE = "language-model", ("synthetic", "direct", "direct-warm", "logit")
RETRIEVERS = ("real", "untuned", *PRIVATE)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one run, whose noise nobody can make again."""
    with Store(tmp_path_factory.mktemp("os")) as store:
        finish(store, **KEPT)
        yield store


@pytest.fixture(scope="module")
def row(store):
    (row,) = replicates(store)
    return row


@pytest.fixture(scope="module")
def taken(store, row, tmp_path_factory):
    """All that may be shared, and in a folder of its own what may not."""
    folder = tmp_path_factory.mktemp("taken")
    arms = [ADAPTER, "retriever-untuned", *(f"retriever-{arm}" for arm in PRIVATE)]
    assert export(store, row, folder, *(option for arm in arms for option in ("--arm", arm))) == 0
    assert export(store, row, folder, "--arm", "retriever-real", "--not-private") == 0
    return folder


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft asks transformers by an old name
def test_the_adapter_as_peft_reads_it_writes_the_stored_queries(store, row, taken):
    bench = lab(**KEPT, epsilon="3")
    point, documents = bench.point, list(bench.split.documents)
    names = run_card(place(taken, row, ADAPTER), documents=documents)
    rows = np.repeat(np.arange(len(documents)), point.queries_per_document)
    object.__setattr__(names["language"], "model", names["model"].get_base_model())
    pieces = sample(
        names["language"], names["prompts"], rows, length=point.query_tokens, top_p=point.top_p,
        temperature=point.temperature, seed=0, batch=AT_ONCE["cpu"],
    )  # fmt: skip
    texts = decode(names["language"], torch.cat([piece.ids for piece in pieces]).long())
    held = store.arrays(row["key"], "synthetic")["text"].tobytes().decode()
    assert [text for text in texts if text] == held.split("\n")
    assert any((tensor != 0).any() for name, tensor in adapter(row, taken).items() if "lora_B" in name)


def adapter(row, taken):
    return load_file(place(taken, row, ADAPTER) / "adapter_model.safetensors")


@pytest.mark.parametrize("arm", RETRIEVERS)
def test_a_retriever_finds_what_the_stored_result_says(row, taken, arm):
    bench = lab(**KEPT, epsilon="3")
    test, given = (
        bench.split.test,
        {"documents": list(bench.split.documents), "queries": list(bench.split.test.queries)},
    )
    names = run_card(place(taken, row, f"retriever-{arm}"), **given)
    asked, index = (encode_plain(names["language"], given[n], k)[0] for n, k in (("queries", 8), ("documents", 20)))
    scores, rows = search(names["encoder"], asked, index)
    found = {name: float(values.mean()) for name, values in measures(rows, scores, test.documents).items()}
    result = row["results"][arm]
    assert {name: result[name] for name in ("recall", "ndcg", "mrr")} == pytest.approx(found, abs=1e-9)
    assert names["best"].shape == (len(test), 10)


def test_no_two_retrievers_are_the_same(row, taken):
    files = [load_file(place(taken, row, f"retriever-{arm}") / "model.safetensors") for arm in RETRIEVERS]
    assert len({tuple(file["project.weight"].flatten().tolist()) for file in files}) == len(RETRIEVERS)


@pytest.mark.parametrize("what", [ADAPTER, *(f"retriever-{arm}" for arm in PRIVATE)])
def test_another_accountant_finds_the_cards_epsilon_from_the_cards_numbers(row, taken, what):
    result = row["results"]["synthetic" if what == ADAPTER else what.removeprefix("retriever-")]
    facts = said(place(taken, row, what), "Guarantee")
    assert float(facts["epsilon"]) == result["epsilon_spent"]
    assert float(facts["delta"]) == result["delta"]
    assert float(facts["clip norm"]) == result["clip_norm"]
    assert int(facts["protected records"]) == result["units"]
    assert facts["relation"] == "add/remove one record: one pair of a query and its document"
    step = PoissonSampledDpEvent(float(facts["sample rate"]), GaussianDpEvent(float(facts["noise multiplier"])))
    found = PLDAccountant().compose(step, int(facts["steps"])).get_epsilon(float(facts["delta"]))
    assert found == pytest.approx(float(facts["epsilon"]), rel=1e-3)


def test_what_read_nothing_private_needs_no_guarantee_and_what_read_all_has_none(store, row, taken, tmp_path, capsys):
    free, real = ((place(taken, row, f"retriever-{arm}") / "README.md").read_text() for arm in ("untuned", "real"))
    assert "No guarantee is needed: no private record was read" in free
    assert "differentially private" not in free
    assert "- public-data\n" in free
    assert "**No guarantee.** These weights are not private: it was trained without noise" in real
    assert export(store, row, tmp_path / "out") == 2  # all of them: the baseline on real pairs is among them
    err = capsys.readouterr().err
    assert "retriever-real is not private" in err
    assert "--arm language-model" in err
    assert "--arm retriever-real" not in err
    assert not (tmp_path / "out").exists()
    assert export(store, row, tmp_path / "out", "--arm", "retriever-none") == 2
    assert "arm = 'retriever-none'" in capsys.readouterr().err


def test_the_unit_and_the_public_things_are_on_the_card(row, taken):
    text = (place(taken, row, ADAPTER) / "README.md").read_text()
    for words in ("- all documents of the index", "vocabulary and token embeddings", "Human Phenotype Ontology"):
        assert words in text
    assert "those of the language model whose queries trained it" not in text
    text = (place(taken, row, "retriever-synthetic") / "README.md").read_text()
    assert "those of the language model whose queries trained it" in text


def weights(store: Store) -> dict[str, dict[str, list]]:
    (row,) = replicates(store)
    named = [name for name in store.artifacts(row["key"]) if name.startswith("weights ")]
    return {name: {n: a.tolist() for n, a in store.arrays(row["key"], name).items()} for name in named}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("seeded")) as store:
        view = finish(store, **SEEDED)
        yield kept(view), weights(store)


@pytest.mark.parametrize(
    "ends",
    [chunk("fine-tuning at epsilon 3, done"), chunk("direct at epsilon 3, learned"), lambda e: isinstance(e, Artifact)],
    ids=["tuned", "learned", "kept"],
)
def test_a_run_stopped_between_a_training_and_its_weights_ends_with_them(tmp_path, seeded, ends):
    with Store(tmp_path) as store:
        assert run_until(store, ends, **SEEDED)
        assert kept(finish(store, **SEEDED)) == seeded[0]
        assert weights(store) == seeded[1]


def test_numbers_are_what_they_are_without(tmp_path, seeded):
    with Store(tmp_path) as store:
        rows, series = kept(finish(store, **(SEEDED | {"keep_weights": False})))
        assert weights(store) == {}
    names = {"name", "keep_weights"}
    plain, keeping = ([{n: v for n, v in row.items() if n not in names} for row in own] for own in (rows, seeded[0][0]))
    assert plain == keeping
    assert [{n: v for n, v in p.items() if n not in names} for p in series["ledger"]] == [
        {n: v for n, v in p.items() if n not in names} for p in seeded[0][1]["ledger"]
    ]
