"""Reads the keys that turn ids into pseudonyms: from a file, or from a text with the same lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from micromoment.errors import InvalidSettingError
from micromoment.events.identity import IdEncoder, IdKey

_LINE: Final = re.compile(
    r"(?P<key_id>[A-Za-z0-9_-]{1,16}):(?P<secret>\S{16,}?)(:after=(?P<after>[A-Za-z0-9_-]{1,16}))?"
)
_FILE: Final = "id_key_file"
_TEXT: Final = "id_keys"


def load_id_keys(path: Path) -> tuple[IdKey, ...]:
    """Read one `key_id:secret` a line, the current key first; secrets have 16 characters or more.

    `key_id:secret:after=other` builds upon the key `other`. Empty lines and those that begin with
    # don't count. Raises `InvalidSettingError` naming the line, never what it says.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSettingError(_FILE, f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidSettingError(_FILE, f"{path} can't be read as text") from None
    return _parsed(text, _FILE, f"{path} ")


def id_encoder(path: Path | None, text: str | None = None) -> IdEncoder:
    """Make an encoder of the keys in a file or in a text; plain without either.

    In a text white space parts what are lines in a file.

    Raises `InvalidSettingError` for both at once, and as `load_id_keys` does.
    """
    if path is not None and text:
        raise InvalidSettingError(_TEXT, "is set and id_key_file, too: one of them must go")
    if path is not None:
        return IdEncoder(load_id_keys(path))
    return IdEncoder(_parsed("\n".join(text.split()), _TEXT, "") if text else ())


def _parsed(text: str, setting: str, where: str) -> tuple[IdKey, ...]:
    keys: list[IdKey] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise InvalidSettingError(
                setting,
                f"{where}line {number} isn't key_id:secret with 16 characters or more of secret",
            )
        if match["key_id"] in lines:
            raise InvalidSettingError(setting, f"{where}names a key_id twice, in line {number}")
        lines[match["key_id"]] = number
        keys.append(IdKey(match["key_id"], match["secret"].encode(), match["after"] or ""))
    if not keys:
        raise InvalidSettingError(setting, f"{where}holds no key")
    _check_order(keys, lines, setting, where)
    return tuple(keys)


def _check_order(keys: list[IdKey], lines: dict[str, int], setting: str, where: str) -> None:
    before = {key.key_id: key.after for key in keys}
    for key in keys:
        seen = {key.key_id}
        after = key.after
        while after:
            if after not in before or after in seen:
                raise InvalidSettingError(
                    setting,
                    f"{where}line {lines[key.key_id]} builds upon a key that is not there,"
                    " or upon itself",
                )
            seen.add(after)
            after = before[after]
