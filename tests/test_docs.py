"""What the documents show is true: examples run, links lead somewhere."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.conftest import framework, run_git
from tests.pages import commands, examples, read_page

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
RUNNABLE = [page for page in PAGES if list(examples(page.read_text(encoding="utf-8")))]
# Pages on frameworks that are too large to be installed for every test.
NEEDED = {
    "docs/flavors/pytorch.md": ("torch",),
    "docs/flavors/keras.md": ("keras", "torch"),
    "docs/flavors/lightgbm.md": ("lightgbm",),
}
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    """A page's path from the checkout."""
    return page.relative_to(CHECKOUT).as_posix()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty git repository of a user who has set a name and an address."""
    home = tmp_path / "project"
    home.mkdir()
    for key, value in {
        "user.name": "Ada Example",
        "user.email": "ada@example.org",
        "init.defaultBranch": "main",
    }.items():
        run_git(home, "config", "--global", key, value)
    run_git(home, "init", "--quiet")
    return home


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the consoles of the pages are bash")
@pytest.mark.skipif(find_spec("gitml.cli.main") is None, reason="no command line yet")
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_examples_of_a_page_run(page: Path, folder: Path) -> None:
    """Every example of a page works in the order of the page, and prints what it says."""
    for module in NEEDED.get(name_of(page), ()):
        framework(module)
    if "$ curl" in page.read_text(encoding="utf-8") and shutil.which("curl") is None:
        pytest.skip("needs curl")
    read_page(page, folder).run()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    """A link to a file of the project names one that exists, and a heading that it has."""
    text = page.read_text(encoding="utf-8")
    for link in _LINK.findall(text):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if heading:
            assert heading in anchors(target.read_text(encoding="utf-8")), link


def anchors(text: str) -> set[str]:
    """The anchors that forges give to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_the_formats_name_every_ref_that_is_written() -> None:
    """Whoever finds a ref of gitml in a repository can look up what it is."""
    sources = (path.read_text("utf-8") for path in (CHECKOUT / "gitml").rglob("*.py"))
    written = {name for text in sources for name in re.findall(r'"(refs/gitml/\w+/)', text)}
    assert len(written) > 2
    page = (CHECKOUT / "docs" / "formats.md").read_text("utf-8")
    assert {name for name in written if f"| `{name}" not in page} == set()


SAMPLE = """
```python title="a.py"
print("from a file")
```
```console
$ python a.py
from ...
$ mkdir inner
$ cd inner
$ printf '%s\\n' one \\
    two
one
two
```
```python
from pathlib import Path
assert Path.cwd().name == "inner"
```
```console norun
$ false
```
```yaml schema="gitml"
experiment: churn
```
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the consoles of the pages are bash")
def test_a_page_is_run_in_order(folder: Path) -> None:
    """Files are written, scripts and commands run where the page has got to."""
    page = folder / "page.md"
    page.write_text(SAMPLE, encoding="utf-8")
    read_page(page, folder).run()
    assert (folder / "a.py").is_file()
    assert [example.line for example in examples(SAMPLE)] == [2, 5, 15, 19, 22]


@pytest.mark.skipif(sys.platform == "win32", reason="the consoles of the pages are bash")
@pytest.mark.parametrize(
    ("example", "message"),
    [
        ("```console\n$ false\n```\n", r"line 2: \$ false\nended with 1"),
        ("```console\n$ echo a\nb\n```\n", r"line 2: \$ echo a\nprinted:\na\n\nand not:\nb"),
        ("```python\nraise SystemExit(3)\n```\n", "ended with 3"),
        ('```yaml schema="gitml"\nzzz: 1\n```\n', "line 2: does not fit .*unknown key 'zzz'"),
    ],
)
def test_an_example_that_is_wrong_fails(example: str, message: str, folder: Path) -> None:
    """A page that lies is found out, by line."""
    page = folder / "page.md"
    page.write_text("text\n" + example, encoding="utf-8")
    with pytest.raises(AssertionError, match=message):
        read_page(page, folder).run()


LEAVES = """
```console
$ sleep 600 > log 2>&1 & echo $! > pid
$ echo localhost:5055 > port
```
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the consoles of the pages are bash")
def test_a_page_leaves_no_process(folder: Path) -> None:
    """What runs in the background ends with the page, also with one that fails."""
    page = folder / "page.md"
    for more in ("", "```console\n$ false\n```\n"):
        page.write_text(LEAVES + more, encoding="utf-8")
        with contextlib.suppress(AssertionError):
            read_page(page, folder).run()
        wait_for_the_end(folder)
    assert (folder / "port").read_text() != "localhost:5055\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the consoles of the pages are bash")
def test_a_page_that_is_cut_off_leaves_no_process(folder: Path) -> None:
    """Not even when the process that runs it is killed."""
    page = folder / "page.md"
    page.write_text(f"{LEAVES}```console\n$ touch there && sleep 600\n```\n", encoding="utf-8")
    script = (
        "import sys; from pathlib import Path; from tests.pages import read_page;"
        " read_page(Path(sys.argv[1]), Path(sys.argv[2])).run()"
    )
    command = [sys.executable, "-c", script, str(page), str(folder)]
    with subprocess.Popen(command, cwd=CHECKOUT) as process:
        while not (folder / "there").exists():
            time.sleep(0.05)
        process.kill()
    wait_for_the_end(folder)


def wait_for_the_end(folder: Path) -> None:
    """Wait until the process is gone that a page has left."""
    with contextlib.suppress(psutil.NoSuchProcess):
        left = psutil.Process(int((folder / "pid").read_text()))
        while left.is_running() and left.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.05)


def test_commands_of_a_console_have_their_output() -> None:
    """A command ends with its line unless a backslash goes on; the rest is its output."""
    assert list(commands("$ a\n$ b \\\n  c\nout\n\nmore\n$ d\n")) == [
        ("a", ""), ("b \\\n  c", "out\n\nmore\n"), ("d", ""),
    ]  # fmt: skip
