"""The process of a server that is tried before it takes over: `python -m` this module with a plan.

It is started by who has fetched, hashed and judged the model; sockets come with it as descriptors.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from gitml.errors import GitmlError
from gitml.models import locate, mlmodel
from gitml.models.locate import Located
from gitml.models.serving import loading, run, worker
from gitml.models.serving.app import Options
from gitml.models.serving.guard import is_loopback
from gitml.models.serving.handover import FAILED, READY, Handover


@dataclass(frozen=True, slots=True)
class Served:
    """What is served: the model's folder, and what the registry says of it."""

    folder: str
    name: str
    version: str
    run_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Sockets:
    """Descriptors: a listening socket of its own, the shared one, the line to who started it."""

    private: int
    shared: int
    line: int


def command(python: str, served: Served, sockets: Sockets, host: str) -> list[str]:
    """The argv that starts such a server with the interpreter `python`, for a shared `host`."""
    plan = json.dumps({"served": asdict(served), "sockets": asdict(sockets), "host": host})
    # Isolated: the current folder, which may be a stranger's, has modules of any name.
    return [python, "-I", "-m", __name__, plan]


def main(plan: str) -> int:
    """Serve until the line is closed; the exit code."""
    told = json.loads(plan)
    served, numbers = Served(**told["served"]), Sockets(**told["sockets"])
    sockets = [socket.socket(fileno=it) for it in (numbers.private, numbers.shared, numbers.line)]
    private, shared, line = sockets
    for one in sockets:
        os.set_inheritable(one.fileno(), False)
    handover = Handover(shared, line)
    try:
        run.check_installed()
        model = loading.loaded(_checked(served), mlmodel.read(Path(served.folder)))
        options = Options(local=is_loopback(told["host"]))
        worker.serve(model, options, private, lambda: handover.say(READY), handover)
    except (GitmlError, OSError, MemoryError) as error:
        handover.say(FAILED, str(error) or type(error).__name__)
        return 1
    return 0


def _checked(served: Served) -> Located:
    """The model, its bytes those that were judged."""
    return locate.checked(
        Located(
            f"models:/{served.name}/{served.version}",
            Path(served.folder),
            True,
            served.run_id,
            served.digest,
            served.name,
            served.version,
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
