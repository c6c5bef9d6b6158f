"""The parts of an environment: gitml's own wheel, Pythons, variables, and what uv complains of."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from gitml.environments import Spec, pythons, uv, wheel
from gitml.environments.complaints import complaint
from gitml.environments.pythons import Python, choose, listed
from gitml.environments.strange import strange
from gitml.resources import resource
from gitml.version import __version__

CHECKOUT = Path(__file__).resolve().parent.parent

# -- the wheel -----------------------------------------------------------------------------


def test_gitml_depends_on_what_its_package_says() -> None:
    """The wheel's requirements are those of pyproject.toml; serving is a part of them."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert list(wheel.WHOLE) == project["dependencies"]
    serve = project["optional-dependencies"]["serve"]
    assert set(wheel.SERVING) - set(wheel.WHOLE) == set(serve)
    left_out = {line.partition(">")[0] for line in set(wheel.WHOLE) - set(wheel.SERVING)}
    clone_only = ("dvc", "gitpython", "ruamel.yaml", "tomlkit")
    assert left_out == {*clone_only, "psutil"}
    without_git = [line for line in wheel.WHOLE if not line.startswith(clone_only)]
    assert list(wheel.RECORDING) == without_git
    assert project["requires-python"] == f">={'.'.join(map(str, wheel.PYTHON))}"
    assert project["scripts"] == {"gitml": "gitml.cli.main:main"}


@pytest.mark.parametrize("extent", ["serving", "recording", "whole"])
def test_a_wheel_holds_the_running_gitml(extent: wheel.Extent, tmp_path: Path) -> None:
    """Every file of the package, its schemas and templates are in it, and its record is true."""
    path = wheel.write_wheel(tmp_path, extent)
    label = "" if extent == "whole" else f"+{extent}"
    assert path.name == f"gitml-{__version__}{label}-py3-none-any.whl"
    info = f"gitml-{__version__}{label}.dist-info"
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    sources = {f"gitml/{p.relative_to(CHECKOUT / 'gitml').as_posix()}": p.read_bytes()
               for p in (CHECKOUT / "gitml").rglob("*.py")}  # fmt: skip
    assert sources.items() <= contents.items()
    schema = resource("schemas", "run.schema.json").read_bytes()
    assert contents["gitml/schemas/run.schema.json"] == schema
    assert not [name for name in contents if "__pycache__" in name]
    rows = {
        name: value
        for name, value, _ in csv.reader(io.StringIO(contents[f"{info}/RECORD"].decode()))
    }
    assert rows.pop(f"{info}/RECORD") == ""
    contents.pop(f"{info}/RECORD")
    assert rows == {name: f"sha256={digest(data)}" for name, data in contents.items()}


def digest(data: bytes) -> str:
    """The sha256 of data as a wheel's record writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def test_the_same_gitml_is_the_same_wheel(tmp_path: Path) -> None:
    """A wheel is equal to the last byte, so that a layer of an image stays what it is."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = (wheel.write_wheel(tmp_path / name) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("requirements", "wanted"),
    [
        ((), True),
        (("numpy",), True),
        (("gitml",), True),
        ((f"gitml=={__version__}",), True),
        (("gitml[serve]>=0.0.1",), True),
        (("gitml==99.0",), False),
        (("gitml>99",), False),
        (("gitml @ https://packages.example/gitml.whl",), False),
        (("gitml-extras==99.0",), True),
    ],
)
def test_a_spec_may_ask_for_another_gitml(requirements: tuple[str, ...], wanted: bool) -> None:
    """The running gitml is added unless the spec names a version that it is not."""
    assert wheel.is_wanted(Spec(requirements=requirements)) is wanted


def test_the_line_for_gitml_can_be_taken_out() -> None:
    """Only gitml's own line goes, not one of a package with a longer name."""
    spec = Spec(requirements=("gitml[serve]>=0.0.1", "gitml-extras", "gitml", "gitml.x", "numpy"))
    assert wheel.without(spec).requirements == ("gitml-extras", "gitml.x", "numpy")


def test_no_part_of_a_spec_keeps_its_line_for_gitml() -> None:
    """Neither what builds the rest nor conda's packages, of any channel and spelling."""
    conda = ("GitML=0.1", "conda-forge::gitml", "https://c.example/x::gitml 1", "gitml-x", "pip")
    spec = Spec(build=("gitml==1", "pip"), conda=conda, constraints=("gitml<1", "six<2"))
    left = wheel.without(spec)
    assert (left.build, left.conda, left.constraints) == (("pip",), ("gitml-x", "pip"), ("six<2",))


def test_gitml_of_an_index_is_not_well_known() -> None:
    """Anybody may put something of that name on one; a spec that names it says nothing else."""
    lines = ("gitml==0.1", "numpy==2.0")
    assert list(strange(Spec(requirements=lines, conda=("gitml",)))) == ["gitml", "gitml==0.1"]


# -- Pythons -------------------------------------------------------------------------------

