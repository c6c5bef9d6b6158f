"""Text from outside in Markdown: a forge shows it, and makes nothing of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.review.markdown import NOTHING, block, code, folded, link, table

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/track.png)",
    "a | b",
    "`code` and ``more``",
    "`",
    "@ada",
    "#123",
    "</details>",
    "<!-- gitml:report:churn -->",
    "a\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe",
    "line\r\n\r\n# title",
    "https://evil.example",
    "\u200b\u2028x",
    "\ud800",
    "$`x`$",
    "x" * 100_000,
]


def inside(text: str) -> str:
    """What stands between the fences of inline code, by the rule of CommonMark."""
    fence = re.match("`+", text)
    assert fence is not None, text
    ends = [it.end() for it in re.finditer("(?<!`)`+(?!`)", text) if len(it[0]) == len(fence[0])]
    assert ends[1] == len(text), "the code ends before its text does"
    return text[len(fence[0]) : -len(fence[0])]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_is_inline_code(text: str) -> None:
    """The code holds the whole text on one printable line, and ends with it."""
    made = code(text)
    assert made.isprintable()
    assert len(made) < 200
    kept = inside(made).strip().rstrip("…")
    assert text.startswith(kept) or not text.isprintable()


@given(st.text())
def test_any_text_stays_inside_its_fence(text: str) -> None:
    """Whatever the text is, no part of it is outside of the code."""
    made = code(text)
    assert made.isprintable()
    assert made == NOTHING or inside(made)


@given(st.text())
def test_any_text_stays_inside_its_block(text: str) -> None:
    """No line of a block ends it but the last."""
    first, *lines, last = block(text)
    assert first == last
    assert not any(re.match(rf" {{0,3}}{first}", line) for line in lines)


@given(st.lists(st.text("a|\\`") | st.text(), min_size=2, max_size=2))
def test_a_table_keeps_its_columns(texts: list[str]) -> None:
    """No text makes another column or another row."""
    lines = list(table(["a", "b"], [[code(text) for text in texts]]))
    assert len(lines) == 3
    bars = re.findall(r"(\\*)\|", lines[2])
    assert len([it for it in bars if not it]) == 3
    assert {len(it) for it in bars} <= {0, 1}  # how many are an escape differs between forges


def test_a_link_leads_to_a_page_only() -> None:
    """An address that is none, or that could end the link, is left out."""
    assert link("`x`", "https://example.org/a?b=1#c") == "[`x`](<https://example.org/a?b=1#c>)"
    for url in ("javascript:alert(1)", "https://x/>) evil", "https://[", "x", "https://x/\n"):
        assert link("`x`", url) == "`x`"


def test_folded_lines_are_markdown() -> None:
    """A blank line ends the HTML, so that code stays code."""
    assert list(folded("Params", ["`</details>`"])) == [
        "<details><summary>Params</summary>",
        "",
        "`</details>`",
        "",
        "</details>",
    ]
