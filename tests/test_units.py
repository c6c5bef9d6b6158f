"""Artifact units: which logged files go into the commit and which into DVC, and where."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.tracking import download, finishing, starting, store, units
from gitml.tracking.fold import Staged
from gitml.tracking.record import FINISHED, Artifact
from gitml.tracking.starting import Wish
from tests.clones import Clone

UNIT, RUN = 100_000, 1_000_000  # bytes: what gitml.yaml has by default


def staged(sizes: Mapping[str, int]) -> dict[str, Staged]:
    """Logged files of these sizes, by path."""
    return {
        path: Staged(path, f"file-{number}", size, hashlib.sha256(path.encode()).hexdigest(), "")
        for number, (path, size) in enumerate(sizes.items())
    }


def where(sizes: Mapping[str, int], *models: str) -> dict[str, bool]:
    """The roots of the units that these files make, and whether each is inline."""
    return {unit.root: unit.inline for unit in units.plan(staged(sizes), models=models)}


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": UNIT - 1}, {"a": True}),
        ({"a": UNIT}, {"a": True}),
        ({"a": UNIT + 1}, {"a": False}),
        ({"a/b": UNIT // 2, "a/c/d": UNIT // 2}, {"a": True}),
        ({"a/b": UNIT // 2, "a/c/d": UNIT // 2 + 1}, {"a": False}),
        ({"a": 0}, {"a": True}),
        ({f"{n}": UNIT for n in range(10)}, {f"{n}": True for n in range(10)}),
        ({f"{n}": UNIT for n in range(11)}, {f"{n}": n != 9 for n in range(11)}),
        ({f"a/{n}": 100 for n in range(1_000)}, {"a": True}),
        ({f"a/{n}": 1 for n in range(1_001)}, {"a": False}),
        ({f"a/{n}": 1 for n in range(999)} | {"b": 999, "c": 999}, {
            "a": True, "b": True, "c": False,
        }),
        ({f"{n:05}": 200 for n in range(1_010)}, {f"{n:05}": n < 1_000 for n in range(1_010)}),
        ({"a": UNIT, **{f"b{n}": 99_999 for n in range(10)}}, {"a": False} | {
            f"b{n}": True for n in range(10)
        }),
        ({}, {}),
    ],
)  # fmt: skip
def test_a_unit_is_inline_up_to_its_limit_and_that_of_the_run(
    sizes: dict[str, int], expected: dict[str, bool]
) -> None:
    """At most 100 kB a unit, 1 MB and 1,000 files a run; the smallest come first, then by name."""
    assert where(sizes) == expected


def test_what_a_run_has_inline_already_counts() -> None:
    """The limit of the run is for all of its sessions."""
    (unit,) = units.plan(staged({"a": 10}), inline_run=9)
    assert not unit.inline
    (unit,) = units.plan(staged({"a": 10}), inline_run=-5)
    assert not unit.inline
    (unit,) = units.plan(staged({"a": 10, "b": 0}), inline_files=-1, pointers=-1)
    assert (unit.root, unit.inline) == ("more-files", False)


def test_units_without_end_share_a_pointer() -> None:
    """The largest thousand have one of their own, and so has a model, wherever it lies."""
    sizes = {f"{n:05}/f": n for n in range(2_100)} | {"out/model/MLmodel": 1, "a.dvc": 1}
    made = units.plan(staged(sizes), models=["out/model"], inline_files=900)
    more, *others = (unit for unit in made if unit.root in ("more-files", "a.dvc"))
    assert (more.is_dir, more.inline, others) == (True, False, [])
    assert [file.path for file in more.files] == [f"{n:05}/f" for n in range(899, 1_100)]
    assert more.inside("00899/f") == "00899/f"
    assert len(made) == 2_102 - 201 + 1
    assert [unit.root for unit in made if not unit.inline and unit.root > "02099"] == [
        "guarded-files", "more-files",
    ]  # fmt: skip
    made = units.plan(staged(sizes), models=["out/model"], inline_files=0)
    assert [unit.root for unit in made if unit.root > "02099"] == [
        "guarded-files", "more-files", "out/model",
    ]  # fmt: skip


def test_a_model_is_a_unit_of_its_own() -> None:
    """Its folder is stored whole, apart from what lies beside it."""
    sizes = {"out/model/MLmodel": 10, "out/model/model.pkl": UNIT, "out/log.txt": 5, "x": 1}
    assert where(sizes, "out/model") == {"out/model": False, "out": True, "x": True}
    (model,) = (u for u in units.plan(staged(sizes), models=["out/model"]) if u.root == "out/model")
    assert [model.inside(file.path) for file in model.files] == ["MLmodel", "model.pkl"]
    assert model.is_dir


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("a.dvc", "guarded-files"),
        ("dvc.yaml", "guarded-files"),
        ("dvc.lock", "guarded-files"),
        (".dvcignore", "guarded-files"),
        (".dvc/config", "guarded-files"),
        (".gitignore", "guarded-files"),
        ("a/b.dvc", "a"),
        ("a/.gitattributes", "a"),
        ("a/.dvc/x", "a"),
    ],
)
def test_what_git_or_dvc_would_interpret_is_in_a_dvc_folder(path: str, root: str) -> None:
    """However small it is, and with what lies beside it in one folder."""
    (unit,) = units.plan(staged({path: 1}))
    assert (unit.root, unit.inline, unit.is_dir) == (root, False, True)


@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "c.dvc", ".git", "d"]), min_size=1, max_size=3).map(
            "/".join
        ),
        st.integers(0, 3 * UNIT),
        max_size=12,
    ),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_every_file_is_in_one_unit_and_the_limits_hold(
    sizes: dict[str, int], files: int, pointers: int
) -> None:
    """Whatever was logged, and a plan does not depend on the order of logging."""
    plan = functools.partial(units.plan, inline_files=files, pointers=pointers)
    made = plan(staged(sizes))
    assert sorted(file.path for unit in made for file in unit.files) == sorted(sizes)
    assert sum(file.size for unit in made if unit.inline for file in unit.files) <= RUN
    for unit in made:
        assert not unit.inline or sum(file.size for file in unit.files) <= UNIT
    backwards = dict(reversed(staged(sizes).items()))
    assert plan(backwards) == made
    assert sum(len(unit.files) for unit in made if unit.inline) <= files
    assert sum(not unit.inline for unit in made) <= pointers + 2  # what is guarded, and the rest


@pytest.mark.parametrize(
    ("pointer", "path", "inside"),
    [
        ("artifacts/model.dvc", "model", None),
        ("artifacts/model.dvc", "model/a/b.bin", "a/b.bin"),
        ("artifacts/out/model.dvc", "out/model/MLmodel", "MLmodel"),
        ("artifacts/model~0123abcd.dvc", "model/a", "a"),
        ("artifacts/model~0123abcd.dvc", "model", None),
        ("artifacts/x~0123abcd.dvc", "x~0123abcd", None),
        ("artifacts/x~0123abcd.dvc", "x~0123abcd/a", "a"),
        ("artifacts/guarded-files.dvc", ".gitignore", ".gitignore"),
        ("artifacts/more-files.dvc", "a/b", "a/b"),
        ("artifacts/more-files~0123abcd.dvc", "a/b", "a/b"),
    ],
)
def test_a_pointer_tells_where_in_its_object_an_artifact_is(
    pointer: str, path: str, inside: str | None
) -> None:
    """None when the object is the artifact; the mark of a twin is no part of the path."""
    assert units.inside_pointer(pointer, path) == inside


def test_pointers_of_one_root_are_told_apart() -> None:
    """By the first digits of the object that the later one names."""
    assert units.pointer_path("out/model") == "artifacts/out/model.dvc"
    assert units.pointer_path("model", "0123456789abcdef") == "artifacts/model~01234567.dvc"


def test_a_file_is_no_folder() -> None:
    """What was logged as the one can't be logged as the other; the same file again can."""
    known = {"a": False, "b": True, "b/c": False}
    units.check_tree(["a", "b/d", "b/c", "new"], known)
    with pytest.raises(UsageError, match="'b' is a file, but a folder of that name was logged"):
        units.check_tree(["b"], known)
    with pytest.raises(UsageError, match="'a/x' needs a folder 'a', which is a logged file"):
        units.check_tree(["a/x"], known)


