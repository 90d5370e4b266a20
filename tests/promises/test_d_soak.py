"""Part D, promise D6: what a server takes does not grow with the calls that it answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf

from tests.promises.conftest import Form
from tests.support.server_process import Start
from tests.support.soaking import Growth, faults, growth, soak

# Sessions come and go, so that a full store is part of what is looked at.
SETTINGS = {"max_sessions": "100"}
QUICK_S = 14.0
# In seconds the caches of the event log still fill, and 3 B a call, which is 1 MB in 10 min at
# 500/s, are not to be seen: the quick form sees half a kilobyte.
QUICK_BYTES_PER_CALL = 500.0
BYTES_PER_SECOND = 1e6 / 600
LONG_PAUSE_S = 0.04  # of eight callers: 200 calls a second at most
LEAKY = """
from micromoment.bootstrap import make_service, serve
from micromoment.settings import load_settings
from micromoment.transport.encoding import ReplyEncoder

kept, encode = [], ReplyEncoder.score_response

def leaky(self, *arguments, **named):
    kept.append(bytearray(2_000))
    return encode(self, *arguments, **named)

ReplyEncoder.score_response = leaky
serve(load_settings(), make_service)
"""


def minutes() -> float:
    """Give how long `SOAK` asks for, in minutes: 60 for 1, which is the long form; 0 without."""
    asked = os.environ.get("SOAK", "")
    return 60.0 if asked == "1" else float(asked or 0)


async def grown(start: Start, command: tuple[str, ...], seconds: float) -> Growth:
    """Start a server and soak it."""
    server = start(command, **SETTINGS)
    port = server.await_event("serving")["port"]
    pause_s = LONG_PAUSE_S if minutes() else 0.0
    return growth(await soak(f"127.0.0.1:{port}", server.process.pid, seconds, pause_s))


async def test_d6_nothing_grows(start: Start, reached: Callable[[str, str], None]) -> None:
    """Soak: RSS slope < 1 MB / 10 min, file descriptors and threads constant.

    60 min in the long form (`SOAK=1`), N min with `SOAK=N`; the quick form judges by bytes a call.
    """
    asked = minutes()
    limits = (inf, BYTES_PER_SECOND) if asked else (QUICK_BYTES_PER_CALL, inf)
    found = await grown(start, ("-m", "micromoment", "serve"), asked * 60 or QUICK_S)
    reached("D6", f"{found} ({asked:g} min)" if asked else f"{found} ({QUICK_S:g} s)")
    assert faults(found, *limits) == []


async def test_d6_check_sees_a_planted_leak(
    start: Start, form: Form, reached: Callable[[str, str], None]
) -> None:
    """A server that keeps a kilobyte and more of each call fails the check."""
    limits = form((QUICK_BYTES_PER_CALL, inf), (inf, BYTES_PER_SECOND))
    found = await grown(start, ("-c", LEAKY), form(5.0, 60.0))
    reached("D6", f"planted leak of 2 kB a call: {found}")
    assert any("memory grows" in fault for fault in faults(found, *limits))
