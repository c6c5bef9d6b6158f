"""The git gate: every git command that gitml runs is started here.

Nothing here changes HEAD, the index, the work tree or the configuration of the user.
"""

from __future__ import annotations

from gitml.git.apart import Apart, apart
from gitml.git.commands import (
    Repository,
    attempt,
    attempt_together,
    environment,
    run,
    succeeds,
    text,
    without_user_info,
)
from gitml.git.committing import commit_files
from gitml.git.foreign import Foreign, check_revision, has_commit, object_format
from gitml.git.local import (
    Ref,
    find,
    is_ancestor,
    is_whole,
    parse_tree,
    read_objects,
    read_present,
    refs,
    refuse_large,
    repack_in_background,
    resolve,
    settings,
    settings_of_user,
    tree_files,
    update_refs,
    version,
    without_filters,
)
from gitml.git.network import (
    Progress,
    Pushed,
    check_pack,
    fetch,
    folder_of,
    push,
    remote_head,
    remote_refs,
)
from gitml.git.signatures import Keys, unsigned
from gitml.git.tags import Tag, make_tag, tags

__all__ = [
    "Apart",
    "Foreign",
    "Keys",
    "Progress",
    "Pushed",
    "Ref",
    "Repository",
    "Tag",
    "apart",
    "attempt",
    "attempt_together",
    "check_pack",
    "check_revision",
    "commit_files",
    "environment",
    "fetch",
    "find",
    "folder_of",
    "has_commit",
    "is_ancestor",
    "is_whole",
    "make_tag",
    "object_format",
    "parse_tree",
    "push",
    "read_objects",
    "read_present",
    "refs",
    "refuse_large",
    "remote_head",
    "remote_refs",
    "repack_in_background",
    "resolve",
    "run",
    "settings",
    "settings_of_user",
    "succeeds",
    "tags",
    "text",
    "tree_files",
    "unsigned",
    "update_refs",
    "version",
    "without_filters",
    "without_user_info",
]
