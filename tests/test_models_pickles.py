"""Tests of the pickle scan: it finds what would be imported, executes nothing, comes to an end."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import functools
import gzip
import io
import math
import operator
import os
import pickle
import pickletools
import random
import struct
import uuid
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import FormatError, StorageError
from gitml.models.pickles import PickleScan, scan
from gitml.models.pickles.harmless import is_harmless
from gitml.models.pickles.search import ZIP_BEHIND
from gitml.models.pickles.stream import Budget
from tests import model_files
from tests.model_files import tarred

SYSTEM = "os.system"


class Payload:
    """An object that runs a command when it is loaded."""

    def __init__(self, command: str = "true") -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


ATTACK = b"cos\nsystem\n(S'true'\ntR."
POSIX = f"{os.system.__module__}.system"  # os.system pickles by the name of its real module


# -- what the interpreter would import -----------------------------------------------------


class Recorder(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Python's own unpickler, which imports nothing but notes what it would.

    `called` says whether it got as far as calling anything.
    """

    proto: int

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.seen: set[str] = set()
        self.called = False

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in, under the name that it has today."""
        if not module or not module.isprintable() or any(char.isspace() for char in module):
            raise ModuleNotFoundError(module)
        if self.proto < 3 and (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        elif self.proto < 3:
            module = IMPORT_MAPPING.get(module, module)
        self.seen.add(f"{module}.{name}")
        return _stand_in(self, module, name)

    def persistent_load(self, pid: object) -> None:
        """Whatever torch would put here."""


def _stand_in(recorder: Recorder, module: str, name: str) -> Any:
    """Something that can be called, built and filled, and does nothing."""

    class Stand:
        def __new__(cls, *args: object, **options: object) -> Any:
            recorder.called = True
            return object.__new__(cls)

        def __init__(self, *args: object, **options: object) -> None: ...
        def __call__(self, *args: object, **options: object) -> Any:
            recorder.called = True
            return self

        def __setstate__(self, state: object) -> None: ...
        def __setitem__(self, key: object, value: object) -> None: ...
        def append(self, item: object) -> None: ...
        def extend(self, items: object) -> None: ...
        def update(self, items: object) -> None: ...
        def add(self, item: object) -> None: ...

    Stand.__module__, Stand.__qualname__ = module, name
    return Stand


def recorded(data: bytes) -> Recorder:
    """The recorder, after it loaded `data` as far as it can."""
    recorder = Recorder(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of wrong escapes in texts of Python 2
            recorder.load()
    except Exception:
        pass  # a damaged pickle
    return recorder


class Colour(Enum):
    """An enumeration, which pickles by name or by value."""

    RED = 1


class Plain:
    """An object with a state."""

    def __init__(self, value: object) -> None:
        self.value = value


class Slotted:
    """An object whose state is in slots."""

    __slots__ = ("left", "right")

    def __init__(self, left: object) -> None:
        self.left = left
        self.right = None


class Reduced:
    """An object that is made by a call, and then given items and a state."""

    def __init__(self, function: object, args: tuple[object, ...], state: object) -> None:
        self.parts = function, args, state

    def __reduce__(self) -> tuple[Any, ...]:
        return (*self.parts, iter([1]), iter([("key", 2)]))


class Keyword:
    """An object that is made with keywords."""

    def __new__(cls, *, value: object) -> Keyword:
        """Make one."""
        return super().__new__(cls)

    def __init__(self, *, value: object) -> None:
        self.value = value

    def __getnewargs_ex__(self) -> tuple[tuple[object, ...], dict[str, object]]:
        return (), {"value": self.value}


NAMED = (
    math.sin, len, print, operator.attrgetter, os.path.join, dict, Plain, collections.OrderedDict,
    functools.reduce, datetime.date.today, Colour, str.upper, bytes.fromhex, ValueError, range,
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text()
    | st.binary() | st.binary().map(bytearray) | st.sampled_from(NAMED) | st.just(Colour.RED)
    | st.datetimes() | st.timedeltas() | st.decimals() | st.fractions() | st.uuids()
    | st.builds(range, st.integers(-9, 9)) | st.text(min_size=300, max_size=1200)
)  # fmt: skip


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects that hold others."""
    return (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner)
        | st.lists(st.integers()).map(set) | st.lists(st.text()).map(frozenset)
        | st.builds(Plain, inner) | st.builds(Slotted, inner) | st.builds(Keyword, value=inner)
        | st.builds(lambda value: functools.partial(print, value), inner)
        | st.builds(lambda value: [value, value, (value,)], inner)
        | st.lists(inner).map(collections.deque)
        | st.dictionaries(st.text(), inner).map(collections.OrderedDict)
        | st.builds(Reduced, st.sampled_from(NAMED), st.tuples(inner), inner)
    )  # fmt: skip


