"""HTTP/1.1 for peers that come to the point: what takes too long or too many bytes is closed.

Uvicorn waits for a request's head, and for the rest of a body that was answered already, as long as
the peer likes, and takes headers of any size.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# From the first moment of a connection or of a request to the end of its headers.
HEAD_S: Final = 5.0
MAX_HEAD_BYTES: Final = 64 * 1_024


class PromptProtocol(HttpToolsProtocol):
    """Closes a connection whose next head is late or long, or whose answered body goes on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._head_due: TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_body = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # uvicorn's
        """Wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; those outside a body are of a head."""
        if self._is_in_body:
            super().data_received(data)
            return
        self._await_head()
        self._head_bytes += len(data)
        super().data_received(data)
        # It may have ended in these bytes, and a body begun.
        if self._head_due is not None and self._head_bytes > MAX_HEAD_BYTES:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Go on with the body."""
        self._is_in_body = True
        self._forget_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Go on with the next head."""
        self._is_in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Close where nobody waits for the rest of a body that was answered before its end."""
        super().on_response_complete()
        if self._is_in_body:
            self.transport.close()

    def _await_head(self) -> None:
        if self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_S, self.transport.abort)

    def _forget_head(self) -> None:
        self._head_bytes = 0
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
