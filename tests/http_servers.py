"""HTTP servers of 127.0.0.1 for tests, which answer until their block ends."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def answering(
    handler: Callable[..., BaseHTTPRequestHandler], port: int = 0, certificate: Path | None = None
) -> Iterator[str]:
    """The address of a server, as `127.0.0.1:PORT`; by TLS with a file of certificate and key."""
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Quiet:
    """A handler, with another one of http.server, that writes no log."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