OBJECTS = st.recursive(LEAVES, _grown, max_leaves=12)


@given(OBJECTS, st.integers(0, 5))
def test_every_import_of_a_pickle_is_found(value: Any, protocol: int) -> None:
    """The scan names what Python's unpickler asks for, no less and no more."""
    try:
        data = pickle.dumps(value, protocol)
    except (TypeError, ValueError, pickle.PicklingError):
        return  # old protocols can't do everything
    found = scan(data)
    assert (set(found.imports), found.problem, found.unresolved) == (
        recorded(data).seen, None, False,
    )  # fmt: skip
    assert found.pickles >= 1


@given(OBJECTS, OBJECTS, st.integers(0, 5))
def test_pickles_behind_one_another_are_all_found(first: Any, last: Any, protocol: int) -> None:
    """What a second load from the same file would import is found too."""
    try:
        parts = [pickle.dumps(value, protocol) for value in (first, last)]
    except (TypeError, ValueError, pickle.PicklingError):
        return
    assert set(scan(b"".join(parts)).imports) >= recorded(parts[0]).seen | recorded(parts[1]).seen


@pytest.mark.parametrize("protocol", range(6))
def test_an_optimized_pickle_is_scanned_alike(protocol: int) -> None:
    """It does not matter whether the memo is used."""
    data = pickle.dumps([Payload(), Payload()], protocol)
    assert scan(pickletools.optimize(data)).imports == scan(data).imports == (POSIX,)


# -- detours -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"cos\nsystem\n(S'true'\ntR.", id="GLOBAL"),
        pytest.param(b"(S'true'\nios\nsystem\n.", id="INST"),
        pytest.param(b"(cos\nsystem\nS'true'\no.", id="OBJ"),
        pytest.param(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", id="STACK_GLOBAL"),
        pytest.param(b"\x80\x04\x8c\x06system\x94\x8c\x02osh\x00\x93)R.", id="a name of the memo"),
        pytest.param(b"\x80\x04\x8c\x02os\x8c\x06systemN0\x93)R.", id="a value in between"),
        pytest.param(b"\x80\x04\x8c\x02os(N1\x8c\x06system\x93)R.", id="a mark in between"),
        pytest.param(b"\x80\x04X\x02\0\0\0osX\x06\0\0\0system\x93)R.", id="long texts"),
        pytest.param(b"\x80\x04\x8d\x02" + bytes(7) + b"os\x8c\x06system\x93)R.", id="longer ones"),
        pytest.param(b"\x80\x04Vo\\u0073\nV\\u0073ystem\n\x93)R.", id="escaped texts"),
        pytest.param(b"\x80\x04S'os'\nS'system'\n\x93)R.", id="quoted texts"),
        pytest.param(b"\x80\x04U\x02osU\x06system\x93)R.", id="texts of Python 2"),
        pytest.param(b"\x80\x04\x8c\x02os2\x8c\x06system\x93)R.", id="DUP"),
        pytest.param(
            b"\x80\x04\x8c\x02osr\x07\0\0\x000j\x07\0\0\0\x8c\x06system\x93)R.", id="a long memo"
        ),
        pytest.param(b"\x80\x04\x8c\x02osp300\n0g300\n\x8c\x06system\x93)R.", id="a far memo"),
        pytest.param(b"\x80\x04\x95\xff\0\0\0\0\0\0\0cos\nsystem\n)R.", id="a frame that lies"),
        pytest.param(b"\x80\x02\x80\x04cos\nsystem\n)R.", id="two protocols"),
        pytest.param(b"I0x1f\n0cos\nsystem\n)R.", id="a number that pickletools refuses"),
        pytest.param(b"S'\xff'\n0cos\nsystem\n)R.", id="a text that pickletools refuses"),
        pytest.param(b"cos\nsystem\n)R0garbage", id="garbage behind the call"),
        pytest.param(b"\x80\x04cos\nsystem\n)R\xff\xff\xff", id="a wrong instruction behind it"),
        pytest.param(b"(ios\nsystem?", id="a last line without its end"),
        pytest.param(b"\x80\x05N." + ATTACK, id="a second pickle"),
        pytest.param(b"\x80\x04C\xff" + b"." * 255 + b"0cos\nsystem\n)R.", id="behind bytes"),
    ],
)  # fmt: skip
def test_no_detour_hides_an_import(data: bytes) -> None:
    """The name is found on whichever way it comes to the call."""
    found = scan(data)
    assert (found.imports, found.calls, found.executes) == ((SYSTEM,), True, True)


