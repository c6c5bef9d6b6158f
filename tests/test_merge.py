"""Merging two versions of one run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.tracking import contents, metrics
from gitml.tracking.merge import RunVersion, merge
from gitml.tracking.metrics import Point
from gitml.tracking.record import (
    Artifact,
    Code,
    Dataset,
    Environment,
    Json,
    MetricSummary,
    RunRecord,
    Session,
    Source,
    Stamp,
    from_document,
    to_document,
)

BASE = RunRecord(
    run_id="0192f0a1b2c37d4e8f0123456789abcd",
    name="calm-otter-407",
    experiment="churn",
    experiment_id="churn",
    status="FINISHED",
    start_time=1_730_000_000_000,
    end_time=1_730_000_060_000,
)


class Store:
    """A store of blobs in memory, which can read metric histories back."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """Keep the bytes and return their id."""
        name = hashlib.sha1(data).hexdigest()
        self.blobs[name] = data
        return name

    def summarize(self, files: Mapping[str, str]) -> dict[str, MetricSummary]:
        """The summaries of the histories among `files`."""
        return metrics.summarize(
            {
                path: metrics.read_history(self.blobs[blob], path)
                for path, blob in files.items()
                if path.startswith("metrics/")
            }
        )


STORE = Store()


def join(a: RunVersion, b: RunVersion) -> RunVersion:
    """Merge over the common store."""
    return merge(a, b, STORE.summarize)


def digest(text: str) -> str:
    """A sha256 as an artifact holds it."""
    return hashlib.sha256(text.encode()).hexdigest()


# -- edits as they happen to a run ---------------------------------------------------------

Edit = Callable[[RunVersion], RunVersion]


def edited(version: RunVersion, **changes: Any) -> RunVersion:
    """The version with other fields in its record."""
    return replace(version, record=replace(version.record, **changes))


def setting(name: str, value: Any, writer: str) -> Edit:
    """Set a mutable field."""
    return lambda version: replace(version, record=version.record.set(name, value, writer))


def unstamped_tag(key: str, value: str) -> Edit:
    """Set a tag as a run does before it is recorded for the first time."""
    return lambda version: edited(version, tags={key: value, **version.record.tags})


def ending(status: str, time: int, writer: str) -> Edit:
    """End the run again, as a resume does."""
    return lambda version: replace(
        version,
        record=replace(version.record, end_time=time, reason=f"by {writer}").set(
            "status", status, writer
        ),
    )


def param(key: str, value: Json) -> Edit:
    """Log a param unless it has a value."""
    return lambda version: edited(version, params={key: value, **version.record.params})


def session(name: str, points: tuple[Point, ...], lines: int) -> Edit:
    """Log metrics in a session, of which `lines` journal lines are recorded."""

    def apply(version: RunVersion) -> RunVersion:
        known = version.record.sessions.get(name)
        if known is not None and known.lines >= lines:
            return version
        part = Session("resume", "node", 17, BASE.start_time, lines=lines)
        blob = STORE.put(metrics.write_history(points))
        files = {**version.files, f"metrics/{name}.tsv": blob}
        sessions = {**version.record.sessions, name: part}
        grown = edited(version, sessions=sessions, metrics=STORE.summarize(files))
        return replace(grown, files=files)

    return apply


def begun(pid: int, points: tuple[Point, ...]) -> Edit:
    """Start the run in a process, unless another one did."""

    def apply(version: RunVersion) -> RunVersion:
        if "start" in version.record.sessions:
            return version
        blob = STORE.put(metrics.write_history(points))
        files = {**version.files, "metrics/start.tsv": blob}
        part = Session("start", "node", pid, BASE.start_time, lines=len(points))
        sessions = {**version.record.sessions, "start": part}
        grown = edited(version, sessions=sessions, metrics=STORE.summarize(files))
        return replace(grown, files=files)

    return apply


def artifact(path: str, text: str, writer: str, unit: str | None = None) -> Edit:
    """Log a file inline, or in the DVC unit `unit` with all the files that it already has."""

    def apply(version: RunVersion) -> RunVersion:
        known = version.record.artifacts
        if any(clash(path, other) for other in known):
            return version  # an error when it is logged
        where = f"artifacts/{unit}.dvc" if unit else "git"
        found = {**known, path: Artifact(len(text), digest(text), where)}
        if unit:
            found = {
                name: replace(item, where=where) if name.startswith(f"{unit}/") else item
                for name, item in found.items()
            }
        stamp = Stamp(version.record.stamp(f"artifacts/{path}").counter + 1, writer)
        clock = {**version.record.clock, f"artifacts/{path}": stamp}
        return stored(edited(version, artifacts=found, clock=clock), path, text, unit)

    return apply


def stored(version: RunVersion, path: str, text: str, unit: str | None) -> RunVersion:
    """The version with the files that its artifacts name, and no others of artifacts."""
    found = version.record.artifacts
    wanted = {f"artifacts/{p}" if a.where == "git" else a.where for p, a in found.items()}
    listing = "".join(f"{p}{a.sha256}" for p, a in sorted(found.items()) if a.where != "git")
    new = f"artifacts/{unit}.dvc" if unit else f"artifacts/{path}"
    files = {**version.files, new: STORE.put((listing if unit else text).encode())}
    return replace(
        version,
        files={p: b for p, b in files.items() if not p.startswith("artifacts/") or p in wanted},
    )


def clash(path: str, other: str) -> bool:
    """Whether one is a file where the other needs a folder, once earlier marks are taken off."""
    path, other = path.split("~")[0], other.split("~")[0]
    return path.startswith(f"{other}/") or other.startswith(f"{path}/")


def model(path: str, flavor: str, writer: str) -> Edit:
    """Log a model: its manifest file and its entry."""

    def apply(version: RunVersion) -> RunVersion:
        logged = artifact(f"{path}/MLmodel", flavor, writer)(version)
        if logged is version:
            return version
        return edited(logged, models={**logged.record.models, path: {"flavor": flavor}})

    return apply


def dataset(name: str, number: str) -> Edit:
    """Log an input."""
    return lambda version: edited(
        version,
        datasets=(*version.record.datasets, Dataset(name, number, profile={"rows": number})),
    )


def drift(name: str) -> Edit:
    """Find that a module drifted, and one that could not be captured."""
    return lambda version: edited(
        version,
        code=replace(
            version.record.code,
            drift=(*version.record.code.drift, name),
            incomplete={**version.record.code.incomplete, name: "too large"},
        ),
    )


def unknown(key: str, value: Json) -> Edit:
    """Write a field of a newer gitml."""
    return lambda version: edited(version, unknown={**version.record.unknown, key: value})


def extra(path: str, text: str) -> Edit:
    """Write a file of another kind, such as requirements.txt."""
    blob = STORE.put(text.encode())
    return lambda version: replace(version, files={**version.files, path: blob})


writers = st.sampled_from(["w1", "w2"])
words = st.sampled_from(["x", "y", "z"])
tags = st.sampled_from(["tags.a", "tags.b"])
points = st.lists(
    st.builds(
        Point,
        st.sampled_from(["loss", "auc"]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from([0.5, -0.0, 1.5]),
    ),
    max_size=3,
)
field_edits = st.one_of(
    st.builds(setting, st.sampled_from(["name", "description"]), words, writers),
    st.builds(setting, st.just("deleted"), st.booleans(), writers),
    st.builds(setting, tags, st.none() | words, writers),
    st.builds(ending, st.sampled_from(["FAILED", "FINISHED"]), st.integers(1, 3), writers),
    st.builds(unstamped_tag, st.sampled_from("ab"), words),
)
session_edits = st.one_of(
    st.builds(session, st.sampled_from(["s1", "s2"]), points.map(tuple), st.integers(1, 3)),
    st.builds(begun, st.integers(1, 3), points.map(tuple)),
)
artifact_edits = st.one_of(
    st.builds(artifact, st.sampled_from(["m", "m/x", "m/x/y"]), words, writers),
    st.builds(artifact, st.sampled_from(["m/x", "m/y", "m/x/y"]), words, writers, st.just("m")),
    st.builds(artifact, st.just("m"), words, writers, st.just("m")),
    st.builds(model, st.just("k"), words, writers),
)
other_edits = st.one_of(
    st.builds(param, st.sampled_from("pq"), st.sampled_from([1, "1", 1.0, True, [1], None])),
    st.builds(dataset, words, words),
    st.builds(drift, words),
    st.builds(unknown, words, st.sampled_from([1, "1", None, {"a": 1}])),
    st.builds(extra, st.sampled_from(["requirements.txt", "cells.py"]), words),
)
topics = [field_edits, session_edits, artifact_edits, other_edits]


@st.composite
def families(draw: st.DrawFn, size: int) -> list[RunVersion]:
    """Versions of one run: each the base with edits, or a merge of earlier ones with edits.

    A family keeps to one topic or mixes all: edits of one topic meet one another more often.
    """
    edits = draw(st.sampled_from([*topics, st.one_of(topics)]))
    versions = [RunVersion(BASE, {})]
    for edit in draw(st.lists(edits, max_size=3)):
        versions[0] = edit(versions[0])
    for _ in range(size):
        start = draw(st.sampled_from(versions))
        if draw(st.booleans()):
            start = join(start, draw(st.sampled_from(versions)))
        for edit in draw(st.lists(edits, max_size=5)):
            start = edit(start)
        versions.append(start)
    return versions[1:]


# -- the laws ------------------------------------------------------------------------------


@settings(deadline=None)
@given(families(2))
def test_merge_is_commutative(family: list[RunVersion]) -> None:
    """It does not matter which side merges."""
    a, b = family
    assert join(a, b) == join(b, a)


@settings(deadline=None, max_examples=300)
@given(families(3))
def test_merge_is_associative(family: list[RunVersion]) -> None:
    """It does not matter who merges with whom first."""
    a, b, c = family
    assert join(join(a, b), c) == join(a, join(b, c))


@settings(deadline=None)
@given(families(2))
def test_merge_is_idempotent(family: list[RunVersion]) -> None:
    """Merging again, with either side or with itself, changes nothing."""
    a, b = family
    both = join(a, b)
    assert join(a, a) == a
    assert join(both, a) == both
    assert join(b, both) == both


@settings(deadline=None)
@given(families(2))
def test_a_merge_is_whole(family: list[RunVersion]) -> None:
    """Every artifact names a file that is there, every file has a use, and run.json can hold it."""
    merged = join(*family)
    record = merged.record
    named = {f"artifacts/{p}" if a.where == "git" else a.where for p, a in record.artifacts.items()}
    assert {path for path in merged.files if path.startswith("artifacts/")} == named
    assert not any(
        path.startswith(f"{other}/") for path in record.artifacts for other in record.artifacts
    )
    assert record.metrics == STORE.summarize(merged.files)
    assert from_document(to_document(record)) == record


# -- the rules -----------------------------------------------------------------------------


def base(*steps: Edit) -> RunVersion:
    """A version: the base with edits, in order."""
    version = RunVersion(BASE, {})
    for step in steps:
        version = step(version)
    return version


VARIANTS: dict[str, tuple[Any, Any, Any]] = {
    "name": ("a", "b", "b"),
    "experiment": ("a", "b", "b"),
    "experiment_id": ("a", "b", "b"),
    "status": ("KILLED", "FAILED", "FAILED"),
    "start_time": (1, 2, 1),
    "end_time": (1, 2, 2),
    "user": ("a", "b", "b"),
    "description": (None, "b", "b"),
    "deleted": (False, True, True),
    "reason": (None, "b", None),
    "parent_run": (None, "b", "b"),
    "params": ({"p": 1}, {"q": 2}, {"p": 1, "q": 2}),
    "param_conflicts": ({"p": (1, 2)}, {"p": (1, 3)}, {"p": (1, 2, 3)}),
    "metrics": ({"m": MetricSummary(1, 0, 1, 1, 1)}, {}, {}),
    "tags": ({"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}),
    "datasets": (
        (Dataset("b", "1"),),
        (Dataset("a", "1"),),
        (Dataset("a", "1"), Dataset("b", "1")),
    ),
    "artifacts": (
        {"a": Artifact(1, "1" * 64, "git")},
        {"a": Artifact(1, "2" * 64, "git")},
        {"a": Artifact(1, "2" * 64, "git")},
    ),
    "models": ({"m": {"v": 1}}, {"m": {"v": 2}}, {"m": {"v": 2}}),
    "source": (Source(), Source(name="b"), Source(name="b")),
    "code": (
        Code(commit="a", drift=("x",), untracked=("u",), incomplete={"l": "?"}),
        Code(commit="b", drift=("a",), untracked=("u",)),
        Code(commit="a", drift=("a", "x"), untracked=("u",), incomplete={"l": "?"}),
    ),
    "environment": (Environment(), Environment(python="3.12"), Environment(python="3.12")),
    "sessions": (
        {"s": Session("start", "h", 1, 1, lines=4)},
        {"s": Session("start", "h", 1, 1, lines=3)},
        {"s": Session("start", "h", 1, 1, lines=4)},
    ),
    "clock": (
        {"name": Stamp(1, "a"), "tags.t": Stamp(2, "a")},
        {"name": Stamp(1, "b"), "deleted": Stamp(1, "b")},
        {"name": Stamp(1, "b"), "deleted": Stamp(1, "b"), "tags.t": Stamp(2, "a")},
    ),
    "unknown": ({"f": 1, "g": 1}, {"f": 2}, {"f": 2, "g": 1}),
}


@pytest.mark.parametrize("name", [item.name for item in fields(RunRecord) if item.name != "run_id"])
def test_every_field_has_a_rule(name: str) -> None:
    """A field that differs between two versions without stamps comes out the same both ways."""
    one, other, expected = VARIANTS[name]
    a, b = (RunVersion(replace(BASE, **{name: value}), {}) for value in (one, other))
    assert getattr(join(a, b).record, name) == expected
    assert join(a, b) == join(b, a)


def test_versions_of_two_runs_are_refused() -> None:
    """Only versions of one run can be merged."""
    other = edited(RunVersion(BASE, {}), run_id="0" * 32)
    with pytest.raises(UsageError, match="are two runs"):
        join(RunVersion(BASE, {}), other)


def test_the_higher_stamp_holds_whatever_the_values() -> None:
    """A field changed twice on one side beats one change on the other."""
    a = base(setting("name", "z", "w1"))
    b = base(setting("name", "y", "w1"), setting("name", "a", "w1"))
    assert join(a, b).record.name == "a"
    assert join(a, b).record.clock == {"name": Stamp(2, "w1")}


def test_a_deleted_tag_stays_deleted() -> None:
    """A stamped null beats the value it deleted."""
    a = base(setting("tags.stage", "best", "w1"))
    b = setting("tags.stage", None, "w2")(a)
    assert join(a, b).record.tags == {"stage": None}
    assert join(a, b).record.live_tags == {}


def test_status_end_time_and_reason_travel_together() -> None:
    """The side whose status holds also says when and why it ended."""
    a = base(ending("FAILED", 5, "w1"))
    b = base(ending("FINISHED", 9, "w0"))
    record = join(a, b).record
    assert (record.status, record.end_time, record.reason) == ("FAILED", 5, "by w1")


def test_of_two_statuses_without_a_stamp_the_one_that_saw_the_end_holds() -> None:
    """A run that one side took for dead and the other saw finish, finished."""
    a = edited(RunVersion(BASE, {}), status="KILLED", end_time=99)
    assert join(a, RunVersion(BASE, {})).record.status == "FINISHED"


def test_two_values_of_a_param_are_kept_and_reported() -> None:
    """The values are ordered, and the first of them is the param's value."""
    merged = join(join(base(param("lr", 0.2)), base(param("lr", 0.1))), base(param("lr", "x")))
    assert merged.record.params == {"lr": "x"}
    assert merged.record.param_conflicts == {"lr": ("x", 0.1, 0.2)}


