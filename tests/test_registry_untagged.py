"""Versions whose tag the remote refuses: they go through the promotion, and CI makes the tag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import gitml
import gitml.registry
from gitml import git as gate
from gitml.ci import needs
from gitml.ci import version as job_version
from gitml.deploy import release
from gitml.errors import FormatError, UsageError
from gitml.registry import (
    catalog,
    desired,
    files,
    promoting,
    publishing,
    registering,
    syncing,
    untagged,
)
from gitml.registry.asked import RegistrationWarning
from gitml.registry.checking import Report, check
from gitml.registry.entries import VersionEntry, new_file
from gitml.registry.verifying import verify
from gitml.registry.version import parse_version
from gitml.tracking import changes, store
from tests.cli import Caller
from tests.clones import Clone, team
from tests.conftest import run_git
from tests.promoted import tags, trained
from tests.refusing import merge, refuse
from tests.registered import register
from tests.signing import key_of, signing


@pytest.fixture
def people(tmp_path: Path, bare: Path) -> list[Clone]:
    """Ann, Bob and CI, in clones of a remote that refuses tags of versions to people."""
    found = team(tmp_path, bare, "ann", "bob", "ci")
    refuse(bare)
    return found


@pytest.fixture
def as_ci(monkeypatch: pytest.MonkeyPatch) -> Callable[[Clone], list[syncing.Synced]]:
    """Sync as CI does, whose identity may make tags."""

    def sync(clone: Clone) -> list[syncing.Synced]:
        monkeypatch.setenv("GITML_TEST_CI", "1")
        try:
            return syncing.sync(clone.place)
        finally:
            monkeypatch.delenv("GITML_TEST_CI")

    return sync


def judged(clone: Clone, branch: str) -> Report:
    """The check of a branch of the remote, as a job of CI does it."""
    clone.git("fetch", "--quiet", "origin")
    return check(clone.place, "refs/remotes/origin/main", f"refs/remotes/origin/{branch}")


BRANCH = "promote/churn/production/v1.0.0"


def test_the_whole_road(
    people: list[Clone], bare: Path, as_ci: Callable[[Clone], list[syncing.Synced]]
) -> None:
    """Registered without a tag, promoted, checked, merged; sync makes both tags."""
    ann, _, ci = people
    run_id = trained(ann, 0.9)
    made = register(ann)
    assert (made.waits, str(made.tag), made.note.run_id) == (True, "churn@v1.0.0", run_id)
    assert "in the forge's rules for tags" in made.why
    assert tags(ann.folder) == tags(bare) == []
    promoting.promote(ann.place, "churn", "production")
    report = judged(ci, BRANCH)
    assert (report.problems, report.passed) == ((), True)
    assert "gitml/runs" not in ci.git("for-each-ref", "refs/heads")
    merge(ann, BRANCH)
    assert [(row.tag, row.state) for row in as_ci(ci)] == [
        ("churn@v1.0.0", "created"), ("churn#production#1", "created"),
    ]  # fmt: skip
    item = catalog.read(ci.place.repo).version("churn", "v1.0.0")
    assert (item.commit, item.note.run_id, item.note.digest) == (
        made.commit, run_id, made.note.digest,
    )  # fmt: skip
    ann.pull()
    assert verify(ann.place, remote=True) == []
    now = desired.read_at(ci.place.repo, "refs/remotes/origin/main")["churn"]
    ready = release.prepare(ci.place, item, now, bare.parent / "deployed")
    assert (ready.name, ready.version) == ("churn", "v1.0.0")
    assert untagged.waiting(ann.place) == ()
    assert "refs/gitml/untagged" not in ann.git("for-each-ref")


def test_the_second_version_follows_the_signature(
    people: list[Clone], as_ci: Callable[[Clone], list[syncing.Synced]]
) -> None:
    """Its number is told by the version on main, also before sync has made the tag of that one."""
    ann, bob, ci = people
    trained(ann, 0.9)
    register(ann)
    promoting.promote(ann.place, "churn", "production")
    merge(ann, BRANCH)
    bob.pull()
    trained(bob, 0.95, a="long", b="long")
    made = register(bob)
    assert (str(made.tag), made.note.change) == ("churn@v2.0.0", "incompatible")
    promoting.promote(bob.place, "churn", "staging")
    report = judged(ci, "promote/churn/staging/v2.0.0")
    assert (report.problems, report.passed) == ((), True)
    assert report.remarks == (
        "churn@v2.0.0: it has no tag yet; its run is in the remote's ledger, and sync makes the"
        " tag",
    )  # fmt: skip
    merge(bob, "promote/churn/staging/v2.0.0", squash=True)
    assert [row.tag for row in as_ci(ci)] == [
        "churn@v1.0.0", "churn@v2.0.0", "churn#staging#1", "churn#production#2",
    ]  # fmt: skip
    notes = {it.tag.version.major: it.note for it in catalog.read(ci.place.repo).versions("churn")}
    assert notes[2].change == "incompatible"


def test_what_is_told(
    people: list[Clone], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was refused, what is pushed and what to do next: by the command line and in Python."""
    ann = people[0]
    run_id = trained(ann, 0.9)
    monkeypatch.chdir(ann.folder)
    call = Caller(capsys)
    done = call("registry", "register", f"runs:/{run_id}/model", "churn")
    assert done.lines == ["churn@v1.0.0"]
    for words in (
        "refuses the tag churn@v1.0.0",
        "in the forge's rules for tags",
        "The run and its artifacts are pushed",
        "gitml registry promote churn@v1.0.0 STAGE",
    ):
        assert words in done.err
    assert "churn@v1.0.0 waits for its promotion" in call("registry", "list").err
    assert "churn@v1.0.0 waits for its promotion" in call("registry", "show", "churn").err
    with pytest.warns(RegistrationWarning, match="gitml registry promote churn@v1.0.0 STAGE"):
        made = gitml.register_model(f"runs:/{run_id}/model", "churn")
    assert (made.version, made.status) == ("v1.0.0", "PENDING_REGISTRATION")
    assert "refuses the tag churn@v1.0.0" in str(made.status_message)
    done = call("registry", "promote", "churn@v1.0.0", "production")
    assert "sync makes it after the merge" in done.err
    assert "churn@v1.0.0 waits for its promotion" in call("registry", "history", "churn").err
    merge(ann, BRANCH)
    ann.git("reset", "--quiet", "--hard", "origin/main")
    for command in (["list"], ["show", "churn"], ["history", "churn"]):
        said = call("registry", *command).err
        assert "churn@v1.0.0 has no tag here; if a pull brings none: gitml registry sync" in said
        assert "waits for its promotion" not in said
    told = gitml.registry.promote("churn", "staging")
    assert (told.waits, str(told.version)) == (True, "v1.0.0")


