"""The target local: versions replace each other at one address, and no request is lost."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from gitml import locks
from gitml.deploy import asking, probe
from gitml.deploy.errors import DeployError
from gitml.deploy.targets.local import Local
from tests.deployments import EXAMPLE
from tests.ports import free_port
from tests.versions import CONNECTING, KEEPING, PAUSING, clients, quiet, release
from tests.waiting import until


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """A deployment at a free port; its servers end with the test."""
    one = Local(tmp_path / "keeper", "127.0.0.1", free_port(), "local")
    yield one
    one.remove()


def test_no_request_is_lost_through_a_deploy_a_bad_one_and_a_rollback(
    tmp_path: Path, local: Local
) -> None:
    """A version that can't predict for its own example never serves."""
    first, second = release(tmp_path, 1), release(tmp_path, 2)
    bad = release(tmp_path, 3, code="raise RuntimeError('it can not')")
    local.deploy(first, quiet)
    with clients(local.port, KEEPING, CONNECTING, CONNECTING, PAUSING) as client:
        time.sleep(1)
        local.deploy(second, quiet)
        assert {local.live().version for _ in range(30)} == {"v2.0.0"}
        with pytest.raises(DeployError, match="does not predict for the model's own example"):
            local.deploy(bad, quiet)
        assert local.live().version == "v2.0.0"
        local.deploy(first, quiet)
        time.sleep(3)
    assert client.lost == []
    assert set(client.answers) == {1, 2}
    assert local.live() == probe.Live(
        True, True, True, "churn", "v1.0.0", first.run_id, first.digest
    )


def test_each_answer_says_what_gave_it(tmp_path: Path, local: Local) -> None:
    """In headers: model, version and run."""
    version = release(tmp_path, 1)
    local.deploy(version, quiet)
    connection = http.client.HTTPConnection("127.0.0.1", local.port, timeout=30)
    connection.request("GET", "/ping")
    told = connection.getresponse().headers
    named = [told["gitml-model"], told["gitml-version"], told["gitml-run"]]
    assert named == ["churn", "v1.0.0", version.run_id]
    connection.close()


def test_files_that_are_not_those_of_the_version_never_serve(tmp_path: Path, local: Local) -> None:
    """They are hashed again by the process that loads them."""
    version = release(tmp_path, 1)
    (version.folder / "more.txt").write_text("changed")
    with pytest.raises(DeployError, match="have the digest"):
        local.deploy(version, quiet)
    assert not local.live().is_there


def test_what_the_server_said_is_told(tmp_path: Path, local: Local) -> None:
    """With the failure comes the end of its log."""
    version = release(tmp_path, 1, code="import os; os.write(1, b'no such table\\n'); os._exit(3)")
    with pytest.raises(DeployError) as failure:
        local.deploy(version, quiet)
    assert "no such table" in failure.value.log


def test_a_model_gets_no_token_of_a_forge(
    tmp_path: Path, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code could decide what is deployed; other variables are its own affair."""
    seen = tmp_path / "seen"
    for name in ("GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "AWS_REGION"):
        monkeypatch.setenv(name, "s3cr3t")
    code = f"import os; open({str(seen)!r}, 'w').write(repr(sorted(os.environ)))"
    local.deploy(release(tmp_path, 1, code=code), quiet)
    assert "TOKEN" not in seen.read_text()
    assert "AWS_REGION" in seen.read_text()


def test_a_python_that_lacks_what_serving_needs(tmp_path: Path, local: Local) -> None:
    """It is said what to install, not how it ended."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    (found,) = bare.glob("lib/python3*/site-packages")
    for name in ("gitml", "click", "cloudpickle", "yaml", "orjson", "packaging", "psutil"):
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        (found / name).symlink_to(Path(spec.origin).parent)
    lacking = replace(release(tmp_path, 1), interpreter=lambda *_: bare / "bin" / "python")
    with pytest.raises(DeployError, match=r"gitml\[serve\]"):
        local.deploy(lacking, quiet)


def test_a_server_that_is_killed_is_started_again(tmp_path: Path, local: Local) -> None:
    """Requests wait for it meanwhile, as the address stays open."""
    version = release(tmp_path, 1)
    local.deploy(version, quiet)
    kill(local, "gitml.models.serving.candidate")
    assert probe.refuses(local.address, EXAMPLE.encode()) == ""
    assert local.live().version == "v1.0.0"


def test_servers_end_with_their_keeper(tmp_path: Path, local: Local) -> None:
    """Nothing of a deployment is left when it is killed, and the next one starts anew."""
    version = release(tmp_path, 1)
    local.deploy(version, quiet)
    kill(local, "gitml.deploy.keeper")
    until(lambda: not local.live().is_there)
    local.deploy(version, quiet)
    assert local.live().is_well


def test_an_address_that_is_taken(tmp_path: Path, local: Local) -> None:
    """Is said, and the process that would keep it ends."""
    where = f"can't serve on 127.0.0.1, port {local.port}"
    with socket.create_server(("127.0.0.1", local.port)), pytest.raises(DeployError, match=where):
        local.deploy(release(tmp_path, 1), quiet)
    until(lambda: not locks.is_held(local.folder / asking.LOCK))


def test_another_port_moves_the_deployment(tmp_path: Path, local: Local) -> None:
    """The old address is given up."""
    version = release(tmp_path, 1)
    local.deploy(version, quiet)
    moved = Local(local.folder, local.host, free_port(), "local")
    moved.deploy(version, quiet)
    assert moved.live().is_well
    assert not local.live().is_there


def test_what_is_removed_answers_first(tmp_path: Path, local: Local) -> None:
    """A request in flight gets its answer, then nobody is there."""
    local.deploy(release(tmp_path, 1, code="__import__('time').sleep(1)"), quiet)
    found: list[str] = []
    asker = threading.Thread(
        target=lambda: found.append(probe.refuses(local.address, EXAMPLE.encode()))
    )
    asker.start()
    time.sleep(0.3)
    local.remove()
    asker.join()
    assert found == [""]
    assert not local.live().is_there


def kill(local: Local, module: str) -> None:
    """Kill the process of this deployment that runs a module."""
    import psutil

    for one in psutil.process_iter(["cmdline"]):
        line = one.info["cmdline"] or []
        if module in line and any(str(local.folder.parent) in part for part in line):
            os.kill(one.pid, signal.SIGKILL)
            return
    raise AssertionError(f"no process runs {module}")
