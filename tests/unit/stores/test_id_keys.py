"""The file of keys for pseudonyms."""

from __future__ import annotations

from pathlib import Path

import pytest

from micromoment.errors import InvalidSettingError
from micromoment.events.identity import IdKey
from micromoment.stores.id_keys import id_encoder, load_id_keys


def write(folder: Path, text: str) -> Path:
    """Write a file of keys."""
    path = folder / "keys"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_first_key_is_the_current_one(tmp_path: Path) -> None:
    """Keys come in the order of their lines; comments and empty lines don't count."""
    path = write(tmp_path, "# keys\n\nk2:0123456789abcdef\n k1:fedcba9876543210 \n")
    assert load_id_keys(path) == (
        IdKey("k2", b"0123456789abcdef"),
        IdKey("k1", b"fedcba9876543210"),  # pragma: allowlist secret - made up
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("k1:0123456789abcdef\nk2:tooshort", "line 2"),
        ("secret0123456789abcdef", "line 1"),
        ("k1:0123456789abcdef\nk1:fedcba9876543210", "twice"),
        ("k2:0123456789abcdef:after=k1", "line 1 builds upon"),
        ("k2:0123456789abcdef:after=k1\nk1:fedcba9876543210:after=k2", "line 1 builds upon"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """The error names file and line and never what stands there."""
    with pytest.raises(InvalidSettingError, match=said) as caught:
        load_id_keys(write(tmp_path, text))
    assert "tooshort" not in str(caught.value)
    assert "secret0123" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"), [("nowhere", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, reason: str) -> None:
    """The error names setting and file, and why: that it isn't there is not that it has no text."""
    path = tmp_path / name
    with pytest.raises(InvalidSettingError) as caught:
        load_id_keys(path)
    assert str(caught.value) == f"setting id_key_file: {path} can't be read: {reason}"


def test_a_file_without_text_is_named(tmp_path: Path) -> None:
    """Whatever bytes these are, they are not told."""
    path = tmp_path / "keys"
    path.write_bytes(b"k1:\xff")
    with pytest.raises(InvalidSettingError, match=r"can't be read as text$"):
        load_id_keys(path)


def test_a_key_may_build_upon_another(tmp_path: Path) -> None:
    """The line says upon which; the secret ends before that."""
    path = write(tmp_path, "k2:0123456789abcdef:after=k1\nk1:fedcba:9876543210\n")
    assert load_id_keys(path) == (
        IdKey("k2", b"0123456789abcdef", after="k1"),
        IdKey("k1", b"fedcba:9876543210"),
    )


def test_keys_may_come_without_a_file(tmp_path: Path) -> None:
    """A variable holds the same lines, parted by any white space; not both may be given."""
    text = "k2:0123456789abcdef:after=k1 k1:fedcba9876543210"
    path = write(tmp_path, text.replace(" ", "\n"))
    assert id_encoder(None, text).encode("v") == id_encoder(path).encode("v")
    assert id_encoder(None, "").encode("v") == id_encoder(None).encode("v") == "v"
    with pytest.raises(InvalidSettingError, match="id_keys"):
        id_encoder(path, text)
    with pytest.raises(InvalidSettingError, match="line 2") as caught:
        id_encoder(None, "k1:fedcba9876543210 k2:tooshort")
    assert "tooshort" not in str(caught.value)
