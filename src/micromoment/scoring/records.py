"""What the records of a bundle's files share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenRecord(BaseModel):
    """A record that can't be changed, takes no unknown field and no number that isn't finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
