"""MLflow's functions and client over the registry."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import gitml
import gitml.pyfunc
from gitml.entities.model_registry import ModelVersion
from gitml.errors import UsageError
from gitml.registry.asked import RegistrationWarning
from tests.clones import team
from tests.conftest import Git, run_git
from tests.registered import alone, columns, log, register

pytestmark = pytest.mark.usefixtures("new_script")


def predict(model_input):  # type: ignore[no-untyped-def]
    """A model that needs no library."""
    return model_input


@pytest.fixture
def client() -> gitml.MlflowClient:
    """The client, as a script makes it."""
    return gitml.MlflowClient()


# -- registering -----------------------------------------------------------------------------


def test_register_model_gives_the_version(repo: Path) -> None:
    """With MLflow's names, and its number beside the version."""
    with gitml.start_run() as run:
        info = gitml.pyfunc.log_model("model", python_model=predict)
    made = gitml.register_model(info.model_uri, "same", tags={"team": "a", "n": 1})
    assert isinstance(made, ModelVersion)
    assert (made.name, made.version, made.ordinal) == ("same", "v1.0.0", 1)
    assert (made.run_id, made.source) == (run.info.run_id, info.model_uri)
    assert (made.current_stage, made.status) == ("None", "READY")
    assert made.tags == {"team": "a", "n": "1"}
    assert made == gitml.search_model_versions()[0]
    assert gitml.pyfunc.load_model(f"models:/{made.name}/{made.version}").predict([1]) == [1]


def test_the_files_of_a_version(repo: Path, tmp_path: Path) -> None:
    """`download_artifacts` takes the URIs of the registry, too."""
    log(alone(repo))
    register(alone(repo), "churn")
    got = gitml.artifacts.download_artifacts("models:/churn/1", dst_path=tmp_path / "got")
    assert Path(got) == tmp_path / "got" / "model"
    assert (Path(got) / "weights.bin").read_bytes() == b"1"
    again = gitml.artifacts.download_artifacts(
        "models:/churn/latest", dst_path=str(tmp_path / "more"), tracking_uri=str(repo)
    )
    assert Path(again).parent == tmp_path / "more"


def test_a_logged_model_is_registered_when_its_run_is_finished(repo: Path, git: Git) -> None:
    """Not before: what is registered is the run as it is recorded."""
    with gitml.start_run() as run:
        gitml.pyfunc.log_model("model", python_model=predict, registered_model_name="same")
        gitml.log_metric("auc", 0.9)
        assert git("tag", "--list") == ""
    (made,) = gitml.search_model_versions()
    assert (made.name, made.version, made.run_id) == ("same", "v1.0.0", run.info.run_id)


def test_a_model_that_is_added_to_a_run_is_registered_at_once(repo: Path) -> None:
    """The run is recorded already."""
    with gitml.start_run() as run:
        pass
    gitml.pyfunc.log_model(
        "model", python_model=predict, registered_model_name="same", run_id=run.info.run_id
    )
    assert [made.version for made in gitml.search_model_versions()] == ["v1.0.0"]


def test_autologged_models_are_registered(repo: Path) -> None:
    """Each that is trained, once its run is finished."""
    from sklearn.linear_model import LinearRegression

    import gitml.sklearn

    gitml.sklearn.autolog(registered_model_name="line", silent=True)
    try:
        LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    finally:
        gitml.sklearn.autolog(disable=True)
    (made,) = gitml.search_model_versions()
    assert (made.name, made.source) == ("line", f"runs:/{made.run_id}/model")


def test_a_failed_run_registers_nothing(repo: Path, git: Git) -> None:
    """A warning says why, and what to run later."""
    gitml.start_run()
    gitml.pyfunc.log_model("model", python_model=predict, registered_model_name="same")
    with pytest.warns(RegistrationWarning, match="is FAILED; later, run: gitml registry register"):
        gitml.end_run("FAILED")
    assert git("tag", "--list") == ""


