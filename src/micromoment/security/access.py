"""Lets calls in by their token: whose it is, and whether it may do what is asked.

Tokens are found by their SHA-256: how long a look-up takes tells nothing of the token itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple

from micromoment.errors import PermissionDeniedError, UnauthenticatedError
from micromoment.security.callers import CALLER, Role
from micromoment.security.credentials import Credentials, digest_of

# Which role the calls of each service ask for; one that is missing here lets nobody in.
ROLES: Final[Mapping[str, Role]] = {
    "micromoment.v1.ScoringService": Role.SCORE,
    "micromoment.v1.EventService": Role.SCORE,
    "micromoment.v1.ModelService": Role.ADMIN,
    "micromoment.v1.PrivacyService": Role.PRIVACY,
}
OWN_PACKAGE: Final = "micromoment."
_BEARER: Final = "bearer "

DenialReason = Literal["no_token", "unknown_token", "expired_token", "role"]
Metadata = Iterable[tuple[str, str | bytes]]


class Needs(NamedTuple):
    """What a call asks of its caller: a role, or any valid token where it is None."""

    role: Role | None = None
    nobody: bool = False


def needs_of(service: str) -> Needs:
    """Tell what the calls of a service ask for, by its full name."""
    if not service.startswith(OWN_PACKAGE):
        return Needs()
    role = ROLES.get(service)
    return Needs(role, nobody=role is None)


class Access:
    """Judges calls by the `credentials` of the moment; `on_denied` is told of each refusal."""

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        on_denied: Callable[[DenialReason], None] = lambda _reason: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._on_denied = on_denied
        self._clock = clock

    def admit(self, needs: Needs, metadata: Metadata) -> None:
        """Make the token's caller that of the running task.

        Raises `UnauthenticatedError` for no, an unknown and an expired token, and
        `PermissionDeniedError` for a token without the role.
        """
        token = _token_of(metadata)
        if not token:
            raise self._unknown("no_token")
        caller = self._credentials().get(digest_of(token))
        if caller is None:
            raise self._unknown("unknown_token")
        if caller.expires <= self._clock():
            raise self._unknown("expired_token")
        if needs.nobody or (needs.role is not None and needs.role not in caller.roles):
            self._on_denied("role")
            raise PermissionDeniedError(needs.role or "of no token")
        CALLER.set(caller)

    def check_again(self) -> None:
        """Raise `UnauthenticatedError` if the running task's token holds no longer as it did."""
        caller = CALLER.get()
        if self._credentials().get(caller.digest) != caller:
            raise self._unknown("unknown_token")
        if caller.expires <= self._clock():
            raise self._unknown("expired_token")

    def _unknown(self, reason: DenialReason) -> UnauthenticatedError:
        self._on_denied(reason)
        return UnauthenticatedError()


def _token_of(metadata: Metadata) -> str:
    token = ""  # nosec B105 - none yet
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            if value[: len(_BEARER)].lower() == _BEARER:
                return value[len(_BEARER) :].strip()
        elif key == "x-api-key" and isinstance(value, str):
            token = value.strip()
    return token
