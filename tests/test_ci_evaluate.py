"""CI scores what is proposed: on data that its author can't read, by a program that is not his."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import gitml
from gitml import walls
from gitml.ci import confirming, evaluating, needs
from gitml.ci.evaluating import Wish
from gitml.ci.needs import Need
from gitml.errors import FormatError, UsageError
from gitml.projects import EntryPointError
from gitml.registry import catalog, checking, vouching
from gitml.tracking import bundling, finishing, starting
from gitml.tracking.record import FAILED, FINISHED, KILLED, Dataset, RunRecord
from gitml.tracking.session import dataset_document, now_ms
from tests.actions.outputs import annotated
from tests.clones import Clone
from tests.evaluations import HOLDOUT, HONEST, Team, begin, pointer
from tests.projects import gitml as gitml_command
from tests.projects import write

ENTRY, DATA = "score", "data/holdout.csv"
FORGED = """\
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["number"].to_numpy() * 0
"""

HANGS = """\
import time

import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep(3600)
"""


# It answers with the labels where it can read them.
CHEATS = """\
import pathlib

import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        for path in pathlib.Path({secret!r}).rglob("*"):
            if path.is_file():
                lines = path.read_text().split()[1:]
                return [int(line.partition(",")[2]) for line in lines]
        return [0] * len(model_input)
"""


@pytest.fixture
def team(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A project whose policy asks for an evaluation."""
    made = begin(tmp_path, bare)
    monkeypatch.chdir(made.ada.folder)
    return made


def evaluate(job: Clone, version: str, **more: Any) -> RunRecord:
    """Evaluate a version in a job."""
    os.chdir(job.folder)
    gitml.set_tracking_uri("")
    wish = Wish(version, "HEAD", ENTRY, DATA, "local", **more)
    return evaluating.evaluate(job.place, wish, lambda line: None)


def claimed(job: Clone, *, status: str = FINISHED, digest: str = "", **tags: str) -> str:
    """Record a run as a job could that lies; its id."""
    named = {key.replace("_", "."): value for key, value in tags.items()}
    session, record = starting.start(job.place, starting.Wish(name="lie", tags=named))
    session.metric("accuracy", 0.999, 0, now_ms())
    session.dataset(dataset_document(Dataset(DATA, digest or md5_of(HOLDOUT))))
    finishing.finish(job.place, session, record, status)
    return record.run_id


def md5_of(text: str) -> str:
    """The digest by which DVC knows a text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def outcomes(team: Team, branch: str) -> dict[str, str]:
    """What the check says of each gate."""
    job = team.job(f"check-{len(list(team.bare.parent.iterdir()))}", branch=branch)
    job.git("fetch", "--quiet", "--depth=1", "origin", "main:base")
    (item,) = checking.check(job.place, "base", "HEAD").judged
    return {it.gate.split(":")[0]: it.outcome for it in item.verdicts}


def test_what_ci_measures_decides(team: Team, tmp_path: Path) -> None:
    """An honest version passes once CI has scored it; one that claims 0.999 and can't, does not."""
    for name, code, expected in (("honest", HONEST, "passed"), ("forged", FORGED, "failed")):
        version = team.version(code, 0.999)
        branch = team.propose(version)
        plan = team.job(f"plan-{name}", branch=branch)
        plan.git("fetch", "--quiet", "--depth=1", "origin", "main:base")
        need = Need(version, ENTRY, DATA)
        assert needs.needs(plan.place, "base") == [need]
        assert outcomes(team, branch)["evaluate score on data/holdout.csv"] == "unknown"
        job = team.job(f"score-{name}")
        run = evaluate(job, version)
        bundling.write(job.place, [run.run_id], tmp_path / name)
        sign = team.job(f"sign-{name}", key="ci")
        tag = confirming.confirm(sign.place, tmp_path / name, need, "HEAD")
        assert tag.endswith(run.run_id)
        assert outcomes(team, branch)["evaluate score on data/holdout.csv"] == expected
        assert needs.needs(plan.place, "base") == []


def digest_of(team: Team, version: str) -> str:
    """The digest in the tag of a version."""
    return catalog.read(team.ada.place.repo).version(*version.split("@")).note.digest


