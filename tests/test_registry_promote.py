"""Promotion: a branch with one commit, from wherever the user is, that others review."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import gitml
from gitml.errors import FormatError, GitError, UsageError
from gitml.registry import desired, files, promoting
from gitml.registry.change import former, key_metrics
from gitml.registry.checking import check
from gitml.registry.promoting import Promotion
from gitml.registry.version import Version
from gitml.tracking.initialize import init
from gitml.tracking.record import MetricSummary
from tests import invariants
from tests import test_repository_states as states
from tests.cli import Caller
from tests.clones import Clone, clone, team
from tests.conftest import run_git
from tests.registered import alone, columns, log, register

FILE = "registry/churn.yaml"
STAGES = ("staging", "production")


@pytest.fixture
def ada(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A clone with two versions of churn and a policy, all of it at the remote."""
    (one,) = team(tmp_path, bare, "ada")
    init(one.folder)
    one.git("add", ".")
    one.git("commit", "--quiet", "--message", "Set up gitml")
    one.git("push", "--quiet", "origin", "main")
    for _ in range(2):
        log(one, signature=columns(a="long"), metrics={"auc": 0.9})
        register(one)
    monkeypatch.chdir(one.folder)
    return one


def promote(one: Clone, version: str, stage: str = "production", **more: bool) -> Promotion:
    """Promote a version of churn."""
    return promoting.promote(one.place, "churn", stage, version, **more)


def merge(bare: Path, branch: str) -> None:
    """Merge a branch at the remote, as a forge does."""
    tree = run_git(bare, "merge-tree", "--write-tree", "main", branch)
    who = ("-c", "user.name=forge", "-c", "user.email=forge@example.org")
    commit = run_git(bare, *who, "commit-tree", "-p", "main", "-p", branch, "-m", "merge", tree)
    run_git(bare, "update-ref", "refs/heads/main", commit)


def on_main(one: Clone, path: str, text: str) -> None:
    """Put a file on the main branch, as any other change comes there."""
    (one.folder / path).parent.mkdir(exist_ok=True)
    (one.folder / path).write_text(text)
    one.git("add", path)
    one.git("commit", "--quiet", "--message", f"Write {path}")
    one.git("push", "--quiet", "origin", "HEAD:main")


def decided(bare: Path, rev: str = "main") -> files.ModelFile:
    """What churn's file says in a commit."""
    return files.parse(run_git(bare, "show", f"{rev}:{FILE}").encode() + b"\n", FILE)


def held(bare: Path, rev: str = "main") -> dict[str, str]:
    """Who holds which stage there."""
    return {stage: str(version) for stage, version in decided(bare, rev).stages.items()}


# -- what a promotion is ---------------------------------------------------------------------


def test_a_promotion_is_one_commit_that_changes_one_file(ada: Clone, bare: Path) -> None:
    """On a branch from main, after the one that begins the file; the version has its line."""
    done = promote(ada, "v1.0.0")
    branch = "promote/churn/production/v1.0.0"
    assert done.published is not None
    assert (done.published.branch, done.published.base) == (branch, "main")
    assert run_git(bare, "rev-parse", branch) == done.published.commit
    assert run_git(bare, "log", "--format=%s", f"main..{branch}").splitlines() == [
        "churn: v1.0.0 in production", "churn: a file with a place for each stage",
    ]  # fmt: skip
    assert run_git(bare, "diff", "--name-only", "main", branch) == FILE
    assert run_git(bare, "log", "-1", "--format=%an <%ae>%n%B", branch) == (
        "ada <ada@example.org>\n"
        "churn: v1.0.0 in production\n\n"
        "v1.0.0 takes the stage production; no version held it.\n\n"
        "Model: churn\nStage: production\nVersion: v1.0.0\n"
    )
    entry = decided(bare, branch).versions[Version(1, 0, 0)]
    commit = run_git(bare, "rev-parse", "churn@v1.0.0^{commit}")
    assert (entry.commit, entry.path, dict(entry.metrics)) == (commit, "model", {"auc": 0.9})
    assert held(bare, branch) == {"production": "v1.0.0"}


