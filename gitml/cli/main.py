"""The `gitml` command: what there is to call, and how an error reaches a person.

Exit codes: 0 done; 1 the answer is no; 2 wrong input; 3 git, network or storage failed; 70 a bug
in gitml; 130 and 141 when the user, or the reader of a pipe, had enough.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from gitml.cli.lazy import Deferred, LazyGroup
from gitml.cli.plain import plain, plain_lines
from gitml.errors import GitmlError
from gitml.files import remedy
from gitml.version import __version__

BUG, INTERRUPTED, BROKEN_PIPE = 70, 130, 141
STORAGE = GitmlError.exit_code

SECTIONS = {
    "Runs": {
        "runs": Deferred("gitml.cli.runs:runs", "List, show, compare and change runs."),
        "recover": Deferred("gitml.cli.recover:recover", "Record runs whose process has died."),
        "collect": Deferred("gitml.cli.collect:collect", "Record runs from a spool."),
    },
    "Projects": {
        "run": Deferred("gitml.cli.run:run", "Run an entry point of a project, as a run."),
        "sweep": Deferred("gitml.cli.sweep:sweep", "Search for the best parameters of a project."),
    },
    "Models": {
        "models": Deferred("gitml.cli.models:models", "Look at models, predict, serve."),
        "registry": Deferred("gitml.cli.registry:registry", "Register models, and look them up."),
    },
    "Deployment": {
        "deploy": Deferred("gitml.cli.deploy:deploy", "Bring what runs to what main says."),
        "agent": Deferred("gitml.cli.agent:agent", "Keep what runs as main says."),
        "status": Deferred("gitml.cli.status:status", "Show what should run, and what does."),
    },
    "Review": {
        "ci": Deferred("gitml.cli.ci:ci", "Check pull requests, in CI or by hand."),
    },
    "Sharing": {
        "push": Deferred("gitml.cli.push:push", "Publish runs, artifacts and registry tags."),
        "pull": Deferred("gitml.cli.pull:pull", "Bring in the runs and tags of others."),
    },
    "The repository": {
        "init": Deferred("gitml.cli.init:init", "Set up gitml in this repository."),
        "validate": Deferred("gitml.cli.validate:validate", "Check the files of gitml."),
        "doctor": Deferred("gitml.cli.doctor:doctor", "Look for trouble, and name the cure."),
        "env": Deferred("gitml.cli.env:env", "List and prune the environments of models."),
        "gc": Deferred("gitml.cli.gc:gc", "Take deleted runs and unused artifacts out."),
    },
}

EPILOG = """\b
Shell completion, in the start-up file of your shell:
  bash  eval "$(_GITML_COMPLETE=bash_source gitml)"
  zsh   eval "$(_GITML_COMPLETE=zsh_source gitml)"
  fish  _GITML_COMPLETE=fish_source gitml | source
"""


class Gitml(LazyGroup):
    """The top of the command line: the one place where an error becomes a line and a code."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except BrokenPipeError:
            _leave_stdout()
            ctx.exit(BROKEN_PIPE)
        except Exception as error:
            if ctx.params["debug"]:
                _show_traceback()
            message, code = described(error)
            _complain(message)
            ctx.exit(code)


@click.group(
    cls=Gitml,
    sections=SECTIONS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="gitml", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
def cli(debug: bool) -> None:
    """MLflow without a server: runs are git commits, artifacts live in DVC."""


def described(error: Exception) -> tuple[str, int]:
    """The one line that tells a person of an error, and the exit code."""
    if isinstance(error, GitmlError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.strerror:
        place = f": {os.fsdecode(error.filename)}" if error.filename else ""
        advice = remedy(error)
        return f"{error.strerror}{place}{advice and '; '}{advice}", STORAGE
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"a bug in gitml: {what}; run it again as `gitml --debug ...` and report it", BUG


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str], command: click.Command = cli) -> int:
    """Run the command line; its exit code."""
    _open_streams()
    _prepare_streams()
    code: object = 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: _complain(str(message))
            code = command.main(list(argv), prog_name="gitml", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        _complain(_usage_message(error))
        return error.exit_code
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        _leave_stdout()
        return BROKEN_PIPE
    except OSError as error:  # what was written last, or the help, has no room
        _leave_stdout()
        if not code:  # else the command ended with a complaint, of this or of something worse
            message, code = described(error)
            _complain(message)
    return code if isinstance(code, int) else 0


def _usage_message(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    where = error.ctx.command_path if error.ctx else "gitml"
    return message if message.endswith("?") else f"{message}; see: {where} --help"


def _complain(message: str) -> None:
    click.echo(f"gitml: {plain(message)}", err=True)


def _show_traceback() -> None:
    import traceback

    for line in plain_lines(traceback.format_exc().rstrip()):
        click.echo(line, err=True)


def _open_streams() -> None:
    """What is written to a stream that the caller has closed goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - to the end


def _prepare_streams() -> None:
    """What a stream can't encode is escaped, and a pipe on Windows gets UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            if sys.platform == "win32" and not stream.isatty():
                reconfigure(encoding="utf-8")
            reconfigure(errors="backslashreplace")


def _leave_stdout() -> None:
    """The reader of the pipe is gone: what is left to write, at exit too, goes nowhere."""
    with contextlib.suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
