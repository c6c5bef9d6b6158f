"""Artifacts that are fetched late, from elsewhere, or again: whoever has them can give them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitml import storage
from gitml.errors import StorageError, UsageError
from gitml.tracking import download
from tests.artifacts import dvc, objects_in, overwrite
from tests.clones import BIG, Clone, clone, team
from tests.conftest import run_git

ADVICE = "gitml push --artifacts"


@pytest.fixture
def ann(tmp_path: Path, bare: Path) -> Clone:
    """A clone whose runs' DVC remote is the folder `dvc/gitml`."""
    (one,) = team(tmp_path, bare, "ann", dvc=True)
    return one


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The runs' DVC remote."""
    return tmp_path / "dvc" / "gitml"


def model() -> dict[str, bytes]:
    """Files of a run that are too large for its commit."""
    return {"model/weights.bin": os.urandom(BIG), "model/conf": b"x"}


def read(one: Clone, run_id: str, target: Path) -> dict[str, bytes]:
    """The artifacts of a run, downloaded to a new folder."""
    entry = one.place.ledger.find(run_id)
    assert entry is not None
    download.download(one.place, entry.record, entry.commit, None, target)
    found = (path for path in target.rglob("*") if path.is_file())
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in found}


# -- the remote that a run names ---------------------------------------------------------------


def moved(one: Clone, folder: Path) -> None:
    """The project's remote has another URL."""
    dvc(one.folder, "remote", "modify", "storage", "url", str(folder / "other"))


def another(one: Clone, folder: Path) -> None:
    """The project has another default remote."""
    dvc(one.folder, "remote", "add", "--default", "other", str(folder / "other"))


def none(one: Clone, folder: Path) -> None:
    """The branch has no DVC configuration."""
    shutil.rmtree(one.folder / ".dvc")


def elsewhere(one: Clone, folder: Path) -> None:
    """The project's URL is relative, and leads to nowhere from here."""
    config = one.folder / ".dvc" / "config"
    config.write_text("[core]\nremote = storage\n['remote \"storage\"']\nurl = ../../nowhere\n")


@pytest.mark.parametrize("change", [moved, another, none, elsewhere])
def test_what_was_pushed_can_be_read_after_the_remote_has_changed(
    change: Callable[[Clone, Path], None], ann: Clone, bare: Path, tmp_path: Path
) -> None:
    """The run's own commit names the remote that has its artifacts."""
    files = model()
    run_id = ann.run("first", files=files)
    ann.push()
    for name in ("bob", "eve"):
        other = clone(tmp_path, bare, name)
        change(other, tmp_path)
        other.pull(artifacts=name == "eve")
        assert read(other, run_id, tmp_path / f"out-{name}") == files


def test_an_artifact_that_is_in_no_remote(ann: Clone, bare: Path, tmp_path: Path) -> None:
    """All the remotes that were asked are named."""
    run_id = ann.run("first", files=model())
    ann.push()
    shutil.rmtree(tmp_path / "dvc" / "gitml" / "files")
    bob = clone(tmp_path, bare, "bob")
    moved(bob, tmp_path)
    (tmp_path / "other" / "gitml").mkdir(parents=True)
    bob.pull()
    with pytest.raises(StorageError, match=r"other/gitml\) lacks .*dvc/gitml\) lacks .*" + ADVICE):
        read(bob, run_id, tmp_path / "out")


def test_no_run_from_outside_says_whom_to_ask_and_how(
    ann: Clone, bare: Path, tmp_path: Path
) -> None:
    """A URL in a run commit that would run something, or ask the user, is not followed."""
    dvc(ann.folder, "remote", "modify", "storage", "url", "gdrive://root/evil")
    ann.run("first", files=model())
    bob = clone(tmp_path, bare, "bob")
    shutil.rmtree(bob.folder / ".dvc")
    entry = ann.place.ledger.head()
    assert entry is not None
    run_git(ann.folder, "push", "--quiet", "origin", "gitml/runs")
    (problem,) = bob.pull(artifacts=True).problems
    assert "the project has no DVC remote" in problem


