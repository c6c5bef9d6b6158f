"""Zip archives of PyTorch: saved objects, TorchScript and exported programs."""

from __future__ import annotations

import zipfile

from gitml.models.serialization.kind import Serialization

# How the file of an old `torch.save` begins: a pickle of a number.
OLD_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def of_zip(archive: zipfile.ZipFile) -> Serialization | None:
    """The file of PyTorch that this is, its pickles aside; None when it is none.

    Case does not matter: torch's own reader finds a name in any.
    """
    whole = [name.lower() for name in archive.namelist()]
    names = {name.partition("/")[2] for name in whole}
    is_program = any(name.startswith("models/") for name in names)
    if is_program or "archive_format" in names or "serialized_exported_program.json" in whole:
        return Serialization(
            "torch-export", True, why="an exported program, parts of which torch evaluates"
        )
    if "data.pkl" not in names:
        return None
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        return Serialization("torchscript", True, why="TorchScript, which is a program")
    return Serialization("torch", why="tensors of torch in plain containers")
