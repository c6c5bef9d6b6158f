"""The gate to forges: what is tried again, what is not, and what a hostile answer can't do."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitml.errors import ForgeError
from gitml.forge import Status
from gitml.forge import github as github_api
from gitml.forge.access import Token
from gitml.forge.http import Api, Limits
from tests.forge_github import pull_document
from tests.forge_kinds import PROPOSAL, QUICK, At
from tests.forges import NAME, OWNER, TOKEN, Forge, serving

PULLS = f"/repos/{OWNER}/{NAME}/pulls"
JSON = {"Content-Type": "application/json"}


class Slept(list[float]):
    """A clock that only notes how long it was to sleep."""

    def __call__(self, seconds: float) -> None:
        """Sleep not at all."""
        self.append(seconds)


def api_of(forge: Forge, limits: Limits = QUICK) -> tuple[Api, Slept]:
    """The API of a forge, and the pauses that it makes."""
    slept, token = Slept(), Token("GITHUB_TOKEN", TOKEN)
    return replace(github_api.api(forge.url, token, limits), sleep=slept), slept


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Forge]:
    """Another host, which must never get the token."""
    with serving(Forge(tmp_path / "elsewhere")) as forge:
        yield forge


# -- trying again --------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [{"status": 502}, {"status": 503}, {"drop": True}])
def test_reading_is_tried_again_with_growing_pauses(github: At, reply: dict[str, Any]) -> None:
    """A read that fails for the moment is repeated, a few times."""
    api, slept = api_of(github.forge, Limits(tries=4, pause=1))
    github.forge.fail(f"GET {PULLS}", 3, **reply)
    assert api.get(PULLS) == []
    assert slept == [1, 2, 4]
    github.forge.fail(f"GET {PULLS}", 9, **reply)
    with pytest.raises(ForgeError) as caught:
        api.get(PULLS)
    assert len(github.forge.asked(f"GET {PULLS}")) == 8
    assert caught.value.unsure is False


@pytest.mark.parametrize("reply", [{"status": 502}, {"drop": True}, {"data": b"<html>"}])
def test_a_write_that_may_have_happened_is_not_repeated(at: At, reply: dict[str, Any]) -> None:
    """The gate tells that it is unsure; whoever wrote looks first."""
    api, slept = api_of(at.forge)
    at.forge.fail("POST /anything", 1, **reply)
    with pytest.raises(ForgeError) as caught:
        api.call("POST", "/anything", {})
    assert caught.value.unsure
    assert (len(at.forge.requests), slept) == (1, [])


LIMITED = [
    (429, {"Retry-After": "3"}, 3),
    (403, {"Retry-After": "3"}, 3),
    (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "{now+4}"}, 4),
    (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "{now+4}"}, 4),
    (403, {"X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "{now+4}"}, 60),
    (429, {}, 60),
    (429, {"Retry-After": "soon"}, 60),
    (429, {"Retry-After": "-5"}, 1),
]


@pytest.mark.parametrize(("status", "headers", "pause"), LIMITED)
def test_a_forge_that_is_asked_too_often_gets_its_pause(
    github: At, status: int, headers: dict[str, str], pause: int
) -> None:
    """A refusal for being too fast did nothing, so that a write is repeated, too, when it asks."""
    api, slept = api_of(github.forge, Limits(longest=60, pause=1))
    told = {
        key: value.replace("{now+4}", str(int(time.time()) + 4)) for key, value in headers.items()
    }
    words = b'{"message": "You have exceeded a secondary rate limit."}'
    github.forge.fail("POST .*/statuses", status=status, headers={**JSON, **told}, data=words)
    path = f"/repos/{OWNER}/{NAME}/statuses/{'a' * 40}"
    api.call("POST", path, {"state": "success", "context": "x"})
    assert len(github.forge.statuses) == 1
    assert slept == [pytest.approx(pause, abs=1.5)]


def test_a_pause_that_is_too_long_is_told(github: At) -> None:
    """Nobody waits for an hour: the error says how long it would be."""
    api, slept = api_of(github.forge)
    github.forge.fail("GET", 9, status=429, headers={"Retry-After": "3600"})
    with pytest.raises(ForgeError, match="GitHub is asked too often; try again in 3600 s"):
        api.get(PULLS)
    assert slept == []


def test_a_forge_that_is_not_there(github: At) -> None:
    """A connection that was refused was no request: it is tried again, and told in the end."""
    api, slept = api_of(github.forge)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = replace(api, url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ForgeError, match="does not answer POST '/x': Connection refused") as it:
            gone.call("POST", "/x", {})
    assert len(slept) == QUICK.tries - 1
    assert not it.value.unsure


# -- hostile answers -----------------------------------------------------------------------

NESTED = b"[" * 100_000 + b"]" * 100_000
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "HTML": ({"data": b"<html>login</html>", "headers": {"Content-Type": "text/html"}}, "no JSON"),
    "no list": ({"data": b'{"a": 1}'}, "with no list"),
    "text": ({"data": b'"\\u001b[31m"'}, "with no list"),
    "nothing": ({"data": b""}, "with no list"),
    "nested": ({"data": NESTED}, "no JSON"),
    "not UTF-8": ({"data": b'["\xff"]'}, "no JSON"),
    "huge": ({"data": b"[" + b" " * 2_000_000 + b"]"}, "more than 1,000,000 bytes"),
    "cut off": ({"data": b"[", "headers": {"Content-Length": "99"}}, "cut off"),
    "many headers": ({"headers": {f"X-{n}": "x" for n in range(200)}}, "does not answer"),
    "wrong length": ({"data": b"[]", "headers": {"Content-Length": "-1"}}, ""),
    "words": ({"status": 400, "data": b'{"message": "a\\u001b[2J\\nb\\u202e"}'}, r"a\\x1b\[2J\\nb"),
    "no words": ({"status": 418, "data": b'{"message": [1, {}], "errors": 3}'}, "418"),
    "other words": ({"status": 400, "data": b'{"message": {"base": ["x"]}}'}, "400"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_is_one_harmless_line(github: At, case: str) -> None:
    """Whatever a forge answers, the error is a short line that names the request."""
    reply, words = WRONG[case]
    api, _ = api_of(github.forge)
    github.forge.fail("GET", 9, **reply)
    if case == "wrong length":
        assert list(api.pages(PULLS)) == []
        return
    with pytest.raises(ForgeError, match=words) as caught:
        list(api.pages(PULLS))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert "pulls" in str(caught.value) or case == "HTML"


FIELDS = [
    b"[1, null, [], {}]",
    b'[{"head": 3, "base": []}]',
    b'[{"state": "open", "head": {"ref": "promote"}, "base": {}, "x": "number"}]',
    *(
        b'[{"state": "open", "head": {"ref": "promote", "repo": {"full_name": "a/b"}},'
        b' "base": {"repo": {"full_name": "A/b"}}, "number": %b}]' % number
        for number in (b'"1"', b"true", b"-1", b"1e3", b"null", b"99999999999999999999")
    ),
]


@pytest.mark.parametrize("data", FIELDS)
def test_fields_of_a_wrong_type_are_no_fields(github: At, data: bytes) -> None:
    """An answer whose parts are of other types leads to an error, or to nothing found."""
    github.forge.fail("GET", 9, headers=JSON, data=data)
    if b"number" in data:
        with pytest.raises(ForgeError, match="has no"):
            github.client().find("promote")
    else:
        assert github.client().find("promote") is None


KEYS = """head base ref sha repo full_name number iid id user login username type body state title
    commit_id permission approved_by approved_at author system html_url web_url labels
    source_branch source_project_id target_project_id head_commit_sha created_at""".split()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["promote", "APPROVED", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=20,
)


@given(answer=VALUES)
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_no_answer_is_a_bug_of_gitml(at: At, answer: Any) -> None:
    """Whatever JSON a forge answers, there is a result or an error that a person can read."""
    client = at.client(limits=replace(QUICK, tries=1))
    calls = (
        lambda: client.propose(PROPOSAL),
        lambda: client.find("promote"),
        lambda: client.comment(1, "report", "text"),
        lambda: client.approvals(1),
        lambda: client.set_status("a" * 40, Status("x", "success")),
    )
    for call in calls:
        at.forge.faults.clear()
        at.forge.fail("", 99, headers=JSON, data=json.dumps(answer).encode())
        with contextlib.suppress(ForgeError):
            call()


def test_a_page_that_is_none_is_not_shown(github: At) -> None:
    """The URL that is shown is a plain one; for any other gitml tells the one that it knows."""
    github.push()
    github.client().propose(PROPOSAL)
    for evil in ("javascript:alert(1)", "https://x/\x1b[2J", "https://[", "x" * 9, 7, None):
        document = {**pull_document(github.forge, github.forge.pull(1)), "html_url": evil}
        github.forge.fail("GET", headers=JSON, data=json.dumps([document]).encode())
        found = github.client().find("promote")
        assert found is not None
        assert found.url == f"{github.forge.url}/{OWNER}/{NAME}/pull/1"


def test_an_endless_list_ends(github: At) -> None:
    """A forge that always has another page is told of, not listened to for ever."""
    github.forge.fail("GET", 999, headers=JSON, data=b"[" + b",".join([b"{}"] * 50) + b"]")
    with pytest.raises(ForgeError, match="more than 3000 items"):
        github.client().find("promote")


@pytest.mark.parametrize("where", ["headers", "body"])
def test_an_answer_that_drips_is_cut_off(where: str) -> None:
    """A byte now and then keeps nobody waiting: the time of one answer is bounded."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with dripping(b"" if where == "headers" else head) as url:
        limits = Limits(answer=0.5, tries=1)
        api = github_api.api(url, Token("GITHUB_TOKEN", TOKEN), limits)
        start = time.monotonic()
        with pytest.raises(ForgeError, match=r"answer within|takes more than"):
            api.get("/x")
        assert time.monotonic() - start < 30  # it would drip for ever


