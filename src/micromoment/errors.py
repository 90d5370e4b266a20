"""Every error that micromoment raises on purpose; the transport maps the tree to status codes.

Messages are for people: they name the field, the file or the row, never the value of an id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_UNKNOWN_SESSION: Final = "no session with this id is known; it may have expired"
_WITHDRAWN: Final = {
    "done": "consent was withdrawn: what was kept of the session is deleted",
    "pending": "consent was withdrawn: what was kept of the session is about to be deleted",
}


class MicromomentError(Exception):
    """Root of the tree. An error comes out of another process as it was."""

    def __reduce__(self) -> tuple[Callable[..., MicromomentError], tuple[Any, ...]]:
        return _again, (type(self), self.args, self.__dict__)


def _again(
    kind: type[MicromomentError], args: tuple[Any, ...], state: Mapping[str, Any]
) -> MicromomentError:
    # `kind(*args)` would not do: `args` is the message, made from what the errors are given.
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidSettingError(MicromomentError):
    """A setting has a value that can't work."""

    def __init__(self, setting: str, detail: str) -> None:
        super().__init__(f"setting {setting}: {detail}")
        self.setting = setting


class InvalidDataError(MicromomentError):
    """A file or row that was to be read isn't what it should be."""

    def __init__(self, source: str, detail: str) -> None:
        super().__init__(f"{source}: {detail}")
        self.source = source


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that breaks the contract: its path, as `events[3].items[0].price_micros`."""

    field: str
    description: str


class InvalidRequestError(MicromomentError):
    """A request breaks the contract; `violations` names each field, never its value."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = tuple(violations)


class UnauthenticatedError(MicromomentError):
    """A call came without a token that is valid; which of the reasons it is, is not told."""

    def __init__(self) -> None:
        super().__init__("a valid token is needed, as `authorization: Bearer ...` or `x-api-key`")


class PermissionDeniedError(MicromomentError):
    """A call's token is valid and lacks the role that the call needs."""

    def __init__(self, role: str) -> None:
        super().__init__(f"the token lacks the role {role}")


class SessionNotFoundError(MicromomentError):
    """No state is kept for the session that was asked for.

    `withdrawal` is `done` or `pending` where the call itself withdrew the session's consent, so
    that what was kept of it is deleted, or will be; else it is empty.
    """

    withdrawal: str = ""

    def __init__(self, withdrawal: str = "") -> None:
        super().__init__(_WITHDRAWN.get(withdrawal, _UNKNOWN_SESSION))
        self.withdrawal = withdrawal


class BundleError(MicromomentError):
    """A bundle is missing, damaged, or made for features that this code doesn't have."""

    def __init__(self, bundle: str, detail: str) -> None:
        super().__init__(f"bundle {bundle}: {detail}")
        self.bundle = bundle
        self.detail = detail


class BundleNotFoundError(BundleError):
    """The store doesn't hold the bundle that was asked for."""


class BundleRefusedError(BundleError):
    """A bundle was to answer in place of another and must not; the other answers on."""


class BundleUntrustedError(BundleRefusedError):
    """No key of the setting `bundle_keys` vouches for a bundle.

    `reason` is UNSIGNED, UNKNOWN_KEY, WRONG_SIGNATURE, UNREADABLE_SIGNATURES or NO_KEYS.
    """

    def __init__(self, bundle: str, reason: str, detail: str) -> None:
        super().__init__(bundle, f"{reason}: {detail}")
        self.reason = reason


class UserFeaturesUnavailableError(MicromomentError):
    """The store of user features did not answer."""


class ServerCallError(MicromomentError):
    """A running server did not do what the command line asked of it."""


class NotEnoughDataError(MicromomentError):
    """There is too little data to train or evaluate what was asked for."""
