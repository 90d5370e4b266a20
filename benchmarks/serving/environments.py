"""Virtual environments of the peers: made once by pip, kept below the user's cache folder.

A folder is named by the hash of its requirements, so that another version is another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.serving.errors import BenchmarkError

REQUIREMENTS: Final = Path(__file__).parent / "requirements"
_READY: Final = "ready"
_HASH_DIGITS: Final = 12


class EnvironmentFailedError(BenchmarkError):
    """An environment could not be made."""


def cache_folder() -> Path:
    """Give the folder of benchmarks below the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "micromoment" / "benchmarks"


def environment_folder(name: str, requirements: Path, cache: Path) -> Path:
    """Give the folder of an environment: its name, Python's version and its requirements' hash."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    digest = hashlib.sha256(version.encode() + b"\n" + requirements.read_bytes()).hexdigest()
    return cache / f"{name}-{digest[:_HASH_DIGITS]}"


def environment(name: str) -> Path:
    """Make sure of `requirements/<name>.txt`'s environment and give its folder `bin`.

    Raises `EnvironmentFailedError` with what pip said.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    folder = environment_folder(name, requirements, cache_folder())
    if not (folder / _READY).exists():
        print(f"setting up {folder} (some minutes, once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], name)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", "--requirement", str(requirements)], name)
        (folder / _READY).touch()
    return folder / "bin"


def installed(binaries: Path) -> dict[str, str]:
    """List the versions of what is installed in an environment."""
    script = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
    )
    done = subprocess.run(
        [str(binaries / "python"), "-c", script], capture_output=True, text=True, check=True
    )
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def _run(command: list[str], name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EnvironmentFailedError(f"the environment {name} can't be made:\n{done.stderr}")
