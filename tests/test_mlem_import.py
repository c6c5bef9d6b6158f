"""Models of MLEM are read without MLEM: nothing of them is run, and what is hostile is refused."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml.environments.requirements import package
from gitml.environments.spec import Spec
from gitml.errors import FormatError, GitmlError, UsageError
from gitml.models import mlmodel, trust
from gitml.models.mlem import importing, metadata, pins
from gitml.models.mlem.building import repaired_dockerfile
from gitml.models.trust import UntrustedModelError
from tests import mlem_models
from tests.cli import Caller
from tests.conftest import framework
from tests.models import Payload, estimator

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def caller(capsys: pytest.CaptureFixture[str]) -> Caller:
    """The command line."""
    return Caller(capsys)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The `.mlem` file of an estimator."""
    folder = tmp_path / "made"
    return mlem_models.write(folder, mlem_models.document(pickle.dumps(estimator()), folder))


def changed(tmp_path: Path, change: Change, content: bytes = b"x") -> Path:
    """The `.mlem` file of a model that somebody has changed."""
    folder = tmp_path / "changed"
    found = mlem_models.document(content, folder)
    change(found)
    return mlem_models.write(folder, found)


# -- reading -------------------------------------------------------------------------------


def test_a_model_is_read(made: Path) -> None:
    """What it is, what it takes, its files and its packages."""
    found = metadata.read(made)
    assert (found.name, found.kind, found.method) == ("m", "sklearn", "predict")
    assert found.requirements == ("scikit-learn==1.9.1", "pandas==3.1.1")
    assert [name for _, name in found.files()] == ["m.mlem", "m"]
    assert metadata.read(made.with_suffix("")) == found  # named as MLEM names it


@pytest.mark.parametrize("name", ["nothing", "nothing.mlem"])
def test_what_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    """A path that leads nowhere is wrong input."""
    with pytest.raises(UsageError, match="there is no model of MLEM"):
        metadata.read(tmp_path / name)


