"""The bench: repositories of every size, and programs that run in them as a user would.

Everything lies in one temporary folder. Programs get a home of their own and none of the
variables that change what git, DVC, gitml or MLflow do.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.row import Figure, Limit, MeasureError, Row, Unit, figure_of
from benchmarks.workloads import EXPERIMENT, repeated
from tests.ledgers import make_ledger, make_runs
from tests.registries import make_registry

WORKLOADS = Path(__file__).with_name("workloads.py")
INTERNALS = Path(__file__).with_name("internals.py")
SEED = 1
_HOUR = 3600
_GITCONFIG = "[user]\nname = Ada\nemail = ada@example.org\n[init]\ndefaultBranch = main\n"
# Without the last two every process would compile all modules anew, or write every line apart.
_FOREIGN = (
    *("GITML_", "MLFLOW_", "DVC_", "GIT_", "XDG_"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything.

    `load` and `patience` are seconds: of requests to a server, and what the other side may take.
    """

    ledgers: tuple[int, ...] = (1, 10_000, 100_000)
    peer_ledger: int = 10_000
    files: int = 5000
    few_files: int = 50
    calls: int = 300_000
    peer_calls: int = 1000
    batch: int = 1000
    points: int = 100_000
    runs: int = 40
    packed: int = 200
    writers: int = 8
    written: int = 25
    starts: int = 11
    repeat: int = 5
    models: int = 20
    versions: int = 25
    load: float = 4.0
    patience: float = 60.0


QUICK = Sizes(
    ledgers=(1000, 10_000),
    peer_ledger=1000,
    runs=15,
    packed=60,
    starts=5,
    repeat=3,
    models=10,
    versions=10,
    load=2.0,
)


@dataclass(frozen=True, slots=True)
class Side:
    """A program's way to run tasks: its module `api`, interpreter, folder and variables."""

    label: str
    api: str
    python: str
    folder: Path
    variables: Mapping[str, str]
    patience: float = 600.0

    def task(self, name: str, *, script: Path = WORKLOADS, **arguments: Any) -> dict[str, Any]:
        """Run a task in a fresh process; what it measured."""
        command = [self.python, str(script), self.api, name, json.dumps(arguments)]
        printed = run(command, self.folder, self.variables, self.patience)
        return dict(json.loads(printed.splitlines()[-1]))

    def start(self, name: str, **arguments: Any) -> subprocess.Popen[str]:
        """Start a task that waits for a line on its standard input."""
        command = [self.python, str(WORKLOADS), self.api, name, json.dumps(arguments)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=dict(self.variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def process(self, *arguments: str) -> None:
        """Run this side's interpreter, from its start to its end."""
        run([self.python, *arguments], self.folder, self.variables, self.patience)

    def processes(self, *arguments: str, repeat: int) -> Figure:
        """How long such a process takes; one goes ahead that warms the caches."""
        self.process(*arguments)
        return measured(lambda: self.process(*arguments), repeat)


def run(command: Sequence[str], folder: Path, variables: Mapping[str, str], seconds: float) -> str:
    """Run a program; what it printed. Raises MeasureError when it fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MeasureError(f"more than {seconds:.0f} s, stopped") from None
    except OSError as error:
        raise MeasureError(f"{command[0]} can't be started: {error.strerror}") from None
    if done.returncode:
        raise MeasureError(f"failed: {last_line(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def last_line(text: str) -> str:
    """What a program said last, which is where Python names the error."""
    return (text.strip().splitlines() or [""])[-1][:200]


@dataclass
class Bench:
    """The temporary folder `work`, and what was made in it so far."""

    work: Path
    sizes: Sizes = field(default_factory=Sizes)
    python: str = sys.executable
    _made: dict[str, Path] = field(default_factory=dict)

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a program: a home of its own, no configuration but an identity."""
        home = self.work / "home"
        if not home.is_dir():
            home.mkdir()
            (home / "gitconfig").write_text(_GITCONFIG, encoding="utf-8")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_FOREIGN)}
        mine = {"HOME": home, "USERPROFILE": home, "GIT_CONFIG_GLOBAL": home / "gitconfig"}
        return {
            **kept,
            **{name: str(path) for name, path in mine.items()},
            "GIT_CONFIG_NOSYSTEM": "1",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(home / "dvc"),
            **more,
        }

    def gitml(self, folder: Path) -> Side:
        """gitml, in the repository `folder`."""
        return Side("gitml", "gitml", self.python, folder, self.variables())

    def repository(self, name: str = "", *, runs: int = 0, files: int | None = None) -> Path:
        """A repository of tracked files and a ledger of `runs`, made at the first call.

        Those of the same `name` and number of runs are the same. `files` is by default that of
        the sizes.
        """
        key = f"{name or 'ledger'}-{runs}"
        if key not in self._made:
            folder = self.work / key
            self._make_files(folder, self.sizes.files if files is None else files)
            if runs:
                make_ledger(folder, runs, seed=SEED)
            self._made[key] = folder
        return self._made[key]

    def registry(self) -> Path:
        """A repository with a registry, whose refs are packed as those of a clone are."""
        if "registry" not in self._made:
            folder = self.work / "registry"
            self._make_files(folder, self.sizes.few_files)
            make_registry(folder, self.sizes.models, self.sizes.versions, seed=SEED)
            self.git(folder, "pack-refs", "--all")
            self._made["registry"] = folder
        return self._made["registry"]

    def records(self, runs: int) -> Iterator[Any]:
        """The records of the runs in the ledger of that many."""
        return make_runs(runs, seed=SEED, experiment=EXPERIMENT)

    def git(self, folder: Path, *args: str) -> str:
        """Run git; what it printed."""
        return run(("git", *args), folder, self.variables(), 600)

    def _make_files(self, folder: Path, files: int) -> None:
        """Tracked files of some kB, an hour old, so that git need not read them again."""
        rng, old = random.Random(0), time.time() - _HOUR
        for number in range(files):
            path = folder / f"package{number // 50:03}" / f"module{number % 50:02}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = (f"value_{line} = {rng.random()}\n" for line in range(rng.randrange(5, 100)))
            path.write_text("".join(lines), encoding="utf-8")
            os.utime(path, (old, old))
        self.git(folder, "init", "--quiet")
        self.git(folder, "add", "--all")
        self.git(folder, "commit", "--quiet", "--message", "The code")
        self.git(folder, "repack", "-adq")


def measured(function: Callable[[], object], repeat: int) -> Figure:
    """How long each call of a function takes that runs other processes."""
    done = repeated(function, repeat)
    return figure_of(done["samples"], done["cpu"])


Measure = Callable[[Side], Figure]


def compare(
    what: str,
    unit: Unit,
    measure: Measure,
    ours: Side,
    peers: Iterable[Side] = (),
    *,
    limit: Limit | None = None,
    note: str = "",
) -> Row:
    """A row: the same measurement of gitml, then of each peer; a peer is made when its turn is."""
    load = machine.load()
    figures = [(side.label, attempt(measure, side)) for side in (ours, *peers)]
    return Row(what, unit, figures[0][1], limit, tuple(figures[1:]), note, load)


def attempt(measure: Measure, side: Side) -> Figure | str:
    """The figure, or the reason why there is none."""
    try:
        return measure(side)
    except MeasureError as error:
        return str(error)


def task(name: str, *, script: Path = WORKLOADS, **arguments: Any) -> Measure:
    """The measurement that a task's samples are."""

    def measure(side: Side) -> Figure:
        done = side.task(name, script=script, **arguments)
        return figure_of(done["samples"], done["cpu"])

    return measure
