"""What a process may do behind a wall: read what is named, answer, and nothing to anybody else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitml import walls
from gitml.walls import Wall

pytestmark = pytest.mark.skipif(walls.lacking() is not None, reason=str(walls.lacking()))

# Each line is something to try; what it comes to is told as JSON.
TRIES = """
import json, os, pathlib, resource, signal, socket, subprocess, sys
from ctypes import CDLL
secret, elsewhere, port, other, own, listener, inbox = sys.argv[1:]
FAST_OPEN = 0x20000000
found = {}
def attempt(name, what):
    try:
        what()
        found[name] = True
    except BaseException:
        found[name] = False
attempt("reads a secret", lambda: open(secret).read())
attempt("lists its folder", lambda: os.listdir(os.path.dirname(secret)))
attempt("has a child read it", lambda: subprocess.run(["cat", secret], check=True))
attempt("links to it", lambda: os.link(secret, own + "/link"))
attempt("writes elsewhere", lambda: open(elsewhere, "w"))
attempt("looks into another process", lambda: open(f"/proc/{other}/environ").read())
attempt("ends another process", lambda: os.kill(int(other), 0))
attempt("connects", lambda: socket.create_connection(("127.0.0.1", int(port))))
attempt("asks a name", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt("speaks to a daemon", lambda: socket.socket(socket.AF_UNIX))
def listener_calls():
    with socket.socket(fileno=int(listener)) as one:
        one.shutdown(socket.SHUT_RD)
        one.sendto(b"labels", FAST_OPEN, ("127.0.0.1", int(port)))
attempt("connects by the socket that it listens with", listener_calls)
def pair_writes():
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendmsg([b"labels"], [], 0, inbox)
attempt("writes to a daemon by a pair of sockets", pair_writes)
def limits():
    resource.prlimit(int(other), resource.RLIMIT_CORE, (0, 0))
attempt("limits another process", limits)
def shares():
    assert CDLL(None).shmget(0, 4096, 0o1600) != -1
attempt("shares memory", shares)
def has_namespace():
    child = CDLL(None).syscall(CLONE, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    assert child > 0 and os.waitpid(child, 0)
CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
attempt("has a child in a namespace of its own", has_namespace)
def capable():
    assert CDLL(None).unshare(0x10000000) == 0
attempt("leaves its namespace", capable)
attempt("writes its own", lambda: open(own + "/file", "w").write("1"))
attempt("has a child", lambda: subprocess.run(["true"], check=True))
def threads():
    import threading
    one = threading.Thread(target=socket.socketpair)
    one.start(), one.join()
attempt("has threads that speak to each other", threads)
sys.stderr.write(json.dumps(found))
"""
MAY = {"writes its own", "has a child", "has threads that speak to each other"}
# What a machine may refuse to everybody.
PRIVILEGED = {"leaves its namespace", "has a child in a namespace of its own"}
FAST_OPEN = "connects by the socket that it listens with"  # where the machine has that at all
READS = ("/bin", "/lib", "/lib64", "/usr", "/etc/ld.so.cache", sys.prefix, sys.base_prefix)


@pytest.fixture
def tried(tmp_path: Path) -> Any:
    """What comes of all tries, behind a wall that was built or with none."""
    secret = tmp_path / "hidden" / "labels.csv"
    secret.parent.mkdir()
    secret.write_text("1")
    own = tmp_path / "own"
    own.mkdir()
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    def run(wall: Wall | None) -> dict[str, bool]:
        (tmp_path / "inbox").unlink(missing_ok=True)
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon,
        ):
            port, inbox = str(server.getsockname()[1]), str(tmp_path / "inbox")
            daemon.bind(inbox)
            places = [secret, tmp_path / "there", port, other.pid, own, listener.fileno(), inbox]
            argv = [sys.executable, "-I", "-c", TRIES, *map(str, places)]
            done = subprocess.run(
                argv if wall is None else wall.command(argv),
                capture_output=True, check=True, env={"PATH": os.defpath},
                pass_fds=[listener.fileno()],
            )  # fmt: skip
        found: dict[str, bool] = json.loads(done.stderr.splitlines()[-1])
        return found

    yield run, own
    other.communicate(b"\n")


def test_a_wall_leaves_what_is_its_own(tried: Any) -> None:
    """All of it works without a wall, so that the wall is what keeps it in."""
    run, own = tried
    free = run(None)
    assert {name for name, worked in free.items() if not worked} <= {*PRIVILEGED, FAST_OPEN}
    (own / "link").unlink()
    behind = run(Wall(READS, (str(own),)))
    may = MAY if walls._version() >= 6 else MAY | {"ends another process"}  # before Linux 6.12
    assert {name for name, worked in behind.items() if worked} == may
    assert free.keys() == behind.keys()


def test_a_path_that_is_not_there_is_none(tmp_path: Path) -> None:
    """It opens nothing; the rest of the wall stands."""
    wall = Wall((*READS, str(tmp_path / "nowhere")))
    done = subprocess.run(
        wall.command([sys.executable, "-I", "-c", "print(1)"]), capture_output=True, check=True
    )
    assert done.stdout == b"1\n"


def test_a_program_that_is_not_there_is_told() -> None:
    """With an exit code, and no traceback."""
    done = subprocess.run(
        Wall(READS).command(["no-such-program"]), capture_output=True, check=False
    )
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
