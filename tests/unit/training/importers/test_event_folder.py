from __future__ import annotations

import errno
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from micromoment.errors import InvalidDataError
from training.importers.event_folder import event_folder

DAY = date(2021, 1, 5)


def test_files_appear_when_they_are_published(tmp_path: Path) -> None:
    """A staged file is in its place after publishing, and not before."""
    with event_folder(tmp_path / "out") as folder:
        folder.staged_day(DAY).write_text("events")
        folder.staged_state("sessions", DAY).write_text("state")
        assert folder.existing_days() == []
        folder.publish()
        assert folder.existing_days() == [DAY]
        assert [path.name for path in folder.states("sessions", date(2021, 1, 6), 1)] == [
            "2021-01-05.parquet"
        ]
        assert folder.states("sessions", date(2021, 1, 7), 1) == []
        assert folder.states("sessions", DAY, 7) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".import-state",
        "2021-01-05.parquet",
    ]


def test_a_folder_takes_one_import_at_a_time(tmp_path: Path) -> None:
    """A second import into the same folder is refused while the first one runs."""
    with (
        event_folder(tmp_path),
        pytest.raises(InvalidDataError, match="another import is writing"),
        event_folder(tmp_path),
    ):
        pass
    with event_folder(tmp_path) as folder:
        assert folder.work.is_dir()


def test_a_folder_that_can_only_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only mount lets the folder be opened, and nothing be made in it."""
    make = Path.mkdir

    def refused(path: Path, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - mkdir's
        if path.name == ".import-work":
            raise OSError(errno.EROFS, "Read-only file system")
        make(path, *arguments, **options)

    with monkeypatch.context() as mount:
        mount.setattr(Path, "mkdir", refused)
        with (
            pytest.raises(InvalidDataError, match="can't be written: Read-only file system"),
            event_folder(tmp_path),
        ):
            pass
    with event_folder(tmp_path) as folder:  # it is not locked
        assert folder.work.is_dir()


def test_what_a_killed_import_left_is_cleared_away(tmp_path: Path) -> None:
    """The work folder of an import that was killed is emptied by the next one."""
    left = tmp_path / ".import-work" / "rows"
    left.mkdir(parents=True)
    (left / "part.parquet").write_text("half a file")
    with event_folder(tmp_path) as folder:
        assert list(folder.work.iterdir()) == []
    assert not (tmp_path / ".import-work").exists()


def test_a_foreign_file_in_the_folder_is_named(tmp_path: Path) -> None:
    """A Parquet file that isn't named after a day is pointed out before anything is written."""
    (tmp_path / "notes.parquet").write_text("")
    with (
        event_folder(tmp_path) as folder,
        pytest.raises(InvalidDataError, match=r"notes\.parquet: isn't named YYYY-MM-DD"),
    ):
        folder.existing_days()
