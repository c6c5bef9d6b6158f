"""What is timed, in the words of MLflow's API: the same lines run for gitml and for MLflow.

    python workloads.py API TASK ARGUMENTS

API is the module, `gitml` or `mlflow`, TASK a function of this file, ARGUMENTS a JSON object for
it. What was measured is printed as one line of JSON; times are in seconds. Nothing is imported
here but the standard library, and what the module itself brings.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any

EXPERIMENT = "churn"


def repeated(function: Callable[[], Any], most: int, seconds: float = 20.0) -> dict[str, Any]:
    """How long each of `most` calls took; fewer calls when they take more than `seconds`.

    `cpu` is the mean processor time of a call, with that of the programs it waited for.
    """
    samples: list[float] = []
    before = cpu_seconds()
    while len(samples) < most and (sum(samples) < seconds or not samples):
        start = time.perf_counter()
        function()
        samples.append(time.perf_counter() - start)
    return {"samples": samples, "cpu": (cpu_seconds() - before) / len(samples)}


def cpu_seconds() -> float:
    """The processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def log_metric(api: Any, calls: int) -> dict[str, Any]:
    """The median and the 99.9th percentile of single log_metric calls, and the worst."""
    times = []
    with api.start_run():
        for step in range(calls):
            start = time.perf_counter()
            api.log_metric("loss", 1 / (step + 1), step=step)
            times.append(time.perf_counter() - start)
    times.sort()
    return {"median": times[calls // 2], "p999": times[int(calls * 0.999)], "worst": times[-1]}


def log_many(api: Any, metrics: int, repeat: int) -> dict[str, Any]:
    """One call of log_metrics with many metrics."""
    with api.start_run():
        steps = iter(range(repeat))

        def call() -> None:
            step = next(steps)
            api.log_metrics({f"m{key}": key / 7 for key in range(metrics)}, step=step)

        return repeated(call, repeat)


def runs(
    api: Any, count: int, warm: int = 3, points: int = 1, single: bool = False, seconds: float = 20
) -> dict[str, Any]:
    """Whole runs of 10 params and 10 metrics; `single` logs each of them by a call of its own."""
    rng = random.Random(0)

    def run() -> None:
        params = {f"p{key}": rng.random() for key in range(10)}
        with api.start_run():
            _log_each(api.log_param, params) if single else api.log_params(params)
            for step in range(points):
                metrics = {f"m{key}": rng.random() for key in range(10)}
                if single:
                    _log_each(api.log_metric, metrics, step=step)
                else:
                    api.log_metrics(metrics, step=step)

    repeated(run, warm)
    measured = repeated(run, count, seconds)
    return {**measured, "runs": warm + len(measured["samples"])}


def _log_each(log: Callable[..., Any], values: dict[str, float], **more: Any) -> None:
    for key, value in values.items():
        log(key, value, **more)


def points(api: Any, count: int, batch: int, repeat: int, key: str = "loss") -> dict[str, Any]:
    """One run with many points, from its start to its end."""
    entities = importlib.import_module(f"{api.__name__}.entities")
    now = int(time.time() * 1000)
    metrics = [entities.Metric(key, 1 / (step + 1), now + step, step) for step in range(count)]
    client = api.MlflowClient()
    ids = []

    def run() -> None:
        with api.start_run() as run:
            ids.append(run.info.run_id)
            for first in range(0, count, batch):
                client.log_batch(run.info.run_id, metrics=metrics[first : first + batch])

    return {**repeated(run, repeat), "run_id": ids[-1]}


def history(api: Any, run_id: str, count: int, repeat: int, key: str = "loss") -> dict[str, Any]:
    """All points of a metric of a recorded run, read back."""
    client = api.MlflowClient()
    found = client.get_metric_history(run_id, key)
    assert len(found) == count, f"{len(found)} points of {count} read back"
    return repeated(lambda: client.get_metric_history(run_id, key), repeat)


def log_model(api: Any, repeat: int, seconds: float = 60.0) -> dict[str, Any]:
    """Calls of log_model with a fitted scikit-learn model, its requirements inferred."""
    import numpy  # only this task needs them, and their import is none of gitml's time
    from sklearn.linear_model import ElasticNet

    inputs = numpy.random.default_rng(0).normal(size=(500, 10))
    fitted = ElasticNet(alpha=0.01).fit(inputs, inputs.sum(axis=1))
    flavor = importlib.import_module(f"{api.__name__}.sklearn")
    numbers = iter(range(repeat + 1))
    with api.start_run():

        def call() -> None:
            flavor.log_model(fitted, name=f"model-{next(numbers)}")

        first = repeated(call, 1)
        measured = repeated(call, repeat, seconds)
    return {**measured, "first": first["samples"][0]}


def search(
    api: Any, filter: str, order: list[str], limit: int, repeat: int, seconds: float = 20.0
) -> dict[str, Any]:
    """A search by metric, and the ids that it found."""
    client = api.MlflowClient()
    ids = [api.get_experiment_by_name(EXPERIMENT).experiment_id]

    def ask() -> Any:
        return client.search_runs(ids, filter, order_by=order, max_results=limit)

    found: list[str] = []
    first = repeated(lambda: found.extend(run.info.run_id for run in ask()), 1)
    measured = repeated(ask, repeat, seconds) if first["samples"][0] < seconds else first
    return {**measured, "found": found, "first": first["samples"][0]}


def writer(api: Any, count: int) -> dict[str, Any]:
    """One of several writers: says that it is ready, waits for a line, and records runs."""
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.time()
    ids, problems = [], []
    for number in range(count):
        try:
            with api.start_run(run_name=f"r{number}") as run:
                api.log_params({f"p{key}": key for key in range(10)})
                api.log_metrics({f"m{key}": number / (key + 1) for key in range(10)})
            ids.append(run.info.run_id)
        except Exception as error:  # counted as lost; what it was goes into the remark
            problems.append(f"{type(error).__name__}: {error}".splitlines()[0][:200])
    return {"ids": ids, "problems": problems, "start": start, "end": time.time()}


def recorded(api: Any) -> dict[str, Any]:
    """The ids of the finished runs that can be found again."""
    client = api.MlflowClient()
    ids = [api.get_experiment_by_name(EXPERIMENT).experiment_id]
    found = client.search_runs(ids, "attributes.status = 'FINISHED'", max_results=50_000)
    return {"ids": [run.info.run_id for run in found]}


def experiment(api: Any) -> dict[str, Any]:
    """The experiment of all the runs, which every task makes sure of."""
    return {"id": api.get_experiment_by_name(EXPERIMENT).experiment_id}


TASKS = (
    log_metric,
    log_many,
    log_model,
    runs,
    points,
    history,
    search,
    writer,
    recorded,
    experiment,
)


def main() -> None:
    """Run one task."""
    _, module, name, arguments = sys.argv
    task = next(task for task in TASKS if task.__name__ == name)
    api = importlib.import_module(module)
    api.set_experiment(EXPERIMENT)
    print(json.dumps(task(api, **json.loads(arguments))))


if __name__ == "__main__":
    main()
