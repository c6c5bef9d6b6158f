"""Walls around a process that runs a stranger's code: what it may read and write, and little else.

On Linux the kernel's Landlock keeps it to the files that are named, and seccomp from opening
sockets and from looking into other processes. Neither needs a privilege, and none is left: sudo
does nothing behind a wall. What is started inside is behind the same wall.

    python -m gitml.walls PLAN     builds the wall around itself, then becomes the program
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import struct
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gitml import process
from gitml.errors import GitmlError, StorageError


@dataclass(frozen=True, slots=True)
class Wall:
    """What a program behind it may do: read and run what is below `reads`, and write in `writes`.

    A path that is not there counts for nothing.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()

    def command(self, argv: Sequence[str]) -> list[str]:
        """The argv that starts a program behind it."""
        plan = json.dumps({**asdict(self), "argv": list(argv)})
        return [sys.executable, "-I", "-m", __name__, plan]


def lacking() -> str | None:
    """Why there are no walls on this machine, in words; None where there are."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return f"walls are built on Linux, on {' and '.join(_MACHINES)}"
    if _version() < 1:
        return "this kernel, or what runs this container, has no Landlock, as Linux has since 5.13"
    return None


def build(wall: Wall) -> None:
    """Put this process, and what it starts, behind a wall for ever.

    Raises StorageError where that is refused.
    """
    _check(_libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _keep_to(wall)
    _give_up_capabilities()
    _refuse_calls()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(done: int) -> int:
    if done < 0:
        raise StorageError(f"no wall can be built here: {os.strerror(ctypes.get_errno())}")
    return done


def _give_up_capabilities() -> None:
    """Of a root's capabilities none is left, also after the next program."""
    header, nothing = struct.pack("=Ii", _CAPABILITIES, 0), bytes(24)
    _check(_libc().capset(header, nothing))


_CAPABILITIES = 0x20080522  # the third version, <linux/capability.h>
_NO_NEW_PRIVILEGES = 38  # <linux/prctl.h>


# -- files: <linux/landlock.h> ---------------------------------------------------------------

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every machine
_READS = 0b1101  # execute, read_file, read_dir
_WRITES = _READS | 0b1_0111_1011_0010  # write_file, remove, make; but no devices
_MOVES = 1 << 13 | 1 << 14  # refer, truncate
_OF_A_FILE = 0b0111 | 1 << 14 | 1 << 15  # what can be said of what is no folder
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL = (1 << 16) - 1  # from the fifth version on
_SCOPES = 0b11  # abstract sockets and signals, from the sixth version on
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def _version() -> int:
    """The version of Landlock here; below 1 where there is none."""
    return int(_libc().syscall(_CREATE, None, ctypes.c_size_t(0), 1))


def _keep_to(wall: Wall) -> None:
    """Open no other files than those of the wall from now on."""
    version = _version()
    handled = _HANDLED.get(version, _ALL)
    told = struct.pack("=QQQ", handled, 0, _SCOPES)[: 24 if version >= 6 else 8]
    rules = _check(_libc().syscall(_CREATE, told, ctypes.c_size_t(len(told)), 0))
    for path in wall.reads:
        _allow(rules, path, _READS)
    for path in (*wall.writes, *_DEVICES):
        _allow(rules, path, (_WRITES | _MOVES) & handled)
    _check(_libc().syscall(_RESTRICT, rules, 0))
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        mine = rights if os.path.isdir(path) else rights & _OF_A_FILE
        _check(_libc().syscall(_ADD, rules, 1, struct.pack("=Qi", mine, opened), 0))
    finally:
        os.close(opened)


# -- calls: <linux/seccomp.h>, <linux/filter.h>, <linux/audit.h> -------------------------------

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_REFUSED = {  # with their numbers on these machines
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200),  # others, near and far
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "io_uring_setup": (425, 425), "perf_event_open": (298, 241),
    "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280),  # what leads around the wall
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),  # the kernel's keys
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190),  # what all processes of a user
    "msgget": (68, 186), "mq_open": (240, 180),  # share, and what outlives them
}  # fmt: skip
_FAST_OPEN = 0x20000000  # sends to an address by a socket that was told to listen
_DATAGRAMS = 0b10  # of the kinds of sockets; those of a pair send to any address, too
_NAMESPACES = 0x7E020000
_REFUSED_WITH = {  # with the place of an argument, from 0 on, and bits of it that it must not have
    "sendto": ((44, 206), 3, _FAST_OPEN),
    "sendmsg": ((46, 211), 2, _FAST_OPEN),
    "sendmmsg": ((307, 269), 3, _FAST_OPEN),
    "socketpair": ((53, 199), 1, _DATAGRAMS),
    "prlimit64": ((302, 261), 0, 0xFFFFFFFF),  # of another process than itself
    "clone": ((56, 220), 0, _NAMESPACES),
}
_CLONE3 = 435  # its arguments can't be seen; the C library then takes clone
_LOAD, _IS, _IS_FROM, _HAS, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _NONE = 0x7FFF0000, 0x00050001, 0x00050026  # EPERM, and ENOSYS
_OTHER_CALLS = 0x40000000  # from here on, those of x32
_SET_SECCOMP, _BY_FILTER = 22, 2


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


def _refuse_calls() -> None:
    lines = _lines(*_MACHINES[platform.machine()])
    text = b"".join(struct.pack("=HBBI", *line) for line in lines)
    made = _Filter(len(lines), text)
    _check(_libc().prctl(_SET_SECCOMP, _BY_FILTER, ctypes.byref(made), 0, 0))


def _lines(machine: int, architecture: int) -> list[tuple[int, int, int, int]]:
    """The filter: operation, how many lines to leave out when it is so and when not, value."""
    always = [numbers[machine] for numbers in _REFUSED.values()]
    sometimes = [(numbers[machine], *rest) for numbers, *rest in _REFUSED_WITH.values()]
    allow = 5 + len(always) + 3 * len(sometimes)  # the line of this answer; the others follow
    refuse, none = allow + 1, allow + 2
    lines = [
        (_LOAD, 0, 0, 4),
        (_IS, 0, refuse - 2, architecture),
        (_LOAD, 0, 0, 0),
        (_IS_FROM, refuse - 4, 0, _OTHER_CALLS),
        (_IS, none - 5, 0, _CLONE3),
    ]
    for call in always:
        lines.append((_IS, refuse - len(lines) - 1, 0, call))
    for call, place, bits in sometimes:
        lines += [(_IS, 0, 2, call), (_LOAD, 0, 0, 16 + 8 * place)]
        lines.append((_HAS, refuse - len(lines) - 1, allow - len(lines) - 1, bits))
    return [*lines, *((_ANSWER, 0, 0, answer) for answer in (_ALLOW, _REFUSE, _NONE))]


def main(plan: str) -> int:
    """Build the wall and become the program; an exit code where that fails."""
    told = json.loads(plan)
    try:
        build(Wall(tuple(told["reads"]), tuple(told["writes"])))
        process.replace(told["argv"])
    except (GitmlError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
