"""`gitml runs`: what a person sees of runs, and what a script reads."""

from __future__ import annotations

import csv
import getpass
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

import gitml
from gitml.cli.runs.columns import Sheet, legend
from gitml.cli.runs.comparison import lines
from gitml.cli.runs.page import Page
from gitml.review.compare import compare
from gitml.review.view import RunView
from gitml.tracking.names import run_path
from gitml.tracking.record import Code, RunRecord, Session
from tests.cli import Caller
from tests.conftest import Git
from tests.ledgers import append, make_runs


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output passes for a terminal of 80 columns, with colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def record(name: str, loss: float, **params: object) -> str:
    """Record a run; its id."""
    with gitml.start_run(run_name=name, tags={"team": "ml"}) as run:
        gitml.log_params({"model": "mlp", **params})
        gitml.log_metric("loss", 2 * loss, step=1)
        gitml.log_metric("loss", loss, step=2)
        gitml.log_text("hello", "notes/a.txt")
    run_id: str = run.info.run_id
    return run_id


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves its repository for the others."""
    return tmp_path_factory.mktemp("template")


@pytest.fixture
def three(repo: Path, template: Path) -> list[str]:
    """Three runs, the oldest first."""
    saved, ids = template / "repo", template / "ids.json"
    if ids.exists():
        shutil.rmtree(repo)
        shutil.copytree(saved, repo)
    else:
        made = [record("one", 0.5, lr=0.1), record("two", 0.25, lr=0.01)]
        ids.write_text(json.dumps([*made, record("three", 0.75, lr=1)]))
        shutil.copytree(repo, saved)
    os.chdir(repo)
    found: list[str] = json.loads(ids.read_text())
    return found


# -- list --------------------------------------------------------------------------------------


def test_no_runs_yet(repo: Path, call: Caller) -> None:
    """A new repository has an empty list, in every format, and is told what to do."""
    assert "gitml.start_run()" in call("runs", "list").err
    assert call("runs", "list", "--format", "json").json == []
    assert call("runs", "list", "--filter", "status = 'KILLED'").err == "no run matches\n"


def test_the_newest_run_comes_first(three: list[str], call: Caller) -> None:
    """A line for each run: its short id, name, status, metrics with the best marked."""
    shown = call("runs", "list")
    assert shown.lines[0].split() == "RUN NAME STATUS STARTED loss ↓ lr TOOK CODE".split()
    assert [line.split()[:3] for line in shown.lines[1:]] == [
        [three[2][-8:], "three", "FINISHED"],
        [three[1][-8:], "two", "FINISHED"],
        [three[0][-8:], "one", "FINISHED"],
    ]
    assert [line for line in shown.lines if "0.25 *" in line] == [shown.lines[2]]
    assert shown.out.count("*") == 1
    assert shown.err == ""


def test_params_are_shown_where_they_differ(three: list[str], call: Caller) -> None:
    """What all runs share tells nothing; of a single run everything is shown."""
    assert "model" not in call("runs", "list").out
    assert "mlp" in call("runs", "list", "--limit", 1).out


def test_the_json_of_a_listing_is_a_contract(three: list[str], call: Caller) -> None:
    """Its keys are those that scripts rely on, its values have their JSON types."""
    newest = call("runs", "list", "--format", "json").json[0]
    assert newest["run_id"] == three[2]
    assert (newest["name"], newest["experiment"], newest["status"]) == (
        "three", "default", "FINISHED",
    )  # fmt: skip
    assert newest["params"] == {"lr": 1, "model": "mlp"}
    assert newest["metrics"] == {"loss": 0.75}
    assert newest["tags"] == {"team": "ml"}
    assert newest["code"]["dirty"] is False


def test_csv_and_markdown(three: list[str], call: Caller) -> None:
    """CSV has every field, Markdown the columns of the table."""
    rows = list(csv.DictReader(io.StringIO(call("runs", "list", "--format", "csv").out)))
    assert [row["metrics.loss"] for row in rows] == ["0.75", "0.25", "0.5"]
    assert rows[0]["code.dirty"] == "false"
    shown = call("runs", "list", "--format", "md", "--columns", "name,params.lr")
    assert shown.lines == ["| NAME | lr |", "|---|---:|", "| three | 1 |", "| two | 0.01 |",
                           "| one | 0.1 |"]  # fmt: skip


def test_a_document_says_when_and_not_how_long_ago(three: list[str], call: Caller) -> None:
    """Markdown is pasted somewhere, and read later."""
    head, _, first, *_ = call("runs", "list", "--format", "md").lines
    assert head.split(" | ")[3] == "TIME"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", first.split(" | ")[3])


def test_filter_order_and_limit(three: list[str], call: Caller) -> None:
    """MLflow's language; what the limit leaves out is counted."""
    names = ("runs", "list", "--columns", "name")
    assert call(*names, "-f", "params.lr < 0.5").lines[1:] == ["two", "one"]
    assert call(*names, "-o", "metrics.loss DESC").lines[1:] == ["three", "one", "two"]
    shown = call(*names, "-o", "metrics.loss", "-n", 1)
    assert shown.lines[1:] == ["two"]
    assert shown.err == "2 more runs; see --limit\n"
    assert call(*names, "-n", 0).lines[1:] == ["three", "two", "one"]


