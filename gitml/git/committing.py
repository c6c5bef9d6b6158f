"""Commits made beside the work tree: of a tree with some other files in it, on no branch yet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from gitml.errors import UsageError, shown
from gitml.git.commands import Repository, run, text
from gitml.git.local import settings
from gitml.git.tags import signing

_TRUE = ("", "1", "on", "true", "yes")
_FILE = b"100644"


def commit_files(
    repo: Repository,
    parents: Sequence[str],
    files: Mapping[str, bytes],
    message: str,
    author: tuple[str, str],
    time: str,
) -> str:
    """Commit the tree of the first parent with other contents of these files; the commit's id.

    HEAD, index and work tree stay as they are, and no ref names the commit. `author` is a name and
    an address, `time` such as `1700000000 +0100`. It is signed where the user signs commits.
    Raises UsageError where something else than a file is in the place of one.
    """
    tree = _tree(repo, parents[0], files)
    env = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", author[0]), ("EMAIL", author[1]), ("DATE", f"@{time}"))
    }
    own = settings(repo)
    signs = own.get("commit.gpgsign", "false").lower() in _TRUE
    options = [*signing(own), "commit-tree", *(["--gpg-sign"] if signs else [])]
    options += [part for parent in parents for part in ("-p", parent)]
    out = run(repo, *options, "-F", "-", tree, input=message.encode(), env=env)
    return out.decode().strip()


def _tree(repo: Repository, commit: str, files: Mapping[str, bytes]) -> str:
    """The tree of a commit with these files in it."""
    with tempfile.TemporaryDirectory(prefix="gitml-index-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        run(repo, "read-tree", commit, env=env)
        for path, data in files.items():
            _check_place(repo, path, env)
            blob = run(repo, "hash-object", "-w", "--stdin", "--no-filters", input=data)
            entry = b"%s %s\t%s\0" % (_FILE, blob.strip(), os.fsencode(path))
            run(repo, "update-index", "--add", "-z", "--index-info", input=entry, env=env)
        return text(repo, "write-tree", env=env)


def _check_place(repo: Repository, path: str, env: Mapping[str, str]) -> None:
    """Refuse to replace a link, a submodule or a folder by a file."""
    listed = run(repo, "ls-files", "--stage", "-z", "--", f":(literal){path}", env=env)
    above = [str(parent) for parent in Path(path).parents if str(parent) != "."]
    files = text(repo, "ls-files", "--", *(f":(literal){it}" for it in above), env=env)
    is_plain = all(line.startswith(_FILE) and line.endswith(os.fsencode(f"\t{path}"))
                   for line in listed.split(b"\0") if line)  # fmt: skip
    if not is_plain or any(it in files.splitlines() for it in above):
        raise UsageError(f"{shown(path)} on the main branch is no plain file; make it one first")
