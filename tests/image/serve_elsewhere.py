"""Runs the server as on another machine and counts what it compiles; for use in the container."""

from __future__ import annotations

import atexit
import json
import sys

import llvmlite.binding as llvm

# Another processor than the one that the image was built on: what Numba asks for its cache's key.
llvm.get_host_cpu_name = lambda: "another-processor"
llvm.get_host_cpu_features = lambda: llvm.FeatureMap({"another-feature": True})

from micromoment.cli import main  # noqa: E402 - Numba looks at the processor when imported
from micromoment.compile import compilations  # noqa: E402


def _tell(compiled: list[str]) -> None:
    sys.stderr.write(json.dumps({"event": "compilations", "functions": compiled}) + "\n")


with compilations() as names:
    # The server ends its process itself, past any `finally`.
    atexit.register(_tell, names)
    main(["serve"])
