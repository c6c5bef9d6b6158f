"""The filter language: what it says, what it refuses and how, and what a run answers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.tracking.record import MetricSummary, RunRecord
from gitml.tracking.search import facts, matches, parse_filter, parse_order, rank
from gitml.tracking.search.expressions import And, Comparison, Filter, Key, Not, Or, Order
from gitml.tracking.search.match import order_values
from gitml.tracking.search.patterns import ilike, like
from gitml.tracking.search.syntax import MAX_COMPARISONS, MAX_DEPTH
from gitml.tracking.system_tags import all_tags, system_tags
from tests import searches

RUN = searches.RUN


def matching(text: str, run: RunRecord = RUN) -> bool:
    """Whether the filter matches the run."""
    return matches(parse_filter(text), facts(run))


# -- what a filter says --------------------------------------------------------------------


@pytest.mark.parametrize("entity", ["metric", "metrics", "`metrics`"])
def test_metric_entities(entity: str) -> None:
    """A metric may be called by MLflow's names for it."""
    assert parse_filter(f"{entity}.auc > 0.5") == Comparison(Key("metric", "auc"), ">", 0.5, True)


@pytest.mark.parametrize("entity", ["param", "params", "parameter", "parameters"])
def test_param_entities(entity: str) -> None:
    """So may a param."""
    assert parse_filter(f"{entity}.a = 'b'") == Comparison(Key("param", "a"), "=", "b")


@pytest.mark.parametrize(
    "text", ["status", "attribute.status", "attributes.status", "attr.status", "run.status"]
)
def test_attribute_entities(text: str) -> None:
    """And an attribute, which needs no entity at all."""
    assert parse_filter(f"{text} = 'FAILED'") == Comparison(
        Key("attribute", "status"), "=", "FAILED"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name", "run_name"),
        ("`run name`", "run_name"),
        ('attributes."Run name"', "run_name"),
        ("user", "user_id"),
        ("run_id", "run_id"),
    ],
)
def test_attribute_names(text: str, name: str) -> None:
    """Attributes have MLflow's other names too."""
    assert parse_filter(f"{text} != 'x'") == Comparison(Key("attribute", name), "!=", "x")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("params.`a b`", Key("param", "a b")),
        ('params."a.b`c"', Key("param", "a.b`c")),
        ('params."a""b"', Key("param", 'a"b')),
        ("params.a.b-c/d:e", Key("param", "a.b-c/d:e")),
        ("tags.mlflow.source.git.commit", Key("tag", "mlflow.source.git.commit")),
        ("tags.`mlflow.user`", Key("tag", "mlflow.user")),
        ("dataset.name", Key("dataset", "name")),
    ],
)
def test_keys(text: str, key: Key) -> None:
    """A key runs to the end of the word; in backticks or double quotes it may hold anything."""
    assert parse_filter(f"{text} = 'x'") == Comparison(key, "=", "x")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("metrics.loss.min", Key("metric", "loss.min", otherwise=Key("metric", "loss", "min"))),
        ("metrics.`loss.min`", Key("metric", "loss.min")),
        ("metrics.`loss`.min", Key("metric", "loss", "min")),
        ("metrics.`a.b`.count", Key("metric", "a.b", "count")),
        ("metrics.min", Key("metric", "min")),
        ("metrics.loss.avg", Key("metric", "loss.avg")),
    ],
)
def test_summary_keys(text: str, key: Key) -> None:
    """A bare name may be a metric's or its summary's; quotes make it one of the two."""
    assert parse_filter(f"{text} < 1") == Comparison(key, "<", 1, True)


@pytest.mark.parametrize(
    ("text", "operand"),
    [
        ("'it''s'", "it's"),
        ("'a\\'", "a\\"),
        ('"double"', "double"),
        ("'%_'", "%_"),
        ("''", ""),
    ],
)
def test_text_operands(text: str, operand: str) -> None:
    """Text stands in single or double quotes; a quote in it is doubled, a backslash is itself."""
    assert parse_filter(f"params.a = {text}") == Comparison(Key("param", "a"), "=", operand)


@pytest.mark.parametrize(
    ("text", "operand"),
    [("5", 5), ("-5.5e-3", -0.0055), (".5", 0.5), ("+1", 1), ("5.", 5.0), ("-Infinity", -math.inf)],
)
def test_number_operands(text: str, operand: float) -> None:
    """Numbers stand without quotes."""
    found = parse_filter(f"metrics.a>={text}")
    assert found == Comparison(Key("metric", "a"), ">=", operand, True)


