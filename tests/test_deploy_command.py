"""The target command: a program of the repository's serves what it is told to, or does not."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from gitml.deploy import choosing
from gitml.deploy.deployments import deployments
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import address_of
from gitml.deploy.reconcile import DEPLOYED, FAILED, NOTHING, WAITING
from gitml.deploy.targets.command import Command
from gitml.errors import FormatError, UsageError
from tests.clones import Clone, team
from tests.deployments import decide, deploy, publish, register, settings, told
from tests.http_servers import Quiet, answering
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="versions are tried on POSIX")

# Serves by gitml's own server, as a platform would; what it is told is in its environment.
PROGRAM = f"""#!{sys.executable}
import json, os, signal, subprocess, sys, time
from pathlib import Path

told = {{key: value for key, value in os.environ.items() if key.startswith("GITML_DEPLOY_")}}
home = Path(sys.argv[1])
with (home / "told.jsonl").open("a") as file:
    file.write(json.dumps({{**told, "here": os.listdir()}}) + "\\n")
print("it is being done")
if (home / "refuse").exists():
    sys.exit("the platform is full")
pid = home / "pid"
if pid.exists():
    os.kill(int(pid.read_text()), signal.SIGTERM)
    pid.unlink()
if told["GITML_DEPLOY_ACTION"] == "deploy":
    name = told["GITML_DEPLOY_MODEL"] + "@" + told["GITML_DEPLOY_VERSION"]
    log = (home / "log").open("ab")
    server = subprocess.Popen(
        [sys.executable, "-m", "gitml", "models", "serve", "--model-uri", told["GITML_DEPLOY_PATH"],
         "--port", sys.argv[2], "--allow-code", "--registered-as", name],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )
    pid.write_text(str(server.pid))
    time.sleep(1)
"""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Path]:
    """Where the program keeps what it runs; that ends with the test."""
    home = tmp_path / "platform"
    home.mkdir()
    yield home
    if (home / "pid").exists():
        os.kill(int((home / "pid").read_text()), signal.SIGKILL)


@pytest.fixture
def ann(tmp_path: Path, bare: Path, platform: Path) -> Clone:
    """A clone of the repository that has the program, and whose user allows it to be run."""
    one = team(tmp_path, bare, "ann", dvc=True)[0]
    file = one.folder / "deploy.py"
    file.write_text(PROGRAM)
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    publish(one, "How it is deployed")
    origin = one.git("remote", "get-url", "origin")
    one.git("config", "--global", "--add", "gitml.deploys", f"{origin} command")
    return one


def options(platform: Path, port: int, **more: Any) -> dict[str, Any]:
    """What gitml.yaml says."""
    argv = ["./deploy.py", str(platform), str(port)]
    told = {"target": "command", "env_manager": "local", "deploy": argv, "remove": [*argv]}
    return {"production": {**told, "url": f"http://127.0.0.1:{port}", "timeout": 60, **more}}


def done(one: Clone, **wish: Any) -> list[str]:
    """What `gitml deploy` did."""
    return [outcome.done for outcome in deploy(one, **wish)]


def said(platform: Path) -> list[dict[str, Any]]:
    """What the program was told, each time."""
    return [json.loads(it) for it in (platform / "told.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_program_deploys_versions(ann: Clone, platform: Path) -> None:
    """It is told which, runs in the main branch's files, and never for a version that is bad."""
    settings(ann, options(platform, free_port()))
    code = ann.git("rev-parse", "HEAD")
    first = register(ann, 1)
    decide(ann, first)
    (ann.folder / "deploy.py").write_text("not the main branch's")
    assert done(ann) == [DEPLOYED]
    assert done(ann) == [NOTHING]
    (told_first,) = said(platform)
    assert {"deploy.py", "gitml.yaml"} <= set(told_first.pop("here"))
    model = Path(told_first.pop("GITML_DEPLOY_PATH"))
    assert (model / "MLmodel").is_file()
    assert told_first.pop("GITML_DEPLOY_COMMIT") == code
    assert told_first == {
        "GITML_DEPLOY_ACTION": "deploy",
        "GITML_DEPLOY_STAGE": "production",
        "GITML_DEPLOY_MODEL": "churn",
        "GITML_DEPLOY_VERSION": "v1.0.0",
        "GITML_DEPLOY_RUN_ID": first.note.run_id,
        "GITML_DEPLOY_DIGEST": first.note.digest,
        "GITML_DEPLOY_WAS": "",
    }
    ann.git("checkout", "--quiet", "deploy.py")
    decide(ann, register(ann, 2, code="raise RuntimeError('no')"))
    (outcome,) = deploy(ann)
    assert (outcome.done, len(said(platform))) == (FAILED, 1)
    assert "does not predict for the model's own example" in outcome.why
    assert done(ann, patient=True) == [WAITING]
    decide(ann, register(ann, 3))
    assert done(ann) == [DEPLOYED]
    assert said(platform)[-1]["GITML_DEPLOY_WAS"] == "v1.0.0"
    (one,) = told(ann).deployments
    target = choosing.target(ann.place, one)
    assert target.live().version == "v3.0.0"
    target.remove()
    assert said(platform)[-1]["GITML_DEPLOY_ACTION"] == "remove"
    until(lambda: not target.live().is_there)  # what was in flight is answered first


