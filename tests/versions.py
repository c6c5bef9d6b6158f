"""Versions to deploy without a registry, and clients that ask a server all the time."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gitml.deploy.release import Release
from gitml.models.digest import digest_of_folder
from tests.deployments import EXAMPLE, save

Kind = tuple[float, bool]
KEEPING: Kind = (0.002, True)  # through one connection as long as the server keeps it
CONNECTING: Kind = (0.0, False)  # through a connection for each request
PAUSING: Kind = (0.7, True)  # through a connection that is idle most of the time


def release(folder: Path, number: int, code: str = "pass", model: str = "churn") -> Release:
    """A version whose every prediction is its number; `code` runs first."""
    path = save(folder / f"v{number}", number, code)
    digest, here, version = digest_of_folder(path), Path(sys.executable), f"v{number}.0.0"
    return Release(model, version, f"{number:032x}", digest, path, lambda *_: here, EXAMPLE)


def quiet(text: str) -> None:
    """What nobody listens to."""


@dataclass
class Clients:
    """Who asks all the time; `answers` counts the predictions, `lost` has what was none."""

    port: int
    answers: Counter[object] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    is_over: bool = False

    def asking(self, pause: float, is_kept: bool) -> None:
        """Ask until it is over, with as many seconds between two requests."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.is_over:
            self._ask(connection)
            if not is_kept:
                connection.close()
            time.sleep(pause)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.request(
                "POST", "/invocations", EXAMPLE, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            self.answers[json.loads(body)["predictions"][0]] += 1
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self.lost.append(repr(error))
            connection.close()


@contextmanager
def clients(port: int, *kinds: Kind) -> Iterator[Clients]:
    """Clients of these kinds, for the length of a block."""
    found = Clients(port)
    threads = [threading.Thread(target=found.asking, args=kind) for kind in kinds]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.is_over = True
        for thread in threads:
            thread.join()