def test_a_version_that_loses_its_stage_is_archived(ada: Clone, bare: Path) -> None:
    """The promotion says so, and the merged file does; other stages of a version stay."""
    for version in ("v1.0.0", "v1.0.1"):
        done = promote(ada, version)
        assert done.published is not None
        merge(bare, done.published.branch)
    assert done.change is not None
    assert done.change.sentence == (
        "v1.0.1 takes the stage production; v1.0.0 held it. Archived: v1.0.0."
    )
    assert decided(bare).archived == (Version(1, 0, 0),)
    back = promote(ada, "v1.0.0", "staging")
    assert back.published is not None
    assert decided(bare, back.published.branch).archived == ()


def test_a_version_that_was_archived_by_name_is_so_no_more(ada: Clone, bare: Path) -> None:
    """Once it takes a stage."""
    (ada.folder / "registry").mkdir()
    (ada.folder / FILE).write_text("schema: 1\narchived: [v1.0.1]  # slow\nowners: [ml]\n")
    ada.git("add", ".")
    ada.git("commit", "--quiet", "--message", "Archive")
    ada.git("push", "--quiet", "origin", "main")
    done = promote(ada, "v1.0.1")
    assert done.published is not None
    now = decided(bare, done.published.branch)
    assert (now.archived, now.owners) == ((), ("ml",))


@pytest.mark.parametrize("file", ["", "schema: 1\nowners: [ml]\n"])
def test_first_promotions_merge_in_either_order(
    ada: Clone, bare: Path, tmp_path: Path, file: str
) -> None:
    """Of a model without a file, or with one that knows no stages; main has moved meanwhile."""
    if file:
        on_main(ada, FILE, file)
    bo = clone(tmp_path, bare, "bo")
    bo.pull()
    branches = []
    for one, version, stage in ((ada, "v1.0.0", "staging"), (bo, "v1.0.1", "production")):
        done = promote(one, version, stage)
        assert done.published is not None
        branches.append(done.published.branch)
        on_main(ada, "other.txt", version)
    start, results = run_git(bare, "rev-parse", "main"), []
    for order in (branches, branches[::-1]):
        run_git(bare, "update-ref", "refs/heads/main", start)
        for branch in order:
            merge(bare, branch)
        assert held(bare) == {"staging": "v1.0.0", "production": "v1.0.1"}
        results.append(run_git(bare, "rev-parse", "main^{tree}"))
    assert results[0] == results[1]
    assert run_git(bare, "show", "main:other.txt") == "v1.0.1"


# The buttons of a forge: each puts a branch on main in its own way, or can't.


def by_merge(one: Clone, branch: str) -> bool:
    """Join the branch to main by a commit with two parents."""
    return _done(one, "merge", "--quiet", "--no-ff", "--no-edit", f"origin/{branch}")


def by_squash(one: Clone, branch: str) -> bool:
    """Put all that the branch changes on main as one new commit."""
    if not _done(one, "merge", "--quiet", "--squash", f"origin/{branch}"):
        return False
    return _done(one, "commit", "--quiet", "--message", f"{branch} (#1)")


def by_rebase(one: Clone, branch: str) -> bool:
    """Put copies of the branch's commits on main; GitHub makes new ones always."""
    one.git("switch", "--quiet", "--detach", f"origin/{branch}")
    if not _done(one, "rebase", "--quiet", "--no-ff", "--empty=drop", "main"):
        _done(one, "rebase", "--abort")
        return False
    tip = one.git("rev-parse", "HEAD")
    one.git("switch", "--quiet", "main")
    return _done(one, "reset", "--quiet", "--hard", tip)


def _done(one: Clone, *command: str) -> bool:
    argv = ("git", *command)
    return not subprocess.run(argv, cwd=one.folder, capture_output=True, check=False).returncode


BUTTONS = {"merge": by_merge, "squash": by_squash, "rebase": by_rebase}


def pressed(one: Clone, button: str, branch: str) -> bool:
    """Press a button of the forge; whether it could be done."""
    one.git("fetch", "--quiet", "origin")
    one.git("reset", "--quiet", "--hard")  # what could not be done before
    one.git("switch", "--quiet", "main")
    one.git("reset", "--quiet", "--hard", "origin/main")
    if not BUTTONS[button](one, branch):
        return False
    one.git("push", "--quiet", "origin", "HEAD:main")
    return True


def branch_of(done: Promotion) -> str:
    """The branch of a promotion."""
    assert done.published is not None
    return done.published.branch


