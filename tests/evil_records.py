"""Runs whose record is not what it ought to be, written into a ledger by plain git."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gitml.tracking.names import new_run_id, run_path

EXAMPLE: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "schemas" / "examples" / "run.json").read_text("utf-8")
)


class Raw:
    """JSON text that stands for itself, where `json.dumps` has no value for it."""

    def __init__(self, text: str) -> None:
        self.text = text


EVIL: dict[str, Any] = {
    "null": None,
    "a number": 5,
    "a fraction": -0.5,
    "a huge number": Raw("1" + "0" * 400),
    "a number of 5000 digits": Raw("9" * 5000),
    "a number past infinity": Raw("1e999"),
    "NaN": Raw("NaN"),
    "true": True,
    "a text": "x",
    "an empty text": "",
    "a text of control characters": "\x00\x1b[31m\r\n\u202e",
    "half a pair": Raw('"\\ud800"'),
    "an empty list": [],
    "a list": [1, "a", None],
    "a list of lists": [[[]]],
    "an empty map": {},
    "a map": {"a": 1},
    "a map of maps": {"a": {"b": {"c": {}}}},
    "a map with an odd key": {"\x1b]0;": {}, "": 1},
    "a nest 100 deep": Raw("[" * 100 + "]" * 100),
    "a nest 100000 deep": Raw("[" * 100_000 + "]" * 100_000),
    "a nest of maps 5000 deep": Raw('{"a":' * 5000 + "1" + "}" * 5000),
}


def places(value: Any = None, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of the example, those inside others too."""
    value = EXAMPLE if not path else value
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def spoilt(run_id: str, path: tuple[Any, ...], value: Any) -> bytes:
    """The example as the run `run_id`, with `value` at a path."""
    document: Any = copy.deepcopy(EXAMPLE)
    document.pop("deleted")
    document.update(run_id=run_id, name=f"run-{run_id[-6:]}")
    at = document
    if path != ("deleted",):
        for key in path[:-1]:
            at = at[key]
    at[path[-1]] = "RAW" * 9 if isinstance(value, Raw) else value
    text = json.dumps(document)
    return (
        text.replace('"' + "RAW" * 9 + '"', value.text) if isinstance(value, Raw) else text
    ).encode()


def finite(record: bytes) -> bytes:
    """A record with a number in the place of NaN and the infinities, and no word of them."""
    return re.sub(rb'"(?:NaN|-?Infinity)"', b"1.5", record).replace(b"NaN", b"low")


def record(repo: Path, runs: Mapping[str, bytes]) -> None:
    """Append runs, given by id with what run.json holds, as gitml would record them."""
    who = b"committer x <x@y> 1767225600 +0000\n"
    head = _git(repo, "rev-parse", "gitml/runs").strip()
    stream = [b"feature done\nreset refs/heads/gitml/runs\nfrom %b\n\n" % head]
    for number, (run_id, data) in enumerate(runs.items()):
        folder = run_path("churn", run_id).encode()
        blob = b"data %d\n%b\n" % (len(data), data)
        stream += [
            b"commit refs/tmp/evil\nmark :%d\n" % (2 * number + 1), who, b"data 1\nx\ndeleteall\n",
            b"M 100644 inline .gitml/run/run.json\n", blob,
            b"commit refs/heads/gitml/runs\nmark :%d\n" % (2 * number + 2), who,
            b"data 47\nevil\n\nRun-Id: %b\n" % run_id.encode(),
            b"merge :%d\n" % (2 * number + 1),
            b"M 100644 inline %b/run.json\n" % folder, blob,
            b"reset refs/tmp/evil\nfrom %b\n\n" % (b"0" * len(head)),
        ]  # fmt: skip
    _git(repo, "fast-import", "--quiet", "--force", "--done", input=b"".join([*stream, b"done\n"]))


def every() -> dict[str, tuple[str, bytes]]:
    """Every evil value at every place: run id -> what it is, and its run.json."""
    found = {}
    for path in places():
        for name, value in EVIL.items():
            run_id = new_run_id()
            what = f"{'.'.join(map(str, path))}: {name}"
            found[run_id] = what, spoilt(run_id, path, value)
    return found


def _git(repo: Path, *args: str, input: bytes = b"") -> bytes:
    done = subprocess.run(("git", *args), cwd=repo, input=input, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
