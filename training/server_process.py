"""A real server in a process of its own: for the demo, the parity check, benchmarks and tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from micromoment import health
from micromoment.errors import MicromomentError

_START_TIMEOUT_S: Final = 120.0
_STOP_TIMEOUT_S: Final = 30.0


class ServerFailedError(MicromomentError):
    """The server's process ended, or did not come to serve in time."""


# Whatever the environment says: for this machine alone, so that no token is asked for.
_ALONE: Final[Mapping[str, str]] = {
    "host": "127.0.0.1",
    "metrics_port": "",
    "admin_port": "",
    "health_port": "",
    "tls_certificate": "",
    "tls_key": "",
    "tls_client_ca": "",
    "credentials": "",
}

# What answers depend on, or where they are kept: by default, whatever the environment says.
_BY_DEFAULT: Final = frozenset(
    {
        "abstain_above_calibration_error",
        "abstain_below_evidence",
        "abstain_degraded",
        "abstain_within",
        "bundle_copies",
        "bundle_keys",
        "bundle_poll",
        "consent_default_ads",
        "consent_default_analytics",
        "consent_default_personalization",
        "event_log",
        "feature_tenant",
        "global_privacy_control_denies",
        "id_key_file",
        "id_keys",
        "max_sessions",
        "max_sessions_per_tenant",
        "max_user_feature_age",
        "on_withdrawal",
        "session_prefix",
        "session_store",
        "session_timeout",
        "session_ttl",
        "state_file",
        "tombstone_retention",
        "user_feature_timeout",
    }
)
_PREFIX: Final = "MICROMOMENT_"


class ServerProcess:
    """Runs `micromoment serve` with settings, as their environment variables without prefix.

    Of the environment it takes over what changes no answer. As a context manager it starts, waits
    until health says SERVING, and stops with SIGTERM.
    """

    command: ClassVar = "serve"
    port_setting: ClassVar = "port"
    poll_s: ClassVar = 0.1

    def __init__(self, settings: Mapping[str, str | Path | float], log: Path | None = None) -> None:
        self.port = int(str(settings.get(self.port_setting, 0))) or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._log = log
        given = {**_ALONE, **settings, "port": self.port}
        self._probed = f"127.0.0.1:{given['health_port'] or self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not _is_left_out(name)},
            **{f"{_PREFIX}{name.upper()}": str(value) for name, value in given.items()},
            f"{_PREFIX}{self.port_setting.upper()}": str(self.port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id, 0 before the start."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start and wait for SERVING. Raises `ServerFailedError` naming the log."""
        command = [sys.executable, "-m", "micromoment", self.command]
        if self._log is None:
            self._process = subprocess.Popen(command, env=self.environment)
        else:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command, env=self.environment, stdout=log, stderr=log
                )
        self._await_serving()

    def stop(self) -> int:
        """Stop with SIGTERM and give the exit status; kill after half a minute."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def wait(self) -> int:
        """Wait until the process ends by itself; an interrupt is passed on as SIGTERM."""
        if self._process is None:
            return 0
        try:
            return self._process.wait()
        except KeyboardInterrupt:
            return self.stop()

    def _await_serving(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise ServerFailedError(f"the server ended while starting{self._where()}")
            if self._is_serving():
                return
            time.sleep(self.poll_s)
        self.stop()
        raise ServerFailedError(f"the server did not serve in time{self._where()}")

    def _is_serving(self) -> bool:
        return health.check(self._probed) == "SERVING"

    def _where(self) -> str:
        return f"; see {self._log}" if self._log else ""


class HttpServerProcess(ServerProcess):
    """Runs `micromoment serve-http` likewise."""

    command: ClassVar = "serve-http"
    port_setting: ClassVar = "http_port"

    def _is_serving(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


def _is_left_out(variable: str) -> bool:
    name = variable.upper()
    # Feast sets the first one on import; a server that inherits it counts into files.
    return name == "PROMETHEUS_MULTIPROC_DIR" or (
        name.startswith(_PREFIX) and name.removeprefix(_PREFIX).lower() in _BY_DEFAULT
    )


def free_port() -> int:
    """Find a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
