"""The tests' runner of workflows does what GitHub does, and fails for what it does not know."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

import pytest

from tests.actions.errors import InvalidError, UnsupportedError
from tests.actions.hub import App, Hub
from tests.actions.patterns import matches
from tests.actions.runner import Environment, Runner
from tests.actions.runs import JobRun, Run
from tests.clones import Clone
from tests.conftest import run_git
from tests.forges import Forge, serving

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
APP_TOKEN = "actions/create-github-app-token@1b10c78c7865c340bc4f6099eb2f838309f1e8c3"
APP_LOGIN = "gitml-app[bot]"
DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"


@dataclass(frozen=True)
class Place:
    """A hub, a clone that pushes to it, and the runner."""

    hub: Hub
    ada: Clone
    runner: Runner

    def push(self, *refs: str, **workflows: str) -> list[Run]:
        """Commit workflows, by their names, and push; what is started."""
        self.commit(**workflows)
        self.ada.git("push", "--quiet", "origin", *(refs or ("main",)))
        return self.runner.settle()

    def commit(self, **workflows: str) -> None:
        """Commit workflows."""
        folder = self.ada.folder / ".github" / "workflows"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in workflows.items():
            (folder / f"{name}.yml").write_text(dedent(text), "utf-8")
        self.ada.git("add", ".")
        self.ada.git("commit", "--quiet", "--allow-empty", "--message", "Workflows")


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Place]:
    """A repository with one commit and no workflow."""
    hub: Forge = Hub(tmp_path / "hub")
    with serving(hub):
        assert isinstance(hub, Hub)
        clone = hub.clone(tmp_path / "ada")
        hub.take()
        yield Place(hub, clone, Runner(hub, tmp_path / "runner"))


def job(steps: str, more: str = "", on: str = "push") -> str:
    """A workflow with one job."""
    head = f"on: {on}\npermissions: {{contents: read}}\njobs:\n  one:\n    runs-on: ubuntu-latest\n"
    keys = indent(dedent(more).strip(), "    ")
    return f"{head}{keys}\n    steps:\n{indent(dedent(steps), '      ')}"


# -- steps and jobs ------------------------------------------------------------------------


def test_outputs_go_from_step_to_step_and_from_job_to_job(at: Place) -> None:
    """By files, on one line or several; a summary, variables and a path come the same way."""
    (run,) = at.push(
        w="""
        on: push
        permissions: {}
        env: {HELLO: hello}
        jobs:
          one:
            runs-on: ubuntu-latest
            outputs: {said: '${{ steps.a.outputs.one }}', lines: '${{ steps.a.outputs.lines }}'}
            steps:
              - id: a
                run: |
                  echo "one=$HELLO" >> "$GITHUB_OUTPUT"
                  printf 'lines<<END\\na=1\\nb\\nEND\\n' >> "$GITHUB_OUTPUT"
                  echo 'WORLD=world' >> "$GITHUB_ENV"
                  echo "# Done" >> "$GITHUB_STEP_SUMMARY"
                  mkdir bin && echo 'echo mine' > bin/mine && chmod +x bin/mine
                  echo "$PWD/bin" >> "$GITHUB_PATH"
              - if: steps.a.outputs.one == 'HELLO'
                run: test "$WORLD" = world && mine
          two:
            needs: one
            runs-on: ubuntu-latest
            steps:
              - env:
                  LINES: ${{ needs.one.outputs.lines }}
                  SAID: ${{ needs.one.outputs.said }}
                run: echo "$SAID $LINES"
        """
    )
    assert run.results == {"one": "success", "two": "success"}, run.log
    assert "hello a=1\nb" in run.jobs["two"].log
    assert run.jobs["one"].summary == "# Done\n"
    assert "mine" in run.jobs["one"].log


def test_what_comes_after_a_failure(at: Place) -> None:
    """Nothing, unless its `if` says so; what needs a job that was left out is left out, too."""
    (run,) = at.push(
        w="""
        on: push
        permissions: {}
        jobs:
          bad:
            runs-on: ubuntu-latest
            steps:
              - run: exit 3
              - run: echo never
              - {if: "always()", run: echo cleaned}
          after: {needs: bad, runs-on: ubuntu-latest, steps: [{run: echo never}]}
          later: {needs: after, runs-on: ubuntu-latest, steps: [{run: echo never}]}
          told: {needs: bad, if: failure(), runs-on: ubuntu-latest, steps: [{run: echo told}]}
          always:
            needs: bad
            if: ${{ !cancelled() && needs.bad.result == 'failure' }}
            runs-on: ubuntu-latest
            steps: [{run: echo also}]
          last: {needs: always, runs-on: ubuntu-latest, steps: [{run: echo never}]}
          left: {if: github.ref == 'x', runs-on: ubuntu-latest, steps: [{run: echo never}]}
        """
    )
    ran = {name: result for name, result in run.results.items() if result != "skipped"}
    assert ran == {"bad": "failure", "told": "success", "always": "success"}, run.log
    assert "cleaned" in run.log
    assert run.result == "failure"


def test_a_matrix_and_its_first_failure(at: Place) -> None:
    """There is a job for each value; the first that fails ends the others, unless told not to."""
    text = """
        on: push
        permissions: {}
        jobs:
          each:
            runs-on: ubuntu-latest
            strategy: {fail-fast: false, matrix: {n: "${{ fromJSON('[1, 2, 3]') }}"}}
            steps: [{run: "test ${{ matrix.n }} = 2 || exit 1"}]
        """
    (run,) = at.push(w=text)
    assert run.results == {"each (1)": "failure", "each (2)": "success", "each (3)": "failure"}
    (fast,) = at.push(w=text.replace("fail-fast: false", "fail-fast: true").replace("= 2", "= 9"))
    assert sorted(map(str, fast.results.values())) == ["cancelled", "cancelled", "failure"]


def test_artifacts_are_of_their_run(at: Place) -> None:
    """A file goes up once, and comes down in another job, where it is asked for by its name."""
    text = f"""
        on: push
        permissions: {{}}
        jobs:
          up:
            runs-on: ubuntu-latest
            steps:
              - run: echo told > a.txt
              - {{uses: '{UPLOAD}', with: {{name: it, path: a.txt, if-no-files-found: error}}}}
          down:
            needs: up
            runs-on: ubuntu-latest
            steps:
              - {{uses: '{DOWNLOAD}', with: {{name: it, path: to}}}}
              - run: cat to/a.txt
        """
    (run,) = at.push(w=text)
    assert run.result == "success", run.log
    assert "told" in run.jobs["down"].log
    (run,) = at.push(w=text.replace("{name: it, path: to}", "{name: other}"))
    assert run.results == {"up": "success", "down": "failure"}


# -- the token -----------------------------------------------------------------------------

PUSHES = "git tag new && git push --quiet origin new"


@pytest.mark.parametrize(
    ("permissions", "persists", "result"),
    [("write", "true", "success"), ("read", "true", "failure"), ("write", "false", "failure")],
)
def test_a_job_pushes_only_with_the_right_and_the_credentials(
    at: Place, permissions: str, persists: str, result: str
) -> None:
    """Neither without `contents: write`, nor once the checkout has thrown the token away."""
    steps = f"- {{uses: '{CHECKOUT}', with: {{persist-credentials: {persists}}}}}\n- run: {PUSHES}"
    (run,) = at.push(w=job(steps, f"permissions: {{contents: {permissions}}}"))
    assert run.result == result, run.log
    assert run_git(at.hub.bare, "tag") == ("new" if result == "success" else "")
    assert at.hub.take() == []  # and what it pushed is no event


def test_a_job_without_rights_can_not_even_read(at: Place) -> None:
    """The repository is private: to check it out takes `contents: read`."""
    (run,) = at.push(w=job(f"- uses: {CHECKOUT}", "permissions: {}"))
    assert run.result == "failure"


def test_a_token_tags_no_commit_with_other_workflows(at: Place) -> None:
    """GitHub refuses to let it bring back workflows that the main branch has changed."""
    at.push(w=job("- run: echo old"))
    steps = f"""
        - {{uses: '{CHECKOUT}', with: {{fetch-depth: 2}}}}
        - run: git tag new && git tag old HEAD^ && git push origin new
        - run: git push origin old
        """
    (run,) = at.push(w=job(steps, "permissions: {contents: write}"))
    assert run.result == "failure"
    assert "without `workflows` permission" in run.log
    assert run_git(at.hub.bare, "tag") == "new"


def test_an_app_may_do_more_than_a_workflow(at: Place) -> None:
    """What it pushes is an event, and with the right for it may bring other workflows back."""
    key = "canary-of-a-key"
    at.runner.secrets["KEY"], at.runner.variables["ID"] = key, "Iv1"
    at.hub.app = App("Iv1", key, {"contents": "write", "workflows": "write"})
    at.push(w=job("- run: echo", on="{push: {tags: ['**']}}"))
    steps = f"""
        - id: app
          uses: {APP_TOKEN}
          with:
            client-id: ${{{{ vars.ID }}}}
            private-key: ${{{{ secrets.KEY }}}}
            permission-contents: write
            permission-workflows: write
        - uses: {CHECKOUT}
          with: {{fetch-depth: 2, token: '${{{{ steps.app.outputs.token }}}}'}}
        - run: git tag old HEAD^ && git push origin old
        """
    first, second = at.push(a=job(steps, on="{push: {branches: [main]}}"))
    assert first.result == "success", first.log
    assert (second.workflow.path, second.event.actor) == (".github/workflows/w.yml", APP_LOGIN)
    less = steps.replace("            permission-workflows: write\n", "").replace("old", "older")
    (refused,) = at.push(a=job(less, on="{push: {branches: [main]}}"))
    assert "without `workflows` permission" in refused.log
    at.runner.secrets["KEY"] = "another"
    (refused,) = at.push(a=job(less, on="{push: {branches: [main]}}"))
    assert "there is no such App" in refused.log


def test_an_attestation_is_of_a_file_and_its_workflow(at: Place) -> None:
    """Only a job that may attests, and another file or workflow is not what was attested."""
    steps = """
        - run: echo one > one.txt && echo two > two.txt
        - uses: actions/attest@1e69f48acb82d1966a394da916b4c1698aa569d6
          with: {subject-path: 'one*'}
        - id: file
          run: |
            verify() {
              gh attestation verify "$1" --repo ada/churn \\
                --signer-workflow "ada/churn/.github/workflows/$2.yml" --source-ref refs/heads/main
            }
            verify one.txt w
            verify two.txt w || echo "not two"
            verify one.txt x || echo "not x"
        """
    (run,) = at.push(w=job(steps, "permissions: {attestations: write, id-token: write}"))
    assert run.result == "success", run.log
    assert "not two" in run.log
    assert "not x" in run.log
    (run,) = at.push(w=job(steps, "permissions: {attestations: read, id-token: write}"))
    assert run.result == "failure"


def test_a_token_ends_with_its_job(at: Place) -> None:
    """What a job has kept of it is worth nothing afterwards."""
    (run,) = at.push(w=job("- env: {T: '${{ github.token }}'}\n  run: echo \"<$T>\" | rev"))
    token = run.log.partition(">")[2].partition("<")[0][::-1]
    assert token.startswith("ghs_")
    assert token not in at.hub.users


# -- events --------------------------------------------------------------------------------


def test_filters_of_branches_tags_and_paths(at: Place) -> None:
    """A push starts what its filters let pass; a workflow is that of the commit that was pushed."""
    at.push(
        branches=job("- run: echo b", on="{push: {branches: [main]}}"),
        tags=job("- run: echo t", on="{push: {tags: ['**#production#*']}}"),
        paths=job("- run: echo p", on="{push: {branches: [main], paths: ['registry/**']}}"),
    )

    def started(*refs: str) -> list[str]:
        at.ada.git("push", "--quiet", "origin", *refs)
        return [Path(run.workflow.path).stem for run in at.runner.settle()]

    at.ada.git("commit", "--quiet", "--allow-empty", "--message", "Nothing")
    assert started("main") == ["branches"]
    (at.ada.folder / "registry").mkdir()
    (at.ada.folder / "registry" / "churn.yaml").write_text("schema: 1\n")
    at.ada.git("add", ".")
    at.ada.git("commit", "--quiet", "--message", "A model")
    assert started("main") == ["branches", "paths"]
    for name, expected in {
        "churn#production#1": ["tags"],
        "team/churn#production#1": ["tags"],
        "churn#staging#2": [],
        "churn#production!#4": [],
        "churn@v1.0.0": [],
    }.items():
        at.ada.git("tag", name)
        assert started(name) == expected, name
    at.ada.git("tag", "old#production#1", "main~2^")  # before there were workflows
    assert started("old#production#1") == []
    at.ada.git("commit", "--quiet", "--allow-empty", "--message", "Nothing [skip ci]")
    assert started("main") == []


def test_more_than_three_tags_at_once_are_no_event(at: Place) -> None:
    """Three are."""
    at.push(w=job("- run: echo", on="{push: {tags: ['**']}}"))
    for names in (("a", "b", "c"), ("d", "e", "f", "g")):
        for name in names:
            at.ada.git("tag", name)
        at.ada.git("push", "--quiet", "origin", *names)
        assert len(at.runner.settle()) == (3 if len(names) == 3 else 0)


def test_the_timetable_and_a_start_by_hand(at: Place) -> None:
    """Both are the main branch's; inputs are those that are declared."""
    inputs = "{n: {type: string, required: true}, how: {type: choice, options: [a, b], default: a}}"
    on = f"{{schedule: [{{cron: '17 * * * *'}}], workflow_dispatch: {{inputs: {inputs}}}}}"
    assert at.push(w=job('- run: echo "<${{ inputs.n }} ${{ inputs.how }}>"', on=on)) == []
    (run,) = at.runner.scheduled()
    assert (run.event.name, run.result) == ("schedule", "success")
    assert "< >" in run.log
    at.hub.dispatch("w.yml", n="12")
    (run,) = at.runner.settle()
    assert "<12 a>" in run.log
    for wrong in ({"m": "1"}, {}, {"n": "1", "how": "c"}):
        at.hub.dispatch("w.yml", **wrong)
        (run,) = at.runner.settle()
        assert run.refused


