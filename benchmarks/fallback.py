"""How long a page waits for a score that does not come: `python -m benchmarks.fallback`.

One client with a deadline of 20 ms calls addresses where nobody answers, each in its own way, from
the first call on a new connection. Prints milliseconds until the fallback is there.
"""

from __future__ import annotations

import argparse
import statistics
import time

from micromoment.client import Client, event, is_fallback
from tests.support.troubles import TROUBLES, an_address_of

_PAUSE_S = 0.005


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--deadline-ms", type=float, default=20.0)
    given = parser.parse_args(arguments)
    print(f"{given.calls} calls, deadline {given.deadline_ms:g} ms; ms until the fallback")
    for trouble in TROUBLES:
        with an_address_of(trouble) as address:
            times, reasons = _times(address, given.calls, given.deadline_ms / 1e3)
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(
            f"{trouble:13} first {times[0]:5.1f}   p50 {p50:5.1f}   p99 {p99:5.1f}"
            f"   max {max(times):5.1f}   {counts}"
        )


def _times(address: str, calls: int, deadline_s: float) -> tuple[list[float], dict[str, int]]:
    times = []
    with Client(address, deadline_s=deadline_s) as client:
        for number in range(calls):
            visit = [event("page_view")]
            started = time.perf_counter()
            reply = client.score_or_fallback(f"s{number}", visit)
            times.append((time.perf_counter() - started) * 1e3)
            assert is_fallback(reply)
            time.sleep(_PAUSE_S)
        return times, {str(reason): count for reason, count in client.fallback_counts().items()}


if __name__ == "__main__":
    main()