@pytest.mark.parametrize("button", BUTTONS)
@pytest.mark.parametrize("order", ["forward", "backward"])
def test_every_button_merges_two_stages(
    ada: Clone, bare: Path, tmp_path: Path, button: str, order: str
) -> None:
    """Of a model that has a file, with or without a version in it."""
    desired.change(ada.place, "churn", lambda _: files.described("Who leaves"))
    on_main(ada, FILE, (ada.folder / FILE).read_text())
    forge = clone(tmp_path, bare, "forge")
    for round in (("v1.0.0", "v1.0.1"), ("v1.0.1", "v1.0.0")):
        made = [promote(ada, it, stage) for it, stage in zip(round, STAGES, strict=True)]
        for done in made if order == "forward" else made[::-1]:
            assert pressed(forge, button, branch_of(done))
        assert held(bare) == dict(zip(STAGES, round, strict=True))


@pytest.mark.parametrize("button", BUTTONS)
def test_every_button_merges_many_models(
    ada: Clone, bare: Path, tmp_path: Path, button: str
) -> None:
    """Each begins a file of its own."""
    names = [f"m{number}" for number in range(10)]
    run = log(ada, signature=columns(a="long"))
    branches = []
    for name in names:
        register(ada, name, run=run)
        branches.append(branch_of(promoting.promote(ada.place, name, "production")))
    forge = clone(tmp_path, bare, "forge")
    for branch in (branches[4], *branches[5:], *branches[3::-1]):
        assert pressed(forge, button, branch)
    listed = run_git(bare, "ls-tree", "--name-only", "main", "registry/").split()
    assert listed == [f"registry/{name}.yaml" for name in names]


# What git can do with the second of two that begin one file, once the first came by a button.
TAKEN = {"merge": {"merge", "squash", "rebase"}, "squash": set(), "rebase": {"rebase"}}


@pytest.mark.parametrize("first", BUTTONS)
@pytest.mark.parametrize("second", BUTTONS)
def test_two_beginnings_of_one_file(
    ada: Clone, bare: Path, tmp_path: Path, first: str, second: str
) -> None:
    """A copy of the shared beginning leaves git nothing in common: the check says what to do."""
    staging, production = (branch_of(promote(ada, "v1.0.0", it)) for it in STAGES)
    forge = clone(tmp_path, bare, "forge")
    assert pressed(forge, first, staging)
    if second in TAKEN[first]:
        assert pressed(forge, second, production)
    else:
        assert not pressed(forge, second, production)
        forge.git("fetch", "--quiet")
        report = check(forge.place, "origin/main", f"origin/{production}")
        assert "gitml registry promote churn VERSION STAGE" in report.problems[0].message
        assert branch_of(promote(ada, "v1.0.0")) == production
        forge.git("fetch", "--quiet")
        assert check(forge.place, "origin/main", f"origin/{production}").problems == ()
        # What was brought up to date has a merge in it, over which no rebase need get.
        assert pressed(forge, "squash" if second == "rebase" else second, production)
    assert held(bare) == {"staging": "v1.0.0", "production": "v1.0.0"}


def test_a_first_promotion_that_was_squashed(ada: Clone, bare: Path) -> None:
    """The next one is brought up to date by proposing it again, and merges then."""
    staging, production = promote(ada, "v1.0.0", "staging"), promote(ada, "v1.0.1")
    assert staging.published is not None
    on_main(ada, FILE, run_git(bare, "show", f"{staging.published.commit}:{FILE}") + "\n")
    again = promote(ada, "v1.0.1")
    assert production.published is not None
    assert again.published is not None
    merge(bare, again.published.branch)
    assert held(bare) == {"staging": "v1.0.0", "production": "v1.0.1"}


def test_a_second_time_nothing_is_new(ada: Clone, bare: Path) -> None:
    """The same branch with the same commit; once merged there is nothing to promote."""
    first, again = promote(ada, "v1.0.0"), promote(ada, "v1.0.0")
    assert first.published == again.published
    merge(bare, "promote/churn/production/v1.0.0")
    assert promote(ada, "v1.0.0").change is None


