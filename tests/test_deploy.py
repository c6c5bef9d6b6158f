"""`gitml deploy`: what runs becomes what the main branch says, and nothing else does."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gitml.ci import due
from gitml.cli.main import run as command
from gitml.deploy import attempts, choosing, reconcile, wanted
from gitml.deploy.deployments import Deployment, deployments
from gitml.deploy.probe import Live
from gitml.deploy.reconcile import (
    DEPLOYED,
    FAILED,
    FROZEN,
    NOTHING,
    REMOVED,
    WAITING,
    WOULD,
)
from gitml.deploy.state import OUT_OF_SYNC, SYNCED, State
from gitml.errors import FormatError, UsageError
from gitml.registry import files, signers
from gitml.registry.catalog import Registered
from gitml.registry.tags import VersionNote, VersionTag
from gitml.registry.version import Version
from tests.clones import Clone, clone, team
from tests.deployments import (
    decide,
    deploy,
    publish,
    register,
    settings,
    taken_down,
    told,
)
from tests.ports import free_port

LOCAL = {"target": "local", "env_manager": "local"}


@pytest.fixture
def ann(tmp_path: Path, bare: Path) -> Clone:
    """Who trains and decides."""
    return team(tmp_path, bare, "ann", dvc=True)[0]


@pytest.fixture
def machine(tmp_path: Path, bare: Path, ann: Clone) -> Iterator[Clone]:
    """The clone that deploys; it has no ledger."""
    port = free_port()
    settings(ann, {"production": {**LOCAL, "port": port}})
    one = clone(tmp_path, bare, "machine")
    with taken_down(one):
        yield one


def serving(one: Clone) -> str | None:
    """The version that a clone's one deployment serves."""
    (deployment,) = told(one).deployments
    return choosing.target(one.place, deployment).live().version


def done(one: Clone, **wish: object) -> list[str]:
    """What `gitml deploy` did."""
    return [outcome.done for outcome in deploy(one, **wish)]


def test_what_main_says_is_served(ann: Clone, machine: Clone) -> None:
    """Again it is nothing to do, nor due for a job; a rollback is served as well."""
    first, second = register(ann, 1), register(ann, 2)
    decide(ann, first)
    assert done(machine, dry_run=True) == [WOULD]
    assert due.stages(machine.place) == ["production"]
    assert serving(machine) is None
    assert done(machine) == [DEPLOYED]
    assert serving(machine) == "v1.0.0"
    assert done(machine) == [NOTHING]
    assert due.stages(machine.place) == []
    decide(ann, second)
    assert done(machine) == [DEPLOYED]
    assert serving(machine) == "v2.0.0"
    decide(ann, first)
    assert done(machine) == [DEPLOYED]
    assert serving(machine) == "v1.0.0"


def test_only_the_main_branch_counts(ann: Clone, machine: Clone) -> None:
    """Not what is checked out where it is deployed, nor what that work tree says."""
    first, second = register(ann, 1), register(ann, 2)
    decide(ann, first)
    machine.git("pull", "--quiet")
    path = machine.folder / files.path_of("churn")
    path.write_text(path.read_text().replace("production: v1.0.0", "production: v2.0.0"))
    machine.git("checkout", "--quiet", "-b", "another")
    machine.git("commit", "--quiet", "--all", "--message", "Not agreed")
    assert second.version
    assert done(machine) == [DEPLOYED]
    assert serving(machine) == "v1.0.0"


def test_a_version_that_can_not_serve_changes_nothing(ann: Clone, machine: Clone) -> None:
    """It is tried again later, and at once by who asks for it."""
    decide(ann, register(ann, 1))
    assert done(machine) == [DEPLOYED]
    bad = register(ann, 2, code="raise RuntimeError('no')")
    (ann.folder / "keep.txt").touch()
    decide(ann, bad)
    (outcome,) = deploy(machine)
    assert outcome.done == FAILED
    assert serving(machine) == "v1.0.0"
    (waits,) = deploy(machine, patient=True)
    assert waits.done == WAITING
    assert "the next try is in" in waits.why
    assert done(machine) == [FAILED]
    (one,) = told(machine).deployments
    home = choosing.folder(machine.place, one)
    noted = attempts.read(home)
    assert noted.failures == 2
    assert 50 < noted.wait(noted.digest, time.time()) <= 60
    assert noted.wait("sha256:another", time.time()) == 0


