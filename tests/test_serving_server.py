"""Real servers: connections that are slow, mixed up or many, signals, workers."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import gitml
from tests import models, serving
from tests.cli import Caller
from tests.serving import Server, head, read_answer, request, served

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")

BODY = b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, 2.0]]}}'
SUM = {"predictions": [{"0": 3.5}]}


@pytest.fixture(scope="module")
def total(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that adds numbers."""
    return serving.save("total", tmp_path_factory.mktemp("total") / "model")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that takes its time."""
    return serving.save("slow", tmp_path_factory.mktemp("slow") / "model")


@pytest.fixture(scope="module")
def server(total: Path) -> Iterator[Server]:
    """A server of the model that adds numbers."""
    with served(total) as running:
        yield running


def talk(server: Server, data: bytes, count: int | None = 1) -> list[serving.Answer]:
    """The first answers to what is sent on one connection; with None all until it ends."""
    answers: list[serving.Answer] = []
    with server.connect() as connection, connection.makefile("rb") as file:
        try:
            connection.sendall(data)
            while len(answers) != count and (answer := read_answer(file)) is not None:
                answers.append(answer)
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answers


PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_connection_is_kept(server: Server) -> None:
    """Several requests go over one connection, one after the other."""
    with server.connect() as connection, connection.makefile("rb") as file:
        for _ in range(3):
            connection.sendall(request(BODY))
            answer = read_answer(file)
            assert answer is not None
            assert answer.json == SUM


def test_requests_sent_at_once_are_answered_in_order(server: Server) -> None:
    """Pipelined requests have their own answers, in the order in which they came."""
    other = BODY.replace(b"1.5", b"7.5")
    answers = talk(server, request(BODY) + request(other) + request(b"{}") + request(BODY), 4)
    assert [answer.status for answer in answers] == [200, 200, 400, 200]
    assert answers[1].json == {"predictions": [{"0": 9.5}]}
    assert answers[3].json == SUM


SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    "data",
    [
        head(5, "Content-Length: 6") + b"hello" + SMUGGLED,
        head(5, "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
        head(-1) + b"hello" + SMUGGLED,
        request(b"").replace(b"Length: 0", b"Length: 0x5") + b"hello",
        CHUNKED + b"zz\r\n",
        CHUNKED.replace(b"chunked", b"identity") + SMUGGLED,
        CHUNKED.replace(b"chunked", b"xchunked") + SMUGGLED,
        CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n" + SMUGGLED,
        CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"5\r\nhelloXX0\r\n\r\n" + SMUGGLED,
        CHUNKED + b"ffffffffffffffffffff\r\nhello" + SMUGGLED,
        CHUNKED.replace(b"Transfer-Encoding:", b"Transfer-Encoding:\r\n") + SMUGGLED,
        head(2, "Content-Type: text/csv") + b"{}" + SMUGGLED,
        head(2, "Connection: Upgrade", "Upgrade: h2c") + b"{}" + SMUGGLED,
        SMUGGLED.replace(b"\r\n", b"\n") + SMUGGLED,
        request(b"").replace(b"Content-Length:", b"Content-Length :") + SMUGGLED,
        b"POST /invocations HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"POST\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 20_000,
    ],
)
def test_requests_that_could_be_read_in_two_ways_are_refused(server: Server, data: bytes) -> None:
    """What a proxy might cut elsewhere than the server is an error, and ends the connection."""
    answers = talk(server, data, None)
    assert [answer.status for answer in answers] in ([400], [])
    for answer in answers:
        assert len(answer.body) <= 1000
        assert set(answer.json) == {"error_code", "message"}
    assert talk(server, request(BODY))[0].json == SUM


@pytest.mark.parametrize(
    "data",
    [
        head(5, "Content-Length: 5") + b"hello",
        request(b"").replace(b"Length: 0", b"Length: 5,5") + b"hello",
        request(b"").replace(b"Host:", b"X-A: b\r\n c\r\nHost:"),
    ],
)
def test_a_length_that_is_said_twice_hides_nothing(server: Server, data: bytes) -> None:
    """Where a parser takes such a head, the body ends where the next request begins."""
    assert talk(server, data + SMUGGLED)[0].status == 400


@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: evil\r\n", "Host: a b\r\n"])
def test_a_request_has_one_host(server: Server, hosts: str) -> None:
    """Without a Host, or with two, nobody knows whom it is meant for."""
    data = f"GET /ping HTTP/1.1\r\n{hosts}\r\n".encode()
    assert [answer.status for answer in talk(server, data)] == [400]


def test_a_body_in_chunks(server: Server) -> None:
    """A body whose length is not declared is taken."""
    chunks = b"%x\r\n%s\r\n5\r\n     \r\n0\r\n\r\n" % (len(BODY), BODY)
    assert talk(server, CHUNKED + chunks)[0].json == SUM


def test_lines_after_a_body_are_none_of_the_head(server: Server) -> None:
    """They can't say what the body is, or for whom, and are not kept."""
    more = b"Content-Type: text/csv\r\nHost: evil\r\n" + b"X-A: b\r\n" * 50_000
    chunks = b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(BODY), BODY, more)
    answers = talk(server, CHUNKED + chunks + request(BODY), 2)
    assert [answer.json for answer in answers] == [SUM, SUM]


