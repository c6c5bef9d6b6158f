"""The check of a pull request: from the bare facts in git, with the rules of the base."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gitml import storage
from gitml.errors import FormatError, UsageError
from gitml.registry import checking, desired, promoting, vouching
from gitml.registry.checking import Report, log, markdown
from gitml.registry.checking.report import to_document
from gitml.registry.gates import Verdict
from gitml.registry.version import Version
from gitml.tracking.record import FAILED
from tests.cli import HOSTILE, UNSAFE, Caller
from tests.clones import Clone, team
from tests.conftest import run_git
from tests.planted import plant
from tests.registered import columns, register
from tests.registered import log as log_model

FILE = "registry/churn.yaml"
POLICY = """\
schema: 1
gates:
  production:
    - metrics.auc >= 0.9
    - metrics.auc >= current.metrics.auc - 0.005
    - signature.compatible
"""


@pytest.fixture
def ada(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clone whose remote has a policy, and churn v1.0.0 (auc 0.95) in production."""
    (one,) = team(tmp_path, bare, "ada")
    monkeypatch.chdir(one.folder)
    on_main(one, {"registry.yaml": POLICY})
    trained(one, 0.95)
    promoting.promote(one.place, "churn", "production", direct=True)
    one.git("pull", "--quiet", "--ff-only")
    return one


def on_main(one: Clone, texts: dict[str, str]) -> None:
    """Commit files to the main branch, and push it."""
    commit(one, texts)
    one.git("push", "--quiet", "origin", "main")


def commit(one: Clone, texts: dict[str, str]) -> None:
    """Commit files to the branch that is checked out."""
    for path, text in texts.items():
        (one.folder / path).parent.mkdir(exist_ok=True, parents=True)
        (one.folder / path).write_text(text)
    one.git("add", "--all")
    one.git("commit", "--quiet", "--message", "Files")


def trained(one: Clone, auc: float, **more: object) -> str:
    """Train and register one more version; the run's id."""
    run_id = log_model(one, **{"signature": columns(a="long"), "metrics": {"auc": auc}, **more})
    register(one, run=run_id)
    return run_id


def proposal(one: Clone, version: str = "latest") -> str:
    """Propose a version for production, and check the branch out; its name."""
    done = promoting.promote(one.place, "churn", "production", version)
    assert done.published is not None
    one.git("fetch", "--quiet")
    one.git("switch", "--quiet", done.published.branch)
    return done.published.branch


def edited(one: Clone, old: str, new: str) -> None:
    """Change the model's file on the branch of a proposal."""
    text = (one.folder / FILE).read_text()
    assert old in text
    commit(one, {FILE: text.replace(old, new)})


def check(one: Clone, base: str = "origin/main", **more: tuple[str, ...]) -> Report:
    """Check what is checked out."""
    return checking.check(one.place, base, "HEAD", **more)


def messages(report: Report) -> str:
    """All problems."""
    return "\n".join(f"{it.path}: {it.message}" for it in report.problems)


def outcomes(report: Report) -> dict[str, str]:
    """The outcome of each gate of the one version that is judged."""
    (item,) = report.judged
    return {it.gate: it.outcome for it in item.verdicts}


# -- what passes -----------------------------------------------------------------------------


def test_an_honest_promotion_passes(ada: Clone) -> None:
    """The file is sound, the version is what it says, and every gate is judged by its numbers."""
    trained(ada, 0.953)
    proposal(ada)
    report = check(ada)
    assert (messages(report), report.passed) == ("", True)
    assert outcomes(report) == {
        "metrics.auc >= 0.9": "passed",
        "metrics.auc >= current.metrics.auc - 0.005": "passed",
        "signature.compatible": "passed",
    }
    (item,) = report.judged
    assert (str(item.move), item.move.before) == ("churn: v1.0.1 in production", Version(1, 0, 0))


def test_a_change_of_something_else_is_no_promotion(ada: Clone) -> None:
    """It takes no look at any tag."""
    commit(ada, {"train.py": "other"})
    report = check(ada)
    assert (report.judged, report.passed) == ((), True)


def test_what_no_gate_judges_is_noted(ada: Clone, call: Caller) -> None:
    """A change of the rules holds from the next change on, and an alias at once."""
    commit(
        ada,
        {
            "registry.yaml": "schema: 1\ngates: {}\n",
            "registry/allowed_signers": "",
            ".github/CODEOWNERS": "",
            ".github/workflows/`evil`.yml": "",
            ".gitlab/gitml.yml": "",
            "workflows/other.yml": "",
            FILE: (ada.folder / FILE).read_text()
            + "aliases: {champion: v1.0.0}\ngates: {staging: [signed]}\n",
        },
    )
    report = check(ada)
    assert (report.passed, report.judged) == (True, ())
    assert report.remarks == (
        ".github/CODEOWNERS changes: who has to review",
        ".github/workflows/`evil`.yml changes: what CI runs, checks included",
        ".gitlab/gitml.yml changes: what CI runs, checks included",
        "registry.yaml changes: what versions have to pass",
        "registry/allowed_signers changes: whose signatures count",
        "registry/churn.yaml: the alias champion goes from nothing to v1.0.0, for which no gate is"
        " asked",
        "registry/churn.yaml: the model's own gates for staging change",
    )
    assert "- ⚠️ ``.github/workflows/`evil`.yml changes: what CI runs" in markdown.page(report)
    done = call("ci", "check", "--base", "origin/main")
    assert "note: registry.yaml changes: what versions have to pass" in done.out


