"""What GitHub's workflows of gitml hold on to, whoever pushes, and whatever GitHub leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitml.registry import promoting
from tests import released
from tests.actions.errors import UnsupportedError
from tests.actions.runner import Environment
from tests.released import Team

WORKFLOWS = ".github/workflows"


@pytest.fixture
def team(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team with two versions, of which none is in a stage."""
    with released.standing(released.begun(tmp_path_factory), tmp_path / "team") as found:
        yield found


# -- who pushes ----------------------------------------------------------------------------


def test_a_forged_stage_tag_deploys_nothing(team: Team) -> None:
    """The job that it starts looks at the main branch, which says nothing of the kind."""
    team.ada.git("tag", "--annotate", "--message", "churn", "churn#production#1", "main")
    team.ada.git("push", "--quiet", "origin", "churn#production#1")
    (deploy,) = team.runner.settle()
    assert deploy.event.ref == "refs/tags/churn#production#1"
    assert deploy.results == {"plan": "success", "deploy": "skipped"}, deploy.log
    assert team.served is None


def test_a_version_that_was_moved_is_not_deployed(team: Team) -> None:
    """What was reviewed is served on; the jobs fail, and say what is wrong."""
    team.decide("v1.0.0")
    team.runner.settle()
    team.decide("v2.0.0")
    team.ada.git(
        "tag", "--force", "--annotate", "--message", "x", "churn@v2.0.0", "churn@v1.0.0^{}"
    )
    team.ada.git("push", "--quiet", "--force", "origin", "churn@v2.0.0")
    (sync,) = team.runner.settle()
    assert sync.results["sync"] == "failure"
    assert "churn@v2.0.0" in sync.log
    assert (team.tags(), team.served) == (["churn#production#1"], "v1.0.0")


def test_a_fork_gets_neither_secrets_nor_a_right_to_write(team: Team, tmp_path: Path) -> None:
    """Its report is in the job's summary; a workflow that it brings along can do no more."""
    team.runner.secrets["DVC_KEY"] = "canary-of-secrets"
    mallory = team.hub.clone(tmp_path / "mallory")
    mallory.git("fetch", "--quiet", "origin", "refs/tags/*:refs/tags/*")
    promoting.promote(mallory.place, "churn", "production", "v1.0.0")
    mallory.git("fetch", "--quiet", "origin")
    mallory.git("checkout", "--quiet", "origin/promote/churn/production/v1.0.0")
    (mallory.folder / WORKFLOWS / "evil.yml").write_text(EVIL, "utf-8")
    mallory.git("add", ".")
    mallory.git("commit", "--quiet", "--message", "A better model")
    team.hub.take()
    number = team.hub.propose_from_fork(mallory, "A better model").number
    evil, check = team.runner.settle()
    assert check.results == {"check": "success", "comment": "skipped"}, check.log
    assert "All gates are passed" in check.jobs["check"].summary
    assert evil.result == "failure"
    assert "<>" in evil.log
    assert "canary-of-secrets" not in check.log + evil.log
    assert team.hub.pull(number).comments == []
    assert (team.tags("evil"), team.tags(), team.served) == ([], [], None)


EVIL = """\
on: pull_request
permissions: {contents: write, pull-requests: write}
jobs:
  evil:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - env: {KEY: '${{ secrets.DVC_KEY }}'}
        run: |
          echo "<$KEY>"
          git tag evil && git push origin evil
"""


BY_TAG = """\
on: {push: {tags: ['**']}}
permissions: {}
jobs:
  evil:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - env: {KEY: '${{ secrets.KEY }}'}
        run: echo "<$KEY>" | rev
"""


def test_a_tag_of_anybodys_does_not_get_what_an_environment_has(team: Team) -> None:
    """With a rule for `main` alone, as the tutorial has it, a version is deployed all the same.

    Were tags let in, too, whoever may push had the secret: a tag brings a workflow along.
    """
    team.runner.environments["production"] = Environment(
        secrets={"KEY": "canary"}, branches=("main",)
    )
    team.ada.git("switch", "--quiet", "--detach")
    (team.ada.folder / WORKFLOWS / "evil.yml").write_text(BY_TAG, "utf-8")
    team.ada.git("add", ".")
    team.ada.git("commit", "--quiet", "--message", "Evil")
    for tag in ("churn#production#8", "churn#production#9"):
        team.ada.git("tag", tag)
        team.ada.git("push", "--quiet", "origin", tag)
        evil, _ = sorted(team.runner.settle(), key=lambda run: "evil" not in run.workflow.path)
        assert ("<canary>"[::-1] in evil.log) == tag.endswith("9")
        rule = Environment(secrets={"KEY": "canary"}, branches=("main",), tags=("*#production#*",))
        team.runner.environments["production"] = rule
    team.ada.git("switch", "--quiet", "main")
    team.runner.environments["production"] = Environment(branches=("main",))
    team.decide("v1.0.0")
    team.runner.settle()
    assert team.served == "v1.0.0"