def test_only_the_run_that_was_asked_for_is_signed(team: Team, tmp_path: Path) -> None:
    """What a job leaves is a stranger's: a run about something else, or more than a run, is not."""
    version = team.version(HONEST)
    about = digest_of(team, version)
    good = {"gitml_evaluates": about, "mlflow_project_entryPoint": ENTRY}
    job, sign = team.job("score"), team.job("sign", key="ci")
    lies: dict[str, dict[str, Any]] = {
        "as its tag gitml.evaluates": {**good, "gitml_evaluates": "sha256:" + "0" * 64},
        "as its tag gitml.reproduces": {**good, "gitml_reproduces": "0" * 32},
        "as its tag mlflow.project.entryPoint": {**good, "mlflow_project_entryPoint": "other"},
        "was scored on other data": {**good, "digest": "0" * 32},
        "is FAILED": {**good, "status": FAILED},
    }
    need, file = Need(version, ENTRY, DATA), tmp_path / "bundle"
    for why, lie in lies.items():
        bundling.write(job.place, [claimed(job, **lie)], file)
        with pytest.raises(FormatError, match=why):
            confirming.confirm(sign.place, file, need, "HEAD")
    honest = claimed(job, **good)
    bundling.write(job.place, [honest, claimed(job, **good)], file)
    with pytest.raises(FormatError, match="the bundle has 2 runs"):
        confirming.confirm(sign.place, file, need, "HEAD")
    bundling.write(job.place, [honest], file)
    with pytest.raises(FormatError, match=r"as its tag gitml\.reproduces"):
        confirming.confirm(sign.place, file, Need(version), "HEAD")
    (job.folder / "score.py").write_text("import gitml\n")
    bundling.write(job.place, [claimed(job, **good)], file)
    with pytest.raises(FormatError, match="is not of the code of"):
        confirming.confirm(sign.place, file, need, "HEAD")
    run_id = catalog.read(team.ada.place.repo).version(*version.split("@")).note.run_id
    bundling.write(job.place, [claimed(job, gitml_reproduces=run_id)], file)
    with pytest.raises(FormatError, match=f"is not of the code of {version}"):
        confirming.confirm(sign.place, file, Need(version), "HEAD")
    entry = job.place.ledger.find(honest)
    assert entry is not None
    job.git("update-ref", f"{bundling.REFS}{honest}", entry.commit)
    job.git("bundle", "create", "--quiet", str(file), f"{bundling.REFS}{honest}", "main")
    with pytest.raises(FormatError, match="refs/heads/main"):
        confirming.confirm(sign.place, file, need, "HEAD")
    assert sign.git("for-each-ref", "refs/gitml", "refs/tags/gitml") == ""
    assert "lie" not in sign.records()
    assert sign.git("ls-remote", "origin", "refs/tags/gitml/*") == ""
    bundling.write(job.place, [honest], file)
    assert confirming.confirm(sign.place, file, need, "HEAD").endswith(honest)


def test_who_signs_is_ci_alone(team: Team, tmp_path: Path) -> None:
    """The author's own key, and a list of keys that he brings along, make no run one of CI's."""
    version = team.version(FORGED, 0.999)
    branch = team.propose(version)
    good = {"gitml_evaluates": digest_of(team, version), "mlflow_project_entryPoint": ENTRY}
    mine = team.job("mine", key="ada")
    vouching.vouch(mine.place, claimed(mine, **good), "origin")
    assert outcomes(team, branch)["evaluate score on data/holdout.csv"] == "unknown"
    ada = team.ada
    ada.git("fetch", "--quiet")
    ada.git("switch", "--quiet", branch)
    keys = (ada.folder / "registry/allowed_signers").read_text()
    write(ada.folder, {"registry/allowed_signers": keys.replace("ada@", "ci@"),
                       "registry.yaml": "schema: 1\n", "MLproject": "name: weaker\n"})  # fmt: skip
    ada.git("commit", "--quiet", "--all", "--message", "Weaker")
    ada.git("push", "--quiet", "origin", branch)
    assert outcomes(team, branch)["evaluate score on data/holdout.csv"] == "unknown"
    plan = team.job("plan", branch=branch)
    plan.git("fetch", "--quiet", "--depth=1", "origin", "main:base")
    assert needs.needs(plan.place, "base") == [Need(version, ENTRY, DATA)]


