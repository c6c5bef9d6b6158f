"""A process that serves one model: uvicorn, and what ends the process when the model hangs."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import logging
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

from gitml.models import pyfunc
from gitml.models.serving.app import Options, described, make_app
from gitml.models.serving.handover import Handover
from gitml.models.serving.limits import MEGABYTE, Limits
from gitml.models.serving.patience import Patience
from gitml.models.serving.pool import HangsError, Pool

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_KEEP_ALIVE = 75  # seconds that an idle connection stays; longer than proxies keep theirs
_DEAF_SECONDS = 25.0  # a call of C may let no other thread run for so long, or for `hopeless`
_LAST_SECONDS = 5.0  # until a process that has nothing left to do is gone
_STDERR = 2
_HEADER = re.compile(r"[\w./-]{1,200}", re.ASCII)
_TURN = 0.002  # seconds that a thread runs while the one that answers waits for its turn

logger = logging.getLogger(__name__)


def serve(
    model: pyfunc.PyFuncModel,
    options: Options,
    listener: socket.socket,
    ready: Callable[[], None],
    handover: Handover | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the handover says so; the process has to end then.

    Raises HangsError when the model hangs, or when a prediction did not end in time.
    """
    limits = options.limits
    pool = Pool(limits)
    config = _config(make_app(model, options, pool=pool), limits, _names(model))
    server = _server(config, pool, limits, ready, handover)
    _settle()
    with _signals_end_quietly():
        server.run([listener])
    pool.close()
    _end_within(_LAST_SECONDS)  # threads of the model's own could keep the process
    if server.hangs:
        raise HangsError(
            f"the model hangs: all {limits.threads} threads have predicted for more than"
            f" {limits.hopeless:g} s"
        )
    if pool.is_busy():
        raise HangsError("the server ended without a prediction that did not come to an end")


def _server(
    config: Any,
    pool: Pool,
    limits: Limits,
    ready: Callable[[], None],
    handover: Handover | None,
) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        hangs = False

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def on_tick(self, counter: int) -> bool:
            """Called ten times a second."""
            if counter % 10 == 0:
                _end_within(max(limits.hopeless, _DEAF_SECONDS) + _LAST_SECONDS)
            if handover is not None:
                await handover.tick(self)
            self.hangs = pool.is_stuck(limits.hopeless)
            return await super().on_tick(counter) or self.hangs

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            _end_within(limits.farewell + _LAST_SECONDS)
            await super().shutdown(sockets)

    return Server(config)


def _end_within(seconds: float) -> None:
    """End the process with 1, and show what it does, unless this is called again in time.

    What watches is no thread of Python's: it also ends a process whose model never lets another
    thread run.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=_STDERR)


def _names(model: pyfunc.PyFuncModel) -> list[tuple[str, str]]:
    """The headers that say with each answer what gave it."""
    told = described(model)
    named = {"model": told["model"], "version": told["version"], "run": told["run_id"]}
    return [
        (f"gitml-{key}", value)
        for key, value in named.items()
        if isinstance(value, str) and _HEADER.fullmatch(value)
    ]


def _config(app: Any, limits: Limits, headers: list[tuple[str, str]]) -> Any:
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
        headers=headers,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=limits.farewell,
    )


def _settle() -> None:
    """The last thing before requests come.

    Errors go to standard error; what uvicorn tells beyond that does not. What was loaded stays,
    and the garbage collector need not look through it again and again.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_TURN)
    if sys.platform == "linux":
        import ctypes

        # Large blocks go back to the system when they are freed; glibc unlearns that otherwise.
        if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
            mallopt(_MMAP_THRESHOLD, MEGABYTE)
    tell()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def tell() -> None:
    """Let what is logged go to standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")


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
