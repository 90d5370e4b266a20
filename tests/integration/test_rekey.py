"""What is stored comes under the current key: nothing is lost, nothing of earlier ids stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from micromoment.client import AsyncClient, event
from micromoment.errors import InvalidDataError, InvalidSettingError, UserFeaturesUnavailableError
from micromoment.events.identity import IdEncoder
from micromoment.features.user_snapshot import UserStatus
from micromoment.stores.log_care import check_log
from micromoment.stores.redis_log import read_stream
from micromoment.stores.redis_outside_visits import read_outside_stream
from micromoment.stores.secure_sqlite import UNCLEAN
from micromoment.stores.user_features import FeastUserFeatures
from tests.support.feature_stores import a_redis, a_workspace, published, redis_config
from tests.support.ga4_export import raw, write_export
from tests.support.keyed import BEFORE, ROTATED, UNLINKED, calls_of, encoder, keyed_client
from tests.support.replicas import comparable, send
from tests.support.tiny_bundle import make_tiny_store
from training.cli_rekey import register
from training.event_files import event_days
from training.feature_store import FeatureWorkspace, materialize
from training.importers import import_ga4
from training.importers.log import import_log, log_source
from training.rekeying import RekeyRequest, rekey
from training.rekeying import log_folder as files
from training.rekeying import workspace as users_rows
from training.rekeying.renaming import put_in_place

VISITS = range(3)
PLAIN = IdEncoder()
# Under which ids the stores were written, and with what they are re-keyed.
BEFORES = pytest.mark.parametrize("before", ["", BEFORE], ids=["plain", "earlier key"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


async def play(client: AsyncClient, places: range) -> dict[tuple[int, int], bytes]:
    """Send some calls of each visit; an order from outside comes with the first."""
    answers = {}
    for number in VISITS:
        requests = list(calls_of(f"visit-{number}", number))
        for place in places:
            answers[number, place] = comparable(await send(client, requests[place]))
        if 0 in places:
            order = event("purchase", event_id=f"order-{number}", order_id=f"o-{number}")
            await client.ingest([order], user_id=f"customer-{number}")
    return answers


def ids_of(keys: str) -> set[str]:
    """Give all that the visits' ids are stored as with some keys."""
    names = ("visit-{}", "browser-{}", "customer-{}")
    plain = [name.format(number) for name in names for number in VISITS]
    return {stored for one in plain for stored in encoder(keys).candidates(one)}


def found_in(folder: Path, wanted: set[str]) -> set[str]:
    """Search every byte of every file, and what Parquet files read as."""
    held = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    held += [str(pq.read_table(path).to_pydict()).encode() for path in folder.rglob("*.parquet")]
    return {one for one in wanted if any(one.encode() in part for part in held)}


@BEFORES
@pytest.mark.parametrize("with_state_file", [False, True])
async def test_a_log_is_rekeyed_and_its_sessions_go_on(
    store: Path, tmp_path: Path, before: str, with_state_file: bool
) -> None:
    """A server that starts on it gives the answers that it would have given, to the bit."""
    changes = {"state_file": tmp_path / "sessions"} if with_state_file else {}
    async with keyed_client(store, tmp_path / "same", BEFORE) as client:
        expected = await play(client, range(10))
    folder = tmp_path / "state"
    async with keyed_client(store, folder, before, **changes) as client:
        answers = await play(client, range(6))
    log = folder / "event_log"
    old = ids_of(before)
    assert found_in(folder, old)
    reports = rekey(RekeyRequest(encoder(ROTATED), str(log), changes.get("state_file")))
    assert [one.left for one in reports] == [0] * len(reports)
    assert reports[0].renamed == reports[0].rows == len(VISITS) * 7
    assert reports[0].rewritten == reports[0].files == 2
    assert not (tmp_path / "sessions").exists()
    # Ids of events are the callers' own and stay: here they begin with the session's.
    assert found_in(folder, old) <= {f"visit-{number}" for number in VISITS}
    assert check_log(log).is_whole
    assert rekey(RekeyRequest(encoder(ROTATED), str(log)))[0].rewritten == 0
    async with keyed_client(store, folder, ROTATED, **changes) as client:
        answers |= await play(client, range(6, 10))
        seen = [await client.get_session(f"visit-{number}") for number in VISITS]
    assert [one.scores.events_seen for one in seen] == [10] * len(VISITS)
    if before:
        # Plain ids would have found no customer: the published ones are under the key.
        assert answers == expected
    import_log(log_source(str(log)), tmp_path / "events")
    assert event_days(tmp_path / "events").key_id == "k2"