def test_a_stage_that_nobody_holds_any_more_is_told(ada: Clone) -> None:
    """No gate keeps a version in a stage."""
    edited(ada, "production: v1.0.0", "production:")
    report = check(ada)
    assert [str(it.move) for it in report.judged] == ["churn: nothing in production"]
    assert report.passed


def test_a_branch_that_is_behind_answers_for_its_own_change(ada: Clone) -> None:
    """What others have decided on main since is not its own, but it is held against it."""
    trained(ada, 0.953)
    branch = proposal(ada)
    ada.git("switch", "--quiet", "main")
    trained(ada, 0.99)
    promoting.promote(ada.place, "churn", "staging", "v1.0.2", direct=True)
    promoting.promote(ada.place, "churn", "production", "v1.0.2", direct=True)
    ada.git("switch", "--quiet", branch)
    report = check(ada)
    assert [it.move.stage for it in report.judged] == ["production"]
    assert report.judged[0].move.before == Version(1, 0, 2)
    assert outcomes(report)["metrics.auc >= current.metrics.auc - 0.005"] == "failed"


def test_a_shallow_clone_gets_what_it_needs_and_no_ledger(
    ada: Clone, bare: Path, tmp_path: Path
) -> None:
    """As a job of CI has it: one commit, of which the base is not yet there."""
    for number in range(20):
        commit(ada, {"train.py": str(number)})
    trained(ada, 0.953)
    branch = proposal(ada)
    base = run_git(bare, "rev-parse", "main")
    run_git(tmp_path, "clone", "--quiet", "--depth=1", "--branch", branch, f"file://{bare}", "job")
    job = Clone(tmp_path / "job")
    report = check(job, base)
    assert (messages(report), report.passed, len(report.judged)) == ("", True, 1)
    assert job.git("rev-parse", "--is-shallow-repository") == "true"
    assert job.git("for-each-ref", "--format=%(refname)", "refs/**/gitml/*") == ""
    assert sorted(job.git("tag").split()) == ["churn@v1.0.0", "churn@v1.0.1"]
    assert int(job.git("rev-list", "--count", "--all")) < 10  # and no history of the code


def test_runs_may_be_in_a_repository_of_their_own(ada: Clone, tmp_path: Path, bare: Path) -> None:
    """Versions are looked for where the base says that runs are, also by a promotion."""
    apart = tmp_path / "runs.git"
    run_git(tmp_path, "init", "--quiet", "--bare", str(apart))
    ada.git("push", "--quiet", str(apart), "churn@v1.0.0")
    ada.git("remote", "add", "runs", str(apart))
    on_main(ada, {"gitml.yaml": "schema: 1\nledger: {remote: runs}\n"})
    trained(ada, 0.953)
    assert run_git(bare, "tag") == "churn@v1.0.0"
    ada.git("tag", "--delete", "churn@v1.0.1")
    proposal(ada)
    report = check(ada)
    assert (messages(report), report.passed, len(report.judged)) == ("", True, 1)


