"""A team for tests: clones of one bare repository, and what the ledger of each holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitml import git, storage
from gitml.documents import load_json
from gitml.tracking import changes, exchange, finishing, starting
from gitml.tracking.names import run_path
from gitml.tracking.place import Place, place_of
from gitml.tracking.record import FINISHED, RunRecord, from_document
from gitml.tracking.session import now_ms
from gitml.tracking.starting import Wish
from tests.conftest import new_repository, run_git

LEDGER = "refs/heads/gitml/runs"
BIG = 200_000  # bytes: more than goes into a run commit


@dataclass(frozen=True)
class Clone:
    """A working clone."""

    folder: Path

    @property
    def place(self) -> Place:
        """The clone as gitml sees it, its settings read again."""
        return place_of(git.find(self.folder), self.folder)

    def git(self, *args: str) -> str:
        """Run git as the user would."""
        return run_git(self.folder, *args)

    def run(
        self,
        name: str,
        *,
        metric: float = 0.5,
        params: Mapping[str, int] | None = None,
        files: Mapping[str, bytes] | None = None,
        resume: str | None = None,
    ) -> str:
        """Record a run, or one more session of the run `resume`; its id."""
        place = self.place
        if resume is None:
            session, record = starting.start(place, Wish(name=name))
        else:
            session, record = starting.resume(place, resume)
        session.metric("auc", metric, 0, now_ms())
        session.params(dict(params or {}))
        for path, data in (files or {}).items():
            source = self.folder / ".git" / "staged"
            source.write_bytes(data)
            session.artifacts([(source, path)])
        finishing.finish(place, session, record, FINISHED)
        return record.run_id

    def tag(self, run_id: str, **tags: str | None) -> None:
        """Set tags of a run."""
        changes.tag(self.place, run_id, tags)

    def push(self, *, artifacts: bool = False) -> exchange.Report:
        """`gitml push`."""
        return exchange.push(self.place, artifacts=artifacts, seconds=20)

    def pull(self, *, artifacts: bool = False) -> exchange.Report:
        """`gitml pull`."""
        return exchange.pull(self.place, artifacts=artifacts)

    def records(self, ref: str = LEDGER) -> dict[str, RunRecord]:
        """The runs that a ledger of this clone holds, by name."""
        return records(self.folder, ref)

    def pointer(self, run_id: str) -> storage.Pointer:
        """The one DVC pointer of a run."""
        entry = self.place.ledger.find(run_id)
        assert entry is not None
        (where,) = {item.where for item in entry.record.artifacts.values()} - {"git"}
        data = next(git.read_objects(self.place.repo, [entry.files[where]]))
        return storage.parse_pointer(data, where)


def records(folder: Path, ref: str = LEDGER) -> dict[str, RunRecord]:
    """The runs in the tree of a ledger, by name; each must lie where its id and experiment say."""
    listed = [line.split("\t") for line in run_git(folder, "ls-tree", "-r", ref).splitlines()]
    blobs = {path: meta.split()[2] for meta, path in listed if path.endswith("/run.json")}
    texts = git.read_objects(git.find(folder), blobs.values())
    found = {}
    for path, text in zip(blobs, texts, strict=True):
        record = from_document(load_json(text, path))
        assert path == f"{run_path(record.experiment_id, record.run_id)}/run.json"
        found[record.name] = record
    return found


def team(folder: Path, bare: Path, *names: str, dvc: bool = False) -> list[Clone]:
    """Clones of `bare`, which gets a first commit; with `dvc` they share a directory remote."""
    seed = new_repository(folder / "seed")
    if dvc:
        storage.set_project_remote(seed, str(folder / "dvc"))
        run_git(seed, "add", ".")
        run_git(seed, "commit", "--quiet", "--message", "A place for artifacts")
    run_git(seed, "push", "--quiet", str(bare), "main")
    return [clone(folder, bare, name) for name in names]


def clone(folder: Path, bare: Path, name: str) -> Clone:
    """One more clone."""
    who = (f"user.name={name}", f"user.email={name}@example.org")
    options = [word for setting in who for word in ("--config", setting)]
    run_git(folder, "clone", "--quiet", *options, str(bare), name)
    return Clone(folder / name)
