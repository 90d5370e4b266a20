"""The rules of every message that a caller can send: events, scoring, bundles, and people.

What asks for bundles and for people is judged here, because it is no matter of events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.message import Message

from micromoment.errors import FieldViolation, InvalidRequestError
from micromoment.events.field_rules import MessageRules, anything, text, texts
from micromoment.events.validation import ALL_RULES as EVENT_RULES
from micromoment.scoring.manifest import NAME_PATTERN
from micromoment.stores.bundles import is_tag
from micromoment.v1 import models_pb2 as models
from micromoment.v1 import privacy_pb2 as privacy

MAX_ANONYMOUS_IDS: Final = 100

_short_ids = texts(MAX_ANONYMOUS_IDS)


def _tag(value: str) -> str | None:
    return text(value) or (None if is_tag(value) else "not of the form name:version")


def _name(value: str) -> str | None:
    return None if re.fullmatch(NAME_PATTERN, value) else "no name of a bundle"


def _ids(values: Sequence[str]) -> str | None:
    return _short_ids(values) or (None if all(values) else "an entry is empty")


LIST_BUNDLES_REQUEST: Final = MessageRules(models.ListBundlesRequest, {"name": _name})
GET_BUNDLE_REQUEST: Final = MessageRules(
    models.GetBundleRequest, {"bundle": _tag}, required=("bundle",)
)
ACTIVATE_BUNDLE_REQUEST: Final = MessageRules(
    models.ActivateBundleRequest, {"bundle": _tag, "dry_run": anything}, required=("bundle",)
)
_OF_A_PERSON: Final = {"user_id": text, "anonymous_ids": _ids}
ERASE_USER_REQUEST: Final = MessageRules(privacy.EraseUserRequest, _OF_A_PERSON)
EXPORT_USER_REQUEST: Final = MessageRules(privacy.ExportUserRequest, _OF_A_PERSON)
ALL_RULES: Final = (
    *EVENT_RULES,
    LIST_BUNDLES_REQUEST,
    GET_BUNDLE_REQUEST,
    ACTIVATE_BUNDLE_REQUEST,
    ERASE_USER_REQUEST,
    EXPORT_USER_REQUEST,
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
_check_erase_user_request: Final = checker(ERASE_USER_REQUEST)
_check_export_user_request: Final = checker(EXPORT_USER_REQUEST)


def check_person(request: privacy.EraseUserRequest | privacy.ExportUserRequest) -> None:
    """Raise `InvalidRequestError` unless a request names a person within the contract's limits."""
    if isinstance(request, privacy.EraseUserRequest):
        _check_erase_user_request(request)
    else:
        _check_export_user_request(request)
    if not request.user_id and not request.anonymous_ids:
        raise InvalidRequestError([FieldViolation("user_id", "or anonymous_ids is required")])
