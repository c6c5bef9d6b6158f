"""`gitml registry`, and models by their registry's URIs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import gitml
import gitml.pyfunc
import gitml.sklearn
from gitml import git as gate
from gitml.errors import FormatError, StorageError, UsageError
from gitml.models import load
from gitml.models.trust import UntrustedModelError
from gitml.registry import catalog, files, promoting
from gitml.registry.entries import VersionEntry, new_file
from tests.cli import HOSTILE, UNSAFE, Caller
from tests.clones import clone, team
from tests.conftest import Git
from tests.registered import alone, columns, log, register


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


def two_versions(repo: Path) -> None:
    """churn v1.0.0 and v2.0.0."""
    for signature in (columns(a="long"), columns(a="string")):
        log(alone(repo), signature=signature)
        register(alone(repo))


def test_register_says_what_it_made(repo: Path, call: Caller) -> None:
    """The tag, and why it has that number."""
    log(alone(repo), signature=columns(a="long"))
    done = call("registry", "register", "runs:/latest/model", "churn")
    assert (done.out, done.err) == ("churn@v1.0.0\n", "the first version\n")
    log(alone(repo), signature=columns(a="string"))
    done = call("registry", "register", "runs:/latest/model", "churn", "--description", "better")
    assert done.out == "churn@v2.0.0\n"
    assert "clients of the former version may fail" in done.err
    done = call("registry", "register", "runs:/latest/model", "churn", "--bump", "minor")
    assert done.out == "churn@v2.1.0\n"
    assert call("runs", "show", "churn@v2.0.0", "--format", "json").json["name"] == "trained"


def test_an_empty_registry(repo: Path, call: Caller) -> None:
    """The listing says what to do; a model that is not there is named."""
    assert "gitml registry register runs:/latest/model NAME" in call("registry", "list").err
    assert call("registry", "list", "--format", "json").json == []
    assert "no model is registered as 'churn'" in call("registry", "show", "churn", code=2).err


def test_a_model_without_versions(repo: Path, call: Caller) -> None:
    """It is listed and shown, as its file says something."""
    gitml.MlflowClient().create_registered_model("churn", description="Who leaves")
    assert "churn" in call("registry", "list").out
    shown = call("registry", "show", "churn")
    assert "Who leaves" in shown.out
    assert "gitml registry register runs:/latest/model churn" in shown.err
    assert call("registry", "show", "churn", "--format", "json").json["versions"] == []


def test_list_show_and_history(repo: Path, call: Caller) -> None:
    """What there is, for people and for programs."""
    two_versions(repo)
    call("registry", "alias", "churn", "champion", "1.0.0")
    assert call("registry", "list").lines[1].split()[:5] == [
        "churn", "v2.0.0", "2", "champion", "v1.0.0",
    ]  # fmt: skip
    (row,) = call("registry", "list", "--format", "json").json
    assert row.keys() == {
        "name", "description", "owners", "versions", "latest", "registered", "stages", "aliases",
    }  # fmt: skip
    assert (row["latest"], row["aliases"]) == ("v2.0.0", {"champion": "v1.0.0"})
    shown = call("registry", "show", "churn").out
    assert shown.index("v2.0.0") < shown.rindex("v1.0.0")
    document = call("registry", "show", "churn", "--format", "json").json
    assert [it["aliases"] for it in document["versions"]] == [["champion"], []]
    assert document["versions"][1]["change"] == "incompatible"
    events = call("registry", "history", "churn", "--format", "json").json
    assert [(it["event"], it["version"]) for it in events] == [
        ("registered", "v1.0.0"), ("registered", "v2.0.0"),
    ]  # fmt: skip
    assert [it["by"] for it in events] == ["Ada Example <ada@example.org>"] * 2
    assert len(call("registry", "history", "churn").lines) == 3
    assert call("registry", "show", "chrun", code=2).err.endswith("did you mean 'churn'?\n")


def test_an_alias_is_an_edit_for_review(repo: Path, call: Caller, git: Git) -> None:
    """It goes into the model's file, and is the user's to commit; a new one begins with places."""
    two_versions(repo)
    file = repo / "registry" / "churn.yaml"
    assert call("registry", "alias", "churn", "champion", "latest").out == "registry/churn.yaml\n"
    begun = new_file(("staging", "production")).decode()
    assert file.read_text().replace("aliases:\n  champion: v2.0.0\n", "") == begun
    assert "aliases:\n  champion: v2.0.0\n" in file.read_text()
    assert git("status", "--short") == "?? registry/"
    call("registry", "alias", "churn", "champion", "1")
    assert "champion: v1.0.0" in file.read_text()
    call("registry", "alias", "churn", "champion", "--delete")
    assert "champion" not in file.read_text()
    for args, why in (
        (("champion", "v7.0.0"), "'churn' has no version 'v7.0.0'; it has: v1.0.0, v2.0.0"),
        (("champion", "--delete"), "'churn' has no alias 'champion'"),
        (("v1.0.0", "v1.0.0"), "would be taken for a version"),
        (("champion",), "name the version"),
    ):
        assert why in call("registry", "alias", "churn", *args, code=2).err


def test_archive_marks_what_no_stage_holds(repo: Path, call: Caller) -> None:
    """The tag stays, the list of the file grows and shrinks."""
    two_versions(repo)
    file = repo / "registry" / "churn.yaml"
    file.parent.mkdir()
    file.write_text("schema: 1\nstages:\n  production: v2.0.0  # since May\n")
    call("registry", "archive", "churn", "v1.0.0")
    assert file.read_text().endswith("  production: v2.0.0  # since May\narchived: [v1.0.0]\n")
    document = call("registry", "show", "churn", "--format", "json").json
    assert [it["archived"] for it in document["versions"]] == [True, False]
    held = call("registry", "archive", "churn", "latest", code=2).err
    assert "churn v2.0.0 holds the stage production" in held
    call("registry", "archive", "churn", "v1.0.0", "--undo")
    assert "archived" not in file.read_text()


def test_a_bare_repository_reads_its_main_branch(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch, call: Caller
) -> None:
    """And has no files to edit."""
    (ann,) = team(tmp_path, bare, "ann")
    log(ann)
    register(ann)
    (ann.folder / "registry").mkdir()
    (ann.folder / "registry" / "churn.yaml").write_text("schema: 1\naliases: {a: v1.0.0}\n")
    (ann.folder / "registry" / "not.a.model.yaml").write_text("- 1\n")
    ann.git("add", ".")
    ann.git("commit", "--quiet", "--message", "churn has an alias")
    ann.git("push", "--quiet", "origin", "main")
    monkeypatch.chdir(bare)
    (row,) = call("registry", "list", "--format", "json").json
    assert (row["name"], row["aliases"]) == ("churn", {"a": "v1.0.0"})
    refused = call("registry", "alias", "churn", "b", "1", code=2).err
    assert "a bare repository has no files to edit" in refused


def test_a_file_behind_a_link_is_not_edited(repo: Path, call: Caller, tmp_path: Path) -> None:
    """It is not of this repository."""
    two_versions(repo)
    (tmp_path / "elsewhere").mkdir()
    (repo / "registry").symlink_to(tmp_path / "elsewhere")
    refused = call("registry", "alias", "churn", "b", "1", code=2).err
    assert "'registry/churn.yaml' is a link; make it a file" in refused
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_damaged_file_is_named(repo: Path, call: Caller) -> None:
    """With the place in it."""
    (repo / "registry").mkdir()
    (repo / "registry" / "churn.yaml").write_text("schema: 1\nstage: {}\n")
    assert "registry/churn.yaml: line 2, column 1" in call("registry", "list", code=3).err
    assert "registry/churn.yaml" in call("validate", code=1).out


def test_what_tags_and_files_say_is_harmless(repo: Path, call: Caller) -> None:
    """Nothing that others wrote there acts on a terminal or a Markdown page."""
    mine = alone(repo)
    log(mine)
    made = register(mine)
    evil = HOSTILE.replace("\ud800", "").replace("\r\n", "")
    lines = {"Run-Id": evil, "Model-Path": "x\\u001b[31m", "Digest": evil, "Registered-By": evil}
    last = "\n".join(f"{key}: {value}" for key, value in lines.items())
    body = f"churn v1.0.1\n\n{evil}\n\n{last}\n"
    for name in ("churn@v1.0.1", "churn@v1.0.2"):
        id = gate.make_tag(mine.place.repo, name, made.commit, body, (evil, "e@example.org"), 1)
        gate.update_refs(mine.place.repo, [f"create refs/tags/{name} {id}"])
    gate.update_refs(mine.place.repo, [f"update refs/tags/churn@v1.0.2 {made.tag_id}"])
    (repo / "registry").mkdir()
    text = f"schema: 1\ndescription: {json.dumps(evil)}\nowners: [{json.dumps(evil)}]\n"
    (repo / "registry" / "churn.yaml").write_text(text)
    for args in (
        ("list",), ("list", "--format", "md"), ("list", "--format", "json"), ("show", "churn"),
        ("history", "churn"), ("history", "churn", "--format", "csv"),
    ):  # fmt: skip
        done = call("registry", *args)
        assert not UNSAFE.search(done.out + done.err), args
    assert "[x](y)" not in call("registry", "list", "--format", "md").out


# -- URIs ----------------------------------------------------------------------------------


@pytest.fixture
def served(repo: Path) -> Path:
    """A repository in which `double` has v1.0.0, which doubles, and v1.0.1, which triples."""

    def registered(factor: float) -> None:
        def predict(model_input):  # type: ignore[no-untyped-def]
            return [factor * value for value in model_input]

        with gitml.start_run():
            gitml.pyfunc.log_model("model", python_model=predict)
        register(alone(repo), "double")

    registered(2)
    registered(3)
    return repo


URIS = {
    "models:/double/v1.0.0": 2, "models:/double/1.0.0": 2, "models:/double/1": 2,
    "models:/double/2": 3, "models:/double/latest": 3, "models:/double@champion": 2,
    "models:/double/production": 2, "models:/double/Production": 2, "models:/double@staging": 3,
}  # fmt: skip


def test_a_model_is_loaded_by_its_version(served: Path) -> None:
    """By number, alias or stage, a stage in any case; its code needs no permission."""
    (served / "registry").mkdir()
    (served / "registry" / "double.yaml").write_text(
        "schema: 1\nstages: {production: v1.0.0, staging: v1.0.1}\naliases: {champion: v1.0.0}\n"
    )
    for uri, factor in URIS.items():
        assert gitml.pyfunc.load_model(uri).predict([1, 2]) == [factor, 2 * factor], uri


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("models:/double", "is not models:/NAME/VERSION or models:/NAME@ALIAS"),
        ("models:/double/v1.0.0/x", "is not models:/NAME/VERSION"),
        ("models:/duble/1", "no model is registered as 'duble'; did you mean 'double'?"),
        ("models:/double/7", "'double' has no version '7'; it has: v1.0.0, v1.0.1"),
        ("models:/double@challenger", "'double' has no version, alias or stage 'challenger'"),
    ],
)
def test_a_uri_that_names_nothing(served: Path, uri: str, why: str) -> None:
    """What there is instead is said."""
    with pytest.raises(UsageError) as refused:
        gitml.pyfunc.load_model(uri)
    assert why in str(refused.value)


def test_the_command_line_takes_the_uris(served: Path, call: Caller, tmp_path: Path) -> None:
    """To look and to predict."""
    document = call("models", "inspect", "models:/double/1", "--format", "json").json
    assert (document["uri"], document["trusted"]) == ("models:/double/1", True)
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"inputs": [1.0, 2.0]}))
    done = call("models", "predict", "-m", "models:/double/1", "-i", data)
    assert json.loads(done.out)["predictions"] == [2.0, 4.0]


def test_where_a_model_is_from_is_known(served: Path) -> None:
    """Its name and version go with it, to servers and images."""
    found, _ = load.opened("models:/double/latest")
    assert (found.name, found.version) == ("double", "v1.0.1")
    assert found.commit == alone(served).git("rev-parse", "main")


def test_a_project_gets_the_model_of_a_version(served: Path) -> None:
    """A path parameter may name one."""
    (served / "MLproject").write_text(
        "entry_points:\n  main:\n    parameters: {model: path}\n"
        "    command: cp {model}/MLmodel got\n"
    )
    gitml.projects.run(str(served), parameters={"model": "models:/double/1"}, env_manager="local")
    (artifact,) = served.rglob("got")
    assert "python_function" in artifact.read_text()


def test_bytes_are_checked_before_anything_is_loaded(served: Path, git: Git) -> None:
    """A tag that tells another digest than its run is not loaded, whatever is allowed."""
    body = git("for-each-ref", "--format=%(contents)", "refs/tags/double@v1.0.1")
    digest = next(line for line in body.splitlines() if line.startswith("Digest: "))
    body = body.replace(digest, "Digest: sha256:" + "0" * 64)
    git("tag", "-a", "--cleanup=verbatim", "-m", body, "double@v9.0.0", "double@v1.0.1^{}")
    with pytest.raises(FormatError, match="it is not what was registered"):
        gitml.pyfunc.load_model("models:/double/v9.0.0", allow_code=True)


@pytest.mark.parametrize("field", ["run", "commit", "path", "digest"])
def test_a_version_is_what_was_reviewed(served: Path, field: str) -> None:
    """A tag that tells something else than the model's file is not loaded, whatever is allowed."""
    item = catalog.read(alone(served).place.repo).version("double", "1")
    note = item.note
    entry = VersionEntry(note.run_id, item.commit, note.path, note.digest, {"auc": 0.9})
    other = {"run": "0" * 32, "commit": "0" * 40, "path": "x", "digest": "sha256:" + "0" * 64}
    file = served / "registry" / "double.yaml"
    file.parent.mkdir()
    for told in (entry, replace(entry, **{field: other[field]})):
        data = files.promoted(new_file(["production"]), "production", item.version, told, "it")
        file.write_bytes(data)
        if told == entry:
            assert gitml.pyfunc.load_model("models:/double/production").predict([1]) == [2]
    for uri in ("models:/double/production", "models:/double/v1.0.0"):
        with pytest.raises(FormatError, match=r"and registry/double\.yaml '"):
            gitml.pyfunc.load_model(uri, allow_code=True)