def test_nothing_that_loads_models_is_even_imported(ada: Clone) -> None:
    """Neither loaders nor DVC nor a framework: a check reads what git has."""
    trained(ada, 0.953)
    proposal(ada)
    script = (
        "import sys\n"
        "from gitml.cli.main import run\n"
        "code = run(['ci', 'check', '--base', 'origin/main'])\n"
        "loaders = ('gitml.models.load', 'gitml.models.flavor', 'cloudpickle', 'dvc', 'numpy')\n"
        "assert not {*loaders} & {*sys.modules}, {*loaders} & {*sys.modules}\n"
        "raise SystemExit(code)\n"
    )
    argv = (sys.executable, "-c", script)
    done = subprocess.run(argv, cwd=ada.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("churn: v1.0.1 in production\n  ok  ")


# -- gates -----------------------------------------------------------------------------------


def test_a_gate_that_fails_fails_the_check(ada: Clone) -> None:
    """With the numbers."""
    trained(ada, 0.91, signature=columns(a="long", b="long"))
    proposal(ada)
    report = check(ada)
    assert (report.problems, report.passed) == ((), False)
    (item,) = report.judged
    assert {it.gate: it.why for it in item.verdicts if not it.passed} == {
        "metrics.auc >= current.metrics.auc - 0.005": (
            "metrics.auc is 0.91, asked >= 0.945 (metrics.auc of the current version - 0.005)"
        ),
        "signature.compatible": item.verdicts[2].why,
    }
    assert "b" in item.verdicts[2].why


def test_a_pull_request_does_not_weaken_the_policy(ada: Clone) -> None:
    """That of the base judges it, whatever it says itself."""
    trained(ada, 0.5)
    proposal(ada)
    commit(ada, {"registry.yaml": "schema: 1\ngates: {}\n"})
    report = check(ada)
    assert outcomes(report)["metrics.auc >= 0.9"] == "failed"


def test_a_tag_is_not_taken_for_the_base(ada: Clone) -> None:
    """Who may push tags can call one as the base is called, and git itself would take it."""
    trained(ada, 0.5)
    proposal(ada)
    commit(ada, {"registry.yaml": "schema: 1\ngates: {}\n"})
    ada.git("tag", "origin/main")
    with pytest.raises(UsageError, match=r"names more than one thing.*refs/remotes/origin/main"):
        check(ada)
    assert outcomes(check(ada, "refs/remotes/origin/main"))["metrics.auc >= 0.9"] == "failed"


def test_a_model_adds_gates_and_takes_none_away(ada: Clone) -> None:
    """Those that it had on the base are asked, and those that the change brings."""
    on_main(ada, {FILE: (ada.folder / FILE).read_text() + "gates: {production: [age > 9d]}\n"})
    trained(ada, 0.953)
    proposal(ada)
    edited(ada, "gates: {production: [age > 9d]}", "gates: {production: [metrics.auc < 2]}")
    assert outcomes(check(ada)) == {
        "metrics.auc >= 0.9": "passed",
        "metrics.auc >= current.metrics.auc - 0.005": "passed",
        "signature.compatible": "passed",
        "age > 9d": "failed",
        "metrics.auc < 2": "passed",
    }


def test_approvals_are_what_the_forge_says(ada: Clone) -> None:
    """Nobody asks without one, and then nobody has approved."""
    on_main(ada, {"registry.yaml": "schema: 1\ngates: {production: [approved_by(2)]}\n"})
    trained(ada, 0.953)
    proposal(ada)
    assert outcomes(check(ada)) == {"approved_by(2)": "unknown"}
    assert not check(ada).passed
    assert not check(ada, approvals=("bo",)).passed
    assert check(ada, approvals=("bo", "cy")).passed


def test_a_program_of_a_gate_is_that_of_the_base(ada: Clone) -> None:
    """It is run in the base's files, told of the version, and has none of the job's secrets."""
    script = (
        "import json, os\n"
        "told = json.load(open(os.environ['GITML_CANDIDATE']))\n"
        "assert 'GITHUB_TOKEN' not in os.environ\n"
        "print(told['model'], told['version'], told['metrics'])\n"
        "raise SystemExit(told['metrics']['auc'] < 0.96)\n"
    )
    rules = "schema: 1\ngates: {production: [{command: [python3, checks/fair.py]}]}\n"
    on_main(ada, {"registry.yaml": rules, "checks/fair.py": script})
    trained(ada, 0.953)
    proposal(ada)
    commit(ada, {"checks/fair.py": "open('/tmp/gitml-canary', 'w')\n"})
    report = check(ada)
    (verdict,) = report.judged[0].verdicts
    assert (verdict.gate, verdict.outcome) == ("command: python3 checks/fair.py", "failed")
    assert verdict.why == "exit code 1: churn v1.0.1 {'auc': 0.953}"


def test_a_program_that_a_change_brings_is_not_run(ada: Clone, tmp_path: Path) -> None:
    """Anybody can propose one, from a fork too; it counts once it is on the base."""
    canary = tmp_path / "canary"
    own = f"gates: {{production: [{{command: [touch, {canary}]}}]}}\n"
    trained(ada, 0.953)
    proposal(ada)
    commit(ada, {FILE: (ada.folder / FILE).read_text() + own})
    report = check(ada)
    assert (canary.exists(), report.passed) == (False, False)
    verdict = report.judged[0].verdicts[-1]
    assert (verdict.gate, verdict.outcome) == (f"command: touch {canary}", "unknown")
    assert "only programs that the base asks for" in verdict.why


@pytest.mark.parametrize("argv", ['"a\\0b"', '""', "no-such-program", "."])
def test_a_program_that_can_not_be_started_fails(ada: Clone, argv: str) -> None:
    """Whatever the base names."""
    rules = f"schema: 1\ngates: {{production: [{{command: [{argv}]}}]}}\n"
    on_main(ada, {"registry.yaml": rules})
    trained(ada, 0.953)
    proposal(ada)
    (verdict,) = check(ada).judged[0].verdicts
    assert (verdict.outcome, verdict.why[:20]) == ("failed", "it can't be started:")


# -- runs of CI ------------------------------------------------------------------------------

BY_CI = """\
schema: 1
ci: {signers: [ci@example.org]}
gates:
  production:
    - reproduced
    - evaluate: {entry_point: score, metrics: [metrics.auc >= 0.9]}
"""


def keys(folder: Path, name: str) -> tuple[Path, str]:
    """An SSH key of its own, and the line that lists it."""
    path = folder / f"key-{name}"
    argv = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    subprocess.run(argv, check=True)
    kind, text, _ = path.with_suffix(".pub").read_text().split(" ", 2)
    return path, f"{name}@example.org {kind} {text}\n"


def signing(one: Clone, key: Path) -> None:
    """Have a clone sign its tags."""
    one.git("config", "gpg.format", "ssh")
    one.git("config", "user.signingkey", str(key))
    one.git("config", "tag.gpgSign", "true")


@pytest.fixture
def signed(ada: Clone, tmp_path: Path) -> dict[str, Path]:
    """The keys of ada and of CI, which the base lists; the policy asks for runs of CI."""
    made = {name: keys(tmp_path, name) for name in ("ada", "ci")}
    listed = "".join(line for _, line in made.values())
    on_main(ada, {"registry.yaml": BY_CI, "registry/allowed_signers": listed})
    return {name: key for name, (key, _) in made.items()}


def run_about(one: Clone, auc: float, **tags: str) -> str:
    """Record a run, as a job of CI would."""
    named = {key.replace("_", "."): value for key, value in tags.items()}
    named["mlflow.project.entryPoint"] = "score"
    return log_model(one, metrics={"auc": auc}, tags=named, signature=columns(a="long"))


def test_a_forged_run_does_not_reach_production(ada: Clone, signed: dict[str, Path]) -> None:
    """Who may push claims 0.999, and runs that confirm it: only what CI has signed counts."""
    signing(ada, signed["ada"])
    run_id = trained(ada, 0.999)
    digest = ada.git("for-each-ref", "--format=%(contents)", "refs/tags/churn@v1.0.1")
    digest = digest.partition("Digest: ")[2].split()[0]
    run_about(ada, 0.999, gitml_reproduces=run_id)
    ada.push()
    proposal(ada)
    assert {*outcomes(check(ada)).values()} == {"unknown"}
    for auc, about in ((0.999, {"gitml_reproduces": run_id}), (0.999, {"gitml_evaluates": digest})):
        vouching.vouch(ada.place, run_about(ada, auc, **about), "origin")  # with her own key
    report = check(ada)
    assert {*outcomes(report).values()} == {"unknown"}
    assert not report.passed
    assert not report.remarks
    signing(ada, signed["ci"])
    vouching.vouch(ada.place, run_about(ada, 0.6, gitml_reproduces=run_id), "origin")
    vouching.vouch(ada.place, run_about(ada, 0.6, gitml_evaluates=digest), "origin")
    report = check(ada)
    assert {*outcomes(report).values()} == {"failed"}
    assert "metrics.auc is 0.6, asked >= 0.9" in report.judged[0].verdicts[1].why


def test_what_ci_has_measured_lets_a_version_pass(
    ada: Clone, signed: dict[str, Path], bare: Path, tmp_path: Path
) -> None:
    """Also in another clone, which gets CI's tags and no ledger."""
    signing(ada, signed["ada"])
    run_id = trained(ada, 0.95)
    digest = ada.git("for-each-ref", "--format=%(contents)", "refs/tags/churn@v1.0.1")
    signing(ada, signed["ci"])
    for about in (
        {"gitml_reproduces": run_id},
        {"gitml_evaluates": digest.partition("Digest: ")[2].split()[0]},
    ):
        name = vouching.vouch(ada.place, run_about(ada, 0.95, **about), "origin")
        assert name.startswith("gitml/ci/")
    branch = proposal(ada)
    run_git(tmp_path, "clone", "--quiet", "--depth=1", "--branch", branch, f"file://{bare}", "job")
    report = check(Clone(tmp_path / "job"), run_git(bare, "rev-parse", "main"))
    assert (messages(report), outcomes(report)) == (
        "",
        {"reproduced": "passed", "evaluate score: metrics.auc >= 0.9": "passed"},
    )
    assert report.passed


@pytest.mark.parametrize("figure", ["max", "min", "count", "step"])
def test_every_figure_of_a_metric_is_reproduced(
    ada: Clone, signed: dict[str, Path], figure: str
) -> None:
    """A gate may ask for any of them, and the run of the version may claim any."""
    run_id = trained(ada, 0.5)
    signing(ada, signed["ci"])
    vouching.vouch(ada.place, run_about(ada, 0.5, gitml_reproduces=run_id), "origin")
    commit_id = ada.git("rev-parse", "churn@v1.0.1^{commit}")
    told = json.loads(ada.git("show", f"{commit_id}:.gitml/run/run.json"))
    told["metrics"]["auc"][figure] = 7
    forged = plant(ada.folder, commit_id, {b".gitml/run/run.json": json.dumps(told).encode()})
    text = ada.git("cat-file", "tag", "churn@v1.0.1").replace(commit_id, forged) + "\n"
    argv = ("git", "hash-object", "-t", "tag", "-w", "--stdin")
    made = subprocess.run(argv, cwd=ada.folder, input=text, capture_output=True, text=True)
    ada.git("update-ref", "refs/tags/churn@v1.0.1", made.stdout.strip())
    ada.git("push", "--quiet", "--force", "origin", "refs/tags/churn@v1.0.1")
    proposal(ada)
    (verdict,) = [it for it in check(ada).judged[0].verdicts if it.gate == "reproduced"]
    assert (verdict.outcome, verdict.why[-18:]) == ("failed", "came out otherwise")


def test_a_tag_of_ci_counts_for_what_it_was_made(ada: Clone, signed: dict[str, Path]) -> None:
    """Under the name of another subject it is none."""
    first = trained(ada, 0.95)
    second = trained(ada, 0.96)
    signing(ada, signed["ci"])
    name = vouching.vouch(ada.place, run_about(ada, 0.95, gitml_reproduces=first), "origin")
    other = name.replace(first, second)
    ada.git("update-ref", f"refs/tags/{other}", f"refs/tags/{name}")
    ada.git("push", "--quiet", "origin", f"refs/tags/{other}")
    proposal(ada)
    assert outcomes(check(ada))["reproduced"] == "unknown"


def test_a_version_that_ci_has_signed_vouches_for_no_other(
    ada: Clone, signed: dict[str, Path]
) -> None:
    """CI's jobs register, too: such a tag, under the name of one that vouches, is none."""
    claimed = log_model(ada, metrics={"auc": 0.999}, signature=columns(a="long"))
    confirms = run_about(ada, 0.999, gitml_reproduces=claimed)
    signing(ada, signed["ci"])
    item = register(ada, run=confirms)
    register(ada, run=claimed)
    tag = f"refs/tags/gitml/ci/{claimed}/{confirms}"
    ada.git("update-ref", tag, item.tag_id)
    ada.git("push", "--quiet", "origin", tag)
    proposal(ada)
    assert outcomes(check(ada))["reproduced"] == "unknown"


def test_only_what_is_about_something_is_vouched_for(ada: Clone, tmp_path: Path) -> None:
    """A finished run with a tag that says so; and never without a signature."""
    with pytest.raises(UsageError, match="has no tag gitml"):
        vouching.vouch(ada.place, log_model(ada), None)
    run_id = run_about(ada, 1.0, gitml_reproduces="0" * 32)
    with pytest.raises(UsageError, match="tags are not signed here"):
        vouching.vouch(ada.place, run_id, None)
    for name in ("latest", "trained", run_id[-8:]):  # whose it is, whoever may push decides
        with pytest.raises(UsageError, match="by its whole id"):
            vouching.vouch(ada.place, name, None)
    failed = log_model(ada, status=FAILED, tags={"gitml.reproduces": "0" * 32})
    with pytest.raises(UsageError, match="no finished run"):
        vouching.vouch(ada.place, failed, None)


def test_a_signature_is_that_of_somebody_who_may(ada: Clone, signed: dict[str, Path]) -> None:
    """The gate `signed`, by the list on the base; the change's own list does not count."""
    on_main(ada, {"registry.yaml": "schema: 1\ngates: {production: [signed]}\n"})
    trained(ada, 0.95)
    branch = proposal(ada)
    commit(ada, {"registry/allowed_signers": "nobody"})
    (verdict,) = check(ada).judged[0].verdicts
    assert (verdict.outcome, verdict.why) == ("failed", "no signature")
    ada.git("switch", "--quiet", "main")
    signing(ada, signed["ada"])
    trained(ada, 0.96)
    assert branch != proposal(ada)
    (verdict,) = check(ada).judged[0].verdicts
    assert (verdict.outcome, verdict.why) == ("passed", "by a listed key")


def test_a_change_brings_no_signers_along(
    ada: Clone, signed: dict[str, Path], tmp_path: Path
) -> None:
    """Neither keys nor who CI is: those of the base judge it, whatever it says itself."""
    key, line = keys(tmp_path, "eve")
    policy = BY_CI.replace("    - reproduced\n", "    - reproduced\n    - signed\n")
    on_main(ada, {"registry.yaml": policy})
    signing(ada, key)
    run_id = trained(ada, 0.95)
    about = run_about(ada, 0.95, gitml_reproduces=run_id)
    vouching.vouch(ada.place, about, "origin")
    proposal(ada)
    listed = (ada.folder / "registry/allowed_signers").read_text()
    commit(ada, {"registry/allowed_signers": listed + line + line.replace("eve", "ci", 1)})
    told = outcomes(check(ada))
    assert (told["signed"], told["reproduced"]) == ("failed", "unknown")
    ada.git("tag", "--delete", f"gitml/ci/{run_id}/{about}")
    ada.git("push", "--quiet", "origin", f":refs/tags/gitml/ci/{run_id}/{about}")
    signing(ada, signed["ada"])  # her key is listed on the base, and is not CI's
    vouching.vouch(ada.place, about, "origin")
    commit(ada, {"registry.yaml": policy.replace("[ci@", "[ada@example.org, ci@")})
    assert outcomes(check(ada))["reproduced"] == "unknown"


def test_what_would_not_be_deployed_is_not_merged(ada: Clone, signed: dict[str, Path]) -> None:
    """Where keys are listed a version without a signature takes no stage, also if no gate asks."""
    on_main(ada, {"registry.yaml": "schema: 1\n"})
    trained(ada, 0.95)
    proposal(ada)
    (problem,) = check(ada).problems
    assert problem.path == FILE
    assert problem.message.startswith("churn@v1.0.1 would not be deployed: no signature; registry/")
    assert "has to register the run again, with tag.gpgSign" in problem.message
    ada.git("switch", "--quiet", "main")
    signing(ada, signed["ada"])
    trained(ada, 0.96)
    proposal(ada)
    assert check(ada).passed


def test_ci_s_own_signature_is_nobody_else_s(ada: Clone, signed: dict[str, Path]) -> None:
    """Its tags say that something was merged; the gate `signed` asks for somebody beside it."""
    policy = "schema: 1\nci: {signers: [ci@example.org]}\n"
    on_main(ada, {"registry.yaml": policy + "gates: {production: [signed]}\n"})
    signing(ada, signed["ci"])
    trained(ada, 0.95)
    proposal(ada)
    report = check(ada)
    assert (report.problems, outcomes(report)) == ((), {"signed": "failed"})  # it can be deployed
    assert "by CI alone" in report.judged[0].verdicts[0].why


# -- forgeries -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "new", "why"),
    [
        ("auc: 0.8", "auc: 0.99", "v1.0.1 has 0.99 for the metric 'auc', its run 0.8"),
        ("auc: 0.8", "f1: 0.99", "v1.0.1 has 0.99 for the metric 'f1', its run none"),
        ("auc: 0.8", "auc: high", "v1.0.1 has 'high' for the metric 'auc', its run 0.8"),
        ("path: model", "path: other", "v1.0.1 has the path 'other', its tag 'model'"),
        ("run: .{4}", "run: ffff", "v1.0.1 has run 'ffff"),
        ("commit: .{4}", "commit: 0000", "v1.0.1 has commit '0000"),
        ("sha256:.{4}", "sha256:0000", "v1.0.1 has the digest 'sha256:0000"),
    ],
)
def test_a_line_says_what_the_run_says(ada: Clone, pattern: str, new: str, why: str) -> None:
    """Numbers in the file are those of the run, and so is everything else."""
    on_main(ada, {"registry.yaml": "schema: 1\n"})
    trained(ada, 0.8)
    proposal(ada)
    text = (ada.folder / FILE).read_text()
    line = next(it for it in text.splitlines() if it.startswith("  v1.0.1:"))
    commit(ada, {FILE: text.replace(line, re.sub(pattern, new, line))})
    report = check(ada)
    assert not report.passed
    assert why in messages(report)