def test_lists() -> None:
    """IN and NOT IN take a list, also as Python writes a tuple of one."""
    key = Key("attribute", "run_id")
    assert parse_filter("run_id in ('a', \"b\")") == Comparison(key, "IN", ("a", "b"))
    assert parse_filter("run_id NOT IN ('a',)") == Comparison(key, "NOT IN", ("a",))
    assert parse_filter("params.x IN (1, 2.5)") == Comparison(
        Key("param", "x"), "IN", (1, 2.5), True
    )


def test_precedence() -> None:
    """NOT binds before AND, AND before OR; parentheses before all; words in any case."""
    a, b, c = (Comparison(Key("param", name), "IS NULL") for name in "abc")
    texts = [f"params.{name} is null" for name in "abc"]
    assert parse_filter("{} or {} AND not {}".format(*texts)) == Or((a, And((b, Not(c)))))
    assert parse_filter("({} OR {}) and NOT ({})".format(*texts)) == And((Or((a, b)), Not(c)))
    assert parse_filter(f"NOT NOT {texts[0]}") == a


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_asked(text: str) -> None:
    """An empty filter matches every run."""
    assert parse_filter(text) == And()
    assert matching(text)


@pytest.mark.parametrize(
    "moment",
    [
        "'2026-01-31T08:15:30.125Z'",
        "'2026-01-31 09:15:30.125999+01:00'",
        "1769847330125",
        "'2026-01-31T08:15:30,125'",
    ],
)
def test_times(moment: str) -> None:
    """Times are milliseconds or ISO 8601, UTC where nothing else is said."""
    assert parse_filter(f"start_time = {moment}") == Comparison(
        Key("attribute", "start_time"), "=", 1_769_847_330_125, True
    )


def test_dates() -> None:
    """A date is its first instant."""
    assert matching("created > '2026-01-31' and created < '2026-01-31T08:16'")
    assert not matching("end_time < '2026-01-31'")


def _shown(found: Filter, depth: int = 0) -> str:
    """The text of a filter, for reading it again."""
    if isinstance(found, (And, Or)):
        word = " AND " if isinstance(found, And) else " OR "
        return "(" + word.join(map(_shown, found.terms)) + ")" if found.terms else ""
    if isinstance(found, Not):
        return f"NOT ({_shown(found.term)})"
    operand = found.operand
    if isinstance(operand, tuple):
        shown = f" ({', '.join(map(_value, operand))})"
    else:
        shown = "" if operand is None else f" {_value(operand)}"
    return f"{_key(found.key)} {found.operator}{shown}"


def _key(key: Key) -> str:
    if key.otherwise is not None:
        return f"metrics.{key.name}"
    quoted = '"' + key.name.replace('"', '""') + '"'
    summary = f".{key.summary}" if key.entity == "metric" else ""
    return f"{key.entity}s.{quoted}{summary}"


def _value(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _plain(found: Any) -> Any:
    """A filter without the ways in which two texts may say the same."""
    if isinstance(found, (And, Or)):
        return type(found)(tuple(map(_plain, found.terms)))
    if isinstance(found, Not):
        return _plain(found.term.term) if isinstance(found.term, Not) else Not(_plain(found.term))
    return repr(found)


@given(searches.filters)
def test_reading_what_is_written(found: Filter) -> None:
    """A filter that is written down is read as the same filter."""
    assert _plain(parse_filter(_shown(found))) == _plain(found)


# -- what it refuses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrcis.a > 1", "column 1: unknown 'metrcis'; did you mean 'metrics'?"),
        ("params.a = 'b' AND startime > 1", "column 20: unknown 'startime'; did you mean"),
        ("loss > 1", "column 1: unknown 'loss'; the attributes of a run are run_id"),
        ("loss > 1", "for others write metrics.loss or params.loss"),
        ("metrics.`a`.mni > 1", "column 1: unknown 'mni'; did you mean 'min'?"),
        ("datasets.digset = 'a'", "column 1: unknown 'digset'; did you mean 'digest'?"),
        ("params.`a`.min = 'b'", "column 1: only a metric has summaries"),
        ("metrics.a", "column 10: expected an operator"),
        ("metrics.a >", "column 12: expected a number or a text in quotes, found the end"),
        ("metrics.a = 'b'", "column 13: metrics.a is a number; compare it with one"),
        ("tags.a = 5", "column 10: tags.a is a text; write '5', in quotes"),
        ("params.a > '5'", "column 12: > compares numbers; write the number without quotes"),
        ("metrics.a LIKE '5'", "column 11: LIKE compares texts"),
        ("params.a ILIKE 5", "column 10: ILIKE compares texts"),
        ("params.a == '5'", "column 10: there is no operator ==; write ="),
        ("params.a <> '5'", "column 10: there is no operator <>; write !="),
        ("params.a = b", "column 12: expected a number or a text in quotes, found 'b'"),
        ("params.a = 'b", "column 12: the quote ' is never closed"),
        ("params.`a = 'b'", "column 8: the quote ` is never closed"),
        ("params.a ! 'b'", "column 10: unexpected '!'"),
        ("(params.a = 'b'", "column 16: expected AND, OR or ')', found the end"),
        ("params.a = 'b')", "column 15: expected AND, OR or the end, found ')'"),
        ("params.a = 'b' params.c = 'd'", "column 16: expected AND, OR or the end"),
        ("params.a = 'b' AND", "column 19: expected a key such as metrics.loss"),
        ("params.a = 'b' AND OR", "column 20: expected a key such as metrics.loss"),
        ("5 > metrics.a", "column 1: expected a key such as metrics.loss"),
        ("params.a IN ('a', 5)", "column 13: the list mixes texts and numbers"),
        ("params.a IN ()", "column 14: expected a number or a text in quotes, found ')'"),
        ("params.a IN 'a'", "column 13: expected a list such as ('a', 'b')"),
        ("params.a IS 5", "column 13: expected NULL, found '5'"),
        ("params.a NOT LIKE 'b'", "column 10: expected an operator"),
        ("start_time > 'soon'", "column 14: 'soon' is no time; write milliseconds"),
        ("start_time > '2026-02-30'", "column 14: '2026-02-30' is no time"),
        ('params."a"b = 1', "column 1: 'params.\"a\"b' is no key"),
        ("params.a = '\0'", "filter 'params.a = '\\x00'' holds characters that are no text"),
    ],
)
def test_refused_filters(text: str, message: str) -> None:
    """What can't be understood is refused with its column and what may have been meant."""
    with pytest.raises(UsageError) as caught:
        parse_filter(text)
    assert message in str(caught.value)


