"""`gitml registry verify`: every forgery is told, with what was expected, and nothing else is.

What signatures prevent is in test_registry_signatures.py: a tag without one, one of a key that is
not listed, one of another tag, an object that was edited. That honest promotions raise no alarm is
in test_registry_sync.py.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gitml import git as gate
from gitml.registry import catalog, stages, syncing
from gitml.registry.stages import StageNote
from gitml.registry.tags import StageTag, VersionNote, VersionTag, message
from gitml.registry.verifying import Finding, verify
from gitml.registry.version import parse_version
from tests.artifacts import overwrite
from tests.cli import HOSTILE, UNSAFE, Caller
from tests.clones import BIG, Clone, team
from tests.conftest import run_git
from tests.promoted import Registry, begin, decide, made, merge, origin, trained, version
from tests.registered import log, register

EVE = ("Eve", "eve@example.org")


@pytest.fixture
def call(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Caller:
    """Call the command line in Ann's clone."""
    monkeypatch.chdir(registry.ann.folder)
    return Caller(capsys)


@pytest.fixture
def registry(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A sound registry, to spoil: four versions of churn, three promotions."""
    return made("sound", tmp_path_factory, lambda it: begin(it, origin(it))).copy(tmp_path)


# -- forging ---------------------------------------------------------------------------------


def force(who: Clone, tag: str, id: str) -> None:
    """Put a tag where it does not belong, as whoever may push can."""
    who.git("update-ref", f"refs/tags/{tag}", id)
    who.git("push", "--quiet", "--force", "origin", f"refs/tags/{tag}")


def delete(who: Clone, *names: str) -> None:
    """Take tags away."""
    for name in names:
        who.git("tag", "--delete", name)
        who.git("push", "--quiet", "origin", f":refs/tags/{name}")


def version_tag(who: Clone, tag: str, commit: str, note: VersionNote) -> str:
    """A tag object that looks like a version."""
    name, _, number = tag.partition("@")
    text = message(VersionTag(name, parse_version(number)), note)
    return gate.make_tag(who.place.repo, tag, commit, text, EVE, 2_000_000_000)


def stage_tag(who: Clone, number: int, commit: str, version: str, **note: str) -> None:
    """Push a tag that gives a version the stage production."""
    item = catalog.read(who.place.repo).version("churn", version)
    told = StageNote(item.version, item.note.run_id, item.note.digest)
    tag = StageTag("churn", "production", number)
    text = stages.message(tag, replace(told, **note))
    id = gate.make_tag(who.place.repo, str(tag), commit, text, EVE, 2_000_000_000)
    force(who, str(tag), id)


def of(who: Clone, tag: str) -> catalog.Registered:
    """A version that a clone has."""
    return catalog.read(who.place.repo).version(*tag.split("@"))


def first_commit(who: Clone, subject: str) -> str:
    """The commit of main with a subject."""
    return who.git("log", "--format=%H", "--fixed-strings", f"--grep={subject}", "origin/main")


def missing(eve: Clone) -> None:
    """A version that the file names has no tag."""
    delete(eve, "churn@v1.0.0")


def lightweight(eve: Clone) -> None:
    """A version is a mere ref to its run commit."""
    force(eve, "churn@v1.0.0", of(eve, "churn@v1.0.0").commit)


def moved(eve: Clone) -> None:
    """A promoted version stands on another run, whose digest it tells."""
    other = of(eve, "churn@v1.0.2")
    force(eve, "churn@v1.0.0", version_tag(eve, "churn@v1.0.0", other.commit, other.note))


def other_digest(eve: Clone) -> None:
    """A version tells another digest than its run."""
    item = of(eve, "churn@v1.0.0")
    note = replace(item.note, digest="sha256:" + "0" * 64)
    force(eve, "churn@v1.0.0", version_tag(eve, "churn@v1.0.0", item.commit, note))


def edited(eve: Clone) -> None:
    """The object of a stage's tag says another version than it did."""
    text = eve.git("cat-file", "tag", "churn#production#3").replace("v1.0.1", "v1.0.2")
    id = subprocess.run(
        ("git", "hash-object", "-t", "tag", "-w", "--stdin"),
        cwd=eve.folder, input=text + "\n", capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    force(eve, "churn#production#3", id)


def renamed(eve: Clone) -> None:
    """The genuine object of an older tag, under the name of a newer one."""
    force(eve, "churn#production#4", eve.git("rev-parse", "refs/tags/churn#production#1"))


def not_in_ledger(eve: Clone) -> None:
    """A new version stands on a run commit that was made by hand, with the bytes of a real one."""
    item = of(eve, "churn@v1.0.2")
    tree = eve.git("rev-parse", f"{item.commit}^{{tree}}")
    commit = eve.git("commit-tree", tree, "-p", "origin/main", "-m", "a run")
    force(eve, "churn@v1.0.4", version_tag(eve, "churn@v1.0.4", commit, item.note))


def skipped(eve: Clone) -> None:
    """The number of a stage's tag leaves one out."""
    stage_tag(eve, 5, eve.git("rev-parse", "origin/main"), "v1.0.1")


def two_production(eve: Clone) -> None:
    """A second tag says that another version is in production."""
    stage_tag(eve, 4, eve.git("rev-parse", "origin/main"), "v1.0.2")


def downgrade(eve: Clone) -> None:
    """A new tag for the older version stands on the commit that once decided for it."""
    stage_tag(eve, 4, first_commit(eve, "v1.0.0 takes production"), "v1.0.0")


def unmerged(eve: Clone) -> None:
    """The commit that decides is on a branch, with a file that says so."""
    eve.git("switch", "--quiet", "--create", "shortcut", "origin/main")
    path = eve.folder / "registry" / "churn.yaml"
    path.write_text(path.read_text().replace("production: v1.0.1", "production: v1.0.2"))
    eve.git("commit", "--quiet", "--all", "--message", "shortcut")
    eve.git("push", "--quiet", "origin", "shortcut")
    stage_tag(eve, 4, eve.git("rev-parse", "HEAD"), "v1.0.2")


def reused_stage(eve: Clone) -> None:
    """A stage's tag was deleted, and made again with another object."""
    delete(eve, "churn#staging#2")
    item = of(eve, "churn@v1.0.1")
    note = StageNote(item.version, item.note.run_id, item.note.digest, approved_by="the boss")
    tag = StageTag("churn", "staging", 2)
    commit = first_commit(eve, "v1.0.1 takes staging")
    text = stages.message(tag, note)
    force(eve, str(tag), gate.make_tag(eve.place.repo, str(tag), commit, text, EVE, 1))


def reused_version(eve: Clone) -> None:
    """A version that nobody promoted was deleted, and made again for another run."""
    delete(eve, "churn@v1.0.2")
    run = trained(eve, 0.999)
    eve.push()
    register(eve, run=run, version="v1.0.2")


def deleted_stage(eve: Clone) -> None:
    """A stage's tag is gone, so that nobody sees what was there."""
    delete(eve, "churn#staging#2")


def damaged(eve: Clone) -> None:
    """A tag by hand takes the place of a stage's."""
    eve.git("tag", "--annotate", "--message", "mine", "churn#production#4", "origin/main")
    eve.git("push", "--quiet", "origin", "refs/tags/churn#production#4")


def dated(who: Clone, seconds: int) -> None:
    """The last tag of a stage says that it is from another day."""
    text = who.git("cat-file", "tag", "churn#production#3")
    text = re.sub(r"(?<=> )\d+(?= \+0000)", str(seconds), text, count=1)
    argv = ("git", "hash-object", "-t", "tag", "-w", "--stdin")
    done = subprocess.run(argv, cwd=who.folder, input=text + "\n", capture_output=True, text=True)
    force(who, "churn#production#3", done.stdout.strip())


def from_the_future(eve: Clone) -> None:
    """Nobody would see what comes after it: v1.0.0 seems to be in production until then."""
    dated(eve, 4_000_000_000)


def backdated(eve: Clone) -> None:
    """The version seems to have been in production before anybody decided so."""
    dated(eve, 1_000_000_000)


def other_case(eve: Clone) -> None:
    """A model whose name some systems take for that of another."""
    item = of(eve, "churn@v1.0.0")
    force(eve, "Churn@v1.0.0", version_tag(eve, "Churn@v1.0.0", item.commit, item.note))


FORGERIES: dict[Callable[[Clone], None], tuple[str, str]] = {
    missing: ("missing", "churn@v1.0.0"),
    lightweight: ("lightweight", "churn@v1.0.0"),
    moved: ("moved", "churn@v1.0.0"),
    other_digest: ("digest", "churn@v1.0.0"),
    edited: ("undecided", "churn#production#3"),
    renamed: ("renamed", "churn#production#4"),
    not_in_ledger: ("ledger", "churn@v1.0.4"),
    skipped: ("deleted", "churn#*#4"),
    two_production: ("undecided", "churn#production#4"),
    downgrade: ("backwards", "churn#production#4"),
    unmerged: ("unmerged", "churn#production#4"),
    reused_stage: ("moved", "churn#staging#2"),
    reused_version: ("moved", "churn@v1.0.2"),
    deleted_stage: ("deleted", "churn#staging#2"),
    damaged: ("damaged", "churn#production#4"),
    from_the_future: ("dated", "churn#production#3"),
    backdated: ("dated", "churn#production#3"),
    other_case: ("case", "churn"),
}


def told(found: list[Finding], kind: str, subject: str) -> Finding:
    """The one finding of that kind; it says what was expected and what is there, and what to do."""
    (it,) = [it for it in found if (it.kind, it.subject) == (kind, subject)]
    assert "" not in (it.expected, it.found, it.fix)
    assert it.expected != it.found
    return it


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda it: it.__name__)
def test_a_forgery_is_told(registry: Registry, forge: Callable[[Clone], None]) -> None:
    """By whoever clones later, from git alone, and by who had it all before and asks the remote."""
    eve = registry.clone("eve")
    eve.pull()
    assert verify(eve.place) == verify(registry.ann.place, remote=True) == []
    forge(eve)
    kind, subject = FORGERIES[forge]
    late = registry.clone("late")
    told(verify(late.place), kind, subject)
    changed = {it.subject for it in verify(registry.ann.place, remote=True)}
    assert subject in changed


# -- what this repository says of itself does not help ----------------------------------------


def test_a_shallow_clone_is_told(registry: Registry) -> None:
    """What is not there is not known to be good: neither tags, nor what they stand on."""
    url = registry.bare.as_uri()
    run_git(registry.folder, "clone", "--quiet", "--depth=1", "--no-tags", url, "part")
    part = Clone(registry.folder / "part")
    told(verify(part.place), "missing", "churn@v1.0.0")
    part.git("fetch", "--quiet", "--tags", "--depth=1")
    it = told(verify(part.place), "unchecked", "the clone")
    assert it.fix.startswith("git fetch --unshallow")
    part.git("fetch", "--quiet", "--unshallow", "--tags")
    part.pull()
    assert verify(part.place) == []


def test_replace_refs_do_not_help(registry: Registry) -> None:
    """Nor does a replaced object that git would show instead of a forged one."""
    eve = registry.clone("eve")
    eve.pull()
    genuine = eve.git("rev-parse", "refs/tags/churn@v1.0.0")
    moved(eve)
    eve.git("replace", "refs/tags/churn@v1.0.0", genuine)
    assert "v1.0.0" in eve.git("cat-file", "tag", "churn@v1.0.0")
    told(verify(eve.place), "moved", "churn@v1.0.0")


def test_grafts_do_not_help(registry: Registry) -> None:
    """A commit that only this clone takes for one of main is none of main."""
    eve = registry.clone("eve")
    eve.pull()
    unmerged(eve)
    tip, commit = eve.git("rev-parse", "origin/main", "HEAD").split()
    (eve.folder / ".git" / "info").mkdir(exist_ok=True)
    (eve.folder / ".git" / "info" / "grafts").write_text(f"{tip} {commit}\n")
    run_git(eve.folder, "merge-base", "--is-ancestor", commit, "origin/main")  # by git alone
    told(verify(eve.place), "unmerged", "churn#production#4")


def test_the_branch_that_is_looked_at_decides_nothing(registry: Registry) -> None:
    """A file in the work tree, or on another branch, is what somebody proposes."""
    path = registry.ann.folder / "registry" / "churn.yaml"
    path.write_text(path.read_text().replace("production: v1.0.1", "production: v1.0.2"))
    registry.ann.git("commit", "--quiet", "--all", "--message", "mine")
    assert verify(registry.ann.place) == []


def test_without_a_ledger_nothing_is_vouched_for(registry: Registry) -> None:
    """It is said, once."""
    only = ("--single-branch", "--branch=main")
    run_git(registry.folder, "clone", "--quiet", *only, str(registry.bare), "part")
    part = Clone(registry.folder / "part")
    part.git("fetch", "--quiet", "--tags")
    it = told(verify(part.place), "unchecked", "gitml/runs")
    assert it.fix == "gitml pull"
    part.pull()
    assert verify(part.place) == []


# -- files, metrics and bytes -----------------------------------------------------------------


def test_metrics_that_are_not_the_runs_are_told(registry: Registry) -> None:
    """Whoever reviewed the file was shown other numbers."""
    ann = registry.ann
    decide(ann, "churn", "v1.0.2", "staging", auc=0.999)
    it = told(verify(ann.place), "metrics", "registry/churn.yaml")
    assert (it.expected, it.found) == ("0.5", "0.999")


def test_a_decision_without_its_tag_is_drift(registry: Registry) -> None:
    """Until sync has run."""
    ann = registry.ann
    decide(ann, "churn", "v1.0.2", "production")
    it = told(verify(ann.place), "out of sync", "churn#production#3")
    assert (it.expected, it.found) == ("v1.0.2", "v1.0.1 by churn#production#3")
    assert it.fix == "gitml registry sync"
    syncing.sync(ann.place)
    assert verify(ann.place, remote=True) == []


def test_a_file_that_can_not_be_read_is_told(registry: Registry) -> None:
    """And the others are looked at all the same."""
    ann = registry.ann
    (ann.folder / "registry" / "fraud.yaml").write_text("schema: 1\nstages: [production]\n")
    merge(ann, "fraud")
    delete(ann, "churn@v1.0.0")
    found = {it.kind for it in verify(ann.place)}
    assert found >= {"file", "missing"}


def test_bytes_are_hashed_at_the_remote(tmp_path: Path, bare: Path) -> None:
    """A file that was changed in the DVC remote is found, whatever the cache here has."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    log(ann, weights=b"1" * BIG)
    register(ann)
    assert verify(ann.place, remote=True) == []
    (stored,) = [
        path for path in (tmp_path / "dvc").rglob("*")
        if path.is_file() and path.stat().st_size == BIG
    ]  # fmt: skip
    overwrite(stored, b"2" * BIG)
    assert verify(ann.place) == []
    it = told(verify(ann.place, remote=True), "digest", "churn@v1.0.0")
    assert it.expected == of(ann, "churn@v1.0.0").note.digest
    stored.unlink()
    told(verify(ann.place, remote=True), "digest", "churn@v1.0.0")


def test_a_small_model_is_hashed_where_it_is(registry: Registry) -> None:
    """A run commit with other bytes under the digest of the real ones is found without a remote."""
    eve = registry.clone("eve")
    eve.pull()
    item = of(eve, "churn@v1.0.3")
    eve.git("read-tree", item.commit)
    (eve.folder / "other").write_text("other")
    blob = eve.git("hash-object", "-w", "other")
    path = ".gitml/run/artifacts/model/weights.bin"
    eve.git("update-index", "--cacheinfo", f"100644,{blob},{path}")
    commit = eve.git("commit-tree", eve.git("write-tree"), "-p", item.commit, "-m", "a run")
    force(eve, "churn@v1.0.3", version_tag(eve, "churn@v1.0.3", commit, item.note))
    found = verify(eve.place)
    assert told(found, "digest", "churn@v1.0.3").expected == item.note.digest
    told(found, "ledger", "churn@v1.0.3")


def test_one_model_can_be_asked_for(registry: Registry) -> None:
    """What is wrong with another is not told then."""
    lightweight(registry.ann)
    version(registry.ann, "fraud")
    assert verify(registry.ann.place, ["fraud"]) == []
    assert verify(registry.ann.place, ["churn"]) != []


def test_the_command_ends_with_1(registry: Registry, call: Caller) -> None:
    """For people each finding with what to do, for programs every field."""
    assert call("registry", "verify").err == "all is as it should be\n"
    assert call("registry", "verify", "--format", "json").json == []
    downgrade(registry.ann)
    done = call("registry", "verify", code=1)
    assert "backwards    churn#production#4: it records an earlier decision" in done.out
    rows = call("registry", "verify", "churn", "--format", "json", code=1).json
    assert all(
        row.keys() == {"kind", "subject", "what", "expected", "found", "fix"} for row in rows
    )
    assert "backwards" in [row["kind"] for row in rows]


def test_hostile_words_do_nothing(registry: Registry, call: Caller) -> None:
    """Neither in messages of tags nor in files: they are shown, and in no command to copy."""
    ann = registry.ann
    item = of(ann, "churn@v1.0.2")
    text = message(VersionTag("churn", parse_version("v1.0.4")), item.note)
    for number, line in enumerate(
        (
            f"Follows: $(touch${{IFS}}x) {'0' * 40}",
            f"Follows: churn#production#1 {'0' * 40}",
            f"Run-Id: {HOSTILE.encode('utf-8', 'replace').decode()}",
            "Digest: \x1b[31m",
        ),
        4,
    ):
        tag = f"churn@v1.0.{number}"
        id = gate.make_tag(ann.place.repo, tag, item.commit, text + line + "\n", EVE, 2**40)
        force(ann, tag, id)
    path = ann.folder / "registry" / "churn.yaml"
    path.write_text(path.read_text().replace("auc: 0.5", 'auc: "\\e[31m0.5"'))
    merge(ann, "hostile")
    for format in ("table", "md", "csv"):
        done = call("registry", "verify", "--format", format, code=1)
        assert not UNSAFE.search(done.out.replace("\r", ""))
    rows = call("registry", "verify", "--format", "json", code=1).json
    assert {row["kind"] for row in rows} >= {"damaged", "run", "moved", "metrics"}
    assert not any("touch" in row["fix"] for row in rows)
    call("registry", "list")
    call("registry", "history", "churn", "--at", "9999-12-30")


def test_an_empty_registry_is_sound(repo: Path) -> None:
    """There is nothing to be wrong."""
    assert verify(Clone(repo).place) == []
