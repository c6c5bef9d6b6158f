"""The Dockerfile of an image that projects run in: packages, then the running gitml. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gitml.containers import INDEX_ARGUMENTS

LABEL = "gitml.project"  # what `docker image prune` finds these images by
_PLACE = "/opt/gitml"
_USER = re.compile(r"[\w.:-]+", re.ASCII)
_PYTHON = 'python="$(command -v python || command -v python3)"'
_INSTALL = '"$python" -m pip install --no-cache-dir --disable-pip-version-check'


def dockerfile(
    base: str,
    wheel: str | None,
    *,
    build_tools: bool = False,
    libraries: Sequence[str] = (),
    user: str = "",
) -> str:
    """The Dockerfile of an image on `base`, to stand beside `requirements.txt` and the wheel.

    With `build_tools` there is a `build.txt` that is installed first; `libraries` are packages of
    Debian. `user` is the base's own, which the image gets back. What changes often comes late.
    """
    tools = f" && {_INSTALL} --requirement {_PLACE}/build.txt \\\n" if build_tools else ""
    parts = [
        f"FROM {base}",
        "USER 0",
        *_libraries(libraries),
        # An image is nobody's system, whatever it says of who manages its packages.
        "\n".join(f"ARG {name}" for name in (*INDEX_ARGUMENTS, "PIP_BREAK_SYSTEM_PACKAGES=1")),
        f"COPY requirements.txt {'build.txt ' if build_tools else ''}{_PLACE}/\n"
        f"RUN {_PYTHON} \\\n{tools}"
        f" && {_INSTALL} --requirement {_PLACE}/requirements.txt",
        *([_own(wheel)] if wheel else []),
        f"LABEL {LABEL}=1",
        *([f"USER {user}"] if _USER.fullmatch(user) else []),
    ]
    return "\n\n".join(parts) + "\n"


def _own(wheel: str) -> str:
    return f"COPY {wheel} {_PLACE}/\nRUN {_PYTHON} \\\n && {_INSTALL} --no-deps {_PLACE}/{wheel}"


def _libraries(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [
        "RUN apt-get update \\\n"
        f" && apt-get install --yes --no-install-recommends {' '.join(sorted(names))} \\\n"
        " && rm -rf /var/lib/apt/lists/*"
    ]
