"""Sampling: what is drawn, how often, and from which stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration, TopPLogitsWarper

from labkit.data.models import find_model
from labkit.errors import BadInput
from labkit.streams import stream
from labkit.text import DEFAULT_TEMPLATE, Language, Tokens, encode_prompts, load_language, sampling
from labkit.text.sampling import decode, draw, sample

DOCUMENTS = (
    "Renal cyst. A fluid filled sac in the kidney.",
    "Seizure. An intermittent abnormality of nervous system physiology.",
    "Pain.",
    "Abnormality of the outer ear. An abnormality of the external ear.",
)
WAY = {"length": 12, "top_p": 0.9, "temperature": 1.0, "seed": 3, "batch": 4}


@pytest.fixture(scope="module")
def tiny() -> Language:
    return load_language(find_model("tiny"), "cpu")


@pytest.fixture(scope="module")
def t5(tiny: Language) -> Language:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(
            T5Config(vocab_size=len(tiny.tokenizer), decoder_start_token_id=0, **sizes)
        ).eval()
    return Language(model, tiny.tokenizer, True, tiny.files)


@pytest.fixture(scope="module")
def gpt2(tiny: Language) -> Language:
    """It learns a vector for each place, and shows when a token is read at the wrong one."""
    config = GPT2Config(
        vocab_size=len(tiny.tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2, initializer_range=0.5
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Language(GPT2LMHeadModel(config).eval(), tiny.tokenizer, False, tiny.files)


@pytest.fixture(scope="module")
def prompts(tiny: Language) -> Tokens:
    return encode_prompts(tiny, DOCUMENTS, DEFAULT_TEMPLATE, 40)[0]


def drawn(language: Language, prompts: Tokens, rows: list[int], **changed: object) -> Tensor:
    return torch.cat([piece.ids for piece in sample(language, prompts, rows, **{**WAY, **changed})])


def kept(logits: Tensor, top_p: float, temperature: float) -> Tensor:
    """Probabilities after transformers' own warper, float64 [b, V]."""
    warped = TopPLogitsWarper(top_p)(None, logits / temperature) if top_p < 1 else logits / temperature
    return warped.double().softmax(1)


def test_a_draw_by_hand() -> None:
    # .5, .3, .15, .05: half is reached by the first alone, .8 by two, .81 by three.
    logits = torch.tensor([0.05, 0.5, 0.15, 0.3]).log().expand(2000, -1)
    for top_p, tokens in ((0.4, {1}), (0.79, {1, 3}), (0.81, {1, 2, 3}), (1.0, {0, 1, 2, 3})):
        found = draw(logits, stream(0, "hand"), top_p=top_p, temperature=1.0)
        assert set(found.tolist()) == tokens


@pytest.mark.parametrize(("top_p", "temperature"), [(0.3, 1.0), (0.8, 0.7), (0.95, 1.5), (1.0, 1.0)])
def test_draws_come_as_often_as_they_should(top_p: float, temperature: float) -> None:
    """A correct sampler fails one seed in 10,000; the seed is fixed."""
    logits = 1.5 * torch.randn(1, 60, generator=stream(1, "logits"))
    chance = kept(logits, top_p, temperature)[0]
    found = draw(logits.expand(20_000, -1), stream(2, "draws"), top_p=top_p, temperature=temperature)
    there = chance > 0
    counts = found.bincount(minlength=60)
    assert int(counts[~there].sum()) == 0
    if int(there.sum()) > 1:
        wanted = chance[there] / chance[there].sum() * len(found)
        assert stats.chisquare(counts[there].numpy(), wanted.numpy()).pvalue > 1e-4


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), top_p=st.floats(0.01, 0.999), scale=st.floats(0.01, 30.0))
def test_nothing_outside_the_nucleus_is_drawn(seed: int, top_p: float, scale: float) -> None:
    logits = scale * torch.randn(64, 37, generator=stream(seed, "logits"))
    found = draw(logits, stream(seed, "draws"), top_p=top_p, temperature=1.0)
    likely = logits.double().softmax(1)
    own = likely.gather(1, found[:, None])
    likelier = likely.where(likely > own, 0.0).sum(1)
    assert bool((likelier < top_p + 1e-5).all())  # float32 sums decide at the very edge


def test_the_first_word_comes_as_often_as_the_model_says(tiny: Language) -> None:
    """A correct sampler fails one seed in 10,000; the seed is fixed."""
    prompts, _ = encode_prompts(tiny, ["Pain."], DEFAULT_TEMPLATE, 12)
    found = drawn(tiny, prompts, [0] * 3000, length=1, top_p=1.0, batch=1000)[:, 0]
    with torch.no_grad():
        chance = tiny.model(prompts.ids[:1][prompts.mask[:1]][None]).logits[0, -1].double().softmax(0)
    common = chance * len(found) >= 10  # the rest are one cell
    counts = found.bincount(minlength=len(chance)).double()
    cells = torch.cat([counts[common], counts[~common].sum()[None]])
    wanted = torch.cat([chance[common], chance[~common].sum()[None]])
    assert len(wanted) > 5
    assert stats.chisquare(cells.numpy(), (wanted / wanted.sum() * len(found)).numpy()).pvalue > 1e-4


