"""A Ray cluster on this machine: `python -m tests.ray_clusters`.

It has one node of four CPUs: two on one machine would share a folder, and each would unpack what a
job brings over what a job of the other is using. The address of its job server is printed once it
answers; it goes with the end of standard input. It tells nobody of itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gitml.process import stop_marked


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """A cluster for the length of a block: the address of its job server."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # a socket's path must be short
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    told = {
        "PATH": path,
        "HOME": str(folder),
        "RAY_TMPDIR": str(folder),
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_worker_prestart": "0",  # else each job starts processes that nobody needs
    }
    with subprocess.Popen(
        (sys.executable, "-m", "tests.ray_clusters"),
        env=told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            said = ""
            for line in process.stdout:
                said += line
                if line.startswith("answers at "):
                    yield line.split()[-1]
                    break
            else:
                raise AssertionError(f"no cluster: {said}")
        finally:
            process.stdin.close()
            process.stdout.read()
    stop_marked("RAY_TMPDIR", [str(folder)])  # a dashboard has children that it outlives
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Be the cluster until standard input ends."""
    from ray.cluster_utils import Cluster

    own = {"num_cpus": 4, "object_store_memory": 80 * 1024**2}
    server = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": 0}
    nodes = Cluster(True, head_node_args={**own, **server})
    try:
        sys.stdout.write(f"answers at http://{nodes.head_node.webui_url}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        nodes.shutdown()


if __name__ == "__main__":
    main()
