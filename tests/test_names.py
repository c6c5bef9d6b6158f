"""Run ids, names, keys and paths."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.tracking import names
from gitml.tracking.values import MAX_TIME
from tests.conftest import run_git

anything = st.text(max_size=30)


# -- run ids -------------------------------------------------------------------------------


def test_a_run_id_is_a_uuid_of_version_7() -> None:
    """32 hex digits: 48 bits of time, version 7, variant 1."""
    assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", names.new_run_id())


@given(st.integers(0, MAX_TIME))
def test_a_run_id_holds_its_time(milliseconds: int) -> None:
    """The time comes back exactly, and the date is its UTC date."""
    run_id = names.new_run_id(milliseconds)
    assert names.is_run_id(run_id)
    assert names.run_time(run_id) == milliseconds


@pytest.mark.parametrize(
    ("milliseconds", "date"),
    [
        (0, "1970/01/01"),
        (86_399_999, "1970/01/01"),
        (86_400_000, "1970/01/02"),
        (1_709_164_799_999, "2024/02/28"),
        (1_709_164_800_000, "2024/02/29"),
        (MAX_TIME, "9999/12/31"),
    ],
)
def test_the_date_in_a_run_id_is_that_of_utc(milliseconds: int, date: str) -> None:
    """Dates change at midnight UTC, wherever the machine is."""
    assert names.run_date(names.new_run_id(milliseconds)) == date


def test_run_ids_rise_strictly() -> None:
    """Ids made one after the other sort in that order, thousands in a millisecond."""
    ids = [names.new_run_id() for _ in range(5000)]
    assert ids == sorted(set(ids))


def test_run_ids_rise_even_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corrected clock does not put a run before an earlier one."""
    before = names.new_run_id()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    ids = [before, *(names.new_run_id() for _ in range(100))]
    assert ids == sorted(set(ids))


def test_threads_get_different_run_ids() -> None:
    """No two threads get one id, and each sees its own rise."""
    found: list[list[str]] = [[] for _ in range(8)]

    def work(own: list[str]) -> None:
        own.extend(names.new_run_id() for _ in range(500))

    threads = [threading.Thread(target=work, args=(own,)) for own in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run_id for own in found for run_id in own}) == 4000
    assert all(own == sorted(own) for own in found)


def run_python(code: str) -> str:
    """Run `code` in a fresh interpreter and return what it printed."""
    folder = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        (sys.executable, "-c", code), cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_random_seed_of_the_user_does_not_repeat_ids_or_names() -> None:
    """Ids and names do not come from the `random` module, nor do they advance it."""
    code = """
import random
from gitml.tracking.names import new_run_id, random_name

def drawn():
    random.seed(1)
    return new_run_id(5), random_name(), random_name(), random.random()

one, two = drawn(), drawn()
random.seed(1)
print(one[0] != two[0], one[:3] != two[:3], one[3] == random.random())
"""
    assert run_python(code) == "True True True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_other_run_ids() -> None:
    """Processes that go on from one state do not make the same ids, even in one millisecond."""
    code = """
import os, time
from gitml.tracking.names import new_run_id

time.time_ns = lambda: 4_000_000_000_000_000_000
new_run_id()
for _ in range(3):
    if os.fork() == 0:
        break
os.write(1, "".join(f"{new_run_id()}\\n" for _ in range(3)).encode())
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
    ids = run_python(code).split()
    assert len(ids) == len(set(ids)) == 12


@pytest.mark.parametrize(
    "text",
    ["", "x", "0" * 32, "0192f0a1b2c34d4e8f0123456789abcd", "0192f0a1b2c37d4e0f0123456789abcd",
     "0192f0a1b2c37d4e8f0123456789abcd\n", "ffffffffffff7d4e8f0123456789abcd", 3, None],
)  # fmt: skip
def test_what_is_no_run_id_is_told_apart(text: object) -> None:
    """Another version or variant, another length or a date after the year 9999 is none."""
    assert not names.is_run_id(text)
    with pytest.raises(UsageError, match="run id"):
        names.run_time(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("milliseconds", [-1, MAX_TIME + 1])
def test_no_run_id_is_made_for_an_impossible_time(milliseconds: int) -> None:
    """The date inside the id must be one."""
    with pytest.raises(UsageError, match="timestamp"):
        names.new_run_id(milliseconds)


# -- experiments and paths -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["churn", "0", "a_b-c", "9" * 60])
def test_a_plain_experiment_is_its_own_folder(name: str) -> None:
    """A name of small letters, digits, _ and - is kept."""
    assert names.experiment_id(name) == name


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Churn Model", "churnmodel"),
        ("_x", "_x"),
        ("-x", "-x"),
        ("9" * 61, "9" * 40),
        ("日本", ""),
        ("a/b", "ab"),
        ("aux", "aux"),
        ("lpt9", "lpt9"),
        ("", ""),
    ],
)
def test_another_experiment_gets_a_slug_with_a_digest(name: str, letters: str) -> None:
    """What is safe of the name, and the beginning of its sha256."""
    digest = sha256(name.encode()).hexdigest()[:8]
    assert names.experiment_id(name) == f"{letters}-{digest}"


@given(anything)
def test_an_experiment_has_one_folder_that_a_tree_may_hold(name: str) -> None:
    """Every name has a valid folder, the same in every Unicode form."""
    folder = names.experiment_id(name)
    assert names.check_component(folder) == folder
    assert re.fullmatch(r"[a-z0-9_-]{1,60}", folder)
    assert names.experiment_id(unicodedata.normalize("NFD", name)) == folder


def test_the_path_of_a_run_is_sharded_by_its_date() -> None:
    """The ledger's folder: experiment, year, month, day, id."""
    run_id = names.new_run_id(1_709_164_800_000)
    assert names.run_path("churn", run_id) == f"runs/churn/2024/02/29/{run_id}"


