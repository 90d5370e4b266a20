"""A file of the conversion model's parameters: what a search found, and what training takes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from micromoment.errors import InvalidDataError
from training.models.conversion import ConversionParams

# These say how a machine computes, not what is learned.
_NOT_IN_FILE: Final = ("seed", "num_threads")


class _Params(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    learning_rate: float = Field(0.05, gt=0, le=1)
    num_leaves: int = Field(31, ge=2, le=127)
    max_trees: int = Field(300, ge=1, le=1_000)
    min_data_in_leaf: int = Field(100, ge=1)
    feature_fraction: float = Field(0.3, gt=0, le=1)
    bagging_fraction: float = Field(0.5, gt=0, le=1)
    lambda_l2: float = Field(5.0, ge=0)
    max_bin: int = Field(63, ge=2, le=255)
    patience: int = Field(40, ge=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    params: _Params
    search: dict[str, Any] = {}


def read_params(path: Path) -> ConversionParams:
    """Read parameters; those not named are the defaults.

    Raises `InvalidDataError` naming the parameter that is unknown or out of its range.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidDataError(str(path), f"can't be read: {error.strerror}") from None
    try:
        found = _File.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InvalidDataError(str(path), f"{place}: {first['msg']}") from None
    return ConversionParams(**(asdict(ConversionParams()) | found.params.model_dump()))


def write_params(path: Path, params: ConversionParams, search: dict[str, Any]) -> None:
    """Write parameters, and what is known of their search. Raises `InvalidDataError` on failure."""
    values = {name: one for name, one in asdict(params).items() if name not in _NOT_IN_FILE}
    text = json.dumps({"params": values, "search": search}, sort_keys=True, indent=1)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidDataError(str(path), f"can't be written: {error.strerror}") from None