def test_an_old_line_is_not_rewritten(ada: Clone) -> None:
    """A change that promotes nothing is held against the run, too."""
    edited(ada, "auc: 0.95", "auc: 0.99")
    assert "v1.0.0 has 0.99 for the metric 'auc', its run 0.95" in messages(check(ada))


def test_a_version_in_a_stage_keeps_its_line(ada: Clone) -> None:
    """Without it any tag of that name would be the version."""
    text = (ada.folder / FILE).read_text()
    (line,) = [it for it in text.splitlines() if it.startswith("  v1.0.0: {")]
    commit(ada, {FILE: text.replace(f"{line}\n", "")})
    assert "v1.0.0 holds a stage and has no line under versions" in messages(check(ada))


def test_a_stage_needs_a_version_with_a_tag_and_a_line(ada: Clone) -> None:
    """One that is not registered, and one that has no line."""
    edited(ada, "production: v1.0.0", "production: v9.0.0")
    assert "there is no tag churn@v9.0.0 at the remote; register it first" in messages(check(ada))
    trained(ada, 0.96)
    edited(ada, "production: v9.0.0", "production: v1.0.1")
    assert "v1.0.1 holds a stage and has no line under versions" in messages(check(ada))


def test_a_tag_only_here_is_none(ada: Clone) -> None:
    """What counts is what the remote has; one that was moved there is told."""
    trained(ada, 0.96)
    proposal(ada)
    ada.git("push", "--quiet", "origin", ":refs/tags/churn@v1.0.1")
    assert "churn@v1.0.1: it has no tag yet" in "; ".join(check(ada).remarks)
    ada.git("push", "--quiet", "origin", "refs/tags/churn@v1.0.0:refs/tags/churn@v1.0.1")
    assert "the tag churn@v1.0.1 is " in messages(check(ada))


