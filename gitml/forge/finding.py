"""The forge that a git remote is at."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from gitml import git, process
from gitml.forge.access import TOKENS, endpoint_of, kind_of, token_of
from gitml.forge.address import Address, parse_remote
from gitml.forge.github import GitHub
from gitml.forge.github import api as github_api
from gitml.forge.gitlab import GitLab
from gitml.forge.gitlab import api as gitlab_api
from gitml.forge.http import PLAIN, Limits
from gitml.forge.interface import Forge
from gitml.forge.plain import Plain

_SSH_SECONDS = 10.0


def address_of(repo: git.Repository, remote: str) -> Address | None:
    """Where a remote, by its name, is pushed to; None for a folder, and where there is none.

    What `url.<base>.insteadOf` of git and `HostName` of SSH make of the URL is heeded.
    """
    done = git.attempt(repo, "remote", "get-url", "--push", "--", remote)
    url = done.stdout.decode("utf-8", "replace").rstrip("\n")
    found = parse_remote(url)
    if found is None or url.startswith("http") or kind_of(found, os.environ) != "other":
        return found
    return parse_remote(f"ssh://{_host_of(found.host)}/{found.path}") or found


def _host_of(alias: str) -> str:
    """The host that SSH connects to for a name; the name itself where it does not tell."""
    try:
        done = process.run(("ssh", "-G", "--", alias), timeout=_SSH_SECONDS)
    except OSError:
        return alias
    found = re.search(rb"^hostname ([!-~]+)$", done.stdout, re.MULTILINE)
    return found[1].decode() if found and not done.returncode else alias


def forge_of(
    address: Address | None, environ: Mapping[str, str] = os.environ, limits: Limits = PLAIN
) -> Forge:
    """The forge at an address, with the token that the environment has for it.

    Where there is none, or no API is known, it is one that is reached by git alone. UsageError for
    a token that can't be one, or that would travel in the clear.
    """
    if address is None:
        return Plain(None, "other", "the remote is a folder, which no forge serves")
    endpoint, kind = endpoint_of(address, environ), kind_of(address, environ)
    if endpoint is None:
        why = f"no API is known for {address.host}; GITHUB_API_URL or GITLAB_HOST names one there"
        return Plain(address, kind, why)
    token = token_of(kind, environ)
    if token is None:
        names = " or ".join(TOKENS[kind])
        return Plain(address, kind, f"there is no token for {address.host} in {names}")
    if kind == "github":
        return GitHub(address, github_api(endpoint.url, token, limits))
    return GitLab(address, gitlab_api(endpoint.url, token, limits))
