"""A repository that was copied with a run in it: both copies hold one run, with each call once."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from gitml.tracking import recording
from tests import invariants, trainings
from tests.clones import LEDGER, Clone, team
from tests.conftest import run_git


def test_a_repository_that_was_copied_in_the_middle_of_a_run(tmp_path: Path, bare: Path) -> None:
    """Both copies recover the run, and say the same: it is one run with each call once."""
    (ann,) = team(tmp_path, bare, "ann")
    script = trainings.write(
        tmp_path,
        """
with mlflow.start_run(run_name="copied") as run:
    for step in range(10):
        metric("loss", step, step)
    text("note.txt", "kept")
    os._exit(9)
""",
    )
    outcome = trainings.run(script, cwd=ann.folder)
    assert outcome.code == 9
    bob = Clone(shutil.copytree(ann.folder, tmp_path / "bob"))
    for one in (ann, bob):
        assert [found.problem for found in recording.recover(one.place)] == [None]
    ann.push()
    bob.push()
    ann.pull()
    for one in (ann, bob):
        runs = invariants.stored(one.folder)
        invariants.check_acknowledged(runs, outcome.acknowledged, in_flight=0)
        (run,) = runs.values()
        assert set(Counter(run.points).values()) == {1}
    assert run_git(bare, "rev-parse", LEDGER) == ann.git("rev-parse", LEDGER)
