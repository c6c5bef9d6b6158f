"""The gate to forges' APIs: JSON over HTTP, within bounds of time and size.

A request goes to the API's own origin, and so does the token; a redirect to another is an error.
What certainly was not done, and what may be done twice, is tried again with growing pauses; a
write that may have been done is not: its error is `unsure`, and the caller looks first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from gitml.documents import load_json
from gitml.errors import ForgeError, FormatError, shown
from gitml.forge import answers, wire
from gitml.forge.access import JOB_TOKEN, Token
from gitml.forge.wire import Answer, NoAnswer
from gitml.version import __version__

_BROKEN = (500, 502, 503, 504)
_MOVED = (301, 302, 307, 308)
_TAKEN = (409, 422)  # what GitLab and GitHub answer when it is there already
_REDIRECTS = 3
_SECONDARY = 60.0  # GitHub's limits on bursts, where it does not tell until when
PAGE, PAGES = 50, 60

Json = Any
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient gitml is: seconds for one answer, tries, and the pauses between them in seconds.

    The first pause doubles with each try; a forge that asks for a longer one than `longest` is told
    of instead. An answer has at most `size` bytes.
    """

    answer: float = 30.0
    tries: int = 4
    pause: float = 1.0
    longest: float = 90.0
    size: int = 32_000_000


PLAIN = Limits()


class Request(NamedTuple):
    """One request: `path` follows the API's URL; `again` tells that it may be done twice."""

    method: str
    path: str
    data: bytes | None
    again: bool


