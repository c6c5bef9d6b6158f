"""Registering: what becomes a version, what is refused, and who comes first."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gitml import git as gate
from gitml import storage
from gitml.errors import FormatError, GitError, StorageError, UsageError
from gitml.registry import catalog, publishing, registering, verified
from gitml.registry.tags import VersionTag, message
from gitml.registry.version import parse_version
from tests.artifacts import dvc, overwrite
from tests.clones import BIG, Clone, clone, records, team
from tests.conftest import Git, run_git
from tests.registered import alone, columns, log, register


def tags(folder: Path) -> list[str]:
    """The tags of a repository, by name."""
    return run_git(folder, "tag", "--list").split()


# -- what a version is -----------------------------------------------------------------------


def test_a_version_is_an_annotated_tag_on_the_run(repo: Path, git: Git) -> None:
    """It stands on the run commit, and tells run, path, digest, change and who."""
    run_id = log(alone(repo))
    made = register(alone(repo), description="The first one")
    assert git("cat-file", "-t", "churn@v1.0.0") == "tag"
    assert f"Run-Id: {run_id}" in git("log", "-1", "--format=%B", "churn@v1.0.0^{commit}")
    assert git("for-each-ref", "--format=%(contents)", "refs/tags/churn@v1.0.0") == (
        "churn v1.0.0\n\nThe first one\n\n"
        f"Run-Id: {run_id}\nModel-Path: model\nDigest: {made.note.digest}\n"
        "Signature-Change: first\nRegistered-By: Ada Example <ada@example.org>\n"
    )
    assert made == catalog.read(alone(repo).place.repo).latest("churn")
    assert verified.is_ours(alone(repo).place, made)


def test_nothing_else_of_the_user_changes(repo: Path, git: Git) -> None:
    """HEAD, branches, index and work tree are as they were, and no hook runs."""
    hook = repo / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    log(alone(repo))
    before = git("-c", "core.hooksPath=", "for-each-ref", "refs/heads"), git("status", "--short")
    register(alone(repo))
    assert before == (git("for-each-ref", "refs/heads"), git("status", "--short"))


def test_the_number_follows_the_signature(repo: Path) -> None:
    """The same signature is a patch, a compatible one a minor, an incompatible one a major."""
    mine, made = alone(repo), []
    for signature in (
        columns(a="integer"), columns(a="integer"), columns(a="long"), columns(a="string"),
    ):  # fmt: skip
        log(mine, signature=signature)
        made.append(register(mine))
    assert [str(item.version) for item in made] == ["v1.0.0", "v1.0.1", "v1.1.0", "v2.0.0"]
    assert [item.note.change for item in made] == ["first", "same", "compatible", "incompatible"]
    assert [item.ordinal for item in made] == [1, 2, 3, 4]


def test_a_person_may_choose_the_number(repo: Path) -> None:
    """A version, one below the highest too, or what to bump; never one that is there."""
    mine = alone(repo)
    log(mine)
    assert str(register(mine, version="2.0.0").version) == "v2.0.0"
    assert str(register(mine, version="v1.4.0").version) == "v1.4.0"
    assert str(register(mine, bump="minor").version) == "v2.1.0"
    with pytest.raises(UsageError, match=r"churn has a version v1\.4\.0 already"):
        register(mine, version="v1.4.0")
    with pytest.raises(UsageError, match="one of them"):
        register(mine, version="v3.0.0", bump="major")
    ordinals = {str(it.version): it.ordinal for it in catalog.read(mine.place.repo).models["churn"]}
    assert ordinals == {"v1.4.0": 2, "v2.0.0": 1, "v2.1.0": 3}


def test_a_version_names_the_newest_commit_of_its_run(repo: Path) -> None:
    """One that holds what was added to the run since."""
    mine = alone(repo)
    run_id = log(mine)
    mine.tag(run_id, quality="checked")
    made = register(mine)
    assert verified.entry_of(mine.place, made).record.live_tags == {"quality": "checked"}


def test_a_tag_is_signed_where_the_user_signs_tags(repo: Path, git: Git, tmp_path: Path) -> None:
    """And an error where that fails, never a tag without a signature."""
    key = tmp_path / "key"
    argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    subprocess.run(argv, check=True)
    for name, value in (
        ("tag.gpgSign", "true"), ("gpg.format", "ssh"), ("user.signingKey", str(key)),
    ):  # fmt: skip
        git("config", name, value)
    mine = alone(repo)
    log(mine)
    made = register(mine)
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.org {key.with_suffix('.pub').read_text()}")
    git("-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", str(made.tag))
    assert catalog.read(mine.place.repo).latest("churn").note == made.note
    key.unlink()
    with pytest.raises(GitError, match=r"'churn@v1\.0\.1' could not be signed: (?!.*hint).*key"):
        register(mine)
    assert tags(repo) == ["churn@v1.0.0"]


# -- what is refused -------------------------------------------------------------------------


def test_only_finished_runs_are_registered(repo: Path) -> None:
    """A failed run, a live one and a deleted one are refused by name."""
    mine = alone(repo)
    run_id = log(mine, status="FAILED")
    with pytest.raises(UsageError, match=f"run {run_id[-8:]} is FAILED; only models of FINISHED"):
        register(mine)
    assert tags(repo) == []


def test_what_is_no_model_is_refused(repo: Path) -> None:
    """Another path, another scheme, a run that is not there."""
    mine = alone(repo)
    log(mine)
    for uri, why in (
        ("runs:/latest/other", "logged no model at 'other'; it has: 'model'"),
        ("model", "is not runs:/RUN/PATH"),
        ("runs:/nowhere/model", "no run is called 'nowhere'"),
    ):
        with pytest.raises(UsageError, match=why):
            registering.register(mine.place, uri, "churn")


def test_a_name_that_differs_only_in_case_is_refused(repo: Path) -> None:
    """On another system both would be one; a name with a decision and no version counts."""
    mine = alone(repo)
    log(mine)
    register(mine, "churn")
    with pytest.raises(UsageError, match="'Churn' differs from 'churn' only in case"):
        register(mine, "Churn")
    (repo / "registry").mkdir()
    (repo / "registry" / "fraud.yaml").write_text("schema: 1\n")
    with pytest.raises(UsageError, match="'FRAUD' differs from 'fraud' only in case"):
        register(mine, "FRAUD")


def test_other_bytes_are_refused(tmp_path: Path, bare: Path) -> None:
    """A model whose files are not those that were logged is not registered."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    log(ann, weights=b"1" * BIG)
    (pointed,) = [
        path
        for path in (ann.folder / ".git" / "gitml" / "cache" / "files" / "md5").rglob("*")
        if path.is_file() and path.stat().st_size == BIG
    ]
    overwrite(pointed, b"2" * BIG)
    with pytest.raises(StorageError):
        register(ann)
    assert tags(ann.folder) == tags(bare) == []


