"""What TLS and tokens cost: `Score` with either and with both over `Score` without.

    python -m benchmarks.security [--rounds N] [--seconds S]

Four servers of one simulated bundle, as they come otherwise, event log included; each call carries
a new event and, where the server asks for it, a token. In a round each server is called for
`--seconds` with 16 calls in flight on one connection, one server after the other, in turning order;
a ratio is that of one round. The client is one thread of Python and encrypts on the same machine.
Prints medians over the rounds [min, max] and, of both together over neither, the interval of the
mean ratio with 95 % confidence by Student's t; `cpu us` is the processor time of the server's
process, all threads, for a call. Beside each other: the load of the machine before and after.
"""

from __future__ import annotations

import argparse
import os
import ssl
import statistics
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil
from scipy import stats

from benchmarks.durability import Turn
from benchmarks.latency import Served
from benchmarks.serving import score_calls
from benchmarks.serving.distinct import Via
from benchmarks.serving.measures import ratios, spread
from benchmarks.serving.score_cases import NewEvents
from benchmarks.serving.simulated import trained_once
from micromoment.security.callers import Role
from micromoment.security.credentials import CredentialsFile, new_token, write_file
from tests.support.certificates import authority, files_in, issued
from training.server_process import ServerProcess, free_port

IN_FLIGHT: Final = 16
PLAIN: Final = "neither"
BOTH: Final = "both"
# Of each server: whether it speaks TLS, whether it asks for tokens.
KINDS: Final = {
    PLAIN: (False, False),
    "tokens": (False, True),
    "TLS": (True, False),
    BOTH: (True, True),
}
# As many tokens as a server of many shops has.
_TOKENS: Final = 1_000
_WARM_UP_S: Final = 1.0


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a server's turn")
    given = parser.parse_args(arguments)
    served = trained_once()
    shoppers = score_calls.shoppers_of(served.features)
    before = os.getloadavg()[0]
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        token = _write_access(folder)
        servers = {kind: _start(stack, served, folder, kind) for kind in KINDS}
        callers = {
            kind: NewEvents(servers[kind].port, shoppers, kind, via=_via(folder, kind, token))
            for kind in KINDS
        }
        for caller in callers.values():
            caller.in_flight(IN_FLIGHT, _WARM_UP_S)()
        turns: dict[str, list[Turn]] = {kind: [] for kind in KINDS}
        kinds = tuple(KINDS)
        for number in range(given.rounds):
            turn = number % len(kinds)
            for kind in (*kinds[turn:], *kinds[:turn]):
                turns[kind].append(_turn(servers[kind], callers[kind], given.seconds))
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)
    _print(turns)
    print(f"load of the machine: {before:.1f} before, {os.getloadavg()[0]:.1f} after")


def _turn(server: ServerProcess, caller: NewEvents, seconds: float) -> Turn:
    drive = caller.in_flight(IN_FLIGHT, seconds)
    before = _cpu_s(server)
    load = drive()
    return Turn(load, (_cpu_s(server) - before) / load.calls * 1e6)


def _start(stack: ExitStack, served: Served, scratch: Path, kind: str) -> ServerProcess:
    tls, tokens = KINDS[kind]
    settings: dict[str, str | Path | float] = {
        "bundle": served.bundle,
        "bundle_store": served.store,
        "feature_store": served.features or "",
        "state_dir": scratch / kind,
        "user_feature_timeout": 5.0,
        "default_deadline": 30.0,
        "drain_lag": 0,
        "health_port": free_port(),
    }
    if tls:
        settings |= {
            "tls_certificate": scratch / "server.crt",
            "tls_key": scratch / "server.key",
        }
    if tokens:
        settings["credentials"] = scratch / "credentials.json"
    return stack.enter_context(ServerProcess(settings, scratch / f"{kind}.log"))


def _via(scratch: Path, kind: str, token: str) -> Via:
    tls, tokens = KINDS[kind]
    context = None
    if tls:
        context = ssl.create_default_context(cafile=scratch / "ca.crt")
        context.set_alpn_protocols(["h2"])
    return Via(context, (("authorization", f"Bearer {token}"),) if tokens else ())


def _write_access(scratch: Path) -> str:
    """Write certificate, key and credentials; give the last of the tokens."""
    ca = authority()
    (scratch / "ca.crt").write_bytes(ca.pem)
    files_in(scratch).write(issued(ca))
    now = datetime.now(UTC)
    made = [
        new_token("default", [Role.SCORE], token_id=f"t{number}", created=now)
        for number in range(_TOKENS)
    ]
    entries = tuple(entry for _, entry in made)
    write_file(scratch / "credentials.json", CredentialsFile(tokens=entries))
    return made[-1][0]


def _cpu_s(server: ServerProcess) -> float:
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def _print(turns: dict[str, list[Turn]]) -> None:
    base = [turn.per_s for turn in turns[PLAIN]]
    print(
        f"{'with':8}  {'calls/s':>8}  {'over neither':>18}  {'cpu us':>7}  {'over':>5}  "
        f"{'p50 ms':>7}  {'p99 ms':>7}"
    )
    cpu_base = [turn.cpu_us for turn in turns[PLAIN]]
    for kind, mine in turns.items():
        per_s = [turn.per_s for turn in mine]
        over = spread(ratios(per_s, base))
        cpu = [turn.cpu_us for turn in mine]
        p50, p99 = (
            spread(values).median
            for values in ([t.load.p50_ms for t in mine], [t.load.p99_ms for t in mine])
        )
        print(
            f"{kind:8}  {spread(per_s).median:8,.0f}  "
            f"{over.median:6.2f} [{over.low:.2f}, {over.high:.2f}]  "
            f"{spread(cpu).median:7.0f}  {spread(ratios(cpu, cpu_base)).median:5.2f}  "
            f"{p50:7.2f}  {p99:7.2f}"
        )
    of_both = ratios([turn.per_s for turn in turns[BOTH]], base)
    if len(of_both) > 1:
        mean, error = statistics.fmean(of_both), stats.sem(of_both)
        low, high = stats.t.interval(0.95, len(of_both) - 1, loc=mean, scale=error)
        print(f"both over neither: {mean:.3f}, 95 % interval {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
