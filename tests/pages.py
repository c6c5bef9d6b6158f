"""Markdown pages that run: the fenced examples of a page, in order, as a reader would try them.

What stands behind the language in a fence's first line says what becomes of the example:

- ```` ```python ````: run as a script in the page's folder.
- ```` ```console ````: each line after `$ ` is run by bash and must succeed. Lines below it are
  what it prints; `...` stands for anything. Without such lines the output is not compared.
- `title="train.py"`: the example, in any language, is written to that file and not run.
- `schema="run"`: the JSON or YAML document must fit that schema.
- `norun`: the example is only shown.

A port of `localhost` that a page names is another one when it runs, one that is free. What an
example leaves running ends with the page, and with the process that runs it.
"""

from __future__ import annotations

import contextlib
import doctest
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from gitml.documents import load_json, load_yaml, problems
from tests.ports import free_port

_FENCE = re.compile(r"^( *)```(\w+)([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r'(\w+)(?:="([^"]*)")?')
_PORT = re.compile(r"localhost:(\d+)")
# Waits until the process at the other end of its input is gone, then ends its group.
_KEEPER = "import os, signal, sys; sys.stdin.read(); os.killpg(0, signal.SIGKILL)"
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Example:
    """A fenced example: its language, options, text and the line of the page where it begins."""

    language: str
    options: dict[str, str]
    text: str
    line: int


@dataclass
class Page:
    """The examples of a page, run in `folder`; `cd` in a console moves it for what follows."""

    examples: list[Example]
    folder: Path
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    _group: int = 0

    def run(self) -> None:
        """Try every example in order; AssertionError names the line of the first that fails."""
        scripts = str(Path(sys.executable).parent)
        self.environ["PATH"] = scripts + os.pathsep + self.environ.get("PATH", "")
        with _group() as self._group:
            for example in _on_free_ports(self.examples):
                try:
                    self._try(example)
                except AssertionError as error:
                    raise AssertionError(f"line {example.line}: {error}") from None

    def _try(self, example: Example) -> None:
        if "schema" in example.options:
            read = load_json if example.language == "json" else load_yaml
            document = read(example.text.encode(), "the example")
            found = problems(document, example.options["schema"])
            assert not found, f"does not fit the schema: {found}"
        if "title" in example.options:
            path = self.folder / example.options["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(example.text, encoding="utf-8")
        elif "norun" in example.options:
            return
        elif example.language == "python":
            self._run([sys.executable, "-c", example.text])
        elif example.language == "console":
            for command, expected in commands(example.text):
                self._console(command, expected)

    def _console(self, command: str, expected: str) -> None:
        if command.startswith("cd "):
            self.folder = (self.folder / command[3:].strip()).resolve()
            return
        printed = self._run(["bash", "-euc", command])
        if expected:
            assert doctest.OutputChecker().check_output(expected, printed, _FLAGS), (
                f"$ {command}\nprinted:\n{printed}\nand not:\n{expected}"
            )

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, encoding="utf-8", check=False,
            preexec_fn=functools.partial(os.setpgid, 0, self._group),
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"$ {command[-1]}\nended with {done.returncode}:\n{said}"
        return done.stdout


@contextlib.contextmanager
def _group() -> Iterator[int]:
    """A group for processes, all of which end with the block, or with this process."""
    keeper = subprocess.Popen(
        [sys.executable, "-c", _KEEPER], stdin=subprocess.PIPE, preexec_fn=os.setpgrp
    )
    with keeper:  # whose end closes its input
        yield keeper.pid


def _on_free_ports(examples: list[Example]) -> list[Example]:
    """The examples with ports that nobody has."""
    ports = sorted({port for example in examples for port in _PORT.findall(example.text)})
    named = {port: str(free_port()) for port in ports}
    if not named:
        return examples
    known = re.compile(rf"\b({'|'.join(ports)})\b")
    texts = (known.sub(lambda found: named[found[0]], example.text) for example in examples)
    return [replace(it, text=text) for it, text in zip(examples, texts, strict=True)]


def read_page(path: Path, folder: Path) -> Page:
    """The page at `path`, to be run in `folder`."""
    return Page(list(examples(path.read_text(encoding="utf-8"))), folder)


def examples(text: str) -> Iterator[Example]:
    """The fenced examples of a page's text."""
    for found in _FENCE.finditer(text):
        indent, language, options, body = found.groups()
        lines = "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
        yield Example(
            language, dict(_OPTION.findall(options)), lines, text.count("\n", 0, found.start()) + 1
        )


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console example, each with what it is said to print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        size = 1 + next(
            (at for at, line in enumerate(lines) if not line.endswith("\\\n")), len(lines) - 1
        )
        yield "".join(lines[:size]).strip(), "".join(lines[size:])
