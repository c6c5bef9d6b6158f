"""Run artifacts in DVC: pointers, the local cache, the runs' remote, and what moves between them.

The only package that imports DVC, and only to reach a remote that is not a folder. Formats are
DVC's: its own tools read what is written here, and the other way round.
"""

from __future__ import annotations

from gitml.storage.bucket import Bucket, Thing
from gitml.storage.cache import Cache
from gitml.storage.checkout import materialize
from gitml.storage.dvc_config import (
    committed_remotes,
    foreign_remote,
    is_dvc_project,
    is_known,
    project_cache,
    project_folder,
    project_remote,
    runs_remote,
    set_project_remote,
)
from gitml.storage.folder import RESTORE, StoredObject
from gitml.storage.manifest import Entry
from gitml.storage.outside import download
from gitml.storage.pointer import Pointer, parse_pointer, pointer_text
from gitml.storage.remote import Remote, run_config_text, run_remote
from gitml.storage.transfer import (
    FetchError,
    Progress,
    PushResult,
    delete,
    fetch,
    missing,
    objects,
    push,
)

__all__ = [
    "RESTORE",
    "Bucket",
    "Cache",
    "Entry",
    "FetchError",
    "Pointer",
    "Progress",
    "PushResult",
    "Remote",
    "StoredObject",
    "Thing",
    "committed_remotes",
    "delete",
    "download",
    "fetch",
    "foreign_remote",
    "is_dvc_project",
    "is_known",
    "materialize",
    "missing",
    "objects",
    "parse_pointer",
    "pointer_text",
    "project_cache",
    "project_folder",
    "project_remote",
    "push",
    "run_config_text",
    "run_remote",
    "runs_remote",
    "set_project_remote",
]
