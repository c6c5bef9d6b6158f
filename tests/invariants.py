"""What must hold of a repository after anything happened to a process that recorded in it.

`check` proves six invariants; the training scripts of the tests print every call once it has
returned, and that is what it compares with. It reads the ledger with git alone.

I1  every acknowledged call is there exactly once: ids, values and counts
I2  `git fsck --strict --full` finds nothing
I3  HEAD, index, work tree, configuration, hooks and stash of the user are byte for byte the same
I4  no lock and no temporary file is left that would be in the way of the next command
I5  the next command works, and to recover again changes nothing
I6  no run is RUNNING once its process is gone
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitml import git, locks
from gitml.tracking import finishing, recording, starting
from gitml.tracking.place import Place, place_of

LEDGER = "refs/heads/gitml/runs"
FINAL = {"FINISHED", "FAILED", "KILLED"}
Point = tuple[str, int, int, str]

_OURS = (
    "gitml/", "objects/", "refs/gitml/", "refs/heads/gitml/runs", "logs/refs/gitml/",
    "logs/refs/heads/gitml/runs",
)  # fmt: skip
_TRACKING = re.compile(r"(logs/)?refs/remotes/[^/]+/gitml/")


def check(
    repo: Path,
    acknowledged: Iterable[Mapping[str, Any]],
    before: UserState,
    *,
    in_flight: int = 1,
    alive: Iterable[str] = (),
) -> dict[str, Stored]:
    """Prove I1 to I6 and return the runs that the ledger holds.

    `in_flight` calls of each run may be there that were not acknowledged: the process was killed
    while they were on their way. `alive` are the ids of runs that still go on.
    """
    place = place_of(git.find(repo))
    age_locks(place)
    _recover(place)
    runs = stored(repo)
    check_acknowledged(runs, acknowledged, in_flight)
    check_sound(repo)
    assert before.differences(UserState.of(repo)) == []
    _check_clean(place, set(alive))
    _check_next_command(place)
    assert {run.status for run in runs.values()} <= FINAL
    return runs


def age_locks(place: Place) -> None:
    """Make what killed git processes left as old as it is when somebody comes back."""
    long_ago = time.time() - 60
    for lock in [*ref_locks(place), *(place.repo.common_dir / "objects" / "pack").glob("*.keep")]:
        os.utime(lock, (long_ago, long_ago))
    for note in (place.repo.home / "git").glob("*"):
        os.utime(note, (long_ago, long_ago))


def ref_locks(place: Place) -> list[Path]:
    """The locks of git's that are held, or left, in the repository."""
    common = place.repo.common_dir
    found = [*common.glob("*.lock"), *(common / "refs").rglob("*.lock")]
    return sorted(set(found))


# -- I1 ------------------------------------------------------------------------------------


