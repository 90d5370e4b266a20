"""What h2load prints and logs is read, and its failures are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving import h2load
from benchmarks.serving.cases import repeated
from benchmarks.serving.grpc_frames import prefixed

SUMMARY = """
finished in {took}, 2102.50 req/s, 542.18KB/s
requests: 6 total, 7 started, 4 done, {succeeded} succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.06KB (1110) total, 12B (12) headers (space savings 96.27%), 842B (820) data
                     min         max         mean         sd        +/- sd
time for request:      177us     19.06ms       461us       820us    94.29%
"""
LOG = ["1795721119543941\t200\t1000", "1795721119544723\t200\t250", "1\t200\t300", "2\t200\t400"]


def summary(took: str = "2.00s", succeeded: int = 4) -> str:
    """Give what h2load prints."""
    return SUMMARY.format(took=took, succeeded=succeeded)


def test_a_run_is_read() -> None:
    """Latencies come from the log, the time and the size of replies from the summary."""
    load = h2load.parsed(summary(), LOG)
    assert (load.calls, load.seconds) == (4, 2.0)
    assert (load.p50_ms, load.p99_ms) == (0.3, 1.0)
    assert load.reply_bytes == 205


@pytest.mark.parametrize(("took", "seconds"), [("850.50ms", 0.8505), ("70us", 7e-5), ("1.5m", 90)])
def test_times_have_units(took: str, seconds: float) -> None:
    """Minutes, milliseconds and microseconds are read as well."""
    assert h2load.parsed(summary(took), LOG).seconds == pytest.approx(seconds)


def test_a_failed_call_is_told() -> None:
    """A status that isn't 200 ends the benchmark."""
    with pytest.raises(h2load.H2loadError, match="status 503"):
        h2load.parsed(summary(succeeded=3), [*LOG[:3], "2\t503\t400"])
    with pytest.raises(h2load.H2loadError, match="status -1"):
        h2load.parsed(summary(), [*LOG, "2\t-1\t400"])


@pytest.mark.parametrize(
    ("output", "log", "said"), [("", LOG, "no summary"), (summary(), [], "no call")]
)
def test_no_result_is_told(output: str, log: list[str], said: str) -> None:
    """Neither an output without a summary nor a run without a call is a result."""
    with pytest.raises(h2load.H2loadError, match=said):
        h2load.parsed(output, log)


def test_a_missing_program_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who can't install it is told the name of the package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(h2load.H2loadError, match="nghttp2-client"):
        h2load.find_h2load()


def fake_h2load(folder: Path) -> str:
    """Write a program that prints a summary and logs as h2load does."""
    program = folder / "h2load"
    log = "\\n".join(LOG)
    program.write_text(
        "#!/bin/sh\n"
        'for word; do case "$word" in --log-file=*) log="${word#--log-file=}";; esac; done\n'
        f"printf '{log}\\n' > \"$log\"\ncat <<'END'\n{summary()}END\n"
    )
    program.chmod(0o755)
    return str(program)


def test_short_replies_are_errors(tmp_path: Path) -> None:
    """h2load counts gRPC's errors as successes; that replies are too small gives them away."""
    target = h2load.grpc_target(1, "/a.B/C", b"message", tmp_path / "body")
    assert target.body.read_bytes() == prefixed(b"message")
    program, log = fake_h2load(tmp_path), tmp_path / "log"
    assert repeated(program, target, log, reply_bytes=205)(1, 1.0)().calls == 4
    with pytest.raises(h2load.H2loadError, match="some were errors"):
        repeated(program, target, log, reply_bytes=206)(1, 1.0)()
