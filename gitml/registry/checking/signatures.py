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
from gitml.registry import signers
from gitml.registry.checking.known import Known
from gitml.registry.checking.problem import Problem
from gitml.registry.files import path_of
from gitml.registry.gates import Answer
from gitml.registry.signers import Signers

_RULE = f"{signers.SSH} on the base lists whose signatures count"
_AGAIN = "whoever is listed there has to register the run again, with tag.gpgSign set in git"


@dataclass(frozen=True, slots=True)
class Signing:
    """Whose signatures count on the base; `listed` is None where it asks for none.

    `ci` are the names of CI in the list, `ci_signs` tells whether CI signs the tags that it makes.
    """

    listed: Signers | None
    ci: tuple[str, ...]
    ci_signs: bool


def lacking(repo: git.Repository, who: Signing, versions: Sequence[Known]) -> dict[str, str]:
    """Those of the versions, by tag, that can't be deployed for want of a signature, and why."""
    if who.listed is None:
        return {}
    tags = {str(it.item.tag): it.item.tag_id for it in versions if not it.item.waits}
    waiting = [str(it.item.tag) for it in versions if it.item.waits]
    found = signers.unsigned(repo, tags, who.listed)
    return found | {tag: why for tag in waiting if (why := _never_signed(who, who.listed, tag))}


def _never_signed(who: Signing, listed: Signers, tag: str) -> str:
    """Why the tag that CI would make of a version does not count; empty where it does."""
    if not who.ci_signs:
        return "its tag would be made by CI, which does not sign"
    if not who.ci:
        return ""
    people = listed.of(tag)
    names = [it for it in who.ci if people is None or it in people]
    if not names:
        return f"its tag would be made by CI, and has to have a signature by {listed.asked(tag)}"
    by_name = people is not None or not listed.keys.gpg  # GPG keys have no names
    if by_name and signers.only(listed.keys, names) is None:
        return f"its tag would be made by CI, and {signers.SSH} has no key of {' or '.join(names)}"
    return ""


def problems(repo: git.Repository, who: Signing, versions: Sequence[Known]) -> Iterator[Problem]:
    """What is wrong with versions that take a stage."""
    try:
        bad = lacking(repo, who, versions)
    except FormatError as error:
        yield Problem(signers.SSH, f"no signature can be checked: {error}")
        return
    for tag, why in bad.items():
        what = f"{tag} would not be deployed: {why}"
        yield Problem(path_of(tag.partition("@")[0]), f"{what}; {_RULE}: {_AGAIN}")


def remarks(repo: git.Repository, who: Signing, versions: Sequence[Known]) -> tuple[str, ...]:
    """Of versions that take no stage yet, that they could not be deployed."""
    try:
        bad = lacking(repo, who, versions)
    except FormatError:  # told as a problem of the first version that takes a stage
        return ()
    return tuple(f"{tag} is not deployed: {why}" for tag, why in bad.items())


def signed(repo: git.Repository, who: Signing, version: Known) -> Answer:
    """Whether somebody who may, and who is not CI, has signed a version's tag."""
    item, listed = version.item, who.listed
    tag = str(item.tag)
    if listed is None:
        return Answer(None, f"{signers.SSH} on the base lists nobody who may sign")
    if item.waits:
        later = "the tag would be made by CI, after the merge; whoever may sign has to register it"
        return Answer(False, f"{tag} has no tag yet: {later}")
    if why := signers.unsigned(repo, {tag: item.tag_id}, listed).get(tag):
        return Answer(False, why)
    if item.note.reviewed:
        return Answer(False, "by CI alone, which made the tag after a merge")
    of_ci = signers.only(listed.keys, who.ci)
    if of_ci is not None and not git.unsigned(repo, [item.tag_id], of_ci):
        return Answer(False, "by CI alone, and it asks for somebody else")
    return Answer(True, f"by {listed.asked(tag)}")
