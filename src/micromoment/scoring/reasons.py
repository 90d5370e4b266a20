"""Why a score is what it is: the largest contributions, each with a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.scoring.calls import Reason

MAX_REASONS: Final = 5
_MEANINGS: Final = {spec.name: spec for spec in SESSION_FEATURES}


def top_reasons(
    names: Sequence[str],
    row: npt.NDArray[np.float32],
    contributions: npt.NDArray[np.float64],
) -> tuple[Reason, ...]:
    """Pick the largest contributions by size.

    `row` has shape (n,), `contributions` (n + 1,) in log-odds with the base value last.
    """
    largest = np.argsort(-np.abs(contributions[:-1]), kind="stable")[:MAX_REASONS]
    return tuple(
        _reason(names[place], float(row[place]), float(contributions[place]))
        for place in largest
        if contributions[place] != 0.0
    )


def _reason(name: str, value: float, contribution: float) -> Reason:
    spec = _MEANINGS[name]
    missing = bool(np.isnan(value))
    shown = f"missing ({spec.missing})" if missing else f"{value:.4g} {spec.unit}"
    effect = "raises" if contribution > 0 else "lowers"
    sentence = f"{spec.meaning}: {shown} {effect} the probability"
    return Reason(name, None if missing else value, contribution, sentence)
