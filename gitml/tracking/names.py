"""Names and keys that a run may hold, its id, and the paths made from them.

Every `check_*` function returns what is stored or raises `UsageError` with the field, the
offending text and the rule. Names are kept in Unicode form NFC and are data: only ids become
folders and refs. The rules for values are in `gitml.tracking.values`, and offered here too.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import posixpath
import re
import threading
import time
import unicodedata
from hashlib import sha256
from pathlib import PurePath
from typing import NoReturn

from gitml.errors import NOT_FOUND, UsageError, shown
from gitml.tracking.values import MAX_TIME, kind_of
from gitml.tracking.values import check_metric_value as check_metric_value
from gitml.tracking.values import check_param_value as check_param_value
from gitml.tracking.values import check_status as check_status
from gitml.tracking.values import check_step as check_step
from gitml.tracking.values import check_tag_value as check_tag_value
from gitml.tracking.values import check_timestamp as check_timestamp

MAX_NAME = 500
MAX_KEY = 250
MAX_COMPONENT = 255  # bytes
MAX_FILE_NAME = 240  # bytes: leaves room for `.dvc` and for the mark that a merge appends
MAX_PATH = 4096  # bytes

# -- run ids and paths ---------------------------------------------------------------------

_RUN_ID = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")
_RANDOM_BITS = 74
_lock = threading.Lock()
_latest = (0, 0)  # time and random part of the newest id made from the clock


def new_run_id(now_ms: int | None = None) -> str:
    """A new run id: a UUIDv7 as 32 hex digits.

    Ids made from the clock rise strictly within a process, even when the clock steps back.
    An id for a given `now_ms` holds exactly that time and has no order among its equals.
    """
    if now_ms is not None:
        return _uuid7(check_timestamp(now_ms), _random_bits(_RANDOM_BITS))
    global _latest
    with _lock:
        now, (then, part) = time.time_ns() // 1_000_000, _latest
        # a wide random step: a forked child goes on from the same place as its parent
        part += 1 + _random_bits(48)
        if now > then or part >> _RANDOM_BITS:
            now, part = max(now, then + 1), _random_bits(_RANDOM_BITS - 1)
        _latest = max(now, then), part
        return _uuid7(*_latest)


def following_run_id(run_id: str) -> str:
    """The id, of the same moment, under which a run comes back whose own can't be used again."""
    digest = hashlib.sha256(f"{run_id} again".encode()).digest()
    part = int.from_bytes(digest, "big") & (1 << _RANDOM_BITS) - 1
    return _uuid7(int(run_id[:12], 16), part)


def _uuid7(milliseconds: int, part: int) -> str:
    high, low = part >> 62, part & (1 << 62) - 1
    return f"{milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low:032x}"


def _random_bits(count: int) -> int:
    # not the `random` module: its state belongs to the user's experiment
    return int.from_bytes(os.urandom(10), "big") >> 80 - count


def _unlock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


def is_run_id(text: object) -> bool:
    """Whether `text` is a run id in full: a UUIDv7 as 32 lower-case hex digits."""
    return (
        isinstance(text, str)
        and _RUN_ID.fullmatch(text) is not None
        and int(text[:12], 16) <= MAX_TIME
    )


def check_run_id(run_id: str) -> str:
    """`run_id` if it is one."""
    if not is_run_id(run_id):
        rule = "is none of gitml's: 32 lower-case hex digits that begin with a time (UUIDv7)"
        raise UsageError(f"run id {shown(run_id)} {rule}", NOT_FOUND)
    return run_id


def run_time(run_id: str) -> int:
    """When the id was made, in milliseconds since the epoch."""
    return int(check_run_id(run_id)[:12], 16)


def run_date(run_id: str) -> str:
    """The UTC date inside the id, as `YYYY/MM/DD`."""
    day = datetime.date(1970, 1, 1) + datetime.timedelta(milliseconds=run_time(run_id))
    return f"{day.year:04}/{day.month:02}/{day.day:02}"


def experiment_id(name: str, number: int = 0) -> str:
    """The folder of an experiment: its name where that is a safe path, else a slug with a digest.

    The slug is the name's letters of `[a-z0-9_-]`, lower-cased, at most 40, and `-` and the
    first 8 hex digits of the sha256 of the name in NFC. With a `number` it is another slug, for
    when the first id belongs to an experiment that was renamed.
    """
    name = normal(name)
    if not number and _PLAIN_EXPERIMENT.fullmatch(name) and not _is_windows_reserved(name):
        return name
    letters = re.sub(r"[^a-z0-9_-]", "", name.lower())[:40]
    text = f"{name}\n{number}" if number else name
    return f"{letters}-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def run_path(experiment_id: str, run_id: str) -> str:
    """The run's folder in the ledger, such as `runs/churn/2026/01/31/0192f0...`."""
    return f"runs/{check_component(experiment_id)}/{run_date(run_id)}/{run_id}"


