from __future__ import annotations

import pytest

from tools.mathml import rendered


def test_a_formula_becomes_mathml():
    assert rendered(r"Spearman's $\rho$ is").startswith("Spearman's <math")
    assert "<mi>&#x003C1;</mi>" in rendered(r"$\rho$")
    assert 'display="block"' in rendered("$$\na^2\n$$")
    assert rendered("$S$, $h$").count("<math") == 2


@pytest.mark.parametrize(
    "text",
    ["costs $5 and $6", "`echo $HOME $PATH`", "```\n$a$\n```", r"\$a\$", "a $ b $ c", "US$20 or A$30", "no formula"],
)
def test_other_dollars_stay(text):
    assert rendered(text) == text
