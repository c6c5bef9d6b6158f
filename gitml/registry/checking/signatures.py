"""Signatures of the versions of a change, where the base lists keys: what has none is not deployed.

A version that could never be brought to run is refused here, where its author reads the reason, and
not first by what deploys it. CI's own signature says that a change was merged, and no more: the
gate `signed` asks for that of somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gitml import git
from gitml.errors import FormatError
from gitml.git import Keys
from gitml.registry import signers, vouching
from gitml.registry.checking.known import Known
from gitml.registry.checking.problem import Problem
from gitml.registry.files import path_of
from gitml.registry.gates import Answer

_RULE = f"{signers.SSH} on the base lists whose signatures count"
_AGAIN = "whoever is listed there has to register the run again, with tag.gpgSign set in git"


@dataclass(frozen=True, slots=True)
class Signers:
    """Whose signatures count on the base: the keys, None where it lists none.

    `ci` are the names of CI in the list, `ci_signs` tells whether CI signs the tags that it makes.
    """

    keys: Keys | None
    ci: tuple[str, ...]
    ci_signs: bool


def lacking(repo: git.Repository, who: Signers, versions: Sequence[Known]) -> dict[str, str]:
    """Those of the versions, by tag, that can't be deployed for want of a signature, and why."""
    if who.keys is None:
        return {}
    tagged = [it.item for it in versions if not it.item.waits]
    bad = git.unsigned(repo, [it.tag_id for it in tagged], who.keys)
    found = {str(it.tag): bad[it.tag_id] for it in tagged if it.tag_id in bad}
    if not who.ci_signs:
        later = "its tag would be made by CI, which does not sign"
        found |= {str(it.item.tag): later for it in versions if it.item.waits}
    return found


def problems(repo: git.Repository, who: Signers, versions: Sequence[Known]) -> Iterator[Problem]:
    """What is wrong with versions that take a stage."""
    try:
        bad = lacking(repo, who, versions)
    except FormatError as error:
        yield Problem(signers.SSH, f"no signature can be checked: {error}")
        return
    for tag, why in bad.items():
        what = f"{tag} would not be deployed: {why}"
        yield Problem(path_of(tag.partition("@")[0]), f"{what}; {_RULE}: {_AGAIN}")


def remarks(repo: git.Repository, who: Signers, versions: Sequence[Known]) -> tuple[str, ...]:
    """Of versions that take no stage yet, that they could not be deployed."""
    try:
        bad = lacking(repo, who, versions)
    except FormatError:  # told as a problem of the first version that takes a stage
        return ()
    return tuple(f"{tag} is not deployed: {why}" for tag, why in bad.items())


def signed(repo: git.Repository, who: Signers, version: Known) -> Answer:
    """Whether somebody who may, and who is not CI, has signed a version's tag."""
    item = version.item
    if who.keys is None:
        return Answer(None, f"{signers.SSH} on the base lists nobody who may sign")
    if item.waits:
        later = "the tag would be made by CI, after the merge; whoever may sign has to register it"
        return Answer(False, f"{item.tag} has no tag yet: {later}")
    if why := git.unsigned(repo, [item.tag_id], who.keys).get(item.tag_id):
        return Answer(False, why)
    if item.note.reviewed:
        return Answer(False, "by CI alone, which made the tag after a merge")
    of_ci = vouching.only(who.keys, who.ci)
    if of_ci is not None and not git.unsigned(repo, [item.tag_id], of_ci):
        return Answer(False, "by CI alone, and it asks for somebody else")
    return Answer(True, "by a listed key")
