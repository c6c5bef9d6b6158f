"""Workflows as `gitml ci init` writes them; `python -m tests.workflows` writes those kept anew.

Each folder below tests/generated is what a gitml.yaml makes of a repository, `gitml.yaml` in it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from gitml import git
from gitml.ci import generated, settings
from gitml.ci.file import File
from gitml.tracking.place import place_of
from gitml.version import __version__
from tests.conftest import run_git

GOLDEN = Path(__file__).resolve().parent / "generated"
CASES = sorted(path.relative_to(GOLDEN).as_posix() for path in GOLDEN.glob("*/*") if path.is_dir())
_VERSION = "<VERSION>"


def written(case: str, folder: Path) -> Path:
    """A repository in `folder` with the workflows of a case, such as `github/plain`."""
    folder.mkdir(parents=True)
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    for name in ("gitml.yaml", "registry.yaml"):
        if (GOLDEN / case / name).is_file():
            shutil.copy(GOLDEN / case / name, folder)
    if (GOLDEN / case / "registry").is_dir():
        shutil.copytree(GOLDEN / case / "registry", folder / "registry")
    for file in _files(case, folder):
        generated.write(folder, file)
    return folder


def _files(case: str, folder: Path) -> list[File]:
    place = place_of(git.find(folder))
    return generated.FORGES[case.partition("/")[0]](settings.read(place))


def texts(folder: Path) -> dict[str, str]:
    """What a repository has of generated files, with a word for the version of gitml."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8").replace(__version__, _VERSION)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {".git", "registry"} & {*path.relative_to(folder).parts}
        and path.name not in ("gitml.yaml", "registry.yaml")
    }  # fmt: skip


def _renew(case: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = texts(written(case, Path(folder) / "repo"))
    for name in texts(GOLDEN / case):
        (GOLDEN / case / name).unlink()
    for name, text in found.items():
        path = GOLDEN / case / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    for case in CASES:
        _renew(case)
        sys.stdout.write(f"{case}\n")
