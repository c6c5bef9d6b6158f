"""What the index answers in SQL is what every run answers by itself."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitml.documents import dump_json, load_json
from gitml.tracking.index import database, ways
from gitml.tracking.index.query import VIEWS, Query, Question
from gitml.tracking.index.row import stored_rows
from gitml.tracking.index.rows import document_rows, record_rows
from gitml.tracking.index.writer import Writer, usual_folder
from gitml.tracking.names import new_run_id, run_path
from gitml.tracking.record import MetricSummary, RunRecord, from_document, to_document
from gitml.tracking.search import facts, matches, parse_filter, parse_order, rank
from gitml.tracking.search.expressions import SUMMARIES
from gitml.tracking.search.facts import Facts
from gitml.tracking.search.match import order_values
from tests import ledgers, records, searches

if TYPE_CHECKING:
    import sqlite3


@contextmanager
def indexed(runs: Iterable[RunRecord]) -> Iterator[sqlite3.Connection]:
    """An index in memory that holds the runs."""
    connection = database.connect(None)
    try:
        with database.transaction(connection):
            refused = Writer(connection).put(
                [record_rows(run, f"runs/e/{run.run_id}/run.json", ("ab" * 20,)) for run in runs],
                {run.run_id: "cd" * 20 for run in runs},
            )
        assert refused == []
        yield connection
    finally:
        connection.close()


def found(
    connection: sqlite3.Connection,
    question: Question,
    limit: int | None = None,
    offset: int = 0,
    live: Sequence[RunRecord] = (),
) -> list[str]:
    """The ids that the index finds, in its order."""
    hits = Query(connection, question, live).hits(limit, offset)
    rows = stored_rows(connection, "rid", [hit.rid for hit in hits])
    return [hit.live.run_id if hit.live else rows[hit.rid].run_id for hit in hits]


def expected(runs: Iterable[RunRecord], question: Question) -> list[str]:
    """The ids that asking each run finds, sorted by their ranks."""
    placed = []
    for run in runs:
        known = facts(run)
        is_seen = question.view == "all" or run.deleted == (question.view == "deleted")
        ids = question.experiment_ids
        if (
            is_seen
            and (ids is None or run.experiment_id in ids)
            and matches(question.filter, known)
        ):
            values = order_values(question.order, known)
            placed.append((rank(question.order, values, known.tie), run.run_id))
    return [run_id for _, run_id in sorted(placed)]


def one_each(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The last run of each id."""
    return list({run.run_id: run for run in runs}.values())


questions = st.builds(
    Question,
    searches.filters,
    searches.orders,
    st.none() | st.lists(st.sampled_from(["1", "2", "3"]), max_size=2).map(tuple),
    st.sampled_from(VIEWS),
)


@given(st.lists(searches.runs, max_size=8).map(one_each), questions)
@settings(max_examples=400)
def test_sql_answers_as_runs_do(runs: list[RunRecord], question: Question) -> None:
    """Any filter, order and view find the same runs in the same order as asking each run does."""
    with indexed(runs) as connection:
        assert found(connection, question) == expected(runs, question)
        assert Query(connection, question, ()).count() == len(expected(runs, question))


@pytest.mark.parametrize(("text", "expected"), searches.ANSWERS)
def test_answers(text: str, expected: bool) -> None:
    """Every kind of comparison, asked of the index."""
    with indexed([searches.RUN]) as connection:
        for asked, hits in ((text, expected), (f"NOT ({text})", not expected)):
            question = Question(parse_filter(asked))
            assert found(connection, question) == ([searches.RUN.run_id] if hits else [])


@given(
    st.lists(searches.runs, max_size=8).map(one_each),
    st.lists(searches.runs, max_size=4).map(one_each),
    questions,
    st.none() | st.integers(0, 5),
    st.integers(0, 5),
)
def test_live_runs_take_their_place(
    runs: list[RunRecord],
    live: list[RunRecord],
    question: Question,
    limit: int | None,
    offset: int,
) -> None:
    """A live run stands where it would if it were recorded, instead of the one of its id."""
    everything = one_each([*runs, *live])
    wanted = expected(everything, question)
    with indexed(runs) as connection:
        end = None if limit is None else offset + limit
        assert found(connection, question, limit, offset, live) == wanted[offset:end]
        assert Query(connection, question, live).count() == len(wanted)


@given(searches.runs, searches.runs, questions)
def test_a_changed_run_leaves_nothing_behind(
    first: RunRecord, then: RunRecord, question: Question
) -> None:
    """After a run was stored again, or dropped, nothing of its former self is found."""
    then = replace(then, run_id=first.run_id)
    with indexed([first]) as connection:
        Writer(connection).put([record_rows(then, f"a/{then.run_id}/run.json", ("ab" * 20,))], {})
        assert found(connection, question) == expected([then], question)
        Writer(connection).drop([then.run_id])
        for table in ("runs", "num", "text"):
            assert connection.execute(f"SELECT * FROM {table}").fetchall() == []


