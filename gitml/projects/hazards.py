"""Where in a command a parameter's value would be run, not passed on. Pure.

A shell passes each value on as one word. What then becomes of the word is up to the program that
gets it: `python -c WORD` runs it. The programs known here are the shell's own commands that
evaluate their words, interpreters, and those that start another program.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gitml.errors import UsageError
from gitml.projects.shell import Simple, Word

_EVALUATE = frozenset(
    "eval trap let declare typeset local readonly unset read mapfile readarray getopts alias"
    " [[ ssh watch parallel make gmake hash complete compgen".split()
)
_LEADING = frozenset("if then elif else while until do ! {".split())
# What starts the program that its words name: its options with an argument, and how many words
# come before the program.
_STARTERS: Mapping[str, tuple[str, int]] = {
    "builtin": ("", 0), "command": ("", 0), "coproc": ("", 0), "doas": ("-u", 0),
    "env": ("-[uC]", 0), "exec": ("-a", 0), "ionice": ("-[cn]", 0), "nice": ("-n", 0),
    "nohup": ("", 0), "setsid": ("", 0), "stdbuf": ("-[ioe]", 0), "sudo": ("-[ugCDhprT]", 0),
    "time": ("-[of]", 0), "timeout": ("-[sk]", 1), "xargs": ("-[adEILnPs]", 0),
}  # fmt: skip
_STARTS = re.compile(r"-(?:exec|ok)(?:dir)?$")  # of find
_SETTINGS = re.compile(r"(?:BASH_ENV|ENV|LD_PRELOAD|PATH|PROMPT_COMMAND|PS4)\+?=")
_RUN_OTHERS = frozenset(
    "env exec command builtin nohup nice ionice time timeout stdbuf setsid sudo doas xargs find"
    " docker podman srun mpirun mpiexec uv poetry conda mamba micromamba pipenv xvfb-run flock"
    " strace chroot su script".split()
)

_READERS = frozenset("ssh parallel at batch make gmake crontab".split())  # from their input, too


class _Family(NamedTuple):
    """Interpreters: their names, the options behind which code stands, others with an argument.

    `ends` says that options end with the code, and what follows are its arguments.
    """

    names: str
    code: str
    valued: str
    ends: bool = False


_FAMILIES = (
    _Family(
        r"(?:ba|da|z|k|mk|fi|a)?sh",
        r"-[a-zA-Z]*c",
        r"[-+][a-zA-Z]*[oO]|--rcfile|--init-file",
        ends=True,
    ),
    _Family(r"python[\d.]*w?|pypy[\d.]*", r"-[a-zA-Z]*c", r"-[WXQ]", ends=True),
    _Family(r"su|script", r"-[a-zA-Z]*c|--command", r"-[gGswTtIOBEo]"),
    _Family(r"perl[\d.]*|ruby[\d.]*", r"-[a-zA-Z]*[eE]", r"-[IMmrCWKE]"),
    _Family(r"node|nodejs|bun|deno", r"-[a-z]*[ep]|--eval|--print|eval", r"-r|--require|--import"),
    _Family(r"r|rscript|julia|lua[\d.]*|osascript", r"-[eE]", r"-[lgf]"),
    _Family(r"php[\d.]*", r"-[rRBE]", r"-[cdzS]"),
    _Family(r"pwsh|powershell", r"-[cCeE].*", r"-[a-zA-Z]+"),
    _Family(r"cmd", r"/[cCkK]", r"/[a-zA-Z]"),
)
_CODE_FIRST = re.compile(r"[gmn]?awk|sed|jq")  # the first operand is the program
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")


def check(commands: Sequence[Simple]) -> None:
    """Refuse a command in which a parameter's value would be run. Raises UsageError."""
    for place, simple in enumerate(commands):
        words = _from_program(simple.words)
        settings = [word for word in simple.words if _SETTINGS.match(word.text)]
        _refuse_in(settings, "in a variable by which programs are found or run")
        if words:
            _check_program(words)
            _check_interpreters(words)
        if words and _name(words[0]) in ("make", "gmake"):
            _refuse_in(simple.words, "before make, which evaluates variables")
        if words and _reads_code(words):
            _check_input(_name(words[0]), commands, commands[:place] if simple.piped else ())


def _from_program(words: Sequence[Word]) -> Sequence[Word]:
    """The words from the one on that names the program."""
    for place, word in enumerate(words):
        if word.text not in _LEADING and not _ASSIGNMENT.match(word.text):
            return words[place:]
    return ()


