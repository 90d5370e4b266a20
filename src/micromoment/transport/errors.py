"""What the transport itself refuses."""

from __future__ import annotations

from typing import Final, Literal

from micromoment.errors import MicromomentError

OverloadReason = Literal["max_wait", "max_concurrent"]
_OVERLOADS: Final[dict[OverloadReason, str]] = {
    "max_wait": "calls wait too long (setting max_wait)",
    "max_concurrent": "too many calls in flight (setting max_concurrent)",
}


class UndecodableRequestError(MicromomentError):
    """The bytes of a request are no message of the type that the method takes."""

    def __init__(self, method: str) -> None:
        super().__init__(f"the request's bytes are no message that {method} takes")


class NotReadyError(MicromomentError):
    """The server is still loading its bundle."""

    def __init__(self) -> None:
        super().__init__("the server is still loading; its health turns to SERVING when it is done")


class OverloadedError(MicromomentError):
    """More calls come than the server answers; `reason` is the setting that says how many."""

    def __init__(self, reason: OverloadReason = "max_concurrent") -> None:
        super().__init__(f"{_OVERLOADS[reason]}; try again later")
        self.reason: Final = reason


class TooManyStreamsError(MicromomentError):
    """As many streams are open as the server takes."""

    def __init__(self) -> None:
        super().__init__("too many streams are open (setting max_streams); close one or try later")


class StalledStreamError(MicromomentError):
    """The peer of a stream does not read its answers."""

    def __init__(self) -> None:
        super().__init__("answers on the stream were not read in time (setting stream_stall)")


class DeadlineError(MicromomentError):
    """The call's time was over before its answer was ready."""

    def __init__(self) -> None:
        super().__init__("the call's deadline passed, or that of the server (default_deadline)")


class ActivationUnderWayError(MicromomentError):
    """A bundle is being activated; another one has to wait."""

    def __init__(self, bundle: str) -> None:
        super().__init__(f"bundle {bundle} is being activated; try again when that has ended")