def test_jobs_of_ci_name_it_by_its_commit(people: list[Clone]) -> None:
    """What a gate asks CI to run is told of it, too, and a run that nobody pushed is refused."""
    ann, _, ci = people
    gate_of = "{evaluate: {entry_point: score, metrics: [metrics.auc >= 0.9]}}"
    rules = f"schema: 1\ngates: {{production: [reproduced, {gate_of}]}}\n"
    on_main(ann, {"registry.yaml": rules})
    trained(ann, 0.9)
    made = register(ann)
    promoting.promote(ann.place, "churn", "production")
    ci.git("fetch", "--quiet", "origin")
    asked = needs.needs(ci.place, "origin/main", f"origin/{BRANCH}")
    name = f"churn@v1.0.0={made.commit}/model"
    assert [(it.version, it.entry_point) for it in asked] == [(name, None), (name, "score")]
    base = ci.git("rev-parse", "origin/main")
    assert job_version.find(ci.place, base, name).run.run_id == made.note.run_id
    trained(ann, 0.95)
    other = line(ann).commit
    ann.git("push", "--quiet", "origin", f"{other}:refs/heads/work")
    with pytest.raises(FormatError, match="which is not in the ledger"):
        job_version.find(ci.place, base, f"churn@v1.0.0={other}/model")


# -- signatures ------------------------------------------------------------------------------


def key(clone: Clone, name: str) -> str:
    """Have a clone sign its tags; the line that lists the key."""
    path, text = key_of(clone.folder.parent, name)
    signing(clone, path)
    return text


