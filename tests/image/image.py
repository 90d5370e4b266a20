"""An unpacked image, containers made of it, and the report of what was checked in them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.image.container import Container, Mount, strict_config

DRAIN_LAG_S = 1.0
DRAIN_GRACE_S = 5.0
PROBES = Path(__file__).parent


@dataclass(frozen=True)
class Image:
    """An image, unpacked by umoci, with what buildah tells of it; folders of a shop to serve."""

    unpacked: Path
    inspected: dict[str, Any]
    bundles: Path
    features: Path
    work: Path
    grpcurl: str

    @property
    def rootfs(self) -> Path:
        """Its files."""
        return self.unpacked / "rootfs"

    @property
    def settings(self) -> dict[str, Any]:
        """What its Dockerfile set."""
        return dict(self.inspected["Docker"]["config"])

    def container(
        self,
        name: str,
        command: tuple[str, ...] = (),
        *,
        state: Path | None = None,
        **variables: str,
    ) -> Container:
        """Make a strict container, with the image's own command unless another is given.

        `state` is the volume of an earlier one.
        """
        config = json.loads((self.unpacked / "config.json").read_text())
        user = config["process"]["user"]
        if state is None:
            state = self.work / name / "state"
            state.mkdir(parents=True)
        for folder in (state, *self.features.rglob("*"), self.features):
            os.chown(folder, user["uid"], user["gid"])
        mounts = (
            Mount(self.bundles, "/bundles"),
            Mount(self.features, "/features", writable=True),
            Mount(state, "/var/lib/micromoment", writable=True),
            Mount(PROBES, "/probes"),
        )
        strict = strict_config(config, self.rootfs, mounts)
        strict["process"]["args"] = list(command) or strict["process"]["args"]
        environment = dict(pair.split("=", 1) for pair in strict["process"]["env"])
        environment |= {
            "MICROMOMENT_HOST": "127.0.0.1",
            "MICROMOMENT_DRAIN_LAG": str(DRAIN_LAG_S),
            "MICROMOMENT_DRAIN_GRACE": str(DRAIN_GRACE_S),
            **variables,
        }
        strict["process"]["env"] = [f"{name}={value}" for name, value in environment.items()]
        return Container(f"micromoment-{name}-{os.getpid()}", self.work / name, strict)


@dataclass
class Report:
    """Prints a line per check and remembers whether all held."""

    failed: list[str] = field(default_factory=list)

    @contextmanager
    def check(self, what: str) -> Iterator[Callable[[str], None]]:
        """Check something in the block, which may add words to the line and fails by raising."""
        words: list[str] = []
        try:
            yield words.append
        except Exception as error:  # noqa: BLE001 - the other checks go on, the status tells
            self.failed.append(what)
            words.append(f"{type(error).__name__}: {error}")
        self._print("FAIL" if what in self.failed else "ok", what, words)

    @staticmethod
    def _print(verdict: str, what: str, words: list[str]) -> None:
        sys.stdout.write(f"{verdict:<4} {what}{': ' if words else ''}{'; '.join(words)}\n")
        sys.stdout.flush()
