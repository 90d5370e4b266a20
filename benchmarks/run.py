"""Runs all benchmarks, each in a process of its own: `python -m benchmarks.run [NAME ...]`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

BENCHMARKS = (
    "replay",
    "latency",
    "explain",
    "segments",
    "truth",
    "fallback",
    "startup",
    "front_door",
)


def main(names: Sequence[str]) -> int:
    """Run the named benchmarks, all by default, and give the last failure's status."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
        return 2
    status = 0
    for name in names or BENCHMARKS:
        print(f"== {name}", flush=True)
        run = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        status = run.returncode or status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
