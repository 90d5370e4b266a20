"""The process that tries a bundle: `python -m micromoment.bundle_trial_run FOLDER DIGEST SECONDS`.

It prints a JSON object: how many golden answers were compared, or what is wrong, with status 3.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

REFUSED: Final = 3
# Of processor time. A trial takes two; what loops without end is not waited for.
CPU_LIMIT_S: Final = 60
_LOWEST_PRIORITY: Final = 19


def main(folder: str, digest: str, timeout_s: str) -> int:
    """Score the golden sessions of the bundle in a folder whose manifest has that digest."""
    # Nobody may be left to end this process, and a library that hangs lets no handler run.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, float(timeout_s))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    # What serves goes first. Imports are most of the work, so they come after.
    os.nice(_LOWEST_PRIORITY)
    from micromoment.errors import BundleError  # noqa: PLC0415
    from micromoment.scoring.golden import check_golden  # noqa: PLC0415
    from micromoment.stores.loading import load_judged_bundle  # noqa: PLC0415

    try:
        report = check_golden(load_judged_bundle(Path(folder), digest))
    except BundleError as error:
        sys.stdout.write(json.dumps({"detail": error.detail}))
        return REFUSED
    sys.stdout.write(json.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
