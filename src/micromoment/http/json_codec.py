"""JSON as protobuf maps it: names in lowerCamelCase, 64-bit integers as strings, enums by name."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message

from micromoment.errors import FieldViolation, InvalidRequestError
from micromoment.http.methods import Method
from micromoment.transport.errors import UndecodableRequestError

# Deeper than any message of the contract.
_MAX_DEPTH: Final = 20
_PLACE: Final = re.compile(r" at \w+\.([\w.\[\]]+?)\.*$")
_FIELDS: Final = re.compile(r"Failed to parse (\w+) field")
_UNKNOWN: Final = re.compile(r'has no field named "([A-Za-z_]\w{0,63})" at "\w+\.?([^"]*)"')
_STEP: Final = re.compile(r"(\w+)|\[(\d+)\]")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def parse_request(body: bytes, method: Method) -> Message:
    """Read the request of a call.

    Raises `UndecodableRequestError` for what is no JSON object and `InvalidRequestError` for a
    field that the message lacks or that holds what it can't; the error has its path, not its value.
    """
    request = method.request()
    try:
        json_format.Parse(body, request, max_recursion_depth=_MAX_DEPTH)
    except json_format.ParseError as error:
        violation = _violation(str(error), request.DESCRIPTOR.full_name, body)
        if violation is None:
            raise UndecodableRequestError(method.path) from None
        raise InvalidRequestError([violation]) from None
    except (UnicodeDecodeError, RecursionError):
        raise UndecodableRequestError(method.path) from None
    return request


def to_json(message: Message) -> str:
    """Write a message; fields that can't be absent are there, also when they are empty or 0."""
    return json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, indent=None
    )


def _violation(error: str, message: str, body: bytes) -> FieldViolation | None:
    unknown = _UNKNOWN.search(error)
    if unknown and not _is_name(unknown[1], unknown[2], body):
        # Where a message should be there is a text or a list: what is told as unknown is its value.
        if not unknown[2]:
            return None
        what = f"not what the JSON of {message} has there"
        return FieldViolation(_as_in_the_contract(unknown[2]), what)
    if unknown:
        path = ".".join(part for part in (unknown[2], unknown[1]) if part)
        return FieldViolation(_as_in_the_contract(path), "no field of the contract")
    place = _PLACE.search(error)
    path = place[1] if place else ".".join(_FIELDS.findall(error))
    if not path:
        return None
    return FieldViolation(_as_in_the_contract(path), f"not what the JSON of {message} has there")


def _is_name(name: str, path: str, body: bytes) -> bool:
    """Tell whether an object at a path of the body has a member of that name."""
    try:
        place: Any = json.loads(body)
        for key, index in _STEP.findall(path):
            place = place[int(index)] if index else place[key]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    return isinstance(place, dict) and name in place


def _as_in_the_contract(path: str) -> str:
    return _CAPITAL.sub("_", path).lower()