def test_two_writers_may_disagree_what_is_a_folder() -> None:
    """Both files are kept: that whose name is a folder's gets a mark of its content."""
    new = staged({"a": 1, "b/c": 1})
    recorded = {"a/x": Artifact(1, "f" * 64, "git"), "b": Artifact(1, "e" * 64, "git")}
    files, moved = units.without_clashes(new, recorded)
    assert set(files) == {f"a~{new['a'].sha256[:8]}", "b/c"}
    assert {path: file.path for path, file in files.items()} == {path: path for path in files}
    assert moved == {"b": "b~eeeeeeee"}


def test_the_limits_hold_in_a_real_run(repo: Path) -> None:
    """What is over them is a DVC pointer, also when another session comes to it."""
    one = Clone(repo)
    files = {f"{n}.bin": bytes([n]) * UNIT for n in range(11)}
    run_id = one.run("one", files={**files, "over.bin": b"x" * (UNIT + 1)})
    first = artifacts(one, run_id)
    assert [path for path, place in sorted(first.items()) if place != "git"] == [
        "9.bin", "over.bin",
    ]  # fmt: skip
    one.run("again", files={"late.txt": b"x"}, resume=run_id)
    assert artifacts(one, run_id) == {**first, "late.txt": "artifacts/late.txt.dvc"}
    for path, data in (*files.items(), ("late.txt", b"x")):
        assert store.artifact(one.place, run_id, path) == data


