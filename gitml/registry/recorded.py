"""The run that a line of a model's file names, held against the ledger that the remote has.

Of a version with a tag the tag is there to compare with. Of one without, as where a forge lets only
CI make tags, anybody who may propose a change has written all that there is: so the commit has to
be what the ledger records, in every byte, which only those could write who may push runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gitml import git
from gitml.documents import load_json
from gitml.errors import FormatError, GitError, shown
from gitml.git import Progress
from gitml.registry.entries import VersionEntry
from gitml.registry.tags import VersionTag
from gitml.tracking import one_run
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.names import is_run_id
from gitml.tracking.one_run import There
from gitml.tracking.place import Place
from gitml.tracking.record import FINISHED, RunRecord, from_document
from gitml.tracking.typed import MALFORMED

_RECORD = "run.json"
_NO_OBJECT = re.compile(r"not our ref|unadvertised object|bad object|not a valid|no such|unknown")


@dataclass(frozen=True, slots=True)
class Runs:
    """Where a repository's runs are: the remote, None where there is none, and the ledger's ref."""

    remote: str | None
    ref: str

    def __str__(self) -> str:
        short = self.ref.removeprefix("refs/heads/")
        return f"the ledger {short}" + (f" of {shown(self.remote)}" if self.remote else "")


def run_of(
    place: Place, runs: Runs, tag: VersionTag, entry: VersionEntry, progress: Progress | None = None
) -> RunRecord:
    """The run of a version that has no tag yet, as its commit and the ledger both have it.

    Raises FormatError naming what is not so, GitError when the remote can't be read.
    """
    _bring(place, runs, tag, entry.commit, progress)
    record = _record(place, tag, entry.commit)
    digest = record.models.get(entry.path, {}).get("digest")
    for what, told, found in (
        ("run", entry.run, record.run_id),
        ("the digest", entry.digest, "none" if digest is None else str(digest)),
    ):
        if told != found:
            raise FormatError(
                f"{tag} has {what} {shown(told)}, the run at its commit {shown(found)}"
            )
    there = _there(place, runs, entry.run)
    if there is None:
        raise FormatError(
            f"{tag} names run {entry.run}, which is not in {runs}; push it first: gitml push"
        )
    now = _parsed(there.record, f"run {entry.run}", tag)
    for status in (record.status, now.status):
        if status != FINISHED:
            raise FormatError(f"{tag} is of a run that is {status}")
    if now.deleted:
        raise FormatError(f"{tag} is of a run that is deleted")
    if problem := next(_differences(place, entry.commit, record, there, now), None):
        again = "register and promote it again, or name the run's own commit"
        raise FormatError(f"{tag} names the commit {entry.commit[:12]}, {problem}; {again}")
    return record


def entry_at(
    place: Place, runs: Runs, tag: VersionTag, commit: str, path: str, progress: Progress | None
) -> VersionEntry:
    """What the line of a version would say, by the run at its commit; raises as `run_of`."""
    _bring(place, runs, tag, commit, progress)
    record = _record(place, tag, commit)
    digest = str(record.models.get(path, {}).get("digest"))
    return VersionEntry(record.run_id, commit, path, digest, {})


def _bring(
    place: Place, runs: Runs, tag: VersionTag, commit: str, progress: Progress | None
) -> None:
    """Have the commit here; in a shallow clone, as CI makes one, without what is before it."""
    repo = place.repo
    if runs.remote is None or git.resolve(repo, f"{commit}^{{commit}}") is not None:
        return
    is_shallow = git.text(repo, "rev-parse", "--is-shallow-repository") == "true"
    try:
        git.fetch(repo, runs.remote, [commit], progress, depth=1 if is_shallow else None)
    except GitError as error:
        if not _NO_OBJECT.search(error.stderr):
            raise
        remote = shown(runs.remote)
        raise FormatError(
            f"{tag} names the commit {commit}, which {remote} does not have"
        ) from None


def _record(place: Place, tag: VersionTag, commit: str) -> RunRecord:
    if git.resolve(place.repo, f"{commit}^{{commit}}") != commit:  # git would follow a tag object
        raise FormatError(f"{tag} names the commit {commit}, which is no commit")
    (data,) = git.read_present(place.repo, [f"{commit}:{RUN_FOLDER}/{_RECORD}"])
    if data is None:
        raise FormatError(f"{tag} names the commit {commit}, which is no run commit")
    return _parsed(data, f"{commit}:{RUN_FOLDER}/{_RECORD}", tag)


def _parsed(data: bytes, where: str, tag: VersionTag) -> RunRecord:
    try:
        return from_document(load_json(data, where))
    except MALFORMED as error:
        raise FormatError(f"{tag} names a run that can't be read: {error}") from None


def _there(place: Place, runs: Runs, run_id: str) -> There | None:
    """The run as the ledger has it now."""
    if not is_run_id(run_id):
        return None
    if runs.remote is not None:
        return one_run.look_up(place.repo, runs.remote, runs.ref, run_id)
    entry = place.ledger.find(run_id)
    if entry is None:
        return None
    return There(*_folder(place, entry.commit), next(git.read_objects(place.repo, [entry.blob])))


def _folder(place: Place, commit: str) -> tuple[str, dict[str, str]]:
    """The folder of a run in its commit: its id, and what is in it."""
    tree = f"{commit}:{RUN_FOLDER}"
    listed = _listed(place, tree)
    files = {line.partition(b"\t")[2].decode("utf-8", "replace"): line for line in listed}
    ids = {name: line.split(b"\t")[0].split(b" ")[2].decode() for name, line in files.items()}
    return git.text(place.repo, "rev-parse", "--verify", tree), ids


def _differences(
    place: Place, commit: str, record: RunRecord, there: There, now: RunRecord
) -> Iterator[str]:
    """What of the commit is not as the ledger has the run; a tag or a name may have come since."""
    tree, files = _folder(place, commit)
    if tree != there.tree:
        mine = {name: id for name, id in files.items() if name != _RECORD}
        theirs = {name: id for name, id in there.files.items() if name != _RECORD}
        if mine != theirs or not _is_before(record, now):
            yield "which is not what the ledger has of its run now"
    code = _code(place, commit)
    if code != (record.code.tree or _tree(place, [])):
        yield "whose code is not that of its run"


def _is_before(record: RunRecord, now: RunRecord) -> bool:
    """Whether a run only got tags since: a tag's earlier value can't be told from a forged one."""
    kept = all(now.tags.get(key) == value for key, value in record.tags.items())
    return kept and replace(record, tags={}, clock={}) == replace(now, tags={}, clock={})


def _code(place: Place, commit: str) -> str:
    """The tree of a run commit without the run's folder: the code, by the id that records have."""
    folder, name = RUN_FOLDER.encode().split(b"/")
    rest = [line for line in _listed(place, commit) if line.partition(b"\t")[2] != folder]
    beside = [
        line
        for line in _listed(place, f"{commit}:{folder.decode()}")
        if line.partition(b"\t")[2] != name
    ]
    if beside:
        rest.append(b"040000 tree %b\t%b" % (_tree(place, beside).encode(), folder))
    return _tree(place, rest)


def _listed(place: Place, tree: str) -> list[bytes]:
    out = git.run(place.repo, "ls-tree", "-z", "--full-tree", tree)
    return [line for line in out.split(b"\0") if line]


def _tree(place: Place, lines: list[bytes]) -> str:
    made = git.run(place.repo, "mktree", "-z", input=b"".join(line + b"\0" for line in lines))
    return made.decode().strip()
