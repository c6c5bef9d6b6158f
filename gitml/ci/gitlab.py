"""The pipeline of GitLab CI, of the templates in `templates/workflows/gitlab`."""

from __future__ import annotations

import json
import re

from gitml.ci import owners
from gitml.ci.file import File
from gitml.ci.settings import Settings
from gitml.ci.template import rendered
from gitml.ci.unused import Unused

PIPELINE = ".gitlab-ci.yml"
JOBS = ".gitlab/gitml.yml"
_CODE_OWNERS = ("CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")  # the first one counts
_GUARDED = (".gitlab/", PIPELINE, "CODEOWNERS", "docs/CODEOWNERS")
_IMAGE = "python:3.12"  # which has git
_RUNNERS = {"default": "runner", "train": "train_runner", "deploy": "deploy_runner"}
UNUSED = (
    Unused(("app",), "is GitHub's; at GitLab tags and requests are those of GITML_TOKEN"),
    Unused(("secrets",), "is GitHub's; at GitLab a variable's environment scope says who gets it"),
    Unused(
        ("attest",),
        "GitLab can't do it: what its runner says of a job's artifacts is signed by nobody, so no"
        " deployment can rely on it; take it out, set sign, and have gates ask for evaluate or"
        " reproduced, which count what CI's own key has signed",
        is_missed=True,
    ),
    Unused(
        ("train", "schedule"),
        "a file of GitLab's can't say when a pipeline runs; take it out, and make a schedule with"
        " the variable GITML_WORKFLOW=train: Build, Pipeline schedules",
        is_missed=True,
    ),
)
_BY_HAND = f"add to its include: {{local: {JOBS}}}"
_LIST = re.compile(r"^include:[ \t]*(?:#.*)?\n(?P<indent>[ \t]*)- ", re.MULTILINE)


def files(settings: Settings) -> list[File]:
    """The jobs of a project, and the pipeline that includes them, which is the user's own."""
    values, known = _values(settings), _known(settings)
    parts = [rendered("gitlab", "gitml", values, known)]
    if settings.measures:
        parts.append(rendered("gitlab", "measure", values, known))
    for stage in settings.deployed:
        parts.append(rendered("gitlab", "deploy", {**values, "stage": stage}, known))
    pipeline = rendered("gitlab", "gitlab-ci", {}, {})
    return [
        File(JOBS, "\n".join(parts), "judges merge requests, creates tags, deploys, trains"),
        File(PIPELINE, pipeline, "the project's pipeline, with these jobs", within, _BY_HAND),
        *owners.files(settings, _CODE_OWNERS, _GUARDED, "[gitml]"),
    ]


def next_steps(settings: Settings) -> list[str]:
    """What is left to do at GitLab: which job gets which variable. A line for each."""
    own = {
        "gitml": "GITML_TOKEN",
        "gitml-report": "GITML_REPORT_TOKEN, not protected",
        "gitml-train": "what a training reads and writes",
    }
    if settings.measures:
        own["gitml-evaluate"] = "what reads the holdout"
        own["gitml-reproduce"] = (
            "what reads the data of a training and adds artifacts, not protected"
        )
    if settings.measures or settings.told.get("sign"):
        own["gitml-sign"] = "GITML_TOKEN, and the file GITML_SIGNING_KEY"
    own.update(dict.fromkeys(settings.deployed, "GITML_REPORT_TOKEN, what a deployment needs"))
    apart = ["gitml/reproduce/* must not be a protected branch"] if settings.measures else []
    return [
        "next, at GitLab: give each variable the environment of its job, and protect it",
        *(f"  {name}: {what}" for name, what in own.items()),
        "one without an environment goes to every job of the main branch, also where code is run",
        *apart,
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


def _values(settings: Settings) -> dict[str, str]:
    told = {name: settings.runner(name) for name in _RUNNERS}
    return {
        "image": json.dumps(settings.image or _IMAGE),
        "gitml": json.dumps(settings.requirement()),
        "tagging": ".gitml-signs" if settings.told.get("sign") else ".gitml-writes",
        "tagging_environment": "gitml-sign" if settings.told.get("sign") else "gitml",
        "gitml_serve": json.dumps(settings.requirement("serve")),
        "branch": settings.branch,
        "evaluate_manager": settings.evaluate.get("env_manager") or "uv",
        "entry_point": json.dumps(settings.train.get("entry_point") or "main"),
        **{
            _RUNNERS[name]: json.dumps([tag] if isinstance(tag, str) else tag)
            for name, tag in told.items()
        },
    }


def _known(settings: Settings) -> dict[str, bool]:
    """Which parts of the templates a project wants."""
    sign = bool(settings.told.get("sign"))
    return {
        "oidc": bool(settings.told.get("oidc")),
        "propose": bool(settings.train.get("propose")),
        "measures": settings.measures,
        "sign": sign,
        "signs": sign or settings.measures,
        **{key: bool(settings.runner(name)) for name, key in _RUNNERS.items()},
    }
