"""Registries for tests and benchmarks, written by one `git fast-import`: a thousand tags at once.

Each version is of another run of the ledger, and each takes the stage `production` by a commit of
the main branch, as a merged promotion makes one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitml.registry import stages, tags
from gitml.registry.files import path_of
from gitml.registry.stages import StageNote
from gitml.registry.tags import StageTag, VersionNote, VersionTag
from gitml.registry.version import Version
from gitml.tracking.record import RunRecord
from tests.ledgers import LEDGER, make_ledger, make_runs

_POLICY = b"schema: 1\nstages: [staging, production]\n"
_DIGEST = "sha256:" + "9f86d081884c7d65" * 4
_BY = "Ada <ada@example.org>"


def make_registry(place: Path, models: int, versions: int, *, seed: int = 0) -> None:
    """A ledger, and `models` models of `versions` versions, which makes twice as many tags.

    The repository has a commit on its branch; that is where the decisions come to be.
    """
    number = models * versions
    make_ledger(place, number, seed=seed)
    runs = list(zip(make_runs(number, seed=seed), _run_commits(place), strict=True))
    branch = _git(place, "symbolic-ref", "HEAD")
    stream = b"".join(_written(branch, runs, models))
    command = ("git", "fast-import", "--quiet", "--force", "--done")
    subprocess.run(command, cwd=place, input=stream, check=True)
    _git(place, "reset", "--quiet", "--hard")


def _run_commits(place: Path) -> list[str]:
    """The run commits of the ledger, the oldest first: what each of its commits has merged."""
    listed = _git(place, "rev-list", "--reverse", "--first-parent", "--parents", LEDGER)
    return [line.split()[2] for line in listed.splitlines() if len(line.split()) == 3]


def _written(branch: str, runs: Sequence[tuple[RunRecord, str]], models: int) -> Iterator[bytes]:
    yield b"".join(_commit(branch, 1, runs[0][0], "registry.yaml", _POLICY, f"{branch}^0"))
    entries: dict[str, list[str]] = {}
    for at, (record, commit) in enumerate(runs):
        name, order = f"model-{at % models:03}", at // models
        version, before = Version(1, order, 0), Version(1, order - 1, 0) if order else None
        note = VersionNote(record.run_id, "model", _DIGEST, "compatible" if order else "first", _BY)
        tag = VersionTag(name, version)
        yield _tag(str(tag), commit, record, tags.message(tag, note))
        entries.setdefault(name, []).append(
            f'  {version}: {{run: {record.run_id}, commit: {commit}, path: model, digest: "'
            f'{_DIGEST}", metrics: {{auc: {record.metrics["auc"].last!r}}}}}\n\n'
        )
        text = f"schema: 1\nowners: [ml-team]\nstages:\n  production: {version}\nversions:\n"
        data = (text + "".join(entries[name])).encode()
        yield b"".join(_commit(branch, at + 2, record, path_of(name), data))
        taken = StageTag(name, "production", order + 1)
        decided = StageNote(version, record.run_id, _DIGEST, before, "grace")
        yield _tag(str(taken), f":{at + 2}", record, stages.message(taken, decided))
    yield b"done\n"


def _commit(
    branch: str, mark: int, record: RunRecord, path: str, data: bytes, parent: str = ""
) -> Iterator[bytes]:
    yield b"commit %b\nmark :%d\n" % (branch.encode(), mark)
    yield b"committer Ada <ada@example.org> %d +0000\n" % (record.start_time // 1000 + 60)
    yield b"data 8\nDecided\n"
    if parent:
        yield b"from %b\n" % parent.encode()
    yield b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(data), data)


def _tag(name: str, commit: str, record: RunRecord, message: str) -> bytes:
    text, when = message.encode(), record.start_time // 1000 + 120
    head = f"tag {name}\nfrom {commit}\ntagger {_BY} {when} +0000\ndata {len(text)}\n"
    return head.encode() + text + b"\n"


def _git(place: Path, *args: str) -> str:
    done = subprocess.run(("git", *args), cwd=place, capture_output=True, text=True, check=True)
    return done.stdout.strip()
