"""A module belongs to the distribution that lists its file, found without importing it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from gitml.models import distributions
from gitml.models.distributions import Distribution, distribution_of, is_own, root_of

ROOT = Path(__file__).parent.parent


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new site-packages folder, first on `sys.path`; what is imported from it is forgotten."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(site: Path, name: str, version: str, *files: str, record: bool = True) -> Path:
    """Lay a distribution out as pip does; the folder of its metadata."""
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text("", encoding="utf-8")
    folder = site / f"{name.replace('-', '_').replace('.', '_').lower()}-{version}.dist-info"
    folder.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: Name: of nothing\n"
    (folder / "METADATA").write_text(text, encoding="utf-8")
    lines = [f"{file},sha256=x,0" for file in (*files, f"{folder.name}/METADATA")]
    if record:
        (folder / "RECORD").write_text("\n".join(lines) + "\n", encoding="utf-8")
    importlib.invalidate_caches()
    return folder


def project(folder: Path, source: str) -> Path:
    """A project of one module, `churnlib`, in a `src` folder; the project's folder."""
    (folder / "src" / "churnlib").mkdir(parents=True)
    (folder / "src" / "churnlib" / "__init__.py").write_text(source, encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "Churn.Lib"\nversion = "0.3"\n',
        encoding="utf-8",
    )
    return folder


# -- what is installed here ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn", "scikit-learn"),
        ("PIL", "pillow"),
        ("yaml", "PyYAML"),
        ("dateutil", "python-dateutil"),
        ("numpy", "numpy"),
        ("numpy.linalg", "numpy"),
        ("_pytest", "pytest"),
        ("mpl_toolkits.mplot3d", "matplotlib"),
        ("google.protobuf", "protobuf"),
        ("torch", "torch"),
        ("lightgbm", "lightgbm"),
    ],
)
def test_installed(module: str, name: str) -> None:
    """A module is named as its distribution is on the index, with the installed version."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    assert distribution_of(module) == Distribution(name, version)


@pytest.mark.skipif(find_spec("xgboost") is None, reason="xgboost is not installed")
def test_the_twin_that_is_installed() -> None:
    """Of distributions that have the same module, the installed one is named."""
    found = distribution_of("xgboost")
    assert found is not None
    assert found.name in ("xgboost", "xgboost-cpu")
    assert found.version == metadata.version(found.name)


def test_every_module_here_belongs_to_whom_the_standard_library_says() -> None:
    """For all installed modules the answer is one of those that `importlib.metadata` gives."""
    wrong = []
    for module, names in metadata.packages_distributions().items():
        if not module.isidentifier() or find_spec(module) is None:
            continue
        found = distribution_of(module)
        if found is None and (distributions.is_standard(module) or len(names) > 1):
            continue
        if found is None or found.name not in names:
            wrong.append((module, names, found))
    assert wrong == []


def test_nothing_is_imported() -> None:
    """To find what a module belongs to, neither it nor its parents are imported."""
    script = (
        "import sys\nfrom gitml.models.distributions import distribution_of\n"
        "assert distribution_of('sklearn.tree').name == 'scikit-learn'\n"
        "assert distribution_of('mpl_toolkits.mplot3d').name == 'matplotlib'\n"
        "assert not {'sklearn', 'mpl_toolkits', 'importlib.metadata'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    ["json", "os.path", "sys", "_thread", "__main__", "__future__", "no_such_module", "a.b"],
)
def test_the_standard_library_and_nothing(module: str) -> None:
    """The standard library, the script and what is not there belong to no distribution."""
    assert distribution_of(module) is None


# -- laid out by hand ----------------------------------------------------------------------


def test_twins(site: Path) -> None:
    """Of two distributions that could have a module, the one that is installed is named."""
    install(site, "opencv-python-headless", "4.10.0.84", "cv9/__init__.py")
    assert distribution_of("cv9") == Distribution("opencv-python-headless", "4.10.0.84")


def test_a_name_is_no_proof(site: Path) -> None:
    """A distribution of the module's name that does not list its file does not have it."""
    install(site, "attr9", "1.0", "other/__init__.py")
    install(site, "attrs9", "2.0", "attr9/__init__.py")
    found = distribution_of("attr9")
    assert found is not None
    assert found.name == "attrs9"


