"""A loop that keeps what runs as the main branch says: for places that nothing can reach to deploy.

It only asks: nobody has to reach it, and it has no right to write anything at the remote. Killed at
any moment it leaves what runs as it is, and the next one goes on.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from gitml import caches, config, git
from gitml.deploy import attempts, choosing, reconcile, reporting, wanted
from gitml.deploy.reconcile import NOTHING, Outcome, Wish
from gitml.deploy.release import Tell
from gitml.deploy.state import State
from gitml.documents import write_atomic
from gitml.errors import GitmlError, UsageError, shown
from gitml.registry.main_branch import Main
from gitml.tracking.place import Place, place_of

_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@|^https?://[^/@]{20,}@")  # a long user is a token
_FILES = (".dvc/config", config.FILE_NAME)  # which tell where artifacts are


@dataclass(frozen=True, slots=True)
class Report:
    """What an agent has seen and done: `looked` when it last did without an error, in s since 1970.

    `commit` is that of the main branch then, `results` counts what came of deployments.
    """

    looked: float = 0.0
    commit: str = ""
    error: str = ""
    rounds: int = 0
    errors: int = 0
    states: tuple[State, ...] = ()
    failures: tuple[attempts.Attempts, ...] = ()
    results: Counter[str] = field(default_factory=Counter)


class Agent:
    """Looks every `interval` seconds until `stop`; `report` is what came of it so far."""

    def __init__(self, find: Callable[[], Place], interval: float, tell: Tell) -> None:
        self._find = find
        self._interval = interval
        self._tell = tell
        self._is_over = threading.Event()
        self._said = ""
        self._proposed: set[str] = set()
        self.report = Report()

    def stop(self) -> None:
        """End after what is being done now; what runs goes on."""
        self._is_over.set()

    def run(self) -> None:
        """Until stopped."""
        while not self._is_over.is_set():
            begun = time.monotonic()
            self.look()
            self._is_over.wait(max(1.0, begun + self._interval - time.monotonic()))

    def look(self) -> None:
        """One round. What goes wrong is told and reported, and the next round tries again.

        So it is with a fault of gitml's own, too: what comes from outside is to stop no agent.
        """
        before = self.report
        try:
            now = self._round(before)
            self._said = ""
        except Exception as error:
            is_known = isinstance(error, (GitmlError, OSError))
            why = str(error) if is_known else f"{type(error).__name__}: {shown(str(error))}"
            now = replace(before, error=why, errors=before.errors + 1)
            if self._said != now.error:
                self._tell(now.error)
            self._said = now.error
        self.report = replace(now, rounds=before.rounds + 1)

    def _round(self, before: Report) -> Report:
        place = self._find()
        told = wanted.wanted(place)
        bring_settings(place, told.main)
        done = reconcile.deploy(place, told, Wish(patient=True), self._tell, self._note)
        reporting.report(place, told, done, self._tell)
        states = tuple(wanted.states(place, told, told.deployments))
        return replace(
            before,
            looked=time.time(),
            commit=told.main.commit,
            error="",
            states=states,
            failures=tuple(attempts.read(choosing.folder(place, it.deployment)) for it in states),
            results=before.results + Counter(outcome.done for outcome in done),
        )

    def _note(self, outcome: Outcome) -> None:
        if outcome.done == reconcile.PROPOSED and outcome.why in self._proposed:
            return
        if outcome.done not in (NOTHING, reconcile.WAITING, reconcile.FROZEN):
            version = outcome.before.wanted.version if outcome.before.wanted else ""
            why = f": {outcome.why}" if outcome.why else ""
            self._tell(f"{outcome.before.deployment.name}: {version} {outcome.done}{why}")
            for line in outcome.log:
                self._tell(f"    {shown(line)}")
        if outcome.done == reconcile.PROPOSED:
            self._proposed.add(outcome.why)


# -- a clone of its own --------------------------------------------------------------------


def clone(url: str) -> Place:
    """The agent's own clone of a repository: no work tree, and only the objects that it needs."""
    url = _checked(url)
    folder = caches.folder("agents") / sha256(url.encode()).hexdigest()[:16]
    if not (folder / ".git" / "HEAD").exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        git.run(folder, "init", "--quiet", "--template=")
    for key, value in (
        ("url", url),
        ("fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ("promisor", "true"),
        ("partialclonefilter", "blob:none"),
    ):
        git.run(folder, "config", f"remote.origin.{key}", value)
    return place_of(git.find(folder), folder)


def _checked(url: str) -> str:
    """A URL, or the whole path of a repository; UsageError for one with a password."""
    if url.startswith("-") or _PASSWORD.search(url):
        what = "holds a password; leave it to a git credential helper"
        raise UsageError(f"--remote: {what if url[:1] != '-' else 'is no URL'}")
    path = Path(url)
    return str(path.resolve()) if path.is_dir() else url


def bring_settings(place: Place, main: Main) -> None:
    """Write the files of the main branch that say where artifacts are into an agent's clone."""
    root = place.repo.root
    if root is None or not root.is_relative_to(caches.folder("agents")):
        return
    texts = git.read_present(place.repo, [f"{main.commit}:{name}" for name in _FILES])
    for name, data in zip(_FILES, texts, strict=True):
        path = Path(root, name)
        if data is None:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, data)