@pytest.mark.parametrize(
    ("target", "status"),
    [("http://localhost/ping", 200), ("http://evil/ping", 400), ("http://a:b@localhost/ping", 400)],
)
def test_a_whole_url_names_the_host_that_the_head_names(
    server: Server, target: str, status: int
) -> None:
    """A URL in place of a path is taken, and counts as a Host."""
    data = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    assert [answer.status for answer in talk(server, data)] == [status]


def test_an_upgrade_is_not_obeyed(server: Server) -> None:
    """The answer is that of HTTP/1.1, and the connection ends after it."""
    data = PING.replace(b"Host", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHost")
    (answer,) = talk(server, data + PING, None)
    assert answer.status == 200
    assert answer.fields["connection"] == "close"


def test_the_body_of_a_refused_request_is_passed_over(server: Server) -> None:
    """What is next on the connection has its own answer."""
    data = head(1_000_000, path="/nowhere") + b" " * 1_000_000
    assert [answer.status for answer in talk(server, data + request(BODY), 2)] == [404, 200]


def test_who_asks_first_sends_no_body_in_vain(server: Server) -> None:
    """A client that waits for 100-continue is told at once that its body is too large."""
    with server.connect() as connection, connection.makefile("rb") as file:
        connection.sendall(head(10**9, "Expect: 100-continue"))
        answer = read_answer(file)
        assert answer is not None
        assert answer.status == 413


def test_a_body_that_is_larger_than_it_may_be(total: Path) -> None:
    """It is refused by what it declares, and when it declares nothing, by what comes."""
    with served(total, "--max-body=0.01") as server:
        large = b" " * 20_000
        assert talk(server, request(large))[0].status == 413
        answers = talk(server, CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large))
        assert answers[0].status == 413
        assert "close" in answers[0].fields["connection"]
        assert talk(server, request(BODY))[0].json == SUM


@pytest.mark.slow
def test_slow_clients_are_cut_off(server: Server) -> None:
    """One that says nothing, one in the middle of its head, and one in the middle of its body."""
    whole = request(BODY)
    with server.connect() as silent, server.connect() as early, server.connect() as late:
        early.sendall(whole[:20])
        late.sendall(whole[:-5])
        end = time.monotonic() + 20
        with late.makefile("rb") as file:
            answer = read_answer(file)
            assert answer is not None
            assert answer.status == 408
            assert file.read() == b""
        for connection in (silent, early):
            connection.settimeout(max(1, end - time.monotonic()))
            assert connection.recv(100) == b""


@pytest.mark.slow
def test_a_head_that_grows_slowly_is_cut_off(server: Server) -> None:
    """A byte now and then does not keep a connection alive."""
    with server.connect() as connection:
        connection.sendall(request(BODY)[:20])
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"x")
                time.sleep(0.2)
            pytest.fail("the connection is still there")


