"""Canaries: how they are planted, and how much exposure says."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import T5Config, T5ForConditionalGeneration

from labkit.data.models import find_model
from labkit.errors import BadInput
from labkit.streams import stream
from labkit.text import (
    DEFAULT_TEMPLATE,
    Language,
    Tokens,
    canaries,
    encode_prompts,
    encode_queries,
    load_language,
    query_log_probs,
)
from labkit.text.canaries import CHANCE, alternatives, exposure, exposures, log_probs_of_one, plant

DOCUMENTS = tuple(f"Sign {number}. A sign of disease number {number}." for number in range(60))


@pytest.fixture(scope="module")
def tiny() -> Language:
    return load_language(find_model("tiny"), "cpu")


@pytest.fixture(scope="module")
def prompts(tiny: Language) -> Tokens:
    return encode_prompts(tiny, DOCUMENTS, DEFAULT_TEMPLATE, 32)[0]


def test_exposure_by_hand() -> None:
    others = torch.tensor([-3.0, -5.0, -1.0, -4.0, -6.0, -7.0, -8.0])
    assert exposure(-0.5, others) == 3.0  # first of eight
    assert exposure(-2.0, others) == 2.0  # second
    assert exposure(-9.0, others) == 0.0  # last


def test_ties_and_nan_never_raise_exposure() -> None:
    assert exposure(-1.0, torch.full((7,), -1.0)) == 0.0
    assert exposure(float("nan"), torch.full((7,), -1.0)) == 0.0
    assert exposure(0.0, torch.full((7,), float("nan"))) == 0.0
    assert exposure(-1.0, torch.tensor([-1.0, -2.0, -2.0])) == 1.0


@given(st.floats(-50, 0), st.lists(st.floats(-50, 0), min_size=1, max_size=40))
def test_exposure_lies_between_0_and_its_cap(own: float, others: list[float]) -> None:
    found = exposure(own, torch.tensor(others, dtype=torch.float64))
    assert 0 <= found <= math.log2(len(others) + 1)
    assert found <= exposure(own + 1, torch.tensor(others, dtype=torch.float64))


def test_the_mean_of_what_was_never_planted() -> None:
    """A correct program fails 1 seed in 16,000 (4 standard errors of 4,000 means); the seed is fixed."""
    values = torch.randn(4000, 1024, generator=stream(0, "chance"))
    found = torch.tensor([exposure(float(row[0]), row[1:]) for row in values])
    assert pytest.approx(1.4427, abs=1e-4) == CHANCE
    assert abs(float(found.mean()) - CHANCE) < 4 * 1.44 / 4000**0.5


def test_canaries_differ_in_document_and_code(tiny: Language) -> None:
    found = plant(tiny, 60, (1, 10, 100), 20, seed=0)
    assert [canary.repeats for canary in found] == [1] * 20 + [10] * 20 + [100] * 20
    assert len({canary.document for canary in found}) == len({canary.query for canary in found}) == 60
    assert all(0 <= canary.document < 60 for canary in found)
    assert plant(tiny, 60, (1, 10, 100), 20, seed=0) == found
    assert plant(tiny, 60, (1, 10, 100), 20, seed=1) != found


def test_alternatives_have_the_canary_s_form_and_length(tiny: Language) -> None:
    (canary,) = plant(tiny, 60, (10,), 1, seed=0)
    found = alternatives(canary, 500, seed=0)
    assert len(set(found)) == 500
    assert canary.query not in found
    tokens, _ = encode_queries(tiny, [canary.query, *found], 32)
    assert tokens.mask.sum(1).unique().tolist() == [int(tokens.mask[0].sum())]
    assert all(query.startswith("my code is ") and len(query.split()) == 6 for query in found)
    assert alternatives(canary, 500, seed=0) == found
    assert set(alternatives(canary, 500, seed=1)) != set(found)


def test_all_alternatives_there_are() -> None:
    canary = canaries.Canary(0, "my code is one one two", 1, ("one", "two"))
    found = alternatives(canary, 7, seed=0)
    assert sorted([*found, canary.query]) == sorted(
        f"my code is {a} {b} {c}" for a in ("one", "two") for b in ("one", "two") for c in ("one", "two")
    )


@torch.no_grad()
def test_one_prompt_for_many_queries_against_many_prompts(tiny: Language, prompts: Tokens) -> None:
    row = torch.tensor([7])
    there = prompts.mask[7]
    prompt = Tokens(prompts.ids[7][there][None], there[there][None])
    (canary,) = plant(tiny, 60, (10,), 1, seed=0)
    texts = alternatives(canary, 20, seed=0)
    queries, cut = encode_queries(tiny, texts, len(tiny.tokenizer(" " + texts[0])["input_ids"]) + 1)
    assert cut == 0
    slow = query_log_probs(tiny, prompts.rows(row.expand(20)), queries)
    torch.testing.assert_close(log_probs_of_one(tiny, prompt, queries), slow, atol=2e-4, rtol=0)


def test_what_was_never_planted_is_not_exposed(tiny: Language, prompts: Tokens) -> None:
    """Exposure at chance is nearly exponential, mean 1.44: the mean of 30 leaves this interval for 1 seed in 10,000."""
    found = list(exposures(tiny, prompts, plant(tiny, 60, (1,), 30, seed=0), count=63, seed=0, batch=64))
    assert {one.cap for one in found} == {6.0}
    assert 0.62 < sum(one.exposure for one in found) / 30 < 2.7


def test_what_was_learned_by_heart_reaches_the_cap(tiny: Language, prompts: Tokens) -> None:
    canary, other = plant(tiny, 60, (10,), 2, seed=0)
    model = copy.deepcopy(tiny.model)
    language = Language(model, tiny.tokenizer, False, tiny.files)
    queries, _ = encode_queries(tiny, [canary.query], 24)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(15):
        optimizer.zero_grad()
        (-query_log_probs(language, prompts.rows(torch.tensor([canary.document])), queries)).sum().backward()
        optimizer.step()
    learned, unseen = exposures(language, prompts, [canary, other], count=255, seed=0, batch=100)
    assert learned.exposure == learned.cap == 8.0
    assert learned.log_prob > -1
    assert unseen.log_prob < learned.log_prob


def test_the_batch_changes_nothing(tiny: Language, prompts: Tokens) -> None:
    planted = plant(tiny, 60, (1,), 3, seed=2)
    small = [one.exposure for one in exposures(tiny, prompts, planted, count=31, seed=0, batch=5)]
    large = [one.exposure for one in exposures(tiny, prompts, planted, count=31, seed=0, batch=500)]
    assert small == large


def test_a_t5_is_asked_too(tiny: Language, prompts: Tokens) -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
    model = T5ForConditionalGeneration(T5Config(vocab_size=2048, decoder_start_token_id=0, **sizes)).eval()
    t5 = Language(model, tiny.tokenizer, True, tiny.files)
    (found,) = exposures(t5, prompts, plant(t5, 60, (1,), 1, seed=0), count=15, seed=0, batch=8)
    assert 0 <= found.exposure <= found.cap == 4.0


def test_plans_that_cannot_be(tiny: Language) -> None:
    with pytest.raises(BadInput, match="at most one a document: 10"):
        plant(tiny, 10, (1, 10), 6, seed=0)
    with pytest.raises(BadInput, match="at least one of each"):
        plant(tiny, 10, (0,), 6, seed=0)
    canary = canaries.Canary(0, "my code is one one two", 1, ("one", "two"))
    for count in (0, 8):
        with pytest.raises(BadInput, match="from 1 to 7"):
            alternatives(canary, count, seed=0)


def test_a_tokenizer_with_too_few_words(tiny: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries, "code_words", lambda language: ("one", "two"))
    with pytest.raises(BadInput, match="codes are made of 2"):
        plant(tiny, 10, (1,), 6, seed=0)