def test_values_of_one_text_are_one_value() -> None:
    """5 and "5" are the same param, as in MLflow; the number is kept."""
    record = join(base(param("n", "5")), base(param("n", 5))).record
    assert (record.params, record.param_conflicts) == ({"n": 5}, {})


def test_summaries_are_computed_from_all_sessions() -> None:
    """The metrics of a merge are those of the union of the histories."""
    a = base(session("s1", (Point("loss", 1, 10, 0.5), Point("loss", 2, 20, 0.25)), 2))
    b = base(session("s2", (Point("loss", 2, 30, 0.75),), 1))
    merged = join(a, b)
    assert merged.record.metrics == {"loss": MetricSummary(0.75, 2, 0.25, 0.75, 3)}
    assert set(merged.files) == {"metrics/s1.tsv", "metrics/s2.tsv"}


def test_summaries_are_not_computed_when_the_histories_are_equal() -> None:
    """Two tags on one run cost no reading of its histories."""
    start = base(session("s1", (Point("loss", 1, 10, 0.5),), 1))
    a, b = setting("tags.a", "1", "w1")(start), setting("tags.b", "2", "w2")(start)

    def explode(files: Mapping[str, str]) -> Mapping[str, MetricSummary]:
        raise AssertionError("read a history")

    assert merge(a, b, explode).record.metrics == start.record.metrics


