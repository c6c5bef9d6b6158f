"""What the server counts, as Prometheus reads it.

Each worker counts in a file of its own, an array of numbers in shared memory; whichever worker is
asked adds them all up.
"""

from __future__ import annotations

import bisect
import mmap
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

STATUSES = (200, 204, 400, 403, 404, 405, 408, 413, 415, 421, 431, 499, 500, 503, 504)
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
ROUTES = ("/invocations", "other")

# The places in the array.
_IN_FLIGHT = 0
_SECONDS = 1
_FAILURES = 2  # of the model
_BUCKET = 3  # and one more, for all that took longer
_REQUEST = _BUCKET + len(BUCKETS) + 1
_SIZE = _REQUEST + len(STATUSES) * len(ROUTES)


class Metrics:
    """The counts of this worker, beside those of others in the same `folder`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._values = memoryview(_array(folder)).cast("d")

    def start(self) -> None:
        """Count a request that has begun."""
        self._values[_IN_FLIGHT] += 1

    def end(self, path: str, status: int, seconds: float) -> None:
        """Count the end of a request; how long one for predictions took goes to the histogram."""
        self._values[_IN_FLIGHT] -= 1
        route = 0 if path == ROUTES[0] else 1
        if status in STATUSES:
            self._values[_REQUEST + route * len(STATUSES) + STATUSES.index(status)] += 1
        if not route:
            self._values[_SECONDS] += seconds
            self._values[_BUCKET + bisect.bisect_left(BUCKETS, seconds)] += 1

    def fail(self) -> None:
        """Count a prediction at which the model failed."""
        self._values[_FAILURES] += 1

    def text(self, info: Mapping[str, str]) -> str:
        """All counts in Prometheus' format; `info` are the labels that describe the model."""
        return "\n".join([*_lines(self._total(), info), ""])

    def _total(self) -> list[float]:
        if self._folder is None:
            return list(self._values)
        rows = [_read(path) for path in self._folder.glob("*.counts")]
        return [sum(column) for column in zip(*rows, strict=True)]


def bury(folder: Path, pid: int) -> None:
    """What a worker that is gone has not answered is not in flight any more."""
    for path in folder.glob(f"{pid}-*.counts"):
        with path.open("r+b") as file:
            file.seek(8 * _IN_FLIGHT)
            file.write(bytes(8))


def _array(folder: Path | None) -> mmap.mmap | bytearray:
    if folder is None:
        return bytearray(8 * _SIZE)
    # An id may come again, and what its process had counted stays.
    make, name = tempfile.NamedTemporaryFile, f"{os.getpid()}-"
    with make("r+b", suffix=".counts", prefix=name, dir=folder, delete=False) as file:
        file.write(bytes(8 * _SIZE))
        file.flush()
        return mmap.mmap(file.fileno(), 8 * _SIZE)


def _read(path: Path) -> tuple[float, ...]:
    data = path.read_bytes()
    return struct.unpack(f"{_SIZE}d", data) if len(data) == 8 * _SIZE else (0.0,) * _SIZE


# -- the text ------------------------------------------------------------------------------


def _lines(values: list[float], info: Mapping[str, str]) -> Iterator[str]:
    yield from _head("gitml_requests_total", "counter", "Requests answered.")
    for number, route in enumerate(ROUTES):
        for place, status in enumerate(STATUSES):
            count = values[_REQUEST + number * len(STATUSES) + place]
            if count:
                labels = f'path="{route}",status="{status}"'
                yield f"gitml_requests_total{{{labels}}} {count:.0f}"
    yield from _histogram(values)
    yield from _head("gitml_requests_in_flight", "gauge", "Requests being answered.")
    yield f"gitml_requests_in_flight {values[_IN_FLIGHT]:.0f}"
    yield from _head("gitml_model_failures_total", "counter", "Predictions the model failed at.")
    yield f"gitml_model_failures_total {values[_FAILURES]:.0f}"
    yield from _head("gitml_model_info", "gauge", "The model that is served.")
    yield f"gitml_model_info{{{','.join(map(_label, info.items()))}}} 1"


def _head(name: str, kind: str, help: str) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"


def _histogram(values: list[float]) -> Iterator[str]:
    name = "gitml_request_duration_seconds"
    yield from _head(name, "histogram", "How long requests for predictions took.")
    total = 0.0
    for place, bound in enumerate((*map(str, BUCKETS), "+Inf")):
        total += values[_BUCKET + place]
        yield f'{name}_bucket{{le="{bound}"}} {total:.0f}'
    yield f"{name}_sum {values[_SECONDS]:.6f}"
    yield f"{name}_count {total:.0f}"


def _label(item: tuple[str, str]) -> str:
    text = item[1].replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'{item[0]}="{text}"'
