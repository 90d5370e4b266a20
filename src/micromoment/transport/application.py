"""What the services call, made from one bundle; absent while that is loading."""

from __future__ import annotations

from dataclasses import dataclass

from micromoment.stores.event_log import EventLog
from micromoment.stores.visit_log import VisitLog
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.encoding import ReplyEncoder
from micromoment.transport.errors import NotReadyError
from micromoment.transport.shared_visits import SharedVisits
from micromoment.transport.visits import Visits


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that answers a request."""

    decoder: RequestDecoder
    encoder: ReplyEncoder
    visits: Visits | SharedVisits
    event_log: EventLog
    visit_log: VisitLog


class ApplicationSlot:
    """Holds the application that answers now."""

    def __init__(self) -> None:
        self._application: Application | None = None

    def fill(self, application: Application) -> None:
        """Let `application` answer from the next request on."""
        self._application = application

    def current(self) -> Application:
        """Give the application. Raises `NotReadyError` before there is one."""
        if self._application is None:
            raise NotReadyError
        return self._application
