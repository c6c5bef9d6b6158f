"""`gitml init`: few files, each shown, none of the user's changed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from gitml import config, git, storage
from gitml.cli.main import run
from gitml.documents import load_yaml, problems
from gitml.errors import FormatError, NoRepositoryError, UsageError
from gitml.registry import policy
from gitml.tracking.initialize import init
from gitml.tracking.place import place_of
from tests.artifacts import dvc
from tests.conftest import run_git


def written(folder: Path, *args: str | None, **more: str) -> list[str]:
    """What `init` wrote, relative to the folder."""
    return [os.path.relpath(file.path, folder) for file in init(folder, *args, **more)]


def test_the_settings_are_all_optional(repo: Path) -> None:
    """gitml.yaml is commented, fits its schema, and says nothing but the schema's number."""
    assert written(repo) == ["gitml.yaml", "registry.yaml"]
    text = (repo / "gitml.yaml").read_bytes()
    assert load_yaml(text, "gitml.yaml") == {"schema": 1}
    assert b"# push:" in text
    assert config.load(repo) == config.Config(folder=repo)


def test_every_commented_setting_is_one(repo: Path) -> None:
    """Without the comment signs the file fits the schema too."""
    init(repo)
    lines = (repo / "gitml.yaml").read_text().splitlines()
    settings = [line.removeprefix("# ") for line in lines[2:]]
    assert problems(load_yaml("\n".join(settings).encode(), "gitml.yaml"), "gitml") == []
    assert len(settings) > 5


def test_the_policy_asks_nothing_yet(repo: Path) -> None:
    """registry.yaml has the usual stages; without the comment signs its gates are gates."""
    init(repo)
    text = (repo / "registry.yaml").read_bytes()
    assert policy.parse(text) == policy.Policy()
    shown = text.replace(b"gates: {}", b"gates:").replace(b"\n#  ", b"\n  ")
    assert [str(gate) for gate in policy.parse(shown).gates["production"]] == [
        "metrics.auc >= 0.9",
        "metrics.auc >= current.metrics.auc - 0.005",
        "signature.compatible",
    ]


def test_a_project_inside_a_repository_has_no_policy(repo: Path) -> None:
    """The registry is the repository's: its policy is at the top."""
    (repo / "part").mkdir()
    assert written(repo / "part") == ["gitml.yaml"]


def test_a_second_time_writes_nothing(repo: Path, tmp_path: Path) -> None:
    """Everything is shown once; what the user changed since stays."""
    first = written(repo, str(tmp_path / "storage"))
    assert set(first) == {
        ".dvc/.gitignore", ".dvc/config", ".dvcignore", "gitml.yaml", "registry.yaml",
    }  # fmt: skip
    (repo / "gitml.yaml").write_text("experiment: churn\n")
    assert written(repo, str(tmp_path / "storage")) == []
    assert written(repo) == []
    assert (repo / "gitml.yaml").read_text() == "experiment: churn\n"


def test_a_remote_can_come_later(repo: Path, tmp_path: Path) -> None:
    """Only what is missing is written."""
    init(repo)
    assert set(written(repo, str(tmp_path / "storage"))) == {
        ".dvc/.gitignore", ".dvc/config", ".dvcignore",
    }  # fmt: skip


def test_nothing_is_committed_or_staged(repo: Path, tmp_path: Path) -> None:
    """HEAD, index and configuration of git stay as they were."""
    before = [run_git(repo, *args) for args in (("rev-parse", "HEAD"), ("config", "--list"))]
    init(repo, str(tmp_path / "storage"))
    after = [run_git(repo, *args) for args in (("rev-parse", "HEAD"), ("config", "--list"))]
    assert after == before
    assert run_git(repo, "diff", "--cached", "--name-only") == ""


def test_stock_dvc_knows_the_remote(repo: Path, tmp_path: Path) -> None:
    """A relative folder is meant from the current one; the file holds no absolute path."""
    init(repo, "../storage")
    listed = dvc(repo, "remote", "list").stdout  # in lines as wide as the terminal
    assert "".join(listed.split()) == f"storage{tmp_path / 'storage'}(default)"
    assert str(tmp_path) not in (repo / ".dvc" / "config").read_text()
    remote = place_of(git.find(repo), repo).remote()
    assert remote is not None
    assert Path(remote.url) == tmp_path / "storage" / "gitml"


def test_a_url_is_taken_as_it_is(repo: Path) -> None:
    """Any remote that DVC knows will do."""
    init(repo, "s3://bucket/churn")
    project = storage.project_remote(repo)
    assert project is not None
    assert project.url == "s3://bucket/churn"