def test_a_disk_that_refuses_is_a_try_that_failed(ann: Clone, machine: Clone) -> None:
    """It is waited after, and the other deployments get their turn."""
    item = register(ann, 1)
    decide(ann, item)
    (one,) = told(machine).deployments
    home = choosing.folder(machine.place, one)
    (home / "models").mkdir(parents=True)
    (home / "models" / item.note.digest.rpartition(":")[2][:20]).touch()
    (outcome,) = deploy(machine)
    assert (outcome.done, bool(outcome.why)) == (FAILED, True)
    assert attempts.read(home).failures == 1


def test_a_frozen_stage(ann: Clone, machine: Clone) -> None:
    """Nothing is changed there, and status says so."""
    first = register(ann, 1)
    decide(ann, first)
    assert done(machine) == [DEPLOYED]
    (one,) = told(machine).deployments
    settings(ann, {"production": {**LOCAL, **one.options, "frozen": True}})
    decide(ann, register(ann, 2))
    assert done(machine) == [FROZEN]
    found = told(machine)
    (down,) = reconcile.take_down(machine.place, found, "production", None)
    assert down.done == FROZEN
    (state,) = wanted.states(machine.place, found, found.deployments)
    assert state.note == "frozen: nothing is changed"
    assert serving(machine) == "v1.0.0"


def test_what_leaves_its_stage_stays_unless_it_is_pruned(ann: Clone, machine: Clone) -> None:
    """To take a model out of a stage does not undeploy it by accident."""
    decide(ann, register(ann, 1))
    assert done(machine) == [DEPLOYED]
    (one,) = told(machine).deployments
    path = ann.folder / files.path_of("churn")
    path.write_text("schema: 1\n")
    options = {**LOCAL, **one.options, "models": {"churn": {}}}
    settings(ann, {"production": options})
    assert done(machine) == [NOTHING]
    assert serving(machine) == "v1.0.0"
    settings(ann, {"production": {**options, "prune": True}})
    assert done(machine) == [REMOVED]
    assert serving(machine) is None


def test_a_tag_that_was_moved_is_not_deployed(ann: Clone, machine: Clone) -> None:
    """Nor one that says something else than the reviewed file; what serves goes on."""
    first, second = register(ann, 1), register(ann, 2)
    decide(ann, first)
    assert done(machine) == [DEPLOYED]
    decide(ann, second)
    other = register(ann, 3)
    ann.git("tag", "--force", "churn@v2.0.0", f"{other.commit}", "--message", "moved")
    ann.git("push", "--quiet", "--force", "origin", "refs/tags/churn@v2.0.0")
    (outcome,) = deploy(machine)
    assert outcome.done == FAILED
    assert "churn@v2.0.0" in outcome.why
    assert serving(machine) == "v1.0.0"
    ann.git("tag", "--force", "churn@v1.0.0", other.commit, "--message", "moved, too")
    ann.git("push", "--quiet", "--force", "origin", "refs/tags/churn@v1.0.0")
    decide(ann, first)
    (outcome,) = deploy(machine)
    assert "the tag churn@v1.0.0 is not at the remote what it is here" in outcome.why


def test_a_version_that_nobody_answers_for(ann: Clone, machine: Clone) -> None:
    """A stage alone names bytes that were never reviewed, of a run that this clone knows not."""
    register(ann, 1)
    path = ann.folder / files.path_of("churn")
    path.parent.mkdir()
    path.write_text("schema: 1\nstages:\n  production: v1.0.0\n")
    publish(ann, "By hand")
    (outcome,) = deploy(machine)
    assert "its run is not in this repository's ledger" in outcome.why
    found = told(machine)
    (state,) = wanted.states(machine.place, found, found.deployments)
    assert (state.sync, state.note) == ("Unknown", outcome.why)
    machine.pull()
    assert done(machine) == [DEPLOYED]


