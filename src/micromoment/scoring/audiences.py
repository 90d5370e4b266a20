"""Audiences: rules over what is known at a decision point, as data in the bundle.

A rule is an expression in CEL (https://cel.dev) that gives true or false. It may use

- every feature of the bundle by its name, a double, NaN where missing: comparisons with it are
  false;
- `conversion`, `abandonment` and `churn`, doubles, NaN where absent;
- `stage` ("learn", "discover", "decide", "do" or "unspecified"; the feature of this name is not to
  be had), `lifecycle` and `cluster` (an id, "" for none), strings; `converted`, a bool;
- the file's limits, doubles that were learned from the shop's data, as `limits.<name>`.

Numbers need a decimal point: `n_cart_adds >= 1.0`. All rules are checked for types when the bundle
is loaded. Serving runs most of them as a program (`audience_program`), with the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final

from cel_expr_python import cel
from pydantic import Field, ValidationError, model_validator

from micromoment.errors import BundleError
from micromoment.scoring.file_errors import first_error
from micromoment.scoring.records import FrozenRecord

MAX_AUDIENCES: Final = 32  # the state keeps a bit of each

_DOUBLES: Final = ("conversion", "abandonment", "churn")
_STRINGS: Final = ("stage", "lifecycle", "cluster")
_FACTS: Final = (*_DOUBLES, *_STRINGS, "converted")
_NAN: Final = float("nan")
_WORD: Final = re.compile(r"\w+")
# Quoted text and comments, which are left alone, or a limit.
_QUOTED_OR_LIMIT: Final = re.compile(
    r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|//[^\n]*)|\blimits\.(\w+)"""
)
_UNDECLARED: Final = re.compile("undeclared reference to '([^']+)'")

LimitName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,62}$")]


class AudienceRecord(FrozenRecord):
    """One audience. `bit` and `id` mean the same over retrainings and are never given anew."""

    bit: int = Field(ge=0, lt=MAX_AUDIENCES)
    id: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$")
    name: str = Field(min_length=1)
    meaning: str
    rule: str = Field(min_length=1)


class AudienceFile(FrozenRecord):
    """The bundle's file of audiences, the most specific first, and the limits that rules use."""

    limits: dict[LimitName, float]
    audiences: tuple[AudienceRecord, ...] = Field(max_length=MAX_AUDIENCES)

    @model_validator(mode="after")
    def _are_distinct(self) -> AudienceFile:
        for key in ("bit", "id"):
            seen = [getattr(one, key) for one in self.audiences]
            for value in seen:
                if seen.count(value) > 1:
                    raise ValueError(f"two audiences have the {key} {value}")
        return self


@dataclass(frozen=True, slots=True)
class PointFacts:
    """What rules may use besides features; None where absent."""

    conversion: float | None
    abandonment: float | None
    churn: float | None
    converted: bool
    stage: str
    lifecycle: str
    cluster: str


