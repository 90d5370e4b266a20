"""Whether a file has the columns that a mapping names, and how to mend the mapping if not."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml
from pydantic import BaseModel

from micromoment.errors import InvalidDataError
from training.importers.table.mapping import DropRule, TableMapping
from training.importers.table.sources import Category, Source

MappedSource = Source | Category | DropRule

_MAX_CLOSEST = 3
_MAX_LISTED = 40


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column that a mapping names, and where it does: `columns.price`."""

    place: str
    column: str
    source: MappedSource


def mapped_columns(mapping: TableMapping) -> Iterator[MappedColumn]:
    """Give every column that the mapping names, in its order."""
    for name, source in _sources(mapping.columns):
        for column in source.columns:
            yield MappedColumn(f"columns.{name}", column, source)
    for name, text in mapping.attributes.items():
        for column in text.columns:
            yield MappedColumn(f"attributes.{name}", column, text)
    for place, rule in enumerate(mapping.drop):
        yield MappedColumn(f"drop[{place}]", rule.column, rule)


def check_columns(
    mapping: TableMapping, found: Sequence[str], file: str, mapping_file: str
) -> None:
    """Raise `InvalidDataError` that says how to mend the mapping when the file lacks a column.

    Names are compared exactly; two columns of the file that differ by case alone can't be told
    apart and are an error where the mapping names one of them.
    """
    missing = [named for named in mapped_columns(mapping) if named.column not in found]
    if missing:
        used = {named.column for named in mapped_columns(mapping)}
        raise InvalidDataError(file, _advice(missing, found, used, mapping_file))
    spellings: dict[str, list[str]] = {}
    for column in found:
        spellings.setdefault(column.lower(), []).append(column)
    for named in mapped_columns(mapping):
        if len(spellings[named.column.lower()]) > 1:
            same = " and ".join(repr(column) for column in spellings[named.column.lower()])
            raise InvalidDataError(file, f"columns {same} differ by case alone: rename one")


def closest(name: str, found: Sequence[str]) -> list[str]:
    """Give the columns whose names are most alike, the closest first, case and signs aside."""
    bare = {column: _bare(column) for column in found}
    same = [column for column in found if bare[column] == _bare(name)]
    alike = difflib.get_close_matches(_bare(name), list(bare.values()), _MAX_CLOSEST, 0.6)
    inside = [
        c for c in found if _bare(name) and (_bare(name) in bare[c] or bare[c] in _bare(name))
    ]
    near = [column for word in alike for column in found if bare[column] == word]
    return list(dict.fromkeys([*same, *near, *(c for c in inside if bare[c])]))[:_MAX_CLOSEST]


def _advice(
    missing: Sequence[MappedColumn], found: Sequence[str], used: Collection[str], mapping_file: str
) -> str:
    lines = []
    mended: dict[str, dict[str, str]] = {}
    for named in missing:
        # What is meant by another entry is no candidate for this one.
        others = {_bare(name) for name in used if name != named.column}
        near = closest(named.column, [column for column in found if _bare(column) not in others])
        lines.append(
            f"has no column {named.column!r}, which {mapping_file} names at {named.place}"
            + (f"; the closest: {', '.join(map(repr, near))}" if near else "")
        )
        mended.setdefault(named.place, {})[named.column] = near[0] if near else "COLUMN"
    listed = ", ".join(map(repr, found[:_MAX_LISTED]))
    more = f" and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
    lines.append(f"its columns are: {listed}{more}" if found else "it has no columns at all")
    lines.append(f"to mend it, write in {mapping_file}:")
    sources = {named.place: named.source for named in missing}
    return "\n  ".join([*lines, *_snippet(sources, mended)])


def _snippet(
    sources: Mapping[str, MappedSource], mended: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    section = ""
    for place, source in sources.items():
        head, _, name = place.partition(".")
        head = head.partition("[")[0]
        if head != section:
            yield f"  {head}:"
            section = head
        entry = _entry(source, mended[place])
        yield f"    {name}: {entry}" if name else f"    - {entry}"


def _entry(source: MappedSource, columns: Mapping[str, str]) -> str:
    content = source.model_dump(exclude_defaults=True, mode="json")
    if isinstance(source, Category) and source.levels:
        content["levels"] = [columns.get(level, level) for level in source.levels]
    else:
        content["column"] = columns[content["column"]]
    entry = content["column"] if set(content) == {"column"} else content
    text = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip()


def _bare(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _sources(columns: BaseModel) -> Iterator[tuple[str, Source | Category]]:
    for name in type(columns).model_fields:
        source = getattr(columns, name)
        if isinstance(source, Source | Category):
            yield name, source