def test_a_filter_that_can_not_be_read(three: list[str], call: Caller) -> None:
    """The error points at the column."""
    assert "column 15" in call("runs", "list", "-f", "metrics.loss >", code=2).err


@pytest.mark.parametrize(
    ("filter", "hint"),
    [
        ("metrics.los < 1", "; no run has a metric 'los'; did you mean 'loss'?"),
        ("params.lr = 7 AND params.rate = 1", "; no run has a param 'rate'"),
        ("metrics.loss.min > 5 AND metrics.loss > 5", ""),
        ("tags.mlflow.parentRunId = 'x'", ""),
    ],
)
def test_nothing_found_names_a_key_that_no_run_has(
    three: list[str], call: Caller, filter: str, hint: str
) -> None:
    """A misspelt metric would look like a training without results."""
    assert call("runs", "list", "--filter", filter).err == f"no run matches{hint}\n"


def test_an_order_by_what_no_run_has_is_told(three: list[str], call: Caller) -> None:
    """The runs come as they would without it; what was misspelt is named beside them."""
    shown = call("runs", "list", "--order-by", "metrics.los DESC", "-c", "name")
    assert shown.lines == ["NAME", "three", "two", "one"]
    assert "--order-by has no effect: no run has a metric 'los'; did you mean 'loss'?" in shown.err
    assert call("runs", "list", "--order-by", "metrics.loss, params.lr, start_time").err == ""


def test_an_experiment_is_named(three: list[str], call: Caller) -> None:
    """Runs of several experiments say which; one can be picked; a misspelt one is told."""
    gitml.set_experiment("churn")
    record("four", 0.1)
    gitml.set_experiment("default")
    assert "EXPERIMENT" in call("runs", "list").lines[0]
    assert call("runs", "list", "-e", "churn", "-c", "name").lines == ["NAME", "four"]
    assert "did you mean 'churn'?" in call("runs", "list", "-e", "chrn", code=2).err


def test_columns_are_chosen(three: list[str], call: Caller) -> None:
    """By name or by pattern; a column that no run has is empty, one that can't be is an error."""
    shown = call("runs", "list", "-n", 1, "-c", "id,params.*,tags.team,metrics.zzz")
    assert shown.lines[0].split() == ["ID", "lr", "model", "team", "zzz", "↑"]
    assert shown.lines[1].split() == [three[2], "1", "mlp", "ml"]
    assert "did you mean 'status'?" in call("runs", "list", "-c", "statsu", code=2).err
    assert "no run has a column" in call("runs", "list", "-c", "params.x*", code=2).err


def test_columns_are_for_tables(three: list[str], call: Caller) -> None:
    """CSV and JSON have every field, and say so when columns are chosen."""
    for format in ("csv", "json"):
        refused = call("runs", "list", "-c", "run", "--format", format, code=2)
        assert "has every field" in refused.err


def test_a_curve_of_no_metric(three: list[str], call: Caller) -> None:
    """A misspelt metric is met with a suggestion."""
    assert "did you mean 'loss'?" in call("runs", "list", "-m", "los", code=2).err


def test_a_curve_in_every_line(three: list[str], call: Caller) -> None:
    """--metric draws how the metric came to its last value."""
    shown = call("runs", "list", "--metric", "loss")
    assert ["█▁" in line for line in shown.lines] == [False, True, True, True]


