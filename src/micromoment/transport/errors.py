"""What the transport itself refuses."""

from __future__ import annotations

from micromoment.errors import MicromomentError


class UndecodableRequestError(MicromomentError):
    """The bytes of a request are no message of the type that the method takes."""

    def __init__(self, method: str) -> None:
        super().__init__(f"the request's bytes are no message that {method} takes")


class NotReadyError(MicromomentError):
    """The server is still loading its bundle."""

    def __init__(self) -> None:
        super().__init__("the server is still loading; its health turns to SERVING when it is done")


class OverloadedError(MicromomentError):
    """As many calls are in flight as the server takes."""

    def __init__(self) -> None:
        super().__init__("too many calls in flight (setting max_concurrent); try again later")


class TooManyStreamsError(MicromomentError):
    """As many streams are open as the server takes."""

    def __init__(self) -> None:
        super().__init__("too many streams are open (setting max_streams); close one or try later")


class DeadlineError(MicromomentError):
    """The call's time was over before its answer was ready."""

    def __init__(self) -> None:
        super().__init__("the call's deadline passed, or that of the server (default_deadline)")


class ActivationUnderWayError(MicromomentError):
    """A bundle is being activated; another one has to wait."""

    def __init__(self, bundle: str) -> None:
        super().__init__(f"bundle {bundle} is being activated; try again when that has ended")