async def test_a_log_in_use_is_left_alone(store: Path, tmp_path: Path) -> None:
    """A server that runs on the log would write on under its ids: it must be stopped first."""
    async with keyed_client(store, tmp_path, BEFORE) as client:
        await play(client, range(1))
        with pytest.raises(InvalidSettingError, match="used by a server that runs: stop it first"):
            rekey(RekeyRequest(encoder(ROTATED), str(tmp_path / "event_log")))


async def test_a_log_can_be_rekeyed_after_an_interruption(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off between any two steps, each file is whole; the second run does the rest."""
    async with keyed_client(store, tmp_path, BEFORE, log_segment_bytes=131_072) as client:
        await play(client, range(10))
    log = tmp_path / "event_log"
    request = RekeyRequest(encoder(ROTATED), str(log))
    done = put_in_place
    calls: list[Path] = []

    def interrupted(draft: Path, path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        done(draft, path)

    monkeypatch.setattr(files, "put_in_place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rekey(request)
    monkeypatch.undo()
    assert check_log(log).is_whole
    (report,) = rekey(request)
    assert (report.files, report.rewritten, report.left) == (2, 1, 0)
    assert not found_in(tmp_path, ids_of(BEFORE))
    assert not list(log.glob("*.rekeyed*"))


async def test_streams_are_rekeyed_while_servers_serve(
    store: Path,
    tmp_path: Path,
    redis: Any,  # noqa: ANN401 - its own annotations cover awaitables
    port: int,
) -> None:
    """Visits under way wait for their end; all others come under the current key, none is lost."""
    url = f"redis://127.0.0.1:{port}"
    async with keyed_client(store, tmp_path / "a", BEFORE, session_store=url) as client:
        await play(client, range(6))
    for number in (0, 1):  # these end
        (name,) = redis.keys(f"*{encoder(BEFORE).encode(f'visit-{number}')}*:writes")
        redis.delete(name, *redis.keys(f"*{encoder(BEFORE).encode(f'visit-{number}')}*"))
    rows_before = list(read_stream(url))
    async with keyed_client(store, tmp_path / "b", ROTATED, session_store=url) as client:
        visits, outside, sessions = rekey(RekeyRequest(encoder(ROTATED), url))
        late = [list(calls_of("visit-2", 2))[place] for place in (6, 7)]
        for request in late:
            assert (await send(client, request)).events_seen > 6
    assert (visits.rows, visits.renamed, visits.waiting) == (18, 12, 6)
    assert (outside.rows, outside.renamed, outside.left) == (3, 3, 0)
    assert (sessions.rows, sessions.waiting) == (1, 1)
    rows = list(read_stream(url))
    assert [row.position for row in rows[:18]] == [row.position for row in rows_before]
    assert [row.body for row in rows[:18]] == [row.body for row in rows_before]
    keys = [row.session_id.partition(".")[0] for row in rows]
    assert keys == ["k2"] * 12 + ["k1"] * 8
    assert not [row for row in rows if row.kind == 2]
    assert {one.visitor_id for _, one in read_outside_stream(url)} == {
        encoder(ROTATED).encode(f"customer-{number}") for number in VISITS
    }
    redis.delete(*redis.keys("*:writes"))  # the last one ends
    visits, *_ = rekey(RekeyRequest(encoder(ROTATED), url))
    assert (visits.renamed, visits.waiting, visits.left) == (8, 0, 0)
    assert redis.ttl("micromoment:log") > 0
    assert not redis.keys("*rekeyed*")


@BEFORES
def test_events_are_rekeyed(tmp_path: Path, before: str) -> None:
    """A folder is what an import with the current key would have made of the same export."""
    rows = [
        raw(
            "purchase" if place == 5 else "page_view",
            60 * place,
            user=f"browser-{place % 2}",
            user_id=f"customer-{place % 3}",
            page="/u/jane@example.org" if place == 3 else "/",
        )
        for place in range(9)
    ]
    path = write_export(tmp_path / "export" / "events_20210105.parquet", rows)
    import_ga4([path], tmp_path / "out", ids=encoder(before))
    import_ga4([path], tmp_path / "expected", ids=encoder(ROTATED))
    (report,) = rekey(RekeyRequest(encoder(ROTATED), events=(tmp_path / "out",)))
    assert (report.files, report.rewritten) == (3, 3)
    assert (report.rows, report.renamed, report.left) == (9, 9, 0)
    for name in ("2021-01-05.parquet", ".import-state/sessions/2021-01-05.parquet",
                 ".import-state/purchases/2021-01-05.parquet"):  # fmt: skip
        ours, theirs = (pq.read_table(tmp_path / one / name) for one in ("out", "expected"))
        assert ours.schema.equals(theirs.schema, check_metadata=True)
        assert sorted(map(str, ours.to_pylist())) == sorted(map(str, theirs.to_pylist()))
    assert not found_in(tmp_path / "out", ids_of(before) | {"jane"})
    assert rekey(RekeyRequest(encoder(ROTATED), events=(tmp_path / "out",)))[0].rewritten == 0


def test_ids_under_a_key_that_leads_nowhere_are_left_and_told(tmp_path: Path) -> None:
    """A folder is refused as a whole; rows of other stores stay and are counted."""
    path = write_export(tmp_path / "export" / "events_20210105.parquet", [raw()])
    import_ga4([path], tmp_path / "out", ids=encoder(BEFORE))
    with pytest.raises(InvalidDataError, match="under the key k1, from which no given key"):
        rekey(RekeyRequest(encoder(f"{UNLINKED} {BEFORE}"), events=(tmp_path / "out",)))
    with pytest.raises(InvalidSettingError, match="id_key_file"):
        rekey(RekeyRequest(PLAIN, events=(tmp_path / "out",)))


@pytest.fixture(params=["sqlite", "redis"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeatureWorkspace]:
    """A published workspace whose online rows are in SQLite or in Redis; ids are plain."""
    if request.param == "sqlite":
        made = a_workspace(tmp_path)
        materialize(made, published(3))
        yield made
        return
    with a_redis(tmp_path) as (_, port):
        made = a_workspace(tmp_path, own_config=redis_config(port))
        materialize(made, published(3))
        yield made


async def rows_of(
    workspace: FeatureWorkspace, name: Callable[[str], str]
) -> list[tuple[UserStatus, bytes]]:
    """Look visitors up as a server that has just started does."""
    users = FeastUserFeatures(workspace.root, timeout_s=5.0)
    users.warm_up()
    found = [await users.look_up(name(visitor)) for visitor in ("a", "b", "c")]
    await users.close()
    return [(one.status, np.asarray(one.row).tobytes()) for one in found]


async def test_users_features_are_rekeyed(workspace: FeatureWorkspace) -> None:
    """Each visitor has the same row under each new name, and none under an earlier one."""
    before = await rows_of(workspace, str)
    assert {status for status, _ in before} == {UserStatus.FOUND}
    first, second = encoder(BEFORE).encode, encoder(ROTATED).encode
    changes: list[tuple[str, Callable[[str], str], Callable[[str], str]]] = [
        (BEFORE, str, first),
        (ROTATED, first, second),
    ]
    for keys, was, now in changes:
        snapshots, online = rekey(RekeyRequest(encoder(keys), workspace=workspace.root))
        assert (snapshots.files, snapshots.rewritten, snapshots.left) == (3, 3, 0)
        assert (online.rows, online.renamed) == (3, 3)
        assert await rows_of(workspace, now) == before
        assert {status for status, _ in await rows_of(workspace, was)} == {UserStatus.UNKNOWN}
        assert not found_in(workspace.root, {was(one) for one in "abc" if was is not str})
    again = rekey(RekeyRequest(encoder(ROTATED), workspace=workspace.root))
    assert [one.rewritten for one in again] == [0, 0]
    # What is published anew from the snapshots is the same.
    materialize(workspace, published(3))
    assert await rows_of(workspace, encoder(ROTATED).encode) == before
    for path in workspace.snapshots.glob("*.parquet"):
        visitors = pq.read_table(path)["visitor_id"].to_pylist()
        assert visitors == sorted(visitors)


def test_a_row_that_was_published_later_stays(tmp_path: Path) -> None:
    """Where training published under the current key meanwhile, the earlier row just goes."""
    workspace = a_workspace(tmp_path)
    materialize(workspace, published(3))
    rekey(RekeyRequest(encoder(BEFORE), workspace=workspace.root))
    with closing(sqlite3.connect(workspace.root / "online.db")) as connection:
        everything = "SELECT name FROM sqlite_master WHERE type = 'table'"
        ((table,),) = connection.execute(everything).fetchall()
        earlier = connection.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608 - Feast's
        rekey(RekeyRequest(encoder(ROTATED), workspace=workspace.root))
        # The earlier rows are back, without values.
        back = [(key, name, None, *others) for key, name, _, *others in earlier]
        places = ", ".join("?" * len(back[0]))
        connection.executemany(f'INSERT INTO "{table}" VALUES ({places})', back)  # noqa: S608 - Feast's
        connection.commit()
        rekey(RekeyRequest(encoder(ROTATED), workspace=workspace.root))
        counts = f'SELECT count(*), count(value) FROM "{table}"'  # noqa: S608 - Feast's
        ((rows, with_value),) = connection.execute(counts).fetchall()
    assert rows == with_value > 0


def test_what_a_reader_keeps_of_earlier_ids_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write-ahead log that is being read can't be cut: an error, and done the next time."""
    made = a_workspace(tmp_path)
    materialize(made, published(3))
    rekey(RekeyRequest(encoder(BEFORE), workspace=made.root))

    def mark() -> int:
        with closing(sqlite3.connect(made.root / "online.db")) as connection:
            (found,) = connection.execute("PRAGMA application_id").fetchone()
        return int(found)

    earlier = {encoder(BEFORE).encode(one) for one in "abc"}
    request = RekeyRequest(encoder(ROTATED), workspace=made.root)
    monkeypatch.setattr(users_rows, "_READERS_S", 0.1)
    with closing(sqlite3.connect(made.root / "online.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
        with pytest.raises(UserFeaturesUnavailableError, match="can't be written"):
            rekey(request)
    assert mark() == UNCLEAN
    _, report = rekey(request)
    assert (report.rows, report.renamed, report.left) == (3, 0, 0)
    assert not found_in(made.root, earlier)
    assert mark() == 0


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys come from a file or from the environment; the table tells what came of each store."""
    path = write_export(tmp_path / "export" / "events_20210105.parquet", [raw()])
    import_ga4([path], tmp_path / "out")
    keys = tmp_path / "keys"
    keys.write_text(BEFORE)
    arguments = ["--events", str(tmp_path / "out")]
    app = typer.Typer()
    register(app)
    none = CliRunner().invoke(app, arguments)
    assert none.exit_code == 1
    first = CliRunner().invoke(app, [*arguments, "--id-keys", str(keys)])
    assert (first.exit_code, event_days(tmp_path / "out").key_id) == (0, "k1")
    assert "renamed" in first.output
    assert "left 0" in first.output
    monkeypatch.setenv("MICROMOMENT_ID_KEYS", ROTATED)
    second = CliRunner().invoke(app, arguments)
    assert (second.exit_code, event_days(tmp_path / "out").key_id) == (0, "k2")


def test_each_store_is_named_in_full(tmp_path: Path) -> None:
    """However narrow the terminal is: two folders of events can be told apart."""
    app = typer.Typer()
    register(app)
    path = write_export(tmp_path / "export" / "events_20210105.parquet", [raw()])
    folders = [tmp_path / "a-long-name-of-a-folder" / name for name in ("shop", "shop-of-before")]
    for folder in folders:
        import_ga4([path], folder)
    arguments = [text for folder in folders for text in ("--events", str(folder))]
    variables = {"COLUMNS": "40", "MICROMOMENT_ID_KEYS": BEFORE}
    told = CliRunner().invoke(app, arguments, env=variables).stdout.splitlines()
    assert told[::2] == [f"events {folder}" for folder in folders]
    assert all(" renamed 1, left 0, waiting 0" in line for line in told[1::2])
