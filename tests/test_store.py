"""Experiments that several writers ask for at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from gitml import git
from gitml.errors import UsageError
from gitml.tracking import store
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.place import place_of

WRITERS = 6


def test_writers_that_need_a_new_experiment_at_once_all_get_it(repo: Path) -> None:
    """The first one creates it, and the others use what it has created."""
    place, ready = place_of(git.find(repo)), Barrier(WRITERS)

    def ensure(_: int) -> ExperimentRecord:
        ready.wait()
        return store.ensure_experiment(place, "churn")

    with ThreadPoolExecutor(WRITERS) as pool:
        found = list(pool.map(ensure, range(WRITERS)))

    assert len(set(map(str, found))) == 1
    assert [item.name for item in store.experiments(place)] == ["churn"]


def test_of_writers_that_create_an_experiment_at_once_one_succeeds(repo: Path) -> None:
    """The others learn that it exists already."""
    place, ready = place_of(git.find(repo)), Barrier(WRITERS)

    def create(_: int) -> str:
        ready.wait()
        try:
            store.create_experiment(place, "churn")
        except UsageError as error:
            return str(error)
        return "created"

    with ThreadPoolExecutor(WRITERS) as pool:
        said = sorted(pool.map(create, range(WRITERS)))

    assert said == ["created", *["the experiment 'churn' exists already"] * (WRITERS - 1)]


def test_an_experiment_that_is_deleted_is_not_made_again(repo: Path) -> None:
    """Whoever asks for it is told that it can be restored."""
    place = place_of(git.find(repo))
    made = store.ensure_experiment(place, "churn")
    store.change_experiment(place, made.id, lambda item: item.set("deleted", True, "me"))
    with pytest.raises(UsageError, match="'churn' is deleted; restore it"):
        store.ensure_experiment(place, "churn")
