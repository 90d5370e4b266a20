"""Opens what a server's safety rests on: its certificate and its callers' credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from micromoment.security.access import Access, DenialReason
from micromoment.security.certificates import CERTIFICATE, Tls, TlsFiles, read_tls
from micromoment.security.credentials import SETTING, read_credentials
from micromoment.security.watched_files import FileWatch, Looking, ReloadObserver, WatchedFiles
from micromoment.settings import Settings


class SecurityObserver(ReloadObserver, Protocol):
    """Takes note of who was not let in, and of the certificate."""

    def caller_denied(self, reason: DenialReason) -> None:
        """Take note of a call that was not let in."""

    def watch_certificate(self, not_after: Callable[[], float]) -> None:
        """Take note of how to ask when the certificate expires, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Security:
    """What calls must bring, none of it by default; `watch` reads files again that change."""

    tls: WatchedFiles[Tls] | None = None
    access: Access | None = None
    watch: FileWatch = field(default_factory=lambda: FileWatch(()))


def open_security(settings: Settings, observer: SecurityObserver) -> Security:
    """Read what the settings name. Raises `InvalidSettingError` for what can't be used."""
    watched: list[Looking] = []
    tls, access = None, None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        files = TlsFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        tls = WatchedFiles(CERTIFICATE, files.paths, lambda: read_tls(files), observer)
        watched.append(tls)
        observer.watch_certificate(_expiry_of(tls))
    if settings.credentials is not None:
        path = settings.credentials
        known = WatchedFiles(SETTING, (path,), lambda: read_credentials(path), observer)
        access = Access(lambda: known.current, observer.caller_denied)
        watched.append(known)
    return Security(tls, access, FileWatch(watched))


def _expiry_of(tls: WatchedFiles[Tls]) -> Callable[[], float]:
    return lambda: tls.current.not_after
