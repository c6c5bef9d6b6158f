"""A forge for tests: GitHub's and GitLab's API over a real bare repository, on 127.0.0.1.

Clones push to it over HTTP, and merging a request really merges. Every answer in GitHub's way is
checked against what GitHub publishes. Faults make it answer as forges do on bad days, and as none
should.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.clones import Clone
from tests.conftest import new_repository, run_git
from tests.http_servers import Quiet, answering

OWNER, NAME = "ada", "churn"
TOKEN = "ghp_canaryCANARY0123456789"
WORKFLOW_TOKEN = "ghs_canaryWORKFLOW0123456789"
READ_TOKEN = "ghp_canaryREADONLY0123456789"


class Asked(NamedTuple):
    """A request that came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class User(NamedTuple):
    """Whose a token is; a workflow may not ask who it is."""

    login: str
    kind: str = "User"
    writes: bool = True


class Reply(NamedTuple):
    """What is answered in place of the truth; `then` that it is done what was asked for, too."""

    status: int = 200
    headers: Mapping[str, str] = {}
    data: bytes = b""
    then: bool = False
    drop: bool = False
    seconds: float = 0.0  # that each byte takes


@dataclass
class Fault:
    """What the next `count` requests that match get; `pattern` is of `METHOD /path`."""

    pattern: str
    reply: Reply
    count: int = 1


@dataclass
class Pull:
    """A pull request, which GitLab calls a merge request."""

    number: int
    branch: str
    base: str
    title: str
    body: str
    author: User
    fork: bool = False
    labels: list[str] = field(default_factory=list)
    state: str = "open"
    merged: bool = False
    comments: list[Note] = field(default_factory=list)
    reviews: list[Said] = field(default_factory=list)
    versions: list[tuple[str, int]] = field(default_factory=list)
    brought: str = ""  # the commit of the merge
    pipelines: list[Pipeline] = field(default_factory=list)  # at GitLab, the newest last


