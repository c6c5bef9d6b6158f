"""The top of the command line: what there is, and how an error reaches a person."""

from __future__ import annotations

import shlex
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from gitml.cli.lazy import Deferred, LazyGroup
from gitml.cli.main import SECTIONS, Gitml, cli, run
from gitml.cli.runs import SECTIONS as RUNS
from gitml.errors import GitError, UsageError
from tests.cli import HOSTILE, UNSAFE, Caller


@pytest.fixture
def gitml(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


# -- what there is -----------------------------------------------------------------------------

COMMANDS = [
    deferred
    for sections in (SECTIONS, RUNS)
    for section in sections.values()
    for deferred in section.values()
    if find_spec(deferred.target.partition(":")[0]) is not None
]


@pytest.mark.parametrize("deferred", COMMANDS, ids=lambda deferred: deferred.target)
def test_every_command_is_there_and_has_help(deferred: Deferred) -> None:
    """A command that the help names can be imported, and says what each option does."""
    command = deferred.load()
    assert isinstance(command, click.Command)
    assert command.help
    assert deferred.help.endswith(".")
    assert len(deferred.help) <= 50
    for param in command.params:
        assert not isinstance(param, click.Option) or param.help, param.name


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["runs"], ["runs", "list", "-h"]])
def test_help_fits_80_columns(gitml: Caller, args: list[str]) -> None:
    """A group on its own, and --help everywhere, shows help."""
    shown = gitml(*args)
    assert shown.out.startswith("Usage: gitml")
    assert max(map(len, shown.lines)) <= 80


def test_the_help_imports_no_command() -> None:
    """Showing what there is costs no more than its names."""
    script = "import sys, gitml.cli.main as m; m.run(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert {"rich", "gitml.tracking", "gitml.cli.runs", "gitml.cli.push"} & set(loaded) == set()


# -- errors ------------------------------------------------------------------------------------


@click.command()
@click.argument("kind")
def boom(kind: str) -> None:
    """Fail in one of the ways that there are."""
    if kind == "debugger":
        return
    raise {
        "usage": UsageError("that is wrong"),
        "git": GitError(f"git says {HOSTILE}"),
        "disk": FileNotFoundError(2, "No such file or directory", "x.json"),
        "bug": KeyError("missing"),
        "interrupt": KeyboardInterrupt(),
        "pipe": BrokenPipeError(),
    }[kind]


def call(*args: str) -> int:
    """The exit code of a command line with the command `boom`."""
    sections = {"Tests": {"boom": Deferred("tests.test_cli_main:boom", "Fail.")}}
    params = [click.Option(["--debug"], is_flag=True)]
    return run(args, Gitml("gitml", callback=lambda debug: None, params=params, sections=sections))


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("usage", 2, "gitml: that is wrong"),
        ("disk", 3, "gitml: No such file or directory: x.json"),
        ("bug", 70, "gitml: a bug in gitml: KeyError: 'missing'; run it again as"
                    " `gitml --debug ...` and report it"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_a_code(
    kind: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of error has its exit code; its line is on standard error."""
    assert call("boom", kind) == code
    assert capsys.readouterr() == ("", message + "\n")


def test_an_error_from_outside_can_not_act_on_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever git said, the message stays one harmless line."""
    assert call("boom", "git") == 3
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert not UNSAFE.search(shown)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """With --debug, and only then, the error's origin comes before its line."""
    assert call("--debug", "boom", "bug") == 70
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert "in boom" in shown
    assert shown.splitlines()[-1].startswith("gitml: a bug in gitml")


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What a library warns of reaches a person like an error, without a place in the code."""

    @click.command()
    def command() -> None:
        warnings.warn("the \x1b[31mclock went back", stacklevel=1)

    assert run([], command) == 0
    assert capsys.readouterr().err == "gitml: the \\x1b[31mclock went back\n"


def test_an_interrupt_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """^C ends with 130 and no message."""
    assert call("boom", "interrupt") == 130
    assert capsys.readouterr().err.strip() == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["foo"], "there is no command 'foo'; see: gitml --help"),
        (["runss"], "there is no command 'runss'; did you mean 'runs'?"),
        (["list"], "there is no command 'list'; did you mean 'runs list'?"),
        (["serve"], "there is no command 'serve'; did you mean 'models serve'?"),
        (["runs", "lst"], "there is no command 'lst'; did you mean 'list'?"),
        (["registry", "assign"], "there is no command 'assign'; did you mean 'promote'?"),
        (["registry", "delete"], "there is no command 'delete'; did you mean 'archive'?"),
        (["runs", "list", "--format", "xml"], "gitml runs list --help"),
        (["runs", "list", "--foo"], "no such option"),
        (["runs", "list", "--limit", "-1"], "gitml runs list --help"),
        (["runs", "show"], "gitml runs show --help"),
        (["runs", "artifacts", "x", "--download"], "gitml runs artifacts --help"),
        (["--foo"], "gitml --help"),
        ([HOSTILE], "there is no command"),
    ],
)
def test_wrong_usage_is_one_line(gitml: Caller, args: list[str], message: str) -> None:
    """It says what is wrong and where to read on, and ends with 2."""
    shown = gitml(*args, code=2)
    assert shown.out == ""
    assert message in shown.err
    assert not UNSAFE.search(shown.err)


def test_no_repository_names_git_init(
    gitml: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside a repository every command says what to do."""
    monkeypatch.chdir(tmp_path)
    assert "git init" in gitml("runs", "list", code=2).err


# -- as a process ------------------------------------------------------------------------------


def process(*args: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Call gitml as a process of its own."""
    argv = [sys.executable, "-m", "gitml", *args]
    return subprocess.run(argv, capture_output=True, text=True, check=False, **kwargs)  # type: ignore[call-overload,no-any-return]


def test_the_version() -> None:
    """`gitml --version` is one line for scripts to read."""
    done = process("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("gitml ")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_no_error(repo: Path) -> None:
    """`gitml ... | true` ends without a word, whatever was left to say."""
    argv = [sys.executable, "-m", "gitml", "runs", "list", "--format", "json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


def test_completion_names_commands_without_importing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shell asks at every TAB must be quick."""
    group = LazyGroup("g", sections={"": {"one": Deferred("no.such.module:x", "Help.")}})
    items = group.shell_complete(click.Context(group), "o")
    assert [(item.value, item.help) for item in items] == [("one", "Help.")]


def test_the_shell_is_answered() -> None:
    """click's own protocol works with the whole command line."""
    from click.shell_completion import BashComplete

    found = BashComplete(cli, {}, "gitml", "_GITML_COMPLETE").get_completions(["runs"], "de")
    assert [item.value for item in found] == ["delete"]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix closes the stream")
@pytest.mark.parametrize(
    "arguments", ["--help", "runs --help", "--version", "runs list --format json"]
)
@pytest.mark.parametrize("stream", [">&-", "2>&-", ">&- 2>&-", ">/dev/full"])
def test_a_stream_that_takes_nothing_is_no_bug(repo: Path, arguments: str, stream: str) -> None:
    """A closed stream, or one on a full disk, ends in an exit code and at most one line."""
    if "full" in stream and not Path("/dev/full").exists():
        pytest.skip("there is no such device")
    command = f"{shlex.quote(sys.executable)} -m gitml {arguments} {stream}"
    done = subprocess.run(command, shell=True, cwd=repo, capture_output=True, check=False)
    assert done.returncode == (3 if "full" in stream else 0)
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") <= 1
