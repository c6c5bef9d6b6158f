"""The user info in URLs, also where what stands in it was not encoded as it ought to be. Pure."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,30})://")
_AUTHORITY = re.compile(r"[^/?#\s]*")
_HOST = re.compile(r"[^:@]*(?::\d+)?|\[[0-9A-Fa-f:.%]*\](?::\d+)?")
_MAYBE_USER = re.compile(r"[^.:@\[\]]+:\d+")  # a host without a domain and its port, or a login
_VERSION_CONTROL = ("git+", "hg+", "svn+", "bzr+")  # their URLs may end in `@<commit>`


def without_user_info(text: str, with_user: frozenset[str] = frozenset()) -> str:
    """The text with the user info of every URL in it left out.

    For the schemes `with_user`, of which the last part of `a+b` counts, the user's name is part
    of the address: it stays, and the password goes.
    """
    schemes = list(_SCHEME.finditer(text))
    starts = [found.start() for found in schemes] + [len(text)]
    parts = [text[: starts[0]]]
    for found, end in zip(schemes, starts[1:], strict=True):
        rest = text[found.end() : end]
        cut = _authority_end(rest, found[1].lower())
        user, at, host = rest[:cut].rpartition("@")
        is_named = found[1].lower().rpartition("+")[2] in with_user
        kept = re.split("[:@]", user, maxsplit=1)[0] + at if is_named else ""
        parts += [found.group(), kept, host, rest[cut:]]
    return "".join(parts)


def _authority_end(rest: str, scheme: str) -> int:
    """How much of `rest`, which follows `://`, is user info and host.

    A `/`, `?`, `#` or space in a password ought to be encoded. Where it is not, what stands
    before it is not a host with a port, or might not be, and all up to the last `@` counts as
    user info.
    """
    end = _AUTHORITY.match(rest).end()  # type: ignore[union-attr]  # it matches nothing too
    last = rest.rfind("@")
    if "@" in rest[:end] or last < 0:
        return end
    if not _HOST.fullmatch(rest, 0, end) or _is_login(rest, end, last, scheme):
        return _AUTHORITY.match(rest, last).end()  # type: ignore[union-attr]
    return end


def _is_login(rest: str, end: int, last: int, scheme: str) -> bool:
    """Whether what looks like a host and its port may be a user and the digits of a password."""
    if scheme.startswith(_VERSION_CONTROL) or rest[last - 1] == "/":
        return False
    return _MAYBE_USER.fullmatch(rest, 0, end) is not None and not rest.startswith("localhost:")
