"""A server's process whose bundles are changed, with clients of its ports."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from micromoment.client import AsyncClient
from micromoment.client.admin import AdminClient
from micromoment.v1 import events_pb2
from tests.support.restarts import scrape
from tests.support.server_process import Server, servers
from tests.support.swapping import answer_of, golden_answers, golden_visit


@dataclass(frozen=True)
class ShopServer:
    """A server of the bundles in `store`."""

    server: Server
    store: Path
    admin: AdminClient
    address: str
    metrics_port: int
    admin_address: str

    @property
    def rss(self) -> int:
        """Bytes of memory that its process has now."""
        return int(psutil.Process(self.server.process.pid).memory_info().rss)

    def refused(self, bundle: str) -> tuple[str, str]:
        """Ask for a bundle; give status and details of the refusal, ("", "") where it answers."""
        try:
            self.admin.activate_bundle(bundle)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "", ""

    def activations(self, outcome: str) -> int:
        """Ask how many activations ended so."""
        name = f'micromoment_activations_total{{outcome="{outcome}"}}'
        return round(self.metric(name))

    def metric(self, name: str) -> float:
        """Read a metric, its labels included in its name."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", scrape(self.metrics_port), re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    @property
    def answers_with(self) -> str:
        """The bundle that answers."""
        told = scrape(self.metrics_port)
        found = re.search(r'^micromoment_bundle_info\{bundle="(.*)"\} 1', told, re.MULTILINE)
        assert found is not None
        return found[1]


# A server that knows all visitors to be unknown, as golden sessions have it.
NOBODY_KNOWN = """
import functools
from micromoment.bootstrap import make_service, serve
from micromoment.settings import load_settings
from tests.support.serving import SlowUsers

serve(load_settings(), functools.partial(make_service, users=SlowUsers()))
"""


@contextmanager
def a_shop_server(
    store: Path, state_dir: Path, script: str = NOBODY_KNOWN, /, **settings: str
) -> Iterator[ShopServer]:
    """Start one with both ports while the body runs."""
    with servers(store, state_dir) as start:
        server = start(("-c", script), admin_port="0", metrics_port="0", **settings)
        ports = server.await_event("serving")
        admin_address = f"127.0.0.1:{ports['admin_port']}"
        with AdminClient(admin_address) as admin:
            address = f"127.0.0.1:{ports['port']}"
            yield ShopServer(server, store, admin, address, ports["metrics_port"], admin_address)


class Visits:
    """Golden visits, whose every answer must be that of the bundle that it names.

    The conversion to the last bit, or within a `tolerance`; features to the last bit always.
    """

    def __init__(
        self, client: AsyncClient, store: Path, tag: str, *, tolerance: float = 0.0
    ) -> None:
        self._client = client
        self._store = store
        self._tolerance = tolerance
        self.visit = golden_visit(store, tag)
        self.bundles: set[str] = set()
        self.wrong: list[str] = []

    async def call(self, number: int) -> None:
        """Send the first events of a visit, one to all of them in turn."""
        events = 1 + number % len(self.visit)
        await self._send(f"once-{number}", self.visit[:events], events)

    async def play(self, player: int, ends: asyncio.Event) -> None:
        """Play visits event by event until told to end."""
        for number in itertools.count():
            for place, one in enumerate(self.visit):
                if ends.is_set():
                    return
                await self._send(f"{player}-{number}", [one], place + 1)
                await asyncio.sleep(0.02)

    async def _send(self, session: str, events: list[events_pb2.Event], seen: int) -> None:
        reply = await self._client.score(
            session, events, anonymous_id="visitor", include_features=True
        )
        self.bundles.add(reply.bundle)
        conversion, features = golden_answers(self._store, reply.bundle)[seen - 1]
        got, vector = answer_of(reply)
        if abs(got - conversion) > self._tolerance or vector != features:
            self.wrong.append(f"{session}, {seen} events, {reply.bundle}: {reply.conversion}")
