"""`micromoment rekey` on a shop that was imported and trained on before there were keys."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from micromoment.events.identity import key_id_of
from tests.e2e.conftest import TrainedShop
from tests.support.commands import Home
from tests.support.keyed import BEFORE, ROTATED, encoder


@pytest.fixture
def home(shop: TrainedShop, tmp_path: Path) -> Home:
    """Another home with the shop's events and features."""
    shutil.copytree(shop.home.folder / "data", tmp_path / "data")
    return Home(tmp_path)


def some_of(ids: Iterable[str], count: int = 60) -> list[str]:
    """Take some ids, over all of their order."""
    known = sorted(ids)
    return known[:: max(1, len(known) // count)]


def holding(folder: Path, words: list[str]) -> list[str]:
    """Name the files that have a word in their bytes, or in a text of a Parquet file."""
    wanted = "|".join(map(re.escape, words))
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (
            re.search(wanted.encode(), path.read_bytes())
            or (path.suffix == ".parquet" and _has(path, wanted))
        )
    ]


def _has(path: Path, wanted: str) -> bool:
    table = pq.ParquetFile(path).read()
    texts = (name for name in table.column_names if pa.types.is_string(table[name].type))
    return any(pc.any(pc.match_substring_regex(table[name], wanted)).as_py() for name in texts)


def ids_in(events: Path) -> set[str]:
    """Give the ids of all browsers, users and visits."""
    return {
        one
        for path in events.glob("*.parquet")
        for column in pq.read_table(path, columns=["anonymous_id", "user_id", "session_id"]).columns
        for one in pc.unique(column).to_pylist()
        if one
    }


def test_no_id_of_before_is_anywhere_afterwards(home: Home) -> None:
    """Whatever import and training wrote; then the same when the key is changed."""
    data = home.folder / "data"
    stores = ("--events", "data/events", "--features", "data/features")
    plain = some_of(ids_in(data / "events"))
    before = holding(data, plain)
    kinds = {"/".join(Path(name).parts[:2]) for name in before}
    assert kinds >= {"events/.import-state", "features/user_snapshots", "features/decisions",
                     "features/online.db"}  # fmt: skip
    earlier = plain
    for keys in (BEFORE, ROTATED):
        (home.folder / "keys").write_text(keys)
        home.succeed("rekey", "--id-keys", "keys", *stores)
        assert holding(data, earlier) == []
        current = encoder(keys)
        assert {key_id_of(one) for one in ids_in(data / "events")} == {current.key_id}
        earlier = [current.encode(one) for one in plain]
        assert holding(data, earlier)