def test_a_side_that_holds_all_is_the_merge_even_with_nan() -> None:
    """NaN equals nothing, yet a run that has one is not merged again and again."""
    start = base(session("s1", (Point("loss", 1, 10, float("nan")),), 1))
    more = session("s2", (Point("auc", 1, 10, 0.5),), 1)(start)
    read = replace(more, record=from_document(to_document(more.record)))
    assert read != more
    assert join(start, read) is read
    assert join(read, start) is read
    assert join(read, more) is read


def test_the_longer_form_of_a_session_holds_with_its_history() -> None:
    """A session that was recorded twice keeps the record that covers more of its journal."""
    short = base(session("s1", (Point("loss", 1, 10, 9.0),), 1))
    long = base(session("s1", (Point("loss", 1, 10, 9.0), Point("loss", 2, 20, 1.0)), 2))
    merged = join(short, long)
    assert merged.files == long.files
    assert merged.record.metrics["loss"].count == 2


def test_a_newer_artifact_replaces_an_older_one_with_its_file() -> None:
    """Of two files at one path the one with the higher stamp is kept, wherever it is stored."""
    a = base(artifact("m/x", "old", "w1"), artifact("m/x", "new", "w1", unit="m"))
    b = base(artifact("m/x", "other", "w2"))
    merged = join(a, b)
    assert merged.record.artifacts == {"m/x": Artifact(3, digest("new"), "artifacts/m.dvc")}
    assert set(merged.files) == {"artifacts/m.dvc"}