def test_ping_answers_while_predictions_run(slow: Path) -> None:
    """However busy the model is, the server says that it lives."""
    with served(slow) as server:
        data = request(b'{"inputs": [0.8]}')
        with server.connect() as one, server.connect() as two, server.connect() as three:
            for connection in (one, two, three):
                connection.sendall(data)
            time.sleep(0.1)
            assert talk(server, PING)[0].status == 200
            with three.makefile("rb") as file:  # the last one has not been answered before
                three.setblocking(False)
                assert not file.peek()
                three.setblocking(True)


def test_a_request_of_the_largest_size(server: Server) -> None:
    """A body with as many rows as are taken is answered, and so are others meanwhile."""
    rows = b",".join([b"[0.123456789012345, 0.5]"] * 100_000)
    body = b'{"dataframe_split": {"columns": ["a", "b"], "data": [%s]}}' % rows
    with server.connect() as connection, connection.makefile("rb") as file:
        connection.sendall(request(body))
        for _ in range(5):
            assert talk(server, PING)[0].status == 200
        answer = read_answer(file)
        assert answer is not None
        assert answer.status == 200
        assert len(answer.json["predictions"]) == 100_000


def test_a_stop_is_obeyed_while_the_model_is_loaded(tmp_path: Path) -> None:
    """Also by the first process of a container, which no signal ends that it has not asked for."""
    folder = serving.save("total", tmp_path / "model")
    waits = f"open({str(tmp_path / 'loading')!r}, 'w').close(); import time; time.sleep(250)"
    (folder / "python_model.pkl").write_bytes(models.MAKERS["cloudpickle"](waits))
    command = [sys.executable, "-m", "gitml", "models", "serve", "--allow-code", "--port=0"]
    with subprocess.Popen([*command, "--model-uri", str(folder)]) as process:
        while not (tmp_path / "loading").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0  # and not -15, which is how a signal ends what has not asked


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_is_finished(slow: Path, number: signal.Signals) -> None:
    """A server that is told to stop answers what it has begun, takes no more, and ends well."""
    with served(slow) as server:
        with server.connect() as connection, connection.makefile("rb") as file:
            connection.sendall(request(b'{"inputs": [1.0]}'))
            time.sleep(0.3)
            server.process.send_signal(number)
            answer = read_answer(file)
            assert answer is not None
            assert answer.json == {"predictions": [1.0]}
        assert server.process.wait(20) == 0
        with pytest.raises(ConnectionError):
            server.connect()


def test_an_idle_connection_does_not_hold_up_the_end(total: Path) -> None:
    """A client that keeps its connection is no reason to stay."""
    with served(total) as server, server.connect() as connection:
        connection.sendall(request(BODY))
        with connection.makefile("rb") as file:
            assert read_answer(file) is not None
            assert server.stop() == 0


