"""The command of an entry point, with values: what is started, as an argv list. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from gitml.errors import UsageError, shown
from gitml.projects import hazards, shell

MAX_VALUE_BYTES = 131_071  # Linux: MAX_ARG_STRLEN, without the NUL at its end


@dataclass(frozen=True, slots=True)
class Command:
    """A command as text with `{parameter}` in it, for a POSIX shell or bash."""

    text: str

    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters in it, in order of appearance. Raises UsageError."""
        names = [item.name for item in shell.parse(self.text) if isinstance(item, shell.Parameter)]
        return tuple(dict.fromkeys(names))

    def argv(
        self, interpreter: str, values: Mapping[str, str], extra: Mapping[str, str]
    ) -> list[str]:
        """The argv list that runs the command in the shell `interpreter`.

        Each value is one argument of what the command starts, whatever the value is. `extra` are
        appended, as MLflow does: `--key value`. Raises UsageError for a parameter without a value,
        one that stands where its value would be run, and a value that no program can be given.
        """
        script = shell.scan(shell.parse(self.text.rstrip()))
        hazards.check(script.commands)
        missing = [name for name in script.names if name not in values]
        if missing:
            raise UsageError(f"the command has {{{missing[0]}}}, which is no parameter")
        if extra and not script.takes_more:
            raise UsageError(
                "the command ends in a comment or here-document: nothing can be passed on behind it"
            )
        added = [word for key, value in extra.items() for word in (f"--{key}", value)]
        told = [_checked(name, values[name]) for name in script.names]
        behind = range(len(told) + 1, len(told) + len(added) + 1)
        places = "".join(f' "${{{shell.variable(number)}}}"' for number in behind)
        told += [_checked(word, word) for word in added]
        text = shell.prologue(len(told)) + script.text + places
        return [interpreter, "-c", text, interpreter, *told]


def _checked(name: str, value: str) -> str:
    if "\0" in value:
        raise UsageError(f"the parameter {shown(name)} holds a NUL, which no program can be given")
    try:
        size = len(os.fsencode(value))
    except UnicodeEncodeError:
        raise UsageError(f"the parameter {shown(name)} is no text: {shown(value)}") from None
    if size > MAX_VALUE_BYTES:
        raise UsageError(
            f"the parameter {shown(name)} is {size} bytes long; a program takes"
            f" {MAX_VALUE_BYTES}: write it to a file and pass that"
        )
    return value
