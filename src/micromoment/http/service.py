"""The front door as a BentoML service."""

from __future__ import annotations

import ssl
import time
from typing import Any, Final

import bentoml
import structlog

from micromoment.background import tell_of_threads
from micromoment.bootstrap import make_service
from micromoment.exposure import warn_of_exposure
from micromoment.http.app import TokenEverywhere, make_app
from micromoment.http.door import Door
from micromoment.settings import Settings
from micromoment.telemetry.logs import configure_logs
from micromoment.telemetry.metrics import Metrics
from micromoment.transport.admission import Admission

_log = structlog.get_logger(__name__)

NAME: Final = "micromoment"
_BENTOML_PORT: Final = 3_000


class FrontDoor:
    """What a BentoML service of these settings consists of; `failure` is why it could not load.

    With `sets_up_logs` it does so when it starts: BentoML's server has set up its own by then.
    """

    def __init__(self, settings: Settings, *, sets_up_logs: bool = False) -> None:
        self.settings = settings
        self.failure: Exception | None = None
        self._sets_up_logs = sets_up_logs
        self._metrics = Metrics()
        self._service = make_service(settings, metrics=self._metrics)
        self.security: Final = self._service.security
        self._loaded = False
        self._graced_until: float | None = None
        admission = Admission(settings.max_concurrent)
        self._metrics.watch_in_flight(lambda: admission.in_flight)
        self._door = Door(
            self._service.slot,
            admission,
            self._metrics,
            default_deadline_s=settings.default_deadline,
            access=self.security.access,
        )
        self.bento_service = self._as_bento_service()

    @property
    def ready(self) -> bool:
        """Whether calls should be sent here."""
        return self._loaded

    def say_not_ready(self) -> None:
        """Let balancers go elsewhere; calls are answered all the same."""
        self._loaded = False
        self._metrics.set_serving(serving=False)

    def begin_grace(self) -> None:
        """Count the grace for calls in flight from now on, not from when the last has ended."""
        self._graced_until = time.monotonic() + self.settings.drain_grace

    async def start(self) -> None:
        """Load; ready afterwards. Raises `MicromomentError` for what can't be loaded."""
        if self._sets_up_logs:
            configure_logs(self.settings.log_level, self.settings.log_format)
            tell_of_threads()
        warn_of_exposure(self.settings)
        self.security.watch.start()
        _log.info("loading", bundle=self.settings.bundle)
        try:
            await self._service.load()
        except Exception as error:
            self.failure = error
            raise
        self._loaded = True

    async def stop(self) -> None:
        """Keep the sessions and close the stores, when the last call has ended."""
        self.say_not_ready()
        await self._service.close(self._graced_until)

    def _as_bento_service(self) -> bentoml.Service[Any]:
        front_door = self

        class Scores:
            """Scores visits: POST JSON to /v1/score; / describes all calls."""

            @bentoml.on_startup  # type: ignore[untyped-decorator] # BentoML's lazy import has no types
            async def start(self) -> None:
                await front_door.start()

            @bentoml.on_shutdown  # type: ignore[untyped-decorator] # as above
            async def stop(self) -> None:
                await front_door.stop()

            async def __is_ready__(self) -> bool:
                return front_door.ready

        mounted = bentoml.asgi_app(
            make_app(self._door, self._metrics.registry, describes=self.settings.reflection)
        )(Scores)
        service = bentoml.service(
            mounted,
            name=NAME,
            # Sessions in memory belong to one process. More of them: more services on one Redis.
            workers=1,
            # For `bentoml serve`, which knows no 0.
            http={"host": self.settings.host, "port": self.settings.http_port or _BENTOML_PORT},
            ssl=_bentoml_tls(self.settings),
            # Ours are at /metrics.
            metrics={"enabled": False},
            # Calls are not logged, here as little as over gRPC.
            logging={"access": {"enabled": False}},
        )
        service.add_asgi_middleware(TokenEverywhere, door=self._door)
        return service


def _bentoml_tls(settings: Settings) -> dict[str, Any]:
    """Give the same TLS for `bentoml serve`, which reads the files once."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return {"enabled": False}
    tls: dict[str, Any] = {
        "enabled": True,
        "certfile": str(settings.tls_certificate),
        "keyfile": str(settings.tls_key),
    }
    if settings.tls_client_ca is not None:
        tls |= {"ca_certs": str(settings.tls_client_ca), "cert_reqs": int(ssl.CERT_REQUIRED)}
    return tls
