"""Files that come with gitml are found wherever it is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gitml.resources import resource

CHECKOUT = Path(__file__).resolve().parent.parent


def test_a_checkout_finds_schemas_and_templates() -> None:
    """Beside the package of a checkout lie the schemas and the templates."""
    assert resource("schemas", "run.schema.json").is_file()
    assert resource("templates").is_dir()


def test_a_missing_resource_is_a_damaged_installation() -> None:
    """A name that does not exist says what to do."""
    with pytest.raises(FileNotFoundError, match=r"lacks schemas/none\.json; install gitml again"):
        resource("schemas", "none.json")


@pytest.mark.slow
def test_a_wheel_carries_every_schema_and_template(tmp_path: Path) -> None:
    """What is in schemas/ and templates/ is in the wheel, and is found from there."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel"]
    subprocess.run([*pip, "--no-deps", "--wheel-dir", tmp_path, CHECKOUT], check=True)
    (wheel,) = tmp_path.glob("gitml-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    for folder in ("schemas", "templates"):
        wanted = {path.relative_to(CHECKOUT) for path in (CHECKOUT / folder).rglob("*.*")}
        carried = {
            path.relative_to(tmp_path / "site" / "gitml")
            for path in (tmp_path / "site" / "gitml" / folder).rglob("*.*")
        }
        assert wanted
        assert wanted <= carried
    found = subprocess.run(
        [sys.executable, "-c", "from gitml.resources import resource; print(resource('schemas'))"],
        cwd=tmp_path / "site", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(found.stdout.strip()) == (tmp_path / "site" / "gitml" / "schemas").resolve()
