"""`gitml registry sync`: tags follow the main branch, and whoever runs it twice changes nothing."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitml import git as gate
from gitml.errors import UsageError
from gitml.forge import Approvals
from gitml.forge.plain import Plain
from gitml.registry import (
    approving,
    catalog,
    files,
    main_branch,
    plan,
    promoting,
    publishing,
    stages,
    syncing,
)
from gitml.registry.catalog import Catalog
from gitml.registry.stages import StageNote, Stages
from gitml.registry.syncing import Synced
from gitml.registry.tags import LAST_NUMBER, Link, StageTag
from gitml.registry.verifying import verify
from gitml.registry.version import parse_version
from tests.cli import Caller
from tests.clones import Clone, clone, team
from tests.conftest import run_git
from tests.promoted import (
    Registry,
    begin,
    decide,
    entry_of,
    made,
    merge,
    origin,
    promote,
    tags,
    version,
)
from tests.registered import alone, log, register


@pytest.fixture
def registry(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Four versions of churn; three promotions."""
    return made("sound", tmp_path_factory, lambda it: begin(it, origin(it))).copy(tmp_path)


@pytest.fixture
def call(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Caller:
    """Call the command line in Ann's clone."""
    monkeypatch.chdir(registry.ann.folder)
    return Caller(capsys)


def created(rows: list[Synced]) -> list[str]:
    """The tags that were created; nothing else may be told."""
    assert {row.state for row in rows} <= {"created"}, rows
    return [row.tag for row in rows]


# -- what a stage tag is ---------------------------------------------------------------------


def test_a_stage_tag_tells_the_decision(registry: Registry) -> None:
    """It stands on main, and tells version, run, digest, who held the stage, what it follows."""
    ann = registry.ann
    item = catalog.read(ann.place.repo).version("churn", "v1.0.1")
    before = ann.git("rev-parse", "refs/tags/churn#staging#2")
    assert ann.git("for-each-ref", "--format=%(contents)", "refs/tags/churn#production#3") == (
        "churn production: v1.0.1\n\n"
        f"Version: v1.0.1\nRun-Id: {item.note.run_id}\nDigest: {item.note.digest}\n"
        f"Previous: v1.0.0\nApproved-By: unknown\nFollows: churn#staging#2 {before}\n"
    )
    main = ann.git("rev-parse", "origin/main")
    assert ann.git("rev-parse", "churn#production#3^{commit}") == main
    assert ann.git("cat-file", "-t", "churn#production#3") == "tag"


def test_a_stage_note_reads_back() -> None:
    """All of it, and a tag of another tool is none."""
    tag, one = StageTag("churn", "production", 3), parse_version("v1.0.0")
    links = (Link("churn#staging#2", "1" * 40), Link("churn#production#2", "2" * 40))
    note = StageNote(parse_version("v2.0.0"), "a" * 32, "sha256:" + "b" * 64, one, "Bob", links)
    text = stages.message(tag, note)
    assert stages.read_note(text.partition("\n\n")[2]) == note
    with pytest.raises(ValueError, match="no line Version"):
        stages.read_note("Assigning stage")
    with pytest.raises(ValueError, match="damaged line Follows"):
        stages.read_note(text.partition("\n\n")[2].replace("1" * 40, "1"))


def test_a_stage_tag_under_another_name_is_none(registry: Registry) -> None:
    """The genuine one of an earlier decision is no later decision; its number stays taken."""
    ann = registry.ann
    ann.git("update-ref", "refs/tags/churn#production#9", "refs/tags/churn#production#1")
    found = stages.read(ann.place.repo)
    assert str(found.held("churn")["production"].tag) == "churn#production#3"
    assert found.highest["churn"] == 9
    assert "given another name later" in found.problems["churn#production#9"]


def test_stock_gto_reads_the_stages(registry: Registry) -> None:
    """`gto history` lists them, `gto show` knows the stage."""
    argv = (sys.executable, "-c", "from gto.cli import app; app()")
    done = [
        subprocess.run(
            (*argv, *args), cwd=registry.ann.folder, capture_output=True, text=True, check=True
        ).stdout
        for args in (("history", "churn", "--plain"), ("show", "churn#production", "--ref"))
    ]
    assert "churn#production#3" in done[0]
    assert done[1].split()[0] == "churn#production#3"


# -- converging ------------------------------------------------------------------------------


def test_tags_follow_the_main_branch(registry: Registry) -> None:
    """Numbers count over all stages; nothing is left to do, however often it runs."""
    names = ["churn#production#1", "churn#production#3", "churn#staging#2"]
    assert [tag for tag in tags(registry.bare) if "#" in tag] == names
    for _ in range(2):
        assert syncing.sync(registry.ann.place) == []
    late = registry.clone("late")
    assert syncing.sync(late.place) == []
    assert created(promote(late, "churn", "v1.0.0", "production")) == ["churn#production#4"]
    assert created(syncing.sync(registry.ann.place)) == []
    assert "churn#production#4" in tags(registry.ann.folder)


def test_a_dry_run_changes_nothing(registry: Registry, call: Caller) -> None:
    """It tells what is missing, and ends with 1; without it the tag is made."""
    decide(registry.ann, "churn", "v1.0.2", "production")
    before = tags(registry.bare)
    (row,) = call("registry", "sync", "--dry-run", "--format", "json", code=1).json
    assert (row["tag"], row["state"], row["stage"]) == (
        "churn#production#4",
        "missing",
        "production",
    )
    assert tags(registry.bare) == tags(registry.ann.folder) == before
    assert call("registry", "sync").lines[1].split()[:4] == [
        "created", "churn#production#4", "v1.0.2", "production",
    ]  # fmt: skip
    assert call("registry", "sync").err == "all is in sync\n"


def test_a_reviewed_version_without_a_tag_gets_one(registry: Registry) -> None:
    """Where a forge lets only its own machines make tags; its run has to bear it out."""
    ann = registry.ann
    run_id = log(ann, weights=b"new")
    ann.push()
    entry = ann.place.ledger.find(run_id)
    assert entry is not None
    digest = str(entry.record.models["model"]["digest"])
    path = ann.folder / "registry" / "churn.yaml"
    line = (
        f"  v1.1.0: {{run: {run_id}, commit: {entry.commit}, path: model,"
        f' digest: "{digest}", metrics: {{}}}}\n'
    )
    path.write_text(path.read_text() + line)
    merge(ann, "churn: v1.1.0 is reviewed")
    late = registry.clone("late")
    assert created(syncing.sync(late.place)) == ["churn@v1.1.0"]
    item = catalog.read(late.place.repo).version("churn", "v1.1.0")
    assert (item.commit, item.note.digest, item.note.change) == (entry.commit, digest, "same")
    assert verify(ann.place, remote=True) == []
    path.write_text(
        path.read_text() + line.replace("v1.1.0", "v1.2.0").replace(digest[-8:], "0" * 8)
    )
    merge(ann, "churn: v1.2.0 is not what it says")
    (row,) = syncing.sync(ann.place)
    assert (row.tag, row.state) == ("churn@v1.2.0", "missing")
    assert "has the digest" in row.why


def test_what_no_tag_can_put_right_is_told(registry: Registry) -> None:
    """A model whose tag is not what was reviewed has to wait, and the others go on."""
    ann = registry.ann
    version(ann, "fraud")
    decide(ann, "churn", "v1.0.2", "production")
    decide(ann, "fraud", "v1.0.0", "production")
    other = catalog.read(ann.place.repo).version("churn", "v1.0.3")
    ann.git("tag", "--force", "--annotate", "--message", "x", "churn@v1.0.1", other.commit)
    ann.git("push", "--quiet", "--force", "origin", "refs/tags/churn@v1.0.1")
    rows = syncing.sync(ann.place)
    assert [(row.tag, row.state) for row in rows] == [
        ("fraud#production#1", "created"), ("churn@v1.0.1", "wrong"),
    ]  # fmt: skip
    assert "gitml registry verify" in rows[1].why


def test_tags_of_strangers_change_nothing(registry: Registry) -> None:
    """A fork's tags come along when it is fetched; they are named, and their model waits."""
    ann = registry.ann
    decide(ann, "churn", "v1.0.2", "production")
    version(ann, "fraud")
    decide(ann, "fraud", "v1.0.0", "production")
    ann.git("update-ref", "refs/tags/churn#production#9", "refs/tags/churn#production#3")
    rows = syncing.sync(ann.place)
    assert [(row.tag, row.state) for row in rows] == [
        ("fraud#production#1", "created"), ("churn#production#9", "wrong"),
    ]  # fmt: skip
    assert rows[1].why.endswith("or delete it: git tag --delete churn#production#9")
    ann.git("tag", "--delete", "churn#production#9")
    assert created(syncing.sync(ann.place)) == ["churn#production#4"]


def test_a_tag_that_leaves_no_number_is_told(registry: Registry) -> None:
    """It keeps its own model waiting, and no other; nor does a version's."""
    ann = registry.ann
    last = f"churn#production#{LAST_NUMBER}"
    ann.git("tag", "--annotate", "--message", "mine", last, "origin/main")
    ann.git("push", "--quiet", "origin", f"refs/tags/{last}")
    decide(ann, "churn", "v1.0.2", "production")
    other = version(ann, "price")
    assert promote(ann, "price", str(other.version), "production")[0].tag == "price#production#1"
    (row,) = [it for it in syncing.sync(ann.place) if it.name == "churn"]
    assert (row.state, "leaves no number for another" in row.why) == ("wrong", True)
    register(ann, "price", run=other.note.run_id, version=f"v1.0.{LAST_NUMBER}")
    with pytest.raises(UsageError, match=f"no version comes after v1.0.{LAST_NUMBER}"):
        register(ann, "price", run=other.note.run_id)


def test_a_date_that_can_not_be_is_not_followed(registry: Registry) -> None:
    """Else one forged tag would have all that come later bear its date."""
    place, head = registry.ann.place, registry.ann.git("rev-parse", "HEAD")
    soon = (int(time.time()) + 600) * 1000
    for last, when in ((soon, soon // 1000 + 1), (4_000_000_000_000, int(time.time()))):
        id = publishing.make(place, "churn@v9.0.0", head, "it\n", last)
        text = registry.ann.git("cat-file", "tag", id)
        (seconds,) = re.findall(r"^tagger .* (\d+) \+0000$", text, re.MULTILINE)
        assert 0 <= int(seconds) - when < 60


def test_a_version_that_is_not_there_takes_no_stage() -> None:
    """The plan says so, and plans nothing for it."""
    now = files.parse(b"schema: 1\nstages: {production: v1.0.0}\n", "registry/churn.yaml")
    found = plan.plan({"churn": now}, Catalog({}), Stages({}))
    assert found.steps == ()
    assert "there is no such version" in found.problems[0].why


def test_tags_that_the_remote_refuses_stay_missing(registry: Registry) -> None:
    """Its words are told with a cure, and there is no gap in the numbers afterwards."""
    ann = registry.ann
    version(ann, "fraud")
    for name, stage in (("churn", "staging"), ("churn", "production"), ("fraud", "production")):
        decide(ann, name, "v1.0.0" if name == "fraud" else "v1.0.3", stage)
    hook = registry.bare / "hooks" / "update"
    hook.write_text(
        '#!/bin/sh\ncase "$1" in *#staging#*) echo creations being restricted; exit 1;; esac\n'
    )
    hook.chmod(0o755)
    rows = syncing.sync(ann.place)
    assert [(row.tag, row.state) for row in rows] == [
        ("churn#production#4", "created"),
        ("fraud#production#1", "created"),
        ("churn#staging#4", "missing"),
    ]
    assert "forge's rules" in rows[2].why
    hook.unlink()
    assert created(syncing.sync(ann.place)) == ["churn#staging#5"]
    assert verify(ann.place) == []


def test_more_refusals_than_tries(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told with its reason, the remote is not asked again, and the others go on."""
    ann = registry.ann
    monkeypatch.setattr(syncing, "_TRIES", 2)
    for stage in ("staging", "production"):
        decide(ann, "churn", "v1.0.3", stage)
    for name in ("fraud", "price", "zeal"):
        version(ann, name)
        decide(ann, name, "v1.0.0", "staging")
        decide(ann, name, "v1.0.0", "production")
    hook = registry.bare / "hooks" / "pre-receive"
    hook.write_text(
        f"#!/bin/sh\nread line; echo $line >> {registry.bare}/pushes\n"
        'case "$line" in *#staging#*) echo GH013: Cannot create ref >&2; exit 1;; esac\n'
    )
    hook.chmod(0o755)
    rows = syncing.sync(ann.place)
    assert [row.tag for row in rows if row.state == "created"] == [
        "churn#production#4", "fraud#production#1", "price#production#1", "zeal#production#1",
    ]  # fmt: skip
    missing = [row for row in rows if row.state == "missing"]
    assert [row.name for row in missing] == ["churn", "fraud", "price", "zeal"]
    assert all("forge's rules for tags" in row.why for row in missing)
    assert len((registry.bare / "pushes").read_text().splitlines()) == 8


def test_one_push_for_each_tag(registry: Registry) -> None:
    """GitHub tells nobody of tags when more than three come in one push."""
    ann = registry.ann
    for stage in ("staging", "production"):
        decide(ann, "churn", "v1.0.3", stage)
    hook = registry.bare / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nwc -l >> {registry.bare}/pushes\n")
    hook.chmod(0o755)
    assert len(created(syncing.sync(ann.place))) == 2
    assert (registry.bare / "pushes").read_text().split() == ["1", "1"]


def test_without_remotes(repo: Path) -> None:
    """The local main branch decides, and the tags stay here."""
    mine = alone(repo)
    log(mine)
    item = register(mine)
    (repo / "registry").mkdir()
    data = files.promoted(
        b"schema: 1\n", "production", item.version, entry_of(item), "registry/churn.yaml"
    )
    (repo / "registry" / "churn.yaml").write_bytes(data)
    mine.git("add", ".")
    assert syncing.sync(mine.place) == []
    mine.git("commit", "--quiet", "--message", "churn in production")
    assert created(syncing.sync(mine.place)) == ["churn#production#1"]
    assert syncing.sync(mine.place) == []


def test_runs_in_a_repository_of_their_own(tmp_path: Path, bare: Path) -> None:
    """Versions are where the runs are, stages where the main branch is, and verify asks both."""
    apart = tmp_path / "runs.git"
    run_git(tmp_path, "init", "--quiet", "--bare", str(apart))
    (ann,) = team(tmp_path, bare, "ann")
    ann.git("remote", "add", "runs", str(apart))
    (ann.folder / "gitml.yaml").write_text("schema: 1\nledger: {remote: runs}\n")
    ann.git("add", "gitml.yaml")
    ann.git("commit", "--quiet", "--message", "runs have a repository of their own")
    ann.git("push", "--quiet", "origin", "main")
    version(ann)
    decide(ann, "churn", "v1.0.0", "production")
    assert created(syncing.sync(ann.place)) == ["churn#production#1"]
    assert (tags(apart), tags(bare)) == (["churn@v1.0.0"], ["churn#production#1"])
    assert verify(ann.place, remote=True) == []
    run_git(apart, "tag", "--delete", "churn@v1.0.0")
    (found,) = verify(ann.place, remote=True)
    assert (found.kind, found.subject) == ("deleted", "churn@v1.0.0")


def test_nothing_of_the_users_changes(registry: Registry) -> None:
    """Whatever state his work tree is in."""
    ann = registry.ann
    decide(ann, "churn", "v1.0.2", "production")
    ann.git("switch", "--quiet", "--create", "work", "HEAD~2")
    (ann.folder / "train.py").write_text("half done")
    ann.git("add", "train.py")
    (ann.folder / "registry" / "churn.yaml").write_text("nonsense: [")
    before = ann.git("status", "--porcelain=v2", "--branch"), ann.git("branch", "--verbose")
    assert created(syncing.sync(ann.place)) == ["churn#production#4"]
    assert before == (
        ann.git("status", "--porcelain=v2", "--branch"),
        ann.git("branch", "--verbose"),
    )


# -- who approved ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Told(Plain):
    """A forge that knows of one approved pull request."""

    number: int = 12
    head: str = ""
    brought: tuple[str, ...] = ()

    def merged(self, commit: str, base: str) -> int | None:
        """The number of the one that brought these commits to main."""
        return self.number if commit in self.brought and base == "main" else None

    def approvals(self, number: int) -> Approvals | None:
        """Bob and Cleo approve it."""
        return Approvals(self.head, "ann", ("bob", "cleo")) if number == self.number else None


def approved(ann: Clone, head: str, *brought: str) -> str:
    """Who approved the last decision about churn, where `head` was approved as number 12.

    `brought` are the commits by which the forge says that it was merged, by default the newest.
    """
    main = ann.git("rev-parse", "origin/main")
    forge = Told(None, "github", "", head=head, brought=brought or (main,))
    return approving.approved_by(ann.place.repo, forge, "origin", "main", main, "churn")


def test_the_forge_tells_who_approved(registry: Registry) -> None:
    """Of the pull request that was merged, or squashed, and of no other."""
    ann = registry.ann
    ann.git("switch", "--quiet", "--create", "promote")
    path = ann.folder / "registry" / "churn.yaml"
    path.write_text(path.read_text().replace("production: v1.0.1", "production: v1.0.0"))
    ann.git("commit", "--quiet", "--all", "--message", "churn: v1.0.0 again")
    head = ann.git("rev-parse", "HEAD")
    ann.git("switch", "--quiet", "main")
    start = ann.git("rev-parse", "HEAD")
    ann.git("merge", "--quiet", "--no-ff", "--message", "Merge pull request #12 from a/b", head)
    ann.git("push", "--quiet", "origin", "main")
    assert approved(ann, head) == "bob, cleo"
    assert approved(ann, start) == "unknown"
    (row,) = syncing.sync(ann.place, approved_by=lambda *_: approved(ann, head))
    assert (row.version, row.tag) == ("v1.0.0", "churn#production#4")
    assert stages.read(ann.place.repo).models["churn"][-1].note.approved_by == "bob, cleo"
    ann.git("reset", "--quiet", "--hard", start)
    ann.git("merge", "--quiet", "--squash", head)
    ann.git("commit", "--quiet", "--message", "churn (#7)")
    ann.git("push", "--quiet", "--force", "origin", "main")
    assert approved(ann, head) == "bob, cleo"


def test_a_message_borrows_no_approval(registry: Registry) -> None:
    """Whoever squashes or pushes writes what he likes; what counts is the forge's own answer."""
    ann = registry.ann
    start = ann.git("rev-parse", "HEAD")
    path = ann.folder / "registry" / "churn.yaml"
    path.write_text(path.read_text().replace("production: v1.0.1", "production: v1.0.0"))
    for message in (
        "churn (#12)",
        "Merge pull request #12 from a/b",
        "churn\n\nSee merge request a/b!12",
    ):
        ann.git("commit", "--quiet", "--all", "--allow-empty", "--message", message)
        ann.git("push", "--quiet", "origin", "main")
        head = ann.git("rev-parse", "HEAD")
        assert approved(ann, head, start) == "unknown"
        assert approving.nobody(head, "churn") == "unknown"  # as without a forge


def test_a_shallow_clone_asks_about_the_right_pull_request(registry: Registry) -> None:
    """CI has the newest commit alone, which may be of another pull request."""
    ann = registry.ann
    decide(ann, "churn", "v1.0.2", "production")
    ann.git("commit", "--quiet", "--amend", "--message", "churn (#12)")
    head = ann.git("rev-parse", "HEAD")
    ann.git("commit", "--quiet", "--allow-empty", "--message", "something else (#13)")
    ann.git("push", "--quiet", "--force", "origin", "main")
    run_git(registry.folder, "clone", "--quiet", "--depth=1", registry.bare.as_uri(), "ci")
    ci = Clone(registry.folder / "ci")
    assert approved(ci, head, head) == "bob, cleo"
    assert approved(ci, head) == "unknown"
    assert main_branch.decision(ci.place.repo, ci.git("rev-parse", "HEAD"), "churn") == head
    (row,) = syncing.sync(ci.place)
    assert (row.tag, row.state) == ("churn#production#4", "created")
    ann.git("fetch", "--quiet", "--tags")
    assert verify(ann.place) == []


# -- at once ---------------------------------------------------------------------------------

_SYNC = "import sys; from gitml.cli.main import run; sys.exit(run(sys.argv[1:]))"


def start(who: Clone) -> subprocess.Popen[str]:
    """`gitml registry sync` in a process of its own."""
    argv = (sys.executable, "-c", _SYNC, "registry", "sync", "--format", "json")
    return subprocess.Popen(argv, cwd=who.folder, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("round", range(3))
def test_two_syncs_at_once_make_each_tag_once(registry: Registry, round: int) -> None:
    """Two jobs of one robot, in two clones: together they made what was missing, and no more."""
    ann, names = registry.ann, ["churn", "fraud", "spam"]
    for name in names[1:]:
        version(ann, name)
    for name in names:
        for stage in ("staging", "production"):
            decide(ann, name, "v1.0.0", stage)
    robots = [registry.clone(f"robot-{number}") for number in range(2)]
    for it in robots:
        it.git("config", "user.name", "robot")
        it.git("config", "user.email", "robot@example.org")
    running = [start(it) for it in robots]
    rows = [json.loads(it.communicate(timeout=120)[0]) for it in running]
    assert [it.returncode for it in running] == [0, 0]
    assert {row["state"] for part in rows for row in part} <= {"created"}
    assert sorted(row["tag"] for part in rows for row in part) == [
        "churn#production#5", "churn#staging#4",
        "fraud#production#2", "fraud#staging#1",
        "spam#production#2", "spam#staging#1",
    ]  # fmt: skip
    assert verify(registry.ann.place, remote=True) == []


@pytest.mark.parametrize("round", range(2))
def test_three_syncs_at_once_in_one_clone(registry: Registry, round: int) -> None:
    """They see one another's tags half-way, and make each once all the same."""
    for name in ("fraud", "spam"):
        version(registry.ann, name)
    boss = registry.clone("boss")
    boss.git("fetch", "--quiet", "--tags")
    for name in ("churn", "fraud", "spam"):
        for stage in ("staging", "production"):
            decide(boss, name, "v1.0.0", stage)
    running = [start(registry.ann) for _ in range(3)]
    rows = [json.loads(it.communicate(timeout=200)[0]) for it in running]
    assert [it.returncode for it in running] == [0, 0, 0]
    assert sorted(row["tag"] for part in rows for row in part) == [
        "churn#production#5", "churn#staging#4",
        "fraud#production#2", "fraud#staging#1",
        "spam#production#2", "spam#staging#1",
    ]  # fmt: skip
    assert verify(registry.ann.place, remote=True) == []


def test_syncs_beside_merges_converge(registry: Registry) -> None:
    """Decisions go on while robots sync: the last tag is the last decision, nothing is wrong."""
    robots = [registry.clone(f"robot-{number}") for number in range(2)]
    dice = random.Random(5)
    with ThreadPoolExecutor(2) as pool:
        running = []
        for _ in range(6):
            stage = dice.choice(("staging", "production"))
            decide(registry.ann, "churn", f"v1.0.{dice.randrange(4)}", stage)
            running += [pool.submit(syncing.sync, it.place) for it in robots]
        for it in running:
            it.result()
    assert verify(registry.clone("late").place) == []
    held = stages.read(registry.clone("later").place.repo).held("churn")
    main = gate.read_present(registry.ann.place.repo, ["origin/main:registry/churn.yaml"])[0]
    now = files.parse(main or b"", "registry/churn.yaml")
    assert {stage: it.note.version for stage, it in held.items()} == dict(now.stages)


# -- no false alarm --------------------------------------------------------------------------


@pytest.mark.slow
def test_honest_promotions_raise_no_alarm(tmp_path: Path, bare: Path) -> None:
    """A hundred, and rollbacks, by two people, direct and merged, verified on the way and after."""
    ann, bob = team(tmp_path, bare, "ann", "bob")
    dice, count, names = random.Random(7), 0, ("churn", "fraud", "spam")
    for number in range(9):
        version((ann, bob)[number % 2], names[number % 3], auc=number / 10)
    for it in (ann, bob):
        it.pull()
    while count < 100:
        who = dice.choice((ann, bob))
        decided = honest(who, dice.choice(names), f"v1.0.{dice.randrange(3)}", dice)
        assert len(created(syncing.sync(who.place))) == decided
        count += decided
        if decided and count % 40 == 0:
            assert verify(who.place, remote=True) == []
    late = clone(tmp_path, bare, "late")
    assert verify(late.place, remote=True) == verify(late.place) == []
    assert len([tag for tag in tags(bare) if "#" in tag]) == 100


def honest(who: Clone, name: str, text: str, dice: random.Random) -> int:
    """Promote a version, or roll back, and have it merged; how many decisions that is."""
    stage, direct = dice.choice(("staging", "production")), dice.random() < 0.5
    try:
        if dice.random() < 0.2:
            done = promoting.rollback(who.place, name, stage, direct=direct)
        else:
            done = promoting.promote(who.place, name, stage, text, direct=direct)
    except UsageError:
        return 0  # there is nothing to go back to
    if done.published is None:
        return 0  # it is so already
    if not direct:
        who.git("fetch", "--quiet", "origin", "main", done.published.branch)
        who.git("reset", "--quiet", "--hard", "origin/main")
        who.git("merge", "--quiet", "--no-ff", "--no-edit", done.published.commit)
        who.git("push", "--quiet", "origin", "main", f":refs/heads/{done.published.branch}")
    return 1
