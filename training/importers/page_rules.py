"""What kind of page a path or a title names: ordered rules from YAML files.

    rules:
      - page_type: confirmation       # a lower-case name of the page types
        path: ['/thank[-_]you$']      # regular expressions (RE2) on the lower-case path,
        title: ['^order confirmed']   # and on the title, without regard to case

A rule holds when any of its expressions is found; the first rule that holds decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import duckdb
import yaml

from micromoment.errors import InvalidDataError
from micromoment.events.vocabulary import PageType, names
from training.importers.engine import literal


@dataclass(frozen=True, slots=True)
class PageRule:
    """Expressions on path and title that make a page one of a type."""

    page_type: str
    path: tuple[str, ...] = ()
    title: tuple[str, ...] = ()

    def condition(self, path_column: str, title_column: str) -> str:
        """Give the rule as an SQL condition on two columns."""
        parts = [f"regexp_matches({path_column}, {literal(regex)})" for regex in self.path]
        parts += [f"regexp_matches({title_column}, {literal(regex)}, 'i')" for regex in self.title]
        return " OR ".join(parts)


@dataclass(frozen=True, slots=True)
class PageRules:
    """Rules in order."""

    rules: tuple[PageRule, ...]

    def page_type(self, path_column: str, title_column: str) -> str:
        """Give the rules as an SQL expression: the type's name, or null where no rule holds."""
        cases = (
            f"WHEN {rule.condition(path_column, title_column)} THEN {literal(rule.page_type)}"
            for rule in self.rules
        )
        return f"CASE {' '.join(cases)} ELSE NULL END" if self.rules else "CAST(NULL AS VARCHAR)"


def load_page_rules(own: Path | None = None) -> PageRules:
    """Load the general rules, behind a shop's own where a file is given.

    Raises `InvalidDataError` naming the file and the rule that can't be used.
    """
    rules = _read(own, str(own)) if own is not None else ()
    general = resources.files(__package__).joinpath("page_rules.yaml")
    return PageRules((*rules, *_read(general, "page_rules.yaml")))


def _read(file: Path | Traversable, source: str) -> tuple[PageRule, ...]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidDataError(source, f"can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidDataError(source, f"isn't YAML: {error}") from error
    if not isinstance(content, dict) or set(content) != {"rules"}:
        raise InvalidDataError(source, "must hold one key, rules")
    if not isinstance(content["rules"], list):
        raise InvalidDataError(source, "rules must be a list")
    return tuple(
        _rule(entry, f"{source}: rule {place}")
        for place, entry in enumerate(content["rules"], start=1)
    )


def _rule(entry: object, source: str) -> PageRule:
    if not isinstance(entry, dict) or not set(entry) <= {"page_type", "path", "title"}:
        raise InvalidDataError(source, "must hold page_type and path or title, nothing else")
    page_type = entry.get("page_type")
    known = set(names(PageType)) - {"unspecified"}
    if not isinstance(page_type, str) or page_type not in known:
        raise InvalidDataError(source, f"page_type must be one of {', '.join(sorted(known))}")
    rule = PageRule(
        page_type,
        _expressions(entry.get("path", []), source, "path"),
        _expressions(entry.get("title", []), source, "title"),
    )
    if not rule.path and not rule.title:
        raise InvalidDataError(source, "has neither path nor title")
    return rule


def _expressions(value: object, source: str, key: str) -> tuple[str, ...]:
    expressions = [value] if isinstance(value, str) else value
    if not isinstance(expressions, list) or not all(isinstance(e, str) for e in expressions):
        raise InvalidDataError(source, f"{key} must be a list of regular expressions")
    for expression in expressions:
        try:
            duckdb.execute("SELECT regexp_matches('', ?)", [expression]).fetchall()
        except duckdb.Error as error:
            detail = str(error).splitlines()[0]
            raise InvalidDataError(source, f"{key} {expression!r}: {detail}") from error
    return tuple(expressions)
