"""Run commits and ledger commits as a `git fast-import` stream. Pure: text in, bytes out.

One stream writes, for each change of a run, its run commit R and a ledger commit L whose
parents are the previous ledger head and R. It ends with questions: the id of every commit, and of
what each holds of the change. The stream does not move the ledger: its commits are made on a ref of
their own, which keeps them from being pruned until the ledger has moved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitml.errors import UsageError, shown
from gitml.tracking.names import check_component, run_path
from gitml.tracking.record import FAILED, KILLED, RunRecord
from gitml.tracking.trees import blob_id, tree_id

RUN_FOLDER = ".gitml/run"
_SUBJECT_METRICS = 3
_SUBJECT_LENGTH = 100

README = b"""\
# Runs

This branch is the ledger of gitml: one commit for each recorded run, newest last. Each run has a
folder `runs/<experiment>/<year>/<month>/<day>/<run id>/`:

- `run.json`: params, metrics, tags, artifacts, code, environment
- `metrics/`: the whole history of every metric
- `artifacts/`: small files as they are, large ones as DVC pointers

The code of a run is in its run commit, the second parent of its ledger commit:

    git log --first-parent origin/gitml/runs    # the list of runs
    gitml runs list                             # the same, as a table
    gitml runs diff RUN RUN                     # what differs between two runs

