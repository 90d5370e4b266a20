"""The contract's limits, as `protos/micromoment/v1` states them in words."""

from __future__ import annotations

from typing import Final

MAX_TEXT_BYTES: Final = 256
MAX_EVENTS: Final = 200
MAX_ITEMS: Final = 50
MAX_CATEGORY_LEVELS: Final = 5
MAX_ATTRIBUTES: Final = 32
MAX_BATCH_REQUESTS: Final = 500
MAX_DURATION_MS: Final = 86_400_000
MAX_QUANTITY: Final = 1_000_000
MAX_POSITION: Final = 100_000
MAX_UTC_OFFSET: Final = 840  # minutes
FIRST_SECOND: Final = 946_684_800  # 2000-01-01
LAST_SECOND: Final = 4_102_444_800  # 2100-01-01
MAX_NANOS: Final = 999_999_999
