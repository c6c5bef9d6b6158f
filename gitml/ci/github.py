"""The workflows of GitHub Actions, of the templates in `templates/workflows/github`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from gitml.ci import measuring, owners
from gitml.ci.file import File
from gitml.ci.settings import Settings
from gitml.ci.template import rendered
from gitml.ci.unused import Unused

FOLDER = ".github/workflows"
UNUSED = (Unused(("image",), "is GitLab's; at GitHub jobs run on the machine that runners names"),)
_CODE_OWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")  # the first one counts
_RUNNER = "ubuntu-latest"
_EVALUATE = measuring.WORKFLOW.removesuffix(".yml")
_WORKFLOWS = {
    "gitml-check": "judges pull requests",
    "gitml-sync": "creates tags from what was merged",
    "gitml-deploy": "brings the stages to what the main branch says",
    "gitml-train": "runs an entry point, and records the run",
    _EVALUATE: "measures what the gates ask for",
}
# By commit: a tag can be moved by whoever owns the action.
_ACTIONS = {
    "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "setup_uv": "astral-sh/setup-uv@20cfd1bf945f4377ade1205e4dbc17946fc9a30d # v10.0.1",
    "upload_artifact": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "download_artifact": (
        "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1"
    ),
    "attest": "actions/attest@1e69f48acb82d1966a394da916b4c1698aa569d6 # v4.2.2",
    "create_app_token": (
        "actions/create-github-app-token@1b10c78c7865c340bc4f6099eb2f838309f1e8c3 # v3.1.1"
    ),
}


def files(settings: Settings) -> list[File]:
    """The workflows of a project."""
    values, known = _values(settings), _known(settings)
    return [
        *(
            File(f"{FOLDER}/{name}.yml", rendered("github", name, values, known), what)
            for name, what in _WORKFLOWS.items()
            if name != _EVALUATE or settings.measures
        ),
        *owners.files(settings, _CODE_OWNERS, (".github/", *_CODE_OWNERS[1:])),
    ]


def _known(settings: Settings) -> Mapping[str, bool]:
    """Which parts of the templates a project wants."""
    train = settings.train
    return {
        "app": bool(settings.told.get("app")),
        "oidc": bool(settings.told.get("oidc")),
        "attest": bool(settings.told.get("attest")),
        "sign": bool(settings.told.get("sign")),
        "secrets": bool(settings.told.get("secrets")),
        "schedule": bool(train.get("schedule")),
        "propose": bool(train.get("propose")),
        "measures": settings.measures,
    }


def _values(settings: Settings) -> Mapping[str, str]:
    known = _known(settings)
    entry_point = settings.train.get("entry_point") or "main"
    secrets = settings.told.get("secrets") or ()
    return {
        **_ACTIONS,
        "gitml": json.dumps(settings.requirement()),
        "gitml_serve": json.dumps(settings.requirement("serve")),
        "branch": _word(settings.branch),
        "branch_text": settings.branch,
        "tags": ", ".join(f"'**#{stage}#*'" for stage in settings.stages),
        "runner": _words(settings.runner("default") or _RUNNER),
        "train_runner": _words(settings.runner("train") or _RUNNER),
        "deploy_runner": _words(settings.runner("deploy") or _RUNNER),
        "secrets": _lines(secrets, "${{{{ secrets.{0} }}}}", 10),
        "passed": _lines(secrets, "${{{{ secrets.{0} }}}}", 6),
        "declared": _lines(secrets, "{{required: false}}", 6),
        "schedule": str(settings.train.get("schedule") or ""),
        "entry_point": _word(entry_point),
        "entry_point_text": json.dumps(entry_point.replace("'", "''"))[1:-1],
        "evaluate_manager": settings.evaluate.get("env_manager") or "uv",
        "token": "${{ steps.app.outputs.token }}" if known["app"] else "${{ github.token }}",
        **{job: _permissions(granted) for job, granted in _granted(known).items()},
    }


def _lines(names: Iterable[str], value: str, indent: int) -> str:
    """A mapping from names, as lines that are indented but for the first one."""
    return f"\n{' ' * indent}".join(f"{name}: {value.format(name)}" for name in names)


def _granted(known: Mapping[str, bool]) -> Mapping[str, Sequence[str]]:
    """What jobs may do. With an app it is the app's token by which something is written."""
    contents = "contents: read" if known["app"] else "contents: write"
    ask = [] if known["app"] else ["pull-requests: write"]
    login = ["id-token: write"] if known["oidc"] else []
    attest = ["id-token: write", "attestations: write"] if known["attest"] else []
    verify = ["attestations: read"] if known["attest"] else []
    return {
        "read_permissions": ["contents: read", *login],
        "deploy_permissions": ["contents: read", *_TELL, *login, *verify],
        "sync_permissions": [contents, "pull-requests: read"],
        "record_permissions": [contents, *login, *attest],
        "confirm_permissions": [contents, *login],
        "propose_permissions": [contents, *ask, *login],
    }


def _permissions(granted: Sequence[str]) -> str:
    return f"{{{', '.join(dict.fromkeys(granted))}}}"


def _words(value: str | list[str]) -> str:
    return _word(value) if isinstance(value, str) else f"[{', '.join(map(_word, value))}]"


def _word(value: str) -> str:
    """A text in YAML, plain where every reader takes that for a text."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9/_-]*", value) and value.lower() not in _NO_TEXT
    return value if plain else json.dumps(value)


_TELL = ("pull-requests: write", "statuses: write")  # how a deployment went
_NO_TEXT = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
