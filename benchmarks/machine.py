"""The machine that the measurements were made on, as far as it tells."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.row import Unit, shown


def about(work: Path, root: Path) -> dict[str, str]:
    """What a reader needs to compare figures: machine, programs, date."""
    return {
        "date": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()}",
        "system": f"{platform.platform()}, temporary files on {_file_system(work)}",
        "disk": f"an fsync of 4 kB takes {shown(_fsync_seconds(work), Unit.SECONDS)}",
        "programs": f"Python {platform.python_version()}, {_git('--version')}, whose start takes"
        f" {shown(_start_seconds(), Unit.SECONDS)}",
        "gitml": _git("-C", str(root), "describe", "--always", "--dirty") or "unknown",
    }


def load() -> float | None:
    """The load average of the last minute, where the system has one."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _processor() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.0f} GB"
    return "memory unknown"


def _file_system(folder: Path) -> str:
    mounts = [line.split() for line in _read("/proc/mounts").splitlines()]
    above = {str(folder), *map(str, folder.parents)}
    found = [(len(place), kind) for _, place, kind, *_ in mounts if place in above]
    return max(found)[1] if found else "an unknown file system"


def _fsync_seconds(folder: Path) -> float:
    times = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(20):
            file.write(b"x" * 4096)
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def _start_seconds() -> float:
    times = []
    for _ in range(10):
        start = time.perf_counter()
        _git("--version")
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _git(*args: str) -> str:
    done = subprocess.run(("git", *args), capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
