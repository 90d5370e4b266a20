"""Rows of a log on their way to day files: staged by shop-day, then those of usable sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.schema import EVENT_SCHEMA
from training.importers.log.rows import Row

_SESSION: Final = "session_number"
_PART: Final = "part"
_STAGED: Final = EVENT_SCHEMA.append(pa.field(_SESSION, pa.int64())).append(
    pa.field(_PART, pa.int32())
)
_ROWS_PER_WRITE: Final = 8_192


class DayStage:
    """Takes rows in order of arrival and keeps them by shop-day."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._writers: dict[date, pq.ParquetWriter] = {}
        self._waiting: dict[date, list[Row]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for day in self._waiting:
            self._write(day)
        for writer in self._writers.values():
            writer.close()

    def add(self, day: date, session: int, part: int, row: Row) -> None:
        """Take a row of a session, both by number."""
        waiting = self._waiting.setdefault(day, [])
        waiting.append(row | {_SESSION: session, _PART: part})
        if len(waiting) >= _ROWS_PER_WRITE:
            self._write(day)

    def days(self) -> list[date]:
        """List the days in order."""
        return sorted(self._waiting)

    def kept(self, day: date, usable: npt.NDArray[np.bool_]) -> StagedDay:
        """Open a day's rows of the sessions that are marked by number; after the block's end."""
        return StagedDay(self._path(day), usable)

    def _write(self, day: date) -> None:
        rows, self._waiting[day] = self._waiting[day], []
        if day not in self._writers:
            self._writers[day] = pq.ParquetWriter(self._path(day), _STAGED, compression="lz4")
        self._writers[day].write_table(pa.Table.from_pylist(rows, _STAGED))

    def _path(self, day: date) -> Path:
        return self._folder / f"{day}.parquet"


class StagedDay:
    """The rows of one day that are kept, and how many they are by part and by type."""

    def __init__(self, path: Path, usable: npt.NDArray[np.bool_]) -> None:
        self._path = path
        self._usable = usable
        self.by_part: Counter[int] = Counter()
        self.by_type: Counter[str] = Counter()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Go through them in order of arrival, as `EVENT_SCHEMA` has them."""
        for batch in pq.ParquetFile(self._path).iter_batches():
            marks = self._usable[batch[_SESSION].to_numpy()]
            kept = batch.filter(pa.array(marks))
            self.by_part.update(kept[_PART].to_pylist())
            self.by_type.update(kept["type"].to_pylist())
            if len(kept):
                yield kept.select(EVENT_SCHEMA.names)
