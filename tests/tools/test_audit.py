from __future__ import annotations

from dataclasses import replace

import pytest

from tools import audit
from tools.audit import BUGS

# The games of the command line with fewer steps, at the same shift in standard deviations.
QUICK = {
    "half-noise": replace(BUGS["half-noise"], steps=36, noise_multiplier=2.4),
    "unclipped": replace(BUGS["unclipped"], steps=16, noise_multiplier=2.0, runs=100),
    "one-batch": replace(BUGS["one-batch"], steps=25, noise_multiplier=1.5, runs=2000),
    "none": replace(BUGS["none"], steps=25, noise_multiplier=2.0, runs=400),
}


@pytest.mark.parametrize("name", ["half-noise", "one-batch"])
def test_a_planted_bug_is_caught(name):
    # At 99.9 % joint confidence each is missed for about 1 in 1,000 seeds.
    found = audit.audited(QUICK[name], seed=0)
    assert found.refuted
    assert found.epsilon >= QUICK[name].claimed().epsilon


@pytest.mark.parametrize("name", ["unclipped", "none"])
def test_the_command_says_what_it_found(name, monkeypatch, capsys):
    # A trainer with nothing wrong is accused for 1 in 1,000 seeds.
    monkeypatch.setitem(BUGS, name, QUICK[name])
    assert audit.main([name]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("claimed: epsilon")
    assert "99.9 % joint confidence" in said[1]
    assert said[2].startswith("not caught" if name == "none" else "caught")


@pytest.mark.gpu
def test_one_batch_for_all_steps_at_the_stated_figures_on_cuda():
    # q .07, T 400, sigma 6: claimed .88. Missed for fewer than 1 in 1,000 seeds; on two cores it takes a minute.
    bug = replace(BUGS["one-batch"], steps=400, noise_multiplier=6.0)
    assert round(bug.claimed().epsilon, 2) == 0.88
    assert audit.audited(bug, 0, "cuda").refuted


@pytest.mark.gpu
@pytest.mark.parametrize("name", list(BUGS))
def test_planted_bugs_on_cuda(name):
    assert audit.audited(BUGS[name], 0, "cuda").refuted == (name != "none")


def test_an_unknown_bug_is_named(capsys):
    with pytest.raises(SystemExit):
        audit.main(["twice"])
    assert "half-noise" in capsys.readouterr().err


def test_too_few_runs_miss_and_say_so(monkeypatch, capsys):
    monkeypatch.setitem(BUGS, "half-noise", QUICK["half-noise"])
    assert audit.main(["half-noise", "--runs", "10"]) == 1
    assert capsys.readouterr().out.splitlines()[2].startswith("not caught")
