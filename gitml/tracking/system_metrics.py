"""CPU, memory, disk, network and GPU while a run is going on, under MLflow's names `system/...`.

A thread samples the machine beside the training. It never raises into it: what can't be read is
left out. A forked child has no such thread, and its `finish` does nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from gitml.errors import UsageError

if TYPE_CHECKING:
    import logging

Sensor = Callable[[], Mapping[str, float]]
Log = Callable[[dict[str, float], int], None]

PREFIX = "system/"
_PATIENCE = 5.0  # seconds that the end of a run waits for a sample that is being taken
_MB = 1e6


def _logger() -> logging.Logger:
    """This module's logger; every run imports this module, and few have anything to say."""
    import logging

    return logging.getLogger(__name__)


# -- sensors -------------------------------------------------------------------------------


def machine_sensor() -> Sensor:
    """A sensor of CPU, memory, disk, network (since it was made) and this process."""
    import psutil

    process = psutil.Process()
    before: Any = psutil.net_io_counters()  # None where there is no network at all
    psutil.cpu_percent()  # a percentage is of the time since the last call
    process.cpu_percent()

    def read() -> dict[str, float]:
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(os.sep)
        values = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MB,
            "system_memory_usage_percentage": memory.used / memory.total * 100,
            "disk_usage_percentage": disk.percent,
            "disk_usage_megabytes": disk.used / _MB,
            "disk_available_megabytes": disk.free / _MB,
            "process_cpu_utilization_percentage": process.cpu_percent(),
            "process_memory_usage_megabytes": process.memory_info().rss / _MB,
        }
        if before and (now := psutil.net_io_counters()):
            values["network_receive_megabytes"] = (now.bytes_recv - before.bytes_recv) / _MB
            values["network_transmit_megabytes"] = (now.bytes_sent - before.bytes_sent) / _MB
        return values

    return read


def gpu_sensor(nvml: Any = None) -> Sensor:
    """A sensor of NVIDIA's GPUs, through the module `pynvml`; raises where there are none."""
    if nvml is None:
        import pynvml

        nvml = pynvml
    nvml.nvmlInit()
    handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]

    def read() -> dict[str, float]:
        values: dict[str, float] = {}
        for number, handle in enumerate(handles):
            for part in (_gpu_memory, _gpu_use, _gpu_power):
                try:
                    found = part(nvml, handle)
                except nvml.NVMLError:  # not every device tells everything
                    continue
                values |= {f"gpu_{number}_{name}": value for name, value in found.items()}
        return values

    return read


def _gpu_memory(nvml: Any, handle: Any) -> dict[str, float]:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "memory_usage_percentage": memory.used / memory.total * 100,
        "memory_usage_megabytes": memory.used / _MB,
    }


def _gpu_use(nvml: Any, handle: Any) -> dict[str, float]:
    return {"utilization_percentage": nvml.nvmlDeviceGetUtilizationRates(handle).gpu}


def _gpu_power(nvml: Any, handle: Any) -> dict[str, float]:
    used = nvml.nvmlDeviceGetPowerUsage(handle)  # milliwatts
    most = nvml.nvmlDeviceGetEnforcedPowerLimit(handle)
    return {"power_usage_watts": used / 1000, "power_usage_percentage": used / most * 100}


def default_sensors() -> list[Sensor]:
    """The sensors that work on this machine."""
    found = []
    for make in (machine_sensor, gpu_sensor):
        try:
            found.append(make())
        except Exception as error:  # whatever a driver says: the training goes on without it
            _logger().debug("%s: %s", make.__name__, error)
    return found


# -- the monitor ---------------------------------------------------------------------------