def test_a_listing_fits_the_terminal(repo: Path, call: Caller, screen: None) -> None:
    """On 80 columns, what has no room is named instead of wrapped; colours are on."""
    for number in range(2):
        with gitml.start_run(run_name=f"a-rather-long-name-of-a-run-{number}"):
            gitml.log_metrics({f"metric_number_{at}": at + number / 10 for at in range(12)})
            gitml.log_params({f"param_number_{at}": "x" * 60 + str(number) for at in range(12)})
    shown = call("runs", "list")
    assert "\x1b[" in shown.out
    assert all(cell_len(uncoloured(line)) <= 80 for line in shown.lines)
    remark = uncoloured(shown.err).splitlines()
    assert remark[0].startswith("no room for metric_number_")
    assert all(len(line) <= 80 for line in remark)


def uncoloured(text: str) -> str:
    """Text without the sequences that set colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_no_colours_when_nobody_wants_them(
    three: list[str], call: Caller, screen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR is honoured, and what is no terminal gets none."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in call("runs", "list").out
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b" not in call("runs", "list").out


def test_code_drift_is_shown() -> None:
    """A run whose code changed under it carries a mark wherever it is listed."""
    run = RunRecord("0" * 32, "a", "e", "e", "FINISHED", 0, code=Code(drift=("m.py",)))
    sheet = Sheet([run], now=0)
    assert sheet.table().rows[0][0].text == "00000000!"
    assert legend([run]) == ["! its code changed while it was running"]
    page = [str(line) for line in Page(RunView(run, None, {}), now=0).lines()]
    assert any("m.py changed while the run was going on" in line for line in page)
    shown = [str(line) for line in lines(compare([run, run]), 80)]
    assert "  code drift  m.py              m.py" in shown


def test_live_lost_and_dead_runs(repo: Path, call: Caller) -> None:
    """A live run is RUNNING; one whose process was killed is recorded on the way, quietly."""
    script = (
        "import gitml, os, signal\n"
        "gitml.start_run(run_name='killed'); gitml.log_metric('loss', 1)\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False, cwd=repo)
    with gitml.start_run(run_name="live"):
        shown = call("runs", "list", "-c", "name,status")
    assert [line.split() for line in shown.lines[1:]] == [["live", "RUNNING"], ["killed", "KILLED"]]
    assert shown.err == ""


def test_a_run_that_can_not_be_read_is_told(repo: Path, call: Caller) -> None:
    """It hides no other."""
    well, damaged = make_runs(2)
    append(repo, [well], files=[(f"{path_of(damaged)}/run.json", b"{")])
    shown = call("runs", "list", "-c", "name")
    assert shown.lines == ["NAME", well.name]
    assert damaged.run_id in shown.err


def path_of(record: RunRecord) -> str:
    """A run's folder in the ledger."""
    return run_path(record.experiment_id, record.run_id)


# -- show --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (Code(tree="b" * 40, branch="main", dirty=True), "main, before its first commit"),
        (Code(tree="b" * 40), "no commit"),
        (Code("a" * 40, branch="main", dirty=True), f"main {'a' * 12} with uncommitted changes"),
    ],
)
def test_the_code_of_a_run_in_words(code: Code, words: str) -> None:
    """A branch that nobody has committed to has no uncommitted changes: it has nothing else."""
    run = RunRecord("0" * 32, "a", "e", "e", "FINISHED", 0, code=code)
    page = [str(line) for line in Page(RunView(run, None, {}), now=0).lines()]
    assert f"  code        {words}" in page


@pytest.mark.parametrize(("count", "words"), [(1, "1 unreadable line"), (2, "2 unreadable lines")])
def test_lines_of_a_journal_that_were_lost_are_counted(count: int, words: str) -> None:
    """A damaged journal's run says so on its page."""
    session = Session("start", "node-7", 4711, 0, 0, skipped=count)
    run = RunRecord("0" * 32, "a", "e", "e", "FINISHED", 0, sessions={"start": session})
    page = [str(line).rstrip() for line in Page(RunView(run, None, {}), now=0).lines()]
    assert any(line.endswith(f"  {words}") for line in page)


