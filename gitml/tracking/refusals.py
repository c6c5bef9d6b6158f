"""What forges say when they refuse a push or can't be reached, and what changes it. Pure.

Forges have no codes for this, only sentences; the table knows those of GitHub, GitLab, Bitbucket,
Gitea, Azure and of git itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a remote refuses: what it does not take, and what to change.

    `of_run` tells that the content of single runs is the reason, so that the others can go.
    """

    what: str
    fix: str
    of_run: bool = False

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}"


_RULES = "in the forge's rules for branches, leave out {branch}"
_ALLOW = "allow whoever runs gitml to push to {branch}, in the forge's rules for branches"

# The first that fits holds: a rule about contents is told under the same heading as the others.
_TABLE = (
    (
        r"push cannot contain secrets|push protection|secret(s)? (detected|found)",
        "its contents look like a secret",
        "take the secret out and record the run again, or allow it in the forge's alert",
        True,
    ),
    (
        r"GH001|large files? detected|exceeds .*file size limit|larger than the (allowed|max\w*)"
        r"|maximum (allowed )?(file )?size|size limit|file\(s\) larger than|VS403654",
        "it holds a file that is too large for the remote",
        "lower artifacts.inline_unit or snapshot.max_file in gitml.yaml, or keep the file in DVC",
        True,
    ),
    (
        r"without [`'\"]?workflows?[`'\"]? (scope|permission)|create or update workflow",
        "its code changes a CI workflow, for which the token has no permission",
        "push the code with a token that has the `workflow` scope, then: gitml push",
        True,
    ),
    (
        r"prohibited by the pattern|does not follow the pattern .*file|restricted file (path|ext)",
        "it holds a file whose name the remote prohibits",
        "leave the branch out of the forge's push rules about file names",
        True,
    ),
    (
        r"pull request|TF402455|merge request",
        "it takes changes of {branch} through pull requests only",
        _RULES,
        False,
    ),
    (
        r"must not contain merge commits|linear history|not allowed to upload merges",
        "it wants a linear history, but each commit of the ledger also names a run",
        _RULES + " (the rule is called: require linear history)",
        False,
    ),
    (
        r"must (have verified signatures|be signed)|unsigned commit|verified signature",
        "it wants signed commits, and runs are not signed",
        _RULES + " (the rule is called: require signed commits)",
        False,
    ),
    (
        r"status check",
        "it wants status checks to pass before {branch} changes",
        _RULES + " (the rule is called: require status checks)",
        False,
    ),
    (
        r"creations? being restricted|branch name .*does not follow|not allowed to create",
        "it does not let new branches or tags of that name be made",
        "allow {branch} in the forge's rules for names of branches and tags",
        False,
    ),
    (
        r"GH007|private email|verified email|email .*does not follow|not a member of (the )?team",
        "it does not take the e-mail address of the commits",
        "run: git config user.email ADDRESS, with one that the forge knows; later runs carry it",
        False,
    ),
    (
        r"'refs/heads/[^']*' exists; cannot create|directory file conflict",
        "it has a branch whose name is in the way of {branch}",
        "rename that branch on the remote, or set ledger.ref in gitml.yaml to another name",
        False,
    ),
    (
        r"protected (branch|ref)|cannot update this protected|not allowed to push|GH006|GH013",
        "it protects {branch}",
        _ALLOW,
        False,
    ),
    (
        r"could not resolve host|name or service not known|nodename nor servname",
        "its host has no address here",
        "go online, or: git remote set-url {remote} URL",
        False,
    ),
    (
        r"host key verification failed|host key .*changed|no .*host key is known",
        "its host is not known to ssh",
        "log in there once with ssh, and see that the key is the right one",
        False,
    ),
    (
        r"certificate (problem|verif)|certificate has expired|self.signed certificate",
        "its certificate is not trusted here",
        "git config http.sslCAInfo FILE",
        False,
    ),
    (
        r"(connection|operation) (refused|timed out|reset)|network is unreachable|no route to host"
        r"|(failed|unable|couldn't) to connect|did not answer|no answer within",
        "it does not answer",
        "wait until it is there again, or: git remote set-url {remote} URL",
        False,
    ),
    (
        r"does not appear to be a git repository|repository\b.* not found|repository.*not exist\b",
        "there is no repository at its URL, or none that you may see",
        "git remote set-url {remote} URL",
        False,
    ),
    (
        r"permission .*denied|denied to|\b40[13]\b|authentication failed|could not read (user|pass)"
        r"|TF401027|not authorized|access denied",
        "it does not let you write",
        "log in with an account or token that may push there, and look at: git push --dry-run",
        False,
    ),
)
_COMPILED = tuple(
    (re.compile(pattern, re.IGNORECASE), what, fix, of_run) for pattern, what, fix, of_run in _TABLE
)


def explain(said: str, branch: str = "gitml/runs", remote: str = "origin") -> Refusal | None:
    """What the words of `remote` mean for the ledger `branch`; None for words nobody knows."""
    for pattern, what, fix, of_run in _COMPILED:
        if pattern.search(said):
            fix = fix.format(branch=branch, remote=remote)
            return Refusal(what.format(branch=branch), fix, of_run)
    return None


def reason(said: str, branch: str = "gitml/runs") -> str:
    """What the remote does not take, and the cure; else the remote's own words.

    `branch` is what was pushed: a branch, or `the tag NAME`.
    """
    known, words = explain(said, branch), " ".join(said.split())[:300]
    if branch.startswith("the tag "):
        return str(known).replace("rules for branches", "rules for tags") if known else words
    return str(known) if known else f"{words}; run: gitml doctor"
