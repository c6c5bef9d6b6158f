"""The measurements run, on tiny sizes; what they measure is no test."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.app import main
from benchmarks.bench import Bench, Side, Sizes, compare, run, task
from benchmarks.groups import GROUPS
from benchmarks.machine import about
from benchmarks.peers import Peers, analyze, fill, version_of
from benchmarks.row import Figure, Limit, MeasureError, Row, Unit, figure_of, shown

TINY = Sizes(
    ledgers=(1, 30), peer_ledger=30, files=20, few_files=3, calls=100, peer_calls=10, batch=10,
    points=200, runs=2, packed=3, writers=2, written=2, starts=1, repeat=1, models=2, versions=2,
    load=0.1,
)  # fmt: skip
SLOW = {"artifacts", "serving"}  # DVC's own commands take a second each, as servers do


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench whose repositories the tests of this file share."""
    return Bench(tmp_path_factory.mktemp("bench"), TINY)


def rows_of(name: str, bench: Bench) -> list[Row]:
    """The rows of a group, without MLflow."""
    return list(GROUPS[name](bench, Peers(bench)))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in GROUPS]
)
def test_every_group_measures_gitml(name: str, bench: Bench) -> None:
    """Every group gives rows, and each has a figure of gitml's."""
    rows = rows_of(name, bench)
    reasons = [row.gitml for row in rows if isinstance(row.gitml, str)]

    assert rows
    assert reasons == []


def test_writers_lose_no_run(bench: Bench) -> None:
    """What the writers say they recorded is counted in the ledger."""
    for row in rows_of("writers", bench):
        assert isinstance(row.gitml, Figure)
        assert row.gitml.remark == "0 of 4 lost"


def test_a_side_that_fails_is_a_reason_in_the_row(bench: Bench) -> None:
    """A peer that can't do a task leaves its error in the row, and the others' figures stand."""
    repo = bench.repository("start")
    ours = bench.gitml(repo)
    broken = Side("broken", "no_such_module", ours.python, repo, ours.variables)
    measure = task("log_many", metrics=2, repeat=1)

    row = compare("x", Unit.SECONDS, measure, ours, [broken])

    assert isinstance(row.gitml, Figure)
    assert row.peers == (
        ("broken", "failed: ModuleNotFoundError: No module named 'no_such_module'"),
    )


def test_a_program_that_takes_too_long_is_stopped(bench: Bench, tmp_path: Path) -> None:
    """Patience has an end, and the row says so."""
    command = [bench.python, "-c", "import time; time.sleep(60)"]
    with pytest.raises(MeasureError, match=r"^more than 0 s, stopped$"):
        run(command, tmp_path, bench.variables(), 0.2)


