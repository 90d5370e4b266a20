"""The rules of every message that a caller can send: those of events and scoring, and of bundles.

What asks for bundles is judged here, because the form of their names is no matter of events.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from google.protobuf.message import Message

from micromoment.errors import FieldViolation, InvalidRequestError
from micromoment.events.field_rules import MessageRules, anything, text
from micromoment.events.validation import ALL_RULES as EVENT_RULES
from micromoment.scoring.manifest import NAME_PATTERN
from micromoment.stores.bundles import is_tag
from micromoment.v1 import models_pb2 as models


def _tag(value: str) -> str | None:
    return text(value) or (None if is_tag(value) else "not of the form name:version")


def _name(value: str) -> str | None:
    return None if re.fullmatch(NAME_PATTERN, value) else "no name of a bundle"


LIST_BUNDLES_REQUEST: Final = MessageRules(models.ListBundlesRequest, {"name": _name})
GET_BUNDLE_REQUEST: Final = MessageRules(
    models.GetBundleRequest, {"bundle": _tag}, required=("bundle",)
)
ACTIVATE_BUNDLE_REQUEST: Final = MessageRules(
    models.ActivateBundleRequest, {"bundle": _tag, "dry_run": anything}, required=("bundle",)
)
ALL_RULES: Final = (
    *EVENT_RULES,
    LIST_BUNDLES_REQUEST,
    GET_BUNDLE_REQUEST,
    ACTIVATE_BUNDLE_REQUEST,
)


def checker(rules: MessageRules) -> Callable[[Message], None]:
    """Give what raises `InvalidRequestError` unless a message keeps to its rules."""

    def check(request: Message) -> None:
        found: list[FieldViolation] = []
        rules.collect(request, "", found)
        if found:
            raise InvalidRequestError(found)

    return check


check_list_bundles_request: Final = checker(LIST_BUNDLES_REQUEST)
check_get_bundle_request: Final = checker(GET_BUNDLE_REQUEST)
check_activate_bundle_request: Final = checker(ACTIVATE_BUNDLE_REQUEST)
