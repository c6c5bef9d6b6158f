"""The study of a sweep: what Optuna is told, and that it goes on as if it had not been stopped."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gitml.documents import problems
from gitml.errors import UsageError
from gitml.projects.image import Wish
from gitml.projects.sweeps import document, plan, space
from gitml.projects.sweeps.plan import Plan
from gitml.projects.sweeps.study import Study
from gitml.projects.sweeps.trials import DONE, FAILED, STOPPED, Board, Trial
from gitml.projects.task import Request
from tests.conftest import framework

framework("optuna")

SPACE = {
    "x": space.parse("x", "1e-4..1:log"),
    "n": space.parse("n", "1..9:2"),
    "step": space.parse("step", "0.1..0.9:0.2"),
    "model": space.parse("model", "a,b"),
    "same": space.parse("same", "5"),
}


def made(sampler: str, goal: str = "minimize", runs: int = 20) -> Plan:
    """A plan for the space."""
    return plan.make(Request(), SPACE, metric="loss", goal=goal, sampler=sampler, max_runs=runs)


def ended(number: int, params: dict[str, str]) -> Trial:
    """What comes of a trial: it depends on its parameters alone."""
    if number % 7 == 3:
        return Trial(number, params, FAILED)
    value = abs(float(params["x"]) - 0.01) + int(params["n"])
    return Trial(number, params, DONE, value=value)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_study_that_is_made_anew_draws_the_same_points(sampler: str) -> None:
    """As the one that saw the trials itself, also beyond those that tpe draws by chance."""
    whole = Study(made(sampler), SPACE)
    trials = []
    for number in range(20):
        trials.append(ended(number, whole.ask(number)))
        whole.tell(trials[-1])
    anew = Study(made(sampler), SPACE)
    for trial in trials[:15]:
        anew.recall(trial)
    for trial in trials[15:]:
        assert anew.ask(trial.number) == trial.params
        anew.tell(trial)


def test_points_are_of_the_space() -> None:
    """Every sampler's, as the program gets them."""
    for sampler in ("random", "tpe"):
        study = Study(made(sampler), SPACE)
        for number in range(12):
            point = study.ask(number)
            study.tell(ended(number, point))
            assert point.keys() == {"x", "n", "step", "model"}
            assert 1e-4 <= float(point["x"]) <= 1
            assert point["n"] in ("1", "3", "5", "7", "9")
            assert point["step"] in ("0.1", "0.3", "0.5", "0.7", "0.9")
            assert point["model"] in ("a", "b")


def test_a_trial_that_was_interrupted_has_its_point_again() -> None:
    """The point that is given, not another one."""
    study = Study(made("tpe"), SPACE)
    first = study.ask(0)
    again = Study(made("tpe"), SPACE)
    assert again.ask(0, first) == first


def test_a_trial_is_hopeless_beside_the_median_of_the_others() -> None:
    """Of five at least, at the same step, by the goal; those that were recalled count."""
    for goal, bad in (("minimize", 9.0), ("maximize", -9.0)):
        study = Study(made("random", goal), SPACE)
        for number in range(5):
            trial = ended(number, study.ask(number))
            value = float(number)
            study.tell(replace(trial, state=DONE, value=value, points=[(1, value), (2, value)]))
        study.ask(5)
        assert not study.is_hopeless(5, [])
        assert not study.is_hopeless(5, [(1, 2.0)])
        assert study.is_hopeless(5, [(1, 2.0), (2, bad)]) is False  # its best counts
        params = study.ask(6)
        assert study.is_hopeless(6, [(1, bad)])
        assert study.is_hopeless(6, [(1, bad)])
        study.tell(Trial(6, params, STOPPED, points=[(1, bad)]))


def test_the_importance_is_told_where_it_can_be() -> None:
    """The parameter that decides comes first; of one trial, or of equal ones, nothing is known."""
    study = Study(made("random"), SPACE)
    assert study.importance() == {}
    for number in range(20):
        study.tell(ended(number, study.ask(number)))
    found = study.importance()
    assert next(iter(found)) == "n"
    assert sum(found.values()) == pytest.approx(1)
    same = Study(made("random"), SPACE)
    for number in range(5):
        same.tell(replace(ended(number, same.ask(number)), state=DONE, value=1.0))
    assert same.importance() == {}


def test_what_is_left_open_follows_from_the_space() -> None:
    """A grid where the values can be counted and all are to be run, else tpe with 20 runs."""
    small = {"x": space.parse("x", "1,2,3")}
    open_ = {"x": space.parse("x", "0.1..1")}
    for searched, runs, sampler, count in (
        (small, None, "grid", 3),
        (small, 9, "grid", 3),
        (small, 2, "tpe", 2),
        (open_, None, "tpe", 20),
    ):
        found = plan.make(Request(), searched, metric="metrics.a", goal="minimize", max_runs=runs)
        assert (found.sampler, found.runs, found.metric) == (sampler, count, "a")
    with pytest.raises(UsageError, match="there is no goal 'more'"):
        plan.make(Request(), small, metric="a", goal="more")
    assert plan.changed(found, open_, 30, 4).runs == 30


def test_what_is_said_of_the_image_is_kept() -> None:
    """By the file from which a sweep goes on, and by its command line."""
    request = Request(parameters={"x": "1,2"}, backend="docker", image=Wish(as_it_is=True))
    asked = Plan(request, "m", "maximize", "grid", 2)
    kept = document.write(Board("0" * 32, "a", asked, {}, ()), {}, "")
    assert problems(json.loads(kept), "sweep") == []
    assert document.read(kept, {}) == (asked, [])
    assert "--skip-image-build" in asked.command()
