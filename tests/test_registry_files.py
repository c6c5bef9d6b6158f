"""Registry files: what they say, and edits that leave alone what people wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.documents import GONE, Edit, dump_yaml, edit_yaml, load_yaml, problems
from gitml.errors import FormatError
from gitml.registry import files
from gitml.registry.version import Version, parse_version

EXAMPLE = Path(__file__).parent.parent / "schemas" / "examples" / "registered-model.yaml"
WRITTEN = b"""\
# Ask the ml-team before you touch this.
schema: 1
description: Which customers leave   # within 30 days

stages:
  production: v1.0.0

  staging: v1.1.0   # until Monday
aliases: {champion: v1.0.0}
gates: {}                    # none of its own
"""
names = st.from_regex(r"\A[a-z][a-z0-9]{0,5}\Z")
versions = st.builds(Version, *[st.integers(0, 20)] * 3)
texts = st.text(max_size=12) | st.sampled_from(
    ["no", "1e3", "0123", "a: b", "# x", "'", "- a", "~"]
)


@st.composite
def edits(draw: st.DrawFn) -> list[Edit]:
    """Edits of a model's file, in any order."""
    kinds: list[st.SearchStrategy[list[Edit]]] = [
        st.builds(files.aliased, names, st.none() | versions),
        st.builds(files.archived, st.lists(versions, max_size=3)),
        st.builds(files.described, texts),
    ]
    return [edit for part in draw(st.lists(st.one_of(kinds), max_size=6)) for edit in part]


def applied(document: dict[str, Any], changes: list[Edit]) -> dict[str, Any]:
    """What edits make of the data, empty parts left out."""
    for (*above, key), value, _ in changes:
        place = document
        for name in above:
            place = place.setdefault(name, {})
        if value is GONE:
            place.pop(key, None)
        elif isinstance(value, list):
            kept = [item for item in place.get(key) or [] if item in value]
            place[key] = kept + [item for item in value if item not in kept]
        else:
            place[key] = value
    return filled(document)


def filled(document: dict[str, Any]) -> dict[str, Any]:
    """A document without its empty parts."""
    return {key: value for key, value in document.items() if value not in ({}, [], None)}


@given(st.sampled_from([WRITTEN, b"schema: 1\n", EXAMPLE.read_bytes()]), edits())
def test_an_edit_says_what_it_should_and_nothing_else(data: bytes, changes: list[Edit]) -> None:
    """The data is what the edits make of it, it fits the schema, and the comments are all there."""
    made = files.edited(data, changes, "registry/churn.yaml")
    document = load_yaml(made, "it")
    assert filled(document) == applied(load_yaml(data, "it"), changes)
    assert problems(document, "registered-model") == []
    if data == WRITTEN:
        assert made.startswith(b"# Ask the ml-team before you touch this.\nschema: 1\n")
        assert b"staging: v1.1.0   # until Monday\n" in made
        assert b"gates: {}                    # none of its own\n" in made


@given(edits())
def test_an_edit_that_changes_nothing_keeps_every_byte(changes: list[Edit]) -> None:
    """What gitml has written it writes again."""
    once = files.edited(WRITTEN, changes, "it")
    assert files.edited(once, [], "it") == once
    assert files.edited(WRITTEN, [], "it") == WRITTEN


def test_only_the_line_of_an_edit_changes() -> None:
    """Order, comments, quotes and empty lines of all others stay."""
    version = parse_version("v1.1.0")
    made = files.edited(WRITTEN, files.aliased("next", version), "it").splitlines()
    before = WRITTEN.splitlines()
    assert [new for old, new in zip(before, made, strict=True) if old != new] == [
        b"aliases: {champion: v1.0.0, next: v1.1.0}"
    ]


def test_a_new_file_has_its_keys_in_order() -> None:
    """That of the schema, whatever came first."""
    made = files.edited(None, files.archived([Version(1, 0, 0)]), "it")
    made = files.edited(made, files.aliased("next", Version(1, 1, 0)), "it")
    made = files.edited(made, files.described("yes: # no"), "it")
    assert made.decode() == (
        'schema: 1\ndescription: "yes: # no"\naliases:\n  next: v1.1.0\narchived: [v1.0.0]\n'
    )


def test_stages_stand_apart() -> None:
    """So that git merges two of them that were changed on two branches."""
    new = Edit(("stages", "shadow"), "v2.0.0", apart=True)
    made = edit_yaml(WRITTEN, [new], "it")
    assert b"  staging: v1.1.0   # until Monday\n\n  shadow: v2.0.0\naliases:" in made


@given(texts)
def test_every_reader_agrees_on_an_edited_text(text: str) -> None:
    """A stock reader of YAML gets what gitml gets."""
    import yaml

    made = edit_yaml(b"schema: 1\n", [Edit(("description",), text)], "it")
    assert yaml.safe_load(made)["description"] == load_yaml(made, "it")["description"] == text
    assert dump_yaml({"schema": 1}) == b"schema: 1\n"


def test_a_file_says_what_was_decided() -> None:
    """The example of the schema, read."""
    found = files.parse(EXAMPLE.read_bytes(), "registry/churn.yaml")
    assert found.stages == {"production": Version(1, 0, 0), "staging": Version(1, 1, 0)}
    assert (found.aliases, found.owners) == ({"champion": Version(1, 0, 0)}, ("ml-team",))
    assert found.listed == (Version(0, 9, 0),)
    assert found.versions[Version(1, 0, 0)].metrics == {"auc": 0.948}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("schema: 1\nstages: {production: 1.0.0}", "line 2.*is not a version such as v1.2.0"),
        ("schema: 1\nstage: {}", "line 2, column 1: unknown key 'stage'; did you mean 'stages'"),
        ("schema: 1\nstages: {Production: v1.0.0}", "line 2.*unknown key 'Production'"),
        ('schema: 1\nstages: {"production\\n": v1.0.0}', "line 2.*unknown key 'production."),
        ('schema: 1\nstages: {production: "v1.0.0\\n"}', "line 2.*is not a version"),
        ("schema: 2", "has schema 2, this gitml reads 1; upgrade gitml"),
        ("schema: 1\n<<<<<<< ours\n", "unresolved merge"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, why: str) -> None:
    """With the place in it."""
    with pytest.raises(FormatError, match=why):
        files.parse(text.encode(), "registry/churn.yaml")