def test_what_is_replaced_does_not_count(repo: Path) -> None:
    """The limit is for what the run holds in the end: a checkpoint may be logged again."""
    (repo / "gitml.yaml").write_text("artifacts: {inline_unit: 10, inline_run: 15}\n")
    one = Clone(repo)
    run_id = one.run("one", files={"a": b"x" * 10, "b": b"x" * 5})
    one.run("again", files={"a": b"y" * 10}, resume=run_id)
    assert artifacts(one, run_id) == {"a": "git", "b": "git"}
    one.run("larger", files={"a": b"z" * 10, "b": b"z" * 6}, resume=run_id)
    assert artifacts(one, run_id) == {"a": "artifacts/a.dvc", "b": "git"}
    assert store.artifact(one.place, run_id, "a") == b"z" * 10
    assert store.artifact(one.place, run_id, "b") == b"z" * 6


@pytest.mark.parametrize(("folder", "count"), [("parts", 1_100), ("part-{}", 2_100)])
def test_thousands_of_small_files_are_a_thousand_in_git(
    repo: Path, folder: str, count: int
) -> None:
    """In one folder or in a folder each; they can be read like any other."""
    one = Clone(repo)
    files = {f"{folder.format(n)}/{n}.txt": b"%d" % n for n in range(count)}
    session, record = starting.start(one.place, Wish(name="many"))
    session.artifacts((BytesIO(data), path) for path, data in files.items())
    finishing.finish(one.place, session, record, FINISHED)
    assert artifacts(one, record.run_id).keys() == files.keys()
    entry = one.place.ledger.find(record.run_id)
    assert entry is not None
    in_git = [path for path in entry.files if path.startswith("artifacts/")]
    assert len(in_git) == (1 if folder == "parts" else 2_001)
    for path in list(files)[:: count // 8]:
        assert store.artifact(one.place, record.run_id, path) == files[path]
    assert one.git("fsck", "--strict", "--full") == ""


def test_what_is_beyond_the_limits_can_be_read_and_replaced(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any session of the run, and by its path, as if it had a pointer of its own."""
    monkeypatch.setattr(units, "INLINE_FILES", 2)
    monkeypatch.setattr(units, "POINTERS", 1)
    one = Clone(repo)
    files = {f"{name}/f": name.encode() for name in "abcdef"} | {"more-files": b"more"}
    run_id = one.run("one", files=files)
    places = artifacts(one, run_id)
    own, shared = places.pop("more-files"), places["c/f"]
    assert {own, shared} > {"artifacts/more-files.dvc"}
    assert places == {"a/f": "git", "b/f": "git", "f/f": "artifacts/f.dvc"} | dict.fromkeys(
        ("c/f", "d/f", "e/f"), shared
    )
    one.run("again", files={"c/f": b"new", "g/f": b"g", "h": b"h"}, resume=run_id)
    files |= {"c/f": b"new", "g/f": b"g", "h": b"h"}
    assert {path: store.artifact(one.place, run_id, path) for path in files} == files
    entry = one.place.ledger.find(run_id)
    assert entry is not None
    download.download(one.place, entry.record, entry.commit, None, tmp_path / "all")
    assert {path: (tmp_path / "all" / path).read_bytes() for path in files} == files


@pytest.mark.parametrize(("early", "late"), [("b", "b/c"), ("b/c", "b")])
@pytest.mark.parametrize("sizes", [(10, 2 * UNIT), (2 * UNIT, 10)])
def test_a_writer_that_comes_late_may_disagree_too(
    repo: Path, early: str, late: str, sizes: tuple[int, int]
) -> None:
    """With what was recorded meanwhile, inline or in DVC: both are kept, and can be read."""
    one = Clone(repo)
    first, record = starting.start(one.place, Wish(name="one"))
    second, _ = starting.resume(one.place, record.run_id)
    source = repo / ".git" / "source"
    for session, path, size in ((first, early, sizes[0]), (second, late, sizes[1])):
        source.write_bytes(b"x" * size)
        session.artifacts([(source, path)])
        finishing.finish(one.place, session, record, FINISHED)
    found = artifacts(one, record.run_id)
    contents = [store.artifact(one.place, record.run_id, path) for path in found]
    assert sorted(map(len, contents)) == sorted(sizes)
    assert {path.partition("~")[0] for path in found} == {"b", "b/c"}


def test_the_limits_are_those_of_gitml_yaml(repo: Path) -> None:
    """A unit and a run hold as much inline as the settings say."""
    (repo / "gitml.yaml").write_text("artifacts: {inline_unit: 10, inline_run: 15}\n")
    one = Clone(repo)
    run_id = one.run("one", files={"a": b"x" * 10, "b": b"x" * 6, "c": b"x" * 5, "d": b"x" * 11})
    assert artifacts(one, run_id) == {
        "a": "artifacts/a.dvc", "b": "git", "c": "git", "d": "artifacts/d.dvc",
    }  # fmt: skip


def artifacts(one: Clone, run_id: str) -> dict[str, str]:
    """Where each artifact of a run is."""
    entry = one.place.ledger.find(run_id)
    assert entry is not None
    return {path: item.where for path, item in entry.record.artifacts.items()}