def test_a_version_of_another_repository_is_not_trusted(
    served: Path, tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag that came along when a fork was fetched vouches for nothing."""
    (ann,) = team(tmp_path, bare, "ann")
    ann.git("remote", "add", "eve", str(served))
    ann.git("fetch", "--quiet", "--tags", "eve")
    monkeypatch.chdir(ann.folder)
    with pytest.raises(UntrustedModelError):
        gitml.pyfunc.load_model("models:/double/1")
    assert gitml.pyfunc.load_model("models:/double/1", allow_code=True).predict([1]) == [2]


def test_a_colleague_loads_what_was_registered(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pull, and in a fresh clone."""
    ann, bob = team(tmp_path, bare, "ann", "bob", dvc=True)
    log(ann, weights=b"1" * 200_000)
    made = register(ann)
    bob.pull()
    for it in (bob, clone(tmp_path, bare, "late")):
        monkeypatch.chdir(it.folder)
        found = gitml.models.locate.locate("models:/churn/1")
        assert (found.digest, found.trusted) == (made.note.digest, True)


def test_a_stage_that_was_given_on_main_only(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files here decide what a name means here; what would bring them up to date is said."""
    (ann,) = team(tmp_path, bare, "ann")
    log(ann)
    register(ann)
    promoting.promote(ann.place, "churn", "production", direct=True)
    monkeypatch.chdir(ann.folder)
    with pytest.raises(
        UsageError, match="'production' here, but the main branch has; run: git pull"
    ):
        gitml.models.locate.locate("models:/churn@production")
    ann.git("pull", "--quiet")
    assert gitml.models.locate.locate("models:/churn@production").version == "v1.0.0"


def test_a_model_that_was_tampered_with(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bytes in the DVC remote are refused before anything of them is loaded."""
    from tests.artifacts import overwrite

    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    log(ann, weights=b"1" * 200_000)
    register(ann)
    (kept,) = [
        it for it in (tmp_path / "dvc").rglob("*") if it.is_file() and it.stat().st_size == 200_000
    ]
    overwrite(kept, b"2" * 200_000)
    monkeypatch.chdir(clone(tmp_path, bare, "late").folder)
    with pytest.raises(StorageError):
        gitml.models.locate.locate("models:/churn/1")
