"""TLS of the front door, with the certificate of the moment."""

from __future__ import annotations

import ssl
from typing import Any

from micromoment.security.certificates import Tls
from micromoment.security.server_context import server_context
from micromoment.security.watched_files import WatchedFiles


def make_context(files: WatchedFiles[Tls]) -> ssl.SSLContext:
    """Give a context for TLS 1.2 or newer that takes up other files with the next connection.

    What a client agreed upon with files of before is not resumed: it may be of an issuer that is
    believed no more. Whether clients need a certificate stays as it is now.
    """
    context = _CurrentContext(ssl.PROTOCOL_TLS_SERVER)
    context.follow(files)
    return context


class _CurrentContext(ssl.SSLContext):
    """Lets each connection have the context of the files of the moment, with sessions of its own.

    Exchanging the context in the midst of a handshake (`sni_callback`) would not do: OpenSSL goes
    on resuming the sessions of the first one, without a look at the client's certificate.
    """

    _files: WatchedFiles[Tls]
    _used: Tls
    _current: ssl.SSLContext

    def follow(self, files: WatchedFiles[Tls]) -> None:
        """Go by these files."""
        self._files, self._used = files, files.current
        self._current = _context(self._used)

    # What asyncio and uvloop make each connection with.
    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - ssl's own
        """Begin a connection."""
        latest = self._files.current
        if latest is not self._used:
            self._used, self._current = latest, _context(latest)
        return self._current.wrap_bio(*args, **kwargs)


def _context(tls: Tls) -> ssl.SSLContext:
    context = server_context(tls.certificate, tls.key, tls.client_ca)
    context.set_alpn_protocols(["http/1.1"])
    return context
