"""PrivacyService: erases a person from every store, and tells what is held of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import grpc

from micromoment.security.callers import current_tenant
from micromoment.transport.grpc_types import Context
from micromoment.transport.privacy import Erased, PrivacySlot
from micromoment.transport.request_rules import check_person
from micromoment.v1 import privacy_pb2 as pb
from micromoment.v1.privacy_pb2_grpc import (
    PrivacyServiceServicer,
    add_PrivacyServiceServicer_to_server,
)

SERVICE: Final = pb.DESCRIPTOR.services_by_name["PrivacyService"].full_name


class PrivacyService(PrivacyServiceServicer):
    """Decodes, asks for it, encodes."""

    def __init__(self, slot: PrivacySlot) -> None:
        self._slot = slot

    async def EraseUser(  # noqa: N802 - the contract's name
        self, request: pb.EraseUserRequest, context: Context
    ) -> pb.EraseUserResponse:
        """Erase a person."""
        privacy = self._slot.current()
        return _response(await privacy.erase(current_tenant(), _ids(request)))

    async def ExportUser(  # noqa: N802 - the contract's name
        self, request: pb.ExportUserRequest, context: Context
    ) -> AsyncIterator[pb.ExportUserResponse]:
        """Tell all that is held of a person."""
        privacy = self._slot.current()
        async for piece in privacy.export(current_tenant(), _ids(request)):
            yield piece


def add_privacy_service(slot: PrivacySlot, server: grpc.aio.Server) -> None:
    """Let a server answer."""
    add_PrivacyServiceServicer_to_server(PrivacyService(slot), server)


def _ids(request: pb.EraseUserRequest | pb.ExportUserRequest) -> Sequence[str]:
    check_person(request)
    return list(dict.fromkeys([one for one in (request.user_id, *request.anonymous_ids) if one]))


def _response(erased: Erased) -> pb.EraseUserResponse:
    response = pb.EraseUserResponse(
        sessions=erased.sessions,
        logged_calls=erased.logged_calls,
        outside_events=erased.outside_events,
        online_rows=erased.online_rows,
        workspace_rows=erased.workspace_rows,
    )
    response.erased_until.FromMicroseconds(erased.until_us)
    return response