class dripping:  # noqa: N801
    """A server that says `head`, and then a byte every 0.05 seconds until it is left."""

    def __init__(self, head: bytes) -> None:
        self._head, self._over = head, threading.Event()

    def __enter__(self) -> str:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._head)
            while not self._over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return


# -- TLS and proxies -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody has signed but itself."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(pem, private, serialization.NoEncryption())
    file.write_bytes(secret + made.public_bytes(pem))
    return file


def test_a_forge_must_prove_who_it_is(
    github: At, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent to a host whose certificate nobody vouches for, and it is not tried again."""
    with secured(github.forge, certificate) as url:
        api, slept = api_of(github.forge)
        api = replace(api, url=url)
        with pytest.raises(ForgeError, match="certificate verify failed") as caught:
            api.call("POST", PULLS, {})
        assert (github.forge.requests, slept, caught.value.unsure) == ([], [], False)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert api.get(PULLS) == []


@contextlib.contextmanager
def secured(forge: Forge, certificate: Path) -> Iterator[str]:
    """The forge behind TLS: what comes in is handed on to it, byte by byte."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    target = ("127.0.0.1", int(forge.url.rpartition(":")[2]))

    def serve() -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                plain, _ = listener.accept()
                plain.settimeout(10)
                with (
                    contextlib.suppress(OSError),
                    plain,
                    context.wrap_socket(plain, server_side=True) as private,
                    socket.create_connection(target, 10) as there,
                ):
                    there.sendall(private.recv(65536))
                    while data := there.recv(65536):
                        private.sendall(data)

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_proxy_of_the_environment_is_for_others(
    github: At, elsewhere: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API on this machine is asked without a proxy; it would get the token in the clear."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, elsewhere.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    api, _ = api_of(github.forge)
    assert api.get(PULLS) == []
    assert elsewhere.requests == []


# -- redirects and the token ---------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_to_another_host_is_not_followed(
    github: At, elsewhere: Forge, status: int, method: str
) -> None:
    """The other host gets no request at all, and is named."""
    api, _ = api_of(github.forge)
    where = {"Location": f"{elsewhere.url}/steal"}
    github.forge.fail(method, 9, status=status, headers=where)
    with pytest.raises(ForgeError, match=r"another host|has moved"):
        api.call(method, PULLS, {} if method == "POST" else None)
    assert elsewhere.requests == []


@pytest.mark.parametrize("where", ["/moved", "{url}/moved", "//{host}/moved"])
def test_a_redirect_at_the_same_host_is_followed(github: At, where: str) -> None:
    """A repository that was renamed is found where the forge says."""
    api, _ = api_of(github.forge)
    host = github.forge.url.partition("//")[2]
    location = where.format(url=github.forge.url, host=host)
    github.forge.fail(f"GET {PULLS}", status=301, headers={"Location": location})
    github.forge.fail("GET /moved", headers=JSON, data=b"[]")
    assert api.get(PULLS) == []


@pytest.mark.parametrize("where", ["/moved", "", "file:///etc/passwd", "http://[", "\x00"])
def test_a_redirect_that_leads_nowhere_ends(github: At, where: str) -> None:
    """A circle, and an address that is none, are errors."""
    api, _ = api_of(github.forge)
    github.forge.fail("GET", 99, status=302, headers={"Location": where})
    with pytest.raises(ForgeError, match=r"from place to place|another host|no URL"):
        api.get(PULLS)


def test_the_token_is_never_told(
    at: At, elsewhere: Forge, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """No error, log, output, commit or other host ever has the token, whatever the forge does."""
    caplog.set_level(logging.DEBUG)
    at.push()
    echo = f'{{"message": "bad token {TOKEN}"}}'.encode()
    evil: list[dict[str, Any]] = [
        {"status": 401, "data": echo},
        {"status": 403, "data": echo, "headers": {"Retry-After": TOKEN}},
        {"status": 500, "data": echo},
        {"data": TOKEN.encode(), "headers": {"Content-Type": TOKEN}},
        {"status": 302, "headers": {"Location": f"{elsewhere.url}/{TOKEN}"}},
        {"status": 302, "headers": {"Location": f"http://{TOKEN}.example/"}},
        {"drop": True},
    ]
    told = []
    for reply in evil:
        for method in ("GET", "POST"):
            at.forge.faults.clear()
            at.forge.fail(method, 99, **reply)
            with pytest.raises(ForgeError) as caught:
                at.client().propose(PROPOSAL)
            told += [str(caught.value), repr(caught.value), repr(caught.value.__dict__)]
    at.forge.faults.clear()
    opened = at.client().propose(PROPOSAL)
    at.client().comment(1, "report", "text")
    at.merge(1)
    told += [repr(opened), repr(at.client()), caplog.text, *capfd.readouterr()]
    told.append(at.clone.git("log", "--all", "--format=raw", "-p"))
    told.append((at.clone.folder / ".git" / "config").read_text())
    assert [text for text in told if TOKEN in text] == []
    assert elsewhere.requests == []
    sent = {it.headers.get("authorization") for it in at.forge.requests}
    assert sent == {f"Bearer {TOKEN}"}
