"""Whose call is under way: its tenant and its roles.

A tenant is known by the caller's credentials alone, never by what a request says. It is kept in a
context variable, which the tasks that a call starts inherit.
"""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

# Whose calls those without credentials are.
DEFAULT_TENANT: Final = "default"


class Role(StrEnum):
    """What a caller may do; `security.access.ROLES` says what each service asks for."""

    SCORE = "score"
    ADMIN = "admin"
    PRIVACY = "privacy"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may call: `digest` is the SHA-256 of the token, `expires` in s since 1970."""

    tenant: str = DEFAULT_TENANT
    roles: frozenset[Role] = frozenset()
    digest: bytes = field(default=b"", repr=False)
    expires: float = math.inf


ANYBODY: Final = Caller()
CALLER: Final[ContextVar[Caller]] = ContextVar("caller", default=ANYBODY)


def current_tenant() -> str:
    """Give the tenant of the call under way, `default` where callers have no credentials."""
    return CALLER.get().tenant
