"""System metrics are sampled beside a run, under MLflow's names, and never get in its way."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from gitml.errors import UsageError
from gitml.tracking import names, system_metrics
from gitml.tracking.system_metrics import Monitor, Sensor

MLFLOW_NAMES = {
    "cpu_utilization_percentage", "system_memory_usage_megabytes",
    "system_memory_usage_percentage", "disk_usage_percentage", "disk_usage_megabytes",
    "disk_available_megabytes", "network_receive_megabytes", "network_transmit_megabytes",
}  # fmt: skip
LONG = 3600.0


@pytest.fixture(autouse=True)
def _default_settings() -> Iterator[None]:
    before = system_metrics._settings
    yield
    system_metrics._settings = before


class Logged:
    """Takes what a monitor logs; `wait(n)` returns when there are n calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, dict[str, float]]] = []
        self._more = threading.Condition()

    def __call__(self, metrics: dict[str, float], step: int) -> None:
        """Take one call."""
        with self._more:
            self.calls.append((step, metrics))
            self._more.notify_all()

    def wait(self, count: int) -> None:
        """Wait until there were so many calls."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.calls) >= count, timeout=60)


def counting() -> list[Sensor]:
    """One sensor that reads 1, 2, 3 ..."""
    count = 0

    def read() -> dict[str, float]:
        nonlocal count
        count += 1
        return {"n": count}

    return [read]


def fixed(values: Mapping[str, float]) -> Callable[[], list[Sensor]]:
    """One sensor that always reads the same."""
    return lambda: [lambda: values]


def test_machine() -> None:
    """The machine is read under MLflow's names, every value a number that a metric may have."""
    read = system_metrics.machine_sensor()()
    assert set(read) >= MLFLOW_NAMES
    assert {name for name in read if name.startswith("process_")} == set(read) - MLFLOW_NAMES
    assert 0 < read["system_memory_usage_percentage"] <= 100
    assert read["process_memory_usage_megabytes"] > 1
    for name in read:
        assert names.check_metric_key(system_metrics.PREFIX + name)


class Nvml:
    """As much of pynvml as is used, for two GPUs; the second does not tell its power."""

    class NVMLError(Exception):
        """The base of pynvml's errors."""

    def nvmlInit(self) -> None:  # noqa: N802
        """Start the driver."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """How many GPUs there are."""
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:  # noqa: N802
        """A handle."""
        return number

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        """Memory in bytes."""
        return SimpleNamespace(used=1_000_000, total=4_000_000)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        """Use in percent."""
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        """Milliwatts."""
        if handle:
            raise self.NVMLError
        return 100_000

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:  # noqa: N802
        """Milliwatts."""
        return 400_000


def test_gpus() -> None:
    """GPUs are read under MLflow's names; what a device does not tell is left out."""
    assert system_metrics.gpu_sensor(Nvml())() == {
        "gpu_0_memory_usage_percentage": 25, "gpu_0_memory_usage_megabytes": 1,
        "gpu_0_utilization_percentage": 50,
        "gpu_0_power_usage_watts": 100, "gpu_0_power_usage_percentage": 25,
        "gpu_1_memory_usage_percentage": 25, "gpu_1_memory_usage_megabytes": 1,
        "gpu_1_utilization_percentage": 50,
    }  # fmt: skip


def test_sensors_that_work_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU or its library the machine is read all the same; without psutil nothing is."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert len(system_metrics.default_sensors()) == 1
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert system_metrics.default_sensors() == []


def test_mean_of_samples() -> None:
    """Every so many samples their mean is logged, at the next step."""
    logged = Logged()
    monitor = Monitor(logged, interval=0.001, samples=2, first_step=7, sensors=counting)
    monitor.start()
    logged.wait(3)
    monitor.finish()
    assert logged.calls[:3] == [
        (7, {"system/n": 1.5}), (8, {"system/n": 3.5}), (9, {"system/n": 5.5}),
    ]  # fmt: skip


def test_short_run_has_values() -> None:
    """A run that ends before the first interval gets one sample, without waiting for it."""
    logged = Logged()
    monitor = Monitor(logged, interval=LONG, node_id="gpu-1", sensors=fixed({"x": 1 / 3}))
    monitor.start()
    monitor.finish()
    assert logged.calls == [(0, {"system/gpu-1/x": 0.333})]


def test_finish_any_number_of_times() -> None:
    """Finishing twice, or without a start, does nothing, and nothing is logged afterwards."""
    logged = Logged()
    monitor = Monitor(logged, interval=LONG, sensors=fixed({"x": 1}))
    monitor.finish()
    monitor.start()
    monitor.finish()
    monitor.finish()
    assert len(logged.calls) == 1


def test_failing_sensor_is_left_out() -> None:
    """A sensor that fails is not asked again; the others go on."""
    asked = []

    def fails() -> dict[str, float]:
        asked.append(1)
        raise OSError("gone")

    logged = Logged()
    monitor = Monitor(logged, interval=0.001, sensors=lambda: [fails, lambda: {"x": 1}])
    monitor.start()
    logged.wait(3)
    monitor.finish()
    assert len(asked) == 1
    assert all(values == {"system/x": 1} for _, values in logged.calls)


def test_no_failure_reaches_the_training() -> None:
    """Neither a log that fails nor sensors that can't be made raise, or stop the end of a run."""

    def refuses(metrics: dict[str, float], step: int) -> None:
        raise OSError("disk full")

    def nothing() -> list[Sensor]:
        raise RuntimeError("driver")

    for monitor in (
        Monitor(refuses, interval=0.001, sensors=fixed({"x": 1})),
        Monitor(Logged(), interval=0.001, sensors=nothing),
    ):
        monitor.start()
        monitor.finish()


def test_finish_within_the_log() -> None:
    """A log that ends the run, from the monitor's own thread, does not wait for itself."""
    done = threading.Event()

    def log(metrics: dict[str, float], step: int) -> None:
        monitor.finish()
        done.set()

    monitor = Monitor(log, interval=0.001, sensors=fixed({"x": 1}))
    monitor.start()
    assert done.wait(60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_has_no_monitor() -> None:
    """In a forked child there is no thread, and the end of the run does not wait for one."""
    logged = Logged()
    monitor = Monitor(logged, interval=LONG, sensors=fixed({"x": 1}))
    monitor.start()

    def child() -> None:
        monitor.finish()
        sys.exit(len(logged.calls))

    worker = multiprocessing.get_context("fork").Process(target=child)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    monitor.finish()
    assert len(logged.calls) == 1


def test_switches() -> None:
    """MLflow's switches hold for the runs that start afterwards."""
    assert system_metrics.enabled() is None
    system_metrics.enable_system_metrics_logging()
    assert system_metrics.enabled() is True
    system_metrics.disable_system_metrics_logging()
    assert system_metrics.enabled() is False
    system_metrics.set_system_metrics_sampling_interval(LONG)
    system_metrics.set_system_metrics_samples_before_logging(3)
    system_metrics.set_system_metrics_node_id("node-1")
    points: list[tuple[str, int, int, float]] = []
    session = SimpleNamespace(metrics=points.extend)
    system_metrics.watch(session, first_step=4).finish()
    assert {key.removeprefix("system/node-1/") for key, *_ in points} >= MLFLOW_NAMES
    assert {step for _, step, _, _ in points} == {4}
    with pytest.raises(UsageError, match="more than 0"):
        system_metrics.set_system_metrics_sampling_interval(0)
    with pytest.raises(UsageError, match="1 or more"):
        system_metrics.set_system_metrics_samples_before_logging(0)
