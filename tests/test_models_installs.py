"""Tests of environments: whatever is not of the package index by name and version is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gitml.models.installs import foreign


@given(st.text(max_size=40) | st.from_regex(r"[a-z]+ ?[=<>~!]{1,2} ?[0-9.]+( ;[a-z =']+)?"))
def test_a_requirement_is_plain_or_said_in_a_line(line: str) -> None:
    """Of any line nothing but words come, and what names a URL or an option is never plain."""
    for found in foreign("requirements.txt", line.encode("utf-8", "replace")):
        assert found.isprintable()
    assert list(foreign("requirements.txt", f"--{line}x".encode("utf-8", "replace")))
    assert list(foreign("requirements.txt", f"{line} @ https://x".encode("utf-8", "replace")))


def test_a_long_line_costs_nothing() -> None:
    """No line makes the reader go back and forth over it."""
    for line in ("a" + " " * 10**6 + "!", "a" * 10**6 + "!", "a ; " + "(" * 10**6, "[" * 900):
        assert list(foreign("requirements.txt", line.encode()))
        assert list(foreign("conda.yaml", b"dependencies: ['" + line.encode()[:90_000] + b"/x']"))


def test_a_file_of_too_many_lines_is_said() -> None:
    """Of a million lines not each makes a finding."""
    found = foreign("requirements.txt", b"-e .\n" * 100_000)
    assert list(found) == ["has more than 10000 lines"]


def test_an_environment_that_cant_be_read_is_said() -> None:
    """A file in another encoding, or that is no mapping, is not taken for an empty one."""
    assert list(foreign("requirements.txt", b"\xff\xfen")) == ["can't be read: it is not UTF-8"]
    assert list(foreign("conda.yaml", b"- numpy\n")) == ["can't be read: it is not a mapping"]
    assert list(foreign("python_env.yaml", b"python: '3.11 --index-url x'")) == [
        "installs the Python '3.11 --index-url x'"
    ]
