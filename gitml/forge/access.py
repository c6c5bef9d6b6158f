"""Which API serves a repository, and the token for it, both told by the environment. Pure.

An API belongs to a remote when it is on the remote's own host, or on `api.` of that host. A token
goes nowhere else, whatever the environment or the repository names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from gitml.errors import UsageError, shown
from gitml.forge.address import Address, Kind

# The variables of each forge's own command line and CI; the first that is set counts.
TOKENS: Mapping[Kind, tuple[str, ...]] = {
    "github": ("GH_TOKEN", "GITHUB_TOKEN"),
    "gitlab": ("GITLAB_TOKEN", "CI_JOB_TOKEN"),
}
JOB_TOKEN = "CI_JOB_TOKEN"
V4 = "/api/v4"
_DEFAULTS: Mapping[str, tuple[Kind, str]] = {
    "github.com": ("github", "https://api.github.com"),
    "gitlab.com": ("gitlab", f"https://gitlab.com{V4}"),
}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and the variable that it is from, by which messages name it."""

    variable: str
    secret: str = field(repr=False)


class Endpoint(NamedTuple):
    """The API that serves a repository: its kind and URL, without a slash at the end."""

    kind: Kind
    url: str


def endpoint_of(address: Address, environ: Mapping[str, str]) -> Endpoint | None:
    """The API of the host that a remote is on; None where none is known.

    GITHUB_API_URL tells that of GitHub Enterprise, CI_API_V4_URL or GITLAB_HOST that of a GitLab.
    UsageError when it would carry the token in the clear.
    """
    for kind, url in _named(environ):
        parts = _split(url)
        if parts is not None and parts.hostname in (address.host, f"api.{address.host}"):
            _check_private(parts)
            return Endpoint(kind, url.rstrip("/"))
    known = _DEFAULTS.get(address.host)
    return Endpoint(*known) if known else None


def kind_of(address: Address, environ: Mapping[str, str]) -> Kind:
    """What a forge is, as far as its pages go: by its API, else by its name."""
    found = endpoint_of(address, environ)
    if found is not None:
        return found.kind
    return "gitlab" if "gitlab" in address.host else "other"


def token_of(kind: Kind, environ: Mapping[str, str]) -> Token | None:
    """The token for a forge; UsageError when it is not one that a header can carry."""
    for variable in TOKENS.get(kind, ()):
        secret = environ.get(variable, "").strip()
        if not secret:
            continue
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise UsageError(f"{variable} holds characters that are in no token; set it again")
        return Token(variable, secret)
    return None


_SECRET = re.compile(
    r"(GH|GITHUB|GITLAB|CI|GITML|ACTIONS)_(.*_)?(TOKEN|PASSWORD)|CI_REPOSITORY_URL"
)


def without_tokens(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for code that is not to act at the forge: no token of it, or of CI's."""
    return {name: value for name, value in environ.items() if not _SECRET.fullmatch(name)}


def _named(environ: Mapping[str, str]) -> Iterator[tuple[Kind, str]]:
    """The APIs that the environment names."""
    if url := environ.get("GITHUB_API_URL"):
        yield "github", url
    if url := environ.get("CI_API_V4_URL"):
        yield "gitlab", url
    if host := environ.get("GITLAB_HOST"):
        url = host if "://" in host else f"https://{host}"
        yield "gitlab", url.rstrip("/") + V4


def _split(url: str) -> SplitResult | None:
    """The parts of an API's URL; None when it is no plain one."""
    try:
        parts = urlsplit(url)
        is_plain = parts.port != 0 and "@" not in parts.netloc and not parts.query + parts.fragment
    except ValueError:
        return None
    is_url = parts.scheme in ("http", "https") and url.isascii() and url.isprintable()
    return parts if is_url and is_plain and " " not in url else None


def _check_private(parts: SplitResult) -> None:
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        what = shown(parts.geturl())
        raise UsageError(f"the API {what} would get the token in the clear; name it with https://")
