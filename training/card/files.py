"""A card as files: JSON for programs, a page for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from training.card.card import Card
from training.card.page import render_card

JSON_FILE: Final = "evaluation.json"
PAGE_FILE: Final = "card.html"


def write_card(card: Card, folder: Path) -> Path:
    """Write `evaluation.json` and `card.html` into a folder, made if need be.

    The same card gives the same bytes. The page, about 6 MB, carries Plotly's code and needs no
    network. Gives the page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(card.to_dict(), indent=1, sort_keys=True, allow_nan=False)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
    page = folder / PAGE_FILE
    page.write_text(render_card(card), encoding="utf-8")
    return page
