"""The client for operators: bundles of a server, and what the law lets people ask of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self, Unpack

import grpc

from micromoment.client.access import AccessOptions, make_access
from micromoment.v1 import models_pb2, privacy_pb2
from micromoment.v1.models_pb2_grpc import ModelServiceStub
from micromoment.v1.privacy_pb2_grpc import PrivacyServiceStub

DEFAULT_ADDRESS: Final = "127.0.0.1:50052"
# An activation takes seconds, and on a busy machine many.
DEFAULT_DEADLINE_S: Final = 120.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 * 1_024 * 1_024),
    # The server is on this machine.
    ("grpc.enable_http_proxy", 0),
)


class AdminClient:
    """A connection to the admin port of a server on this machine.

    Calls raise `grpc.RpcError` when there is no answer within `deadline_s` seconds, the store has
    no such bundle (NOT_FOUND), or the bundle is refused (FAILED_PRECONDITION); its `details()` say
    why. `address` is as the setting `admin_port` says; `options` are TLS and token, of which a
    server with credentials asks for one of the role `admin`, or `privacy` for what concerns people,
    see `AccessOptions`.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        deadline_s: float = DEFAULT_DEADLINE_S,
        **options: Unpack[AccessOptions],
    ) -> None:
        access = make_access(address, **options)
        if access.credentials is None:
            # The admin port is on loopback alone; a token needs TLS beyond it.
            # nosemgrep: no-plaintext-beyond-loopback
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            self._channel = grpc.secure_channel(address, access.credentials, options=_OPTIONS)
        self._metadata = access.metadata
        self._deadline_s = deadline_s
        self._models = ModelServiceStub(self._channel)
        self._privacy = PrivacyServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def list_bundles(self, name: str = "") -> models_pb2.ListBundlesResponse:
        """Ask for the bundles in the server's store, those that were added last first."""
        request = models_pb2.ListBundlesRequest(name=name)
        return self._models.ListBundles(request, timeout=self._deadline_s, metadata=self._metadata)

    def get_bundle(self, bundle: str) -> models_pb2.GetBundleResponse:
        """Ask for all that is known of a bundle."""
        request = models_pb2.GetBundleRequest(bundle=bundle)
        return self._models.GetBundle(request, timeout=self._deadline_s, metadata=self._metadata)

    def activate_bundle(
        self, bundle: str, *, dry_run: bool = False
    ) -> models_pb2.ActivateBundleResponse:
        """Let a bundle answer from now on, or only check it."""
        request = models_pb2.ActivateBundleRequest(bundle=bundle, dry_run=dry_run)
        return self._models.ActivateBundle(
            request, timeout=self._deadline_s, metadata=self._metadata
        )

    def erase_user(
        self, user_id: str = "", anonymous_ids: Sequence[str] = ()
    ) -> privacy_pb2.EraseUserResponse:
        """Erase a person from every store of the server; UNAVAILABLE where that is not done yet."""
        request = privacy_pb2.EraseUserRequest(user_id=user_id, anonymous_ids=anonymous_ids)
        return self._privacy.EraseUser(request, timeout=self._deadline_s, metadata=self._metadata)

    def export_user(
        self, user_id: str = "", anonymous_ids: Sequence[str] = ()
    ) -> Iterator[privacy_pb2.ExportUserResponse]:
        """Ask for all that the server holds of a person, piece by piece."""
        request = privacy_pb2.ExportUserRequest(user_id=user_id, anonymous_ids=anonymous_ids)
        yield from self._privacy.ExportUser(
            request, timeout=self._deadline_s, metadata=self._metadata
        )
