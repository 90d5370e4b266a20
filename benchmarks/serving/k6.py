"""k6: calls at a constant rate, each with a new event, whether or not earlier ones have ended."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.rpc import status_pb2

from benchmarks.serving.errors import BenchmarkError
from benchmarks.serving.measures import Load

_SCRIPT: Final = Path(__file__).parent / "score_at_rate.js"
_PROTOS: Final = Path(__file__).parents[2] / "protos"
_SPARE_S: Final = 60.0
_QUIET: Final = ("--quiet", "--no-usage-report", "--no-color")


class K6Error(BenchmarkError):
    """k6 failed, or calls of its run did."""


@dataclass(frozen=True, slots=True)
class AtRate:
    """What k6 saw: latencies, and how many calls it could not begin in time."""

    load: Load
    dropped: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Which sessions k6 sends new events of, and from what number on.

    `template` is one request as JSON. Each of `sessions` sessions, named by `session` and a number,
    gets its events in turn; `run` makes their ids unlike those of earlier runs. With `counts` a
    reply that doesn't count its event is a failure.
    """

    template: dict[str, Any]
    session: str
    sessions: int
    run: str
    counts: bool = True


def run(program: Path, port: int, calls: Calls, rate: int, seconds: float, folder: Path) -> AtRate:
    """Call `Score` so many times a second. Raises `K6Error` when a call failed."""
    summary = folder / "k6.json"
    summary.unlink(missing_ok=True)
    given = {
        "ADDRESS": f"127.0.0.1:{port}",
        "PROTO_PATHS": json.dumps([str(_PROTOS), str(Path(status_pb2.__file__).parents[2])]),
        "TEMPLATE": json.dumps(calls.template),
        "SESSION": calls.session,
        "SESSIONS": str(calls.sessions),
        "RUN": calls.run,
        "COUNTS": "1" if calls.counts else "0",
        "RATE": str(rate),
        "SECONDS": f"{seconds:g}s",
        "SUMMARY": str(summary),
    }
    done = subprocess.run(
        [str(program), "run", *_QUIET, str(_SCRIPT)],
        env={**os.environ, **given, "K6_NO_USAGE_REPORT": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + _SPARE_S,
    )
    if done.returncode != 0 or not summary.exists():
        raise K6Error(f"k6 ended with {done.returncode}: {done.stderr or done.stdout}")
    return parsed(json.loads(summary.read_text()))


def version(program: Path) -> str:
    """Give its version, such as `v1.1.0`."""
    done = subprocess.run([str(program), "version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


def parsed(summary: dict[str, Any]) -> AtRate:
    """Read k6's end-of-test summary. Raises `K6Error` when a check failed or no call ended."""
    metrics = summary["metrics"]
    checks = metrics.get("checks", {}).get("values", {})
    if checks.get("fails", 0) or not checks.get("passes", 0):
        raise K6Error(f"{checks.get('fails', 0)} calls failed, {checks.get('passes', 0)} did not")
    taken = metrics["grpc_req_duration"]["values"]
    load = Load(
        calls=int(checks["passes"]),
        seconds=float(summary["state"]["testRunDurationMs"]) / 1e3,
        p50_ms=float(taken["med"]),
        p99_ms=float(taken["p(99)"]),
        reply_bytes=float("nan"),
    )
    dropped = metrics.get("dropped_iterations", {}).get("values", {}).get("count", 0)
    return AtRate(load, int(dropped))
