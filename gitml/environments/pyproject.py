"""pyproject.toml, and the uv.lock beside it: what they ask of an environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gitml import process
from gitml.documents import shown_kind
from gitml.environments import uv
from gitml.environments.complaints import BuildError, complaint
from gitml.errors import FormatError, shown
from gitml.files import shown_path

FILE_NAME, LOCK_NAME = "pyproject.toml", "uv.lock"
_MAX_BYTES = 1_000_000


def read(file: Path) -> tuple[str, str | None]:
    """The requirements as lines, and the Python that is asked for; of a lock, what it fixes.

    The project's own package is left out: it runs from its folder.
    """
    if (file.parent / LOCK_NAME).is_file():
        return _locked(file.parent), _python(file)
    listed = _table(file).get("dependencies") or []
    if not isinstance(listed, list) or not all(isinstance(line, str) for line in listed):
        raise FormatError(f"{file.name}: project.dependencies must be a list of texts")
    return "\n".join(listed), _python(file)


def _locked(folder: Path) -> str:
    """What a uv.lock fixes, as uv writes it; nothing of the project is run or looked up."""
    arguments = "--frozen --no-emit-project --no-dev --no-header --no-annotate --offline".split()
    arguments.append("--no-config")  # what the project sets for uv itself
    argv = [str(uv.find()), "export", *arguments, "--no-python-downloads", "--no-progress"]
    argv += ["--python", sys.executable, "--color", "never"]
    done = process.run(argv, cwd=folder, env=uv.variables(os.environ))
    if done.returncode:
        raise BuildError(f"{LOCK_NAME} can't be read: {complaint(done.stderr)}")
    return done.stdout.decode("utf-8", "replace")


def _python(file: Path) -> str | None:
    wanted = _table(file).get("requires-python")
    if wanted is not None and not isinstance(wanted, str):
        raise FormatError(f"{file.name}: requires-python must be text, not {shown_kind(wanted)}")
    return wanted


def _table(file: Path) -> dict[str, object]:
    """The table `project`, empty when there is none."""
    import tomlkit  # Python's own reader is there from 3.11 on
    from tomlkit.exceptions import TOMLKitError

    try:
        data = file.read_bytes()
        if len(data) > _MAX_BYTES:
            raise FormatError(f"{file.name} is over 1 MB long; it can't be what it should be")
        document = tomlkit.parse(data.decode("utf-8-sig")).unwrap()
    except OSError as error:
        raise FormatError(f"can't read {shown_path(file)}: {error.strerror}") from None
    except (UnicodeDecodeError, TOMLKitError) as error:
        raise FormatError(f"{file.name} is no TOML: {shown(str(error))}") from None
    table = document.get("project") or {}
    if not isinstance(table, dict):
        raise FormatError(f"{file.name}: project must be a table, not {shown_kind(table)}")
    return table
