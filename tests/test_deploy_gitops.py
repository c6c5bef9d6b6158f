"""The target kubernetes with `mode: gitops`: a pull request that changes the image in a file."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gitml.deploy.deployments import deployments
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import Address
from gitml.deploy.reconcile import FAILED, PROPOSED, WAITING
from gitml.deploy.release import Release, Tell
from gitml.deploy.targets import watched
from gitml.deploy.targets.gitops import GitOps, Watched
from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError
from tests.clones import Clone, team
from tests.conftest import run_git
from tests.deployments import decide, deploy, publish, register, settings
from tests.forge_kinds import At, variables
from tests.ports import free_port

IMAGES = "registry.example/churn"
NEW = f"sha256:{'b' * 64}"
RELEASE = Release(
    "churn", "v1.0.0", "a" * 32, f"sha256:{'c' * 64}", Path("model"), lambda *_: Path("python")
)
GITOPS = {"target": "kubernetes", "mode": "gitops", "registry": IMAGES, "file": "churn.yaml"}
MANIFESTS = f"""\
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
        - image: "{IMAGES}:none"  # gitml writes it
          name: model
        - image: {IMAGES}-proxy:1
---
kind: Service
"""
KUSTOMIZATION = f"""\
# what production runs
images:
  - name: model
    newName: {IMAGES}
  - name: proxy
    newTag: "1"
"""


@pytest.fixture
def ann(tmp_path: Path, bare: Path) -> Clone:
    """A clone of the repository in which the file is."""
    one = team(tmp_path, bare, "ann", dvc=True)[0]
    (one.folder / "churn.yaml").write_text(MANIFESTS)
    publish(one, "What the cluster runs")
    return one


@pytest.fixture
def churn(ann: Clone, bare: Path) -> GitOps:
    """A deployment; each image has the same digest, and `published` counts them."""

    def pushed(one: Release, tell: Tell) -> str:
        tell(f"pushed {one.version}")
        return f"{IMAGES}@{NEW}"

    place = Watched(str(bare), "churn.yaml", IMAGES)
    address = Address("127.0.0.1", free_port())
    return GitOps("production/churn", place, address, pushed, lambda: None)


def test_a_change_is_proposed_once(ann: Clone, churn: GitOps, bare: Path) -> None:
    """One line of the file changes, on a branch; a version that is there is not built again."""
    said: list[str] = []
    first = churn.deploy(RELEASE, said.append)
    assert first == "merge the branch gitml/deploy/production/churn"
    assert churn.deploy(RELEASE, said.append) == first
    assert said == ["pushed v1.0.0"]
    changed = run_git(bare, "diff", "--unified=0", "main", "gitml/deploy/production/churn")
    lines = [it for it in changed.splitlines() if it[:1] in "+-" and it[:3] not in ("+++", "---")]
    assert lines == [
        f'-        - image: "{IMAGES}:none"  # gitml writes it',
        f'+        - image: "{IMAGES}:v1.0.0-{"c" * 12}@{NEW}"  # gitml writes it',
    ]
    message = run_git(bare, "log", "-1", "--format=%B", "gitml/deploy/production/churn")
    assert message.splitlines()[0] == "Deploy churn v1.0.0"
    assert f"Run-Id: {RELEASE.run_id}" in message
    second = replace(RELEASE, version="v2.0.0", digest=f"sha256:{'d' * 64}")
    churn.deploy(second, said.append)
    count = run_git(bare, "rev-list", "--count", "main..gitml/deploy/production/churn")
    assert (said, count) == (["pushed v1.0.0", "pushed v2.0.0"], "2")


def test_a_pull_request_is_opened_and_moved(
    at: At, churn: GitOps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a forge with an API; the next version takes its place, and merging it decides."""
    for name, value in variables(at.kind, at.forge.url).items():
        monkeypatch.setenv(name, value)
    (at.clone.folder / "churn.yaml").write_text(MANIFESTS)
    publish(at.clone, "What the cluster runs")
    url = at.clone.git("remote", "get-url", "origin")
    one = replace(churn, watched=replace(churn.watched, url=url))
    first = one.deploy(RELEASE, lambda _: None)
    page = {"github": "pull", "gitlab": "-/merge_requests"}[at.kind]
    assert first == f"{at.forge.url}/ada/churn/{page}/1"
    assert one.deploy(RELEASE, lambda _: None) == first
    second = replace(RELEASE, version="v2.0.0", digest=f"sha256:{'d' * 64}")
    assert one.deploy(second, lambda _: None) == first
    pull = at.forge.pull(1)
    assert (pull.title, pull.base) == ("Deploy churn v2.0.0", "main")
    assert f"- image `{IMAGES}@{NEW}`" in pull.body
    at.merge(1)
    assert "the cluster has still to follow" in one.deploy(second, lambda _: None)


