"""Audiences as people write them: a YAML of limits to learn and rules, checked before training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from micromoment.errors import InvalidDataError
from micromoment.scoring.audiences import (
    AudienceFile,
    AudienceRecord,
    Audiences,
    LimitName,
)
from micromoment.scoring.file_errors import first_error_in

DEFAULT_AUDIENCES: Final = Path(__file__).with_name("audiences.yaml")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class QuantileLimit(_Frozen):
    """A feature's quantile over visits, as of their last decision point, of which `among` holds."""

    feature: str
    quantile: float = Field(gt=0, lt=1)
    among: str | None = None
    default: float


class RateLimit(_Frozen):
    """The share of decision points, of which `among` holds, with an order still to come."""

    outcome: Literal["conversion"]
    among: str | None = None
    default: float = Field(ge=0, le=1)


class RetiredAudience(_Frozen):
    """A bit and an id that are given to no audience again."""

    bit: int
    id: str


class AudienceDefinitions(_Frozen):
    """A whole file."""

    limits: dict[LimitName, QuantileLimit | RateLimit] = {}
    audiences: tuple[AudienceRecord, ...]
    retired: tuple[RetiredAudience, ...] = ()

    @model_validator(mode="after")
    def _leaves_the_retired_alone(self) -> AudienceDefinitions:
        for gone in self.retired:
            for one in self.audiences:
                if one.bit == gone.bit:
                    raise ValueError(f"audience {one.id} has the bit {one.bit} of a retired one")
                if one.id == gone.id:
                    raise ValueError(f"audience {one.id} has the id of a retired one")
        return self

    def with_limits(self, values: dict[str, float]) -> AudienceFile:
        """Give the bundle's file. Raises `ValueError` when two audiences share a bit or an id."""
        return AudienceFile(limits=values, audiences=self.audiences)


def read_definitions(path: Path, feature_names: Sequence[str]) -> AudienceDefinitions:
    """Read and check a file of audiences for a bundle of these features.

    Raises `InvalidDataError` naming the audience or limit that is wrong, and why.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidDataError(str(path), f"can't be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidDataError(str(path), f"is no YAML: {' '.join(str(error).split())}") from None
    try:
        definitions = AudienceDefinitions.model_validate(content)
        _check_limits(definitions, feature_names)
        defaults = {name: limit.default for name, limit in definitions.limits.items()}
        Audiences(definitions.with_limits(defaults), feature_names)
    except ValidationError as error:
        raise InvalidDataError(str(path), first_error_in(error, content)) from None
    except ValueError as error:
        raise InvalidDataError(str(path), str(error)) from None
    return definitions


def among_rule(name: str, rule: str, feature_names: Sequence[str]) -> Audiences:
    """Compile a limit's `among`. Raises `ValueError` naming the limit and what is wrong."""
    record = AudienceRecord(bit=0, id="among", name="among", meaning="", rule=rule)
    try:
        return Audiences(AudienceFile(limits={}, audiences=(record,)), feature_names)
    except ValueError as error:
        reason = str(error).removeprefix("audience among: ")
        raise ValueError(f"limit {name}, among: {reason}") from None


def _check_limits(definitions: AudienceDefinitions, feature_names: Sequence[str]) -> None:
    for name, limit in definitions.limits.items():
        if isinstance(limit, QuantileLimit) and limit.feature not in feature_names:
            raise ValueError(f"limit {name}: there is no feature {limit.feature}")
        if limit.among is not None:
            among_rule(name, limit.among, feature_names)
