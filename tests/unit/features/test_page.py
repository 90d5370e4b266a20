"""The page that documents the features."""

from pathlib import Path

from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.features.page import features_page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "features.md"


def test_the_page_is_up_to_date() -> None:
    """`docs/features.md` is what `python -m micromoment.features.page` prints."""
    assert PAGE.read_text(encoding="utf-8") == features_page()


def test_the_page_tells_of_every_feature() -> None:
    """Each feature has a row with its unit, its meaning and when it is missing."""
    lines = features_page().splitlines()
    for spec in SESSION_FEATURES:
        row = f"| `{spec.name}` | {spec.unit} | {spec.meaning} | {spec.missing or '-'} |"
        assert lines.count(row) == 1
