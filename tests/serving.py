"""Models that say what they are given, and servers of them, for the tests of serving."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import cloudpickle

from gitml import pyfunc
from gitml.models.params import ParamSchema, ParamSpec
from gitml.models.schema import ColSpec, Schema, TensorSpec
from gitml.models.signature import ModelSignature


def seen(model_input, params=None):  # type: ignore[no-untyped-def]  # it travels by value
    """What a model is given: types and values as text."""

    def told(value):  # type: ignore[no-untyped-def]
        kind = type(value).__name__
        if kind == "DataFrame":
            return [
                [str(name), told(values.to_numpy()), str(values.dtype).replace("str", "object")]
                for name, values in value.items()
            ]
        if kind == "ndarray":
            dtype = "text" if value.dtype.kind in "OUST" else str(value.dtype)
            items = value.astype(object).ravel().tolist()
            return [dtype, list(value.shape), [told(item) for item in items]]
        if isinstance(value, dict):
            return {str(key): told(item) for key, item in sorted(value.items())}
        if isinstance(value, list):
            return [told(item) for item in value]
        missing = value is None or value != value
        return "missing" if missing else f"{kind} {value}"

    return [{"data": told(model_input), "params": told(params or {})}]


def total(model_input):  # type: ignore[no-untyped-def]
    """The sums of rows."""
    return model_input.sum(axis=1)


def failing(model_input):  # type: ignore[no-untyped-def]
    """What a broken model does."""
    if len(model_input) == 2:
        raise SystemExit(3)
    raise RuntimeError(f"the secret is {model_input}")


def slow(model_input):  # type: ignore[no-untyped-def]
    """Takes as many seconds as the first number says."""
    import time

    time.sleep(float(model_input.iloc[0, 0]))
    return [float(model_input.iloc[0, 0])]


def hanging(model_input):  # type: ignore[no-untyped-def]
    """Does what the first number says: add, or never come back in one way or another."""
    import ctypes
    import os
    import time

    what = int(model_input.iloc[0, 0])
    if what == 1:
        time.sleep(1e6)
    while what == 2:
        pass
    if what == 3:  # in C, and no other thread may run meanwhile
        ctypes.PyDLL(None).sleep(1_000_000)
    if what == 4:
        os._exit(3)
    return [float(what)]


def _columns(**kinds: str) -> Schema:
    optional = {name: kind.endswith("?") for name, kind in kinds.items()}
    return Schema(
        [ColSpec(kind.rstrip("?"), name, not optional[name]) for name, kind in kinds.items()]
    )


_ALL = {
    "flag": "boolean", "small": "integer", "large": "long", "half": "float", "whole": "double",
    "word": "string", "data": "binary", "day": "datetime", "maybe": "long?",
}  # fmt: skip
_PARAMS = ParamSchema(
    [ParamSpec("scale", "double", 1.0), ParamSpec("names", "string", ["a"], (-1,))]
)
_NESTED = Schema.from_json(
    json.dumps(
        [
            {"name": "list", "type": "array", "items": {"type": "long"}, "required": True},
            {
                "name": "thing", "type": "object", "required": True,
                "properties": {"x": {"type": "double", "required": True},
                               "y": {"type": "string", "required": False}},
            },
        ]
    )
)  # fmt: skip


class Kind(NamedTuple):
    """A model of the tests: its function and its signature."""

    function: Any
    signature: ModelSignature | None


KINDS = {
    "numbers": Kind(seen, ModelSignature(_columns(a="double", b="double"))),
    "one": Kind(seen, ModelSignature(_columns(a="double"))),
    "wholes": Kind(seen, ModelSignature(_columns(a="long", b="long"))),
    "floats": Kind(seen, ModelSignature(_columns(a="float", b="float"))),
    "all": Kind(seen, ModelSignature(_columns(**_ALL))),
    "unnamed": Kind(seen, ModelSignature(Schema([ColSpec("double"), ColSpec("double")]))),
    "params": Kind(seen, ModelSignature(_columns(a="double"), params=_PARAMS)),
    "nested": Kind(seen, ModelSignature(_NESTED)),
    "tensor": Kind(seen, ModelSignature(Schema([TensorSpec("float32", (-1, 2))]))),
    "tensors": Kind(
        seen,
        ModelSignature(
            Schema([TensorSpec("float64", (-1, 2), "x"), TensorSpec("int64", (-1,), "y")])
        ),
    ),
    "days": Kind(seen, ModelSignature(_columns(day="datetime"))),
    "free": Kind(seen, None),
    "failing": Kind(failing, ModelSignature(_columns(a="double"))),
    "slow": Kind(slow, ModelSignature(_columns(a="double"))),
    "hanging": Kind(hanging, ModelSignature(_columns(a="double"))),
    "total": Kind(total, ModelSignature(_columns(a="double", b="double"))),
}


def save(name: str, folder: Path, **options: Any) -> Path:
    """A new model folder with the model of that name."""
    kind = KINDS[name]
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        pyfunc.save_model(
            folder,
            python_model=kind.function,
            signature=kind.signature or False,
            pip_requirements=["cloudpickle"],
            **options,
        )
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    return folder


def load(name: str, folder: Path, **options: Any) -> pyfunc.PyFuncModel:
    """The model of that name, saved to a new folder and loaded."""
    return pyfunc.load_model(save(name, folder, **options), allow_code=True)


class Server(NamedTuple):
    """A server that runs: its process and its port."""

    process: subprocess.Popen[str]
    port: int

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def served(
    folder: Path,
    *arguments: str,
    start: tuple[str, str] = ("-m", "gitml"),
    log: Path | None = None,
) -> Iterator[Server]:
    """`gitml models serve` on a free port of this machine, ready to answer.

    `start` are the words by which Python runs gitml; `log` takes what the server tells.
    """
    command = [sys.executable, *start, "models", "serve", "--allow-code", "--port=0"]
    with Path(log or os.devnull).open("wb") as told:
        process = subprocess.Popen(
            [*command, "--model-uri", str(folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving on http://127.0.0.1:"), line
            yield Server(process, int(line.rpartition(":")[2]))
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def head(length: int, *lines: str, method: str = "POST", path: str = "/invocations") -> bytes:
    """The head of a request with a body of JSON."""
    known = ("Host: localhost", "Content-Type: application/json", f"Content-Length: {length}")
    return "\r\n".join([f"{method} {path} HTTP/1.1", *known, *lines, "", ""]).encode()


def request(body: bytes) -> bytes:
    """A whole request."""
    return head(len(body)) + body


class Answer(NamedTuple):
    """An answer as it came: its status, its head and its body."""

    status: int
    head: str
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, str]:
        """The lines of the head, by their names in lower case."""
        lines = (line.partition(": ") for line in self.head.splitlines() if ": " in line)
        return {name.lower(): text for name, _, text in lines}


def read_answer(file: Any) -> Answer | None:
    """The next answer on a connection, of which `file` is the reading end; None at its end."""
    first = file.readline()
    if not first:
        return None
    lines = [first]
    while (line := file.readline()) not in (b"\r\n", b""):
        lines.append(line)
    fields = dict(line.decode().lower().strip().split(": ", 1) for line in lines[1:])
    body = file.read(int(fields.get("content-length", "0")))
    return Answer(int(first.split()[1]), b"".join(lines).decode(), body)


class Client:
    """Asks an ASGI application, in this process: `client("POST", path, body, headers)`."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | list[bytes] = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """The answer; a list of bodies arrives piece by piece."""
        return asyncio.run(self._ask(method, path, body, headers or {}))

    def post(self, document: Any, **headers: str) -> Answer:
        """The answer to a document of JSON."""
        kind = {"Content-Type": "application/json"}
        return self("POST", "/invocations", json.dumps(document).encode(), {**kind, **headers})

    def get(self, path: str, **headers: str) -> Answer:
        """The answer to GET."""
        return self("GET", path, b"", headers)

    async def _ask(
        self, method: str, path: str, body: bytes | list[bytes], headers: dict[str, str]
    ) -> Answer:
        pieces = body if isinstance(body, list) else [body]
        told = {"Host": "localhost", "Content-Length": str(sum(map(len, pieces))), **headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
            "method": method, "path": unquote(path), "raw_path": path.encode(),
            "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 5000), "state": {},
            "headers": [(key.lower().encode(), text.encode()) for key, text in told.items()],
        }  # fmt: skip
        left = [
            {"type": "http.request", "body": piece, "more_body": at < len(pieces)}
            for at, piece in enumerate(pieces, 1)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            if left:
                return left.pop(0)
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, *bodies = sent
        lines = [f"{key.decode()}: {text.decode()}\r\n" for key, text in start["headers"]]
        return Answer(start["status"], "".join(lines), b"".join(it["body"] for it in bodies))