def test_a_forged_tag_is_not_judged(ada: Clone) -> None:
    """Its message tells another digest than its run has."""
    commit_id = ada.git("rev-parse", "churn@v1.0.0^{commit}")
    body = ada.git("for-each-ref", "--format=%(contents)", "refs/tags/churn@v1.0.0")
    digest = body.partition("Digest: sha256:")[2][:64]
    body = body.replace(digest, "0" * 64).replace("churn v1.0.0", "churn v3.0.0")
    ada.git("tag", "--annotate", "--cleanup=verbatim", "--message", body, "churn@v3.0.0", commit_id)
    ada.git("push", "--quiet", "origin", "churn@v3.0.0")
    edited(ada, "production: v1.0.0", "production: v3.0.0")
    report = check(ada)
    assert "the tag 'churn@v3.0.0' tells the digest" in messages(report)
    assert not report.passed


def test_a_stage_is_one_of_the_policy(ada: Clone) -> None:
    """A change can't invent one that has no gates."""
    edited(ada, "  production: v1.0.0", "  production: v1.0.0\n\n  prod: v1.0.0")
    why = "the policy knows no stage 'prod'; the stages are staging, production"
    assert why in messages(check(ada))
    edited(ada, "  prod: v1.0.0", "gates: {live: [signed]}")
    assert "the policy knows no stage 'live'" in messages(check(ada))


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("registry.yaml", "schema: 1\ngates: {staging: [age > 1]}\n", "gates/staging/0"),
        ("registry/other.yaml", "schema: 1\nstage: {}\n", "did you mean 'stages'"),
        ("registry/other.yaml", "<<<<<<< a\n=======\n>>>>>>> b\n", "unresolved merge"),
        ("registry/other.yaml", "a: &a [1]\nb: [*a, *a]\n", "alias"),
        ("registry/a.b.yaml", "schema: 1\n", "no model can have the name of this file"),
        ("registry/Churn.yaml", "schema: 1\n", "only in case"),
        ("gitml.yaml", "zzz: 1\n", "unknown key 'zzz'"),
        ("part/gitml.yaml", "zzz: 1\n", "unknown key 'zzz'"),
    ],
)  # fmt: skip
def test_every_file_of_gitml_is_validated(ada: Clone, path: str, text: str, why: str) -> None:
    """As it is in git, not as it is on disk."""
    commit(ada, {path: text})
    (ada.folder / path).unlink()
    report = check(ada)
    assert f"{path.lower()}: " in messages(report).lower()
    assert why in messages(report)
    assert not report.passed