def test_names_of_python_2_are_those_of_today() -> None:
    """What an old protocol calls `__builtin__` is `builtins`."""
    assert scan(b"\x80\x02c__builtin__\neval\n).").imports == ("builtins.eval",)
    assert scan(b"\x80\x03c__builtin__\neval\n).").imports == ("__builtin__.eval",)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x04cbuiltins\nstr\n)R\x8c\x06system\x93)R.", id="a module computed"),
        pytest.param(b"\x80\x04\x8c\x02oscbuiltins\nstr\n)R\x93)R.", id="a name computed"),
        pytest.param(b"\x80\x02\x82\x01)R.", id="an extension"),
        pytest.param(b"\x80\x02\x84\x01\0\0\0)R.", id="an extension of a long code"),
        pytest.param(b"\x80\x04S'o\\x73'\n\x8c\x06system\x93)R.", id="an escape of Python 2"),
        pytest.param(b"\x80\x04\x8c\x02osX\xe9\x03\0\0" + b"x" * 1001 + b"\x93)R.", id="long"),
    ],
)
def test_a_name_that_is_computed_counts_as_any(data: bytes) -> None:
    """What can't be told is not harmless."""
    assert scan(data).executes


def test_changing_an_imported_thing_is_an_import_of_its_own() -> None:
    """A state for a class or function is no plain data, even of a harmless one."""
    found = scan(b"\x80\x02ccollections\nOrderedDict\n}b.")
    assert found.imports == ("collections.OrderedDict", "collections.OrderedDict.__dict__")
    assert found.executes


# -- harmless ones -------------------------------------------------------------------------


def test_plain_data_is_harmless() -> None:
    """Containers, numbers, dates and arrays execute nothing."""
    np = pytest.importorskip("numpy")
    value = {
        "numbers": [1, 2.5, 1j, 10**30], "text": ("a", b"b", bytearray(b"c")), "none": None,
        "set": {1}, "frozen": frozenset("a"), "range": range(3), "slice": slice(1),
        "order": collections.OrderedDict(a=1), "many": collections.deque([1]),
        "when": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
        "sum": decimal.Decimal("1.5"), "part": fractions.Fraction(1, 3), "id": uuid.UUID(int=1),
        "array": np.arange(5.0), "dates": np.array(["2026-01-01"], "datetime64[D]"),
    }  # fmt: skip
    for protocol in range(2, 6):
        found = scan(pickle.dumps(value, protocol))
        assert (found.unsafe_imports, found.executes) == ((), False)


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "builtins.eval", "builtins.getattr", "builtins.type", "torch.load",
        "torch.storage._load_from_bytes", "torch.jit.load", "numpy.load", "numpy.ndarray.tofile",
        "numpy.testing._private.utils.runstring", "numpy._core.multiarray.scalar", "torch.hub.load",
        "torch.nn.modules.linear.Linear", "collections.OrderedDict.__dict__", "_codecs.decode",
        "torch.FloatStorage.from_file", "copyreg.add_extension", "functools.partial",
    ],
)  # fmt: skip
def test_no_name_that_can_run_code_is_harmless(name: str) -> None:
    """The list of harmless names holds single names, never a package."""
    assert not is_harmless(name)


