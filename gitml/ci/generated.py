"""The files that gitml generates for a forge's CI, beside those that are in the work tree."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitml import config
from gitml.ci import github, gitlab, unused
from gitml.ci.file import File
from gitml.ci.settings import Settings, top
from gitml.ci.unused import Unused
from gitml.documents import write_atomic
from gitml.files import disk, folder_below
from gitml.forge.access import kind_of
from gitml.forge.finding import address_of
from gitml.registry import main_branch
from gitml.tracking.place import Place

# By the name of the forge. A forge's function is pure: from settings to files.
FORGES: Mapping[str, Callable[[Settings], list[File]]] = {
    "github": github.files,
    "gitlab": gitlab.files,
}
_UNUSED: Mapping[str, tuple[Unused, ...]] = {"github": github.UNUSED, "gitlab": gitlab.UNUSED}


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is missing, so that `before` is None, or is not as it would be written.

    `after` is what would be written; None where only the user can put gitml's part into his file.
    """

    file: File
    before: str | None
    after: str | None

    @property
    def diff(self) -> str:
        """From what is there to what would be written, as a unified diff."""
        names = (f"a/{self.file.path}", f"b/{self.file.path}")
        old, new = (self.before or "").splitlines(), (self.after or "").splitlines()
        return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def differences(root: Path, files: list[File]) -> list[Difference]:
    """Those of the files that are missing in the work tree, or are not as they should be."""
    found = []
    for file in files:
        path = root / file.path
        with disk(f"read {file.path}"):
            before = path.read_text("utf-8", "replace") if path.is_file() else None
        after = file.text if before is None or file.within is None else file.within(before)
        if before != after:
            found.append(Difference(file, before, after))
    return found


def forge_of(
    place: Place, settings: Settings, environ: Mapping[str, str] = os.environ
) -> str | None:
    """The forge whose files are in the work tree, else the one that the main branch's remote is at.

    None when neither tells, or it is one for which nothing is generated.
    """
    root = top(place)
    for name, files in FORGES.items():
        if any((root / it.path).is_file() for it in files(settings) if it.within is None):
            return name
    remote = main_branch.remote(place)
    address = None if remote is None else address_of(place.repo, remote)
    kind = None if address is None else kind_of(address, environ)
    return kind if kind in FORGES else None


def unheeded(root: Path, forge: str, settings: Settings) -> list[str]:
    """A line for each key of gitml.yaml that means nothing at a forge.

    Raises UsageError for one whose meaning would be missed there.
    """
    path = root / config.FILE_NAME
    with disk(f"read {config.FILE_NAME}"):
        data = path.read_bytes() if path.is_file() else b""
    return unused.told(settings, _UNUSED[forge], data)


def next_steps(forge: str, settings: Settings) -> list[str]:
    """What is left to do at a forge, a line for each; nothing where no file can tell."""
    return gitlab.next_steps(settings) if forge == "gitlab" else []


def write(root: Path, file: File) -> None:
    """Put a file into the work tree, in place of what is there."""
    folder, _, name = file.path.rpartition("/")
    write_atomic((folder_below(root, folder) if folder else root) / name, file.text.encode())
