"""Small files that stand for models, so that a forge can attest who built them: one by its digest.

A forge attests files. The bytes of a model are in DVC, and its digest is all that is said of them:
the same digest makes the same file, wherever it is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gitml.deploy import wanted
from gitml.documents import write_atomic
from gitml.errors import FormatError, shown
from gitml.files import disk, make_folder
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord

_FORM = "sha256:{}\n"


def of_runs(runs: Iterable[RunRecord]) -> list[str]:
    """The digests of the models that runs have logged."""
    return [str(model.get("digest")) for run in runs for model in run.models.values()]


def of_stage(place: Place, stage: str) -> list[str]:
    """The digests of the versions that hold a stage by the main branch. Raises as `wanted`."""
    found = []
    for now in wanted.wanted(place).files.values():
        version = now.stages.get(stage)
        if version is not None and version in now.versions:
            found.append(now.versions[version].digest)
    return found


def write(digests: Iterable[str], folder: Path) -> list[Path]:
    """A file for each digest, named by it; FormatError for a digest that is none."""
    made = []
    with disk(f"write {folder}"):
        make_folder(folder.resolve())
    for digest in dict.fromkeys(digests):
        word = digest.removeprefix("sha256:")
        if len(word) != 64 or set(word) - set("0123456789abcdef"):
            raise FormatError(f"{shown(digest)} is no digest of a model")
        made.append(folder / f"sha256-{word}")
        write_atomic(made[-1], _FORM.format(word).encode())
    return made
