"""How fast sessions come back from the event log: events a second of processor time.

    python -m benchmarks.recovery [--visits N] [--rounds N]

Visits of the serving benchmark are logged as a server does, then the log is folded into an empty
store. The baseline is parsing alone: reading all rows and their protobuf messages. Prints medians
over the rounds [min, max]; the last line is what a crash costs a busy server.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.serving import score_calls
from benchmarks.serving.measures import spread
from benchmarks.serving.simulated import trained_once
from micromoment.events.identity import IdEncoder
from micromoment.recovery import recover_sessions
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.scorer import Scorer
from micromoment.scoring.sessions import SessionEntry
from micromoment.settings import Settings
from micromoment.stores.absent import NoVisitLog
from micromoment.stores.bundles import find_bundle
from micromoment.stores.log_rows import LogRow
from micromoment.stores.log_segments import LogLimits, SegmentWriter, read_rows, segments
from micromoment.stores.sessions import MemorySessionStore
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.recorder import Recorder, Samples
from micromoment.v1 import scoring_pb2 as pb

_LIMITS: Final = LogLimits(1 << 28, 1e12, 1 << 40)
_NEVER_US: Final = 10**15
_GROUP: Final = 64
_CALLS_PER_S: Final = 500


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    served = trained_once()
    bundle = load_bundle(find_bundle(served.store, served.bundle))
    visits = score_calls.visits(score_calls.shoppers_of(served.features), "v", given.visits)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(folder, bundle, visits)
        parsed, folded, rows, events = [], [], 0, 0
        for _ in range(given.rounds):
            started = time.process_time()
            rows = sum(bool(v.call()) for segment in segments(folder) for v in read_rows(segment))
            parsed.append(time.process_time() - started)
            sessions = MemorySessionStore(given.visits, 7_200.0)
            started = time.process_time()
            found = recover_sessions(
                folder, sessions, ttl_s=7_200.0, most=given.visits, now=time.time()
            )
            folded.append(time.process_time() - started)
            events = found.events
            if found.sessions != given.visits:
                raise SystemExit(f"{found.sessions} of {given.visits} visits came back")
    print(f"{rows:,} calls, {events:,} events of {given.visits:,} visits")
    for name, seconds, count in (("parse", parsed, rows), ("recover", folded, events)):
        per_s = spread([count / one for one in seconds])
        unit = "calls/s" if name == "parse" else "events/s"
        print(f"{name:8} {per_s.median:10,.0f} [{per_s.low:,.0f}, {per_s.high:,.0f}] {unit}")
    ttl_s = Settings.model_fields["session_ttl"].default
    whole_s = _CALLS_PER_S * ttl_s / (events / spread(folded).median)
    print(f"a server of {_CALLS_PER_S} events/s, with session_ttl {ttl_s:,.0f} s: {whole_s:,.0f} s")


def _write(folder: Path, bundle: LoadedBundle, visits: list[score_calls.Visit]) -> None:
    scorer = Scorer(bundle, max_user_feature_age_us=_NEVER_US)
    decoder = RequestDecoder(bundle.shop, IdEncoder(()))
    recorder = Recorder(bundle, Samples(1.0, 0.1), NoVisitLog())
    entries: dict[str, SessionEntry | None] = {}
    writer = SegmentWriter(folder, "commit", _LIMITS)
    waiting: list[LogRow] = []
    for request in _requests(visits):
        visit = decoder.score_call(request)
        entry = entries.get(request.session_id)
        scored = scorer.score(visit.call, entry, lost=False)
        entries[request.session_id] = scored.entry
        waiting.append(recorder.row(visit, visit.call, entry, scored, lost=False))
        if len(waiting) == _GROUP:
            writer.write(waiting)
            waiting.clear()
    if waiting:
        writer.write(waiting)
    writer.close()


def _requests(visits: list[score_calls.Visit]) -> list[pb.ScoreRequest]:
    return [*(visit.first() for visit in visits), *score_calls.new_events(visits)]


if __name__ == "__main__":
    main()