@dataclass
class Stored:
    """A run as the ledger holds it; points have their value as the text that was stored."""

    record: dict[str, Any]
    commit: str
    points: list[Point] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The status that is recorded."""
        return str(self.record["status"])


def stored(repo: Path, ref: str = LEDGER) -> dict[str, Stored]:
    """Every run of the ledger by its id; each newest run commit holds what the ledger holds."""
    if _ask(repo, "for-each-ref", ref) == "":
        return {}
    folders: dict[str, dict[str, str]] = {}
    for line in _ask(repo, "ls-tree", "-r", "-z", ref, "runs/").split("\0"):
        meta, _, path = line.partition("\t")
        if path.count("/") >= 6:
            parts = path.split("/", 6)
            folders.setdefault("/".join(parts[:6]), {})[parts[6]] = meta.split(" ")[2]
    contents = _blobs(repo, {blob for files in folders.values() for blob in files.values()})
    commits = _run_commits(repo, ref)
    _check_commits(repo, ref, folders, commits)
    runs = {}
    for folder, files in folders.items():
        run_id = folder.rsplit("/", 1)[1]
        texts = {path: contents[blob] for path, blob in files.items()}
        runs[run_id] = _stored(repo, commits[run_id], texts)
    return runs


def _stored(repo: Path, commit: str, files: Mapping[str, bytes]) -> Stored:
    run = Stored(json.loads(files["run.json"]), commit)
    for path, data in files.items():
        if path.startswith("metrics/"):
            header, *lines = data.decode().splitlines()
            assert header == "metric\tstep\ttime_ms\tvalue"
            for line in lines:
                key, step, moment, value = line.split("\t")
                run.points.append((key, int(step), int(moment), value))
    for path, item in run.record.get("artifacts", {}).items():
        data = _artifact(repo, files, path, item["where"])
        assert len(data) == item.get("size", 0), path
        run.artifacts[path] = hashlib.sha256(data).hexdigest()
        assert run.artifacts[path] == item["sha256"], path
    counts = Counter(key for key, *_ in run.points)
    summaries = run.record.get("metrics", {})
    assert {key: summary["count"] for key, summary in summaries.items()} == counts
    return run


def _artifact(repo: Path, files: Mapping[str, bytes], path: str, where: str) -> bytes:
    if where == "git":
        return files[f"artifacts/{path}"]
    found = re.search(rb"md5: ([0-9a-f]{32}(\.dir)?)", files[where])
    assert found is not None
    md5 = found[1].decode()
    if md5.endswith(".dir"):
        root = re.sub(r"~[0-9a-f]{8}$", "", where.removeprefix("artifacts/").removesuffix(".dvc"))
        entries = json.loads(_object(repo, md5))
        inside = path.removeprefix(root + "/")
        md5 = next(entry["md5"] for entry in entries if entry["relpath"] == inside)
    return _object(repo, md5)


def _object(repo: Path, md5: str) -> bytes:
    cache = git.find(repo).home / "cache" / "files" / "md5"
    return (cache / md5[:2] / md5[2:]).read_bytes()


def _run_commits(repo: Path, ref: str) -> dict[str, str]:
    form = "--format=%P%x00%(trailers:key=Run-Id,valueonly,separator=)"
    found: dict[str, str] = {}
    for line in _ask(repo, "log", "--first-parent", form, ref).splitlines():
        parents, _, run_id = line.partition("\0")
        assert len(parents.split()) <= 2, "the ledger is linear"
        if run_id:
            found.setdefault(run_id, parents.split(" ")[1])
    return found


def _check_commits(
    repo: Path, ref: str, folders: Mapping[str, object], commits: Mapping[str, str]
) -> None:
    """The folder in the ledger and `.gitml/run` of the newest run commit are one tree."""
    names = []
    for folder in folders:
        names += [f"{ref}:{folder}", f"{commits[folder.rsplit('/', 1)[1]]}:.gitml/run"]
    trees = _ask(repo, "cat-file", "--batch-check=%(objectname)", input="\n".join(names))
    found = trees.splitlines()
    assert found[::2] == found[1::2]


def check_acknowledged(
    runs: Mapping[str, Stored], acknowledged: Iterable[Mapping[str, Any]], in_flight: int
) -> None:
    """I1: what was acknowledged is stored exactly once, and next to nothing else is."""
    points: dict[str, Counter[Point]] = {}
    for call in acknowledged:
        assert call["run"] in runs, f"run {call['run']} is lost"
        run = runs[call["run"]]
        counted = points.setdefault(call["run"], Counter())
        if "metric" in call:
            key, step, moment, value = call["metric"]
            counted[key, step, moment, value] += 1
        _check_call(run, call)
    for run_id, counted in points.items():
        there = Counter(runs[run_id].points)
        lost = counted - there
        more = there - counted
        assert not lost, f"{sum(lost.values())} points of {run_id} are lost: {list(lost)[:5]}"
        assert sum(more.values()) <= in_flight, f"points of {run_id} twice: {list(more)[:5]}"


def _check_call(run: Stored, call: Mapping[str, Any]) -> None:
    if "param" in call:
        key, value = call["param"]
        assert run.record.get("params", {}).get(key) == value, call
        assert key not in run.record.get("param_conflicts", {}), call
    elif "tag" in call:
        key, value = call["tag"]
        assert run.record.get("tags", {}).get(key) == value, call
    elif "artifact" in call:
        path, digest = call["artifact"]
        assert run.artifacts.get(path) == digest, call
    elif "ended" in call:
        assert run.status == call["ended"], call


# -- I2 to I6 ------------------------------------------------------------------------------


def check_sound(repo: Path) -> None:
    """I2: the repository has no error, strictly looked at.

    What joins small packs in the background comes to its end first: git's readers look again when
    a pack is gone, all but `git fsck`, which says that it can't be opened.
    """
    repacked = git.find(repo).home / "repacked"
    while locks.is_held(repacked):
        time.sleep(0.01)
    done = subprocess.run(
        ("git", "fsck", "--strict", "--full", "--no-dangling", "--no-progress"),
        cwd=repo, capture_output=True, text=True, env=_environment(), check=False,
    )  # fmt: skip
    said = [line for line in (done.stdout + done.stderr).splitlines() if "notice:" not in line]
    assert (done.returncode, said) == (0, [])


@dataclass(frozen=True)
class UserState:
    """What of a repository is the user's: every file, and every ref, that gitml does not own."""

    files: Mapping[str, tuple[int, str]]
    refs: frozenset[str]

    @classmethod
    def of(cls, repo: Path) -> UserState:
        """The state now; of a work tree with what is under its git directory."""
        found = git.find(repo)
        files = {}
        for top in (found.root, found.git_dir, found.common_dir):
            if top is not None and f"{top}/HEAD" not in files:
                files.update({f"{top}/{name}": seen for name, seen in _files(top)})
        refs = _ask(repo, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return cls(files, frozenset(ref for ref in refs if not _is_ours(ref)))

    def differences(self, later: UserState) -> list[str]:
        """The files and refs that are not the same later."""
        names = self.files.keys() | later.files.keys()
        changed = [name for name in names if self.files.get(name) != later.files.get(name)]
        return sorted(changed) + sorted(self.refs ^ later.refs)


def _files(top: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    for folder, subfolders, names in os.walk(top):
        here = os.path.relpath(folder, top).replace(os.sep, "/") + "/"
        here = "" if here == "./" else here
        is_git = (Path(folder) / "HEAD").exists() and (Path(folder) / "objects").exists()
        subfolders[:] = [
            name for name in subfolders
            if not (is_git and name in ("objects", "gitml")) and name != "__pycache__"
        ]  # fmt: skip
        for name in names:
            path = Path(folder) / name
            if not _is_ours(_in_git(here + name)):
                yield here + name, seen(path)


def _in_git(name: str) -> str:
    return name.rpartition(".git/")[2]


def _is_ours(name: str) -> bool:
    return name.startswith(_OURS) or _TRACKING.match(name) is not None or name == "packed-refs"


def seen(path: Path) -> tuple[int, str]:
    """What tells one state of a file from another: its mode, and its digest or target."""
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode):
        return state.st_mode, str(path.readlink())
    if not stat.S_ISREG(state.st_mode):
        return state.st_mode, ""
    return state.st_mode, hashlib.sha256(path.read_bytes()).hexdigest()


def _check_clean(place: Place, alive: set[str]) -> None:
    """I4: nothing lies about that a dead process left and the next command would fall over."""
    home = place.repo.home
    assert ref_locks(place) == []
    assert list((place.repo.common_dir / "objects" / "pack").glob("*.keep")) == []
    left = [
        str(path.relative_to(home))
        for path in (home / "live").rglob("*")
        if path.relative_to(home / "live").parts[0].partition(".")[0] not in alive
    ]
    assert left == [], "journals of dead processes are left"
    live_refs = _ask(place.repo.place, "for-each-ref", "--format=%(refname)", "refs/gitml/live/")
    named = {name.rsplit("/", 1)[1].partition("-")[0] for name in live_refs.split()}
    assert not (named - alive) & set(stored(place.repo.place)), "refs of recorded runs are left"


def _recover(place: Place) -> None:
    """I5: to recover three times is to recover once."""
    assert [run.problem for run in recording.recover(place) if run.problem] == []
    head = place.ledger.local()
    for _ in range(2):
        assert recording.recover(place) == []
        assert place.ledger.local() == head


def _check_next_command(place: Place) -> None:
    """I5: another run can be recorded."""
    session, record = starting.start(place, starting.Wish(experiment="next"))
    finishing.finish(place, session, record, "FINISHED")
    assert place.ledger.find(record.run_id) is not None


# -- git -----------------------------------------------------------------------------------


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}


_PLAIN = "-c trailer.separators=: -c i18n.logOutputEncoding=UTF-8 -c color.ui=false".split()


def _ask(repo: Path, *args: str, input: str = "") -> str:
    done = subprocess.run(
        ("git", *_PLAIN, *args), cwd=repo, input=input.encode(), capture_output=True,
        env=_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr.decode()}"
    return done.stdout.decode("utf-8", "surrogateescape").strip("\n")


def _blobs(repo: Path, ids: Iterable[str]) -> dict[str, bytes]:
    """The contents of blobs, each of them once."""
    asked = sorted(ids)
    done = subprocess.run(
        ("git", "cat-file", "--batch"), cwd=repo, input="".join(f"{i}\n" for i in asked).encode(),
        capture_output=True, env=_environment(), check=True,
    )  # fmt: skip
    found, rest = {}, done.stdout
    for name in asked:
        header, _, rest = rest.partition(b"\n")
        size = int(header.split(b" ")[2])
        found[name], rest = rest[:size], rest[size + 1 :]
    return found