def test_an_open_promotion_is_brought_up_to_date(ada: Clone, bare: Path) -> None:
    """When the file has changed on main meanwhile, by commits that follow what is there."""
    first = promote(ada, "v1.0.1")
    other = promote(ada, "v1.0.0")
    assert first.published is not None
    assert other.published is not None
    merge(bare, other.published.branch)
    again = promote(ada, "v1.0.1")
    assert again.published is not None
    run_git(bare, "merge-base", "--is-ancestor", first.published.commit, again.published.commit)
    merge(bare, again.published.branch)
    assert held(bare) == {"production": "v1.0.1"}


def test_a_branch_of_a_merged_promotion_is_used_again(ada: Clone, bare: Path) -> None:
    """Nobody has to delete branches: there and back, and there again."""
    for version in ("v1.0.0", "v1.0.1", "v1.0.0", "v1.0.1"):
        done = promote(ada, version)
        assert done.published is not None
        merge(bare, done.published.branch)
        assert held(bare) == {"production": version}


def test_a_branch_with_changes_of_others_is_left_alone(ada: Clone, bare: Path) -> None:
    """Whoever put them there decides."""
    promote(ada, "v1.0.0")
    ada.git("fetch", "--quiet")
    ada.git("switch", "--quiet", "promote/churn/production/v1.0.0")
    (ada.folder / "train.py").write_text("other")
    ada.git("commit", "--quiet", "--all", "--message", "More")
    ada.git("push", "--quiet")
    with pytest.raises(UsageError, match="holds other changes, too; merge or delete it first"):
        promote(ada, "v1.0.0")


def test_two_people_promote_at_once(ada: Clone, tmp_path: Path, bare: Path) -> None:
    """Directly, two stages: the second begins anew on what the first has pushed."""
    bo = clone(tmp_path, bare, "bo")
    bo.pull()
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(promote, one, version, stage, direct=True)
            for one, version, stage in ((ada, "v1.0.0", "staging"), (bo, "v1.0.1", "production"))
        ]
        assert all(job.result().published for job in jobs)
    assert held(bare) == {"staging": "v1.0.0", "production": "v1.0.1"}
    assert run_git(bare, "log", "--format=%s", "-2", "main").count("churn: v1.0.") == 2


def test_the_latest_version_is_promoted_unless_one_is_named(ada: Clone) -> None:
    """As in `models:/churn/latest`."""
    assert promoting.promote(ada.place, "churn", "STAGING").version == Version(1, 0, 1)


# -- where the user is -----------------------------------------------------------------------

WHERE: list[Callable[[Path, Path], object]] = [
    states.detached, states.failing_hooks, states.in_a_bisect, states.in_a_merge,
    states.in_a_rebase, states.line_endings, states.locked_index, states.nobody,
    states.odd_settings, states.replaced, states.sparse, states.split_index,
]  # fmt: skip


@pytest.mark.parametrize("state", WHERE, ids=lambda state: state.__name__)
def test_the_work_tree_is_never_touched(
    ada: Clone, bare: Path, tmp_path: Path, state: Callable[[Path, Path], object]
) -> None:
    """Whatever the user is in the middle of; files, index, HEAD and branches stay."""
    (ada.folder / "staged.py").write_text("staged")
    state(ada.folder, tmp_path)
    (ada.folder / "train.py").write_text("dirty")
    (ada.folder / "registry").mkdir(exist_ok=True)
    (ada.folder / FILE).write_text("not even YAML: [")
    before = invariants.UserState.of(ada.folder)
    done = promote(ada, "v1.0.1")
    assert done.published is not None
    changed = before.differences(invariants.UserState.of(ada.folder))
    assert [name for name in changed if "remotes/origin/" not in name] == []
    assert run_git(bare, "diff", "--name-only", "main", done.published.branch) == FILE


def test_a_shallow_clone_will_do(ada: Clone, bare: Path, tmp_path: Path) -> None:
    """A job of CI has the tip of the main branch only."""
    run_git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{bare}", "shallow")
    one = Clone(tmp_path / "shallow")
    one.git("config", "user.name", "ci")
    one.git("config", "user.email", "ci@example.org")
    one.pull()
    done = promote(one, "v1.0.1")
    assert done.published is not None
    assert held(bare, done.published.branch) == {"production": "v1.0.1"}


# -- the main branch itself ------------------------------------------------------------------