def test_what_is_merged_is_for_the_cluster_to_follow(ann: Clone, churn: GitOps, bare: Path) -> None:
    """Nothing is proposed again meanwhile; the next version is, on the branch as it is."""
    churn.deploy(RELEASE, lambda _: None)
    ann.git("fetch", "--quiet")
    ann.git("merge", "--quiet", "origin/gitml/deploy/production/churn")
    publish_merge(ann)
    assert "the cluster has still to follow" in churn.deploy(RELEASE, lambda _: None)
    second = replace(RELEASE, version="v2.0.0", digest=f"sha256:{'d' * 64}")
    churn.deploy(second, lambda _: None)
    assert "v2.0.0" in run_git(bare, "show", "gitml/deploy/production/churn:churn.yaml")


def publish_merge(ann: Clone) -> None:
    """Push what was merged."""
    ann.git("push", "--quiet", "origin", "HEAD:main")


def test_a_version_that_does_not_prove_itself_is_not_proposed(
    ann: Clone, churn: GitOps, bare: Path
) -> None:
    """No branch is there."""

    def refused(one: Release, tell: Tell) -> str:
        raise DeployError("it does not predict for the model's own example: no")

    with pytest.raises(DeployError):
        replace(churn, publish=refused).deploy(RELEASE, lambda _: None)
    assert "gitml/deploy" not in run_git(bare, "branch", "--list")


def test_a_file_that_is_not_there(churn: GitOps) -> None:
    """It is said which, and on which branch."""
    other = replace(churn, watched=replace(churn.watched, path="lost.yaml"))
    with pytest.raises(UsageError, match=r"there is no 'lost\.yaml' on 'refs/heads/main'"):
        other.deploy(RELEASE, lambda _: None)
    with pytest.raises(UsageError, match=r"takes it out of 'churn\.yaml'"):
        churn.remove()


def test_the_command_says_what_it_waits_for(ann: Clone) -> None:
    """A repository deploys there once the user allows it."""
    told = {"target": "kubernetes", "mode": "gitops", "registry": IMAGES}
    address = f"http://127.0.0.1:{free_port()}"
    item = register(ann, 1)
    decide(ann, item)
    settings(ann, {"production": told})
    with pytest.raises(FormatError, match="'file' is missing"):
        deploy(ann)
    settings(ann, {"production": {**told, "file": "churn.yaml", "url": address}})
    (outcome,) = deploy(ann)
    assert outcome.done == FAILED
    origin = ann.git("remote", "get-url", "origin")
    line = f"{origin} gitops {origin} {IMAGES} {address}"
    assert f"'{line}'" in outcome.why
    ann.git("config", "--global", "--add", "gitml.deploys", line)
    tag = f"v1.0.0-{item.note.digest.rpartition(':')[2][:12]}"
    text = MANIFESTS.replace(":none", f":{tag}@{NEW}")
    (ann.folder / "churn.yaml").write_text(text)
    publish(ann, "Already there")
    (outcome,) = deploy(ann)
    assert (outcome.done, outcome.why) == (
        PROPOSED,
        "it is in churn.yaml; the cluster has still to follow",
    )


def test_what_gitml_can_not_take_away(ann: Clone) -> None:
    """It is a failure like others: told, and tried again later."""
    address = f"http://127.0.0.1:{free_port()}"
    told = GITOPS
    allow(ann, address)
    with served(address):
        settings(
            ann,
            {"production": {**told, "url": address, "prune": True, "models": {"churn": {}}}},
        )
        (outcome,) = deploy(ann)
        assert outcome.done == FAILED
        assert "takes it out of 'churn.yaml'" in outcome.why
        assert [it.done for it in deploy(ann, patient=True)] == [WAITING]


def test_its_address_is_asked_once_the_user_allows_it(ann: Clone) -> None:
    """It is a place that the repository names, as are a cluster's and a cloud's."""
    address = f"http://127.0.0.1:{free_port()}"
    settings(ann, {"production": {**GITOPS, "url": address}})
    decide(ann, register(ann, 1))
    with served(address) as asked:
        (outcome,) = deploy(ann)
        assert "deploys by gitops with your access, which you have not allowed" in outcome.why
        assert asked == []
        allow(ann, f"{address}/elsewhere")
        assert deploy(ann)[0].done == FAILED
        assert asked == []
        allow(ann, address)
        deploy(ann)
        assert "/version" in asked