def test_two_pointers_for_one_entry_are_both_kept() -> None:
    """The pointer with the newest file keeps the name; the other's files name the new one."""
    a = base(artifact("m/x", "x", "w1", unit="m"))
    b = base(artifact("m/y", "y", "w2", unit="m"))
    merged = join(a, b)
    pointer = a.files["artifacts/m.dvc"]
    renamed = f"artifacts/m~{pointer[:8]}.dvc"
    assert merged.files == {"artifacts/m.dvc": b.files["artifacts/m.dvc"], renamed: pointer}
    assert merged.record.artifacts["m/x"].where == renamed
    assert merged.record.artifacts["m/y"].where == "artifacts/m.dvc"


def test_a_pointer_whose_files_were_all_replaced_is_left_out() -> None:
    """Logging a model again does not keep the earlier one alive."""
    first = base(artifact("m/x", "1", "w1", unit="m"))
    again = artifact("m/x", "2", "w1", unit="m")(first)
    assert join(first, again) == again


def test_pointers_merged_in_any_order_have_the_same_names() -> None:
    """Three pointers for one entry get names that do not tell who was merged first."""
    a = base(artifact("m/x", "x", "w1", unit="m"))
    b = base(artifact("m/y", "y", "w2", unit="m"))
    c = base(artifact("m/z", "z", "w3", unit="m"))
    merged = join(join(a, b), c)
    assert merged == join(a, join(b, c)) == join(join(c, a), b)
    assert len(merged.files) == 3
    assert merged.record.artifacts["m/z"].where == "artifacts/m.dvc"