# -- groups, environments, called workflows ------------------------------------------------


def test_of_a_group_one_runs_and_the_newest_waits(at: Place) -> None:
    """Those between are cancelled, and so is what needs them; names are the same in any case."""
    more = "concurrency: {group: \"Gro${{ 'up' }}\", cancel-in-progress: false}"
    at.commit(w=job("- run: echo", more))
    at.ada.git("push", "--quiet", "origin", "main")
    for branch in ("b", "c", "d"):
        at.ada.git("push", "--quiet", "origin", f"main:{branch}")
    runs = at.runner.settle()
    assert [run.result for run in runs] == ["success", "cancelled", "cancelled", "success"]


def test_a_run_takes_the_place_of_the_one_before(at: Place) -> None:
    """With `cancel-in-progress` also when that one is running."""
    text = job("- run: echo").replace(
        "jobs:", "concurrency: {group: it, cancel-in-progress: true}\njobs:"
    )
    at.commit(w=text)
    at.ada.git("push", "--quiet", "origin", "main", "main:b", "main:c")
    assert [run.result for run in at.runner.settle()] == ["cancelled", "cancelled", "success"]


def test_an_environment_asks_before_it_gives_its_secrets(at: Place) -> None:
    """Without the approval no step runs."""
    asked: list[str] = []

    def approves(one: JobRun) -> bool:
        asked.append(one.path)
        return len(asked) > 1

    at.runner.environments["production"] = Environment(approves, {"KEY": "open"})
    text = job(
        "- env: {KEY: '${{ secrets.KEY }}'}\n  run: echo \"<$KEY>\"", "environment: production"
    )
    (run,) = at.push(w=text)
    assert (run.result, "<open>" in run.log) == ("failure", False)
    (run,) = at.push(w=text)
    assert (run.result, "<open>" in run.log) == ("success", True)
    assert asked == ["one", "one"]


