"""Projects in a cluster: a small API server that really runs what its pods are to run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gitml import git as gate
from gitml import projects as public
from gitml.clusters import ClusterError
from gitml.errors import UsageError
from gitml.projects import EntryPointError
from gitml.storage.bucket import Bucket
from gitml.tracking import recording
from gitml.tracking.place import place_of
from gitml.tracking.record import RunRecord
from tests import projects
from tests.clusters import Api, certified, cluster, kubeconfig, serving
from tests.conftest import Git

__all__ = ["cluster"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="pods run as processes of a POSIX system"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes"),
]
pytest.importorskip("kubernetes", reason="the library kubernetes is not installed")

QUICK = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 0}}}}
NOTE = "a 'b' \"c\" $(id) $(GITML_SPOOL) $$(HOME) `id` {x} \\ *\nand more $"
PROJECT = """
    name: demo
    docker_env:
      image: churn:1
      environment: [["COLOR", "red; $(GITML_SPOOL)"]]
    entry_points:
      main:
        parameters: {note: string, epochs: {type: int, default: 2}}
        command: "python train.py '{note}' {epochs}"
      fail: {command: "echo so far; exit 3"}
      wait: {command: "python wait.py"}
      speak: {command: "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.1; done; printf end"}
      again: {command: "if [ -e tried ]; then echo second; else touch tried; echo first; false; fi"}
      read:
        parameters: {table: path}
        command: "cat {table}"
    """
TRAIN = """
    import os, shutil, sys
    import gitml

    assert shutil.which("git") is None or "GITML_REPO" not in os.environ
    with gitml.start_run():
        gitml.log_params({"note": sys.argv[1], "color": os.environ["COLOR"]})
        for epoch in range(int(sys.argv[2])):
            gitml.log_metric("loss", 1 / (epoch + 1), step=epoch)
        gitml.log_text("trained", "notes.txt")
        with gitml.start_run(nested=True, run_name="inner"):
            gitml.log_metric("loss", 1)
    print("trained", flush=True)
    """
WAIT = """
    import signal, sys, time
    import gitml

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tidied up"))
    with gitml.start_run():
        print("it runs", flush=True)
        for step in range(10_000):
            gitml.log_metric("step", step, step=step)
            time.sleep(0.05)
    """


@pytest.fixture
def demo(cluster: Api, repo: Path, git: Git) -> Path:
    """A project that names an image, committed."""
    projects.write(repo, {"MLproject": PROJECT, "train.py": TRAIN, "wait.py": WAIT})
    projects.write(repo, {"data.csv": "age\n31\n"})
    git("add", ".")
    git("commit", "--quiet", "--message", "A project")
    return repo


def config(demo: Path, **more: Any) -> dict[str, Any]:
    """What the backend is told: a spool in a folder that is here and in the pod."""
    return {"spool": str(demo.parent / "spool"), **more}


def submit(demo: Path, entry_point: str = "main", **more: Any) -> public.SubmittedRun:
    """Run an entry point in the cluster, in the image as it is."""
    told = config(demo, **more.pop("config", {}))
    return public.run(
        str(demo), entry_point, backend="kubernetes", backend_config=told, skip_image_build=True,
        **more,
    )  # fmt: skip


def failed(demo: Path, entry_point: str, **more: Any) -> tuple[str, RunRecord]:
    """What is said of an entry point that fails, and its run."""
    with pytest.raises(EntryPointError) as caught:
        submit(demo, entry_point, **more)
    return str(caught.value).rpartition(" (run ")[0], only(demo)


def only(demo: Path) -> RunRecord:
    """The one run of the repository."""
    (run,) = projects.runs(demo)
    return run


def until(is_so: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that comes; the test fails when it does not."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def soon(cluster: Api, act: Callable[[], None]) -> None:
    """Do something as soon as a pod has said something."""

    def run() -> None:
        until(lambda: any(pod.lines for pod in cluster.pods.values()))
        act()

    threading.Thread(target=run, daemon=True).start()


# -- running -------------------------------------------------------------------------------


def test_an_entry_point_runs_as_a_job(demo: Path, cluster: Api, git: Git) -> None:
    """It records through the spool as it would here; its arguments arrive as they are."""
    file = demo.parent / "cluster.json"
    file.write_text(json.dumps(config(demo)), encoding="utf-8")
    done = projects.gitml(
        *("run", ".", "--backend", "kubernetes", "--backend-config", file, "--skip-image-build"),
        *("-P", f"note={NOTE}"),
    )
    assert done.stdout == b"trained\n"
    run, inner = projects.runs(demo)
    assert (run.status, run.params["note"], run.params["epochs"]) == ("FINISHED", NOTE, 2)
    assert (run.params["color"], run.metrics["loss"].count) == ("red; $(GITML_SPOOL)", 2)
    assert (inner.name, inner.parent_run) == ("inner", run.run_id)
    assert run.code.commit == inner.code.commit == git("rev-parse", "HEAD")
    texts = projects.texts(demo, run)
    assert (texts["notes.txt"], texts["logs/output.txt"]) == ("trained", "trained\n")
    assert list((demo.parent / "spool").iterdir()) == []


def test_a_job_is_labelled_and_told_of_by_its_run(demo: Path, cluster: Api) -> None:
    """The label leads from the Job to the run, the run's tags to the Job and the spool."""
    submit(demo, parameters={"note": "x"})
    run = projects.runs(demo)[0]
    (job,) = cluster.made
    assert job["metadata"]["labels"]["gitml.run_id"] == run.run_id
    assert job["metadata"]["name"] == run.tags["gitml.kubernetes.job"]
    assert job["metadata"]["namespace"] == run.tags["gitml.kubernetes.namespace"] == "training"
    assert run.tags["gitml.spool"] == str(demo.parent / "spool" / run.run_id)
    assert run.tags["mlflow.project.backend"] == run.tags["mlflow.project.env"] == "kubernetes"
    assert run.tags["mlflow.docker.image.uri"] == "churn:1"
    assert cluster.asked("^DELETE") == []