@pytest.mark.skipif(walls.lacking() is not None, reason=str(walls.lacking()))
def test_a_model_that_looks_for_the_labels_finds_none(team: Team, tmp_path: Path) -> None:
    """There is a wall unless it is asked to be left out, and what is scored are predictions."""
    version = team.version(CHEATS.format(secret=str(tmp_path / "secret")))
    job = team.job("score")
    assert evaluate(job, version).metrics["accuracy"].last == 0.5
    assert evaluate(job, version, is_walled=False).metrics["accuracy"].last == 1


def test_an_entry_point_that_does_not_end_is_stopped(team: Team) -> None:
    """A model that never answers gets no number, and leaves no process."""
    version = team.version(HANGS)
    job = team.job("score")
    with pytest.raises(EntryPointError, match="took longer than 8 s"):
        evaluate(job, version, timeout=8)
    (run,) = job.records().values()
    assert (run.status, dict(run.metrics)) == (KILLED, {})
    assert walled_processes() == []


def walled_processes() -> list[int]:
    """The processes of models that this one has started."""
    found = []
    for it in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended
            if "gitml.models.serving.walled" in it.cmdline():
                found.append(it.pid)
    return found


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"entry_point": "train"}, "no entry point"),
        ({"dataset": "data/other.csv"}, "has no pointer"),
        ({"dataset": "score.py"}, "has no pointer"),
        ({"dataset": "../secret"}, "is no path in the repository"),
        ({"base": "HEAD~9"}, "there is no commit"),
    ],
)
def test_what_the_base_does_not_have_is_not_run(team: Team, more: Any, why: str) -> None:
    """An entry point, data and a commit are those of the main branch."""
    version = team.version(HONEST)
    wish = replace(Wish(version, "HEAD", ENTRY, DATA, "local"), **more)
    with pytest.raises(UsageError, match=why):
        evaluating.evaluate(team.job("score").place, wish, lambda line: None)


def test_other_data_asks_for_another_evaluation(team: Team, tmp_path: Path) -> None:
    """What was measured before counts no longer: the holdout may have been known to somebody."""
    version = team.version(HONEST)
    branch = team.propose(version)
    good = {"gitml_evaluates": digest_of(team, version), "mlflow_project_entryPoint": ENTRY}
    sign = team.job("sign", key="ci")
    vouching.vouch(sign.place, claimed(sign, **good), "origin")
    gate = "evaluate score on data/holdout.csv"
    assert outcomes(team, branch)[gate] == "passed"
    write(team.ada.folder, {"data/holdout.csv.dvc": pointer(tmp_path, "number,label\n", "new.csv")})
    path = team.ada.folder / "data/holdout.csv.dvc"
    path.write_text(path.read_text().replace("new.csv", "holdout.csv"))
    team.ada.git("commit", "--quiet", "--all", "--message", "Another holdout")
    team.ada.git("push", "--quiet", "origin", "main")
    assert outcomes(team, branch)[gate] == "unknown"
    plan = team.job("plan", branch=branch)
    plan.git("fetch", "--quiet", "--depth=1", "origin", "main:base")
    assert needs.needs(plan.place, "base") == [Need(version, ENTRY, DATA)]


# It answers with a command for GitHub, which the program that scores it may well repeat.
COMMANDS = """\
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return ["::warning::forged"] * len(model_input)
"""


def test_what_a_model_answers_is_no_command_of_githubs(team: Team) -> None:
    """Neither where the entry point prints it, nor after that; ours are commands again."""
    score = (team.ada.folder / "score.py").read_text()
    score += 'print("\\n".join(["x\\r" + found[0], found[0], " ##[warning]forged"]), end="")\n'
    write(team.ada.folder, {"score.py": score})
    team.ada.git("commit", "--quiet", "--all", "--message", "Say what it answers")
    team.ada.git("push", "--quiet", "origin", "main")
    version = team.version(COMMANDS)
    job = team.job("evaluate")
    env = {**os.environ, "GITHUB_ACTIONS": "true"}
    options = ("--entry-point", ENTRY, "--dataset", DATA, "--env-manager", "local")
    done = gitml_command("ci", "evaluate", version, "--base", "HEAD", *options,
                         cwd=job.folder, env=env)  # fmt: skip
    said = done.stderr.decode()
    assert "\n::warning::forged" in said
    assert annotated(said) == []
    assert annotated(said + "\n::error::ours") == [("error", "ours")]
