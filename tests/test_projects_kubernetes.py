"""Projects in a cluster: a small API server that really runs what its pods are to run."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitml import projects as public
from gitml.projects import EntryPointError
from gitml.tracking.record import RunRecord
from tests import projects
from tests.clusters import Api, cluster
from tests.conftest import Git

__all__ = ["cluster"]
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="pods run as processes of a POSIX system"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes"),
]
pytest.importorskip("kubernetes", reason="the library kubernetes is not installed")

NOTE = "a 'b' \"c\" $(id) $(GITML_SPOOL) $$(HOME) `id` {x} \\ *\nand more $"
PROJECT = """
    name: demo
    docker_env:
      image: churn:1
      environment: [["COLOR", "red; $(GITML_SPOOL)"]]
    entry_points:
      main:
        parameters: {note: string, epochs: {type: int, default: 2}}
        command: "python train.py '{note}' {epochs}"
      fail: {command: "echo so far; exit 3"}
      wait: {command: "python wait.py"}
      speak: {command: "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.1; done; printf end"}
      again: {command: "if [ -e tried ]; then echo second; else touch tried; echo first; false; fi"}
      read:
        parameters: {table: path}
        command: "cat {table}"
    """
TRAIN = """
    import os, shutil, sys
    import gitml

    assert shutil.which("git") is None or "GITML_REPO" not in os.environ
    with gitml.start_run():
        gitml.log_params({"note": sys.argv[1], "color": os.environ["COLOR"]})
        for epoch in range(int(sys.argv[2])):
            gitml.log_metric("loss", 1 / (epoch + 1), step=epoch)
        gitml.log_text("trained", "notes.txt")
        with gitml.start_run(nested=True, run_name="inner"):
            gitml.log_metric("loss", 1)
    print("trained", flush=True)
    """
WAIT = """
    import signal, sys, time
    import gitml

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tidied up"))
    with gitml.start_run():
        print("it runs", flush=True)
        for step in range(10_000):
            gitml.log_metric("step", step, step=step)
            time.sleep(0.05)
    """


@pytest.fixture
def demo(cluster: Api, repo: Path, git: Git) -> Path:
    """A project that names an image, committed."""
    projects.write(repo, {"MLproject": PROJECT, "train.py": TRAIN, "wait.py": WAIT})
    projects.write(repo, {"data.csv": "age\n31\n"})
    git("add", ".")
    git("commit", "--quiet", "--message", "A project")
    return repo


def config(demo: Path, **more: Any) -> dict[str, Any]:
    """What the backend is told: a spool in a folder that is here and in the pod."""
    return {"spool": str(demo.parent / "spool"), **more}


def submit(demo: Path, entry_point: str = "main", **more: Any) -> public.SubmittedRun:
    """Run an entry point in the cluster, in the image as it is."""
    told = config(demo, **more.pop("config", {}))
    return public.run(
        str(demo), entry_point, backend="kubernetes", backend_config=told, skip_image_build=True,
        **more,
    )  # fmt: skip


def failed(demo: Path, entry_point: str, **more: Any) -> tuple[str, RunRecord]:
    """What is said of an entry point that fails, and its run."""
    with pytest.raises(EntryPointError) as caught:
        submit(demo, entry_point, **more)
    return str(caught.value).rpartition(" (run ")[0], only(demo)


def only(demo: Path) -> RunRecord:
    """The one run of the repository."""
    (run,) = projects.runs(demo)
    return run


def until(is_so: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that comes; the test fails when it does not."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def soon(cluster: Api, act: Callable[[], None]) -> None:
    """Do something as soon as a pod has said something."""

    def run() -> None:
        until(lambda: any(pod.lines for pod in cluster.pods.values()))
        act()

    threading.Thread(target=run, daemon=True).start()


# -- running -------------------------------------------------------------------------------


def test_an_entry_point_runs_as_a_job(demo: Path, cluster: Api, git: Git) -> None:
    """It records through the spool as it would here; its arguments arrive as they are."""
    file = demo.parent / "cluster.json"
    file.write_text(json.dumps(config(demo)), encoding="utf-8")
    done = projects.gitml(
        *("run", ".", "--backend", "kubernetes", "--backend-config", file, "--skip-image-build"),
        *("-P", f"note={NOTE}"),
    )
    assert done.stdout == b"trained\n"
    run, inner = projects.runs(demo)
    assert (run.status, run.params["note"], run.params["epochs"]) == ("FINISHED", NOTE, 2)
    assert (run.params["color"], run.metrics["loss"].count) == ("red; $(GITML_SPOOL)", 2)
    assert (inner.name, inner.parent_run) == ("inner", run.run_id)
    assert run.code.commit == inner.code.commit == git("rev-parse", "HEAD")
    texts = projects.texts(demo, run)
    assert (texts["notes.txt"], texts["logs/output.txt"]) == ("trained", "trained\n")
    assert list((demo.parent / "spool").iterdir()) == []
