"""Files that are keys to somewhere: wherever they lie, they are no code of a run.

Logging in leaves such files in the folder of a project, as `google-github-actions/auth` does in a
job's checkout, and people put them there. A run's commit is for everybody who may read the
repository, for ever.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

# Each names a file by which a program shows who it is.
_VARIABLES = (
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_FEDERATED_TOKEN_FILE",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_GHA_CREDS_PATH",
    "KUBECONFIG",
    "NETRC",
)
# The key `type` of Google's files: a key, a login by another provider, a person's login.
_GOOGLE = ("service_account", "external_account", "authorized_user", "impersonated_service_account")
_MAX = 64_000  # bytes; none is so large


def is_key(path: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a file is a key: a variable names it as one, or it is one of Google's."""
    named = (environ[name] for name in _VARIABLES if environ.get(name))
    if any(_is_same(path, file) for told in named for file in told.split(os.pathsep)):
        return True
    return path.suffix.lower() == ".json" and _is_google(path)


def _is_same(path: Path, name: str) -> bool:
    try:
        return bool(name) and path.samefile(name)
    except (OSError, ValueError):
        return False


def _is_google(path: Path) -> bool:
    try:
        if path.stat().st_size > _MAX:
            return False
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("type") in _GOOGLE
