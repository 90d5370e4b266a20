"""Ids of people and visits on their way into stores."""

import re

import pytest

from micromoment.events.identity import IdEncoder, IdKey

OLD, NEW = IdKey("k1", b"old secret"), IdKey("k2", b"new secret")
NEXT = IdKey("k3", b"next secret", after="k1")


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


def test_a_key_that_builds_upon_another_needs_no_plain_id() -> None:
    """A pseudonym under the earlier key becomes the one that the plain id has under the new key."""
    ids = IdEncoder([NEXT, OLD])
    old = IdEncoder([OLD]).encode("visitor")
    assert ids.encode("visitor") == ids.raised(old) == ids.candidates("visitor")[0]
    assert ids.raised(ids.encode("visitor")) == ids.encode("visitor")
    assert ids.can_raise("k1")
    assert ids.candidates("visitor")[1] == old


def test_several_rotations_are_one_step() -> None:
    """Whatever is stored under any key of the chain comes under the last one."""
    last = IdKey("k4", b"last secret", after="k3")
    ids = IdEncoder([last, NEXT, OLD])
    forms = ids.candidates("visitor")
    assert [form[:3] for form in forms] == ["k4.", "k3.", "k1."]
    assert {ids.raised(form) for form in forms} == {forms[0]}


def test_a_key_alone_tells_nothing_about_the_next_one() -> None:
    """Who has the earlier secret alone does not get at pseudonyms under the key upon it."""
    guess = IdEncoder([IdKey("k3", b"another secret", after="k1"), OLD])
    assert guess.encode("visitor") != IdEncoder([NEXT, OLD]).encode("visitor")


def test_names_made_of_pseudonyms_are_brought_along() -> None:
    """What stands behind a pseudonym in a session's name stays; each pseudonym in it changes."""
    ids = IdEncoder([NEXT, OLD])
    old, new = ids.candidates("visitor")[::-1]
    assert ids.raised(f"{old}.1700000000") == f"{new}.1700000000"
    assert ids.raised(f"{old}~17") == f"{new}~17"
    assert ids.raised(f"{old}.{old}") == f"{new}.{new}"


def test_what_is_no_pseudonym_of_the_chain_stays() -> None:
    """Plain ids, and pseudonyms of keys on which the current one does not build."""
    ids = IdEncoder([NEXT, NEW, OLD])
    foreign = IdEncoder([NEW]).encode("visitor")
    assert ids.raised(foreign) == ids.rekeyed(foreign) == foreign
    assert not ids.can_raise("k2")
    assert ids.raised("visitor.1") == "visitor.1"
    assert ids.rekeyed("visitor.1") == ids.encode("visitor.1")


@pytest.mark.parametrize(
    "keys",
    [
        [OLD, OLD],
        [NEXT],
        [IdKey("a", b"1", after="b"), IdKey("b", b"2", after="a")],
        [IdKey("a", b"1", after="a")],
    ],
)
def test_keys_that_make_no_chain_are_refused(keys: list[IdKey]) -> None:
    """A key has one secret, and what it builds upon is there and ends."""
    with pytest.raises(ValueError, match="key"):
        IdEncoder(keys)


def test_a_secret_is_not_shown() -> None:
    """A key that ends up in a message or a traceback shows its id alone."""
    assert "secret" not in repr(IdKey("k9", b"a secret")).replace("secret=", "")


def test_all_forms_of_a_stored_id() -> None:
    """A plain id may be stored under each key; a pseudonym under those that build upon its own."""
    last = IdKey("k4", b"last secret", after="k3")
    ids = IdEncoder([last, NEXT, OLD, NEW])
    plain = ("visitor", *ids.candidates("visitor"))
    assert ids.forms("visitor") == plain
    assert ids.candidates("visitor") == plain[1:]
    k4, k3, k1, k2 = plain[1:]
    for stored, more in ((k1, {k3, k4}), (k3, {k4}), (k4, set()), (k2, set())):
        assert ids.forms(stored)[0] == stored
        assert set(plain) & set(ids.forms(stored)) == {stored} | more
    assert IdEncoder().forms(k1) == (k1,)
    assert ids.forms("") == ("",)
