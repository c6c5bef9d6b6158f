"""The job of CI that this is, and the pull request that it runs for, by its environment. Pure."""

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


def job_url(environ: Mapping[str, str]) -> str:
    """The page of the job, where its log is; empty in none."""
    if url := environ.get("CI_JOB_URL"):
        return url
    parts = [environ.get(f"GITHUB_{it}", "") for it in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