@pytest.mark.parametrize("experiment", ["..", "a/b", ".git", ""])
def test_no_run_path_leaves_the_ledger(experiment: str) -> None:
    """The experiment's folder is checked again when a path is made of it."""
    with pytest.raises(UsageError):
        names.run_path(experiment, names.new_run_id())


components = st.text(
    st.sampled_from("a.~1:gGiItT \u200c\ufeffé-_x")
    | st.characters(codec="utf-8", exclude_characters="/"),
    max_size=12,
)


@settings(deadline=None)
@given(st.lists(components, min_size=1, max_size=4).map("/".join))
def test_an_accepted_artifact_path_stays_in_its_folder(path: str) -> None:
    """What is accepted is relative, stable, and made of components that every system keeps."""
    try:
        accepted = names.check_artifact_path(path)
    except UsageError:
        return
    assert names.check_artifact_path(accepted) == accepted
    for part in accepted.split("/"):
        assert part not in ("", ".", "..")
        assert not re.search(r"[\\\x00-\x1f\x7f]", part)
        assert not part.endswith((".", " "))
        assert names.is_interpreted(part) or names.check_component(part) == part


def test_git_accepts_what_the_check_of_components_accepts(repo: Path) -> None:
    """A tree of accepted names passes git's strictest check; git would refuse the others."""
    tried = [
        ".gitml", "runs", "a b", "é", "model.dvc", "git~x", ".g", "x~1a2b3c4d", "-rf", "%2e",
        ".git", ".GIT", ".Git", "git~1", "GIT~1", ".git.", ".git ", ".g\u200cit", ".git\ufeff",
        ".gitmodules", ".GITMODULES", "gitmod~1", ".git\u200dmodules",
    ]  # fmt: skip
    accepted = [name for name in tried if _passes(names.check_component, name)]
    assert accepted == tried[:10]
    blob = run_git(repo, "hash-object", "-w", "train.py")
    for name in tried:
        (repo / "tree").write_bytes(f"100644 blob {blob}\t{name}\0".encode())
        with (repo / "tree").open("rb") as listing:
            tree = subprocess.run(
                ("git", "mktree", "-z"), cwd=repo, stdin=listing, capture_output=True, check=True
            ).stdout
        run_git(repo, "update-ref", "refs/heads/try", _commit(repo, tree.decode().strip()))
        fsck = subprocess.run(("git", "fsck", "--strict"), cwd=repo, capture_output=True)
        assert (fsck.returncode == 0) == (name in accepted), (name, fsck.stderr)


