"""The cases of our own server, and of the empty service beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from google.protobuf.json_format import MessageToDict

from benchmarks.serving import k6, score_calls
from benchmarks.serving.answers import OfflineShop, WrongAnswerError, check_scores, check_taken
from benchmarks.serving.answers import parsed as parsed_replies
from benchmarks.serving.cases import Drive
from benchmarks.serving.distinct import PLAINLY, Answers, Via, call_at_rate, call_each
from benchmarks.serving.measures import Load
from benchmarks.serving.score_calls import LATER_EVENTS, Shoppers, Visit
from benchmarks.serving.streamed import call_streamed
from micromoment.scoring.models import Float32Array
from micromoment.v1 import scoring_pb2 as pb

SCORE: Final = "/micromoment.v1.ScoringService/Score"
BATCH_SCORE: Final = "/micromoment.v1.ScoringService/BatchScore"
STREAM_SCORES: Final = "/micromoment.v1.ScoringService/StreamScores"
BATCH: Final = 64
_SAMPLE: Final = 16
_PREPARING: Final = 16  # calls in flight while visits are begun
_LIMIT_S: Final = 60.0
_FIRST_GUESS: Final = 2_000.0  # calls a second
_HEADROOM: Final = 1.5
_K6_VISITS: Final = 256
_MOST_AT_ONCE: Final = 64


def begin(port: int, visits: Sequence[Visit], via: Via = PLAINLY) -> list[pb.ScoreResponse]:
    """Send the first events of visits and give the replies. Raises `WrongAnswerError`."""
    requests = [visit.first() for visit in visits]
    bodies = [request.SerializeToString() for request in requests]
    answers = call_each(port, SCORE, bodies, _PREPARING, _LIMIT_S, via)
    if len(answers.bodies) != len(bodies):
        raise WrongAnswerError(f"{len(bodies)} visits could not be begun in {_LIMIT_S:.0f} s")
    check_taken(requests, answers.bodies)
    return parsed_replies(answers.bodies)


@dataclass(frozen=True, slots=True)
class Repeatable:
    """Requests that may be sent again and again, dry runs, with the replies to them.

    `features` are the bundle's, as of the event in `score`.
    """

    score: bytes
    score_reply: bytes
    batch: bytes
    batch_reply: bytes
    features: Float32Array


def checked(port: int, shoppers: Shoppers, offline: OfflineShop, name: str) -> Repeatable:
    """Begin visits, named by `name`, and compare every kind of answer with the offline ones.

    Raises `WrongAnswerError`.
    """
    visits = score_calls.visits(shoppers, name, BATCH + _SAMPLE)
    check_scores(begin(port, visits), offline.score([visit.first() for visit in visits]))
    # What is repeated must be answered alike each time: its visits stay as they are from here on.
    visits, others = visits[:BATCH], visits[BATCH:]
    kept = [visit.later(0) for visit in others]
    bodies = [request.SerializeToString() for request in kept]
    replies = call_each(port, SCORE, bodies, 1, _LIMIT_S).bodies
    check_scores(parsed_replies(replies), offline.score(kept))
    dry = visits[0].later(0, dry_run=True).SerializeToString()
    batch = score_calls.batch_request(visits)
    expected = offline.score(list(batch.requests))
    score_reply = _one(port, SCORE, dry)
    check_scores([pb.ScoreResponse.FromString(score_reply)], expected[:1])
    batch_reply = _one(port, BATCH_SCORE, batch.SerializeToString())
    results = pb.BatchScoreResponse.FromString(batch_reply).results
    check_scores([result.response for result in results], expected)
    return Repeatable(
        dry, score_reply, batch.SerializeToString(), batch_reply, expected[0].features
    )


def _one(port: int, path: str, body: bytes) -> bytes:
    (reply,) = call_each(port, path, [body], 1, _LIMIT_S).bodies
    return reply


@dataclass
class NewEvents:
    """Calls that each carry a new event, of visits begun beforehand, `LATER_EVENTS` a visit.

    With `counts` every reply must count its event; an empty service is called with the same bodies.
    """

    port: int
    shoppers: Shoppers
    name: str
    counts: bool = True
    via: Via = PLAINLY
    _runs: count[int] = field(default_factory=count)
    _rates: dict[int, float] = field(default_factory=dict)

    def in_flight(self, in_flight: int, seconds: float) -> Drive:
        """Make ready a run with so many calls in flight, as many as the last one's speed asks."""
        requests = self._for_a_run(in_flight, seconds)
        bodies = [request.SerializeToString() for request in requests]

        def drive() -> Load:
            answers = call_each(self.port, SCORE, bodies, in_flight, seconds, self.via)
            load = self._checked(requests, answers)
            self._rates[in_flight] = load.calls / load.seconds
            return load

        return drive

    def streamed(self, in_flight: int, seconds: float) -> Drive:
        """Make ready the same over one stream, with so many requests unanswered."""
        requests = self._for_a_run(in_flight, seconds)
        bodies = [
            pb.StreamScoresRequest(request_id=str(number), request=request).SerializeToString()
            for number, request in enumerate(requests)
        ]

        def drive() -> Load:
            answers = call_streamed(self.port, STREAM_SCORES, bodies, in_flight, seconds)
            load = answers.load()
            replies = map(pb.StreamScoresResponse.FromString, answers.bodies)
            answers.bodies = [reply.response.SerializeToString() for reply in replies]
            self._checked(requests, answers)
            self._rates[in_flight] = load.calls / load.seconds
            return load

        return drive

    def _for_a_run(self, in_flight: int, seconds: float) -> list[pb.ScoreRequest]:
        expected = self._rates.get(in_flight, _FIRST_GUESS) * seconds
        return self._begun(expected * _HEADROOM, in_flight)

    def at_rate(self, rate: int, seconds: float) -> Drive:
        """Make ready a run with so many calls a second."""
        requests = self._begun(rate * seconds, _MOST_AT_ONCE)[: round(rate * seconds)]
        bodies = [request.SerializeToString() for request in requests]

        def drive() -> Load:
            return self._checked(requests, call_at_rate(self.port, SCORE, bodies, rate))

        return drive

    def _begun(self, calls: float, at_once: int) -> list[pb.ScoreRequest]:
        """Begin visits for so many calls; `at_once` at least, or one would have two in flight."""
        number = max(math.ceil(calls / LATER_EVENTS), at_once)
        visits = score_calls.visits(self.shoppers, f"{self.name}-{next(self._runs)}", number)
        if self.counts:
            begin(self.port, visits, self.via)
        return score_calls.new_events(visits)

    def _checked(self, requests: list[pb.ScoreRequest], answers: Answers) -> Load:
        if self.counts:
            check_taken(requests, answers.bodies)
        return answers.load()


@dataclass
class K6AtRate:
    """Calls at a constant rate from k6, each with a new event of one of `_K6_VISITS` visits.

    `dropped` counts the calls that k6 could not begin in time.
    """

    program: Path
    port: int
    shoppers: Shoppers
    folder: Path
    counts: bool = True
    dropped: int = 0
    _runs: count[int] = field(default_factory=count)

    def at_rate(self, rate: int, seconds: float) -> Drive:
        """Begin the visits of one run."""
        run = f"k6-{next(self._runs)}"
        visits = score_calls.visits(self.shoppers, run, _K6_VISITS)
        if self.counts:
            begin(self.port, visits)
        template = MessageToDict(visits[0].later(0), preserving_proto_field_name=True)
        calls = k6.Calls(template, run, len(visits), run, self.counts)

        def drive() -> Load:
            found = k6.run(self.program, self.port, calls, rate, seconds, self.folder)
            self.dropped += found.dropped
            return found.load

        return drive