def test_late_in_a_long_list(site: Path) -> None:
    """A module that stands late in its distribution's list of files is found as well."""
    files = [f"aaa/part_{number}.py" for number in range(500)]
    install(site, "things", "1.0", *files, "zzz9.py", "zzz8.cpython-311-x86_64-linux-gnu.so")
    assert distribution_of("zzz9") == Distribution("things", "1.0")


def test_namespaces(site: Path) -> None:
    """Below a namespace each part has its own distribution; one that many share has none."""
    install(site, "acme-storage", "1.0", "acme/cloud/storage/__init__.py")
    install(site, "acme-query", "2.0", "acme/cloud/query.py")
    assert root_of("acme.cloud.storage.blob") == "acme.cloud.storage"
    assert distribution_of("acme.cloud.storage.blob") == Distribution("acme-storage", "1.0")
    assert distribution_of("acme.cloud.query") == Distribution("acme-query", "2.0")
    assert distribution_of("acme.cloud") is None
    assert distribution_of("acme.cloud.missing") is None
    importlib.import_module("acme.cloud.query")
    assert distribution_of("acme.cloud.query") == Distribution("acme-query", "2.0")
    assert distribution_of("acme.cloud.storage") == Distribution("acme-storage", "1.0")


def test_a_namespace_of_one(site: Path) -> None:
    """A namespace that one distribution has alone is that one's."""
    install(site, "zope-lock", "4.0", "zope9/lock/__init__.py")
    assert distribution_of("zope9") == Distribution("zope-lock", "4.0")


def test_without_a_list(site: Path) -> None:
    """Without a list of files a distribution has the modules it names, or that of its own name."""
    folder = install(site, "Deb-Things", "1.0", "deb/__init__.py", record=False)
    (folder / "top_level.txt").write_text("deb\n_deb\n", encoding="utf-8")
    install(site, "single", "2.0", "single.py", record=False)
    assert distribution_of("deb") == Distribution("Deb-Things", "1.0")
    assert distribution_of("single") == Distribution("single", "2.0")


def test_old_metadata(site: Path) -> None:
    """The metadata of setuptools' old installs counts too."""
    (site / "old.py").touch()
    folder = site / "Old_Thing-0.9-py3.11.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: Old-Thing\nVersion: 0.9\n", encoding="utf-8")
    (folder / "top_level.txt").write_text("old\n", encoding="utf-8")
    assert distribution_of("old") == Distribution("Old-Thing", "0.9")


@pytest.mark.parametrize("metadata", [b"", b"Name: x\n", b"Version: 1\n", b"\xff\xfe"])
def test_damaged_metadata(site: Path, metadata: bytes) -> None:
    """A distribution whose metadata do not say what it is can't be required."""
    folder = install(site, "broken", "1.0", "broken9.py")
    (folder / "METADATA").write_bytes(metadata)
    assert distribution_of("broken9") is None


def test_installing_is_noticed(site: Path) -> None:
    """What is installed while a program runs is found, and a new version replaces the old."""
    old = install(site, "late", "1.0", "late9.py")
    assert distribution_of("late9") == Distribution("late", "1.0")
    for file in old.iterdir():
        file.unlink()
    old.rmdir()
    install(site, "late", "2.0", "late9.py")
    os.utime(site, (1, 1))
    assert distribution_of("late9") == Distribution("late", "2.0")


@pytest.mark.parametrize(
    ("version", "line"),
    [("2.13.0+cpu", "torch9==2.13.0"), ("1.0rc1", "torch9==1.0rc1"), ("1!2.0", "torch9==1!2.0")],
)
def test_local_versions(site: Path, version: str, line: str) -> None:
    """The requirement names the public version, which an index has."""
    install(site, "torch9", version, "torch9/__init__.py")
    found = distribution_of("torch9")
    assert found is not None
    assert (found.version, found.requirement) == (version, line)