@pytest.mark.parametrize(
    "key",
    ["context: x", "namespace: x", "manifest: x", "replicas: 2", "port: 80", "start_timeout: 9"],
)
@pytest.mark.parametrize("within", ["production", "models"])
def test_what_the_manifests_say_is_refused_here(key: str, within: str, ann: Clone) -> None:
    """By its line, and with what to do: gitml changes an image there, and nothing else."""
    lines = ["deployments:", "  production:", "    target: kubernetes", "    mode: gitops"]
    lines += [f"    registry: {IMAGES}", "    file: churn.yaml", "    url: http://127.0.0.1:1"]
    lines += (
        [f"    {key}"]
        if within == "production"
        else ["    models:", "      churn:", f"        {key}"]
    )
    (ann.folder / "gitml.yaml").write_text("\n".join(lines))
    publish(ann, "Settings")
    name = key.partition(":")[0]
    where = f"gitml.yaml: line {len(lines)}, .*'{name}' is not for mode gitops: the manifests"
    with pytest.raises(FormatError, match=where):
        deploy(ann)


def test_a_model_may_have_the_other_mode() -> None:
    """What gitml itself applies may say how many pods there are."""
    one = {"churn": {"mode": "apply", "replicas": 2}}
    deployments({"production": {**GITOPS, "url": "http://h", "models": one}}, {})
    plain = {"target": "kubernetes", "registry": IMAGES, "replicas": 2}
    deployments({"production": {**plain, "models": {"churn": {"mode": "gitops"}}}}, {})
    bad = {"churn": {"mode": "gitops", "replicas": 2}}
    with pytest.raises(FormatError, match="take it out here"):
        deployments({"production": {**plain, "models": bad}}, {})


def allow(ann: Clone, address: str) -> None:
    """Allow the deployment, as the user."""
    origin = ann.git("remote", "get-url", "origin")
    line = f"{origin} gitops {origin} {IMAGES} {address}"
    ann.git("config", "--global", "--add", "gitml.deploys", line)


@contextmanager
def served(address: str) -> Iterator[list[str]]:
    """A server of gitml's answers at an address; what it is asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b'{"gitml_version": "1", "model": "churn", "version": "v1.0.0"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    host, _, port = address.removeprefix("http://").partition(":")
    with http.server.ThreadingHTTPServer((host, int(port)), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield asked
        server.shutdown()
        thread.join()


# -- the file ------------------------------------------------------------------------------


def test_only_the_images_of_the_repository_change() -> None:
    """Everything else stays, to the byte."""
    made = watched.with_image(MANIFESTS.encode(), "churn.yaml", IMAGES, "v1", NEW).decode()
    assert made == MANIFESTS.replace(f"{IMAGES}:none", f"{IMAGES}:v1@{NEW}")
    again = watched.with_image(made.encode(), "churn.yaml", IMAGES, "v2", NEW).decode()
    assert again == MANIFESTS.replace(f"{IMAGES}:none", f"{IMAGES}:v2@{NEW}")
    assert watched.names_tag(again.encode(), "churn.yaml", IMAGES, "v2")
    assert not watched.names_tag(again.encode(), "churn.yaml", IMAGES, "v1")


def test_a_kustomization() -> None:
    """The entry of the repository has tag and digest; comments and other entries stay."""
    path = "overlays/production/kustomization.yaml"
    made = watched.with_image(KUSTOMIZATION.encode(), path, IMAGES, "v1", NEW)
    lines = KUSTOMIZATION.splitlines()
    lines[4:4] = ["    newTag: v1", f"    digest: {NEW}"]
    assert made.decode().splitlines() == lines
    assert load_yaml(made, path) == {
        "images": [
            {"name": "model", "newName": IMAGES, "newTag": "v1", "digest": NEW},
            {"name": "proxy", "newTag": "1"},
        ]
    }
    assert watched.names_tag(made, path, IMAGES, "v1")


@pytest.mark.parametrize("path", ["churn.yaml", "kustomization.yaml"])
def test_a_file_without_such_an_image(path: str) -> None:
    """It is said what to write there."""
    with pytest.raises(UsageError, match=r"registry\.example/other"):
        watched.with_image(
            MANIFESTS.split("---")[0].encode(), path, "registry.example/other", "v1", NEW
        )
