"""One run id, made by two processes that know nothing of each other.

Ids hold 74 random bits, but machines that go on from one image, and repositories that were copied
with a run in them, can have the same one: then the run holds what both said.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from gitml.tracking import recording
from tests import invariants, trainings
from tests.clones import LEDGER, Clone, team
from tests.conftest import run_git
from tests.test_concurrency import together

SAME = """
import glob

from gitml.tracking import names

made = names.new_run_id
chosen = iter(["018bcfe5680070008000000000000000"])
names.new_run_id = lambda: next(chosen, None) or made()
while not os.path.exists(sys.argv[3]):
    time.sleep(0.001)
who = f"{os.path.basename(os.getcwd())}-{os.getpid()}"
with mlflow.start_run(run_name=who) as run:
    me = run.info.run_id
    open(sys.argv[1] + who, "w").close()  # at one moment all are live
    while len(glob.glob(sys.argv[1] + "*")) < int(sys.argv[2]):
        time.sleep(0.001)
    for step in range(10):
        metric(f"loss-{who}", step, step, me)
        metric("loss", step + os.getpid(), step, me)
    param(f"p-{who}", who, me)
    text(f"{who}.txt", who, me)
    text(f"{who}/model.bin", who * 60_000, me)
said(run=me, ended="FINISHED")
"""


def live(folder: Path, count: int) -> tuple[str, str]:
    """What tells each of so many processes that all of them have started their runs."""
    return f"{folder}/live-", str(count)


@pytest.fixture
def pair(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two clones that share a git remote and a DVC remote."""
    one, two = team(tmp_path, bare, "ann", "bob", dvc=True)
    return one, two


def test_two_machines_that_make_one_id_lose_nothing(
    pair: tuple[Clone, Clone], bare: Path, tmp_path: Path
) -> None:
    """Each records it alone; when they meet, the run holds what both logged, on either side."""
    script = trainings.write(tmp_path, SAME)
    folders = [one.folder for one in pair]
    outcomes = together(script, folders, *live(tmp_path, 2), signal=tmp_path / "go")
    said = [call for outcome in outcomes for call in outcome.acknowledged]
    assert len({call["run"] for call in said}) == 1
    ann, bob = pair
    ann.push()
    assert bob.push().merged
    ann.pull()
    for one in pair:
        one.pull(artifacts=True)
        runs = invariants.stored(one.folder)
        invariants.check_acknowledged(runs, said, in_flight=0)
        invariants.check_sound(one.folder)
    assert ann.git("rev-parse", LEDGER) == bob.git("rev-parse", LEDGER)
    invariants.check_sound(bare)


@pytest.mark.parametrize("attempt", range(3))
def test_two_processes_in_one_repository_never_share_a_new_id(
    repo: Path, tmp_path: Path, attempt: int
) -> None:
    """Whoever comes second makes another."""
    script = trainings.write(tmp_path, SAME)
    before = invariants.UserState.of(repo)
    outcomes = together(script, [repo] * 3, *live(tmp_path, 3), signal=tmp_path / "go")
    said = [call for outcome in outcomes for call in outcome.acknowledged]
    runs = invariants.check(repo, said, before, in_flight=0)
    assert len(runs) == 3


def test_a_repository_that_was_copied_in_the_middle_of_a_run(tmp_path: Path, bare: Path) -> None:
    """Both copies recover the run, and say the same: it is one run with each call once."""
    (ann,) = team(tmp_path, bare, "ann")
    script = trainings.write(
        tmp_path,
        """
with mlflow.start_run(run_name="copied") as run:
    for step in range(10):
        metric("loss", step, step, run.info.run_id)
    text("note.txt", "kept", run.info.run_id)
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
