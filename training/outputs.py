"""Places to write results to, checked before the work begins."""

from __future__ import annotations

import os
from pathlib import Path

from micromoment.errors import InvalidDataError


def make_folder(folder: Path) -> None:
    """Make a folder that isn't there. Raises `InvalidDataError` when it can't be written into."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InvalidDataError(str(folder), "is or lies below a file; a folder is needed") from None
    except OSError as error:
        raise InvalidDataError(str(folder), f"can't be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidDataError(str(folder), "can't be written into")


def prepare_file(path: Path) -> None:
    """Make the folder of a file that is to be written.

    Raises `InvalidDataError` when it can't be written there.
    """
    if path.is_dir():
        raise InvalidDataError(str(path), "is a folder, the name of a file is needed")
    make_folder(path.parent)