def test_only_signed_versions_where_the_main_branch_lists_keys(
    ann: Clone, machine: Clone, tmp_path: Path
) -> None:
    """Neither one of somebody who is not listed, nor one without any; what serves goes on."""
    keys = {name: key(tmp_path, name) for name in ("ann", "eve")}
    first = signed(ann, keys["ann"], 1)
    listed = ann.folder / signers.SSH
    listed.parent.mkdir()
    listed.write_text(f"ann@example.org {keys['ann'].with_suffix('.pub').read_text()}")
    decide(ann, first)
    assert done(machine) == [DEPLOYED]
    for item in (signed(ann, keys["eve"], 2), signed(ann, None, 3)):
        decide(ann, item)
        (outcome,) = deploy(machine)
        assert outcome.done == FAILED
        assert f"{item.tag}' is not signed by a listed key ({signers.SSH})" in outcome.why
        assert serving(machine) == "v1.0.0"
    listed.write_text(
        listed.read_text() + f"eve@example.org {keys['eve'].with_suffix('.pub').read_text()}"
    )
    (ann.folder / "registry.yaml").write_text(
        "schema: 1\nsigners: {models: {churn: [ann@example.org]}}\n"
    )
    publish(ann, "Eve may sign, but not churn")
    decide(ann, signed(ann, keys["eve"], 4))
    (outcome,) = deploy(machine)
    assert "not signed by a key of ann@example.org" in outcome.why
    assert outcome.why.endswith("a signature of a key that is listed, and may not sign it")
    assert serving(machine) == "v1.0.0"


def key(folder: Path, name: str) -> Path:
    """An SSH key."""
    path = folder / f"key-{name}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def signed(one: Clone, key: Path | None, number: int) -> Registered:
    """A version whose tag is signed with a key, or not at all."""
    one.git("config", "gpg.format", "ssh")
    one.git("config", "user.signingkey", str(key))
    one.git("config", "tag.gpgSign", "false" if key is None else "true")
    return register(one, number)


def test_other_bytes_under_a_version_are_out_of_sync() -> None:
    """What counts is the digest, not what the version is called."""
    note = VersionNote("0" * 32, "model", f"sha256:{'1' * 64}", "first", "Ann")
    item = Registered(VersionTag("churn", Version(1, 0, 0)), note, "a" * 40, "b" * 40, 0, 1)
    same = Live(True, True, True, "churn", "v1.0.0", note.run_id, note.digest)
    one = Deployment("production", "churn", "local")
    assert State(one, item, same).sync == SYNCED
    assert State(one, item, replace(same, digest=f"sha256:{'2' * 64}")).sync == OUT_OF_SYNC


def test_two_models_need_two_ports(ann: Clone, machine: Clone) -> None:
    """Each says its own."""
    decide(ann, register(ann, 1))
    decide(ann, register(ann, 2, name="price"))
    with pytest.raises(UsageError, match=r"both on port \d+; give each one of its own"):
        told(machine)
    (port, other) = free_port(), free_port()
    settings(ann, {"production": {**LOCAL, "port": port, "models": {"price": {"port": other}}}})
    assert done(machine, model="price") == [DEPLOYED]
    assert done(machine) == [NOTHING, DEPLOYED] or done(machine) == [NOTHING, NOTHING]


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "", "a\n"])
def test_a_deployment_is_of_a_model(name: str) -> None:
    """Its name becomes one of a folder, so it is one that a model can have."""
    with pytest.raises(FormatError, match="is not a model's name"):
        deployments({"production": {"target": "local", "models": {name: {"port": 1}}}}, {})


def test_the_commands(
    ann: Clone, machine: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person sees what was done; a script reads JSON."""
    monkeypatch.chdir(machine.folder)
    decide(ann, register(ann, 1))
    assert command(["status", "--check"]) == 1
    assert capsys.readouterr().out.split()[-5:] == [
        "production",
        "churn",
        "v1.0.0",
        "OutOfSync",
        "Missing",
    ]
    assert command(["deploy", "Production"]) == 0
    assert capsys.readouterr().out == "churn in production: v1.0.0 deployed\n"
    assert command(["status", "--check", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["wanted"], row["live"]["version"], row["sync"]) == ("v1.0.0", "v1.0.0", "Synced")
    assert command(["deploy", "--down"]) == 2
    assert "name the stage that is to be taken down" in capsys.readouterr().err
    assert command(["deploy", "production", "--down"]) == 0
    assert capsys.readouterr().out == "churn in production: v1.0.0 removed\n"
    assert command(["status", "--check"]) == 1
    assert command(["deploy", "staging"]) == 2
    assert "nothing is deployed for 'staging'" in capsys.readouterr().err