def test_settings_that_are_checked_out_decide_nothing(ada: Clone, call: Caller) -> None:
    """Not even whether the check can be made."""
    commit(ada, {"gitml.yaml": "ledger: {remote: evil}\nzzz: 1\n"})
    said = call("ci", "check", "--base", "origin/main", code=1)
    (line,) = said.lines
    assert line.startswith("gitml.yaml: line 2, column 1: unknown key 'zzz'")


def test_both_sides_may_have_merged_one_another(ada: Clone) -> None:
    """Then the change has no one start, and all that differs from the base is judged."""
    trained(ada, 0.5)
    branch = proposal(ada)
    ada.git("switch", "--quiet", "main")
    commit(ada, {"a.txt": "a"})
    ada.git("switch", "--quiet", "--create", "other", branch)
    commit(ada, {"b.txt": "b"})
    ada.git("switch", "--quiet", "main")
    ada.git("merge", "--quiet", "--no-edit", "--strategy=ours", branch)
    commit(ada, {"c.txt": "c"})
    ada.git("push", "--quiet", "origin", "main")
    ada.git("switch", "--quiet", "other")
    ada.git("merge", "--quiet", "--no-edit", "main~2")
    assert len(ada.git("merge-base", "--all", "origin/main", "other").split()) == 2
    assert outcomes(check(ada))["metrics.auc >= 0.9"] == "failed"


