"""The scoring server as an ASGI application: its routes, and how errors are answered."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.errors import GitmlError
from gitml.models.digest import digest_of_folder
from gitml.models.pyfunc import PyFuncModel
from gitml.models.serving import openapi, page, proof
from gitml.models.serving.bodies import Bodies, GoneError, Receive
from gitml.models.serving.guard import App, Guard, Scope, Send, refuse, respond
from gitml.models.serving.limits import Limits
from gitml.models.serving.metrics import Metrics
from gitml.models.serving.payload import JSON, media_type
from gitml.models.serving.pool import Pool
from gitml.models.serving.refused import ModelFailedError, RefusedError
from gitml.models.serving.score import Scorer
from gitml.version import __version__

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is served.

    `local` says that the server listens to its own machine only; `counts` is the folder in which
    several workers count together.
    """

    limits: Limits = field(default_factory=Limits)
    strict: bool = False
    local: bool = True
    counts: Path | None = None


def make_app(
    model: PyFuncModel, options: Options | None = None, *, pool: Pool | None = None
) -> App:
    """The application that serves a loaded model; `pool` is what predicts."""
    options = options or Options()
    server = _Server(model, options, pool or Pool(options.limits))
    return Guard(server.starlette(), server.metrics, local=options.local)


class _Server:
    """The routes of one model."""

    def __init__(self, model: PyFuncModel, options: Options, pool: Pool) -> None:
        self.model = model
        self.limits = options.limits
        self.metrics = Metrics(options.counts)
        self._scorer = Scorer(model, options.limits, strict=options.strict)
        self._bodies = Bodies(options.limits)
        self._pool = pool
        self._has_proven = False

    def starlette(self) -> Starlette:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        get = ["GET"]
        return Starlette(
            routes=[
                Route("/invocations", _Asgi(self.invocations)),
                Route("/ping", self.ping, methods=get),
                Route("/health", self.ping, methods=get),
                Route("/ready", self.ready, methods=get),
                Route("/version", self.version, methods=get),
                Route("/metrics", self.show_metrics, methods=get),
                Route("/openapi.json", self.openapi, methods=get),
                *(Route(path, self.page, methods=get) for path in page.FILES),
            ],
            exception_handlers={HTTPException: _http_error, Exception: _bug},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self._pool.close()

    async def invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for predictions."""
        try:
            body = await self._answer(scope, receive)
        except GoneError:
            return
        except RefusedError as refusal:
            if isinstance(refusal, ModelFailedError):
                self.metrics.fail()
            await refuse(send, refusal)
        else:
            await respond(send, 200, body)

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] != "POST":
            raise RefusedError("ask for predictions with POST", 405, headers={"Allow": "POST"})
        found = _headers(scope)
        media = media_type(found.get(b"content-type"))
        if _is_packed(scope):
            raise RefusedError("the body must not be compressed: send no Content-Encoding", 415)
        waits = b"expect" in found
        async with self._bodies.body(receive, _length(found), waits=waits) as body:
            return await self._pool.run(functools.partial(self._scorer.score, body, media))

    @functools.cached_property
    def _described(self) -> dict[str, Any]:
        return described(self.model)

    async def ping(self, request: Request) -> Response:
        """The server is there, its model is loaded and does not hang."""
        from starlette.responses import Response

        if self._pool.is_stuck():
            return _refused(RefusedError("the model hangs: no thread is left to predict", 503))
        return Response(b"\n", media_type="application/json")

    async def ready(self, request: Request) -> Response:
        """The model has predicted for its own example, if it has one; tried until it has once."""
        if not self._has_proven:
            try:
                if body := proof.request(self.model.source.folder):
                    await self._pool.run(functools.partial(self._scorer.score, body, JSON))
            except GitmlError as error:
                logger.warning("the model does not predict for its own example: %s", error)
                why = f"it does not predict for the model's own example: {error}"
                return _refused(RefusedError(why, 503))
            self._has_proven = True
        return await self.ping(request)

    def version(self, request: Request) -> Response:
        """What is served: JSON, or gitml's version alone as plain text."""
        from starlette.responses import JSONResponse, PlainTextResponse

        if request.headers.get("accept", "").partition(",")[0].strip() == "text/plain":
            return PlainTextResponse(__version__)
        return JSONResponse({"gitml_version": __version__, **self._described})

    def show_metrics(self, request: Request) -> Response:
        """The counts, for Prometheus."""
        from starlette.responses import Response

        labels = {key: str(value) for key, value in self._described.items() if value}
        text = self.metrics.text({"gitml_version": __version__, **labels})
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    def openapi(self, request: Request) -> Response:
        """How requests and answers look."""
        from starlette.responses import JSONResponse

        version = self._described["version"] or "0"
        return JSONResponse(openapi.document(self.model, self._name, version))

    def page(self, request: Request) -> Response:
        """The page for people, and its parts."""
        from starlette.responses import Response

        body, kind = page.file(request.url.path, self.model, self._name)
        return Response(body, headers={**page.HEADERS, "Content-Type": kind})

    @property
    def _name(self) -> str:
        return self._described["model"] or "model"


class _Asgi:
    """An endpoint that is called as an application, for all methods."""

    def __init__(self, function: App) -> None:
        self._function = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._function(scope, receive, send)


def described(model: PyFuncModel) -> dict[str, Any]:
    """The model as /version names it; what is not known is null."""
    source = model.source
    return {
        "model": source.name or model.metadata.artifact_path,
        "version": source.version,
        "run_id": source.run_id or model.metadata.run_id,
        "digest": source.digest or digest_of_folder(source.folder),
        "model_uuid": model.metadata.model_uuid,
    }


def _headers(scope: Scope) -> Mapping[bytes, str]:
    return {name: value.decode("latin-1") for name, value in scope["headers"]}


def _is_packed(scope: Scope) -> bool:
    given = [value for name, value in scope["headers"] if name == b"content-encoding"]
    return any(value.strip().lower() not in (b"", b"identity") for value in given)


def _length(headers: Mapping[bytes, str]) -> int | None:
    text = headers.get(b"content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


async def _http_error(request: Request, error: Any) -> Response:
    what = {404: "there is no such path", 405: "this path has no such method"}
    message = what.get(error.status_code, "the request is refused")
    return _refused(RefusedError(message, error.status_code, headers=error.headers or {}))


async def _bug(request: Request, error: Exception) -> Response:
    """The answer to a request that met a bug in gitml; the log has the rest."""
    return _refused(RefusedError("the server failed; its log says why", 500))


def _refused(refused: RefusedError) -> Response:
    from starlette.responses import Response

    headers = dict(refused.headers)
    return Response(refused.body(), refused.status, headers, media_type="application/json")
