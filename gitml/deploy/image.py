"""The image of a version: built once, and pushed to where others find it."""

from __future__ import annotations

import shlex
import uuid
from dataclasses import dataclass

from gitml import containers
from gitml.containers import Container
from gitml.deploy import contained
from gitml.deploy.release import Release, Tell
from gitml.models import images
from gitml.models.images import Identity, Recipe
from gitml.models.images.dockerfile import SERVE


@dataclass(frozen=True, slots=True)
class Wish:
    """How an image is made: `repository` is its name without a tag, `network` that of the build.

    `any_words` has it serve whatever words it is started with, as SageMaker does with `serve`.
    `platform` is by default that of this machine.
    """

    repository: str
    network: str | None = None
    platform: str | None = None
    any_words: bool = False


def tag_of(release: Release) -> str:
    """The tag of a version's image, which no other version has."""
    return f"{release.version}-{release.digest.rpartition(':')[2][:12]}"


def build(engine: str, release: Release, wish: Wish, tell: Tell) -> str:
    """The name of a version's image, built unless the engine has it."""
    name = f"{wish.repository}:{tag_of(release)}{'-any' if wish.any_words else ''}"
    if containers.identify(engine, name) is None:
        images.build_docker(
            release.folder,
            name,
            _recipe(release, wish),
            network=wish.network,
            allow_code=True,
            progress=tell,
        )
    return name


def _recipe(release: Release, wish: Wish) -> Recipe:
    version = f"{release.name}@{release.version}"
    identity = Identity(
        release.name, release.version, release.commit, release.run_id, release.digest
    )
    words = ("--registered-as", version)
    if not wish.any_words:
        return Recipe(identity, arguments=words, platform=wish.platform)
    # What follows the text of a shell's -c is no part of what it runs.
    command = ("/bin/sh", "-c", f"exec {shlex.join((*SERVE, *words))}")
    return Recipe(identity, command=command, platform=wish.platform)


def publish(release: Release, wish: Wish, tell: Tell, *, proven: bool = False) -> str:
    """Push a version's image; its name by its digest. Raises BuildError and UsageError.

    With `proven` it has to predict in a container here before; DeployError when it does not.
    """
    engine = images.find_engine()
    name = build(engine, release, wish, tell)
    if proven:
        tell(f"trying {release.name} {release.version}")
        contained.try_out(Container(engine, f"gitml-try-{uuid.uuid4().hex[:12]}"), name, release)
    tell(f"pushing {name}")
    return containers.push(engine, name, wish.repository)
