"""A bundle's folder: what is taken and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micromoment.errors import BundleError
from micromoment.features.catalogue import FEATURE_NAMES, FEATURES, vector_fingerprint
from micromoment.features.tables import tables_to_arrays
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.golden import EVENTS_FILE, EXPECTED_FILE, check_golden
from micromoment.scoring.manifest import MANIFEST_FILE
from tests.support.bundles import bundle_parts, made_up_rows
from training.publishing.bundle import write_bundle


@pytest.fixture
def folder(tiny_bundle: LoadedBundle, tmp_path: Path) -> Path:
    """A copy of the tiny bundle, to be damaged."""
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest."""
    path = folder / MANIFEST_FILE
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def test_a_bundle_loads(tiny_bundle: LoadedBundle) -> None:
    """Everything that the scorer needs is there, with the manifest's numbers."""
    assert tiny_bundle.tag == tiny_bundle.manifest.tag
    assert (tiny_bundle.shop.currency, tiny_bundle.shop.time_zone) == ("EUR", "Europe/Berlin")
    assert tiny_bundle.session_expiry_us == 1_800_000_000
    assert tiny_bundle.max_clock_skew_us == 300_000_000
    assert tiny_bundle.feature_names == FEATURE_NAMES
    assert tiny_bundle.fingerprint == vector_fingerprint(FEATURE_NAMES)
    assert tiny_bundle.conversion is not None
    assert tiny_bundle.conversion.trees.n_trees == 40


def test_every_file_is_checked(folder: Path) -> None:
    """One changed byte in any file, of the same length, is found before anything parses it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE]
    assert len(files) >= 6
    for path in files:
        content = path.read_bytes()
        middle = len(content) // 2
        damaged = bytes([content[middle] ^ 1])
        path.write_bytes(content[:middle] + damaged + content[middle + 1 :])
        name = path.relative_to(folder).as_posix()
        with pytest.raises(BundleError, match=rf"{name} is damaged: size or SHA-256 differ"):
            load_bundle(folder)
        path.write_bytes(content)
    load_bundle(folder)


def test_a_truncated_file(folder: Path) -> None:
    """A model that was cut off in a copy is refused by name."""
    path = folder / "conversion.txt"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BundleError, match=r"conversion\.txt is damaged"):
        load_bundle(folder)


def test_a_missing_file(folder: Path) -> None:
    """A file that the manifest lists and the folder lacks is named, and so is the bundle."""
    (folder / EVENTS_FILE).unlink()
    with pytest.raises(BundleError, match=r"^bundle tiny:\w{16}: golden/events.parquet is missing"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "name", ["conversion.txt", "tables/transition_llr.npy", EVENTS_FILE, EXPECTED_FILE]
)
def test_a_file_that_is_not_listed_is_not_trusted(folder: Path, name: str) -> None:
    """What the manifest gives no digest for is never read, even if it lies there."""
    rewrite(folder, lambda values: values["files"].pop(name))
    with pytest.raises(BundleError, match=rf"{name} .*not listed"):
        check_golden(load_bundle(folder))


def test_an_unknown_feature(folder: Path) -> None:
    """A bundle with a feature that this version doesn't have is refused with its name."""
    rewrite(folder, lambda values: values["features"][3].update(name="mood"))
    with pytest.raises(BundleError, match="feature mood is unknown to this version"):
        load_bundle(folder)


def test_a_feature_defined_otherwise(folder: Path) -> None:
    """The same name with another definition is refused: it would be scored on other numbers."""
    rewrite(folder, lambda values: values["features"][0].update(fingerprint="0" * 16))
    with pytest.raises(BundleError, match=f"feature {FEATURE_NAMES[0]} is defined otherwise here"):
        load_bundle(folder)


def test_a_bundle_of_another_format(folder: Path) -> None:
    """The message names both formats."""
    rewrite(folder, lambda values: values.update(format=1))
    with pytest.raises(BundleError, match="format 1, this code reads 3"):
        load_bundle(folder)


def test_a_model_of_another_width(folder: Path) -> None:
    """A model and a list of features that don't fit together are refused."""
    rewrite(folder, lambda values: values["conversion"]["features"].pop())
    message = rf"conversion\.txt: model has {len(FEATURE_NAMES)} features"
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_bundle_without_a_table(folder: Path) -> None:
    """A table that describing needs is asked for by name."""
    rewrite(folder, lambda values: values.update(tables={}))
    with pytest.raises(BundleError, match=r"tables are missing: .*transition_llr"):
        load_bundle(folder)


def test_a_bundle_of_fewer_features_in_another_order(tmp_path: Path) -> None:
    """A subset of the features, in any order, is a bundle: each value comes from its own name."""
    names = ("cart_qty", "n_events", "transition_llr", "user_prior_sessions")
    golden = {"golden_events": bundle_parts().golden_events}
    write_bundle(tmp_path / "few", bundle_parts(feature_names=names, **golden))
    bundle = load_bundle(tmp_path / "few")
    assert bundle.feature_names == names
    record = np.zeros(2, FEATURES)
    for place, name in enumerate(names):
        record[name] = [place, place + 10]
    assert bundle.model_input(record).tolist() == [[0, 1, 2, 3], [10, 11, 12, 13]]
    assert check_golden(bundle).inexact == 0


def test_batches_of_rows_are_the_model_s_input(tiny_bundle: LoadedBundle) -> None:
    """The full vector in its own order is taken over bit by bit."""
    rows, _ = made_up_rows()
    records = np.ascontiguousarray(rows).view(FEATURES).reshape(-1)
    assert tiny_bundle.model_input(records).tobytes() == rows.tobytes()


def test_calibration_error_of_so_many_events(tiny_bundle: LoadedBundle) -> None:
    """It is that of the nearest smaller number that was measured; below the first, unknown."""
    model = tiny_bundle.conversion
    assert model is not None
    found = [model.error_at(n) for n in (0, 1, 4, 5, 19, 20, 10**6)]
    assert found == [None, 0.01, 0.01, 0.02, 0.02, 0.04, 0.04]


def test_tables_arrive_with_every_bit(tiny_bundle: LoadedBundle) -> None:
    """The tables in use are those that were published."""
    for name, array in tables_to_arrays(bundle_parts().tables).items():
        assert getattr(tiny_bundle.tables, name).tobytes() == array.tobytes()
