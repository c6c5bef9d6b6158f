"""Models of strangers: nothing of them is executed unless it was allowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import gitml.pyfunc
import gitml.sklearn
from gitml.errors import GitmlError, UsageError
from gitml.models import mlmodel, trust
from gitml.models.trust import Assessment, Finding, UntrustedModelError
from tests.models import BY_NAME, CASES, build, estimator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="made of POSIX files")

NAMES = list(BY_NAME)
RUNS = [name for name, case in BY_NAME.items() if case.get("runs")]


def assessed(folder: Path) -> Assessment:
    """What there is to say about a model, as loading it asks for it."""
    return trust.assess(folder, mlmodel.read_document(folder))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_judged_as_the_corpus_says(name: str, tmp_path: Path) -> None:
    """It is refused, needs a permission, or is harmless, before anything of it is loaded."""
    case = BY_NAME[name]
    folder = build(case, tmp_path / "model", tmp_path / "canary")
    if case["outcome"] == "refused":
        with pytest.raises(GitmlError) as caught:
            assessed(folder)
        assert not isinstance(caught.value, UntrustedModelError)
        assert "\n" not in str(caught.value)
        return
    found = assessed(folder)
    assert found.executes_code is (case["outcome"] == "permission"), found
    assert not (tmp_path / "canary").exists()


def by_relative_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder as seen from the one above it."""
    monkeypatch.chdir(folder.parent)
    return folder.name


def by_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder through a symbolic link."""
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    return str(link)


def by_url(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder as a URL."""
    return f"file://{folder}"


Way = Callable[[Path, pytest.MonkeyPatch], str]


@pytest.mark.parametrize("way", [by_relative_path, by_link, by_url])
@pytest.mark.parametrize("name", NAMES)
def test_loading_executes_nothing_without_a_permission(
    name: str, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as a python_function nor as scikit-learn's own, however the folder is reached."""
    case = BY_NAME[name]
    canary, before = tmp_path / "canary", list(sys.path)
    uri = way(build(case, tmp_path / "model", canary), monkeypatch)
    for load in (gitml.pyfunc.load_model, gitml.sklearn.load_model):
        if case["outcome"] == "harmless":
            assert load(uri).predict([[0.5]]) == pytest.approx([0.5])
            continue
        with pytest.raises(GitmlError) as caught:
            load(uri)
        asks = isinstance(caught.value, UntrustedModelError)
        assert asks is (case["outcome"] == "permission")
        assert ("allow_code=True" in str(caught.value)) is asks
    assert (canary.exists(), sys.path) == (False, before)


@pytest.mark.parametrize("name", [c["name"] for c in CASES if c["outcome"] == "refused"])
def test_no_permission_helps_what_is_refused(name: str, tmp_path: Path) -> None:
    """A path that leaves the folder is no question of trust."""
    folder = build(BY_NAME[name], tmp_path / "model", tmp_path / "canary")
    for load in (gitml.pyfunc.load_model, gitml.sklearn.load_model):
        with pytest.raises(GitmlError):
            load(folder, allow_code=True)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", RUNS)
def test_with_a_permission_the_payload_does_run(name: str, tmp_path: Path) -> None:
    """The cases are real ones: what is kept from running would run."""
    folder = build(BY_NAME[name], tmp_path / "model", tmp_path / "canary")
    with pytest.raises(Exception):  # noqa: B017, PT011 - it is no model, after all
        gitml.pyfunc.load_model(folder, allow_code=True).predict([[1.0]])
    assert (tmp_path / "canary").exists()


def test_the_corpus_covers_all_outcomes() -> None:
    """Fifteen kinds of hostile models, and more; each name is there once."""
    outcomes = [case["outcome"] for case in CASES]
    assert len(BY_NAME) == len(CASES)
    assert (outcomes.count("permission") >= 30, outcomes.count("refused") >= 20) == (True, True)


WATCH = """
import json, os, sys
from pathlib import Path
from gitml.models import mlmodel, trust
from gitml.models.trust import assess  # all that assessing needs is imported by a first model
from gitml.errors import GitmlError

seen, watching = [], False
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod",
           "os.truncate", "os.utime", "os.system", "os.exec", "os.posix_spawn", "os.spawn",
           "os.fork", "subprocess.Popen",
           "pty.spawn", "ctypes.dlopen", "socket.connect", "socket.bind",
           "socket.getaddrinfo", "pickle.find_class", "urllib.Request", "webbrowser.open")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
MODULES = {"evil", "antigravity", "sklearn_extra", "model"}

def watch(event, args):
    if not watching:
        return
    if event in CHANGES or event == "open" and args[2] & WRITES:
        seen.append([event, ascii(args)])
    if event == "import" and args[0].partition(".")[0] in MODULES:
        seen.append([event, args[0]])

def judge(folder):
    try:
        trust.assess(folder, mlmodel.read_document(folder))
    except GitmlError:
        pass

folders = sorted(Path(sys.argv[1]).iterdir())
import skops.io._trusted_types  # imports SciPy, which loads libraries
sys.addaudithook(watch)
watching = True
open(os.devnull, "w").close()  # which shows that the watch works
for folder in folders:
    judge(folder)
watching = False
loaded = [name for name, module in sys.modules.items()
          if str(getattr(module, "__file__", "")).startswith(sys.argv[1])]
print(json.dumps([len(folders), seen, loaded]))
"""


def test_assessing_imports_writes_and_starts_nothing(tmp_path: Path) -> None:
    """As the interpreter itself reports it, for the whole corpus."""
    pytest.importorskip("skops")
    place, canary = tmp_path / "models", tmp_path / "canary"
    cases = [case for case in CASES if find_spec("torch") or "torch" not in case["name"]]
    for number, case in enumerate(cases):
        build(case, place / f"{number:03}", canary)
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(place)],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    judged, ((event, args),), loaded = json.loads(done.stdout)
    assert (judged, event, loaded) == (len(cases), "open", [])
    assert os.devnull in args
    assert not canary.exists()


