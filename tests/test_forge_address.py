"""Which forge a remote is at, and which token its API gets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.forge import Proposal, forge_of
from gitml.forge.access import endpoint_of, token_of
from gitml.forge.address import Address, compare_url, diff_url, parse_remote
from gitml.forge.finding import address_of
from gitml.forge.plain import Plain
from gitml.git import find
from tests.conftest import Git

REMOTES = {
    "https://github.com/ada/churn": Address("github.com", "ada/churn"),
    "https://github.com/ada/churn.git": Address("github.com", "ada/churn"),
    "https://github.com/ada/churn/": Address("github.com", "ada/churn"),
    "https://ada:geheim@GitHub.com/ada/churn.git": Address("github.com", "ada/churn"),
    "git@github.com:ada/churn.git": Address("github.com", "ada/churn"),
    "github.com:ada/churn": Address("github.com", "ada/churn"),
    "ssh://git@github.com/ada/churn.git": Address("github.com", "ada/churn"),
    "ssh://git@ssh.github.com:443/ada/churn.git": Address("github.com", "ada/churn"),
    "ssh://git@altssh.gitlab.com:443/team/a/churn.git": Address("gitlab.com", "team/a/churn"),
    "git://example.org/ada/churn.git": Address("example.org", "ada/churn"),
    "https://git.example.org:8443/ada/churn.git": Address(
        "git.example.org", "ada/churn", "https", 8443
    ),
    "http://127.0.0.1:3000/ada/churn.git": Address("127.0.0.1", "ada/churn", "http", 3000),
    "ssh://git@git.example.org:2222/ada/churn.git": Address("git.example.org", "ada/churn"),
    "git@[::1]:ada/churn.git": Address("::1", "ada/churn"),
    "https://[::1]:3000/ada/churn.git": Address("::1", "ada/churn", "https", 3000),
    "https://github.com@example.org/ada/churn": Address("example.org", "ada/churn"),
}
NO_FORGE = [
    "",
    "/srv/git/churn.git",
    "../churn.git",
    "file:///srv/git/churn.git",
    "C:\\git\\churn.git",
    "C:/git/churn.git",
    "ext::sh -c touch% /tmp/x",
    "https://github.com/churn",
    "https://github.com/../churn",
    "https://github.com/ada/..",
    "https://github.com/ada//churn",
    "https://github.com/ada/ch%2furn",
    "https://github.com/ada/churn?x=1",
    "https://github.com/ada/churn#x",
    "https://example.org\\@github.com/ada/churn",
    "https://github.com\n/ada/churn",
    "https://github.com:port/ada/churn",
    "https://[::1/ada/churn",
    "https://gïthub.com/ada/churn",
    "https:///ada/churn",
    "-oProxyCommand=x:ada/churn",
]


@pytest.mark.parametrize("url", REMOTES)
def test_remotes_that_name_a_repository(url: str) -> None:
    """HTTPS, SSH and `user@host:path` name a host and a path; a port of SSH is not the pages'."""
    assert parse_remote(url) == REMOTES[url]


@pytest.mark.parametrize("url", NO_FORGE)
def test_remotes_that_name_none(url: str) -> None:
    """A folder, a command or an address that is none has no forge."""
    assert parse_remote(url) is None


@given(st.text())
def test_any_text_may_be_a_remote(text: str) -> None:
    """What is taken for an address has plain parts only, whatever the text was."""
    found = parse_remote(text)
    assert found is None or not set(found.host + found.path) & set(" \n\r\t\\@%?#<>\"'")


API = {
    ("github.com", ()): "https://api.github.com",
    ("gitlab.com", ()): "https://gitlab.com/api/v4",
    ("example.org", ()): None,
    ("github.example.org", ()): None,
    ("ghe.example.org", (("GITHUB_API_URL", "https://ghe.example.org/api/v3"),)): (
        "https://ghe.example.org/api/v3"
    ),
    ("acme.ghe.com", (("GITHUB_API_URL", "https://api.acme.ghe.com"),)): (
        "https://api.acme.ghe.com"
    ),
    ("github.com", (("GITHUB_API_URL", "https://evil.example/"),)): "https://api.github.com",
    ("ghe.example.org", (("GITHUB_API_URL", "https://api.github.com"),)): None,
    ("ghe.example.org", (("GITHUB_API_URL", "https://ghe.example.org@evil.example"),)): None,
    ("ghe.example.org", (("GITHUB_API_URL", "https://[x"),)): None,
    ("ghe.example.org", (("GITHUB_API_URL", "file://ghe.example.org/"),)): None,
    ("git.example.org", (("CI_API_V4_URL", "https://git.example.org/gitlab/api/v4"),)): (
        "https://git.example.org/gitlab/api/v4"
    ),
    ("git.example.org", (("GITLAB_HOST", "git.example.org:8443"),)): (
        "https://git.example.org:8443/api/v4"
    ),
    ("git.example.org", (("GITLAB_HOST", "https://git.example.org/gitlab/"),)): (
        "https://git.example.org/gitlab/api/v4"
    ),
    ("other.example.org", (("GITLAB_HOST", "git.example.org"),)): None,
    ("127.0.0.1", (("GITHUB_API_URL", "http://127.0.0.1:8080/"),)): "http://127.0.0.1:8080",
}


