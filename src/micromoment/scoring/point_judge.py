"""Runs a bundle's models and rules on decision points; the arrays are made once and used again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from micromoment.features.points import N_KNOWN
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.judging import AUDIENCES, N_COUNTS, N_NUMBERS, judge_points
from micromoment.scoring.models import CalibratedModel, ConversionModel
from micromoment.scoring.orders import OrderForecast
from micromoment.scoring.rules import bits_left, rules_of

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class PointJudge:
    """Judges up to `size` points at once. Belongs to one thread, as the bundle's models do.

    Put the bundle's features of m points into `rows`, shape (size, n), and what is known of their
    visits into `known`, shape (size, N_KNOWN) of `features.points`. `run` fills `numbers` and
    `counts`, of `judging`. Arrays that somebody else fills may be given.
    """

    def __init__(
        self,
        bundle: LoadedBundle,
        size: int,
        *,
        rows: Float32Array | None = None,
        known: IntArray | None = None,
    ) -> None:
        self.rows = (
            np.zeros((size, len(bundle.feature_names)), np.float32) if rows is None else rows
        )
        self.known = np.zeros((size, N_KNOWN), np.int64) if known is None else known
        self.numbers = np.zeros((size, N_NUMBERS))
        self.counts = np.zeros((size, N_COUNTS), np.int64)
        self._nothing = (None,) * size
        self._bundle = bundle
        self._rules = rules_of(bundle)
        self._raws = np.zeros(size)
        self._churn_raws = np.full(size, np.nan)
        trees_alone = bundle.churn is None or bundle.churn.orders is None
        self._churn = self._churn_raws if trees_alone else np.zeros(size)
        conversion, churn = bundle.conversion, bundle.churn
        self._eligible = self.rows[:, churn.eligible_at if churn else 0]
        self._predict_conversion = self._predictor(conversion, self._raws)
        self._predict_churn = self._predictor(churn.model if churn else None, self._churn_raws)

    def run(self, points: int) -> Sequence[OrderForecast | None]:
        """Judge the first so many points; gives what orders are to come, where it is known."""
        self._predict_conversion(points)
        coming = self._look_ahead(points)
        judge_points(
            points, self.rows, self._raws, self._churn, self.known, self._rules.compiled,
            self.numbers, self.counts,
        )  # fmt: skip
        if self._rules.left:
            self._judge_left(points)
        return coming

    def _look_ahead(self, points: int) -> Sequence[OrderForecast | None]:
        model = self._bundle.churn
        # Of most visitors of most shops it has nothing to say.
        if any(since >= 1 for since in self._eligible[:points].tolist()):
            self._predict_churn(points)
        if model is None or model.orders is None:
            return self._nothing[:points]  # what trees say is calibrated together with all else
        coming: list[OrderForecast | None] = [None] * points
        self._churn[:points] = np.nan
        for place, since in enumerate(self._eligible[:points].tolist()):
            if since >= 1:
                ahead = model.prospect(self._churn_raws.item(place), self.rows[place])
                self._churn[place] = ahead.churn
                coming[place] = ahead.coming
        return coming

    def _judge_left(self, points: int) -> None:
        said = (self.numbers, self.counts, self.known)
        for place in range(points):
            numbers, counts, known = (array[place].tolist() for array in said)
            values = self.rows[place].tolist()
            bits = bits_left(self._bundle, self._rules.left, values, (numbers, counts, known))
            self.counts[place, AUDIENCES] |= bits

    def _predictor(
        self, model: ConversionModel | CalibratedModel | None, raws: npt.NDArray[np.float64]
    ) -> Callable[[int], None]:
        if model is None:
            return lambda _: None
        trees, index = model.trees, model.index
        rows = self.rows
        if np.array_equal(index, np.arange(rows.shape[1])):
            return trees.predictor(rows, raws)
        own = np.zeros((len(rows), len(index)), np.float32)
        predict = trees.predictor(own, raws)

        def pick_and_predict(points: int) -> None:
            np.take(rows[:points], index, axis=1, out=own[:points], mode="clip")
            predict(points)

        return pick_and_predict
