"""Whose runs count, and where runs go: a branch that is checked out to look at does not say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gitml import storage
from gitml.documents import dump_json
from gitml.errors import UsageError
from gitml.tracking import autopush, doctor, garbage, store
from gitml.tracking.names import run_path
from gitml.tracking.record import Stamp, to_document
from gitml.tracking.vouched import vouched_entries
from tests.clones import BIG, Clone, clone, records, team
from tests.conftest import run_git
from tests.planted import plant


@pytest.fixture
def ann(tmp_path: Path, bare: Path) -> Clone:
    """A clone of the repository."""
    (one,) = team(tmp_path, bare, "ann")
    return one


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """The bare repository of a stranger."""
    folder = tmp_path / "fork.git"
    run_git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(folder))
    return folder


@pytest.fixture
def evil(ann: Clone, tmp_path: Path, bare: Path, fork: Path) -> str:
    """A run of the stranger, whose repository Ann fetched to look at; its id."""
    stranger = clone(tmp_path, bare, "stranger")
    stranger.git("remote", "set-url", "origin", str(fork))
    stranger.git("push", "--quiet", "origin", "main")
    run_id = stranger.run("evil")
    stranger.push()
    ann.git("remote", "add", "fork", str(fork))
    ann.git("fetch", "--quiet", "fork")
    return run_id


def look_at(one: Clone, folder: str = ".", **files: object) -> None:
    """Check out a branch of a stranger that has a gitml.yaml."""
    one.git("checkout", "--quiet", "-B", "looked-at")
    (one.folder / folder).mkdir(exist_ok=True)
    (one.folder / folder / "gitml.yaml").write_text(json.dumps(files))
    one.git("add", ".")
    one.git("commit", "--quiet", "--message", "Settings of a stranger")


def counts(one: Clone, run_id: str, folder: str = ".") -> bool:
    """Whether the repository answers for a run."""
    from gitml import git
    from gitml.tracking.place import place_of

    start = one.folder / folder
    return next(vouched_entries(place_of(git.find(start), start), run_id), None) is not None


WAYS = {
    "by remote": {"remote": "fork"},
    "by ref": {"ref": "pr"},
    "by both": {"remote": "fork", "ref": "gitml/runs"},
}


@pytest.mark.parametrize("folder", [".", "part"])
@pytest.mark.parametrize("way", WAYS)
def test_a_branch_does_not_make_a_strangers_runs_count(
    ann: Clone, evil: str, way: str, folder: str
) -> None:
    """It is checked out, and names the stranger's ledger, fetched or as a local branch."""
    own = ann.run("own")
    ann.git("branch", "pr", "fork/gitml/runs")
    look_at(ann, folder, ledger=WAYS[way])
    assert (counts(ann, own, folder), counts(ann, evil, folder)) == (True, False)
    ann.git("remote", "set-head", "origin", "--delete")  # as in an old clone: main says it
    assert (counts(ann, own, folder), counts(ann, evil, folder)) == (True, False)
    ann.git("update-ref", "-d", "refs/remotes/origin/main")
    assert (counts(ann, own, folder), counts(ann, evil, folder)) == (True, False)
    ann.git("remote", "remove", "origin")
    assert (counts(ann, own, folder), counts(ann, evil, folder)) == (True, False)


def test_the_default_branch_decides(ann: Clone, evil: str) -> None:
    """What was merged there was looked at; and a branch can't undo it either."""
    look_at(ann, ledger={"remote": "fork"})
    ann.git("push", "--quiet", "origin", "HEAD:main")
    assert counts(ann, evil)
    look_at(ann)
    assert counts(ann, evil)
    with pytest.raises(UsageError, match="on the default branch of origin it is 'fork'"):
        ann.push()


def test_of_several_settings_the_nearest_on_the_default_branch_holds(ann: Clone, evil: str) -> None:
    """A project in a folder may have a ledger of its own."""
    look_at(ann, "part", ledger={"remote": "fork"})
    ann.git("push", "--quiet", "origin", "HEAD:main")
    assert (counts(ann, evil, "part"), counts(ann, evil)) == (True, False)
    (ann.folder / "part" / "deep").mkdir()
    (ann.folder / "part" / "deep" / "gitml.yaml").write_text("experiment: deep\n")
    assert counts(ann, evil, "part/deep")


@pytest.mark.parametrize("remote", ["fork", "URL"])
def test_runs_are_not_shared_where_only_a_branch_wants_it(
    ann: Clone, evil: str, fork: Path, remote: str
) -> None:
    """Neither pushed to a stranger nor taken from him, until the user himself says so."""
    ann.run("own")
    remote = remote.replace("URL", f"file://{fork}")
    look_at(ann, ledger={"remote": remote}, push={"auto": True})
    command = f"git config gitml.ledger '{remote} gitml/runs'"
    for talk in (ann.push, ann.pull):
        with pytest.raises(UsageError) as caught:
            talk()
        assert command in str(caught.value)
    assert "git config" in str(autopush._push(ann.place).problem)
    assert command in [finding.fix for finding in doctor.examine(ann.place)]
    assert (set(records(fork)), set(ann.records())) == ({"evil"}, {"own"})
    ann.git("config", "gitml.ledger", f"{remote} gitml/runs")
    ann.push()
    assert (set(records(fork)), counts(ann, evil)) == ({"evil", "own"}, True)