def test_the_harmless_names_of_torch_are_those_of_its_own_safe_loader() -> None:
    """Nothing of torch is taken for data that torch itself would not load without trust."""
    pytest.importorskip("torch")
    from torch._weights_only_unpickler import _get_allowed_globals

    allowed = set(_get_allowed_globals())
    assert all(is_harmless(name) for name in allowed)
    letters = ["Float", "Double", "BFloat16", "Bool", "QInt8", "QUInt2x4", "ComplexFloat"]
    tried = {f"torch.{place}{name}{end}" for name in letters for end in ("Storage", "Tensor")
             for place in ("", "cuda.", "sparse.", "cuda.sparse.")}  # fmt: skip
    assert {name for name in tried if is_harmless(name)} == tried & allowed


# -- no pickles ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "channels:\n- conda-forge\ndependencies:\n- python=3.11\n", "comments\nfollow\nRed lines\n",
        "# A model\n\nIt predicts.\n", "import os\nos.system('true')\n", "cos\nsystem\nRun it.\n",
        "tree\nversion=v4\n", '{"learner": 1}', "", ".", "numpy==1.0\nscikit-learn\n", "\n" * 99,
        "PK\nno zip\n", "ZFx", "BZh\n", "x\x9c text",
    ],
)  # fmt: skip
def test_text_is_no_pickle(text: str) -> None:
    """Text that begins like an instruction is not taken for a pickle that would do something."""
    found = scan(text.encode())
    assert (found.imports, found.executes) == ((), False)


@pytest.mark.parametrize("seed", range(20))
def test_other_bytes_are_no_pickle(seed: int) -> None:
    """Bytes by chance name nothing and call nothing."""
    chance = random.Random(seed)
    found = [scan(chance.randbytes(size)) for size in range(300)]
    assert not any(each.imports or each.calls for each in found)


def test_a_text_is_not_called() -> None:
    """A pickle that calls what can't be called ends there, and did nothing."""
    assert not scan(b"\x80\x04\x8c\x02os)R\x8c\x06system\x93)R.").executes


# -- files in files ------------------------------------------------------------------------


def zipped(**files: bytes) -> bytes:
    """A zip archive of files."""
    return model_files.zipped(files)


PACKERS = {name: model_files.PACKERS[name] for name in "gzip bz2 xz lzma zlib zip tar".split()}


@pytest.mark.parametrize("outer", PACKERS)
@pytest.mark.parametrize("inner", [None, *PACKERS])
def test_a_pickle_is_found_in_whatever_it_is_packed(outer: str, inner: str | None) -> None:
    """Compressed files and archives are looked into, in one another too."""
    data = pickle.dumps(Payload())
    found = scan(PACKERS[outer](PACKERS[inner](data) if inner else data))
    assert (found.imports, found.executes) == ((POSIX,), True)
    containers = [name for name in found.containers if name != ZIP_BEHIND]
    assert containers == list(dict.fromkeys((outer, inner) if inner else (outer,)))


@pytest.mark.parametrize("name", ["gzip", "bz2", "xz"])
def test_the_second_part_of_a_compressed_file_is_read(name: str) -> None:
    """Compressed files may be joined; the pickle goes on in the next."""
    data = pickle.dumps(Payload("x" * 200))
    packed = PACKERS[name](data[:20]) + PACKERS[name](data[20:])
    assert scan(packed).imports == (POSIX,)