CALLED = """
    on:
      workflow_call:
        inputs: {tag: {type: string, required: true}}
        outputs: {said: {value: '${{ jobs.inner.outputs.said }}'}}
    permissions: {}
    jobs:
      inner:
        runs-on: ubuntu-latest
        permissions: {contents: read}
        outputs: {said: '${{ steps.a.outputs.said }}'}
        steps:
          - id: a
            env: {SECRET: '${{ secrets.KEY }}'}
            run: |
              echo "said=${{ inputs.tag }} ${{ github.event_name }} <$SECRET>" >> "$GITHUB_OUTPUT"
    """
CALLS = """
    on: push
    permissions: {}
    jobs:
      call:
        permissions: {contents: read}
        uses: ./.github/workflows/called.yml
        with: {tag: it}
      after:
        needs: call
        runs-on: ubuntu-latest
        steps: [{run: "echo '${{ needs.call.outputs.said }}'"}]
    """


def test_a_called_workflow_has_its_callers_event_and_no_secret_by_itself(at: Place) -> None:
    """Its outputs are those of the job that calls; secrets come when they are handed on."""
    at.runner.secrets["KEY"] = "open"
    (run,) = at.push(called=CALLED, calls=CALLS)
    assert list(run.results) == ["call", "after", "call / inner"]
    assert "it push <>" in run.jobs["after"].log
    (run,) = at.push(calls=CALLS.replace("with:", "secrets: inherit\n        with:"))
    assert "it push <open>" in run.jobs["after"].log


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("with: {tag: it}", "with: {tags: it}"),
        ("with: {tag: it}", ""),
        ("permissions: {contents: read}", "permissions: {}"),
        ("called.yml", "missing.yml"),
    ],
)
def test_a_wrong_call_starts_nothing(at: Place, old: str, new: str) -> None:
    """Neither with other inputs, nor for more rights than the caller has."""
    (run,) = at.push(called=CALLED, calls=CALLS.replace(old, new))
    assert run.refused
    assert (run.result, run.results) == ("failure", {})


