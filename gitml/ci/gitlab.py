"""The pipeline of GitLab CI, of the templates in `templates/workflows/gitlab`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from gitml.ci import owners
from gitml.ci.file import File
from gitml.ci.settings import Settings
from gitml.ci.template import render
from gitml.resources import resource
from gitml.version import __version__

PIPELINE = ".gitlab-ci.yml"
JOBS = ".gitlab/gitml.yml"
_CODE_OWNERS = ("CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")  # the first one counts
_GUARDED = (".gitlab/", PIPELINE, "CODEOWNERS", "docs/CODEOWNERS")
_IMAGE = "python:3.12"  # which has git
_HEADER = (
    f"Written by `gitml ci init` of gitml {__version__}: set `ci` in gitml.yaml and call it again,"
    "\n# rather than editing this file. `gitml ci drift` compares."
)
_BY_HAND = f"add to its include: {{local: {JOBS}}}"
_LIST = re.compile(r"^include:[ \t]*(?:#.*)?\n(?P<indent>[ \t]*)- ", re.MULTILINE)


def files(settings: Settings) -> list[File]:
    """The jobs of a project, and the pipeline that includes them, which is the user's own."""
    runners = {name: settings.runner(name) for name in ("default", "train", "deploy")}
    tags = {name: json.dumps([told] if isinstance(told, str) else told) for name, told in
            runners.items()}  # fmt: skip
    values = {
        "header": _HEADER,
        "image": json.dumps(settings.image or _IMAGE),
        "gitml": json.dumps(settings.requirement()),
        "gitml_serve": json.dumps(settings.requirement("serve")),
        "branch": settings.branch,
        "runner": tags["default"],
        "train_runner": tags["train"],
        "deploy_runner": tags["deploy"],
        "evaluate_manager": settings.evaluate.get("env_manager") or "uv",
        "entry_point": json.dumps(settings.train.get("entry_point") or "main"),
    }
    known = {
        "runner": bool(runners["default"]),
        "train_runner": bool(runners["train"]),
        "deploy_runner": bool(runners["deploy"]),
        "oidc": bool(settings.told.get("oidc")),
        "propose": bool(settings.train.get("propose")),
    }
    parts = [_rendered("gitml", values, known)]
    if settings.measures:
        parts.append(_rendered("measure", values, known))
    for stage in settings.deployed:
        parts.append(_rendered("deploy", {**values, "stage": stage}, known))
    pipeline = _template("gitlab-ci")
    return [
        File(JOBS, "\n".join(parts), "judges merge requests, creates tags, deploys, trains"),
        File(PIPELINE, pipeline, "the project's pipeline, with these jobs", within, _BY_HAND),
        *owners.files(settings, _CODE_OWNERS, _GUARDED, "[gitml]"),
    ]


def within(before: str) -> str | None:
    """A pipeline of the user's with the include of our jobs; None where only he can put it in."""
    if JOBS in before:
        return before
    entry = f"- local: {JOBS}\n"
    if found := _LIST.search(before):
        at = before.index("\n", found.start()) + 1
        return f"{before[:at]}{found['indent']}{entry}{before[at:]}"
    return (
        None if re.search("^include:", before, re.MULTILINE) else f"include:\n  {entry}\n{before}"
    )


def _rendered(name: str, values: Mapping[str, str], known: Mapping[str, bool]) -> str:
    return render(_template(name), values, known)


def _template(name: str) -> str:
    return resource("templates", "workflows", "gitlab", f"{name}.yml").read_text("utf-8")
