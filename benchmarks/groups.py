"""The groups of measurements, by the name that `--only` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import artifacts, calls, reading, recording, registry, serving, start
from benchmarks.bench import Bench
from benchmarks.peers import Peers
from benchmarks.row import Row

Group = Callable[[Bench, Peers], Iterator[Row]]

GROUPS: dict[str, Group] = {
    "import": start.imports,
    "commands": start.commands,
    "log": calls.single,
    "batch": calls.batches,
    "run": recording.warm,
    "size": recording.size,
    "writers": recording.writers,
    "search": reading.search,
    "index": reading.index,
    "registry": registry.commands,
    "artifacts": artifacts.model,
    "models": artifacts.logged,
    "serving": serving.server,
}