def test_a_link_is_not_followed(ada: Clone) -> None:
    """Into the job's own files."""
    (ada.folder / "registry" / "evil.yaml").symlink_to("/etc/passwd")
    commit(ada, {})
    why = "registry/evil.yaml: it is a link or a submodule; make it a file"
    assert messages(check(ada)) == why
    ada.git("rm", "--quiet", "registry/evil.yaml")
    entry = f"160000,{'1' * 40},registry/evil.yaml"
    ada.git("update-index", "--add", "--cacheinfo", entry)
    ada.git("commit", "--quiet", "--message", "A submodule")
    assert messages(check(ada)) == why


@pytest.mark.parametrize("char", ["\u202e", "\u2066", "\u200b", "\u061c"])
def test_what_is_not_seen_is_told(ada: Clone, char: str) -> None:
    """In a comment, too: who reviews the file would read something else than gitml."""
    edited(ada, "schema: 1\n", f"schema: 1\n# v1.0.1 {char}\n")
    (problem,) = check(ada).problems
    assert (problem.path, problem.line) == (FILE, 2)
    assert f"U+{ord(char):04X}, which is not seen" in problem.message


def test_a_folder_is_no_file_of_a_model(ada: Clone) -> None:
    """It is told, and merged all the same it keeps nobody from what the other files say."""
    on_main(ada, {"registry/evil.yaml/part": "schema: 1\n"})
    commit(ada, {"train.py": "other"})
    assert messages(check(ada)) == "registry/evil.yaml: it is a folder; make it a file"
    assert [*desired.read_at(ada.place.repo, "HEAD")] == ["churn"]


def test_what_the_base_says_must_be_readable(ada: Clone) -> None:
    """No policy is not the same as one that is broken."""
    on_main(ada, {"registry.yaml": "schema: 1\ngates: {production: [nonsense]}\n"})
    with pytest.raises(FormatError, match="there is no gate 'nonsense'"):
        check(ada)


@pytest.mark.parametrize("base", ["--upload-pack=x", "nothing", "f" * 40])
def test_a_base_that_is_not_there_is_told(ada: Clone, base: str) -> None:
    """In one line, whatever git would make of it."""
    from gitml.errors import GitmlError

    with pytest.raises(GitmlError):
        check(ada, base)


# -- telling it ------------------------------------------------------------------------------


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


def test_the_command_ends_with_1_and_the_reasons(ada: Clone, call: Caller) -> None:
    """As text and as JSON; with 0 when all is well."""
    trained(ada, 0.85)
    proposal(ada)
    done = call("ci", "check", "--base", "origin/main", code=1)
    assert done.lines[:2] == [
        "churn: v1.0.1 in production",
        "  no  metrics.auc >= 0.9: metrics.auc is 0.85, asked >= 0.9",
    ]
    told = call("ci", "check", "--base", "origin/main", "--format", "json", code=1).json
    assert (told["passed"], told["changes"][0]["gates"][0]["outcome"]) == (False, "failed")
    assert call("ci", "check", "--base", "HEAD").lines == [
        "no stage changes hands, and the files are sound"
    ]


