"""Where a repository is at a forge, told by the URL of a git remote. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

Kind = Literal["github", "gitlab", "other"]

_SCHEMES = {"https": "https", "http": "http"} | dict.fromkeys(
    ("ssh", "git+ssh", "ssh+git", "git"), "https"
)
_SCP_LIKE = re.compile(r"(?:[^@/:]+@)?(?P<host>\[[0-9A-Fa-f:]+\]|[^@/:\[\]]{2,}):(?P<path>[^:].*)")
_HOST = re.compile(r"(?!-)[a-z0-9.-]+|[0-9a-f:]+")
_PART = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.~+-]+")
# Their other names, under which they take SSH where the usual port is closed.
_SAME = {
    "ssh.github.com": "github.com",
    "www.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A repository at a host: `path` is such as `owner/name`, `port` that of its web pages.

    `host` is in lower case; an IPv6 address has no brackets.
    """

    host: str
    path: str
    scheme: str = "https"
    port: int | None = None

    @property
    def web(self) -> str:
        """The URL of the repository's page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{host}{port}/{self.path}"


def parse_remote(url: str) -> Address | None:
    """The address that a remote's URL names: HTTPS, SSH or `user@host:path`.

    None for a folder, and for what can't be a repository of a forge. A port of SSH says nothing of
    the web pages, and neither does user info.
    """
    if not url.isascii() or not url.isprintable() or re.search(r"[\s\\?#]", url):
        return None
    if "://" not in url:
        found = _SCP_LIKE.fullmatch(url)
        return _address("https", found["host"].strip("[]"), None, found["path"]) if found else None
    try:
        parts = urlsplit(url)
        port = parts.port if parts.scheme in ("http", "https") else None
    except ValueError:
        return None
    scheme = _SCHEMES.get(parts.scheme)
    return _address(scheme, parts.hostname or "", port, parts.path) if scheme else None


def _address(scheme: str, host: str, port: int | None, path: str) -> Address | None:
    host = _SAME.get(host.lower(), host.lower())
    path = path.strip("/").removesuffix(".git")
    parts = path.split("/")
    if not _HOST.fullmatch(host) or len(parts) < 2 or not all(map(_PART.fullmatch, parts)):
        return None
    return Address(host, path, scheme, port)


def compare_url(address: Address, kind: Kind, base: str, branch: str) -> str:
    """The page on which a person opens the request to merge `branch` into `base`.

    Others than GitLab are taken to have GitHub's, which Gitea and Forgejo share; it is the
    repository's own page where the address has not their form.
    """
    if kind == "gitlab":
        names = {"source_branch": branch, "target_branch": base}
        query = urlencode({f"merge_request[{key}]": name for key, name in names.items()})
        return f"{address.web}/-/merge_requests/new?{query}"
    if address.path.count("/") != 1:
        return address.web
    return f"{address.web}/compare/{quote(base)}...{quote(branch)}?expand=1"


def diff_url(address: Address, kind: Kind, one: str, other: str) -> str:
    """The page that shows how the code of two commits differs."""
    middle = "/-/compare/" if kind == "gitlab" else "/compare/"
    return f"{address.web}{middle}{quote(one)}...{quote(other)}"


def commit_url(address: Address, kind: Kind, commit: str) -> str:
    """The page of one commit."""
    middle = "/-/commit/" if kind == "gitlab" else "/commit/"
    return f"{address.web}{middle}{quote(commit)}"
