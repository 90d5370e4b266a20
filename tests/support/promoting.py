"""Changes a bundle store in processes that can be broken off: `python -m tests.support.promoting`.

Reads lines of JSON, `{"act": ..., "store": ..., ...}`, and forks for each a process that stops
itself before it acts. It tells that one's pid, then, when it has ended, its status. So the imports
are paid for once. What judges a bundle writes nothing to the store and is left out.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import bentoml  # noqa: F401 - before the fork
from bentoml._internal.models import ModelStore  # noqa: F401

from micromoment.scoring.manifest import read_manifest
from training.promotion import promote as promotion
from training.publishing.store import add_to_store

_PR_SET_PTRACER = 0x59616D61
_ANYBODY = -1


def act(order: dict[str, Any]) -> None:
    """Add a bundle's folder to the store, promote one, or go back."""
    store = Path(order["store"])
    if order["act"] == "add":
        folder = Path(order["folder"])
        add_to_store(folder, read_manifest(folder), store)
    elif order["act"] == "promote":
        promotion.promote(promotion.PromoteRequest(order["tag"], store, who="a test"))
    else:
        promotion.roll_back(store, order["name"], who="a test")


def main() -> None:
    """Serve orders until the input ends."""
    for judge, verdict in (("run_gate", ()), ("try_bundles", (None, None)), ("check_trial", ())):
        setattr(promotion, judge, lambda *_, verdict=verdict: verdict)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            # A machine may let parents alone trace.
            ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            try:
                act(json.loads(line))
            except BaseException:  # noqa: BLE001 - told, and the status says it
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.waitpid(pid, os.WUNTRACED)
        print(pid, flush=True)  # noqa: T201 - the answer
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
