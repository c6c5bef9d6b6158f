"""The Job of a run: what gitml fills into a template, and what it leaves as it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError
from gitml.projects.kubernetes import manifest, settings
from gitml.projects.kubernetes.manifest import FIRST, Wanted
from tests.clusters import expanded

kubernetes_validate = pytest.importorskip("kubernetes_validate")

RUN = "01a217d52a7075ac9f6774ccc9800729"
# As MLflow's documentation has it, with sentences for what is filled in.
MLFLOW = b"""
apiVersion: batch/v1
kind: Job
metadata:
  name: "{replaced with MLflow Project name}"
  namespace: mlflow
spec:
  ttlSecondsAfterFinished: 100
  backoffLimit: 2
  template:
    spec:
      serviceAccountName: trainer
      containers:
      - name: "{replaced with MLflow Project name}"
        image: "{replaced with URI of Docker image created during Project execution}"
        command: ["{replaced with MLflow Project entry point command}"]
        env: ["{appended with MLFLOW_TRACKING_URI, MLFLOW_RUN_ID and MLFLOW_EXPERIMENT_ID}"]
        resources:
          limits: {memory: 512Mi, cpu: 1, nvidia.com/gpu: 1}
          requests: {memory: 256Mi}
      restartPolicy: Never
"""


def wanted(**more: Any) -> Wanted:
    """What a run's Job is to be."""
    told: dict[str, Any] = {
        "name": f"gitml-{RUN}-0a1b",
        "namespace": "training",
        "run_id": RUN,
        "image": "registry.example.org/churn@sha256:0",
        "argv": ["-c", 'python train.py "${1}"', "bash", "$(HOME) $$ $"],
        "project": {"COLOR": "red"},
        "own": {"GITML_SPOOL": "s3://bucket/spool", "GITML_RUN_ID": RUN},
        **more,
    }
    return Wanted(**told)


def checked(job: dict[str, Any], version: str = "") -> dict[str, Any]:
    """The container of a Job that fits Kubernetes' own schemas."""
    newest = version or kubernetes_validate.latest_version()
    kubernetes_validate.validate(job, newest, strict=True)
    first = job["spec"]["template"]["spec"]["containers"][0]
    assert isinstance(first, dict)
    return first


@pytest.mark.parametrize("version", ["1.28", ""])
def test_without_a_template_a_job_has_what_it_needs(version: str) -> None:
    """It runs once, leaves after an hour, and its label tells the run; old clusters know it all."""
    job = manifest.job({}, wanted())
    assert checked(job, version)["name"] == "run"
    assert job["metadata"]["labels"] == {"gitml.run_id": RUN}
    assert job["spec"]["template"]["metadata"]["labels"] == {"gitml.run_id": RUN}
    assert (job["spec"]["backoffLimit"], job["spec"]["ttlSecondsAfterFinished"]) == (0, 3600)
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert "activeDeadlineSeconds" not in job["spec"]


def test_a_template_of_mlflow_is_filled_in() -> None:
    """What it says of machines, accounts and tries is kept; its sentences give way."""
    template = load_yaml(MLFLOW, "template")
    settings.check(template, "template")
    job = manifest.job(template, wanted(timeout=30.5))
    first = checked(job)
    assert (first["name"], "command" in first) == ("run", False)
    assert first["image"] == "registry.example.org/churn@sha256:0"
    assert first["resources"]["limits"] == {"memory": "512Mi", "cpu": 1, "nvidia.com/gpu": 1}
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "trainer"
    assert job["spec"]["backoffLimit"] == 2
    assert job["spec"]["activeDeadlineSeconds"] == 91
    assert template == load_yaml(MLFLOW, "template")


def test_variables_of_the_project_give_way_to_those_of_the_user() -> None:
    """And these to gitml's; a Secret stays a reference."""
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}}
    env = [
        secret,
        {"name": "GITML_SPOOL", "value": "elsewhere"},
        {"name": "USER_S", "value": "$(A)"},
    ]
    inner = {"containers": [{"name": "main", "env": env}, {"name": "side", "image": "proxy:1"}]}
    template = {"spec": {"template": {"spec": inner}}}
    project = {"TOKEN": "the project's", "USER_S": "the project's", "COLOR": "$(TOKEN)"}
    job = manifest.job(template, wanted(project=project))
    found = {one["name"]: one for one in checked(job)["env"]}
    assert found["TOKEN"] == secret
    assert found["USER_S"]["value"] == "$(A)"
    assert found["COLOR"]["value"] == "$$(TOKEN)"
    assert found["GITML_SPOOL"]["value"] == "s3://bucket/spool"
    assert job["spec"]["template"]["spec"]["containers"][1] == {"name": "side", "image": "proxy:1"}


