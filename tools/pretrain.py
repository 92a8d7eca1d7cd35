"""Train the small language model that labkit carries, on public documents only: `python -m tools.pretrain`.

It reads the documents of the Human Phenotype Ontology, each a term's name and definition, and no synonym: synonyms are
the private queries of notebook 03. It learns the documents themselves, and one public task with the shape of the
private one: from a definition, in the template of the prompts, to the name of its term; and from a document to a few
words in a row of it, which teaches a small model to speak of what it reads.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from labkit.data.corpora import load_corpus
from labkit.data.models import ModelFiles
from labkit.device import resolve
from labkit.streams import stream, stream_seed
from labkit.text import DEFAULT_TEMPLATE, Language, Tokens, encode_prompts, encode_queries

FOLDER = Path(__file__).parent.parent / "labkit" / "data" / "files" / "tiny-lm"
VOCABULARY = 2048
CONTEXT = 256
PROMPT, QUERY = 56, 16  # tokens of a prompt and of a query: what preset quick of notebook 03 uses
TELL = 50  # steps between two lines on the screen
PEAK, WARM_UP = 4e-3, 0.05
CROPS, FEWEST, MOST = 4, 1, 5  # crops of each document, and their words


@dataclass(frozen=True)
class Public:
    """What the training reads.

    Args:
        documents: each "name. definition", as notebook 03 shows them to a model.
        names: of their terms.
        licence: of both, with the source's version.
    """

    documents: tuple[str, ...]
    names: tuple[str, ...]
    licence: str

    def definitions(self) -> list[str]:
        """The documents without the names of their terms."""
        return [text.removeprefix(f"{name}. ") for text, name in zip(self.documents, self.names, strict=True)]


def public() -> Public:
    """The documents of the installed Human Phenotype Ontology; its queries are not looked at."""
    corpus = load_corpus("hpo")
    return Public(corpus.documents, corpus.titles, corpus.licence)


def tokenizer(texts: list[str], vocabulary: int = VOCABULARY) -> object:
    """A byte-level BPE tokenizer of `texts`, with a pad and an end token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        eos_token="<end>",
        clean_up_tokenization_spaces=False,
    )