def test_a_run_is_shown_whole(three: list[str], call: Caller, git: Git) -> None:
    """Its code, params, metrics with curves, tags, artifacts and environment."""
    shown = call("runs", "show", "two").out
    assert shown.splitlines()[0].startswith(f"two  {three[1][-8:]}  FINISHED")
    head = git("rev-parse", "HEAD")
    for text in (three[1], head[:12], "mlp", "0.25", "█▁", "notes/a.txt", "team", "python"):
        assert text in shown


@pytest.mark.parametrize("name", ["id", "prefix", "suffix", "shown", "latest"])
def test_a_run_is_named_in_many_ways(three: list[str], call: Caller, name: str) -> None:
    """Id, part of an id, the beginning of what a listing shows of it, or latest."""
    newest = three[2]
    text = {
        "id": newest, "prefix": newest[:-1], "suffix": newest[-6:], "shown": newest[-8:-3],
        "latest": "latest",
    }[name]  # fmt: skip
    assert call("runs", "show", text, "--format", "json").json["run_id"] == newest


def test_a_run_that_is_not_there(three: list[str], call: Caller) -> None:
    """Neither an unknown name nor one of two runs means one."""
    assert "no run is called 'nope'" in call("runs", "show", "nope", code=2).err
    record("two", 0.5)
    assert "name one by its id" in call("runs", "show", "two", code=2).err


def test_the_json_of_a_run_is_its_record(three: list[str], call: Caller, git: Git) -> None:
    """It is what run.json holds, the first and the newest run commit, and who changed it."""
    shown = call("runs", "show", "one", "--format", "json").json
    assert shown.pop("changes") == []
    commit, first, author = (shown.pop(key) for key in ("run_commit", "first_commit", "author"))
    assert shown == json.loads(git("show", f"{commit}:.gitml/run/run.json"))
    assert (first, author) == (commit, "Ada Example")


def test_a_changed_run_is_known_by_its_first_commit(
    repo: Path, call: Caller, git: Git, screen: None
) -> None:
    """It is the one that `git show` reads well; the newest is named beside it."""
    (repo / "train.py").write_text("print('edited')\n", encoding="utf-8")
    record("one", 0.5)
    first = call("runs", "show", "one", "--format", "json").json["run_commit"]
    assert fact(call("runs", "show", "one").lines, "commit") == first
    for stage in ("candidate", "final"):
        call("runs", "tag", "one", f"stage={stage}")
    shown = call("runs", "show", "one", "--format", "json").json
    newest = shown["run_commit"]
    assert newest != first
    assert shown["first_commit"] == first
    assert fact(call("runs", "show", "one").lines, "commit") == f"{first}, changed in {newest[:12]}"
    assert "+print('edited')" in git("show", first)
    assert "+print('edited')" not in git("show", newest)


def test_who_changed_a_run_is_shown(repo: Path, call: Caller, git: Git) -> None:
    """Each change is a commit, with its author and a word on what he did."""
    record("one", 0.5)
    for name, tag in (("Ann", "stage=candidate"), ("Ben", "stage=final")):
        git("config", "user.name", name)
        call("runs", "tag", "one", tag)
    lines = call("runs", "show", "one").lines
    at = lines.index("Changes")
    told = [line.split()[4:6] for line in lines[at + 2 : at + 4]]
    assert told == [["Ann", "(stage=candidate)"], ["Ben", "(stage=final)"]]
    document = call("runs", "show", "one", "--format", "json").json
    assert [change["author"] for change in document["changes"]] == ["Ann", "Ben"]
    assert document["changes"][-1]["commit"] == document["run_commit"]
    assert "(stage=final)" in document["changes"][-1]["subject"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Ada Example", "Ada Example"), (getpass.getuser().upper(), None), ("", None)],
)
def test_the_author_of_a_run_is_shown_where_he_is_not_the_user(
    repo: Path, call: Caller, git: Git, name: str, shown: str | None
) -> None:
    """The user is whom the system calls so; the commit carries the name that git knows."""
    git("config", "user.name", name)
    record("one", 0.5)
    assert fact(call("runs", "show", "one").lines, "author") == shown
    document = call("runs", "show", "one", "--format", "json").json
    assert document["author"] == (name or None)


def fact(lines: list[str], key: str) -> str | None:
    """What the top of a run's page says of `key`."""
    words = (uncoloured(line).strip().partition(" ") for line in lines)
    return next((rest.strip() for name, _, rest in words if name == key), None)