@pytest.mark.slow
def test_a_program_that_fails(ann: Clone, platform: Path) -> None:
    """What it said is told with its exit code."""
    settings(ann, options(platform, free_port()))
    decide(ann, register(ann, 1))
    (platform / "refuse").touch()
    (outcome,) = deploy(ann)
    assert outcome.why == "'./deploy.py' ended with 1"
    assert outcome.log == ("it is being done", "the platform is full")


@pytest.fixture
def health() -> Iterator[tuple[str, list[int]]]:
    """The URL of something that answers with the status that the list ends with."""
    statuses = [200]

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[-1] if self.path == "/healthz" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with answering(Handler) as address:
        yield f"http://{address}/healthz", statuses


@pytest.mark.slow
def test_what_is_no_server_of_gitmls(
    ann: Clone, platform: Path, health: tuple[str, list[int]]
) -> None:
    """What was deployed last is remembered; its health is asked."""
    url, statuses = health
    plain = {"target": "command", "env_manager": "local", "health": url, "timeout": 5}
    settings(ann, {"production": {**plain, "deploy": ["true"]}})
    decide(ann, register(ann, 1))
    assert done(ann) == [DEPLOYED]
    assert done(ann) == [NOTHING]
    (one,) = told(ann).deployments
    target = choosing.target(ann.place, one)
    assert (target.live().version, target.live().is_well) == ("v1.0.0", True)
    statuses.append(503)
    assert (target.live().version, target.live().is_well) == ("v1.0.0", False)
    (outcome,) = deploy(ann)
    assert outcome.why.startswith("the program ended well, but it answers 503")
    with pytest.raises(UsageError, match="names no program that takes away"):
        target.remove()


def test_a_program_that_does_not_end(ann: Clone, platform: Path) -> None:
    """It is stopped with all that it started."""
    settings(ann, options(platform, free_port()))
    decide(ann, register(ann, 1))
    (one,) = told(ann).deployments
    target = choosing.target(ann.place, one)
    assert isinstance(target, Command)
    slow = ("sh", "-c", f"sleep 300 & echo $! > {platform}/child; wait")
    stuck = replace(target, programs=replace(target.programs, remove=slow, timeout=2))
    with pytest.raises(DeployError, match="'sh' did not end within 2 s"):
        stuck.remove()
    child = int((platform / "child").read_text())
    assert subprocess.run(["kill", "-0", str(child)], capture_output=True, check=False).returncode
    lost = replace(target, programs=replace(target.programs, remove=("./lost",)))
    with pytest.raises(DeployError, match=r"'\./lost' can't be started: No such file"):
        lost.remove()


def test_no_program_runs_that_the_user_has_not_allowed(ann: Clone, platform: Path) -> None:
    """He says so for each repository."""
    ann.git("config", "--global", "--unset-all", "gitml.deploys")
    settings(ann, options(platform, free_port()))
    decide(ann, register(ann, 1))
    (outcome,) = deploy(ann)
    assert outcome.done == FAILED
    assert "deploys by command with your access, which you have not allowed" in outcome.why
    assert not (platform / "told.jsonl").exists()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"url": "http://h"}, "'deploy' is missing"),
        ({"deploy": ["true"]}, "'url' is missing"),
        ({"deploy": "true", "url": "http://h"}, "must be a list or nothing, not 'true'"),
        ({"deploy": [], "url": "http://h"}, "a list is not a list of a program"),
        ({"deploy": ["true"], "url": "ftp://h"}, "is not a URL such as"),
        ({"deploy": ["true"], "url": "http://ann:x@h"}, "is not a URL such as"),
        ({"deploy": ["true"], "url": "http://h", "port": 1}, "'port' is not a key of the target c"),
    ],
)
def test_settings_that_are_wrong(told: dict[str, Any], why: str) -> None:
    """The message names the key, and what there is."""
    with pytest.raises(FormatError, match=why):
        deployments({"production": {"target": "command", **told}}, {})


@pytest.mark.parametrize(
    ("url", "back"),
    [
        ("http://churn.example", "http://churn.example:80"),
        ("https://churn.example/v1/", "https://churn.example:443/v1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_addresses(url: str, back: str) -> None:
    """A path stands before the server's own."""
    assert address_of(url).url == back


@pytest.mark.parametrize("url", ["churn.example", "http://", "http://h:99999", "http://a@h"])
def test_no_addresses(url: str) -> None:
    """What is none is said to be none."""
    with pytest.raises(UsageError, match="is no URL of a server"):
        address_of(url)