@pytest.mark.parametrize("kind", ["tiny", "t5", "gpt2"])
def test_a_tiny_nucleus_is_greedy_generation(kind: str, request: pytest.FixtureRequest, prompts: Tokens) -> None:
    language = request.getfixturevalue(kind)
    found = drawn(language, prompts, [0, 1, 2, 3], top_p=1e-6)
    whole = language.model.generate(
        input_ids=prompts.ids, attention_mask=prompts.mask.long(), do_sample=False, max_new_tokens=12, pad_token_id=0
    )
    ours = found[:, : whole.shape[1] - (1 if language.seq2seq else prompts.ids.shape[1])]
    assert ours.tolist() == whole[:, -ours.shape[1] :].tolist()


def test_rows_keep_their_order_and_may_come_twice(tiny: Language, prompts: Tokens) -> None:
    pieces = list(sample(tiny, prompts, [3, 1, 1, 0, 2, 1], **WAY))
    assert [piece.rows for piece in pieces] == [(3, 1, 1, 0), (2, 1)]
    assert [piece.done for piece in pieces] == [4, 6]
    assert pieces[0].ids.shape == (4, 12)
    assert pieces[0].ids[1].tolist() != pieces[0].ids[2].tolist()


def test_a_run_that_was_cut_off_goes_on_with_the_same_queries(tiny: Language, prompts: Tokens) -> None:
    rows = [0, 1, 2, 3, 0, 1, 2, 3, 1]
    whole = drawn(tiny, prompts, rows)
    assert torch.equal(drawn(tiny, prompts, rows, skip=1), whole[4:])
    assert not torch.equal(whole[:4], whole[4:8])
    assert not torch.equal(drawn(tiny, prompts, rows, seed=4), whole)


def test_the_global_generator_is_left_alone(tiny: Language, prompts: Tokens) -> None:
    before = torch.get_rng_state()
    first = drawn(tiny, prompts, [0, 1])
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert torch.equal(drawn(tiny, prompts, [0, 1]), first)


def always(token: int, asked: list[int]) -> Callable[..., Callable[..., Tensor]]:
    """A model that writes `token`, and notes at which places it was asked."""

    def decoder(language: Language, prompts: Tokens, length: int) -> Callable[[Tensor | None, int], Tensor]:
        def step(_: Tensor | None, place: int) -> Tensor:
            asked.append(place)
            return torch.full((len(prompts), len(language.tokenizer)), -50.0).index_fill(1, torch.tensor([token]), 50.0)

        return step

    return decoder


def test_it_stops_when_all_have_ended(tiny: Language, prompts: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    end, asked = tiny.tokenizer.eos_token_id, []
    monkeypatch.setattr(sampling, "_decoder", always(end, asked))
    found = drawn(tiny, prompts, [0, 1])
    assert found.tolist() == [[end] + [tiny.tokenizer.pad_token_id] * 11] * 2
    assert asked == [0, 1, 2, 3]


def test_one_that_goes_on_is_not_cut_short(tiny: Language, prompts: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    end, word = tiny.tokenizer.eos_token_id, 100

    def decoder(language: Language, prompts: Tokens, length: int) -> Callable[[Tensor | None, int], Tensor]:
        rows = torch.zeros(2, len(language.tokenizer))
        rows[0, end] = rows[1, word] = 100.0
        return lambda token, place: rows

    monkeypatch.setattr(sampling, "_decoder", decoder)
    found = drawn(tiny, prompts, [0, 1])
    assert found.tolist() == [[end] + [tiny.tokenizer.pad_token_id] * 11, [word] * 12]


def test_decoded_queries_stand_on_one_line(tiny: Language) -> None:
    end = tiny.tokenizer.eos_token_id
    ids = tiny.tokenizer("  two\n lines\tof it ")["input_ids"]
    rows = torch.tensor([[*ids, end, *ids], [end, *ids, *ids], [*ids, *ids, end]])
    assert decode(tiny, rows) == ["two lines of it", "", "two lines of it two lines of it"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_p", 0.0), ("top_p", 1.1), ("top_p", float("nan")), ("temperature", 0.0), ("batch", 0), ("length", 0)],
)
def test_settings_that_cannot_be(tiny: Language, prompts: Tokens, name: str, value: float) -> None:
    with pytest.raises(BadInput):
        sample(tiny, prompts, [0], **{**WAY, name: value})


def test_more_than_the_model_reads(tiny: Language, prompts: Tokens) -> None:
    with pytest.raises(BadInput, match="query_tokens = 217"):
        sample(tiny, prompts, [0], **{**WAY, "length": 217})
    with pytest.raises(IndexError, match="rows of 4 prompts"):
        sample(tiny, prompts, [4], **WAY)


def test_no_rows_no_queries(tiny: Language, prompts: Tokens) -> None:
    assert list(sample(tiny, prompts, [], **WAY)) == []


@pytest.mark.gpu
def test_the_device_writes_the_same_greedily(tiny: Language, prompts: Tokens) -> None:
    there = load_language(find_model("tiny"), "cuda")
    assert torch.equal(drawn(there, prompts, [0, 1, 2], top_p=1e-6), drawn(tiny, prompts, [0, 1, 2], top_p=1e-6))
    assert torch.equal(drawn(there, prompts, [0, 1, 2]), drawn(there, prompts, [0, 1, 2]))