def test_charts_are_chosen(repo: Path, call: Caller) -> None:
    """The most telling three are drawn, or those that were asked for."""
    with gitml.start_run(run_name="r"):
        for key in ("loss", "val_loss", "acc", "system/cpu", "zeta"):
            for step in range(4):
                gitml.log_metric(key, 1 / (step + 1), step=step)
    shown = call("runs", "show", "r").out.splitlines()
    titles = [
        shown[at - 1].strip() for at, line in enumerate(shown) if line.lstrip().startswith("1 ┤")
    ]
    assert titles == ["val_loss", "acc", "loss"]
    shown = call("runs", "show", "r", "-m", "system/cpu").out.splitlines()
    titles = [
        shown[at - 1].strip() for at, line in enumerate(shown) if line.lstrip().startswith("1 ┤")
    ]
    assert titles == ["system/cpu"]
    assert "it has acc, loss" in call("runs", "show", "r", "-m", "nope", code=2).err


def test_nested_runs_name_one_another(repo: Path, call: Caller) -> None:
    """The parent lists its children, a child its parent."""
    with (
        gitml.start_run(run_name="parent") as parent,
        gitml.start_run(run_name="child", nested=True) as child,
    ):
        pass
    assert f"{child.info.run_id[-8:]} child" in call("runs", "show", "parent").out
    assert parent.info.run_id[-8:] in call("runs", "show", "child").out


def test_a_page_fits_the_terminal(repo: Path, call: Caller, screen: None) -> None:
    """Long names and values are cut to 80 columns."""
    with gitml.start_run(run_name="x" * 60):
        gitml.log_params({f"a-long-param-{'y' * 30}": "z" * 500, "p": "q"})
        for step in range(5):
            gitml.log_metric(f"metric-{'m' * 30}", step * 1e-7, step=step)
        gitml.log_text("x", f"folder/{'f' * 60}/{'g' * 60}.txt")
    shown = call("runs", "show", "latest")
    assert [line for line in shown.lines if cell_len(uncoloured(line)) > 80] == []


# -- diff --------------------------------------------------------------------------------------


def test_two_runs_are_compared(repo: Path, call: Caller) -> None:
    """Params, metrics with their change, environment and code; what is the same is counted."""
    record("one", 0.5, lr=0.1)
    Path("train.py").write_text("print('other')\n", encoding="utf-8")
    record("two", 0.25, lr=0.01)
    shown = call("runs", "diff", "one", "two").out
    assert "Params  1 the same" in shown
    assert "-0.25 (-50.0%)" in shown
    assert "0.25 *" in shown
    assert "train.py  +1  -1  +-" in shown
    assert "Tags" not in shown
    assert "mlp" in call("runs", "diff", "one", "two", "--all").out


def test_the_whole_difference_of_the_code(repo: Path, call: Caller) -> None:
    """--code is a patch that git could apply."""
    record("one", 0.5)
    Path("train.py").write_text("print('other')\n", encoding="utf-8")
    record("two", 0.25)
    shown = call("runs", "diff", "one", "two", "--code").out
    assert shown.startswith("diff --git a/train.py b/train.py\n")
    assert "\n+print('other')\n" in shown
    assert call("runs", "diff", "one", "one", "--code").out == ""


def test_many_runs_are_compared_with_the_first(three: list[str], call: Caller) -> None:
    """Each has a column; the code of each is told."""
    shown = call("runs", "diff", "one", "two", "three").out
    assert "-50.0%" in shown
    assert "+50.0%" in shown
    assert "Code of three  the same as that of one" in shown


def test_the_formats_of_a_comparison(three: list[str], call: Caller) -> None:
    """JSON has everything, CSV a row for each key, Markdown a table for each section."""
    found = call("runs", "diff", "one", "two", "--format", "json").json
    assert [run["run_id"] for run in found["runs"]] == three[:2]
    assert found["metrics"]["loss"]["deltas"] == [0.0, -0.25]
    assert found["params"]["lr"] == {"values": [0.1, 0.01], "same": False}
    assert found["code"] == [[]]
    rows = list(
        csv.DictReader(io.StringIO(call("runs", "diff", "one", "two", "--format", "csv").out))
    )
    assert {"section": "params", "key": "lr", three[0]: "0.1", three[1]: "0.01"} in rows
    shown = call("runs", "diff", "one", "two", "--format", "md").out
    assert "### Metrics" in shown
    assert "| loss ↓ |" in shown


