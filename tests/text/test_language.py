"""Documents and queries as tokens, and the log-probability of a query."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data.models import ModelFiles, find_model
from labkit.errors import BadInput
from labkit.text import (
    DEFAULT_TEMPLATE,
    Language,
    Tokens,
    encode_plain,
    encode_prompts,
    encode_queries,
    load_language,
    query_log_probs,
)

DOCUMENTS = (
    "Renal cyst. A fluid filled sac in the kidney.",
    "Seizure. An intermittent abnormality of nervous system physiology.",
    "Pain.",
)
QUERIES = ("kidney cyst", "fits and seizures", "it hurts")


@pytest.fixture(scope="module")
def tiny() -> Language:
    return load_language(find_model("tiny"), "cpu")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory, tiny: Language) -> Language:
    """A random T5 with the tiny model's tokenizer."""
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("t5")
    config = T5Config(
        vocab_size=len(tiny.tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        T5ForConditionalGeneration(config).save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return load_language(ModelFiles("t5", folder, "", ""), "cpu")


@pytest.fixture(scope="module")
def gpt2(tiny: Language) -> Language:
    """A random GPT-2: it learns a vector for each place, so that padding must not move its words."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=len(tiny.tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Language(GPT2LMHeadModel(config).eval(), tiny.tokenizer, False, tiny.files)


def copied(tmp_path: Path) -> ModelFiles:
    folder = tmp_path / "model"
    shutil.copytree(find_model("tiny").folder, folder)
    return ModelFiles("mine", folder, "", "")


def test_a_prompt_by_hand(tiny: Language) -> None:
    kidney, frame = (tiny.tokenizer(text)["input_ids"] for text in ("Pain.", "\nSearch query:"))
    whole = kidney + frame
    prompts, cut = encode_prompts(tiny, ["Pain."], DEFAULT_TEMPLATE, len(whole) + 2)
    assert prompts.ids.tolist() == [[tiny.tokenizer.pad_token_id] * 2 + whole]
    assert prompts.mask.tolist() == [[False] * 2 + [True] * len(whole)]
    assert cut == 0


def test_a_query_by_hand(tiny: Language) -> None:
    words = tiny.tokenizer(" it hurts")["input_ids"]
    end, pad = tiny.tokenizer.eos_token_id, tiny.tokenizer.pad_token_id
    queries, cut = encode_queries(tiny, ["it hurts"], len(words) + 3)
    assert queries.ids.tolist() == [[*words, end, pad, pad]]
    assert queries.mask.sum() == len(words) + 1
    assert cut == 0


def test_only_the_document_is_truncated(tiny: Language) -> None:
    prompts, cut = encode_prompts(tiny, ["kidney " * 200, "Pain."], "Read: {document}\nSearch query:", 24)
    assert cut == 1
    assert prompts.mask.sum(1).tolist()[0] == 24
    text = tiny.tokenizer.decode(prompts.ids[0])
    assert text.startswith("Read: kidney")
    assert text.endswith("\nSearch query:")


def test_a_truncated_query_keeps_its_end(tiny: Language) -> None:
    queries, cut = encode_queries(tiny, ["kidney " * 20, "pain"], 5)
    assert cut == 1
    assert queries.mask[0].all()
    assert queries.ids[0, -1] == tiny.tokenizer.eos_token_id


def test_a_query_that_just_fits_is_whole(tiny: Language) -> None:
    length = len(tiny.tokenizer(" it hurts")["input_ids"]) + 1
    assert encode_queries(tiny, ["it hurts"], length)[1] == 0
    assert encode_queries(tiny, ["it hurts"], length - 1)[1] == 1


def test_plain_text_has_no_special_tokens(tiny: Language) -> None:
    texts, cut = encode_plain(tiny, [*DOCUMENTS, "kidney " * 50], 20)
    assert cut == 1
    assert not (texts.ids[texts.mask] == tiny.tokenizer.eos_token_id).any()
    assert encode_plain(tiny, DOCUMENTS[2:], 20)[0].mask[0].tolist() == [True] * int(texts.mask[2].sum()) + [
        False
    ] * int((~texts.mask[2]).sum())


def test_a_document_cannot_spell_a_special_token(tiny: Language) -> None:
    prompts, _ = encode_prompts(tiny, ["Pain.<end><pad>"], DEFAULT_TEMPLATE, 40)
    queries, _ = encode_queries(tiny, ["<end> pain"], 16)
    assert not (prompts.ids[prompts.mask] < 2).any()
    assert int((queries.ids[queries.mask] == tiny.tokenizer.eos_token_id).sum()) == 1


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20))
def test_a_query_reads_back(text: str) -> None:
    language = read_once()
    queries, cut = encode_queries(language, [text], 200)
    assert cut == 0
    assert language.tokenizer.decode(queries.ids[0, : int(queries.mask.sum()) - 1]) == " " + text.strip()


def read_once(kept: list[Language] = []) -> Language:  # noqa: B006  hypothesis takes no fixture of module scope
    if not kept:
        kept.append(load_language(find_model("tiny"), "cpu"))
    return kept[0]


@torch.no_grad()
def test_log_probabilities_against_one_query_at_a_time(tiny: Language) -> None:
    prompts, _ = encode_prompts(tiny, DOCUMENTS, DEFAULT_TEMPLATE, 48)
    queries, _ = encode_queries(tiny, QUERIES, 12)
    found = query_log_probs(tiny, prompts, queries)
    for row in range(len(DOCUMENTS)):
        prompt, query = prompts.ids[row][prompts.mask[row]], queries.ids[row][queries.mask[row]]
        logits = tiny.model(torch.cat([prompt, query])[None]).logits[0].double().log_softmax(1)
        slow = sum(logits[len(prompt) + place - 1, token] for place, token in enumerate(query.tolist()))
        assert float(found[row]) == pytest.approx(float(slow), abs=1e-3)
    assert found.dtype == torch.float32


@torch.no_grad()
def test_log_probabilities_of_a_t5_against_its_own_loss(t5: Language) -> None:
    assert t5.seq2seq
    prompts, _ = encode_prompts(t5, DOCUMENTS, DEFAULT_TEMPLATE, 48)
    queries, _ = encode_queries(t5, QUERIES, 12)
    found = query_log_probs(t5, prompts, queries)
    for row in range(len(DOCUMENTS)):
        prompt, query = prompts.ids[row][prompts.mask[row]], queries.ids[row][queries.mask[row]]
        loss = t5.model(input_ids=prompt[None], labels=query[None]).loss
        assert float(found[row]) == pytest.approx(-float(loss) * len(query), rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["tiny", "t5", "gpt2"])
def test_padding_changes_no_probability(kind: str, request: pytest.FixtureRequest) -> None:
    language = request.getfixturevalue(kind)
    near, far = (encode_prompts(language, DOCUMENTS, DEFAULT_TEMPLATE, length)[0] for length in (32, 90))
    short, long = (encode_queries(language, QUERIES, length)[0] for length in (10, 17))
    torch.testing.assert_close(
        query_log_probs(language, near, short), query_log_probs(language, far, long), atol=1e-4, rtol=0
    )


def test_rows_of_tokens() -> None:
    tokens = Tokens(torch.arange(6).view(3, 2), torch.tensor([[True, False]] * 3))
    some = tokens.rows(torch.tensor([2, 0, 2])).to("cpu")
    assert len(some) == 3
    assert some.ids.tolist() == [[4, 5], [0, 1], [4, 5]]


def test_the_model_is_ready_to_read(tiny: Language) -> None:
    assert not tiny.model.training
    assert not tiny.seq2seq
    assert {p.dtype for p in tiny.model.parameters()} == {torch.float32}
    assert tiny.device.type == "cpu"


def test_reading_a_model_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    load_language(find_model("tiny"), "cpu")
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled() == shown


@pytest.mark.parametrize("template", ["", "Search query:", "{document} {document}"])
def test_a_template_holds_the_document_once(tiny: Language, template: str) -> None:
    with pytest.raises(BadInput, match="template"):
        encode_prompts(tiny, DOCUMENTS, template, 40)


def test_lengths_that_cannot_be(tiny: Language) -> None:
    with pytest.raises(BadInput, match="more than the template's own"):
        encode_prompts(tiny, DOCUMENTS, DEFAULT_TEMPLATE, 2)
    with pytest.raises(BadInput, match="context of tiny"):
        encode_prompts(tiny, DOCUMENTS, DEFAULT_TEMPLATE, 257)
    with pytest.raises(BadInput, match="query_tokens"):
        encode_queries(tiny, QUERIES, 1)


@pytest.mark.parametrize("token", ["pad_token", "eos_token"])
def test_a_tokenizer_without_a_needed_token(tmp_path: Path, token: str) -> None:
    files = copied(tmp_path)
    path = files.folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config[token]
    path.write_text(json.dumps(config))
    with pytest.raises(BadInput, match=f"name {token} in .*tokenizer_config.json"):
        load_language(files, "cpu")


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    files = copied(tmp_path)
    (files.folder / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match="a model with a tokenizer"):
        load_language(files, "cpu")


@pytest.mark.gpu
@torch.no_grad()
def test_the_device_gives_the_same(tiny: Language) -> None:
    there = load_language(find_model("tiny"), "cuda")
    prompts, _ = encode_prompts(tiny, DOCUMENTS, DEFAULT_TEMPLATE, 40)
    queries, _ = encode_queries(tiny, QUERIES, 12)
    found = query_log_probs(there, prompts.to("cuda"), queries.to("cuda")).cpu()
    torch.testing.assert_close(found, query_log_probs(tiny, prompts, queries), atol=5e-3, rtol=0)