class Audiences:
    """Evaluates the rules of one file. Belongs to one thread."""

    def __init__(self, file: AudienceFile, feature_names: Sequence[str]) -> None:
        """Raises `ValueError` naming the audience whose rule can't be used, and why."""
        self.file = file
        variables = _variables(file, feature_names)
        self._known = tuple(variables)
        self._environment = cel.NewEnv(variables=variables)
        self._rules = [self._compile(one) for one in file.audiences]
        # Handing a variable over costs as much as a rule: only those in use are, and limits none.
        rules = [_with_numbers(one.rule, file.limits) for one in file.audiences]
        words = set(_WORD.findall(" ".join(rules)))
        places = {name: place for place, name in enumerate(feature_names)}
        self._used = [(name, places[name]) for name in words & places.keys() - set(_FACTS)]
        self._facts = [name for name in _FACTS if name in words]
        self._limits = {f"limits.{name}": value for name, value in file.limits.items()}
        # Each on lines of its own, since a rule may end with a comment.
        joined = ",\n".join(f"({rule}\n)" for rule in rules)
        self._all = self._environment.compile(f"[{joined}]")

    def bits(self, values: Sequence[float], facts: PointFacts) -> int:
        """Give the audiences that hold, as bits; `values` are the bundle's features, in order.

        A rule that fails for these values, by an index out of range say, does not hold.
        """
        activation = self._environment.Activation(self._data(values, facts))
        answer = self._all.eval(activation).plain_value()
        if not isinstance(answer, list):
            activation = self._environment.Activation(self._data(values, facts) | self._limits)
            answer = [rule.eval(activation).plain_value() is True for rule in self._rules]
        bits = 0
        for one, holds in zip(self.file.audiences, answer, strict=True):
            bits |= holds << one.bit
        return bits

    def expressions(self) -> list[tuple[int, cel.Expression]]:
        """Give each audience's bit and its rule with the limits put in, to be translated."""
        limits = self.file.limits
        return [
            (one.bit, self._environment.compile(_with_numbers(one.rule, limits)))
            for one in self.file.audiences
        ]

    def bits_of(
        self,
        rules: Iterable[tuple[int, cel.Expression]],
        values: Sequence[float],
        facts: PointFacts,
    ) -> int:
        """Do what `bits` does with some of `expressions`."""
        activation = self._environment.Activation(self._data(values, facts))
        bits = 0
        for bit, rule in rules:
            bits |= (rule.eval(activation).plain_value() is True) << bit
        return bits

    def holding(self, bits: int) -> tuple[AudienceRecord, ...]:
        """Give the audiences whose bit is set, the most specific first."""
        return tuple(one for one in self.file.audiences if bits >> one.bit & 1)

    def _data(self, values: Sequence[float], facts: PointFacts) -> dict[str, Any]:
        data: dict[str, Any] = {name: values[place] for name, place in self._used}
        for name in self._facts:
            value = getattr(facts, name)
            data[name] = _NAN if value is None else value
        return data

    def _compile(self, audience: AudienceRecord) -> cel.Expression:
        try:
            expression = self._environment.compile(audience.rule)
        except RuntimeError as error:
            known = self._known
            raise ValueError(f"audience {audience.id}: {_first_line(error, known)}") from None
        kind = expression.return_type()
        if kind != cel.Type.BOOL:
            raise ValueError(f"audience {audience.id}: its rule gives {kind.name()}, not BOOL")
        return expression


def read_audiences(path: Path) -> AudienceFile:
    """Read a file of audiences. Raises `ValueError` naming the audience and field at fault."""
    return _audience_file(path.read_bytes())


def load_audiences(
    file: str, content: bytes, feature_names: Sequence[str], bundle: str
) -> Audiences:
    """Make and check audiences of a file's content.

    Raises `BundleError` naming the audience that is wrong.
    """
    try:
        return Audiences(_audience_file(content), feature_names)
    except ValueError as error:
        raise BundleError(bundle, f"{file}: {error}") from None


def _audience_file(content: bytes) -> AudienceFile:
    try:
        return AudienceFile.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(first_error(error, content)) from None


def _variables(file: AudienceFile, feature_names: Sequence[str]) -> Mapping[str, cel.Type]:
    doubles = (*feature_names, *_DOUBLES, *(f"limits.{name}" for name in file.limits))
    variables: dict[str, cel.Type] = dict.fromkeys(doubles, cel.Type.DOUBLE)
    variables |= dict.fromkeys(_STRINGS, cel.Type.STRING)
    variables["converted"] = cel.Type.BOOL
    return variables


def _with_numbers(rule: str, limits: Mapping[str, float]) -> str:
    """Put limits into a rule as numbers."""

    def number(found: re.Match[str]) -> str:
        return found[1] or f"({limits[found[2]]!r})"

    return _QUOTED_OR_LIMIT.sub(number, rule)


def _first_line(error: RuntimeError, known: Sequence[str]) -> str:
    text = str(error).removeprefix("INVALID_ARGUMENT: ERROR: <input>:")
    line = text.splitlines()[0].removesuffix(" (in container '')")
    unknown = _UNDECLARED.search(line)
    like = get_close_matches(unknown[1], known, n=1) if unknown else []
    return f"{line}; did you mean {like[0]}?" if like else line
