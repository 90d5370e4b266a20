"""Reads the keys that turn ids into pseudonyms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from micromoment.errors import InvalidSettingError
from micromoment.events.identity import IdKey

_LINE: Final = re.compile(r"(?P<key_id>[A-Za-z0-9_-]{1,16}):(?P<secret>\S{16,})")
_SETTING: Final = "id_key_file"


def load_id_keys(path: Path) -> tuple[IdKey, ...]:
    """Read one `key_id:secret` a line, the current key first; secrets have 16 characters or more.

    Empty lines and those that begin with # don't count. Raises `InvalidSettingError` naming the
    line, never what it says.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingError(_SETTING, f"{path} can't be read as text") from error
    keys = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise InvalidSettingError(
                _SETTING,
                f"{path} line {number} isn't key_id:secret with 16 characters or more of secret",
            )
        keys.append(IdKey(match["key_id"], match["secret"].encode()))
    if not keys:
        raise InvalidSettingError(_SETTING, f"{path} holds no key")
    if len({key.key_id for key in keys}) < len(keys):
        raise InvalidSettingError(_SETTING, f"{path} names a key_id twice")
    return tuple(keys)
