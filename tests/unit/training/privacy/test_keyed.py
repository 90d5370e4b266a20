"""Erasing from files whose ids are pseudonyms, and from plain ones for servers that have keys."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from micromoment.errors import NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.events.schema import schema_under
from micromoment.stores.erasure_list import ErasureList, load_erasures
from micromoment.stores.online_rows import OnlineRows
from tests.support.feature_stores import LAG, SHOP, a_workspace, day
from tests.support.happenings import Happening, moment, write_events
from tests.support.keyed import BEFORE, ROTATED, encoder
from training.pipeline.retrain import RetrainRequest, retrain
from training.pipeline.train import TrainRequest
from training.privacy import OfflinePlaces, apply_erasures, erase_people, expire
from training.rekeying import RekeyRequest, rekey

K1, K2 = encoder(BEFORE), encoder(ROTATED)
END_US = round(moment(day(9), shop=SHOP).timestamp() * 1e6)


def a_folder(folder: Path, ids: IdEncoder) -> Path:
    """Write four days in which three customers come each day, under the current key of `ids`."""
    happenings = [
        Happening(
            moment(day(number), shop=SHOP) + timedelta(minutes=place),
            user_id=ids.encode(f"u{place}"),
            session_id=ids.encode(f"s{place}-{number}"),
            source_seq=1,
        )
        for number in range(4)
        for place in range(3)
    ]
    write_events(folder, happenings, SHOP)
    for path in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(path).cast(schema_under(ids.key_id)), path)
    return folder


def users(folder: Path) -> set[str]:
    """Give the users of all events."""
    rows = [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return {row["user_id"] for row in rows}


def listed(workspace: Path, *stored: str) -> Path:
    """Write the list that a server leaves in its workspace."""
    told = ErasureList()
    told.add(stored, END_US)
    told.save(workspace)
    return workspace


def test_pseudonyms_are_erased_and_old_days_go(tmp_path: Path) -> None:
    """A folder is erased from under whatever key it is, and keeps it."""
    folder = a_folder(tmp_path / "events", K1)
    report = erase_people(K1.candidates("u0"), OfflinePlaces(events=(folder,)))
    assert sum(report.rows.values()) == 4
    assert users(folder) == {K1.encode("u1"), K1.encode("u2")}
    assert expire(day(2), events=folder).days == 2
    assert len(list(folder.glob("*.parquet"))) == 2


@pytest.mark.parametrize(
    ("held", "erased", "keys"),
    [
        (IdEncoder(), K1.encode("u0"), K1),
        (IdEncoder(), K1.encode("u0"), K2),
        (IdEncoder(), K2.encode("u0"), K2),
        (IdEncoder(), "u0", K2),
        (K1, K2.encode("u0"), K2),
        (K1, K1.encode("u0"), IdEncoder()),
    ],
    ids=["plain, k1", "plain, k1 of before", "plain, k2", "plain", "k1, k2", "no keys given"],
)
def test_training_finds_whom_a_server_erased_in_each_form(
    tmp_path: Path, held: IdEncoder, erased: str, keys: IdEncoder
) -> None:
    """The server's list has hashes of its forms, and the files have theirs."""
    folder = a_folder(tmp_path / "events", held)
    workspace = listed(tmp_path / "features", erased)
    assert sum(apply_erasures(workspace, folder, keys).rows.values()) == 4
    assert users(folder) == {held.encode("u1"), held.encode("u2")}
    assert load_erasures(folder).until(held.encode("u0")) == END_US
    assert apply_erasures(workspace, folder, keys).rows == {}


def test_without_keys_a_list_is_not_done_for_ever(tmp_path: Path) -> None:
    """Whoever comes with the keys later finds whom nobody could find without."""
    folder = a_folder(tmp_path / "events", IdEncoder())
    workspace = listed(tmp_path / "features", K1.encode("u0"))
    assert apply_erasures(workspace, folder).rows == {}
    assert apply_erasures(workspace, folder, K1).rows != {}
    assert users(folder) == {"u1", "u2"}


def test_retraining_publishes_no_features_of_whom_a_server_erased(tmp_path: Path) -> None:
    """Features are renewed before it is known whether there is something to train."""
    keys = K1
    folder = a_folder(tmp_path / "events", IdEncoder())
    workspace = listed(tmp_path / "features", keys.encode("u0"))
    training = TrainRequest(
        folder,
        workspace=workspace,
        store=tmp_path / "store",
        shop=SHOP,
        publish_lag=LAG,
        ids=keys,
    )
    with pytest.raises(NotEnoughDataError):
        retrain(RetrainRequest(training))
    rows = OnlineRows(workspace, 5.0)
    try:
        found = [rows.read(keys.encode(f"u{number}")) is not None for number in range(3)]
        assert found == [False, True, True]
    finally:
        rows.close()


@pytest.mark.parametrize("before", [IdEncoder(), K1], ids=["plain", "k1"])
def test_lists_go_on_naming_people_when_ids_are_rekeyed(tmp_path: Path, before: IdEncoder) -> None:
    """A list of the time before has hashes that the new ids don't; who isn't in it stays so."""
    folder = a_folder(tmp_path / "events", before)
    erased = before.encode("u0")
    until = round(moment(day(2), 0, shop=SHOP).timestamp() * 1e6)
    erase_people([erased], OfflinePlaces(events=(folder,)), time_us=until)
    assert before.encode("u0") in users(folder)
    rekey(RekeyRequest(K2, events=(folder,)))
    assert users(folder) == {K2.encode(f"u{number}") for number in range(3)}
    erasures = load_erasures(folder)
    assert [erasures.until(K2.encode(f"u{number}")) for number in range(3)] == [until, 0, 0]
    assert erasures.until(erased) == until


def test_rekeying_erases_first_whom_a_server_erased(tmp_path: Path) -> None:
    """Afterwards the features' list would name nobody in the events."""
    folder = a_folder(tmp_path / "events", K1)
    workspace = a_workspace(tmp_path / "shop").root
    listed(workspace, K1.encode("u0"))
    report = rekey(RekeyRequest(K2, events=(folder,), workspace=workspace))[0]
    assert report.note.startswith("4 rows of people who were erased")
    assert users(folder) == {K2.encode("u1"), K2.encode("u2")}


def test_the_list_of_features_follows_their_rows(tmp_path: Path) -> None:
    """A later import or training asks for the new forms."""
    workspace = a_workspace(tmp_path).root
    listed(workspace, "a")
    rekey(RekeyRequest(K1, workspace=workspace))
    rekey(RekeyRequest(K2, workspace=workspace))
    erasures = load_erasures(workspace)
    assert [erasures.until(K2.encode(one)) for one in "ab"] == [END_US, 0]
