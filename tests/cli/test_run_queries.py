"""`labkit run 03` and `labkit export --queries`: refused in one line, foretold, and shared with where it comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from labkit.experiments import get
from labkit.runs import Worker

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
SMALL = {
    "documents": 40, "epsilon": "3", "batch_size": 12, "epochs": 0.5, "prompt_tokens": 20, "query_tokens": 8,
    "queries_per_document": 1, "encoder_width": 8, "encoder_steps": 3, "encoder_batch": 8,
    "direct_steps": 1, "logit_steps": 1,
    "direct_batch": 6, "negatives": 3, "logit_batch": 4, "canaries": 0, "lora_rank": 2, "evaluations": 2,
    "device": "cpu",
}  # fmt: skip


@pytest.fixture
def queries(lab, monkeypatch):
    """The lab with the real notebooks; no kernel can start."""
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(NOTEBOOKS))
    monkeypatch.setattr("papermill.execute_notebook", None)
    return lab


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("epsilon", "-1", r"epsilon = '-1' .*\bclipped\b.*\bplain\b.*"),
        ("batch_size", "100000", r"batch_size = 100000 .*at most [\d,]+, the pairs of the training split"),
        ("template", "no place", r"template = 'no place' .*\{document\}.*"),
        ("model", "nobody", r"model = 'nobody' .*"),
        ("lora_targets", "nowhere", r"lora_targets = 'nowhere' .*linear layers.*"),
        ("unit", "person", r"unit = 'person' .*pair.*document.*"),
        ("data", "no-such-folder", r"data = 'no-such-folder' .*"),
    ],
)
def test_bad_input_is_one_line_before_a_kernel_starts(queries, name, value, line):
    code, out, err = queries.run("run", "03", "-p", name, value, "--device", "cpu")
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"labkit: {line}\n", err)
    assert not (queries.path / "outputs").exists()


def test_a_dry_run_says_what_each_release_will_cost(queries):
    code, out, err = queries.run("run", "03", "--dry-run", "--device", "cpu", "-p", "epsilon", "3,plain")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    for words in ("for a language model", "none for plain", "for direct", "for logit", "one pair of", "is protected",
                  "canaries are not released"):  # fmt: skip
        assert words in said


def stored(lab, **changes: object) -> str:
    """A finished run of one point; its name."""
    experiment = get("03")
    with lab.store() as store:
        list(Worker(experiment, experiment.spec.of(**SMALL | changes), store).run())
        (row,) = store.replicates()
    return row["name"]


def test_queries_of_a_seeded_run_are_not_shared_without_a_word(lab):
    name = stored(lab)
    code, out, err = lab.run("export", name, "--queries")
    assert (code, out) == (2, "")
    assert "noise comes from a seed" in err
    assert "--not-private" in err
    code, out, _ = lab.run("export", name, "--queries", "--not-private")
    assert code == 0
    assert all(json.loads(line)["watermark"].startswith("not private") for line in out.splitlines())


def test_queries_with_noise_of_the_system_go_with_their_provenance(lab):
    name = stored(lab, noise_source="os", unit="document", max_pairs=2)
    code, out, err = lab.run("export", name, "--queries")
    assert (code, err) == (0, "")
    header, *lines = (json.loads(line) for line in out.splitlines())
    said = header["provenance"]
    assert 2.9 < said["epsilon"] <= 3
    assert said["delta"] == 1e-5
    assert (said["unit"], said["model"], said["noise_source"], said["accountant"]) == ("document", "tiny", "os", "PLD")
    assert re.fullmatch("[0-9a-f]{64}", said["model_sha256"])
    assert re.fullmatch("[0-9a-f]{64}", said["documents_fingerprint"])
    assert said["queries"] == len(lines) <= 40
    assert {line["document"] for line in lines} <= set(range(40))
    assert all(line["query"] == line["query"].strip() != "" for line in lines)
    assert "not_private" not in out
    assert "watermark" not in out


def test_a_model_without_noise_has_no_guarantee(lab):
    name = stored(lab, epsilon="plain", noise_source="os")
    code, out, err = lab.run("export", name, "--queries")
    assert (code, out) == (2, "")
    assert "trained without noise" in err


def test_exact_statistics_of_private_queries_stay_in_the_store(lab):
    code, out, _ = lab.run("export", stored(lab), "--csv")
    assert code == 0
    assert "recall" in out
    assert "not_private" not in out
