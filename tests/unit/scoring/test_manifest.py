"""A bundle's manifest and the version that follows from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from micromoment.errors import BundleError
from micromoment.scoring.manifest import (
    FORMAT,
    MANIFEST_FILE,
    Manifest,
    digest_file,
    read_manifest,
    write_manifest,
)


def values(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of several types
    """Give a manifest's fields."""
    digest = {"size": 3, "sha256": "a" * 64}
    fields = {
        "format": FORMAT,
        "name": "shop",
        "shop": {"currency": "EUR", "time_zone": "Europe/Berlin"},
        "session_expiry_s": 1_800,
        "max_clock_skew_s": 300,
        "publish_lag_s": 3_600,
        "features": [{"name": "n_events", "fingerprint": "f1"}],
        "tables": {"transition_llr": "tables/transition_llr.npy"},
        "conversion": {
            "file": "conversion.txt",
            "features": ["n_events"],
            "slope": 1.1,
            "deep_slope": 1.0,
            "deep_intercept": 0.1,
            "intercept": -0.1,
            "calibration_error": {1: 0.01, 10: 0.1, 2: 0.2},
        },
        "churn": None,
        "clusters": None,
        "audiences": None,
        "lifecycle": {"new_days": 7.0, "away_days": 28.0, "overdue_ratio": 1.5},
        "absent": {"churn": "too few customers"},
        "training": {"first_day": "2024-05-01", "decision_points": 12},
        "files": {"conversion.txt": digest, "tables/transition_llr.npy": digest},
    }
    return fields | changes


def refused(folder: Path, text: str) -> str:
    """Write a manifest's text and give the message with which it is refused."""
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(BundleError) as error:
        read_manifest(folder)
    return str(error.value)


def test_a_manifest_survives_its_file(tmp_path: Path) -> None:
    """What is written is read back, with the same version; writing twice gives the same bytes."""
    manifest = Manifest(**values())
    write_manifest(tmp_path, manifest)
    first = (tmp_path / MANIFEST_FILE).read_bytes()
    again = read_manifest(tmp_path)
    assert again == manifest
    assert again.version == manifest.version
    write_manifest(tmp_path, again)
    assert (tmp_path / MANIFEST_FILE).read_bytes() == first


def test_the_version_does_not_depend_on_order() -> None:
    """The order in which files or numbers of events are listed is no content."""
    turned = values()
    for name in ("files", "training"):
        turned[name] = dict(reversed(turned[name].items()))
    assert Manifest(**turned).version == Manifest(**values()).version


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"session_expiry_s": 1_801},
        {"max_clock_skew_s": 0},
        {"shop": {"currency": "EUR", "time_zone": "UTC"}},
        {"features": [{"name": "n_events", "fingerprint": "f2"}]},
        {"training": {}},
        {"conversion": None},
        {"files": {"conversion.txt": {"size": 3, "sha256": "b" * 64}}},
    ],
)
def test_the_version_follows_the_content(change: dict[str, Any]) -> None:
    """Any other content, a file's digest included, is another version."""
    assert Manifest(**values(**change)).version != Manifest(**values()).version


def test_a_tag_names_bundle_and_version() -> None:
    """A tag is `name:version`, the version 16 hexadecimal characters."""
    manifest = Manifest(**values())
    assert manifest.tag == f"shop:{manifest.version}"
    assert len(manifest.version) == 16
    assert int(manifest.version, 16) >= 0


def test_no_manifest(tmp_path: Path) -> None:
    """A folder without one is refused, and the message says what was looked for."""
    with pytest.raises(BundleError, match=r"manifest\.json can't be read: No such file"):
        read_manifest(tmp_path)


def test_another_format(tmp_path: Path) -> None:
    """A newer format is named, also when it has fields that this code doesn't know."""
    newer = values(format=FORMAT + 1, a_new_field=1)
    message = refused(tmp_path, json.dumps(newer))
    assert f"format {FORMAT + 1}, this code reads {FORMAT}" in message


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"session_expiry_s": 0}, "session_expiry_s"),
        ({"shop": {"currency": "EUR"}}, "shop.time_zone"),
        ({"surprise": 1}, "surprise"),
        ({"name": "Shop!"}, "name"),
        ({"files": {"a": {"size": 1, "sha256": "short"}}}, "files.a.sha256"),
        ({"features": [{"name": "x"}]}, "features.0.fingerprint"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    """The message leads to the field that breaks the contract."""
    assert f"manifest.json, {place}: " in refused(tmp_path, json.dumps(values(**change)))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_calibrator_that_is_no_number(tmp_path: Path, number: float) -> None:
    """A slope that isn't finite would make every score missing: it is refused."""
    conversion = values()["conversion"] | {"slope": number}
    message = refused(tmp_path, json.dumps(values(conversion=conversion)))
    assert "conversion.slope" in message


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", '"text"'])
def test_what_is_no_manifest(tmp_path: Path, text: str) -> None:
    """A file that is cut off or something else is refused by name."""
    assert "manifest.json" in refused(tmp_path, text)


def test_a_file_s_digest(tmp_path: Path) -> None:
    """Size and SHA-256 are those of its bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    digest = digest_file(path)
    assert digest.size == 3
    assert digest.sha256.startswith("ba7816bf")
