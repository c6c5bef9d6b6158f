"""The files of submodules in a work tree where a commit is to run, as far as they are here.

They come from the repositories that git keeps below `modules`, at the commit that is recorded;
nothing is fetched, and no submodule is set up.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from gitml import git
from gitml.errors import GitError
from gitml.projects import checkout

_PATH, _END = "submodule.", ".path"


def fill(repo: git.Repository) -> None:
    """Write the files of the submodules that the work tree `repo` names into its empty folders.

    One whose commit is not here stays empty. Raises FormatError for a link that leads out of it.
    """
    commits = checkout.modules(repo)
    names = _names(repo) if commits else {}
    for path, commit in commits.items():
        module = repo.common_dir / "modules" / names.get(path, path)
        inside = module.resolve().is_relative_to((repo.common_dir / "modules").resolve())
        if inside and (module / "HEAD").is_file() and repo.root is not None:
            _write(git.Repository(None, module, module), commit, repo.root / path)


def _names(repo: git.Repository) -> dict[str, str]:
    """The names of submodules by their paths, as .gitmodules has them."""
    args = ("config", "--blob", "HEAD:.gitmodules", "--list", "-z")
    listed = git.attempt(repo, *args).stdout.decode("utf-8", "replace")
    pairs = (entry.partition("\n") for entry in listed.split("\0"))
    return {
        value: key.removeprefix(_PATH).removesuffix(_END)
        for key, _, value in pairs
        if key.startswith(_PATH) and key.endswith(_END)
    }


def _write(module: git.Repository, commit: str, target: Path) -> None:
    """Write the files of a commit, through an index that nobody else sees."""
    if not git.has_commit(module, commit):
        return
    checkout.check_links(module, commit)
    with tempfile.TemporaryDirectory() as folder:
        env = {
            "GIT_DIR": str(module.git_dir),
            "GIT_WORK_TREE": str(target),
            "GIT_INDEX_FILE": str(Path(folder) / "index"),
        }
        off = git.without_filters(module)
        try:
            git.run(target, *off, "read-tree", commit, env=env)
            git.run(target, *off, "checkout-index", "--all", "--quiet", env=env)
        except GitError as error:
            raise GitError(f"a submodule can't be checked out: {error}") from None
