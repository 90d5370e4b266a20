"""The page that documents the features."""

import re
from pathlib import Path
from textwrap import indent

from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.features.page import features_page

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "features.md"


def test_the_page_is_up_to_date() -> None:
    """`docs/features.md` is what `python -m micromoment.features.page` prints."""
    assert PAGE.read_text(encoding="utf-8") == features_page()


def test_the_page_tells_of_every_feature() -> None:
    """Each feature has a row with its unit, its meaning, when it is missing and its group."""
    lines = features_page().splitlines()
    for spec in SESSION_FEATURES:
        cells = (f"`{spec.name}`", spec.unit, spec.meaning, spec.missing or "-", spec.group)
        row = f"| {' | '.join(cells)} |"
        assert lines.count(row) == 1


def test_the_example_quotes_the_code() -> None:
    """Each block of the example stands in the file named before it."""
    quoted = re.findall(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", features_page(), re.DOTALL)
    assert len(quoted) == features_page().count("```python") == 5
    for file, block in quoted:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert any(f"\n{indent(block.rstrip(), ' ' * depth)}" in source for depth in (0, 4)), block
