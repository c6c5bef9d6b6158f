"""MLEM's builders, and what they write made such that it starts.

MLEM 0.4.14 names itself without the versions that it needs, fixes the very patch of Python, and
runs as root; what is installed from that today ends with an ImportError.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from gitml.environments import uv
from gitml.errors import UsageError, shown
from gitml.models.load import Opened
from gitml.models.mlem import bridge, exporting, pins, settings
from gitml.models.mlem.bridge import Tell

KINDS = ("pip", "whl", "docker_dir", "requirements")

_REQUIREMENTS = "requirements.txt"
_PACKAGE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# How pip in the image is told of an index while it is built; none of it stays in the image.
_INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
_INSTALL = "RUN pip install --no-cache-dir -r requirements.txt"
_USER = "10001:10001"  # a number, so that an orchestrator can tell that it is not root


def build(
    opened: Opened,
    kind: str,
    target: Path,
    name: str = "model",
    *,
    allow_code: bool = False,
    progress: Tell | None = None,
) -> Path:
    """Run a builder of MLEM, one of KINDS, on a model that may be loaded; the new folder `target`.

    `name` is that of the Python package of `pip` and `whl`. Raises `UsageError` for a name or a
    folder that won't do, `BuildError` when MLEM or what it starts fails.
    """
    if kind not in KINDS:
        raise UsageError(f"MLEM has no builder {shown(kind)} here; use {', '.join(KINDS)}")
    if not _PACKAGE.fullmatch(name):
        raise UsageError(f"{shown(name)} is no name for a package; use letters, digits and _")
    source, _ = opened
    spec = bridge.spec_of(source, allow_code=allow_code)
    with exporting.new_folder(target) as folder, tempfile.TemporaryDirectory() as draft:
        Path(draft, settings.FILE).touch()
        made = exporting.write(opened, Path(draft), allow_code=allow_code, progress=progress)
        output = Path(draft, "package") if kind == "whl" else folder
        output.mkdir(exist_ok=True)
        model = str(made.with_suffix(""))
        job = {"action": "build", "target": model, "kind": kind, "output": str(output)}
        bridge.work(spec, {**job, "name": name}, progress)
        _repair(output)
        if kind == "whl":
            uv.run(
                ["build", "--wheel", "--out-dir", str(folder), str(output)], progress, cwd=output
            )
            (folder / ".gitignore").unlink(missing_ok=True)
    return target


def _repair(folder: Path) -> None:
    file = folder / _REQUIREMENTS
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    file.write_text("\n".join([*pins.repaired(lines), ""]), encoding="utf-8")
    dockerfile = folder / "Dockerfile"
    if dockerfile.is_file():
        text = repaired_dockerfile(dockerfile.read_text(encoding="utf-8").splitlines())
        dockerfile.write_text(text, encoding="utf-8")


def repaired_dockerfile(lines: Iterable[str]) -> str:
    """MLEM's Dockerfile with one step that installs, from the repaired requirements, and no root.

    git goes, which nothing in them needs, and MLEM's debug mode, which answers with tracebacks.
    """
    return "".join(f"{line}\n" for raw in lines for line in _repaired_line(raw.strip()))


def _repaired_line(line: str) -> list[str]:
    if line.startswith("RUN pip install -r "):
        return [*(f"ARG {name}" for name in _INDEXES), _INSTALL]
    if re.match(r"RUN pip install mlem|ENV MLEM_DEBUG=|RUN .* -y git |# install Git", line):
        return []
    if line.startswith("CMD "):
        return ["ENV HOME=/tmp ITERATIVE_DO_NOT_TRACK=1", f"USER {_USER}", "EXPOSE 8080", line]
    return [line] if line else []