def test_a_file_that_begins_with_a_pickle_and_ends_as_an_archive_is_both() -> None:
    """Readers of zip archives begin at the end, those of pickles at the start."""
    archive = zipped(member=pickle.dumps(Payload()))
    assert scan(pickle.dumps(print) + archive).imports == ("builtins.print", POSIX)
    assert scan(b"tree\nversion=v4\n" + archive).imports == (POSIX,)


@pytest.mark.parametrize("outer", ["gzip", "bz2", "xz", "zlib", "tar"])
def test_an_archive_behind_another_file_is_looked_into_too(outer: str) -> None:
    """What begins as one kind of file may end as an archive, which other readers take it for."""
    data = PACKERS[outer](pickle.dumps(print)) + zipped(member=pickle.dumps(Payload()))
    assert scan(data).imports == ("builtins.print", POSIX)


def test_a_tar_archive_whose_first_name_is_a_pickle_is_both() -> None:
    """Its first bytes are a file name, which may be a program."""
    assert scan(tarred(b"data", ATTACK.decode())).imports == (SYSTEM,)


@pytest.mark.parametrize("name", ["data.npy", "data.npz"])
def test_arrays_of_objects_are_pickles(tmp_path: Path, name: str) -> None:
    """In a file of NumPy the pickle is behind the header."""
    np = pytest.importorskip("numpy")
    save = np.save if name.endswith("npy") else np.savez
    save(tmp_path / name, np.array([Payload()], dtype=object))
    found = scan(tmp_path / name)
    assert (POSIX in found.imports, found.executes) == (True, True)
    save(tmp_path / name, np.arange(10**5))
    assert scan(tmp_path / name).pickles == 0


@pytest.mark.parametrize("compress", [0, "zlib", "gzip", "bz2", "lzma", "xz"])
def test_joblib_files_are_read_around_their_arrays(tmp_path: Path, compress: int | str) -> None:
    """Arrays lie between the instructions, of any type; what comes behind them is found."""
    joblib, np = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    arrays = [
        np.arange(2000.0), np.zeros((3, 0)), np.array(5), np.asfortranarray(np.ones((40, 50))),
        np.array(["text", "texts"]), np.array([b"x"]), np.array([True]), np.array([1, "a", print]),
        np.zeros(3, [("left", "f8"), ("right", "i2")]), np.array(["2026-01-01"], "datetime64[D]"),
        np.ones(3, ">i4"), np.array([(1, Plain)], [("a", "i4"), ("b", "O")]),
    ]  # fmt: skip
    joblib.dump([*arrays, Payload()], tmp_path / "file", compress=compress)
    found = scan(tmp_path / "file")
    assert found.problem is None
    assert {POSIX, "builtins.print", f"{__name__}.Plain"} <= set(found.imports)


def test_an_array_of_unknown_size_ends_the_reading() -> None:
    """A joblib file that hides how large its arrays are is not wholly readable."""
    joblib, np = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    file = io.BytesIO()
    joblib.dump([np.arange(4.0), Payload()], file)
    data = file.getvalue().replace(b"\x8c\x02f8", b"\x8c\x02??")
    found = scan(data)
    assert (found.problem, found.executes) == ("holds an array of unknown size", True)


# -- hostile and damaged ones --------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_a_cut_off_pickle_executes_what_comes_before(protocol: int) -> None:
    """Wherever it is cut off, what the interpreter gets to call is found."""
    data = pickle.dumps([1, Payload("x" * 30), "behind"], protocol)
    for end in range(len(data)):
        recorder = recorded(data[:end])
        found = scan(data[:end])
        assert set(found.imports) >= (recorder.seen if recorder.called else set())
        if recorder.called:
            assert found.executes
            assert found.problem is not None


def test_a_cut_off_pickle_is_said_to_be_one() -> None:
    """A truncated download is no empty answer."""
    found = scan(pickle.dumps(list(range(1000)))[:500])
    assert (found.pickles, found.problem, found.imports) == (1, "ends too early", ())


BOMBS = {
    "marks": b"(" * 20_000_000,
    "small pickles": b"N." * 10_000_000,
    "tuples in tuples": b"\x80\x04N" + b"\x85" * 10_000_000 + b".",
    "memos": b"\x80\x04N" + b"\x94" * 10_000_000 + b".",
}