def test_the_report_is_markdown(ada: Clone, call: Caller, tmp_path: Path) -> None:
    """On the terminal, in a file, and beside the check."""
    trained(ada, 0.953)
    proposal(ada)
    page = call("ci", "report", "--base", "origin/main").out
    assert page.startswith("## ✅ All gates are passed\n")
    assert "### ✅ `churn` `v1.0.1` in `production`" in page
    assert "| `auc` | 0.95 | 0.953 | +0.003, **better** |" in page
    call("ci", "report", "--base", "origin/main", "--output", tmp_path / "a.md")
    call("ci", "check", "--base", "origin/main", "--report", tmp_path / "b.md")
    assert (tmp_path / "a.md").read_text() == (tmp_path / "b.md").read_text() == page


def test_in_a_job_of_github_lines_are_marked(
    ada: Clone, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's own text is no command."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    commit(ada, {"registry/other.yaml": "schema: 1\nstage: {}\n"})
    lines = call("ci", "check", "--base", "origin/main", code=1).lines
    assert lines[0].startswith("::stop-commands::")
    assert lines[-2] == lines[0].replace("stop-commands::", "") + "::"
    assert lines[-1].startswith("::error file=registry/other.yaml,line=2,title=gitml::")


def judged(report: Report, text: str) -> Report:
    """A report in which a gate's words, a path and a message are from outside."""
    (item,) = report.judged
    assert item.proposed is not None
    run = replace(item.proposed.run, name=text, user=text, params={text: text})
    verdict = Verdict(text, "failed", text)
    proposed = replace(item.proposed, run=run)
    problem = checking.Problem(text, text, 3)
    return replace(
        report, problems=(problem,), judged=(replace(item, proposed=proposed, verdicts=(verdict,)),)
    )


EVIL = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))",
    "a | b", "`x` ``y``", "@ada", "#123", "</details>", "<!-- gitml:report:churn -->",
    "\x1b[31mred", "\u202egnp.exe", "x" * 100_000, "a\n::error::b", "##[error]x", "::set-output::y",
    HOSTILE,
]  # fmt: skip


def skeleton(page: str) -> list[tuple[str, str]]:
    """What a renderer makes of a page: its elements, and HTML; not the text, nor inline code."""
    from markdown_it import MarkdownIt

    found = []
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(page):
        for it in (token, *(token.children or ())):
            if it.type not in ("inline", "text", "code_inline", "text_special"):
                found.append((it.type, it.content))
    return found


def test_what_is_from_outside_is_inert_wherever_it_is_told(ada: Clone) -> None:
    """A page's elements are the same whatever runs and files say; a job's log has no command."""
    trained(ada, 0.953)
    proposal(ada)
    honest = check(ada)
    usual = skeleton(markdown.page(judged(honest, "x")))
    assert ("table_open", "") in usual
    for text in EVIL:
        report = judged(honest, text)
        page = markdown.page(report)
        assert skeleton(page) == usual, text
        assert not UNSAFE.search(page)
        assert len(page) < 20_000
        for line in log.errors(report):
            assert line.startswith("::error file=")
            assert line.replace("\u200b", "").isprintable()
            assert "##[" not in line
        quoted = [*log.quoted([text, "token"], "token")]
        assert (quoted[0], quoted[-1]) == ("::stop-commands::token", "::token::")
        assert not any("##[" in line or "token" in line for line in quoted[1:-1])
        json.dumps(to_document(report))


@pytest.mark.parametrize("path", ["../../x", "/etc/passwd", "a/../../b", "..", "a\\\\b", "a//b"])
def test_a_path_that_leads_out_of_its_run(ada: Clone, path: str) -> None:
    """It is refused where it is written, as any other fault, and not first when it is deployed."""
    trained(ada, 0.96)
    proposal(ada)
    text = (ada.folder / FILE).read_text()
    (line,) = [it for it in text.splitlines() if it.startswith("  v1.0.1:")]
    commit(ada, {FILE: text.replace(line, line.replace("path: model", f'path: "{path}"'))})
    (problem,) = check(ada).problems
    assert "is not the path of a model in its run" in problem.message
    assert problem.line == text.splitlines().index(line) + 1
    assert f"line {problem.line}, column " in problem.message


def test_a_record_that_tells_another_signature_than_the_model(ada: Clone) -> None:
    """Else a forged record makes a model that breaks its clients a compatible one."""
    trained(ada, 0.96, signature=columns(a="long"), declared=columns(b="string"))
    proposal(ada)
    assert "its run tells another signature than its MLmodel" in messages(check(ada))


def test_a_model_that_git_does_not_have_is_noted(ada: Clone, tmp_path: Path) -> None:
    """The gate goes by the record then, and whoever reviews reads so."""
    storage.set_project_remote(ada.folder, str(tmp_path / "dvc"))
    trained(ada, 0.96, weights=b"1" * 200_000)
    proposal(ada)
    report = check(ada)
    assert (report.problems, report.passed) == ((), True)
    assert "its MLmodel is with its large files in DVC" in report.remarks[0]
