"""The scoring server: the same model, behind gitml's server and behind MLflow's."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks import machine
from benchmarks.bench import Bench, Side, run
from benchmarks.peers import Peers
from benchmarks.row import Figure, Limit, MeasureError, Row, Unit, figure_of

LOAD = Path(__file__).with_name("load.py")
COLUMNS = [f"x{number}" for number in range(10)]
_PATIENCE = 120.0  # seconds until a server answers

_MODEL = """\
import gitml.sklearn, numpy, pandas
from gitml.models import infer_signature
from sklearn.linear_model import ElasticNet

rng = numpy.random.default_rng(0)
data = pandas.DataFrame(rng.normal(size=(500, 10)), columns=[f"x{number}" for number in range(10)])
model = ElasticNet(alpha=0.01).fit(data, data.sum(axis=1))
signature = infer_signature(data, model.predict(data))
gitml.sklearn.save_model(model, "model", signature=signature)
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked: rows in a request, clients at once, and how much faster gitml must be."""

    rows: int
    clients: int
    times: float | None

    def __str__(self) -> str:
        clients = "1 client" if self.clients == 1 else f"{self.clients} clients"
        return f"{self.rows:,} row{'s' * (self.rows > 1)} a request, {clients}"


LOADS = (Load(1, 1, 3.0), Load(1, 64, None), Load(1000, 1, 1.5))


def server(bench: Bench, peers: Peers) -> Iterator[Row]:
    """The scoring server, one worker."""
    folder = bench.work / "serving"
    folder.mkdir()
    ours = replace(bench.gitml(folder), patience=300)
    sides = [ours, *_mlflow(bench, peers, folder)]
    run([ours.python, "-c", _MODEL], folder, ours.variables, 300)
    yield _ready(bench, sides)
    load = machine.load()
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(_served(side)) for side in sides]
        for asked in LOADS:
            yield _rate(bench, asked, sides, [running.port for running in ports])
        sizes = [Figure(float(running.memory())) for running in ports]
    others = tuple(zip([side.label for side in sides[1:]], sizes[1:], strict=True))
    note = "resident memory of all processes, after all of that"
    yield Row("memory", Unit.BYTES, sizes[0], Limit(200e6), others, note, load)


def _mlflow(bench: Bench, peers: Peers, folder: Path) -> Iterator[Side]:
    if peers.python is not None:
        path = os.pathsep.join([str(Path(peers.python).parent), os.environ["PATH"]])
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        variables = bench.variables(PATH=path, **quiet)
        yield Side("MLflow", "mlflow", peers.python, folder, variables)


def _ready(bench: Bench, sides: list[Side]) -> Row:
    load, figures = machine.load(), []
    for side in sides:
        samples = []
        for _ in range(min(bench.sizes.starts, 5)):
            start = time.perf_counter()
            with _served(side):
                samples.append(time.perf_counter() - start)
        figures.append(figure_of(samples))
    others = tuple(zip([side.label for side in sides[1:]], figures[1:], strict=True))
    note = "from the start of the command to the first answer of /ping"
    return Row("ready to answer", Unit.SECONDS, figures[0], Limit(2.0), others, note, load)


def _rate(bench: Bench, asked: Load, sides: list[Side], ports: list[int]) -> Row:
    """Requests answered each second: the servers by turns, so that all meet the same machine."""
    body = sides[0].folder / f"body-{asked.rows}.json"
    body.write_text(json.dumps(_request(asked.rows)), encoding="utf-8")
    load = machine.load()
    found: dict[int, list[tuple[float, list[float]]]] = {port: [] for port in ports}
    for _ in range(bench.sizes.repeat):
        for port in ports:
            arguments = ["127.0.0.1", str(port), str(body), str(asked.clients)]
            command = [bench.python, str(LOAD), *arguments, str(bench.sizes.load)]
            done = json.loads(run(command, body.parent, bench.variables(), 120))
            found[port].append((len(done["samples"]) / done["seconds"], done["samples"]))
    figures = [_figure(found[port]) for port in ports]
    others = tuple(zip([side.label for side in sides[1:]], figures[1:], strict=True))
    limit = Limit(asked.times * figures[1].value, True) if asked.times and others else None
    return Row(str(asked), Unit.REQUESTS_PER_SECOND, figures[0], limit, others, "", load)


def _figure(rounds: list[tuple[float, list[float]]]) -> Figure:
    rates = [rate for rate, _ in rounds]
    samples = sorted(sample for _, part in rounds for sample in part)
    middle, late = (1000 * samples[int(len(samples) * share)] for share in (0.5, 0.99))
    return Figure(
        statistics.median(rates), max(rates), None, f"p50 {middle:.2f} ms, p99 {late:.2f} ms"
    )


def _request(rows: int) -> dict[str, object]:
    rng = random.Random(rows)
    data = [[rng.gauss(0, 1) for _ in COLUMNS] for _ in range(rows)]
    return {"dataframe_split": {"columns": COLUMNS, "data": data}}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    process: psutil.Popen
    port: int

    def memory(self) -> int:
        """The resident memory of all its processes, in bytes."""
        all_of_it = [self.process, *self.process.children(recursive=True)]
        return sum(item.memory_info().rss for item in all_of_it)


@contextlib.contextmanager
def _served(side: Side) -> Iterator[Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = ["--allow-code"] if side.api == "gitml" else ["--env-manager", "local"]
    process = psutil.Popen(
        [side.python, "-m", side.api, "models", "serve", "-m", "model", "-p", str(port), *own],
        cwd=side.folder,
        env=dict(side.variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port)
        yield Running(process, port)
    finally:
        _end(process)


def _wait(process: psutil.Popen, port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5),
        ):
            return
        time.sleep(0.01)
    raise MeasureError("the server does not answer")


def _end(process: psutil.Popen) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for item in [*process.children(recursive=True), process]:
            item.terminate()
    process.wait(30)
