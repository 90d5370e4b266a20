"""The types of settings: how text from outside is read, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

_A_BAND: Final = "must be low:high with 0 <= low <= high <= 1, such as 0.25:0.35"


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _empty_is_zero(value: object) -> object:
    return 0.0 if value == "" else value


def _seconds(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a number of seconds; a day has 86400") from None


def _memory_is_none(value: object) -> object:
    return None if value in {"", "memory"} else value


def _check_store(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://")):
        raise ValueError("must be memory, redis://... or rediss://...")
    return url


def _band(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value == "":
        return None
    low, _, high = value.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise ValueError(_A_BAND) from None


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    return frozenset(word.strip() for word in value.split(",") if word.strip())


def _check_band(band: tuple[float, float] | None) -> tuple[float, float] | None:
    if band is not None and not 0 <= band[0] <= band[1] <= 1:
        raise ValueError(_A_BAND)
    return band


def default_state_dir() -> Path:
    """Give the folder for what outlives a restart, by the XDG rules."""
    state_home = os.environ.get("XDG_STATE_HOME")
    return (Path(state_home) if state_home else Path.home() / ".local" / "state") / "micromoment"


def default_event_log(fields: dict[str, Any]) -> Path | None:
    """Give the folder of the event log in `state_dir`."""
    state_dir = fields.get("state_dir")
    return None if state_dir is None else state_dir / "event_log"


def default_bundle_copies(fields: dict[str, Any]) -> Path | None:
    """Give the folder of the bundle's copy in `state_dir`."""
    state_dir = fields.get("state_dir")
    return None if state_dir is None else state_dir / "bundles"


Port = Annotated[int, Field(ge=0, le=65_535)]
_AsSeconds = BeforeValidator(_seconds)
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), _AsSeconds]
SecondsOrNever = Annotated[Seconds, BeforeValidator(_empty_is_zero)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False), _AsSeconds]
# An empty environment variable switches off what is on by default.
OptionalPath = Annotated[Path | None, BeforeValidator(_empty_is_none)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_empty_is_none)]
# Secret, because it may hold a password; the empty one is `memory`.
SessionStoreUrl = Annotated[
    SecretStr | None, BeforeValidator(_memory_is_none), AfterValidator(_check_store)
]
ConsentAnswer = Literal["granted", "denied"]
OnWithdrawal = Literal["erase", "keep"]
Purposes = Annotated[
    frozenset[Literal["personalization", "analytics"]], NoDecode, BeforeValidator(_words)
]
Share = Annotated[float, Field(ge=0, le=1)]
Band = Annotated[
    tuple[float, float] | None, NoDecode, BeforeValidator(_band), AfterValidator(_check_band)
]
OptionalError = Annotated[
    Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_empty_is_none)
]
OptionalCap = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_empty_is_none)]
OptionalPort = Annotated[Port | None, BeforeValidator(_empty_is_none)]