_PLAIN_EXPERIMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


# -- names and keys ------------------------------------------------------------------------


def normal(text: str) -> str:
    """A name or key in Unicode form NFC, as every one is kept and looked for.

    `é` may be one character or two, and file systems take both for one.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# Control characters, line and paragraph separators, bidirectional embeddings, overrides and
# isolates, surrogates: what could forge a line of a file or of a terminal, or is not text.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_accepted: set[str] = set()  # keys seen before, in NFC: logging in a loop checks each once
_MAX_ACCEPTED = 1 << 16


def check_experiment_name(name: str) -> str:
    """An experiment's name: 1 to 500 characters, not beginning with a dash."""
    name = _check_text("experiment name", name, MAX_NAME)
    if name.startswith("-"):
        _refuse("experiment name", name, "begins with '-', which reads as an option; rename it")
    return name


def check_run_name(name: str) -> str:
    """A run's name: 1 to 500 characters."""
    return _check_text("run name", name, MAX_NAME)


def check_param_key(key: str) -> str:
    """A param's key: 1 to 250 characters."""
    return key if type(key) is str and key in _accepted else _check_key("param key", key)


def check_metric_key(key: str) -> str:
    """A metric's key: 1 to 250 characters."""
    return key if type(key) is str and key in _accepted else _check_key("metric key", key)


def check_tag_key(key: str) -> str:
    """A tag's key: 1 to 250 characters."""
    return key if type(key) is str and key in _accepted else _check_key("tag key", key)


def _check_key(field: str, key: str) -> str:
    key = _check_text(field, key, MAX_KEY)
    if len(_accepted) >= _MAX_ACCEPTED:
        _accepted.clear()
    _accepted.add(key)
    return key


def _check_text(field: str, text: str, limit: int) -> str:
    """`text` in NFC if it is a name: not empty, on one line, printable, at most `limit` long."""
    if not isinstance(text, str):
        raise UsageError(f"{field} must be a string, not {kind_of(text)}")
    if bad := _UNSAFE.search(text):
        _refuse(field, text, f"holds the control character U+{ord(bad[0]):04X}; remove it")
    name = normal(str(text))
    if not name.strip():
        raise UsageError(f"{field} is empty; give it at least one visible character")
    if len(name) > limit:
        _refuse(field, text, f"has {len(name)} characters; at most {limit} are allowed")
    return name


# -- paths ---------------------------------------------------------------------------------

ArtifactPath = str | PurePath  # as a user may give it

# What HFS+ leaves out of a name, so that `.g\u200cit` opens `.git` there.
_HFS_IGNORED = re.compile(r"[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_WINDOWS_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [device + digit for device in ("com", "lpt") for digit in "123456789\xb9\xb2\xb3"]
)
# The 8.3 names that NTFS gives to `.git`, `.gitmodules`, `.gitattributes` and `.gitignore`.
_NTFS_GIT = re.compile(r"git~\d|git(mod|att|ign)~\d|gi(7e|7d|25)[0-9a-f]*~\d{1,4}")


def normal_path(path: ArtifactPath | None) -> str:
    """A path among the artifacts as a user writes it, in the one form: `./a//b/../c/` is `a/c`.

    It is in Unicode form NFC, and empty for all of them. What leads out or is absolute still does.
    """
    text = path.as_posix() if isinstance(path, PurePath) else str(path or "")
    found = posixpath.normpath(text)
    return "" if found == "." else normal(found)


def check_artifact_path(path: ArtifactPath) -> str:
    """An artifact's path: normal, relative, with `/`, in NFC, safe on every file system."""
    if not isinstance(path, str | PurePath):
        raise UsageError(f"artifact path must be a string or a path, not {kind_of(path)}")
    given, path = str(path), normal_path(path)
    if "\\" in path:
        _refuse("artifact path", given, "holds a backslash; separate folders with '/'")
    if path.startswith("/"):
        _refuse("artifact path", given, "is absolute; give a path relative to the run's artifacts")
    parts = [
        _check_portable("artifact path", part, given, MAX_FILE_NAME) for part in path.split("/")
    ]
    if _is_git_folder(parts):
        _refuse("artifact path", given, "names git's own folder; rename it")
    joined = "/".join(parts)
    if len(joined.encode()) > MAX_PATH:
        _refuse("artifact path", given, f"is longer than {MAX_PATH} bytes; shorten it")
    return joined


