"""The machine and the versions that a result was measured with."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

_PACKAGES: Final = ("grpcio", "protobuf", "uvloop", "lightgbm", "numba", "numpy", "redis")
_CPU_INFO: Final = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Describe this machine as it is now."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": load(),
    }


def load() -> float:
    """Give the mean number of running processes of the last minute."""
    return round(os.getloadavg()[0], 1)


def packages() -> dict[str, str]:
    """Give the versions of the packages that serving rests on."""
    return {name: version(name) for name in _PACKAGES}


def _cpu() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