def test_a_url_with_a_password_is_refused_and_nothing_written(repo: Path) -> None:
    """It would be committed; the message does not repeat it."""
    with pytest.raises(UsageError, match="password or a token") as caught:
        init(repo, "https://ada:geheim@example.org/dav")
    assert "geheim" not in str(caught.value)
    assert run_git(repo, "status", "--short") == ""


def test_another_remote_is_not_replaced(repo: Path, tmp_path: Path) -> None:
    """The error names the command that changes it."""
    init(repo, str(tmp_path / "one"))
    with pytest.raises(UsageError, match="dvc remote modify"):
        init(repo, str(tmp_path / "two"))


@pytest.mark.parametrize("name", ["artifacts", "deep/er [1] folder*"])
def test_a_remote_inside_the_work_tree_is_ignored(repo: Path, name: str) -> None:
    """Else every artifact would show up in `git status`."""
    (repo / ".gitignore").write_bytes(b"*.log")
    assert ".gitignore" in written(repo, name)
    (repo / name).mkdir(parents=True)
    (repo / name / "object").write_text("x")
    assert name.split("/")[0] not in run_git(repo, "status", "--short", "--untracked-files=all")
    assert (repo / ".gitignore").read_bytes().startswith(b"*.log\n/")
    assert written(repo, name) == []


def test_what_is_ignored_already_needs_no_line(repo: Path) -> None:
    """.gitignore is left alone when a pattern of the user's does it."""
    (repo / ".gitignore").write_text("/data/\n")
    assert ".gitignore" not in written(repo, "data/artifacts")
    assert (repo / ".gitignore").read_text() == "/data/\n"


def test_outside_a_repository_the_error_names_git_init(tmp_path: Path) -> None:
    """gitml makes no repository by itself."""
    with pytest.raises(NoRepositoryError, match="git init"):
        init(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bare_repository_has_no_place_for_files(bare: Path) -> None:
    """The error says to use a clone."""
    with pytest.raises(UsageError, match="bare"):
        init(bare)


def test_a_repository_without_commits(tmp_path: Path) -> None:
    """It is as good as any other."""
    run_git(tmp_path, "init", "--quiet", "new")
    assert written(tmp_path / "new") == ["gitml.yaml", "registry.yaml"]


def test_a_project_in_a_folder(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings hold for that folder; artifacts have one place for the whole repository."""
    folder = repo / "teams" / "churn"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert written(folder, "../../../storage", experiment="churn") == [
        "../../.dvc/.gitignore", "../../.dvcignore", "../../.dvc/config", "gitml.yaml",
    ]  # fmt: skip
    assert config.load(repo, folder).experiment == "churn"
    assert config.load(repo, repo).folder is None
    remote = place_of(git.find(folder), folder).remote()
    assert remote is not None
    assert Path(remote.url) == tmp_path / "storage" / "gitml"


@pytest.mark.parametrize("name", ["churn", "churn: 'v2' #x", 'a "quoted" ümlaut', "yes"])
def test_an_experiment_may_have_any_name(repo: Path, name: str) -> None:
    """What is written is read back."""
    init(repo, experiment=name)
    assert config.load(repo).experiment == name
    assert init(repo, experiment=name) == []


def test_another_experiment_is_not_replaced(repo: Path) -> None:
    """The user changes it in the file."""
    init(repo, experiment="churn")
    with pytest.raises(UsageError, match=r"'churn'; change it there"):
        init(repo, experiment="other")


def test_broken_settings_are_reported_first(repo: Path, tmp_path: Path) -> None:
    """Nothing is written beside a gitml.yaml that can't be read."""
    (repo / "gitml.yaml").write_text("nonsense: [")
    with pytest.raises(FormatError):
        init(repo, str(tmp_path / "storage"))
    assert not (repo / ".dvc").exists()


# -- the command -----------------------------------------------------------------------------


def test_the_command_shows_what_it_wrote_and_what_to_run(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two commands can be copied as they are."""
    assert run(["init", "--remote", "../storage"]) == 0
    out = capsys.readouterr().out
    assert "wrote gitml.yaml" in out
    commands = [line.strip() for line in out.splitlines() if line.startswith("  git ")]
    for command in commands:
        run_git(repo, *shlex.split(command)[1:])
    assert len(commands) == 2
    assert run_git(repo, "status", "--short") == ""


def test_the_command_says_when_there_is_nothing_to_do(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what a remote would be for."""
    assert run(["init"]) == 0
    capsys.readouterr()
    assert run(["init"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "nothing to do" in said.err
    assert "gitml init --remote" in said.err


def test_the_command_outside_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and one line."""
    monkeypatch.chdir(tmp_path)
    assert run(["init"]) == 2
    assert "git init" in capsys.readouterr().err