@dataclass(frozen=True, slots=True)
class Api:
    """The API of one forge, whose name is for messages, with the headers of its kind."""

    forge: str
    url: str
    token: Token
    headers: Mapping[str, str] = field(repr=False)
    limits: Limits = PLAIN
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str, **query: object) -> Json:
        """What is at `path`."""
        return self.call("GET", path + (f"?{urlencode(query)}" if query else ""))

    def pages(self, path: str, **query: object) -> Iterator[Json]:
        """The items of a list, page after page; ForgeError when it does not end."""
        for number in range(1, PAGES + 1):
            found = self.get(path, **query, per_page=PAGE, page=number)
            if not isinstance(found, list):
                raise self._error(f"answers GET {path} with no list")
            yield from found
            if len(found) < PAGE:
                return
        raise self._error(f"has more than {PAGE * PAGES} items at GET {path}")

    def call(
        self, method: str, path: str, body: Mapping[str, Json] | None = None, *, again: bool = False
    ) -> Json:
        """The JSON of an answer, None where it has no body; ForgeError when the forge refuses.

        `again` tells that the request does no harm when it is done twice; that of a GET, PUT and
        PATCH never does.
        """
        data = None if body is None else json.dumps(body).encode()
        request = Request(method, path, data, again or method != "POST")
        return self._parsed(request, self._answered(request))

    def file(self, path: str) -> bytes:
        """The bytes of a file at `path`, whatever is in it; ForgeError when the forge refuses."""
        return self._answered(Request("GET", path, None, True)).data

    def _answered(self, request: Request) -> Answer:
        """The answer to a request that the forge has done, with as many tries as there are."""
        tries, tried = self.limits.tries, 0
        while True:
            tried += 1
            answer = self._asked(request)
            if not isinstance(answer, NoAnswer) and 200 <= answer.status < 300:
                return answer
            wait = self._wait(request, answer, tried) if tried < tries else None
            if wait is None:
                raise self._refused(request, answer)
            self.sleep(wait)

    def once(self, look: Callable[[], T | None], make: Callable[[], T]) -> tuple[T, bool]:
        """What `look` finds, or `make` makes; and whether it was made.

        Where it is uncertain whether something was made, or somebody else was faster, it looks
        again before it does anything: nothing is made twice.
        """
        was_asked, tried = False, 0
        while True:
            tried += 1
            if (found := look()) is not None:
                return found, was_asked
            try:
                return make(), True
            except ForgeError as error:
                if error.status in _TAKEN and (found := look()) is not None:
                    return found, False
                if not error.unsure or tried == self.limits.tries:
                    raise
            was_asked = True
            self.sleep(self.limits.pause * 2 ** (tried - 1))

    # -- one request ---------------------------------------------------------------------------

    def _asked(self, request: Request) -> Answer | NoAnswer:
        """What comes of one request; redirects are followed as long as they stay at the API."""
        url, method, data = self.url + request.path, request.method, request.data
        headers = {**self.headers, "User-Agent": f"gitml/{__version__}"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        for _ in range(_REDIRECTS + 1):
            answer = self._without_token(
                wire.ask(method, url, headers, data, self.limits.answer, self.limits.size)
            )
            if isinstance(answer, NoAnswer) or answer.status not in _MOVED:
                return answer
            if method != "GET" and answer.status in (301, 302):
                raise self._error(f"has moved what {request.method} {request.path} names")
            url = self._same_origin(url, answer.headers.get("location", ""))
        raise self._error(f"sends {request.method} {request.path} from place to place")

    def _same_origin(self, url: str, location: str) -> str:
        """The URL of a redirect; ForgeError when it leads away from the API."""
        try:
            here, there = urlsplit(self.url), urlsplit(urljoin(url, location))
        except ValueError:
            raise self._error(f"sends the request to {shown(location)}, which is no URL") from None
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            where = shown(there.netloc)
            raise self._error(f"sends the request to another host, {where}; it is not followed")
        return there.geturl()

    def _without_token(self, answer: Answer | NoAnswer) -> Answer | NoAnswer:
        """An answer in which a forge that sends the token back finds no way into a message."""
        if isinstance(answer, NoAnswer):
            return answer
        secret = self.token.secret
        headers = {name: value.replace(secret, "***") for name, value in answer.headers.items()}
        return Answer(answer.status, headers, answer.data.replace(secret.encode(), b"***"))

    def _parsed(self, request: Request, answer: Answer) -> Json:
        if not answer.data.strip():
            return None
        try:
            return load_json(answer.data, "the answer")
        except FormatError:
            kind = shown(answer.headers.get("content-type", "no type"))
            what = f"{request.method} {request.path}"
            raise self._error(
                f"answers {what} with {kind} that is no JSON; is {self.url} an API?",
                unsure=not request.again,
            ) from None

    # -- what went wrong -----------------------------------------------------------------------

    def _wait(self, request: Request, answer: Answer | NoAnswer, tried: int) -> float | None:
        """Seconds after which another try makes sense; None when none does."""
        pause = self.limits.pause * 2 ** (tried - 1)
        if isinstance(answer, NoAnswer):
            may = not answer.is_final and (request.again or not answer.was_sent)
            return pause if may else None
        if self._is_limited(answer):
            wait = _asked_to_wait(answer.headers, time.time())
            wait = _SECONDARY if wait is None else max(wait, pause)
            return wait if wait <= self.limits.longest else None
        return pause if answer.status in _BROKEN and request.again else None

    def _is_limited(self, answer: Answer) -> bool:
        """Whether the forge refused because it is asked too often: it did nothing then."""
        if answer.status == 429:
            return True
        spent = answer.headers.get("x-ratelimit-remaining") == "0"
        said = "rate limit" in self._said(answer).lower()
        return answer.status == 403 and (spent or said or "retry-after" in answer.headers)

    def _refused(self, request: Request, answer: Answer | NoAnswer) -> ForgeError:
        what = f"{request.method} {shown(request.path)}"
        if isinstance(answer, NoAnswer):
            unsure = answer.was_sent and not request.again
            return self._error(f"does not answer {what}: {answer.reason}", unsure=unsure)
        if self._is_limited(answer):
            wait = _asked_to_wait(answer.headers, time.time()) or _SECONDARY
            advice = f"is asked too often; try again in {wait:.0f} s"
            return self._error(advice, status=answer.status)
        said = self._said(answer)
        text = f" {shown(said)}" if said else ""
        return self._error(
            f"refuses {what} with {answer.status}{text}{self._advice(answer.status)}",
            status=answer.status,
            unsure=answer.status in _BROKEN and not request.again,
        )

    def _advice(self, status: int) -> str:
        variable = self.token.variable
        if status == 401:
            return f"; the token in {variable} is not valid"
        if status not in (403, 404):
            return ""
        other = "; give one in GITLAB_TOKEN" if variable == JOB_TOKEN else ""
        why = "it is not there, or " if status == 404 else ""
        return f"; {why}the token in {variable} may not do that{other}"

    def _said(self, answer: Answer) -> str:
        """The forge's own words in an answer that refuses."""
        try:
            found = load_json(answer.data, "the answer")
        except FormatError:
            return ""
        if not isinstance(found, dict):
            return ""
        words = [*_listed(found.get("message")), *_listed(found.get("error"))]
        words += [answers.maybe_text(it, "message") for it in _listed(found.get("errors"))]
        return ": ".join(word for word in words if isinstance(word, str) and word)

    def _error(self, what: str, *, status: int | None = None, unsure: bool = False) -> ForgeError:
        return ForgeError(f"{self.forge} {what}", status=status, unsure=unsure)


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _asked_to_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a forge asks to wait, told as such or by the moment at which its limit ends.

    That moment counts only when the limit is used up: other limits than that may be meant.
    """
    try:
        if "retry-after" in headers:
            return max(0.0, float(int(headers["retry-after"])))
        for limit in ("x-ratelimit-", "ratelimit-"):
            if headers.get(f"{limit}remaining") == "0":
                return max(1.0, int(headers[f"{limit}reset"]) - now)
    except (KeyError, ValueError, OverflowError):  # a date, or nonsense
        pass
    return None
