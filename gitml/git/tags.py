"""Annotated tags: reading many at once, and making one that no ref names yet."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gitml.errors import GitError, shown
from gitml.git.commands import Repository, attempt, run, text
from gitml.git.foreign import object_format
from gitml.git.local import settings

TAGS = "refs/tags/"
_FIELDS = (
    "refname", "objectname", "objecttype", "*objectname", "*objecttype", "tag",
    "taggername", "taggeremail", "taggerdate:unix", "contents:subject", "contents:body",
)  # fmt: skip
LARGEST_TAG = 1 << 20  # bytes of its object
_AT_ONCE = 500  # names on one command line
_LAST = 253_402_300_799  # the end of the year 9999, beyond which there are no dates
_TRUE = ("", "1", "on", "true", "yes")
_OF_SIGNING = ("gpg.", "user.")


class Tag(NamedTuple):
    """A tag of the repository; `name` is that of its ref, without `refs/tags/`.

    `id` is the object that the ref names. `commit` is what an annotated tag stands on, None for a
    lightweight one and for one of anything else; `inner` is the name in the tag object itself.
    `time` is in seconds.
    """

    name: str
    id: str
    commit: str | None
    inner: str
    tagger: str
    email: str
    time: int
    subject: str
    body: str


def tags(repo: Repository, *patterns: str) -> list[Tag]:
    """The tags whose full ref names match the patterns, by name.

    Of one that is larger than any of gitml's nothing is read: it is like one without a message.
    """
    listed = run(repo, "for-each-ref", "--format=%(objectsize) %(objectname) %(refname)", "--",
                 *patterns).decode("utf-8", "replace")  # fmt: skip
    rows = [line.split(" ", 2) for line in listed.splitlines()]
    large = {ref: id for size, id, ref in rows if int(size) > LARGEST_TAG}
    if not large:
        return _read(repo, patterns)
    small = [ref for _, _, ref in rows if ref not in large]
    found = [_tag(ref, id, *[""] * (len(_FIELDS) - 2)) for ref, id in large.items()]
    for at in range(0, len(small), _AT_ONCE):
        found += _read(repo, small[at : at + _AT_ONCE])
    return sorted(found, key=lambda tag: tag.name.encode())


def _read(repo: Repository, patterns: Sequence[str]) -> list[Tag]:
    form = "".join(f"%({field})%00" for field in _FIELDS)
    out = run(repo, "for-each-ref", f"--format={form}", "--", *patterns)
    parts = out.decode("utf-8", "replace").split("\0")[:-1]
    size = len(_FIELDS)
    return [_tag(*parts[at : at + size]) for at in range(0, len(parts), size)]


def _tag(
    ref: str, id: str, kind: str, target: str, target_kind: str, inner: str,
    tagger: str, email: str, seconds: str, subject: str, body: str,
) -> Tag:  # fmt: skip
    name = ref.lstrip("\n").removeprefix(TAGS)
    commit = target if kind == "tag" and target_kind == "commit" else None
    when = min(int(seconds), _LAST) if seconds.isdigit() else 0
    return Tag(name, id, commit, inner, tagger, email.strip("<>"), when, subject, body)


def make_tag(
    repo: Repository, name: str, commit: str, message: str, tagger: tuple[str, str], time: int
) -> str:
    """Write an annotated tag on a commit, and return the id of its object.

    No ref names it: who publishes it first does so. `tagger` is a name and an address, `time` is
    in seconds. It is signed where the user signs tags; GitError when that fails.
    """
    own = settings(repo)
    signs = own.get("tag.gpgsign", "false").lower() in _TRUE
    with tempfile.TemporaryDirectory(prefix="gitml-tag-") as folder:
        form = f"--object-format={object_format(repo)}"
        run(Path(folder), "init", "--quiet", "--bare", "--template=", form, ".")
        env = {
            "GIT_DIR": folder,
            "GIT_OBJECT_DIRECTORY": str(repo.common_dir / "objects"),
            "GIT_COMMITTER_NAME": tagger[0],
            "GIT_COMMITTER_EMAIL": tagger[1],
            "GIT_COMMITTER_DATE": f"@{time} +0000",
        }
        options = [*signing(own), "tag", "--sign" if signs else "--annotate"]
        options += ["--cleanup=verbatim", "--file=-", "--end-of-options", name, commit]
        done = attempt(Path(folder), *options, input=message.encode(), env=env)
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        said = " ".join(" ".join(it for it in lines if not it.startswith("hint:")).split())
        if done.returncode:
            raise GitError(f"the tag {shown(name)} could not be made: {said}", stderr=said)
        id = text(Path(folder), "rev-parse", "--verify", f"{TAGS}{name}", env=env)
        # git ends with 0 also where the program that signs failed
        if signs and run(repo, "cat-file", "tag", id).endswith(message.encode()):
            raise GitError(f"the tag {shown(name)} could not be signed: {said}", stderr=said)
        return id


def signing(own: Mapping[str, str]) -> list[str]:
    """The options of git that tell how the user signs, and that nothing else decides."""
    kept = [f"{key}={value}" for key, value in own.items() if key.startswith(_OF_SIGNING)]
    kept += ["tag.gpgSign=false", "tag.forceSignAnnotated=false"]
    return [part for setting in kept for part in ("-c", setting)]