def test_changed_data_and_artifacts_are_compared(repo: Path, call: Caller) -> None:
    """With size, digest and where they are; what DVC has otherwise is told, as `runs show` does."""
    pointer = f"outs:\n- md5: {'0' * 32}\n  size: 4\n  path: big.csv\n"
    (repo / "big.csv.dvc").write_text(pointer, encoding="utf-8")
    for name in ("one", "two"):
        (repo / "big.csv").write_text(f"a\n{name}\n", encoding="utf-8")
        with gitml.start_run(run_name=name):
            gitml.log_input(repo / "big.csv")
            gitml.log_text(name * 100_000, "model.bin")
            gitml.log_text("same", "same.txt")
            gitml.log_text(name, f"{name}.txt")
    shown = [re.sub(" +", " ", line.strip()) for line in call("runs", "diff", "one", "two").lines]
    assert "Artifacts 1 the same" in shown
    data = next(line for line in shown if line.startswith("big.csv 6 B, dvc, changed, "))
    assert data.count("dvc, changed") == 2
    (model,) = (line for line in shown if line.startswith("model.bin"))
    assert re.fullmatch(
        r"model\.bin 300 kB, dvc, [0-9a-f]{8} 300 kB, dvc, changed, [0-9a-f]{8}", model
    )
    assert re.fullmatch(r"two\.txt - 3 B, git, [0-9a-f]{8}", shown[shown.index(model) + 2])
    shown = call("runs", "diff", "one", "two", "--format", "md").lines
    assert any(line.startswith("| model.bin | 300 kB, dvc, ") for line in shown)
    found = call("runs", "diff", "one", "two", "--format", "json").json
    assert found["data"]["big.csv"]["sources"] == ["dvc, changed", "dvc, changed"]
    assert found["artifacts"]["model.bin"]["where"] == ["artifacts/model.bin.dvc"] * 2
    assert found["artifacts"]["same.txt"]["same"]


def test_of_many_artifacts_that_differ_some_are_shown(repo: Path, call: Caller) -> None:
    """The rest is counted; --all shows every one."""
    for name in ("one", "two"):
        with gitml.start_run(run_name=name):
            for number in range(23):
                gitml.log_text(name, f"files/{number:02}.txt")
    shown = call("runs", "diff", "one", "two").out
    assert "Artifacts  3 more differ" in shown
    assert "files/19.txt" in shown
    assert "files/20.txt" not in shown
    assert "files/22.txt" in call("runs", "diff", "one", "two", "--all").out


def test_long_values_show_where_they_differ(repo: Path, call: Caller, screen: None) -> None:
    """What they begin with alike gives way to what tells them apart."""
    for name in ("one", "two"):
        with gitml.start_run(run_name=name):
            gitml.log_param("path", f"s3://a-bucket/with/a/very/long/path/to/the/data/{name}.csv")
    shown = call("runs", "diff", "one", "two").out
    assert "…one.csv" in shown
    assert "…two.csv" in shown


def test_a_comparison_needs_two(three: list[str], call: Caller) -> None:
    """One run is not compared with anything."""
    assert "two runs or more" in call("runs", "diff", "one", code=2).err


def test_a_comparison_fits_the_terminal(three: list[str], call: Caller, screen: None) -> None:
    """Three runs stand side by side in 80 columns."""
    shown = call("runs", "diff", "one", "two", "three")
    assert all(cell_len(uncoloured(line)) <= 80 for line in shown.lines)


# -- artifacts, checkout -----------------------------------------------------------------------


def test_artifacts_are_listed_and_downloaded(
    three: list[str], call: Caller, tmp_path: Path
) -> None:
    """All, or those in a folder; what is not there is an error."""
    listed = call("runs", "artifacts", "one", "--format", "json").json
    assert [(item["path"], item["size"], item["where"]) for item in listed] == [
        ("notes/a.txt", 5, "git")
    ]
    assert call("runs", "artifacts", "one", "notes").lines[1].split()[:4] == [
        "notes/a.txt", "5", "B", "git",
    ]  # fmt: skip
    call("runs", "artifacts", "one", "notes", "--download", tmp_path / "got")
    assert (tmp_path / "got/notes/a.txt").read_text() == "hello"
    assert "no artifact 'nope'" in call("runs", "artifacts", "one", "nope", code=2).err