def test_the_output_is_that_of_the_pod(
    demo: Path, cluster: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It is passed on as it is, also a last line that has no end."""
    submit(demo, "speak")
    said = "".join(f"line {number}\n" for number in range(1, 10)) + "end"
    assert capfdbinary.readouterr().out == said.encode()
    assert projects.texts(demo, only(demo))["logs/output.txt"] == said


def test_it_is_among_the_live_runs_while_it_goes_on(demo: Path, cluster: Api) -> None:
    """Its curve is seen here as it comes, and a cancelled one is KILLED; its script tidies up."""
    going = submit(demo, "wait", synchronous=False)
    try:
        place = place_of(gate.find(demo), demo)
        until(lambda: any("step" in run.metrics for run in recording.live_records(place)))
        assert [run.status for run in recording.live_records(place)] == ["RUNNING"]
    finally:
        going.cancel()
    run = only(demo)
    assert (run.status, run.reason) == ("KILLED", "wait: it was cancelled")
    assert "tidied up" in projects.texts(demo, run)["logs/output.txt"]
    assert (cluster.jobs, cluster.pods) == ({}, {})


def test_a_job_that_takes_too_long_is_deleted(demo: Path, cluster: Api) -> None:
    """The cluster is told of the limit, too, for the case that gitml does not live to see it."""
    cluster.trouble("DELETE", "/jobs/", 503)
    said, run = failed(demo, "wait", timeout=3)
    assert said == run.reason == "wait: it took longer than 3 s"
    assert (run.status, cluster.jobs) == ("KILLED", {})
    assert cluster.made[0]["spec"]["activeDeadlineSeconds"] == 63


def test_a_job_that_may_not_be_deleted_is_told_of(
    demo: Path, cluster: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With the command for somebody who may; its pod is killed all the same, if that is allowed."""
    cluster.trouble("DELETE", "/jobs/", 403, message="jobs.batch is forbidden")
    _, run = failed(demo, "wait", timeout=2, config=told(demo, QUICK))
    assert (run.status, run.reason) == ("KILLED", "wait: it took longer than 2 s")
    name = run.tags["gitml.kubernetes.job"]
    command = f"do it: kubectl delete job --namespace training {name}\n".encode()
    assert command in capfdbinary.readouterr().err


@contextmanager
def waiting(demo: Path, cluster: Api) -> Iterator[subprocess.Popen[bytes]]:
    """`gitml run` as a process of its own, once its Job says something."""
    file = demo.parent / "cluster.json"
    file.write_text(json.dumps(config(demo)), encoding="utf-8")
    argv = projects.command("run", ".", "-e", "wait", "-b", "kubernetes", "-c", file)
    with subprocess.Popen(
        [*argv, "--skip-image-build"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        until(lambda: any(pod.lines for pod in cluster.pods.values()))
        yield process


def test_ctrl_c_deletes_the_job(demo: Path, cluster: Api) -> None:
    """What was logged until then is recorded."""
    with waiting(demo, cluster) as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert out.startswith(b"it runs\n")
    run = only(demo)
    assert (run.status, run.reason) == ("KILLED", "wait: it was stopped by Ctrl-C")
    assert run.metrics["step"].count > 0
    assert (cluster.jobs, cluster.pods) == ({}, {})


def test_a_job_goes_on_when_gitml_is_killed(demo: Path, cluster: Api) -> None:
    """What it records is brought in by `gitml collect` from where the run's tag says."""
    with waiting(demo, cluster) as process:
        process.kill()
        process.communicate(timeout=60)
    time.sleep(0.5)  # some steps more
    cluster.end_job(cluster.made[0]["metadata"]["name"])
    until(lambda: cluster.pods == {})
    projects.gitml("recover")
    projects.gitml("collect", only(demo).tags["gitml.spool"])
    assert only(demo).metrics["step"].count > 5


def test_a_pod_that_nothing_reaches_is_not_waited_for(
    demo: Path, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is lost ends no pod; what was logged until then is recorded."""
    monkeypatch.setattr("gitml.projects.kubernetes.program._SLACK", 1.0)
    going = submit(demo, "wait", config=told(demo, QUICK), synchronous=False)
    try:
        until(lambda: any(pod.lines for pod in cluster.pods.values()))
        for one in cluster.pods.values():
            one.is_out_of_reach = True
    finally:
        going.cancel()
    run = only(demo)
    assert (run.status, run.reason) == ("KILLED", "wait: it was cancelled")
    assert run.metrics["step"].count > 0
    assert cluster.asked("DELETE .*/pods/.*gracePeriodSeconds=0")


# -- how it ends ---------------------------------------------------------------------------


def test_the_exit_code_becomes_the_status(demo: Path, cluster: Api) -> None:
    """And it is a tag, as of an entry point that runs here."""
    said, run = failed(demo, "fail")
    assert said == run.reason == "fail ended with exit code 3"
    assert (run.status, run.tags["gitml.exit_code"]) == ("FAILED", "3")
    assert projects.texts(demo, run)["logs/output.txt"] == "so far\n"


@pytest.mark.parametrize(
    ("status", "said", "becomes"),
    [
        (
            {"terminated": {"reason": "OOMKilled"}},
            "wait ran out of memory (exit code 137)",
            "FAILED",
        ),
        (
            {"reason": "Evicted", "message": "The node was low on resource: memory."},
            "wait: the cluster took its pod: Evicted: The node was low on resource: memory.",
            "KILLED",
        ),
        ({"terminated": {"reason": "Error"}}, "wait ended with exit code 137 (SIGKILL)", "KILLED"),
    ],
)
def test_how_a_pod_ended_is_said_in_one_line(
    demo: Path, cluster: Api, status: dict[str, Any], said: str, becomes: str
) -> None:
    """Also of one that the cluster ended; what it logged until then is recorded."""
    soon(cluster, lambda: cluster.take(**status))
    told, run = failed(demo, "wait")
    assert (told, run.reason, run.status) == (said, said, becomes)
    assert "step" in run.metrics


def test_a_job_that_is_tried_again_goes_on_with_its_run(demo: Path, cluster: Api) -> None:
    """Where the template has a backoffLimit, what counts is the last pod."""
    template = {"spec": {"backoffLimit": 1}}
    submit(demo, "again", config=told(demo, template))
    run = only(demo)
    assert run.status == "FINISHED"
    assert projects.texts(demo, run)["logs/output.txt"] == "first\nsecond\n"


def told(demo: Path, template: dict[str, Any]) -> dict[str, Any]:
    """What the backend is told of a template, which is in a file outside of the project."""
    path = demo.parent / "template.yaml"
    job = {"apiVersion": "batch/v1", "kind": "Job", **template}
    path.write_text(json.dumps(job), encoding="utf-8")
    return {"kube-job-template-path": str(path)}


def test_a_job_that_somebody_deletes_is_killed(demo: Path, cluster: Api) -> None:
    """It is not waited for."""
    soon(cluster, lambda: cluster.end_job(cluster.made[0]["metadata"]["name"]))
    said, run = failed(demo, "wait")
    assert (said, run.status) == ("wait: its Job was deleted", "KILLED")


def test_a_deadline_of_the_template_holds(demo: Path, cluster: Api) -> None:
    """The cluster ends the pod then, and the run says so."""
    said, run = failed(demo, "wait", config=told(demo, {"spec": {"activeDeadlineSeconds": 2}}))
    assert said == "wait: the cluster ended it: Job was active longer than it may be"
    assert run.status == "KILLED"


# -- a pod that does not start -------------------------------------------------------------


def test_an_image_that_cannot_be_pulled(
    demo: Path, cluster: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It is said at once, and given up after a while; then the Job is gone."""
    cluster.images.clear()
    said, run = failed(demo, "fail", config={"start-timeout": 1})
    assert said == "fail could not be started: ErrImagePull: churn:1: not found"
    assert (run.status, cluster.jobs) == ("FAILED", {})
    assert b"gitml: the pod waits: ErrImagePull: churn:1: not found\n" in (
        capfdbinary.readouterr().err
    )


def test_an_image_whose_name_is_none_is_not_waited_for(demo: Path, cluster: Api) -> None:
    """Waiting would change nothing."""
    text = (demo / "MLproject").read_text("utf-8").replace("churn:1", "Churn:1")
    (demo / "MLproject").write_text(text, encoding="utf-8")
    said, _ = failed(demo, "fail")
    assert said.startswith("fail could not be started: InvalidImageName: ")


def test_a_pod_waits_for_a_machine_as_long_as_it_takes(
    demo: Path, cluster: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """What it waits for is said once; it runs when there is one."""
    cluster.unschedulable = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."

    def come() -> None:
        time.sleep(2)
        cluster.unschedulable = ""
        cluster.bump()

    threading.Thread(target=come, daemon=True).start()
    submit(demo, "speak")
    line = (
        b"gitml: the pod waits: Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com"
    )
    assert capfdbinary.readouterr().err.count(line) == 1
    assert only(demo).status == "FINISHED"


def test_a_machine_is_waited_for_no_longer_than_is_said(demo: Path, cluster: Api) -> None:
    """`start-timeout` holds for whatever a pod waits for."""
    cluster.unschedulable = "0/3 nodes are available"
    said, _ = failed(demo, "speak", config={"start-timeout": 1})
    assert said == "speak could not be started: Unschedulable: 0/3 nodes are available"
    assert cluster.jobs == {}


def test_a_job_that_gets_no_pod_says_why(demo: Path, cluster: Api) -> None:
    """A quota, say, is told by an event of the Job."""
    cluster.admits = False
    said, _ = failed(demo, "speak", config={"start-timeout": 1})
    assert said == "speak could not be started: exceeded quota"


# -- a cluster in trouble ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "the cluster does not know you (401)"),
        (403, "you may not do that in the cluster (403): jobs.batch is forbidden"),
        (400, "the cluster says 400: jobs.batch is forbidden"),
    ],
)
def test_a_refusal_is_said_and_the_run_has_failed(
    demo: Path, cluster: Api, status: int, says: str
) -> None:
    """One line tells what the cluster says, and what to do."""
    cluster.trouble("POST", "/jobs$", status, message="jobs.batch is forbidden", times=2)
    with pytest.raises(ClusterError) as caught:
        submit(demo, "fail")
    assert str(caught.value).startswith(says)
    run = only(demo)
    assert (run.status, cluster.made) == ("FAILED", [])
    assert run.reason is not None
    assert run.reason.startswith(says)


def test_a_job_is_made_once(demo: Path, cluster: Api) -> None:
    """Also when the answer to its making was lost, or the cluster was busy: a 409 is none then."""
    cluster.trouble("POST", "/jobs$", 503)
    cluster.trouble("POST", "/jobs$", late=True)
    submit(demo, "speak")
    assert (only(demo).status, len(cluster.made)) == ("FINISHED", 1)
    assert len(cluster.asked("^POST")) == 3


def test_a_cluster_that_is_away_for_a_while_is_asked_again(
    demo: Path, cluster: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It is said once, and nothing is lost."""
    cluster.trouble("GET", "/jobs/", 500, message="etcd is away", times=3)
    cluster.trouble("GET", "/pods$", 429, message="too many", times=1)
    cluster.trouble("GET", r"\?watch", 410, message="too old", times=1)
    cluster.trouble("GET", r"\?watch", 410, message="too old", times=1, event=True)
    cluster.trouble("GET", r"\?watch", 500, times=1)
    submit(demo, "speak")
    assert only(demo).status == "FINISHED"
    said = capfdbinary.readouterr().err
    assert said.count(b"gitml: the cluster says 500: etcd is away; it is asked again\n") == 1


def test_a_log_that_breaks_off_is_taken_up_again(
    demo: Path, cluster: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Each line comes once, wherever it broke off."""
    for cut in (0, 20, 100, 101, 150, 300):
        cluster.trouble("GET", "/log$", cut=cut)
    cluster.trouble("GET", "/log$", 500)
    submit(demo, "speak")
    lines = [f"line {number}\n" for number in range(1, 10)]
    assert capfdbinary.readouterr().out == "".join([*lines, "end"]).encode()
    assert len(cluster.asked("/log")) > 7
    assert [one for one in cluster.troubles if one.times] == []


def test_a_log_that_may_not_be_read_stops_nothing(
    demo: Path, cluster: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It is said, and the outcome is known all the same."""
    cluster.trouble("GET", "/log$", 403, message="pods/log is forbidden", times=100)
    submit(demo, "speak")
    out, err = capfdbinary.readouterr()
    assert (out, only(demo).status) == (b"", "FINISHED")
    assert b"gitml: its log can't be read: you may not do that in the cluster (403)" in err


def test_a_token_that_is_over_is_read_anew(demo: Path, cluster: Api) -> None:
    """As a tool writes it that logs in while a run goes on."""

    def change() -> None:
        kubeconfig(Path(os.environ["KUBECONFIG"]), cluster.url, token="another")
        cluster.token = "another"

    soon(cluster, change)
    submit(demo, "speak")
    assert only(demo).status == "FINISHED"


def test_a_cluster_that_is_gone_is_told_of(demo: Path, cluster: Api) -> None:
    """A run whose end nobody can tell has failed, and says where its Job may go on."""
    soon(cluster, lambda: cluster.trouble("GET", "/(jobs|pods)", 403, message="no", times=10**6))
    said, run = failed(demo, "speak")
    assert said.startswith("speak: you may not do that in the cluster (403): no; its Job may go on")
    assert run.status == "FAILED"


# -- who the user is -----------------------------------------------------------------------


def test_a_context_is_the_one_that_is_named(
    demo: Path, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a plugin of the kubeconfig fetches the token."""
    plugin = demo.parent / "plugin"
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": cluster.token},
    }
    plugin.write_text(f"#!/bin/sh\ncat <<'E'\n{json.dumps(answer)}\nE\n", encoding="utf-8")
    plugin.chmod(0o755)
    exec_ = {
        "apiVersion": answer["apiVersion"],
        "command": str(plugin),
        "interactiveMode": "Never",
    }
    kubeconfig(demo.parent / "plugged", cluster.url, exec=exec_)
    monkeypatch.setenv("KUBECONFIG", str(demo.parent / "plugged"))
    submit(demo, "speak", config={"kube-context": "test", "namespace": "mine"})
    assert cluster.made[0]["metadata"]["namespace"] == "mine"
    with pytest.raises(UsageError, match=r"no cluster can be reached: .*another"):
        submit(demo, "speak", config={"kube-context": "another"})


def test_the_certificate_of_a_cluster_is_checked(demo: Path, cluster: Api, tmp_path: Path) -> None:
    """By the authority that the kubeconfig names; a cluster that has another is asked nothing."""
    file, node = certified(tmp_path / "cluster.pem"), tmp_path / "node-of-tls"
    shutil.copytree(cluster.node, node)
    path = Path(os.environ["KUBECONFIG"])
    with serving(node, file) as secured:
        secured.images["churn:1"] = demo
        kubeconfig(path, secured.url)
        with pytest.raises(ClusterError, match=r"does not answer: .*certificate verify failed"):
            submit(demo, "speak")
        assert secured.requests == []
        kubeconfig(path, secured.url, file)
        submit(demo, "speak")
    assert sorted(run.status for run in projects.runs(demo)) == ["FAILED", "FINISHED"]


def test_without_a_kubeconfig_there_is_no_cluster(
    demo: Path, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has run then."""
    monkeypatch.setenv("KUBECONFIG", str(demo / "missing"))
    with pytest.raises(UsageError, match="no cluster can be reached"):
        submit(demo, "speak")
    assert projects.runs(demo) == []


# -- the spool in a bucket -----------------------------------------------------------------


def test_a_run_comes_through_a_bucket(
    demo: Path, cluster: Api, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pod's keys are a Secret of the cluster; what is recorded leaves the bucket."""
    for name, value in bucket(endpoint).items():
        monkeypatch.setenv(name, value)
    cluster.secrets["store"] = bucket(endpoint)
    env = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": "store", "key": name}}}
        for name in bucket(endpoint)
    ]
    inner = {"containers": [{"name": "training", "env": env}]}
    template = told(demo, {"spec": {"template": {"spec": inner}}})
    spool = f"s3://bucket/{demo.parent.name}"
    submit(demo, parameters={"note": "x"}, config={"spool": spool, **template})
    run, inner_run = projects.runs(demo)
    assert (run.status, run.metrics["loss"].count) == ("FINISHED", 2)
    assert inner_run.parent_run == run.run_id
    assert projects.texts(demo, run)["notes.txt"] == "trained"
    assert run.tags["gitml.spool"] == f"{spool}/{run.run_id}"
    assert Bucket(spool).list(run.run_id) == {}
    assert "AWS" not in json.dumps(cluster.made[0]["spec"]).replace('"name": "AWS', "").replace(
        '"key": "AWS', ""
    )


def test_a_pod_that_is_killed_loses_little_of_a_bucket(
    demo: Path, cluster: Api, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had left it is there at once: nobody waits for a sign of life of what has ended."""
    for name, value in bucket(endpoint).items():
        monkeypatch.setenv(name, value)
    told_ = {"spool": f"s3://bucket/{demo.parent.name}", "environment": list(bucket(endpoint))}

    def take() -> None:
        until(lambda: [it for it in Bucket(told_["spool"]).list("") if ".jsonl/" in it])
        cluster.take(terminated={"reason": "OOMKilled"})

    soon(cluster, take)
    said, run = failed(demo, "wait", config=told_)
    assert said == "wait ran out of memory (exit code 137)"
    assert (run.status, run.metrics["step"].count > 0) == ("FAILED", True)


def bucket(endpoint: str) -> dict[str, str]:
    """How the bucket of the tests is reached."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a-key-of-the-bucket",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-bucket",
    }


# -- what a project may not choose ---------------------------------------------------------


def test_a_project_brings_no_template(demo: Path, cluster: Api, git: Git) -> None:
    """Nothing in its folder is read for one, however it is called; its volumes are left out."""
    evil = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": "kube-system"},
        "spec": {"template": {"spec": {"serviceAccountName": "admin", "hostNetwork": True}}},
    }
    for name in ("kubernetes_job_template.yaml", "kubernetes_config.json", "job.yaml"):
        (demo / name).write_text(json.dumps(evil), encoding="utf-8")
    text = (demo / "MLproject").read_text("utf-8")
    text = text.replace("image: churn:1", "image: churn:1\n  volumes: ['/:/host']")
    (demo / "MLproject").write_text(text, encoding="utf-8")
    submit(demo, "speak")
    (job,) = cluster.made
    assert job["metadata"]["namespace"] == "training"
    pod = job["spec"]["template"]["spec"]
    assert sorted(pod) == ["containers", "restartPolicy"]
    assert sorted(pod["containers"][0]) == ["args", "env", "image", "name"]


def test_a_project_takes_no_variable_of_the_user(
    demo: Path, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is from the template, or named by the user himself; its value is in no output."""
    monkeypatch.setenv("API_TOKEN", "s3cr3t-of-the-user")
    text = (demo / "MLproject").read_text("utf-8")
    text = text.replace("environment: [[", "environment: [API_TOKEN, [")
    text = text.replace("echo so far; exit 3", "echo it is $API_TOKEN")
    (demo / "MLproject").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="takes the variable API_TOKEN from you, which a pod does"):
        submit(demo, "fail")
    assert cluster.made == []
    submit(demo, "fail", config={"environment": ["API_TOKEN"]})
    assert "s3cr3t" not in projects.texts(demo, only(demo))["logs/output.txt"]
    cluster.secrets["token"] = {"key": "of-the-cluster"}
    env = [{"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "key"}}}]
    template = {"spec": {"template": {"spec": {"containers": [{"env": env}]}}}}
    submit(demo, "fail", config=told(demo, template))
    assert "s3cr3t" not in json.dumps(cluster.made[-1])


def test_a_secret_that_is_missing_is_said(demo: Path, cluster: Api) -> None:
    """As the cluster says it."""
    env = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x"}}}]
    template = {"spec": {"template": {"spec": {"containers": [{"env": env}]}}}}
    said, _ = failed(demo, "speak", config={"start-timeout": 1, **told(demo, template)})
    assert said == (
        'speak could not be started: CreateContainerConfigError: secret "none" not found'
    )


def test_a_template_with_a_mistake_is_refused_by_the_cluster(demo: Path, cluster: Api) -> None:
    """A field that there is not is not left out."""
    with pytest.raises(ClusterError, match=r"the cluster says 400: .*backofLimit"):
        submit(demo, "speak", config=told(demo, {"spec": {"backofLimit": 2}}))


# -- what is asked for -----------------------------------------------------------------------


def test_data_is_the_projects_or_the_pods(
    demo: Path, cluster: Api, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A relative path is seen from the project, an absolute one is one of the pod."""
    submit(demo, "read", parameters={"table": "data.csv"})
    elsewhere = cluster.node / "table.csv"
    elsewhere.write_text("of the pod\n", encoding="utf-8")
    submit(demo, "read", parameters={"table": str(elsewhere)})
    assert capfdbinary.readouterr().out == b"age\n31\nof the pod\n"
    for value in ("missing.csv", "../outside.csv", "s3://bucket/data.csv", "dvc:data.csv"):
        with pytest.raises(UsageError, match="the parameter 'table'"):
            submit(demo, "read", parameters={"table": value})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"backend_config": None}, "is told where to run and to record"),
        ({"backend": "docker"}, "the backend docker takes no configuration"),
        ({"env_manager": "uv"}, "in a cluster there is no 'uv'"),
        ({"docker_args": {"gpus": "all"}}, "a pod has no options of docker run"),
        ({"skip_image_build": False}, "not told where to push the project's image: repository-uri"),
        ({"backend": "nomad"}, "there are local, docker, kubernetes"),
    ],
)
def test_what_does_not_fit_is_refused(
    demo: Path, cluster: Api, given: dict[str, Any], says: str
) -> None:
    """Before anything runs."""
    asked = {
        "backend": "kubernetes", "backend_config": config(demo), "skip_image_build": True, **given,
    }  # fmt: skip
    with pytest.raises(UsageError, match=says):
        public.run(str(demo), "speak", **asked)
    assert (cluster.requests, projects.runs(demo)) == ([], [])