@pytest.mark.parametrize(("host", "variables"), API)
def test_an_api_belongs_to_the_host_of_the_remote(
    host: str, variables: tuple[tuple[str, str], ...]
) -> None:
    """The environment names the API of a host of one's own, and never that of another host."""
    found = endpoint_of(Address(host, "ada/churn"), dict(variables))
    assert (found and found.url) == API[host, variables]


def test_no_token_travels_in_the_clear() -> None:
    """An API without TLS is refused, unless it is on this machine."""
    variables = {"GITHUB_API_URL": "http://ghe.example.org/api/v3"}
    with pytest.raises(UsageError, match="in the clear"):
        endpoint_of(Address("ghe.example.org", "ada/churn"), variables)


def test_the_token_is_that_of_the_forge() -> None:
    """A forge gets the tokens that are meant for it, its own command line's variable first."""
    both = {"GITHUB_TOKEN": "a", "GH_TOKEN": "b", "GITLAB_TOKEN": "c\n", "CI_JOB_TOKEN": "d"}
    found = [token_of("github", both), token_of("gitlab", both), token_of("other", both)]
    assert [it and (it.variable, it.secret) for it in found] == [
        ("GH_TOKEN", "b"),
        ("GITLAB_TOKEN", "c"),
        None,
    ]
    assert token_of("gitlab", {"GITHUB_TOKEN": "a", "GITLAB_TOKEN": " "}) is None
    assert "geheim" not in repr(token_of("github", {"GH_TOKEN": "geheim"}))


@pytest.mark.parametrize("secret", ["gehe\nim", "gehe im", "geheim\x00", "gehëim"])
def test_what_can_be_no_token_is_told_without_it(secret: str) -> None:
    """A variable with characters that a header can't carry is named, and its value is not."""
    with pytest.raises(UsageError, match=r"GH_TOKEN holds characters") as caught:
        token_of("github", {"GH_TOKEN": secret})
    assert "gehe" not in str(caught.value)


@pytest.mark.parametrize("url", ["git@github.com-work:ada/churn.git", "work:ada/churn.git"])
def test_other_names_of_a_host(
    repo: Path, git: Git, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that git and SSH know by their settings; a name of nobody's stays what it is."""
    real = shutil.which("ssh")
    if real is None:
        pytest.skip("needs ssh")
    (tmp_path / "config").write_text("Host github.com-work\n  HostName github.com\n")
    (tmp_path / "ssh").write_text(f'#!/bin/sh\nexec {real} -F {tmp_path}/config "$@"\n')
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    git("remote", "add", "origin", url)
    git("config", "url.https://github.com/.insteadOf", "work:")
    assert address_of(find(repo), "origin") == Address("github.com", "ada/churn")
    git("remote", "set-url", "origin", "git@elsewhere:ada/churn.git")
    assert address_of(find(repo), "origin") == Address("elsewhere", "ada/churn")


def test_pages_for_people() -> None:
    """Where no API opens a pull request, a URL does: each forge has its own."""
    ours, theirs = Address("example.org", "ada/churn"), Address("gitlab.com", "team/a/churn")
    assert compare_url(ours, "other", "main", "promote/churn#1") == (
        "https://example.org/ada/churn/compare/main...promote/churn%231?expand=1"
    )
    assert compare_url(theirs, "gitlab", "main", "a&b") == (
        "https://gitlab.com/team/a/churn/-/merge_requests/new?"
        "merge_request%5Bsource_branch%5D=a%26b&merge_request%5Btarget_branch%5D=main"
    )
    assert compare_url(theirs, "other", "main", "x") == "https://gitlab.com/team/a/churn"
    assert diff_url(ours, "github", "a1", "b2") == "https://example.org/ada/churn/compare/a1...b2"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("/srv/git/churn.git", "a folder"),
        ("https://example.org/ada/churn", "no API is known for example.org"),
        ("https://github.com/ada/churn", "no token for github.com in GH_TOKEN or GITHUB_TOKEN"),
    ],
)
def test_a_forge_without_api_or_token_is_reached_by_git_alone(url: str, why: str) -> None:
    """A person opens the pull request then; what only an API can do says why it can't be done."""
    forge = forge_of(parse_remote(url), {})
    assert isinstance(forge, Plain)
    opened = forge.propose(Proposal("promote", "main", "Promote churn"))
    assert (opened.number, opened.created) == (None, False)
    assert why in opened.remark
    assert bool(opened.url) == url.startswith("https")
    assert forge.approvals(1) is None
    assert forge.find("promote") is None
    with pytest.raises(UsageError, match="a comment can't be written: "):
        forge.comment(1, "report", "text")