REFUSED: dict[str, tuple[Change, str]] = {
    "a type that names code": (
        lambda it: it["processors"]["model"].update(type="os.system"),
        "the type 'os.system' names code",
    ),
    "a type of an argument that names code": (
        lambda it: it["processors"]["model"]["methods"]["predict"]["args"][0]["type_"].update(
            type="evil.Hook"
        ),
        "names code",
    ),
    "an io that names code": (
        lambda it: it["processors"]["model"].update(io={"type": "evil.IO"}),
        "names code",
    ),
    "a requirement whose type names code": (
        lambda it: it["requirements"].append({"type": "evil.Requirement"}),
        "names code",
    ),
    "a path out of the folder": (
        lambda it: it["artifacts"]["data"].update(uri="../m"),
        "must be a path inside",
    ),
    "an absolute path": (
        lambda it: it["artifacts"]["data"].update(uri="/etc/passwd"),
        "must be a path inside",
    ),
    "a URL": (
        lambda it: it["artifacts"]["data"].update(uri="s3://bucket/m"),
        "must be a path inside",
    ),
    "an artifact in another storage": (
        lambda it: it["artifacts"]["data"].update(type="dvc"),
        "is kept elsewhere",
    ),
    "an artifact that is another file": (
        lambda it: it["artifacts"]["data"].update(hash="0" * 32),
        "is not the file that was saved",
    ),
    "the folder as an artifact": (
        lambda it: it["artifacts"]["data"].update(uri=""),
        "is a folder",
    ),
    "another index": (
        lambda it: it["requirements"][0].update(extra_index="https://example.org/simple"),
        "comes from elsewhere",
    ),
    "a package from a repository": (
        lambda it: it["requirements"].append(
            {"module": "x", "source_url": "https://example.org/x", "vcs": "git", "vcs_commit": "1"}
        ),
        "comes from elsewhere",
    ),
    "a URL as a version": (
        lambda it: it["requirements"][0].update(version=None, package_name="x @ https://e.org/x"),
        "requirements: ",
    ),
    "an option as a package": (
        lambda it: it["requirements"][0].update(package_name="--index-url=https://e.org"),
        "requirements: ",
    ),
    "a second line in a version": (
        lambda it: it["requirements"][0].update(version="1.0\n--index-url https://e.org"),
        "requirements: ",
    ),
    "a path as a package": (
        lambda it: it["requirements"][0].update(package_name="./evil", version=None),
        "requirements: ",
    ),
    "no model": (lambda it: it.update(object_type="link"), "no model of MLEM"),
    "no processor": (lambda it: it.update(processors={}), "there is none named model"),
    "processors that are a list": (lambda it: it.update(processors=[1]), "must be a mapping"),
    "arguments that are text": (
        lambda it: it["processors"]["model"]["methods"]["predict"].update(args="X"),
        "args must be a list",
    ),
    "requirements that are text": (lambda it: it.update(requirements="x"), "must be a list"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_hostile_or_damaged_is_refused(name: str, tmp_path: Path) -> None:
    """Nobody can allow it: the whole model is refused in one line, and nothing is written."""
    change, message = REFUSED[name]
    path = changed(tmp_path, change)
    with pytest.raises(GitmlError, match=message) as caught:
        importing.save_imported(path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "object_type: !!python/object/apply:os.system [touch canary]\n",
        "a: &a [1]\nb: *a\n",
        "object_type: model\nobject_type: link\n",
        "[" * 100,
        "\x00\x01",
    ],
    ids=["tag", "alias", "key twice", "depth", "binary"],
)
def test_yaml_that_does_more_than_hold_values_is_refused(text: str, tmp_path: Path) -> None:
    """Tags, aliases and their like are no part of what MLEM writes."""
    with pytest.raises(FormatError):
        metadata.read(mlem_models.write(tmp_path, text.encode()))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a permission there")
def test_links_are_not_followed(made: Path, tmp_path: Path) -> None:
    """Neither the file nor an artifact may be a link."""
    link = tmp_path / "link.mlem"
    link.symlink_to(made)
    with pytest.raises(FormatError, match="is a symbolic link"):
        metadata.read(link)
    content = (made.parent / "m").rename(tmp_path / "content")
    (made.parent / "m").symlink_to(content)
    with pytest.raises(FormatError, match="is a symbolic link"):
        metadata.read(made)


# -- importing -----------------------------------------------------------------------------


def test_an_estimator_gets_the_flavor_of_scikit_learn(made: Path, tmp_path: Path) -> None:
    """The same pickle in a model of gitml, which predicts without MLEM."""
    model = importing.save_imported(made, tmp_path / "out")
    assert set(model.flavors) == {"python_function", "sklearn"}
    assert (tmp_path / "out/model.pkl").read_bytes() == (made.parent / "m").read_bytes()
    assert (tmp_path / "out/requirements.txt").read_text().split() == [
        "scikit-learn==1.9.1", "pandas==3.1.1"
    ]  # fmt: skip
    assert model.signature is not None
    assert str(model.signature.inputs) == "['a': double (required), 'b': long (required)]"
    native = gitml.sklearn.load_model(tmp_path / "out", allow_code=True)
    assert native.predict([[3.0]]).tolist() == pytest.approx([3.0])


@pytest.mark.parametrize(
    ("library", "name"), [("xgboost", "XGBClassifier"), ("lightgbm", "LGBMClassifier")]
)
def test_estimators_of_other_libraries_get_it_too(library: str, name: str, tmp_path: Path) -> None:
    """MLEM pickles them like scikit-learn's."""
    kind = getattr(framework(library), name)
    fitted = kind(n_estimators=1).fit([[0.0], [1.0]] * 20, [0, 1] * 20)
    path = changed(tmp_path, lambda it: None, pickle.dumps(fitted))
    assert "sklearn" in importing.save_imported(path, tmp_path / "out").flavors
    loaded = gitml.sklearn.load_model(tmp_path / "out", allow_code=True)
    assert type(loaded).__name__ == name


def test_it_is_kept_as_it_is_when_that_is_wanted(made: Path, tmp_path: Path) -> None:
    """The flavor `mlem` holds the files of MLEM, and asks for the versions that MLEM needs."""
    model = importing.save_imported(made, tmp_path / "out", "mlem")
    assert set(model.flavors) == {"python_function", "mlem"}
    assert (tmp_path / "out/mlem/m.mlem").read_bytes() == made.read_bytes()
    lines = (tmp_path / "out/requirements.txt").read_text().splitlines()
    assert lines == ["scikit-learn==1.9.1", "pandas==3.1.1", *pins.PINS]


def never_native(name: str) -> tuple[Change, bytes]:
    """What makes a model MLEM's alone."""
    changes: dict[str, tuple[Change, bytes]] = {
        "a callable": (
            lambda it: it["processors"]["model"].update(type="callable"),
            pickle.dumps(estimator()),
        ),
        "a pickle of foreign code": (lambda it: None, pickle.dumps(Payload("1/0"))),
        "an input that is prepared": (
            lambda it: it["processors"].update(preprocess={"type": "callable"}),
            pickle.dumps(estimator()),
        ),
        "source code in it": (
            lambda it: it["requirements"].append(
                {"type": "custom", "name": "x", "is_package": False, "source64zip": "eA=="}
            ),
            pickle.dumps(estimator()),
        ),
        "a booster that is a pickle": (
            lambda it: it["processors"]["model"].update(type="xgboost"),
            pickle.dumps(Payload("1/0")),
        ),
    }
    return changes[name]


@pytest.mark.parametrize(
    "name",
    ["a callable", "a pickle of foreign code", "an input that is prepared", "source code in it",
     "a booster that is a pickle"],
)  # fmt: skip
def test_what_only_mlem_can_run_stays_its_own(name: str, tmp_path: Path) -> None:
    """It is kept as it is, and the native flavor is refused."""
    path = changed(tmp_path, *never_native(name))
    assert "mlem" in importing.save_imported(path, tmp_path / "out").flavors
    with pytest.raises(UsageError, match="holds what no other flavor reads"):
        importing.save_imported(path, tmp_path / "native", "native")


def test_loading_one_needs_a_permission_before_mlem_is_looked_for(
    made: Path, tmp_path: Path
) -> None:
    """MLEM runs what its metadata name: whoever made them must be trusted."""
    importing.save_imported(made, tmp_path / "out", "mlem")
    for load in (gitml.mlem.load_model, gitml.pyfunc.load_model):
        with pytest.raises(UntrustedModelError, match="is loaded by MLEM"):
            load(tmp_path / "out")
    if "mlem" not in sys.modules:
        with pytest.raises(UsageError, match=r"pip install 'gitml\[mlem\]'"):
            gitml.mlem.load_model(tmp_path / "out", allow_code=True)


def test_its_loader_alone_is_code_too(made: Path, tmp_path: Path) -> None:
    """A model that only names the loader, and not the flavor, is loaded by MLEM as well."""
    importing.save_imported(made, tmp_path / "out", "mlem")
    document = mlmodel.read_document(tmp_path / "out")
    del document["flavors"]["mlem"]
    (tmp_path / "out/mlem/m").write_bytes(b"")
    found = trust.assess(tmp_path / "out", document)
    assert [(it.what, it.executes) for it in found.findings] == [("flavor 'python_function'", True)]


def test_what_is_checked_at_import_is_checked_again_when_it_is_loaded(
    made: Path, tmp_path: Path
) -> None:
    """A folder that was changed since is refused, whatever was allowed."""
    importing.save_imported(made, tmp_path / "out", "mlem")
    path = tmp_path / "out/mlem/m.mlem"
    path.write_bytes(path.read_bytes().replace(b"type: sklearn", b"type: os.system"))
    with pytest.raises(FormatError, match="names code"):
        gitml.mlem.load_model(tmp_path / "out", allow_code=True)


# -- the command line ----------------------------------------------------------------------


def test_a_model_is_imported_into_a_folder(made: Path, tmp_path: Path, caller: Caller) -> None:
    """`--output-directory` names a new folder; one that is there is left alone."""
    out = tmp_path / "out"
    assert caller("models", "import", made, "-d", out).lines == [str(out)]
    assert mlmodel.read(out).flavors["sklearn"]["sklearn_version"] == "1.9.1"
    assert "exists already" in caller("models", "import", made, "-d", out, code=2).err
    wrong = caller("models", "import", made, "-d", tmp_path / "new", "--name", "x", code=2)
    assert "--output-directory goes with neither" in wrong.err


@pytest.mark.usefixtures("new_script")
def test_a_model_is_imported_into_a_run(made: Path, caller: Caller) -> None:
    """By default a new run that is named after it; `--run` names another, `--name` the model."""
    (uri,) = caller("models", "import", made, "--allow-code").lines
    run = gitml.get_run(uri.split("/")[1])
    assert (run.info.run_name, uri.rpartition("/")[2]) == ("m", "m")
    assert gitml.sklearn.load_model(uri).n_features_in_ == 1  # the repository vouches for it
    more = ("--run", run.info.run_id, "-n", "kept", "--flavor", "mlem", "--allow-code")
    (again,) = caller("models", "import", made, *more).lines
    assert again == f"runs:/{run.info.run_id}/kept"
    shown = caller("models", "inspect", again)
    assert "flavor       mlem 0.4.14" in shown.out


@pytest.mark.usefixtures("new_script")
@pytest.mark.parametrize("flavor", ["auto", "mlem"])
def test_a_strangers_code_is_not_made_the_repositorys_unasked(
    made: Path, caller: Caller, flavor: str
) -> None:
    """What is in a run is loaded without a question, so the question is asked before."""
    told = caller("models", "import", made, "--flavor", flavor, code=2).err
    assert "--allow-code" in told
    assert caller("runs", "list", "--format", "json").json == []


@pytest.mark.usefixtures("new_script")
def test_no_run_is_begun_for_what_is_no_model(tmp_path: Path, caller: Caller) -> None:
    """The model is read first."""
    path = changed(tmp_path, REFUSED["a URL"][0])
    caller("models", "import", path, code=3)
    assert caller("runs", "list", "--format", "json").json == []


def test_export_of_a_model_of_mlem_gives_its_files_back(
    made: Path, tmp_path: Path, caller: Caller
) -> None:
    """What was imported as it is comes out as it was, without MLEM, to those who are trusted."""
    importing.save_imported(made, tmp_path / "in", "mlem")
    arguments = ("models", "export", "-m", tmp_path / "in", "--to", "mlem", tmp_path / "out")
    assert "--allow-code" in caller(*arguments, code=2).err
    assert caller(*arguments, "--allow-code").lines == [str(tmp_path / "out/m.mlem")]
    for name in ("m", "m.mlem"):
        assert (tmp_path / "out" / name).read_bytes() == (made.parent / name).read_bytes()
    assert "is there already" in caller(*arguments, "--allow-code", code=2).err


def test_nothing_is_built_of_a_stranger(made: Path, tmp_path: Path, caller: Caller) -> None:
    """The gate comes before any environment."""
    importing.save_imported(made, tmp_path / "in")
    arguments = ("models", "build", "-m", tmp_path / "in", "--with", "mlem:pip", "-d")
    assert "--allow-code" in caller(*arguments, tmp_path / "out", code=2).err
    wrong = caller(*arguments, tmp_path / "out", "-n", "no name", "--allow-code", code=2)
    assert "is no name for a package" in wrong.err
    assert not (tmp_path / "out").exists()


# -- versions ------------------------------------------------------------------------------


def test_the_extra_has_the_versions_of_the_environment() -> None:
    """`gitml[mlem]` and the environments that gitml builds are the same."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    found = re.search(r"^mlem = (\[.*\])$", project.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    assert json.loads(found[1]) == list(pins.PINS)
    assert all(package(line) is not None for line in pins.PINS)


def test_requirements_are_repaired() -> None:
    """MLEM comes with what it needs; what is pinned stays; what can't be installed goes."""
    lines = ["onnx==1.22.0", "protobuf==3.20.1", "click==8.1.8", "", "mlem==0.4.14"]
    rest = [line for line in pins.PINS if not line.startswith("click")]
    assert pins.repaired(lines) == ["onnx==1.22.0", "click==8.1.8", *rest]
    assert pins.repaired(pins.repaired(lines)) == pins.repaired(lines)
    spec = Spec(requirements=("mlem==0.4.1", "six"))
    assert pins.with_mlem(spec).requirements == ("six", *pins.PINS)
    assert pins.with_mlem(pins.with_mlem(spec)) == pins.with_mlem(spec)


def test_a_dockerfile_is_repaired() -> None:
    """One step installs all; what runs is no root and answers without tracebacks."""
    told = """FROM python:3.11-slim
WORKDIR /app

# install Git in case something in requirements.txt will be installed from Git repo
RUN apt-get update && apt-get -y upgrade && apt-get install -y git && apt-get clean
RUN apt-get update && apt-get install -y libgomp1 && apt-get clean
COPY requirements.txt .
RUN pip install -r requirements.txt && pip cache purge
RUN pip install mlem==0.4.14 && pip cache purge
COPY . ./
ENV MLEM_DEBUG=true
CMD sh run.sh"""
    assert repaired_dockerfile(told.splitlines()).splitlines() == [
        "FROM python:3.11-slim",
        "WORKDIR /app",
        "RUN apt-get update && apt-get install -y libgomp1 && apt-get clean",
        "COPY requirements.txt .",
        "ARG PIP_INDEX_URL",
        "ARG PIP_EXTRA_INDEX_URL",
        "ARG PIP_TRUSTED_HOST",
        "RUN pip install --no-cache-dir -r requirements.txt",
        "COPY . ./",
        "ENV HOME=/tmp ITERATIVE_DO_NOT_TRACK=1",
        "USER 10001:10001",
        "EXPOSE 8080",
        "CMD sh run.sh",
    ]
