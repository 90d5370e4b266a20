"""What a person sees who gets an input wrong: one clear line that names it, and no traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.cli import main
from tests.support.commands import Home
from tests.support.tiny_bundle import make_tiny_store
from tests.support.visits import made_up_visits, write_days

TRAIN = ("train", "--features", "features")
EVALUATE = ("evaluate", "--bundle", "shop:latest", "--from", "2024-05-02")
SCORE = ("score", "--bundle", "shop:latest", "--out", "scores.parquet")
PARITY = ("parity", "--bundle", "shop:latest")

# Status, stdout and stderr of a command.
Ended = tuple[int | str | None, str, str]
Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days with a few visits each, too few to learn from."""
    folder = tmp_path_factory.mktemp("events")
    return write_days(folder, made_up_visits(60, days=3))


@pytest.fixture(scope="module")
def bentoml_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with one bundle, `shop`, that no test changes."""
    folder = tmp_path_factory.mktemp("bentoml")
    make_tiny_store(folder / "models")
    return folder


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    days: Path,
    bentoml_home: Path,
) -> Run:
    """Run a command in a folder with `events`, without the cost of a process of its own."""
    shutil.copytree(days, tmp_path / "events")
    monkeypatch.setenv("BENTOML_HOME", str(bentoml_home))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return ended.value.code, *capsys.readouterr()

    return command


def day_files(folder: Path) -> list[Path]:
    """List the day files."""
    return sorted(folder.glob("*.parquet"))


def assert_refused(ended: Ended, *words: str) -> None:
    """The command ended with 1 and its last line, by the program's name, has these words."""
    status, _, stderr = ended
    assert status == 1
    assert "Traceback" not in stderr
    *_, last = stderr.splitlines()
    assert last.startswith("micromoment: ")
    for word in words:
        assert word in last
    assert stderr.count("micromoment: ") == 1


@pytest.mark.parametrize("command", [TRAIN, EVALUATE, SCORE, PARITY], ids=lambda c: c[0])
def test_a_folder_that_is_not_there(run: Run, command: tuple[str, ...]) -> None:
    """The line names the folder; nothing was made in its place."""
    assert_refused(run(*command, "--events", "nowhere"), "nowhere: is no folder of events")
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("command", [TRAIN, EVALUATE, SCORE, PARITY], ids=lambda c: c[0])
def test_a_folder_without_events(run: Run, command: tuple[str, ...]) -> None:
    """The line says what would have been expected in it."""
    Path("empty").mkdir()
    ended = run(*command, "--events", "empty")
    assert_refused(ended, "empty: holds no YYYY-MM-DD.parquet file of events")


@pytest.mark.parametrize("command", [TRAIN, EVALUATE, SCORE, PARITY], ids=lambda c: c[0])
def test_a_file_without_a_column(run: Run, command: tuple[str, ...]) -> None:
    """The line names file and column."""
    path = day_files(Path("events"))[1]
    pq.write_table(pq.read_table(path).drop_columns(["event_time"]), path)
    assert_refused(run(*command, "--events", "events"), f"{path}: column event_time is missing")


def test_a_file_with_another_type(run: Run) -> None:
    """The line names file, column and both types."""
    path = day_files(Path("events"))[0]
    table = pq.read_table(path)
    place = table.schema.get_field_index("source_seq")
    pq.write_table(table.set_column(place, "source_seq", table["source_seq"].cast("string")), path)
    ended = run(*TRAIN, "--events", "events")
    assert_refused(ended, f"{path}: column source_seq is string, not int64")


def test_a_value_that_is_null(run: Run) -> None:
    """The line names file, row and column, though the file's schema would allow it."""
    path = day_files(Path("events"))[2]
    table = pq.read_table(path)
    place = table.schema.get_field_index("session_id")
    values = table["session_id"].to_pylist()
    values[3] = None
    pq.write_table(table.set_column(place, "session_id", pa.array(values, pa.string())), path)
    assert_refused(run(*SCORE, "--events", "events"), f"{path}: row 3, column session_id is null")
    assert not Path("scores.parquet").exists()


def test_a_file_that_is_cut_off(run: Run) -> None:
    """The line names the file."""
    path = day_files(Path("events"))[1]
    path.write_bytes(path.read_bytes()[:2_000])
    ended = run(*TRAIN, "--events", "events")
    assert_refused(ended, f"{path}: isn't a readable Parquet file")


@pytest.mark.parametrize("command", [TRAIN, EVALUATE, SCORE, PARITY], ids=lambda c: c[0])
def test_a_file_with_another_name(run: Run, command: tuple[str, ...]) -> None:
    """A file that names no day is never left out silently."""
    day_files(Path("events"))[0].rename("events/today.parquet")
    ended = run(*command, "--events", "events")
    assert_refused(ended, "events/today.parquet: isn't named YYYY-MM-DD.parquet")


@pytest.mark.parametrize("history", ["nowhere", "empty"])
def test_a_history_without_events(run: Run, history: str) -> None:
    """The line names the history's folder."""
    Path("empty").mkdir()
    assert_refused(run(*SCORE, "--events", "events", "--history", history), f"{history}: ")


def test_training_until_before_the_first_day(run: Run) -> None:
    """The line names folder and day."""
    ended = run(*TRAIN, "--events", "events", "--until", "2020-01-01")
    assert_refused(ended, "events holds no events until 2020-01-01")