Please do not merge, rebase or edit this branch by hand; `gitml push` and `gitml pull` move it.
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose name a commit carries, and the hour he lives in, such as +0200."""

    name: str = "gitml"
    email: str = "gitml@localhost"
    zone: str = "+0000"


@dataclass(frozen=True, slots=True)
class RunChange:
    """A run commit to write, and its place in the ledger.

    `files` maps paths in the run's folder to contents (bytes) or to the id of a blob that the
    repository has (str). `tree` is the code; `parents` are the code commit, or the run commits
    that this one follows. `what` says in a word what changed; empty for a new run. `time` is
    in seconds. `before` is the blob of the run.json that this change was made from: the ledger
    refuses the change once it holds another.
    """

    record: RunRecord
    files: Mapping[str, bytes | str]
    tree: str | None
    parents: tuple[str, ...]
    time: int
    identity: Identity = Identity()
    what: str = ""
    before: str | None = None


@dataclass(frozen=True, slots=True)
class RunAgain:
    """A run commit that exists, to be placed in the ledger: `files` are its blobs."""

    record: RunRecord
    files: Mapping[str, str]
    commit: str
    time: int
    identity: Identity = Identity()


@dataclass(frozen=True, slots=True)
class LedgerEdit:
    """A ledger commit of its own: files to write (path to content) and paths to take out.

    `body` is more of its message. `before` maps paths to the blob that the edit was made from, None
    where there was none.
    """

    subject: str
    time: int
    write: Mapping[str, bytes] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    identity: Identity = Identity()
    before: Mapping[str, str | None] = field(default_factory=dict)
    body: str = ""


Change = RunChange | RunAgain | LedgerEdit


class Stream:
    """A fast-import stream being put together.

    `head` is the ledger commit that it continues, `ref` the full name of a new ref for the last
    of its commits.
    """

    def __init__(self, ref: str, head: str | None, head_time: int = 0) -> None:
        self._ref = ref.encode()
        self._parts: list[bytes] = [b"feature done\nfeature get-mark\nfeature ls\n"]
        self._marks = 0
        self._asked: list[bytes] = []
        self._placed: list[tuple[bytes, bytes]] = []  # a commit, and a path where a change went
        self._head = (head or "").encode()
        self.time = head_time  # the date of the last ledger commit
        if head is None:
            self._begin()

    def add(self, change: Change) -> None:
        """Write one change: R where it is new, and L."""
        if isinstance(change, LedgerEdit):
            self._edit(change)
        elif isinstance(change, RunAgain):
            self._ledger_commit(change, change.commit.encode(), change.files)
        else:
            blobs = {path: self._blob(data) for path, data in change.files.items()}
            self._ledger_commit(change, self._run_commit(change, blobs), blobs)

    def close(self) -> bytes:
        """The stream. fast-import answers with R and L for each change in turn, an id a line.

        Lines on what these commits hold follow, as `ls-tree` writes them; see `commits_of` and
        `contents_of`.
        """
        asked = b"".join(b"get-mark %b\n" % mark for mark in self._asked)
        listed = b"".join(b"ls %b %b\n" % place for place in self._placed)
        return b"".join((*self._parts, asked, listed, b"done\n"))

    def _begin(self) -> None:
        readme = self._blob(README)
        mark = self._commit(Identity(), _FIRST_TIME, "gitml: the ledger of runs\n", [], None)
        self._file(readme, "README.md")
        self._parts.append(b"\n")
        self._head = mark

    def _run_commit(self, change: RunChange, blobs: Mapping[str, bytes]) -> bytes:
        parents = [parent.encode() for parent in change.parents]
        mark = self._commit(
            change.identity, change.time, message(change.record, change.what), parents, change.tree
        )
        self._parts.append(b"D %b\n" % RUN_FOLDER.encode())
        for path, blob in blobs.items():
            self._file(blob, f"{RUN_FOLDER}/{path}")
        self._parts.append(b"\n")
        self._asked.append(mark)
        self._placed.append((mark, RUN_FOLDER.encode()))
        return mark

    def _ledger_commit(
        self, change: RunChange | RunAgain, commit: bytes, blobs: Mapping[str, bytes | str]
    ) -> None:
        record = change.record
        what = change.what if isinstance(change, RunChange) else ""
        text = message(record, what, brief=True)
        mark = self._commit(change.identity, self._after(change), text, [self._head, commit], None)
        folder = run_path(record.experiment_id, record.run_id)
        self._parts.append(b"D %b\n" % folder.encode())
        for path, blob in blobs.items():
            self._file(blob if isinstance(blob, bytes) else blob.encode(), f"{folder}/{path}")
        self._placed.append((mark, folder.encode()))
        self._next(mark)

    def _edit(self, edit: LedgerEdit) -> None:
        blobs = {path: self._blob(data) for path, data in edit.write.items()}
        text = f"{edit.subject}\n\n{edit.body}".strip() + "\n"
        mark = self._commit(edit.identity, self._after(edit), text, [self._head], None)
        for path in edit.remove:
            self._parts.append(b"D %b\n" % checked_path(path))
        for path, blob in blobs.items():
            self._file(blob, path)
            self._placed.append((mark, path.encode()))
        self._next(mark)

    def _after(self, change: Change) -> int:
        """The date of the next ledger commit: git walks history by date, so it never goes back."""
        self.time = max(self.time, change.time)
        return self.time

    def _next(self, mark: bytes) -> None:
        self._parts.append(b"\n")
        self._asked.append(mark)
        self._head = mark

    def _blob(self, data: bytes | str) -> bytes:
        if isinstance(data, str):
            return data.encode()
        mark = self._mark()
        self._parts.append(b"blob\nmark %b\ndata %d\n%b\n" % (mark, len(data), data))
        return mark

    def _commit(
        self, who: Identity, time: int, text: str, parents: Sequence[bytes], tree: str | None
    ) -> bytes:
        mark, body = self._mark(), text.encode("utf-8", "replace")
        when = b"%b <%b> %d %b" % (_clean(who.name), _clean(who.email), time, _zone(who.zone))
        lines = [b"commit %b\nmark %b\n" % (self._ref, mark)]
        lines.append(b"author %b\ncommitter %b\ndata %d\n%b\n" % (when, when, len(body), body))
        lines += [
            b"%b %b\n" % (b"merge" if at else b"from", name) for at, name in enumerate(parents)
        ]
        if not parents:
            lines.insert(0, b"reset %b\n\n" % self._ref)
        if tree is not None:
            lines.append(b"M 040000 %b \n" % tree.encode())
        elif not parents:
            lines.append(b"deleteall\n")
        self._parts.extend(lines)
        return mark

    def _file(self, blob: bytes, path: str) -> None:
        self._parts.append(b"M 100644 %b %b\n" % (blob, checked_path(path)))

    def _mark(self) -> bytes:
        self._marks += 1
        return b":%d" % self._marks


_FIRST_TIME = 1_577_836_800  # the root commit is the same in every repository


def checked_path(path: str) -> bytes:
    """A path as the stream writes it, each component checked: git's own tools let `..` through."""
    for component in path.split("/"):
        if component not in _OWN_NAMES:
            check_component(component)
    if path.startswith('"') or "\n" in path:
        raise UsageError(f"the path {shown(path)} can't be stored in git")
    return path.encode()


_OWN_NAMES = frozenset((".gitml", ".dvc"))


def _clean(text: str) -> bytes:
    """A name as a commit's header can hold it."""
    kept = "".join(char for char in text if char not in "<>" and char.isprintable())
    return kept.strip().encode("utf-8", "replace") or b"unknown"


