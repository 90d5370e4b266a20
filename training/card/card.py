"""What a model card says; whatever isn't known is left out of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from micromoment.scoring.manifest import Manifest
from training.card.parts import Part
from training.churn.judging import ChurnEvaluation
from training.drift import Shift
from training.evaluation import Evaluation
from training.models.importance import FeatureImportance
from training.population import ImportCounts, Population
from training.segments.space import ClusterSpace


@dataclass(frozen=True, slots=True)
class Portrait:
    """A cluster or audience in words: `conversion` and `share` are of visits, None if not known."""

    name: str
    text: str
    share: float | None = None
    conversion: float | None = None


@dataclass(frozen=True)
class Card:
    """The title and what there is to show below it.

    `bundle` is the manifest of the bundle that was judged, `metrics` what its training measured;
    a card without a bundle speaks of scores alone. `score_shift` compares the score's distribution
    on later days with that of the calibration days, `shifts` do so for features, the largest first.
    `notes` say what could not be judged. `more_parts` come last.
    """

    title: str
    visits: Evaluation | None = None
    churn: ChurnEvaluation | None = None
    bundle: Manifest | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    population: Population | None = None
    imported: ImportCounts | None = None
    importance: FeatureImportance | None = None
    space: ClusterSpace | None = None
    portraits: tuple[Portrait, ...] = ()
    shifts: tuple[Shift, ...] = ()
    score_shift: Shift | None = None
    notes: tuple[str, ...] = ()
    more_parts: tuple[Part, ...] = ()

    @property
    def currency(self) -> str:
        """The shop's currency; without one, prices are in whatever unit the events have."""
        return (self.bundle.shop.currency if self.bundle else "") or "currency units"

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: the evaluation's, and what goes with it."""
        values = self.visits.to_dict() if self.visits else {}
        values["notes"] = list(self.notes)
        if self.bundle is not None:
            values["bundle"] = self.bundle.tag
        if self.churn is not None:
            values["churn"] = self.churn.to_dict()
        if self.shifts or self.score_shift:
            values["drift"] = {
                "features": {one.name: one.psi for one in self.shifts},
                "score": self.score_shift.psi if self.score_shift else None,
            }
        if self.importance is not None:
            size = self.importance.mean_size.tolist()
            gain = self.importance.gain.tolist()
            values["features"] = {
                name: {"gain": gain[place], "mean_abs_shap": size[place]}
                for place, name in enumerate(self.importance.names)
            }
        return values
