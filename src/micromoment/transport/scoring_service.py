"""ScoringService: scores visits."""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter
from typing import Final

from micromoment.events.validation import check_batch_score_request
from micromoment.scoring.calls import Score as Answer
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.batches import score_batch
from micromoment.transport.grpc_types import Context
from micromoment.transport.keeping import kept, when_kept
from micromoment.transport.observer import Observer, note_answer
from micromoment.transport.shedding import NEVER, Shedding
from micromoment.transport.streams import Streams
from micromoment.transport.visitors import VisitCall
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceServicer

# Calls that take as long as one with reasons. In a batch a visit takes half of a call.
_EXPLAINED: Final = 8.0


class ScoringService(ScoringServiceServicer):
    """Decodes, calls the application, encodes."""

    def __init__(
        self,
        slot: ApplicationSlot,
        observer: Observer,
        streams: Streams,
        shedding: Shedding = NEVER,
    ) -> None:
        self._slot = slot
        self._observer = observer
        self._streams = streams
        self._shedding = shedding

    def Score(  # noqa: N802 - the contract's name
        self, request: pb.ScoreRequest, _context: Context
    ) -> pb.ScoreResponse | Awaitable[pb.ScoreResponse]:
        """Fold the request's events into its session and score it, at once where that can be."""
        return self.start(request)

    def start(self, request: pb.ScoreRequest) -> pb.ScoreResponse | Awaitable[pb.ScoreResponse]:
        """Give the answer, or what to wait for where the session or its visitor must be fetched."""
        application = self._slot.current()
        if request.explain:
            self._shedding.check(_EXPLAINED)
        started = perf_counter()
        visit = application.decoder.score_call(request)
        self._observer.stage_ended("decode", perf_counter() - started)
        score = application.visits.score_at_once(visit)
        if score is None:
            return self._score_later(application, request, visit)
        reply = self._reply(application, request, visit, score)
        return when_kept(reply, application.visit_log, self._observer)

    async def BatchScore(  # noqa: N802 - the contract's name
        self, request: pb.BatchScoreRequest, _context: Context
    ) -> pb.BatchScoreResponse:
        """Score many sessions, in order; each succeeds or fails by itself."""
        application = self._slot.current()
        check_batch_score_request(request)
        self._shedding.check(len(request.requests) / 2)
        return await score_batch(application, request.requests, self._observer)

    async def StreamScores(  # type: ignore[override] # noqa: N802 - it writes through the context
        self, _requests: object, context: Context
    ) -> None:
        """Score what comes on a stream until it ends."""
        await self._streams.serve(context, self.start)

    async def GetSession(  # noqa: N802 - the contract's name
        self, request: pb.GetSessionRequest, _context: Context
    ) -> pb.GetSessionResponse:
        """Tell what is known of a session."""
        application = self._slot.current()
        keys = application.decoder.session_keys(request)
        score = await application.visits.session(*keys, explain=request.explain)
        reply = application.encoder.session_response(request.session_id, score)
        await kept(reply.scores, application.visit_log, self._observer)
        return reply

    async def _score_later(
        self, application: Application, request: pb.ScoreRequest, visit: VisitCall
    ) -> pb.ScoreResponse:
        score = await application.visits.score(visit)
        reply = self._reply(application, request, visit, score)
        return await kept(reply, application.visit_log, self._observer)

    def _reply(
        self, application: Application, request: pb.ScoreRequest, visit: VisitCall, score: Answer
    ) -> pb.ScoreResponse:
        started = perf_counter()
        reply = application.encoder.score_response(
            request.session_id, score, include_features=request.include_features
        )
        self._observer.stage_ended("encode", perf_counter() - started)
        note_answer(self._observer, score, visit)
        return reply