@pytest.mark.parametrize("name", BOMBS)
def test_too_many_instructions_are_not_followed(name: str) -> None:
    """A file of nothing but instructions is given up after a fixed number of them."""
    found = scan(BOMBS[name])
    assert (found.problem, found.executes) == (f"has more than {Budget.STEPS} instructions", True)


def test_too_many_names_are_not_listed() -> None:
    """A file that imports thousands of things is given up."""
    names = "".join(f"cmodule{number}\nname\n0" for number in range(Budget.NAMES + 1)).encode()
    found = scan(b"\x80\x02" + names + b"N.")
    assert found.problem == f"imports more than {Budget.NAMES} things"
    assert len(found.imports) == Budget.NAMES


def test_a_bomb_is_not_unpacked() -> None:
    """What unpacks to far more than its size is given up before it is there."""
    size = Budget.LEAST + (1 << 20)
    bomb = b"\x80\x04\x8e" + struct.pack("<Q", size) + bytes(size) + b"."
    for name in ("gzip", "bz2", "xz", "zlib", "zip"):
        found = scan(PACKERS[name](bomb))
        assert found.problem == "unpacks to far more than its size"


def test_files_in_files_end_somewhere() -> None:
    """A file that is packed in many layers is given up."""
    data = pickle.dumps(1)
    for _ in range(9):
        data = gzip.compress(data)
    assert scan(data).problem == "is packed in too many layers"


def test_a_length_that_lies_costs_nothing() -> None:
    """Bytes that are not there are not waited for, and no memory is set aside for them."""
    for head in (b"\x80\x04\x8e", b"\x80\x04\x8d", b"\x80\x05\x96"):
        assert scan(head + struct.pack("<Q", 2**62)).problem == "ends too early"
    assert scan(b"\x80\x02T\xff\xff\xff\xff").executes is False


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (zipped(a=b"x" * 99).replace(b"PK\x01\x02", b"PK\x01\x03"), "is a damaged zip archive"),
        (b"\x04\x22\x4d\x18" + bytes(20), "is compressed with lz4, which can't be undone here"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "is compressed with zstd, which can't be undone here"),
        (tarred(bytes(9), "a")[:512] + bytes(3) + b"x" * 1200, "is a damaged tar archive"),
    ],
)  # fmt: skip
def test_what_cant_be_looked_into_is_said(data: bytes, problem: str) -> None:
    """A file that this Python can't unpack is not harmless."""
    if "lz4" in problem:
        pytest.importorskip("zlib")
        if _has("lz4.frame"):
            pytest.skip("lz4 is installed")
    found = scan(data)
    assert found.problem is not None
    assert found.problem.startswith(problem)
    assert found.executes