@given(st.data())
def test_every_way_through_the_index(data: st.DataObject) -> None:
    """The short cuts for few candidates and for orders by one metric change no answer."""
    filters = [
        "metrics.auc > 0.5", "metrics.auc <= 0.01", "metrics.m1 > 0.2 AND metrics.auc > 0.9",
        "params.depth = '5'", "params.depth > 9", "tags.team = 'a'", "tags.team IN ('a', 'zz')",
        "params.model = 'mlp' AND metrics.m2 < 0.5", "tags.ticket = 'T-7'", "metrics.auc = NaN",
        "metrics.auc > 2", "params.depth IN ('5', '7')", "NOT metrics.auc > 0.1", "",
    ]  # fmt: skip
    orders = [
        "metrics.auc", "metrics.auc DESC, params.depth", "params.depth DESC", "params.model",
        "metrics.m3, metrics.auc", "metrics.auc.min DESC", "start_time", "metrics.none", "",
    ]  # fmt: skip
    question = Question(
        parse_filter(data.draw(st.sampled_from(filters))),
        parse_order(list(filter(None, [data.draw(st.sampled_from(orders))]))),
    )
    few, ways._FEW = ways._FEW, data.draw(st.sampled_from([0, 5, 1000]))
    offset = data.draw(st.integers(0, 30))
    try:
        runs, connection = _sixty()
        ids = expected(runs, question)
        assert found(connection, question) == ids
        assert found(connection, question, 7, offset) == ids[offset : offset + 7]
    finally:
        ways._FEW = few


_kept: list[Any] = []


def _sixty() -> tuple[list[RunRecord], sqlite3.Connection]:
    """Sixty realistic runs, some of them with NaN or without a metric, and an index of them."""
    if not _kept:
        rng = random.Random(5)
        runs = []
        for run in ledgers.make_runs(60):
            metrics = dict(run.metrics)
            if rng.random() < 0.2:
                metrics["auc"] = replace(metrics["auc"], last=float("nan"))
            if rng.random() < 0.2:
                del metrics["auc"]
            runs.append(replace(run, metrics=metrics, start_time=rng.randrange(3)))
        connection = database.connect(None)
        Writer(connection).put(
            [record_rows(run, f"a/{run.run_id}/run.json", ("ab" * 20,)) for run in runs], {}
        )
        _kept.append((runs, connection))
    return _kept[0]  # type: ignore[no-any-return]


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    for _, connection in _kept:
        connection.close()
    _kept.clear()


def _nested(depth: int, left: bool) -> str:
    """A filter as deep as can be, every side of it as long as can be."""
    text = "NOT metrics.loss.min > 1"
    for at in range(depth):
        other = f"NOT metrics.a{at}.min IN (1, 2)"
        word = "AND" if at % 2 else "OR"
        text = f"({text} {word} {other})" if left else f"({other} {word} NOT {text})"
    return text


@pytest.mark.parametrize(
    "text",
    [
        _nested(50, left=True),
        _nested(50, left=False),
        f"({_nested(49, left=True)} AND {_nested(49, left=False)})",
        " OR ".join(f"metrics.m{n % 9}.min > {n} AND NOT params.a != '{n}'" for n in range(500)),
        " AND ".join(f"tags.mlflow.user LIKE '%{n}'" for n in range(1000)),
    ],
    ids=["left", "right", "both", "long", "wide"],
)
def test_large_filters(text: str) -> None:
    """The deepest and the longest filters that can be read can be asked."""
    keys = [f"a{at}.min" for at in range(50)] + ["a", "loss", "loss.min"]
    summary = MetricSummary(1.5, 0, 1.0, 2.0, 2)
    runs = [
        replace(run, metrics=dict.fromkeys(keys, summary), params={"a": 1})
        for run in ledgers.make_runs(2)
    ]
    question = Question(parse_filter(text))
    with indexed(runs) as connection:
        assert found(connection, question) == expected(runs, question)


def test_a_long_list() -> None:
    """IN takes as many run ids as there may be."""
    runs = list(ledgers.make_runs(5))
    ids = ", ".join(f"'{n:032x}'" for n in range(50_000))
    with indexed(runs) as connection:
        for operator, hits in (("IN", runs[:1]), ("NOT IN", runs[1:])):
            text = f"run_id {operator} ('{runs[0].run_id}', {ids})"
            hit = found(connection, Question(parse_filter(text)))
            assert sorted(hit) == sorted(run.run_id for run in hits)


def test_outside_text_is_never_sql() -> None:
    """Names and values with quotes in them are looked for as they are."""
    run = replace(next(ledgers.make_runs(1)), params={"a'; DROP TABLE runs; --": "x' OR '1' = '1"})
    with indexed([run]) as connection:
        text = "params.`a'; DROP TABLE runs; --` = 'x'' OR ''1'' = ''1'"
        assert found(connection, Question(parse_filter(text))) == [run.run_id]
        other = "params.`a'; DROP TABLE runs; --` = 'x'"
        assert found(connection, Question(parse_filter(other))) == []


def _comparable(known: Facts) -> Any:
    metrics = {
        key: {name: figures.get(name) for name in SUMMARIES}
        for key, figures in known.metrics.items()
    }
    return [known.attributes, metrics, *(dict(part) for part in (known.params, known.tags)), [
        value or None for value in known.system
    ], {name: list(values) for name, values in known.datasets.items()}]  # fmt: skip


@given(records.run_records())
def test_documents_and_records_say_the_same(run: RunRecord) -> None:
    """What is read from run.json directly is what its record says."""
    data = dump_json(to_document(run))
    document = load_json(data, "run.json")
    if b'Infinity"' in data:  # such a document is read as a record
        return
    path = f"runs/e/2026/01/31/{run.run_id}/run.json"
    read = document_rows(document, path, ("ab" * 20,))
    assert _comparable(read.facts) == _comparable(facts(from_document(document)))
    assert (read.deleted, read.run_id) == (run.deleted, run.run_id)


@given(records.run_records())
def test_any_record_can_be_stored(run: RunRecord) -> None:
    """No run that can be recorded is refused by the index."""
    with indexed([run]) as connection:
        assert found(connection, Question(view="all")) == [run.run_id]


def test_folder_of_a_run() -> None:
    """The folder that rows leave out is the one that the ledger makes."""
    run_id = new_run_id()
    assert usual_folder("churn", run_id) == run_path("churn", run_id)
