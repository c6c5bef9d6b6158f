"""The files that come with gitml but are not Python: `schemas/` and `templates/`.

A wheel carries them inside the package; an editable install and a checkout have them beside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """The path of a file or folder such as `resource("schemas", "run.schema.json")`.

    Raises `FileNotFoundError` when there is none: the installation is damaged, or the name wrong.
    """
    for folder in (_PACKAGE, _PACKAGE.parent):
        path = folder.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"gitml's installation lacks {'/'.join(parts)}; install gitml again")
