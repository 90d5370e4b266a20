"""What a server's answer means for the events that it was made of."""

from __future__ import annotations

from typing import Literal

# They are written and outlive the process; on the disk and outlive a power cut; neither yet.
Durability = Literal["commit", "fsync", "async"]
