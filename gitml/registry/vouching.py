"""Runs that CI has recorded itself, which nobody else can claim: CI signs a tag on each.

The tag `gitml/ci/SUBJECT/RUN` stands on the commit of such a run. SUBJECT is what the run is about:
the id of a run that it reproduces, or the digest of a model that it evaluates, as hex digits. It
counts when one of CI's keys has signed it: `ci.signers` in registry.yaml names CI in the list
`registry/allowed_signers`, and both are read from the branch that a change is to be merged into.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator

from gitml import git
from gitml.documents import load_json
from gitml.errors import FormatError, GitError, UsageError, shown
from gitml.git import Tag
from gitml.registry import signers
from gitml.registry.signers import Signers
from gitml.tracking import refusals
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.names import is_run_id
from gitml.tracking.place import Place
from gitml.tracking.record import FINISHED, RunRecord, from_document
from gitml.tracking.starting import identity
from gitml.tracking.typed import MALFORMED
from gitml.tracking.vouched import vouched_entries

REPRODUCES = "gitml.reproduces"  # tags of a run: the run that it is to be the same as,
EVALUATES = "gitml.evaluates"  # or the digest of the model that it scores
_TAGS = "refs/tags/gitml/ci"
_NAME = re.compile(r"gitml/ci/([0-9a-f]{32}|[0-9a-f]{64})/([0-9a-f]{32})")
_TAKEN = "already exists"


def subject_of(record: RunRecord) -> str | None:
    """What a run is about, by its tags; None when it is about no other."""
    tags = record.live_tags
    found = tags.get(REPRODUCES) or tags.get(EVALUATES, "").removeprefix("sha256:")
    return found if _NAME.fullmatch(f"gitml/ci/{found}/{'0' * 32}") else None


def vouch(place: Place, run: str, remote: str | None) -> str:
    """Sign a recorded run as CI's own, at the remote and here; the tag's name.

    Only runs that this very job has recorded are to be signed, so it is named by its whole id: who
    may push a run can call it so, or date it so that it is the latest. Raises UsageError for
    another name, for a run that is not FINISHED or is about no other, and where tags are not
    signed, GitError when the remote refuses the tag.
    """
    if not is_run_id(run):
        what = f"{shown(run)} may be a run of anybody; name the one that this job has recorded"
        raise UsageError(f"{what} by its whole id: gitml runs reproduce --format json tells it")
    entry = next(vouched_entries(place, run), None)
    if entry is None or entry.record.status != FINISHED:
        raise UsageError(f"{shown(run)} is no finished run of this repository's ledger")
    record, subject = entry.record, subject_of(entry.record)
    if subject is None:
        raise UsageError(f"run {record.run_id[-8:]} has no tag {REPRODUCES} or {EVALUATES}")
    check_signs(place)
    name, who = f"gitml/ci/{subject}/{record.run_id}", identity(git.settings(place.repo))
    message = f"CI recorded this run\n\nRun-Id: {record.run_id}\nSubject: {subject}\n"
    author = (who.name, who.email)
    id = git.make_tag(place.repo, name, entry.commit, message, author, int(time.time()))
    _create(place, remote, name, id)
    return name


def check_signs(place: Place) -> None:
    """Raise UsageError where tags are not signed."""
    if git.settings(place.repo).get("tag.gpgsign", "false").lower() not in ("true", "1", "yes", ""):
        raise UsageError("tags are not signed here, so they say nothing; set tag.gpgSign of git")


def _create(place: Place, remote: str | None, name: str, id: str) -> None:
    ref = f"refs/tags/{name}"
    if remote is not None:
        (done,) = git.push(place.repo, remote, [f"{id}:{ref}"])
        if not done.accepted and not done.raced and _TAKEN not in done.reason:
            why = refusals.reason(done.reason, f"the tag {name}")
            raise GitError(f"the remote refuses the tag {shown(name)}: {why}")
    if git.resolve(place.repo, ref) is None:
        git.update_refs(place.repo, [f"create {ref} {id}"])


def patterns(subjects: Collection[str]) -> list[str]:
    """The refs at the remote that may vouch for something about these."""
    return [f"{_TAGS}/{subject.removeprefix('sha256:')}/*" for subject in subjects]


def runs(
    repo: git.Repository, known: Signers | None, ci: Collection[str], subjects: Collection[str]
) -> list[RunRecord]:
    """The runs about these subjects that CI has signed, of those that are here.

    `ci` are its names in the list of keys; none counts when that has no key of its.
    """
    keys = None if known is None else signers.only(known.keys, ci)
    if keys is None:
        return []
    found = [tag for tag in git.tags(repo, *patterns(subjects)) if _is_plain(tag)]
    bad = git.unsigned(repo, [tag.id for tag in found], keys)
    return [record for tag in found if tag.id not in bad for record in _record(repo, tag)]


def _is_plain(tag: Tag) -> bool:
    return tag.commit is not None and tag.inner == tag.name and bool(_NAME.fullmatch(tag.name))


def _record(repo: git.Repository, tag: Tag) -> Iterator[RunRecord]:
    """The run that a tag stands on, if it is finished and about what the tag says."""
    where = f"{tag.commit}:{RUN_FOLDER}/run.json"
    found = _NAME.fullmatch(tag.name)
    try:
        (data,) = git.read_present(repo, [where])
        if data is None or found is None:
            return
        record = from_document(load_json(data, where))
    except (FormatError, *MALFORMED):
        return
    if (subject_of(record), record.run_id) == found.groups() and record.status == FINISHED:
        yield record