def test_a_run_that_tells_another_digest_is_refused(repo: Path) -> None:
    """Its files are whole, and not those that its record speaks of."""
    log(alone(repo), digest=f"sha256:{'0' * 64}")
    with pytest.raises(StorageError, match="was recorded; it is not registered"):
        register(alone(repo))


def test_a_model_that_no_remote_can_hold_is_refused(tmp_path: Path, bare: Path) -> None:
    """A large one needs a DVC remote: others could not have it."""
    (ann,) = team(tmp_path, bare, "ann")
    log(ann, weights=b"1" * BIG)
    with pytest.raises(StorageError, match=r"can't be published: .*gitml init --remote"):
        register(ann)
    assert tags(ann.folder) == tags(bare) == []


def test_a_run_of_a_fork_is_refused(repo: Path, git: Git, tmp_path: Path) -> None:
    """Whoever fetched it to look at it does not vouch for it by a slip."""
    run_git(tmp_path, "clone", "--quiet", str(repo), "fork")
    fork = Clone(tmp_path / "fork")
    fork.git("config", "user.name", "Eve")
    fork.git("config", "user.email", "eve@example.org")
    run_id = log(fork)
    git("remote", "add", "origin", str(tmp_path))
    git("remote", "add", "eve", str(fork.folder))
    git("fetch", "--quiet", "eve")
    with pytest.raises(UsageError, match="only in one that was fetched beside it"):
        register(alone(repo), run=run_id)


# -- sharing ---------------------------------------------------------------------------------


