"""A model behind a wall is asked like any other, and can do nothing else."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml import walls
from gitml.errors import StorageError, UsageError
from gitml.models.serving import walled
from gitml.models.serving.walled import Guest

pytest.importorskip("uvicorn")
pandas = pytest.importorskip("pandas")

HONEST = """
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["number"] * 2).to_numpy()
"""
# Its predictions tell what it could do.
EVIL = """
import os, socket, pathlib
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        print("::add-mask::", dict(os.environ), flush=True)
        tries = [self.labels, self.variables, self.token, self.metric, self.network]
        return [self.works(it) for it in tries][: len(model_input)]

    def works(self, what):
        try:
            return int(bool(what()))
        except BaseException:
            return 0

    def labels(self):
        return pathlib.Path(LABELS).read_text()

    def variables(self):
        return b"HOLDOUT_TOKEN" in pathlib.Path(f"/proc/{PARENT}/environ").read_bytes()

    def token(self):
        return "HOLDOUT_TOKEN" in os.environ

    def metric(self):
        return pathlib.Path(JOURNAL).write_text("auc 0.999")

    def network(self):
        return socket.create_connection(("127.0.0.1", PORT))
"""
ANSWERS = """
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return {answer}
"""
ROWS = {"number": [1, 2, 3, 4, 5]}


def saved(folder: Path, code: str, **values: object) -> Path:
    """A model of that code in a folder, with values that it knows."""
    scope: dict[str, Any] = {"__name__": "__main__", **values}
    exec(code, scope)
    gitml.pyfunc.save_model(path=str(folder), python_model=scope["Model"]())
    return folder


def asked(model: Path, rows: Any = None, **more: Any) -> Any:
    """What a model predicts that is served."""
    with walled.serving(Guest(model, Path(sys.executable), **more)) as url:
        return gitml.pyfunc.load_model(url).predict(pandas.DataFrame(rows or ROWS))


needs_walls = pytest.mark.skipif(walls.lacking() is not None, reason=str(walls.lacking()))


@needs_walls
def test_rows_go_in_and_predictions_come_out(tmp_path: Path) -> None:
    """Also those that are more than one request takes."""
    model = saved(tmp_path / "model", HONEST)
    many = list(range(2500))
    assert asked(model, {"number": many}).tolist() == [2 * it for it in many]


@needs_walls
def test_it_gets_inputs_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No labels, no credentials, no network, no way to write; what it says is heard by nobody.

    Without a wall it has some of these, so that the tries are such as work.
    """
    monkeypatch.setenv("HOLDOUT_TOKEN", "secret")
    labels, journal = tmp_path / "hidden" / "labels.csv", tmp_path / "hidden" / "journal"
    labels.parent.mkdir()
    labels.write_text("1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        known = {
            "LABELS": str(labels),
            "JOURNAL": str(journal),
            "PORT": port,
            "PARENT": os.getpid(),
        }
        model = saved(tmp_path / "model", EVIL, **known)
        assert asked(model, hidden=(labels.parent,)).tolist() == [0, 0, 0, 0, 0]
        assert not journal.exists()
        free = asked(model, is_walled=False).tolist()
    assert (free[0], free[2:]) == (1, [0, 1, 1])
    assert "::add-mask::" not in "".join(capfd.readouterr())


@needs_walls
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("[1]", "one value for each row"),
        ("list(range(6))", "one value for each row"),
        ("'x' * 5", "one value for each row"),
        ("1 / 0", "does not predict: 'the model failed with ZeroDivisionError"),
        ("__import__('os')._exit(1)", "does not answer"),
    ],
)
def test_an_answer_that_is_none_is_refused(tmp_path: Path, answer: str, why: str) -> None:
    """Whatever a model does, it is told as the model's fault."""
    model = saved(tmp_path / "model", ANSWERS.format(answer=answer))
    with pytest.raises((StorageError, UsageError), match=why):
        asked(model)


@needs_walls
def test_a_python_that_could_read_what_is_hidden_is_refused(tmp_path: Path) -> None:
    """Such as one in the folder with the labels."""
    model = saved(tmp_path / "model", HONEST)
    with pytest.raises(UsageError, match="with what it must not read"):
        asked(model, hidden=(Path(sys.prefix) / "labels",))


@needs_walls
def test_what_is_hidden_lies_where_no_programs_do(tmp_path: Path) -> None:
    """A repository in /usr, as containers have it, could be read by every model."""
    model = saved(tmp_path / "model", HONEST)
    with pytest.raises(UsageError, match="move it out of /usr"):
        asked(model, hidden=(Path("/usr/src/app/.git"),))


@pytest.mark.parametrize("url", ["http://", "http://a/b/c", "http://a:b", "http://a@b"])
def test_an_address_is_that_of_a_server(url: str) -> None:
    """Host and port, and nothing else."""
    with pytest.raises(UsageError, match="is no address"):
        gitml.pyfunc.load_model(url)


LINGERS = """
import os, time
import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        reads, writes = os.pipe()
        if not os.fork():
            os.setsid()
            if not os.fork():
                os.setsid()
                os.write(writes, str(os.getpid()).encode())
                time.sleep(600)
            os._exit(0)
        os.wait()
        return [int(os.read(reads, 20))] * len(model_input)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="is a matter of Linux")
@pytest.mark.parametrize("is_walled", [True, False])
def test_it_leaves_no_process_behind(tmp_path: Path, is_walled: bool) -> None:
    """Not even one of a session of its own, whose parents have all ended."""
    if is_walled and (why := walls.lacking()):
        pytest.skip(why)
    model = saved(tmp_path / "model", LINGERS)
    with walled.serving(Guest(model, Path(sys.executable), is_walled=is_walled)) as url:
        pid = gitml.pyfunc.load_model(url).predict(pandas.DataFrame(ROWS)).tolist()[0]
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
