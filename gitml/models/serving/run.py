"""Serving a model: sockets, processes and signals around the application."""

from __future__ import annotations

import contextlib
import gc
import http.client
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gitml.errors import StorageError, UsageError, shown
from gitml.models import load, mlmodel, pyfunc
from gitml.models.flavor import need
from gitml.models.locate import Located
from gitml.models.serving import loading
from gitml.models.serving.app import Options, make_app
from gitml.models.serving.guard import App, is_loopback
from gitml.models.serving.limits import MEGABYTE, Limits
from gitml.models.serving.patience import Patience

if TYPE_CHECKING:
    import uvicorn

EXTRA = "serve"
_START_SECONDS = 600.0  # until the first of several workers has loaded the model
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_KEEP_ALIVE = 75  # seconds that an idle connection stays; longer than proxies keep theirs

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a model is served and how; `workers` are processes."""

    host: str = "127.0.0.1"
    port: int = 5000
    workers: int = 1
    strict: bool = False
    limits: Limits = field(default_factory=Limits)


def serve(
    uri: str,
    settings: Settings | None = None,
    *,
    allow_code: bool = False,
    announce: Announce = lambda url: None,
) -> None:
    """Serve a model until the process is told to stop; what is in flight then is answered.

    `announce` gets the URL once requests are answered. Raises UntrustedModelError for a model that
    may run code and is not this repository's, StorageError when the port is taken.
    """
    settings = settings or Settings()
    _stop_from_now_on()
    _need()
    with _socket(settings) as listener, _counts(settings) as counts:
        source, model = load.opened(uri, allow_code=allow_code)
        options = Options(settings.limits, settings.strict, is_loopback(settings.host), counts)
        url = _url(settings.host, listener.getsockname()[1])
        if settings.workers == 1:
            _run_one(loading.loaded(source, model), options, listener, lambda: announce(url))
        else:
            factory = Factory(source, options)
            _run_many(factory, settings.workers, listener, lambda: announce(url))


def _stop_from_now_on() -> None:
    """End when told to, also while the model is being loaded.

    The first process of a container gets no signal that it has not asked for.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def _need() -> None:
    for module in ("uvicorn", "starlette", "orjson", "numpy", "pandas"):
        need(module, EXTRA)


@dataclass(frozen=True, slots=True)
class Factory:
    """Makes the application in a worker. The parent has decided that the model may be loaded."""

    source: Located
    options: Options

    def __call__(self) -> App:
        """The application, its model loaded."""
        model = loading.loaded(self.source, mlmodel.read(self.source.folder))
        app = make_app(model, self.options)
        _settle()
        return app


def _run_one(
    model: pyfunc.PyFuncModel, options: Options, listener: socket.socket, ready: Callable[[], None]
) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    server = Server(_config(make_app(model, options), options.limits))
    _settle()
    with _signals_end_quietly():
        server.run([listener])


def _run_many(
    factory: Factory, workers: int, listener: socket.socket, ready: Callable[[], None]
) -> None:
    from uvicorn.supervisors import Multiprocess

    class Workers(Multiprocess):
        def init_processes(self) -> None:
            super().init_processes()
            if _answers(listener.getsockname(), self):
                ready()
            else:
                self.should_exit.set()

    config = _config(factory, factory.options.limits, workers=workers, factory=True)
    listener.set_inheritable(True)
    # The workers' Python would look for its own modules in the current folder, a stranger's maybe.
    os.environ["PYTHONSAFEPATH"] = "1"
    with _signals_end_quietly():
        Workers(config, [listener]).run()


def _config(app: Any, limits: Limits, **more: Any) -> uvicorn.Config:
    import uvicorn

    return uvicorn.Config(
        app,
        http=cast(Any, Patience(limits.head_seconds)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_worker_healthcheck=60,
        timeout_graceful_shutdown=int(limits.seconds + limits.body_seconds) + 1,
        **more,
    )


def _settle() -> None:
    """The last thing before requests come.

    Errors go to standard error; what uvicorn tells beyond that does not. What was loaded stays,
    and the garbage collector need not look through it again and again.
    """
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        import ctypes

        # Large blocks go back to the system when they are freed; glibc unlearns that otherwise.
        if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
            mallopt(_MMAP_THRESHOLD, MEGABYTE)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


@contextlib.contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Let the process end as usual after a signal that uvicorn has obeyed and raises again."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in kept:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


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


def _answers(address: tuple[Any, ...], workers: Any) -> bool:
    """Wait until a worker answers; False when the server is told to stop before."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not workers.signal_queue:
        if not all(worker.process.is_alive() for worker in workers.processes):
            raise StorageError("a worker could not start; what it said above tells why")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(host, address[1], timeout=5)
            connection.request("GET", "/ping", headers={"Host": "localhost"})
            if connection.getresponse().status == 200:
                return True
        time.sleep(0.05)
    return False