def test_pointers_of_one_stamp_have_the_same_names_both_ways() -> None:
    """Where stamps are equal the blob id decides which pointer keeps the name."""
    a = base(artifact("m/x", "x", "w1", unit="m"))
    b = base(artifact("m/y", "y", "w1", unit="m"))
    assert join(a, b) == join(b, a)


def test_a_renamed_pointer_gets_its_name_back_when_the_other_is_gone() -> None:
    """A later version that stores the other unit's files elsewhere leaves one pointer, unmarked."""
    a = base(artifact("m/x", "x", "w1", unit="m"))
    b = base(artifact("m/y", "y", "w2", unit="m"))
    c = base(artifact("m/y", "1", "w2"), artifact("m/y", "2", "w2"))
    merged = join(join(a, b), c)
    assert merged == join(a, join(b, c))
    assert set(merged.files) == {"artifacts/m.dvc", "artifacts/m/y"}


def test_a_renamed_file_still_gives_way_to_a_newer_one_of_its_path() -> None:
    """A file that a folder pushed aside is the same file to the next merge."""
    old, folder = base(artifact("m", "old", "w1")), base(artifact("m/x", "inside", "w2"))
    new = artifact("m", "new", "w1")(old)
    merged = join(join(old, folder), new)
    assert merged == join(old, join(folder, new))
    assert set(merged.record.artifacts) == {f"m~{digest('new')[:8]}", "m/x"}