def test_artifacts_and_run_go_before_the_tag(tmp_path: Path, bare: Path) -> None:
    """Stock DVC gets the model from the bare repository by the version, stock GTO lists it."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    run_id = log(ann, weights=b"1" * BIG)
    register(ann)
    assert tags(bare) == ["churn@v1.0.0"]
    assert run_id in run_git(bare, "log", "--format=%B", "gitml/runs")
    path = (".gitml/run/artifacts/model", "--rev", "churn@v1.0.0", "--out", "got")
    dvc(tmp_path, "get", "--quiet", str(bare), *path)
    assert (tmp_path / "got" / "weights.bin").read_bytes() == b"1" * BIG


def gto(folder: Path, *args: str) -> str:
    """What the stock `gto` command prints."""
    argv = (sys.executable, "-c", "from gto.cli import app; app()", *args)
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_stock_gto_reads_the_versions(repo: Path) -> None:
    """`gto show`, `gto history` and `gto check-ref`."""
    mine = alone(repo)
    for signature in (columns(a="long"), columns(a="string")):
        log(mine, signature=signature)
        register(mine)
    assert '"version": "v2.0.0"' in " ".join(gto(repo, "show", "--json").split())
    assert gto(repo, "show", "churn@latest", "--ref").strip() == "churn@v2.0.0"
    told = gto(repo, "history", "churn", "--plain")
    assert [f"churn@v{number}.0.0" in told for number in (1, 2, 3)] == [True, True, False]
    assert '"version": "v1.0.0"' in " ".join(
        gto(repo, "check-ref", "churn@v1.0.0", "--json").split()
    )


def test_a_run_from_before_the_remote(repo: Path, git: Git, tmp_path: Path) -> None:
    """It gets the remote's address first, so that stock DVC finds the model by the version."""
    mine = alone(repo)
    log(mine, weights=b"1" * BIG)
    storage.set_project_remote(repo, str(tmp_path / "dvc"))
    register(mine)
    path = (".gitml/run/artifacts/model", "--rev", "churn@v1.0.0", "--out", "got")
    dvc(tmp_path, "get", "--quiet", str(repo), *path)
    assert (tmp_path / "got" / "weights.bin").read_bytes() == b"1" * BIG


def test_a_repository_of_sha256(tmp_path: Path) -> None:
    """Tags are made there, too."""
    run_git(tmp_path, "init", "--quiet", "--object-format=sha256", "wide")
    wide = Clone(tmp_path / "wide")
    wide.git("config", "user.name", "Ada")
    wide.git("config", "user.email", "ada@example.org")
    wide.git("commit", "--quiet", "--allow-empty", "--message", "First commit")
    log(wide)
    assert len(register(wide).tag_id) == 64


def test_processes_of_one_repository_get_a_version_each(repo: Path) -> None:
    """Also without a remote that would decide."""
    log(alone(repo))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(register, [alone(repo)] * 4))
    assert sorted(str(item.version) for item in made) == ["v1.0.0", "v1.0.1", "v1.0.2", "v1.0.3"]


def test_the_same_tag_made_twice_in_a_second_is_one_of_two(tmp_path: Path, bare: Path) -> None:
    """Two jobs of one robot that register one run get two versions."""
    ann, bob = team(tmp_path, bare, "ann", "bob")
    log(ann)
    ann.push()
    bob.pull()
    for it in (ann, bob):
        it.git("config", "user.name", "robot")
        it.git("config", "user.email", "robot@example.org")
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(register, (ann, bob)))
    assert sorted(str(item.version) for item in made) == ["v1.0.0", "v1.0.1"]


def test_a_colleagues_versions_count(tmp_path: Path, bare: Path) -> None:
    """Also those that this clone has not pulled."""
    ann, bob = team(tmp_path, bare, "ann", "bob")
    log(ann)
    log(bob)
    assert [str(register(it).version) for it in (ann, bob, ann)] == ["v1.0.0", "v1.0.1", "v1.0.2"]
    assert tags(bob.folder) == ["churn@v1.0.0", "churn@v1.0.1"]