# -- artifacts that a remote has lost ----------------------------------------------------------


def test_a_push_with_artifacts_uploads_again_what_the_remote_lost(
    ann: Clone, bare: Path, store: Path, tmp_path: Path
) -> None:
    """All of it, or one object of a folder; without the option nobody looks."""
    files = model()
    run_id = ann.run("first", files=files)
    ann.push()
    everything = objects_in(store)
    shutil.rmtree(store)
    bob = clone(tmp_path, bare, "bob")
    bob.pull()
    with pytest.raises(StorageError, match="is not there.*" + ADVICE):
        read(bob, run_id, tmp_path / "gone")
    assert ann.push().objects == 0
    assert ann.push(artifacts=True).objects == len(everything)
    assert objects_in(store) == everything
    one = min(everything)
    (store / "files" / "md5" / one[:2] / one[2:]).unlink()
    with pytest.raises(StorageError, match=f"lacks the object {one}.*{ADVICE}"):
        read(bob, run_id, tmp_path / "lacks")
    assert ann.push(artifacts=True).objects == 1
    assert read(bob, run_id, tmp_path / "out") == files
    assert ann.push(artifacts=True).objects == 0


def test_a_damaged_object_is_restored_as_the_error_says(
    ann: Clone, bare: Path, store: Path, tmp_path: Path
) -> None:
    """Remove it there, push it again."""
    files = {"model.bin": os.urandom(BIG)}
    run_id = ann.run("first", files=files)
    ann.push()
    md5 = ann.pointer(run_id).md5
    path = store / "files" / "md5" / md5[:2] / md5[2:]
    overwrite(path, b"evil")
    bob = clone(tmp_path, bare, "bob")
    bob.pull()
    with pytest.raises(StorageError, match="remove it there, then .*" + ADVICE):
        read(bob, run_id, tmp_path / "evil")
    path.unlink()
    ann.push(artifacts=True)
    assert read(bob, run_id, tmp_path / "out") == files


def test_what_nobody_here_can_restore_is_told(
    ann: Clone, bare: Path, store: Path, tmp_path: Path
) -> None:
    """The run was published, so it does not stay here; another clone may have it."""
    run_id = ann.run("first", files={"model.bin": os.urandom(BIG)})
    ann.push()
    shutil.rmtree(store)
    bob = clone(tmp_path, bare, "bob")
    new = bob.run("second", files=model())
    report = bob.push(artifacts=True)
    assert report.runs == (new,)
    assert report.withheld == {}
    (problem,) = report.problems
    assert run_id[-8:] in problem
    assert ADVICE in problem
    assert ann.push(artifacts=True).problems == ()


def test_a_run_that_stays_here_is_told_once(ann: Clone) -> None:
    """Its artifacts are lost before it was published: it is withheld, and no problem besides."""
    lost = ann.run("lost", files={"model.bin": os.urandom(BIG)})
    ann.place.cache.remove(ann.pointer(lost).md5)
    report = ann.push(artifacts=True)
    assert report.withheld.keys() == {lost}
    assert report.problems == ()


def test_without_a_dvc_remote_there_is_nothing_to_look_into(tmp_path: Path, bare: Path) -> None:
    """The error says how to have one."""
    (one,) = team(tmp_path, bare, "one")
    with pytest.raises(UsageError, match="gitml init --remote"):
        one.push(artifacts=True)


# -- artifacts that were not fetched yet -------------------------------------------------------


def test_a_pull_with_artifacts_fetches_those_of_older_runs(
    ann: Clone, bare: Path, tmp_path: Path
) -> None:
    """Whatever the cache lacks, also when no run is new."""
    files = model()
    run_id = ann.run("first", files=files)
    ann.push()
    bob = clone(tmp_path, bare, "bob")
    bob.pull()
    assert bob.pull(artifacts=True).objects == 3
    assert bob.pull(artifacts=True).objects == 0
    shutil.rmtree(tmp_path / "dvc")
    assert read(bob, run_id, tmp_path / "out") == files
    ann.run("second", files=files)
    assert ann.push().objects == 3  # the folder was lost, and what a run needs is looked for
    assert bob.pull(artifacts=True).objects == 0


