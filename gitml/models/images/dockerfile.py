"""The Dockerfile of a model. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gitml.containers import INDEX_ARGUMENTS
from gitml.errors import UsageError, shown
from gitml.version import __version__

PORT = 8080
MODEL = "/opt/model"
USER = "10001:10001"  # a number, so that an orchestrator can tell that it is not root
SERVE = (
    *("python", "-m", "gitml", "models", "serve", "--model-uri", MODEL),
    *("--host", "0.0.0.0", "--port", str(PORT), "--allow-code"),
)

_IMAGE = re.compile(r"[a-zA-Z0-9][\w.:/@-]*")
_DEBIAN = re.compile(r"[a-z0-9][a-z0-9+.-]*")
_INSTALL = "pip install --no-cache-dir"
_VARIABLES = {  # a user without a name has no home either
    "HOME": "/tmp",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "USER": "gitml",
}
_HEALTH = (
    "import http.client, sys;"
    f" server = http.client.HTTPConnection('127.0.0.1', {PORT}, timeout=4);"
    " server.request('GET', '/ping');"
    " sys.exit(server.getresponse().status != 200)"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What an image's labels say of its model; empty fields make no label.

    `title` and `version` are the registered model's, `revision` is the commit of its code,
    `digest` and `run_id` are those of the model, `created` is a time in RFC 3339.
    """

    title: str = ""
    version: str = ""
    revision: str = ""
    run_id: str = ""
    digest: str = ""
    created: str = ""

    def labels(self) -> dict[str, str]:
        """The labels by their names, those of OCI and those of gitml."""
        known = {
            "org.opencontainers.image.title": self.title,
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.revision": self.revision,
            "org.opencontainers.image.created": self.created,
            "gitml.run_id": self.run_id,
            "gitml.digest": self.digest,
            "gitml.version": __version__,
        }
        return {name: value for name, value in known.items() if value}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image is made; the defaults serve a model on port 8080.

    `base` is an image that has a `python`, by default `python:X.Y-slim` of the model's Python.
    `libraries` are packages of Debian, by default those that the requirements are known to need.
    `arguments` follow the command. `platform` is `linux/amd64` or `linux/arm64`, by default that
    of this machine.
    """

    identity: Identity = Identity()
    base: str | None = None
    libraries: tuple[str, ...] | None = None
    command: tuple[str, ...] = SERVE
    arguments: tuple[str, ...] = ()
    platform: str | None = None


def dockerfile(recipe: Recipe, wheel: str, *, build_tools: bool = False) -> str:
    """The Dockerfile of a recipe whose `base` is settled, to stand beside what it copies.

    That is `requirements.txt`, `build.txt` if there are build tools, the wheel of gitml, and the
    folder `model`. Raises `UsageError` when a value of the recipe can't be what it should.
    """
    tools = f"{_INSTALL} --requirement build.txt \\\n && " if build_tools else ""
    parts = [
        f"# Serves the model beside this file. Made by gitml {__version__}.\n"
        f"FROM {_checked(recipe.base or '', _IMAGE, 'the name of an image')}",
        "ENV " + " \\\n    ".join(f"{name}={value}" for name, value in _VARIABLES.items()),
        *_libraries(recipe.libraries or ()),
        "WORKDIR /opt/gitml",
        "\n".join(f"ARG {name}" for name in INDEX_ARGUMENTS),
        f"COPY requirements.txt {'build.txt ' if build_tools else ''}./\n"
        f"RUN {tools}{_INSTALL} --requirement requirements.txt",
        f"COPY {wheel} ./\nRUN {_INSTALL} --no-deps ./{wheel}",
        f"COPY model {MODEL}",
        _labels(recipe.identity.labels()),
        f"USER {USER}",
        f"EXPOSE {PORT}",
        "HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \\\n"
        f"  CMD {_exec(('python', '-c', _HEALTH))}",
        f"ENTRYPOINT {_exec((*recipe.command, *recipe.arguments))}",
    ]
    return "\n\n".join(parts) + "\n"


def _libraries(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    listed = " ".join(_checked(name, _DEBIAN, "a package of Debian") for name in sorted(names))
    return [
        "# The base image decides on their versions: one that is named here would soon be gone.\n"
        "# hadolint ignore=DL3008\n"
        "RUN apt-get update \\\n"
        f" && apt-get install --yes --no-install-recommends {listed} \\\n"
        " && rm -rf /var/lib/apt/lists/*"
    ]


def _labels(labels: Mapping[str, str]) -> str:
    return "LABEL " + " \\\n      ".join(
        f"{name}={_quoted(value)}" for name, value in labels.items()
    )


def _quoted(value: str) -> str:
    """A value of a label: nothing in it is expanded, and no line of it begins an instruction."""
    if not value.isprintable():
        raise UsageError(f"{shown(value)} can't be a label: it is not one line of text")
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'


def _exec(words: Iterable[str]) -> str:
    """A command in the form that needs no shell, so that a signal arrives where it should."""
    return json.dumps(list(words))


def _checked(value: str, pattern: re.Pattern[str], what: str) -> str:
    if not pattern.fullmatch(value):
        raise UsageError(f"{shown(value)} is not {what}")
    return value
