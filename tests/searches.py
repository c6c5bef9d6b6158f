"""Random filters and orders, and runs that are alike enough for them to match, as strategies."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from gitml.tracking.record import Code, Dataset, MetricSummary, RunRecord, Source
from gitml.tracking.search.expressions import (
    NUMBER_ATTRIBUTES,
    SUMMARIES,
    TEXT_ATTRIBUTES,
    And,
    Comparison,
    Filter,
    Key,
    Not,
    Or,
    Order,
)
from gitml.tracking.system_tags import GIT_COMMIT, NOTE, PARENT_RUN_ID, SOURCE_TYPE, USER

METRICS = ("loss", "loss.min", "a b")
PARAMS = ("lr", "loss", "x`")
TAGS = ("team", USER, NOTE, PARENT_RUN_ID, SOURCE_TYPE, GIT_COMMIT, "mlflow.other")

NUMBERS = (-math.inf, -1.5, -0.0, 0, 1, 1.0, 2**53, 2**53 + 1, 1e-5, math.inf, math.nan)
TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "a'b",
    'q"',
    "%_",
    "ß",
    "5",
    "5.0",
    "1e-05",
    "nan",
    "True",
    "[]",
    "é\n",
)
TIMES = (0, 1, 1_767_225_600_000, 1_769_817_600_000)
IDS = tuple(f"{number:032x}" for number in range(8))

numbers = st.sampled_from(NUMBERS)
texts = st.sampled_from(TEXTS)
params = numbers | texts | st.sampled_from([5, 5.0, True, False, None, [], ["a"], 10**30, "1e400"])
summaries = st.builds(
    lambda last, low, high, step, count: MetricSummary(
        last, step, None if math.isnan(low) else low, None if math.isnan(high) else high, count
    ),
    *[numbers.map(float)] * 3,
    *[st.integers(0, 2)] * 2,
)
data = st.builds(Dataset, name=texts, digest=texts, context=st.none() | texts)


def _some(keys: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(keys), values, max_size=3)


runs = st.builds(
    RunRecord,
    run_id=st.sampled_from(IDS),
    name=texts,
    experiment=st.sampled_from(["churn", "fraud"]),
    experiment_id=st.sampled_from(["1", "2"]),
    status=st.sampled_from(["FINISHED", "FAILED"]),
    start_time=st.sampled_from(TIMES),
    end_time=st.none() | st.sampled_from(TIMES),
    user=texts,
    description=st.none() | texts,
    deleted=st.booleans(),
    parent_run=st.none() | st.sampled_from(IDS),
    params=_some(PARAMS, params),
    metrics=_some(METRICS, summaries),
    tags=_some(TAGS, st.none() | texts),
    datasets=st.lists(data, max_size=2).map(tuple),
    source=st.builds(Source, name=texts, type=texts),
    code=st.builds(Code, commit=st.none() | texts, branch=st.none() | texts, remote=st.none()),
)


@st.composite
def _metric_keys(draw: st.DrawFn) -> Key:
    name, summary = draw(st.sampled_from(METRICS)), draw(st.sampled_from(SUMMARIES))
    if " " in name or draw(st.booleans()):  # only a bare name may mean two things
        return Key("metric", name, summary)
    return Key("metric", f"{name}.{summary}", otherwise=Key("metric", name, summary))


_metrics = st.builds(Key, st.just("metric"), st.sampled_from(METRICS)) | _metric_keys()
_params = st.builds(Key, st.just("param"), st.sampled_from(PARAMS))
_tags = st.builds(Key, st.just("tag"), st.sampled_from(TAGS))
_text_attributes = st.builds(Key, st.just("attribute"), st.sampled_from(TEXT_ATTRIBUTES))
_number_attributes = st.builds(Key, st.just("attribute"), st.sampled_from(NUMBER_ATTRIBUTES))
_datasets = st.builds(Key, st.just("dataset"), st.sampled_from(["name", "digest", "context"]))

_operands = texts | st.sampled_from(["1", "churn", "FINISHED", IDS[0], f"runs:/{IDS[0]}"])
_patterns = st.text(st.sampled_from("aAbß%_5.\n"), max_size=4)


def _comparisons(
    keys: st.SearchStrategy[Key], operands: st.SearchStrategy[Any], operators: list[str]
) -> st.SearchStrategy[Comparison]:
    lists = st.lists(operands, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Comparison, keys, st.sampled_from(operators), operands),
        st.builds(Comparison, keys, st.sampled_from(["IN", "NOT IN"]), lists),
        st.builds(Comparison, keys, st.sampled_from(["IS NULL", "IS NOT NULL"])),
    ).map(_with_kind)


def _with_kind(found: Comparison) -> Comparison:
    sample = found.operand[0] if isinstance(found.operand, tuple) else found.operand
    numeric = sample is not None and not isinstance(sample, str)
    return Comparison(found.key, found.operator, found.operand, numeric)


_likes = st.builds(
    Comparison,
    _params | _tags | _text_attributes | _datasets,
    st.sampled_from(["LIKE", "ILIKE"]),
    _patterns,
)
_text_keys = _params | _tags | _text_attributes | _datasets
_number_keys = _metrics | _params | _number_attributes
comparisons = st.one_of(
    _comparisons(_text_keys, _operands, ["=", "!="]),
    _comparisons(_number_keys, numbers | st.sampled_from(TIMES), ["=", "!=", ">", ">=", "<", "<="]),
    _likes,
)
filters: st.SearchStrategy[Filter] = st.just(And()) | st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(And),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or),
        inner.map(Not),
    ),
    max_leaves=6,
)
orders = st.lists(
    st.builds(
        Order,
        _metrics | _params | _tags | _text_attributes | _number_attributes,
        st.booleans(),
    ),
    max_size=3,
).map(tuple)
