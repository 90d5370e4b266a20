"""The bundle of a simulated shop, trained once for each version of the code."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from benchmarks.latency import Served, simulated
from benchmarks.serving.environments import cache_folder

_ROOT: Final = Path(__file__).parents[2]
_HASH_DIGITS: Final = 12
# What decides how a bundle is made and written.
_TRAINED_BY: Final = ("src/micromoment/events", "src/micromoment/features", "training")
_FORMAT: Final = "src/micromoment/scoring/manifest.py"
_READY: Final = "bundle"


def trained_once() -> Served:
    """Train a bundle, or take the one that this code has trained before."""
    folder = cache_folder() / f"simulated-{_code_hash()}"
    ready = folder / _READY
    if not ready.exists():
        print("training a simulated shop's bundle (some minutes, once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        served = simulated(folder)
        ready.write_text(served.bundle, encoding="utf-8")
    return Served(folder / "bundles", ready.read_text(encoding="utf-8"), folder / "features")


def _code_hash() -> str:
    digest = hashlib.sha256()
    files = [file for folder in _TRAINED_BY for file in sorted((_ROOT / folder).rglob("*.py"))]
    for file in (*files, _ROOT / _FORMAT):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:_HASH_DIGITS]