def test_a_new_ledger_does_not_go_on_with_a_strangers(ann: Clone, evil: str) -> None:
    """The first run that is recorded while such a branch is checked out."""
    look_at(ann, ledger={"remote": "fork"})
    own = ann.run("own")
    assert set(ann.records()) == {"own"}
    assert (counts(ann, own), counts(ann, evil)) == (True, False)


@pytest.mark.parametrize(
    ("remote", "merge"), [("FORK", "refs/heads/gitml/runs"), ("origin", "refs/pull/5/head")]
)
def test_a_pull_request_with_the_ledgers_name_is_not_the_ledger(
    ann: Clone, evil: str, fork: Path, remote: str, merge: str
) -> None:
    """To check it out makes a local branch of that name, which follows the stranger's."""
    ann.git("branch", "--no-track", "gitml/runs", "fork/gitml/runs")
    assert counts(ann, evil)  # as if the user had recorded it
    ann.git("config", "branch.gitml/runs.remote", remote.replace("FORK", str(fork)))
    ann.git("config", "branch.gitml/runs.merge", merge)
    assert not counts(ann, evil)
    for talk in (ann.push, ann.pull):
        with pytest.raises(UsageError, match="git branch -m gitml/runs looked-at"):
            talk()


def test_without_a_remote_the_local_main_decides(repo: Path, evil: str, ann: Clone) -> None:
    """Nothing was ever shared; a stranger's branch may have been fetched by its URL."""
    one = Clone(repo)
    one.git("fetch", "--quiet", str(ann.folder), "refs/remotes/fork/gitml/runs:refs/heads/pr")
    look_at(one, ledger={"ref": "pr"})
    assert not counts(one, evil)
    one.git("branch", "--force", "main")
    assert counts(one, evil)


@pytest.mark.parametrize("change", ["url = /elsewhere", "endpointurl = http://127.0.0.1:9"])
def test_artifacts_do_not_go_elsewhere_by_themselves(
    tmp_path: Path, bare: Path, change: str
) -> None:
    """The DVC remote of a branch that is looked at is used when somebody says `gitml push`."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    first = ann.run("first", files={"big": b"1" * BIG})
    assert autopush._push(ann.place)[1:] == (1, None)
    config = ann.folder / ".dvc" / "config"
    config.write_text(config.read_text().replace("url =", f"{change}\n    was ="))
    if change.startswith("endpoint"):
        config.write_text(config.read_text().replace("was =", "url ="))
    ann.run("second", files={"big": b"2" * BIG})
    outcome = autopush._push(ann.place)
    assert (outcome.runs, "not as on the default branch of origin" in str(outcome.problem)) == (
        0,
        True,
    )
    assert set(records(bare)) == {"first"}
    assert counts(ann, first)


def test_the_users_own_dvc_settings_are_his(tmp_path: Path, bare: Path) -> None:
    """A `config.local` that git does not track never came with a branch."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    ann.run("first", files={"big": b"1" * BIG})
    local = ann.folder / ".dvc" / "config.local"
    local.write_text(f"['remote \"storage\"']\n    url = {tmp_path / 'mine'}\n")
    assert autopush._push(ann.place)[1:] == (1, None)
    assert storage.runs_remote(ann.folder).url == str(tmp_path / "mine" / "gitml")  # type: ignore[union-attr]
    ann.run("second", files={"big": b"2" * BIG})
    ann.git("add", "--force", ".dvc/config.local")
    assert "not as on" in str(autopush._push(ann.place).problem)


def forged(one: Clone, run_id: str, way: str) -> dict[bytes, bytes]:
    """The files by which a stranger's ledger says something else of a run."""
    record = one.place.ledger.find(run_id).record  # type: ignore[union-attr]
    if way == "tombstone":
        return {f"deleted/{run_id}".encode(): b""}
    clock = {"deleted": Stamp(9, "z"), "status": Stamp(9, "z")} if way == "later" else {}
    said = replace(record, params={"by": "fork"}, deleted=way == "later", clock=clock)
    path = f"{run_path(record.experiment_id, run_id)}/run.json"
    return {path.encode(): dump_json(to_document(said))}


@pytest.mark.parametrize("way", ["same", "later", "tombstone"])
@pytest.mark.parametrize(("remote", "is_plain"), [("aaa", True), ("aaa", False), ("zzz", True)])
def test_a_fork_changes_nothing_of_what_is_shown_of_a_run(
    ann: Clone, tmp_path: Path, bare: Path, fork: Path, way: str, remote: str, is_plain: bool
) -> None:
    """Whatever it says, the repository's own ledger counts, also in a clone that never wrote."""
    own = ann.run("own")
    ann.push()
    one = clone(tmp_path, bare, "one")
    if not is_plain:
        one.run("local")
    planted = plant(ann.folder, "gitml/runs", forged(ann, own, way))
    ann.git("push", "--quiet", str(fork), f"{planted}:refs/heads/gitml/runs")
    before = store.search(one.place)
    one.git("remote", "add", remote, str(fork))
    one.git("fetch", "--quiet", remote)
    assert store.search(one.place) == before
    assert store.record(one.place, own).params == {}
    assert garbage.plan(one.place).runs == ()
    (one.folder / ".git" / "gitml" / "index.sqlite").unlink()
    assert store.search(one.place) == before
    one.git("update-ref", "-d", f"refs/remotes/{remote}/gitml/runs")
    assert store.search(one.place) == before