def test_a_stamp_without_its_tag_lends_nothing_to_the_other_side() -> None:
    """The stamp of a tag counts only with the tag."""
    a = base(unstamped_tag("t", "a"))
    b = edited(base(), clock={"tags.t": Stamp(7, "w2")})
    assert join(a, b).record.clock == {}


def test_starts_of_different_processes_are_two_sessions() -> None:
    """Machines that made the same run id lose nothing: no start takes the place of another."""
    a, b, c = (base(begun(pid, (Point("loss", 1, 10, pid / 2),))) for pid in (1, 2, 3))
    whole = join(join(b, c), a)
    sessions = whole.record.sessions
    assert sorted(session.pid for session in sessions.values()) == [1, 2, 3]
    assert sessions["start"].pid == 1
    assert all(name.startswith("start-") for name in sessions if name != "start")
    assert {f"metrics/{name}.tsv" for name in sessions} == set(whole.files)
    assert whole == join(a, join(c, b))


def test_of_two_histories_of_one_session_the_same_holds_both_ways() -> None:
    """Even where two equal sessions have different histories, the merge has one outcome."""
    a = base(session("s1", (Point("loss", 1, 10, 1.0),), 1))
    b = base(session("s1", (Point("loss", 1, 10, 2.0),), 1))
    assert join(a, b) == join(b, a)
    assert join(a, b).record.metrics == STORE.summarize(join(a, b).files)


def test_summaries_are_computed_when_only_the_histories_differ() -> None:
    """Equal summaries of different histories are no reason to keep them."""
    a = base(session("s1", (Point("loss", 1, 10, 1.0),), 1))
    b = base(session("s2", (Point("loss", 1, 10, 1.0),), 1))
    assert join(a, b).record.metrics["loss"].count == 2


def test_a_file_against_a_folder_is_renamed() -> None:
    """The folder stays, the file gets a part of its digest, and its stamp goes with it."""
    a = base(artifact("m", "file", "w1"))
    b = base(artifact("m/x", "inside", "w2"))
    merged = join(a, b)
    name = f"m~{digest('file')[:8]}"
    assert set(merged.record.artifacts) == {name, "m/x"}
    assert set(merged.files) == {f"artifacts/{name}", "artifacts/m/x"}
    assert merged.record.stamp(f"artifacts/{name}") == Stamp(1, "w1")
    assert contents.logged_path(name, digest("file")) == "m"


def test_a_model_comes_from_the_side_whose_manifest_holds() -> None:
    """What a model's entry says and what its MLmodel file says stay the same."""
    a = base(model("k", "a", "w1"), model("k", "b", "w1"))
    b = base(model("k", "z", "w2"))
    merged = join(a, b).record
    assert merged.models == {"k": {"flavor": "b"}}
    assert merged.artifacts["k/MLmodel"].sha256 == digest("b")


def test_files_of_both_sides_are_kept() -> None:
    """A file that one side lacks is taken from the other; of two forms one holds for good."""
    a = base(extra("requirements.txt", "numpy==1\n"), extra("cells.py", "1\n"))
    b = base(extra("requirements.txt", "numpy==2\n"))
    merged = join(a, b)
    assert set(merged.files) == {"requirements.txt", "cells.py"}
    highest = max(a.files["requirements.txt"], b.files["requirements.txt"])
    assert merged.files["requirements.txt"] == highest
