"""Programs of gates: they run in the files of the base, never in those of the change."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gitml import git, process
from gitml.documents import dump_json
from gitml.errors import StorageError
from gitml.registry.gates import Answer, Command

CANDIDATE = "GITML_CANDIDATE"  # the variable that names the file which tells of the version
_KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")
_SECONDS = 600.0
_SAID = 200  # characters of what it said last


def run(
    repo: git.Repository, base: str, commands: Iterable[Command], candidate: Mapping[str, Any]
) -> dict[tuple[str, ...], Answer]:
    """How each program ended, in a copy of the base's files; nothing is unpacked without any.

    It gets no variables of the caller's but a few plain ones, and so no secrets.
    """
    wanted = list(dict.fromkeys(commands))
    if not wanted:
        return {}
    with _unpacked(repo, base) as folder:
        (folder / "candidate.json").write_bytes(dump_json(dict(candidate)))
        env = {key: value for key in _KEPT if (value := os.environ.get(key)) is not None}
        env |= {"HOME": str(folder), CANDIDATE: str(folder / "candidate.json")}
        return {it.argv: _ended(it, folder / "files", env) for it in wanted}


@contextmanager
def _unpacked(repo: git.Repository, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gitml-gate-") as name:
        folder = Path(name)
        data = git.run(repo, "archive", "--format=tar", commit)
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as files:
                files.extractall(folder / "files", filter="data")
        except (tarfile.TarError, OSError) as error:
            raise StorageError(f"the files of {commit[:12]} can't be unpacked: {error}") from None
        yield folder


def _ended(command: Command, folder: Path, env: Mapping[str, str]) -> Answer:
    try:
        done = process.run(command.argv, cwd=folder, env=env, timeout=_SECONDS)
    except TimeoutError:
        return Answer(False, f"it did not end within {_SECONDS:.0f} seconds")
    except OSError as error:
        return Answer(False, f"it can't be started: {error.strerror}")
    except ValueError as error:  # of an argument that no program can have
        return Answer(False, f"it can't be started: {error}")
    said = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(said) if line.strip()), "")
    code = f"exit code {done.returncode}"
    return Answer(not done.returncode, f"{code}: {last[:_SAID]}" if last else code)
