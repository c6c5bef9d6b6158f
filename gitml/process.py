"""The one place where gitml starts processes: an argv list, never a shell."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, NoReturn


class Completed(NamedTuple):
    """What a finished process left behind."""

    returncode: int
    stdout: bytes
    stderr: bytes


def run(
    argv: Sequence[str],
    *,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | IO[bytes] | None = None,
    timeout: float | None = None,
) -> Completed:
    """Run `argv` to its end with `input` on its standard input, and return all it said.

    `input` are bytes, or a file of the system, which is read from where it stands.

    Raises OSError when there is no such program, and `TimeoutError`, which is one, when it takes
    longer than `timeout` seconds; then it was stopped, with all that it started.
    """
    told, source = None, subprocess.DEVNULL if input is None else input
    if isinstance(source, bytes):
        told, source = source, subprocess.PIPE
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            stdout, stderr = process.communicate(told, timeout)
        except subprocess.TimeoutExpired:
            stop_with_children(process.pid)
            raise TimeoutError(f"{argv[0]} did not end within {timeout} s") from None
        except BaseException:
            _stop(process)
            raise
    return Completed(process.returncode, stdout, stderr)


def follow(
    argv: Sequence[str],
    tell: Callable[[str], None],
    *,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run `argv` to its end and `tell` each line that it says as it comes, without its newline.

    Both its streams are in `stdout` of what is returned, in the order in which they came. Raises
    OSError when there is no such program.
    """
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = []
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.append(line)
                tell(line.decode("utf-8", "replace").rstrip("\r\n"))
        except BaseException:
            _stop(process)
            raise
    return Completed(process.returncode, b"".join(said), b"")


Running = subprocess.Popen[str]


def start(argv: Sequence[str], *, cwd: Path | str, env: Mapping[str, str]) -> Running:
    """Start `argv` with pipes for both its streams, as text, which the caller must read.

    Raises OSError when there is no such program.
    """
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process in the middle of its work: gently first, so that git takes its locks away."""
    process.terminate()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()


def stop_with_children(pid: int) -> None:
    """End a process and all that it started, which may wait for the network for ever."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
        for one in psutil.wait_procs(family, timeout=2)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


# -- process groups ------------------------------------------------------------------------

Leader = subprocess.Popen[bytes]


def start_group(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None) -> Leader:
    """Start `argv` as the first of a process group of its own, with pipes for both its streams.

    No signal of the terminal reaches it, and it reads nothing from one. Raises OSError when there
    is no such program.
    """
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL if _is_terminal() else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


_GUARD = """
read -r word
[ "$word" = done ] && exit
kill -TERM "-$1" || exit
for second in 1 2 3 4 5; do kill -0 "-$1" || exit; sleep 1; done
kill -KILL "-$1"
"""


