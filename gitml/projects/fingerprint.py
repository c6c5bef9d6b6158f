"""What a project's run consists of, as one digest: of two runs with the same, one is enough.

The digest covers the tree of the code, the entry point, the parameters (a seed among them), the
content of the data that parameters name, the Python, and the packages at their versions.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from gitml import documents
from gitml.projects.task import Task
from gitml.tracking import fingerprint
from gitml.tracking.record import Code

TAG = "gitml.fingerprint"
_SAMPLED = "sampled-"


def of(task: Task, code: Code) -> str | None:
    """The digest of a task with this code, in hex digits; None where not all of it is known.

    That is so for code that the snapshot could not hold, and for data that is too large to be read
    as a whole.
    """
    data = {name: _digest(path) for name, path in task.data.items()}
    if code.tree is None or code.incomplete or None in data.values():
        return None
    document = {
        "schema": 1,
        "code": code.tree,
        "folder": _folder(task),
        "entry_point": task.request.entry_point,
        "params": {name: value for name, value in task.params.items() if name not in data},
        "data": data,
        "python": task.runtime.machine.python,
        "packages": list(task.runtime.packages),
    }
    return hashlib.sha256(documents.dump_json(document)).hexdigest()


def tags(task: Task, code: Code) -> dict[str, str]:
    """The tag that has the digest; none where there is none."""
    found = of(task, code)
    return {} if found is None else {TAG: found}


def _folder(task: Task) -> str:
    root = task.where.place.repo.root
    if root is None or not task.where.folder.is_relative_to(root):
        return task.where.name
    return task.where.folder.relative_to(root).as_posix()


def _digest(path: Path) -> str | None:
    try:
        found = (
            fingerprint.folder_digest(path)[0] if path.is_dir() else fingerprint.file_digest(path)
        )
    except OSError:
        return None
    return None if found.startswith(_SAMPLED) else found
