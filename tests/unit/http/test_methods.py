"""Which calls there are over HTTP."""

from __future__ import annotations

from micromoment.http.methods import METHODS
from micromoment.v1 import events_pb2, scoring_pb2


def test_every_call_that_answers_once_has_an_address() -> None:
    """A call of the two services that is added to the contract is added here, too."""
    services = (
        scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
        events_pb2.DESCRIPTOR.services_by_name["EventService"],
    )
    once = {
        (method.full_name, method.input_type.full_name, method.output_type.full_name)
        for service in services
        for method in service.methods
        if not method.client_streaming and not method.server_streaming
    }
    found = {
        (one.full_name, one.request.DESCRIPTOR.full_name, one.reply.DESCRIPTOR.full_name)
        for one in METHODS
    }
    assert found == once
    assert len({method.path for method in METHODS}) == len(METHODS)
