"""Signatures of bundles: whose bundles a server takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from micromoment.errors import (
    BundleError,
    BundleUntrustedError,
    InvalidDataError,
    InvalidSettingError,
)
from micromoment.scoring import bundle as loading
from micromoment.scoring.manifest import SIGNATURES_FILE, Manifest, digest_file, write_manifest
from micromoment.stores.bundle_copies import BundleCopies
from micromoment.stores.bundle_signatures import BundleTrust, Signer
from micromoment.stores.loading import load_stored_bundle, read_stored_manifest
from micromoment.stores.signing_keys import load_signing_key, load_trusted_keys, make_key_pair
from tests.support.signing import a_key, sign
from tests.support.tiny_bundle import make_tiny_store


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two small bundles, nobody's."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    make_tiny_store(folder, name="other", seed=2)
    return folder


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return Path(shutil.copytree(original, tmp_path / "store"))


@pytest.fixture
def folder(store: Path) -> Path:
    """The folder of the first bundle."""
    return store / "shop" / (store / "shop/latest").read_text()


@pytest.fixture
def other(store: Path) -> Path:
    """The folder of the second bundle."""
    return store / "other" / (store / "other/latest").read_text()


def reason_of(folder: Path, keys: Path) -> str:
    """Give the name of the reason why a bundle is not taken; nothing where it is."""
    try:
        load_stored_bundle(folder, BundleTrust(keys))
    except BundleUntrustedError as error:
        return error.reason if f"shop:{folder.name}: {error.reason}: " in str(error) else str(error)
    return ""


def test_a_signed_bundle_loads(folder: Path, tmp_path: Path) -> None:
    """With a key that is trusted, whatever the bundle's version: signing does not change it."""
    before = read_stored_manifest(folder).digest
    manifest = sign(folder, a_key(tmp_path, "release"))
    assert manifest.digest == before == read_stored_manifest(folder).digest
    assert load_stored_bundle(folder, BundleTrust(tmp_path / "trusted")).tag == manifest.tag


def test_an_unsigned_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    """Where keys are set; without them it loads."""
    a_key(tmp_path, "release")
    assert reason_of(folder, tmp_path / "trusted") == "UNSIGNED"
    load_stored_bundle(folder)


def test_a_key_that_is_not_in_the_list_is_refused(folder: Path, tmp_path: Path) -> None:
    """A right signature of somebody else is none."""
    sign(folder, a_key(tmp_path, "somebody"))
    (tmp_path / "trusted/somebody.pub").unlink()
    a_key(tmp_path, "release")
    assert reason_of(folder, tmp_path / "trusted") == "UNKNOWN_KEY"


def test_another_bundle_s_signature_is_refused(folder: Path, other: Path, tmp_path: Path) -> None:
    """Moved over from a bundle that the same key signed, it is of other content."""
    sign(other, a_key(tmp_path, "release"))
    shutil.copy(other / SIGNATURES_FILE, folder / SIGNATURES_FILE)
    assert reason_of(folder, tmp_path / "trusted") == "WRONG_SIGNATURE"


def test_a_changed_bundle_is_refused_whatever_its_digests_say(folder: Path, tmp_path: Path) -> None:
    """A file changed alone is damage; with manifest and version following, a wrong signature."""
    manifest = sign(folder, a_key(tmp_path, "release"))
    model = folder / "conversion.txt"
    model.write_bytes(model.read_bytes().replace(b"learning_rate", b"Learning_rate", 1))
    with pytest.raises(BundleError, match=r"conversion\.txt is damaged"):
        load_stored_bundle(folder, BundleTrust(tmp_path / "trusted"))
    files = manifest.files | {"conversion.txt": digest_file(model)}
    changed = manifest.model_copy(update={"files": files})
    write_manifest(folder, changed)
    place = folder.rename(folder.with_name(changed.version))
    assert reason_of(place, tmp_path / "trusted") == "WRONG_SIGNATURE"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "UNREADABLE_SIGNATURES"),
        (b"{}", "UNSIGNED"),
        (b'{"format": 2, "signatures": []}', "UNREADABLE_SIGNATURES"),
        (b'{"signatures": [{"key": "x", "signature": "x"}]}', "UNREADABLE_SIGNATURES"),
        (b" " * 65_537, "UNREADABLE_SIGNATURES"),
    ],
)
def test_a_bad_file_of_signatures_is_refused(
    folder: Path, tmp_path: Path, content: bytes, reason: str
) -> None:
    """It is as good as none."""
    a_key(tmp_path, "release")
    (folder / SIGNATURES_FILE).write_bytes(content)
    assert reason_of(folder, tmp_path / "trusted") == reason


@pytest.mark.parametrize("place", [0, 31, 63])
def test_a_flipped_bit_of_the_signature_is_refused(
    folder: Path, tmp_path: Path, place: int
) -> None:
    """And so is one that is not base64, or cut."""
    key = a_key(tmp_path, "release")
    sign(folder, key)
    path = folder / SIGNATURES_FILE
    told = json.loads(path.read_text())
    one = told["signatures"][0]
    text = one["signature"]
    for wrong in (text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :], "*", ""):
        path.write_text(json.dumps({"signatures": [one | {"signature": wrong}]}))
        assert reason_of(folder, tmp_path / "trusted") == "WRONG_SIGNATURE"