_ZONE = re.compile(r"[+-](?:(?:0\d|1[0-3])[0-5]\d|1400)")


def _zone(text: str) -> bytes:
    """A time zone as git takes it; a stranger one, which TZ may hold, counts as UTC."""
    return text.encode() if _ZONE.fullmatch(text) else b"+0000"


def message(record: RunRecord, what: str = "", *, brief: bool = False) -> str:
    """The message of a run commit, or with `brief` of its ledger commit, for people to read."""
    body = "" if brief else _summary(record)
    return f"{subject(record, what)}\n\n{body}{_trailers(record)}\n"


def subject(record: RunRecord, what: str = "") -> str:
    """`<experiment>: <run name> <key metrics>`, one line of at most 100 characters."""
    words = [f"{printable(record.experiment)}: {printable(record.name)}"]
    if what:
        words.append(f"({printable(what)})")
    elif record.status in (FAILED, KILLED):
        words.append(record.status)
    for key in sorted(record.metrics, key=_unimportance)[:_SUBJECT_METRICS]:
        if not key.startswith("system/"):
            words.append(f"{printable(key)}={record.metrics[key].last:.4g}")
    line = words[0][:_SUBJECT_LENGTH]
    for word in words[1:]:
        line = f"{line} {word}" if len(line) + len(word) < _SUBJECT_LENGTH else line
    return line


def _unimportance(key: str) -> tuple[bool, bool, str]:
    """Orders metrics for the subject: system metrics last, what was measured on test data first."""
    lowered = key.lower()
    return (key.startswith("system/"), not lowered.startswith(("test", "val", "eval")), key)


def _summary(record: RunRecord) -> str:
    seconds = ((record.end_time or record.start_time) - record.start_time) / 1000
    lines = [
        f"{record.status} after {seconds:.1f} s"
        + (f": {printable(record.reason)}" if record.reason else "")
    ]
    if record.code.commit:
        state = "with changes" if record.code.dirty else "clean"
        branch = printable(record.code.branch or "no branch")
        lines.append(f"Code {record.code.commit[:10]} on {branch}, {state}")
    if record.params:
        shown_params = [
            f"{printable(k)}={printable(str(v))[:40]}" for k, v in sorted(record.params.items())
        ]
        lines.append("Params " + _listed(shown_params, 6))
    if record.description:
        lines += ["", _printable_lines(record.description)]
    return "\n".join(lines) + "\n\n"


def _listed(words: Sequence[str], most: int) -> str:
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")


def _trailers(record: RunRecord) -> str:
    lines = [f"Run-Id: {record.run_id}", f"Status: {record.status}"]
    if record.parent_run:
        lines.append(f"Parent-Run: {printable(record.parent_run)}")
    if record.user:
        lines.append(f"User: {printable(record.user)}")
    return "\n".join(lines)


def printable(text: str) -> str:
    """Outside text on one line, control characters taken out."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _printable_lines(text: str) -> str:
    """Outside text as paragraphs that can't be taken for trailers."""
    return "\n".join("  " + printable(line) for line in text.splitlines()[:20])


def commits_of(output: bytes, changes: Iterable[Change]) -> list[tuple[str, str]]:
    """The (run commit, ledger commit) of each change, from what fast-import answered."""
    ids = iter(output.decode("utf-8", "replace").split())
    found = []
    for change in changes:
        run = next(ids) if isinstance(change, RunChange) else getattr(change, "commit", "")
        found.append((run, next(ids)))
    return found


def contents_of(output: bytes) -> list[str]:
    """The ids of what the new commits hold, from what fast-import answered; empty: nothing there.

    For each change in turn: the run's folder in R where that is new, and in L; the written files
    of an edit.
    """
    lines = [line.partition(b"\t")[0].split(b" ") for line in output.splitlines() if b" " in line]
    return [words[2].decode() if len(words) == 3 else "" for words in lines]


def expected_contents(changes: Iterable[Change], digits: int) -> list[str]:
    """What `contents_of` is when git has stored just what it was given; `digits` as of its ids."""
    expected = []
    for change in changes:
        if isinstance(change, LedgerEdit):
            expected += [blob_id(data, digits) for data in change.write.values()]
        else:
            blobs = {
                path: blob_id(data, digits) if isinstance(data, bytes) else data
                for path, data in change.files.items()
            }
            expected += [tree_id(blobs, digits)] * (2 if isinstance(change, RunChange) else 1)
    return expected
