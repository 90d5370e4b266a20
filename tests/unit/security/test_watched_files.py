"""Files that are read again when they change."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from micromoment.errors import InvalidSettingError
from micromoment.security.watched_files import FileWatch, WatchedFiles


class Reloads:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def file_reloaded(self, setting: str, *, good: bool) -> None:
        """Remember it."""
        self.told.append((setting, good))


def watched(path: Path, reloads: Reloads) -> WatchedFiles[str]:
    """Watch a file that must hold digits."""

    def read() -> str:
        text = path.read_text() if path.exists() else "nothing"
        if not text.isdigit():
            raise InvalidSettingError("digits", "are none")
        return text

    return WatchedFiles("digits", [path], read, reloads)


def test_a_change_counts_when_it_has_settled(tmp_path: Path) -> None:
    """Files that belong together change one by one: a look in between reads nothing."""
    path, reloads = tmp_path / "file", Reloads()
    path.write_text("1")
    files = watched(path, reloads)
    path.write_text("22")
    files.look()
    assert (files.current, reloads.told) == ("1", [])
    path.write_text("333")
    files.look()
    assert files.current == "1"
    files.look()
    assert (files.current, reloads.told) == ("333", [("digits", True)])
    files.look()
    assert len(reloads.told) == 1


@pytest.mark.parametrize("damage", ["damaged", None])
def test_the_last_good_reading_stands(tmp_path: Path, damage: str | None) -> None:
    """A damaged file, or one that is gone, is told once; a good one counts again."""
    path, reloads = tmp_path / "file", Reloads()
    path.write_text("1")
    files = watched(path, reloads)
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage)
    for _ in range(4):
        files.look()
    assert (files.current, reloads.told) == ("1", [("digits", False)])
    path.write_text("4444")
    files.look()
    files.look()
    assert (files.current, reloads.told[-1]) == ("4444", ("digits", True))


def test_a_file_that_cannot_be_used_at_first_is_an_error(tmp_path: Path) -> None:
    """There is no last good one."""
    with pytest.raises(InvalidSettingError):
        watched(tmp_path / "absent", Reloads())


def test_a_thread_looks_until_it_is_stopped(tmp_path: Path) -> None:
    """Whatever a look raises, the next one comes."""
    looks, enough = [0], threading.Event()

    class Failing:
        def look(self) -> None:
            looks[0] += 1
            if looks[0] == 3:
                enough.set()
            raise RuntimeError

    watch = FileWatch([Failing()], period_s=0.001)
    watch.start()
    assert enough.wait(10)
    watch.stop()
