"""What lies in an unpacked image, and what must not."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}")
# What makes programs, and what fetches them.
BUILDERS = re.compile(
    r"^(?:.*-)?(?:gcc|g\+\+|cc|c\+\+|cpp|clang|ld|as|make|cmake|go|rustc|cargo|curl|wget|git)(?:-\d+)?$"
)
_FOLDERS_OF_PROGRAMS = (
    "bin",
    "sbin",
    "usr/bin",
    "usr/sbin",
    "usr/local/bin",
    "opt/micromoment/bin",
)
_LARGEST_KEY = 1 << 20  # bytes; a file that is larger is a library


def files(rootfs: Path) -> Iterator[Path]:
    """Give all plain files."""
    return (path for path in rootfs.rglob("*") if path.is_file() and not path.is_symlink())


def builders(rootfs: Path) -> list[str]:
    """Name programs that compile, link or fetch."""
    folders = [rootfs / one for one in _FOLDERS_OF_PROGRAMS]
    names = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return sorted({name for name in names if BUILDERS.match(name)})


def leftovers(rootfs: Path) -> list[str]:
    """Name caches of package managers, and what belongs to the project's checkout alone."""
    patterns = (
        *("root/.cache/*", "home/*/.cache/*", "tmp/*", "var/cache/apt/archives/*.deb"),
        *("var/lib/apt/lists/*_Packages*", "build", "**/.git", "**/conftest.py"),
        "opt/micromoment/lib/python3*/site-packages/tests/image",
    )
    found = [path for pattern in patterns for path in rootfs.glob(pattern)]
    # Some packages ship a conftest.py of their own.
    return [
        str(path)
        for path in found
        if "site-packages" not in path.parts or path.name != "conftest.py"
    ]


def secrets(rootfs: Path) -> list[str]:
    """Name files that hold a private key."""
    small = (path for path in files(rootfs) if path.stat().st_size <= _LARGEST_KEY)
    return [str(path) for path in small if PRIVATE_KEY.search(path.read_bytes())]


def privileged(rootfs: Path) -> list[str]:
    """Name files that let whoever runs them become somebody else."""
    special = stat.S_ISUID | stat.S_ISGID
    return [str(path) for path in files(rootfs) if path.stat().st_mode & special]


def installed(rootfs: Path) -> dict[str, str]:
    """Give the version of each installed package, by its normalized name."""
    folders = rootfs.glob("opt/micromoment/lib/python3*/site-packages/*.dist-info")
    found = [Distribution.at(folder).metadata for folder in folders]
    return {_normal(one["Name"]): one["Version"] for one in found}


def bill_of_materials(rootfs: Path) -> dict[str, str]:
    """Give the version of each package that the image says it has."""
    bill = json.loads((rootfs / "opt/micromoment/sbom.cdx.json").read_bytes())
    return {_normal(one["name"]): one["version"] for one in bill["components"]}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
