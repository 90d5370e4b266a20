"""The words of an event: alike on the wire, in files and in records."""

from enum import IntEnum

import pytest

from micromoment.events import vocabulary
from micromoment.events.vocabulary import (
    GROUP_OF_PAGE,
    GROUP_OF_TYPE,
    N_EVENT_GROUPS,
    STAGE_OF_GROUP,
    EventGroup,
    EventType,
    PageType,
    names,
)
from micromoment.v1 import events_pb2, scoring_pb2

ENUMS = [
    (vocabulary.EventType, events_pb2.EventType, "EVENT_TYPE_"),
    (vocabulary.PageType, events_pb2.PageType, "PAGE_TYPE_"),
    (vocabulary.DeviceType, events_pb2.DeviceType, "DEVICE_TYPE_"),
    (vocabulary.ReferrerMedium, events_pb2.ReferrerMedium, "REFERRER_MEDIUM_"),
    (vocabulary.ConsentState, events_pb2.ConsentState, "CONSENT_STATE_"),
    (vocabulary.JourneyStage, scoring_pb2.JourneyStage, "JOURNEY_STAGE_"),
]


@pytest.mark.parametrize(("words", "proto", "prefix"), ENUMS, ids=lambda value: str(value)[:30])
def test_numbers_are_those_of_the_contract(
    words: type[IntEnum], proto: object, prefix: str
) -> None:
    """Each word has the number that it has on the wire, and neither has a word more."""
    wire = {name.removeprefix(prefix): value for name, value in proto.items()}  # type: ignore[attr-defined]
    if words is EventType:
        assert wire.pop("UNSPECIFIED") == 0
    assert {member.name: int(member) for member in words} == wire


def test_symbols_fit_their_alphabet() -> None:
    """There are 16 groups, numbered from 0 without a hole: the state has a place for each."""
    assert N_EVENT_GROUPS == 16
    assert sorted(EventGroup) == list(range(16))


def test_no_symbol_tells_of_an_order() -> None:
    """Neither orders nor what follows them have a symbol, and page views take their page's."""
    silent = {EventType.PURCHASE, EventType.REFUND, EventType.CANCEL, EventType.PAGE_VIEW}
    assert not silent & GROUP_OF_TYPE.keys()
    assert PageType.CONFIRMATION not in GROUP_OF_PAGE


def test_every_group_but_two_has_a_stage() -> None:
    """Only small acts and account pages say nothing about the journey, and OTHER is the start."""
    silent = set(EventGroup) - STAGE_OF_GROUP.keys()
    assert silent == {EventGroup.OTHER, EventGroup.MICRO, EventGroup.ACCOUNT}


def test_words_in_files_are_lower_case() -> None:
    """Files hold the names in lower case."""
    assert names(vocabulary.ConsentState) == {"unspecified": 0, "granted": 1, "denied": 2}
