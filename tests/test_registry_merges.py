"""Promotions of models, merged by plain git: no driver, no help."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.documents import load_yaml
from gitml.errors import FormatError
from gitml.registry import files
from gitml.registry.entries import VersionEntry, new_file, once, with_entry
from gitml.registry.version import Version, parse_version
from tests.conftest import Git, run_git

STAGES = ("staging", "production")
FILE = "registry/churn.yaml"


def entry(version: Version) -> VersionEntry:
    """An entry that no other version has."""
    run = f"{version.major:08x}{version.minor:08x}{version.patch:016x}"
    return VersionEntry(run, run + "0" * 8, "model", f"sha256:{run * 2}", {"auc": 0.9})


def promoted(data: bytes, stage: str, text: str) -> bytes:
    """The file once a version was promoted."""
    version = parse_version(text)
    return files.promoted(data, stage, version, entry(version), FILE)


def begun(*held: tuple[str, str]) -> bytes:
    """A file after some promotions."""
    data = new_file(STAGES)
    for stage, version in held:
        data = promoted(data, stage, version)
    return data


def branches(repo: Path, git: Git, changes: dict[str, dict[str, bytes]]) -> None:
    """Commit each set of files on a branch of its own that starts at main."""
    for name, contents in changes.items():
        git("switch", "--quiet", "--create", name, "main")
        write(repo, git, contents, name)
    git("switch", "--quiet", "main")


def write(repo: Path, git: Git, contents: dict[str, bytes], message: str) -> None:
    """Commit files."""
    for path, data in contents.items():
        (repo / path).parent.mkdir(exist_ok=True)
        (repo / path).write_bytes(data)
    git("add", ".")
    git("commit", "--quiet", "--message", message)


def merged(repo: Path, order: Sequence[str]) -> bool:
    """Merge branches into a new one from main, in this order; whether none of them conflicts."""
    run_git(repo, "switch", "--quiet", "--create", "-".join(("into", *order)), "main")
    for name in order:
        argv = ("git", "merge", "--quiet", "--no-edit", name)
        if subprocess.run(argv, cwd=repo, capture_output=True, check=False).returncode:
            return False
    return True


START = {
    "nothing": begun(),
    "one version in both": begun(("staging", "v1.0.0"), ("production", "v1.0.0")),
    "two versions": begun(("staging", "v1.0.0"), ("production", "v1.0.0"), ("staging", "v1.1.0")),
    "by hand": b"schema: 1\nstages:\n  production: v1.0.0   # since May\n\n  staging: v1.0.0\n"
    b"\nversions:\n  # staging\n\n  # production\n\naliases: {a: v1.0.0}\n",
}
PAIRS = {
    "two new versions": ("v1.2.0", "v1.3.0"),
    "one new version": ("v1.2.0", "v1.2.0"),
    "one that was in staging": ("v1.2.0", "v1.1.0"),
}


@pytest.mark.parametrize("start", START)
@pytest.mark.parametrize("pair", PAIRS)
def test_two_stages_of_one_model_merge(repo: Path, git: Git, start: str, pair: str) -> None:
    """In either order, to the same file, which says what both decided."""
    staging, production = PAIRS[pair]
    write(repo, git, {FILE: START[start]}, "main")
    branches(
        repo,
        git,
        {
            "a": {FILE: promoted(START[start], "staging", staging)},
            "b": {FILE: promoted(START[start], "production", production)},
        },
    )
    results = []
    for order in itertools.permutations("ab"):
        assert merged(repo, order)
        results.append((repo / FILE).read_bytes())
    assert results[0] == results[1]
    now = files.parse(results[0], FILE)
    assert {name: str(version) for name, version in now.stages.items()} == {
        "staging": staging, "production": production,
    }  # fmt: skip
    for version in map(parse_version, (staging, production)):
        assert now.versions[version] == entry(version)


def test_ten_models_merge_in_any_order(repo: Path, git: Git) -> None:
    """Each has a file of its own."""
    models = {f"m{number}": f"registry/m{number}.yaml" for number in range(10)}
    write(repo, git, {path: begun(("production", "v1.0.0")) for path in models.values()}, "main")
    next_one = promoted(begun(("production", "v1.0.0")), "production", "v1.1.0")
    branches(repo, git, {name: {path: next_one} for name, path in models.items()})
    for order in ([*models], [*reversed(models)]):
        assert merged(repo, order)
        assert {(repo / path).read_bytes() for path in models.values()} == {next_one}


def test_two_decisions_on_one_stage_contradict_each_other(repo: Path, git: Git) -> None:
    """Git says so with its usual marks, and the file is refused by their name."""
    start = begun(("production", "v1.0.0"))
    write(repo, git, {FILE: start}, "main")
    changes = {name: {FILE: promoted(start, "production", version)}
               for name, version in (("a", "v1.1.0"), ("b", "v2.0.0"))}  # fmt: skip
    branches(repo, git, changes)
    assert not merged(repo, "ab")
    with pytest.raises(FormatError, match="unresolved merge"):
        files.parse((repo / FILE).read_bytes(), FILE)


def test_a_version_that_lost_its_stage_is_archived() -> None:
    """Nobody has to write it down, and so nobody can contradict another there."""
    data = begun(("staging", "v1.0.0"), ("production", "v1.0.0"), ("staging", "v1.1.0"))
    assert files.parse(data, FILE).archived == ()
    data = promoted(data, "production", "v1.1.0")
    assert files.parse(data, FILE).archived == (Version(1, 0, 0),)
    data = promoted(data, "production", "v1.0.0")
    assert files.parse(data, FILE).archived == ()


versions = st.builds(Version, *[st.integers(0, 3)] * 3)
steps = st.lists(st.tuples(st.sampled_from((*STAGES, "shadow")), versions), max_size=6)
starts = st.sampled_from([*START.values(), b"schema: 1\n", b"schema: 1\nversions: {}\nowners: [a]"])


@given(starts, steps)
def test_promotions_say_what_they_should(data: bytes, changes: list[tuple[str, Version]]) -> None:
    """Each stage is held by the last that took it, and every version has its entry, once."""
    held = dict(files.parse(data, FILE).stages)
    owners = load_yaml(data, FILE).get("owners")
    for stage, version in changes:
        data = files.promoted(data, stage, version, entry(version), FILE)
        held[stage] = version
    now = files.parse(data, FILE)
    assert now.stages == held
    assert {version for _, version in changes} <= now.versions.keys()
    assert load_yaml(data, FILE).get("owners") == owners
    assert once(data) == data


@given(versions, steps)
def test_a_version_is_added_once(version: Version, changes: list[tuple[str, Version]]) -> None:
    """Whatever stage adds it again."""
    data = new_file(STAGES)
    for stage, other in changes:
        data = with_entry(data, stage, other, entry(other))
    once_more = with_entry(data, "staging", version, entry(version))
    assert with_entry(once_more, "production", version, entry(version)) == once_more