def fresh(words: object, seed: int) -> object:
    """A small Llama with random weights: 2 layers of width 128, input and output embeddings shared."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):  # transformers draws initial weights from the global generator
        torch.manual_seed(stream_seed(seed, "weights"))
        return LlamaForCausalLM(config)


def crops(documents: Sequence[str], seed: int) -> list[str]:
    """Of each document a few words in a row, in small letters and without a full stop, drawn by the seed."""
    generator, found = stream(seed, "crops"), []
    for text in documents:
        words = text.lower().replace(". ", " ").rstrip(".").split()
        count = int(torch.randint(FEWEST, MOST + 1, (1,), generator=generator))
        start = int(torch.randint(max(1, len(words) - count + 1), (1,), generator=generator))
        found.append(" ".join(words[start : start + count]))
    return found


def examples(language: Language, read: Public, seed: int = 0) -> Tokens:
    """Every definition as a prompt with its term's name as the query, then every document without a task, then every
    document as a prompt with a crop of it as the query, CROPS times.

    Returns:
        [(2 + CROPS) n, PROMPT + QUERY], padded on the right alone: a step reads as far as its longest row.
    """
    asked = [read.names, *(crops(read.documents, stream_seed(seed, "crop", number)) for number in range(CROPS))]
    texts = [*read.definitions(), *read.documents * CROPS]
    prompts, _ = encode_prompts(language, texts, DEFAULT_TEMPLATE, PROMPT)
    names, _ = encode_queries(language, [query for queries in asked for query in queries], QUERY)
    ids, mask = torch.cat([prompts.ids, names.ids], 1), torch.cat([prompts.mask, names.mask], 1)
    moved = (~mask).long().argsort(dim=1, stable=True)  # tokens first, in their order
    plain, _ = encode_queries(language, read.documents, PROMPT + QUERY)
    ids, mask, count = ids.gather(1, moved), mask.gather(1, moved), len(read.documents)
    return Tokens(
        torch.cat([ids[:count], plain.ids, ids[count:]]),
        torch.cat([mask[:count], plain.mask, mask[count:]]),
    )


def loss(language: Language, batch: Tokens) -> Tensor:
    """Mean over tokens of -log p(token | those before it): public text, so any mean will do."""
    longest = int(batch.mask.sum(1).max())
    ids, mask = batch.ids[:, :longest], batch.mask[:, :longest]
    hidden = language.model.model(input_ids=ids, attention_mask=mask.long(), use_cache=False).last_hidden_state
    known = mask[:, 1:]
    return torch.nn.functional.cross_entropy(language.model.lm_head(hidden[:, :-1][known]), ids[:, 1:][known])


def batches(read: Tokens, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Rows of each step, without end: rows of like length together, drawn anew in each pass."""
    generator, lengths = stream(seed, "order"), read.mask.sum(1)
    while True:
        shuffled = torch.randperm(len(read), generator=generator)
        alike = shuffled[(lengths[shuffled] // 4).argsort(stable=True)].split(batch_size)
        for group in torch.randperm(len(alike), generator=generator).tolist():
            yield alike[group]


def train(language: Language, read: Tokens, *, steps: int, batch_size: int, seed: int) -> Iterator[tuple[int, Tensor]]:
    """AdamW with warm-up and a cosine; yields (step, loss as a number on the model's device)."""
    optimizer = torch.optim.AdamW(language.model.parameters(), lr=PEAK, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / (WARM_UP * steps), 0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    language.model.train()
    for step, rows in zip(range(steps), batches(read, batch_size, seed), strict=False):
        optimizer.zero_grad()
        value = loss(language, read.rows(rows).to(language.device))
        value.backward()
        torch.nn.utils.clip_grad_norm_(language.model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield step, value.detach()
    language.model.eval()


def write(language: Language, folder: Path, card: str) -> None:
    """Save model (float16), tokenizer and model card."""
    folder.mkdir(parents=True, exist_ok=True)
    language.tokenizer.save_pretrained(folder)
    language.model.to(torch.float16).save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


def card(read: Public, command: str, steps: int, final: float) -> str:
    """The model card."""
    return f"""# tiny-lm

A language model of 2 layers and {VOCABULARY:,} tokens that labkit's tests and preset quick of notebook 03 fine-tune on
two cores. It is a Llama in shape only: no weight comes from elsewhere.

- **Read:** {len(read.names):,} public documents of the Human Phenotype Ontology (names and definitions); from each
  definition the name of its term; from each document crops of it. It has read no synonym: those are the queries that
  notebook 03 keeps private.
- **Source and licence of the text:** {read.licence.rstrip(".")}.
- **Licence of the weights:** Apache-2.0, as labkit.
- **Made by:** `{command}`, {steps:,} steps; last loss {final:.3f} nats a token.
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    wanted = parser.parse_args(arguments)
    read, began = public(), time.perf_counter()
    words = tokenizer(list(read.documents))
    language = Language(fresh(words, wanted.seed), words, False, ModelFiles("tiny", wanted.folder, "", "Apache-2.0"))
    language.model.to(resolve(wanted.device))
    rows, recent = examples(language, read, wanted.seed), 0.0
    for step, value in train(language, rows, steps=wanted.steps, batch_size=wanted.batch_size, seed=wanted.seed):
        if step % TELL == 0 or step == wanted.steps - 1:
            recent = float(value)
            print(f"step {step} loss {recent:.3f} after {time.perf_counter() - began:.0f} s", flush=True)
    command = f"python -m tools.pretrain --steps {wanted.steps} --batch-size {wanted.batch_size} --seed {wanted.seed}"
    write(language, wanted.folder, card(read, command, wanted.steps, recent))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
