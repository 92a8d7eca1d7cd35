"""What the small language model has read, and that its script makes it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from labkit.data.corpora import load_corpus
from labkit.data.corpus import Corpus
from labkit.data.models import ModelFiles, find_model
from labkit.text import Language, load_language
from tools import pretrain


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus("hpo")


@pytest.fixture(scope="module")
def carried() -> Language:
    return load_language(find_model("tiny"), "cpu")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, corpus: Corpus) -> pretrain.Public:
    read = pretrain.Public(corpus.documents[:40], corpus.titles[:40], corpus.licence)
    monkeypatch.setattr(pretrain, "public", lambda: read)
    return read


def made(read: pretrain.Public, steps: int, seed: int = 0) -> tuple[Language, list[float]]:
    words = pretrain.tokenizer(list(read.documents), 400)
    language = Language(pretrain.fresh(words, seed), words, False, find_model("tiny"))
    rows = pretrain.examples(language, read)
    return language, [float(loss) for _, loss in pretrain.train(language, rows, steps=steps, batch_size=16, seed=seed)]


def test_definitions_by_hand() -> None:
    read = pretrain.Public(("Pain. It hurts.", "Fit. Seizure. A fit."), ("Pain", "Fit. Seizure"), "")
    assert read.definitions() == ["It hurts.", "A fit."]


def test_a_crop_is_some_words_in_a_row_of_its_own_document() -> None:
    texts = ["One two three four five six seven. Eight nine."] * 50 + ["Alone."]
    found = pretrain.crops(texts, 0)
    assert all(" " + crop + " " in " one two three four five six seven eight nine " for crop in found[:-1])
    assert {len(crop.split()) for crop in found[:-1]} == set(range(pretrain.FEWEST, pretrain.MOST + 1))
    assert found[-1] == "alone"
    assert pretrain.crops(texts, 0) == found != pretrain.crops(texts, 1)


def test_it_reads_documents_whatever_the_queries_are(monkeypatch: pytest.MonkeyPatch, corpus: Corpus) -> None:
    honest = pretrain.public()
    other = dataclasses.replace(corpus, queries=("zq",) * len(corpus), relevant=corpus.relevant[::-1].copy())
    monkeypatch.setattr(pretrain, "load_corpus", lambda name: other)
    assert pretrain.public() == honest
    assert honest.documents == corpus.documents


def test_it_reads_no_pair(corpus: Corpus) -> None:
    read = pretrain.public()
    asked: dict[int, set[str]] = {}
    for query, row in zip(corpus.queries, corpus.relevant.tolist(), strict=True):
        asked.setdefault(row, set()).add(query.lower())
    taught = [name.lower() for name in read.names]
    assert len(taught) == len(corpus.documents) == len(asked)
    assert [row for row, name in enumerate(taught) if name in asked[row]] == []


def test_an_example_is_a_definition_and_a_name(carried: Language, few: pretrain.Public) -> None:
    rows = pretrain.examples(carried, few)
    assert rows.ids.shape == (40 * (2 + pretrain.CROPS), pretrain.PROMPT + pretrain.QUERY)
    short = few.definitions().index(min(few.definitions(), key=len))
    whole = carried.tokenizer.decode(rows.ids[short][rows.mask[short]])
    assert whole == f"{few.definitions()[short]}\nSearch query: {few.names[short]}<end>"
    plain = carried.tokenizer.decode(rows.ids[40 + short][rows.mask[40 + short]])
    assert plain == f" {few.documents[short]}<end>"
    prompt, crop = carried.tokenizer.decode(rows.ids[80 + short][rows.mask[80 + short]]).split("\nSearch query: ")
    assert prompt == few.documents[short]
    assert crop.removesuffix("<end>") in few.documents[short].lower().replace(". ", " ")
    assert bool((rows.mask[:, :-1] >= rows.mask[:, 1:]).all())  # padding on the right alone


def test_every_row_is_read_once_in_a_pass(carried: Language, few: pretrain.Public) -> None:
    rows = pretrain.examples(carried, few)
    stream = pretrain.batches(rows, 16, seed=0)
    first = torch.cat([next(stream) for _ in range(len(rows) // 16)])
    assert first.sort().values.tolist() == list(range(len(rows)))
    assert torch.cat([next(stream) for _ in range(len(rows) // 16)]).tolist() != first.tolist()


def test_the_loss_against_a_sum_over_rows(few: pretrain.Public) -> None:
    language, _ = made(few, 1)
    batch = pretrain.examples(language, few).rows(torch.arange(36, 44))
    lost, tokens = 0.0, 0
    with torch.no_grad():
        found = float(pretrain.loss(language, batch))
        for ids, mask in zip(batch.ids, batch.mask, strict=True):
            text = ids[mask]
            likely = language.model(text[None]).logits[0].log_softmax(1)
            lost -= float(likely[:-1].gather(1, text[1:, None]).sum())
            tokens += len(text) - 1
    assert found == pytest.approx(lost / tokens, rel=1e-4)


def test_it_learns_and_repeats_itself(few: pretrain.Public) -> None:
    first, losses = made(few, 20)
    again, repeated = made(few, 20)
    assert sum(losses[-5:]) / 5 < losses[0] - 1
    assert losses == repeated
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True))
    assert made(few, 1, seed=1)[1] != losses[:1]


def test_the_command_writes_a_model(tmp_path: Path, few: pretrain.Public, capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain.main(["--steps", "2", "--batch-size", "8", "--folder", str(tmp_path / "lm")]) == 0
    assert "step 0 loss" in capsys.readouterr().out
    language = load_language(ModelFiles("lm", tmp_path / "lm", "", ""), "cpu")
    assert language.context == pretrain.CONTEXT
    assert "40 public documents" in (tmp_path / "lm" / "README.md").read_text()


def test_the_carried_model_is_small_and_says_where_it_is_from(carried: Language, corpus: Corpus) -> None:
    folder = find_model("tiny").folder
    assert sum(file.stat().st_size for file in folder.iterdir()) < 3e6
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert corpus.licence in card
    assert "python -m tools.pretrain" in card
    assert len(carried.tokenizer) == pretrain.VOCABULARY
    assert sum(p.numel() for p in carried.model.model.layers.parameters()) < 500_000


def test_the_carried_model_has_learned_the_documents(carried: Language, corpus: Corpus) -> None:
    read = pretrain.Public(corpus.documents[:64], corpus.titles[:64], corpus.licence)
    with torch.no_grad():
        loss = float(pretrain.loss(carried, pretrain.examples(carried, read)))
    assert loss < 3.5  # nats a token; 7.6 before any training
