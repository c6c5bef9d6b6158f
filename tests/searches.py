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
    """The comparison as it is read: its kind, and a status in capitals."""
    operand = found.operand
    if found.key.name == "status" and found.key.entity == "attribute":
        if isinstance(operand, tuple):
            operand = tuple(map(str.upper, operand))
        else:
            operand = operand and operand.upper()
    sample = operand[0] if isinstance(operand, tuple) else operand
    numeric = sample is not None and not isinstance(sample, str)
    return Comparison(found.key, found.operator, operand, numeric)


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


# -- one run, and what it answers

RUN = RunRecord(
    run_id="0192f0aa" * 4,
    name="calm-otter-407",
    experiment="churn",
    experiment_id="churn",
    status="FINISHED",
    start_time=1_769_847_330_125,  # 2026-01-31T08:15:30.125Z
    end_time=1_769_847_331_125,
    user="ada",
    description="The first try",
    parent_run="0192f0bb" * 4,
    params={
        "lr": 0.001,
        "depth": 5,
        "model": "xgboost",
        "early": True,
        "text": "7",
        "rate": "1e3",
        "none": None,
    },
    metrics={
        "auc": MetricSummary(0.9, 4, 0.1, 0.95, 5),
        "loss": MetricSummary(0.3, 4, 0.2, 1.5, 5),
        "loss.min": MetricSummary(42.0, 0, 42.0, 42.0, 1),
        "lost": MetricSummary(math.nan, 4, None, None, 5),
        "val loss": MetricSummary(0.4, 4, 0.4, 0.4, 1),
    },
    tags={"team": "Blue", "gone": None, "mlflow.user": "grace"},
    datasets=(Dataset("train.csv", "abc", "training"), Dataset("test.csv", "def")),
    source=Source("train.py"),
    code=Code("4be1c0" * 6 + "abcd", None, "main"),
)

# Filters, and whether they match that run.
ANSWERS = [
    ("metrics.auc > 0.9", False),
    ("metrics.auc >= 0.9", True),
    ("metrics.auc.max > 0.94", True),
    ("metrics.auc.step = 4 and metrics.auc.count = 5 and metrics.auc.last = 0.9", True),
    ("metrics.loss.min = 42", True),
    ("metrics.loss.min = 0.2", False),
    ("metrics.`loss`.min = 0.2", True),
    ("metrics.`val loss` = 0.4 and metrics.`val loss`.min = 0.4", True),
    ("metrics.lost = NaN", True),
    ("metrics.lost != 1", True),
    ("metrics.lost > -Infinity or metrics.lost <= Infinity", False),
    ("metrics.`lost`.min = nan", True),
    ("metrics.auc IN (0.5, 0.9)", True),
    ("params.lr = '0.001'", True),
    ("params.lr = 0.001", True),
    ("params.lr < 1e-2", True),
    ("params.depth = '5'", True),
    ("params.depth = '5.0'", False),
    ("params.depth = 5.0", True),
    ("params.text > 6.5", True),
    ("params.rate > 999 and params.rate = 1000", True),
    ("params.rate = '1000.0' or params.rate != '1e3'", False),
    ("params.model > 1", False),
    ("params.model != 1", False),
    ("params.early = 'True'", True),
    ("params.early = 1", False),
    ("params.none = 'None'", True),
    ("params.model LIKE 'xg%'", True),
    ("params.model LIKE 'XG%'", False),
    ("params.model ILIKE 'XG_OOST'", True),
    ("params.missing != 'a'", False),
    ("params.missing NOT IN ('a')", False),
    ("NOT params.missing = 'a'", True),
    ("params.missing IS NULL and params.model IS NOT NULL", True),
    ("tags.team = 'Blue'", True),
    ("tags.gone IS NULL", True),
    ("tags.mlflow.user = 'grace' and user_id = 'ada'", True),
    ("tags.mlflow.runName = 'calm-otter-407'", True),
    ("tags.`mlflow.parentRunId` LIKE '0192f0bb%'", True),
    ("tags.mlflow.note.content ILIKE '%FIRST%'", True),
    ("tags.mlflow.source.name = 'train.py' and tags.mlflow.source.type = 'LOCAL'", True),
    ("tags.mlflow.source.git.branch = 'main'", True),
    ("tags.mlflow.source.git.repoURL IS NULL", True),
    ("datasets.name = 'test.csv' and datasets.name = 'train.csv'", True),
    ("datasets.name != 'test.csv'", True),
    ("NOT datasets.name = 'test.csv'", False),
    ("datasets.context IN ('training')", True),
    ("status = 'finished' and status IN ('failed', 'finished')", True),
    ("status LIKE 'finished'", False),
    ("duration = 1000", True),
    ("experiment = 'churn' and experiment_id = 'churn'", True),
    ("description LIKE 'The%' and parent_run_id IS NOT NULL", True),
    (f"artifact_uri = 'runs:/{RUN.run_id}'", True),
]