def test_data_that_differs_from_its_pointer_is_shown_so(repo: Path, call: Caller) -> None:
    """DVC has other data than this run used; a reviewer must not take one for the other."""
    (repo / "big.csv").write_text("a\n1\n", encoding="utf-8")
    pointer = f"outs:\n- md5: {'0' * 32}\n  size: 4\n  path: big.csv\n"
    (repo / "big.csv.dvc").write_text(pointer, encoding="utf-8")
    with gitml.start_run(run_name="changed"):
        gitml.log_input(repo / "big.csv")
    assert "dvc, changed" in call("runs", "show", "changed").out


def test_a_download_replaces_no_file_that_differs(
    three: list[str], call: Caller, tmp_path: Path
) -> None:
    """It may be the only copy of somebody's work; --force replaces it."""
    download = ("runs", "artifacts", "one", "--download", tmp_path)
    call(*download)
    call(*download)  # the same file again is no trouble
    (tmp_path / "notes/a.txt").write_text("edited", encoding="utf-8")
    assert "a.txt' is there, and differs" in call(*download, code=2).err
    assert (tmp_path / "notes/a.txt").read_text() == "edited"
    call(*download, "--force")
    assert (tmp_path / "notes/a.txt").read_text() == "hello"


def test_a_live_run_has_artifacts_to_list(repo: Path, call: Caller, tmp_path: Path) -> None:
    """They can be downloaded once it ends."""
    with gitml.start_run(run_name="live"):
        gitml.log_text("x", "a.txt")
        assert call("runs", "artifacts", "live").lines[1].split()[3] == "live"
        call("runs", "artifacts", "live", "-d", tmp_path / "got", code=2)


def test_a_run_is_checked_out(three: list[str], call: Caller, repo: Path) -> None:
    """The folder's name is what a script gets."""
    shown = call("runs", "checkout", "two", "--artifacts")
    assert shown.out == "../repo-two\n".replace("/", os.sep)
    assert (repo.parent / "repo-two/.gitml/run/artifacts/notes/a.txt").is_file()
    assert "not empty" in call("runs", "checkout", "two", code=2).err


# -- changes -----------------------------------------------------------------------------------


def test_tags_are_set_and_deleted(three: list[str], call: Caller) -> None:
    """A value may hold anything, '=' too; a key without a value is asked for."""
    call("runs", "tag", "one", "a=b=c", "empty=", "--delete", "team")
    assert call("runs", "show", "one", "--format", "json").json["tags"] == {
        "a": "b=c", "empty": "", "team": None,
    }  # fmt: skip
    assert "--delete a" in call("runs", "tag", "one", "a", code=2).err
    assert "the run comes first" in call("runs", "tag", "a=b", "one", code=2).err
    assert "has no tag 'zzz'" in call("runs", "tag", "one", "-d", "zzz", code=2).err
    assert "name a tag" in call("runs", "tag", "one", code=2).err


def test_tags_of_mlflow_set_fields(three: list[str], call: Caller) -> None:
    """Name and description are set by their tags, as in MLflow."""
    call("runs", "tag", three[0], "mlflow.runName=better", "mlflow.note.content=a note")
    run = gitml.get_run(three[0])
    assert (run.info.run_name, run.data.tags["mlflow.note.content"]) == ("better", "a note")
    assert call("runs", "list", "--filter", "description = 'a note'").lines
    assert call("runs", "show", "better").lines
    call("runs", "tag", three[0], "-d", "mlflow.note.content")
    assert "mlflow.note.content" not in gitml.get_run(three[0]).data.tags
    assert "run name" in call("runs", "tag", three[0], "-d", "mlflow.runName", code=2).err


def test_runs_are_deleted_and_restored(three: list[str], call: Caller) -> None:
    """A deleted run is out of the listings until it is asked for or restored."""
    call("runs", "delete", "one", "two")
    names = ("runs", "list", "-c", "name,status")
    assert call(*names).lines[1:] == ["three  FINISHED"]
    assert call(*names, "--deleted").lines[1:] == ["two   deleted", "one   deleted"]
    assert len(call(*names, "--all").lines) == 4
    call("runs", "restore", "two")
    assert len(call(*names).lines) == 3
    assert call("runs", "delete", "one", three[0]).out.startswith("1 run deleted")


