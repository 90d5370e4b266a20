"""What is wrong with a file of rules, in a sentence that names the entry at fault."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError


def first_error(error: ValidationError, content: bytes) -> str:
    """Say what the first error in a JSON file is and where: an entry of a list by its id."""
    located = len(error.errors()[0]["loc"]) > 0  # else it may be no JSON at all
    return first_error_in(error, json.loads(content) if located else None)


def first_error_in(error: ValidationError, content: Any) -> str:  # noqa: ANN401 - any document
    """Say the same of a document that is read already."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    names = list(first["loc"])
    if len(names) >= 2 and isinstance(names[1], int):
        entry = content[names[0]][names[1]]
        if isinstance(entry, dict) and "id" in entry:
            names[1] = str(entry["id"])
    place = ".".join(str(name) for name in names)
    return f"{place}: {message}" if place else message