def test_depth_is_bounded() -> None:
    """Parentheses may stand 50 deep; more is an error and no crash."""
    inner = "name = 'a'"
    parse_filter("(" * MAX_DEPTH + inner + ")" * MAX_DEPTH)
    with pytest.raises(UsageError, match=f"column {MAX_DEPTH + 1}: more than 50 parentheses"):
        parse_filter("(" * 100_000 + inner)


def test_length_is_bounded() -> None:
    """A filter may hold 1000 comparisons; more is an error that names IN."""
    parse_filter(" OR ".join(["name = 'a'"] * MAX_COMPARISONS))
    with pytest.raises(UsageError, match=r"write IN \(...\)"):
        parse_filter(" OR ".join(["name = 'a'"] * (MAX_COMPARISONS + 1)))


@given(st.text(st.sampled_from("ab.'`\"()=!<>5, %\0\ud800") | st.characters(), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever is written, the answer is a filter or a UsageError of one line."""
    try:
        problem = str(parse_filter(text) and "")
    except UsageError as error:
        problem = str(error)
    assert "\n" not in problem


# -- what a run answers --------------------------------------------------------------------


@pytest.mark.parametrize(("text", "expected"), searches.ANSWERS)
def test_answers(text: str, expected: bool) -> None:
    """Every kind of comparison, asked of one run."""
    assert matching(text) is expected


@pytest.mark.parametrize("key", ["end_time", "duration", "description", "parent_run_id"])
def test_missing_attributes(key: str) -> None:
    """An attribute that a run has not is NULL, and different from nothing."""
    run = replace(RUN, end_time=None, description=None, parent_run=None)
    different = "!= 1" if key in ("end_time", "duration") else "!= 'a'"
    assert matching(f"{key} IS NULL", run)
    assert not matching(f"{key} {different}", run)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a%c", "abc", True),
        ("a%c", "ac", True),
        ("a%c", "acb", False),
        ("%", "", True),
        ("", "", True),
        ("", "a", False),
        ("_", "", False),
        ("_", "\n", True),
        ("%b%", "a\nb\nc", True),
        ("a%a", "a", False),
        ("%ab%ab", "ab", False),
        ("%ab%ab", "abab", True),
        ("a.c", "abc", False),
        ("[a]", "a", False),
        ("%\\", "C:\\", True),
    ],
)
def test_patterns(pattern: str, text: str, expected: bool) -> None:
    """% is any text, _ one character, and everything else is itself."""
    assert like(pattern, text) is expected


def test_case_of_patterns() -> None:
    """ILIKE knows the case of all letters, LIKE keeps them apart."""
    assert ilike("ÄRGER%", "ärgerlich")
    assert not like("Ärger", "ärger")


def test_no_pattern_is_slow() -> None:
    """A pattern that would take a backtracking search for ever is answered."""
    assert not like("%a" * 40 + "%b", "a" * 5000)


@given(st.text(st.sampled_from("ab%_"), max_size=6), st.text(st.sampled_from("ab\n"), max_size=8))
def test_patterns_as_a_search_tree_finds_them(pattern: str, text: str) -> None:
    """The answer is that of trying every way."""

    def tried(rest: str, left: str) -> bool:
        if not rest:
            return not left
        if rest[0] == "%":
            return any(tried(rest[1:], left[at:]) for at in range(len(left) + 1))
        return bool(left) and rest[0] in ("_", left[0]) and tried(rest[1:], left[1:])

    assert like(pattern, text) == tried(pattern, text)


# -- orders --------------------------------------------------------------------------------


def test_orders() -> None:
    """An order is a key and a direction, ascending if none is given; clauses and commas both do."""
    loss, name = Key("metric", "loss"), Key("attribute", "run_name")
    assert parse_order(["metrics.loss DESC", "name"]) == (Order(loss, True), Order(name))
    assert parse_order("metrics.`loss` desc, name asc") == (Order(loss, True), Order(name))
    assert parse_order(()) == parse_order([]) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics.loss up", "order_by, column 14: expected ASC, DESC, ',' or the end, found 'up'"),
        ("metrics.loss DESC ASC", "column 19: expected ASC, DESC, ',' or the end"),
        ("datasets.name", "column 1: a run may have several datasets"),
        ("losss", "column 1: unknown 'losss'"),
        ("", "column 1: expected a key"),
        ("name,", "column 6: expected a key"),
    ],
)
def test_refused_orders(text: str, message: str) -> None:
    """Errors in orders point at the column too."""
    with pytest.raises(UsageError) as caught:
        parse_order([text])
    assert message in str(caught.value)


def _sorted(order: str, runs: list[RunRecord]) -> list[str]:
    terms = parse_order(order)

    def place(run: RunRecord) -> Any:
        known = facts(run)
        return rank(terms, order_values(terms, known), known.tie)

    return [run.name for run in sorted(runs, key=place)]


def _run(name: str, loss: float | None = None, start: int = 0, **more: Any) -> RunRecord:
    metrics = {} if loss is None else {"loss": MetricSummary(loss, 0, loss, loss, 1)}
    run_id = name.encode().hex().ljust(32, "0")
    return RunRecord(run_id, name, "e", "e", "FINISHED", start, metrics=metrics, **more)


def test_order_of_metrics() -> None:
    """NaN comes after the numbers and runs without the metric last, in both directions."""
    runs = [_run("none"), _run("nan", math.nan), _run("two", 2), _run("inf", math.inf)]
    assert _sorted("metrics.loss", runs) == ["two", "inf", "nan", "none"]
    assert _sorted("metrics.loss DESC", runs) == ["inf", "two", "nan", "none"]


def test_order_of_params() -> None:
    """Params that are numbers are ordered as numbers, before those that are text."""
    runs = [
        _run(str(value), params={} if value == "none" else {"x": value})
        for value in ("none", "b", "a", 10, 9, "8.5", True)
    ]
    assert _sorted("params.x", runs) == ["8.5", "9", "10", "True", "a", "b", "none"]
    assert _sorted("params.x DESC", runs) == ["10", "9", "8.5", "b", "a", "True", "none"]


def test_order_of_equals() -> None:
    """What is equal comes newest first, then by run id."""
    runs = [_run("old", 1, 1), _run("b", 1, 2), _run("a", 1, 2)]
    assert _sorted("metrics.loss", runs) == _sorted("metrics.loss DESC", runs) == ["a", "b", "old"]


# -- system tags ---------------------------------------------------------------------------


def test_system_tags() -> None:
    """MLflow's tags follow from the record; those that say nothing are not there."""
    assert system_tags(RUN) == {
        "mlflow.user": "ada",
        "mlflow.runName": "calm-otter-407",
        "mlflow.note.content": "The first try",
        "mlflow.parentRunId": RUN.parent_run,
        "mlflow.source.name": "train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": RUN.code.commit,
        "mlflow.source.git.branch": "main",
    }


def test_own_tags_win() -> None:
    """What a person set or deleted wins over MLflow's own tag."""
    run = replace(RUN, tags={"mlflow.user": "grace", "mlflow.source.name": None, "a": "b"})
    tags = all_tags(run)
    assert (tags["mlflow.user"], tags["a"], tags.get("mlflow.source.name")) == ("grace", "b", None)


@given(searches.runs)
def test_a_search_sees_the_tags_that_people_see(run: RunRecord) -> None:
    """Facts and entities have the same tags."""
    known = facts(run)
    assert {key: known.tag(key) for key in searches.TAGS if known.tag(key) is not None} == {
        key: value for key, value in all_tags(run).items() if key in searches.TAGS
    }