@given(st.text(alphabet="$()ABC {}\\'\"\n`", max_size=30), st.text(alphabet="$(A)", max_size=9))
def test_no_value_is_changed_on_its_way(value: str, other: str) -> None:
    """Kubernetes puts variables in the place of $(NAME): an argument is as it was all the same."""
    job = manifest.job({}, wanted(argv=["-c", value, other], project={"A": value}))
    first = job["spec"]["template"]["spec"]["containers"][0]
    env = {"A": "changed", "B": "changed", "AA": "changed", "": "changed"}
    argv = [expanded(one, env) for one in first["args"]]
    assert argv[4:] == ["-c", value, other]
    assert argv[2] == FIRST
    assert expanded(first["env"][0]["value"], env) == value


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ({"kind": "Pod"}, "is no Job"),
        ({"spec": []}, "spec is no mapping"),
        ({"spec": {"parallelism": 4}}, "parallelism is 4; a run is one pod"),
        (
            {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}},
            "restartPolicy is 'OnFailure', and a run's is Never",
        ),
        ({"spec": {"template": {"spec": {"containers": []}}}}, "no list of containers"),
        ({"spec": {"template": {"spec": {"containers": ["x"]}}}}, "a container is no mapping"),
    ],
)
def test_what_is_no_template_of_one_pod_is_refused(template: Any, says: str) -> None:
    """In one line that names the file."""
    with pytest.raises(FormatError, match=says):
        settings.check({"apiVersion": "batch/v1", "kind": "Job", **template}, "template.yaml")


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({}, "is told where to run and to record: --backend-config FILE"),
        ({"kube-context": "x"}, "'spool' is missing|is a required"),
        ({"spool": "s3://b/s", "kube-contxt": "x"}, "kube-context"),
        ({"spool": "s3://me:pw@host/b"}, "holds a login"),
        ({"spool": "s3://b/s", "repository-uri": "https://x/y"}, "is no repository of a registry"),
        ({"spool": "s3://b/s", "kube-job-template-path": "none.yaml"}, "can't read .*none.yaml"),
    ],
)
def test_a_wrong_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_: dict[str, object], says: str
) -> None:
    """With what to do about it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, FormatError), match=says):
        settings.read(given_)


@pytest.mark.parametrize("shell", ["bash", "dash", "sh"])
def test_the_first_process_passes_on_what_it_is_told(tmp_path: Path, shell: str) -> None:
    """The exit code is that of the command, whatever shell there is; a signal reaches all of it."""
    argv = [shell, "-c", FIRST, "gitml-run"]
    env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    script = 'printf "%s|" "$@"; exit 7'
    done = subprocess.run(
        [*argv, "-c", script, "bash", "a b", "$(id)"], env=env, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, b"a b|$(id)|")
    script = "trap 'echo told; exit 9' TERM; echo on; sleep 60 & wait; true"
    with subprocess.Popen(
        [*argv, "-c", script, "bash"], env=env, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        process.terminate()
        assert process.stdout.read() == b"told\n"
    assert process.returncode == 9


def test_the_first_process_waits_for_what_was_logged(tmp_path: Path) -> None:
    """A journal that has not left for the spool yet is waited for, also of a process that died."""
    journal = tmp_path / "gitml-spool-0" / "x" / "live" / "y" / "z.jsonl"
    journal.parent.mkdir(parents=True)
    journal.touch()
    env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    argv = ["sh", "-c", FIRST, "gitml-run", "-c", "kill -9 $$", "bash"]
    with subprocess.Popen(argv, env=env) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        journal.unlink()
        assert process.wait(10) == 137


def test_the_example_is_what_is_read() -> None:
    """The settings in the schema's example, but for the template's file, are those that hold."""
    path = Path(__file__).parent.parent / "schemas/examples/kubernetes-backend.json"
    told = json.loads(path.read_text("utf-8"))
    told.pop("kube-job-template-path")
    found = settings.read(told)
    assert (found.context, found.namespace, found.spool) == (
        "training", "ml-jobs", "s3://ml-runs/spool",
    )  # fmt: skip
    assert found.environment == ("OMP_NUM_THREADS",)
