"""`gitml.projects.reproduce`: a recorded run is run again, and what came of it compared."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from gitml.errors import UsageError, shown
from gitml.projects import checkout, execution, replay, rerun, runtime, sources, tracked, verdict
from gitml.projects.output import to_stream
from gitml.projects.runtime import Runtime
from gitml.projects.task import Tell
from gitml.projects.verdict import Rules, Verdict
from gitml.tracking import store, system_tags
from gitml.tracking.fluent import place as fluent
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.recording import texts

ORIGINAL, CURRENT = "original", "current"
TAG = "gitml.reproduces"  # of the new run: the id of the one that it is to be the same as
_LOCK = "requirements.txt"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A run, the run that was made to be the same, and how they compare."""

    original: RunRecord
    again: RunRecord
    verdict: Verdict

    @property
    def reproduced(self) -> bool:
        """Whether the run came out as it did."""
        return self.verdict.reproduced


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for; the meaning of each is that of `reproduce`."""

    env: str = ORIGINAL
    data: str = tracked.VERIFY
    rules: Rules = field(default_factory=Rules)
    parameters: Mapping[str, str] | None = None
    timeout: float | None = None


def reproduce(
    run: str,
    *,
    env: str = ORIGINAL,
    data: str = tracked.VERIFY,
    tolerance: str | float | Sequence[str] = (),
    ignore: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    allow_code: bool = False,
) -> Reproduction:
    """Run a recorded run again, from its code, in its environment, on its data; and compare.

    `run` is an id, a part of one, a name, `latest` or a tag. `env` is `original`, the environment
    that is recorded, or `current`, this Python. `data` that DVC tracks is taken from this machine
    with `verify`, with `pull` from the DVC remote, too. A metric may be off by the `tolerance`, as
    `--tolerance` has it; by default 1e-06 of its value, or 1e-12. Those in `ignore` do not count.
    `parameters` are values that are not recorded: secrets, and paths of another machine. After
    `timeout` seconds the new run is stopped. A run that only a fork has runs with `allow_code`.

    Raises UsageError, StorageError and `BuildError` when nothing was run.
    """
    given = [tolerance] if isinstance(tolerance, str | float | int) else tolerance
    rules = verdict.rules([str(item) for item in given], ignore)
    values = {name: str(value) for name, value in (parameters or {}).items()}
    wish = Wish(env, data, rules, values, timeout)
    return perform(run, wish, ask=sources.allowed(allow_code))


def perform(
    run: str,
    wish: Wish,
    *,
    tell: Tell | None = None,
    ask: sources.Ask | None = None,
    stdout: IO[str] | None = None,
) -> Reproduction:
    """The same; `tell` hears of steps that take time, `stdout` gets the output of the run.

    `ask` is asked before the code of a run is run that only a fork has.
    """
    place = fluent.place()
    entry, is_own = sources.recorded(place, run)
    return again(place, entry, wish, tell=tell, ask=None if is_own else ask, stdout=stdout)


def again(
    place: Place,
    entry: Entry,
    wish: Wish,
    *,
    tell: Tell | None = None,
    ask: sources.Ask | None = None,
    stdout: IO[str] | None = None,
) -> Reproduction:
    """The same of a run as its commit has it; with `ask` it is asked whether its code may run."""
    like = entry.record
    wish.rules.check(like.metrics)
    way = _way(place, entry, wish, tell)
    checkout.sweep()
    root = place.repo.root
    sinks = (to_stream(stdout or sys.stdout), to_stream(sys.stderr))
    with execution.signals_stop(), rerun.ground(place, entry.commit, wish.data) as ground:
        if ask is not None:
            sources.agree_to_run(entry, ask, rerun.folder_of(ground, way))
        needed = [str(it.source["uri"]) for it in like.datasets if it.source_type == "dvc"]
        ground.data.check(needed, wish.data)
        _tell_lacking(ground.data, tell)
        made = rerun.run(ground, way, sinks, tell=tell, root=root)
        new = made.record
        locks = (_lock(place, entry), _lock(place, store.entry(place, new.run_id)))
        known = [f"{len(ground.data.placed)} from DVC, verified"] if ground.data.placed else []
        portable = made.portable
        judged = verdict.judge(like, new, locks, wish.rules, data=known, portable=portable)
    return Reproduction(like, new, judged)


def _way(place: Place, entry: Entry, wish: Wish, tell: Tell | None) -> rerun.Way:
    """How the run is run again. Raises UsageError when that can't be told."""
    for value, known in (
        (wish.env, (ORIGINAL, CURRENT)),
        (wish.data, (tracked.VERIFY, tracked.PULL)),
    ):
        if value not in known:
            raise UsageError(f"{shown(value)} is none of {', '.join(known)}")
    like = entry.record
    started = replay.of(like)
    if tell is not None and any(it.kind == "resume" for it in like.sessions.values()):
        tell("The run was resumed; its last code runs once, from the beginning")

    def environment(folder: Path) -> Runtime:
        if wish.env == CURRENT:
            return runtime.this_python()
        return runtime.locked(like.environment, _lock(place, entry), tell)

    given, image = wish.parameters or {}, like.live_tags.get(system_tags.DOCKER_IMAGE_ID)
    image = image if wish.env == ORIGINAL else None
    return rerun.Way(like, started, environment, given, {TAG: like.run_id}, wish.timeout, image)


def _lock(place: Place, entry: Entry | None) -> tuple[str, ...]:
    """The packages that were installed when a run began, as lines of a requirements file."""
    found = texts(place, entry, _LOCK) if entry is not None else ()
    return tuple(line for _, data in found for line in data.decode("utf-8", "replace").splitlines())


def _tell_lacking(data: tracked.Data, tell: Tell | None) -> None:
    if tell is not None and data.lacking:
        some = ", ".join(map(shown, list(data.lacking)[:3]))
        more = f" and {len(data.lacking) - 3} more" if len(data.lacking) > 3 else ""
        tell(f"DVC tracks data that is not here, and that the run may need: {some}{more}")


def to_document(done: Reproduction) -> dict[str, Any]:
    """The reproduction as JSON."""
    runs = {"original": done.original, "again": done.again}
    return {
        **{key: {"run_id": run.run_id, "name": run.name} for key, run in runs.items()},
        **verdict.to_document(done.verdict),
    }
