"""What judging a request costs: this project's rules beside protovalidate's, on the same requests.

    PYTHONPATH=FOLDER python -m benchmarks.validation

protovalidate compiles rules in CEL that stand in the contract as options. It is no dependency:
`pip install --target FOLDER protovalidate==2.1.0` first. The rules are put on a copy of the
request's descriptors, so that the contract itself stays as it is.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,  # noqa: F401 - the rules need it in the pool, likewise the next
    field_mask_pb2,  # noqa: F401
    json_format,
    message_factory,
)
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from micromoment.events.identity import IdEncoder
from micromoment.events.shop import Shop
from micromoment.events.validation import check_score_request
from micromoment.transport.decoding import RequestDecoder
from micromoment.v1 import events_pb2, scoring_pb2

ROUNDS: Final = 9
CALLS: Final = 300
EVENTS: Final = (1, 10, 200)
_TEXT: Final = {"string": {"max_bytes": 256}}
_DURATION: Final = {"int64": {"gte": 0, "lte": 86_400_000}}
_NOT_NEGATIVE: Final = {"int64": {"gte": 0}}
_WORD: Final = {"enum": {"defined_only": True}}
RULES: Final[dict[str, dict[str, Any]]] = {
    "ScoreRequest.session_id": {"required": True, **_TEXT},
    "ScoreRequest.user_id": _TEXT,
    "ScoreRequest.anonymous_id": _TEXT,
    "ScoreRequest.events": {"repeated": {"max_items": 200}},
    "Event.event_id": {"required": True, **_TEXT},
    "Event.type": {"required": True, **_WORD},
    "Event.event_time": {
        "required": True,
        "timestamp": {"gte": "2000-01-01T00:00:00Z", "lte": "2100-01-01T00:00:00Z"},
    },
    "Event.sequence": {"int64": {"gte": 1}},
    "Event.items": {"repeated": {"max_items": 50}},
    "Event.order_id": _TEXT,
    "Event.value_micros": _NOT_NEGATIVE,
    "Event.currency": {"string": {"pattern": "^([A-Z]{3})?$"}},
    "Event.device": _WORD,
    "Event.locale": _TEXT,
    "Event.utc_offset_minutes": {"int32": {"gte": -840, "lte": 840}},
    "Event.scroll_percent": {"double": {"gte": 0, "lte": 100}},
    "Event.dwell_ms": _DURATION,
    "Event.hover_ms": _DURATION,
    "Event.engagement_ms": _DURATION,
    "Event.attributes": {"map": {"max_pairs": 32, "keys": _TEXT, "values": _TEXT}},
    "Item.item_id": {"required": True, **_TEXT},
    "Item.category_path": {"repeated": {"max_items": 5, "items": _TEXT}},
    "Item.brand": _TEXT,
    "Item.price_micros": _NOT_NEGATIVE,
    "Item.quantity": {"int32": {"gte": 1, "lte": 1_000_000}},
    "Item.position": {"int32": {"gte": 1, "lte": 100_000}},
    "Page.page_id": _TEXT,
    "Page.type": _WORD,
    "Page.title": _TEXT,
    "Referrer.medium": _WORD,
    "Referrer.campaign": _TEXT,
    "Referrer.source": _TEXT,
}


def main() -> None:
    """Print the time of each way, and its ratio to the project's decoder, which is what runs."""
    try:
        import protovalidate  # noqa: PLC0415 - no dependency
    except ImportError:
        sys.exit(__doc__)
    kind = annotated_request()
    validator = protovalidate.Validator()
    decoder = RequestDecoder(Shop(), IdEncoder())
    for events in EVENTS:
        request = a_request(events)
        copy = kind.FromString(request.SerializeToString())
        validator.validate(copy)
        assert len(validator.collect_violations(bad_copy(kind))) == 2
        ways: dict[str, Callable[[], object]] = {
            "decoder (checks and decodes)": partial(decoder.score_call, request),
            "rules (where it refuses)": partial(check_score_request, request),
            "protovalidate": partial(validator.validate, copy),
        }
        base = 0.0
        for name, way in ways.items():
            us = microseconds(way, max(3, CALLS // events))
            base = base or us
            print(f"{events:4} events  {name:30} {us:10.1f} us  {us / base:7.1f}x")


def a_request(events: int) -> scoring_pb2.ScoreRequest:
    """Make a request as a shop sends it."""
    request = scoring_pb2.ScoreRequest(session_id="session-1", anonymous_id="browser-1")
    for number in range(events):
        event = request.events.add(
            event_id=f"event-{number}",
            type=events_pb2.EVENT_TYPE_ITEM_VIEW,
            sequence=number + 1,
            device=events_pb2.DEVICE_TYPE_MOBILE,
            locale="de-DE",
            page=events_pb2.Page(page_id="/p/sku-1", type=events_pb2.PAGE_TYPE_ITEM),
        )
        event.event_time.FromSeconds(1_700_000_000 + number)
        event.items.add(item_id="sku-1", category_path=["shoes"], price_micros=19_990_000)
    return request


def bad_copy(kind: type[Message]) -> Message:
    """Make a request that breaks two rules, to see that they hold."""
    request = a_request(1)
    request.session_id = "x" * 257
    request.events[0].dwell_ms = -1
    return kind.FromString(request.SerializeToString())


def annotated_request() -> type[Message]:
    """Make the class of a request whose descriptors carry the rules."""
    from protovalidate._gen.buf.validate import validate_pb  # noqa: PLC0415 - no dependency

    options = descriptor_pool.Default().AddSerializedFile(validate_pb.desc().proto.to_binary())
    rules_of = message_factory.GetMessageClass(options.message_types_by_name["FieldRules"])
    number = options.extensions_by_name["field"].number
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
    added: set[str] = {descriptor_pb2.DESCRIPTOR.name}

    def add(file: FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for one in file.dependencies:
            add(one)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        for message in proto.message_type if file.package == "micromoment.v1" else ():
            for field in message.field:
                rule = RULES.get(f"{message.name}.{field.name}")
                if rule is not None:
                    written = json_format.ParseDict(rule, rules_of()).SerializeToString()
                    head = _varint(number << 3 | 2) + _varint(len(written))
                    field.options.MergeFromString(head + written)
        pool.Add(proto)

    add(options)
    add(scoring_pb2.DESCRIPTOR)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("micromoment.v1.ScoreRequest")
    )


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def microseconds(way: Callable[[], object], calls: int) -> float:
    """Give the time of a call, the median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(calls):
            way()
        rounds.append((time.perf_counter() - began) / calls * 1e6)
    return statistics.median(rounds)


if __name__ == "__main__":
    main()
