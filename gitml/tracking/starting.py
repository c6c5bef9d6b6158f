"""Starting a session: what a run is made of at its first moment, or at its next."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gitml import config, files, git
from gitml.errors import GitError, UsageError
from gitml.tracking import absent, drift, environment, holding, names, recording, snapshot
from gitml.tracking.commits import Identity
from gitml.tracking.handover import bring
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place
from gitml.tracking.record import (
    RUNNING,
    Code,
    Environment,
    RunRecord,
    Source,
    to_document,
)
from gitml.tracking.redact import redact_url
from gitml.tracking.session import Session, begin, now_ms
from gitml.tracking.spool import Where

NO_CODE = Code()


class SnapshotWarning(UserWarning):
    """The code of a run could not be recorded as it is on disk."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a run consists of that is not this process: its source, machine and packages.

    `packages` are lines of a requirements file; `files` are those that belong to it, which the
    snapshot takes though git does not track them, unless it ignores them.
    """

    source: Source
    environment: Environment
    packages: Sequence[str]
    files: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks of a new run; without a `program` it is that of this process."""

    experiment: str = "default"
    name: str | None = None
    parent: str | None = None
    tags: Mapping[str, str] | None = None
    description: str | None = None
    experiment_id: str | None = None  # by default that of the name
    program: Program | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The code as a session's first event holds it, and as the record does."""

    base: dict[str, Any]
    code: Code
    modules: Mapping[Path, drift.Version]


def start(place: Place, wish: Wish) -> tuple[Session, RunRecord]:
    """Start a new run: its snapshot is taken and held, its journal begun."""
    run_id = new_id(place)
    code = _code(place, run_id, wish.program.files if wish.program else ())
    return begin_run(place, wish, run_id, code, place.code.root)


def begin_run(
    where: Where, wish: Wish, run_id: str, code: Told, root: Path | None
) -> tuple[Session, RunRecord]:
    """Begin the journal of a new run; `root` is the top of the work tree, if there is one."""
    program = wish.program or _this_process(root)
    record = RunRecord(
        run_id=run_id,
        name=names.check_run_name(wish.name) if wish.name else names.random_name(),
        experiment=wish.experiment,
        experiment_id=wish.experiment_id or names.experiment_id(wish.experiment),
        status=RUNNING,
        start_time=now_ms(),
        user=environment.user(),
        description=wish.description,
        parent_run=names.check_run_id(wish.parent) if wish.parent else None,
        tags=dict(wish.tags or {}),
        source=program.source,
        code=code.code,
        environment=program.environment,
    )
    first = begin(
        "start",
        record=to_document(record),
        base=code.base,
        requirements=_lines(program.packages),
    )
    session = Session(where.live_run(run_id), first)
    session.know(record)
    session.modules, session.tree = code.modules, code.code.tree
    return session, record


def new_id(where: Where) -> str:
    """An id that no run here is live with: whoever makes its folder has it.

    Ids hold their millisecond: a run that is over can't have the same.
    """
    while True:
        run_id = names.new_run_id()
        try:
            folder = where.live_run(run_id).folder
            files.make_folder(folder.parent)
            folder.mkdir()
            files.share(folder)
        except FileExistsError:
            continue
        except OSError:
            pass  # the journal meets the same, and says so
        return run_id


def resume(place: Place, run_id: str) -> tuple[Session, RunRecord]:
    """Go on with a run: join it where it is live, else add a session to what was recorded.

    A run whose machine was lost is resumed, as a job is that its scheduler starts again elsewhere.
    """
    names.check_run_id(run_id)
    run = place.live_run(run_id)
    if run.folder.is_dir() and recording.is_dead(run):
        recording.record(place, run)
    record = recording.live_record(place, run) if run.folder.is_dir() else None
    if record is not None and recording.goes_on(run):
        session = Session(run, joining(place))
    else:
        record = record or _recorded(place, run_id).record
        code = _code(place, holding.resume_name(run_id))
        session = Session(run, begin("resume", base=code.base, requirements=requirements()))
        session.modules, session.tree = code.modules, code.code.tree
    session.know(record)
    return session, record


def joining(place: Place) -> dict[str, Any]:
    """The first event of a session that joins a run: it says who is to sign what is added."""
    return begin("join", base={"identity": asdict(identity(_settings(place.repo)))})