# -- export ------------------------------------------------------------------------------------


def test_runs_are_exported(three: list[str], call: Caller, tmp_path: Path) -> None:
    """To a file or to standard output, as CSV or as the JSON of a listing."""
    file = tmp_path / "runs.json"
    shown = call("runs", "export", "--format", "json", "--output", file, "-f", "params.lr < 1")
    assert (shown.out, shown.err) == ("", f"2 runs written to {file}\n")
    listed = call("runs", "list", "--format", "json").json
    assert json.loads(file.read_text(encoding="utf-8")) == listed[1:]
    rows = list(csv.DictReader(io.StringIO(call("runs", "export").out)))
    assert [row["params.lr"] for row in rows] == ["1", "0.01", "0.1"]


def test_the_name_of_the_file_tells_its_format(
    three: list[str], call: Caller, tmp_path: Path
) -> None:
    """Unless --format does."""
    call("runs", "export", "-O", tmp_path / "runs.json")
    assert len(json.loads((tmp_path / "runs.json").read_text())) == 3
    call("runs", "export", "-O", tmp_path / "runs.json", "--format", "csv")
    assert (tmp_path / "runs.json").read_text().startswith("run_id,")
    call("runs", "export", "-O", tmp_path / "runs")
    assert (tmp_path / "runs").read_text().startswith("run_id,")


def test_a_file_of_another_format_is_not_written(
    three: list[str], call: Caller, tmp_path: Path
) -> None:
    """A spreadsheet that holds CSV would be a surprise; --format says that it is meant."""
    file = tmp_path / "runs.XLS"
    said = call("runs", "export", "-O", file, code=2).err
    assert "no format is called 'xls'" in said
    assert ".csv, .json, .parquet, or choose one with --format" in said
    assert not file.exists()
    call("runs", "export", "-O", file, "--format", "csv")
    assert file.read_text().startswith("run_id,")


def test_runs_are_exported_as_parquet(three: list[str], call: Caller, tmp_path: Path) -> None:
    """Every column has a type: times are times, metrics doubles."""
    parquet = pytest.importorskip("pyarrow.parquet")
    call("runs", "export", "--format", "parquet", "--output", tmp_path / "runs.parquet")
    table = parquet.read_table(tmp_path / "runs.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["start_time"] == "timestamp[ms, tz=UTC]"
    assert (kinds["metrics.loss"], kinds["params.lr"]) == ("double", "double")
    assert (kinds["deleted"], kinds["run_id"]) == ("bool", "string")
    assert table.column("run_id").to_pylist() == three[::-1]
    assert "--output" in call("runs", "export", "--format", "parquet", code=2).err


# -- completion --------------------------------------------------------------------------------


def completed(word: str, *args: str) -> Iterator[str]:
    """What the shell is offered for a word after some, by default for `gitml runs show WORD`."""
    from click.shell_completion import ShellComplete

    from gitml.cli.main import cli

    for item in ShellComplete(cli, {}, "gitml", "_X").get_completions(
        ["runs", *(args or ["show"])], word
    ):
        yield item.value


def test_runs_are_completed(three: list[str]) -> None:
    """Names first; ids once something was typed; nothing without a repository."""
    assert list(completed("")) == ["latest", "three", "two", "one"]
    assert three[0][-8:] in list(completed(three[0][-8:-4]))
    assert list(completed("t")) == ["three", "two"]


def test_what_runs_have_is_completed(three: list[str]) -> None:
    """Experiments, metrics, and the artifacts of the run that the line names."""
    assert list(completed("d", "list", "-e")) == ["default"]
    assert list(completed("", "list", "-m")) == ["loss"]
    assert list(completed("l", "show", "one", "--metric")) == ["loss"]
    assert list(completed("n", "artifacts", "one")) == ["notes", "notes/a.txt"]
    assert list(completed("n", "artifacts", "nobody")) == []


def test_completion_is_silent_without_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong, the line that is being typed stays clean."""
    monkeypatch.chdir(tmp_path)
    assert list(completed("")) == []
    assert list(completed("", "list", "-e")) == []
