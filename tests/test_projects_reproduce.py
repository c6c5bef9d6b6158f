"""A recorded run is run again from its commit, and what came of it compared."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gitml
from gitml import caches
from gitml.errors import StorageError, UsageError
from tests import projects, wheelhouse
from tests.cli import Caller
from tests.conftest import Git, new_repository, run_git
from tests.invariants import UserState, check_sound

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are bash's")

SCRIPT = """
    import gitml, sys
    gitml.set_experiment("churn")
    for lr in (0.1, 0.01):
        with gitml.start_run(run_name=f"lr-{lr}"):
            gitml.log_param("lr", lr)
            gitml.log_metric("loss", lr * float(sys.argv[1]))
    """
PROJECT = {
    "MLproject": """
        entry_points:
          main:
            parameters:
              rate: {type: float, default: 0.5}
              table: {type: path, default: rows.csv}
              api_key: {default: none}
            command: "python train.py {rate} {table} {api_key}"
          noisy: {command: "python noisy.py"}
        """,
    "train.py": """
        import gitml, sys
        rate, table, key = sys.argv[1:]
        gitml.log_param("table", table)
        gitml.log_metric("rows", len(open(table).readlines()))
        gitml.log_metric("loss", float(rate) * len(key))
        """,
    "noisy.py": """
        import gitml, time
        gitml.log_metric("loss", 1 + time.time() % 1e-3)
        gitml.log_metric("fit_seconds", time.time())
        """,
    "rows.csv": "1\n2\n3\n",
}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


def python(folder: Path, *args: str) -> None:
    """Run a script as a user does."""
    subprocess.run([sys.executable, *args], cwd=folder, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def project(repo: Path) -> Path:
    """A repository with a project in the folder `part`, committed."""
    projects.write(repo / "part", PROJECT)
    run_git(repo, "add", ".")
    run_git(repo, "commit", "--quiet", "-m", "a project")
    return repo


# -- scripts -------------------------------------------------------------------------------


def test_a_script_is_run_again_and_nothing_of_the_users_changes(
    repo: Path, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the code as it was on disk then, in the folder where it was; the exit code is 0."""
    projects.write(repo / "a", {"fit.py": SCRIPT})
    run_git(repo, "add", "a")
    python(repo / "a", "fit.py", "2")
    wanted = next(run for run in projects.runs(repo) if run.name == "lr-0.01")
    (repo / "a" / "fit.py").write_text("raise SystemExit('new code')")
    monkeypatch.chdir(repo / "a")
    before = UserState.of(repo)
    done = projects.gitml("runs", "reproduce", wanted.run_id, "--format", "json")
    assert UserState.of(repo) == before
    document = json.loads(done.stdout)
    assert document["reproduced"] is True
    assert document["code"]["verdict"] == "same"
    assert document["metrics"]["loss"]["verdict"] == "equal"
    assert document["original"] == {"run_id": wanted.run_id, "name": "lr-0.01"}
    (again,) = (run for run in projects.runs(repo) if run.run_id == document["again"]["run_id"])
    assert again.params == {"lr": 0.01}
    assert again.code.tree == wanted.code.tree
    assert again.experiment == "churn"
    assert list(caches.folder("projects").iterdir()) == []
    check_sound(repo)