def on_main(clone: Clone, texts: dict[str, str]) -> None:
    """Put files on main."""
    clone.git("pull", "--quiet", "--ff-only", "origin", "main")
    for path, text in texts.items():
        (clone.folder / path).parent.mkdir(exist_ok=True)
        (clone.folder / path).write_text(text)
    clone.git("add", ".")
    clone.git("commit", "--quiet", "--message", "Rules")
    clone.git("push", "--quiet", "origin", "HEAD:main")


def test_where_ci_does_not_sign(people: list[Clone]) -> None:
    """A list of keys that has none of CI's would leave the version without a signature."""
    ann, _, ci = people
    on_main(ann, {"registry/allowed_signers": key(ann, "ann")})
    trained(ann, 0.9)
    register(ann)
    promoting.promote(ann.place, "churn", "production")
    why = refused(ci, BRANCH)
    assert "its tag would be made by CI, which does not sign" in why


@pytest.mark.parametrize("rights", ["", "signers: {versions: [ann@example.org, ci@example.org]}\n"])
def test_where_no_key_of_ci_is_listed(people: list[Clone], rights: str) -> None:
    """The policy names CI, and the list has no such name: its signature would not count."""
    ann, _, ci = people
    rules = f"schema: 1\nci: {{signers: [ci@example.org]}}\n{rights}"
    texts = {"registry/allowed_signers": key(ann, "ann"), "gitml.yaml": "ci: {sign: true}\n"}
    on_main(ann, {**texts, "registry.yaml": rules})
    trained(ann, 0.9)
    register(ann)
    promoting.promote(ann.place, "churn", "production")
    assert "has no key of ci@example.org" in refused(ci, BRANCH)
    on_main(ann, {"registry/allowed_signers": texts["registry/allowed_signers"] + key(ci, "ci")})
    assert judged(ci, BRANCH).passed


def test_nobody_but_ci_has_signed(
    people: list[Clone], as_ci: Callable[[Clone], list[syncing.Synced]]
) -> None:
    """Where the policy asks for `signed`, neither before the tag is made nor once CI made it."""
    ann, _, ci = people
    lines = key(ann, "ann") + key(ci, "ci")
    rules = "schema: 1\ngates: {production: [signed]}\n"
    texts = {"registry/allowed_signers": lines, "registry.yaml": rules}
    on_main(ann, {**texts, "gitml.yaml": "ci: {sign: true}\n"})
    trained(ann, 0.9)
    register(ann)
    promoting.promote(ann.place, "churn", "production")
    report = judged(ci, BRANCH)
    (verdict,) = report.judged[0].verdicts
    assert (report.problems, verdict.outcome) == ((), "failed")
    assert "has no tag yet: the tag would be made by CI" in verdict.why
    promoting.promote(ann.place, "churn", "staging")  # which asks for nothing
    assert judged(ci, "promote/churn/staging/v1.0.0").passed
    merge(ann, "promote/churn/staging/v1.0.0")
    assert [row.state for row in as_ci(ci)] == ["created", "created"]
    promoting.promote(ann.place, "churn", "production")
    (verdict,) = judged(ci, BRANCH).judged[0].verdicts
    assert (verdict.outcome, verdict.why) == (
        "failed", "by CI alone, which made the tag after a merge",
    )  # fmt: skip
    assert [it.kind for it in verify(ci.place, remote=True)] == []


# -- forgeries -------------------------------------------------------------------------------


def line(clone: Clone, **told: str) -> VersionEntry:
    """The honest line of the newest run of a clone, with some of it told otherwise."""
    entry = clone.place.ledger.find(store.resolve(clone.place, "latest"))
    assert entry is not None
    digest = str(entry.record.models["model"]["digest"])
    made = VersionEntry(entry.record.run_id, entry.commit, "model", digest, {"auc": 0.9})
    return replace(made, **told)


def proposed(clone: Clone, entry: VersionEntry, version: str = "v1.0.0") -> str:
    """Push a branch that gives production to a version with that line, whatever is true."""
    number = parse_version(version)
    clone.git("fetch", "--quiet", "origin")
    path = "registry/churn.yaml"
    (old,) = gate.read_present(clone.place.repo, [f"refs/remotes/origin/main:{path}"])
    begun = old or new_file(("staging", "production"))
    data = files.promoted(begun, "production", number, entry, path)
    commit = gate.commit_files(
        clone.place.repo,
        [clone.git("rev-parse", "origin/main")],
        {path: data},
        "forged\n",
        ("mallory", "mallory@example.org"),
        "1700000000 +0000",
    )
    branch = f"forged/{entry.run[-8:]}-{version}"
    clone.git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/{branch}")
    return branch


