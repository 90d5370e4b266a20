"""Which calls there are over HTTP: a path for each call of the contract that answers once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from micromoment.v1 import events_pb2, scoring_pb2


@dataclass(frozen=True, slots=True)
class Method:
    """A call: POST `path` takes `request` as JSON and answers `reply` as JSON.

    `service` and `name` are those of the contract. All are POST: ids have no place in addresses,
    which others log.
    """

    path: str
    service: str
    name: str
    request: type[Message]
    reply: type[Message]

    @property
    def full_name(self) -> str:
        """The contract's name, package and service included."""
        return f"{self.service}.{self.name}"


_SCORING: Final = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name
_EVENTS: Final = events_pb2.DESCRIPTOR.services_by_name["EventService"].full_name

METHODS: Final = (
    Method("/v1/score", _SCORING, "Score", scoring_pb2.ScoreRequest, scoring_pb2.ScoreResponse),
    Method(
        "/v1/batch_score",
        _SCORING,
        "BatchScore",
        scoring_pb2.BatchScoreRequest,
        scoring_pb2.BatchScoreResponse,
    ),
    Method(
        "/v1/get_session",
        _SCORING,
        "GetSession",
        scoring_pb2.GetSessionRequest,
        scoring_pb2.GetSessionResponse,
    ),
    Method("/v1/ingest", _EVENTS, "Ingest", events_pb2.IngestRequest, events_pb2.IngestResponse),
)
