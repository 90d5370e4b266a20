"""`micromoment erase` on a shop that was imported and trained on: who is gone stays gone."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from micromoment.events.hashing import hash_id
from micromoment.scoring.manifest import read_manifest
from micromoment.stores.parquet_erasing import values_where
from tests.e2e.conftest import TrainedShop
from tests.support.commands import Home


@pytest.fixture
def home(shop: TrainedShop, tmp_path: Path) -> Home:
    """Another home with the shop's export, events and features."""
    for name in ("exports", "data"):
        shutil.copytree(shop.home.folder / name, tmp_path / name)
    return Home(tmp_path)


def visitors(folder: Path) -> Counter[str]:
    """Count the events of each browser."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("*.parquet")):
        found.update(pq.read_table(path, columns=["anonymous_id"])["anonymous_id"].to_pylist())
    return Counter({one: events for one, events in found.items() if one})


def holding(folder: Path, words: list[bytes]) -> list[Path]:
    """Name the files that have a word in their bytes, or a Parquet file in a column of ids."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if any(word in content for word in words):
                found.append(path.relative_to(folder))
            elif path.suffix == ".parquet":
                ids = {word.decode() for word in words}
                columns = ("anonymous_id", "user_id", "visitor_id")
                if any(values_where(path, {one: ids}, one) for one in columns):
                    found.append(path.relative_to(folder))
    return found


def test_somebody_who_is_erased_stays_away(home: Home) -> None:
    """From events and features, and from an import of the same export that is done again."""
    data = home.folder / "data"
    counted = visitors(data / "events")
    ((somebody, events),) = counted.most_common(1)
    words = [somebody.encode()]
    before = {path.parts[0] for path in holding(data, words)}
    assert before == {"events", "features"}
    (home.folder / "ids").write_text(f"{somebody}\n")
    places = ("--events", "data/events", "--workspace", "data/features")
    home.succeed("erase", "--ids", "ids", *places)
    assert holding(data, words) == []
    left = visitors(data / "events")
    assert somebody not in left
    assert counted - Counter({somebody: events}) == left
    home.succeed("import", "ga4", "exports/events_*.parquet", "--out", "data/events")
    assert holding(data, words) == []
    report = json.loads((data / "events" / "report.json").read_text())
    assert report["dropped"]["erased"] >= events
    assert visitors(data / "events") == left


def test_a_bundle_names_nobody_but_in_golden_sessions(shop: TrainedShop) -> None:
    """Neither an id nor a hash of one is in models, tables, figures or the manifest."""
    ids = list(visitors(shop.events))[:400]
    words = [word for one in ids for word in (one.encode(), hash_id(one).to_bytes(8, "little"))]
    files = [
        path for path in shop.bundle.rglob("*") if path.is_file() and "golden" not in path.parts
    ]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        assert not any(word in content for word in words), path.name
    seen = read_manifest(shop.bundle).training["erasures"]
    assert seen == {"people": 0, "last": None, "digest": ""}
