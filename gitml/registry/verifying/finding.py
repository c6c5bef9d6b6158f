"""What verifying finds: one drift or forgery, with what was expected, what is there, what to do."""

from __future__ import annotations

from dataclasses import dataclass

LIGHTWEIGHT = "lightweight"  # a tag that is no object, and so tells nothing
RENAMED = "renamed"  # a tag object under a name that it was not made for
DAMAGED = "damaged"  # a tag whose message is not what gitml writes
SIGNATURE = "signature"  # a tag that none of the listed keys has signed
RUN = "run"  # a version that its run commit does not bear out
LEDGER = "ledger"  # a run commit that the ledger does not have
MOVED = "moved"  # a tag that stands on another commit, or is another object, than it was
DIGEST = "digest"  # a model that is not the one that was logged
METRICS = "metrics"  # metrics in a file that are not the run's
MISSING = "missing"  # a tag that is named and not there
DELETED = "deleted"  # a tag that was there once
CASE = "case"  # two models whose names differ only in case
UNMERGED = "unmerged"  # a stage taken by a commit that is not on the main branch
UNDECIDED = "undecided"  # a stage taken that the main branch did not give
BACKWARDS = "backwards"  # a later tag for an earlier decision
DATED = "dated"  # a tag from the future, or older than what it stands on
OUT_OF_SYNC = "out of sync"  # the last tag of a stage is not what the main branch says
FILE = "file"  # a file of the registry that can't be read
UNCHECKED = "unchecked"  # what a check needs is not here


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    `kind` is one of the words above, `subject` the tag or file. `expected` and `found` are ids,
    versions or values, `fix` is a command or what a person has to decide.
    """

    kind: str
    subject: str
    what: str
    expected: str = ""
    found: str = ""
    fix: str = ""