def _check_program(words: Sequence[Word]) -> None:
    program, arguments = words[0], words[1:]
    _refuse_in([program], "as the program that runs; name that in the command")
    name = _name(program)
    if name in _STARTERS:
        _check_started(name, arguments)
    after = [word for option, word in itertools.pairwise(arguments) if _STARTS.match(option.text)]
    _refuse_in(after, f"among the words of {name}, which runs them")
    if name in _EVALUATE:
        _refuse_in(arguments, f"among the words of {name}, which evaluates them")
    if name in ("test", "[", "printf") and any(word.text in ("-v", "-R") for word in arguments):
        _refuse_in(arguments, f"among the words of {name} -v, which evaluates them")
    if name in (".", "source", "export"):
        starts = [word for word in arguments if word.text.startswith("\0")]
        _refuse_in(starts, f"at the start of a word of {name}")


def _check_interpreters(words: Sequence[Word]) -> None:
    if _CODE_FIRST.fullmatch(_name(words[0])):
        _refuse_in(_code_of_filter(words[1:]), f"in the code that {_name(words[0])} runs")
    for place, word in enumerate(words):
        if place and _name(words[0]) not in _RUN_OTHERS:
            return
        for family in _FAMILIES:
            if re.fullmatch(family.names, _name(word)):
                told = f"in the code that {_name(word)} runs, or before it"
                _refuse_in(_code(words[place + 1 :], family), told)


def _code_of_filter(arguments: Sequence[Word]) -> list[Word]:
    """The program that awk, sed or jq gets as its first operand, with the options before it."""
    for place, word in enumerate(arguments):
        if not word.text.startswith("-"):
            return list(arguments[: place + 1])
    return list(arguments)


def _code(arguments: Sequence[Word], family: _Family) -> Iterator[Word]:
    """The words from which an interpreter takes code: its options, and its script's name."""
    before = ""
    coded = False
    for word in arguments:
        yield word
        text, is_value = word.text, re.fullmatch(family.valued, before)
        if re.fullmatch(family.code, before):
            coded = True
            if family.ends:
                return
        elif not is_value and _ends_options(text, coded) and not re.fullmatch(family.code, text):
            return
        before = text


def _ends_options(text: str, coded: bool) -> bool:
    if coded:
        return text == "--"
    return text == "-" or not text.startswith(("-", "+", "/"))


def _check_started(name: str, arguments: Sequence[Word]) -> None:
    """Check the program that another one starts."""
    valued, before = _STARTERS[name]
    skipped, is_value = before, False
    for place, word in enumerate(arguments):
        text = word.text
        if name == "env" and re.match(r"-[a-zA-Z]*S|--split", text):
            _refuse_in(arguments, "behind env -S, which splits it into a command")
        if is_value or text.startswith("-") or (name == "env" and _ASSIGNMENT.match(text)):
            is_value = not is_value and bool(valued) and re.fullmatch(valued, text) is not None
        elif skipped:
            skipped -= 1
        else:
            _check_program(arguments[place:])
            return


def _reads_code(words: Sequence[Word]) -> bool:
    """Whether a command is an interpreter that takes its code from its input."""
    name = _name(words[0])
    if name in _READERS or (name in (".", "source") and _is_input(words[1:2])):
        return True
    for place, word in enumerate(words):
        if place and name not in _RUN_OTHERS:
            break
        for family in _FAMILIES:
            if re.fullmatch(family.names, _name(word)):
                given = [one.text for one in words[place + 1 :]]
                coded = any(re.fullmatch(family.code, text) for text in given)
                operands = [one for one in words[place + 1 :] if not one.text.startswith("-")]
                return not operands or _is_input(operands) or (coded and name == "xargs")
    return False


def _is_input(operands: Sequence[Word]) -> bool:
    """Whether the first operand is a name of the standard input, or of another open file."""
    return bool(operands) and operands[0].text.startswith(("/dev/", "/proc/"))


def _check_input(name: str, commands: Iterable[Simple], before: Sequence[Simple]) -> None:
    """A value that is printed into an interpreter, or names what it reads, is code, too.

    It may be fed to what the interpreter is a part of, and before it (`exec <`).
    """
    for one in commands:
        _refuse_in(one.fed, f"in what {name} reads")
    for one in before:
        _refuse_in((*one.words, *one.fed), f"in what is piped to {name}")


def _name(program: Word) -> str:
    return re.split(r"[/\\]", program.text)[-1].lower().removesuffix(".exe")


def _refuse_in(words: Iterable[Word], where: str) -> None:
    for word in words:
        for name in word.parameters:
            raise UsageError(
                f"the parameter {{{name}}} can't stand {where}: its value might be run;"
                " pass it to a script as an argument"
            )
