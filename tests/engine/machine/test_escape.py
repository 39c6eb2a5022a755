"""Text that means something to a diagram's language is made harmless."""

import pytest

from engine.machine.escape import for_dot, for_mermaid


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Accept [by_callee] / Told", "Accept [by_callee] / Told"),
        ("a: b; c", "a#58; b#59; c"),
        ('"<b>"', "#34;#60;b#62;#34;"),
        ("two\nlines\r\n and\ttabs", "two lines and tabs"),
        ("#59;", "#35;59#59;"),
        ("{%% x }", "#123;#37;#37; x #125;"),
        ("Grüße", "Grüße"),
        ("an End note in it", "an End#32;note in it"),
        ("end\nnote", "end#32;note"),
        ("", "#160;"),
        (" \n ", "#160;"),
    ],
)
def test_mermaid_sees_no_syntax_in_text(text: str, safe: str) -> None:
    assert for_mermaid(text) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", '"plain"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("two\nlines", r'"two\nlines"'),
        ("<b>", '"<b>"'),
        ("", '""'),
    ],
)
def test_graphviz_gets_one_quoted_string(text: str, safe: str) -> None:
    assert for_dot(text) == safe
