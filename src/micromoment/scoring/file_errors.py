"""What is wrong with a bundle's file of rules, in a sentence that names the entry at fault."""

from __future__ import annotations

import json

from pydantic import ValidationError


def first_error(error: ValidationError, content: bytes) -> str:
    """Say what the first error is and where: an entry of a list by its id, if it has one."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    names = list(first["loc"])
    if len(names) >= 2 and isinstance(names[1], int):
        names[1] = _id_of(content, str(names[0]), names[1])
    place = ".".join(str(name) for name in names)
    return f"{place}: {message}" if place else message


def _id_of(content: bytes, field: str, index: int) -> str | int:
    entry = json.loads(content)[field][index]
    return str(entry["id"]) if isinstance(entry, dict) and "id" in entry else index