def test_without_review_the_main_branch_gets_the_commit(ada: Clone, bare: Path) -> None:
    """With `direct`; there is no branch."""
    done = promote(ada, "v1.0.0", direct=True)
    assert done.published is not None
    assert run_git(bare, "rev-parse", "main") == done.published.commit
    assert run_git(bare, "branch", "--list", "promote/*") == ""


def test_a_protected_main_branch_refuses(ada: Clone, bare: Path) -> None:
    """The error says what the remote does not take."""
    hook = bare / "hooks" / "update"
    hook.write_text(
        "#!/bin/sh\n[ $1 != refs/heads/main ] || {"
        ' echo "GH013: Changes must be made through a pull request." >&2; exit 1; }\n'
    )
    hook.chmod(0o755)
    with pytest.raises(GitError, match=r"main through pull requests .* leave out --direct"):
        promote(ada, "v1.0.0", direct=True)
    assert promote(ada, "v1.0.0").published is not None


def test_a_repository_without_remotes_has_the_branch_here(repo: Path) -> None:
    """For the user to merge; the branch that is checked out is not moved under the files."""
    one = alone(repo)
    log(one)
    register(one)
    with pytest.raises(UsageError, match=r"'main' is checked out here.*git merge promote/churn/"):
        promote(one, "v1.0.0", direct=True)
    done = promote(one, "v1.0.0")
    assert done.published is not None
    assert done.published.opened is None
    run_git(repo, "merge", "--quiet", done.published.branch)
    assert held(repo) == {"production": "v1.0.0"}
    run_git(repo, "switch", "--quiet", "--detach")
    assert promote(one, "v1.0.0", "staging", direct=True).published is not None
    assert held(repo) == {"production": "v1.0.0", "staging": "v1.0.0"}


# -- back again ------------------------------------------------------------------------------


def test_rollback_gives_the_stage_to_the_version_before(ada: Clone, bare: Path) -> None:
    """By the same road, and forward only: the history keeps all of it."""
    log(ada, signature=columns(a="long"))
    register(ada)
    for version in ("v1.0.0", "v1.0.1", "v1.0.2"):
        promote(ada, version, direct=True)
    back = promoting.rollback(ada.place, "churn", "production")
    assert back.published is not None
    assert back.published.branch == "rollback/churn/production/v1.0.1"
    assert run_git(bare, "log", "-1", "--format=%s", back.published.branch) == (
        "churn: back to v1.0.1 in production"
    )
    merge(bare, back.published.branch)
    assert held(bare) == {"production": "v1.0.1"}
    assert promoting.rollback(ada.place, "churn", "production").version == Version(1, 0, 0)


def test_there_may_be_nothing_to_go_back_to(ada: Clone) -> None:
    """The first version of a stage has none before it; and there may be none at all."""
    with pytest.raises(UsageError, match="no version of churn has ever held production, so there"):
        promoting.rollback(ada.place, "churn", "production")
    promote(ada, "v1.0.0", direct=True)
    with pytest.raises(UsageError, match="no version of churn held production before"):
        promoting.rollback(ada.place, "churn", "production")


@pytest.mark.parametrize(
    ("held", "back"),
    [("1 2", 1), ("1 2 3", 2), ("1 2 3 2", 1), ("1 2 3 2 3", 2), ("1 - 2", 1), ("1 2 1 3", 1)],
)
def test_what_was_taken_back_does_not_come_back(held: str, back: int) -> None:
    """A second rollback goes one further, not to the version that was bad."""
    steps = [None if it == "-" else Version(int(it), 0, 0) for it in held.split()]
    assert former("churn", "production", steps) == Version(back, 0, 0)


# -- what is refused -------------------------------------------------------------------------


def test_what_is_not_there_is_not_promoted(ada: Clone) -> None:
    """A model, a version, a stage: with the names that there are."""
    for name, stage, version, why in (
        ("chrun", "production", "latest", "did you mean 'churn'"),
        ("churn", "production", "v9.0.0", "it has: v1.0.0, v1.0.1"),
        ("churn", "prod", "latest", "registry.yaml knows no stage 'prod'.*production"),
    ):
        with pytest.raises(UsageError, match=why):
            promoting.promote(ada.place, name, stage, version)