def test_a_remote_that_is_gone_never_fails_a_training(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is recorded and FINISHED, the model is registered later."""
    (ann,) = team(tmp_path, bare, "ann")
    monkeypatch.chdir(ann.folder)
    shutil.move(bare, tmp_path / "away")
    run = gitml.start_run()
    gitml.pyfunc.log_model("model", python_model=predict, registered_model_name="same")
    with pytest.warns(RegistrationWarning, match="is not registered as 'same': git"):
        gitml.end_run()
    assert gitml.get_run(run.info.run_id).info.status == "FINISHED"
    shutil.move(tmp_path / "away", bare)
    gitml.register_model(f"runs:/{run.info.run_id}/model", "same")


LEFT_OPEN = """
import sys
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return model_input

gitml.log_metric("auc", 0.5)
gitml.pyfunc.log_model(
    "model", python_model=Model(), artifacts={"data": sys.argv[1]}, registered_model_name="open"
)
"""


def test_a_script_that_leaves_its_run_open(tmp_path: Path, bare: Path) -> None:
    """It ends the run at its exit, and the model is uploaded and registered then."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    (tmp_path / "data").write_bytes(b"1" * 200_000)
    (ann.folder / "open.py").write_text(LEFT_OPEN)
    argv = (sys.executable, "-W", "error", "open.py", str(tmp_path / "data"))
    done = subprocess.run(argv, cwd=ann.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert run_git(bare, "tag", "--list") == "open@v1.0.0"
    shutil.rmtree(tmp_path / "dvc")
    (tmp_path / "dvc").write_text("no folder any more")
    again = subprocess.run(argv[:1] + argv[3:], cwd=ann.folder, capture_output=True, text=True)
    assert again.returncode == 0
    assert "is not registered as 'open': run " in again.stderr
    assert run_git(bare, "tag", "--list") == "open@v1.0.0"


def test_a_remote_that_does_not_answer(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a training waits for it some seconds, not minutes."""
    monkeypatch.setattr("gitml.registry.asked._PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        git("remote", "add", "origin", f"http://127.0.0.1:{silent.getsockname()[1]}/it.git")
        gitml.start_run()
        gitml.pyfunc.log_model("model", python_model=predict, registered_model_name="same")
        with pytest.warns(RegistrationWarning, match="did not answer within 1 seconds"):
            gitml.end_run()


def test_a_spool_cannot_register(
    node: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is no git, the warning names the command for later."""
    monkeypatch.chdir(node)
    monkeypatch.setenv("GITML_SPOOL", str(tmp_path / "spool"))
    gitml.start_run()
    gitml.pyfunc.log_model("model", python_model=predict, registered_model_name="same")
    with pytest.warns(RegistrationWarning, match="recorded when the spool is collected; later"):
        gitml.end_run()


def test_a_model_of_a_run_that_goes_on(repo: Path) -> None:
    """It is refused, with what to do; afterwards it is registered."""
    with gitml.start_run():
        info = gitml.pyfunc.log_model("model", python_model=predict)
        with pytest.raises(UsageError, match=r"is RUNNING; only models of FINISHED runs .*end it"):
            gitml.register_model(info.model_uri, "same")
    assert gitml.register_model(info.model_uri, "same").version == "v1.0.0"


FORKED = """
import os
import gitml

def predict(model_input):
    return model_input

with gitml.start_run():
    if os.fork() == 0:
        gitml.pyfunc.log_model("model", python_model=predict, registered_model_name="same")
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_does_not_end_the_run(repo: Path) -> None:
    """So it can't register what it logs, and says so."""
    (repo / "forked.py").write_text(FORKED)
    argv = (sys.executable, "forked.py")
    done = subprocess.run(argv, cwd=repo, capture_output=True, text=True, check=True)
    assert "is not registered as 'same': its run ends in the process" in done.stderr
    assert run_git(repo, "tag", "--list") == ""


def test_a_wrong_name_is_told_before_anything_is_logged(repo: Path) -> None:
    """A training of hours must not end with it."""
    with gitml.start_run() as run, pytest.raises(UsageError, match="the model name 'a/b'"):
        gitml.pyfunc.log_model("model", python_model=predict, registered_model_name="a/b")
    assert dict(gitml.get_run(run.info.run_id).record.models) == {}


# -- searching -------------------------------------------------------------------------------


@pytest.fixture
def models(repo: Path) -> None:
    """churn with v1.0.0 and v2.0.0, which holds production, and fraud with v1.0.0."""
    for signature in (columns(a="long"), columns(a="string")):
        log(alone(repo), signature=signature)
        register(alone(repo), "churn")
    log(alone(repo))
    register(alone(repo), "fraud", tags={"team": "b"})
    (repo / "registry").mkdir()
    (repo / "registry" / "churn.yaml").write_text(
        "schema: 1\ndescription: Who leaves\nstages: {production: v2.0.0}\n"
        "aliases: {champion: v1.0.0}\n"
    )


VERSIONS = {
    "": ["churn v2.0.0", "churn v1.0.0", "fraud v1.0.0"],
    "name = 'churn'": ["churn v2.0.0", "churn v1.0.0"],
    "name LIKE 'f%'": ["fraud v1.0.0"],
    "name = 'churn' and version_number = 2": ["churn v2.0.0"],
    "version_number < 2": ["churn v1.0.0", "fraud v1.0.0"],
    "tags.team = 'b'": ["fraud v1.0.0"],
    "source_path LIKE '%/model' AND name ILIKE 'FRAUD'": ["fraud v1.0.0"],
    "run_id = 'x'": [],
}


@pytest.mark.parametrize("filter", VERSIONS)
def test_versions_are_searched_in_mlflows_language(models: None, filter: str) -> None:
    """By model, the newest first."""
    found = gitml.search_model_versions(filter_string=filter)
    assert [f"{it.name} {it.version}" for it in found] == VERSIONS[filter]


def test_order_and_size(models: None, client: gitml.MlflowClient) -> None:
    """`order_by` and `max_results`, page after page."""
    order = ["name DESC", "version_number ASC"]
    found = gitml.search_model_versions(order_by=order)
    assert [f"{it.name} {it.version}" for it in found] == [
        "fraud v1.0.0", "churn v1.0.0", "churn v2.0.0",
    ]  # fmt: skip
    assert gitml.search_model_versions(max_results=2) == gitml.search_model_versions()[:2]
    first = client.search_model_versions(max_results=2)
    rest = client.search_model_versions(max_results=2, page_token=first.token)
    assert [*first, *rest] == gitml.search_model_versions()
    with pytest.raises(UsageError):
        gitml.search_model_versions(filter_string="colour = 'red'")
    with pytest.raises(UsageError, match="filter_string"):
        gitml.search_model_versions("name = 'churn'")  # type: ignore[arg-type]


def test_models_are_searched(models: None, client: gitml.MlflowClient) -> None:
    """With what was decided about them."""
    churn, fraud = gitml.search_registered_models()
    assert (churn.name, churn.description, churn.aliases) == (
        "churn", "Who leaves", {"champion": "v1.0.0"},
    )  # fmt: skip
    assert [it.version for it in churn.latest_versions] == ["v2.0.0"]
    assert gitml.search_registered_models(filter_string="name LIKE 'f%'") == [fraud]
    assert client.search_registered_models(max_results=1) == [churn]
    assert client.get_registered_model("fraud") == fraud


# -- the client --------------------------------------------------------------------------------


def test_the_client_reads_versions(models: None, client: gitml.MlflowClient) -> None:
    """By version, ordinal, alias and stage."""
    one = client.get_model_version("churn", "1")
    assert one == client.get_model_version("churn", "v1.0.0")
    assert one == client.get_model_version_by_alias("churn", "champion")
    assert (one.aliases, one.current_stage) == (("champion",), "None")
    assert client.get_model_version_download_uri("churn", "1") == one.source
    (held,) = client.get_latest_versions("churn", stages=["Production"])
    assert (held.version, held.current_stage) == ("v2.0.0", "Production")
    assert {it.version for it in client.get_latest_versions("churn")} == {"v1.0.0", "v2.0.0"}
    for call in (
        lambda: client.get_model_version("churn", "7"),
        lambda: client.get_registered_model("nothing"),
        lambda: client.get_latest_versions("nothing"),
        lambda: client.get_model_version_by_alias("churn", "nobody"),
    ):
        with pytest.raises(gitml.MlflowException) as refused:
            call()
        assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_the_client_registers_as_mlflows_does(repo: Path, client: gitml.MlflowClient) -> None:
    """First the model, then its versions."""
    run_id = log(alone(repo))
    model = client.create_registered_model("churn", description="Who leaves")
    assert (model.name, model.description, model.latest_versions) == ("churn", "Who leaves", ())
    with pytest.raises(gitml.MlflowException) as refused:
        client.create_registered_model("churn")
    assert refused.value.error_code == "RESOURCE_ALREADY_EXISTS"
    made = client.create_model_version("churn", f"runs:/{run_id}/model", run_id, description="one")
    assert (made.version, made.description) == ("v1.0.0", "one")
    assert client.create_model_version("churn", "model", run_id).version == "v1.0.1"
    client.update_registered_model("churn", "Who will leave")
    assert client.get_registered_model("churn").description == "Who will leave"


def test_one_version_may_hold_several_stages(
    models: None, client: gitml.MlflowClient, repo: Path
) -> None:
    """It is found by each of them; as MLflow's version, which has one, it is in the last."""
    file = repo / "registry" / "churn.yaml"
    file.write_text(file.read_text().replace("{production", "{staging: v2.0.0, production"))
    one = client.get_model_version("churn", "2")
    assert (one.stages, one.current_stage) == (("staging", "production"), "Production")
    for stage in ("Staging", "Production"):
        (held,) = client.get_latest_versions("churn", stages=[stage])
        assert (held.version, held.current_stage) == ("v2.0.0", stage)
    found = client.get_latest_versions("churn")
    assert {it.current_stage for it in found} == {"None", "Staging", "Production"}


def test_the_client_gives_aliases(models: None, client: gitml.MlflowClient, repo: Path) -> None:
    """They hold at once in this work tree, and are the user's to commit."""
    client.set_registered_model_alias("churn", "challenger", "2")
    assert client.get_model_version_by_alias("churn", "challenger").version == "v2.0.0"
    client.delete_registered_model_alias("churn", "challenger")
    assert "challenger" not in (repo / "registry" / "churn.yaml").read_text()


def test_the_client_proposes_a_stage(
    models: None, client: gitml.MlflowClient, repo: Path, git: Git
) -> None:
    """By a branch to be merged; the archive is an edit, and no version is put nowhere."""
    git("add", ".")
    git("commit", "--quiet", "--message", "As it is")
    with pytest.warns(UserWarning, match=r"churn v1\.0\.0 is proposed for staging, .* the branch"):
        now = client.transition_model_version_stage("churn", "1", "Staging")
    assert now.current_stage != "Staging"
    git("merge", "--quiet", "promote/churn/staging/v1.0.0")
    assert client.get_model_version("churn", "1").current_stage == "Staging"
    with pytest.warns(UserWarning, match="holds the stage staging already"):
        client.transition_model_version_stage("churn", "1", "staging", True)
    register(alone(repo), "churn")
    now = client.transition_model_version_stage("churn", "3", "Archived")
    assert now.current_stage == "Archived"
    with pytest.raises(UsageError, match="when another takes it; promote that one"):
        client.transition_model_version_stage("churn", "1", "None")


def test_the_client_works_in_its_own_repository(
    models: None, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the script is."""
    monkeypatch.chdir(tmp_path)
    found = gitml.MlflowClient(str(repo)).search_model_versions("name = 'fraud'")
    assert [it.version for it in found] == ["v1.0.0"]


def test_every_way_to_the_client_is_one() -> None:
    """As in MLflow."""
    from gitml.client import MlflowClient
    from gitml.tracking import MlflowClient as OfTracking

    assert gitml.MlflowClient is MlflowClient is OfTracking
