"""An evaluation as files: JSON for programs, a page for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from training.evaluation.evaluate import Evaluation
from training.evaluation.page import render_page

TITLE: Final = "How good are the scores?"


def write_evaluation(evaluation: Evaluation, folder: Path, title: str = TITLE) -> Path:
    """Write `evaluation.json` and `evaluation.html` into a folder, made if need be.

    The same evaluation gives the same bytes. The page, about 5 MB, carries Plotly's code and needs
    no network. Gives the page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(evaluation.to_dict(), indent=1, sort_keys=True, allow_nan=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    page = folder / "evaluation.html"
    page.write_text(render_page(evaluation, title), encoding="utf-8")
    return page
