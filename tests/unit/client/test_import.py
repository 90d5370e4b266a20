"""What importing the client costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "bentoml",
    "duckdb",
    "feast",
    "lightgbm",
    "numba",
    "numpy",
    "pandas",
    "prometheus_client",
    "pyarrow",
    "pydantic",
    "structlog",
}


@pytest.mark.parametrize("module", ["micromoment.client", "micromoment.health"])
def test_nothing_heavy_is_imported(module: str) -> None:
    """A storefront and a probe load gRPC, protobuf and little of this package."""
    code = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    modules = json.loads(run.stdout)
    assert HEAVY & {name.partition(".")[0] for name in modules} == set()
    allowed = ("micromoment.client", "micromoment.v1", "micromoment.health")
    own = [name for name in modules if name.startswith("micromoment.")]
    assert [name for name in own if not name.startswith(allowed)] == []


def test_the_probe_does_without_protobuf() -> None:
    """It runs every few seconds, and importing protobuf would be a quarter of what it costs."""
    code = "import sys, micromoment.health; print('google.protobuf' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert run.stdout == "False\n"