def test_a_package_of_the_repository_is_that_of_the_commit(
    repo: Path, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is installed as a folder, whose files are others now."""
    projects.write(repo, {
        "src/own.py": "VALUE = 1\n",
        "jobs/t.py": "import gitml, own; gitml.log_metric('value', own.VALUE)",
    })  # fmt: skip
    run_git(repo, "add", ".")
    site = repo.parent / "site"
    projects.write(site, {
        "own.pth": f"{repo}/src\n",
        "own-1.0.dist-info/direct_url.json": json.dumps(
            {"url": repo.as_uri(), "dir_info": {"editable": True}}
        ),
        "sitecustomize.py": f"import site; site.addsitedir({str(site)!r})\n",
    })  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", str(site))
    python(repo, "jobs/t.py")
    (repo / "src" / "own.py").write_text("VALUE = 2\n")
    done = projects.gitml("runs", "reproduce", "latest").stdout.decode()
    assert "own was a folder: of it only what is in the commit is known" in done
    assert "value          1      1           0  equal" in done


def test_of_several_runs_of_a_script_the_one_with_the_same_params_is_compared(repo: Path) -> None:
    """It alone has the tag that links it; a reproduction can be reproduced."""
    projects.write(repo, {"fit.py": SCRIPT})
    run_git(repo, "add", "fit.py")
    python(repo, "fit.py", "2")
    first, second = projects.runs(repo)
    for run in (first, second):
        done = gitml.projects.reproduce(run.run_id)
        assert (done.reproduced, done.again.name) == (True, run.name)
        linked = [it for it in projects.runs(repo) if it.tags.get("gitml.reproduces") == run.run_id]
        assert [it.run_id for it in linked] == [done.again.run_id]
    assert done.again.source == second.source
    assert gitml.projects.reproduce(done.again.run_id).reproduced


def test_what_is_no_script_is_refused_and_nothing_runs(repo: Path, call: Caller) -> None:
    """In one line, with the reason."""
    python(repo, "-c", "import gitml; gitml.log_metric('a', 1)")
    refused = call("runs", "reproduce", "latest", code=2)
    assert "can't be started again: it was '-c', which is no script of the repos" in refused.err
    call("runs", "reproduce", "nope", code=2)
    assert len(projects.runs(repo)) == 1


def test_a_run_that_breaks_now_is_not_reproduced(repo: Path, call: Caller) -> None:
    """Its status is another; the run that broke is recorded."""
    marker = repo.parent / "marker"
    marker.touch()
    projects.write(repo, {"t.py": f"import gitml; gitml.log_metric('a', 1); open({str(marker)!r})"})
    run_git(repo, "add", ".")
    python(repo, "t.py")
    marker.unlink()
    done = call("runs", "reproduce", "latest", code=1)
    assert "FINISHED then, FAILED now (t.py ended with exit code 1)" in done.out
    assert "does not reproduce" in done.lines[-1]


def test_submodules_have_the_files_that_they_had(repo: Path, tmp_path: Path) -> None:
    """As far as they are in this repository; one that is not is named."""
    other = new_repository(tmp_path / "other")
    projects.write(other, {"words.txt": "three\n"})
    run_git(other, "add", ".")
    run_git(other, "commit", "--quiet", "-m", "words")
    allow = ("-c", "protocol.file.allow=always")
    run_git(repo, *allow, "submodule", "--quiet", "add", "--name", "a/b", str(other), "lib/other")
    run_git(repo / "lib" / "other", "config", "filter.evil.smudge", "exit 1")
    text = "import gitml; gitml.log_metric('size', len(open('lib/other/words.txt').read()))"
    projects.write(repo, {"t.py": text})
    run_git(repo, "add", ".")
    run_git(repo, "commit", "--quiet", "-m", "one")
    python(repo, "t.py")
    run_id = projects.runs(repo)[0].run_id
    (repo / "lib" / "other" / "words.txt").write_text("four\n")
    before = UserState.of(repo)
    done = projects.gitml("runs", "reproduce", run_id)
    assert UserState.of(repo) == before
    assert b"code         same" in done.stdout
    shutil.rmtree(repo / ".git" / "modules")
    lost = projects.gitml("runs", "reproduce", run_id, code=1)
    assert b"the submodule 'lib/other' is not fetched; its folder is empty" in lost.stderr


def test_files_of_lfs_have_the_content_that_is_here(repo: Path) -> None:
    """As git-lfs keeps it, verified; else they are pointers, and named."""
    content = b"many rows\n"
    sha256 = hashlib.sha256(content).hexdigest()
    pointer = f"version https://example.org/lfs/v1\noid sha256:{sha256}\nsize 10\n"
    projects.write(repo, {
        "rows.bin": pointer,
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "t.py": "import gitml; gitml.log_metric('size', len(open('rows.bin').read()))",
    })  # fmt: skip
    run_git(repo, "add", ".")
    run_git(repo, "commit", "--quiet", "-m", "rows")
    (repo / "rows.bin").write_bytes(content)  # as its filter does
    python(repo, "t.py")
    run_id = projects.runs(repo)[0].run_id
    lost = projects.gitml("runs", "reproduce", run_id, code=1)
    assert b"there are pointers in 'rows.bin'" in lost.stderr
    stored = repo / ".git" / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256
    stored.parent.mkdir(parents=True)
    stored.write_bytes(content)
    done = projects.gitml("runs", "reproduce", run_id)
    assert b"pointers" not in done.stderr
    stored.write_bytes(b"other rows")
    damaged = projects.gitml("runs", "reproduce", run_id, code=3)
    assert b"what Git LFS keeps for 'rows.bin' is damaged" in damaged.stderr


def test_ctrl_c_leaves_a_run_and_nothing_else(repo: Path) -> None:
    """The run that was under way is KILLED; its work tree is gone."""
    marker = repo.parent / "marker"
    text = "import gitml, pathlib, time\ngitml.log_metric('a', 1)\nprint('on', flush=True)\n"
    projects.write(
        repo, {"t.py": text + f"time.sleep(600 * pathlib.Path({str(marker)!r}).exists())"}
    )
    run_git(repo, "add", ".")
    python(repo, "t.py")
    marker.touch()
    argv = projects.command("runs", "reproduce", "latest")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"on\n"
        running.send_signal(signal.SIGINT)
        running.communicate()
        assert running.returncode == 130
    assert [run.status for run in projects.runs(repo)] == ["FINISHED", "KILLED"]
    assert list(caches.folder("projects").iterdir()) == []
    assert len(run_git(repo, "worktree", "list").splitlines()) == 1


# -- projects ------------------------------------------------------------------------------


def test_an_entry_point_is_run_with_the_values_that_it_had(project: Path) -> None:
    """Paths in the repository are those of the commit; the record has them as they were."""
    projects.gitml("run", "part", "-P", "rate=2", "-P", f"table={project}/part/rows.csv")
    (project / "part" / "rows.csv").write_text("other\n")
    done = gitml.projects.reproduce("latest")
    assert done.reproduced, done.verdict
    assert done.again.metrics["rows"].last == 3
    assert done.again.params["rate"] == 2.0
    assert done.again.source == done.original.source
    assert done.again.tags["mlflow.project.entryPoint"] == "main"
    assert gitml.projects.reproduce(done.again.run_id).reproduced


def test_a_default_path_is_that_of_the_commit(project: Path) -> None:
    """Whatever is in the work tree now."""
    projects.gitml("run", "part")
    (project / "part" / "rows.csv").unlink()
    assert gitml.projects.reproduce("latest").reproduced


def test_a_path_elsewhere_is_used_where_it_is_or_must_be_named(
    project: Path, tmp_path: Path, call: Caller
) -> None:
    """It is no part of the commit: what is in it now is what the run gets."""
    (tmp_path / "far.csv").write_text("1\n")
    projects.gitml("run", "part", "-P", f"table={tmp_path}/far.csv")
    run_id = projects.runs(project)[-1].run_id
    assert gitml.projects.reproduce(run_id).reproduced
    (tmp_path / "far.csv").rename(tmp_path / "moved.csv")
    refused = call("runs", "reproduce", run_id, code=2)
    assert "say where it is: -P table=PATH" in refused.err
    call("runs", "reproduce", run_id, "-P", f"table={tmp_path}/moved.csv")
    call("runs", "reproduce", run_id, "-P", "rate=3", code=2)


def test_a_secret_is_asked_for(project: Path, call: Caller) -> None:
    """It was never recorded."""
    projects.gitml("run", "part", "-P", "api_key=geheim")
    run_id = projects.runs(project)[-1].run_id
    refused = call("runs", "reproduce", run_id, code=2)
    assert "'api_key' is a secret, and not recorded; give it: -P api_key=VALUE" in refused.err
    call("runs", "reproduce", run_id, "-P", "api_key=geheim")
    assert b"geheim" not in projects.gitml("runs", "show", "latest", "--format", "json").stdout


def test_a_metric_may_be_off_by_a_tolerance(project: Path, call: Caller) -> None:
    """Which is stated; a metric that can't be the same is left out on request."""
    projects.gitml("run", "part", "-e", "noisy")
    run_id = projects.runs(project)[-1].run_id
    done = call("runs", "reproduce", run_id, code=1)
    assert "1e-06 of the value or 1e-12" in done.out
    how = ("--tolerance", "loss=1%", "--ignore", "*_seconds")
    assert "with 1 metric" in call("runs", "reproduce", run_id, *how).lines[-1]
    call("runs", "reproduce", run_id, "--tolerance", "lost=1", code=2)
    call("runs", "reproduce", run_id, "--tolerance", "often", code=2)


def test_data_of_a_run_that_was_named_loosely_must_be_older(project: Path, call: Caller) -> None:
    """`latest` names another run now."""
    with gitml.start_run():
        gitml.log_text("1\n", "t.csv")
    named = ("run", "part", "-P", "table=runs:/latest/t.csv")
    projects.gitml(*named)
    first = projects.runs(project)[0].run_id
    refused = call("runs", "reproduce", "latest", code=2)
    assert "names a newer run now" in refused.err
    call("runs", "reproduce", "latest", "-P", f"table=runs:/{first}/t.csv")


# -- data ----------------------------------------------------------------------------------


@pytest.fixture
def tracked(repo: Path, tmp_path: Path) -> Path:
    """A repository whose rows are in DVC, and a run that has logged them."""
    from dvc.repo import Repo

    with Repo.init(str(repo)) as dvc:
        with dvc.config.edit() as config:
            config["remote"]["store"] = {"url": str(tmp_path / "store")}
            config["core"]["remote"] = "store"
        projects.write(repo, {"data/a.csv": "1,2\n", "data/b.csv": "3\n", "other.bin": "x"})
        dvc.add(["data", "other.bin"])
        dvc.push()
    projects.write(repo, {
        "t.py": """
            import gitml
            with gitml.start_run():
                data = gitml.data.from_pandas(__import__("pandas").read_csv("data/a.csv"),
                                              source="data/a.csv", name="rows")
                gitml.log_input(data, "train")
                gitml.log_metric("rows", len(open("data/b.csv").readlines()))
            """
    })  # fmt: skip
    run_git(repo, "add", ".")
    run_git(repo, "commit", "--quiet", "-m", "data")
    python(repo, "t.py")
    return repo


def test_data_is_that_of_the_commit_and_verified(tracked: Path, call: Caller) -> None:
    """From the cache of DVC; what the user has in its place now is left alone."""
    (tracked / "data" / "b.csv").unlink()
    (tracked / "data" / "b.csv").write_text("changed\nsince\n")
    done = call("runs", "reproduce", "latest")
    assert "data         same  2 from DVC, verified" in done.out
    assert (tracked / "data" / "b.csv").read_text() == "changed\nsince\n"


def test_data_comes_from_the_remote_when_that_is_asked_for(tracked: Path, call: Caller) -> None:
    """Without, what the run has logged must be here."""
    shutil.rmtree(tracked / ".dvc" / "cache")
    refused = call("runs", "reproduce", "latest", code=3)
    assert "the data 'data' can't be had" in refused.err
    assert "--data pull looks in the DVC remote, too" in refused.err
    assert len(projects.runs(tracked)) == 1
    done = call("runs", "reproduce", "latest", "--data", "pull")
    assert "2 from DVC, verified" in done.out


def test_data_that_is_not_what_was_recorded_is_never_used(tracked: Path, tmp_path: Path) -> None:
    """A remote can lie; what the run did not log may be missing, and is told."""
    shutil.rmtree(tracked / ".dvc" / "cache")
    for path in (it for it in (tmp_path / "store").rglob("*") if it.is_file()):
        if path.read_bytes() == b"x":
            path.unlink()
    told = projects.gitml("runs", "reproduce", "latest", "--data", "pull").stderr.decode()
    assert "DVC tracks data that is not here, and that the run may need: 'other.bin'" in told
    shutil.rmtree(tracked / ".git" / "gitml" / "cache")
    for path in (it for it in (tmp_path / "store").rglob("*") if it.is_file()):
        if path.read_bytes() == b"3\n":
            path.chmod(0o644)
            path.write_bytes(b"4\n")
    with pytest.raises(StorageError, match=r"the data 'data' can't be had: .*damaged"):
        gitml.projects.reproduce("latest", data="pull")


# -- environments ----------------------------------------------------------------------------


def test_the_current_environment_is_compared_too(repo: Path, call: Caller) -> None:
    """It may differ, and the run be reproduced all the same."""
    (repo / "t.py").write_text("import gitml; gitml.log_metric('a', 1)")
    run_git(repo, "add", ".")
    own = repo.parent / "more"
    wheel = wheelhouse.add_wheel(repo.parent / "house", "strange")
    shutil.unpack_archive(wheel, own, "zip")
    env = {**os.environ, "PYTHONPATH": str(own)}
    subprocess.run([sys.executable, "t.py"], cwd=repo, check=True, env=env)
    done = call("runs", "reproduce", "latest", "--env", "current")
    assert "strange 1.0 then, missing now" in done.out
    with pytest.raises(UsageError, match="'new' is none of original, current"):
        gitml.projects.reproduce("latest", env="new")


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_the_original_environment_is_built_from_its_lock(repo: Path) -> None:
    """Every package at its version, or taken as it still is; the project asks for others now."""
    projects.write(repo, {
        "requirements.txt": "six==1.16.0\n",
        "t.py": "import gitml, six; gitml.log_metric('minor', int(six.__version__.split('.')[1]))",
    })  # fmt: skip
    run_git(repo, "add", ".")
    projects.gitml("run", ".", "-e", "t.py")
    (repo / "requirements.txt").write_text("six==1.17.0\n")
    ask = ("runs", "reproduce", "latest", "--format", "json")
    kept = projects.gitml(*ask)
    assert b"Installed" not in kept.stderr
    projects.gitml("env", "prune", "--unused-for", "0")
    built = projects.gitml(*ask)
    assert b"Installed" in built.stderr
    for done in (kept, built):
        document = json.loads(done.stdout)
        assert document["environment"] == {"verdict": "same", "notes": []}
        assert document["metrics"]["minor"]["reproduced"] == 16


def test_a_stranger_is_asked_about(repo: Path, git: Git, tmp_path: Path) -> None:
    """The run of a fork that was only fetched is not run without a yes."""
    theirs = tmp_path / "theirs"
    run_git(tmp_path, "clone", "--quiet", str(repo), "theirs")
    (theirs / "t.py").write_text("import gitml; gitml.log_metric('a', 1)")
    run_git(theirs, "add", ".")
    python(theirs, "t.py")
    run_id = projects.runs(theirs)[0].run_id
    git("remote", "add", "fork", str(theirs))
    git("fetch", "--quiet", "fork")
    refused = projects.gitml("runs", "reproduce", run_id, code=2)
    assert b"python t.py" in refused.stderr
    projects.gitml("runs", "reproduce", run_id, "--yes")
