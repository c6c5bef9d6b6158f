"""A parameter's value is one argument of the program, whatever it is and wherever it stands."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.projects.command import Command

# Prints its arguments as JSON; the braces are doubled, as in every command.
SHOW = f"{shlex.quote(sys.executable)} -c " + shlex.quote(
    "import sys, json; print(json.dumps(sys.argv[1:]))"
)
HOSTILE = [
    "; touch P", "&& touch P", "| touch P", "$(touch P)", "`touch P`", "${HOME}", "$HOME", "$1",
    "a\nb", "a\n\n", "' ; touch P ; '", '" ; touch P ; "', "'", '"', "\\", "\\'", "*", "?", "[a]",
    "~", "~root", "--opt", "-", "--", "", " ", "  a  b  ", "\t", "#", "!", "!!", "{a}", "{{", "%s",
    "a=b", "<(touch P)", ">P", "é\u0301", "\u202e", "x" * 100_000,
]  # fmt: skip


def arguments(template: str, value: str, folder: Path, shell: str = "bash") -> list[str]:
    """What the program that a command starts is given, when `{a}` has that value."""
    argv = Command(f"{SHOW} {template}").argv(shell, {"a": value}, {})
    ended = subprocess.run(argv, cwd=folder, capture_output=True, check=True)
    return list(json.loads(ended.stdout))


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_one_argument_in_every_quoting(value: str, shell: str, tmp_path: Path) -> None:
    """Bare, in double quotes, in single quotes, and within a word."""
    told = arguments("""{a} "{a}" '{a}' --x={a} "<{a}>" '<{a}>' p{a}s""", value, tmp_path, shell)
    framed = f"<{value}>"
    assert told == [value, value, value, f"--x={value}", framed, framed, f"p{value}s"]
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["{a}", '"p {a}"', "'{a} q'", "a{a}b"]), min_size=1, max_size=4),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)
@example(["{a}"], "\r\n")
def test_any_text_comes_through_as_it_is(places: list[str], value: str) -> None:
    """Whatever is in a value, and however many places it has."""
    wanted = [shlex.split(place.replace("{a}", "\x01"))[0] for place in places]
    told = arguments(" ".join(places), value, Path.cwd())
    assert told == [word.replace("\x01", value) for word in wanted]


def test_a_command_may_use_all_of_a_shell(tmp_path: Path) -> None:
    """Several commands, pipes, variables, redirections, conditions, and lines that go on."""
    command = Command(
        'mkdir -p out && X={a} && for i in 1 2; do\n  echo "$i {a}" >> out/{a}; done # {a}\n'
        "if [ {a} = 'v 1' ]; then cat \\\n  out/{a} | sort -r > 'out/sorted {a}'; fi\n"
    )
    ended = subprocess.run(command.argv("bash", {"a": "v 1"}, {}), cwd=tmp_path, check=False)
    assert ended.returncode == 0
    assert (tmp_path / "out" / "sorted v 1").read_text() == "2 v 1\n1 v 1\n"


def test_a_here_document_is_kept(tmp_path: Path) -> None:
    """The program before it may have parameters; the document has none."""
    command = Command("cat - {a} <<END\nit's {{x}}\nEND\n")
    (tmp_path / "f").write_text("file\n")
    argv = command.argv("bash", {"a": "f"}, {})
    ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True, text=True)
    assert ended.stdout == "it's {x}\nfile\n"


def test_parameters_that_are_not_declared_are_appended(tmp_path: Path) -> None:
    """As MLflow does: --key value, each one argument."""
    argv = Command(f"{SHOW} {{a}}\n").argv("bash", {"a": "1"}, {"lr": "; touch P", "-x": ""})
    ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(ended.stdout) == ["1", "--lr", "; touch P", "---x", ""]
    assert list(tmp_path.iterdir()) == []
    for command in ("python train.py # note", "cat <<E\nx\nE"):
        with pytest.raises(UsageError, match="nothing can be passed on behind it"):
            Command(command).argv("bash", {}, {"lr": "1"})


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ('f() {{ SHOW {a} "$1"; }}; f hello', ["v 1", "hello"]),
        ("set -- other; SHOW {a} $1", ["v 1", "other"]),
        ('SHOW {a} "$@" $#', ["v 1", "0"]),
        ("set -eu; x() (SHOW {a}); x y", ["v 1"]),
    ],
)
def test_a_command_that_has_arguments_of_its_own_changes_no_value(
    command: str, told: list[str], shell: str
) -> None:
    """Those of its functions, and `set --`; a command itself has none."""
    argv = Command(command.replace("SHOW", SHOW)).argv(shell, {"a": "v 1"}, {})
    assert json.loads(subprocess.run(argv, capture_output=True, check=True).stdout) == told


@pytest.mark.parametrize(
    "command",
    [
        "$(echo {a})", '"$(echo {a})"', "`{a}`", "echo <(cat {a})", "${{x:-{a}}}", "$(( {a} + 1 ))",
        "(( x = {a} ))", "$'{a}'", "${a}", '"${a}"', "\\{a}", '"\\{a}"', "cat <<E\n{a}\nE",
        "cat <<-E {a}\nE",
        "eval {a}", "eval 'x {a}'", "command eval {a}", "trap {a} EXIT", "let x={a}", "export {a}",
        "declare x={a}", "[[ {a} -eq 1 ]]", "printf -v {a} x", "test -v {a}", ". {a}", "read {a}",
        "ssh host run {a}", "watch {a}",
        "{a} x", "./{a}", "X=1 {a}", "if {a}; then x; fi", "! {a}", "exec {a}", "x && {a}",
        "python -c 'print({a})'", "python3.11 -u -c {a}", "python -W ignore -c {a}", "python -c{a}",
        "python {a}", "python -m {a}", "/usr/bin/python -Ic '{a}'", "bash -c {a}", "sh -ec '{a}'",
        "bash -o pipefail -c {a}", "bash --rcfile x -c {a}", "env X=1 bash -lc {a}", "bash -- {a}",
        "sudo -u x sh -c {a}", "docker run i sh -c {a}", "find . -exec sh -c {a} \\;",
        "xargs -I x sh -c {a}", "perl -e {a}", "perl -ne {a}", "perl -e x {a}", "ruby -e {a}",
        "node -e {a}", "node --eval {a}", "node -p {a}", "Rscript -e {a}", "php -r {a}",
        "julia -e {a}", "su -c {a} bob", "pwsh -Command {a}", "cmd /c {a}", "awk {a} f",
        "awk -F, '{a}' f", "sed {a} f", "sed -e {a} f",
        "echo {a} | sh", "echo {a} | cat | python -", "cat {a} | bash -s", "echo {a} |& bash",
        "(echo {a}) | sh", "{{ echo {a}; }} | sh", "if x; then echo {a}; fi | sh",
        "for i in {a}; do echo $i; done | env bash", "echo {a} | xargs -I% sh -c %",
        "bash <<< {a}", "python < {a}", "<{a} sh", "cat <<< {a} | bash", "cat < {a} | sudo sh",
        "time -p {a}", "command -p {a}", "exec -a x {a}", "coproc {a}", "nohup {a}", "nice {a}",
        "nice -n 5 {a}", "timeout 5 {a}", "timeout -s INT 5 {a}", "env X=1 {a}", "env -u X {a}",
        "env -S 'x {a}'", "env nohup {a}", "sudo -u bob {a}", "xargs -n 1 {a}", "env eval {a}",
        "find . -exec {a} \\;", "make x LR={a}", "LR={a} make x", "hash -p {a} ls",
        "BASH_ENV={a} bash x.sh", "PS4={a}; set -x", "env PATH={a} x",
        "for ((i=0; i<{a}; i++)); do x; done", "if (( 1 < {a} )); then x; fi", "time (( {a} ))",
        "echo {a} | {{ true; sh; }}", "echo {a} | if true; then sh; fi", "(sh) <<< {a}",
        "while true; do sh; done <<< {a}", "exec <<< {a}; sh", "3<<<{a} bash <&3",
        "2>x python -c {a}", "2>&1 sh -c {a}", "{{fd}}>x bash -c {a}",
        "python /dev/stdin <<< {a}", ". /dev/stdin <<< {a}", "source /proc/self/fd/0 <<< {a}",
        "echo {a} | make -f -", "echo {a} | parallel", "echo {a} | ssh host", "echo {a} | at now",
    ],
)  # fmt: skip
def test_a_place_where_a_value_would_be_run_is_refused(command: str) -> None:
    """With one line that names the parameter and says what to do."""
    with pytest.raises(UsageError, match=r"\{a\}.*pass it to") as refused:
        Command(command).argv("bash", {"a": "1"}, {})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "command",
    [
        "python train.py {a}", "python train.py -c {a} -e {a}", "python -m pkg.train -c {a}",
        "python -u train.py -c {a}", "python -c 'import sys' {a}", "python - {a} < script.py",
        "bash run.sh -c {a}", "bash -c 'echo \"$1\"' x {a}", "perl -e 'x' -- {a}", "X={a} python x",
        "export X={a}; python x", "awk '{{print $1}}' {a}", "torchrun --nproc 2 train.py {a}",
        "docker run image python train.py {a}", "cat {a} | sort | python score.py -",
        "[ {a} = 1 ] && python x.py", "test -f {a}", "echo {a} || true", "mytool -c {a}",
        "train --model R -e {a}", "timeout {a} python x.py", "nice -n {a} python x.py {a}",
        "env X={a} python x.py", "python x.py < {a} | tee {a}", "(python x.py {a}) || sh y.sh",
        "python a.py {a} 2>x | sort 1>&2", "cat {a} | python a.py && python -m b {a}",
        "find {a} -exec python x.py \\;", "xargs -n {a} python x.py < {a}", "make x > {a}",
    ],
)  # fmt: skip
def test_a_place_where_a_value_is_passed_on_is_taken(command: str) -> None:
    """A program's own options may look like those of an interpreter."""
    assert Command(command).argv("bash", {"a": "1"}, {})[3:] == ["bash", "1"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("x {b}", r"has \{b\}, which is no parameter"),
        ("x {a:.3f}", r"can't take a format in \{a\}"),
        ("x {a!r}", r"can't take a format in \{a\}"),
        ("x {}", "can't take a format"),
        ("x {", "write {{ and }} for braces"),
        ("x }", "write {{ and }} for braces"),
        ("x '{a}", "the quote ' is never closed"),
        ('x "{a}', 'the quote " is never closed'),
        ("x $(y", "a command substitution is never closed"),
    ],
)
def test_a_command_that_is_no_command_says_so(command: str, message: str) -> None:
    """Before anything runs."""
    with pytest.raises(UsageError, match=message):
        Command(command).argv("bash", {"a": "1"}, {})


def test_values_that_no_program_can_be_given() -> None:
    """A NUL, half a surrogate pair, and more than the system's limit of one argument."""
    for value, message in (
        ("a\0b", "holds a NUL"),
        ("a\ud800", r"is no text: 'a\\ud800'"),
        ("x" * 131_072, "131072 bytes long"),
    ):
        with pytest.raises(UsageError, match=message):
            Command("x {a}").argv("bash", {"a": value}, {})
