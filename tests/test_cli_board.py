"""The board of a sweep: what a terminal, and a log, show of it."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from gitml.cli.board import drawn, said
from gitml.projects.sweeps.plan import Plan
from gitml.projects.sweeps.trials import DONE, FAILED, RUNNING, STOPPED, Board, Trial
from gitml.projects.task import Request
from tests.cli import HOSTILE, UNSAFE

IDS = [f"{number:032x}" for number in range(40)]


def board(*trials: Trial, goal: str = "maximize") -> Board:
    """A sweep with these trials."""
    return Board(IDS[-1], "calm-owl", Plan(Request(), "auc", goal, "tpe", 20), {}, trials)


def done(number: int, value: float) -> Trial:
    """A trial with a value."""
    return Trial(number, {"lr": str(number / 10)}, DONE, IDS[number], value, seconds=1.5)


def test_the_best_comes_first_then_what_goes_on_then_the_newest() -> None:
    """As many as the terminal has lines for."""
    ended = [done(number, number % 7) for number in range(12)]
    lines = drawn(board(*ended, Trial(12, {"lr": "1"}, RUNNING, IDS[12])), 80, 6)
    texts = [line.plain for line in lines]
    assert texts[0] == "calm-owl  12 of 20 ended, 1 running, best auc 6"
    assert texts[1].split() == ["#", "RUN", "STATE", "auc", "lr", "TOOK"]
    assert [text.split()[0] for text in texts[2:]] == ["6", "12", "11", "10", "9"]
    assert "best" in texts[2]
    assert "running" in texts[3]


@pytest.mark.parametrize(("goal", "best"), [("maximize", 1), ("minimize", 0)])
def test_the_goal_says_which_is_best(goal: str, best: int) -> None:
    """Of equal ones it is the first; one that was stopped or failed is none."""
    trials = [done(0, 1), done(1, 3), done(2, 3), done(3, 1)]
    others = [Trial(4, {}, STOPPED, IDS[4], 9), Trial(5, {}, FAILED, reason="why")]
    assert board(*trials, *others, goal=goal).best == trials[best]
    assert board(*others).best is None


def test_a_narrow_terminal_loses_columns_not_lines() -> None:
    """Of parameters first."""
    lines = drawn(board(done(0, 0.5)), 40, 9)
    assert len(lines) == 3
    assert all(cell_len(line.plain) <= 40 for line in lines[1:])


def test_a_line_for_each_end() -> None:
    """What it came to, and whether it is the best so far."""
    first, failed = done(0, 0.5), Trial(1, {"lr": "9"}, FAILED, IDS[1], reason="main ended")
    known = board(first, failed)
    assert said(first, known) == "2 of 20  00000000  lr=0.0  auc 0.5  best so far"
    assert said(failed, known) == "2 of 20  00000001  lr=9  failed: main ended"


def test_what_acts_on_a_terminal_is_harmless() -> None:
    """Names and values are anybody's."""
    trial = Trial(0, {HOSTILE: HOSTILE}, DONE, IDS[0], 1)
    for line in drawn(board(trial), 200, 9):
        assert UNSAFE.search(line.plain) is None
