"""Tries a bundle in a process of its own: a damaged model can crash or hang the one it is in."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from micromoment.bundle_trial_run import CPU_LIMIT_S, REFUSED
from micromoment.errors import BundleRefusedError
from micromoment.scoring.golden import GoldenReport
from micromoment.stores.bundles import tag_of

_MODULE = "micromoment.bundle_trial_run"


def try_bundle(folder: Path, digest: str, timeout_s: float) -> GoldenReport:
    """Load a bundle and score its golden sessions elsewhere, at the lowest priority; waits.

    It is loaded if its manifest still has that digest.

    Raises `BundleRefusedError` saying what is wrong with it.
    """
    command = [sys.executable, "-P", "-m", _MODULE, str(folder), digest, str(timeout_s)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        why = f"loading and scoring it did not end within {timeout_s:g} seconds"
        raise BundleRefusedError(tag_of(folder), why) from None
    if done.returncode:
        raise BundleRefusedError(tag_of(folder), _why(done))
    return GoldenReport(**json.loads(done.stdout))


def _why(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode == REFUSED:
        told: dict[str, Any] = json.loads(done.stdout)
        return str(told["detail"])
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"loading and scoring it took more than {CPU_LIMIT_S} seconds of CPU time, or memory"
    if done.returncode < 0:
        return f"loading or scoring it ended the process by signal {-done.returncode}"
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"loading or scoring it ended the process: {''.join(last)}"
