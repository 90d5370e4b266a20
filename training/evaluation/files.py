"""An evaluation as files: JSON for programs, a page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from training.evaluation.evaluate import Evaluation
from training.evaluation.page import render_page

TITLE: Final = "How good are the scores?"


def write_evaluation(
    evaluation: Evaluation | None,
    folder: Path,
    title: str = TITLE,
    *,
    more: Mapping[str, Any] | None = None,
    more_sections: Sequence[str] = (),
) -> Path:
    """Write `evaluation.json` and `evaluation.html` into a folder, made if need be.

    `more` are further values for the JSON, `more_sections` further sections of the page.

    The same evaluation gives the same bytes. The page, about 5 MB, carries Plotly's code and needs
    no network. Gives the page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = evaluation.to_dict() if evaluation else {}
    values |= more or {}
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    page = folder / "evaluation.html"
    page.write_text(render_page(evaluation, title, more_sections), encoding="utf-8")
    return page
