"""ScoringService: scores visits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from micromoment.events.validation import check_batch_score_request
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.grpc_types import Context
from micromoment.transport.observer import Observer
from micromoment.transport.statuses import status_of
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceServicer


class ScoringService(ScoringServiceServicer):
    """Decodes, calls the application, encodes."""

    def __init__(self, slot: ApplicationSlot, observer: Observer) -> None:
        self._slot = slot
        self._observer = observer

    async def Score(  # noqa: N802 - the contract's name
        self, request: pb.ScoreRequest, _context: Context
    ) -> pb.ScoreResponse:
        """Fold the request's events into its session and score it."""
        return await self._score(self._slot.current(), request)

    async def BatchScore(  # noqa: N802 - the contract's name
        self, request: pb.BatchScoreRequest, _context: Context
    ) -> pb.BatchScoreResponse:
        """Score many sessions, in order; each succeeds or fails by itself."""
        application = self._slot.current()
        check_batch_score_request(request)
        results: list[pb.BatchScoreResult] = []
        width = application.visits.batch_width
        for first in range(0, len(request.requests), width):
            some = request.requests[first : first + width]
            results += await self._outcomes(application, some)
            # Other calls get their turn in between.
            await asyncio.sleep(0)
        return pb.BatchScoreResponse(results=results)

    async def GetSession(  # noqa: N802 - the contract's name
        self, request: pb.GetSessionRequest, _context: Context
    ) -> pb.GetSessionResponse:
        """Tell what is known of a session."""
        application = self._slot.current()
        key = application.decoder.session_key(request)
        score = await application.visits.session(key, explain=request.explain)
        return application.encoder.session_response(request.session_id, score)

    async def _outcomes(
        self, application: Application, requests: Sequence[pb.ScoreRequest]
    ) -> list[pb.BatchScoreResult]:
        if len(requests) == 1:
            return [await self._outcome(application, requests[0])]
        return await asyncio.gather(*(self._outcome(application, one) for one in requests))

    async def _outcome(
        self, application: Application, request: pb.ScoreRequest
    ) -> pb.BatchScoreResult:
        try:
            return pb.BatchScoreResult(response=await self._score(application, request))
        except Exception as error:  # noqa: BLE001 - becomes this item's status
            return pb.BatchScoreResult(status=status_of(error))

    async def _score(self, application: Application, request: pb.ScoreRequest) -> pb.ScoreResponse:
        started = time.perf_counter()
        visit = application.decoder.score_call(request)
        decoded = time.perf_counter()
        score = await application.visits.score(visit)
        scored = time.perf_counter()
        reply = application.encoder.score_response(
            request.session_id, score, include_features=request.include_features
        )
        observer = self._observer
        observer.stage_ended("decode", decoded - started)
        observer.stage_ended("encode", time.perf_counter() - scored)
        observer.scored(score)
        if not visit.call.dry_run:
            observer.events_taken("accepted", len(visit.call.event_ids) - score.duplicates)
            observer.events_taken("duplicate", score.duplicates)
        return reply
