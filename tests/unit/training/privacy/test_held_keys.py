"""Keys by which nobody could be found are refused: nothing else tells that from nobody there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder, key_id_of
from micromoment.stores.event_log import OUTSIDE_FILE, LoggedEvent, OutsideVisitLog
from micromoment.stores.log_rows import LogRow, RowKind
from micromoment.stores.log_segments import LogLimits, SegmentWriter
from micromoment.v1 import events_pb2, log_pb2
from tests.support.feature_stores import a_workspace, published
from tests.support.ga4_export import raw, write_export
from tests.support.keyed import BEFORE, K1, K2, ROTATED, UNLINKED, encoder
from training.cli_privacy import register
from training.feature_store import materialize
from training.importers import import_ga4
from training.privacy.held_keys import key_ids_in
from training.rekeying import RekeyRequest, rekey

Made = tuple[str, Path]
Store = Callable[[Path, IdEncoder], Made]
Stores = Callable[[Store, str], Made]
COMMANDS = pytest.mark.parametrize("command", ["erase", "export-user"])


def events_in(folder: Path, ids: IdEncoder) -> Made:
    """Import a visit of `a`."""
    path = write_export(folder / "export" / "events_20210105.parquet", [raw(user="a")])
    import_ga4([path], folder / "events", ids=ids)
    return "--events", folder / "events"


def state_in(folder: Path, ids: IdEncoder) -> Made:
    """Import an order of theirs, whose day is moved away afterwards."""
    rows = [raw("purchase", user="a", transaction_id="o1")]
    path = write_export(folder / "export" / "events_20210105.parquet", rows)
    import_ga4([path], folder / "events", ids=ids)
    (folder / "events" / "2021-01-05.parquet").unlink()
    return "--events", folder / "events"


def features_in(folder: Path, ids: IdEncoder) -> Made:
    """Make a workspace with `a` in its snapshots and online."""
    made = a_workspace(folder)
    materialize(made, published(3))
    if ids.is_on:
        rekey(RekeyRequest(ids, workspace=made.root))
    return "--features", made.root


def online_in(folder: Path, ids: IdEncoder) -> Made:
    """Make what a server has of it: the online rows alone."""
    option, root = features_in(folder, ids)
    for path in root.rglob("*.parquet"):
        path.unlink()
    return option, root


def calls_in(folder: Path, ids: IdEncoder) -> Made:
    """Write a log with a call of theirs."""
    writer = SegmentWriter(folder / "log", "commit", LogLimits(1 << 20, 1e12, 1 << 30))
    body = log_pb2.LoggedCall(bundle="shop:1").SerializeToString()
    names = (ids.encode("s"), ids.encode("a"))
    writer.write([LogRow(1, RowKind.BEGAN, "default", *names, body)])
    writer.close()
    return "--log", folder / "log"


def orders_in(folder: Path, ids: IdEncoder) -> Made:
    """Write a log with an order of theirs from outside a visit."""
    (folder / "log").mkdir()
    outside = OutsideVisitLog(folder / "log" / OUTSIDE_FILE)
    event = events_pb2.Event(event_id="e").SerializeToString()
    outside._append([LoggedEvent(1, "default", ids.encode("a"), "e", event)])
    outside._close()
    return "--log", folder / "log"


def csv_in(folder: Path, ids: IdEncoder) -> Made:
    """Write an audience as CSV."""
    (folder / "a.csv").write_text(f"visitor_id,score\n{ids.encode('a')},1\n")
    return "--table", folder / "a.csv"


def parquet_in(folder: Path, ids: IdEncoder) -> Made:
    """Write a table of scores."""
    pq.write_table(pa.table({"visitor_id": [ids.encode("a"), None]}), folder / "a.parquet")
    return "--table", folder / "a.parquet"


def golden_in(folder: Path, ids: IdEncoder) -> Made:
    """Write a bundle as earlier versions did."""
    bundle = folder / "shop" / "1"
    (bundle / "golden").mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    pq.write_table(pa.table({"visitor_id": [ids.encode("a")]}), bundle / "golden" / "users.parquet")
    return "--bundle-store", folder


STORES = pytest.mark.parametrize(
    "store",
    [
        events_in,
        state_in,
        features_in,
        online_in,
        calls_in,
        orders_in,
        csv_in,
        parquet_in,
    ],
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Store, str], tuple[Path, Made]]:
    """Make each store once."""

    @cache
    def make(store: Store, held: str) -> tuple[Path, Made]:
        folder = tmp_path_factory.mktemp("made")
        return folder, store(folder, encoder(held))

    return make


@pytest.fixture
def stores(made: Callable[[Store, str], tuple[Path, Made]], tmp_path: Path) -> Stores:
    """Give copies of them."""

    def copied(store: Store, held: str) -> Made:
        folder, (option, place) = made(store, held)
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        return option, tmp_path / place.relative_to(folder)

    return copied


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no feature workspace in sight, and no keys."""
    monkeypatch.chdir(tmp_path)
    for name in ("MICROMOMENT_ID_KEYS", "MICROMOMENT_ID_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, keys: str = "", named: str = "a") -> Result:
    """Run a command with keys in the environment and ids from standard input."""
    app = typer.Typer()
    register(app)
    variables = {"MICROMOMENT_ID_KEYS": keys} if keys else {}
    return CliRunner().invoke(app, [*arguments, "--ids", "-"], input=named, env=variables)


def content(folder: Path) -> dict[Path, bytes]:
    """Read all files but those that SQLite keeps beside an open one."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


@COMMANDS
@STORES
@pytest.mark.parametrize(
    ("held", "given"),
    [(BEFORE, ""), (BEFORE, UNLINKED), (ROTATED, K1)],
    ids=["no keys", "another key", "the earlier key"],
)
def test_keys_that_find_nobody_are_refused(
    tmp_path: Path, stores: Stores, command: str, store: Store, held: str, given: str
) -> None:
    """Nothing is changed, and the key that is needed is told; no id and no secret is."""
    option, place = stores(store, held)
    before = content(tmp_path)
    done = run(command, option, str(place), keys=given)
    assert isinstance(done.exception, InvalidDataError), done.output
    told = str(done.exception)
    assert str(place) in told
    assert f"under the key {encoder(held).key_id}," in told
    assert "secret" not in told
    assert content(tmp_path) == before
    assert not done.stdout


@COMMANDS
@STORES
@pytest.mark.parametrize(
    ("held", "given"),
    [
        ("", ""),
        ("", BEFORE),
        (BEFORE, BEFORE),
        (BEFORE, ROTATED),
        (ROTATED, f"{UNLINKED} {ROTATED}"),
    ],
    ids=["plain", "plain, keys", "k1", "k1, with the next", "k2, not the current one"],
)
def test_keys_that_find_people_are_taken(
    tmp_path: Path, stores: Stores, command: str, store: Store, held: str, given: str
) -> None:
    """Whatever else is in the file of keys."""
    option, place = stores(store, held)
    done = run(command, option, str(place), keys=given)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "erased 0 rows" not in done.output
    assert not done.output.startswith("0 rows")


@pytest.mark.parametrize(("given", "status"), [("", 1), (BEFORE, 1)])
def test_bundles_of_earlier_versions_are_asked(tmp_path: Path, given: str, status: int) -> None:
    """Without the key they would be said to hold nobody."""
    option, place = golden_in(tmp_path, encoder(BEFORE))
    done = run("erase", option, str(place), keys=given)
    assert done.exit_code == status
    assert isinstance(done.exception, InvalidDataError) == (not given)
    assert ("shop:1" in done.output) == bool(given)


def test_one_place_is_enough_to_refuse_all(tmp_path: Path) -> None:
    """Nothing is erased anywhere, and no server is asked."""
    plain, keyed = tmp_path / "plain", tmp_path / "keyed"
    places = [*events_in(plain, encoder("")), *events_in(keyed, encoder(BEFORE))]
    before = content(tmp_path)
    done = run("erase", *map(str, places), "--server", "127.0.0.1:1")
    assert isinstance(done.exception, InvalidDataError)
    assert content(tmp_path) == before


def test_a_stored_id_needs_no_key(tmp_path: Path) -> None:
    """Who names people by their pseudonyms has what is looked for."""
    option, place = events_in(tmp_path, encoder(BEFORE))
    stored = encoder(BEFORE).encode("a")
    assert run("erase", option, str(place), named=stored).exit_code == 0
    assert isinstance(
        run("erase", option, str(place), named=f"{stored}\nb").exception, InvalidDataError
    )
    other = encoder(ROTATED).encode("a")
    assert isinstance(run("erase", option, str(place), named=other).exception, InvalidDataError)


@COMMANDS
def test_a_key_that_nobody_has_any_more_is_said_to_be_lost(tmp_path: Path, command: str) -> None:
    """Rows under it are nobody's: people are found among the others."""
    rows = [encoder(one).encode("a") for one in (BEFORE, UNLINKED)]
    (tmp_path / "a.csv").write_text("visitor_id\n" + "\n".join(rows))
    arguments = [command, "--table", "a.csv"]
    assert isinstance(run(*arguments, keys=UNLINKED).exception, InvalidDataError)
    done = run(*arguments, "--lost-key", "k1", keys=UNLINKED)
    assert done.exit_code == 0
    assert "1 rows" in done.output


@COMMANDS
@pytest.mark.parametrize("option", ["--events", "--features"])
def test_a_folder_that_is_not_there_is_refused(command: str, option: str) -> None:
    """A mistyped one holds nobody either."""
    done = run(command, option, "mistyped")
    assert isinstance(done.exception, InvalidDataError)
    assert "mistyped" in str(done.exception)


@COMMANDS
@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", "visitor_id,town\na,K\xf6ln\n"), ("a.parquet", "PAR1")],
    ids=["no UTF-8", "no Parquet"],
)
def test_a_table_that_cannot_be_read_is_refused(command: str, name: str, content: str) -> None:
    """By its name, and before anything is erased."""
    Path(name).write_text(content, encoding="latin-1")
    done = run(command, "--table", name)
    assert isinstance(done.exception, InvalidDataError)
    assert name in str(done.exception)


@COMMANDS
def test_no_store_is_an_error(tmp_path: Path, command: str) -> None:
    """Also where a workspace is that other commands take by default: it is not all there is."""
    assert run(command).exit_code == 2
    (tmp_path / "data" / "features").mkdir(parents=True)
    assert run(command).exit_code == 2


def test_columns_are_read_as_single_ids_are() -> None:
    """Both know the same pseudonyms."""
    pseudonym = encoder(BEFORE).encode("a")
    for one in ("", "a", pseudonym, f"{pseudonym}.7", f"{pseudonym}a", f"x/{pseudonym}",
                f"{pseudonym}\n", pseudonym[:-1], f"{K2}.{pseudonym}"):  # fmt: skip
        column = pa.chunked_array([[one, None]], pa.string())
        assert key_ids_in(column) == {key_id_of(one)} - {""}, one