def refused(ci: Clone, branch: str) -> str:
    """Why the check refuses a branch."""
    report = judged(ci, branch)
    assert not report.passed
    return "; ".join(it.message for it in report.problems)


def code_as(clone: Clone, commit: str, path: str, text: bytes) -> str:
    """A commit that is a run's but for one file of its code, at the remote."""
    made = gate.commit_files(
        clone.place.repo, [commit], {path: text}, "R\n", ("m", "m@x.org"), "1700000000 +0000"
    )
    clone.git("push", "--quiet", "origin", f"{made}:refs/heads/work")
    return made


def test_a_run_that_was_never_pushed(people: list[Clone]) -> None:
    """Its commit may be at the remote; the ledger is what counts, and that of the remote."""
    ann, _, ci = people
    trained(ann, 0.9)
    entry = line(ann)
    branch = proposed(ann, entry)
    assert "which 'origin' does not have" in refused(ci, branch)
    ann.git("push", "--quiet", "origin", f"{entry.commit}:refs/heads/work")
    assert "which is not in the ledger gitml/runs of 'origin'" in refused(ci, branch)
    ann.git("fetch", "--quiet", "origin")
    report = check(ann.place, "origin/main", f"origin/{branch}")  # whose own ledger has it
    assert "which is not in the ledger" in report.problems[0].message
    ann.push()
    assert judged(ci, branch).passed


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"digest": "sha256:" + "0" * 64}, "has the digest 'sha256:0000"),
        ({"path": "other"}, "has the digest"),
        ({"run": "0192f0a1b2c37d4e8f9a0b1c2d3e4f50"}, "has run '0192f0a1"),
    ],
)
def test_a_line_that_tells_otherwise_than_its_run(
    people: list[Clone], told: dict[str, str], why: str
) -> None:
    """Run, path and digest are those of the run at the commit."""
    ann, _, ci = people
    trained(ann, 0.9)
    ann.push()
    assert why in refused(ci, proposed(ann, line(ann, **told)))


def test_metrics_that_the_run_does_not_have(people: list[Clone]) -> None:
    """As with any version."""
    ann, _, ci = people
    trained(ann, 0.6)
    ann.push()
    assert "its run 0.6" in refused(ci, proposed(ann, line(ann)))


@pytest.mark.parametrize(
    ("number", "why"),
    [("9" * 400, "its run 0.9"), ("0x" + "f" * 4000, "Exceeds the limit")],
)
def test_a_metric_that_no_float_can_hold(people: list[Clone], number: str, why: str) -> None:
    """It is told as any other that is not the run's, by the check and by verify."""
    ann, _, ci = people
    trained(ann, 0.9)
    ann.push()
    branch = proposed(ann, line(ann))
    ann.git("fetch", "--quiet", "origin")
    ann.git("switch", "--quiet", "--detach", f"origin/{branch}")
    path = ann.folder / "registry/churn.yaml"
    path.write_text(path.read_text().replace("auc: 0.9", f"auc: {number}"))
    ann.git("commit", "--quiet", "--all", "--message", "Large")
    ann.git("push", "--quiet", "origin", f"HEAD:{branch}", "HEAD:main")
    base = ci.git("rev-parse", "origin/main")
    ci.git("fetch", "--quiet", "origin")
    report = check(ci.place, base, f"origin/{branch}")
    assert why in "; ".join(it.message for it in report.problems)
    assert verify(ci.place, remote=True) != []


def test_the_commit_of_another_run(people: list[Clone]) -> None:
    """A commit bears out its own run only."""
    ann, _, ci = people
    trained(ann, 0.9)
    other = line(ann).commit
    trained(ann, 0.9)
    ann.push()
    assert "has run" in refused(ci, proposed(ann, line(ann, commit=other)))


def test_a_tag_object_in_the_place_of_a_commit(people: list[Clone]) -> None:
    """It leads to the run, and the tag that sync would make of it is no version's."""
    ann, _, ci = people
    trained(ann, 0.9)
    ann.push()
    ann.git("tag", "--annotate", "--message", "it", "it", line(ann).commit)
    ann.git("push", "--quiet", "origin", "refs/tags/it")
    branch = proposed(ann, line(ann, commit=ann.git("rev-parse", "it")))
    assert "which is no commit" in refused(ci, branch)


