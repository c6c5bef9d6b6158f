"""What lies in `.git/gitml` may be another's: of a downloaded folder, or of a shared repository.

What gitml finds there moves no branch, leads to no file elsewhere, and is not run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml import git
from gitml.cli.main import run
from gitml.tracking import autopush, journal, live, recording, starting
from gitml.tracking.missing import LostArtifactWarning
from gitml.tracking.place import Place, place_of, set_owner
from tests.conftest import new_repository, run_git

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="made of links")

SECRET = b"nobody else's business"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user's, far from the repository."""
    path = tmp_path / "home" / "secret"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


class Dead:
    """A run whose process is gone; its journal can be written anew."""

    def __init__(self, place: Place) -> None:
        session, record = starting.start(place, starting.Wish(name="dead"))
        assert session._writing is not None
        session._writing.abandon()
        self.run_id, self.run = record.run_id, session.run
        (self.writer,) = self.run.writers()
        self.lines = journal.read(self.writer.journal).events
        self.begin: dict[str, Any] = self.lines[0]["begin"]

    def stage(self, name: str) -> Path:
        """Have the journal tell of an artifact; the path of its staged copy, called `name`."""
        told = {
            "size": len(SECRET),
            "sha256": hashlib.sha256(SECRET).hexdigest(),
            "md5": hashlib.md5(SECRET, usedforsecurity=False).hexdigest(),
        }
        self.lines.append({"artifact": {"path": "notes.txt", "file": name, **told}})
        self.run.files.mkdir(exist_ok=True)
        return self.run.files / name

    def write(self) -> None:
        """Write the lines, with checksums that are right."""
        for line in self.lines:
            line.pop("crc", None)
        self.writer.journal.write_bytes(b"".join(map(journal.line_of, self.lines)))


STAGED = "0123abcd-0123456789abcdef"


@pytest.fixture
def dead(clone: Place, monkeypatch: pytest.MonkeyPatch) -> Dead:
    """A run of the repository that nobody has recorded yet."""
    found = Dead(clone)
    monkeypatch.setattr(live.Writer, "state", lambda writer, owner: live.DEAD)
    return found


# -- journals ------------------------------------------------------------------------------

FORGED: dict[str, Callable[[dict[str, Any], str, Path], object]] = {
    "a branch as the run's ref": lambda base, head, out: base.update(ref="refs/heads/other"),
    "a second command": lambda base, head, out: base.update(
        ref=f"{base['ref']}\ndelete refs/heads/other"
    ),
    "another run's ref": lambda base, head, out: base.update(ref=f"refs/gitml/live/{'0' * 32}"),
    "a commit on a branch": lambda base, head, out: base.update(
        commit=f"{head}\n\nreset refs/heads/new\nfrom {head}\n\n"
    ),
    "an option as commit": lambda base, head, out: base.update(commit=f"--output={out}"),
    "an option as tree": lambda base, head, out: base.update(tree=f"--output={out}"),
    "a branch as commit": lambda base, head, out: base.update(commit="main"),
    "an option as snapshot": lambda base, head, out: base.update(live=f"--output={out}"),
}


