"""Reading run.json files from git, in batches, ahead of those who store them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gitml import git
from gitml.documents import load_json
from gitml.errors import FormatError
from gitml.git import Repository
from gitml.tracking.index.rows import RunRows, document_rows, record_rows
from gitml.tracking.record import RunRecord, from_document
from gitml.tracking.typed import MALFORMED

Unite = Callable[[Sequence[RunRecord]], RunRecord]
Files = Mapping[str, tuple[str, ...]]  # paths and the ids of their blobs

_BATCH = 2000


class Refused(NamedTuple):
    """A file that is no run record, and why."""

    path: str
    problem: str


class Read(NamedTuple):
    """What came of a batch of files; `contents` is what their blobs hold."""

    runs: list[RunRows]
    refused: list[Refused]
    contents: Mapping[str, bytes]


def read_runs(repo: Repository, files: Files, unite: Unite) -> Iterator[Read]:
    """The runs in files, those of several blobs united, in batches."""
    left = iter(files.items())
    batches = [dict(some) for some in iter(lambda: list(itertools.islice(left, _BATCH)), [])]
    for batch, contents in zip(batches, _contents(repo, batches), strict=True):
        yield _parsed(batch, contents, unite)


def _contents(repo: Repository, batches: Sequence[Files]) -> Iterator[dict[str, bytes]]:
    """What the blobs of each batch hold. While one is looked at, git reads the next."""

    def read(batch: Files) -> dict[str, bytes]:
        blobs = [blob for blobs in batch.values() for blob in blobs]
        return dict(zip(blobs, git.read_objects(repo, blobs), strict=True))

    if len(batches) < 2:
        yield from map(read, batches)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, batches[0])
        for following in [*batches[1:], {}]:
            done = ahead.result()
            ahead = reader.submit(read, following)
            yield done


def _parsed(files: Files, contents: Mapping[str, bytes], unite: Unite) -> Read:
    read = Read([], [], contents)
    for path, blobs in files.items():
        try:
            read.runs.append(_run(path, blobs, [contents[blob] for blob in blobs], unite))
        except (FormatError, *MALFORMED) as error:
            read.refused.append(refused(path, error))
    return read


def refused(path: str, error: Exception) -> Refused:
    """What is wrong with a file, from what came of reading it."""
    known = isinstance(error, FormatError)
    return Refused(path, str(error) if known else f"{path} is no run record: {error!r}")


def record_of(path: str, sides: Sequence[bytes], unite: Unite) -> RunRecord:
    """The record in a run.json, or that of several united; FormatError or one of MALFORMED."""
    records = [from_document(load_json(data, path), path) for data in sides]
    return records[0] if len(records) == 1 else unite(records)


def _run(path: str, blobs: tuple[str, ...], sides: Sequence[bytes], unite: Unite) -> RunRows:
    first = sides[0]
    if len(sides) == 1 and b'NaN"' not in first and b'Infinity"' not in first:
        return _checked(document_rows(_load(first, path), path, blobs))
    return _checked(record_rows(record_of(path, sides, unite), path, blobs))


def _checked(run: RunRows) -> RunRows:
    if run.facts.attributes["run_id"] != run.run_id:
        raise FormatError(f"{run.path} is the record of another run")
    return run


def _load(data: bytes, path: str) -> dict[str, Any]:
    """The document, without the care for integers of over 64 bits: no search tells them apart."""
    import orjson

    try:
        return orjson.loads(data)  # type: ignore[no-any-return]
    except orjson.JSONDecodeError:
        return load_json(data, path)  # type: ignore[no-any-return]
