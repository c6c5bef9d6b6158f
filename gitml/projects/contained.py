"""A running entry point in a container: made for it, filled with its code, gone with its end.

What it records goes into a spool, the one folder that it shares with this machine, and is collected
from there while it runs, and at its end. leftovers.py does so after a process that was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml import containers, git, locks, process
from gitml.containers import Container, EngineError, State
from gitml.projects import packing
from gitml.projects.collector import Collector
from gitml.projects.confinement import CODE, INSIDE, Confinement, Mount
from gitml.projects.leftovers import ENGINE, FOLDER, RUN_LABEL, SPOOL, close, tidy
from gitml.projects.output import Sink
from gitml.projects.program import Outcome, Program, outcome_of
from gitml.tracking import environment
from gitml.tracking.place import Place
from gitml.tracking.record import FAILED, KILLED
from gitml.tracking.snapshot import LIVE_REFS
from gitml.tracking.spool import Spool

_OOM = "out-of-memory"
# The first process of the container. It stays until its command has ended, whatever signals come,
# for these would end a first process at no time; and it tells of a process that memory was lacking
# for, which not every engine does.
_FIRST = f"""
trap : INT TERM
exec 3>&2 2>/dev/null  # a shell says of each program that a signal ended it
if command -v bash >/dev/null; then bash "$@" 2>&3 3>&-; else sh "$@" 2>&3 3>&-; fi
code=$?
for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
  [ -r "$file" ] && while read -r name count; do
    [ "$name" = oom_kill ] && [ "$count" != 0 ] && : >{INSIDE}/{_OOM}
  done <"$file"
done
exit $code
"""


@dataclass(frozen=True, slots=True)
class Errand:
    """What a container is to run, and whose run it is: `argv` begins with the shell's name."""

    place: Place
    folder: Path
    argv: tuple[str, ...]
    run_id: str
    experiment: str


class ContainedProgram(Program):
    """An entry point in a container; the process here only passes on what it says."""

    def __init__(
        self, box: Confinement, errand: Errand, sinks: tuple[Sink, Sink], limit: int
    ) -> None:
        self._place = errand.place
        self._home = errand.place.home / FOLDER / errand.run_id
        self._container = Container(box.engine, f"gitml-{errand.run_id}")
        with contextlib.ExitStack() as held, contextlib.ExitStack() as undo:
            held.enter_context(locks.held(self._home.with_suffix(".lock"), remove=True))
            if self._home.is_dir():  # of an earlier client of this run
                tidy(errand.place, self._home)
            spool = self._home / SPOOL
            spool.mkdir(parents=True)
            undo.callback(shutil.rmtree, self._home, ignore_errors=True)
            (self._home / ENGINE).write_text(box.engine, encoding="utf-8")
            undo.callback(self._container.remove)
            _make(self._container, box, errand, spool)
            super().__init__(self._container.started(), self._home, None, sinks, limit)
            self._collector = Collector(errand.place, Spool(spool))
            undo.pop_all()
            self._held = held.pop_all()

    def wait(self, name: str, timeout: float | None = None) -> Outcome:
        """As of every program; then all that it recorded is collected, and the container goes."""
        outcome = super().wait(name, timeout)
        with self._held:
            self._collector.finish()
            try:
                outcome = self._outcome(name, outcome, self._container.state())
            except EngineError as error:  # the container may go on; the next command ends it
                why = f"{name}: the engine does not answer any more: {error}"
                return Outcome(FAILED, why, outcome.code)
            self._container.remove()
            close(self._place, self._home)
        return outcome

    def _outcome(self, name: str, outcome: Outcome, state: State | None) -> Outcome:
        """How it ended, as the engine knows it."""
        if self._stopped is not None:
            return outcome
        if state is None:
            return Outcome(KILLED, f"{name}: its container was removed", outcome.code)
        if state.is_running:
            return Outcome(FAILED, f"{name}: the engine let go of its container", outcome.code)
        if not state.has_started or state.error:
            why = state.error or self.kept.text().strip() or "the engine does not say why"
            return Outcome(FAILED, f"{name} could not be started: {why}", state.code)
        found = outcome_of(name, state.code, None)
        lacked = state.out_of_memory or os.path.lexists(self._home / SPOOL / _OOM)
        if found.reason and lacked:
            return Outcome(found.status, f"{name} ran out of memory ({found.reason})", state.code)
        return found

    def _end(self, numbers: Sequence[int], grace: float) -> None:
        """End all that runs in the container: by signals first, then by force."""
        for number in numbers if grace else ():
            self._container.send(number)
            if process.ends_within(self._leader, grace / len(numbers)):
                return
        self._container.kill()
        if not process.ends_within(self._leader, _LAST):
            process.end_group(self._leader, (signal.SIGTERM,), 0.5)


_LAST = 10.0  # seconds for the engine to tell of an end


def _make(container: Container, box: Confinement, errand: Errand, spool: Path) -> None:
    """Make the container, with the project's code in it."""
    user = containers.user_of(box.engine)
    mounts = [*box.mounts, Mount(spool, INSIDE, read_only=False)]
    options = [
        *(_of_user(user) if user else ()),
        "--security-opt=no-new-privileges",
        "--security-opt=label=disable",  # else the user's own folders would need a label
        *box.options,  # a later option wins: what follows is not for a project to change
        f"--label={RUN_LABEL}={errand.run_id}",
        f"--workdir={CODE}",
        *(mount.option for mount in mounts),
        *(f"--env={name}={value}" for name, value in variables(errand, str(INSIDE)).items()),
    ]
    first = ("/bin/sh", "-c", _FIRST, "gitml-run")
    container.create(options, box.image, [*first, *errand.argv[1:]])
    uid, _, gid = (user or "0:0").partition(":")
    with packing.archive(errand.folder, CODE, (int(uid), int(gid))) as packed:
        container.put(packed)


def _of_user(user: str) -> list[str]:
    """Run as the user whose files the spool's are to be, who may have no name or home there."""
    named = [f"--env=USER={environment.user() or 'gitml'}", "--env=HOME=/tmp"]
    return [f"--user={user}", *(named if not user.startswith("0:") else ())]


def variables(errand: Errand, spool: str) -> dict[str, str]:
    """The variables by which what runs elsewhere joins the run, and names its children's code."""
    repo = errand.place.repo
    code = git.resolve(repo, f"{LIVE_REFS}{errand.run_id}") or git.resolve(repo, "HEAD")
    return {
        "PYTHONUNBUFFERED": "1",
        "GITML_SPOOL": spool,
        "GITML_RUN_ID": errand.run_id,
        "GITML_PARENT_RUN_ID": errand.run_id,
        "GITML_EXPERIMENT_NAME": errand.experiment,
        **({"GITML_CODE": code} if code else {}),
    }
