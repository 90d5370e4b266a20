"""Ids of people and visits on their way into stores."""

import re

from micromoment.events.identity import IdEncoder, IdKey

OLD, NEW = IdKey("k1", b"old secret"), IdKey("k2", b"new secret")


def test_without_a_key_ids_are_kept() -> None:
    """Local files hold plain ids."""
    ids = IdEncoder()
    assert ids.encode("visitor") == "visitor"
    assert ids.candidates("visitor") == ("visitor",)


def test_with_a_key_ids_become_pseudonyms() -> None:
    """A pseudonym names its key, shows nothing of the id, and is the same each time."""
    ids = IdEncoder([NEW])
    pseudonym = ids.encode("visitor@example.org")
    assert re.fullmatch(r"k2\.[a-z2-7]{26}", pseudonym)
    assert pseudonym == IdEncoder([NEW]).encode("visitor@example.org")
    assert pseudonym != ids.encode("visitor@example.orh")
    assert pseudonym != IdEncoder([IdKey("k2", b"another")]).encode("visitor@example.org")


def test_after_a_change_of_keys_old_data_is_found() -> None:
    """The current key encodes; a look-up tries the current form first, then the previous one."""
    ids = IdEncoder([NEW, OLD])
    current, previous = ids.candidates("visitor")
    assert current == ids.encode("visitor") == IdEncoder([NEW]).encode("visitor")
    assert previous == IdEncoder([OLD]).encode("visitor")


def test_no_id_stays_no_id() -> None:
    """The empty id is never given a pseudonym, which would look like a person."""
    ids = IdEncoder([NEW, OLD])
    assert ids.encode("") == ""
    assert ids.candidates("") == ("",)


def test_pseudonyms_are_part_of_the_stored_format() -> None:
    """An id has the same pseudonym in every version: HMAC-SHA-256, 128 bits, base32."""
    assert IdEncoder([OLD]).encode("visitor") == "k1.owusy3co7pnkosmhh3osa563jy"
