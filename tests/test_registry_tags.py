"""The registry's grammar: names, versions, tags and their messages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gto.tag import parse_name
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.registry.tags import (
    StageTag,
    VersionNote,
    VersionTag,
    check_alias,
    check_model_name,
    check_stage,
    message,
    parse_tag,
    read_note,
    trailers,
)
from gitml.registry.version import PARTS, Version, find_version, parse_version
from tests.conftest import run_git

names = st.from_regex(r"\A[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?\Z")
numbers = st.integers(0, 10**9 - 1)
versions = st.builds(Version, numbers, numbers, numbers)
stages = names.map(str.lower)
version_tags = st.builds(VersionTag, names, versions)
stage_tags = st.builds(StageTag, names, stages, st.integers(1, 10**9 - 1))


@given(version_tags | stage_tags)
def test_a_tag_says_the_same_in_both_directions(tag: VersionTag | StageTag) -> None:
    """What a tag's text is parsed to has that text again."""
    assert parse_tag(str(tag)) == tag


@given(version_tags | stage_tags)
def test_stock_gto_reads_every_tag(tag: VersionTag | StageTag) -> None:
    """Its grammar finds the same name, version, stage and number."""
    found = parse_name(str(tag))
    assert found["name"] == tag.name
    if isinstance(tag, VersionTag):
        assert found["version"] == str(tag.version)
    else:
        assert (found["stage"], found["counter"]) == (tag.stage, tag.number)


@given(st.text(alphabet="aZ09@#v.-_!=/: \n", max_size=20) | st.text(max_size=10))
def test_a_text_is_a_tag_or_none(text: str) -> None:
    """Nothing is parsed to a tag that is written in another way."""
    tag = parse_tag(text)
    assert tag is None or str(tag) == text


@pytest.mark.parametrize(
    "text",
    """churn churn@1.0.0 churn@v1.0 churn@v1.0.0-rc1 churn@v01.0.0 churn@v1.0.0! churn#production
    churn#production#0 churn#Production#1 churn#production#01 churn@deprecated a.b@v1.0.0
    -a@v1.0.0 a-@v1.0.0 a/b@v1.0.0 churn@v1.0.0#1""".split(),
)
def test_other_tags_are_left_alone(text: str) -> None:
    """Tags that gitml does not make, GTO's further kinds among them, are none of the registry."""
    assert parse_tag(text) is None


@given(version_tags | stage_tags)
def test_git_takes_every_tag_as_a_ref(tag: VersionTag | StageTag) -> None:
    """No tag breaks a rule of git's for refs."""
    ref = str(tag)
    assert not re.search(r"\.\.|[\x00-\x20~^:?*\[\\\x7f]|@\{|//|^[./-]|[./]$|\.lock$", ref)


def test_git_takes_the_longest_tag(tmp_path: Path) -> None:
    """Of names as long as there may be."""
    for tag in (VersionTag("a" * 100, Version(999999999, 0, 0)), StageTag("a" * 100, "b" * 100, 1)):
        run_git(tmp_path, "check-ref-format", f"refs/tags/{tag}")


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a.b", "a/b", "a@b", "a#b", "a b", "ä", "a" * 101]
)
def test_a_name_that_no_tag_can_hold_is_refused(name: str) -> None:
    """In one line that says what a name may be."""
    with pytest.raises(UsageError, match="must be 1 to 100 letters"):
        check_model_name(name)


def test_stages_have_one_case() -> None:
    """Any case is taken for a stage, and stored in lower case."""
    assert check_stage("Production") == "production"


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "3", "v1.0.0", "1.0.0"])
def test_an_alias_is_no_version(alias: str) -> None:
    """Nobody has to guess what models:/NAME/3 means."""
    with pytest.raises(UsageError, match="would be taken for a version"):
        check_alias(alias)


# -- versions ------------------------------------------------------------------------------


@given(versions)
def test_a_version_says_the_same_in_both_directions(version: Version) -> None:
    """With its v, and without."""
    assert parse_version(str(version)) == parse_version(str(version)[1:]) == version


@given(versions)
def test_a_bump_goes_up(version: Version) -> None:
    """By one in the part, and what is below begins again; a major bump is the highest."""
    patch, minor, major = map(version.bumped, PARTS.values())
    assert version < patch < major
    assert version < minor < major
    assert (major.minor, major.patch, minor.patch) == (0, 0, 0)


@pytest.mark.parametrize(
    "text", ["", "v1", "v1.0", "1.0.0.0", "v1.0.0-rc1", "v01.0.0", "vv1.0.0", "\u0661.0.0"]
)
def test_a_text_that_is_no_version(text: str) -> None:
    """It is none, and where one is needed it is refused."""
    assert find_version(text) is None
    with pytest.raises(UsageError, match="is no version"):
        parse_version(text)


# -- messages ------------------------------------------------------------------------------

lines = st.text(max_size=30).filter(str.isprintable)
paths = st.text(min_size=1, max_size=20)
texts = st.lists(lines.map(str.strip), max_size=5).map("\n".join).map(str.strip)
notes = st.builds(
    VersionNote,
    run_id=st.from_regex(r"\A[0-9a-f]{32}\Z"),
    path=paths,
    digest=st.from_regex(r"\Asha256:[0-9a-f]{64}\Z"),
    change=st.sampled_from(["first", "same", "compatible", "incompatible"]),
    by=lines.map(str.strip),
    description=texts,
    tags=st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=3),
)


@given(version_tags, notes)
def test_a_message_says_the_same_in_both_directions(tag: VersionTag, note: VersionNote) -> None:
    """Whatever a description looks like, also like lines for programs."""
    title, _, body = message(tag, note).partition("\n\n")
    assert title == f"{tag.name} {tag.version}"
    assert read_note(body) == note


def test_the_last_paragraph_counts() -> None:
    """A description cannot tell of another run."""
    note = VersionNote("0" * 32, "model", "sha256:0", "first", "Ada", "Run-Id: 1\n\nDigest: x")
    body = message(VersionTag("churn", Version(1, 0, 0)), note).partition("\n\n")[2]
    assert (read_note(body).run_id, trailers(body)["Digest"]) == ("0" * 32, "sha256:0")


TOLD = "Run-Id: 1\nModel-Path: a\nDigest: x\n"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Run-Id: 1",
        'Run-Id: 1\nModel-Path: a"\nDigest: x',
        "Tags: []",
        TOLD + "Tags: " + "[" * 100_000,
        TOLD + "Tags: " + "9" * 100_000,
    ],
    ids=lambda body: body[-20:],
)
def test_a_message_of_others_is_none_of_ours(body: str) -> None:
    """What lacks a line, or holds another thing there, raises ValueError."""
    with pytest.raises(ValueError, match=r"its message has (no|a damaged) line"):
        read_note(body)


def test_tags_of_a_version_are_texts() -> None:
    """However deep something else would be."""
    for value in ("[]", '{"a": 1}', f'{{"a": {"[" * 1000 + "]" * 1000}}}'):
        with pytest.raises(ValueError, match=r"are no mapping of texts|a damaged line"):
            read_note(f"{TOLD}Tags: {value}")
