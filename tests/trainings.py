"""Trainings for tests: scripts that say which of their calls have returned, and who runs them.

A script prints one JSON line for each call once it has returned, in one `write`, so that what
was printed is what was acknowledged.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

PREAMBLE = """
import hashlib, json, os, sys, time
import gitml as mlflow

def said(**call):
    os.write(OUT, (json.dumps(call) + "\\n").encode())

def run_id():
    return mlflow.active_run().info.run_id

def metric(key, value, step, run=None):
    now = time.time_ns() // 1_000_000
    mlflow.log_metric(key, value, step=step, timestamp=now)
    said(run=run or run_id(), metric=[key, step, now, repr(float(value))])

def param(key, value, run=None):
    mlflow.log_param(key, value)
    said(run=run or run_id(), param=[key, value])

def tag(key, value, run=None):
    mlflow.set_tag(key, value)
    said(run=run or run_id(), tag=[key, value])

def text(path, content, run=None):
    mlflow.log_text(content, path)
    said(run=run or run_id(), artifact=[path, hashlib.sha256(content.encode()).hexdigest()])

OUT = int(os.environ.get("SAID", "1"))
"""

MANY_RUNS = """
for number in range(int(sys.argv[1])):
    with mlflow.start_run(run_name=f"run-{number}") as run:
        me = run.info.run_id
        said(run=me, started=True)
        param("number", number, me)
        for step in range(20):
            metric("loss", 1 / (step + 1), step, me)
            time.sleep(0.003)  # to record takes long beside to log: a kill should find both
            if step % 7 == 0:
                tag(f"step-{step}", str(step), me)
        text("notes.txt", f"run {number} of {os.getpid()}", me)
        text("large/model.bin", "x" * 150_000 + me, me)
        metric("auc", 0.5, 20, me)
    said(run=me, ended="FINISHED")
"""


def write(folder: Path, body: str, name: str = "train.py") -> Path:
    """A training script in `folder`."""
    path = folder / name
    path.write_text(PREAMBLE + textwrap.dedent(body), encoding="utf-8")
    return path


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which a script finds gitml as it is in this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


def start(
    script: Path, *args: str, cwd: Path, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a script in a process group of its own."""
    return subprocess.Popen(
        (sys.executable, *options.pop("python", ()), str(script), *args),
        cwd=cwd,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **options,
    )


def run(
    script: Path, *args: str, cwd: Path, env: Mapping[str, str] | None = None, **options: Any
) -> Outcome:
    """Run a script to its end."""
    process = start(script, *args, cwd=cwd, env=env, **options)
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, calls(out), err.decode())


class Outcome:
    """What became of a script: its exit code, the calls that returned, and what it complained."""

    def __init__(self, code: int, acknowledged: list[dict[str, Any]], stderr: str) -> None:
        self.code = code
        self.acknowledged = acknowledged
        self.stderr = stderr

    def runs(self) -> list[str]:
        """The ids of the runs in the order in which they were first named."""
        return list(dict.fromkeys(call["run"] for call in self.acknowledged if "run" in call))


def calls(out: bytes) -> list[dict[str, Any]]:
    """The calls that a script said have returned."""
    return [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]


def digest(data: bytes) -> str:
    """The sha256 of bytes, as records hold it."""
    return hashlib.sha256(data).hexdigest()
