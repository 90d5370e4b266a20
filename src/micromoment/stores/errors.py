"""What stores raise when they can't do what they were asked."""

from __future__ import annotations

from collections.abc import Sequence

from micromoment.errors import MicromomentError


class EventLogMissingError(MicromomentError):
    """Events outside a visit came, and no log for them is configured."""

    def __init__(self) -> None:
        super().__init__(
            "events outside a visit need an event log; this server has none (setting event_log)"
        )


class EventLogUnavailableError(MicromomentError):
    """The event log did not take the events."""

    def __init__(self) -> None:
        super().__init__("the event log did not take the events; send them again")


class SessionStoreUnavailableError(MicromomentError):
    """The session store did not answer in time; what was to be kept may be kept or not."""

    def __init__(self) -> None:
        super().__init__("the session store did not answer; send the events again")


class RegistryCodeError(MicromomentError):
    """A Feast registry holds code where only definitions belong; it was not executed."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"Feast's registry holds code, which is not executed: {place}; take it out with "
            "`feast delete`, or apply the definitions to a new registry"
        )
        self.place = place


class SessionElsewhereError(Exception):
    """The session is kept under another key for pseudonyms by now; never leaves the server."""


class TombstonesUnavailableError(MicromomentError):
    """It could not be kept that somebody is erased: nothing was erased."""

    def __init__(self) -> None:
        super().__init__("the erasure could not be written down, so it was not begun; ask again")


class ErasureIncompleteError(MicromomentError):
    """Not all stores let go of somebody; `stores` names those that did not."""

    def __init__(self, stores: Sequence[str]) -> None:
        super().__init__(
            f"not erased yet: {', '.join(stores)}; the server goes on trying, or ask again"
        )
        self.stores = tuple(stores)
