"""Real servers whose models never come back, or take their process with them."""

from __future__ import annotations

import contextlib
import functools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import gitml
from tests import serving
from tests.serving import Answer, Server, read_answer, request, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX"),
]

SLEEPS, SPINS, HOLDS, EXITS = 1, 2, 3, 4  # what `serving.hanging` does
WELL = 7.0
WITHIN = 60.0  # seconds, on a busy machine


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that hangs when it is told to."""
    return serving.save("hanging", tmp_path_factory.mktemp("hanging") / "model")


def body(what: float) -> bytes:
    """A request of one number."""
    return b'{"inputs": [%g]}' % what


def get(server: Server, path: str) -> Answer:
    """The answer to GET."""
    return ask(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def ask(server: Server, data: bytes) -> Answer:
    """The answer to a request."""
    with server.connect() as connection, connection.makefile("rb") as file:
        connection.sendall(data)
        answer = read_answer(file)
        assert answer is not None
        return answer


@contextlib.contextmanager
def asked(server: Server, *whats: float) -> Iterator[None]:
    """While requests are in flight that make the model do this."""
    with contextlib.ExitStack() as stack:
        for what in whats:
            connection = stack.enter_context(server.connect())
            connection.sendall(request(body(what)))
        yield


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        with contextlib.suppress(OSError, AssertionError, psutil.Error):
            if holds():
                return
        time.sleep(0.05)
    pytest.fail("it does not come to hold")


@pytest.mark.parametrize("what", [SLEEPS, SPINS])
def test_a_server_whose_model_hangs_can_be_stopped(
    what: int, hanging: Path, tmp_path: Path
) -> None:
    """The rest of the server goes on; when it is told to stop, its status says that it left."""
    with served(hanging, "--timeout=5", log=tmp_path / "log") as server:
        assert ask(server, request(body(what))).status == 504
        assert ask(server, request(body(WELL))).json == {"predictions": [WELL]}
        assert get(server, "/ping").status == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(WITHIN) == 3
    assert "a prediction that did not come to an end" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("what", [SLEEPS, SPINS])
def test_a_server_without_a_free_thread_says_so_and_ends(
    what: int, hanging: Path, tmp_path: Path
) -> None:
    """When all threads hang, it is not healthy any more; soon it ends with an error."""
    log = tmp_path / "log"
    with served(hanging, "--timeout=3", log=log) as server, asked(server, what, what):
        until(lambda: get(server, "/ping").status == 503)
        assert get(server, "/health").status == 503
        assert ask(server, request(body(WELL))).status == 503
        assert server.process.wait(WITHIN) == 3
    assert "the model hangs: all 2 threads" in log.read_text()


def test_a_model_that_lets_no_other_thread_run_ends_the_server(
    hanging: Path, tmp_path: Path
) -> None:
    """Nothing is answered then, not even a signal; the log shows where it hangs."""
    with served(hanging, "--timeout=1", log=tmp_path / "log") as server, asked(server, HOLDS):
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(WITHIN) == 1
    assert "in hanging" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("whats", [(SPINS, SPINS), (HOLDS,)])
def test_a_worker_that_hangs_is_replaced(
    whats: tuple[int, ...], hanging: Path, tmp_path: Path
) -> None:
    """Another process takes its place, and nothing is in flight any more."""
    with served(hanging, "--workers=2", "--timeout=2", log=tmp_path / "log") as server:
        before = workers(server)
        with asked(server, *whats * 2):  # enough for one of them
            until(lambda: before != workers(server) and len(workers(server)) == 2)
        until(lambda: ask(server, request(body(WELL))).status == 200)
        until(lambda: in_flight(server) == 1)
        assert server.stop() in (0, 3)  # 3 when one thread of the other one hangs as well
    assert "another starts in 0 s" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_are_ended_are_replaced(
    number: signal.Signals, hanging: Path, tmp_path: Path
) -> None:
    """The server goes on, and what was in flight is not any more."""
    with served(hanging, "--workers=2", log=tmp_path / "log") as server:
        until(lambda: len(workers(server)) == 2)
        before = workers(server)
        with asked(server, SLEEPS if number == signal.SIGKILL else WELL):
            until(lambda: in_flight(server) == 2 or number == signal.SIGTERM)
            for pid in before:
                psutil.Process(pid).send_signal(number)
            until(lambda: not before & workers(server) and len(workers(server)) == 2)
            until(lambda: ask(server, request(body(WELL))).status == 200)
            until(lambda: in_flight(server) == 1)
        assert server.stop() == 0
    assert (tmp_path / "log").read_text().count("is gone") == 2


def test_a_worker_that_ends_by_itself_is_replaced(hanging: Path, tmp_path: Path) -> None:
    """A status of 3 is one like others, after which the server goes on."""
    with served(hanging, "--workers=2", log=tmp_path / "log") as server:
        for times in (1, 2, 3):
            with asked(server, EXITS):
                until(functools.partial(told, tmp_path / "log", times))
        until(lambda: ask(server, request(body(WELL))).status == 200)
        assert server.stop() == 0
    assert "ended with 3; another starts in 0 s" in (tmp_path / "log").read_text()


def told(log: Path, times: int) -> bool:
    """Whether the log tells so often of a worker that ended."""
    return log.read_text().count("ended with 3") == times


def workers(server: Server) -> set[int]:
    """The processes that serve."""
    children = psutil.Process(server.process.pid).children()
    return {it.pid for it in children if "spawn_main" in " ".join(it.cmdline())}


def in_flight(server: Server) -> int:
    """How many requests are being answered, the one that asks among them."""
    lines = get(server, "/metrics").body.decode().splitlines()
    return int(next(it.split()[1] for it in lines if it.startswith("gitml_requests_in_flight ")))


def test_workers_end_when_their_parent_is_killed(hanging: Path) -> None:
    """No process serves on without the one that looks after it."""
    with served(hanging, "--workers=2") as server:
        children = [psutil.Process(pid) for pid in workers(server)]
        server.process.kill()
        server.process.wait()
        _, left = psutil.wait_procs(children, timeout=WITHIN)
        assert left == []


class Ending(gitml.pyfunc.PythonModel):
    """Ends its process while it is loaded, once there is a file of this name."""

    def __init__(self, path: str) -> None:
        self.path = path

    def load_context(self, context: object) -> None:
        """End."""
        import os

        if os.path.exists(self.path):
            os._exit(3)

    def predict(self, context: object, model_input: object) -> list[float]:
        """Nothing."""
        return []


def test_a_worker_that_never_comes_up_ends_the_server(tmp_path: Path) -> None:
    """One line says so, and the status is not that of success."""
    gitml.pyfunc.save_model(tmp_path / "m", python_model=Ending(str(tmp_path)))
    command = [sys.executable, "-m", "gitml", "models", "serve", "--allow-code", "--port=0"]
    done = subprocess.run(
        [*command, "--workers=2", "-m", str(tmp_path / "m")],
        capture_output=True,
        text=True,
        timeout=2 * WITHIN,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["gitml: a worker could not start: it ended with 3"]


def test_a_server_whose_workers_do_not_come_up_again_ends(tmp_path: Path) -> None:
    """After some attempts, with pauses between them, it says so and ends."""
    broken, log = tmp_path / "broken", tmp_path / "log"
    gitml.pyfunc.save_model(tmp_path / "m", python_model=Ending(str(broken)))
    with served(tmp_path / "m", "--workers=2", log=log) as server:
        until(lambda: get(server, "/ping").status == 200 and len(workers(server)) == 2)
        broken.touch()
        for pid in workers(server):
            psutil.Process(pid).kill()
        assert server.process.wait(2 * WITHIN) == 3
    lines = log.read_text().splitlines()
    assert lines[-1] == "gitml: no worker comes up any more: it ended with 3"
    assert any("another starts in 4 s" in line for line in lines)


def test_requests_that_take_their_time_do_not_end_the_server(hanging: Path) -> None:
    """One thread that hangs leaves the other, and short requests go through it."""
    with served(hanging, "--timeout=1") as server, asked(server, SLEEPS):
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert ask(server, request(body(WELL))).status == 200
        assert get(server, "/ping").status == 200
        assert server.process.poll() is None
