"""The target kubernetes: pods replace each other in a test cluster that really runs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.cli.main import run as command
from gitml.clusters import ClusterError, context_of
from gitml.deploy import choosing
from gitml.deploy.deployments import deployments
from gitml.deploy.errors import DeployError
from gitml.deploy.release import Release
from gitml.deploy.targets import manifests, naming
from gitml.deploy.targets.kubernetes import Kubernetes
from gitml.deploy.targets.manifests import Shape
from gitml.errors import FormatError, UsageError
from gitml.models.images.dockerfile import MODEL, PORT, SERVE
from tests.clones import team
from tests.cluster_deployments import Pod, kubernetes_validate
from tests.clusters import Api, cluster
from tests.deployments import decide, deploy, register, settings, told
from tests.versions import clients, quiet, release
from tests.waiting import until

__all__ = ["cluster"]
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="pods run as processes of a POSIX system"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes"),
]
pytest.importorskip("kubernetes", reason="the library kubernetes is not installed")

SHAPE = Shape("churn-production", "0123abcd", replicas=2, start_timeout=60)


def program(one: Release) -> tuple[str, ...]:
    """What the image of a version runs, at the pod's own port."""
    words = {"python": sys.executable, MODEL: str(one.folder), str(PORT): "{port}"}
    argv = [words.get(it, it) for it in SERVE]
    return (*argv, "--registered-as", f"{one.name}@{one.version}")


@pytest.fixture
def churn(cluster: Api) -> Kubernetes:
    """A deployment; an image that is pushed is one that the cluster can run."""

    def publish(one: Release, tell: Callable[[str], None]) -> str:
        name = f"registry.example/churn@{one.digest}"
        cluster.workloads.programs[name] = program(one)
        return name

    return Kubernetes(SHAPE, publish, lambda: None)


@pytest.mark.slow
def test_versions_replace_each_other_and_a_bad_one_never_serves(
    cluster: Api, churn: Kubernetes, tmp_path: Path
) -> None:
    """No request is lost meanwhile; what was tried in vain is taken away again."""
    first, second = release(tmp_path, 1), release(tmp_path, 2)
    bad = release(tmp_path, 3, "raise RuntimeError('no such table')")
    broken = replace(release(tmp_path, 4), folder=tmp_path / "nowhere")
    assert not churn.live().is_there
    assert churn.deploy(first, quiet) == ""
    live = churn.live()
    assert (live.is_ours, live.is_well, live.model, live.version) == (True, True, "churn", "v1.0.0")
    assert (live.run_id, live.digest) == (first.run_id, first.digest)
    with clients(cluster.workloads.port("churn-production"), (0.02, False)) as one:
        churn.deploy(second, quiet)
        assert churn.live().version == "v2.0.0"
        with pytest.raises(
            DeployError, match="does not predict for the model's own example"
        ) as failure:
            churn.deploy(bad, quiet)
        assert any("no such table" in line for line in failure.value.log)
        with pytest.raises(DeployError, match=r"it ended with 2 before it served|it did not stay"):
            churn.deploy(broken, quiet)
        assert (churn.live().version, churn.live().is_well) == ("v2.0.0", True)
        until(lambda: {version(it) for it in pods(cluster)} == {"v2.0.0"})
        churn.deploy(first, quiet)
    assert one.lost == []
    assert set(one.answers) == {1, 2}
    churn.remove()
    assert not churn.live().is_there
    until(lambda: not pods(cluster))
    assert cluster.workloads.services == {}


@pytest.mark.slow
def test_what_was_tried_when_it_was_killed_is_not_restored(
    cluster: Api, churn: Kubernetes, tmp_path: Path
) -> None:
    """What goes on is what serves, not what the Deployment said last."""
    first = release(tmp_path, 1)
    bad = release(tmp_path, 3, "raise RuntimeError('no')")
    churn.deploy(first, quiet)
    image = churn.publish(bad, quiet)
    manifest = manifests.deployment(SHAPE, "training", image, bad)
    cluster.workloads.apply(
        "deployments", SHAPE.name, {"fieldManager": "gitml", "fieldValidation": "Strict"}, manifest
    )
    until(lambda: "v3.0.0" in {version(it) for it in pods(cluster)})
    assert churn.live().version == "v1.0.0"
    with pytest.raises(DeployError):
        churn.deploy(bad, quiet)
    until(lambda: {version(it) for it in pods(cluster)} == {"v1.0.0"})
    assert churn.live().is_well
    template = cluster.workloads.deployments[SHAPE.name]["spec"]["template"]
    assert manifests.told_by(template)["version"] == "v1.0.0"


@pytest.mark.slow
def test_a_first_version_that_does_not_serve_leaves_nothing(
    cluster: Api, churn: Kubernetes, tmp_path: Path
) -> None:
    """Neither a Deployment that is tried for ever, nor a Service without anything behind it."""
    with pytest.raises(DeployError):
        churn.deploy(release(tmp_path, 3, "raise RuntimeError('no')"), quiet)
    assert (cluster.workloads.deployments, cluster.workloads.services) == ({}, {})


