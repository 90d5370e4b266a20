"""Describes the calls as OpenAPI, from the contract's descriptors and comments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from micromoment import __version__
from micromoment.http.methods import METHODS, Method

Schema = dict[str, Any]

_COMMENTS: Final = "comments.json"  # made by `make proto`
_REF: Final = "#/components/schemas/"
_SCALARS: Final[dict[int, Schema]] = {
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},  # the contract has no bytes
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    # JavaScript's numbers don't hold them.
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    # Features may be missing.
    FieldDescriptor.CPPTYPE_FLOAT: {
        "oneOf": [{"type": "number", "format": "float"}, {"type": "string", "enum": ["NaN"]}]
    },
}
_WELL_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d+)?s$"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
}
_NOTE: Final = (
    "The calls of the gRPC contract as JSON. 64-bit integers are strings in replies; requests may "
    "hold them as numbers. An absent field does not apply."
)
_HEALTH: Final = {
    "/livez": "The process answers.",
    "/readyz": "It is loaded and takes calls: 200, else 503.",
}


def openapi() -> Schema:
    """Give the whole description."""
    comments = json.loads((files(__package__) / _COMMENTS).read_text(encoding="utf-8"))
    return {
        "openapi": "3.0.3",
        "info": {"title": "micromoment", "version": __version__, "description": _NOTE},
        "servers": [{"url": "."}],
        "paths": {
            **{method.path: {"post": _operation(method, comments)} for method in METHODS},
            **{path: {"get": _health(meaning)} for path, meaning in _HEALTH.items()},
        },
        "components": {"schemas": _schemas(comments)},
    }


def _operation(method: Method, comments: dict[str, str]) -> Schema:
    return {
        "operationId": method.name,
        "description": comments[method.full_name],
        "requestBody": {"required": True, "content": _content(method.request)},
        "responses": {
            "200": {"description": "The answer.", "content": _content(method.reply)},
            "default": {
                "description": "Why there is none; docs/api.md lists the reasons.",
                "content": _content(Status),
            },
        },
    }


def _health(meaning: str) -> Schema:
    return {"description": meaning, "responses": {"200": {"description": "Yes."}}}


def _content(message: type[Message]) -> Schema:
    return {"application/json": {"schema": _ref(_descriptor(message))}}


def _descriptor(message: type[Message]) -> Descriptor:
    return cast(Descriptor, message.DESCRIPTOR)


def _schemas(comments: dict[str, str]) -> dict[str, Schema]:
    requests = set().union(*(_reached(_descriptor(one.request)) for one in METHODS))
    replies = set().union(*(_reached(_descriptor(one.reply)) for one in METHODS))
    replies |= _reached(_descriptor(Status))
    found = {}
    for one in sorted(requests | replies, key=lambda kind: kind.full_name):
        if isinstance(one, EnumDescriptor):
            found[one.full_name] = _enum(one, comments)
        else:
            found[one.full_name] = _message(one, comments, complete=one not in requests)
    return found


def _reached(root: Descriptor) -> set[Descriptor | EnumDescriptor]:
    """Give the messages and enums in a message's JSON, itself included."""
    found: set[Descriptor | EnumDescriptor] = set()
    waiting = [root]
    while waiting:
        message = waiting.pop()
        if message in found or message.full_name in _WELL_KNOWN:
            continue
        if not message.GetOptions().map_entry:
            found.add(message)
        for kind in _kinds(message):
            if isinstance(kind, EnumDescriptor):
                found.add(kind)
            else:
                waiting.append(kind)
    return found


def _kinds(message: Descriptor) -> Iterator[Descriptor | EnumDescriptor]:
    for field in message.fields:
        kind = field.message_type or field.enum_type
        if kind is not None:
            yield kind


def _message(message: Descriptor, comments: dict[str, str], *, complete: bool) -> Schema:
    schema: Schema = {
        "type": "object",
        "description": comments.get(message.full_name, ""),
        "properties": {field.json_name: _field(field, comments) for field in message.fields},
    }
    # Replies hold every field that can't be absent.
    always = [field.json_name for field in message.fields if not field.has_presence]
    if complete and always:
        schema["required"] = always
    return schema


def _enum(enum: EnumDescriptor, comments: dict[str, str]) -> Schema:
    names = [value.name for value in enum.values]
    meanings = (f"* `{name}`: {comments.get(f'{enum.full_name}.{name}', '')}" for name in names)
    description = "\n".join([comments.get(enum.full_name, ""), *meanings])
    return {"type": "string", "enum": names, "description": description}


def _field(field: FieldDescriptor, comments: dict[str, str]) -> Schema:
    meaning = comments.get(field.full_name, "")
    if field.is_repeated:
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            values = _single(kind.fields_by_name["value"])
            return {"type": "object", "additionalProperties": values, "description": meaning}
        return {"type": "array", "items": _single(field), "description": meaning}
    single = _single(field)
    # Beside a reference nothing else is read.
    return (
        {"allOf": [single], "description": meaning}
        if "$ref" in single
        else {
            **single,
            "description": meaning,
        }
    )


def _single(field: FieldDescriptor) -> Schema:
    if field.message_type is not None:
        return _WELL_KNOWN.get(field.message_type.full_name) or _ref(field.message_type)
    if field.enum_type is not None:
        return _ref(field.enum_type)
    return _SCALARS[field.cpp_type]


def _ref(kind: Descriptor | EnumDescriptor) -> Schema:
    return {"$ref": _REF + kind.full_name}
