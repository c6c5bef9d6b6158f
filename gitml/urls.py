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


def without_login(text: str) -> str:
    """An address without a scheme, such as `user:password@host:path`, without the password.

    All up to the last `@` counts as password, unless the text begins like a path of Windows.
    """
    found = _LOGIN.match(text)
    return text if found is None else found[1] + text[found.end() :]


_LOGIN = re.compile(r"(?![A-Za-z]:[\\/])(\s*(?://)?(?!git@)[^\s:/\\]+):.*(?=@)", re.DOTALL)


def without_bare_tokens(text: str) -> str:
    """The text, and `***` for what stands in a URL's query or fragment without a name.

    Stores of objects know no such thing; elsewhere it must look like a token to go, and those of
    version control are the names of commits.
    """
    return _WITH_TAIL.sub(_without_bare_token, text)


_WITH_TAIL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,30})://[^\s?#]*([?#]\S*)?")
_PART = re.compile(r"(?<=[?#&])[^?#&]+")
_TOKEN = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[A-Za-z0-9+/_.~%\-]{16,}")
_STORES = frozenset("s3 s3a gs gcs oss azure az abfs abfss adl wasb wasbs hdfs webhdfs".split())


def _without_bare_token(found: re.Match[str]) -> str:
    scheme = found[1].lower()
    if scheme.startswith(_VERSION_CONTROL) or not found[2]:
        return found[0]
    start = found.start(2) - found.start()
    return found[0][:start] + _PART.sub(lambda it: _bare(it[0], scheme), found[2])


def _bare(part: str, scheme: str) -> str:
    if "=" in part or part.isdigit():
        return part
    return "***" if scheme in _STORES or _TOKEN.fullmatch(part) else part


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
