"""Where a DVC remote is: its URL and options, and what of them the world may read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gitml.errors import UsageError, shown
from gitml.urls import without_login, without_user_info

RUNS = "gitml"  # the name of the runs' own remote, and of their prefix under the project's

_EMPTY: Mapping[str, str] = MappingProxyType({})
# In the name of an object a `#` may be a letter like any other, unless a token follows.
_FRAGMENT = re.compile(r"#(?:[^#/]*=.*|(?=[A-Z_a-z]*\d)(?=\d*[A-Z_a-z])\w{16,}\Z)", re.DOTALL)
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")
# Say where the objects are and how to speak to that place; nothing about who asks, no secret,
# no path on somebody's machine.
_SHARED = frozenset(
    """allow_anonymous_login account_name auth cache_regions endpointurl
    gdrive_acknowledge_abuse gdrive_use_service_account kerberos method oss_endpoint port
    projectname region sse sse_kms_key_id ssl_verify use_https use_ssl""".split()
)
_BOOLEAN = frozenset({"ssl_verify"})  # may also be the path of a certificate
# Options of the project's remote that would give its objects another layout.
_CLOUD_VERSIONING = frozenset({"version_aware", "worktree"})
_WITH_USER = frozenset({"ssh", "hdfs", "webhdfs"})  # schemes whose user belongs to the address
_UNVERIFIED = frozenset({"hdfs"})  # schemes for which DVC has no option `verify`
# Of DVC's schemes, those that start no program and ask nobody to log in when they are opened.
_QUIET = frozenset("azure gs http https oss s3 ssh webdav webdavs webhdfs".split())
_PLAIN_HOST = r"(?:\w[\w.-]*@)?(?:\w[\w.-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
_PLAIN_URL = re.compile(rf"([a-z0-9]+)://{_PLAIN_HOST}(?:/[^\x00-\x1f\x7f?#\\]*)?", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class Remote:
    """A DVC remote: its name, its absolute URL or path, and DVC's options for it as text.

    The URL and the options may hold secrets; `str` and `repr` of a remote do not. `starting` is
    the option that came with the repository and would start a program: such a remote is not opened.
    """

    name: str
    url: str
    options: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    starting: str | None = None

    @property
    def scheme(self) -> str:
        """The URL's scheme, empty for a folder."""
        return self.url.partition("://")[0].lower() if "://" in self.url else ""

    def __str__(self) -> str:
        return f"{self.name} ({public_url(self.url)})"

    __repr__ = __str__


def run_remote(project: Remote) -> Remote:
    """The remote of the runs: the prefix `gitml/` under the project's remote, same options.

    A stock `dvc gc -c` of the project lists its own remote only and leaves the prefix alone.
    """
    options = {key: text for key, text in project.options.items() if key not in _CLOUD_VERSIONING}
    return replace(project, name=RUNS, url=join_url(project.url, RUNS), options=options)


def join_url(url: str, part: str) -> str:
    """The place `part` under a URL, a path, or a Windows path."""
    if "://" in url:
        place, mark, query = url.partition("?")
        return f"{place.rstrip('/')}/{part}{mark}{query}"
    if _WINDOWS_PATH.match(url) and "/" not in url:
        return url.rstrip("\\") + "\\" + part
    return f"{url.rstrip('/')}/{part}"


def public_url(url: str) -> str:
    """The URL or path without what could be a secret: password, token, query, fragment.

    The user's name stays where it is a part of the address, as in `ssh://data@host/path`.
    """
    if "://" not in url:
        return without_login(url)
    place = without_user_info(url, _WITH_USER).partition("?")[0]
    return _FRAGMENT.sub("", place)


def may_be_read(url: str) -> bool:
    """Whether to fetch from a place that somebody else names: a plain URL, or a local folder.

    What is refused would start a program, ask the user to log in, call more than a place to read
    from, or lead a Windows machine to another's share.
    """
    if found := _PLAIN_URL.fullmatch(url):
        return found[1] in _QUIET and public_url(url) == url
    return os.path.isabs(url) and not url.startswith(("//", "\\")) and url.isprintable()


def check_public(url: str) -> str:
    """`url` if it may be committed; raises `UsageError` when it holds a secret."""
    if public_url(url) != url:
        raise UsageError(
            f"the URL of the remote {shown(public_url(url))} holds a password or a token, which"
            " would be committed; give it without, and put those in .dvc/config.local"
        )
    return url


def run_config_text(remote: Remote) -> str:
    """The `.dvc/config` that a run commit holds, so that stock DVC finds the run's artifacts.

    Absolute URL, no secret, nothing personal. DVC is told to verify what it fetches.
    """
    from configobj import ConfigObj  # type: ignore[import-untyped]

    section = {"url": public_url(remote.url)}
    for key in sorted(_SHARED & set(remote.options)):
        value = remote.options[key]
        if key not in _BOOLEAN or value.lower() in ("true", "false"):
            section[key] = public_url(value)
    if remote.scheme not in _UNVERIFIED:
        section["verify"] = "true"
    config = ConfigObj({"core": {"remote": RUNS}, f'remote "{RUNS}"': section}, interpolation=False)
    return "\n".join(config.write()) + "\n"


def without_secrets(text: str, remote: Remote) -> str:
    """What a backend said, on one line, without the remote's credentials."""
    secrets = [value for key, value in remote.options.items() if key not in _SHARED]
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > 3:
            text = text.replace(secret, "***")
    return without_user_info(" ".join(text.split()))