def test_several_workers_count_and_end_together(total: Path) -> None:
    """Each request goes to one of them, all count in one place, and all finish what they have."""
    with served(total, "--workers=2") as server:
        for _ in range(8):
            assert talk(server, request(BODY))[0].json == SUM
        metrics = talk(server, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")[0].body
        assert b'gitml_requests_total{path="/invocations",status="200"} 8' in metrics
        assert server.stop() == 0
        with pytest.raises(ConnectionError):
            server.connect()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python can't be told so before 3.11")
def test_workers_run_no_module_of_the_current_folder(
    total: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is started in a stranger's folder runs nothing that lies there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "multiprocessing.py").write_text("open('canary', 'w').close()\n")
    script = "import sys; del sys.path[0]; from gitml.cli.main import main; main()"
    with served(total, "--workers=2", start=("-c", script)) as server:
        assert talk(server, request(BODY))[0].json == SUM
    assert not (tmp_path / "canary").exists()


def test_many_clients_at_once(server: Server) -> None:
    """Every one of them gets its own answer."""
    wrong: list[object] = []

    def ask(number: int) -> None:
        body = BODY.replace(b"1.5", b"%d" % number)
        for answer in talk(server, request(body) * 5, 5):
            if answer.status != 200 or answer.json != {"predictions": [{"0": number + 2.0}]}:
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_port_that_is_taken(server: Server, total: Path, capsys: Capture) -> None:
    """The command says so, before it loads the model."""
    done = Caller(capsys)(
        "models", "serve", "--allow-code", "-m", total, "-p", server.port, code=3
    )  # fmt: skip
    assert f"port {server.port}" in done.err


def test_a_model_of_a_stranger_is_not_served(total: Path, capsys: Capture) -> None:
    """Without --allow-code a pickle that nobody vouches for is refused."""
    done = Caller(capsys)("models", "serve", "-m", total, "-p", 0, code=2)
    assert "--allow-code" in done.err
    assert done.out == ""


# -- without a server ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b"b,a\n2.0,1.5\n"),
        ("rows.json", BODY),
        ("rows.parquet", None),
    ],
)
def test_predictions_for_a_file(
    name: str,
    content: bytes | None,
    total: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The format is that of the file's name, and the answer that of the server."""
    from tests.test_serving_hostile import parquet

    source, target = tmp_path / name, tmp_path / "out.json"
    source.write_bytes(content or parquet({"a": [1.5], "b": [2.0]}))
    call, told = Caller(capsys), ("models", "predict", "--allow-code", "-m", total, "-i", source)
    assert call(*told).json == SUM
    assert call(*told, "-o", target).out == ""
    assert json.loads(target.read_bytes()) == SUM


def test_predictions_for_standard_input(total: Path) -> None:
    """Without a file the rows are read from standard input, by default as JSON."""
    command = [sys.executable, "-m", "gitml", "models", "predict", "--allow-code", "-m", str(total)]
    done = subprocess.run(command, input=BODY, capture_output=True, check=True)
    assert json.loads(done.stdout) == SUM
    done = subprocess.run(
        [*command, "-t", "csv"], input=b"a,b\n1.5,2\n", capture_output=True, check=True
    )
    assert json.loads(done.stdout) == SUM


def test_rows_that_do_not_fit(total: Path, tmp_path: Path, capsys: Capture) -> None:
    """The line that refuses them names the column, and the exit code is that of wrong input."""
    source = tmp_path / "rows.csv"
    source.write_text("a,c\n1,2\n")
    call = Caller(capsys)
    done = call("models", "predict", "--allow-code", "-m", total, "-i", source, code=2)
    assert "missing column 'b'" in done.err
    source.rename(tmp_path / "rows.txt")
    done = call("models", "predict", "-m", total, "-i", tmp_path / "rows.txt", code=2)
    assert "--content-type" in done.err


def test_no_worker_is_left_behind(total: Path) -> None:
    """When the server is gone, its workers are."""
    with served(total, "--workers=2") as server:
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert len(children) >= 2
        assert server.stop() == 0
        _, left = psutil.wait_procs(children, timeout=10)
        assert [child for child in left if child.status() != psutil.STATUS_ZOMBIE] == []


class Broken(gitml.pyfunc.PythonModel):
    """Raises what it is told to when it is loaded."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load_context(self, context: object) -> None:
        """Fail."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ModuleNotFoundError("No module", name="helpers"), 2, "the model imports 'helpers', which"),
        (RuntimeError("no weights"), 3, "can't be loaded: 'RuntimeError: no weights'"),
    ],
)
def test_a_model_that_does_not_load(
    error: Exception, code: int, told: str, tmp_path: Path, capsys: Capture
) -> None:
    """It is told as the model's fault, not as one of gitml's."""
    gitml.pyfunc.save_model(tmp_path / "m", python_model=Broken(error))
    (tmp_path / "rows.csv").write_text("a\n1\n")
    call = Caller(capsys)
    asked = ("-m", tmp_path / "m", "--allow-code")
    done = call("models", "predict", *asked, "-i", tmp_path / "rows.csv", code=code)
    assert told in done.err
    assert "a bug in gitml" not in done.err
    assert told in call("models", "serve", *asked, "-p", 0, code=code).err