# -- what GitHub leaves out ----------------------------------------------------------------


def test_the_timetable_puts_right_what_an_event_missed(team: Team) -> None:
    """Nothing was started when the request was merged; an hour later all is as it should be.

    By then the main branch has other workflows, so that no workflow may tag the merge itself.
    """
    merged = team.decide("v1.0.0")
    file = f"{WORKFLOWS}/gitml-check.yml"
    told = (team.ada.folder / file).read_text("utf-8")
    newest = team.commit("Another workflow", {file: f"{told}# new\n"})
    team.hub.take()
    assert (team.tags(), team.served) == ([], None)
    (sync,) = team.runner.scheduled()
    assert (sync.event.name, sync.result) == ("schedule", "success"), sync.log
    assert (team.tags(), team.served) == (["churn#production#1"], "v1.0.0")
    assert team.hub.refs()["refs/tags/churn#production#1"] == newest != merged


def test_six_merges_at_once_converge(team: Team) -> None:
    """Most of their jobs lose their places; in any order, the last decision is what is live."""
    team.runner.shuffle(1)
    for version in ("v1.0.0", "v2.0.0") * 3:
        team.decide(version)
    runs = team.runner.settle()
    assert len(runs) == 6
    results = [run.results["sync"] for run in runs]
    assert results.count("cancelled") == 4
    assert team.tags()[-1] == f"churn#production#{len(team.tags())}"
    assert team.held(team.tags()[-1]) == team.served == "v2.0.0"


def test_what_was_approved_late_is_what_main_says_by_then(team: Team) -> None:
    """Nothing is deployed before; what is deployed then is not what has been asked for."""
    asked: list[str] = []

    def approves(job: object) -> bool:
        asked.append(team.tags()[-1])
        if len(asked) == 2:
            team.decide("v2.0.0")
        return len(asked) > 1

    team.runner.environments["production"] = Environment(approves)
    team.decide("v1.0.0")
    (sync,) = team.runner.settle()
    assert (sync.result, team.tags(), team.served) == ("failure", ["churn#production#1"], None)
    team.runner.scheduled()
    assert asked[:2] == ["churn#production#1"] * 2
    assert (team.tags()[-1], team.served) == ("churn#production#2", "v2.0.0")


# -- what would go wrong -------------------------------------------------------------------


def mutate(team: Team, name: str, old: str, new: str) -> None:
    """Edit a workflow on the main branch, and put a version into production there."""
    path = team.ada.folder / WORKFLOWS / f"gitml-{name}.yml"
    text = path.read_text("utf-8")
    assert old in text
    team.commit("A worse workflow", {f"{WORKFLOWS}/gitml-{name}.yml": text.replace(old, new)})
    team.hub.take()


def released_as_it_should_be(team: Team) -> bool:
    """Whether what `test_a_release...` asserts holds for the first version."""
    team.decide("v1.0.0")
    team.runner.settle()
    return team.tags() == ["churn#production#1"] and team.served == "v1.0.0"


DEPLOY = "uses: ./.github/workflows/gitml-deploy.yml"
NOTHING = "runs-on: ubuntu-latest\n    steps: [{run: echo deployed}]"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("sync", "persist-credentials: true", "persist-credentials: false"),
        ("sync", DEPLOY, NOTHING),
        ("deploy", "steps.plan.outputs.stages", "steps.plan.outputs.stage"),
        ("deploy", "RUNNER_TRACKING_ID=''", ""),
    ],
)
def test_a_worse_workflow_is_found_out(team: Team, name: str, old: str, new: str) -> None:
    """Also one whose jobs all succeed: what counts is what is live, and the tags."""
    mutate(team, name, old, new)
    assert not released_as_it_should_be(team)


def test_a_misspelt_output_has_only_green_jobs(team: Team) -> None:
    """Which is why no test here asks for success alone."""
    mutate(team, "check", "changed=true", "change=true")
    number = team.promote("v1.0.0")
    (check,) = team.runner.settle()
    assert (check.result, check.results["comment"]) == ("success", "skipped")
    assert team.hub.pull(number).comments == []


def test_a_check_that_is_too_shallow_is_found_out(team: Team) -> None:
    """Without its parents a merge has no base to be compared with."""
    mutate(team, "check", "fetch-depth: 2", "fetch-depth: 1")
    number = team.promote("v1.0.0")
    (check,) = team.runner.settle()
    assert check.result == "failure"
    assert team.hub.pull(number).comments == []


def test_an_action_that_nobody_knows_is_an_error(team: Team) -> None:
    """Neither another action nor another commit of it passes for the one that is meant."""
    mutate(team, "sync", "3d3c42e5aac5ba805825da76410c181273ba90b1", "0" * 40)
    team.decide("v1.0.0")
    with pytest.raises(UnsupportedError, match="actions/checkout"):
        team.runner.settle()