# -- the permission ------------------------------------------------------------------------

THREAT = Assessment((Finding("a.txt", False, "text"), Finding("model.pkl", True, "a pickle")))


def test_a_permission_may_come_from_the_record_or_the_user() -> None:
    """A harmless model needs none."""
    trust.check(THREAT, allow_code=True, trusted=False, name="m")
    trust.check(THREAT, allow_code=False, trusted=True, name="m")
    trust.check(Assessment(THREAT.findings[:1]), allow_code=False, trusted=False, name="m")


def test_the_refusal_says_what_and_how_to_permit() -> None:
    """In one line, whatever the names are."""
    with pytest.raises(UntrustedModelError) as caught:
        trust.check(THREAT, allow_code=False, trusted=False, name="a\nb")
    assert isinstance(caught.value, UsageError)
    assert str(caught.value) == (
        "the model 'a\\nb' can run code of whoever made it (model.pkl: a pickle); if you trust"
        " them, allow it: --allow-code, or allow_code=True"
    )


def test_a_file_whose_name_is_hostile_is_shown_escaped(tmp_path: Path) -> None:
    """A finding is a line for a terminal."""
    case: dict[str, Any] = {"files": {"a\x1b[2J\n.bin": {"make": "pickle"}}}
    found = assessed(build(case, tmp_path / "model", tmp_path / "canary"))
    (threat,) = (finding for finding in found.findings if finding.executes)
    assert threat.what.isprintable()
    assert "builtins.exec" in threat.imports


def test_an_honest_model_says_what_it_imports(tmp_path: Path) -> None:
    """A pickled estimator is no plain data, and its imports are those of scikit-learn."""
    gitml.sklearn.save_model(estimator(), tmp_path / "model")
    found = assessed(tmp_path / "model")
    assert [finding.what for finding in found.findings if finding.executes] == ["model.pkl"]
    assert "sklearn.linear_model._base.LinearRegression" in found.imports


def test_a_method_of_the_interpreter_is_no_predict_fn(tmp_path: Path) -> None:
    """What MLmodel names as the method that predicts is one that the model has."""
    for name in ("__class__", "__setstate__", "nothing", "coef_"):
        case: dict[str, Any] = {
            "files": {"model.skops": {"make": "skops"}},
            "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"},
            "pyfunc": {"predict_fn": name},
        }
        folder = build(case, tmp_path / name, tmp_path / "canary")
        with pytest.raises(GitmlError, match="predict_fn"):
            gitml.pyfunc.load_model(folder)