def _has(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def test_an_encrypted_archive_is_not_harmless() -> None:
    """A zip archive whose files can't be read without a password may hold anything."""
    data = bytearray(zipped(a=pickle.dumps(Payload())))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert scan(bytes(data)).problem == "is encrypted"


def test_an_archive_with_two_files_of_one_name_is_not_harmless() -> None:
    """Which of the two is read depends on the reader."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("data.pkl", b"N.")
        archive.writestr("data.pkl", b"N.")
    assert scan(file.getvalue()).problem == "holds 'data.pkl' twice"


def test_an_archive_whose_halves_disagree_is_not_harmless() -> None:
    """Another name in front of the file than in the list of files."""
    data = zipped(harmless=pickle.dumps(1))
    found = scan(data.replace(b"harmless", b"Harmless", 1))
    assert (found.problem, found.executes) == ("is a damaged zip archive (BadZipFile)", True)


def test_an_archive_with_two_lists_of_files_is_not_harmless() -> None:
    """Readers that go where the end points find others than those that look right before it."""
    data, end = zipped(harmless=pickle.dumps(1)), struct.Struct("<LL")
    start = data.index(b"PK\x01\x02")
    length, offset = end.unpack_from(data, data.index(b"PK\x05\x06") + 12)
    assert offset == start
    twice = data[:start] + data[start : start + length] + data[start:]  # the end names the first
    assert zipfile.ZipFile(io.BytesIO(twice)).start_dir == start + length
    assert scan(twice).problem is not None
    assert scan(twice).executes


def saved_by_torch() -> bytes:
    """An archive of PyTorch, whose end is that of a large one."""
    file = io.BytesIO()
    pytest.importorskip("torch").save({}, file)
    return file.getvalue()


@pytest.mark.parametrize("place", [-22 + 16, -22 + 12, -22 + 10, -42 + 8, -98 + 48, -98 + 40])
def test_the_places_that_the_end_of_an_archive_tells_must_agree(place: int) -> None:
    """Size and place of the list of files, how many there are, and where the large end begins."""
    data = bytearray(saved_by_torch())
    assert not scan(bytes(data)).executes
    data[place] ^= 1
    assert scan(bytes(data)).executes


def test_an_archive_with_a_comment_is_read_to_its_end() -> None:
    """A comment belongs to an archive; what follows it does not."""
    file = io.BytesIO(zipped(a=b"text"))
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"a comment"
    assert not scan(file.getvalue()).executes
    assert scan(file.getvalue() + b"more").executes


# -- files ---------------------------------------------------------------------------------


def test_a_file_is_scanned_as_its_bytes_are(tmp_path: Path) -> None:
    """A path and its content give the same, however large the parts are."""
    data = pickle.dumps([bytes(300_000), "x" * 200_000, Payload(), bytes(70_000)])
    (tmp_path / "file").write_bytes(data)
    assert scan(tmp_path / "file") == scan(data) == PickleScan(1, (POSIX,), calls=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX has pipes")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe is not waited for, a link not followed, a folder not read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"N.")
    (tmp_path / "link").symlink_to("file")
    for name in ("pipe", "link", ".", "/dev/null"):
        with pytest.raises(FormatError, match="a model has regular files only"):
            scan(tmp_path / name)
    with pytest.raises(StorageError, match="can't read"):
        scan(tmp_path / "nothing")


# -- fuzzing -------------------------------------------------------------------------------

SEEDS = [
    *(pickle.dumps([1, "a", Plain(1), Payload(), {"k": (2.5, b"x")}], each) for each in range(6)),
    *(packer(pickle.dumps([Payload()])) for packer in PACKERS.values()),
    ATTACK, b"(ios\nsystem\n.", b"(cos\nsystem\no.", pickle.dumps(list(range(300))),
]  # fmt: skip
PIECES = [ATTACK, b"cos\nsystem\n", b"(", b"R", b".", b"\x93", b"\x94", b"t", b"0", b"\x80\x04"]


def mutated(seed: int) -> bytes:
    """A file made of others by random changes; the same for the same seed."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at, kind = chance.randrange(len(data) + 1), chance.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del data[at : at + chance.randrange(8)]
        elif kind == 2:
            data[at:at] = chance.choice(PIECES)
        elif kind == 3:
            data[at:at] = chance.randbytes(chance.randrange(8))
        else:
            start = chance.randrange(len(data) + 1)
            data[at:at] = data[start : start + chance.randrange(50)]
    return bytes(data)


@given(st.integers(0, 2**64))
def test_no_change_of_a_pickle_hides_what_it_calls(seed: int) -> None:
    """Of any file, a scan comes to an end, and names what the interpreter gets to call."""
    data = mutated(seed)
    found, recorder = scan(data), recorded(data)
    if recorder.called:
        assert set(found.imports) >= recorder.seen
        assert found.executes or all(map(is_harmless, recorder.seen))


@given(st.binary(max_size=2000))
def test_any_bytes_are_scanned(data: bytes) -> None:
    """Nothing is raised for bytes, whatever they are."""
    for head in (b"", b"\x80\x04", b"PK\x03\x04", b"\x1f\x8b\x08\0", b"\x93NUMPY\x01\0", b"BZh9"):
        assert isinstance(scan(head + data), PickleScan)