@dataclass
class Pipeline:
    """A pipeline of GitLab's, with the state of each of its jobs, and the files that these left."""

    id: int
    sha: str
    ref: str
    jobs: dict[str, str] = field(default_factory=dict)
    by: str = "ada"
    variables: Mapping[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Note:
    """A comment."""

    id: int
    author: User
    body: str


@dataclass
class Said:
    """A review, or with the state APPROVED an approval."""

    login: str
    state: str
    commit: str
    time: int
    kind: str = "User"


class Forge:
    """What a forge knows of one repository, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bare = folder / OWNER / f"{NAME}.git"
        self.bare.mkdir(parents=True, exist_ok=True)
        run_git(self.bare, "init", "--quiet", "--bare", "--initial-branch=main")
        run_git(self.bare, "config", "receive.fsckObjects", "true")
        run_git(self.bare, "config", "user.name", "forge")
        run_git(self.bare, "config", "user.email", "forge@example.org")
        self.users = {
            TOKEN: User("ada"),
            WORKFLOW_TOKEN: User("github-actions[bot]", "Bot"),
            READ_TOKEN: User("eve", writes=False),
        }
        self.permissions = {"ada": "admin", "bob": "write", "cleo": "write", "eve": "read"}
        self.pulls: list[Pull] = []
        self.statuses: list[dict[str, Any]] = []
        self.dispatched: list[dict[str, Any]] = []
        self.pipelines: list[Pipeline] = []  # those of branches that the API started, at GitLab
        self.again: list[int] = []  # numbers of runs that are to be started again
        self.requests: list[Asked] = []
        self.faults: list[Fault] = []
        self.complaints: list[str] = []
        self.lists_all = False  # whether it takes no notice of what a list is asked for
        self.url = ""
        self._clock = 1_700_000_000
        self.lock = threading.RLock()

    # -- what people do there ------------------------------------------------------------------

    def clone(self, folder: Path) -> Clone:
        """A clone that pushes to the forge over HTTP, with one commit on `main`."""
        new_repository(folder)
        run_git(folder, "remote", "add", "origin", f"{self.url}/{OWNER}/{NAME}.git")
        run_git(folder, "push", "--quiet", "origin", "main")
        return Clone(folder)

    def comment(self, number: int, body: str, login: str = "mallory", kind: str = "User") -> None:
        """Have somebody write a comment."""
        self.pull(number).comments.append(Note(self.tick(), User(login, kind), body))

    def review(self, number: int, login: str, state: str = "APPROVED", kind: str = "User") -> None:
        """Have somebody review what there is now."""
        pull = self.pull(number)
        self.refresh(pull)
        pull.reviews.append(Said(login, state, self.head(pull), self.tick(), kind))

    def merge(self, number: int, message: str, *, squash: bool = False) -> str:
        """Merge a pull request into its base, in git; the commit."""
        pull = self.pull(number)
        base = run_git(self.bare, "rev-parse", f"refs/heads/{pull.base}")
        head = self.head(pull)
        tree = run_git(self.bare, "merge-tree", "--write-tree", base, head).splitlines()[0]
        parents = ["-p", base] + ([] if squash else ["-p", head])
        commit = run_git(self.bare, "commit-tree", tree, *parents, "-m", message)
        run_git(self.bare, "update-ref", f"refs/heads/{pull.base}", commit, base)
        pull.state, pull.merged, pull.brought = "closed", True, commit
        return commit

    # -- what it knows -------------------------------------------------------------------------

    def pull(self, number: int) -> Pull:
        """The pull request of that number."""
        return next(it for it in self.pulls if it.number == number)

    def tick(self) -> int:
        """The next moment; also the next number of a thing."""
        self._clock += 1
        return self._clock

    def commit_of(self, branch: str) -> str | None:
        """Where a branch is."""
        done = subprocess.run(
            ("git", "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"),
            cwd=self.bare,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or None

    def head(self, pull: Pull) -> str:
        """The newest commit of a pull request."""
        return self.commit_of(pull.branch) or "0" * 40

    def refresh(self, pull: Pull) -> None:
        """Note when the newest commit came, as GitLab does."""
        head = self.head(pull)
        if not pull.versions or pull.versions[-1][0] != head:
            pull.versions.append((head, self.tick()))

    def asked(self, pattern: str) -> list[Asked]:
        """The requests that match a pattern of `METHOD /path`."""
        return [it for it in self.requests if re.search(pattern, f"{it.method} {it.path}")]

    def fail(self, pattern: str, count: int = 1, **reply: Any) -> None:
        """Have the next requests that match answered wrongly."""
        self.faults.append(Fault(pattern, Reply(**reply), count))

    # -- what may be done, and what comes of it; a forge with rules says otherwise --------------

    def pushes(self, headers: Mapping[str, str], *, writes: bool) -> User | int:
        """Whose request of git's it is, or the status with which it is refused."""
        return self.users[TOKEN]

    @contextlib.contextmanager
    def receiving(self, user: User) -> Iterator[None]:
        """What is around a push."""
        yield

    def allows(self, user: User, token: str, asked: Asked) -> bool:
        """Whether a token may ask for that."""
        return user.writes or asked.method == "GET"

    def beside(self, token: str, asked: Asked) -> tuple[int, Any] | None:
        """What something else than the API answers at this address; None for the API."""
        return None

    def answered(self, user: User, asked: Asked, status: int) -> None:
        """Take note of what was done."""

    def fault_of(self, method: str, path: str) -> Reply | None:
        """What a request gets in place of its answer."""
        for fault in self.faults:
            if fault.count and re.search(fault.pattern, f"{method} {path}"):
                fault.count -= 1
                return fault.reply
        return None


Dialect = Callable[[Forge, User, Asked], tuple[int, Any]]


@contextlib.contextmanager
def serving(forge: Forge) -> Iterator[Forge]:
    """Serve a forge as long as the block runs; nothing that it said may be wrong by then."""
    from tests.forge_github import answer as github
    from tests.forge_gitlab import answer as gitlab

    dialects: dict[str, Dialect] = {"/api/v4/": gitlab, "/": github}

    class Handler(_Handler):
        def serve(self) -> None:
            _serve(self, forge, dialects)

    with answering(Handler) as address:
        forge.url = f"http://{address}"
        yield forge
    assert not forge.complaints, "\n".join(forge.complaints)


class _Handler(Quiet, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def serve(self) -> None:
        """Answer one request."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer one request; the other methods are served by the same."""
        self.serve()

    do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815


def _serve(handler: _Handler, forge: Forge, dialects: Mapping[str, Dialect]) -> None:
    handler.close_connection = True
    url, data = urlsplit(handler.path), _body(handler)
    if found := re.fullmatch(
        rf"/{OWNER}/{NAME}(?:\.git)?(/(?:info/refs|git-[a-z]+-pack))", url.path
    ):
        _git(handler, forge, f"/{OWNER}/{NAME}.git{found[1]}", url.query, data)
        return
    headers = {name.lower(): value for name, value in handler.headers.items()}
    query: dict[str, str] = {}
    for name, value in parse_qsl(url.query):  # what comes twice has a space between
        query[name] = f"{query[name]} {value}" if name in query else value
    asked = Asked(
        handler.command or "", url.path, query, headers, json.loads(data) if data else None
    )
    forge.requests.append(asked)
    reply = forge.fault_of(asked.method, asked.path)
    if reply is None or reply.then:
        prefix = next(it for it in dialects if asked.path.startswith(it))
        with forge.lock:
            status, answer = _answered(forge, dialects[prefix], asked)
        told = _bytes(answer)
        reply = reply or Reply(status, {"Content-Type": "application/json"}, told)
    with contextlib.suppress(ConnectionError):
        _send(handler, reply)


def _bytes(answer: Any) -> bytes:
    """What is sent of an answer: a document, or a file as it is."""
    if isinstance(answer, bytes):
        return answer
    return b"" if answer is None else json.dumps(answer).encode()


def _answered(forge: Forge, dialect: Dialect, asked: Asked) -> tuple[int, Any]:
    token = asked.headers.get("authorization", "").removeprefix("Bearer ")
    if (other := forge.beside(token, asked)) is not None:
        return other
    user = forge.users.get(token or asked.headers.get("job-token", ""))
    if user is None:
        return 401, {"message": "Bad credentials"}
    if not forge.allows(user, token, asked):
        kind = "personal access token" if user.kind == "User" else "integration"
        return 403, {"message": f"Resource not accessible by {kind}"}
    status, answer = dialect(forge, user, asked)
    forge.answered(user, asked, status)
    return status, answer


def _send(handler: _Handler, reply: Reply) -> None:
    if reply.drop:
        handler.connection.close()
        return
    handler.send_response(reply.status)
    if "Content-Length" not in reply.headers:
        handler.send_header("Content-Length", str(len(reply.data)))
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    if not reply.seconds:
        handler.wfile.write(reply.data)
        return
    for at in range(len(reply.data)):
        handler.wfile.write(reply.data[at : at + 1])
        time.sleep(reply.seconds)


def _body(handler: _Handler) -> bytes:
    if handler.headers.get("Transfer-Encoding") == "chunked":
        parts = []
        while size := int(handler.rfile.readline(), 16):
            parts.append(handler.rfile.read(size))
            handler.rfile.readline()
        handler.rfile.readline()
        return b"".join(parts)
    return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


def _git(handler: _Handler, forge: Forge, path: str, query: str, data: bytes) -> None:
    """What git itself answers to a clone that fetches or pushes."""
    if handler.headers.get("Content-Encoding") == "gzip":
        data = gzip.decompress(data)
    writes = "git-receive-pack" in path + query
    user = forge.pushes(dict(handler.headers.items()), writes=writes)
    if isinstance(user, int):
        _send(handler, Reply(user, {"WWW-Authenticate": 'Basic realm="forge"'}))
        return
    env = {
        **os.environ,
        "GIT_PROJECT_ROOT": str(forge.folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": handler.command or "",
        "PATH_INFO": unquote(path),
        "QUERY_STRING": query,
        "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(data)),
        "REMOTE_USER": user.login,
        "REMOTE_ADDR": "127.0.0.1",
        "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
    }
    with forge.receiving(user) if writes and data else contextlib.nullcontext():
        done = subprocess.run(
            ("git", "http-backend"), input=data, env=env, capture_output=True, check=True
        )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
    status = int(headers.pop("Status", "200 OK").split()[0])
    _send(handler, Reply(status, headers, body))
