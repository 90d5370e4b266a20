"""Runs benchmarks, each in a process of its own.

    python -m benchmarks.run [NAME ...] [OPTION ...]

Without a name it is `serving`; `all` stands for all. Options go to each that is named.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

BENCHMARKS = (
    "serving",
    "hot_path",
    "replay",
    "latency",
    "explain",
    "segments",
    "truth",
    "fallback",
    "startup",
    "front_door",
    "swap",
    "consent",
    "durability",
    "security",
    "recovery",
    "overload",
)


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks and give the last failure's status."""
    place = next((n for n, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    names, options = arguments[:place] or ["serving"], arguments[place:]
    if list(names) == ["all"]:
        names = BENCHMARKS
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}, or all")
        return 2
    status = 0
    for name in names:
        print(f"== {name}", flush=True)
        run = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False)
        status = run.returncode or status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