def test_nothing_but_the_manifest_is_read_of_an_untrusted_bundle(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other file is opened before the signature is right: the model never reaches LightGBM."""
    a_key(tmp_path, "release")
    read: list[str] = []
    original = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    assert reason_of(folder, tmp_path / "trusted") == "UNSIGNED"
    assert set(read) == {"manifest.json", "release.pub"}
    sign(folder, load_signing_key(tmp_path / "release"))
    assert reason_of(folder, tmp_path / "trusted") == ""
    assert {"conversion.txt", SIGNATURES_FILE} <= set(read)


def test_what_was_checked_is_what_is_parsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is exchanged after the check and before it is read reaches no parser."""
    check = loading.check_files

    def exchanged(where: Path, manifest: Manifest) -> None:
        check(where, manifest)
        (where / "conversion.txt").write_bytes(b"tree")

    monkeypatch.setattr(loading, "check_files", exchanged)
    with pytest.raises(BundleError, match=r"conversion\.txt is damaged"):
        load_stored_bundle(folder)


def test_keys_rotate_without_a_gap(folder: Path, tmp_path: Path) -> None:
    """Two keys sign, and either suffices: the new is added to the list, then the old leaves it."""
    old, new = a_key(tmp_path, "2025"), a_key(tmp_path, "2026")
    manifest = sign(folder, old)
    sign(folder, new)
    sign(folder, new)  # again: it replaces its own
    trusted = tmp_path / "trusted"
    trust = BundleTrust(trusted)
    names = [one.name for one in trust.signers(folder, manifest)]
    assert names == ["2025", "2026"]
    for name in ("2025.pub", "2026.pub"):
        taken = (trusted / name).rename(tmp_path / name)
        assert reason_of(folder, trusted) == ""
        taken.rename(trusted / name)
    (trusted / "2025.pub").unlink()
    assert trust.signers(folder, manifest) == (Signer(old.key_id, ""), Signer(new.key_id, "2026"))


def test_a_file_may_hold_several_keys(tmp_path: Path) -> None:
    """As a list of certificates does, words between them included."""
    ids = {a_key(tmp_path, name).key_id for name in ("one", "two")}
    both = b"first\n".join(path.read_bytes() for path in (tmp_path / "trusted").iterdir())
    (tmp_path / "keys.pem").write_bytes(both)
    for place in (tmp_path / "keys.pem", tmp_path / "trusted"):
        assert {key.key_id for key in load_trusted_keys(place)} == ids


def test_a_setting_that_cannot_work_is_told(folder: Path, tmp_path: Path) -> None:
    """No file, no key, a private key, another kind of key: the setting is named, no key is."""
    a_key(tmp_path, "release")
    bad = {
        "none": b"",
        "private": (tmp_path / "release").read_bytes(),
        "broken": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "empty").mkdir()
    for name in (*bad, "empty", "missing"):
        with pytest.raises(InvalidSettingError, match="setting bundle_keys: "):
            load_trusted_keys(tmp_path / name)
        assert reason_of(folder, tmp_path / name) == "NO_KEYS"


def test_a_private_key_stays_private(tmp_path: Path) -> None:
    """It is made for its owner alone, replaces nothing, and is not used when all can read it."""
    a_key(tmp_path, "release")
    private = tmp_path / "release"
    assert private.stat().st_mode & 0o777 == 0o600
    for pair in (
        (private, tmp_path / "new.pub"),
        (tmp_path / "new", tmp_path / "trusted/release.pub"),
    ):
        with pytest.raises(InvalidDataError, match="is there already"):
            make_key_pair(*pair)
    assert not (tmp_path / "new").exists()
    private.chmod(0o644)
    with pytest.raises(InvalidDataError, match="everybody can read"):
        load_signing_key(private)
    for content in (b"", (tmp_path / "trusted/release.pub").read_bytes()):
        private.chmod(0o600)
        private.write_bytes(content)
        with pytest.raises(InvalidDataError, match="no private key"):
            load_signing_key(private)


def test_a_copy_follows_the_signatures(store: Path, folder: Path, tmp_path: Path) -> None:
    """What is signed anew in the store is so in the copy from before, too, and what is not, not."""
    copies = BundleCopies(tmp_path / "copies", store, "shop:latest")
    copies.load(lambda place: place)
    for name in ("2025", "2026"):
        sign(folder, a_key(tmp_path, name))
        copies.keep(folder)
        (copy,) = (tmp_path / "copies").rglob(SIGNATURES_FILE)
        assert copy.read_bytes() == (folder / SIGNATURES_FILE).read_bytes()
    (folder / SIGNATURES_FILE).unlink()
    copies.keep(folder)
    assert not list((tmp_path / "copies").rglob(SIGNATURES_FILE))


def test_an_untrusted_store_gives_way_to_a_signed_copy(
    store: Path, folder: Path, tmp_path: Path
) -> None:
    """A start takes the copy from before, which has to be signed as well."""
    trust = BundleTrust(tmp_path / "trusted")
    copies = BundleCopies(tmp_path / "copies", store, "shop:latest")
    sign(folder, a_key(tmp_path, "release"))
    copies.load(lambda place: load_stored_bundle(place, trust))
    (folder / SIGNATURES_FILE).unlink()
    loaded = copies.load(lambda place: load_stored_bundle(place, trust))
    assert loaded.path.is_relative_to(tmp_path / "copies")
    (loaded.path / SIGNATURES_FILE).unlink()
    with pytest.raises(BundleUntrustedError, match="UNSIGNED"):
        copies.load(lambda place: load_stored_bundle(place, trust))