# -- what is not known ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        job("- uses: actions/checkout@v7"),
        job("- uses: somebody/something@3d3c42e5aac5ba805825da76410c181273ba90b1"),
        job(f"- {{uses: '{CHECKOUT}', with: {{submodules: true}}}}"),
        job("- run: echo ${{ hashFiles('x') }}"),
        job("- run: echo", "container: debian"),
        job("- run: echo", on="{push: {branches-ignore: [x]}}"),
        job("- run: echo", on="{push: {branches: ['m+']}}"),
        job("- run: echo", on="pull_request_target"),
        job("- run: echo ${{ github.reff }}"),
        job("- {run: echo, shell: pwsh}"),
        job("- run: echo").replace("ubuntu-latest", "windows-latest"),
        job("- run: echo '::set-output name=a::b'"),
    ],
)
def test_what_the_runner_does_not_know_is_an_error(at: Place, text: str) -> None:
    """An action, a key, a function, a pattern, an event, a name, a shell, a machine, a command."""
    with pytest.raises(UnsupportedError):
        at.push(w=text)


@pytest.mark.parametrize(
    "text",
    [
        job("- run: echo ${{ secret.KEY }}"),
        job("- {if: \"secrets.KEY != ''\", run: echo}"),
        job("- run: echo", "if: env.X == ''"),
        job("- run: echo ${{ success() }}"),
        job("- run: echo ${{ github.ref"),
        job("- run: echo", "needs: nobody"),
        job("- run: echo", "permissions: {content: write}"),
        job("- {run: echo, run: echo}"),
        "on: [push",
    ],
)
def test_what_github_refuses_is_refused(at: Place, text: str) -> None:
    """Contexts where there are none, jobs and rights that are not there, a key twice, no YAML."""
    with pytest.raises(InvalidError):
        at.push(w=text)