def test_a_pull_goes_on_past_what_it_can_not_get(
    ann: Clone, bare: Path, store: Path, tmp_path: Path
) -> None:
    """Each loss is told with its run, and comes with a later pull; the rest is here."""
    runs = [ann.run(f"r{number}", files={"m": os.urandom(BIG)}) for number in range(3)]
    ann.push()
    md5 = ann.pointer(runs[1]).md5
    lost = store / "files" / "md5" / md5[:2] / md5[2:]
    kept = lost.rename(tmp_path / "kept")
    bob = clone(tmp_path, bare, "bob")
    report = bob.pull(artifacts=True)
    assert (set(report.runs), report.objects) == (set(runs), 2)
    (problem,) = report.problems
    assert f"run {runs[1][-8:]} could not be fetched" in problem
    assert f"lacks the object {md5}" in problem
    kept.rename(lost)
    report = bob.pull(artifacts=True)
    assert (report.objects, report.problems) == (1, ())


def test_a_remote_that_is_away_is_told_once(ann: Clone, bare: Path, tmp_path: Path) -> None:
    """Not once for each object; the runs come all the same."""
    runs = [ann.run(f"r{number}", files=model()) for number in range(3)]
    ann.push()
    (tmp_path / "dvc").rename(tmp_path / "away")
    report = clone(tmp_path, bare, "bob").pull(artifacts=True)
    assert set(report.runs) == set(runs)
    (problem,) = report.problems
    assert "3 runs" in problem
    assert "is not there" in problem


def test_many_losses_are_summed_up(ann: Clone, bare: Path, store: Path, tmp_path: Path) -> None:
    """Nobody reads a thousand lines."""
    for number in range(14):
        ann.run(f"r{number}", files={"m": os.urandom(BIG)})
    ann.push()
    shutil.rmtree(store / "files")
    problems = clone(tmp_path, bare, "bob").pull(artifacts=True).problems
    assert len(problems) == 11
    assert "4 more" in problems[-1]


def test_a_pointer_that_can_not_be_read_is_told(ann: Clone, bare: Path, tmp_path: Path) -> None:
    """Somebody's broken run keeps no other artifact from coming."""
    good = ann.run("good", files={"m": os.urandom(BIG)})
    bad = ann.run("bad", files={"m": os.urandom(BIG)})
    ann.push()
    eve = clone(tmp_path, bare, "eve")
    eve.git("switch", "--quiet", "gitml/runs")
    (path,) = eve.folder.glob(f"runs/**/{bad}/artifacts/m.dvc")
    path.write_text("outs: [\n")
    eve.git("commit", "--quiet", "--all", "--message", "broken")
    eve.git("push", "--quiet")
    bob = clone(tmp_path, bare, "bob")
    report = bob.pull(artifacts=True)
    assert report.objects == 1
    (problem,) = report.problems
    assert bad[-8:] in problem
    assert bob.place.cache.has(bob.pointer(good).md5)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_pull_that_was_killed_goes_on(ann: Clone, bare: Path, tmp_path: Path) -> None:
    """At any object: the next one brings the rest."""
    for number in range(3):
        ann.run(f"r{number}", files={"m": os.urandom(BIG)})
    ann.push()
    bob = clone(tmp_path, bare, "bob")
    script = (
        "import sys; from tests.clones import Clone; from pathlib import Path\n"
        "Clone(Path(sys.argv[1])).pull(artifacts=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(bob.folder)],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "GITML_FAULT": "pull.artifacts:kill:2"},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    came = len(objects_in(bob.place.cache.root))
    assert came < 3
    assert bob.pull(artifacts=True).objects == 3 - came
    assert storage.missing(bob.place.cache, bob.place.sources(None)[0], []) == frozenset()
