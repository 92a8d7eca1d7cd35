from __future__ import annotations

import json
import sys
from types import ModuleType

import pytest

from labkit.data import hub_corpus
from labkit.data.copies import new_folder
from labkit.data.corpora import load_corpus
from labkit.errors import BadInput

CORPUS = {"corpus": [{"_id": "d1", "title": "One", "text": "first"}, {"_id": "d2", "title": "", "text": "second"}]}
QUERIES = {"queries": [{"_id": "1", "text": "what?"}, {"_id": "2", "text": "why?"}]}
QRELS = {
    "train": [{"query-id": 1, "corpus-id": "d1", "score": 1}],
    "test": [{"query-id": 2, "corpus-id": "d2", "score": 1.0}, {"query-id": 2, "corpus-id": "d1", "score": 0}],
}
INSIDE = {("own/inside", "corpus"): CORPUS, ("own/inside", "queries"): QUERIES, ("own/inside", "default"): QRELS}
BESIDE = {("own/beside", "corpus"): CORPUS, ("own/beside", "queries"): QUERIES, ("own/beside-qrels", None): QRELS}


@pytest.fixture
def the_hub(monkeypatch, tmp_path):
    """An empty cache, and a Hub that holds what is put in `.tables`; `.told` is what a fetch told."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    module = ModuleType("datasets")
    module.tables, module.error, module.asked, module.told = INSIDE | BESIDE, None, [], []

    def load_dataset(name: str, config: str | None = None) -> dict:
        module.asked.append((name, config))
        return module.tables[name, config]

    def get_dataset_config_names(name: str) -> list[str]:
        if module.error:
            raise module.error
        return [config for known, config in module.tables if known == name]

    module.load_dataset, module.get_dataset_config_names = load_dataset, get_dataset_config_names
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


@pytest.mark.parametrize("name", ["own/inside", "own/beside"])
def test_fetched_once_then_read_without_the_hub(the_hub, monkeypatch, name):
    path = hub_corpus.fetch(f"hub:{name}", the_hub.told.append)
    asked = list(the_hub.asked)
    assert hub_corpus.fetch(f"hub:{name}", the_hub.told.append) == path
    assert the_hub.asked == asked
    monkeypatch.setitem(sys.modules, "datasets", None)  # not installed any more
    corpus = load_corpus(f"hub:{name}")
    assert corpus.documents == ("One first", "second")
    assert sorted(zip(corpus.queries, corpus.relevant.tolist(), strict=True)) == [("what?", 0), ("why?", 1)]
    assert corpus.public
    assert corpus.name == name
    assert the_hub.told == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_is_empty_is_left_out_and_said(the_hub):
    broken = {"corpus": [*CORPUS["corpus"], {"_id": "d3", "title": None, "text": " "}]}
    pairs = {"test": [*QRELS["test"], {"query-id": 1, "corpus-id": "d3", "score": 1}]}
    the_hub.tables = INSIDE | {("own/inside", "corpus"): broken, ("own/inside", "default"): pairs}
    hub_corpus.fetch("hub:own/inside", the_hub.told.append)
    assert the_hub.told == ["left out: 1 empty documents, 0 empty queries, 1 pairs that name what is not there"]
    assert load_corpus("hub:own/inside").queries == ("why?",)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({("own/inside", "corpus"): {"corpus": [{"id": "d1", "text": "x"}]}}, "the columns _id, text; _id is not"),
        ({("own/inside", "default"): {"test": [{"qid": "1"}]}}, "query-id, corpus-id, score is not there"),
        ({("own/inside", "default"): {"test": []}}, "it has none"),
    ],
)
def test_tables_of_another_form_leave_nothing(the_hub, table, line):
    the_hub.tables = INSIDE | table
    with pytest.raises(BadInput, match=line):
        hub_corpus.fetch("hub:own/inside", the_hub.told.append)
    assert list(hub_corpus.copy_path("hub:own/inside").parent.iterdir()) == []


def test_not_fetched_says_how(the_hub):
    with pytest.raises(BadInput, match="`labkit fetch hub:own/inside --as corpus`"):
        load_corpus("hub:own/inside")
    assert the_hub.asked == []


def test_a_local_folder_never_passes_for_a_published_corpus(the_hub, tmp_path):
    (tmp_path / "own" / "inside").mkdir(parents=True)
    with pytest.raises(BadInput, match="called own/inside"):
        hub_corpus.fetch("hub:own/inside", the_hub.told.append)
    assert the_hub.asked == []


@pytest.mark.parametrize("error", [ConnectionError("no route\nto host"), FileNotFoundError("unknown"), ValueError("")])
def test_the_hub_says_no(the_hub, error):
    the_hub.error = error
    with pytest.raises(BadInput, match=r"hub:own/inside.*answered") as caught:
        hub_corpus.fetch("hub:own/inside", the_hub.told.append)
    assert "\n" not in str(caught.value)


def test_the_extra_is_missing(the_hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadInput, match=r"labkit\[hub\]"):
        hub_corpus.fetch("hub:own/inside", the_hub.told.append)


@pytest.mark.parametrize("name", ["hub:", "hub:../x", "hub:a/b/c", "hub:a/.."])
def test_a_name_that_could_leave_the_cache_is_refused(the_hub, name):
    for call in (load_corpus, lambda name: hub_corpus.fetch(name, the_hub.told.append)):
        with pytest.raises(BadInput, match="hub:OWNER/NAME"):
            call(name)
    assert the_hub.asked == []


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    target = tmp_path / "made" / "folder"
    with new_folder(target) as unfinished:
        (unfinished / "file").write_text(json.dumps(1))
        assert not target.exists()
    assert (target / "file").read_text() == "1"
    with new_folder(target) as late:  # another process was first: its folder stays
        (late / "file").write_text("2")
    assert (target / "file").read_text() == "1"
    with pytest.raises(KeyError), new_folder(tmp_path / "made" / "other"):
        raise KeyError
    assert [path.name for path in target.parent.iterdir()] == ["folder"]
