"""The workflows of GitHub Actions, of the templates in `templates/workflows/github`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from gitml.ci.file import File
from gitml.ci.settings import Settings
from gitml.ci.template import render
from gitml.resources import resource
from gitml.version import __version__

FOLDER = ".github/workflows"
_RUNNER = "ubuntu-latest"
_WORKFLOWS = {
    "gitml-check": "judges pull requests",
    "gitml-sync": "creates tags from what was merged",
    "gitml-deploy": "brings the stages to what the main branch says",
}
# By commit: a tag can be moved by whoever owns the action.
_ACTIONS = {
    "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "setup_uv": "astral-sh/setup-uv@20cfd1bf945f4377ade1205e4dbc17946fc9a30d # v10.0.1",
    "upload_artifact": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "download_artifact": (
        "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1"
    ),
}
_HEADER = (
    f"Written by `gitml ci init` of gitml {__version__}: set `ci` in gitml.yaml and call it again,"
    "\n# rather than editing this file. `gitml ci drift` compares."
)


def files(settings: Settings) -> list[File]:
    """The workflows of a project."""
    values = _values(settings)
    return [
        File(f"{FOLDER}/{name}.yml", render(_template(name), values, {}), what)
        for name, what in _WORKFLOWS.items()
    ]


def _template(name: str) -> str:
    return resource("templates", "workflows", "github", f"{name}.yml").read_text("utf-8")


def _values(settings: Settings) -> Mapping[str, str]:
    return {
        **_ACTIONS,
        "header": _HEADER,
        "gitml": json.dumps(settings.requirement()),
        "gitml_serve": json.dumps(settings.requirement("serve")),
        "branch": _word(settings.branch),
        "tags": ", ".join(f"'**#{stage}#*'" for stage in settings.stages),
        "runner": _words(settings.runner("default") or _RUNNER),
        "deploy_runner": _words(settings.runner("deploy") or _RUNNER),
    }


def _words(value: str | list[str]) -> str:
    return _word(value) if isinstance(value, str) else f"[{', '.join(map(_word, value))}]"


def _word(value: str) -> str:
    """A text in YAML, plain where every reader takes that for a text."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9/_-]*", value) and value.lower() not in _NO_TEXT
    return value if plain else json.dumps(value)


_NO_TEXT = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
