"""A model served behind a wall: it gets requests, and can do little but answer them.

The model is the code of whoever made it. It runs in a process that has no variables of the
caller's, reads nothing but its own folder and its Python, writes in a folder of its own alone, and
reaches neither network nor other processes; see `gitml.walls`. Nothing that it starts outlives it;
see `gitml.kept`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml import kept, process
from gitml.errors import GitmlError, StorageError, UsageError, shown
from gitml.models import mlmodel
from gitml.models.locate import Located
from gitml.models.serving import loading, run, worker
from gitml.models.serving.app import Options
from gitml.models.serving.limits import MEGABYTE, Limits
from gitml.walls import Wall

_LOOPBACK = "127.0.0.1"
_LIMITS = Limits(body=64 * MEGABYTE, seconds=300.0, body_seconds=60.0)
_LOADING_SECONDS = 600.0
_PAUSE = 0.1
_TAIL = 20  # lines of what it said
_ASK = (
    "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, sys.exec_prefix,"
    " sys.base_exec_prefix, *sys.path]))"
)
_KEPT = ("LANG", "LC_ALL", "SYSTEMROOT")
# What programs read on every machine, and where no secrets are.
_SYSTEM = (
    "/bin", "/lib", "/lib32", "/lib64", "/usr", "/nix/store", "/etc/ld.so.cache", "/etc/localtime",
    "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guest:
    """A model to be served: its folder, its Python, and what it must never read.

    Without `is_walled` it is a process of its own with no variables, and nothing more.
    """

    folder: Path
    python: Path
    hidden: tuple[Path, ...] = ()
    is_walled: bool = True


@contextlib.contextmanager
def serving(guest: Guest) -> Iterator[str]:
    """The address of the model, which is served for as long as the block lasts.

    Raises UsageError when it can't be loaded, or its Python lies where it could read what it must
    not, StorageError when no wall can be built.
    """
    with tempfile.TemporaryDirectory(prefix="gitml-guest-", ignore_cleanup_errors=True) as own:
        argv = [str(guest.python), "-I", "-m", __name__, "{}", str(guest.folder)]
        with socket.create_server((_LOOPBACK, 0)) as listener:
            argv[4] = str(listener.fileno())
            port = listener.getsockname()[1]
            command = _wall(guest, own).command(argv) if guest.is_walled else argv
            server = process.start_with(
                kept.command(command), (listener.fileno(),), _variables(own)
            )
        let_go = process.guard(server)
        try:
            said = _listen(server)
            _wait(server, port, said)
            yield f"http://{_LOOPBACK}:{port}"
        finally:
            process.end_group(server, (signal.SIGTERM,), kept.SECONDS + 2)
            let_go()


def _wall(guest: Guest, own: str) -> Wall:
    done = process.run([str(guest.python), "-I", "-c", _ASK], timeout=60, env=_variables(own))
    if done.returncode:
        raise StorageError(f"{guest.python} does not run")
    found = [guest.folder, guest.python, guest.python.resolve().parent]
    found += [Path(it) for it in json.loads(done.stdout) if os.path.isabs(it)]
    for hidden in (it.resolve() for it in guest.hidden):
        for shared in filter(hidden.is_relative_to, _SYSTEM):
            raise UsageError(f"the model could read {shown(str(hidden))}: move it out of {shared}")
        for path in found:
            if hidden.is_relative_to(path.resolve()):
                raise UsageError(
                    f"the Python of the model is in {shown(str(path))}, with what it must not"
                    " read; use --env-manager uv"
                )
    return Wall((*_SYSTEM, *dict.fromkeys(map(str, found))), (own,))


def _variables(own: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PATH": os.defpath, "HOME": own, "TMPDIR": own}


def _listen(server: process.Server) -> deque[str]:
    """The last lines that it says, as they come."""
    said: deque[str] = deque(maxlen=_TAIL)

    def keep() -> None:
        assert server.stdout is not None
        with server.stdout as lines:
            while line := lines.readline(1 << 16):
                said.append(line.decode("utf-8", "replace").strip())

    threading.Thread(target=keep, daemon=True).start()
    return said


def _wait(server: process.Server, port: int, said: Sequence[str]) -> None:
    """Wait until it answers."""
    deadline = time.monotonic() + _LOADING_SECONDS
    while not _is_well(port):
        if server.poll() is not None:
            time.sleep(_PAUSE)  # for its last words
            last = next((line for line in reversed(said) if line), f"exit code {server.returncode}")
            raise UsageError(f"the model can't be served: {shown(last)}")
        if time.monotonic() > deadline:
            raise UsageError(f"the model did not load within {_LOADING_SECONDS:g} s")
        time.sleep(_PAUSE)


def _is_well(port: int) -> bool:
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=1.0)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(descriptor: str, folder: str) -> int:
    """Serve the model in a folder on a listening socket, until the process is ended."""
    try:
        run.check_installed()
        with socket.socket(fileno=int(descriptor)) as listener:
            source = Located(folder, Path(folder))
            model = loading.loaded(source, mlmodel.read(source.folder))
            worker.serve(model, Options(_LIMITS), listener, lambda: None)
    except (GitmlError, OSError, MemoryError) as error:
        sys.stderr.write(f"{str(error) or type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