def test_an_image_that_can_not_be_pulled(cluster: Api, churn: Kubernetes, tmp_path: Path) -> None:
    """The cluster gives up after a while, and says so."""
    shape = replace(SHAPE, start_timeout=2)
    missing = replace(churn, shape=shape, publish=lambda *_: "registry.example/lost:1")
    with pytest.raises(DeployError, match="does not serve in time: ProgressDeadlineExceeded"):
        missing.deploy(release(tmp_path, 1), quiet)


def test_a_thing_of_that_name_that_is_not_gitmls(
    cluster: Api, churn: Kubernetes, tmp_path: Path
) -> None:
    """It is neither replaced nor taken away."""
    other = manifests.service(replace(SHAPE, owner="another"), "training")
    cluster.workloads.apply(
        "services", SHAPE.name, {"fieldManager": "kubectl", "fieldValidation": "Strict"}, other
    )
    for act in (lambda: churn.deploy(release(tmp_path, 1), quiet), churn.remove):
        with pytest.raises(UsageError, match="is not of this deployment"):
            act()
    assert cluster.workloads.deployments == {}
    assert list(cluster.workloads.services) == [SHAPE.name]


@pytest.mark.slow
def test_pods_that_an_autoscaler_counts(cluster: Api, churn: Kubernetes, tmp_path: Path) -> None:
    """A number that is not in gitml.yaml is not gitml's to change."""
    free = replace(churn, shape=replace(SHAPE, replicas=None))
    free.deploy(release(tmp_path, 1), quiet)
    cluster.workloads.deployments[SHAPE.name]["spec"]["replicas"] = 2
    free.deploy(release(tmp_path, 2), quiet)
    assert cluster.workloads.deployments[SHAPE.name]["spec"]["replicas"] == 2
    until(lambda: [version(it) for it in pods(cluster)] == ["v2.0.0"] * 2)


def test_a_cluster_that_refuses(cluster: Api, churn: Kubernetes, tmp_path: Path) -> None:
    """It is said in its words; nothing was changed."""
    cluster.trouble("PATCH", "deployments", 403, message="deployments.apps is forbidden")
    with pytest.raises(ClusterError, match=r"deployments\.apps is forbidden"):
        churn.deploy(release(tmp_path, 1), quiet)
    assert cluster.workloads.deployments == {}


# -- what is said to Kubernetes ------------------------------------------------------------

TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations: {team: growth}
spec:
  template:
    metadata:
      labels: {team: growth}
    spec:
      serviceAccountName: scoring
      nodeSelector: {disk: fast}
      containers:
        - name: scoring
          resources: {limits: {memory: 2Gi, cpu: "1"}}
          env: [{name: LEVEL, value: warning}]
        - name: proxy
          image: envoy:1
"""
ANY = Release(
    "churn", "v1.0.0", "a" * 32, f"sha256:{'b' * 64}", Path("model"), lambda *_: Path("python")
)


def test_the_manifests_are_valid() -> None:
    """By Kubernetes' own schemas, with and without a template; the user's parts stay."""
    import yaml

    plain = manifests.deployment(SHAPE, "serving", "registry.example/churn:1", ANY)
    shape = replace(SHAPE, template=yaml.safe_load(TEMPLATE))
    made = manifests.deployment(shape, "serving", "registry.example/churn:1", ANY)
    for one in (plain, made, manifests.service(SHAPE, "serving")):
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
        assert one["metadata"]["namespace"] == "serving"
    pod = made["spec"]["template"]
    first, second = pod["spec"]["containers"]
    assert (first["name"], first["image"]) == ("scoring", "registry.example/churn:1")
    assert first["resources"]["limits"] == {"memory": "2Gi", "cpu": "1"}
    assert second == {"name": "proxy", "image": "envoy:1"}
    assert pod["spec"]["serviceAccountName"] == "scoring"
    assert pod["metadata"]["labels"] == {"team": "growth", **SHAPE.tags}
    assert made["metadata"]["annotations"] == {"team": "growth"}
    assert made["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert manifests.told_by(pod)["digest"] == ANY.digest
    assert first["startupProbe"]["httpGet"]["path"] == "/ready"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "the Deployment is no mapping"),
        ({"apiVersion": "batch/v1", "kind": "Job"}, "is no Deployment"),
        ({"spec": []}, "is no Deployment"),
        ({"spec": {"template": "x"}}, "spec.template is no mapping"),
        ({"spec": {"template": {"spec": {"containers": []}}}}, "is no list of containers"),
        ({"spec": {"template": {"spec": {"containers": ["x"]}}}}, "a container is no mapping"),
        ({"metadata": {"labels": ["x"]}}, "metadata.labels is no mapping"),
    ],
)
def test_what_is_no_template(document: Any, why: str) -> None:
    """It is said where it is wrong."""
    if isinstance(document, dict) and why != "is no Deployment":
        document = {"apiVersion": "apps/v1", "kind": "Deployment", **document}
    with pytest.raises(FormatError, match=why):
        manifests.check(document, "churn.yaml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ports", 3),
        ("ports", ["x"]),
        ("volumeMounts", {"a": {}}),
        ("lifecycle", ["x"]),
        ("securityContext", 3),
        ("livenessProbe", "x"),
    ],
)
def test_a_container_that_is_none_is_told_of(key: str, value: object) -> None:
    """One template that is wrong is that deployment's fault, and stops none of the others."""
    template = {"spec": {"containers": [{key: value}]}}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}
    with pytest.raises(FormatError, match=key.removesuffix("s")):
        manifests.check(document, "churn.yaml")


