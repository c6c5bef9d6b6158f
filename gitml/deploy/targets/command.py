"""The target `command`: a program of the repository's that brings a version to wherever it runs.

What it is told stands in its environment; docs/deployment-targets.md has the names, which are a
contract.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from gitml import process
from gitml.deploy import probe
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import NAMES, Address, Live
from gitml.deploy.release import Release, Tell
from gitml.documents import load_json, write_atomic
from gitml.errors import FormatError, UsageError, shown
from gitml.files import make_folder

_TAIL = 40  # lines of what a program said
_TICK = 1.0  # seconds
_PREFIX = "GITML_DEPLOY_"
_FILE = "deployed.json"


@dataclass(frozen=True, slots=True)
class Programs:
    """The argv that deploys and the one that takes away, and how many seconds each may take."""

    deploy: tuple[str, ...]
    remove: tuple[str, ...] = ()
    timeout: float = 900.0


@dataclass(frozen=True, slots=True)
class Command:
    """A deployment of a model in a stage, by programs that are run in a checkout of `code`.

    `address` is where the scoring server is asked, or, with `only_health`, where something answers
    200 as long as all is well; then `folder` keeps what was deployed last. `check` raises
    UsageError where the user has not allowed it, and `prove` DeployError for a version that can't
    predict.
    """

    name: tuple[str, str]
    programs: Programs
    address: Address
    only_health: bool
    folder: Path
    code: Callable[[], AbstractContextManager[Path]]
    check: Callable[[], None]
    prove: Callable[[Release, Tell], None]

    def live(self) -> Live:
        """What runs; with `only_health`, what was deployed last from this machine."""
        self.check()
        if not self.only_health:
            return probe.look(self.address)
        found = self._remembered()
        why = probe.unwell(self.address, "") if found.is_there else "nothing was deployed from here"
        return replace(found, is_well=not why, why=why)

    def deploy(self, release: Release, tell: Tell) -> str:
        """Have the program serve a version, which has proven itself here. Raises DeployError."""
        before = self.live()
        self.prove(release, tell)
        told = {
            **{key: getattr(release, key) for key in ("version", "run_id", "digest", "commit")},
            "path": str(release.folder),
            "was": before.version or "",
        }
        tell(f"running {self.programs.deploy[0]}")
        said = self._run("deploy", self.programs.deploy, told)
        self._await(release, said)
        make_folder(self.folder)
        names = {**told, "model": release.name}
        kept = json.dumps({key: names[key] for key in NAMES})
        write_atomic(self.folder / _FILE, kept.encode())
        return ""

    def remove(self) -> None:
        """Have the program take away what serves."""
        if not self.programs.remove:
            raise UsageError(
                "gitml.yaml names no program that takes away what runs there; give one: remove"
            )
        before = self.live()
        told = {"version": before.version or "", "run_id": before.run_id or ""}
        self._run("remove", self.programs.remove, told)
        (self.folder / _FILE).unlink(missing_ok=True)

    def _run(self, action: str, argv: tuple[str, ...], told: Mapping[str, str]) -> tuple[str, ...]:
        """The end of what a program says; DeployError when it fails."""
        stage, model = self.name
        named = {"action": action, "stage": stage, "model": model, **told}
        env = {**os.environ, **{_PREFIX + key.upper(): value for key, value in named.items()}}
        with self.code() as folder:
            try:
                done = process.run(argv, cwd=folder, env=env, timeout=self.programs.timeout)
            except TimeoutError:
                what = f"did not end within {self.programs.timeout:g} s"
                raise DeployError(f"{shown(argv[0])} {what}") from None
            except OSError as error:
                why = error.strerror or error
                raise DeployError(f"{shown(argv[0])} can't be started: {why}") from None
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        said = tuple(lines[-_TAIL:])
        if done.returncode:
            raise DeployError(f"{shown(argv[0])} ended with {done.returncode}", said)
        return said

    def _await(self, release: Release, said: tuple[str, ...]) -> None:
        """Wait until the version is what answers, and predicts; DeployError when it does not."""
        end = time.monotonic() + self.programs.timeout
        while why := self._lacks(release):
            if time.monotonic() > end:
                raise DeployError(f"the program ended well, but {why}", said)
            time.sleep(_TICK)

    def _lacks(self, release: Release) -> str:
        if self.only_health:
            return probe.unwell(self.address, "")
        live = probe.look(self.address)
        if not live.is_well or live.digest != release.digest:
            return live.why or f"{live.model} {live.version} answers"
        if not release.request:
            return ""
        return probe.refuses(self.address, release.request.encode())

    def _remembered(self) -> Live:
        """What was deployed last; nothing where that is not known."""
        try:
            found = load_json((self.folder / _FILE).read_bytes(), _FILE)
        except (OSError, FormatError):
            return Live()
        if not isinstance(found, dict) or not all(isinstance(found.get(it), str) for it in NAMES):
            return Live()
        return Live(True, True, True, *(found[key] for key in NAMES))