def test_all_who_register_at_once_get_a_version(tmp_path: Path, bare: Path) -> None:
    """No tag is overwritten, and every clone knows its own."""
    clones = team(tmp_path, bare, "ann", "bob", "cleo")
    for it in clones:
        log(it)
    with ThreadPoolExecutor(len(clones)) as pool:
        made = list(pool.map(register, clones))
    versions = sorted(str(item.version) for item in made)
    assert versions == ["v1.0.0", "v1.0.1", "v1.0.2"]
    late = clone(tmp_path, bare, "late")
    there = {str(it.tag): it.note.run_id for it in catalog.read(late.place.repo).models["churn"]}
    assert there == {str(it.tag): it.note.run_id for it in made}


def test_a_tag_of_somebody_faster_stays(tmp_path: Path, bare: Path) -> None:
    """Whoever pushes after his look at the remote was taken gets no tag, and moves none."""
    ann, bob = team(tmp_path, bare, "ann", "bob")
    log(bob)
    his = register(bob)
    id = publishing.make(ann.place, "churn@v1.0.0", ann.git("rev-parse", "HEAD"), "mine\n", 0)
    assert not publishing.create(ann.place, "origin", "churn@v1.0.0", id)
    assert run_git(bare, "rev-parse", "refs/tags/churn@v1.0.0") == his.tag_id