@pytest.mark.parametrize("pod", [{"volumes": 3}, {"terminationGracePeriodSeconds": 1e400}])
def test_a_pod_that_is_none_is_told_of(pod: dict[str, Any]) -> None:
    """So are what stands beside the containers, and numbers that are none."""
    template = {"spec": pod}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}
    with pytest.raises(FormatError, match=r"churn\.yaml"):
        manifests.check(document, "churn.yaml")


@given(st.text("aB1-_.", min_size=1, max_size=80), st.sampled_from(["production", "p_1", "a-b"]))
def test_names_are_allowed_and_apart(model: str, stage: str) -> None:
    """Whatever a model is called; another one's are others."""
    name = naming.name_of(model, stage)
    assert kubernetes_name(name)
    assert naming.name_of(f"{model}x", stage) != name
    assert naming.name_of(model, f"{stage}x") != name
    assert naming.name_of("a", "b-c") != naming.name_of("a-b", "c")


def kubernetes_name(name: str) -> bool:
    """Whether a Service may have that name (RFC 1035)."""
    import re

    return re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name) is not None


# -- the settings, and who allows it -------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({}, "production: 'registry' is missing"),
        ({"registry": "https://registry.example"}, "is not a repository of images"),
        (
            {"registry": "r/churn", "env_manager": "uv"},
            "'env_manager' is not a key of the target k",
        ),
        ({"registry": "r/churn", "replicas": 0}, "0 is not a number of pods"),
        ({"registry": "r/churn", "manifest": "../x"}, "'../x' is not the path of a file"),
        ({"registry": "r/churn", "namespase": "x"}, "did you mean 'namespace'"),
        ({"registry": "r", "models": {"churn": {"host": "x"}}}, "churn: 'host' is not a key of"),
    ],
)
def test_settings_that_are_wrong(told: dict[str, Any], why: str) -> None:
    """The message names the key, and what there is."""
    with pytest.raises(FormatError, match=why):
        deployments({"production": {"target": "kubernetes", **told}}, {})


def test_nothing_is_asked_of_a_cluster_that_the_user_has_not_allowed(
    cluster: Api,
    tmp_path: Path,
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What gitml.yaml names is used once he says so, in a configuration that no clone brings."""
    ann = team(tmp_path, bare, "ann", dvc=True)[0]
    settings(ann, {"production": {"target": "kubernetes", "registry": "registry.example/churn"}})
    decide(ann, register(ann, 1))
    monkeypatch.chdir(ann.folder)
    (outcome,) = deploy(ann)
    assert "deploys by kubernetes with your access" in outcome.why
    assert cluster.requests == []
    allow = outcome.why.partition("run: git ")[2]
    assert allow.startswith("config --global --add gitml.deploys ")
    address = ann.git("remote", "get-url", "origin")
    line = f"{address} kubernetes test - registry.example/churn"
    ann.git("config", "--local", "--add", "gitml.deploys", line)
    assert "not allowed" in deploy(ann)[0].why
    assert command(["status", "--check"]) == 1
    assert cluster.requests == []
    capsys.readouterr()
    ann.git("config", "--global", "--add", "gitml.deploys", line)
    assert command(["status"]) == 0
    assert "OutOfSync" in capsys.readouterr().out
    assert [it.done for it in deploy(ann, dry_run=True)] == ["would deploy"]
    assert cluster.asked("^(PATCH|DELETE)") == []
    (one,) = told(ann).deployments
    assert isinstance(choosing.target(ann.place, one), Kubernetes)


def test_the_context_that_is_meant(
    cluster: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The named one, else the current one, else the cluster that this process runs in."""
    assert context_of("prod") == "prod"
    assert context_of() == "test"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "lost"))
    with pytest.raises(UsageError, match="no cluster can be reached"):
        context_of()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert context_of() == "in-cluster"


# -- what is looked at ---------------------------------------------------------------------


def pods(cluster: Api) -> list[Pod]:
    """The pods of Deployments."""
    return [it for it in list(cluster.pods.values()) if isinstance(it, Pod)]


def version(pod: Pod) -> str | None:
    """The version that a pod is of."""
    return manifests.told_by(pod.document)["version"]
