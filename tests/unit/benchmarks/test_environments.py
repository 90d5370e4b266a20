"""The peers' environments."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.serving.environments import REQUIREMENTS, environment_folder


def test_other_requirements_are_another_folder(tmp_path: Path) -> None:
    """The folder's name changes with the file's content and with nothing else."""
    file = tmp_path / "peer.txt"
    file.write_text("a==1\n")
    first = environment_folder("peer", file, tmp_path)
    assert environment_folder("peer", file, tmp_path) == first
    file.write_text("a==2\n")
    assert environment_folder("peer", file, tmp_path) != first
    assert first.name.startswith("peer-")


def test_every_package_of_a_peer_is_pinned() -> None:
    """A benchmark of next year installs what this year's did."""
    for file in REQUIREMENTS.glob("*.txt"):
        lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        assert lines
        assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == [], file
