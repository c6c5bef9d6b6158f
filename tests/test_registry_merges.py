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


class Server:
    """A bare repository in which a forge merges: no work tree, no driver, nobody to ask."""

    def __init__(self, repo: Path) -> None:
        self.folder = repo.parent / "forge.git"
        run_git(repo, "clone", "--quiet", "--bare", str(repo), str(self.folder))

    def merged(self, order: Sequence[str]) -> str | None:
        """The commit in which these branches are merged into main, one by one; None if one can't.

        The tree of a merge that failed is kept in `failed`.
        """
        head = run_git(self.folder, "rev-parse", "main")
        for name in order:
            argv = ("git", "merge-tree", "--write-tree", head, name)
            done = subprocess.run(
                argv, cwd=self.folder, capture_output=True, text=True, check=False
            )
            tree = done.stdout.split()[0]
            if done.returncode:
                self.failed = tree
                return None
            head = run_git(
                self.folder, "-c", "user.name=forge", "-c", "user.email=forge@example.org",
                "commit-tree", "-p", head, "-p", name, "-m", name, tree,
            )  # fmt: skip
        return head

    def read(self, commit: str, path: str = FILE) -> bytes:
        """A file in a commit or tree."""
        argv = ("git", "show", f"{commit}:{path}")
        return subprocess.run(argv, cwd=self.folder, capture_output=True, check=True).stdout


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
    server, results = Server(repo), []
    for order in itertools.permutations("ab"):
        commit = server.merged(order)
        assert commit is not None
        results.append(server.read(commit))
    assert results[0] == results[1]
    now = files.parse(results[0], FILE)
    assert {name: str(version) for name, version in now.stages.items()} == {
        "staging": staging, "production": production,
    }  # fmt: skip
    for version in map(parse_version, (staging, production)):
        assert now.versions[version] == entry(version)


def test_ten_models_merge_in_any_order(repo: Path, git: Git) -> None:
    """Each has a file of its own, so that no order of ten open promotions has a conflict."""
    models = {f"m{number}": f"registry/m{number}.yaml" for number in range(10)}
    write(repo, git, {path: begun(("production", "v1.0.0")) for path in models.values()}, "main")
    next_one = promoted(begun(("production", "v1.0.0")), "production", "v1.1.0")
    branches(repo, git, {name: {path: next_one} for name, path in models.items()})
    server, names = Server(repo), [*models]
    # Each of them is merged early, late, and before and after every other one.
    for turn in (0, 3, 7):
        for order in (names[turn:] + names[:turn], [*reversed(names[turn:] + names[:turn])]):
            commit = server.merged(order)
            assert commit is not None
            assert {server.read(commit, path) for path in models.values()} == {next_one}


def test_three_stages_merge_in_all_orders(repo: Path, git: Git) -> None:
    """Promotions to each stage of one model, all open at once, and an edit of its description."""
    stages = ("canary", "staging", "production")
    start = b"description: old\n" + new_file(stages)
    for stage in stages:
        start = promoted(start, stage, "v1.0.0")
    write(repo, git, {FILE: start}, "main")
    changes = {
        stage: {FILE: promoted(start, stage, f"v1.{at}.0")} for at, stage in enumerate(stages, 1)
    }
    described = files.edited(start, files.described("new"), FILE)
    branches(repo, git, {**changes, "words": {FILE: described}})
    server, results = Server(repo), set()
    for order in itertools.permutations((*stages, "words")):
        commit = server.merged(order)
        assert commit is not None
        results.add(server.read(commit))
    assert len(results) == 1
    now = files.parse(results.pop(), FILE)
    assert [str(now.stages[stage]) for stage in stages] == ["v1.1.0", "v1.2.0", "v1.3.0"]
    assert now.description == "new"


def test_two_decisions_on_one_stage_contradict_each_other(repo: Path, git: Git) -> None:
    """Git says so with its usual marks, in either order, and the file is refused by their name."""
    start = begun(("production", "v1.0.0"))
    write(repo, git, {FILE: start}, "main")
    changes = {name: {FILE: promoted(start, "production", version)}
               for name, version in (("a", "v1.1.0"), ("b", "v2.0.0"))}  # fmt: skip
    branches(repo, git, changes)
    server = Server(repo)
    for order in ("ab", "ba"):
        assert server.merged(order) is None
        left = server.read(server.failed)
        assert all(mark in left for mark in (b"<<<<<<< ", b"=======\n", b">>>>>>> "))
        with pytest.raises(FormatError, match="unresolved merge"):
            files.parse(left, FILE)


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
