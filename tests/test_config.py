"""gitml.yaml and the environment variables become one value each, or one line of error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitml.config import (
    Artifacts,
    Config,
    Ledger,
    Push,
    Snapshot,
    Variables,
    find_config,
    load,
    parse,
    read,
    variables,
)
from gitml.documents import problems
from gitml.errors import FormatError


def test_a_repository_without_gitml_yaml_has_the_default(tmp_path: Path) -> None:
    """Nothing has to be configured before the first run."""
    assert load(tmp_path) == Config()
    assert Config().ledger == Ledger("refs/heads/gitml/runs", "origin")


def test_every_key_is_read(tmp_path: Path) -> None:
    """A full gitml.yaml gives the values it names, sizes in bytes and the ref in full."""
    path = tmp_path / "gitml.yaml"
    path.write_text(
        "schema: 1\nexperiment: churn\nledger: {ref: ml/runs, remote: runs}\n"
        "artifacts: {inline_unit: 1.5MB, inline_run: 2 GiB, remote: models}\n"
        "push: {auto: true, interval: 5.5}\nsnapshot: {max_file: 1000}\nsystem_metrics: true\n"
        "deployments: {production: {target: local, port: 5000}}\n",
        encoding="utf-8",
    )
    assert read(path) == Config(
        folder=tmp_path,
        experiment="churn",
        ledger=Ledger("refs/heads/ml/runs", "runs"),
        artifacts=Artifacts(1_500_000, 2 * 2**30, "models"),
        push=Push(True, 5.5),
        snapshot=Snapshot(1000),
        system_metrics=True,
        deployments={"production": {"target": "local", "port": 5000}},
    )


@pytest.mark.parametrize("document", [None, {}, {"ledger": None, "artifacts": {"remote": None}}])
def test_a_key_without_a_value_counts_as_left_out(document: Any) -> None:
    """A file of comments, or a section whose keys are commented out, is the default."""
    assert parse(document) == Config()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "gitml.yaml: must be a mapping, not a list"),
        ({"schema": 2}, "gitml.yaml has schema 2, this gitml reads 1; upgrade gitml"),
        ({"schema": "1"}, "gitml.yaml: schema: must be 1, not '1'"),
        ({"experimant": "x"}, "gitml.yaml: unknown key 'experimant'; did you mean 'experiment'?"),
        ({"zzz": "/"}, "gitml.yaml: unknown key 'zzz'; known: artifacts, ci, deployments, "
         "experiment, ledger, push, snapshot, system_metrics"),
        ({"push": {"autp": True}}, "gitml.yaml: push: unknown key 'autp'; did you mean 'auto'?"),
        ({"push": {"auto": "yes"}}, "gitml.yaml: push/auto: must be true or false, not 'yes'"),
        ({"push": {"interval": True}},
         "gitml.yaml: push/interval: must be a number of seconds, 1 or more, not true"),
        ({"push": True}, "gitml.yaml: push: must be a mapping, not true"),
        ({"experiment": "a\nb"}, "gitml.yaml: experiment: must be a line of text, not 'a\\nb'"),
        ({"snapshot": {"max_file": "5 megabytes"}}, "gitml.yaml: snapshot/max_file: must be a size "
         "such as 100kB, 5MB or a number of bytes, not '5 megabytes'"),
        ({"snapshot": {"max_file": -1}}, "gitml.yaml: snapshot/max_file: must be a size "
         "such as 100kB, 5MB or a number of bytes, not -1"),
        ({"ledger": {"ref": "a..b"}},
         "gitml.yaml: ledger/ref: must be a branch name such as gitml/runs, not 'a..b'"),
        ({"ledger": {"remote": "--upload-pack=x"}}, "gitml.yaml: ledger/remote: must be the name "
         "of a git remote or a URL, not '--upload-pack=x'"),
        ({"ledger": {"remote": "https://ada:secret@git.example.org/x"}},
         "gitml.yaml: ledger/remote: holds a password; leave it to a git credential helper"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(document: Any, message: str) -> None:
    """An unknown key or a wrong value is refused in one line."""
    with pytest.raises(FormatError) as refused:
        parse(document)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "name",
    ["-x", "a b", "a/", "/a", "a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", "a~1", "a@{1}",
     "a:b", "a^", "a*", "a\\b", "é", "",
     "HEAD", "FETCH_HEAD", "refs/heads/a"],
)  # fmt: skip
def test_a_ledger_ref_is_a_plain_branch_name(name: str, repo: Path) -> None:
    """What could be an option, a revision, a full name or no ref at all is refused."""
    with pytest.raises(FormatError, match="must be a branch name"):
        parse({"ledger": {"ref": name}})


@given(st.text("ab-_./@{~^:l", max_size=12) | st.from_regex(r"\w[\w./-]{0,10}(\.lock)?"))
def test_git_takes_every_ref_that_the_configuration_takes(name: str) -> None:
    """A ref that parse accepts is one that `git check-ref-format` accepts."""
    try:
        ref = parse({"ledger": {"ref": name}}).ledger.ref
    except FormatError:
        return
    assert subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0


keys = st.sampled_from(
    ["schema", "experiment", "ledger", "ref", "remote", "artifacts", "inline_unit", "inline_run",
     "push", "auto", "interval", "snapshot", "max_file", "system_metrics", "other"]
)  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.integers(-2, 2000) | st.floats(0, 100).filter(lambda x: x % 1)
    | st.sampled_from(["x", "", "gitml/runs", "5MB", "5 MB", "5mb", "1.5kB", "-x", "a.lock/b",
                       "https://a:b@c/d", "https://a@c/d", "a\tb", "1", "a b"])
)  # fmt: skip
documents = st.dictionaries(
    keys, leaves | st.dictionaries(keys, leaves, max_size=4) | st.lists(leaves, max_size=1)
)


@given(documents)
@example({"experiment": None, "artifacts": {"remote": None}})
@example({"experiment": "a\n"})
def test_the_schema_and_the_reader_agree(document: dict[str, Any]) -> None:
    """gitml.schema.json refuses exactly the documents that `parse` refuses.

    The keys `deployments` and `ci` are left to the modules that read them.
    """
    try:
        parse(document)
        refused = None
    except FormatError as error:
        refused = str(error)
    assert bool(problems(document, "gitml")) == bool(refused), refused


def test_the_nearest_gitml_yaml_holds_and_none_above_the_repository(tmp_path: Path) -> None:
    """A project inside a repository has its own file; one above the repository is a stranger's."""
    root, inner = tmp_path / "repo", tmp_path / "repo" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "gitml.yaml").write_text("experiment: stranger\n", encoding="utf-8")
    assert find_config(inner, root) is None
    assert load(root, inner) == Config()
    (root / "gitml.yaml").write_text("experiment: whole\n", encoding="utf-8")
    (root / "a" / "gitml.yaml").write_text("experiment: part\n", encoding="utf-8")
    assert load(root).experiment == "whole"
    assert load(root, inner) == Config(folder=(root / "a").resolve(), experiment="part")
    assert find_config(tmp_path, root) is None


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A gitml.yaml that is no YAML stops the command instead of counting as absent."""
    (tmp_path / "gitml.yaml").write_text("push: [\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"^gitml\.yaml: line 2: "):
        load(tmp_path)


def test_a_file_that_was_read_before_needs_no_yaml_reader(tmp_path: Path) -> None:
    """With a cache, a second process reads the same configuration without importing YAML."""
    (tmp_path / "gitml.yaml").write_text("experiment: churn\n", encoding="utf-8")
    script = (
        "import sys, pathlib; from gitml.config import load; here = pathlib.Path.cwd()\n"
        "print(load(here, cache=here / 'cache').experiment, 'yaml' in sys.modules)"
    )
    for expected in ("churn True", "churn False"):
        printed = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert printed.stdout.strip() == expected


def test_the_cache_never_changes_what_is_read(tmp_path: Path) -> None:
    """A changed file is read again; a damaged, foreign or unwritable cache is passed over."""
    path, cache = tmp_path / "gitml.yaml", tmp_path / "cache"
    for text in ("experiment: a\n", "experiment: b\n", "", "experiment: a\n"):
        path.write_text(text, encoding="utf-8")
        for _ in range(2):
            assert read(path, cache) == read(path)
    for damage in (b"", b"[]", b'{"key": ', b"\xff"):
        (cache / "config.json").write_bytes(damage)
        assert read(path, cache) == read(path)
    assert read(path, path / "no" / "folder") == read(path)


def test_variables_are_read_by_their_names() -> None:
    """Each field is GITML_ and its name; an empty variable counts as not set."""
    environ = {
        "GITML_REPO": "/r", "GITML_EXPERIMENT_NAME": "e", "GITML_RUN_ID": "1",
        "GITML_PARENT_RUN_ID": "2", "GITML_SPOOL": "s3://b", "GITML_CODE": "c", "GITML_FAULT": "",
        "MLFLOW_RUN_ID": "other",
    }  # fmt: skip
    assert variables(environ) == Variables("/r", "e", "1", "2", "s3://b", "c", None)


def test_mlflow_variables_stand_in_for_ours() -> None:
    """MLFLOW_RUN_ID and MLFLOW_EXPERIMENT_NAME count when ours are absent, and no other."""
    environ = {"MLFLOW_RUN_ID": "1", "MLFLOW_EXPERIMENT_NAME": "e", "MLFLOW_SPOOL": "x"}
    assert variables(environ) == Variables(experiment_name="e", run_id="1")


def test_variables_follow_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that the program sets later is seen."""
    assert variables() == Variables()
    monkeypatch.setenv("GITML_RUN_ID", "1")
    assert variables() == Variables(run_id="1")


def test_no_yaml_is_imported_without_a_gitml_yaml(tmp_path: Path) -> None:
    """A script in a repository without configuration does not pay for the YAML reader."""
    script = (
        "import sys, pathlib; from gitml.config import load; load(pathlib.Path.cwd())\n"
        "print([name for name in ('yaml', 'jsonschema', 'orjson') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
