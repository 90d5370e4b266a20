"""What keys in Redis begin with unless a setting says otherwise."""

from __future__ import annotations

from typing import Final

DEFAULT_PREFIX: Final = "micromoment:"
