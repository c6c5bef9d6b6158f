"""Serving a model: its address, and one process or several that answer there."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitml.errors import StorageError, UsageError, shown
from gitml.models import load, mlmodel
from gitml.models.flavor import need
from gitml.models.locate import Located
from gitml.models.serving import loading, metrics, worker
from gitml.models.serving.app import Options
from gitml.models.serving.guard import is_loopback
from gitml.models.serving.limits import Limits
from gitml.models.serving.supervisor import READY, Supervisor
from gitml.siblings import Say

EXTRA = "serve"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"v(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}", re.ASCII)

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a model is served and how; `workers` are processes.

    `registered_as` is what the registry calls the model, `NAME@VERSION`.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    workers: int = 1
    strict: bool = False
    limits: Limits = field(default_factory=Limits)
    registered_as: str | None = None


def serve(
    uri: str,
    settings: Settings | None = None,
    *,
    allow_code: bool = False,
    announce: Announce = lambda url: None,
) -> None:
    """Serve a model until the process is told to stop; what is in flight then is answered.

    `announce` gets the URL once requests are answered. Raises UntrustedModelError for a model that
    may run code and is not this repository's, StorageError when the port is taken or the workers do
    not come up, HangsError when the model hangs.
    """
    settings = settings or Settings()
    _stop_from_now_on()
    check_installed()
    with _socket(settings) as listener, _counts(settings) as counts:
        source, model = load.opened(uri, allow_code=allow_code)
        source = _named(source, settings.registered_as)
        options = Options(settings.limits, settings.strict, is_loopback(settings.host), counts)
        url = _url(settings.host, listener.getsockname()[1])
        if settings.workers == 1:
            model_here = loading.loaded(source, model)
            worker.serve(model_here, options, listener, lambda: announce(url))
        else:
            work = Work(source, options, listener)
            _supervise(work, settings.workers, lambda: announce(url))


def _named(source: Located, registered_as: str | None) -> Located:
    """The model by the name and version that the registry has for it."""
    if registered_as is None:
        return source
    name, _, version = registered_as.partition("@")
    if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version)):
        raise UsageError(f"{shown(registered_as)} is not NAME@VERSION, such as churn@v1.0.0")
    return replace(source, name=name, version=version)


def _stop_from_now_on() -> None:
    """End when told to, also while the model is being loaded.

    The first process of a container gets no signal that it has not asked for.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def check_installed() -> None:
    """Refuse to serve without the libraries for it; UsageError names the extra."""
    for module in ("uvicorn", "starlette", "orjson", "numpy", "pandas"):
        need(module, EXTRA)


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker does. The parent has decided that the model may be loaded."""

    source: Located
    options: Options
    listener: socket.socket

    def __call__(self, say: Say) -> None:
        """Load the model and serve it."""
        model = loading.loaded(self.source, mlmodel.read(self.source.folder))
        worker.serve(model, self.options, self.listener, lambda: say(READY))


def _supervise(work: Work, count: int, ready: Callable[[], None]) -> None:
    # The workers' Python would look for its own modules in the current folder, a stranger's maybe.
    os.environ["PYTHONSAFEPATH"] = "1"
    counts = work.options.counts
    assert counts is not None
    bury = functools.partial(metrics.bury, counts)
    Supervisor(work, count, work.options.limits.farewell, ready, bury).run()


# -- sockets -------------------------------------------------------------------------------


@contextlib.contextmanager
def _socket(settings: Settings) -> Iterator[socket.socket]:
    """A socket at the address; nobody can connect before the server listens."""
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UsageError(f"there is no host {shown(host)} to serve on") from None
    family, kind, number, _, address = found[0]
    with socket.socket(family, kind, number) as listener:
        if hasattr(socket, "SO_REUSEPORT"):  # not Windows, where it would share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            why = error.strerror or "it can't be used"
            raise StorageError(f"can't serve on {shown(host)}, port {port}: {why}") from None
        yield listener


def _url(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


@contextlib.contextmanager
def _counts(settings: Settings) -> Iterator[Path | None]:
    """The folder where several workers count their requests."""
    if settings.workers == 1:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="gitml-serve-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
