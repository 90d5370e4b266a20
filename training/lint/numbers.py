"""Raw numbers, alone: does a visit's first one tell the outcome nearly perfectly?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.lint.columns import AUC_ERROR, AUC_WARNING
from training.lint.occurrences import VisitEvents, all_tokens
from training.lint.report import Finding, Severity
from training.lint.scores import auc_error, column_auc, column_of

IntArray = npt.NDArray[np.int64]

_COLUMNS: Final = (
    "dwell_ms", "hover_ms", "engagement_ms", "scroll_percent", "value_micros",
    "utc_offset_minutes", "source_seq",
)  # fmt: skip
_ITEM_COLUMNS: Final = frozenset({"items.price_micros", "items.quantity", "items.position"})
_MIN_BUYERS: Final = 20


def lint_numbers(found: VisitEvents) -> list[Finding]:
    """Look at each visit's first number of a kind before the order."""
    findings = []
    for kind, event, values in _numbers(found):
        use = found.before[event] & np.isfinite(values)
        visit, first = np.unique(found.visit[event[use]], return_index=True)
        label = found.buys[visit]
        buyers = int(label.sum())
        if min(buyers, len(label) - buyers) < _MIN_BUYERS:
            continue
        visitor = np.unique(found.visitor[visit], return_inverse=True)[1].astype(np.int64)
        auc = column_auc(column_of(values[use][first]), label, visitor)
        low = auc - 1.96 * auc_error(auc, buyers, len(label) - buyers)
        if auc > AUC_WARNING and low > 0.9:
            severity = Severity.ERROR if auc > AUC_ERROR else Severity.WARNING
            evidence = f"a visit's first one reaches ROC-AUC {auc:.3f}, {buyers:,} buyers"
            numbers = {"roc_auc": auc, "low": low, "buyers": buyers}
            findings.append(Finding("outcome-tokens", severity, kind, evidence, numbers))
    return findings


def _numbers(found: VisitEvents) -> Iterator[tuple[str, IntArray, npt.NDArray[np.float64]]]:
    everywhere = np.arange(len(found.table))
    for name in _COLUMNS:
        column = found.table[name].combine_chunks()
        if column.null_count < len(column):
            yield name, everywhere, _floats(pc.cast(column, pa.float64(), safe=False))
    for tokens in all_tokens(found):
        if tokens.kind in _ITEM_COLUMNS:
            values = _floats(pc.cast(tokens.words, pa.float64(), safe=False))
            yield tokens.kind, tokens.event, values[tokens.code]
    yield from _attributes(found)


def _attributes(
    found: VisitEvents,
) -> Iterator[tuple[str, IntArray, npt.NDArray[np.float64]]]:
    column = found.table["attributes"].combine_chunks()
    event = np.repeat(
        np.arange(len(column)),
        pc.fill_null(pc.list_value_length(column.cast(_PAIRS)), 0).to_numpy(zero_copy_only=False),
    )
    pairs = pc.list_flatten(column.cast(_PAIRS))
    keys = pc.dictionary_encode(pairs.field(0))
    codes = keys.indices.to_numpy(zero_copy_only=False)
    for code, name in enumerate(keys.dictionary.to_pylist()):
        own = np.flatnonzero(codes == code)
        words = pairs.field(1).take(pa.array(own))
        if pc.all(pc.match_substring_regex(words, r"^-?\d+(\.\d+)?$")).as_py():
            yield f"attributes[{name!r}]", event[own], _floats(pc.cast(words, pa.float64()))


_PAIRS: Final = pa.list_(pa.struct([pa.field("key", pa.string(), nullable=False),
                                    pa.field("value", pa.string())]))  # fmt: skip


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = pc.fill_null(column, float("nan")).to_numpy(
        zero_copy_only=False
    )
    return values