# -- from no index -------------------------------------------------------------------------


def test_from_version_control(site: Path) -> None:
    """What was installed from a repository is required from there, without credentials."""
    folder = install(site, "tool9", "1.0", "tool9.py")
    origin = {
        "url": "https://user:c4nary@example.org/t.git",
        "vcs_info": {"vcs": "git", "commit_id": "4be1c0"},
    }
    (folder / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
    found = distribution_of("tool9")
    assert found is not None
    assert found.requirement == "tool9 @ git+https://example.org/t.git@4be1c0"
    assert not is_own("tool9")


def test_from_a_file_of_another_machine(site: Path) -> None:
    """What Conda built from a folder elsewhere is pinned like what comes from an index."""
    folder = install(site, "conda9", "1.0", "conda9.py")
    origin = {"url": "file:///croot/conda9_1", "dir_info": {}}
    (folder / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
    assert distribution_of("conda9") == Distribution("conda9", "1.0")


@pytest.mark.skipif(
    find_spec("pip") is None or find_spec("setuptools") is None, reason="needs pip and setuptools"
)
def test_editable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that pip installed as editable is a local one: the user's own code."""
    source = project(tmp_path / "project", "")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += [
        "--no-build-isolation",
        "--prefix",
        str(tmp_path / "out"),
        "--editable",
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (pth,) = (tmp_path / "out").rglob("*.pth")
    monkeypatch.syspath_prepend(str(pth.parent))
    monkeypatch.syspath_prepend(pth.read_text(encoding="utf-8").strip())
    url = source.resolve().as_uri()
    assert distribution_of("churnlib") == Distribution("Churn.Lib", "0.3", url, True)
    assert is_own("churnlib")


def test_editable_the_innermost(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two editable projects, one inside the other, the inner one has the module."""
    outer = project(site.parent / "outer", "")
    inner = project(outer / "packages" / "inner", "")
    for name, folder in (("outer", outer), ("inner", inner)):
        origin = {"url": folder.resolve().as_uri(), "dir_info": {"editable": True}}
        place = install(site, name, "1.0")
        (place / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
    monkeypatch.syspath_prepend(str(inner / "src"))
    found = distribution_of("churnlib")
    assert found is not None
    assert (found.name, found.is_local) == ("inner", True)


def test_built_in_place(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The egg-info that setuptools leaves beside the source marks a local package."""
    source = project(site.parent / "project", "") / "src"
    folder = source / "Churn.Lib.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: Churn.Lib\nVersion: 0.3\n", encoding="utf-8")
    (folder / "top_level.txt").write_text("churnlib\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(source))
    found = distribution_of("churnlib")
    assert found is not None
    assert (found.name, found.is_local) == ("Churn.Lib", True)


def test_own(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own modules are those that no distribution has; installed files are not."""
    (site.parent / "features9.py").touch()
    (site / "dropped9.py").touch()
    monkeypatch.syspath_prepend(str(site.parent))
    assert distribution_of("features9") is None
    assert is_own("features9")
    assert is_own("__main__")
    assert not any(map(is_own, ("dropped9", "json", "numpy", "no_such_module")))


def test_a_folder_with_an_environment_inside(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the site-packages folder of an editable project is not the project's."""
    origin = {"url": site.parent.resolve().as_uri(), "dir_info": {"editable": True}}
    place = install(site, "whole", "1.0")
    (place / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
    (site / "dropped9.py").touch()
    (site.parent / "features9.py").touch()
    monkeypatch.syspath_prepend(str(site.parent))
    assert distribution_of("dropped9") is None
    found = distribution_of("features9")
    assert found is not None
    assert found.is_local


def test_versions_by_name() -> None:
    """The version of a distribution is found by its normalised name."""
    assert distributions.installed_version("scikit-learn") == metadata.version("scikit-learn")
    assert distributions.installed_version("no-such-thing") is None
