"""h2load, nghttp2's native client: the same request again and again, as fast as it is answered.

It counts every reply with an HTTP status of 2xx as a success, gRPC errors included: answers are
checked before timing, and the mean size of the replies after it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving.errors import BenchmarkError
from benchmarks.serving.grpc_frames import prefixed
from benchmarks.serving.measures import Load, load_of

PACKAGE: Final = "nghttp2-client"
_GRPC_HEADERS: Final = ("content-type: application/grpc", "te: trailers")
_JSON_HEADERS: Final = ("content-type: application/json",)
_FINISHED: Final = re.compile(r"^finished in ([\d.]+)(us|ms|s|m), ", re.MULTILINE)
_REQUESTS: Final = re.compile(r"^requests: .* (\d+) done, (\d+) succeeded, ", re.MULTILINE)
_DATA: Final = re.compile(r"^traffic: .*\((\d+)\) data$", re.MULTILINE)
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_SPARE_S: Final = 60.0


class H2loadError(BenchmarkError):
    """h2load is missing, failed, or calls of its run did."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is called: a URL, the file with the body, headers, HTTP/2 or HTTP/1.1."""

    url: str
    body: Path
    headers: tuple[str, ...]
    http1: bool = False


def grpc_target(port: int, path: str, message: bytes, body: Path) -> Target:
    """Make a gRPC call a target; the message is written to the file `body`."""
    body.write_bytes(prefixed(message))
    return Target(f"http://127.0.0.1:{port}{path}", body, _GRPC_HEADERS)


def json_target(port: int, path: str, content: bytes, body: Path) -> Target:
    """Make an HTTP/1.1 call with JSON a target; the content is written to the file `body`."""
    body.write_bytes(content)
    return Target(f"http://127.0.0.1:{port}{path}", body, _JSON_HEADERS, http1=True)


def find_h2load() -> str:
    """Find h2load, or install Debian's package as root. Raises `H2loadError` saying what to do."""
    found = shutil.which("h2load")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {PACKAGE} for h2load", flush=True)
        for command in (["apt-get", "update"], ["apt-get", "install", "--yes", PACKAGE]):
            subprocess.run([*command, "--quiet"], check=False, stdout=subprocess.DEVNULL)
        found = shutil.which("h2load")
    if found is None:
        raise H2loadError(f"h2load is missing; install it (Debian: apt-get install {PACKAGE})")
    return found


def version(program: str) -> str:
    """Give its version, such as `nghttp2/1.52.0`."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


def run(program: str, target: Target, in_flight: int, seconds: float, log: Path) -> Load:
    """Call the target for some seconds; `log` is overwritten with a line per call.

    Over HTTP/2 all calls share one connection; HTTP/1.1 takes a connection for each in flight.
    Raises `H2loadError` when a call failed.
    """
    log.unlink(missing_ok=True)
    command = [program, *_options(target, in_flight, seconds), f"--log-file={log}", target.url]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=seconds + _SPARE_S
    )
    if done.returncode != 0:
        raise H2loadError(f"h2load ended with {done.returncode}: {done.stderr or done.stdout}")
    return parsed(done.stdout, log.read_text().splitlines())


def _options(target: Target, in_flight: int, seconds: float) -> list[str]:
    clients = in_flight if target.http1 else 1
    options = [f"-D{round(seconds * 1e3)}ms", f"-c{clients}", "-t1"]
    options += ["--h1"] if target.http1 else [f"-m{in_flight}"]
    options += [f"-d{target.body}"]
    for header in target.headers:
        options += ["-H", header]
    return options


def parsed(output: str, log: Sequence[str]) -> Load:
    """Read h2load's summary and its log: start in us, status, duration in us, tab-separated.

    Raises `H2loadError` when it isn't one, no call ended, or one failed.
    """
    finished, requests, data = (p.search(output) for p in (_FINISHED, _REQUESTS, _DATA))
    if finished is None or requests is None or data is None:
        raise H2loadError(f"h2load printed no summary: {output}")
    lines = [line.split("\t") for line in log]
    failed = sorted({status for _, status, _ in lines if status != "200"})
    if failed or int(requests[1]) != int(requests[2]):
        raise H2loadError(f"calls ended with the HTTP status {', '.join(failed) or 'unknown'}")
    if not lines:
        raise H2loadError("no call was answered")
    latencies = [int(duration) / 1e3 for _, _, duration in lines]
    seconds = float(finished[1]) * _SECONDS[finished[2]]
    return load_of(latencies, seconds, int(data[1]) / int(requests[1]))
