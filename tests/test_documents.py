"""JSON and YAML documents: what is written reads well and comes back equal."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gitml import documents
from gitml.documents import (
    dump_json,
    dump_yaml,
    load_json,
    load_yaml,
    near_miss,
    problems,
    validate,
    write_atomic,
)
from gitml.errors import FormatError, StorageError

texts = st.text(st.characters(codec="utf-8"), max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_json_comes_back_equal(value: Any) -> None:
    """What dump_json writes, load_json and the standard library read as the same value."""
    data = dump_json(value)
    assert load_json(data, "x") == value
    assert json.loads(data) == value


@given(values)
def test_json_is_the_same_whatever_the_order_of_keys(value: Any) -> None:
    """Equal values give equal bytes: dictionaries in another order too."""

    def turned(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: turned(item[key]) for key in reversed(item)}
        return [turned(part) for part in item] if isinstance(item, list) else item

    assert dump_json(turned(value)) == dump_json(value)


def test_json_takes_a_line_for_each_item_of_the_outer_levels() -> None:
    """Two levels are indented; deeper values stay on the line of their item."""
    value = {"b": [{"y": 1, "x": [1, 2]}], "a": {"k": {"n": 1.5}, "e": {}}, "c": [], "d": "é\n"}
    assert dump_json(value).decode() == (
        '{\n  "a": {\n    "e": {},\n    "k": {"n": 1.5}\n  },\n'
        '  "b": [\n    {"x": [1, 2], "y": 1}\n  ],\n'
        '  "c": [],\n  "d": "é\\n"\n}\n'
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_are_an_error_of_the_caller(number: float) -> None:
    """NaN and the infinities are never written as bare words."""
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_json({"a": {"b": {"c": number}}})
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_yaml({"a": number})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_json_keeps_every_bit_of_a_float(number: float) -> None:
    """A float comes back with the same bits: -0.0 and subnormal numbers too."""
    assert load_json(dump_json([number]), "x")[0].hex() == number.hex()


def test_json_keeps_half_a_surrogate_pair() -> None:
    """A name that is not UTF-8, as Python decodes it, is written as UTF-8 and comes back."""
    name = os.fsdecode(b"caf\xe9") if sys.platform != "win32" else "caf\udce9"
    data = dump_json({"name": name})
    assert data.decode() == '{\n  "name": "caf\\udce9"\n}\n'
    assert load_json(data, "x") == {"name": name}


@given(values)
def test_yaml_comes_back_equal_with_every_reader(value: Any) -> None:
    """What dump_yaml writes, load_yaml and a stock reader read as the same value."""
    data = dump_yaml(value)
    assert yaml.safe_load(data) == value
    assert load_yaml(data, "x") == value


def test_yaml_keeps_the_order_of_keys_and_writes_no_alias() -> None:
    """Keys stay in the order given; the same list twice is written twice."""
    shared = ["x"]
    assert dump_yaml({"b": shared, "a": shared}) == b"b:\n- x\na:\n- x\n"


def test_yaml_reads_the_same_without_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML was built without its C library, plain words are text all the same."""
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    documents.yaml._yaml_loader.cache_clear()
    try:
        assert load_yaml(b"a: no\nb: 010\nc: 1.5\n1: x\n", "x") == {
            "a": "no", "b": "010", "c": 1.5, "1": "x",
        }  # fmt: skip
        with pytest.raises(FormatError, match="a second time"):
            load_yaml(b"a: 1\na: 2\n", "x")
    finally:
        documents.yaml._yaml_loader.cache_clear()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrcs": {}}, None),
        ({"status": "FINISHD"}, "status: must be one of RUNNING, SCHEDULED, FINISHED, FAILED, "
         "KILLED, not 'FINISHD'; did you mean 'FINISHED'?"),
        ({"run_id": "0"}, "run_id: '0' is not a run id (32 hexadecimal digits)"),
        ({"start_time": 5}, "start_time: must be text, not 5"),
        ({"tags": ["a"]}, "tags: must be a mapping, not a list"),
        ({"tags": {"a": True}}, "tags/a: must be text or nothing, not true"),
        ({"code": {"comit": "x"}}, None),  # it may be of a later gitml
        ({"metrics": {"auc": {"last": 1, "count": 1}}}, "metrics/auc: 'step' is missing"),
        ({"metrics": {"auc": {"last": "nan", "step": 0, "count": 1}}},
         "metrics/auc/last: 'nan' is not a number, or NaN, Infinity or -Infinity as text"),
        ({"artifacts": {"a": {"size": -1, "sha256": "0" * 64, "where": "git"}}},
         "artifacts/a/size: -1 is less than the minimum of 0"),
    ],
)  # fmt: skip
def test_a_document_that_does_not_fit_is_refused_by_place(
    change: dict[str, Any], message: str | None
) -> None:
    """The first fault is named with its place and, for a misspelt word, what it may have meant."""
    document = {
        "schema": 1, "run_id": "0" * 32, "name": "n", "experiment": "e", "experiment_id": "e",
        "status": "FINISHED", "start_time": "2026-01-01T00:00:00.000Z", **change,
    }  # fmt: skip
    if message is None:
        validate(document, "run", "run.json")
        return
    assert problems(document, "run") == [message]
    with pytest.raises(FormatError) as refused:
        validate(document, "run", "run.json")
    assert str(refused.value) == f"run.json: {message}"