def _commit(repo: Path, tree: str) -> str:
    return run_git(repo, "commit-tree", "-m", "try", tree)


def _passes(check: Callable[[str], str], name: str) -> bool:
    try:
        return check(name) == name
    except UsageError:
        return False


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("model.dvc", True), ("a/dvc.yaml", True), ("dvc.lock", True), (".dvcignore", True),
        (".dvc/config", True), (".gitignore", True), ("a/.gitattributes", True), (".gitml", True),
        ("DVC.YAML", True), ("x.DVC", True), (".g\u200citignore", True), ("gitmod~1", True),
        ("dvc.yml", False), ("model.dvc.txt", False), ("git", False), ("a.git", False),
        ("dvc", False), ("model~1a2b3c4d", False),
    ],
)  # fmt: skip
def test_names_that_git_or_dvc_would_act_on_are_told_apart(path: str, expected: bool) -> None:
    """In every part of a path, in any case, and as file systems fold names."""
    assert names.is_interpreted(path) is expected


# -- keys and names ------------------------------------------------------------------------

mlflow_keys = st.from_regex(re.compile(r"[/\w.\- :]{1,250}", re.ASCII), fullmatch=True)


@given(mlflow_keys.filter(str.strip))
def test_every_key_of_mlflow_is_accepted(key: str) -> None:
    """Letters, digits, underscore, dash, dot, space, colon and slash, up to 250 of them."""
    assert names.check_metric_key(key) == key
    assert names.check_param_key(key) == key
    assert names.check_tag_key(key) == key


KEY_CHECKS = [names.check_metric_key, names.check_param_key, names.check_tag_key]
NAME_CHECKS = [*KEY_CHECKS, names.check_run_name, names.check_experiment_name]


@pytest.mark.parametrize("check", NAME_CHECKS)
@given(name=anything)
def test_an_accepted_name_is_one_line_of_text(check: Callable[[str], str], name: str) -> None:
    """What is accepted is in NFC, is accepted again, and can't break a line of a file."""
    try:
        accepted = check(name)
    except UsageError:
        return
    assert accepted == unicodedata.normalize("NFC", name) == check(accepted)
    assert len(f"x{accepted}x".splitlines()) == 1
    assert "\t" not in accepted
    assert accepted.encode().decode() == accepted


@pytest.mark.parametrize("check", NAME_CHECKS)
@pytest.mark.parametrize("name", [None, 3, b"loss", ["loss"]])
def test_a_name_that_is_no_string_is_refused(check: Callable[[object], str], name: object) -> None:
    """The error names the type."""
    with pytest.raises(UsageError, match=f"must be a string, not {type(name).__name__}"):
        check(name)


def test_a_key_that_was_refused_is_refused_again() -> None:
    """Only accepted keys are remembered."""
    for _ in range(2):
        with pytest.raises(UsageError, match="control character"):
            names.check_metric_key("a\nb")


def test_a_million_keys_do_not_stay_in_memory() -> None:
    """Keys that were seen before are remembered up to a bound."""
    for number in range(100_000):
        names.check_metric_key(f"metric-{number}")
    assert len(names._accepted) <= names._MAX_ACCEPTED


def test_an_error_shows_little_of_a_long_name() -> None:
    """A megabyte of name does not become a megabyte of message."""
    with pytest.raises(UsageError) as refused:
        names.check_run_name("n" * 1_000_000)
    assert len(str(refused.value)) < 200


def test_random_names_are_valid_and_vary() -> None:
    """A friendly name is an adjective, a noun and a number."""
    found = {names.random_name() for _ in range(200)}
    assert len(found) > 150
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-[0-9]{1,3}", name) for name in found)
    assert all(names.check_run_name(name) == name for name in found)


def test_a_status_is_one_of_those_there_are() -> None:
    """Another status is refused with the list."""
    assert names.check_status("FINISHED") == "FINISHED"
    with pytest.raises(UsageError, match="'finished' is not one; use one of RUNNING"):
        names.check_status("finished")
