"""`labkit export --queries`: what may be shared goes with its provenance, what may not is refused or marked."""

from __future__ import annotations

import json

import pytest
import torch

from labkit.cli.queries import reservation
from labkit.runs import RunKey
from labkit.runs.events import Artifact, Result
from labkit.spec import Spec, control

PRIVATE = {
    "epsilon_spent": 2.99,
    "delta": 3.5e-5,
    "noise_multiplier": 1.25,
    "accountant": "PLD",
    "sample_rate": 0.07,
    "steps": 84,
    "unit": "pair",
    "model": "tiny",
    "model_sha256": "ab" * 32,
    "noise_source": "os",
    "documents_fingerprint": "cd" * 32,
    "ndcg": 0.5,
    "not_private_copies": 0.25,
}
PLAIN = {"unit": "pair", "model": "tiny", "model_sha256": "ab" * 32, "documents_fingerprint": "cd" * 32}
QUERIES, ROWS = ["big head", 'größer, "more"', ""], [0, 7, 7]
TEXT = "\n".join(QUERIES)


class QueriesSpec(Spec):
    data: str = control("hpo", help="any corpus")
    epsilon: tuple[float | str, ...] = control("3", "3", help="epsilon", gt=0, words=("clipped", "plain"), kind="float")


@pytest.fixture
def kept(lab):
    """A function that stores a finished replicate of run aaaa..., seed 0 on the CPU unless told."""

    def keep(values=PRIVATE, epsilon="3", seed=0, kind="cpu", text=TEXT, rows=ROWS, finish=True):
        key = RunKey("99", "a" * 16, seed, kind)
        tensors = {"text": torch.frombuffer(bytearray(text.encode() or b" "), dtype=torch.uint8)[: len(text.encode())]}
        with lab.store() as store:
            store.claim(key, QueriesSpec.of(epsilon=epsilon))
            store.write(key, Artifact("synthetic", tensors | {"document": torch.tensor(rows, dtype=torch.int64)}))
            store.write(key, Artifact("encoder", {"weight": torch.zeros(1)}))
            store.write(key, Result("real", {"ndcg": 0.9}), Result("synthetic", values))
            if finish:
                store.finish(key)
            else:
                store.stop(key)
        return lab

    return keep


def lines(lab, *arguments: str) -> list[dict]:
    code, out, err = lab.run("export", "a", "--queries", *arguments)
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_by_hand_where_they_come_from_then_a_query_a_line(kept):
    header, *written = lines(kept())
    assert written == [{"document": row, "query": query} for row, query in zip(ROWS, QUERIES, strict=True)]
    said = header.pop("provenance")
    assert header == {}
    assert said.pop("labkit")
    assert said.pop("covers").startswith("this release alone")
    assert "licences hold" in said.pop("licence")
    assert said == {
        "experiment": "99",
        "run": "a" * 16,
        "seed": 0,
        "device": "cpu",
        "data": "hpo",
        "model": "tiny",
        "epsilon": 2.99,
        "delta": 3.5e-5,
        "relation": "add/remove one record",
        "unit": "pair",
        "model_sha256": "ab" * 32,
        "accountant": "PLD",
        "noise_source": "os",
        "documents_fingerprint": "cd" * 32,
        "queries": 3,
        "ledger": {
            "noise_multiplier": 1.25,
            "sample_rate": 0.07,
            "steps": 84,
            "epsilon_spent": 2.99,
            "delta": 3.5e-5,
            "accountant": "PLD",
        },
    }


def test_exact_statistics_stay_in_the_store(kept):
    assert "not_private" not in json.dumps(lines(kept()))


def test_a_file_holds_the_same(kept):
    lab = kept()
    assert lab.run("export", "a", "--queries", "-o", "shared.jsonl")[0] == 0
    with (lab.path / "shared.jsonl").open(encoding="utf-8") as file:
        assert [json.loads(line) for line in file] == lines(lab)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (PRIVATE | {"noise_source": "seeded"}, "not private: its noise comes from a seed"),
        ({field: value for field, value in PRIVATE.items() if field != "noise_source"}, "not private: its noise"),
        (PLAIN, "not private: the model was trained without noise"),
        (PRIVATE | {"noise_multiplier": 0.0}, "not private: the model was trained without noise"),
        (PRIVATE | {"epsilon_spent": "plain"}, "not private: the model was trained without noise"),
    ],
)
def test_without_a_guarantee_they_are_refused_or_marked_on_every_line(kept, values, why):
    lab = kept(values, epsilon="3" if "epsilon_spent" in values else "plain")
    code, out, err = lab.run("export", "a", "--queries")
    assert (code, out) == (2, "")
    assert why in err
    assert "--not-private" in err
    assert len(err.splitlines()) == 1
    if "noise_source" in values or "epsilon_spent" not in values:
        written = lines(lab, "--not-private")
        assert len(written) == 4
        assert all(line["watermark"].startswith(why) for line in written)


def test_without_noise_nothing_reads_like_a_guarantee(kept):
    said = lines(kept(PLAIN, epsilon="plain"), "--not-private")[0]["provenance"]
    assert [said[field] for field in ("epsilon", "delta", "ledger", "covers", "accountant")] == [None] * 5


def test_a_guarantee_is_not_watermarked(kept):
    assert not any("watermark" in line for line in lines(kept(), "--not-private"))


def test_each_replicate_is_a_release_of_its_own(kept):
    lab = kept(seed=0)
    kept(seed=1, text="other", rows=[3])
    code, _, err = lab.run("export", "a", "--queries")
    assert code == 2
    assert "one of 0-cpu, 1-cpu" in err
    assert lines(lab, "--replicate", "1-cpu")[1:] == [{"document": 3, "query": "other"}]
    assert lab.run("export", "a", "--queries", "--replicate", "2-cpu")[0] == 2
    assert "each is a release of its own" in lab.run("export", "a", "a", "--queries")[2]


def test_an_unfinished_run_has_nothing_to_share(kept):
    code, _, err = kept(finish=False).run("export", "a", "--queries")
    assert code == 2
    assert "finished" in err


def test_no_queries_at_all_is_a_header_alone(kept):
    (header,) = lines(kept(text="", rows=[]))
    assert header["provenance"]["queries"] == 0


def test_a_query_without_a_document_is_an_error(kept):
    code, _, err = kept(rows=[1, 2]).run("export", "a", "--queries")
    assert code == 1
    assert "3 queries for 2 documents" in err


def test_what_a_record_lacks_is_an_error(kept):
    code, _, err = kept({field: value for field, value in PRIVATE.items() if field != "unit"}).run(
        "export", "a", "--queries"
    )
    assert code == 1
    assert "lacks unit" in err


def test_arrays_go_without_the_queries(kept):
    code, out, err = kept().run("export", "a", "--arrays", "-o", "taken")
    assert code == 0
    (only,) = out.splitlines()
    assert "encoder" in only
    assert err == "labkit: left out: synthetic; --queries writes it with its provenance\n"


@pytest.mark.parametrize(
    "arguments",
    [["--not-private"], ["--replicate", "0-cpu"], ["--csv", "--not-private"], ["--arrays", "--replicate", "0-cpu"]],
)
def test_options_of_queries_alone_are_refused_elsewhere(kept, arguments):
    code, out, err = kept().run("export", "a", *arguments)
    assert (code, out) == (2, "")
    assert "with --queries or --weights alone" in err


def test_an_infinite_epsilon_is_none():
    assert reservation(PRIVATE | {"epsilon_spent": float("inf")}).startswith("not private: the model")
    assert reservation(PRIVATE | {"epsilon_spent": 0.0}) == ""  # a bound of 0 is one