FOUND = [Python(version, Path(version)) for version in ("3.11.2", "3.11.10", "3.9.1", "3.12.1")]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("3.11.2", "3.11.2"),
        ("3.11", "3.11.10"),
        ("3.9", "3.9.1"),
        ("3.1", None),
        ("3.11.1", None),
        ("<3.12,>=3.9", "3.11.10"),
        (">=3.10", "3.12.1"),
        (">=3.13", None),
    ],
)
def test_the_newest_python_that_fits_is_chosen(wanted: str, chosen: str | None) -> None:
    """A version is itself or its newest patch, a range the newest inside of it."""
    found = choose(wanted, FOUND)
    assert (found.version if found else None) == chosen


def test_versions_are_listed_in_their_order() -> None:
    """3.9 is before 3.11, and a version that is there twice is named once."""
    assert listed([*FOUND, FOUND[0]]) == "3.9.1, 3.11.2, 3.11.10, 3.12.1"


def test_the_pythons_of_pyenv_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pyenv keeps is there, switched on or not; its virtual environments are not meant."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    for name in ("3.10.13", "pypy3.9", "myproject"):
        (tmp_path / "versions" / name / "bin").mkdir(parents=True)
        (tmp_path / "versions" / name / "bin" / "python3").touch()
    (python,) = pythons.of_pyenv()
    assert python == Python("3.10.13", tmp_path / "versions" / "3.10.13" / "bin" / "python3")


# -- what uv is told -----------------------------------------------------------------------


def test_uv_is_told_what_pip_is_told() -> None:
    """An index that is configured for pip holds for uv, unless uv has one of its own."""
    given = {
        "PIP_INDEX_URL": "https://a.example",
        "PIP_EXTRA_INDEX_URL": "https://b.example https://c.example",
        "PIP_FIND_LINKS": "/x /y",
        "UV_INDEX": "https://d.example",
        "VIRTUAL_ENV": "/somewhere",
        "PYTHONPATH": "/modules",
        "HOME": "/home/ada",
    }
    told = uv.variables(given)
    assert told["UV_DEFAULT_INDEX"] == "https://a.example"
    assert told["UV_INDEX"] == "https://d.example"
    assert told["UV_FIND_LINKS"] == "/x,/y"
    assert told["HOME"] == "/home/ada"
    assert not {"VIRTUAL_ENV", "PYTHONPATH"} & set(told)


# -- complaints ----------------------------------------------------------------------------

NEW_UV = """Using Python 3.11.7 environment at: place
error: No solution found when resolving dependencies
  cause: Because there is no version of numpy==99.0 and you require numpy==99.0, we give up.

hint: Pre-releases are available
"""
OLD_UV = """  \u00d7 No solution found when resolving dependencies:
  \u2570\u2500\u25b6 Because only numpy<=2 is available and you require numpy==99, we can
      conclude that your requirements are unsatisfiable.
"""
LOG = """Resolved 1 package in 466ms
   Building pycurl==7.45.0
\x1b[1m\x1b[31merror\x1b[39m\x1b[0m: Failed to build `pycurl==7.45.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta` failed (exit status: 1)

         [stdout]
         running egg_info

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 14, in <module>
         ConfigurationError: Could not run curl-config

hint: Build failures usually indicate a problem with the package
"""
NETWORK = """error: Request failed after 3 retries in 7.4s
  cause: Failed to fetch: https://ada:secret@packages.example/simple/idna/
  cause: client error (Connect)
  cause: Connection refused (os error 111)
"""
PIP = """Collecting x
ERROR: Could not find a version that satisfies the requirement numpy==99 (from versions: 1.3.0)
ERROR: No matching distribution found for numpy==99

[notice] A new release of pip is available
"""
BUILDKIT = """#9 [4/6] RUN pip install x
#9 1.234 Collecting x
#9 2.345 ERROR: No matching distribution found for x
#9 ERROR: process "/bin/sh -c pip install x" did not complete successfully: exit code: 1
"""


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            NEW_UV,
            "No solution found when resolving dependencies: Because there is no version of"
            " numpy==99.0 and you require numpy==99.0, we give up",
        ),
        (
            OLD_UV,
            "No solution found when resolving dependencies: Because only numpy<=2 is available"
            " and you require numpy==99, we can conclude that your requirements are unsatisfiable",
        ),
        (LOG, "Failed to build `pycurl==7.45.0`: ConfigurationError: Could not run curl-config"),
        (
            NETWORK,
            "Request failed after 3 retries in 7.4s: Failed to fetch:"
            " https://packages.example/simple/idna/: Connection refused (os error 111)",
        ),
        (
            PIP,
            "Could not find a version that satisfies the requirement numpy==99 (from versions:"
            " 1.3.0): No matching distribution found for numpy==99",
        ),
        (
            BUILDKIT,
            'No matching distribution found for x: process "/bin/sh -c pip install x" did not'
            " complete successfully: exit code: 1",
        ),
        ("first\nlast\n\n", "last"),
        ("", "it said nothing"),
        ("error: a\x1b]0;title\x07b\u202e", "a?]0;title?b?"),
    ],
)
def test_a_complaint_is_the_lines_that_say_what_is_wrong(said: str, line: str) -> None:
    """Headline, first cause and last word are told; frames, hints, logs and passwords are not."""
    assert complaint(said.encode()) == line


def test_a_long_complaint_is_cut() -> None:
    """However much a program says, the message stays a line that can be read."""
    assert len(complaint(b"error: " + b"why " * 1000)) == 600
