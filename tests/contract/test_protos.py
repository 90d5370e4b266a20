"""The contract on the wire does not change by accident."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import pytest
from google.protobuf.descriptor import EnumDescriptor

from micromoment.events import vocabulary
from micromoment.v1 import events_pb2, scoring_pb2
from tests.contract.describe import FILES, describe

GOLDEN = Path(__file__).parent / "contract.txt"


def test_the_contract_is_the_one_written_down() -> None:
    """Services, fields with number, type and presence, and enum values are as in contract.txt.

    After a wanted change: `python -m tests.contract.describe > tests/contract/contract.txt`.
    """
    assert describe().splitlines() == GOLDEN.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("words", "enum"),
    [
        (vocabulary.EventType, events_pb2.EventType.DESCRIPTOR),
        (vocabulary.PageType, events_pb2.PageType.DESCRIPTOR),
        (vocabulary.DeviceType, events_pb2.DeviceType.DESCRIPTOR),
        (vocabulary.ReferrerMedium, events_pb2.ReferrerMedium.DESCRIPTOR),
        (vocabulary.ConsentState, events_pb2.ConsentState.DESCRIPTOR),
        (vocabulary.JourneyStage, scoring_pb2.JourneyStage.DESCRIPTOR),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_enum_numbers_are_the_vocabularys(words: type[IntEnum], enum: EnumDescriptor) -> None:
    """Each word has the same number on the wire and in the stored format."""
    snake = "".join(f"_{c}" if c.isupper() else c for c in enum.name).strip("_").upper()
    wire = {value.name.removeprefix(f"{snake}_"): value.number for value in enum.values}
    ours = {"UNSPECIFIED": 0} | {word.name: int(word) for word in words}
    assert wire == ours


def test_every_enum_begins_with_unspecified() -> None:
    """Number 0 says that nothing was said."""
    for file in FILES:
        for enum in file.enum_types_by_name.values():
            assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")


def test_money_is_never_a_float() -> None:
    """Whatever is named value, price or micros and is a number of money is an integer."""
    for line in describe().splitlines():
        if line.startswith("field") and line.endswith(("_micros", "price", "amount")):
            assert " int64 " in line
