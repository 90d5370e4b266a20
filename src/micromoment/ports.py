"""Whether a port can be had, found out before anything that takes a second is imported."""

from __future__ import annotations

import socket
from typing import Final

from micromoment.errors import InvalidSettingError

# Where operators' calls come in, whatever `host` is.
LOOPBACK: Final = "127.0.0.1"


def check_port(host: str, port: int, setting: str) -> None:
    """Bind a port for a moment. Raises `InvalidSettingError` naming `setting` when it is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise cannot_listen(host, port, error.strerror or str(error), setting) from None


def cannot_listen(host: str, port: int, why: str, setting: str) -> InvalidSettingError:
    """Give the error of a port that can't be had."""
    return InvalidSettingError(setting, f"cannot listen on {host} port {port}: {why}")
