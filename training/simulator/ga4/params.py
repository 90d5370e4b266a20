"""The `event_params` column: a list of keys, each with one value of one of several types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.simulator.ga4.schema import EXPORT_SCHEMA, PARAM, PARAM_VALUE


@dataclass(frozen=True)
class Param:
    """One key in n rows: where it is present, and its value there.

    `texts` are places in `names` (-1 for a key without a value), or else `numbers` are given: whole
    numbers go to `int_value`, others to `double_value`, as in the real export.
    """

    key: str
    present: npt.NDArray[np.bool_]
    texts: npt.NDArray[np.int64] | None = None
    names: pa.Array | None = None
    numbers: npt.NDArray[np.float64] | npt.NDArray[np.int64] | None = None


def constant(key: str, present: npt.NDArray[np.bool_], text: str) -> Param:
    """Make a key that has the same text wherever it is present."""
    return Param(key, present, np.zeros(present.size, dtype=np.int64), pa.array([text]))


def params_column(params: Sequence[Param], n: int) -> pa.Array:
    """Build the column for n rows; keys come in the order of `params`."""
    present = np.stack([param.present for param in params], axis=1)
    vocabulary, texts = _texts(params, n)
    numbers = np.stack([_numbers(param, n) for param in params], axis=1)[present]
    text = texts[present]
    whole = (numbers == np.floor(numbers)) & ~np.isnan(numbers)
    as_int = np.where(whole, numbers, 0.0).astype(np.int64)
    value = pa.StructArray.from_arrays(
        [
            vocabulary.take(pa.array(text, mask=text < 0)),
            pa.array(as_int, mask=~whole),
            pa.nulls(numbers.size, pa.float64()),
            pa.array(numbers, mask=whole | np.isnan(numbers)),
        ],
        fields=list(PARAM_VALUE),
    )
    keys = pa.array([param.key for param in params]).take(pa.array(np.nonzero(present)[1]))
    entries = pa.StructArray.from_arrays([keys, value], fields=list(PARAM))
    offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), entries, type=EXPORT_SCHEMA.field("event_params").type
    )


def _texts(params: Sequence[Param], n: int) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Put the texts of all keys into one vocabulary; returns it and places, shape (n, keys)."""
    vocabulary: list[pa.Array] = []
    places = np.full((n, len(params)), -1, dtype=np.int64)
    size = 0
    for column, param in enumerate(params):
        if param.texts is not None and param.names is not None:
            places[:, column] = np.where(param.texts >= 0, param.texts + size, -1)
            vocabulary.append(param.names)
            size += len(param.names)
    return pa.concat_arrays(vocabulary), places


def _numbers(param: Param, n: int) -> npt.NDArray[np.float64]:
    if param.numbers is None:
        return np.full(n, np.nan)
    return param.numbers.astype(np.float64)
