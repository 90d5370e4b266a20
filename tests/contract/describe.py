"""The wire contract as text: `python -m tests.contract.describe > tests/contract/contract.txt`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

from micromoment.v1 import events_pb2, log_pb2, models_pb2, privacy_pb2, scoring_pb2

FILES: tuple[FileDescriptor, ...] = (
    events_pb2.DESCRIPTOR,
    log_pb2.DESCRIPTOR,
    models_pb2.DESCRIPTOR,
    privacy_pb2.DESCRIPTOR,
    scoring_pb2.DESCRIPTOR,
)
_SCALARS = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def describe() -> str:
    """Give one line per field, value and method, in the order of the files."""
    lines = [line for file in FILES for line in _file(file)]
    return "\n".join(lines) + "\n"


def _file(file: FileDescriptor) -> Iterator[str]:
    yield f"file {file.name} package {file.package}"
    for service in file.services_by_name.values():
        for method in service.methods:
            takes, gives = method.input_type.name, method.output_type.name
            yield f"rpc {service.name}.{method.name} {takes} -> {gives}"
    for enum in file.enum_types_by_name.values():
        yield from _enum(enum)
    for message in file.message_types_by_name.values():
        yield from _message(message)


def _enum(enum: EnumDescriptor) -> Iterator[str]:
    for value in enum.values:
        yield f"enum {enum.name} {value.number} {value.name}"


def _message(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        kind = (field.message_type or field.enum_type or field).full_name
        if field.message_type is None and field.enum_type is None:
            kind = _SCALARS[field.type]
        yield f"field {message.name} {field.number} {_label(field)} {kind} {field.name}"


def _label(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return "map"
    if field.is_repeated:
        return "repeated"
    if field.containing_oneof is not None and not field.containing_oneof.name.startswith("_"):
        return f"oneof:{field.containing_oneof.name}"
    return "optional" if field.has_presence and field.message_type is None else "single"


if __name__ == "__main__":
    sys.stdout.write(describe())