def test_too_few_days(run: Run) -> None:
    """The line says how many there are and how many are needed."""
    first = date.fromisoformat(day_files(Path("events"))[0].stem)
    ended = run(*TRAIN, "--events", "events", "--until", first.isoformat())
    assert_refused(ended, "3 days of events or more, there are 1")


@pytest.mark.slow
def test_too_few_buyers(run: Run, bentoml_home: Path) -> None:
    """The line says in which days, how many there are and how many are needed; nothing is kept."""
    ended = run(*TRAIN, "--events", "events")
    assert_refused(ended, "visits with an order", "20 are needed")
    assert ended[1] == ""
    assert [path.name for path in (bentoml_home / "models").iterdir()] == ["shop"]


def test_evaluating_after_the_last_day(run: Run) -> None:
    """The line names folder and day."""
    ended = run(*EVALUATE[:-1], "2030-01-01", "--events", "events")
    assert_refused(ended, "events holds no events from 2030-01-01 on")


@pytest.mark.parametrize("tag", ["shop:0123456789abcdef", "nothing:latest"])
@pytest.mark.parametrize("command", [EVALUATE, SCORE, PARITY], ids=lambda c: c[0])
def test_a_bundle_that_is_not_there(
    run: Run, bentoml_home: Path, command: tuple[str, ...], tag: str
) -> None:
    """The line names tag and store, and how one gets there."""
    arguments = [tag if word == "shop:latest" else word for word in command]
    ended = run(*arguments, "--events", "events")
    assert_refused(ended, f"bundle {tag}: isn't in the store {bentoml_home}/models", "train")


@pytest.mark.parametrize("tag", ["shop", "shop:", ":latest", "../shop:latest", "shop:../x", ""])
@pytest.mark.parametrize("command", [EVALUATE, SCORE, PARITY], ids=lambda c: c[0])
def test_a_tag_that_is_none(run: Run, command: tuple[str, ...], tag: str) -> None:
    """The line repeats the tag and says how one looks."""
    arguments = [tag if word == "shop:latest" else word for word in command]
    ended = run(*arguments, "--events", "events")
    assert_refused(ended, f"bundle {tag}: a tag has the form name:version")


@pytest.mark.parametrize("name", ["My Shop", "", "../shop", "shop:1", "x" * 64])
def test_a_name_that_no_bundle_can_have(run: Run, name: str) -> None:
    """It is refused before the work begins."""
    assert_refused(run(*TRAIN, "--events", "events", "--name", name), "setting name: ")
    assert not Path("features").exists()


@pytest.mark.parametrize(
    ("command", "option"),
    [(TRAIN, "--features"), (TRAIN, "--store"), (EVALUATE, "--out")],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_a_file_in_the_place_of_a_folder(run: Run, command: tuple[str, ...], option: str) -> None:
    """It is refused before the work begins."""
    Path("file").touch()
    ended = run(*command, "--events", "events", option, "file")
    assert_refused(ended, "file: is or lies below a file")
    assert "✓" not in ended[2]


@pytest.mark.parametrize("out", ["events", "file/scores.parquet"])
def test_scores_that_cannot_be_written(run: Run, out: str) -> None:
    """The line names the place; it is refused before the work begins."""
    Path("file").touch()
    ended = run(*SCORE[:-1], out, "--events", "events")
    assert_refused(ended, f"{out.split('/', maxsplit=1)[0]}: is ")
    assert "✓" not in ended[2]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "CEST+2", "../etc"])
def test_a_time_zone_that_is_none(run: Run, zone: str) -> None:
    """The line names the setting."""
    assert_refused(run(*TRAIN, "--events", "events", "--time-zone", zone), "setting time_zone: ")


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ((*TRAIN, "--events", "e", "--until", "yesterday"), "--until"),
        ((*TRAIN, "--events", "e", "--until", "2021-02-30"), "--until"),
        ((*TRAIN, "--events", "e", "--until", "03.01.2021"), "--until"),
        ((*EVALUATE[:-1], "2021-1-4T10", "--events", "e"), "--from"),
        ((*EVALUATE, "--to", "soon", "--events", "e"), "--to"),
        ((*TRAIN, "--events", "e", "--workers", "0"), "--workers"),
        (TRAIN, "--events"),
    ],
)
def test_what_the_command_line_cannot_read(
    run: Run, arguments: tuple[str, ...], option: str
) -> None:
    """It ends with status 2 and names the option."""
    status, stdout, stderr = run(*arguments)
    assert status == 2
    assert stdout == ""
    assert option in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("nothing/*.parquet", "nothing/*.parquet: no file matches"),
        ("empty", "empty: the folder holds no *.parquet file"),
        ("events", "column event_timestamp is missing"),
    ],
)
def test_an_export_that_is_none(run: Run, pattern: str, words: str) -> None:
    """The line names pattern, folder or column; no events are written."""
    Path("empty").mkdir()
    assert_refused(run("import", "ga4", pattern, "--out", "out"), words)
    assert not list(Path().glob("out/*.parquet"))


def test_a_real_process_ends_alike(tmp_path: Path) -> None:
    """The installed command gives the same status and line as its function does here."""
    done = Home(tmp_path).micromoment("train", "--events", "nowhere")
    assert_refused((done.returncode, done.stdout, done.stderr), "nowhere: is no folder of events")
