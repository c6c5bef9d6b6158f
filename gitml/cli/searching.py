"""The options that choose runs, the same for every command that takes a set of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import click

from gitml.cli import completing
from gitml.documents import near_miss
from gitml.errors import UsageError, shown
from gitml.tracking import recording, store
from gitml.tracking.index import ACTIVE, ALL, DELETED
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.search.expressions import METRIC, PARAM, TAG, Key, keys_of
from gitml.tracking.search.syntax import parse_filter, parse_order


class Found(NamedTuple):
    """A run that was found: its record, and its run commit, None of a live run."""

    record: RunRecord
    commit: str | None


class Answer(NamedTuple):
    """The runs that were found, how many there are in all, and what could not be read."""

    runs: list[Found]
    total: int
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Query:
    """What a person asked for."""

    filter: str = ""
    order_by: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    view: str = ACTIVE
    limit: int | None = None

    def search(self, place: Place, limit: int | None = None) -> Answer:
        """Ask it; at most `limit` runs where the person gave no limit."""
        live, ids = recording.live_records(place), self._experiment_ids(place)
        most = limit if self.limit is None else self.limit or None
        book = store.index(place)
        rows = book.search(
            self.filter, self.order_by, experiment_ids=ids, view=self.view, limit=most, live=live
        )
        found = [Found(record, row.commit) for row, record in book.read(rows)]
        total = len(found)
        if total == most:
            total = book.count(self.filter, experiment_ids=ids, view=self.view, live=live)
        missing = self._missing(place, (it.key for it in parse_order(self.order_by)), live)
        problems = [f"--order-by has no effect: {missing}"] if missing else []
        return Answer(found, total, [*problems, *book.problems()])

    def unknown(self, place: Place) -> str:
        """Which key of the filter no run has, as words for a message; empty without such a key."""
        live = recording.live_records(place)
        missing = self._missing(place, keys_of(parse_filter(self.filter)), live)
        return missing and f"; {missing}"

    def _missing(self, place: Place, keys: Iterable[Key], live: Sequence[RunRecord]) -> str:
        """Which of these keys no run has, in words; empty when each is some run's."""
        book = store.index(place)
        lists = {METRIC: book.metric_keys, PARAM: book.param_keys, TAG: book.tag_keys}
        going_on = {
            METRIC: (key for run in live for key in run.metrics),
            PARAM: (key for run in live for key in run.params),
            TAG: (key for run in live for key in run.live_tags),
        }
        for key in keys:
            if key.entity in lists and not key.name.startswith("mlflow."):
                names = [*lists[key.entity](), *going_on[key.entity]]
                other = key.otherwise.name if key.otherwise else None
                if not {key.name, other} & {*names}:
                    hint = near_miss(key.name, names)
                    return f"no run has a {key.entity} {shown(key.name)}{hint}"
        return ""

    def _experiment_ids(self, place: Place) -> list[str] | None:
        if not self.experiments:
            return None
        return [_experiment_id(place, name) for name in self.experiments]


def _experiment_id(place: Place, name: str) -> str:
    known = store.find_experiment(place, name=name)
    if known is None:
        names = [item.name for item in store.experiments(place)]
        raise UsageError(f"there is no experiment {shown(name)}{near_miss(name, names)}")
    return known.id


_OPTIONS = (
    click.option("-f", "--filter", default="", metavar="TEXT",
                 help="Only runs that match: \"metrics.auc > 0.9 AND params.model = 'mlp'\"."),
    click.option("-o", "--order-by", multiple=True, metavar="TEXT",
                 help='Such as "metrics.auc DESC"; may be given several times.'),
    click.option("-e", "--experiment", "experiments", multiple=True, metavar="NAME",
                 shell_complete=completing.EXPERIMENT,
                 help="Only runs of this experiment; may be given several times."),
    click.option("-a", "--all", "view", flag_value=ALL, help="Deleted runs too."),
    click.option("--deleted", "view", flag_value=DELETED, help="Only deleted runs."),
    click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N",
                 help="At most so many runs; 0 for all."),
)  # fmt: skip


def search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a search; it gets them as one `query`."""

    @functools.wraps(function)
    def with_query(
        filter: str,
        order_by: tuple[str, ...],
        experiments: tuple[str, ...],
        view: str | None,
        limit: int | None,
        **others: Any,
    ) -> Any:
        query = Query(filter, order_by, experiments, view or ACTIVE, limit)
        return function(query=query, **others)

    for option in reversed(_OPTIONS):
        with_query = option(with_query)
    return with_query
