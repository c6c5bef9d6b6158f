"""Tests of what in a model bears code: entries of MLmodel, files of every format, environments."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.documents import load_yaml
from gitml.errors import FormatError
from gitml.models.trust import (
    Assessment,
    Finding,
    UntrustedModelError,
    assess,
    check,
)
from tests.model_files import build, made

CORPUS = Path(__file__).with_name("hostile") / "model_parts.yaml"
CASES: list[dict[str, Any]] = load_yaml(CORPUS.read_bytes(), CORPUS.name)

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="made of POSIX files")


def by_name() -> list[Any]:
    """The corpus as parameters, a case for each."""
    return [pytest.param(case, id=case["name"]) for case in CASES]


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A path that stays without a file, whatever is done with a model."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def built(folder: Path, case: dict[str, Any], canary: Path) -> Path:
    """The model folder of a case."""
    for library in ("skops", "cloudpickle"):
        if library in str(case):
            pytest.importorskip(library)
    build(folder, case, canary)
    return folder


def assessed(folder: Path) -> Assessment:
    """What loading the model would run, from its folder alone."""
    return assess(folder, load_yaml((folder / "MLmodel").read_bytes(), "MLmodel"))


# -- the corpus ----------------------------------------------------------------------------


@needs_posix
@pytest.mark.parametrize("case", by_name())
def test_a_strangers_model_runs_nothing(tmp_path: Path, canary: Path, case: dict[str, Any]) -> None:
    """Each model of the corpus is refused always, refused unless allowed, or harmless."""
    folder = built(tmp_path / "model", case, canary)
    if case["outcome"] == "refused":
        with pytest.raises(FormatError) as refused:
            assessed(folder)
        assert case["why"] in str(refused.value)
        assert_a_line(str(refused.value))
        return
    found = assessed(folder)
    assert found.executes_code == (case["outcome"] == "code")
    if found.executes_code:
        (finding,) = [it for it in found.findings if it.executes and it.what == case["what"]][:1]
        assert case["why"] in finding.why
        with pytest.raises(UntrustedModelError) as untrusted:
            check(found, allow_code=False, trusted=False, name="runs:/1/model")
        assert_a_line(str(untrusted.value), 400)
    check(found, allow_code=True, trusted=False, name="m")
    check(found, allow_code=False, trusted=True, name="m")


def assert_a_line(message: str, limit: int = 250) -> None:
    """A message is one line that a terminal can show."""
    assert message.isprintable()
    assert len(message) < limit


WATCHED = """
import bz2, lzma, os, sys, zipfile, _compat_pickle, encodings.cp437
from pathlib import Path
from gitml.documents import load_yaml
from gitml.errors import FormatError
from gitml.models.trust import assess
import yaml, orjson
try:
    import skops.io._trusted_types
except ImportError:
    pass
load_yaml(b"a: 1", "a")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
seen = []
def watch(event, args):
    if event == "open":
        if args[2] & WRITING:
            seen.append((event, str(args[0])))
    elif event == "import":
        if args[0].partition(".")[0] not in ("lz4", "skops"):  # missing here, and asked for
            seen.append((event, args[0]))
    elif event not in ("os.scandir", "os.listdir", "object.__getattr__"):
        seen.append((event, repr(args)[:80]))
watching = False
sys.addaudithook(lambda event, args: watch(event, args) if watching else None)
for folder in map(Path, sys.argv[1:]):
    watching = True
    try:
        assess(folder, load_yaml((folder / "MLmodel").read_bytes(), "MLmodel"))
    except FormatError:
        pass
    watching = False
print(len(sys.argv) - 1, seen)
"""


@needs_posix
@pytest.mark.parametrize(
    "spec",
    [
        {"pickle": 4},
        {"text": "cos\nsystem\n(S'touch CANARY'\ntR."},
        {"text": "cos\nsystem\n(S'touch CANARY'\ntR0ÿÿ"},
        {"safetensors and pickle": {"text": "cos\nsystem\n(S'touch CANARY'\ntR."}},
    ],
)
def test_the_canaries_sing(tmp_path: Path, spec: Any) -> None:
    """The payloads of the corpus do what they are for, so that nothing is tested in vain."""
    canary = tmp_path / "canary"
    (tmp_path / "file").write_bytes(made(spec, canary))
    load = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run(
        [sys.executable, "-c", load, tmp_path / "file"], capture_output=True, check=False
    )
    assert canary.exists()


# -- assessments ---------------------------------------------------------------------------


def model(folder: Path, entry: dict[str, Any], **files: bytes) -> dict[str, Any]:
    """A folder with files in it, and a document of one sklearn flavor."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {"flavors": {"sklearn": entry}}


def test_what_is_loaded_is_listed_though_it_is_safe(tmp_path: Path) -> None:
    """An assessment names the files of the flavors, and others only when they execute."""
    weights = pickle.dumps({"a": 1})
    document = model(tmp_path, {"pickled_model": "w"}, w=weights, notes=b"# notes\n", other=weights)
    assert assess(tmp_path, document) == Assessment(
        (Finding("w", False, "a pickle of plain data"),)
    )


def test_imports_are_those_of_all_files(tmp_path: Path) -> None:
    """What the files would import is told sorted, each name once."""
    document = model(
        tmp_path, {}, a=b"cos\nsystem\n).", b=pickle.dumps(print), c=pickle.dumps([print, len])
    )
    found = assess(tmp_path, document)
    assert found.imports == ("builtins.len", "builtins.print", "os.system")
    assert [it.what for it in found.findings if it.executes] == ["a", "b", "c"]


def test_known_loaders(tmp_path: Path) -> None:
    """The loaders of gitml's and MLflow's flavors are known; a document can't make another so."""
    document = {"flavors": {"python_function": {"loader_module": "their.flavor"}}}
    assert assess(tmp_path, document).executes_code
    for name in ("mlflow.sklearn", "gitml.sklearn", "mlflow.keras", "mlflow.pyfunc.model"):
        assert not assess(
            tmp_path, {"flavors": {"python_function": {"loader_module": name}}}
        ).executes_code


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9)
    | st.sampled_from(["..", "/etc", "a", "a/b", "mlflow.sklearn", "C:/", "x.pkl"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            "flavors python_function sklearn onnx code data path env loader_module model_class"
            " providers onnx_session_options extra_session_config artifacts model_code_path"
            " saved_input_example_info artifact_path model_path config code_paths x_file".split()
        ),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["flavors", "saved_input_example_info"]), DOCUMENTS))
def test_any_document_is_assessed_or_refused(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    """Whatever stands in a document, nothing but a FormatError is raised, and it is one line."""
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    try:
        found = assess(folder, document)
    except FormatError as error:
        message = str(error)
    else:
        message = "".join(f"{it.what} {it.why}" for it in found.findings)
    assert message.isprintable()
