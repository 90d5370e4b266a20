"""Visits sent to a server that dies, and what must be so when it is back."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np

from micromoment.client import Client, event, item
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb

KINDS = ("page_view", "item_view", "cart_add", "scroll", "search", "checkout_start")
START = datetime(2024, 5, 1, 12, tzinfo=UTC)
ANSWER_S = 10.0


def an_event(session: int, number: int) -> events_pb2.Event:
    """Make a visit's event; a tenth of visits has a gap that ends it in the middle."""
    gap = timedelta(hours=1) if session % 10 == 0 and number > 5 else timedelta()
    return event(
        KINDS[(session + number) % len(KINDS)],
        event_id=f"{session}-{number}",
        event_time=START + timedelta(seconds=20 * number) + gap,
        items=[item(f"sku-{(session + number) % 7}", price="19.99", quantity=1)],
        page=f"/p/{number % 4}",
    )


@dataclass
class Visitors:
    """Visits under way at once, each sending its events one by one until its server dies.

    Now and then a visitor sends an event twice, as a retry does.
    """

    sessions: int
    prefix: str = "s"
    sent: dict[int, int] = field(default_factory=dict)
    acknowledged: dict[int, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, port: int, threads: int = 8) -> None:
        """Send until `stop` or until calls fail."""
        with Client(f"127.0.0.1:{port}", deadline_s=ANSWER_S) as client:
            client.wait_until_ready(ANSWER_S)
            with ThreadPoolExecutor(threads) as pool:
                parts = [range(first, self.sessions, threads) for first in range(threads)]
                for ended in [pool.submit(self._visit, client, part) for part in parts]:
                    ended.result()

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()

    @property
    def acknowledged_events(self) -> int:
        """How many events were answered."""
        return sum(self.acknowledged.values())

    def name(self, session: int) -> str:
        """Give a visit's session id."""
        return f"{self.prefix}-{session}"

    def _visit(self, client: Client, sessions: range) -> None:
        chance = random.Random(sessions.start)
        while not self._stop.is_set():
            session = chance.choice(sessions)
            number = self.sent.get(session, 0)
            self.sent[session] = number + 1
            try:
                for _ in range(2 if chance.random() < 0.05 else 1):
                    client.score(self.name(session), [an_event(session, number)])
            except grpc.RpcError:
                return
            self.acknowledged[session] = number + 1


def problems(port: int, visitors: Visitors) -> list[str]:
    """Compare what a server knows of visits with what was acknowledged and with the events alone.

    An acknowledged event must be there, none twice; the state must have the bits of a visit that
    was never interrupted; an event without an answer must be taken once when it is sent again.
    """
    found = []
    with Client(f"127.0.0.1:{port}", deadline_s=ANSWER_S) as client:
        client.wait_until_ready(ANSWER_S)
        for session, sent in visitors.sent.items():
            name, acknowledged = visitors.name(session), visitors.acknowledged.get(session, 0)
            known = _known(client, name)
            kept = _kept(known, session)
            if not acknowledged <= kept <= sent:
                found.append(f"{name}: {acknowledged} acknowledged, {sent} sent, {kept} kept")
                continue
            if known is not None and known.scores.degraded:
                found.append(f"{name}: {list(known.scores.degraded)}")
            again = [an_event(session, number) for number in range(max(0, sent - 3), sent)]
            after = client.score(name, again, include_features=True)
            one_by_one = [
                client.score(f"again-{name}", [an_event(session, number)], include_features=True)
                for number in range(sent)
            ]
            if _bits(after) != _bits(one_by_one[-1]):
                found.append(f"{name}: not as if uninterrupted after {sent} events")
    return found


def _known(client: Client, name: str) -> pb.GetSessionResponse | None:
    try:
        return client.get_session(name)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.NOT_FOUND:
            return None
        raise


def _kept(known: pb.GetSessionResponse | None, session: int) -> int:
    """Tell how many of a visit's events were kept, from the last one's id."""
    if known is None:
        return 0
    prefix, _, number = known.scores.last_event_id.partition("-")
    assert prefix == str(session)
    return int(number) + 1


def _bits(reply: pb.ScoreResponse) -> tuple[float, bytes, int, str]:
    vector = np.array(reply.feature_vector.values, np.float32).tobytes()
    return reply.conversion, vector, reply.events_seen, reply.last_event_id
