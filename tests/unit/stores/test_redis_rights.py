"""What a server asks of Redis is what docs/operations.md says that its user must be allowed."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
# In a script, and as the first word of what a link is asked.
COMMAND = re.compile(r"redis\.call\('([A-Z]+)'|b\"([A-Z]+)\"(?:, b\"([A-Z]+)\")?")
WORDS_OF_OTHERS = {"MINID", "MAXLEN", "COUNT", "MATCH", "PX", "NX", "WITHSCORES", "LIMIT", "LOAD"}


def test_the_page_names_every_command() -> None:
    """A user with those rights alone lacks nothing, and has none that nobody uses."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"Give them a user that may\n(.*?), and no more", page, re.DOTALL)
    allowed = {word for words in re.findall(r"`([A-Z ]+)`", listed) for word in words.split()}
    used: set[str] = set()
    for path in (ROOT / "src" / "micromoment").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "redis" in text:
            used.update(word for found in COMMAND.findall(text) for word in found if word)
    assert used - WORDS_OF_OTHERS == allowed - WORDS_OF_OTHERS
