"""The image of a run's pod: that of the project, with its files in it, in the user's registry."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gitml import caches, containers
from gitml.errors import UsageError
from gitml.projects import image, packing
from gitml.projects.confinement import CODE
from gitml.projects.dockerfile import LABEL
from gitml.projects.image import Wish
from gitml.projects.mlproject import DockerEnv, Project
from gitml.projects.runtime import Tell

# What reads and writes a spool with such a URL, beside what recording needs anyway.
_STORES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "oss": "ossfs",
    "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "ssh": "sshfs", "sftp": "sshfs",
}  # fmt: skip


class Ready(NamedTuple):
    """An image that a pod can be made from: how the cluster finds it, and what the record tells.

    `called` is the image as the project calls it, `python` its Python's version, and `packages` all
    that is installed there; both are empty where that was not looked at.
    """

    reference: str
    called: str
    python: str
    packages: tuple[str, ...]


def as_it_is(project: Project) -> Ready:
    """The image that the project names, which the cluster has or pulls; nothing is built."""
    named = project.environment
    if not isinstance(named, DockerEnv):
        raise UsageError(
            "--skip-image-build runs the image that the project names, and it names none; add a"
            " docker_env"
        )
    return Ready(named.image, named.image, "", ())


def pushed(project: Project, repository: str, spool: str, wish: Wish, tell: Tell | None) -> Ready:
    """Build the project's image with its files, and push it. Raises BuildError and EngineError."""
    engine = containers.find_engine("--skip-image-build runs the project's image as it is")
    scheme = spool.partition("://")[0].lower() if "://" in spool else ""
    more = (_STORES[scheme],) if scheme in _STORES else ()
    base = image.settle(engine, project, replace(wish, more=more), tell)
    id, python, packages = image.contents(engine, base)
    name = _with_code(engine, project, base, id, repository, tell)
    called = project.environment.image if isinstance(project.environment, DockerEnv) else base
    if tell is not None:
        tell(f"Pushing {name}")
    return Ready(containers.push(engine, name, repository), called, python, packages)


def _with_code(
    engine: str, project: Project, base: str, id: str, repository: str, tell: Tell | None
) -> str:
    """The image with the project's files in it, built unless it is there."""
    with tempfile.TemporaryDirectory(dir=caches.folder("images")) as folder:
        digest = packing.copy(project.folder, Path(folder, "code"))
        key = hashlib.sha256(f"{id}\0{digest}".encode()).hexdigest()[:20]
        name = f"{repository}:gitml-{key}"
        if containers.identify(engine, name) is None:
            if tell is not None:
                tell(f"Building the image {name}")
            text = f"FROM {base}\nCOPY code/ {CODE}/\nWORKDIR {CODE}\nLABEL {LABEL}=1\n"
            Path(folder, "Dockerfile").write_text(text, encoding="utf-8")
            containers.build(engine, Path(folder), name, index=False)
    return name