def test_a_remote_that_refuses_tags(tmp_path: Path, bare: Path) -> None:
    """Its words are passed on, no tag is left here, and the version waits for its promotion."""
    (ann,) = team(tmp_path, bare, "ann")
    hook = bare / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/tags/*) echo no tags here >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    log(ann)
    made = register(ann)
    assert (made.waits, "no tags here" in made.why) == (True, True)
    assert "doctor" not in made.why
    assert "do not come along" not in registering.told(made)
    hook.write_text(hook.read_text().replace("no tags here", "GH013: Cannot create protected ref"))
    again = register(ann)
    assert "in the forge's rules for tags" in again.why
    assert (again.tag, again.tag_id) == (made.tag, made.tag_id)  # the same run is the same version
    assert tags(ann.folder) == tags(bare) == []
    assert len(records(bare)) == 1


def test_without_an_answer_there_is_no_version(tmp_path: Path, bare: Path) -> None:
    """A remote that is gone is an error, and no tag is made here."""
    (ann,) = team(tmp_path, bare, "ann")
    log(ann)
    shutil.rmtree(bare)
    with pytest.raises(GitError):
        register(ann)
    assert tags(ann.folder) == []


def test_a_version_that_was_moved_at_the_remote(tmp_path: Path, bare: Path) -> None:
    """Nothing is registered on top of it before somebody has found out why."""
    (ann,) = team(tmp_path, bare, "ann")
    log(ann)
    made = register(ann)
    run_git(bare, "tag", "--force", str(made.tag), "main")
    with pytest.raises(GitError, match=r"churn@v1\.0\.0 names another object here than at the"):
        register(ann)
    assert tags(bare) == ["churn@v1.0.0"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(
    ("point", "there"),
    [("push.artifacts", 0), ("push.refs", 0), ("register.tag", 0), ("register.ref", 1)],
)
def test_a_process_that_dies_leaves_a_whole_version_or_none(
    tmp_path: Path, bare: Path, point: str, there: int
) -> None:
    """Whatever step it dies at: the next one goes on, and all that others see can be had."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    log(ann, weights=b"1" * BIG)
    argv = (sys.executable, "-m", "gitml", "registry", "register", "runs:/latest/model", "churn")
    env = {**os.environ, "GITML_FAULT": f"{point}:kill"}
    died = subprocess.run(argv, cwd=ann.folder, env=env, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL
    assert tags(bare) == ["churn@v1.0.0"][:there]
    assert str(register(ann).version) == f"v1.0.{there}"
    late = clone(tmp_path, bare, "late")
    versions = catalog.read(late.place.repo).models["churn"]
    assert len(versions) == there + 1
    for item in versions:
        verified.entry_of(late.place, item)
        assert verified.is_ours(late.place, item)
    run_git(bare, "fsck", "--strict")


# -- tags of others --------------------------------------------------------------------------


def test_tags_that_were_not_registered_are_told(repo: Path, git: Git) -> None:
    """Lightweight, renamed and foreign ones are no versions, and their numbers stay taken."""
    mine = alone(repo)
    log(mine)
    made = register(mine)
    git("tag", "churn@v1.0.1")
    git("update-ref", "refs/tags/churn@v1.0.2", made.tag_id)
    git("tag", "--annotate", "--message", "by hand", "churn@v1.0.3")
    book = catalog.read(mine.place.repo)
    assert [str(item.version) for item in book.models["churn"]] == ["v1.0.0"]
    assert [problem.partition(": ")[2] for problem in book.problems] == [
        "it is no annotated tag on a commit",
        "it was made as 'churn@v1.0.0', and given another name later",
        "its message has no line Run-Id",
    ]
    assert str(register(mine).version) == "v1.0.4"


def test_a_forged_version_that_the_next_would_follow_is_named(tmp_path: Path, bare: Path) -> None:
    """With the commands that remove it; then it goes on, and links to none that is gone."""
    (ann,) = team(tmp_path, bare, "ann")
    log(ann)
    first = register(ann)
    note = replace(first.note, digest="sha256:" + "0" * 64)
    tag = VersionTag("churn", parse_version("v9.0.0"))
    eve = ("Eve", "eve@example.org")
    id = gate.make_tag(ann.place.repo, str(tag), first.commit, message(tag, note), eve, 1)
    ann.git("push", "--quiet", "origin", f"{id}:refs/tags/{tag}")
    cure = r"git push origin :refs/tags/churn@v9\.0\.0; git tag --delete churn@v9\.0\.0"
    with pytest.raises(FormatError, match=cure):
        register(ann)
    ann.git("push", "--quiet", "origin", ":refs/tags/churn@v9.0.0")
    ann.git("tag", "--delete", "churn@v9.0.0")
    made = register(ann)
    assert str(made.version) == "v1.0.1"
    assert [str(it) for it in made.note.follows] == [f"churn@v1.0.0 {first.tag_id}"]


def test_first_versions_that_differ_in_case_are_told(tmp_path: Path, bare: Path) -> None:
    """Of two people who are as fast, the later one at least hears of it, and what to do."""
    (ann,) = team(tmp_path, bare, "ann")
    log(ann)
    hook = bare / "hooks" / "post-receive"  # his tag is there as soon as hers is
    same = 'case "$ref" in refs/tags/churn*) git update-ref refs/tags/Churn@v1.0.0 $new;; esac'
    hook.write_text(f"#!/bin/sh\nread old new ref; {same}\n")
    hook.chmod(0o755)
    with pytest.raises(UsageError, match=r"'churn' differs from 'Churn' only in case, which was"):
        register(ann)
    assert tags(bare) == ["Churn@v1.0.0", "churn@v1.0.0"]


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("run_id", "0" * 32, "tells run '0{32}', its run '"),
        ("path", "other", "its run 'none'"),
        ("digest", "sha256:" + "0" * 64, "tells the digest 'sha256:0{64}', its run 'sha256:"),
    ],
)
def test_a_tag_that_its_run_does_not_bear_out(repo: Path, field: str, value: str, why: str) -> None:
    """Nobody makes another model of it by writing something else into the message."""
    mine = alone(repo)
    log(mine)
    made = register(mine)
    tag = VersionTag("churn", parse_version("v9.0.0"))
    note = replace(made.note, **{field: value})
    id = gate.make_tag(
        mine.place.repo, str(tag), made.commit, message(tag, note), ("Eve", "eve@example.org"), 1
    )
    gate.update_refs(mine.place.repo, [f"create refs/tags/{tag} {id}"])
    forged = catalog.read(mine.place.repo).version("churn", "v9.0.0")
    with pytest.raises(FormatError, match=why):
        verified.entry_of(mine.place, forged)
    verified.entry_of(mine.place, made)


def test_a_tag_on_any_commit_is_no_model(repo: Path, git: Git) -> None:
    """It has to be a run commit."""
    mine = alone(repo)
    log(mine)
    body = git("for-each-ref", "--format=%(contents)", f"refs/tags/{register(mine).tag}")
    git("tag", "--annotate", "--message", body, "churn@v9.0.0", "main")
    with pytest.raises(FormatError, match="which is no run commit"):
        verified.entry_of(mine.place, catalog.read(mine.place.repo).latest("churn"))
