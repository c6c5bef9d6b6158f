"""A GitHub for tests: a forge of a private repository, with GitHub's tokens, rules and events.

A job's token may do what the job's permissions say. What workflows push with it is no event, and no
ref of theirs may stand on workflows other than those of the main branch.
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.actions import grants
from tests.actions.events import MOST_TAGS, Event
from tests.actions.grants import Permissions
from tests.actions.identity import PATH, Issuer
from tests.clones import Clone
from tests.conftest import new_repository, run_git
from tests.forges import NAME, OWNER, TOKEN, Asked, Forge, Pull, User

FULL_NAME = f"{OWNER}/{NAME}"
BOT = User("github-actions[bot]", "Bot")
APP = User("gitml-app[bot]", "Bot")
MAIN = "refs/heads/main"
_EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # the tree of nothing
_UPDATE = r"""#!/bin/sh
# A ruleset lets the App alone make tags of the registry.
case "$1 $REMOTE_USER" in
  *' gitml-app[bot]') ;;
  refs/tags/*[@#]*)
    if [ "$(git config hub.ruleset)" = true ]; then
      echo "GH013: Repository rule violations found for $1" >&2
      exit 1
    fi ;;
esac
# A workflow's token, or that of an App without this right, may bring no other workflows.
case "$REMOTE_USER" in *'[bot]') ;; *) exit 0 ;; esac
git config --get-all hub.workflows | grep -Fxq "$REMOTE_USER" && exit 0
new="$(git rev-parse --quiet --verify "$3^{commit}:.github/workflows")" || exit 0
[ "$new" = "$(git rev-parse --quiet --verify "refs/heads/main:.github/workflows")" ] && exit 0
echo 'refusing to allow a GitHub App to create or update workflow' \
  '`.github/workflows` without `workflows` permission' >&2
exit 1
"""
APP_SCOPES = ("contents", "workflows", "pull-requests", "statuses", "actions")


@dataclass(frozen=True, slots=True)
class App:
    """A GitHub App that the repository has installed: how it shows itself, and what it may do."""

    client_id: str
    key: str
    permissions: Permissions
    user: User = APP


def authorization(token: str) -> str:
    """The header by which git shows a token."""
    told = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return f"AUTHORIZATION: basic {told}"


class Hub(Forge):
    """The forge, its events, and the tokens of the jobs that are running."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for name in ("allowFilter", "allowAnySHA1InWant"):
            run_git(self.bare, "config", f"uploadpack.{name}", "true")
        run_git(self.bare, "config", "http.receivepack", "true")
        hook = self.bare / "hooks" / "update"
        hook.write_text(_UPDATE, "utf-8")
        hook.chmod(0o755)
        self.grants: dict[str, Permissions] = {}
        self.events: list[Event] = []
        self.waiting: list[Event] = []  # of pull requests that a workflow has opened
        self.started: dict[str, Event] = {}  # what has started a run, by its number
        self.lets_workflows_propose = False  # a setting of the repository
        self.app: App | None = None
        self.attestations = folder / "attestations"
        self.identities = Issuer()

    # -- tokens ----------------------------------------------------------------------------

    def grant(self, token: str, permissions: Permissions, user: User = BOT) -> None:
        """Let a token of a job be valid."""
        self.users[token], self.grants[token] = user, permissions
        if permissions.get("workflows") == "write":
            run_git(self.bare, "config", "--add", "hub.workflows", user.login)

    def revoke(self, token: str) -> None:
        """Let it be valid no longer, as when the job has ended."""
        user = self.users.pop(token)
        if self.grants.pop(token).get("workflows") == "write":
            run_git(self.bare, "config", "--unset-all", "hub.workflows", re.escape(user.login))

    def pushes(self, headers: Mapping[str, str], *, writes: bool) -> User | int:
        """Nobody reads or writes without a token that may."""
        told = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        found = re.fullmatch(r"(?i:basic) (\S+)", told)
        token = base64.b64decode(found[1]).decode().partition(":")[2] if found else ""
        user = self.users.get(token)
        if user is None:
            return 401
        level = "write" if writes else "read"
        if token in self.grants and not grants.allows(self.grants[token], "contents", level):
            return 403
        return 403 if writes and not user.writes else user

    def beside(self, token: str, asked: Asked) -> tuple[int, Any] | None:
        """What the provider of jobs' identities answers."""
        if not asked.path.startswith(f"{PATH}/"):
            return None
        self.identities.url = self.url
        return self.identities.answer(asked.path, asked.query, token)

    def identify(self, claims: Mapping[str, str]) -> Mapping[str, str]:
        """The variables by which a job asks for a token that says this of it."""
        self.identities.url = self.url
        return self.identities.grant(secrets.token_hex(24), claims)

    def forget(self, identity: Mapping[str, str]) -> None:
        """Let nothing more be asked with such variables, as when the job has ended."""
        self.identities.revoke(identity.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""))

    def allows(self, user: User, token: str, asked: Asked) -> bool:
        """What a job's token may ask for is what its permissions say."""
        if token not in self.grants:
            return super().allows(user, token, asked)
        request = f"{asked.method} {asked.path.removeprefix(f'/repos/{FULL_NAME}')}"
        if request == "POST /pulls" and user == BOT and not self.lets_workflows_propose:
            return False
        return grants.answers(self.grants[token], request)

    def protect_tags(self) -> None:
        """Let nobody but the App make, move or delete tags of the registry, by a ruleset."""
        run_git(self.bare, "config", "hub.ruleset", "true")

    # -- what people do --------------------------------------------------------------------

    def clone(self, folder: Path) -> Clone:
        """A clone of ada's, with one commit on `main` if there was none."""
        if self.commit_of("main") is None:
            new_repository(folder)
            run_git(folder, "remote", "add", "origin", f"{self.url}/{FULL_NAME}.git")
        else:
            run_git(folder.parent, "clone", "--quiet", str(self.bare), folder.name)
            run_git(folder, "remote", "set-url", "origin", f"{self.url}/{FULL_NAME}.git")
        header = authorization(TOKEN)
        for key, value in (
            (f"http.{self.url}/.extraheader", header),
            ("user.name", "Ada Example"),
            ("user.email", "ada@example.org"),
        ):
            run_git(folder, "config", key, value)
        run_git(folder, "push", "--quiet", "origin", "main")
        return Clone(folder)

    def merge(self, number: int, message: str = "", *, squash: bool = False) -> str:
        """Merge a pull request, with GitHub's own message by default."""
        pull, before = self.pull(number), self.commit_of("main")
        told = message or f"Merge pull request #{number} from {OWNER}/{pull.branch}\n\n{pull.title}"
        with self.lock:
            commit = super().merge(number, told, squash=squash)
            self._pushed(MAIN, before, commit, "ada")
        return commit

    def review(self, number: int, login: str, state: str = "APPROVED", kind: str = "User") -> None:
        """Have somebody review a pull request."""
        super().review(number, login, state, kind)
        self._pull_event("pull_request_review", self.pull(number), "submitted", login)

    def queue(self, number: int) -> None:
        """Put a pull request into the merge queue: what it would make is checked on a branch."""
        pull = self.pull(number)
        merged, base = self.merged(pull), run_git(self.bare, "rev-parse", MAIN)
        assert merged is not None, "it conflicts"
        ref = f"refs/heads/gh-readonly-queue/main/pr-{number}-{base}"
        run_git(self.bare, "update-ref", ref, merged)
        group = {"head_sha": merged, "head_ref": ref, "base_sha": base, "base_ref": MAIN}
        payload = {"action": "checks_requested", "merge_group": group, **self._everywhere("ada")}
        self._tell(Event("merge_group", ref, merged, "ada", payload))

    def propose(self, branch: str, title: str) -> Pull:
        """Have ada propose a branch of hers."""
        pull = Pull(len(self.pulls) + 1, branch, "main", title, "", User("ada"))
        self.pulls.append(pull)
        self._pull_event("pull_request", pull, "opened", "ada")
        return pull

    def propose_from_fork(self, clone: Clone, title: str) -> Pull:
        """Have mallory propose what a clone has at HEAD, from a fork of hers."""
        number = len(self.pulls) + 1
        run_git(clone.folder, "push", "--quiet", str(self.bare), f"HEAD:refs/pull/{number}/head")
        pull = Pull(number, "main", "main", title, "", User("mallory"), fork=True)
        self.pulls.append(pull)
        self._pull_event("pull_request", pull, "opened", "mallory")
        return pull

    def dispatch(self, workflow: str, **inputs: str) -> None:
        """Start a workflow by hand, as it is on the main branch."""
        self._dispatch(workflow, "main", inputs, "ada")

    def ask_from_outside(self, kind: str, **told: str) -> None:
        """Have another program start what listens to a kind of event, by the API."""
        commit = self.commit_of("main")
        assert commit is not None
        payload = {"action": kind, "client_payload": told, **self._everywhere("ada")}
        self._tell(Event("repository_dispatch", MAIN, commit, "ada", payload))

    # -- what comes of it ------------------------------------------------------------------

    def approve_runs(self) -> None:
        """Let run what waits for that, as the pull requests of workflows have to."""
        self.events += self.waiting
        self.waiting = []

    def take(self) -> list[Event]:
        """The events since it was asked last."""
        with self.lock:
            taken, self.events = self.events, []
        return taken

    def head(self, pull: Pull) -> str:
        """The newest commit of a pull request, which a fork has elsewhere."""
        if not pull.fork:
            return super().head(pull)
        return run_git(self.bare, "rev-parse", f"refs/pull/{pull.number}/head")

    @contextlib.contextmanager
    def receiving(self, user: User) -> Iterator[None]:
        """Tell of the refs that a push changes."""
        with self.lock:
            before = self.refs()
            yield
            after = self.refs()
        changed = {ref: commit for ref, commit in after.items() if before.get(ref) != commit}
        tags = [ref for ref in changed if ref.startswith("refs/tags/")]
        for ref, commit in changed.items():
            if len(tags) <= MOST_TAGS or ref not in tags:
                self._pushed(ref, before.get(ref), commit, user.login)

    def answered(self, user: User, asked: Asked, status: int) -> None:
        """Tell of pull requests and starts that the API was asked for."""
        request = f"{asked.method} {asked.path.removeprefix(f'/repos/{FULL_NAME}')}"
        if request == "POST /pulls" and status == 201:
            self._pull_event("pull_request", self.pulls[-1], "opened", user.login)
        found = re.fullmatch(r"POST /actions/workflows/([^/]+)/dispatches", request)
        if found and status == 204:
            told = asked.body.get("inputs") or {}
            self._dispatch(found[1], asked.body["ref"], told, user.login)
        again = re.fullmatch(r"POST /actions/runs/(\d+)/rerun", request)
        if again and status == 201:
            event = self.started[again[1]]
            self._tell(replace(event, attempt=event.attempt + 1))

    def refs(self) -> dict[str, str]:
        """The commits of branches and tags."""
        form = (
            "--format=%(refname) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"
        )
        listed = run_git(self.bare, "for-each-ref", form, "refs/heads", "refs/tags")
        return dict(line.split(" ", 1) for line in listed.splitlines())

    def _pushed(self, ref: str, before: str | None, after: str, login: str) -> None:
        if login == BOT.login:
            return  # what a workflow pushes with its own token is no event
        changed = run_git(self.bare, "diff", "--name-only", before or _EMPTY, after)
        message = self._message(after)
        payload = {
            "ref": ref,
            "before": before or "0" * 40,
            "after": after,
            "head_commit": {"id": after, "message": message},
            **self._everywhere(login),
        }
        paths = tuple(changed.splitlines())
        self._tell(Event("push", ref, after, login, payload, paths, message))
        for pull in self.pulls:
            if pull.state == "open" and not pull.fork and ref == f"refs/heads/{pull.branch}":
                self._pull_event("pull_request", pull, "synchronize", login)

    def _pull_event(self, name: str, pull: Pull, action: str, login: str) -> None:
        merged = self.merged(pull)
        if merged is None:
            return  # nothing is started for what conflicts
        payload = {
            "action": action,
            "number": pull.number,
            "pull_request": self._pull_document(pull),
            **self._everywhere(login),
        }
        ref, message = f"refs/pull/{pull.number}/merge", self._message(self.head(pull))
        event = Event(name, ref, merged, login, payload, message=message, from_fork=pull.fork)
        if login == BOT.login:
            self.waiting.append(event)  # until somebody approves that it runs
        else:
            self._tell(event)

    def _dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str], login: str) -> None:
        branch = ref.removeprefix("refs/heads/")
        commit = self.commit_of(branch)
        assert commit is not None, f"no branch {branch}"
        event = Event(
            "workflow_dispatch",
            f"refs/heads/{branch}",
            commit,
            login,
            {"inputs": dict(inputs), **self._everywhere(login)},
            workflow=workflow,
            inputs=dict(inputs),
        )
        self._tell(event)

    def _tell(self, event: Event) -> None:
        with self.lock:
            self.events.append(event)

    # -- what it knows ---------------------------------------------------------------------

    def merged(self, pull: Pull) -> str | None:
        """The commit that merging would make now, at `refs/pull/N/merge`; None for a conflict."""
        base, head = run_git(self.bare, "rev-parse", f"refs/heads/{pull.base}"), self.head(pull)
        done = subprocess.run(
            ("git", "merge-tree", "--write-tree", base, head),
            cwd=self.bare, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            return None
        args = ("-p", base, "-p", head, "-m", f"Merge {head} into {base}")
        commit = run_git(self.bare, "commit-tree", done.stdout.split()[0], *args)
        for name, value in (("merge", commit), ("head", head)):
            run_git(self.bare, "update-ref", f"refs/pull/{pull.number}/{name}", value)
        return commit

    def _pull_document(self, pull: Pull) -> dict[str, Any]:
        owner = "mallory" if pull.fork else OWNER
        base = run_git(self.bare, "rev-parse", f"refs/heads/{pull.base}")
        return {
            "number": pull.number,
            "title": pull.title,
            "user": {"login": pull.author.login},
            "head": {"ref": pull.branch, "sha": self.head(pull), "repo": _repository(owner)},
            "base": {"ref": pull.base, "sha": base, "repo": _repository(OWNER)},
        }

    def _message(self, commit: str) -> str:
        return run_git(self.bare, "show", "--no-patch", "--format=%B", commit)

    def _everywhere(self, login: str) -> dict[str, Any]:
        return {"repository": _repository(OWNER), "sender": {"login": login}}


def _repository(owner: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "full_name": f"{owner}/{NAME}",
        "owner": {"login": owner},
        "fork": owner != OWNER,
        "private": True,
        "default_branch": "main",
    }