def test_a_fault_in_hostile_text_stays_one_short_line() -> None:
    """Keys and values from the file are escaped and cut in the message."""
    for document in ({"a\nb" * 1000: 1}, {"experiment": "x\n\x1b" * 1000}):
        for problem in problems(document, "gitml"):
            assert problem.isprintable()
            assert len(problem) < 250


def test_near_miss_names_only_a_word_that_is_like_it() -> None:
    """A misspelt word gets one suggestion, any other none."""
    assert near_miss("ledgr", ["ledger", "push"]) == "; did you mean 'ledger'?"
    assert near_miss("xyz", ["ledger", "push"]) == ""


def test_write_atomic_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    """The file has the new content, and nothing else stays in its folder."""
    path = tmp_path / "gitml.yaml"
    write_atomic(path, b"old")
    write_atomic(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permission bits")
def test_write_atomic_keeps_the_permissions_unless_told(tmp_path: Path) -> None:
    """A file keeps its mode; a new one gets what the umask leaves; `mode` wins over both."""

    def mode() -> int:
        return stat.S_IMODE(path.stat().st_mode)

    path, before = tmp_path / "file", os.umask(0o027)
    try:
        write_atomic(path, b"")
        assert mode() == 0o640
        path.chmod(0o604)
        write_atomic(path, b"")
        assert mode() == 0o604
        write_atomic(path, b"", mode=0o600)
        assert mode() == 0o600
    finally:
        os.umask(before)


def test_write_atomic_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Where a folder stands in the way, the error says so and no draft stays behind."""
    (tmp_path / "taken" / "inner").mkdir(parents=True)
    with pytest.raises(StorageError, match="can't write"):
        write_atomic(tmp_path / "taken", b"data")
    with pytest.raises(StorageError, match="can't write"):
        write_atomic(tmp_path / "missing" / "file", b"data")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't write"):
        write_atomic(tmp_path / "file" / "inner", b"data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """A writer that is killed at any moment leaves the old file or the new one."""
    path = tmp_path / "file"
    write_atomic(path, b"0" * 200_000)
    script = (
        "import sys; from gitml.documents import write_atomic\n"
        "print('ready', flush=True)\n"
        "for i in range(10**6): write_atomic(sys.argv[1], b'%d' % (i % 10) * 200_000)"
    )
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout as ready:
            ready.readline()
            for _ in range(50):
                found = path.read_bytes()
                assert (len(found), len(set(found))) == (200_000, 1)
            writer.kill()
            writer.wait()
        found = path.read_bytes()
        assert (len(found), len(set(found))) == (200_000, 1)


@given(st.text("ab:,-?[]{}#'\"&!| \n", max_size=60))
@example("- - - a")
@example("{? [a], b: , c}")
@example("[a: b, c: d]")
def test_each_value_of_a_document_has_its_sign(text: str) -> None:
    """By which the size of most documents is known without reading them once more."""
    values = 0
    with contextlib.suppress(yaml.YAMLError):
        for event in yaml.parse(text):
            values += isinstance(event, yaml.NodeEvent)
    assert values <= 1 + 3 * sum(map(text.count, ":,-?[{"))


@pytest.mark.parametrize("kind", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize(
    "text", ["? " * 3000 + "a", "- ? " * 1500 + "a", "[" * 199 + "]" * 199, "[" * 60 + "]" * 60]
)
def test_a_deep_document_is_refused_by_either_reader(
    kind: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few signs it has, in C and in Python."""
    monkeypatch.setattr(yaml, "CSafeLoader", getattr(yaml, kind))
    reader = importlib.import_module("gitml.documents.yaml")._yaml_loader
    reader.cache_clear()
    with pytest.raises(FormatError, match=r"levels|nesting depth"):
        load_yaml(text.encode(), "it")
    reader.cache_clear()


# -- aliases -------------------------------------------------------------------------------


def test_aliases_where_they_are_allowed() -> None:
    """They stand for what their anchor names, wherever a reader takes them at all."""
    text = b"one: &a {team: a}\ntwo: *a\nmany:\n- *a\n- *a\n"
    team = {"team": "a"}
    expected = {"one": team, "two": team, "many": [team, team]}
    assert load_yaml(text, "MLmodel", aliases=True) == expected
    with pytest.raises(FormatError, match=r"line 2: can't take the alias \*a"):
        load_yaml(text, "gitml.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(8)),
        "a: &a [*a]\n",
        "a: &a {b: {c: *a}}\n",
        "a: &a [" + "x, " * 200 + "]\nb: [" + "*a, " * 100 + "]\n",
        "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(60)),
    ],
    ids=["a billion laughs", "itself", "itself in a mapping", "too many", "too deep"],
)
def test_aliases_that_come_to_too_much(text: str) -> None:
    """The limits hold for what a document is when its aliases are written out."""
    with pytest.raises(FormatError, match="aliases that come to so many values"):
        load_yaml(text.encode(), "MLmodel", aliases=True)


def test_aliases_keep_the_other_rules() -> None:
    """What is refused is refused behind an alias, too; an alias is no key and no merge."""
    for text in ("a: &a !!python/name:os.system x\nb: *a", "a: &a x\n*a : 1\nx: 2\n*a : 3",
                 "a: &a {x: 1}\nb: {<<: *a}", "a: *none"):  # fmt: skip
        with pytest.raises(FormatError):
            load_yaml(text.encode(), "MLmodel", aliases=True)
