"""Random run records, as hypothesis strategies."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from gitml.tracking.record import (
    STATUSES,
    Artifact,
    Code,
    Dataset,
    Environment,
    MetricSummary,
    RunRecord,
    Session,
    Source,
    Stamp,
)

texts = st.text(st.characters(codec="utf-8"), max_size=12)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.floats(allow_nan=False)  # NaN is equal to nothing, so it can't be compared
times = st.integers(0, 4_102_444_800_000)  # until the year 2100
counts = st.integers(0, 2**40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def hexes(length: int) -> st.SearchStrategy[str]:
    """Hexadecimal ids of `length` digits."""
    return st.integers(0, 16**length - 1).map(lambda number: f"{number:0{length}x}")


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """None or a value."""
    return st.none() | strategy


def maps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Small mappings from text."""
    return st.dictionaries(texts, values, max_size=3)


def tuples(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Small tuples."""
    return st.lists(values, max_size=3).map(tuple)


object_ids = hexes(40) | hexes(64)


@st.composite
def summaries(draw: st.DrawFn) -> MetricSummary:
    """A metric's summary; `min` and `max` are both there or both missing."""
    low, high = draw(st.tuples(numbers, numbers) | st.just((None, None)))
    return MetricSummary(
        draw(numbers),
        draw(st.integers(-(2**63), 2**63 - 1)),
        low,
        high,
        draw(st.integers(1, 10**9)),
    )


datasets = st.builds(
    Dataset,
    name=words,
    digest=words,
    context=maybe(words),
    source=maps(json_values),
    source_type=words,
    schema=maybe(st.dictionaries(texts, json_values, min_size=1, max_size=2)),
    profile=maybe(st.dictionaries(texts, json_values, min_size=1, max_size=2)),
    tags=maps(texts),
)
sessions = st.builds(
    Session,
    kind=st.sampled_from(["start", "resume", "fork", "join"]),
    host=words,
    pid=counts,
    start_time=times,
    end_time=maybe(times),
    lines=counts,
    skipped=counts,
    snapshot=maybe(object_ids),
)
codes = st.builds(
    Code,
    commit=maybe(object_ids),
    tree=maybe(object_ids),
    branch=maybe(words),
    dirty=st.booleans(),
    remote=maybe(words),
    scope=words,
    drift=tuples(texts),
    untracked=tuples(texts),
    incomplete=maps(texts),
)
sources = st.builds(Source, name=texts, type=words, command=tuples(texts), entry=maybe(words))
environments = st.builds(
    Environment, python=texts, platform=texts, host=texts, cpus=counts, gitml=texts
)


def run_records() -> st.SearchStrategy[RunRecord]:
    """Run records of every shape, as a recording could leave them."""
    return st.builds(
        RunRecord,
        run_id=hexes(32),
        name=words,
        experiment=words,
        experiment_id=words,
        status=st.sampled_from(STATUSES),
        start_time=times,
        end_time=maybe(times),
        user=texts,
        description=maybe(words),
        deleted=st.booleans(),
        reason=maybe(words),
        parent_run=maybe(hexes(32)),
        params=maps(json_values),
        param_conflicts=maps(st.lists(json_values, min_size=2, max_size=3).map(tuple)),
        metrics=maps(summaries()),
        tags=maps(maybe(texts)),
        datasets=tuples(datasets),
        artifacts=maps(
            st.builds(Artifact, size=counts, sha256=hexes(64), where=st.just("git") | words)
        ),
        models=maps(maps(json_values)),
        source=sources,
        code=codes,
        environment=environments,
        sessions=maps(sessions),
        clock=maps(st.builds(Stamp, counter=counts, writer=texts)),
        unknown=st.dictionaries(words.map(lambda word: f"x-{word}"), json_values, max_size=2).map(
            lambda found: {key: value for key, value in found.items() if value not in ("", [])}
        ),
    )
