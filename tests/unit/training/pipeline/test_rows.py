"""Which visitors models learn from, and how parts become one set of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from micromoment.events.hashing import hash_strings
from training.pipeline.rows import VisitorSample


def points(visitors: Sequence[str | None], sessions: Sequence[str] | None = None) -> pa.Table:
    """Decision points of visitors, a visit each unless told."""
    given = sessions or [f"s{number}" for number in range(len(visitors))]
    return pa.table(
        {"visitor_id": pa.array(visitors, pa.string()), "session_id": pa.array(given, pa.string())}
    )


def test_a_visitor_is_in_the_sample_with_all_visits_or_not_at_all() -> None:
    """The same visitor gets the same answer at each point, wherever it stands."""
    visitors = [f"v{number % 500}" for number in range(2_000)]
    kept = VisitorSample(0.4)(points(visitors)).reshape(4, 500)
    assert (kept == kept[0]).all()
    alone = VisitorSample(0.4)(points(visitors[7:8]))
    assert alone[0] == kept[0, 7]


def test_a_larger_sample_holds_the_smaller() -> None:
    """More room adds visitors and takes none away."""
    table = points([f"v{number}" for number in range(1_000)])
    small, large = VisitorSample(0.2)(table), VisitorSample(0.6)(table)
    assert not (small & ~large).any()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_the_share_holds_in_every_fold(share: float) -> None:
    """Folds of the tables go by bits of the same hash, and still each keeps its share."""
    visitors = [f"visitor-{number}" for number in range(30_000)]
    kept = VisitorSample(share)(points(visitors))
    folds = (hash_strings(pa.array(visitors)) >> np.uint64(32)) % np.uint64(5)
    shares = [kept[folds == fold].mean() for fold in range(5)]
    assert shares == pytest.approx([share] * 5, abs=0.02)


def test_visits_without_a_visitor_count_each_for_itself() -> None:
    """Nobody's visits aren't all in or all out, and each is whole."""
    nobody = [None, ""] * 400
    sessions = [f"s{number // 2}" for number in range(800)]
    kept = VisitorSample(0.5)(points(nobody, sessions)).reshape(400, 2)
    assert (kept[:, 0] == kept[:, 1]).all()
    assert kept.mean() == pytest.approx(0.5, abs=0.1)
