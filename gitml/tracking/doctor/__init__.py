"""The doctor: looks for whatever keeps gitml from working well, and names the cure of each.

A check is a function from a place to findings; it changes nothing and fails for no reason that
is not a finding too.
"""

from __future__ import annotations

import shlex
from dataclasses import replace

from gitml.errors import GitmlError
from gitml.tracking.doctor import artifacts, ledger, machine, running, sharing
from gitml.tracking.doctor.finding import ERROR, NOTE, SEVERITIES, WARNING, Finding, finding_of
from gitml.tracking.doctor.repair import repair
from gitml.tracking.doctor.settings import place_to_examine
from gitml.tracking.place import Place

__all__ = ["ERROR", "NOTE", "WARNING", "Finding", "examine", "place_to_examine", "repair"]

CHECKS = (
    *machine.CHECKS, *ledger.CHECKS, *running.CHECKS, *sharing.CHECKS, *artifacts.CHECKS
)  # fmt: skip


def examine(place: Place) -> list[Finding]:
    """What there is to say about a repository, the worst first."""
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found += check(place)
        except (GitmlError, OSError) as error:
            subject = check.__name__.replace("_", " ")
            finding = finding_of(ERROR, f"the check of the {subject} failed: {error}")
            found.append(finding if finding.fix else replace(finding, fix=_cure(place, error)))
    return sorted(dict.fromkeys(found), key=lambda finding: SEVERITIES.index(finding.severity))


def _cure(place: Place, error: GitmlError | OSError) -> str:
    """What to do about an error that is in the way of a check."""
    if "bad config" in str(error):
        return "git config --edit"
    if isinstance(error, PermissionError):
        return shlex.join(["chmod", "-R", "u+rwX", str(error.filename or place.repo.common_dir)])
    return "git fsck --full"
