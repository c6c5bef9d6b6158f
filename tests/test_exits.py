"""How a script ends tells the status of the run that it left open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gitml

ROOT = Path(__file__).parent.parent
START = "import os, sys, threading, gitml\nrun = gitml.start_run()\ngitml.log_metric('a', 1)\n"
WITH = "import os, sys, gitml\nwith gitml.start_run():\n    gitml.log_metric('a', 1)\n    "

# How the script goes on, how it ends, the status of its run here, and with MLflow 3.17.
ENDS = {
    "its last line": (START, 0, "FINISHED", "FINISHED"),
    "an exception": (START + "1 / 0", 1, "FAILED", "FINISHED"),
    "an exception and a hook": (
        "import sys\nsys.excepthook = lambda *error: print('mine')\n" + START + "1 / 0",
        1, "FAILED", "FINISHED",
    ),
    "an exception, caught": (
        START + "try:\n    1 / 0\nexcept ArithmeticError: pass", 0, "FINISHED", "FINISHED",
    ),
    "an exception in a thread": (
        START + "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        0, "FINISHED", "FINISHED",
    ),
    "an interrupt": (START + "raise KeyboardInterrupt", -2, "FAILED", "FINISHED"),
    "sys.exit(0)": (START + "sys.exit(0)", 0, "FINISHED", "FINISHED"),
    "sys.exit(3)": (START + "sys.exit(3)", 3, "FINISHED", "FINISHED"),
    "os._exit(4)": (START + "os._exit(4)", 4, "KILLED", "RUNNING"),
    "SIGTERM": (START + "os.kill(os.getpid(), 15)", -15, "KILLED", "RUNNING"),
    "an exception in the block": (WITH + "1 / 0", 1, "FAILED", "FAILED"),
    "sys.exit() in the block": (WITH + "sys.exit()", 0, "FINISHED", "FAILED"),
    "sys.exit(3) in the block": (WITH + "sys.exit(3)", 3, "FAILED", "FAILED"),
    "an interrupt in the block": (WITH + "raise KeyboardInterrupt", -2, "FAILED", "FAILED"),
}  # fmt: skip


def script(repo: Path, text: str, *options: str, stdin: str = "") -> int:
    """The exit code of a script."""
    (repo / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, *options, "script.py"], cwd=repo, input=stdin, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode


def status() -> str:
    """The status of the only run, after the dead ones were recorded."""
    from gitml.tracking import recording
    from gitml.tracking.fluent.place import place

    recording.recover(place())
    (run,) = gitml.search_runs(output_format="list")
    return run.info.status


@pytest.mark.skipif(sys.platform == "win32", reason="signals and their exit codes are others")
@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_script(repo: Path, end: str) -> None:
    """An exception that nobody caught is a failure; what kills the process is told apart."""
    text, code, ours, _ = ENDS[end]
    assert script(repo, text) == code
    assert status() == ours


def test_an_interactive_session_goes_on_after_an_error(repo: Path) -> None:
    """An error at the prompt ends nothing; the run that is open at the end is FINISHED."""
    lines = "1 / 0\nimport gitml\nrun = gitml.start_run()\ngitml.log_metric('a', 1)\n"
    script(repo, "pass", "-i", stdin=lines)
    assert status() == "FINISHED"