def guard(leader: Leader) -> Callable[[], None]:
    """Have a process group end when this process does, also by kill -9; what lets go of it.

    A shell waits for the end of a pipe that nobody but this process holds: unlike a signal at the
    death of a parent, that does not depend on the thread. There is none on Windows.
    """
    if sys.platform == "win32":
        return lambda: None
    try:
        watcher = subprocess.Popen(
            ("sh", "-c", _GUARD, "gitml-guard", str(leader.pid)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    except OSError:  # better a group without a guard than none at all
        return lambda: None

    def let_go() -> None:
        if watcher.poll() is None:
            watcher.communicate(b"done\n")

    return let_go


def _is_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:  # it is closed
        return False


def ends_within(leader: Leader, seconds: float | None) -> bool:
    """Wait for a process to end, for ever with None; whether it did."""
    try:
        leader.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def end_group(
    leader: Leader, numbers: Sequence[int] = (signal.SIGTERM,), grace: float = 5.0
) -> None:
    """End all that is left of a process group, and what its leader's descendants began elsewhere.

    The group gets the signals `numbers`, one after the other, within `grace` seconds; what lives on
    then is killed.
    """
    if leader.poll() is not None and not _group(leader.pid, 0):
        return
    family: set[int] = set()
    for number, seconds in (*((it, grace / len(numbers)) for it in numbers), (_KILL, 1.0)):
        family = {one for one in (*family, *_family(leader.pid)) if _lives(one)}
        if not family:
            break
        if not _group(leader.pid, number) or number == _KILL:
            for one in family:
                with contextlib.suppress(OSError):
                    os.kill(one, number)
        deadline = time.monotonic() + seconds
        while (family := set(filter(_lives, family))) and time.monotonic() < deadline:
            leader.poll()
            time.sleep(0.01)
    leader.wait()


_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def _group(leader: int, number: int) -> bool:
    """Send a signal to a process group; whether there is one."""
    if sys.platform == "win32":
        return False
    with contextlib.suppress(OSError):
        os.killpg(leader, number)
        return True
    return False


def _family(leader: int) -> Iterator[int]:
    """The members of a process group, and the descendants of its leader, wherever they went."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(leader)
        yield from (one.pid for one in (first, *first.children(recursive=True)))
    for pid in psutil.pids() if sys.platform != "win32" else ():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == leader:
                yield pid


def _lives(pid: int) -> bool:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def stop_marked(variable: str, values: Collection[str]) -> int:
    """End the processes whose environment has one of `values` as `variable`; how many there were.

    Those of other users can't be seen into, and are left alone.
    """
    import psutil

    marked = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if one.pid != os.getpid() and one.environ().get(variable) in values:
                marked.append(one.pid)
    for pid in marked:
        stop_with_children(pid)
    return len(marked)


def run_together(
    commands: Sequence[Sequence[str]],
    *,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
) -> list[Completed]:
    """Run several commands at the same time; what came of each, in their order."""
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
            for argv in commands
        ]
        spoken = [process.communicate() for process in started]
    return [
        Completed(process.returncode, *said) for process, said in zip(started, spoken, strict=True)
    ]


def replace(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> NoReturn:
    """Become the program `argv`: it has this process's id, streams and signals, and its end.

    Raises OSError when there is no such program.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    told = dict(os.environ if env is None else env)
    if sys.platform != "win32":
        os.execvpe(argv[0], list(argv), told)
    # There a program that replaces another leaves the shell waiting for the first one.
    sys.exit(subprocess.run(argv, env=told, check=False).returncode)


def begin(argv: Sequence[str]) -> int:
    """Start `argv` with all that this process has, and let the caller wait for it; its id."""
    started = subprocess.Popen(argv, close_fds=False)
    started.returncode = 0  # as in `detach`
    return started.pid


Server = subprocess.Popen[bytes]


def start_with(argv: Sequence[str], descriptors: Collection[int], env: Mapping[str, str]) -> Server:
    """Start `argv`, which gets these open descriptors; what it says comes through its `stdout`.

    No signal of the terminal reaches it. Raises OSError when there is no such program.
    """
    return subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(descriptors),
    )


# Where a process of this Python starts: the modules of its current folder come before all others.
# A folder in a repository may have some that came with it.
AT_HOME = sys.prefix


def detach(
    argv: Sequence[str],
    *,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    lock: int | None = None,
) -> None:
    """Start `argv` in the background, out of reach of this process's signals; do not wait.

    Its output goes to the file `log`, or nowhere. It keeps the descriptor `lock` open, which holds
    a lock of `locks.acquire` as long as it lives; not on Windows, where a lock is not handed on.
    """
    target = os.devnull if log is None else str(log)
    flags = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(
        subprocess, "CREATE_NEW_PROCESS_GROUP", 0
    )
    with open(target, "ab") as output:  # noqa: PTH123 - os.devnull is no path
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            creationflags=flags,
            pass_fds=() if lock is None or sys.platform == "win32" else (lock,),
        )
    # It is nobody's to wait for; without this, Python warns when the object goes.
    process.returncode = 0
