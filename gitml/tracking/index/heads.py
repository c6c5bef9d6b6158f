"""The heads of the ledger. git is asked when one of the files in which it keeps refs has changed.

A process that reads many runs looks for new ones every time: four files are read in a
fortieth of the time that one git process takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from gitml import git
from gitml.git import Repository

Mark = tuple[object, ...]
Own = Callable[[Collection[str]], Collection[str]]


class Heads(NamedTuple):
    """The heads of a ledger, by full ref name: the repository's own, and those of others, as forks.

    What an own one has counts as it is there, whatever the others have under the same name.
    """

    own: Mapping[str, str]
    others: Mapping[str, str]

    @classmethod
    def of(cls, heads: Mapping[str, str], own: Own | None) -> Heads:
        """Heads of which `own` chooses the repository's own; without it all are."""
        mine = heads if own is None else own(heads)
        kept = {name: id for name, id in heads.items() if name in mine}
        return cls(kept, {name: id for name, id in heads.items() if name not in mine})

    @property
    def ids(self) -> frozenset[str]:
        """The commits."""
        return frozenset((*self.own.values(), *self.others.values()))


_answers: dict[tuple[Path, str], tuple[Mark, dict[str, str]]] = {}


def read_heads(repo: Repository, ledger: str) -> dict[str, str]:
    """The heads by full ref name: the local branch first, then every remote-tracking one."""
    key = (repo.common_dir, ledger)
    mark = _mark(*key)
    known = _answers.get(key)
    if mark is None or known is None or known[0] != mark:
        known = (mark or (), _asked(repo, ledger))
        _answers[key] = known
    return dict(known[1])


def _asked(repo: Repository, ledger: str) -> dict[str, str]:
    local = f"refs/heads/{ledger}"
    found = dict(git.refs(repo, local, f"refs/remotes/*/{ledger}"))
    return dict(sorted(found.items(), key=lambda item: (item[0] != local, item[0])))


def _mark(common_dir: Path, ledger: str) -> Mark | None:
    """What differs when a head has moved; None where git keeps refs in a way of its own."""
    if (common_dir / "reftable").exists():
        return None
    loose = [common_dir / "refs" / "heads" / ledger]
    loose += sorted((common_dir / "refs" / "remotes").glob(f"*/{ledger}"))
    texts = [(str(path), _text(path)) for path in loose]
    if any(text.startswith("ref:") for _, text in texts):  # what it points to may move
        return None
    return (*texts, _identity(common_dir / "packed-refs"))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _identity(path: Path) -> tuple[int, ...] | None:
    """Which file it is: git never writes into one that is there, it puts another in its place."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