def test_programs_get_none_of_the_users_settings(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of gitml, MLflow, DVC, git and of developers do not reach what is measured."""
    names = {"GITML_SPOOL", "MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE"}
    for name in names:
        monkeypatch.setenv(name, "1")
    variables = bench.variables()
    assert not names & set(variables)
    assert variables["HOME"] == str(bench.work / "home")


def test_a_ledger_has_the_records_that_mlflows_database_gets(bench: Bench) -> None:
    """Both sides search the same runs."""
    repo = bench.repository(runs=30)
    names = bench.git(repo, "ls-tree", "-r", "--name-only", "gitml/runs").split()
    recorded = {name.split("/")[-2] for name in names if name.endswith("/run.json")}
    assert {record.run_id for record in bench.records(30)} <= recorded


TABLES = """
CREATE TABLE runs (run_uuid PRIMARY KEY, name, user_id, status, source_type, source_name,
    entry_point_name, source_version, start_time, end_time, lifecycle_stage, artifact_uri,
    experiment_id);
CREATE TABLE params (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
CREATE TABLE tags (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
CREATE TABLE metrics (key, value, timestamp, step, run_uuid, is_nan,
    PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE TABLE latest_metrics (key, value, timestamp, step, run_uuid, is_nan,
    PRIMARY KEY (key, run_uuid));
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty database with the tables and keys of MLflow's that are filled."""
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    connection.executescript(TABLES)
    yield connection
    connection.close()


def test_mlflows_database_is_filled_as_mlflow_does(
    database: sqlite3.Connection, bench: Bench, tmp_path: Path
) -> None:
    """A run has its params as text, five points for each metric, and the last of them."""
    record = next(iter(bench.records(1)))
    fill(tmp_path / "mlflow.db", bench.records(3), experiment=7)
    analyze(tmp_path / "mlflow.db")

    def asked(query: str) -> list[tuple[object, ...]]:
        return database.execute(query).fetchall()

    assert asked("SELECT count(*), min(experiment_id) FROM runs") == [(3, 7)]
    assert asked("SELECT count(*) FROM metrics") == [(3 * 50,)]
    last = dict(asked(f"SELECT key, value FROM latest_metrics WHERE run_uuid = '{record.run_id}'"))
    assert last == {key: item.last for key, item in record.metrics.items()}
    params = dict(asked(f"SELECT key, value FROM params WHERE run_uuid = '{record.run_id}'"))
    assert params == {key: str(value) for key, value in record.params.items()}


def test_an_interpreter_without_mlflow_is_no_peer(bench: Bench, tmp_path: Path) -> None:
    """Where MLflow is not, there is nothing to compare with, and nothing fails."""
    assert version_of(str(tmp_path / "python")) is None
    assert list(Peers(bench).sides(tmp_path, "x")) == []
    assert list(Peers(bench).analyzed(tmp_path, 30)) == []


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (3.1e-6, Unit.SECONDS, "3.10 us"),
        (0.0123, Unit.SECONDS, "12.3 ms"),
        (2.5, Unit.SECONDS, "2.50 s"),
        (2930, Unit.BYTES, "2.93 kB"),
        (1779, Unit.MODULES, "1,779 modules"),
        (0.0, Unit.SECONDS, "0 us"),
    ],
)
def test_figures_are_shown_in_a_unit_of_their_size(value: float, unit: Unit, expected: str) -> None:
    """Three digits, and a unit that fits."""
    assert shown(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "limit", "verdict"),
    [
        (5.0, Limit(5), "met"),
        (5.1, Limit(5), "**not met**"),
        (80.0, Limit(80, at_least=True), "met"),
        (79.0, Limit(80, at_least=True), "**not met**"),
        (1.0, None, ""),
    ],
)
def test_a_figure_is_held_against_its_target(
    value: float, limit: Limit | None, verdict: str
) -> None:
    """A limit is a largest value, or a smallest."""
    assert Row("x", Unit.SECONDS, Figure(value), limit).verdict == verdict


def test_ratios_say_how_many_times_better_gitml_is() -> None:
    """Above 1 gitml is the better one, for times and for rates."""
    time = Row("x", Unit.SECONDS, Figure(0.5))
    rate = Row("x", Unit.RUNS_PER_SECOND, Figure(100.0))
    assert time.times(Figure(2.0)) == 4
    assert rate.times(Figure(25.0)) == 4


def test_a_row_on_the_page_has_a_cell_for_each_column() -> None:
    """The table is valid Markdown, whatever stands in a cell, and a note is below it."""
    peers = (("MLflow", Figure(2.0)), ("other", "failed: a | b"))
    figure = figure_of([0.3, 0.1, 0.2], cpu=0.05)
    row = Row("run", Unit.SECONDS, figure, Limit(1.0), peers, "why", load=0.25)

    text = report.page({"date": "today"}, {"Runs": [row]})

    head, rule, line = [line for line in text.splitlines() if line.startswith("|")]
    columns = head.count("|")
    assert line.replace("\\|", "").count("|") == columns == rule.count("|")
    assert "| run | 200 ms | 100 ms | 50 ms | ≤ 1 s | met |" in line
    assert "MLflow: 2 s (10x)<br>other: failed: a \\| b" in line
    assert "- run: why" in text


def test_the_machine_is_described(tmp_path: Path) -> None:
    """A reader learns the date, the machine and the programs."""
    found = about(tmp_path, Path(__file__).parent)
    assert {"date", "machine", "system", "disk", "programs", "gitml"} <= set(found)
    assert all(found.values())


def test_the_command_line_writes_the_page_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One group is printed, and written with `--output`; the results in the repository stay."""
    monkeypatch.setattr("benchmarks.app.QUICK", TINY)
    target = tmp_path / "page.md"

    assert main(["--quick", "--only", "size", "--output", str(target)]) == 0

    assert "a run on the disk, packed" in capsys.readouterr().out
    assert "(`--only size`)" in target.read_text(encoding="utf-8")


def test_an_interpreter_that_lacks_mlflow_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever names an interpreter wants the comparison."""
    assert main(["--mlflow-python", str(tmp_path / "python")]) == 2
    assert "can't import MLflow" in capsys.readouterr().err
