"""The pull request that a job of CI runs for, told by its environment. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REF = re.compile(r"refs/pull/([1-9]\d{0,17})/(?:merge|head)")
_NUMBER = re.compile(r"[1-9]\d{0,17}")


def current_number(environ: Mapping[str, str]) -> int | None:
    """Its number, from GITHUB_REF or CI_MERGE_REQUEST_IID; None in any other job."""
    found = _REF.fullmatch(environ.get("GITHUB_REF", ""))
    if found is not None:
        return int(found[1])
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    return int(number) if _NUMBER.fullmatch(number) else None