def test_patterns() -> None:
    """One star stops at a slash, two do not; the rest is as it is."""
    assert matches(["**#production#*"], "team/churn#production#3")
    assert matches(["**#production#*"], "cv=pool#production#1")
    assert not matches(["*#production#*"], "team/churn#production#3")
    assert not matches(["**#production#*"], "churn#production!#4")
    assert matches(["registry/**"], "registry/a/b.yaml")
    assert not matches(["registry.yaml"], "registryxyaml")


def test_only_the_pinned_gitml_is_run(tmp_path: Path) -> None:
    """A `uvx` of another version, or of none, ends with an error."""
    hub = Hub(tmp_path / "hub")
    uvx = Runner(hub, tmp_path / "runner").folder / "programs" / "uv" / "uvx"
    for asked in ("gitml", "gitml==0.0.1", "gitml>=0.1"):
        command = (uvx, "--from", asked, "gitml", "--version")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "not a pinned gitml" in done.stderr


def test_a_run_that_is_started_again_is_one_alone(at: Place) -> None:
    """It has the event of the first time, at the next attempt; what may not start it, does not."""
    again = job('- run: echo "<${{ github.run_id }} ${{ github.run_attempt }}>"')
    (first, _) = at.push(one=again, two=again)
    call = (
        '- run: |\n    curl --silent --fail -X POST -H "Authorization: Bearer $TOKEN" \\\n'
        '      "$URL/repos/$REPO/actions/runs/$RUN/rerun" --data "{}"\n'
        "  env: {TOKEN: '${{ github.token }}', URL: '${{ github.api_url }}',"
        " REPO: '${{ github.repository }}', RUN: '${{ inputs.run }}'}"
    )
    on = "{workflow_dispatch: {inputs: {run: {type: string, required: true}}}}"
    asks = job(call, "permissions: {actions: write}", on=on)
    at.push(asks=asks, forbidden=asks.replace("actions: write", "actions: read"))
    at.hub.dispatch("forbidden.yml", run=str(first.number))
    (refused,) = at.runner.settle()
    assert refused.result == "failure"
    at.hub.dispatch("asks.yml", run=str(first.number))
    (asked, second) = at.runner.settle()
    assert asked.result == "success", asked.log
    assert (second.workflow.path, second.event.sha) == (first.workflow.path, first.event.sha)
    assert " 2>" in second.log