@pytest.mark.parametrize("way", FORGED)
def test_a_journal_gives_git_no_orders(way: str, dead: Dead, clone: Place, secret: Path) -> None:
    """It names objects, and a ref of its own run; anything else stays, and is said."""
    run_git(clone.repo.place, "branch", "other")
    heads = run_git(clone.repo.place, "for-each-ref", "refs/heads", "refs/tags")
    head = run_git(clone.repo.place, "rev-parse", "HEAD")
    FORGED[way](dead.begin["base"], head, secret)
    dead.write()
    (found,) = recording.recover(clone)
    assert found.problem is not None
    assert "is not gitml's" in found.problem
    assert run_git(clone.repo.place, "for-each-ref", "refs/heads", "refs/tags") == heads
    assert secret.read_bytes() == SECRET
    assert dead.writer.journal.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "start/../../x"},
        {"owner": {"host": "a", "pid": "7", "started": "", "boot": ""}},
        {"base": [1]},
    ],
    ids=str,
)
def test_a_first_line_that_is_none_is_named(
    change: Mapping[str, Any], dead: Dead, clone: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other runs are listed, and nothing ends in a traceback."""
    dead.begin.update(change)
    dead.write()
    with gitml.start_run(run_name="other"):
        pass
    assert run(["runs", "list"]) == 0
    said = capsys.readouterr()
    assert "other" in said.out
    assert dead.run_id[-8:] in said.err
    assert "Traceback" not in said.err


def test_a_journal_of_another_run_is_not_recorded(dead: Dead, clone: Place) -> None:
    """The run is the one whose folder it is."""
    dead.begin["record"]["run_id"] = "0" * 32
    dead.write()
    (found,) = recording.recover(clone)
    assert found.problem is not None


# -- staged files --------------------------------------------------------------------------


def link(dead: Dead, secret: Path) -> None:
    """A link in the place of a staged file."""
    dead.stage(STAGED).symlink_to(secret)


def path(dead: Dead, secret: Path) -> None:
    """A path in the place of a staged file's name."""
    dead.stage(str(secret))


def way_up(dead: Dead, secret: Path) -> None:
    """A path that leads out of the folder."""
    dead.stage(f"../../../../../../{secret.parent.name}/{secret.name}")


@pytest.mark.parametrize("way", [link, path, way_up])
@pytest.mark.parametrize("cached", [False, True], ids=["", "cached"])
@pytest.mark.parametrize("limit", [0, 1000])
def test_no_file_elsewhere_becomes_an_artifact(
    way: Callable[[Dead, Path], None],
    cached: bool,
    limit: int,
    dead: Dead,
    clone: Place,
    secret: Path,
) -> None:
    """It would be pushed. Nor is it changed; also when the cache seems to have it."""
    (clone.repo.place / "gitml.yaml").write_text(f"artifacts: {{inline_unit: {limit}}}\n")
    clone = place_of(clone.repo, clone.repo.place)
    way(dead, secret)
    dead.write()
    if cached:
        object = clone.cache.path(hashlib.md5(SECRET, usedforsecurity=False).hexdigest())
        object.parent.mkdir(parents=True)
        object.write_bytes(b"something else")
    with pytest.warns(LostArtifactWarning, match=r"notes\.txt"):
        recording.recover(clone)
    record = clone.ledger.find(dead.run_id)
    assert record is not None
    assert record.record.artifacts == {}
    assert secret.read_bytes() == SECRET
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_folder_of_staged_files_that_is_a_link_is_left_alone(
    dead: Dead, clone: Place, tmp_path: Path
) -> None:
    """Nothing in it is recorded, or removed as what a writer left."""
    mine = tmp_path / "mine"
    mine.mkdir()
    dead.stage(STAGED)
    (mine / STAGED).write_bytes(SECRET)
    left = mine / f"{dead.writer.name.rpartition('-')[2]}-x"
    left.write_bytes(SECRET)
    dead.run.files.rmdir()
    dead.run.files.symlink_to(mine)
    dead.write()
    (found,) = recording.recover(clone)
    assert found.problem is not None
    assert "symbolic link" in found.problem
    assert (mine / STAGED).exists()
    assert left.exists()


# -- gitml's folder ------------------------------------------------------------------------


def old(folder: Path) -> dict[str, bytes]:
    """Files of the user's, which are some days old, and a DVC cache; what is in them."""
    object = folder / "files" / "md5" / "ab" / ("c" * 30)
    object.parent.mkdir(parents=True)
    for path in (folder / "uv.lock", folder / "letter.txt", object):
        path.write_bytes(SECRET)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("name", [".", "live", "git", "tmp", "cache", "spools", "damaged"])
def test_no_folder_of_gitmls_is_a_link(
    name: str,
    clone: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """gitml removes files there that it takes for its own; one line names the link."""
    with gitml.start_run():
        pass
    mine = tmp_path / "mine"
    before = old(mine)
    home = clone.repo.home / name
    shutil.rmtree(home, ignore_errors=True)
    home.symlink_to(mine)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 1e6)
    monkeypatch.setattr("gitml.git.local._found", {})
    for words in (("runs", "list"), ("recover",), ("gc", "--yes"), ("doctor",)):
        assert run(list(words)) == 2
        assert "is a symbolic link" in capsys.readouterr().err
    assert contents(mine) == before


def test_a_file_of_gitmls_that_is_a_link_is_not_written_through(
    clone: Place, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gitml notes there where the ledger stands."""
    with gitml.start_run():
        pass
    (clone.repo.home / "position").unlink()
    (clone.repo.home / "position").symlink_to(secret)
    monkeypatch.setattr("gitml.git.local._found", {})
    with pytest.raises(gitml.MlflowException, match="is a symbolic link"):
        gitml.start_run()
    assert secret.read_bytes() == SECRET


@pytest.mark.parametrize("inner", ["files", "files/md5", "files/md5/ab"])
def test_gc_collects_nothing_behind_a_link(inner: str, clone: Place, tmp_path: Path) -> None:
    """The objects there are those of another project."""
    mine = tmp_path / "mine"
    before = old(mine)
    target = clone.cache.root / inner
    target.parent.mkdir(parents=True)
    target.symlink_to(mine / inner)
    assert run(["gc", "--yes"]) == 0
    assert list(clone.cache.objects()) == []
    assert contents(mine) == before


def test_a_run_that_is_a_link_is_none(clone: Place, dead: Dead, tmp_path: Path) -> None:
    """Its folder would be cleaned up like one of gitml's."""
    mine = tmp_path / "mine"
    before = old(mine)
    shutil.rmtree(dead.run.folder)
    dead.run.folder.symlink_to(mine)
    assert list(clone.live_runs()) == []
    assert recording.recover(clone) == []
    with pytest.raises(gitml.MlflowException, match="symbolic link"):
        gitml.start_run(run_id=dead.run_id)
    assert contents(mine) == before


def test_a_note_names_refs_only(clone: Place, tmp_path: Path) -> None:
    """Of what it names the lock is taken away, some time after."""
    lock = tmp_path / "uv.lock"
    lock.touch()
    note = clone.repo.home / "git" / "7-0123abcd"
    note.parent.mkdir(parents=True)
    note.write_text(f"{tmp_path}/uv\nrefs/../../../{tmp_path.name}/uv\n{'../' * 20}{tmp_path}/uv\n")
    for path in (lock, note):
        os.utime(path, (time.time() - 60,) * 2)
    assert run(["runs", "list"]) == 0
    assert not note.exists()
    assert lock.exists()


def test_no_module_of_gitmls_folder_is_imported(clone: Place, tmp_path: Path) -> None:
    """A process in the background that pushes would import what came with a downloaded folder."""
    (clone.repo.place / "gitml.yaml").write_text("push: {auto: true}\n")
    clone.repo.home.mkdir(exist_ok=True)
    ran = tmp_path / "ran"
    for name in ("gitml.py", "runpy.py", "json.py", "orjson.py"):
        (clone.repo.home / name).write_text(f"open({str(ran)!r}, 'w')\n")
    place = place_of(clone.repo, clone.repo.place)
    assert autopush.nudge(place)
    end = time.monotonic() + 60
    while not autopush.outcomes(place) and not ran.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert autopush.outcomes(place)  # it came to the end, here that there is no remote
    assert not ran.exists()


def test_a_work_tree_is_not_owned_by_another_repository(clone: Place, tmp_path: Path) -> None:
    """Else the settings and the DVC remote of any folder of the user's would hold in it."""
    other = new_repository(tmp_path / "other")
    (other / "gitml.yaml").write_text("experiment: other\n")
    (clone.repo.place / "gitml.yaml").write_text("experiment: own\n")
    run_git(clone.repo.place, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    tree = git.find(tmp_path / "tree")
    set_owner(tree, other)
    assert place_of(tree, tmp_path / "tree").owner is None
    set_owner(tree, clone.repo.place)
    assert place_of(tree, tmp_path / "tree").settings.experiment == "own"


@pytest.mark.parametrize("where", ["position", "git/7-0123abcd", "live/RUN/vm-7-0123abcd.jsonl"])
def test_nobody_waits_for_a_pipe(where: str, clone: Place, dead: Dead) -> None:
    """Nobody may ever write into it."""
    dead.write()
    recording.recover(clone)
    pipe = clone.repo.home / where.replace("RUN", dead.run_id)
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    os.utime(pipe, (time.time() - 60,) * 2)
    for words in (["runs", "list"], ["recover"]):
        argv = [sys.executable, "-m", "gitml", *words]
        done = subprocess.run(argv, cwd=clone.repo.place, timeout=60, check=False)
        assert done.returncode == (2 if where == "position" else 0)
