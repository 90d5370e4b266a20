"""The catalogue as a page of documentation: `python -m micromoment.features.page`.

`docs/features.md` is what this prints; a test fails where it is not.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Final

from micromoment.features.adding import ADDING_A_FEATURE
from micromoment.features.catalogue import FEATURE_FAMILIES, FEATURE_NAMES
from micromoment.features.spec import FeatureSpec

_HEAD: Final = """\
# Features

The {count} features of a visit, as of one decision point. Each is a float32; _missing_ says when it
is NaN, a dash that it never is. Time is feature time, so that nothing here depends on when it is
computed. Names are those of `ScoreResponse.feature_vector`, of `reasons` and of the columns that
models are trained on. Features of one _group_ say much the same; `reasons` has one entry for all of
them together.

Generated from the catalogue by `python -m micromoment.features.page > docs/features.md`.
"""


def features_page() -> str:
    """Compose the page in Markdown: a table per family in the vector's order, how to add one."""
    head = _HEAD.format(count=len(FEATURE_NAMES))
    sections = [_section(*family) for family in FEATURE_FAMILIES.items()]
    return "\n".join([head, *sections, ADDING_A_FEATURE])


def _section(name: str, family: ModuleType) -> str:
    rows = [_row(spec) for spec in family.FEATURES]
    head = ["| feature | unit | meaning | missing | group |", "| --- | --- | --- | --- | --- |"]
    table = "\n".join([*head, *rows])
    return "\n".join([f"## {name.capitalize()}", "", inspect.getdoc(family) or "", "", table, ""])


def _row(spec: FeatureSpec) -> str:
    cells = (f"`{spec.name}`", spec.unit, spec.meaning, spec.missing or "-", spec.group)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(features_page())
