"""Whose signatures of tags count: keys and rights in the repository, as the main branch has them.

`registry/allowed_signers` is a list of SSH keys in OpenSSH's format, each with who it belongs to,
`registry/allowed_signers.asc` has public GPG keys. Where there is either, each tag of the registry
must be signed by one of them; `signers` in registry.yaml says by whose, for some kinds of tags.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gitml import git
from gitml.git import Keys
from gitml.registry import policy
from gitml.registry.files import FOLDER
from gitml.registry.policy import Rights
from gitml.registry.tags import parse_tag

_LINE = re.compile(rb'[ \t]*(?!#)([^ \t\r"]*)(?:"([^"]*)")?[ \t\r]*(.*)', re.DOTALL)
SSH, GPG = f"{FOLDER}/allowed_signers", f"{FOLDER}/allowed_signers.asc"


@dataclass(frozen=True, slots=True)
class Signers:
    """The keys that are listed, and who of their owners may sign what."""

    keys: Keys
    rights: Rights

    def of(self, tag: str) -> tuple[str, ...] | None:
        """Who may sign a tag of the registry, by its name; None when each listed key may."""
        found = parse_tag(tag)
        return None if found is None else self.rights.of(found)

    def asked(self, tag: str) -> str:
        """Whose signature a tag should have, in words."""
        people = self.of(tag)
        return "a listed key" if people is None else f"a key of {' or '.join(people) or 'nobody'}"


def read_at(repo: git.Repository, commit: str) -> Signers | None:
    """Who may sign, as a commit says; None when it says nothing, so that no signature is asked for.

    FormatError when its registry.yaml can't be read, since that may say who.
    """
    names = (SSH, GPG, policy.FILE_NAME)
    ssh, gpg, rules = git.read_present(repo, [f"{commit}:{name}" for name in names])
    rights = Rights() if rules is None else policy.parse(rules).signers
    if ssh is None and gpg is None and rights == Rights():
        return None
    return Signers(Keys(ssh or b"", gpg or b""), rights)


def unsigned(repo: git.Repository, tags: Mapping[str, str], signers: Signers) -> dict[str, str]:
    """The tags, each an object's id by its name, that nobody has signed who may; each with why.

    Raises as `git.unsigned` does.
    """
    bad: dict[str, str] = {}
    for people in {signers.of(name) for name in tags}:
        some = {name: id for name, id in tags.items() if signers.of(name) == people}
        keys = signers.keys if people is None else only(signers.keys, people) or Keys()
        found = git.unsigned(repo, list(dict.fromkeys(some.values())), keys)
        wrong = {name: found[id] for name, id in some.items() if id in found}
        bad |= wrong if people is None else _of_others(repo, wrong, some, signers)
    return bad


def _of_others(
    repo: git.Repository, wrong: Mapping[str, str], tags: Mapping[str, str], signers: Signers
) -> dict[str, str]:
    """The same reasons, but for tags with a listed key's signature, whose owner may not sign."""
    ids = list(dict.fromkeys(tags[name] for name in wrong))
    strange = git.unsigned(repo, ids, signers.keys) if ids else {}
    return {
        name: strange.get(tags[name]) or "a signature of a key that is listed, and may not sign it"
        for name in wrong
    }


def only(keys: Keys, people: Collection[str]) -> Keys | None:
    """The SSH keys that the list gives to one of these; None when it gives them none.

    Of a line that names others, too, these are left out: of an authority that certifies keys, what
    it has certified for those does not count.
    """
    wanted = {name.encode() for name in people}
    lines = [kept for line in keys.ssh.split(b"\n") if (kept := _of(line, wanted))]
    return Keys(b"".join(line + b"\n" for line in lines)) if lines else None


def _of(line: bytes, wanted: Collection[bytes]) -> bytes:
    """What a line of the list gives to some people; it ends, and has blanks, as OpenSSH sees it."""
    found = _LINE.fullmatch(line)
    owners = (found[1] + (found[2] or b"")).split(b",") if found else []
    if found is None or not {*owners} & {*wanted}:
        return b""
    kept = [name for name in owners if name in wanted or name.startswith(b"!")]
    return b'"%b" %b' % (b",".join(kept), found[3])
