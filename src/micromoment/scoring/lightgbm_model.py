"""A LightGBM model for one row at a time, through LightGBM's public C API.

`Booster.predict` spends tens of microseconds on checks per call; the single-row fast call takes a
few. Results equal the multi-row call's to the last bit. One instance serves one thread.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

_FLOAT32: Final = 0  # C_API_DTYPE_FLOAT32
_RAW_SCORE: Final = 1  # C_API_PREDICT_RAW_SCORE
_CONTRIBUTIONS: Final = 3  # C_API_PREDICT_CONTRIB
_ROW_MAJOR: Final = 1
_ALL_TREES: Final = -1
_PARAMETERS: Final = b"num_threads=1 verbosity=-1"
# Up to so many rows are faster one by one.
_FEW: Final = 24

Float32Array = npt.NDArray[np.float32]


class LightGbmModel:
    """A loaded model: raw scores (log-odds) for float32 rows, NaN meaning missing.

    `text` must come from a source whose digest was checked: LightGBM does not survive damage.
    """

    def __init__(self, text: bytes, n_features: int) -> None:
        if b"\0" in text:  # LightGBM would read numbers as far as they go
            raise ValueError("the model's text has zero bytes in it")
        self._library = _library()
        self._handle = ctypes.c_void_p()
        trees = ctypes.c_int()
        self._check(
            self._library.LGBM_BoosterLoadModelFromString(
                text, ctypes.byref(trees), ctypes.byref(self._handle)
            )
        )
        self.n_trees = trees.value
        self.n_features = n_features
        self._check_width()
        self._length = ctypes.c_int64()
        self._fast = self._fast_config()
        # A server goes on to other models: this one is freed as soon as nobody predicts with it.
        self._free = weakref.finalize(self, _free, self._library, self._handle, self._fast)
        self._free.atexit = False

    def raw_score(self, row: Float32Array) -> float:
        """Give the log-odds of one row, shape (n_features,)."""
        alone = np.ascontiguousarray(row, dtype=np.float32).reshape(1, self.n_features)
        result = np.empty(1)
        self.predictor(alone, result)(1)
        return float(result[0])

    def raw_scores(self, rows: Float32Array) -> npt.NDArray[np.float64]:
        """Give the log-odds of n rows, shape (n, n_features), as shape (n,)."""
        return self._predict(rows, _RAW_SCORE, 1).ravel()

    def predictor(
        self, rows: Float32Array, results: npt.NDArray[np.float64]
    ) -> Callable[[int], None]:
        """Give what writes the log-odds of the first m of `rows` to `results`, asked repeatedly.

        `rows`, C-contiguous and of shape (size, n_features), and `results`, shape (size,), are
        read and written in place: for a few rows nothing is copied and nothing made.
        """
        row_address, result_address = rows.ctypes.data, results.ctypes.data
        row_bytes, length_address = rows.itemsize * self.n_features, ctypes.addressof(self._length)
        call, fast = _single_row_call(), self._fast.value

        def predict(count: int) -> None:
            if count > _FEW:
                results[:count] = self.raw_scores(rows[:count])
                return
            for place in range(count):
                row, result = row_address + place * row_bytes, result_address + place * 8
                if call(fast, row, length_address, result) != 0:
                    self._check(-1)

        return predict

    def contributions(self, row: Float32Array) -> npt.NDArray[np.float64]:
        """Give SHAP contributions of one row in log-odds, shape (n_features + 1,), base last."""
        return self._predict(row[np.newaxis, :], _CONTRIBUTIONS, self.n_features + 1).ravel()

    def close(self) -> None:
        """Free the model; no call may follow."""
        self._free()

    def _predict(self, rows: Float32Array, kind: int, width: int) -> npt.NDArray[np.float64]:
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        result = np.empty((len(rows), width))
        if not len(rows):
            return result
        self._check(
            self._library.LGBM_BoosterPredictForMat(
                self._handle,
                ctypes.c_void_p(rows.ctypes.data),
                _FLOAT32,
                ctypes.c_int32(len(rows)),
                ctypes.c_int32(rows.shape[1]),
                _ROW_MAJOR,
                kind,
                0,
                _ALL_TREES,
                _PARAMETERS,
                ctypes.byref(self._length),
                result.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
            )
        )
        return result

    def _fast_config(self) -> ctypes.c_void_p:
        config = ctypes.c_void_p()
        self._check(
            self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._handle,
                _RAW_SCORE,
                0,
                _ALL_TREES,
                _FLOAT32,
                ctypes.c_int32(self.n_features),
                _PARAMETERS,
                ctypes.byref(config),
            )
        )
        return config

    def _check_width(self) -> None:
        width = ctypes.c_int()
        self._check(self._library.LGBM_BoosterGetNumFeature(self._handle, ctypes.byref(width)))
        if width.value != self.n_features:
            raise ValueError(f"model has {width.value} features, expected {self.n_features}")

    def _check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(f"LightGBM: {self._library.LGBM_GetLastError().decode()}")


def _free(library: ctypes.CDLL, handle: ctypes.c_void_p, fast: ctypes.c_void_p) -> None:
    library.LGBM_FastConfigFree(fast)
    library.LGBM_BoosterFree(handle)


@cache
def _library() -> ctypes.CDLL:
    # Importing the Python package would bring in pandas and scikit-learn: seconds of start-up.
    spec = find_spec("lightgbm")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the lightgbm package is not installed")
    folder = Path(spec.submodule_search_locations[0])
    library = ctypes.CDLL(str(folder / "lib" / "lib_lightgbm.so"))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


@cache
def _single_row_call() -> Callable[[int | None, int, int, int], int]:
    # It takes a few microseconds: letting go of the GIL meanwhile, as `CDLL` does, costs more.
    call = ctypes.PyDLL(_library()._name).LGBM_BoosterPredictForMatSingleRowFast
    call.argtypes = (ctypes.c_void_p,) * 4
    return call