def test_a_forged_version_is_not_promoted(ada: Clone) -> None:
    """Its tag tells a digest that its run does not have."""
    commit = ada.git("rev-parse", "churn@v1.0.0^{commit}")
    body = ada.git("for-each-ref", "--format=%(contents)", "refs/tags/churn@v1.0.0")
    digest = body.partition("Digest: sha256:")[2][:64]
    forged = body.replace(digest, "0" * 64).replace("churn v1.0.0", "churn v3.0.0")
    ada.git("tag", "--annotate", "--cleanup=verbatim", "--message", forged, "churn@v3.0.0", commit)
    with pytest.raises(FormatError, match="it is not what was registered"):
        promote(ada, "v3.0.0")


def test_a_version_of_a_run_that_nobody_vouches_for(tmp_path: Path, ada: Clone, bare: Path) -> None:
    """A tag alone makes nobody's run one of this repository; its ledger does."""
    run_git(tmp_path, "clone", "--quiet", "--single-branch", str(bare), "bo")
    bo = Clone(tmp_path / "bo")
    with pytest.raises(UsageError, match=r"churn v1\.0\.0 is not in this .* run: gitml pull"):
        promote(bo, "v1.0.0")
    bo.pull()
    assert promote(bo, "v1.0.0").published is not None


def test_a_link_in_place_of_the_file_is_not_followed(ada: Clone) -> None:
    """On the main branch, whoever put it there."""
    (ada.folder / "registry").mkdir()
    (ada.folder / FILE).symlink_to("../train.py")
    ada.git("add", ".")
    ada.git("commit", "--quiet", "--message", "A link")
    ada.git("push", "--quiet", "origin", "main")
    with pytest.raises((UsageError, FormatError)):
        promote(ada, "v1.0.0")


def test_a_file_that_is_broken_on_main_is_named(ada: Clone) -> None:
    """Nothing is pushed then."""
    (ada.folder / "registry").mkdir()
    (ada.folder / FILE).write_text("schema: 1\nstage: {}\n")
    ada.git("add", ".")
    ada.git("commit", "--quiet", "--message", "Broken")
    ada.git("push", "--quiet", "origin", "main")
    with pytest.raises(FormatError, match=r"registry/churn.yaml: line 2.*did you mean 'stages'"):
        promote(ada, "v1.0.0")


def test_many_metrics_are_not_all_told() -> None:
    """Those that gates ask for are; those of the machine never."""
    many = {f"m{at:02}": MetricSummary(float(at), 0, 0.0, 0.0, 1) for at in range(50)}
    found = key_metrics({**many, "system/cpu": many["m00"]}, ["m49", "no"])
    assert len(found) == 20
    assert {"m49", "m00"} <= {*found}


# -- the command line and Python -------------------------------------------------------------


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


@pytest.mark.parametrize(
    "words",
    [
        ["churn@v1.0.0", "production"],
        ["churn", "v1.0.0", "production"],
        ["churn", "v1.0.0", "--stage", "production"],
        ["churn@1.0.0", "--stage", "Production"],
    ],
)
def test_a_version_and_a_stage_are_named(ada: Clone, call: Caller, words: list[str]) -> None:
    """In either form."""
    done = call("registry", "promote", *words)
    assert done.lines[:2] == [
        "churn: v1.0.0 in production",
        "branch promote/churn/production/v1.0.0",
    ]
    assert "no version held it" in done.err


def test_the_command_says_where_it_went(ada: Clone, call: Caller) -> None:
    """A commit on main, a page to open, or that there was nothing to do."""
    done = call("registry", "promote", "churn@v1.0.0", "production", "--direct")
    assert done.lines[1].startswith("committed to main as ")
    done = call("registry", "promote", "churn@v1.0.0", "production")
    assert (done.out, done.err) == ("", "churn v1.0.0 holds production already; nothing to do\n")
    call("registry", "promote", "churn", "production", "--direct")
    done = call("registry", "rollback", "churn", "production")
    assert done.lines[0] == "churn: back to v1.0.0 in production"
    assert "say which stage" in call("registry", "promote", "churn", code=2).err


def test_python_promotes_too(ada: Clone) -> None:
    """`gitml.registry` has both."""
    done = gitml.registry.promote("churn", "production", "v1.0.0", direct=True)
    assert (str(done.version), done.stage) == ("v1.0.0", "production")
    gitml.registry.promote("churn", "production", direct=True)
    assert gitml.registry.rollback("churn", "production", direct=True).version == Version(1, 0, 0)