def _recorded(place: Place, run_id: str) -> Entry:
    entry = place.ledger.find(run_id)
    if entry is None:
        raise absent.error(place, run_id)
    if entry.record.deleted:
        raise UsageError(f"run {run_id} is deleted; restore it first: gitml runs restore {run_id}")
    return entry


def _this_process(root: Path | None) -> Program:
    return Program(environment.source(root), environment.environment(), environment.packages())


def requirements() -> str:
    """The installed packages as the text of requirements.txt."""
    return _lines(environment.packages())


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in texts)


def _code(place: Place, name: str, files: Sequence[Path] = ()) -> Told:
    """Take the snapshot, and hold it by a live ref of that name."""
    root = place.code.root
    modules = drift.loaded_files(root) if root else {}
    settings, (taken, ref) = _settings(place.repo), _held(place, [*modules, *files], name)
    base = {
        "commit": taken.commit,
        "tree": taken.tree,
        "live": taken.live if ref else None,
        "ref": ref,
        "commit_time": taken.commit_time,
        "identity": asdict(identity(settings)),
    }
    code = Code(
        commit=taken.commit,
        tree=taken.tree,
        branch=taken.branch,
        dirty=taken.dirty,
        remote=_remote_url(settings, place.settings),
        scope=_scope(place)[1],
        untracked=taken.untracked,
        incomplete=taken.incomplete,
    )
    return Told(base, code, modules)


def code_now(place: Place, files: Sequence[Path] = ()) -> Code:
    """The code that a run would have that is started now: its tree, and what that lacks."""
    modules = drift.loaded_files(place.repo.root) if place.repo.root else {}
    taken = _taken(place, [*modules, *files])
    return Code(tree=taken.tree, incomplete=taken.incomplete)


def _settings(repo: git.Repository) -> Mapping[str, str]:
    """git's settings, asked again when they are some seconds old."""
    known = _asked.get(repo.git_dir)
    if known is None or time.monotonic() - known[0] > _SETTINGS_SECONDS:
        known = _asked[repo.git_dir] = (time.monotonic(), git.settings(repo))
    return known[1]


_SETTINGS_SECONDS = 10.0
_asked: dict[Path, tuple[float, Mapping[str, str]]] = {}


def _held(place: Place, modules: Sequence[Path], name: str) -> tuple[snapshot.Snapshot, str | None]:
    """The snapshot and the ref that holds it; None where the repository can't be written."""
    for last in (False, True):
        taken = _taken(place, modules)
        try:
            ref = holding.hold(place.code, name, taken)
            bring(place, ref)
            return taken, ref
        except (GitError, OSError) as error:
            if last:
                taken.incomplete.setdefault(".", f"nothing holds it: {error}")
    return taken, None


def _taken(place: Place, modules: Sequence[Path]) -> snapshot.Snapshot:
    """The snapshot; git's housekeeping may take what is half made, then it is made again."""
    repo = place.code
    limit = place.settings.snapshot.max_file
    for tries_left in reversed(range(_TRIES)):
        try:
            return snapshot.take(
                repo,
                scope=_scope(place)[0],
                max_file=limit,
                modules=modules,
                filters=place.owner is None,
            )
        except (GitError, OSError) as error:
            problem = error
        if tries_left:
            time.sleep(0.05)
    words = f"the run does not hold the code as it is on disk: {problem}"
    warnings.warn(words, SnapshotWarning, stacklevel=5)
    return snapshot.of_head(repo, f"the work tree could not be read: {problem}")


_TRIES = 5


def _scope(place: Place) -> tuple[Path | None, str]:
    """The folder that the snapshot covers, and its name relative to the repository."""
    root, folder = place.code.root, place.settings.folder
    if root is None or folder is None:
        return root, "."
    return folder, os.path.relpath(folder, root).replace(os.sep, "/")


def identity(settings: Mapping[str, str]) -> Identity:
    """Whose name the commits carry: git's own settings, else gitml's."""
    name = os.environ.get("GIT_COMMITTER_NAME") or settings.get("user.name")
    email = os.environ.get("GIT_COMMITTER_EMAIL") or settings.get("user.email")
    default = Identity()
    return Identity(name or default.name, email or default.email, time.strftime("%z") or "+0000")


def _remote_url(settings: Mapping[str, str], wanted: config.Config) -> str | None:
    url = settings.get(f"remote.{wanted.ledger.remote}.url") or settings.get("remote.origin.url")
    return redact_url(url).partition("#")[0] if url else None
