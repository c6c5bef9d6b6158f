"""What only gitml has, timed from inside: the index, and artifacts without a run.

    python internals.py gitml TASK ARGUMENTS

as in `workloads`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

import gitml  # noqa: E402 - after the path is set
from benchmarks.workloads import repeated  # noqa: E402
from gitml import files, git, storage  # noqa: E402
from gitml.tracking.index import Index, index_path  # noqa: E402


def rebuild(runs: int, repeat: int) -> dict[str, Any]:
    """The index made from nothing."""
    repo = git.find()
    path = index_path(repo)
    assert path is not None

    def make() -> None:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        Index.open(repo).close()

    measured = repeated(make, repeat)
    count = Index.open(repo).count(view="all")
    assert count >= runs, f"{count} runs of {runs} in the index"
    return {**measured, "size": path.stat().st_size}


def plus_one(repeat: int) -> dict[str, Any]:
    """The index brought up to date after one more run, and when there is nothing new."""
    index = Index.open(git.find())
    ones = []
    for _ in range(repeat):
        with gitml.start_run():
            gitml.log_metric("accuracy", 0.5)
        ones.append(repeated(index.refresh, 1))
    one = {
        "samples": [item["samples"][0] for item in ones],
        "cpu": sum(item["cpu"] for item in ones) / repeat,
    }
    return {"one": one, "none": repeated(index.refresh, repeat)}


def search(filter: str, order: list[str], limit: int, repeat: int) -> dict[str, Any]:
    """A search in the index alone: no look at git, no records."""
    index = Index.open(git.find())
    index.search(filter, order, limit=limit)
    return repeated(lambda: index.search(filter, order, limit=limit), repeat)


def add_and_push(path: str, remote: str) -> dict[str, Any]:
    """A file into the cache, and from there into a remote, as recording and `gitml push` do."""
    cache = storage.Cache(git.find().home / "cache")
    staged = cache.temporary()
    digest = files.copy_hashed(Path(path), staged)
    cache.add_file(staged, digest.md5)
    pointer = storage.Pointer(digest.md5, digest.size)
    pushed = storage.push(cache, storage.Remote("gitml", remote), [pointer])
    return {"pushed": sorted(pushed.pushed)}


TASKS = (rebuild, plus_one, search, add_and_push)


def main() -> None:
    """Run one task."""
    _, _, name, arguments = sys.argv
    task = next(task for task in TASKS if task.__name__ == name)
    print(json.dumps(task(**json.loads(arguments))))


if __name__ == "__main__":
    main()
