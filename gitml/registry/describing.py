"""What a proposed change means, for the people who review it: the text of its pull request."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from gitml import git
from gitml.errors import FormatError, GitError, UsageError
from gitml.forge.access import kind_of
from gitml.forge.address import Address, commit_url, diff_url
from gitml.models.compatibility import Compatibility, compare
from gitml.models.signature import ModelSignature
from gitml.registry import files, policy, verified
from gitml.registry.catalog import Catalog
from gitml.registry.change import Change
from gitml.registry.gates import Evidence, Gate, judge, with_age
from gitml.registry.gates.judge import UNKNOWN
from gitml.registry.main_branch import Main
from gitml.registry.version import Version
from gitml.review import promotion
from gitml.review.code import FileChange, changed_files
from gitml.review.markdown import code
from gitml.review.promotion import Promotion, Side
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.search.facts import Facts, facts
from gitml.tracking.session import now_ms


@dataclass(frozen=True, slots=True)
class _Known:
    """A version as its tag has it, and the signature of its model."""

    side: Side
    signature: ModelSignature | None


def describe(
    place: Place, main: Main, change: Change, book: Catalog, address: Address | None = None
) -> str:
    """The pull request's text, as Markdown in which all text from outside is inert.

    Of the gates those are judged that look at runs and signatures; the check asks for the others.
    `book` has the versions, `address` is where the repository is, for links. Raises FormatError
    when the proposed version is not borne out by its run; of one that holds the stage it is told.
    """
    what, current = f"{change.sentence}{_beginning(change)}", None
    proposed = _known(place, book, change.name, change.version)
    if change.before is not None:
        try:
            current = _known(place, book, change.name, change.before)
        except (FormatError, UsageError) as error:
            what += f" It can't be compared: {code(error, 300)}"
    held = None if current is None else current.side
    differs = None if current is None else compare(current.signature, proposed.signature)
    told = Promotion(
        what=what,
        proposed=proposed.side,
        current=held,
        signature=differs,
        gates=_gates(_asked(place, main, change), proposed.side, held, differs),
        files=None if held is None else _files(place, held, proposed.side),
        diff_url=_page(address, held, proposed.side),
    )
    return promotion.body(told)


def _beginning(change: Change) -> str:
    """What to do when the file's beginning, which open promotions share, comes as another commit.

    A squash, or GitHub's rebase, puts a copy on main. Git merges two files of one name that have
    no common beginning only where they are the same.
    """
    if change.begins is None:
        return ""
    words = f"gitml registry promote {change.name} {change.version} {change.stage}"
    return (
        f" It begins the file {code(change.path)}: if it conflicts once another promotion of the"
        f" model was squashed or rebased, run {code(words)} again, which brings it up to date."
    )


def _known(place: Place, book: Catalog, name: str, version: Version) -> _Known:
    item = book.version(name, str(version))
    entry = verified.entry_of(place, item)
    side = Side(str(version), entry.record, item.commit, item.note.digest, item.note.by)
    return _Known(side, verified.signature_of(entry.record, item.note.path))


def _gates(
    asked: Sequence[Gate], proposed: Side, current: Side | None, differs: Compatibility | None
) -> Sequence[promotion.Gate]:
    """What is known of the gates before the check."""
    now = now_ms()
    evidence = Evidence(
        _facts(proposed.record, now),
        None if current is None else _facts(current.record, now),
        differs,
    )
    verdicts = judge(asked, evidence)
    return [
        promotion.Gate(it.gate, promotion.ASKED, "")
        if it.outcome == UNKNOWN
        else promotion.Gate(it.gate, it.outcome, it.why)
        for it in verdicts
    ]


def _asked(place: Place, main: Main, change: Change) -> tuple[Gate, ...]:
    """The gates of the policy and of the model itself, as the main branch has them."""
    names = [f"{main.commit}:{policy.FILE_NAME}", f"{main.commit}:{change.path}"]
    rules, data = git.read_present(place.repo, names)
    asked = () if rules is None else policy.parse(rules).gates.get(change.stage, ())
    own = () if data is None else files.parse(data, change.path).gates.get(change.stage, ())
    return (*asked, *own)


def _facts(record: RunRecord, now: int) -> Facts:
    return with_age(facts(record), now)


def _files(place: Place, current: Side, proposed: Side) -> Sequence[FileChange] | None:
    try:
        return changed_files(place.repo, current.commit, proposed.commit)
    except GitError:  # a clone that has not all of the files
        return None


def _page(address: Address | None, current: Side | None, proposed: Side) -> str:
    """Where the code is to be read: both versions' commits are at the remote, by their tags."""
    if address is None:
        return ""
    kind = kind_of(address, os.environ)
    if current is None:
        return commit_url(address, kind, proposed.commit)
    return diff_url(address, kind, current.commit, proposed.commit)