def test_a_commit_with_other_code(people: list[Clone]) -> None:
    """It tells the run word for word, and what would be deployed from it is another project."""
    ann, _, ci = people
    trained(ann, 0.9)
    ann.push()
    forged = code_as(ann, line(ann).commit, "MLproject", b"name: evil\n")
    why = refused(ci, proposed(ann, line(ann, commit=forged)))
    assert "whose code is not that of its run" in why


def test_a_commit_with_other_files_of_the_run(people: list[Clone]) -> None:
    """The pointers beside the record say from where the bytes come."""
    ann, _, ci = people
    trained(ann, 0.9)
    ann.push()
    forged = code_as(ann, line(ann).commit, ".gitml/run/.dvc/config", b"[core]\n")
    why = refused(ci, proposed(ann, line(ann, commit=forged)))
    assert "which is not what the ledger has of its run now" in why


def test_a_record_that_the_ledger_does_not_have(people: list[Clone]) -> None:
    """Better numbers in the commit's record are not those of the ledger's."""
    ann, _, ci = people
    trained(ann, 0.6)
    ann.push()
    commit = line(ann).commit
    record = ann.git("show", f"{commit}:.gitml/run/run.json").replace("0.6", "0.9")
    forged = code_as(ann, commit, ".gitml/run/run.json", record.encode())
    why = refused(ci, proposed(ann, line(ann, commit=forged)))
    assert "which is not what the ledger has of its run now" in why


def test_a_tag_that_the_run_never_had(people: list[Clone]) -> None:
    """Gates ask for tags, too, so they are not taken from the commit alone."""
    ann, _, ci = people
    run_id = trained(ann, 0.9)
    ann.tag(run_id, audited="no")
    ann.push()
    commit = line(ann).commit
    record = ann.git("show", f"{commit}:.gitml/run/run.json").replace('"no"', '"yes"')
    forged = code_as(ann, commit, ".gitml/run/run.json", record.encode())
    why = refused(ci, proposed(ann, line(ann, commit=forged)))
    assert "which is not what the ledger has of its run now" in why


def test_what_is_said_of_a_run_afterwards_changes_nothing(people: list[Clone]) -> None:
    """A tag of the run may come between the promotion and its check; a deletion may not."""
    ann, _, ci = people
    run_id = trained(ann, 0.9)
    ann.push()
    branch = proposed(ann, line(ann))
    ann.tag(run_id, looked_at="yes")
    ann.push()
    assert judged(ci, branch).passed
    changes.delete(ann.place, [run_id])
    ann.push()
    assert "is of a run that is deleted" in refused(ci, branch)


def test_a_number_that_is_taken(
    people: list[Clone], as_ci: Callable[[Clone], list[syncing.Synced]]
) -> None:
    """Of two promotions that claim one number the first merged has it; the second is refused."""
    ann, bob, ci = people
    first, second = trained(ann, 0.9), trained(bob, 0.9)
    register(ann)
    register(bob)
    promoting.promote(ann.place, "churn", "production")
    his = proposed(bob, line(bob))
    merge(ann, BRANCH)
    assert f"v1.0.0 is by now the model of run {first}, by the base" in refused(ci, his)
    with pytest.raises(UsageError, match="register that one again, for the next number"):
        promoting.promote(bob.place, "churn", "production", "v1.0.0")
    assert as_ci(ci)[0].tag == "churn@v1.0.0"
    assert "v1.0.0 has the digest" in refused(ci, his) or "v1.0.0 has run" in refused(ci, his)
    again = register(bob, run=second)
    assert str(again.tag) == "churn@v1.0.1"
    promoting.promote(bob.place, "churn", "production")
    assert judged(ci, "promote/churn/production/v1.0.1").passed


