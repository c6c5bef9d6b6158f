"""Requirements are pinned as installed, or what the user gives, read whole and without secrets."""

from __future__ import annotations

import os
import string
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.documents import load_yaml
from gitml.errors import UsageError
from gitml.models.requirements import (
    Requirements,
    RequirementWarning,
    parse_requirements,
    requirements_for,
    requirements_of,
)

NUMPY = f"numpy=={metadata.version('numpy')}"
SKLEARN = f"scikit-learn=={metadata.version('scikit-learn')}"


def hostile() -> list[Any]:
    """The corpus as parameters, a case for each."""
    path = Path(__file__).with_name("hostile") / "requirements.yaml"
    return [pytest.param(case, id=case["name"]) for case in load_yaml(path.read_bytes(), path.name)]


def laid_out(case: dict[str, Any], folder: Path) -> Any:
    """The value that a case gives, its files written."""
    for name, text in case.get("files", {}).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = text if isinstance(text, str) else (text[0] + "\n") * text[1]
        file.write_bytes(whole.encode())
    return eval(case["given"], {"FOLDER": folder.as_posix()})


@pytest.mark.parametrize("case", hostile())
def test_given(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user gives becomes the lines that the corpus says, or is refused in one line."""
    monkeypatch.chdir(tmp_path)
    value = laid_out(case, tmp_path)
    if "error" in case:
        with pytest.raises(UsageError) as refused:
            parse_requirements(value)
        assert case["error"] in str(refused.value)
        assert "\n" not in str(refused.value)
        assert "c4nary" not in str(refused.value)
        return
    found = parse_requirements(value)
    assert found.lines == tuple(case.get("lines", ()))
    assert found.constraints == tuple(case.get("constraints", ()))


def test_a_path_object(tmp_path: Path) -> None:
    """A path may be an object, and is no text whatever its name."""
    file = tmp_path / "-r"
    file.write_text("numpy", encoding="utf-8")
    assert parse_requirements(file).lines == ("numpy",)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe(tmp_path: Path) -> None:
    """A pipe that nobody writes to is refused, not waited for."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="there is no file"):
        parse_requirements(tmp_path / "pipe")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file that is no UTF-8 is refused."""
    (tmp_path / "r.txt").write_bytes(b"numpy\xff\n")
    with pytest.raises(UsageError, match="is not UTF-8"):
        parse_requirements(tmp_path / "r.txt")


NAMES = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
LINES = st.builds(
    lambda name, extras, rest: name + extras + rest,
    NAMES,
    st.sampled_from(["", "[a]", "[a,b]"]),
    st.sampled_from(["", "==1.0", ">=1,<2", "~=1.0; python_version < '4'", " @ file:///x/y.whl"]),
)


@given(st.lists(LINES, unique=True))
def test_reading_what_was_read(lines: list[str]) -> None:
    """Requirement lines stay as they are, as a list, as text, and when read again."""
    found = parse_requirements(lines)
    assert found == Requirements(tuple(lines))
    assert parse_requirements(found.lines) == found
    assert parse_requirements("\n".join([*lines, "# the end", ""])) == found


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text is requirements or refused as such; what is read never has a line break."""
    try:
        found = parse_requirements([text])
    except UsageError:
        return
    assert all(line.isprintable() and line for line in found.lines)


# -- inferred ------------------------------------------------------------------------------


def test_pinned_and_sorted() -> None:
    """Modules become pinned requirements, sorted by name, each once; others are left out."""
    modules = ["yaml", "sklearn", "numpy", "sklearn.tree", "json", "no_such_module"]
    yaml = f"PyYAML=={metadata.version('PyYAML')}"
    assert requirements_for(modules) == [NUMPY, yaml, SKLEARN]
    assert requirements_for(["numpy"], defaults=["sklearn", "numpy"]) == [NUMPY, SKLEARN]
    assert requirements_for([]) == []


@pytest.mark.parametrize(
    ("extra", "lines"),
    [
        (["numpy"], [NUMPY, SKLEARN]),
        (["Scikit_Learn>=1.4"], [NUMPY, "Scikit_Learn>=1.4"]),
        (["numpy[fast]"], [NUMPY.replace("==", "[fast]=="), SKLEARN]),
        (["numpy @ https://example.org/n.whl"], ["numpy @ https://example.org/n.whl", SKLEARN]),
        (["pandas"], [NUMPY, "pandas", SKLEARN]),
        (["numpy<2; python_version<'3.12'", "numpy>=2; python_version>='3.12'"],
         ["numpy<2; python_version<'3.12'", "numpy>=2; python_version>='3.12'", SKLEARN]),
        (["./here", "--pre", "zlib-ng"], ["--pre", NUMPY, SKLEARN, "zlib-ng", "./here"]),
        (["numpy==1.0", "numpy"], ["numpy==1.0", SKLEARN]),
    ],
)  # fmt: skip
def test_extra(extra: list[str], lines: list[str]) -> None:
    """What the user says about a package counts; the rest is pinned, options come first."""
    assert requirements_for(["numpy"], defaults=["sklearn"], extra=extra) == lines


def test_local_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is a folder of this machine is named in a warning, and not required."""
    (tmp_path / "churn9.py").touch()
    (tmp_path / "Churn9.egg-info").mkdir()
    text = "Name: Churn9\nVersion: 1\n"
    (tmp_path / "Churn9.egg-info" / "PKG-INFO").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(RequirementWarning, match="needs Churn9, which only this machine has"):
        assert requirements_for(["churn9", "numpy"]) == [NUMPY]


# -- of a model ----------------------------------------------------------------------------


def never() -> list[str]:
    """An inference that must not be asked."""
    raise AssertionError("nothing is to be inferred")


def test_inferred_unless_given(tmp_path: Path) -> None:
    """Requirements are inferred, with extra ones added, unless the user gives them all."""
    file = tmp_path / "r.txt"
    file.write_text("pandas==2.0\n-c c.txt\n", encoding="utf-8")
    (tmp_path / "c.txt").write_text("numpy<3\n", encoding="utf-8")
    assert requirements_of(lambda: ["numpy"], defaults=["sklearn"]).lines == (NUMPY, SKLEARN)
    found = requirements_of(lambda: ["numpy"], extra_pip_requirements=file)
    assert found == Requirements((NUMPY, "pandas==2.0"), ("numpy<3",))
    given = requirements_of(never, defaults=["sklearn"], pip_requirements=["z", "a"])
    assert given == Requirements(("z", "a"))
    assert requirements_of(never, pip_requirements=[]) == Requirements()
    assert requirements_of(never, conda_env={"name": "x"}) == Requirements()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["pip_requirements", "extra_pip_requirements"], "pip_requirements and extra_pip_requ"),
        (["conda_env", "pip_requirements"], "conda_env and pip_requirements are both given"),
        (["conda_env", "extra_pip_requirements"], "are both given; give one of them"),
    ],
)
def test_only_one_is_given(names: list[str], said: str) -> None:
    """Of the ways to say what a model needs, one may be used."""
    given: dict[str, Any] = {name: [] for name in names}
    with pytest.raises(UsageError, match=said):
        requirements_of(never, **given)


def test_nothing_is_said_about_a_plain_model() -> None:
    """Packages of an index are no reason for a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        requirements_for(["sklearn", "numpy"])