def check_component(name: str) -> str:
    """One component of a path in a git tree; nothing is written to a tree without this check."""
    if not isinstance(name, str):
        raise UsageError(f"path component must be a string, not {kind_of(name)}")
    if "/" in name or "\\" in name:
        _refuse("path component", name, "holds a separator")
    if _check_portable("path component", name, name, MAX_COMPONENT) != name:
        _refuse("path component", name, "is not in Unicode form NFC; normalise it")
    if _is_gits(name) and name != ".gitml":
        _refuse("path component", name, "is a name that git interprets; rename it")
    return name


def is_component(name: str) -> bool:
    """Whether `check_component` takes the name: what stands in a tree may be from anybody."""
    try:
        check_component(name)
    except UsageError:
        return False
    return True


def is_interpreted(path: str) -> bool:
    """Whether git or DVC would interpret a file of this path, so that no tree may hold it."""
    return any(
        _is_gits(part)
        or (folded := _folded(part)) in ("dvc.yaml", "dvc.lock", ".dvcignore")
        or folded.endswith(".dvc")
        for part in path.split("/")
    )


def _check_portable(field: str, name: str, whole: str, limit: int) -> str:
    """`name` in NFC if every file system can hold it and give it back."""
    if name in ("", ".", ".."):
        rule = "an empty part" if not name else f"the part '{name}'"
        _refuse(field, whole, f"holds {rule}; name the file and its folders plainly")
    if bad := _UNSAFE.search(name):
        _refuse(field, whole, f"holds the control character U+{ord(bad[0]):04X}; remove it")
    name = normal(name)
    if name[1:2] == ":" and name[0].isascii() and name[0].isalpha():
        _refuse(field, whole, "names a drive; give a relative path")
    if name[-1] in ". ":
        _refuse(field, whole, "has a part that ends in a dot or a space; rename it")
    if _is_windows_reserved(name):
        _refuse(field, whole, "has a part that is reserved on Windows; rename it")
    if len(name.encode()) > limit:
        _refuse(field, whole, f"has a part of over {limit} bytes; shorten it")
    return name


def _folded(name: str) -> str:
    """The name as the most lenient file system reads it (HFS+ and NTFS together)."""
    return _HFS_IGNORED.sub("", name).partition(":")[0].rstrip(". ").lower()


def _is_gits(name: str) -> bool:
    folded = _folded(name)
    return folded.startswith(".git") or _NTFS_GIT.fullmatch(folded) is not None


def _is_git_folder(parts: list[str]) -> bool:
    return any(_folded(part) == ".git" or re.fullmatch(r"git~\d", _folded(part)) for part in parts)


def _is_windows_reserved(name: str) -> bool:
    return re.split(r"[.:]", name, maxsplit=1)[0].rstrip(" ").lower() in _WINDOWS_RESERVED


# -- friendly names ------------------------------------------------------------------------

_ADJECTIVES = (
    "able amber bold brave bright brisk calm clear clever cosmic crisp deft eager early fair fine "
    "fleet fond fresh gentle glad golden grand happy honest jolly keen kind lively lucky lunar "
    "mellow merry mild neat nimble noble polite proud quick quiet rapid rare ready serene sharp "
    "silver smooth solid steady still sunny swift tidy upbeat vivid warm wise witty zesty"
)
_NOUNS = (
    "acorn aspen badger beacon birch breeze brook canyon cedar cloud comet coral crane delta dove "
    "falcon fern finch fjord forest gull harbor hare heron island jay kestrel lake lark lynx maple "
    "meadow moose newt oak orbit otter owl panda pebble pine planet plover quail rain raven reef "
    "river robin salmon seal shore sparrow stork summit swan tern tide trout valley whale wren"
)


def random_name() -> str:
    """A friendly name for a run without one, such as `calm-otter-407`."""
    return f"{_any_of(_ADJECTIVES)}-{_any_of(_NOUNS)}-{_random_bits(32) % 1000}"


def _any_of(words: str) -> str:
    choices = words.split()
    return choices[_random_bits(32) % len(choices)]


# -- messages ------------------------------------------------------------------------------


def _refuse(field: str, value: object, rule: str) -> NoReturn:
    raise UsageError(f"{field} {shown(value)} {rule}")