def test_a_number_that_main_names_is_taken_before_its_tag_is_made(
    people: list[Clone],
    as_ci: Callable[[Clone], list[syncing.Synced]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither who may make tags nor who may not gets it for another run, and sync makes its tag."""
    ann, bob, ci = people
    trained(ann, 0.9)
    second = trained(bob, 0.9)
    register(ann)
    assert str(register(bob).tag) == "churn@v1.0.0"
    promoting.promote(ann.place, "churn", "production")
    merge(ann, BRANCH)
    again = register(bob, run=second)
    assert (str(again.tag), again.note.run_id) == ("churn@v1.0.1", second)
    ci.pull()
    trained(ci, 0.95)
    monkeypatch.setenv("GITML_TEST_CI", "1")
    made = register(ci)
    assert (made.waits, str(made.tag)) == (False, "churn@v1.0.1")
    assert [(row.tag, row.state) for row in as_ci(ci)] == [
        ("churn@v1.0.0", "created"), ("churn#production#1", "created"),
    ]  # fmt: skip


def test_the_same_again_once_tags_may_be_made(
    people: list[Clone], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its number; another run gets the next, and is what the refusal speaks of."""
    ann = people[0]
    first, second = trained(ann, 0.9), trained(ann, 0.95)
    register(ann, run=first)
    made = register(ann, run=second, description="Better")
    assert registering.told(made).endswith("tags of the version do not come along")
    assert (str(made.tag), "the tag churn@v1.0.1" in made.why) == ("churn@v1.0.1", True)
    monkeypatch.setenv("GITML_TEST_CI", "1")
    made = register(ann, run=first)
    assert (made.waits, str(made.tag), made.note.run_id) == (False, "churn@v1.0.0", first)


def test_a_second_claim_that_was_merged_all_the_same(
    people: list[Clone], as_ci: Callable[[Clone], list[syncing.Synced]]
) -> None:
    """Nothing is overwritten: sync names the tag that is otherwise, and the stage waits."""
    ann, bob, ci = people
    trained(ann, 0.9)
    register(ann)
    promoting.promote(ann.place, "churn", "production")
    merge(ann, BRANCH)
    as_ci(ci)
    trained(bob, 0.9)
    bob.push()
    text = ann.git("show", "origin/main:registry/churn.yaml")
    mine, his = line(ann), line(bob)
    for old, new in ((mine.run, his.run), (mine.commit, his.commit)):
        text = text.replace(old, new)
    (ann.folder / "registry" / "churn.yaml").write_text(text + "\n")
    ann.git("commit", "--quiet", "--all", "--message", "another")
    ann.git("push", "--quiet", "origin", "main")
    (row,) = as_ci(ci)
    assert (row.tag, row.state) == ("churn@v1.0.0", "wrong")
    item = catalog.read(ci.place.repo).version("churn", "v1.0.0")
    assert item.note.run_id == mine.run


def test_a_number_that_is_too_low(people: list[Clone]) -> None:
    """What breaks the clients of the version before is a major version."""
    ann, _, ci = people
    trained(ann, 0.9)
    register(ann)
    promoting.promote(ann.place, "churn", "production")
    merge(ann, BRANCH)
    trained(ann, 0.9, a="string")
    ann.push()
    why = refused(ci, proposed(ann, line(ann), "v1.1.0"))
    assert "which makes it v2.0.0 at least" in why
    assert judged(ci, proposed(ann, line(ann), "v2.0.0")).passed


def test_a_name_that_differs_in_case(people: list[Clone], bare: Path) -> None:
    """Also from one that has only tags."""
    ann, _, ci = people
    trained(ann, 0.9)
    ann.push()
    item = publishing.make(ann.place, "Churn@v1.0.0", line(ann).commit, "Churn\n", 0)
    ann.git("push", "--quiet", "origin", f"{item}:refs/tags/it")
    run_git(bare, "update-ref", "refs/tags/Churn@v1.0.0", item)
    assert "differs from 'Churn' only in case" in refused(ci, proposed(ann, line(ann)))


def test_sync_looks_at_the_ledger_itself(
    people: list[Clone], as_ci: Callable[[Clone], list[syncing.Synced]]
) -> None:
    """Who merges what the check refuses gets no tag."""
    ann, _, ci = people
    trained(ann, 0.9)
    entry = line(ann)
    ann.git("push", "--quiet", "origin", f"{entry.commit}:refs/heads/work")
    merge(ann, proposed(ann, entry))
    rows = as_ci(ci)
    assert [(row.tag, row.state) for row in rows] == [("churn@v1.0.0", "missing")]
    assert "which is not in the ledger gitml/runs of 'origin'" in rows[0].why
