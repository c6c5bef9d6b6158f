"""Checks of the dates of tags, which whoever makes a tag writes as he likes.

The history of the stages stands on them: a tag that is dated later than now hides all that came
after it, and one that is older than what it stands on tells of a decision before it was made.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping

from gitml import git
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding
from gitml.tracking.moments import time_to_text

_SLACK = 86_400  # seconds that clocks may differ


def check(evidence: Evidence) -> Iterator[Finding]:
    """The tags whose date can't be right."""
    tags = [tag for tag in evidence.tags.values() if tag.commit is not None]
    times = _times(evidence.place.repo, {str(tag.commit) for tag in tags})
    now = int(time.time())
    for tag in tags:
        made = times.get(str(tag.commit), 0)
        if tag.time > now + _SLACK:
            what, expected = "it is dated later than now", f"{_text(now)} or before"
        elif tag.time < made - _SLACK:
            what = "it is dated before the commit that it stands on was made"
            expected = f"{_text(made)} or later"
        else:
            continue
        fix = evidence.again(tag.name)
        yield Finding(finding.DATED, tag.name, what, expected, _text(tag.time), fix)


def _times(repo: git.Repository, commits: Collection[str]) -> Mapping[str, int]:
    """When commits were made, in seconds since the epoch; of those that are here."""
    asked = "".join(f"{commit}\n" for commit in commits).encode()
    log = ("log", "--no-walk=unsorted", "--ignore-missing", "--format=%H %ct", "--stdin")
    lines = git.run(repo, *log, input=asked).decode().splitlines() if commits else []
    return {commit: int(when) for commit, _, when in (line.partition(" ") for line in lines)}


def _text(seconds: int) -> str:
    return time_to_text(seconds * 1000)