class Monitor:
    """Samples the machine every `interval` seconds and logs the mean of `samples` of them.

    `log(metrics, step)` is called from the monitor's thread. `node_id` tells machines of one run
    apart: `system/<node_id>/...`.
    """

    def __init__(
        self,
        log: Log,
        interval: float = 10.0,
        samples: int = 1,
        node_id: str | None = None,
        *,
        first_step: int = 0,
        sensors: Callable[[], Sequence[Sensor]] = default_sensors,
    ):
        self._log = log
        self._interval = interval
        self._samples = samples
        self._prefix = f"{PREFIX}{node_id}/" if node_id else PREFIX
        self._step = first_step
        self._make_sensors = sensors
        self._sensors: list[Sensor] = []
        self._taken: list[dict[str, float]] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def start(self) -> None:
        """Start sampling in the background."""
        thread = threading.Thread(target=self._run, name="gitml-system-metrics", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads
            _logger().warning("system metrics are not logged: %s", error)
        else:
            self._thread = thread

    def finish(self) -> None:
        """Stop, after one last sample, so that a short run has its values too."""
        thread, self._thread = self._thread, None
        if thread is None or os.getpid() != self._pid:
            return
        self._stop.set()
        if thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def _run(self) -> None:
        try:
            self._sensors = list(self._make_sensors())
            while not self._stop.wait(self._interval):
                self._sample()
                if len(self._taken) >= self._samples:
                    self._flush()
            self._sample()
            self._flush()
        except Exception as error:  # such as a journal that can't be written any more
            _logger().warning("system metrics are not logged any more: %s", error)

    def _sample(self) -> None:
        values: dict[str, float] = {}
        for sensor in list(self._sensors):
            try:
                values.update(sensor())
            except Exception as error:
                self._sensors.remove(sensor)
                _logger().debug("a sensor of system metrics failed: %s", error)
        if values:
            self._taken.append(values)

    def _flush(self) -> None:
        taken, self._taken = self._taken, []
        if not taken:
            return
        names = dict.fromkeys(name for values in taken for name in values)
        means = {}
        for name in names:
            numbers = [values[name] for values in taken if name in values]
            means[self._prefix + name] = round(sum(numbers) / len(numbers), 3)
        self._log(means, self._step)
        self._step += 1


# -- MLflow's switches ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Settings:
    enabled: bool | None = None
    interval: float = 10.0
    samples: int = 1
    node_id: str | None = None


_settings = _Settings()


def _set(**changes: Any) -> None:
    global _settings
    _settings = replace(_settings, **changes)


def enabled() -> bool | None:
    """Whether system metrics were enabled or disabled for the process; None when neither."""
    return _settings.enabled


def enable_system_metrics_logging() -> None:
    """Log system metrics of every run that this process starts from now on."""
    _set(enabled=True)


def disable_system_metrics_logging() -> None:
    """Log no system metrics of runs that this process starts from now on."""
    _set(enabled=False)


def set_system_metrics_sampling_interval(interval: float | None) -> None:
    """Take a sample every `interval` seconds; None is the default, 10."""
    if interval is not None and not interval > 0:
        raise UsageError(f"the sampling interval must be more than 0 seconds, not {interval}")
    _set(interval=10.0 if interval is None else interval)


def set_system_metrics_samples_before_logging(samples: int | None) -> None:
    """Log the mean of so many samples; None is the default, 1."""
    if samples is not None and samples < 1:
        raise UsageError(f"the number of samples must be 1 or more, not {samples}")
    _set(samples=samples or 1)


def set_system_metrics_node_id(node_id: str | None) -> None:
    """Name this machine in the names of its metrics."""
    _set(node_id=node_id)


class Points(Protocol):
    """What takes points of metrics: (key, step, time in ms, value)."""

    def metrics(self, points: Sequence[tuple[str, int, int, float]]) -> None:
        """Log many points at once."""


def watch(session: Points, first_step: int = 0) -> Monitor:
    """Start sampling beside a session as the switches above say, from the step `first_step`."""
    import time

    def log(values: dict[str, float], step: int) -> None:
        now = time.time_ns() // 1_000_000
        session.metrics([(key, step, now, value) for key, value in values.items()])

    chosen = _settings
    monitor = Monitor(log, chosen.interval, chosen.samples, chosen.node_id, first_step=first_step)
    monitor.start()
    return monitor
